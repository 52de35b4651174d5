/*
 * collector_apply.c - an entry's bytes into the files of its recording: the same code for what just
 * became durable in the journal and for the replay after a crash. Writing the same entry again
 * writes the same bytes to the same place.
 *
 * Journal payload (big-endian): u8 enum wire_type (or APPLY_ACT with an enum tlog_leaf_type), b16 id, u64 wall µs of segment 0's header, u32
 * segment, u64 byte in that segment, u64 sequence, b32 h, u32 length of the frame; if the type has the bit
 * 0x80, u64 index in the log of recordings, u16 length, leaf; frame, header of a new segment (or the signer of the recording).
 */
#include "collector_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "hex.h"
#include "log.h"
#include "tlog_act.h"

#define YEAR_FROM 2020
#define YEAR_TO 2200
#define WITH_LEAF 0x80	/* or'ed to the type; not in journals from before there was a log */

struct payload {
	enum wire_type type;
	enum tlog_leaf_type act;	/* in place of `type`: what is done with the recording; 0: an entry of it */
	const uint8_t *id, *h, *frame, *header, *leaf;
	uint64_t opened_us, offset, seq, leaf_index;
	uint32_t segment;
	size_t frame_len, header_len, leaf_len;	/* leaf_len 0: no leaf */
};

int rec_name(struct rec *r)
{
	time_t t = (time_t)(r->opened_us / 1000000);
	char hex[2 * BREC_ID_LEN + 1];
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || tm.tm_year + 1900 < YEAR_FROM || tm.tm_year + 1900 > YEAR_TO)
		return -1;
	snprintf(r->dir, sizeof(r->dir), "%04u-%02u-%02u/%s", (unsigned)(tm.tm_year + 1900) % 10000,
	    (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100, hex_encode(hex, r->id, BREC_ID_LEN));
	return 0;
}

size_t apply_encode(uint8_t head[APPLY_HEAD], const struct rec *r, const struct wire_entry *e, const struct apply_leaf *leaf)
{
	struct buf b = { .data = head, .cap = APPLY_HEAD, .max = APPLY_HEAD };

	buf_put_u8(&b, (uint8_t)(e->type | (leaf->len != 0 ? WITH_LEAF : 0)));
	buf_put(&b, e->id, BREC_ID_LEN);
	buf_put_u64(&b, r->opened_us);
	buf_put_u32(&b, r->segment);
	buf_put_u64(&b, r->offset);
	buf_put_u64(&b, e->seq);
	buf_put(&b, e->h, BREC_HASH_LEN);
	buf_put_u32(&b, (uint32_t)e->frame_len);
	if (leaf->len != 0) {
		buf_put_u64(&b, leaf->index);
		buf_put_u16(&b, (uint16_t)leaf->len);
		buf_put(&b, leaf->data, leaf->len);
	}
	return b.len;
}

static int decode(struct payload *p, const uint8_t *data, size_t len)
{
	struct buf b;
	uint8_t type;

	buf_view(&b, data, len);
	type = buf_get_u8(&b);
	p->act = type & APPLY_ACT ? (enum tlog_leaf_type)(type & ~(WITH_LEAF | APPLY_ACT)) : 0;
	p->type = p->act != 0 ? 0 : (enum wire_type)(type & ~WITH_LEAF);
	p->id = buf_get(&b, BREC_ID_LEN);
	p->opened_us = buf_get_u64(&b);
	p->segment = buf_get_u32(&b);
	p->offset = buf_get_u64(&b);
	p->seq = buf_get_u64(&b);
	p->h = buf_get(&b, BREC_HASH_LEN);
	p->frame_len = buf_get_u32(&b);
	p->leaf_index = type & WITH_LEAF ? buf_get_u64(&b) : 0;
	p->leaf_len = type & WITH_LEAF ? buf_get_u16(&b) : 0;
	p->leaf = buf_get(&b, p->leaf_len);
	p->frame = buf_get(&b, p->frame_len);
	p->header_len = buf_left(&b);
	p->header = buf_get(&b, p->header_len);
	if (!buf_ok(&b) || (p->act == 0 ? p->type < WIRE_OPEN || p->type > WIRE_END :
	    p->act < TLOG_PRUNE || p->act > TLOG_LAPSE || p->leaf_len == 0 || p->header_len != HASH_LEN)) {
		errno = EINVAL;
		return -1;
	}
	return 0;
}

static int make_dirs(struct store *s, const struct rec *r)
{
	char date[STORE_DIR_LEN];

	memcpy(date, r->dir, sizeof(date));
	date[strcspn(date, "/")] = '\0';
	if (mkdirat(s->recordings, date, 0750) != 0 && errno != EEXIST)
		return -1;
	return mkdirat(s->recordings, r->dir, 0750) != 0 && errno != EEXIST ? -1 : 0;
}

