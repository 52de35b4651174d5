/*
 * archive_plan.h - what is to be put into the object store next, and for how long it is to be locked.
 *
 * Used by the collector's archiver. Looks at files, never at the network. Objects of a recording are named after its files:
 *
 *   NNNNNNNN.brec        a segment that is complete: sealed, or closed
 *   receipts.NNNNNNNN    the receipt of that number, from 0, in its file `receipts`: one object each, as that file grows
 *   conflict-…           as the file
 *
 * below PREFIX/recordings/YYYY-MM-DD/ID/. So a name always has the same bytes, whoever puts it, and however often.
 *
 * How long. Who can only put cannot lengthen a lock afterwards, and a segment is put before anybody knows when its recording
 * will close. So an object of an open recording is locked for the longest session more than the retention; if the recording is
 * open longer than that, or closed so late, it is put once more, which makes a second version of the same bytes with a later lock.
 */
#ifndef BASTION_ARCHIVE_PLAN_H
#define BASTION_ARCHIVE_PLAN_H

#include "archive_list.h"

#define ARCHIVE_JOBS_MAX 1024		/* found in one look at a directory; more at the next one */
#define ARCHIVE_CLOCK_S 86400		/* between this machine's clock and a bastion's, at most */
#define ARCHIVE_NONE_DEAD INT64_MIN
#define ARCHIVE_SEGMENTS_MAX 9999999	/* files with greater numbers are none of a recording: one a minute for 19 years */

struct archive_rules {
	int64_t retention, session;	/* seconds: counted from close; of the longest session */
};

enum archive_kind { ARCHIVE_SEGMENT, ARCHIVE_RECEIPT, ARCHIVE_OTHER };

/* One object to be put: these bytes of that file. */
struct archive_job {
	enum archive_kind kind;
	char name[ARCHIVE_NAME_MAX + 1], file[ARCHIVE_NAME_MAX + 1];
	uint64_t offset, len;
	uint32_t segment;
	bool over;			/* nothing follows it: the close frame is in it, or its recording is closed */
	bool dead;			/* a segment that was never sealed, and will not be: as it is */
	bool again;			/* it is there already; its lock ends too early, or it is to be held */
};

struct archive_scan {
	struct archive_list list;
	size_t njobs;
	uint64_t bytes;			/* not confirmed, also of what is not among the jobs */
	uint64_t waiting;		/* jobs that had no room */
	bool held;
	bool changed;			/* a file is not as long as what was confirmed of it, */
	char changed_name[ARCHIVE_NAME_MAX + 1]; /* this one */
	bool ends;			/* the last segment, `last`, is confirmed and has the close frame, but the list has no `closed` */
	uint32_t last;
	struct archive_job jobs[ARCHIVE_JOBS_MAX];
};

/* What is in a segment's file. */
enum archive_segment { ARCHIVE_OPEN, ARCHIVE_SEALED, ARCHIVE_CLOSED, ARCHIVE_DAMAGED };
enum archive_segment archive_segment_state(const uint8_t *data, size_t len, uint32_t segment);

/*
 * Is `now` an open segment that was put as it was (`old`), and then grew? Then both may be in the store, each under lock. What is new must have
 * a frame that its bastion signs, which verification then checks: frames alone anybody who may put could add.
 */
bool archive_segment_grew(const uint8_t *old, size_t old_len, const uint8_t *now, size_t len, uint32_t segment);

/*
 * Last segments that nobody wrote to since then are dead: put as they are, open or not. `heard`: the newest time that a bastion said, 0: none
 * did. By a clock that is further from it than ARCHIVE_CLOCK_S none is.
 */
int64_t archive_dead_before(int64_t now, int64_t heard);

/*
 * Looks at a recording's directory: what it holds and its list does not. 0, or -1 with errno. archive_scan_free in any case.
 * archive_scan_due also has what is confirmed but, by the rules, not locked for long enough; dead_before: of archive_dead_before.
 * archive_scan takes the recording for one that is over: its last segment counts, too, and the sizes of all receipts.
 */
int archive_scan(struct archive_scan *s, int dir);
int archive_scan_due(struct archive_scan *s, int dir, const struct archive_rules *rules, int64_t now, int64_t dead_before);
void archive_scan_free(struct archive_scan *s);

/* The end of the lock of an object that is put now. `over`: as in the job. */
int64_t archive_until(const struct archive_rules *rules, int64_t now, bool over);
/* Until when an object that is confirmed must be locked at least: 0, nothing more is asked. */
int64_t archive_needed(const struct archive_rules *rules, const struct archive_list *l, int64_t now);

/* The spool: bytes that are not confirmed. Each step up is an alarm; down only when it is well below. */
enum archive_spool { ARCHIVE_SPOOL_LOW, ARCHIVE_SPOOL_HALF, ARCHIVE_SPOOL_FULL };
enum archive_spool archive_spool_state(enum archive_spool before, uint64_t bytes, uint64_t max);

/* How long to leave the store alone after the n-th failure in a row, from 1. Milliseconds. */
unsigned archive_pause_ms(unsigned failures);

#endif
