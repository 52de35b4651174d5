/*
 * test_device.c - a user's devices: none comes in without a second person, codes are used once, what is new is noticed.
 */
#include "store_rig.h"

#include "store_device.h"

#define KEY_C "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f alice@desk"
#define ADD(device, more) "{\"word\":\"device add\",\"args\":{\"device\":\"" device "\",\"key\":\"" KEY_C "\"" more "}}"

#define REVOKE(device) "{\"word\":\"user key revoke\",\"args\":{\"user\":\"alice\",\"device\":\"" device "\"}}"

/* In force? */
static bool has(const char *user, const char *device)
{
	struct device d;

	return store_device_by_name(rig.s, id_of(user), device, &d) == 1;
}

static const char *invite(const char *who, const char *user, const char *more)
{
	static char request[256], given[64];

	snprintf(request, sizeof(request), "{\"word\":\"user key invite\",\"args\":{\"user\":\"%s\"%s}}", user, more);
	OK(who, request);
	snprintf(given, sizeof(given), "%s", field("code"));
	assert_int_equal(strlen(given), 19);
	return given;
}

static const char *add_with(const char *given)
{
	static char request[512];

	snprintf(request, sizeof(request), ADD("desk", ",\"code\":\"%s\""), given);
	return request;
}

static void a_code_lets_one_device_in(void **state)
{
	char old[64], fresh[64];

	(void)state;
	snprintf(old, sizeof(old), "%s", invite("adam", "alice", ""));
	snprintf(fresh, sizeof(fresh), "%s", invite("adam", "alice", ""));
	NO("alice", "refused", add_with(old)); /* voided by the second */
	NO("bob", "refused", add_with(fresh));  /* alice's */
	NO("alice", "refused", add_with("aaaa-bbbb-cccc-dddd"));
	NO("alice", "refused", add_with("x"));
	assert_false(has("alice", "desk"));
	OK("alice", add_with(fresh));
	assert_true(has("alice", "desk"));
	OK("alice", "{\"word\":\"device revoke\",\"args\":{\"device\":\"desk\"}}");
	assert_false(has("alice", "desk"));
	NO("alice", "refused", add_with(fresh)); /* used */
	NO("alice", "refused", add_with(invite("adam", "alice", ""))); /* a revoked key is never taken again, */
	NO("alice", "refused", ADD("desk", "")); /* and does not wait either */
}

static void a_code_ends(void **state)
{
	char fresh[64];

	(void)state;
	snprintf(fresh, sizeof(fresh), "%s", invite("root", "alice", ",\"for\":60"));
	rig.now += 60;
	NO("alice", "refused", add_with(fresh));
	NO("root", "usage", "{\"word\":\"user key invite\",\"args\":{\"user\":\"alice\",\"for\":5}}");
	/* a refusal's event has no code in it */
	assert_int_equal(by_hand_number("SELECT count(*) FROM events WHERE detail LIKE '%code\":\"%'"), 0);
}

static void without_a_code_it_waits_for_another_person(void **state)
{
	(void)state;
	OK("alice", ADD("desk", ""));
	assert_false(has("alice", "desk"));
	NO("alice", "refused", ADD("desk", ""));
	NO("alice", "denied", "{\"word\":\"user key approve\",\"args\":{\"user\":\"alice\",\"device\":\"desk\"}}");
	NO("adam", "not_found", "{\"word\":\"user key approve\",\"args\":{\"user\":\"bob\",\"device\":\"desk\"}}");
	OK("adam", "{\"word\":\"user key approve\",\"args\":{\"user\":\"alice\",\"device\":\"desk\"}}");
	assert_true(has("alice", "desk"));
	NO("adam", "not_found", "{\"word\":\"user key approve\",\"args\":{\"user\":\"alice\",\"device\":\"desk\"}}");
}

