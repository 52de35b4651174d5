/*
 * crypto_sign.c - see crypto.h: Ed25519 keys, in memory and as PEM files. Runs in recorder, collector, keys, init and the
 * auditor's tools.
 */
#include "crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

struct sign_key {
	EVP_PKEY *key;
	EVP_MD_CTX *ctx;
	uint8_t pub[KEY_LEN];
};

/* Takes over `key`, which may be NULL. */
static struct sign_key *wrap(EVP_PKEY *key)
{
	struct sign_key *k = calloc(1, sizeof(*k));
	size_t len = KEY_LEN;

	if (k == NULL || key == NULL || !EVP_PKEY_is_a(key, "ED25519") ||
	    EVP_PKEY_get_raw_public_key(key, k->pub, &len) != 1 || len != KEY_LEN ||
	    (k->ctx = EVP_MD_CTX_new()) == NULL) {
		EVP_PKEY_free(key);
		free(k);
		ERR_clear_error();
		errno = EINVAL;
		return NULL;
	}
	k->key = key;
	return k;
}

struct sign_key *sign_key_from_seed(const uint8_t seed[KEY_LEN])
{
	return wrap(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, KEY_LEN));
}

struct sign_key *sign_key_generate(void)
{
	uint8_t seed[KEY_LEN];
	struct sign_key *k;

	if (random_bytes(seed, sizeof(seed)) != 0)
		return NULL;
	k = sign_key_from_seed(seed);
	explicit_bzero(seed, sizeof(seed));
	return k;
}

/* A PEM with a passphrase must fail, not ask the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *ctx)
{
	(void)buf, (void)size, (void)rwflag, (void)ctx;
	return -1;
}

struct sign_key *sign_key_load(const char *path)
{
	FILE *f = fopen(path, "re");
	EVP_PKEY *key;

	if (f == NULL)
		return NULL;
	key = PEM_read_PrivateKey(f, NULL, no_passphrase, NULL);
	fclose(f);
	return wrap(key);
}

struct sign_key *sign_key_from_pem(const void *pem, size_t len)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

	BIO_free(bio);
	return wrap(key);
}

/* New file, synced; the half of one is removed again. */
static int save_pem(const char *path, mode_t mode, int (*put)(FILE *f, const EVP_PKEY *key), const EVP_PKEY *key)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	bool ok;
	int saved;

	if (f == NULL) {
		saved = errno;
		if (fd >= 0) {
			close(fd);
			unlink(path);
		}
		errno = saved;
		return -1;
	}
	errno = EIO;
	ok = fchmod(fd, mode) == 0 && put(f, key) == 1 && fflush(f) == 0 && fsync(fd) == 0;
	saved = errno;
	if (fclose(f) == 0 && ok)
		return 0;
	unlink(path);
	errno = saved;
	return -1;
}

static int put_private(FILE *f, const EVP_PKEY *key)
{
	return PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
}

static int put_public(FILE *f, const EVP_PKEY *key)
{
	return PEM_write_PUBKEY(f, key);
}

int sign_key_save(const struct sign_key *k, const char *path)
{
	return save_pem(path, 0600, put_private, k->key);
}

int public_key_save(const uint8_t pub[KEY_LEN], const char *path)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, pub, KEY_LEN);
	int r;

	if (key == NULL) {
		errno = EINVAL;
		return -1;
	}
	r = save_pem(path, 0644, put_public, key);
	EVP_PKEY_free(key);
	return r;
}

void sign_key_destroy(struct sign_key *k)
{
	if (k == NULL)
		return;
	EVP_MD_CTX_free(k->ctx);
	EVP_PKEY_free(k->key);
	free(k);
}

void sign_key_public(const struct sign_key *k, uint8_t pub[KEY_LEN])
{
	memcpy(pub, k->pub, KEY_LEN);
}

int sign_key_sign(const struct sign_key *k, uint8_t sig[SIG_LEN], const void *data, size_t len)
{
	size_t n = SIG_LEN;

	return EVP_MD_CTX_reset(k->ctx) == 1 && EVP_DigestSignInit_ex(k->ctx, NULL, NULL, NULL, NULL, k->key, NULL) == 1 &&
	    EVP_DigestSign(k->ctx, sig, &n, data, len) == 1 && n == SIG_LEN ? 0 : -1;
}

bool ed25519_verify(const uint8_t pub[KEY_LEN], const uint8_t sig[SIG_LEN], const void *data, size_t len)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, pub, KEY_LEN);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = key != NULL && ctx != NULL && EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, key, NULL) == 1 &&
	    EVP_DigestVerify(ctx, sig, SIG_LEN, data, len) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	if (!ok)
		ERR_clear_error();
	return ok;
}

int key_id(uint8_t id[HASH_LEN], const uint8_t pub[KEY_LEN])
{
	return sha256_spans(id, SPANS(SPAN(pub, KEY_LEN)));
}

/* One block's key into pub. False: it is no Ed25519 key. */
static bool block_key(const uint8_t *der, long der_len, uint8_t pub[KEY_LEN])
{
	EVP_PKEY *key = d2i_PUBKEY(NULL, &der, der_len);
	size_t len = KEY_LEN;
	bool ok = key != NULL && EVP_PKEY_is_a(key, "ED25519") && EVP_PKEY_get_raw_public_key(key, pub, &len) == 1;

	EVP_PKEY_free(key);
	return ok;
}

int public_keys_load(const char *path, uint8_t (*pubs)[KEY_LEN], size_t max)
{
	FILE *f = fopen(path, "re");
	char *name, *header;
	uint8_t *der;
	long len;
	bool bad = false;
	size_t n = 0;

	if (f == NULL)
		return -1;
	ERR_clear_error();
	/* PEM_read, not PEM_read_PUBKEY: that one does not tell the end of the file from a broken block */
	while (!bad && PEM_read(f, &name, &header, &der, &len) == 1) {
		if (strcmp(name, PEM_STRING_PUBLIC) == 0) {
			bad = n == max || !block_key(der, len, pubs[n]);
			n++;
		}
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
	}
	/* the only good reason to stop is that no further block begins */
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		bad = true;
	ERR_clear_error();
	fclose(f);
	if (bad || n == 0) {
		errno = EINVAL;
		return -1;
	}
	return (int)n;
}
