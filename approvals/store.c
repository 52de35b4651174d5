/*
 * store.c - the database file: create, open, migrate, check, transactions, statements.
 *
 * Policy role. See store.h for what it promises; store_sql.h for the tools that the other store_*.c
 * use.
 */
#include "store_sql.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

#define APPLICATION_ID 0x42415354	/* "BAST", bytes 68..71 of the file */
#define BUSY_MS 5000
#define VALUE_MAX (1 << 20)		/* no text, blob or statement is larger */

int store_fail(struct store *s, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->err, sizeof(s->err), fmt, ap);
	va_end(ap);
	errno = code;
	return -1;
}

/* What SQLite has to say, with what the operator can do where that is known. */
static int db_fail(struct store *s, const char *what)
{
	int rc = sqlite3_extended_errcode(s->db);
	const char *advice = "";

	switch (rc & 0xff) {
	case SQLITE_FULL: advice = ": make room on its file system"; break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: advice = ": restore it from a backup"; break;
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
		advice = ": check the owner and mode of the file and its directory";
		break;
	case SQLITE_BUSY: advice = ": another program keeps it locked"; break;
	default: break;
	}
	if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY)
		return store_fail(s, EEXIST, "database: %s", sqlite3_errmsg(s->db));
	s->spoiled = true;
	return store_fail(s, EIO, "database: %s: %s%s", what, sqlite3_errmsg(s->db), advice);
}

const char *store_error(const struct store *s)
{
	return s->err[0] != '\0' ? s->err : "database: no failure";
}

/* --- statements --- */

/* The last one takes the place of one that nobody is in the midst of. */
static bool forget_one(struct store *s)
{
	for (size_t i = 0; i < s->cached; i++)
		if (s->cache[i].st != s->last && !sqlite3_stmt_busy(s->cache[i].st)) {
			sqlite3_finalize(s->cache[i].st);
			s->cache[i] = s->cache[--s->cached];
			return true;
		}
	return false;
}

static sqlite3_stmt *prepare(struct store *s, const char *text)
{
	sqlite3_stmt *st = NULL;

	for (size_t i = 0; i < s->cached; i++)
		if (s->cache[i].text == text)
			return s->cache[i].st;
	if (s->cached == SQL_CACHE && !forget_one(s)) {
		store_fail(s, ENOSPC, "database: over %d statements at once", SQL_CACHE);
		return NULL;
	}
	if (sqlite3_prepare_v3(s->db, text, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL) !=
	    SQLITE_OK) {
		db_fail(s, "prepare");
		return NULL;
	}
	s->cache[s->cached].text = text;
	s->cache[s->cached++].st = st;
	return st;
}

static int bind(sqlite3_stmt *st, const char *fmt, va_list ap)
{
	int rc = SQLITE_OK;

	for (int i = 1; *fmt != '\0' && rc == SQLITE_OK; i++, fmt++) {
		if (*fmt == 'i') {
			rc = sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
		} else if (*fmt == 't') {
			rc = sqlite3_bind_text(st, i, va_arg(ap, const char *), -1,
			    SQLITE_TRANSIENT);
		} else {
			const void *data = va_arg(ap, const void *);

			rc = sqlite3_bind_blob64(st, i, data, va_arg(ap, size_t), SQLITE_TRANSIENT);
		}
	}
	return rc;
}

static sqlite3_stmt *sql_va(struct store *s, const char *text, const char *fmt, va_list ap)
{
	sqlite3_stmt *st;

	/* a full disk or no memory ends SQLite's transaction by itself: what follows must not
	 * commit on its own */
	if (s->depth > 0 && sqlite3_get_autocommit(s->db)) {
		store_fail(s, EIO, "database: the transaction was undone");
		return NULL;
	}
	if ((st = prepare(s, text)) == NULL)
		return NULL;
	s->last = st;
	sql_done(st);
	s->misfit = false;
	if (bind(st, fmt, ap) != SQLITE_OK) {
		db_fail(s, "bind");
		sql_done(st);
		return NULL;
	}
	return st;
}

sqlite3_stmt *sql(struct store *s, const char *text, const char *fmt, ...)
{
	sqlite3_stmt *st;
	va_list ap;

	va_start(ap, fmt);
	st = sql_va(s, text, fmt, ap);
	va_end(ap);
	return st;
}

