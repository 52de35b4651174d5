/*
 * tlog_act.h - what the log of recordings says of what was done with a recording after it was made: that it was removed when its
 * time was over, that somebody put a hold on it, that the hold was taken away. A lapse is the removal of one that never closed.
 *
 * Runs in bastion-collectord (makes) and the auditor's tools (judge, brec_prune.h). Pure. Unlike the leaves of tlog_leaf.h these do
 * not follow from the recording's bytes (bastion-record(5), LOG OF RECORDINGS):
 *
 *   0    12  "brec/v1 leaf"
 *   12   1   type: 4 prune, 5 hold, 6 release, 7 lapse
 *   13   16  recording id
 *   29   8   wall clock of the collector
 *   37   4   (prune, lapse) retention in days
 *   41   4   (prune, lapse) number of the segment of the frame below: the last one, or of a lapse whose last has no such frame, the one before
 *   45   32  (prune, lapse) SHA-256 of that segment's file, of a lapse up to that frame
 *   77   str (prune, lapse) whole: the recording's close frame; of a lapse its last checkpoint or seal
 *   then str who, str why
 *
 * That frame is signed by the bastion and says when the recording closed, or was still alive: so a collector alone cannot make one
 * look older.
 */
#ifndef BASTION_TLOG_ACT_H
#define BASTION_TLOG_ACT_H

#include "tlog_leaf.h"

#define TLOG_PRUNE_DAYS 90		/* the least that a retention may be */
/*
 * No session is longer: bastiond sees to it (WAY_LONGEST_S). A recording that never closed is removed so much later than one that closed: its
 * last signed frame, which a collector could have chosen, is then as far from its end as may be.
 */
#define TLOG_SESSION_DAYS 30
#define TLOG_CLOSE_FRAME_MAX (BREC_FRAME_HEAD + 104 + 1 + 4 + BREC_REASON_MAX + 4)
#define TLOG_WHO_MAX 64
#define TLOG_WHY_MAX 256

struct tlog_act {
	enum tlog_leaf_type type;	/* TLOG_PRUNE, TLOG_HOLD, TLOG_RELEASE or TLOG_LAPSE */
	uint8_t id[BREC_ID_LEN];
	int64_t wall_us;
	uint32_t days, segment;		/* prune and lapse, as the next two */
	uint8_t file_hash[HASH_LEN];
	struct span close;		/* or what a lapse has for it; at most TLOG_CLOSE_FRAME_MAX; decoded: in the input, as the next two */
	struct span who, why;		/* at most TLOG_WHO_MAX and TLOG_WHY_MAX; text that nobody escaped yet */
};

/* Is the recording gone then? */
static inline bool tlog_removes(enum tlog_leaf_type type) { return type == TLOG_PRUNE || type == TLOG_LAPSE; }

/* Its bytes to out[TLOG_ACT_MAX]; how many. */
size_t tlog_act_encode(uint8_t out[TLOG_ACT_MAX], const struct tlog_act *a);
/* 0; -1: these bytes are none of version 1. */
int tlog_act_decode(struct tlog_act *a, const void *data, size_t len);

#endif
