/*
 * test_policy_class.c - hosts that ask for more than a grant: a fresh code, an approval that knew device and network.
 */
#include "policy_rig_grant.h"

#include "store_clock.h"

static void set(char **option, const char *value)
{
	free(*option);
	*option = strdup(value);
}

/* Whether WAY_ASK leads to a dial worker; a line that is refused must have this in it. */
static void asks(struct rig *r, struct session_end *s, uint32_t id, const char *refused)
{
	char line[LINE_LEN];
	struct ipc_msg m;

	way_ask(s, id, "web1", "dba");
	if (refused == NULL) {
		expect(r, &r->parent, MSG_RUN_DIAL, &m);
		ipc_msg_finish(&m);
		return;
	}
	expect(r, &s->link, MSG_WAY_NO, &m);
	assert_int_equal(buf_get_u8(&m.body), WAY_NO_GRANT);
	buf_get_cstring(&m.body, line, sizeof(line));
	if (strstr(line, refused) == NULL)
		fail_msg("%s", line);
	ipc_msg_finish(&m);
}

/* The session ends while its way is dialled. */
static void over(struct rig *r, struct session_end *s)
{
	struct ipc_msg m;

	session_over(r, s, 0);
	expect(r, &r->parent, MSG_WORKER_KILL, &m);
	ipc_msg_finish(&m);
}

static void grace_opens_no_host_of_the_class(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	r->conf->mfa_grace = 600000;
	set(&r->conf->step_up, "env=prod tier=web");
	rig_grant(r, r->p.store, &r->alice, 3600);
	login_alice(r, &s, 0);
	asks(r, &s, 1, NULL);
	over(r, &s);
	session_start(r, &s);
	send_key(&s, "alice", KEY(ALICE_KEY), 1);
	expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_YES);
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 1);
	asks(r, &s, 1, "this connection came without one");
	session_over(r, &s, 0);
	/* the grace is gone: the next login asks, and then it opens */
	login_alice(r, &s, 1);
	asks(r, &s, 1, NULL);
	over(r, &s);
}

/* A class without grace wants a code at the login, of any age; hosts beside it take the grace. */
static void a_class_leaves_itself_out_of_grace(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	r->conf->mfa_grace = 600000;
	r->conf->step_up_time = 0;
	rig_grant(r, r->p.store, &r->alice, 3600);
	login_alice(r, &s, 0);
	set(&r->conf->no_grace, "tier=none env=lab");
	usleep(5000);
	asks(r, &s, 1, NULL); /* not a fresh one: one at all */
	over(r, &s);
	session_start(r, &s);
	send_key(&s, "alice", KEY(ALICE_KEY), 1);
	expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_YES);
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 1);
	asks(r, &s, 1, "asks for a one-time code at the login");
	session_over(r, &s, 0);
	/* the refusal took the grace away, for whatever host: a code is asked for */
	set(&r->conf->no_grace, "");
	login_alice(r, &s, 1);
	session_over(r, &s, 0);
	/* other hosts take it */
	set(&r->conf->no_grace, "tier=none");
	session_start(r, &s);
	send_key(&s, "alice", KEY(ALICE_KEY), 1);
	expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_YES);
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 1);
	asks(r, &s, 1, NULL);
	over(r, &s);
}

/* Whether a login from there, with the key alone, is asked for a code. */
static void key_alone(struct rig *r, const char *address, enum auth_verdict want)
{
	struct session_end s;

	session_from(r, &s, address);
	send_key(&s, "alice", KEY(ALICE_KEY), 1);
	expect_u8(r, &s.link, MSG_AUTH_KEY_RE, (uint8_t)want);
	if (want == AUTH_YES)
		expect_u8(r, &r->parent, MSG_PEER_VERDICT, 1);
	session_over(r, &s, 0);
}

