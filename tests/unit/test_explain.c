/*
 * test_explain.c - explain: which rule decides, of now and of the past; whom it tells nothing.
 */
#include "store_rig.h"

#include "clock.h"
#include "store_sql.h"

/* alice has a grant of one hour for dba@web1, number 1. */
static void open_grant(void)
{
	OK("alice", REQUEST_WEB1);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
}

static const json_t *row_of(size_t i)
{
	const json_t *row = json_object_get(last, "row");

	return row != NULL ? row : json_array_get(json_object_get(last, "rows"), i);
}

static const char *cell(size_t i, const char *key)
{
	const char *text = json_string_value(json_object_get(row_of(i), key));

	return text != NULL ? text : "";
}

static bool rule_says(const char *part)
{
	const json_t *rules = json_object_get(row_of(0), "rules"), *v;
	size_t i;

	json_array_foreach(rules, i, v)
		if (strstr(json_string_value(v), part) != NULL)
			return true;
	return false;
}

#define EXPLAIN(who, more) OK(who, "{\"word\":\"explain\",\"args\":{" more "}}")

static void explain_says_what_decides_and_what_is_missing(void **state)
{
	(void)state;
	EXPLAIN("alice", "\"place\":\"dba@web1\"");
	assert_string_equal(cell(0, "rule"), "dba");
	assert_non_null(strstr(cell(0, "says"), "No grant for dba@web1. Ask: ssh alice@bastion request web1"));
	assert_true(rule_says("role dba: may ask; 1 approval, at most 2h, with a reason"));
	assert_true(rule_says("role twin: does not cover this host"));
	EXPLAIN("alice", "\"place\":\"www@web1\"");
	assert_true(rule_says("role dba has not the login www"));
	EXPLAIN("alice", "\"place\":\"dba@nowhere\"");
	assert_non_null(strstr(cell(0, "says"), "No host nowhere for you here"));
	OK("alice", REQUEST_WEB1);
	EXPLAIN("root", "\"user\":\"alice\",\"place\":\"dba@web1\"");
	assert_non_null(strstr(cell(0, "says"), "waits for approval (0 of 1)"));
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	EXPLAIN("eve", "\"user\":\"alice\",\"place\":\"dba@web1\"");
	assert_true(json_is_true(json_object_get(row_of(0), "allowed")));
	assert_int_equal(json_integer_value(json_object_get(row_of(0), "grant")), 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(row_of(0), "approvers"), 0)), "bob 2027-01-15T08:00:00Z");
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"freeze\",\"deny\":true,\"everyone\":true,\"host\":\"web*\"}}");
	EXPLAIN("alice", "\"place\":\"dba@web1\"");
	assert_string_equal(cell(0, "rule"), "freeze");
	assert_true(rule_says("rule freeze: denies"));
	EXPLAIN("alice", "\"place\":\"dba@db1\"");
	assert_true(rule_says("rule freeze: denies other places than this"));
	/* networks decide where it is known where from */
	OK("root", "{\"word\":\"role remove\",\"args\":{\"role\":\"freeze\"}}");
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"from\":\"192.0.2.0/24\"}}");
	EXPLAIN("root", "\"user\":\"alice\",\"place\":\"dba@web1\"");
	assert_true(json_is_true(json_object_get(row_of(0), "allowed")));
	EXPLAIN("root", "\"user\":\"alice\",\"place\":\"dba@web1\",\"from\":\"10.0.0.1\"");
	assert_non_null(strstr(cell(0, "says"), "holds only from: 192.0.2.0/24"));
	EXPLAIN("alice", "\"place\":\"dba@web1\"");
	assert_non_null(strstr(cell(0, "says"), "You come from 10.0.0.9"));
	/* of others, and of everyone: not for an engineer */
	NO("alice", "denied", "{\"word\":\"explain\",\"args\":{\"user\":\"bob\",\"place\":\"dba@web1\"}}");
	EXPLAIN("alice", "\"place\":\"dba@web1\"");
	assert_non_null(json_object_get(last, "row"));
	NO("root", "usage", "{\"word\":\"explain\",\"args\":{\"place\":\"web1\"}}");
	NO("root", "not_found", "{\"word\":\"explain\",\"args\":{\"user\":\"nobody\",\"place\":\"dba@web1\"}}");
}

