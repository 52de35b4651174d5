/*
 * store_otp.c - secrets of the second factor, failures, grace. Policy role; the rules are in otp.c.
 */
#include "store_sql.h"

#include <errno.h>
#include <string.h>

/* Version 24: the steps that count as spent without a login that is known, since a restore. last_counter is of logins, and only grows. */
static const char v24_held[] = "ALTER TABLE totp ADD COLUMN held INTEGER NOT NULL DEFAULT 0;";

const char *const store_v_held[] = { v24_held, NULL };

#define TOTP "totp"	/* the purposes of sealed values */
#define RECOVERY "recovery"
#define SEALED_TOTP (TOTP_SECRET_LEN + SEAL_OVER)
#define SEALED_RECOVERY (RECOVERY_KEY_LEN + SEAL_OVER)

void store_seal_with(struct store *s, const struct seal_ring *ring)
{
	s->ring = ring;
}

/* Why a sealed value did not open. Always -1. */
static int not_opened(struct store *s, int64_t user_id)
{
	return errno == ENOKEY ?
	    store_fail(s, EIO, "the secret of user %lld is sealed under a key that is not here: put back the "
	    "key file that totp_key names, or enrol anew", (long long)user_id) :
	    store_fail(s, EIO, "the secret of user %lld does not open: the database was changed by hand, or is "
	    "damaged", (long long)user_id);
}

/* A sealed column. 1 with the value, 0: NULL, -1. */
static int open_column(struct store *s, sqlite3_stmt *st, int col, const char *purpose, int64_t user_id, void *out,
    size_t len)
{
	const void *blob = sqlite3_column_blob(st, col);

	if (blob == NULL)
		return 0;
	if ((size_t)sqlite3_column_bytes(st, col) != len + SEAL_OVER)
		return store_fail(s, EIO, "the secret of user %lld has a wrong length", (long long)user_id);
	return seal_open(s->ring, purpose, user_id, blob, out, len) == 0 ? 1 : not_opened(s, user_id);
}

static int close_value(struct store *s, const char *purpose, int64_t user_id, const void *plain, size_t len,
    uint8_t *out)
{
	return seal_close(s->ring, purpose, user_id, plain, len, out) == 0 ? 0 :
	    store_fail(s, EIO, "a secret cannot be sealed: there is no key, or OpenSSL fails");
}

int store_totp(struct store *s, int64_t user_id, struct totp *t)
{
	sqlite3_stmt *st = sql(s, "SELECT secret, fresh, max(last_counter, held), drift FROM totp WHERE user_id=?",
	    "i", user_id);
	int r = sql_next(s, st), confirmed, enrolled;

	memset(t, 0, sizeof(*t));
	if (r != 1)
		return r;
	confirmed = open_column(s, st, 0, TOTP, user_id, t->secret, sizeof(t->secret));
	enrolled = open_column(s, st, 1, TOTP, user_id, t->fresh, sizeof(t->fresh));
	t->confirmed = confirmed == 1;
	t->enrolled = enrolled == 1;
	t->last_counter = sqlite3_column_int64(st, 2);
	t->drift = sqlite3_column_int64(st, 3);
	r = sql_loaded(s, st);
	return confirmed < 0 || enrolled < 0 ? -1 : r;
}

int store_totp_enrol(struct store *s, int64_t user_id, const uint8_t secret[TOTP_SECRET_LEN],
    int64_t now)
{
	uint8_t sealed[SEALED_TOTP];

	if (close_value(s, TOTP, user_id, secret, TOTP_SECRET_LEN, sealed) < 0)
		return -1;
	return sql_do(s,
		   "INSERT INTO totp (user_id, fresh, last_counter, enrolled) VALUES (?1, ?2, 0, "
		   "?3) "
		   "ON CONFLICT (user_id) DO UPDATE SET fresh=excluded.fresh, "
		   "enrolled=excluded.enrolled",
		   "ibi", user_id, (const void *)sealed, sizeof(sealed), now) < 0 ?
	    -1 :
	    0;
}

int store_totp_confirm(struct store *s, int64_t user_id, int64_t counter, int64_t drift, int64_t now)
{
	/* the counter never goes back, whatever the secret: a step opens one login */
	int n = sql_do(s,
	    "UPDATE totp SET secret=fresh, fresh=NULL, confirmed=?4, drift=?3, last_counter=max(?2, "
	    "last_counter) "
	    "WHERE user_id=?1 AND fresh IS NOT NULL",
	    "iiii", user_id, counter, drift, now);

	return n == 1 && store_grace_clear(s, user_id, 0) == 0 ? 0 : -1;
}

int store_totp_reset(struct store *s, int64_t user_id)
{
	if (sql_do(s, "DELETE FROM totp WHERE user_id=?", "i", user_id) < 0 ||
	    sql_do(s, "DELETE FROM totp_failures WHERE user_id=?", "i", user_id) < 0 ||
	    sql_do(s, "DELETE FROM recovery_codes WHERE user_id=?", "i", user_id) < 0 ||
	    sql_do(s, "DELETE FROM recovery_sets WHERE user_id=?", "i", user_id) < 0)
		return -1;
	return store_grace_clear(s, user_id, 0);
}

int store_totp_spend(struct store *s, int64_t user_id, int64_t counter, int64_t drift)
{
	return sql_do(s,
	    "UPDATE totp SET last_counter=?2, drift=?3 WHERE user_id=?1 AND secret IS NOT NULL AND "
	    "max(last_counter, held)<?2",
	    "iii", user_id, counter, drift);
}

