/*
 * store_clock.c - grants, and the ages of keys and looks, when the clock of the machine is set back. Policy role; see store_clock.h.
 */
#include "store_clock.h"

#include "store_sql.h"

/* Version 14. What was granted stays as it was written; `moved` only grows: a grant never gets longer. */
static const char v14_moved[] =
"ALTER TABLE grants ADD COLUMN moved INTEGER NOT NULL DEFAULT 0 CHECK (moved >= 0);"
"CREATE TRIGGER grants_moved BEFORE UPDATE OF moved ON grants WHEN NEW.moved < OLD.moved"
"	BEGIN SELECT RAISE(ABORT, 'a grant never gets longer'); END;";

const char *const store_v_clock[] = { v14_moved, NULL };

/* Version 22: when a grant was made, by the clock as it is now. A later time would make it an approval of what was new after it. */
static const char v22_approved[] =
"ALTER TABLE grants ADD COLUMN approved_at INTEGER NOT NULL DEFAULT 0;"
"UPDATE grants SET approved_at = ifnull(min(start_at, (SELECT max(v.at) FROM verdicts v WHERE v.request_id = grants.id AND v.yes = 1)), start_at)"
"	- moved;"
"CREATE TRIGGER grants_approved BEFORE UPDATE OF approved_at ON grants WHEN NEW.approved_at > OLD.approved_at"
"	BEGIN SELECT RAISE(ABORT, 'a grant gets no younger'); END;";

const char *const store_v_approved[] = { v22_approved, NULL };

/*
 * How old a key at a host is, when a step is tried again, when a host was looked at: else all of it would come later by the step. Since when
 * a device and a network of a user are known: else an approval of after the step would seem to be from before; and when they were last seen: else
 * what comes now would be older than all of it. How long an enrolment code lives. What never was (NULL) stays so.
 */
static int move_ages(struct store *s, int64_t seconds)
{
	if (sql_do(s, "UPDATE target_keys SET made=max(0, made-?1), used=max(0, used-?1), installed=max(0, installed-?1), "
		"removed=max(0, removed-?1), next=max(0, next-?1)", "i", seconds) < 0 ||
	    sql_do(s, "UPDATE host_looks SET at=max(0, at-?1)", "i", seconds) < 0 ||
	    sql_do(s, "UPDATE hosts SET added=max(0, added-?1) WHERE removed IS NULL", "i", seconds) < 0 ||
	    sql_do(s, "UPDATE devices SET first_used=max(0, first_used-?1), used=max(0, used-?1)", "i", seconds) < 0 ||
	    sql_do(s, "UPDATE user_networks SET first=max(0, first-?1), last=max(0, last-?1)", "i", seconds) < 0 ||
	    sql_do(s, "UPDATE device_invites SET until=until-?1", "i", seconds) < 0)
		return -1;
	return 0;
}

int store_clock_back(struct store *s, int64_t was, int64_t seconds)
{
	int n = -1;

	if (store_begin(s) < 0)
		return -1;
	if (sql_do(s, "DELETE FROM mfa_grace", "") >= 0 && move_ages(s, seconds) == 0 &&
	    sql_do(s, "UPDATE grants SET approved_at=approved_at-?1 WHERE id IN (SELECT id FROM requests WHERE state IN "
		"('pending', 'approved', 'active') AND state<>'pending')", "i", seconds) >= 0)
		n = sql_do(s, "UPDATE grants AS g SET moved=moved+?2 WHERE " GRANT_START "<=?1 AND id IN "
		    "(SELECT id FROM requests WHERE state IN ('pending', 'approved', 'active') AND state<>'pending')", "ii", was, seconds);
	if (n < 0) {
		store_rollback(s);
		return -1;
	}
	return store_commit(s) < 0 ? -1 : n;
}

int store_clock_last(struct store *s, int64_t *at)
{
	return sql_int(s, at, "SELECT at FROM events ORDER BY id DESC LIMIT 1", "");
}
