/*
 * test_sftp_gate.c - SFTP in one direction: what passes, what is answered here, where the answers stand, and that no cut
 * of the stream and no malformed packet lets more through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "sftp_gate.h"

static struct buf to_target, to_client;
static char said[8192];

static bool pass(void *ctx, bool input, const uint8_t *data, size_t len)
{
	(void)ctx;
	return buf_put(input ? &to_target : &to_client, data, len) == 0;
}

static void report(void *ctx, uint32_t id, const char *json)
{
	(void)id;
	(void)ctx;
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", json);
}

static struct sftp_gate *gate(unsigned rights)
{
	buf_finish(&to_target);
	buf_finish(&to_client);
	buf_init(&to_target, 1 << 20);
	buf_init(&to_client, 1 << 20);
	said[0] = '\0';
	return sftp_gate_create(rights, pass, report, NULL);
}

/* u32 length, u8 type, u32 id, str text (NULL: none), then `more` bytes. */
static void packet(struct buf *b, uint8_t type, uint32_t id, const char *text, const void *more, size_t n)
{
	buf_put_u32(b, (uint32_t)(5 + (text != NULL ? 4 + strlen(text) : 0) + n));
	buf_put_u8(b, type);
	buf_put_u32(b, id);
	if (text != NULL)
		buf_put_cstring(b, text);
	buf_put(b, more, n);
}

static void open_packet(struct buf *b, uint32_t id, uint32_t flags)
{
	uint8_t more[8] = { (uint8_t)(flags >> 24), (uint8_t)(flags >> 16), (uint8_t)(flags >> 8), (uint8_t)flags };

	packet(b, 3, id, "/etc/motd", more, sizeof(more));
}

/* Does one request pass? If not it is answered with this code. */
static bool passes(unsigned rights, const struct buf *request, uint32_t id, uint32_t code)
{
	struct sftp_gate *g = gate(rights);
	struct buf b;
	bool through;

	assert_true(sftp_gate_feed(g, true, request->data, request->len));
	through = to_target.len == request->len && memcmp(to_target.data, request->data, request->len) == 0;
	if (!through) {
		assert_int_equal(to_target.len, 0);
		buf_view(&b, to_client.data, to_client.len);
		assert_int_equal(buf_get_u32(&b), to_client.len - 4);
		assert_int_equal(buf_get_u8(&b), 101);
		assert_int_equal(buf_get_u32(&b), id);
		assert_int_equal(buf_get_u32(&b), code);
		assert_non_null(strstr(said, "\"op\":\"refused\""));
		assert_int_equal(sftp_gate_refused(g), 1);
	} else {
		assert_int_equal(to_client.len + strlen(said), 0);
	}
	sftp_gate_destroy(g);
	return through;
}

static void each_request_needs_its_right(void **state)
{
	static const struct { uint8_t type; const char *text; unsigned needs; uint32_t code; } table[] = {
		{ 4, "h", 0, 3 }, { 5, "h", CHAN_READS, 3 }, { 6, "h", CHAN_WRITES, 3 }, { 7, "/p", 0, 3 }, { 8, "h", 0, 3 },
		{ 9, "/p", CHAN_WRITES, 3 }, { 10, "h", CHAN_WRITES, 3 }, { 11, "/p", CHAN_READS, 3 }, { 12, "h", CHAN_READS, 3 },
		{ 13, "/p", CHAN_WRITES, 3 }, { 14, "/p", CHAN_WRITES, 3 }, { 15, "/p", CHAN_WRITES, 3 }, { 16, ".", 0, 3 },
		{ 17, "/p", 0, 3 }, { 18, "/p", CHAN_WRITES, 3 }, { 19, "/p", CHAN_READS, 3 }, { 20, "/p", CHAN_WRITES, 3 },
		{ 200, "posix-rename@openssh.com", CHAN_WRITES, 3 }, { 200, "hardlink@openssh.com", CHAN_WRITES, 3 },
		{ 200, "fsync@openssh.com", CHAN_WRITES, 3 }, { 200, "lsetstat@openssh.com", CHAN_WRITES, 3 },
		{ 200, "statvfs@openssh.com", 0, 3 }, { 200, "limits@openssh.com", 0, 3 }, { 200, "copy-data", CHAN_READS | CHAN_WRITES, 3 },
		{ 200, "exec@evil", 4, 8 }, { 200, "statvfs@openssh.com ", 4, 8 }, { 21, "/p", 4, 8 }, { 2, "x", 4, 8 }, { 0, "x", 4, 8 },
		{ 101, "x", 4, 8 }, { 255, "x", 4, 8 },
	};
	char longest[80] = "";

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	for (size_t i = 0; i <= sizeof(table) / sizeof(table[0]); i++) {
		bool last = i == sizeof(table) / sizeof(table[0]);
		uint8_t type = last ? 200 : table[i].type;
		const char *text = last ? longest : table[i].text;
		unsigned needs = last ? 4 : table[i].needs;

		for (unsigned rights = CHAN_READS; rights <= CHAN_WRITES; rights++) {
			struct buf b;

			buf_init(&b, 4096);
			packet(&b, type, 77 + rights, text, "\0\0\0\0\0\0\0\0\0\0\0\1x", 13);
			if (passes(rights, &b, 77 + rights, needs == 4 ? 8 : 3) != ((needs & ~rights) == 0))
				fail_msg("type %u %s with rights %u", type, text, rights);
			buf_finish(&b);
		}
	}
}

