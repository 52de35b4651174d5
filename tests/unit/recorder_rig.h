/*
 * recorder_rig.h - a recorder without sockets, and one recording in it, and links of its sessions: for the tests of role_recorder_*.c.
 */
#ifndef RECORDER_RIG_H
#define RECORDER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto.h"
#include "crypto_recid.h"
#include "role_recorder.h"

struct fixture {
	struct recorder rc;
	struct recording *r;
	struct buf part;
};

static const uint8_t id[BREC_ID_LEN] = { 0xab, 0xcd, 1 };
static const uint8_t recid_key[RECID_KEY_LEN] = { 9, 9 };	/* of every session */

static void init(struct fixture *f, unsigned ships, unsigned quorum)
{
	const uint8_t seed[KEY_LEN] = { 4 }, commit[32] = { 1 }, stanza[BREC_STANZA_LEN] = { 2 };

	memset(f, 0, sizeof(*f));
	TAILQ_INIT(&f->rc.all);
	f->rc.nships = ships;
	f->rc.open_long_ms = REC_OPEN_LONG_MS;
	f->rc.quorum[SET_USUAL] = quorum;
	f->rc.signer = calloc(1, sizeof(*f->rc.signer));
	f->rc.signer->key = sign_key_from_seed(seed);
	f->rc.signer->refs = 1;
	sign_key_public(f->rc.signer->key, f->rc.signer->pub);
	for (unsigned i = 0; i < ships; i++)
		f->rc.ships[i].state = SHIP_UP;
	buf_init(&f->part, BREC_PART_MAX);
	buf_put_u8(&f->part, 1);
	buf_put_u8(&f->part, 0);
	buf_put(&f->part, commit, sizeof(commit));
	buf_put_u32(&f->part, 1);
	buf_put(&f->part, stanza, sizeof(stanza));
	f->r = queue_open(&f->rc, SET_USUAL, id, f->part.data, f->part.len);
	assert_non_null(f->r);
}

static void finish(struct fixture *f)
{
	struct recording *r;

	while ((r = TAILQ_FIRST(&f->rc.all)) != NULL)
		queue_destroy(&f->rc, r);
	assert_int_equal(f->rc.waiting[SET_USUAL], 0);
	assert_int_equal(f->rc.waiting[SET_GLASS], 0);
	assert_int_equal(f->rc.kept, 0);
	assert_int_equal(f->rc.count, 0);
	signer_release(f->rc.signer);
	buf_finish(&f->part);
}

static inline int frame(struct fixture *f, uint64_t seq, uint32_t epoch)
{
	uint8_t data[BREC_FRAME_HEAD + 32 + 4];

	brec_frame_head(data, BREC_DATA, BREC_OUTPUT, epoch, seq, 32);
	memset(data + BREC_FRAME_HEAD, (int)(seq & 0xff), 32);
	brec_frame_end(data, sizeof(data));
	return queue_frame(&f->rc, f->r, data, sizeof(data));
}

static inline void frames(struct fixture *f, uint64_t from, uint64_t to)
{
	for (uint64_t n = from; n <= to; n++)
		assert_int_equal(frame(f, n, f->r->segment), 0);
}

static inline const struct entry *entry(const struct fixture *f, uint64_t seq)
{
	const struct entry *e;

	STAILQ_FOREACH(e, &f->r->entries, link)
		if (e->seq == seq)
			return e;
	return NULL;
}

static inline int ack(struct fixture *f, unsigned i, uint64_t seq)
{
	const struct entry *e = entry(f, seq);

	assert_non_null(e);
	return queue_ack(&f->rc, f->r, i, seq, e->h);
}

/* As ship_push does when there is room. */
static inline void sent(struct fixture *f, unsigned i)
{
	f->r->copies[i].next = NULL;
}

/* A peer of recorder, at the other end of a link of its own. */
static inline void link_to(struct fixture *f, uint32_t slot, struct ipc *peer)
{
	int pair[2];

	assert_int_equal(ipc_pair(pair), 0);
	ipc_init(peer, pair[0], ROLE_SESSION, ROLE_RECORDER);
	link_up(&f->rc, slot, slot == REC_SLOT_POLICY ? NULL : recid_key, pair[1]);
}

/* The id of a session's recording number n, from 1, as policy gives it: in the next place each time. */
static inline const uint8_t *numbered(unsigned n)
{
	static uint8_t out[BREC_ID_LEN];

	assert_int_equal(recid_make(out, recid_key, n % RECID_PLACES, n), 0);
	return out;
}

static inline void turn(struct fixture *f)
{
	event_base_loop(f->rc.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	link_turn(&f->rc);
}

static inline void tell(struct ipc *peer, enum msg_type type, uint32_t way, const uint8_t *what, const struct buf *part)
{
	struct buf b;

	buf_init(&b, BREC_PART_MAX + 64);
	buf_put(&b, what, BREC_ID_LEN);
	if (part != NULL)
		buf_put_string(&b, part->data, part->len);
	assert_int_equal(ipc_send(peer, type, way, &b, NULL, 0), 0);
	buf_finish(&b);
}

/* The next message but for states: its type. */
static inline enum msg_type heard(struct fixture *f, struct ipc *peer, struct ipc_msg *m)
{
	turn(f);
	while (ipc_recv(peer, m) == 1) {
		if (m->type != MSG_REC_STATE && m->type != MSG_REC_GLASS_STATE)
			return m->type;
		ipc_msg_finish(m);
	}
	return MSG_NONE;
}

#endif
