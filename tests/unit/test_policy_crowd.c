/*
 * test_policy_crowd.c - policy and many sessions at once: who waits for an answer, or has to be kept alive, does not wait
 * for a crowd; rows of what is over are written together.
 *
 * WRAP: sqlite3_step
 */
#include "policy_rig_way.h"

#include <sqlite3.h>

#define CROWD 20
#define NOTES 40	/* of each: an event, and so a flush of the disk, each */

static bool disk_full;
static unsigned commits;

int __real_sqlite3_step(sqlite3_stmt *st);
int __wrap_sqlite3_step(sqlite3_stmt *st);

int __wrap_sqlite3_step(sqlite3_stmt *st)
{
	const char *text = sqlite3_sql(st);

	if (disk_full && (strncmp(text, "UPDATE", 6) == 0 || strncmp(text, "INSERT", 6) == 0))
		return SQLITE_FULL;
	commits += strncmp(text, "COMMIT", 6) == 0;
	return __real_sqlite3_step(st);
}

static void deploy_in(struct rig *r, struct session_end *s)
{
	session_start(r, s);
	send_key(s, "deploy", KEY(DEPLOY_KEY), 1);
	expect_u8(r, &s->link, MSG_AUTH_KEY_RE, AUTH_YES);
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 1);
}

static int rows(struct rig *r, const char *sql)
{
	sqlite3_stmt *st = NULL;
	char path[80];
	sqlite3 *db;
	int n;

	snprintf(path, sizeof(path), "%s/policy.db", r->dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(__real_sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

static int notes(struct rig *r)
{
	return rows(r, "SELECT count(*) FROM events WHERE kind='forward.refused'");
}

static int open_connections(struct rig *r)
{
	return rows(r, "SELECT count(*) FROM connections WHERE end_at IS NULL");
}

static void say_much(struct session_end *s)
{
	struct buf b;

	buf_init(&b, 256);
	buf_put_cstring(&b, "forward.refused");
	buf_put_cstring(&b, "10.0.0.1:80");
	for (int i = 0; i < NOTES; i++)
		assert_int_equal(ipc_send(&s->link, MSG_NOTE, 0, &b, NULL, 0), 0);
	buf_finish(&b);
}

/* An administrator at the control socket, while a crowd keeps the disk busy for seconds. */
static void crowd_is_overtaken(void **state)
{
	struct session_end crowd[CROWD];
	struct rig *r = *state;

	for (int i = 0; i < CROWD; i++)
		deploy_in(r, &crowd[i]);
	for (int i = 0; i < CROWD; i++)
		say_much(&crowd[i]);
	control_request(r, "{\"word\":\"user lock\",\"args\":{\"user\":\"bob\",\"reason\":\"test\"}}", "\"ok\":true");
	/* and nobody of the crowd is forgotten */
	for (int i = 0; i < 100 && notes(r) < CROWD * NOTES; i++)
		rig_turn(r);
	assert_int_equal(notes(r), CROWD * NOTES);
	assert_true(rows(r, "SELECT count(*) FROM events WHERE kind='forward.refused' AND id < (SELECT id FROM events "
	    "WHERE kind='user.lock')") < CROWD * NOTES / 2);
	for (int i = 0; i < CROWD; i++)
		session_over(r, &crowd[i], 0);
}

/* Parent says in one breath that all of them are over. */
static void all_over(struct rig *r, struct session_end *crowd)
{
	struct buf b;

	buf_init(&b, 32);
	buf_put_u32(&b, 0);
	buf_put_u64(&b, 1000);
	buf_put_u64(&b, 1000);
	for (int i = 0; i < CROWD; i++) {
		ipc_finish(&crowd[i].link);
		assert_int_equal(ipc_send(&r->parent, MSG_PEER_DOWN, crowd[i].slot, &b, NULL, 0), 0);
	}
	buf_finish(&b);
	rig_turn(r);
	assert_int_equal(r->p.npeers, 0);
}

static void ends_share_a_flush(void **state)
{
	struct session_end crowd[CROWD];
	struct rig *r = *state;

	for (int i = 0; i < CROWD; i++)
		deploy_in(r, &crowd[i]);
	assert_int_equal(open_connections(r), CROWD);
	commits = 0;
	all_over(r, crowd);
	assert_int_equal(open_connections(r), 0);
	assert_int_equal(rows(r, "SELECT count(*) FROM events WHERE kind='logout'"), CROWD);
	assert_in_range(commits, 1, 3);
}

static void ends_wait_for_a_full_disk(void **state)
{
	struct session_end crowd[CROWD];
	struct rig *r = *state;

	for (int i = 0; i < CROWD; i++)
		deploy_in(r, &crowd[i]);
	log_init("policy", true, LOG_LVL_ERROR + 1);
	disk_full = true;
	all_over(r, crowd);
	assert_int_equal(open_connections(r), CROWD);
	disk_full = false;
	rig_turn(r);
	assert_int_equal(open_connections(r), 0);
	assert_int_equal(rows(r, "SELECT count(*) FROM events WHERE kind='logout'"), CROWD);
}

/* The memory for them has a bound: the oldest are given up, the newest are written when that goes. */
static void ends_have_a_bound(void **state)
{
	struct rig *r = *state;

	log_init("policy", true, LOG_LVL_ERROR + 1);
	disk_full = true;
	for (int i = 1; i <= 200; i++)
		ends_connection(&r->p, i, "deploy", "closed");
	disk_full = false;
	rig_turn(r);
	assert_int_equal(rows(r, "SELECT count(*) FROM events WHERE kind='logout'"), 128);
	assert_int_equal(rows(r, "SELECT max(json_extract(detail, '$.connection')) FROM events WHERE kind='logout'"), 200);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(crowd_is_overtaken),
		T(ends_share_a_flush),
		T(ends_wait_for_a_full_disk),
		T(ends_have_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
