/*
 * test_lists.c - lists that have more rows than are shown say so; what is left out on purpose has no meaning of its own.
 */
#include "store_rig.h"

#define ASK(more) "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":60,\"reason\":\"x\"" more "}}"

static size_t rows(void)
{
	return json_array_size(json_object_get(last, "rows"));
}

static json_int_t number(size_t i)
{
	return json_integer_value(json_object_get(json_array_get(json_object_get(last, "rows"), i), "id"));
}

/* Users, roles and hosts begin at the first: --after goes on. */
static void a_list_from_the_start_goes_on(void **state)
{
	json_int_t next;
	size_t all;

	(void)state;
	OK("root", "{\"word\":\"user list\"}");
	all = rows();
	assert_true(all > 3);
	assert_null(json_object_get(last, "next"));
	OK("root", "{\"word\":\"user list\",\"args\":{\"limit\":2}}");
	assert_int_equal(rows(), 2);
	next = json_integer_value(json_object_get(last, "next"));
	assert_true(next > 0 && next == number(1));
	for (size_t seen = 2; seen < all; seen += rows()) {
		char ask[96];

		assert_true(next > 0);
		snprintf(ask, sizeof(ask), "{\"word\":\"user list\",\"args\":{\"limit\":2,\"after\":%lld}}", (long long)next);
		OK("root", ask);
		assert_true(number(0) > next);
		next = json_integer_value(json_object_get(last, "next"));
	}
	assert_int_equal(next, 0);
	OK("root", "{\"word\":\"host list\",\"args\":{\"limit\":1}}");
	assert_int_equal(json_integer_value(json_object_get(last, "next")), number(0));
	OK("root", "{\"word\":\"role list\",\"args\":{\"limit\":1}}");
	assert_int_equal(json_integer_value(json_object_get(last, "next")), number(0));
}

/* Of what happens the newest are shown. */
static void a_list_of_the_newest_has_older_ones(void **state)
{
	(void)state;
	for (int i = 1; i <= 3; i++) {
		char cancel[64];

		OK("alice", ASK(""));
		snprintf(cancel, sizeof(cancel), "{\"word\":\"cancel\",\"args\":{\"id\":%d}}", i);
		OK("alice", cancel);
	}
	OK("alice", "{\"word\":\"requests\",\"args\":{\"all\":true,\"limit\":3}}");
	assert_int_equal(rows(), 3);
	assert_null(json_object_get(last, "older"));
	OK("alice", "{\"word\":\"requests\",\"args\":{\"all\":true,\"limit\":2}}");
	assert_true(rows() == 2 && number(0) == 2 && number(1) == 3);
	assert_true(json_is_true(json_object_get(last, "older")));
	OK("alice", "{\"word\":\"requests\",\"args\":{\"all\":true,\"limit\":1,\"after\":1}}");
	assert_true(rows() == 1 && number(0) == 2);
	assert_int_equal(json_integer_value(json_object_get(last, "next")), 2);
	assert_null(json_object_get(last, "older"));
	OK("root", "{\"word\":\"events\",\"args\":{\"limit\":5}}");
	assert_int_equal(rows(), 5);
	assert_true(json_is_true(json_object_get(last, "older")));
}

static void no_login_is_not_any_number(void **state)
{
	(void)state;
	NO("alice", "usage", ASK(",\"logins\":0"));
	assert_string_equal(field("error"), "logins: 0 would let nobody in.");
	NO("alice", "usage", ASK(",\"from\":1700000000"));
	assert_string_equal(field("error"), "from: 2023-11-14T22:13:20Z is no time to come, within 90 days.");
	OK("alice", ASK(",\"logins\":1"));
}

/* `wait` alone is for the last request that waits. */
static void waits_for_the_last_one(void **state)
{
	(void)state;
	NO("alice", "not_found", "{\"word\":\"wait\"}");
	OK("alice", ASK(""));
	OK("alice", "{\"word\":\"wait\"}");
	assert_string_equal(field("text"), "Request 1 waits.");
	OK("alice", "{\"word\":\"cancel\",\"args\":{\"id\":1}}");
	NO("alice", "not_found", "{\"word\":\"wait\"}");
	NO("bob", "not_found", "{\"word\":\"wait\"}");
}

static void an_access_comes_from_an_address(void **state)
{
	(void)state;
	OK("root", "{\"word\":\"explain\",\"args\":{\"user\":\"alice\",\"place\":\"dba@web1\",\"from\":\"10.0.0.9\"}}");
	NO("root", "usage", "{\"word\":\"explain\",\"args\":{\"user\":\"alice\",\"place\":\"dba@web1\",\"from\":\"office.example\"}}");
	assert_string_equal(field("error"), "from: \"office.example\" is no IPv4 or IPv6 address.");
	NO("root", "usage", "{\"word\":\"explain\",\"args\":{\"user\":\"alice\",\"place\":\"dba@web1\",\"from\":\"10.0.0.0/8\"}}");
}

static void labels_are_given_or_taken_away(void **state)
{
	(void)state;
	NO("root", "usage", "{\"word\":\"host change\",\"args\":{\"host\":\"web1\",\"label\":[\"a=b\"],\"no_label\":true}}");
	OK("root", "{\"word\":\"host change\",\"args\":{\"host\":\"web1\",\"label\":[\"a=b\"]}}");
	OK("root", "{\"word\":\"host change\",\"args\":{\"host\":\"web1\",\"no_label\":true}}");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_world, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_list_from_the_start_goes_on), T(a_list_of_the_newest_has_older_ones), T(no_login_is_not_any_number),
		T(waits_for_the_last_one), T(an_access_comes_from_an_address),
		T(labels_are_given_or_taken_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
