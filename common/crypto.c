/*
 * crypto.c - see crypto.h: digests, key derivation, AEAD, X25519. Runs in every role that touches a recording.
 *
 * The algorithms are fetched once a process (and so once in master, for all sessions that it forks): a fetch costs more than
 * hashing a small frame. Processes have one thread; the handles live until exit.
 */
#include "crypto.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

static struct {
	EVP_MD *sha256;
	EVP_CIPHER *chacha;
	EVP_MAC *hmac;
	EVP_KDF *hkdf;
	EVP_MD_CTX *scratch;	/* for one-shot digests */
} lib;

int crypto_init(void)
{
	if (lib.scratch != NULL)
		return 0;
	if (lib.sha256 == NULL)
		lib.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (lib.chacha == NULL)
		lib.chacha = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	if (lib.hmac == NULL)
		lib.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (lib.hkdf == NULL)
		lib.hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	if (lib.sha256 == NULL || lib.chacha == NULL || lib.hmac == NULL || lib.hkdf == NULL)
		return -1;
	return (lib.scratch = EVP_MD_CTX_new()) != NULL ? 0 : -1;
}

int random_bytes(void *out, size_t len)
{
	uint8_t *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

bool equal_secret(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

int sha256_init(struct sha256 *s)
{
	EVP_MD_CTX *ctx;

	s->ctx = NULL;
	if (crypto_init() != 0 || (ctx = EVP_MD_CTX_new()) == NULL)
		return -1;
	if (EVP_DigestInit_ex2(ctx, lib.sha256, NULL) != 1) {
		EVP_MD_CTX_free(ctx);
		return -1;
	}
	s->ctx = ctx;
	return 0;
}

int sha256_update(struct sha256 *s, const void *data, size_t len)
{
	return s->ctx != NULL && EVP_DigestUpdate(s->ctx, data, len) == 1 ? 0 : -1;
}

int sha256_digest(struct sha256 *s, uint8_t out[HASH_LEN])
{
	return s->ctx != NULL && EVP_DigestFinal_ex(s->ctx, out, NULL) == 1 &&
	    EVP_DigestInit_ex2(s->ctx, NULL, NULL) == 1 ? 0 : -1;
}

void sha256_finish(struct sha256 *s)
{
	EVP_MD_CTX_free(s->ctx);
	s->ctx = NULL;
}

int sha256_spans(uint8_t out[HASH_LEN], const struct span *v, size_t n)
{
	if (crypto_init() != 0 || EVP_DigestInit_ex2(lib.scratch, lib.sha256, NULL) != 1)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (EVP_DigestUpdate(lib.scratch, v[i].data, v[i].len) != 1)
			return -1;
	return EVP_DigestFinal_ex(lib.scratch, out, NULL) == 1 ? 0 : -1;
}

static OSSL_PARAM digest_param(const char *name)
{
	static char sha256[] = "SHA256";

	return OSSL_PARAM_construct_utf8_string(name, sha256, 0);
}

int hmac_sha256(uint8_t out[HASH_LEN], struct span key, const struct span *v, size_t n)
{
	OSSL_PARAM params[] = { digest_param(OSSL_MAC_PARAM_DIGEST), OSSL_PARAM_construct_end() };
	EVP_MAC_CTX *ctx;
	size_t len;
	int r = -1;

	if (crypto_init() != 0 || (ctx = EVP_MAC_CTX_new(lib.hmac)) == NULL)
		return -1;
	if (EVP_MAC_init(ctx, key.data, key.len, params) != 1)
		goto out;
	for (size_t i = 0; i < n; i++)
		if (EVP_MAC_update(ctx, v[i].data, v[i].len) != 1)
			goto out;
	if (EVP_MAC_final(ctx, out, &len, HASH_LEN) == 1 && len == HASH_LEN)
		r = 0;
out:
	EVP_MAC_CTX_free(ctx);
	return r;
}

int hkdf_sha256(uint8_t *out, size_t len, struct span ikm, struct span salt, struct span info)
{
	OSSL_PARAM params[5], *p = params;
	EVP_KDF_CTX *ctx;
	int r;

	if (crypto_init() != 0 || (ctx = EVP_KDF_CTX_new(lib.hkdf)) == NULL)
		return -1;
	*p++ = digest_param(OSSL_KDF_PARAM_DIGEST);
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)ikm.data, ikm.len);
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info.data, info.len);
	if (salt.len != 0)
		*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt.data, salt.len);
	*p = OSSL_PARAM_construct_end();
	r = EVP_KDF_derive(ctx, out, len, params) == 1 ? 0 : -1;
	EVP_KDF_CTX_free(ctx);
	return r;
}

