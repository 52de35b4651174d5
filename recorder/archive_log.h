/*
 * archive_log.h - which files of the log of recordings go into the object store, and their bytes.
 *
 * Used by the collector's archiver. Below PREFIX/log/ lie the tiles and entry bundles of tlog_tile.h under their own paths, and
 * checkpoints as checkpoint.SIZE: a name always has the same bytes. The log is put up to one checkpoint after the other: first
 * all tiles that this one needs and the one before did not, then the checkpoint itself. So who finds a checkpoint in the
 * store finds its tree there.
 */
#ifndef BASTION_ARCHIVE_LOG_H
#define BASTION_ARCHIVE_LOG_H

#include "archive_plan.h"
#include "tlog_note.h"
#include "tlog_tile.h"

/* Items of the list that are no objects. */
#define ARCHIVE_LOG_DONE "checkpoint"	/* the newest checkpoint that is confirmed; its size: leaves */
#define ARCHIVE_LOG_BEGUN "begun"	/* there before anything is put: without it nothing of ours can be in the store */
#define ARCHIVE_LOG_RENEWING "renewing"	/* tiles are put again; size: leaves, when: since, until: so many tiles of it are done with */
#define ARCHIVE_LOG_RENEWED "renewed"	/* when: all tiles of then were put again since; size: leaves */
#define ARCHIVE_LOG_LIST_MAX (256 << 10) /* bytes of the list's file; then it is written anew, an item once */

/* Goes through the tiles that a tree of `to` leaves has and one of `from` had not, or had in part. Zeroed but for these two. */
struct archive_tiles {
	uint64_t from, to;
	int level;			/* of the next one; private, as is `n` */
	bool begun;
	uint64_t n;
};
/* The next tile: its level (TLOG_ENTRIES for a bundle), number and width. False at the end. */
bool archive_tiles_next(struct archive_tiles *t, int *level, uint64_t *n, unsigned *width);

/*
 * The bytes of a tile or bundle below `dir`, for free(); from the full one's file if the partial one is gone already. NULL with
 * errno; EBADMSG: the file is too short.
 */
uint8_t *archive_tile_load(int dir, int level, uint64_t n, unsigned width, size_t *len);
/*
 * The same, and what it says is what the files around it say: leaves have the hashes of their tile, a full tile has the root that stands in the
 * one above, and those that are not full have the root of the newest checkpoint. EBADMSG: not, so that one of these files is damaged.
 */
uint8_t *archive_tile_proven(int dir, int level, uint64_t n, unsigned width, size_t *len);
/* The checkpoint of that name. 1; 0: there is none; -1 with errno. */
int archive_log_checkpoint(int dir, const char *name, char note[TLOG_OWN_MAX], size_t *len, uint64_t *size);
/* The newest one, with the bytes that were kept, where that one was: what is put is the same also when another key has signed it since. */
int archive_log_newest(int dir, char note[TLOG_OWN_MAX], size_t *len, uint64_t *size);
/*
 * Is it time to put the log's tiles again? They belong to all recordings, also to those that close now, and a lock ends. So each is put again
 * before it would end earlier than the retention from then on. An eighth of that time is left for the putting itself.
 */
bool archive_log_renew_due(const struct archive_list *l, const struct archive_rules *rules, int64_t now);
/*
 * A checkpoint that was kept, a stamp or the lines of witnesses (checkpoint.SIZE, .tsr, .cosigned), of at most `size` leaves,
 * that the list has not: its name. 1; 0: none; -1 with errno. Stamps and lines are left alone while they are younger than a minute.
 */
int archive_log_kept(int dir, const struct archive_list *l, uint64_t size, int64_t now, char name[ARCHIVE_NAME_MAX + 1]);

#endif
