/*
 * store_sql.h - inside the store: one way to prepare, bind and step. Private to store*.c.
 *
 * A statement is its text: sql() prepares a literal once for each connection and keeps it under the
 * literal's address, so the SQL stands where it is used, and a request never prepares anything
 * after the first time.
 */
#ifndef BASTION_STORE_SQL_H
#define BASTION_STORE_SQL_H

#include <sqlite3.h>

#include "store_otp.h"

#define SQL_CACHE 512	/* statements that are kept; store*.c has some 300 */

struct store {
	sqlite3 *db;
	int depth;	/* of nested transactions */
	bool spoiled; /* a statement failed in this transaction: whoever overlooked it must not
			 commit */
	bool event_added;	/* store_event_added() */
	int64_t data_version;	/* store_changed_by_others() */
	bool misfit;	/* a value of the current row did not fit: the row must not be believed */
	size_t cached;
	struct { const char *text; sqlite3_stmt *st; } cache[SQL_CACHE];
	const sqlite3_stmt *last; /* handed out last: its caller may not have begun with it */
	const struct seal_ring *ring;	/* store_seal_with(); NULL: no secret opens */
	char err[STORE_ERR_MAX];
};

/*
 * The statement for this literal, reset, with its values bound by fmt: i int64_t, t const char *
 * (NULL: NULL), b const void * and size_t. NULL with s->err; sql_next and sql_done take NULL.
 */
sqlite3_stmt *sql(struct store *s, const char *text, const char *fmt, ...);
/* 1: a row; 0: no more; -1: failed, with s->err and errno. After 0 and -1 it is reset. */
int sql_next(struct store *s, sqlite3_stmt *st);
/* Resets, and forgets what was bound. Owed after the last sql_next that returned 1. */
void sql_done(sqlite3_stmt *st);
/* After the columns of the one row that is wanted: sql_done; 1, or -1: a value did not fit. */
int sql_loaded(struct store *s, sqlite3_stmt *st);
/* Runs a statement without rows: the number of changed rows, or -1 (errno EEXIST: a unique value is
 * taken). */
int sql_do(struct store *s, const char *text, const char *fmt, ...);
/* The one integer that a statement yields: 1, 0 no row or NULL, -1. */
int sql_int(struct store *s, int64_t *out, const char *text, const char *fmt, ...);

/* Column `col` as terminated text; NULL is "". What does not fit is a fault of the database: "",
 * and s->misfit. */
void sql_text(struct store *s, sqlite3_stmt *st, int col, char *out, size_t size);
/* Column of exactly len bytes; zeroes if it is not. */
void sql_blob(sqlite3_stmt *st, int col, uint8_t *out, size_t len);
/* FOREVER for NULL. */
int64_t sql_time(sqlite3_stmt *st, int col);

/* Values for a statement's :names; name NULL ends. Names that it does not have are passed over. */
struct sql_named { const char *name; int64_t value; };
struct sql_named_text { const char *name, *value; };
/* All rows as an array of objects (store_list.c says what the columns' names mean); NULL with s->err. */
json_t *sql_rows(struct store *s, const char *text, const struct sql_named *ints,
    const struct sql_named_text *texts);

/* The rows of a statement with the columns of ROLE_SQL, TICKET_SQL: their number, or -1. *roles is the caller's. */
int sql_roles(struct store *s, sqlite3_stmt *st, struct access_role **roles);
int sql_tickets(struct store *s, sqlite3_stmt *st, struct ticket *t, int max);

/* Sets s->err from a format; errno = code. Always -1. */
int store_fail(struct store *s, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* store_schema.c: the scripts that lead from version i to i + 1; NULL ends each. Those after the second stand with what they are for. */
extern const char *const *const store_migrations[STORE_VERSION];

/* A row of requests is open: as it stands here the indexes requests_open_* have it, and they are used for nothing that says it otherwise. */
#define REQUEST_OPEN "state IN ('pending', 'approved', 'active')"
/* When a row g of grants begins and ends by the clock as it is now (struct ticket, `moved`). */
#define GRANT_START "(g.start_at-g.moved)"
#define GRANT_END "(g.end_at-g.moved)"
/* The rights of a row of roles or requests, a line each, as access_rights_text() has them; a capability with a list names each of it, without
 * one itself. */
#define CAPS(t)                                                                            \
	"iif(" t ".caps&1, 'shell' || char(10), '') || iif(" t ".caps&2, 'exec' || char(10), '')" \
	" || iif(" t ".caps&4, 'sftp-read' || char(10), '')"                               \
	" || iif(" t ".caps&16, 'sftp-write' || char(10), '')"                             \
	" || iif(" t ".caps&8, 'scp' || char(10), '')"                                     \
	" || iif(" t ".caps&32, rtrim('forward ' || replace(" t ".forwards, ' ',"          \
	"   char(10) || 'forward ')) || char(10), '')"                                     \
	" || iif(" t ".caps&64, rtrim('command ' || replace(" t ".commands, char(10),"     \
	"   char(10) || 'command ')), '')"
#define CAPS_COMMAND "64"	/* exact commands, and nothing else */
/* store_schema_people.c */
extern const char *const store_schema_sealed[], *const store_schema_devices[], *const store_schema_directory[];

extern const char *const store_v_signed[];	/* store_signature.c */
extern const char *const store_v_glass[], *const store_v_apart[];	/* store_review.c */
extern const char *const store_v_way_grants[];	/* store_session.c */
extern const char *const store_v_hostkeys[];	/* store_hostkey.c */
extern const char *const store_v_accounts[];	/* store_account.c */
extern const char *const store_v_target_keys[];	/* store_target_key.c */
extern const char *const store_v_announced[];	/* store_hostkey.c */
extern const char *const store_v_places[];	/* store_target_key.c */
extern const char *const store_v_clock[], *const store_v_approved[];	/* store_clock.c */
extern const char *const store_v_owner[];	/* store_account.c, too, */
extern const char *const store_v_wasted[];	/* and this */
extern const char *const store_v_held[];	/* store_otp.c */
extern const char *const store_v_rules[];	/* store_schema_rules.c */

#endif
