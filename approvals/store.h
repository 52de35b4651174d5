/*
 * store.h - the database: users, devices, roles, hosts, tickets, sessions, events.
 *
 * Only the policy role opens it (and `bastiond -I` creates it). SQLite stays behind this header:
 * store*.c alone include sqlite3.h. Write-ahead log, synchronous=FULL: what was committed survives
 * a power cut. Every value is bound, never pasted; every statement is prepared once and kept.
 *
 * Results: finders return 1 found, 0 not there, -1 failed; changers 0 or -1. After -1 store_error()
 * has the line, and the caller must treat the question as answered with no. A change outside a
 * transaction is one of its own. Rows go into the caller's memory. Not for threads; not to be
 * carried over fork().
 */
#ifndef BASTION_STORE_H
#define BASTION_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "access.h"
#include "event.h"
#include "store_role.h"

#define STORE_VERSION 24		/* of the schema; newer is refused, older is migrated */
#define STORE_ERR_MAX 512
#define STORE_USERS_MAX 100000
#define STORE_HOSTS_MAX 100000
#define STORE_DEVICES_MAX 32	/* keys in force of one user */
#define STORE_HOST_KEYS_MAX 16
#define STORE_PENDING_MAX 32	/* open requests of one user */
#define STORE_GRANTS_MAX 2048	/* of one user, that run or wait for their time or a verdict */
#define STORE_PLACE_MAX 64	/* of these, for one login on one host */
#define STORE_GLASS_MAX 64	/* of these, break-glass */
#define STORE_BLOB_MAX 8192	/* bytes of a public key */
#define STORE_FPR_MAX 64	/* "SHA256:…" */
#define STORE_KEY_TYPE_MAX 64
#define STORE_RECORDING_LEN 16

struct store;

/* Makes a new database, mode 0600; EEXIST when there is one. 0, or -1 with a line in
 * err[STORE_ERR_MAX]. */
int store_create(const char *path, char *err);
/* Opens, migrates forward, checks its integrity. NULL with a line in err: what is wrong with it and
 * what to do. */
struct store *store_open(const char *path, char *err);
/* The same, but a schema of another version is refused: another process is at work with it. */
struct store *store_open_beside(const char *path, char *err);
/* Did another connection change the database since the last call? A failure is no. */
bool store_changed_by_others(struct store *s);
void store_close(struct store *s);
/* The last failure as one line. Valid until the next call. */
const char *store_error(const struct store *s);
/* Structure, references, invariants I1–I5 and the schema's own. 0 good; 1 with the first fault in
 * err; -1. */
int store_check(struct store *s, char *err);

/* BEGIN IMMEDIATE: waits up to 5 s for another writer. Nests: an inner one is a savepoint. */
int store_begin(struct store *s);
/* The outermost makes it durable before it returns. After -1 everything since store_begin is
 * undone. */
int store_commit(struct store *s);
void store_rollback(struct store *s);
bool store_in_transaction(const struct store *s);

/* --- users and devices (store_user.c) --- */

int store_user(struct store *s, int64_t id, struct user *u);
int store_user_by_name(struct store *s, const char *name, struct user *u); /* removed ones too */
int store_user_by_uid(struct store *s, int64_t uid, struct user *u);	/* not removed */
/* Sets u->id. A removed user of the same name and person comes back without keys, roles and codes.
 * errno EEXIST: the name, EADDRINUSE: the uid is taken; ENOSPC: STORE_USERS_MAX. */
int store_user_add(struct store *s, struct user *u, int64_t now);
int store_user_state(struct store *s, int64_t id, enum user_state state, const char *why,
    int64_t now);
/* The next account, by number, of a person that is not removed. */
int store_user_of_person(struct store *s, const char *person, int64_t after, struct user *u);
/* Takes away roles, parts in approvals, rights of administrator and auditor, and grace. */
int store_user_strip(struct store *s, int64_t id, int64_t now);

