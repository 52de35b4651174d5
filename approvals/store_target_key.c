/*
 * store_target_key.c - see store_target_key.h. Policy role.
 */
#include "store_target_key.h"

#include <string.h>

#include "store_sql.h"

/* Version 13. */
static const char v13_target_keys[] =
"CREATE TABLE target_keys ("
"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
"	host_id INTEGER NOT NULL REFERENCES hosts,"
"	login TEXT NOT NULL CHECK (length(login) BETWEEN 1 AND 32),"
"	generation INTEGER NOT NULL CHECK (generation >= 0),"
"	state TEXT NOT NULL CHECK (state IN ('wanted', 'new', 'active', 'old')),"
"	managed TEXT NOT NULL CHECK (length(managed) <= 32),"
"	type TEXT NOT NULL DEFAULT '' CHECK (length(type) <= 64),"
"	fingerprint TEXT NOT NULL DEFAULT '' CHECK (length(fingerprint) <= 64),"
"	blob BLOB CHECK (length(blob) <= 8192),"
"	sealed BLOB CHECK (length(sealed) = 68),"
"	made INTEGER NOT NULL,"
"	installed INTEGER, removed INTEGER, used INTEGER,"
"	tries INTEGER NOT NULL DEFAULT 0,"
"	next INTEGER NOT NULL DEFAULT 0,"
"	why TEXT NOT NULL DEFAULT '' CHECK (length(why) <= 2048),"
"	UNIQUE (host_id, login, generation),"
"	CHECK ((managed <> '') = (generation = 0)),"
"	CHECK (state = 'wanted' OR (blob IS NOT NULL AND (sealed IS NOT NULL OR generation = 0)))"
") STRICT;"
"CREATE UNIQUE INDEX target_keys_active ON target_keys (host_id, login) WHERE state = 'active';"
"CREATE UNIQUE INDEX target_keys_coming ON target_keys (host_id, login) WHERE state IN ('wanted', 'new');"
"CREATE INDEX target_keys_due ON target_keys (id) WHERE state <> 'active';"
"CREATE TRIGGER target_keys_state BEFORE UPDATE OF state ON target_keys WHEN OLD.state || ' ' || NEW.state NOT IN"
"	('wanted new', 'new active', 'active old') OR (NEW.state = 'active' AND OLD.installed IS NULL)"
"	BEGIN SELECT RAISE(ABORT, 'a key at a host cannot change its state so'); END;"
"CREATE TRIGGER target_keys_fixed BEFORE UPDATE OF id, host_id, login, generation, managed ON target_keys"
"	BEGIN SELECT RAISE(ABORT, 'whose key it is stays'); END;"
"CREATE TRIGGER target_keys_kept BEFORE DELETE ON target_keys WHEN OLD.state <> 'old' OR OLD.removed IS NULL"
"	BEGIN SELECT RAISE(ABORT, 'a key that a host may still take is kept'); END;";

const char *const store_v_target_keys[] = { v13_target_keys, NULL };

/* Version 15. How often the keys of one host rotate (NULL: as the configuration says); and what finds the names of one machine. */
static const char v15_places[] =
"ALTER TABLE hosts ADD COLUMN rotate INTEGER CHECK (rotate BETWEEN 0 AND 3650);"
"CREATE INDEX hosts_address ON hosts (address COLLATE NOCASE) WHERE removed IS NULL;"
"CREATE INDEX host_keys_fingerprint ON host_keys (fingerprint);"
"CREATE INDEX host_announced_fingerprint ON host_announced (fingerprint);";

const char *const store_v_places[] = { v15_places, NULL };

#define ROW_SQL \
	"SELECT id, host_id, generation, login, managed, state, type, fingerprint, blob, sealed, made, ifnull(used, 0), tries, next, " \
	"installed IS NOT NULL, removed IS NOT NULL FROM target_keys "

static enum target_step step_of(const char *state, bool installed, bool removed)
{
	if (strcmp(state, "wanted") == 0)
		return STEP_MAKE;
	if (strcmp(state, "new") == 0)
		return installed ? STEP_VERIFY : STEP_INSTALL;
	return strcmp(state, "old") != 0 ? STEP_NONE : removed ? STEP_CHECK : STEP_REMOVE;
}

