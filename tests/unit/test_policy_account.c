/*
 * test_policy_account.c - accounts at targets on a whole policy role, with the target played: a login waits for its account and there is none
 * without it, whatever the target answers; what is made is removed until the target confirms.
 *
 * WRAP: task_run clock_wall
 */
#include "policy_rig_account.h"

static void a_login_waits_for_its_account(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	char line[128];

	own_grant(r);
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "alice");
	expect_silence(r, &r->parent);
	snprintf(line, sizeof(line), "create alice 65536 %lld ", (long long)clock_wall() + 3600);
	line[strlen(line) - 4] = '\0'; /* to some seconds */
	was_asked(line);
	/* another way waits for the same one */
	way_ask(&s, 2, "web1", "alice");
	expect_silence(r, &r->parent);
	assert_int_equal(nasked, 1);
	answer(r, TASK_OK, "ok\n");
	expect_account(r, 1, ACCOUNT_THERE, 65536);
	dial_ok(r);
	dial_ok(r);
	session_over(r, &s, 0);
	assert_int_equal(events_of(r, "account.create"), 1);
	assert_int_equal(events_of(r, "account.there"), 1);
	assert_int_equal(events_of(r, "account.uids"), 0);
	/* the next login needs nothing but the dial; a stranger's name none at all */
	login_alice(r, &s, 1);
	way_ask(&s, 1, "web1", "alice");
	dial_ok(r);
	assert_int_equal(nasked, 0);
	way_ask(&s, 2, "web1", "bob");
	rig_turn(r);
	assert_int_equal(nasked, 0);
	session_over(r, &s, 0);
}

/* Nothing but "ok" by a task that ended well is a yes. */
static void no_answer_is_no(void **state)
{
	static const struct { enum task_end end; const char *out; } answers[] = {
		{ TASK_UNREACHABLE, "" }, { TASK_HOSTKEY, "ok\n" }, { TASK_REFUSED, "ok\n" }, { TASK_FAILED, "ok\n" }, { TASK_UNREACHABLE, "ok\n" },
		{ TASK_OK, "" }, { TASK_OK, "gone\n" }, { TASK_OK, "okay\n" }, { TASK_EXIT, "refused no\n" }, { TASK_EXIT, "failed no\n" },
		{ TASK_OK, "ok\nfailed no\n" }, { TASK_EXIT, "ok\n" }, { TASK_EXIT, "gone\n" }, { TASK_EXIT, "\033[2J" },
	};
	struct rig *r = *state;
	struct session_end s;

	own_grant(r);
	login_alice(r, &s, 0);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		way_ask(&s, (uint32_t)i + 1, "web1", "alice");
		rig_turn(r);
		was_asked("create alice 65536 "); /* at once, whatever the pause is by now */
		answer(r, answers[i].end, answers[i].out);
		expect_no(r, &s, (uint32_t)i + 1, WAY_UNREACHABLE);
		expect_silence(r, &r->parent);
		expect_account(r, 1, ACCOUNT_CREATING, 65536);
		accounts_tick(&r->p);
		assert_int_equal(nasked, 0); /* but for nobody there is a pause */
	}
	session_over(r, &s, 0);
}

static void given_up_while_it_is_made(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t id = own_grant(r);

	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "alice");
	rig_turn(r);
	was_asked("create alice 65536 ");
	end_grant(r, id);
	expect_no(r, &s, 1, WAY_REVOKED);
	expect_account(r, 1, ACCOUNT_REMOVING, 65536);
	assert_int_equal(nasked, 1); /* the removal waits for that answer, */
	answer(r, TASK_OK, "ok\n");
	expect_account(r, 1, ACCOUNT_REMOVING, 65536);
	expect_silence(r, &r->parent);
	accounts_tick(&r->p);
	was_asked("remove alice 65536 "); /* and comes whatever it was */
	answer(r, TASK_OK, "ok\n");
	expect_account(r, 1, ACCOUNT_REMOVING, 65536);
	later += ACCOUNT_PAUSE;
	accounts_tick(&r->p);
	answer(r, TASK_OK, "gone\n");
	expect_account(r, 1, ACCOUNT_GONE, 65536);
	/* wanted again: another one */
	own_grant(r);
	later += ACCOUNT_PAUSE;
	accounts_tick(&r->p);
	expect_account(r, 2, ACCOUNT_CREATING, 65537);
	session_over(r, &s, 0);
}

