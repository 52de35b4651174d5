/*
 * test_recorder_queue.c - a recording in the recorder's memory: what is made of the session's frames, the quorum for every number of
 * collectors, resume after every kind of break, what is kept and what is freed; which recordings go to the collectors for break-glass.
 */
#include "recorder_rig.h"

static void entries_are_what_the_format_says(void **state)
{
	uint8_t h[BREC_HASH_LEN];
	struct brec_header header;
	struct brec_frame fr;
	struct brec_mark mark;
	struct fixture f;
	const struct entry *e;
	struct wire_msg m;

	(void)state;
	init(&f, 1, 1);
	frames(&f, 1, 3);
	assert_int_equal(queue_mark(&f.rc, f.r, 4), 0);
	assert_int_equal(queue_seal(&f.rc, f.r, 5, f.part.data, f.part.len), 0);
	frames(&f, 6, 7);
	assert_int_equal(queue_close(&f.rc, f.r, 8, BREC_END_KILLED, "why"), 0);
	STAILQ_FOREACH(e, &f.r->entries, link) {
		assert_int_equal(wire_decode(&m, e->data, e->len), 0);
		assert_true(m.entry.seq == e->seq);
		assert_memory_equal(m.entry.id, id, sizeof(id));
		if (e->seq == 0)
			assert_int_equal(brec_chain_start(h, m.entry.header, m.entry.header_len), 0);
		else
			assert_int_equal(brec_chain_add(h, m.entry.frame, m.entry.frame_len), 0);
		assert_memory_equal(m.entry.h, h, sizeof(h));
		assert_memory_equal(e->h, h, sizeof(h));
		if (m.entry.header != NULL) {
			assert_int_equal(brec_header_decode(m.entry.header, m.entry.header_len, &header), BREC_OK);
			assert_true(brec_header_verify(m.entry.header, &header, f.rc.signer->pub));
			assert_int_equal(header.segment, e->seq == 0 ? 0 : 1);
			assert_true(header.first_seq == e->seq + 1);
		}
		if (e->seq == 4 || e->seq == 5 || e->seq == 8) {
			assert_int_equal(brec_frame_decode(m.entry.frame, m.entry.frame_len, &fr), BREC_OK);
			assert_int_equal(brec_mark_decode(&fr, &mark), 0);
			assert_true(brec_mark_verify(id, &mark, f.rc.signer->pub));
		}
		if (m.type == WIRE_SEAL) {
			assert_memory_equal(header.prev, h, sizeof(h));
			assert_int_equal(brec_chain_start(h, m.entry.header, m.entry.header_len), 0);
		}
	}
	assert_int_equal(mark.end, BREC_END_KILLED);
	assert_string_equal(mark.reason, "why");
	finish(&f);
}

static void a_session_that_breaks_the_rules(void **state)
{
	uint8_t data[BREC_FRAME_HEAD + 32 + 4];
	struct fixture f;

	(void)state;
	init(&f, 1, 1);
	frames(&f, 1, 2);
	assert_int_equal(frame(&f, 2, 0), -1);
	assert_int_equal(frame(&f, 4, 0), -1);
	assert_int_equal(frame(&f, 3, 1), -1);
	assert_int_equal(queue_mark(&f.rc, f.r, 4), -1);
	assert_int_equal(queue_seal(&f.rc, f.r, 2, f.part.data, f.part.len), -1);
	assert_int_equal(queue_close(&f.rc, f.r, 9, BREC_END_NORMAL, ""), -1);
	/* a frame that only the recorder makes; a broken crc; a byte too few */
	brec_frame_head(data, BREC_CHECKPOINT, 0, 0, 3, 32);
	brec_frame_end(data, sizeof(data));
	assert_int_equal(queue_frame(&f.rc, f.r, data, sizeof(data)), -1);
	brec_frame_head(data, BREC_DATA, BREC_OUTPUT, 0, 3, 32);
	brec_frame_end(data, sizeof(data));
	data[30] ^= 1;
	assert_int_equal(queue_frame(&f.rc, f.r, data, sizeof(data)), -1);
	data[30] ^= 1;
	assert_int_equal(queue_frame(&f.rc, f.r, data, sizeof(data) - 1), -1);
	/* none of that harmed it */
	frames(&f, 3, 3);
	assert_int_equal(queue_close(&f.rc, f.r, 4, BREC_END_NORMAL, ""), 0);
	assert_int_equal(frame(&f, 5, 0), -1);
	assert_int_equal(queue_close(&f.rc, f.r, 5, BREC_END_NORMAL, ""), -1);
	/* the same id again, and parts that are none */
	assert_null(queue_open(&f.rc, SET_USUAL, id, f.part.data, f.part.len));
	assert_null(queue_open(&f.rc, SET_USUAL, (const uint8_t *)"0123456789abcdef", f.part.data, f.part.len - 1));
	finish(&f);
}