int apply_open(struct store *s, const struct rec *r, const char *name, bool create)
{
	char path[STORE_DIR_LEN + 32];

	snprintf(path, sizeof(path), "%s/%s", r->dir, name);
	return openat(s->recordings, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0), 0640);
}

void apply_close(struct store *s, struct rec *r)
{
	if (r->fd < 0)
		return;
	close(r->fd);
	r->fd = -1;
	TAILQ_REMOVE(&s->open, r, open);
	s->nopen--;
}

static int file_for(struct store *s, struct rec *r, uint32_t segment, bool create)
{
	char name[16];

	if (r->fd >= 0 && r->fd_segment == segment) {
		TAILQ_REMOVE(&s->open, r, open);
		TAILQ_INSERT_TAIL(&s->open, r, open);
		return 0;
	}
	apply_close(s, r);
	if (s->nopen >= s->files_max)
		apply_close(s, TAILQ_FIRST(&s->open));
	if (create && segment == 0 && make_dirs(s, r) != 0)
		return -1;
	snprintf(name, sizeof(name), "%08" PRIu32 ".brec", segment);
	if ((r->fd = apply_open(s, r, name, create)) < 0)
		return -1;
	r->fd_segment = segment;
	TAILQ_INSERT_TAIL(&s->open, r, open);
	s->nopen++;
	return 0;
}

