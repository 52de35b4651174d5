/*
 * access.h - who may reach what: the rows of the access model, the states of a request, and the
 * decision.
 *
 * Pure: no clock, no database, no allocation. The policy role loads rows (store.h), asks here, and
 * acts. A *ticket* is a request and, once approved, its grant: one row, one number, one state
 * machine.
 *
 *                     deny ──▶ DENIED
 *                    cancel ─▶ CANCELLED
 *     request ──▶ PENDING ── lapse ──▶ EXPIRED
 *                    │ approve (the last one needed)
 *                    ▼
 *                 APPROVED ── use (first way) ──▶ ACTIVE ⟲ use
 *                    │  │                          │  │
 *                    │  └── lapse ──▶ ENDED ◀─ lapse  │
 *                    └──── revoke ──▶ REVOKED ◀─ revoke
 *
 * APPROVED and ACTIVE give access, and nothing else does. DENIED, CANCELLED, EXPIRED, ENDED and
 * REVOKED are final: who wants in again asks again, under a new number.
 *
 * Invariants, which access_broken() checks on each ticket that comes out of the store:
 *  I1  a ticket gives access only with as many approvals as it needs, and with an end;
 *  I2  the end is the start and the asked duration, never later;
 *  I3  PENDING, DENIED, CANCELLED, EXPIRED have no grant: start and end are 0;
 *  I4  PENDING has fewer approvals than it needs, and a time at which it lapses;
 *  I5  no approval is by the person who asked or the person who profits (the store's schema holds
 *      this, and its check).
 */
#ifndef BASTION_ACCESS_H
#define BASTION_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "msg.h"
#include "names.h"

#define PERSON_MAX 64
#define ADDRESS_MAX 255		/* DNS name or literal */
#define TEXT_MAX 500		/* reason */
#define TICKET_REF_MAX 64	/* number of an outside ticket */
#define LIST_MAX 1024 /* bytes of a list: words that passed their grammar, one space between */
#define HOURS_MAX 128
#define ACCESS_LINE_MAX 1024	/* a line for the user */
#define ACCESS_TICKETS 8	/* tickets of one user, host and login that a decision looks at */
#define FOREVER INT64_MAX

/* What a grant may be used for. */
#define CAP_LIST(C) C(SHELL, "shell", 1) C(EXEC, "exec", 2) C(SFTP, "sftp", 4) C(SCP, "scp", 8)
enum capability {
#define C(symbol, name, bit) CAP_##symbol = bit,
	CAP_LIST(C)
#undef C
	CAP_ALL = 15
};

enum user_kind { USER_HUMAN, USER_SERVICE };
enum user_state { USER_ACTIVE, USER_LOCKED, USER_REMOVED };
enum login_method { LOGIN_CERTIFICATE, LOGIN_MANAGED };

struct user {
	int64_t id;
	char name[USER_NAME_MAX + 1];
	char person[PERSON_MAX + 1];	/* one human, who may have several accounts */
	enum user_kind kind;
	enum user_state state;
	bool admin, auditor;
	int64_t uid;			/* local account that is this user at the socket; -1: none */
	char networks[LIST_MAX + 1];	/* comes from here only; "": anywhere (no service) */
	int64_t until;			/* end of the account; FOREVER: none (no service) */
};

struct host {
	int64_t id;
	char name[HOST_NAME_MAX_LEN + 1];
	char address[ADDRESS_MAX + 1];
	uint16_t port;
	char labels[LIST_MAX + 1], logins[LIST_MAX + 1];
	enum login_method method;
	char managed_key[USER_NAME_MAX + 1];
	char source_address[ADDRESS_MAX + 1];	/* for certificates; "": the configuration's */
};

struct access_role {
	int64_t id;
	char name[USER_NAME_MAX + 1];
	char hosts[LIST_MAX + 1];	/* patterns of names, and */
	char labels[LIST_MAX + 1];	/* labels; both given: both must hold */
	char logins[LIST_MAX + 1];
	unsigned caps;			/* enum capability */
	uint32_t max;			/* seconds of the longest grant */
	uint32_t approvals;		/* persons; 0: a request approves itself */
	char hours[HOURS_MAX + 1];	/* see access_hours(); "": always */
	char networks[LIST_MAX + 1];	/* "": from anywhere */
	bool ticket;			/* an outside ticket's number is required */
	bool sign;			/* approvals must be signed (consent.h) */
};

/* The states, as the store spells them. */
#define TICKET_LIST(T)                                                                    \
	T(PENDING, "pending") T(APPROVED, "approved") T(DENIED, "denied")                 \
	T(CANCELLED, "cancelled") T(EXPIRED, "expired") T(ACTIVE, "active")               \
	T(ENDED, "ended") T(REVOKED, "revoked")
