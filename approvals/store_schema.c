/*
 * store_schema.c - the tables, and the rules that the database keeps by itself. Policy role.
 *
 * A later version is a further script here, never a change of an earlier one: every
 * database in the field is carried forward by the same steps. Lists are words with one space
 * between; what they may hold was checked before it came here.
 *
 * The triggers are a second line: they say no to what approvals/access.c would never do, and to a
 * hand with sqlite3(1).
 */
#include "store_sql.h"

static const char v1_people[] =
"CREATE TABLE users ("
"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
"	name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 32),"
"	person TEXT NOT NULL COLLATE NOCASE CHECK (length(person) BETWEEN 1 AND 64),"
"	kind TEXT NOT NULL CHECK (kind IN ('human', 'service')),"
"	state TEXT NOT NULL CHECK (state IN ('active', 'locked', 'removed')),"
"	admin INTEGER NOT NULL CHECK (admin IN (0, 1)),"
"	auditor INTEGER NOT NULL CHECK (auditor IN (0, 1)),"
"	uid INTEGER UNIQUE CHECK (uid > 0),"
"	networks TEXT NOT NULL CHECK (length(networks) <= 1024),"
"	until INTEGER,"
"	why TEXT NOT NULL DEFAULT '',"
"	added INTEGER NOT NULL,"
	/* a service account has no second factor: it comes from known networks, ends, and rules nobody */
"	CHECK (kind = 'human' OR state = 'removed' OR"
"	    (networks <> '' AND until IS NOT NULL AND admin = 0 AND auditor = 0))"
") STRICT;"
"CREATE TABLE devices ("
"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
"	user_id INTEGER NOT NULL REFERENCES users,"
"	name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 32),"
"	type TEXT NOT NULL CHECK (length(type) <= 64),"
"	fingerprint TEXT NOT NULL UNIQUE CHECK (length(fingerprint) <= 64),"
"	blob BLOB NOT NULL CHECK (length(blob) <= 8192),"
"	added INTEGER NOT NULL,"
"	revoked INTEGER,"
"	used INTEGER,"
"	used_from TEXT"
") STRICT;"
"CREATE UNIQUE INDEX devices_name ON devices (user_id, name) WHERE revoked IS NULL;"
"CREATE TABLE totp ("
"	user_id INTEGER PRIMARY KEY REFERENCES users,"
"	secret BLOB CHECK (length(secret) = 20),"
"	fresh BLOB CHECK (length(fresh) = 20),"
"	last_counter INTEGER NOT NULL,"
"	enrolled INTEGER NOT NULL,"
"	confirmed INTEGER"
") STRICT;"
	/* device_id 0: no device took part */
"CREATE TABLE totp_failures ("
"	user_id INTEGER NOT NULL REFERENCES users,"
"	device_id INTEGER NOT NULL,"
"	failures INTEGER NOT NULL CHECK (failures >= 0),"
"	not_before INTEGER NOT NULL,"
"	PRIMARY KEY (user_id, device_id)"
") STRICT, WITHOUT ROWID;"
"CREATE TABLE mfa_grace ("
"	user_id INTEGER NOT NULL REFERENCES users,"
"	device_id INTEGER NOT NULL REFERENCES devices,"
"	source TEXT NOT NULL CHECK (length(source) <= 255),"
"	until INTEGER NOT NULL,"
"	PRIMARY KEY (user_id, device_id, source)"
") STRICT, WITHOUT ROWID;";

static const char v1_places[] =
"CREATE TABLE roles ("
"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
"	name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 32),"
"	hosts TEXT NOT NULL CHECK (length(hosts) <= 1024),"
"	labels TEXT NOT NULL CHECK (length(labels) <= 1024),"
"	logins TEXT NOT NULL CHECK (length(logins) BETWEEN 1 AND 1024),"
"	caps INTEGER NOT NULL CHECK (caps BETWEEN 1 AND 15),"
"	max INTEGER NOT NULL CHECK (max > 0),"
"	approvals INTEGER NOT NULL CHECK (approvals BETWEEN 0 AND 10),"
"	hours TEXT NOT NULL CHECK (length(hours) <= 128),"
"	networks TEXT NOT NULL CHECK (length(networks) <= 1024),"
"	ticket INTEGER NOT NULL CHECK (ticket IN (0, 1)),"
"	added INTEGER NOT NULL,"
"	removed INTEGER,"
"	CHECK (hosts <> '' OR labels <> '')"
") STRICT;"
"CREATE UNIQUE INDEX roles_name ON roles (name) WHERE removed IS NULL;"
	/* part: m may ask, a decides */
