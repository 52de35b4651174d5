/*
 * store_schema_rules.c - version 6 of the schema: roles are rules, and what was in force when is
 * kept. Policy role; see store_schema.c.
 *
 * A column with a CHECK is given another by a column beside it that takes its name. The table of
 * roles is made anew; its rows keep their numbers, which is all that others refer to.
 */
#include "store_sql.h"

/* sftp (4) was reading and writing, which is 4 and 16 now; the others keep their bits. */
#define CAPS_OF(caps) "(" caps " & 11) | iif(" caps " & 4, 20, 0)"

static const char rules[] =
"PRAGMA defer_foreign_keys=ON;"
"CREATE TABLE roles_before AS SELECT * FROM roles;"
"DROP TABLE roles;"
"CREATE TABLE roles ("
"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
"	name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 32),"
"	kind TEXT NOT NULL CHECK (kind IN ('allow', 'deny', 'group')),"
"	everyone INTEGER NOT NULL CHECK (everyone IN (0, 1)),"
"	hosts TEXT NOT NULL CHECK (length(hosts) <= 1024),"
"	labels TEXT NOT NULL CHECK (length(labels) <= 1024),"
"	zones TEXT NOT NULL CHECK (length(zones) <= 1024),"
"	logins TEXT NOT NULL CHECK (length(logins) <= 1024),"
"	caps INTEGER NOT NULL CHECK (caps BETWEEN 0 AND 127),"
"	forwards TEXT NOT NULL CHECK (length(forwards) <= 1024),"
"	commands TEXT NOT NULL CHECK (length(commands) <= 2048),"
"	max INTEGER NOT NULL CHECK (max > 0),"
"	approvals INTEGER NOT NULL CHECK (approvals BETWEEN 0 AND 10),"
"	hours TEXT NOT NULL CHECK (length(hours) <= 128),"
"	networks TEXT NOT NULL CHECK (length(networks) <= 1024),"
"	ticket INTEGER NOT NULL CHECK (ticket IN (0, 1)),"
"	no_reason INTEGER NOT NULL CHECK (no_reason IN (0, 1)),"
"	signed INTEGER NOT NULL CHECK (signed IN (0, 1)),"
"	added INTEGER NOT NULL,"
"	removed INTEGER,"
"	CHECK (kind = 'group' OR ((hosts <> '' OR labels <> '' OR zones <> '') AND logins <> '' AND caps > 0)),"
"	CHECK (everyone = 0 OR kind = 'deny')"
") STRICT;"
"INSERT INTO roles SELECT id, name, 'allow', 0, hosts, labels, '', logins, " CAPS_OF("caps") ", '', '',"
"	max, approvals, hours, networks, ticket, 0, signed, added, removed FROM roles_before;"
"DROP TABLE roles_before;"
"CREATE UNIQUE INDEX roles_name ON roles (name) WHERE removed IS NULL;"
	/* the members of by_id approve what is asked under role_id */
"CREATE TABLE role_deciders ("
"	role_id INTEGER NOT NULL REFERENCES roles,"
"	by_id INTEGER NOT NULL REFERENCES roles CHECK (by_id <> role_id),"
"	PRIMARY KEY (role_id, by_id)"
") STRICT, WITHOUT ROWID;"
"CREATE INDEX role_deciders_by ON role_deciders (by_id);"
	/* who may approve under a role, by name or by a role of theirs */
"CREATE VIEW deciders AS"
"	SELECT role_id, user_id FROM role_users WHERE part = 'a' UNION"
"	SELECT d.role_id, ru.user_id FROM role_deciders d JOIN roles o ON o.id = d.by_id AND o.removed IS NULL"
"	JOIN role_users ru ON ru.role_id = d.by_id AND ru.part = 'm';"
"ALTER TABLE hosts ADD COLUMN zone TEXT NOT NULL DEFAULT '' CHECK"
"	(zone IN ('', 'office', 'test', 'production', 'cloud'));";

