/*
 * test_sftp_track.c - what the tracker of SFTP (sftp_track.c) says when more is asked for than its tables hold, and of clients that send
 * what no honest one does. The rest: test_relay.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "relay_bulk.h"

#define BYTES(s) s, sizeof(s) - 1
#define UNTRACKED "{\"op\":\"untracked\",\"why\":\"sftp: malformed packet\"}\n"

enum { OPEN = 3, CLOSE, READ, WRITE, REMOVE = 13, STATUS = 101, HANDLE, DATA };

static char said[4096];		/* the last of what was said */
static char all[16384];		/* since the test began, one a line */

static void remember(void *ctx, const char *json)
{
	(void)ctx;
	snprintf(said, sizeof(said), "%s", json);
	snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s\n", json);
}

static int forget(void **state)
{
	(void)state;
	said[0] = all[0] = '\0';
	return 0;
}

/* A packet: id, a string unless it is NULL, then up to three numbers, of 64 bits, 32 bits, 32 bits, as its type has them. */
static void feed(struct sftp_track *t, bool input, uint8_t type, uint32_t id, const char *text, uint64_t offset)
{
	EVP_MD_CTX *rest = bulk_sha();
	struct buf b, packet;

	buf_init(&b, 65536);
	buf_init(&packet, 65536);
	buf_put_u8(&b, type);
	buf_put_u32(&b, id);
	if (text != NULL)
		buf_put_cstring(&b, text);
	if (type == READ || type == WRITE)
		buf_put_u64(&b, offset);
	if (type == READ || type == WRITE || type == OPEN || type == STATUS)
		buf_put_u32(&b, type == READ); /* of WRITE: no bytes */
	if (type == OPEN)
		buf_put_u32(&b, 0);
	assert_true(buf_ok(&b));
	buf_put_string(&packet, b.data, b.len);
	sftp_track_feed(t, input, packet.data, packet.len, rest);
	buf_finish(&b);
	buf_finish(&packet);
	EVP_MD_CTX_free(rest);
}

/* A packet of the client that says it is of `length` bytes, with what follows it in the same piece. */
static void feed_raw(struct sftp_track *t, uint32_t length, const void *data, size_t len)
{
	EVP_MD_CTX *rest = bulk_sha();
	struct buf b;

	buf_init(&b, 65536);
	buf_put_u32(&b, length);
	buf_put(&b, data, len);
	assert_true(buf_ok(&b));
	sftp_track_feed(t, true, b.data, b.len, rest);
	buf_finish(&b);
	EVP_MD_CTX_free(rest);
}

static void opens(struct sftp_track *t, uint32_t id, const char *name)
{
	feed(t, true, OPEN, id, name, 0);
	said[0] = '\0';
	feed(t, false, HANDLE, id, name, 0);
}

/* What is said when the file is closed. */
static const char *closes(struct sftp_track *t, uint32_t id, const char *name)
{
	feed(t, true, CLOSE, id, name, 0);
	said[0] = '\0';
	feed(t, false, STATUS, id, NULL, 0);
	return said;
}

/* n bytes of the file x, a request each, all of them asked for before the first answer. What the close says. */
static const char *reads(struct sftp_track *t, uint32_t n)
{
	const uint32_t first = UINT32_MAX - 10000; /* ids go round */

	for (uint32_t i = 0; i < n; i++)
		feed(t, true, READ, first + i, "x", i);
	for (uint32_t i = 0; i < n; i++)
		feed(t, false, DATA, first + i, "y", 0);
	return closes(t, 5, "x");
}

/* Each answer finds its request; too many cost the file its digest, and the channel nothing. */
static void many_reads(void **state)
{
	static const struct { uint32_t n; const char *says; } cases[] = {
		{ 1, "{\"op\":\"get\",\"path\":\"x\",\"size\":1,\"sha256\":\"a1fce436" }, /* printf y | sha256sum */
		{ 20000, "{\"op\":\"get\",\"path\":\"x\",\"size\":20000,\"sha256\":\"" },
		{ 40000, "\"sha256\":\"\",\"in_order\":false,\"from\":0,\"hashed\":" },
	};

	(void)state;
	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		struct sftp_track *t = sftp_track_create(remember, NULL);
		const bool whole = cases[k].n <= 20000;

		assert_non_null(t);
		opens(t, 1, "x");
		assert_non_null(strstr(reads(t, cases[k].n), cases[k].says));
		assert_true((strstr(said, "\"in_order\":true") != NULL) == whole);
		assert_true((strstr(said, "\"partly\":true") == NULL) == whole);
		feed(t, true, REMOVE, 6, "gone", 0);
		assert_string_equal(said, "{\"op\":\"remove\",\"path\":\"gone\"}");
		sftp_track_destroy(t);
	}
}

