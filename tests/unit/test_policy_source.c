/*
 * test_policy_source.c - who guesses is slowed and blocked; whom a stranger guesses at is not locked out.
 */
#include "policy_rig_login.h"
#include "config_option.h"
#include "policy_source.h"

/* A refusal of this name from there; how much longer it takes. */
static uint32_t guess(struct rig *r, const char *from, const char *name)
{
	struct session_end s;
	struct ipc_msg m;
	uint32_t delay;

	session_from(r, &s, from);
	send_key(&s, name, KEY(WRONG_KEY), 0);
	expect(r, &s.link, MSG_AUTH_KEY_RE, &m);
	assert_int_equal(buf_get_u8(&m.body), AUTH_NO);
	delay = buf_left(&m.body) > 0 ? buf_get_u32(&m.body) : 0;
	assert_true(buf_end(&m.body));
	ipc_msg_finish(&m);
	session_over(r, &s, 0);
	return delay;
}

/* Both known and unknown names, from that source alone; a right key is answered at once. */
static void refusals_become_slower(void **state)
{
	static const char *const names[] = { "alice", "nobody" };
	struct rig *r = *state;
	struct session_end s;

	for (int k = 0; k < 2; k++) {
		uint32_t want = SOURCE_DELAY;

		for (int i = 0; i < SOURCE_FREE; i++)
			assert_int_equal(guess(r, "198.51.100.1", names[k]), 0);
		for (int i = 0; i < 8; i++, want = 2 * want > SOURCE_DELAY_MAX ? SOURCE_DELAY_MAX : 2 * want)
			assert_int_equal(guess(r, "198.51.100.1", names[k]), want);
	}
	assert_int_equal(guess(r, "198.51.100.2", "alice"), 0);
	session_from(r, &s, "198.51.100.1");
	send_key(&s, "alice", KEY(ALICE_KEY), 0);
	expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_MAYBE);
	session_over(r, &s, 0);
}

static void a_login_forgets_the_failures(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	for (int i = 0; i < SOURCE_FREE; i++)
		guess(r, "192.0.2.9", "alice");
	login_alice(r, &s, 0); /* from 192.0.2.9 */
	session_over(r, &s, 0);
	assert_int_equal(guess(r, "192.0.2.9", "alice"), 0);
}

static void many_names_block_the_source(void **state)
{
	struct rig *r = *state;
	struct session_end waiting, elsewhere;
	char name[32], net[64];
	struct ipc_msg m;
	json_t *rows;

	session_from(r, &waiting, "203.0.113.5");
	session_from(r, &elsewhere, "203.0.113.6");
	for (uint32_t i = 0; i < 3 * r->conf->block_names; i++)
		guess(r, "203.0.113.5", "alice"); /* one name, however often, is no search */
	assert_int_equal(events_of(r, "source.block"), 0);
	for (uint32_t i = 1; i < r->conf->block_names; i++) {
		snprintf(name, sizeof(name), "user%u", i);
		guess(r, "203.0.113.5", name);
	}
	expect(r, &r->parent, MSG_SOURCE_BLOCK, &m);
	assert_int_equal(buf_get_cstring(&m.body, net, sizeof(net)), 0);
	assert_string_equal(net, "203.0.113.5/32");
	assert_int_equal(buf_get_u32(&m.body), r->conf->block_time / 1000);
	ipc_msg_finish(&m);
	for (int i = 0; i < 2; i++) { /* the one that waited there, and the guesser itself */
		expect(r, &r->parent, MSG_PEER_KILL, &m);
		ipc_msg_finish(&m);
	}
	assert_int_equal(events_of(r, "source.block"), 1);
	rows = source_blocks(&r->p);
	assert_int_equal(json_array_size(rows), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "network")), "203.0.113.5/32");
	json_decref(rows);
	/* who is elsewhere goes on, and so does alice from anywhere else */
	send_key(&elsewhere, "alice", KEY(ALICE_KEY), 0);
	expect_u8(r, &elsewhere.link, MSG_AUTH_KEY_RE, AUTH_MAYBE);
	session_over(r, &elsewhere, 0);
	assert_int_equal(source_unblock(&r->p, "203.0.114.0/24", true), 0);
	assert_int_equal(source_unblock(&r->p, "203.0.113.0/24", false), 1); /* only counted */
	assert_int_equal(source_unblock(&r->p, "203.0.113.0/24", true), 1);
	rows = source_blocks(&r->p);
	assert_int_equal(json_array_size(rows), 0);
	json_decref(rows);
}

/* Beside somebody who logged in from there: rationed by parent, nobody is disconnected, and it is said once. */
static void a_strangers_neighbour_stays(void **state)
{
	struct rig *r = *state;
	struct session_end in, waiting;
	char name[32];
	struct ipc_msg m;
	json_t *rows;

	login_alice(r, &in, 0); /* from 192.0.2.9 */
	session_from(r, &waiting, "192.0.2.9");
	for (uint32_t i = 1; i <= r->conf->block_names; i++) {
		snprintf(name, sizeof(name), "user%u", i);
		guess(r, "192.0.2.9", name);
	}
	expect(r, &r->parent, MSG_SOURCE_BLOCK, &m);
	ipc_msg_finish(&m);
	for (uint32_t i = 1; i <= 2 * r->conf->block_names; i++) {
		snprintf(name, sizeof(name), "more%u", i);
		guess(r, "192.0.2.9", name);
	}
	assert_int_equal(events_of(r, "source.block"), 1);
	rows = source_blocks(&r->p);
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "why")), "tried many names; rationed");
	json_decref(rows);
	send_key(&waiting, "alice", KEY(ALICE_KEY), 0);
	expect_u8(r, &waiting.link, MSG_AUTH_KEY_RE, AUTH_MAYBE);
	session_over(r, &waiting, 0);
	session_over(r, &in, 0);
}

static void the_exempt_are_not_counted(void **state)
{
	struct rig *r = *state;
	char name[32], why[CONFIG_WHY_MAX];

	r->conf->penalty_exempt.v = calloc(1, sizeof(*r->conf->penalty_exempt.v));
	r->conf->penalty_exempt.n = 1;
	assert_int_equal(config_net_parse("203.0.113.0/24", r->conf->penalty_exempt.v, why), 0);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "user%d", i);
		assert_int_equal(guess(r, "203.0.113.5", name), 0);
	}
	assert_int_equal(events_of(r, "source.block"), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(refusals_become_slower), T(a_login_forgets_the_failures), T(many_names_block_the_source), T(a_strangers_neighbour_stays),
		T(the_exempt_are_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
