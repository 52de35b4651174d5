/*
 * tlog_stamp.h - who else saw the log, and when: cosignatures of witnesses and RFC 3161 timestamps of checkpoints.
 *
 * Runs in the auditor's tools, after the log was found good (tlog_reader.h): the roots of the checkpoints that are looked at here
 * were compared there. What nobody trusted signed is passed over.
 */
#ifndef BASTION_TLOG_STAMP_H
#define BASTION_TLOG_STAMP_H

#include "tlog_reader.h"

#define TLOG_TSR_MAX 65536	/* bytes of a timestamp */

/* The newest checkpoint that one witness, or one authority, vouches for; size 0 and when 0: none. */
struct tlog_stamp {
	uint64_t size;		/* leaves */
	int64_t when;		/* unix seconds, by the other's clock */
	unsigned bad;		/* files that name it and do not hold */
};

/* The log, and those who may have signed its older checkpoints: nkeys, as they were given to tlog_read. */
struct tlog_seen {
	const struct tlog_log *log;
	const uint8_t (*keys)[KEY_LEN];
	size_t nkeys;
};

/* Over all checkpoint.SIZE.cosigned of the directory. 0, or -1 with errno. */
int tlog_cosigned(struct tlog_stamp *out, const char *dir, const struct tlog_seen *seen, const struct tlog_vkey *witness);
/* Over all checkpoint.SIZE.tsr; `ca`: a PEM file with the certificates that the authority's own must lead to. 0, or -1 with errno. */
int tlog_timestamped(struct tlog_stamp *out, const char *dir, const struct tlog_seen *seen, const char *ca);

#endif
