/*
 * brec_tar.h - a bundle: one recording in one POSIX ustar file, as `bastion-replay bundle` makes it and any tar reads it.
 *
 * Runs in the auditor's tools. All names stand below one directory, whose own name is the recording's. Anything but plain files and
 * directories, a name that comes twice, a header that does not add up or a file that ends early makes the whole bundle unreadable: two
 * readers would not see the same in it.
 */
#ifndef BASTION_BREC_TAR_H
#define BASTION_BREC_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BREC_TAR_BLOCK 512
#define BREC_TAR_FILES_MAX (1U << 20)
#define BREC_TAR_NAME_MAX 100

struct brec_tar_entry {
	char name[BREC_TAR_NAME_MAX + 1];	/* below the top directory */
	uint64_t offset, size;			/* of its bytes */
};

struct brec_tar {
	int fd;
	char top[BREC_TAR_NAME_MAX + 1];	/* the directory of all names; "": none came */
	struct brec_tar_entry *v;		/* by name */
	size_t n;
};

/* Takes the descriptor over, in success only. 0; -1 with errno (EBADMSG: not such a file). */
int brec_tar_open(struct brec_tar *t, int fd);
/* That errno in words. */
const char *brec_tar_error(int error);
void brec_tar_close(struct brec_tar *t);
const struct brec_tar_entry *brec_tar_find(const struct brec_tar *t, const char *name);
/* Bytes of an entry, at most `max`, for free(). NULL with errno (ENOENT, EFBIG, …). */
uint8_t *brec_tar_slurp(const struct brec_tar *t, const char *name, size_t max, size_t *len);

/* The header of a plain file, mode 0644, of `size` bytes: 512 bytes to out. -1: the name is too long. */
int brec_tar_header(uint8_t out[BREC_TAR_BLOCK], const char *name, uint64_t size, int64_t mtime);

#endif
