/*
 * fuzz_escape.c - whatever comes in, what is shown is whole, printable UTF-8 without controls, in the room that was given.
 * The first byte is the room.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

static void check_clean(const char *s)
{
	for (const uint8_t *p = (const uint8_t *)s; *p != 0;) {
		int more = *p < 0x80 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;

		must(*p >= 0x20 && *p != 0x7f && (*p < 0x80 || *p >= 0xc2) && *p < 0xf5);
		must(*p != 0xc2 || p[1] >= 0xa0);
		for (p++; more > 0; more--, p++)
			must((*p & 0xc0) == 0x80);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static size_t (*const fns[])(char *out, size_t size, const void *in, size_t len) = { esc_text, esc_quoted, esc_line };

	if (size == 0)
		return 0;
	for (size_t f = 0; f < 3; f++) {
		const size_t rooms[] = { (size_t)data[0] + 1, 4 * size + 7 };

		for (size_t i = 0; i < 2; i++) {
			char *out = malloc(rooms[i]);
			size_t n;

			must(out != NULL);
			n = fns[f](out, rooms[i], data + 1, size - 1);
			must(n < rooms[i] && strlen(out) == n);
			check_clean(out);
			free(out);
		}
	}
	return 0;
}
