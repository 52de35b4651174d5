/*
 * test_policy_hook.c - outside tickets and notifications on a whole policy role: who waits, who goes on, what a verdict ends, and
 * that no failure is a yes.
 */
#include "policy_rig_hook.h"

static void an_open_ticket_opens_a_way(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct run run;
	int64_t id;

	program(r, true, false);
	id = grant_on(r, REF);
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "dba");
	expect_run(r, HOOK_TICKET, &run);
	assert_string_equal(told(&run, "ticket"), REF);
	assert_string_equal(told(&run, "when"), "login");
	assert_string_equal(told(&run, "user"), "alice");
	run_over(r, &run, true, "{\"open\": true, \"why\": \"its status is open\"}");
	dial_ok(r);
	sign(r, id, clock_wall() + 3600);
	expect_ok(r, &s, 1, id, "CERT", 1);
	/* a grant without a ticket waits for nobody */
	way_ask(&s, 2, "web1", "dba");
	expect_run(r, HOOK_TICKET, &run);
	run_over(r, &run, true, "{\"open\": true}");
	dial_ok(r);
	session_over(r, &s, 0);
	assert_int_equal(r->p.nworkers, 0);
}

/*
 * `ssh -J` names the host first, which is dialled then, and that socket waits a time for the login. Once that is named its time is over: a
 * check may last longer.
 */
static void a_check_may_last_longer_than_an_early_socket_waits(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct ipc_msg m;
	struct run run;
	struct way *w;
	int64_t id;

	program(r, true, false);
	id = grant_on(r, REF);
	login_alice(r, &s, 0);
	send_host(&s, 7, "web1");
	expect(r, &s.link, MSG_HOST_RE, &m);
	ipc_msg_finish(&m);
	dial_ok(r);
	w = peer_of(r, &s)->ways[0];
	assert_int_equal(w->stage, WAY_EARLY);
	assert_true(evtimer_pending(w->deadline, NULL));
	way_ask(&s, 1, "web1", "dba");
	expect_run(r, HOOK_TICKET, &run);
	assert_ptr_equal(peer_of(r, &s)->ways[0], w);
	assert_int_equal(w->stage, WAY_CHECKING);
	assert_false(evtimer_pending(w->deadline, NULL));
	run_over(r, &run, true, "{\"open\": true}");
	assert_true(evtimer_pending(w->deadline, NULL)); /* the rest has its own */
	sign(r, id, clock_wall() + 3600);
	expect_ok(r, &s, 1, id, "CERT", 1);
	session_over(r, &s, 0);
}

/* Nothing but {"open": true} by a program that ended well is a yes. */
static void no_answer_is_no(void **state)
{
	static const struct { bool ok; const char *text; } answers[] = {
		{ false, "" }, { false, "{\"open\": true}" }, { true, "" }, { true, "open" }, { true, "{}" }, { true, "{\"open\": 1}" },
		{ true, "{\"open\": \"true\"}" }, { true, "[true]" }, { true, "{\"open\": true, \"open\": true}" }, { true, "{\"open\": true} x" },
	};
	struct rig *r = *state;
	struct session_end s;
	struct run run;
	int64_t id;

	program(r, true, false);
	id = grant_on(r, REF);
	login_alice(r, &s, 0);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		way_ask(&s, 1, "web1", "dba");
		expect_run(r, HOOK_TICKET, &run);
		run_over(r, &run, answers[i].ok, answers[i].text);
		expect_no(r, &s, 1, WAY_REVOKED);
	}
	/* the worker dies without a word */
	way_ask(&s, 1, "web1", "dba");
	expect_run(r, HOOK_TICKET, &run);
	worker_end(r, &run.worker, run.id);
	json_decref(run.input);
	expect_no(r, &s, 1, WAY_REVOKED);
	expect_state(r, id, TICKET_APPROVED); /* nobody said that it is closed */
	session_over(r, &s, 0);
}