/* All combinations of the flags of an open, and of some that are none. */
static void an_open_is_what_its_flags_say(void **state)
{
	(void)state;
	for (uint32_t flags = 0; flags < 256; flags++) {
		bool reads = (flags & 1) != 0 || (flags & 2) == 0, writes = (flags & 0xfe) != 0;
		struct buf b;

		buf_init(&b, 256);
		open_packet(&b, 5, flags);
		assert_int_equal(passes(CHAN_READS, &b, 5, 3), !writes);
		assert_int_equal(passes(CHAN_WRITES, &b, 5, 3), !reads);
		buf_finish(&b);
	}
}

/* A stream of all kinds, cut at every two places: the same bytes pass, the same answers come. */
static void cuts_change_nothing(void **state)
{
	struct buf in, want_in, want_out;
	struct sftp_gate *g;

	(void)state;
	buf_init(&in, 8192);
	buf_put(&in, "\0\0\0\5\1\0\0\0\6", 9);
	open_packet(&in, 1, 1);
	open_packet(&in, 2, 2);
	packet(&in, 6, 3, "handle", "\0\0\0\0\0\0\0\0\0\0\0\3abc", 15);
	packet(&in, 5, 4, "handle", "\0\0\0\0\0\0\0\0\0\0\1\0", 12);
	packet(&in, 13, 5, "/x", "", 0);
	packet(&in, 17, 6, "/x", "", 0);
	g = gate(CHAN_READS);
	assert_true(sftp_gate_feed(g, true, in.data, in.len));
	assert_int_equal(sftp_gate_refused(g), 3);
	assert_memory_equal(to_target.data, "\0\0\0\5\1\0\0\0\3", 9); /* a higher version is taken down */
	sftp_gate_destroy(g);
	buf_init(&want_in, 8192);
	buf_init(&want_out, 8192);
	buf_put(&want_in, to_target.data, to_target.len);
	buf_put(&want_out, to_client.data, to_client.len);
	for (size_t a = 0; a <= in.len; a++) {
		for (size_t b = a; b <= in.len; b += 3) {
			g = gate(CHAN_READS);
			assert_true(sftp_gate_feed(g, true, in.data, a) && sftp_gate_feed(g, true, in.data + a, b - a) &&
			    sftp_gate_feed(g, true, in.data + b, in.len - b));
			assert_int_equal(to_target.len, want_in.len);
			assert_memory_equal(to_target.data, want_in.data, want_in.len);
			assert_int_equal(to_client.len, want_out.len);
			assert_memory_equal(to_client.data, want_out.data, want_out.len);
			sftp_gate_destroy(g);
		}
	}
	buf_finish(&in);
	buf_finish(&want_in);
	buf_finish(&want_out);
}

/* The target is in the middle of an answer: ours waits for its end. */
static void answers_stand_between_answers(void **state)
{
	struct sftp_gate *g = gate(CHAN_READS);
	struct buf in;

	(void)state;
	buf_init(&in, 256);
	packet(&in, 13, 9, "/x", "", 0);
	assert_true(sftp_gate_feed(g, false, (const uint8_t *)"\0\0\0\10abc", 7));
	assert_true(sftp_gate_feed(g, true, in.data, in.len));
	assert_int_equal(to_client.len, 7);
	assert_true(sftp_gate_feed(g, false, (const uint8_t *)"defgh\0\0", 7));
	assert_memory_equal(to_client.data, "\0\0\0\10abcdefgh", 12);
	assert_int_equal(to_client.data[12 + 4], 101);
	assert_memory_equal(to_client.data + to_client.len - 2, "\0\0", 2);
	sftp_gate_destroy(g);
	/* nobody takes the answers: an end, not a heap that grows */
	g = gate(CHAN_READS);
	assert_true(sftp_gate_feed(g, false, (const uint8_t *)"\0", 1));
	for (size_t i = 0; i < 5000 && sftp_gate_feed(g, true, in.data, in.len); i++)
		assert_true(i < 2000);
	assert_false(sftp_gate_feed(g, true, in.data, in.len));
	sftp_gate_destroy(g);
	buf_finish(&in);
}

