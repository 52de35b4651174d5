/*
 * test_replay_search.c - keys as lines, a screen as the lines that stood on it, commands at a prompt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "replay_search.h"

static char said[65536];

static void on_typed(void *ctx, const char *keys, size_t len)
{
	(void)ctx;
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%.*s|", (int)len, keys);
}

static const char *typed(const char *keys)
{
	struct typed t = { .len = 0 };

	said[0] = '\0';
	for (; *keys != '\0'; keys++)
		typed_feed(&t, keys, 1, on_typed, NULL);
	typed_end(&t, on_typed, NULL);
	return said;
}

static void keys_become_lines(void **state)
{
	(void)state;
	assert_string_equal(typed("ls -l\rpwd\n"), "ls -l|pwd|");
	assert_string_equal(typed("sl\177\177ls\r"), "ls|");
	assert_string_equal(typed("a\303\244\010b\r"), "ab|");
	assert_string_equal(typed("\177\177x\r"), "x|");
	assert_string_equal(typed("up\033[A\033[1;5Cdown\033OA\r"), "updown|");
	assert_string_equal(typed("half\033[12\rrest\r"), "half|rest|");
	assert_string_equal(typed("gone\025new\003\004"), "gone|new|");
	assert_string_equal(typed("rm -rf /\027x\r"), "rm -rf /|rm -rf x|");
	assert_string_equal(typed("no end"), "no end|");
}

static void a_mark_is_not_erased(void **state)
{
	struct typed t = { .len = 0 };

	(void)state;
	said[0] = '\0';
	typed_feed(&t, "ab", 2, on_typed, NULL);
	typed_mark(&t, "[mark]", on_typed, NULL);
	typed_feed(&t, "x\177\177\177y\027z\r", 8, on_typed, NULL);
	assert_string_equal(said, "ab[mark]y|ab[mark]z|");
}

static void long_lines_are_cut(void **state)
{
	static char keys[2 * TYPED_MAX + 2];
	struct typed t = { .len = 0 };

	(void)state;
	memset(keys, 'k', sizeof(keys));
	said[0] = '\0';
	typed_feed(&t, keys, sizeof(keys), on_typed, NULL);
	typed_end(&t, on_typed, NULL);
	assert_int_equal(strlen(said), sizeof(keys) + 3);
}

/* ---- pieces ---- */

struct joined {
	size_t len, pieces;
	char text[3 * LINE_BYTES_MAX];
};

static int on_piece(void *ctx, const struct text_line *l)
{
	struct joined *j = ctx;

	assert_true(l->len <= LINE_BYTES_MAX && l->head < l->len);
	/* no code point is cut, and what leads up to it is as long as a text to search */
	assert_int_not_equal((uint8_t)l->text[0] & 0xc0, 0x80);
	assert_int_not_equal((uint8_t)l->text[l->head] & 0xc0, 0x80);
	assert_true(l->head == 0 || l->head >= SEARCH_TEXT_MAX);
	assert_memory_equal(j->text + j->len - l->head, l->text, l->head);
	memcpy(j->text + j->len, l->text + l->head, l->len - l->head);
	j->len += l->len - l->head;
	j->pieces++;
	return 0;
}

static void long_lines_in_pieces(void **state)
{
	static const size_t lens[] = { 1, LINE_BYTES_MAX - 1, LINE_BYTES_MAX, LINE_BYTES_MAX + 1, 2 * LINE_BYTES_MAX, sizeof(((struct joined *)0)->text) };
	static char text[sizeof(((struct joined *)0)->text) + 3];
	static struct joined j;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i += 3)
		memcpy(text + i, "\346\274\242", 3);
	for (size_t first = 0; first < 3; first++)
		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
			struct text_line l = { .kind = LINE_GIVEN, .text = text, .len = lens[i] };

			/* the cuts fall on each byte of a character */
			memset(text, 'a', first);
			memmove(text + first, text + 3, sizeof(text) - 3 - first);
			j.len = j.pieces = 0;
			assert_int_equal(line_pieces(&l, on_piece, &j), 0);
			assert_int_equal(j.len, l.len);
			assert_memory_equal(j.text, text, l.len);
			assert_true(j.pieces == 1 || l.len > LINE_BYTES_MAX);
		}
}

/* ---- rows ---- */

static int on_line(void *ctx, const struct text_line *l)
{
	(void)ctx;
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%c%llu %.*s/%.*s|", l->kind,
	    (unsigned long long)l->t_us, (int)l->head, l->text, (int)(l->len - l->head),
	    l->text + l->head);
	return 0;
}

static uint64_t now;

static struct rows *begin(unsigned cols, unsigned rows)
{
	struct rows *r = rows_create(cols, rows, 1, on_line, NULL);

