/*
 * collector_store.h - what the collector knows of recordings, and how their bytes get into files.
 *
 * Runs in bastion-collectord; knows nothing of connections. The way of an entry:
 *
 *   store_entry      is it the next one, and does its chain value hold? Then into the journal's group, in memory
 *   store_commit     the group becomes durable (journal.h). From here on it may be acknowledged
 *   store_write_out  its leaves into the log of recordings (tlog_writer.h), with a new checkpoint; then the same bytes
 *                    into the segment files, after the acknowledgement has left; without fsync
 *   store_act        what is done with a recording that is there, as an entry of its own: it is pruned, held, released
 *   store_turn       when a journal file is full or old: the other one is begun, while another thread syncs
 *                    the segment files that this one covers
 *
 * So a segment file never holds a byte that is not durable in the journal, and a journal record is
 * never overwritten before its bytes are durable in the segment file. After a crash store_open()
 * replays. The leaf of an OPEN, SEAL or END is part of that entry's journal record, with its index in
 * the log: it costs no flush of its own, and the log is the same one after any crash.
 */
#ifndef BASTION_COLLECTOR_STORE_H
#define BASTION_COLLECTOR_STORE_H

#include <sys/queue.h>

#include "collector_known.h"
#include "collector_prune.h"
#include "collector_sync.h"
#include "journal.h"
#include "tlog_writer.h"
#include "wire.h"
#include "wire_receipt.h"
#include "wire_tls.h"

#define STORE_BUCKETS 4096
#define STORE_OUT_MAX 32768		/* entries of one group */
#define STORE_CONFLICTS_MAX 16		/* conflict files kept of one recording */
#define STORE_RECEIPTS_BYTES (64 << 20)	/* longest file of receipts: a verifier reads no longer one */
#define STORE_AHEAD_US 86400000000LL	/* a bastion's clock may be so far after this machine's */
#define STORE_TELL_MS 86400000ULL	/* what needs somebody is said again after so long */
#define STORE_SYNC_SECONDS 10		/* segment files are synced at the latest after so long */

#define STORE_DIR_LEN 48
#define STORE_HOLD "hold"		/* this file in its directory keeps a recording from being pruned */
#define STORE_PRUNED ".pruned"		/* behind the name of a directory: its marker */

struct rec {
	LIST_ENTRY(rec) bucket;
	uint8_t id[BREC_ID_LEN];
	uint64_t opened_us;
	uint8_t signer[HASH_LEN];
	char dir[STORE_DIR_LEN];	/* "2026-11-22/<hex id>" below recordings */
	uint32_t segment;		/* where the next frame goes, */
	uint64_t offset;		/* and at which byte */
	uint64_t seq;			/* of the last entry taken */
	uint8_t h[BREC_HASH_LEN];	/* after that entry: the leaf's value */
	struct wire_leaf durable;	/* the last entry that a commit covers: what may be acknowledged, */
	struct wire_leaf said;		/* and what was: the last COMMIT. A receipt says no more than that */
	uint8_t chain[BREC_HASH_LEN];	/* what the next frame is chained to: after a seal the new header's */
	bool ended, damaged, pruned;
	bool replayed;			/* the journal has entries of it, at the start: a receipt may be due */
	struct sha256 file_hash;	/* over the bytes of the present segment, for its leaf in the log */
	unsigned unwritten;		/* entries not yet in a segment file */
	unsigned conflicts;
	int fd;				/* of the segment last written to, */
	uint32_t fd_segment;		/* and its number; fd -1: none is open */
	TAILQ_ENTRY(rec) open;		/* in store.open, the one written to longest ago first */
	off_t receipts_end;		/* of the file `receipts`; -1: not looked at yet */

	void *owner;			/* the connection that feeds it, and its lists: */
	TAILQ_ENTRY(rec) owned, touched_link, unsigned_link;
	unsigned low;			/* the time without reserve (store.lows) in which it added */
	uint64_t low_bytes, low_ms;	/* so many, as of then: they are forgotten in STORE_LOW_MS; */
	uint64_t low_seal_ms;		/* and when its seals would have been one by one, in STORE_LOW_SEAL_MS each */
	bool refused;			/* that connection was told ERR: what it had sent behind that is passed over, until RESUME */
	bool touched;			/* to be acknowledged after the next commit */
	bool not_signed;		/* acknowledged without a receipt so far */
	uint64_t keep_seq;		/* a receipt up to here goes into the file: of the last seal or the end; 0: none */
};
TAILQ_HEAD(rec_list, rec);
LIST_HEAD(rec_bucket, rec);

