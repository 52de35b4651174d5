/*
 * test_typed_live.c - lines of keys as follow --reveal shows them: whole, bounded, escaped, wherever the events are cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "replay_typed_live.h"

static char said[8][TYPED_LIVE_TEXT];
static unsigned lines;

static void on_line(void *ctx, const char *text)
{
	assert_null(ctx);
	assert_true(lines < 8);
	snprintf(said[lines++], sizeof(said[0]), "%s", text);
}

static void feed(struct typed_live *l, const char *keys, size_t piece)
{
	const size_t len = strlen(keys);

	for (size_t at = 0; at < len; at += piece)
		typed_live_feed(l, (const uint8_t *)keys + at, len - at < piece ? len - at : piece, on_line, NULL);
}

static void test_lines(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 20; piece++) {
		struct typed_live l = { .len = 0 };

		lines = 0;
		feed(&l, "sudo -i\rsecret\x1b[A\r\n\nexit", piece);
		assert_int_equal(lines, 2);
		assert_string_equal(said[0], "[typed] sudo -i");
		assert_string_equal(said[1], "[typed] secret\\x1b[A");
		typed_live_end(&l, on_line, NULL);
		assert_int_equal(lines, 3);
		assert_string_equal(said[2], "[typed] exit");
		typed_live_end(&l, on_line, NULL);
		assert_int_equal(lines, 3);
		for (size_t i = 0; i < sizeof(l.keys); i++)
			assert_int_equal(l.keys[i], 0);
	}
}

/* A line without an end is told in pieces, each of which fits in its worst case. */
static void test_bound(void **state)
{
	struct typed_live l = { .len = 0 };
	char keys[3 * TYPED_LIVE_MAX];

	(void)state;
	lines = 0;
	memset(keys, 0x01, sizeof(keys));
	typed_live_feed(&l, (const uint8_t *)keys, sizeof(keys), on_line, NULL);
	assert_int_equal(lines, 3);
	for (unsigned i = 0; i < lines; i++)
		assert_int_equal(strlen(said[i]), strlen("[typed] ") + 4 * TYPED_LIVE_MAX);
	assert_int_equal(l.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines), cmocka_unit_test(test_bound) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