/* Rows of history have the machine's time; here they get that of the test. */
static void history_at(const char *table, const char *where, int64_t from, int64_t to)
{
	char sql[400];

	snprintf(sql, sizeof(sql), "DROP TRIGGER %s_fixed; UPDATE %s SET from_at=%lld, to_at=nullif(%lld, 0) WHERE %s; "
	    "CREATE TRIGGER %s_fixed BEFORE UPDATE ON %s WHEN OLD.to_at IS NOT NULL BEGIN SELECT RAISE(ABORT, 'x'); END",
	    table, table, (long long)from, (long long)to, where, table, table);
	assert_int_equal(by_hand(sql), SQLITE_OK);
}

static void the_past_is_answered_as_it_was(void **state)
{
	(void)state;
	open_grant();
	rig.now = NOW + 1000;	/* alice leaves the role, web1 moves and goes, the role is another */
	OK("root", "{\"word\":\"role member remove\",\"args\":{\"role\":\"dba\",\"user\":\"alice\"}}");
	history_at("member_history", "to_at IS NOT NULL", NOW - 500, NOW + 1000);
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"host\":\"db*\",\"max\":60}}");
	history_at("role_history", "name='dba' AND to_at IS NOT NULL", NOW - 500, NOW + 1000);
	history_at("role_history", "name='dba' AND to_at IS NULL", NOW + 1000, 0);
	OK("root", "{\"word\":\"host remove\",\"args\":{\"host\":\"web1\"}}");
	history_at("host_history", "name='web1'", NOW - 500, NOW + 1000);
	OK("root", "{\"word\":\"user lock\",\"args\":{\"user\":\"alice\"}}");
	history_at("user_history", "user_id=1 AND to_at IS NOT NULL", NOW - 500, NOW + 1000);
	history_at("user_history", "user_id=1 AND to_at IS NULL", NOW + 1000, 0);
	rig.now = NOW + 5000;
	EXPLAIN("eve", "\"place\":\"dba@web1\",\"at\":1800000500");
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 1);
	assert_string_equal(cell(0, "user"), "alice");
	assert_true(json_is_true(json_object_get(row_of(0), "allowed")));
	assert_string_equal(cell(0, "rule"), "dba");
	assert_string_equal(json_string_value(json_array_get(json_object_get(row_of(0), "approvers"), 0)), "bob 2027-01-15T08:00:00Z");
	assert_true(rule_says("role dba: may ask; 1 approval, at most 2h"));
	/* before the request: she might have asked */
	EXPLAIN("eve", "\"user\":\"alice\",\"place\":\"dba@web1\",\"at\":1799999900");
	assert_string_equal(cell(0, "says"), "No grant for dba@web1.");
	/* before all that: no such host, nobody */
	EXPLAIN("eve", "\"place\":\"dba@web1\",\"at\":1799999400");
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 0);
	NO("eve", "not_found", "{\"word\":\"explain\",\"args\":{\"user\":\"alice\",\"place\":\"dba@web1\",\"at\":1000}}");
	/* after it */
	EXPLAIN("eve", "\"user\":\"alice\",\"place\":\"dba@db1\",\"at\":1800002000");
	assert_non_null(strstr(cell(0, "says"), "alice is locked"));
	EXPLAIN("eve", "\"place\":\"dba@web1\",\"at\":1800002000");
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 0);
	NO("eve", "usage", "{\"word\":\"explain\",\"args\":{\"place\":\"dba@web1\",\"at\":1900000000}}");
}

