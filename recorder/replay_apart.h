/*
 * replay_apart.h - `bastion-replay events --apart DIR`: the store of the collectors for break-glass, held against the list of events.
 *
 * A recording there names the last event that its bastion had when it opened (bastion-record(5)); the event break-glass.store names the
 * recording. Each has to be found by the other, in stores that have nothing to do with each other: so neither can lose or change what
 * the other has seen. What is wrong goes to standard error.
 */
#ifndef BASTION_REPLAY_APART_H
#define BASTION_REPLAY_APART_H

#include "replay_ways.h"

struct apart_recording {
	char id[2 * BREC_ID_LEN + 1], log[2 * BREC_ID_LEN + 1];	/* log: of which list its event is */
	int64_t number;			/* of that event, */
	uint8_t hash[EVENT_HASH_LEN];
	bool young;			/* no collector may have pruned its event yet */
	bool met, named;		/* its event came, with that hash; an event names it */
};

struct apart {
	const char *dir;		/* NULL: nothing is compared */
	struct apart_recording *v;	/* by number */
	size_t n;
	struct logs logs;		/* of that store: what was removed there in its time is not missing */
};

/* Reads and verifies all recordings of x->dir; their metadata are for `ways`. How many faults, or -1: said on standard error. */
int64_t apart_open(struct apart *x, const char *dir, const struct age_identities *ids, const struct trust *trust, struct ways *ways);
/* An event of that list. How many faults it shows. */
int64_t apart_event(struct apart *x, const char *log, const struct event_row *e, const uint8_t hash[EVENT_HASH_LEN]);
/* All events came: which recordings found nothing? */
int64_t apart_conclude(const struct apart *x);
/* Zeros are fine. */
void apart_finish(struct apart *x);

#endif
