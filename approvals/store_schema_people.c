/*
 * store_schema_people.c - the versions of the schema that are about people and their factors; see store_schema.c.
 */
#include "store_sql.h"

/*
 * Secrets of one-time codes are sealed (seal.h). Those in clear wait in totp_plain for the key: store_seal(),
 * at the start of policy, seals them and drops that table.
 */
static const char sealed[] =
"ALTER TABLE totp RENAME TO totp_plain;"
"CREATE TABLE totp ("
"	user_id INTEGER PRIMARY KEY REFERENCES users,"
"	secret BLOB CHECK (length(secret) = 56),"
"	fresh BLOB CHECK (length(fresh) = 56),"
"	last_counter INTEGER NOT NULL,"
"	drift INTEGER NOT NULL DEFAULT 0 CHECK (drift BETWEEN -20 AND 20),"	/* steps */
"	enrolled INTEGER NOT NULL,"
"	confirmed INTEGER"
") STRICT;"
	/* the key of a set's hashes, sealed */
"CREATE TABLE recovery_sets ("
"	user_id INTEGER PRIMARY KEY REFERENCES users,"
"	key BLOB NOT NULL CHECK (length(key) = 68),"
"	made INTEGER NOT NULL"
") STRICT;"
"CREATE TABLE recovery_codes ("
"	user_id INTEGER NOT NULL REFERENCES recovery_sets,"
"	hash BLOB NOT NULL CHECK (length(hash) = 32),"
"	used INTEGER,"
"	PRIMARY KEY (user_id, hash)"
") STRICT, WITHOUT ROWID;"
"CREATE TRIGGER recovery_spent BEFORE UPDATE ON recovery_codes WHEN OLD.used IS NOT NULL"
"	BEGIN SELECT RAISE(ABORT, 'a recovery code is used once'); END;"
"CREATE INDEX users_person ON users (person);";

const char *const store_schema_sealed[] = { sealed, NULL };

/* Devices that wait for somebody's yes, codes that stand for it, and where users come from. */
static const char devices[] =
"ALTER TABLE devices ADD COLUMN first_used INTEGER;"
"ALTER TABLE devices ADD COLUMN client TEXT CHECK (length(client) <= 64);"
"UPDATE devices SET first_used=added WHERE used IS NOT NULL;"
"CREATE TABLE device_waiting ("
"	id INTEGER PRIMARY KEY,"
"	user_id INTEGER NOT NULL REFERENCES users,"
"	name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 32),"
"	type TEXT NOT NULL CHECK (length(type) <= 64),"
"	fingerprint TEXT NOT NULL UNIQUE CHECK (length(fingerprint) <= 64),"
"	blob BLOB NOT NULL CHECK (length(blob) <= 8192),"
"	asked INTEGER NOT NULL,"
"	UNIQUE (user_id, name)"
") STRICT;"
"CREATE TABLE device_invites ("
"	user_id INTEGER PRIMARY KEY REFERENCES users,"
"	hash BLOB NOT NULL CHECK (length(hash) = 32),"
"	until INTEGER NOT NULL"
") STRICT;"
"CREATE TABLE user_networks ("
"	user_id INTEGER NOT NULL REFERENCES users,"
"	network TEXT NOT NULL CHECK (length(network) <= 63),"
"	first INTEGER NOT NULL,"
"	last INTEGER NOT NULL,"
"	PRIMARY KEY (user_id, network)"
") STRICT, WITHOUT ROWID;";

const char *const store_schema_devices[] = { devices, NULL };

/* Who is a directory's, and what it said last. */
static const char directory[] =
"ALTER TABLE users ADD COLUMN directory INTEGER NOT NULL DEFAULT 0 CHECK (directory IN (0, 1));"
"CREATE TABLE directory_stage ("
"	name TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 32),"
"	person TEXT NOT NULL COLLATE NOCASE CHECK (length(person) BETWEEN 1 AND 64),"
"	roles TEXT NOT NULL CHECK (length(roles) <= 1024)"
") STRICT, WITHOUT ROWID;"
"CREATE INDEX directory_person ON directory_stage (person);";

const char *const store_schema_directory[] = { directory, NULL };