/* Who has left since is just whom this is asked about. */
static void who_has_left_is_answered_about(void **state)
{
	(void)state;
	open_grant();
	rig.now = NOW + 1000;
	OK("root", "{\"word\":\"user remove\",\"args\":{\"user\":\"alice\"}}");
	history_at("member_history", "user_id=1", NOW - 500, NOW + 1000);
	history_at("role_history", "name='dba'", NOW - 500, 0);
	history_at("host_history", "name='web1'", NOW - 500, 0);
	history_at("user_history", "user_id=1 AND to_at IS NOT NULL", NOW - 500, NOW + 1000);
	history_at("user_history", "user_id=1 AND to_at IS NULL", NOW + 1000, 0);
	rig.now = NOW + 5000;
	EXPLAIN("eve", "\"user\":\"alice\",\"place\":\"dba@web1\",\"at\":1800000500");
	assert_true(json_is_true(json_object_get(row_of(0), "allowed")));
	assert_string_equal(cell(0, "user"), "alice");
	EXPLAIN("eve", "\"user\":\"alice\",\"place\":\"dba@web1\",\"at\":1800002000");
	assert_non_null(strstr(cell(0, "says"), "alice is removed"));
	NO("eve", "not_found", "{\"word\":\"explain\",\"args\":{\"user\":\"alice\",\"place\":\"dba@web1\",\"at\":1000}}");
	NO("eve", "not_found", "{\"word\":\"explain\",\"args\":{\"user\":\"nobody\",\"place\":\"dba@web1\",\"at\":1800000500}}");
	/* of now there is no such user */
	NO("eve", "not_found", "{\"word\":\"explain\",\"args\":{\"user\":\"alice\",\"place\":\"dba@web1\"}}");
}

/* Nor is there anything to be asked for then: what no role of now reaches is no word about the past. */
static void the_past_gives_no_advice(void **state)
{
	(void)state;
	open_grant();
	rig.now = NOW + 1000;
	OK("root", "{\"word\":\"role member remove\",\"args\":{\"role\":\"dba\",\"user\":\"alice\"}}");
	rig.now = NOW + 5000;
	EXPLAIN("eve", "\"user\":\"alice\",\"place\":\"dba@web1\"");
	assert_non_null(strstr(cell(0, "says"), "No role of yours reaches it now. What you may ask for: ssh"));
	EXPLAIN("eve", "\"user\":\"alice\",\"place\":\"dba@web1\",\"at\":1800002000");
	assert_non_null(strstr(cell(0, "says"), "Grant 1 for dba@web1 was revoked by root"));
	assert_null(strstr(cell(0, "says"), "No role of yours"));
	assert_null(strstr(cell(0, "says"), "ssh"));
}

/* Who has no role there hears the same of a host that there is and of one that there is not. */
static void explain_is_no_list_of_hosts(void **state)
{
	static const char *const places[] = { "dba@db1", "dba@nowhere" };
	char said[2][300], json[200];

	(void)state;
	OK("root", "{\"word\":\"role member remove\",\"args\":{\"role\":\"twin\",\"user\":\"alice\"}}");
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"freeze\",\"deny\":true,\"everyone\":true,\"host\":\"db*\"}}");
	for (size_t at = 0; at < 2; at++) {
		for (size_t i = 0; i < 2; i++) {
			snprintf(json, sizeof(json), "{\"word\":\"explain\",\"args\":{\"place\":\"%s\"%s}}", places[i],
			    at == 1 ? ",\"at\":1799999999" : "");
			OK("alice", json);
			snprintf(said[i], sizeof(said[i]), "%s", cell(0, "says"));
			assert_int_equal(json_array_size(json_object_get(row_of(0), "rules")), 0);
			assert_string_equal(cell(0, "rule"), "");
		}
		assert_non_null(strstr(said[0], "No host db1 for you here"));
		assert_non_null(strstr(said[1], "No host nowhere for you here"));
	}
	/* an administrator is told all of it, also of her */
	EXPLAIN("adam", "\"user\":\"alice\",\"place\":\"dba@db1\"");
	assert_true(rule_says("rule freeze: denies"));
}

