/*
 * screen.c - see screen.h. Before it: screen_filter.c. Below it: libvterm's state layer and screen_grid.c. After it:
 * screen_view.c and the text export.
 */
#include "screen.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vterm.h>

#include "screen_arena.h"
#include "screen_filter.h"
#include "screen_grid.h"

#define LINE_MAX_BYTES (SCREEN_COLS_MAX * CELL_CHARS * 4)

struct screen {
	struct arena *arena;	/* holds vt and state */
	screen_line_fn *line;
	void *ctx;
	/* from here on: what changes, and a moment keeps */
	VTerm *vt;
	VTermState *state;
	struct filter filter;
	VTermPos saved;		/* where libvterm would restore the cursor to */
	struct grid grid;
	bool cursor_visible;
	char text[LINE_MAX_BYTES];	/* of the row that was asked for last */
};
#define KEPT_FROM offsetof(struct screen, vt)
#define KEPT (offsetof(struct screen, text) - KEPT_FROM)

static unsigned clamp(unsigned v, unsigned min, unsigned max)
{
	return v < min ? min : v > max ? max : v;
}

/* ---- rows as text ---- */

static bool row_full(const struct screen *s, const struct grid_row *row)
{
	return row->used == s->grid.cols && row->cell[row->used - 1].ch[0] != 0 &&
	    row->cell[row->used - 1].ch[0] != ' ';
}

static void emit_line(struct screen *s, const struct grid_row *row, bool alternate)
{
	size_t len = grid_text(row, s->grid.cols, s->text);

	s->line(s->ctx, s->text, len, alternate, row_full(s, row));
}

/* Of one of the two screens. A line may look at the screen, but not change it. */
static void emit_lines(struct screen *s, bool alternate)
{
	const struct grid_row *row = s->grid.screen[alternate];
	unsigned last = s->grid.rows;

	if (s->line == NULL)
		return;
	while (last > 0 && grid_blank(&row[last - 1]))
		last--;
	for (unsigned r = 0; r < last; r++)
		emit_line(s, &row[r], alternate);
}

void screen_lines(struct screen *s)
{
	if (grid_alternate(&s->grid))
		emit_lines(s, true);
	emit_lines(s, false);
}

/* ---- called by libvterm ---- */

static struct grid_rect rect_of(VTermRect r)
{
	return (struct grid_rect){ .top = clamp((unsigned)r.start_row, 0, SCREEN_ROWS_MAX),
		.bottom = clamp((unsigned)r.end_row, 0, SCREEN_ROWS_MAX),
		.left = clamp((unsigned)r.start_col, 0, SCREEN_COLS_MAX),
		.right = clamp((unsigned)r.end_col, 0, SCREEN_COLS_MAX) };
}

static int on_glyph(VTermGlyphInfo *info, VTermPos pos, void *user)
{
	struct screen *s = user;

	grid_put(&s->grid, (unsigned)pos.row, (unsigned)pos.col, info->chars, (unsigned)info->width);
	return 1;
}

static int on_cursor(VTermPos pos, VTermPos old, int visible, void *user)
{
	(void)pos;
	(void)old;
	(void)visible;
	(void)user;
	return 1;
}

static int on_scroll(VTermRect rect, int up, int left, void *user)
{
	struct screen *s = user;
	const struct grid_rect r = rect_of(rect);

	/* what leaves the primary screen at its top goes for good, unless all of it is erased anyway */
	if (s->line != NULL && up > 0 && left == 0 && r.top == 0 && r.left == 0 &&
	    r.right == s->grid.cols && r.bottom <= s->grid.rows && !grid_alternate(&s->grid) &&
	    (unsigned)up < r.bottom)
		for (int i = 0; i < up; i++)
			emit_line(s, &s->grid.row[i], false);
	grid_scroll(&s->grid, r, up, left);
	return 1;
}

static int on_erase(VTermRect rect, int selective, void *user)
{
	struct screen *s = user;

	(void)selective; /* nothing is protected: the filter lets DECSCA not through */
	grid_erase(&s->grid, rect_of(rect));
	return 1;
}

