/*
 * store_account.h - the rows of accounts at targets (account.h), and the counter of their uids. Policy role; results as in store.h.
 */
#ifndef BASTION_STORE_ACCOUNT_H
#define BASTION_STORE_ACCOUNT_H

#include "account.h"
#include "store.h"

/*
 * The next pair of user and host, behind that of *a, whose grants want an account: *a gets user, host and name, and the id of the account
 * that is there or on its way, 0: none. *until: when the last such grant ends, or the user. 1, 0: no more; -1.
 */
int store_account_wanted(struct store *s, int64_t now, struct account *a, int64_t *until);
/* The same for one pair. 1; 0: nobody wants it (any more), *until is 0; -1. */
int store_account_until(struct store *s, int64_t user_id, int64_t host_id, int64_t now, int64_t *until);

/*
 * Every row uses up a uid for good, and a user without approvals can end and begin a grant as often as they like. So a pair of user and host gets a
 * new row only after a pause that grows with its rows of the last hour; and a person, by whichever user and at all hosts together, at most `hourly`
 * rows an hour. Uids that the host refused as used do not count, but each of them doubles the pause, up to a day, while nobody waits for the account.
 */
enum account_hold { HOLD_NONE, HOLD_PAIR, HOLD_PERSON };
/* What keeps a new row from this user at this host, and until when. -1. */
int store_account_hold(struct store *s, const struct account *a, int hourly, int64_t now, bool waits, int64_t *at);
/*
 * CREATING, under the next uid from `low` to `high`, which no account had before or will have. Sets id and uid. In the caller's transaction, or
 * one of its own. errno ERANGE: the range is used up; EALREADY: store_account_hold() says until when there is none.
 */
int store_account_add(struct store *s, struct account *a, int64_t low, int64_t high, int hourly, int64_t now);
/* What this bastion is called at targets, made with the database. 0, -1. */
int store_bastion_id(struct store *s, char id[BASTION_ID_LEN + 1]);
/* The database is a backup that was restored: uids that were given after it was made, as far as that can be guessed, are passed over. */
int store_accounts_restored(struct store *s);
/* So many of the range are left. 0, -1. */
int store_account_room(struct store *s, int64_t low, int64_t high, int64_t *room);
/* All but user, host, name, uid. */
int store_account_save(struct store *s, const struct account *a);
/*
 * The next that waits for its target, or whose end has come, behind `*at` and `*after`, which are moved on: in the order of next_at, and of
 * numbers where that is the same. 1, 0, -1.
 */
int store_account_due(struct store *s, int64_t now, int64_t *at, int64_t *after, struct account *a);
/* The next that is not gone, with a number over `after`; this one; the one of this user at this host that is not gone. 1, 0, -1. */
int store_account_next(struct store *s, int64_t after, struct account *a);
int store_account(struct store *s, int64_t id, struct account *a);
int store_account_of(struct store *s, int64_t user_id, int64_t host_id, struct account *a);

#endif
