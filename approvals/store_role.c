/*
 * store_role.c - roles, their members and approvers. Policy role; see store.h.
 */
#include "store_sql.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROLE_SQL                                                                                   \
	"SELECT r.id, r.name, r.hosts, r.labels, r.logins, r.caps, r.max, r.approvals, r.hours, "  \
	"r.networks, r.ticket, r.kind, r.zones, r.forwards, r.commands, r.no_reason, r.everyone, r.signed, r.glass "  \
	"FROM roles r "

static const char *const kinds[] = { "allow", "deny", "group" };

static void load_role(struct store *s, sqlite3_stmt *st, struct access_role *r)
{
	char kind[8];

	r->id = sqlite3_column_int64(st, 0);
	sql_text(s, st, 1, r->name, sizeof(r->name));
	sql_text(s, st, 2, r->hosts, sizeof(r->hosts));
	sql_text(s, st, 3, r->labels, sizeof(r->labels));
	sql_text(s, st, 4, r->logins, sizeof(r->logins));
	r->caps = (unsigned)sqlite3_column_int(st, 5) & CAP_ALL;
	r->max = (uint32_t)sqlite3_column_int64(st, 6);
	r->approvals = (uint32_t)sqlite3_column_int(st, 7);
	sql_text(s, st, 8, r->hours, sizeof(r->hours));
	sql_text(s, st, 9, r->networks, sizeof(r->networks));
	r->ticket = sqlite3_column_int(st, 10) != 0;
	sql_text(s, st, 11, kind, sizeof(kind));
	r->kind = kind[0] == 'a' ? RULE_ALLOW : kind[0] == 'g' ? RULE_GROUP : RULE_DENY;
	sql_text(s, st, 12, r->zones, sizeof(r->zones));
	sql_text(s, st, 13, r->forwards, sizeof(r->forwards));
	sql_text(s, st, 14, r->commands, sizeof(r->commands));
	r->no_reason = sqlite3_column_int(st, 15) != 0;
	r->everyone = sqlite3_column_int(st, 16) != 0;
	r->sign = sqlite3_column_int(st, 17) != 0;
	r->glass = sqlite3_column_int(st, 18) != 0;
}

static int one_role(struct store *s, sqlite3_stmt *st, struct access_role *r)
{
	int n = sql_next(s, st);

	memset(r, 0, sizeof(*r));
	if (n != 1)
		return n;
	load_role(s, st, r);
	return sql_loaded(s, st);
}

int store_role(struct store *s, int64_t id, struct access_role *r)
{
	return one_role(s, sql(s, ROLE_SQL "WHERE r.id=? AND r.removed IS NULL", "i", id), r);
}

int store_role_by_name(struct store *s, const char *name, struct access_role *r)
{
	return one_role(s, sql(s, ROLE_SQL "WHERE r.name=? AND r.removed IS NULL", "t", name), r);
}

/* A rule for everyone counts at each decision: there are only so many. 0, or -1 with ENOSPC. */
static int everyone_fits(struct store *s, const struct access_role *r)
{
	int64_t n = 0;

	if (!r->everyone)
		return 0;
	if (sql_int(s, &n, "SELECT count(*) FROM roles WHERE everyone=1 AND removed IS NULL AND id<>?", "i", r->id) < 0)
		return -1;
	return n < STORE_EVERYONE_MAX ? 0 : store_fail(s, ENOSPC, "%d rules deny everyone: remove one", STORE_EVERYONE_MAX);
}

int store_role_add(struct store *s, struct access_role *r, int64_t now)
{
	int64_t n = 0;

	if (sql_int(s, &n, "SELECT count(*) FROM roles WHERE removed IS NULL", "") < 0)
		return -1;
	if (n >= STORE_ROLES_MAX)
		return store_fail(s, ENOSPC, "there are %d roles: remove one", STORE_ROLES_MAX);
	if (everyone_fits(s, r) < 0)
		return -1;
	if (sql_do(s,
		"INSERT INTO roles (name, hosts, labels, logins, caps, max, approvals, hours, "
		"networks, ticket, kind, zones, forwards, commands, no_reason, everyone, signed, glass, added) "
		"VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		"ttttiiittittttiiiii", r->name, r->hosts, r->labels, r->logins, (int64_t)r->caps,
		(int64_t)r->max, (int64_t)r->approvals, r->hours, r->networks, (int64_t)r->ticket,
		kinds[r->kind], r->zones, r->forwards, r->commands, (int64_t)r->no_reason,
		(int64_t)r->everyone, (int64_t)r->sign, (int64_t)r->glass, now) < 0)
		return -1;
	r->id = sqlite3_last_insert_rowid(s->db);
	return 0;
}

