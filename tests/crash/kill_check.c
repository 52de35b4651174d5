/*
 * kill_check.c - what a rig's sessions were told against the collector's files; see kill.h.
 *
 * Reads the files with the format's own decoders and nothing else of the collector: headers and frames in order, each crc, each chain value,
 * each byte of each body.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hex.h"
#include "kill.h"

#define FILE_BYTES ((size_t)4 << 20)	/* a segment has a quarter of that at most */

static char line[700];

void kill_fill(uint8_t *body, size_t len, const uint8_t id[BREC_ID_LEN], uint64_t seq)
{
	uint64_t x;

	memcpy(&x, id, sizeof(x));
	x ^= seq * 0x9e3779b97f4a7c15ULL;
	for (size_t i = 0; i < len; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(body + i, &x, len - i < 8 ? len - i : 8);
	}
}

/* Where the recording lies: below a date, that of today or, around midnight, its neighbour. */
static bool find(const char *store, const uint8_t id[BREC_ID_LEN], char *out, size_t size)
{
	char top[300], hex[2 * BREC_ID_LEN + 1];
	struct dirent *e;
	bool found = false;
	DIR *d;

	hex_encode(hex, id, BREC_ID_LEN);
	snprintf(top, sizeof(top), "%s/recordings", store);
	for (d = opendir(top); d != NULL && !found && (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.' && (size_t)snprintf(out, size, "%s/%s/%s", top, e->d_name, hex) < size)
			found = access(out, F_OK) == 0;
	if (d != NULL)
		closedir(d);
	return found;
}

void *kill_room(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || madvise(p, len, MADV_DONTFORK) != 0)
		abort();
	return p;
}

struct walk {
	const struct film *f;
	int dir;
	uint32_t segment;
	uint8_t h[BREC_HASH_LEN];
	uint64_t seq;
	bool begun, closed;
};

static bool good_frame(struct walk *w, const struct brec_frame *f)
{
	static uint8_t *want;
	struct brec_mark m;

	if (w->closed || f->seq != w->seq + 1 || f->epoch != w->segment)
		return false;
	if (f->type == BREC_DATA) {
		if (want == NULL)
			want = kill_room(BREC_FRAME_MAX);
		kill_fill(want, f->body_len, w->f->id, f->seq);
		return memcmp(want, f->body, f->body_len) == 0;
	}
	w->closed = f->type == BREC_CLOSE;
	return brec_mark_decode(f, &m) == 0 && memcmp(m.h, w->h, BREC_HASH_LEN) == 0;
}

/* 1: the segment ends after a whole frame; 0: in a torn one; -1: something is wrong. */
static int walk_frames(struct walk *w, const uint8_t *p, size_t len)
{
	struct brec_frame f;
	int e = BREC_OK;

	while (len != 0 && (e = brec_frame_decode(p, len, &f)) == BREC_OK) {
		if (!good_frame(w, &f) || brec_chain_add(w->h, p, f.len) != 0)
			return -1;
		w->seq = f.seq;
		p += f.len;
		len -= f.len;
	}
	return len == 0 ? 1 : e == BREC_SHORT ? 0 : -1;
}

/* Bytes of a segment's file, in *data; -1 with errno. */
static ssize_t slurp(int dir, uint32_t segment, uint8_t **data)
{
	static uint8_t *room;
	char name[32];
	ssize_t n;
	int fd;

	if (room == NULL)
		room = kill_room(FILE_BYTES);
	*data = room;
	snprintf(name, sizeof(name), "%08" PRIu32 ".brec", segment);
	if ((fd = openat(dir, name, O_RDONLY | O_CLOEXEC)) < 0)
		return -1;
	n = pread(fd, room, FILE_BYTES, 0);
	close(fd);
	if (n == FILE_BYTES)
		errno = EFBIG;
	return n == FILE_BYTES ? -1 : n;
}

/* 1: go on with the next segment; 0: here it ends; -1: something is wrong. */
static int walk_segment(struct walk *w)
{
	static const uint8_t zero[BREC_HASH_LEN];
	struct brec_header h;
	uint8_t *p;
	ssize_t len = slurp(w->dir, w->segment, &p);
	int e;

	if (len < 0)
		return errno == ENOENT ? 0 : -1;
	if (len == 0 || (e = brec_header_decode(p, (size_t)len, &h)) == BREC_SHORT)
		return 0;
	if (e != BREC_OK || memcmp(h.id, w->f->id, BREC_ID_LEN) != 0 || h.segment != w->segment || h.first_seq != w->seq + 1 ||
	    memcmp(h.prev, w->segment == 0 ? zero : w->h, BREC_HASH_LEN) != 0 || brec_chain_start(w->h, p, h.len) != 0)
		return -1;
	w->begun = true;
	return walk_frames(w, p + h.len, (size_t)len - h.len);
}

const char *kill_check(const char *store, const struct film *f)
{
	struct walk w = { .f = f };
	char path[700];
	int e;

	if (!f->promised_open)
		return NULL;
	if (!find(store, f->id, path, sizeof(path)) || (w.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		snprintf(line, sizeof(line), "a recording that was opened is not there: frame %" PRIu64 " was promised", f->promised);
		return line;
	}
	while ((e = walk_segment(&w)) == 1)
		w.segment++;
	if (e < 0)
		snprintf(line, sizeof(line), "%.600s: after frame %" PRIu64 " (segment %" PRIu32 ") something else is stored", path, w.seq,
		    w.segment);
	else
		snprintf(line, sizeof(line), "%.600s: frame %" PRIu64 "%s was promised, %" PRIu64 "%s is stored", path, f->promised,
		    f->promised_close ? ", the close," : "", w.seq, w.closed ? ", the close," : "");
	close(w.dir);
	return e < 0 || !w.begun || w.seq < f->promised || (f->promised_close && !w.closed) ? line : NULL;
}
