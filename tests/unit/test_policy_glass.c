/*
 * test_policy_glass.c - break-glass while the recording store is down: which ways recorder is asked about, what its answers lead to, and
 * that no other way goes to the collectors for break-glass.
 */
#include "policy_events.h"
#include "policy_rig_grant.h"

struct glass_rig {
	struct rig *r;
	struct ipc recorder;
	struct session_end s;
};

/* Recorder's end of the link, with the state of both sets of collectors. */
static void recorder_up(struct glass_rig *g, struct rig *r, uint8_t usual, uint8_t glass)
{
	struct buf b;
	int pair[2];

	g->r = r;
	r->conf->collectors[0].glass = true;
	r->conf->ncollectors = 1;
	assert_int_equal(ipc_pair(pair), 0);
	ipc_init(&g->recorder, pair[0], ROLE_RECORDER, ROLE_SESSION);
	buf_init(&b, 64);
	buf_put_u8(&b, usual);
	assert_int_equal(ipc_send(&g->recorder, MSG_REC_STATE, 0, &b, NULL, 0), 0);
	buf_reset(&b);
	buf_put_u8(&b, glass);
	assert_int_equal(ipc_send(&g->recorder, MSG_REC_GLASS_STATE, 0, &b, NULL, 0), 0);
	buf_finish(&b);
	assert_int_equal(events_link(&r->p, pair[1]), 0);
	rig_turn(r);
}

static void answer(struct glass_rig *g, const uint8_t recording[STORE_RECORDING_LEN], uint8_t place)
{
	struct buf b;

	buf_init(&b, 64);
	buf_put(&b, recording, STORE_RECORDING_LEN);
	buf_put_u8(&b, place);
	assert_int_equal(ipc_send(&g->recorder, MSG_REC_GLASS_RE, 0, &b, NULL, 0), 0);
	buf_finish(&b);
}

/* Recorder is asked about the way, and answers. */
static void placed(struct glass_rig *g, enum rec_place place)
{
	struct ipc_msg m;

	expect(g->r, &g->recorder, MSG_REC_GLASS, &m);
	assert_int_equal(m.body.len, STORE_RECORDING_LEN);
	expect_silence(g->r, &g->r->keys);
	answer(g, m.body.data, (uint8_t)place);
	ipc_msg_finish(&m);
}

/* Each login of a test needs a code of its own. */
static void ask_way_with(struct glass_rig *g, int code)
{
	login_alice(g->r, &g->s, code);
	way_ask(&g->s, 1, "web1", "dba");
	dial_ok(g->r);
}

static void ask_way(struct glass_rig *g)
{
	ask_way_with(g, 0);
}

static const struct way *the_way(const struct glass_rig *g)
{
	const struct peer *peer = peer_of(g->r, &g->s);

	for (size_t i = 0; i < PEER_WAYS_MAX; i++)
		if (peer->ways[i] != NULL)
			return peer->ways[i];
	fail_msg("no way");
	return NULL;
}

/* The store that a list of people shows in its newest row. */
static void expect_store(struct rig *r, enum store_list list, const char *store)
{
	json_t *rows = store_list(r->p.store, list, &(struct list_ask){ .limit = 500, .now = clock_wall(), .all = true });
	const char *is = json_string_value(json_object_get(json_array_get(rows, json_array_size(rows) - 1), "store"));

	if (store == NULL)
		assert_null(is);
	else
		assert_string_equal(is, store);
	json_decref(rows);
}

static void finish(struct glass_rig *g)
{
	session_over(g->r, &g->s, 0);
	ipc_finish(&g->recorder);
}

/* In WAY_OK, of the recording that the session is about to open. */
static void expect_meta(struct glass_rig *g, int64_t grant, bool apart)
{
	uint8_t hash[EVENT_HASH_LEN];
	struct ipc_msg m;
	const uint8_t *text;
	int64_t number;
	json_t *meta;
	size_t len;

	expect(g->r, &g->s.link, MSG_WAY_OK, &m);
	buf_get(&m.body, 16);
	assert_int_equal(buf_get_u32(&m.body), 1);
	buf_get_string(&m.body, 100, &len);
	buf_get_string(&m.body, 8192, &len);
	text = buf_get_string(&m.body, 40960, &len);
	assert_non_null(meta = json_loadb((const char *)text, len, 0, NULL));
	assert_true(json_is_true(json_object_get(meta, "break_glass")));
	assert_int_equal(json_integer_value(json_object_get(meta, "grant")), grant);
	assert_string_equal(json_string_value(json_object_get(meta, "person")), "alice");
	assert_string_equal(json_string_value(json_object_get(meta, "reason")), "test");
	assert_int_equal(json_object_get(meta, "store") != NULL, apart);
	if (apart) {
		const json_t *events = json_object_get(meta, "events");

		assert_string_equal(json_string_value(json_object_get(meta, "store")), "break-glass");
		/* this way's own event is in what the hash holds; after it came way.up alone, which names these metadata */
		assert_int_equal(store_event_head(g->r->p.store, &number, hash), 1);
		assert_int_equal(json_integer_value(json_object_get(events, "number")), number - 1);
		assert_int_equal(strlen(json_string_value(json_object_get(events, "hash"))), 64);
	}
	json_decref(meta);
	ipc_msg_finish(&m);
	assert_int_equal(ipc_send_empty(&g->s.link, MSG_WAY_UP, 1), 0);
	rig_turn(g->r);
}

