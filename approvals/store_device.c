/*
 * store_device.c - see store_device.h. Policy role.
 */
#include "store_device.h"

#include <errno.h>
#include <string.h>

#include "store_sql.h"

int store_waiting_add(struct store *s, const struct device *d, const void *blob, size_t len, int64_t now)
{
	int64_t n = 0;

	if (sql_int(s, &n, "SELECT count(*) FROM device_waiting WHERE user_id=?", "i", d->user_id) < 0)
		return -1;
	if (n >= STORE_WAITING_MAX)
		return store_fail(s, ENOSPC, "%d devices wait already", STORE_WAITING_MAX);
	if (sql_int(s, &n, "SELECT count(*) FROM devices WHERE fingerprint=?", "t", d->fingerprint) < 0)
		return -1;
	if (n > 0)
		return store_fail(s, EEXIST, "the key is known");
	return sql_do(s, "INSERT INTO device_waiting (user_id, name, type, fingerprint, blob, asked) VALUES (?,?,?,?,?,?)",
	    "itttbi", d->user_id, d->name, d->type, d->fingerprint, blob, len, now) < 0 ? -1 : 0;
}

int store_waiting(struct store *s, int64_t user_id, const char *name, struct device *d, uint8_t blob[STORE_BLOB_MAX],
    size_t *len)
{
	sqlite3_stmt *st = sql(s, "SELECT id, name, type, fingerprint, blob FROM device_waiting WHERE user_id=? AND name=?", "it",
	    user_id, name);
	int r = sql_next(s, st);

	*d = (struct device){ .user_id = user_id };
	*len = 0;
	if (r != 1)
		return r;
	d->id = sqlite3_column_int64(st, 0);
	sql_text(s, st, 1, d->name, sizeof(d->name));
	sql_text(s, st, 2, d->type, sizeof(d->type));
	sql_text(s, st, 3, d->fingerprint, sizeof(d->fingerprint));
	*len = (size_t)sqlite3_column_bytes(st, 4);
	if (*len > STORE_BLOB_MAX) {
		sql_done(st);
		return store_fail(s, EIO, "a waiting key is too long");
	}
	memcpy(blob, sqlite3_column_blob(st, 4), *len);
	return sql_loaded(s, st);
}

int store_waiting_drop(struct store *s, int64_t user_id, const char *name)
{
	return sql_do(s, "DELETE FROM device_waiting WHERE user_id=? AND name=?", "it", user_id, name);
}

int store_waiting_settle(struct store *s, const struct device *d)
{
	return sql_do(s, "DELETE FROM device_waiting WHERE (user_id=? AND name=?) OR fingerprint=?", "itt", d->user_id, d->name,
	    d->fingerprint) < 0 ? -1 : 0;
}

int store_invite_set(struct store *s, int64_t user_id, const uint8_t hash[INVITE_HASH_LEN], int64_t until)
{
	return sql_do(s,
	    "INSERT INTO device_invites (user_id, hash, until) VALUES (?1,?2,?3) ON CONFLICT (user_id) DO UPDATE SET hash=?2, "
	    "until=?3",
	    "ibi", user_id, (const void *)hash, (size_t)INVITE_HASH_LEN, until) < 0 ? -1 : 0;
}

int store_invite_spend(struct store *s, int64_t user_id, const uint8_t hash[INVITE_HASH_LEN], int64_t now)
{
	return sql_do(s, "DELETE FROM device_invites WHERE user_id=? AND hash=? AND until>?", "ibi", user_id,
	    (const void *)hash, (size_t)INVITE_HASH_LEN, now);
}

int store_familiar(struct store *s, int64_t user_id, int64_t device_id, const char *network, struct familiar *f)
{
	int device, net;

	*f = (struct familiar){ .device_first = FOREVER, .network_first = FOREVER };
	device = sql_int(s, &f->device_first, "SELECT first_used FROM devices WHERE id=?", "i", device_id);
	net = sql_int(s, &f->network_first, "SELECT first FROM user_networks WHERE user_id=? AND network=?", "it", user_id,
	    network);
	f->new_device = device == 0;
	f->new_network = net == 0;
	return device < 0 || net < 0 ? -1 : 0;
}

int store_familiar_note(struct store *s, int64_t user_id, int64_t device_id, const char *network, const char *client,
    int64_t now, struct familiar *f)
{
	if (store_familiar(s, user_id, device_id, network, f) < 0)
		return -1;
	if (f->new_device)
		f->device_first = now;
	if (f->new_network)
		f->network_first = now;
	if (sql_do(s, "UPDATE devices SET first_used=ifnull(first_used, ?2), client=?3 WHERE id=?1", "iit", device_id, now,
		client) < 0 ||
	    sql_do(s,
		"INSERT INTO user_networks (user_id, network, first, last) VALUES (?1,?2,?3,?3) ON CONFLICT (user_id, network) "
		"DO UPDATE SET last=?3",
		"iti", user_id, network, now) < 0)
		return -1;
	return sql_do(s,
	    "DELETE FROM user_networks WHERE user_id=?1 AND network IN (SELECT network FROM user_networks WHERE user_id=?1 "
	    "ORDER BY last DESC LIMIT -1 OFFSET ?2)",
	    "ii", user_id, (int64_t)STORE_NETWORKS_MAX) < 0 ? -1 : 0;
}
