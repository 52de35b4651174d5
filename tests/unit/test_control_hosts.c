/*
 * test_control_hosts.c - `hosts` and `config` of somebody who may reach more hosts than a reply holds: page by page, none twice, none left out.
 */
#include "store_rig.h"

#define HOSTS 2150

static int many_hosts(void **state)
{
	char name[32];

	(void)state;
	rig_open();
	OK("root", "{\"word\":\"user add\",\"args\":{\"user\":\"alice\",\"person\":\"alice\",\"uid\":1001}}");
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"all\",\"host\":\"h*\",\"login\":\"dba\"}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"all\",\"user\":\"alice\"}}");
	assert_int_equal(store_begin(rig.s), 0);
	for (int i = 0; i < HOSTS; i++) {
		struct host h = { .port = 22, .method = LOGIN_CERTIFICATE, .logins = "dba", .address = "10.0.0.1" };

		/* names of a kind that alice has no role for lie between them; capitals are no order */
		snprintf(name, sizeof(name), "%s%04d", i % 50 == 7 ? "other" : i % 3 == 0 ? "H" : "h", i);
		snprintf(h.name, sizeof(h.name), "%s", name);
		assert_int_equal(store_host_add(rig.s, &h, NOW), 0);
	}
	assert_int_equal(store_commit(rig.s), 0);
	return 0;
}

static void page_by_page(void **state)
{
	char request[160], before[64] = "";
	size_t seen = 0, pages = 0;

	(void)state;
	do {
		const json_t *rows;

		snprintf(request, sizeof(request), before[0] != '\0' ? "{\"word\":\"hosts\",\"args\":{\"after\":\"%s\"}}" : "{\"word\":\"hosts\"}", before);
		OK("alice", request);
		rows = json_object_get(last, "rows");
		for (size_t i = 0; i < json_array_size(rows); i++) {
			const char *name = json_string_value(json_object_get(json_array_get(rows, i), "name"));

			assert_true(strcasecmp(name, before) > 0);
			assert_int_equal(name[0] | 0x20, 'h');
			snprintf(before, sizeof(before), "%s", name);
			seen++;
		}
		assert_true(field("after")[0] == '\0' || strcmp(field("after"), before) == 0);
		pages++;
	} while (field("after")[0] != '\0' && pages < 10);
	assert_int_equal(seen, HOSTS - HOSTS / 50);
	assert_int_equal(pages, 3);
}

/* As many as fit exactly: nothing is said of more. */
static void the_last_page_is_whole(void **state)
{
	const json_t *rows;
	char request[160];

	(void)state;
	OK("alice", "{\"word\":\"hosts\",\"args\":{\"after\":\"h1129\"}}");
	rows = json_object_get(last, "rows");
	assert_int_equal(json_array_size(rows), 1000);
	assert_string_equal(field("after"), "");
	snprintf(request, sizeof(request), "{\"word\":\"hosts\",\"args\":{\"after\":\"%s\"}}",
	    json_string_value(json_object_get(json_array_get(rows, 999), "name")));
	OK("alice", request);
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 0);
}

static void configuration_says_that_there_are_more(void **state)
{
	(void)state;
	OK("alice", "{\"word\":\"config\"}");
	assert_non_null(strcasestr(field("text"), "# There are more hosts than fit here, behind h10"));
}

/* One host, wherever it stands in the list and however it is written; what is not hers is as what is not there. */
static void one_host_is_found_at_once(void **state)
{
	static const char *const none[] = { "other0007", "h9999", "other9999" };
	char request[160];

	(void)state;
	for (int i = 0; i < 2; i++) {
		OK("alice", i == 0 ? "{\"word\":\"hosts\",\"args\":{\"host\":\"H2149\"}}" : "{\"word\":\"hosts\",\"args\":{\"host\":\"h2148\"}}");
		assert_int_equal(json_array_size(json_object_get(last, "rows")), 1);
		assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(last, "rows"), 0), "name")),
		    i == 0 ? "h2149" : "H2148");
		assert_string_equal(field("after"), "");
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		snprintf(request, sizeof(request), "{\"word\":\"hosts\",\"args\":{\"host\":\"%s\"}}", none[i]);
		OK("alice", request);
		assert_int_equal(json_array_size(json_object_get(last, "rows")), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(page_by_page), cmocka_unit_test(the_last_page_is_whole), cmocka_unit_test(configuration_says_that_there_are_more),
		cmocka_unit_test(one_host_is_found_at_once),
	};

	return cmocka_run_group_tests(tests, many_hosts, teardown);
}
