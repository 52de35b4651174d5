/*
 * store_list.c - lists for people: rows as JSON, with the keys of doc/PROTOCOL.control section 5.
 * Policy role.
 *
 * A column's name is its key; a mark at its end makes the value more than a number or a text: []
 * words with spaces between → array; {} lines → array; ? 0 or 1 → false or true. Of NULL and ""
 * the key is left out, but for [].
 */
#include "store_sql.h"

#include <errno.h>
#include <string.h>

/* The newest rows, or those after a number; in the order of their numbers either way. */
#define PAGED(body)                                                                        \
	{ "SELECT * FROM (" body " ORDER BY id DESC LIMIT :limit) ORDER BY id",            \
	  body " ORDER BY id LIMIT :limit" }
/* The same of one user (:user): `ids` are the rows that may be his, in the order and up to the limit that `page` says. */
#define PAGE_NEWEST " ORDER BY id DESC LIMIT :limit"
#define PAGE_NEXT " ORDER BY id LIMIT :limit"
#define PAGED_OF(body, ids)                                                                \
	{ "SELECT * FROM (" body ids(PAGE_NEWEST) " ORDER BY id DESC LIMIT :limit) ORDER BY id", \
	  body ids(PAGE_NEXT) " ORDER BY id LIMIT :limit" }
/* From the start. */
#define WHOLE(body) { body " ORDER BY id LIMIT :limit", body " ORDER BY id LIMIT :limit" }

/* Is :user an approver of the role? */
#define DECIDES(role)                                                                      \
	"EXISTS (SELECT 1 FROM deciders de WHERE de.role_id=" role " AND de.user_id=:user)"

/* Of a break-glass grant: was it used while only the collectors for break-glass were there? */
#define STORE_OF(request)                                                                  \
	"iif(EXISTS (SELECT 1 FROM ways ap WHERE ap.request_id=" request " AND ap.apart), 'break-glass', NULL) AS store"

#define TICKETS                                                                            \
	"SELECT r.id AS id, r.state AS state, u.name AS user, r.login AS login,"           \
	" h.name AS host, o.name AS role, r.duration AS \"for\", r.asked_at AS asked,"     \
	" nullif(ifnull(b.name, 'root'), u.name) AS by, " GRANT_START " AS start,"              \
	" " GRANT_END " AS until, iif(r.state IN ('approved', 'active') AND " GRANT_END ">:now,"     \
	"  " GRANT_END "-:now, NULL) AS left, r.needed AS needed, r.signed AS \"signed?\", r.glass AS \"break_glass?\", " STORE_OF("r.id") ", nullif(r.logins, 0) AS logins,"\
	" nullif(r.not_before, 0) AS not_before, r.batch AS batch, r.extends AS extends,"                       \
	" (SELECT count(*) FROM verdicts v WHERE v.request_id=r.id AND v.yes=1)"           \
	"  || '/' || r.needed AS approvals,"                                               \
	" (SELECT group_concat(x.name, ' ') FROM verdicts v JOIN users x ON x.id=v.user_id" \
	"  WHERE v.request_id=r.id AND v.yes=1) AS \"approvers[]\", " CAPS("r") " AS \"caps{}\","   \
	" r.ref AS ticket, r.reason AS reason, r.closer AS closer, r.why AS why"           \
	" FROM requests r JOIN users u ON u.id=r.user_id LEFT JOIN users b ON b.id=r.by_id" \
	" JOIN hosts h ON h.id=r.host_id JOIN roles o ON o.id=r.role_id"                   \
	" LEFT JOIN grants g ON g.id=r.id"                                                 \
	" WHERE r.id>:after AND r.id<=:last"

/*
 * Requests that one user asked for, has, or may decide, of those for which `which` holds: by an index each. For himself he has as many as
 * the page takes; a decider's are all looked at.
 */
#define REQUESTS_OF(which, page)                                                           \
	" AND r.id IN (SELECT * FROM (SELECT q.id AS id FROM requests q WHERE q.user_id=:user AND q.id>:after AND " which page ")" \
	" UNION ALL SELECT * FROM (SELECT q.id AS id FROM requests q WHERE q.by_id=:user AND q.id>:after AND " which page ")" \
	" UNION ALL SELECT q.id FROM deciders de CROSS JOIN requests q ON q.role_id=de.role_id" \
	"  WHERE de.user_id=:user AND q.id>:after AND " which ")"
