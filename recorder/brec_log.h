/*
 * brec_log.h - a recording's leaves in the log of recordings, held against the recording while it is verified.
 *
 * Used by brec_verify.c alone. The leaf that each place of the recording must have is made from its bytes and compared; the
 * log itself was judged before (tlog_reader.h).
 */
#ifndef BASTION_BREC_LOG_H
#define BASTION_BREC_LOG_H

#include "tlog_reader.h"

struct brec_log {
	const struct tlog_log *log;	/* NULL: none */
	const struct tlog_entry *v;	/* n leaves of this recording; those before `at` agree, or say what was done with it */
	size_t n, at;
	bool missing;			/* a place had no leaf */
	struct sha256 file_hash;	/* of the segment's file so far */
};

/* log may be NULL. 0 or -1 with errno. */
int brec_log_init(struct brec_log *l, const struct tlog_log *log);
void brec_log_finish(struct brec_log *l);
/* Bytes of the segment, in order. The first header, when the id is known, comes by brec_log_open. 0, or -1. */
int brec_log_bytes(struct brec_log *l, const void *data, size_t len);
/* Each: 0; 1: the log says otherwise; -1 with errno. The leaf's type, id, segment, seq, h, end and reason are the caller's. */
int brec_log_open(struct brec_log *l, struct tlog_leaf *leaf, const void *header, size_t len);
int brec_log_mark(struct brec_log *l, struct tlog_leaf *leaf);
/* Does the log say more of it than was found, which ends with its close or not? The leaf that is next, or NULL. */
const struct tlog_entry *brec_log_beyond(struct brec_log *l, bool closed);

#endif