#define STORE_LOW_SHARE 128	/* of what is left of the reserve: what each may add at once, */
#define STORE_LOW_MS 60000	/* and again in so long; */
#define STORE_LOW_LEAST (64U << 10)	/* or so much, */
#define STORE_LOW_SEALS 4	/* and so many files of segments, */
#define STORE_LOW_SEAL_MS 5000	/* and one in so long: the least segment_time of a bastion */
#define STORE_FILE_BYTES 16384	/* of room that each file takes: mkfs.ext4 makes an inode for so many */

/* An entry on its way from the journal to its file. */
struct store_out {
	struct rec *rec;
	const uint8_t *payload;
	size_t len;
};

struct store {
	int top, recordings, journal_dir;
	struct journal journal;
	struct syncer syncer;
	struct pruner pruner;
	uint8_t *known;			/* the filter of collector_known.h */
	struct rec_bucket buckets[STORE_BUCKETS];
	size_t count;
	struct store_out *group, *out;	/* STORE_OUT_MAX each: in the journal's group; durable, not written yet */
	size_t ngroup, nout, done;	/* out[0..done) is written, */
	size_t logged;			/* and of out[0..logged) the leaves are in the log's files */
	struct tlog_writer log;
	uint64_t log_told_ms;		/* when its length was last said; 0: it was not */
	uint64_t next_leaf;		/* index of the next leaf: those of the group are counted */
	struct rec_list open;		/* recordings with a file open: at most files_max */
	size_t nopen, files_max;
	uint64_t dirty_since_ms;	/* something was written since the syncer's last start; 0: nothing */
	uint64_t reserve;
	bool held;			/* no space: nothing is taken until store_write_out succeeds */
	uint64_t room;			/* bytes that are free, and files; what came since the last look is taken off while it is low */
	bool low;			/* less than the reserve is free: no new recordings, */
	unsigned lows;			/* for this time; each that runs may add its share: store_pours() */
	bool unarchived;		/* the object store lacks as much as may be: no new recordings */
	int (*sign)(void *ctx, struct store *s, struct rec *r);	/* receipt for a recovered recording */
	void (*complete)(void *ctx, const char *dir); /* a segment, a receipt or, with NULL, a checkpoint of the log is in its file; or NULL */
	void *ctx;
	uint64_t entries, bytes, commits, turns; /* since the start, for the log */
};

/* A leaf of the log on its way; len 0: the entry has none. */
struct apply_leaf {
	uint64_t index;
	uint8_t data[TLOG_ACT_MAX];
	size_t len;
};

/* What a store is opened with. */
struct store_options {
	const char *path;
	size_t journal_bytes;
	uint64_t reserve;
	uint32_t prune_days;		/* retention; 0: nothing is removed */
	const struct sign_key *log_key; /* signs the log's checkpoints; borrowed */
	const char *log_origin;		/* of a new log; one that is there keeps its own */
	int (*sign)(void *ctx, struct store *s, struct rec *r); /* a receipt of each recording that the replay touched */
	void (*complete)(void *ctx, const char *dir);	/* for the archive: see struct store */
	void *ctx;
};

/* Opens or makes the store, replays the journal, checks the log, syncs. Logs what it found. 0, or -1 logged. */
int store_open(struct store *s, const struct store_options *o);
/* Everything into the files and synced: a clean end. 0, or -1: the journal has it. */
int store_close(struct store *s);

/*
 * The recording, from memory or disk; it is looked for under the day of opened_us first, but there is one of an id, whatever that is.
 * 0 (*out NULL: there is none); WIRE_E_DAMAGED with a log line; WIRE_E_PROTOCOL: that day is none of our times; WIRE_E_REFUSED: it cannot
 * be told.
 */
enum wire_err store_find(struct store *s, const uint8_t id[BREC_ID_LEN], uint64_t opened_us, struct rec **out);
/* From memory only. */
struct rec *store_lookup(struct store *s, const uint8_t id[BREC_ID_LEN]);

/*
 * Takes an entry. 0: in the group, or there already and identical: acknowledge r->seq after the
 * next commit. Otherwise what is wrong, with why[size] for the peer. signers: keys that may sign
 * headers of new segments; none: any.
 */
enum wire_err store_entry(struct store *s, const struct wire_entry *e, const struct tls_pins *signers,
    struct rec **r, char *why, size_t size);
/*
 * Takes a leaf about a recording (tlog_act.h), whose index it sets, as an entry of its own. When the next store_write_out is over, what it
 * says is done: collector_apply.c. 0, or -1 with errno.
 */
