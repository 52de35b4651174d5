/*
 * test_recorder_edges.c - a recording in the recorder's memory when something fails: what was not taken leaves nothing behind, so that it can
 * still be closed; how much a session may have made; and what a collector that is given up had said counts no more.
 *
 * WRAP: wire_put_entry
 */
#include "recorder_rig.h"

#include <event2/buffer.h>

static bool no_memory;

int __real_wire_put_entry(struct buf *b, const struct wire_entry *e);
int __wrap_wire_put_entry(struct buf *b, const struct wire_entry *e);

int __wrap_wire_put_entry(struct buf *b, const struct wire_entry *e)
{
	return no_memory ? -1 : __real_wire_put_entry(b, e);
}

/* As a collector does: each entry is the next of its segment, and hangs on the one before. Returns the last one's type. */
static enum wire_type taken_by_a_collector(const struct fixture *f)
{
	uint8_t chain[BREC_HASH_LEN] = { 0 };
	enum wire_type last = WIRE_OPEN;
	struct brec_header header;
	struct brec_frame fr;
	const struct entry *e;
	uint32_t segment = 0;
	struct wire_msg m;
	uint64_t seq = 0;

	STAILQ_FOREACH(e, &f->r->entries, link) {
		assert_int_equal(wire_decode(&m, e->data, e->len), 0);
		last = m.type;
		assert_true(m.entry.seq == seq++);
		if (last == WIRE_OPEN) {
			assert_int_equal(brec_chain_start(chain, m.entry.header, m.entry.header_len), 0);
		} else {
			assert_int_equal(brec_frame_decode(m.entry.frame, m.entry.frame_len, &fr), BREC_OK);
			assert_int_equal(fr.epoch, segment);
			assert_int_equal(brec_chain_add(chain, m.entry.frame, m.entry.frame_len), 0);
		}
		assert_memory_equal(m.entry.h, chain, sizeof(chain));
		if (last == WIRE_SEAL) {
			assert_int_equal(brec_header_decode(m.entry.header, m.entry.header_len, &header), BREC_OK);
			assert_int_equal(header.segment, ++segment);
			assert_memory_equal(header.prev, chain, sizeof(chain));
			assert_int_equal(brec_chain_start(chain, m.entry.header, m.entry.header_len), 0);
		}
	}
	return last;
}

/* The part of the next header is the session's. One that is none ends its link; and the recording gets its close frame. */
static void a_malformed_part(void **state)
{
	static uint8_t long_part[BREC_PART_MAX + 1];
	struct fixture f;

	(void)state;
	init(&f, 1, 1);
	frames(&f, 1, 3);
	assert_int_equal(queue_seal(&f.rc, f.r, 4, (const uint8_t *)"\7", 1), -1);
	assert_int_equal(queue_seal(&f.rc, f.r, 4, f.part.data, f.part.len - 1), -1);
	assert_int_equal(queue_seal(&f.rc, f.r, 4, f.part.data, 0), -1);
	memcpy(long_part, f.part.data, f.part.len);
	assert_int_equal(queue_seal(&f.rc, f.r, 4, long_part, sizeof(long_part)), -1);
	assert_int_equal(f.r->segment, 0);
	assert_int_equal(queue_seal(&f.rc, f.r, 4, f.part.data, f.part.len), 0);
	assert_int_equal(queue_seal(&f.rc, f.r, 5, (const uint8_t *)"", 1), -1);
	assert_int_equal(queue_close(&f.rc, f.r, f.r->next_seq, BREC_END_ABANDONED, "the link ended"), 0);
	assert_int_equal(taken_by_a_collector(&f), WIRE_END);
	finish(&f);
}

/* Whatever cannot be appended was not there. */
static void an_entry_that_does_not_fit_in_memory(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 1, 1);
	for (uint64_t seq = 1; seq <= 8; seq += 4) {
		no_memory = true;
		assert_int_equal(frame(&f, seq, f.r->segment), -1);
		no_memory = false;
		frames(&f, seq, seq);
		no_memory = true;
		assert_int_equal(queue_mark(&f.rc, f.r, seq + 1), -1);
		assert_int_equal(queue_seal(&f.rc, f.r, seq + 1, f.part.data, f.part.len), -1);
		assert_int_equal(queue_close(&f.rc, f.r, seq + 1, BREC_END_NORMAL, ""), -1);
		assert_false(f.r->closed);
		no_memory = false;
		assert_int_equal(queue_mark(&f.rc, f.r, seq + 1), 0);
		assert_int_equal(queue_seal(&f.rc, f.r, seq + 2, f.part.data, f.part.len), 0);
		frames(&f, seq + 3, seq + 3);
	}
	assert_int_equal(queue_close(&f.rc, f.r, 9, BREC_END_NORMAL, ""), 0);
	assert_int_equal(taken_by_a_collector(&f), WIRE_END);
	finish(&f);
}

/* A session seals before its segment is longer than anybody reads. */
static void a_segment_without_an_end(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 1, 1);
	f.r->segment_bytes = CONFIG_SEGMENT_MAX - 1;
	frames(&f, 1, 1);
	assert_int_equal(frame(&f, 2, 0), -1);
	assert_int_equal(queue_seal(&f.rc, f.r, 2, f.part.data, f.part.len), 0);
	frames(&f, 3, 4);
	finish(&f);
}

