/*
 * screen_oracle.h - the same bytes on libvterm's own screen layer: screen.c must show the same cells.
 */
#ifndef TEST_SCREEN_ORACLE_H
#define TEST_SCREEN_ORACLE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vterm.h>

#include "screen.h"
#include "screen_filter.h"

struct oracle {
	VTerm *vt;
	VTermScreen *screen;
	struct filter filter;
	VTermPos saved;
	int cols, rows;
};

static void oracle_put(void *ctx, const char *bytes, size_t len)
{
	vterm_input_write(((struct oracle *)ctx)->vt, bytes, len);
}

static void oracle_hook(void *ctx, enum filter_hook what)
{
	struct oracle *o = ctx;

	if (what == FILTER_SAVED)
		vterm_state_get_cursorpos(vterm_obtain_state(o->vt), &o->saved);
}

static void oracle_init(struct oracle *o, unsigned cols, unsigned rows)
{
	static const struct filter_ops ops = { oracle_put, oracle_hook };

	*o = (struct oracle){ .vt = vterm_new((int)rows, (int)cols), .cols = (int)cols, .rows = (int)rows };
	vterm_set_utf8(o->vt, 1);
	o->screen = vterm_obtain_screen(o->vt);
	vterm_screen_enable_altscreen(o->screen, 1);
	vterm_screen_reset(o->screen, 1);
	filter_init(&o->filter, cols, &ops, o);
}

static void oracle_feed(struct oracle *o, const void *data, size_t len)
{
	filter_feed(&o->filter, data, len);
}

static void oracle_cup(struct oracle *o, VTermPos at, const char *then)
{
	char seq[64];
	int row = at.row < 0 ? 0 : at.row >= o->rows ? o->rows - 1 : at.row;
	int col = at.col < 0 ? 0 : at.col >= o->cols ? o->cols - 1 : at.col;
	int n = snprintf(seq, sizeof(seq), "\033[%d;%dH%s", row + 1, col + 1, then);

	vterm_input_write(o->vt, seq, (size_t)n);
}

/* As screen_resize() does it, and for the same reasons. */
static void oracle_resize(struct oracle *o, unsigned cols, unsigned rows)
{
	VTermState *state = vterm_obtain_state(o->vt);
	VTermPos at;

	if ((int)cols == o->cols && (int)rows == o->rows)
		return;
	vterm_state_get_cursorpos(state, &at);
	vterm_input_write(o->vt, "\033[r", 3);
	oracle_cup(o, at, "");
	o->cols = (int)(o->filter.cols = cols);
	o->rows = (int)rows;
	vterm_set_size(o->vt, (int)rows, (int)cols);
	vterm_state_get_cursorpos(state, &at);
	oracle_cup(o, o->saved, "\0337");
	vterm_state_get_cursorpos(state, &o->saved);
	oracle_cup(o, at, "");
}

static bool oracle_same_colour(const VTermColor *a, bool is_default, struct colour b)
{
	if (is_default)
		return b.kind == COLOUR_DEFAULT;
	if (VTERM_COLOR_IS_INDEXED(a))
		return b.kind == COLOUR_INDEX && b.r == a->indexed.idx;
	return b.kind == COLOUR_RGB && b.r == a->rgb.red && b.g == a->rgb.green && b.b == a->rgb.blue;
}

static bool oracle_same_cell(const VTermScreenCell *a, const struct cell *b)
{
	const unsigned attr = (a->attrs.bold ? CELL_BOLD : 0U) | (a->attrs.underline ? CELL_UNDERLINE : 0U) |
	    (a->attrs.italic ? CELL_ITALIC : 0U) | (a->attrs.blink ? CELL_BLINK : 0U) |
	    (a->attrs.reverse ? CELL_REVERSE : 0U) | (a->attrs.strike ? CELL_STRIKE : 0U);
	const unsigned width = a->chars[0] == (uint32_t)-1 ? 0 : a->width == 2 && a->chars[0] != 0 ? 2 : 1;

	if (b->width != width || b->attr != attr ||
	    !oracle_same_colour(&a->fg, VTERM_COLOR_IS_DEFAULT_FG(&a->fg), b->fg) ||
	    !oracle_same_colour(&a->bg, VTERM_COLOR_IS_DEFAULT_BG(&a->bg), b->bg))
		return false;
	for (int i = 0; width > 0 && i < CELL_CHARS; i++) {
		if (b->ch[i] != a->chars[i])
			return false;
		if (a->chars[i] == 0)
			break;
	}
	return true;
}

/* "", or the first place where they differ. */
static const char *oracle_differs(struct oracle *o, const struct screen *s)
{
	static char where[64];
	struct cursor at = screen_cursor(s);
	VTermScreenCell theirs;
	struct cell ours;
	VTermPos pos;

	vterm_state_get_cursorpos(vterm_obtain_state(o->vt), &pos);
	if (at.row != (unsigned)pos.row || at.col != (unsigned)pos.col)
		return "cursor";
	for (pos.row = 0; pos.row < o->rows; pos.row++)
		for (pos.col = 0; pos.col < o->cols; pos.col++) {
			memset(&theirs, 0, sizeof(theirs));
			vterm_screen_get_cell(o->screen, pos, &theirs);
			screen_cell(s, (unsigned)pos.row, (unsigned)pos.col, &ours);
			snprintf(where, sizeof(where), "cell %d,%d", pos.row, pos.col);
			if (!oracle_same_cell(&theirs, &ours))
				return where;
		}
	return "";
}

static void oracle_finish(struct oracle *o)
{
	vterm_free(o->vt);
}

#endif
