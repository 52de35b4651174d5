/*
 * test_crowd_words.c - what one user has open, has had, and asks for in one word costs the others no time: bounds, a budget, and statements
 * that find what they look for by an index.
 */
#include "store_rig.h"

#include <time.h>

#include "refusals.h"
#include "store_sql.h"

#define MANY 10000		/* open tickets, and five times as many that are over */
#ifdef __SANITIZE_ADDRESS__
#define SOON_US 20000000	/* its allocator fills all that SQLite takes and gives back: of time it says little */
#else
#define SOON_US 500000		/* of a processor: what others do meanwhile does not count */
#endif

static const char *error_has(const char *text)
{
	return strstr(field("error"), text);
}

/* A role whose requests grant themselves, for everything. */
static void free_role(void)
{
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"free\",\"host\":\"*\",\"login\":[\"dba\",\"www\",\"x\"],\"approvals\":0,\"break_glass\":true,\"max\":86400}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"free\",\"user\":\"carol\"}}");
}

#define WWW(more) "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"www\",\"for\":60,\"reason\":\"x\"" more "}}"

static void a_host_is_named_once(void **state)
{
	(void)state;
	free_role();
	NO("carol", "usage", WWW(",\"also\":[\"db1\",\"WEB1\"]"));
	assert_non_null(error_has("WEB1 is named twice"));
	NO("carol", "usage", WWW(",\"also\":\"web1\""));
	OK("carol", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":60,\"reason\":\"x\",\"also\":[\"db1\"]}}");
}

static void what_is_open_is_bounded(void **state)
{
	(void)state;
	free_role();
	for (int i = 0; i < STORE_PLACE_MAX; i++)
		OK("carol", WWW(""));
	NO("carol", "refused", WWW(""));
	assert_non_null(error_has("64 grants for this login on this host"));
	for (int i = 0; i < STORE_GLASS_MAX; i++)
		OK("carol", "{\"word\":\"request\",\"args\":{\"host\":\"db1\",\"login\":\"dba\",\"reason\":\"x\",\"break_glass\":true}}");
	NO("carol", "refused", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"reason\":\"x\",\"break_glass\":true}}");
	assert_non_null(error_has("64 break-glass grants"));
	OK("carol", "{\"word\":\"cancel\",\"args\":{\"id\":1}}");
	OK("carol", WWW(""));
	/* what is over counts no more */
	rig.now += 3601;
	while (control_tick(&rig.c, rig.now) <= rig.now)
		;
	OK("carol", WWW(""));
}

/* Requests of this user, from number `from` on: granted without a verdict, then over. */
static void seed(const char *user, int from, int n, bool over)
{
	char text[1600];

	snprintf(text, sizeof(text),
	    "BEGIN; WITH RECURSIVE c(i) AS (SELECT %d UNION ALL SELECT i+1 FROM c WHERE i<%d) INSERT INTO requests (id, state, user_id, by_id, host_id, "
	    "role_id, login, caps, duration, needed, reason, ref, asked_at, lapse_at) SELECT i, 'pending', u.id, u.id, h.id, o.id, 'l' || (i %% 200), 1, "
	    "36000, 0, 'x', 'OPS-7', %lld, %lld FROM c, users u, hosts h, roles o WHERE u.name='%s' AND h.name='web1' AND o.name='free';"
	    "UPDATE requests SET state='approved' WHERE id BETWEEN %d AND %d;"
	    "INSERT INTO grants (id, start_at, end_at) SELECT id, %lld, %lld FROM requests WHERE id BETWEEN %d AND %d; COMMIT", from, from + n - 1, NOW - 10, NOW + 86400,
	    user, from, from + n - 1, NOW - 10, NOW - 10 + 36000, from, from + n - 1);
	assert_int_equal(by_hand(text), SQLITE_OK);
	if (over) {
		snprintf(text, sizeof(text), "UPDATE requests SET state='revoked', closed_at=%lld WHERE id BETWEEN %d AND %d;"
		    "UPDATE grants SET ended_at=%lld WHERE id BETWEEN %d AND %d;", NOW - 5, from, from + n - 1, NOW - 5, from, from + n - 1);
		assert_int_equal(by_hand(text), SQLITE_OK);
	}
}

