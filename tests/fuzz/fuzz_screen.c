/*
 * fuzz_screen.c - a hostile recording on the auditor's screen: nothing crashes, and only the
 * allowed grammar comes out.
 *
 * Input: bytes as a target sent them; 0xff C R resizes to C by R, so that sizes change in the
 * middle of everything.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/screen_grammar.h"
#include "screen.h"
#include "screen_view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(void *ctx, const char *text, size_t len, bool alternate)
{
	(void)ctx;
	(void)alternate;
	if (grammar_check(text, len) != len || memchr(text, 0x1b, len) != NULL)
		abort();
}

static void draw(struct view *v, const struct screen *s)
{
	struct buf out;

	buf_init(&out, VIEW_OUT_MAX);
	view_begin(v);
	view_screen(v, s, v->rows - 1);
	if (view_end(v, &out) != 0 || grammar_check(out.data, out.len) != out.len)
		abort();
	buf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct screen *s = screen_create(20, 6, check_line, NULL);
	struct view v;

	if (s == NULL || view_init(&v, 16, 6) != 0)
		abort();
	for (size_t i = 0, start = 0; i <= size; i++) {
		if (i < size && data[i] != 0xff)
			continue;
		screen_feed(s, data + start, i - start);
		draw(&v, s);
		if (i + 2 < size)
			screen_resize(s, data[i + 1] % 64U, data[i + 2] % 32U);
		i += 2;
		start = i + 1;
		if (start > size)
			break;
	}
	draw(&v, s);
	screen_lines(s);
	view_finish(&v);
	screen_destroy(s);
	return 0;
}
