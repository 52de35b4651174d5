/*
 * keys_store.h - the private keys of the keys role: read as root at the start and at a reload, kept
 * in memory, never on disk again.
 */
#ifndef BASTION_KEYS_STORE_H
#define BASTION_KEYS_STORE_H

#include <openssl/evp.h>
#include <stddef.h>

#include "keyfiles.h"
#include "names.h"
#include "seal.h"

#define KEYS_MANAGED_MAX 512	/* files in keys/managed */
#define KEYS_LINE_MAX 3200	/* an authorized_keys line of the longest key */

struct managed_key {
	char name[USER_NAME_MAX + 1];	/* its file is NAME.pem */
	EVP_PKEY *key;
};

struct keys {
	EVP_PKEY *ca;			/* Ed25519 */
	struct seal_ring seal;		/* keys/target.key (keys_seal.h); none: keys of before it */
	struct managed_key *managed;	/* by name */
	size_t n;
};

/*
 * From the bundle of the keys role (keyfiles.h): the user CA and the managed keys, PKCS#8 PEM without passphrase, and target.key. Each
 * key is tried. 0; -1 with the file and the reason logged, and nothing to free.
 */
int keys_load(struct keys *k, const struct buf *files);
void keys_finish(struct keys *k);

/* NULL when there is none of that name. Owned by `k`. */
EVP_PKEY *keys_find(const struct keys *k, const char *name);

#endif
