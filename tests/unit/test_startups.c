/*
 * test_startups.c - who may connect now: early drop, limits of a source, penalties, a table that does not grow.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "config.c"
#include "config_check.c"
#include "config_value.c"
#include "startups.c"

static struct startups s;
static struct config *conf;
static struct startups_key key;

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage ss = { 0 };

	ss.ss_family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	assert_int_equal(inet_pton(ss.ss_family, text, ss.ss_family == AF_INET ?
	    (void *)&((struct sockaddr_in *)&ss)->sin_addr : (void *)&((struct sockaddr_in6 *)&ss)->sin6_addr), 1);
	return ss;
}

static enum startups_verdict enter(const char *text, uint64_t now, uint32_t random)
{
	struct sockaddr_storage ss = address(text);

	return startups_enter(&s, conf, (struct sockaddr *)&ss, now, random, &key);
}

static uint64_t offend(const char *text, enum startups_offence offence, uint64_t now)
{
	struct sockaddr_storage ss = address(text);
	struct startups_key k = startups_key(conf, (struct sockaddr *)&ss);

	return startups_penalize(&s, conf, &k, offence, now).ms;
}

static bool welcome(const char *text, uint64_t now, struct startups_hold *hold)
{
	struct sockaddr_storage ss = address(text);
	struct startups_key k = startups_key(conf, (struct sockaddr *)&ss);

	return startups_welcome(&s, &k, now, hold);
}

static unsigned held;

static void count_held(void *arg, const struct startups_key *k, const struct startups_hold *hold)
{
	(void)arg, (void)k;
	assert_true(hold->ms > 0);
	held++;
}

static unsigned nheld(uint64_t now, unsigned most)
{
	held = 0;
	startups_each_held(&s, now, most, count_held, NULL);
	return held;
}

/* A stranger who shares the address of somebody who logged in slows it, and no more. */
static void test_a_known_source_is_rationed(void **state)
{
	const char *const from = "192.0.2.9";
	struct sockaddr_storage ss = address(from);
	struct startups_key k = startups_key(conf, (struct sockaddr *)&ss);
	struct startups_hold hold;
	uint64_t now = 1000;
	unsigned n = 0;

	(void)state;
	assert_false(welcome(from, now, &hold));
	assert_int_equal(offend(from, OFFENCE_CRASH, now), 0);
	assert_int_equal(nheld(now, 10), 0);
	hold = startups_block(&s, &k, 10 * STARTUPS_GOOD_MS, 12, now);
	assert_true(hold.ms == 10 * STARTUPS_GOOD_MS && hold.names == 12 && hold.rationed);
	for (; enter(from, now, 0) == STARTUPS_OK; n++)
		startups_leave(&s, &key);
	assert_int_equal(n, STARTUPS_RATION_BURST);
	assert_int_equal(enter(from, now + STARTUPS_RATION_MS - 1, 0), STARTUPS_PENALTY);
	assert_int_equal(enter(from, now + STARTUPS_RATION_MS, 0), STARTUPS_OK);
	startups_leave(&s, &key);
	assert_int_equal(enter(from, now + STARTUPS_RATION_MS, 0), STARTUPS_PENALTY);
	/* nobody came from there for a day */
	now += STARTUPS_GOOD_MS;
	assert_int_equal(nheld(now, 10), 1);
	assert_int_equal(enter(from, now, 0), STARTUPS_PENALTY);
	assert_true(welcome(from, now, &hold));
	assert_true(hold.ms == 9 * STARTUPS_GOOD_MS && hold.names == 12 && hold.rationed);
	assert_false(welcome(from, now, &hold));
	assert_int_equal(enter(from, now, 0), STARTUPS_OK);
	startups_leave(&s, &key);
	/* and it is remembered without penalties, too, for that day */
	startups_free(&s, &k, 32);
	assert_int_equal(s.used, 1);
	assert_int_equal(enter(from, now + STARTUPS_GOOD_MS, 0), STARTUPS_OK);
	startups_leave(&s, &key);
	assert_int_equal(s.used, 0);
}