/* While a client asks on and on, other requests have places. */
static void reads_leave_places(void **state)
{
	struct sftp_track *t = sftp_track_create(remember, NULL);

	(void)state;
	assert_non_null(t);
	opens(t, 1, "x");
	for (uint32_t i = 0; i < 40000; i++)
		feed(t, true, READ, 2 + i, "x", i);
	opens(t, 50000, "z");
	opens(t, 50001, "read");
	assert_string_equal(said, "");
	assert_string_equal(closes(t, 50002, "z"), "{\"op\":\"open\",\"path\":\"z\"}");
	feed(t, true, READ, 50003, "read", 0);
	feed(t, false, DATA, 50003, "y", 0);
	assert_non_null(strstr(closes(t, 50004, "read"), "{\"op\":\"get\",\"path\":\"read\",\"size\":0,\"sha256\":\"\",\"in_order\":false"));
	assert_non_null(strstr(said, "\"partly\":true"));
	sftp_track_destroy(t);
}

/* Answers in any order: what stands behind a place that is given back is still found. */
static void answers_in_any_order(void **state)
{
	enum { N = 97 };
	struct sftp_track *t = sftp_track_create(remember, NULL);

	(void)state;
	assert_non_null(t);
	for (uint32_t i = 0; i < N; i++)
		feed(t, true, OPEN, i % 3 * 256 * 256 + i / 3, i == 50 ? "fifty" : "other", 0);
	for (uint32_t k = 0; k < N; k++) {
		const uint32_t i = k * 31 % N;

		said[0] = '\0';
		feed(t, false, STATUS, i % 3 * 256 * 256 + i / 3, NULL, 0);
		assert_true(strncmp(said, "{\"op\":\"open-failed\",\"path\":", 26) == 0);
		assert_true((strstr(said, "fifty") != NULL) == (i == 50));
	}
	sftp_track_destroy(t);
}

/* Which of two requests an answer is for, only who sent them knows: what a server says of one is not said of the other. */
static void ids_that_are_taken(void **state)
{
	static const uint8_t first[] = { OPEN, WRITE, 7, 11, READ, 17 }; /* 7 LSTAT, 11 OPENDIR, 17 STAT */

	(void)state;
	for (size_t k = 0; k < sizeof(first); k++) {
		struct sftp_track *t = sftp_track_create(remember, NULL);

		assert_non_null(t);
		said[0] = '\0';
		feed(t, true, first[k], 255, "nothing", 0);
		feed(t, true, OPEN, 255, "shadow", 0);
		assert_string_equal(said, "{\"op\":\"untracked\",\"why\":\"sftp: a request has the id of one without an answer\"}");
		feed(t, false, STATUS, 255, NULL, 0);
		assert_non_null(strstr(said, "untracked"));
		sftp_track_destroy(t);
	}
}

/* What has no id is no answer; an answer that is too long to be looked at is one all the same. */
static void answers_of_other_kinds(void **state)
{
	static char names[40000];
	struct sftp_track *t = sftp_track_create(remember, NULL);

	(void)state;
	assert_non_null(t);
	memset(names, 'n', sizeof(names) - 1);
	said[0] = '\0';
	feed(t, true, OPEN, 3, "x", 0);
	feed(t, false, 2, 3, NULL, 0);		/* VERSION 3 */
	feed(t, false, HANDLE, 3, "x", 0);
	for (uint32_t i = 0; i < 3; i++) {	/* the lowest id that is free, as PuTTY takes it */
		feed(t, true, 12, 4, "x", 0);	/* READDIR */
		feed(t, false, 104, 4, names, 0);
	}
	assert_string_equal(said, "");
	assert_string_equal(closes(t, 4, "x"), "{\"op\":\"open\",\"path\":\"x\"}");
	said[0] = '\0';
	feed(t, true, 9, 5, names, 0);		/* no client asks for that */
	assert_string_equal(said, "{\"op\":\"untracked\",\"why\":\"sftp: malformed packet\"}");
	sftp_track_destroy(t);
}

