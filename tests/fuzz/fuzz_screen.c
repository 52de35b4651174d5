/*
 * fuzz_screen.c - a hostile recording on the auditor's screen: nothing crashes, only the allowed
 * grammar comes out, the cells are those that libvterm's own screen has, and going back to a moment
 * brings back all of it.
 *
 * Input: bytes as a target sent them; 0xff C R resizes to C by R, so that sizes change in the
 * middle of everything.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/screen_grammar.h"
#include "../unit/screen_oracle.h"
#include "screen.h"
#include "screen_view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(void *ctx, const char *text, size_t len, bool alternate, bool full)
{
	(void)ctx;
	(void)alternate;
	(void)full;
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

static unsigned bounded(unsigned v)
{
	return v < SCREEN_COLS_MIN ? SCREEN_COLS_MIN : v;
}

/* Feeds both; in between the screen goes somewhere else and comes back. */
static void feed(struct screen *s, struct oracle *o, const uint8_t *data, size_t len)
{
	struct screen_moment *m;
	size_t bytes;

	if ((m = screen_keep(s, &bytes)) == NULL)
		abort();
	screen_feed(s, data, len);
	screen_resize(s, 7, 3);
	if (screen_back(s, m) != 0)
		abort();
	screen_forget(m);
	screen_feed(s, data, len);
	oracle_feed(o, data, len);
	if (oracle_differs(o, s)[0] != '\0')
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct screen *s = screen_create(20, 6, check_line, NULL);
	struct oracle o;
	struct view v;

	if (s == NULL || view_init(&v, 16, 6) != 0)
		abort();
	oracle_init(&o, 20, 6);
	for (size_t i = 0, start = 0; i <= size; i++) {
		if (i < size && data[i] != 0xff)
			continue;
		feed(s, &o, data + start, i - start);
		draw(&v, s);
		if (i + 2 < size) {
			screen_resize(s, data[i + 1] % 64U, data[i + 2] % 32U);
			oracle_resize(&o, bounded(data[i + 1] % 64U), bounded(data[i + 2] % 32U));
		}
		i += 2;
		start = i + 1;
		if (start > size)
			break;
	}
	draw(&v, s);
	screen_lines(s);
	view_finish(&v);
	oracle_finish(&o);
	screen_destroy(s);
	return 0;
}
