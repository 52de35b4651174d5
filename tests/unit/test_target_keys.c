/*
 * test_target_keys.c - managed keys that rotate: what is sealed for one place opens in no other, and the rows allow no order of steps
 * but the one that keeps the host reachable. tests/system/test_key_rotation.py has a real sshd.
 */
#include "store_rig.h"

#include <string.h>

#include "keys_seal.h"
#include "sshkey.h"
#include "store_target_key.h"

static struct store *s;
static struct host web;
static struct host_key first, second;

static void make_host(void)
{
	memset(&web, 0, sizeof(web));
	web.port = 22;
	web.method = LOGIN_MANAGED;
	strcpy(web.name, "legacy");
	strcpy(web.address, "10.0.0.9");
	strcpy(web.logins, "dba");
	strcpy(web.managed_key, "old");
	assert_int_equal(store_host_add(s, &web, 1), 0);
	first = (struct host_key){ .type = "ssh-ed25519", .fingerprint = "SHA256:1", .len = 3, .blob = "one" };
	second = (struct host_key){ .type = "ssh-ed25519", .fingerprint = "SHA256:2", .len = 3, .blob = "two" };
}

static int up(void **state)
{
	(void)state;
	rig_open();
	s = rig.s;
	return 0;
}

static int down(void **state)
{
	(void)state;
	rig_close();
	return 0;
}

static struct target_row due(int64_t now)
{
	struct target_row t;

	assert_int_equal(store_target_due(s, now, 0, &t), 1);
	return t;
}

static void one_step_after_the_other(void **state)
{
	static const uint8_t sealed[TARGET_SEALED_LEN] = { 1, 2, 3 };
	struct target_row t, active;

	(void)state;
	make_host();
	assert_int_equal(store_target_want(s, web.id, "dba", 10), 0); /* nothing that would log in meanwhile */
	assert_int_equal(store_target_begin(s, web.id, "dba", "old", &first, 10), 0);
	assert_int_equal(store_target_begin(s, web.id, "dba", "other", &second, 11), 0); /* there is one */
	assert_int_equal(store_target_active(s, web.id, "dba", &active), 1);
	assert_string_equal(active.managed, "old");
	assert_int_equal(active.generation, 0);
	assert_int_equal(store_target_due(s, 100, 0, &t), 0);
	assert_int_equal(store_target_coming(s, web.id, "dba"), 0);
	assert_int_equal(store_target_want(s, web.id, "dba", 20), 1);
	assert_int_equal(store_target_coming(s, web.id, "dba"), 1);
	assert_int_equal(store_target_coming(s, web.id, "app"), 0);
	assert_int_equal(store_target_want(s, web.id, "dba", 21), 0); /* one at a time */
	t = due(20);
	assert_int_equal(t.step, STEP_MAKE);
	assert_int_equal(t.generation, 1);
	assert_int_equal(store_target_installed(s, t.id, 22), 0);
	assert_int_equal(store_target_switch(s, &t, 22), 0);
	assert_int_equal(store_target_made(s, t.id, &second, sealed, 22), 1);
	assert_int_equal(store_target_made(s, t.id, &first, sealed, 22), 0); /* the second answer is nobody's */
	t = due(22);
	assert_int_equal(t.step, STEP_INSTALL);
	assert_int_equal(store_target_switch(s, &t, 22), 0); /* never before it is at the host */
	assert_int_equal(store_target_active(s, web.id, "dba", &active), 1);
	assert_int_equal(active.generation, 0);
	assert_int_equal(store_target_failed(s, t.id, "no", 50), 0);
	assert_int_equal(store_target_due(s, 49, 0, &t), 0);
	assert_int_equal(store_target_hurry(s, web.id, "dba", 30), 0);
	t = due(30);
	assert_int_equal(t.tries, 1);
	assert_int_equal(store_target_installed(s, t.id, 31), 1);
	t = due(31);
	assert_int_equal(t.step, STEP_VERIFY);
	assert_int_equal(store_target_switch(s, &t, 32), 1);
	assert_int_equal(store_target_active(s, web.id, "dba", &active), 1);
	assert_int_equal(active.generation, 1);
	assert_int_equal(active.sealed_len, TARGET_SEALED_LEN);
	assert_memory_equal(active.sealed, sealed, sizeof(sealed));
	t = due(32);
	assert_int_equal(t.step, STEP_REMOVE);
	assert_int_equal(t.generation, 0);
	assert_int_equal(store_target_gone(s, t.id), 0); /* not before it was taken away */
	assert_int_equal(store_target_removed(s, t.id, 33), 1);
	t = due(33);
	assert_int_equal(t.step, STEP_CHECK);
	assert_int_equal(store_target_again(s, t.id, "it still works", 40), 0);
	t = due(40);
	assert_int_equal(t.step, STEP_REMOVE);
	assert_int_equal(store_target_removed(s, t.id, 41), 1);
	assert_int_equal(store_target_gone(s, t.id), 1);
	assert_int_equal(store_target_due(s, 1000, 0, &t), 0);
	/* the next one counts on, and a host that is gone has nothing due */
	assert_int_equal(store_target_want(s, web.id, "dba", 50), 1);
	t = due(50);
	assert_int_equal(t.generation, 2);
	assert_int_equal(store_host_remove(s, web.id, 60), 0);
	assert_int_equal(store_target_due(s, 1000, 0, &t), 0);
}