void sql_done(sqlite3_stmt *st)
{
	if (st == NULL)
		return;
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
}

int sql_next(struct store *s, sqlite3_stmt *st)
{
	int rc, r;

	if (st == NULL)
		return -1;
	if ((rc = sqlite3_step(st)) == SQLITE_ROW)
		return 1;
	r = rc == SQLITE_DONE ? 0 : db_fail(s, "step");
	rc = errno;
	sql_done(st);
	errno = rc;
	return r;
}

int sql_loaded(struct store *s, sqlite3_stmt *st)
{
	sql_done(st);
	if (!s->misfit)
		return 1;
	errno = EIO;
	return -1;
}

int sql_do(struct store *s, const char *text, const char *fmt, ...)
{
	sqlite3_stmt *st;
	va_list ap;
	int r;

	va_start(ap, fmt);
	st = sql_va(s, text, fmt, ap);
	va_end(ap);
	while ((r = sql_next(s, st)) == 1)
		;
	return r == 0 ? sqlite3_changes(s->db) : -1;
}

int sql_int(struct store *s, int64_t *out, const char *text, const char *fmt, ...)
{
	sqlite3_stmt *st;
	va_list ap;
	int r;

	va_start(ap, fmt);
	st = sql_va(s, text, fmt, ap);
	va_end(ap);
	if ((r = sql_next(s, st)) != 1)
		return r;
	r = sqlite3_column_type(st, 0) != SQLITE_NULL;
	if (r)
		*out = sqlite3_column_int64(st, 0);
	sql_done(st);
	return r;
}

void sql_text(struct store *s, sqlite3_stmt *st, int col, char *out, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(st, col);
	size_t len = text != NULL ? (size_t)sqlite3_column_bytes(st, col) : 0;

	if (len >= size || (len > 0 && memchr(text, '\0', len) != NULL)) {
		store_fail(s, EIO, "database: a value in column %s does not fit",
		    sqlite3_column_name(st, col));
		s->misfit = true;
		len = 0;
	}
	if (len > 0)
		memcpy(out, text, len);
	out[len] = '\0';
}

void sql_blob(sqlite3_stmt *st, int col, uint8_t *out, size_t len)
{
	const void *blob = sqlite3_column_blob(st, col);

	memset(out, 0, len);
	if (blob != NULL && (size_t)sqlite3_column_bytes(st, col) == len)
		memcpy(out, blob, len);
}

int64_t sql_time(sqlite3_stmt *st, int col)
{
	return sqlite3_column_type(st, col) == SQLITE_NULL ? FOREVER :
							     sqlite3_column_int64(st, col);
}

/* --- transactions --- */

bool store_in_transaction(const struct store *s)
{
	return s->depth > 0;
}

int store_begin(struct store *s)
{
	int r = s->depth == 0 ? sql_do(s, "BEGIN IMMEDIATE", "") :
				sql_do(s, "SAVEPOINT inner_one", "");

	if (r < 0)
		return -1;
	if (s->depth++ == 0)
		s->spoiled = false;
	return 0;
}

int store_commit(struct store *s)
{
	int r = -1;

	if (s->spoiled)
		errno = EIO;
	else
		r = s->depth == 1 ? sql_do(s, "COMMIT", "") : sql_do(s, "RELEASE inner_one", "");
	if (r < 0) {
		int e = errno;

		store_rollback(s);
		errno = e;
		return -1;
	}
	s->depth--;
	return 0;
}

void store_rollback(struct store *s)
{
	char keep[STORE_ERR_MAX];

	memcpy(keep, s->err, sizeof(keep)); /* the failure that led here is the one to tell */
	if (!sqlite3_get_autocommit(s->db)) {
		if (s->depth == 1)
			sql_do(s, "ROLLBACK", "");
		else
			sql_do(s, "ROLLBACK TO inner_one", "");
		if (s->depth > 1)
			sql_do(s, "RELEASE inner_one", "");
	}
	if (s->depth > 0)
		s->depth--;
	memcpy(s->err, keep, sizeof(keep));
}

/* --- the file --- */