/* Also by another account of the same person. */
#define ADD_TO(user, device) "{\"word\":\"user key add\",\"args\":{\"user\":\"" user "\",\"device\":\"" device "\",\"key\":\"" KEY_B "\"}}"

static void an_administrator_lets_in_nothing_of_their_own(void **state)
{
	(void)state;
	OK("root", "{\"word\":\"user add\",\"args\":{\"user\":\"adam2\",\"person\":\"ADAM\"}}");
	OK("adam2", ADD("desk", ""));
	NO("adam", "refused", "{\"word\":\"user key approve\",\"args\":{\"user\":\"adam2\",\"device\":\"desk\"}}");
	NO("adam", "refused", "{\"word\":\"user key invite\",\"args\":{\"user\":\"adam2\"}}");
	NO("adam", "refused", "{\"word\":\"user key invite\",\"args\":{\"user\":\"adam\"}}");
	for (int i = 0; i < 2; i++) {
		NO("adam", "refused", i == 0 ? ADD_TO("adam", "other") : ADD_TO("adam2", "other"));
		assert_string_equal(field("error"), "Nobody lets in their own device.");
	}
	OK("root", ADD_TO("adam", "other"));
	OK("root", "{\"word\":\"user key approve\",\"args\":{\"user\":\"adam2\",\"device\":\"desk\"}}");
}

static void it_may_be_turned_down(void **state)
{
	json_t *rows;

	(void)state;
	OK("alice", ADD("desk", ""));
	OK("alice", "{\"word\":\"device list\",\"args\":{}}");
	rows = json_object_get(last, "rows");
	assert_int_equal(json_array_size(rows), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "state")), "active");
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 1), "state")), "waiting");
	OK("adam", REVOKE("desk"));
	NO("adam", "not_found", "{\"word\":\"user key approve\",\"args\":{\"user\":\"alice\",\"device\":\"desk\"}}");
	OK("alice", ADD("desk", "")); /* nobody said yes or no to the key for ever */
	OK("root", "{\"word\":\"user leave\",\"args\":{\"user\":\"alice\"}}");
	assert_int_equal(by_hand_number("SELECT count(*) FROM device_waiting"), 0);
}

static size_t waiting(const char *user)
{
	json_t *list = store_list(rig.s, LIST_DEVICES, &(struct list_ask){ .user_id = id_of(user), .limit = 100 });
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(list); i++)
		n += strcmp(json_string_value(json_object_get(json_array_get(list, i), "state")), "waiting") == 0;
	json_decref(list);
	return n;
}

static bool ended_devices(void)
{
	for (size_t i = 0; i < rig.nended; i++)
		if (rig.ended[i].what == END_DEVICE)
			return true;
	return false;
}

/* However it came in: what waited under its name, or with its key, waits no more. */
static void what_comes_in_waits_no_more(void **state)
{
	(void)state;
	OK("alice", ADD("desk", ""));
	OK("alice", add_with(invite("adam", "alice", "")));
	assert_true(has("alice", "desk"));
	assert_int_equal(waiting("alice"), 0);
	OK("adam", REVOKE("desk"));
	assert_false(has("alice", "desk"));
	assert_true(ended_devices());
	OK("alice", "{\"word\":\"device add\",\"args\":{\"device\":\"phone\",\"key\":\"" KEY_B "\"}}");
	OK("adam", "{\"word\":\"user key add\",\"args\":{\"user\":\"alice\",\"device\":\"mobile\",\"key\":\"" KEY_B "\"}}");
	assert_int_equal(waiting("alice"), 0);
}

