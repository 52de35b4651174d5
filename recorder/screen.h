/*
 * screen.h - what the user's terminal showed, rebuilt from recorded bytes.
 *
 * Runs in bastion-replay, and wherever a live session is watched. Bytes go through screen_filter.c into
 * libvterm, which moves the cells of screen_grid.c; nothing of them comes out again but cells
 * (promise P13). screen_view.c draws them on a terminal, replay_text.c writes them as text.
 */
#ifndef BASTION_SCREEN_H
#define BASTION_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A recorded size beyond these is taken as the nearest one: clients may claim 65535 by 65535. */
#define SCREEN_COLS_MIN 2U
#define SCREEN_COLS_MAX 500U
#define SCREEN_ROWS_MIN 2U
#define SCREEN_ROWS_MAX 200U
#define CELL_CHARS 6

enum cell_attr {
	CELL_BOLD = 1, CELL_UNDERLINE = 2, CELL_ITALIC = 4, CELL_BLINK = 8, CELL_REVERSE = 16,
	CELL_STRIKE = 32, CELL_DIM = 64
};
enum colour_kind { COLOUR_DEFAULT, COLOUR_INDEX, COLOUR_RGB };

struct colour {
	uint8_t kind;		/* enum colour_kind */
	uint8_t r, g, b;	/* COLOUR_INDEX: r is the index, g and b are 0 */
};

struct cell {
	uint32_t ch[CELL_CHARS];	/* a code point, then zero-width ones, 0; none: blank */
	uint8_t width;			/* 1 or 2; 0: covered by the wide character to the left */
	uint8_t attr;			/* mask of enum cell_attr */
	struct colour fg, bg;
};

struct cursor {
	unsigned row, col;
	bool visible;
};

/*
 * A line that leaves the primary screen for good, scrolled off or erased with the whole screen, or
 * the whole alternate screen when a program leaves it (`alternate`, one call a row). UTF-8 without
 * trailing blanks; printable code points only. `full`: its last column is not blank, and it may go
 * on in the next line.
 */
typedef void screen_line_fn(void *ctx, const char *text, size_t len, bool alternate, bool full);

struct screen;

/* line may be NULL. NULL with errno. */
struct screen *screen_create(unsigned cols, unsigned rows, screen_line_fn *line, void *ctx);
void screen_destroy(struct screen *s);
/* As new, of that size. 0, or -1 with errno and unchanged. */
int screen_restart(struct screen *s, unsigned cols, unsigned rows);

void screen_feed(struct screen *s, const void *data, size_t len);
void screen_resize(struct screen *s, unsigned cols, unsigned rows);

unsigned screen_cols(const struct screen *s);
unsigned screen_rows(const struct screen *s);
struct cursor screen_cursor(const struct screen *s);
/* A full-screen program has the alternate screen. */
bool screen_alternate(const struct screen *s);
/* The next byte is text, and not a part of a sequence or of a code point. */
bool screen_takes_text(const struct screen *s);
/* The cell at that place; blank where there is none. */
void screen_cell(const struct screen *s, unsigned row, unsigned col, struct cell *out);
/*
 * Gives every row of the screen down to the last that is not blank to `line`; then, while a program has the
 * alternate screen, those of the primary one under it.
 */
void screen_lines(struct screen *s);
/* Rows from..to-1 may have changed since the last call; false: none. For a screen with `line`. */
bool screen_changed(struct screen *s, unsigned *from, unsigned *to);
/* The first `cols` columns of a row, as `line` gets it; until the next call of any of these. */
const char *screen_row(struct screen *s, unsigned row, unsigned cols, size_t *len);
/* Its last column is not blank: the line may go on in the next row. */
bool screen_row_full(const struct screen *s, unsigned row);
/* Another number after each change of the row; while rows move, each keeps its own. Never 0. */
uint64_t screen_row_serial(const struct screen *s, unsigned row);

/* All of a screen at one moment, also what was read of a sequence that is not whole yet. */
struct screen_moment;

/* Its bytes are counted to *bytes. NULL with errno. */
struct screen_moment *screen_keep(const struct screen *s, size_t *bytes);
/* Back to that moment, which must be of this very screen. 0, or -1 with errno and unchanged. */
int screen_back(struct screen *s, const struct screen_moment *m);
void screen_forget(struct screen_moment *m);

#endif