	assert_non_null(r);
	said[0] = '\0';
	now = 0;
	return r;
}

static void out(struct rows *r, const char *text)
{
	rows_output(r, ++now, (const uint8_t *)text, strlen(text));
}

static void in(struct rows *r, const char *keys)
{
	rows_input(r, ++now, (const uint8_t *)keys, strlen(keys));
}

static const char *end(struct rows *r)
{
	rows_end(r);
	assert_false(rows_failed(r));
	rows_destroy(r);
	return said;
}

static void text_drawn_with_the_cursor_is_a_line(void **state)
{
	struct rows *r = begin(40, 5);

	(void)state;
	out(r, "\033[2;10Hthe\033[2;14Hkey\033[2;1Hsecret\033[2;7H");
	assert_string_equal(end(r), "s1 /secret   the key|");
}

static void a_row_is_told_once_when_it_is_whole(void **state)
{
	struct rows *r = begin(40, 3);

	(void)state;
	out(r, "$ l");
	out(r, "s");
	out(r, "\r\none\r\n");
	out(r, "two\r\n");
	out(r, "three");
	assert_string_equal(end(r), "s2 /$ ls|s3 /one|s4 /two|s5 /three|");
}

static void what_is_replaced_was_there(void **state)
{
	struct rows *r = begin(40, 3);

	(void)state;
	out(r, "first");
	out(r, "\rother");
	out(r, "\r\033[Kx");
	assert_string_equal(end(r), "s1 /first|s2 /other|s3 /x|");
}

static void lines_that_scroll_through_in_one_event(void **state)
{
	struct rows *r = begin(10, 2);

	(void)state;
	out(r, "a\r\nb\r\nc\r\nd\r\n");
	assert_string_equal(end(r), "s1 /a|s1 /b|s1 /c|s1 /d|");
}

static void a_wrapped_row_leads_to_the_next(void **state)
{
	struct rows *r = begin(10, 4);

	(void)state;
	out(r, "0123456789abc");
	assert_string_equal(end(r), "s1 /0123456789|s1 0123456789/abc|");
	r = begin(10, 2);
	out(r, "0123456789abc\r\n\r\n\r\n");
	assert_string_equal(end(r), "s1 /0123456789|s1 0123456789/abc|");
}

static void a_full_screen_program_comes_and_goes(void **state)
{
	struct rows *r = begin(20, 3);

	(void)state;
	out(r, "$ vi");
	out(r, "\033[?1049h\033[2J\033[Hbody");
	out(r, "\033[1;1Hlater");
	out(r, "\033[?1049l");
	out(r, "\r\n$ ");
	assert_string_equal(end(r), "s1 /$ vi|s2 /body|s3 /later|s5 /$|");
}

/* All within one event; what was known before is not said again. */
static void a_full_screen_program_that_is_reset(void **state)
{
	struct rows *r = begin(20, 3);

	(void)state;
	out(r, "one\r\ntwo");
	out(r, "\033[?1049h\033[Hbody");
	out(r, "\033[2Hmore\033cnew");
	out(r, "\033[?1049h\033[Hquick\033[?1049l\r\n\n\n\n");
	assert_string_equal(end(r), "s1 /one|s1 /two|s2 /body|s3 /more|s4 /quick|s3 /new|");
}

/* 10 columns: five wide characters fill them, and ten letters of which one has an accent. */
static void wide_characters_that_wrap_and_scroll(void **state)
{
	struct rows *r = begin(10, 2);

	(void)state;
	out(r, "\346\274\242\345\255\227\346\226\207\345\255\227\346\274\242\345\256\232\r\n\r\n\r\n");
	assert_string_equal(end(r), "s1 /\346\274\242\345\255\227\346\226\207\345\255\227\346\274\242|"
	    "s1 \346\274\242\345\255\227\346\226\207\345\255\227\346\274\242/\345\256\232|");
	r = begin(10, 2);
	out(r, "abcdefgh\314\201\314\201\r\nnext\r\n\r\n\r\n");
	assert_string_equal(end(r), "s1 /abcdefgh\314\201\314\201|s1 /next|");
}

/* ---- commands ---- */

static const char *commands(void)
{
	static char only[4096];

	only[0] = '\0';
	for (char *w = strtok(said, "|"); w != NULL; w = strtok(NULL, "|"))
		if (w[0] == 'c')
			snprintf(only + strlen(only), sizeof(only) - strlen(only), "%s|", w);
	return only;
}

