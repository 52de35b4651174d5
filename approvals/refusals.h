/*
 * refusals.h - how many refusals of one user become events: a flood of them must not fill the database.
 *
 * Role policy; pure. Each user has a bucket: REFUSALS_BURST at once, then one in REFUSALS_EVERY seconds. What is over it is
 * counted, and the count is an event of its own (EVENT_LEFT_OUT), once a minute at most. Time is unix seconds; a clock that
 * goes back only makes nothing sooner.
 */
#ifndef BASTION_REFUSALS_H
#define BASTION_REFUSALS_H

#include <stdbool.h>
#include <stdint.h>

#define REFUSALS_BURST 100	/* a tool that tries each of a hundred hosts is seen as such */
#define REFUSALS_EVERY 5	/* seconds */
#define WRITES_BURST 512	/* of what one user's words write */
#define REFUSALS_TELL 60	/* seconds from the first that was left out to the event */
#define REFUSALS_USERS 256	/* with a bucket of their own; all others share one */

struct refusals_user {
	int64_t id;		/* of the user; REFUSALS_ROOT; REFUSALS_LOGINS; 0: free, or shared */
	unsigned tokens;
	int64_t filled;		/* when tokens were added last */
	int64_t since;		/* the first that was left out; 0: none is */
	uint64_t left_out;
};

#define REFUSALS_ROOT (-1)	/* root at the control socket */
/* Logins of this user with a proven key: a bucket of their own, since who stole the key must not dry up that of the owner's words. Of
 * such a number it is the user's. */
#define REFUSALS_LOGINS(user) (-1 - (user))

/* All zero: nobody was refused anything. */
struct refusals {
	struct refusals_user v[REFUSALS_USERS + 1]; /* the last: shared */
};

/* One more refusal of this user. True: it becomes an event; false: it was only counted. */
bool refusals_take(struct refusals *r, int64_t id, int64_t now);
/* Is the user over the bound, so that nothing more is looked at? Nothing is counted. */
bool refusals_over(struct refusals *r, int64_t id, int64_t now);
/*
 * A table of its own, for what a user's words write (control.c): WRITES_BURST at once, then one in REFUSALS_EVERY seconds. Takes n, or, if
 * there are not so many, none: false, and nothing is counted.
 */
bool refusals_spend(struct refusals *r, int64_t id, unsigned n, int64_t now);
/* Counts one more that was not looked at. */
void refusals_count(struct refusals *r, int64_t id, int64_t now);
/* A user whose count is due at `now` (FOREVER: any that has one). NULL: none. The caller writes the event, then tells: */
struct refusals_user *refusals_due(struct refusals *r, int64_t now);
void refusals_told(struct refusals_user *u);
/* When the next count is due; FOREVER. */
int64_t refusals_next(const struct refusals *r);

#endif
