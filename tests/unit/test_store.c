/*
 * test_store.c - the database: making, opening, refusing, migrating, checking; what it keeps by itself; faults.
 *
 * WRAP: sqlite3_step calloc realloc
 */
#include "store_rig.h"
#include "store_sql.h"

#include <jansson.h>

#include "store_backup.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

/* --- faults: the call with this number fails, then all is well again --- */

static long steps_left = -1, allocs_left = -1;
static int step_error = SQLITE_IOERR;

static bool fails(long *left)
{
	return *left >= 0 && (*left)-- == 0;
}

int __real_sqlite3_step(sqlite3_stmt *st);
int __wrap_sqlite3_step(sqlite3_stmt *st);
int __wrap_sqlite3_step(sqlite3_stmt *st)
{
	if (!fails(&steps_left))
		return __real_sqlite3_step(st);
	return step_error;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	return fails(&allocs_left) ? NULL : __real_calloc(n, size);
}

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size)
{
	return fails(&allocs_left) ? NULL : __real_realloc(p, size);
}

static void *json_alloc(size_t n)
{
	return fails(&allocs_left) ? NULL : malloc(n);
}

/* --- the file --- */

static void create_makes_a_private_file_once(void **state)
{
	char err[STORE_ERR_MAX];
	struct stat st;

	(void)state;
	assert_int_equal(stat(rig.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(store_create(rig.path, err), -1);
	assert_non_null(strstr(err, "File exists"));
	assert_int_equal(store_check(rig.s, err), 0);
}

static void pragmas_are_in_force(void **state)
{
	static const struct { const char *sql; const char *want; } in_file[] = {
		{ "PRAGMA journal_mode", "wal" }, { "PRAGMA user_version", TEXT(STORE_VERSION) }, { "PRAGMA application_id", "1111577428" },
		{ "SELECT count(*) FROM sqlite_schema WHERE type='table' AND name NOT LIKE 'sqlite_%' AND sql NOT LIKE '%STRICT%'", "0" },
	};
	sqlite3 *db;

	(void)state;
	assert_int_equal(sqlite3_open(rig.path, &db), SQLITE_OK);
	for (size_t i = 0; i < sizeof(in_file) / sizeof(in_file[0]); i++) {
		sqlite3_stmt *st;

		assert_int_equal(sqlite3_prepare_v2(db, in_file[i].sql, -1, &st, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_step(st), SQLITE_ROW);
		assert_string_equal((const char *)sqlite3_column_text(st, 0), in_file[i].want);
		sqlite3_finalize(st);
	}
	sqlite3_close(db);
}

/* Opens the rig's file anew; the line when it is refused, "" when not. */
static const char *reopen(void)
{
	static char err[STORE_ERR_MAX];
	struct store *s = store_open(rig.path, err);

	if (s == NULL)
		return err;
	store_close(s);
	return "";
}

static void newer_and_foreign_files_are_refused(void **state)
{
	(void)state;
	assert_string_equal(reopen(), "");
	assert_int_equal(by_hand("PRAGMA user_version=1000"), SQLITE_OK);
	assert_non_null(strstr(reopen(), "its schema has version 1000, this bastiond knows " TEXT(STORE_VERSION)
	    ": install the bastiond that wrote it"));
	assert_non_null(strstr(reopen(), rig.path));
	assert_int_equal(by_hand("PRAGMA user_version=" TEXT(STORE_VERSION) "; PRAGMA application_id=7"), SQLITE_OK);
	assert_non_null(strstr(reopen(), "no database of bastiond"));
}

/* A file as the bastiond of an earlier version made it: its scripts, and no others. */
static void make_old(int version)
{
	sqlite3 *db;
	char mark[160];

	unlink(rig.path);
	close(open(rig.path, O_CREAT | O_RDWR, 0600));
	assert_int_equal(sqlite3_open(rig.path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA application_id=0x42415354", NULL, NULL, NULL), SQLITE_OK);
	for (int i = 0; i < version; i++)
		for (const char *const *script = store_migrations[i]; *script != NULL; script++)
			assert_int_equal(sqlite3_exec(db, *script, NULL, NULL, NULL), SQLITE_OK);
	snprintf(mark, sizeof(mark), "INSERT INTO events VALUES (1, 1, 'x', '', '', '', zeroblob(32)); PRAGMA user_version=%d", version);
	assert_int_equal(sqlite3_exec(db, mark, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void older_schemas_are_carried_forward(void **state)
{
	struct event_log log;

	(void)state;
	for (int version = 1; version < STORE_VERSION; version++) {
		store_close(rig.s);
		make_old(version);
		assert_non_null(rig.s = store_open(rig.path, (char[STORE_ERR_MAX]){ 0 }));
		assert_int_equal(store_event_log(rig.s, &log), 0);
		assert_int_equal(log.shipped, 0);
		assert_false(log.recorded);
		assert_int_equal(event_write(rig.s, NOW, EVENT_LOGIN, "alice", NULL, NULL), 0);
		assert_int_equal(by_hand("DELETE FROM events WHERE id=1"), SQLITE_CONSTRAINT);
	}
}

static void write_at(off_t off, const char *bytes, size_t len)
{
	int fd = open(rig.path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, off), len);
	close(fd);
}

static void damaged_files_are_refused(void **state)
{
	char junk[512], err[STORE_ERR_MAX];
	struct stat st;

	(void)state;
	memset(junk, 0xa5, sizeof(junk));
	store_close(rig.s); /* the log is folded into the file */
	assert_int_equal(stat(rig.path, &st), 0);
	for (off_t off = 4096 * 2; off + 512 < st.st_size; off += 4096)
		write_at(off, junk, sizeof(junk));
	assert_non_null(strstr(reopen(), "restore it from a backup"));
	write_at(0, "this is no database at all", 26);
	assert_non_null(strstr(reopen(), "restore it from a backup"));
	assert_int_equal(store_settle(rig.path, err), 1); /* nothing of it is to be kept */
	assert_int_equal(truncate(rig.path, 0), 0);
	assert_non_null(strstr(reopen(), "no database of bastiond"));
	assert_int_equal(unlink(rig.path), 0);
	assert_non_null(strstr(reopen(), "unable to open"));
	assert_int_equal(symlink("/dev/null", rig.path), 0);
	assert_string_not_equal(reopen(), "");
	assert_int_equal(store_settle(rig.path, err), -1); /* no link is followed */
	unlink(rig.path);
	assert_int_equal(store_create(rig.path, err), 0);
	rig.s = store_open(rig.path, err);
	assert_non_null(rig.s);
}

/* A file of version 0 is empty but ours: every migration runs. One that fails leaves the version before it. */
static void migrations_run_whole_or_not_at_all(void **state)
{
	char err[STORE_ERR_MAX];
	struct user u;

	(void)state;
	store_close(rig.s);
	assert_int_equal(unlink(rig.path), 0);
	close(open(rig.path, O_CREAT | O_RDWR, 0600));
	assert_int_equal(by_hand("PRAGMA journal_mode=WAL; PRAGMA application_id=0x42415354; CREATE TABLE ways (x)"), SQLITE_OK);
	assert_non_null(strstr(reopen(), "table ways already exists")); /* in the last part of the script */
	assert_int_equal(by_hand("SELECT * FROM users"), SQLITE_ERROR);	/* and the first is undone with it */
	assert_int_equal(by_hand("DROP TABLE ways"), SQLITE_OK);
	rig.s = store_open(rig.path, err);
	assert_non_null(rig.s);
	assert_int_equal(store_user(rig.s, 1, &u), 0);
	assert_int_equal(store_check(rig.s, err), 0);
}

static void backup_is_a_whole_copy(void **state)
{
	char path[128], err[STORE_ERR_MAX];
	struct store_backup *b;
	struct store *copy;
	struct user u;

	(void)state;
	snprintf(path, sizeof(path), "%s/copy.db", rig.dir);
	assert_non_null(b = store_backup_begin(rig.s, path));
	assert_int_equal(store_backup_step(b, -1), 0);
	assert_int_equal(store_backup_end(b, true), 0);
	assert_null(store_backup_begin(rig.s, path)); /* never over another */
	copy = store_open(path, err);
	assert_non_null(copy);
	assert_int_equal(store_user_by_name(copy, "alice", &u), 1);
	store_close(copy);
	unlink(path);
}

/* Changes between the steps are in the copy, as they are in the database: none in part. */
static void backup_in_steps_is_of_one_moment(void **state)
{
	char path[128], err[STORE_ERR_MAX], sql[64];
	struct event_report there, here;
	struct store_backup *b;
	struct store *copy;
	int steps = 0, r;

	(void)state;
	snprintf(path, sizeof(path), "%s/copy.db", rig.dir);
	for (int i = 0; i < 500; i++)
		assert_int_equal(event_writef(rig.s, NOW, EVENT_LOGIN, "alice", "alice", "{s:i}", "n", i), 0);
	assert_non_null(b = store_backup_begin(rig.s, path));
	while ((r = store_backup_step(b, 2)) == 1) {
		snprintf(sql, sizeof(sql), "step %d", steps++);
		assert_int_equal(event_writef(rig.s, NOW, EVENT_LOGIN, "bob", "bob", "{s:s}", "n", sql), 0);
	}
	assert_int_equal(r, 0);
	assert_true(steps > 10);
	assert_int_equal(store_backup_end(b, true), 0);
	assert_int_equal(event_verify(rig.s, 0, &here), 0);
	assert_non_null(copy = store_open(path, err));
	assert_int_equal(store_check(copy, err), 0);
	assert_int_equal(event_verify(copy, 0, &there), 0);
	assert_int_equal(there.bad, 0);
	assert_int_equal(there.rows, here.rows);
	assert_memory_equal(there.head, here.head, sizeof(here.head));
	store_close(copy);
	unlink(path);
	/* given up: nothing stays */
	assert_non_null(b = store_backup_begin(rig.s, path));
	assert_int_equal(store_backup_step(b, 5), 1);
	assert_int_equal(store_backup_end(b, false), 0);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_null(store_backup_begin(rig.s, "/nonexistent/copy.db"));
	assert_non_null(strstr(store_error(rig.s), "No such file"));
}

/* --- what the tables keep by themselves, also against a hand with sqlite3(1) --- */

static void arrows_in_sql_are_those_in_c(void **state)
{
	char sql[600];

	(void)state;
	OK("alice", REQUEST_WEB1);
	for (int from = 0; from < TICKET_STATES; from++) {
		for (int to = 0; to < TICKET_STATES; to++) {
			bool want = false;

			for (int act = 0; act < ACT_COUNT; act++)
				want |= from != to && ticket_next((enum ticket_state)from, (enum ticket_act)act) == (enum ticket_state)to;
			snprintf(sql, sizeof(sql), "BEGIN; CREATE TABLE t AS SELECT sql FROM sqlite_schema WHERE name='requests_state';"
			    "DROP TRIGGER requests_state; UPDATE requests SET state='%s';", ticket_state_name((enum ticket_state)from));
			{
				sqlite3 *db;
				char *again = NULL;
				sqlite3_stmt *st;

				assert_int_equal(sqlite3_open(rig.path, &db), SQLITE_OK);
				assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
				assert_int_equal(sqlite3_prepare_v2(db, "SELECT sql FROM t", -1, &st, NULL), SQLITE_OK);
				assert_int_equal(sqlite3_step(st), SQLITE_ROW);
				again = strdup((const char *)sqlite3_column_text(st, 0));
				sqlite3_finalize(st);
				assert_int_equal(sqlite3_exec(db, again, NULL, NULL, NULL), SQLITE_OK);
				snprintf(sql, sizeof(sql), "UPDATE requests SET state='%s'", ticket_state_name((enum ticket_state)to));
				assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, want);
				sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
				sqlite3_close(db);
				free(again);
			}
		}
	}
}

static void hands_are_refused(void **state)
{
	static const char *const hands[] = {
		"UPDATE requests SET state='approved'; INSERT INTO grants (id, start_at, end_at) VALUES (1, 1, 3601)", /* no approval */
		"INSERT INTO grants (id, start_at, end_at) VALUES (1, 1, 3601)",
		"INSERT INTO verdicts SELECT 1, person, id, 1, '', 0 FROM users WHERE name='alice'",	/* her own */
		"INSERT INTO verdicts SELECT 1, 'ALICE', id, 1, '', 0 FROM users WHERE name='alice'",
		"INSERT INTO verdicts SELECT 1, 'Bob', id, 1, '', 0 FROM users WHERE name='alice'",	/* in his name */
		"UPDATE requests SET duration=999999", "UPDATE requests SET user_id=2", "UPDATE requests SET needed=0",
		"DELETE FROM requests", "INSERT INTO requests SELECT 9, 'active', user_id, by_id, host_id, role_id, login, caps, duration,"
		" 0, reason, ref, asked_at, lapse_at, '', '', NULL FROM requests", "INSERT INTO users VALUES (50,'svc','svc','service',"
		"'active',0,0,NULL,'',NULL,'',0)", "INSERT INTO users (name,person,kind,state,admin,auditor,networks,added) VALUES "
		"('x','x','human','active',0,0,'','soon')",	/* STRICT */
	};

	(void)state;
	OK("alice", REQUEST_WEB1);
	for (size_t i = 0; i < sizeof(hands) / sizeof(hands[0]); i++)
	{
		char sql[1024];

		snprintf(sql, sizeof(sql), "BEGIN; %s; COMMIT", hands[i]);
		if (by_hand(sql) == SQLITE_OK)
			fail_msg("%s", hands[i]);
	}
	assert_int_equal(by_hand("BEGIN; UPDATE requests SET state='denied'; ROLLBACK"), SQLITE_OK);
}

static void grants_and_verdicts_stay(void **state)
{
	(void)state;
	OK("alice", REQUEST_WEB1);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	assert_int_equal(by_hand("UPDATE grants SET end_at=end_at+1"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("DELETE FROM grants"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("UPDATE verdicts SET yes=0"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("DELETE FROM verdicts"), SQLITE_CONSTRAINT);
}

/* With the triggers gone too, what does not fit is a failure and no grant. */
static void broken_rows_give_nothing(void **state)
{
	char err[STORE_ERR_MAX] = "";
	struct access_answer a;
	struct host h;
	struct ticket t;

	(void)state;
	OK("alice", REQUEST_WEB1);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	assert_int_equal(store_check(rig.s, err), 0);
	assert_int_equal(by_hand("DROP TRIGGER grants_fixed; UPDATE grants SET end_at=end_at+86400"), SQLITE_OK);
	assert_int_equal(store_ticket(rig.s, 1, &t), -1);
	assert_non_null(strstr(store_error(rig.s), "I2"));
	control_way(&rig.c, id_of("alice"), "10.0.0.9", "web1", "dba", NULL, &a, &h);
	assert_int_equal(a.refusal, WAY_BROKEN);
	assert_int_equal(store_check(rig.s, err), 1);
	assert_non_null(strstr(err, "request 1"));
	assert_int_equal(by_hand("UPDATE grants SET end_at=end_at-86400; DROP TRIGGER verdicts_kept; DELETE FROM verdicts"), SQLITE_OK);
	assert_int_equal(store_check(rig.s, err), 1);
	control_way(&rig.c, id_of("alice"), "10.0.0.9", "web1", "dba", NULL, &a, &h);
	assert_int_equal(a.refusal, WAY_BROKEN);
	/* a value that is longer than the model has room for */
	assert_int_equal(by_hand("PRAGMA ignore_check_constraints=1; UPDATE users SET networks=printf('%.2000c','1') WHERE name='bob'"), SQLITE_OK);
	{
		struct user u;

		assert_int_equal(store_user_by_name(rig.s, "bob", &u), -1);
		assert_non_null(strstr(store_error(rig.s), "networks does not fit"));
	}
}

/* --- devices --- */

static void device_login(void **state)
{
	struct host_key k, other;
	struct user u;
	struct device d;
	char err[256];

	(void)state;
	assert_int_equal(key_parse(KEY_A, false, &k, err, sizeof(err)), 0);
	assert_int_equal(key_parse(KEY_B, false, &other, err, sizeof(err)), 0);
	assert_int_equal(store_device_login(rig.s, "alice", k.blob, k.len, &u, &d), 1);
	assert_string_equal(d.name, "laptop");
	assert_string_equal(u.name, "alice");
	assert_int_equal(store_device_login(rig.s, "bob", k.blob, k.len, &u, &d), 0);
	assert_int_equal(store_device_login(rig.s, "nobody", k.blob, k.len, &u, &d), 0);
	assert_int_equal(store_device_login(rig.s, "alice", other.blob, other.len, &u, &d), 0);
	assert_int_equal(store_device_login(rig.s, "alice", k.blob, k.len - 1, &u, &d), 0);
	assert_int_equal(store_device_login(rig.s, "alice' OR '1'='1", k.blob, k.len, &u, &d), 0);
	OK("root", "{\"word\":\"user key revoke\",\"args\":{\"user\":\"alice\",\"device\":\"laptop\"}}");
	assert_int_equal(store_device_login(rig.s, "alice", k.blob, k.len, &u, &d), 0);
}

static void keys_are_parsed_strictly(void **state)
{
	static const char *const bad[] = {
		"", "ssh-ed25519", "ssh-ed25519 ", "ssh-ed25519 AAAA", "ssh-dss AAAAB3NzaC1kc3MAAACB", "AAAAC3NzaC1lZDI1NTE5AAAAIAAB",
		"ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",	/* a type that it is not */
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4",	/* cut */
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAAAA",
		"ssh-ed25519 AAAA=3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
		"a b ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
		"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAIQDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQ==",	/* 256 bits */
	};
	struct host_key k;
	char err[512], line[256];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (key_parse(bad[i], false, &k, err, sizeof(err)) == 0)
			fail_msg("%s is taken", bad[i]);
	assert_int_equal(key_parse("web1 " KEY_B, true, &k, err, sizeof(err)), 0);
	assert_int_equal(key_format(&k, line, sizeof(line)), 0);
	assert_memory_equal(line, KEY_B, strlen(line));
	assert_int_equal(key_format(&k, line, 20), -1);
}

/* --- faults --- */

/* The state that matters: what alice may do, and how long the record is. */
static int64_t fingerprint(void)
{
	struct ticket t;
	uint8_t hash[EVENT_HASH_LEN];
	int64_t head = 0;

	if (store_ticket(rig.s, 1, &t) != 1)
		t = (struct ticket){ .state = TICKET_STATES };
	assert_int_equal(store_event_head(rig.s, &head, hash) >= 0, 1);
	return head * 100 + t.state * 10 + t.given;
}

/*
 * Each step of each of these words fails once; afterwards nothing or all of it is done. sandwich: a fault may do no harm;
 * then the word is undone by a transaction around it, and the next call fails instead.
 */
static void whole_or_nothing(long *left, int error, bool sandwich)
{
	static const struct { const char *who, *json; } words[] = {
		{ "alice", REQUEST_WEB1 }, { "bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}" },
		{ "alice", "{\"word\":\"grants\"}" }, { "alice", "{\"word\":\"hosts\"}" }, { "alice", "{\"word\":\"config\"}" },
		{ "bob", "{\"word\":\"revoke\",\"args\":{\"id\":1}}" },
		{ "root", "{\"word\":\"user totp enrol\",\"args\":{\"user\":\"alice\"}}" },
		{ "root", "{\"word\":\"role remove\",\"args\":{\"role\":\"dba\"}}" },
		{ "root", "{\"word\":\"user remove\",\"args\":{\"user\":\"alice\"}}" },
	};
	char err[STORE_ERR_MAX];
	struct event_report r;

	step_error = error;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		for (long n = 0;; n++) {
			struct actor a = { .root = strcmp(words[i].who, "root") == 0, .local = true, .source = "" };
			int64_t before = fingerprint();
			size_t ended = rig.nended;
			struct buf out;
			bool ok, hit;

			a.user_id = a.root ? 0 : id_of(words[i].who);
			buf_init(&out, CONTROL_REPLY_MAX);
			if (sandwich)
				assert_int_equal(store_begin(rig.s), 0);
			*left = n;
			if (control_handle(&rig.c, &a, words[i].json, strlen(words[i].json), &out) < 0)
				buf_reset(&out);
			hit = *left < 0;
			*left = -1;
			buf_put_u8(&out, 0);
			ok = strstr((char *)out.data, "\"ok\":true") != NULL;
			buf_finish(&out);
			if (sandwich && hit)
				store_rollback(rig.s);
			else if (sandwich)
				assert_int_equal(store_commit(rig.s), 0);
			assert_false(store_in_transaction(rig.s));
			if (ok && hit && sandwich) {
				assert_int_equal(fingerprint(), before);
				continue;
			}
			if (!ok) {
				assert_true(hit);
				assert_int_equal(fingerprint(), before);
				assert_int_equal(rig.nended, ended);
				continue;
			}
			assert_false(hit);
			break; /* past the last call */
		}
	}
	assert_int_equal(store_check(rig.s, err), 0);
	assert_int_equal(event_verify(rig.s, 0, &r), 0);
	assert_int_equal(r.bad, 0);
}

static void every_step_may_fail(void **state)
{
	static const int errors[] = { SQLITE_IOERR, SQLITE_FULL, SQLITE_BUSY, SQLITE_NOMEM, SQLITE_CORRUPT };

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		whole_or_nothing(&steps_left, errors[i], false);
		teardown(NULL);
		setup_world(NULL);
	}
}

static void every_allocation_may_fail(void **state)
{
	(void)state;
	json_set_alloc_funcs(json_alloc, free);
	whole_or_nothing(&allocs_left, SQLITE_NOMEM, true);
	json_set_alloc_funcs(malloc, free);
}

static void a_lost_transaction_commits_nothing(void **state)
{
	struct user u = { .name = "x", .person = "x", .uid = -1, .until = FOREVER };

	(void)state;
	assert_int_equal(store_begin(rig.s), 0);
	assert_int_equal(store_user_add(rig.s, &u, NOW), 0);
	/* what SQLite does by itself when the disk is full: roll back under the caller's feet */
	assert_int_equal(store_begin(rig.s), 0);
	store_rollback(rig.s);
	assert_int_equal(store_begin(rig.s), 0);
	assert_int_equal(store_commit(rig.s), 0);
	store_rollback(rig.s);
	assert_false(store_in_transaction(rig.s));
	assert_int_equal(store_user_by_name(rig.s, "x", &u), 0);
}

static void another_writer_is_waited_for(void **state)
{
	char err[STORE_ERR_MAX];
	struct store *two = store_open(rig.path, err);

	(void)state;
	assert_non_null(two);
	assert_int_equal(store_begin(rig.s), 0);
	assert_int_equal(event_write(rig.s, NOW, EVENT_LOGIN, "a", NULL, NULL), 0);
	assert_int_equal(store_commit(rig.s), 0);
	assert_int_equal(event_write(two, NOW, EVENT_LOGIN, "b", NULL, NULL), 0);
	assert_int_equal(event_write(rig.s, NOW, EVENT_LOGIN, "c", NULL, NULL), 0);
	store_close(two);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_world, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(create_makes_a_private_file_once), T(pragmas_are_in_force), T(newer_and_foreign_files_are_refused), T(older_schemas_are_carried_forward),
		T(damaged_files_are_refused), T(migrations_run_whole_or_not_at_all), T(backup_is_a_whole_copy), T(backup_in_steps_is_of_one_moment),
		T(arrows_in_sql_are_those_in_c), T(hands_are_refused), T(grants_and_verdicts_stay), T(broken_rows_give_nothing),
		T(device_login), T(keys_are_parsed_strictly), T(every_step_may_fail), T(every_allocation_may_fail),
		T(a_lost_transaction_commits_nothing), T(another_writer_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
