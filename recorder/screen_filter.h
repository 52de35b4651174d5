/*
 * screen_filter.h - what a target sent to a terminal, made safe for libvterm.
 *
 * Runs in bastion-replay, before screen.c. libvterm 0.1.4 was not written for hostile bytes:
 * seventeen parameters of one CSI write past its array, REP before the first character never ends,
 * a C1 code point moves the cursor to column -1, APC and PM strings are shown as text. So a parser
 * of our own stands in front. It follows ECMA-48 and xterm, and hands on only what screens of
 * shells and full-screen programs need, written anew, with every number bounded:
 *
 *   text    printable code points, at most FILTER_MARKS zero-width ones after each; broken UTF-8
 * and code points that escape.c would escape become U+FFFD C0      BS HT LF VT FF CR SO SI ESC 7 8
 * D E H M c, #8, designation of the ASCII, British and line drawing sets CSI     cursor movement,
 * ED EL ICH DCH ECH IL DL SU SD, REP (as text), TBC, DECSTBM, SGR, IRM, LNM, DECSTR, save and
 * restore, the private modes 5 7 25 47 1047 1048 1049
 *
 * DCS, OSC, APC, PM, SOS and `ESC k` strings, requests for a report (DA, DSR, DECRQM …),
 * double-width lines, left and right margins and whatever else there is are dropped. What the
 * filter puts out is a whole sequence or whole code points each time.
 */
#ifndef BASTION_SCREEN_FILTER_H
#define BASTION_SCREEN_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILTER_ARGS 32		/* parameters kept of one sequence */
#define FILTER_ARG_MAX 9999U
#define FILTER_MARKS 4		/* zero-width code points after a character */
#define FILTER_CHUNK 256	/* bytes of text put out at a time: libvterm needs stack for it */

enum filter_hook {
	FILTER_SAVED,		/* the cursor's place was saved just now */
	FILTER_CLEARS,		/* the whole screen is about to be erased */
	FILTER_CLEARS_BELOW,	/* from the cursor on */
	FILTER_CLEARS_ABOVE,	/* up to the cursor */
	FILTER_LEAVES,		/* the alternate screen is about to be left */
	FILTER_RESETS,		/* full reset is about to be done */
};

struct filter_ops {
	void (*put)(void *ctx, const char *bytes, size_t len);
	void (*hook)(void *ctx, enum filter_hook what);
};

struct filter {
	const struct filter_ops *ops;
	void *ctx;
	uint8_t state;			/* enum filter_state, in the .c file */
	char leader, inter;		/* of the sequence being read; 0: none, '\xff': too many */
	bool osc;			/* BEL ends this string */
	unsigned args;			/* parameters begun, 0..FILTER_ARGS */
	uint16_t arg[FILTER_ARGS];
	bool set[FILTER_ARGS];		/* has digits */
	bool sub[FILTER_ARGS];		/* the next one is a part of it (':') */
	uint32_t cp, least; /* UTF-8 in progress: value so far, smallest value for this length */
	unsigned more;			/* bytes still to come */
	unsigned cols;			/* of the screen: REP fills no more than a line */
	char last[4 * (1 + FILTER_MARKS)]; /* the last character, for REP */
	size_t last_len;
	unsigned marks;
	char text[FILTER_CHUNK];
	size_t text_len;
};

void filter_init(struct filter *f, unsigned cols, const struct filter_ops *ops, void *ctx);
/* Everything that is complete has been put out when it returns; the rest waits for more. */
void filter_feed(struct filter *f, const void *data, size_t len);

/* Is this code point one that libvterm adds to the cell before? */
bool filter_zero_width(uint32_t cp);
/* UTF-8 of cp to out[4]; returns its length. */
size_t filter_encode(char out[4], uint32_t cp);

#endif
