/*
 * store_review.c - requests that are more than one span from now on: break-glass and its reviews, later starts, a number of logins, several
 * hosts at once, extensions. Policy role; see store.h.
 */
#include "store_sql.h"

/*
 * Version 9. batch: the first request of those that were filed with one word; NULL: that one itself. uses: logins under the grant.
 */
static const char v9_requests[] =
"ALTER TABLE roles ADD COLUMN glass INTEGER NOT NULL DEFAULT 0 CHECK (glass IN (0, 1));"
"ALTER TABLE requests ADD COLUMN glass INTEGER NOT NULL DEFAULT 0 CHECK (glass IN (0, 1));"
"ALTER TABLE requests ADD COLUMN not_before INTEGER NOT NULL DEFAULT 0;"
"ALTER TABLE requests ADD COLUMN logins INTEGER NOT NULL DEFAULT 0 CHECK (logins BETWEEN 0 AND 1000);"
"ALTER TABLE requests ADD COLUMN batch INTEGER REFERENCES requests;"
"ALTER TABLE requests ADD COLUMN extends INTEGER REFERENCES requests;"
"CREATE INDEX requests_batch ON requests (batch) WHERE batch IS NOT NULL;"
"ALTER TABLE grants ADD COLUMN uses INTEGER NOT NULL DEFAULT 0;"
"CREATE TABLE reviews ("
"	request_id INTEGER PRIMARY KEY REFERENCES requests,"
"	person TEXT NOT NULL COLLATE NOCASE,"
"	user_id INTEGER NOT NULL REFERENCES users,"
"	verdict TEXT NOT NULL CHECK (verdict IN ('justified', 'misused')),"
"	reason TEXT NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),"
"	at INTEGER NOT NULL"
") STRICT;"
"CREATE TRIGGER requests_more_fixed BEFORE UPDATE OF glass, not_before, logins, batch, extends ON requests"
"	BEGIN SELECT RAISE(ABORT, 'what was asked for stays'); END;"
"CREATE TRIGGER requests_glass BEFORE INSERT ON requests WHEN NEW.glass = 1 AND (NEW.duration > 3600 OR NEW.reason = ''"
"	OR NOT EXISTS (SELECT 1 FROM roles o WHERE o.id = NEW.role_id AND o.glass = 1))"
"	BEGIN SELECT RAISE(ABORT, 'no break-glass without its right, a reason and an end'); END;"
"CREATE TRIGGER grants_later BEFORE INSERT ON grants WHEN NEW.uses <> 0 OR"
"	NEW.start_at < (SELECT not_before FROM requests WHERE id = NEW.id)"
"	BEGIN SELECT RAISE(ABORT, 'a grant before its time'); END;"
"CREATE TRIGGER grants_uses BEFORE UPDATE OF uses ON grants WHEN NEW.uses <> OLD.uses + 1 OR"
"	(SELECT logins FROM requests WHERE id = NEW.id) BETWEEN 1 AND OLD.uses"
"	BEGIN SELECT RAISE(ABORT, 'the logins of the grant are used up'); END;"
"CREATE TRIGGER reviews_own BEFORE INSERT ON reviews WHEN EXISTS (SELECT 1 FROM requests r JOIN users u"
"	ON u.id IN (r.user_id, r.by_id) WHERE r.id = NEW.request_id AND u.person = NEW.person COLLATE NOCASE)"
"	OR (SELECT glass FROM requests WHERE id = NEW.request_id) IS NOT 1"
"	OR NOT EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND person = NEW.person COLLATE NOCASE)"
"	BEGIN SELECT RAISE(ABORT, 'nobody reviews their own'); END;"
"CREATE TRIGGER reviews_fixed BEFORE UPDATE ON reviews BEGIN SELECT RAISE(ABORT, 'a review stays'); END;"
"CREATE TRIGGER reviews_kept BEFORE DELETE ON reviews BEGIN SELECT RAISE(ABORT, 'reviews are kept'); END;";

const char *const store_v_glass[] = { v9_requests, NULL };

/* Version 17: ways that are recorded by the collectors for break-glass, and by no others. */
static const char v17_apart[] =
"ALTER TABLE ways ADD COLUMN apart INTEGER NOT NULL DEFAULT 0 CHECK (apart IN (0, 1));"
"CREATE TRIGGER ways_apart BEFORE INSERT ON ways WHEN NEW.apart = 1 AND (SELECT glass FROM requests WHERE id = NEW.request_id) IS NOT 1"
"	BEGIN SELECT RAISE(ABORT, 'only break-glass is recorded apart'); END;"
"CREATE TRIGGER ways_apart_fixed BEFORE UPDATE OF apart, request_id ON ways"
"	BEGIN SELECT RAISE(ABORT, 'where a way is recorded stays'); END;";

const char *const store_v_apart[] = { v17_apart, NULL };

int store_glass_grant(struct store *s, int64_t user_id, int64_t host_id, const char *login, int64_t *id)
{
	sqlite3_stmt *st = sql(s, "SELECT r.id FROM requests r JOIN grants g ON g.id=r.id WHERE r.user_id=? AND r.host_id=? AND r.login=? "
	    "AND r.glass=1 AND r." REQUEST_OPEN " AND r.state<>'pending' ORDER BY " GRANT_END " DESC LIMIT 1", "iit", user_id, host_id, login);
	int r = sql_next(s, st);

	if (r == 1) {
		*id = sqlite3_column_int64(st, 0);
		sql_done(st);
	}
	return r;
}

int store_review(struct store *s, int64_t request_id, const struct user *by, const char *verdict, const char *reason, int64_t now)
{
	return sql_do(s,
	    "INSERT INTO reviews (request_id, person, user_id, verdict, reason, at) VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING", "ititti",
	    request_id, by->person, by->id, verdict, reason, now);
}

int store_batch_next(struct store *s, int64_t batch, int64_t after, int64_t *id)
{
	return sql_int(s, id, "SELECT min(id) FROM requests WHERE state='pending' AND id>?2 AND (id=?1 OR batch=?1)", "ii", batch, after);
}