static void a_leftover_is_an_alarm_once(void **state)
{
	struct rig *r = *state;
	int64_t id = own_grant(r), tries = 0;

	accounts_tick(&r->p);
	was_asked("create alice 65536 ");
	answer(r, TASK_OK, "ok\n");
	end_grant(r, id);
	for (int i = 0; i < 3 * 3600; i += 10) {
		if (nasked > 0) {
			was_asked("remove alice 65536 ");
			answer(r, TASK_UNREACHABLE, "");
			tries++;
		}
		if (i == ACCOUNT_LEFT_S - 60)
			assert_int_equal(events_of(r, "account.left"), 0);
		later += 10;
		accounts_tick(&r->p);
	}
	assert_int_equal(events_of(r, "account.left"), 1);
	assert_true(tries > 30 && tries < 60);
	assert_int_equal(events_of(r, "account.fail"), 1); /* the same line is told once */
	assert_string_equal(event_class("account.left"), "alarm");
	expect_account(r, 1, ACCOUNT_REMOVING, 65536);
}

static void a_lock_takes_it_and_an_end_moves(void **state)
{
	struct rig *r = *state;
	char line[64];

	own_grant(r);
	accounts_tick(&r->p);
	answer(r, TASK_OK, "ok\n");
	later += 600;
	own_grant(r);
	accounts_tick(&r->p);
	snprintf(line, sizeof(line), "create alice 65536 %lld ", (long long)clock_wall() + 3600);
	line[strlen(line) - 4] = '\0';
	was_asked(line);
	answer(r, TASK_OK, "ok\n");
	assert_int_equal(events_of(r, "account.until"), 1);
	assert_int_equal(store_user_state(r->p.store, r->alice.id, USER_LOCKED, "x", clock_wall()), 0);
	accounts_tick(&r->p);
	was_asked("remove alice 65536 ");
	answer(r, TASK_OK, "gone\n");
	expect_account(r, 1, ACCOUNT_GONE, 65536);
	accounts_tick(&r->p);
	assert_int_equal(nasked, 0);
}

/* The host has it, by name and uid, and says that it is another bastion's, as after a backup from another life: nothing is over, and it is told. */
static void what_is_foreign_is_a_leftover(void **state)
{
	struct rig *r = *state;
	int64_t id = own_grant(r);

	accounts_tick(&r->p);
	answer(r, TASK_OK, "ok\n");
	end_grant(r, id);
	was_asked("remove alice 65536 ");
	answer(r, TASK_EXIT, "foreign the account alice of uid 65536 is that of the bastion x\n");
	expect_account(r, 1, ACCOUNT_REMOVING, 65536);
	assert_int_equal(events_of(r, "account.left"), 1);
	for (int i = 0; i < 3; i++) {
		later += ACCOUNT_LEFT_S;
		accounts_tick(&r->p);
		was_asked("remove alice 65536 ");
		answer(r, TASK_EXIT, "foreign the account alice of uid 65536 is that of the bastion x\n");
	}
	assert_int_equal(events_of(r, "account.left"), 1); /* once */
	expect_account(r, 1, ACCOUNT_REMOVING, 65536);
	later += ACCOUNT_PAUSE_MAX;
	accounts_tick(&r->p);
	answer(r, TASK_OK, "gone\n"); /* its own end came */
	expect_account(r, 1, ACCOUNT_GONE, 65536);
}

/* The host is removed, and its account is nevertheless. */
static void a_removed_host_is_asked_still(void **state)
{
	struct rig *r = *state;

	own_grant(r);
	accounts_tick(&r->p);
	answer(r, TASK_OK, "ok\n");
	assert_int_equal(store_host_remove(r->p.store, r->web1.id, clock_wall()), 0);
	accounts_tick(&r->p);
	was_asked("remove alice 65536 ");
	answer(r, TASK_OK, "gone\n");
	expect_account(r, 1, ACCOUNT_GONE, 65536);
}

static void who_left_is_waited_for_by_nobody(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	own_grant(r);
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "alice");
	rig_turn(r);
	session_over(r, &s, 0);
	answer(r, TASK_OK, "ok\n");
	expect_account(r, 1, ACCOUNT_THERE, 65536);
	expect_silence(r, &r->parent);
}

