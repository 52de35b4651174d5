/*
 * brec_writer.c - see brec_writer.h: events to padded, encrypted frames, segment after segment.
 *
 * Runs in the session process, between relay_*.c, which adds events, and the link to role_recorder.c. One frame is
 * being filled at a time, in place: events are laid behind room for the frame's head, encrypted where they are and given
 * to the ops from there. Nothing is allocated for an event or a frame; keys and AEAD contexts live for a segment.
 *
 * Sequence numbers: `seq` is the last one given away. The frame being filled is always seq + 1, because whatever else takes
 * a number (a checkpoint, a seal) ends that frame first.
 */
#include "brec_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "age.h"

#define ROOM ((size_t)(BREC_FRAME_MAX - BREC_FRAME_OVERHEAD) / 16 * 16)	/* plaintext of one frame */
#define EVENT_HEAD_MAX (1 + 10 + 10 + 10)
#define PIECE_MIN 64			/* a frame with less room for data than this is ended instead */
#define CHECKPOINT_BUSY_US 1000000
#define CHECKPOINT_IDLE_US 60000000

struct recipients {
	size_t n;
	uint8_t pub[BREC_RECIPIENTS_MAX][AGE_KEY_LEN];
};

struct brec_writer {
	const struct brec_writer_ops *ops;
	void *ctx;
	bool broken, closed;
	uint8_t id[BREC_ID_LEN];
	struct recipients groups[BREC_GROUPS];	/* input's may be empty: then main's read it */
	bool renew;			/* they changed: the next segment is due */
	bool begun;			/* segment 0's part was given away */
	size_t segment_max;
	uint64_t segment_us_max;

	uint32_t segment;		/* and epoch */
	struct aead aead[BREC_STREAMS];
	uint8_t aad_tail[BREC_AAD_TAIL];
	struct buf part;		/* the session's part of this segment's header */
	size_t segment_bytes;
	bool segment_data;		/* a data frame is in it; */
	uint64_t segment_first_us;	/* when the first one ended */

	uint64_t start_us;
	uint64_t seq;			/* last given away */
	uint64_t mark_us;		/* last checkpoint, seal, or the start */
	bool unmarked;			/* a data frame came after it; */
	uint64_t unmarked_us;		/* when the first one ended */

	enum brec_stream stream;	/* of the frame being filled */
	size_t fill;			/* plaintext bytes in it, 0: none is being filled */
	uint8_t frame[BREC_FRAME_MAX];
};

/* ---- keys of a segment ---- */

/* One group of the part: the commitment to its group key, and stanzas of its share of the file key. */
static int put_group(struct brec_writer *w, enum brec_group group, const uint8_t key[KEY_LEN],
    const uint8_t share[AGE_FILE_KEY_LEN])
{
	const struct recipients *to = &w->groups[group];
	uint8_t commit[HASH_LEN], stanza[AGE_STANZA_LEN];

	if (brec_commitment(commit, key, w->id, w->segment, group) != 0)
		return -1;
	buf_put_u8(&w->part, (uint8_t)group);
	buf_put(&w->part, commit, sizeof(commit));
	buf_put_u32(&w->part, (uint32_t)to->n);
	for (size_t i = 0; i < to->n; i++)
		if (age_wrap(stanza, share, to->pub[i]) != 0 || buf_put(&w->part, stanza, sizeof(stanza)) != 0)
			return -1;
	return 0;
}

/* A group with a file key of its own, or, `shared`, one that has it together with the second: its key to key[]. */
static int put_key(struct brec_writer *w, enum brec_group group, bool shared, uint8_t key[KEY_LEN])
{
	uint8_t file_key[AGE_FILE_KEY_LEN], share[AGE_FILE_KEY_LEN], other[AGE_FILE_KEY_LEN] = { 0 };
	int r = -1;

	if (random_bytes(share, sizeof(share)) != 0 || (shared && random_bytes(other, sizeof(other)) != 0))
		goto out;
	for (size_t i = 0; i < sizeof(file_key); i++)
		file_key[i] = share[i] ^ other[i];
	if (brec_group_key(key, file_key, w->id, w->segment, group) == 0 && put_group(w, group, key, share) == 0 &&
	    (!shared || put_group(w, BREC_GROUP_SECOND, key, other) == 0))
		r = 0;
out:
	explicit_bzero(file_key, sizeof(file_key));
	explicit_bzero(share, sizeof(share));
	explicit_bzero(other, sizeof(other));
	return r;
}

