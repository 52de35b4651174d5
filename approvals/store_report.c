/*
 * store_report.c - what auditors ask for: reports out of the events, and out of requests and grants.
 * Policy role.
 *
 * Reports out of the events look at the rows between two numbers, REPORT_SCAN of them at most in one
 * call: the loop of policy waits for each. Requests, verdicts and grants are never taken away, so
 * those reports reach back to the first day; which sessions used a grant is known for
 * event_retention. Columns are keys and marks as in store_list.c.
 */
#include "store_report.h"
#include "store_sql.h"

/* A member of the detail; NULL where there is none, or the text is no JSON. */
#define DETAIL(key) "iif(json_valid(e.detail), json_extract(e.detail, '$." key "'), NULL)"

/* Is one of these the name of a service account? */
#define SERVICE(names) "EXISTS (SELECT 1 FROM users s WHERE s.kind='service' AND s.name IN (" names ")) AS \"service?\""

/* Events of these kinds. */
#define OF_EVENTS(columns, kinds)                                                          \
	"SELECT e.id AS id, e.at AS at, e.kind AS kind, e.actor AS actor,"                 \
	" e.subject AS subject, " columns                                                  \
	" FROM events e WHERE e.id>:after AND e.id BETWEEN :first AND :last"               \
	" AND e.at>=:since AND e.at<:until AND (" kinds ")"                                \
	" AND (:text IS NULL OR :text IN (e.actor, e.subject))"                            \
	" AND (:host IS NULL OR :host IN (e.subject, " DETAIL("host") "))"                 \
	" ORDER BY e.id LIMIT :limit"

#define LOGINS OF_EVENTS(                                                                  \
	DETAIL("peer") " AS \"from\", " DETAIL("device") " AS device,"                     \
	DETAIL("connection") " AS connection, " DETAIL("why") " AS why, " SERVICE("e.actor"), \
	"e.kind GLOB 'login.*' OR e.kind GLOB 'otp.*' OR e.kind IN ('logout', 'pam.fail', 'recovery.use')")

#define PRIVILEGES OF_EVENTS("e.detail AS detail, " SERVICE("e.actor, e.subject"),         \
	"e.kind GLOB 'user.*' OR e.kind GLOB 'key.*' OR e.kind GLOB 'totp.*' OR e.kind GLOB 'recovery.*'" \
	" OR e.kind GLOB 'member.*' OR e.kind GLOB 'approver.*' OR e.kind GLOB 'host.*' OR e.kind GLOB 'store.*'" \
	" OR e.kind IN ('role.add', 'role.remove', 'role.change', 'policy.reload', 'events.prune'," \
	"  'source.unblock', 'directory.sync', 'hostkey.trust', 'hostkey.forget', 'target-key.rotate', 'account.forget')")

#define REFUSED OF_EVENTS(                                                                 \
	"coalesce(" DETAIL("word") ", " DETAIL("login") ", " DETAIL("capability") ") AS what," \
	"coalesce(" DETAIL("error") ", " DETAIL("why") ") AS why,"                         \
	DETAIL("peer") " AS \"from\", " DETAIL("left_out") " AS left_out, " SERVICE("e.actor"), \
	"e.kind GLOB '*.refused' OR e.kind IN ('login.fail', 'otp.fail', 'otp.replay',"    \
	"  'pam.fail', 'request.deny', 'source.block', 'hostkey.mismatch', 'protocol.violation', 'refusals.left-out')")

/* "bob yes 2027-01-15T08:00:00Z" */
#define VERDICTS                                                                           \
	"(SELECT group_concat(x.name || iif(v.yes, ' yes ', ' no ') ||"                    \
	"   strftime('%Y-%m-%dT%H:%M:%SZ', v.at, 'unixepoch'), char(10))"                  \
	"  FROM verdicts v JOIN users x ON x.id=v.user_id WHERE v.request_id=r.id)"        \
	"  AS \"verdicts{}\""