/* The ticket of the grant that lasts longest does not do: the next one is asked about, and one that rests on none is taken. */
static void a_login_goes_on_under_another_grant(void **state)
{
	static const char *const answers[] = { "{\"open\": false, \"why\": \"done\"}", "" };
	struct rig *r = *state;
	struct session_end s;
	int64_t closed[2], plain;
	struct run run;

	program(r, true, false);
	closed[1] = grant_of(r, (struct ticket){ .needed = 1, .duration = 7000, .ref = "OPS-8" });
	closed[0] = grant_of(r, (struct ticket){ .needed = 1, .duration = 7200, .ref = REF });
	grant_of(r, (struct ticket){ .needed = 1, .duration = 7100, .ref = REF });
	plain = grant_of(r, (struct ticket){ .needed = 1 });
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "dba");
	for (size_t i = 0; i < 2; i++) { /* once for two grants on one ticket */
		expect_run(r, HOOK_TICKET, &run);
		assert_string_equal(told(&run, "ticket"), i == 0 ? REF : "OPS-8");
		run_over(r, &run, answers[i][0] != '\0', answers[i]);
	}
	dial_ok(r);
	sign(r, plain, clock_wall() + 3600);
	expect_ok(r, &s, 1, plain, "CERT", 1);
	expect_state(r, closed[0], TICKET_REVOKED);
	expect_state(r, closed[1], TICKET_APPROVED);
	session_over(r, &s, 0);
}

static void a_closed_ticket_ends_what_rests_on_it(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct run run;
	int64_t id, other;

	program(r, true, false);
	r->conf->ticket_check_every = 1000;
	other = grant_on(r, "OPS-8");
	id = grant_on(r, REF); /* of two the newer one is used */
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "dba");
	expect_run(r, HOOK_TICKET, &run);
	run_over(r, &run, true, "{\"open\": true}");
	dial_ok(r);
	sign(r, id, clock_wall() + 3600);
	expect_ok(r, &s, 1, id, "CERT", 1);
	assert_int_equal(ipc_send_empty(&s.link, MSG_WAY_UP, 1), 0);
	/* the tick asks again by itself */
	expect_run(r, HOOK_TICKET, &run);
	assert_string_equal(told(&run, "when"), "running");
	run_over(r, &run, true, "{\"open\": false, \"why\": \"done\\u001b[31m\"}");
	expect_end(r, &s, 1);
	expect_state(r, id, TICKET_REVOKED);
	expect_state(r, other, TICKET_APPROVED);
	session_over(r, &s, 0);
}

/* One failure ends nothing; three in a row end the session, and the grant stays. */
static void a_server_that_is_gone_ends_sessions(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct run run;
	int64_t id;

	program(r, true, false);
	r->conf->ticket_check_every = 1000;
	id = grant_on(r, REF);
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "dba");
	expect_run(r, HOOK_TICKET, &run);
	run_over(r, &run, true, "{\"open\": true}");
	dial_ok(r);
	sign(r, id, clock_wall() + 3600);
	expect_ok(r, &s, 1, id, "CERT", 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(peer_of(r, &s)->ways[0]->ending_ms, 0);
		assert_int_equal(events_of(r, "ticket.unknown"), 0);
		expect_run(r, HOOK_TICKET, &run);
		run_over(r, &run, false, "");
	}
	expect_end(r, &s, 1);
	assert_int_equal(events_of(r, "ticket.unknown"), 1);
	expect_state(r, id, TICKET_ACTIVE);
	session_over(r, &s, 0);
}

/* A channel gets nothing from a grant whose ticket nobody looked at, and keeps what its own grant gives. */
static void a_second_grant_is_checked_as_well(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t id = checked_way(r, &s), other;

	other = files_on(r, "OPS-8");
	channel(r, &s, "sftp", 0);
	expect_state(r, other, TICKET_APPROVED);
	grant_on(r, "OPS-9");
	channel(r, &s, "shell", 1); /* the newer grant would want a check, the way's own had it */
	assert_int_equal(peer_of(r, &s)->ways[0]->tickets[0], id);
	assert_int_equal(peer_of(r, &s)->ways[0]->tickets[1], 0);
	other = files_on(r, REF);
	assert_int_equal(channel_joins(r, &s, "sftp"), other);
	assert_int_equal(peer_of(r, &s)->ways[0]->tickets[1], other);
	session_over(r, &s, 0);
}

/* Nobody was asked when the second one was taken; since there is somebody both are watched. */
static void each_ticket_of_a_way_is_watched(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct run run[2];
	int64_t id;

	r->conf->ticket_check_every = 1000;
	way_open_on(r, &s, id = grant_on(r, REF), 3600);
	files_on(r, "OPS-8");
	channel_joins(r, &s, "sftp");
	program(r, true, false);
	expect_run(r, HOOK_TICKET, &run[0]);
	expect_run(r, HOOK_TICKET, &run[1]);
	assert_string_not_equal(told(&run[0], "ticket"), told(&run[1], "ticket"));
	for (int i = 0; i < 2; i++)
		run_over(r, &run[i], true, strcmp(told(&run[i], "ticket"), REF) == 0 ? "{\"open\": true}" : "{\"open\": false}");
	expect_end(r, &s, 1);
	expect_state(r, id, TICKET_ACTIVE);
	session_over(r, &s, 0);
}

