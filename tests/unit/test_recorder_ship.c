/*
 * test_recorder_ship.c - a collector as the recorder sees it: one that gives no receipts is barred, one that only stood still is not.
 *
 * WRAP: clock_mono_ms
 */
#include "role_recorder_ship.c"

#include "recorder_rig.h"

static uint64_t later_ms;		/* so much more on the clock */

uint64_t __real_clock_mono_ms(void);
uint64_t __wrap_clock_mono_ms(void);
uint64_t __wrap_clock_mono_ms(void)
{
	return __real_clock_mono_ms() + later_ms;
}

struct rig {
	struct fixture f;
	struct ship *s;
	struct ipc parent;
};

static void start(struct rig *x)
{
	int pair[2];

	init(&x->f, 1, 1);
	LIST_INIT(&x->f.rc.links);
	assert_non_null(x->f.rc.base = event_base_new());
	assert_int_equal(ipc_pair(pair), 0);
	ipc_init(&x->f.rc.parent, pair[0], ROLE_RECORDER, ROLE_PARENT);
	ipc_init(&x->parent, pair[1], ROLE_PARENT, ROLE_RECORDER);
	x->s = &x->f.rc.ships[0];
	x->s->rc = &x->f.rc;
	x->s->retry_ms = SHIP_RETRY_MS;
	assert_non_null(x->s->timer = evtimer_new(x->f.rc.base, on_timer, x->s));
	sent(&x->f, 0);
}

static void stop(struct rig *x)
{
	later_ms = 0;
	ship_finish(x->s);
	ipc_finish(&x->f.rc.parent);
	ipc_finish(&x->parent);
	event_base_free(x->f.rc.base);
	finish(&x->f);
}

/* It has the header, and says so. */
static void commit(struct rig *x)
{
	struct wire_leaf leaf = { .seq = 0 };
	struct wire_msg m;
	struct buf b;

	memcpy(leaf.id, id, BREC_ID_LEN);
	memcpy(leaf.h, x->f.r->h, BREC_HASH_LEN);
	buf_init(&b, WIRE_MAX);
	wire_put_commit(&b, &leaf, 1);
	assert_int_equal(wire_decode(&m, b.data, b.len), 0);
	handle(x->s, &m);
	buf_finish(&b);
	assert_int_equal(x->s->state, SHIP_UP);
	assert_true(x->f.r->committed == 1);
}

/* The seconds go by, each with its tick, until it is not up any more, or for so many. */
static void wait_for(struct rig *x, unsigned seconds)
{
	for (; seconds > 0 && x->s->state == SHIP_UP; seconds--) {
		later_ms += 1000;
		ship_tick(x->s);
	}
}

static void who_speaks_and_gives_no_receipt_is_barred(void **state)
{
	struct rig x;

	(void)state;
	start(&x);
	for (int i = 0; i < 5; i++) {
		commit(&x);
		wait_for(&x, 2);
	}
	assert_int_equal(x.s->state, SHIP_UP);
	wait_for(&x, 2);
	assert_int_equal(x.s->state, SHIP_BARRED);
	stop(&x);
}

/* A machine that was stopped behind its commit comes back by itself. One that does so each time is no such machine. */
static void who_stands_still_is_met_anew(void **state)
{
	struct rig x;

	(void)state;
	start(&x);
	for (int i = 1; i <= SHIP_STILL_MAX; i++) {
		commit(&x);
		wait_for(&x, 9);
		assert_int_equal(x.s->state, SHIP_UP);
		wait_for(&x, 3);
		assert_int_equal(x.s->state, i < SHIP_STILL_MAX ? SHIP_DOWN : SHIP_BARRED);
		if (i < SHIP_STILL_MAX)
			x.s->state = SHIP_UP;
	}
	stop(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(who_speaks_and_gives_no_receipt_is_barred),
		cmocka_unit_test(who_stands_still_is_met_anew) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
