/*
 * test_glass.c - break-glass and its reviews; requests for several hosts, that start later, for a number of logins, extensions; waiting.
 */
#include "store_rig.h"

#include "store_clock.h"

#define GLASS(more) "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"break_glass\":true" more "}}"
#define WHY ",\"reason\":\"the database is down\""

static struct access_answer way(const char *user, const char *host)
{
	struct access_answer a;
	struct host h;

	control_way(&rig.c, id_of(user), "10.0.0.9", host, "dba", &(struct access_use){ 0 }, &a, &h);
	return a;
}

static void expect_state(int64_t id, enum ticket_state state)
{
	struct ticket t;

	assert_int_equal(store_ticket(rig.s, id, &t), 1);
	assert_string_equal(ticket_state_name(t.state), ticket_state_name(state));
}

/* The role `fire` covers web1, wants two signatures, only on Mondays, and its members may break the glass. */
static int setup_fire(void **state)
{
	setup_world(state);
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"fire\",\"host\":\"web1\",\"login\":\"dba\",\"approvals\":2,\"signed\":true,"
	    "\"hours\":\"mon 00:00-01:00\",\"break_glass\":true,\"max\":600}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"fire\",\"user\":\"alice\"}}");
	OK("root", "{\"word\":\"role approver add\",\"args\":{\"role\":\"fire\",\"user\":\"carol\"}}");
	return 0;
}

static void glass_opens_at_once_and_is_reviewed(void **state)
{
	struct access_answer a;
	struct ticket t;

	(void)state;
	OK("alice", GLASS(WHY));
	assert_int_equal(store_ticket(rig.s, 1, &t), 1);
	assert_true(t.glass && t.state == TICKET_APPROVED && t.end_at == NOW + 3600);
	a = way("alice", "web1");
	assert_int_equal(a.refusal, 0); /* on a Friday */
	assert_true(a.glass && a.until == NOW + 3600);
	assert_int_equal(events_of("break-glass"), 1);
	assert_string_equal(event_class("break-glass"), "break-glass");
	/* a review is owed, by another person */
	OK("carol", "{\"word\":\"reviews\"}");
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 1);
	OK("bob", "{\"word\":\"reviews\"}");
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 0);
	NO("alice", "denied", "{\"word\":\"review\",\"args\":{\"id\":1,\"verdict\":\"justified\",\"reason\":\"mine\"}}");
	NO("bob", "not_found", "{\"word\":\"review\",\"args\":{\"id\":1,\"verdict\":\"justified\",\"reason\":\"x\"}}");
	NO("carol", "usage", "{\"word\":\"review\",\"args\":{\"id\":1,\"verdict\":\"great\",\"reason\":\"x\"}}");
	OK("carol", "{\"word\":\"review\",\"args\":{\"id\":1,\"verdict\":\"misused\",\"reason\":\"there was time to ask\"}}");
	NO("adam", "refused", "{\"word\":\"review\",\"args\":{\"id\":1,\"verdict\":\"justified\",\"reason\":\"x\"}}");
	assert_int_equal(events_of("break-glass.review"), 1);
	/* whose access it was, and under which role: those who approve there are told */
	OK("root", "{\"word\":\"events\",\"args\":{\"user\":\"alice\",\"limit\":1}}");
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(last, "rows"), 0), "kind")), "break-glass.review");
	assert_non_null(strstr(json_string_value(json_object_get(json_array_get(json_object_get(last, "rows"), 0), "detail")), "\"role\":\"fire\""));
	OK("eve", "{\"word\":\"reviews\"}");
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 0);
	OK("eve", "{\"word\":\"reviews\",\"args\":{\"all\":true}}");
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 1);
	rig.now = NOW + 3600;
	assert_int_not_equal(way("alice", "web1").refusal, 0);
}

#define ASK(more) "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":600,\"reason\":\"x\"" more "}}"
#define WAY_APART(request) "INSERT INTO ways (connection_id, request_id, host_id, login, target, recording, start_at, apart)" \
	" SELECT 1, id, host_id, login, '', randomblob(16), 1, 1 FROM requests WHERE id=" #request

