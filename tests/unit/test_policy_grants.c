/*
 * test_policy_grants.c - what a way rests on, on a whole policy role: grants for a number of logins, those that it joins, those under which
 * it goes on, and rules whose hours come.
 */
#include "policy_rig_grant.h"

#include <sqlite3.h>

#include <time.h>

#include "grant_note.h"

static struct way *first_way(struct rig *r, const struct session_end *s)
{
	return peer_of(r, s)->ways[0];
}

/* --- grants for a number of logins --- */

static uint32_t uses_of(struct rig *r, int64_t id)
{
	struct ticket t;

	assert_int_equal(store_ticket(r->p.store, id, &t), 1);
	return t.uses;
}

/* The way of this number is asked for again, and given under this grant. */
static void way_again(struct rig *r, struct session_end *s, uint32_t id, int64_t grant)
{
	way_ask(s, id, "web1", "dba");
	dial_ok(r);
	sign(r, grant, clock_wall() + 3600);
	expect_ok(r, s, id, grant, "CERT", 1);
}

static void one_login_is_one_way_and_its_channels(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t grant = grant_of(r, (struct ticket){ .needed = 1, .logins = 1 });

	way_open_on(r, &s, grant, 3600);
	channel(r, &s, "shell", 1);
	channel(r, &s, "exec", 1);
	channel(r, &s, "sftp", 0);
	assert_int_equal(uses_of(r, grant), 1);
	way_ask(&s, 2, "web1", "dba");
	expect_no(r, &s, 2, WAY_EXPIRED);
	way_over(r, &s, 1);
	way_ask(&s, 1, "web1", "dba");
	expect_no(r, &s, 1, WAY_EXPIRED);
	session_over(r, &s, 0);
}

/* Both were decided before either was counted: the slower one hears what the grant was for. */
static void two_logins_at_once_are_one(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t grant = grant_of(r, (struct ticket){ .needed = 1, .logins = 1 });
	char line[LINE_LEN];
	struct ipc_msg m;

	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "dba");
	way_ask(&s, 2, "web1", "dba");
	dial_ok(r);
	dial_ok(r);
	sign(r, grant, clock_wall() + 3600);
	expect_ok(r, &s, 1, grant, "CERT", 1);
	sign(r, grant, clock_wall() + 3600);
	expect(r, &s.link, MSG_WAY_NO, &m);
	assert_int_equal(m.id, 2);
	assert_int_equal(buf_get_u8(&m.body), WAY_EXPIRED);
	assert_int_equal(buf_get_cstring(&m.body, line, sizeof(line)), 0);
	assert_non_null(strstr(line, "was for 1 login, which it had"));
	ipc_msg_finish(&m);
	assert_int_equal(uses_of(r, grant), 1);
	channel(r, &s, "shell", 1);
	session_over(r, &s, 0);
}

/* The newest event is of this kind and names this grant; 0: none. */
static void expect_event(struct rig *r, const char *kind, int64_t grant)
{
	json_t *list = store_list(r->p.store, LIST_EVENTS, &(struct list_ask){ .limit = 1 });
	const json_t *row = json_array_get(list, 0);
	json_t *detail;

	assert_string_equal(json_string_value(json_object_get(row, "kind")), kind);
	assert_non_null(detail = json_loads(json_string_value(json_object_get(row, "detail")), 0, NULL));
	assert_int_equal(json_integer_value(json_object_get(detail, "grant")), grant);
	json_decref(detail);
	json_decref(list);
}