static int one_row(struct store *s, sqlite3_stmt *st, struct target_row *t)
{
	char state[16];
	int r = sql_next(s, st);

	memset(t, 0, sizeof(*t));
	if (r != 1)
		return r;
	t->id = sqlite3_column_int64(st, 0);
	t->host_id = sqlite3_column_int64(st, 1);
	t->generation = sqlite3_column_int64(st, 2);
	sql_text(s, st, 3, t->login, sizeof(t->login));
	sql_text(s, st, 4, t->managed, sizeof(t->managed));
	sql_text(s, st, 5, state, sizeof(state));
	sql_text(s, st, 6, t->public.type, sizeof(t->public.type));
	sql_text(s, st, 7, t->public.fingerprint, sizeof(t->public.fingerprint));
	t->public.len = (size_t)sqlite3_column_bytes(st, 8);
	if (t->public.len > sizeof(t->public.blob))
		t->public.len = 0;
	if (t->public.len > 0)
		sql_blob(st, 8, t->public.blob, t->public.len);
	if (sqlite3_column_bytes(st, 9) == TARGET_SEALED_LEN) {
		sql_blob(st, 9, t->sealed, TARGET_SEALED_LEN);
		t->sealed_len = TARGET_SEALED_LEN;
	}
	t->made = sqlite3_column_int64(st, 10);
	t->used = sqlite3_column_int64(st, 11);
	t->tries = sqlite3_column_int64(st, 12);
	t->next = sqlite3_column_int64(st, 13);
	t->step = step_of(state, sqlite3_column_int(st, 14) != 0, sqlite3_column_int(st, 15) != 0);
	return sql_loaded(s, st);
}

int store_target_active(struct store *s, int64_t host_id, const char *login, struct target_row *t)
{
	return one_row(s, sql(s, ROW_SQL "WHERE host_id=? AND login=? AND state='active'", "it", host_id, login), t);
}

int store_target_row(struct store *s, int64_t id, struct target_row *t)
{
	return one_row(s, sql(s, ROW_SQL "WHERE id=?", "i", id), t);
}

int store_target_begin(struct store *s, int64_t host_id, const char *login, const char *managed, const struct host_key *public, int64_t now)
{
	return sql_do(s, "INSERT INTO target_keys (host_id, login, generation, state, managed, type, fingerprint, blob, made, installed) "
	    "SELECT ?1,?2,0,'active',?3,?4,?5,?6,?7,?7 WHERE NOT EXISTS (SELECT 1 FROM target_keys WHERE host_id=?1 AND login=?2)", "itttt" "bi",
	    host_id, login, managed, public->type, public->fingerprint, public->blob, public->len, now) < 0 ? -1 : 0;
}

int store_target_coming(struct store *s, int64_t host_id, const char *login)
{
	int64_t one;

	return sql_int(s, &one, "SELECT 1 FROM target_keys WHERE host_id=? AND login=? AND state IN ('wanted', 'new')", "it", host_id, login);
}

int store_target_want(struct store *s, int64_t host_id, const char *login, int64_t now)
{
	return sql_do(s, "INSERT INTO target_keys (host_id, login, generation, state, managed, made) SELECT host_id, login, 1+max(generation), "
	    "'wanted', '', ?3 FROM target_keys WHERE host_id=?1 AND login=?2 GROUP BY host_id, login "
	    "HAVING sum(state='active')=1 AND sum(state IN ('wanted', 'new'))=0", "iti", host_id, login, now);
}

int store_target_hurry(struct store *s, int64_t host_id, const char *login, int64_t now)
{
	return sql_do(s, "UPDATE target_keys SET next=?3 WHERE host_id=?1 AND login=?2 AND state<>'active' AND next>?3", "iti", host_id, login,
		   now) < 0 ? -1 : 0;
}

