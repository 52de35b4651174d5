/*
 * tlog_tree.c - see tlog_tree.h. Pure.
 */
#include "tlog_tree.h"

#include <string.h>

int tlog_hash_leaf(uint8_t out[HASH_LEN], const void *leaf, size_t len)
{
	return sha256_spans(out, SPANS(SPAN("\0", 1), SPAN(leaf, len)));
}

int tlog_hash_node(uint8_t out[HASH_LEN], const uint8_t left[HASH_LEN], const uint8_t right[HASH_LEN])
{
	return sha256_spans(out, SPANS(SPAN("\1", 1), SPAN(left, HASH_LEN), SPAN(right, HASH_LEN)));
}

/* One level up: pairs are hashed, an odd last one goes up as it is. That is the tree which RFC 6962 splits from above. */
static int rise(uint8_t (*nodes)[HASH_LEN], size_t n)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		if (tlog_hash_node(nodes[i / 2], nodes[i], nodes[i + 1]) != 0)
			return -1;
	if (n % 2 == 1)
		memmove(nodes[n / 2], nodes[n - 1], HASH_LEN);
	return 0;
}

int tlog_fold(uint8_t root[HASH_LEN], uint8_t (*nodes)[HASH_LEN], size_t n)
{
	for (; n > 1; n = (n + 1) / 2)
		if (rise(nodes, n) != 0)
			return -1;
	memcpy(root, nodes[0], HASH_LEN);
	return 0;
}

int tlog_peaks_add(struct tlog_peaks *p, const uint8_t leaf_hash[HASH_LEN])
{
	size_t n = (size_t)__builtin_popcountll(p->size);

	memcpy(p->hash[n], leaf_hash, HASH_LEN);
	/* as many peaks of equal height stand at the end as the size has ones at its end */
	for (uint64_t rest = p->size; rest & 1; rest >>= 1, n--)
		if (tlog_hash_node(p->hash[n - 1], p->hash[n - 1], p->hash[n]) != 0)
			return -1;
	p->size++;
	return 0;
}

int tlog_peaks_root(const struct tlog_peaks *p, uint8_t root[HASH_LEN])
{
	size_t n = (size_t)__builtin_popcountll(p->size);

	if (n == 0)
		return sha256_spans(root, NULL, 0);
	memcpy(root, p->hash[n - 1], HASH_LEN);
	while (--n > 0)
		if (tlog_hash_node(root, p->hash[n - 1], root) != 0)
			return -1;
	return 0;
}

int tlog_paths(struct tlog_path *paths, size_t npaths, uint8_t (*leaf_hashes)[HASH_LEN], size_t n, uint8_t root[HASH_LEN])
{
	for (size_t i = 0; i < npaths; i++) {
		paths[i].len = 0;
		if (paths[i].index >= n)
			return -1;
	}
	for (unsigned level = 0; n > 1; level++, n = (n + 1) / 2) {
		for (size_t i = 0; i < npaths; i++) {
			const uint64_t neighbour = (paths[i].index >> level) ^ 1;

			if (neighbour < n)
				memcpy(paths[i].hash[paths[i].len++], leaf_hashes[neighbour], HASH_LEN);
		}
		if (rise(leaf_hashes, n) != 0)
			return -1;
	}
	memcpy(root, leaf_hashes[0], HASH_LEN);
	return 0;
}

bool tlog_path_holds(const struct tlog_path *p, const uint8_t leaf_hash[HASH_LEN], uint64_t size, const uint8_t root[HASH_LEN])
{
	uint64_t index = p->index;
	uint8_t h[HASH_LEN];
	size_t used = 0;

	if (index >= size)
		return false;
	memcpy(h, leaf_hash, HASH_LEN);
	for (; size > 1; size = size / 2 + size % 2, index /= 2) {
		const uint8_t *other;

		if ((index ^ 1) >= size)	/* the odd last one */
			continue;
		if (used == p->len)
			return false;
		other = p->hash[used++];
		if (tlog_hash_node(h, index & 1 ? other : h, index & 1 ? h : other) != 0)
			return false;
	}
	return used == p->len && memcmp(h, root, HASH_LEN) == 0;
}