static void it_opens_and_everybody_hears(void **state)
{
	struct glass_rig g;
	int64_t grant;

	recorder_up(&g, *state, 0, 1);
	grant = glass_grant(g.r, CAP_SHELL | CAP_EXEC);
	ask_way(&g);
	assert_int_equal(events_of(g.r, "break-glass.store"), 0);
	placed(&g, REC_PLACE_GLASS);
	sign(g.r, grant, clock_wall() + 3600);
	expect_meta(&g, grant, true);
	assert_true(the_way(&g)->row.apart);
	assert_int_equal(events_of(g.r, "break-glass.store"), 1);
	assert_string_equal(event_class("break-glass.store"), "emergency");
	channel(g.r, &g.s, "shell", 1);
	expect_say(g.r, &g.s, "break-glass: this access was not approved");
	expect_say(g.r, &g.s, "recorded by the collectors for break-glass");
	expect_store(g.r, LIST_SESSIONS, "break-glass");
	expect_store(g.r, LIST_GRANTS, "break-glass");
	expect_store(g.r, LIST_REVIEWS, "break-glass");
	finish(&g);
}

static void with_the_usual_ones_nothing_is_different(void **state)
{
	struct glass_rig g;
	int64_t grant;

	recorder_up(&g, *state, 1, 1);
	grant = glass_grant(g.r, CAP_SHELL | CAP_EXEC);
	ask_way(&g);
	placed(&g, REC_PLACE_USUAL);
	sign(g.r, grant, clock_wall() + 3600);
	expect_meta(&g, grant, false);
	assert_false(the_way(&g)->row.apart);
	assert_int_equal(events_of(g.r, "break-glass.store"), 0);
	expect_store(g.r, LIST_SESSIONS, NULL);
	expect_store(g.r, LIST_REVIEWS, NULL);
	finish(&g);
}

static void without_either_nothing_opens(void **state)
{
	struct glass_rig g;

	recorder_up(&g, *state, 0, 0);
	glass_grant(g.r, CAP_SHELL | CAP_EXEC);
	ask_way(&g);
	placed(&g, REC_PLACE_NONE);
	expect_no(g.r, &g.s, 1, WAY_BROKEN);
	expect_silence(g.r, &g.r->keys);
	assert_int_equal(events_of(g.r, "break-glass.store"), 0);
	finish(&g);
}

/* Its recording is opened like on any day, and the usual collectors take it or nobody. */
static void an_approved_grant_never_asks(void **state)
{
	struct glass_rig g;
	int64_t grant;

	recorder_up(&g, *state, 0, 1);
	grant = rig_grant(g.r, g.r->p.store, &g.r->alice, 3600);
	ask_way(&g);
	expect_silence(g.r, &g.recorder);
	sign(g.r, grant, clock_wall() + 3600);
	expect_ok(g.r, &g.s, 1, grant, "CERT", 1);
	assert_false(the_way(&g)->row.apart);
	finish(&g);
}

/* Of two grants the approved one lasts longer: while its recordings cannot be stored, the other counts; and on other days it does not. */
static void the_grant_that_opens_counts(void **state)
{
	struct glass_rig g;
	int64_t approved, glass;

	recorder_up(&g, *state, 0, 1);
	approved = rig_grant(g.r, g.r->p.store, &g.r->alice, 7200);
	glass = glass_grant(g.r, CAP_SHELL);
	ask_way(&g);
	placed(&g, REC_PLACE_GLASS);
	sign(g.r, glass, clock_wall() + 3600);
	expect_meta(&g, glass, true);
	/* and here it is all that counts: exec is the approved one's */
	channel(g.r, &g.s, "shell", 1);
	expect_say(g.r, &g.s, "break-glass");
	expect_say(g.r, &g.s, "break-glass");
	channel(g.r, &g.s, "exec", 0);
	assert_false(way_rests_on(the_way(&g), approved));
	session_over(g.r, &g.s, 0);
	assert_int_equal(ipc_send(&g.recorder, MSG_REC_STATE, 0, &(struct buf){ .data = (uint8_t *)"\1", .len = 1 }, NULL, 0), 0);
	rig_turn(g.r);
	ask_way_with(&g, 1);
	sign(g.r, approved, clock_wall() + 7200);
	expect_ok(g.r, &g.s, 1, approved, "CERT", 1);
	finish(&g);
}

