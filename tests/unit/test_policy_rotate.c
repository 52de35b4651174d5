/*
 * test_policy_rotate.c - managed keys that are due, all at once: policy begins a few at a time, and what fails keeps no other place from its turn.
 */
#include "policy_rig_grant.h"
#include "policy_rotate.h"

#define HOSTS 20
#define AT_ONCE 8	/* each is two flushes of the disk, for which pings and revocations wait */

static int64_t ids[HOSTS];

static void add_host(struct rig *r, const char *name, const char *key, int64_t *id)
{
	struct host h = { .port = 22, .method = LOGIN_MANAGED };

	snprintf(h.name, sizeof(h.name), "%s", name);
	strcpy(h.address, "192.0.2.7");
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

#define T(f) cmocka_unit_test_setup_teardown(f, up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = { T(a_few_at_a_time), T(what_is_used_keeps_its_key) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
