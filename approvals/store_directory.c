/*
 * store_directory.c - see store_directory.h. Policy role.
 */
#include "store_directory.h"

#include <errno.h>
#include <string.h>

#include "store_sql.h"

#define KEPT "\n"	/* in the place of roles; no role and no argument has it */

int store_stage_clear(struct store *s)
{
	return sql_do(s, "DELETE FROM directory_stage", "") < 0 ? -1 : 0;
}

int store_stage_add(struct store *s, const struct staged *e)
{
	int64_t n = 0;

	if (sql_int(s, &n, "SELECT count(*) FROM directory_stage", "") < 0)
		return -1;
	if (n >= STORE_USERS_MAX)
		return store_fail(s, EIO, "more than %d people", STORE_USERS_MAX);
	return sql_do(s, "INSERT INTO directory_stage (name, person, roles) VALUES (?,?,?)", "ttt", e->name, e->person,
	    e->kept ? KEPT : e->roles) < 0 ? -1 : 0;
}

int store_stage_next(struct store *s, const char *after, struct staged *e)
{
	sqlite3_stmt *st = sql(s, "SELECT name, person, roles FROM directory_stage WHERE name>? ORDER BY name LIMIT 1", "t",
	    after);
	int r = sql_next(s, st);

	if (r != 1)
		return r;
	sql_text(s, st, 0, e->name, sizeof(e->name));
	sql_text(s, st, 1, e->person, sizeof(e->person));
	sql_text(s, st, 2, e->roles, sizeof(e->roles));
	e->kept = strcmp(e->roles, KEPT) == 0;
	return sql_loaded(s, st);
}

int store_stage_person(struct store *s, const char *person)
{
	int64_t one;

	return sql_int(s, &one, "SELECT 1 FROM directory_stage WHERE person=? LIMIT 1", "t", person);
}

#define THEIRS "FROM users WHERE directory=1 AND state<>'removed'"
#define GONE THEIRS " AND name NOT IN (SELECT name FROM directory_stage)"

int store_directory_counts(struct store *s, int64_t *known, int64_t *gone, int64_t *staged)
{
	return sql_int(s, known, "SELECT count(*) " THEIRS, "") == 1 && sql_int(s, gone, "SELECT count(*) " GONE, "") == 1 &&
	    sql_int(s, staged, "SELECT count(*) FROM directory_stage", "") == 1 ? 0 : -1;
}

int store_directory_gone(struct store *s, int64_t after, struct user *u)
{
	int64_t id = 0;
	int r = sql_int(s, &id, "SELECT id " GONE " AND id>? ORDER BY id LIMIT 1", "i", after);

	return r == 1 ? store_user(s, id, u) : r;
}

int store_directory_is(struct store *s, int64_t user_id)
{
	int64_t own = 0;
	int r = sql_int(s, &own, "SELECT directory FROM users WHERE id=?", "i", user_id);

	return r < 0 ? -1 : own == 1;
}

int store_directory_mark(struct store *s, int64_t user_id)
{
	return sql_do(s, "UPDATE users SET directory=1 WHERE id=?", "i", user_id) == 1 ? 0 : -1;
}
