/*
 * totpkey.h - the key-encryption key of the one-time code secrets (seal.h): where it lies, and how policy gets it.
 *
 * Policy has no files of its own once it runs. At its start it reads the key as root; at a reload the child of
 * parent_reload.c does, and hands the bytes over in a sealed memory file, as keyfiles.h says for the other roles.
 *
 * `totp_key` in bastiond.conf(5): "" is keys/totp.key below state_dir, "/…" a file elsewhere, "credential:NAME" the
 * credential NAME of the service manager. Beside it may lie the next one (.next) and the one before (.old): both
 * open what is sealed, and if there is a next one it is the one that seals (rotate_totp.c).
 */
#ifndef BASTIOND_TOTPKEY_H
#define BASTIOND_TOTPKEY_H

#include "config.h"
#include "seal.h"

#define TOTPKEY_CREDENTIAL "credential:"

/* Is the value of the option one of the three forms? */
bool totpkey_option_ok(const char *value);
/* Its path. 0, or -1 logged: the service manager gave no credentials, or it is too long. */
int totpkey_path(const struct config *conf, char *out, size_t size);
/* Reads the keys into fd (keyfiles_create()) and seals it. 0, or -1 logged. */
int totpkey_collect(int fd, const struct config *conf);
/* The keys of such a file, and a trial that sealing works. 0, or -1 logged. */
int totpkey_read(int fd, struct seal_ring *ring);
/* At policy's start, as root: both. */
int totpkey_own(const struct config *conf, struct seal_ring *ring);

#endif
