/*
 * test_replay_events.c - `bastion-replay events`: the recordings of sessions against the events that name them, on stores where a session
 * that was taken over wrote what it liked.
 */
#include "replay_list.h"

static void each_as_its_event_names_it(void **state)
{
	char out[65536], one[33], two[33], none[33];
	struct list l;

	(void)state;
	list_begin(&l, LOG1);
	session(one, ALICE, true);
	session(two, BOB, true);
	session(none, ALICE, false); /* nothing came of it */
	list_up(&l, one, ALICE, "");
	list_up(&l, two, BOB, "");
	list_up(&l, none, ALICE, "");
	list_end(&l);
	assert_int_equal(events(out, ""), 0);
	assert_non_null(strstr(out, "recordings of sessions: 3 held against the event that names them\n"));
	assert_non_null(strstr(out, "whole and unchanged"));
}

static void metadata_in_another_name(void **state)
{
	char out[65536], one[33];
	struct list l;

	(void)state;
	list_begin(&l, LOG1);
	session(one, BOB, true);
	list_up(&l, one, ALICE, "");
	list_end(&l);
	assert_int_equal(events(out, ""), EXIT_VERDICT);
	assert_true(blamed(out, one));
	assert_non_null(strstr(out, "its metadata are not those that event 2 names: what it says of itself cannot be believed"));
}

/* Metadata are the first event, also where they are no JSON and others follow: these are what is shown and compared. */
static void metadata_twice(void **state)
{
	struct fixture *x = fx_open_signed(false, false, bastion);
	char out[65536], one[33];
	struct list l;

	(void)state;
	list_begin(&l, LOG1);
	event(x, 0, BREC_META, BREC_K_META, "no JSON");
	event(x, 0, BREC_META, BREC_K_META, ALICE);
	event(x, 1, BREC_META, BREC_K_OPEN, "{\"capability\":\"exec\"}");
	keep(x, one);
	list_up(&l, one, ALICE, "");
	list_end(&l);
	assert_int_equal(events(out, ""), EXIT_VERDICT);
	assert_non_null(strstr(out, "its metadata are not those"));
}

/* A recording in bob's name whose maker had the event for alice's, or none, and hides it behind something. */
static void hidden(enum brec_kind kind, unsigned n, uint64_t t_us, const char *first, bool named)
{
	struct fixture *x = fx_open_signed(false, false, bastion);
	char out[65536], one[33];
	struct list l;

	list_begin(&l, LOG1);
	if (first != NULL)
		event(x, 0, BREC_META, BREC_K_META, first);
	for (unsigned i = 0; i < n; i++)
		event(x, kind == BREC_K_OPEN ? i + 1 : 0, BREC_META, kind, kind == BREC_K_OPEN ? "{\"capability\":\"exec\"}" : "x");
	x->now += t_us;
	event(x, 0, BREC_META, BREC_K_META, BOB);
	event(x, 9, BREC_META, BREC_K_FILE, "{\"op\":\"get\"}");
	event(x, 9, BREC_META, BREC_K_OPEN, "{\"capability\":\"exec\"}");
	keep(x, one);
	if (named)
		list_up(&l, one, ALICE, "");
	list_end(&l);
	assert_int_equal(events(out, ""), EXIT_VERDICT);
	assert_true(blamed(out, one));
	assert_non_null(strstr(out, named ? "its metadata are not those" : "no event says who reached what with it"));
	assert_int_equal(teardown(NULL), 0);
	assert_int_equal(setup(NULL), 0);
}

static void metadata_that_hide(void **state)
{
	(void)state;
	for (int named = 0; named < 2; named++) {
		hidden(BREC_K_NOTE, 0, 0, NULL, named);
		hidden(BREC_K_OPEN, 1, 0, NULL, named);
		hidden(BREC_K_NOTE, 300, 0, NULL, named);
		hidden(BREC_K_NOTE, 1, 1ULL << 61, NULL, named);
		hidden(BREC_K_NOTE, 0, 0, "{\"kind\":\"events\",\"user\":\"bob\"}", named);
	}
}

/* What lies behind the first event is nobody's metadata, in show and export, too. */
static void metadata_late_are_none(void **state)
{
	struct fixture *x = fx_open_signed(false, false, bastion);
	char out[65536], line[1024], one[33];

	(void)state;
	event(x, 0, BREC_META, BREC_K_NOTE, "hello");
	event(x, 0, BREC_META, BREC_K_META, BOB);
	event(x, 1, BREC_META, BREC_K_OPEN, "{\"capability\":\"exec\"}");
	keep(x, one);
	snprintf(line, sizeof(line), "bastion-replay show %s -d %s -k %s -i %s", one, store, path_trust, path_identity);
	assert_int_equal(run(out, line), EXIT_UNREADABLE);
	assert_non_null(strstr(out, "this recording does not begin with metadata"));
	assert_null(strstr(out, "bob"));
}

static void a_recording_that_no_event_names(void **state)
{
	char out[65536], one[33], two[33];
	struct list l;

	(void)state;
	list_begin(&l, LOG1);
	session(one, ALICE, true);
	session(two, ALICE, true); /* a whole one more, well signed */
	list_up(&l, one, ALICE, "");
	list_end(&l);
	assert_int_equal(events(out, ""), EXIT_VERDICT);
	assert_true(blamed(out, two));
	assert_false(blamed(out, one));
	assert_non_null(strstr(out, "no event says who reached what with it"));
}