/* For each number of collectors and each quorum: committed is what so many of them have, whoever they are. */
static void the_quorum_decides(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 4; n++)
		for (unsigned q = 1; q <= n; q++) {
			struct fixture f;

			init(&f, n, q);
			frames(&f, 1, 9);
			for (unsigned i = 0; i < n; i++) {
				uint64_t before = f.r->committed;

				sent(&f, i);
				assert_int_equal(ack(&f, i, 9 - i), 0);
				/* with i + 1 answers the (i + 1)-th best is the last one's */
				assert_true(f.r->committed == (i + 1 < q ? 0 : i + 1 == q ? 10 - i : before));
			}
			assert_int_equal(f.rc.waiting[SET_USUAL], f.r->waiting);
			finish(&f);
		}
}

static void acknowledgements_that_cannot_be(void **state)
{
	uint8_t other[BREC_HASH_LEN] = { 0 };
	struct fixture f;

	(void)state;
	init(&f, 1, 1);
	frames(&f, 1, 5);
	/* nothing was sent yet but up to 2 */
	f.r->copies[0].next = (struct entry *)(uintptr_t)entry(&f, 3);
	assert_int_equal(ack(&f, 0, 3), -1);
	assert_int_equal(queue_ack(&f.rc, f.r, 0, 2, other), -1);
	assert_int_equal(queue_ack(&f.rc, f.r, 0, 77, other), -1);
	assert_int_equal(ack(&f, 0, 2), 0);
	/* the same again is a repeat; less, or another value, is not */
	assert_int_equal(ack(&f, 0, 2), 0);
	assert_int_equal(queue_ack(&f.rc, f.r, 0, 2, other), -1);
	assert_int_equal(ack(&f, 0, 1), -1);
	finish(&f);
}

static void memory_is_freed_when_all_have_it(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 2, 1);
	frames(&f, 1, 5);
	sent(&f, 0);
	sent(&f, 1);
	assert_int_equal(ack(&f, 0, 5), 0);
	assert_int_equal(f.r->waiting, 0);
	assert_false(queue_release(&f.rc, f.r));
	/* the other one may still need them */
	assert_non_null(entry(&f, 0));
	assert_int_equal(ack(&f, 1, 3), 0);
	assert_false(queue_release(&f.rc, f.r));
	assert_null(entry(&f, 3));
	assert_non_null(entry(&f, 4));
	assert_int_equal(queue_close(&f.rc, f.r, 6, BREC_END_NORMAL, ""), 0);
	sent(&f, 0);
	sent(&f, 1);
	assert_int_equal(ack(&f, 0, 6), 0);
	assert_true(f.r->done);
	assert_false(queue_release(&f.rc, f.r));
	assert_int_equal(ack(&f, 1, 6), 0);
	assert_true(queue_release(&f.rc, f.r));
	finish(&f);
}

/* A collector that stays away costs no more than REC_KEEP_BYTES; then it is given up for this recording, and the other goes on. */
static void who_is_far_behind_is_given_up(void **state)
{
	static uint8_t data[BREC_FRAME_MAX];
	struct fixture f;

	(void)state;
	init(&f, 2, 1);
	f.r->copies[1].synced = false;
	for (uint64_t n = 1; n < 100; n++) {
		const size_t len = BREC_FRAME_HEAD + 32000 + 4;

		brec_frame_head(data, BREC_DATA, BREC_OUTPUT, 0, n, 32000);
		brec_frame_end(data, len);
		assert_int_equal(queue_frame(&f.rc, f.r, data, len), 0);
		sent(&f, 0);
		assert_int_equal(ack(&f, 0, n), 0);
		queue_release(&f.rc, f.r);
		assert_true(f.r->bytes <= REC_KEEP_BYTES + len + 100);
	}
	assert_true(f.r->copies[1].lost);
	assert_false(f.r->copies[0].lost);
	finish(&f);
}

