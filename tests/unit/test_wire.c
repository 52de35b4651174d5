/*
 * test_wire.c - the messages between recorder and collector: each type there and back, and everything that is not one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire.h"

static uint8_t id[BREC_ID_LEN], h[BREC_HASH_LEN], frame[100], header[300];

static int setup(void **state)
{
	(void)state;
	memset(id, 0x11, sizeof(id));
	memset(h, 0x22, sizeof(h));
	memset(header, 0x33, sizeof(header));
	brec_frame_head(frame, BREC_DATA, BREC_OUTPUT, 0, 0x0102030405060708ULL, sizeof(frame) - BREC_FRAME_HEAD - 4);
	return 0;
}

/* Decodes what was put, and checks that no shorter and no longer piece of it decodes, nor one with a byte of type or length changed. */
static void decode_only_whole(struct wire_msg *m, struct buf *b)
{
	uint8_t *copy;

	assert_true(buf_ok(b));
	assert_int_equal(wire_length(b->data, b->len), (long)b->len);
	for (size_t len = 0; len < b->len; len++) {
		struct wire_msg other;

		copy = malloc(len != 0 ? len : 1);
		assert_non_null(copy);
		memcpy(copy, b->data, len);
		assert_int_equal(wire_decode(&other, copy, len), -1);
		/* the same cut, with a length that claims to be right */
		if (len >= WIRE_HEAD) {
			copy[0] = copy[1] = 0;
			copy[2] = (uint8_t)((len - 4) >> 8);
			copy[3] = (uint8_t)(len - 4);
			wire_decode(&other, copy, len);
		}
		free(copy);
	}
	assert_int_equal(wire_decode(m, b->data, b->len), 0);
}

static void entries_round_trip(void **state)
{
	const struct wire_entry in[] = {
		{ .type = WIRE_OPEN, .id = id, .h = h, .header = header, .header_len = sizeof(header) },
		{ .type = WIRE_FRAME, .id = id, .h = h, .frame = frame, .frame_len = sizeof(frame) },
		{ .type = WIRE_SEAL, .id = id, .h = h, .frame = frame, .frame_len = sizeof(frame), .header = header, .header_len = sizeof(header) },
		{ .type = WIRE_END, .id = id, .h = h, .frame = frame, .frame_len = sizeof(frame) },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
		struct wire_msg m;
		struct buf b;

		buf_init(&b, WIRE_MAX);
		assert_int_equal(wire_put_entry(&b, &in[i]), 0);
		decode_only_whole(&m, &b);
		assert_int_equal(m.type, in[i].type);
		assert_memory_equal(m.entry.id, id, sizeof(id));
		assert_memory_equal(m.entry.h, h, sizeof(h));
		assert_int_equal(m.entry.frame_len, in[i].frame_len);
		assert_int_equal(m.entry.header_len, in[i].header_len);
		if (in[i].frame_len != 0) {
			assert_memory_equal(m.entry.frame, frame, sizeof(frame));
			assert_true(m.entry.seq == 0x0102030405060708ULL);
		} else {
			assert_true(m.entry.seq == 0);
		}
		if (in[i].header_len != 0)
			assert_memory_equal(m.entry.header, header, sizeof(header));
		buf_finish(&b);
	}
}

static void small_messages_round_trip(void **state)
{
	struct wire_msg m;
	struct buf b;

	(void)state;
	buf_init(&b, WIRE_MAX);
	wire_put_hello(&b, h, "bastiond");
	decode_only_whole(&m, &b);
	assert_int_equal(m.hello.version, WIRE_VERSION);
	assert_memory_equal(m.hello.key, h, 32);
	assert_string_equal(m.hello.name, "bastiond");

	buf_reset(&b);
	wire_put_resume(&b, id, 0x1122334455667788ULL);
	decode_only_whole(&m, &b);
	assert_true(m.resume.opened_us == 0x1122334455667788ULL);

	buf_reset(&b);
	wire_put_at(&b, id, WIRE_AT_ENDED, 77, h);
	decode_only_whole(&m, &b);
	assert_int_equal(m.at.state, WIRE_AT_ENDED);
	assert_true(m.at.seq == 77);

	buf_reset(&b);
	wire_put_state(&b, WIRE_TAKES_NO_NEW, "disk full");
	decode_only_whole(&m, &b);
	assert_int_equal(m.state.takes, WIRE_TAKES_NO_NEW);
	assert_string_equal(m.state.text, "disk full");

	buf_reset(&b);
	wire_put_err(&b, NULL, WIRE_E_GAP, "why");
	decode_only_whole(&m, &b);
	assert_int_equal(m.err.code, WIRE_E_GAP);
	assert_string_equal(m.err.text, "why");
	buf_finish(&b);
}

