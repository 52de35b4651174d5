/*
 * brec_receipts.h - the collector's receipts, held against a recording's chain while it is verified.
 *
 * Used by brec_verify.c alone. The bytes of the file are in wire_receipt.h and doc/PROTOCOL.collector. Only receipts by keys
 * that the caller trusts count, and of those all: they are taken by sequence, wherever they stand in the file, as one that came
 * late and says something else is what a collector signed, too. A signature is checked before anything follows from it.
 */
#ifndef BASTION_BREC_RECEIPTS_H
#define BASTION_BREC_RECEIPTS_H

#include "brec_dir.h"
#include "brec_verify.h"
#include "wire_receipt.h"

#define BREC_RECEIPTS_FILE "receipts"
#define BREC_RECEIPTS_MAX (64U << 20)	/* bytes of the file */

/* A receipt's sequence, and its byte in the file. */
struct brec_receipt_place {
	uint64_t seq, at;
};

struct brec_receipts {
	const struct brec_trust *trust;
	const uint8_t *id;		/* of the recording, known once its first header is read: */
	bool begun;			/* then a chain value was asked for */
	uint8_t *data;			/* the file */
	size_t len;
	struct brec_receipt_place *v;	/* n of them by trusted keys, by sequence; those before `next` agree */
	size_t n, cap, next;
	unsigned used;			/* that agree */
	uint64_t proven_seq;		/* the highest of them */
	uint64_t bad_at;		/* a receipt in the middle is damaged here */
	bool bad;
};

/* No file is no error: there are no receipts then. Nor are there for who trusts no collector. 0, or -1 with errno. */
int brec_receipts_load(struct brec_receipts *r, struct brec_dir *d, const struct brec_trust *trust, const uint8_t *id);
/*
 * The chain value after frame `seq` (0: after the first header) is h. To be called for each sequence in turn. 0; -1: a
 * receipt says otherwise, or is false itself: *reason (static) and its byte in the file.
 */
int brec_receipts_check(struct brec_receipts *r, uint64_t seq, const uint8_t h[BREC_HASH_LEN], const char **reason, uint64_t *offset);
/* After the last frame. *beyond: the highest sequence that a receipt says more, 0: none. 0, or -1 as above. */
int brec_receipts_finish(struct brec_receipts *r, uint64_t *beyond, const char **reason, uint64_t *offset);
void brec_receipts_free(struct brec_receipts *r);

#endif
