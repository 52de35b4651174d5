/*
 * test_policy_task.c - tasks at hosts on a whole policy role: what a certificate for one binds, how many run at once, what each way to
 * fail ends in, and that an announced host key is a row and nothing more. tests/system/test_host_keys_announced.py has a real sshd.
 *
 * WRAP: clock_mono_ms
 */
#include "policy_rig_task.h"

#include "policy_hostkey.h"
#include "store_hostkey.h"

static const uint8_t ANNOUNCED[] = "\0\0\0\x0bssh-ed25519\0\0\0\x20" "fresh-fresh-fresh-fresh-fresh-fr";

static void it_runs_with_a_certificate_for_it_alone(void **state)
{
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t = task_of(r, &h);
	struct running run;

	assert_int_equal(task_run(&r->p, &t), 0);
	assert_int_equal(events_of(r, "task.start"), 1);
	expect_task(r, &run, "192.0.2.1,2001:db8::1");
	sign_task(r, "dba", "192.0.2.1,2001:db8::1", true);
	expect_order(r, &run);
	assert_true(task_running(&r->p, &h));
	task_over(r, &run, TASK_OK, 0, NULL, 0);
	assert_int_equal(h.calls, 1);
	assert_int_equal(h.end, TASK_OK);
	assert_string_equal(h.out, "said");
	assert_string_equal(h.line, "line\\x1b[2J"); /* what a host says reaches no terminal raw */
	assert_false(task_running(&r->p, &h));
	assert_int_equal(events_of(r, "task.end"), 1);
}

static void each_failure_is_said_once(void **state)
{
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t = task_of(r, &h);
	struct running run;

	/* no address of ours is known */
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "");
	rig_turn(r);
	assert_int_equal(h.end, TASK_UNREACHABLE);
	expect_silence(r, &r->keys); /* a certificate that is good from anywhere is not asked for */
	expect_kill(r, &run);
	worker_end(r, &run.worker, run.id);
	/* keys does not sign */
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	sign_task(r, "dba", "192.0.2.1", false);
	expect_kill(r, &run);
	assert_int_equal(h.end, TASK_FAILED);
	worker_end(r, &run.worker, run.id);
	/* its worker dies */
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	sign_task(r, "dba", "192.0.2.1", true);
	expect_order(r, &run);
	worker_end(r, &run.worker, run.id);
	assert_int_equal(h.end, TASK_FAILED);
	/* the host refuses */
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	sign_task(r, "dba", "192.0.2.1", true);
	expect_order(r, &run);
	task_over(r, &run, TASK_REFUSED, 255, NULL, 0);
	assert_int_equal(h.end, TASK_REFUSED);
	assert_int_equal(h.calls, 4);
	assert_int_equal(events_of(r, "task.start"), 4);
	assert_int_equal(events_of(r, "task.end"), 4);
}

/* A crowd of logins has all workers: the task waits, and its start is told once, when it starts. */
static void no_worker_is_no_start(void **state)
{
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t = task_of(r, &h);
	const unsigned most = r->conf->max_workers;
	struct running run;

	r->conf->max_workers = 0;
	assert_int_equal(task_run(&r->p, &t), 0);
	for (int i = 0; i < 3; i++)
		tasks_tick(&r->p);
	assert_int_equal(events_of(r, "task.start"), 0);
	r->conf->max_workers = most;
	tasks_tick(&r->p);
	expect_task(r, &run, "192.0.2.1");
	assert_int_equal(events_of(r, "task.start"), 1);
	sign_task(r, "dba", "192.0.2.1", true);
	expect_order(r, &run);
	task_over(r, &run, TASK_REFUSED, 255, NULL, 0);
	assert_int_equal(h.calls, 1);
}

