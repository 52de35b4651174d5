/*
 * escape.h - foreign bytes made safe to show (promise P13).
 */
#ifndef BASTION_ESCAPE_H
#define BASTION_ESCAPE_H

#include <stddef.h>

/*
 * Text for a terminal or a log: printable ASCII and well-formed, printable UTF-8 pass; C0, C1, DEL, bidi and
 * other format controls, and broken UTF-8 become \n, \t, \xHH or \u{H}; a backslash becomes \\.
 * Writes a terminated string to out[size] (size >= 1), cut at a whole escape and marked with "..." if it is long.
 * Returns the length written. Four bytes of output for each of input, and six more, are always enough.
 */
size_t esc_text(char *out, size_t size, const void *in, size_t len);

/* The same, in double quotes with \" inside: one field of a log line. */
size_t esc_quoted(char *out, size_t size, const void *in, size_t len);

/* For a line put together from escaped parts: as esc_text, but a backslash stays one. */
size_t esc_line(char *out, size_t size, const void *in, size_t len);

#endif