static void glass_has_its_limits(void **state)
{
	(void)state;
	NO("alice", "usage", GLASS(""));
	NO("alice", "usage", GLASS(WHY ",\"for\":3601"));
	assert_string_equal(field("error"), "break-glass is for an hour at most, not for 1h.");
	NO("alice", "usage", GLASS(WHY ",\"from\":1800000100"));
	NO("bob", "not_found", GLASS(WHY)); /* no member of fire */
	NO("root", "denied", GLASS(WHY));
	/* who may ask there, without breaking the glass, hears that and not that there is no such host */
	NO("alice", "refused", "{\"word\":\"request\",\"args\":{\"host\":\"db1\",\"login\":\"dba\",\"break_glass\":true" WHY "}}");
	assert_string_equal(field("error"), "No role lets alice break the glass for dba@db1.");
	NO("alice", "not_found", "{\"word\":\"request\",\"args\":{\"host\":\"nowhere\",\"login\":\"dba\",\"break_glass\":true" WHY "}}");
	/* what denies, denies */
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"never\",\"deny\":true,\"everyone\":true,\"host\":\"web1\",\"login\":\"dba\"}}");
	NO("alice", "refused", GLASS(WHY));
	assert_null(strstr(field("error"), "break the glass"));
	OK("root", "{\"word\":\"role remove\",\"args\":{\"role\":\"never\"}}");
	OK("alice", GLASS(WHY));
	/* a hand at the database */
	assert_int_equal(by_hand("INSERT INTO reviews SELECT 1, person, id, 'justified', 'x', 1 FROM users WHERE name='alice'"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("INSERT INTO requests (state, user_id, host_id, role_id, login, duration, needed, ref, asked_at, lapse_at, glass, reason)"
				     " SELECT 'pending', user_id, host_id, role_id, login, 3601, 0, '', 1, 2, 1, 'x' FROM requests"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("INSERT INTO requests (state, user_id, host_id, role_id, login, duration, needed, ref, asked_at, lapse_at, glass, reason)"
				     " SELECT 'pending', user_id, host_id, 1, login, 60, 0, '', 1, 2, 1, 'x' FROM requests"), SQLITE_CONSTRAINT);
	/* the collectors for break-glass have what break-glass opened, and nothing comes there or leaves later */
	OK("alice", ASK(""));
	assert_int_equal(by_hand(WAY_APART(1)), SQLITE_OK);
	assert_int_equal(by_hand(WAY_APART(2)), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("UPDATE ways SET apart=0"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("UPDATE ways SET request_id=2"), SQLITE_CONSTRAINT);
}

#define APPROVE(id) "{\"word\":\"approve\",\"args\":{\"id\":" #id "}}"

static void one_word_one_decision(void **state)
{
	(void)state;
	OK("root", "{\"word\":\"host add\",\"args\":{\"host\":\"web2\",\"address\":\"10.1.1.2\",\"key\":\"" KEY_B "\",\"login\":\"dba\"}}");
	OK("root", "{\"word\":\"host add\",\"args\":{\"host\":\"web3\",\"address\":\"10.1.1.3\",\"key\":\"" KEY_B "\",\"login\":\"dba\"}}");
	/* all or none */
	NO("alice", "not_found", ASK(",\"also\":[\"web2\",\"nowhere\"]"));
	OK("alice", "{\"word\":\"requests\"}");
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 0);
	OK("alice", ASK(",\"also\":[\"web2\",\"web3\"]"));
	OK("bob", APPROVE(1));
	for (int64_t id = 1; id <= 3; id++)
		expect_state(id, TICKET_APPROVED);
	assert_int_equal(way("alice", "web3").refusal, 0);
	/* one that was decided by itself stays as it is */
	OK("alice", "{\"word\":\"cancel\",\"args\":{\"id\":1}}");
	OK("alice", "{\"word\":\"cancel\",\"args\":{\"id\":2}}");
	OK("alice", ASK(",\"also\":\"web2\""));
	OK("bob", "{\"word\":\"deny\",\"args\":{\"id\":4,\"reason\":\"no\"}}");
	expect_state(5, TICKET_PENDING);
	OK("bob", APPROVE(5));
	expect_state(4, TICKET_DENIED);
	expect_state(5, TICKET_APPROVED);
}

/* Break-glass is for persons, also where an administrator asks. */
static void no_glass_for_a_service(void **state)
{
	(void)state;
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"fire\",\"user\":\"deploy\"}}");
	NO("adam", "denied", GLASS(WHY ",\"user\":\"deploy\""));
	NO("deploy", "denied", GLASS(WHY));
	assert_int_equal(events_of("break-glass"), 0);
}

