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