/* Its event may be on its way. */
static void a_recording_that_is_new(void **state)
{
	char out[65536], one[33], id[33];
	struct list l;

	(void)state;
	list_begin(&l, LOG1);
	session(one, ALICE, true);
	list_event(&l, "policy.stop", "{}");
	keep(l.x, id);
	assert_int_equal(events(out, ""), 0);
	assert_non_null(strstr(out, "1 too new to have an event here"));
}

static void one_that_is_not_here(void **state)
{
	char out[65536], one[33];
	struct list l;

	(void)state;
	list_begin(&l, LOG1);
	session(one, ALICE, true);
	list_up(&l, one, ALICE, "");
	list_up(&l, "00112233445566778899aabbccddeeff", BOB, "");
	list_up(&l, "ff112233445566778899aabbccddeeff", BOB, ",\"store\":\"break-glass\""); /* in a store of its own */
	list_end(&l);
	assert_int_equal(events(out, ""), 0);
	assert_non_null(strstr(out, "event 3 names recording 00112233445566778899aabbccddeeff, which is not here"));
	assert_non_null(strstr(out, ", 1 named and not here"));
	assert_false(blamed(out, "ff112233445566778899aabbccddeeff"));
}

/* way.down says that frames of it were durable somewhere. */
static void one_that_was_taken_away(void **state)
{
	char out[65536], one[33];
	struct list l;

	(void)state;
	list_begin(&l, LOG1);
	session(one, ALICE, true);
	list_up(&l, one, ALICE, "");
	list_up(&l, "00112233445566778899aabbccddeeff", BOB, "");
	list_event(&l, "way.down", "{\"way\":1,\"frames\":7}");
	list_end(&l);
	assert_int_equal(events(out, ""), EXIT_VERDICT);
	assert_true(blamed(out, "00112233445566778899aabbccddeeff"));
	assert_non_null(strstr(out, "event 4 says that it was written"));
}

/* Two bastions, one of which was not heard of for long: the other's events say nothing about it. */
static void each_bastion_by_its_own_events(void **state)
{
	struct sign_key *other = sign_key_generate();
	struct fixture *x;
	char out[65536], one[33], two[33];
	struct list l;

	(void)state;
	list_begin(&l, LOG1);
	list_end(&l);
	x = l.x = fx_open_signed(false, false, other);
	l = (struct list){ .x = x, .at = FIRST_AT };
	event(x, 0, BREC_META, BREC_K_META, "{\"kind\":\"events\",\"log\":\"" LOG2 "\",\"bastion\":\"b2\",\"after\":{\"number\":0,\"hash\":"
	    "\"0000000000000000000000000000000000000000000000000000000000000000\"}}");
	list_event(&l, "store.init", "{}");
	keep(x, one);
	x = fx_open_signed(false, false, other);
	event(x, 0, BREC_META, BREC_K_META, ALICE);
	keep(x, two);
	assert_int_equal(events(out, ""), 0);
	assert_non_null(strstr(out, "1 too new to have an event here"));
	sign_key_destroy(other);
}

/* Events of before way.up named the metadata accuse nobody. */
static void events_without_a_hash(void **state)
{
	char out[65536], one[33], two[33], detail[128];
	struct list l;

	(void)state;
	list_begin(&l, LOG1);
	session(one, ALICE, true);
	session(two, BOB, true); /* which was never named */
	l.at += 100;
	list_event(&l, "way.up", "{\"way\":1,\"grant\":1,\"login\":\"dba\"}");
	snprintf(detail, sizeof(detail), "{\"way\":2,\"recording\":\"%s\"}", one);
	list_event(&l, "way.up", detail);
	list_end(&l);
	assert_int_equal(events(out, ""), 0);
	assert_non_null(strstr(out, "1 only named"));
	assert_non_null(strstr(out, "1 older than the events"));
}

static void an_event_without_a_recording(void **state)
{
	char out[65536];
	struct list l;

	(void)state;
	list_begin(&l, LOG1);
	list_event(&l, "way.up", "{\"recording\":\"00112233\",\"metadata\":\"00\"}");
	list_end(&l);
	assert_int_equal(events(out, ""), EXIT_VERDICT);
	assert_non_null(strstr(out, "event 2 names no recording"));
}

/* A session invents a list of events of its own, which names its recordings as it likes; its bastion signs both. */
static void a_list_that_was_invented(void **state)
{
	char out[65536], one[33];
	struct list l, other;

	(void)state;
	list_begin(&l, LOG1);
	list_end(&l);
	list_begin(&other, LOG2);
	session(one, ALICE, true);
	list_up(&other, one, ALICE, "");
	list_end(&other);
	assert_int_equal(events(out, ""), EXIT_VERDICT);
	assert_non_null(strstr(out, "the same bastion signed events of another list"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(each_as_its_event_names_it),
		TEST(metadata_in_another_name),
		TEST(metadata_twice), TEST(metadata_that_hide), TEST(metadata_late_are_none),
		TEST(a_recording_that_no_event_names),
		TEST(a_recording_that_is_new),
		TEST(one_that_is_not_here), TEST(one_that_was_taken_away), TEST(each_bastion_by_its_own_events), TEST(events_without_a_hash),
		TEST(an_event_without_a_recording),
		TEST(a_list_that_was_invented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
