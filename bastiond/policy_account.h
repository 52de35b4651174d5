/*
 * policy_account.h - accounts that the bastion makes at targets for the time of a grant (account.h). Role policy.
 */
#ifndef BASTION_POLICY_ACCOUNT_H
#define BASTION_POLICY_ACCOUNT_H

#include "policy.h"

#define ACCOUNT_WAIT_MS 45000	/* a way waits so long for its account */

/* Looks for what is due: makes rows for grants that begin, asks targets, tells of leftovers and of uids that run out. Each second. */
void accounts_tick(struct policy *p);
/*
 * Does this way, which is allowed, go to an account of the user's own that is not there yet, or that its host has not confirmed for a while?
 * True: it waits (WAY_ACCOUNT), and goes on by authz_checked() or ends by authz_refuse(). False with a line: there can be none now, the
 * caller refuses.
 */
bool account_holds_way(struct way *w, char *line, size_t size);
void accounts_finish(struct policy *p);

#endif
