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
 *  I2  the end is the start and the asked duration, never later; the start is not before its time;
 *  I3  PENDING, DENIED, CANCELLED, EXPIRED have no grant: start and end are 0;
 *  I4  PENDING has fewer approvals than it needs, and a time at which it lapses;
 *  I5  no approval is by the person who asked or the person who profits (the store's schema holds this, and its check).
 */
#ifndef BASTION_ACCESS_H
#define BASTION_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "msg.h"
#include "names.h"

#define PERSON_MAX 64
#define TEXT_MAX 500		/* reason */
#define TICKET_REF_MAX 64	/* number of an outside ticket */
#define LIST_MAX 1024 /* bytes of a list: words that passed their grammar, one space between */
#define HOURS_MAX 128
#define ACCESS_LINE_MAX 1024	/* a line for the user */
#define ACCESS_TICKETS 64	/* tickets of one user, host and login that a decision looks at: STORE_PLACE_MAX */
#define FOREVER INT64_MAX
#define GLASS_MAX 3600		/* seconds of a break-glass grant */

#define COMMANDS_MAX 2048	/* bytes of a list of commands, a line each */
#define FORWARD_MAX (HOST_NAME_MAX_LEN + 6)	/* "db1:5432" */
#define RIGHTS_TEXT_MAX 4096	/* capabilities, forwards and commands as one text */

/*
 * What a grant may be used for. FORWARD is for the destinations that its list names, COMMAND for the
 * commands that its list names, to the byte. SCP is the old protocol of scp in both directions, which
 * SFTP_READ and SFTP_WRITE include, each in its own direction.
 */
#define CAP_LIST(C)                                                                       \
	C(SHELL, "shell", 1) C(EXEC, "exec", 2) C(SFTP_READ, "sftp-read", 4)              \
	C(SFTP_WRITE, "sftp-write", 16) C(SCP, "scp", 8) C(FORWARD, "forward", 32)        \
	C(COMMAND, "command", 64)
enum capability {
#define C(symbol, name, bit) CAP_##symbol = bit,
	CAP_LIST(C)
#undef C
	CAP_ALL = 127,
	CAP_USUAL = CAP_SHELL | CAP_EXEC | CAP_SFTP_READ | CAP_SFTP_WRITE
};

/* Where a host stands. */
#define ZONE_LIST "office test production cloud"
#define ZONE_WORD_MAX 16

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
	char zone[ZONE_WORD_MAX + 1];	/* one of ZONE_LIST; "": none */
	enum login_method method;
	char managed_key[USER_NAME_MAX + 1];
	char source_address[ADDRESS_MAX + 1];	/* for certificates; "": the configuration's */
};

/*
 * A rule. ALLOW: its members may ask. DENY: what it covers is refused to its members, or to everyone,
 * whatever else allows it: when it is asked for, at each login, and to what is open. GROUP: nothing by
 * itself; its members may approve where another role says so.
 */
enum rule_kind { RULE_ALLOW, RULE_DENY, RULE_GROUP };

