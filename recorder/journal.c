/*
 * journal.c - see journal.h. Runs in bastion-collectord; between it and the disk is nothing but
 * pwrite and fdatasync.
 */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"

#define VERSION 1
#define HEAD_LEN 32

static const uint8_t magic[8] = { 'B', 'R', 'E', 'C', 'J', 'R', 'N', 'L' };

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 3; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)(v >> 32));
	put32(p + 4, (uint32_t)v);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t get64(const uint8_t *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

static size_t round_up(size_t n)
{
	return (n + JOURNAL_BLOCK - 1) & ~(size_t)(JOURNAL_BLOCK - 1);
}

static int write_all(int fd, const uint8_t *data, size_t len, off_t at)
{
	while (len != 0) {
		ssize_t n = pwrite(fd, data, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = EIO;
			return -1;
		}
		data += n;
		len -= (size_t)n;
		at += n;
	}
	return 0;
}

/* Reads up to len bytes; fewer only at the end of the file. -1 with errno. */
static ssize_t read_all(int fd, uint8_t *data, size_t len, off_t at)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, data + got, len - got, at + (off_t)got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

/*
 * Zeros from the end of the file to `size`: blocks that are only reserved would cost a metadata
 * write at first use.
 */
static int fill(int fd, size_t size)
{
	static const uint8_t zeros[64 << 10];
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -1;
	if ((size_t)st.st_size >= size)
		return 0;
	for (off_t at = st.st_size; at < (off_t)size;) {
		size_t n = size - (size_t)at < sizeof(zeros) ? size - (size_t)at : sizeof(zeros);

		if (write_all(fd, zeros, n, at) != 0)
			return -1;
		at += (off_t)n;
	}
	return fsync(fd);
}

static int open_file(int dir, const char *name, size_t size)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int e;

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fill(fd, size) == 0)
		return fd;
	e = errno;
	if (fd >= 0)
		close(fd);
	errno = e;
	return -1;
}

int journal_open(struct journal *j, int dir, size_t size)
{
	int e;

	*j = (struct journal){ .dir = dir, .fd = { -1, -1 }, .size = size };
	if (size < JOURNAL_SIZE_MIN || size > JOURNAL_SIZE_MAX || size % JOURNAL_BLOCK != 0) {
		errno = EINVAL;
		return -1;
	}
	j->group = aligned_alloc(JOURNAL_BLOCK, JOURNAL_GROUP_MAX);
	j->spare = aligned_alloc(JOURNAL_BLOCK, JOURNAL_GROUP_MAX);
	if (j->group != NULL && j->spare != NULL && (j->fd[0] = open_file(dir, "a", size)) >= 0 &&
	    (j->fd[1] = open_file(dir, "b", size)) >= 0 && fsync(dir) == 0)
		return 0;
	e = errno;
	journal_close(j);
	errno = e;
	return -1;
}

void journal_close(struct journal *j)
{
	for (int i = 0; i < 2; i++)
		if (j->fd[i] >= 0)
			close(j->fd[i]);
	free(j->group);
	free(j->spare);
	*j = (struct journal){ .dir = -1, .fd = { -1, -1 }, .failed = true };
}

struct file_head {
	uint64_t generation, serial;
};

/* 1: a valid header, 0: none, -1: the file cannot be read. */
static int read_head(int fd, struct file_head *h)
{
	uint8_t b[HEAD_LEN];
	ssize_t n = read_all(fd, b, sizeof(b), 0);

	if (n < 0)
		return -1;
	if (n < HEAD_LEN || memcmp(b, magic, sizeof(magic)) != 0 || get32(b + 8) != VERSION ||
	    get32(b + 12) != crc32c(0, b + 16, 16))
		return 0;
	h->generation = get64(b + 16);
	h->serial = get64(b + 24);
	return 1;
}

/*
 * Reads the record at `at` into buf. Its payload's length, 0 if none with that generation and
 * serial stands there, -1.
 */
static ssize_t read_record(int fd, uint8_t *buf, off_t at, uint64_t generation, uint64_t serial)
{
	ssize_t n = read_all(fd, buf, JOURNAL_RECORD_HEAD, at);
	uint32_t len;

	if (n < 0)
		return -1;
	if (n < (ssize_t)JOURNAL_RECORD_HEAD)
		return 0;
	len = get32(buf);
	if (len == 0 || len > JOURNAL_RECORD_MAX || get64(buf + 8) != generation || get64(buf + 16) != serial)
		return 0;
	if ((n = read_all(fd, buf + JOURNAL_RECORD_HEAD, len, at + JOURNAL_RECORD_HEAD)) < 0)
		return -1;
	if ((size_t)n < len || crc32c(0, buf + 8, JOURNAL_RECORD_HEAD - 8 + len) != get32(buf + 4))
		return 0;
	return (ssize_t)len;
}

