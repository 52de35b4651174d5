/*
 * test_authn_state.c - the login machine: every event in every state, and the ways that must not lead to DONE.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "authn_state.h"

#define MAX 6

static enum authn_action run(struct authn *a, const enum authn_event *ev, size_t n)
{
	enum authn_action last = AUTHN_IGNORE;

	authn_init(a, MAX);
	for (size_t i = 0; i < n; i++)
		last = authn_step(a, ev[i]);
	return last;
}

#define RUN(a, ...) run(a, (enum authn_event[]){ __VA_ARGS__ }, sizeof((enum authn_event[]){ __VA_ARGS__ }) / sizeof(enum authn_event))

static void key_then_code(void **state)
{
	struct authn a;

	(void)state;
	assert_int_equal(RUN(&a, AUTHN_EV_NONE), AUTHN_REFUSE);
	assert_int_equal(RUN(&a, AUTHN_EV_NONE, AUTHN_EV_PROBE, AUTHN_EV_MAYBE), AUTHN_OFFER);
	assert_int_equal(RUN(&a, AUTHN_EV_SIGNED, AUTHN_EV_PARTIAL), AUTHN_GO_ON);
	assert_int_equal(RUN(&a, AUTHN_EV_SIGNED, AUTHN_EV_PARTIAL, AUTHN_EV_KBDINT), AUTHN_START);
	assert_int_equal(RUN(&a, AUTHN_EV_SIGNED, AUTHN_EV_PARTIAL, AUTHN_EV_KBDINT, AUTHN_EV_PROMPT), AUTHN_SHOW);
	assert_int_equal(RUN(&a, AUTHN_EV_SIGNED, AUTHN_EV_PARTIAL, AUTHN_EV_KBDINT, AUTHN_EV_PROMPT,
	    AUTHN_EV_ANSWERS), AUTHN_PASS_ANSWERS);
	assert_int_equal(RUN(&a, AUTHN_EV_SIGNED, AUTHN_EV_PARTIAL, AUTHN_EV_KBDINT, AUTHN_EV_PROMPT,
	    AUTHN_EV_ANSWERS, AUTHN_EV_YES), AUTHN_WELCOME);
	assert_int_equal(a.state, AUTHN_DONE);
}

/* The traps that libssh leaves open: each ends anywhere but in DONE. */
static void bypasses(void **state)
{
	struct authn a;

	(void)state;
	/* a code without a key */
	assert_int_equal(RUN(&a, AUTHN_EV_KBDINT), AUTHN_HOLD);
	/* answers that nobody asked for */
	assert_int_equal(RUN(&a, AUTHN_EV_ANSWERS), AUTHN_END);
	assert_int_equal(RUN(&a, AUTHN_EV_SIGNED, AUTHN_EV_PARTIAL, AUTHN_EV_ANSWERS), AUTHN_END);
	/* alice's key, then another name */
	assert_int_equal(RUN(&a, AUTHN_EV_SIGNED, AUTHN_EV_PARTIAL, AUTHN_EV_RENAME), AUTHN_END);
	assert_int_equal(a.state, AUTHN_DEAD);
	/* a probe is no proof, whatever policy says of it */
	assert_int_equal(RUN(&a, AUTHN_EV_PROBE, AUTHN_EV_PARTIAL), AUTHN_END);
	assert_int_equal(RUN(&a, AUTHN_EV_PROBE, AUTHN_EV_YES), AUTHN_END);
	/* a second, unproven key forgets the first */
	assert_int_equal(RUN(&a, AUTHN_EV_SIGNED, AUTHN_EV_PARTIAL, AUTHN_EV_PROBE, AUTHN_EV_NO, AUTHN_EV_FLOOR,
	    AUTHN_EV_KBDINT), AUTHN_HOLD);
	/* nothing after the end */
	for (int ev = 0; ev < AUTHN_EVENTS; ev++) {
		RUN(&a, AUTHN_EV_RENAME);
		assert_int_equal(authn_step(&a, (enum authn_event)ev), AUTHN_END);
	}
}

