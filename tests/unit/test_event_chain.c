/*
 * test_event_chain.c - events from several recordings put together: what is whole, missing, changed, doubled.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "event_chain.h"

#define ROWS 20

static const uint8_t zero[EVENT_HASH_LEN];
static uint8_t hashes[ROWS + 1][EVENT_HASH_LEN];	/* hashes[0]: before the first */

static struct event_row row(int64_t n)
{
	return (struct event_row){ n, 1000 + n, "login.ok", "alice", "", "{}" };
}

static int setup(void **state)
{
	static struct event_chain c;

	for (int64_t n = 1; n <= ROWS; n++) {
		struct event_row e = row(n);

		assert_int_equal(event_hash(hashes[n - 1], &e, hashes[n]), 0);
	}
	*state = &c;
	return event_chain_init(&c);
}

static int teardown(void **state)
{
	event_chain_finish(*state);
	return 0;
}

static enum event_verdict add(struct event_chain *c, int64_t n)
{
	struct event_row e = row(n);

	return event_chain_add(c, &e, hashes[n]);
}

static void add_all(struct event_chain *c, int64_t from, int64_t to)
{
	for (int64_t n = from; n <= to; n++)
		assert_int_equal(add(c, n), EVENT_NEXT);
}

static void one_recording_after_the_other_is_whole(void **state)
{
	struct event_chain *c = *state;

	assert_int_equal(event_chain_begin(c, 0, zero), EVENT_NEXT);
	add_all(c, 1, 10);
	assert_int_equal(event_chain_begin(c, 10, hashes[10]), EVENT_NEXT);
	add_all(c, 11, 20);
	assert_memory_equal(event_chain_hash(c, 20), hashes[20], EVENT_HASH_LEN);
	assert_null(event_chain_hash(c, 21));
}

static void what_comes_twice_must_be_the_same(void **state)
{
	struct event_chain *c = *state;
	struct event_row other = row(8);
	uint8_t hash[EVENT_HASH_LEN];

	event_chain_begin(c, 0, zero);
	add_all(c, 1, 10);
	assert_int_equal(event_chain_begin(c, 6, hashes[6]), EVENT_TWICE);
	assert_int_equal(add(c, 7), EVENT_TWICE);
	other.actor = "mallory";
	assert_int_equal(event_hash(hashes[7], &other, hash), 0);
	assert_int_equal(event_chain_add(c, &other, hash), EVENT_OTHER);
	assert_int_equal(event_chain_add(c, &other, hashes[8]), EVENT_CHANGED); /* the old hash on another row */
	assert_int_equal(event_chain_begin(c, 6, hashes[7]), EVENT_OTHER);
	assert_int_equal(add(c, 11), EVENT_NEXT);
}

static void what_is_missing_is_named(void **state)
{
	struct event_chain *c = *state;

	event_chain_begin(c, 0, zero);
	add_all(c, 1, 3);
	assert_int_equal(event_chain_begin(c, 7, hashes[7]), EVENT_MISSING);
	assert_int_equal(c->missing, 4);
	add_all(c, 8, 9);
	assert_int_equal(add(c, 12), EVENT_MISSING); /* inside a recording */
	assert_int_equal(c->missing, 10);
	add_all(c, 13, 14);
	assert_int_equal(add(c, 2), EVENT_OLD);
}

static void a_change_breaks_what_follows(void **state)
{
	struct event_chain *c = *state;
	struct event_row e = row(4);

	event_chain_begin(c, 0, zero);
	add_all(c, 1, 3);
	e.detail = "{\"changed\":1}";
	assert_int_equal(event_chain_add(c, &e, hashes[4]), EVENT_CHANGED);
	assert_int_equal(add(c, 5), EVENT_NEXT); /* follows from the recorded hash: one fault, not sixteen */
}

static void memory_is_bounded(void **state)
{
	struct event_chain *c = *state;
	uint8_t h[EVENT_HASH_LEN] = { 0 };

	event_chain_begin(c, 0, zero);
	for (int64_t n = 1; n <= EVENT_CHAIN_MEMORY + 5; n++) {
		struct event_row e = row(n);

		assert_int_equal(event_hash(h, &e, h), 0);
		assert_int_equal(event_chain_add(c, &e, h), EVENT_NEXT);
	}
	assert_int_equal(add(c, 5), EVENT_OLD);
	assert_int_equal(add(c, 7), EVENT_TWICE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(one_recording_after_the_other_is_whole), T(what_comes_twice_must_be_the_same), T(what_is_missing_is_named),
		T(a_change_breaks_what_follows), T(memory_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