enum ticket_state {
#define T(symbol, name) TICKET_##symbol,
	TICKET_LIST(T)
#undef T
	TICKET_STATES
};

enum ticket_act { ACT_APPROVE, ACT_DENY, ACT_CANCEL, ACT_LAPSE, ACT_USE, ACT_REVOKE, ACT_COUNT };

struct ticket {
	int64_t id;
	enum ticket_state state;
	int64_t user_id, by_id;		/* who profits; who asked (0: local root) */
	int64_t host_id, role_id;
	char login[LOGIN_MAX + 1];
	unsigned caps;
	uint32_t duration;		/* seconds asked for */
	uint32_t needed, given;		/* approvals */
	bool sign;			/* each with a signature */
	char reason[TEXT_MAX + 1], ref[TICKET_REF_MAX + 1];
	int64_t asked_at, lapse_at;	/* lapse_at: pending no longer than this */
	int64_t start_at, end_at;	/* the grant; 0, 0: none */
	char why[TEXT_MAX + 1];		/* the reason of the denial, revocation or cancellation */
	char closer[PERSON_MAX + 1];	/* who denied, revoked, cancelled */
	char role_hours[HOURS_MAX + 1];	/* of its role, as it stands now */
	char role_networks[LIST_MAX + 1];
};

/* "active"; "?" for a number that is no state. TICKET_STATES when the text names none. */
const char *ticket_state_name(enum ticket_state state);
enum ticket_state ticket_state_by_name(const char *text);
/* Where `act` leads from `state`, or TICKET_STATES: it is not allowed there. The only place that
 * says so. */
enum ticket_state ticket_next(enum ticket_state state, enum ticket_act act);
bool ticket_gives_access(enum ticket_state state);
/* NULL, or the text of the invariant that this ticket breaks: it must then be treated as absent. */
const char *access_broken(const struct ticket *t);

/* 0 when the name is none. */
unsigned cap_by_name(const char *name);
/* "shell exec" into out[size]; returns out. */
char *cap_names(char *out, size_t size, unsigned caps);

/* --- rules, each pure --- */

/* Is `word` one of the list's? */
bool list_has(const char *list, const char *word);
/* A host name against a pattern in which * stands for any characters. Linear in time. */
bool access_glob(const char *pattern, const char *name);
bool access_covers(const struct access_role *role, const struct host *host, const char *login);
/* "10.0.0.0/8", "::1": does it parse, has it no bits outside the mask? */
bool access_network_ok(const char *network);
/* Address (literal) in one of the list's networks; "" holds for any address. ::ffff:a.b.c.d counts
 * as a.b.c.d. */
bool access_from(const char *networks, const char *address);
/*
 * Hours, UTC: "mon-fri 08:00-18:00", several with commas. 00:00-24:00 is a whole day; an end before
 * the start runs into the next day. Returns the moment at which the allowed time that holds at
 * `now` ends: FOREVER for "" (always), 0: not allowed now, -1: the text is none of these.
 */
int64_t access_hours(const char *hours, int64_t now);

/* --- the decision --- */

struct access_ask {
	const struct user *user;
	const char *source;		/* the client's address, literal */
	const char *host_name, *login;
	const struct host *host;	/* NULL: not registered */
	unsigned caps;			/* all of these are needed; 0: any */
	int64_t now;
	const struct access_role *roles;	/* that the user is a member of */
	size_t nroles;
	const struct ticket *tickets;	/* of this user, host and login, as store_tickets() has them */
	size_t ntickets;
	const char *bastion;		/* goes after '@' in the command to run next */
};

struct access_answer {
	enum way_refusal refusal;	/* 0: yes */
	int64_t ticket;			/* that allows it */
	bool first;			/* it was never used: store_ticket_use() is due */
	int64_t until;			/* the earliest end: of the grant, the account, the hours */
	unsigned caps;
	char line[ACCESS_LINE_MAX];	/* refusal: what is missing, the command to run next; escaped */
};

/* Decides, and always fills *a. Default: no. */
void access_decide(const struct access_ask *q, struct access_answer *a);

/* May this user log in at all, from there, now? 0, or WAY_LOCKED / WAY_EXPIRED with the line for
 * the log. */
enum way_refusal access_user(const struct user *user, const char *source, int64_t now, char *line,
    size_t size);

/* The role that admits this request best (fewest approvals, then lowest number), or NULL with the
 * line for the user. */
struct request_ask {
	const struct user *user;	/* who profits */
	const char *source; /* "": asked at the bastion itself, networks are checked at login */
	const struct host *host;
	const char *host_name, *login;
	unsigned caps;			/* 0: all that the role has */
	uint32_t duration;
	const char *ref;
	int64_t now;
	const struct access_role *roles;
	size_t nroles;
	const char *bastion;
};
const struct access_role *access_request(const struct request_ask *q, char *line, size_t size);

#endif
