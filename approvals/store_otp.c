/*
 * store_otp.c - secrets of the second factor, failures, grace. Policy role; the rules are in otp.c.
 */
#include "store_sql.h"

#include <string.h>

int store_totp(struct store *s, int64_t user_id, struct totp *t)
{
	sqlite3_stmt *st = sql(s, "SELECT secret, fresh, last_counter FROM totp WHERE user_id=?",
	    "i", user_id);
	int r = sql_next(s, st);

	memset(t, 0, sizeof(*t));
	if (r != 1)
		return r;
	t->confirmed = sqlite3_column_bytes(st, 0) == TOTP_SECRET_LEN;
	t->enrolled = sqlite3_column_bytes(st, 1) == TOTP_SECRET_LEN;
	sql_blob(st, 0, t->secret, sizeof(t->secret));
	sql_blob(st, 1, t->fresh, sizeof(t->fresh));
	t->last_counter = sqlite3_column_int64(st, 2);
	return sql_loaded(s, st);
}

int store_totp_enrol(struct store *s, int64_t user_id, const uint8_t secret[TOTP_SECRET_LEN],
    int64_t now)
{
	return sql_do(s,
		   "INSERT INTO totp (user_id, fresh, last_counter, enrolled) VALUES (?1, ?2, 0, "
		   "?3) "
		   "ON CONFLICT (user_id) DO UPDATE SET fresh=excluded.fresh, "
		   "enrolled=excluded.enrolled",
		   "ibi", user_id, (const void *)secret, (size_t)TOTP_SECRET_LEN, now) < 0 ?
	    -1 :
	    0;
}

int store_totp_confirm(struct store *s, int64_t user_id, int64_t counter, int64_t now)
{
	/* the counter never goes back, whatever the secret: a step opens one login */
	int n = sql_do(s,
	    "UPDATE totp SET secret=fresh, fresh=NULL, confirmed=?3, last_counter=max(?2, "
	    "last_counter) "
	    "WHERE user_id=?1 AND fresh IS NOT NULL",
	    "iii", user_id, counter, now);

	return n == 1 && store_grace_clear(s, user_id, 0) == 0 ? 0 : -1;
}

int store_totp_reset(struct store *s, int64_t user_id)
{
	if (sql_do(s, "DELETE FROM totp WHERE user_id=?", "i", user_id) < 0 ||
	    sql_do(s, "DELETE FROM totp_failures WHERE user_id=?", "i", user_id) < 0)
		return -1;
	return store_grace_clear(s, user_id, 0);
}

int store_totp_spend(struct store *s, int64_t user_id, int64_t counter)
{
	return sql_do(s,
	    "UPDATE totp SET last_counter=?2 WHERE user_id=?1 AND secret IS NOT NULL AND "
	    "last_counter<?2",
	    "ii", user_id, counter);
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
