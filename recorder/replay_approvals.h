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
/*
 * replay_opened.c: each channel of the recording against these texts (none: nothing to hold it against), and the grants that the session used
 * beside its first. Says what no text covers, and sets a->bad; strict: also for another grant. 0, or -1: it cannot be read to its end, said.
 */
int approvals_opened(struct args *a, const struct recording *rec, const struct age_identities *ids, const json_t *texts, bool strict);
/* Of the key, as ssh-keygen -l prints it. */
void approval_fingerprint(const struct sshsig *sig, char out[APPROVAL_FPR_MAX]);
/* A line on standard output for each: for `show`. */
void approvals_lines(const json_t *meta);

#endif
