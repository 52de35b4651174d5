/*
 * write_all.h - all of it to a descriptor, which may be a terminal that somebody else made non-blocking; a name that is to last; and
 * the three descriptors that a program is given.
 */
#ifndef COMMON_WRITE_ALL_H
#define COMMON_WRITE_ALL_H

#include <stddef.h>

/* Waits for as long as it takes. 0, or -1 with errno: nobody reads any more. */
int write_all(int fd, const void *data, size_t len);
/* Makes durable that this path names what it names: fsync of the directory that it is in. 0, or -1 with errno. */
int sync_dir_of(const char *path);
/*
 * Of the standard descriptors those that are closed become ones that cannot be written to, so that no file and no socket gets their
 * numbers and with it what is printed, which fails as before. At the very start. 0, or -1 with errno.
 */
int hold_standard(void);

#endif
