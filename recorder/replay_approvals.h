/*
 * replay_approvals.h - approvals in a recording's metadata: are they signed, and does the signature hold?
 */
#ifndef BASTION_REPLAY_APPROVALS_H
#define BASTION_REPLAY_APPROVALS_H

#include <jansson.h>

#include "crypto_sshsig.h"

#define APPROVAL_FPR_MAX 64	/* "SHA256:…" */

enum approval_state { APPROVAL_UNSIGNED, APPROVAL_HOLDS, APPROVAL_BAD };

/* One element of "approvals" of this metadata. BAD: why[size] says it, escaped. *sig is what was parsed. */
enum approval_state approval_check(const json_t *meta, const json_t *approval, struct sshsig *sig, char *why, size_t size);
/* Of the key, as ssh-keygen -l prints it. */
void approval_fingerprint(const struct sshsig *sig, char out[APPROVAL_FPR_MAX]);
/* A line on standard output for each: for `show`. */
void approvals_lines(const json_t *meta);

#endif
