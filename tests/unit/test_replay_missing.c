/*
 * test_replay_missing.c - `bastion-replay verify --all` of a store that lives on while it is verified: what is removed in its time between
 * its verdict and the end is no failure, and what is taken away then is one. And `list` of one with a recording in the making: it asks the log
 * once, and only if there is need.
 *
 * WRAP: brec_verify_dir tlog_read
 */
#include "replay_log.h"

#include "clock.h"

#define RECORDINGS 3

static struct sign_key *bastion;
static struct made made[RECORDINGS];
static enum { STAYS, PRUNED, TAKEN } then;	/* what becomes of the recording that was judged first */

enum brec_verdict __real_brec_verify_dir(const char *dir, const struct brec_trust *trust, struct brec_report *out);
enum brec_verdict __wrap_brec_verify_dir(const char *dir, const struct brec_trust *trust, struct brec_report *out);

/* The verdict; and then, of the first one, what befalls it: the leaf, the checkpoint over it, the files, as a collector does it. */
enum brec_verdict __wrap_brec_verify_dir(const char *dir, const struct brec_trust *trust, struct brec_report *out)
{
	const enum brec_verdict v = __real_brec_verify_dir(dir, trust, out);
	uint8_t leaf[TLOG_ACT_MAX];
	char command[256];

	for (size_t i = 0; i < RECORDINGS && then != STAYS; i++) {
		if (strcmp(strrchr(dir, '/') + 1, made[i].id) != 0)
			continue;
		/* this is the command's process: there is no test to fail in */
		if (then == PRUNED && (tlog_writer_add(&writer, writer.size, leaf, tlog_act_encode(leaf, &made[i].removal)) != 0 ||
		    log_publish(clock_wall_us()) != 0))
			abort();
		snprintf(command, sizeof(command), "rm -r %s", dir);
		if (system(command) != 0)
			abort();
		then = STAYS;
	}
	return v;
}

void __real_tlog_read(struct tlog_log *log, const char *dir, const uint8_t (*keys)[KEY_LEN], size_t nkeys);
void __wrap_tlog_read(struct tlog_log *log, const char *dir, const uint8_t (*keys)[KEY_LEN], size_t nkeys);

/* Says so where the test reads what the command said. */
void __wrap_tlog_read(struct tlog_log *log, const char *dir, const uint8_t (*keys)[KEY_LEN], size_t nkeys)
{
	fputs("<log>", stderr);
	__real_tlog_read(log, dir, keys, nkeys);
}

static void make(struct made *m)
{
	struct fixture *x = fx_open_signed(false, false, bastion);

	event(x, 0, BREC_META, BREC_K_META, "{\"user\":\"alice\",\"caps\":[\"shell\",\"exec\"]}");
	keep(x, m->id);
	log_add(m);
}

static int setup(void **state)
{
	(void)state;
	store_make();
	bastion = sign_key_generate();
	log_make();
	for (size_t i = 0; i < RECORDINGS; i++)
		make(&made[i]);
	return log_publish(FIXTURE_WALL);
}

static int teardown(void **state)
{
	(void)state;
	then = STAYS;
	log_drop();
	sign_key_destroy(bastion);
	return store_drop();
}

static int verify(char out[65536])
{
	char line[256];

	snprintf(line, sizeof(line), "bastion-replay verify --all --store %s --trust %s", store, path_trust);
	return run(out, line);
}

static void test_a_store_that_rests(void **state)
{
	char out[65536];

	(void)state;
	assert_int_equal(verify(out), EXIT_OK);
	assert_non_null(strstr(out, "3 recordings, 3 complete\n"));
}

/* Retention goes on while a long run is at work. */
static void test_removed_in_its_time(void **state)
{
	char out[65536];

	(void)state;
	then = PRUNED;
	assert_int_equal(verify(out), EXIT_OK);
	assert_non_null(strstr(out, "3 recordings, 3 complete\n"));
	assert_null(strstr(out, "missing"));
	/* and afterwards it is missing, and may be */
	then = STAYS;
	assert_int_equal(verify(out), EXIT_OK);
	assert_non_null(strstr(out, "3 recordings, 2 complete, 1 pruned\n"));
}

