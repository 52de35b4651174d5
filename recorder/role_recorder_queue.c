/*
 * role_recorder_queue.c - a recording in the recorder: chain, signatures, entries in memory, and
 * which collector has what. Pure but for memory and a line of the log. Comes after role_recorder_link.c;
 * role_recorder_ship.c sends what is here.
 *
 * Invariants of a recording:
 *   entries are consecutive; `uncommitted`, and each copy's `unacked` and `next`, point into them or are NULL (past the end)
 *   copy.has <= number of `next` <= r->next_seq;  r->committed is the quorum-th largest `has` of those not lost, and never goes back
 *   r->waiting = bytes from `uncommitted` on;  r->bytes = bytes of all
 */
#include "role_recorder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "crypto.h"
#include "log.h"

static struct recording_list *bucket(struct recorder *rc, const uint8_t id[BREC_ID_LEN])
{
	return &rc->buckets[((unsigned)id[0] << 8 | id[1]) % REC_BUCKETS];
}

struct recording *queue_find(struct recorder *rc, const uint8_t id[BREC_ID_LEN])
{
	struct recording *r;

	LIST_FOREACH(r, bucket(rc, id), bucket)
		if (memcmp(r->id, id, BREC_ID_LEN) == 0)
			return r;
	return NULL;
}

/* The quorum has it up to that entry, and its memory is needed: who is so far behind stays without the rest of this recording. */
static void give_up(struct recorder *rc, struct recording *r, uint64_t seq)
{
	for (unsigned i = 0; i < rc->nships; i++) {
		struct ship *s = &rc->ships[i];

		if (r->copies[i].lost || r->copies[i].has > seq)
			continue;
		queue_lose(rc, r, i);
		if (!s->gave_up)
			log_warn("collector %s: so far behind that recordings are not kept for it any more: what it lacks is in the stores of "
			    "the others (bastion-collectord(8), QUORUM)", s->name);
		s->gave_up = true;
	}
}

/* Encodes the entry and hangs it on the end, for every collector that takes part. */
static int append(struct recorder *rc, struct recording *r, struct wire_entry *we)
{
	size_t len = WIRE_HEAD + BREC_ID_LEN + BREC_HASH_LEN + (we->type == WIRE_SEAL ? 4 : 0) + we->frame_len +
	    we->header_len;
	struct entry *e = malloc(sizeof(*e) + len);
	struct buf b;

	if (e == NULL)
		return -1;
	b = (struct buf){ .data = e->data, .cap = len, .max = len };
	if (wire_put_entry(&b, we) != 0 || b.len != len) {
		free(e);
		return -1;
	}
	e->seq = we->seq;
	memcpy(e->h, we->h, BREC_HASH_LEN);
	e->len = len;
	STAILQ_INSERT_TAIL(&r->entries, e, link);
	r->bytes += len;
	r->waiting += len;
	rc->waiting[r->set] += len;
	if (r->link != NULL)
		r->link->waiting += len;
	if (r->uncommitted == NULL)
		r->uncommitted = e;
	for (unsigned i = 0; i < rc->nships; i++) {
		struct copy *c = &r->copies[i];

		if (c->unacked == NULL && !c->lost)
			c->unacked = e;
		if (c->next == NULL && c->synced && !c->lost)
			c->next = e;
	}
	r->next_seq = e->seq + 1;
	return 0;
}

/* The header of that segment; `after` is then the value after it. The recording stays as it is: the part is the session's, and may be none. */
static int build_header(struct recorder *rc, struct recording *r, uint32_t segment, const uint8_t *part, size_t len,
    uint64_t first_seq, const uint8_t prev[BREC_HASH_LEN], uint8_t after[BREC_HASH_LEN], struct buf *out)
{
	struct brec_header h = { .segment = segment,
		.first_seq = first_seq,
		.wall_us = clock_wall_us(),
		.part = part,
		.part_len = len };
	struct brec_wrap wraps[BREC_GROUPS];

	memcpy(h.id, r->id, BREC_ID_LEN);
	memcpy(h.prev, prev, BREC_HASH_LEN);
	memcpy(h.boot_id, rc->boot_id, sizeof(h.boot_id));
	if (segment == 0)
		r->opened_us = (uint64_t)h.wall_us;
	if (len > BREC_PART_MAX || brec_part_decode(part, len, wraps) != 0) {
		errno = EINVAL;
		return -1;
	}
	buf_init(out, BREC_HEADER_MAX);
	if (brec_header_build(out, &h, r->signer->key) == 0 && brec_chain_start(after, out->data, out->len) == 0)
		return 0;
	buf_finish(out);
	errno = ENOMEM;
	return -1;
}

