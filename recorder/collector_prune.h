/*
 * collector_prune.h - retention: what has been closed for longer than it is removed, a little at a time; nothing else ever is.
 *
 * Runs in bastion-collectord, in a timer of its own. The way of a recording out of the store:
 *
 *   look        closed, older than the retention by the bastion's clock and by that of its files, no hold, not in use; or never closed
 *               (its bastion died for good), and 30 days older than that by its last signed frame
 *   the leaf    PRUNE or LAPSE (tlog_act.h) into the journal and the log of recordings, durable, with a checkpoint over it
 *   the marker  DAY/ID.pruned beside the recording's directory: which leaf that is, and how the recording ended (collector_apply.c).
 *               It stays: so the recording is not taken in again from another collector
 *   removal     when leaf and marker are synced, the files go, some at a time, the first segment last; then the directory
 *
 * After a crash the journal's replay brings leaf and marker back, and the next look finds the marker and goes on. A marker
 * whose leaf is not in the log removes nothing. What the journal still has of a recording whose marker is there is passed over.
 *
 * Time is believed if two clocks agree: this machine's must not be before the newest checkpoint, nor more than a day after the newest
 * header that a bastion signed while this process ran. One that is itself more than a day after this machine's does not count.
 */
#ifndef BASTION_COLLECTOR_PRUNE_H
#define BASTION_COLLECTOR_PRUNE_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>

#define PRUNE_EVERY_MS 3600000ULL	/* from the end of a look through the store to the next */
/* what is done at once, since no session is acknowledged meanwhile: */
#define PRUNE_NAMES 64			/* names gone over, */
#define PRUNE_LOOKS 1			/* recordings that are read, or whose removal begins, */
#define PRUNE_UNLINKS 64		/* files of one that are removed */
#define PRUNE_PAUSE_MS 50		/* between two steps of a look or a removal */
#define PRUNE_CLOCK_US 86400000000LL	/* this machine's clock may be so far after a bastion's */
#define PRUNE_PATH_LEN 64		/* "2026-11-22/<hex id>.pruned" */

struct store;
struct rec;

struct pruner {
	uint32_t days;			/* the retention; 0: only what was begun before is gone on with */
	DIR *top, *day;			/* where the look stands; top NULL: it rests */
	char day_name[11];
	uint64_t next_ms;		/* when the next one begins, by clock_mono_ms */
	int64_t heard_us;		/* newest wall clock in a header that was taken; 0: none yet */
	char removing[PRUNE_PATH_LEN];	/* the directory whose files are going; "": none */
	bool again;			/* there is more to do than this look did: another one follows at once */
	bool unsynced;			/* a marker may not be durable yet: nothing is removed */
	uint64_t turn;			/* store.turns when the last marker came */
	bool told;			/* that the clock is not believed */
	/* is a copy of this recording, which closed or not, where it must be? NULL: there is no such place */
	bool (*archived)(void *ctx, struct store *s, const struct rec *r, bool closed);
	void *ctx;
	uint64_t pruned;		/* leaves since the start */
};

/* One step, at now_us of the wall clock. True: another one is due in PRUNE_PAUSE_MS. Errors are logged, and mean that the recording stays. */
bool prune_step(struct store *s, int64_t now_us);
/* A header was taken at now_us that says this time. It counts if it is not too far after that. */
void prune_heard(struct store *s, int64_t wall_us, int64_t now_us);
void prune_finish(struct store *s);

#endif
