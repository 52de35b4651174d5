/*
 * test_recorder_ship.c - a collector as the recorder sees it: one that gives no receipts is barred, one that only stood still is not, nor one
 * whose disk is full; what it refuses is said once, and what it is given up for takes no memory.
 *
 * WRAP: clock_mono_ms log_error
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

static unsigned errors;			/* lines of that level */

void __wrap_log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void __wrap_log_error(const char *fmt, ...)
{
	(void)fmt;
	errors++;
}

struct rig {
	struct fixture f;
	struct ship *s;
	struct ipc parent;
};

static void start_with(struct rig *x, unsigned ships)
{
	int pair[2];

	init(&x->f, ships, 1);
	x->f.rc.up[SET_USUAL] = x->f.rc.told_ready = true;
	LIST_INIT(&x->f.rc.links);
	assert_non_null(x->f.rc.base = event_base_new());
	assert_int_equal(ipc_pair(pair), 0);
	ipc_init(&x->f.rc.parent, pair[0], ROLE_RECORDER, ROLE_PARENT);
	ipc_init(&x->parent, pair[1], ROLE_PARENT, ROLE_RECORDER);
	for (unsigned i = 0; i < ships; i++) {
		x->s = &x->f.rc.ships[i];
		x->s->rc = &x->f.rc;
		x->s->i = i;
		x->s->retry_ms = SHIP_RETRY_MS;
		assert_non_null(x->s->timer = evtimer_new(x->f.rc.base, on_timer, x->s));
		sent(&x->f, i);
	}
}

static void start(struct rig *x)
{
	start_with(x, 1);
}

static void stop(struct rig *x)
{
	later_ms = 0;
	for (unsigned i = 0; i < x->f.rc.nships; i++)
		ship_finish(&x->f.rc.ships[i]);
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

static void says_state(struct rig *x, enum wire_takes takes)
{
	struct wire_msg m;
	struct buf b;

	buf_init(&b, WIRE_MAX);
	wire_put_state(&b, takes, "test");
	assert_int_equal(wire_decode(&m, b.data, b.len), 0);
	handle(x->s, &m);
	buf_finish(&b);
}

/* Who takes nothing acknowledges nothing. Who only takes no new recordings, and then hangs, has no such excuse. */
static void silence_is_excused_by_a_full_disk_alone(void **state)
{
	struct rig x;

	(void)state;
	start(&x);
	says_state(&x, WIRE_TAKES_NOTHING);
	assert_false(ship_quorum(&x.f.rc, SET_USUAL));
	wait_for(&x, 3 * SHIP_SILENT_TICKS);
	assert_int_equal(x.s->state, SHIP_UP);
	says_state(&x, WIRE_TAKES_NO_NEW);
	assert_false(ship_quorum(&x.f.rc, SET_USUAL));
	wait_for(&x, SHIP_SILENT_TICKS);
	assert_int_equal(x.s->state, SHIP_UP);
	wait_for(&x, 1);
	assert_int_equal(x.s->state, SHIP_DOWN);
	x.s->state = SHIP_UP;
	says_state(&x, WIRE_TAKES_ALL);
	assert_true(ship_quorum(&x.f.rc, SET_USUAL));
	stop(&x);
}

static void says_err(struct rig *x, const uint8_t *recording)
{
	struct wire_msg m;
	struct buf b;

	buf_init(&b, WIRE_MAX);
	wire_put_err(&b, recording, WIRE_E_REFUSED, "test");
	assert_int_equal(wire_decode(&m, b.data, b.len), 0);
	handle(x->s, &m);
	buf_finish(&b);
}

/* Each frame that was on its way behind a refusal may be refused, too. */
static void a_refusal_is_said_once(void **state)
{
	struct rig x;

	(void)state;
	start_with(&x, 2);
	errors = 0;
	for (int i = 0; i < 1000; i++)
		says_err(&x, id);
	assert_int_equal(errors, 1);
	assert_true(x.f.r->copies[1].lost && !x.f.r->copies[0].lost);
	/* the other one's is the last copy: what the session is told is the second line */
	x.s = &x.f.rc.ships[0];
	for (int i = 0; i < 1000; i++)
		says_err(&x, id);
	assert_int_equal(errors, 3);
	assert_null(queue_find(&x.f.rc, id));
	says_err(&x, NULL);
	assert_int_equal(errors, 4);
	stop(&x);
}

/* One is away, the other has everything: recordings that are over wait for it. It comes back and can take none of them. */
static void what_it_is_given_up_for_is_freed(void **state)
{
	struct rig x;

	(void)state;
	for (int barred = 0; barred < 2; barred++) {
		start_with(&x, 2);
		queue_destroy(&x.f.rc, x.f.r);
		x.s->state = SHIP_DOWN;
		for (uint8_t n = 1; n <= 100; n++) {
			const uint8_t one[BREC_ID_LEN] = { n };

			assert_non_null(x.f.r = queue_open(&x.f.rc, SET_USUAL, one, x.f.part.data, x.f.part.len));
			assert_int_equal(queue_close(&x.f.rc, x.f.r, 1, BREC_END_NORMAL, ""), 0);
			sent(&x.f, 0);
			assert_int_equal(ack(&x.f, 0, 1), 0);
			assert_false(queue_release(&x.f.rc, x.f.r));
		}
		assert_true(x.f.rc.count == 100 && x.f.rc.kept != 0);
		x.s->state = SHIP_UP;
		if (barred)
			bar(x.s, "test");
		else
			for (uint8_t n = 1; n <= 100; n++)
				says_err(&x, (const uint8_t[BREC_ID_LEN]){ n });
		assert_true(x.f.rc.count == 0 && x.f.rc.kept == 0);
		stop(&x);
	}
}

/* A receipt speaks of what its collector acknowledged. Of a recording of which it acknowledged nothing it can say nothing false. */
static void a_receipt_of_another_accuses_nobody(void **state)
{
	const uint8_t seed[KEY_LEN] = { 8 };
	struct sign_key *key = sign_key_from_seed(seed);
	struct wire_leaf leaf = { .seq = 1 };
	struct wire_msg m;
	uint8_t sig[SIG_LEN];
	struct buf b;
	struct rig x;

	(void)state;
	for (int has = 0; has < 2; has++) {
		start(&x);
		if (has)
			commit(&x);
		sign_key_public(key, x.s->key);
		memcpy(leaf.id, id, BREC_ID_LEN);
		memset(leaf.h, 5, sizeof(leaf.h));
		assert_int_equal(receipt_sign(key, x.s->key, 1, &leaf, 1, sig), 0);
		buf_init(&b, WIRE_MAX);
		wire_put_receipt(&b, 1, sig, &leaf, 1);
		assert_int_equal(wire_decode(&m, b.data, b.len), 0);
		handle(x.s, &m);
		buf_finish(&b);
		assert_int_equal(x.s->state, has ? SHIP_BARRED : SHIP_UP);
		stop(&x);
	}
	sign_key_destroy(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(who_speaks_and_gives_no_receipt_is_barred),
		cmocka_unit_test(who_stands_still_is_met_anew), cmocka_unit_test(silence_is_excused_by_a_full_disk_alone),
		cmocka_unit_test(a_refusal_is_said_once), cmocka_unit_test(what_it_is_given_up_for_is_freed),
		cmocka_unit_test(a_receipt_of_another_accuses_nobody) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
