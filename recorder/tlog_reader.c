/*
 * tlog_reader.c - see tlog_reader.h: the directory of a log, from its first leaf to its checkpoint. Runs in the auditor's tools.
 */
#include "tlog_reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "escape.h"
#include "tlog_tile.h"

#define BUNDLE_MAX (TLOG_TILE * (2 + UINT16_MAX))

/* An older checkpoint by a trusted key. */
struct kept {
	uint64_t size;
	uint8_t root[HASH_LEN];
};

struct reading {
	struct tlog_log *log;
	int dir;
	struct kept *kept;		/* nkept of them, smallest first; the first `passed` are compared */
	size_t nkept, passed;
	struct tlog_peaks peaks;
	uint8_t tiles[TLOG_LEVELS][TLOG_TILE][HASH_LEN]; /* what the files of the last tile of each level must hold */
};

/* ---- older checkpoints ---- */

static bool is_kept_name(const char *name)
{
	size_t digits;

	if (strncmp(name, TLOG_CHECKPOINT ".", sizeof(TLOG_CHECKPOINT)) != 0)
		return false;
	name += sizeof(TLOG_CHECKPOINT);
	digits = strspn(name, "0123456789");
	return digits > 0 && (name[digits] == '\0' || strcmp(name + digits, ".cosigned") == 0);
}

/* One that nobody trusted signed says nothing; nor does one of another log, whoever signed it. What cannot be read, as what a power cut left, is counted. */
static int take_kept(struct reading *r, const char *name, const uint8_t (*keys)[KEY_LEN], size_t nkeys)
{
	char origin[TLOG_NAME_MAX + 1];
	struct tlog_checkpoint c;
	struct kept *v;
	size_t len, i = 0;
	uint8_t *note = tlog_slurp(r->dir, name, TLOG_NOTE_MAX, &len);

	if (note == NULL && errno == ENOMEM)
		return -1;
	if (note == NULL || tlog_checkpoint_parse(&c, note, len) != 0) {
		r->log->unread++;
		i = nkeys;
	}
	while (i < nkeys && !tlog_checkpoint_signed(&c, keys[i]))
		i++;
	free(note);
	if (i == nkeys)
		return 0;
	esc_line(origin, sizeof(origin), c.origin, strlen(c.origin));
	if (strcmp(origin, r->log->origin) != 0)
		return 0;
	if (r->nkept == TLOG_KEPT_MAX) {
		tlog_judge(r->log, TLOG_UNVERIFIABLE, "there are more older checkpoints than the %u that are read here", TLOG_KEPT_MAX);
		return 0;
	}
	if ((v = reallocarray(r->kept, r->nkept + 1, sizeof(*v))) == NULL)
		return -1;
	r->kept = v;
	v[r->nkept].size = c.size;
	memcpy(v[r->nkept++].root, c.root, HASH_LEN);
	return 0;
}

static int by_size(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;

	return x->size < y->size ? -1 : x->size > y->size;
}