static void a_grant_that_starts_later(void **state)
{
	struct access_answer a;

	(void)state;
	NO("alice", "usage", ASK(",\"from\":1799999999"));
	NO("alice", "usage", ASK(",\"from\":1900000000"));
	OK("alice", ASK(",\"from\":1800007200"));
	OK("bob", APPROVE(1));
	assert_string_equal(field("text"), "Grant 1: alice may log in as dba@web1 from 2027-01-15T10:00:00Z until 2027-01-15T10:10:00Z.");
	expect_state(1, TICKET_APPROVED);
	OK("alice", "{\"word\":\"wait\",\"args\":{\"id\":1}}");
	assert_string_equal(field("text"), "Grant 1: you may log in as dba from 2027-01-15T10:00:00Z until 2027-01-15T10:10:00Z.");
	a = way("alice", "web1");
	assert_int_equal(a.refusal, WAY_PENDING);
	assert_non_null(strstr(a.line, "begins at"));
	rig.now = NOW + 7199;
	assert_int_not_equal(way("alice", "web1").refusal, 0);
	rig.now = NOW + 7200;
	a = way("alice", "web1");
	assert_int_equal(a.refusal, 0);
	assert_true(a.until == NOW + 7800);
	rig.now = NOW + 7800;
	assert_int_not_equal(way("alice", "web1").refusal, 0);
}

/* Many nights are approved, one after the other: each counts in its time. */
static void a_grant_of_now_before_those_to_come(void **state)
{
	char word[256];

	(void)state;
	for (int i = 1; i <= STORE_PLACE_MAX; i++) {
		snprintf(word, sizeof(word), "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":600,\"reason\":\"x\",\"from\":%lld}}",
		    (long long)(NOW + i * 7200));
		OK("alice", word);
		snprintf(word, sizeof(word), "{\"word\":\"approve\",\"args\":{\"id\":%d}}", i);
		OK("bob", word);
	}
	assert_int_equal(way("alice", "web1").refusal, WAY_PENDING);
	for (int i = 1; i <= STORE_PLACE_MAX; i++) {
		rig.now = NOW + i * 7200;
		assert_int_equal(way("alice", "web1").refusal, 0);
		assert_int_equal(way("alice", "web1").ticket, i);
		rig.now += 600;
		assert_int_not_equal(way("alice", "web1").refusal, 0);
	}
}

static int log_in(int64_t ticket)
{
	struct connection c = { .user_id = id_of("alice"), .device_id = 1, .peer = "10.0.0.9" };
	struct way_row w = { .ticket_id = ticket, .host_id = 1, .login = "dba", .target = "x:22" };

	assert_int_equal(store_connection_start(rig.s, &c, rig.now), 0);
	w.connection_id = c.id;
	memcpy(w.recording, &c.id, sizeof(c.id));
	return store_way_start(rig.s, &w, "alice", rig.now);
}

static void a_grant_for_two_logins(void **state)
{
	(void)state;
	OK("alice", ASK(",\"logins\":2"));
	OK("bob", APPROVE(1));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(way("alice", "web1").refusal, 0);
		assert_int_equal(log_in(1), 0);
	}
	assert_int_equal(way("alice", "web1").refusal, WAY_EXPIRED);
	assert_int_equal(log_in(1), -1); /* two at one instant: the table says no to the second */
	assert_int_equal(by_hand("UPDATE grants SET uses=0"), SQLITE_CONSTRAINT);
	OK("alice", ASK(""));
	OK("bob", APPROVE(2));
	assert_int_equal(way("alice", "web1").ticket, 2);
}

