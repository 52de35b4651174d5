/*
 * test_sftp_run.c - packets that pass on a word in advance: whoever reads the recording can make the stream again from it, byte for byte,
 * and nothing passes that no word covered before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "sftp_run.h"

/* An auditor: what was recorded, expanded. */
static struct auditor {
	bool input, fails;
	uint8_t *got;			/* the stream as far as it is known */
	size_t len, cap;
	uint8_t last[512];		/* a run: the packet before the next one */
	size_t last_len;
	bool running;
	uint64_t passed, allowed;	/* of the run: seen here; said */
	uint64_t seq, allowed_at[2][2];	/* the last two words: sequence, packets that it allows */
	size_t covered, words;
} au;

/* Where the packets of the stream end, by the test that makes it. */
static size_t ends[4096], nends;

static void add(const uint8_t *data, size_t len)
{
	assert_true(au.len + len <= au.cap);
	memcpy(au.got + au.len, data, len);
	au.len += len;
}

static bool on_content(void *ctx, bool input, const uint8_t *data, size_t len)
{
	(void)ctx;
	assert_int_equal(input, au.input);
	assert_false(au.running); /* or nobody knew where in the stream it stands */
	add(data, len);
	return !au.fails;
}

static bool on_covered(void *ctx, bool input, const uint8_t *data, size_t len, uint64_t seq)
{
	uint8_t next[512];

	(void)ctx;
	assert_int_equal(input, au.input);
	assert_true(au.running);
	assert_true(sftp_run_next(au.last, au.last_len, next));
	assert_int_equal(len, au.last_len);
	assert_memory_equal(data, next, len);
	memcpy(au.last, next, len);
	/* the word that it waits for covers it */
	assert_true(seq == au.allowed_at[0][0] || seq == au.allowed_at[1][0]);
	assert_true(au.passed < (seq == au.allowed_at[1][0] ? au.allowed_at[1][1] : au.allowed_at[0][1]));
	au.passed++;
	au.covered++;
	add(data, len);
	return !au.fails;
}

static uint64_t on_announce(void *ctx, bool input, uint64_t passed, uint32_t more)
{
	(void)ctx;
	assert_int_equal(input, au.input);
	au.words++;
	if (!au.running) {
		size_t i = 0;

		assert_int_equal(passed, 0);
		assert_int_equal(more, RUN_MORE);
		while (i < nends && ends[i] != au.len)
			i++;
		assert_true(i < nends); /* it stands behind a whole packet */
		au.last_len = ends[i] - (i > 0 ? ends[i - 1] : 0);
		assert_true(au.last_len <= sizeof(au.last));
		memcpy(au.last, au.got + ends[i] - au.last_len, au.last_len);
		au.passed = 0;
		memset(au.allowed_at, 0, sizeof(au.allowed_at));
	}
	assert_int_equal(passed, au.passed);
	au.running = more != 0;
	memcpy(au.allowed_at[0], au.allowed_at[1], sizeof(au.allowed_at[0]));
	au.allowed_at[1][0] = ++au.seq;
	au.allowed_at[1][1] = passed + more;
	return au.fails ? 0 : au.seq;
}

static const struct sftp_run_ops ops = { on_content, on_covered, on_announce };

static void begin(bool input, struct buf *stream)
{
	free(au.got);
	au = (struct auditor){ .input = input, .cap = 4 << 20 };
	assert_non_null(au.got = malloc(au.cap));
	nends = 0;
	buf_init(stream, au.cap);
}

static void put(struct buf *stream, const struct buf *body)
{
	buf_put_string(stream, body->data, body->len);
	assert_true(buf_ok(stream) && nends < sizeof(ends) / sizeof(ends[0]));
	ends[nends++] = stream->len;
}

static void put_read(struct buf *stream, uint32_t id, const char *handle, uint64_t offset, uint32_t len)
{
	struct buf b;

	buf_init(&b, 1024);
	buf_put_u8(&b, 5);
	buf_put_u32(&b, id);
	buf_put_cstring(&b, handle);
	buf_put_u64(&b, offset);
	buf_put_u32(&b, len);
	put(stream, &b);
	buf_finish(&b);
}

