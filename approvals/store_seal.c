/*
 * store_seal.c - the secrets of the whole database under the key in use: what is in clear from before is sealed,
 * what is sealed under another key of the ring is sealed anew. Policy role, at its start and when its keys change.
 */
#include "store_sql.h"

#include <errno.h>
#include <string.h>

#include "log.h"

/* A row of the table that held secrets in clear, the first. 1, 0, -1. */
static int take_plain(struct store *s, int64_t *user_id)
{
	sqlite3_stmt *st = sql(s, "SELECT user_id, secret, fresh FROM totp_plain ORDER BY user_id LIMIT 1", "");
	uint8_t plain[2][TOTP_SECRET_LEN], sealed[2][TOTP_SECRET_LEN + SEAL_OVER];
	size_t have[2];
	int r = sql_next(s, st), bad = 0;

	if (r != 1)
		return r;
	*user_id = sqlite3_column_int64(st, 0);
	for (int i = 0; i < 2; i++) {
		have[i] = sqlite3_column_bytes(st, i + 1) == TOTP_SECRET_LEN ? sizeof(sealed[i]) : 0;
		sql_blob(st, i + 1, plain[i], sizeof(plain[i]));
		if (have[i] != 0)
			bad |= seal_close(s->ring, "totp", *user_id, plain[i], sizeof(plain[i]), sealed[i]);
	}
	sql_done(st);
	explicit_bzero(plain, sizeof(plain));
	if (bad != 0)
		return store_fail(s, EIO, "a secret cannot be sealed");
	if (sql_do(s,
		"INSERT INTO totp (user_id, secret, fresh, last_counter, drift, enrolled, confirmed) SELECT user_id, "
		"nullif(?2, x''), nullif(?3, x''), last_counter, 0, enrolled, confirmed FROM totp_plain WHERE user_id=?1",
		"ibb", *user_id, (const void *)sealed[0], have[0], (const void *)sealed[1], have[1]) != 1 ||
	    sql_do(s, "DELETE FROM totp_plain WHERE user_id=?", "i", *user_id) != 1)
		return -1;
	return 1;
}

/* *n: how many there were. The table goes, so that nothing plain is ever taken again. */
static int seal_plain(struct store *s, int64_t *n)
{
	int64_t there, user_id;
	int r = sql_int(s, &there, "SELECT 1 FROM sqlite_master WHERE type='table' AND name='totp_plain'", "");

	*n = 0;
	if (r <= 0)
		return r;
	while ((r = take_plain(s, &user_id)) == 1)
		++*n;
	if (r == 0 && sqlite3_exec(s->db, "DROP TABLE totp_plain", NULL, NULL, NULL) != SQLITE_OK)
		r = store_fail(s, EIO, "database: %s", sqlite3_errmsg(s->db));
	return r;
}

struct column {
	const char *purpose, *next, *put;
	size_t len;
};

/* One sealed value under the key in use. 1 changed, 0 was so, -1: it does not open, or the store failed (spoiled). */
static int again(struct store *s, const struct column *c, int64_t user_id, const uint8_t *old)
{
	uint8_t plain[SEAL_PLAIN_MAX], fresh[SEAL_PLAIN_MAX + SEAL_OVER];
	int r = -1;

	if (seal_is_current(s->ring, old))
		return 0;
	if (seal_open(s->ring, c->purpose, user_id, old, plain, c->len) == 0 &&
	    seal_close(s->ring, c->purpose, user_id, plain, c->len, fresh) == 0 &&
	    sql_do(s, c->put, "ib", user_id, (const void *)fresh, c->len + SEAL_OVER) == 1)
		r = 1;
	explicit_bzero(plain, sizeof(plain));
	return r;
}

/* A column, row by row. 0, or -1: the store failed. */
static int reseal(struct store *s, const struct column *c, int64_t *changed, int64_t *lost)
{
	uint8_t old[SEAL_PLAIN_MAX + SEAL_OVER];
	int64_t user_id = 0;
	sqlite3_stmt *st;
	int r;

	while ((st = sql(s, c->next, "i", user_id)) != NULL && (r = sql_next(s, st)) == 1) {
		user_id = sqlite3_column_int64(st, 0);
		sql_blob(st, 1, old, c->len + SEAL_OVER);
		sql_done(st);
		r = again(s, c, user_id, old);
		*changed += r == 1;
		*lost += r < 0;
		if (r < 0 && s->spoiled)
			return -1;
	}
	return st == NULL ? -1 : r;
}

static int seal_all(struct store *s, int64_t now)
{
	static const struct column columns[] = {
		{ "totp", "SELECT user_id, secret FROM totp WHERE user_id>? AND secret IS NOT NULL ORDER BY user_id LIMIT 1",
		    "UPDATE totp SET secret=?2 WHERE user_id=?1", TOTP_SECRET_LEN },
		{ "totp", "SELECT user_id, fresh FROM totp WHERE user_id>? AND fresh IS NOT NULL ORDER BY user_id LIMIT 1",
		    "UPDATE totp SET fresh=?2 WHERE user_id=?1", TOTP_SECRET_LEN },
		{ "recovery", "SELECT user_id, key FROM recovery_sets WHERE user_id>? ORDER BY user_id LIMIT 1",
		    "UPDATE recovery_sets SET key=?2 WHERE user_id=?1", RECOVERY_KEY_LEN },
	};
	int64_t plain, changed = 0, lost = 0;

	if (seal_plain(s, &plain) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		if (reseal(s, &columns[i], &changed, &lost) < 0)
			return -1;
	if (lost > 0)
		log_error("%lld secrets do not open with the keys of totp_key: their users cannot log in before the key is "
		    "back, or they are enrolled anew", (long long)lost);
	if (plain + changed == 0)
		return 0;
	log_notice("one-time code secrets: %lld sealed, %lld sealed anew under the key in use", (long long)plain,
	    (long long)changed);
	return event_writef(s, now, EVENT_TOTP_SEAL, "bastiond", NULL, "{s:I,s:I,s:I}", "plain", (json_int_t)plain, "again",
	    (json_int_t)changed, "lost", (json_int_t)lost) < 0 ? -1 : 1;
}

int store_seal(struct store *s, int64_t now)
{
	int r;

	if (s->ring == NULL || s->ring->n == 0)
		return store_fail(s, EIO, "there is no key to seal the one-time code secrets with");
	if (store_begin(s) < 0)
		return -1;
	if ((r = seal_all(s, now)) < 0) {
		store_rollback(s);
		return -1;
	}
	if (store_commit(s) < 0)
		return -1;
	/* what was there in clear, or under the key before, is in the log of writes still */
	if (r > 0 && sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK)
		log_warn("the database's log of writes could not be emptied: secrets of before stay in it for a while");
	return 0;
}
