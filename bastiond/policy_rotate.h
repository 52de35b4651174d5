/*
 * policy_rotate.h - the bastion's own keys at hosts that take no certificates: which one is lent now, and how they rotate. Role policy.
 *
 * What is under way is in the database (store_target_key.h); here each step is a task, and its outcome the next row.
 */
#ifndef BASTION_POLICY_ROTATE_H
#define BASTION_POLICY_ROTATE_H

#include "policy_task.h"
#include "store_target_key.h"

/* The key that this host takes for this login now, lent (policy_keys.h): its fingerprint in `lent`. `way`: for a session, which counts as use. */
uint32_t rotate_lend(struct policy *p, const struct host *h, const char *login, bool way, char lent[STORE_FPR_MAX + 1], int *agent, keys_answer *answer,
    void *arg);
/* control.rotate: a rotation is wanted, from now. 1; 0: one is under way, and goes on now; in line the other names of the machine, with
 * commas, that rotate with it. -1: why not in line. */
int rotate_want(void *arg, const struct host *h, const char *login, char *line, size_t size);
/* A way to a host is over: after use, perhaps. */
void rotate_way_over(struct policy *p, const struct host *h);
/* At each tick: steps that are due, and keys that are due. */
void rotate_tick(struct policy *p, uint64_t now_ms);
void rotate_finish(struct policy *p);

#endif