/* Of what the clock of a place showed more than two years ago nothing is known, and nothing is said. */
static void an_hour_that_nobody_knows_is_no_answer(void **state)
{
	const int64_t old = clock_wall() - 3 * 366 * 86400;
	char json[200];

	(void)state;
	rig.now = old;
	open_grant();
	rig.now = NOW;
	history_at("role_history", "name='dba'", 1000, 0);
	history_at("member_history", "1=1", 1000, 0);
	history_at("host_history", "name='web1'", 1000, 0);
	history_at("user_history", "1=1", 1000, 0);
	snprintf(json, sizeof(json), "{\"word\":\"explain\",\"args\":{\"user\":\"alice\",\"place\":\"dba@web1\",\"at\":%lld}}", (long long)old + 60);
	OK("eve", json);
	assert_true(json_is_true(json_object_get(row_of(0), "allowed")));
	/* the hours of the grant's role */
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"hours\":\"mon-sun 00:00-24:00 Europe/Berlin\"}}");
	history_at("role_history", "name='dba' AND to_at IS NOT NULL", 10, 20);
	history_at("role_history", "name='dba' AND to_at IS NULL", 1000, 0);
	OK("eve", json);
	assert_null(json_object_get(row_of(0), "allowed"));
	assert_string_equal(cell(0, "says"), "Not known: what the clock of the hours of rule dba showed then.");
	/* those of a rule that denies */
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"clear\":\"hours\"}}");
	history_at("role_history", "name='dba' AND to_at IS NOT NULL", 10, 20);
	history_at("role_history", "name='dba' AND to_at IS NULL", 1000, 0);
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"night\",\"deny\":true,\"everyone\":true,\"host\":\"web*\","
		   "\"hours\":\"mon-sun 22:00-06:00 Europe/Berlin\"}}");
	history_at("role_history", "name='night'", 1000, 0);
	OK("eve", json);
	assert_null(json_object_get(row_of(0), "allowed"));
	assert_true(rule_says("rule night: may have denied"));
	snprintf(json, sizeof(json), "{\"word\":\"explain\",\"args\":{\"place\":\"dba@web1\",\"at\":%lld}}", (long long)old + 60);
	OK("eve", json); /* everybody: she is not left out */
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 1);
}

/* A grant for one login admitted it, and nobody after it. */
static void the_past_counts_logins(void **state)
{
	struct connection c = { .user_id = 1, .device_id = 1, .peer = "10.0.0.9" };
	struct way_row w = { .ticket_id = 1, .host_id = 1, .login = "dba", .target = "x:22" };

	(void)state;
	OK("alice", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":3600,\"reason\":\"x\",\"logins\":1}}");
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	assert_int_equal(store_connection_start(rig.s, &c, NOW + 100), 0);
	w.connection_id = c.id;
	assert_int_equal(store_way_start(rig.s, &w, "alice", NOW + 100), 0);
	rig.now = NOW + 1000;
	EXPLAIN("eve", "\"user\":\"alice\",\"place\":\"dba@web1\",\"at\":1800000099");
	assert_true(json_is_true(json_object_get(row_of(0), "allowed")));
	EXPLAIN("eve", "\"user\":\"alice\",\"place\":\"dba@web1\",\"at\":1800000100");
	assert_true(json_is_false(json_object_get(row_of(0), "allowed")));
	assert_non_null(strstr(cell(0, "says"), "was for 1 login, which it had"));
}

