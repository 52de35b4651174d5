/*
 * store_key.h - public keys as text and as blobs: parse, fingerprint.
 *
 * Pure. A key line is foreign text: only the types of the list are taken, and the blob must say the
 * same type.
 */
#ifndef BASTION_STORE_KEY_H
#define BASTION_STORE_KEY_H

#include "store.h"

/* "SHA256:…" of a blob, as ssh-keygen -l prints it. 0, or -1 (OpenSSL failed). */
int key_fingerprint(const void *blob, size_t len, char out[STORE_FPR_MAX + 1]);
/*
 * "ssh-ed25519 AAAA… comment", a line of ssh-keyscan with the host's name in front included.
 * `host`: for a host key (no security-key types). RSA needs 2048 bits or more. 0, or -1 with a line
 * in err (escaped).
 */
int key_parse(const char *line, bool host, struct host_key *k, char *err, size_t errsize);
/* The same of a blob. False: it is none of the types of a host key, or malformed. */
bool key_from_blob(const void *blob, size_t len, struct host_key *k);
/* "ssh-ed25519 AAAA…" into out[size]. 0, or -1: it does not fit. */
int key_format(const struct host_key *k, char *out, size_t size);

#endif