#define PENDING "q." REQUEST_OPEN " AND q.state='pending'"
#define RUNNING "q." REQUEST_OPEN " AND q.state<>'pending'"
#define GRANTED "EXISTS (SELECT 1 FROM grants x WHERE x.id=q.id)"
#define PENDING_OF(page) REQUESTS_OF(PENDING, page)
#define REQUESTED_OF(page) REQUESTS_OF("1", page)
#define RUNNING_OF(page) REQUESTS_OF(RUNNING, page)
#define GRANTED_OF(page) REQUESTS_OF(GRANTED, page)

#define ROLE_NAMES(what, key)                                                              \
	"(SELECT group_concat(o.name, ' ') FROM role_users ru JOIN roles o"                \
	" ON o.id=ru.role_id WHERE ru.user_id=u.id AND ru.part='" what "') AS \"" key "\""
#define USER_NAMES(what, key)                                                              \
	"(SELECT group_concat(u.name, ' ') FROM role_users ru JOIN users u"                \
	" ON u.id=ru.user_id WHERE ru.role_id=o.id AND ru.part='" what "') AS \"" key "\""

#define USERS                                                                              \
	"SELECT u.id AS id, u.name AS name, u.person AS person, u.kind AS kind,"           \
	" u.state AS state, u.admin AS \"admin?\", u.auditor AS \"auditor?\","             \
	" (SELECT count(*) FROM devices d WHERE d.user_id=u.id AND d.revoked IS NULL)"     \
	"  AS keys,"                                                                       \
	" (SELECT iif(t.secret IS NOT NULL, 'yes', 'pending') FROM totp t"                 \
	"  WHERE t.user_id=u.id) AS totp,"                                                 \
	" (SELECT sum(c.used IS NULL) FROM recovery_codes c WHERE c.user_id=u.id) AS recovery," \
	" u.networks AS \"from[]\", u.until AS until, u.uid AS uid, u.added AS added,"     \
	" u.why AS why, " ROLE_NAMES("m", "roles[]") ", " ROLE_NAMES("a", "approves[]")    \
	" FROM users u WHERE u.id>:after AND (:id=0 OR u.id=:id)"                          \
	" AND (:all OR :id<>0 OR u.state<>'removed')"

#define DEVICES                                                                            \
	"SELECT d.id AS id, u.name AS user, d.name AS device, d.type AS type,"             \
	" d.fingerprint AS fingerprint, iif(d.revoked IS NULL, 'active', 'revoked')"       \
	" AS state, d.added AS added, d.revoked AS revoked, d.used AS used,"               \
	" d.first_used AS first_used, d.used_from AS used_from, d.client AS client"        \
	" FROM devices d JOIN users u ON u.id=d.user_id"                                   \
	" WHERE d.id>:after AND (:user=0 OR d.user_id=:user) UNION ALL "                   \
	"SELECT d.id, u.name, d.name, d.type, d.fingerprint, 'waiting', d.asked, NULL, NULL, NULL, NULL, NULL" \
	" FROM device_waiting d JOIN users u ON u.id=d.user_id"                            \
	" WHERE d.id>:after AND (:user=0 OR d.user_id=:user)"

