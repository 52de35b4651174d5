/*
 * replay_ways.h - `bastion-replay events`: what the recordings of sessions say of themselves, held against the list of events.
 *
 * A recording is made by the process that serves the user; the event way.up, which names the recording and the SHA-256 of its metadata,
 * by the one that decided (bastion-record(5)). A session that was taken over can write what it likes into a recording, and cannot write
 * that event: so it can neither make one in another's name nor change the grant, the host or the approvals that its own one names.
 * What is wrong goes to standard error.
 */
#ifndef BASTION_REPLAY_WAYS_H
#define BASTION_REPLAY_WAYS_H

#include "replay.h"

struct way_recording {
	char id[2 * BREC_ID_LEN + 1];
	bool readable;			/* the identity opens it */
	bool described;			/* it has metadata, */
	uint8_t meta[HASH_LEN];		/* with this hash */
	int64_t at;			/* unix s of its first header, which is the recorder's */
	bool named;			/* an event names it */
};

struct ways {
	const char *store;
	struct way_recording *v;	/* by id, once ways_ready was called */
	size_t n, cap;
	uint64_t absent;		/* named, and neither here nor removed in their time */
	uint64_t plain;			/* events of a bastion that did not say the metadata's hash yet */
	int64_t first_at;		/* unix s of the first event that says one; 0: none yet */
	int64_t last_at;		/* of the last event */
	struct logs logs;
};

/* A recording that is not of events, as scan_recording left it; a null `s` is one that it could not read. 0, or -1 with errno. */
int ways_add(struct ways *x, const struct recording *rec, const struct scan *s);
/* All were added. */
void ways_ready(struct ways *x);
/* An event. How many faults it shows. */
int64_t ways_event(struct ways *x, const struct event_row *e);
/* All events came: which recordings found none? */
int64_t ways_conclude(const struct ways *x);
/* Zeros are fine. */
void ways_finish(struct ways *x);

#endif
