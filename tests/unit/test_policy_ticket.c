/*
 * test_policy_ticket.c - outside tickets that one user names by the thousand: others get to theirs all the same.
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

	program(r, true, false);
	r->conf->ticket_check_every = 3600000;
	id = grant_on(r, REF);
	login_alice(r, &live, 0);
	way_ask(&live, 1, "web1", "dba");
	expect_run(r, HOOK_TICKET, &run);
	run_over(r, &run, true, "{\"open\": true}");
	dial_ok(r);
	sign(r, id, clock_wall() + 3600);
	expect_ok(r, &live, 1, id, "CERT", 1);
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

#define T(name) cmocka_unit_test_setup_teardown(name, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = { T(many_tickets_of_one_user), T(who_is_turned_away_runs_no_check) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