static void a_command_is_what_the_screen_showed(void **state)
{
	struct rows *r = begin(40, 4);

	(void)state;
	out(r, "dba$ ");
	in(r, "cat /e\tx\177\r");
	out(r, "cat /e");
	out(r, "tc/passwd");
	out(r, "\r\nroot\r\ndba$ ");
	in(r, "\033[A");
	out(r, "cat /etc/passwd");
	in(r, "\r");
	out(r, "\r\ndba$ ");
	in(r, "\r");
	out(r, "\r\ndba$ ");
	end(r);
	assert_string_equal(commands(), "c2 dba$ /cat /etc/passwd|c8 dba$ /cat /etc/passwd|");
}

static void a_command_over_two_rows(void **state)
{
	struct rows *r = begin(10, 4);

	(void)state;
	out(r, "$ ");
	in(r, "echo 0123456789\r");
	out(r, "echo 0123456789\r\n");
	end(r);
	assert_string_equal(commands(), "c2 $ /echo 0123456789|");
}

static void no_echo_no_command(void **state)
{
	struct rows *r = begin(40, 4);

	(void)state;
	out(r, "Password: ");
	in(r, "hunter2\r");
	out(r, "\r\n$ ");
	in(r, "abandoned");
	out(r, "abandoned");
	in(r, "\003");
	out(r, "^C\r\n$ ");
	in(r, "id\r");
	out(r, "id\r\n");
	end(r);
	assert_null(strstr(said, "hunter2"));
	assert_string_equal(commands(), "c8 $ /id|");
}

/* A key alone ended a program, and no return stands between it and the next command. */
static void a_program_that_a_key_ends(void **state)
{
	/* full screen; in its own place, as a pager of git; at the beginning of a row, as top */
	static const char *const shown[] = { "\033[?1049h\033[Htext\r\n:", "text\r\n:", "\033[H\033[2Jtop\r\nTasks\r\n" };
	static const char *const ended[] = { "\033[?1049l", "\r\033[K", "\033[4;1H\r\n" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct rows *r = begin(40, 4);

		out(r, "dba$ ");
		in(r, "less x\r");
		out(r, "less x\r\n");
		out(r, shown[i]);
		in(r, "q");
		out(r, ended[i]);
		out(r, "dba$ ");
		in(r, "i");
		out(r, "i");
		in(r, "d\r");
		out(r, "d\r\n");
		end(r);
		assert_string_equal(commands() + strlen("c2 dba$ /less x|"), "c10 dba$ /id|");
	}
}

/* What completion lists, or somebody writes to the terminal, stands in the middle of a line. */
static void a_command_that_was_interrupted(void **state)
{
	struct rows *r = begin(40, 4);

	(void)state;
	out(r, "dba$ ");
	in(r, "ls");
	out(r, "ls");
	in(r, "\t\t");
	out(r, "\r\nls      lsblk\r\ndba$ ls");
	in(r, "b\t");
	out(r, "blk");
	in(r, "\r");
	out(r, "\r\ndba$ ");
	end(r);
	assert_string_equal(commands(), "c8 dba$ /lsblk|");
}

static void any_size_any_bytes(void **state)
{
	struct rows *r = begin(65535, 0);
	uint32_t seed = 7;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		uint8_t junk[97];

		for (size_t k = 0; k < sizeof(junk); k++)
			junk[k] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
		rows_output(r, ++now, junk, seed % sizeof(junk));
		rows_input(r, now, junk, seed % 7);
		rows_output(r, now, (const uint8_t *)"\033[?1049h\n", seed % 10);
		if (i % 10 == 0)
			rows_resize(r, now, seed % 700, seed >> 8 & 255);
		said[0] = '\0';
	}
	end(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_become_lines),
		cmocka_unit_test(a_program_that_a_key_ends),
		cmocka_unit_test(a_command_that_was_interrupted),
		cmocka_unit_test(a_mark_is_not_erased),
		cmocka_unit_test(long_lines_are_cut),
		cmocka_unit_test(long_lines_in_pieces),
		cmocka_unit_test(text_drawn_with_the_cursor_is_a_line),
		cmocka_unit_test(a_row_is_told_once_when_it_is_whole),
		cmocka_unit_test(what_is_replaced_was_there),
		cmocka_unit_test(lines_that_scroll_through_in_one_event),
		cmocka_unit_test(a_wrapped_row_leads_to_the_next),
		cmocka_unit_test(a_full_screen_program_comes_and_goes),
		cmocka_unit_test(a_full_screen_program_that_is_reset),
		cmocka_unit_test(wide_characters_that_wrap_and_scroll),
		cmocka_unit_test(a_command_is_what_the_screen_showed),
		cmocka_unit_test(a_command_over_two_rows),
		cmocka_unit_test(no_echo_no_command),
		cmocka_unit_test(any_size_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
