/*
 * store_account.c - see store_account.h. Policy role.
 */
#include "store_account.h"

#include <errno.h>
#include <string.h>

#include "store_sql.h"

#define RESTORED_UIDS 1000

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

#define ACCOUNT_SQL "SELECT id, user_id, host_id, name, uid, state, expiry, since, next_at, tries, told, line FROM accounts "
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
	return sql_loaded(s, st);
}

int store_account(struct store *s, int64_t id, struct account *a)
{
	return one(s, sql(s, ACCOUNT_SQL "WHERE id=?", "i", id), a);
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

int store_account_missing(struct store *s, int64_t now, struct account *a, int64_t *until)
{
	sqlite3_stmt *st = sql(s,
	    "SELECT r.user_id, r.host_id, u.name, max(min(" GRANT_END ", ifnull(u.until, " GRANT_END "))) " WANTED
	    "AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.user_id=r.user_id AND a.host_id=r.host_id AND a.state<>'gone') "
	    "GROUP BY r.user_id, r.host_id LIMIT 1", "i", now);
	int r = sql_next(s, st);

	memset(a, 0, sizeof(*a));
	if (r != 1)
		return r;
	a->user_id = sqlite3_column_int64(st, 0);
	a->host_id = sqlite3_column_int64(st, 1);
	sql_text(s, st, 2, a->name, sizeof(a->name));
	*until = sqlite3_column_int64(st, 3);
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

/* Of this pair in the last hour: how many were given up before the target confirmed them? */
static int wasted(struct store *s, const struct account *a, int64_t now, int64_t *n)
{
	return sql_int(s, n, "SELECT count(*) FROM accounts WHERE user_id=? AND host_id=? AND state='gone' AND expiry=0 AND made>?", "iii",
		   a->user_id, a->host_id, now - 3600) == 1 ? 0 : -1;
}

int store_account_add(struct store *s, struct account *a, int64_t low, int64_t high, int64_t now)
{
	int64_t lost;

	if (store_begin(s) < 0)
		return -1;
	if (next_uid(s, low, &a->uid) < 0 || wasted(s, a, now, &lost) < 0)
		goto undo;
	a->next_at = now + account_pause((unsigned)lost);
	if (a->uid > high) {
		store_rollback(s);
		return store_fail(s, ERANGE, "account_uids is used up");
	}
	if (sql_do(s, "UPDATE account_uid SET last=?", "i", a->uid) < 0 ||
	    sql_do(s,
		"INSERT INTO accounts (user_id, host_id, name, uid, state, expiry, made, since, next_at, tries, told, line) "
		"VALUES (?1,?2,?3,?4,'creating',0,?5,?5,?6,0,0,'')",
		"iitiii", a->user_id, a->host_id, a->name, a->uid, now, a->next_at) < 0)
		goto undo;
	a->id = sqlite3_last_insert_rowid(s->db);
	a->state = ACCOUNT_CREATING;
	a->since = now;
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
	return sql_do(s, "UPDATE accounts SET state=?2, expiry=?3, since=?4, next_at=?5, tries=?6, told=?7, line=?8 WHERE id=?1", "itiiiiit",
		   a->id, account_state_name(a->state), a->expiry, a->since, a->next_at, (int64_t)a->tries, (int64_t)a->told, a->line) < 0 ?
	    -1 :
	    0;
}
