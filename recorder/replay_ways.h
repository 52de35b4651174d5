/*
 * replay_ways.h - `bastion-replay events`: what the recordings of sessions say of themselves, held against the list of events.
 *
 * A recording is made by the process that serves the user; the event way.up, which names the recording and the SHA-256 of its metadata,
 * by the one that decided (bastion-record(5)). A session that was taken over can write what it likes into a recording, and cannot write
 * that event: so it can neither make one in another's name nor change the grant, the host or the approvals that its own one names.
 * The other way round, way.down says that something was recorded: what a collector then lost, with its place in the log, is missed here.
 * What is wrong goes to standard error.
 */
#ifndef BASTION_REPLAY_WAYS_H
#define BASTION_REPLAY_WAYS_H

#include "replay.h"

struct way_recording {
	uint8_t id[BREC_ID_LEN];
	uint8_t signer[HASH_LEN];	/* its bastion's key */
	bool opens;			/* the identity opens it; */
	bool described;			/* its first event are metadata */
	uint8_t meta[HASH_LEN];		/* with this hash */
	bool events;			/* it is of events, and in the lists */
	bool named;			/* an event names it */
	int64_t at;			/* unix s of its first header, which is the recorder's */
};

/* A list of events: of one bastion. */
struct ways_list {
	char log[2 * BREC_ID_LEN + 1];
	int64_t from, to;		/* unix s: in this time each recording has its event; 0, 0: no event came */
};

/* Who signs what. */
struct ways_signer {
	uint8_t key[HASH_LEN];
	size_t list;
};

/* A way whose recording is not here. */
struct ways_absent {
	size_t list;
	int64_t way, event;
	char id[2 * BREC_ID_LEN + 1];
};

struct ways {
	const char *stores[1 + REPLAY_ALSO_MAX]; /* whose recordings count; the first has the events */
	size_t nstores;
	struct way_recording *v;	/* by id, once ways_ready was called */
	size_t n;
	struct ways_list *lists;
	struct ways_signer *signers;
	struct ways_absent *absent;	/* and never seen to have begun */
	size_t nlists, nsigners, nabsent, list; /* list: the events are of this one */
	struct logs logs[1 + REPLAY_ALSO_MAX];	/* of the stores */
};

/* A recording, as scan_recording left it; a null `s` is one that it could not read. events: it is one of events. 0, or -1 with errno. */
int ways_add(struct ways *x, const struct recording *rec, const struct scan *s, bool events);
/* All were added. */
void ways_ready(struct ways *x);
/* What follows is from a recording of this list of events, which this key signed. 0, or -1 with errno. */
int ways_begin(struct ways *x, const char *log, const uint8_t signer[HASH_LEN]);
/* An event, each once. How many faults it shows, or -1 with errno. */
int64_t ways_event(struct ways *x, const struct event_row *e);
/* All events came: which recordings found none? */
int64_t ways_conclude(const struct ways *x);
/* Zeros are fine. */
void ways_finish(struct ways *x);

#endif