static struct colour colour_of(const VTermColor *c, bool is_default)
{
	if (is_default)
		return (struct colour){ .kind = COLOUR_DEFAULT };
	if (VTERM_COLOR_IS_INDEXED(c))
		return (struct colour){ .kind = COLOUR_INDEX, .r = c->indexed.idx };
	return (struct colour){
		.kind = COLOUR_RGB, .r = c->rgb.red, .g = c->rgb.green, .b = c->rgb.blue
	};
}

static int on_pen(VTermAttr attr, VTermValue *val, void *user)
{
	static const uint8_t bits[VTERM_N_ATTRS] = {
		[VTERM_ATTR_BOLD] = CELL_BOLD, [VTERM_ATTR_UNDERLINE] = CELL_UNDERLINE,
		[VTERM_ATTR_ITALIC] = CELL_ITALIC, [VTERM_ATTR_BLINK] = CELL_BLINK,
		[VTERM_ATTR_REVERSE] = CELL_REVERSE, [VTERM_ATTR_STRIKE] = CELL_STRIKE,
	};
	struct cell *pen = &((struct screen *)user)->grid.pen;

	if (attr == VTERM_ATTR_FOREGROUND)
		pen->fg = colour_of(&val->color, VTERM_COLOR_IS_DEFAULT_FG(&val->color));
	else if (attr == VTERM_ATTR_BACKGROUND)
		pen->bg = colour_of(&val->color, VTERM_COLOR_IS_DEFAULT_BG(&val->color));
	else if ((unsigned)attr < VTERM_N_ATTRS) {
		const bool on = attr == VTERM_ATTR_UNDERLINE ? val->number != 0 : val->boolean != 0;

		pen->attr = (uint8_t)(on ? pen->attr | bits[attr] : pen->attr & ~bits[attr]);
	}
	return 1;
}

static int on_property(VTermProp prop, VTermValue *val, void *user)
{
	struct screen *s = user;

	if (prop == VTERM_PROP_CURSORVISIBLE)
		s->cursor_visible = val->boolean != 0;
	else if (prop == VTERM_PROP_ALTSCREEN)
		grid_switch(&s->grid, val->boolean != 0);
	else if (prop == VTERM_PROP_REVERSE) {
		s->grid.reverse = val->boolean != 0;
		grid_touch_all(&s->grid);
	}
	return 1;
}

/* A screen that gets lower keeps what stands above the cursor: the first rows scroll off. */
static int on_resize(int rows, int cols, VTermPos *delta, void *user)
{
	struct screen *s = user;
	unsigned used = s->grid.rows, low = (unsigned)rows;
	VTermPos at;

	vterm_state_get_cursorpos(s->state, &at);
	while (used > low && grid_blank(&s->grid.row[used - 1]) && (int)used - 1 != at.row)
		used--;
	if (!grid_alternate(&s->grid) && used > low) {
		const VTermRect all = { 0, (int)s->grid.rows, 0, (int)s->grid.cols };

		on_scroll(all, (int)(used - low), 0, s);
		delta->row -= (int)(used - low);
	}
	/* without memory the grid keeps its size: what falls outside is not put */
	grid_resize(&s->grid, (unsigned)cols, low);
	return 1;
}

static const VTermStateCallbacks callbacks = {
	.putglyph = on_glyph, .movecursor = on_cursor, .scrollrect = on_scroll, .erase = on_erase,
	.setpenattr = on_pen, .settermprop = on_property, .resize = on_resize,
};

/* Answers to the target's questions: the filter lets none through, and were there one it would end
 * here. */
static void drop_output(const char *bytes, size_t len, void *user)
{
	(void)bytes;
	(void)len;
	(void)user;
}

/* ---- called by the filter ---- */

static void on_put(void *ctx, const char *bytes, size_t len)
{
	struct screen *s = ctx;

	vterm_input_write(s->vt, bytes, len);
}

/* The whole screen is about to be erased. */
static void clears(struct screen *s)
{
	if (!grid_alternate(&s->grid))
		emit_lines(s, false);
}

