/*
 * age_crypt.c - opens an age file that is encrypted with a passphrase: how auditors keep their identity.
 *
 * Runs in the auditor's tools. One scrypt stanza, one chunk of payload (64 KiB), binary or armored: what
 * `age -p` makes of a key file. Everything else is refused with a word on what it is.
 */
#include "age.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto.h"
#include "hex.h"

#define INTRO "age-encryption.org/v1\n-> scrypt "
#define LABEL "age-encryption.org/v1/scrypt"
#define SALT_LEN 16
#define LOG_N_MAX 20		/* 1 GiB of memory: what age itself would make is 18 */
#define NONCE_LEN 16		/* of the payload key */
#define CHUNK_MAX 65536
#define ARMOR_BEGIN "-----BEGIN AGE ENCRYPTED FILE-----"
#define ARMOR_END "-----END AGE ENCRYPTED FILE-----"

struct scrypt_file {
	uint8_t salt[SALT_LEN];
	unsigned log_n;
	uint8_t body[AGE_FILE_KEY_LEN + AEAD_TAG_LEN];
	size_t mac_over;		/* bytes of the header that the MAC covers, "---" included */
	uint8_t mac[HASH_LEN];
	const uint8_t *payload;
	size_t payload_len;
};

/* One token up to `end`, advanced past it; its length, or -1. */
static long token(const char **p, const char *limit, char end)
{
	const char *start = *p, *at = memchr(start, end, (size_t)(limit - start));

	if (at == NULL)
		return -1;
	*p = at + 1;
	return at - start;
}

/* base64 token of exactly `len` bytes, ended by `end`. */
static int token_bytes(const char **p, const char *limit, char end, uint8_t *out, size_t len)
{
	const char *start = *p;
	long n = token(p, limit, end);

	return n >= 0 && base64_decode(out, len, start, (size_t)n) == (int)len ? 0 : -1;
}

static int parse(struct scrypt_file *f, const uint8_t *file, size_t len)
{
	const char *p = (const char *)file, *limit = p + len, *digits;
	long n;

	if (len < sizeof(INTRO) || memcmp(p, INTRO, sizeof(INTRO) - 1) != 0)
		return -1;
	p += sizeof(INTRO) - 1;
	if (token_bytes(&p, limit, ' ', f->salt, SALT_LEN) != 0)
		return -1;
	digits = p;
	n = token(&p, limit, '\n');
	if (n < 1 || n > 2 || digits[0] < '1' || digits[0] > '9' || (n == 2 && (digits[1] < '0' || digits[1] > '9')))
		return -1;
	f->log_n = (unsigned)(digits[0] - '0');
	if (n == 2)
		f->log_n = f->log_n * 10 + (unsigned)(digits[1] - '0');
	if (token_bytes(&p, limit, '\n', f->body, sizeof(f->body)) != 0)
		return -1;
	if (limit - p < 4 || memcmp(p, "--- ", 4) != 0)
		return -1;
	p += 4;
	f->mac_over = (size_t)(p - (const char *)file) - 1;
	if (token_bytes(&p, limit, '\n', f->mac, sizeof(f->mac)) != 0)
		return -1;
	f->payload = (const uint8_t *)p;
	f->payload_len = (size_t)(limit - p);
	return f->payload_len >= NONCE_LEN + AEAD_TAG_LEN && f->payload_len <= NONCE_LEN + CHUNK_MAX + AEAD_TAG_LEN ? 0 : -1;
}

/* The passphrase's file key. -1: it is the wrong one. */
static int open_stanza(uint8_t file_key[AGE_FILE_KEY_LEN], const struct scrypt_file *f, const char *passphrase)
{
	static const uint8_t nonce[AEAD_NONCE_LEN];
	uint8_t salt[sizeof(LABEL) - 1 + SALT_LEN], key[KEY_LEN], body[sizeof(f->body)];
	struct aead a = { 0 };
	int r = -1;

	memcpy(salt, LABEL, sizeof(LABEL) - 1);
	memcpy(salt + sizeof(LABEL) - 1, f->salt, SALT_LEN);
	memcpy(body, f->body, sizeof(body));
	if (EVP_PBE_scrypt(passphrase, strlen(passphrase), salt, sizeof(salt), 1ULL << f->log_n, 8, 1,
	    (128ULL * 8 << f->log_n) + (1 << 20), key, sizeof(key)) == 1 &&
	    aead_init(&a, key, false) == 0 && aead_open(&a, nonce, NULL, 0, body, AGE_FILE_KEY_LEN) == 0) {
		memcpy(file_key, body, AGE_FILE_KEY_LEN);
		r = 0;
	}
	ERR_clear_error();
	aead_finish(&a);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(body, sizeof(body));
	return r;
}

