/*
 * screen.c - see screen.h. Before it: screen_filter.c. After it: screen_view.c and the text export.
 */
#include "screen.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vterm.h>

#include "screen_filter.h"

#define LINE_MAX_BYTES (SCREEN_COLS_MAX * CELL_CHARS * 4)

struct screen {
	VTerm *vt;
	VTermScreen *cells;
	VTermState *state;
	struct filter filter;
	VTermPos saved;		/* where libvterm would restore the cursor to */
	unsigned cols, rows;
	unsigned changed_from, changed_to;	/* rows, since screen_changed() was asked */
	bool cursor_visible;
	bool alternate;
	screen_line_fn *line;
	void *ctx;
	char text[LINE_MAX_BYTES];
};

static unsigned clamp(unsigned v, unsigned min, unsigned max)
{
	return v < min ? min : v > max ? max : v;
}

/* ---- rows as text ---- */

/* Appends a cell's text; a blank one is a space. Returns the bytes. */
static size_t cell_text(char *out, const uint32_t *ch)
{
	size_t n = 0;

	/* an accent alone in its cell would join what stands before it */
	if (ch[0] == 0 || filter_zero_width(ch[0]))
		out[n++] = ' ';
	for (int i = 0; i < CELL_CHARS && ch[0] != 0 && ch[i] != 0; i++)
		n += filter_encode(out + n, ch[i]);
	return n;
}

/* To s->text, without trailing blanks; its length. */
static size_t row_text(struct screen *s, const VTermScreenCell *cell, unsigned cols)
{
	size_t n = 0, used = 0;

	for (unsigned c = 0; c < cols; c++) {
		if (cell[c].chars[0] == (uint32_t)-1)
			continue;
		n += cell_text(s->text + n, cell[c].chars);
		if (cell[c].chars[0] != 0 && cell[c].chars[0] != ' ')
			used = n;
	}
	return used;
}

static void emit_line(struct screen *s, const VTermScreenCell *cell, unsigned cols, bool alternate)
{
	size_t len = row_text(s, cell, cols);

	s->line(s->ctx, s->text, len, alternate);
}

static bool row_cells(const struct screen *s, unsigned row, VTermScreenCell *cell)
{
	bool blank = true;

	for (unsigned c = 0; c < s->cols; c++) {
		VTermPos pos = { .row = (int)row, .col = (int)c };

		vterm_screen_get_cell(s->cells, pos, &cell[c]);
		if (cell[c].chars[0] != 0)
			blank = false;
	}
	return blank;
}

void screen_lines(struct screen *s)
{
	VTermScreenCell cell[SCREEN_COLS_MAX];
	unsigned last = s->rows;

	if (s->line == NULL)
		return;
	while (last > 0 && row_cells(s, last - 1, cell))
		last--;
	for (unsigned r = 0; r < last; r++) {
		row_cells(s, r, cell);
		emit_line(s, cell, s->cols, s->alternate);
	}
}

/* ---- called by libvterm ---- */

static int on_push_line(int cols, const VTermScreenCell *cells, void *user)
{
	struct screen *s = user;

	if (s->line != NULL)
		emit_line(s, cells, clamp((unsigned)cols, 0, SCREEN_COLS_MAX), false);
	return 1;
}

static int on_property(VTermProp prop, VTermValue *val, void *user)
{
	struct screen *s = user;

	if (prop == VTERM_PROP_CURSORVISIBLE)
		s->cursor_visible = val->boolean != 0;
	else if (prop == VTERM_PROP_ALTSCREEN)
		s->alternate = val->boolean != 0;
	return 1;
}

static int on_damage(VTermRect rect, void *user)
{
	struct screen *s = user;

	s->changed_from = clamp((unsigned)rect.start_row, 0, s->changed_from);
	if ((unsigned)rect.end_row > s->changed_to)
		s->changed_to = (unsigned)rect.end_row;
	return 1;
}

