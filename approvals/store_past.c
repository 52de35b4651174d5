/*
 * store_past.c - see store_past.h. Policy role.
 */
#include "store_past.h"

#include <stdlib.h>
#include <string.h>

#include "store_sql.h"

/* The row of a history that held then. */
#define HELD(t) t ".from_at<=?1 AND (" t ".to_at IS NULL OR " t ".to_at>?1)"

int store_past_user(struct store *s, int64_t user_id, int64_t at, struct user *u)
{
	char state[16];
	sqlite3_stmt *st;
	int r = store_user(s, user_id, u);

	if (r != 1)
		return r;
	st = sql(s, "SELECT h.state, h.kind='service', h.networks, h.until FROM user_history h WHERE " HELD("h")
	    " AND h.user_id=?2 ORDER BY h.id DESC LIMIT 1", "ii", at, user_id);
	if ((r = sql_next(s, st)) != 1)
		return r;
	sql_text(s, st, 0, state, sizeof(state));
	u->state = strcmp(state, "active") == 0 ? USER_ACTIVE : strcmp(state, "locked") == 0 ? USER_LOCKED : USER_REMOVED;
	u->kind = sqlite3_column_int(st, 1) != 0 ? USER_SERVICE : USER_HUMAN;
	sql_text(s, st, 2, u->networks, sizeof(u->networks));
	u->until = sql_time(st, 3);
	return sql_loaded(s, st);
}

int store_past_host(struct store *s, const char *name, int64_t at, struct host *h)
{
	sqlite3_stmt *st = sql(s, "SELECT h.host_id, h.name, h.labels, h.zone, h.logins FROM host_history h WHERE " HELD("h")
	    " AND h.name=?2 ORDER BY h.id DESC LIMIT 1", "it", at, name);
	int r = sql_next(s, st);

	memset(h, 0, sizeof(*h));
	if (r != 1)
		return r;
	h->id = sqlite3_column_int64(st, 0);
	sql_text(s, st, 1, h->name, sizeof(h->name));
	sql_text(s, st, 2, h->labels, sizeof(h->labels));
	sql_text(s, st, 3, h->zone, sizeof(h->zone));
	sql_text(s, st, 4, h->logins, sizeof(h->logins));
	return sql_loaded(s, st);
}

/* Whether approvals were signed, or the glass could be broken, is not kept: no decision over the past asks for it. */
int store_past_roles(struct store *s, int64_t user_id, int64_t at, struct access_role **roles)
{
	return sql_roles(s, sql(s,
	    "SELECT h.role_id, h.name, h.hosts, h.labels, h.logins, h.caps, h.max, h.approvals, h.hours, h.networks, "
	    "h.ticket, h.kind, h.zones, h.forwards, h.commands, h.no_reason, h.everyone, 0, 0 FROM role_history h WHERE "
	    HELD("h") " AND (h.everyone=1 OR EXISTS (SELECT 1 FROM member_history m WHERE " HELD("m")
	    " AND m.role_id=h.role_id AND m.user_id=?2 AND m.part='m')) ORDER BY h.role_id",
	    "ii", at, user_id), roles);
}

/*
 * Granted is what had begun by then; the state follows from the times. What was approved and had not begun is left out. A clock that was
 * set back showed some moments twice: a grant that began when it showed one of them ran the second time, too.
 */
#define RAN GRANT_START "<=?1"
#define BACK "iif(g.start_at<=?1, 0, g.moved)"
/* Those that are kept: ways of long ago are pruned with their events. */
#define USES "(SELECT count(*) FROM way_grants y WHERE y.request_id=r.id AND y.at<=?1)"
/* What ran had all of them, whatever the clock showed when they were given. */
#define VERDICTS "(SELECT count(*) FROM verdicts v WHERE v.request_id=r.id AND v.yes=1 AND (v.at<=?1 OR " RAN "))"

