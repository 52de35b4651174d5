/*
 * store_user.c - users and their devices. Policy role; see store.h.
 */
#include "store_sql.h"

#include <errno.h>
#include <string.h>

#include "store_key.h"

#define USER_SQL                                                                                   \
	"SELECT id, name, person, kind, state, admin, auditor, uid, networks, until FROM users "

static const char *const kinds[] = { "human", "service" };
static const char *const states[] = { "active", "locked", "removed" };

/* Text of a column that a CHECK bounds to these words; anything else is the last, which gives
 * least. */
static unsigned word_of(sqlite3_stmt *st, int col, const char *const *words, unsigned n)
{
	const char *text = (const char *)sqlite3_column_text(st, col);
	unsigned i = 0;

	while (i < n - 1 && (text == NULL || strcmp(text, words[i]) != 0))
		i++;
	return i;
}

static void load_user(struct store *s, sqlite3_stmt *st, struct user *u)
{
	u->id = sqlite3_column_int64(st, 0);
	sql_text(s, st, 1, u->name, sizeof(u->name));
	sql_text(s, st, 2, u->person, sizeof(u->person));
	u->kind = word_of(st, 3, kinds, 2);
	u->state = word_of(st, 4, states, 3);
	u->admin = sqlite3_column_int(st, 5) == 1;
	u->auditor = sqlite3_column_int(st, 6) == 1;
	u->uid = sqlite3_column_type(st, 7) == SQLITE_NULL ? -1 : sqlite3_column_int64(st, 7);
	sql_text(s, st, 8, u->networks, sizeof(u->networks));
	u->until = sql_time(st, 9);
}

static int one_user(struct store *s, sqlite3_stmt *st, struct user *u)
{
	int r = sql_next(s, st);

	memset(u, 0, sizeof(*u));
	u->state = USER_REMOVED;
	if (r != 1)
		return r;
	load_user(s, st, u);
	return sql_loaded(s, st);
}

int store_user(struct store *s, int64_t id, struct user *u)
{
	return one_user(s, sql(s, USER_SQL "WHERE id=?", "i", id), u);
}

int store_user_by_name(struct store *s, const char *name, struct user *u)
{
	return one_user(s, sql(s, USER_SQL "WHERE name=?", "t", name), u);
}

int store_user_by_uid(struct store *s, int64_t uid, struct user *u)
{
	return one_user(s, sql(s, USER_SQL "WHERE uid=? AND state<>'removed'", "i", uid), u);
}

int store_user_of_person(struct store *s, const char *person, int64_t after, struct user *u)
{
	return one_user(s,
	    sql(s, USER_SQL "WHERE person=? AND state<>'removed' AND id>? ORDER BY id LIMIT 1", "ti",
		person, after),
	    u);
}

/* Is this uid another user's? */
static int uid_taken(struct store *s, const struct user *u)
{
	int64_t id;
	int r = sql_int(s, &id, "SELECT id FROM users WHERE uid=?1 AND name<>?2", "it", u->uid,
	    u->name);

	return r == 1 ?
	    store_fail(s, EADDRINUSE, "uid %lld belongs to another user", (long long)u->uid) :
	    r;
}

/* Names are never given back, so this bounds the table. */
static int room_for_user(struct store *s)
{
	int64_t n = 0;

	if (sql_int(s, &n, "SELECT count(*) FROM users", "") < 0)
		return -1;
	return n < STORE_USERS_MAX ? 0 : store_fail(s, ENOSPC, "there are %d users", STORE_USERS_MAX);
}

static int insert_user(struct store *s, struct user *u, int64_t now)
{
	static const char text[] = "INSERT INTO users (id, name, person, kind, state, admin, "
				   "auditor, uid, networks, until, added) "
				   "VALUES ((SELECT id FROM users WHERE name=?1), ?1, ?2, ?3, "
				   "'active', ?4, ?5, iif(?6<0, NULL, ?6), ?7, "
				   "iif(?8=9223372036854775807, NULL, ?8), ?9) ON CONFLICT (name) "
				   "DO UPDATE SET kind=excluded.kind, state='active', "
				   "admin=excluded.admin, auditor=excluded.auditor, "
				   "uid=excluded.uid, networks=excluded.networks, "
				   "until=excluded.until, why='' WHERE state='removed' AND "
				   "person=excluded.person COLLATE NOCASE";
	int r = sql_do(s, text, "tttiiitii", u->name, u->person, kinds[u->kind], (int64_t)u->admin,
	    (int64_t)u->auditor, u->uid, u->networks, u->until, now);

	if (r == 0)
		return store_fail(s, EEXIST, "the name %s is taken", u->name);
	return r < 0 ? -1 : 0;
}

int store_user_add(struct store *s, struct user *u, int64_t now)
{
	struct user row;
	int e;

	if (store_begin(s) < 0)
		return -1;
	if (room_for_user(s) < 0 || (u->uid >= 0 && uid_taken(s, u) < 0) ||
	    insert_user(s, u, now) < 0 || store_user_by_name(s, u->name, &row) != 1) {
		e = errno;
		store_rollback(s);
		errno = e;
		return -1;
	}
	*u = row;
	return store_commit(s);
}

int store_user_strip(struct store *s, int64_t id, int64_t now)
{
	if (sql_do(s, "DELETE FROM role_users WHERE user_id=?", "i", id) < 0 ||
	    sql_do(s, "UPDATE users SET admin=0, auditor=0 WHERE id=?", "i", id) < 0)
		return -1;
	return store_grace_clear(s, id, now);
}