/* Those that had their logins, and would last longer, hide none that has some left. */
static void a_grant_with_logins_before_those_without(void **state)
{
	char word[64];

	(void)state;
	for (int i = 1; i <= ACCESS_TICKETS + 1; i++) {
		OK("alice", i == 1 ? ASK("") : ASK(",\"logins\":1"));
		snprintf(word, sizeof(word), "{\"word\":\"approve\",\"args\":{\"id\":%d}}", i);
		OK("bob", word);
		if (i > 1)
			assert_int_equal(log_in(i), 0);
		rig.now++;
	}
	assert_int_equal(way("alice", "web1").ticket, 1);
}

static void an_extension_is_approved_anew(void **state)
{
	struct ticket t;

	(void)state;
	OK("alice", ASK(""));
	NO("alice", "refused", "{\"word\":\"extend\",\"args\":{\"id\":1,\"for\":600}}"); /* it does not run yet */
	OK("bob", APPROVE(1));
	NO("bob", "not_found", "{\"word\":\"extend\",\"args\":{\"id\":1,\"for\":600}}");
	NO("alice", "refused", "{\"word\":\"extend\",\"args\":{\"id\":1,\"for\":7201}}"); /* the role's longest */
	rig.now = NOW + 300;
	OK("alice", "{\"word\":\"extend\",\"args\":{\"id\":1,\"for\":600}}");
	assert_int_equal(store_ticket(rig.s, 2, &t), 1);
	assert_true(t.extends == 1 && t.state == TICKET_PENDING);
	OK("bob", APPROVE(2));
	rig.now = NOW + 600;
	assert_int_equal(way("alice", "web1").ticket, 2);
	NO("alice", "refused", "{\"word\":\"extend\",\"args\":{\"id\":1,\"for\":600}}");
}

/* It asks for what the grant was for, and who decides it sees that. */
static void an_extension_has_no_more_logins(void **state)
{
	const json_t *row;
	struct ticket t;

	(void)state;
	OK("alice", ASK(",\"logins\":2,\"from\":1800007200"));
	OK("bob", APPROVE(1));
	NO("alice", "refused", "{\"word\":\"extend\",\"args\":{\"id\":1,\"for\":600}}");
	assert_non_null(strstr(field("error"), "Grant 1 has not begun"));
	rig.now = NOW + 7200;
	OK("alice", "{\"word\":\"extend\",\"args\":{\"id\":1,\"for\":600}}");
	assert_int_equal(store_ticket(rig.s, 2, &t), 1);
	assert_int_equal(t.logins, 2);
	OK("bob", "{\"word\":\"requests\"}");
	row = json_array_get(json_object_get(last, "rows"), 0);
	assert_int_equal(json_integer_value(json_object_get(row, "id")), 2);
	assert_int_equal(json_integer_value(json_object_get(row, "logins")), 2);
	assert_int_equal(json_integer_value(json_object_get(row, "extends")), 1);
}