/* Nor does one session keep so much for it that nothing can be kept of others: its own next ones are given up, before that. */
static void a_session_fills_its_own_share(void **state)
{
	static uint8_t data[BREC_FRAME_MAX];
	struct ipc session, policy;
	struct recording *r, *foreign;
	struct ipc_msg m;
	struct fixture f;
	uint64_t most = 0;

	(void)state;
	init(&f, 2, 1);
	foreign = f.r;
	f.rc.ships[1].state = SHIP_DOWN;
	f.r->copies[1].synced = false;
	sent(&f, 0);
	assert_int_equal(ack(&f, 0, 0), 0);
	assert_non_null(f.rc.base = event_base_new());
	assert_non_null(f.rc.ships[0].bev = bufferevent_socket_new(f.rc.base, -1, 0));
	link_to(&f, REC_SLOT_POLICY, &policy);
	link_to(&f, 5, &session);
	for (unsigned n = 1; n <= 90; n++) {
		LIST_FIRST(&f.rc.links)->open_ms = 0;
		tell(&session, MSG_REC_OPEN, n, numbered(n), &f.part);
		assert_int_equal(heard(&f, &session, &m), MSG_NONE);
		assert_non_null(f.r = queue_find(&f.rc, numbered(n)));
		for (uint64_t seq = 1; seq <= 31; seq++) {
			const size_t len = BREC_FRAME_HEAD + 32000 + 4;

			brec_frame_head(data, BREC_DATA, BREC_OUTPUT, 0, seq, 32000);
			brec_frame_end(data, len);
			assert_int_equal(queue_frame(&f.rc, f.r, data, len), 0);
		}
		assert_int_equal(queue_close(&f.rc, f.r, 32, BREC_END_NORMAL, ""), 0);
		sent(&f, 0);
		assert_int_equal(ack(&f, 0, 32), 0);
		link_committed(f.r, 0);
		queue_release(&f.rc, f.r);
		while (heard(&f, &session, &m) != MSG_NONE)
			ipc_msg_finish(&m);
		most = f.rc.kept > most ? f.rc.kept : most;
	}
	assert_in_range(most, REC_KEEP_SESSION - REC_KEEP_BYTES, REC_KEEP_SESSION + 2 * REC_KEEP_BYTES);
	/* also when it is gone; what is kept of others stays */
	ipc_finish(&session);
	ipc_finish(&policy);
	turn(&f);
	turn(&f);
	assert_true(LIST_EMPTY(&f.rc.links));
	assert_false(foreign->copies[1].lost);
	TAILQ_FOREACH(r, &f.rc.all, all)
		assert_false(r->copies[1].lost);
	bufferevent_free(f.rc.ships[0].bev);
	f.rc.ships[0].bev = NULL;
	finish(&f);
	event_base_free(f.rc.base);
}

/* However many short ones there were while a collector is away, the next one is opened: those that only that one lacks make room, the oldest first. */
static void many_that_are_done_make_room(void **state)
{
	static const uint8_t ids[3][BREC_ID_LEN] = { { 1 }, { 2 }, { 3 } };
	struct recording *open[3];
	struct fixture f;

	(void)state;
	init(&f, 2, 1);
	f.rc.ships[1].state = SHIP_DOWN;
	for (int i = 0; i < 2; i++)
		assert_non_null(open[i] = queue_open(&f.rc, SET_USUAL, ids[i], f.part.data, f.part.len));
	for (int i = 0; i < 2; i++) {
		f.r = open[i];
		assert_int_equal(queue_close(&f.rc, f.r, 1, BREC_END_NORMAL, ""), 0);
		sent(&f, 0);
		assert_int_equal(ack(&f, 0, 1), 0);
		assert_true(f.r->done && !f.r->copies[1].lost);
		assert_false(queue_release(&f.rc, f.r));
	}
	f.rc.count += REC_KEEP_COUNT - 3;
	assert_non_null(open[2] = queue_open(&f.rc, SET_USUAL, ids[2], f.part.data, f.part.len));
	assert_non_null(queue_find(&f.rc, id));
	assert_null(queue_find(&f.rc, ids[0]));
	assert_non_null(queue_find(&f.rc, ids[1]));
	assert_int_equal(f.rc.count, REC_KEEP_COUNT);
	assert_true(f.rc.ships[1].gave_up && !f.rc.ships[0].gave_up);
	/* none that is under way goes */
	f.rc.count = REC_RECORDINGS_MAX;
	queue_destroy(&f.rc, queue_find(&f.rc, ids[1]));
	f.rc.count++;
	assert_null(queue_open(&f.rc, SET_USUAL, ids[0], f.part.data, f.part.len));
	assert_int_equal(errno, EMFILE);
	f.rc.count -= REC_RECORDINGS_MAX - 2;
	finish(&f);
}