int store_totp_hold(struct store *s, int64_t counter)
{
	return sql_do(s, "UPDATE totp SET held=max(held, ?1+max(drift, 0))", "i", counter) < 0 ? -1 : 0;
}

int store_totp_hold_at_most(struct store *s, int64_t counter)
{
	return sql_do(s, "UPDATE totp SET held=min(held, ?1+max(drift, 0))", "i", counter) < 0 ? -1 : 0;
}

/* --- recovery codes --- */

int store_recovery_set(struct store *s, int64_t user_id, const uint8_t key[RECOVERY_KEY_LEN],
    const uint8_t (*hashes)[RECOVERY_HASH_LEN], size_t n, int64_t now)
{
	uint8_t sealed[SEALED_RECOVERY];

	if (close_value(s, RECOVERY, user_id, key, RECOVERY_KEY_LEN, sealed) < 0 ||
	    sql_do(s, "DELETE FROM recovery_codes WHERE user_id=?", "i", user_id) < 0 ||
	    sql_do(s,
		"INSERT INTO recovery_sets (user_id, key, made) VALUES (?1,?2,?3) "
		"ON CONFLICT (user_id) DO UPDATE SET key=?2, made=?3",
		"ibi", user_id, (const void *)sealed, sizeof(sealed), now) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (sql_do(s, "INSERT INTO recovery_codes (user_id, hash) VALUES (?,?)", "ib", user_id,
			(const void *)hashes[i], (size_t)RECOVERY_HASH_LEN) < 0)
			return -1;
	return 0;
}

int store_recovery_key(struct store *s, int64_t user_id, uint8_t key[RECOVERY_KEY_LEN])
{
	sqlite3_stmt *st = sql(s, "SELECT key FROM recovery_sets WHERE user_id=?", "i", user_id);
	int r = sql_next(s, st);

	memset(key, 0, RECOVERY_KEY_LEN);
	if (r != 1)
		return r;
	r = open_column(s, st, 0, RECOVERY, user_id, key, RECOVERY_KEY_LEN);
	sql_done(st);
	return r;
}

int store_recovery_spend(struct store *s, int64_t user_id, const uint8_t hash[RECOVERY_HASH_LEN], int64_t now)
{
	int64_t one;
	int n = sql_do(s, "UPDATE recovery_codes SET used=?3 WHERE user_id=?1 AND hash=?2 AND used IS NULL",
	    "ibi", user_id, (const void *)hash, (size_t)RECOVERY_HASH_LEN, now);

	if (n != 0)
		return n < 0 ? RECOVERY_FAILED : RECOVERY_SPENT;
	n = sql_int(s, &one, "SELECT 1 FROM recovery_codes WHERE user_id=? AND hash=?", "ib", user_id,
	    (const void *)hash, (size_t)RECOVERY_HASH_LEN);
	return n < 0 ? RECOVERY_FAILED : n == 0 ? RECOVERY_UNKNOWN : RECOVERY_USED;
}

int store_recovery_left(struct store *s, int64_t user_id, int64_t *left)
{
	return sql_int(s, left, "SELECT count(*) FROM recovery_codes WHERE user_id=? AND used IS NULL", "i",
		   user_id) == 1 ?
	    0 :
	    -1;
}

int store_throttle(struct store *s, int64_t user_id, int64_t device_id, int64_t *failures,
    int64_t *not_before)
{
	sqlite3_stmt *st = sql(s,
	    "SELECT failures, not_before FROM totp_failures WHERE user_id=? AND device_id=?", "ii",
	    user_id, device_id);
	int r = sql_next(s, st);

	*failures = *not_before = 0;
	if (r != 1)
		return r;
	*failures = sqlite3_column_int64(st, 0);
	*not_before = sqlite3_column_int64(st, 1);
	return sql_loaded(s, st);
}

int store_throttle_set(struct store *s, int64_t user_id, int64_t device_id, int64_t failures,
    int64_t not_before)
{
	if (failures == 0)
		return sql_do(s, "DELETE FROM totp_failures WHERE user_id=? AND device_id=?", "ii",
			   user_id, device_id) < 0 ?
		    -1 :
		    0;
	return sql_do(s,
		   "INSERT INTO totp_failures (user_id, device_id, failures, not_before) VALUES "
		   "(?1,?2,?3,?4) "
		   "ON CONFLICT (user_id, device_id) DO UPDATE SET failures=?3, not_before=?4",
		   "iiii", user_id, device_id, failures, not_before) < 0 ?
	    -1 :
	    0;
}

int store_grace_set(struct store *s, int64_t user_id, int64_t device_id, const char *source,
    int64_t until)
{
	return sql_do(s,
		   "INSERT INTO mfa_grace (user_id, device_id, source, until) VALUES (?1,?2,?3,?4) "
		   "ON CONFLICT (user_id, device_id, source) DO UPDATE SET until=?4",
		   "iiti", user_id, device_id, source, until) < 0 ?
	    -1 :
	    0;
}

int store_grace(struct store *s, int64_t user_id, int64_t device_id, const char *source,
    int64_t now)
{
	int64_t one;

	return sql_int(s, &one,
	    "SELECT 1 FROM mfa_grace WHERE user_id=? AND device_id=? AND source=? AND until>?",
	    "iiti", user_id, device_id, source, now);
}

int store_grace_clear(struct store *s, int64_t user_id, int64_t now)
{
	return sql_do(s, "DELETE FROM mfa_grace WHERE user_id=?1 OR until<=?2", "ii", user_id,
		   now) < 0 ?
	    -1 :
	    0;
}
