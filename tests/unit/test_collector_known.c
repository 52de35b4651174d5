/*
 * test_collector_known.c - an id is known to the collector whatever day its header names, in memory, after a start and when it was pruned; and
 * a bastion's clock is bounded by its own.
 *
 * WRAP: clock_wall_us
 */
#include "collector_store.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "collector_hold.h"
#include "collector_known.h"
#include "hex.h"
#include "recorder_rig.h"

#define DAY_US 86400000000LL

static int64_t ahead_us;		/* of the bastion's clock, while it makes something */

int64_t __real_clock_wall_us(void);
int64_t __wrap_clock_wall_us(void);
int64_t __wrap_clock_wall_us(void)
{
	return __real_clock_wall_us() + ahead_us;
}

struct rig {
	struct fixture f;		/* the recorder */
	struct store s;
	struct sign_key *key;
	char dir[64], hex[2 * BREC_ID_LEN + 1], why[WIRE_TEXT_MAX];
};

static void open_it(struct rig *x)
{
	const struct store_options o = { .path = x->dir, .journal_bytes = JOURNAL_SIZE_MIN, .log_origin = "test/log", .log_key = x->key };

	assert_int_equal(store_open(&x->s, &o), 0);
}

static struct rig *start(void)
{
	struct rig *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	snprintf(x->dir, sizeof(x->dir), "/tmp/test_collector_known-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	assert_non_null(x->key = sign_key_generate());
	hex_encode(x->hex, id, BREC_ID_LEN);
	return x;
}

static int forget(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void stop(struct rig *x)
{
	assert_int_equal(store_close(&x->s), 0);
	sign_key_destroy(x->key);
	assert_int_equal(nftw(x->dir, forget, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(x);
}

/* A bastion with such a clock begins a recording of the one id. */
static void begin(struct rig *x, int64_t clock_us)
{
	ahead_us = clock_us;
	init(&x->f, 1, 1);
	ahead_us = 0;
}

/* Its entry with that sequence. */
static enum wire_err give(struct rig *x, uint64_t seq)
{
	const struct entry *e = entry(&x->f, seq);
	struct wire_msg m;
	struct rec *r;

	assert_non_null(e);
	assert_int_equal(wire_decode(&m, e->data, e->len), 0);
	return store_entry(&x->s, &m.entry, &(struct tls_pins){ 0 }, &r, x->why, sizeof(x->why));
}

static void write_out(struct rig *x)
{
	assert_int_equal(store_commit(&x->s), 0);
	assert_int_equal(store_write_out(&x->s), 0);
	store_sweep(&x->s);
}

static size_t count(struct rig *x, const char *what)
{
	char pattern[256];
	glob_t g;
	size_t n;

	snprintf(pattern, sizeof(pattern), "%s/recordings/*/%s%s", x->dir, x->hex, what);
	glob(pattern, 0, NULL, &g);
	n = g.gl_pathc;
	globfree(&g);
	return n;
}

/* The whole of it is made and forgotten. Then who signs for this collector opens the id once more, under other days. */
static void known(bool restart)
{
	static const int64_t days[] = { -3, -400, 0 };
	struct rig *x = start();
	struct rec *r;
	uint64_t leaves;

	open_it(x);
	begin(x, 0);
	assert_int_equal(queue_close(&x->f.rc, x->f.r, 1, BREC_END_NORMAL, "over"), 0);
	assert_int_equal(give(x, 0), 0);
	assert_int_equal(give(x, 1), 0);
	finish(&x->f);
	write_out(x);
	assert_null(store_lookup(&x->s, id));
	leaves = x->s.next_leaf;
	if (restart) {
		assert_int_equal(store_close(&x->s), 0);
		open_it(x);
	}
	assert_true(x->s.next_leaf == leaves);
	for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
		begin(x, days[i] * DAY_US);
		assert_int_equal(give(x, 0), WIRE_E_CONFLICT);
		finish(&x->f);
		write_out(x);
		assert_true(x->s.next_leaf == leaves);
		assert_int_equal(count(x, ""), 1);
		assert_int_equal(count(x, "/conflict-*"), i + 1);
	}
	/* who resumes it hears how it ended */
	assert_int_equal(store_find(&x->s, id, (uint64_t)(clock_wall_us() - 20 * DAY_US), &r), 0);
	assert_non_null(r);
	assert_true(r->ended && r->seq == 1);
	stop(x);
}

static void an_id_is_known_under_every_day(void **state)
{
	(void)state;
	known(false);
}

static void an_id_is_known_after_a_start(void **state)
{
	(void)state;
	known(true);
}

/* Below recordings. */
static void put_dir(struct rig *x, const char *path)
{
	char full[256];

	snprintf(full, sizeof(full), "%s/recordings%s", x->dir, path);
	assert_int_equal(mkdir(full, 0750), 0);
}

static void put_file(struct rig *x, const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s/recordings%s", x->dir, path);
	assert_non_null(f = fopen(full, "w"));
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* What was removed is not taken in again, under whatever day it comes. */
static void a_pruned_id_stays_known(void **state)
{
	struct rig *x = start();
	char path[64], text[256];

	(void)state;
	put_dir(x, "");
	put_dir(x, "/2024-02-29");
	snprintf(path, sizeof(path), "/2024-02-29/%s.pruned", x->hex);
	snprintf(text, sizeof(text), "leaf 0 seq 1 h %064d signer %064d\n", 0, 0);
	put_file(x, path, text);
	open_it(x);
	begin(x, 0);
	assert_int_equal(give(x, 0), WIRE_E_ENDED);
	finish(&x->f);
	assert_true(x->s.next_leaf == 0);
	stop(x);
}

/* A directory that lost its segments is not begun anew elsewhere. What is no day is passed over. */
static void an_empty_directory_is_known(void **state)
{
	struct rig *x = start();
	char path[256];

	(void)state;
	put_dir(x, "");
	put_dir(x, "/lost+found");
	put_dir(x, "/2024-02-30");
	put_file(x, "/2024-02-27", "");
	put_dir(x, "/2024-02-28");
	snprintf(path, sizeof(path), "/2024-02-28/%s", x->hex);
	put_dir(x, path);
	open_it(x);
	begin(x, 0);
	assert_int_equal(give(x, 0), WIRE_E_DAMAGED);
	finish(&x->f);
	snprintf(path, sizeof(path), "%s/recordings/2024-02-28/%s", x->dir, x->hex);
	assert_int_equal(rmdir(path), 0);
	begin(x, 0);
	assert_int_equal(give(x, 0), 0);
	finish(&x->f);
	stop(x);
}

/* A hold finds it without being told the day. */
static void a_hold_finds_it(void **state)
{
	struct rig *x = start();
	char text[256];

	(void)state;
	open_it(x);
	hold_set(&x->s, id, true, "root", "a reason", text, sizeof(text));
	assert_string_equal(text, "error no recording of this ID is here");
	begin(x, -5 * DAY_US);
	assert_int_equal(give(x, 0), 0);
	finish(&x->f);
	write_out(x);
	assert_null(store_lookup(&x->s, id));
	hold_set(&x->s, id, true, "root", "a reason", text, sizeof(text));
	assert_memory_equal(text, "ok ", 3);
	assert_int_equal(count(x, "/hold"), 1);
	stop(x);
}

/* A day more than our clock says may be; beyond it no recording begins, and what a later header says is not believed for the retention. */
static void a_bastions_clock_is_bounded(void **state)
{
	struct rig *x = start();
	int64_t heard;

	(void)state;
	open_it(x);
	begin(x, 2 * DAY_US);
	assert_int_equal(give(x, 0), WIRE_E_REFUSED);
	assert_non_null(strstr(x->why, "clock"));
	finish(&x->f);
	assert_true(x->s.next_leaf == 0 && x->s.pruner.heard_us == 0);
	begin(x, DAY_US - 3600000000LL);
	assert_int_equal(give(x, 0), 0);
	assert_true((heard = x->s.pruner.heard_us) > clock_wall_us());
	ahead_us = 2 * DAY_US;
	assert_int_equal(queue_seal(&x->f.rc, x->f.r, 1, x->f.part.data, x->f.part.len), 0);
	ahead_us = 0;
	assert_int_equal(give(x, 1), 0);
	assert_true(x->s.pruner.heard_us == heard);
	finish(&x->f);
	stop(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_is_known_under_every_day), cmocka_unit_test(an_id_is_known_after_a_start),
		cmocka_unit_test(a_pruned_id_stays_known), cmocka_unit_test(an_empty_directory_is_known), cmocka_unit_test(a_hold_finds_it),
		cmocka_unit_test(a_bastions_clock_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
