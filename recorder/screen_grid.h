/*
 * screen_grid.h - the cells of a terminal's two screens, for screen.c in bastion-replay.
 *
 * libvterm's state layer says what to do with them (glyph here, scroll that, erase this). Its own
 * screen layer is not used: it copies every cell at each scrolled line, which is most of the time of
 * a search, and it cannot be set back to an earlier moment.
 */
#ifndef BASTION_SCREEN_GRID_H
#define BASTION_SCREEN_GRID_H

#include "screen.h"

#define GRID_GAP UINT32_MAX	/* ch[0] of the cell that a wide character covers */

/* The cell is as it is stored: width is not set, and a blank one is all zeros. */
struct grid_row {
	struct cell *cell;
	unsigned used;		/* cells from here on are blank, in no colour */
	unsigned room;		/* cells there is memory for; more than the grid is wide once it was wider */
	uint64_t serial;	/* another one after every change; it moves with the row */
};

struct grid {
	unsigned cols, rows;
	struct grid_row *screen[2];	/* primary, alternate; rows each */
	unsigned room[2];		/* rows there are of each; those behind the last shown are blank */
	struct grid_row *row;		/* the one that is shown */
	struct cell pen;		/* what is put and erased looks like this */
	bool reverse;			/* the whole screen */
	uint64_t serial;		/* given last */
	unsigned changed_from, changed_to;	/* rows, since they were asked for */
};

struct grid_rect {
	unsigned top, bottom, left, right;	/* bottom and right are the first ones outside */
};

/* A grid of that size, blank. 0, or -1 with errno. grid_finish takes one of zeros. */
int grid_init(struct grid *g, unsigned cols, unsigned rows);
void grid_finish(struct grid *g);
/* Keeps what fits, in the upper left; what is new has the pen's look. 0, or -1 and unchanged. */
int grid_resize(struct grid *g, unsigned cols, unsigned rows);

void grid_switch(struct grid *g, bool alternate);
bool grid_alternate(const struct grid *g);
void grid_touch_all(struct grid *g);
/* A character of `width` columns: code points up to CELL_CHARS, ended by 0. */
void grid_put(struct grid *g, unsigned row, unsigned col, const uint32_t *ch, unsigned width);
void grid_erase(struct grid *g, struct grid_rect r);
/* Moves what is in r up and left, down and right if negative; what is left behind is erased. */
void grid_scroll(struct grid *g, struct grid_rect r, int up, int left);

/* As screen_cell() gives it. */
void grid_cell(const struct grid *g, unsigned row, unsigned col, struct cell *out);
/* The row's text without trailing blanks, its first `cols` columns, to out; its length. out has room for
 * 4 * CELL_CHARS bytes a column. */
size_t grid_text(const struct grid_row *r, unsigned cols, char *out);
bool grid_blank(const struct grid_row *r);

#endif
