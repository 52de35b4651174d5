/*
 * replay_ways.h - `bastion-replay events`: what the recordings of sessions say of themselves, held against the list of events.
 *
 * A recording is made by the process that serves the user; the event way.up, which names the recording and the SHA-256 of its metadata,
 * by the one that decided (bastion-record(5)). A session that was taken over can write what it likes into a recording, and cannot write
 * that event: so it can neither make one in another's name nor change the grant, the host or the approvals that its own one names.
 * The other way round, way.down says that something was recorded: what a collector then lost, with its place in the log, is missed here.
 * That is the session's own word: of one that was killed, or that was taken over, what is not here is only named.
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
	bool silent;			/* nothing is in it, or nothing can be read: it says nothing of itself */
	char *log;			/* it says that it is of events of this list; NULL: of a session */
	bool counts;			/* its events are in the lists */
	bool named;			/* an event names it */
	int64_t at;			/* unix s of its first header, which is the recorder's */
};

/* A list of events: of one bastion. */
struct ways_list {
	char log[2 * BREC_ID_LEN + 1];
	int64_t from, to;		/* unix s: in this time each recording has its event; 0, 0: no event came */
};

/* A time, unix s, whose events were removed when their retention was over. */
struct ways_gap {
	size_t list;
	int64_t from, to;
};

/* Who signs what. */
struct ways_signer {
	uint8_t key[HASH_LEN];
	size_t list;
};

/* A way whose recording was not here. */
struct ways_absent {
	size_t list;
	int64_t way, event;
	int64_t down;			/* number of the event way.down; 0: none came */
	int64_t frames;			/* so many were written, as it says; -1: it does not say */
	bool here;			/* it came meanwhile */
	char id[2 * BREC_ID_LEN + 1];
};

struct ways {
	const char *stores[1 + REPLAY_ALSO_MAX]; /* whose recordings count; the first has the events */
	size_t nstores;
	struct way_recording *v;	/* by id, once ways_ready was called */
	size_t n;
	struct ways_list *lists;
	struct ways_signer *signers;
	struct ways_gap *gaps;
	struct ways_absent *absent;	/* by list, then way */
	size_t nlists, nsigners, ngaps, nabsent, list; /* list: the events are of this one */
	struct logs logs[1 + REPLAY_ALSO_MAX];	/* of the stores */
};

/*
 * A recording, as scan_recording left it; a null `s` is one that it could not read. log: it says that it is of events of this list, NULL: it does
 * not; counts: and those will come. 0, or -1 with errno.
 */
int ways_add(struct ways *x, const struct recording *rec, const struct scan *s, const char *log, bool counts);
/* All were added. */
void ways_ready(struct ways *x);
/* What follows is from a recording of this list of events, which this key signed. 0, or -1 with errno. */
int ways_begin(struct ways *x, const char *log, const uint8_t signer[HASH_LEN]);
/* Does the log of one of the stores say that this recording was removed when its retention was over? */
bool ways_pruned(struct ways *x, const char *id);
/* Between the event before and the one that comes next, others were removed so. 0, or -1 with errno. */
int ways_gap(struct ways *x);
/* An event, each once. How many faults it shows, or -1 with errno. */
int64_t ways_event(struct ways *x, const struct event_row *e);
/* All events came: which recordings found none, and which events no recording? The stores are looked through once more. */
int64_t ways_conclude(struct ways *x);
/* Zeros are fine. */
void ways_finish(struct ways *x);

#endif
