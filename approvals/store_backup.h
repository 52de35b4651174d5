/*
 * store_backup.h - a copy of the database while it is in use. Policy role.
 */
#ifndef BASTION_STORE_BACKUP_H
#define BASTION_STORE_BACKUP_H

#include "store.h"

struct store_backup;

/* A new file, mode 0600, that becomes the copy. NULL with store_error(s). */
struct store_backup *store_backup_begin(struct store *s, const char *path);
/* So many pages more, -1: all. 1: call again; 0: that was all; -1 with store_error(s). Not within a transaction of s. */
int store_backup_step(struct store_backup *b, int pages);
/* Frees it; keep: after the last step. Otherwise the file is removed. 0, or -1: it is no good, and removed. */
int store_backup_end(struct store_backup *b, bool keep);

/*
 * Puts what the write-ahead log of the database at path holds into its file, durably: the file is all of it then. Nobody may have it open.
 * 0; 1: it is no database, or a damaged one; -1: it is as it was, and why in err.
 */
int store_settle(const char *path, char err[STORE_ERR_MAX]);

#endif
