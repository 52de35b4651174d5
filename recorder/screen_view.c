/*
 * screen_view.c - see screen_view.h. Before it: screen.c. After it: the auditor's terminal.
 */
#include "screen_view.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "screen_filter.h"

static unsigned clamp(unsigned v, unsigned min, unsigned max)
{
	return v < min ? min : v > max ? max : v;
}

static const struct cell blank = { .width = 1 };

int view_resize(struct view *v, unsigned cols, unsigned rows)
{
	struct cell *want, *shown;

	cols = clamp(cols, SCREEN_COLS_MIN, SCREEN_COLS_MAX);
	rows = clamp(rows, SCREEN_ROWS_MIN, SCREEN_ROWS_MAX);
	want = calloc((size_t)cols * rows, sizeof(*want));
	shown = calloc((size_t)cols * rows, sizeof(*shown));
	if (want == NULL || shown == NULL) {
		free(want);
		free(shown);
		return -1;
	}
	free(v->want);
	free(v->shown);
	v->want = want;
	v->shown = shown;
	v->cols = cols;
	v->rows = rows;
	v->valid = false;
	return 0;
}

int view_init(struct view *v, unsigned cols, unsigned rows)
{
	memset(v, 0, sizeof(*v));
	v->follow = v->utf8 = v->colour = v->rgb = true;
	return view_resize(v, cols, rows);
}

void view_finish(struct view *v)
{
	free(v->want);
	free(v->shown);
	v->want = v->shown = NULL;
}

void view_begin(struct view *v)
{
	for (size_t i = 0; i < (size_t)v->cols * v->rows; i++)
		v->want[i] = blank;
	v->cursor = (struct cursor){ 0, 0, false };
}

/* ---- the picture ---- */

static void put_cell(struct view *v, unsigned row, unsigned col, const struct cell *c)
{
	if (row < v->rows && col < v->cols)
		v->want[(size_t)row * v->cols + col] = *c;
}

/* First cell to show of `all`, so that `at` is among the `room` shown; moves only as it must. */
static unsigned window(unsigned first, unsigned all, unsigned room, unsigned at, bool follow)
{
	if (all <= room)
		return 0;
	if (follow && at < first)
		first = at;
	if (follow && at >= first + room)
		first = at - room + 1;
	return first > all - room ? all - room : first;
}

static void edge(struct view *v, unsigned rows, unsigned srows, unsigned scols)
{
	struct cell c = { .ch = { 0x2502 }, .width = 1, .attr = CELL_DIM };

	for (unsigned r = 0; r < rows && r < srows; r++)
		put_cell(v, r, scols, &c);
	c.ch[0] = 0x2500;
	for (unsigned i = 0; srows < rows && i < scols && i < v->cols; i++)
		put_cell(v, srows, i, &c);
	c.ch[0] = 0x2518;
	if (srows < rows)
		put_cell(v, srows, scols, &c);
}

void view_screen(struct view *v, const struct screen *s, unsigned rows)
{
	const unsigned srows = screen_rows(s), scols = screen_cols(s);
	struct cursor at = screen_cursor(s);
	struct cell c;

	rows = rows > v->rows ? v->rows : rows;
	v->top = window(v->top, srows, rows, v->focused ? v->focus_row : at.row, v->follow || v->focused);
	v->left = window(v->left, scols, v->cols, v->focused ? v->focus_col : at.col, v->follow || v->focused);
	for (unsigned r = 0; r < rows && v->top + r < srows; r++)
		for (unsigned i = 0; i < v->cols && v->left + i < scols; i++) {
			screen_cell(s, v->top + r, v->left + i, &c);
			/* half of a wide character at the window's edge is not shown */
			if ((c.width == 0 && i == 0) || (c.width == 2 && i + 1 == v->cols)) {
				memset(c.ch, 0, sizeof(c.ch));
				c.width = 1;
			}
			put_cell(v, r, i, &c);
		}
	edge(v, rows, srows, scols);
	if (at.visible && at.row >= v->top && at.row - v->top < rows && at.col >= v->left &&
	    at.col - v->left < v->cols)
		v->cursor = (struct cursor){ at.row - v->top, at.col - v->left, true };
}

