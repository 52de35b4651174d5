/*
 * keys_seal.h - managed keys that rotate: made and opened in the keys role, kept sealed in policy's database.
 *
 * A key is good for one host, one login and one generation of it; which, is authenticated with what is sealed (seal.h), so that a row of
 * the database that is moved to another place opens nothing. The sealing key is keys/target.key: it leaves this role as little as the CA.
 */
#ifndef BASTION_KEYS_SEAL_H
#define BASTION_KEYS_SEAL_H

#include "keys_store.h"

#define KEYS_SEALED_LEN (32 + SEAL_OVER)	/* of an Ed25519 seed */

struct keys_place {
	int64_t host_id;
	uint64_t generation;
	char login[LOGIN_MAX + 1];
};

/* A fresh Ed25519 key: its public blob and its sealed half are appended. NULL, or a static text of why not. */
const char *keys_make(const struct keys *k, const struct keys_place *at, struct buf *public, struct buf *sealed);
/* The reverse; the caller frees it. NULL: *why is a static text. */
EVP_PKEY *keys_unseal(const struct keys *k, const struct keys_place *at, const uint8_t *sealed, size_t len, const char **why);

#endif
