/*
 * policy_rig_account.h - a policy role whose targets are played, for the tests of accounts there: what they were asked, and what they
 * answer. For a test with WRAP: task_run clock_wall.
 */
#ifndef BASTION_POLICY_RIG_ACCOUNT_H
#define BASTION_POLICY_RIG_ACCOUNT_H

#include "policy_rig_grant.h"

#include "policy_account.h"
#include "policy_slow.h"
#include "policy_task.h"
#include "store_account.h"

#define ASKED_MAX 128

/* What targets were asked and have not answered, oldest first. */
static struct asked {
	char host[HOST_NAME_MAX_LEN + 1], login[LOGIN_MAX + 1], command[256], in[128];
	int64_t host_id;
	bool background, look;
	task_done *done;
	void *arg;
} asked[ASKED_MAX];
static size_t nasked;
static bool full;		/* no task is taken */
static int64_t later;		/* seconds that the clock is ahead */
static int64_t frozen;		/* and where it stands; 0: it goes */

int __wrap_task_run(struct policy *p, const struct task *t);
int64_t __wrap_clock_wall(void);
int64_t __real_clock_wall(void);

int64_t __wrap_clock_wall(void)
{
	return (frozen != 0 ? frozen : __real_clock_wall()) + later;
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
	a->background = t->background;
	a->look = t->look;
	a->host_id = t->host->id;
	a->done = t->done;
	a->arg = t->arg;
	nasked++;
	return 0;
}

/* The oldest question is answered. */
static inline void answer(struct rig *r, enum task_end end, const char *out)
{
	const struct asked a = asked[0];
	const struct task_result result = { .status = end == TASK_EXIT, .end = end, .out = out, .out_len = strlen(out), .line = end == TASK_UNREACHABLE ? "no route" : "" };

	assert_true(nasked > 0);
	memmove(asked, asked + 1, --nasked * sizeof(asked[0]));
	slow_heard(&r->p, a.host_id, end, TASK_LIMIT_MS);
	a.done(&r->p, a.arg, &result);
	rig_turn(r);
}

/* "create alice 65536 " is what was asked. */
static inline void was_asked(const char *begin)
{
	if (nasked != 1 || strncmp(asked[0].in, begin, strlen(begin)) != 0)
		fail_msg("%zu asked, %s", nasked, nasked > 0 ? asked[0].in : "");
	assert_string_equal(asked[0].host, "web1");
	assert_string_equal(asked[0].login, "root");
	assert_string_equal(asked[0].command, "/usr/local/sbin/bastion-account");
}

static inline void expect_account(struct rig *r, int64_t id, enum account_state state, int64_t uid)
{
	struct account a;

	assert_int_equal(store_account(r->p.store, id, &a), 1);
	assert_string_equal(account_state_name(a.state), account_state_name(state));
	assert_int_equal(a.uid, uid);
}

/* web1 makes accounts, and alice has a grant of an hour for hers: its number. */
static inline int64_t own_grant(struct rig *r)
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

static inline void end_grant(struct rig *r, int64_t id)
{
	struct ticket t;

	assert_int_equal(store_ticket(r->p.store, id, &t), 1);
	assert_int_equal(store_ticket_move(r->p.store, &t, ACT_REVOKE, "bob", "done", clock_wall()), 1);
	live_end(&r->p, END_GRANT, id, "revoked");
	accounts_tick(&r->p);
	rig_turn(r);
}

static inline int up(void **state)
{
	nasked = 0;
	full = false;
	later = frozen = 0;
	return rig_up(state);
}

static inline int down(void **state)
{
	/* what tasks_finish() would drop */
	nasked = 0;
	return rig_down(state);
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

#endif