/* Who gave false word gets nothing that begins afterwards, and nothing is kept for it. */
static void who_is_barred_has_no_part(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 2, 1);
	f.rc.ships[1].state = SHIP_BARRED;
	assert_non_null(f.r = queue_open(&f.rc, SET_USUAL, (const uint8_t *)"0123456789abcdef", f.part.data, f.part.len));
	assert_true(f.r->copies[1].lost);
	assert_int_equal(queue_close(&f.rc, f.r, 1, BREC_END_NORMAL, ""), 0);
	sent(&f, 0);
	assert_int_equal(ack(&f, 0, 1), 0);
	assert_true(queue_release(&f.rc, f.r));
	finish(&f);
}

/* Where the collector stands after a break decides where sending goes on; what cannot be is refused. */
static void resume_goes_on_where_it_stands(void **state)
{
	const uint8_t zero[BREC_HASH_LEN] = { 0 };
	struct fixture f;
	uint8_t h[BREC_HASH_LEN];

	(void)state;
	for (uint64_t at = 2; at <= 6; at++) {
		init(&f, 1, 1);
		frames(&f, 1, 6);
		sent(&f, 0);
		assert_int_equal(ack(&f, 0, 2), 0);
		queue_release(&f.rc, f.r);
		memcpy(h, at == 2 ? f.r->copies[0].h : entry(&f, at)->h, sizeof(h));
		/* it lost what it had, it has more than there is, it has something else */
		assert_int_equal(queue_resume(&f.rc, f.r, 0, false, 0, zero), -1);
		assert_int_equal(queue_resume(&f.rc, f.r, 0, true, 1, zero), -1);
		assert_int_equal(queue_resume(&f.rc, f.r, 0, true, 7, zero), -1);
		assert_int_equal(queue_resume(&f.rc, f.r, 0, true, at, zero), -1);
		assert_int_equal(queue_resume(&f.rc, f.r, 0, true, at, h), 0);
		assert_true(f.r->committed == at + 1);
		if (at == 6)
			assert_null(f.r->copies[0].next);
		else
			assert_true(f.r->copies[0].next->seq == at + 1);
		/* and new frames follow */
		frames(&f, 7, 7);
		assert_true(f.r->copies[0].next->seq == (at == 6 ? 7 : at + 1));
		finish(&f);
	}
}

static void resume_from_nothing(void **state)
{
	const uint8_t zero[BREC_HASH_LEN] = { 0 };
	struct fixture f;

	(void)state;
	init(&f, 2, 1);
	f.r->copies[1].synced = false;
	f.r->copies[1].next = NULL;
	frames(&f, 1, 3);
	assert_null(f.r->copies[1].next);
	assert_int_equal(queue_resume(&f.rc, f.r, 1, false, 0, zero), 0);
	assert_true(f.r->copies[1].next->seq == 0);
	finish(&f);
}

static void losing_copies_ends_at_the_quorum(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 3, 2);
	frames(&f, 1, 2);
	assert_true(queue_lose(&f.rc, f.r, 0));
	assert_false(queue_lose(&f.rc, f.r, 2));
	queue_destroy(&f.rc, f.r);
	assert_int_equal(f.rc.waiting[SET_USUAL], 0);
	finish(&f);
}

/* --- the set for break-glass --- */

static const uint8_t other_id[BREC_ID_LEN] = { 0xef, 1, 2, 3 };

/* One collector of each set; f.r is of the usual one. */
static void init_sets(struct fixture *f, enum ship_state usual, enum ship_state glass)
{
	init(f, 2, 1);
	f->rc.quorum[SET_GLASS] = 1;
	queue_destroy(&f->rc, f->r);
	f->rc.ships[1].set = SET_GLASS;
	f->rc.ships[0].state = usual;
	f->rc.ships[1].state = glass;
	LIST_INIT(&f->rc.links);
}

static int announce(struct fixture *f, const uint8_t *what, size_t len)
{
	struct buf b;

	buf_view(&b, what, len);
	return glass_ask(&f->rc, &b);
}

