/*
 * ssh_hostkeys.h - the bastion's own host keys: made by `bastiond -I`, loaded by master.
 *
 * Below state_dir: keys/ssh_host_TYPE_key (PEM that ssh-keygen reads, root, 0600) and its .pub.
 * Three types, because older clients do not know the newer ones.
 */
#ifndef BASTIOND_SSH_HOSTKEYS_H
#define BASTIOND_SSH_HOSTKEYS_H

#include <stddef.h>

#include "buf.h"

#define SSH_HOSTKEYS_COUNT 3
#define SSH_HOSTKEY_LINE_MAX 1024

struct ssh_key_struct;

/*
 * Name of key number i below state_dir, "keys/ssh_host_ed25519_key": preferred first. NULL past the
 * last.
 */
const char *ssh_hostkeys_name(size_t i);
/*
 * Loads all three from master's bundle (keyfiles.h); the caller frees them with ssh_key_free. 0; -1 with the file and what to do
 * logged, none loaded.
 */
int ssh_hostkeys_load(const struct buf *files, struct ssh_key_struct *keys[SSH_HOSTKEYS_COUNT]);

/*
 * Makes a new private key of the kind of number i and writes it to `path` (0600, must not exist).
 * 0, or -1, logged.
 */
int ssh_hostkeys_make(size_t i, const char *path);
/*
 * From the private key's file: "ssh-ed25519 AAAA…" and "SHA256:…". Checks that the file is a key of
 * the kind of number i, readable to its owner alone. 0, or -1, logged.
 */
int ssh_hostkeys_describe(size_t i, const char *path, char line[SSH_HOSTKEY_LINE_MAX],
    char fingerprint[64]);

#endif