static int set_stream_key(struct brec_writer *w, enum brec_stream stream, const uint8_t group_key[KEY_LEN])
{
	uint8_t key[KEY_LEN];
	int r = -1;

	aead_finish(&w->aead[stream]);
	if (brec_stream_key(key, group_key, w->id, w->segment, stream) == 0)
		r = aead_init(&w->aead[stream], key, true);
	explicit_bzero(key, sizeof(key));
	return r;
}

/* Fresh keys and a new part for segment w->segment; the old keys are gone after it. */
static int new_keys(struct brec_writer *w)
{
	const bool split = w->groups[BREC_GROUP_INPUT].n != 0, shared = w->groups[BREC_GROUP_SECOND].n != 0;
	uint8_t main_key[KEY_LEN], input_key[KEY_LEN];
	int r = -1;

	buf_reset(&w->part);
	buf_put_u8(&w->part, shared ? 3 : split ? 2 : 1);
	if (put_key(w, BREC_GROUP_MAIN, false, main_key) != 0 ||
	    (split && put_key(w, BREC_GROUP_INPUT, shared, input_key) != 0) ||
	    set_stream_key(w, BREC_META, main_key) != 0 ||
	    set_stream_key(w, BREC_OUTPUT, main_key) != 0 ||
	    set_stream_key(w, BREC_INPUT, split ? input_key : main_key) != 0)
		goto out;
	brec_aad_tail(w->aad_tail, w->id, w->segment);
	w->segment_bytes = BREC_HEADER_MIN + w->part.len;
	w->segment_data = w->renew = false;
	r = 0;
out:
	explicit_bzero(main_key, sizeof(main_key));
	explicit_bzero(input_key, sizeof(input_key));
	return r;
}

/* ---- life ---- */

static int parse_recipients(struct recipients *to, const char *const *list)
{
	for (; list != NULL && *list != NULL; list++)
		if (to->n == BREC_RECIPIENTS_MAX || age_recipient_parse(*list, to->pub[to->n++]) != 0)
			return -1;
	return 0;
}

struct brec_writer *brec_writer_create(const uint8_t id[BREC_ID_LEN], const char *const *recipients,
    const char *const *input_recipients, uint64_t now_us, const struct brec_writer_ops *ops, void *ctx)
{
	struct brec_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->ops = ops;
	w->ctx = ctx;
	memcpy(w->id, id, BREC_ID_LEN);
	w->segment_max = BREC_SEGMENT_BYTES;
	w->segment_us_max = BREC_SEGMENT_SECONDS * 1000000ULL;
	w->start_us = w->mark_us = now_us;
	buf_init(&w->part, BREC_PART_MAX);
	errno = EINVAL;
	if (parse_recipients(&w->groups[BREC_GROUP_MAIN], recipients) != 0 ||
	    parse_recipients(&w->groups[BREC_GROUP_INPUT], input_recipients) != 0 ||
	    w->groups[BREC_GROUP_MAIN].n == 0 || new_keys(w) != 0) {
		brec_writer_destroy(w);
		errno = EINVAL;
		return NULL;
	}
	return w;
}

int brec_writer_recipients(struct brec_writer *w, const char *const *recipients, const char *const *input_recipients,
    const char *const *second)
{
	struct recipients fresh[BREC_GROUPS] = { { 0 } };

	errno = EINVAL;
	if (parse_recipients(&fresh[BREC_GROUP_MAIN], recipients) != 0 ||
	    parse_recipients(&fresh[BREC_GROUP_INPUT], input_recipients) != 0 ||
	    parse_recipients(&fresh[BREC_GROUP_SECOND], second) != 0 || fresh[BREC_GROUP_MAIN].n == 0 ||
	    (fresh[BREC_GROUP_SECOND].n != 0 && fresh[BREC_GROUP_INPUT].n == 0))
		return -1;
	if (memcmp(w->groups, fresh, sizeof(fresh)) == 0)
		return 0;
	memcpy(w->groups, fresh, sizeof(fresh));
	if (w->begun)
		w->renew = true;
	else if (new_keys(w) != 0)
		return -1;
	return 0;
}