/* A way that joins a second grant is a login under that one, once, and says so. */
static void joining_a_grant_is_a_login_under_it(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t one = grant_of(r, (struct ticket){ .needed = 1 }), other;

	way_open_on(r, &s, one, 3600);
	other = grant_of(r, (struct ticket){ .needed = 1, .logins = 1, .caps = CAP_SHELL | CAP_SFTP_READ });
	channel(r, &s, "shell", 1); /* has it from the first */
	assert_int_equal(uses_of(r, other), 0);
	assert_int_equal(channel_joins(r, &s, "sftp"), other);
	expect_event(r, "channel.open", other);
	channel(r, &s, "sftp", 1);
	expect_silence(r, &s.link);
	channel(r, &s, "exec", 1);
	expect_event(r, "channel.open", one);
	channel(r, &s, "forward", 0);
	expect_event(r, "channel.refused", 0);
	assert_int_equal(uses_of(r, other), 1);
	way_over(r, &s, 1);
	way_again(r, &s, 1, one);
	channel(r, &s, "sftp", 0);
	channel(r, &s, "shell", 1);
	assert_int_equal(uses_of(r, other), 1);
	session_over(r, &s, 0);
}

/* --- a rule with hours --- */

/* From half an hour to an hour and a half from now, every day. */
static void add_later(struct rig *r, const char *more)
{
	const time_t from = (time_t)clock_wall() + 1800, to = from + 3600;
	char json[400];
	struct tm a, b;

	gmtime_r(&from, &a);
	gmtime_r(&to, &b);
	snprintf(json, sizeof(json), "{\"word\":\"role add\",\"args\":{\"role\":\"later\",\"deny\":true,\"host\":\"web1\",\"login\":\"dba\","
	    "\"hours\":\"mon-sun %02d:%02d-%02d:%02d\"%s}}", a.tm_hour, a.tm_min, b.tm_hour, b.tm_min, more);
	control_request(r, json, "true");
}

#define LATER_MEMBER(what) "{\"word\":\"role member " what "\",\"args\":{\"role\":\"later\",\"user\":\"alice\"}}"

/* What was to end a session when its hours begin, and is lifted before, does not. */
static void a_denial_that_is_lifted(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t until;

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	until = first_way(r, &s)->until;
	add_later(r, ",\"everyone\":true");
	assert_true(first_way(r, &s)->until < until);
	control_request(r, "{\"word\":\"role remove\",\"args\":{\"role\":\"later\"}}", "true");
	assert_int_equal(first_way(r, &s)->until, until);
	add_later(r, "");
	control_request(r, LATER_MEMBER("add"), "true");
	assert_true(first_way(r, &s)->until < until);
	control_request(r, LATER_MEMBER("remove"), "true");
	assert_int_equal(first_way(r, &s)->until, until);
	session_over(r, &s, 0);
}

/* --- a way's grant is over, and there is another one --- */

static void time_is_over(struct rig *r, const struct session_end *s)
{
	first_way(r, s)->until = clock_wall();
	live_run(&r->p);
}

/* What `sessions` says of the way, as root hears it. */
static void expect_session(struct rig *r, int64_t grant, int64_t until)
{
	const struct actor root = { .root = true, .local = true };
	static const char ask[] = "{\"word\":\"sessions\"}";
	const json_t *row;
	struct buf out;
	json_t *reply;

	buf_init(&out, CONTROL_REPLY_MAX);
	assert_int_equal(control_handle(&r->p.control, &root, ask, strlen(ask), &out), 0);
	assert_non_null(reply = json_loadb((const char *)out.data, out.len, 0, NULL));
	row = json_array_get(json_object_get(reply, "rows"), 0);
	assert_int_equal(json_integer_value(json_object_get(row, "grant")), grant);
	assert_int_equal(json_integer_value(json_object_get(row, "until")), until);
	json_decref(reply);
	buf_finish(&out);
}

/* From `have` to `next`: does it go on? */
static void carries(struct rig *r, const struct ticket *have, const struct ticket *next, bool goes_on)
{
	struct session_end s;
	int64_t first = grant_of(r, *have), second;

	way_open_on(r, &s, first, 3600);
	second = grant_of(r, *next);
	time_is_over(r, &s);
	if (goes_on) {
		expect_moves(r, &s);
		assert_int_equal(first_way(r, &s)->tickets[0], second);
		expect_session(r, second, first_way(r, &s)->until);
		assert_true(first_way(r, &s)->until > clock_wall());
	} else {
		expect_end_as(r, &s, 1, BREC_END_EXPIRED);
	}
	session_over(r, &s, 0);
}

