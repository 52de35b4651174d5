/*
 * test_journal.c - the collector's journal under every fault that a disk has: short writes, no space, errors, a failed sync, and a
 * record torn at every byte. What was synced comes back; what was not comes back whole or not at all; nothing false comes back.
 *
 * WRAP: pwrite fdatasync
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "journal.h"

ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

static struct {
	int error;		/* pwrite fails with it */
	size_t most;		/* bytes that one pwrite takes; 0: all */
	size_t left;		/* bytes until the error; */
	bool limited;		/* if it counts */
	bool sync_fails;
	unsigned eintr;		/* so many calls are interrupted first */
	unsigned writes, syncs;
} fault;

ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at)
{
	fault.writes++;
	if (fault.eintr != 0) {
		fault.eintr--;
		errno = EINTR;
		return -1;
	}
	if (fault.most != 0 && len > fault.most)
		len = fault.most;
	if (fault.limited) {
		if (fault.left == 0) {
			errno = fault.error;
			return -1;
		}
		if (len > fault.left)
			len = fault.left;
		fault.left -= len;
	}
	return __real_pwrite(fd, data, len, at);
}

int __wrap_fdatasync(int fd)
{
	fault.syncs++;
	if (fault.sync_fails) {
		errno = EIO;
		return -1;
	}
	return __real_fdatasync(fd);
}

#define SIZE JOURNAL_SIZE_MIN

struct fixture {
	char path[64];
	int dir;
	struct journal j;
	unsigned expect;	/* next number that replay must give */
	unsigned count;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	memset(&fault, 0, sizeof(fault));
	strcpy(f->path, "/tmp/test_journal.XXXXXX");
	if (mkdtemp(f->path) == NULL || (f->dir = open(f->path, O_RDONLY | O_DIRECTORY)) < 0)
		return -1;
	*state = f;
	return journal_open(&f->j, f->dir, SIZE) != 0 || journal_begin(&f->j) != 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	journal_close(&f->j);
	unlinkat(f->dir, "a", 0);
	unlinkat(f->dir, "b", 0);
	close(f->dir);
	rmdir(f->path);
	free(f);
	return 0;
}

/* A record says its number and is filled with it; its length follows from it, too. */
static size_t make(uint8_t *out, unsigned n)
{
	size_t len = 4 + n * 37 % 700;

	memset(out, (int)(n & 0xff), len);
	memcpy(out, &n, 4);
	return len;
}

static int add(struct journal *j, unsigned n)
{
	uint8_t data[1024];
	size_t len = make(data, n);
	const struct iovec v[2] = { { data, len / 2 }, { data + len / 2, len - len / 2 } };
	const uint8_t *p = journal_add(j, v, 2);

	if (p == NULL)
		return -1;
	assert_memory_equal(p, data, len);
	return 0;
}

static int take(void *ctx, const uint8_t *payload, size_t len)
{
	struct fixture *f = ctx;
	uint8_t data[1024];
	unsigned n;

	assert_true(len >= 4);
	memcpy(&n, payload, 4);
	if (f->count == 0)
		f->expect = n;
	assert_int_equal(n, f->expect);
	assert_int_equal(len, make(data, n));
	assert_memory_equal(payload, data, len);
	f->expect++;
	f->count++;
	return 0;
}

static int count_only(void *ctx, const uint8_t *payload, size_t len)
{
	struct fixture *f = ctx;

	(void)payload;
	f->count += len != 0;
	return 0;
}

/* As after a crash: another process opens what is on disk. Returns how many records came; they were in order, and whole. */
static unsigned replay(struct fixture *f)
{
	uint64_t records;

	journal_close(&f->j);
	assert_int_equal(journal_open(&f->j, f->dir, SIZE), 0);
	f->count = 0;
	assert_int_equal(journal_replay(&f->j, take, f, &records), 0);
	assert_int_equal(records, f->count);
	return f->count;
}

static void what_is_synced_comes_back(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < 100; n++) {
		assert_int_equal(add(&f->j, n), 0);
		if (n % 7 == 6)
			assert_int_equal(journal_sync(&f->j), 0);
	}
	/* 98 are synced, two are only in memory */
	assert_int_equal(replay(f), 98);
	assert_int_equal(f->expect, 98);
	assert_true(f->j.lost == 0);
}

static void one_sync_a_group(void **state)
{
	struct fixture *f = *state;
	unsigned before;

	add(&f->j, 0);
	assert_int_equal(journal_sync(&f->j), 0);
	before = fault.syncs;
	for (unsigned n = 1; n < 50; n++)
		assert_int_equal(add(&f->j, n), 0);
	assert_int_equal(journal_sync(&f->j), 0);
	assert_int_equal(fault.syncs, before + 1);
	assert_int_equal(journal_sync(&f->j), 0);
	assert_int_equal(fault.syncs, before + 1);
}

