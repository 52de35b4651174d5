/*
 * test_refusals.c - the buckets that bound how many refusals become events: nobody's flood costs another user anything but,
 * past the table, a share; every refusal is either an event or counted, whatever the clock does.
 */
#include "store_rig.h"

#include "refusals.h"

static unsigned take_many(struct refusals *r, int64_t id, int64_t now, unsigned n)
{
	unsigned taken = 0;

	while (n-- > 0)
		taken += refusals_take(r, id, now);
	return taken;
}

static void test_burst_and_refill(void **state)
{
	struct refusals r = { 0 };

	(void)state;
	assert_int_equal(take_many(&r, 7, NOW, 1000), REFUSALS_BURST);
	assert_true(refusals_over(&r, 7, NOW));
	assert_false(refusals_over(&r, 8, NOW));
	assert_int_equal(take_many(&r, 8, NOW, 1000), REFUSALS_BURST);
	assert_false(refusals_over(&r, 7, NOW + REFUSALS_EVERY));
	assert_int_equal(take_many(&r, 7, NOW + 10 * REFUSALS_EVERY, 1000), 10);
	assert_int_equal(take_many(&r, 7, NOW + 100000, 1000), REFUSALS_BURST);
}

static void test_what_was_left_out_is_told(void **state)
{
	struct refusals r = { 0 };
	struct refusals_user *u;

	(void)state;
	assert_true(refusals_next(&r) == FOREVER);
	take_many(&r, 7, NOW, REFUSALS_BURST);
	assert_true(refusals_next(&r) == FOREVER);
	take_many(&r, 7, NOW + 1, 5);
	refusals_count(&r, 7, NOW + 2);
	assert_int_equal(refusals_next(&r), NOW + 1 + REFUSALS_TELL);
	assert_null(refusals_due(&r, NOW + REFUSALS_TELL));
	assert_non_null(u = refusals_due(&r, NOW + 1 + REFUSALS_TELL));
	assert_int_equal(u->id, 7);
	assert_int_equal(u->left_out, 6);
	assert_int_equal(u->since, NOW + 1);
	refusals_told(u);
	assert_null(refusals_due(&r, FOREVER));
	assert_true(refusals_next(&r) == FOREVER);
}

/* More users than buckets: the late ones share one, none is lost, and a bucket that is full again is given away. */
static void test_more_users_than_buckets(void **state)
{
	struct refusals r = { 0 };
	unsigned taken = 0, counted = 0;
	struct refusals_user *u;

	(void)state;
	for (int64_t id = 1; id <= REFUSALS_USERS; id++)
		assert_int_equal(take_many(&r, id, NOW, REFUSALS_BURST + 1), REFUSALS_BURST);
	for (int64_t id = REFUSALS_USERS + 1; id <= REFUSALS_USERS + 300; id++)
		taken += refusals_take(&r, id, NOW);
	assert_int_equal(taken, REFUSALS_BURST);
	while ((u = refusals_due(&r, FOREVER)) != NULL) {
		counted += (unsigned)u->left_out;
		refusals_told(u);
	}
	assert_int_equal(counted, REFUSALS_USERS + 300 - REFUSALS_BURST);
	assert_int_equal(take_many(&r, 5000, NOW + REFUSALS_BURST * REFUSALS_EVERY, 1000), REFUSALS_BURST);
	assert_int_equal(take_many(&r, 5001, NOW + REFUSALS_BURST * REFUSALS_EVERY, 1000), REFUSALS_BURST);
}

/* Whatever the order of users and times: taken and counted make up all, and no bucket gives more than its rate. */
static void test_any_clock(void **state)
{
	struct refusals r = { 0 };
	uint64_t taken = 0, counted = 0;
	struct refusals_user *u;

	(void)state;
	srand(1);
	for (int i = 0; i < 200000; i++)
		taken += refusals_take(&r, rand() % 400 + 1, NOW + rand() % 100 - 50);
	for (int i = 0; (u = refusals_due(&r, FOREVER)) != NULL; i++) {
		assert_true(i <= REFUSALS_USERS);
		counted += u->left_out;
		refusals_told(u);
	}
	assert_int_equal(taken + counted, 200000);
}

/* The number of rows of this kind, and the sum of what they count. */
static int count_left_out(void *arg, const struct event_row *e, const uint8_t *hash, size_t len)
{
	int *sum = arg;
	const char *n;

	(void)hash, (void)len;
	if (strcmp(e->kind, "refusals.left-out") == 0 && (n = strstr(e->detail, "\"left_out\":")) != NULL) {
		sum[0]++;
		sum[1] += atoi(n + 11);
	}
	sum[2] += strcmp(e->kind, "word.refused") == 0;
	return 0;
}

/* 10,000 refusals are few rows, say how many they were, and end when the user lets it be. */
static void refusals_are_bounded(void **state)
{
	int sum[3] = { 0 };

	(void)state;
	OK("bob", "{\"word\":\"hosts\"}");
	for (int i = 0; i < 10000; i++) {
		NO("alice", i < REFUSALS_BURST / 2 ? "not_found" : "refused", "{\"word\":\"revoke\",\"args\":{\"id\":999999}}");
		NO("alice", i < REFUSALS_BURST / 2 ? "usage" : "refused", "{}");
	}
	assert_non_null(strstr(field("error"), "Too many of your words"));
	NO("alice", "refused", "{\"word\":\"hosts\"}");
	OK("bob", "{\"word\":\"hosts\"}");
	assert_int_equal(control_tick(&rig.c, rig.now), NOW + REFUSALS_TELL);
	rig.now += REFUSALS_TELL;
	assert_true(control_tick(&rig.c, rig.now) > rig.now);
	OK("alice", "{\"word\":\"hosts\"}");
	assert_int_equal(store_event_each(rig.s, 0, count_left_out, sum), 0);
	assert_int_equal(sum[0], 1);
	assert_int_equal(sum[1] + REFUSALS_BURST, 20001);
	assert_true(sum[2] <= REFUSALS_BURST);
	/* root is never turned away, but its rows are bounded, too */
	for (int i = 0; i < 2 * REFUSALS_BURST; i++)
		NO("root", "not_found", "{\"word\":\"revoke\",\"args\":{\"id\":999999}}");
	control_finish(&rig.c);
	memset(sum, 0, sizeof(sum));
	assert_int_equal(store_event_each(rig.s, 0, count_left_out, sum), 0);
	assert_int_equal(sum[0], 2);
	assert_true(sum[2] <= 2 * REFUSALS_BURST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_burst_and_refill), cmocka_unit_test(test_what_was_left_out_is_told),
		cmocka_unit_test(test_more_users_than_buckets), cmocka_unit_test(test_any_clock),
		cmocka_unit_test_setup_teardown(refusals_are_bounded, setup_world, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
