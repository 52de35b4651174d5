/*
 * store_clock.h - grants when the clock of the machine is set back (store_clock.c). Results as in store.h. Policy role.
 */
#ifndef BASTION_STORE_CLOCK_H
#define BASTION_STORE_CLOCK_H

#include "store.h"

/*
 * The clock showed `was`, and shows `seconds` less now. What had been granted for an hour still is for an hour: all grants that had
 * begun by `was`, and have not ended, begin and end so much earlier by it; those that begin later are for that time of the clock. Logins
 * without a code (mfa_grace) are over. So much older are the bastion's keys at hosts and its looks at them: neither rotation nor the next look
 * is put off; and the approvals of all grants that have not ended, and what is known of devices and networks, which are held against each other.
 * How many grants were moved, or -1.
 */
int store_clock_back(struct store *s, int64_t was, int64_t seconds);
/* The time of the newest event. 1; 0: there is none; -1. */
int store_clock_last(struct store *s, int64_t *at);

#endif
