/*
 * test_policy_ticket.c - outside tickets that one user names by the thousand: others get to theirs all the same; and one that an
 * administrator has looked at.
 */
#include "policy_rig_hook.h"

#define ASK_OF(ref) "{\"word\":\"request\",\"args\":{\"host\":\"nohost\",\"login\":\"dba\",\"for\":60,\"reason\":\"x\",\"ticket\":\"R%d\"}}", ref

/* A word about a ticket of its own, answered by "closed" and refused. */
static void ask_about(struct rig *r, struct session_end *s, int ref)
{
	struct run run;
	char json[160];

	snprintf(json, sizeof(json), ASK_OF(ref));
	bucket_fill(&peer_of(r, s)->bucket);
	send_words(s, 1, json);
	expect_run(r, HOOK_TICKET, &run);
	run_over(r, &run, true, "{\"open\": false}");
	expect_words(r, s, 1, "\"ok\":false");
}

/* Who names more tickets than are remembered does not keep others from theirs, and nothing is forgotten that is in use. */
static void many_tickets_of_one_user(void **state)
{
	struct rig *r = *state;
	struct session_end live, other;
	struct run run;
	int64_t id;

	r->conf->ticket_check_every = 3600000;
	id = checked_way(r, &live);
	for (int i = 0; i < 1100; i++) {
		memset(&r->p.control.refusals, 0, sizeof(r->p.control.refusals)); /* as if they were many users */
		ask_about(r, &live, i);
	}
	assert_int_equal(r->p.nchecks, 1024);
	grant_on(r, "OPS-8");
	login_alice(r, &other, 1);
	way_ask(&other, 1, "web1", "dba");
	expect_run(r, HOOK_TICKET, &run);
	assert_string_equal(told(&run, "ticket"), "OPS-8");
	assert_int_equal(r->p.nchecks, 1024);
	run_over(r, &run, true, "{\"open\": true}");
	dial_ok(r);
	/* that of the open way was remembered all the time: it is not asked about anew */
	ticket_tick(&r->p, clock_mono_ms());
	rig_turn(r);
	assert_int_equal(r->p.nworkers, 0);
	expect_state(r, id, TICKET_ACTIVE);
	session_over(r, &other, 0);
	session_over(r, &live, 0);
}

/* Nor does a program run for whom no word is read any more. */
static void who_is_turned_away_runs_no_check(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	char json[160];

	program(r, true, false);
	login_alice(r, &s, 0);
	for (int i = 0; i < REFUSALS_BURST; i++)
		ask_about(r, &s, i);
	snprintf(json, sizeof(json), ASK_OF(5000));
	send_words(&s, 2, json);
	expect_words(r, &s, 2, "Too many of your words were refused");
	assert_int_equal(r->p.nworkers, 0);
	assert_int_equal(r->p.nchecks, REFUSALS_BURST);
	session_over(r, &s, 0);
}

#define CHECK "{\"word\":\"ticket check\",\"args\":{\"ticket\":\"" REF "\"}}"

/* By root, over a connection of its own. */
static void root_says(struct rig *r, struct ipc *c, const char *json)
{
	struct buf b;

	rig_connect(r, "control.sock", c);
	buf_view(&b, json, strlen(json));
	assert_int_equal(ipc_send(c, MSG_CTL_REQUEST, 3, &b, NULL, 0), 0);
	rig_turn(r);
}

static void root_hears(struct rig *r, struct ipc *c, const char *has)
{
	struct ipc_msg m;

	expect(r, c, MSG_CTL_REPLY, &m);
	if (memmem(m.body.data, m.body.len, has, strlen(has)) == NULL)
		fail_msg("%.*s", (int)m.body.len, m.body.data);
	ipc_msg_finish(&m);
	ipc_finish(c);
	rig_turn(r);
}

/* Long before the next look at it. A check that began before the word may have asked before the ticket changed: another one follows it. */
static void an_administrator_has_it_checked_now(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct ipc root[3];
	struct run run;
	int64_t id = checked_way(r, &s);

	root_says(r, &root[0], CHECK);
	expect_run(r, HOOK_TICKET, &run);
	assert_string_equal(told(&run, "ticket"), REF);
	assert_string_equal(told(&run, "when"), "check");
	root_says(r, &root[1], CHECK);
	root_says(r, &root[2], CHECK);
	assert_int_equal(r->p.nworkers, 1); /* never two of one ticket */
	assert_int_equal(r->p.nheld, 3);
	run_over(r, &run, true, "{\"open\": true, \"why\": \"it is in work\"}");
	root_hears(r, &root[0], "Ticket " REF " is open: it is in work.");
	assert_int_equal(r->p.nheld, 2);
	expect_run(r, HOOK_TICKET, &run);
	assert_string_equal(told(&run, "when"), "check");
	run_over(r, &run, true, "{\"open\": false, \"why\": \"it is done\"}");
	root_hears(r, &root[1], "Ticket " REF " is not open: it is done.");
	root_hears(r, &root[2], "\"open\":false");
	expect_end(r, &s, 1);
	expect_state(r, id, TICKET_REVOKED);
	assert_int_equal(r->p.nworkers, 0);
	session_over(r, &s, 0);
}

static void a_check_that_nobody_may_ask_for_is_not_run(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct ipc root;
	struct run run;

	login_alice(r, &s, 0);
	root_says(r, &root, CHECK);
	root_hears(r, &root, "No program is configured");
	program(r, true, false);
	send_words(&s, 1, CHECK);
	expect_words(r, &s, 1, "is not for you");
	assert_int_equal(r->p.nworkers, 0);
	root_says(r, &root, CHECK);
	expect_run(r, HOOK_TICKET, &run);
	run_over(r, &run, false, "");
	root_hears(r, &root, "cannot be checked now");
	session_over(r, &s, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = { T(many_tickets_of_one_user), T(who_is_turned_away_runs_no_check), T(an_administrator_has_it_checked_now),
		T(a_check_that_nobody_may_ask_for_is_not_run) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