/* What policy announced goes there, once and in time, while the usual collectors are away; nothing else does. */
static void the_other_set_is_for_what_policy_announced(void **state)
{
	struct fixture f;

	(void)state;
	init_sets(&f, SHIP_DOWN, SHIP_UP);
	assert_int_equal(glass_set(&f.rc, other_id), SET_USUAL);
	assert_int_equal(announce(&f, other_id, sizeof(other_id)), 0);
	assert_int_equal(glass_set(&f.rc, id), SET_USUAL);
	assert_int_equal(glass_set(&f.rc, other_id), SET_GLASS);
	assert_int_equal(glass_set(&f.rc, other_id), SET_USUAL);
	/* too late */
	assert_int_equal(announce(&f, other_id, sizeof(other_id)), 0);
	f.rc.allowed[0].until_ms = 1;
	assert_int_equal(glass_set(&f.rc, other_id), SET_USUAL);
	/* malformed, and twice */
	assert_int_equal(announce(&f, other_id, sizeof(other_id) - 1), -1);
	assert_int_equal(announce(&f, other_id, sizeof(other_id)), 0);
	assert_int_equal(announce(&f, other_id, sizeof(other_id)), -1);
	finish(&f);
	/* the usual ones answer, or none does */
	init_sets(&f, SHIP_UP, SHIP_UP);
	assert_int_equal(announce(&f, other_id, sizeof(other_id)), 0);
	assert_int_equal(glass_set(&f.rc, other_id), SET_USUAL);
	finish(&f);
	init_sets(&f, SHIP_DOWN, SHIP_DOWN);
	assert_int_equal(announce(&f, other_id, sizeof(other_id)), 0);
	assert_int_equal(glass_set(&f.rc, other_id), SET_USUAL);
	finish(&f);
	/* one that is full, or leaves, is none */
	init_sets(&f, SHIP_DOWN, SHIP_UP);
	f.rc.ships[1].full = true;
	assert_int_equal(announce(&f, other_id, sizeof(other_id)), 0);
	assert_int_equal(glass_set(&f.rc, other_id), SET_USUAL);
	f.rc.ships[1].full = false;
	f.rc.ships[1].leaving = true;
	assert_int_equal(announce(&f, other_id, sizeof(other_id)), 0);
	assert_int_equal(glass_set(&f.rc, other_id), SET_USUAL);
	finish(&f);
}

static void the_list_of_the_announced_is_bounded(void **state)
{
	uint8_t many[BREC_ID_LEN] = { 1 };
	struct fixture f;
	struct buf b;

	(void)state;
	init_sets(&f, SHIP_DOWN, SHIP_UP);
	for (uint8_t i = 0; i <= REC_GLASS_ALLOWED; i++) {
		many[1] = i;
		assert_int_equal(announce(&f, many, sizeof(many)), 0);
	}
	assert_int_equal(glass_set(&f.rc, many), SET_USUAL);
	many[1] = 0;
	assert_int_equal(glass_set(&f.rc, many), SET_GLASS);
	/* its place is free again */
	many[1] = REC_GLASS_ALLOWED;
	assert_int_equal(announce(&f, many, sizeof(many)), 0);
	assert_int_equal(glass_set(&f.rc, many), SET_GLASS);
	/* so is that of one whose way is over before it was opened */
	many[1] = 0;
	assert_int_equal(announce(&f, many, sizeof(many)), 0);
	many[1] = 1;
	buf_view(&b, many, sizeof(many));
	assert_int_equal(glass_over(&f.rc, &b), 0);
	assert_int_equal(glass_set(&f.rc, many), SET_USUAL);
	assert_int_equal(announce(&f, many, sizeof(many)), 0);
	assert_int_equal(glass_set(&f.rc, many), SET_GLASS);
	buf_view(&b, many, sizeof(many) - 1);
	assert_int_equal(glass_over(&f.rc, &b), -1);
	finish(&f);
}

/* The usual collector has no part in it, whatever it says, and its own recordings are not counted with it. */
static void a_recording_stays_in_its_set(void **state)
{
	const struct entry *e;
	struct fixture f;

	(void)state;
	init_sets(&f, SHIP_UP, SHIP_UP);
	f.rc.quorum[SET_USUAL] = 2;
	assert_non_null(f.r = queue_open(&f.rc, SET_GLASS, other_id, f.part.data, f.part.len));
	assert_int_equal(f.r->quorum, 1);
	assert_true(f.r->copies[0].lost && !f.r->copies[1].lost);
	frames(&f, 1, 3);
	assert_int_equal(f.rc.waiting[SET_GLASS], f.r->waiting);
	assert_int_equal(f.rc.waiting[SET_USUAL], 0);
	e = entry(&f, 3);
	assert_null(f.r->copies[0].next);
	assert_int_equal(queue_ack(&f.rc, f.r, 0, 3, e->h), -1);
	assert_int_equal(f.r->committed, 0);
	sent(&f, 1);
	assert_int_equal(ack(&f, 1, 3), 0);
	assert_int_equal(f.r->committed, 4);
	assert_false(queue_lose(&f.rc, f.r, 1));
	finish(&f);
}

