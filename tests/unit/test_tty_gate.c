/*
 * test_tty_gate.c - the gate before a terminal: what a viewer draws passes byte for byte, in pieces of any size; all else shuts it.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "screen.h"
#include "screen_view.h"
#include "tty_gate.h"

/* Through a new gate, `step` bytes at a time. */
static bool pass(const char *text, size_t len, size_t step, struct buf *out)
{
	struct tty_gate g = { .nheld = 0 };
	bool open = true;

	buf_init(out, 1 << 20);
	for (size_t i = 0; i < len; i += step)
		open = tty_gate_pass(&g, text + i, len - i < step ? len - i : step, out);
	return open && g.nheld == 0;
}

static void what_a_viewer_draws_passes(void **state)
{
	static const char *const good[] = {
		"plain text, and ~", "\r\n", "\033[1;1H", "\033[200;500H", "\033[m", "\033[0;1;7m", "\033[0;38;2;255;0;1;48;5;200m", "\033[2J",
		"\033[2;2H", "\033[?25l\033[?25h\033[?7l\033[?7h", "\033[?1049h\033[?1049l", "\303\244 \342\224\202 \360\237\230\200 e\314\201",
		VIEW_ENTER, VIEW_LEAVE, GATE_LEAVE,
	};
	struct buf out;

	(void)state;
	assert_string_equal(GATE_LEAVE, VIEW_LEAVE);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		for (size_t step = 1; step <= strlen(good[i]); step++) {
			if (!pass(good[i], strlen(good[i]), step, &out))
				fail_msg("number %zu does not pass in steps of %zu", i, step);
			assert_int_equal(out.len, strlen(good[i]));
			assert_memory_equal(out.data, good[i], out.len);
			buf_finish(&out);
		}
}

static void a_whole_picture_passes(void **state)
{
	static const char hostile[] = "\033]52;c;aGk=\007\033[31;1mred \342\202\254 wide \345\244\247\033[c\033P$q\033\\\302\233 x\033[5;3H\033#8\033[?1049hvi";
	struct screen *s = screen_create(40, 10, NULL, NULL);
	struct view v;
	struct buf drawn, out;

	(void)state;
	assert_non_null(s);
	assert_int_equal(view_init(&v, 30, 11), 0);
	buf_init(&drawn, VIEW_OUT_MAX);
	screen_feed(s, hostile, sizeof(hostile) - 1);
	for (int i = 0; i < 2; i++) {
		view_begin(&v);
		view_screen(&v, s, 10);
		assert_int_equal(view_end(&v, &drawn), 0);
		screen_feed(s, "\033[?1049lback", 12);
	}
	assert_true(drawn.len > 100);
	assert_true(pass((const char *)drawn.data, drawn.len, 7, &out));
	assert_int_equal(out.len, drawn.len);
	assert_memory_equal(out.data, drawn.data, out.len);
	buf_finish(&out);
	buf_finish(&drawn);
	view_finish(&v);
	screen_destroy(s);
}

static void all_else_shuts_it(void **state)
{
	static const char *const bad[] = {
		"\007", "\b", "\t", "\177", "\016", "\033]0;title\007", "\033]52;c;aGk=\007", "\033Pq\033\\", "\033_x\033\\", "\033^x", "\033c",
		"\033(0", "\0337", "\033[c", "\033[6n", "\033[5;5r", "\033[1;1f", "\033[3J", "\033[J", "\033[?1h", "\033[?1000h", "\033[?1049s",
		"\033[?2004h", "\033[>c", "\033[!p", "\033[1;1;1H", "\033[1H", "\033[1000;1H", "\033[ q", "\033[1;2 q", "\033[4:3m", "\033[1t",
		"\302\233", "\302\205", "\342\200\256", "\342\200\250", "\300\200", "\355\240\200", "\365\200\200\200", "\200", "\303\050",
		"\033\033", "\033[1\0332J", "\033[1;\r",
		"\033[1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1m",
	};
	struct tty_gate g;
	struct buf out;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[160] = "before";

		strcat(text, bad[i]);
		strcat(text, "after");
		g = (struct tty_gate){ .nheld = 0 };
		buf_init(&out, 1000);
		if (tty_gate_pass(&g, text, strlen(text), &out))
			fail_msg("number %zu passes", i);
		/* what stood before it went out, nothing of it or behind it, now or later */
		assert_int_equal(out.len, 6);
		assert_false(tty_gate_pass(&g, "more", 4, &out));
		assert_int_equal(out.len, 6);
		buf_finish(&out);
	}
	g = (struct tty_gate){ .nheld = 0 };
	buf_init(&out, 1000);
	assert_false(tty_gate_pass(&g, "a\0b", 3, &out));
	buf_finish(&out);
}

static void it_knows_what_the_terminal_owes(void **state)
{
	struct tty_gate g = { .nheld = 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	assert_true(tty_gate_pass(&g, "x\033[?1049", 8, &out));
	assert_false(g.entered);
	assert_int_equal(out.len, 1); /* half a sequence does not go out */
	assert_true(tty_gate_pass(&g, "h", 1, &out));
	assert_true(g.entered);
	assert_true(tty_gate_pass(&g, VIEW_LEAVE, sizeof(VIEW_LEAVE) - 1, &out));
	assert_false(g.entered);
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_viewer_draws_passes), cmocka_unit_test(a_whole_picture_passes),
		cmocka_unit_test(all_else_shuts_it), cmocka_unit_test(it_knows_what_the_terminal_owes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