/* No room for a task now: the next second tries again, and the way waits. No uid left: it ends. */
static void without_room(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	full = true;
	own_grant(r);
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "alice");
	rig_turn(r);
	assert_int_equal(nasked, 0);
	full = false;
	accounts_tick(&r->p);
	was_asked("create alice 65536 ");
	answer(r, TASK_OK, "ok\n");
	dial_ok(r);
	session_over(r, &s, 0);
}

/* An older failure says nothing about now: a login is refused when its own try failed, and waits for a place until then. */
static void an_old_failure_refuses_nobody(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	own_grant(r);
	accounts_tick(&r->p);
	was_asked("create alice 65536 ");
	answer(r, TASK_EXIT, "failed no\n");
	full = true;
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "alice");
	for (int i = 0; i < 3; i++) {
		expect_silence(r, &r->parent);
		expect_silence(r, &s.link);
		accounts_tick(&r->p);
	}
	full = false;
	accounts_tick(&r->p);
	was_asked("create alice 65536 ");
	answer(r, TASK_OK, "ok\n");
	dial_ok(r);
	session_over(r, &s, 0);
}

/* At a host that is slow who waits goes first, one at a time; nobody's work is background. A question of what is there alone is a look. */
static void who_waits_is_not_background(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	slow_heard(&r->p, r->web1.id, TASK_UNREACHABLE, TASK_LIMIT_MS);
	own_grant(r);
	accounts_tick(&r->p);
	assert_true(nasked == 1 && asked[0].background && !asked[0].look);
	answer(r, TASK_UNREACHABLE, "");
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "alice");
	rig_turn(r);
	assert_true(nasked == 1 && !asked[0].background && !asked[0].look);
	answer(r, TASK_OK, "ok\n");
	dial_ok(r);
	session_over(r, &s, 0);
	later += ACCOUNT_FRESH_S;
	login_alice(r, &s, 1);
	way_ask(&s, 1, "web1", "alice");
	rig_turn(r);
	assert_true(nasked == 1 && !asked[0].background && asked[0].look);
	answer(r, TASK_OK, "ok\n");
	dial_ok(r);
	session_over(r, &s, 0);
}

/* What the target said a while ago is asked again; what is not there any more lets nobody in, and is not made again. */
static void it_is_confirmed_again(void **state)
{
	static const struct { enum task_end end; const char *out; } no[] = {
		{ TASK_EXIT, "refused the account alice is not there any more\n" }, { TASK_EXIT, "used 65536\n" }, { TASK_UNREACHABLE, "" },
		{ TASK_EXIT, "refused the account alice is another bastion's\n" }, { TASK_OK, "gone\n" },
	};
	char id[BASTION_ID_LEN + 1];
	struct rig *r = *state;
	struct session_end s;
	uint32_t way = 0;

	own_grant(r);
	accounts_tick(&r->p);
	assert_int_equal(store_bastion_id(r->p.store, id), 0);
	was_asked("create alice 65536 ");
	assert_non_null(strstr(asked[0].in, id));
	answer(r, TASK_OK, "ok\n");
	login_alice(r, &s, 0);
	way_ask(&s, ++way, "web1", "alice");
	dial_ok(r); /* a moment ago */
	session_over(r, &s, 0);
	login_alice(r, &s, 1);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		later += ACCOUNT_FRESH_S;
		way_ask(&s, ++way, "web1", "alice");
		expect_silence(r, &r->parent);
		was_asked("create alice 65536 ");
		answer(r, no[i].end, no[i].out);
		expect_no(r, &s, way, WAY_UNREACHABLE);
		expect_silence(r, &r->parent);
		expect_account(r, 1, ACCOUNT_THERE, 65536);
		accounts_tick(&r->p);
		assert_int_equal(nasked, 0);
	}
	/* of which one policy that retired is no other */
	r->p.retired = true;
	way_ask(&s, ++way, "web1", "alice");
	rig_turn(r);
	was_asked("create alice 65536 ");
	answer(r, TASK_OK, "ok\n");
	dial_ok(r);
	r->p.retired = false;
	assert_int_equal(events_of(r, "account.create"), 1);
	session_over(r, &s, 0);
}

