/*
 * test_policy_login.c - AUTH_KEY to AUTH_YES on a whole policy role: what lets in, and all that
 * does not.
 */
#include "policy_rig_way.h"
#include "refusals.h"

static void key_then_code_lets_in(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct pam_end w;
	struct ipc_msg m;
	struct buf b;
	char code[7], text[64];

	session_start(r, &s);
	send_key(&s, "alice", KEY(ALICE_KEY), 0);
	expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_MAYBE);
	key_proven(r, &s);
	factor_begin(r, &s, &w, 9);
	assert_string_equal(w.user, "alice");
	pam_prompt(&w);
	expect(r, &s.link, MSG_AUTH_PROMPT, &m);
	assert_int_equal(m.id, 9);
	buf_get_cstring(&m.body, text, sizeof(text));
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, "bastion");
	assert_int_equal(buf_get_u32(&m.body), 1);
	assert_int_equal(buf_get_u8(&m.body), 0);
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, "Code: ");
	assert_true(buf_end(&m.body));
	ipc_msg_finish(&m);
	buf_init(&b, 64);
	buf_put_u32(&b, 1);
	buf_put_cstring(&b, "123456");
	assert_int_equal(ipc_send(&s.link, MSG_AUTH_ANSWER, 9, &b, NULL, 0), 0);
	buf_finish(&b);
	expect(r, &w.link, MSG_PAM_ANSWER, &m);
	assert_int_equal(buf_get_u32(&m.body), 1);
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, "123456");
	ipc_msg_finish(&m);
	code_of(r->alice_secret, clock_wall(), code);
	assert_int_equal(otp_ask(r, "alice", code, w.token), OTP_RIGHT);
	assert_int_equal(otp_ask(r, "alice", code, w.token), OTP_WRONG);
	pam_done(&w, 1, "alice");
	expect_u8(r, &s.link, MSG_AUTH_FACTOR_RE, AUTH_YES);
	worker_end(r, &w.link, w.id);
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 1);
	session_over(r, &s, 0);
	assert_int_equal(r->p.npeers, 0);
	assert_int_equal(r->p.nworkers, 0);
}

static void strangers_learn_nothing(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	session_start(r, &s);
	send_key(&s, "mallory", KEY(ALICE_KEY), 0);
	expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_NO);
	send_key(&s, "alice", KEY(WRONG_KEY), 0);
	expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_NO);
	send_key(&s, "", KEY(WRONG_KEY), 0);
	expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_NO);
	send_key(&s, "bob", KEY(ALICE_KEY), 0);
	expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_NO);
	session_over(r, &s, 0);
	expect_silence(r, &r->parent);
}

static void another_name_after_the_key(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	session_start(r, &s);
	key_proven(r, &s);
	send_key(&s, "bob", KEY(ALICE_KEY), 1);
	expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_NO);
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 0);
	/* alice's key is forgotten: a factor now is out of order, and ends the session */
	assert_int_equal(ipc_send_empty(&s.link, MSG_AUTH_FACTOR, 1), 0);
	{
		struct ipc_msg m;

		expect(r, &r->parent, MSG_PEER_KILL, &m);
		ipc_msg_finish(&m);
	}
	session_over(r, &s, 9);
}

static void one_code_one_login(void **state)
{
	struct rig *r = *state;
	struct session_end s[2];
	struct pam_end w[2];
	char code[7];

	for (int i = 0; i < 2; i++) {
		session_start(r, &s[i]);
		key_proven(r, &s[i]);
		factor_begin(r, &s[i], &w[i], 1);
	}
	assert_true(w[0].token != w[1].token);
	code_of(r->alice_secret, clock_wall(), code);
	assert_int_equal(otp_ask(r, "alice", code, w[0].token), OTP_RIGHT);
	assert_int_equal(events_of(r, "otp.replay"), 0);
	assert_int_equal(otp_ask(r, "alice", code, w[1].token), OTP_WRONG);
	assert_int_equal(events_of(r, "otp.replay"), 1);
	assert_int_equal(otp_ask(r, "bob", code, w[1].token), OTP_WRONG);
	assert_int_equal(otp_ask(r, "alice", code, w[1].token + 1), OTP_WRONG);
	pam_done(&w[1], 1, "alice"); /* a stack that says yes all the same */
	expect_u8(r, &s[1].link, MSG_AUTH_FACTOR_RE, AUTH_NO);
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 0);
	pam_done(&w[0], 1, "alice");
	expect_u8(r, &s[0].link, MSG_AUTH_FACTOR_RE, AUTH_YES);
	for (int i = 0; i < 2; i++) {
		worker_end(r, &w[i].link, w[i].id);
		session_over(r, &s[i], 0);
	}
}