int aead_init(struct aead *a, const uint8_t key[KEY_LEN], bool sealing)
{
	EVP_CIPHER_CTX *ctx;

	a->ctx = NULL;
	a->sealing = sealing;
	if (crypto_init() != 0 || (ctx = EVP_CIPHER_CTX_new()) == NULL)
		return -1;
	if (EVP_CipherInit_ex2(ctx, lib.chacha, key, NULL, sealing, NULL) != 1) {
		EVP_CIPHER_CTX_free(ctx);
		return -1;
	}
	a->ctx = ctx;
	return 0;
}

/* The key stays in the context: only the nonce is new. */
static int aead_run(struct aead *a, bool sealing, const uint8_t *nonce, const struct span *aad, size_t naad,
    uint8_t *data, size_t len)
{
	EVP_CIPHER_CTX *ctx = a->ctx;
	int n;

	if (ctx == NULL || a->sealing != sealing || len > INT32_MAX - AEAD_TAG_LEN ||
	    EVP_CipherInit_ex2(ctx, NULL, NULL, nonce, -1, NULL) != 1)
		return -1;
	if (!sealing && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_LEN, data + len) != 1)
		return -1;
	for (size_t i = 0; i < naad; i++)
		if (EVP_CipherUpdate(ctx, NULL, &n, aad[i].data, (int)aad[i].len) != 1)
			return -1;
	if (EVP_CipherUpdate(ctx, data, &n, data, (int)len) != 1 || EVP_CipherFinal_ex(ctx, data + n, &n) != 1)
		return -1;
	if (sealing && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_LEN, data + len) != 1)
		return -1;
	return 0;
}

int aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE_LEN], const struct span *aad, size_t naad, uint8_t *data, size_t len)
{
	return aead_run(a, true, nonce, aad, naad, data, len);
}

int aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE_LEN], const struct span *aad, size_t naad, uint8_t *data, size_t len)
{
	return aead_run(a, false, nonce, aad, naad, data, len);
}

void aead_finish(struct aead *a)
{
	EVP_CIPHER_CTX_free(a->ctx);	/* cleanses the key */
	a->ctx = NULL;
}

int x25519_public(uint8_t pub[KEY_LEN], const uint8_t secret[KEY_LEN])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, KEY_LEN);
	size_t len = KEY_LEN;
	int r = key != NULL && EVP_PKEY_get_raw_public_key(key, pub, &len) == 1 && len == KEY_LEN ? 0 : -1;

	EVP_PKEY_free(key);
	return r;
}

int x25519_shared(uint8_t out[KEY_LEN], const uint8_t secret[KEY_LEN], const uint8_t pub[KEY_LEN])
{
	EVP_PKEY *mine = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, KEY_LEN);
	EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, pub, KEY_LEN);
	EVP_PKEY_CTX *ctx = mine != NULL ? EVP_PKEY_CTX_new_from_pkey(NULL, mine, NULL) : NULL;
	size_t len = KEY_LEN;
	int r = -1;

	/* OpenSSL refuses a shared secret of zero, as RFC 7748 section 6.1 lets it */
	if (ctx != NULL && theirs != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
	    EVP_PKEY_derive_set_peer(ctx, theirs) == 1 && EVP_PKEY_derive(ctx, out, &len) == 1 && len == KEY_LEN)
		r = 0;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(theirs);
	EVP_PKEY_free(mine);
	return r;
}