/*
 * The target removed it at the end that it knew, as it should, when a grant goes on here: the next account is made. One that somebody removed
 * in the middle is not.
 */
static void a_uid_that_was_used_ends_the_row_near_its_end(void **state)
{
	static const struct { int64_t until, now; enum account_state state; } table[] = {
		{ 5000, 100, ACCOUNT_THERE }, { 5000, 5000 - ACCOUNT_CLOCK_S - 1, ACCOUNT_THERE },
		{ 5000, 5000 - ACCOUNT_CLOCK_S, ACCOUNT_REMOVING },	/* its clock is ahead */
		{ 9000, 100, ACCOUNT_REMOVING }, { 9000, 5000, ACCOUNT_REMOVING }, { 9000, 6000, ACCOUNT_REMOVING },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct account a = { .state = ACCOUNT_THERE, .expiry = 5000, .checked = 90 };
		struct account_answer r = { .reply = REPLY_USED };

		assert_int_equal(account_take(&a, ACCOUNT_CREATE, table[i].until, &r, table[i].now), table[i].state == ACCOUNT_REMOVING);
		assert_int_equal(a.state, table[i].state);
		assert_false(account_ready(&a, table[i].until, table[i].now));
		assert_string_equal(a.line, a.state == ACCOUNT_THERE ? "it was removed at the host" : "");
		if (a.state == ACCOUNT_THERE)
			continue;
		assert_int_equal(account_due(&a, table[i].until, table[i].now), ACCOUNT_REMOVE);
		r.reply = REPLY_GONE;
		assert_true(account_take(&a, ACCOUNT_REMOVE, 0, &r, table[i].now) && a.state == ACCOUNT_GONE);
	}
}

/* The target's own timer removed the account when a second grant begins at the end of the first: a new account, and the login goes on. */
static void a_renewal_that_meets_the_end(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	own_grant(r);
	accounts_tick(&r->p);
	was_asked("create alice 65536 ");
	answer(r, TASK_OK, "ok\n");
	later += 3598;
	own_grant(r);
	later += 2;
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "alice");
	rig_turn(r);
	was_asked("create alice 65536 "); /* with the new end */
	answer(r, TASK_EXIT, "used 65536\n");
	expect_account(r, 1, ACCOUNT_REMOVING, 65536);
	accounts_tick(&r->p);
	was_asked("remove alice 65536 ");
	answer(r, TASK_OK, "gone\n");
	expect_account(r, 1, ACCOUNT_GONE, 65536);
	expect_silence(r, &r->parent); /* it still waits */
	later += ACCOUNT_PAUSE;
	accounts_tick(&r->p);
	was_asked("create alice 65537 ");
	answer(r, TASK_OK, "ok\n");
	expect_account(r, 2, ACCOUNT_THERE, 65537);
	dial_ok(r);
	assert_int_equal(events_of(r, "account.fail"), 0);
	session_over(r, &s, 0);
}

static void another_version_at_the_host(void **state)
{
	struct rig *r = *state;
	const struct task_result usage = { .end = TASK_EXIT, .status = 2, .out = "", .line = "usage: bastion-account create NAME" };
	struct account a;

	own_grant(r);
	accounts_tick(&r->p);
	assert_int_equal(nasked, 1);
	nasked = 0;
	asked[0].done(&r->p, asked[0].arg, &usage);
	assert_int_equal(store_account(r->p.store, 1, &a), 1);
	assert_non_null(strstr(a.line, "another version"));
	assert_non_null(strstr(a.line, "hosts come before the bastion"));
	assert_int_equal(a.state, ACCOUNT_CREATING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_login_waits_for_its_account),
		T(no_answer_is_no),
		T(given_up_while_it_is_made),
		T(a_leftover_is_an_alarm_once),
		T(a_lock_takes_it_and_an_end_moves),
		T(what_is_foreign_is_a_leftover),
		T(a_removed_host_is_asked_still),
		T(who_left_is_waited_for_by_nobody),
		T(without_room),
		T(an_old_failure_refuses_nobody),
		T(who_waits_is_not_background),
		T(it_is_confirmed_again),
		cmocka_unit_test(a_uid_that_was_used_ends_the_row_near_its_end),
		T(a_renewal_that_meets_the_end),
		T(another_version_at_the_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