static void leaves_round_trip(void **state)
{
	static struct wire_leaf leaves[WIRE_LEAVES_MAX];
	uint8_t sig[WIRE_SIG_LEN] = { 9 };
	struct wire_leaf one;
	struct wire_msg m;
	struct buf b;

	(void)state;
	for (size_t i = 0; i < WIRE_LEAVES_MAX; i++) {
		memset(leaves[i].id, (int)i & 0xff, BREC_ID_LEN);
		leaves[i].seq = i * i;
		memset(leaves[i].h, (int)i >> 2 & 0xff, BREC_HASH_LEN);
	}
	buf_init(&b, WIRE_MAX);
	assert_int_equal(wire_put_commit(&b, leaves, WIRE_LEAVES_MAX), 0);
	assert_int_equal(wire_decode(&m, b.data, b.len), 0);
	assert_int_equal(m.commit.n, WIRE_LEAVES_MAX);
	for (size_t i = 0; i < WIRE_LEAVES_MAX; i++) {
		wire_leaf_get(&m, i, &one);
		assert_memory_equal(&one, &leaves[i], sizeof(one));
	}
	buf_reset(&b);
	assert_int_equal(wire_put_receipt(&b, 5, sig, leaves, 3), 0);
	decode_only_whole(&m, &b);
	assert_true(m.commit.wall_us == 5);
	assert_int_equal(m.commit.n, 3);
	assert_memory_equal(m.commit.sig, sig, sizeof(sig));
	buf_reset(&b);
	assert_int_equal(wire_put_commit(&b, leaves, WIRE_LEAVES_MAX + 1), -1);
	buf_finish(&b);
	buf_init(&b, WIRE_MAX);
	assert_int_equal(wire_put_commit(&b, leaves, 0), -1);
	buf_finish(&b);
}

static void bounds_hold(void **state)
{
	static uint8_t big[WIRE_MAX + 1];
	struct wire_entry e = { .type = WIRE_FRAME, .id = id, .h = h, .frame = big, .frame_len = BREC_FRAME_MAX };
	struct wire_msg m;
	struct buf b;
	char text[WIRE_TEXT_MAX + 100];

	(void)state;
	/* lengths that no message has */
	assert_int_equal(wire_length((const uint8_t *)"\0\0\0\0", 4), -1);
	assert_int_equal(wire_length((const uint8_t *)"\0\0\0", 3), 0);
	assert_int_equal(wire_length((const uint8_t *)"\xff\xff\xff\xff", 4), -1);
	assert_int_equal(wire_length((const uint8_t *)"\0\1\xff\xfc", 4), WIRE_MAX);
	assert_int_equal(wire_length((const uint8_t *)"\0\1\xff\xfd", 4), -1);
	/* the longest frame passes, one byte more does not */
	buf_init(&b, WIRE_MAX);
	assert_int_equal(wire_put_entry(&b, &e), 0);
	assert_int_equal(wire_decode(&m, b.data, b.len), 0);
	buf_reset(&b);
	e.frame_len++;
	assert_int_equal(wire_put_entry(&b, &e), 0);
	assert_int_equal(wire_decode(&m, b.data, b.len), -1);
	/* a frame too short to hold its sequence */
	buf_reset(&b);
	e.frame_len = BREC_FRAME_HEAD + 3;
	wire_put_entry(&b, &e);
	assert_int_equal(wire_decode(&m, b.data, b.len), -1);
	/* a header of no bytes, and one too long */
	buf_reset(&b);
	e = (struct wire_entry){ .type = WIRE_OPEN, .id = id, .h = h, .header = big, .header_len = 0 };
	wire_put_entry(&b, &e);
	assert_int_equal(wire_decode(&m, b.data, b.len), -1);
	buf_reset(&b);
	e.header_len = BREC_HEADER_MAX + 1;
	wire_put_entry(&b, &e);
	assert_int_equal(wire_decode(&m, b.data, b.len), -1);
	/* text is cut, never an error */
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	buf_reset(&b);
	assert_int_equal(wire_put_err(&b, id, WIRE_E_CHAIN, text), 0);
	assert_int_equal(wire_decode(&m, b.data, b.len), 0);
	assert_int_equal(strlen(m.err.text), WIRE_TEXT_MAX);
	/* a type that is none; a state that is none; NUL in a text */
	b.data[4] = WIRE_TYPES;
	assert_int_equal(wire_decode(&m, b.data, b.len), -1);
	buf_reset(&b);
	wire_put_at(&b, id, WIRE_AT_OPEN, 1, h);
	b.data[WIRE_HEAD + BREC_ID_LEN] = WIRE_AT_ENDED + 1;
	assert_int_equal(wire_decode(&m, b.data, b.len), -1);
	buf_reset(&b);
	wire_put_state(&b, WIRE_TAKES_ALL, "abc");
	b.data[b.len - 2] = '\0';
	assert_int_equal(wire_decode(&m, b.data, b.len), -1);
	buf_finish(&b);
}

static void names_are_there(void **state)
{
	(void)state;
	for (unsigned i = 1; i < WIRE_TYPES; i++)
		assert_string_not_equal(wire_type_name(i), "?");
	for (unsigned i = 1; i <= WIRE_E_DAMAGED; i++)
		assert_string_not_equal(wire_err_name(i), "?");
	assert_string_equal(wire_type_name(0), "?");
	assert_string_equal(wire_type_name(WIRE_TYPES), "?");
	assert_string_equal(wire_err_name(0xffff), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(entries_round_trip, setup), cmocka_unit_test_setup(small_messages_round_trip, setup),
		cmocka_unit_test_setup(leaves_round_trip, setup), cmocka_unit_test_setup(bounds_hold, setup),
		cmocka_unit_test(names_are_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
