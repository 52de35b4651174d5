/*
 * test_replay_store.c - a store of very many recordings: they are listed, and one of them is found by its ID, without a look at the others.
 *
 * WRAP: readdir
 */
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

#include <dirent.h>
#include <errno.h>

#include "replay.h"

#define MANY 1000001U

static unsigned given;	/* names that the directory has yielded */

struct dirent *__wrap_readdir(DIR *d);

struct dirent *__wrap_readdir(DIR *d)
{
	static struct dirent e;

	(void)d;
	errno = 0;
	if (given == MANY)
		return NULL;
	e.d_type = DT_DIR;
	snprintf(e.d_name, sizeof(e.d_name), "%08x%024x", given, given);
	given++;
	return &e;
}

static void very_many_are_no_fault(void **state)
{
	char dir[] = "/tmp/test_replay_store-XXXXXX", path[64], id[40];
	struct recordings all;
	struct recording one;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/recordings", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	given = 0;
	assert_int_equal(store_names(&all, dir), 0);
	assert_true(all.n == MANY);
	recordings_finish(&all);
	snprintf(id, sizeof(id), "%08x%024x", MANY - 1, MANY - 1);
	given = 0;
	assert_int_equal(store_find(&one, dir, id), 0);
	assert_string_equal(one.id, id);
	recording_finish(&one);
	given = 0;
	assert_int_equal(store_find(&one, dir, "000f"), -1);	/* several */
	given = 0;
	assert_int_equal(store_find(&one, dir, "FFFFFFFF"), -1);	/* none */
	given = 0;
	assert_int_equal(store_find(&one, dir, "000F423F"), 0);
	recording_finish(&one);
	rmdir(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(very_many_are_no_fault) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