int store_past_tickets(struct store *s, int64_t user_id, int64_t host_id, const char *login, int64_t at,
    struct ticket *t, int max)
{
	sqlite3_stmt *st = sql(s,
	    "SELECT r.id, CASE WHEN " RAN " THEN iif(coalesce(g.ended_at, g.end_at)>?1, 'active', "
	    "iif(r.state='revoked', 'revoked', 'ended')) WHEN r.closed_at<=?1 THEN r.state ELSE 'pending' END AS was, "
	    "r.user_id, r.by_id, r.host_id, r.role_id, r.login, r.caps, r.duration, r.needed, " VERDICTS ", r.reason, r.ref, "
	    "r.asked_at, r.lapse_at, iif(" RAN ", g.start_at-" BACK ", 0), iif(" RAN ", g.end_at-" BACK ", 0), r.why, r.closer, o.hours, "
	    "o.networks, r.forwards, r.commands, r.signed, r.glass, r.not_before, r.logins, " USES ", ifnull(r.batch, 0), "
	    "ifnull(r.extends, 0), iif(" RAN ", " BACK ", 0) FROM requests r JOIN role_history o ON o.role_id=r.role_id AND "
	    HELD("o") " LEFT JOIN grants g ON g.id=r.id WHERE r.user_id=?2 AND r.host_id=?3 AND r.login=?4 AND (r.asked_at<=?1 OR " RAN ") "
	    "AND (" RAN " OR r.closed_at<=?1 OR r.needed>" VERDICTS ") AND (g.start_at IS NULL OR " RAN " OR r.needed>" VERDICTS ") "
	    "ORDER BY was='active' DESC, r.id DESC LIMIT ?5",
	    "iiiti", at, user_id, host_id, login, (int64_t)max);

	return sql_tickets(s, st, t, max);
}

/* Each of the two is looked for in the order of an index, and what was found waits for its turn: no row is read twice on the way. */
int store_past_next(struct store *s, struct past_walk *w, int64_t *user_id)
{
	if (w->granted <= w->after) {
		w->granted = FOREVER;
		if (sql_int(s, &w->granted, "SELECT r.user_id FROM requests r CROSS JOIN grants g ON g.id=r.id WHERE r.host_id=?2 AND r.user_id>?4 "
			"AND r.login IN (?3, '" LOGIN_SELF "') AND " RAN " AND coalesce(g.ended_at, g.end_at)>?1 "
			"ORDER BY r.user_id LIMIT 1", "iiti", w->at, w->host_id, w->login, w->after) < 0)
			return -1;
	}
	if (w->member <= w->after) {
		w->member = FOREVER;
		if (sql_int(s, &w->member, "SELECT m.user_id FROM member_history m WHERE m.user_id>?2 AND m.part='m' AND " HELD("m")
			" AND EXISTS (SELECT 1 FROM role_history o WHERE o.role_id=m.role_id AND o.kind='allow' AND " HELD("o") ") "
			"ORDER BY m.user_id LIMIT 1", "ii", w->at, w->after) < 0)
			return -1;
	}
	*user_id = w->after = w->granted < w->member ? w->granted : w->member;
	return *user_id != FOREVER;
}

json_t *store_past_approvers(struct store *s, int64_t ticket_id)
{
	const struct sql_named ints[] = { { ":id", ticket_id }, { NULL, 0 } };
	const struct sql_named_text texts[] = { { NULL, NULL } };
	json_t *rows = sql_rows(s, "SELECT u.name || ' ' || strftime('%Y-%m-%dT%H:%M:%SZ', v.at, 'unixepoch') AS who "
	    "FROM verdicts v JOIN users u ON u.id=v.user_id WHERE v.request_id=:id AND v.yes=1 ORDER BY v.at",
	    ints, texts), *names = json_array();

	for (size_t i = 0; rows != NULL && i < json_array_size(rows); i++)
		json_array_append(names, json_object_get(json_array_get(rows, i), "who"));
	if (rows == NULL) {
		json_decref(names);
		return NULL;
	}
	json_decref(rows);
	return names;
}
