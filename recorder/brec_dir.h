/*
 * brec_dir.h - the files of a recording, read in order: 00000000.brec, 00000001.brec, …; from its directory or from a bundle.
 *
 * Used by brec_read.c and brec_verify.c in the auditor's tools. Takes the files as they are, also while they grow;
 * follows no symbolic link and waits for no pipe.
 */
#ifndef BASTION_BREC_DIR_H
#define BASTION_BREC_DIR_H

#include "brec.h"
#include "brec_tar.h"

#define BREC_NAME_LEN 32

struct brec_dir {
	int dir, file;			/* -1: closed; dir also for a bundle, */
	struct brec_tar tar;		/* which is this one, fd -1: it is a directory. Then file is tar.fd */
	uint64_t at, end_at;		/* in the file: the next byte to be read, and where the segment ends at the latest */
	uint32_t segment;		/* of the open file */
	char name[BREC_NAME_LEN];	/* of the open file */
	uint64_t offset;		/* in the file: of the next byte that frame or header looks at */
	uint8_t *window;		/* bytes of the file, start..end not consumed */
	size_t start, end;
	bool named;			/* the directory, or the one in a bundle, has the name of a recording, */
	uint8_t id[BREC_ID_LEN];	/* which is this one */
};

/* 0, or -1 with errno (EBADMSG: a file that is no bundle). brec_dir_close takes a struct that failed, or was closed. */
int brec_dir_open(struct brec_dir *d, const char *path);
void brec_dir_close(struct brec_dir *d);
/* "PATH: WHAT" for a terminal: the path has names that came with the files, and they are escaped. */
void brec_dir_say(char *out, size_t size, const char *path, const char *what);
/* Has the directory the name of another recording than this? A name that is none of a recording says nothing. */
bool brec_dir_misnamed(const struct brec_dir *d, const uint8_t id[BREC_ID_LEN]);
/* Goes to the start of a segment. 1; 0: there is no such file; -1 with errno (EINVAL: not a plain file). */
int brec_dir_segment(struct brec_dir *d, uint32_t segment);
/* The number in a segment's file name; -1: another name. */
int64_t brec_dir_number(const char *file);
/* The highest segment number that there is; -1: none, or errno is set. */
int64_t brec_dir_last(struct brec_dir *d);

/*
 * The header or the frame at the present place, decoded: BREC_OK and the bytes at *p, which live until the next call; the place
 * does not move. BREC_SHORT: the file ends here (*have 0) or inside (*have bytes are there). BREC_E_*, or 1 with errno: read error.
 */
int brec_dir_header(struct brec_dir *d, struct brec_header *h, const uint8_t **p, size_t *have);
int brec_dir_frame(struct brec_dir *d, struct brec_frame *f, const uint8_t **p, size_t *have);
/* Moves over the `len` bytes that were decoded. */
void brec_dir_skip(struct brec_dir *d, size_t len);

/* A plain file, to be read: whoever put a pipe or a device there keeps nobody waiting. Its descriptor, or -1 with errno (EINVAL: another kind). */
int brec_open_plain(int dir, const char *name);
/* Another plain file of the directory, at most `max` bytes, for free(). NULL with errno (ENOENT, EFBIG, …). */
uint8_t *brec_dir_slurp(struct brec_dir *d, const char *name, size_t max, size_t *len);

#endif