/* The code point at *p, which moves on; '?' for what is broken. */
static uint32_t next_code_point(const char **p)
{
	const unsigned char *s = (const unsigned char *)*p;
	unsigned n = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	uint32_t cp = n == 0 ? '?' : n == 1 ? s[0] : s[0] & (0xffU >> (n + 1));
	unsigned i = 1;

	for (; i < n && (s[i] & 0xc0) == 0x80; i++)
		cp = cp << 6 | (s[i] & 0x3f);
	*p += i;
	return i < n ? '?' : cp;
}

unsigned view_text(struct view *v, unsigned row, unsigned col, unsigned attr, const char *text)
{
	while (*text != '\0' && col < v->cols) {
		struct cell c = { .width = 1, .attr = (uint8_t)attr };

		c.ch[0] = next_code_point(&text);
		put_cell(v, row, col++, &c);
	}
	return col;
}

static void mark_cell(const struct view *v, struct cell *c)
{
	static const struct colour black = { .kind = COLOUR_INDEX, .r = 0 }, yellow = { .kind = COLOUR_INDEX, .r = 3 };

	if (!v->colour) {
		c->attr ^= CELL_REVERSE;
		return;
	}
	c->attr = (uint8_t)((c->attr & ~(CELL_REVERSE | CELL_DIM)) | CELL_BOLD);
	c->fg = black;
	c->bg = yellow;
}

void view_mark(struct view *v, unsigned rows, view_find_fn *fn, void *ctx)
{
	char text[SCREEN_COLS_MAX * CELL_CHARS * 4];
	size_t end[SCREEN_COLS_MAX];	/* of each column's text */

	for (unsigned r = 0; r < rows && r < v->rows; r++) {
		struct cell *row = v->want + (size_t)r * v->cols;
		const char *from = text, *at;
		size_t n = 0, found;

		for (unsigned i = 0; i < v->cols; i++) {
			if (row[i].width != 0 && row[i].ch[0] == 0)
				text[n++] = ' ';
			for (int k = 0; row[i].width != 0 && k < CELL_CHARS && row[i].ch[k] != 0; k++)
				n += filter_encode(text + n, row[i].ch[k]);
			end[i] = n;
		}
		while ((at = fn(ctx, from, n - (size_t)(from - text), &found)) != NULL && found > 0) {
			const size_t first = (size_t)(at - text);

			for (unsigned i = 0; i < v->cols; i++)
				if (end[i] > first && (i == 0 ? 0 : end[i - 1]) < first + found)
					mark_cell(v, &row[i]);
			from = at + found;
		}
	}
}

/* ---- and the way to it ---- */

struct pen {
	struct buf *out;
	unsigned row, col;	/* where the terminal's cursor is, if known */
	bool known;
	uint8_t attr;
	struct colour fg, bg;
	bool set;		/* attr, fg and bg are what the terminal has */
};

static bool same_colour(struct colour a, struct colour b)
{
	return a.kind == b.kind && a.r == b.r && a.g == b.g && a.b == b.b;
}

static bool same_cell(const struct cell *a, const struct cell *b)
{
	return a->width == b->width && a->attr == b->attr && same_colour(a->fg, b->fg) &&
	    same_colour(a->bg, b->bg) && memcmp(a->ch, b->ch, sizeof(a->ch)) == 0;
}