/* Settings of this connection; WAL stays in the file, the others do not. */
static int configure(struct store *s)
{
	static const struct { int op, on; } conf[] = {
		{ SQLITE_DBCONFIG_ENABLE_FKEY, 1 }, { SQLITE_DBCONFIG_DEFENSIVE, 1 },
		{ SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 }, { SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 },
		{ SQLITE_DBCONFIG_DQS_DML, 0 }, { SQLITE_DBCONFIG_DQS_DDL, 0 },
	};
	static const char *const pragmas = "PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; "
					   "PRAGMA temp_store=MEMORY;"
					   "PRAGMA cell_size_check=ON; PRAGMA "
					   "wal_autocheckpoint=1000; PRAGMA "
					   "journal_size_limit=16777216;";

	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, VALUE_MAX);
	sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, 0);
	for (size_t i = 0; i < sizeof(conf) / sizeof(conf[0]); i++)
		if (sqlite3_db_config(s->db, conf[i].op, conf[i].on, NULL) != SQLITE_OK)
			return db_fail(s, "configure");
	return sqlite3_exec(s->db, pragmas, NULL, NULL, NULL) == SQLITE_OK ?
	    0 :
	    db_fail(s, "configure");
}

/* "PATH: what" in err[STORE_ERR_MAX]. */
static void say_file(char *err, const char *path, const char *what)
{
	snprintf(err, STORE_ERR_MAX, "%.120s: %.380s", path, what);
}

static struct store *open_file(const char *path, char *err)
{
	struct store *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		snprintf(err, STORE_ERR_MAX, "%s: no memory", path);
		return NULL;
	}
	if (sqlite3_open_v2(path, &s->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
		NULL) == SQLITE_OK &&
	    configure(s) == 0)
		return s;
	if (s->err[0] == '\0')
		db_fail(s, "open");
	say_file(err, path, s->err);
	store_close(s);
	return NULL;
}

static int run_scripts(struct store *s, const char *const *script)
{
	for (; *script != NULL; script++)
		if (sqlite3_exec(s->db, *script, NULL, NULL, NULL) != SQLITE_OK)
			return db_fail(s, "migration");
	return 0;
}

/* From the version in the file to ours, each step one transaction: a step that fails leaves the
 * version before it. */
static int migrate(struct store *s)
{
	int64_t version = 0;

	if (sql_int(s, &version, "PRAGMA user_version", "") != 1)
		return -1;
	for (; version < STORE_VERSION; version++) {
		char set[64];
		const char *const mark[] = { set, NULL };

		snprintf(set, sizeof(set), "PRAGMA user_version=%d", (int)version + 1);
		if (store_begin(s) < 0)
			return -1;
		if (run_scripts(s, store_migrations[version]) < 0 || run_scripts(s, mark) < 0) {
			store_rollback(s);
			return -1;
		}
		if (store_commit(s) < 0)
			return -1;
	}
	return 0;
}

/* Ours, and of a version that this program knows? */
static int check_version(struct store *s)
{
	int64_t app = 0, version = 0;

	if (sql_int(s, &app, "PRAGMA application_id", "") != 1 ||
	    sql_int(s, &version, "PRAGMA user_version", "") != 1)
		return -1;
	if (app != APPLICATION_ID)
		return store_fail(s, EINVAL,
		    "this is no database of bastiond (application id %08llx): "
		    "check state_dir, or make one with 'bastionctl init'",
		    (unsigned long long)app);
	if (version > STORE_VERSION)
		return store_fail(s, EINVAL,
		    "its schema has version %lld, this bastiond knows %d: install the bastiond "
		    "that "
		    "wrote it, or restore the backup made before the upgrade",
		    (long long)version, STORE_VERSION);
	return 0;
}

static int check_pages(struct store *s, const char *pragma)
{
	sqlite3_stmt *st = sql(s, pragma, "");
	const char *text;
	int r = sql_next(s, st);

	if (r != 1)
		return r == 0 ? 0 : -1;
	text = (const char *)sqlite3_column_text(st, 0);
	r = 0;
	if (text == NULL || strcmp(text, "ok") != 0)
		r = store_fail(s, EIO, "damaged (%s): restore it from a backup",
		    text != NULL ? text : "?");
	sql_done(st);
	return r;
}

