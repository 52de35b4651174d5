/*
 * test_people.c - `user leave` and `user move`: everything of a person ends, in one change, and is named.
 */
#include "store_rig.h"

/* Rows of the last reply with this account (NULL: any), what and state. */
static int ended(const char *account, const char *what, const char *state)
{
	json_t *rows = json_object_get(last, "rows");
	int n = 0;

	for (size_t i = 0; i < json_array_size(rows); i++) {
		json_t *row = json_array_get(rows, i);

		n += (account == NULL || strcmp(json_string_value(json_object_get(row, "account")), account) == 0) &&
		    strcmp(json_string_value(json_object_get(row, "what")), what) == 0 &&
		    strcmp(json_string_value(json_object_get(row, "state")), state) == 0;
	}
	return n;
}

static int64_t count(const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	int64_t n = -1;

	assert_int_equal(sqlite3_open_v2(rig.path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	if (sqlite3_step(st) == SQLITE_ROW)
		n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

static const uint8_t secret[TOTP_SECRET_LEN] = "12345678901234567890";

/* alice and her second account alice2, with something of each kind; deploy has a request and a grant that she asked for. */
static int setup_departure(void **state)
{
	int64_t alice;
	struct connection c = { .peer = "10.0.0.9" };

	setup_world(state);
	OK("root", "{\"word\":\"user add\",\"args\":{\"user\":\"alice2\",\"person\":\"ALICE\",\"admin\":true,\"auditor\":true}}");
	OK("root", "{\"word\":\"role approver add\",\"args\":{\"role\":\"dba\",\"user\":\"alice2\"}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"dba\",\"user\":\"deploy\"}}");
	OK("alice", REQUEST_WEB1);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	OK("alice", REQUEST_DB1);
	for (int i = 0; i < 2; i++) {
		OK("alice2", "{\"word\":\"request\",\"args\":{\"user\":\"deploy\",\"host\":\"web1\",\"login\":\"dba\",\"for\":3600,\"reason\":\"x\"}}");
		if (i == 0)
			OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":3}}");
	}
	alice = c.user_id = id_of("alice");
	c.device_id = 1;
	assert_int_equal(store_connection_start(rig.s, &c, NOW), 0);
	assert_int_equal(store_totp_enrol(rig.s, alice, secret, NOW), 0);
	assert_int_equal(store_totp_confirm(rig.s, alice, 1, 0, NOW), 0);
	return 0;
}

static void all_of_a_person_ends(void **state)
{
	(void)state;
	OK("adam", "{\"word\":\"user leave\",\"args\":{\"user\":\"alice\",\"reason\":\"retired\"}}");
	assert_int_equal(ended("alice", "session", "ended"), 1);
	assert_int_equal(ended("alice", "grant", "revoked"), 1);
	assert_int_equal(ended("alice", "request", "cancelled"), 1);
	assert_int_equal(ended("alice", "role", "removed"), 2);
	assert_int_equal(ended("alice", "device", "revoked"), 1);
	assert_int_equal(ended("alice", "codes", "removed"), 1);
	assert_int_equal(ended("alice", "account", "removed"), 1);
	assert_int_equal(ended("alice2", "approver", "removed"), 1);
	assert_int_equal(ended("alice2", "right", "removed"), 2);
	assert_int_equal(ended("alice2", "account", "removed"), 1);
	assert_int_equal(ended("alice2", "request", "cancelled"), 1);
	assert_int_equal(ended("alice2", "grant", "kept"), 1);
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 14);
	assert_int_equal(events_of("user.leave"), 2);
	assert_int_equal(events_of("key.revoke"), 1);
	assert_int_equal(events_of("member.remove"), 2);
	assert_int_equal(events_of("approver.remove"), 1);
	assert_int_equal(events_of("totp.reset"), 1);
	assert_int_equal(events_of("grant.revoke"), 1);
	assert_int_equal(events_of("request.cancel"), 2);
	assert_int_equal(count("SELECT count(*) FROM users WHERE person='Alice' AND (state<>'removed' OR admin OR auditor OR uid)"), 0);
	assert_int_equal(count("SELECT count(*) FROM devices WHERE revoked IS NULL AND user_id IN (SELECT id FROM users WHERE person='Alice')"), 0);
	assert_int_equal(count("SELECT count(*) FROM totp"), 0);
	assert_int_equal(count("SELECT count(*) FROM requests WHERE state IN ('pending','approved','active')"), 1); /* deploy's */
	/* who is connected hears it: both accounts, and the grant */
	assert_int_equal(rig.nended, 3);
	NO("adam", "not_found", "{\"word\":\"user leave\",\"args\":{\"person\":\"Alice\"}}");
}

static void who_moves_keeps_the_account_and_nothing_else(void **state)
{
	(void)state;
	OK("root", "{\"word\":\"user move\",\"args\":{\"person\":\"alice\"}}");
	assert_int_equal(ended(NULL, "account", "removed"), 0);
	assert_int_equal(ended("alice", "device", "revoked"), 1);
	assert_int_equal(events_of("user.move"), 2);
	assert_int_equal(count("SELECT count(*) FROM users WHERE person='Alice' AND state='active' AND NOT admin AND NOT auditor"), 2);
	assert_int_equal(count("SELECT count(*) FROM role_users WHERE user_id IN (SELECT id FROM users WHERE person='Alice')"), 0);
	assert_int_equal(count("SELECT count(*) FROM devices WHERE revoked IS NULL"), 0);
	assert_int_equal(count("SELECT count(*) FROM totp"), 0);
	NO("alice", "not_found", REQUEST_WEB1);
}

static void devices_may_be_kept(void **state)
{
	(void)state;
	OK("root", "{\"word\":\"user move\",\"args\":{\"user\":\"alice2\",\"keep_devices\":true}}");
	assert_int_equal(ended(NULL, "device", "revoked"), 0);
	assert_int_equal(ended(NULL, "codes", "removed"), 0);
	assert_int_equal(ended("alice", "role", "removed"), 2);
	assert_int_equal(count("SELECT count(*) FROM devices WHERE revoked IS NULL"), 1);
	assert_int_equal(count("SELECT count(*) FROM totp"), 1);
}

static void one_name_or_one_person(void **state)
{
	(void)state;
	NO("root", "usage", "{\"word\":\"user leave\",\"args\":{}}");
	NO("root", "usage", "{\"word\":\"user leave\",\"args\":{\"user\":\"alice\",\"person\":\"Alice\"}}");
	NO("root", "not_found", "{\"word\":\"user leave\",\"args\":{\"person\":\"Alice Liddell\"}}");
	NO("alice", "denied", "{\"word\":\"user leave\",\"args\":{\"user\":\"alice\"}}");
	assert_int_equal(rig.nended, 0);
}

/* A step in the middle fails: nothing of it is done, and nobody is disconnected. */
static void half_a_departure_is_none(void **state)
{
	(void)state;
	assert_int_equal(by_hand("CREATE TRIGGER no BEFORE DELETE ON totp BEGIN SELECT RAISE(ABORT, 'no'); END"), SQLITE_OK);
	NO("root", "broken", "{\"word\":\"user leave\",\"args\":{\"user\":\"alice\"}}");
	assert_int_equal(by_hand("DROP TRIGGER no"), SQLITE_OK);
	assert_int_equal(rig.nended, 0);
	assert_int_equal(events_of("user.leave") + events_of("key.revoke") + events_of("grant.revoke"), 0);
	assert_int_equal(count("SELECT count(*) FROM users WHERE state='removed'"), 0);
	assert_int_equal(count("SELECT count(*) FROM devices WHERE revoked IS NULL"), 1);
	assert_int_equal(count("SELECT count(*) FROM role_users"), 7);
	OK("root", "{\"word\":\"user leave\",\"args\":{\"user\":\"alice\"}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_of_a_person_ends, setup_departure, teardown),
		cmocka_unit_test_setup_teardown(who_moves_keeps_the_account_and_nothing_else, setup_departure, teardown),
		cmocka_unit_test_setup_teardown(devices_may_be_kept, setup_departure, teardown),
		cmocka_unit_test_setup_teardown(one_name_or_one_person, setup_departure, teardown),
		cmocka_unit_test_setup_teardown(half_a_departure_is_none, setup_departure, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
