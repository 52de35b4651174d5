/*
 * brec_verify.h - is this recording what the bastion wrote? Without any key that could decrypt it.
 *
 * Runs in bastion-replay and wherever the files lie. Reads a recording's directory: the segments, and the collector's
 * `receipts` if it is there. What each verdict proves is said in bastion-record(5), VERIFICATION.
 */
#ifndef BASTION_BREC_VERIFY_H
#define BASTION_BREC_VERIFY_H

#include "brec.h"

struct tlog_log;
struct tlog_entry;

enum brec_verdict {
	BREC_COMPLETE,		/* every frame from 1 to the signed close is there and untouched */
	BREC_ABANDONED,		/* no close frame: true up to signed_seq, consistent up to last_seq, nothing is known to be missing */
	BREC_CUT,		/* frames after last_seq existed and are not here */
	BREC_GAP,		/* frames between last_seq and later ones are not here */
	BREC_FORGED,		/* something was changed after it was written: by hand or by a bad disk */
	BREC_UNVERIFIABLE,	/* not to be judged: unknown signer or version, or the files cannot be read */
	BREC_PRUNED,		/* removed, in part or as a whole, when its retention was over, as the log of recordings says */
	BREC_OPEN,		/* as abandoned, but the log and its last signature say that it is being made at this moment */
};

#define BREC_OPEN_US 600000000LL	/* an open recording has a signature that is no older than this (a session signs each minute) */

/* Whom to believe. */
struct brec_trust {
	const uint8_t (*signers)[KEY_LEN];	/* raw Ed25519 keys of bastions */
	size_t nsigners;
	const uint8_t (*collectors)[KEY_LEN];	/* and of collectors: without them receipts are not used */
	size_t ncollectors;
	const struct tlog_log *log;	/* the collector's log of recordings, read and judged; NULL: there is none */
};

/* Where a recording's leaves stand to the log. */
enum brec_logged {
	BREC_LOG_NONE,		/* there is no log, or nobody to believe it */
	BREC_LOG_BAD,		/* the log itself is not to be believed */
	BREC_LOG_MISSING,	/* a leaf that it should have is not there */
	BREC_LOG_PART,		/* all that is here is there; it has not closed */
	BREC_LOG_WHOLE,		/* from open to close */
};

struct brec_report {
	enum brec_verdict verdict;
	char reason[320];	/* one line, safe to print */
	char file[32];		/* the place: file name in the directory, "" if none */
	uint64_t offset;	/* byte in it */
	uint8_t id[BREC_ID_LEN];
	uint8_t signer[32];	/* key id that the headers name */
	uint32_t segments;	/* with a good header */
	uint64_t last_seq;	/* the unbroken chain reaches to this frame */
	uint8_t head[BREC_HASH_LEN]; /* chain value after it */
	uint64_t signed_seq;	/* every frame up to this one is proven by a signature of the bastion */
	uint64_t receipt_seq;	/* a collector signed that it holds everything up to here; 0: no receipt was used */
	int64_t first_wall_us, last_wall_us; /* of the first header, of the last signature */
	unsigned receipts;	/* used */
	enum brec_logged logged;
	bool empty;		/* no segment is here */
	bool held;		/* the log says that a hold is on it */
	bool closed;
	enum brec_end end;	/* if closed, with its reason */
	char end_reason[BREC_REASON_MAX + 1];
};

/* "complete", "abandoned", "cut", "gap", "forged", "unverifiable", "pruned", "open". */
const char *brec_verdict_name(enum brec_verdict v);
/* "none", "bad", "missing", "part", "whole". */
const char *brec_logged_name(enum brec_logged l);
/* Always fills *out; returns out->verdict. `dir` is a recording's directory, or a bundle of one (brec_tar.h). */
enum brec_verdict brec_verify_dir(const char *dir, const struct brec_trust *trust, struct brec_report *out);

/* May it be missing? The report on a recording of which nothing is here but its n leaves in a good log: BREC_PRUNED or BREC_CUT. */
void brec_verify_missing(const struct tlog_entry *v, size_t n, const struct brec_trust *trust, struct brec_report *out);

#endif