static int read_kept(struct reading *r, const uint8_t (*keys)[KEY_LEN], size_t nkeys)
{
	int fd = openat(r->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (result == 0 && r->log->state == TLOG_GOOD && (e = readdir(d)) != NULL)
		if (is_kept_name(e->d_name))
			result = take_kept(r, e->d_name, keys, nkeys);
	closedir(d);
	if (r->nkept != 0)
		qsort(r->kept, r->nkept, sizeof(*r->kept), by_size);
	return result;
}

/* Those of the size that the tree has now. */
static int compare_kept(struct reading *r)
{
	uint8_t root[HASH_LEN];

	for (; r->passed < r->nkept && r->kept[r->passed].size == r->peaks.size; r->passed++) {
		if (tlog_peaks_root(&r->peaks, root) != 0)
			return -1;
		if (memcmp(root, r->kept[r->passed].root, HASH_LEN) != 0)
			tlog_judge(r->log, TLOG_FORGED, "a kept checkpoint of %llu leaves has another root than these leaves make",
			    (unsigned long long)r->peaks.size);
		r->log->kept++;
	}
	return 0;
}

/* ---- tiles and leaves ---- */

/* More than `width` hashes or leaves: nothing vouches for what follows them. Fewer are found out with their contents, but not in place of a part. */
static bool is_misfit(int level, unsigned width, bool in_place, const uint8_t *data, size_t len)
{
	const long end = level == TLOG_ENTRIES ? tlog_bundle_prefix(data, len, width) : (long)width * HASH_LEN;

	return end < 0 || len < (size_t)end ? in_place : len > (size_t)end;
}

uint8_t *tlog_read_tile(int dir, int level, uint64_t n, unsigned width, size_t *len)
{
	const size_t max = level == TLOG_ENTRIES ? BUNDLE_MAX : TLOG_TILE * HASH_LEN;
	char path[TLOG_PATH_LEN];
	uint8_t *data = tlog_slurp(dir, tlog_tile_path(path, level, n, width), max, len);
	const bool in_place = data == NULL && errno == ENOENT && width < TLOG_TILE;

	if (in_place) {
		width = TLOG_TILE;
		data = tlog_slurp(dir, tlog_tile_path(path, level, n, width), max, len);
	}
	if (data != NULL && is_misfit(level, width, in_place, data, *len)) {
		free(data);
		data = NULL;
		errno = EBADMSG;
	}
	return data;
}

static uint8_t *read_tile(struct reading *r, int level, uint64_t n, unsigned width, size_t *len)
{
	char path[TLOG_PATH_LEN];
	uint8_t *data = tlog_read_tile(r->dir, level, n, width, len);

	if (data == NULL && (errno == EBADMSG || errno == EFBIG))
		tlog_judge(r->log, TLOG_FORGED, "%s is longer than its contents, or in the place of a part and not full", tlog_tile_path(path, level, n, width));
	else if (data == NULL)
		tlog_judge(r->log, errno == ENOENT ? TLOG_FORGED : TLOG_UNVERIFIABLE, "%s: %s", tlog_tile_path(path, level, n, width), strerror(errno));
	return data;
}

static void compare_tile(struct reading *r, int level, uint64_t n, unsigned width)
{
	char path[TLOG_PATH_LEN];
	size_t len;
	uint8_t *data = read_tile(r, level, n, width, &len);

	if (data != NULL && (len < (size_t)width * HASH_LEN || memcmp(data, r->tiles[level], (size_t)width * HASH_LEN) != 0))
		tlog_judge(r->log, TLOG_FORGED, "%s holds other hashes than the leaves make", tlog_tile_path(path, level, n, width));
	free(data);
}

/* A hash more at a level; a tile that it fills is compared, and is a hash of the level above. */
static int add_hash(struct reading *r, int level, uint64_t index, const uint8_t hash[HASH_LEN])
{
	uint8_t root[HASH_LEN];

	memcpy(r->tiles[level][index % TLOG_TILE], hash, HASH_LEN);
	if (index % TLOG_TILE != TLOG_TILE - 1)
		return 0;
	compare_tile(r, level, index / TLOG_TILE, TLOG_TILE);
	if (level + 1 == TLOG_LEVELS || tlog_fold(root, r->tiles[level], TLOG_TILE) != 0)
		return -1;
	return add_hash(r, level + 1, index / TLOG_TILE, root);
}

static int read_bundle(struct reading *r, uint64_t n, unsigned width)
{
	uint8_t hash[HASH_LEN];
	const uint8_t *leaf;
	size_t len, total;
	struct buf b;
	int result = 0;
	uint8_t *data = read_tile(r, TLOG_ENTRIES, n, width, &total);

	if (data == NULL)
		return 0;
	buf_view(&b, data, total);
	for (unsigned i = 0; i < width && result == 0; i++) {
		const uint64_t index = n * TLOG_TILE + i;

		if ((leaf = tlog_bundle_next(&b, &len)) == NULL) {
			tlog_judge(r->log, TLOG_FORGED, "leaf %llu is gone", (unsigned long long)index);
			break;
		}
		if (tlog_hash_leaf(hash, leaf, len) != 0 || add_hash(r, 0, index, hash) != 0 || tlog_peaks_add(&r->peaks, hash) != 0 ||
		    tlog_log_add(r->log, index, leaf, len, hash) != 0 || compare_kept(r) != 0)
			result = -1;
	}
	free(data);
	return result;
}

static int read_leaves(struct reading *r)
{
	const uint64_t size = r->log->size;
	uint8_t root[HASH_LEN];

	if (compare_kept(r) != 0)
		return -1;
	for (uint64_t at = 0; at < size && r->log->state == TLOG_GOOD; at += TLOG_TILE)
		if (read_bundle(r, at / TLOG_TILE, size - at < TLOG_TILE ? (unsigned)(size - at) : TLOG_TILE) != 0)
			return -1;
	for (int level = 0; level < TLOG_LEVELS && r->log->state == TLOG_GOOD; level++) {
		const unsigned width = (unsigned)(size >> (8 * level)) % TLOG_TILE;

		if (width != 0)
			compare_tile(r, level, size >> (8 * (level + 1)), width);
	}
	if (r->log->state == TLOG_GOOD && tlog_peaks_root(&r->peaks, root) != 0)
		return -1;
	if (r->log->state == TLOG_GOOD && memcmp(root, r->log->root, HASH_LEN) != 0)
		tlog_judge(r->log, TLOG_FORGED, "the %llu leaves make another root than the checkpoint says", (unsigned long long)size);
	if (r->passed < r->nkept)
		tlog_judge(r->log, TLOG_FORGED, "a kept checkpoint is of %llu leaves, and the newest only of %llu",
		    (unsigned long long)r->kept[r->passed].size, (unsigned long long)size);
	return 0;
}

/* ---- all of it ---- */

static void read_all(struct reading *r, const uint8_t (*keys)[KEY_LEN], size_t nkeys)
{
	uint8_t *note;
	size_t len;
	int result = 0;

	if ((note = tlog_slurp(r->dir, TLOG_CHECKPOINT, TLOG_NOTE_MAX, &len)) == NULL) {
		tlog_judge(r->log, errno == ENOENT ? TLOG_FORGED : TLOG_UNVERIFIABLE, "checkpoint: %s", strerror(errno));
		return;
	}
	if (tlog_log_checkpoint(r->log, note, len, keys, nkeys) == 0 && r->log->size > TLOG_READ_MAX)
		tlog_judge(r->log, TLOG_UNVERIFIABLE, "%llu leaves are more than are read here", (unsigned long long)r->log->size);
	free(note);
	if (r->log->state == TLOG_GOOD && (result = read_kept(r, keys, nkeys)) == 0)
		result = read_leaves(r);
	if (result != 0)
		tlog_judge(r->log, TLOG_UNVERIFIABLE, "it cannot be read: %s", strerror(errno));
	tlog_log_sort(r->log);
}

void tlog_read(struct tlog_log *log, const char *dir, const uint8_t (*keys)[KEY_LEN], size_t nkeys)
{
	struct reading *r;

	*log = (struct tlog_log){ .state = TLOG_GOOD };
	if (nkeys == 0) {
		tlog_judge(log, TLOG_ABSENT, "no collector's key is trusted, so the log of recordings is not used");
		return;
	}
	if ((r = calloc(1, sizeof(*r))) == NULL) {
		tlog_judge(log, TLOG_UNVERIFIABLE, "out of memory");
		return;
	}
	r->log = log;
	if ((r->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0) {
		read_all(r, keys, nkeys);
		close(r->dir);
	} else if (errno == ENOENT) {
		tlog_judge(log, TLOG_ABSENT, "there is no log of recordings here");
	} else {
		tlog_judge(log, TLOG_UNVERIFIABLE, "it cannot be opened: %s", strerror(errno));
	}
	free(r->kept);
	free(r);
}