struct device {
	int64_t id, user_id;
	char name[USER_NAME_MAX + 1];
	char type[STORE_KEY_TYPE_MAX + 1];
	char fingerprint[STORE_FPR_MAX + 1];
	bool revoked;
};

/*
 * The login's question: this user, this public key (wire form)? 1: both filled and the device is in
 * force (the user may still be locked or expired: access_user()). 0: not. The same statements run
 * whether the user, the key or nothing is known.
 */
int store_device_login(struct store *s, const char *user, const void *blob, size_t len,
    struct user *u, struct device *d);
int store_device(struct store *s, int64_t id, struct device *d); /* revoked ones too */
/* Those in force. */
int store_device_by_name(struct store *s, int64_t user_id, const char *name, struct device *d);
/* errno EEXIST: the key is known already, here or with another user, in force or revoked; ENOSPC:
 * STORE_DEVICES_MAX. */
int store_device_add(struct store *s, struct device *d, const void *blob, size_t len, int64_t now);
int store_device_revoke(struct store *s, int64_t id, int64_t now);
/* All of this user, also those that wait. */
int store_devices_revoke(struct store *s, int64_t user_id, int64_t now);
int store_device_used(struct store *s, int64_t id, const char *source, int64_t now);

/* --- hosts (store_host.c); roles: store_role.h --- */

struct host_key {
	char type[STORE_KEY_TYPE_MAX + 1], fingerprint[STORE_FPR_MAX + 1];
	size_t len;
	uint8_t blob[STORE_BLOB_MAX];
};

int store_host_by_name(struct store *s, const char *name, struct host *h);	/* registered now */
int store_host(struct store *s, int64_t id, struct host *h);
int store_host_ever(struct store *s, int64_t id, struct host *h);	/* a removed one, too */
int store_host_add(struct store *s, struct host *h, int64_t now);	/* sets h->id; EEXIST */
int store_host_change(struct store *s, const struct host *h);	/* zone, labels, logins; 0, -1 */
int store_host_remove(struct store *s, int64_t id, int64_t now);
int store_host_key_add(struct store *s, int64_t host_id, const struct host_key *k);
/* Calls fn for each pinned key, each host; stops when fn returns non-zero. 0, or -1. fn must not
 * change the store. */
int store_host_keys(struct store *s, int64_t host_id,
    int (*fn)(void *arg, const struct host_key *k), void *arg);
/* By name, those behind `after` in the order of the database, to which letters have no case; "": all. */
int store_hosts(struct store *s, const char *after, int (*fn)(void *arg, const struct host *h), void *arg);

/* --- tickets: requests and grants (store_ticket.c) --- */

int store_ticket(struct store *s, int64_t id, struct ticket *t);
/* When its grant was made, with its last yes, by the clock as it is now: *at. 0: there is none. */
int store_ticket_approved_at(struct store *s, int64_t id, int64_t *at);
/* Of this user, host and login: those that let somebody in now first, then those that give access at another time or had their logins,
 * then newest first; up to max. Their number, or -1. */
int store_tickets(struct store *s, int64_t user_id, int64_t host_id, const char *login, int64_t now,
    struct ticket *t, int max);
/* The login of the grant of this user at this host that ends last; that it is in force, a decision must say. 1, 0, -1. */
int store_grant_login(struct store *s, int64_t user_id, int64_t host_id, char login[LOGIN_MAX + 1]);
/* PENDING; sets t->id. errno ENOSPC: one of the four bounds above; store_error() says which. */
int store_ticket_add(struct store *s, struct ticket *t);
/* One verdict a person. 1 counted, 0 this person has given one; t->given counts it. */
int store_verdict(struct store *s, struct ticket *t, const struct user *by, bool yes,
    const char *reason, int64_t now);
