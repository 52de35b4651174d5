/*
 * brec_read.c - see brec_read.h: frames to events, with the auditor's identities.
 *
 * Runs in bastion-replay, above brec_dir.c. The AEAD binds a frame to its recording, segment, stream and sequence, so what
 * is decrypted is what some writer with the file key made; that this writer was the bastion is brec_verify.c's to say.
 */
#include "brec_read.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brec_dir.h"

struct joined {			/* pieces of one event */
	uint8_t kind;		/* 0: none is being put together */
	uint64_t channel, t_us;	/* t_us: of the last piece */
	struct buf data;
};

struct brec_reader {
	struct brec_dir dir;
	const struct age_identities *ids;
	struct brec_info info;
	char error[256];

	bool in_segment;		/* a header was read; frames follow */
	bool sealed;			/* the segment ended; the next one may be there */
	uint8_t aad_tail[BREC_AAD_TAIL];
	struct aead aead[BREC_STREAMS];

	uint8_t plain[BREC_FRAME_MAX];
	struct buf events;		/* a view of plain: what is not handed out yet */
	enum brec_stream stream;	/* of it */
	uint64_t frame_seq;
	struct joined joined[BREC_STREAMS];
};

static int fail(struct brec_reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int fail(struct brec_reader *r, const char *fmt, ...)
{
	char what[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(r->error, sizeof(r->error), "%s: byte %llu: %s", r->dir.name, (unsigned long long)r->dir.offset, what);
	return -1;
}

static void forget_keys(struct brec_reader *r)
{
	for (int i = 0; i < BREC_STREAMS; i++)
		aead_finish(&r->aead[i]);
}

static void start(struct brec_reader *r)
{
	forget_keys(r);
	explicit_bzero(r->plain, sizeof(r->plain));
	r->info = (struct brec_info){ 0 };
	r->error[0] = '\0';
	r->in_segment = r->sealed = false;
	buf_view(&r->events, r->plain, 0);
	for (int i = 0; i < BREC_STREAMS; i++) {
		buf_reset(&r->joined[i].data);
		r->joined[i].kind = 0;
	}
}

struct brec_reader *brec_reader_open(const char *dir, const struct age_identities *ids, char *err, size_t errsize)
{
	struct brec_reader *r = calloc(1, sizeof(*r));
	char what[128];

	if (r == NULL || brec_dir_open(&r->dir, dir) != 0) {
		brec_dir_say(err, errsize, dir, brec_tar_error(errno));
		free(r);
		return NULL;
	}
	r->ids = ids;
	for (int i = 0; i < BREC_STREAMS; i++)
		buf_init(&r->joined[i].data, BREC_EVENT_MAX);
	start(r);
	if (brec_dir_segment(&r->dir, 0) != 1) {
		snprintf(what, sizeof(what), "no recording: 00000000.brec: %s", strerror(errno));
		brec_dir_say(err, errsize, dir, what);
		brec_reader_close(r);
		return NULL;
	}
	return r;
}

void brec_reader_close(struct brec_reader *r)
{
	if (r == NULL)
		return;
	forget_keys(r);
	for (int i = 0; i < BREC_STREAMS; i++)
		buf_finish(&r->joined[i].data);
	brec_dir_close(&r->dir);
	explicit_bzero(r->plain, sizeof(r->plain));
	free(r);
}

int brec_reader_rewind(struct brec_reader *r)
{
	start(r);
	return brec_dir_segment(&r->dir, 0) == 1 ? 0 : fail(r, "%s", strerror(errno));
}

uint32_t brec_reader_segments(struct brec_reader *r)
{
	const int64_t last = brec_dir_last(&r->dir);

	return last < (int64_t)r->info.segments ? r->info.segments : (uint32_t)last + 1;
}

const char *brec_reader_error(const struct brec_reader *r) { return r->error; }
const struct brec_info *brec_reader_info(const struct brec_reader *r) { return &r->info; }

bool brec_reader_begun(const struct brec_reader *r, enum brec_stream stream, struct brec_event *e)
{
	const struct joined *j = &r->joined[stream];

	*e = (struct brec_event){ .kind = j->kind, .t_us = j->t_us, .channel = j->channel, .data = j->data.data, .len = j->data.len };
	return j->kind != 0;
}

/* ---- keys ---- */

/* What a stanza of the group holds, by any identity. */
static bool open_share(const struct brec_reader *r, const struct brec_wrap *wrap, uint8_t share[AGE_FILE_KEY_LEN])
{
	for (size_t i = 0; r->ids != NULL && i < r->ids->n; i++)
		for (uint32_t j = 0; j < wrap->count; j++)
			if (age_unwrap(share, wrap->stanzas + (size_t)j * BREC_STANZA_LEN, &r->ids->v[i]) == 0)
				return true;
	return false;
}

static bool commits(const struct brec_header *h, const struct brec_wrap *wrap, enum brec_group group,
    const uint8_t key[KEY_LEN])
{
	uint8_t commit[HASH_LEN];

	return brec_commitment(commit, key, h->id, h->epoch, group) == 0 &&
	    equal_secret(commit, wrap->commit, sizeof(commit));
}

/* The group's key. 1; 0: no identity, or not one of each of two, fits; -1: the header's commitment is to another key. */
static int open_group(struct brec_reader *r, const struct brec_header *h, const struct brec_wrap *wraps, enum brec_group group,
    uint8_t key[KEY_LEN])
{
	const struct brec_wrap *second = group == BREC_GROUP_INPUT ? &wraps[BREC_GROUP_SECOND] : NULL;
	uint8_t file_key[AGE_FILE_KEY_LEN], other[AGE_FILE_KEY_LEN] = { 0 };
	int found = 0;

	if (second != NULL && !second->present)
		second = NULL;
	if (open_share(r, &wraps[group], file_key) && (second == NULL || open_share(r, second, other))) {
		for (size_t i = 0; i < sizeof(file_key); i++)
			file_key[i] ^= other[i];
		found = brec_group_key(key, file_key, h->id, h->epoch, group) == 0 && commits(h, &wraps[group], group, key) &&
		    (second == NULL || commits(h, second, BREC_GROUP_SECOND, key)) ? 1 : -1;
	}
	explicit_bzero(file_key, sizeof(file_key));
	explicit_bzero(other, sizeof(other));
	return found;
}

static int open_stream(struct brec_reader *r, const struct brec_header *h, enum brec_stream stream, const uint8_t *group_key)
{
	uint8_t key[KEY_LEN];
	int result = -1;

	if (brec_stream_key(key, group_key, h->id, h->epoch, stream) == 0 && aead_init(&r->aead[stream], key, false) == 0) {
		r->info.can_read[stream] = true;
		result = 0;
	}
	explicit_bzero(key, sizeof(key));
	return result;
}

static int open_keys(struct brec_reader *r, const struct brec_header *h)
{
	struct brec_wrap wraps[BREC_GROUPS];
	uint8_t key[KEY_LEN];
	int result = -1, got;

	forget_keys(r);
	if (brec_part_decode(h->part, h->part_len, wraps) != 0)
		return fail(r, "%s", brec_strerror(BREC_E_FIELD));
	for (enum brec_group group = BREC_GROUP_MAIN; group <= BREC_GROUP_INPUT; group++) {
		if (!wraps[group].present)
			continue;
		if ((got = open_group(r, h, wraps, group, key)) < 0) {
			fail(r, "the header commits to another key than the one wrapped in it");
			goto out;
		}
		if (got == 0)
			continue;
		if ((group == BREC_GROUP_MAIN &&
		    (open_stream(r, h, BREC_META, key) != 0 || open_stream(r, h, BREC_OUTPUT, key) != 0)) ||
		    ((group == BREC_GROUP_INPUT || !wraps[BREC_GROUP_INPUT].present) &&
		    open_stream(r, h, BREC_INPUT, key) != 0)) {
			fail(r, "%s", brec_strerror(BREC_E_CRYPTO));
			goto out;
		}
	}
	result = 0;
out:
	explicit_bzero(key, sizeof(key));
	return result;
}

/* ---- headers and frames ---- */

/* 1: a header was read; 0: it is not there yet; -1. */
static int read_header(struct brec_reader *r)
{
	struct brec_header h;
	const uint8_t *p;
	size_t have;
	int e;

	if (r->sealed) {
		int got = brec_dir_segment(&r->dir, r->info.segments);

		if (got == 0 && brec_dir_last(&r->dir) > (int64_t)r->info.segments)
			return fail(r, "segment %u is missing", r->info.segments);
		if (got <= 0)
			return got == 0 ? 0 : fail(r, "segment %u: %s", r->info.segments, strerror(errno));
		r->sealed = false;
	}
	e = brec_dir_header(&r->dir, &h, &p, &have);
	if (e == BREC_SHORT)
		return 0;
	if (e != 0)
		return fail(r, "%s", e > 0 ? strerror(errno) : brec_strerror(e));
	if (h.segment != r->info.segments || h.first_seq != r->info.seq + 1 ||
	    (h.segment != 0 && memcmp(h.id, r->info.id, BREC_ID_LEN) != 0))
		return fail(r, "this header belongs to another place or recording");
	if (brec_dir_misnamed(&r->dir, h.id))
		return fail(r, "the directory has the name of another recording than the one that is in it");
	if (h.segment == 0) {
		memcpy(r->info.id, h.id, BREC_ID_LEN);
		memcpy(r->info.signer, h.signer, sizeof(h.signer));
		r->info.wall_us = h.wall_us;
	}
	if (open_keys(r, &h) != 0)
		return -1;
	brec_aad_tail(r->aad_tail, h.id, h.segment);
	brec_dir_skip(&r->dir, h.len);
	r->info.segments++;
	r->in_segment = true;
	return 1;
}

/* Decrypts a data frame into r->events, or makes it a locked item. 1: item; 0: events are there; -1. */
static int read_data(struct brec_reader *r, const struct brec_frame *f, const uint8_t *p, struct brec_item *it)
{
	const size_t len = f->body_len - AEAD_TAG_LEN;
	uint8_t nonce[AEAD_NONCE_LEN];

	if (r->aead[f->stream].ctx == NULL) {
		r->info.locked[f->stream]++;
		*it = (struct brec_item){ .type = BREC_ITEM_LOCKED, .stream = f->stream, .seq = f->seq,
			.segment = r->info.segments - 1 };
		return 1;
	}
	memcpy(r->plain, f->body, f->body_len);
	brec_nonce(nonce, f->seq);
	if (aead_open(&r->aead[f->stream], nonce, (const struct span[]){ SPAN(p, BREC_FRAME_HEAD),
	    SPAN(r->aad_tail, BREC_AAD_TAIL) }, 2, r->plain, len) != 0)
		return fail(r, "frame %llu does not decrypt: it was changed or moved", (unsigned long long)f->seq);
	buf_view(&r->events, r->plain, len);
	r->stream = f->stream;
	r->frame_seq = f->seq;
	return 0;
}

static int read_mark(struct brec_reader *r, const struct brec_frame *f, struct brec_item *it)
{
	struct brec_mark m;

	if (brec_mark_decode(f, &m) != 0)
		return fail(r, "frame %llu: %s", (unsigned long long)f->seq, brec_strerror(BREC_E_FIELD));
	*it = (struct brec_item){ .type = BREC_ITEM_MARK, .seq = f->seq, .segment = r->info.segments - 1, .wall_us = m.wall_us };
	if (f->type == BREC_SEAL) {
		r->sealed = true;
		r->in_segment = false;
	} else if (f->type == BREC_CLOSE) {
		r->info.closed = true;
		it->type = BREC_ITEM_CLOSE;
		it->end = m.end;
		memcpy(it->reason, m.reason, sizeof(m.reason));
	}
	return 1;
}

/* The next frame: 1: an item; 0: nothing there (*more false), or events to take (*more true); -1. */
static int read_frame(struct brec_reader *r, struct brec_item *it, bool *more)
{
	struct brec_frame f;
	const uint8_t *p;
	size_t have, len;
	int e = brec_dir_frame(&r->dir, &f, &p, &have), result;

	*more = false;
	if (e == BREC_SHORT && brec_dir_last(&r->dir) >= (int64_t)r->info.segments) {
		/* the next segment is made after the seal is written: look once more */
		e = brec_dir_frame(&r->dir, &f, &p, &have);
		if (e == BREC_SHORT)
			return fail(r, "the segment's end is missing, and another one follows");
	}
	if (e == BREC_SHORT)
		return 0;
	if (e != 0)
		return fail(r, "%s", e > 0 ? strerror(errno) : brec_strerror(e));
	if (f.seq != r->info.seq + 1 || f.epoch != r->dir.segment)
		return fail(r, "frame %llu stands where frame %llu should", (unsigned long long)f.seq,
		    (unsigned long long)r->info.seq + 1);
	len = f.len;
	if ((result = f.type == BREC_DATA ? read_data(r, &f, p, it) : read_mark(r, &f, it)) < 0)
		return -1;
	brec_dir_skip(&r->dir, len);
	r->info.seq = f.seq;
	*more = result == 0;
	return result;
}

/* ---- events ---- */

static int give(const struct brec_reader *r, struct brec_item *it, const struct brec_event *e)
{
	*it = (struct brec_item){ .type = BREC_ITEM_EVENT, .stream = r->stream, .event = *e, .seq = r->frame_seq,
		.segment = r->info.segments - 1 };
	return 1;
}

/* An event from r->events: 1; 0: no whole one is there; -1. */
static int read_event(struct brec_reader *r, struct brec_item *it)
{
	struct joined *j = &r->joined[r->stream];
	struct brec_event e;
	int got;

	while ((got = brec_event_decode(&r->events, &e)) == 1) {
		const bool more = (e.kind & BREC_K_MORE) != 0;

		e.kind &= (uint8_t)~BREC_K_MORE;
		if (j->kind == 0 && !more)
			return give(r, it, &e);
		if (j->kind != 0 && (j->kind != e.kind || j->channel != e.channel))
			return fail(r, "frame %llu: an event is not continued", (unsigned long long)r->frame_seq);
		if (buf_put(&j->data, e.data, e.len) != 0)
			return fail(r, "an event is longer than %u bytes", BREC_EVENT_MAX);
		j->kind = e.kind;
		j->channel = e.channel;
		j->t_us = e.t_us;
		if (more)
			continue;
		j->kind = 0;
		e.data = j->data.data;
		e.len = j->data.len;
		return give(r, it, &e);
	}
	buf_view(&r->events, r->plain, 0);
	return got == 0 ? 0 : fail(r, "frame %llu: %s", (unsigned long long)r->frame_seq, brec_strerror(got));
}

int brec_reader_next(struct brec_reader *r, struct brec_item *it)
{
	bool more = true;
	int got;

	if (r->error[0] != '\0')
		return -1;
	/* what the last item's data pointed to */
	for (int i = 0; i < BREC_STREAMS; i++)
		if (r->joined[i].kind == 0)
			buf_reset(&r->joined[i].data);
	while (more) {
		if ((got = read_event(r, it)) != 0)
			return got;
		if (r->info.closed)
			return 0;
		if (!r->in_segment && (got = read_header(r)) <= 0)
			return got;
		if ((got = read_frame(r, it, &more)) != 0)
			return got;
	}
	return 0;
}
