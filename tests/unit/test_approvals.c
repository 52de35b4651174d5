/*
 * test_approvals.c - a signed approval in a recording's metadata: the text that approve shows, signed by ssh-keygen, speaks of what was
 * signed and of nothing more, whatever the bastion's database made of the grant afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "consent.h"
#include "replay_approvals.h"

#define ASKED 1800000000
#define SPAN_S 3600
#define LAPSE (ASKED + 86400)

static char dir[64], text[CONSENT_TEXT_MAX], signature[SSHSIG_TEXT_MAX];
static json_t *meta;

static void file(const char *name, const char *how, char *data, size_t size)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_non_null(f = fopen(path, how));
	if (how[0] == 'w')
		assert_true(fputs(data, f) >= 0);
	else
		data[fread(data, 1, size - 1, f)] = '\0';
	fclose(f);
}

static const char reason[] = "x\ncommand: rm -rf /\nforward: db2:22";

/* Shell, two destinations and two commands at this login, as the approver saw and signed them. */
static void sign_for(const char *login)
{
	struct ticket t = { .id = 17, .duration = SPAN_S, .asked_at = ASKED, .lapse_at = LAPSE,
		.caps = cap_by_name("shell") | CAP_FORWARD | CAP_COMMAND, .forwards = "db1:5432 db1:80", .commands = "uptime\ncat \"\303\251\" \\x" };
	const struct user alice = { .name = "alice", .person = "Alice" }, bob = { .name = "bob", .person = "Bob" };
	const struct host web1 = { .name = "web1", .address = "192.0.2.1", .port = 22 };
	const struct consent c = { .bastion = "bastion", .ticket = &t, .user = &alice, .approver = &bob, .by = "alice", .host = &web1, .role = "r" };
	char cmd[512];

	snprintf(t.login, sizeof(t.login), "%s", login);
	snprintf(t.reason, sizeof(t.reason), "%s", reason);
	assert_int_equal(consent_text(&c, text), 0);
	file("text", "w", text, 0);
	snprintf(cmd, sizeof(cmd), "cd %s && rm -f text.sig && { [ -e k ] || ssh-keygen -q -t ed25519 -N '' -f k; } && "
	    "ssh-keygen -q -Y sign -n bastiond-approval -f k text >out 2>&1", dir);
	assert_int_equal(system(cmd), 0);
	file("text.sig", "r", signature, sizeof(signature));
}

/* And the metadata of a recording under that. */
static int make(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/approvals-XXXXXX");
	assert_non_null(mkdtemp(dir));
	sign_for("dba");
	meta = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:[s, s, s, s]}", "bastion", "bastion", "user", "alice", "person", "Alice",
	    "login", "dba", "host", "web1", "address", "192.0.2.1", "reason", reason, "grant", 17, "started", ASKED + 60, "until", ASKED + SPAN_S,
	    "caps", "shell", "forward db1:5432", "command uptime", "command cat \"\303\251\" \\x");
	return meta != NULL ? 0 : -1;
}

static int drop(void **state)
{
	char cmd[128];

	(void)state;
	json_decref(meta);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

/* The state with this in place of what the metadata have; NULL: without it. */
static enum approval_state with(const char *key, json_t *value, const char *line)
{
	json_t *approval = json_pack("{s:s, s:s, s:s, s:s}", "by", "bob", "person", "Bob", "text", text, "signature", signature);
	json_t *other = json_deep_copy(meta);
	static struct sshsig sig;
	enum approval_state s;
	char why[256] = "", want[64];

	if (key != NULL && value != NULL)
		json_object_set_new(other, key, value);
	else if (key != NULL)
		json_object_del(other, key);
	s = approval_check(other, approval, &sig, why, sizeof(why));
	snprintf(want, sizeof(want), "its line '%s'", line != NULL ? line : "");
	assert_true(line == NULL || strstr(why, want) != NULL);
	json_decref(other);
	json_decref(approval);
	return s;
}

#define BAD(key, value, line) assert_int_equal(with(key, value, line), APPROVAL_BAD)
#define CAPS_BAD(...) BAD("caps", json_pack("[" __VA_ARGS__), "capabilities")

static void what_was_signed_holds(void **state)
{
	(void)state;
	assert_int_equal(with(NULL, NULL, NULL), APPROVAL_HOLDS);
	/* less than that, too */
	assert_int_equal(with("caps", json_pack("[]"), NULL), APPROVAL_HOLDS);
	assert_int_equal(with("caps", json_pack("[s]", "forward db1:80"), NULL), APPROVAL_HOLDS);
}

static void a_widened_grant_does_not(void **state)
{
	char *much = calloc(1, 9000);

	(void)state;
	CAPS_BAD("s, s]", "shell", "exec");
	CAPS_BAD("s]", "sftp");
	CAPS_BAD("s]", "forward db2:22"); /* the reason speaks of it, and is escaped */
	CAPS_BAD("s]", "forward db1:54321");
	CAPS_BAD("s]", "forward db1:543");
	CAPS_BAD("s]", "forward ");
	CAPS_BAD("s]", "forward");
	CAPS_BAD("s]", "command rm -rf /");
	CAPS_BAD("s]", "command uptime ");
	CAPS_BAD("s]", "command");
	CAPS_BAD("s]", "shell uptime");
	CAPS_BAD("s]", "shel");
	CAPS_BAD("s]", "");
	CAPS_BAD("i]", 1);
	BAD("caps", json_string("shell"), "capabilities");
	BAD("caps", NULL, "capabilities");
	memset(memcpy(much, "command uptime", 14) + 14, ' ', 8000);
	CAPS_BAD("s]", much);
	free(much);
}

/* Asked for as @self: the recording has the user's name as the login, which is that account, and nobody else's. */
static void an_account_of_ones_own_is_the_users(void **state)
{
	char before[CONSENT_TEXT_MAX], signed_before[SSHSIG_TEXT_MAX];

	(void)state;
	memcpy(before, text, sizeof(before));
	memcpy(signed_before, signature, sizeof(signed_before));
	sign_for(LOGIN_SELF);
	assert_non_null(strstr(text, "\nlogin: @self\n"));
	assert_int_equal(with("login", json_string("alice"), NULL), APPROVAL_HOLDS);
	assert_int_equal(with("login", json_string("@self"), NULL), APPROVAL_HOLDS);
	BAD("login", json_string("dba"), "login");
	BAD("login", json_string("root"), "login");
	BAD("login", json_string(""), "login");
	BAD("login", json_integer(1), "login");
	BAD("login", NULL, "login");
	memcpy(text, before, sizeof(text));
	memcpy(signature, signed_before, sizeof(signature));
	BAD("login", json_string("alice"), "login"); /* this one was signed for dba */
}

static void an_end_must_be_there(void **state)
{
	(void)state;
	BAD("until", NULL, "time");
	BAD("until", json_integer(0), "time");
	assert_int_equal(with("until", json_integer(LAPSE + SPAN_S), NULL), APPROVAL_HOLDS);
	BAD("until", json_integer(LAPSE + SPAN_S + 1), "time");
	BAD("started", json_integer(ASKED - 1), "time");
	BAD("grant", json_integer(18), "request");
	BAD("reason", json_string("x"), "reason");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_signed_holds), cmocka_unit_test(a_widened_grant_does_not), cmocka_unit_test(an_end_must_be_there),
		cmocka_unit_test(an_account_of_ones_own_is_the_users),
	};

	return cmocka_run_group_tests(tests, make, drop);
}