static void put_status(struct buf *stream, uint32_t id, uint32_t code, const char *text)
{
	struct buf b;

	buf_init(&b, 1024);
	buf_put_u8(&b, 101);
	buf_put_u32(&b, id);
	buf_put_u32(&b, code);
	buf_put_cstring(&b, text);
	buf_put_cstring(&b, "");
	put(stream, &b);
	buf_finish(&b);
}

static void put_other(struct buf *stream, uint8_t type, size_t len)
{
	struct buf b;

	buf_init(&b, 70000);
	buf_put_u8(&b, type);
	for (size_t i = 0; i < len; i++)
		buf_put_u8(&b, (uint8_t)random());
	put(stream, &b);
	buf_finish(&b);
}

/* All of it, in pieces of at most `most` bytes; what the auditor has then is what there was. */
static void run(struct buf *stream, size_t most)
{
	struct sftp_run *r = sftp_run_create(au.input, &ops, NULL);

	assert_non_null(r);
	for (size_t at = 0, n; at < stream->len; at += n) {
		n = most == 0 ? stream->len : (size_t)random() % most + 1;
		if (n > stream->len - at)
			n = stream->len - at;
		assert_true(sftp_run_feed(r, stream->data + at, n));
	}
	assert_true(sftp_run_end(r));
	assert_true(sftp_run_end(r));
	assert_false(au.running);
	assert_int_equal(au.len, stream->len);
	assert_memory_equal(au.got, stream->data, stream->len);
	sftp_run_destroy(r);
	buf_finish(stream);
}

static void a_download(void **state)
{
	struct buf s;

	(void)state;
	begin(true, &s);
	for (uint32_t i = 0; i < 2000; i++)
		put_read(&s, 0xfffffff0U + i, "h\1", (uint64_t)i * 32768, 32768); /* ids turn over */
	run(&s, 0);
	assert_int_equal(au.covered, 2000 - 1 - RUN_AFTER);
	/* begun, extended each time half was used, ended */
	assert_int_equal(au.words, 2 + (au.covered + RUN_MORE / 2 - 1) / (RUN_MORE / 2) - 1);
}

static void an_upload(void **state)
{
	struct buf s;

	(void)state;
	begin(false, &s);
	for (uint32_t i = 0; i < 100; i++)
		put_status(&s, 7 + i, i == 50 ? 4 : 0, "Success");
	run(&s, 3);
	/* the failure, and what stands behind it, is said as it was */
	assert_int_equal(au.covered, (50 - 1 - RUN_AFTER) + (49 - 1 - RUN_AFTER));
}

/* What differs in one bit is content. */
static void any_bit(void **state)
{
	enum { AT = 40 };
	struct buf s;

	(void)state;
	for (size_t bit = 0; bit < 8 * 29; bit++) {
		begin(true, &s);
		for (uint32_t i = 0; i <= AT; i++)
			put_read(&s, i, "hand", (uint64_t)i * 100, 100);
		assert_int_equal(ends[0], 29);
		s.data[ends[AT - 1] + bit / 8] ^= (uint8_t)(1 << bit % 8);
		run(&s, 50);
		assert_int_equal(au.covered, AT - 1 - RUN_AFTER);
	}
}

static void none(void **state)
{
	struct buf s;

	(void)state;
	begin(true, &s);
	for (uint32_t i = 0; i < 100; i++)
		put_read(&s, i, i % 2 != 0 ? "a" : "b", (uint64_t)i * 10, 10); /* two files in turn */
	for (uint32_t i = 0; i < 100; i++)
		put_read(&s, i, "a", UINT64_MAX - 5, 10); /* nothing is behind it */
	for (uint32_t i = 0; i < 100; i++)
		put_status(&s, i, 0, "Success"); /* no request */
	for (uint32_t i = 0; i < 100; i++)
		put_other(&s, 5, i % 8); /* no READ, whatever it says */
	run(&s, 1000);
	assert_int_equal(au.covered, 0);
	assert_int_equal(au.words, 0);
}