static void a_worker_that_lies_is_ended(void **state)
{
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t = task_of(r, &h);
	struct running run;
	struct buf b;

	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	sign_task(r, "dba", "192.0.2.1", true);
	expect_order(r, &run);
	buf_init(&b, 64);
	buf_put_u8(&b, TASK_ENDS); /* no such end */
	assert_int_equal(ipc_send(&run.worker, MSG_TASK_DONE, 0, &b, NULL, 0), 0);
	buf_finish(&b);
	rig_turn(r);
	assert_int_equal(h.calls, 1);
	assert_int_equal(h.end, TASK_FAILED);
	worker_end(r, &run.worker, run.id);
}

/* A host that hangs has two places, and what waits for it keeps nobody of another one. */
static void a_host_has_no_more_than_its_places(void **state)
{
	struct rig *r = *state;
	static struct heard h[11];
	const struct host other = another_host(r, 1);
	struct running run[4];
	struct task t;

	memset(h, 0, sizeof(h));
	for (int i = 0; i < 10; i++) {
		t = task_of(r, &h[i]);
		assert_int_equal(task_run(&r->p, &t), 0);
	}
	for (int i = 0; i < 2; i++)
		expect_task(r, &run[i], "192.0.2.1");
	expect_silence(r, &r->parent);
	t = task_of(r, &h[10]);
	t.host = &other;
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run[2], "192.0.2.1");
	expect_silence(r, &r->parent);
	sign_task(r, "dba", "192.0.2.1", false);
	expect_kill(r, &run[0]);
	expect_task(r, &run[3], "192.0.2.1"); /* in their order */
	expect_silence(r, &r->parent);
	assert_true(h[0].calls == 1 && h[1].calls == 0 && h[10].calls == 0);
}

static void so_many_at_once_and_the_rest_waits(void **state)
{
	struct rig *r = *state;
	static struct heard h[12];
	struct running run[12];
	struct task t;

	memset(h, 0, sizeof(h));
	for (int i = 0; i < 12; i++) {
		struct host host = another_host(r, i);

		t = task_of(r, &h[i]);
		t.host = &host;
		assert_int_equal(task_run(&r->p, &t), 0);
	}
	for (int i = 0; i < 8; i++)
		expect_task(r, &run[i], "192.0.2.1");
	expect_silence(r, &r->parent);
	for (int i = 0; i < 12; i++) {
		sign_task(r, "dba", "192.0.2.1", false); /* it fails, and makes room */
		expect_kill(r, &run[i]);
		if (i + 8 < 12)
			expect_task(r, &run[i + 8], "192.0.2.1");
	}
	for (int i = 0; i < 12; i++) {
		assert_int_equal(h[i].calls, 1);
		worker_end(r, &run[i].worker, run[i].id);
	}
}

/* Background work leaves half of the places to who waits. */
static void background_leaves_room(void **state)
{
	struct rig *r = *state;
	static struct heard h[7];
	struct running run[7];
	struct task t;

	memset(h, 0, sizeof(h));
	for (int i = 0; i < 6; i++) {
		struct host host = another_host(r, i);

		t = task_of(r, &h[i]);
		t.host = &host;
		t.background = true;
		assert_int_equal(task_run(&r->p, &t), 0);
	}
	for (int i = 0; i < 4; i++)
		expect_task(r, &run[i], "192.0.2.1");
	expect_silence(r, &r->parent);
	const struct host seventh = another_host(r, 6);

	t = task_of(r, &h[6]);
	t.host = &seventh;
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run[6], "192.0.2.1"); /* it overtakes the two that wait */
	for (int i = 0; i < 7; i++) {
		const int n = i < 4 ? i : i == 4 ? 6 : i - 1;

		sign_task(r, "dba", "192.0.2.1", false);
		expect_kill(r, &run[n]);
		if (i < 2)
			expect_task(r, &run[4 + i], "192.0.2.1");
	}
	for (int i = 0; i < 7; i++)
		assert_int_equal(h[i].calls, 1);
}

static void start_another(struct policy *p, void *arg, const struct task_result *r)
{
	struct task *next = arg;

	(void)r;
	assert_int_equal(task_run(p, next), 0);
}

