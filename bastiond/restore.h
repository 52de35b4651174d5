/*
 * restore.h - `bastiond -K FILE` and `bastiond -B FILE`: is this backup whole, and: put it in the database's place.
 * `bastionctl backup check` and `bastionctl restore` exec them.
 */
#ifndef BASTIOND_RESTORE_H
#define BASTIOND_RESTORE_H

#include <stdbool.h>

struct config;

/*
 * As root. Looks at a copy of FILE, which is not touched: pages, references, invariants, version, the whole chain of
 * events. Says what is in it on standard output. 0, or -1 after a line on standard error.
 */
int restore_check(const struct config *conf, const char *file);
/*
 * The same, with the daemon not running; then the copy, carried forward to this version, takes the place of the database, which
 * stays beside it under another name. Grants and requests that were open in it end, unless `keep_grants`: what was revoked since
 * the backup shall not come back. The events say so. 0, or -1 after a line: then the database is the one that it was.
 */
int restore_backup(const struct config *conf, const char *file, bool keep_grants);

#endif
