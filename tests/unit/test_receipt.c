/*
 * test_receipt.c - the collector's receipts: the tree for every size up to a full one, signatures, and what is not believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto.h"
#include "hex.h"
#include "wire_receipt.h"

static struct sign_key *signer;
static uint8_t pub[KEY_LEN];
static struct wire_leaf leaves[WIRE_LEAVES_MAX + 1];

static int setup(void **state)
{
	const uint8_t seed[KEY_LEN] = { 1, 2, 3 };

	(void)state;
	signer = sign_key_from_seed(seed);
	sign_key_public(signer, pub);
	for (size_t i = 0; i < WIRE_LEAVES_MAX + 1; i++) {
		memset(&leaves[i], (int)(i & 0xff), sizeof(leaves[i]));
		leaves[i].seq = i * 1000003;
	}
	return signer == NULL;
}

static int teardown(void **state)
{
	(void)state;
	sign_key_destroy(signer);
	return 0;
}

/* The definition of RFC 6962 section 2.1, word for word. */
static void root_by_definition(const struct wire_leaf *l, size_t n, uint8_t out[32])
{
	uint8_t left[32], right[32], seq[8];
	size_t k = 1;

	if (n == 1) {
		for (int i = 0; i < 8; i++)
			seq[i] = (uint8_t)(l->seq >> (56 - 8 * i));
		sha256_spans(out, SPANS(SPAN("\0", 1), SPAN(l->id, 16), SPAN(seq, 8), SPAN(l->h, 32)));
		return;
	}
	while (k * 2 < n)
		k *= 2;
	root_by_definition(l, k, left);
	root_by_definition(l + k, n - k, right);
	sha256_spans(out, SPANS(SPAN("\1", 1), SPAN(left, 32), SPAN(right, 32)));
}

static void tree_is_rfc_6962(void **state)
{
	uint8_t want[32], got[32];

	(void)state;
	for (size_t n = 1; n <= 130; n++) {
		root_by_definition(leaves, n, want);
		assert_int_equal(receipt_root(leaves, n, got), 0);
		assert_memory_equal(got, want, 32);
	}
	root_by_definition(leaves, WIRE_LEAVES_MAX, want);
	assert_int_equal(receipt_root(leaves, WIRE_LEAVES_MAX, got), 0);
	assert_memory_equal(got, want, 32);
	assert_int_equal(receipt_root(leaves, 0, got), -1);
	assert_int_equal(receipt_root(leaves, WIRE_LEAVES_MAX + 1, got), -1);
}

/* Every leaf of trees of many sizes: extract, store, read back, check. */
static void every_leaf_has_a_path(void **state)
{
	static const size_t sizes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 100 };

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		uint8_t sig[WIRE_SIG_LEN];

		assert_int_equal(receipt_sign(signer, pub, 42, leaves, sizes[s], sig), 0);
		assert_int_equal(receipt_check_batch(pub, 42, leaves, sizes[s], sig), 0);
		for (size_t i = 0; i < sizes[s]; i++) {
			struct receipt r, back;
			struct buf b;

			assert_int_equal(receipt_extract(&r, pub, 42, leaves, sizes[s], i, sig), 0);
			buf_init(&b, RECEIPT_LEN_MAX + 8);
			assert_int_equal(receipt_put(&b, &r), 0);
			assert_int_equal(receipt_get(&b, &back), 0);
			assert_true(buf_end(&b));
			assert_int_equal(receipt_check(&back), 0);
			assert_memory_equal(&back.leaf, &leaves[i], sizeof(back.leaf));
			buf_finish(&b);
		}
	}
}

static void a_full_batch_fits(void **state)
{
	uint8_t sig[WIRE_SIG_LEN];
	struct receipt r;
	struct buf b;

	(void)state;
	assert_int_equal(receipt_sign(signer, pub, 1, leaves, WIRE_LEAVES_MAX, sig), 0);
	assert_int_equal(receipt_extract(&r, pub, 1, leaves, WIRE_LEAVES_MAX, WIRE_LEAVES_MAX - 1, sig), 0);
	assert_int_equal(r.path_len, RECEIPT_PATH_MAX);
	buf_init(&b, RECEIPT_LEN_MAX + 8);
	assert_int_equal(receipt_put(&b, &r), 0);
	assert_int_equal(b.len, 4 + RECEIPT_LEN_MAX);
	assert_int_equal(receipt_get(&b, &r), 0);
	assert_int_equal(receipt_check(&r), 0);
	buf_finish(&b);
}

