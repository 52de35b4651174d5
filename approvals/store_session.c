/*
 * store_session.c - connections, and the ways inside them. Policy role; see store.h.
 *
 * Rows say which recording belongs to whom, and are kept as long as events (event_prune()). Open ones
 * have no end_at; a policy that starts closes what the one before it left open.
 */
#include "store_sql.h"

#include <errno.h>
#include <string.h>

/*
 * Version 23. The logins under a grant: that with which a way opened, and that when it came to rest on a further one, for a channel or when
 * the first was over. They go with their way.
 */
static const char v23_way_grants[] =
"CREATE TABLE way_grants ("
"	id INTEGER PRIMARY KEY,"
"	way_id INTEGER NOT NULL REFERENCES ways ON DELETE CASCADE,"
"	request_id INTEGER NOT NULL REFERENCES requests,"
"	at INTEGER NOT NULL"
") STRICT;"
"INSERT INTO way_grants (way_id, request_id, at) SELECT id, request_id, start_at FROM ways ORDER BY id;"
"CREATE INDEX way_grants_way ON way_grants (way_id);"
"CREATE INDEX way_grants_request ON way_grants (request_id, at);"
"CREATE TRIGGER way_grants_fixed BEFORE UPDATE ON way_grants BEGIN SELECT RAISE(ABORT, 'what a way rested on stays'); END;"
"CREATE TRIGGER way_grants_kept BEFORE DELETE ON way_grants WHEN EXISTS (SELECT 1 FROM ways WHERE id = OLD.way_id)"
"	BEGIN SELECT RAISE(ABORT, 'what a way rested on stays'); END;";

const char *const store_v_way_grants[] = { v23_way_grants, NULL };

int store_connection_start(struct store *s, struct connection *c, int64_t now)
{
	if (sql_do(s,
		"INSERT INTO connections (user_id, device_id, peer, session, start_at) VALUES "
		"(?,?,?,?,?)",
		"iitbi", c->user_id, c->device_id, c->peer, (const void *)c->session,
		sizeof(c->session), now) < 0)
		return -1;
	c->id = sqlite3_last_insert_rowid(s->db);
	return 0;
}

int store_connection_end(struct store *s, int64_t id, const char *why, int64_t now)
{
	return sql_do(s, "UPDATE connections SET end_at=?2, why=?3 WHERE id=?1 AND end_at IS NULL",
		   "iit", id, now, why) < 0 ?
	    -1 :
	    0;
}

int store_connection(struct store *s, int64_t id, struct connection *c)
{
	sqlite3_stmt *st = sql(s,
	    "SELECT id, user_id, device_id, peer, session FROM connections WHERE id=? AND end_at "
	    "IS NULL",
	    "i", id);
	int r = sql_next(s, st);

	memset(c, 0, sizeof(*c));
	if (r != 1)
		return r;
	c->id = sqlite3_column_int64(st, 0);
	c->user_id = sqlite3_column_int64(st, 1);
	c->device_id = sqlite3_column_int64(st, 2);
	sql_text(s, st, 3, c->peer, sizeof(c->peer));
	sql_blob(st, 4, c->session, sizeof(c->session));
	return sql_loaded(s, st);
}

/* Loud: an event of a class of its own, with who, where to and why. Its recording is where nobody looks on other days. */
static int apart_event(struct store *s, const struct way_row *w, const struct ticket *t, const char *user, int64_t now)
{
	char recording[2 * STORE_RECORDING_LEN + 1];
	struct access_role role;
	struct host h;

	for (size_t i = 0; i < STORE_RECORDING_LEN; i++)
		snprintf(recording + 2 * i, 3, "%02x", w->recording[i]);
	if (store_role(s, t->role_id, &role) != 1 || store_host(s, w->host_id, &h) != 1)
		return -1;
	return event_writef(s, now, EVENT_GLASS_STORE, user, user, "{s:I, s:I, s:s, s:s, s:s, s:s, s:s}", "way", (json_int_t)w->id, "request",
	    (json_int_t)t->id, "host", h.name, "login", w->login, "role", role.name, "reason", t->reason, "recording", recording);
}

/* One login more under the grant, which is filled in; the first one makes it active. */
static int count_login(struct store *s, int64_t id, const char *user, int64_t now, struct ticket *t)
{
	bool first;
	int r = store_ticket(s, id, t);

	if (r != 1)
		return r < 0 ? -1 : store_fail(s, ENOENT, "there is no grant %lld", (long long)id);
	first = t->state == TICKET_APPROVED;
	if (!ticket_gives_access(t->state) || now >= t->end_at)
		return store_fail(s, EPERM, "grant %lld is %s", (long long)t->id,
		    ticket_gives_access(t->state) ? "over" : ticket_state_name(t->state));
	/* the table says the same, but cannot say it to a user */
	if (t->logins != 0 && t->uses >= t->logins)
		return store_fail(s, EPERM, "grant %lld was for %u login%s, which it had", (long long)t->id, t->logins,
		    t->logins == 1 ? "" : "s");
	if (store_ticket_move(s, t, ACT_USE, NULL, NULL, now) != 1 || sql_do(s, "UPDATE grants SET uses=uses+1 WHERE id=?", "i", t->id) != 1)
		return -1;
	return first ? event_writef(s, now, EVENT_GRANT_USE, user, NULL, "{s:I}", "request", (json_int_t)t->id) : 0;
}

