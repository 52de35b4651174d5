/*
 * tty_gate.h - the last gate before a person's terminal: lets through what a viewer may draw, and nothing else.
 *
 * What a watched target sends is drawn anew by a process that parses it (worker_view.c). That process is not believed: the
 * session or bastionctl that carries its output to a terminal checks each byte against this grammar (promise P13),
 *
 *   output    = *( printable / CR / LF / CSI row ";" col "H" / CSI sgr "m" / CSI "2J" / CSI "?" ( 7 / 25 / 1049 ) ( "h" / "l" ) )
 *   printable = a code point in UTF-8 that escape.c would show as it is
 *
 * numbers of at most three digits (1049 apart), at most GATE_SEMICOLONS of them. A sequence goes out whole or not at all. Pure.
 */
#ifndef BASTION_TTY_GATE_H
#define BASTION_TTY_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define GATE_SEMICOLONS 20
#define GATE_HELD 96	/* bytes of the longest sequence: 21 numbers with their semicolons, and the rest */
/* Brings a terminal back that a viewer left in the middle: attributes, wrapping, cursor, main screen. */
#define GATE_LEAVE "\033[m\033[?7h\033[?25h\033[?1049l"

struct tty_gate {
	uint8_t held[GATE_HELD];	/* what has come of a sequence or a character */
	size_t nheld;
	bool entered;			/* the alternate screen is on: GATE_LEAVE is owed */
	bool shut;			/* something else came: nothing passes any more */
};

/* Zeroes are a gate that is open. Appends what passes to `out`. False: the gate shut, now or before. */
bool tty_gate_pass(struct tty_gate *g, const void *data, size_t len, struct buf *out);

#endif