void brec_writer_destroy(struct brec_writer *w)
{
	if (w == NULL)
		return;
	for (int i = 0; i < BREC_STREAMS; i++)
		aead_finish(&w->aead[i]);
	buf_finish(&w->part);
	explicit_bzero(w, sizeof(*w));
	free(w);
}

void brec_writer_limits(struct brec_writer *w, size_t segment_bytes, unsigned segment_seconds)
{
	if (segment_bytes != 0)
		w->segment_max = segment_bytes;
	if (segment_seconds != 0)
		w->segment_us_max = segment_seconds * 1000000ULL;
}

int brec_writer_part(struct brec_writer *w, struct buf *out)
{
	w->begun = true;
	return w->segment == 0 && !w->broken ? buf_put(out, w->part.data, w->part.len) : -1;
}

uint64_t brec_writer_seq(const struct brec_writer *w)
{
	return w->seq;
}

/* ---- frames ---- */

/* Ends the frame being filled, if there is one. */
static int end_frame(struct brec_writer *w, uint64_t now_us)
{
	const size_t padded = (w->fill + 15) / 16 * 16;
	const size_t len = BREC_FRAME_HEAD + padded + AEAD_TAG_LEN + 4;
	uint8_t nonce[AEAD_NONCE_LEN];

	if (w->fill == 0)
		return 0;
	memset(w->frame + BREC_FRAME_HEAD + w->fill, 0, padded - w->fill);
	brec_frame_head(w->frame, BREC_DATA, w->stream, w->segment, w->seq + 1, padded + AEAD_TAG_LEN);
	brec_nonce(nonce, w->seq + 1);
	if (aead_seal(&w->aead[w->stream], nonce, (const struct span[]){ SPAN(w->frame, BREC_FRAME_HEAD),
	    SPAN(w->aad_tail, BREC_AAD_TAIL) }, 2, w->frame + BREC_FRAME_HEAD, padded) != 0)
		return -1;
	brec_frame_end(w->frame, len);
	w->fill = 0;
	w->seq++;
	w->segment_bytes += len;
	if (!w->segment_data)
		w->segment_first_us = now_us;
	if (!w->unmarked)
		w->unmarked_us = now_us;
	w->segment_data = w->unmarked = true;
	return w->ops->frame(w->ctx, w->frame, len, w->seq);
}

/* Is the segment to be sealed before anything more goes into it? */
static bool seal_due(const struct brec_writer *w, uint64_t now_us)
{
	return w->renew || (w->segment_data &&
	    (w->segment_bytes >= w->segment_max || now_us >= w->segment_first_us + w->segment_us_max));
}

static int seal(struct brec_writer *w, uint64_t now_us)
{
	if (end_frame(w, now_us) != 0)
		return -1;
	w->segment++;
	if (new_keys(w) != 0)
		return -1;
	w->mark_us = now_us;
	w->unmarked = false;
	w->seq++;
	return w->ops->seal(w->ctx, w->seq, &w->part);
}

static size_t put_varint(uint8_t *p, uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		p[n++] = (uint8_t)(v | 0x80);
	p[n++] = (uint8_t)v;
	return n;
}

/* Makes room for at least PIECE_MIN bytes of data (or `len`, if that is less) of this stream. */
static int make_room(struct brec_writer *w, enum brec_stream stream, uint64_t now_us, size_t len)
{
	size_t need = EVENT_HEAD_MAX + (len < PIECE_MIN ? len : PIECE_MIN);

	if (w->fill != 0 && (w->stream != stream || ROOM - w->fill < need) && end_frame(w, now_us) != 0)
		return -1;
	if (w->fill == 0 && seal_due(w, now_us) && seal(w, now_us) != 0)
		return -1;
	w->stream = stream;
	return 0;
}