/* Every word that everybody may say, with its answer. */
static const char *const everybody[] = {
	"{\"word\":\"hosts\",\"args\":{}}",
	"{\"word\":\"requests\",\"args\":{}}", "{\"word\":\"requests\",\"args\":{\"all\":true}}",
	"{\"word\":\"requests\",\"args\":{\"all\":true,\"after\":3,\"limit\":5}}", "{\"word\":\"requests\",\"args\":{\"after\":3}}",
	"{\"word\":\"grants\",\"args\":{}}", "{\"word\":\"grants\",\"args\":{\"all\":true}}",
	"{\"word\":\"grants\",\"args\":{\"all\":true,\"after\":3,\"limit\":5}}", "{\"word\":\"grants\",\"args\":{\"after\":3}}",
	"{\"word\":\"sessions\",\"args\":{}}", "{\"word\":\"sessions\",\"args\":{\"all\":true}}",
	"{\"word\":\"sessions\",\"args\":{\"all\":true,\"after\":3,\"limit\":5}}", "{\"word\":\"sessions\",\"args\":{\"after\":3}}",
	"{\"word\":\"reviews\",\"args\":{}}", "{\"word\":\"reviews\",\"args\":{\"after\":3}}", "{\"word\":\"config\",\"args\":{}}",
	"{\"word\":\"explain\",\"args\":{\"place\":\"www@web1\"}}", "{\"word\":\"wait\",\"args\":{}}",
	"{\"word\":\"wait\",\"args\":{\"host\":\"web1\",\"login\":\"www\"}}", "{\"word\":\"user show\",\"args\":{}}", "{\"word\":\"device list\",\"args\":{}}",
	"{\"word\":\"kill\",\"args\":{\"id\":4}}", "{\"word\":\"cancel\",\"args\":{\"id\":1}}", "{\"word\":\"approve\",\"args\":{\"id\":1}}",
	WWW(""), WWW(",\"also\":\"db1\""), "{\"word\":\"extend\",\"args\":{\"id\":2,\"for\":60,\"reason\":\"x\"}}", "{\"word\":\"revoke\",\"args\":{\"id\":2}}",
	"{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"reason\":\"x\",\"break_glass\":true}}",
};

static int64_t cpu_us(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts), 0);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t us_of(const char *who, const char *word)
{
	int64_t at = cpu_us();

	code(who, word);
	control_tick(&rig.c, rig.now);
	return cpu_us() - at;
}

static void nobodys_many_cost_time(void **state)
{
	static const char *const who[] = { "carol", "bob", "alice" };
	struct access_answer a;
	struct host h;
	int64_t at;

	(void)state;
	free_role();
	seed("carol", 1, MANY, false);
	seed("carol", MANY + 1, 5 * MANY, true);
	for (size_t i = 0; i < sizeof(everybody) / sizeof(everybody[0]); i++)
		for (size_t k = 0; k < 3; k++) {
			int64_t us = us_of(who[k], everybody[i]);

			if (us > SOON_US)
				fail_msg("%s: %s: %lld us", who[k], everybody[i], (long long)us);
		}
	at = cpu_us();
	control_way(&rig.c, id_of("carol"), "10.0.0.9", "web1", "l3", NULL, &a, &h);
	assert_int_equal(a.refusal, 0);
	assert_true(cpu_us() - at < SOON_US);
	/* all of it is over at once */
	rig.now += 36000;
	at = cpu_us();
	assert_true(control_tick(&rig.c, rig.now) == rig.now);
	assert_true(cpu_us() - at < SOON_US);
}

/* Does the step of this statement's plan go through all rows of a table that grows for ever? An index of what is open is none of these. */
static bool is_scan(const char *step, const char *statement)
{
	static const char *const grows[][2] = { { "r", "requests r" }, { "q", "requests q" }, { "requests", "requests" }, { "g", "grants g" },
		{ "grants", "grants" }, { "c", "connections c" }, { "k", "connections k" }, { "w", "ways w" }, { "v", "verdicts v" }, { "e", "events e" } };
	char word[64];

	for (size_t i = 0; i < sizeof(grows) / sizeof(grows[0]); i++) {
		size_t n = (size_t)snprintf(word, sizeof(word), "SCAN %s", grows[i][0]);

		if (strncmp(step, word, n) == 0 && (step[n] == '\0' || step[n] == ' ') && strstr(statement, grows[i][1]) != NULL &&
		    strstr(step, "_open") == NULL && strstr(step, "requests_glass") == NULL)
			return true;
	}
	return false;
}

