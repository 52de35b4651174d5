/*
 * account.h - an account that the bastion made at a target, for one user and the time of a grant: its states, what is due, and what
 * bastion-account(8) answers.
 *
 * Pure: no clock, no database, no allocation. Policy role; bastiond/policy_account.c loads rows (store_account.h), asks here, and acts.
 *
 *     grant begins ──▶ CREATING ── ok ──▶ THERE ⟲ the grant has another end
 *                         │                 │
 *                         │ grant over, user locked or gone, uid refused as used, see below
 *                         ▼                 ▼
 *                      REMOVING ◀───────────┘ ── gone ──▶ GONE
 *
 * CREATING is on disk before the target hears of it, and REMOVING stays until the target confirms: so whatever ends in between, the
 * target is asked again. What broke off as CREATING may be there: it goes the way of REMOVING, too. GONE is final, and so is its uid.
 *
 * A target's yes is good for logins for ACCOUNT_FRESH_S; then it is asked again, by the same `create`. One that others removed stays THERE,
 * with what the target said, and lets nobody in: making it again by ourselves would undo what an administrator did there. But that its uid was
 * used there is also what the target says when it removed the account by itself at its end, while here a grant goes on or begins at that very
 * moment: near the end that it confirmed, or with another end to be set, that row is over, and the next one has another uid.
 */
#ifndef BASTION_ACCOUNT_H
#define BASTION_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "names.h"

#define ACCOUNT_LINE_MAX 500
#define ACCOUNT_PAUSE 5		/* seconds after the first failure, doubled with each, */
#define ACCOUNT_PAUSE_MAX 300	/* up to this */
#define ACCOUNT_LEFT_S 3600	/* so long unremoved is an alarm */
#define ACCOUNT_FRESH_S 600	/* so long a login believes what the target confirmed: each question is a login of the bastion's there */
#define ACCOUNT_CLOCK_S 300	/* so far the target's clock may be from ours: bastion-account(8) has the same */
#define BASTION_ID_LEN 32	/* hexadecimal digits: whose account it is, for the target */

/* The states, as the store spells them. */
#define ACCOUNT_LIST(A) A(CREATING, "creating") A(THERE, "there") A(REMOVING, "removing") A(GONE, "gone")
enum account_state {
#define A(symbol, name) ACCOUNT_##symbol,
	ACCOUNT_LIST(A)
#undef A
	ACCOUNT_STATES
};

struct account {
	int64_t id, user_id, host_id;
	char name[USER_NAME_MAX + 1];
	int64_t uid;
	enum account_state state;
	int64_t expiry;		/* the end that the target confirmed, unix seconds; 0: none */
	int64_t checked;	/* and when it did so last */
	int64_t since;		/* in this state */
	int64_t next_at;	/* the target is not asked again before */
	unsigned tries;		/* that failed, in a row */
	bool told;		/* of a removal: the alarm was given */
	bool wasted;		/* its uid was refused as used before it was there */
	char line[ACCOUNT_LINE_MAX + 1];	/* why the last one failed; "" */
};

/* "there"; "?" for a number that is none. ACCOUNT_STATES when the text names none. */
const char *account_state_name(enum account_state state);
enum account_state account_state_by_name(const char *text);

/* Seconds until the next try, after so many failures. */
int64_t account_pause(unsigned failures);

enum account_act { ACCOUNT_REST, ACCOUNT_CREATE, ACCOUNT_REMOVE };
/*
 * What the target is to be asked now. until: the end of the grants that want the account, 0: none does. May move *a on to REMOVING,
 * which must be on disk before anything is asked. Pauses begin anew when the clock was set back.
 */
enum account_act account_due(struct account *a, int64_t until, int64_t now);
/* Is it there for a login until that time, as the target said a moment ago? */
bool account_ready(const struct account *a, int64_t until, int64_t now);
/* Is a removal that old, and nobody told yet? */
bool account_left(const struct account *a, int64_t now);

enum account_reply {
	REPLY_OK,	/* it is there, until the end that was asked for */
	REPLY_GONE,
	REPLY_USED,	/* the uid was used at the target before, and there is no account: another one is needed */
	REPLY_FOREIGN,	/* it is there, and another bastion's, or that of another database */
	REPLY_NO,	/* refused, failed, not understood */
};
struct account_answer {
	enum account_reply reply;
	int64_t used;				/* USED: the highest uid that was */
	char line[ACCOUNT_LINE_MAX + 1];	/* NO, FOREIGN: why, escaped */
};
/* The last line that bastion-account(8) printed; anything unexpected is NO. */
void account_parse(struct account_answer *r, const char *out, size_t len);
/* The line that asks, in the name of the bastion with that id. Its length, below size; 0: too long. */
size_t account_ask(char *out, size_t size, const struct account *a, enum account_act act, int64_t until, int64_t now, const char *bastion);
/* What the answer to `act` (asked with this `until`) makes of the account, in whatever state it is by now. True: its state is another one. */
bool account_take(struct account *a, enum account_act act, int64_t until, const struct account_answer *r, int64_t now);

#endif
