/*
 * hostkey_lines.h - the public halves of the bastion's host keys, for the word `config`.
 *
 * They are files of state_dir, which policy cannot open once it runs: it reads them at its start, still root, and gets them
 * from parent at a reload. While a host key is changed its file has two lines, the key in use first: users get both.
 */
#ifndef BASTIOND_HOSTKEY_LINES_H
#define BASTIOND_HOSTKEY_LINES_H

#include "buf.h"
#include "ssh_hostkeys.h"

#define HOSTKEY_LINES_MAX 8
#define HOSTKEY_LINES_BYTES (HOSTKEY_LINES_MAX * (SSH_HOSTKEY_LINE_MAX + 4))

/* Appends u8 number and as many strings. A file that cannot be read is logged and left out. 0, or -1: no memory. */
int hostkey_lines_read(struct buf *out, const char *state_dir);
/*
 * The other way: at most HOSTKEY_LINES_MAX lines of printable ASCII, each for free(); NULL ends them. 0, or -1: it is no such list, or
 * no memory, and `lines` is as before.
 */
int hostkey_lines_take(struct buf *b, char *lines[HOSTKEY_LINES_MAX + 1]);
void hostkey_lines_free(char *lines[HOSTKEY_LINES_MAX + 1]);

#endif