static int write_at(int fd, const uint8_t *data, size_t len, uint64_t at)
{
	while (len != 0) {
		ssize_t n = pwrite(fd, data, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n == 0 ? EIO : errno;
			return -1;
		}
		data += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

/* ---- what is done with a recording ---- */

int apply_read_marker(struct store *s, const struct rec *r, struct apply_marker *m)
{
	char path[STORE_DIR_LEN + 16], text[256] = "", h[2 * BREC_HASH_LEN + 1], signer[2 * HASH_LEN + 1];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "%s" STORE_PRUNED, r->dir);
	if ((fd = openat(s->recordings, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		return errno == ENOENT ? 0 : -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 && sscanf(text, "leaf %" SCNu64 " seq %" SCNu64 " h %64[0-9a-f] signer %64[0-9a-f]", &m->leaf, &m->seq, h, signer) == 4 &&
	    hex_decode(m->h, sizeof(m->h), h) == 0 && hex_decode(m->signer, sizeof(m->signer), signer) == 0 ? 1 : -1;
}

/* A small file, whole: written again it is the same. */
static int put_text(struct store *s, const char *path, const char *text)
{
	int fd = openat(s->recordings, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640), r;

	if (fd < 0)
		return -1;
	r = write_at(fd, (const uint8_t *)text, strlen(text), 0);
	close(fd);
	return r;
}

static int put_marker(struct store *s, struct rec *r, const struct payload *p)
{
	char path[STORE_DIR_LEN + 16], day[STORE_DIR_LEN], text[256], h[2 * BREC_HASH_LEN + 1], signer[2 * HASH_LEN + 1];

	apply_close(s, r);
	r->pruned = true;
	snprintf(path, sizeof(path), "%s" STORE_PRUNED, r->dir);
	snprintf(text, sizeof(text), "leaf %" PRIu64 " seq %" PRIu64 " h %s signer %s\n", p->leaf_index, p->seq, hex_encode(h, p->h, BREC_HASH_LEN),
	    hex_encode(signer, p->header, HASH_LEN));
	if (put_text(s, path, text) == 0)
		return 0;
	/* the whole day was moved away meanwhile */
	snprintf(day, sizeof(day), "%.*s", (int)strcspn(r->dir, "/"), r->dir);
	return errno == ENOENT && mkdirat(s->recordings, day, 0750) == 0 ? put_text(s, path, text) : -1;
}

/* The file that keeps a recording says who wants it kept, and why. */
static int put_hold(struct store *s, const struct rec *r, const struct payload *p)
{
	char path[STORE_DIR_LEN + 16], text[TLOG_WHO_MAX + TLOG_WHY_MAX + 32], when[24];
	struct tlog_act a;

	if (tlog_act_decode(&a, p->leaf, p->leaf_len) != 0) {
		errno = EINVAL;
		return -1;
	}
	snprintf(path, sizeof(path), "%s/" STORE_HOLD, r->dir);
	snprintf(text, sizeof(text), "%s %.*s: %.*s\n", clock_format(when, sizeof(when), a.wall_us / 1000000), (int)a.who.len,
	    (const char *)a.who.data, (int)a.why.len, (const char *)a.why.data);
	return put_text(s, path, text);
}

static int apply_act(struct store *s, struct rec *r, const struct payload *p)
{
	char path[STORE_DIR_LEN + 16];

	if (tlog_removes(p->act))
		return put_marker(s, r, p);
	/* a recording that was moved away since is held by nobody here */
	snprintf(path, sizeof(path), "%s/" STORE_HOLD, r->dir);
	return (p->act == TLOG_HOLD ? put_hold(s, r, p) : unlinkat(s->recordings, path, 0)) != 0 && errno != ENOENT ? -1 : 0;
}

int apply_payload(struct store *s, struct rec *r, const uint8_t *payload, size_t len)
{
	struct payload p;

	if (decode(&p, payload, len) != 0)
		return -1;
	if (s->dirty_since_ms == 0)
		s->dirty_since_ms = clock_mono_ms();
	if (p.act != 0)
		return apply_act(s, r, &p);
	if (p.type == WIRE_OPEN)
		return file_for(s, r, 0, true) != 0 ? -1 : write_at(r->fd, p.header, p.header_len, 0);
	if (file_for(s, r, p.segment, false) != 0 || write_at(r->fd, p.frame, p.frame_len, p.offset) != 0)
		return -1;
	if (p.type != WIRE_SEAL)
		return 0;
	return file_for(s, r, p.segment + 1, true) != 0 ? -1 : write_at(r->fd, p.header, p.header_len, 0);
}

bool apply_completes(const uint8_t *payload, size_t len)
{
	const uint8_t type = len != 0 ? payload[0] & (uint8_t)~WITH_LEAF : 0;

	return type == WIRE_SEAL || type == WIRE_END;
}

int apply_log(struct store *s, const uint8_t *payload, size_t len)
{
	struct payload p;

	if (decode(&p, payload, len) != 0)
		return -1;
	return p.leaf_len == 0 ? 0 : tlog_writer_add(&s->log, p.leaf_index, p.leaf, p.leaf_len);
}

static int replay_one(void *ctx, const uint8_t *payload, size_t len)
{
	struct store *s = ctx;
	struct payload p;
	struct rec *r;

	if (decode(&p, payload, len) != 0)
		return -1;
	if ((r = store_lookup(s, p.id)) == NULL) {
		struct apply_marker marker;

		if ((r = rec_create(s, p.id, p.opened_us)) == NULL)
			return -1;
		/* files that are going are not written to any more */
		r->pruned = apply_read_marker(s, r, &marker) == 1;
	}
	if (p.act == 0) {
		memcpy(r->durable.id, p.id, BREC_ID_LEN);
		memcpy(r->durable.h, p.h, BREC_HASH_LEN);
		r->durable.seq = p.seq;
		r->replayed = true;
	}
	if (apply_log(s, payload, len) != 0)
		return log_alarm(s);
	if ((p.act != 0 || !r->pruned) && apply_payload(s, r, payload, len) != 0) {
		log_error("replaying the journal into %s: %s", r->dir, strerror(errno));
		return -1;
	}
	return 0;
}

/*
 * The recordings in memory are then those that the journal spoke of, with their last entry; each
 * gets a receipt, as the crash may have come before the one that was due. They are forgotten
 * afterwards: who resumes one loads it from its files.
 */
static int sign_and_forget(struct store *s)
{
	for (size_t i = 0; i < STORE_BUCKETS; i++) {
		struct rec *r;

		while ((r = LIST_FIRST(&s->buckets[i])) != NULL) {
			if (s->sign != NULL && r->replayed && !r->pruned && s->sign(s->ctx, s, r) != 0)
				return -1;
			store_drop(s, r);
		}
	}
	return 0;
}

int apply_recover(struct store *s)
{
	uint64_t records = 0;
	size_t recordings;

	if (journal_replay(&s->journal, replay_one, s, &records) != 0) {
		log_error("the journal could not be replayed: %s%s", strerror(errno),
		    errno == ENOSPC || errno == EDQUOT ? ". Make space and start again; nothing is lost" : "");
		return -1;
	}
	if (s->journal.lost != 0)
		log_error(
		    "ALARM: %" PRIu64
		    " records of the journal are gone: the disk lost what it had reported as written. "
		    "The recordings concerned show it when their bastion resumes them and when they are verified",
		    s->journal.lost);
	recordings = s->count;
	if (log_recover(s) != 0)
		return -1;
	if (sign_and_forget(s) != 0 || syncfs(s->recordings) != 0 || syncfs(s->log.dir) != 0 || journal_begin(&s->journal) != 0) {
		log_error("after replaying the journal: %s", strerror(errno));
		return -1;
	}
	if (records != 0)
		log_notice("journal replayed: %" PRIu64 " entries of %zu recordings", records, recordings);
	return 0;
}
