/*
 * store_account.h - the rows of accounts at targets (account.h), and the counter of their uids. Policy role; results as in store.h.
 */
#ifndef BASTION_STORE_ACCOUNT_H
#define BASTION_STORE_ACCOUNT_H

#include "account.h"
#include "store.h"

/*
 * A grant that wants an account: of this user at this host, where there is none; struct account gets user, host and name.
 * *until: when the last such grant ends, or the user. 1, 0: none; -1.
 */
int store_account_missing(struct store *s, int64_t now, struct account *a, int64_t *until);
/* The same for a pair that has one. 1; 0: nobody wants it (any more), *until is 0; -1. */
int store_account_until(struct store *s, int64_t user_id, int64_t host_id, int64_t now, int64_t *until);
/*
 * CREATING, to be asked for after a pause if the last ones of the pair came to nothing; under the next uid from `low` to `high`, which no account had before or will have. Sets id and uid. In the caller's transaction, or
 * one of its own. errno ERANGE: the range is used up.
 */
int store_account_add(struct store *s, struct account *a, int64_t low, int64_t high, int64_t now);
/* The database is a backup that was restored: uids that were given after it was made, as far as that can be guessed, are passed over. */
int store_accounts_restored(struct store *s);
/* So many of the range are left. 0, -1. */
int store_account_room(struct store *s, int64_t low, int64_t high, int64_t *room);
/* All but user, host, name, uid. */
int store_account_save(struct store *s, const struct account *a);
/* The next that is not gone, with a number over `after`; this one; the one of this user at this host that is not gone. 1, 0, -1. */
int store_account_next(struct store *s, int64_t after, struct account *a);
int store_account(struct store *s, int64_t id, struct account *a);
int store_account_of(struct store *s, int64_t user_id, int64_t host_id, struct account *a);

#endif
