/*
 * test_policy_rotate.c - managed keys that are due, all at once: policy begins a few at a time, and what fails keeps no other place from its turn.
 */
#include "policy_rig_grant.h"
#include "policy_rotate.h"
#include "store_clock.h"
#include "store_hostkey.h"

#define HOSTS 20
#define AT_ONCE 8	/* each is two flushes of the disk, for which pings and revocations wait */

static int64_t ids[HOSTS];

static void add_host(struct rig *r, const char *name, const char *key, int64_t *id)
{
	struct host h = { .port = 22, .method = LOGIN_MANAGED };

	snprintf(h.name, sizeof(h.name), "%s", name);
	snprintf(h.address, sizeof(h.address), "%s.internal", name);
	strcpy(h.logins, "dba");
	snprintf(h.managed_key, sizeof(h.managed_key), "%s", key);
	assert_int_equal(store_host_add(r->p.store, &h, clock_wall()), 0);
	*id = h.id;
}

static int up(void **state)
{
	struct rig *r;
	int64_t broken;

	rig_up(state);
	r = *state;
	assert_non_null(r->p.key_names[r->p.nkey_lines] = strdup("appliance"));
	assert_non_null(r->p.key_lines[r->p.nkey_lines] =
	    strdup("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB5wN+aWNNkFOdGPYdVqzDNOFmsZbGwD6MFwGSl3bqIj appliance"));
	r->p.nkey_lines++;
	for (int i = 0; i < AT_ONCE + 1; i++) {
		char name[16];

		snprintf(name, sizeof(name), "a%02d", i); /* before the others, by name */
		add_host(r, name, "absent", &broken);
	}
	for (int i = 0; i < HOSTS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "m%02d", i);
		add_host(r, name, "appliance", &ids[i]);
	}
	r->conf->key_rotate = 1;
	return 0;
}

static int coming(struct rig *r)
{
	int n = 0;

	for (int i = 0; i < HOSTS; i++)
		n += store_target_coming(r->p.store, ids[i], "dba") == 1;
	return n;
}

static void a_few_at_a_time(void **state)
{
	struct rig *r = *state;
	uint64_t now = clock_mono_ms();
	int before = 0;

	while (before < HOSTS) {
		int n;

		rotate_tick(&r->p, now);
		n = coming(r);
		assert_true(n > before && n <= before + AT_ONCE);
		before = n;
		now += 1000;
	}
	rotate_tick(&r->p, now);
	assert_int_equal(coming(r), HOSTS);
}

static void what_is_used_keeps_its_key(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct host h;

	r->conf->key_rotate = 0;
	r->conf->key_rotate_after_use = true;
	assert_int_equal(store_host_remove(r->p.store, r->web1.id, clock_wall()), 0);
	assert_int_equal(store_host(r->p.store, ids[0], &h), 1);
	r->web1 = h;
	rig_grant(r, r->p.store, &r->alice, 3600);
	login_alice(r, &s, 0);
	way_ask(&s, 1, h.name, "dba");
	rig_turn(r);
	for (uint64_t now = clock_mono_ms(), end = now + 10000; now < end; now += 1000)
		rotate_tick(&r->p, now);
	assert_int_equal(coming(r), HOSTS - 1);
	assert_int_equal(store_target_coming(r->p.store, ids[0], "dba"), 0);
	session_over(r, &s, 0);
}

/* A host's own age counts, and not the configuration's; never is never, also after use. */
static void an_age_of_its_own(void **state)
{
	struct rig *r = *state;

	r->conf->key_rotate = 0;
	assert_int_equal(store_host_rotate_set(r->p.store, ids[3], 30), 0);
	rotate_tick(&r->p, clock_mono_ms());
	assert_int_equal(coming(r), 1);
	assert_int_equal(store_target_coming(r->p.store, ids[3], "dba"), 1);
	for (int i = 0; i < HOSTS; i++)
		assert_int_equal(store_host_rotate_set(r->p.store, ids[i], 0), 0);
	r->conf->key_rotate = 1;
	r->conf->key_rotate_after_use = true;
	rotate_tick(&r->p, clock_mono_ms() + 120000);
	assert_int_equal(coming(r), 1);
	assert_int_equal(store_host_rotate_set(r->p.store, ids[5], -1), 0);
	rotate_tick(&r->p, clock_mono_ms() + 240000);
	assert_int_equal(coming(r), 2);
	assert_int_equal(store_target_coming(r->p.store, ids[5], "dba"), 1);
}

/* --- one machine under two names --- */

static struct host host_of(struct rig *r, int64_t id)
{
	struct host h;

	assert_int_equal(store_host(r->p.store, id, &h), 1);
	return h;
}

