/*
 * brec_prune.h - was this recording removed because its time was over? What the log of recordings says of it, judged.
 *
 * Runs in the auditor's tools, beside brec_verify.c. The rules are those of bastion-record(5), VERIFICATION.
 */
#ifndef BASTION_BREC_PRUNE_H
#define BASTION_BREC_PRUNE_H

#include "brec_verify.h"
#include "tlog_reader.h"

#define BREC_PRUNE_AHEAD_US 86400000000LL	/* a prune leaf may be so far in the future of this machine */

struct brec_prune {
	bool held;		/* a hold is in force */
	bool claimed;		/* there is a prune leaf, */
	bool holds;		/* and it holds: the recording may be missing */
	char reason[320];	/* claimed: who, when and why, or what does not hold; one line, safe to print */
};

/* Always fills *out. `v`: the recording's n leaves in the log, which was found good. Reads the wall clock. */
void brec_prune_judge(struct brec_prune *out, const struct tlog_log *log, const struct tlog_entry *v, size_t n, const struct brec_trust *trust);

#endif