static void on_hook(void *ctx, enum filter_hook what)
{
	struct screen *s = ctx;
	VTermPos at;

	vterm_state_get_cursorpos(s->state, &at);
	switch (what) {
	case FILTER_SAVED:
		s->saved = at;
		break;
	case FILTER_CLEARS_BELOW:
		/* so `clear` does it on many terminals */
		if (at.row == 0 && at.col == 0)
			clears(s);
		break;
	case FILTER_CLEARS_ABOVE:
		if (at.row + 1 == (int)s->grid.rows && at.col + 1 == (int)s->grid.cols)
			clears(s);
		break;
	case FILTER_CLEARS:
		clears(s);
		break;
	case FILTER_LEAVES:
		if (grid_alternate(&s->grid))
			emit_lines(s, true);
		break;
	case FILTER_RESETS:
		screen_lines(s);
		break;
	}
}

static const struct filter_ops filter_ops = { .put = on_put, .hook = on_hook };

/* ---- life ---- */

static int start(struct screen *s, unsigned cols, unsigned rows)
{
	cols = clamp(cols, SCREEN_COLS_MIN, SCREEN_COLS_MAX);
	rows = clamp(rows, SCREEN_ROWS_MIN, SCREEN_ROWS_MAX);
	if (grid_init(&s->grid, cols, rows) != 0)
		return -1;
	arena_reset(s->arena);
	s->vt = vterm_new_with_allocator((int)rows, (int)cols, &arena_functions, s->arena);
	s->cursor_visible = true;
	s->saved = (VTermPos){ 0, 0 };
	vterm_set_utf8(s->vt, 1);
	vterm_output_set_callback(s->vt, drop_output, NULL);
	s->state = vterm_obtain_state(s->vt);
	vterm_state_set_callbacks(s->state, &callbacks, s);
	vterm_state_reset(s->state, 1);
	filter_init(&s->filter, cols, &filter_ops, s);
	return 0;
}

struct screen *screen_create(unsigned cols, unsigned rows, screen_line_fn *line, void *ctx)
{
	struct screen *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->line = line;
	s->ctx = ctx;
	if ((s->arena = arena_create()) == NULL || start(s, cols, rows) != 0) {
		arena_destroy(s->arena);
		free(s);
		return NULL;
	}
	return s;
}

void screen_destroy(struct screen *s)
{
	if (s == NULL)
		return;
	grid_finish(&s->grid);
	arena_destroy(s->arena);
	free(s);
}

int screen_restart(struct screen *s, unsigned cols, unsigned rows)
{
	return start(s, cols, rows);
}

void screen_feed(struct screen *s, const void *data, size_t len)
{
	filter_feed(&s->filter, data, len);
}

static void write_cup(struct screen *s, VTermPos pos, const char *then)
{
	char seq[48];
	int row = pos.row < 0 ? 0 : pos.row >= (int)s->grid.rows ? (int)s->grid.rows - 1 : pos.row;
	int col = pos.col < 0 ? 0 : pos.col >= (int)s->grid.cols ? (int)s->grid.cols - 1 : pos.col;
	int n = snprintf(seq, sizeof(seq), "\033[%d;%dH%s", row + 1, col + 1, then);

	vterm_input_write(s->vt, seq, (size_t)n);
}

/*
 * libvterm 0.1.4 keeps the scrolling region and the saved cursor of the old size, and can leave the
 * cursor above the first row: all three are memory errors later. So each is set anew, as xterm does
 * with the region.
 */
void screen_resize(struct screen *s, unsigned cols, unsigned rows)
{
	VTermPos pos;

	cols = clamp(cols, SCREEN_COLS_MIN, SCREEN_COLS_MAX);
	rows = clamp(rows, SCREEN_ROWS_MIN, SCREEN_ROWS_MAX);
	if (cols == s->grid.cols && rows == s->grid.rows)
		return;
	vterm_state_get_cursorpos(s->state, &pos);
	vterm_input_write(s->vt, "\033[r", 3);
	write_cup(s, pos, "");
	s->filter.cols = cols;
	vterm_set_size(s->vt, (int)rows, (int)cols);
	vterm_state_get_cursorpos(s->state, &pos);
	write_cup(s, s->saved, "\0337");
	vterm_state_get_cursorpos(s->state, &s->saved);
	write_cup(s, pos, "");
}

/* ---- cells ---- */

bool screen_changed(struct screen *s, unsigned *from, unsigned *to)
{
	*from = s->grid.changed_from;
	*to = clamp(s->grid.changed_to, 0, s->grid.rows);
	s->grid.changed_from = UINT_MAX;
	s->grid.changed_to = 0;
	return *from < *to;
}

