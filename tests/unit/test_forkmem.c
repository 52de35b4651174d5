/*
 * test_forkmem.c - forkmem.h: a fork that maps at once has few faults left, and has no table that was kept out of it.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "forkmem.h"

#define BLOCKS 200		/* of a page each, below malloc's limit for a mapping of its own */

static char *blocks[BLOCKS];

static long faults(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_minflt;
}

/* Page faults of a fork that writes into the whole heap. */
static long faults_of_fork(bool map)
{
	int link[2], status;
	long before, n = -1;
	pid_t pid;

	assert_int_equal(pipe(link), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (map)
			forkmem_map();
		before = faults();
		for (int i = 0; i < BLOCKS; i++)
			blocks[i][0]++;
		n = faults() - before;
		_exit(write(link[1], &n, sizeof(n)) != sizeof(n));
	}
	assert_int_equal(read(link[0], &n, sizeof(n)), sizeof(n));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(link[0]);
	close(link[1]);
	return n;
}

static void test_map(void **state)
{
	static const char *const libraries[] = { "libcmocka", "ld-linux", NULL };

	(void)state;
	for (int i = 0; i < BLOCKS; i++)
		assert_non_null(blocks[i] = calloc(1, 4096));
	/* before it was prepared it does nothing */
	assert_true(faults_of_fork(true) >= BLOCKS / 2);
	forkmem_prepare(libraries);
	assert_true(faults_of_fork(false) >= BLOCKS / 2);
#ifndef __SANITIZE_ADDRESS__ /* whose heap is another */
	assert_true(faults_of_fork(true) <= BLOCKS / 10);
#endif
	/* anew, when other libraries are there */
	forkmem_prepare(libraries);
	assert_true(faults_of_fork(true) <= faults_of_fork(false));
	for (int i = 0; i < BLOCKS; i++)
		free(blocks[i]);
}

static void test_table(void **state)
{
	unsigned char *table = forkmem_table(1000, 100), there;
	int status;
	pid_t pid;

	(void)state;
	assert_non_null(table);
	for (size_t i = 0; i < 1000 * 100; i++)
		assert_int_equal(table[i], 0);
	memset(table, 7, 1000 * 100);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) /* ENOMEM: nothing is mapped there */
		_exit(mincore(table, 1, &there) == 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(table[99999], 7);
	forkmem_table_free(table, 1000, 100);
	forkmem_table_free(NULL, 1000, 100);
	assert_null(forkmem_table(SIZE_MAX / 2, 4));
	assert_null(forkmem_table(4, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_map), cmocka_unit_test(test_table) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
