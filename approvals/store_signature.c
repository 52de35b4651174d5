/*
 * store_signature.c - the signatures of approvals, and what came with them in the schema. Policy role; see store.h.
 */
#include "store_sql.h"

/*
 * Version 4: a role may want signed approvals. What a request needs is fixed when it is filed; its grant then needs a signature
 * beside each verdict that counts.
 */
static const char v4_signed[] =
"ALTER TABLE roles ADD COLUMN signed INTEGER NOT NULL DEFAULT 0 CHECK (signed IN (0, 1));"
"ALTER TABLE requests ADD COLUMN signed INTEGER NOT NULL DEFAULT 0 CHECK (signed IN (0, 1));"
"CREATE TABLE signatures ("
"	request_id INTEGER NOT NULL REFERENCES requests,"
"	person TEXT NOT NULL COLLATE NOCASE,"
"	device_id INTEGER NOT NULL REFERENCES devices,"
"	text TEXT NOT NULL CHECK (length(text) <= 4096),"
"	signature TEXT NOT NULL CHECK (length(signature) <= 4096),"
"	PRIMARY KEY (request_id, person),"
"	FOREIGN KEY (request_id, person) REFERENCES verdicts"
") STRICT, WITHOUT ROWID;"
"CREATE TRIGGER requests_signed BEFORE UPDATE OF signed ON requests"
"	BEGIN SELECT RAISE(ABORT, 'what was asked for stays'); END;"
"CREATE TRIGGER signatures_own BEFORE INSERT ON signatures WHEN NOT EXISTS (SELECT 1 FROM verdicts v JOIN devices d"
"	ON d.user_id = v.user_id AND d.id = NEW.device_id AND d.revoked IS NULL"
"	WHERE v.request_id = NEW.request_id AND v.person = NEW.person AND v.yes = 1)"
"	BEGIN SELECT RAISE(ABORT, 'a signature without its approval'); END;"
"CREATE TRIGGER signatures_fixed BEFORE UPDATE ON signatures BEGIN SELECT RAISE(ABORT, 'a signature stays'); END;"
"CREATE TRIGGER signatures_kept BEFORE DELETE ON signatures BEGIN SELECT RAISE(ABORT, 'signatures are kept'); END;"
"CREATE TRIGGER grants_signed BEFORE INSERT ON grants WHEN EXISTS (SELECT 1 FROM requests r WHERE r.id = NEW.id"
"	AND r.signed = 1 AND r.needed > (SELECT count(*) FROM signatures g WHERE g.request_id = r.id))"
"	BEGIN SELECT RAISE(ABORT, 'a grant without its signatures'); END;";

const char *const store_v_signed[] = { v4_signed, NULL };

int store_signature_add(struct store *s, int64_t request_id, const char *person, const struct signature_row *row)
{
	return sql_do(s, "INSERT INTO signatures (request_id, person, device_id, text, signature) VALUES (?,?,?,?,?)", "ititt",
	    request_id, person, row->device_id, row->text, row->signature) < 0 ? -1 : 0;
}
