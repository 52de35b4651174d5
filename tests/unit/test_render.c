/*
 * test_render.c - replies into text: shapes, widths, and foreign bytes in every field.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "render.h"

static struct buf out, err;

/* Both texts, terminated, stay until the next call. */
static int render(const char *word, const char *json, int columns, bool as_json)
{
	struct render_opts o = {
		.word = word != NULL ? words_find(word) : NULL, .columns = columns, .json = as_json
	};
	int r;

	buf_finish(&out);
	buf_finish(&err);
	buf_init(&out, RENDER_MAX);
	buf_init(&err, RENDER_MAX);
	r = render_reply(json, strlen(json), &o, &out, &err);
	assert_int_equal(buf_put_u8(&out, '\0'), 0);
	assert_int_equal(buf_put_u8(&err, '\0'), 0);
	return r;
}

#define OUT ((char *)out.data)
#define ERR ((char *)err.data)

static void texts(void **state)
{
	(void)state;
	assert_int_equal(
	    render("approve", "{\"ok\":true,\"text\":\"one\\ntwo\"}", 80, false), WORDS_OK);
	assert_string_equal(OUT, "one\ntwo\n");
	assert_int_equal(
	    render("approve", "{\"ok\":true,\"text\":\"one\\n\\ntwo\\n\"}", 80, false), WORDS_OK);
	assert_string_equal(OUT, "one\n\ntwo\n");
	assert_int_equal(
	    render("config", "{\"ok\":true,\"text\":\"Host x\\n\\tPort 1\\t\"}", 80, false),
	    WORDS_OK);
	assert_string_equal(OUT, "Host x\n\tPort 1\t\n");
	assert_int_equal(
	    render("approve",
		"{\"ok\":true,\"text\":\"\\u001b]0;x\\u0007\\u202e\\u009b1m\\r\\\\\"}", 80, false),
	    WORDS_OK);
	assert_string_equal(OUT, "\\x1b]0;x\\x07\\u{202e}\\u{9b}1m\\r\\\n");
	assert_int_equal(
	    render("user totp enrol",
		"{\"ok\":true,\"text\":\"t\",\"secret\":\"ABC\",\"uri\":\"otpauth://x\\u001b\"}",
		80, false),
	    WORDS_OK);
	assert_string_equal(OUT, "t\n\n  secret  ABC\n  URI     otpauth://x\\x1b\n");
	assert_int_equal(render(NULL, "{\"ok\":true}", 80, false), WORDS_OK);
	assert_string_equal(OUT, "");
}

static void errors(void **state)
{
	static const struct { const char *code; int exit;
	} codes[] = {
		{ "refused", 1 },
		{ "usage", 2 },
		{ "denied", 3 },
		{ "not_found", 4 },
		{ "broken", 5 },
		{ "new", 5 },
	};
	char json[128];

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		snprintf(json, sizeof(json),
		    "{\"ok\":false,\"code\":\"%s\",\"error\":\"no\\u001b[m\",\"hint\":\"do this\"}",
		    codes[i].code);
		assert_int_equal(render("approve", json, 80, false), codes[i].exit);
		assert_string_equal(OUT, "");
		assert_string_equal(ERR, "no\\x1b[m\ndo this\n");
		assert_int_equal(render("approve", json, 80, true), codes[i].exit);
		assert_string_equal(ERR, "");
		assert_non_null(strstr(OUT, "\"error\": \"no\\u001B[m\""));
	}
}

