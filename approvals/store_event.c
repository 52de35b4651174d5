/*
 * store_event.c - rows of the event list. Policy role. event.c, which knows the chain, adds and takes
 * away; policy_events.c reads, and notes what the collectors have.
 */
#include "store_sql.h"

#include <errno.h>
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
	s->event_added = true;
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

bool store_event_added(struct store *s)
{
	bool added = s->event_added;

	s->event_added = false;
	return added;
}

int store_event_at(struct store *s, int64_t id, int64_t *at)
{
	return sql_int(s, at, "SELECT at FROM events WHERE id=?", "i", id);
}

int store_event_log(struct store *s, struct event_log *log)
{
	sqlite3_stmt *st = sql(s, "SELECT log, shipped, recording, pruned, pruned_hash FROM event_log", "");
	int r = sql_next(s, st);

	memset(log, 0, sizeof(*log));
	if (r != 1)
		return r == 0 ? store_fail(s, EIO, "database: event_log has no row") : -1;
	sql_blob(st, 0, log->log, sizeof(log->log));
	log->shipped = sqlite3_column_int64(st, 1);
	log->recorded = sqlite3_column_type(st, 2) != SQLITE_NULL;
	sql_blob(st, 2, log->recording, sizeof(log->recording));
	log->pruned = sqlite3_column_int64(st, 3);
	sql_blob(st, 4, log->pruned_hash, sizeof(log->pruned_hash));
	return sql_loaded(s, st) == 1 ? 0 : -1;
}

int store_event_shipped(struct store *s, int64_t number)
{
	return sql_do(s, "UPDATE event_log SET shipped=max(shipped, ?)", "i", number) < 0 ? -1 : 0;
}

int store_event_recording(struct store *s, const uint8_t recording[STORE_RECORDING_LEN])
{
	return sql_do(s, "UPDATE event_log SET recording=?", "b", (const void *)recording,
		   (size_t)STORE_RECORDING_LEN) < 0 ? -1 : 0;
}

int store_event_prune(struct store *s, int64_t last, const uint8_t hash[EVENT_HASH_LEN])
{
	return sql_do(s, "UPDATE event_log SET pruned=?, pruned_hash=?", "ib", last,
		   (const void *)hash, (size_t)EVENT_HASH_LEN) < 0 ||
	    sql_do(s, "DELETE FROM events WHERE id<=?", "i", last) < 0 ? -1 : 0;
}

int store_event_young(struct store *s, int64_t before, int64_t most, int64_t *id)
{
	*id = most + 1;
	return sql_int(s, id, "SELECT id FROM events WHERE id<=?2 AND at>=?1 ORDER BY id LIMIT 1",
		   "ii", before, most) < 0 ? -1 : 0;
}
