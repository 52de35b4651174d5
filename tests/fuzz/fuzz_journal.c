/*
 * fuzz_journal.c - replay of a journal file with any contents. The input is the file's first bytes; what comes back must be a record
 * that the format allows, and after journal_begin nothing may come back.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take(void *ctx, const uint8_t *payload, size_t len)
{
	uint64_t *sum = ctx;

	if (len == 0 || len > JOURNAL_RECORD_MAX)
		abort();
	*sum += crc32c(0, payload, len);
	return 0;
}

static char path[] = "/dev/shm/fuzz_journal.XXXXXX";	/* memory: a flush of a disk for each input is slow */
static int dir = -1;

static void clean(void)
{
	unlinkat(dir, "a", 0);
	unlinkat(dir, "b", 0);
	rmdir(path);
}

/* One directory for all runs: a run overwrites what the one before left. */
static void make_directory(void)
{
	if (mkdtemp(path) == NULL || (dir = open(path, O_RDONLY | O_DIRECTORY)) < 0 || atexit(clean) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t sum = 0, n = 0;
	struct journal j;

	if (dir < 0)
		make_directory();
	if (journal_open(&j, dir, JOURNAL_SIZE_MIN) != 0)
		abort();
	if (pwrite(j.fd[0], data, size < JOURNAL_SIZE_MIN ? size : JOURNAL_SIZE_MIN, 0) < 0)
		abort();
	if (journal_replay(&j, take, &sum, &n) != 0 || journal_begin(&j) != 0)
		abort();
	if (journal_replay(&j, take, &sum, &n) != 0 || n != 0)
		abort();
	journal_close(&j);
	return 0;
}