/* The words for it, and what they leave in the row. */
static void an_age_for_one_host(void **state)
{
	static const struct { const char *age; int64_t days; } right[] = { { "30d", 30 }, { "never", 0 }, { "default", -1 }, { "3650d", 3650 } };
	static const char *const wrong[] = { "0d", "3651d", "30", "-1d", "30d ", "d", "00030d" };
	struct host old;
	char text[160];

	(void)state;
	OK("root", "{\"word\":\"host add\",\"args\":{\"host\":\"old\",\"address\":\"h\",\"key\":\"" KEY_B "\",\"login\":\"x\",\"managed_key\":\"legacy\",\"rotate\":\"never\"}}");
	assert_int_equal(store_host_by_name(rig.s, "old", &old), 1);
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		int64_t days = -1;

		snprintf(text, sizeof(text), "{\"word\":\"host change\",\"args\":{\"host\":\"old\",\"rotate\":\"%s\"}}", right[i].age);
		OK("root", text);
		assert_int_equal(store_host_rotate(rig.s, old.id, &days), right[i].days >= 0);
		assert_int_equal(days, right[i].days);
		assert_int_equal(store_hosts_rotate(rig.s), right[i].days > 0);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(text, sizeof(text), "{\"word\":\"host change\",\"args\":{\"host\":\"old\",\"rotate\":\"%s\"}}", wrong[i]);
		NO("root", "usage", text);
	}
	/* where the bastion logs in with certificates no key stays */
	NO("root", "usage", "{\"word\":\"host change\",\"args\":{\"host\":\"web1\",\"rotate\":\"30d\"}}");
}

static void sealed_for_one_place(void **state)
{
	struct keys k = { 0 };
	struct keys_place at = { .host_id = 7, .generation = 3, .login = "dba" }, other;
	struct buf public, sealed, blob;
	const char *why;
	EVP_PKEY *key;

	(void)state;
	buf_init(&public, SSHKEY_BLOB_MAX);
	buf_init(&sealed, 256);
	assert_non_null(keys_make(&k, &at, &public, &sealed)); /* without keys/target.key */
	buf_reset(&public);
	buf_reset(&sealed);
	assert_int_equal(seal_ring_add(&k.seal, "0123456789abcdef0123456789abcdef", SEAL_KEY_LEN), 0);
	assert_null(keys_make(&k, &at, &public, &sealed));
	assert_int_equal(sealed.len, KEYS_SEALED_LEN);
	assert_int_equal(sealed.len, TARGET_SEALED_LEN);
	assert_non_null(key = keys_unseal(&k, &at, sealed.data, sealed.len, &why));
	buf_init(&blob, SSHKEY_BLOB_MAX);
	assert_int_equal(sshkey_blob(key, &blob), 0);
	assert_int_equal(blob.len, public.len);
	assert_memory_equal(blob.data, public.data, blob.len);
	EVP_PKEY_free(key);
	buf_finish(&blob);
#define NOT(change) do { other = at; change; assert_null(keys_unseal(&k, &other, sealed.data, sealed.len, &why)); assert_non_null(why); } while (0)
	NOT(other.host_id = 8);
	NOT(other.generation = 2);
	NOT(strcpy(other.login, "app"));
	for (size_t i = 0; i < sealed.len; i++) {
		sealed.data[i] ^= 1;
		NOT((void)0);
		sealed.data[i] ^= 1;
	}
#undef NOT
	assert_null(keys_unseal(&k, &at, sealed.data, sealed.len - 1, &why));
	assert_null(keys_unseal(&k, &at, sealed.data, 0, &why));
	explicit_bzero(&k, sizeof(k));
	assert_null(keys_unseal(&k, &at, sealed.data, sealed.len, &why));
	buf_finish(&public);
	buf_finish(&sealed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_step_after_the_other, up, down),
		cmocka_unit_test_setup_teardown(an_age_for_one_host, setup_world, down),
		cmocka_unit_test(sealed_for_one_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
