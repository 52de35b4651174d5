/*
 * collector_file.h - the small files that collectord.conf names.
 */
#ifndef BASTION_COLLECTOR_FILE_H
#define BASTION_COLLECTOR_FILE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A file of at most `max` bytes, whole, with a NUL behind it; *len (may be NULL) without. secret: none but its owner may have a right to it.
 * NULL with why[size], which names the file. The caller frees the result.
 */
char *coll_file(const char *path, size_t max, bool secret, size_t *len, char *why, size_t size);

#endif