/* Another PAM service of this machine says where its user comes from: who may come from some networks only must come from one of them. */
static void another_service_has_a_source(void **state)
{
	static const struct { const char *networks; uint8_t verdict; } who[] = {
		{ "", OTP_RIGHT }, { "192.0.2.0/24 10.0.0.0/8", OTP_RIGHT }, { "10.0.0.0/8", OTP_WRONG },
	};
	struct rig *r = *state;
	char code[7];

	for (size_t i = 0; i < sizeof(who) / sizeof(who[0]); i++) {
		struct user u = { .kind = USER_HUMAN, .uid = -1, .until = FOREVER };

		snprintf(u.name, sizeof(u.name), "net%zu", i);
		snprintf(u.person, sizeof(u.person), "net%zu", i);
		snprintf(u.networks, sizeof(u.networks), "%s", who[i].networks);
		assert_int_equal(store_user_add(r->p.store, &u, clock_wall()), 0);
		assert_int_equal(store_totp_enrol(r->p.store, u.id, r->alice_secret, clock_wall()), 0);
		assert_int_equal(store_totp_confirm(r->p.store, u.id, clock_wall() / 30 - 10, 0, clock_wall()), 0);
		code_of(r->alice_secret, clock_wall(), code);
		assert_int_equal(otp_ask_from(r, u.name, code, 0, "192.0.2.9"), who[i].verdict);
		code_of(r->alice_secret, clock_wall() + 30, code);
		assert_int_equal(otp_ask_from(r, u.name, code, 0, "tty1"), who[i].networks[0] == '\0' ? OTP_RIGHT : OTP_WRONG);
	}
}

static void pam_ends_with_another_user(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct pam_end w;
	char code[7];

	session_start(r, &s);
	key_proven(r, &s);
	factor_begin(r, &s, &w, 1);
	code_of(r->alice_secret, clock_wall(), code);
	assert_int_equal(otp_ask(r, "alice", code, w.token), OTP_RIGHT);
	assert_int_equal(events_of(r, "pam.fail"), 0);
	pam_done(&w, 1, "bob");
	expect_u8(r, &s.link, MSG_AUTH_FACTOR_RE, AUTH_NO);
	assert_int_equal(events_of(r, "pam.fail"), 1);
	worker_end(r, &w.link, w.id);
	session_over(r, &s, 0);
}

static void worker_that_dies_refuses(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct pam_end w;
	struct ipc_msg m;

	session_start(r, &s);
	key_proven(r, &s);
	factor_begin(r, &s, &w, 1);
	worker_end(r, &w.link, w.id);
	expect_u8(r, &s.link, MSG_AUTH_FACTOR_RE, AUTH_NO);
	/* its link ended first: a process that hangs on would be of no use */
	expect(r, &r->parent, MSG_WORKER_KILL, &m);
	ipc_msg_finish(&m);
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 0);
	/* the proven key holds: another attempt may follow */
	factor_begin(r, &s, &w, 2);
	session_over(r, &s, 0);
	assert_int_equal(r->p.npeers, 0);
	assert_int_equal(r->p.nworkers, 1); /* killed, not reaped yet */
	worker_end(r, &w.link, w.id);
	assert_int_equal(r->p.nworkers, 0);
}

static void verdict_overtaken_by_the_end(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct pam_end w;
	struct ipc_msg m;
	struct buf b;
	char code[7];

	session_start(r, &s);
	key_proven(r, &s);
	factor_begin(r, &s, &w, 1);
	code_of(r->alice_secret, clock_wall(), code);
	assert_int_equal(otp_ask(r, "alice", code, w.token), OTP_RIGHT);
	/* both are there before policy looks at either */
	pam_done(&w, 1, "alice");
	buf_init(&b, 4);
	buf_put_u32(&b, 0);
	assert_int_equal(ipc_send(&r->parent, MSG_WORKER_DOWN, w.id, &b, NULL, 0), 0);
	buf_finish(&b);
	ipc_finish(&w.link);
	expect(r, &s.link, MSG_AUTH_FACTOR_RE, &m);
	assert_int_equal(buf_get_u8(&m.body), AUTH_YES);
	ipc_msg_finish(&m);
	session_over(r, &s, 0);
}