static void nonsense(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"1",
		"null",
		"{}",
		"{\"ok\":1}",
		"{\"ok\":\"true\"}",
		"{\"ok\":true,\"rows\":7}",
		"{\"ok\":true,\"rows\":{}}",
		"{\"ok\":true,\"text\":\"\\u0000\"}",
		"{\"ok\":true,\"text\":\"\xff\"}",
		"{\"ok\":true} x",
		"\x1b[31m",
		"{\"ok\":true,\"rows\":[99999999999999999999]}",
	};
	static const char *const odd[] = {
		"{\"ok\":true,\"row\":7}",
		"{\"ok\":true,\"rows\":[1,null,\"x\",[],{}]}",
		"{\"ok\":true,\"text\":[1]}",
		"{\"ok\":true,\"rows\":[{\"id\":{\"a\":[1,{}]},\"state\":[],\"user\":null,\"until\":\"x\",\"for\":-1,\"left\":1e300,"
		"\"caps\":{},\"approvers\":[[[\"a\"]],{\"b\":1}]}]}",
		"{\"ok\":true,\"rows\":[{\"until\":9223372036854775807},{\"until\":-9223372036854775808},{\"until\":253402300799}]}",
		"{\"ok\":false}",
		"{\"ok\":false,\"code\":1,\"error\":2,\"hint\":[]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(render("grants", bad[i], 80, false), WORDS_BROKEN);
		assert_string_equal(OUT, "");
		assert_non_null(strstr(ERR, "makes no sense"));
	}
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		for (int columns = 0; columns < 100; columns += 7)
			render("grants", odd[i], columns, false);
}

static void table(void **state)
{
	(void)state;
	assert_int_equal(
	    render("requests",
		"{\"ok\":true,\"rows\":["
		"{\"id\":17,\"state\":\"pending\",\"user\":\"alice\",\"login\":\"dba\",\"host\":\"web1\",\"for\":7200,\"approvals\":\"0/1\","
		"\"reason\":\"index rebuild\"},"
		"{\"id\":9,\"state\":\"active\",\"user\":\"bob\",\"login\":\"app\",\"host\":\"db-long-name\",\"for\":5400,"
		"\"until\":1795000000,\"approvals\":\"1/1\",\"ticket\":\"\",\"reason\":\"\"}]}",
		0, false),
	    WORDS_OK);
	assert_string_equal(OUT,
	    "ID  STATE    USER   LOGIN  HOST          FOR    UNTIL             APPROVALS  REASON\n"
	    "17  pending  alice  dba    web1          2h                       0/1        index rebuild\n"
	    "9   active   bob    app    db-long-name  1h30m  2026-11-18 11:06  1/1\n");
	/* who approves sees what for, however narrow it is */
	assert_int_equal(
	    render("requests",
		"{\"ok\":true,\"rows\":[{\"id\":18,\"state\":\"pending\",\"user\":\"alice\",\"login\":\"dba\",\"host\":\"web1\",\"for\":7200,"
		"\"not_before\":1795000000,\"logins\":2,\"extends\":17,\"approvals\":\"0/1\"}]}",
		0, false),
	    WORDS_OK);
	assert_string_equal(OUT,
	    "ID  STATE    USER   LOGIN  HOST  FOR  FROM              LOGINS  EXTENDS  APPROVALS\n"
	    "18  pending  alice  dba    web1  2h   2026-11-18 11:06  2       17       0/1\n");
	assert_int_equal(
	    render("events",
		"{\"ok\":true,\"rows\":[{\"id\":1,\"at\":0,\"detail\":\"{\\\"for\\\":60,\\\"x\\\":\\\"\\\",\\\"y\\\":false,"
		"\\\"host\\\":\\\"a\\\\u001bb\\\"}\"},{\"id\":2,\"detail\":\"{x\"}]}",
		80, false),
	    WORDS_OK);
	assert_string_equal(OUT,
	    "ID  TIME                 DETAIL\n"
	    "1   1970-01-01 00:00:00  for=60 host=a\\x1bb\n"
	    "2                        {x\n");
	assert_int_equal(render("requests", "{\"ok\":true,\"rows\":[]}", 80, false), WORDS_OK);
	assert_string_equal(OUT, "");
	assert_string_equal(ERR, "none\n");
}

static void one_thing(void **state)
{
	(void)state;
	assert_int_equal(
	    render("user show",
		"{\"ok\":true,\"row\":{\"name\":\"alice\",\"kind\":\"human\",\"state\":\"active\","
		"\"admin\":false,\"roles\":[\"dba\",\"web\"],\"keys\":2,\"totp\":\"yes\",\"added\":0}}",
		80, false),
	    WORDS_OK);
	assert_string_equal(OUT,
	    "user            alice\n"
	    "kind            human\n"
	    "state           active\n"
	    "asks under      dba, web\n"
	    "keys            2\n"
	    "one-time codes  yes\n"
	    "added           1970-01-01 00:00\n");
}

