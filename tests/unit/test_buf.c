/*
 * test_buf.c - buffers: what goes in comes out, nothing past the end or the limit, errors stick, one varint for one value.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"

static void test_round(void **state)
{
	struct buf b, v;
	size_t len;
	char text[8];
	uint8_t raw[3];

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(buf_put_u8(&b, 0xfe), 0);
	assert_int_equal(buf_put_u16(&b, 0x0102), 0);
	assert_int_equal(buf_put_u32(&b, 0x03040506), 0);
	assert_int_equal(buf_put_u64(&b, 0x0708090a0b0c0d0e), 0);
	assert_int_equal(buf_put_string(&b, "a\0b", 3), 0);
	assert_int_equal(buf_put_cstring(&b, "text"), 0);
	assert_int_equal(buf_put(&b, "raw", 3), 0);
	assert_int_equal(buf_put(&b, NULL, 0), 0);
	assert_memory_equal(b.data, "\xfe\1\2\3\4\5\6\7\10\11\12\13\14\15\16\0\0\0\3a\0b\0\0\0\4textraw", b.len);
	buf_view(&v, b.data, b.len);
	assert_int_equal(buf_get_u8(&v), 0xfe);
	assert_int_equal(buf_get_u16(&v), 0x0102);
	assert_int_equal(buf_get_u32(&v), 0x03040506);
	assert_int_equal(buf_get_u64(&v), 0x0708090a0b0c0d0e);
	assert_memory_equal(buf_get_string(&v, 3, &len), "a\0b", 3);
	assert_int_equal(len, 3);
	assert_int_equal(buf_get_cstring(&v, text, 5), 0);
	assert_string_equal(text, "text");
	assert_false(buf_end(&v));
	assert_int_equal(buf_left(&v), 3);
	assert_int_equal(buf_get_copy(&v, raw, 3), 0);
	assert_true(buf_end(&v));
	assert_non_null(buf_get(&v, 0));
	assert_int_equal(buf_get_u8(&v), 0);
	assert_false(buf_end(&v));
	assert_int_equal(buf_left(&v), 0);
	buf_finish(&v);
	buf_finish(&b);
	buf_finish(&b);
}

/* Every get fails at every length under its own, and every later one too. */
static void test_short(void **state)
{
	static const uint8_t data[] = { 0, 0, 0, 4, 't', 'e', 'x', 't' };
	struct buf b;
	char text[16];
	size_t len;

	(void)state;
	for (size_t n = 0; n < sizeof(data); n++) {
		buf_view(&b, data, n);
		assert_null(buf_get_string(&b, 100, &len));
		assert_int_equal(len, n < 4 ? 0 : 4);
		assert_false(buf_ok(&b));
		assert_null(buf_get(&b, 0));
		assert_int_equal(buf_get_cstring(&b, text, sizeof(text)), -1);
		assert_string_equal(text, "");
		if (n < 8) {
			buf_view(&b, data, n);
			assert_int_equal(buf_get_u64(&b), 0);
			assert_false(buf_ok(&b));
		}
	}
	buf_view(&b, data, sizeof(data));
	assert_null(buf_get_string(&b, 3, &len));	/* longer than the caller allows */
	buf_view(&b, data, sizeof(data));
	assert_int_equal(buf_get_cstring(&b, text, 4), -1);	/* no room for the terminator */
	buf_view(&b, "\0\0\0\3a\0b", 7);
	assert_int_equal(buf_get_cstring(&b, text, sizeof(text)), -1);	/* a NUL inside */
	buf_view(&b, "\xff\xff\xff\xff", 4);
	assert_null(buf_get_string(&b, SIZE_MAX, &len));
}

static void test_limit(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_non_null(buf_reserve(&b, 100));
	assert_null(buf_reserve(&b, 1));
	assert_int_equal(buf_put_u8(&b, 0), -1);
	assert_int_equal(b.len, 100);
	buf_reset(&b);
	assert_true(buf_ok(&b));
	assert_null(buf_reserve(&b, SIZE_MAX));
	buf_reset(&b);
	assert_int_equal(buf_put_u32(&b, 5), 0);
	assert_null(buf_reserve(&b, SIZE_MAX - 2));
	assert_int_equal(buf_put(&b, NULL, 0), -1);
	buf_finish(&b);
	assert_int_equal(buf_put_u64(&b, 1), 0);	/* as after buf_init */
	buf_finish(&b);
	/* a view is read only */
	buf_view(&b, "x", 1);
	assert_int_equal(buf_put_u8(&b, 1), -1);
	buf_reset(&b);
	assert_int_equal(buf_put_u8(&b, 1), -1);
	buf_init(&b, 0);
	assert_int_equal(buf_put_u8(&b, 1), -1);
	buf_finish(&b);
}

static void test_reset_wipes(void **state)
{
	struct buf b;
	uint8_t *at;

	(void)state;
	buf_init(&b, 100);
	buf_put(&b, "secret", 6);
	at = b.data;
	buf_reset(&b);
	assert_ptr_equal(b.data, at);
	assert_memory_equal(at, "\0\0\0\0\0\0", 6);
	buf_finish(&b);
}

static uint64_t varint(const char *bytes, size_t len, bool *ok)
{
	struct buf b;
	uint64_t v;

	buf_view(&b, bytes, len);
	v = buf_get_varint(&b);
	*ok = buf_end(&b);
	return v;
}

static void test_varint(void **state)
{
	static const struct { uint64_t value; size_t len; } edges[] = {
		{ 0, 1 }, { 1, 1 }, { 127, 1 }, { 128, 2 }, { 300, 2 }, { 16383, 2 }, { 16384, 3 }, { UINT32_MAX, 5 },
		{ 1ULL << 35, 6 }, { (1ULL << 63) - 1, 9 }, { 1ULL << 63, 10 }, { UINT64_MAX, 10 },
	};
	static const struct { const char *bytes; size_t len; } bad[] = {
		{ "", 0 }, { "\x80", 1 }, { "\x80\x00", 2 }, { "\xff\x00", 2 }, { "\x80\x80\x80\x00", 4 },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10 },	/* bit 64 */
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x01", 11 },	/* eleven bytes */
		{ "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11 },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", 10 },
	};
	bool ok;

	(void)state;
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		struct buf b;

		buf_init(&b, 20);
		assert_int_equal(buf_put_varint(&b, edges[i].value), 0);
		assert_int_equal(b.len, edges[i].len);
		assert_true(varint((char *)b.data, b.len, &ok) == edges[i].value);
		assert_true(ok);
		for (size_t cut = 0; cut < b.len; cut++) {
			varint((char *)b.data, cut, &ok);
			assert_false(ok);
		}
		buf_finish(&b);
	}
	for (uint64_t v = 1; v != 0; v <<= 1) {
		for (int off = -1; off <= 1; off++) {
			struct buf b;

			buf_init(&b, 20);
			buf_put_varint(&b, v + (uint64_t)off);
			assert_true(varint((char *)b.data, b.len, &ok) == v + (uint64_t)off);
			assert_true(ok);
			buf_finish(&b);
		}
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		varint(bad[i].bytes, bad[i].len, &ok);
		if (ok)
			fail_msg("bad varint %zu was taken", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round), cmocka_unit_test(test_short), cmocka_unit_test(test_limit),
		cmocka_unit_test(test_reset_wipes), cmocka_unit_test(test_varint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