#define ROLES                                                                              \
	"SELECT o.id AS id, o.name AS name, o.kind AS kind, o.everyone AS \"everyone?\","  \
	" o.hosts AS \"hosts[]\", o.labels AS \"labels[]\", o.zones AS \"zones[]\","       \
	" o.logins AS \"logins[]\", " CAPS("o") " AS \"caps{}\","                                        \
	" o.max AS max, o.approvals AS approvals,"                                         \
	" iif(o.kind='allow', o.approvals || ' of ' || (SELECT count(DISTINCT lower(p.person))"    \
	"  FROM deciders de JOIN users p ON p.id=de.user_id WHERE de.role_id=o.id AND"     \
	"  p.state='active'), NULL) AS quorum,"                                            \
	" (SELECT group_concat(b.name, ' ') FROM role_deciders rd JOIN roles b ON b.id=rd.by_id"   \
	"  WHERE rd.role_id=o.id) AS \"approver_roles[]\","                                \
	" o.ticket AS \"ticket?\", NOT o.no_reason AS \"reason?\","                        \
	" o.signed AS \"signed?\", o.glass AS \"break_glass?\","                                                         \
	" o.hours AS hours, o.networks AS \"from[]\", " USER_NAMES("m", "members[]") ", "  \
	USER_NAMES("a", "approvers[]")                                                     \
	" FROM roles o WHERE o.removed IS NULL AND o.id>:after AND (:id=0 OR o.id=:id)"

#define HOSTS                                                                              \
	"SELECT h.id AS id, h.name AS name, h.address AS address, h.port AS port,"         \
	" h.zone AS zone, h.labels AS \"labels[]\", h.logins AS \"logins[]\", h.method AS method," \
	" h.managed_key AS managed_key, h.source_address AS source_address,"               \
	" iif(h.rotate=0, 'never', h.rotate || 'd') AS rotate,"                            \
	" (SELECT group_concat(k.type || ' ' || k.fingerprint, char(10)) FROM host_keys k" \
	"  WHERE k.host_id=h.id) AS \"keys{}\""                                            \
	" FROM hosts h WHERE h.removed IS NULL AND h.id>:after AND (:id=0 OR h.id=:id)"

/* Of the grants that way w rested on, the one that lasted longest while it did: it may have gone on under a second one. */
#define RESTED_ON                                                                          \
	"(SELECT e.id FROM (SELECT y.request_id AS id, y.id AS n,"                         \
	" min(ifnull(x.ended_at, 9223372036854775807), ifnull(w.end_at, 9223372036854775807)) AS until" \
	" FROM way_grants y JOIN grants x ON x.id=y.request_id WHERE y.way_id=w.id) e"     \
	" ORDER BY e.until DESC, e.n LIMIT 1)"

#define SESSIONS                                                                           \
	"SELECT c.id AS id, u.name AS user, d.name AS device, c.peer AS peer,"             \
	" coalesce(w.start_at, c.start_at) AS since, coalesce(w.end_at, c.end_at)"         \
	" AS ended, w.id AS way, w.login AS login, h.name AS host,"                        \
	" r.id AS grant, " GRANT_END " AS until,"                                          \
	" lower(hex(w.recording)) AS recording, iif(w.apart, 'break-glass', NULL) AS store, w.target AS target," \
	" w.bytes_in AS bytes_in, w.bytes_out AS bytes_out, coalesce(w.why, c.why) AS why" \
	" FROM connections c JOIN users u ON u.id=c.user_id"                               \
	" JOIN devices d ON d.id=c.device_id"                                              \
	" LEFT JOIN ways w ON w.connection_id=c.id AND (:all OR w.end_at IS NULL)"         \
	" LEFT JOIN hosts h ON h.id=w.host_id LEFT JOIN requests r ON r.id=" RESTED_ON     \
	" LEFT JOIN grants g ON g.id=r.id"                                                 \
	" WHERE c.id>:after AND c.id<=:last AND (:user=0 OR c.user_id=:user OR EXISTS (SELECT 1" \
	"  FROM way_grants y JOIN requests q ON q.id=y.request_id WHERE y.way_id=w.id AND " DECIDES("q.role_id") "))"
/* Open ones are looked for in the index of those. */
#define SESSIONS_OPEN SESSIONS " AND c.end_at IS NULL"
#define SESSIONS_OF(page)                                                                  \
	" AND c.id IN (SELECT * FROM (SELECT k.id AS id FROM connections k WHERE k.user_id=:user AND k.id>:after" page ")" \
	" UNION ALL SELECT w.connection_id FROM deciders de CROSS JOIN requests q ON q.role_id=de.role_id" \
	"  CROSS JOIN way_grants y ON y.request_id=q.id CROSS JOIN ways w ON w.id=y.way_id WHERE de.user_id=:user)"