"CREATE TABLE role_users ("
"	role_id INTEGER NOT NULL REFERENCES roles,"
"	user_id INTEGER NOT NULL REFERENCES users,"
"	part TEXT NOT NULL CHECK (part IN ('m', 'a')),"
"	PRIMARY KEY (role_id, user_id, part)"
") STRICT, WITHOUT ROWID;"
"CREATE INDEX role_users_user ON role_users (user_id, part);"
"CREATE TABLE hosts ("
"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
"	name TEXT NOT NULL COLLATE NOCASE CHECK (length(name) BETWEEN 1 AND 64),"
"	address TEXT NOT NULL CHECK (length(address) BETWEEN 1 AND 255),"
"	port INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),"
"	labels TEXT NOT NULL CHECK (length(labels) <= 1024),"
"	logins TEXT NOT NULL CHECK (length(logins) BETWEEN 1 AND 1024),"
"	method TEXT NOT NULL CHECK (method IN ('certificate', 'managed')),"
"	managed_key TEXT NOT NULL CHECK (length(managed_key) <= 32),"
"	source_address TEXT NOT NULL CHECK (length(source_address) <= 255),"
"	added INTEGER NOT NULL,"
"	removed INTEGER,"
"	CHECK ((method = 'managed') = (managed_key <> ''))"
") STRICT;"
"CREATE UNIQUE INDEX hosts_name ON hosts (name) WHERE removed IS NULL;"
"CREATE TABLE host_keys ("
"	host_id INTEGER NOT NULL REFERENCES hosts,"
"	type TEXT NOT NULL CHECK (length(type) <= 64),"
"	fingerprint TEXT NOT NULL CHECK (length(fingerprint) <= 64),"
"	blob BLOB NOT NULL CHECK (length(blob) <= 8192),"
"	PRIMARY KEY (host_id, fingerprint)"
") STRICT, WITHOUT ROWID;";

static const char v1_tickets[] =
"CREATE TABLE requests ("
"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
"	state TEXT NOT NULL CHECK (state IN"
"	    ('pending', 'approved', 'denied', 'cancelled', 'expired', 'active', 'ended', "
"	'revoked')),"
"	user_id INTEGER NOT NULL REFERENCES users,"
"	by_id INTEGER REFERENCES users,"	/* NULL: local root */
"	host_id INTEGER NOT NULL REFERENCES hosts,"
"	role_id INTEGER NOT NULL REFERENCES roles,"
"	login TEXT NOT NULL CHECK (length(login) BETWEEN 1 AND 32),"
"	caps INTEGER NOT NULL CHECK (caps BETWEEN 1 AND 15),"
"	duration INTEGER NOT NULL CHECK (duration > 0),"
"	needed INTEGER NOT NULL CHECK (needed BETWEEN 0 AND 10),"
"	reason TEXT NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),"
"	ref TEXT NOT NULL CHECK (length(ref) <= 64),"
"	asked_at INTEGER NOT NULL,"
"	lapse_at INTEGER NOT NULL CHECK (lapse_at > asked_at),"
"	why TEXT NOT NULL DEFAULT '',"
"	closer TEXT NOT NULL DEFAULT '',"
"	closed_at INTEGER"
") STRICT;"
"CREATE INDEX requests_way ON requests (user_id, host_id, login);"
"CREATE INDEX requests_open ON requests (state) WHERE state IN ('pending', 'approved', 'active');"
"CREATE TABLE verdicts ("
"	request_id INTEGER NOT NULL REFERENCES requests,"
"	person TEXT NOT NULL COLLATE NOCASE,"
"	user_id INTEGER NOT NULL REFERENCES users,"
"	yes INTEGER NOT NULL CHECK (yes IN (0, 1)),"
"	reason TEXT NOT NULL,"
"	at INTEGER NOT NULL,"
"	PRIMARY KEY (request_id, person)"
") STRICT, WITHOUT ROWID;"
"CREATE TABLE grants ("
"	id INTEGER PRIMARY KEY REFERENCES requests,"
"	start_at INTEGER NOT NULL,"
"	end_at INTEGER NOT NULL CHECK (end_at > start_at),"
"	used_at INTEGER,"
"	ended_at INTEGER"
") STRICT;"
	/* the arrows of access.h, again */