/* Room for another one: the quorum has all of the oldest that is done, and who lacks it stays without. */
static void give_up_oldest(struct recorder *rc)
{
	struct recording *r;

	TAILQ_FOREACH(r, &rc->all, all)
		if (r->done) {
			give_up(rc, r, r->next_seq - 1);
			queue_release(rc, r);
			return;
		}
}

struct recording *queue_open(
    struct recorder *rc, enum rec_set set, const uint8_t id[BREC_ID_LEN], const uint8_t *part, size_t len)
{
	static const uint8_t zero[BREC_HASH_LEN];
	struct recording *r;
	struct buf header;
	int e;

	if (rc->count >= REC_KEEP_COUNT)
		give_up_oldest(rc);
	if (queue_find(rc, id) != NULL || rc->count >= REC_RECORDINGS_MAX) {
		errno = rc->count >= REC_RECORDINGS_MAX ? EMFILE : EEXIST;
		return NULL;
	}
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	memcpy(r->id, id, BREC_ID_LEN);
	STAILQ_INIT(&r->entries);
	r->signer = signer_take(rc->signer);
	r->set = set;
	r->quorum = rc->quorum[set];
	if (build_header(rc, r, 0, part, len, 1, zero, r->h, &header) != 0) {
		e = errno;
		signer_release(r->signer);
		free(r);
		errno = e;
		return NULL;
	}
	/*
	 * who is connected gets the OPEN at once; the others are asked first, when they are back
	 * (queue_resume). Who is not there now has no part in it, also if a reload brings it later,
	 * and who is of the other set, or gave false word, has none either
	 */
	for (unsigned i = 0; i < CONFIG_COLLECTORS_MAX; i++)
		r->copies[i] = (struct copy){ .synced = rc->ships[i].state == SHIP_UP,
			.lost = i >= rc->nships || rc->ships[i].set != set || rc->ships[i].state >= SHIP_BARRED || rc->ships[i].leaving };
	e = append(rc, r,
	    &(struct wire_entry){
		.type = WIRE_OPEN, .id = r->id, .h = r->h, .header = header.data, .header_len = header.len });
	buf_finish(&header);
	if (e != 0) {
		signer_release(r->signer);
		free(r);
		errno = ENOMEM;
		return NULL;
	}
	LIST_INSERT_HEAD(bucket(rc, id), r, bucket);
	TAILQ_INSERT_TAIL(&rc->all, r, all);
	rc->count++;
	return r;
}

int queue_frame(struct recorder *rc, struct recording *r, const uint8_t *frame, size_t len)
{
	uint8_t h[BREC_HASH_LEN];
	struct brec_frame f;

	memcpy(h, r->h, sizeof(h));
	/* a session seals before it adds; one that does not makes a file of a size that nobody fetches from a bucket */
	if (r->closed || r->segment_bytes >= CONFIG_SEGMENT_MAX || brec_frame_decode(frame, len, &f) != BREC_OK || f.len != len || f.type != BREC_DATA ||
	    f.seq != r->next_seq || f.epoch != r->segment || brec_chain_add(h, frame, len) != 0 || append(rc, r,
	    &(struct wire_entry){ .type = WIRE_FRAME, .id = r->id, .h = h, .seq = f.seq, .frame = frame, .frame_len = len }) != 0)
		return -1;
	memcpy(r->h, h, sizeof(h));
	r->segment_bytes += len;
	return 0;
}

/* Checkpoint, seal or close frame, chained on: h is the value after it. The recording's own moves when the entry is in its place. */
static int build_mark(struct recording *r, struct brec_mark *m, uint8_t h[BREC_HASH_LEN], struct buf *out)
{
	if (r->closed || m->seq != r->next_seq)
		return -1;
	m->epoch = r->segment;
	memcpy(m->h, r->h, BREC_HASH_LEN);
	memcpy(h, r->h, BREC_HASH_LEN);
	m->wall_us = clock_wall_us();
	buf_init(out, BREC_FRAME_MAX);
	if (brec_mark_build(out, r->id, m, r->signer->key) == 0 && brec_chain_add(h, out->data, out->len) == 0)
		return 0;
	buf_finish(out);
	return -1;
}