/* A database of before may have both under one name: one word revokes what is in force, whatever waits. */
static void a_revocation_is_of_what_is_in_force(void **state)
{
	(void)state;
	OK("adam", "{\"word\":\"user key add\",\"args\":{\"user\":\"alice\",\"device\":\"desk\",\"key\":\"" KEY_C "\"}}");
	assert_int_equal(by_hand("INSERT INTO device_waiting (user_id, name, type, fingerprint, blob, asked) SELECT user_id, name, type, 'SHA256:other', "
		"blob, added FROM devices WHERE name='desk'"), SQLITE_OK);
	assert_int_equal(waiting("alice"), 1);
	OK("adam", REVOKE("desk"));
	assert_non_null(strstr(field("text"), "is revoked"));
	assert_false(has("alice", "desk"));
	assert_int_equal(waiting("alice"), 0);
	assert_true(ended_devices());
	NO("adam", "not_found", REVOKE("desk"));
}

static void what_waits_is_bounded(void **state)
{
	struct device d = { .user_id = id_of("alice") };

	(void)state;
	for (int i = 0; i <= STORE_WAITING_MAX; i++) {
		snprintf(d.name, sizeof(d.name), "d%d", i);
		snprintf(d.fingerprint, sizeof(d.fingerprint), "SHA256:%d", i);
		assert_int_equal(store_waiting_add(rig.s, &d, "x", 1, NOW), i < STORE_WAITING_MAX ? 0 : -1);
	}
	assert_int_equal(errno, ENOSPC);
}

/* More than a list holds: that is said, and nothing that no word takes. */
static void more_devices_than_a_list_holds(void **state)
{
	(void)state;
	assert_int_equal(by_hand("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1000) INSERT INTO devices (user_id, name, type, "
		"fingerprint, blob, added) SELECT 2, 'd'||i, 'ssh-ed25519', 'SHA256:'||i, x'00', 1 FROM n"), SQLITE_OK);
	OK("root", "{\"word\":\"user key list\"}");
	assert_int_equal(json_array_size(json_object_get(last, "rows")), CONTROL_LIMIT_MAX);
	assert_null(json_object_get(last, "next"));
	assert_string_equal(field("note"), "There are more devices than fit here: name a user.");
	OK("root", "{\"word\":\"user key list\",\"args\":{\"user\":\"alice\"}}");
	assert_string_equal(field("note"), "");
}

static void what_is_new_is_noticed_once(void **state)
{
	int64_t alice = id_of("alice");
	char network[NETWORK_TEXT_MAX];
	struct familiar f;
	struct device d;

	(void)state;
	assert_int_equal(store_device_by_name(rig.s, alice, "laptop", &d), 1);
	assert_int_equal(store_familiar_note(rig.s, alice, d.id, "10.0.0.0/24", "SSH-2.0-a", NOW, &f), 0);
	assert_true(f.new_device && f.new_network);
	assert_int_equal(store_familiar_note(rig.s, alice, d.id, "10.0.0.0/24", "SSH-2.0-b", NOW + 9, &f), 0);
	assert_true(!f.new_device && !f.new_network && f.device_first == NOW && f.network_first == NOW);
	assert_int_equal(store_familiar(rig.s, alice, d.id, "10.0.1.0/24", &f), 0);
	assert_true(!f.new_device && f.new_network && f.network_first == FOREVER);
	for (int i = 0; i < STORE_NETWORKS_MAX; i++) {
		snprintf(network, sizeof(network), "10.1.%d.0/24", i);
		assert_int_equal(store_familiar_note(rig.s, alice, d.id, network, "", NOW + 10 + i, &f), 0);
		assert_true(f.new_network);
	}
	assert_int_equal(store_familiar(rig.s, alice, d.id, "10.0.0.0/24", &f), 0);
	assert_true(f.new_network); /* forgotten, as the one used longest ago */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_world, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_code_lets_one_device_in), T(a_code_ends), T(without_a_code_it_waits_for_another_person),
		T(an_administrator_lets_in_nothing_of_their_own), T(it_may_be_turned_down), T(what_comes_in_waits_no_more),
		T(a_revocation_is_of_what_is_in_force), T(what_waits_is_bounded), T(more_devices_than_a_list_holds),
		T(what_is_new_is_noticed_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
