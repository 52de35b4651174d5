/*
 * keys_seal.c - see keys_seal.h. Role keys.
 */
#include "keys_seal.h"

#include <stdio.h>
#include <string.h>

#include "sshkey.h"

#define SEED_LEN 32

static const char no_key[] = "there is no keys/target.key: it is made at the next start";

/* What a sealed key is for; names have no '/'. */
static void purpose_of(const struct keys_place *at, char out[96])
{
	snprintf(out, 96, "target-key/%s/%llu", at->login, (unsigned long long)at->generation);
}

const char *keys_make(const struct keys *k, const struct keys_place *at, struct buf *public, struct buf *sealed)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	uint8_t seed[SEED_LEN], out[KEYS_SEALED_LEN];
	const char *why = "OpenSSL could not make it";
	size_t len = sizeof(seed);
	char purpose[96];

	purpose_of(at, purpose);
	if (k->seal.n == 0)
		why = no_key;
	else if (key != NULL && EVP_PKEY_get_raw_private_key(key, seed, &len) == 1 && len == sizeof(seed) && sshkey_blob(key, public) == 0 &&
	    seal_close(&k->seal, purpose, at->host_id, seed, sizeof(seed), out) == 0 && buf_put(sealed, out, sizeof(out)) == 0)
		why = NULL;
	explicit_bzero(seed, sizeof(seed));
	EVP_PKEY_free(key);
	return why;
}

EVP_PKEY *keys_unseal(const struct keys *k, const struct keys_place *at, const uint8_t *sealed, size_t len, const char **why)
{
	uint8_t seed[SEED_LEN];
	EVP_PKEY *key = NULL;
	char purpose[96];

	purpose_of(at, purpose);
	*why = NULL;
	if (len != KEYS_SEALED_LEN)
		*why = "it is no sealed key";
	else if (k->seal.n == 0)
		*why = no_key;
	else if (seal_open(&k->seal, purpose, at->host_id, sealed, seed, sizeof(seed)) != 0)
		*why = "it was not sealed with keys/target.key for this host, login and generation";
	else if ((key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed))) == NULL)
		*why = "OpenSSL could not take it";
	explicit_bzero(seed, sizeof(seed));
	return key;
}