/* What a source is under, and what a login makes of it: of penalties nothing, of a block a ration. */
static void test_what_a_source_is_under(void **state)
{
	struct startups_key net;
	struct startups_hold hold;
	unsigned bits;

	(void)state;
	assert_true(offend("192.0.2.1", OFFENCE_CRASH, 1000) > 0);
	assert_true(welcome("192.0.2.1", 2000, &hold));
	assert_int_equal(hold.ms, 0);
	assert_int_equal(offend("192.0.2.1", OFFENCE_CRASH, 3000), 0);
	assert_int_equal(startups_net_parse("192.0.2.2/32", &net, &bits), 0);
	hold = startups_block(&s, &net, 5000, 10, 1000);
	assert_true(hold.ms == 5000 && hold.names == 10 && !hold.rationed);
	assert_true(welcome("192.0.2.2", 2000, &hold));
	assert_true(hold.ms == 4000 && hold.names == 10 && hold.rationed);
	assert_int_equal(nheld(2000, 10), 1);
	/* when it is over, penalties are penalties again */
	assert_int_equal(offend("192.0.2.2", OFFENCE_CRASH, 6000), 0);
	assert_int_equal(nheld(6000, 10), 0);
}

static void test_block_and_free(void **state)
{
	struct startups_key net;
	unsigned bits;
	char text[64];

	(void)state;
	assert_int_equal(startups_net_parse("192.0.2.7/32", &net, &bits), 0);
	assert_int_equal(startups_block(&s, &net, 3600000, 10, 1000).ms, 3600000); /* longer than penalty_max */
	assert_string_equal(startups_net_format(conf, &net, text, sizeof(text)), "192.0.2.7/32");
	assert_int_equal(enter("192.0.2.7", 1000 + 3599999, 0), STARTUPS_PENALTY);
	assert_int_equal(enter("192.0.2.8", 1000, 0), STARTUPS_OK);
	startups_leave(&s, &key);
	offend("192.0.2.7", OFFENCE_AUTH, 2000); /* an offence does not shorten it */
	assert_int_equal(enter("192.0.2.7", 1000 + 3599999, 0), STARTUPS_PENALTY);
	assert_int_equal(startups_net_parse("2001:db8::/64", &net, &bits), 0);
	startups_block(&s, &net, 5000, 10, 1000);
	assert_int_equal(enter("2001:db8::77", 5999, 0), STARTUPS_PENALTY);
	assert_int_equal(nheld(2000, 10), 2);
	assert_int_equal(nheld(2000, 1), 1);
	assert_int_equal(nheld(6000, 10), 1);
	assert_int_equal(startups_net_parse("192.0.0.0/16", &net, &bits), 0);
	startups_free(&s, &net, bits);
	assert_int_equal(enter("192.0.2.7", 2000, 0), STARTUPS_OK);
	startups_leave(&s, &key);
	assert_int_equal(enter("2001:db8::77", 2000, 0), STARTUPS_PENALTY);
	assert_int_equal(startups_net_parse("::/0", &net, &bits), 0);
	startups_free(&s, &net, bits);
	assert_int_equal(enter("2001:db8::77", 2000, 0), STARTUPS_OK);
	for (const char *const *bad = (const char *const[]){ "", "x", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/-1", "::/129", "1.2.3", NULL };
	    *bad != NULL; bad++)
		if (strcmp(*bad, "1.2.3.4/") != 0)
			assert_int_equal(startups_net_parse(*bad, &net, &bits), -1);
}

static int set_up(void **state)
{
	(void)state;
	conf = config_defaults();
	return conf != NULL ? startups_init(&s, 1) : -1;
}

static int tear_down(void **state)
{
	(void)state;
	startups_finish(&s);
	config_destroy(conf);
	return 0;
}

static void add_network(struct config_nets *list, const char *text)
{
	char why[CONFIG_WHY_MAX];

	assert_int_equal(add_net(list, text, why), 0);
}

static void test_networks(void **state)
{
	(void)state;
	add_network(&conf->allow_networks, "10.0.0.0/8");
	assert_int_equal(enter("10.1.2.3", 0, 99), STARTUPS_OK);
	assert_int_equal(enter("::ffff:10.1.2.3", 0, 99), STARTUPS_OK);
	assert_int_equal(enter("192.0.2.1", 0, 99), STARTUPS_NETWORK);
	assert_int_equal(enter("2001:db8::1", 0, 99), STARTUPS_NETWORK);
	assert_int_equal(s.waiting, 2);
	assert_int_equal(s.used, 1); /* both are one source */
}

static void test_early_drop(void **state)
{
	char text[32];

	(void)state;
	conf->max_startups = (struct config_startups){ 10, 30, 20 };
	conf->per_source_max = 0;
	for (int i = 0; i < 10; i++)
		assert_int_equal(enter("192.0.2.1", 0, 0), STARTUPS_OK);
	assert_int_equal(enter("192.0.2.1", 0, 29), STARTUPS_FULL);
	assert_int_equal(enter("192.0.2.1", 0, 30), STARTUPS_OK);
	/* 11 waiting: 30 + 70 / 10 */
	assert_int_equal(enter("192.0.2.1", 0, 36), STARTUPS_FULL);
	assert_int_equal(enter("192.0.2.1", 0, 37), STARTUPS_OK);
	for (int i = 12; i < 20; i++) {
		snprintf(text, sizeof(text), "192.0.2.%d", i);
		assert_int_equal(enter(text, 0, 99), STARTUPS_OK);
	}
	assert_int_equal(enter("192.0.2.99", 0, 99), STARTUPS_FULL);
	startups_leave(&s, &(struct startups_key){ 4, { 192, 0, 2, 12 } });
	assert_int_equal(enter("192.0.2.99", 0, 99), STARTUPS_OK);
}

static void test_share_of_drops(void **state)
{
	const struct config_startups max = { 10, 30, 100 };
	unsigned dropped = 0;

	(void)state;
	for (uint32_t i = 0; i < 10000; i++)
		dropped += drops(&max, 55, i * 2654435761U);
	/* 30 + 70 * 45 / 90 = 65 % */
	assert_in_range(dropped, 6200, 6800);
}

static void test_per_source(void **state)
{
	struct startups_key first;

	(void)state;
	conf->per_source_max = 2;
	assert_int_equal(enter("2001:db8::1", 0, 0), STARTUPS_OK);
	first = key;
	assert_int_equal(enter("2001:db8::2", 0, 0), STARTUPS_OK);
	assert_int_equal(enter("2001:db8::3", 0, 0), STARTUPS_SOURCE);
	assert_int_equal(enter("2001:db8:0:1::3", 0, 0), STARTUPS_OK); /* another /64 */
	startups_leave(&s, &first);
	assert_int_equal(enter("2001:db8::3", 0, 0), STARTUPS_OK);
	for (int i = 0; i < 9; i++)
		startups_leave(&s, &first);
	assert_int_equal(s.waiting, 1);
	assert_int_equal(s.used, 1);
}

static void test_penalties(void **state)
{
	uint64_t ms;

	(void)state;
	/* 5 s each, enforced from 15 s on */
	assert_int_equal(offend("192.0.2.1", OFFENCE_AUTH, 1000), 0);
	assert_int_equal(offend("192.0.2.1", OFFENCE_AUTH, 1000), 0);
	assert_int_equal(enter("192.0.2.1", 1000, 0), STARTUPS_OK);
	assert_int_equal(offend("192.0.2.1", OFFENCE_AUTH, 1000), 15000);
	assert_int_equal(enter("192.0.2.1", 1001, 0), STARTUPS_PENALTY);
	assert_int_equal(enter("192.0.2.2", 1001, 0), STARTUPS_OK);
	/* once enforced, to the end */
	assert_int_equal(enter("192.0.2.1", 15999, 0), STARTUPS_PENALTY);
	assert_int_equal(enter("192.0.2.1", 16000, 0), STARTUPS_OK);
	/* who was let in before goes on offending: it is told how long that is now, each time */
	ms = offend("192.0.2.3", OFFENCE_CRASH, 1000);
	assert_true(ms > 15000);
	assert_int_equal(offend("192.0.2.3", OFFENCE_AUTH, 2000), ms + 4000);
	assert_int_equal(enter("192.0.2.3", 2000, 0), STARTUPS_PENALTY);
}

static void test_penalties_are_capped(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		offend("192.0.2.1", OFFENCE_CRASH, 0);
	assert_int_equal(enter("192.0.2.1", 599999, 0), STARTUPS_PENALTY);
	assert_int_equal(enter("192.0.2.1", 600000, 0), STARTUPS_OK);
}

static void test_exempt(void **state)
{
	(void)state;
	add_network(&conf->penalty_exempt, "192.0.2.0/24");
	offend("192.0.2.1", OFFENCE_CRASH, 0);
	offend("198.51.100.1", OFFENCE_CRASH, 0);
	assert_int_equal(enter("192.0.2.1", 1, 0), STARTUPS_OK);
	assert_int_equal(enter("198.51.100.1", 1, 0), STARTUPS_PENALTY);
}

static void test_switched_off(void **state)
{
	(void)state;
	conf->penalty_auth = 0;
	offend("192.0.2.1", OFFENCE_AUTH, 0);
	assert_int_equal(s.used, 0);
	startups_penalize(&s, conf, &(struct startups_key){ 0 }, OFFENCE_CRASH, 0);
	assert_int_equal(s.used, 0);
}

/* Far more sources than the table holds: it never grows, and the worst offender is not forgotten for the mild ones near. */
static void test_table_is_bounded(void **state)
{
	struct startups_key k = { .family = 6 };
	uint32_t chained = 0;

	(void)state;
	conf->per_source_max = 1;
	assert_int_equal(enter("192.0.2.7", 0, 0), STARTUPS_OK);
	for (uint32_t i = 0; i < 3 * STARTUPS_SOURCES; i++) {
		memcpy(k.addr, &i, sizeof(i));
		startups_penalize(&s, conf, &k, OFFENCE_NOAUTH, i / 100);
	}
	assert_int_equal(s.used, STARTUPS_SOURCES);
	for (uint32_t b = 0; b < BUCKETS; b++)
		for (uint32_t i = s.buckets[b]; i != 0; i = s.sources[i - 1].next)
			chained++;
	assert_int_equal(chained, s.used);
	/* a waiting connection keeps its node */
	assert_int_equal(enter("192.0.2.7", 0, 0), STARTUPS_SOURCE);
	while (s.used > 0)
		for (uint32_t i = 0; i < STARTUPS_SOURCES; i++)
			if (s.sources[i].key.family != 0)
				forget(&s, &s.sources[i]);
	for (uint32_t b = 0; b < BUCKETS; b++)
		assert_int_equal(s.buckets[b], 0);
}

static void test_many_waiting_sources(void **state)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	unsigned in = 0;

	(void)state;
	conf->max_startups = (struct config_startups){ 2 * STARTUPS_SOURCES, 1, 3 * STARTUPS_SOURCES };
	for (uint32_t i = 0; i < STARTUPS_SOURCES + 100; i++) {
		memcpy(in6.sin6_addr.s6_addr, &i, sizeof(i));
		in += startups_enter(&s, conf, (struct sockaddr *)&in6, 0, 99, &key) == STARTUPS_OK;
	}
	assert_int_equal(in, STARTUPS_SOURCES);
	assert_int_equal(s.waiting, STARTUPS_SOURCES);
}

static void test_texts(void **state)
{
	(void)state;
	for (int v = STARTUPS_OK; v <= STARTUPS_PENALTY; v++)
		assert_non_null(startups_verdict_text((enum startups_verdict)v));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_block_and_free), T(test_what_a_source_is_under), T(test_a_known_source_is_rationed), T(test_networks), T(test_early_drop), T(test_share_of_drops), T(test_per_source), T(test_penalties),
		T(test_penalties_are_capped), T(test_exempt), T(test_switched_off), T(test_table_is_bounded),
		T(test_many_waiting_sources), T(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
