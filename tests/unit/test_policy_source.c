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

/* What parent makes of a block, or of a login from there. */
static void held(struct rig *r, const char *net, uint32_t seconds, uint32_t names, uint8_t how)
{
	struct buf b;

	buf_init(&b, 128);
	buf_put_cstring(&b, net);
	buf_put_u32(&b, seconds);
	buf_put_u32(&b, names);
	buf_put_u8(&b, how);
	assert_int_equal(ipc_send(&r->parent, MSG_SOURCE_HELD, 0, &b, NULL, 0), 0);
	buf_finish(&b);
	rig_turn(r);
}

/* The list is one row with this reason, or is empty. */
static void expect_blocks(struct rig *r, const char *net, const char *why)
{
	json_t *rows = source_blocks(&r->p);

	assert_int_equal(json_array_size(rows), net != NULL);
	if (net != NULL) {
		assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "network")), net);
		assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "why")), why);
	}
	json_decref(rows);
}

static void many_names_block_the_source(void **state)
{
	struct rig *r = *state;
	struct session_end waiting, guesser, elsewhere;
	char name[32], net[64];
	struct ipc_msg m;

	session_from(r, &waiting, "203.0.113.5");
	session_from(r, &guesser, "203.0.113.5");
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
	assert_int_equal(buf_get_u32(&m.body), r->conf->block_names);
	assert_true(buf_end(&m.body));
	ipc_msg_finish(&m);
	/* it is one when parent says so */
	assert_int_equal(events_of(r, "source.block"), 0);
	expect_blocks(r, NULL, NULL);
	held(r, net, 3600, r->conf->block_names, HELD_ANSWER);
	for (int i = 0; i < 2; i++) { /* who is not logged in from there */
		expect(r, &r->parent, MSG_PEER_KILL, &m);
		ipc_msg_finish(&m);
	}
	/* many more that failed before the answer came were another block for parent, and are none for anybody else */
	held(r, net, 3600, r->conf->block_names, HELD_ANSWER);
	assert_int_equal(events_of(r, "source.block"), 1);
	expect_silence(r, &r->parent);
	expect_blocks(r, "203.0.113.5/32", "tried many names");
	/* who is elsewhere goes on, and so does alice from anywhere else */
	send_key(&elsewhere, "alice", KEY(ALICE_KEY), 0);
	expect_u8(r, &elsewhere.link, MSG_AUTH_KEY_RE, AUTH_MAYBE);
	session_over(r, &elsewhere, 0);
	assert_int_equal(source_unblock(&r->p, "203.0.114.0/24", true), 0);
	assert_int_equal(source_unblock(&r->p, "203.0.113.0/24", false), 1); /* only counted */
	assert_int_equal(source_unblock(&r->p, "203.0.113.0/24", true), 1);
	expect_blocks(r, NULL, NULL);
}

/* What is no answer to a block is listed, and no more: of a new policy's start, or since somebody logged in from there. */
static void the_list_follows_parent(void **state)
{
	struct rig *r = *state;
	struct session_end waiting;

	session_from(r, &waiting, "203.0.113.5");
	held(r, "203.0.113.5/32", 600, 12, 0);
	expect_blocks(r, "203.0.113.5/32", "tried many names");
	held(r, "203.0.113.5/32", 600, 12, HELD_RATIONED);
	expect_blocks(r, "203.0.113.5/32", "tried many names; rationed");
	held(r, "203.0.113.5/32", 600, 0, 0);
	expect_blocks(r, "203.0.113.5/32", "failed logins");
	held(r, "203.0.113.6/32", 0, 0, 0); /* one that it has nothing of */
	held(r, "203.0.113.5/32", 0, 0, 0);
	expect_blocks(r, NULL, NULL);
	held(r, "203.0.113.5/32", 0, 0, HELD_ANSWER); /* no place for a block */
	expect_blocks(r, NULL, NULL);
	assert_int_equal(events_of(r, "source.block"), 0);
	expect_silence(r, &r->parent);
	session_over(r, &waiting, 0);
}

/* The list is bounded: what is over first makes way. */
static void the_list_is_bounded(void **state)
{
	struct rig *r = *state;
	char net[64];
	json_t *rows;

	for (unsigned i = 0; i < SOURCE_HELD + 5; i++) {
		snprintf(net, sizeof(net), "10.0.%u.%u/32", i / 256, i % 256);
		held(r, net, 3600 + i, 0, 0);
	}
	rows = source_blocks(&r->p);
	assert_int_equal(json_array_size(rows), SOURCE_HELD);
	for (size_t i = 0; i < SOURCE_HELD; i++)
		assert_string_not_equal(json_string_value(json_object_get(json_array_get(rows, i), "network")), "10.0.0.0/32");
	json_decref(rows);
}

/* Beside somebody who logged in from there: rationed by parent, nobody is disconnected, and it is said once. */
static void a_strangers_neighbour_stays(void **state)
{
	struct rig *r = *state;
	struct session_end in, waiting;
	char name[32];
	struct ipc_msg m;

	login_alice(r, &in, 0); /* from 192.0.2.9 */
	session_from(r, &waiting, "192.0.2.9");
	for (uint32_t i = 1; i <= r->conf->block_names; i++) {
		snprintf(name, sizeof(name), "user%u", i);
		guess(r, "192.0.2.9", name);
	}
	expect(r, &r->parent, MSG_SOURCE_BLOCK, &m);
	ipc_msg_finish(&m);
	held(r, "192.0.2.9/32", 3600, r->conf->block_names, HELD_RATIONED | HELD_ANSWER);
	for (uint32_t i = 1; i <= 2 * r->conf->block_names; i++) {
		snprintf(name, sizeof(name), "more%u", i);
		guess(r, "192.0.2.9", name);
	}
	assert_int_equal(events_of(r, "source.block"), 1);
	expect_silence(r, &r->parent);
	expect_blocks(r, "192.0.2.9/32", "tried many names; rationed");
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
		T(the_list_follows_parent), T(the_list_is_bounded),
		T(the_exempt_are_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