static void test_taken_away(void **state)
{
	char out[65536];

	(void)state;
	then = TAKEN;
	assert_int_equal(verify(out), EXIT_VERDICT);
	assert_non_null(strstr(out, "the whole recording is missing"));
	then = STAYS;
	assert_int_equal(verify(out), EXIT_VERDICT);
	assert_non_null(strstr(out, "3 recordings, 2 complete\n"));
}

static void list(char out[65536], const char *more)
{
	char line[384];

	snprintf(line, sizeof(line), "bastion-replay list --store %s --trust %s --key %s %s", store, path_trust, path_identity, more);
	assert_int_equal(run(out, line), EXIT_OK);
}

/* The line of that recording has these words. */
static bool line_has(const char *out, const char *id, const char *words)
{
	const char *line = strstr(out, id), *at;

	assert_non_null(line);
	at = strstr(line, words);
	return at != NULL && at < line + strcspn(line, "\n");
}

/* A recording of a connection that nobody used: what it was allowed to do is no answer, nor is what cannot be read. */
static void test_list_of_the_unused(void **state)
{
	char out[65536], path[256];
	uint8_t *data;
	size_t len;

	(void)state;
	snprintf(path, sizeof(path), "%s/recordings/2025-11-22/%s/00000000.brec", store, made[1].id);
	data = fx_read(path, &len);
	data[len - 1] ^= 1;
	fx_write(path, data, len);
	free(data);
	list(out, "--json");
	assert_true(line_has(out, made[0].id, "\"capability\":\"none\""));
	assert_true(line_has(out, made[1].id, "\"capability\":null"));
	list(out, "");
	assert_non_null(strstr(out, " none "));
	assert_null(strstr(out, "shell"));
}

/* One without an end that opened then, and what the log has of it; sealed: with a leaf for frames that are not here. */
static void make_open(struct made *m, int64_t wall_us, bool sealed)
{
	struct tlog_leaf leaf;
	struct brec_header h;
	struct fixture *x;
	uint8_t bytes[TLOG_LEAF_MAX];
	size_t len;

	fx_begin = (uint64_t)(wall_us - FIXTURE_WALL);
	x = fx_open_signed(false, false, bastion);
	fx_begin = FIXTURE_BEGIN;
	event(x, 0, BREC_META, BREC_K_META, "{\"user\":\"alice\"}");
	keep_as_is(store, x, m->id, true);
	free(log_open(m, &leaf, &h, &len));
	if (!sealed)
		return;
	leaf.type = TLOG_SEAL;
	leaf.seq = 1000;
	log_leaf(bytes, tlog_leaf_encode(bytes, &leaf));
}

static size_t times_read(const char *out)
{
	size_t n = 0;

	for (; (out = strstr(out, "<log>")) != NULL; out++)
		n++;
	return n;
}

static void test_list_asks_the_log(void **state)
{
	struct made now = { .removal.days = 0 }, old = now, cut = now;
	char out[65536];

	(void)state;
	list(out, "--json");
	assert_true(line_has(out, made[0].id, "\"verdict\":\"complete\""));
	assert_int_equal(times_read(out), 0);
	make_open(&now, clock_wall_us(), false);
	make_open(&old, FIXTURE_WALL + FIXTURE_BEGIN, false);
	make_open(&cut, clock_wall_us(), true);
	assert_int_equal(log_publish(FIXTURE_WALL), 0);
	list(out, "--json");
	assert_true(line_has(out, made[0].id, "\"verdict\":\"complete\""));
	assert_true(line_has(out, now.id, "\"verdict\":\"open\""));
	assert_true(line_has(out, old.id, "\"verdict\":\"abandoned\""));
	assert_true(line_has(out, cut.id, "\"verdict\":\"cut\""));
	assert_int_equal(times_read(out), 1);
	/* not for one that is not shown */
	list(out, "--json --user bob");
	assert_int_equal(times_read(out), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_a_store_that_rests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_in_its_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list_of_the_unused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list_asks_the_log, setup, teardown) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