int queue_mark(struct recorder *rc, struct recording *r, uint64_t seq)
{
	struct brec_mark m = { .type = BREC_CHECKPOINT, .seq = seq };
	uint8_t h[BREC_HASH_LEN];
	struct buf frame;
	int e;

	if (build_mark(r, &m, h, &frame) != 0)
		return -1;
	e = append(rc, r, &(struct wire_entry){ .type = WIRE_FRAME, .id = r->id, .h = h, .seq = seq,
	    .frame = frame.data, .frame_len = frame.len });
	buf_finish(&frame);
	if (e == 0)
		memcpy(r->h, h, sizeof(h));
	return e;
}

int queue_seal(struct recorder *rc, struct recording *r, uint64_t seq, const uint8_t *part, size_t len)
{
	struct brec_mark m = { .type = BREC_SEAL, .seq = seq };
	uint8_t sealed[BREC_HASH_LEN], h[BREC_HASH_LEN];
	struct buf frame, header;
	int e = -1;

	if (build_mark(r, &m, sealed, &frame) != 0)
		return -1;
	if (build_header(rc, r, r->segment + 1, part, len, seq + 1, sealed, h, &header) == 0) {
		e = append(rc, r,
		    &(struct wire_entry){ .type = WIRE_SEAL,
			.id = r->id,
			.h = sealed,
			.seq = seq,
			.frame = frame.data,
			.frame_len = frame.len,
			.header = header.data,
			.header_len = header.len });
		buf_finish(&header);
	}
	buf_finish(&frame);
	if (e == 0) {
		r->segment++;
		r->segment_bytes = 0;
		memcpy(r->h, h, sizeof(h));
	}
	return e;
}

int queue_close(struct recorder *rc, struct recording *r, uint64_t seq, enum brec_end end, const char *reason)
{
	struct brec_mark m = { .type = BREC_CLOSE, .seq = seq, .end = end };
	uint8_t h[BREC_HASH_LEN];
	struct buf frame;
	int e;

	strncpy(m.reason, reason, sizeof(m.reason) - 1);
	if (build_mark(r, &m, h, &frame) != 0)
		return -1;
	e = append(rc, r, &(struct wire_entry){ .type = WIRE_END, .id = r->id, .h = h, .seq = seq,
	    .frame = frame.data, .frame_len = frame.len });
	buf_finish(&frame);
	r->closed = e == 0;
	if (e == 0)
		memcpy(r->h, h, sizeof(h));
	return e;
}

bool queue_pace(uint64_t *state, uint64_t now_ms, uint64_t every_ms, unsigned burst)
{
	/* the time at which all that came would have come one by one */
	const uint64_t due = *state > now_ms ? *state : now_ms;

	if (due - now_ms > (burst - 1) * every_ms)
		return false;
	*state = due + every_ms;
	return true;
}

/*
 * The quorum-th largest count: so many entries at least `quorum` collectors have. What one that was given up for this recording had said
 * counts no more: it may have lied. What was committed upon its word stays so (advance).
 */
static uint64_t quorum_has(const struct recorder *rc, const struct recording *r)
{
	uint64_t best = 0;

	for (unsigned i = 0; i < rc->nships; i++) {
		unsigned n = 0;

		if (r->copies[i].lost)
			continue;
		for (unsigned k = 0; k < rc->nships; k++)
			n += !r->copies[k].lost && r->copies[k].has >= r->copies[i].has;
		if (n >= r->quorum && r->copies[i].has > best)
			best = r->copies[i].has;
	}
	return best;
}

static void advance(struct recorder *rc, struct recording *r)
{
	uint64_t has = quorum_has(rc, r);

	if (has <= r->committed)
		return;
	r->committed = has;
	while (r->uncommitted != NULL && r->uncommitted->seq < has) {
		size_t len = r->uncommitted->len;

		r->waiting -= len;
		rc->waiting[r->set] -= len;
		rc->kept += len;
		if (r->share != NULL)
			r->share->kept += len;
		if (r->link != NULL)
			r->link->waiting -= len;
		r->uncommitted = STAILQ_NEXT(r->uncommitted, link);
	}
	r->done = r->closed && r->uncommitted == NULL;
}

int queue_ack(
    struct recorder *rc, struct recording *r, unsigned i, uint64_t seq, const uint8_t h[BREC_HASH_LEN])
{
	struct copy *c = &r->copies[i];
	struct entry *last = NULL, *e;

