/*
 * test_policy_account.c - accounts at targets on a whole policy role, with the target played: a login waits for its account and there is none
 * without it, whatever the target answers; what is made is removed until the target confirms.
 *
 * WRAP: task_run clock_wall
 */
#include "policy_rig_grant.h"

#include "policy_account.h"
#include "policy_task.h"
#include "store_account.h"

#define ASKED_MAX 16

/* What targets were asked and have not answered, oldest first. */
static struct asked {
	char host[HOST_NAME_MAX_LEN + 1], login[LOGIN_MAX + 1], command[256], in[128];
	task_done *done;
	void *arg;
} asked[ASKED_MAX];
static size_t nasked;
static bool full;		/* no task is taken */
static int64_t later;		/* seconds that the clock is ahead */

int __wrap_task_run(struct policy *p, const struct task *t);
int64_t __wrap_clock_wall(void);
int64_t __real_clock_wall(void);

int64_t __wrap_clock_wall(void)
{
	return __real_clock_wall() + later;
}

int __wrap_task_run(struct policy *p, const struct task *t)
{
	struct asked *a = &asked[nasked];

	(void)p;
	if (full)
		return -1;
	assert_true(nasked < ASKED_MAX && t->how == TASK_CERTIFICATE && t->in_len < sizeof(a->in));
	snprintf(a->host, sizeof(a->host), "%s", t->host->name);
	snprintf(a->login, sizeof(a->login), "%s", t->login);
	snprintf(a->command, sizeof(a->command), "%s", t->command);
	memcpy(a->in, t->in, t->in_len);
	a->in[t->in_len] = '\0';
	a->done = t->done;
	a->arg = t->arg;
	nasked++;
	return 0;
}

/* The oldest question is answered. */
static void answer(struct rig *r, enum task_end end, const char *out)
{
	const struct asked a = asked[0];
	const struct task_result result = { .end = end, .out = out, .out_len = strlen(out), .line = end == TASK_UNREACHABLE ? "no route" : "" };

	assert_true(nasked > 0);
	memmove(asked, asked + 1, --nasked * sizeof(asked[0]));
	a.done(&r->p, a.arg, &result);
	rig_turn(r);
}

/* "create alice 65536 " is what was asked. */
static void was_asked(const char *begin)
{
	if (nasked != 1 || strncmp(asked[0].in, begin, strlen(begin)) != 0)
		fail_msg("%zu asked, %s", nasked, nasked > 0 ? asked[0].in : "");
	assert_string_equal(asked[0].host, "web1");
	assert_string_equal(asked[0].login, "root");
	assert_string_equal(asked[0].command, "/usr/local/sbin/bastion-account");
}

static int64_t events_of(struct rig *r, const char *kind)
{
	json_t *list = store_list(r->p.store, LIST_EVENTS, &(struct list_ask){ .limit = 1000 });
	int64_t n = 0;

	for (size_t i = 0; i < json_array_size(list); i++)
		n += strcmp(json_string_value(json_object_get(json_array_get(list, i), "kind")), kind) == 0;
	json_decref(list);
	return n;
}

static void expect_account(struct rig *r, int64_t id, enum account_state state, int64_t uid)
{
	struct account a;

	assert_int_equal(store_account(r->p.store, id, &a), 1);
	assert_string_equal(account_state_name(a.state), account_state_name(state));
	assert_int_equal(a.uid, uid);
}

/* web1 makes accounts, and alice has a grant of an hour for hers: its number. */
static int64_t own_grant(struct rig *r)
{
	const int64_t now = clock_wall();
	struct ticket t = { .user_id = r->alice.id, .by_id = r->alice.id, .host_id = r->web1.id, .role_id = r->dba.id, .caps = r->dba.caps,
		.duration = 3600, .needed = 1, .asked_at = now, .lapse_at = now + 3600 };

	strcpy(r->web1.logins, "dba " LOGIN_SELF);
	assert_int_equal(store_host_change(r->p.store, &r->web1), 0);
	strcpy(t.login, LOGIN_SELF);
	strcpy(t.reason, "test");
	assert_int_equal(store_ticket_add(r->p.store, &t), 0);
	assert_int_equal(store_verdict(r->p.store, &t, &r->bob, true, "yes", now), 1);
	if (t.state == TICKET_PENDING)
		assert_int_equal(store_ticket_move(r->p.store, &t, ACT_APPROVE, "bob", "yes", now), 1);
	return t.id;
}

static void end_grant(struct rig *r, int64_t id)
{
	struct ticket t;

	assert_int_equal(store_ticket(r->p.store, id, &t), 1);
	assert_int_equal(store_ticket_move(r->p.store, &t, ACT_REVOKE, "bob", "done", clock_wall()), 1);
	live_end(&r->p, END_GRANT, id, "revoked");
	accounts_tick(&r->p);
	rig_turn(r);
}

static int up(void **state)
{
	nasked = 0;
	full = false;
	later = 0;
	return rig_up(state);
}

static int down(void **state)
{
	/* what tasks_finish() would drop */
	nasked = 0;
	return rig_down(state);
}

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

/* A target that calls each uid used gets none made, and burns one a try. */
static void a_target_cannot_use_up_the_uids(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct account a;

	own_grant(r);
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "alice");
	rig_turn(r);
	answer(r, TASK_EXIT, "used 2147483646\n");
	accounts_tick(&r->p);
	expect_account(r, 1, ACCOUNT_REMOVING, 65536);
	was_asked("remove alice 65536\n");
	answer(r, TASK_OK, "gone\n");
	expect_account(r, 1, ACCOUNT_GONE, 65536);
	accounts_tick(&r->p);
	expect_account(r, 2, ACCOUNT_CREATING, 65537);
	assert_int_equal(nasked, 0);
	for (int i = 0; i < 100; i++) {
		later++;
		accounts_tick(&r->p);
		rig_turn(r);
		if (nasked > 0 && strncmp(asked[0].in, "create", 6) == 0)
			answer(r, TASK_EXIT, "used 2147483646\n");
		else if (nasked > 0)
			answer(r, TASK_OK, "gone\n");
	}
	assert_int_equal(store_account_next(r->p.store, 0, &a), 1);
	assert_true(a.uid < 65536 + 8);
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
	was_asked("remove alice 65536\n"); /* and comes whatever it was */
	answer(r, TASK_OK, "ok\n");
	expect_account(r, 1, ACCOUNT_REMOVING, 65536);
	later += ACCOUNT_PAUSE;
	accounts_tick(&r->p);
	answer(r, TASK_OK, "gone\n");
	expect_account(r, 1, ACCOUNT_GONE, 65536);
	/* wanted again: another one */
	own_grant(r);
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
			was_asked("remove alice 65536\n");
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
	was_asked("remove alice 65536\n");
	answer(r, TASK_OK, "gone\n");
	expect_account(r, 1, ACCOUNT_GONE, 65536);
	accounts_tick(&r->p);
	assert_int_equal(nasked, 0);
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
	was_asked("remove alice 65536\n");
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
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "alice");
	expect_no(r, &s, 1, WAY_BROKEN);
	assert_int_equal(nasked, 0);
	session_over(r, &s, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_login_waits_for_its_account),
		T(no_answer_is_no),
		T(a_target_cannot_use_up_the_uids),
		T(given_up_while_it_is_made),
		T(a_leftover_is_an_alarm_once),
		T(a_lock_takes_it_and_an_end_moves),
		T(a_removed_host_is_asked_still),
		T(who_left_is_waited_for_by_nobody),
		T(without_room),
		T(without_a_uid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
