/*
 * screen_view.h - draws cells on the auditor's terminal, and only what changed.
 *
 * Runs in bastion-replay, after screen.c; replay_play.c writes the bytes. The output is made of
 * these and nothing else (tests/unit/screen_grammar.h checks it), whatever a recording holds:
 *
 *   output = *( printable / CSI row ";" col "H" / CSI sgr "m" / "CSI 2J" / CSI "?" ( 7 / 25 / 1049
 * ) ( "h" / "l" ) ) printable = a code point that is no C0, DEL or C1 control, in UTF-8
 */
#ifndef BASTION_SCREEN_VIEW_H
#define BASTION_SCREEN_VIEW_H

#include "buf.h"
#include "screen.h"

#define VIEW_OUT_MAX (16U << 20)	/* bytes that one whole picture can never reach */

/* Before the first picture, and after the last, also from a signal handler. */
#define VIEW_ENTER "\033[?1049h\033[?7l\033[?25l\033[2J"
#define VIEW_LEAVE "\033[m\033[?7h\033[?25h\033[?1049l"

struct view {
	unsigned cols, rows;	/* of the auditor's terminal */
	unsigned top, left;	/* the recorded cell in the upper left corner */
	bool follow;		/* top and left follow the recorded cursor, */
	bool focused;		/* or this cell, which is to be seen */
	unsigned focus_row, focus_col;
	bool utf8; /* the terminal takes UTF-8; without, others than ASCII become '?' */
	bool colour, rgb;	/* may use colours at all; 24-bit ones */
	struct cell *want;	/* the picture being made, rows by cols */
	struct cell *shown;	/* what the terminal shows */
	bool valid;		/* shown is true */
	struct cursor cursor;	/* where it shall be, in the terminal */
};

/* Sizes are bounded as those of a screen. 0, or -1 with errno. */
int view_init(struct view *v, unsigned cols, unsigned rows);
void view_finish(struct view *v);
/* The terminal has another size now: everything is drawn anew. 0, or -1 with errno and unchanged.
 */
int view_resize(struct view *v, unsigned cols, unsigned rows);

/* Begins a picture: everything blank, no cursor. */
void view_begin(struct view *v);
/* Puts the screen into the upper `rows` rows: the part that fits, and an edge around it where there
 * is room. */
void view_screen(struct view *v, const struct screen *s, unsigned rows);
/* Puts text at a place, cut at the edge; a code point a cell. Control bytes become '?'. Returns the
 * next column. */
unsigned view_text(struct view *v, unsigned row, unsigned col, unsigned attr, const char *text);
/* The next place of something in text[len]: its bytes to *n, or NULL. */
typedef const char *view_find_fn(void *ctx, const char *text, size_t len, size_t *n);
/* Marks what fn finds in the upper `rows` rows of the picture, row by row. */
void view_mark(struct view *v, unsigned rows, view_find_fn *fn, void *ctx);
/* Ends it: appends to out what makes the terminal show it. 0, or -1: out is full (then the next one
 * is drawn whole). */
int view_end(struct view *v, struct buf *out);

#endif