static void carried_to_as_much(void **state)
{
	const struct ticket have = { .needed = 1, .caps = CAP_SHELL | CAP_COMMAND, .commands = "id" };
	const struct ticket next = { .needed = 1, .caps = CAP_SHELL | CAP_COMMAND, .commands = "true\nid" };

	carries(*state, &have, &next, true);
}

/* Going on under a grant is a login under it; one that it joined has counted it already. */
static void carried_is_counted(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t second, third;

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	second = grant_of(r, (struct ticket){ .needed = 1, .logins = 1, .caps = CAP_USUAL });
	channel_joins(r, &s, "sftp");
	time_is_over(r, &s);
	expect_say(r, &s, GRANT_NOTE_MOVES); /* its approvals are in the recording already */
	assert_int_equal(first_way(r, &s)->tickets[0], second);
	assert_int_equal(uses_of(r, second), 1);
	third = grant_of(r, (struct ticket){ .needed = 1, .logins = 1, .caps = CAP_USUAL });
	time_is_over(r, &s);
	expect_moves(r, &s);
	assert_int_equal(first_way(r, &s)->tickets[0], third);
	assert_int_equal(uses_of(r, third), 1);
	session_over(r, &s, 0);
}

/* Consent that no recording would show is none: neither a channel nor the time after the end rests on it. */
static void what_cannot_be_recorded_opens_nothing(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t second;
	char path[300];
	sqlite3 *db;

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	second = grant_of(r, (struct ticket){ .needed = 1, .logins = 1, .caps = CAP_USUAL });
	snprintf(path, sizeof(path), "%s/policy.db", r->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "ALTER TABLE signatures RENAME TO hidden", 0, 0, 0), SQLITE_OK);
	channel(r, &s, "sftp", 0);
	assert_int_equal(first_way(r, &s)->tickets[1], 0);
	assert_int_equal(uses_of(r, second), 0);
	assert_int_equal(sqlite3_exec(db, "ALTER TABLE hidden RENAME TO signatures", 0, 0, 0), SQLITE_OK);
	assert_int_equal(channel_joins(r, &s, "sftp"), second);
	assert_int_equal(uses_of(r, second), 1);
	assert_int_equal(sqlite3_exec(db, "ALTER TABLE signatures RENAME TO hidden", 0, 0, 0), SQLITE_OK);
	time_is_over(r, &s);
	expect_say(r, &s, GRANT_NOTE_MOVES); /* to the one that is recorded */
	grant_of(r, (struct ticket){ .needed = 1, .caps = CAP_USUAL, .duration = 7200 });
	time_is_over(r, &s);
	expect_end_as(r, &s, 1, BREC_END_EXPIRED);
	sqlite3_close(db);
	session_over(r, &s, 0);
}