struct access_role {
	int64_t id;
	enum rule_kind kind;
	char name[USER_NAME_MAX + 1];
	char hosts[LIST_MAX + 1];	/* patterns of names, */
	char labels[LIST_MAX + 1];	/* labels, */
	char zones[LIST_MAX + 1];	/* zones; what is given must all hold */
	char logins[LIST_MAX + 1];	/* "*": each that the host has */
	unsigned caps;			/* enum capability; of DENY: what is denied */
	char forwards[LIST_MAX + 1];	/* with FORWARD: "host:port", as the target resolves it */
	char commands[COMMANDS_MAX + 1]; /* with COMMAND: lines */
	uint32_t max;			/* seconds of the longest grant */
	uint32_t approvals;		/* persons; 0: a request approves itself */
	char hours[HOURS_MAX + 1];	/* see access_hours(); "": always */
	char networks[LIST_MAX + 1];	/* "": from anywhere */
	bool ticket;			/* an outside ticket's number is required */
	bool sign;			/* approvals must be signed (consent.h) */
	bool glass;			/* its members may break the glass (control_glass.c) */
	bool no_reason;			/* a request need not say why */
	bool everyone;			/* DENY: also for who is no member */
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
	char forwards[LIST_MAX + 1], commands[COMMANDS_MAX + 1];	/* as in struct access_role */
	uint32_t duration;		/* seconds asked for */
	uint32_t needed, given;		/* approvals */
	bool sign;			/* each with a signature */
	bool glass;			/* break-glass: at once, whatever the hours */
	int64_t not_before;		/* the grant starts no earlier; 0: at once */
	uint32_t logins, uses;		/* so many logins, 0: any; and how many there were */
	int64_t batch, extends;		/* filed with that request, prolongs that one; 0 */
	char reason[TEXT_MAX + 1], ref[TICKET_REF_MAX + 1];
	int64_t asked_at, lapse_at;	/* lapse_at: pending no longer than this */
	int64_t start_at, end_at, moved; /* the grant; 0, 0: none. moved: seconds by which both were moved back (store_clock.h) */
	char why[TEXT_MAX + 1];		/* the reason of the denial, revocation or cancellation */
	char closer[PERSON_MAX + 1];	/* who denied, revoked, cancelled */
	char role_hours[HOURS_MAX + 1];	/* of its role, as it stands now */
	char role_networks[LIST_MAX + 1];
};

/* "active"; "?" for a number that is no state. TICKET_STATES when the text names none. */
const char *ticket_state_name(enum ticket_state state);
enum ticket_state ticket_state_by_name(const char *text);
/* Where `act` leads from `state`, or TICKET_STATES: it is not allowed there. The only place that says so. */
enum ticket_state ticket_next(enum ticket_state state, enum ticket_act act);
bool ticket_gives_access(enum ticket_state state);
bool ticket_lets_in(const struct ticket *t, int64_t now);	/* begun, not ended, and with a login left */
/* NULL, or the text of the invariant that this ticket breaks: it must then be treated as absent. */
const char *access_broken(const struct ticket *t);

/* 0 when the name is none. "sftp" is both of its directions. */
unsigned cap_by_name(const char *name);
/* "shell exec" into out[size]; returns out. */
char *cap_names(char *out, size_t size, unsigned caps);

/* "exec", "forward db1:5432", "command uptime -p", with or without quotes around the command. */
struct cap {
	unsigned bits;
	const char *what;	/* inside the text; NULL: a capability without an argument */
	size_t len;
};
bool cap_parse(const char *text, struct cap *cap);
/* "db1:5432": a name, or 127.0.0.1, and a port. */
bool access_forward_ok(const char *text);

/* What a channel wants. It may: with one of the capabilities `any`, or if its command or destination
 * is named. All 0 and NULL: any use at all. */
struct access_use {
	unsigned any;
	const char *command, *forward;
};
bool access_may_use(const struct access_use *use, unsigned mask, const char *forwards, const char *commands);
/* Does the role allow all of these? `exec` includes each single command. */
bool access_rights_within(const struct access_role *role, unsigned mask, const char *forwards, const char *commands);
/* "shell", "forward db1:5432", "command uptime" with `between` between them, into out[size], cut if need be; returns out. */
char *access_rights_text(char *out, size_t size, unsigned mask, const char *forwards, const char *commands,
    const char *between);

/* --- rules, each pure --- */

