/*
 * control.h - the command words, as the policy role carries them out (doc/PROTOCOL.control).
 *
 * Runs in the policy role, on the store; what must happen to live connections goes out through the
 * callbacks. One request is one transaction: the change, its event, and nothing of either when one
 * fails. Refusals are events too. Callbacks run after the commit. Nothing here blocks but the
 * database.
 */
#ifndef BASTION_CONTROL_H
#define BASTION_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "access.h"
#include "buf.h"
#include "refusals.h"
#include "store.h"

#define CONTROL_REQUEST_MAX 16384
#define CONTROL_REPLY_MAX (4U << 20)	/* bytes; a longer list is refused: ask for less */
#define CONTROL_LIMIT 100		/* rows, if the request names no limit */
#define CONTROL_LIMIT_MAX 1000
#define CONTROL_LATER_MAX (90LL * 86400)	/* seconds: a grant begins no later */
#define CONTROL_PENDING_TTL 86400	/* seconds: a request that nobody decides expires */

/* Whose live ways end. */
enum end_what {
	END_GRANT,	/* id: ticket */
	END_USER,	/* id: user; their connections too */
	END_DEVICE,	/* id: device; connections that logged in with it */
	END_CONNECTION,	/* id: struct connection.id */
	END_DENIED,	/* id: 1. Rules changed: each way that they do not allow any more */
};

/* What is known of an outside ticket. */
enum outside {
	OUTSIDE_UNKNOWN,	/* nobody could say */
	OUTSIDE_CLOSED,
	OUTSIDE_OPEN,
	OUTSIDE_ANY,		/* nobody is asked: it is a number, and as good as an open one */
};

struct actor;

struct control {
	struct store *store;
	const char *name;	/* of the bastion, as clients reach it: "bastion.example.org" */
	uint16_t port;
	void *arg;		/* handed to the callbacks */
	int64_t (*now)(void *arg);	/* unix seconds; NULL: clock_wall */
	/* End these ways now, each with this line for its user. Must not fail and must not call
	 * back. */
	void (*end)(void *arg, enum end_what what, int64_t id, const char *line);
	/* The authorized_keys line of key number i: 0 is the CA ("ca"), then the managed ones.
	 * NULL: there are no more. */
	const char *(*key_line)(void *arg, size_t i, const char **name);
	/* The bastion's own host key number i, "ssh-ed25519 AAAA…". NULL: there are no more. */
	const char *(*host_key)(void *arg, size_t i);
	/* What is known of this outside ticket from a check of the last moments; why in line, safe to show. NULL: tickets are not checked. */
	enum outside (*ticket)(void *arg, const char *ref, char *line, size_t size);
	/* Rows of the sources that are kept out: network, why, names, since, until; the caller's. NULL: there is no such list. */
	json_t *(*blocks)(void *arg);
	/* How many sources of this network are listed; if `now`, they are let in again. */
	int (*unblock)(void *arg, const char *network, bool now);
	/* The bastion's key at this host is to be another one: 1; 0: that is under way, and goes on now; -1: why not in line. In the
	 * word's transaction. NULL: no key rotates. */
	int (*rotate)(void *arg, const struct host *h, const char *login, char *line, size_t size);
	int64_t wait_for;	/* out of control_handle(): the reply is to wait until this request is open no more; 0: not */
	int64_t look_for;	/* the same: until this host was looked at, as look_login; 0: not */
	char look_login[LOGIN_MAX + 1];
	struct refusals refusals;	/* how many of them become events */
	struct refusals writes;		/* what is left of each user's budget of words that write */
	/* Prepares that `name` watches this connection; 0: not possible, and why in line. Nothing of
	 * it may be seen before watch_settle(done), which says whether the event is durable. NULL:
	 * nobody can watch. */
	uint32_t (*watch_new)(void *arg, const struct actor *who, const char *name,
	    int64_t connection, uint32_t terminal, char *line, size_t size);
	void (*watch_settle)(void *arg, uint32_t watch, bool done);
	/* The last event that the collectors acknowledged, and its hash as it was sent. False: none yet. NULL: unknown. */
	bool (*shipped)(void *arg, int64_t *number, uint8_t hash[EVENT_HASH_LEN]);
	/* Adds to a row of `sessions` what only the live connection and way (a row's number) know.
	 * NULL: nothing does. */
	void (*session_live)(void *arg, int64_t connection, int64_t way, json_t *row);
};