/* The clock is set back by an hour: what runs ends by it an hour earlier, and nothing else does. */
static void a_clock_set_back_moves_what_runs(void **state)
{
	struct access_answer a;
	struct ticket t;

	(void)state;
	OK("alice", ASK(""));
	OK("bob", APPROVE(1));
	OK("alice", ASK(",\"from\":1800007200"));
	OK("bob", APPROVE(2));
	OK("alice", ASK(",\"from\":1800014400"));
	assert_int_equal(store_clock_back(rig.s, NOW + 300, 3600), 1);
	rig.now = NOW + 300 - 3600;
	a = way("alice", "web1");
	assert_true(a.refusal == 0 && a.ticket == 1 && a.until == NOW + 600 - 3600);
	OK("alice", "{\"word\":\"grants\"}");
	for (size_t i = 0; i < 2; i++) {
		const json_t *row = json_array_get(json_object_get(last, "rows"), i);
		const bool first = json_integer_value(json_object_get(row, "id")) == 1;

		assert_int_equal(json_integer_value(json_object_get(row, "until")), first ? NOW + 600 - 3600 : NOW + 7800);
	}
	assert_true(store_ticket(rig.s, 2, &t) == 1 && t.moved == 0 && t.start_at == NOW + 7200);
	rig.now = NOW + 600 - 3600;
	assert_int_not_equal(way("alice", "web1").refusal, 0);
	control_tick(&rig.c, rig.now);
	expect_state(1, TICKET_ENDED);
	/* what is over stays as it was; and nobody takes it back */
	assert_int_equal(store_clock_back(rig.s, rig.now, 10), 0);
	assert_int_equal(by_hand("UPDATE grants SET moved=0 WHERE id=1"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("UPDATE grants SET moved=-1 WHERE id=2"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("UPDATE grants SET approved_at=approved_at+1 WHERE id=2"), SQLITE_CONSTRAINT);
}

#define EXTEND "{\"word\":\"extend\",\"args\":{\"id\":1,\"for\":600}}"

/* Who asked for a service account and is no administrator any more extends nothing. */
static void an_administrator_of_before_extends_nothing(void **state)
{
	(void)state;
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"dba\",\"user\":\"deploy\"}}");
	OK("adam", ASK(",\"user\":\"deploy\""));
	OK("bob", APPROVE(1));
	OK("adam", EXTEND);
	OK("adam", "{\"word\":\"cancel\",\"args\":{\"id\":2}}");
	assert_int_equal(by_hand("UPDATE users SET admin=0 WHERE name='adam'"), SQLITE_OK);
	NO("adam", "not_found", EXTEND);
	OK("deploy", EXTEND);
}

static enum outside ticket_says;

static enum outside outside(void *arg, const char *ref, char *line, size_t size)
{
	(void)arg;
	assert_string_equal(ref, "OPS-7");
	snprintf(line, size, "its status is Done");
	return ticket_says;
}

/* The program's ticket in the question that this word needs answered; "" for none. */
static const char *asked(const char *who, const char *word)
{
	static char ref[TICKET_REF_MAX + 1];
	const struct actor a = { .user_id = id_of(who), .source = "10.0.0.9" };
	json_t *about;
	bool anew;

	ref[0] = '\0';
	about = control_outside(&rig.c, &a, word, strlen(word), ref, &anew);
	assert_false(anew);
	assert_true((about != NULL) == (ref[0] != '\0'));
	json_decref(about);
	return ref;
}

static void an_extension_asks_for_the_outside_ticket(void **state)
{
	(void)state;
	rig.c.ticket = outside;
	ticket_says = OUTSIDE_OPEN;
	OK("alice", ASK(",\"ticket\":\"OPS-7\""));
	assert_string_equal(asked("bob", APPROVE(1)), "OPS-7");
	assert_string_equal(asked("alice", EXTEND), ""); /* it does not run */
	OK("bob", APPROVE(1));
	assert_string_equal(asked("bob", APPROVE(1)), "");
	assert_string_equal(asked("alice", EXTEND), "OPS-7");
	assert_string_equal(asked("carol", EXTEND), ""); /* none of hers */
	assert_string_equal(asked("alice", "{\"word\":\"extend\",\"args\":{\"id\":9,\"for\":600}}"), "");
	ticket_says = OUTSIDE_CLOSED;
	NO("alice", "refused", EXTEND);
	ticket_says = OUTSIDE_UNKNOWN;
	NO("alice", "refused", EXTEND);
	ticket_says = OUTSIDE_OPEN;
	OK("alice", EXTEND);
}

/* An account of one's own is a request for @self, and named by the user's name. */
static void who_waits_names_their_own_account(void **state)
{
	(void)state;
	OK("root", "{\"word\":\"host change\",\"args\":{\"host\":\"web1\",\"login\":[\"dba\",\"@self\"]}}");
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"own\",\"host\":\"web*\",\"login\":\"@self\"}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"own\",\"user\":\"alice\"}}");
	OK("alice", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"alice\",\"for\":60,\"reason\":\"x\"}}");
	OK("alice", "{\"word\":\"wait\",\"args\":{\"host\":\"web1\",\"login\":\"alice\"}}");
	assert_int_equal(rig.c.wait_for, 1);
	OK("alice", "{\"word\":\"wait\",\"args\":{\"host\":\"web1\",\"login\":\"@self\"}}");
	assert_int_equal(rig.c.wait_for, 1);
	NO("alice", "not_found", "{\"word\":\"wait\",\"args\":{\"host\":\"web1\",\"login\":\"dba\"}}");
	NO("alice", "not_found", "{\"word\":\"wait\",\"args\":{\"host\":\"db1\",\"login\":\"alice\"}}");
}