static void no_sftp(void **state)
{
	static const uint8_t zero[4] = { 0 };
	struct buf s;

	(void)state;
	begin(true, &s);
	for (uint32_t i = 0; i < 20; i++)
		put_read(&s, i, "h", (uint64_t)i * 10, 10);
	buf_put(&s, zero, sizeof(zero));
	for (uint32_t i = 20; i < 200; i++)
		put_read(&s, i, "h", (uint64_t)i * 10, 10);
	run(&s, 7);
	assert_int_equal(au.covered, 20 - 1 - RUN_AFTER);
}

static void random_streams(void **state)
{
	size_t covered = 0;

	(void)state;
	srandom(5);
	for (int round = 0; round < 300; round++) {
		bool input = round % 2 != 0;
		uint32_t id = (uint32_t)random();
		uint64_t offset = (uint64_t)random();
		struct buf s;

		begin(input, &s);
		for (int k = (int)(random() % 12); k > 0; k--) {
			for (int i = (int)(random() % 300); i > 0 && nends < 3500; i--, id++, offset += 512)
				if (input)
					put_read(&s, id, "xyz", offset, 512);
				else
					put_status(&s, id, 0, "ok");
			switch (random() % 5) {
			case 0: put_other(&s, (uint8_t)random(), (size_t)random() % 60000); break;
			case 1: put_other(&s, input ? 5 : 101, (size_t)random() % 400); break;
			case 2: put_status(&s, id++, (uint32_t)(random() % 2), "ok"); break;
			case 3: offset += 512; break;
			default: break;
			}
		}
		if (random() % 2 != 0 && s.len > 20)
			s.len -= (size_t)random() % 20; /* cut in a packet */
		run(&s, (size_t)1 << random() % 17);
		covered += au.covered;
	}
	assert_true(covered > 20000);
	free(au.got);
	au.got = NULL;
}

/* Something else comes between: the run is over, the packet that is not whole goes on; after the end nothing is a packet. */
static void breaks(void **state)
{
	struct buf s;
	struct sftp_run *r = sftp_run_create(true, &ops, NULL);

	(void)state;
	begin(true, &s);
	for (uint32_t i = 0; i < 60; i++)
		put_read(&s, i, "h", (uint64_t)i * 10, 10);
	assert_true(sftp_run_feed(r, s.data, ends[29] + 3));
	assert_true(au.running);
	assert_true(sftp_run_break(r));
	assert_false(au.running);
	assert_true(sftp_run_break(r));
	assert_int_equal(au.len, ends[29]);
	assert_true(sftp_run_feed(r, s.data + ends[29] + 3, ends[49] - ends[29] - 3));
	assert_true(au.running);
	assert_int_equal(au.covered, 30 - 1 - RUN_AFTER + 20 - 1 - RUN_AFTER);
	assert_true(sftp_run_end(r));
	assert_true(sftp_run_feed(r, s.data + ends[49], s.len - ends[49]));
	assert_false(au.running);
	assert_int_equal(au.len, s.len);
	assert_memory_equal(au.got, s.data, s.len);
	sftp_run_destroy(r);
	buf_finish(&s);
}

/* The recording broke: no more passes. */
static void failure(void **state)
{
	struct buf s;
	struct sftp_run *r = sftp_run_create(true, &ops, NULL);

	(void)state;
	begin(true, &s);
	for (uint32_t i = 0; i < 30; i++)
		put_read(&s, i, "h", (uint64_t)i * 10, 10);
	au.fails = true;
	assert_false(sftp_run_feed(r, s.data, s.len));
	assert_int_equal(au.len, ends[0]);
	sftp_run_destroy(r);
	buf_finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_download),
		cmocka_unit_test(an_upload),
		cmocka_unit_test(any_bit),
		cmocka_unit_test(none),
		cmocka_unit_test(no_sftp),
		cmocka_unit_test(breaks),
		cmocka_unit_test(failure),
		cmocka_unit_test(random_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