/* Who asks. */
struct actor {
	bool root;		/* uid 0 at the control socket: administers, but is no person */
	int64_t user_id;	/* if not root; read anew from the store for each request */
	bool local;		/* over the control socket: "" as source */
	char source[ADDRESS_MAX + 1];	/* client's address, literal */
};

/* Actor for a peer uid of the control socket: 1; 0: nobody's uid (refuse, with the line); -1. */
int control_actor(struct control *c, int64_t uid, struct actor *a, char *line, size_t size);

/*
 * Carries out one request, JSON of len bytes. Always appends one JSON reply to `out`, which may
 * grow to CONTROL_REPLY_MAX; bad requests and a failing store have theirs. -1 only when `out` could
 * not take any reply: drop the client. 1: turned away unread, because too much of this actor was
 * refused before (refusals.h); nothing can have changed.
 */
int control_handle(struct control *c, const struct actor *a, const void *request, size_t len,
    struct buf *out);

/* Was so much refused to this actor that control_handle() would turn the next word away unread? */
bool control_over(struct control *c, const struct actor *a);

/* Something else was refused to this user: does that become an event? If not it was counted. */
bool control_notes(struct control *c, int64_t user_id);
/* The same of a login, which says nothing of who is in: no word is turned away for it. */
bool control_notes_login(struct control *c, int64_t user_id);

/* The end: what was counted only becomes events now. */
void control_finish(struct control *c);

/* The path of word number i, "user key add"; NULL after the last. The test holds words_table
 * against it. */
const char *control_word(size_t i);

/* May this actor use the word now? No: why, in line. What runs on for longer asks again and again. */
bool control_may(struct control *c, const struct actor *a, const char *word, char *line,
    size_t size);

/*
 * Lets end what is over at `now`: pending requests, grants, accounts; calls c->end for what was live. Writes
 * the events of refusals that were only counted. Call
 * at start, when the time it returns (unix seconds) has come, and after each control_handle.
 * FOREVER: nothing is due. -1: the store failed, try again.
 */
int64_t control_tick(struct control *c, int64_t now);

/*
 * Does this request's word rest on an outside ticket, so that it must be checked before control_handle()? What the program
 * of ticket_check is told, the caller's, with the ticket in ref; NULL: no. *anew: by a check that begins now; else one that runs will do.
 */
json_t *control_outside(struct control *c, const struct actor *a, const void *request, size_t len,
    char ref[TICKET_REF_MAX + 1], bool *anew);
/* The ticket is closed, for this reason (safe to show): revokes the grants that rest on it, calls c->end. Their number, or -1. */
int control_outside_closed(struct control *c, const char *ref, const char *why);

/* Loads what access_decide needs, and decides: the whole answer to WAY_ASK, or (use) to CHAN_ASK. Never fails: a store
 * that fails is WAY_BROKEN. */
void control_way(struct control *c, int64_t user_id, const char *source, const char *host,
    const char *login, const struct access_use *use, struct access_answer *a, struct host *h);
/* As control_way(), with a further condition on the grant. only, if not 0: consider this grant alone; its login is counted already. */
void control_way_more(struct control *c, int64_t user_id, const char *source, const char *host, const char *login,
    const struct access_use *use, int64_t only, const struct access_more *more, struct access_answer *a, struct host *h);
/* For a way that is open, by this ticket alone. */
void control_way_again(struct control *c, int64_t user_id, const char *source, const char *host,
    const char *login, int64_t ticket, struct access_answer *a);

#endif