/* An extension that is longer than what is looked at, as `ls -l` of a folder of many users: it is no loss, if it names no path. */
static void long_extensions(void **state)
{
	static const char gone[] = "{\"op\":\"remove\",\"path\":\"gone\"}\n";
	static const struct { const char *name, *says; } cases[] = {
		{ "users-groups-by-id@openssh.com", gone }, { "posix-rename@openssh.com", UNTRACKED }, { "hardlink@openssh.com", UNTRACKED },
		{ "copy-file", "{\"op\":\"extended\",\"name\":\"copy-file\",\"untracked\":true}\n{\"op\":\"remove\",\"path\":\"gone\"}\n" },
	};

	(void)state;
	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		static uint8_t ids[40000];
		struct sftp_track *t = sftp_track_create(remember, NULL);
		struct buf b;

		assert_non_null(t);
		forget(NULL);
		opens(t, 1, "x");
		buf_init(&b, 65536);
		buf_put(&b, "\310\0\0\0\2", 5);
		buf_put_cstring(&b, cases[k].name);
		buf_put_string(&b, ids, sizeof(ids));
		feed_raw(t, (uint32_t)b.len, b.data, b.len);
		buf_finish(&b);
		feed(t, false, 201, 2, NULL, 0);
		feed(t, true, REMOVE, 2, "gone", 0);
		assert_string_equal(all, cases[k].says);
		sftp_track_destroy(t);
	}
}

/* A READ that has no place has an id all the same. */
static void ids_of_reads_without_a_place(void **state)
{
	for (uint32_t answered = 0; answered < 2; answered++) {
		struct sftp_track *t = sftp_track_create(remember, NULL);

		(void)state;
		assert_non_null(t);
		opens(t, 1, "x");
		for (uint32_t i = 0; i < 30000; i++)
			feed(t, true, READ, 2 + i, "x", i);
		for (uint32_t i = 0; i < (answered ? 30000 : 20000); i++)
			feed(t, false, DATA, 2 + i, "y", 0);
		assert_string_equal(said, "");
		feed(t, true, OPEN, 29000, "y", 0);
		assert_true((strstr(said, "untracked") != NULL) == !answered);
		sftp_track_destroy(t);
	}
}

/* The answer to a request that the gate took out is none to an OPEN before it. */
static void a_refusal_is_no_answer_to_another(void **state)
{
	struct sftp_track *t = sftp_track_create(remember, NULL);

	(void)state;
	assert_non_null(t);
	said[0] = '\0';
	sftp_track_refused(t, 8);
	feed(t, false, STATUS, 8, NULL, 0);
	feed(t, true, OPEN, 7, "shadow", 0);
	assert_string_equal(said, "");
	sftp_track_refused(t, 7);
	assert_non_null(strstr(said, "untracked"));
	feed(t, false, STATUS, 7, NULL, 0);
	assert_non_null(strstr(said, "untracked"));
	sftp_track_destroy(t);
}

/* Of more files than are followed only the names are known; of those that are, all. */
static void many_files(void **state)
{
	struct sftp_track *t = sftp_track_create(remember, NULL);
	char name[16];

	(void)state;
	assert_non_null(t);
	for (uint32_t i = 1; i <= 256; i++) {
		snprintf(name, sizeof(name), "h%u", i);
		opens(t, i, name);
		assert_string_equal(said, "");
	}
	opens(t, 257, "h257");
	assert_string_equal(said, "{\"op\":\"open\",\"path\":\"h257\",\"untracked\":true}");
	feed(t, true, READ, 300, "h1", 0);
	feed(t, false, DATA, 300, "y", 0);
	assert_non_null(strstr(closes(t, 301, "h1"), "\"op\":\"get\",\"path\":\"h1\",\"size\":1,"));
	sftp_track_destroy(t);
}

#define PARTLY(op, path) "{\"op\":\"" op "\",\"path\":\"" path "\",\"size\":0,\"sha256\":\"\",\"in_order\":false,\"from\":0,\"hashed\":0," \
    "\"start_sha256\":\"\",\"partly\":true}\n"

