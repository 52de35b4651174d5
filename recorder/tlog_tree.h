/*
 * tlog_tree.h - the Merkle tree of the log of recordings: RFC 6962 section 2.1, as RFC 9162 section 2.1 has it.
 *
 * Runs in bastion-collectord (grows it) and in the auditor's tools (checks it). Pure. All functions give 0, or -1 when
 * OpenSSL fails, unless they say more.
 */
#ifndef BASTION_TLOG_TREE_H
#define BASTION_TLOG_TREE_H

#include "crypto.h"

#define TLOG_PATH_MAX 63	/* hashes of an inclusion proof: sizes stay below 2^63 */

/* The peaks of a tree that grows: roots of the perfect trees that it is made of, largest first. Zeroed: an empty tree. */
struct tlog_peaks {
	uint64_t size;
	uint8_t hash[TLOG_PATH_MAX + 1][HASH_LEN];
};

/* SHA-256(00 + leaf). */
int tlog_hash_leaf(uint8_t out[HASH_LEN], const void *leaf, size_t len);
/* SHA-256(01 + left + right); out may be one of them. */
int tlog_hash_node(uint8_t out[HASH_LEN], const uint8_t left[HASH_LEN], const uint8_t right[HASH_LEN]);
/* The root over n neighbouring nodes of one level; the last may stand for fewer leaves. Overwrites them. n at least 1. */
int tlog_fold(uint8_t root[HASH_LEN], uint8_t (*nodes)[HASH_LEN], size_t n);

int tlog_peaks_add(struct tlog_peaks *p, const uint8_t leaf_hash[HASH_LEN]);
int tlog_peaks_root(const struct tlog_peaks *p, uint8_t root[HASH_LEN]);

/* A proof that leaf `index` is in a tree: the neighbours from the leaf up. */
struct tlog_path {
	uint64_t index;
	size_t len;
	uint8_t hash[TLOG_PATH_MAX][HASH_LEN];
};
/* Fills the paths of the leaves that paths[].index names, in one climb over all n leaf hashes, which it overwrites. */
int tlog_paths(struct tlog_path *paths, size_t npaths, uint8_t (*leaf_hashes)[HASH_LEN], size_t n, uint8_t root[HASH_LEN]);
/* RFC 9162 section 2.1.3.2. True if the path leads from the leaf to the root of a tree of `size` leaves. */
bool tlog_path_holds(const struct tlog_path *p, const uint8_t leaf_hash[HASH_LEN], uint64_t size, const uint8_t root[HASH_LEN]);

#endif
