/*
 * test_escape.c - foreign bytes: whatever comes in, only printable text comes out, whole, terminated and within its room.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "escape.h"

typedef size_t (*esc_fn)(char *out, size_t size, const void *in, size_t len);

static const char *esc(esc_fn fn, const char *in, size_t len)
{
	static char out[512];
	size_t n = fn(out, sizeof(out), in, len);

	assert_int_equal(n, strlen(out));
	return out;
}

#define TEXT(s) esc(esc_text, s, sizeof(s) - 1)
#define QUOTED(s) esc(esc_quoted, s, sizeof(s) - 1)
#define LINE(s) esc(esc_line, s, sizeof(s) - 1)

static void test_forms(void **state)
{
	(void)state;
	assert_string_equal(TEXT(""), "");
	assert_string_equal(TEXT("plain ~ text"), "plain ~ text");
	assert_string_equal(TEXT("a\nb\tc\rd"), "a\\nb\\tc\\rd");
	assert_string_equal(TEXT("\033[2J\x7f\a"), "\\x1b[2J\\x7f\\x07");
	assert_string_equal(TEXT("nul\0nul"), "nul\\x00nul");
	assert_string_equal(TEXT("back\\slash \"quote\""), "back\\\\slash \"quote\"");
	assert_string_equal(QUOTED("back\\slash \"quote\""), "\"back\\\\slash \\\"quote\\\"\"");
	assert_string_equal(QUOTED(""), "\"\"");
	assert_string_equal(LINE("kept \\n and \"quotes\"\n"), "kept \\n and \"quotes\"\\n");
	/* UTF-8 passes, controls in it do not */
	assert_string_equal(TEXT("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x91"), "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x91");
	assert_string_equal(TEXT("\xc2\x9b""31m"), "\\u{9b}31m");		/* C1 CSI */
	assert_string_equal(TEXT("\xe2\x80\xae""abc"), "\\u{202e}abc");	/* right to left override */
	assert_string_equal(TEXT("a\xe2\x80\x8b"), "a\\u{200b}");		/* zero width */
	assert_string_equal(TEXT("\xef\xbb\xbf"), "\\u{feff}");
	assert_string_equal(TEXT("\xf3\xa0\x80\x81"), "\\u{e0001}");		/* tag */
	/* broken UTF-8, byte for byte */
	assert_string_equal(TEXT("\xff\xfe"), "\\xff\\xfe");
	assert_string_equal(TEXT("\xc3"), "\\xc3");
	assert_string_equal(TEXT("\xc0\xaf"), "\\xc0\\xaf");			/* overlong slash */
	assert_string_equal(TEXT("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");
	assert_string_equal(TEXT("\xed\xa0\x80"), "\\xed\\xa0\\x80");		/* surrogate */
	assert_string_equal(TEXT("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");	/* over 10ffff */
	assert_string_equal(TEXT("\xe2\x82""A"), "\\xe2\\x82A");
	assert_string_equal(TEXT("\x9b""31m"), "\\x9b31m");
}

/* A decoder of our own: is it printable, whole UTF-8? */
static void assert_clean(const char *s)
{
	for (const uint8_t *p = (const uint8_t *)s; *p != 0;) {
		int more = *p < 0x80 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;

		assert_true(*p >= 0x20 && *p != 0x7f && (*p < 0x80 || *p >= 0xc2));
		if (*p == 0xc2)
			assert_true(p[1] >= 0xa0);	/* no C1 */
		for (p++; more > 0; more--, p++)
			assert_true((*p & 0xc0) == 0x80);
	}
}

static void test_every_byte_pair(void **state)
{
	static const esc_fn fns[] = { esc_text, esc_quoted, esc_line };
	char in[2], out[64];

	(void)state;
	for (int i = 0; i < 65536; i++) {
		in[0] = (char)(i >> 8);
		in[1] = (char)i;
		for (size_t f = 0; f < 3; f++) {
			size_t n = fns[f](out, sizeof(out), in, 2);

			assert_int_equal(n, strlen(out));
			assert_true(n <= 4 * 2 + 6);
			assert_clean(out);
		}
	}
}

/* At every size the result fits, is terminated, is a prefix of the whole up to "...", and never half an escape. */
static void test_cut(void **state)
{
	static const char in[] = "ab\033\xe2\x82\xac\xe2\x80\xae\xff\\\"\n longer text \xf0\x9f\x94\x91 end";
	static const esc_fn fns[] = { esc_text, esc_quoted, esc_line };

	(void)state;
	for (size_t f = 0; f < 3; f++) {
		char whole[256];
		size_t all = fns[f](whole, sizeof(whole), in, sizeof(in) - 1);

		for (size_t size = 1; size < all + 8; size++) {
			char *out = malloc(size);	/* exactly, so that the sanitizer watches the end */
			size_t n, body;

			assert_non_null(out);
			n = fns[f](out, size, in, sizeof(in) - 1);
			assert_true(n < size);
			assert_int_equal(strlen(out), n);
			assert_clean(out);
			if (size > all) {
				assert_string_equal(out, whole);
			} else if (n > 0) {
				body = n - 3 - (fns[f] == esc_quoted);
				assert_memory_equal(out + body, "...", 3);
				assert_memory_equal(out, whole, body);
				if (fns[f] == esc_quoted)
					assert_int_equal(out[n - 1], '"');
				/* what was cut off begins a character or an escape: the whole up to here ends no escape midway */
				if (body > 0 && out[body - 1] == '\\' && fns[f] != esc_line)
					assert_true(body > 1 && out[body - 2] == '\\');
			}
			free(out);
		}
	}
}

static void test_worst_growth(void **state)
{
	enum { N = 300 };
	uint8_t in[N];
	char out[4 * N + 7];

	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		memset(in, byte, N);
		assert_true(esc_quoted(out, sizeof(out), in, N) <= 4 * N + 6);
		assert_null(strstr(byte == '.' ? "" : out, "..."));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms), cmocka_unit_test(test_every_byte_pair), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_worst_growth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