static int replay_file(int fd, struct file_head *head, journal_replay_fn *fn, void *ctx, uint64_t *records)
{
	uint8_t *buf = malloc(JOURNAL_RECORD_HEAD + JOURNAL_RECORD_MAX);
	size_t at = JOURNAL_BLOCK;
	int r = buf != NULL ? 0 : -1;

	while (r == 0) {
		ssize_t n = read_record(fd, buf, (off_t)at, head->generation, head->serial);

		if (n == 0 && round_up(at) != at) {
			at = round_up(at);
			n = read_record(fd, buf, (off_t)at, head->generation, head->serial);
		}
		if (n <= 0) {
			r = n < 0 ? -1 : 0;
			break;
		}
		head->serial++;
		*records += 1;
		at += JOURNAL_RECORD_HEAD + (size_t)n;
		r = fn(ctx, buf + JOURNAL_RECORD_HEAD, (size_t)n);
	}
	free(buf);
	return r;
}

int journal_replay(struct journal *j, journal_replay_fn *fn, void *ctx, uint64_t *records)
{
	struct file_head head[2] = { 0 };
	uint64_t counted = 0;
	int valid[2], first, r = 0;

	for (int i = 0; i < 2; i++)
		if ((valid[i] = read_head(j->fd[i], &head[i])) < 0)
			return -1;
	first = valid[0] && valid[1] && head[1].generation < head[0].generation;
	for (int k = 0; k < 2 && r == 0; k++) {
		int i = first ^ k;

		if (!valid[i])
			continue;
		if (k == 1 && valid[first] && head[i].serial > head[first].serial)
			j->lost = head[i].serial - head[first].serial;
		r = replay_file(j->fd[i], &head[i], fn, ctx, &counted);
		j->cur = (unsigned)i;
		j->generation = head[i].generation;
		j->serial = head[i].serial;
	}
	if (records != NULL)
		*records = counted;
	return r;
}

/*
 * The header goes out, and becomes durable, with the first group: until then the old contents may
 * still be there.
 */
static void begin_file(struct journal *j)
{
	j->cur ^= 1;
	j->generation++;
	j->pos = JOURNAL_BLOCK;
	j->begun = false;
}

static int write_head(struct journal *j, uint64_t serial)
{
	uint8_t b[HEAD_LEN] = { 0 };

	memcpy(b, magic, sizeof(magic));
	put32(b + 8, VERSION);
	put64(b + 16, j->generation);
	put64(b + 24, serial);
	put32(b + 12, crc32c(0, b + 16, 16));
	return write_all(j->fd[j->cur], b, sizeof(b), 0);
}

/*
 * Two turns: after them neither file holds a generation that a later replay would take for live,
 * and a crash in between replays what is durable elsewhere already, which is harmless.
 */
int journal_begin(struct journal *j)
{
	for (int i = 0; i < 2; i++) {
		begin_file(j);
		if (write_head(j, j->serial) != 0 || fdatasync(j->fd[j->cur]) != 0) {
			j->failed = true;
			return -1;
		}
	}
	j->begun = true;
	return 0;
}

size_t journal_left(const struct journal *j)
{
	return j->size - j->pos;
}

bool journal_group_full(const struct journal *j)
{
	return j->group_len + JOURNAL_RECORD_HEAD + JOURNAL_RECORD_MAX > JOURNAL_GROUP_MAX;
}

const uint8_t *journal_add(struct journal *j, const struct iovec *piece, size_t n)
{
	uint8_t *rec = j->group + j->group_len, *p = rec + JOURNAL_RECORD_HEAD;
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		len += piece[i].iov_len;
	if (j->failed)
		errno = EIO;
	else if (len == 0 || len > JOURNAL_RECORD_MAX)
		errno = EINVAL;
	else if (journal_group_full(j))
		errno = ENOBUFS;
	else if (round_up(j->group_len + JOURNAL_RECORD_HEAD + len) > journal_left(j))
		errno = ENOSPC;
	else
		errno = 0;
	if (errno != 0)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (piece[i].iov_len != 0)
			memcpy(p, piece[i].iov_base, piece[i].iov_len);
		p += piece[i].iov_len;
	}
	put32(rec, (uint32_t)len);
	put64(rec + 8, j->generation);
	put64(rec + 16, j->serial++);
	put32(rec + 4, crc32c(0, rec + 8, JOURNAL_RECORD_HEAD - 8 + len));
	j->group_len += JOURNAL_RECORD_HEAD + len;
	return rec + JOURNAL_RECORD_HEAD;
}

int journal_sync(struct journal *j)
{
	size_t len = round_up(j->group_len);
	uint8_t *group = j->group;

	if (j->failed) {
		errno = EIO;
		return -1;
	}
	if (len == 0)
		return 0;
	memset(group + j->group_len, 0, len - j->group_len);
	if ((!j->begun && write_head(j, get64(group + 16)) != 0) ||
	    write_all(j->fd[j->cur], group, len, (off_t)j->pos) != 0 || fdatasync(j->fd[j->cur]) != 0) {
		j->failed = true;
		return -1;
	}
	j->begun = true;
	j->pos += len;
	j->group_len = 0;
	j->group = j->spare;
	j->spare = group;
	return 0;
}

int journal_turn(struct journal *j)
{
	if (j->failed || j->group_len != 0) {
		errno = j->failed ? EIO : EBUSY;
		return -1;
	}
	/* an empty file is gone on with: two turns without a group would leave a gap between what the files hold */
	if (j->pos == JOURNAL_BLOCK)
		return 0;
	begin_file(j);
	return 0;
}
