/*
 * seal.c - see seal.h. Pure but for randomness; policy role.
 */
#include "seal.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "crypto.h"
#include "hex.h"

#define NONCE_LEN 12
#define TAG_LEN 16

_Static_assert(SEAL_OVER == SEAL_ID_LEN + NONCE_LEN + TAG_LEN, "as seal.h says");

static int name_key(struct seal_key *k)
{
	uint8_t hash[HASH_LEN];

	if (sha256_spans(hash, SPANS(SPAN_STR("bastiond seal key/1"), SPAN(k->key, sizeof(k->key)))) != 0)
		return -1;
	memcpy(k->id, hash, sizeof(k->id));
	return 0;
}

static const struct seal_key *find(const struct seal_ring *ring, const uint8_t *id)
{
	for (unsigned i = 0; i < ring->n; i++)
		if (memcmp(ring->keys[i].id, id, SEAL_ID_LEN) == 0)
			return &ring->keys[i];
	return NULL;
}

/* The length of what comes before the line end, if there is one. */
static size_t without_line_end(const char *s, size_t len)
{
	if (len > 0 && s[len - 1] == '\n')
		len -= len > 1 && s[len - 2] == '\r' ? 2 : 1;
	return len;
}

int seal_ring_add(struct seal_ring *ring, const void *text, size_t len)
{
	char hex[2 * SEAL_KEY_LEN + 1];
	struct seal_key k;
	int r = -1;

	if (len == SEAL_KEY_LEN) {
		memcpy(k.key, text, sizeof(k.key));
		r = 0;
	} else if (len <= SEAL_TEXT_MAX && without_line_end(text, len) == 2 * SEAL_KEY_LEN) {
		memcpy(hex, text, sizeof(hex) - 1);
		hex[sizeof(hex) - 1] = '\0';
		r = hex_decode(k.key, sizeof(k.key), hex);
		explicit_bzero(hex, sizeof(hex));
	}
	if (r == 0 && (name_key(&k) != 0 || ring->n == SEAL_KEYS_MAX || find(ring, k.id) != NULL))
		r = -1;
	if (r == 0)
		ring->keys[ring->n++] = k;
	explicit_bzero(&k, sizeof(k));
	return r;
}

void seal_ring_join(struct seal_ring *ring, const struct seal_ring *other)
{
	for (unsigned i = 0; i < other->n && ring->n < SEAL_KEYS_MAX; i++)
		if (find(ring, other->keys[i].id) == NULL)
			ring->keys[ring->n++] = other->keys[i];
}

int seal_key_text(char out[SEAL_TEXT_MAX])
{
	uint8_t key[SEAL_KEY_LEN];

	if (random_bytes(key, sizeof(key)) != 0)
		return -1;
	hex_encode(out, key, sizeof(key));
	strcat(out, "\n");
	explicit_bzero(key, sizeof(key));
	return 0;
}

/* The additional data into the cipher. */
static int bind(EVP_CIPHER_CTX *ctx, const char *purpose, int64_t user_id, const uint8_t *id)
{
	struct buf aad;
	int n, r;

	buf_init(&aad, 256);
	buf_put(&aad, "bastiond seal/1", sizeof("bastiond seal/1"));
	buf_put(&aad, purpose, strlen(purpose) + 1);
	buf_put_u64(&aad, (uint64_t)user_id);
	buf_put(&aad, id, SEAL_ID_LEN);
	r = buf_ok(&aad) && EVP_CipherUpdate(ctx, NULL, &n, aad.data, (int)aad.len) == 1 ? 0 : -1;
	buf_finish(&aad);
	return r;
}

int seal_close(const struct seal_ring *ring, const char *purpose, int64_t user_id, const void *plain, size_t len,
    uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t *nonce = out + SEAL_ID_LEN, *text = nonce + NONCE_LEN;
	int n = 0, r = -1;

	errno = EIO;
	if (ctx == NULL || ring == NULL || ring->n == 0 || len > SEAL_PLAIN_MAX)
		goto out;
	memcpy(out, ring->keys[0].id, SEAL_ID_LEN);
	if (random_bytes(nonce, NONCE_LEN) == 0 &&
	    EVP_CipherInit_ex2(ctx, EVP_aes_256_gcm(), ring->keys[0].key, nonce, 1, NULL) == 1 &&
	    bind(ctx, purpose, user_id, out) == 0 &&
	    EVP_CipherUpdate(ctx, text, &n, plain, (int)len) == 1 && n == (int)len &&
	    EVP_CipherFinal_ex(ctx, text + len, &n) == 1 && n == 0 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, text + len) == 1)
		r = 0;
out:
	EVP_CIPHER_CTX_free(ctx);
	return r;
}

int seal_open(const struct seal_ring *ring, const char *purpose, int64_t user_id, const uint8_t *sealed, void *plain,
    size_t len)
{
	const uint8_t *nonce = sealed + SEAL_ID_LEN, *text = nonce + NONCE_LEN;
	const struct seal_key *k = ring != NULL ? find(ring, sealed) : NULL;
	EVP_CIPHER_CTX *ctx;
	uint8_t tag[TAG_LEN];
	int n = 0, r = -1;

	explicit_bzero(plain, len);
	if (k == NULL || len > SEAL_PLAIN_MAX) {
		errno = ENOKEY;
		return -1;
	}
	ctx = EVP_CIPHER_CTX_new();
	memcpy(tag, text + len, sizeof(tag));
	if (ctx != NULL && EVP_CipherInit_ex2(ctx, EVP_aes_256_gcm(), k->key, nonce, 0, NULL) == 1 &&
	    bind(ctx, purpose, user_id, sealed) == 0 &&
	    EVP_CipherUpdate(ctx, plain, &n, text, (int)len) == 1 && n == (int)len &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1 &&
	    EVP_CipherFinal_ex(ctx, tag, &n) == 1)
		r = 0;
	EVP_CIPHER_CTX_free(ctx);
	if (r != 0) {
		explicit_bzero(plain, len); /* what GCM gave before it saw the tag */
		errno = EBADMSG;
	}
	return r;
}

bool seal_is_current(const struct seal_ring *ring, const uint8_t *sealed)
{
	return ring->n > 0 && memcmp(ring->keys[0].id, sealed, SEAL_ID_LEN) == 0;
}
