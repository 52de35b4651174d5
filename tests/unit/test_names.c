/*
 * test_names.c - the grammar of names, at its edges, and what a client writes before '@bastion'.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "names.h"

static char *times(char c, size_t n)
{
	static char out[200];

	memset(out, c, n);
	out[n] = '\0';
	return out;
}

static void test_user(void **state)
{
	static const char *const good[] = { "a", "_", "alice", "a-b_c.d9", "_svc" };
	static const char *const bad[] = { "", "A", "Alice", "9a", "-a", ".a", "a b", "a@b", "a/b", "a\n", "\xc3\xa4", "a\x80", "a:b", "a'b", "a;b" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(name_is_user(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(name_is_user(bad[i]));
	assert_true(name_is_user(times('a', 32)));
	assert_false(name_is_user(times('a', 33)));
	/* every byte as first and as second character */
	for (int c = 1; c < 256; c++) {
		const char first[] = { (char)c, 0 }, second[] = { 'a', (char)c, 0 };
		const bool lower = (c >= 'a' && c <= 'z') || c == '_', rest = lower || (c >= '0' && c <= '9') || c == '.' || c == '-';
		const bool upper = c >= 'A' && c <= 'Z';

		assert_int_equal(name_is_user(first), lower);
		assert_int_equal(name_is_user(second), rest);
		assert_int_equal(name_is_login(first), lower || upper);
		assert_int_equal(name_is_login(second), rest || upper);
		assert_int_equal(name_is_host(second), rest || upper);
		assert_int_equal(name_is_host(first), (lower && c != '_') || upper);
	}
}

static void test_host(void **state)
{
	static const char *const good[] = { "web1", "WEB", "1a", "db.internal", "a_b", "10.0.0.x", "a" };
	static const char *const bad[] = { "", "10.0.0.1", "1", "127.1", ".", "..", "-a", ".a", "_a", "::1", "fe80::1", "a:22", "a b", "a/b" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(name_is_host(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(name_is_host(bad[i]));
	assert_true(name_is_host(times('a', 64)));
	assert_false(name_is_host(times('a', 65)));
	assert_true(name_is_login(times('A', 32)));
	assert_false(name_is_login(times('A', 33)));
}

static void test_label(void **state)
{
	static const char *const good[] = { "env=prod", "a=b", "a.b-c_d=1", "0=0" };
	static const char *const bad[] = { "", "env", "=prod", "env=", "env==prod", "Env=prod", "env=Prod", "-a=b", "a=-b", "a=b=c", "a =b" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(name_is_label(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(name_is_label(bad[i]));
	char *s = times('a', 64);
	s[1] = '=';
	assert_true(name_is_label(s));
	s = times('a', 65);
	s[1] = '=';
	assert_false(name_is_label(s));
}

static void test_target(void **state)
{
	static const char *const bad[] = {
		"", "@", "@@", "alice@", "alice@web1", "alice@dba@", "alice@@web1", "@dba@web1", "alice@dba@web1@more", "Alice",
		"alice@dba@10.0.0.1", "alice@d ba@web1", "alice@dba@we b1", "alice@dba@-oProxyCommand=x", "alice\n",
	};
	struct target t;
	char text[300];

	(void)state;
	assert_int_equal(target_parse("alice", &t), 0);
	assert_string_equal(t.user, "alice");
	assert_string_equal(t.login, "");
	assert_string_equal(t.host, "");
	assert_int_equal(target_parse("alice@dba@web1", &t), 0);
	assert_string_equal(t.user, "alice");
	assert_string_equal(t.login, "dba");
	assert_string_equal(t.host, "web1");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&t, 'x', sizeof(t));
		assert_int_equal(target_parse(bad[i], &t), -1);
		assert_string_equal(t.user, "");
		assert_string_equal(t.login, "");
		assert_string_equal(t.host, "");
	}
	/* each part at its longest, and one more */
	for (int longer = 0; longer < 4; longer++) {
		int u = USER_NAME_MAX + (longer == 1), l = LOGIN_MAX + (longer == 2), h = HOST_NAME_MAX_LEN + (longer == 3);

		memset(text, 'a', sizeof(text));
		text[u] = text[u + 1 + l] = '@';
		text[u + 1 + l + 1 + h] = '\0';
		assert_int_equal(target_parse(text, &t), longer == 0 ? 0 : -1);
	}
	memset(text, 'a', sizeof(text));
	text[299] = '\0';
	assert_int_equal(target_parse(text, &t), -1);
}

static void test_address(void **state)
{
	static const char *const good[] = { "10.0.0.11", "2001:db8::1", "::1", "fe80::1%eth0", "db1.example.org", "db-1_x", "1.example", "localhost" };
	static const char *const bad[] = { "", "-x", "a b", "999.1.1.1", "10.0.0", "1", "10.0.0.11:22", "db1:22", "[::1]", "2001:db8:::1", "fe80::1%", "db1%eth0",
		"::ffff:999.1.1.1", "1:2:3:4:5:6:7:8:9" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!name_is_address(good[i]))
			fail_msg("'%s' was not taken", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (name_is_address(bad[i]))
			fail_msg("'%s' was taken", bad[i]);
	assert_true(name_is_address(times('a', 199)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_user), cmocka_unit_test(test_host), cmocka_unit_test(test_label), cmocka_unit_test(test_address), cmocka_unit_test(test_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