/* What a removed user must not leave behind: whoever gets the name back starts with nothing. */
static int strip_user(struct store *s, int64_t id, int64_t now)
{
	if (store_devices_revoke(s, id, now) < 0 ||
	    store_user_strip(s, id, now) < 0 ||
	    sql_do(s, "UPDATE users SET uid=NULL, directory=0 WHERE id=?", "i", id) < 0)
		return -1;
	return store_totp_reset(s, id);
}

int store_user_state(struct store *s, int64_t id, enum user_state state, const char *why,
    int64_t now)
{
	if (store_begin(s) < 0)
		return -1;
	if (sql_do(s, "UPDATE users SET state=?2, why=?3 WHERE id=?1 AND state<>'removed'", "itt",
		id, states[state], why != NULL ? why : "") < 0 ||
	    (state != USER_ACTIVE && store_grace_clear(s, id, now) < 0) ||
	    (state == USER_REMOVED && strip_user(s, id, now) < 0)) {
		store_rollback(s);
		return -1;
	}
	return store_commit(s);
}

int store_user_due(struct store *s, int64_t now, struct user *u, int64_t *deadline)
{
	int r = sql_int(s, deadline,
	    "SELECT min(until) FROM users WHERE state='active' AND until>?", "i", now);

	if (r < 0)
		return -1;
	if (r == 0)
		*deadline = FOREVER;
	return one_user(s, sql(s, USER_SQL "WHERE state='active' AND until<=? LIMIT 1", "i", now),
	    u);
}

/* --- devices --- */

#define DEVICE_SQL "SELECT id, user_id, name, type, fingerprint, revoked IS NOT NULL FROM devices "

static int one_device(struct store *s, sqlite3_stmt *st, struct device *d)
{
	int r = sql_next(s, st);

	memset(d, 0, sizeof(*d));
	d->revoked = true;
	if (r != 1)
		return r;
	d->id = sqlite3_column_int64(st, 0);
	d->user_id = sqlite3_column_int64(st, 1);
	sql_text(s, st, 2, d->name, sizeof(d->name));
	sql_text(s, st, 3, d->type, sizeof(d->type));
	sql_text(s, st, 4, d->fingerprint, sizeof(d->fingerprint));
	d->revoked = sqlite3_column_int(st, 5) != 0;
	return sql_loaded(s, st);
}

int store_device_login(struct store *s, const char *user, const void *blob, size_t len,
    struct user *u, struct device *d)
{
	char fingerprint[STORE_FPR_MAX + 1];
	int known, found;

	if (key_fingerprint(blob, len, fingerprint) < 0)
		return store_fail(s, EIO, "SHA-256 failed");
	known = store_user_by_name(s, user, u); /* id 0 if nobody: the next one runs all the same */
	found = one_device(s,
	    sql(s, DEVICE_SQL "WHERE fingerprint=?1 AND user_id=?2 AND blob=?3 AND revoked IS NULL",
		"tib", fingerprint, u->id, blob, len),
	    d);
	if (known < 0 || found < 0)
		return -1;
	return known == 1 && found == 1 && u->state != USER_REMOVED;
}

int store_device(struct store *s, int64_t id, struct device *d)
{
	return one_device(s, sql(s, DEVICE_SQL "WHERE id=?", "i", id), d);
}

int store_device_by_name(struct store *s, int64_t user_id, const char *name, struct device *d)
{
	return one_device(s,
	    sql(s, DEVICE_SQL "WHERE user_id=? AND name=? AND revoked IS NULL", "it", user_id,
		name),
	    d);
}

int store_device_add(struct store *s, struct device *d, const void *blob, size_t len, int64_t now)
{
	int64_t n = 0;

	if (sql_int(s, &n, "SELECT count(*) FROM devices WHERE user_id=? AND revoked IS NULL", "i",
		d->user_id) < 0)
		return -1;
	if (n >= STORE_DEVICES_MAX)
		return store_fail(s, ENOSPC, "a user has at most %d devices: revoke one",
		    STORE_DEVICES_MAX);
	if (sql_do(s,
		"INSERT INTO devices (user_id, name, type, fingerprint, blob, added) VALUES "
		"(?,?,?,?,?,?)",
		"itttbi", d->user_id, d->name, d->type, d->fingerprint, blob, len, now) < 0)
		return -1;
	d->id = sqlite3_last_insert_rowid(s->db);
	return 0;
}

int store_device_revoke(struct store *s, int64_t id, int64_t now)
{
	if (sql_do(s, "DELETE FROM mfa_grace WHERE device_id=?", "i", id) < 0)
		return -1;
	return sql_do(s, "UPDATE devices SET revoked=?2 WHERE id=?1 AND revoked IS NULL", "ii", id,
		   now) < 0 ?
	    -1 :
	    0;
}

int store_devices_revoke(struct store *s, int64_t user_id, int64_t now)
{
	if (sql_do(s, "DELETE FROM device_waiting WHERE user_id=?", "i", user_id) < 0 ||
	    sql_do(s, "DELETE FROM device_invites WHERE user_id=?", "i", user_id) < 0)
		return -1;
	return sql_do(s, "UPDATE devices SET revoked=?2 WHERE user_id=?1 AND revoked IS NULL", "ii",
		   user_id, now) < 0 ?
	    -1 :
	    0;
}

int store_device_used(struct store *s, int64_t id, const char *source, int64_t now)
{
	return sql_do(s, "UPDATE devices SET used=?2, used_from=?3 WHERE id=?1", "iit", id, now,
		   source) < 0 ?
	    -1 :
	    0;
}