#define EVENTS                                                                             \
	"SELECT e.id AS id, e.at AS at, e.kind AS kind, e.actor AS actor,"                 \
	" e.subject AS subject, e.detail AS detail, lower(hex(e.hash)) AS hash"            \
	" FROM events e WHERE e.id>:after"                                                 \
	" AND (:text IS NULL OR :text IN (e.actor, e.subject))"

/*
 * What would end with a user, one a row: :all what else than by `user move`, keeping devices: also
 * devices, codes and the account. What the user only asked for stays with who has it, and is shown.
 */
#define ENDS                                                                               \
	"SELECT u.name AS account, e.what AS what, e.name AS name, e.detail AS detail,"    \
	" e.state AS state FROM users u JOIN ("                                            \
	"SELECT 1 AS n, c.user_id AS u, c.id AS id, 'session' AS what, CAST(c.id AS TEXT) AS name," \
	" trim(ifnull(w.login || '@' || h.name, '') || ' from ' || c.peer) AS detail, 'ended' AS state" \
	" FROM connections c LEFT JOIN ways w ON w.connection_id=c.id AND w.end_at IS NULL" \
	" LEFT JOIN hosts h ON h.id=w.host_id WHERE c.end_at IS NULL AND c.user_id=:id UNION ALL " \
	"SELECT 2, r.user_id, r.id, iif(r.state='pending', 'request', 'grant'), CAST(r.id AS TEXT)," \
	" r.login || '@' || h.name, iif(r.state='pending', 'cancelled', 'revoked')"        \
	" FROM requests r JOIN hosts h ON h.id=r.host_id"                                  \
	" WHERE r.user_id=:id AND r.state IN ('pending', 'approved', 'active') UNION ALL " \
	"SELECT 2, a.user_id, a.id, 'host account', h.name, 'uid ' || a.uid, 'removing'"   \
	" FROM accounts a JOIN hosts h ON h.id=a.host_id WHERE a.user_id=:id AND a.state<>'gone' UNION ALL " \
	"SELECT 3, r.by_id, r.id, iif(r.state='pending', 'request', 'grant'), CAST(r.id AS TEXT)," \
	" r.login || '@' || h.name || ' for ' || o.name, iif(r.state='pending', 'cancelled', 'kept')" \
	" FROM requests r JOIN hosts h ON h.id=r.host_id JOIN users o ON o.id=r.user_id"   \
	" WHERE r.by_id=:id AND r.user_id<>:id AND r.state IN ('pending', 'approved', 'active')" \
	" UNION ALL "                                                                      \
	"SELECT 4, ru.user_id, o.id, iif(ru.part='m', 'role', 'approver'), o.name,"        \
	" o.logins, 'removed' FROM role_users ru JOIN roles o ON o.id=ru.role_id"          \
	" WHERE ru.user_id=:id AND o.removed IS NULL UNION ALL "                           \
	"SELECT 5, x.id, 1, 'right', 'administrator', '', 'removed' FROM users x"          \
	" WHERE x.id=:id AND x.admin UNION ALL "                                           \
	"SELECT 5, x.id, 2, 'right', 'auditor', '', 'removed' FROM users x"                \
	" WHERE x.id=:id AND x.auditor UNION ALL "                                         \
	"SELECT 6, d.user_id, d.id, 'device', d.name, d.fingerprint, 'revoked' FROM devices d" \
	" WHERE :all AND d.user_id=:id AND d.revoked IS NULL UNION ALL "                   \
	"SELECT 7, t.user_id, 1, 'codes', '', '', 'removed' FROM totp t"                   \
	" WHERE :all AND t.user_id=:id"                                                    \
	") e ON e.u=u.id WHERE u.id=:id ORDER BY e.n, e.id LIMIT :limit"

/* Of the request :id: who said yes, and the signed text where there is one. */
#define APPROVALS                                                                          \
	"SELECT u.id AS id, u.name AS by, v.person AS person, v.at AS at, v.reason AS reason," \
	" d.name AS device, d.fingerprint AS fingerprint, g.text AS text,"                 \
	" g.signature AS signature FROM verdicts v JOIN users u ON u.id=v.user_id"         \
	" LEFT JOIN signatures g ON g.request_id=v.request_id AND g.person=v.person"       \
	" LEFT JOIN devices d ON d.id=g.device_id"                                         \
	" WHERE v.request_id=:id AND v.yes=1"

