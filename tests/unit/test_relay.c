/*
 * test_relay.c - what waits between two legs (relay_hold.c), and what is read along (relay_bulk.c, sftp_track.c, scp_track.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "relay_bulk.h"
#include "relay_hold.h"

/* --- hold --- */

static void order_is_kept(void **state)
{
	struct hold h = { .mem = NULL };
	struct hold_item it;

	(void)state;
	assert_int_equal(hold_put(&h, HOLD_DATA, 1, "abc", 3), 0);
	assert_int_equal(hold_put(&h, HOLD_ERR, 2, "de", 2), 0);
	assert_int_equal(hold_put(&h, HOLD_EOF, 3, NULL, 0), 0);
	assert_int_equal(h.bytes, 5);
	assert_true(hold_peek(&h, &it));
	assert_memory_equal(it.data, "abc", 3);
	hold_take(&h, 2);
	assert_true(hold_peek(&h, &it));
	assert_int_equal(it.len, 1);
	assert_int_equal(it.data[0], 'c');
	assert_int_equal(it.seq, 1);
	hold_take(&h, 1);
	assert_true(hold_peek(&h, &it));
	assert_int_equal(it.kind, HOLD_ERR);
	hold_drop(&h);
	assert_int_equal(h.bytes, 0);
	assert_true(hold_peek(&h, &it));
	assert_int_equal(it.kind, HOLD_EOF);
	hold_drop(&h);
	assert_false(hold_peek(&h, &it));
	hold_finish(&h);
}

/* Random puts and takes: what comes out is what went in, byte for byte, and memory stays bounded. */
static void random_walk(void **state)
{
	struct hold h = { .mem = NULL };
	uint8_t chunk[9000];
	uint64_t in = 0, out = 0;
	struct hold_item it;

	(void)state;
	srandom(1);
	for (int i = 0; i < 200000; i++) {
		if (random() % 2 && h.bytes < HOLD_SOFT) {
			size_t n = (size_t)random() % sizeof(chunk);

			for (size_t k = 0; k < n; k++)
				chunk[k] = (uint8_t)(in++ * 7);
			/* sometimes for the same frame as what was put before */
			assert_int_equal(hold_put(&h, HOLD_DATA, in >> 16, chunk, n), 0);
		} else if (hold_peek(&h, &it)) {
			size_t n = it.len == 0 ? 0 : (size_t)random() % it.len + 1;

			for (size_t k = 0; k < n; k++)
				assert_int_equal(it.data[k], (uint8_t)(out++ * 7));
			if (n == 0)
				hold_drop(&h);
			else
				hold_take(&h, n);
		}
		assert_true(h.cap <= 4 * HOLD_MAX);
		assert_int_equal(h.bytes, in - out);
	}
	hold_finish(&h);
}

/* What is held before it is recorded, among items that are: each gets its sequence in order, whatever passes meanwhile. */
static void recorded_later(void **state)
{
	struct hold h = { .mem = NULL };
	uint64_t put = 0, recorded = 0, passed = 0, n;
	struct hold_item it;
	size_t steps = 0;

	(void)state;
	srandom(2);
	for (int i = 0; i < 200000; i++) {
		switch (random() % 4) {
		case 0: /* every third item was recorded when it came */
			if (h.bytes > HOLD_SOFT)
				break;
			put++;
			assert_int_equal(hold_put(&h, HOLD_DATA, put % 3 == 0 ? 0 : HOLD_UNRECORDED, &put, sizeof(put)), 0);
			break;
		case 1:
			if (!hold_fresh(&h, &it))
				break;
			memcpy(&n, it.data, sizeof(n));
			assert_true(n > recorded && n % 3 != 0 && n <= recorded + 2);
			recorded = n;
			hold_recorded(&h, n);
			break;
		default:
			if (!hold_peek(&h, &it) || it.seq == HOLD_UNRECORDED)
				break;
			memcpy(&n, it.data, sizeof(n));
			assert_int_equal(n, ++passed);
			assert_int_equal(it.seq, n % 3 == 0 ? 0 : n);
			hold_take(&h, sizeof(n));
			steps++;
			break;
		}
		assert_true(hold_ahead(&h) <= h.tail - h.head);
		assert_int_equal(hold_fresh(&h, &it), put > recorded && (put % 3 != 0 || put - 1 > recorded));
	}
	assert_true(steps > 10000);
	hold_finish(&h);
	assert_false(hold_fresh(&h, &it));
}