"CREATE TRIGGER requests_state BEFORE UPDATE OF state ON requests WHEN OLD.state || ' ' || "
"	NEW.state NOT IN ("
"	'pending approved', 'pending denied', 'pending cancelled', 'pending expired', "
"	'approved active',"
"	'approved ended', 'approved revoked', 'active ended', 'active revoked')"
"	BEGIN SELECT RAISE(ABORT, 'a request cannot change its state so'); END;"
"CREATE TRIGGER requests_new BEFORE INSERT ON requests WHEN NEW.state <> 'pending'"
"	BEGIN SELECT RAISE(ABORT, 'a request starts pending'); END;"
"CREATE TRIGGER requests_fixed BEFORE UPDATE OF id, user_id, by_id, host_id, role_id, "
"	login, caps, duration, needed,"
"	reason, ref, asked_at, lapse_at ON requests"
"	BEGIN SELECT RAISE(ABORT, 'what was asked for stays'); END;"
"CREATE TRIGGER requests_kept BEFORE DELETE ON requests BEGIN SELECT RAISE(ABORT, 'requests "
"	are kept'); END;"
"CREATE TRIGGER verdicts_own BEFORE INSERT ON verdicts WHEN EXISTS (SELECT 1 FROM requests "
"	r JOIN users u"
"	ON u.id IN (r.user_id, r.by_id) WHERE r.id = NEW.request_id AND u.person = "
"	NEW.person COLLATE NOCASE)"
"	OR NOT EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND person = NEW.person "
"	COLLATE NOCASE)"
"	BEGIN SELECT RAISE(ABORT, 'nobody decides their own request'); END;"
"CREATE TRIGGER verdicts_open BEFORE INSERT ON verdicts WHEN"
"	(SELECT state FROM requests WHERE id = NEW.request_id) IS NOT 'pending'"
"	BEGIN SELECT RAISE(ABORT, 'the request is decided'); END;"
"CREATE TRIGGER verdicts_fixed BEFORE UPDATE ON verdicts BEGIN SELECT RAISE(ABORT, 'a "
"	verdict stays'); END;"
"CREATE TRIGGER verdicts_kept BEFORE DELETE ON verdicts BEGIN SELECT RAISE(ABORT, 'verdicts "
"	are kept'); END;"
"CREATE TRIGGER grants_quorum BEFORE INSERT ON grants WHEN NOT EXISTS (SELECT 1 FROM "
"	requests r WHERE r.id = NEW.id"
"	AND r.state = 'approved' AND NEW.end_at = NEW.start_at + r.duration"
"	AND r.needed <= (SELECT count(*) FROM verdicts v WHERE v.request_id = r.id AND "
"	v.yes = 1))"
"	BEGIN SELECT RAISE(ABORT, 'a grant without its approvals'); END;"
"CREATE TRIGGER grants_fixed BEFORE UPDATE OF id, start_at, end_at ON grants"
"	BEGIN SELECT RAISE(ABORT, 'a grant is not prolonged'); END;"
"CREATE TRIGGER grants_kept BEFORE DELETE ON grants BEGIN SELECT RAISE(ABORT, 'grants are "
"	kept'); END;";

static const char v1_record[] =
"CREATE TABLE connections ("
"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
"	user_id INTEGER NOT NULL REFERENCES users,"
"	device_id INTEGER NOT NULL REFERENCES devices,"
"	peer TEXT NOT NULL CHECK (length(peer) <= 255),"
"	session BLOB NOT NULL CHECK (length(session) = 16),"
"	start_at INTEGER NOT NULL,"
"	end_at INTEGER,"
"	why TEXT"
") STRICT;"
"CREATE INDEX connections_open ON connections (id) WHERE end_at IS NULL;"
"CREATE TABLE ways ("
"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
"	connection_id INTEGER NOT NULL REFERENCES connections,"
"	request_id INTEGER NOT NULL REFERENCES requests,"
"	host_id INTEGER NOT NULL REFERENCES hosts,"
"	login TEXT NOT NULL CHECK (length(login) <= 32),"
"	target TEXT NOT NULL CHECK (length(target) <= 263),"
"	recording BLOB NOT NULL UNIQUE CHECK (length(recording) = 16),"
"	start_at INTEGER NOT NULL,"
"	end_at INTEGER,"
"	why TEXT,"
"	bytes_in INTEGER, bytes_out INTEGER, frames INTEGER"
") STRICT;"
"CREATE INDEX ways_connection ON ways (connection_id);"
"CREATE TABLE events ("
"	id INTEGER PRIMARY KEY,"
"	at INTEGER NOT NULL,"
"	kind TEXT NOT NULL,"
"	actor TEXT NOT NULL,"
"	subject TEXT NOT NULL,"
"	detail TEXT NOT NULL,"
"	hash BLOB NOT NULL CHECK (length(hash) = 32)"
") STRICT;"
"CREATE TRIGGER events_next BEFORE INSERT ON events WHEN NEW.id <> 1 + ifnull((SELECT "
"	max(id) FROM events), 0)"
"	BEGIN SELECT RAISE(ABORT, 'events have no holes'); END;"
"CREATE TRIGGER events_fixed BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events "
"	stay'); END;"
"CREATE TRIGGER events_kept BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are "
"	kept'); END;";