/* Who proved a key and may not come in is told at the floor, as the last thing; a probe is no proof here either. */
static void barred_is_told_late(void **state)
{
	struct authn a;

	(void)state;
	assert_int_equal(RUN(&a, AUTHN_EV_SIGNED, AUTHN_EV_BARRED), AUTHN_HOLD);
	assert_false(authn_listens(&a));
	assert_int_equal(authn_step(&a, AUTHN_EV_FLOOR), AUTHN_LEAVE);
	assert_int_equal(a.state, AUTHN_DEAD);
	assert_int_equal(RUN(&a, AUTHN_EV_SIGNED, AUTHN_EV_PARTIAL, AUTHN_EV_KBDINT, AUTHN_EV_PROMPT, AUTHN_EV_ANSWERS,
	    AUTHN_EV_BARRED), AUTHN_HOLD);
	assert_int_equal(authn_step(&a, AUTHN_EV_FLOOR), AUTHN_LEAVE);
	assert_int_equal(RUN(&a, AUTHN_EV_PROBE, AUTHN_EV_BARRED), AUTHN_END);
	assert_int_equal(RUN(&a, AUTHN_EV_BARRED), AUTHN_END);
	/* a full count of failures does not keep it back */
	authn_init(&a, MAX);
	for (int i = 0; i < MAX; i++) {
		assert_int_equal(authn_step(&a, AUTHN_EV_OTHER), AUTHN_HOLD);
		assert_int_equal(authn_step(&a, AUTHN_EV_FLOOR), AUTHN_REFUSE);
	}
	authn_step(&a, AUTHN_EV_SIGNED);
	assert_int_equal(authn_step(&a, AUTHN_EV_BARRED), AUTHN_HOLD);
}

static void failures_end_it(void **state)
{
	struct authn a;
	int refused = 0;

	(void)state;
	authn_init(&a, MAX);
	for (;;) {
		enum authn_action act = authn_step(&a, AUTHN_EV_OTHER);

		assert_int_equal(act, AUTHN_HOLD);
		assert_false(authn_listens(&a));
		act = authn_step(&a, AUTHN_EV_FLOOR);
		if (act == AUTHN_TOO_MANY)
			break; /* as late as any refusal */
		assert_int_equal(act, AUTHN_REFUSE);
		refused++;
	}
	assert_int_equal(refused, MAX);
	assert_int_equal(a.state, AUTHN_DEAD);
}

/* Aborts count too: a loop of keyboard-interactive requests cannot run PAM without end. */
static void aborts_count(void **state)
{
	struct authn a;
	int starts = 1;

	(void)state;
	RUN(&a, AUTHN_EV_SIGNED, AUTHN_EV_PARTIAL, AUTHN_EV_KBDINT);
	while (authn_step(&a, AUTHN_EV_KBDINT) == AUTHN_ABORT_START)
		starts++;
	assert_int_equal(a.state, AUTHN_HELD);
	assert_int_equal(authn_step(&a, AUTHN_EV_FLOOR), AUTHN_TOO_MANY);
	assert_int_equal(a.state, AUTHN_DEAD);
	assert_int_equal(starts, MAX + 1);
}

/* Every event in every reachable state: DONE is reached by YES alone, and only with a proof before it. */
static void exhaustive(void **state)
{
	(void)state;
	for (int st = 0; st < AUTHN_STATES; st++)
		for (int ev = 0; ev < AUTHN_EVENTS; ev++)
			for (int flags = 0; flags < 8; flags++) {
				struct authn a = { .state = (enum authn_state)st, .max_failures = MAX,
					.proven = flags & 1, .signed_key = flags & 2, .barred = flags & 4 };
				enum authn_action act = authn_step(&a, (enum authn_event)ev);

				if (a.state == AUTHN_DONE && st != AUTHN_DONE) {
					assert_int_equal(ev, AUTHN_EV_YES);
					assert_int_equal(act, AUTHN_WELCOME);
					assert_true(st == AUTHN_FACTOR || st == AUTHN_PROMPTED ||
					    (st == AUTHN_ASKED && a.signed_key));
				}
				if (act == AUTHN_END || act == AUTHN_LEAVE || act == AUTHN_TOO_MANY)
					assert_int_equal(a.state, AUTHN_DEAD);
				if (act == AUTHN_LEAVE)
					assert_true(st == AUTHN_HELD && ev == AUTHN_EV_FLOOR && (flags & 4) != 0);
				assert_non_null(authn_state_name(a.state));
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_then_code),
		cmocka_unit_test(bypasses),
		cmocka_unit_test(barred_is_told_late),
		cmocka_unit_test(failures_end_it),
		cmocka_unit_test(aborts_count),
		cmocka_unit_test(exhaustive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
