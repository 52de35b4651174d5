/*
 * replay_term.h - the auditor's terminal as far as plain output goes: its width, colours, a bar for long work, a pager.
 *
 * Where standard output or standard error is no terminal, or TERM says that it is a dumb one, none of it appears.
 */
#ifndef BASTION_REPLAY_TERM_H
#define BASTION_REPLAY_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BAR_AFTER_MS 1000	/* shorter work needs none */
#define BAR_EVERY_MS 100

/* Can a screen be drawn on standard output? Where not, what has no other form is printed as lines. */
bool term_draws(void);
/* May standard output have colours? */
bool term_colour(void);
/* Columns of the terminal that standard output is, also behind the pager; 0: it is none, lines are as long as they are. */
unsigned term_width(void);

/* How far some work is, on standard error. Zeros: none is shown. One at a time: what begins inside of other work shows none. */
struct progress {
	const char *what;	/* "verify" */
	uint64_t started_ms, shown_ms;
	bool on, drawn;
};

void progress_begin(struct progress *p, const char *what);
/* For work that writes to standard output: no bar if that is a terminal, too. */
void progress_begin_writing(struct progress *p, const char *what);
/* `more` stands behind the numbers, "" for nothing. Draws now and then. */
void progress_at(struct progress *p, uint64_t done, uint64_t all, const char *more);
/* For work of which nobody knows how much it is: "list 2000 objects". */
void progress_count(struct progress *p, uint64_t done, const char *of);
/* Clears its line: before anything else is said. */
void progress_clear(struct progress *p);
/* That of whoever works now, if it is drawn: for who does not know whose it is. */
void progress_hide(void);
/* Clears it at the end. */
void progress_end(struct progress *p);
/* The bar's line, cut to `width` columns; returns out. */
char *progress_line(char *out, size_t size, unsigned width, const char *what, uint64_t done, uint64_t all, const char *more);

/*
 * From here on what is printed goes to the auditor's pager ($PAGER, else less), if standard output is a terminal; so do sentences on
 * standard error, if that is one. Nothing happens the second time.
 */
void pager_start(void);
/* Would it start one? Who has work to do first keeps what there is to print, and shows how far the work is. */
bool pager_wanted(void);
/* Waits until the auditor has left it. True: there was one, so that output that nobody wanted is no error. */
bool pager_end(void);

#endif
