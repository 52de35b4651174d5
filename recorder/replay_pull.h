/*
 * replay_pull.h - a pull at work, for its parts: replay_pull.c and replay_sift.c. Part of bastion-replay.
 */
#ifndef BASTION_REPLAY_PULL_H
#define BASTION_REPLAY_PULL_H

#include "replay_bucket.h"

#define FETCHES 16		/* requests at once */
#define TOLD_MAX 20		/* objects of one kind that are named; the others are counted */

struct pull;

/* One version on its way into a file of its own. */
struct fetch {
	struct s3_request r;
	struct pull *p;
	struct object *o;		/* NULL: idle */
	unsigned k;			/* version: o->n - 1 is the oldest */
	unsigned tries;
	bool again;			/* to be asked for once more, */
	uint64_t again_ms;		/* not before */
	FILE *file;
	struct sha256 hash;
	uint64_t got;
};

struct pull {
	struct bucket b;
	struct objects objects;
	struct mirror mirror;
	const char *to;
	FILE *list;			/* the copy's file `pulled` */
	struct progress bar;
	size_t at;			/* next object, */
	unsigned k;			/* and how many of its versions are begun */
	size_t done, fetched, alarms, failed;
	bool stop;			/* the disk takes nothing more */
	struct fetch fetch[FETCHES];
};

void pull_complain(struct pull *p, const char *what, const char *why);
/* Where the object's file is; where another version of it is kept, the number-th, or with 0 what was set aside. 0 or -1 with errno. */
int pull_place(const struct pull *p, char out[REPLAY_PATH_MAX], const char *name);
int pull_place_other(const struct pull *p, char out[REPLAY_PATH_MAX], const struct object *o, unsigned number);

/* ---- replay_sift.c ---- */

/* When all is fetched: sets aside what cannot be what it is called, and makes of the rest the files that a store has. 0, or -1: said. */
int sift_pulled(struct pull *p, const struct args *a);

#endif
