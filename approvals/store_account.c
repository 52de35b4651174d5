/*
 * store_account.c - see store_account.h. Policy role.
 */
#include "store_account.h"

#include <errno.h>
#include <string.h>

#include "hex.h"
#include "store_sql.h"

#define RESTORED_UIDS 1000
#define HOUR 3600
#define WASTED_PAUSE_MAX 86400
/* Of a row that is not gone: from when on there is something to do, if its grant stays as it is. */
#define DUE_AT "(CASE state WHEN 'there' THEN expiry ELSE next_at END)"

/*
 * Version 12. A row a life: who comes back gets another one, with another uid. The counter goes up only, so that no uid is given twice, nor
 * at two hosts.
 */
static const char v12_accounts[] =
"CREATE TABLE accounts ("
"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
"	user_id INTEGER NOT NULL REFERENCES users,"
"	host_id INTEGER NOT NULL REFERENCES hosts,"
"	name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 32),"
"	uid INTEGER NOT NULL UNIQUE CHECK (uid BETWEEN 1000 AND 2147483646),"
"	state TEXT NOT NULL CHECK (state IN ('creating', 'there', 'removing', 'gone')),"
"	expiry INTEGER NOT NULL,"
"	made INTEGER NOT NULL,"
"	since INTEGER NOT NULL,"
"	next_at INTEGER NOT NULL,"
"	tries INTEGER NOT NULL,"
"	told INTEGER NOT NULL CHECK (told IN (0, 1)),"
"	line TEXT NOT NULL CHECK (length(line) <= 500)"
") STRICT;"
"CREATE UNIQUE INDEX accounts_one ON accounts (user_id, host_id) WHERE state <> 'gone';"
"CREATE INDEX accounts_wasted ON accounts (user_id, host_id) WHERE state = 'gone' AND expiry = 0;"
"CREATE INDEX accounts_open ON accounts (id) WHERE state <> 'gone';"
"CREATE INDEX requests_self ON requests (user_id, host_id) WHERE login = '" LOGIN_SELF "' AND (state = 'approved' OR state = 'active');"
"CREATE TABLE account_uid (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL) STRICT;"
"INSERT INTO account_uid VALUES (1, 0);"
"CREATE TRIGGER account_uid_up BEFORE UPDATE ON account_uid WHEN NEW.last <= OLD.last"
"	BEGIN SELECT RAISE(ABORT, 'a uid is given once'); END;"
"CREATE TRIGGER account_uid_kept BEFORE DELETE ON account_uid BEGIN SELECT RAISE(ABORT, 'a uid is given once'); END;"
"CREATE TRIGGER accounts_new BEFORE INSERT ON accounts WHEN NEW.state <> 'creating' OR NEW.uid > (SELECT last FROM account_uid)"
"	BEGIN SELECT RAISE(ABORT, 'an account begins as one that is being made'); END;"
	/* the arrows of account.h, again */
"CREATE TRIGGER accounts_state BEFORE UPDATE OF state ON accounts WHEN OLD.state <> NEW.state AND OLD.state || ' ' || NEW.state NOT IN ("
"	'creating there', 'creating removing', 'there removing', 'removing gone')"
"	BEGIN SELECT RAISE(ABORT, 'an account cannot change its state so'); END;"
"CREATE TRIGGER accounts_fixed BEFORE UPDATE OF id, user_id, host_id, name, uid, made ON accounts"
"	BEGIN SELECT RAISE(ABORT, 'whose account it is stays'); END;"
"CREATE TRIGGER accounts_kept BEFORE DELETE ON accounts BEGIN SELECT RAISE(ABORT, 'accounts are kept'); END;";

const char *const store_v_accounts[] = { v12_accounts, NULL };

/*
 * Version 16. Accounts have an owner at their targets: a name that this database has from its beginning, and that its backups have, too.
 * Targets are asked again before logins. The end of an account that is there counts as its next_at: what is due is found by one index.
 */
static const char v16_owner[] =
"CREATE TABLE bastion (one INTEGER PRIMARY KEY CHECK (one = 1), id BLOB NOT NULL CHECK (length(id) = 16)) STRICT;"
"INSERT INTO bastion VALUES (1, randomblob(16));"
"CREATE TRIGGER bastion_fixed BEFORE UPDATE ON bastion BEGIN SELECT RAISE(ABORT, 'a bastion stays itself'); END;"
"CREATE TRIGGER bastion_kept BEFORE DELETE ON bastion BEGIN SELECT RAISE(ABORT, 'a bastion stays itself'); END;"
"ALTER TABLE accounts ADD COLUMN checked INTEGER NOT NULL DEFAULT 0;"
"DROP INDEX accounts_wasted;"
"CREATE INDEX accounts_pair ON accounts (user_id, host_id, made);"
"CREATE INDEX accounts_person ON accounts (user_id, made);"
"CREATE INDEX accounts_due ON accounts (" DUE_AT ", id) WHERE state <> 'gone';";

const char *const store_v_owner[] = { v16_owner, NULL };

