/*
 * store_ticket.c - requests, verdicts and grants. Policy role; see store.h, and access.h for the
 * states.
 *
 * A ticket's state is in requests.state and nowhere else; its grant is the row of the same number
 * in grants. Every row that comes out passes access_broken(): what breaks an invariant is a
 * failure, not a ticket.
 */
#include "store_sql.h"

#include <errno.h>
#include <string.h>

#define TICKETS_BY(index)                                                                              \
	"SELECT r.id, r.state, r.user_id, r.by_id, r.host_id, r.role_id, r.login, r.caps, "        \
	"r.duration, r.needed, "                                                                   \
	"(SELECT count(*) FROM verdicts v WHERE v.request_id=r.id AND v.yes=1), r.reason, r.ref, " \
	"r.asked_at, r.lapse_at, "                                                                 \
	GRANT_START ", " GRANT_END ", r.why, r.closer, o.hours, o.networks, r.forwards, r.commands, r.signed, r.glass, r.not_before, r.logins, ifnull(g.uses, 0), ifnull(r.batch, 0), ifnull(r.extends, 0), ifnull(g.moved, 0) " \
	"FROM requests r " index " CROSS JOIN roles o "                                                     \
	"ON o.id=r.role_id "                                                                       \
	"LEFT JOIN grants g ON g.id=r.id "
#define TICKET_SQL TICKETS_BY("")

static int load_ticket(struct store *s, sqlite3_stmt *st, struct ticket *t)
{
	char state[16];
	const char *broken;

	memset(t, 0, sizeof(*t));
	t->id = sqlite3_column_int64(st, 0);
	sql_text(s, st, 1, state, sizeof(state));
	t->state = ticket_state_by_name(state);
	t->user_id = sqlite3_column_int64(st, 2);
	t->by_id = sqlite3_column_int64(st, 3);
	t->host_id = sqlite3_column_int64(st, 4);
	t->role_id = sqlite3_column_int64(st, 5);
	sql_text(s, st, 6, t->login, sizeof(t->login));
	t->caps = (unsigned)sqlite3_column_int(st, 7) & CAP_ALL;
	t->duration = (uint32_t)sqlite3_column_int64(st, 8);
	t->needed = (uint32_t)sqlite3_column_int(st, 9);
	t->given = (uint32_t)sqlite3_column_int(st, 10);
	sql_text(s, st, 11, t->reason, sizeof(t->reason));
	sql_text(s, st, 12, t->ref, sizeof(t->ref));
	t->asked_at = sqlite3_column_int64(st, 13);
	t->lapse_at = sqlite3_column_int64(st, 14);
	t->start_at = sqlite3_column_int64(st, 15);
	t->end_at = sqlite3_column_int64(st, 16);
	sql_text(s, st, 17, t->why, sizeof(t->why));
	sql_text(s, st, 18, t->closer, sizeof(t->closer));
	sql_text(s, st, 19, t->role_hours, sizeof(t->role_hours));
	sql_text(s, st, 20, t->role_networks, sizeof(t->role_networks));
	sql_text(s, st, 21, t->forwards, sizeof(t->forwards));
	sql_text(s, st, 22, t->commands, sizeof(t->commands));
	t->sign = sqlite3_column_int(st, 23) != 0;
	t->glass = sqlite3_column_int(st, 24) != 0;
	t->not_before = sqlite3_column_int64(st, 25);
	t->logins = (uint32_t)sqlite3_column_int(st, 26);
	t->uses = (uint32_t)sqlite3_column_int(st, 27);
	t->batch = sqlite3_column_int64(st, 28);
	t->extends = sqlite3_column_int64(st, 29);
	t->moved = sqlite3_column_int64(st, 30);
	if (s->misfit)
		return -1;
	if ((broken = access_broken(t)) != NULL)
		return store_fail(s, EIO, "database: request %lld: %s", (long long)t->id, broken);
	return 1;
}

static int one_ticket(struct store *s, sqlite3_stmt *st, struct ticket *t)
{
	int r = sql_next(s, st);

	if (r == 1) {
		r = load_ticket(s, st, t);
		sql_done(st);
	}
	return r;
}

