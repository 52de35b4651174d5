/*
 * tlog_writer.c - see tlog_writer.h. Comes after collector_log.c; the files are read by tlog_reader.c and by public tools.
 */
#include "tlog_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tlog_tree.h"

#define CHECKPOINT_NEW "checkpoint.new"

static int refuse(struct tlog_writer *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int refuse(struct tlog_writer *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->why, sizeof(w->why), fmt, ap);
	va_end(ap);
	errno = EBADMSG;
	return -1;
}

static unsigned width(const struct tlog_writer *w, int level)
{
	return (unsigned)(w->size >> (8 * (level < 0 ? 0 : level))) % TLOG_TILE;
}

/* ---- files ---- */

static int make_parents(int dir, const char *path)
{
	char part[TLOG_PATH_LEN];

	for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		if (mkdirat(dir, part, 0755) != 0 && errno != EEXIST)
			return -1;
	}
	return 0;
}

/* The whole file. A full disk leaves a part of one: it is written again, or is no part of what a checkpoint covers. */
static int write_file(int dir, const char *path, const void *data, size_t len)
{
	const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
	int fd = openat(dir, path, flags, 0644), saved;
	const uint8_t *p = data;

	if (fd < 0 && errno == ENOENT && make_parents(dir, path) == 0)
		fd = openat(dir, path, flags, 0644);
	if (fd < 0)
		return -1;
	while (len != 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			saved = n == 0 ? EIO : errno;
			close(fd);
			errno = saved;
			return -1;
		}
		p += n;
		len -= (size_t)n;
	}
	return close(fd);
}

/* Up to `max` bytes of a file; their number, -1 with errno. */
static ssize_t read_file(int dir, const char *path, void *data, size_t max)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t have = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -1;
	while (n != 0 && have < max) {
		n = read(fd, (uint8_t *)data + have, max - have);
		if (n > 0)
			have += (size_t)n;
		else if (n < 0 && errno != EINTR)
			break;
	}
	close(fd);
	return n < 0 ? -1 : (ssize_t)have;
}

static int write_tile(struct tlog_writer *w, int level, uint64_t n, unsigned count)
{
	char path[TLOG_PATH_LEN];

	tlog_tile_path(path, level, n, count);
	return level == TLOG_ENTRIES ? write_file(w->dir, path, w->bundle, w->bundle_len) :
	    write_file(w->dir, path, w->tiles[level], (size_t)count * HASH_LEN);
}

/* ---- the start ---- */

/* The first `count` hashes, or leaves, of a tile: from its partial file, or from the full one that came after it. */
static ssize_t read_tile(const struct tlog_writer *w, int level, uint64_t n, unsigned count, void *data, size_t max)
{
	char path[TLOG_PATH_LEN];
	ssize_t len = read_file(w->dir, tlog_tile_path(path, level, n, count), data, max);

	return len >= 0 || errno != ENOENT ? len : read_file(w->dir, tlog_tile_path(path, level, n, TLOG_TILE), data, max);
}

static int load_edge(struct tlog_writer *w, uint64_t size)
{
	long used;
	ssize_t n;

	w->size = size;
	for (int level = 0; level < TLOG_LEVELS; level++) {
		const unsigned count = width(w, level);

		w->on_disk[level] = size >> (8 * level);
		if (count == 0)
			continue;
		n = read_tile(w, level, size >> (8 * (level + 1)), count, w->tiles[level], sizeof(w->tiles[level]));
		if (n < (ssize_t)(count * HASH_LEN))
			return refuse(w, "the tile of level %d for %" PRIu64 " leaves is missing or short", level, size);
	}
	w->bundle_len = 0;
	if (width(w, 0) == 0)
		return 0;
	n = read_tile(w, TLOG_ENTRIES, size / TLOG_TILE, width(w, 0), w->bundle, sizeof(w->bundle));
	if (n < 0 || (used = tlog_bundle_prefix(w->bundle, (size_t)n, width(w, 0))) < 0)
		return refuse(w, "the bundle of entries for %" PRIu64 " leaves is missing or short", size);
	w->bundle_len = (size_t)used;
	return 0;
}