/* Ours exactly? */
static int check_same(struct store *s)
{
	int64_t version = 0;

	if (sql_int(s, &version, "PRAGMA user_version", "") != 1)
		return -1;
	return version == STORE_VERSION ? 0 : store_fail(s, EINVAL,
	    "its schema has version %lld, this program's is %d, and the old program is at work with it: end that first, "
	    "by a restart", (long long)version, STORE_VERSION);
}

static struct store *open_store(const char *path, char *err, bool beside)
{
	struct store *s = open_file(path, err);

	if (s == NULL)
		return NULL;
	if (check_version(s) == 0 && check_pages(s, "PRAGMA quick_check(1)") == 0 &&
	    (beside ? check_same(s) : migrate(s)) == 0)
		return s;
	say_file(err, path, s->err);
	store_close(s);
	return NULL;
}

struct store *store_open(const char *path, char *err)
{
	return open_store(path, err, false);
}

struct store *store_open_beside(const char *path, char *err)
{
	return open_store(path, err, true);
}

bool store_changed_by_others(struct store *s)
{
	int64_t now = s->data_version;
	bool changed = sql_int(s, &now, "PRAGMA data_version", "") == 1 && now != s->data_version;

	s->data_version = now;
	return changed;
}

int store_create(const char *path, char *err)
{
	int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct store *s;
	char set[64];
	int r = -1;

	if (fd < 0) {
		snprintf(err, STORE_ERR_MAX, "%s: %s", path, strerror(errno));
		return -1;
	}
	close(fd);
	if ((s = open_file(path, err)) == NULL)
		goto undo;
	snprintf(set, sizeof(set), "PRAGMA application_id=%d", APPLICATION_ID);
	if (sqlite3_exec(s->db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(s->db, set, NULL, NULL, NULL) != SQLITE_OK)
		db_fail(s, "create");
	else if (migrate(s) == 0 && event_writef(s, clock_wall(), EVENT_INIT, "root", NULL, "{s:i}",
	    "version", STORE_VERSION) == 0)
		r = 0;
	if (r < 0)
		say_file(err, path, s->err);
	store_close(s);
undo:
	if (r < 0) {
		unlink(path);
		errno = EIO;
	}
	return r;
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->cached; i++)
		sqlite3_finalize(s->cache[i].st);
	sqlite3_close(s->db);
	explicit_bzero(s->err, sizeof(s->err));
	free(s);
}

int store_check(struct store *s, char *err)
{
	/* each yields a line for a row that must not be */
	static const char *const faults[] = {
		"SELECT 'row ' || rowid || ' of ' || \"table\" || ' points to nothing' FROM "
		"pragma_foreign_key_check LIMIT 1",
		"SELECT 'request ' || r.id || ': approved by who asked' FROM verdicts v JOIN "
		"requests r ON r.id=v.request_id "
		"JOIN users u ON u.id IN (r.user_id, r.by_id) AND u.person=v.person COLLATE NOCASE "
		"LIMIT 1",
		"SELECT 'grant ' || g.id || ': fewer approvals than it needs' FROM grants g JOIN "
		"requests r ON r.id=g.id "
		"WHERE r.needed>(SELECT count(*) FROM verdicts v WHERE v.request_id=r.id AND "
		"v.yes=1) LIMIT 1",
		"SELECT 'request ' || r.id || ': state ' || r.state || ' and its grant do not fit' "
		"FROM requests r LEFT JOIN grants g "
		"ON g.id=r.id WHERE (g.id IS NOT NULL)<>(r.state IN "
		"('approved','active','ended','revoked')) "
		"OR (g.id IS NOT NULL AND g.end_at<>g.start_at+r.duration) LIMIT 1",
	};
	int r = check_pages(s, "PRAGMA integrity_check(1)");

	for (size_t i = 0; r == 0 && i < sizeof(faults) / sizeof(faults[0]); i++) {
		sqlite3_stmt *st = sql(s, faults[i], "");

		if ((r = sql_next(s, st)) == 1) {
			sql_text(s, st, 0, err, STORE_ERR_MAX);
			sql_done(st);
		}
	}
	if (r < 0)
		snprintf(err, STORE_ERR_MAX, "%s", s->err);
	return r;
}