/* Bytes for one frame go on together, whatever was taken of them already; of another frame, stream or kind they do not. */
static void joins(void **state)
{
	struct hold h = { .mem = NULL };
	struct hold_item it;

	(void)state;
	assert_int_equal(hold_put(&h, HOLD_DATA, 5, "abc", 3), 0);
	hold_take(&h, 2);
	assert_int_equal(hold_put(&h, HOLD_DATA, 5, "defghijklm", 10), 0);
	assert_true(hold_peek(&h, &it));
	assert_int_equal(it.len, 11);
	assert_memory_equal(it.data, "cdefghijklm", 11);
	assert_int_equal(h.bytes, 11);
	assert_int_equal(hold_put(&h, HOLD_DATA, 6, "n", 1), 0);
	assert_int_equal(hold_put(&h, HOLD_ERR, 6, "o", 1), 0);
	assert_int_equal(hold_put(&h, HOLD_DATA, 6, "p", 1), 0);
	assert_int_equal(hold_put(&h, HOLD_EOF, 6, NULL, 0), 0);
	assert_int_equal(hold_put(&h, HOLD_DATA, HOLD_UNRECORDED, "q", 1), 0);
	assert_int_equal(hold_put(&h, HOLD_DATA, HOLD_UNRECORDED, "r", 1), 0);
	hold_drop(&h);
	for (const char *want = "nop"; *want != '\0'; want++, hold_drop(&h))
		assert_true(hold_peek(&h, &it) && it.len == 1 && it.data[0] == (uint8_t)*want);
	assert_true(hold_peek(&h, &it) && it.kind == HOLD_EOF);
	hold_drop(&h);
	assert_true(hold_peek(&h, &it) && it.len == 1 && it.seq == HOLD_UNRECORDED);
	hold_recorded(&h, 6);
	assert_true(hold_fresh(&h, &it) && it.len == 1 && it.data[0] == 'r');
	hold_finish(&h);
}

static void refuses_over_the_limit(void **state)
{
	struct hold h = { .mem = NULL };
	static uint8_t big[HOLD_MAX];

	(void)state;
	assert_int_equal(hold_put(&h, HOLD_DATA, 1, big, HOLD_MAX / 2), 0);
	assert_int_not_equal(hold_put(&h, HOLD_DATA, 1, big, HOLD_MAX), 0);
	assert_int_equal(h.bytes, HOLD_MAX / 2);
	hold_finish(&h);
}

/* --- capabilities --- */