int store_ticket(struct store *s, int64_t id, struct ticket *t)
{
	return one_ticket(s, sql(s, TICKET_SQL "WHERE r.id=?", "i", id), t);
}

int store_ticket_approved_at(struct store *s, int64_t id, int64_t *at)
{
	*at = 0;
	return sql_int(s, at, "SELECT approved_at FROM grants WHERE id=?", "i", id);
}

#define CLOSED_TICKETS 8	/* of those that are closed: they only tell why there is none */

/* Two looks: those that are open are few (STORE_PLACE_MAX), of the others the newest come first out of the index. */
int store_tickets(struct store *s, int64_t user_id, int64_t host_id, const char *login, int64_t now,
    struct ticket *t, int max)
{
	int more, rest, n = sql_tickets(s, sql(s,
	    TICKET_SQL "WHERE r." REQUEST_OPEN " AND r.state<>'pending' AND r.user_id=?1 AND r.host_id=?2 AND r.login=?3 "
		       "ORDER BY " GRANT_START "<=?4 AND " GRANT_END ">?4 AND (r.logins=0 OR g.uses<r.logins) DESC, "
		       GRANT_END " DESC, r.id DESC LIMIT ?5",
	    "iitii", user_id, host_id, login, now, (int64_t)max), t, max);

	if (n < 0 || n == max)
		return n;
	rest = max - n < CLOSED_TICKETS ? max - n : CLOSED_TICKETS;
	more = sql_tickets(s, sql(s,
	    TICKETS_BY("INDEXED BY requests_way") "WHERE r.user_id=?1 AND r.host_id=?2 AND r.login=?3 "
		       "AND r.state NOT IN ('approved', 'active') ORDER BY r.id DESC LIMIT ?4",
	    "iiti", user_id, host_id, login, (int64_t)rest), t + n, rest);
	return more < 0 ? -1 : n + more;
}

int sql_tickets(struct store *s, sqlite3_stmt *st, struct ticket *t, int max)
{
	int r, n = 0;

	while ((r = sql_next(s, st)) == 1 && n < max)
		if ((r = load_ticket(s, st, &t[n++])) < 0)
			break;
	sql_done(st);
	return r < 0 ? -1 : n;
}

int store_grant_login(struct store *s, int64_t user_id, int64_t host_id, char login[LOGIN_MAX + 1])
{
	sqlite3_stmt *st = sql(s,
	    "SELECT r.login FROM requests r JOIN grants g ON g.id=r.id WHERE r.user_id=? AND r.host_id=? "
	    "AND r." REQUEST_OPEN " AND r.state<>'pending' ORDER BY " GRANT_END " DESC LIMIT 1", "ii", user_id, host_id);
	int r = sql_next(s, st);

	if (r == 1) {
		sql_text(s, st, 0, login, LOGIN_MAX + 1);
		sql_done(st);
	}
	return r;
}

/* What is open already is bounded: each of it costs everybody's words and logins some time. 0, or -1: ENOSPC. */
static int is_room(struct store *s, const struct ticket *t)
{
	int64_t n = 0, all = 0, here = 0, glass = 0;

	if (sql_int(s, &n, "SELECT (SELECT count(*) FROM requests WHERE " REQUEST_OPEN " AND state='pending' AND user_id=?1) + "
		"(SELECT count(*) FROM requests WHERE " REQUEST_OPEN " AND state='pending' AND by_id=?1 AND user_id<>?1)",
		"i", t->by_id != 0 ? t->by_id : t->user_id) < 0 ||
	    sql_int(s, &all, "SELECT count(*) FROM requests WHERE " REQUEST_OPEN " AND user_id=?", "i", t->user_id) < 0 ||
	    sql_int(s, &here, "SELECT count(*) FROM requests WHERE " REQUEST_OPEN " AND user_id=? AND host_id=? AND login=? "
		"AND NOT (logins>0 AND EXISTS (SELECT 1 FROM grants g WHERE g.id=requests.id AND g.uses>=requests.logins))",
		"iit", t->user_id, t->host_id, t->login) < 0 ||
	    sql_int(s, &glass, "SELECT count(*) FROM requests WHERE " REQUEST_OPEN " AND glass=1 AND user_id=?", "i", t->user_id) < 0)
		return -1;
	if (n >= STORE_PENDING_MAX)
		return store_fail(s, ENOSPC, "%d requests are open already: wait for them, or cancel one", STORE_PENDING_MAX);
	if (t->glass && glass >= STORE_GLASS_MAX)
		return store_fail(s, ENOSPC, "%d break-glass grants at once are the most, with those of this request: cancel one", STORE_GLASS_MAX);
	if (here >= STORE_PLACE_MAX)
		return store_fail(s, ENOSPC, "%d grants for this login on this host run already, or are to begin: cancel one", STORE_PLACE_MAX);
	if (all >= STORE_GRANTS_MAX)
		return store_fail(s, ENOSPC, "%d grants run already, or are to begin: cancel some", STORE_GRANTS_MAX);
	return 0;
}