/*
 * Takes the ticket where ticket_next() says; EPERM if it says nowhere. ACT_APPROVE gives it
 * start_at = now and its end. 1 done, 0: the row is no longer in t->state (somebody was faster; t
 * is loaded anew), -1.
 */
int store_ticket_move(struct store *s, struct ticket *t, enum ticket_act act, const char *by,
    const char *why, int64_t now);
/* What an approver signed (consent.h), and the signature as ssh-keygen writes it; by which device. */
struct signature_row {
	int64_t device_id;
	char text[4096], signature[4096];
};

/* Beside the verdict of this person, which is there. 0, or -1. */
int store_signature_add(struct store *s, int64_t request_id, const char *person, const struct signature_row *row);
/* The break-glass grant in force that ends last. 1, 0: none, -1. */
int store_glass_grant(struct store *s, int64_t user_id, int64_t host_id, const char *login, int64_t *id);
/* Of a break-glass grant, one ever: 1; 0: there is one; -1. verdict: "justified", "misused". */
int store_review(struct store *s, int64_t request_id, const struct user *by, const char *verdict, const char *reason, int64_t now);
/* The next pending request of this batch (struct ticket) with a number over `after`. 1, 0, -1. */
int store_batch_next(struct store *s, int64_t batch, int64_t after, int64_t *id);
/* The next ticket that is over at `now`: 1, 0, -1. *deadline: when the next one will be, FOREVER:
 * none open. */
int store_ticket_due(struct store *s, int64_t now, struct ticket *t, int64_t *deadline);
/* The pending request of this user for this host and login. 1, 0, -1. */
int store_ticket_twin(struct store *s, int64_t user_id, int64_t host_id, const char *login, int64_t *id);
/* An open ticket of this user (0: any), role (0: any), host (0: any), with a number over `after`.
 * 1, 0, -1. */
int store_ticket_open(struct store *s, int64_t user_id, int64_t role_id, int64_t host_id,
    int64_t after, struct ticket *t);
/* A pending one that this user asked for, for another. 1, 0, -1. */
int store_ticket_asked(struct store *s, int64_t by_id, int64_t after, struct ticket *t);
/* A user whose account ends by `now` and is still active: 1, 0, -1. *deadline as above. */
int store_user_due(struct store *s, int64_t now, struct user *u, int64_t *deadline);
/* A running grant that rests on this outside ticket, with a number over `after`. 1, 0, -1. */
int store_ticket_of(struct store *s, const char *ref, int64_t after, struct ticket *t);
/* Is the person the one who asked for, or profits from, this ticket? 1, 0, -1. */
int store_ticket_own(struct store *s, const struct ticket *t, const char *person);

/* --- sessions: connections and the ways inside (store_session.c) --- */

struct connection {
	int64_t id, user_id, device_id;
	char peer[ADDRESS_MAX + 1];	/* client's address */
	uint8_t session[16];		/* parent's session id */
};

/* A login. Sets c->id: the number that `sessions` shows and `kill` takes. */
int store_connection_start(struct store *s, struct connection *c, int64_t now);
int store_connection_end(struct store *s, int64_t id, const char *why, int64_t now);
/* Open ones only. */
int store_connection(struct store *s, int64_t id, struct connection *c);
/* Name of the user whose way that recording is of. 1; 0: not known (any more); -1. */
int store_recording_user(struct store *s, const uint8_t recording[STORE_RECORDING_LEN], char name[USER_NAME_MAX + 1]);

struct way_row {
	int64_t id, connection_id, ticket_id, host_id;
	char login[LOGIN_MAX + 1];
	char target[ADDRESS_MAX + 8];	/* address and port as dialled */
	uint8_t recording[STORE_RECORDING_LEN];
	bool apart;			/* recorded by the collectors for break-glass */
	uint64_t bytes_in, bytes_out, frames;	/* at its end */
	bool told;			/* the session said these numbers when it ended the way */
};

