/*
 * event_chain.h - the events of one bastion, put together from its recordings: is one missing, was
 * one changed?
 *
 * Runs in bastion-replay, after brec_verify.h has judged each recording and brec_read.h has opened it.
 * Pure. The rows come recording by recording, in the order of bastion-record(5), RECORDINGS OF EVENTS;
 * a bastion sends again what it does not know to have arrived, so the last ones may come twice.
 */
#ifndef BASTION_EVENT_CHAIN_H
#define BASTION_EVENT_CHAIN_H

#include <stdbool.h>

#include "crypto_event.h"

#define EVENT_CHAIN_MEMORY 65536	/* hashes kept, to compare what comes twice */

enum event_verdict {
	EVENT_NEXT,	/* the next one, and it follows from the one before */
	EVENT_TWICE,	/* it was there before, and is the same */
	EVENT_MISSING,	/* chain->missing and those after it, up to this one, are not there */
	EVENT_CHANGED,	/* its hash does not follow from the one before */
	EVENT_OTHER,	/* another event had this number before */
	EVENT_OLD,	/* it was there before, too long ago to be compared */
};

struct event_chain {
	int64_t next;		/* number that comes next; 0: nothing came yet */
	int64_t known;		/* the hashes of this number and of those up to next - 1 are kept, */
	uint8_t (*hash)[EVENT_HASH_LEN]; /* but for those overwritten since: of n at n % EVENT_CHAIN_MEMORY */
	int64_t missing;	/* EVENT_MISSING: the first */
};

/* 0, or -1 without memory. */
int event_chain_init(struct event_chain *c);
void event_chain_finish(struct event_chain *c);
/*
 * A recording begins behind event `number` (0: at the first), which has this hash. EVENT_NEXT, EVENT_TWICE;
 * EVENT_MISSING, EVENT_OTHER, EVENT_OLD. The first call says where the chain begins.
 */
enum event_verdict event_chain_begin(struct event_chain *c, int64_t number, const uint8_t hash[EVENT_HASH_LEN]);
/* An event of it. After a fault the chain goes on from what came. */
enum event_verdict event_chain_add(struct event_chain *c, const struct event_row *e,
    const uint8_t hash[EVENT_HASH_LEN]);
/* The hash of event `number`, or NULL: it is not kept. */
const uint8_t *event_chain_hash(const struct event_chain *c, int64_t number);

#endif
