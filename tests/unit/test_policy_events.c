/*
 * test_policy_events.c - the recording of the events from policy's side: how often it is tried again when the collectors refuse it.
 *
 * WRAP: clock_mono_ms
 */
#include "policy_events.h"
#include "policy_rig.h"

static uint64_t now_ms = 1000000;

uint64_t __wrap_clock_mono_ms(void);
uint64_t __wrap_clock_mono_ms(void)
{
	return now_ms;
}

struct events_rig {
	struct rig *r;
	struct ipc recorder;
	uint32_t way;			/* of the last attempt */
};

static void recorder_up(struct events_rig *x, struct rig *r)
{
	int pair[2];

	*x = (struct events_rig){ .r = r };
	free(r->conf->recipients.text);
	r->conf->recipients.text = strdup("age1f65uvl27h2jagxqtpv3wswq6xqvyfkr7j8twtnyftlxw000pxygslhmne9\n");
	assert_int_equal(ipc_pair(pair), 0);
	ipc_init(&x->recorder, pair[0], ROLE_RECORDER, ROLE_SESSION);
	assert_int_equal(events_link(&r->p, pair[1]), 0);
}

/* Another recording is asked for within so many seconds: after how many. 0: none is. */
static unsigned tried_within(struct events_rig *x, unsigned seconds)
{
	struct ipc_msg m;
	unsigned after = 0;

	for (unsigned n = 1; n <= seconds && after == 0; n++) {
		now_ms += 1000;
		rig_turn(x->r);
		while (ipc_recv(&x->recorder, &m) > 0) {
			if (m.type == MSG_REC_OPEN) {
				after = n;
				x->way = m.id;
			}
			ipc_msg_finish(&m);
		}
	}
	return after;
}

static void says(struct events_rig *x, enum msg_type type, const struct buf *b)
{
	const uint32_t way = type == MSG_REC_STATE ? 0 : x->way;

	assert_int_equal(b != NULL ? ipc_send(&x->recorder, type, way, b, NULL, 0) : ipc_send_empty(&x->recorder, type, way), 0);
	rig_turn(x->r);
}

static void refuse(struct events_rig *x)
{
	struct buf b;

	buf_init(&b, 64);
	buf_put_cstring(&b, "the clock is ahead");
	says(x, MSG_REC_REFUSED, &b);
	buf_finish(&b);
}

static void state_of_the_store(struct events_rig *x, bool up)
{
	struct buf b;

	buf_init(&b, 64);
	buf_put_u8(&b, up);
	says(x, MSG_REC_STATE, &b);
	buf_finish(&b);
}

/* Everything up to that frame is stored. */
static void commit(struct events_rig *x, uint64_t seq)
{
	struct buf b;

	buf_init(&b, 8);
	buf_put_u64(&b, seq);
	says(x, MSG_REC_COMMIT, &b);
	buf_finish(&b);
}

/* Each attempt is a line in three logs: a clock that is wrong over night shall not fill them. */
static void refused_again_and_again(void **state)
{
	static const unsigned pauses[] = { 1, 2, 4, 8, 16, 32, 60, 60 };
	struct events_rig x;

	recorder_up(&x, *state);
	assert_int_equal(event_writef(x.r->p.store, clock_wall(), EVENT_GLASS_AWAY, "bastiond", NULL, NULL), 0);
	assert_int_equal(tried_within(&x, 1), 1);
	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		refuse(&x);
		assert_int_equal(tried_within(&x, 100), pauses[i]);
	}
	/* the collectors were away: their being back is a reason to try at once, */
	refuse(&x);
	state_of_the_store(&x, false);
	assert_int_equal(tried_within(&x, 100), 0);
	state_of_the_store(&x, true);
	assert_int_equal(tried_within(&x, 1), 1);
	refuse(&x);
	assert_int_equal(tried_within(&x, 100), 1);
	refuse(&x);
	assert_int_equal(tried_within(&x, 100), 2);
	/* and that it was opened is none: it is as dear as what is refused, */
	says(&x, MSG_REC_OPENED, NULL);
	refuse(&x);
	assert_int_equal(tried_within(&x, 100), 4);
	/* but that events were stored */
	says(&x, MSG_REC_OPENED, NULL);
	commit(&x, 100);
	refuse(&x);
	assert_int_equal(tried_within(&x, 100), 1);
	ipc_finish(&x.recorder);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = { T(refused_again_and_again) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