static int read_checkpoint(struct tlog_writer *w)
{
	struct tlog_checkpoint c;
	char note[TLOG_OWN_MAX];
	ssize_t n = read_file(w->dir, TLOG_CHECKPOINT, note, sizeof(note));

	if (n < 0)
		return errno == ENOENT ? 0 : -1;
	/* what a power cut left of a checkpoint is none: the journal then has the leaves since the one before */
	if (tlog_checkpoint_parse(&c, note, (size_t)n) != 0 || !tlog_name_ok(c.origin) || c.size > TLOG_SIZE_MAX)
		return 0;
	memcpy(w->origin, c.origin, sizeof(w->origin));
	memcpy(w->promised_root, c.root, HASH_LEN);
	w->promised = c.size;
	w->has_promise = true;
	w->published = c.size;
	return 0;
}

int tlog_writer_open(struct tlog_writer *w, int dir, const struct sign_key *key, const char *origin)
{
	memset(w, 0, sizeof(*w));
	w->dir = dir;
	w->key = key;
	w->published = UINT64_MAX;
	snprintf(w->origin, sizeof(w->origin), "%s", origin);
	return read_checkpoint(w);
}

void tlog_writer_finish(struct tlog_writer *w)
{
	if (w->dir >= 0)
		close(w->dir);
	w->dir = -1;
}