static void grace_is_for_a_network(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	r->conf->mfa_grace = 600000;
	login_alice(r, &s, 0); /* from 192.0.2.9 */
	session_over(r, &s, 0);
	key_alone(r, "192.0.2.9", AUTH_YES);
	key_alone(r, "192.0.2.10", AUTH_PARTIAL);
	key_alone(r, "::ffff:192.0.2.9", AUTH_YES);
	r->conf->grace_bits4 = 24;
	key_alone(r, "192.0.2.9", AUTH_PARTIAL); /* it was given to an address */
	login_alice(r, &s, 1);
	session_over(r, &s, 0);
	key_alone(r, "192.0.2.254", AUTH_YES);
	key_alone(r, "192.0.3.9", AUTH_PARTIAL);
	key_alone(r, "2001:db8::9", AUTH_PARTIAL);
	key_alone(r, "no address", AUTH_PARTIAL);
}

static void an_old_connection_is_not_enough(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	set(&r->conf->step_up, "env=lab");
	rig_grant(r, r->p.store, &r->alice, 3600);
	login_alice(r, &s, 0);
	r->conf->step_up_time = 0;
	usleep(5000);
	asks(r, &s, 1, "yours has the age of");
	set(&r->conf->step_up, "env=la");
	asks(r, &s, 2, NULL);
	over(r, &s);
}

/* alice, from a network that was seen first `first` s from now. */
static void login_from_elsewhere(struct rig *r, struct session_end *end, int64_t first)
{
	struct familiar f;
	struct pam_end w;
	char code[7];

	assert_int_equal(store_familiar_note(r->p.store, r->alice.id, 1, "198.51.100.0/24", "SSH-2.0-x", clock_wall() + first, &f), 0);
	assert_true(f.new_network && !f.new_device);
	session_from(r, end, "198.51.100.7");
	key_proven(r, end);
	factor_begin(r, end, &w, 1);
	code_of(r->alice_secret, clock_wall() + 30, code);
	assert_int_equal(otp_ask(r, "alice", code, w.token), OTP_RIGHT);
	pam_done(&w, 1, "alice");
	expect_u8(r, &end->link, MSG_AUTH_FACTOR_RE, AUTH_YES);
	worker_end(r, &w.link, w.id);
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 1);
}

static void an_approval_from_before_does_not_do(void **state)
{
	struct rig *r = *state;
	struct store *s = r->p.store;
	struct familiar f;
	struct session_end end;

	set(&r->conf->approve_new, "env=lab");
	rig_grant(r, s, &r->alice, 3600);
	/* known since long: the grant is younger */
	assert_int_equal(store_familiar_note(s, r->alice.id, 1, "192.0.2.0/24", "SSH-2.0-x", clock_wall() - 1000, &f), 0);
	login_alice(r, &end, 0);
	asks(r, &end, 1, NULL);
	over(r, &end);
	/* another network, seen for the first time after the approval: which is a second from now at the earliest */
	login_from_elsewhere(r, &end, 5);
	asks(r, &end, 1, "network you come from is newer than the approval");
	session_over(r, &end, 0);
}

/* One that a person approved does, also beside one that granted itself and lasts longer. */
static void the_grant_that_does_is_taken(void **state)
{
	struct rig *r = *state;
	struct session_end end;
	struct familiar f;
	int64_t approved;

	set(&r->conf->approve_new, "env=lab");
	assert_int_equal(store_familiar_note(r->p.store, r->alice.id, 1, "192.0.2.0/24", "SSH-2.0-x", clock_wall() - 1000, &f), 0);
	grant_of(r, (struct ticket){ .needed = 0, .duration = 7200 });
	login_alice(r, &end, 0);
	asks(r, &end, 1, "wants a grant that a person approved");
	approved = grant_of(r, (struct ticket){ .needed = 1 });
	asks(r, &end, 2, NULL);
	assert_int_equal(peer_of(r, &end)->ways[0]->tickets[0], approved);
	over(r, &end);
}

