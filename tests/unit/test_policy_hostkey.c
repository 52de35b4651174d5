/*
 * test_policy_hostkey.c - what a host says of its keys, time after time: what is news, what has gone, what is refused, and that there are more than
 * are kept. tests/system/test_host_keys_announced.py has a real sshd.
 */
#include "policy_rig_login.h"

#include "policy_hostkey.h"
#include "store_hostkey.h"

static const uint8_t ANNOUNCED[] = "\0\0\0\x0bssh-ed25519\0\0\0\x20" "fresh-fresh-fresh-fresh-fresh-fr";

static void fresh_key(uint8_t blob[51], char c)
{
	memcpy(blob, ANNOUNCED, 51);
	memset(blob + 19, c, 32);
}

/* The host has announced fresh keys a, b, ... of this text, `more` that are not told, and its pinned one or not. */
static void host_says(struct rig *r, const char *fresh, uint32_t more, bool pinned)
{
	static struct task_key keys[TASK_KEYS_MAX], gone;
	struct task_result res = { .met = true, .announced = true, .fresh = keys, .nfresh = strlen(fresh), .more = more, .gone = &gone, .ngone = !pinned,
		.out = "", .line = "" };

	assert_true(res.nfresh <= TASK_KEYS_MAX);
	for (size_t i = 0; i < res.nfresh; i++) {
		fresh_key(keys[i].blob, fresh[i]);
		keys[i].len = 51;
	}
	memcpy(gone.blob, WRONG_KEY, sizeof(WRONG_KEY) - 1);
	gone.len = sizeof(WRONG_KEY) - 1;
	hostkey_learn(&r->p, &r->web1, &res);
}

static json_t *key_rows(struct rig *r, const char *state)
{
	json_t *rows = store_host_key_list(r->p.store, r->web1.id), *some = json_array();

	for (size_t i = 0; i < json_array_size(rows); i++)
		if (strcmp(json_string_value(json_object_get(json_array_get(rows, i), "state")), state) == 0)
			json_array_append(some, json_array_get(rows, i));
	json_decref(rows);
	return some;
}

static size_t keys_of(struct rig *r, const char *state)
{
	json_t *rows = key_rows(r, state);
	const size_t n = json_array_size(rows);

	json_decref(rows);
	return n;
}

static json_int_t gone_since(struct rig *r)
{
	json_t *rows = key_rows(r, "pinned");
	const json_int_t since = json_integer_value(json_object_get(json_array_get(rows, 0), "gone"));

	json_decref(rows);
	return since;
}

/* The pin has the fingerprint of its blob, as it has outside of tests. */
static void right_pin(struct rig *r, char fingerprint[STORE_FPR_MAX + 1])
{
	struct host_key pin = { .type = "ssh-ed25519", .len = 51 };

	memcpy(pin.blob, WRONG_KEY, pin.len);
	assert_int_equal(key_fingerprint(pin.blob, pin.len, pin.fingerprint), 0);
	strcpy(fingerprint, pin.fingerprint);
	assert_int_equal(store_host_key_add(r->p.store, r->web1.id, &pin), 0);
	assert_int_equal(store_host_key_drop(r->p.store, r->web1.id, "SHA256:host", 1), 1);
	assert_int_equal(store_announced_drop(r->p.store, r->web1.id, "SHA256:host"), 0);
}

static void more_than_are_kept_is_said_once(void **state)
{
	struct rig *r = *state;

	host_says(r, "abcdefghijklmnop", 3, true);
	assert_int_equal(keys_of(r, "announced"), 16);
	assert_int_equal(events_of(r, "hostkey.many"), 1);
	host_says(r, "abcdefghijklmnop", 3, true);
	assert_int_equal(events_of(r, "hostkey.many"), 1);
	host_says(r, "abcdefghijklmnop", 4, true);
	assert_int_equal(events_of(r, "hostkey.many"), 2);
	host_says(r, "qrstuvwxyzabcdef", 1, true); /* a list that was cut takes nothing back: no room for ten of these, and for the one */
	assert_int_equal(events_of(r, "hostkey.many"), 3);
	assert_int_equal(events_of(r, "hostkey.withdrawn"), 0);
	host_says(r, "ab", 0, true);
	assert_int_equal(events_of(r, "hostkey.many"), 3);
	assert_int_equal(events_of(r, "hostkey.withdrawn"), 14);
	assert_int_equal(keys_of(r, "announced"), 2);
}

static void what_is_announced_again_is_not_gone(void **state)
{
	char fingerprint[STORE_FPR_MAX + 1];
	struct rig *r = *state;
	json_int_t since;

	right_pin(r, fingerprint);
	host_says(r, "a", 0, false);
	assert_true((since = gone_since(r)) > 0);
	assert_int_equal(store_host_keys_asked(r->p.store, r->web1.id), 0);
	assert_int_equal(store_host_key_gone(r->p.store, r->web1.id, fingerprint, since + 100), 0);
	assert_int_equal(store_host_keys_answered(r->p.store, r->web1.id), 0);
	assert_int_equal(gone_since(r), since); /* since then, and not since the last look */
	host_says(r, "", 0, true); /* just what is pinned: neither fresh nor gone */
	assert_int_equal(gone_since(r), 0);
	assert_int_equal(keys_of(r, "announced"), 0);
}

static void a_pin_that_was_dropped_is_no_news(void **state)
{
	char fingerprint[STORE_FPR_MAX + 1];
	struct host_key other = { .type = "ssh-ed25519", .fingerprint = "SHA256:other", .len = 51 }, k;
	struct rig *r = *state;
	struct task_result res = { .met = true, .announced = true, .out = "", .line = "" };
	static struct task_key fresh;

	right_pin(r, fingerprint);
	fresh_key(other.blob, 'o');
	assert_int_equal(store_host_key_add(r->p.store, r->web1.id, &other), 0);
	assert_int_equal(store_host_key_drop(r->p.store, r->web1.id, fingerprint, clock_wall()), 1);
	fresh.len = 51;
	memcpy(fresh.blob, WRONG_KEY, 51);
	res.fresh = &fresh;
	res.nfresh = 1;
	hostkey_learn(&r->p, &r->web1, &res);
	assert_int_equal(events_of(r, "hostkey.announced"), 0);
	assert_int_equal(keys_of(r, "refused"), 1);
	/* the host gives it up, and has it again: that is news */
	res.nfresh = 0;
	hostkey_learn(&r->p, &r->web1, &res);
	assert_int_equal(keys_of(r, "refused"), 0);
	assert_int_equal(events_of(r, "hostkey.withdrawn"), 0); /* the no was said before */
	res.nfresh = 1;
	hostkey_learn(&r->p, &r->web1, &res);
	assert_int_equal(events_of(r, "hostkey.announced"), 1);
	assert_int_equal(store_announced(r->p.store, r->web1.id, fingerprint, &k), 1);
	/* a host that announces nothing says nothing */
	res.announced = false;
	res.nfresh = 0;
	hostkey_learn(&r->p, &r->web1, &res);
	assert_int_equal(keys_of(r, "announced"), 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(more_than_are_kept_is_said_once), T(what_is_announced_again_is_not_gone), T(a_pin_that_was_dropped_is_no_news),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