/* Break-glass grants whose review is owed; :all: those that have one, too. :user: what it may review. */
#define REVIEWS                                                                            \
	"SELECT r.id AS id, u.name AS user, r.login AS login, h.name AS host, o.name AS role," \
	" r.reason AS reason, " GRANT_START " AS start, " GRANT_END " AS until, g.uses AS logins, " STORE_OF("r.id") "," \
	" w.verdict AS verdict, x.name AS by, w.at AS at, w.reason AS review"              \
	" FROM requests r JOIN users u ON u.id=r.user_id JOIN hosts h ON h.id=r.host_id"   \
	" JOIN roles o ON o.id=r.role_id JOIN grants g ON g.id=r.id"                       \
	" LEFT JOIN reviews w ON w.request_id=r.id LEFT JOIN users x ON x.id=w.user_id"    \
	" WHERE r.glass=1 AND r.id>:after AND (:all OR w.verdict IS NULL)"                 \
	" AND (:user=0 OR :user=r.user_id OR EXISTS (SELECT 1 FROM deciders d"             \
	" WHERE d.role_id=r.role_id AND d.user_id=:user))"

/* At targets. :all: also those that are gone. */
#define ACCOUNTS                                                                           \
	"SELECT a.id AS id, a.name AS user, h.name AS host, a.uid AS uid, a.state AS state," \
	" a.made AS made, a.since AS since, nullif(a.expiry, 0) AS until,"                 \
	" nullif(a.tries, 0) AS tries, iif(a.tries>0, a.next_at, NULL) AS next, a.line AS line" \
	" FROM accounts a JOIN hosts h ON h.id=a.host_id"                                  \
	" WHERE a.id>:after AND (:all OR a.state<>'gone')"

/* Without and with a number to go on after. */
typedef const char *const paged[2];
static paged lists[LIST_COUNT] = {
	[LIST_USERS] = WHOLE(USERS),
	[LIST_DEVICES] = WHOLE(DEVICES),
	[LIST_ROLES] = WHOLE(ROLES),
	[LIST_HOSTS] = WHOLE(HOSTS),
	[LIST_EVENTS] = PAGED(EVENTS),
	[LIST_ENDS] = { ENDS, ENDS },
	[LIST_APPROVALS] = WHOLE(APPROVALS),
	[LIST_REVIEWS] = PAGED(REVIEWS),
	[LIST_ACCOUNTS] = PAGED(ACCOUNTS),
};

/* Those that grow for ever are other statements for all of it, and for one user's own: [all], each for user_id 0 and others. */
static paged requests[2][2] = { { PAGED(TICKETS " AND r." REQUEST_OPEN " AND r.state='pending'"), PAGED_OF(TICKETS, PENDING_OF) },
	{ PAGED(TICKETS), PAGED_OF(TICKETS, REQUESTED_OF) } };
static paged grants[2][2] = { { PAGED(TICKETS " AND r." REQUEST_OPEN " AND r.state<>'pending'"), PAGED_OF(TICKETS, RUNNING_OF) },
	{ PAGED(TICKETS " AND g.id IS NOT NULL"), PAGED_OF(TICKETS, GRANTED_OF) } };
static paged sessions[2][2] = { { PAGED(SESSIONS_OPEN), PAGED(SESSIONS_OPEN) }, { PAGED(SESSIONS), PAGED_OF(SESSIONS, SESSIONS_OF) } };

static const char *statement(enum store_list which, const struct list_ask *ask)
{
	const bool all = ask->all || (which == LIST_REQUESTS && ask->id != 0), own = ask->user_id != 0, after = ask->after > 0;

	return which == LIST_REQUESTS ? requests[all][own][after] : which == LIST_GRANTS ? grants[all][own][after] :
	    which == LIST_SESSIONS ? sessions[all][own][after] : lists[which][after];
}