static void files_alternate(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0, turns = 0;

	/* over four files' worth */
	while (turns < 4) {
		if (journal_left(&f->j) < 64 << 10) {
			assert_int_equal(journal_sync(&f->j), 0);
			assert_int_equal(journal_turn(&f->j), 0);
			turns++;
		}
		assert_int_equal(add(&f->j, n++), 0);
		if (n % 50 == 0)
			assert_int_equal(journal_sync(&f->j), 0);
	}
	assert_int_equal(journal_sync(&f->j), 0);
	/* two files come back: the last two generations, without a gap, up to the end */
	assert_true(replay(f) > 1000);
	assert_int_equal(f->expect, n);
	assert_true(f->j.lost == 0);
}

static void turned_but_not_begun(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < 10; n++)
		add(&f->j, n);
	assert_int_equal(journal_sync(&f->j), 0);
	assert_int_equal(journal_turn(&f->j), 0);
	/* power cut before the first group of the new file */
	assert_int_equal(replay(f), 10);
	assert_int_equal(journal_begin(&f->j), 0);
	assert_int_equal(replay(f), 0);
}

static void begin_forgets(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < 10; n++)
		add(&f->j, n);
	assert_int_equal(journal_sync(&f->j), 0);
	assert_int_equal(replay(f), 10);
	assert_int_equal(journal_begin(&f->j), 0);
	for (unsigned n = 70; n < 73; n++)
		add(&f->j, n);
	assert_int_equal(journal_sync(&f->j), 0);
	assert_int_equal(replay(f), 3);
	assert_int_equal(f->expect, 73);
}

/* The last group is cut at every byte: what lies after the cut are the zeros, or the older bytes, that were there before. */
static void torn_at_every_byte(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	uint8_t *whole, *old;
	off_t from;
	unsigned before;
	int fd;

	for (unsigned n = 0; n < 5; n++)
		add(&f->j, n);
	assert_int_equal(journal_sync(&f->j), 0);
	from = (off_t)f->j.pos;
	fd = f->j.fd[f->j.cur];
	assert_int_equal(fstat(fd, &st), 0);
	old = malloc(3 * JOURNAL_BLOCK);
	whole = malloc(3 * JOURNAL_BLOCK);
	assert_int_equal(pread(fd, old, 3 * JOURNAL_BLOCK, from), 3 * JOURNAL_BLOCK);
	for (unsigned n = 5; n < 9; n++)
		add(&f->j, n);
	assert_int_equal(journal_sync(&f->j), 0);
	assert_int_equal(pread(fd, whole, 3 * JOURNAL_BLOCK, from), 3 * JOURNAL_BLOCK);
	before = 5;
	for (size_t cut = 0; cut < 2200; cut++) {
		unsigned got;

		fd = f->j.fd[f->j.cur];
		assert_int_equal(__real_pwrite(fd, old, 3 * JOURNAL_BLOCK, from), 3 * JOURNAL_BLOCK);
		assert_int_equal(__real_pwrite(fd, whole, cut, from), (ssize_t)cut);
		got = replay(f);
		assert_true(got >= before && got <= 9);
		before = got;
	}
	assert_int_equal(before, 9);
	free(whole);
	free(old);
}

/* Sectors may reach the disk in any order: the first is missing, the later ones are there. */
static void later_blocks_without_the_first(void **state)
{
	static const uint8_t zeros[JOURNAL_BLOCK];
	struct fixture *f = *state;
	off_t from;

	add(&f->j, 0);
	assert_int_equal(journal_sync(&f->j), 0);
	from = (off_t)f->j.pos;
	for (unsigned n = 1; n < 60; n++)
		add(&f->j, n);
	assert_int_equal(journal_sync(&f->j), 0);
	assert_int_equal(__real_pwrite(f->j.fd[f->j.cur], zeros, sizeof(zeros), from), sizeof(zeros));
	assert_int_equal(replay(f), 1);
}

static void a_hole_between_files_is_told(void **state)
{
	static const uint8_t zeros[JOURNAL_BLOCK];
	struct fixture *f = *state;
	unsigned first;

	for (unsigned n = 0; n < 3; n++) {
		add(&f->j, n);
		assert_int_equal(journal_sync(&f->j), 0);
	}
	first = f->j.cur;
	assert_int_equal(journal_turn(&f->j), 0);
	add(&f->j, 3);
	assert_int_equal(journal_sync(&f->j), 0);
	/* the disk loses the second group of the first file */
	assert_int_equal(__real_pwrite(f->j.fd[first], zeros, sizeof(zeros), 2 * JOURNAL_BLOCK), sizeof(zeros));
	journal_close(&f->j);
	assert_int_equal(journal_open(&f->j, f->dir, SIZE), 0);
	assert_int_equal(journal_replay(&f->j, count_only, f, NULL), 0);
	assert_int_equal(f->count, 2);
	assert_true(f->j.lost == 2);
}

static void short_writes_and_signals(void **state)
{
	struct fixture *f = *state;

	fault.most = 100;
	fault.eintr = 3;
	for (unsigned n = 0; n < 20; n++)
		add(&f->j, n);
	assert_int_equal(journal_sync(&f->j), 0);
	assert_true(fault.writes > 50);
	fault.most = 0;
	assert_int_equal(replay(f), 20);
}