/* Version 19. Which rows were given up because their uid was used: nobody is held to a limit for them, and they are not tried again all day. */
static const char v19_wasted[] = "ALTER TABLE accounts ADD COLUMN wasted INTEGER NOT NULL DEFAULT 0 CHECK (wasted IN (0, 1));";

const char *const store_v_wasted[] = { v19_wasted, NULL };

#define ACCOUNT_SQL "SELECT id, user_id, host_id, name, uid, state, expiry, since, next_at, tries, told, line, checked, wasted FROM accounts "
/* In force now, of somebody who may log in, at a host that is there. */
#define WANTED                                                                                                               \
	"FROM requests r JOIN grants g ON g.id=r.id JOIN users u ON u.id=r.user_id JOIN hosts h ON h.id=r.host_id "          \
	"WHERE r.login='" LOGIN_SELF "' AND (r.state='approved' OR r.state='active') AND " GRANT_START "<=?1 AND " GRANT_END ">?1 "    \
	"AND u.state='active' AND ifnull(u.until, ?1+1)>?1 AND h.removed IS NULL "

static int one(struct store *s, sqlite3_stmt *st, struct account *a)
{
	char state[16];
	int r = sql_next(s, st);

	memset(a, 0, sizeof(*a));
	if (r != 1)
		return r;
	a->id = sqlite3_column_int64(st, 0);
	a->user_id = sqlite3_column_int64(st, 1);
	a->host_id = sqlite3_column_int64(st, 2);
	sql_text(s, st, 3, a->name, sizeof(a->name));
	a->uid = sqlite3_column_int64(st, 4);
	sql_text(s, st, 5, state, sizeof(state));
	a->state = account_state_by_name(state);
	a->expiry = sqlite3_column_int64(st, 6);
	a->since = sqlite3_column_int64(st, 7);
	a->next_at = sqlite3_column_int64(st, 8);
	a->tries = (unsigned)sqlite3_column_int(st, 9);
	a->told = sqlite3_column_int(st, 10) != 0;
	sql_text(s, st, 11, a->line, sizeof(a->line));
	a->checked = sqlite3_column_int64(st, 12);
	a->wasted = sqlite3_column_int(st, 13) != 0;
	return sql_loaded(s, st);
}

int store_account(struct store *s, int64_t id, struct account *a)
{
	return one(s, sql(s, ACCOUNT_SQL "WHERE id=?", "i", id), a);
}

int store_account_due(struct store *s, int64_t now, int64_t *at, int64_t *after, struct account *a)
{
	int r = one(s, sql(s, ACCOUNT_SQL "WHERE state<>'gone' AND (" DUE_AT ", id)>(?1, ?2) AND " DUE_AT "<=?3 ORDER BY " DUE_AT ", id LIMIT 1",
	    "iii", *at, *after, now), a);

	if (r == 1) {
		*at = a->state == ACCOUNT_THERE ? a->expiry : a->next_at;
		*after = a->id;
	}
	return r;
}

int store_account_next(struct store *s, int64_t after, struct account *a)
{
	return one(s, sql(s, ACCOUNT_SQL "WHERE state<>'gone' AND id>? ORDER BY id LIMIT 1", "i", after), a);
}

int store_account_of(struct store *s, int64_t user_id, int64_t host_id, struct account *a)
{
	return one(s, sql(s, ACCOUNT_SQL "WHERE state<>'gone' AND user_id=? AND host_id=?", "ii", user_id, host_id), a);
}

int store_account_until(struct store *s, int64_t user_id, int64_t host_id, int64_t now, int64_t *until)
{
	int r = sql_int(s, until, "SELECT max(min(" GRANT_END ", ifnull(u.until, " GRANT_END "))) " WANTED "AND r.user_id=?2 AND r.host_id=?3", "iii", now,
	    user_id, host_id);

	if (r != 1)
		*until = 0;
	return r;
}

int store_account_wanted(struct store *s, int64_t now, struct account *a, int64_t *until)
{
	sqlite3_stmt *st = sql(s,
	    "SELECT r.user_id, r.host_id, u.name, max(min(" GRANT_END ", ifnull(u.until, " GRANT_END "))), "
	    "ifnull((SELECT a.id FROM accounts a WHERE a.user_id=r.user_id AND a.host_id=r.host_id AND a.state<>'gone'), 0) " WANTED
	    "AND (r.user_id, r.host_id)>(?2, ?3) GROUP BY r.user_id, r.host_id ORDER BY r.user_id, r.host_id LIMIT 1", "iii", now, a->user_id,
	    a->host_id);
	int r = sql_next(s, st);

	memset(a, 0, sizeof(*a));
	if (r != 1)
		return r;
	a->user_id = sqlite3_column_int64(st, 0);
	a->host_id = sqlite3_column_int64(st, 1);
	sql_text(s, st, 2, a->name, sizeof(a->name));
	*until = sqlite3_column_int64(st, 3);
	a->id = sqlite3_column_int64(st, 4);
	return sql_loaded(s, st);
}