int store_ticket_add(struct store *s, struct ticket *t)
{
	if (is_room(s, t) < 0)
		return -1;
	if (sql_do(s,
		"INSERT INTO requests (state, user_id, by_id, host_id, role_id, login, caps, "
		"duration, needed, reason, ref, "
		"asked_at, lapse_at, forwards, commands, signed, glass, not_before, "
		"logins, batch, extends) VALUES ('pending', ?, nullif(?,0), ?, ?, ?, ?, ?, ?, ?, ?, ?, "
		"?, ?, ?, ?, ?, ?, ?, nullif(?,0), nullif(?,0))",
		"iiiitiiittiittiiiiii", t->user_id, t->by_id, t->host_id, t->role_id, t->login,
		(int64_t)t->caps, (int64_t)t->duration, (int64_t)t->needed, t->reason, t->ref,
		t->asked_at, t->lapse_at, t->forwards, t->commands, (int64_t)t->sign, (int64_t)t->glass, t->not_before,
		(int64_t)t->logins, t->batch, t->extends) < 0)
		return -1;
	t->id = sqlite3_last_insert_rowid(s->db);
	return store_ticket(s, t->id, t) == 1 ? 0 : -1;
}

int store_ticket_own(struct store *s, const struct ticket *t, const char *person)
{
	int64_t one;

	return sql_int(s, &one, "SELECT 1 FROM users WHERE id IN (?1, ?2) AND person=?3 LIMIT 1",
	    "iit", t->user_id, t->by_id, person);
}

int store_verdict(struct store *s, struct ticket *t, const struct user *by, bool yes,
    const char *reason, int64_t now)
{
	int n = sql_do(s,
	    "INSERT INTO verdicts (request_id, person, user_id, yes, reason, at) VALUES "
	    "(?,?,?,?,?,?) "
	    "ON CONFLICT (request_id, person) DO NOTHING",
	    "itiiti", t->id, by->person, by->id, (int64_t)yes, reason != NULL ? reason : "", now);

	/* not read back here: with its last approval the request is at odds with I4 until
	 * store_ticket_move() */
	if (n > 0 && yes)
		t->given++;
	return n;
}

/* The state's change and what belongs to it: the grant that begins, or the grant that is over. */
static int write_move(struct store *s, const struct ticket *t, enum ticket_state to, const char *by,
    const char *why, int64_t now)
{
	const int64_t from = t->not_before > now ? t->not_before : now;
	int n = sql_do(s,
	    "UPDATE requests SET state=?3, closer=iif(?4='', closer, ?4), why=iif(?5='', why, ?5), "
	    "closed_at=iif(?3 IN ('approved', 'active'), NULL, ?6) WHERE id=?1 AND state=?2",
	    "itttti", t->id, ticket_state_name(t->state), ticket_state_name(to), by, why, now);

	if (n != 1)
		return n;
	if (to == TICKET_APPROVED)
		return sql_do(s, "INSERT INTO grants (id, start_at, end_at, approved_at) VALUES (?,?,?,?)", "iiii",
		    t->id, from, from + (int64_t)t->duration, now);
	if (to == TICKET_ACTIVE)
		return sql_do(s, "UPDATE grants SET used_at=?2 WHERE id=?1", "ii", t->id, now);
	if (ticket_gives_access(t->state))
		return sql_do(s, "UPDATE grants SET ended_at=?2 WHERE id=?1", "ii", t->id, now);
	return 1;
}

