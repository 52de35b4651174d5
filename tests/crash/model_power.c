/*
 * model_power.c - the store as a disk may hold it after the power went, made from the log of its calls; see model.h.
 *
 * Strict, as POSIX has it and no more: a file's bytes are there when it was synced, its name when the directory was. What no sync covers
 * survives wholly, not at all, or sector by sector as the dice fall, so that later writes may stand without the earlier ones.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model.h"

#define SECTOR 512U
#define PIECE 65536U
#define TORN 32		/* one sector in so many is torn */

enum survival { ALL_LOST, ALL_THERE, BY_DICE };

uint64_t model_random(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * 0x2545f4914f6cdd1dULL;
}

static bool in_directory(const char *dir, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return strcmp(dir, ".") == 0;
	return strlen(dir) == (size_t)(slash - path) && memcmp(dir, path, strlen(dir)) == 0;
}

static bool covers(const struct op *sync, const struct op *op)
{
	if (sync->path[0] == '\0')
		return true;
	switch (op->kind) {
	case OP_WRITE:
	case OP_TRUNCATE:
		return strcmp(sync->path, op->path) == 0;
	case OP_RENAME:
		return in_directory(sync->path, op->to);
	default:
		return in_directory(sync->path, op->path);
	}
}

static bool has_ended(const struct op *op, uint32_t upto)
{
	return op->done && op->end <= upto;
}

static bool is_durable(const struct model *m, uint32_t i, uint32_t upto)
{
	for (uint32_t k = i + 1; has_ended(&m->ops[i], upto) && k < upto; k++)
		if (m->ops[k].kind == OP_SYNC && has_ended(&m->ops[k], upto) && m->ops[k].before > i && covers(&m->ops[k], &m->ops[i]))
			return true;
	return false;
}

static bool survives(enum survival s, uint64_t *seed)
{
	return s == ALL_THERE || (s == BY_DICE && (model_random(seed) & 256) != 0);
}

static int write_some(int fd, const uint8_t *data, size_t len, uint64_t at, bool durable, enum survival s, uint64_t *seed)
{
	while (len != 0) {
		size_t n = SECTOR - at % SECTOR, there;

		if (durable)
			n = len;
		if (n > len)
			n = len;
		there = durable || survives(s, seed) ? n : 0;
		/* a sector that was being written when the power went */
		if (!durable && s == BY_DICE && (model_random(seed) >> 16) % TORN == 0)
			there = (model_random(seed) >> 16) % (n + 1);
		if (there != 0 && pwrite(fd, data, there, (off_t)at) != (ssize_t)there)
			return -1;
		data += n;
		len -= n;
		at += n;
	}
	return 0;
}

/*
 * The call that made the file that call i writes to, by whatever names it had between; -1: it was there before. A file of that name that was
 * made earlier, and whose rename or removal was lost, is another one.
 */
static long maker(const struct model *m, uint32_t i)
{
	const char *path = m->ops[i].path;

	for (long k = (long)i - 1; k >= 0; k--) {
		if (m->ops[k].kind == OP_CREATE && strcmp(m->ops[k].path, path) == 0)
			return k;
		if (m->ops[k].kind == OP_RENAME && strcmp(m->ops[k].to, path) == 0)
			path = m->ops[k].path;
	}
	return -1;
}

/* 0; a file whose name was lost loses what was written to it. */
static int apply_write(int top, const struct model *m, const struct op *op, bool durable, enum survival s, uint64_t *seed)
{
	int fd = openat(top, op->path, O_WRONLY | O_CLOEXEC), r;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	r = write_some(fd, m->data + op->data, op->len, op->at, durable, s, seed);
	close(fd);
	return r;
}

static int apply(int top, const struct model *m, uint32_t i, uint32_t upto, enum survival s, uint64_t *seed)
{
	static bool made[MODEL_OPS_MAX];
	const struct op *op = &m->ops[i];
	bool durable = is_durable(m, i, upto);
	long by;
	int fd, r = 0;

	if (op->kind == OP_SYNC)
		return 0;
	if (op->kind == OP_WRITE)
		return (by = maker(m, i)) < 0 || made[by] ? apply_write(top, m, op, durable, s, seed) : 0;
	made[i] = durable || survives(s, seed);
	if (!made[i])
		return 0;
	switch (op->kind) {
	case OP_MKDIR:
		r = mkdirat(top, op->path, 0750);
		break;
	case OP_RENAME:
		r = renameat(top, op->path, top, op->to);
		break;
	case OP_UNLINK:
		if ((r = unlinkat(top, op->path, 0)) != 0 && errno == EISDIR)
			r = unlinkat(top, op->path, AT_REMOVEDIR);
		/* what was removed from it came back */
		if (r != 0 && errno == ENOTEMPTY)
			r = 0;
		break;
	default:
		if ((fd = openat(top, op->path, O_WRONLY | O_TRUNC | (op->kind == OP_CREATE ? O_CREAT : 0) | O_CLOEXEC, 0640)) >= 0)
			close(fd);
		r = fd < 0 ? -1 : 0;
	}
	/* its directory, or what it was to rename, was lost; or it began and was not reached */
	return r == 0 || errno == ENOENT || errno == EEXIST ? 0 : -1;
}

/* The copy is sparse, as the journal's files are. */
static int copy_file(int from, int to)
{
	static uint8_t piece[PIECE], zero[PIECE];
	off_t at = 0, end;
	ssize_t n = 0;

	while ((at = lseek(from, at, SEEK_DATA)) >= 0 && (n = pread(from, piece, sizeof(piece), at)) > 0) {
		if (memcmp(piece, zero, (size_t)n) != 0 && pwrite(to, piece, (size_t)n, at) != n)
			return -1;
		at += n;
	}
	return n < 0 || (end = lseek(from, 0, SEEK_END)) < 0 ? -1 : ftruncate(to, end);
}

static int copy_entry(int from, int to, const char *name);

static int copy_tree(int from, int to)
{
	int dup_fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = dup_fd >= 0 ? fdopendir(dup_fd) : NULL;
	struct dirent *e;

	if (d == NULL)
		return -1;
	while (r == 0 && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = copy_entry(from, to, e->d_name);
	closedir(d);
	return r;
}

static int copy_entry(int from, int to, const char *name)
{
	int a = openat(from, name, O_RDONLY | O_CLOEXEC), b = -1, r = -1;
	struct stat st;

	if (a >= 0 && fstat(a, &st) == 0 && S_ISDIR(st.st_mode)) {
		if (mkdirat(to, name, 0750) == 0 && (b = openat(to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0)
			r = copy_tree(a, b);
	} else if (a >= 0 && (b = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640)) >= 0) {
		r = copy_file(a, b);
	}
	if (a >= 0)
		close(a);
	if (b >= 0)
		close(b);
	return r;
}

int model_power_cut(const struct model *m, uint32_t upto, const char *from, const char *to, uint64_t *seed)
{
	enum survival s = (enum survival)(model_random(seed) >> 32 & 3);
	int a = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC), b = -1, r = -1;

	if (s > BY_DICE)
		s = BY_DICE;
	if (a >= 0 && mkdir(to, 0750) == 0 && (b = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0)
		r = copy_tree(a, b);
	for (uint32_t i = 0; i < upto && r == 0; i++)
		r = apply(b, m, i, upto, s, seed);
	if (a >= 0)
		close(a);
	if (b >= 0)
		close(b);
	return r;
}