static struct target_row row_of(struct rig *r, int64_t host_id, enum target_step step)
{
	struct target_row t = { .id = 0 };

	while (store_target_due(r->p.store, INT64_MAX, t.id, &t) == 1)
		if (t.host_id == host_id && t.step == step)
			return t;
	fail_msg("no row of host %lld is at step %d", (long long)host_id, (int)step);
	return t;
}

/* Its new key is there, and in use; the old one waits for its removal. */
static void switch_key(struct rig *r, int64_t host_id, char fill)
{
	static const uint8_t sealed[TARGET_SEALED_LEN] = { 1 };
	struct host_key k = { .type = "ssh-ed25519", .len = 51 };
	struct target_row t = row_of(r, host_id, STEP_MAKE);

	memcpy(k.blob, WRONG_KEY, k.len);
	memset(k.blob + 19, fill, 32);
	assert_int_equal(key_fingerprint(k.blob, k.len, k.fingerprint), 0);
	assert_int_equal(store_target_made(r->p.store, t.id, &k, sealed, clock_wall()), 1);
	assert_int_equal(store_target_installed(r->p.store, t.id, clock_wall()), 1);
	assert_int_equal(store_target_switch(r->p.store, &t, clock_wall()), 1);
}

/* Does a task begin at a host? */
static bool removing(struct rig *r)
{
	struct ipc_msg m;
	bool found = false;

	rotate_tick(&r->p, clock_mono_ms());
	rig_turn(r);
	while (ipc_wait(&r->parent, &m, 0) == 1) {
		char address[256];

		assert_int_equal(m.type, MSG_RUN_TARGET);
		buf_get_cstring(&m.body, address, sizeof(address));
		found = true;
		ipc_msg_finish(&m);
	}
	return found;
}

static void two_names(struct rig *r, int64_t two[2], const char *second, uint16_t port)
{
	struct host h = { .port = port, .method = LOGIN_MANAGED };

	r->conf->key_rotate = 0;
	assert_int_equal(store_host_remove(r->p.store, r->web1.id, clock_wall()), 0);
	two[0] = ids[0];
	strcpy(h.name, "second");
	snprintf(h.address, sizeof(h.address), "%s", second);
	strcpy(h.logins, "app dba");
	strcpy(h.managed_key, "appliance");
	assert_int_equal(store_host_add(r->p.store, &h, clock_wall()), 0);
	two[1] = h.id;
}

/* Both rotate, and the key that they began with goes when neither logs in with it. */
static void keep_each_other(struct rig *r, const int64_t two[2])
{
	struct host h = host_of(r, two[1]);
	struct target_row t;
	char line[256];

	assert_int_equal(rotate_want(&r->p, &h, "dba", line, sizeof(line)), 1);
	assert_string_equal(line, "m00");
	assert_int_equal(coming(r), 1);
	switch_key(r, two[0], 'a');
	assert_int_equal(store_target_failed(r->p.store, row_of(r, two[1], STEP_MAKE).id, "no", clock_wall() + 1000), 0);
	assert_false(removing(r));
	t = row_of(r, two[0], STEP_REMOVE);
	assert_true(t.next > clock_wall() && t.tries == 0);
	assert_int_equal(store_target_hurry(r->p.store, two[0], "dba", clock_wall()), 0);
	switch_key(r, two[1], 'b');
	assert_true(removing(r));
}

static void two_names_of_an_address_rotate_together(void **state)
{
	struct rig *r = *state;
	int64_t two[2];

	two_names(r, two, "M00.Internal", 22);
	keep_each_other(r, two);
}

static void two_names_with_a_host_key_rotate_together(void **state)
{
	struct host_key pin = { .type = "ssh-ed25519", .fingerprint = "SHA256:same", .len = 51 };
	struct rig *r = *state;
	int64_t two[2];

	two_names(r, two, "192.0.2.77", 2222);
	memcpy(pin.blob, WRONG_KEY, pin.len);
	assert_int_equal(store_host_key_add(r->p.store, two[0], &pin), 0);
	/* it is enough that the other one announced and proved it */
	assert_int_equal(store_announced_add(r->p.store, two[1], &pin, clock_wall()), 1);
	keep_each_other(r, two);
}

/* A name whose key cannot be read may log in with that key again tomorrow. */
static void a_missing_key_file_keeps_the_key(void **state)
{
	char line[256];
	struct rig *r = *state;
	struct host h = host_of(r, ids[0]);
	const size_t known = r->p.nkey_lines;
	int64_t two[2];

	assert_int_equal(rotate_want(&r->p, &h, "dba", line, sizeof(line)), 1);
	switch_key(r, ids[0], 'a');
	two_names(r, two, "m00.internal", 22);
	for (size_t lines = known + 1; lines-- > 0;) {
		r->p.nkey_lines = lines;
		assert_false(removing(r));
		assert_int_equal(store_target_hurry(r->p.store, two[0], "dba", clock_wall()), 0);
	}
	r->p.nkey_lines = known;
	assert_int_equal(store_host_remove(r->p.store, two[1], clock_wall()), 0);
	assert_true(removing(r));
}