/* A way opens. Sets w->id, counts a login under its grant (the first is the event GRANT_USE; GLASS_STORE says that it is recorded
 * apart), in one transaction. 0, or -1; errno EPERM: the grant is over, or had its logins, and store_error() says which, for the user. */
int store_way_start(struct store *s, struct way_row *w, const char *user, int64_t now);
/* A way that is open rests on this grant, too, from now on: a login under it, counted as one. As above. */
int store_grant_use(struct store *s, int64_t id, int64_t way, const char *user, int64_t now);
int store_way_end(struct store *s, const struct way_row *w, const char *why, int64_t now);
/* At the start of policy: whatever is open belongs to a policy that died. Their number, or -1. */
int store_sessions_reset(struct store *s, const char *why, int64_t now);

/* --- lists for people (store_list.c) --- */

#define STORE_LIST(L) \
	L(USERS) L(DEVICES) L(ROLES) L(HOSTS) L(REQUESTS) L(GRANTS) L(SESSIONS) L(EVENTS) \
	L(ENDS) L(APPROVALS) L(REVIEWS) L(ACCOUNTS)

enum store_list {
#define L(name) LIST_##name,
	STORE_LIST(L)
#undef L
	LIST_COUNT
};

struct list_ask {
	int64_t id;		/* of the one row that is meant; 0: all. ENDS: the user, APPROVALS: the request */
	int64_t user_id;	/* DEVICES: of it; REQUESTS, GRANTS, SESSIONS: what it sees; 0: all */
	const char *text;	/* EVENTS: subject or actor; NULL: any */
	int64_t after;		/* page: numbers over this */
	int64_t now;
	bool all;		/* also what is over */
	int limit;
};

/* An array of objects, one a row; NULL with store_error(). The caller's. Keys as in
 * doc/PROTOCOL.control. */
json_t *store_list(struct store *s, enum store_list which, const struct list_ask *ask);

/* second factor: store_otp.h */

/* --- events (store_event.c; event.h is for callers) --- */

int store_event_head(struct store *s, int64_t *id, uint8_t hash[EVENT_HASH_LEN]);
int store_event_hash(struct store *s, int64_t id, uint8_t hash[EVENT_HASH_LEN]);
int store_event_insert(struct store *s, const struct event_row *e,
    const uint8_t hash[EVENT_HASH_LEN]);
int store_event_each(struct store *s, int64_t after,
    int (*fn)(void *arg, const struct event_row *e, const uint8_t *hash, size_t len), void *arg);
/* Was an event added since the last call? True also if it was undone. */
bool store_event_added(struct store *s);
/* The time of event `id`: 1, 0 no such row, -1. */
int store_event_at(struct store *s, int64_t id, int64_t *at);

/* What the database knows of its list of events. */
struct event_log {
	uint8_t log[STORE_RECORDING_LEN];	/* name of the list: recordings of it have it */
	int64_t shipped;			/* up to this number the collectors have it */
	bool recorded;				/* a recording was opened: */
	uint8_t recording[STORE_RECORDING_LEN];	/* the last one */
	int64_t pruned;				/* events up to this number are gone; */
	uint8_t pruned_hash[EVENT_HASH_LEN];	/* hash of that one, zeroes for none */
};

int store_event_log(struct store *s, struct event_log *log);
int store_event_shipped(struct store *s, int64_t number);
int store_event_recording(struct store *s, const uint8_t recording[STORE_RECORDING_LEN]);
/* Takes away the events up to `last`, which has this hash. In the caller's transaction. */
int store_event_prune(struct store *s, int64_t last, const uint8_t hash[EVENT_HASH_LEN]);
/* The first event up to number `most` that is not older than `before`; most + 1: all are. 0, or -1. */
int store_event_young(struct store *s, int64_t before, int64_t most, int64_t *id);
/* Takes away up to `most` ways, then connections without ways, that ended before. Their number, or -1. */
int store_session_prune(struct store *s, int64_t before, int64_t most);

#endif