static void who_waits_hears_of_the_decision(void **state)
{
	(void)state;
	OK("alice", ASK(",\"wait\":true"));
	assert_int_equal(rig.c.wait_for, 1);
	OK("bob", "{\"word\":\"requests\"}");
	assert_int_equal(rig.c.wait_for, 0);
	OK("alice", "{\"word\":\"wait\",\"args\":{\"host\":\"web1\"}}");
	assert_int_equal(rig.c.wait_for, 1);
	NO("bob", "not_found", "{\"word\":\"wait\",\"args\":{\"id\":1}}");
	OK("bob", APPROVE(1));
	OK("alice", "{\"word\":\"wait\",\"args\":{\"id\":1}}");
	assert_int_equal(rig.c.wait_for, 0);
	assert_non_null(strstr(field("text"), "Grant 1"));
	OK("alice", "{\"word\":\"cancel\",\"args\":{\"id\":1,\"reason\":\"done\"}}");
	NO("alice", "refused", "{\"word\":\"wait\",\"args\":{\"id\":1}}");
	assert_non_null(strstr(field("error"), "revoked by alice: done"));
	NO("alice", "not_found", "{\"word\":\"wait\",\"args\":{\"host\":\"web1\"}}");
}

#define WAIT_WEB1 "{\"word\":\"wait\",\"args\":{\"host\":\"web1\",\"login\":\"dba\"}}"

/* The row of web1 in her `hosts` has an end of a grant. */
static bool web1_is_open(void)
{
	OK("alice", "{\"word\":\"hosts\",\"args\":{\"host\":\"web1\"}}");
	return json_object_get(json_array_get(json_object_get(last, "rows"), 0), "until") != NULL;
}

/* A grant that lets nobody in now is not what somebody waits for: one of tomorrow, one that had its logins. */
static void who_waits_is_let_in_then(void **state)
{
	struct connection c = { .device_id = 1, .peer = "10.0.0.9" };
	struct way_row w = { .ticket_id = 3, .host_id = 1, .login = "dba", .target = "x:22" };

	(void)state;
	OK("alice", ASK(",\"from\":1800086400"));
	OK("bob", APPROVE(1));
	assert_false(web1_is_open());
	OK("alice", WAIT_WEB1); /* nothing waits: it is said when */
	assert_int_equal(rig.c.wait_for, 0);
	assert_non_null(strstr(field("text"), "Grant 1: you may log in as dba from 2027-01-16T08:00:00Z"));
	OK("alice", ASK(""));
	OK("alice", WAIT_WEB1);
	assert_int_equal(rig.c.wait_for, 2);
	OK("bob", APPROVE(2));
	OK("alice", WAIT_WEB1);
	assert_int_equal(rig.c.wait_for, 0);
	assert_non_null(strstr(field("text"), "Grant 2"));
	assert_true(web1_is_open());
	OK("alice", "{\"word\":\"cancel\",\"args\":{\"id\":2}}");
	OK("alice", ASK(",\"logins\":1"));
	OK("bob", APPROVE(3));
	assert_true(web1_is_open());
	c.user_id = id_of("alice");
	assert_int_equal(store_connection_start(rig.s, &c, rig.now), 0);
	w.connection_id = c.id;
	assert_int_equal(store_way_start(rig.s, &w, "alice", rig.now), 0);
	assert_false(web1_is_open());
	NO("alice", "refused", "{\"word\":\"wait\",\"args\":{\"id\":3}}");
	assert_non_null(strstr(field("error"), "Grant 3 had its logins"));
	OK("alice", ASK(""));
	OK("alice", WAIT_WEB1);
	assert_int_equal(rig.c.wait_for, 4);
}

#define CHANGE(role, more) "{\"word\":\"role change\",\"args\":{\"role\":\"" role "\"," more "}}"

