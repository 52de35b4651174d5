/*
 * test_brec.c - the pure encoders and decoders of the format: round trips, each field's limits, every cut, every bit.
 */
#include "brec_fixture.h"

#include "crc32c.h"
#include "hex.h"

/* A key part with the given numbers of recipients (second 0: one group). */
static void make_part(struct buf *b, uint32_t main_count, uint32_t input_count)
{
	static const uint8_t fill[BREC_STANZA_LEN] = { 0xaa };

	buf_init(b, BREC_HEADER_MAX);
	buf_put_u8(b, input_count != 0 ? 2 : 1);
	for (uint8_t g = 0; g < (input_count != 0 ? 2 : 1); g++) {
		uint32_t n = g == 0 ? main_count : input_count;

		buf_put_u8(b, g);
		buf_put(b, fill, 32);
		buf_put_u32(b, n);
		for (uint32_t i = 0; i < n; i++)
			buf_put(b, fill, BREC_STANZA_LEN);
	}
}

static struct sign_key *key;
static uint8_t pub[KEY_LEN];

static void make_header(struct buf *out, uint32_t segment, uint64_t first)
{
	struct brec_header h = { .segment = segment, .first_seq = first, .wall_us = FIXTURE_WALL };
	struct buf part;

	make_part(&part, 2, 1);
	h.part = part.data;
	h.part_len = part.len;
	memset(h.id, 0x11, sizeof(h.id));
	if (segment != 0)
		memset(h.prev, 0x22, sizeof(h.prev));
	memset(h.boot_id, 0x33, sizeof(h.boot_id));
	buf_init(out, BREC_HEADER_MAX);
	assert_int_equal(brec_header_build(out, &h, key), 0);
	buf_finish(&part);
}

