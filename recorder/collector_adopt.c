/*
 * collector_adopt.c - see collector_adopt.h. Comes after collector_log.c.
 */
#include "collector_adopt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "brec_dir.h"
#include "hex.h"
#include "log.h"
#include "tlog_leaf.h"

struct found {
	uint64_t opened_us;
	uint8_t id[BREC_ID_LEN];
	char path[STORE_DIR_LEN];	/* below recordings */
};

struct list {
	struct found *v;
	size_t n, cap;
};

/* A segment file that is gone through. */
struct walk {
	struct brec_dir dir;
	struct sha256 hash;
	struct tlog_leaf leaf;
	uint8_t h[BREC_HASH_LEN];
	uint64_t seq;
};

static int open_walk(struct walk *k, const struct store *s, const char *path)
{
	char full[64 + STORE_DIR_LEN];

	*k = (struct walk){ 0 };
	snprintf(full, sizeof(full), "/proc/self/fd/%d/%s", s->recordings, path);
	if (brec_dir_open(&k->dir, full) != 0)
		return -1;
	if (sha256_init(&k->hash) == 0)
		return 0;
	brec_dir_close(&k->dir);
	errno = ENOMEM;
	return -1;
}

static void close_walk(struct walk *k)
{
	sha256_finish(&k->hash);
	brec_dir_close(&k->dir);
}

/* ---- which there are, in which order ---- */

static int add_found(struct store *s, struct list *l, const char *day, const char *name)
{
	struct found *v, f = { 0 };
	struct brec_header h;
	const uint8_t *bytes;
	struct walk k;
	size_t have;
	int r;

	if (hex_decode(f.id, sizeof(f.id), name) != 0 ||
	    snprintf(f.path, sizeof(f.path), "%s/%s", day, name) >= (int)sizeof(f.path) || open_walk(&k, s, f.path) != 0)
		return 0;
	r = brec_dir_segment(&k.dir, 0) == 1 && brec_dir_header(&k.dir, &h, &bytes, &have) == 0 && memcmp(h.id, f.id, BREC_ID_LEN) == 0;
	if (r != 0)
		f.opened_us = (uint64_t)h.wall_us;
	close_walk(&k);
	if (r == 0) {
		log_warn("%s: its first header does not decode: it gets no leaf", f.path);
		return 0;
	}
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 64 : 2 * l->cap;
		if ((v = reallocarray(l->v, l->cap, sizeof(*v))) == NULL)
			return -1;
		l->v = v;
	}
	l->v[l->n++] = f;
	return 0;
}

/* Calls fn for each name in a directory below recordings. */
static int each(struct store *s, struct list *l, const char *path, int (*fn)(struct store *, struct list *, const char *, const char *))
{
	int fd = openat(s->recordings, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), r = 0;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return errno == ENOTDIR ? 0 : -1;
	}
	while (r == 0 && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			r = fn(s, l, path, e->d_name);
	closedir(d);
	return r;
}

static int add_day(struct store *s, struct list *l, const char *top, const char *name)
{
	(void)top;
	return each(s, l, name, add_found);
}

static int by_time(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->opened_us != y->opened_us ? (x->opened_us < y->opened_us ? -1 : 1) : memcmp(x->id, y->id, BREC_ID_LEN);
}

/* ---- leaves ---- */

static int put(struct store *s, struct walk *k, enum tlog_leaf_type type)
{
	uint8_t data[TLOG_LEAF_MAX];

	k->leaf.type = type;
	k->leaf.seq = k->seq;
	memcpy(k->leaf.h, k->h, BREC_HASH_LEN);
	return tlog_writer_add(&s->log, s->log.size, data, tlog_leaf_encode(data, &k->leaf));
}

/* The header of segment n. 1: good; 0: the leaves end here; -1. */
static int walk_header(struct store *s, struct walk *k, uint32_t n)
{
	struct brec_header h;
	const uint8_t *bytes;
	size_t have;

	if (brec_dir_segment(&k->dir, n) != 1 || brec_dir_header(&k->dir, &h, &bytes, &have) != 0 || h.segment != n ||
	    h.first_seq != k->seq + 1 || memcmp(h.id, k->leaf.id, BREC_ID_LEN) != 0 || (n != 0 && memcmp(h.prev, k->h, BREC_HASH_LEN) != 0))
		return 0;
	if (brec_chain_start(k->h, bytes, h.len) != 0 || sha256_update(&k->hash, bytes, h.len) != 0 ||
	    sha256_spans(k->leaf.file_hash, SPANS(SPAN(bytes, h.len))) != 0)
		return -1;
	brec_dir_skip(&k->dir, h.len);
	k->leaf.segment = n;
	return n == 0 && put(s, k, TLOG_OPEN) != 0 ? -1 : 1;
}

/* The frames of a segment. 1: another one follows; 0; -1. */
static int walk_frames(struct store *s, struct walk *k)
{
	struct brec_frame f;
	const uint8_t *bytes;
	struct brec_mark m;
	size_t have;

	while (brec_dir_frame(&k->dir, &f, &bytes, &have) == 0 && f.seq == k->seq + 1) {
		if (f.type != BREC_DATA && (brec_mark_decode(&f, &m) != 0 || memcmp(m.h, k->h, BREC_HASH_LEN) != 0))
			return 0;
		if (brec_chain_add(k->h, bytes, f.len) != 0 || sha256_update(&k->hash, bytes, f.len) != 0)
			return -1;
		k->seq = f.seq;
		brec_dir_skip(&k->dir, f.len);
		if (f.type != BREC_SEAL && f.type != BREC_CLOSE)
			continue;
		if (sha256_digest(&k->hash, k->leaf.file_hash) != 0)
			return -1;
		if (f.type == BREC_SEAL)
			return put(s, k, TLOG_SEAL) == 0 ? 1 : -1;
		k->leaf.end = m.end;
		k->leaf.reason = m.reason;
		k->leaf.reason_len = strlen(m.reason);
		return put(s, k, TLOG_CLOSE);
	}
	return 0;
}

static int adopt_one(struct store *s, const struct found *f)
{
	struct walk k;
	int r = 1;

	if (open_walk(&k, s, f->path) != 0)
		return -1;
	memcpy(k.leaf.id, f->id, BREC_ID_LEN);
	for (uint32_t n = 0; r == 1; n++)
		if ((r = walk_header(s, &k, n)) == 1)
			r = walk_frames(s, &k);
	close_walk(&k);
	return r;
}

int adopt_recordings(struct store *s, uint64_t *count)
{
	struct list l = { 0 };
	int r = each(s, &l, ".", add_day);

	if (l.n != 0)
		qsort(l.v, l.n, sizeof(*l.v), by_time);
	for (size_t i = 0; i < l.n && r == 0; i++)
		r = adopt_one(s, &l.v[i]);
	*count = l.n;
	free(l.v);
	return r;
}
