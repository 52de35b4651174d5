/*
 * store_event.c - rows of the event list. Policy role. Only event.c calls this: it knows the chain.
 */
#include "store_sql.h"

#include <string.h>

int store_event_head(struct store *s, int64_t *id, uint8_t hash[EVENT_HASH_LEN])
{
	sqlite3_stmt *st = sql(s, "SELECT id, hash FROM events ORDER BY id DESC LIMIT 1", "");
	int r = sql_next(s, st);

	*id = 0;
	memset(hash, 0, EVENT_HASH_LEN);
	if (r != 1)
		return r;
	*id = sqlite3_column_int64(st, 0);
	sql_blob(st, 1, hash, EVENT_HASH_LEN);
	return sql_loaded(s, st);
}

int store_event_hash(struct store *s, int64_t id, uint8_t hash[EVENT_HASH_LEN])
{
	sqlite3_stmt *st = sql(s, "SELECT hash FROM events WHERE id=?", "i", id);
	int r = sql_next(s, st);

	if (r != 1)
		return r;
	sql_blob(st, 0, hash, EVENT_HASH_LEN);
	return sql_loaded(s, st);
}

int store_event_insert(struct store *s, const struct event_row *e,
    const uint8_t hash[EVENT_HASH_LEN])
{
	return sql_do(s,
		   "INSERT INTO events (id, at, kind, actor, subject, detail, hash) VALUES "
		   "(?,?,?,?,?,?,?)",
		   "iittttb", e->id, e->at, e->kind, e->actor, e->subject, e->detail,
		   (const void *)hash, (size_t)EVENT_HASH_LEN) < 0 ?
	    -1 :
	    0;
}

int store_event_each(struct store *s, int64_t after,
    int (*fn)(void *arg, const struct event_row *e, const uint8_t *hash, size_t len), void *arg)
{
	sqlite3_stmt *st = sql(s,
	    "SELECT id, at, kind, actor, subject, detail, hash FROM events WHERE id>? ORDER BY id",
	    "i", after);
	int r;

	while ((r = sql_next(s, st)) == 1) {
		const struct event_row e = {
			.id = sqlite3_column_int64(st, 0),
			.at = sqlite3_column_int64(st, 1),
			.kind = (const char *)sqlite3_column_text(st, 2),
			.actor = (const char *)sqlite3_column_text(st, 3),
			.subject = (const char *)sqlite3_column_text(st, 4),
			.detail = (const char *)sqlite3_column_text(st, 5),
		};

		if (fn(arg, &e, sqlite3_column_blob(st, 6), (size_t)sqlite3_column_bytes(st, 6)) !=
		    0) {
			sql_done(st);
			return 0;
		}
	}
	return r;
}