/* A is open as h, and a burst closes it, opens B, which the server gives the same handle, and guesses that: `type` of it. What is said to the end. */
static const char *reused(uint8_t type, bool closes_again)
{
	struct sftp_track *t = sftp_track_create(remember, NULL);

	forget(NULL);
	assert_non_null(t);
	feed(t, true, OPEN, 1, "A", 0);
	feed(t, false, HANDLE, 1, "h", 0);
	feed(t, true, CLOSE, 5, "h", 0);
	feed(t, true, OPEN, 6, "B", 0);
	feed(t, true, type, 7, "h", 0);
	if (closes_again)
		feed(t, true, CLOSE, 8, "h", 0);
	feed(t, false, STATUS, 5, NULL, 0);
	feed(t, false, HANDLE, 6, "h", 0);
	if (type == READ)
		feed(t, false, DATA, 7, "secret", 0);
	else
		feed(t, false, STATUS, 7, NULL, 0);
	if (closes_again)
		feed(t, false, STATUS, 8, NULL, 0);
	sftp_track_end(t);
	sftp_track_destroy(t);
	return all;
}

/* Content goes to the file that has the handle when the server does it, not when the client asks: of the one before it nothing is said that was not. */
static void a_handle_that_is_guessed(void **state)
{
	(void)state;
	assert_string_equal(reused(WRITE, false), "{\"op\":\"open\",\"path\":\"A\"}\n" PARTLY("put", "B"));
	assert_string_equal(reused(READ, false), "{\"op\":\"open\",\"path\":\"A\"}\n" PARTLY("get", "B"));
	assert_string_equal(reused(WRITE, true), "{\"op\":\"open\",\"path\":\"A\"}\n{\"op\":\"open\",\"path\":\"B\",\"untracked\":true}\n");
	assert_string_equal(reused(READ, true), "{\"op\":\"open\",\"path\":\"A\"}\n{\"op\":\"open\",\"path\":\"B\",\"untracked\":true}\n");
}

/* A CLOSE that was guessed ends a file in silence: the next one with its handle is not taken for it. */
static void a_close_that_is_guessed(void **state)
{
	struct sftp_track *t = sftp_track_create(remember, NULL);

	(void)state;
	assert_non_null(t);
	feed(t, true, OPEN, 1, "B", 0);
	feed(t, true, CLOSE, 2, "h", 0);
	feed(t, false, HANDLE, 1, "h", 0);
	feed(t, false, STATUS, 2, NULL, 0);
	feed(t, true, OPEN, 3, "C", 0);
	feed(t, false, HANDLE, 3, "h", 0);
	feed(t, true, WRITE, 4, "h", 0);
	sftp_track_end(t);
	assert_non_null(strstr(all, "{\"op\":\"open\",\"path\":\"B\",\"untracked\":true}\n{\"op\":\"put\",\"path\":\"C\",\"size\":0,"));
	assert_non_null(strstr(all, "\"in_order\":true}"));
	sftp_track_destroy(t);
}

/* Handles that are not the new file's, or not any more, make nothing of it doubtful: a directory's that is closed, one that was guessed and refused. */
static void other_handles_cast_no_doubt(void **state)
{
	struct sftp_track *t = sftp_track_create(remember, NULL);

	(void)state;
	assert_non_null(t);
	feed(t, true, READ, 1, "h", 0);
	feed(t, true, CLOSE, 2, "h", 0);
	feed(t, false, STATUS, 1, NULL, 0);
	feed(t, false, STATUS, 2, NULL, 0);
	feed(t, true, OPEN, 3, "x", 0);
	feed(t, true, CLOSE, 4, "directory", 0);
	feed(t, true, READ, 5, "other", 0);
	feed(t, false, HANDLE, 3, "h", 0);
	assert_string_equal(closes(t, 6, "h"), "{\"op\":\"open\",\"path\":\"x\"}");
	sftp_track_destroy(t);
}

/* READs of no file that have no place are READs of no file all the same. */
static void guessed_without_a_place(void **state)
{
	struct sftp_track *t = sftp_track_create(remember, NULL);

	(void)state;
	assert_non_null(t);
	feed(t, true, OPEN, 1, "x", 0);
	for (uint32_t i = 0; i < 30000; i++)
		feed(t, true, READ, 2 + i, i < 29000 ? "other" : "h", i);
	feed(t, false, HANDLE, 1, "h", 0);
	closes(t, 50000, "h");
	assert_string_equal(all, PARTLY("get", "x"));
	sftp_track_destroy(t);
}