/* A write that fails after any number of bytes: the group is not acknowledged, the journal takes nothing more, what was there stays. */
static void a_failed_write_is_the_end(void **state)
{
	static const int errors[] = { ENOSPC, EIO };

	for (size_t k = 0; k < 2; k++)
		for (size_t left = 0; left < 4096; left += 511) {
			struct fixture *f = *state;

			assert_int_equal(journal_begin(&f->j), 0);
			add(&f->j, 0);
			assert_int_equal(journal_sync(&f->j), 0);
			add(&f->j, 1);
			add(&f->j, 2);
			fault.limited = true;
			fault.left = left;
			fault.error = errors[k];
			assert_int_equal(journal_sync(&f->j), -1);
			assert_int_equal(errno, errors[k]);
			fault.limited = false;
			assert_int_equal(add(&f->j, 3), -1);
			assert_int_equal(errno, EIO);
			assert_int_equal(journal_sync(&f->j), -1);
			assert_int_equal(journal_turn(&f->j), -1);
			assert_true(replay(f) >= 1);
		}
}

/* A sync that failed once is never asked again: the kernel may have dropped the pages and would say yes. */
static void a_failed_sync_is_the_end(void **state)
{
	struct fixture *f = *state;
	unsigned syncs;

	add(&f->j, 0);
	fault.sync_fails = true;
	assert_int_equal(journal_sync(&f->j), -1);
	fault.sync_fails = false;
	syncs = fault.syncs;
	assert_int_equal(journal_sync(&f->j), -1);
	assert_int_equal(fault.syncs, syncs);
	assert_int_equal(add(&f->j, 1), -1);
}

static void limits_are_said(void **state)
{
	static uint8_t big[JOURNAL_RECORD_MAX + 1];
	const struct iovec none = { big, 0 }, max = { big, JOURNAL_RECORD_MAX }, over = { big, JOURNAL_RECORD_MAX + 1 };
	struct fixture *f = *state;
	struct journal other;
	unsigned n = 0;

	assert_null(journal_add(&f->j, &none, 1));
	assert_null(journal_add(&f->j, &over, 1));
	assert_int_equal(errno, EINVAL);
	while (journal_add(&f->j, &max, 1) != NULL)
		n++;
	assert_int_equal(errno, ENOBUFS);
	assert_true(n >= 14 && journal_group_full(&f->j));
	assert_int_equal(journal_turn(&f->j), -1);
	assert_int_equal(journal_sync(&f->j), 0);
	while (journal_add(&f->j, &max, 1) != NULL)
		;
	assert_true(errno == ENOSPC || errno == ENOBUFS);
	/* a second collector on the same store */
	assert_int_equal(journal_open(&other, f->dir, SIZE), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	assert_int_equal(journal_open(&other, f->dir, SIZE + 1), -1);
	assert_int_equal(errno, EINVAL);
}

/* No single byte of a synced record can change and still come back. */
static void rot_is_not_believed(void **state)
{
	struct fixture *f = *state;
	off_t from = JOURNAL_BLOCK;
	uint8_t byte;

	for (unsigned n = 0; n < 3; n++)
		add(&f->j, n);
	assert_int_equal(journal_sync(&f->j), 0);
	for (off_t i = 0; i < 24 + 4; i++) {
		int fd = f->j.fd[f->j.cur];

		assert_int_equal(pread(fd, &byte, 1, from + i), 1);
		byte ^= 0x10;
		assert_int_equal(__real_pwrite(fd, &byte, 1, from + i), 1);
		assert_int_equal(replay(f), 0);
		byte ^= 0x10;
		assert_int_equal(__real_pwrite(f->j.fd[f->j.cur], &byte, 1, from + i), 1);
		assert_int_equal(replay(f), 3);
	}
}

/* A turn of an empty file is none: the records of both files still follow one another. */
static void an_empty_file_is_not_turned(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < 3; n++) {
		assert_int_equal(add(&f->j, n), 0);
		assert_int_equal(journal_sync(&f->j), 0);
		assert_int_equal(journal_turn(&f->j), 0);
		assert_int_equal(journal_turn(&f->j), 0);
	}
	assert_int_equal(add(&f->j, 3), 0);
	assert_int_equal(journal_sync(&f->j), 0);
	f->expect = 2; /* what came before is where it was written over */
	assert_int_equal(journal_replay(&f->j, take, f, NULL), 0);
	assert_int_equal(f->expect, 4);
	assert_int_equal(f->j.lost, 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_synced_comes_back), T(one_sync_a_group), T(files_alternate), T(turned_but_not_begun), T(begin_forgets),
		T(torn_at_every_byte), T(later_blocks_without_the_first), T(a_hole_between_files_is_told), T(short_writes_and_signals),
		T(a_failed_write_is_the_end), T(a_failed_sync_is_the_end), T(limits_are_said), T(rot_is_not_believed),
		T(an_empty_file_is_not_turned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