/* An extension that is longer than what is looked at, as `ls -l` of a folder of many users, is decided by its name, however it is cut. */
static void long_extensions(void **state)
{
	static const struct { const char *name; bool passes; } cases[] = {
		{ "users-groups-by-id@openssh.com", true }, { "posix-rename@openssh.com", false }, { "exec@evil", false },
	};
	static const uint8_t ids[40000];

	(void)state;
	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		for (size_t cut = 1; cut < 100; cut++) {
			struct sftp_gate *g = gate(CHAN_READS);
			struct buf in;
			size_t len;

			buf_init(&in, 65536);
			packet(&in, 200, 7, cases[k].name, ids, sizeof(ids));
			len = in.len;
			packet(&in, 17, 8, "/x", "", 0);
			assert_true(sftp_gate_feed(g, true, in.data, cut) && sftp_gate_feed(g, true, in.data + cut, in.len - cut));
			assert_int_equal(sftp_gate_refused(g), !cases[k].passes);
			assert_int_equal(to_target.len, cases[k].passes ? in.len : in.len - len);
			assert_memory_equal(to_target.data, in.data + in.len - to_target.len, to_target.len);
			buf_finish(&in);
			sftp_gate_destroy(g);
		}
	}
}

/* What cannot be followed ends it, and nothing passes after. */
static void what_is_no_packet_ends_it(void **state)
{
	static const uint8_t bad[][9] = {
		{ 0, 0, 0, 0, 3 }, { 0, 0, 0, 4, 3, 0, 0, 0, 1 }, { 0xff, 0xff, 0xff, 0xff, 3 }, { 0, 0x10, 0, 1, 6 }, { 0, 0, 0x90, 0, 3 },
		{ 0, 0, 0, 5, 3, 0, 0, 0, 1 },	/* an open without a path */
	};
	struct sftp_gate *g;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		g = gate(CHAN_READS);
		assert_false(sftp_gate_feed(g, true, bad[i], sizeof(bad[i])));
		assert_int_equal(to_target.len, 0);
		assert_false(sftp_gate_feed(g, true, (const uint8_t *)"\0\0\0\5\1\0\0\0\3", 9));
		assert_false(sftp_gate_feed(g, false, (const uint8_t *)"x", 1));
		assert_int_equal(to_target.len, 0);
		sftp_gate_destroy(g);
	}
}

