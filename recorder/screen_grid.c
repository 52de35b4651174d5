/*
 * screen_grid.c - see screen_grid.h. Before it: screen.c, called by libvterm.
 */
#include "screen_grid.h"

#include <stdlib.h>
#include <string.h>

#include "screen_filter.h"

static void touch(struct grid *g, struct grid_row *r)
{
	const unsigned at = (unsigned)(r - g->row);

	r->serial = ++g->serial;
	if (at < g->changed_from)
		g->changed_from = at;
	if (at >= g->changed_to)
		g->changed_to = at + 1;
}

void grid_touch_all(struct grid *g)
{
	for (unsigned i = 0; i < g->rows; i++)
		touch(g, &g->row[i]);
}

void grid_switch(struct grid *g, bool alternate)
{
	g->row = g->screen[alternate];
	grid_touch_all(g);
}

bool grid_alternate(const struct grid *g)
{
	return g->row == g->screen[1];
}

/* ---- the pen ---- */

static bool plain(const struct cell *c)
{
	return c->attr == 0 && c->fg.kind == COLOUR_DEFAULT && c->bg.kind == COLOUR_DEFAULT;
}

/* Blanks cells from..to-1 of a row, in the pen's look. */
static void blank_cells(const struct grid *g, struct grid_row *r, unsigned from, unsigned to)
{
	if (plain(&g->pen)) {
		if (to >= r->used) {
			to = r->used;
			r->used = from < to ? from : to;
		}
		if (from < to)
			memset(r->cell + from, 0, (to - from) * sizeof(*r->cell));
		return;
	}
	for (unsigned i = from; i < to; i++)
		r->cell[i] = g->pen;
	if (from < to && to > r->used)
		r->used = to;
}

/* ---- sizes ---- */

/*
 * Room for rows of that size in one screen, beside those that are there; what was there stays, and what is new is blank. Room once
 * made is kept: who drags a window's corner sends sizes by the hundred.
 */
static int make_room(struct grid *g, int which, unsigned cols, unsigned rows)
{
	struct grid_row *row = g->screen[which];

	if (rows > g->room[which]) {
		struct grid_row *more = realloc(row, rows * sizeof(*row));

		if (more == NULL)
			return -1;
		row = more;
		memset(row + g->room[which], 0, (rows - g->room[which]) * sizeof(*row));
		g->screen[which] = row;
		g->room[which] = rows;
	}
	for (unsigned i = 0; i < rows; i++) {
		struct cell *cell = row[i].room >= cols ? row[i].cell : realloc(row[i].cell, cols * sizeof(*cell));

		if (cell == NULL)
			return -1;
		if (row[i].room < cols)
			memset(cell + row[i].room, 0, (cols - row[i].room) * sizeof(*cell));
		row[i].cell = cell;
		row[i].room = row[i].room < cols ? cols : row[i].room;
	}
	return 0;
}

/* Cells from there on are blank, in no colour. */
static void cut(struct grid_row *r, unsigned cols)
{
	if (r->used > cols) {
		memset(r->cell + cols, 0, (r->used - cols) * sizeof(*r->cell));
		r->used = cols;
	}
}

static void fit_rows(struct grid *g, struct grid_row *row, unsigned cols, unsigned rows)
{
	for (unsigned i = rows; i < g->rows; i++)
		cut(&row[i], 0);
	for (unsigned i = 0; i < rows; i++) {
		cut(&row[i], cols);
		blank_cells(g, &row[i], i >= g->rows ? 0 : g->cols, cols);
		row[i].serial = ++g->serial;
	}
}

int grid_resize(struct grid *g, unsigned cols, unsigned rows)
{
	const bool alternate = grid_alternate(g);
	const int r = make_room(g, 0, cols, rows) < 0 || make_room(g, 1, cols, rows) < 0 ? -1 : 0;

	/* the rows may have moved even where it failed */
	g->row = g->screen[alternate];
	if (r < 0)
		return -1;
	fit_rows(g, g->screen[0], cols, rows);
	fit_rows(g, g->screen[1], cols, rows);
	g->cols = cols;
	g->rows = rows;
	g->changed_from = 0;
	g->changed_to = rows;
	return 0;
}

int grid_init(struct grid *g, unsigned cols, unsigned rows)
{
	struct grid new = { .serial = g->serial };

	if (grid_resize(&new, cols, rows) < 0) {
		grid_finish(&new);
		return -1;
	}
	new.row = new.screen[0];
	grid_finish(g);
	*g = new;
	return 0;
}

void grid_finish(struct grid *g)
{
	for (int i = 0; i < 2; i++) {
		for (unsigned k = 0; k < g->room[i]; k++)
			free(g->screen[i][k].cell);
		free(g->screen[i]);
		g->screen[i] = NULL;
		g->room[i] = 0;
	}
	g->row = NULL;
}

/* ---- changes ---- */

