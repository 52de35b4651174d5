/*
 * replay_approvals.h - approvals in a recording's metadata: are they signed, and does the signature hold?
 */
#ifndef BASTION_REPLAY_APPROVALS_H
#define BASTION_REPLAY_APPROVALS_H

#include <jansson.h>
#include <stdbool.h>

#include "crypto_sshsig.h"

#define APPROVAL_FPR_MAX 64	/* "SHA256:…" */

enum approval_state { APPROVAL_UNSIGNED, APPROVAL_HOLDS, APPROVAL_BAD };

/* One element of "approvals" of this metadata. BAD: why[size] says it, escaped. *sig is what was parsed. */
enum approval_state approval_check(const json_t *meta, const json_t *approval, struct sshsig *sig, char *why, size_t size);
/* Does the signed text allow a channel of this kind, with this command or destination? Both are foreign text. */
bool approval_covers(const char *text, const char *capability, const char *command);

struct args;
struct recording;
struct age_identities;

/* What a recording says of who consented, as `approvals` shows it in the order in which it was recorded. */
struct approved {
	struct args *a;
	const char *signers;	/* the auditor's list; NULL: none was given, and what is not signed is no fault */
	json_t *texts;		/* that were signed, and hold; owned */
	bool unsigned_grant;	/* some grant's approvals are all unsigned: what it allows, no text has to cover */
	size_t shown;		/* approvals so far: they are numbered through */
};

/* The approvals of one grant: meta are the recording's metadata, those of a further grant with its own values. 0, or -1: said. */
int approvals_of(struct approved *c, const json_t *meta);
/*
 * replay_opened.c: what comes after the metadata: further grants with their approvals, and each channel against the texts. Says what no text
 * covers, and sets a->bad. 0, or -1: it cannot be read to its end, said.
 */
int approvals_opened(struct approved *c, const struct recording *rec, const json_t *meta, const struct age_identities *ids);
/* Of the key, as ssh-keygen -l prints it. */
void approval_fingerprint(const struct sshsig *sig, char out[APPROVAL_FPR_MAX]);
/* A line on standard output for each: for `show`. */
void approvals_lines(const json_t *meta);

#endif
