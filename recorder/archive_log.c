/*
 * archive_log.c - see archive_log.h. Reads what tlog_writer.c wrote, while that goes on.
 */
#include "archive_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tlog_reader.h"
#include "tlog_tree.h"

#define SETTLED_SECONDS 60

/* Hashes, or leaves, of a level in a tree of that size. */
static uint64_t width_of(uint64_t size, int level)
{
	return size >> (8 * (level < 0 ? 0 : level));
}

bool archive_tiles_next(struct archive_tiles *t, int *level, uint64_t *n, unsigned *width)
{
	if (!t->begun) {
		t->begun = true;
		t->level = TLOG_ENTRIES;
		t->n = width_of(t->from, t->level) / TLOG_TILE;
	}
	for (; t->level < TLOG_LEVELS; t->level++) {
		const uint64_t all = width_of(t->to, t->level), before = width_of(t->from, t->level);

		/* of what is the same in both trees nothing is new */
		if (all != before && t->n * TLOG_TILE < all) {
			*level = t->level;
			*n = t->n++;
			*width = all - *n * TLOG_TILE < TLOG_TILE ? (unsigned)(all - *n * TLOG_TILE) : TLOG_TILE;
			return true;
		}
		t->n = width_of(t->from, t->level + 1) / TLOG_TILE;
	}
	return false;
}

uint8_t *archive_tile_load(int dir, int level, uint64_t n, unsigned width, size_t *len)
{
	uint8_t *data = tlog_read_tile(dir, level, n, width, len);
	long used;

	if (data == NULL)
		return NULL;
	used = level == TLOG_ENTRIES ? tlog_bundle_prefix(data, *len, width) : (long)(width * HASH_LEN);
	if (used >= 0 && (size_t)used <= *len) {
		*len = (size_t)used;
		return data;
	}
	free(data);
	errno = EBADMSG;
	return NULL;
}

int archive_log_checkpoint(int dir, const char *name, char note[TLOG_OWN_MAX], size_t *len, uint64_t *size)
{
	uint8_t *data = tlog_slurp(dir, name, TLOG_OWN_MAX, len);
	struct tlog_checkpoint c;

	if (data == NULL)
		return errno == ENOENT ? 0 : -1;
	memcpy(note, data, *len);
	free(data);
	if (tlog_checkpoint_parse(&c, note, *len) != 0 || c.size > TLOG_SIZE_MAX) {
		errno = EBADMSG;
		return -1;
	}
	*size = c.size;
	return 1;
}

int archive_log_newest(int dir, char note[TLOG_OWN_MAX], size_t *len, uint64_t *size)
{
	char name[ARCHIVE_NAME_MAX + 1], kept[TLOG_OWN_MAX];
	const int r = archive_log_checkpoint(dir, TLOG_CHECKPOINT, note, len, size);
	size_t kept_len;
	uint64_t of;

	if (r != 1)
		return r;
	snprintf(name, sizeof(name), TLOG_CHECKPOINT ".%" PRIu64, *size);
	if (archive_log_checkpoint(dir, name, kept, &kept_len, &of) == 1 && of == *size) {
		memcpy(note, kept, kept_len);
		*len = kept_len;
	}
	return 1;
}

/* ---- is it what was put? ---- */

/* The part of a tree of that size that the tile has. */
static unsigned width_in(uint64_t size, int level, uint64_t n)
{
	const uint64_t all = width_of(size, level);

	return n >= all / TLOG_TILE + (all % TLOG_TILE != 0) ? 0 : all - n * TLOG_TILE < TLOG_TILE ? (unsigned)(all - n * TLOG_TILE) : TLOG_TILE;
}

static int load_nodes(uint8_t (*nodes)[HASH_LEN], int dir, int level, uint64_t n, unsigned width)
{
	size_t len;
	uint8_t *data = archive_tile_load(dir, level, n, width, &len);

	if (data == NULL)
		return -1;
	memcpy(nodes, data, len);
	free(data);
	return 0;
}

/* The root of a tree of that size, from its tiles that are not full. */
static int edge_root(uint8_t root[HASH_LEN], int dir, uint64_t size)
{
	uint8_t nodes[TLOG_TILE + 1][HASH_LEN];
	bool carry = false;

	for (int level = 0; level < TLOG_LEVELS; level++) {
		const uint64_t all = width_of(size, level);
		size_t n = all % TLOG_TILE;

		if (n == 0)
			continue;
		if (load_nodes(nodes, dir, level, all / TLOG_TILE, (unsigned)n) != 0)
			return -1;
		if (carry)
			memcpy(nodes[n++], root, HASH_LEN);
		errno = ENOMEM;
		if (tlog_fold(root, nodes, n) != 0)
			return -1;
		carry = true;
	}
	return 0;
}