static const char tickets[] =
"DROP TRIGGER requests_fixed;"
"ALTER TABLE requests ADD COLUMN caps2 INTEGER NOT NULL DEFAULT 1 CHECK (caps2 BETWEEN 1 AND 127);"
"ALTER TABLE requests ADD COLUMN reason2 TEXT NOT NULL DEFAULT '' CHECK (length(reason2) <= 500);"
"UPDATE requests SET caps2 = " CAPS_OF("caps") ", reason2 = reason;"
"ALTER TABLE requests DROP COLUMN caps;"
"ALTER TABLE requests DROP COLUMN reason;"
"ALTER TABLE requests RENAME COLUMN caps2 TO caps;"
"ALTER TABLE requests RENAME COLUMN reason2 TO reason;"
"ALTER TABLE requests ADD COLUMN forwards TEXT NOT NULL DEFAULT '' CHECK (length(forwards) <= 1024);"
"ALTER TABLE requests ADD COLUMN commands TEXT NOT NULL DEFAULT '' CHECK (length(commands) <= 2048);"
"CREATE TRIGGER requests_fixed BEFORE UPDATE OF id, user_id, by_id, host_id, role_id, "
"	login, caps, duration, needed, reason, ref, asked_at, lapse_at, forwards, commands ON requests"
"	BEGIN SELECT RAISE(ABORT, 'what was asked for stays'); END;";

#define NOW "CAST(strftime('%s', 'now') AS INTEGER)"

/*
 * What was in force when: a row for each state of a thing, from_at until to_at (NULL: still). Triggers
 * write them, so that no way of changing leaves them out. What was before this version is known from
 * the events, as far as they are kept, or is as if it had always been so.
 */
static const char history[] =
"CREATE TABLE role_history ("
"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
"	role_id INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, everyone INTEGER NOT NULL,"
"	hosts TEXT NOT NULL, labels TEXT NOT NULL, zones TEXT NOT NULL, logins TEXT NOT NULL,"
"	caps INTEGER NOT NULL, forwards TEXT NOT NULL, commands TEXT NOT NULL, max INTEGER NOT NULL,"
"	approvals INTEGER NOT NULL, hours TEXT NOT NULL, networks TEXT NOT NULL, ticket INTEGER NOT NULL,"
"	no_reason INTEGER NOT NULL, from_at INTEGER NOT NULL, to_at INTEGER"
") STRICT;"
"CREATE INDEX role_history_role ON role_history (role_id, to_at);"
	/* part: m member, a approver, d: the members of the role user_id approve */
"CREATE TABLE member_history ("
"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
"	role_id INTEGER NOT NULL, user_id INTEGER NOT NULL,"
"	part TEXT NOT NULL CHECK (part IN ('m', 'a', 'd')), from_at INTEGER NOT NULL, to_at INTEGER"
") STRICT;"
"CREATE INDEX member_history_user ON member_history (user_id, part, to_at);"
"CREATE INDEX member_history_role ON member_history (role_id, part, to_at);"
"CREATE TABLE host_history ("
"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
"	host_id INTEGER NOT NULL, name TEXT NOT NULL COLLATE NOCASE, labels TEXT NOT NULL, zone TEXT NOT NULL,"
"	logins TEXT NOT NULL, from_at INTEGER NOT NULL, to_at INTEGER"
") STRICT;"
"CREATE INDEX host_history_name ON host_history (name, to_at);"
"CREATE TABLE user_history ("
"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
"	user_id INTEGER NOT NULL, state TEXT NOT NULL, kind TEXT NOT NULL, networks TEXT NOT NULL,"
"	until INTEGER, from_at INTEGER NOT NULL, to_at INTEGER"
") STRICT;"
"CREATE INDEX user_history_user ON user_history (user_id, to_at);";

#define ROLE_COLS "name, kind, everyone, hosts, labels, zones, logins, caps, forwards, commands, max, "     \
	"approvals, hours, networks, ticket, no_reason"
#define ROLE_NEW "NEW.name, NEW.kind, NEW.everyone, NEW.hosts, NEW.labels, NEW.zones, NEW.logins, NEW.caps, " \
	"NEW.forwards, NEW.commands, NEW.max, NEW.approvals, NEW.hours, NEW.networks, NEW.ticket, NEW.no_reason"