/* Is `word` one of the list's? Is this line one of these lines? */
bool list_has(const char *list, const char *word);
bool lines_have(const char *lines, const char *line, size_t len);
/* A host name against a pattern in which * stands for any characters. Linear in time. */
bool access_glob(const char *pattern, const char *name);
/* By name, label, zone, and login (NULL: any), whatever the kind of the role. */
bool access_covers(const struct access_role *role, const struct host *host, const char *login);
/* The same, and it is one that allows. */
bool access_allows(const struct access_role *role, const struct host *host, const char *login);
/* "10.0.0.0/8", "::1": does it parse, has it no bits outside the mask? */
bool access_network_ok(const char *network);
#define NETWORK_TEXT_MAX 64	/* with its end */
/* "192.0.2.7", 24 → "192.0.2.0/24"; a scope is left out, ::ffff:a.b.c.d counts as a.b.c.d. False: it is no address. */
bool access_network_of(const char *address, unsigned bits4, unsigned bits6, char out[NETWORK_TEXT_MAX]);
/* Address (literal) in one of the list's networks; "" holds for any. A scope is left out, ::ffff:a.b.c.d counts as a.b.c.d. */
bool access_from(const char *networks, const char *address);
/*
 * Hours: "mon-fri 08:00-18:00", several with commas; then a blank and a time zone of the tz database,
 * or UTC. 00:00-24:00 is a whole day; an end before the start runs into the next day.
 */
bool access_hours_ok(const char *hours);	/* by its grammar */
bool access_hours_named(const char *hours);	/* does it name a zone? */
bool access_zone_known(const char *hours);	/* and with a zone that is there */
/* 1: `now` is inside, 0: not, -1: the text or its zone is none. *change: when that is next otherwise;
 * FOREVER. "" is always inside. */
int access_hours_in(const char *hours, int64_t now, int64_t *change);
/* The moment at which the allowed time that holds at `now` ends, FOREVER; 0: not allowed now; -1 as above. */
int64_t access_hours(const char *hours, int64_t now);

/* --- the decision --- */

struct access_ask {
	const struct user *user;
	const char *source;		/* the client's address, literal */
	const char *host_name, *login;
	const struct host *host;	/* NULL: not registered */
	struct access_use use;
	int64_t now;
	const struct access_role *roles;	/* of the user, and those that deny everyone */
	size_t nroles;
	const struct ticket *tickets;	/* of this user, host and login, as store_tickets() has them */
	size_t ntickets;
	int64_t only;			/* no ticket but this one counts; 0: all do */
	const struct access_more *more;	/* NULL: nothing */
	const char *bastion;		/* goes after '@' in the command to run next */
};

struct access_answer {
	enum way_refusal refusal;	/* 0: yes */
	int64_t ticket;			/* that allows it */
	int64_t role;			/* whose rule decided: of that ticket, or the one that denies; 0: none */
	int64_t until;	/* the earliest end: of the grant, the account, the hours; the start of a denial */
	unsigned caps;
	char ref[TICKET_REF_MAX + 1];	/* the outside ticket it rests on; "": none */
	unsigned reach;			/* of all tickets in force here: what a channel may come to need */
	bool glass;			/* break-glass: to be said */
	char line[ACCESS_LINE_MAX];	/* refusal: what is missing, the command to run next; escaped */
};

/* What a ticket that would do must have besides, as the caller knows. False: the next one is tried; why not is in line, for the user. */
struct access_more {
	bool (*fits)(void *arg, const struct ticket *t, const struct access_answer *a, char *line, size_t size);
	void *arg;
};

/* Decides, and always fills *a. Default: no. */
void access_decide(const struct access_ask *q, struct access_answer *a);

/* May this user log in at all, from there, now? 0, or WAY_LOCKED / WAY_EXPIRED with the line for the log. */
enum way_refusal access_user(const struct user *user, const char *source, int64_t now, char *line, size_t size);

/* The role that admits this request best (fewest approvals, then lowest number), or NULL with the
 * line for the user. */
struct request_ask {
	const struct user *user;	/* who profits */
	const char *source; /* "": asked at the bastion itself, networks are checked at login */
	const struct host *host;
	const char *host_name, *login;
	unsigned caps;			/* 0: all that the role has */
	const char *forwards, *commands;
	uint32_t duration;
	const char *ref, *reason;
	int64_t now;
	const struct access_role *roles;
	size_t nroles;
	const char *bastion;
};
const struct access_role *access_request(const struct request_ask *q, char *line, size_t size);
/* NULL, or what keeps this role from admitting the request, for the user. */
const char *access_role_says_no(const struct request_ask *q, const struct access_role *r, char *out, size_t size);

#endif