int store_act(struct store *s, struct rec *r, enum tlog_leaf_type type, struct apply_leaf *leaf);
/* Does the next entry need a commit (or a turn) first? */
bool store_full(const struct store *s);
/*
 * Makes the group durable. -1: held (below), try later. 0: it is; but s->held may be set, and then nothing more is to be taken. A failure
 * ends the process: what the disk
 * holds is not known any more.
 */
int store_commit(struct store *s);
/*
 * 0, or -1: no space, s->held is set and said once in the log; call again later. Other errors end
 * the process.
 */
int store_write_out(struct store *s);
/* If it is due (or `now`): lets the syncer run and begins the other journal file. */
void store_turn(struct store *s, bool now);
/* Looks at the free space: sets s->room and s->low. True if s->low changed. */
bool store_space(struct store *s);
/* Does this entry make its recording one that takes what the others need? Then it is refused. */
bool store_pours(struct store *s, struct rec *r, const struct wire_entry *e);

/* Forgets a recording in memory, unless something is on its way. */
void store_drop(struct store *s, struct rec *r);
/* Drops what has no owner. */
void store_sweep(struct store *s);

/*
 * collector_load.c: state of a recording from its last segment. 1, 0: no such directory, -1:
 * damaged (logged).
 */
int load_recording(struct store *s, struct rec *r);
/*
 * Are these bytes what is stored for that sequence? 1 yes, 0 other bytes, -1 not found or
 * unreadable.
 */
int load_compare(struct store *s, const struct rec *r, const struct wire_entry *e);
/* Keeps a second version of an entry beside the recording. */
void load_keep_conflict(struct store *s, struct rec *r, const struct wire_entry *e);

/*
 * collector_receipts.c: appends to the recording's file `receipts`; errors are logged, not fatal:
 * the next receipt says more.
 */
void store_receipt(struct store *s, struct rec *r, const struct receipt *receipt);

/* collector_apply.c: an entry's journal payload, and its bytes into files. */
#define APPLY_ACT 0x40	/* or'ed to an enum tlog_leaf_type in place of an enum wire_type */
#define APPLY_HEAD (1 + BREC_ID_LEN + 8 + 4 + 8 + 8 + BREC_HASH_LEN + 4 + 8 + 2 + TLOG_ACT_MAX)
size_t apply_encode(uint8_t head[APPLY_HEAD], const struct rec *r, const struct wire_entry *e, const struct apply_leaf *leaf);
/* 0; -1 with errno. ENOSPC and EDQUOT: may be tried again, whole. */
int apply_payload(struct store *s, struct rec *r, const uint8_t *payload, size_t len);
/* Does the payload complete a segment? */
bool apply_completes(const uint8_t *payload, size_t len);
/* The payload's leaf into the log; nothing if it has none. 0; -1 as tlog_writer_add. */
int apply_log(struct store *s, const uint8_t *payload, size_t len);
/* Replays the journal into the files and syncs them. 0 or -1 logged. */
int apply_recover(struct store *s);
/* Opens a file of a recording: `segment`, or `receipts`. -1 with errno. */
int apply_open(struct store *s, const struct rec *r, const char *name, bool create);
void apply_close(struct store *s, struct rec *r);
/* What the marker of a pruned recording says: its leaf, and how it ended. */
struct apply_marker {
	uint64_t leaf, seq;
	uint8_t h[BREC_HASH_LEN], signer[HASH_LEN];
};
/* 1; 0: there is none; -1: it cannot be read. */
int apply_read_marker(struct store *s, const struct rec *r, struct apply_marker *m);
/* Fills r->dir. 0, or -1: the clock in it is no date of our times. */
int rec_name(struct rec *r);

/* collector_log.c: the log of recordings. Opens it before the replay. 0, or -1 logged. */
int log_open_dir(struct store *s, const struct store_options *o);
/* The leaf of an entry that is in its place, with the next index; the file's hash goes on. NULL, or what is wrong. */
const char *log_leaf(struct store *s, struct rec *r, const struct wire_entry *e, const uint8_t h[BREC_HASH_LEN], struct apply_leaf *leaf);
/* Says what tlog_writer found wrong (errno). Returns -1. */
int log_alarm(const struct store *s);
/* After the replay: nothing promised is gone; what an old store holds gets its leaves. 0, or -1 logged. */
int log_recover(struct store *s);
/* Each second: says when the log is half as long as auditors read, and each day from then on. */
void log_watch(struct store *s);
/* Leaves of what is on its way out, and a checkpoint. 0, or -1 with errno. */
int log_write_out(struct store *s);
struct rec *rec_create(struct store *s, const uint8_t id[BREC_ID_LEN], uint64_t opened_us);

#endif
