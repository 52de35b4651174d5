/*
 * store_hostkey.c - see store_hostkey.h. Policy role.
 */
#include "store_hostkey.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store_sql.h"

/* Version 11. */
static const char v11_hostkeys[] =
"ALTER TABLE host_keys ADD COLUMN gone INTEGER;"	/* since when the host does not announce it any more */
"CREATE TABLE host_announced ("
"	host_id INTEGER NOT NULL REFERENCES hosts,"
"	type TEXT NOT NULL CHECK (length(type) <= 64),"
"	fingerprint TEXT NOT NULL CHECK (length(fingerprint) <= 64),"
"	blob BLOB NOT NULL CHECK (length(blob) <= 8192),"
"	since INTEGER NOT NULL,"
"	refused INTEGER NOT NULL DEFAULT 0 CHECK (refused IN (0, 1)),"
"	PRIMARY KEY (host_id, fingerprint)"
") STRICT, WITHOUT ROWID;"
"CREATE TABLE host_looks ("
"	host_id INTEGER PRIMARY KEY REFERENCES hosts,"
"	at INTEGER NOT NULL,"
"	result TEXT NOT NULL CHECK (length(result) <= 16),"
"	login TEXT NOT NULL CHECK (length(login) <= 32),"
"	line TEXT NOT NULL CHECK (length(line) <= 2048)"
") STRICT;";

const char *const store_v_hostkeys[] = { v11_hostkeys, NULL };

/* Version 18. Is it in what the host announced last; and how many more it did. */
static const char v18_announced[] =
"ALTER TABLE host_announced ADD COLUMN here INTEGER NOT NULL DEFAULT 1 CHECK (here IN (0, 1));"
"ALTER TABLE hosts ADD COLUMN unkept INTEGER NOT NULL DEFAULT 0 CHECK (unkept >= 0);";

const char *const store_v_announced[] = { v18_announced, NULL };

int store_announced_add(struct store *s, int64_t host_id, const struct host_key *k, int64_t now)
{
	int64_t n = 0;

	if (sql_int(s, &n, "SELECT count(*) FROM host_keys WHERE host_id=? AND fingerprint=?", "it", host_id, k->fingerprint) < 0)
		return -1;
	if (n > 0)
		return 0;
	if (sql_int(s, &n, "SELECT count(*) FROM host_announced WHERE host_id=? AND fingerprint=?", "it", host_id, k->fingerprint) < 0)
		return -1;
	if (n > 0)
		return 0;
	if (sql_int(s, &n, "SELECT count(*) FROM host_announced WHERE host_id=?", "i", host_id) < 0)
		return -1;
	if (n >= STORE_ANNOUNCED_MAX)
		return STORE_ANNOUNCED_FULL;
	return sql_do(s, "INSERT INTO host_announced (host_id, type, fingerprint, blob, since) VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING", "ittbi",
	    host_id, k->type, k->fingerprint, k->blob, k->len, now);
}

static int one_key(struct store *s, sqlite3_stmt *st, struct host_key *k, bool *refused)
{
	int r = sql_next(s, st);

	memset(k, 0, sizeof(*k));
	if (r != 1)
		return r;
	*refused = sqlite3_column_int(st, 3) != 0;
	sql_text(s, st, 0, k->type, sizeof(k->type));
	sql_text(s, st, 1, k->fingerprint, sizeof(k->fingerprint));
	k->len = (size_t)sqlite3_column_bytes(st, 2);
	if (k->len > sizeof(k->blob))
		k->len = 0;
	sql_blob(st, 2, k->blob, k->len);
	return sql_loaded(s, st);
}

int store_announced(struct store *s, int64_t host_id, const char *fingerprint, struct host_key *k)
{
	bool refused;

	return one_key(s, sql(s, "SELECT type, fingerprint, blob, refused FROM host_announced WHERE host_id=? AND fingerprint=?", "it", host_id,
	    fingerprint), k, &refused);
}

int store_announced_over(struct store *s, int64_t host_id, struct host_key *k, bool *refused)
{
	return one_key(s, sql(s, "SELECT type, fingerprint, blob, refused FROM host_announced WHERE host_id=? AND here=0 ORDER BY fingerprint LIMIT 1", "i",
	    host_id), k, refused);
}

int store_announced_drop(struct store *s, int64_t host_id, const char *fingerprint)
{
	return sql_do(s, "DELETE FROM host_announced WHERE host_id=? AND fingerprint=?", "it", host_id, fingerprint) < 0 ? -1 : 0;
}

int store_announced_refuse(struct store *s, int64_t host_id, const char *fingerprint)
{
	return sql_do(s, "UPDATE host_announced SET refused=1 WHERE host_id=? AND fingerprint=?", "it", host_id, fingerprint) < 0 ? -1 : 0;
}

int store_host_key_drop(struct store *s, int64_t host_id, const char *fingerprint, int64_t now)
{
	int64_t n = 0, others = 0;

	if (sql_int(s, &n, "SELECT count(*) FROM host_keys WHERE host_id=? AND fingerprint=?", "it", host_id, fingerprint) < 0 ||
	    sql_int(s, &others, "SELECT count(*) FROM host_keys WHERE host_id=? AND fingerprint<>?", "it", host_id, fingerprint) < 0)
		return -1;
	if (n == 0)
		return 0;
	if (others == 0)
		return store_fail(s, EPERM, "it is the only key of the host");
	/* each of these was pinned, of which there are few */
	if (sql_do(s, "INSERT INTO host_announced (host_id, type, fingerprint, blob, since, refused) SELECT host_id, type, fingerprint, blob, ?3, 1 "
		"FROM host_keys WHERE host_id=?1 AND fingerprint=?2 AND gone IS NULL ON CONFLICT DO UPDATE SET refused=1", "iti", host_id, fingerprint,
		now) < 0)
		return -1;
	return sql_do(s, "DELETE FROM host_keys WHERE host_id=? AND fingerprint=?", "it", host_id, fingerprint);
}