	/* said again, after an identical repeat */
	if (seq + 1 == c->has)
		return memcmp(h, c->h, BREC_HASH_LEN) == 0 ? 0 : -1;
	for (e = c->unacked; e != NULL && e != c->next && e->seq <= seq; e = STAILQ_NEXT(e, link))
		last = e;
	if (last == NULL || last->seq != seq || memcmp(last->h, h, BREC_HASH_LEN) != 0)
		return -1;
	c->unacked = e;
	c->has = seq + 1;
	memcpy(c->h, h, BREC_HASH_LEN);
	advance(rc, r);
	return 0;
}

int queue_resume(struct recorder *rc, struct recording *r, unsigned i, bool some, uint64_t seq,
    const uint8_t h[BREC_HASH_LEN])
{
	struct copy *c = &r->copies[i];
	uint64_t has = some ? seq + 1 : 0;
	struct entry *e;

	/* what it acknowledged it must have */
	if (has < c->has || has > r->next_seq)
		return -1;
	c->synced = true;
	/* all that is in memory may have been sent before the connection broke */
	c->next = NULL;
	if (has > c->has && queue_ack(rc, r, i, seq, h) != 0)
		return -1;
	if (has == c->has && some && memcmp(c->h, h, BREC_HASH_LEN) != 0)
		return -1;
	for (e = STAILQ_FIRST(&r->entries); e != NULL && e->seq < has; e = STAILQ_NEXT(e, link))
		;
	if (e == NULL ? has != r->next_seq : e->seq != has)
		return -1;
	c->unacked = c->next = e;
	return 0;
}

bool queue_spares(const struct recording *r, unsigned i)
{
	unsigned left = 0;

	for (unsigned k = 0; k < CONFIG_COLLECTORS_MAX; k++)
		left += k != i && !r->copies[k].lost;
	return left >= r->quorum;
}

bool queue_lose(struct recorder *rc, struct recording *r, unsigned i)
{
	(void)rc;
	r->copies[i].lost = true;
	r->copies[i].next = r->copies[i].unacked = NULL;
	return queue_spares(r, i);
}

static void free_first(struct recorder *rc, struct recording *r)
{
	struct entry *e = STAILQ_FIRST(&r->entries);

	STAILQ_REMOVE_HEAD(&r->entries, link);
	r->bytes -= e->len;
	rc->kept -= e->len;
	if (r->share != NULL)
		r->share->kept -= e->len;
	free(e);
}

void share_release(struct share *s)
{
	if (s != NULL && --s->refs == 0)
		free(s);
}

/* May what a slow collector lacks of it go on being kept? */
static bool has_room(const struct recorder *rc, const struct recording *r)
{
	return r->bytes - r->waiting <= REC_KEEP_BYTES && rc->kept <= REC_KEEP_TOTAL && (r->share == NULL || r->share->kept <= REC_KEEP_SESSION);
}

bool queue_release(struct recorder *rc, struct recording *r)
{
	struct entry *e;

	while ((e = STAILQ_FIRST(&r->entries)) != NULL && e != r->uncommitted) {
		bool needed = false;

		for (unsigned i = 0; i < rc->nships; i++)
			needed |= !r->copies[i].lost && r->copies[i].has <= e->seq;
		if (needed && has_room(rc, r))
			return false;
		give_up(rc, r, e->seq);
		free_first(rc, r);
	}
	if (e != NULL || !r->done)
		return false;
	queue_destroy(rc, r);
	return true;
}

void queue_detach(struct recording *r)
{
	if (r->link == NULL)
		return;
	LIST_REMOVE(r, of_link);
	r->link->nways--;
	r->link->waiting -= r->waiting;
	r->link = NULL;
}

void queue_destroy(struct recorder *rc, struct recording *r)
{
	struct entry *e;

	queue_detach(r);
	while ((e = STAILQ_FIRST(&r->entries)) != NULL) {
		STAILQ_REMOVE_HEAD(&r->entries, link);
		free(e);
	}
	rc->waiting[r->set] -= r->waiting;
	rc->kept -= r->bytes - r->waiting;
	if (r->share != NULL)
		r->share->kept -= r->bytes - r->waiting;
	share_release(r->share);
	LIST_REMOVE(r, bucket);
	TAILQ_REMOVE(&rc->all, r, all);
	rc->count--;
	signer_release(r->signer);
	free(r);
}