/* A session that took itself for policy is ended; one whose recording was announced opens it, as any other; and what waits for the usual
 * collectors holds up neither of policy and that one. */
static void only_policy_announces(void **state)
{
	struct ipc policy, liar, session, other;
	uint8_t mine[BREC_ID_LEN];
	struct fixture f;
	struct ipc_msg m;

	(void)state;
	memcpy(mine, numbered(1), sizeof(mine));
	init_sets(&f, SHIP_DOWN, SHIP_UP);
	assert_non_null(f.rc.base = event_base_new());
	assert_non_null(f.rc.ships[1].bev = bufferevent_socket_new(f.rc.base, -1, 0));
	link_to(&f, 5, &liar);
	tell(&liar, MSG_REC_GLASS, 0, mine, NULL);
	assert_int_equal(heard(&f, &liar, &m), MSG_NONE);
	assert_true(LIST_EMPTY(&f.rc.links));
	ipc_finish(&liar);
	link_to(&f, 5, &liar);
	tell(&liar, MSG_REC_GLASS_OVER, 0, mine, NULL);
	assert_int_equal(heard(&f, &liar, &m), MSG_NONE);
	assert_true(LIST_EMPTY(&f.rc.links));
	assert_int_equal(glass_set(&f.rc, mine), SET_USUAL);
	f.rc.waiting[SET_USUAL] = REC_TOTAL_BYTES + 1;
	link_to(&f, REC_SLOT_POLICY, &policy);
	tell(&policy, MSG_REC_GLASS, 0, mine, NULL);
	assert_int_equal(heard(&f, &policy, &m), MSG_REC_GLASS_RE);
	assert_memory_equal(m.body.data, mine, sizeof(mine));
	assert_int_equal(m.body.data[BREC_ID_LEN], REC_PLACE_GLASS);
	ipc_msg_finish(&m);
	link_to(&f, 6, &session);
	tell(&session, MSG_REC_OPEN, 1, mine, &f.part);
	assert_int_equal(heard(&f, &session, &m), MSG_NONE);
	assert_non_null(f.r = queue_find(&f.rc, mine));
	assert_int_equal(f.r->set, SET_GLASS);
	tell(&session, MSG_REC_OPEN, 2, numbered(2), &f.part);
	assert_int_equal(heard(&f, &session, &m), MSG_REC_REFUSED);
	ipc_msg_finish(&m);
	sent(&f, 1);
	assert_int_equal(ack(&f, 1, 0), 0);
	link_committed(f.r, 0);
	assert_int_equal(heard(&f, &session, &m), MSG_REC_OPENED);
	ipc_msg_finish(&m);
	link_to(&f, 7, &other);
	tell(&other, MSG_REC_OPEN, 1, mine, &f.part);
	assert_int_equal(heard(&f, &other, &m), MSG_REC_REFUSED);
	ipc_msg_finish(&m);
	f.rc.waiting[SET_USUAL] = 0;
	ipc_finish(&policy);
	ipc_finish(&liar);
	ipc_finish(&session);
	ipc_finish(&other);
	turn(&f);
	turn(&f);
	assert_true(LIST_EMPTY(&f.rc.links));
	bufferevent_free(f.rc.ships[1].bev);
	f.rc.ships[1].bev = NULL;
	finish(&f);
	event_base_free(f.rc.base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_are_what_the_format_says), cmocka_unit_test(a_session_that_breaks_the_rules),
		cmocka_unit_test(the_quorum_decides), cmocka_unit_test(acknowledgements_that_cannot_be),
		cmocka_unit_test(memory_is_freed_when_all_have_it), cmocka_unit_test(who_is_far_behind_is_given_up),
		cmocka_unit_test(a_session_fills_its_own_share),
		cmocka_unit_test(many_that_are_done_make_room), cmocka_unit_test(who_is_barred_has_no_part),
		cmocka_unit_test(resume_goes_on_where_it_stands), cmocka_unit_test(resume_from_nothing),
		cmocka_unit_test(losing_copies_ends_at_the_quorum), cmocka_unit_test(the_other_set_is_for_what_policy_announced),
		cmocka_unit_test(the_list_of_the_announced_is_bounded), cmocka_unit_test(a_recording_stays_in_its_set),
		cmocka_unit_test(only_policy_announces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