static void a_role_is_changed_in_all_it_says(void **state)
{
	struct access_role r;
	struct ticket t;

	(void)state;
	OK("root", CHANGE("dba", "\"ask_signed\":\"yes\""));
	assert_true(store_role_by_name(rig.s, "dba", &r) == 1 && r.sign);
	OK("alice", ASK(""));
	assert_true(store_ticket(rig.s, 1, &t) == 1 && t.sign);
	OK("bob", APPROVE(1)); /* shows what is to be signed */
	expect_state(1, TICKET_PENDING);
	NO("root", "usage", CHANGE("dba", "\"approvals\":0"));
	OK("root", CHANGE("dba", "\"ask_signed\":\"no\""));
	assert_true(store_role_by_name(rig.s, "dba", &r) == 1 && !r.sign);
	/* break-glass on and off */
	NO("alice", "refused", GLASS(WHY));
	OK("root", CHANGE("dba", "\"ask_break_glass\":\"yes\""));
	OK("alice", GLASS(WHY));
	OK("root", CHANGE("dba", "\"max\":600"));
	OK("alice", GLASS(WHY));
	OK("root", CHANGE("dba", "\"ask_break_glass\":\"no\""));
	NO("alice", "refused", GLASS(WHY));
	NO("root", "usage", CHANGE("dba", "\"ask_break_glass\":\"yes no\""));
}

/* What a group of approvers, or a rule that denies, cannot have. */
static void what_a_kind_of_role_cannot_have(void **state)
{
	static const char *const flags[] = { "everyone", "signed", "break_glass" };
	char json[160];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		snprintf(json, sizeof(json), "{\"word\":\"role add\",\"args\":{\"role\":\"leads\",\"group\":true,\"%s\":true}}", flags[i]);
		NO("root", "usage", json);
	}
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"leads\",\"group\":true}}");
	NO("root", "usage", CHANGE("leads", "\"everyone\":true"));
	NO("root", "usage", CHANGE("leads", "\"ask_signed\":\"yes\""));
	NO("root", "usage", CHANGE("leads", "\"ask_break_glass\":\"yes\""));
	NO("root", "usage", CHANGE("dba", "\"everyone\":true"));
}

static void rules_for_everyone_are_so_many(void **state)
{
	char json[200];

	(void)state;
	for (int i = 0; i < STORE_EVERYONE_MAX; i++) {
		snprintf(json, sizeof(json), "{\"word\":\"role add\",\"args\":{\"role\":\"no%d\",\"deny\":true,\"everyone\":true,\"host\":\"x\"}}", i);
		OK("root", json);
	}
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"one\",\"deny\":true,\"host\":\"x\"}}");
	NO("root", "refused", CHANGE("one", "\"everyone\":true"));
	OK("root", CHANGE("no0", "\"everyone\":true"));
	OK("root", "{\"word\":\"role remove\",\"args\":{\"role\":\"no1\"}}");
	OK("root", CHANGE("one", "\"everyone\":true"));
}

#define T(name, setup) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(glass_opens_at_once_and_is_reviewed, setup_fire), T(glass_has_its_limits, setup_fire), T(one_word_one_decision, setup_world),
		T(a_grant_that_starts_later, setup_world), T(a_grant_for_two_logins, setup_world), T(an_extension_is_approved_anew, setup_world),
		T(an_extension_has_no_more_logins, setup_world),
		T(no_glass_for_a_service, setup_fire), T(a_clock_set_back_moves_what_runs, setup_world), T(an_administrator_of_before_extends_nothing, setup_world),
		T(a_grant_of_now_before_those_to_come, setup_world), T(a_grant_with_logins_before_those_without, setup_world),
		T(an_extension_asks_for_the_outside_ticket, setup_world),
		T(who_waits_names_their_own_account, setup_world), T(who_waits_hears_of_the_decision, setup_world), T(who_waits_is_let_in_then, setup_world), T(a_role_is_changed_in_all_it_says, setup_world),
		T(what_a_kind_of_role_cannot_have, setup_world), T(rules_for_everyone_are_so_many, setup_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
