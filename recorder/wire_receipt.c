/*
 * wire_receipt.c - see wire_receipt.h. Runs in bastion-collectord, the recorder, the offline
 * verifier.
 */
#include "wire_receipt.h"

#include <string.h>

#include "crc32c.h"
#include "crypto.h"

static void store64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static int hash_leaf(const struct wire_leaf *leaf, uint8_t out[BREC_HASH_LEN])
{
	uint8_t seq[8];

	store64(seq, leaf->seq);
	return sha256_spans(
	    out, SPANS(SPAN("\0", 1), SPAN(leaf->id, BREC_ID_LEN), SPAN(seq, 8), SPAN(leaf->h, BREC_HASH_LEN)));
}

static int hash_node(const uint8_t *left, const uint8_t *right, uint8_t *out)
{
	return sha256_spans(out, SPANS(SPAN("\1", 1), SPAN(left, BREC_HASH_LEN), SPAN(right, BREC_HASH_LEN)));
}

/*
 * The tree of RFC 6962, level by level: pairs are hashed, an odd last one goes up as it is; that
 * gives the same root as splitting at the largest power of two. `path`, if given, collects the
 * neighbours of leaf `index`.
 */
static int climb(
    const struct wire_leaf *leaves, size_t n, uint8_t root[BREC_HASH_LEN], size_t index, struct receipt *path)
{
	uint8_t level[WIRE_LEAVES_MAX][BREC_HASH_LEN];

	if (n == 0 || n > WIRE_LEAVES_MAX)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (hash_leaf(&leaves[i], level[i]) != 0)
			return -1;
	for (; n > 1; n = (n + 1) / 2, index /= 2) {
		size_t neighbour = index ^ 1;

		if (path != NULL && neighbour < n)
			memcpy(path->path[path->path_len++], level[neighbour], BREC_HASH_LEN);
		for (size_t i = 0; i + 1 < n; i += 2)
			if (hash_node(level[i], level[i + 1], level[i / 2]) != 0)
				return -1;
		if (n % 2 == 1)
			memmove(level[n / 2], level[n - 1], BREC_HASH_LEN);
	}
	memcpy(root, level[0], BREC_HASH_LEN);
	return 0;
}

int receipt_root(const struct wire_leaf *leaves, size_t n, uint8_t root[BREC_HASH_LEN])
{
	return climb(leaves, n, root, 0, NULL);
}

#define TEXT "brec/v1 receipt"
#define SIGNED_LEN (sizeof(TEXT) - 1 + HASH_LEN + 8 + 4 + BREC_HASH_LEN)

static int signed_bytes(
    uint8_t out[SIGNED_LEN], const uint8_t key[32], uint64_t wall_us, size_t n, const uint8_t *root)
{
	uint8_t *p = out;

	memcpy(p, TEXT, sizeof(TEXT) - 1);
	p += sizeof(TEXT) - 1;
	if (key_id(p, key) != 0)
		return -1;
	p += HASH_LEN;
	store64(p, wall_us);
	store64(p + 8, (uint64_t)n << 32);	/* u32; the root goes over the rest */
	memcpy(p + 12, root, BREC_HASH_LEN);
	return 0;
}

int receipt_sign(const struct sign_key *signer, const uint8_t key[32], uint64_t wall_us,
    const struct wire_leaf *leaves, size_t n, uint8_t sig[WIRE_SIG_LEN])
{
	uint8_t root[BREC_HASH_LEN], text[SIGNED_LEN];

	if (receipt_root(leaves, n, root) != 0 || signed_bytes(text, key, wall_us, n, root) != 0)
		return -1;
	return sign_key_sign(signer, sig, text, sizeof(text));
}

int receipt_check_batch(const uint8_t key[32], uint64_t wall_us, const struct wire_leaf *leaves, size_t n,
    const uint8_t sig[WIRE_SIG_LEN])
{
	uint8_t root[BREC_HASH_LEN], text[SIGNED_LEN];

	if (receipt_root(leaves, n, root) != 0 || signed_bytes(text, key, wall_us, n, root) != 0)
		return -1;
	return ed25519_verify(key, sig, text, sizeof(text)) ? 0 : -1;
}