/* A server that closes before it has answered all that was asked before: what comes later is of the file, and not in its size. */
static void closed_before_a_read_is_answered(void **state)
{
	struct sftp_track *t = sftp_track_create(remember, NULL);

	(void)state;
	assert_non_null(t);
	opens(t, 1, "x");
	feed(t, true, READ, 2, "x", 0);
	closes(t, 3, "x");
	assert_string_equal(all, PARTLY("get", "x"));
	forget(NULL);
	opens(t, 4, "y");
	feed(t, true, READ, 5, "y", 0);
	sftp_track_end(t); /* no answer comes */
	assert_string_equal(all, "{\"op\":\"open\",\"path\":\"y\"}\n");
	sftp_track_destroy(t);
}

/* What changes a file by its handle, or without its link, is said with its name; by a handle that nobody has, without. */
static void operations_by_handle(void **state)
{
	static const struct { const char *bytes; size_t len; const char *says; } cases[] = {
		{ BYTES("\12\0\0\0\7\0\0\0\1x\0\0\0\4\0\0\1\355"), "{\"op\":\"setstat\",\"path\":\"x\"}\n" },
		{ BYTES("\12\0\0\0\7\0\0\0\1q\0\0\0\4\0\0\1\355"), "{\"op\":\"setstat\",\"untracked\":true}\n" },
		{ BYTES("\12\0\0\0\7"), UNTRACKED },
		{ BYTES("\310\0\0\0\7\0\0\0\24lsetstat@openssh.com\0\0\0\1z\0\0\0\0"), "{\"op\":\"setstat\",\"path\":\"z\"}\n" },
		{ BYTES("\310\0\0\0\7\0\0\0\11copy-data\0\0\0\1x" "0123456701234567" "\0\0\0\1y" "01234567"),
		    "{\"op\":\"copy\",\"path\":\"x\",\"to\":\"y\"}\n" },
		{ BYTES("\310\0\0\0\7\0\0\0\11copy-data\0\0\0\1q" "0123456701234567" "\0\0\0\1y" "01234567"),
		    "{\"op\":\"copy\",\"to\":\"y\",\"untracked\":true}\n" },
		{ BYTES("\310\0\0\0\7\0\0\0\11copy-data\0\0\0\1x" "0123456701234567" "\0\0\0\1q" "01234567"),
		    "{\"op\":\"copy\",\"path\":\"x\",\"untracked\":true}\n" },
		{ BYTES("\310\0\0\0\7\0\0\0\11copy-data\0\0\0\1x" "0123456701234567"), UNTRACKED },
		/* of other servers: what it does nobody here knows, and that it was asked for is said */
		{ BYTES("\310\0\0\0\7\0\0\0\11copy-file\0\0\0\1x\0\0\0\1y\1"), "{\"op\":\"extended\",\"name\":\"copy-file\",\"untracked\":true}\n" },
		{ BYTES("\310\0\0\0\7\0\0\0\23statvfs@openssh.com\0\0\0\1z"), "" },
		{ BYTES("\310\0\0\0\7\0\0\0\16version-select\0\0\0\1" "6"),
		    "{\"op\":\"untracked\",\"why\":\"sftp: another version of the protocol was chosen\"}\n" },
		{ BYTES("\25\0\0\0\7\0\0\0\1x\0\0\0\1y"),
		    "{\"op\":\"untracked\",\"why\":\"sftp: a request that version 3 does not have\"}\n" }, /* LINK of version 6 */
	};

	(void)state;
	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		struct sftp_track *t = sftp_track_create(remember, NULL);

		assert_non_null(t);
		forget(NULL);
		opens(t, 1, "x");
		opens(t, 2, "y");
		feed_raw(t, (uint32_t)cases[k].len, cases[k].bytes, cases[k].len);
		if (strcmp(all, cases[k].says) != 0)
			fail_msg("case %zu: %s", k, all);
		sftp_track_destroy(t);
	}
}