static void abort_kills_the_attempt(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct pam_end w, again;
	struct ipc_msg m;
	struct buf b;

	session_start(r, &s);
	key_proven(r, &s);
	factor_begin(r, &s, &w, 1);
	pam_prompt(&w);
	expect(r, &s.link, MSG_AUTH_PROMPT, &m);
	ipc_msg_finish(&m);
	assert_int_equal(ipc_send_empty(&s.link, MSG_AUTH_ABORT, 0), 0);
	expect(r, &r->parent, MSG_WORKER_KILL, &m);
	assert_int_equal(m.id, w.id);
	ipc_msg_finish(&m);
	/* an answer that crossed the abort is dropped; the next attempt is a new one */
	buf_init(&b, 64);
	buf_put_u32(&b, 1);
	buf_put_cstring(&b, "123456");
	assert_int_equal(ipc_send(&s.link, MSG_AUTH_ANSWER, 1, &b, NULL, 0), 0);
	assert_int_equal(ipc_send_empty(&s.link, MSG_AUTH_FACTOR, 2), 0);
	assert_int_equal(ipc_send(&s.link, MSG_AUTH_ANSWER, 1, &b, NULL, 0), 0);
	buf_finish(&b);
	expect_run_pam(r, &again);
	assert_true(again.token != w.token && again.id != w.id);
	expect_silence(r, &r->parent);
	worker_end(r, &w.link, w.id);
	worker_end(r, &(struct ipc){ .fd = -1 }, again.id);
	expect_u8(r, &s.link, MSG_AUTH_FACTOR_RE, AUTH_NO);
	session_over(r, &s, 0);
}

static void yes_that_crossed_an_abort(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct pam_end w;

	login_alice(r, &s, 0);
	assert_int_equal(ipc_send_empty(&s.link, MSG_AUTH_ABORT, 0), 0);
	factor_begin(r, &s, &w, 2);
	worker_end(r, &w.link, w.id);
	expect_u8(r, &s.link, MSG_AUTH_FACTOR_RE, AUTH_NO);
	session_over(r, &s, 0);
}

static void too_many_attempts_end_it(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct ipc_msg m;

	session_start(r, &s);
	for (unsigned i = 0; i < r->conf->max_auth_tries; i++) {
		send_key(&s, "alice", KEY(WRONG_KEY), 0);
		expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_NO);
	}
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 0);
	/* the one past them is answered: a session says so then, and ends; only one that goes on is killed */
	send_key(&s, "alice", KEY(WRONG_KEY), 0);
	expect(r, &s.link, MSG_AUTH_KEY_RE, &m);
	assert_int_equal(buf_get_u8(&m.body), AUTH_NO);
	ipc_msg_finish(&m);
	expect_silence(r, &r->parent);
	send_key(&s, "alice", KEY(WRONG_KEY), 0);
	expect(r, &r->parent, MSG_PEER_KILL, &m);
	ipc_msg_finish(&m);
	session_over(r, &s, 9);
}

static void service_needs_its_network(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	session_from(r, &s, "198.51.100.1");
	send_key(&s, "deploy", KEY(DEPLOY_KEY), 1);
	expect_barred(r, &s, MSG_AUTH_KEY_RE, "may not come from 198.51.100.1", "Use one of: 192.0.2.0/24");
	session_over(r, &s, 0);
	expect_silence(r, &r->parent); /* no guess, so no penalty */
	session_from(r, &s, "192.0.2.50");
	send_key(&s, "deploy", KEY(DEPLOY_KEY), 1);
	expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_YES);
	session_over(r, &s, 0);
}

static void not_enrolled_is_refused(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	assert_int_equal(store_totp_reset(r->p.store, r->alice.id), 0);
	session_start(r, &s);
	send_key(&s, "alice", KEY(ALICE_KEY), 1);
	expect_barred(r, &s, MSG_AUTH_KEY_RE, "no confirmed second factor", "bastionctl user totp enrol alice");
	session_over(r, &s, 0);
	assert_int_equal(events_of(r, "login.fail"), 1);
}

