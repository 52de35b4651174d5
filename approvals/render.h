/*
 * render.h - a reply of policy (doc/PROTOCOL.control) made into text for a person.
 *
 * Used by bastionctl and by the session process. Pure. Everything in a reply is foreign (a reason
 * that a user typed, a name from a target): it is escaped (promise P13) and cut to the width of the
 * terminal.
 */
#ifndef BASTION_RENDER_H
#define BASTION_RENDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "words.h"

#define RENDER_MAX (16U << 20)	/* a good limit for the buffers that render_reply fills */

enum col_kind {
	COL_TEXT,	/* text, number or yes/no as they are; an array with commas */
	COL_TIME,	/* unix seconds → 2026-11-22 20:15 (UTC) */
	COL_STAMP,	/* with seconds */
	COL_SPAN,	/* seconds → 2h */
	COL_STATE,	/* text, coloured by what it says */
	COL_YES,	/* true → yes, false → empty */
	COL_DETAIL,	/* text of a JSON object → name=value, but what is empty or false */
};

struct words_col {
	const char *key;	/* in each row */
	const char *head;
	enum col_kind kind;
	int weight;		/* gives way on narrow terminals: 0 never, the higher the sooner */
};

struct render_opts {
	const struct words_word *word;	/* what was asked */
	int columns;	/* of the terminal; 0: no limit (a pipe) */
	bool json;	/* the reply's JSON, indented, in ASCII, and nothing else */
	bool csv;	/* rows as CSV: RFC 4180, a head of keys, every column of the word */
	bool colour;	/* only on a terminal */
};

/*
 * Text for standard output to out, for standard error to err; both were initialised by the caller
 * with a limit. A list is a table. Columns in which no row has anything are left out. On a narrow
 * terminal texts are cut, then the heaviest columns left out, which err says; and where that is not
 * enough each row becomes a block of lines. Returns the exit status (enum words_exit). A reply that
 * is no JSON or has another shape is WORDS_BROKEN with a line in err.
 */
int render_reply(const char *json, size_t len, const struct render_opts *o, struct buf *out,
    struct buf *err);

/*
 * Rows as CSV (RFC 4180), as render_reply gives them with .csv. Escaped as everywhere; a text that a
 * spreadsheet would take for a formula gets a ' in front.
 */
void render_csv(const json_t *rows, const struct words_col *cols, struct buf *out);

/*
 * Lines of advice or error, escaped but for '\t' and the '\n' that parts them; the last ends with
 * one, too.
 */
void render_line(struct buf *out, const char *text);

/*
 * Appends (escaped) text that stands in column `indent`, broken at blanks, continued under its
 * beginning. columns 0: as it is.
 */
void render_wrapped(struct buf *out, const char *text, size_t indent, int columns);

/*
 * Terminal columns of well-formed UTF-8: wide characters take two, combining ones none (Unicode 15,
 * in short).
 */
size_t render_width(const char *text, size_t len);
/* How many bytes of it fit into `columns`. */
size_t render_fit(const char *text, size_t len, size_t columns);

#endif
