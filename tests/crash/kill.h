/*
 * kill.h - kill -9 at every system call: the real collector and the real recorder in one rig, one of them doomed.
 *
 * kill.c is the rig and its cycles, kill_doom.c the executioner, kill_feed.c the sessions (puppets: they know what they
 * were told), kill_check.c holds what they were told against what the collector's files hold. tests/crash/kills starts them by the dozen.
 */
#ifndef KILL_H
#define KILL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "brec.h"
#include "crypto_recid.h"
#include "ipc.h"

/* --- kill_doom.c: a process that dies when it is told --- */

enum moment {
	BEFORE,		/* instead of the call */
	WITHIN,		/* a write is done in part; of another call: AFTER */
	AFTER,		/* it is done, its result is not seen */
	BY_CLOCK,	/* any time */
	MOMENTS
};

#define LIFE_THREADS_MAX 8

struct doom {
	enum moment moment;
	uint32_t call;		/* number of the call, from 0 */
	uint32_t us;		/* BY_CLOCK: after so many µs; 0: not by itself. The owner's clock */
};

struct life {
	struct life *next;
	pid_t pid;
	bool over;
	int status;		/* then, as of waitpid */
	struct doom doom;
	uint32_t calls;		/* begun so far; not counted BY_CLOCK */
	int nr;			/* of the call that it died at; -1: of none */
	pid_t threads[LIFE_THREADS_MAX];
	size_t nthreads;
	pid_t awaited;		/* the thread whose call's end is the end */
};

/*
 * Forks and traces `body`. Its descriptors: 0, 1, as 2 `err`, and, as 3, `link` if it is not -1. *l is the caller's and stays until it is
 * over. The owner's death kills it. 0, or -1 with errno.
 */
int life_start(struct life *l, const struct doom *doom, int (*body)(void *ctx), void *ctx, int link, int err);
/* At SIGCHLD: stopped ones go on or die, dead ones are over. */
void lives_turn(void);
/* Is a call of this number one that moves bytes or changes files? */
bool kill_counted(uint64_t nr);
/* A thread stands before the call: it writes only some of its bytes, if it is a write. */
void kill_shorten(pid_t tid, uint64_t nr, uint64_t len);
uint64_t kill_random(uint64_t *seed);

#define KILL_NUMBERS_MAX 512	/* of system calls; what is beyond counts as the last */
/* Kills in each call, by its moment, as the inside of a JSON object. */
void kill_report(const uint32_t in[KILL_NUMBERS_MAX][BY_CLOCK]);
/* kill -9 now. */
void life_end(const struct life *l);
/* SIGTERM: a clean end. */
void life_stop(const struct life *l);

/* --- kill_feed.c: sessions --- */

#define FEEDS 4			/* policy, which hears whether the store is there, and sessions, of one recording each at a time */
#define FILMS_MAX 512		/* recordings that are not checked yet */

/* A recording, as its session knows it. */
struct film {
	uint8_t id[BREC_ID_LEN];
	uint64_t sent;			/* last sequence sent */
	uint64_t acked;			/* last sequence that it was told of: what must be there */
	bool opened, closed;		/* told so */
	bool used, over;		/* the place is taken; nothing more will come */
	uint64_t promised;		/* acked, and the others, at the last death: what the next check asks for */
	bool promised_open, promised_close, promised_all;
};

struct feed {
	struct ipc ipc;			/* fd -1: there is no link */
	uint32_t slot, way, epoch;
	uint8_t recid_key[RECID_KEY_LEN];
	struct film *film;		/* NULL: none is open */
	unsigned left;			/* frames to come before its close */
	bool closing;
};

struct feeds {
	struct feed feed[FEEDS];	/* by slot; REC_SLOT_POLICY records nothing */
	bool away;			/* the store is: nothing new is begun */
	struct film films[FILMS_MAX];
	uint64_t seed;
	uint64_t commits, frames, recordings; /* told of, sent, begun: since the start */
	char why[200];			/* what a session was told when it was refused; "": nothing */
};

/* New sessions for a new recorder: their links go to it over `parent`. 0 or -1. */
int feeds_start(struct feeds *f, struct ipc *parent);
/* The recorder is gone: what they were told stands. */
void feeds_end(struct feeds *f);
/* Reads and sends. 0; -1: a session was refused (why). */
int feeds_turn(struct feeds *f, struct feed *one);

/* --- kill_warm.c --- */

/* 0 or -1. */
int kill_warm(const char *cert, const char *key);

/* --- kill_check.c --- */

/* Memory that forks do not copy: what the rig writes into costs no page each time. Exits without memory. */
void *kill_room(size_t len);
/* The bytes of a frame's body follow from its recording and sequence. */
void kill_fill(uint8_t *body, size_t len, const uint8_t id[BREC_ID_LEN], uint64_t seq);
/*
 * Is what was promised of the recording in the store, byte for byte, in an unbroken chain? NULL, or a line. What stands there beyond the
 * promise may end in the middle of a frame; whole frames there must be right, too.
 */
const char *kill_check(const char *store, const struct film *f);

#endif