static void colours(void **state)
{
	struct render_opts o = { .word = words_find("user list"), .columns = 80, .colour = true };
	const char json[] =
	    "{\"ok\":true,\"rows\":[{\"name\":\"a\",\"state\":\"locked\"},{\"name\":\"b\",\"state\":\"x\\u001b[0m\"}]}";

	(void)state;
	buf_reset(&out);
	buf_reset(&err);
	assert_int_equal(render_reply(json, strlen(json), &o, &out, &err), WORDS_OK);
	buf_put_u8(&out, '\0');
	assert_string_equal(OUT,
	    "\033[1mUSER\033[0m  \033[1mSTATE\033[0m\na     \033[31mlocked\033[0m\nb     x\\x1b[0m\n");
}

/* Every field of every list full of what harms terminals and tables. */
static const char *const hostile[] = {
	"\x1b[2J\x1b]52;c;eA==\x07",
	"\r\n\t\b\x7f",
	"\xc2\x9b"
	"31m",
	"\xe2\x80\xae"
	"desrever",
	"\xef\xbb\xbf",
	"%s%n%x",
	"\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97",
	"e\xcc\x81\xcc\x81\xcc\x81",
	"\xf0\x9f\x98\x80\xf0\x9f\x98\x80",
	"a, b",
	"\"quoted\\\"",
	"very long text without end, which says the same again and again, very long text without end",
	"averylongwordthatcannotbebrokenanywhereandgoesonandonandonandonandonandonandonandonandonandonandon",
	"",
	" ",
};

static char *hostile_reply(const struct words_word *w, bool one)
{
	const size_t n = sizeof(hostile) / sizeof(hostile[0]);
	json_t *rows = json_array(), *reply = json_object();
	char *dump;

	for (size_t r = 0; r < n; r++) {
		json_t *row = json_object();
		size_t c = 0;

		for (const struct words_col *col = w->cols; col->key != NULL; col++, c++) {
			const char *text = hostile[(r + c) % n];

			json_object_set_new(row, col->key,
			    c % 3 == 2 ? json_pack("[s, s]", text, hostile[r]) : json_string(text));
		}
		json_array_append_new(rows, row);
	}
	json_object_set_new(reply, "ok", json_true());
	json_object_set_new(reply, "text", json_string(hostile[0]));
	json_object_set(reply, one ? "row" : "rows", one ? json_array_get(rows, 0) : rows);
	json_decref(rows);
	dump = json_dumps(reply, 0);
	json_decref(reply);
	return dump;
}

/* No control but the line's end, well-formed, and no line wider than the terminal. */
static void check_lines(const char *text, int columns, bool block)
{
	for (const char *p = text; *p != '\0';) {
		size_t len = strcspn(p, "\n");

		for (size_t i = 0; i < len; i++)
			assert_true((unsigned char)p[i] >= 0x20 && p[i] != 0x7f);
		for (const char *c = p; c + 1 < p + len; c++)
			assert_false(
			    (unsigned char)c[0] == 0xc2 && (unsigned char)c[1] < 0xa0); /* C1 */
		/* a block needs its heads and eight columns of value */
		if (columns > 0 && !block && render_width(p, len) > (size_t)columns)
			fail_msg("line wider than %d: %.*s", columns, (int)len, p);
		p += len + 1;
	}
	assert_null(strstr(text, "\xe2\x80\xae"));
}

static void widths_and_controls(void **state)
{
	static const int columns[] = { 0, 1, 20, 40, 80, 200 };

	(void)state;
	for (size_t i = 0; i < words_count; i++) {
		if (words_table[i].cols == NULL)
			continue;
		for (int one = 0; one < 2; one++) {
			char *json = hostile_reply(&words_table[i], one);

			for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); c++) {
				assert_int_equal(
				    render(words_table[i].path, json, columns[c], false), WORDS_OK);
				check_lines(strchr(OUT, '\n') + 1, columns[c], columns[c] < 40);
				check_lines(ERR, 0, false);
			}
			assert_int_equal(render(words_table[i].path, json, 80, true), WORDS_OK);
			for (char *p = OUT; *p != '\0'; p++)
				assert_true(*p == '\n' ||
				    ((unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f));
			json_decref(json_loads(OUT, 0, NULL));
			free(json);
		}
	}
}