/* Two of three are needed. One says that it has all, and is found to lie: what the others have decides from then on. */
static void a_liar_makes_no_quorum(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 3, 2);
	frames(&f, 1, 9);
	for (unsigned i = 0; i < 3; i++)
		sent(&f, i);
	assert_int_equal(ack(&f, 1, 9), 0);
	assert_int_equal(ack(&f, 0, 5), 0);
	assert_true(f.r->committed == 6);
	assert_true(queue_lose(&f.rc, f.r, 1));
	assert_int_equal(ack(&f, 0, 8), 0);
	assert_true(f.r->committed == 6);
	assert_int_equal(ack(&f, 2, 4), 0);
	assert_true(f.r->committed == 6);
	assert_int_equal(ack(&f, 2, 7), 0);
	assert_true(f.r->committed == 8);
	finish(&f);
}

static void a_pace(void **state)
{
	uint64_t next = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_true(queue_pace(&next, 1000, 100, 3));
	assert_false(queue_pace(&next, 1000, 100, 3));
	assert_false(queue_pace(&next, 1099, 100, 3));
	assert_true(queue_pace(&next, 1100, 100, 3));
	assert_false(queue_pace(&next, 1199, 100, 3));
	assert_true(queue_pace(&next, 1200, 100, 3));
	/* a pause gives all of it back, and no more */
	for (int i = 0; i < 3; i++)
		assert_true(queue_pace(&next, 100000, 100, 3));
	assert_false(queue_pace(&next, 100000, 100, 3));
	next = 0;
	for (int i = 0; i < 1000; i++)
		assert_true(queue_pace(&next, 100000, 0, 3));
}

/* What a session asks for, on a link of its own, until the link ends: how many of these messages were taken. */
static uint64_t taken_of(uint32_t slot, enum msg_type type, size_t bytes, unsigned most)
{
	static uint8_t data[BREC_FRAME_MAX];
	struct ipc peer;
	struct fixture f;
	int pair[2];
	struct buf b;
	uint64_t n = 0, seq = 0;

	init(&f, 1, 1);
	f.rc.seal_every_ms = 3600000;
	queue_destroy(&f.rc, f.r);
	assert_non_null(f.rc.base = event_base_new());
	assert_non_null(f.rc.ships[0].bev = bufferevent_socket_new(f.rc.base, -1, 0));
	assert_int_equal(ipc_pair(pair), 0);
	ipc_init(&peer, pair[0], ROLE_SESSION, ROLE_RECORDER);
	link_up(&f.rc, slot, recid_key, pair[1]);
	buf_init(&b, BREC_PART_MAX + 64);
	buf_put(&b, numbered(1), BREC_ID_LEN);
	buf_put_string(&b, f.part.data, f.part.len);
	assert_int_equal(ipc_send(&peer, MSG_REC_OPEN, 1, &b, NULL, 0), 0);
	buf_finish(&b);
	for (; n < most && !LIST_EMPTY(&f.rc.links); n++) {
		for (size_t left = bytes; left > 0; left -= left < 32000 ? left : 32000) {
			const size_t len = BREC_FRAME_HEAD + 32000 + 4;

			brec_frame_head(data, BREC_DATA, BREC_OUTPUT, type == MSG_REC_SEAL ? (uint32_t)n : 0, ++seq, 32000);
			brec_frame_end(data, len);
			buf_view(&b, data, len);
			assert_int_equal(ipc_send(&peer, MSG_REC_FRAME, 1, &b, NULL, 0), 0);
		}
		buf_init(&b, BREC_PART_MAX + 64);
		buf_put_u64(&b, ++seq);
		if (type == MSG_REC_SEAL)
			buf_put_string(&b, f.part.data, f.part.len);
		assert_int_equal(ipc_send(&peer, type, 1, &b, NULL, 0), 0);
		buf_finish(&b);
		event_base_loop(f.rc.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		/* a collector takes all of it */
		f.r = queue_find(&f.rc, numbered(1));
		assert_non_null(f.r);
		sent(&f, 0);
		if (f.r->next_seq > 1 && entry(&f, f.r->next_seq - 1) != NULL && f.r->committed < f.r->next_seq)
			assert_int_equal(ack(&f, 0, f.r->next_seq - 1), 0);
		queue_release(&f.rc, f.r);
		evbuffer_unfreeze(bufferevent_get_output(f.rc.ships[0].bev), 1);
		evbuffer_drain(bufferevent_get_output(f.rc.ships[0].bev), SIZE_MAX);
		link_turn(&f.rc);
	}
	ipc_finish(&peer);
	event_base_loop(f.rc.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	link_turn(&f.rc);
	bufferevent_free(f.rc.ships[0].bev);
	f.rc.ships[0].bev = NULL;
	finish(&f);
	event_base_free(f.rc.base);
	return n;
}

static void seals_and_checkpoints_are_bounded(void **state)
{
	(void)state;
	assert_int_equal(taken_of(5, MSG_REC_SEAL, 0, 1000), REC_SEAL_BURST + 1);
	assert_int_equal(taken_of(5, MSG_REC_SEAL, 32000, 1000), REC_SEAL_BURST + 1);
	assert_int_equal(taken_of(5, MSG_REC_SEAL, 64000, 100), 100);
	assert_in_range(taken_of(5, MSG_REC_MARK, 0, 1000), REC_MARK_BURST + 1, REC_MARK_BURST + 50);
	assert_int_equal(taken_of(REC_SLOT_POLICY, MSG_REC_SEAL, 0, 100), 100);
	assert_int_equal(taken_of(REC_SLOT_POLICY, MSG_REC_MARK, 0, 300), 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_malformed_part), cmocka_unit_test(a_pace),
		cmocka_unit_test(seals_and_checkpoints_are_bounded), cmocka_unit_test(an_entry_that_does_not_fit_in_memory),
		cmocka_unit_test(a_liar_makes_no_quorum), cmocka_unit_test(a_segment_without_an_end) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
