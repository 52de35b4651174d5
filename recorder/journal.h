/*
 * journal.h - where the collector makes a group of frames durable: one write, one fdatasync,
 * whatever the number of recordings.
 *
 * Runs in bastion-collectord. Knows nothing of recordings: records are bytes. Two files, written
 * once with zeros and synced, so that a later fdatasync changes no metadata; they alternate, and a
 * file is begun anew only after the caller says that what its records stand for is durable
 * elsewhere.
 *
 * File (big-endian)
 *   0    8  magic "BRECJRNL"
 *   8    4  version, 1
 *   12   4  crc32c of bytes 16..31
 *   16   8  generation: one more with every file begun
 *   24   8  serial of its first record
 *   4096    groups, each beginning at a multiple of 4096, so that no sector with durable bytes is ever written again
 * Group: records one after the other
 *   0    4  length n of the payload, 1 to JOURNAL_RECORD_MAX
 *   4    4  crc32c of bytes 8..23 and the payload
 *   8    8  generation
 *   16   8  serial: one more than the record before
 *   24   n  payload
 * A record is valid if its crc holds and generation and serial are those expected. Replay reads
 * from 4096 on; where no valid record stands it tries the next multiple of 4096, and if there is
 * none either the file ends. A group that was being written when the power went is therefore cut at
 * its first torn record; the group after it cannot exist.
 */
#ifndef BASTION_JOURNAL_H
#define BASTION_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define JOURNAL_BLOCK 4096U
#define JOURNAL_RECORD_HEAD 24U
#define JOURNAL_RECORD_MAX (128U << 10)
#define JOURNAL_GROUP_MAX (2U << 20)		/* bytes of one group in memory */
#define JOURNAL_SIZE_MIN (4U << 20)
#define JOURNAL_SIZE_MAX (1U << 30)

struct journal {
	int dir;		/* borrowed */
	int fd[2];
	size_t size;		/* of each file */
	unsigned cur;		/* the file being written */
	uint64_t generation;	/* of that file */
	uint64_t serial;	/* of the next record */
	size_t pos;		/* where the next group goes */
	uint8_t *group;		/* JOURNAL_GROUP_MAX bytes, page aligned; */
	uint8_t *spare;		/* the group before this one */
	size_t group_len;
	uint64_t lost;		/* records that replay missed between the files: the medium lost them */
	bool begun;		/* the header of this generation is durable */
	bool failed;		/* a write or a sync failed: nothing is accepted any more */
};

/* Called for each valid record, oldest first. Non-zero stops the replay with that value. */
typedef int journal_replay_fn(void *ctx, const uint8_t *payload, size_t len);

/*
 * Opens or makes the two files "a" and "b" in directory `dir`, `size` bytes each, and makes them
 * durable. Files that are longer already stay so. 0, or -1 with errno (EWOULDBLOCK: another process
 * has them).
 */
int journal_open(struct journal *j, int dir, size_t size);
void journal_close(struct journal *j);

/*
 * All valid records of both files in order; *records counts them (may be NULL). 0, -1 with errno,
 * or what fn returned.
 */
int journal_replay(struct journal *j, journal_replay_fn *fn, void *ctx, uint64_t *records);
/*
 * After everything replayed is durable elsewhere: begins a new generation in the file with the
 * older one. 0, or -1 with errno.
 */
int journal_begin(struct journal *j);

/*
 * Adds a record, from pieces, to the group in memory. Returns its payload there, valid until the
 * group after the next is begun (two groups of memory take turns); NULL with errno
 * ENOBUFS: the group is full, write and sync it first; ENOSPC: the file is full, sync and turn
 * first; EIO: failed before.
 */
const uint8_t *journal_add(struct journal *j, const struct iovec *piece, size_t n);
static inline bool journal_pending(const struct journal *j) { return j->group_len != 0; }
/* Has the group to be written before a record of the largest size fits? */
bool journal_group_full(const struct journal *j);

/*
 * Writes the group; durable when it returns 0. -1 with errno: failed for good; no record of the
 * group may be acknowledged.
 */
int journal_sync(struct journal *j);
/* Goes on in the other file, whose records must not be needed any more. No group may be pending. */
int journal_turn(struct journal *j);
/* Bytes left for groups in this file. */
size_t journal_left(const struct journal *j);

#endif