/* What counts is when somebody looked, not when the grant begins: it was asked for, and approved, for a time to come. */
static void nor_does_one_for_later(void **state)
{
	struct rig *r = *state;
	const int64_t before = clock_wall() - 100, begin = before + 90;
	struct ticket t = { .state = TICKET_PENDING, .user_id = r->alice.id, .by_id = r->alice.id, .host_id = r->web1.id, .role_id = r->dba.id,
		.caps = r->dba.caps, .duration = 3600, .needed = 1, .asked_at = before, .lapse_at = before + 3600, .not_before = begin,
		.login = "dba", .reason = "test" };
	struct session_end end;
	struct familiar f;

	set(&r->conf->approve_new, "env=lab");
	assert_int_equal(store_familiar_note(r->p.store, r->alice.id, 1, "192.0.2.0/24", "SSH-2.0-x", before - 1000, &f), 0);
	assert_int_equal(store_ticket_add(r->p.store, &t), 0);
	assert_int_equal(store_verdict(r->p.store, &t, &r->bob, true, "yes", before), 1);
	if (t.state == TICKET_PENDING)
		assert_int_equal(store_ticket_move(r->p.store, &t, ACT_APPROVE, "bob", "yes", before), 1);
	assert_int_equal(t.start_at, begin);
	login_alice(r, &end, 0);
	asks(r, &end, 1, NULL);
	over(r, &end);
	/* in between */
	login_from_elsewhere(r, &end, -50);
	asks(r, &end, 1, "network you come from is newer than the approval");
	session_over(r, &end, 0);
}

#define STEP 3600	/* the clock is set back by this */

/* A grant that bob gave 500 s ago, by a clock that showed STEP more, to begin no earlier than so many seconds from then. */
static int64_t approved_then(struct rig *r, int64_t later)
{
	const int64_t then = clock_wall() + STEP - 500;
	struct ticket t = { .state = TICKET_PENDING, .user_id = r->alice.id, .by_id = r->alice.id, .host_id = r->web1.id, .role_id = r->dba.id,
		.caps = r->dba.caps, .duration = 2 * STEP, .needed = 1, .asked_at = then, .lapse_at = then + STEP,
		.not_before = later != 0 ? then + later : 0, .login = "dba", .reason = "test" };

	assert_int_equal(store_ticket_add(r->p.store, &t), 0);
	assert_int_equal(store_verdict(r->p.store, &t, &r->bob, true, "yes", then), 1);
	assert_int_equal(store_ticket_move(r->p.store, &t, ACT_APPROVE, "bob", "yes", then), 1);
	return t.id;
}

/* What is known of a device and a network, and when a grant was approved, are as old as they were before the clock was set back. */
static void a_clock_set_back_makes_nothing_new(void **state)
{
	struct rig *r = *state;
	struct store *s = r->p.store;
	const int64_t then = clock_wall() + STEP;
	struct familiar f;
	struct session_end end;

	set(&r->conf->approve_new, "env=lab");
	assert_int_equal(store_familiar_note(s, r->alice.id, 1, "192.0.2.0/24", "SSH-2.0-x", then - 1000, &f), 0);
	approved_then(r, 0);
	assert_int_equal(store_clock_back(s, then, STEP), 1);
	assert_int_equal(store_familiar(s, r->alice.id, 1, "192.0.2.0/24", &f), 0);
	assert_true(f.device_first == then - 1000 - STEP && f.network_first == f.device_first);
	login_alice(r, &end, 0);
	asks(r, &end, 1, NULL);
	over(r, &end);
	/* a network that came after the approval still did */
	login_from_elsewhere(r, &end, -200);
	asks(r, &end, 1, "network you come from is newer than the approval");
	session_over(r, &end, 0);
}

/* A grant for a time to come stays for that time; when it was approved moves all the same: what was seen since is newer. */
static void a_clock_set_back_makes_no_approval_younger(void **state)
{
	struct rig *r = *state;
	const int64_t then = clock_wall() + STEP, grant = approved_then(r, 5 * STEP);
	struct ticket t;
	int64_t at = 0;

	assert_int_equal(store_clock_back(r->p.store, then, STEP), 0);
	assert_int_equal(store_ticket(r->p.store, grant, &t), 1);
	assert_int_equal(t.start_at, t.not_before);
	assert_int_equal(store_ticket_approved_at(r->p.store, grant, &at), 1);
	assert_true(at == t.asked_at - STEP);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(grace_opens_no_host_of_the_class), T(a_class_leaves_itself_out_of_grace), T(grace_is_for_a_network),
		T(an_old_connection_is_not_enough), T(an_approval_from_before_does_not_do), T(nor_does_one_for_later),
		T(the_grant_that_does_is_taken),
		T(a_clock_set_back_makes_nothing_new), T(a_clock_set_back_makes_no_approval_younger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
