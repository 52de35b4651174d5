/*
 * model.h - the crash model of the collector's store: what its system calls did, and how they are made to fail.
 *
 * model_calls.c stands between the store and the kernel (the linker's --wrap) in the process that works; model.c decides where it
 * dies, what of its writes survives, and compares what it had acknowledged with what the next start finds.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire.h"

#define MODEL_OPS_MAX 8192
#define MODEL_DATA_MAX (24U << 20)
#define MODEL_PATH_MAX 128
#define MODEL_RECORDINGS 4
#define MODEL_ENTRIES_MAX 400
#define MODEL_SEGMENTS_MAX 8
#define MODEL_WALL 1763800000000000LL

enum op_kind { OP_CREATE, OP_MKDIR, OP_TRUNCATE, OP_WRITE, OP_RENAME, OP_UNLINK, OP_SYNC };

/* A call that was begun. What a sync covers began before it; it counts only if it is done. */
struct op {
	enum op_kind kind;
	bool done;
	uint32_t end;			/* number of calls that had begun when it ended, if it is done */
	uint64_t acked[MODEL_RECORDINGS]; /* what had been acknowledged when it began */
	char path[MODEL_PATH_MAX];	/* below the store; of a sync: "" is everything, else this file or directory */
	char to[MODEL_PATH_MAX];	/* OP_RENAME */
	uint64_t at;			/* OP_WRITE: offset in the file, */
	size_t data, len;		/* and where the bytes are in the data */
	uint32_t before;		/* OP_SYNC: number of calls that had ended when it began */
};

enum fault {
	FAULT_NONE,
	FAULT_BEFORE,	/* dies instead of the call */
	FAULT_WITHIN,	/* a write is done in part, then it dies; another call: as FAULT_AFTER */
	FAULT_AFTER,
	FAULT_SHORT,	/* a write is done in part and says so; it lives */
	FAULT_EINTR,
	FAULT_ENOSPC,	/* this call and, for a while, each write after it */
	FAULT_EIO,
	FAULT_KINDS
};

/* Shared between the process that works and the one that judges. */
struct model {
	enum fault fault;
	uint32_t fault_at;		/* number of the call that it hits */
	uint32_t fault_span;		/* FAULT_ENOSPC: so many calls */
	uint32_t calls;			/* that changed something, so far */
	bool log;			/* keep them: a power cut is to be made of them */
	uint32_t nops;
	size_t ndata;
	bool overflow;
	uint32_t pruned;		/* recordings that the judge found pruned */
	uint64_t acked[MODEL_RECORDINGS]; /* entries acknowledged of each recording: 0 none, 1 its OPEN */
	struct op ops[MODEL_OPS_MAX];
	uint8_t data[MODEL_DATA_MAX];
};

/* One recording as its bastion sends it. */
struct film {
	uint8_t id[BREC_ID_LEN];
	struct sign_key *key;
	struct wire_entry entry[MODEL_ENTRIES_MAX];
	struct { uint8_t h[BREC_HASH_LEN]; uint32_t segment; uint64_t end; } after[MODEL_ENTRIES_MAX];
	size_t n;
	struct buf file[MODEL_SEGMENTS_MAX];	/* the segment files that must come of it */
	uint32_t segment;
	uint8_t h[BREC_HASH_LEN];
};

extern struct film films[MODEL_RECORDINGS];
/* Fills it with a new recording. Uses *seed. */
void film_make(struct film *f, uint64_t *seed);
/* How many of its first entries have a leaf in the log of recordings. */
uint64_t film_leaves(const struct film *f, uint64_t entries);
/* Ends with status 2. */
void model_die(const char *what);

extern struct model *model;
/* The calls of this process count from here on; paths below `top` are the store's. */
void model_watch(const char *top);

/*
 * The store below `to` as the disk may hold it after the power went when the first `upto` logged calls had begun: what a sync covered is there; of
 * the rest each sector of a write, whole or torn, each new name may or may not be. `from` is the state before the first logged
 * call. Uses *seed. 0 or -1 with errno.
 */
int model_power_cut(const struct model *m, uint32_t upto, const char *from, const char *to, uint64_t *seed);
/* xorshift64* */
uint64_t model_random(uint64_t *seed);

#endif
