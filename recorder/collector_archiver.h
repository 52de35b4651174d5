/*
 * collector_archiver.h - the archiver: puts what is complete into an object store with Object Lock, and proves that the lock holds.
 *
 * A process of its own beside the collector (bastion-collectord -R archive): a supervisor that stays root and does nothing but start
 * the archiver again when it ends, and the archiver itself, as the collector's user, with the credentials in its memory.
 *
 *   collector_archiver.c         start, the loop, hints, what is in work, the spool
 *   collector_archiver_put.c     one object on its way; when the store is away
 *   collector_archiver_rec.c     a recording's objects, its list
 *   collector_archiver_log.c     the log of recordings
 *   collector_archiver_renew.c   its tiles once more, before their locks end
 *   collector_archiver_canary.c  the proof, at the start and daily; without it nothing is put
 *
 * Its state is what the disk says: the store's files, and the lists of what was confirmed (archive_list.h), which are written
 * after the answer. So it may be killed anywhere: what was not noted is put a second time, the same bytes under the same name.
 */
#ifndef BASTION_COLLECTOR_ARCHIVER_H
#define BASTION_COLLECTOR_ARCHIVER_H

#include <sys/queue.h>

#include "archive_canary.h"
#include "archive_log.h"
#include "archive_plan.h"
#include "collector_archive.h"
#include "s3.h"

#define ARCHIVER_PARALLEL 8		/* puts on their way at once */
#define ARCHIVER_ACTIVE 8		/* recordings that are put from at once */
#define ARCHIVER_WORK_MAX 65536		/* recordings that are known to have something; more are found by the next look at all */
#define ARCHIVER_BUCKETS 4096
#define ARCHIVER_LOOK_SECONDS 3600	/* everything is looked at so often */
#define ARCHIVER_LOG_SECONDS 15		/* the log is put at most so often */
#define ARCHIVER_STATUS_MS 5000		/* the collector is told at least so often */
#define ARCHIVER_AWAY_ALARM_SECONDS 3600 /* an alarm for each so long in which nothing was confirmed */
#define ARCHIVER_CANARY_RETRY_SECONDS 60
#define ARCHIVER_STRANGER_SECONDS 60	/* one alarm in so long */
#define ARCHIVER_REFUSED_TIMES 3	/* and then an object is taken for one that will be again, */
#define ARCHIVER_REFUSED_SECONDS 1800	/* one alarm in so long: each look at everything tries it once more */
#define ARCHIVER_RENEW_NOTED 256	/* tiles between two notes of how far it is */
#define ARCHIVER_RENEW_DOUBLED 8	/* the pause after a failure is ARCHIVER_LOG_SECONDS, so often twice as long: then an hour */

struct archiver;

/* What the store refused, of one recording or of the log, while it took something else. */
struct archiver_refusals {
	unsigned times;
	uint64_t confirmed;		/* so many objects were at the last one */
};

/* One object on its way. */
struct archiver_put {
	struct archiver *a;
	struct s3_request r;
	struct archive_item item;	/* what will be noted */
	void *map, *copy;		/* the body: one of the two */
	size_t map_len;
	bool hold;
	bool plain;			/* without If-None-Match */
	bool asked;			/* it may be there already: an answer, or its line of the list, may have been lost */
	bool first;			/* of this log nothing is confirmed */
	void *owner;
	void (*end)(struct archiver_put *p, bool confirmed); /* frees nothing; the put is gone afterwards */
	unsigned job;			/* the owner's */
};

/* A recording that has something the store has not. */
struct archiver_work {
	LIST_ENTRY(archiver_work) bucket;
	TAILQ_ENTRY(archiver_work) queue;
	char dir[STORE_DIR_LEN];
	uint64_t bytes;			/* not confirmed */
	enum { WORK_QUEUED, WORK_ACTIVE, WORK_PARKED } state; /* parked: nothing to be done before the next hint or look */
	bool again;			/* a hint came while it was active */
	bool asked;			/* it was there at the start, or something of it was put that is not noted */
	struct archiver_refusals refusals;
};
LIST_HEAD(archiver_bucket, archiver_work);
TAILQ_HEAD(archiver_queue, archiver_work);

/* A recording that is put from. */
struct archiver_active {
	struct archiver *a;
	struct archiver_work *work;	/* NULL: free */
	int fd;				/* its directory */
	struct archive_scan scan;
	size_t next;			/* of scan.jobs */
	unsigned running;
	bool progress, failed;
	bool refused;			/* and will be again */
	bool synced;			/* the file `receipts` is */
};

/* All of the log once more, one file at a time. What fails here is tried again here, and holds up nothing else. */
struct archiver_renewal {
	struct archive_tiles at, after;	/* where it is, and will be; at.to: 0: none is on its way */
	struct archive_item item;	/* the same, for the list */
	uint64_t passed_over;		/* files that are not what was put */
	unsigned failures;		/* in a row */
	int64_t not_before;
	struct archiver_refusals refusals; /* of the file that is the next */
};

/* The log of recordings: one checkpoint is put at a time. */
struct archiver_log {
	struct archive_list list;
	bool loaded, changed, begun, failed;
	struct archive_tiles tiles;
	bool more;			/* tiles may be left, */
	int level;			/* this one is the next */
	uint64_t n;
	unsigned width;
	char note[TLOG_OWN_MAX];
	size_t note_len;
	unsigned running;
	int64_t not_before;
	bool fresh;			/* nothing of it is confirmed, and the next put is its first one, */
	bool other;			/* and something is there: then nothing more is put, */
	int64_t alarm_at;		/* and that is said again then, as is what else keeps it from being put */
	bool asked;			/* some of this tree's may be there: since the start, or a failure, */
	bool kept_asked;		/* and of what is kept beside it: until all of that is noted */
	struct archiver_refusals refusals; /* of this tree, and what is beside it */
	struct archiver_renewal renewal;
};

