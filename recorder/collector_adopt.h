/*
 * collector_adopt.h - leaves for the recordings of a store that had no log of recordings yet.
 *
 * Runs in bastion-collectord, once, before the first checkpoint is signed.
 */
#ifndef BASTION_COLLECTOR_ADOPT_H
#define BASTION_COLLECTOR_ADOPT_H

#include "collector_store.h"

/*
 * Adds the leaves of every recording, in the order of their first headers' time, then id. What of a recording does not decode or
 * chain gets none. *count: the recordings. 0, or -1 with errno.
 */
int adopt_recordings(struct store *s, uint64_t *count);

#endif