int store_target_due(struct store *s, int64_t now, int64_t after, struct target_row *t)
{
	return one_row(s, sql(s, ROW_SQL "WHERE id>?2 AND state<>'active' AND next<=?1 AND "
	    "EXISTS (SELECT 1 FROM hosts h WHERE h.id=host_id AND h.removed IS NULL) ORDER BY id LIMIT 1", "ii", now, after), t);
}

int store_target_made(struct store *s, int64_t id, const struct host_key *public, const uint8_t sealed[TARGET_SEALED_LEN], int64_t now)
{
	return sql_do(s, "UPDATE target_keys SET state='new', type=?2, fingerprint=?3, blob=?4, sealed=?5, made=?6, tries=0, next=0, why='' "
	    "WHERE id=?1 AND state='wanted'", "ittbbi", id, public->type, public->fingerprint, public->blob, public->len, sealed,
	    (size_t)TARGET_SEALED_LEN, now);
}

int store_target_installed(struct store *s, int64_t id, int64_t now)
{
	return sql_do(s, "UPDATE target_keys SET installed=?2, tries=0, next=0, why='' WHERE id=?1 AND state='new' AND installed IS NULL", "ii", id,
	    now);
}

int store_target_switch(struct store *s, const struct target_row *t, int64_t now)
{
	int r;

	if (store_begin(s) < 0)
		return -1;
	if ((r = sql_do(s, "UPDATE target_keys SET state='old', tries=0, next=0, why='' WHERE host_id=? AND login=? AND state='active'", "it", t->host_id,
		 t->login)) == 1 &&
	    (r = sql_do(s, "UPDATE target_keys SET state='active', made=?2, tries=0, next=0, why='' WHERE id=?1 AND state='new' AND installed IS NOT NULL",
		 "ii", t->id, now)) == 1)
		return store_commit(s) < 0 ? -1 : 1;
	store_rollback(s);
	return r < 0 ? -1 : 0;
}

int store_target_removed(struct store *s, int64_t id, int64_t now)
{
	return sql_do(s, "UPDATE target_keys SET removed=?2, tries=0, next=0, why='' WHERE id=?1 AND state='old' AND removed IS NULL", "ii", id, now);
}

int store_target_gone(struct store *s, int64_t id)
{
	return sql_do(s, "DELETE FROM target_keys WHERE id=? AND state='old' AND removed IS NOT NULL", "i", id);
}

int store_target_failed(struct store *s, int64_t id, const char *why, int64_t next)
{
	return sql_do(s, "UPDATE target_keys SET tries=tries+1, next=?3, why=?2 WHERE id=?1", "iti", id, why, next) < 0 ? -1 : 0;
}

int store_target_wait(struct store *s, int64_t id, const char *why, int64_t next)
{
	return sql_do(s, "UPDATE target_keys SET next=?3, why=?2 WHERE id=?1", "iti", id, why, next) < 0 ? -1 : 0;
}

int store_target_again(struct store *s, int64_t id, const char *why, int64_t next)
{
	return sql_do(s, "UPDATE target_keys SET removed=NULL, tries=tries+1, next=?3, why=?2 WHERE id=?1 AND state='old'", "iti", id, why, next) < 0 ? -1 : 0;
}

int store_target_used(struct store *s, int64_t id, int64_t now)
{
	return sql_do(s, "UPDATE target_keys SET used=?2 WHERE id=?1", "ii", id, now) < 0 ? -1 : 0;
}

int store_host_rotate(struct store *s, int64_t host_id, int64_t *days)
{
	return sql_int(s, days, "SELECT rotate FROM hosts WHERE id=?", "i", host_id);
}

int store_host_rotate_set(struct store *s, int64_t host_id, int days)
{
	return sql_do(s, "UPDATE hosts SET rotate=iif(?2<0, NULL, ?2) WHERE id=?1", "ii", host_id, (int64_t)days) < 0 ? -1 : 0;
}

int store_hosts_rotate(struct store *s)
{
	int64_t one;

	return sql_int(s, &one, "SELECT 1 FROM hosts WHERE rotate>0 AND removed IS NULL LIMIT 1", "");
}