/* What a server reads on behind a request that is too short, it does: that is not followed in silence. */
static void requests_that_are_too_short(void **state)
{
	static const struct { uint32_t length; const char *bytes; size_t len; } cases[] = {
		{ 0, BYTES("\15\0\0\0\7\0\0\0\6/etc/x") },
		{ 1, BYTES("\15\0\0\0\7\0\0\0\6/etc/x") },		/* REMOVE */
		{ 5, BYTES("\15\0\0\0\7\0\0\0\6/etc/x") },
		{ 9, BYTES("\15\0\0\0\7\0\0\0\6/etc/x") },
		{ 12, BYTES("\22\0\0\0\7\0\0\0\3one\0\0\0\3two") },	/* RENAME with one path */
		{ 5, BYTES("\3\0\0\0\7\0\0\0\1x\0\0\0\32\0\0\0\0") },	/* OPEN without one */
		{ 5, BYTES("\310\0\0\0\7\0\0\0\30posix-rename@openssh.com\0\0\0\3one\0\0\0\3two") },
		{ 33, BYTES("\310\0\0\0\7\0\0\0\30posix-rename@openssh.com\0\0\0\3one\0\0\0\3two") },
		/* the same to OpenSSH's server, and none of a name to us */
		{ 48, BYTES("\310\0\0\0\7\0\0\0\31posix-rename@openssh.com\0\0\0\0\3one\0\0\0\3two") },
		{ 5, BYTES("\5\0\0\0\7\0\0\0\1h\0\0\0\0\0\0\0\0\0\0\0\1") },	/* READ, of no handle, */
		{ 10, BYTES("\5\0\0\0\7\0\0\0\1h\0\0\0\0\0\0\0\0\0\0\0\1") },	/* from nowhere */
		{ 5, BYTES("\4\0\0\0\7\0\0\0\1h") },			/* CLOSE */
		{ 10, BYTES("\6\0\0\0\7\0\0\0\1h\0\0\0\0\0\0\0\0\0\0\0\1x") },	/* WRITE */
	};

	(void)state;
	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		struct sftp_track *t = sftp_track_create(remember, NULL);

		assert_non_null(t);
		forget(NULL);
		feed_raw(t, cases[k].length, cases[k].bytes, cases[k].len);
		if (strcmp(all, UNTRACKED) != 0)
			fail_msg("case %zu: %s", k, all);
		sftp_track_destroy(t);
	}
}

/* What is open when the stream cannot be followed any more goes on unseen, and of an OPEN without an answer nobody knows whether it was done. */
static void what_is_open_when_it_is_lost(void **state)
{
	struct sftp_track *t = sftp_track_create(remember, NULL);

	(void)state;
	assert_non_null(t);
	opens(t, 1, "begun");
	opens(t, 2, "other");
	feed(t, true, OPEN, 3, "asked", 0);
	feed(t, true, WRITE, 4, "begun", 0);
	feed_raw(t, 1, BYTES("\15"));
	feed(t, true, WRITE, 5, "begun", 0);
	sftp_track_end(t);
	assert_string_equal(all, UNTRACKED "{\"op\":\"put\",\"path\":\"begun\",\"size\":0,\"sha256\":\"\",\"in_order\":false,\"from\":0,\"hashed\":0,"
	    "\"start_sha256\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\"partly\":true}\n"
	    "{\"op\":\"open\",\"path\":\"other\",\"untracked\":true}\n{\"op\":\"open\",\"path\":\"asked\",\"untracked\":true}\n");
	sftp_track_destroy(t);
}

/* The answer to an OPEN was not waited for: it is said all the same. */
static void an_open_without_an_answer(void **state)
{
	struct sftp_track *t = sftp_track_create(remember, NULL);

	(void)state;
	assert_non_null(t);
	feed(t, true, OPEN, 1, "x", 0);
	sftp_track_end(t);
	assert_string_equal(all, "{\"op\":\"open\",\"path\":\"x\",\"untracked\":true}\n");
	sftp_track_destroy(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_reads),
		cmocka_unit_test(reads_leave_places),
		cmocka_unit_test(answers_in_any_order),
		cmocka_unit_test(ids_that_are_taken),
		cmocka_unit_test(a_refusal_is_no_answer_to_another),
		cmocka_unit_test(answers_of_other_kinds),
		cmocka_unit_test(long_extensions),
		cmocka_unit_test(ids_of_reads_without_a_place),
		cmocka_unit_test(many_files),
		cmocka_unit_test(a_handle_that_is_guessed),
		cmocka_unit_test_setup(a_close_that_is_guessed, forget),
		cmocka_unit_test_setup(other_handles_cast_no_doubt, forget),
		cmocka_unit_test_setup(guessed_without_a_place, forget),
		cmocka_unit_test_setup(closed_before_a_read_is_answered, forget),
		cmocka_unit_test(operations_by_handle),
		cmocka_unit_test(requests_that_are_too_short),
		cmocka_unit_test_setup(what_is_open_when_it_is_lost, forget),
		cmocka_unit_test_setup(an_open_without_an_answer, forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