#define ASK "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":60,\"reason\":\"x\",\"ticket\":\"" REF "\"}}"

static void words_wait_for_their_ticket(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct run run;

	program(r, true, false);
	login_alice(r, &s, 0);
	send_words(&s, 1, ASK);
	expect_run(r, HOOK_TICKET, &run);
	assert_string_equal(told(&run, "when"), "request");
	send_words(&s, 2, "{\"word\":\"hosts\"}");
	expect_words(r, &s, 2, "waits for its ticket");
	run_over(r, &run, true, "{\"open\": false, \"why\": \"it is done\"}");
	expect_words(r, &s, 1, "The ticket is not open: it is done");
	send_words(&s, 3, ASK);
	expect_run(r, HOOK_TICKET, &run);
	run_over(r, &run, false, "");
	expect_words(r, &s, 3, "cannot be checked now");
	send_words(&s, 4, ASK);
	expect_run(r, HOOK_TICKET, &run);
	run_over(r, &run, true, "{\"open\": true}");
	expect_words(r, &s, 4, "\"ok\":true");
	/* one that leaves meanwhile */
	send_words(&s, 5, ASK);
	expect_run(r, HOOK_TICKET, &run);
	session_over(r, &s, 0);
	assert_int_equal(r->p.nheld, 0);
	run_over(r, &run, true, "{\"open\": true}");
	assert_int_equal(r->p.nworkers, 0);
}

#define ASK_WAIT "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":60,\"reason\":\"x\",\"wait\":true}}"

/* The ticket that the newest request of alice is. */
static int64_t newest(struct rig *r)
{
	json_t *rows = store_list(r->p.store, LIST_REQUESTS, &(struct list_ask){ .all = true, .limit = 100, .now = clock_wall() });
	int64_t id = 0;

	for (size_t i = 0; i < json_array_size(rows); i++) {
		int64_t one = json_integer_value(json_object_get(json_array_get(rows, i), "id"));

		id = one > id ? one : id;
	}
	json_decref(rows);
	return id;
}

/* A word that waits is carried out while others are told how theirs was decided: it waits on, for its own. */
static void who_waits_waits_for_their_own(void **state)
{
	struct rig *r = *state;
	struct session_end s[3];
	struct ticket t;

	for (int i = 0; i < 3; i++)
		login_alice(r, &s[i], i - 1);
	for (int i = 0; i < 3; i++) {
		send_words(&s[i], 1, ASK_WAIT);
		rig_turn(r);
		assert_int_equal(r->p.nwaiters, 1);
		/* decided elsewhere, which the next word finds out */
		assert_int_equal(store_ticket(r->p.store, newest(r), &t), 1);
		assert_int_equal(store_ticket_move(r->p.store, &t, ACT_DENY, "bob", "no", clock_wall()), 1);
		if (i > 0)
			expect_words(r, &s[i - 1], 1, "denied");
	}
	live_run(&r->p);
	expect_words(r, &s[2], 1, "denied");
	assert_int_equal(r->p.nwaiters, 0);
	for (int i = 0; i < 3; i++)
		session_over(r, &s[i], 0);
}

static bool tells(const struct run *run, const char *name)
{
	const json_t *tell = json_object_get(run->input, "tell");
	bool found = false;

	for (size_t i = 0; i < json_array_size(tell); i++)
		found = found || strcmp(json_string_value(json_array_get(tell, i)), name) == 0;
	return found;
}