static bool is_bytes(enum brec_kind kind)
{
	return kind == BREC_K_IN || kind == BREC_K_OUT || kind == BREC_K_ERR;
}

/* Lays down as much of the data as the frame takes; returns how much. */
static size_t put_piece(struct brec_writer *w, enum brec_kind kind, uint64_t now_us, uint64_t channel, const uint8_t *data,
    size_t len)
{
	uint8_t *start = w->frame + BREC_FRAME_HEAD + w->fill, *p = start;
	size_t take = ROOM - w->fill - EVENT_HEAD_MAX;

	if (take > len)
		take = len;
	*p++ = (uint8_t)((unsigned)kind | (take < len && !is_bytes(kind) ? BREC_K_MORE : 0));
	p += put_varint(p, now_us > w->start_us ? now_us - w->start_us : 0);
	p += put_varint(p, channel);
	p += put_varint(p, take);
	if (take != 0)
		memcpy(p, data, take);
	w->fill += (size_t)(p - start) + take;
	return take;
}

uint64_t brec_writer_event(struct brec_writer *w, enum brec_stream stream, enum brec_kind kind, uint64_t now_us,
    uint64_t channel, const void *data, size_t len)
{
	const uint8_t *p = len != 0 ? data : (const uint8_t *)"";
	size_t done = 0;

	if (w->broken || w->closed || (unsigned)stream >= BREC_STREAMS || (len > BREC_EVENT_MAX && !is_bytes(kind)))
		return 0;
	do {
		if (make_room(w, stream, now_us, len - done) != 0) {
			w->broken = true;
			return 0;
		}
		done += put_piece(w, kind, now_us, channel, p + done, len - done);
	} while (done < len);
	return w->seq + 1;
}

int brec_writer_flush(struct brec_writer *w, uint64_t now_us)
{
	if (w->broken)
		return -1;
	w->broken = end_frame(w, now_us) != 0;
	return w->broken ? -1 : 0;
}

static int checkpoint(struct brec_writer *w, uint64_t now_us)
{
	w->mark_us = now_us;
	w->unmarked = false;
	w->seq++;
	w->segment_bytes += BREC_FRAME_HEAD + BREC_HASH_LEN + 8 + SIG_LEN + 4;
	return w->ops->mark(w->ctx, w->seq);
}

int brec_writer_tick(struct brec_writer *w, uint64_t now_us)
{
	uint64_t due;

	if (w->broken)
		return -1;
	if (w->closed)
		return CHECKPOINT_IDLE_US / 1000;
	if (end_frame(w, now_us) != 0)
		goto bad;
	if (seal_due(w, now_us)) {
		if (seal(w, now_us) != 0)
			goto bad;
	} else if ((w->unmarked && now_us >= w->unmarked_us + CHECKPOINT_BUSY_US) ||
	    now_us >= w->mark_us + CHECKPOINT_IDLE_US) {
		if (checkpoint(w, now_us) != 0)
			goto bad;
	}
	due = w->unmarked ? w->unmarked_us + CHECKPOINT_BUSY_US : w->mark_us + CHECKPOINT_IDLE_US;
	if (w->segment_data && w->segment_first_us + w->segment_us_max < due)
		due = w->segment_first_us + w->segment_us_max;
	/* rounded up, or the caller would come a little early, and again */
	return due > now_us ? (int)((due - now_us + 999) / 1000) : 0;
bad:
	w->broken = true;
	return -1;
}

int brec_writer_close(struct brec_writer *w, uint64_t now_us, enum brec_end end, const char *reason)
{
	if (w->broken || w->closed)
		return -1;
	w->closed = true;
	if (end_frame(w, now_us) == 0) {
		w->seq++;
		if (w->ops->close(w->ctx, w->seq, end, reason) == 0)
			return 0;
	}
	w->broken = true;
	return -1;
}