#define OF_REQUESTS                                                                        \
	" FROM requests r JOIN users u ON u.id=r.user_id LEFT JOIN users b ON b.id=r.by_id" \
	" JOIN hosts h ON h.id=r.host_id JOIN roles o ON o.id=r.role_id"                   \
	" LEFT JOIN grants g ON g.id=r.id WHERE r.id>:after"                               \
	" AND (:text IS NULL OR :text IN (u.name, b.name, r.closer) OR EXISTS (SELECT 1"   \
	"  FROM verdicts v JOIN users x ON x.id=v.user_id WHERE v.request_id=r.id AND x.name=:text))" \
	" AND (:host IS NULL OR h.name=:host COLLATE NOCASE)"

#define REQUESTS                                                                           \
	"SELECT r.id AS id, r.asked_at AS asked, r.state AS state, u.name AS user, u.kind AS kind," \
	" nullif(ifnull(b.name, 'root'), u.name) AS by, r.login AS login, h.name AS host," \
	" o.name AS role, r.duration AS \"for\", r.needed AS needed, " VERDICTS ","        \
	" coalesce(g.start_at, r.closed_at) AS decided,"                                   \
	" coalesce(g.start_at, r.closed_at)-r.asked_at AS waited, " GRANT_END " AS until,"      \
	" r.closed_at AS closed, r.closer AS closer, r.why AS why, r.ref AS ticket,"       \
	" r.reason AS reason" OF_REQUESTS                                                  \
	" AND r.asked_at>=:since AND r.asked_at<:until ORDER BY r.id LIMIT :limit"

/* Of the ways that rested on it, from then on. */
#define WAYS(what)                                                                         \
	"(SELECT " what " FROM (SELECT y.way_id AS way, min(y.at) AS at, max(y.at) AS last"   \
	"  FROM way_grants y WHERE y.request_id=g.id GROUP BY y.way_id) l JOIN ways w ON w.id=l.way)"

#define GRANTS                                                                             \
	"SELECT g.id AS id, r.state AS state, u.name AS user, u.kind AS kind, r.login AS login," \
	" h.name AS host, o.name AS role, g.start_at AS start, " GRANT_END " AS until,"         \
	" g.ended_at AS ended, g.used_at AS used, " WAYS("count(*)") " AS sessions,"       \
	WAYS("max(l.last)") " AS last,"                                                    \
	/* no longer than the grant: a way may have gone on under another one */           \
	WAYS("sum(max(0, min(coalesce(w.end_at, :now), coalesce(g.ended_at, w.end_at, :now))-l.at))") " AS time," \
	WAYS("sum(w.bytes_in)") " AS bytes_in, " WAYS("sum(w.bytes_out)") " AS bytes_out," \
	" (SELECT group_concat(x.name, ' ') FROM verdicts v JOIN users x ON x.id=v.user_id" \
	"  WHERE v.request_id=g.id AND v.yes=1) AS \"approvers[]\","                       \
	" r.closer AS closer, r.why AS why, r.ref AS ticket, r.reason AS reason" OF_REQUESTS \
	" AND g.id IS NOT NULL AND g.start_at<:until AND coalesce(g.ended_at, g.end_at)>=:since" \
	" AND (:all OR g.used_at IS NULL) ORDER BY g.id LIMIT :limit"

#define REVIEW(what) "(SELECT " what " FROM reviews w JOIN users x ON x.id=w.user_id WHERE w.request_id=r.id)"

#define GLASS                                                                              \
	"SELECT r.id AS id, r.asked_at AS asked, r.state AS state, u.name AS user,"        \
	" nullif(ifnull(b.name, 'root'), u.name) AS by, r.login AS login, h.name AS host," \
	" o.name AS role, " GRANT_END " AS until, g.used_at AS used, " WAYS("count(*)") " AS sessions," \
	" iif(" WAYS("max(w.apart)") ", 'break-glass', NULL) AS store,"                    \
	" r.reason AS reason, r.ref AS ticket, ifnull(" REVIEW("w.verdict") ", 'owed') AS review," \
	REVIEW("x.name") " AS reviewer, " REVIEW("w.at") " AS reviewed,"                   \
	" ifnull(" REVIEW("w.at") ", :now)-r.asked_at AS waited, " REVIEW("w.reason") " AS finding" OF_REQUESTS \
	" AND r.glass=1 AND r.asked_at>=:since AND r.asked_at<:until"                      \
	" AND (:all OR " REVIEW("w.verdict") " IS NULL) ORDER BY r.id LIMIT :limit"