/* The next uid that is to be given; over `high`: there is none. */
static int next_uid(struct store *s, int64_t low, int64_t *uid)
{
	if (sql_int(s, uid, "SELECT max(last+1, ?) FROM account_uid", "i", low) != 1)
		return -1;
	return 0;
}

int store_account_room(struct store *s, int64_t low, int64_t high, int64_t *room)
{
	int64_t uid;

	if (next_uid(s, low, &uid) < 0)
		return -1;
	*room = uid > high ? 0 : high - uid + 1;
	return 0;
}

/* Rows that a clock was ahead for, which was set back since, count as old. */
int store_account_hold(struct store *s, const struct account *a, int hourly, int64_t now, bool waits, int64_t *at)
{
	int64_t rows, last = 0, first = 0, wasted = 0;
	int r;

	*at = 0;
	if (sql_int(s, &rows, "SELECT count(*) FROM accounts WHERE user_id=? AND host_id=? AND made>? AND made<=? AND state='gone'", "iiii", a->user_id, a->host_id,
		now - HOUR, now) < 0 ||
	    sql_int(s, &last, "SELECT max(since) FROM accounts WHERE user_id=? AND host_id=? AND made>? AND since<=? AND state='gone'", "iiii", a->user_id, a->host_id,
		now - HOUR, now) < 0 ||
	    (r = sql_int(s, &first, "SELECT a.made FROM users v JOIN users u ON u.person=v.person JOIN accounts a ON a.user_id=u.id "
		"WHERE v.id=?1 AND a.made>?2 AND a.made<=?3 AND a.wasted=0 ORDER BY a.made DESC LIMIT 1 OFFSET ?4", "iiii", a->user_id, now - HOUR, now,
		(int64_t)hourly - 1)) < 0 ||
	    /* those in a row at the end */
	    (!waits && sql_int(s, &wasted,
		"SELECT ifnull(max(since) + min(?3, 5 << min(count(*), 20)), 0) FROM accounts WHERE user_id=?1 AND host_id=?2 AND wasted=1 AND since<=?4 "
		"AND id>ifnull((SELECT max(id) FROM accounts WHERE user_id=?1 AND host_id=?2 AND wasted=0), 0)", "iiii", a->user_id, a->host_id,
		(int64_t)WASTED_PAUSE_MAX, now) < 0))
		return -1;
	if (r == 1) {
		*at = first + HOUR;
		return HOLD_PERSON;
	}
	*at = rows == 0 ? 0 : last + account_pause((unsigned)rows);
	if (*at < wasted)
		*at = wasted;
	return *at <= now ? HOLD_NONE : HOLD_PAIR;
}

int store_bastion_id(struct store *s, char id[BASTION_ID_LEN + 1])
{
	sqlite3_stmt *st = sql(s, "SELECT id FROM bastion", "");
	uint8_t raw[BASTION_ID_LEN / 2];

	if (sql_next(s, st) != 1)
		return -1;
	sql_blob(st, 0, raw, sizeof(raw));
	hex_encode(id, raw, sizeof(raw));
	return sql_loaded(s, st) == 1 ? 0 : -1;
}

int store_account_add(struct store *s, struct account *a, int64_t low, int64_t high, int hourly, int64_t now)
{
	int64_t at;
	int hold;

	if (store_begin(s) < 0)
		return -1;
	if (next_uid(s, low, &a->uid) < 0 || (hold = store_account_hold(s, a, hourly, now, true, &at)) < 0)
		goto undo;
	if (hold != HOLD_NONE) {
		store_rollback(s);
		return store_fail(s, EALREADY, "it gets no uid for %lld s", (long long)(at - now));
	}
	if (a->uid > high) {
		store_rollback(s);
		return store_fail(s, ERANGE, "account_uids is used up");
	}
	if (sql_do(s, "UPDATE account_uid SET last=?", "i", a->uid) < 0 ||
	    sql_do(s,
		"INSERT INTO accounts (user_id, host_id, name, uid, state, expiry, made, since, next_at, tries, told, line) "
		"VALUES (?1,?2,?3,?4,'creating',0,?5,?5,?5,0,0,'')",
		"iitii", a->user_id, a->host_id, a->name, a->uid, now) < 0)
		goto undo;
	a->id = sqlite3_last_insert_rowid(s->db);
	a->state = ACCOUNT_CREATING;
	a->since = a->next_at = now;
	return store_commit(s);
undo:
	store_rollback(s);
	return -1;
}

int store_accounts_restored(struct store *s)
{
	return sql_do(s, "UPDATE account_uid SET last=last+? WHERE last>0", "i", (int64_t)RESTORED_UIDS) < 0 ? -1 : 0;
}

int store_account_save(struct store *s, const struct account *a)
{
	return sql_do(s, "UPDATE accounts SET state=?2, expiry=?3, since=?4, next_at=?5, tries=?6, told=?7, line=?8, checked=?9, wasted=?10 WHERE id=?1",
		   "itiiiiitii", a->id, account_state_name(a->state), a->expiry, a->since, a->next_at, (int64_t)a->tries, (int64_t)a->told, a->line,
		   a->checked, (int64_t)a->wasted) < 0 ?
	    -1 :
	    0;
}
