/*
 * brec_verify.c - see brec_verify.h: the judgement over a recording's files, without a key that decrypts.
 *
 * Runs in bastion-replay and on any machine that has the directory and the public keys. One pass over the segments in order,
 * stopped by the first thing that is wrong; the collector's receipts (brec_receipts.c) and its log of recordings (brec_log.c) are
 * held against the chain on the way.
 */
#include "brec_verify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "brec_dir.h"
#include "brec_log.h"
#include "brec_prune.h"
#include "brec_receipts.h"
#include "clock.h"
#include "tlog_act.h"

struct verify {
	const struct brec_trust *trust;
	struct brec_report *out;
	struct brec_dir dir;
	struct brec_receipts receipts;
	struct brec_log leaves;
	const uint8_t *signer;		/* the trusted key of all headers and marks */
	uint8_t h[BREC_HASH_LEN];	/* chain value after out->last_seq */
	int64_t last_segment;		/* highest number in the directory */
	bool judged;			/* out->verdict is set */
};

const char *brec_verdict_name(enum brec_verdict v)
{
	static const char *const names[] = { "complete", "abandoned", "cut", "gap", "forged", "unverifiable",
		"pruned", "open" };

	return (unsigned)v < sizeof(names) / sizeof(names[0]) ? names[v] : "?";
}

const char *brec_logged_name(enum brec_logged l)
{
	static const char *const names[] = { "none", "bad", "missing", "part", "whole" };

	return (unsigned)l < sizeof(names) / sizeof(names[0]) ? names[l] : "?";
}