/* With both rights nothing is kept from passing: the target's server says what it thinks of it, and other channels go on. */
static void with_both_rights_what_is_no_sftp_passes(void **state)
{
	static const char *const bad[] = { "quit\n", "quit\nand more", "\0\0\0\0\3x", "\xff\xff\xff\xff\3yz" };
	static const size_t len[] = { 5, 13, 6, 7 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		for (size_t piece = 1; piece <= len[i]; piece++) {
			struct sftp_gate *g = gate(CHAN_READS | CHAN_WRITES);

			for (size_t at = 0; at < len[i]; at += piece)
				assert_true(sftp_gate_feed(g, true, (const uint8_t *)bad[i] + at, piece < len[i] - at ? piece : len[i] - at));
			assert_int_equal(to_target.len, len[i]);
			assert_memory_equal(to_target.data, bad[i], len[i]);
			assert_true(sftp_gate_done(g));
			sftp_gate_destroy(g);
		}
}

/* Whatever comes: what passes is a run of whole requests that the right allows. */
static void random_streams_let_nothing_more_through(void **state)
{
	uint8_t noise[4096];

	(void)state;
	srand(7);
	for (int round = 0; round < 20000; round++) {
		unsigned rights = round % 2 ? CHAN_READS : CHAN_WRITES;
		struct sftp_gate *g = gate(rights);
		struct buf in, b;
		size_t at = 0;

		buf_init(&in, 4096);
		for (int i = 0; i < 4; i++) {
			if (rand() % 3 == 0)
				open_packet(&in, (uint32_t)rand(), (uint32_t)rand() % 64);
			else
				packet(&in, (uint8_t)(rand() % 24), (uint32_t)rand(), rand() % 2 ? "/p" : NULL, "0123456789", (size_t)(rand() % 10));
		}
		for (int i = 0; i < 3; i++)
			if (rand() % 4 == 0)
				in.data[(size_t)rand() % in.len] = (uint8_t)rand();
		for (size_t n; at < in.len; at += n) {
			n = 1 + (size_t)rand() % 40;
			n = n < in.len - at ? n : in.len - at;
			if (!sftp_gate_feed(g, true, in.data + at, n))
				break;
		}
		for (buf_view(&b, to_target.data, to_target.len); buf_left(&b) > 9;) {
			uint32_t length = buf_get_u32(&b), id;
			uint8_t type = buf_get_u8(&b);
			size_t rest = length - 5, len;

			id = buf_get_u32(&b);
			(void)id;
			assert_true(length >= 5 && length <= 1 << 20);
			if (type == 3 && rest <= buf_left(&b)) {
				struct buf o;
				const uint8_t *path;
				uint32_t flags;

				buf_view(&o, b.data + b.off, rest);
				path = buf_get_string(&o, 4096, &len);
				flags = buf_get_u32(&o);
				assert_true(path != NULL && buf_ok(&o));
				assert_true(rights == CHAN_READS ? (flags & ~1U) == 0 : (flags & 1) == 0 && (flags & 2) != 0);
			}
			if (rights == CHAN_READS)
				assert_null(memchr("\6\11\12\15\16\17\22\24", type, 8));
			else
				assert_null(memchr("\5\13\14\23", type, 4));
			assert_true(type <= 20 && type != 2 && type != 0);
			if (rest > buf_left(&b))
				break; /* the last one is not whole yet: content of a WRITE */
			buf_get_copy(&b, noise, rest);
		}
		buf_finish(&in);
		sftp_gate_destroy(g);
	}
	buf_finish(&to_target);
	buf_finish(&to_client);
}

/* With both rights only the version is seen to; what comes in one piece with it passes, whatever it is, and the gate has done its work. */
static void with_both_rights_the_version_is_agreed(void **state)
{
	static const uint8_t wire[] = "\0\0\0\5\1\0\0\0\6\0\0\0\5\xd2\0\0\0\1";
	struct sftp_gate *g;

	(void)state;
	for (size_t cut = 0; cut < sizeof(wire); cut++) {
		g = gate(CHAN_READS | CHAN_WRITES);
		assert_true(sftp_gate_feed(g, true, wire, cut));
		assert_int_equal(sftp_gate_done(g), cut == 9 || cut == sizeof(wire) - 1);
		assert_true(sftp_gate_feed(g, true, wire + cut, sizeof(wire) - 1 - cut));
		assert_true(sftp_gate_done(g));
		assert_int_equal(to_target.len, sizeof(wire) - 1);
		assert_memory_equal(to_target.data, "\0\0\0\5\1\0\0\0\3", 9);
		assert_memory_equal(to_target.data + 9, wire + 9, sizeof(wire) - 10);
		sftp_gate_destroy(g);
	}
	g = gate(CHAN_READS);
	assert_true(sftp_gate_feed(g, true, wire, 9));
	assert_false(sftp_gate_done(g));
	sftp_gate_destroy(g);
}

/* What is refused is recorded, whatever bytes its name has. */
static void a_name_of_any_bytes_is_told(void **state)
{
	struct sftp_gate *g = gate(CHAN_READS);
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 16);
	packet(&b, 200, 7, "\xff\xfe@example.com", NULL, 0);
	assert_true(sftp_gate_feed(g, true, b.data, b.len));
	assert_int_equal(sftp_gate_refused(g), 1);
	assert_non_null(strstr(said, "\"op\":\"refused\""));
	assert_non_null(strstr(said, "\"what\":\"hex:fffe40"));
	assert_int_equal(to_target.len, 0);
	buf_finish(&b);
	sftp_gate_destroy(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_request_needs_its_right), cmocka_unit_test(an_open_is_what_its_flags_say),
		cmocka_unit_test(cuts_change_nothing), cmocka_unit_test(answers_stand_between_answers),
		cmocka_unit_test(long_extensions), cmocka_unit_test(a_name_of_any_bytes_is_told), cmocka_unit_test(with_both_rights_the_version_is_agreed), cmocka_unit_test(what_is_no_packet_ends_it),
		cmocka_unit_test(with_both_rights_what_is_no_sftp_passes), cmocka_unit_test(random_streams_let_nothing_more_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