/* Until answered() a time that is to be confirmed is negative. */
int store_host_keys_asked(struct store *s, int64_t host_id)
{
	return sql_do(s, "UPDATE host_keys SET gone=-abs(gone) WHERE host_id=? AND gone IS NOT NULL", "i", host_id) < 0 ||
	    sql_do(s, "UPDATE host_announced SET here=0 WHERE host_id=?", "i", host_id) < 0 ? -1 : 0;
}

int store_host_key_gone(struct store *s, int64_t host_id, const char *fingerprint, int64_t now)
{
	return sql_do(s, "UPDATE host_keys SET gone=abs(ifnull(gone, ?3)) WHERE host_id=?1 AND fingerprint=?2", "iti", host_id, fingerprint, now) < 0 ? -1 : 0;
}

int store_announced_again(struct store *s, int64_t host_id, const char *fingerprint)
{
	return sql_do(s, "UPDATE host_announced SET here=1 WHERE host_id=? AND fingerprint=?", "it", host_id, fingerprint) < 0 ? -1 : 0;
}

int store_host_keys_answered(struct store *s, int64_t host_id)
{
	return sql_do(s, "UPDATE host_keys SET gone=NULL WHERE host_id=? AND gone<0", "i", host_id) < 0 ? -1 : 0;
}

int store_host_unkept(struct store *s, int64_t host_id, uint32_t n)
{
	return sql_do(s, "UPDATE hosts SET unkept=?2 WHERE id=?1 AND unkept<>?2", "ii", host_id, (int64_t)n);
}

int store_look(struct store *s, int64_t host_id, const struct host_look *look)
{
	return sql_do(s, "INSERT INTO host_looks (host_id, at, result, login, line) VALUES (?1,?2,?3,?4,?5) "
	    "ON CONFLICT (host_id) DO UPDATE SET at=?2, result=?3, login=?4, line=?5", "iittt", host_id, look->at, look->result, look->login,
	    look->line) < 0 ? -1 : 0;
}

bool first_login(const char *logins, char out[LOGIN_MAX + 1])
{
	char list[LIST_MAX + 1], *rest = list, *login;

	snprintf(list, sizeof(list), "%s", logins);
	out[0] = '\0';
	while ((login = strsep(&rest, " ")) != NULL && out[0] == '\0')
		if (name_is_login(login))
			snprintf(out, LOGIN_MAX + 1, "%s", login);
	return out[0] != '\0';
}

int store_looks_due(struct store *s, int64_t before, struct look_due *due, int max)
{
	sqlite3_stmt *st = sql(s, "SELECT h.id, h.logins "
	    "FROM hosts h LEFT JOIN host_looks l ON l.host_id=h.id WHERE h.removed IS NULL AND max(h.added, ifnull(l.at, 0))<=?1 "
	    "AND h.logins<>?3 ORDER BY ifnull(l.at, 0), h.id LIMIT ?2", "iit", before, (int64_t)max, LOGIN_SELF);
	char logins[LIST_MAX + 1];
	int n = 0, r = 0;

	while (n < max && (r = sql_next(s, st)) == 1) {
		due[n].host_id = sqlite3_column_int64(st, 0);
		sql_text(s, st, 1, logins, sizeof(logins));
		first_login(logins, due[n++].login);
	}
	if (r == 1 && sql_loaded(s, st) < 0)
		return -1;
	return r < 0 ? -1 : n;
}

json_t *store_host_key_list(struct store *s, int64_t host_id)
{
	return sql_rows(s,
	    "SELECT * FROM (SELECT NULL AS login, 'pinned' AS state, type, fingerprint, NULL AS since, gone, NULL AS next, NULL AS why FROM host_keys "
	    "WHERE host_id=:id UNION ALL SELECT NULL, iif(refused, 'refused', 'announced'), type, fingerprint, since, NULL, NULL, NULL "
	    "FROM host_announced WHERE host_id=:id UNION ALL SELECT login, state, type, fingerprint, made, NULL, nullif(next, 0), why "
	    "FROM target_keys WHERE host_id=:id) ORDER BY login IS NOT NULL, login, state='pinned' DESC, state, type, fingerprint", (const struct sql_named[]){ { ":id", host_id }, { NULL, 0 } },
	    (const struct sql_named_text[]){ { NULL, NULL } });
}

json_t *store_look_list(struct store *s, int64_t host_id)
{
	return sql_rows(s, "SELECT l.at AS at, l.result AS result, l.login AS login, l.line AS line, nullif(h.unkept, 0) AS unkept "
	    "FROM host_looks l JOIN hosts h ON h.id=l.host_id WHERE l.host_id=:id",
	    (const struct sql_named[]){ { ":id", host_id }, { NULL, 0 } }, (const struct sql_named_text[]){ { NULL, NULL } });
}