static const char role_triggers[] =
"CREATE TRIGGER role_begins AFTER INSERT ON roles BEGIN INSERT INTO role_history (role_id, " ROLE_COLS
"	, from_at) VALUES (NEW.id, " ROLE_NEW ", " NOW "); END;"
"CREATE TRIGGER role_changes AFTER UPDATE ON roles BEGIN"
"	UPDATE role_history SET to_at = " NOW " WHERE role_id = OLD.id AND to_at IS NULL;"
"	INSERT INTO role_history (role_id, " ROLE_COLS ", from_at) SELECT NEW.id, " ROLE_NEW ", " NOW
"	WHERE NEW.removed IS NULL; END;"
"CREATE TRIGGER roles_kept BEFORE DELETE ON roles BEGIN SELECT RAISE(ABORT, 'roles are kept'); END;"
"CREATE TRIGGER member_begins AFTER INSERT ON role_users BEGIN INSERT INTO member_history"
"	(role_id, user_id, part, from_at) VALUES (NEW.role_id, NEW.user_id, NEW.part, " NOW "); END;"
"CREATE TRIGGER member_ends AFTER DELETE ON role_users BEGIN UPDATE member_history SET to_at = " NOW
"	WHERE role_id = OLD.role_id AND user_id = OLD.user_id AND part = OLD.part AND to_at IS NULL; END;"
"CREATE TRIGGER decider_begins AFTER INSERT ON role_deciders BEGIN INSERT INTO member_history"
"	(role_id, user_id, part, from_at) VALUES (NEW.role_id, NEW.by_id, 'd', " NOW "); END;"
"CREATE TRIGGER decider_ends AFTER DELETE ON role_deciders BEGIN UPDATE member_history SET to_at = " NOW
"	WHERE role_id = OLD.role_id AND user_id = OLD.by_id AND part = 'd' AND to_at IS NULL; END;";

static const char thing_triggers[] =
"CREATE TRIGGER host_begins AFTER INSERT ON hosts BEGIN INSERT INTO host_history"
"	(host_id, name, labels, zone, logins, from_at)"
"	VALUES (NEW.id, NEW.name, NEW.labels, NEW.zone, NEW.logins, " NOW "); END;"
"CREATE TRIGGER host_changes AFTER UPDATE OF name, labels, zone, logins, removed ON hosts BEGIN"
"	UPDATE host_history SET to_at = " NOW " WHERE host_id = OLD.id AND to_at IS NULL;"
"	INSERT INTO host_history (host_id, name, labels, zone, logins, from_at)"
"	SELECT NEW.id, NEW.name, NEW.labels, NEW.zone, NEW.logins, " NOW " WHERE NEW.removed IS NULL; END;"
"CREATE TRIGGER user_begins AFTER INSERT ON users BEGIN INSERT INTO user_history"
"	(user_id, state, kind, networks, until, from_at)"
"	VALUES (NEW.id, NEW.state, NEW.kind, NEW.networks, NEW.until, " NOW "); END;"
"CREATE TRIGGER user_changes AFTER UPDATE OF state, kind, networks, until ON users BEGIN"
"	UPDATE user_history SET to_at = " NOW " WHERE user_id = OLD.id AND to_at IS NULL;"
"	INSERT INTO user_history (user_id, state, kind, networks, until, from_at)"
"	VALUES (NEW.id, NEW.state, NEW.kind, NEW.networks, NEW.until, " NOW "); END;";

#define KEPT(table) \
"CREATE TRIGGER " table "_kept BEFORE DELETE ON " table " BEGIN SELECT RAISE(ABORT, 'history is kept'); END;" \
"CREATE TRIGGER " table "_fixed BEFORE UPDATE ON " table " WHEN OLD.to_at IS NOT NULL OR NEW.from_at <> OLD.from_at" \
"	BEGIN SELECT RAISE(ABORT, 'history stays'); END;"

static const char start[] =
"INSERT INTO role_history (role_id, " ROLE_COLS ", from_at, to_at)"
"	SELECT id, " ROLE_COLS ", added, removed FROM roles;"
"INSERT INTO member_history (role_id, user_id, part, from_at) SELECT ru.role_id, ru.user_id, ru.part,"
"	ifnull((SELECT max(e.at) FROM events e WHERE e.subject = u.name AND"
"	e.kind = iif(ru.part = 'a', 'approver.add', 'member.add') AND json_valid(e.detail) AND"
"	json_extract(e.detail, '$.role') = o.name), max(o.added, u.added))"
"	FROM role_users ru JOIN roles o ON o.id = ru.role_id JOIN users u ON u.id = ru.user_id;"
"INSERT INTO host_history (host_id, name, labels, zone, logins, from_at, to_at)"
"	SELECT id, name, labels, zone, logins, added, removed FROM hosts;"
"INSERT INTO user_history (user_id, state, kind, networks, until, from_at)"
"	SELECT id, state, kind, networks, until, added FROM users;"
KEPT("role_history") KEPT("member_history") KEPT("host_history") KEPT("user_history");

const char *const store_v_rules[] = { rules, tickets, history, role_triggers, thing_triggers, start, NULL };
