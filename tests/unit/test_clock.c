/*
 * test_clock.c - times as text and back, durations, the two clocks.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "clock.h"

static void test_format_parse(void **state)
{
	static const struct { int64_t t; const char *text; } cases[] = {
		{ 0, "1970-01-01T00:00:00Z" }, { 951782400, "2000-02-29T00:00:00Z" }, { 1795378500, "2026-11-22T20:15:00Z" },
		{ 4102444799, "2099-12-31T23:59:59Z" }, { 253402300799, "9999-12-31T23:59:59Z" }, { -1, "1969-12-31T23:59:59Z" },
	};
	static const char *const bad[] = { "", "now", "2026", "2026-11", "2026-11-22T", "2026-11-22T20:15", "2026-11-22T20:15:00",
		"2026-11-22T20:15:00Zx", "2026-13-01", "2026-11-22 20:15Z", "22.11.2026", "2026-11-22T25:00Z", "2027-02-29",
		"2027-02-30", "2027-04-31T10:00Z", "2027-01-31T10:00:60Z", "2027-00-10", "2027-01-00" };
	char out[32];
	int64_t t;

	(void)state;
	/* whatever the machine's own zone is */
	setenv("TZ", "Pacific/Auckland", 1);
	tzset();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(clock_format(out, sizeof(out), cases[i].t), cases[i].text);
		assert_int_equal(clock_parse(cases[i].text, &t), 0);
		assert_int_equal(t, cases[i].t);
	}
	assert_int_equal(clock_parse("2026-11-22", &t), 0);
	assert_int_equal(t, 1795305600);
	assert_int_equal(clock_parse("2026-11-22T20:15Z", &t), 0);
	assert_int_equal(t, 1795378500);
	assert_int_equal(clock_parse("2028-02-29", &t), 0);
	assert_int_equal(t, 1835395200);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (clock_parse(bad[i], &t) != -1)
			fail_msg("'%s' was taken", bad[i]);
	assert_string_equal(clock_format(out, 5, 0), "?");
	assert_string_equal(clock_format(out, sizeof(out), INT64_MAX), "?");
}

static void test_durations(void **state)
{
	static const struct { const char *text; uint32_t s; } good[] = {
		{ "1s", 1 }, { "90s", 90 }, { "30m", 1800 }, { "2h", 7200 }, { "7d", 604800 }, { "1w", 604800 }, { "1h30m", 5400 },
		{ "1d2h3m4s", 93784 }, { "3660d", 316224000 }, { "0h1s", 1 },
	};
	static const char *const bad[] = { "", "0s", "s", "5", "5x", "1h30", "-1h", "+1h", "1 h", "1H", "3661d", "9999999999s",
		"99999999999999999999h", "1.5h", "999999999w" };
	static const struct { uint64_t s; const char *text; } shown[] = {
		{ 0, "0s" }, { 1, "1s" }, { 59, "59s" }, { 60, "1m" }, { 61, "1m1s" }, { 3600, "1h" }, { 3601, "1h" }, { 5400, "1h30m" },
		{ 86400, "1d" }, { 90000, "1d1h" }, { 604800, "7d" }, { 93784, "1d2h" },
	};
	uint32_t s;
	char out[32];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(duration_parse(good[i].text, &s), 0);
		assert_int_equal(s, good[i].s);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (duration_parse(bad[i], &s) != -1)
			fail_msg("'%s' was taken", bad[i]);
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		assert_string_equal(duration_format(out, sizeof(out), shown[i].s), shown[i].text);
	duration_format(out, 16, UINT64_MAX);
	assert_true(strlen(out) < 16);
}

static void test_clocks(void **state)
{
	uint64_t a = clock_mono_us(), b = clock_mono_us();

	(void)state;
	assert_true(b >= a);
	assert_true(clock_mono_ms() >= a / 1000);
	assert_true(clock_wall() >= 1700000000);
	assert_true(clock_wall_us() / 1000000 - clock_wall() <= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format_parse), cmocka_unit_test(test_durations), cmocka_unit_test(test_clocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