static void another_port_is_another_machine(void **state)
{
	char line[256];
	struct rig *r = *state;
	struct host h;
	int64_t two[2];

	two_names(r, two, "m00.internal", 2222);
	h = host_of(r, two[1]);
	assert_int_equal(rotate_want(&r->p, &h, "dba", line, sizeof(line)), 1);
	assert_string_equal(line, "");
	assert_int_equal(coming(r), 0);
}

/* --- who was lent which key --- */

/* alice has been lent the key that is in use now, and logs in with it. */
static void lent(struct rig *r, struct session_end *s, uint32_t id, const char *host)
{
	struct ipc_msg m;

	way_ask(s, id, host, "dba");
	assert_int_equal(r->web1.id, ids[0]);
	dial_ok(r);
	expect(r, &r->keys, MSG_LEND_KEY, &m);
	keys_say(r, MSG_LEND_KEY_RE, &m, true, "BLOB");
	expect(r, &s->link, MSG_WAY_OK, &m);
	ipc_msg_finish(&m);
}

/* A removal waits for who was lent the old key and has not logged in yet; not for who comes after, of whom there may always be one. */
static void a_busy_host_loses_its_old_key(void **state)
{
	struct host_key pin = { .type = "ssh-ed25519", .fingerprint = "SHA256:host", .len = 51 };
	struct rig *r = *state;
	struct session_end s;
	struct host h;
	char line[256];

	r->conf->key_rotate = 0;
	assert_int_equal(store_host_remove(r->p.store, r->web1.id, clock_wall()), 0);
	r->web1 = h = host_of(r, ids[0]);
	memcpy(pin.blob, WRONG_KEY, pin.len);
	assert_int_equal(store_host_key_add(r->p.store, h.id, &pin), 0);
	rig_grant(r, r->p.store, &r->alice, 3600);
	login_alice(r, &s, 0);
	lent(r, &s, 1, h.name); /* it has the old one, and is slow */
	assert_int_equal(rotate_want(&r->p, &h, "dba", line, sizeof(line)), 1);
	switch_key(r, h.id, 'a');
	lent(r, &s, 2, h.name);
	assert_false(removing(r));
	/* and it is in: all that log in now were lent the new one */
	assert_int_equal(ipc_send_empty(&s.link, MSG_WAY_UP, 1), 0);
	rig_turn(r);
	assert_true(removing(r));
	session_over(r, &s, 0);
}

/* Sessions that overlap without end keep a key for an hour, and no longer. */
static void always_in_use(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct target_row t;
	struct host h;
	char line[256];
	struct host_key pin = { .type = "ssh-ed25519", .fingerprint = "SHA256:host", .len = 51 };

	r->conf->key_rotate = 0;
	r->conf->key_rotate_after_use = true;
	assert_int_equal(store_host_remove(r->p.store, r->web1.id, clock_wall()), 0);
	r->web1 = h = host_of(r, ids[0]);
	memcpy(pin.blob, WRONG_KEY, pin.len);
	assert_int_equal(store_host_key_add(r->p.store, h.id, &pin), 0);
	rig_grant(r, r->p.store, &r->alice, 3600);
	assert_int_equal(rotate_want(&r->p, &h, "dba", line, sizeof(line)), 1);
	switch_key(r, h.id, 'a');
	login_alice(r, &s, 0);
	lent(r, &s, 1, h.name);
	for (uint64_t now = clock_mono_ms(), end = now + 10000; now < end; now += 1000)
		rotate_tick(&r->p, now);
	assert_int_equal(store_target_coming(r->p.store, h.id, "dba"), 0);
	assert_int_equal(store_target_active(r->p.store, h.id, "dba", &t), 1);
	assert_int_equal(store_clock_back(r->p.store, clock_wall(), 3600), 1); /* as if it were an hour older */
	rotate_tick(&r->p, clock_mono_ms() + 120000);
	assert_int_equal(store_target_coming(r->p.store, h.id, "dba"), 1);
	session_over(r, &s, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_few_at_a_time), T(an_age_of_its_own), T(what_is_used_keeps_its_key), T(two_names_of_an_address_rotate_together),
		T(two_names_with_a_host_key_rotate_together), T(a_missing_key_file_keeps_the_key), T(another_port_is_another_machine),
		T(a_busy_host_loses_its_old_key), T(always_in_use),
	};


	return cmocka_run_group_tests(tests, NULL, NULL);
}
