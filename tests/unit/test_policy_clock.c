/*
 * test_policy_clock.c - the clock of the machine is set back, and forward, and has a leap second: no grant gets longer by it.
 *
 * WRAP: clock_wall clock_wall_us
 */
#include "policy_clock.h"
#include "policy_rig_grant.h"
#include "store_device.h"
#include "store_hostkey.h"
#include "otp.h"
#include "store_target_key.h"

#include <sqlite3.h>

#define HOUR 3600
#define US 1000000

static int64_t step_us;

int64_t __real_clock_wall_us(void);
int64_t __wrap_clock_wall_us(void);
int64_t __wrap_clock_wall(void);

int64_t __wrap_clock_wall_us(void)
{
	return __real_clock_wall_us() + step_us;
}

int64_t __wrap_clock_wall(void)
{
	return __wrap_clock_wall_us() / US;
}

static int up(void **state)
{
	step_us = 0;
	return rig_up(state);
}

static struct way *way_of(struct rig *r, const struct session_end *s)
{
	return r->p.peers[s->slot % PEER_TABLE]->ways[0];
}

static struct ticket ticket(struct rig *r, int64_t id)
{
	struct ticket t;

	assert_int_equal(store_ticket(r->p.store, id, &t), 1);
	return t;
}

static void ends(struct rig *r, struct session_end *s)
{
	struct ipc_msg m;

	expect(r, &s->link, MSG_WAY_END, &m);
	assert_int_equal(buf_get_u8(&m.body), BREC_END_EXPIRED);
	ipc_msg_finish(&m);
	way_over(r, s, 1);
	session_over(r, s, 0);
}

static void an_hour_back_makes_no_grant_longer(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	const int64_t grant = way_open(r, &s, 2 * HOUR), end = way_of(r, &s)->until;
	struct ticket t;

	r->conf->mfa_grace = 600000;
	assert_int_equal(store_grace_set(r->p.store, r->alice.id, 1, "192.0.2.9", clock_wall() + 600), 0);
	step_us = -(int64_t)HOUR * US;
	assert_int_equal(events_of(r, "clock.back"), 0);
	clock_tick(&r->p);
	assert_int_equal(events_of(r, "clock.back"), 1);
	/* it goes on, and ends when it would have */
	assert_true(way_of(r, &s)->ending_ms == 0 && way_of(r, &s)->until == end - HOUR);
	t = ticket(r, grant);
	assert_true(t.end_at == end - HOUR && t.moved == HOUR && t.end_at - t.start_at == 2 * HOUR);
	assert_true(t.end_at <= clock_wall() + 2 * HOUR);
	assert_int_equal(store_grace(r->p.store, r->alice.id, 1, "192.0.2.9", clock_wall()), 0);
	/* once, not at each tick; what is granted now is for its own time */
	clock_tick(&r->p);
	assert_int_equal(ticket(r, grant).moved, HOUR);
	t = ticket(r, rig_grant(r, r->p.store, &r->alice, HOUR));
	assert_int_equal(t.moved, 0);
	/* and so is the next time */
	step_us -= (int64_t)HOUR * US;
	clock_tick(&r->p);
	assert_int_equal(ticket(r, grant).moved, 2 * HOUR);
	assert_int_equal(ticket(r, t.id).moved, HOUR);
	/* two hours go by on that clock */
	step_us += 2LL * HOUR * US;
	clock_tick(&r->p);
	live_run(&r->p);
	ends(r, &s);
}

static void an_hour_forward_and_back_makes_no_grant_longer(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	const int64_t grant = way_open(r, &s, 3 * HOUR), end = way_of(r, &s)->until;

	step_us = (int64_t)HOUR * US;
	clock_tick(&r->p);
	assert_true(ticket(r, grant).moved == 0 && way_of(r, &s)->until == end);
	assert_int_equal(events_of(r, "clock.back"), 0);
	step_us = 0;
	clock_tick(&r->p);
	assert_true(way_of(r, &s)->ending_ms == 0 && way_of(r, &s)->until <= end);
	/* forward to its end is its end */
	step_us = 3LL * HOUR * US;
	clock_tick(&r->p);
	live_run(&r->p);
	ends(r, &s);
}

/* 23:59:59 comes twice. And what a time server takes back bit by bit adds up. */
static void a_leap_second_makes_no_grant_longer(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	const int64_t grant = way_open(r, &s, HOUR), end = way_of(r, &s)->until;

	step_us = -1 * US;
	clock_tick(&r->p);
	assert_int_equal(ticket(r, grant).moved, 1);
	assert_true(way_of(r, &s)->until <= end - 1);
	for (int i = 0; i < 10; i++) {
		step_us -= US / 10;
		clock_tick(&r->p);
	}
	assert_true(ticket(r, grant).moved >= 2 && ticket(r, grant).moved <= 5);
	way_over(r, &s, 1);
	session_over(r, &s, 0);
}

/* Nobody looked while it was set back: the newest event is of a time to come. */
static void a_clock_that_was_set_back_before_the_start(void **state)
{
	struct rig *r = *state;
	const int64_t grant = rig_grant(r, r->p.store, &r->alice, 2 * HOUR);

	assert_int_equal(event_writef(r->p.store, clock_wall(), EVENT_START, "bastiond", NULL, NULL), 0);
	step_us = -(int64_t)HOUR * US;
	assert_int_equal(clock_start(&r->p, true), 0);
	assert_int_equal(ticket(r, grant).moved, 0);
	assert_int_equal(clock_start(&r->p, false), 0);
	assert_true(ticket(r, grant).moved >= HOUR - 1);
	assert_true(ticket(r, grant).end_at <= clock_wall() + 2 * HOUR + 1);
}

