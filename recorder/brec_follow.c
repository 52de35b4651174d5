/*
 * brec_follow.c - see brec_follow.h. Above brec_dir.c; beside brec_verify.c, which judges the whole of a recording.
 */
#include "brec_follow.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int wrong(struct brec_follow *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int wrong(struct brec_follow *f, const char *fmt, ...)
{
	char what[240];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(f->reason, sizeof(f->reason), "%s: byte %llu: %s", f->dir.name, (unsigned long long)f->dir.offset, what);
	f->wrong = true;
	return -1;
}

int brec_follow_open(struct brec_follow *f, const char *dir, const struct brec_trust *trust)
{
	memset(f, 0, sizeof(*f));
	f->trust = trust;
	return brec_dir_open(&f->dir, dir);
}

void brec_follow_close(struct brec_follow *f)
{
	brec_dir_close(&f->dir);
}

/* What was read is still there: nobody cut the file, or took it away. 0 or -1. */
static int still_there(struct brec_follow *f)
{
	struct stat st;

	if (f->dir.tar.fd >= 0)
		return 0;
	if (fstat(f->dir.file, &st) != 0)
		return wrong(f, "%s", strerror(errno));
	if (st.st_nlink == 0)
		return wrong(f, "the file was removed or replaced while it was followed");
	if ((uint64_t)st.st_size < f->dir.offset)
		return wrong(f, "cut: only %llu bytes of it are left", (unsigned long long)st.st_size);
	return 0;
}

/* A file ends here. 0: more may come; -1. */
static int at_end(struct brec_follow *f)
{
	if (still_there(f) != 0)
		return -1;
	if (brec_dir_last(&f->dir) >= (int64_t)f->segments)
		return wrong(f, "gap: the segment ends after frame %llu without its seal, and another one follows",
		    (unsigned long long)f->last_seq);
	return 0;
}

static const uint8_t *find_signer(const struct brec_follow *f, const struct brec_header *h)
{
	uint8_t id[HASH_LEN];

	for (size_t i = 0; i < f->trust->nsigners; i++)
		if (key_id(id, f->trust->signers[i]) == 0 && memcmp(id, h->signer, sizeof(id)) == 0)
			return f->trust->signers[i];
	return NULL;
}

static int check_header(struct brec_follow *f, const struct brec_header *h, const uint8_t *p)
{
	if (f->segments == 0) {
		f->signer = find_signer(f, h);
		memcpy(f->id, h->id, sizeof(f->id));
	}
	if (f->signer == NULL)
		return wrong(f, "the signer %02x%02x%02x%02x… is not among the given keys", h->signer[0], h->signer[1], h->signer[2],
		    h->signer[3]);
	if (!brec_header_verify(p, h, f->signer))
		return wrong(f, "forged: the signature of the header of segment %u does not hold", f->segments);
	if (brec_dir_misnamed(&f->dir, h->id))
		return wrong(f, "forged: the directory has the name of another recording than the one that is in it");
	if (memcmp(h->id, f->id, sizeof(f->id)) != 0 || h->segment != f->segments || h->first_seq != f->last_seq + 1 ||
	    (f->segments != 0 && memcmp(h->prev, f->h, sizeof(h->prev)) != 0))
		return wrong(f, "forged: the header does not continue what stands before it");
	return 0;
}

/* 1: a header was read; 0: it is not there yet; -1. */
static int next_header(struct brec_follow *f)
{
	struct brec_header h;
	const uint8_t *p;
	size_t have;
	int e = brec_dir_segment(&f->dir, f->segments);

	if (e < 0)
		return wrong(f, "segment %u: %s", f->segments, strerror(errno));
	if (e == 0)
		return brec_dir_last(&f->dir) > (int64_t)f->segments ?
		    wrong(f, "gap: segment %u is missing", f->segments) : 0;
	e = brec_dir_header(&f->dir, &h, &p, &have);
	if (e == BREC_SHORT)
		return 0;
	if (e != 0)
		return wrong(f, "%s", e > 0 ? strerror(errno) : brec_strerror(e));
	if (check_header(f, &h, p) != 0)
		return -1;
	if (brec_chain_start(f->h, p, h.len) != 0)
		return wrong(f, "%s", brec_strerror(BREC_E_CRYPTO));
	if (f->segments++ == 0)
		f->signed_wall_us = h.wall_us;
	brec_dir_skip(&f->dir, h.len);
	f->in_segment = true;
	return 1;
}

static int check_mark(struct brec_follow *f, const struct brec_frame *frame)
{
	const unsigned long long seq = frame->seq;
	struct brec_mark m;

	if (brec_mark_decode(frame, &m) != 0)
		return wrong(f, "frame %llu: %s", seq, brec_strerror(BREC_E_FIELD));
	if (memcmp(m.h, f->h, sizeof(m.h)) != 0)
		return wrong(f, "forged: frame %llu signs another chain: a frame since frame %llu was changed", seq,
		    (unsigned long long)f->signed_seq);
	if (!brec_mark_verify(f->id, &m, f->signer))
		return wrong(f, "forged: the signature in frame %llu does not hold", seq);
	f->signed_seq = frame->seq;
	f->signed_wall_us = m.wall_us;
	f->closed = m.type == BREC_CLOSE;
	return 0;
}

/* 1: a frame was read; 0: no whole one is there; -1. */
static int next_frame(struct brec_follow *f)
{
	struct brec_frame frame;
	const uint8_t *p;
	size_t have;
	int e = brec_dir_frame(&f->dir, &frame, &p, &have);

	if (e == BREC_SHORT && at_end(f) != 0) {
		/* the next segment is made after the seal is written: look once more */
		f->wrong = false;
		e = brec_dir_frame(&f->dir, &frame, &p, &have);
		if (e == BREC_SHORT && at_end(f) != 0)
			return -1;
	}
	if (e == BREC_SHORT)
		return 0;
	if (e != 0)
		return wrong(f, "%s", e > 0 ? strerror(errno) : brec_strerror(e));
	if (frame.seq != f->last_seq + 1 || frame.epoch + 1 != f->segments)
		return wrong(f, "frame %llu stands where frame %llu should", (unsigned long long)frame.seq,
		    (unsigned long long)f->last_seq + 1);
	if (frame.type != BREC_DATA && check_mark(f, &frame) != 0)
		return -1;
	if (brec_chain_add(f->h, p, frame.len) != 0)
		return wrong(f, "%s", brec_strerror(BREC_E_CRYPTO));
	f->last_seq = frame.seq;
	f->in_segment = frame.type != BREC_SEAL;
	brec_dir_skip(&f->dir, frame.len);
	return 1;
}

int brec_follow_step(struct brec_follow *f)
{
	int n = 0, got;

	if (f->wrong)
		return -1;
	while (!f->closed) {
		got = f->in_segment ? next_frame(f) : next_header(f);
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		n = 1;
	}
	return n;
}