/* Lines that scroll off cost libvterm a copy of each cell: only who wants them pays. */
static const VTermScreenCallbacks callbacks = { .settermprop = on_property };
static const VTermScreenCallbacks callbacks_lines = {
	.damage = on_damage, .sb_pushline = on_push_line, .settermprop = on_property,
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

static void on_hook(void *ctx, enum filter_hook what)
{
	struct screen *s = ctx;

	switch (what) {
	case FILTER_SAVED:
		vterm_state_get_cursorpos(s->state, &s->saved);
		break;
	case FILTER_CLEARS:
		if (!s->alternate)
			screen_lines(s);
		break;
	case FILTER_LEAVES:
		if (s->alternate)
			screen_lines(s);
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
	VTerm *vt = vterm_new((int)rows, (int)cols);
	if (vt == NULL) {
		errno = ENOMEM;
		return -1;
	}
	if (s->vt != NULL)
		vterm_free(s->vt);
	s->vt = vt;
	s->cols = cols;
	s->rows = rows;
	s->cursor_visible = true;
	s->alternate = false;
	s->saved = (VTermPos){ 0, 0 };
	s->changed_from = 0;
	s->changed_to = rows;
	vterm_set_utf8(vt, 1);
	vterm_output_set_callback(vt, drop_output, NULL);
	s->cells = vterm_obtain_screen(vt);
	s->state = vterm_obtain_state(vt);
	vterm_screen_set_callbacks(s->cells, s->line != NULL ? &callbacks_lines : &callbacks,
	    s);
	vterm_screen_enable_altscreen(s->cells, 1);
	vterm_screen_reset(s->cells, 1);
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
	if (start(s, cols, rows) != 0) {
		free(s);
		return NULL;
	}
	return s;
}

void screen_destroy(struct screen *s)
{
	if (s == NULL)
		return;
	vterm_free(s->vt);
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
	int row = pos.row < 0 ? 0 : pos.row >= (int)s->rows ? (int)s->rows - 1 : pos.row;
	int col = pos.col < 0 ? 0 : pos.col >= (int)s->cols ? (int)s->cols - 1 : pos.col;
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
	if (cols == s->cols && rows == s->rows)
		return;
	vterm_state_get_cursorpos(s->state, &pos);
	vterm_input_write(s->vt, "\033[r", 3);
	write_cup(s, pos, "");
	s->cols = s->filter.cols = cols;
	s->rows = rows;
	vterm_set_size(s->vt, (int)rows, (int)cols);
	vterm_state_get_cursorpos(s->state, &pos);
	write_cup(s, s->saved, "\0337");
	vterm_state_get_cursorpos(s->state, &s->saved);
	write_cup(s, pos, "");
	s->changed_from = 0;
	s->changed_to = rows;
}

/* ---- cells ---- */

bool screen_changed(struct screen *s, unsigned *from, unsigned *to)
{
	*from = s->changed_from;
	*to = clamp(s->changed_to, 0, s->rows);
	s->changed_from = UINT_MAX;
	s->changed_to = 0;
	return *from < *to;
}

const char *screen_row(struct screen *s, unsigned row, unsigned cols, size_t *len)
{
	VTermScreenCell cell[SCREEN_COLS_MAX];

	if (row >= s->rows)
		row = s->rows - 1;
	row_cells(s, row, cell);
	*len = row_text(s, cell, clamp(cols, 0, s->cols));
	return s->text;
}

unsigned screen_cols(const struct screen *s)
{
	return s->cols;
}

unsigned screen_rows(const struct screen *s)
{
	return s->rows;
}

bool screen_alternate(const struct screen *s)
{
	return s->alternate;
}

struct cursor screen_cursor(const struct screen *s)
{
	VTermPos pos;

	vterm_state_get_cursorpos(s->state, &pos);
	return (struct cursor){ .row = clamp((unsigned)pos.row, 0, s->rows - 1),
		.col = clamp((unsigned)pos.col, 0, s->cols - 1),
		.visible = s->cursor_visible };
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

void screen_cell(const struct screen *s, unsigned row, unsigned col, struct cell *out)
{
	VTermPos pos = { .row = (int)row, .col = (int)col };
	VTermScreenCell cell;

	memset(out, 0, sizeof(*out));
	out->width = 1;
	if (row >= s->rows || col >= s->cols || !vterm_screen_get_cell(s->cells, pos, &cell))
		return;
	if (cell.chars[0] == (uint32_t)-1)
		out->width = 0;
	else {
		for (int i = 0; i < CELL_CHARS && cell.chars[i] != 0; i++)
			out->ch[i] = cell.chars[i];
		out->width = cell.width == 2 && cell.chars[0] != 0 ? 2 : 1;
	}
	out->attr = (uint8_t)((cell.attrs.bold ? CELL_BOLD : 0) |
	    (cell.attrs.underline ? CELL_UNDERLINE : 0) | (cell.attrs.italic ? CELL_ITALIC : 0) |
	    (cell.attrs.blink ? CELL_BLINK : 0) | (cell.attrs.reverse ? CELL_REVERSE : 0) |
	    (cell.attrs.strike ? CELL_STRIKE : 0));
	out->fg = colour_of(&cell.fg, VTERM_COLOR_IS_DEFAULT_FG(&cell.fg));
	out->bg = colour_of(&cell.bg, VTERM_COLOR_IS_DEFAULT_BG(&cell.bg));
}