static const char *const v1[] = { v1_people, v1_places, v1_tickets, v1_record, NULL };

/*
 * Version 2: events are a recording, too, and old ones may go. One row: which list of events this is
 * (a recording names it), up to which number the collectors have it, the last recording that was
 * opened for it, and where the list begins since it was pruned: the number and hash before the first
 * row.
 */
static const char v2_events[] =
"CREATE TABLE event_log ("
"	one INTEGER PRIMARY KEY CHECK (one = 1),"
"	log BLOB NOT NULL CHECK (length(log) = 16),"
"	shipped INTEGER NOT NULL,"
"	recording BLOB CHECK (length(recording) = 16),"
"	pruned INTEGER NOT NULL,"
"	pruned_hash BLOB NOT NULL CHECK (length(pruned_hash) = 32)"
") STRICT;"
"INSERT INTO event_log VALUES (1, randomblob(16), 0, NULL, 0, zeroblob(32));"
"CREATE TRIGGER event_log_forward BEFORE UPDATE ON event_log WHEN NEW.log <> OLD.log OR "
"	NEW.shipped < OLD.shipped OR NEW.pruned < OLD.pruned OR NEW.pruned > NEW.shipped"
"	BEGIN SELECT RAISE(ABORT, 'the list of events goes forward only'); END;"
"CREATE TRIGGER event_log_kept BEFORE DELETE ON event_log BEGIN SELECT RAISE(ABORT, 'events are "
"	kept'); END;"
"DROP TRIGGER events_kept;"
"CREATE TRIGGER events_kept BEFORE DELETE ON events WHEN OLD.id > (SELECT pruned FROM event_log)"
"	BEGIN SELECT RAISE(ABORT, 'events are kept'); END;";

static const char *const v2[] = { v2_events, NULL };

/* Version 3: reports begin at a time. */
static const char *const v3[] = { "CREATE INDEX events_at ON events (at);", NULL };

/* Version 10: which logins a grant had had by some moment. */
static const char *const v10[] = { "CREATE INDEX ways_request ON ways (request_id, start_at);", NULL };

/* Version 20: who had a grant at a host, in the order of their numbers. */
static const char *const v20[] = { "CREATE INDEX requests_host ON requests (host_id, user_id, login);", NULL };

/*
 * Version 21: what is open, and each user's own, is found without a look at what is over: requests are kept for ever, and nobody's many may
 * cost the others time. What is over of grants has ended_at; the time that is left is that of GRANT_END.
 */
#define OPEN " WHERE state IN ('pending', 'approved', 'active')"
static const char v21[] =
"CREATE INDEX requests_open_way ON requests (user_id, host_id, login)" OPEN ";"
"CREATE INDEX requests_open_user ON requests (user_id)" OPEN ";"
"CREATE INDEX requests_open_by ON requests (by_id)" OPEN ";"
"CREATE INDEX requests_open_role ON requests (role_id)" OPEN ";"
"CREATE INDEX requests_open_host ON requests (host_id)" OPEN ";"
"CREATE INDEX requests_open_ref ON requests (ref)" OPEN ";"
"CREATE INDEX requests_lapse ON requests (lapse_at) WHERE state = 'pending';"
"CREATE INDEX grants_due ON grants (end_at - moved) WHERE ended_at IS NULL;"
"CREATE INDEX requests_user ON requests (user_id);"
"CREATE INDEX requests_by ON requests (by_id);"
"CREATE INDEX requests_role ON requests (role_id);"
	/* whoever is added may be who is referred to, says the foreign key, and looks */
"CREATE INDEX requests_extends ON requests (extends) WHERE extends IS NOT NULL;"
"CREATE INDEX requests_glass ON requests (glass) WHERE glass = 1;"
"CREATE INDEX connections_user ON connections (user_id);";
static const char *const v21_found[] = { v21, NULL };

const char *const *const store_migrations[STORE_VERSION] = { v1, v2, v3, store_v_signed, store_schema_sealed, store_v_rules, store_schema_devices, store_schema_directory,
	store_v_glass, v10, store_v_hostkeys, store_v_accounts, store_v_target_keys, store_v_clock, store_v_places, store_v_owner, store_v_apart, store_v_announced,
	store_v_wasted, v20, v21_found, store_v_approved, store_v_way_grants, store_v_held };