/* What a power cut leaves of one is no receipt and no longer than one; what is longer, or has a whole one in it, it did not leave. */
static void a_torn_end(void **state)
{
	uint8_t sig[WIRE_SIG_LEN], both[8 + 2 * RECEIPT_LEN_MAX];
	struct receipt r;
	struct buf b;

	(void)state;
	assert_int_equal(receipt_sign(signer, pub, 1, leaves, WIRE_LEAVES_MAX, sig), 0);
	assert_int_equal(receipt_extract(&r, pub, 1, leaves, WIRE_LEAVES_MAX, 5, sig), 0);
	buf_init(&b, sizeof(both));
	assert_int_equal(receipt_put(&b, &r), 0);
	memcpy(both, b.data, b.len);
	for (size_t n = 0; n < b.len; n++)
		assert_true(receipt_is_torn(both, n));
	both[100] ^= 1;
	assert_true(receipt_is_torn(both, b.len));
	memset(both, 0, sizeof(both));
	assert_true(receipt_is_torn(both, 4 + RECEIPT_LEN_MAX));
	assert_false(receipt_is_torn(both, 4 + RECEIPT_LEN_MAX + 1));
	/* a short one behind what is left */
	assert_int_equal(receipt_sign(signer, pub, 1, leaves, 1, sig), 0);
	assert_int_equal(receipt_extract(&r, pub, 1, leaves, 1, 0, sig), 0);
	buf_reset(&b);
	assert_int_equal(receipt_put(&b, &r), 0);
	for (size_t at = 1; at + b.len <= 4 + RECEIPT_LEN_MAX; at++) {
		memset(both, 0xff, sizeof(both));
		memcpy(both + at, b.data, b.len);
		assert_false(receipt_is_torn(both, at + b.len));
		both[at + 60] ^= 1;
		assert_true(receipt_is_torn(both, at + b.len));
	}
	buf_finish(&b);
}

/* No byte of a stored receipt can change unseen: most break the crc; with the crc made good again the signature must break. */
static void no_byte_can_change(void **state)
{
	uint8_t sig[WIRE_SIG_LEN];
	struct receipt r, back;
	struct buf b, v;

	(void)state;
	assert_int_equal(receipt_sign(signer, pub, 7, leaves, 6, sig), 0);
	assert_int_equal(receipt_extract(&r, pub, 7, leaves, 6, 4, sig), 0);
	buf_init(&b, RECEIPT_LEN_MAX + 8);
	assert_int_equal(receipt_put(&b, &r), 0);
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= 1;
		buf_view(&v, b.data, b.len);
		assert_int_equal(receipt_get(&v, &back), -1);
		b.data[i] ^= 1;
		buf_view(&v, b.data, i);
		assert_int_equal(receipt_get(&v, &back), -1);
	}
	buf_finish(&b);
#define BROKEN_BY(change) do { back = r; change; assert_int_equal(receipt_check(&back), -1); } while (0)
	BROKEN_BY(back.wall_us++);
	BROKEN_BY(back.leaf.seq++);
	BROKEN_BY(back.leaf.id[3] ^= 1);
	BROKEN_BY(back.leaf.h[31] ^= 1);
	BROKEN_BY(back.key[0] ^= 1);
	BROKEN_BY(back.sig[10] ^= 1);
	BROKEN_BY(back.index ^= 1);
	BROKEN_BY(back.leaves = 5);
	BROKEN_BY(back.path_len--);
	BROKEN_BY(back.path[0][0] ^= 1);
	assert_int_equal(receipt_check(&r), 0);
}

static void a_batch_is_signed_as_it_is(void **state)
{
	uint8_t sig[WIRE_SIG_LEN], other[KEY_LEN];

	(void)state;
	assert_int_equal(receipt_sign(signer, pub, 7, leaves, 5, sig), 0);
	assert_int_equal(receipt_check_batch(pub, 8, leaves, 5, sig), -1);
	assert_int_equal(receipt_check_batch(pub, 7, leaves, 4, sig), -1);
	assert_int_equal(receipt_check_batch(pub, 7, leaves + 1, 5, sig), -1);
	memcpy(other, pub, sizeof(other));
	other[0] ^= 1;
	assert_int_equal(receipt_check_batch(other, 7, leaves, 5, sig), -1);
	sig[0] ^= 1;
	assert_int_equal(receipt_check_batch(pub, 7, leaves, 5, sig), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tree_is_rfc_6962), cmocka_unit_test(every_leaf_has_a_path), cmocka_unit_test(a_full_batch_fits), cmocka_unit_test(a_torn_end),
		cmocka_unit_test(no_byte_can_change), cmocka_unit_test(a_batch_is_signed_as_it_is),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