static void capabilities(void **state)
{
	static const struct { const char *command, *capability; } cases[] = {
		{ "scp -t /tmp/x", "scp" }, { "scp -r -p -f a b", "scp" }, { "scp -rpt ~/x", "scp" },
		{ "scp -f $(id)", "exec" }, { "scp -t x; id", "exec" }, { "scp -t x\nid", "exec" },
		{ "scp -S prog -t x", "exec" }, { "scp -oProxyCommand=id -t x", "exec" }, { "scp a b", "exec" },
		{ "scp -t 'x'", "exec" }, { "scp -t `id`", "exec" }, { "scp -t x|id", "exec" }, { "scp -t x>y", "exec" },
		{ "internal-sftp", "sftp" }, { "/usr/lib/openssh/sftp-server", "sftp" },
		{ "/usr/lib/openssh/sftp-server -d /", "exec" }, { "sftp-server;id", "exec" }, { "", "exec" },
		{ "rsync --server -logDtpre.iLsfxCIvu . /tmp", "exec" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(command_capability(cases[i].command), cases[i].capability);
}

/* --- trackers --- */

static char said[16384];

static void remember(void *ctx, const char *json)
{
	(void)ctx;
	if (strlen(said) + strlen(json) + 2 < sizeof(said)) {
		strcat(said, json);
		strcat(said, "\n");
	}
}

static void limit_and_digest(void **state)
{
	struct bulk b;
	uint64_t gap = UINT64_MAX;
	char hex[65];

	(void)state;
	assert_int_equal(bulk_start(&b, 4, "exec", "cat", remember, NULL), 0);
	assert_int_equal(bulk_feed(&b, true, false, (const uint8_t *)"ab", 2, &gap), 2);
	assert_int_equal(gap, UINT64_MAX);
	assert_int_equal(bulk_feed(&b, true, false, (const uint8_t *)"cdef", 4, &gap), 2);
	assert_int_equal(gap, 4);
	gap = UINT64_MAX;
	assert_int_equal(bulk_feed(&b, true, false, (const uint8_t *)"g", 1, &gap), 0);
	assert_int_equal(gap, UINT64_MAX);
	bulk_digest(&b.in, hex, sizeof(hex));
	/* printf abcdefg | sha256sum */
	assert_string_equal(hex, "7d1a54127b222502f5b79b5fb0803061152a44f92b37e23c6527baf665d4da9a");
	bulk_finish(&b);
}

/* The same bytes, cut at every place into two calls, and into single bytes. */
static void feed_split(void (*feed)(void *t, const uint8_t *p, size_t n), void *t, const uint8_t *p, size_t n, size_t cut)
{
	if (cut == SIZE_MAX) {
		for (size_t i = 0; i < n; i++)
			feed(t, p + i, 1);
		return;
	}
	feed(t, p, cut);
	feed(t, p + cut, n - cut);
}

static void feed_scp(void *t, const uint8_t *p, size_t n)
{
	scp_track_feed(t, true, p, n);
}

static void scp_upload(void **state)
{
	static const char wire[] = "T1 0 1 0\nD0755 0 d\nC0644 3 a b\nabc\0E\nC0600 3 cut\nxy\0\1scp: cut: No such device\nC0600 0 empty\n\0";
	static const uint8_t answers[16] = { 0 };
	char first[sizeof(said)] = "";

	(void)state;
	for (size_t cut = 0; cut <= sizeof(wire); cut++) {
		struct scp_track *t = scp_track_create(true, remember, NULL);

		said[0] = '\0';
		scp_track_feed(t, false, answers, sizeof(answers)); /* whatever comes is granted */
		feed_split(feed_scp, t, (const uint8_t *)wire, sizeof(wire) - 1, cut == sizeof(wire) ? SIZE_MAX : cut);
		scp_track_end(t);
		scp_track_destroy(t);
		if (cut == 0)
			strcpy(first, said);
		assert_string_equal(said, first);
	}
	assert_non_null(strstr(first, "\"path\":\"d/a b\""));
	assert_non_null(strstr(first, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
	assert_non_null(strstr(first, "\"path\":\"cut\"")); /* the file that could not be read, and all behind it */
	assert_non_null(strstr(first, "\"whole\":false"));
	assert_non_null(strstr(first, "\"path\":\"empty\""));
	assert_null(strstr(first, "untracked"));
}

static void put_packet(struct buf *out, const struct buf *body)
{
	buf_put_string(out, body->data, body->len);
}

static void put_write(struct buf *out, uint32_t id, const char *handle, uint64_t offset, const char *data)
{
	struct buf b;

	buf_init(&b, 65536);
	buf_put_u8(&b, 6);
	buf_put_u32(&b, id);
	buf_put_cstring(&b, handle);
	buf_put_u64(&b, offset);
	buf_put_cstring(&b, data);
	put_packet(out, &b);
	buf_finish(&b);
}

static void put_simple(struct buf *out, uint8_t type, uint32_t id, const char *text)
{
	struct buf b;

	buf_init(&b, 65536);
	buf_put_u8(&b, type);
	buf_put_u32(&b, id);
	buf_put_cstring(&b, text);
	if (type == 3) {
		buf_put_u32(&b, 26);
		buf_put_u32(&b, 0);
	}
	put_packet(out, &b);
	buf_finish(&b);
}

static void put_status(struct buf *out, uint32_t id, uint32_t code)
{
	struct buf b;

	buf_init(&b, 64);
	buf_put_u8(&b, 101);
	buf_put_u32(&b, id);
	buf_put_u32(&b, code);
	put_packet(out, &b);
	buf_finish(&b);
}

/* What went through a tracker: the digests of all that is in no file's, and how much is. */
static EVP_MD_CTX *rest[2];
static size_t apart[2];

struct half { struct sftp_track *t; bool input; };

static void feed_sftp(void *ctx, const uint8_t *p, size_t n)
{
	struct half *h = ctx;

	apart[h->input] += sftp_track_feed(h->t, h->input, p, n, rest[h->input]);
}

static int new_rest(void **state)
{
	(void)state;
	said[0] = '\0';
	for (int i = 0; i < 2; i++) {
		apart[i] = 0;
		if ((rest[i] = bulk_sha()) == NULL)
			return -1;
	}
	return 0;
}

static int free_rest(void **state)
{
	(void)state;
	EVP_MD_CTX_free(rest[0]);
	EVP_MD_CTX_free(rest[1]);
	return 0;
}

/* The rest of a direction is exactly these bytes. */
static void rest_is(bool input, const struct buf *bytes)
{
	EVP_MD_CTX *sha = bulk_sha();
	char hex[65], want[65];

	EVP_DigestUpdate(sha, bytes->data, bytes->len);
	bulk_hex(sha, want, sizeof(want));
	bulk_hex(rest[input], hex, sizeof(hex));
	EVP_MD_CTX_free(sha);
	assert_string_equal(hex, want);
}

static void both(struct sftp_track *t, bool input, struct buf *b, size_t every)
{
	struct half h = { t, input };

	feed_split(feed_sftp, &h, b->data, b->len, every == 0 ? SIZE_MAX : every < b->len ? every : b->len);
	buf_reset(b);
}

static void sftp_put(void **state)
{
	char first[sizeof(said)] = "";

	(void)state;
	for (size_t every = 0; every < 64; every++) {
		struct sftp_track *t = sftp_track_create(remember, NULL);
		struct buf b;

		said[0] = '\0';
		buf_init(&b, 1 << 20);
		put_simple(&b, 3, 1, "/tmp/x");
		both(t, true, &b, every);
		put_simple(&b, 102, 1, "h1");
		both(t, false, &b, every);
		put_write(&b, 2, "h1", 0, "ab");
		put_write(&b, 3, "h1", 2, "c");
		put_simple(&b, 13, 4, "/tmp/gone");
		put_simple(&b, 4, 5, "h1");
		both(t, true, &b, every);
		put_status(&b, 2, 0);
		put_status(&b, 3, 0);
		put_status(&b, 4, 0);
		put_status(&b, 5, 0);
		both(t, false, &b, every);
		sftp_track_end(t);
		sftp_track_destroy(t);
		buf_finish(&b);
		if (every == 0)
			strcpy(first, said);
		assert_string_equal(said, first);
	}
	assert_non_null(strstr(first, "{\"op\":\"remove\",\"path\":\"/tmp/gone\"}"));
	assert_non_null(strstr(first, "\"path\":\"/tmp/x\",\"size\":3,\"sha256\":\"ba7816bf"));
}

/* A tracker that saw x opened, with the handle h; b is empty and the caller's. */
static struct sftp_track *opened(struct buf *b)
{
	struct sftp_track *t = sftp_track_create(remember, NULL);

	assert_non_null(t);
	buf_init(b, 1 << 20);
	put_simple(b, 3, 1, "x");
	both(t, true, b, 0);
	put_simple(b, 102, 1, "h");
	both(t, false, b, 0);
	return t;
}

static void sftp_out_of_order_is_said(void **state)
{
	struct buf b;
	struct sftp_track *t = opened(&b);

	(void)state;
	put_write(&b, 2, "h", 10, "abc");
	put_write(&b, 3, "h", 0, "de");
	put_write(&b, 4, "h", 2, "f");
	both(t, true, &b, 0);
	sftp_track_end(t);
	sftp_track_destroy(t);
	buf_finish(&b);
	assert_non_null(strstr(said, "\"op\":\"put\",\"path\":\"x\",\"size\":6,\"sha256\":\"\",\"in_order\":false,\"from\":10,\"hashed\":3,"
	    "\"start_sha256\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\""));
	assert_int_equal(apart[true], 3);
}

/* However the stream is cut: what is in no file's digest, and nothing else, is in the direction's. */
static void sftp_each_byte_is_hashed_once(void **state)
{
	struct buf b, left;

	(void)state;
	for (size_t every = 0; every < 64; every++) {
		struct sftp_track *t = opened(&b);

		buf_init(&left, 1 << 20);
		put_simple(&left, 3, 1, "x");
		put_write(&b, 2, "h", 7, "abc"); /* a transfer that is resumed begins where it was */
		put_write(&left, 2, "h", 7, "abc");
		left.len -= 3;
		put_write(&b, 3, "h", 10, "de");
		put_write(&left, 3, "h", 10, "de");
		left.len -= 2;
		put_write(&b, 4, "h", 99, "jumped");
		put_write(&left, 4, "h", 99, "jumped");
		put_simple(&b, 4, 5, "h");
		put_simple(&left, 4, 5, "h");
		both(t, true, &b, every);
		rest_is(true, &left);
		assert_int_equal(apart[true], 5);
		assert_int_equal(apart[false], 0);
		sftp_track_destroy(t);
		buf_finish(&b);
		buf_finish(&left);
		free_rest(NULL);
		assert_int_equal(new_rest(NULL), 0);
	}
}

static void sftp_progress(void **state)
{
	static const char abc[] = "\"sha256\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"";
	struct buf b;
	struct sftp_track *t = opened(&b);

	(void)state;
	said[0] = '\0';
	sftp_track_progress(t, true);
	assert_string_equal(said, "");
	put_write(&b, 2, "h", 5, "abc");
	both(t, true, &b, 0);
	sftp_track_progress(t, false);
	assert_string_equal(said, "");
	sftp_track_progress(t, true);
	assert_non_null(strstr(said, "{\"op\":\"so-far\",\"dir\":\"in\",\"path\":\"x\","));
	assert_non_null(strstr(said, abc));
	assert_non_null(strstr(said, "\"from\":5,\"hashed\":3}"));
	said[0] = '\0';
	sftp_track_progress(t, true); /* nothing passed since */
	assert_string_equal(said, "");
	sftp_track_end(t);
	assert_non_null(strstr(said, "\"op\":\"put\",\"path\":\"x\",\"size\":3,"));
	assert_non_null(strstr(said, "\"in_order\":true,\"from\":5}"));
	sftp_track_destroy(t);
	buf_finish(&b);
}

static void sftp_unknown_handle(void **state)
{
	struct buf b, all;
	struct sftp_track *t = opened(&b);

	(void)state;
	buf_init(&all, 1 << 20);
	put_simple(&all, 3, 1, "x");
	put_write(&b, 2, "other", 0, "abc");
	put_write(&all, 2, "other", 0, "abc");
	both(t, true, &b, 0);
	rest_is(true, &all);
	assert_int_equal(apart[true], 0);
	sftp_track_destroy(t);
	buf_finish(&b);
	buf_finish(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_is_kept),
		cmocka_unit_test(random_walk), cmocka_unit_test(recorded_later),
		cmocka_unit_test(joins),
		cmocka_unit_test(refuses_over_the_limit),
		cmocka_unit_test(capabilities),
		cmocka_unit_test(limit_and_digest),
		cmocka_unit_test(scp_upload),
		cmocka_unit_test_setup_teardown(sftp_put, new_rest, free_rest),
		cmocka_unit_test_setup_teardown(sftp_out_of_order_is_said, new_rest, free_rest),
		cmocka_unit_test_setup_teardown(sftp_each_byte_is_hashed_once, new_rest, free_rest),
		cmocka_unit_test_setup_teardown(sftp_progress, new_rest, free_rest),
		cmocka_unit_test_setup_teardown(sftp_unknown_handle, new_rest, free_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