/* Grants in force at one instant, by the clock as it is now: one that was set back makes them begin and end earlier. */
#define ACCESS                                                                             \
	"SELECT g.id AS id, u.name AS user, u.kind AS kind, u.person AS person, r.login AS login," \
	" h.name AS host, o.name AS role, " GRANT_START " AS start,"                       \
	" coalesce(g.ended_at, " GRANT_END ") AS ended, g.used_at AS used, " VERDICTS ","  \
	" r.ref AS ticket, r.reason AS reason" OF_REQUESTS                                 \
	" AND " GRANT_START "<=:since AND coalesce(g.ended_at, g.end_at)>:since"           \
	/* one's own account has its user's name there */                                  \
	" AND (:login IS NULL OR r.login=:login OR (r.login='" LOGIN_SELF "' AND u.name=:login))" \
	" ORDER BY g.id LIMIT :limit"

#define LAST_LOGIN "(SELECT max(d.used) FROM devices d WHERE d.user_id=u.id)"
#define KEYS                                                                               \
	"(SELECT count(*) FROM devices d WHERE d.user_id=u.id AND d.revoked IS NULL) AS keys"
#define ROLES                                                                              \
	"(SELECT group_concat(o.name, ' ') FROM role_users ru JOIN roles o ON o.id=ru.role_id" \
	" WHERE ru.user_id=u.id AND ru.part='m') AS \"roles[]\""

#define OPEN_GRANTS                                                                        \
	"FROM requests r JOIN hosts h ON h.id=r.host_id JOIN grants g ON g.id=r.id WHERE r.user_id=u.id" \
	" AND r.state IN ('approved', 'active') AND " GRANT_END ">:now"
#define MAY_ASK                                                                            \
	"FROM role_users ru JOIN roles o ON o.id=ru.role_id WHERE ru.user_id=u.id AND ru.part='m' AND o.kind='allow'"

#define SERVICES                                                                           \
	"SELECT u.id AS id, u.name AS name, u.person AS person, u.state AS state,"         \
	" u.added AS added, u.until AS until, u.networks AS \"from[]\", " KEYS ","         \
	LAST_LOGIN " AS used, (SELECT d.used_from FROM devices d WHERE d.user_id=u.id"     \
	"  AND d.used IS NOT NULL ORDER BY d.used DESC LIMIT 1) AS used_from, " ROLES ","  \
	" (SELECT group_concat(r.login || '@' || h.name, ' ') " OPEN_GRANTS ") AS \"grants[]\"," \
	/* "deployer: command uptime" */                                                   \
	" (SELECT group_concat(o.name || ': ' || replace(rtrim(" CAPS("o") ", char(10)), char(10)," \
	"  char(10) || o.name || ': '), char(10)) " MAY_ASK ") AS \"may{}\","              \
	" EXISTS (SELECT 1 " MAY_ASK " AND o.caps<>" CAPS_COMMAND ") OR EXISTS (SELECT 1 " OPEN_GRANTS \
	"  AND r.caps<>" CAPS_COMMAND ") AS \"more_than_commands?\""                       \
	" FROM users u WHERE u.id>:after AND u.kind='service' AND u.state<>'removed'"      \
	" AND (:text IS NULL OR u.name=:text) ORDER BY u.id LIMIT :limit"

