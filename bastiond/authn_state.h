/*
 * authn_state.h - who the client is, as a pure state machine (doc/ARCHITECTURE.md, the way of a connection, 2).
 *
 * libssh enforces no authentication policy: it hands over whatever the client sends, in any order and under any
 * name. This machine is what decides. session_authn.c feeds it and does what it says; it does no I/O itself.
 *
 *              none, password, …: refuse
 *      ┌─────┐ probe: ask          ┌──────┐ maybe: offer
 *   ──▶│ KEY │────────────────────▶│ASKED │──────────────▶ KEY
 *      └─────┘ signed: ask         └──────┘ partial ─────▶ PROVEN      yes ─▶ DONE
 *         ▲                           │ no: hold
 *         │ floor reached: refuse   ┌─▼──┐
 *         └─────────────────────────│HELD│◀──────────────┐ no: hold
 *      ┌──────┐◀──(key was proven)──└────┘               │
 *      │PROVEN│ keyboard-interactive: start  ┌──────┐ prompt ┌────────┐
 *      └──────┘─────────────────────────────▶│FACTOR│───────▶│PROMPTED│
 *                                            └──────┘◀───────└────────┘ answers; a new request: abort, then as PROVEN
 *                                               │ yes ─▶ DONE
 * Any name but the first, or what has no place: DEAD. Barred (a key is proven, and its user may not come in): HELD, and at the floor DEAD,
 * with the line that policy has for that user. One failure too many: the same, with a line that is the same for everybody.
 */
#ifndef BASTION_AUTHN_STATE_H
#define BASTION_AUTHN_STATE_H

#include <stdbool.h>

#define AUTHN_NONES_MAX 16 /* a client needs one; each is worth an answer that it may not read */

enum authn_state {
	AUTHN_KEY,	/* waits for a request; no key is proven */
	AUTHN_ASKED,	/* policy decides on a key */
	AUTHN_PROVEN,	/* a key is proven; waits for keyboard-interactive */
	AUTHN_FACTOR,	/* PAM works */
	AUTHN_PROMPTED,	/* the client owes answers */
	AUTHN_HELD,	/* a refusal waits for the floor of time */
	AUTHN_DONE,
	AUTHN_DEAD,
	AUTHN_STATES
};

enum authn_event {
	/* from the client */
	AUTHN_EV_NONE, AUTHN_EV_PROBE, AUTHN_EV_SIGNED, AUTHN_EV_KBDINT, AUTHN_EV_ANSWERS, AUTHN_EV_OTHER,
	AUTHN_EV_RENAME,	/* any request under another name than the first */
	/* from policy */
	AUTHN_EV_NO, AUTHN_EV_MAYBE, AUTHN_EV_PARTIAL, AUTHN_EV_YES, AUTHN_EV_PROMPT, AUTHN_EV_BARRED,
	/* from the clock */
	AUTHN_EV_FLOOR,
	AUTHN_EVENTS
};

enum authn_action {
	AUTHN_IGNORE,		/* nothing to say */
	AUTHN_REFUSE,		/* SSH_MSG_USERAUTH_FAILURE with the methods that can go on */
	AUTHN_HOLD,		/* keep the request: what becomes of it is said when the floor of time is reached */
	AUTHN_ASK_KEY,		/* AUTH_KEY to policy */
	AUTHN_OFFER,		/* SSH_MSG_USERAUTH_PK_OK */
	AUTHN_GO_ON,		/* failure with partial success: keyboard-interactive is owed */
	AUTHN_START,		/* AUTH_FACTOR to policy */
	AUTHN_ABORT_START,	/* AUTH_ABORT, then AUTH_FACTOR */
	AUTHN_ABORT_REFUSE,	/* AUTH_ABORT, then as HOLD */
	AUTHN_ABORT_ASK_KEY,	/* AUTH_ABORT, the proven key is forgotten, then AUTH_KEY */
	AUTHN_SHOW,		/* SSH_MSG_USERAUTH_INFO_REQUEST */
	AUTHN_PASS_ANSWERS,	/* AUTH_ANSWER to policy */
	AUTHN_WELCOME,		/* SSH_MSG_USERAUTH_SUCCESS */
	AUTHN_LEAVE,		/* disconnect with the line of AUTH_BARRED */
	AUTHN_TOO_MANY,		/* disconnect and say that too much was refused */
	AUTHN_END		/* disconnect */
};

struct authn {
	enum authn_state state;
	bool proven;		/* a key of this user is proven: what HELD goes back to */
	bool signed_key;	/* the request that policy looks at carries a signature */
	bool barred;		/* what HELD goes to is the end, with a line */
	unsigned failures, max_failures;
	unsigned nones;		/* questions for the methods */
};

void authn_init(struct authn *a, unsigned max_failures);
/* Moves the machine on; what to do is returned. An event that is impossible in this state ends it (AUTHN_END). */
enum authn_action authn_step(struct authn *a, enum authn_event ev);
/* May a message be taken from the client now? While policy looks at a key, or a refusal is held, the next one waits. */
bool authn_listens(const struct authn *a);
const char *authn_state_name(enum authn_state state);

#endif
