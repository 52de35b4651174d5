/*
 * crypto.h - the primitives of the recording format and of the keys at rest, over OpenSSL 3's EVP.
 *
 * Used by the session's writer, the recorder, the collector, keys and the auditor's tools. Every function that
 * returns int gives 0, or -1 when OpenSSL fails (no memory, a broken key); none logs. Buffers for secrets are
 * the caller's, who wipes them.
 */
#ifndef BASTION_CRYPTO_H
#define BASTION_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_LEN 32		/* SHA-256, HMAC-SHA-256 */
#define KEY_LEN 32		/* ChaCha20-Poly1305, X25519, Ed25519 public */
#define SIG_LEN 64		/* Ed25519 */
#define AEAD_TAG_LEN 16
#define AEAD_NONCE_LEN 12

/* Fetches the algorithms once, so that a forked process finds them warm. Optional: every call does it at need. */
int crypto_init(void);

/* Kernel randomness (getrandom): nothing to seed, nothing that a fork could copy. */
int random_bytes(void *out, size_t len);
/* Comparison in constant time. */
bool equal_secret(const void *a, const void *b, size_t len);

/* SHA-256, a part at a time. A zeroed struct is finished. */
struct sha256 {
	void *ctx;
};
int sha256_init(struct sha256 *s);
int sha256_update(struct sha256 *s, const void *data, size_t len);
/* The digest of what came; the struct starts anew. */
int sha256_digest(struct sha256 *s, uint8_t out[HASH_LEN]);
void sha256_finish(struct sha256 *s);

/* Some bytes, borrowed. */
struct span {
	const void *data;
	size_t len;
};
#define SPAN(p, n) ((struct span){ (p), (n) })
#define SPAN_STR(s) ((struct span){ (s), sizeof(s) - 1 }) /* of a literal, without its NUL */
#define SPANS(...) ((const struct span[]){ __VA_ARGS__ }), sizeof((const struct span[]){ __VA_ARGS__ }) / sizeof(struct span)

/* Of the concatenation: sha256_spans(out, SPANS(SPAN_STR("x"), SPAN(p, n))). */
int sha256_spans(uint8_t out[HASH_LEN], const struct span *v, size_t n);
/* The key may be of any length from 1 byte (RFC 2104). */
int hmac_sha256(uint8_t out[HASH_LEN], struct span key, const struct span *v, size_t n);
/* RFC 5869; out at most 255 * 32 bytes. An empty salt is a string of zeros, as there. */
int hkdf_sha256(uint8_t *out, size_t len, struct span ikm, struct span salt, struct span info);

/* ChaCha20-Poly1305 (RFC 8439) with one key, in one direction. A zeroed struct is finished. */
struct aead {
	void *ctx;
	bool sealing;
};
int aead_init(struct aead *a, const uint8_t key[KEY_LEN], bool sealing);
/* Encrypts in place; the tag follows the ciphertext at data + len. The caller never repeats a nonce. */
int aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE_LEN], const struct span *aad, size_t naad, uint8_t *data, size_t len);
/* The reverse: data holds len bytes and the tag. -1 also when the tag does not fit; data is then worthless. */
int aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE_LEN], const struct span *aad, size_t naad, uint8_t *data, size_t len);
/* Wipes the key. */
void aead_finish(struct aead *a);

/* X25519 (RFC 7748). A result of zero (a low-order point) is an error. */
int x25519_public(uint8_t pub[KEY_LEN], const uint8_t secret[KEY_LEN]);
int x25519_shared(uint8_t out[KEY_LEN], const uint8_t secret[KEY_LEN], const uint8_t pub[KEY_LEN]);

/* An Ed25519 private key in memory. */
struct sign_key;
struct sign_key *sign_key_generate(void);
/* PKCS#8 PEM without a passphrase. NULL with errno: of the file, or EINVAL for another kind of contents. */
struct sign_key *sign_key_load(const char *path);
/* The same of a text in memory. */
struct sign_key *sign_key_from_pem(const void *pem, size_t len);
/* Takes 32 raw bytes (RFC 8032's seed): for tests and fixed vectors. */
struct sign_key *sign_key_from_seed(const uint8_t seed[KEY_LEN]);
/* New file, 0600, synced; refuses to overwrite (EEXIST). 0, or -1 with errno. */
int sign_key_save(const struct sign_key *k, const char *path);
void sign_key_destroy(struct sign_key *k);
void sign_key_public(const struct sign_key *k, uint8_t pub[KEY_LEN]);
int sign_key_sign(const struct sign_key *k, uint8_t sig[SIG_LEN], const void *data, size_t len);

bool ed25519_verify(const uint8_t pub[KEY_LEN], const uint8_t sig[SIG_LEN], const void *data, size_t len);
/* How a key is named in headers and receipts: SHA-256 of its 32 raw bytes. */
int key_id(uint8_t id[HASH_LEN], const uint8_t pub[KEY_LEN]);
/*
 * Every PUBLIC KEY block (SubjectPublicKeyInfo PEM, RFC 8410) of a file, at most `max`; text between blocks is
 * comment. The number read (at least 1), or -1 with errno (EINVAL: a block that is no Ed25519 key, or none, or too many).
 */
int public_keys_load(const char *path, uint8_t (*pubs)[KEY_LEN], size_t max);
/* New file, 0644. 0, or -1 with errno. */
int public_key_save(const uint8_t pub[KEY_LEN], const char *path);

#endif
