/*
 * tlog_reader.h - a log of recordings, read and checked whole: does every checkpoint say what the leaves make?
 *
 * Runs in the auditor's tools, over a copy of a collector's log directory or over a live one. Hostile files end in a state,
 * never in a crash. One pass over all leaves.
 */
#ifndef BASTION_TLOG_READER_H
#define BASTION_TLOG_READER_H

#include "tlog_act.h"
#include "tlog_note.h"
#include "tlog_tree.h"

#define TLOG_READ_MAX (64U << 20)	/* leaves of a log that is read */
#define TLOG_KEPT_MAX (1U << 20)	/* kept checkpoints of a log that is read: one an hour, and its .cosigned, for 59 years */
#define TLOG_ACTS_MAX ((size_t)1 << 32)	/* bytes of prune leaves that are kept for their judgement */

enum tlog_state {
	TLOG_ABSENT,		/* there is none, or no collector's key to judge it by */
	TLOG_GOOD,		/* the newest checkpoint is signed by a trusted key, and the leaves make its root and that of the older ones */
	TLOG_FORGED,		/* leaves, tiles and checkpoints contradict each other, or something is gone */
	TLOG_UNVERIFIABLE,	/* the checkpoint does not decode or is not signed by a trusted key, or something cannot be read */
};

struct tlog_entry {
	uint8_t id[BREC_ID_LEN];	/* of the recording */
	uint8_t hash[HASH_LEN];		/* of the leaf */
	uint64_t index, seq;
	enum tlog_leaf_type type;
	uint16_t act_len;		/* of a prune leaf its bytes: log->acts.data + act */
	size_t act;
};

struct tlog_log {
	enum tlog_state state;
	char reason[256];		/* unless good: one line, safe to print */
	bool part;			/* a bundle's: these leaves are in the log, and what else is, nobody knows */
	char origin[TLOG_NAME_MAX + 1];
	uint64_t size;			/* of the newest checkpoint */
	uint8_t root[HASH_LEN];
	uint8_t key[KEY_LEN];		/* that signed it */
	unsigned kept;			/* older checkpoints by trusted keys: all agree */
	unsigned unread;		/* older ones that are no file, are too long or do not decode */
	struct tlog_entry *v;		/* n of them, by recording, then index */
	size_t n;
	struct buf acts;
};

/* Always fills *log, which tlog_log_finish empties. keys: the collectors to believe. */
void tlog_read(struct tlog_log *log, const char *dir, const uint8_t (*keys)[KEY_LEN], size_t nkeys);
void tlog_log_finish(struct tlog_log *log);
/* The leaves of a recording, in the log's order; *n may be 0. */
const struct tlog_entry *tlog_find(const struct tlog_log *log, const uint8_t id[BREC_ID_LEN], size_t *n);
/* "absent", "good", "forged", "unverifiable". */
const char *tlog_state_name(enum tlog_state state);

/* For what fills a log by other ways: the state and its reason, the first one stays; one leaf more; the order. */
void tlog_judge(struct tlog_log *log, enum tlog_state state, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int tlog_log_add(struct tlog_log *log, uint64_t index, const void *leaf, size_t len, const uint8_t hash[HASH_LEN]);
void tlog_log_sort(struct tlog_log *log);
/* Reads the newest checkpoint and sets origin, size, root, key; judges it. 0, or -1: judged. */
int tlog_log_checkpoint(struct tlog_log *log, const void *note, size_t len, const uint8_t (*keys)[KEY_LEN], size_t nkeys);
/*
 * A tile of the log in directory `dir`, or of its leaves: of that width, or the full one that came after it. To free(); NULL with errno: EBADMSG
 * or EFBIG for one that is longer than it may be.
 */
uint8_t *tlog_read_tile(int dir, int level, uint64_t n, unsigned width, size_t *len);
/* A small plain file below the directory `dir`, at most `max` bytes, to free(). NULL with errno. */
uint8_t *tlog_slurp(int dir, const char *name, size_t max, size_t *len);

#endif