/* The clock was set back by an hour: what runs began an hour earlier by it, and its second approval came before its first. */
static void the_past_of_a_clock_set_back(void **state)
{
	(void)state;
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"approvals\":2}}");
	OK("root", "{\"word\":\"role approver add\",\"args\":{\"role\":\"dba\",\"user\":\"carol\"}}");
	rig.now = NOW + 7200;
	OK("alice", REQUEST_WEB1);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	rig.now = NOW + 3660;
	OK("carol", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	history_at("role_history", "name='dba'", NOW - 500, 0);
	rig.now = NOW + 6000;
	EXPLAIN("eve", "\"user\":\"alice\",\"place\":\"dba@web1\",\"at\":1800005000");
	assert_true(json_is_true(json_object_get(row_of(0), "allowed")));
	assert_int_equal(json_array_size(json_object_get(row_of(0), "approvers")), 2);
	EXPLAIN("eve", "\"place\":\"dba@web1\",\"at\":1800005000");
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 1);
	assert_true(json_is_true(json_object_get(row_of(0), "allowed")));
	/* and once more, with the grant running */
	assert_int_equal(by_hand("UPDATE grants SET moved=3600"), SQLITE_OK);
	rig.now = NOW + 3000;
	EXPLAIN("eve", "\"user\":\"alice\",\"place\":\"dba@web1\"");
	assert_true(json_is_true(json_object_get(row_of(0), "allowed")));
	EXPLAIN("eve", "\"user\":\"alice\",\"place\":\"dba@web1\",\"at\":1800002000");
	assert_true(json_is_true(json_object_get(row_of(0), "allowed")));
	assert_int_equal(json_integer_value(json_object_get(row_of(0), "until")), NOW + 3660);
	OK("eve", "{\"word\":\"report access\"}");
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 1);
	assert_int_equal(json_integer_value(json_object_get(row_of(0), "start")), NOW + 60);
	assert_int_equal(json_integer_value(json_object_get(row_of(0), "ended")), NOW + 3660);
	EXPLAIN("eve", "\"user\":\"alice\",\"place\":\"dba@web1\",\"at\":1800000059");
	assert_true(json_is_false(json_object_get(row_of(0), "allowed")));
}

/* So did one for whom a way that was open already came to rest on it. */
static void the_past_counts_further_logins(void **state)
{
	struct connection c = { .user_id = 1, .device_id = 1, .peer = "10.0.0.9" };
	struct way_row w = { .ticket_id = 1, .host_id = 1, .login = "dba", .target = "x:22" };

	(void)state;
	OK("alice", REQUEST_WEB1);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	OK("alice", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":7200,\"reason\":\"x\",\"logins\":1}}");
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":2}}");
	assert_int_equal(store_connection_start(rig.s, &c, NOW + 10), 0);
	w.connection_id = c.id;
	assert_int_equal(store_way_start(rig.s, &w, "alice", NOW + 10), 0);
	assert_int_equal(store_grant_use(rig.s, 2, w.id, "alice", NOW + 3700), 0);
	assert_int_equal(store_grant_use(rig.s, 2, w.id, "alice", NOW + 3701), -1);
	rig.now = NOW + 4000;
	EXPLAIN("eve", "\"user\":\"alice\",\"place\":\"dba@web1\",\"at\":1800003699");
	assert_true(json_is_true(json_object_get(row_of(0), "allowed")));
	EXPLAIN("eve", "\"user\":\"alice\",\"place\":\"dba@web1\",\"at\":1800003700");
	assert_true(json_is_false(json_object_get(row_of(0), "allowed")));
	assert_non_null(strstr(cell(0, "says"), "was for 1 login, which it had"));
}

/* --- everybody, of many --- */

#define CROWD 2000
#define STEPS_MAX 4000000	/* of the database's machine, in one answer; before there was an order to it, ten times as many */

static uint64_t steps;

static int count(void *arg)
{
	(void)arg;
	steps += 100;
	return 0;
}

/* Two thousand users, all in the role dba, with ten old grants each; one of them has one that runs. */
static void crowd(void)
{
	assert_int_equal(by_hand("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i<1999) INSERT INTO users (id, name, person, kind, "
		"state, admin, auditor, networks, added) SELECT 1000+i, 'u'||i, 'u'||i, 'human', 'active', 0, 0, '', 1 FROM n;"
		"INSERT INTO role_users SELECT (SELECT id FROM roles WHERE name='dba'), id, 'm' FROM users WHERE id>=1000;"), SQLITE_OK);
	assert_int_equal(by_hand("BEGIN; WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i<19999) INSERT INTO requests (state, user_id, "
		"host_id, role_id, login, caps, duration, needed, reason, ref, asked_at, lapse_at) SELECT 'pending', 1000+i%2000, (SELECT id FROM hosts "
		"WHERE name='web1'), (SELECT id FROM roles WHERE name='dba'), 'dba', 1, 60, 0, 'x', '', 1700000000, 1700000100 FROM n;"
		"UPDATE requests SET state='approved'; INSERT INTO grants (id, start_at, end_at) SELECT id, 1700000000, 1700000060 FROM requests;"
		"UPDATE requests SET state='ended'; COMMIT;"), SQLITE_OK);
	OK("u1234", REQUEST_WEB1);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":20001}}");
}

