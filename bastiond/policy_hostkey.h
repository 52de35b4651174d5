/*
 * policy_hostkey.h - what hosts say of their own keys, learned when a task is there; looks that are tasks for that alone. Role policy.
 */
#ifndef BASTION_POLICY_HOSTKEY_H
#define BASTION_POLICY_HOSTKEY_H

#include "policy_task.h"

/* Appends a host's pinned keys, all of them: list(str blob). 0; -1: it has none, or they do not fit. */
int hostkey_put_pins(struct policy *p, int64_t host_id, struct buf *body);
/* Every task's end comes by here, before its owner hears it. Notes what the host announced; pins nothing. */
void hostkey_learn(struct policy *p, const struct host *h, const struct task_result *r);
/* A look at the host as this login; one at a time for each host. 0: it runs, or ran already; -1: it cannot. */
int hostkey_look(struct policy *p, int64_t host_id, const char *login, bool background);
void looks_tick(struct policy *p, uint64_t now_ms); /* host_key_check */
void looks_finish(struct policy *p);
/* policy_wait.c: this host was looked at. */
void wait_looked(struct policy *p, int64_t host_id);

#endif