/* What is started by whoever hears of an end runs once, and so did the one that ended. */
static void an_end_starts_another(void **state)
{
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task second = task_of(r, &h), t = task_of(r, NULL);
	struct running run;

	t.done = start_another;
	t.arg = &second;
	assert_int_equal(task_run(&r->p, &t), 0);
	for (int i = 0; i < 2; i++) {
		expect_task(r, &run, "192.0.2.1");
		sign_task(r, "dba", "192.0.2.1", true);
		expect_order(r, &run);
		task_over(r, &run, TASK_OK, 0, NULL, 0);
	}
	expect_silence(r, &r->parent);
	assert_int_equal(h.calls, 1);
	assert_int_equal(events_of(r, "task.start"), 2);
}

static void who_forgets_hears_nothing(void **state)
{
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t = task_of(r, &h);
	struct running run;
	struct ipc_msg m;

	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	task_forget(&r->p, &h);
	expect(r, &r->parent, MSG_WORKER_KILL, &m);
	assert_int_equal(m.id, run.id);
	ipc_msg_finish(&m);
	worker_end(r, &run.worker, run.id);
	assert_int_equal(h.calls, 0);
	assert_int_equal(events_of(r, "task.end"), 1);
}

static void bounds(void **state)
{
	static char long_command[TASK_COMMAND_MAX + 2];
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t;

	memset(long_command, 'x', sizeof(long_command) - 1);
#define BAD(change) do { t = task_of(r, &h); change; assert_int_equal(task_run(&r->p, &t), -1); } while (0)
	BAD(t.login = "-oProxyCommand=x");
	BAD(t.principal = "a,b");
	BAD(t.command = "");
	BAD(t.command = long_command);
	BAD(t.in_len = TASK_IN_MAX + 1);
	BAD(t.limit_ms = TASK_LIMIT_MAX_MS + 1);
	BAD((t.how = TASK_FILE, t.managed = "../ca"));
	BAD(t.how = TASK_SEALED);
#undef BAD
	expect_silence(r, &r->parent);
}

/* A key that a host announces is a proposal: not pinned, one alarm, and no news the second time. */
static void an_announced_key_is_trusted_by_nobody(void **state)
{
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t = task_of(r, &h);
	struct running run;
	char fingerprint[STORE_FPR_MAX + 1];
	struct host_key k;

	assert_int_equal(key_fingerprint(ANNOUNCED, sizeof(ANNOUNCED) - 1, fingerprint), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(task_run(&r->p, &t), 0);
		expect_task(r, &run, "192.0.2.1");
		sign_task(r, "dba", "192.0.2.1", true);
		expect_order(r, &run); /* has one pin, the second time too */
		task_over(r, &run, TASK_OK, 0, ANNOUNCED, sizeof(ANNOUNCED) - 1);
		assert_int_equal(h.nfresh, 1);
		assert_int_equal(events_of(r, "hostkey.announced"), 1);
	}
	assert_int_equal(store_announced(r->p.store, r->web1.id, fingerprint, &k), 1);
	/* what is no key that could be pinned is no row */
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	sign_task(r, "dba", "192.0.2.1", true);
	expect_order(r, &run);
	task_over(r, &run, TASK_OK, 0, (const uint8_t *)"\0\0\0\7ssh-dssrest", 15);
	assert_int_equal(events_of(r, "hostkey.announced"), 1);
	/* and nothing is learned from where the login was not let in */
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	sign_task(r, "dba", "192.0.2.1", true);
	expect_order(r, &run);
	task_over(r, &run, TASK_REFUSED, 0, KEY_OF_TASK, sizeof(KEY_OF_TASK) - 1);
	assert_int_equal(events_of(r, "hostkey.announced"), 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_runs_with_a_certificate_for_it_alone), T(each_failure_is_said_once), T(no_worker_is_no_start), T(a_worker_that_lies_is_ended),
		T(so_many_at_once_and_the_rest_waits), T(a_host_has_no_more_than_its_places), T(background_leaves_room),
		T(an_end_starts_another), T(who_forgets_hears_nothing), T(bounds), T(an_announced_key_is_trusted_by_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
