/*
 * collector_load.c - reading back what is stored: the state of a recording that is resumed, and the
 * bytes of an entry that comes a second time. Runs in bastion-collectord, only after a
 * reconnection, never on the way of a fresh frame.
 */
#include "collector_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hex.h"
#include "log.h"

/* A segment file being read from its start. */
struct scan {
	int fd;
	uint8_t *data;		/* SCAN_MAX */
	size_t len, off;	/* data[off..len) is not used yet */
	uint64_t at;		/* byte in the file of data[off] */
	struct brec_header header;
	uint8_t first_h[BREC_HASH_LEN]; /* after the header */
};

#define SCAN_MAX (128U << 10)

static void scan_close(struct scan *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->data);
	*c = (struct scan){ .fd = -1 };
}

/* More bytes into the buffer. 1, 0 at the end of the file, -1. */
static int scan_fill(struct scan *c)
{
	ssize_t n;

	memmove(c->data, c->data + c->off, c->len - c->off);
	c->len -= c->off;
	c->off = 0;
	do {
		n = read(c->fd, c->data + c->len, SCAN_MAX - c->len);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		c->len += (size_t)n;
	return n < 0 ? -1 : n > 0;
}

static int scan_open(struct scan *c, const struct store *s, const struct rec *r, uint32_t segment)
{
	char path[STORE_DIR_LEN + 16];
	int e;

	*c = (struct scan){ .fd = -1 };
	snprintf(path, sizeof(path), "%s/%08" PRIu32 ".brec", r->dir, segment);
	if ((c->fd = openat(s->recordings, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) < 0 ||
	    (c->data = malloc(SCAN_MAX)) == NULL) {
		scan_close(c);
		return -1;
	}
	while ((e = brec_header_decode(c->data, c->len, &c->header)) == BREC_SHORT && scan_fill(c) == 1)
		;
	if (e != BREC_OK || c->header.segment != segment || memcmp(c->header.id, r->id, BREC_ID_LEN) != 0 ||
	    brec_chain_start(c->first_h, c->data, c->header.len) != 0) {
		scan_close(c);
		errno = EBADMSG;
		return -1;
	}
	c->off = c->header.len;
	c->at = c->header.len;
	return 0;
}

/* The next frame, with its bytes: 1; 0 at the end; -1 if something else stands there. */
static int scan_next(struct scan *c, struct brec_frame *f, const uint8_t **bytes)
{
	int e;

	while ((e = brec_frame_decode(c->data + c->off, c->len - c->off, f)) == BREC_SHORT) {
		int r = scan_fill(c);

		if (r <= 0)
			return r == 0 && c->len == c->off ? 0 : -1;
	}
	if (e != BREC_OK)
		return -1;
	*bytes = c->data + c->off;
	c->off += f->len;
	c->at += f->len;
	return 1;
}

/* Number of the last segment, -1 if there is none; counts conflict files. */
static long last_segment(struct store *s, struct rec *r)
{
	int fd = openat(s->recordings, r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	long last = -1;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	r->conflicts = 0;
	while ((e = readdir(d)) != NULL) {
		char *end;
		unsigned long n = strtoul(e->d_name, &end, 10);

		if (end == e->d_name + 8 && strcmp(end, ".brec") == 0 && (long)n > last)
			last = (long)n;
		r->conflicts += strncmp(e->d_name, "conflict-", 9) == 0;
	}
	closedir(d);
	return last;
}

/* What was pruned ended as its marker says. 1, 0: it was not, -1. */
static int load_pruned(struct store *s, struct rec *r)
{
	struct apply_marker m;
	int found = apply_read_marker(s, r, &m);

	if (found < 0)
		log_error("ALARM: %s%s is damaged", r->dir, STORE_PRUNED);
	if (found != 1)
		return found;
	r->seq = m.seq;
	memcpy(r->h, m.h, sizeof(r->h));
	memcpy(r->signer, m.signer, sizeof(r->signer));
	r->ended = r->pruned = true;
	return 1;
}

int load_recording(struct store *s, struct rec *r)
{
	long last = last_segment(s, r);
	const int pruned = load_pruned(s, r);
	struct brec_frame f;
	const uint8_t *bytes;
	struct scan c;
	int more;

	if (pruned != 0)
		return pruned;
	if (last < 0)
		return 0;
	if (scan_open(&c, s, r, (uint32_t)last) != 0) {
		log_error("ALARM: %s/%08ld.brec is damaged: its header does not decode", r->dir, last);
		return -1;
	}
	r->segment = (uint32_t)last;
	r->seq = c.header.first_seq - 1;
	memcpy(r->signer, c.header.signer, sizeof(r->signer));
	memcpy(r->chain, c.first_h, BREC_HASH_LEN);
	memcpy(r->h, last == 0 ? c.first_h : c.header.prev, BREC_HASH_LEN);
	if ((r->file_hash.ctx == NULL && sha256_init(&r->file_hash) != 0) || sha256_update(&r->file_hash, c.data, c.header.len) != 0) {
		log_error("%s: out of memory", r->dir);
		scan_close(&c);
		return -1;
	}
	while ((more = scan_next(&c, &f, &bytes)) == 1 && f.seq == r->seq + 1 &&
	    brec_chain_add(r->chain, bytes, f.len) == 0 && sha256_update(&r->file_hash, bytes, f.len) == 0) {
		r->seq = f.seq;
		memcpy(r->h, r->chain, BREC_HASH_LEN);
		r->ended = f.type == BREC_CLOSE;
	}
	r->offset = c.at;
	if (more != 0)
		log_error("ALARM: %s/%08ld.brec is damaged from byte %" PRIu64 " on", r->dir, last,
		    c.at - (more == 1 ? f.len : 0));
	scan_close(&c);
	return more != 0 ? -1 : 1;
}

static int compare_header(
    struct store *s, const struct rec *r, uint32_t segment, const uint8_t *header, size_t len)
{
	struct scan c;
	int same;

	if (scan_open(&c, s, r, segment) != 0)
		return -1;
	same = c.header.len == len && memcmp(c.data, header, len) == 0;
	scan_close(&c);
	return same;
}

int load_compare(struct store *s, const struct rec *r, const struct wire_entry *e)
{
	uint32_t segment = r->segment;
	struct brec_frame f = { 0 };
	const uint8_t *bytes = NULL;
	struct scan c;
	int same = -1;

	if (e->type == WIRE_OPEN)
		return compare_header(s, r, 0, e->header, e->header_len);
	while (scan_open(&c, s, r, segment) == 0) {
		if (e->seq < c.header.first_seq && segment > 0) {
			scan_close(&c);
			segment--;
			continue;
		}
		while (scan_next(&c, &f, &bytes) == 1 && f.seq < e->seq)
			;
		if (bytes != NULL && f.seq == e->seq)
			same = f.len == e->frame_len && memcmp(bytes, e->frame, f.len) == 0;
		scan_close(&c);
		break;
	}
	if (same == 1 && e->type == WIRE_SEAL)
		return compare_header(s, r, segment + 1, e->header, e->header_len);
	return same;
}

void load_keep_conflict(struct store *s, struct rec *r, const struct wire_entry *e)
{
	char path[STORE_DIR_LEN + 64], hex[17];
	uint8_t hash[HASH_LEN];
	int fd;

	if (r->conflicts >= STORE_CONFLICTS_MAX ||
	    sha256_spans(hash, SPANS(SPAN(e->frame, e->frame_len), SPAN(e->header, e->header_len))) != 0)
		return;
	r->conflicts++;
	snprintf(path, sizeof(path), "%s/conflict-%020" PRIu64 "-%s", r->dir, e->seq, hex_encode(hex, hash, 8));
	fd = openat(s->recordings, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0) {
		if (errno != EEXIST)
			log_error("%s: %s", path, strerror(errno));
		return;
	}
	if ((e->frame_len != 0 && write(fd, e->frame, e->frame_len) != (ssize_t)e->frame_len) ||
	    (e->header_len != 0 && write(fd, e->header, e->header_len) != (ssize_t)e->header_len) ||
	    fsync(fd) != 0)
		log_error("%s: %s", path, strerror(errno));
	close(fd);
}
