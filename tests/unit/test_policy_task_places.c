/*
 * test_policy_task_places.c - which task starts when places are few: who waits for a host that answers waits for none that hangs, and what
 * makes a host one that hangs.
 *
 * WRAP: clock_mono_ms
 */
#include "policy_rig_task.h"

#include "policy_slow.h"

/* Hosts that hang, with logins that wait for them and with work that nobody waits for, against all the places that there are. */
static void a_host_that_answers_finds_a_place(void **state)
{
	struct rig *r = *state;
	static struct heard h[40];
	struct running run[9];

	memset(h, 0, sizeof(h));
	for (int i = 10; i < 20; i++)
		slow_heard(&r->p, r->web1.id + i, TASK_UNREACHABLE, TASK_LIMIT_MS);
	queue(r, h, 10, 10, false);	/* who waits for one that hangs has half of the places, */
	queue(r, h + 10, 10, 10, false); /* at each host one, */
	queue(r, h + 20, 10, 30, true);	/* the background has another one's half, but for what is kept */
	for (int i = 0; i < 6; i++)
		expect_task(r, &run[i], "192.0.2.1");
	expect_silence(r, &r->parent);
	assert_true(task_running(&r->p, &h[10]));
	for (int i = 0; i < 2; i++) {
		queue(r, h + 30 + i, 1, 1 + i, false);
		expect_task(r, &run[6 + i], "192.0.2.1");
	}
	queue(r, h + 32, 1, 3, false);
	expect_silence(r, &r->parent);
	worker_end(r, &run[6].worker, run[6].id);
	expect_task(r, &run[8], "192.0.2.1"); /* it is not one of those that wait for longer */
	assert_int_equal(h[30].calls, 1);
	/* an answer, or time, ends it */
	assert_true(slow_is(&r->p, r->web1.id + 10));
	slow_heard(&r->p, r->web1.id + 10, TASK_EXIT, TASK_LIMIT_MS);
	assert_true(slow_is(&r->p, r->web1.id + 10));
	slow_heard(&r->p, r->web1.id + 10, TASK_EXIT, 100);
	assert_false(slow_is(&r->p, r->web1.id + 10));
	ahead_ms += SLOW_MS;
	assert_false(slow_is(&r->p, r->web1.id + 11));
}

/* Hosts that have always answered begin to hang, all at once: who waits for another one waits for seconds. */
static void hosts_that_begin_to_hang_keep_nobody(void **state)
{
	struct rig *r = *state;
	static struct heard h[18];
	struct running run[17];

	memset(h, 0, sizeof(h));
	queue(r, h, 8, 1, false);
	for (int i = 0; i < 8; i++)
		expect_task(r, &run[i], "192.0.2.1");
	queue(r, h + 8, 1, 9, false);
	expect_silence(r, &r->parent);
	ahead_ms += SLOW_AFTER_MS;
	tasks_tick(&r->p);
	expect_task(r, &run[8], "192.0.2.1");
	/* and there is an end of it: so many processes, and no more */
	queue(r, h + 9, 9, 10, false);
	for (int i = 9; i < 16; i++)
		expect_task(r, &run[i], "192.0.2.1");
	ahead_ms += SLOW_AFTER_MS;
	tasks_tick(&r->p);
	expect_silence(r, &r->parent);
	worker_end(r, &run[0].worker, run[0].id);
	expect_task(r, &run[16], "192.0.2.1");
}

/* A host is slow when it did not answer for a while, or answered after a long one: not when keys do not, not when it refuses, not for a failure that came at once. */
static void what_makes_a_host_slow(void **state)
{
	static const struct { enum task_end end; uint64_t ms; bool slow; } table[] = {
		{ TASK_UNREACHABLE, 100, false }, { TASK_UNREACHABLE, 20000, true }, { TASK_REFUSED, 5000, false }, { TASK_FAILED, 29000, true },
		{ TASK_OK, 5000, false }, { TASK_EXIT, 29000, true }, { TASK_OK, 100, false }, { TASK_UNREACHABLE, 20000, true }, { TASK_FAILED, 100, true }, { TASK_EXIT, 100, false },
		{ TASK_UNREACHABLE, 20000, true }, { TASK_HOSTKEY, 100, false },
	};
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t = task_of(r, &h);
	struct running run;

	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	ahead_ms += 20000;
	sign_task(r, "dba", "192.0.2.1", false);
	expect_kill(r, &run);
	assert_int_equal(h.end, TASK_FAILED);
	assert_false(slow_is(&r->p, r->web1.id));
	worker_end(r, &run.worker, run.id);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(task_run(&r->p, &t), 0);
		expect_task(r, &run, "192.0.2.1");
		sign_task(r, "dba", "192.0.2.1", true);
		expect_order(r, &run);
		ahead_ms += table[i].ms;
		task_over(r, &run, table[i].end, 1, NULL, 0);
		assert_int_equal(slow_is(&r->p, r->web1.id), table[i].slow);
	}
	/* a worker that is killed when its time is over */
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	ahead_ms += TASK_LIMIT_MS;
	worker_end(r, &run.worker, run.id);
	assert_int_equal(h.end, TASK_FAILED);
	assert_true(slow_is(&r->p, r->web1.id));
}

/* A look is told when it fails alone. */
static void a_look_that_ends_well_is_no_event(void **state)
{
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t = task_of(r, &h);
	struct running run;

	t.look = true;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(task_run(&r->p, &t), 0);
		expect_task(r, &run, "192.0.2.1");
		sign_task(r, "dba", "192.0.2.1", true);
		expect_order(r, &run);
		task_over(r, &run, i == 0 ? TASK_OK : TASK_EXIT, (uint32_t)i, NULL, 0);
		assert_int_equal(events_of(r, "task.start"), 0);
		assert_int_equal(events_of(r, "task.end"), i);
	}
	assert_int_equal(h.calls, 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_host_that_answers_finds_a_place),
		T(hosts_that_begin_to_hang_keep_nobody),
		T(what_makes_a_host_slow),
		T(a_look_that_ends_well_is_no_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