/* Who could log in and did not since :since, or since the account was made. */
#define DORMANT                                                                            \
	"SELECT u.id AS id, u.name AS name, u.person AS person, u.kind AS kind,"           \
	" u.added AS added, " LAST_LOGIN " AS used, :now-max(u.added, ifnull(" LAST_LOGIN  \
	", 0)) AS idle, " KEYS ", u.until AS until, " ROLES                                \
	" FROM users u WHERE u.id>:after AND u.state='active' AND u.added<:since"          \
	" AND ifnull(" LAST_LOGIN ", 0)<:since AND (:text IS NULL OR u.name=:text)"        \
	" ORDER BY u.id LIMIT :limit"

static const char *const reports[REPORT_COUNT] = {
	[REPORT_LOGINS] = LOGINS,
	[REPORT_PRIVILEGES] = PRIVILEGES,
	[REPORT_REFUSED] = REFUSED,
	[REPORT_REQUESTS] = REQUESTS,
	[REPORT_GRANTS] = GRANTS,
	[REPORT_GLASS] = GLASS,
	[REPORT_ACCESS] = ACCESS,
	[REPORT_SERVICES] = SERVICES,
	[REPORT_DORMANT] = DORMANT,
};

/* Which events to look at: from the first of the time asked for to *last, and to *all in later calls. 0, or -1. */
static int event_range(struct store *s, const struct report_ask *a, int64_t *first, int64_t *last, int64_t *all)
{
	int r = sql_int(s, first, "SELECT min(id) FROM events WHERE at>=?", "i", a->since);

	*all = *last = -1;
	if (r == 1)
		r = sql_int(s, all, "SELECT max(id) FROM events WHERE at<?", "i", a->until);
	if (r != 1)
		return r;
	if (*first <= a->after)
		*first = a->after + 1;
	*last = *all - *first >= REPORT_SCAN ? *first + REPORT_SCAN - 1 : *all;
	return 0;
}

json_t *store_report(struct store *s, enum report which, const struct report_ask *a, int64_t *next)
{
	int64_t first = 0, last = 0, all = 0;
	json_t *rows;
	size_t n;

	*next = 0;
	if (which <= REPORT_REFUSED && event_range(s, a, &first, &last, &all) < 0)
		return NULL;
	const struct sql_named ints[] = {
		{ ":after", a->after }, { ":first", first }, { ":last", last }, { ":since", a->since },
		{ ":until", a->until }, { ":now", a->now }, { ":all", a->all }, { ":limit", a->limit },
		{ NULL, 0 },
	};
	const struct sql_named_text texts[] = {
		{ ":text", a->user }, { ":host", a->host }, { ":login", a->login }, { NULL, NULL },
	};

	if ((rows = sql_rows(s, reports[which], ints, texts)) == NULL)
		return NULL;
	n = json_array_size(rows);
	if (n > 0 && n == (size_t)a->limit)
		*next = json_integer_value(json_object_get(json_array_get(rows, n - 1), "id"));
	else if (last < all)
		*next = last;
	return rows;
}

int store_counts(struct store *s, int64_t now, struct store_counts *c)
{
	int64_t first = now, pages = 0, size = 0;

	*c = (struct store_counts){ 0 };
	if (sql_int(s, &c->pending, "SELECT count(*) FROM requests WHERE state='pending'", "") < 0 ||
	    sql_int(s, &first, "SELECT min(asked_at) FROM requests WHERE state='pending'", "") < 0 ||
	    sql_int(s, &c->grants, "SELECT count(*) FROM requests r JOIN grants g ON g.id=r.id WHERE r.state IN "
		"('approved', 'active') AND " GRANT_START "<=?1 AND " GRANT_END ">?1", "i", now) < 0 ||
	    sql_int(s, &c->users, "SELECT count(*) FROM users WHERE state<>'removed'", "") < 0 ||
	    sql_int(s, &c->hosts, "SELECT count(*) FROM hosts WHERE removed IS NULL", "") < 0 ||
	    sql_int(s, &pages, "PRAGMA page_count", "") < 0 || sql_int(s, &size, "PRAGMA page_size", "") < 0)
		return -1;
	c->oldest = first < now ? now - first : 0;
	c->bytes = pages * size;
	return 0;
}
