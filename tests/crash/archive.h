/*
 * archive.h - between the parts of the archiver's torture: archive.c lives and judges, archive_store.c makes what it lives on, archive_calls.c is what it
 * lives in.
 */
#ifndef CRASH_ARCHIVE_H
#define CRASH_ARCHIVE_H

#include "collector_archiver.h"

#define OBJECTS_MAX 4096
#define RECORDINGS 4
#define SEGMENTS 3	/* of each */

/* The object store, and what is counted: shared with the processes that are killed. */
struct shared {
	struct object { char key[S3_KEY_MAX]; uint8_t hash[HASH_LEN]; uint64_t puts; } object[OBJECTS_MAX];
	unsigned objects;
	char bad[512];			/* what must not be, and was */
	uint64_t versions, calls, lost, refused, beside, failed, others, doubts, alarms;
	unsigned leaves;		/* of the log */
	unsigned life;			/* calls of the newest one */
};

/* What becomes of the call `doom`: the process is killed at it, or it fails. A short one is a write of which half is done. */
enum fault { FAULT_KILL, FAULT_EIO, FAULT_ENOSPC, FAULT_SHORT, FAULTS };

extern struct shared *shared;
extern char dir[128];
/* Of this life: `fault` comes at call `doom` (0: never); does the store fail now and then, and is the first object of the log refused? */
extern unsigned call, doom;
extern enum fault fault;
extern bool trouble, first_refused;
/* Is the disk full? What the store never takes has this in its key, and this comes with each refusal. */
extern bool full;
extern const char *never;
extern void (*meanwhile)(void);
/* What comes, once, when it has nothing more to do. */
extern void (*later)(void);
extern uint64_t dice;

/* 0 to n - 1. */
unsigned roll(unsigned n);
struct object *object(const char *name);

void die(const char *what) __attribute__((noreturn));
void write_file(const char *path, const void *data, size_t len);
void rec_path(char path[200], unsigned i);
void make_store(void);
/* The log grows, as the collector makes it. */
void grow_log(unsigned more);

#endif