int tlog_writer_exists(const struct tlog_writer *w)
{
	struct stat st;

	if (w->has_promise)
		return 1;
	if (fstatat(w->dir, TLOG_ADOPTING, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (errno != ENOENT)
		return -1;
	return fstatat(w->dir, "tile", &st, AT_SYMLINK_NOFOLLOW) == 0 ? 1 : errno == ENOENT ? 0 : -1;
}

static int edge_root(struct tlog_writer *w, uint8_t root[HASH_LEN])
{
	uint8_t nodes[TLOG_TILE + 1][HASH_LEN];
	bool carry = false;

	for (int level = 0; level < TLOG_LEVELS; level++) {
		size_t n = width(w, level);

		memcpy(nodes, w->tiles[level], n * HASH_LEN);
		if (carry)
			memcpy(nodes[n++], root, HASH_LEN);
		if (n != 0 && tlog_fold(root, nodes, n) != 0)
			return -1;
		carry = carry || n != 0;
	}
	return carry ? 0 : sha256_spans(root, NULL, 0);
}

/* Once the log has as many leaves as its checkpoint promised, it must have that root. */
static int keep_promise(struct tlog_writer *w)
{
	uint8_t root[HASH_LEN];

	if (!w->has_promise || w->kept_promise || w->size < w->promised)
		return 0;
	if (w->size > w->promised)
		return refuse(w, "its checkpoint is for %" PRIu64 " leaves, and the journal begins after %" PRIu64, w->promised, w->size);
	if (edge_root(w, root) != 0) {
		errno = ENOMEM;
		return -1;
	}
	if (memcmp(root, w->promised_root, HASH_LEN) != 0)
		return refuse(w, "its checkpoint of %" PRIu64 " leaves has another root than they have now", w->promised);
	w->kept_promise = true;
	return 0;
}

static int base(struct tlog_writer *w, uint64_t size)
{
	if (size > TLOG_SIZE_MAX)
		return refuse(w, "%" PRIu64 " leaves are none of ours", size);
	if (load_edge(w, size) != 0)
		return -1;
	w->based = true;
	w->settling = w->cleaned = size;
	return keep_promise(w);
}

/* ---- growing ---- */

/* The tile of `level` is full with the hash that stands at its end: into its file, and its root into the level above. */
static int full_tile(struct tlog_writer *w, int level)
{
	const uint64_t n = w->size >> (8 * (level + 1));
	uint8_t nodes[TLOG_TILE][HASH_LEN];
	const unsigned at = level + 1 < TLOG_LEVELS ? width(w, level + 1) : 0;

	if (write_tile(w, level, n, TLOG_TILE) != 0)
		return -1;
	memcpy(nodes, w->tiles[level], sizeof(nodes));
	errno = ENOMEM;
	if (level + 1 == TLOG_LEVELS || tlog_fold(w->tiles[level + 1][at], nodes, TLOG_TILE) != 0)
		return -1;
	return at == TLOG_TILE - 1 ? full_tile(w, level + 1) : 0;
}

int tlog_writer_add(struct tlog_writer *w, uint64_t index, const uint8_t *leaf, size_t len)
{
	const size_t before = w->bundle_len;
	unsigned at;

	if (!w->based && base(w, index) != 0)
		return -1;
	if (index < w->size)
		return 0;
	if (index > w->size || len == 0 || len > TLOG_ACT_MAX)
		return refuse(w, "leaf %" PRIu64 " came after %" PRIu64 " leaves", index, w->size);
	at = width(w, 0);
	errno = ENOMEM;
	if (tlog_hash_leaf(w->tiles[0][at], leaf, len) != 0)
		return -1;
	w->bundle[w->bundle_len++] = (uint8_t)(len >> 8);
	w->bundle[w->bundle_len++] = (uint8_t)len;
	memcpy(w->bundle + w->bundle_len, leaf, len);
	w->bundle_len += len;
	/* nothing counts before the files of a full tile are written: after ENOSPC the same leaf comes again */
	if (at == TLOG_TILE - 1 && (write_tile(w, TLOG_ENTRIES, index / TLOG_TILE, TLOG_TILE) != 0 || full_tile(w, 0) != 0)) {
		w->bundle_len = before;
		return -1;
	}
	w->size++;
	if (at == TLOG_TILE - 1)
		w->bundle_len = 0;
	return keep_promise(w);
}

/* ---- publishing ---- */

static int write_edge(struct tlog_writer *w)
{
	if (w->on_disk[0] != w->size && width(w, 0) != 0 && write_tile(w, TLOG_ENTRIES, w->size / TLOG_TILE, width(w, 0)) != 0)
		return -1;
	for (int level = 0; level < TLOG_LEVELS; level++) {
		if (w->on_disk[level] == w->size >> (8 * level))
			continue;
		if (width(w, level) != 0 && write_tile(w, level, w->size >> (8 * (level + 1)), width(w, level)) != 0)
			return -1;
		w->on_disk[level] = w->size >> (8 * level);
	}
	return 0;
}

static int replace(int dir, const char *name, const struct buf *note)
{
	if (write_file(dir, CHECKPOINT_NEW, note->data, note->len) != 0)
		return -1;
	return renameat(dir, CHECKPOINT_NEW, dir, name);
}

/* Is it there already, perhaps signed by a key of before? A timestamp or a witness' line is for those bytes. */
static bool is_kept(const struct tlog_writer *w, const char *name, const struct buf *note)
{
	struct tlog_checkpoint there, made;
	char data[TLOG_OWN_MAX];
	const ssize_t n = read_file(w->dir, name, data, sizeof(data));

	return n >= 0 && tlog_checkpoint_parse(&there, data, (size_t)n) == 0 && tlog_checkpoint_parse(&made, note->data, note->len) == 0 &&
	    there.text_len == made.text_len && memcmp(there.text, made.text, made.text_len) == 0;
}

/* One an hour stays, for who stamps them and for who compares what was said at different times. */
static int keep_one(struct tlog_writer *w, const struct buf *note, int64_t wall_s)
{
	char name[48];

	if (w->kept_at != 0 && wall_s / TLOG_KEEP_SECONDS == w->kept_at / TLOG_KEEP_SECONDS)
		return 0;
	snprintf(name, sizeof(name), TLOG_CHECKPOINT ".%" PRIu64, w->size);
	if (!is_kept(w, name, note) && replace(w->dir, name, note) != 0)
		return -1;
	w->kept_at = wall_s;
	return 0;
}

int tlog_writer_publish(struct tlog_writer *w, int64_t wall_s)
{
	uint8_t root[HASH_LEN];
	struct buf note;
	int r = -1;

	if (w->key == NULL || w->published == w->size)
		return 0;
	buf_init(&note, TLOG_OWN_MAX);
	if (edge_root(w, root) != 0 || tlog_checkpoint_make(&note, w->origin, w->size, root, w->key) != 0)
		errno = ENOMEM;
	else
		r = write_edge(w) != 0 || keep_one(w, &note, wall_s) != 0 || replace(w->dir, TLOG_CHECKPOINT, &note) != 0 ? -1 : 0;
	if (r == 0)
		w->published = w->size;
	buf_finish(&note);
	return r;
}

int tlog_writer_key(struct tlog_writer *w, const struct sign_key *key, int64_t wall_s)
{
	w->key = key;
	w->published = UINT64_MAX;
	w->kept_at = 0;
	return tlog_writer_publish(w, wall_s);
}

/* No checkpoint that was kept may say more than there is, or something else. */
static int check_kept(struct tlog_writer *w)
{
	int fd = openat(w->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	uint8_t root[HASH_LEN];
	struct dirent *e;

	if (d == NULL || edge_root(w, root) != 0) {
		if (d != NULL)
			closedir(d);
		else if (fd >= 0)
			close(fd);
		return -1;
	}
	while (r == 0 && (e = readdir(d)) != NULL) {
		struct tlog_checkpoint c;
		char note[TLOG_OWN_MAX];
		ssize_t n;

		if (strncmp(e->d_name, TLOG_CHECKPOINT ".", sizeof(TLOG_CHECKPOINT)) != 0 ||
		    e->d_name[strspn(e->d_name, TLOG_CHECKPOINT ".0123456789")] != '\0' ||
		    (n = read_file(w->dir, e->d_name, note, sizeof(note))) < 0 || tlog_checkpoint_parse(&c, note, (size_t)n) != 0)
			continue;
		if (c.size > w->size)
			r = refuse(w, "a checkpoint was kept for %" PRIu64 " leaves, and only %" PRIu64 " are there", c.size, w->size);
		else if (c.size == w->size && memcmp(c.root, root, HASH_LEN) != 0)
			r = refuse(w, "a checkpoint was kept for %" PRIu64 " leaves with another root than they have", c.size);
	}
	closedir(d);
	return r;
}

int tlog_writer_check(struct tlog_writer *w)
{
	if (!w->based && base(w, w->has_promise ? w->promised : 0) != 0)
		return -1;
	if (w->has_promise && !w->kept_promise)
		return refuse(w, "its checkpoint is for %" PRIu64 " leaves, and only %" PRIu64 " are there", w->promised, w->size);
	/* a power cut may have taken tiles that the checkpoint speaks of */
	return check_kept(w) != 0 ? -1 : write_edge(w);
}

/* ---- tidying ---- */

static void remove_partials(const struct tlog_writer *w, int level, uint64_t n)
{
	char path[TLOG_PATH_LEN];
	struct dirent *e;
	DIR *d;
	int fd;

	tlog_tile_path(path, level, n, 1);
	*strrchr(path, '/') = '\0';
	if ((fd = openat(w->dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		return;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			unlinkat(fd, e->d_name, 0);
	closedir(d);
	unlinkat(w->dir, path, AT_REMOVEDIR);
}

void tlog_writer_settle(struct tlog_writer *w)
{
	for (; w->cleaned / TLOG_TILE < w->settling / TLOG_TILE; w->cleaned = (w->cleaned / TLOG_TILE + 1) * TLOG_TILE) {
		uint64_t n = w->cleaned / TLOG_TILE;

		remove_partials(w, TLOG_ENTRIES, n);
		remove_partials(w, 0, n);
		/* the last tile of a full one above completes that, too */
		for (int level = 1; level < TLOG_LEVELS && n % TLOG_TILE == TLOG_TILE - 1; level++) {
			n /= TLOG_TILE;
			remove_partials(w, level, n);
		}
	}
	w->settling = w->size;
}
