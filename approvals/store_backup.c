/*
 * store_backup.c - a copy of the database while it is in use (SQLite's backup API), some pages at a time. Policy role.
 *
 * The copy is of one moment: what this connection changes meanwhile SQLite writes into it as well. What another process
 * writes meanwhile (an upgrade, policy_others.c) makes SQLite begin the copy anew.
 */
#include "store_backup.h"
#include "store_sql.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct store_backup {
	struct store *s;
	sqlite3 *to;
	sqlite3_backup *b;
	char path[4200];
};

static int fail(struct store_backup *b, int rc)
{
	/* BUSY: somebody else holds the source for the moment */
	return store_fail(b->s, EIO, "%s: %s", b->path, sqlite3_errstr(rc));
}

struct store_backup *store_backup_begin(struct store *s, const char *path)
{
	struct store_backup *b = calloc(1, sizeof(*b));
	int fd, rc;

	if (b == NULL) {
		store_fail(s, ENOMEM, "%s: no memory", path);
		return NULL;
	}
	b->s = s;
	snprintf(b->path, sizeof(b->path), "%s", path);
	if ((fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0) {
		store_fail(s, errno, "%s: %s", path, strerror(errno));
		free(b);
		return NULL;
	}
	close(fd);
	rc = sqlite3_open_v2(path, &b->to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_exec(b->to, "PRAGMA synchronous=OFF", NULL, NULL, NULL); /* who takes the copy syncs it */
		b->b = sqlite3_backup_init(b->to, "main", s->db, "main");
		rc = b->b != NULL ? SQLITE_OK : sqlite3_errcode(b->to);
	}
	if (rc == SQLITE_OK)
		return b;
	fail(b, rc);
	store_backup_end(b, false);
	return NULL;
}

int store_settle(const char *path, char err[STORE_ERR_MAX])
{
	sqlite3 *db = NULL;
	int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);

	if (rc == SQLITE_OK) /* read first: which kind of journal it has stands in the file */
		rc = sqlite3_exec(db, "PRAGMA schema_version; PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
	snprintf(err, STORE_ERR_MAX, "%s", rc == SQLITE_OK ? "" : db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
	sqlite3_close(db);
	return rc == SQLITE_OK ? 0 : rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB ? 1 : -1;
}

int store_backup_step(struct store_backup *b, int pages)
{
	const int rc = sqlite3_backup_step(b->b, pages);

	if (rc == SQLITE_DONE)
		return 0;
	if (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
		return 1;
	return fail(b, rc);
}

int store_backup_end(struct store_backup *b, bool keep)
{
	int rc = b->b != NULL ? sqlite3_backup_finish(b->b) : SQLITE_OK, r = 0;

	if (sqlite3_close(b->to) != SQLITE_OK && rc == SQLITE_OK)
		rc = SQLITE_BUSY;
	if (keep && rc != SQLITE_OK)
		r = fail(b, rc);
	if (!keep || r != 0)
		unlink(b->path);
	free(b);
	return r;
}