/* What a user who may not come in is told is told to who proved the key: the probe is answered as everybody's is. */
static void the_line_is_for_who_proved_the_key(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct ipc_msg m;

	assert_int_equal(store_user_state(r->p.store, r->alice.id, USER_LOCKED, "laptop stolen", clock_wall()), 0);
	session_start(r, &s);
	for (unsigned i = 0; i < 2 * r->conf->max_auth_tries; i++) { /* nor does it count */
		send_key(&s, "alice", KEY(ALICE_KEY), 0);
		expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_MAYBE);
	}
	send_key(&s, "alice", KEY(WRONG_KEY), 1);
	expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_NO);
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 0);
	assert_int_equal(events_of(r, "login.fail"), 0);
	send_key(&s, "alice", KEY(ALICE_KEY), 1);
	expect_barred(r, &s, MSG_AUTH_KEY_RE, "alice is locked", "administrator");
	assert_int_equal(events_of(r, "login.fail"), 1);
	expect_silence(r, &r->parent);
	/* nothing is proven by that: a factor now is out of order, and ends the session */
	assert_int_equal(ipc_send_empty(&s.link, MSG_AUTH_FACTOR, 1), 0);
	expect(r, &r->parent, MSG_PEER_KILL, &m);
	ipc_msg_finish(&m);
	session_over(r, &s, 9);
}

/* A client that tries for ever is an event a hundred times, and then one now and then. */
static void a_script_fills_no_database(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	assert_int_equal(store_user_state(r->p.store, r->alice.id, USER_LOCKED, "test", clock_wall()), 0);
	for (int i = 0; i < REFUSALS_BURST + 30; i++) {
		session_start(r, &s);
		send_key(&s, "alice", KEY(ALICE_KEY), 1);
		expect_barred(r, &s, MSG_AUTH_KEY_RE, "alice is locked", "administrator");
		session_over(r, &s, 0);
	}
	assert_in_range(events_of(r, "login.fail"), REFUSALS_BURST, REFUSALS_BURST + 20);
}

/* The event of this kind, the newest one, is of this actor. */
static void expect_actor(struct rig *r, const char *kind, const char *actor)
{
	json_t *list = store_list(r->p.store, LIST_EVENTS, &(struct list_ask){ .limit = 1 });
	const json_t *row = json_array_get(list, 0);

	assert_string_equal(json_string_value(json_object_get(row, "kind")), kind);
	assert_string_equal(json_string_value(json_object_get(row, "actor")), actor);
	json_decref(list);
}

/* Who has the key alone is refused as often as they try, and the words of its owner are looked at as ever. */
static void a_stolen_key_costs_its_owner_no_word(void **state)
{
	struct rig *r = *state;
	struct session_end s, other;

	r->conf->max_sessions_per_user = 1;
	login_alice(r, &s, 0);
	for (int i = 0; i < REFUSALS_BURST + 30; i++) {
		session_from(r, &other, "198.51.100.1");
		send_key(&other, "alice", KEY(ALICE_KEY), 1);
		expect_barred(r, &other, MSG_AUTH_KEY_RE, "as many connections open as max_sessions_per_user allows", "ControlMaster");
		session_over(r, &other, 0);
	}
	assert_in_range(events_of(r, "login.fail"), REFUSALS_BURST, REFUSALS_BURST + 20);
	words(r, &s, "{\"word\":\"hosts\"}", true);
	session_over(r, &s, 0);
	/* what was only counted is told under the user's name */
	control_finish(&r->p.control);
	expect_actor(r, "refusals.left-out", "alice");
}

static void an_account_that_ended(void **state)
{
	struct user gone;
	struct rig *r = *state;
	struct session_end s;

	gone = (struct user){ .kind = USER_HUMAN, .uid = -1, .until = clock_wall() - 10, .name = "gone", .person = "gone" };
	assert_int_equal(store_user_add(r->p.store, &gone, clock_wall()), 0);
	add_device(r->p.store, gone.id, KEY(WRONG_KEY));
	session_start(r, &s);
	send_key(&s, "gone", KEY(WRONG_KEY), 0);
	expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_MAYBE);
	send_key(&s, "gone", KEY(WRONG_KEY), 1);
	expect_barred(r, &s, MSG_AUTH_KEY_RE, "The account gone ended at", "administrator");
	session_over(r, &s, 0);
}

