/*
 * test_zones.c - the time zones alone: what is read of a folder, what is not, and what the table does when it is full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access_zone.h"
#include "clock.h"

static bool named(const char *name)
{
	return zone_name_ok(name, strlen(name));
}

static void names(void **state)
{
	char name[ZONE_NAME_MAX + 2];

	(void)state;
	assert_true(named("UTC") && named("Etc/GMT+5") && named("America/Argentina/Buenos_Aires"));
	assert_false(named("") || named("/UTC") || named("UTC/") || named("a//b") || named("a/b/c/d") || named("../x") || named("a b"));
	assert_false(zone_name_ok("a\0b", 3));
	memset(name, 'x', sizeof(name));
	assert_true(zone_name_ok(name, ZONE_NAME_MAX));
	assert_false(zone_name_ok(name, ZONE_NAME_MAX + 1));
}

/* A folder with zones, and with what is none, beside more zones than the table takes. */
static void what_is_read(void **state)
{
	static const char copy[] = "cp /usr/share/zoneinfo/Etc/UTC UTC && cp /usr/share/zoneinfo/Europe/Berlin Berlin && mkdir posix right && "
				   "cp UTC posix/x && cp UTC right/x && echo text > none && : > empty && ln -s nowhere dangling && ln -s UTC link && "
				   "head -c 70000 /dev/zero > large && cp UTC 'not a name'";
	char dir[] = "/tmp/zones-XXXXXX", command[600], name[32];
	int64_t next, now = clock_wall();
	const struct zone *z;
	int32_t offset;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(command, sizeof(command), "cd %s && %s", dir, copy);
	assert_int_equal(system(command), 0);
	setenv("TZDIR", "/nowhere", 1);
	assert_null(zone_find("Berlin", 6));
	setenv("TZDIR", dir, 1);
	unsetenv("TZ");
	z = zone_find("Berlin", 6);
	assert_non_null(z);
	assert_ptr_equal(zone_find("Berlin", 6), z);
	assert_null(zone_find("Berl", 4));
	assert_null(getenv("TZ"));
	assert_true(zone_offset(z, now, &offset, &next) && (offset == 3600 || offset == 7200) && next > now);
	assert_true(zone_offset(z, next, &offset, &next));
	assert_false(zone_offset(z, now - 4 * 366 * 86400LL, &offset, &next));
	assert_false(zone_offset(z, now + 4 * 366 * 86400LL, &offset, &next));
	assert_true(zone_offset(z, now - 2 * 366 * 86400LL + 3600, &offset, &next));
	assert_true(zone_offset(zone_find("UTC", 3), now, &offset, &next) && offset == 0 && next == INT64_MAX);
	assert_non_null(zone_find("posix/x", 7)); /* asked for by name */
	setenv("TZ", "UTC", 1);
	for (int i = 3; i < ZONES_MAX; i++) {
		snprintf(name, sizeof(name), "%s/z%d", dir, i);
		snprintf(command, sizeof(command), "%s/UTC", dir);
		assert_int_equal(link(command, name), 0);
		if (i > 5)
			assert_non_null(zone_find(name + strlen(dir) + 1, strlen(name) - strlen(dir) - 1));
	}
	assert_true(zones_preload() == ZONES_MAX); /* full: what is there stays, and no more comes */
	assert_string_equal(getenv("TZ"), "UTC");
	assert_null(zone_find("none", 4));
	assert_null(zone_find("large", 5));
	setenv("TZDIR", "/nowhere", 1);
	assert_int_equal(zones_preload(), -1);
	assert_null(zone_find("Paris", 5)); /* sealed */
	assert_ptr_equal(zone_find("Berlin", 6), z);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(names), cmocka_unit_test(what_is_read) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