static void events_are_told_once_each(void **state)
{
	struct rig *r = *state;
	struct run run;
	json_t *tell;

	program(r, false, true);
	notify_tick(&r->p, 0); /* the start is no news */
	assert_int_equal(event_writef(r->p.store, clock_wall(), EVENT_REQUEST, "alice", "alice", "{s:i,s:s}", "request", 7, "role", "dba"), 0);
	assert_int_equal(event_writef(r->p.store, clock_wall(), EVENT_START, "bastiond", NULL, NULL), 0); /* in no class */
	assert_int_equal(event_writef(r->p.store, clock_wall(), EVENT_DENY, "bob", "alice", NULL), 0);
	expect_run(r, HOOK_NOTIFY, &run);
	assert_string_equal(told(&run, "class"), "request");
	assert_string_equal(told(&run, "kind"), "request");
	tell = json_object_get(run.input, "tell");
	assert_int_equal(json_array_size(tell), 1);
	assert_string_equal(json_string_value(json_array_get(tell, 0)), "bob");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(run.input, "detail"), "request")), 7);
	run_over(r, &run, true, "");
	/* one that fails is tried once more */
	expect_run(r, HOOK_NOTIFY, &run);
	assert_string_equal(told(&run, "class"), "decided");
	run_over(r, &run, false, "");
	expect_run(r, HOOK_NOTIFY, &run);
	assert_string_equal(told(&run, "class"), "decided");
	run_over(r, &run, false, "");
	notify_tick(&r->p, 0);
	rig_turn(r);
	assert_int_equal(r->p.nworkers, 0);
	/* the end of a grant is told to who has it */
	assert_int_equal(event_writef(r->p.store, clock_wall(), EVENT_GRANT_ENDING, "bastiond", "alice", "{s:i}", "request", 7), 0);
	notify_tick(&r->p, 0);
	expect_run(r, HOOK_NOTIFY, &run);
	assert_string_equal(told(&run, "class"), "reminder");
	tell = json_object_get(run.input, "tell");
	assert_int_equal(json_array_size(tell), 1);
	assert_string_equal(json_string_value(json_array_get(tell, 0)), "alice");
	run_over(r, &run, true, "");
	/* an alarm is the staff's; one of codes that are guessed is the owner's, too */
	assert_int_equal(event_writef(r->p.store, clock_wall(), EVENT_OTP_GUESSED, "bastiond", "alice", NULL), 0);
	notify_tick(&r->p, 0);
	expect_run(r, HOOK_NOTIFY, &run);
	assert_string_equal(told(&run, "class"), "alarm");
	assert_true(tells(&run, "alice"));
	run_over(r, &run, true, "");
}

