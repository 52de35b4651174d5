/*
 * wire_receipt.h - the collector's signed word that it holds frames durably.
 *
 * Runs in bastion-collectord (makes), the recorder and the offline verifier (check). Pure.
 *
 * One signature covers a batch: the leaves (recording, sequence, h after that frame) of all
 * recordings of one client that moved on since the receipt before. As h chains over everything
 * before, a leaf stands for the whole recording up to its sequence.
 *
 *   leaf  = SHA-256(0x00 ‖ id ‖ u64 sequence ‖ h)
 *   node  = SHA-256(0x01 ‖ left ‖ right); a tree as in RFC 6962 section 2.1
 *   signature = Ed25519 over "brec/v1 receipt" ‖ collector id ‖ u64 wall µs ‖ u32 number of leaves ‖ root
 *   collector id = SHA-256(raw receipt public key)
 *
 * Stored, one a recording, in its file `receipts` (newest last):
 *   u32 length of what follows, b32 receipt public key, u64 wall µs, b16 id, u64 sequence, b32 h,
 *   u32 number of leaves, u32 index of this one, list(b32 path), b64 signature, u32 crc32c of all before
 */
#ifndef BASTION_WIRE_RECEIPT_H
#define BASTION_WIRE_RECEIPT_H

#include "wire.h"

#define RECEIPT_PATH_MAX 10		/* log2 WIRE_LEAVES_MAX */
#define RECEIPT_LEN_MAX (32 + 8 + WIRE_LEAF_LEN + 3 * 4 + RECEIPT_PATH_MAX * BREC_HASH_LEN + WIRE_SIG_LEN + 4)	/* behind its length */

struct sign_key;

struct receipt {
	uint8_t key[32];		/* raw Ed25519 public key of the collector's receipts */
	uint64_t wall_us;
	struct wire_leaf leaf;
	uint32_t leaves, index;
	size_t path_len;
	uint8_t path[RECEIPT_PATH_MAX][BREC_HASH_LEN];
	uint8_t sig[WIRE_SIG_LEN];
};

/* Root of 1 to WIRE_LEAVES_MAX leaves. 0 or -1. */
int receipt_root(const struct wire_leaf *leaves, size_t n, uint8_t root[BREC_HASH_LEN]);
/* Signs a batch. `key` is the raw public half of `signer`. */
int receipt_sign(const struct sign_key *signer, const uint8_t key[32], uint64_t wall_us,
    const struct wire_leaf *leaves, size_t n, uint8_t sig[WIRE_SIG_LEN]);
/* Checks a batch. 0 good, -1 not. */
int receipt_check_batch(const uint8_t key[32], uint64_t wall_us, const struct wire_leaf *leaves, size_t n,
    const uint8_t sig[WIRE_SIG_LEN]);

/* The receipt of leaf `index` of a batch, with its path. 0 or -1. */
int receipt_extract(struct receipt *r, const uint8_t key[32], uint64_t wall_us, const struct wire_leaf *leaves,
    size_t n, size_t index, const uint8_t sig[WIRE_SIG_LEN]);
int receipt_put(struct buf *b, const struct receipt *r);
/* Takes the next one from b. 0, or -1: malformed or crc wrong. */
int receipt_get(struct buf *b, struct receipt *r);
/*
 * `len` bytes at the end of a file, which begin with no whole receipt: are they what was left of one that was being written? No more than one
 * has, and in none of them begins a whole one.
 */
bool receipt_is_torn(const uint8_t *data, size_t len);
/*
 * Does its signature hold under r->key? The caller decides whether it trusts that key. 0 good, -1
 * not.
 */
int receipt_check(const struct receipt *r);

#endif
