/*
 * test_screen_lines.c - the lines that leave an auditor's screen for good, whatever makes them leave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "screen.h"

struct lines {
	char text[4096];
	size_t len;
};

static void keep_line(void *ctx, const char *text, size_t len, bool alternate, bool full)
{
	struct lines *l = ctx;

	(void)full;
	l->len += (size_t)snprintf(l->text + l->len, sizeof(l->text) - l->len, "%s%.*s|",
	    alternate ? "alt:" : "", (int)len, text);
}

static void keeps_lines(void **state)
{
	struct lines l = { .len = 0 };
	struct screen *s = screen_create(20, 3, keep_line, &l);
	static const char bytes[] =
	    "1\r\n2\r\n3\r\n4\r\n5\033[?1049h\033[Hfull\r\nscreen\033[?1049l\033[2J\033[Hlast";

	(void)state;
	screen_feed(s, bytes, sizeof(bytes) - 1);
	screen_lines(s);
	assert_string_equal(l.text, "1|2|alt:full|alt:screen|3|4|5|last|");
	screen_destroy(s);
}

/* The lines of a screen of 20 by 3 that leave it, and at the end all that are left. */
static const char *lines_of(const char *bytes)
{
	static struct lines l;
	struct screen *s = screen_create(20, 3, keep_line, &l);

	l.len = 0;
	l.text[0] = '\0';
	screen_feed(s, bytes, strlen(bytes));
	screen_lines(s);
	screen_destroy(s);
	return l.text;
}

/* Whatever erases all of it; what erases a part is a program at work. */
static void keeps_lines_that_are_cleared(void **state)
{
	(void)state;
	assert_string_equal(lines_of("1\r\n2\033[H\033[Jx"), "1|2|x|");
	assert_string_equal(lines_of("1\r\n2\033[H\033[?0Jx"), "1|2|x|");
	assert_string_equal(lines_of("1\r\n2\033[9;99H\033[1J\rx"), "1|2|||x|");
	assert_string_equal(lines_of("1\r\n2\033[2H\033[Jx"), "1|x|");
	assert_string_equal(lines_of("1\r\n23\033[2H\033[1J"), "| 3|");
	assert_string_equal(lines_of("1\033[?1049h\033[Hfull\033[H\033[J\033[?1049l"), "1|");
}

/* What ends, or is reset, in a full-screen program has shown what was before it, too. */
static void keeps_lines_under_the_alternate_screen(void **state)
{
	(void)state;
	assert_string_equal(lines_of("1\r\n2\033[?1049h\033[Hfull"), "alt:full|1|2|");
	assert_string_equal(lines_of("1\r\n2\033[?1049h\033[Hfull\033cx"), "alt:full|1|2|x|");
	assert_string_equal(lines_of("1\033[?1049h\033[Hfull\033[?1049l"), "alt:full|1|");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_lines),
		cmocka_unit_test(keeps_lines_that_are_cleared),
		cmocka_unit_test(keeps_lines_under_the_alternate_screen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
