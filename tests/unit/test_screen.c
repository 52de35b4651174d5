/*
 * test_screen.c - the auditor's screen: right for what programs send, and safe for what nobody
 * should.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "screen.h"
#include "screen_filter.h"
#include "screen_arena.h"
#include "screen_grammar.h"
#include "screen_oracle.h"
#include "screen_view.h"

/* ---- helpers ---- */

static struct screen *shown(unsigned cols, unsigned rows, const char *bytes)
{
	struct screen *s = screen_create(cols, rows, NULL, NULL);

	assert_non_null(s);
	screen_feed(s, bytes, strlen(bytes));
	return s;
}

/* The text of a row, each blank a space, up to the last that is not blank. */
static const char *row_text(const struct screen *s, unsigned row)
{
	static char out[SCREEN_COLS_MAX * 24];
	size_t n = 0, used = 0;
	struct cell c;

	for (unsigned i = 0; i < screen_cols(s); i++) {
		screen_cell(s, row, i, &c);
		if (c.width == 0)
			continue;
		if (c.ch[0] == 0)
			out[n++] = ' ';
		for (int k = 0; k < CELL_CHARS && c.ch[k] != 0; k++)
			n += filter_encode(out + n, c.ch[k]);
		if (c.ch[0] != 0 && c.ch[0] != ' ')
			used = n;
	}
	out[used] = '\0';
	return out;
}

static void expect_row(const char *bytes, unsigned row, const char *text)
{
	struct screen *s = shown(20, 5, bytes);

	assert_string_equal(row_text(s, row), text);
	screen_destroy(s);
}

/* Draws and checks the grammar; returns the length of the output. */
static size_t draw(struct view *v, const struct screen *s)
{
	struct buf out;
	size_t len;

	buf_init(&out, VIEW_OUT_MAX);
	view_begin(v);
	view_screen(v, s, v->rows - 1);
	view_text(v, v->rows - 1, 0, CELL_REVERSE, "status \033]0;x\007\xc2\x9b");
	assert_int_equal(view_end(v, &out), 0);
	assert_int_equal(grammar_check(out.data, out.len), out.len);
	len = out.len;
	buf_finish(&out);
	return len;
}

static void expect_safe(const void *bytes, size_t len)
{
	struct screen *s = screen_create(20, 5, NULL, NULL);
	struct view v;

	assert_int_equal(view_init(&v, 20, 6), 0);
	screen_feed(s, bytes, len);
	draw(&v, s);
	/* and piece by piece, drawn in between */
	assert_int_equal(screen_restart(s, 20, 5), 0);
	for (size_t i = 0; i < len && i < 300; i++) {
		screen_feed(s, (const char *)bytes + i, 1);
		draw(&v, s);
	}
	view_finish(&v);
	screen_destroy(s);
}

/* ---- the checker itself ---- */

static void grammar_refuses(void **state)
{
	static const char *const bad[] = {
		"\033]52;c;QQ==\007", "\033[6n", "\033[c", "a\nb", "\r", "\007", "\033Pq\033\\",
		"\033[?2004h", "\033[1;1;1H", "\033[3J", "\033[1000;1H", "\302\233", "\302\205",
		"\200", "\377", "\033", "\033[", "\033[1", "\342\200\256", "\177", "\033c",
		"\033[?1049",
	};
	static const char good[] = VIEW_ENTER
	    "\033[12;40Hx\303\251\033[0;1;38;5;12m\360\237\230\200" VIEW_LEAVE;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (grammar_check(bad[i], strlen(bad[i])) == strlen(bad[i]))
			fail_msg("allowed: number %zu", i);
	assert_int_equal(grammar_check(good, sizeof(good) - 1), sizeof(good) - 1);
}

/* ---- right ---- */

static void shows_text(void **state)
{
	(void)state;
	expect_row("hello\r\nworld", 0, "hello");
	expect_row("hello\r\nworld", 1, "world");
	expect_row("abc\b\bX", 0, "aXc");
	expect_row("a\tb", 0, "a       b");
	expect_row("\033[2;3Hx", 1, "  x");
	expect_row("abcdef\033[3G\033[K", 0, "ab");
	expect_row("12345678901234567890wrap", 1, "wrap");
	expect_row("one\033[2J\033[Htwo", 0, "two");
	expect_row("abc\033[1G\033[2Pz", 0, "z");
	expect_row("x\033[5b", 0, "xxxxxx");
	expect_row("\033(0lqk\033(B lqk", 0, "\xe2\x94\x8c\xe2\x94\x80\xe2\x94\x90 lqk");
	expect_row("a\033[1;31mb\033[mc", 0, "abc");
	expect_row("abc\033[4h\033[1GX\033[4lY", 0, "XYbc");
	expect_row("12\0337 345\0338X", 0, "12X345");
	expect_row("12\033[s 345\033[uX", 0, "12X345");
	expect_row("a\033[1000;1000Hz\033[1;2Hb", 0, "ab");
}

