/*
 * test_policy_account_bounds.c - accounts at targets: nobody uses up the uids, and no host, and nobody's grant, keeps another one from its turn.
 *
 * WRAP: task_run clock_wall
 */
#include "policy_rig_account.h"

/* A target that calls each uid used gets none made, and burns one a try. */
static void a_target_cannot_use_up_the_uids(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct account a;
	int64_t room;

	own_grant(r);
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "alice");
	rig_turn(r);
	answer(r, TASK_EXIT, "used 2147483646\n");
	accounts_tick(&r->p);
	expect_account(r, 1, ACCOUNT_REMOVING, 65536);
	was_asked("remove alice 65536 ");
	answer(r, TASK_OK, "gone\n");
	expect_account(r, 1, ACCOUNT_GONE, 65536);
	accounts_tick(&r->p);
	assert_int_equal(store_account(r->p.store, 2, &a), 0); /* not before a pause, */
	assert_int_equal(nasked, 0);
	later += ACCOUNT_PAUSE;
	accounts_tick(&r->p);
	expect_account(r, 2, ACCOUNT_CREATING, 65537);
	for (int i = 0; i < 100; i++) { /* which grows */
		later++;
		accounts_tick(&r->p);
		rig_turn(r);
		if (nasked > 0 && strncmp(asked[0].in, "create", 6) == 0)
			answer(r, TASK_EXIT, "used 2147483646\n");
		else if (nasked > 0)
			answer(r, TASK_OK, "gone\n");
	}
	assert_int_equal(store_account_room(r->p.store, 65536, 99999, &room), 0);
	assert_true(room > 99999 - 65536 - 8);
	session_over(r, &s, 0);
}

/* While nobody logs in, a target that calls each uid used costs fewer and fewer of them, and no other host's account. */
static void who_does_not_wait_burns_no_uids(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t room, at;
	struct account a = { .user_id = r->alice.id, .host_id = r->web1.id };

	r->conf->account_hourly = 2;
	own_grant(r);
	for (int i = 0; i < 3500; i += 5, later += 5) {
		accounts_tick(&r->p);
		rig_turn(r);
		if (nasked > 0 && strncmp(asked[0].in, "create", 6) == 0)
			answer(r, TASK_EXIT, "used 2147483646\n");
		else if (nasked > 0)
			answer(r, TASK_OK, "gone\n");
	}
	assert_int_equal(store_account_room(r->p.store, 65536, 99999, &room), 0);
	assert_in_range(99999 - 65536 + 1 - room, 7, 9); /* 10, 20, 40 s ... */
	/* over the hourly limit they are not, and who logs in gets one sooner */
	own_grant(r);
	assert_int_equal(store_account_hold(r->p.store, &a, 2, clock_wall(), false, &at), HOLD_PAIR);
	assert_true(at > clock_wall() + 60);
	later += ACCOUNT_PAUSE_MAX;
	nasked = 0;
	assert_int_equal(store_account_hold(r->p.store, &a, 2, clock_wall(), true, &at), HOLD_NONE);
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "alice");
	rig_turn(r);
	assert_int_equal(nasked, 1);
	assert_memory_equal(asked[0].in, "create alice ", 13);
	answer(r, TASK_OK, "ok\n");
	dial_ok(r);
	session_over(r, &s, 0);
}

static void without_a_uid(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	free(r->conf->account_uids);
	r->conf->account_uids = strdup("2000-2000");
	own_grant(r);
	accounts_tick(&r->p);
	was_asked("create alice 2000 ");
	answer(r, TASK_EXIT, "used 2000\n");
	accounts_tick(&r->p);
	answer(r, TASK_OK, "gone\n");
	later += ACCOUNT_PAUSE;
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "alice");
	expect_no(r, &s, 1, WAY_BUSY);
	assert_int_equal(nasked, 0);
	session_over(r, &s, 0);
	/* told when it was given, not at each try since */
	for (int i = 0; i < 10; i++)
		accounts_tick(&r->p);
	assert_int_equal(events_of(r, "account.uids"), 1);
	assert_string_equal(event_class("account.uids"), "alarm");
}

/* Of ten one is left: the first alarm; none: another one. A wider range ends it. */
static void the_end_of_the_uids_is_near(void **state)
{
	struct rig *r = *state;
	struct account a = { .user_id = r->alice.id, .host_id = r->web1.id };

	free(r->conf->account_uids);
	r->conf->account_uids = strdup("2000-2009");
	snprintf(a.name, sizeof(a.name), "alice");
	for (int i = 0; i < 8; i++) {
		assert_int_equal(store_account_add(r->p.store, &a, 2000, 2009, 99, clock_wall() - 90000 + 3700 * i), 0);
		a.state = ACCOUNT_REMOVING;
		assert_int_equal(store_account_save(r->p.store, &a), 0);
		a.state = ACCOUNT_GONE;
		assert_int_equal(store_account_save(r->p.store, &a), 0);
	}
	accounts_tick(&r->p);
	assert_int_equal(events_of(r, "account.uids"), 0);
	own_grant(r);
	accounts_tick(&r->p);
	was_asked("create alice 2008 ");
	assert_int_equal(events_of(r, "account.uids"), 1);
	answer(r, TASK_EXIT, "used 2008\n");
	accounts_tick(&r->p);
	answer(r, TASK_OK, "gone\n");
	later += 2 * ACCOUNT_PAUSE; /* nobody waits */
	accounts_tick(&r->p);
	was_asked("create alice 2009 ");
	assert_int_equal(events_of(r, "account.uids"), 2);
}

