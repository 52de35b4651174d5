/*
 * test_scp_track.c - both sides of scp's own protocol are read along: what is refused is said to be, nothing of what follows is taken for its
 * content, and a stream that cannot be followed is said to be so.
 *
 * A script is what passes, in its order: from the sender, or, behind a '<', from the side that gets the files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay_bulk.h"

struct piece {
	bool answer;
	const char *data;
	size_t len;
};

#define S(text) { false, text, sizeof(text) - 1 }
#define A(text) { true, text, sizeof(text) - 1 }
#define END { false, NULL, 0 }

static char said[4096];

/* "op path bytes whole;", and of what is not followed "untracked;" */
static void report(void *ctx, const char *json)
{
	json_t *j = json_loads(json, 0, NULL);
	const char *op = json_string_value(json_object_get(j, "op")), *path = json_string_value(json_object_get(j, "path"));
	const json_t *bytes = json_object_get(j, "bytes");
	const size_t n = strlen(said);

	(void)ctx;
	assert_non_null(op);
	if (bytes != NULL)
		snprintf(said + n, sizeof(said) - n, "%s %s %lld%s;", op, path, (long long)json_integer_value(bytes),
		    json_is_true(json_object_get(j, "whole")) ? "" : " partly");
	else if (path != NULL)
		snprintf(said + n, sizeof(said) - n, "%s %s %s;", op, path, json_string_value(json_object_get(j, "why")));
	else
		snprintf(said + n, sizeof(said) - n, "%s;", op);
	json_decref(j);
}

/* As this direction calls it: PUT is the name of what moves a file. */
static void expand(char *out, size_t size, const char *want, bool upload)
{
	size_t n = 0;

	for (const char *w = want; *w != '\0' && n < size; w++)
		if (strncmp(w, "PUT", 3) == 0) {
			n += (size_t)snprintf(out + n, size - n, "%s", upload ? "put" : "get");
			w += 2;
		} else {
			out[n++] = *w;
		}
	out[n] = '\0';
}

/* In both directions, in whole pieces and in single bytes. */
static void says(const struct piece *script, const char *want)
{
	char expected[sizeof(said)];

	for (int i = 0; i < 4; i++) {
		const bool upload = i % 2 == 0;
		struct scp_track *t = scp_track_create(upload, report, NULL);

		assert_non_null(t);
		said[0] = '\0';
		for (const struct piece *p = script; p->data != NULL; p++)
			for (size_t k = 0, n = i < 2 ? p->len : 1; k < p->len; k += n)
				scp_track_feed(t, p->answer != upload, (const uint8_t *)p->data + k, n);
		scp_track_end(t);
		scp_track_destroy(t);
		expand(expected, sizeof(expected), want, upload);
		assert_string_equal(said, expected);
	}
}

#define SAYS(want, ...) says((const struct piece[]){ __VA_ARGS__, END }, want)

static void what_is_taken_is_said(void **state)
{
	(void)state;
	SAYS("PUT a 5;", A("\0"), S("C0644 5 a\n"), A("\0"), S("hello"), S("\0"), A("\0"));
	SAYS("PUT a 0;PUT b 1;", A("\0"), S("T1 0 1 0\n"), A("\0"), S("C0644 0 a\n"), A("\0"), S("\0"), A("\0"), S("C0644 1 b\n"), A("\0"), S("x\0"), A("\0"));
	SAYS("PUT d/e/a 1;PUT d/b 1;PUT c 1;", A("\0"), S("D0755 0 d\n"), A("\0"), S("D0755 0 e\n"), A("\0"), S("C0644 1 a\n"), A("\0"), S("x\0"), A("\0"),
	    S("E\n"), A("\0"), S("C0644 1 b\n"), A("\0"), S("x\0"), A("\0"), S("E\n"), A("\0"), S("C0644 1 c\n"), A("\0"), S("x\0"), A("\0"));
	/* what the sender cannot open, and what it cannot read to the end */
	SAYS("PUT a 2 partly;PUT b 1;", A("\0"), S("\1scp: no: not here\n"), S("C0644 2 a\n"), A("\0"), S("xx"), S("\1scp: a: failed\n"), A("\0"),
	    S("C0644 1 b\n"), A("\0"), S("x\0"), A("\0"));
	SAYS("PUT a 2 partly;", A("\0"), S("C0644 5 a\n"), A("\0"), S("he"));
	SAYS("", A("\1scp: nowhere\n"));
	SAYS("", S(""));
}