static void shows_wide_and_combining(void **state)
{
	struct screen *s;
	struct cell c;

	(void)state;
	expect_row("e\xcc\x81x", 0, "e\xcc\x81x");
	expect_row("\xe6\xbc\xa2x", 0, "\xe6\xbc\xa2x");
	expect_row("caf\xc3\xa9", 0, "caf\xc3\xa9");
	/* ten accents: four stay */
	expect_row(
	    "e\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81x", 0,
	    "e\xcc\x81\xcc\x81\xcc\x81\xcc\x81x");
	/* an accent with nothing before it */
	expect_row("\xcc\x81x", 0, "x");
	/* variation selector and joiner go */
	expect_row("a\xef\xb8\x8f\xe2\x80\x8d" "b", 0, "ab");
	s = shown(20, 5, "\xe6\xbc\xa2x");
	screen_cell(s, 0, 0, &c);
	assert_int_equal(c.width, 2);
	screen_cell(s, 0, 1, &c);
	assert_int_equal(c.width, 0);
	screen_destroy(s);
}

static void shows_attributes(void **state)
{
	struct screen *s = shown(20, 5,
	    "\033[1;4;31mA\033[0;7;48;5;200mB\033[0;38:2::1:2:3mC"
	    "\033[38;2;4;5;6;3mD\033[mE\033[4:0;9mF\033[38;5mG");
	struct cell c;

	(void)state;
	screen_cell(s, 0, 0, &c);
	assert_int_equal(c.attr, CELL_BOLD | CELL_UNDERLINE);
	assert_int_equal(c.fg.kind, COLOUR_INDEX);
	assert_int_equal(c.fg.r, 1);
	screen_cell(s, 0, 1, &c);
	assert_int_equal(c.attr, CELL_REVERSE);
	assert_int_equal(c.bg.r, 200);
	screen_cell(s, 0, 2, &c);
	assert_int_equal(c.fg.kind, COLOUR_RGB);
	assert_true(c.fg.r == 1 && c.fg.g == 2 && c.fg.b == 3);
	screen_cell(s, 0, 3, &c);
	assert_true(c.fg.r == 4 && c.fg.g == 5 && c.fg.b == 6);
	assert_int_equal(c.attr, CELL_ITALIC);
	screen_cell(s, 0, 4, &c);
	assert_int_equal(c.attr, 0);
	assert_int_equal(c.fg.kind, COLOUR_DEFAULT);
	screen_cell(s, 0, 5, &c);
	assert_int_equal(c.attr, CELL_STRIKE);
	screen_cell(s, 0, 6, &c);
	assert_int_equal(c.fg.kind, COLOUR_DEFAULT);
	screen_destroy(s);
}

static void follows_resize(void **state)
{
	struct screen *s = shown(20, 5, "one\r\ntwo\r\nthree");
	struct cursor at;

	(void)state;
	screen_resize(s, 30, 10);
	assert_int_equal(screen_cols(s), 30);
	assert_string_equal(row_text(s, 2), "three");
	/* a place far out is saved, a region is set, then the screen shrinks under both */
	screen_feed(s, "\033[10;30H\0337\033[8;10r", 17);
	screen_resize(s, 10, 3);
	screen_feed(s, "\0338\n\n\n\033Mx\033[5L\033[5M", 16);
	at = screen_cursor(s);
	assert_true(at.row < 3 && at.col < 10);
	screen_resize(s, 0, 0);
	assert_int_equal(screen_rows(s), SCREEN_ROWS_MIN);
	screen_resize(s, 65535, 65535);
	assert_int_equal(screen_cols(s), SCREEN_COLS_MAX);
	screen_destroy(s);
}

/* ---- safe ---- */

static void drops_strings(void **state)
{
	(void)state;
	expect_row("a\033]0;title\007b", 0, "ab");
	expect_row("a\033]52;c;ZXZpbA==\033\\b", 0, "ab");
	expect_row("a\033Pq#0;2;0;0;0~~\033\\b", 0, "ab");
	expect_row("a\033_apc\033\\b", 0, "ab");
	expect_row("a\033^pm\033\\b", 0, "ab");
	expect_row("a\033Xsos\033\\b", 0, "ab");
	expect_row("a\033ktitle\033\\b", 0, "ab");
	expect_row("a\033]0;unfinished\030b", 0, "ab");
	expect_row("a\033]8;;http://x\033\\b\033]8;;\033\\", 0, "ab");
	/* a sequence ends a string that has no end of its own */
	expect_row("a\033]0;x\033[1mb", 0, "ab");
	expect_row("a\033]0;x\033\033[1mb", 0, "ab");
}