void grid_put(struct grid *g, unsigned row, unsigned col, const uint32_t *ch, unsigned width)
{
	struct grid_row *r;
	struct cell *c;

	if (row >= g->rows || col >= g->cols)
		return;
	r = &g->row[row];
	c = &r->cell[col];
	*c = g->pen;
	for (int i = 0; i < CELL_CHARS && ch[i] != 0; i++)
		c->ch[i] = ch[i];
	for (unsigned i = 1; i < width && col + i < g->cols; i++) {
		memset(c[i].ch, 0, sizeof(c[i].ch));
		c[i].ch[0] = GRID_GAP;
	}
	col += width > 0 ? width : 1;
	if (col > r->used)
		r->used = col < g->cols ? col : g->cols;
	touch(g, r);
}

static struct grid_rect clip(const struct grid *g, struct grid_rect r)
{
	r.bottom = r.bottom < g->rows ? r.bottom : g->rows;
	r.right = r.right < g->cols ? r.right : g->cols;
	return r;
}

void grid_erase(struct grid *g, struct grid_rect r)
{
	r = clip(g, r);
	for (unsigned i = r.top; i < r.bottom; i++) {
		blank_cells(g, &g->row[i], r.left, r.right);
		touch(g, &g->row[i]);
	}
}

/* Whole rows: they change places, and no cell is copied. `up` is less than the height either way. */
static void rotate(struct grid *g, struct grid_rect r, int up)
{
	const unsigned height = r.bottom - r.top, n = (unsigned)(up > 0 ? up : -up);
	struct grid_row *at = g->row + r.top, out[SCREEN_ROWS_MAX];

	if (up > 0) {
		memcpy(out, at, n * sizeof(*at));
		memmove(at, at + n, (height - n) * sizeof(*at));
		memcpy(at + height - n, out, n * sizeof(*at));
		at += height - n;
	} else {
		memcpy(out, at + height - n, n * sizeof(*at));
		memmove(at + n, at, (height - n) * sizeof(*at));
		memcpy(at, out, n * sizeof(*at));
	}
	for (unsigned i = 0; i < n; i++) {
		blank_cells(g, &at[i], 0, g->cols);
		touch(g, &at[i]);
	}
	if (r.top < g->changed_from)
		g->changed_from = r.top;
	if (r.bottom > g->changed_to)
		g->changed_to = r.bottom;
}

/* Part of one row's cells, within the row. */
static void shift(struct grid *g, struct grid_row *r, struct grid_rect at, int left)
{
	const unsigned n = (unsigned)(left > 0 ? left : -left), keep = at.right - at.left - n;
	struct cell *c = r->cell + at.left;

	memmove(left > 0 ? c : c + n, left > 0 ? c + n : c, keep * sizeof(*c));
	if (at.right > r->used)
		r->used = at.right;
	blank_cells(g, r, left > 0 ? at.right - n : at.left, left > 0 ? at.right : at.left + n);
	touch(g, r);
}

void grid_scroll(struct grid *g, struct grid_rect r, int up, int left)
{
	const bool whole = r.left == 0 && r.right >= g->cols;

	r = clip(g, r);
	if (r.top >= r.bottom || r.left >= r.right)
		return;
	if ((unsigned)abs(up) >= r.bottom - r.top || (unsigned)abs(left) >= r.right - r.left)
		grid_erase(g, r);
	else if (up != 0 && whole && left == 0)
		rotate(g, r, up);
	else if (up == 0)
		for (unsigned i = r.top; i < r.bottom; i++)
			shift(g, &g->row[i], r, left);
}

/* ---- looks ---- */

void grid_cell(const struct grid *g, unsigned row, unsigned col, struct cell *out)
{
	const struct cell *c;

	if (row >= g->rows || col >= g->cols) {
		*out = (struct cell){ .width = 1 };
		return;
	}
	c = &g->row[row].cell[col];
	*out = *c;
	out->width = 1;
	if (g->reverse)
		out->attr ^= CELL_REVERSE;
	if (c->ch[0] == GRID_GAP) {
		out->ch[0] = 0;
		out->width = 0;
	} else if (c->ch[0] != 0 && col + 1 < g->cols && c[1].ch[0] == GRID_GAP)
		out->width = 2;
}

size_t grid_text(const struct grid_row *r, unsigned cols, char *out)
{
	size_t n = 0, used = 0;

	if (cols > r->used)
		cols = r->used;
	for (const struct cell *c = r->cell; c < r->cell + cols; c++) {
		const uint32_t ch = c->ch[0];

		if (ch > 0x20 && ch < 0x7f && c->ch[1] == 0) {
			out[n++] = (char)ch;
			used = n;
			continue;
		}
		if (ch == GRID_GAP)
			continue;
		/* an accent alone in its cell would join what stands before it */
		if (ch == 0 || filter_zero_width(ch))
			out[n++] = ' ';
		for (int i = 0; i < CELL_CHARS && ch != 0 && c->ch[i] != 0; i++)
			n += filter_encode(out + n, c->ch[i]);
		if (ch != 0 && ch != ' ')
			used = n;
	}
	return used;
}

bool grid_blank(const struct grid_row *r)
{
	for (unsigned i = 0; i < r->used; i++)
		if (r->cell[i].ch[0] != 0)
			return false;
	return true;
}
