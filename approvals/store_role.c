/*
 * store_role.c - roles, their members and approvers. Policy role; see store.h.
 */
#include "store_sql.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROLE_SQL                                                                                   \
	"SELECT r.id, r.name, r.hosts, r.labels, r.logins, r.caps, r.max, r.approvals, r.hours, "  \
	"r.networks, r.ticket, r.signed "                                                                    \
	"FROM roles r "

static void load_role(struct store *s, sqlite3_stmt *st, struct access_role *r)
{
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
	r->sign = sqlite3_column_int(st, 11) != 0;
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

int store_role_add(struct store *s, struct access_role *r, int64_t now)
{
	int64_t n = 0;

	if (sql_int(s, &n, "SELECT count(*) FROM roles WHERE removed IS NULL", "") < 0)
		return -1;
	if (n >= STORE_ROLES_MAX)
		return store_fail(s, ENOSPC, "there are %d roles: remove one", STORE_ROLES_MAX);
	if (sql_do(s,
		"INSERT INTO roles (name, hosts, labels, logins, caps, max, approvals, hours, "
		"networks, ticket, signed, added) "
		"VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
		"ttttiiittiii", r->name, r->hosts, r->labels, r->logins, (int64_t)r->caps,
		(int64_t)r->max, (int64_t)r->approvals, r->hours, r->networks, (int64_t)r->ticket,
		(int64_t)r->sign, now) < 0)
		return -1;
	r->id = sqlite3_last_insert_rowid(s->db);
	return 0;
}

int store_role_remove(struct store *s, int64_t id, int64_t now)
{
	if (sql_do(s, "DELETE FROM role_users WHERE role_id=?", "i", id) < 0)
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

	if (sql_int(s, &n, "SELECT count(*) FROM role_users WHERE user_id=? AND part='m'", "i",
		user_id) < 0)
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
	sqlite3_stmt *st;
	int r, n = 0;

	*roles = NULL;
	st = sql(s,
	    ROLE_SQL "JOIN role_users ru ON ru.role_id=r.id WHERE ru.user_id=? AND ru.part='m' AND "
		     "r.removed IS NULL "
		     "ORDER BY r.id LIMIT 64",
	    "i", user_id);
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
