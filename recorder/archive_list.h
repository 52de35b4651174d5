/*
 * archive_list.h - what an object store has confirmed of a directory: its file `archived`.
 *
 * Written by the collector's archiver after each confirmation, read by it at its start and by whoever wants to remove what
 * is safe elsewhere. The file only grows; a line counts if its crc does, so that one that a crash tore is none, and the next
 * one is written over it. Lost lines cost a second put of the same bytes under the same name.
 *
 *   put NAME SIZE SHA256 UNTIL WHEN VERSION CRC     the object NAME (below the directory's prefix) is there: its bytes, locked
 *                                                   until then, confirmed when, as that version ("-": none was named)
 *   held NAME …                                     the same, and it is under legal hold
 *   closed SEGMENT UNTIL WHEN CRC                   the recording's close frame is in that segment, which is confirmed; every
 *                                                   object of the recording is to be locked until then at least
 *
 * UNTIL and WHEN are unix seconds, CRC is crc32c in hexadecimal of all before it.
 */
#ifndef BASTION_ARCHIVE_LIST_H
#define BASTION_ARCHIVE_LIST_H

#include <stdbool.h>
#include <sys/types.h>

#include "crypto.h"
#include "s3_answer.h"

#define ARCHIVE_FILE "archived"
#define ARCHIVE_HOLD "hold"			/* a recording with a file of this name is under legal hold */
#define ARCHIVE_NAME_MAX 63
#define ARCHIVE_LINE_MAX 384
#define ARCHIVE_FILE_MAX (64U << 20)		/* bytes of the file `archived` */

struct archive_item {
	char name[ARCHIVE_NAME_MAX + 1];
	uint64_t size;
	uint8_t hash[HASH_LEN];
	int64_t until, when;
	bool held;
	char version[S3_VERSION_MAX + 1];
};

struct archive_list {
	struct archive_item *v;			/* sorted by name, one each: the newest */
	size_t n, cap;
	bool closed;				/* then: */
	uint32_t close_segment;
	int64_t close_until, close_when;
	off_t end;				/* of the last whole line */
};

/* Reads the file in `dir`; none is an empty list. 0, or -1 with errno. archive_list_free in any case. */
int archive_list_load(struct archive_list *l, int dir);
void archive_list_free(struct archive_list *l);
/* The newest line about that name, or NULL. */
const struct archive_item *archive_list_find(const struct archive_list *l, const char *name);
/* Appends to the file (not synced) and to the list. 0, or -1 with errno. */
int archive_list_put(struct archive_list *l, int dir, const struct archive_item *i);
int archive_list_close(struct archive_list *l, int dir, uint32_t segment, int64_t until, int64_t when);
/* Writes the file of a list without `closed` anew, each item once; durable. 0, or -1 with errno: the file is as it was. */
int archive_list_rewrite(struct archive_list *l, int dir);

/* A line, newline included: its length, or -1: it is too long. seal: of any text, with its crc. */
int archive_line_seal(char *out, size_t size, const char *text, size_t len);
int archive_line_format(char out[ARCHIVE_LINE_MAX], const struct archive_item *i);
/* Takes one line without its newline into the list. 0, or -1: it is none. */
int archive_line_take(struct archive_list *l, const char *line, size_t len);

/*
 * Is all of a recording's directory confirmed: closed (if `closed`), each segment with the size that its file has, every receipt and every
 * conflict file? Without a close frame the last segment counts once the recording is dead: silent for so long that no bastion adds to it any more.
 * Returns 1; 0 with what is not confirmed in why[size]; -1 with errno.
 */
int archive_confirmed(int dir, bool closed, char *why, size_t size);

#endif