/* The hashes of a bundle's leaves. */
static int leaf_hashes(uint8_t (*nodes)[HASH_LEN], const uint8_t *data, size_t len, unsigned width)
{
	const uint8_t *leaf;
	struct buf b;
	size_t n;

	errno = ENOMEM;
	buf_view(&b, data, len);
	for (unsigned i = 0; i < width; i++)
		if ((leaf = tlog_bundle_next(&b, &n)) == NULL || tlog_hash_leaf(nodes[i], leaf, n) != 0)
			return -1;
	return 0;
}

/* Do these first hashes of a tile stand in the log's tree? Each file of that tree is read anew: the disk may say another thing each time. */
static int stands(int dir, int level, uint64_t n, const uint8_t (*first)[HASH_LEN], unsigned width)
{
	uint8_t nodes[TLOG_TILE][HASH_LEN], above[TLOG_TILE][HASH_LEN], root[HASH_LEN];
	struct tlog_checkpoint c;
	char note[TLOG_OWN_MAX];
	unsigned all;
	uint64_t size;
	size_t len;
	const int r = archive_log_checkpoint(dir, TLOG_CHECKPOINT, note, &len, &size);

	if (r < 0 || (r == 1 && tlog_checkpoint_parse(&c, note, len) != 0))
		return -1;
	/* the log may have grown since the tree that the tile was put with */
	if (r == 0 || (all = width_in(size, level, n)) < width)
		return 0;
	if (load_nodes(nodes, dir, level, n, all) != 0)
		return -1;
	if (memcmp(nodes, first, (size_t)width * HASH_LEN) != 0)
		return 0;
	if (all < TLOG_TILE)
		return edge_root(root, dir, size) != 0 ? -1 : memcmp(root, c.root, HASH_LEN) == 0;
	errno = ENOMEM;
	if (tlog_fold(root, nodes, TLOG_TILE) != 0 || load_nodes(above, dir, level + 1, n / TLOG_TILE, width_in(size, level + 1, n / TLOG_TILE)) != 0)
		return -1;
	return memcmp(root, above[n % TLOG_TILE], HASH_LEN) == 0;
}

uint8_t *archive_tile_proven(int dir, int level, uint64_t n, unsigned width, size_t *len)
{
	uint8_t *data = archive_tile_load(dir, level, n, width, len), first[TLOG_TILE][HASH_LEN];
	int r = -1;

	if (data == NULL)
		return NULL;
	if (level != TLOG_ENTRIES)
		memcpy(first, data, *len);
	if (level != TLOG_ENTRIES || leaf_hashes(first, data, *len, width) == 0)
		r = stands(dir, level == TLOG_ENTRIES ? 0 : level, n, (const uint8_t (*)[HASH_LEN])first, width);
	if (r == 1)
		return data;
	free(data);
	if (r == 0)
		errno = EBADMSG;
	return NULL;
}

bool archive_log_renew_due(const struct archive_list *l, const struct archive_rules *rules, int64_t now)
{
	const struct archive_item *i = archive_list_find(l, ARCHIVE_LOG_RENEWED);
	int64_t since;

	if (i == NULL)
		i = archive_list_find(l, ARCHIVE_LOG_BEGUN);
	/* one that was put before this was noted; and a clock that was ahead says nothing */
	since = i != NULL && i->when <= now ? i->when : INT64_MIN / 2;
	return now - since >= rules->session - rules->session / 8;
}

/* Is it "checkpoint.SIZE", with one of the two ends or none? *ended: with one. */
static bool kept_name(const char *name, uint64_t *size, bool *ended)
{
	char again[ARCHIVE_NAME_MAX + 1];
	const char *end;
	unsigned long long n;
	char *rest;

	if (strncmp(name, TLOG_CHECKPOINT ".", sizeof(TLOG_CHECKPOINT)) != 0 || strlen(name) > ARCHIVE_NAME_MAX)
		return false;
	n = strtoull(name + sizeof(TLOG_CHECKPOINT), &rest, 10);
	end = rest;
	snprintf(again, sizeof(again), TLOG_CHECKPOINT ".%llu", n);
	*size = n;
	*ended = *end != '\0';
	return strncmp(again, name, strlen(again)) == 0 && (size_t)(end - name) == strlen(again) &&
	    (!*ended || strcmp(end, ".tsr") == 0 || strcmp(end, ".cosigned") == 0);
}

int archive_log_kept(int dir, const struct archive_list *l, uint64_t size, int64_t now, char name[ARCHIVE_NAME_MAX + 1])
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	uint64_t of;
	bool ended;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (r == 0 && (e = readdir(d)) != NULL) {
		struct stat st;

		if (!kept_name(e->d_name, &of, &ended) || of > size || archive_list_find(l, e->d_name) != NULL)
			continue;
		/* another program writes these: not while it may still be at it */
		if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) || (ended && st.st_mtime > now - SETTLED_SECONDS))
			continue;
		snprintf(name, ARCHIVE_NAME_MAX + 1, "%s", e->d_name);
		r = 1;
	}
	closedir(d);
	return r;
}
