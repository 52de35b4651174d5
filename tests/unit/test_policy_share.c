/*
 * test_policy_share.c - processes that policy has run for users: what one user takes leaves some to the others, and what all take to
 * logins.
 */
#include "policy_rig_way.h"

/* Ways are asked for until one is refused as too much: how many were dialled. All at a host that never answers. */
static unsigned dial_many(struct rig *r, struct session_end *s, unsigned from, unsigned most)
{
	struct ipc_msg m;
	unsigned n = 0;

	for (uint32_t id = from; n < most; id++) {
		bool busy;

		way_ask(s, id, "web1", "dba");
		rig_turn(r);
		busy = ipc_recv(&s->link, &m) > 0;
		while (busy && m.type == MSG_PING) {
			ipc_msg_finish(&m);
			busy = ipc_recv(&s->link, &m) > 0;
		}
		if (busy) {
			assert_int_equal(m.type, MSG_WAY_NO);
			assert_int_equal(buf_get_u8(&m.body), WAY_BUSY);
			ipc_msg_finish(&m);
			return n;
		}
		expect(r, &r->parent, MSG_RUN_DIAL, &m);
		ipc_msg_finish(&m);
		n++;
	}
	return n;
}

static void enter(struct rig *r, struct session_end *s, const char *user, const uint8_t *key, size_t len)
{
	session_start(r, s);
	send_key(s, user, key, len, 1);
	expect_u8(r, &s->link, MSG_AUTH_KEY_RE, AUTH_YES);
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 1);
}

/* What parent is told to kill. */
static void drain_kills(struct rig *r)
{
	struct ipc_msg m;

	while (ipc_recv(&r->parent, &m) > 0) {
		assert_int_equal(m.type, MSG_WORKER_KILL);
		ipc_msg_finish(&m);
	}
}

static void one_user_leaves_some_to_others(void **state)
{
	struct session_end a, b, other;
	struct rig *r = *state;

	r->conf->max_workers = 24;
	rig_grant(r, r->p.store, &r->deploy, 3600);
	rig_grant(r, r->p.store, &r->alice, 3600);
	enter(r, &a, "deploy", KEY(DEPLOY_KEY));
	enter(r, &b, "deploy", KEY(DEPLOY_KEY));
	assert_int_equal(dial_many(r, &a, 1, 8), 8);
	assert_int_equal(dial_many(r, &b, 1, 20), 4); /* over all connections: 24 / 2 */
	login_alice(r, &other, 0);
	assert_int_equal(dial_many(r, &other, 1, 5), 5);
	/* who leaves gives back what they had */
	session_over(r, &a, 0);
	drain_kills(r);
	assert_int_equal(dial_many(r, &b, 10, 3), 3);
	session_over(r, &b, 0);
	session_over(r, &other, 0);
}

static void all_users_leave_some_to_logins(void **state)
{
	struct session_end s, late;
	struct rig *r = *state;
	struct pam_end w;

	r->conf->max_workers = 5; /* one is kept */
	rig_grant(r, r->p.store, &r->deploy, 3600);
	rig_grant(r, r->p.store, &r->alice, 3600);
	enter(r, &s, "deploy", KEY(DEPLOY_KEY));
	assert_int_equal(dial_many(r, &s, 1, 20), 4);
	session_start(r, &late);
	key_proven(r, &late);
	factor_begin(r, &late, &w, 1);
	worker_end(r, &w.link, w.id);
	expect_u8(r, &late.link, MSG_AUTH_FACTOR_RE, AUTH_NO);
	session_over(r, &late, 0);
	session_over(r, &s, 0);
}

/* web1 as a host of managed keys, under another name. */
static void manage(struct rig *r)
{
	struct host h = { .port = 22, .method = LOGIN_MANAGED, .name = "web2", .address = "web1.internal", .logins = "dba",
		.managed_key = "appliance" };
	struct host_key pin = { .type = "ssh-ed25519", .len = 51 };

	assert_int_equal(store_host_add(r->p.store, &h, clock_wall()), 0);
	memcpy(pin.blob, WRONG_KEY, pin.len);
	assert_int_equal(key_fingerprint(pin.blob, pin.len, pin.fingerprint), 0);
	assert_int_equal(store_host_key_add(r->p.store, h.id, &pin), 0);
	r->web1 = h;
}

/* A login with a managed key is under way: the session has what it needs, and its target says nothing. */
static void lend_one(struct rig *r, struct session_end *s, uint32_t id)
{
	struct ipc_msg m;

	way_ask(s, id, "web2", "dba");
	dial_ok(r);
	expect(r, &r->keys, MSG_LEND_KEY, &m);
	keys_say(r, MSG_LEND_KEY_RE, &m, true, "BLOB");
	expect(r, &s->link, MSG_WAY_OK, &m);
	ipc_msg_finish(&m);
}

static void one_user_leaves_managed_keys_to_others(void **state)
{
	struct session_end s[5], other;
	struct rig *r = *state;

	manage(r);
	rig_grant(r, r->p.store, &r->deploy, 3600);
	rig_grant(r, r->p.store, &r->alice, 3600);
	for (int i = 0; i < 5; i++)
		enter(r, &s[i], "deploy", KEY(DEPLOY_KEY));
	for (uint32_t i = 0; i < 64; i++)
		lend_one(r, &s[i / 16], 1 + i % 16);
	way_ask(&s[4], 1, "web2", "dba");
	dial_ok(r);
	expect_no(r, &s[4], 1, WAY_BUSY);
	login_alice(r, &other, 0);
	lend_one(r, &other, 1);
	/* one that is in has given its key back */
	assert_int_equal(ipc_send_empty(&s[0].link, MSG_WAY_UP, 1), 0);
	rig_turn(r);
	lend_one(r, &s[4], 2);
	for (int i = 0; i < 5; i++)
		session_over(r, &s[i], 0);
	session_over(r, &other, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_user_leaves_some_to_others),
		T(all_users_leave_some_to_logins),
		T(one_user_leaves_managed_keys_to_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