/* A program that never ends keeps nobody waiting, and the queue is bounded: what did not fit is counted, and told. */
static void a_flood_is_counted(void **state)
{
	struct rig *r = *state;
	struct run two[2], run;
	size_t told_out = 0;

	program(r, false, true);
	notify_tick(&r->p, 0);
	assert_int_equal(store_begin(r->p.store), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(event_write(r->p.store, clock_wall(), EVENT_DENY, "bob", "alice", NULL), 0);
	assert_int_equal(store_commit(r->p.store), 0);
	expect_run(r, HOOK_NOTIFY, &two[0]);
	expect_run(r, HOOK_NOTIFY, &two[1]);
	for (int i = 0; i < 40; i++)
		notify_tick(&r->p, 0);
	assert_int_equal(r->p.nworkers, 2);
	run_over(r, &two[0], true, "");
	run_over(r, &two[1], true, "");
	for (int i = 0; i < 400 && told_out == 0; i++) {
		expect_run(r, HOOK_NOTIFY, &run);
		if (strcmp(told(&run, "kind"), "notify.left-out") == 0)
			told_out = (size_t)json_integer_value(json_object_get(json_object_get(run.input, "detail"), "count"));
		run_over(r, &run, true, "");
	}
	assert_true(told_out > 500 && told_out < 1000);
}

/* What is too long for a run is cut: nothing stands before the others for ever. */
static void a_long_one_is_cut(void **state)
{
	struct rig *r = *state;
	static char detail[8200];
	char name[32];
	struct run run;
	struct user u;
	size_t n;

	program(r, false, true);
	notify_tick(&r->p, 0);
	for (int i = 0; i < 4000; i++)
		strcat(detail, "\u00e9"); /* two bytes here, six in plain ASCII */
	assert_int_equal(event_writef(r->p.store, clock_wall(), EVENT_DENY, "bob", "alice", "{s:s}", "why", detail), 0);
	expect_run(r, HOOK_NOTIFY, &run);
	assert_string_equal(told(&run, "class"), "decided");
	assert_true(json_is_true(json_object_get(json_object_get(run.input, "detail"), "cut")));
	assert_int_equal(json_array_size(json_object_get(run.input, "tell")), 1);
	run_over(r, &run, true, "");
	assert_int_equal(store_begin(r->p.store), 0);
	for (int i = 0; i < 1500; i++) {
		snprintf(name, sizeof(name), "auditor-of-much-%d", i);
		add_user_as(r->p.store, &u, name, USER_HUMAN, true, NULL, 0);
	}
	assert_int_equal(store_commit(r->p.store), 0);
	assert_int_equal(event_writef(r->p.store, clock_wall(), EVENT_ALARM, "bastiond", NULL, "{s:s}", "why", "x"), 0);
	expect_run(r, HOOK_NOTIFY, &run);
	assert_string_equal(told(&run, "class"), "alarm");
	assert_true(json_is_true(json_object_get(run.input, "tell_cut")));
	n = json_array_size(json_object_get(run.input, "tell"));
	assert_true(n > 100 && n < 1500);
	run_over(r, &run, true, "");
}

/* A list of users has pages. */
static void all_of_the_staff_is_told(void **state)
{
	struct rig *r = *state;
	char name[32];
	struct run run;
	struct user u;
	json_t *tell;

	program(r, false, true);
	notify_tick(&r->p, 0);
	assert_int_equal(store_begin(r->p.store), 0);
	for (int i = 0; i < 1100; i++) {
		snprintf(name, sizeof(name), "user-%d", i);
		add_user(r->p.store, &u, name, USER_HUMAN, NULL, 0);
	}
	add_user_as(r->p.store, &u, "zoe", USER_HUMAN, true, NULL, 0);
	assert_int_equal(store_commit(r->p.store), 0);
	assert_int_equal(event_writef(r->p.store, clock_wall(), EVENT_ALARM, "bastiond", NULL, "{s:s}", "why", "x"), 0);
	expect_run(r, HOOK_NOTIFY, &run);
	tell = json_object_get(run.input, "tell");
	assert_int_equal(json_array_size(tell), 1);
	assert_string_equal(json_string_value(json_array_get(tell, 0)), "zoe");
	run_over(r, &run, true, "");
}

/* No process can be had for a run: it is counted as left out, and told when there is one. */
static void what_cannot_be_run_makes_way(void **state)
{
	struct rig *r = *state;
	const uint32_t max = r->conf->max_workers;
	struct run run;

	program(r, false, true);
	notify_tick(&r->p, 0);
	assert_int_equal(event_write(r->p.store, clock_wall(), EVENT_DENY, "bob", "alice", NULL), 0);
	r->conf->max_workers = 0;
	for (int i = 0; i < 2; i++)
		notify_tick(&r->p, 0);
	r->conf->max_workers = max;
	expect_run(r, HOOK_NOTIFY, &run);
	assert_string_equal(told(&run, "kind"), "notify.left-out");
	run_over(r, &run, true, "");
}

/* The other policy tells what comes; what waits here is told here. */
static void a_retired_policy_tells_what_it_has(void **state)
{
	struct rig *r = *state;
	struct run two[2], run;

	program(r, false, true);
	notify_tick(&r->p, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(event_write(r->p.store, clock_wall(), EVENT_DENY, "bob", "alice", NULL), 0);
	expect_run(r, HOOK_NOTIFY, &two[0]);
	expect_run(r, HOOK_NOTIFY, &two[1]);
	r->p.retired = true;
	assert_int_equal(event_write(r->p.store, clock_wall(), EVENT_CANCEL, "bob", "alice", NULL), 0);
	run_over(r, &two[0], true, "");
	run_over(r, &two[1], true, "");
	expect_run(r, HOOK_NOTIFY, &run);
	assert_string_equal(told(&run, "kind"), "request.deny");
	run_over(r, &run, true, "");
	notify_tick(&r->p, 0);
	rig_turn(r);
	assert_int_equal(r->p.nworkers, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_open_ticket_opens_a_way), T(a_check_may_last_longer_than_an_early_socket_waits), T(no_answer_is_no), T(a_login_goes_on_under_another_grant), T(a_closed_ticket_ends_what_rests_on_it),
		T(a_server_that_is_gone_ends_sessions), T(a_second_grant_is_checked_as_well),
		T(each_ticket_of_a_way_is_watched), T(words_wait_for_their_ticket), T(who_waits_waits_for_their_own), T(events_are_told_once_each), T(a_flood_is_counted),
		T(a_long_one_is_cut), T(all_of_the_staff_is_told), T(what_cannot_be_run_makes_way), T(a_retired_policy_tells_what_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