static void judge(struct verify *v, enum brec_verdict verdict, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The verdict, at the present place. The first one stays. */
static void judge(struct verify *v, enum brec_verdict verdict, const char *fmt, ...)
{
	va_list ap;

	if (v->judged)
		return;
	v->judged = true;
	v->out->verdict = verdict;
	memcpy(v->out->file, v->dir.name, sizeof(v->out->file));
	v->out->offset = v->dir.offset;
	va_start(ap, fmt);
	vsnprintf(v->out->reason, sizeof(v->out->reason), fmt, ap);
	va_end(ap);
}

/* Something about the receipts file instead. */
static void judge_receipts(struct verify *v, enum brec_verdict verdict, const char *reason, uint64_t offset)
{
	if (v->judged)
		return;
	judge(v, verdict, "%s", reason);
	snprintf(v->out->file, sizeof(v->out->file), "%s", BREC_RECEIPTS_FILE);
	v->out->offset = offset;
}

/* What a failed brec_dir_header or brec_dir_frame means. */
static void judge_error(struct verify *v, int error, const char *what)
{
	if (error > 0)
		judge(v, BREC_UNVERIFIABLE, "the %s cannot be read: %s", what, strerror(errno));
	else if (error == BREC_E_VERSION || error == BREC_E_CRYPTO)
		judge(v, BREC_UNVERIFIABLE, "%s: %s", what, brec_strerror(error));
	else
		judge(v, BREC_FORGED, "%s after frame %llu: %s: damaged or changed", what,
		    (unsigned long long)v->out->last_seq, brec_strerror(error));
}

/* A file ends where a header or a frame should stand whole. */
static void judge_end(struct verify *v, uint32_t segment, size_t have, const char *what)
{
	const unsigned long long last = v->out->last_seq;

	if (v->last_segment > (int64_t)segment)
		judge(v, BREC_GAP, "segment %u ends after frame %llu without its seal, and segment %lld is there", segment, last,
		    (long long)v->last_segment);
	else if (have != 0 || strcmp(what, "header") == 0)
		judge(v, BREC_CUT, "after frame %llu stand %zu bytes of a %s, not all of it", last, have, what);
	else
		judge(v, BREC_ABANDONED, "no close frame: it ends after frame %llu, signed up to frame %llu", last,
		    (unsigned long long)v->out->signed_seq);
}

static void check_receipts(struct verify *v)
{
	const char *reason;
	uint64_t offset;

	if (brec_receipts_check(&v->receipts, v->out->last_seq, v->h, &reason, &offset) != 0)
		judge_receipts(v, BREC_FORGED, reason, offset);
}

/* The leaf of the place that was reached; `header` for the first one. */
static void check_leaf(struct verify *v, enum tlog_leaf_type type, const uint8_t *header, size_t len)
{
	struct tlog_leaf leaf = { .type = type, .segment = v->out->segments - 1, .seq = v->out->last_seq, .end = v->out->end,
		.reason = v->out->end_reason, .reason_len = strlen(v->out->end_reason) };
	int r;

	memcpy(leaf.id, v->out->id, BREC_ID_LEN);
	memcpy(leaf.h, v->h, BREC_HASH_LEN);
	r = type == TLOG_OPEN ? brec_log_open(&v->leaves, &leaf, header, len) : brec_log_mark(&v->leaves, &leaf);
	if (r > 0)
		judge(v, BREC_FORGED, "the log of recordings has another %s leaf for it, number %llu", tlog_leaf_name(type),
		    (unsigned long long)v->leaves.v[v->leaves.at - 1].index);
	else if (r < 0)
		judge_error(v, BREC_E_CRYPTO, "log of recordings");
}

/* ---- headers ---- */

/* The signer of the first header among those trusted. */
static void find_signer(struct verify *v, const struct brec_header *h)
{
	uint8_t id[HASH_LEN];

	for (size_t i = 0; i < v->trust->nsigners && v->signer == NULL; i++)
		if (key_id(id, v->trust->signers[i]) == 0 && memcmp(id, h->signer, sizeof(id)) == 0)
			v->signer = v->trust->signers[i];
	memcpy(v->out->id, h->id, sizeof(h->id));
	memcpy(v->out->signer, h->signer, sizeof(h->signer));
	v->out->first_wall_us = h->wall_us;
	if (v->signer == NULL)
		judge(v, BREC_UNVERIFIABLE, "the signer %02x%02x%02x%02x… is not among the %zu given keys",
		    h->signer[0], h->signer[1], h->signer[2], h->signer[3], v->trust->nsigners);
}

/* Opens segment number `n`, checks its header and starts its chain. 0, or -1 judged. */
static int verify_header(struct verify *v, uint32_t n)
{
	struct brec_header h;
	const uint8_t *p;
	size_t have;
	int e = brec_dir_segment(&v->dir, n);

	if (e < 0)
		judge(v, BREC_UNVERIFIABLE, "segment %u cannot be opened: %s", n, strerror(errno));
	else if (e == 0 && v->last_segment > (int64_t)n)
		judge(v, BREC_GAP, "segment %u is missing, and segment %lld is there", n, (long long)v->last_segment);
	else if (e == 0 && n == 0)
		judge(v, BREC_UNVERIFIABLE, "no segment is here");
	else if (e == 0)
		judge(v, BREC_CUT, "the seal, frame %llu, says that segment %u follows, and it is missing",
		    (unsigned long long)v->out->last_seq, n);
	v->out->empty = e == 0 && v->last_segment < 0;
	if (e <= 0)
		return -1;
	e = brec_dir_header(&v->dir, &h, &p, &have);
	if (e == BREC_SHORT)
		judge_end(v, n, have, "header");
	else if (e == BREC_E_MAGIC && n == 0)
		judge(v, BREC_UNVERIFIABLE, "%s", brec_strerror(e));
	else if (e != 0)
		judge_error(v, e, "header");
	else if (n == 0)
		find_signer(v, &h);
	if (v->judged)
		return -1;
	if (!brec_header_verify(p, &h, v->signer))
		judge(v, BREC_FORGED, "the signature of the header of segment %u does not hold", n);
	else if (memcmp(h.id, v->out->id, sizeof(h.id)) != 0)
		judge(v, BREC_FORGED, "segment %u is of another recording", n);
	else if (brec_dir_misnamed(&v->dir, h.id))
		judge(v, BREC_FORGED, "the directory has the name of another recording than the one that is in it");
	else if (h.segment != n || h.first_seq != v->out->last_seq + 1)
		judge(v, BREC_FORGED, "the header is of segment %u, frame %llu", h.segment, (unsigned long long)h.first_seq);
	else if (n != 0 && memcmp(h.prev, v->h, sizeof(h.prev)) != 0)
		judge(v, BREC_FORGED, "segment %u does not continue the chain of the segment before", n);
	else if (brec_chain_start(v->h, p, h.len) != 0)
		judge_error(v, BREC_E_CRYPTO, "header");
	if (v->judged)
		return -1;
	v->out->segments++;
	if (n == 0)
		check_leaf(v, TLOG_OPEN, p, h.len);
	else if (brec_log_bytes(&v->leaves, p, h.len) != 0)
		judge_error(v, BREC_E_CRYPTO, "header");
	brec_dir_skip(&v->dir, h.len);
	if (n == 0)
		check_receipts(v);
	return v->judged ? -1 : 0;
}

/* ---- frames ---- */

static void verify_mark(struct verify *v, const struct brec_frame *f)
{
	struct brec_mark m;

	if (brec_mark_decode(f, &m) != 0)
		judge_error(v, BREC_E_FIELD, "frame");
	else if (memcmp(m.h, v->h, sizeof(m.h)) != 0)
		judge(v, BREC_FORGED, "frame %llu signs another chain: a frame since frame %llu was changed",
		    (unsigned long long)f->seq, (unsigned long long)v->out->signed_seq);
	else if (!brec_mark_verify(v->out->id, &m, v->signer))
		judge(v, BREC_FORGED, "the signature in frame %llu does not hold", (unsigned long long)f->seq);
	if (v->judged)
		return;
	v->out->signed_seq = f->seq;
	v->out->last_wall_us = m.wall_us;
	if (m.type == BREC_CLOSE) {
		v->out->closed = true;
		v->out->end = m.end;
		memcpy(v->out->end_reason, m.reason, sizeof(m.reason));
	}
}

/* One frame. Its type, or -1 judged. */
static int verify_frame(struct verify *v, uint32_t segment)
{
	const unsigned long long want = v->out->last_seq + 1;
	struct brec_frame f;
	const uint8_t *p;
	size_t have;
	int e = brec_dir_frame(&v->dir, &f, &p, &have);

	if (e == BREC_SHORT)
		judge_end(v, segment, have, "frame");
	else if (e != 0)
		judge_error(v, e, "frame");
	else if (f.seq > want)
		judge(v, BREC_GAP, "frames %llu to %llu are missing", want, (unsigned long long)f.seq - 1);
	else if (f.seq < want)
		judge(v, BREC_FORGED, "frame %llu stands where frame %llu should", (unsigned long long)f.seq, want);
	else if (f.epoch != segment)
		judge(v, BREC_FORGED, "frame %llu is of epoch %u, and the segment's is %u", want, f.epoch, segment);
	else if (f.type != BREC_DATA)
		verify_mark(v, &f);
	if (v->judged)
		return -1;
	if (brec_chain_add(v->h, p, f.len) != 0 || brec_log_bytes(&v->leaves, p, f.len) != 0) {
		judge_error(v, BREC_E_CRYPTO, "frame");
		return -1;
	}
	v->out->last_seq = f.seq;
	brec_dir_skip(&v->dir, f.len);
	if (f.type == BREC_SEAL || f.type == BREC_CLOSE)
		check_leaf(v, f.type == BREC_SEAL ? TLOG_SEAL : TLOG_CLOSE, NULL, 0);
	check_receipts(v);
	return v->judged ? -1 : (int)f.type;
}

/* After a seal or a close the file must end. */
static void verify_file_end(struct verify *v)
{
	struct brec_frame f;
	const uint8_t *p;
	size_t have;
	int e = brec_dir_frame(&v->dir, &f, &p, &have);

	if (e > 0)
		judge_error(v, e, "file's end");
	else if (have != 0)
		judge(v, BREC_FORGED, "bytes after the %s, frame %llu", v->out->closed ? "close" : "seal",
		    (unsigned long long)v->out->last_seq);
	else if (v->out->closed && v->last_segment >= (int64_t)v->out->segments)
		judge(v, BREC_FORGED, "segment %lld after the close, frame %llu", (long long)v->last_segment,
		    (unsigned long long)v->out->last_seq);
}

static void verify_segments(struct verify *v)
{
	for (uint32_t n = 0; !v->judged; n++) {
		int type = BREC_DATA;

		if (verify_header(v, n) != 0)
			return;
		while (type == BREC_DATA || type == BREC_CHECKPOINT)
			type = verify_frame(v, n);
		if (type < 0)
			return;
		verify_file_end(v);
		if (v->out->closed)
			judge(v, BREC_COMPLETE, "%llu frames in %u segments, closed: %s",
			    (unsigned long long)v->out->last_seq, v->out->segments, brec_end_name(v->out->end));
	}
}

/* A receipt that says more than what is here turns "ends without a close" into "cut". */
static void weigh_receipts(struct verify *v)
{
	uint64_t beyond, offset;
	const char *reason;

	if (brec_receipts_finish(&v->receipts, &beyond, &reason, &offset) != 0) {
		/* a recording that is false in itself is worse news than a bad receipt; one of which nothing could be read is not judged */
		if (v->out->verdict != BREC_FORGED && (v->out->verdict != BREC_UNVERIFIABLE || v->receipts.begun)) {
			v->judged = false;
			judge_receipts(v, BREC_FORGED, reason, offset);
		}
	} else if (beyond != 0 && (v->out->verdict == BREC_ABANDONED || v->out->verdict == BREC_COMPLETE)) {
		const bool closed = v->out->verdict == BREC_COMPLETE;

		v->judged = false;
		judge(v, closed ? BREC_FORGED : BREC_CUT, "the collector signed for frames up to %llu, and only %llu are here%s",
		    (unsigned long long)beyond, (unsigned long long)v->out->last_seq, closed ? " with a close" : "");
	}
	v->out->receipt_seq = v->receipts.proven_seq;
	v->out->receipts = v->receipts.used;
}

/* Is what is missing what the collector may have removed? What is whole is whole; what was changed stays so. */
static bool weigh_prune(struct verify *v)
{
	struct brec_prune p;

	brec_prune_judge(&p, v->leaves.log, v->leaves.v, v->leaves.n, v->trust);
	v->out->held = p.held;
	if (!p.holds || (v->out->verdict != BREC_ABANDONED && v->out->verdict != BREC_CUT && v->out->verdict != BREC_GAP))
		return false;
	v->judged = false;
	judge(v, BREC_PRUNED, "%s", p.reason);
	v->out->file[0] = '\0';
	return true;
}

/*
 * Is an abandoned recording one that is being made? Only if the log, which has all that is here, has no word of its end, and it gave a sign
 * of life just now: who cut one and kept its close from the log can say so for minutes, not for ever. A bundle has the leaves that its maker
 * chose: that the close is not among them says nothing.
 */
static void weigh_open(struct verify *v)
{
	const int64_t now = clock_wall_us(), alive = v->out->signed_seq != 0 ? v->out->last_wall_us : v->out->first_wall_us;

	if (v->leaves.log->part)
		return;
	for (size_t i = 0; i < v->leaves.n; i++)
		if (v->leaves.v[i].type == TLOG_CLOSE || tlog_removes(v->leaves.v[i].type))
			return;
	if (alive < now - BREC_OPEN_US || alive > now + BREC_OPEN_US || v->out->first_wall_us < now - TLOG_SESSION_DAYS * 86400000000LL)
		return;
	v->judged = false;
	judge(v, BREC_OPEN, "it is being made: no close in the log, signed up to frame %llu %lld s ago", (unsigned long long)v->out->signed_seq,
	    (long long)(now > alive ? (now - alive) / 1000000 : 0));
	v->out->file[0] = '\0';
}

/* What the log knows more, or does not know, of a recording that is whole or open in itself. */
static void weigh_log(struct verify *v)
{
	const struct tlog_log *log = v->leaves.log;
	const bool closed = v->out->verdict == BREC_COMPLETE;
	const struct tlog_entry *beyond = brec_log_beyond(&v->leaves, closed);

	if (log == NULL)
		return;
	v->out->logged = log->state != TLOG_GOOD ? BREC_LOG_BAD : v->leaves.missing || v->leaves.n == 0 ? BREC_LOG_MISSING :
	    closed ? BREC_LOG_WHOLE : BREC_LOG_PART;
	if (log->state == TLOG_GOOD && weigh_prune(v))
		return;
	if (!closed && v->out->verdict != BREC_ABANDONED)
		return;
	v->judged = false;
	if (log->state != TLOG_GOOD)
		judge(v, log->state == TLOG_FORGED ? BREC_FORGED : BREC_UNVERIFIABLE, "the log of recordings: %s", log->reason);
	else if (beyond != NULL)
		judge(v, closed ? BREC_FORGED : BREC_CUT, "the log has a leaf for frame %llu, number %llu, and only %llu are here",
		    (unsigned long long)beyond->seq, (unsigned long long)beyond->index, (unsigned long long)v->out->last_seq);
	else if (closed && v->leaves.missing)
		judge(v, BREC_UNVERIFIABLE, "whole in itself, but the log of %llu leaves does not have all of its leaves",
		    (unsigned long long)log->size);
	else if (!closed && v->out->logged == BREC_LOG_PART)
		weigh_open(v);
	v->judged = true;
}

enum brec_verdict brec_verify_dir(const char *dir, const struct brec_trust *trust, struct brec_report *out)
{
	struct verify v = { .trust = trust, .out = out };

	*out = (struct brec_report){ .verdict = BREC_UNVERIFIABLE };
	if (brec_dir_open(&v.dir, dir) != 0) {
		out->empty = errno == ENOENT;
		judge(&v, BREC_UNVERIFIABLE, "it cannot be opened: %s", brec_tar_error(errno));
		return out->verdict;
	}
	v.last_segment = brec_dir_last(&v.dir);
	if (brec_receipts_load(&v.receipts, &v.dir, trust, out->id) != 0)
		judge_receipts(&v, BREC_UNVERIFIABLE, "the receipts cannot be read", 0);
	if (brec_log_init(&v.leaves, trust->log) != 0)
		judge_error(&v, BREC_E_CRYPTO, "log of recordings");
	verify_segments(&v);
	memcpy(out->head, v.h, sizeof(v.h));
	weigh_receipts(&v);
	weigh_log(&v);
	brec_log_finish(&v.leaves);
	brec_receipts_free(&v.receipts);
	brec_dir_close(&v.dir);
	return out->verdict;
}

void brec_verify_missing(const struct tlog_entry *v, size_t n, const struct brec_trust *trust, struct brec_report *out)
{
	struct brec_prune p;

	brec_prune_judge(&p, trust->log, v, n, trust);
	*out = (struct brec_report){ .verdict = p.holds ? BREC_PRUNED : BREC_CUT, .logged = BREC_LOG_PART, .held = p.held };
	memcpy(out->id, v->id, BREC_ID_LEN);
	if (p.holds)
		snprintf(out->reason, sizeof(out->reason), "%s", p.reason);
	else
		snprintf(out->reason, sizeof(out->reason), "the whole recording is missing: the log has its %s leaf, number %llu%s%.192s",
		    tlog_leaf_name(v->type), (unsigned long long)v->index, p.claimed ? "; " : "", p.reason);
}