/* What the statements that were run since the database was opened do: each finds its rows by an index. */
static void statements_find_by_index(void **state)
{
	char err[STORE_ERR_MAX], text[9000];
	size_t seen = 0;

	(void)state;
	free_role();
	store_close(rig.s);
	rig.s = rig.c.store = store_open(rig.path, err);
	assert_non_null(rig.s);
	rig_seal(rig.s);
	while (rig.s->cached > 0)	/* what the opening asks is asked once */
		sqlite3_finalize(rig.s->cache[--rig.s->cached].st);
	for (size_t i = 0; i < sizeof(everybody) / sizeof(everybody[0]); i++) {
		code("carol", everybody[i]);
		control_tick(&rig.c, rig.now);
	}
	for (size_t i = 0; i < rig.s->cached; i++) {
		sqlite3_stmt *plan = NULL;

		assert_true((size_t)snprintf(text, sizeof(text), "EXPLAIN QUERY PLAN %s", rig.s->cache[i].text) < sizeof(text));
		assert_int_equal(sqlite3_prepare_v2(rig.s->db, text, -1, &plan, NULL), SQLITE_OK);
		while (sqlite3_step(plan) == SQLITE_ROW)
			if (is_scan((const char *)sqlite3_column_text(plan, 3), rig.s->cache[i].text))
				fail_msg("%s: %s", sqlite3_column_text(plan, 3), rig.s->cache[i].text);
		sqlite3_finalize(plan);
		seen += strstr(rig.s->cache[i].text, "requests") != NULL;
	}
	assert_true(seen > 20);
}

static void writing_has_a_budget(void **state)
{
	char json[400];
	int n = 0;

	(void)state;
	free_role();
	/* request and cancel, for ever: what ends something costs nothing */
	while (n < WRITES_BURST && strcmp(code("carol", WWW("")), "") == 0) {
		snprintf(json, sizeof(json), "{\"word\":\"cancel\",\"args\":{\"id\":%d}}", ++n);
		if (n < WRITES_BURST)
			OK("carol", json);
	}
	assert_int_equal(n, WRITES_BURST);
	NO("carol", "refused", WWW(""));
	assert_non_null(error_has("than one user may have written"));
	OK("carol", json);
	OK("carol", "{\"word\":\"requests\",\"args\":{}}");
	OK("alice", REQUEST_WEB1);
	rig.now += REFUSALS_EVERY;
	OK("carol", WWW(""));
	NO("carol", "refused", WWW(""));
	/* each host counts */
	rig.now += REFUSALS_EVERY;
	NO("carol", "refused", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":60,\"reason\":\"x\",\"also\":\"db1\"}}");
	OK("root", "{\"word\":\"user lock\",\"args\":{\"user\":\"carol\",\"reason\":\"x\"}}");
}

/* One that is new takes the place of one that was not used for a while: nothing that is to end waits for a restart. */
static void more_statements_than_are_kept(void **state)
{
	static char texts[SQL_CACHE + 20][24];
	int64_t n;

	(void)state;
	for (int i = 0; i < SQL_CACHE + 20; i++) {
		snprintf(texts[i], sizeof(texts[i]), "SELECT %d", i);
		assert_int_equal(sql_int(rig.s, &n, texts[i], ""), 1);
		assert_int_equal(n, i);
	}
	assert_int_equal(rig.s->cached, SQL_CACHE);
	OK("alice", REQUEST_WEB1);
	OK("root", "{\"word\":\"user lock\",\"args\":{\"user\":\"alice\",\"reason\":\"x\"}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_host_is_named_once, setup_world, teardown),
		cmocka_unit_test_setup_teardown(what_is_open_is_bounded, setup_world, teardown),
		cmocka_unit_test_setup_teardown(nobodys_many_cost_time, setup_world, teardown),
		cmocka_unit_test_setup_teardown(statements_find_by_index, setup_world, teardown),
		cmocka_unit_test_setup_teardown(writing_has_a_budget, setup_world, teardown),
		cmocka_unit_test_setup_teardown(more_statements_than_are_kept, setup_world, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