static int rest_on(struct store *s, int64_t way, int64_t grant, int64_t now)
{
	return sql_do(s, "INSERT INTO way_grants (way_id, request_id, at) VALUES (?,?,?)", "iii", way, grant, now);
}

int store_grant_use(struct store *s, int64_t id, int64_t way, const char *user, int64_t now)
{
	struct ticket t;
	int e;

	if (store_begin(s) < 0)
		return -1;
	if (count_login(s, id, user, now, &t) < 0 || rest_on(s, way, id, now) < 0) {
		e = errno;
		store_rollback(s);
		errno = e;
		return -1;
	}
	return store_commit(s);
}

static int start_way(struct store *s, struct way_row *w, const char *user, int64_t now)
{
	struct ticket t;

	if (count_login(s, w->ticket_id, user, now, &t) < 0)
		return -1;
	if (sql_do(s,
		"INSERT INTO ways (connection_id, request_id, host_id, login, target, recording, "
		"start_at, apart) "
		"VALUES (?,?,?,?,?,?,?,?)",
		"iiittbii", w->connection_id, w->ticket_id, w->host_id, w->login, w->target,
		(const void *)w->recording, sizeof(w->recording), now, (int64_t)w->apart) < 0)
		return -1;
	w->id = sqlite3_last_insert_rowid(s->db);
	if (rest_on(s, w->id, w->ticket_id, now) < 0)
		return -1;
	return w->apart ? apart_event(s, w, &t, user, now) : 0;
}

int store_way_start(struct store *s, struct way_row *w, const char *user, int64_t now)
{
	int e;

	if (store_begin(s) < 0)
		return -1;
	if (start_way(s, w, user, now) < 0) {
		e = errno;
		store_rollback(s);
		errno = e;
		return -1;
	}
	return store_commit(s);
}

int store_way_end(struct store *s, const struct way_row *w, const char *why, int64_t now)
{
	return sql_do(s,
		   "UPDATE ways SET end_at=?2, why=?3, bytes_in=?4, bytes_out=?5, frames=?6 WHERE "
		   "id=?1 AND end_at IS NULL",
		   "iitiii", w->id, now, why, (int64_t)w->bytes_in, (int64_t)w->bytes_out,
		   (int64_t)w->frames) < 0 ?
	    -1 :
	    0;
}

int store_recording_user(struct store *s, const uint8_t recording[STORE_RECORDING_LEN], char name[USER_NAME_MAX + 1])
{
	sqlite3_stmt *st = sql(s,
	    "SELECT u.name FROM ways w JOIN connections c ON c.id=w.connection_id JOIN users u ON u.id=c.user_id "
	    "WHERE w.recording=?", "b", (const void *)recording, (size_t)STORE_RECORDING_LEN);
	int r = sql_next(s, st);

	if (r != 1)
		return r;
	sql_text(s, st, 0, name, USER_NAME_MAX + 1);
	return sql_loaded(s, st);
}

int store_sessions_reset(struct store *s, const char *why, int64_t now)
{
	int n = -1;

	if (store_begin(s) < 0)
		return -1;
	if (sql_do(s, "UPDATE ways SET end_at=?1, why=?2 WHERE end_at IS NULL", "it", now, why) <
		0 ||
	    (n = sql_do(s, "UPDATE connections SET end_at=?1, why=?2 WHERE end_at IS NULL", "it",
		 now, why)) < 0) {
		store_rollback(s);
		return -1;
	}
	return store_commit(s) < 0 ? -1 : n;
}

int store_session_prune(struct store *s, int64_t before, int64_t most)
{
	int ways, connections;

	ways = sql_do(s, "DELETE FROM ways WHERE id IN (SELECT id FROM ways WHERE end_at<? LIMIT ?)", "ii",
	    before, most);
	if (ways < 0)
		return -1;
	connections = sql_do(s,
	    "DELETE FROM connections WHERE id IN (SELECT id FROM connections c WHERE end_at<? AND NOT "
	    "EXISTS (SELECT 1 FROM ways w WHERE w.connection_id=c.id) LIMIT ?)", "ii", before, most);
	return connections < 0 ? -1 : ways + connections;
}