static void everybody_is_told_page_by_page(void **state)
{
	uint64_t most = 0;
	size_t seen = 0, pages = 0, allowed = 0;
	json_int_t after = 0, was = 0;
	char json[160];

	(void)state;
	crowd();
	sqlite3_progress_handler(rig.s->db, 100, count, NULL);
	do {
		snprintf(json, sizeof(json), "{\"word\":\"explain\",\"args\":{\"place\":\"dba@web1\",\"at\":%lld%s%.0lld}}", NOW, after > 0 ? ",\"after\":" : "",
		    (long long)after);
		steps = 0;
		OK("eve", json);
		if (steps > most)
			most = steps;
		was = after;
		for (size_t i = 0; i < json_array_size(json_object_get(last, "rows")); i++) {
			const json_int_t id = id_of(cell(i, "user"));

			assert_true(id > was); /* in the order of their numbers: nobody twice */
			was = id;
			seen++;
			if (json_is_true(json_object_get(row_of(i), "allowed"))) {
				assert_string_equal(cell(i, "user"), "u1234");
				allowed++;
			}
		}
		was = after;
		after = json_integer_value(json_object_get(last, "next"));
		assert_true(after == 0 || after > was);
	} while (after != 0 && ++pages < 50);
	sqlite3_progress_handler(rig.s->db, 0, NULL, NULL);
	assert_int_equal(seen, CROWD + 1); /* and alice */
	assert_int_equal(allowed, 1);
	assert_int_equal(pages, CROWD / 200);
	if (most > STEPS_MAX)
		fail_msg("%llu steps for one answer", (unsigned long long)most);
}

/* As many rows as were asked for; where they are the last nothing is said of more. Of one user there are no pages. */
static void a_page_is_as_long_as_asked_for(void **state)
{
	json_int_t next;
	char json[160];

	(void)state;
	for (int i = 0; i < 3; i++) {
		snprintf(json, sizeof(json), "{\"word\":\"user add\",\"args\":{\"user\":\"u%d\"}}", i);
		OK("root", json);
		snprintf(json, sizeof(json), "{\"word\":\"role member add\",\"args\":{\"role\":\"dba\",\"user\":\"u%d\"}}", i);
		OK("root", json);
	}
	EXPLAIN("eve", "\"place\":\"dba@web1\",\"limit\":3");
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 3);
	assert_string_equal(cell(2, "user"), "u1");
	next = json_integer_value(json_object_get(last, "next"));
	assert_int_equal(next, id_of("u1"));
	snprintf(json, sizeof(json), "{\"word\":\"explain\",\"args\":{\"place\":\"dba@web1\",\"limit\":1,\"after\":%lld}}", (long long)next);
	OK("eve", json);
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 1);
	assert_string_equal(cell(0, "user"), "u2");
	assert_null(json_object_get(last, "next"));
	EXPLAIN("eve", "\"place\":\"dba@nowhere\"");
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 0);
	assert_null(json_object_get(last, "next"));
	NO("eve", "usage", "{\"word\":\"explain\",\"args\":{\"user\":\"alice\",\"place\":\"dba@web1\",\"limit\":3}}");
	NO("alice", "usage", "{\"word\":\"explain\",\"args\":{\"place\":\"dba@web1\",\"after\":3}}");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup_world, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(explain_says_what_decides_and_what_is_missing), T(explain_is_no_list_of_hosts), T(the_past_is_answered_as_it_was),
		T(who_has_left_is_answered_about),
		T(an_hour_that_nobody_knows_is_no_answer), T(the_past_counts_logins), T(the_past_counts_further_logins), T(the_past_of_a_clock_set_back), T(the_past_gives_no_advice),
		T(everybody_is_told_page_by_page), T(a_page_is_as_long_as_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