/* Nor does the recording name a grant that was refused to it: neither for want of a place, nor because its login could not be counted. */
static void what_is_refused_is_not_recorded(void **state)
{
	static const char refuse[] = "CREATE TRIGGER refuse BEFORE INSERT ON way_grants BEGIN SELECT RAISE(ABORT, 'disk full'); END";
	struct rig *r = *state;
	struct session_end s;
	char path[300];
	sqlite3 *db;

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	snprintf(path, sizeof(path), "%s/policy.db", r->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	for (int i = 1; i < WAY_TICKETS_MAX; i++) {
		struct ticket t = { .needed = 1, .caps = CAP_FORWARD };

		snprintf(t.forwards, sizeof(t.forwards), "db%d:5432", i);
		grant_of(r, t);
		assert_int_equal(sqlite3_exec(db, refuse, 0, 0, 0), SQLITE_OK);
		channel_to(&s, "forward", t.forwards);
		channel_answered(r, &s, 0); /* and no WAY_GRANT before it */
		assert_int_equal(sqlite3_exec(db, "DROP TRIGGER refuse", 0, 0, 0), SQLITE_OK);
		channel_to(&s, "forward", t.forwards);
		expect_further(r, &s);
		expect_say(r, &s, GRANT_NOTE_JOINS);
		channel_answered(r, &s, 1);
	}
	grant_of(r, (struct ticket){ .needed = 1, .caps = CAP_USUAL });
	channel(r, &s, "sftp", 0);
	grant_of(r, (struct ticket){ .needed = 1, .caps = CAP_SHELL | CAP_EXEC | CAP_FORWARD, .forwards = "db1:5432\ndb2:5432\ndb3:5432", .duration = 7200 });
	assert_int_equal(sqlite3_exec(db, refuse, 0, 0, 0), SQLITE_OK);
	time_is_over(r, &s);
	expect_end_as(r, &s, 1, BREC_END_EXPIRED); /* nor here */
	sqlite3_close(db);
	session_over(r, &s, 0);
}

static int64_t a_moment_later;

static int64_t later(void *arg)
{
	(void)arg;
	return a_moment_later;
}

/* The second turns between the look at what can go on and the one at what is over. */
static void the_end_does_not_overtake_the_move(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t first = grant_of(r, (struct ticket){ .needed = 1 }), next;

	way_open_on(r, &s, first, 3600);
	next = grant_of(r, (struct ticket){ .needed = 1, .duration = 7200, .extends = first });
	a_moment_later = first_way(r, &s)->until;
	r->p.control.now = later;
	live_run(&r->p);
	expect_silence(r, &s.link);
	assert_int_equal(first_way(r, &s)->ending_ms, 0);
	time_is_over(r, &s);
	assert_int_equal(expect_moves(r, &s), next);
	session_over(r, &s, 0);
}

/* During an upgrade the other process may see the end first: a look at what it changed is no end of what can go on. */
static void the_other_one_saw_the_end_first(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t first = grant_of(r, (struct ticket){ .needed = 1 }), next;

	way_open_on(r, &s, first, 3600);
	next = grant_of(r, (struct ticket){ .needed = 1, .duration = 7200, .extends = first });
	a_moment_later = first_way(r, &s)->until;
	r->p.control.now = later;
	first_way(r, &s)->until = clock_wall();
	live_end(&r->p, END_DENIED, 1, "");
	assert_int_equal(expect_moves(r, &s), next);
	assert_int_equal(first_way(r, &s)->ending_ms, 0);
	session_over(r, &s, 0);
}

static void not_to_one_that_had_its_logins(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t second;

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	second = grant_of(r, (struct ticket){ .needed = 1, .logins = 1 });
	assert_int_equal(store_grant_use(r->p.store, second, first_way(r, &s)->row.id, "alice", clock_wall()), 0);
	assert_int_equal(store_grant_use(r->p.store, second, first_way(r, &s)->row.id, "alice", clock_wall()), -1);
	time_is_over(r, &s);
	expect_end_as(r, &s, 1, BREC_END_EXPIRED);
	assert_int_equal(uses_of(r, second), 1);
	session_over(r, &s, 0);
}

static void not_to_other_commands(void **state)
{
	const struct ticket have = { .needed = 1, .caps = CAP_SHELL | CAP_COMMAND, .commands = "id" };
	const struct ticket next = { .needed = 1, .caps = CAP_SHELL | CAP_COMMAND, .commands = "true" };

	carries(*state, &have, &next, false);
}

static void not_to_other_places(void **state)
{
	const struct ticket have = { .needed = 1, .caps = CAP_SHELL | CAP_FORWARD, .forwards = "db1:5432" };
	struct rig *r = *state;
	struct session_end s;

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	grant_of(r, have);
	channel_joins(r, &s, "forward"); /* what the second of its grants names counts as well */
	grant_of(r, (struct ticket){ .needed = 1, .caps = CAP_SHELL | CAP_EXEC | CAP_FORWARD, .forwards = "db1:22" });
	time_is_over(r, &s);
	expect_end_as(r, &s, 1, BREC_END_EXPIRED);
	session_over(r, &s, 0);
}

/* The grant that lasts longest is not the one that could follow: the extension, which is, is not passed over for it. */
static void carried_past_one_that_allows_less(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t first, third;

	way_open_on(r, &s, first = grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	grant_of(r, (struct ticket){ .needed = 1, .caps = CAP_SHELL, .duration = 7200 });
	grant_of(r, (struct ticket){ .needed = 1, .duration = 7000, .ref = "OPS-7" });
	third = grant_of(r, (struct ticket){ .needed = 1, .extends = first });
	time_is_over(r, &s);
	assert_int_equal(expect_moves(r, &s), third);
	assert_int_equal(first_way(r, &s)->tickets[0], third);
	session_over(r, &s, 0);
}

/* Of two that allow a channel the one counts that the host's class takes. */
static void joined_past_one_that_the_class_refuses(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t good;

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	free(r->conf->approve_new);
	r->conf->approve_new = strdup("env=lab");
	grant_of(r, (struct ticket){ .needed = 0, .caps = CAP_SFTP_READ | CAP_SFTP_WRITE, .duration = 7200 });
	channel(r, &s, "sftp", 0);
	good = grant_of(r, (struct ticket){ .needed = 1, .caps = CAP_SFTP_READ | CAP_SFTP_WRITE });
	assert_int_equal(channel_joins(r, &s, "sftp"), good);
	session_over(r, &s, 0);
}

/* A host that wants an approval by somebody who knew the device wants it of the second grant, too. */
static void a_class_is_asked_again(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	free(r->conf->approve_new);
	r->conf->approve_new = strdup("env=lab");
	grant_of(r, (struct ticket){ .needed = 0 });
	time_is_over(r, &s);
	expect_say(r, &s, "wants a grant that a person approved");
	expect_end_as(r, &s, 1, BREC_END_EXPIRED);
	session_over(r, &s, 0);
}

/* A host that wants a fresh code had one when the session began: it goes on with the extension that was approved, and opens nothing more. */
static void an_extension_needs_no_fresh_code(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t first = grant_of(r, (struct ticket){ .needed = 1 }), next;

	free(r->conf->step_up);
	r->conf->step_up = strdup("env=lab");
	way_open_on(r, &s, first, 3600);
	channel(r, &s, "shell", 1);
	peer_of(r, &s)->code_ms -= r->conf->step_up_time + 1;
	next = grant_of(r, (struct ticket){ .needed = 1, .duration = 7200, .extends = first });
	time_is_over(r, &s);
	assert_int_equal(expect_moves(r, &s), next);
	channel(r, &s, "shell", 0);
	assert_int_equal(first_way(r, &s)->ending_ms, 0);
	session_over(r, &s, 0);
}

/* What it rested on before is of no account any more. */
static void carried_whole(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t second, third;
	char json[128];

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	second = grant_of(r, (struct ticket){ .needed = 1, .caps = CAP_SFTP_READ | CAP_SFTP_WRITE });
	channel_joins(r, &s, "sftp");
	assert_int_equal(first_way(r, &s)->tickets[1], second);
	third = grant_of(r, (struct ticket){ .needed = 1, .caps = CAP_USUAL });
	time_is_over(r, &s);
	expect_moves(r, &s);
	snprintf(json, sizeof(json), "{\"word\":\"revoke\",\"args\":{\"id\":%lld}}", (long long)second);
	words(r, &s, json, true);
	channel(r, &s, "sftp", 1);
	assert_int_equal(first_way(r, &s)->tickets[0], third);
	assert_int_equal(first_way(r, &s)->tickets[1], 0);
	assert_int_equal(first_way(r, &s)->ending_ms, 0);
	session_over(r, &s, 0);
}

/* Whether it comes in with the second grant, or when the session goes on under one. */
static void glass_is_said_whenever_it_comes(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	channel(r, &s, "shell", 1);
	glass_grant(r, CAP_SFTP_READ | CAP_SFTP_WRITE);
	channel_joins(r, &s, "sftp");
	expect_say(r, &s, "break-glass");
	assert_true(first_way(r, &s)->glass);
	channel(r, &s, "sftp", 1);
	expect_silence(r, &s.link);
	session_over(r, &s, 0);
}

static void glass_is_said_to_what_goes_on(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	channel(r, &s, "shell", 1);
	glass_grant(r, CAP_SHELL | CAP_EXEC);
	time_is_over(r, &s);
	expect_moves(r, &s);
	expect_say(r, &s, "break-glass");
	session_over(r, &s, 0);
}

/* --- the end is near --- */

/* Its grant began so long before its end, which is so far from now. */
static void ends_in(struct rig *r, const struct session_end *s, int64_t left, int64_t whole)
{
	struct way *w = first_way(r, s);

	w->until = clock_wall() + left;
	w->began = w->until - whole;
	live_run(&r->p);
}

/* Five minutes before, once for each grant, to the terminal and as an event; what is shorter than ten minutes ends without. */
static void the_end_is_said_before(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	char text[128], when[32];
	json_t *list, *detail;
	const json_t *row;
	int64_t grant = grant_of(r, (struct ticket){ .needed = 1 }), next;

	way_open_on(r, &s, grant, 3600);
	ends_in(r, &s, 299, 599);
	expect_silence(r, &s.link);
	ends_in(r, &s, 310, 3600);
	expect_silence(r, &s.link);
	assert_int_equal(r->p.live_due, first_way(r, &s)->until - 300);
	assert_int_equal(events_of(r, "grant.ending"), 0);
	ends_in(r, &s, 299, 600);
	snprintf(text, sizeof(text), "bastiond: your grant %lld ends at %s. More time: ssh alice@%s extend %lld --for 1h", (long long)grant,
	    clock_format(when, sizeof(when), first_way(r, &s)->until), r->p.control.name, (long long)grant);
	expect_say(r, &s, text);
	ends_in(r, &s, 298, 600);
	expect_silence(r, &s.link);
	assert_int_equal(events_of(r, "grant.ending"), 1);
	list = store_list(r->p.store, LIST_EVENTS, &(struct list_ask){ .limit = 1 });
	row = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(row, "kind")), "grant.ending");
	assert_string_equal(json_string_value(json_object_get(row, "subject")), "alice"); /* who is told */
	assert_string_equal(event_class("grant.ending"), "reminder");
	assert_non_null(detail = json_loads(json_string_value(json_object_get(row, "detail")), 0, NULL));
	assert_int_equal(json_integer_value(json_object_get(detail, "request")), grant);
	assert_string_equal(json_string_value(json_object_get(detail, "host")), "web1");
	json_decref(detail);
	json_decref(list);
	/* the next grant has an end of its own */
	next = grant_of(r, (struct ticket){ .needed = 1 });
	time_is_over(r, &s);
	assert_int_equal(expect_moves(r, &s), next);
	expect_silence(r, &s.link);
	ends_in(r, &s, 299, 3600);
	expect_say(r, &s, "More time");
	assert_int_equal(events_of(r, "grant.ending"), 2);
	session_over(r, &s, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_login_is_one_way_and_its_channels),
		T(two_logins_at_once_are_one),
		T(joining_a_grant_is_a_login_under_it),
		T(a_denial_that_is_lifted),
		T(carried_to_as_much),
		T(carried_is_counted), T(what_cannot_be_recorded_opens_nothing), T(what_is_refused_is_not_recorded),
		T(not_to_one_that_had_its_logins),
		T(the_end_does_not_overtake_the_move),
		T(the_other_one_saw_the_end_first),
		T(not_to_other_commands),
		T(not_to_other_places),
		T(carried_past_one_that_allows_less),
		T(joined_past_one_that_the_class_refuses),
		T(a_class_is_asked_again), T(an_extension_needs_no_fresh_code),
		T(carried_whole),
		T(glass_is_said_whenever_it_comes),
		T(glass_is_said_to_what_goes_on),
		T(the_end_is_said_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