/* What cannot be written now is written as soon as it can, and what is open ends when it would have in any case. */
static void a_step_is_not_forgotten_when_the_store_fails(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	const int64_t grant = way_open(r, &s, 2 * HOUR), end = way_of(r, &s)->until;
	char path[300];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/policy.db", r->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no room'); END", 0, 0, 0), SQLITE_OK);
	step_us = -(int64_t)HOUR * US;
	clock_tick(&r->p);
	clock_tick(&r->p);
	assert_true(ticket(r, grant).moved == 0 && way_of(r, &s)->until == end - HOUR);
	assert_int_equal(sqlite3_exec(db, "DROP TRIGGER full", 0, 0, 0), SQLITE_OK);
	sqlite3_close(db);
	clock_tick(&r->p);
	assert_true(ticket(r, grant).moved == HOUR && way_of(r, &s)->ending_ms == 0 && way_of(r, &s)->until == end - HOUR);
	step_us = (int64_t)HOUR * US;
	clock_tick(&r->p);
	live_run(&r->p);
	ends(r, &s);
}

/* Neither the age of a key at a host, nor the pause after a failure, nor the time since the last look gets longer. */
static void nothing_that_is_due_comes_later(void **state)
{
	static const struct host_key first = { .type = "ssh-ed25519", .fingerprint = "SHA256:1", .len = 3, .blob = "one" };
	struct rig *r = *state;
	struct store *s = r->p.store;
	const int64_t now = clock_wall(), id = r->web1.id;
	struct target_row t, active, due;
	struct look_due looks[4];

	assert_int_equal(store_target_begin(s, id, "dba", "old", &first, now - 100), 0);
	assert_int_equal(store_target_active(s, id, "dba", &active), 1);
	assert_int_equal(store_target_used(s, active.id, now - 50), 0);
	assert_int_equal(store_target_want(s, id, "dba", now), 1);
	assert_int_equal(store_target_due(s, now, 0, &due), 1);
	assert_int_equal(store_target_failed(s, due.id, "no", now + 10), 0);
	step_us = -(int64_t)HOUR * US;
	clock_tick(&r->p);
	assert_int_equal(store_target_active(s, id, "dba", &t), 1);
	assert_true(t.made == now - 100 - HOUR && t.used == now - 50 - HOUR);
	assert_int_equal(store_target_due(s, now - HOUR + 10, 0, &t), 1);
	/* a host that was never looked at, since it was added; then since the look */
	assert_int_equal(store_looks_due(s, now - HOUR + 5, looks, 4), 1);
	assert_int_equal(looks[0].host_id, id);
	assert_int_equal(store_look(s, id, &(struct host_look){ .at = clock_wall(), .result = "ok", .login = "dba", .line = "" }), 0);
	step_us -= (int64_t)HOUR * US;
	clock_tick(&r->p);
	assert_int_equal(store_looks_due(s, now - 2 * HOUR + 5, looks, 4), 1);
}

/* A code for a device lives no longer, a device counts as used when it was, and a network that is new now makes the oldest one forgotten, not itself. */
static void nothing_of_a_person_lives_longer(void **state)
{
	static const uint8_t hash[INVITE_HASH_LEN] = { 1 };
	struct rig *r = *state;
	struct store *s = r->p.store;
	const int64_t now = clock_wall(), id = r->alice.id;
	struct totp before, t;
	char network[32];
	struct familiar f;
	json_t *rows;

	assert_int_equal(store_invite_set(s, id, hash, now + 100), 0);
	assert_int_equal(store_device_used(s, 1, "192.0.2.1", now), 0);
	for (int i = 0; i < STORE_NETWORKS_MAX; i++) {
		snprintf(network, sizeof(network), "10.%d.0.0/16", i);
		assert_int_equal(store_familiar_note(s, id, 1, network, "", now - 10, &f), 0);
	}
	assert_int_equal(store_totp(s, id, &before), 1);
	assert_int_equal(otp_restored(s, now), 0);
	step_us = -(int64_t)HOUR * US;
	clock_tick(&r->p);
	assert_int_equal(store_totp(s, id, &t), 1);
	assert_int_equal(t.last_counter, before.last_counter); /* no hour without a code after a restore by the clock that was ahead */
	for (int again = 0; again < 2; again++) {
		assert_int_equal(store_familiar_note(s, id, 1, "192.0.2.0/24", "", now - HOUR + again, &f), 0);
		assert_true(f.new_network == (again == 0));
	}
	assert_int_equal(store_invite_spend(s, id, hash, now - HOUR + 100), 0);
	assert_int_equal(store_invite_spend(s, id, hash, now - HOUR + 99), 1);
	rows = store_list(s, LIST_DEVICES, &(struct list_ask){ .user_id = id, .limit = 1, .now = now });
	assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 0), "used")), now - HOUR);
	json_decref(rows);
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_hour_back_makes_no_grant_longer), T(an_hour_forward_and_back_makes_no_grant_longer), T(a_leap_second_makes_no_grant_longer),
		T(a_clock_that_was_set_back_before_the_start), T(a_step_is_not_forgotten_when_the_store_fails),
		T(nothing_that_is_due_comes_later), T(nothing_of_a_person_lives_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
