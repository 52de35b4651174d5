/*
 * replay_pull.h - a pull at work, for its parts: replay_pull.c, replay_fit.c, replay_versions.c, replay_tree.c and replay_sift.c. Part of
 * bastion-replay.
 */
#ifndef BASTION_REPLAY_PULL_H
#define BASTION_REPLAY_PULL_H

#include "replay_bucket.h"
#include "tlog_note.h"

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
	struct days days;		/* whose recordings are pulled */
	const char *to;
	const struct trust *trust;	/* NULL: it is not known who is to be believed */
	char origin[TLOG_NAME_MAX + 1];	/* of the log, once all of it is here; "": not known */
	FILE *list;			/* the copy's file `pulled` */
	struct progress bar;
	size_t at, end;			/* next object, up to there for now, */
	unsigned k;			/* and how many of its versions are begun */
	size_t done, fetched, alarms, failed;
	bool stop;			/* the disk takes nothing more */
	struct fetch fetch[FETCHES];
};

void pull_complain(struct pull *p, const char *what, const char *why);
/* Where the object's file is; where another version of it is kept, the number-th, or with 0 what was set aside. 0 or -1 with errno. */
int pull_place(const struct pull *p, char out[REPLAY_PATH_MAX], const char *name);
int pull_place_other(const struct pull *p, char out[REPLAY_PATH_MAX], const struct object *o, unsigned number);
/* Version k of it, on its way: while the object is pending, or its versions are compared. */
int pull_place_part(const struct pull *p, char out[REPLAY_PATH_MAX], const struct object *o, unsigned k);

/* ---- replay_fit.c ---- */

/* Can a file be what the object is called? Proven: somebody who is believed signed it, or its name has its hash. */
enum fit { FIT_NOT, FIT_MAY, FIT_PROVEN };
/* *vouched: of a segment, the bytes up to the last signature of its bastion; of others 0. */
enum fit fit_file(const struct pull *p, const struct object *o, const char *path, size_t *vouched);
/* Is it a checkpoint of so many leaves, by a collector that is believed if it is known who is? *c: what it says, but for pointers. */
bool fit_checkpoint(struct tlog_checkpoint *c, const struct pull *p, const char *path, uint64_t size);
/* The segment's number, and how much of the name is its recording's; -1: it is none. */
int64_t fit_segment_number(const struct object *o, size_t *len);
/* How many leaves the object's name gives the log; *end: what is behind that ("", ".cosigned", ".tsr"). False: it is no checkpoint's. */
bool fit_checkpoint_size(const struct object *o, uint64_t *size, const char **end);

/* A tile or bundle of the log by its object's name. False: it is none. */
struct tile_name {
	int level;			/* TLOG_ENTRIES: a bundle */
	uint64_t n;
	unsigned width;
};
bool fit_tile_name(struct tile_name *t, const struct object *o);

/* ---- replay_versions.c ---- */

/* All versions are here: one is taken, or the object waits for the log's others. */
void versions_arrived(struct pull *p, struct object *o);
/* The oldest that can be what it is called, rather one that is proven. *best: what it is. */
unsigned versions_best(const struct pull *p, const struct object *o, enum fit *best);
/* Version k is taken, which fits so well: it becomes the file, others are gone or evidence beside it, and said. */
void versions_settle(struct pull *p, struct object *o, unsigned k, enum fit best);

/* ---- replay_tree.c ---- */

/* Settles the pending tiles: those are taken that the tree of that checkpoint has. */
void tree_settle(struct pull *p, uint64_t size, const uint8_t root[HASH_LEN]);

/* ---- replay_sift.c ---- */

/* When all of the log is here: which is its newest checkpoint; what is pending is settled. 0, or -1: said. */
int sift_log(struct pull *p);
/* When all is here: sets aside what is behind a recording's end, and makes the files that the bucket has in parts. 0, or -1: said. */
int sift_recordings(struct pull *p);
/* It stays beside its name, as evidence. */
void sift_aside(struct pull *p, struct object *o, const char *why);

#endif