const char *screen_row(struct screen *s, unsigned row, unsigned cols, size_t *len)
{
	if (row >= s->grid.rows)
		row = s->grid.rows - 1;
	*len = grid_text(&s->grid.row[row], cols, s->text);
	return s->text;
}

bool screen_row_full(const struct screen *s, unsigned row)
{
	return row_full(s, &s->grid.row[row < s->grid.rows ? row : s->grid.rows - 1]);
}

uint64_t screen_row_serial(const struct screen *s, unsigned row)
{
	return s->grid.row[row < s->grid.rows ? row : s->grid.rows - 1].serial;
}

unsigned screen_cols(const struct screen *s)
{
	return s->grid.cols;
}

unsigned screen_rows(const struct screen *s)
{
	return s->grid.rows;
}

bool screen_alternate(const struct screen *s)
{
	return grid_alternate(&s->grid);
}

struct cursor screen_cursor(const struct screen *s)
{
	VTermPos pos;

	vterm_state_get_cursorpos(s->state, &pos);
	return (struct cursor){ .row = clamp((unsigned)pos.row, 0, s->grid.rows - 1),
		.col = clamp((unsigned)pos.col, 0, s->grid.cols - 1),
		.visible = s->cursor_visible };
}

bool screen_takes_text(const struct screen *s)
{
	return s->filter.state == 0 && s->filter.more == 0;
}

void screen_cell(const struct screen *s, unsigned row, unsigned col, struct cell *out)
{
	grid_cell(&s->grid, row, col, out);
}

/* ---- moments ---- */

struct screen_moment {
	size_t arena_len, cells;
	unsigned used[2][SCREEN_ROWS_MAX];
	bool alternate;
	unsigned char screen[KEPT];
	/* then the arena's bytes, and the used cells of each row of both screens */
	_Alignas(max_align_t) unsigned char data[];
};

struct screen_moment *screen_keep(const struct screen *s, size_t *bytes)
{
	const size_t arena_len = arena_used(s->arena);
	const struct grid *g = &s->grid;
	struct screen_moment *m;
	unsigned char *to;
	size_t cells = 0;

	for (unsigned i = 0; i < 2 * g->rows; i++)
		cells += g->screen[i / g->rows][i % g->rows].used;
	*bytes = sizeof(*m) + arena_len + cells * sizeof(struct cell);
	if ((m = malloc(*bytes)) == NULL)
		return NULL;
	m->arena_len = arena_len;
	m->cells = cells;
	m->alternate = grid_alternate(g);
	memcpy(m->screen, (const unsigned char *)s + KEPT_FROM, KEPT);
	memcpy(m->data, s->arena, arena_len);
	to = m->data + arena_len;
	for (unsigned i = 0; i < 2 * g->rows; i++) {
		const struct grid_row *r = &g->screen[i / g->rows][i % g->rows];

		m->used[i / g->rows][i % g->rows] = r->used;
		memcpy(to, r->cell, r->used * sizeof(struct cell));
		to += r->used * sizeof(struct cell);
	}
	return m;
}

int screen_back(struct screen *s, const struct screen_moment *m)
{
	const unsigned char *from = m->data + m->arena_len;
	struct grid then, now = { .serial = s->grid.serial };

	memcpy(&then, m->screen + offsetof(struct screen, grid) - KEPT_FROM, sizeof(then));
	if (grid_init(&now, then.cols, then.rows) != 0)
		return -1;
	for (unsigned i = 0; i < 2 * now.rows; i++) {
		struct grid_row *r = &now.screen[i / now.rows][i % now.rows];

		r->used = m->used[i / now.rows][i % now.rows];
		memcpy(r->cell, from, r->used * sizeof(struct cell));
		from += r->used * sizeof(struct cell);
	}
	now.pen = then.pen;
	now.reverse = then.reverse;
	grid_switch(&now, m->alternate);
	grid_finish(&s->grid);
	memcpy((unsigned char *)s + KEPT_FROM, m->screen, KEPT);
	s->grid = now;
	memcpy(s->arena, m->data, m->arena_len);
	return 0;
}

void screen_forget(struct screen_moment *m)
{
	free(m);
}
