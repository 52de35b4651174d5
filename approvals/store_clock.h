/*
 * store_clock.h - grants when the clock of the machine is set back (store_clock.c). Results as in store.h. Policy role.
 */
#ifndef BASTION_STORE_CLOCK_H
#define BASTION_STORE_CLOCK_H

#include "store.h"

/*
 * The clock showed `was`, and went back by `seconds`. Grants that were running are moved back by as much, so that each lasts as long as was granted;
 * those that begin later keep their time of the clock. Logins without a code (mfa_grace) are over. Moved back, too: the ages of the bastion's keys
 * at hosts and its looks at them, so that neither rotation nor the next look is put off; the approvals of all grants that have not ended, and
 * since when devices and networks are known, since these two are held against each other. Returns how many grants were moved, or -1.
 */
int store_clock_back(struct store *s, int64_t was, int64_t seconds);
/* The time of the newest event. 1; 0: there is none; -1. */
int store_clock_last(struct store *s, int64_t *at);

#endif