/* Times called int64_t are seconds of the monotonic clock. */
struct archiver {
	const struct coll_conf *conf;
	struct s3_credentials credentials;
	struct s3 *s3;
	int recordings, log_dir;	/* directories of the store */
	bool stop;			/* the collector is gone, or wants the credentials read anew */

	struct archiver_bucket buckets[ARCHIVER_BUCKETS];
	struct archiver_queue queue;
	size_t nwork;
	bool overflow;			/* not all work is known */
	int64_t heard;			/* newest wall clock of a bastion, unix s, by the collector; 0: not told yet */
	struct archiver_active active[ARCHIVER_ACTIVE];
	struct archiver_log log;
	int64_t look_at;		/* when everything is looked at next */
	uint64_t spool;			/* bytes not confirmed */
	enum archive_spool spool_state;
	uint64_t told_ms;
	bool told_full;

	/* the store */
	bool proven;			/* the lock held when it was last tried */
	struct canary canary;
	struct s3_request canary_request;
	bool canary_running;
	int64_t canary_at;		/* when it is proven next */
	unsigned failures;		/* in a row */
	uint64_t pause_until_ms;
	int64_t away_since, alarm_at;	/* 0: it is not away */
	uint64_t confirmed;		/* objects, since the start */
	bool looked;			/* at everything, once, with a clock by which it could be dead */
	uint64_t strangers;		/* objects that somebody else had put, */
	int64_t strangers_alarm;	/* and when more of them are said */
	int64_t refused_alarm;
};

/*
 * bastion-collectord -R archive: supervises the archiver until the collector is gone. `drop`: gives up root for good. Exit
 * status.
 */
int archiver_supervise(const struct coll_conf *c, void (*drop)(const struct coll_conf *));
/* What the supervisor's child does. It ends with the collector, or to be started anew. */
void archiver_run(const struct coll_conf *c, void (*drop)(const struct coll_conf *), pid_t supervisor) __attribute__((noreturn));

/* ---- collector_archiver_put.c ---- */

/* May something be put now, and is there room on the way? */
bool archiver_may_put(const struct archiver *a);
/* A put with its key, PREFIX/top/dir/name (dir may be ""); the caller fills map or copy, r.body, r.len. NULL: out of memory. */
struct archiver_put *archiver_put_create(struct archiver *a, const char *top, const char *dir, const char *name);
void archiver_put_destroy(struct archiver_put *p);
/*
 * Sends it. item.until is set from `over`; item's size and hash from the body. 0: p->end will be called; -1: it will not, and
 * the put is gone.
 */
int archiver_put_send(struct archiver_put *p, bool over, bool hold, bool again);
/* Something failed that is no answer of the store: counts as its failure, so that it is not tried without a pause. */
void archiver_failed(struct archiver *a, const char *key, const char *why);
/*
 * A put was not confirmed: does the store refuse what is in question again and again, which is no outage, as it takes other objects meanwhile?
 * Then that is an alarm, and true.
 */
bool archiver_refused(struct archiver_put *p, struct archiver_refusals *r);
/* Is there room to note a confirmation? What cannot be noted would be put again and again, and each time be locked. Without it: archiver_failed. */
bool archiver_room(struct archiver *a);
/* The store answered as it should. */
void archiver_succeeded(struct archiver *a);

/* ---- collector_archiver_rec.c ---- */

/* Looks at a recording: puts it into the queue if there is something to do. */
void archiver_rec_look(struct archiver *a, const char *dir);
/* Looks at all of them. */
void archiver_rec_look_all(struct archiver *a);
/* Begins what may be begun. */
void archiver_rec_fill(struct archiver *a);

/* ---- collector_archiver_log.c ---- */
void archiver_log_fill(struct archiver *a, int64_t now);
/* Some of it is in the store, confirmed: what is below the prefix is this log, and no other one. */
bool archiver_log_there(const struct archiver *a);

/* Puts a file of the log; `body`, for free(), becomes the put's. again: it is there, for a longer lock. False: `end` will not be called. */
struct archiver_log_put {
	bool asked, again;
	void (*end)(struct archiver_put *p, bool confirmed);
};
bool archiver_log_put(struct archiver *a, const char *name, void *body, size_t len, struct archiver_log_put how);
/* Notes an item in its list, as good as synced. False: not, which is said. */
bool archiver_log_note(struct archiver *a, const struct archive_item *i);
void archiver_log_sync(struct archiver *a);
/* Something is in the store of which nothing is confirmed: another log's, or the answer to its first put was lost. */
void archiver_log_other(struct archiver *a, const char *key, bool asked);

/* ---- collector_archiver_renew.c ---- */

/* Nothing else of the log is to be put: the next of its tiles again, if that is due. */
void archiver_log_renew(struct archiver *a, int64_t now);

/* ---- collector_archiver_canary.c ---- */
void archiver_canary_turn(struct archiver *a, int64_t now);

/* ---- collector_archiver.c ---- */

/* Takes the collector's hints, as long as there are some; also while everything is looked at. */
void archiver_hear(struct archiver *a);
/* Tells the collector how much is not confirmed, if that is due. */
void archiver_tell(struct archiver *a);

#endif
