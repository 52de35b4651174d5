/*
 * policy_clock.h - the clock of the machine, which may be set back (policy_clock.c). Role policy.
 */
#ifndef BASTION_POLICY_CLOCK_H
#define BASTION_POLICY_CLOCK_H

#include <stdbool.h>

struct policy;

/*
 * Before anything is decided or written: was it set back while nobody looked? Not asked beside another policy, which does look. 0, or
 * -1: the store failed.
 */
int clock_start(struct policy *p, bool beside);
/* Every second: was it set back since? */
void clock_tick(struct policy *p);

#endif
