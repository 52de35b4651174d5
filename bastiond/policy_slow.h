/*
 * policy_slow.h - hosts that did not answer the bastion's own tasks a while ago: these get fewer places (policy_task.h), so that nobody
 * waits for a host because of others. Private to the policy role.
 */
#ifndef BASTION_POLICY_SLOW_H
#define BASTION_POLICY_SLOW_H

#include "policy.h"
#include "task_values.h"

#define SLOW_AFTER_MS 3000	/* who fails sooner holds no place for long, */
#define SLOW_ANSWER_MS 10000	/* who answers later does, */
#define SLOW_MS 600000		/* and that is remembered for so long: longer than the longest pause between tries */

/*
 * What a task came to that ran for so many ms at this host. Any answer, a refusal, too, clears it, if it did not take too long. A failure of
 * the bastion's own is not to be told here.
 */
void slow_heard(struct policy *p, int64_t host_id, enum task_end end, uint64_t ms);
bool slow_is(const struct policy *p, int64_t host_id);
void slow_finish(struct policy *p);

#endif
