/*
 * test_replay_missing.c - `bastion-replay verify --all` of a store that lives on while it is verified: what is removed in its time between
 * its verdict and the end is no failure, and what is taken away then is one.
 *
 * WRAP: brec_verify_dir
 */
#include "replay_store.h"

#include <fcntl.h>

#include "clock.h"
#include "tlog_act.h"
#include "tlog_writer.h"

#define RECORDINGS 3
#define DAY_US 86400000000LL

/* What is known of a recording: for its leaves, and for what removes it. */
struct made {
	char id[33];
	struct tlog_act removal;
	uint8_t close[TLOG_CLOSE_FRAME_MAX];
};

static struct sign_key *bastion, *collector;
static struct tlog_writer writer;
static struct made made[RECORDINGS];
static enum { STAYS, PRUNED, TAKEN } then;	/* what becomes of the recording that was judged first */

enum brec_verdict __real_brec_verify_dir(const char *dir, const struct brec_trust *trust, struct brec_report *out);
enum brec_verdict __wrap_brec_verify_dir(const char *dir, const struct brec_trust *trust, struct brec_report *out);

static void add_leaf(const void *leaf, size_t len)
{
	assert_int_equal(tlog_writer_add(&writer, writer.size, leaf, len), 0);
}

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
		    tlog_writer_publish(&writer, clock_wall_us() / 1000000) != 0))
			abort();
		snprintf(command, sizeof(command), "rm -r %s", dir);
		if (system(command) != 0)
			abort();
		then = STAYS;
	}
	return v;
}

/* A recording of one segment, its leaves, and what its prune leaf will be. */
static void make(struct made *m)
{
	struct fixture *x = fx_open_signed(false, false, bastion);
	struct tlog_leaf leaf = { .type = TLOG_OPEN, .reason = "" };
	char path[2048], why[] = "the user left";
	uint8_t *data, bytes[TLOG_LEAF_MAX];
	struct brec_header h;
	struct brec_frame f;
	size_t len, at;

	event(x, 0, BREC_META, BREC_K_META, "{\"user\":\"alice\"}");
	memcpy(leaf.id, x->id, BREC_ID_LEN);
	m->removal = (struct tlog_act){ .type = TLOG_PRUNE, .wall_us = FIXTURE_WALL + (TLOG_PRUNE_DAYS + 1) * DAY_US, .days = TLOG_PRUNE_DAYS,
		.who = SPAN("retention", 9), .why = SPAN("its time", 8) };
	memcpy(m->removal.id, x->id, BREC_ID_LEN);
	keep(x, m->id);
	snprintf(path, sizeof(path), "%s/recordings/2025-11-22/%s/00000000.brec", store, m->id);
	data = fx_read(path, &len);
	assert_int_equal(brec_header_decode(data, len, &h), 0);
	assert_int_equal(brec_chain_start(leaf.h, data, h.len), 0);
	assert_int_equal(sha256_spans(leaf.file_hash, SPANS(SPAN(data, h.len))), 0);
	add_leaf(bytes, tlog_leaf_encode(bytes, &leaf));
	for (at = h.len; at < len; at += f.len) {
		assert_int_equal(brec_frame_decode(data + at, len - at, &f), 0);
		assert_int_equal(brec_chain_add(leaf.h, data + at, f.len), 0);
		leaf.seq = f.seq;
		memcpy(m->close, data + at, f.len < sizeof(m->close) ? f.len : 0);
		m->removal.close = SPAN(m->close, f.len);
	}
	leaf.type = TLOG_CLOSE;
	leaf.end = BREC_END_NORMAL;
	leaf.reason = why;
	leaf.reason_len = strlen(why);
	assert_int_equal(sha256_spans(leaf.file_hash, SPANS(SPAN(data, len))), 0);
	memcpy(m->removal.file_hash, leaf.file_hash, HASH_LEN);
	add_leaf(bytes, tlog_leaf_encode(bytes, &leaf));
	free(data);
}

static int setup(void **state)
{
	char path[128], key[BASE64_SIZE(KEY_LEN)];
	uint8_t pub[KEY_LEN];

	(void)state;
	store_make();
	bastion = sign_key_generate();
	collector = sign_key_generate();
	sign_key_public(collector, pub);
	snprintf(path, sizeof(path), "collector c1 %s\n", base64_encode(key, pub, KEY_LEN));
	append(path_trust, path);
	snprintf(path, sizeof(path), "%s/log", store);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(tlog_writer_open(&writer, open(path, O_RDONLY | O_DIRECTORY), collector, "test"), 0);
	for (size_t i = 0; i < RECORDINGS; i++)
		make(&made[i]);
	return tlog_writer_publish(&writer, FIXTURE_WALL / 1000000);
}

static int teardown(void **state)
{
	(void)state;
	then = STAYS;
	tlog_writer_finish(&writer);
	sign_key_destroy(bastion);
	sign_key_destroy(collector);
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

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_a_store_that_rests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_in_its_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_away, setup, teardown) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
