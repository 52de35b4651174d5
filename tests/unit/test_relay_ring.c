/*
 * test_relay_ring.c - the last bytes of a terminal, for those who watch: against a model that keeps everything.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay_ring.h"

/* Reads all that there is; the bytes go to out, the number of them is returned. */
static size_t read_all(const struct ring *r, struct ring_reader *reader, uint8_t *out, size_t size, struct ring_piece *last)
{
	struct ring_piece p;
	size_t n = 0;

	for (;;) {
		ring_next(r, reader, &p);
		if (p.kind == RING_NOTHING)
			return n;
		if (p.kind == RING_DATA) {
			assert_true(p.len > 0 && p.len <= RING_PIECE && n + p.len <= size);
			memcpy(out + n, p.data, p.len);
			n += p.len;
		} else {
			*last = p;
			if (p.kind == RING_RESTART)
				n = 0;
		}
		ring_took(reader, &p);
	}
}

static void a_reader_gets_it_all(void **state)
{
	struct ring r = { .mem = NULL };
	struct ring_reader a = { 0 }, b = { 0 };
	struct ring_piece p = { .kind = RING_NOTHING };
	uint8_t out[256];

	(void)state;
	ring_resize(&r, 80, 24);
	assert_int_equal(read_all(&r, &a, out, sizeof(out), &p), 0);
	assert_int_equal(p.kind, RING_RESTART);
	assert_int_equal(p.cols, 80);
	assert_int_equal(p.lost, 0);
	assert_int_equal(ring_put(&r, "hello ", 6, 1, 1), 0);
	assert_int_equal(read_all(&r, &a, out, sizeof(out), &p), 6);
	ring_resize(&r, 100, 30);
	assert_int_equal(ring_put(&r, "world", 5, 2, 2), 0);
	assert_int_equal(read_all(&r, &a, out, sizeof(out), &p), 5);
	assert_memory_equal(out, "world", 5);
	assert_int_equal(p.kind, RING_SIZE);
	assert_int_equal(p.cols, 100);
	/* who comes late gets the same, in the sizes of then */
	ring_next(&r, &b, &p);
	assert_int_equal(p.kind, RING_RESTART);
	assert_int_equal(p.cols, 80);
	assert_int_equal(read_all(&r, &b, out, sizeof(out), &p), 11);
	assert_memory_equal(out, "hello world", 11);
	assert_int_equal(p.rows, 30);
	ring_finish(&r);
}

static void nothing_before_it_is_durable(void **state)
{
	struct ring r = { .mem = NULL };
	struct ring_reader a = { 0 };
	struct ring_piece p;
	uint8_t out[256];

	(void)state;
	assert_int_equal(ring_put(&r, "one", 3, 5, 4), 0);
	assert_int_equal(read_all(&r, &a, out, sizeof(out), &p), 0);
	assert_int_equal(ring_put(&r, "two", 3, 0, 4), 0);
	assert_int_equal(ring_put(&r, "three", 5, 7, 4), 0);
	assert_int_equal(read_all(&r, &a, out, sizeof(out), &p), 0);
	ring_commit(&r, 5);
	assert_int_equal(read_all(&r, &a, out, sizeof(out), &p), 3);
	ring_commit(&r, 6);
	assert_int_equal(read_all(&r, &a, out, sizeof(out), &p), 0);
	/* a stream that never stands still is shown all the same */
	for (uint64_t seq = 8; seq < 20; seq++)
		assert_int_equal(ring_put(&r, ".", 1, seq, seq - 1), 0);
	assert_true(read_all(&r, &a, out, sizeof(out), &p) >= 8);
	ring_commit(&r, 19);
	read_all(&r, &a, out, sizeof(out), &p);
	assert_int_equal(a.at, r.end);
	/* a line of the bastion's own behind bytes that wait is not shown before them */
	assert_int_equal(ring_put(&r, "x", 1, 30, 20), 0);
	assert_int_equal(ring_put(&r, "said", 4, 0, 20), 0);
	assert_int_equal(read_all(&r, &a, out, sizeof(out), &p), 0);
	ring_commit(&r, 30);
	assert_int_equal(read_all(&r, &a, out, sizeof(out), &p), 5);
	ring_finish(&r);
}