/* Two prove the key while there is room for one: who comes last with the code is told, too. */
static void the_last_place_is_given_once(void **state)
{
	struct rig *r = *state;
	struct session_end s[2];
	struct pam_end w[2];
	char code[7];

	r->conf->max_sessions_per_user = 1;
	for (int i = 0; i < 2; i++) {
		session_start(r, &s[i]);
		key_proven(r, &s[i]);
		factor_begin(r, &s[i], &w[i], 1);
		code_of(r->alice_secret, clock_wall() + 30 * i, code);
		assert_int_equal(otp_ask(r, "alice", code, w[i].token), OTP_RIGHT);
	}
	pam_done(&w[0], 1, "alice");
	expect_u8(r, &s[0].link, MSG_AUTH_FACTOR_RE, AUTH_YES);
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 1);
	pam_done(&w[1], 1, "alice");
	expect_barred(r, &s[1], MSG_AUTH_FACTOR_RE, "as max_sessions_per_user allows: 1.", "ControlMaster");
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 0); /* so that the PAM session is closed */
	for (int i = 0; i < 2; i++) {
		worker_end(r, &w[i].link, w[i].id);
		session_over(r, &s[i], 0);
	}
}

/* The key goes while its owner types the code. */
static void revoked_between_key_and_code(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct pam_end w;
	struct device d;
	char code[7];

	session_start(r, &s);
	key_proven(r, &s);
	factor_begin(r, &s, &w, 1);
	code_of(r->alice_secret, clock_wall(), code);
	assert_int_equal(otp_ask(r, "alice", code, w.token), OTP_RIGHT);
	assert_int_equal(store_device_by_name(r->p.store, r->alice.id, "laptop", &d), 1);
	assert_int_equal(store_device_revoke(r->p.store, d.id, clock_wall()), 0);
	pam_done(&w, 1, "alice");
	expect_barred(r, &s, MSG_AUTH_FACTOR_RE, "laptop of alice is in force no more", "administrator");
	worker_end(r, &w.link, w.id);
	session_over(r, &s, 0);
}

static void locked_between_key_and_code(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct pam_end w;
	char code[7];

	session_start(r, &s);
	key_proven(r, &s);
	factor_begin(r, &s, &w, 1);
	code_of(r->alice_secret, clock_wall(), code);
	assert_int_equal(otp_ask(r, "alice", code, w.token), OTP_RIGHT);
	assert_int_equal(
	    store_user_state(r->p.store, r->alice.id, USER_LOCKED, "test", clock_wall()), 0);
	pam_done(&w, 1, "alice");
	expect_barred(r, &s, MSG_AUTH_FACTOR_RE, "alice is locked", "administrator");
	worker_end(r, &w.link, w.id);
	session_over(r, &s, 0);
}

static void grace_is_bound_to_the_source(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	r->conf->mfa_grace = 600000;
	login_alice(r, &s, 0);
	session_over(r, &s, 0);
	session_start(r, &s);
	send_key(&s, "alice", KEY(ALICE_KEY), 1);
	expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_YES);
	session_over(r, &s, 0);
	assert_int_equal(events_of(r, "login.grace"), 1);
	session_from(r, &s, "192.0.2.10");
	send_key(&s, "alice", KEY(ALICE_KEY), 1);
	expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_PARTIAL);
	session_over(r, &s, 0);
	assert_int_equal(events_of(r, "login.grace"), 1);
}

static void sessions_of_a_user_are_counted(void **state)
{
	struct rig *r = *state;
	struct session_end a, b;

	r->conf->max_sessions_per_user = 1;
	login_alice(r, &a, 0);
	session_start(r, &b);
	send_key(&b, "alice", KEY(ALICE_KEY), 1);
	expect_barred(r, &b, MSG_AUTH_KEY_RE, "as max_sessions_per_user allows: 1.", "ControlMaster");
	session_over(r, &b, 0);
	session_over(r, &a, 0);
	session_start(r, &b);
	key_proven(r, &b);
	session_over(r, &b, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(key_then_code_lets_in),
		T(strangers_learn_nothing),
		T(another_name_after_the_key),
		T(one_code_one_login),
		T(another_service_has_a_source),
		T(pam_ends_with_another_user),
		T(worker_that_dies_refuses),
		T(verdict_overtaken_by_the_end),
		T(abort_kills_the_attempt),
		T(yes_that_crossed_an_abort),
		T(too_many_attempts_end_it),
		T(service_needs_its_network),
		T(not_enrolled_is_refused),
		T(the_line_is_for_who_proved_the_key),
		T(an_account_that_ended),
		T(a_script_fills_no_database),
		T(a_stolen_key_costs_its_owner_no_word),
		T(the_last_place_is_given_once),
		T(revoked_between_key_and_code),
		T(locked_between_key_and_code),
		T(grace_is_bound_to_the_source),
		T(sessions_of_a_user_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
