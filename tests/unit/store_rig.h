/*
 * store_rig.h - a database in a folder of its own, with a small world in it, for the tests of approvals/.
 *
 * alice asks, bob and carol approve, adam administers, deploy is a service account; web1 and db1 are hosts; the role
 * dba covers web*, one approval, two hours; the role twin covers db1, two approvals.
 */
#ifndef STORE_RIG_H
#define STORE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "log.h"
#include "otp.h"
#include "rig_top.h"
#include "words.h"
#include "store_key.h"

#define NOW 1800000000LL /* a Friday, 08:00 UTC */
#define KEY_A "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f alice@laptop"
#define KEY_B "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP8BAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f bob@desk"

struct rig {
	char dir[64], path[96];
	struct store *s;
	int64_t now;
	struct control c;
	struct { enum end_what what; int64_t id; char line[512]; } ended[32];
	size_t nended;
};

static struct rig rig;

static int64_t rig_now(void *arg)
{
	(void)arg;
	return rig.now;
}

static void rig_end(void *arg, enum end_what what, int64_t id, const char *line)
{
	(void)arg;
	if (rig.nended < sizeof(rig.ended) / sizeof(rig.ended[0])) {
		rig.ended[rig.nended].what = what;
		rig.ended[rig.nended].id = id;
		snprintf(rig.ended[rig.nended++].line, 512, "%s", line);
	}
}

static const char *rig_key_line(void *arg, size_t i, const char **name)
{
	static const char *const names[] = { "ca", "legacy" };

	(void)arg;
	if (i >= 2)
		return NULL;
	*name = names[i];
	return i == 0 ? "ssh-ed25519 AAAACA ca" : "ssh-rsa AAAALEGACY legacy";
}

static const char *rig_host_key(void *arg, size_t i)
{
	(void)arg;
	return i == 0 ? "ssh-ed25519 AAAAHOST" : NULL;
}

/* The key of the rig's secrets, as policy would give it to a store that was just opened. */
static inline void rig_seal(struct store *s)
{
	static struct seal_ring ring;

	if (ring.n == 0)
		assert_int_equal(seal_ring_add(&ring, "0123456789abcdef0123456789abcdef", SEAL_KEY_LEN), 0);
	store_seal_with(s, &ring);
	assert_int_equal(store_seal(s, NOW), 0);
}

/* A fresh database; nothing in it. */
static inline void rig_open(void)
{
	char err[STORE_ERR_MAX];

	log_init("test", true, LOG_LVL_ERROR + 1);
	memset(&rig, 0, sizeof(rig));
	snprintf(rig.dir, sizeof(rig.dir), "%s/approvals-XXXXXX", rig_top());
	assert_non_null(mkdtemp(rig.dir));
	snprintf(rig.path, sizeof(rig.path), "%s/policy.db", rig.dir);
	assert_int_equal(store_create(rig.path, err), 0);
	rig.s = store_open(rig.path, err);
	assert_non_null(rig.s);
	rig_seal(rig.s);
	rig.now = NOW;
	rig.c = (struct control){ .store = rig.s, .name = "bastion", .port = 2222, .now = rig_now, .end = rig_end,
	    .key_line = rig_key_line, .host_key = rig_host_key };
}

static inline void rig_close(void)
{
	static const char *const tails[] = { "", "-wal", "-shm", "-journal" };
	char file[128];

	store_close(rig.s);
	for (size_t i = 0; i < 4; i++) {
		snprintf(file, sizeof(file), "%s%s", rig.path, tails[i]);
		unlink(file);
	}
	rmdir(rig.dir);
}

static inline int64_t id_of(const char *user)
{
	struct user u;

	return store_user_by_name(rig.s, user, &u) == 1 ? u.id : 0;
}

/* One request as root at the control socket ("root"), or as a user from 10.0.0.9; the reply is the caller's. */
static inline json_t *ask(const char *who, const char *json)
{
	struct actor a = { .root = strcmp(who, "root") == 0, .local = strcmp(who, "root") == 0, .source = "10.0.0.9" };
	struct buf out;
	json_t *reply;

	if (!a.root)
		a.user_id = id_of(who);
	buf_init(&out, CONTROL_REPLY_MAX);
	assert_true(control_handle(&rig.c, &a, json, strlen(json), &out) >= 0);
	reply = json_loadb((const char *)out.data, out.len, 0, NULL);
	assert_non_null(reply);
	buf_finish(&out);
	assert_false(store_in_transaction(rig.s));
	return reply;
}