static void drops_questions_and_the_rest(void **state)
{
	(void)state;
	expect_row("a\033[6n\033[c\033[>c\033[?6n\033[x\033[18t\033[?1$p\033Zb", 0, "ab");
	expect_row("a\033[?1000h\033[?2004h\033[?1004h\033[?1006h\033[>4;1m\033=\033>b", 0, "ab");
	expect_row("a\033[1\"q\033[ q\033[3 q\033#3\033#6b", 0, "ab");
	expect_row("a\007\005\001b", 0, "ab");
	expect_row("a\xc2\x9b" "31mb", 0, "a\xef\xbf\xbd" "31mb");
	expect_row("a\x9b" "31mb", 0, "a\xef\xbf\xbd" "31mb");
	expect_row("a\xe2\x80\xae" "b", 0, "a\xef\xbf\xbd" "b");
	expect_row("a\xc3(", 0, "a\xef\xbf\xbd(");
	expect_row("a\xed\xa0\x80", 0, "a\xef\xbf\xbd");
	expect_row("a\xf8\x88\x80\x80\x80", 0,
	    "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

/* Each of these broke or hung libvterm 0.1.4 before the filter stood in front of it. */
static void survives_what_breaks_the_library(void **state)
{
	char many[1200] = "\033[";

	(void)state;
	for (int i = 2; i < 1000; i++)
		many[i] = i % 3 ? ';' : ':';
	strcpy(many + 1000, "mok");
	expect_row(many, 0, "ok");
	expect_row("\033[bok", 0, "ok");
	expect_row("\033[999999999bok", 0, "ok");
	expect_row("\xc2\x85\xc2\x85\033[g\033H\033[2K\033[1Gok", 0, "ok");
	expect_row("\033[99999999999999999999999;4294967295Hx\033[Hok", 0, "ok");
	expect_row(
	    "\033[2147483647@\033[2147483648P\033[4294967295X\033[2147483647B\033[Hok", 0, "ok");
	expect_row("\033[69h\033[?69h\033[20;1s\033[5;5r\033[2147483647L\033[r\033[Hok", 0, "ok");
	expect_row("\033#6\033[?69h\xe6\xbc\xa2\033[20G\xe6\xbc\xa2\033[H\033[Kok", 0, "ok");
}

static void every_byte_alone_and_in_every_state(void **state)
{
	static const char *const before[] = { "", "\033", "\033[", "\033[1", "\033[?1", "\033[1;",
		"\033[ ", "\033(", "\033]0;", "\033P", "\033]\033", "\xe2", "\xe2\x82", "\033[1!" };

	(void)state;
	for (size_t k = 0; k < sizeof(before) / sizeof(before[0]); k++)
		for (int b = 0; b < 256; b++) {
			char bytes[16];
			size_t n = strlen(before[k]);

			memcpy(bytes, before[k], n);
			bytes[n] = (char)b;
			memcpy(bytes + n + 1, "\030z", 2);
			expect_safe(bytes, n + 3);
		}
}

static void random_bytes(void **state)
{
	static const char alphabet[] =
	    "\033\033\033[[]P;;:?!0123456789HJKmhlrsu78ABCDLMPSTXb@ "
	    "\n\r\b\t\xe2\x82\xac\xc2\x9b\xf0\x9f\x98\x80z";
	char bytes[400];
	uint32_t x = 20261122;

	(void)state;
	for (int round = 0; round < 300; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			x = x * 1664525 + 1013904223;
			bytes[i] = round % 2 ? (char)(x >> 24)
					     : alphabet[(x >> 16) % (sizeof(alphabet) - 1)];
		}
		expect_safe(bytes, sizeof(bytes));
	}
}

/* What programs send, and what nobody does. */
static size_t noise(char *out, size_t size, uint32_t *x)
{
	static const char *const parts[] = { "\033[2A", "\033[3B", "\033[4C", "\033[5D", "\033[3;7H", "\033[J",
		"\033[1J", "\033[2J", "\033[K", "\033[1K", "\033[2L", "\033[M", "\033[2P", "\033[3@", "\033[2X",
		"\033[2;4r", "\033[r", "\033[2S", "\033[T", "\033M", "\033D", "\033[?1049h", "\033[?1049l",
		"\033[?5h", "\033[?7l", "\033[?7h", "\033[4h", "\033[4l", "\033[44m", "\033[1;7;31m", "\033[m", "\0337",
		"\0338", "\033c", "\033#8", "\n", "\r\n", "\r\n", "\t", "\b", "\xe6\xbc\xa2", "e\xcc\x81",
		"a line that wraps at the edge ", "word", "\033(0lqk\033(B", "\033[9S", "\033[9L", "\033[40P" };
	size_t n = 0;

	while (n + 40 < size) {
		*x = *x * 1664525 + 1013904223;
		n += (size_t)sprintf(out + n, "%s", parts[(*x >> 16) % (sizeof(parts) / sizeof(parts[0]))]);
		if (*x >> 28 == 0)
			break;
	}
	return n;
}

static void shows_what_libvterm_shows(void **state)
{
	uint32_t x = 7;
	char bytes[400];

	(void)state;
	for (int round = 0; round < 60; round++) {
		struct screen *s = screen_create(20, 6, NULL, NULL);
		struct oracle o;

		oracle_init(&o, 20, 6);
		for (int i = 0; i < 60; i++) {
			size_t n = noise(bytes, sizeof(bytes), &x);

			screen_feed(s, bytes, n);
			oracle_feed(&o, bytes, n);
			if (x >> 24 < 20) {
				screen_resize(s, 2 + (x >> 8) % 40, 2 + (x >> 16) % 12);
				oracle_resize(&o, 2 + (x >> 8) % 40, 2 + (x >> 16) % 12);
			}
			if (oracle_differs(&o, s)[0] != '\0')
				fail_msg("round %d, step %d: %s", round, i, oracle_differs(&o, s));
		}
		oracle_finish(&o);
		screen_destroy(s);
	}
}

/* ---- moments ---- */

static void expect_same(const struct screen *a, const struct screen *b)
{
	struct cursor x = screen_cursor(a), y = screen_cursor(b);
	struct cell c, d;

	assert_int_equal(screen_cols(a), screen_cols(b));
	assert_int_equal(screen_rows(a), screen_rows(b));
	assert_true(x.row == y.row && x.col == y.col && x.visible == y.visible);
	for (unsigned r = 0; r < screen_rows(a); r++)
		for (unsigned i = 0; i < screen_cols(a); i++) {
			screen_cell(a, r, i, &c);
			screen_cell(b, r, i, &d);
			assert_memory_equal(&c, &d, sizeof(c));
		}
}

/* Back at a moment, what follows has the same effect as the first time: nothing of the state is lost. */
static void goes_back_to_a_moment(void **state)
{
	uint32_t x = 99;
	char head[400], tail[400];

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct screen *s = screen_create(20, 6, NULL, NULL), *t = screen_create(20, 6, NULL, NULL);
		size_t n = noise(head, sizeof(head), &x), m = noise(tail, sizeof(tail), &x), bytes;
		struct screen_moment *kept;

		/* also in the middle of a sequence, and of a code point */
		n += (size_t)sprintf(head + n, "%s", round % 3 == 0 ? "\033[3" : round % 3 == 1 ? "\xe6\xbc" : "\033");
		screen_feed(s, head, n);
		screen_feed(t, head, n);
		kept = screen_keep(s, &bytes);
		assert_non_null(kept);
		screen_feed(s, tail, m);
		screen_resize(s, 2 + x % 50, 2 + x % 9);
		screen_feed(s, tail, m);
		if (round % 2 == 0)
			screen_restart(s, 33, 9);
		assert_int_equal(screen_back(s, kept), 0);
		expect_same(s, t);
		screen_feed(s, tail, m);
		screen_feed(t, tail, m);
		expect_same(s, t);
		screen_forget(kept);
		screen_destroy(s);
		screen_destroy(t);
	}
}

