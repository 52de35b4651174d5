/*
 * brec_follow.h - is what comes into a growing recording what the bastion wrote? Frame by frame, without a key that decrypts.
 *
 * Runs in bastion-replay, while a session is followed. It checks the chain and the signatures of headers and marks as brec_verify.h
 * does, and only those: receipts and the log of recordings are for a recording that has its end.
 */
#ifndef BASTION_BREC_FOLLOW_H
#define BASTION_BREC_FOLLOW_H

#include "brec_dir.h"
#include "brec_verify.h"

struct brec_follow {
	const struct brec_trust *trust;
	struct brec_dir dir;
	const uint8_t *signer;		/* the trusted key of all headers and marks */
	uint8_t id[BREC_ID_LEN], h[BREC_HASH_LEN];	/* h: after last_seq */
	uint32_t segments;		/* with a good header */
	uint64_t last_seq;		/* the unbroken chain reaches to this frame */
	uint64_t signed_seq;		/* all up to this one is proven by a signature */
	int64_t signed_wall_us;		/* when that was made, by the bastion's clock; at first that of the header */
	bool in_segment, closed, wrong;
	char reason[320];		/* why it is wrong: one line, safe to print */
};

/* A recording's directory, or a bundle. 0, or -1 with errno. brec_follow_close takes what failed. */
int brec_follow_open(struct brec_follow *f, const char *dir, const struct brec_trust *trust);
void brec_follow_close(struct brec_follow *f);
/*
 * Goes on over all whole frames that are there now. 1: there were some; 0: none, and a part of one is no news; -1: wrong, with
 * the reason: it is and stays so.
 */
int brec_follow_step(struct brec_follow *f);

#endif