static int bind_named(sqlite3_stmt *st, const struct sql_named *ints, const struct sql_named_text *texts)
{
	int rc = SQLITE_OK, i;

	for (; rc == SQLITE_OK && ints->name != NULL; ints++)
		if ((i = sqlite3_bind_parameter_index(st, ints->name)) != 0)
			rc = sqlite3_bind_int64(st, i, ints->value);
	for (; rc == SQLITE_OK && texts->name != NULL; texts++)
		if ((i = sqlite3_bind_parameter_index(st, texts->name)) != 0)
			rc = sqlite3_bind_text(st, i, texts->value, -1, SQLITE_TRANSIENT);
	return rc;
}

/* "a b" → ["a", "b"] */
static json_t *split(const char *text, char by)
{
	const char stop[2] = { by, '\0' };
	json_t *array = json_array();

	while (array != NULL && text != NULL && *text != '\0') {
		size_t n = strcspn(text, stop);

		if (n > 0 && json_array_append_new(array, json_stringn(text, n)) < 0) {
			json_decref(array);
			return NULL;
		}
		text += n + (text[n] != '\0');
	}
	return array;
}

static json_t *value(sqlite3_stmt *st, int col, char mark)
{
	const char *text;

	if (mark == '?')
		return json_boolean(sqlite3_column_int(st, col) != 0);
	if (mark == ']' || mark == '}')
		return split((const char *)sqlite3_column_text(st, col), mark == ']' ? ' ' : '\n');
	if (sqlite3_column_type(st, col) == SQLITE_INTEGER)
		return json_integer(sqlite3_column_int64(st, col));
	text = (const char *)sqlite3_column_text(st, col);
	return text != NULL ? json_string(text) : NULL;
}

static json_t *row(sqlite3_stmt *st)
{
	json_t *o = json_object();
	char key[32];

	for (int i = 0; o != NULL && i < sqlite3_column_count(st); i++) {
		const char *name = sqlite3_column_name(st, i);
		size_t n = strcspn(name, "[{?");
		char mark = name[n] == '\0' ? '\0' : name[strlen(name) - 1];

		if (sqlite3_column_type(st, i) == SQLITE_NULL && mark != ']')
			continue;
		if (mark == '\0' && sqlite3_column_type(st, i) == SQLITE_TEXT && sqlite3_column_bytes(st, i) == 0)
			continue;
		if (n >= sizeof(key))
			n = sizeof(key) - 1;
		memcpy(key, name, n);
		key[n] = '\0';
		if (json_object_set_new(o, key, value(st, i, mark)) < 0) {
			json_decref(o);
			return NULL;
		}
	}
	return o;
}

json_t *sql_rows(struct store *s, const char *text, const struct sql_named *ints,
    const struct sql_named_text *texts)
{
	sqlite3_stmt *st = sql(s, text, "");
	json_t *rows = json_array();
	int r = -1;

	if (st == NULL || rows == NULL || bind_named(st, ints, texts) != SQLITE_OK) {
		if (st != NULL)
			store_fail(s, ENOMEM, "no memory for a list");
		goto out;
	}
	while ((r = sql_next(s, st)) == 1) {
		if (json_array_append_new(rows, row(st)) < 0) {
			r = store_fail(s, ENOMEM, "no memory for a list");
			break;
		}
	}
out:
	sql_done(st);
	if (r == 0)
		return rows;
	json_decref(rows);
	return NULL;
}

json_t *store_list(struct store *s, enum store_list which, const struct list_ask *ask)
{
	const struct sql_named ints[] = {
		{ ":id", ask->id }, { ":last", ask->id != 0 ? ask->id : INT64_MAX }, { ":user", ask->user_id },
		{ ":after", ask->id != 0 && ask->after == 0 ? ask->id - 1 : ask->after },
		{ ":now", ask->now }, { ":all", ask->all }, { ":limit", ask->limit }, { NULL, 0 },
	};
	const struct sql_named_text texts[] = { { ":text", ask->text }, { NULL, NULL } };

	return sql_rows(s, statement(which, ask), ints, texts);
}