static void who_is_slow_starts_afresh(void **state)
{
	static uint8_t big[3 * RING_BYTES];
	struct ring r = { .mem = NULL };
	struct ring_reader a = { 0 };
	struct ring_piece p;

	(void)state;
	memset(big, 'x', sizeof(big));
	ring_resize(&r, 80, 24);
	assert_int_equal(ring_put(&r, "begin", 5, 0, 0), 0);
	read_all(&r, &a, big, sizeof(big), &p);
	memset(big, 'x', sizeof(big));
	big[2 * RING_BYTES + 100] = 0x1b;
	assert_int_equal(ring_put(&r, big, sizeof(big), 0, 0), 0);
	ring_next(&r, &a, &p);
	assert_int_equal(p.kind, RING_RESTART);
	/* at the escape near the beginning, not in the middle of what may be a sequence */
	assert_int_equal(p.at, 5 + 2 * RING_BYTES + 100);
	assert_int_equal(p.lost, p.at - 5);
	assert_int_equal(p.cols, 80);
	ring_took(&a, &p);
	assert_int_equal(read_all(&r, &a, big, sizeof(big), &p), RING_BYTES - 100);
	assert_int_equal(big[0], 0x1b);
	/* more sizes than are remembered */
	for (int i = 0; i < 3 * RING_SIZES; i++)
		ring_resize(&r, (uint16_t)(i + 1), 9);
	ring_next(&r, &a, &p);
	assert_int_equal(p.kind, RING_RESTART);
	assert_int_equal(p.lost, 0);
	read_all(&r, &a, big, sizeof(big), &p);
	assert_int_equal(p.cols, 3 * RING_SIZES);
	ring_finish(&r);
}

/* Any order of writing, sizes, commits and reading: a reader sees the stream with gaps, each of which it is told. */
static void any_order(void **state)
{
	static uint8_t all[8 << 20], out[2 * RING_BYTES];

	(void)state;
	srandom(7);
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)random();
	for (int round = 0; round < 60; round++) {
		struct ring r = { .mem = NULL };
		struct ring_reader reader[3] = { { 0 } };
		uint64_t at[3] = { 0 }, seq = 1, committed = 0, safe = 0, ends[4096] = { 0 };
		bool begun[3] = { false };

		ring_resize(&r, 80, 24);
		while (r.end + RING_BYTES < sizeof(all) && seq < 4000) {
			size_t n = (size_t)random() % (round % 2 != 0 ? 50000 : 300) + 1;
			struct ring_piece p;
			int i = (int)(random() % 3);

			assert_int_equal(ring_put(&r, all + r.end, n, seq, committed), 0);
			ends[seq++] = r.end;
			if (random() % 3 == 0)
				committed += (uint64_t)random() % (seq - committed);
			safe = ends[committed];
			ring_commit(&r, committed);
			if (random() % 20 == 0)
				ring_resize(&r, (uint16_t)(random() % 200), 50);
			for (int k = (int)(random() % 8); k > 0; k--) {
				ring_next(&r, &reader[i], &p);
				if (p.kind == RING_RESTART) {
					if (begun[i])
						assert_int_equal(p.at > at[i] ? p.at - at[i] : 0, p.lost);
					assert_true(p.at + RING_BYTES >= r.end);
					at[i] = p.at;
				} else if (p.kind == RING_DATA) {
					assert_memory_equal(p.data, all + at[i], p.len);
					at[i] += p.len;
					assert_true(at[i] <= safe);
				}
				if (p.kind == RING_NOTHING)
					break;
				if (random() % 10 != 0) /* not sent: it is asked again */
					ring_took(&reader[i], &p);
				else
					at[i] = reader[i].at;
				begun[i] = reader[i].begun;
			}
		}
		ring_commit(&r, seq);
		for (int i = 0; i < 3; i++) {
			struct ring_piece p;

			read_all(&r, &reader[i], out, sizeof(out), &p);
			assert_int_equal(reader[i].at, r.end);
			assert_int_equal(reader[i].size, r.nsizes);
		}
		ring_finish(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_gets_it_all), cmocka_unit_test(nothing_before_it_is_durable),
		cmocka_unit_test(who_is_slow_starts_afresh), cmocka_unit_test(any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