/* libvterm takes no more from its arena than a quarter of it, whatever sizes it goes through. */
static void the_arena_is_wide(void **state)
{
	struct screen *s = screen_create(SCREEN_COLS_MAX, SCREEN_ROWS_MAX, NULL, NULL);
	size_t least, most;

	(void)state;
	screen_forget(screen_keep(s, &least));
	for (unsigned i = 0; i < 4000; i++) {
		screen_resize(s, i * 7919 % 600, i * 104729 % 300);
		screen_feed(s, "x\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81", 11);
	}
	screen_resize(s, 2, 2);
	screen_feed(s, "\033[?1049h\033c", 10);
	screen_forget(screen_keep(s, &most));
	assert_true(most < least + ARENA_BYTES / 4);
	screen_destroy(s);
}

static void serials_move_with_their_rows(void **state)
{
	struct screen *s = shown(10, 3, "a\r\nb\r\nc");
	uint64_t b = screen_row_serial(s, 1), c = screen_row_serial(s, 2);

	(void)state;
	screen_feed(s, "\r\nd", 3);
	assert_int_equal(screen_row_serial(s, 0), b);
	assert_int_equal(screen_row_serial(s, 1), c);
	screen_feed(s, "\033[1;1HX", 7);
	assert_int_not_equal(screen_row_serial(s, 0), b);
	assert_int_equal(screen_row_serial(s, 1), c);
	assert_false(screen_row_full(s, 0));
	screen_feed(s, "\033[1;1H0123456789", 16);
	assert_true(screen_row_full(s, 0));
	screen_destroy(s);
}