static void what_is_refused_is_said_to_be(void **state)
{
	(void)state;
	SAYS("PUT-failed a scp: a: no;PUT b 1;PUT-failed c scp: c: no;PUT d 1;", A("\0"), S("C0644 5 a\n"), A("\1scp: a: no\n"), S("C0644 1 b\n"), A("\0"),
	    S("x\0"), A("\0"), S("C0644 9999999 c\n"), A("\2scp: c: no\n"), S("C0644 1 d\n"), A("\0"), S("x\0"), A("\0"));
	/* of the directory none is entered, and the one that is open stays */
	SAYS("PUT-failed d/e/ no;PUT d/b 1;PUT c 1;", A("\0"), S("D0755 0 d\n"), A("\0"), S("D0755 0 e\n"), A("\1no\n"), S("C0644 1 b\n"), A("\0"), S("x\0"), A("\0"),
	    S("E\n"), A("\0"), S("C0644 1 c\n"), A("\0"), S("x\0"), A("\0"));
	/* it passed whole, and could not be stored */
	SAYS("PUT a 1;PUT-failed a disk full;PUT b 1;", A("\0"), S("C0644 1 a\n"), A("\0"), S("x\0"), A("\1disk full\n"), S("C0644 1 b\n"), A("\0"), S("x\0"), A("\0"));
	SAYS("PUT b 1;", A("\0"), S("T1 0 1 0\n"), A("\1no\n"), S("C0644 1 b\n"), A("\0"), S("x\0"), A("\0"));
}

/* Some send all at once, and some answer ahead. */
static void who_does_not_wait_is_followed(void **state)
{
	(void)state;
	SAYS("PUT a 1;PUT b 1;", S("C0644 1 a\nx\0C0644 1 b\nx\0"), A("\0\0\0\0\0"));
	SAYS("PUT a 1;PUT b 1;", A("\0\0\0\0\0"), S("C0644 1 a\nx\0C0644 1 b\nx\0"));
	/* until something is refused: was that a's content, or a line? */
	SAYS("PUT-failed a no;untracked;", A("\0"), S("C0644 9999 a\n"), S("C0644 1 b\n"), A("\1no\n"), A("\0"), S("x\0"), A("\0"));
	SAYS("PUT a 1;untracked;", A("\0"), S("C0644 1 a\n"), S("x\0"), A("\1no\n"), S("C0644 1 b\n"));
	SAYS("PUT-failed d/ no;untracked;", A("\0"), S("D0755 0 d\n"), S("C0644"), A("\1no\n"), S(" 1 b\n"));
	/* or it is over before that is known */
	SAYS("PUT a 12 partly;untracked;", A("\0"), S("C0644 9999 a\n"), S("C0644 1 b\nx\0"));
	SAYS("PUT a 1;untracked;", S("C0644 1 a\nx\0"), A("\0"));
}

static void what_cannot_be_followed_is_said(void **state)
{
	char text[2100], line[2100];

	(void)state;
	memset(text, 'm', sizeof(text));
	memset(line, 'n', sizeof(line));
	memcpy(line, "C0644 1 ", 8);
	text[0] = '\1';
	/* each end cuts what is longer than 2047 bytes in two */
	for (size_t len = 2046; len <= 2047; len++) {
		text[len] = '\n';
		SAYS(len == 2046 ? "PUT b 1;" : "untracked;", A("\0"), { false, text, len + 1 }, S("C0644 1 b\n"), A("\0"), S("x\0"), A("\0"));
		text[len] = 'm';
		SAYS(len == 2046 ? "PUT a 1 partly;" : "PUT a 1 partly;untracked;", A("\0"), S("C0644 1 a\n"), A("\0"), S("x"), { false, text, len }, S("\n"), A("\0"));
	}
	SAYS("untracked;", A("\0"), { false, line, 2047 }, S("\n"));
	SAYS("PUT b 0 partly;untracked;", A("\0"), S("C0644 1 b\n"), A("\1"), { true, text + 1, 2047 }, A("\n"));
	SAYS("untracked;", A("\0"), A("\1why\n"));
	SAYS("untracked;", A("hello\n"));
	SAYS("untracked;", A("\0"), S("\0C0644 1 b\n"));
	SAYS("untracked;", A("\0"), S("C0644 -1 b\n"));
	SAYS("untracked;", A("\0"), S("X\n"));
	SAYS("PUT a 1 partly;untracked;", A("\0"), S("C0644 1 a\n"), A("\0"), S("x"), S("C0644 1 b\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_taken_is_said), cmocka_unit_test(what_is_refused_is_said_to_be),
		cmocka_unit_test(who_does_not_wait_is_followed), cmocka_unit_test(what_cannot_be_followed_is_said) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