int store_role_change(struct store *s, const struct access_role *r)
{
	if (everyone_fits(s, r) < 0)
		return -1;
	return sql_do(s,
		   "UPDATE roles SET hosts=?2, labels=?3, logins=?4, caps=?5, max=?6, approvals=?7, hours=?8, "
		   "networks=?9, ticket=?10, zones=?11, forwards=?12, commands=?13, no_reason=?14, "
		   "everyone=?15, signed=?16, glass=?17 WHERE id=?1 AND removed IS NULL",
		   "itttiiittitttiiii", r->id, r->hosts, r->labels, r->logins, (int64_t)r->caps, (int64_t)r->max,
		   (int64_t)r->approvals, r->hours, r->networks, (int64_t)r->ticket, r->zones, r->forwards,
		   r->commands, (int64_t)r->no_reason, (int64_t)r->everyone, (int64_t)r->sign, (int64_t)r->glass) < 0 ?
	    -1 :
	    0;
}

int store_role_deciders(struct store *s, int64_t role_id, const char *names)
{
	char list[LIST_MAX + 1], *rest = list, *name;
	struct access_role by;
	int r, n = 0;

	snprintf(list, sizeof(list), "%s", names);
	if (sql_do(s, "DELETE FROM role_deciders WHERE role_id=?", "i", role_id) < 0)
		return -1;
	while ((name = strsep(&rest, " ")) != NULL) {
		if (name[0] == '\0')
			continue;
		if ((r = store_role_by_name(s, name, &by)) != 1)
			return r < 0 ? -1 : store_fail(s, ENOENT, "there is no role %s", name);
		if (by.id == role_id)
			return store_fail(s, EINVAL, "a role does not approve for itself: name its approvers");
		if (++n > STORE_DECIDERS_MAX)
			return store_fail(s, ENOSPC, "at most %d roles approve under one", STORE_DECIDERS_MAX);
		if (sql_do(s, "INSERT INTO role_deciders (role_id, by_id) VALUES (?,?)", "ii", role_id, by.id) < 0)
			return -1;
	}
	return 0;
}

int store_role_decides(struct store *s, int64_t role_id, int64_t user_id)
{
	int64_t one;

	return sql_int(s, &one, "SELECT 1 FROM deciders WHERE role_id=? AND user_id=?", "ii", role_id, user_id);
}

int store_role_remove(struct store *s, int64_t id, int64_t now)
{
	if (sql_do(s, "DELETE FROM role_users WHERE role_id=?", "i", id) < 0 ||
	    sql_do(s, "DELETE FROM role_deciders WHERE ?1 IN (role_id, by_id)", "i", id) < 0)
		return -1;
	return sql_do(s, "UPDATE roles SET removed=?2 WHERE id=?1 AND removed IS NULL", "ii", id,
		   now) < 0 ?
	    -1 :
	    0;
}

/* 'm' → "m" */
static const char *part(char as)
{
	return as == 'a' ? "a" : "m";
}

int store_role_join(struct store *s, int64_t role_id, int64_t user_id, char as)
{
	int64_t n = 0;

	if (sql_int(s, &n, "SELECT count(*) FROM role_users WHERE user_id=?1 AND part='m' AND NOT EXISTS "
		"(SELECT 1 FROM role_users WHERE user_id=?1 AND part='m' AND role_id=?2)", "ii", user_id, role_id) < 0)
		return -1;
	if (as != 'a' && n >= STORE_USER_ROLES_MAX)
		return store_fail(s, ENOSPC, "a user is in at most %d roles", STORE_USER_ROLES_MAX);
	return sql_do(s,
	    "INSERT INTO role_users (role_id, user_id, part) VALUES (?,?,?) ON CONFLICT DO NOTHING",
	    "iit", role_id, user_id, part(as));
}

int store_role_leave(struct store *s, int64_t role_id, int64_t user_id, char as)
{
	return sql_do(s, "DELETE FROM role_users WHERE role_id=? AND user_id=? AND part=?", "iit",
	    role_id, user_id, part(as));
}

int store_role_has(struct store *s, int64_t role_id, int64_t user_id, char as)
{
	int64_t one;

	return sql_int(s, &one, "SELECT 1 FROM role_users WHERE role_id=? AND user_id=? AND part=?",
	    "iit", role_id, user_id, part(as));
}

int store_user_roles(struct store *s, int64_t user_id, struct access_role **roles)
{
	return sql_roles(s, sql(s,
	    ROLE_SQL "WHERE r.removed IS NULL AND (r.everyone=1 OR r.id IN "
		     "(SELECT role_id FROM role_users WHERE user_id=? AND part='m')) ORDER BY r.id",
	    "i", user_id), roles);
}

int sql_roles(struct store *s, sqlite3_stmt *st, struct access_role **roles)
{
	int r, n = 0;

	*roles = NULL;
	while ((r = sql_next(s, st)) == 1) {
		struct access_role *more = realloc(*roles, (size_t)(n + 1) * sizeof(**roles));

		if (more == NULL) {
			sql_done(st);
			r = store_fail(s, ENOMEM, "no memory for the roles of a user");
			break;
		}
		*roles = more;
		load_role(s, st, &more[n++]);
	}
	if (r == 0 && !s->misfit)
		return n;
	free(*roles);
	*roles = NULL;
	return -1;
}