static void put_format(struct buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put_format(struct buf *out, const char *fmt, ...)
{
	char tmp[48];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(tmp, sizeof(tmp), fmt, ap);
	va_end(ap);
	buf_put(out, tmp, (size_t)n);
}

static void move_to(struct pen *p, unsigned row, unsigned col)
{
	if (!p->known || p->row != row || p->col != col)
		put_format(p->out, "\033[%u;%uH", row + 1, col + 1);
	p->row = row;
	p->col = col;
	p->known = true;
}

/* The nearest of the 6 by 6 by 6 colours, for terminals that have 256. */
static unsigned cube(struct colour c)
{
	return 16 + 36 * ((c.r + 25U) / 51) + 6 * ((c.g + 25U) / 51) + (c.b + 25U) / 51;
}

static void put_colour(const struct view *v, struct buf *out, struct colour c, unsigned base)
{
	if (c.kind == COLOUR_DEFAULT || !v->colour)
		return;
	if (c.kind == COLOUR_INDEX && c.r < 8)
		put_format(out, ";%u", base + c.r);
	else if (c.kind == COLOUR_INDEX && c.r < 16)
		put_format(out, ";%u", base + 60 + c.r - 8);
	else if (c.kind == COLOUR_INDEX || !v->rgb)
		put_format(out, ";%u;5;%u", base + 8, c.kind == COLOUR_INDEX ? c.r : cube(c));
	else
		put_format(out, ";%u;2;%u;%u;%u", base + 8, c.r, c.g, c.b);
}

static void set_pen(const struct view *v, struct pen *p, const struct cell *c)
{
	static const struct {
		uint8_t attr;
		const char *sgr;
	} names[] = {
		{ CELL_BOLD, ";1" }, { CELL_DIM, ";2" }, { CELL_ITALIC, ";3" },
		{ CELL_UNDERLINE, ";4" }, { CELL_BLINK, ";5" }, { CELL_REVERSE, ";7" },
		{ CELL_STRIKE, ";9" },
	};

	if (p->set && p->attr == c->attr && same_colour(p->fg, c->fg) && same_colour(p->bg, c->bg))
		return;
	buf_put(p->out, "\033[0", 3);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (c->attr & names[i].attr)
			buf_put(p->out, names[i].sgr, 2);
	put_colour(v, p->out, c->fg, 30);
	put_colour(v, p->out, c->bg, 40);
	buf_put_u8(p->out, 'm');
	p->attr = c->attr;
	p->fg = c->fg;
	p->bg = c->bg;
	p->set = true;
}

/* The last line of defence: whatever is in a cell, no control leaves here. */
static uint32_t printable(const struct view *v, uint32_t cp)
{
	if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0xd800 && cp <= 0xdfff) ||
	    cp > 0x10ffff)
		return '?';
	if (cp >= 0x80 && !v->utf8)
		return cp == 0x2502 ? '|' : cp == 0x2500 ? '-' : cp == 0x2518 ? '+' : '?';
	return cp;
}

static void draw_cell(const struct view *v, struct pen *p, unsigned row, unsigned col,
    const struct cell *c)
{
	char utf8[4];

	set_pen(v, p, c);
	if (c->width == 2 && col + 1 < v->cols) {
		/* if the terminal takes it for a narrow one, the cell beside it is at least not old
		 */
		move_to(p, row, col + 1);
		buf_put_u8(p->out, ' ');
		p->known = false;
	}
	move_to(p, row, col);
	if (c->ch[0] == 0 || filter_zero_width(c->ch[0])) {
		buf_put_u8(p->out, ' ');
		p->col++;
		return;
	}
	for (int i = 0; i < CELL_CHARS && c->ch[i] != 0; i++) {
		size_t n = filter_encode(utf8, printable(v, c->ch[i]));

		buf_put(p->out, utf8, n);
	}
	p->col++;
	/* terminals disagree about the width of characters: after one that may be wide, say where
	 * we are */
	if (c->ch[0] >= 0x80)
		p->known = false;
}

int view_end(struct view *v, struct buf *out)
{
	struct pen p = { .out = out };

	buf_put(out, "\033[?25l", 6);
	if (!v->valid)
		buf_put(out, "\033[0m\033[2J", 8);
	for (unsigned r = 0; r < v->rows; r++)
		for (unsigned i = 0; i < v->cols; i++) {
			size_t at = (size_t)r * v->cols + i;
			const struct cell *c = &v->want[at];
			/* the cell under a wide character changes with it */
			bool stale = !same_cell(c, v->valid ? &v->shown[at] : &blank);

			if (c->width == 0)
				continue;
			if (!stale && c->width == 2 && i + 1 < v->cols)
				stale = !v->valid || !same_cell(c + 1, &v->shown[at + 1]);
			if (!stale && v->valid && i > 0 && !same_cell(c - 1, &v->shown[at - 1]))
				stale = (c - 1)->ch[0] >= 0x80 || v->shown[at - 1].ch[0] >= 0x80;
			if (stale)
				draw_cell(v, &p, r, i, c);
		}
	if (v->cursor.visible) {
		move_to(&p, v->cursor.row, v->cursor.col);
		buf_put(out, "\033[?25h", 6);
	}
	v->valid = buf_ok(out);
	struct cell *t = v->shown;
	v->shown = v->want;
	v->want = t;
	return v->valid ? 0 : -1;
}