/* "" when the reply is ok, else its code. The reply is gone after the next call. */
static json_t *last;
static inline const char *code(const char *who, const char *json)
{
	json_decref(last);
	last = ask(who, json);
	return json_is_true(json_object_get(last, "ok")) ? "" : json_string_value(json_object_get(last, "code"));
}

static inline const char *field(const char *key)
{
	const char *text = json_string_value(json_object_get(last, key));

	return text != NULL ? text : "";
}

#define OK(who, json) do { if (strcmp(code(who, json), "") != 0) fail_msg("%s: %s: %s", who, json, field("error")); } while (0)
#define NO(who, why, json) assert_string_equal(code(who, json), why)

static inline void rig_world(void)
{
	rig_open();
	OK("root", "{\"word\":\"user add\",\"args\":{\"user\":\"alice\",\"person\":\"Alice\",\"uid\":1001}}");
	OK("root", "{\"word\":\"user add\",\"args\":{\"user\":\"bob\",\"person\":\"Bob\"}}");
	OK("root", "{\"word\":\"user add\",\"args\":{\"user\":\"carol\",\"person\":\"Carol\"}}");
	OK("root", "{\"word\":\"user add\",\"args\":{\"user\":\"adam\",\"admin\":true}}");
	OK("root", "{\"word\":\"user add\",\"args\":{\"user\":\"eve\",\"auditor\":true}}");
	OK("root", "{\"word\":\"user add\",\"args\":{\"user\":\"deploy\",\"service\":true,\"from\":\"10.0.0.0/8\",\"until\":1900000000}}");
	OK("root", "{\"word\":\"user key add\",\"args\":{\"user\":\"alice\",\"device\":\"laptop\",\"key\":\"" KEY_A "\"}}");
	OK("root", "{\"word\":\"host add\",\"args\":{\"host\":\"web1\",\"address\":\"10.1.1.1\",\"key\":\"" KEY_B "\",\"login\":[\"dba\",\"www\"],\"label\":\"tier=web\"}}");
	OK("root", "{\"word\":\"host add\",\"args\":{\"host\":\"db1\",\"address\":\"db1.example\",\"key\":[\"" KEY_B "\"],\"login\":\"dba\"}}");
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"dba\",\"host\":\"web*\",\"login\":\"dba\",\"max\":7200}}");
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"twin\",\"host\":\"db1\",\"login\":\"dba\",\"approvals\":2}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"dba\",\"user\":\"alice\"}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"twin\",\"user\":\"alice\"}}");
	OK("root", "{\"word\":\"role approver add\",\"args\":{\"role\":\"dba\",\"user\":\"bob\"}}");
	OK("root", "{\"word\":\"role approver add\",\"args\":{\"role\":\"twin\",\"user\":\"bob\"}}");
	OK("root", "{\"word\":\"role approver add\",\"args\":{\"role\":\"twin\",\"user\":\"carol\"}}");
}

static inline int setup_world(void **state)
{
	(void)state;
	rig_world();
	return 0;
}

static inline int setup_empty(void **state)
{
	(void)state;
	rig_open();
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	json_decref(last);
	last = NULL;
	rig_close();
	return 0;
}

/* Rows of the list of events. */
static inline int64_t events_of(const char *kind)
{
	json_t *list = store_list(rig.s, LIST_EVENTS, &(struct list_ask){ .limit = 1000 });
	int64_t n = 0;

	for (size_t i = 0; i < json_array_size(list); i++)
		n += strcmp(json_string_value(json_object_get(json_array_get(list, i), "kind")), kind) == 0;
	json_decref(list);
	return n;
}

/* SQL as a hand with sqlite3(1) would run it. SQLITE_OK; what a trigger or a CHECK refuses is SQLITE_CONSTRAINT. */
static inline int by_hand(const char *sql)
{
	sqlite3 *db = NULL;
	int rc = sqlite3_open_v2(rig.path, &db, SQLITE_OPEN_READWRITE, NULL);

	if (rc == SQLITE_OK) {
		sqlite3_busy_timeout(db, 5000);
		rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	}
	sqlite3_close(db);
	return rc;
}

/* The number that such a statement yields. */
static inline int64_t by_hand_number(const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	int64_t n;

	assert_int_equal(sqlite3_open_v2(rig.path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

#define REQUEST_WEB1 "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":3600,\"reason\":\"index\"}}"
#define REQUEST_DB1 "{\"word\":\"request\",\"args\":{\"host\":\"db1\",\"login\":\"dba\",\"for\":3600,\"reason\":\"index\"}}"

#endif