/* Header MAC, then the one chunk, flagged as the last. Length, or -1. */
static int open_payload(uint8_t *out, size_t size, const uint8_t *file, const struct scrypt_file *f, const uint8_t *file_key)
{
	static const uint8_t nonce[AEAD_NONCE_LEN] = { [AEAD_NONCE_LEN - 1] = 1 };
	const size_t len = f->payload_len - NONCE_LEN - AEAD_TAG_LEN;
	uint8_t key[KEY_LEN], mac[HASH_LEN];
	uint8_t *chunk = malloc(len + AEAD_TAG_LEN);
	struct aead a = { 0 };
	int r = -1;

	if (chunk == NULL || len > size ||
	    hkdf_sha256(key, sizeof(key), SPAN(file_key, AGE_FILE_KEY_LEN), SPAN(NULL, 0), SPAN_STR("header")) != 0 ||
	    hmac_sha256(mac, SPAN(key, sizeof(key)), SPANS(SPAN(file, f->mac_over))) != 0 ||
	    !equal_secret(mac, f->mac, sizeof(mac)) ||
	    hkdf_sha256(key, sizeof(key), SPAN(file_key, AGE_FILE_KEY_LEN), SPAN(f->payload, NONCE_LEN), SPAN_STR("payload")) != 0)
		goto out;
	memcpy(chunk, f->payload + NONCE_LEN, len + AEAD_TAG_LEN);
	if (aead_init(&a, key, false) == 0 && aead_open(&a, nonce, NULL, 0, chunk, len) == 0) {
		memcpy(out, chunk, len);
		r = (int)len;
	}
out:
	aead_finish(&a);
	explicit_bzero(key, sizeof(key));
	if (chunk != NULL)
		explicit_bzero(chunk, len + AEAD_TAG_LEN);
	free(chunk);
	return r;
}

/* Armor (strict PEM, 64 columns) to bytes in memory for free(); NULL when it is malformed. */
static uint8_t *unarmor(const char *text, size_t len, size_t *out_len)
{
	char *flat = malloc(len + 1);
	uint8_t *out = malloc(len + 1);
	const char *p = text, *limit = text + len;
	size_t n = 0;
	bool begun = false, ended = false;
	int r = -1;

	while (flat != NULL && out != NULL && p < limit && !ended) {
		const char *line = p;
		long w = token(&p, limit, '\n');

		if (w < 0) {
			w = limit - line;
			p = limit;
		}
		while (w > 0 && (line[w - 1] == '\r' || line[w - 1] == ' '))
			w--;
		if (!begun)
			begun = w == sizeof(ARMOR_BEGIN) - 1 && memcmp(line, ARMOR_BEGIN, (size_t)w) == 0;
		else if (w == sizeof(ARMOR_END) - 1 && memcmp(line, ARMOR_END, (size_t)w) == 0)
			ended = true;
		else {
			memcpy(flat + n, line, (size_t)w);
			n += (size_t)w;
		}
	}
	if (ended)
		r = base64_decode(out, len, flat, n);
	free(flat);
	if (r < 0) {
		free(out);
		return NULL;
	}
	*out_len = (size_t)r;
	return out;
}

int age_decrypt_scrypt(uint8_t *out, size_t size, const uint8_t *file, size_t len, const char *passphrase,
    char *err, size_t errsize)
{
	uint8_t *bytes = NULL, file_key[AGE_FILE_KEY_LEN];
	struct scrypt_file f;
	int r = -1;

	if (len > 0 && file[0] != 'a') {
		if ((bytes = unarmor((const char *)file, len, &len)) == NULL) {
			snprintf(err, errsize, "damaged age armor");
			return -1;
		}
		file = bytes;
	}
	if (parse(&f, file, len) != 0)
		snprintf(err, errsize, "no identity file that age encrypted with a passphrase (age -p)");
	else if (f.log_n > LOG_N_MAX)
		snprintf(err, errsize, "scrypt work factor %u is over %d: encrypt it again with age -p", f.log_n, LOG_N_MAX);
	else if (open_stanza(file_key, &f, passphrase) != 0)
		snprintf(err, errsize, "wrong passphrase");
	else if ((r = open_payload(out, size, file, &f, file_key)) < 0)
		snprintf(err, errsize, "damaged: the file's own checks do not hold");
	explicit_bzero(file_key, sizeof(file_key));
	free(bytes);
	return r;
}
