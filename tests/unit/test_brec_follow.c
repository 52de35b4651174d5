/*
 * test_brec_follow.c - a growing recording is taken frame by frame; what was changed, cut or put in its place is not.
 */
#include "brec_fixture.h"

#include "brec_follow.h"

struct grown {
	struct fixture *x;
	char dir[64];		/* a copy that grows */
	struct brec_trust trust;
	struct brec_follow f;
	uint8_t *data[2];	/* of the two segments */
	size_t len[2];
};

static void copy_name(const struct grown *g, unsigned segment, char out[128])
{
	snprintf(out, 128, "%s/%08u.brec", g->dir, segment);
}

static void slurp(struct grown *g, unsigned segment)
{
	char name[128];
	FILE *f;

	fx_name(g->x, segment, name);
	assert_non_null(f = fopen(name, "rb"));
	g->data[segment] = malloc(4 << 20);
	g->len[segment] = fread(g->data[segment], 1, 4 << 20, f);
	fclose(f);
}

/* The copy has so many bytes of a segment now. */
static void put(const struct grown *g, unsigned segment, size_t from, size_t to)
{
	char name[128];
	FILE *f;

	copy_name(g, segment, name);
	assert_non_null(f = fopen(name, from == 0 ? "wb" : "ab"));
	assert_int_equal(fwrite(g->data[segment] + from, 1, to - from, f), to - from);
	fclose(f);
}

/* A closed recording of two segments, and an empty copy of it. */
static int begin(void **state)
{
	struct grown *g = calloc(1, sizeof(*g));
	struct fixture *x = g->x = fx_open(false, false);

	for (int i = 0; i < 6; i++) {
		x->now += 2000000;
		assert_true(brec_writer_event(x->w, BREC_OUTPUT, BREC_K_OUT, x->now, 1, "some output", 11) != 0);
		assert_true(brec_writer_tick(x->w, x->now) >= 0);
		if (i == 2) {
			x->now += 61000000;
			assert_true(brec_writer_tick(x->w, x->now) >= 0);
		}
	}
	assert_int_equal(brec_writer_close(x->w, x->now, BREC_END_NORMAL, ""), 0);
	fx_done(x);
	assert_int_equal(x->segment, 1);
	slurp(g, 0);
	slurp(g, 1);
	strcpy(g->dir, "/tmp/bastiond-grow-XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	g->trust = (struct brec_trust){ .signers = (const uint8_t (*)[KEY_LEN])x->pub, .nsigners = 1 };
	assert_int_equal(brec_follow_open(&g->f, g->dir, &g->trust), 0);
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct grown *g = *state;
	char name[128];

	brec_follow_close(&g->f);
	for (unsigned i = 0; i < 3; i++) {
		copy_name(g, i, name);
		unlink(name);
	}
	rmdir(g->dir);
	free(g->data[0]);
	free(g->data[1]);
	fx_destroy(g->x);
	free(g);
	return 0;
}

static void expect_wrong(struct grown *g, const char *what)
{
	assert_int_equal(brec_follow_step(&g->f), -1);
	if (strstr(g->f.reason, what) == NULL)
		fail_msg("'%s' is not in '%s'", what, g->f.reason);
	/* and stays so */
	assert_int_equal(brec_follow_step(&g->f), -1);
}

static void every_byte_that_comes(void **state)
{
	struct grown *g = *state;
	uint64_t last = 0;

	assert_int_equal(brec_follow_step(&g->f), 0);
	for (unsigned s = 0; s < 2; s++)
		for (size_t i = 0; i < g->len[s]; i++) {
			put(g, s, i, i + 1);
			assert_true(brec_follow_step(&g->f) >= 0);
			assert_true(g->f.last_seq >= last && g->f.last_seq <= last + 1);
			assert_true(g->f.signed_seq <= g->f.last_seq);
			last = g->f.last_seq;
		}
	assert_true(g->f.closed);
	assert_int_equal(g->f.last_seq, g->x->seq);
	assert_int_equal(g->f.signed_seq, g->x->seq);
	assert_memory_equal(g->f.h, g->x->h, sizeof(g->f.h));
}

static void every_byte_that_is_changed(void **state)
{
	struct grown *g = *state;

	for (unsigned s = 0; s < 2; s++)
		for (size_t i = 0; i < g->len[s]; i += s == 0 ? 3 : 17) {
			/* a changed length only makes a frame that never comes: nothing is believed of it */
			brec_follow_close(&g->f);
			assert_int_equal(brec_follow_open(&g->f, g->dir, &g->trust), 0);
			g->data[s][i] ^= 0x10;
			put(g, 0, 0, g->len[0]);
			put(g, 1, 0, g->len[1]);
			assert_true(brec_follow_step(&g->f) < 0 || !g->f.closed);
			g->data[s][i] ^= 0x10;
		}
}

static void what_is_cut_or_removed(void **state)
{
	struct grown *g = *state;
	char name[128];

	put(g, 0, 0, g->len[0] - 50);
	assert_int_equal(brec_follow_step(&g->f), 1);
	assert_int_equal(brec_follow_step(&g->f), 0);
	copy_name(g, 0, name);
	assert_int_equal(truncate(name, (off_t)g->len[0] / 2), 0);
	expect_wrong(g, "cut: only");
	brec_follow_close(&g->f);
	assert_int_equal(brec_follow_open(&g->f, g->dir, &g->trust), 0);
	assert_int_equal(brec_follow_step(&g->f), 1);
	unlink(name);
	expect_wrong(g, "removed or replaced");
}

static void a_segment_without_its_seal(void **state)
{
	struct grown *g = *state;

	put(g, 0, 0, g->len[0] - 1);
	assert_int_equal(brec_follow_step(&g->f), 1);
	put(g, 1, 0, g->len[1]);
	expect_wrong(g, "without its seal");
}

static void a_segment_that_is_missing(void **state)
{
	struct grown *g = *state;
	char name[128], other[128];

	put(g, 0, 0, g->len[0]);
	put(g, 1, 0, g->len[1]);
	copy_name(g, 1, name);
	copy_name(g, 2, other);
	assert_int_equal(rename(name, other), 0);
	expect_wrong(g, "segment 1 is missing");
}

static void another_signer(void **state)
{
	struct grown *g = *state;
	uint8_t other[KEY_LEN] = { 1 };

	g->trust.signers = (const uint8_t (*)[KEY_LEN])other;
	put(g, 0, 0, g->len[0]);
	expect_wrong(g, "not among the given keys");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_byte_that_comes, begin, end),
		cmocka_unit_test_setup_teardown(every_byte_that_is_changed, begin, end),
		cmocka_unit_test_setup_teardown(what_is_cut_or_removed, begin, end),
		cmocka_unit_test_setup_teardown(a_segment_without_its_seal, begin, end),
		cmocka_unit_test_setup_teardown(a_segment_that_is_missing, begin, end),
		cmocka_unit_test_setup_teardown(another_signer, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