/* Who is told "not now" is told until when, and nothing was given for it. */
static void the_limit_of_a_person(void **state)
{
	struct rig *r = *state;
	struct account a = { .user_id = r->alice.id };
	struct session_end s;
	struct host h = r->web1;
	int64_t room, before;

	r->conf->account_hourly = 1;
	strcpy(h.name, "db1");
	assert_int_equal(store_host_add(r->p.store, &h, clock_wall()), 0);
	a.host_id = h.id;
	snprintf(a.name, sizeof(a.name), "alice");
	assert_int_equal(store_account_add(r->p.store, &a, 65536, 99999, 1, clock_wall()), 0);
	assert_int_equal(store_account_room(r->p.store, 65536, 99999, &before), 0);
	own_grant(r);
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "alice");
	expect_no(r, &s, 1, WAY_BUSY);
	accounts_tick(&r->p);
	assert_int_equal(store_account_room(r->p.store, 65536, 99999, &room), 0);
	assert_int_equal(room, before);
	nasked = 0;
	/* and it is given when its time has come */
	later += 3601;
	own_grant(r);
	accounts_tick(&r->p);
	expect_account(r, 2, ACCOUNT_CREATING, 65537);
	session_over(r, &s, 0);
}

/* So many hosts, each with an account that nobody wants any more: their rows, without grants. */
static void many_hosts(struct rig *r, int n)
{
	struct account a = { .user_id = r->alice.id };
	struct host h = r->web1;

	snprintf(a.name, sizeof(a.name), "alice");
	assert_int_equal(store_begin(r->p.store), 0);
	for (int i = 0; i < n; i++) {
		snprintf(h.name, sizeof(h.name), "many%d", i);
		assert_int_equal(store_host_add(r->p.store, &h, clock_wall()), 0);
		a.host_id = h.id;
		assert_int_equal(store_account_add(r->p.store, &a, 65536, 99999, 10000, clock_wall()), 0);
	}
	assert_int_equal(store_commit(r->p.store), 0);
}

/* Hosts that hang, more than have a place: each gets its turn before any gets a second one, and who waits for another host is not kept. */
static void no_host_starves_another(void **state)
{
	enum { HOSTS = 300 };
	struct rig *r = *state;
	bool met[HOSTS] = { false };
	int turns = 0, first = 0, last = 0;

	frozen = clock_wall();
	r->conf->account_hourly = 10000;
	many_hosts(r, HOSTS);
	while (first < HOSTS) {
		assert_true(turns++ < 10);
		accounts_tick(&r->p);
		assert_true(nasked > 0 && nasked <= 96);
		for (; nasked > 0; first++) {
			const int uid = atoi(asked[0].in + strlen("remove alice ")) - 65536;

			assert_true(uid >= 0 && uid < HOSTS && !met[uid] && !asked[0].background);
			met[uid] = true;
			answer(r, TASK_UNREACHABLE, "");
		}
	}
	/* all of them hang now: half of the places is what they get, one each */
	later += ACCOUNT_PAUSE;
	accounts_tick(&r->p);
	accounts_tick(&r->p);
	assert_int_equal(nasked, 32);
	for (size_t i = 0; i < nasked; i++) {
		assert_true(asked[i].background);
		assert_true(i == 0 || strcmp(asked[i].host, asked[i - 1].host) != 0);
	}
	last = (int)nasked;
	own_grant(r);
	accounts_tick(&r->p);
	assert_int_equal(nasked, last + 1);
	assert_string_equal(asked[last].host, "web1");
	assert_false(asked[last].background);
}

static void one_account_for_many_grants(void **state)
{
	struct rig *r = *state;
	struct account a = { .user_id = r->alice.id };
	int64_t until, pairs = 0;

	snprintf(a.name, sizeof(a.name), "alice");
	for (int i = 0; i < 3; i++)
		own_grant(r);
	a.host_id = 0;
	for (a.user_id = 0; store_account_wanted(r->p.store, clock_wall(), &a, &until) == 1; pairs++)
		assert_true(a.user_id == r->alice.id && a.host_id == r->web1.id && a.id == 0);
	assert_int_equal(pairs, 1); /* three grants, one account */
	accounts_tick(&r->p);
	a.user_id = a.host_id = 0;
	assert_int_equal(store_account_wanted(r->p.store, clock_wall(), &a, &until), 1);
	assert_int_equal(a.id, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_target_cannot_use_up_the_uids),
		T(who_does_not_wait_burns_no_uids),
		T(without_a_uid),
		T(the_end_of_the_uids_is_near),
		T(the_limit_of_a_person),
		T(no_host_starves_another),
		T(one_account_for_many_grants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