static void test_header(void **state)
{
	struct brec_header h;
	struct brec_wrap wraps[BREC_GROUPS];
	uint8_t id[32], other[KEY_LEN];
	struct sign_key *stranger = sign_key_generate();
	struct buf b;

	(void)state;
	make_header(&b, 3, 77);
	assert_int_equal(brec_header_decode(b.data, b.len, &h), 0);
	assert_int_equal(h.len, b.len);
	assert_int_equal(h.segment, 3);
	assert_int_equal(h.epoch, 3);
	assert_int_equal(h.first_seq, 77);
	assert_int_equal(h.wall_us, FIXTURE_WALL);
	assert_int_equal(h.id[15], 0x11);
	assert_int_equal(h.prev[0], 0x22);
	assert_int_equal(h.boot_id[7], 0x33);
	assert_int_equal(key_id(id, pub), 0);
	assert_memory_equal(h.signer, id, 32);
	assert_true(brec_header_verify(b.data, &h, pub));
	sign_key_public(stranger, other);
	assert_false(brec_header_verify(b.data, &h, other));
	sign_key_destroy(stranger);
	assert_int_equal(brec_part_decode(h.part, h.part_len, wraps), 0);
	assert_true(wraps[0].present && wraps[1].present);
	assert_int_equal(wraps[0].count, 2);
	assert_int_equal(wraps[1].count, 1);
	/* more bytes behind it are not its own */
	buf_finish(&b);
	make_header(&b, 0, 1);
	b.max += 100;
	buf_put(&b, "more", 4);
	assert_int_equal(brec_header_decode(b.data, b.len, &h), 0);
	assert_int_equal(h.len, b.len - 4);
	for (size_t len = 0; len < h.len; len++) {
		struct brec_header cut;

		assert_int_equal(brec_header_decode(b.data, len, &cut), BREC_SHORT);
	}
	/* every bit matters: refused, or the signature no longer holds */
	for (size_t i = 0; i < (b.len - 4) * 8; i++) {
		struct brec_header bent;

		b.data[i / 8] ^= (uint8_t)(1 << i % 8);
		if (brec_header_decode(b.data, b.len, &bent) == 0)
			assert_false(brec_header_verify(b.data, &bent, pub));
		b.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	buf_finish(&b);
}

static void test_header_refused(void **state)
{
	struct brec_header h = { .first_seq = 1 };
	struct buf part, out, big;
	uint8_t *p;

	(void)state;
	make_part(&part, 1, 0);
	h.part = part.data;
	h.part_len = part.len - 1;
	buf_init(&out, BREC_HEADER_MAX);
	assert_int_equal(brec_header_build(&out, &h, key), BREC_E_FIELD);
	h.part_len = BREC_PART_MAX + 1;
	assert_int_equal(brec_header_build(&out, &h, key), BREC_E_LENGTH);
	h.part_len = part.len;
	buf_init(&big, 100);
	assert_int_equal(brec_header_build(&big, &h, key), BREC_E_LENGTH);
	buf_finish(&big);
	/* the largest part there can be */
	buf_finish(&part);
	make_part(&part, BREC_RECIPIENTS_MAX, BREC_RECIPIENTS_MAX);
	h.part = part.data;
	h.part_len = part.len;
	assert_int_equal(brec_header_build(&out, &h, key), 0);
	assert_int_equal(brec_header_decode(out.data, out.len, &h), 0);
	buf_finish(&out);
	/* fields that no writer makes: (offset, value) */
	static const struct { size_t at; uint8_t value; int error; } bad[] = {
		{ 0, 'b', BREC_E_MAGIC }, { 9, 2, BREC_E_VERSION }, { 11, 2, BREC_E_FIELD }, { 11, 3, BREC_E_VERSION }, { 12, 1, BREC_E_LENGTH },
		{ 15, 0xff, BREC_SHORT }, { 35, 1, BREC_E_FIELD }, { 39, 1, BREC_E_FIELD }, { 47, 2, BREC_E_FIELD },
		{ 47, 0, BREC_E_FIELD }, { 48, 1, BREC_E_FIELD }, { 80, 0x80, BREC_E_FIELD }, { 139, 0, BREC_E_LENGTH },
		{ 140, 0, BREC_E_FIELD }, { 140, 1, BREC_E_FIELD }, { 140, 3, BREC_E_FIELD }, { 141, 1, BREC_E_FIELD },
		{ 177, 0, BREC_E_FIELD }, { 177, 3, BREC_E_FIELD },
	};
	make_header(&out, 0, 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t was;

		p = out.data + bad[i].at;
		was = *p;
		*p = bad[i].value;
		if (brec_header_decode(out.data, out.len, &h) != bad[i].error)
			fail_msg("byte %zu set to %u: %d", bad[i].at, bad[i].value, brec_header_decode(out.data, out.len, &h));
		*p = was;
	}
	buf_finish(&out);
	buf_finish(&part);
}

static void test_part(void **state)
{
	struct brec_wrap wraps[BREC_GROUPS];
	struct buf b;

	(void)state;
	make_part(&b, 1, 0);
	assert_int_equal(brec_part_decode(b.data, b.len, wraps), 0);
	assert_false(wraps[1].present);
	for (size_t len = 0; len < b.len; len++)
		assert_int_equal(brec_part_decode(b.data, len, wraps), BREC_E_FIELD);
	buf_put_u8(&b, 0);
	assert_int_equal(brec_part_decode(b.data, b.len, wraps), BREC_E_FIELD);
	buf_finish(&b);
	make_part(&b, BREC_RECIPIENTS_MAX + 1, 0);
	assert_int_equal(brec_part_decode(b.data, b.len, wraps), BREC_E_FIELD);
	buf_finish(&b);
}

static size_t make_frame(uint8_t *frame, enum brec_type type, enum brec_stream stream, size_t body)
{
	brec_frame_head(frame, type, stream, 4, 0x0102030405060708, body);
	memset(frame + BREC_FRAME_HEAD, 0x5a, body);
	brec_frame_end(frame, BREC_FRAME_HEAD + body + 4);
	return BREC_FRAME_HEAD + body + 4;
}

static void test_frame(void **state)
{
	static uint8_t frame[BREC_FRAME_MAX + 64];
	struct brec_frame f;
	size_t len = make_frame(frame, BREC_DATA, BREC_INPUT, 48);

	(void)state;
	assert_int_equal(brec_frame_decode(frame, len, &f), 0);
	assert_int_equal(f.type, BREC_DATA);
	assert_int_equal(f.stream, BREC_INPUT);
	assert_int_equal(f.epoch, 4);
	assert_int_equal(f.seq, 0x0102030405060708);
	assert_int_equal(f.body_len, 48);
	assert_ptr_equal(f.body, frame + 20);
	assert_int_equal(f.len, len);
	/* the crc covers all but itself, and is where the man page says */
	assert_int_equal(crc32c(0, frame, len - 4), (uint32_t)frame[len - 4] << 24 | (uint32_t)frame[len - 3] << 16 |
	    (uint32_t)frame[len - 2] << 8 | frame[len - 1]);
	for (size_t cut = 0; cut < len; cut++) {
		assert_int_equal(brec_frame_decode(frame, cut, &f), BREC_SHORT);
		assert_int_equal(f.len, cut < 4 ? 0 : len);
	}
	for (size_t i = 0; i < len * 8; i++) {
		frame[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_true(brec_frame_decode(frame, len, &f) != 0);
		frame[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	/* lengths */
	len = make_frame(frame, BREC_DATA, BREC_OUTPUT, BREC_FRAME_MAX - 24);
	assert_int_equal(brec_frame_decode(frame, len, &f), BREC_E_LENGTH);	/* no multiple of 16 */
	len = make_frame(frame, BREC_DATA, BREC_OUTPUT, 65504);
	assert_int_equal(brec_frame_decode(frame, len, &f), 0);
	len = make_frame(frame, BREC_DATA, BREC_OUTPUT, 65504 + 16);
	assert_int_equal(brec_frame_decode(frame, len, &f), BREC_E_LENGTH);	/* over 64 KiB */
	len = make_frame(frame, BREC_DATA, BREC_OUTPUT, 16);
	assert_int_equal(brec_frame_decode(frame, len, &f), BREC_E_LENGTH);	/* nothing but a tag */
	len = make_frame(frame, BREC_CHECKPOINT, BREC_META, 103);
	assert_int_equal(brec_frame_decode(frame, len, &f), BREC_E_LENGTH);
	len = make_frame(frame, BREC_CLOSE, BREC_META, 108);
	assert_int_equal(brec_frame_decode(frame, len, &f), BREC_E_LENGTH);
	len = make_frame(frame, BREC_CLOSE, BREC_META, 366);
	assert_int_equal(brec_frame_decode(frame, len, &f), BREC_E_LENGTH);
	memset(frame, 0, 4);
	assert_int_equal(brec_frame_decode(frame, len, &f), BREC_E_LENGTH);
	/* fields */
	len = make_frame(frame, 0, BREC_META, 48);
	assert_int_equal(brec_frame_decode(frame, len, &f), BREC_E_FIELD);
	len = make_frame(frame, BREC_CLOSE + 1, BREC_META, 48);
	assert_int_equal(brec_frame_decode(frame, len, &f), BREC_E_FIELD);
	len = make_frame(frame, BREC_DATA, BREC_STREAMS, 48);
	assert_int_equal(brec_frame_decode(frame, len, &f), BREC_E_FIELD);
	len = make_frame(frame, BREC_SEAL, BREC_INPUT, 104);
	assert_int_equal(brec_frame_decode(frame, len, &f), BREC_E_FIELD);
	len = make_frame(frame, BREC_DATA, BREC_META, 48);
	memset(frame + 12, 0, 8);
	brec_frame_end(frame, len);
	assert_int_equal(brec_frame_decode(frame, len, &f), BREC_E_FIELD);	/* sequence 0 */
	len = make_frame(frame, BREC_DATA, BREC_META, 48);
	frame[7] = 1;
	brec_frame_end(frame, len);
	assert_int_equal(brec_frame_decode(frame, len, &f), BREC_E_FIELD);
}

static void test_mark(void **state)
{
	uint8_t id[BREC_ID_LEN] = { 7 };

	(void)state;
	for (enum brec_type type = BREC_CHECKPOINT; type <= BREC_CLOSE; type++) {
		struct brec_mark m = { .type = type, .seq = 9, .epoch = 2, .wall_us = 123456, .h = { 0xee } }, got;
		struct brec_frame f;
		struct buf b;

		if (type == BREC_CLOSE) {
			m.end = BREC_END_ABANDONED;
			memset(m.reason, 'r', BREC_REASON_MAX);
		}
		buf_init(&b, 4096);
		assert_int_equal(brec_mark_build(&b, id, &m, key), 0);
		assert_int_equal(brec_frame_decode(b.data, b.len, &f), 0);
		assert_int_equal(f.len, b.len);
		assert_int_equal(f.type, type);
		assert_int_equal(brec_mark_decode(&f, &got), 0);
		assert_int_equal(got.seq, 9);
		assert_int_equal(got.wall_us, 123456);
		assert_memory_equal(got.h, m.h, sizeof(m.h));
		assert_string_equal(got.reason, m.reason);
		assert_true(brec_mark_verify(id, &got, pub));
		/* bound to the recording, the type, the place, the chain, the time and the end */
		id[0] ^= 1;
		assert_false(brec_mark_verify(id, &got, pub));
		id[0] ^= 1;
		got.type = type == BREC_SEAL ? BREC_CHECKPOINT : BREC_SEAL;
		assert_false(brec_mark_verify(id, &got, pub));
		got.type = type;
		got.seq++;
		assert_false(brec_mark_verify(id, &got, pub));
		got.seq--;
		got.h[31] ^= 1;
		assert_false(brec_mark_verify(id, &got, pub));
		got.h[31] ^= 1;
		got.wall_us++;
		assert_false(brec_mark_verify(id, &got, pub));
		got.wall_us--;
		if (type == BREC_CLOSE) {
			got.end = BREC_END_NORMAL;
			assert_false(brec_mark_verify(id, &got, pub));
			got.end = BREC_END_ABANDONED;
			got.reason[0] = 'R';
			assert_false(brec_mark_verify(id, &got, pub));
			/* an end that is none, a NUL in the reason, a length that is not the rest's */
			b.data[124] = 6;
			assert_int_equal(brec_mark_decode(&f, &got), BREC_E_FIELD);
			b.data[124] = 1;
			b.data[129] = 0;
			assert_int_equal(brec_mark_decode(&f, &got), BREC_E_FIELD);
			b.data[129] = 'r';
			b.data[128]--;
			assert_int_equal(brec_mark_decode(&f, &got), BREC_E_FIELD);
		}
		buf_finish(&b);
		buf_init(&b, 20);
		assert_int_equal(brec_mark_build(&b, id, &m, key), BREC_E_LENGTH);
		buf_finish(&b);
	}
	struct brec_frame data = { .type = BREC_DATA };
	struct brec_mark none;
	assert_int_equal(brec_mark_decode(&data, &none), BREC_E_FIELD);
}

/* Vectors computed from bastion-record(5) by other means (Python's hashlib and hmac). */
static void test_keys_and_chain(void **state)
{
	uint8_t id[16], file_key[16], group[32], h[32], out[32], nonce[12], tail[BREC_AAD_TAIL];
	char hex[65];

	(void)state;
	for (uint8_t i = 0; i < 16; i++) {
		id[i] = i;
		file_key[i] = (uint8_t)(0xf0 + i);
	}
	assert_int_equal(brec_group_key(group, file_key, id, 5, BREC_GROUP_INPUT), 0);
	assert_string_equal(hex_encode(hex, group, 32), "09ef7f9259f0e14998f5fb31a62a88b61234abfe7dd310567c19d46003ccb9b1");
	assert_int_equal(brec_commitment(out, group, id, 5, BREC_GROUP_INPUT), 0);
	assert_string_equal(hex_encode(hex, out, 32), "41645a2a91174f3da66e87623d2a008f1944a2aaf91e7725bae09ccba4ce4c4d");
	assert_int_equal(brec_stream_key(out, group, id, 5, BREC_INPUT), 0);
	assert_string_equal(hex_encode(hex, out, 32), "886d14e55160b1e02561cb0ea709f3d47d68c3a54c65d4e83059ea56d7b6654b");
	assert_int_equal(brec_chain_start(h, (const uint8_t *)"header", 6), 0);
	assert_string_equal(hex_encode(hex, h, 32), "4446d5c089303568f167490d43dbe62fe4ce67fe43b6e26ba5794aa98548a27d");
	assert_int_equal(brec_chain_add(h, (const uint8_t *)"frame", 5), 0);
	assert_string_equal(hex_encode(hex, h, 32), "9ae308dba002c62eeff96c1784d4702dac7951ec9940118a6204216937905062");
	brec_nonce(nonce, 0x0102030405060708);
	assert_memory_equal(nonce, "\0\0\0\0\1\2\3\4\5\6\7\10", 12);
	brec_aad_tail(tail, id, 0x0a0b0c0d);
	assert_memory_equal(tail, id, 16);
	assert_memory_equal(tail + 16, "\x0a\x0b\x0c\x0d", 4);
}

static int events(const void *plain, size_t len)
{
	struct brec_event e;
	struct buf b;
	int n = 0, got;

	buf_view(&b, plain, len);
	while ((got = brec_event_decode(&b, &e)) == 1)
		n++;
	return got == 0 ? n : got;
}

static void test_events(void **state)
{
	uint8_t block[64] = { 0 };
	struct brec_event e;
	struct buf b;

	(void)state;
	/* kind o, t 300, channel 2, 3 bytes */
	memcpy(block, "o\xac\x02\x02\x03" "abc", 8);
	buf_view(&b, block, 16);
	assert_int_equal(brec_event_decode(&b, &e), 1);
	assert_int_equal(e.kind, 'o');
	assert_int_equal(e.t_us, 300);
	assert_int_equal(e.channel, 2);
	assert_int_equal(e.len, 3);
	assert_memory_equal(e.data, "abc", 3);
	assert_int_equal(brec_event_decode(&b, &e), 0);
	assert_int_equal(brec_event_decode(&b, &e), 0);
	assert_int_equal(events(block, 8), 1);		/* no padding needed */
	assert_int_equal(events(block, 8 + 15), 1);
	assert_int_equal(events(block, 8 + 16), BREC_E_FIELD);	/* a block of padding */
	block[15] = 1;
	assert_int_equal(events(block, 16), BREC_E_FIELD);	/* padding is zeros */
	assert_int_equal(events(block, 7), BREC_E_FIELD);	/* fewer bytes than said */
	assert_int_equal(events("o\x80\x00\x00\x00", 5), BREC_E_FIELD);	/* a varint too long for its value */
	assert_int_equal(events("\x80\x00\x00\x00", 4), BREC_E_FIELD);	/* a piece of nothing */
	assert_int_equal(events("\xed\x00\x00\x00m\x00\x00\x00", 8), 2);
	assert_int_equal(events("i\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13), BREC_E_FIELD);
	assert_int_equal(events("", 0), 0);
}

static void test_words(void **state)
{
	(void)state;
	for (int e = BREC_E_CRYPTO; e <= 0; e++)
		assert_string_not_equal(brec_strerror(e), "?");
	assert_string_equal(brec_strerror(1), "?");
	assert_string_equal(brec_end_name(BREC_END_ABANDONED), "abandoned");
	assert_string_equal(brec_end_name(0), "?");
	assert_string_equal(brec_end_name(6), "?");
	assert_string_equal(brec_stream_name(BREC_INPUT), "input");
	assert_string_equal(brec_stream_name(BREC_STREAMS), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header), cmocka_unit_test(test_header_refused), cmocka_unit_test(test_part),
		cmocka_unit_test(test_frame), cmocka_unit_test(test_mark), cmocka_unit_test(test_keys_and_chain),
		cmocka_unit_test(test_events), cmocka_unit_test(test_words),
	};
	int r;

	key = sign_key_generate();
	sign_key_public(key, pub);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	sign_key_destroy(key);
	return r;
}