int store_ticket_move(struct store *s, struct ticket *t, enum ticket_act act, const char *by,
    const char *why, int64_t now)
{
	enum ticket_state to = ticket_next(t->state, act);
	int n;

	if (to == TICKET_STATES)
		return store_fail(s, EPERM, "request %lld is %s", (long long)t->id,
		    ticket_state_name(t->state));
	if (to == t->state)
		return 1;
	if (store_begin(s) < 0)
		return -1;
	n = write_move(s, t, to, by != NULL ? by : "", why != NULL ? why : "", now);
	if (n < 0 || store_ticket(s, t->id, t) != 1) {
		store_rollback(s);
		return -1;
	}
	return store_commit(s) < 0 ? -1 : n;
}

int store_ticket_due(struct store *s, int64_t now, struct ticket *t, int64_t *deadline)
{
	int r = sql_int(s, deadline, "SELECT min(at) FROM ("
	    "SELECT min(" GRANT_END ") AS at FROM grants g WHERE g.ended_at IS NULL AND " GRANT_END ">?1 UNION ALL "
	    "SELECT min(lapse_at) FROM requests WHERE state='pending' AND lapse_at>?1)", "i", now);

	if (r < 0)
		return -1;
	if (r == 0)
		*deadline = FOREVER;
	return one_ticket(s, sql(s, TICKET_SQL "WHERE r.id=coalesce("
	    "(SELECT g.id FROM grants g WHERE g.ended_at IS NULL AND " GRANT_END "<=?1 ORDER BY " GRANT_END ", g.id LIMIT 1), "
	    "(SELECT id FROM requests WHERE state='pending' AND lapse_at<=?1 ORDER BY lapse_at, id LIMIT 1))", "i", now), t);
}

int store_ticket_asked(struct store *s, int64_t by_id, int64_t after, struct ticket *t)
{
	return one_ticket(s,
	    sql(s,
		TICKET_SQL "WHERE r." REQUEST_OPEN " AND r.state='pending' AND r.by_id=?1 AND r.user_id<>?1 AND r.id>?2 "
			   "ORDER BY r.id LIMIT 1",
		"ii", by_id, after),
	    t);
}

int store_ticket_twin(struct store *s, int64_t user_id, int64_t host_id, const char *login, int64_t *id)
{
	return sql_int(s, id, "SELECT id FROM requests WHERE " REQUEST_OPEN " AND state='pending' AND user_id=? AND host_id=? AND login=? LIMIT 1",
	    "iit", user_id, host_id, login);
}

/* By the index of what is named: whoever goes through all that is open of one must not step over what is open of all, once for each. */
int store_ticket_open(struct store *s, int64_t user_id, int64_t role_id, int64_t host_id,
    int64_t after, struct ticket *t)
{
#define NEXT_OPEN(index, where) TICKETS_BY(index) "WHERE r." REQUEST_OPEN " AND r.id>?4 AND " where " ORDER BY r.id LIMIT 1"
	const char *text = user_id != 0 ? NEXT_OPEN("INDEXED BY requests_open_user", "r.user_id=?1 AND ?2 IN (0, r.role_id) AND ?3 IN (0, r.host_id)") :
	    host_id != 0 ? NEXT_OPEN("INDEXED BY requests_open_host", "?1=0 AND ?2 IN (0, r.role_id) AND r.host_id=?3") :
	    role_id != 0 ? NEXT_OPEN("INDEXED BY requests_open_role", "?1=0 AND r.role_id=?2 AND ?3=0") :
			   NEXT_OPEN("", "?1=0 AND ?2=0 AND ?3=0");

	return one_ticket(s, sql(s, text, "iiii", user_id, role_id, host_id, after), t);
}

int store_ticket_of(struct store *s, const char *ref, int64_t after, struct ticket *t)
{
	return one_ticket(s, sql(s, TICKET_SQL "WHERE r." REQUEST_OPEN " AND r.state<>'pending' AND r.ref=? AND r.id>? ORDER BY r.id LIMIT 1",
	    "ti", ref, after), t);
}