static void bounded_work(void **state)
{
	struct screen *s = screen_create(80, 24, NULL, NULL);
	char accents[8192];

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(accents); i += 2)
		memcpy(accents + i, "\xcc\x81", 2);
	screen_feed(s, "x", 1);
	/* without a limit each costs as much as all before it together: 32 MB would take days */
	for (int i = 0; i < 4096; i++)
		screen_feed(s, accents, sizeof(accents));
	assert_string_equal(row_text(s, 0), "x\xcc\x81\xcc\x81\xcc\x81\xcc\x81");
	screen_destroy(s);
}

/* ---- the view ---- */

static void draws_only_changes(void **state)
{
	struct screen *s = shown(40, 10, "some text\r\n\033[31mmore\033[m of it");
	struct view v;
	size_t first, again;

	(void)state;
	assert_int_equal(view_init(&v, 60, 20), 0);
	first = draw(&v, s);
	again = draw(&v, s);
	assert_true(first > 60 && again < 30);
	screen_feed(s, "!", 1);
	assert_true(draw(&v, s) < 60);
	assert_int_equal(view_resize(&v, 30, 8), 0);
	assert_true(draw(&v, s) > 60);
	view_finish(&v);
	screen_destroy(s);
}

static void window_follows_the_cursor(void **state)
{
	struct screen *s = shown(100, 50, "\033[40;90Hx");
	struct view v;

	(void)state;
	assert_int_equal(view_init(&v, 40, 12), 0);
	draw(&v, s);
	assert_true(v.top <= 39 && v.top + 11 > 39 && v.left <= 90 && v.left + 40 > 90);
	assert_true(v.cursor.visible);
	screen_feed(s, "\033[H", 3);
	draw(&v, s);
	assert_int_equal(v.top, 0);
	assert_int_equal(v.left, 0);
	v.follow = false;
	v.top = 1000;
	v.left = 1000;
	draw(&v, s);
	assert_int_equal(v.top, 50 - 11);
	assert_int_equal(v.left, 100 - 40);
	assert_false(v.cursor.visible);
	view_finish(&v);
	screen_destroy(s);
}

static void plain_terminals(void **state)
{
	struct screen *s = shown(20, 5, "\033[38;2;200;100;50mcaf\xc3\xa9 \xe6\xbc\xa2");
	struct view v;
	struct buf out;

	(void)state;
	assert_int_equal(view_init(&v, 30, 7), 0);
	v.utf8 = v.rgb = false;
	buf_init(&out, VIEW_OUT_MAX);
	view_begin(&v);
	view_screen(&v, s, 6);
	assert_int_equal(view_end(&v, &out), 0);
	for (size_t i = 0; i < out.len; i++)
		assert_true(out.data[i] < 0x80);
	assert_non_null(memmem(out.data, out.len, "caf?", 4));
	assert_non_null(memmem(out.data, out.len, ";38;5;", 6));
	buf_finish(&out);
	view_finish(&v);
	screen_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grammar_refuses),
		cmocka_unit_test(shows_text),
		cmocka_unit_test(shows_wide_and_combining),
		cmocka_unit_test(shows_attributes),
		cmocka_unit_test(follows_resize),
		cmocka_unit_test(drops_strings),
		cmocka_unit_test(drops_questions_and_the_rest),
		cmocka_unit_test(survives_what_breaks_the_library),
		cmocka_unit_test(every_byte_alone_and_in_every_state),
		cmocka_unit_test(random_bytes),
		cmocka_unit_test(shows_what_libvterm_shows),
		cmocka_unit_test(goes_back_to_a_moment),
		cmocka_unit_test(the_arena_is_wide),
		cmocka_unit_test(serials_move_with_their_rows),
		cmocka_unit_test(bounded_work),
		cmocka_unit_test(draws_only_changes),
		cmocka_unit_test(window_follows_the_cursor),
		cmocka_unit_test(plain_terminals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