static void narrow(void **state)
{
	static const char json[] =
	    "{\"ok\":true,\"rows\":[{\"id\":1,\"state\":\"active\",\"user\":\"alice\",\"login\":\"dba\","
	    "\"host\":\"web1\",\"until\":1795000000,\"left\":60,\"caps\":[\"shell\",\"exec\",\"sftp\",\"scp\"],"
	    "\"reason\":\"rebuild the index of the big table, then vacuum\"},{\"id\":2,\"host\":\"web2\"}]}";

	(void)state;
	assert_int_equal(render("grants", json, 80, false), WORDS_OK);
	assert_string_equal(OUT,
	    "ID  STATE   USER   LOGIN  HOST  LEFT  UNTIL             CAPABILITIES  REASON\n"
	    "1   active  alice  dba    web1  1m    2026-11-18 11:06  shell, exec\xe2\x80\xa6  rebuild t\xe2\x80\xa6\n"
	    "2                         web2\n");
	assert_string_equal(ERR, "");
	assert_int_equal(render("grants", json, 62, false), WORDS_OK);
	assert_string_equal(OUT,
	    "ID  STATE   USER   LOGIN  HOST  LEFT  CAPABILITIES  REASON\n"
	    "1   active  alice  dba    web1  1m    shell, exec\xe2\x80\xa6  rebuild t\xe2\x80\xa6\n"
	    "2                         web2\n");
	assert_string_equal(
	    ERR, "not shown for want of room: UNTIL (a wider terminal or --json has it)\n");
	assert_int_equal(render("grants", json, 40, false), WORDS_OK);
	assert_string_equal(OUT,
	    "ID            1\n"
	    "STATE         active\n"
	    "USER          alice\n"
	    "LOGIN         dba\n"
	    "HOST          web1\n"
	    "LEFT          1m\n"
	    "UNTIL         2026-11-18 11:06\n"
	    "CAPABILITIES  shell, exec, sftp, scp\n"
	    "REASON        rebuild the index of the\n"
	    "              big table, then vacuum\n"
	    "\n"
	    "ID            2\n"
	    "HOST          web2\n");
}

static void widths(void **state)
{
	(void)state;
	assert_int_equal(render_width("abc", 3), 3);
	assert_int_equal(render_width("\xe6\xbc\xa2\xe5\xad\x97", 6), 4);
	assert_int_equal(render_width("e\xcc\x81x", 4), 2);
	assert_int_equal(render_width("\xf0\x9f\x98\x80", 4), 2);
	assert_int_equal(render_width("\xc3\xa9\xe2\x80\xa6", 5), 2);
	assert_int_equal(
	    render_width("\xff\xf0\x9f", 3), 2); /* broken: counted, never read past the end */
	assert_int_equal(render_fit("\xe6\xbc\xa2\xe5\xad\x97", 6, 3), 3);
	assert_int_equal(render_fit("ae\xcc\x81x", 5, 2), 4);
	assert_int_equal(render_fit("abc", 3, 0), 0);
	assert_int_equal(render_fit("abc", 3, 9), 3);
}

static void small_buffers(void **state)
{
	static const char json[] =
	    "{\"ok\":true,\"text\":\"text that is longer than the room\",\"rows\":[{\"id\":1}]}";
	struct render_opts o = { .word = words_find("grants") };

	(void)state;
	for (size_t max = 0; max < 400; max++) {
		struct buf small, none;

		buf_init(&small, max);
		buf_init(&none, max);
		/* room for the worst case of escaping is asked for, then given back */
		assert_int_equal(render_reply(json, sizeof(json) - 1, &o, &small, &none),
		    max < 140 ? WORDS_BROKEN : WORDS_OK);
		buf_finish(&small);
		buf_finish(&none);
	}
}

static int finish(void **state)
{
	(void)state;
	buf_finish(&out);
	buf_finish(&err);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(errors),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(table),
		cmocka_unit_test(one_thing),
		cmocka_unit_test(colours),
		cmocka_unit_test(widths_and_controls),
		cmocka_unit_test(narrow),
		cmocka_unit_test(widths),
		cmocka_unit_test(small_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, finish);
}
