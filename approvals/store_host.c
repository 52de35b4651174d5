/*
 * store_host.c - hosts and their pinned keys. Policy role; see store.h.
 */
#include "store_sql.h"
#include "store_target_key.h"

#include <errno.h>
#include <string.h>

#define HOST_SQL                                                                                   \
	"SELECT id, name, address, port, labels, logins, method, managed_key, source_address, zone " \
	"FROM hosts "

static void load_host(struct store *s, sqlite3_stmt *st, struct host *h)
{
	h->id = sqlite3_column_int64(st, 0);
	sql_text(s, st, 1, h->name, sizeof(h->name));
	sql_text(s, st, 2, h->address, sizeof(h->address));
	h->port = (uint16_t)sqlite3_column_int(st, 3);
	sql_text(s, st, 4, h->labels, sizeof(h->labels));
	sql_text(s, st, 5, h->logins, sizeof(h->logins));
	sql_text(s, st, 7, h->managed_key, sizeof(h->managed_key));
	sql_text(s, st, 8, h->source_address, sizeof(h->source_address));
	sql_text(s, st, 9, h->zone, sizeof(h->zone));
	h->method = h->managed_key[0] != '\0' ?
	    LOGIN_MANAGED :
	    LOGIN_CERTIFICATE; /* a CHECK holds the column to this */
}

static int one_host(struct store *s, sqlite3_stmt *st, struct host *h)
{
	int r = sql_next(s, st);

	memset(h, 0, sizeof(*h));
	if (r != 1)
		return r;
	load_host(s, st, h);
	return sql_loaded(s, st);
}

int store_host_by_name(struct store *s, const char *name, struct host *h)
{
	return one_host(s, sql(s, HOST_SQL "WHERE name=? AND removed IS NULL", "t", name), h);
}

int store_host(struct store *s, int64_t id, struct host *h)
{
	return one_host(s, sql(s, HOST_SQL "WHERE id=? AND removed IS NULL", "i", id), h);
}

int store_host_ever(struct store *s, int64_t id, struct host *h)
{
	return one_host(s, sql(s, HOST_SQL "WHERE id=?", "i", id), h);
}

int store_host_add(struct store *s, struct host *h, int64_t now)
{
	int64_t n = 0;

	if (sql_int(s, &n, "SELECT count(*) FROM hosts WHERE removed IS NULL", "") < 0)
		return -1;
	if (n >= STORE_HOSTS_MAX)
		return store_fail(s, ENOSPC, "there are %d hosts: remove one", STORE_HOSTS_MAX);
	if (sql_do(s,
		"INSERT INTO hosts (name, address, port, labels, logins, method, managed_key, "
		"source_address, zone, added) "
		"VALUES (?,?,?,?,?,?,?,?,?,?)",
		"ttitttttti", h->name, h->address, (int64_t)h->port, h->labels, h->logins,
		h->method == LOGIN_MANAGED ? "managed" : "certificate", h->managed_key,
		h->source_address, h->zone, now) < 0)
		return -1;
	h->id = sqlite3_last_insert_rowid(s->db);
	return 0;
}

int store_host_change(struct store *s, const struct host *h)
{
	return sql_do(s, "UPDATE hosts SET zone=?2, labels=?3, logins=?4 WHERE id=?1 AND removed IS NULL", "ittt", h->id,
		   h->zone, h->labels, h->logins) < 0 ?
	    -1 :
	    0;
}

int store_host_remove(struct store *s, int64_t id, int64_t now)
{
	return sql_do(s, "UPDATE hosts SET removed=?2 WHERE id=?1 AND removed IS NULL", "ii", id,
		   now) < 0 ?
	    -1 :
	    0;
}

int store_host_key_add(struct store *s, int64_t host_id, const struct host_key *k)
{
	int64_t n = 0;

	if (sql_int(s, &n, "SELECT count(*) FROM host_keys WHERE host_id=?", "i", host_id) < 0)
		return -1;
	if (n >= STORE_HOST_KEYS_MAX)
		return store_fail(s, ENOSPC, "a host has at most %d keys", STORE_HOST_KEYS_MAX);
	return sql_do(s,
		   "INSERT INTO host_keys (host_id, type, fingerprint, blob) VALUES (?,?,?,?) ON "
		   "CONFLICT DO NOTHING",
		   "ittb", host_id, k->type, k->fingerprint, k->blob, k->len) < 0 ?
	    -1 :
	    0;
}

int store_host_keys(struct store *s, int64_t host_id,
    int (*fn)(void *arg, const struct host_key *k), void *arg)
{
	sqlite3_stmt *st = sql(s,
	    "SELECT type, fingerprint, blob FROM host_keys WHERE host_id=? ORDER BY type", "i",
	    host_id);
	struct host_key k;
	int r;

	while ((r = sql_next(s, st)) == 1) {
		memset(&k, 0, sizeof(k));
		sql_text(s, st, 0, k.type, sizeof(k.type));
		sql_text(s, st, 1, k.fingerprint, sizeof(k.fingerprint));
		k.len = (size_t)sqlite3_column_bytes(st, 2);
		if (k.len > sizeof(k.blob))
			k.len = 0;
		sql_blob(st, 2, k.blob, k.len);
		if (s->misfit || fn(arg, &k) != 0)
			return sql_loaded(s, st) < 0 ? -1 : 0;
	}
	return r;
}

static int each_host(struct store *s, sqlite3_stmt *st, int (*fn)(void *arg, const struct host *h), void *arg)
{
	struct host h;
	int r;

	while ((r = sql_next(s, st)) == 1) {
		load_host(s, st, &h);
		if (s->misfit || fn(arg, &h) != 0)
			return sql_loaded(s, st) < 0 ? -1 : 0;
	}
	return r;
}

int store_hosts(struct store *s, const char *after, int (*fn)(void *arg, const struct host *h), void *arg)
{
	return each_host(s, sql(s, HOST_SQL "WHERE removed IS NULL AND name>?1 ORDER BY name", "t", after), fn, arg);
}

#define OWN_KEYS "(SELECT fingerprint FROM host_keys WHERE host_id=?1 UNION SELECT fingerprint FROM host_announced WHERE host_id=?1)"

int store_target_others(struct store *s, const struct host *h, const char *login, int (*fn)(void *arg, const struct host *h), void *arg)
{
	return each_host(s, sql(s, HOST_SQL "WHERE removed IS NULL AND method='managed' AND id<>?1 AND instr(' '||logins||' ', ' '||?2||' ')>0 AND id IN "
		"(SELECT id FROM hosts WHERE address=?3 COLLATE NOCASE AND port=?4 AND removed IS NULL "
		"UNION SELECT host_id FROM host_keys WHERE fingerprint IN " OWN_KEYS " "
		"UNION SELECT host_id FROM host_announced WHERE fingerprint IN " OWN_KEYS ") ORDER BY id", "itti", h->id, login, h->address,
		(int64_t)h->port), fn, arg);
}

int store_hosts_managed(struct store *s, int (*fn)(void *arg, const struct host *h), void *arg)
{
	return each_host(s, sql(s, HOST_SQL "WHERE removed IS NULL AND method='managed' ORDER BY name", ""), fn, arg);
}
