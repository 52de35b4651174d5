/*
 * tlog_writer.h - the log of recordings as it grows, in the files of C2SP tlog-tiles.
 *
 * Runs in bastion-collectord, below collector_store.c. Knows nothing of recordings or of the journal: leaves are bytes with
 * an index. It writes without syncing. Its promise after a crash rests on its caller:
 *
 *   - each leaf is durable in the journal, with its index, before it comes here;
 *   - before a part of the journal is given up, everything that came here is synced (tlog_writer_settle);
 *   - at the start the leaves of the journal come again: they are laid over whatever the files hold from there on.
 *
 * Files are written in the order bundles, tiles, checkpoint, each under another name first where something older would be
 * replaced; a full tile never changes. What a checkpoint says is never taken back: a log that has another root at the size of its
 * checkpoint, or fewer leaves, is refused at the start.
 */
#ifndef BASTION_TLOG_WRITER_H
#define BASTION_TLOG_WRITER_H

#include "tlog_leaf.h"
#include "tlog_note.h"
#include "tlog_tile.h"

#define TLOG_KEEP_SECONDS 3600		/* one checkpoint in so long is kept, as checkpoint.SIZE */
#define TLOG_BUNDLE_MAX (TLOG_TILE * (2 + TLOG_ACT_MAX))
#define TLOG_ADOPTING "adopting"	/* this file is there while the first leaves of an old store are written */

struct tlog_writer {
	int dir;			/* the log's directory; -1: none */
	const struct sign_key *key;	/* borrowed; NULL: nothing is published */
	char origin[TLOG_NAME_MAX + 1];
	uint64_t size;			/* leaves taken */
	uint64_t published;		/* in the newest checkpoint; UINT64_MAX: there is none */
	uint64_t on_disk[TLOG_LEVELS];	/* hashes of the level that are in files */
	bool based;			/* size says where the next leaf goes */
	uint64_t promised;		/* size of the checkpoint that was found, if has_promise, and */
	uint8_t promised_root[HASH_LEN];
	bool has_promise, kept_promise;
	uint64_t settling, cleaned;	/* size at the last settle; partial tiles below are removed */
	int64_t kept_at;		/* unix seconds of the last kept checkpoint */
	uint8_t tiles[TLOG_LEVELS][TLOG_TILE][HASH_LEN];	/* the right edge: (size >> 8 L) % 256 hashes of level L */
	uint8_t bundle[TLOG_BUNDLE_MAX];			/* the leaves of the last, partial bundle */
	size_t bundle_len;
	char why[256];			/* what was wrong, after a failure with EBADMSG */
};

/*
 * Looks at the log in `dir` (which is kept, and closed by finish) and at its checkpoint. `origin` is for a new log: one that is
 * there goes on with its own. 0, or -1 with errno.
 */
int tlog_writer_open(struct tlog_writer *w, int dir, const struct sign_key *key, const char *origin);
void tlog_writer_finish(struct tlog_writer *w);
/* Is there anything but an empty directory, or one in which the first leaves were not written to the end? 1, 0, -1 with errno. */
int tlog_writer_exists(const struct tlog_writer *w);
/*
 * Leaf `index`. The first after open says from where on leaves are given again: the files must hold those below. A leaf that is
 * there already is passed over. 0; -1 with errno: EBADMSG and w->why for a log that is not what was promised, else an error of the
 * file system; ENOSPC and EDQUOT: may be tried again.
 */
int tlog_writer_add(struct tlog_writer *w, uint64_t index, const uint8_t *leaf, size_t len);
/* After the last leaf that is given again, at the start: is everything there that was promised? 0, or -1 as above. */
int tlog_writer_check(struct tlog_writer *w);
/* Partial tiles and a signed checkpoint of all leaves so far; nothing if the newest says so already. 0, or -1 as above. */
/* Another key signs from here on: the newest checkpoint first, again. 0, or -1 with errno: the next one does. */
int tlog_writer_key(struct tlog_writer *w, const struct sign_key *key, int64_t wall_s);
int tlog_writer_publish(struct tlog_writer *w, int64_t wall_s);
/* Everything that was there at the settle before has become durable: partial tiles that full ones replaced are removed. */
void tlog_writer_settle(struct tlog_writer *w);

#endif
