/*
 * tlog_leaf.h - what the log of recordings says of a recording: that it opened, that a segment was sealed, that it closed.
 *
 * Runs in bastion-collectord (makes) and the auditor's tools (compare). Pure. The bytes follow from the recording alone,
 * so whoever has the recording can make its leaves again (bastion-record(5), LOG OF RECORDINGS):
 *
 *   0    12  "brec/v1 leaf"
 *   12   1   type: 1 open, 2 seal, 3 close
 *   13   16  recording id
 *   29   4   segment number
 *   33   8   sequence of the segment's last frame; open: 0
 *   41   32  h: chain value after that frame; open: after the header
 *   73   32  SHA-256 of the segment's file, whole; open: of the header of segment 0
 *   105  1   (close only) end, as in the close frame
 *   106  str (close only) reason, as there
 */
#ifndef BASTION_TLOG_LEAF_H
#define BASTION_TLOG_LEAF_H

#include "brec.h"

#define TLOG_LEAF_MAGIC "brec/v1 leaf"
#define TLOG_LEAF_MIN 105
#define TLOG_LEAF_MAX (TLOG_LEAF_MIN + 1 + 4 + BREC_REASON_MAX)
#define TLOG_ACT_MAX 798		/* of the larger leaves of tlog_act.h */

/* The first three follow from the recording; the others are in tlog_act.h. */
enum tlog_leaf_type { TLOG_OPEN = 1, TLOG_SEAL, TLOG_CLOSE, TLOG_PRUNE, TLOG_HOLD, TLOG_RELEASE, TLOG_LAPSE };

struct tlog_leaf {
	enum tlog_leaf_type type;
	uint8_t id[BREC_ID_LEN];
	uint32_t segment;
	uint64_t seq;
	uint8_t h[BREC_HASH_LEN];
	uint8_t file_hash[HASH_LEN];
	enum brec_end end;		/* close only, with */
	const char *reason;		/* reason_len bytes; decoded: in the input */
	size_t reason_len;
};

/* Its bytes to out[TLOG_LEAF_MAX]; how many. The reason is at most BREC_REASON_MAX bytes. */
size_t tlog_leaf_encode(uint8_t out[TLOG_LEAF_MAX], const struct tlog_leaf *leaf);
/* What leaves of all types begin with: the buffer views the rest. 0; -1: no leaf of version 1. */
int tlog_leaf_begin(struct buf *b, const void *data, size_t len, enum tlog_leaf_type *type, uint8_t id[BREC_ID_LEN]);
/* 0; -1: these bytes are none of the first three types, of version 1. */
int tlog_leaf_decode(struct tlog_leaf *leaf, const void *data, size_t len);
/* "open", "seal", "close", "prune", "hold", "release", "lapse". */
const char *tlog_leaf_name(enum tlog_leaf_type type);

#endif
