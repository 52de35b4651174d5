/*
 * test_crypto_recid.c - ids of recordings: read back with the key they were made with, and with no other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto_recid.h"

static void an_id_is_read_with_its_key(void **state)
{
	const uint8_t key[RECID_KEY_LEN] = { 1, 2, 3 }, other[RECID_KEY_LEN] = { 1, 2, 4 };
	const uint64_t turns[] = { 1, 2, 255, 1ULL << 40 };
	uint8_t id[RECID_LEN], before[RECID_LEN] = { 0 };
	unsigned place;

	(void)state;
	for (size_t t = 0; t < sizeof(turns) / sizeof(turns[0]); t++)
		for (unsigned at = 0; at < RECID_PLACES; at++) {
			assert_int_equal(recid_make(id, key, at, turns[t]), 0);
			assert_memory_not_equal(id, before, 8);
			memcpy(before, id, sizeof(before));
			place = RECID_PLACES;
			assert_int_equal(recid_turn(id, key, &place), turns[t]);
			assert_int_equal(place, at);
			assert_int_equal(recid_turn(id, other, &place), 0);
		}
}

static void a_changed_one_is_none(void **state)
{
	const uint8_t key[RECID_KEY_LEN] = { 7 }, zeros[RECID_LEN] = { 0 };
	uint8_t id[RECID_LEN];
	unsigned place;

	(void)state;
	assert_int_equal(recid_make(id, key, 3, 9), 0);
	for (unsigned bit = 0; bit < 8 * RECID_LEN; bit++) {
		id[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(recid_turn(id, key, &place), 0);
		id[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(recid_turn(id, key, &place), 9);
	assert_int_equal(recid_turn(zeros, key, &place), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(an_id_is_read_with_its_key), cmocka_unit_test(a_changed_one_is_none) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
