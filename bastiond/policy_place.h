/*
 * policy_place.h - one machine that is registered under several names: its managed keys are one another's business. Role policy.
 *
 * Each name has a key of its own at the machine once it rotated (store_target_key.h); the key that they began with is in one file there, and
 * must not go from it before none of them logs in with it.
 */
#ifndef BASTION_POLICY_PLACE_H
#define BASTION_POLICY_PLACE_H

#include "policy.h"
#include "store_target_key.h"

#define PLACE_MAX 16	/* other names of one machine; with more nothing is taken away there */

struct place {
	size_t n;
	bool more;		/* there are others that are not in the list */
	struct { int64_t host_id; char name[HOST_NAME_MAX_LEN + 1], managed[USER_NAME_MAX + 1]; } v[PLACE_MAX];
};

/*
 * The other registered hosts that are logged in to with managed keys as this login, too, and have this one's address and port, or a host key
 * in common with it (pinned, or announced and proved). 0, or -1: the store fails.
 */
int place_others(struct policy *p, const struct host *h, const char *login, struct place *pl);
bool place_has(const struct place *pl, int64_t host_id);
/* The fingerprint of the key that this host takes now: 1; 0: its managed key is not there; -1. */
int place_key(struct policy *p, int64_t host_id, const char *managed, const char *login, char out[STORE_FPR_MAX + 1]);
/* The name of the others that still logs in with this key; "": none does; NULL: that cannot be said. */
const char *place_keeps(struct policy *p, const struct place *pl, const char *login, const char *fingerprint);

/* Who was lent this key, or will be lent one: for a login that is under way, or one that is open. */
struct lent_to {
	const struct place *others;
	int64_t host_id;
	const char *login, *fingerprint;
	bool logging_in, open;
};

struct lent_to place_lent(struct policy *p, int64_t host_id, const char *login, const char *fingerprint, const struct place *others);
/* The public half of a key of keys/managed. */
bool managed_public(const struct policy *p, const char *name, struct host_key *k);

#endif
