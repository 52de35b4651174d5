/*
 * replay_search_typed.c - see replay_search.h: keys as lines, edited as a terminal in cooked mode, or
 * readline, would.
 *
 * Only for searching: what a program made of the keys is on its screen, and `export --json` has every
 * byte.
 */
#include "replay_search.h"

#include <string.h>

enum { PLAIN, ESCAPE, CSI, SS3 };
enum { CTRL_C = 3, CTRL_D = 4, BACKSPACE = 8, CTRL_U = 21, CTRL_W = 23, ESC = 27, DEL = 127 };

static void flush(struct typed *t, typed_fn *fn, void *ctx)
{
	if (t->len > 0)
		fn(ctx, t->line, t->len);
	t->len = t->kept = 0;
}

/* One code point less. */
static void erase(struct typed *t)
{
	while (t->len > t->kept && ((uint8_t)t->line[--t->len] & 0xc0) == 0x80)
		;
}

/* What is given up was typed all the same: the line is said before the word goes. */
static void erase_word(struct typed *t, typed_fn *fn, void *ctx)
{
	size_t keep = t->len;

	while (keep > 0 && t->line[keep - 1] == ' ')
		keep--;
	while (keep > 0 && t->line[keep - 1] != ' ')
		keep--;
	const size_t mark = t->kept;

	keep = keep < mark ? mark : keep;
	flush(t, fn, ctx);
	t->len = keep;
	t->kept = mark;
}

static void plain_key(struct typed *t, char c, typed_fn *fn, void *ctx)
{
	switch (c) {
	case '\r': case '\n': case CTRL_C: case CTRL_D: case CTRL_U: flush(t, fn, ctx); break;
	case BACKSPACE: case DEL: erase(t); break;
	case CTRL_W: erase_word(t, fn, ctx); break;
	case ESC: t->state = ESCAPE; break;
	default:
		if (t->len == sizeof(t->line))
			flush(t, fn, ctx);
		t->line[t->len++] = c;
		break;
	}
}

void typed_feed(struct typed *t, const void *data, size_t len, typed_fn *fn, void *ctx)
{
	const char *p = data;

	for (size_t i = 0; i < len; i++) {
		const uint8_t c = (uint8_t)p[i];

		/* a return ends every sequence: nothing typed after it may be lost in one */
		if (t->state == PLAIN || c == '\r' || c == '\n') {
			t->state = PLAIN;
			plain_key(t, p[i], fn, ctx);
		} else if (t->state == ESCAPE)
			t->state = c == '[' ? CSI : c == 'O' ? SS3 : c == ESC ? ESCAPE : PLAIN;
		else if (t->state == SS3 || (c >= 0x40 && c <= 0x7e))
			t->state = PLAIN;
	}
}

void typed_mark(struct typed *t, const char *mark, typed_fn *fn, void *ctx)
{
	const size_t n = strlen(mark);

	if (t->len + n > sizeof(t->line))
		flush(t, fn, ctx);
	memcpy(t->line + t->len, mark, n);
	t->len += n;
	t->kept = t->len;
	t->state = PLAIN;
}

void typed_end(struct typed *t, typed_fn *fn, void *ctx)
{
	flush(t, fn, ctx);
	t->state = PLAIN;
}