/* An hour, and no grant of another kind prolongs it: that would be an ordinary session at these collectors. */
static void nothing_carries_it_on(void **state)
{
	struct glass_rig g;
	struct ipc_msg m;
	int64_t grant;

	recorder_up(&g, *state, 0, 1);
	grant = glass_grant(g.r, CAP_SHELL | CAP_EXEC);
	ask_way(&g);
	placed(&g, REC_PLACE_GLASS);
	sign(g.r, grant, clock_wall() + 3600);
	expect_meta(&g, grant, true);
	rig_grant(g.r, g.r->p.store, &g.r->alice, 7200);
	((struct way *)(uintptr_t)the_way(&g))->until = clock_wall() - 1;
	live_run(&g.r->p);
	expect(g.r, &g.s.link, MSG_WAY_END, &m);
	ipc_msg_finish(&m);
	finish(&g);
}

/* Answers for nobody, and what is no answer. */
static void answers_that_come_late_or_wrong(void **state)
{
	uint8_t recording[STORE_RECORDING_LEN], other[STORE_RECORDING_LEN] = { 7 };
	struct glass_rig g;
	struct ipc_msg m;

	recorder_up(&g, *state, 0, 1);
	glass_grant(g.r, CAP_SHELL | CAP_EXEC);
	ask_way(&g);
	expect(g.r, &g.recorder, MSG_REC_GLASS, &m);
	memcpy(recording, m.body.data, sizeof(recording)); /* before anything else comes in this process */
	ipc_msg_finish(&m);
	answer(&g, other, REC_PLACE_GLASS);
	rig_turn(g.r);
	expect_silence(g.r, &g.r->keys);
	session_over(g.r, &g.s, 0);
	/* its place is another one's at once */
	expect(g.r, &g.recorder, MSG_REC_GLASS_OVER, &m);
	assert_memory_equal(m.body.data, recording, sizeof(recording));
	ipc_msg_finish(&m);
	answer(&g, recording, REC_PLACE_GLASS);
	rig_turn(g.r);
	expect_silence(g.r, &g.r->keys);
	assert_int_equal(events_of(g.r, "break-glass.store"), 0);
	assert_false(g.r->p.over);
	answer(&g, recording, REC_PLACE_NONE + 1);
	rig_turn(g.r);
	assert_true(g.r->p.over);
	ipc_finish(&g.recorder);
}

/* Once, and before the day on which they are needed. */
static void their_absence_is_an_alarm(void **state)
{
	struct glass_rig g;
	uint64_t now = clock_mono_ms();
	struct buf b;

	recorder_up(&g, *state, 1, 0);
	events_tick(&g.r->p, now);
	events_tick(&g.r->p, now + EVENTS_GLASS_MS / 2);
	assert_int_equal(events_of(g.r, "break-glass.away"), 0);
	events_tick(&g.r->p, now + 2 * EVENTS_GLASS_MS);
	events_tick(&g.r->p, now + 4 * EVENTS_GLASS_MS);
	assert_int_equal(events_of(g.r, "break-glass.away"), 1);
	buf_init(&b, 1);
	buf_put_u8(&b, 1);
	assert_int_equal(ipc_send(&g.recorder, MSG_REC_GLASS_STATE, 0, &b, NULL, 0), 0);
	buf_finish(&b);
	rig_turn(g.r);
	events_tick(&g.r->p, now + 6 * EVENTS_GLASS_MS);
	assert_int_equal(events_of(g.r, "break-glass.away"), 1);
	ipc_finish(&g.recorder);
}

/* Without such collectors there is nothing to ask. */
static void where_none_are_configured(void **state)
{
	struct glass_rig g;
	int64_t grant;

	recorder_up(&g, *state, 0, 0);
	g.r->conf->ncollectors = 0;
	grant = glass_grant(g.r, CAP_SHELL | CAP_EXEC);
	ask_way(&g);
	expect_silence(g.r, &g.recorder);
	sign(g.r, grant, clock_wall() + 3600);
	expect_meta(&g, grant, false);
	finish(&g);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_opens_and_everybody_hears), T(with_the_usual_ones_nothing_is_different), T(without_either_nothing_opens),
		T(an_approved_grant_never_asks), T(the_grant_that_opens_counts), T(nothing_carries_it_on), T(answers_that_come_late_or_wrong),
		T(where_none_are_configured), T(their_absence_is_an_alarm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