int receipt_extract(struct receipt *r, const uint8_t key[32], uint64_t wall_us, const struct wire_leaf *leaves,
    size_t n, size_t index, const uint8_t sig[WIRE_SIG_LEN])
{
	uint8_t root[BREC_HASH_LEN];

	if (index >= n)
		return -1;
	*r = (struct receipt){ .wall_us = wall_us, .leaf = leaves[index], .leaves = (uint32_t)n, .index = (uint32_t)index };
	memcpy(r->key, key, sizeof(r->key));
	memcpy(r->sig, sig, sizeof(r->sig));
	return climb(leaves, n, root, index, r);
}

int receipt_put(struct buf *b, const struct receipt *r)
{
	size_t start = b->len, len;

	len = 32 + 8 + WIRE_LEAF_LEN + 4 + 4 + 4 + r->path_len * BREC_HASH_LEN + WIRE_SIG_LEN + 4;
	buf_put_u32(b, (uint32_t)len);
	buf_put(b, r->key, sizeof(r->key));
	buf_put_u64(b, r->wall_us);
	buf_put(b, r->leaf.id, BREC_ID_LEN);
	buf_put_u64(b, r->leaf.seq);
	buf_put(b, r->leaf.h, BREC_HASH_LEN);
	buf_put_u32(b, r->leaves);
	buf_put_u32(b, r->index);
	buf_put_u32(b, (uint32_t)r->path_len);
	for (size_t i = 0; i < r->path_len; i++)
		buf_put(b, r->path[i], BREC_HASH_LEN);
	buf_put(b, r->sig, sizeof(r->sig));
	return buf_ok(b) ? buf_put_u32(b, crc32c(0, b->data + start, b->len - start)) : -1;
}

int receipt_get(struct buf *b, struct receipt *r)
{
	size_t start = b->off;
	uint32_t len = buf_get_u32(b), crc;

	*r = (struct receipt){ 0 };
	if (!buf_ok(b) || len > RECEIPT_LEN_MAX || len > buf_left(b))
		return -1;
	buf_get_copy(b, r->key, sizeof(r->key));
	r->wall_us = buf_get_u64(b);
	buf_get_copy(b, r->leaf.id, BREC_ID_LEN);
	r->leaf.seq = buf_get_u64(b);
	buf_get_copy(b, r->leaf.h, BREC_HASH_LEN);
	r->leaves = buf_get_u32(b);
	r->index = buf_get_u32(b);
	r->path_len = buf_get_u32(b);
	if (r->path_len > RECEIPT_PATH_MAX || r->leaves > WIRE_LEAVES_MAX || r->index >= r->leaves)
		return -1;
	for (size_t i = 0; i < r->path_len; i++)
		buf_get_copy(b, r->path[i], BREC_HASH_LEN);
	buf_get_copy(b, r->sig, sizeof(r->sig));
	if (!buf_ok(b))
		return -1;
	crc = crc32c(0, b->data + start, b->off - start);
	return buf_get_u32(b) == crc && buf_ok(b) && b->off - start == len + 4U ? 0 : -1;
}

bool receipt_is_torn(const uint8_t *data, size_t len)
{
	struct receipt r;
	struct buf b;

	if (len > 4 + RECEIPT_LEN_MAX)
		return false;
	for (size_t at = 1; at < len; at++) {
		buf_view(&b, data + at, len - at);
		if (receipt_get(&b, &r) == 0)
			return false;
	}
	return true;
}

int receipt_check(const struct receipt *r)
{
	uint8_t h[BREC_HASH_LEN], text[SIGNED_LEN];
	uint32_t index = r->index, n = r->leaves;
	size_t used = 0;

	if (hash_leaf(&r->leaf, h) != 0)
		return -1;
	for (; n > 1; n = (n + 1) / 2, index /= 2) {
		const uint8_t *p;

		if ((index ^ 1) >= n)	/* the odd last one */
			continue;
		if (used == r->path_len)
			return -1;
		p = r->path[used++];
		if (hash_node(index & 1 ? p : h, index & 1 ? h : p, h) != 0)
			return -1;
	}
	if (used != r->path_len || signed_bytes(text, r->key, r->wall_us, r->leaves, h) != 0)
		return -1;
	return ed25519_verify(r->key, r->sig, text, sizeof(text)) ? 0 : -1;
}
