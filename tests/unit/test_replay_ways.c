/*
 * test_replay_ways.c - `bastion-replay events` on stores that are in use, that lost what was old, and that several bastions send to: what is
 * honest is accused of nothing, and what was made up or taken away is not let through as that.
 *
 * WRAP: store_scan
 */
#include "replay_list.h"
#include "replay_log.h"

static char second[96], late_from[256], late_to[256];

int __real_store_scan(struct recordings *out, const char *store);
int __wrap_store_scan(struct recordings *out, const char *store);

/* A store that grows: one recording comes when all of it was looked through. */
int __wrap_store_scan(struct recordings *out, const char *of)
{
	const int r = __real_store_scan(out, of);

	if (late_from[0] != '\0' && strcmp(of, store) == 0 && rename(late_from, late_to) != 0)
		abort();
	return r;
}

static int fresh(void **state)
{
	late_from[0] = '\0';
	return setup(state);
}

/* The store of a second collector. */
static const char *second_make(void)
{
	static char more[128];

	snprintf(second, sizeof(second), "%s/second", store);
	mkdir(second, 0700);
	store_dirs(second);
	snprintf(more, sizeof(more), "--also %s", second);
	return more;
}

static void at_place(char path[256], const char *where, const char *id)
{
	snprintf(path, 256, "%s/recordings/2025-11-22/%s", where, id);
}

static void take_away(const char *id)
{
	char command[300] = "rm -r ";

	at_place(command + 6, store, id);
	assert_int_equal(system(command), 0);
}

/* --- what is not here --- */

static void begun_and_ended_meanwhile(void **state)
{
	char out[65536], one[33];
	struct list l;

	(void)state;
	for (int first = 0; first < 2; first++) {
		const char *more = second_make();

		list_begin(&l, LOG1);
		session_into(second, one, FIRST_AT, bastion, ALICE, true);
		list_up(&l, one, ALICE, "");
		list_event(&l, "way.down", "{\"way\":1,\"frames\":7}");
		list_end(&l);
		/* where nobody looks; and it comes to one of the stores that are looked at */
		at_place(late_to, second, one);
		snprintf(late_from, sizeof(late_from), "%s/later", store);
		assert_int_equal(rename(late_to, late_from), 0);
		if (first)
			at_place(late_to, store, one);
		assert_int_equal(events(out, more), EXIT_OK);
		assert_non_null(strstr(out, ", 1 that came while this looked\n"));
		assert_false(blamed(out, one));
		/* it came, and is looked at from now on */
		late_from[0] = '\0';
		assert_int_equal(events(out, more), EXIT_OK);
		assert_non_null(strstr(out, "sessions: 1 held against the event that names them\n"));
		/* and is missed where it is not */
		if (first)
			take_away(one);
		assert_int_equal(events(out, ""), EXIT_VERDICT);
		assert_true(blamed(out, one));
		assert_int_equal(teardown(NULL), 0);
		assert_int_equal(setup(NULL), 0);
	}
}

/* What a session says, or does not say, excuses nothing: its recording is named. */
static void nothing_said_of_what_was_written(void **state)
{
	static const char *const ends[] = { "{\"way\":1}", "{\"way\":1,\"frames\":0}", "{\"way\":1,\"frames\":-1}",
		"{\"way\":1,\"frames\":\"7\"}", NULL };
	static const char *const said[] = { "its session ended without a word", "its session said that nothing was written",
		"its session ended without a word", "its session ended without a word", "it did not begin, or goes on elsewhere" };
	char out[65536], line[200];
	struct list l;

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		list_begin(&l, LOG1);
		list_up(&l, "00112233445566778899aabbccddeeff", BOB, "");
		if (ends[i] != NULL)
			list_event(&l, "way.down", ends[i]);
		list_end(&l);
		assert_int_equal(events(out, ""), EXIT_OK);
		snprintf(line, sizeof(line), "event 2 names recording 00112233445566778899aabbccddeeff, which is not here: %s", said[i]);
		assert_non_null(strstr(out, line));
		assert_non_null(strstr(out, ", 1 named and not here"));
		assert_int_equal(teardown(NULL), 0);
		assert_int_equal(setup(NULL), 0);
	}
}

/* Each end is that of its own way, whatever their order; a number that a database put back gives again is the later one's. */
static void each_end_of_its_way(void **state)
{
	static const char *const ids[] = { "00000000000000000000000000000001", "00000000000000000000000000000002",
		"00000000000000000000000000000003", "00000000000000000000000000000004" };
	static const int ways[] = { 5, 9, 7, 9 };
	char out[65536], detail[256];
	struct list l;

	(void)state;
	list_begin(&l, LOG1);
	for (int i = 0; i < 4; i++) {
		snprintf(detail, sizeof(detail), "{\"way\":%d,\"recording\":\"%s\",\"metadata\":\"%064d\"}", ways[i], ids[i], 0);
		list_event(&l, "way.up", detail);
	}
	list_event(&l, "way.down", "{\"way\":9,\"frames\":1}");
	list_event(&l, "way.down", "{\"way\":5,\"frames\":1}");
	list_event(&l, "way.down", "{\"way\":8,\"frames\":1}");
	list_end(&l);
	assert_int_equal(events(out, ""), EXIT_VERDICT);
	assert_non_null(strstr(out, "recording 00000000000000000000000000000001: event 2 names it, event 7 says"));
	assert_non_null(strstr(out, "recording 00000000000000000000000000000004: event 5 names it, event 6 says"));
	assert_null(strstr(out, "recording 00000000000000000000000000000002:"));
	assert_null(strstr(out, "recording 00000000000000000000000000000003:"));
	assert_non_null(strstr(out, ", 2 named and not here"));
	/* the list is as it was written */
	assert_non_null(strstr(out, "whole and unchanged"));
}

/* --- events that were removed --- */

enum gap { REMOVED, LOST, OTHER_REMOVED };

/* Three days of events, of which the second is gone and the first is kept; a session in each, of which the events of one name nothing. */
static int three_days(char out[65536], enum gap gap, int unnamed, char sessions[3][33])
{
	struct made day[3] = { { .id = "" } };
	struct tlog_act *removal;
	uint8_t leaf[TLOG_ACT_MAX];
	struct list l;
	int status;

	log_make();
	list_begin(&l, LOG1);
	for (int i = 0; i < 3; i++) {
		if (i > 0) {
			list_open(&l, bastion, day[i - 1].id, "");
			list_event(&l, "policy.start", "{}");
		}
		l.at += 100;
		session_into(store, sessions[i], l.at, bastion, ALICE, true);
		if (i != unnamed)
			list_up(&l, sessions[i], ALICE, "");
		list_done(&l, day[i].id);
		log_add(&day[i]);
		l.at += 1000;
	}
	removal = &day[gap == OTHER_REMOVED ? 0 : 1].removal;
	if (gap != LOST)
		log_leaf(leaf, tlog_act_encode(leaf, removal));
	assert_int_equal(log_publish(FIXTURE_WALL + 100 * DAY_US), 0);
	take_away(day[1].id);
	status = events(out, "");
	log_drop();
	assert_int_equal(teardown(NULL), 0);
	assert_int_equal(setup(NULL), 0);
	return status;
}

static void a_day_that_was_removed_in_its_time(void **state)
{
	char out[65536], sessions[3][33];

	(void)state;
	assert_int_equal(three_days(out, REMOVED, -1, sessions), EXIT_OK);
	assert_non_null(strstr(out, "the events 4 to 6 were removed when their retention was over"));
	assert_non_null(strstr(out, "events 1 to 9, whole and unchanged but for those that were removed in their time"));
	assert_non_null(strstr(out, "2 held against the event that names them, 1 of a time whose events were removed\n"));
	/* all others are judged, before it and behind it */
	for (int unnamed = 0; unnamed < 3; unnamed += 2) {
		assert_int_equal(three_days(out, REMOVED, unnamed, sessions), EXIT_VERDICT);
		assert_true(blamed(out, sessions[unnamed]));
		assert_false(blamed(out, sessions[1]));
	}
}

/* The event of what opened at the end of a day that was removed is the last one that is not here. */
static void one_at_the_edge(void **state)
{
	struct list l = { .log = LOG1, .number = 1, .at = FIRST_AT };
	char out[65536], edge[33], later[33];

	(void)state;
	list_open(&l, bastion, NULL, "");
	list_event(&l, "policy.start", "{}");
	session(edge, ALICE, true);
	list_end(&l);
	assert_int_equal(events(out, ""), EXIT_OK);
	assert_non_null(strstr(out, "the events before number 2 are older"));
	assert_non_null(strstr(out, ", 1 older than the events\n"));
	session_into(store, later, FIRST_AT + 100, bastion, ALICE, true);
	assert_int_equal(events(out, ""), EXIT_VERDICT);
	assert_true(blamed(out, later));
	assert_false(blamed(out, edge));
}

static void a_day_that_was_lost(void **state)
{
	char out[65536], sessions[3][33];

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(three_days(out, i == 0 ? LOST : OTHER_REMOVED, -1, sessions), EXIT_VERDICT);
		assert_non_null(strstr(out, "the events 4 to 6 are missing"));
		assert_non_null(strstr(out, "NOT as they were written"));
		assert_true(blamed(out, sessions[1]));
	}
}

/* --- two bastions --- */

static void events_that_the_identity_does_not_open(void **state)
{
	struct sign_key *other = sign_key_generate();
	char out[65536], id[33];
	struct fixture *x;
	struct list l;

	(void)state;
	list_begin(&l, LOG1);
	list_end(&l);
	l = (struct list){ .log = LOG2, .at = FIRST_AT };
	list_open(&l, other, NULL, "");
	list_event(&l, "store.init", "{}");
	keep_in(store, l.x, id, false);
	x = open_at(FIRST_AT, other);
	event(x, 0, BREC_META, BREC_K_META, ALICE);
	keep_in(store, x, id, false);
	assert_int_equal(events(out, ""), EXIT_OK);
	assert_non_null(strstr(out, ", 2 of a bastion whose events are not here\n"));
	/* the one whose events are here answers for what it signed, whoever reads it, */
	x = open_at(FIRST_AT, bastion);
	event(x, 0, BREC_META, BREC_K_META, BOB);
	keep_in(store, x, id, false);
	assert_int_equal(events(out, ""), EXIT_VERDICT);
	assert_true(blamed(out, id));
	take_away(id);
	/* and for what is read here, whoever signed it */
	session_into(store, id, FIRST_AT, other, BOB, true);
	assert_int_equal(events(out, ""), EXIT_VERDICT);
	assert_true(blamed(out, id));
	sign_key_destroy(other);
}

/* Another collector has another bastion's, too: its sessions and its list, which the first one does not have. */
static void another_bastion_at_another_collector(void **state)
{
	struct sign_key *other = sign_key_generate();
	char out[65536], id[33];
	const char *more = second_make();
	struct list l;

	(void)state;
	list_begin(&l, LOG1);
	list_end(&l);
	l = (struct list){ .log = LOG2, .at = FIRST_AT };
	list_open(&l, other, NULL, "");
	list_event(&l, "store.init", "{}");
	keep_in(second, l.x, id, true);
	session_into(second, id, FIRST_AT, other, ALICE, true);
	assert_int_equal(events(out, more), EXIT_OK);
	assert_non_null(strstr(out, ", 2 of a bastion whose events are not here\n"));
	/* which does not help a session of the bastion whose events are here */
	session_into(second, id, FIRST_AT, bastion, BOB, true);
	assert_int_equal(events(out, more), EXIT_VERDICT);
	assert_true(blamed(out, id));
	sign_key_destroy(other);
}

/* --- recordings that call themselves one of events --- */

/* At the second collector, of this list and with these members more; status of `events`, with the id of it. */
static int at_the_second(char out[65536], char id[33], const char *log, const char *members)
{
	const char *more = second_make();
	struct list l, made;
	int status;

	list_begin(&l, LOG1);
	list_end(&l);
	made = (struct list){ .log = log, .at = FIRST_AT };
	list_open(&made, bastion, NULL, members);
	list_event(&made, "store.init", "{}");
	event(made.x, 1, BREC_META, BREC_K_OPEN, "{\"capability\":\"exec\",\"command\":\"id\"}");
	keep_in(second, made.x, id, true);
	status = events(out, more);
	assert_int_equal(teardown(NULL), 0);
	assert_int_equal(setup(NULL), 0);
	return status;
}

static void a_list_at_another_collector(void **state)
{
	char out[65536], id[33];

	(void)state;
	/* it is the bastion's own: it is there, too */
	assert_int_equal(at_the_second(out, id, LOG1, ""), EXIT_OK);
	assert_false(blamed(out, id));
	/* it is none of the bastion's */
	assert_int_equal(at_the_second(out, id, LOG2, ""), EXIT_VERDICT);
	assert_true(blamed(out, id));
	assert_non_null(strstr(out, "no event says who reached what with it"));
	/* it would be bob's */
	assert_int_equal(at_the_second(out, id, LOG1, ",\"user\":\"bob\",\"host\":\"web1\""), EXIT_VERDICT);
	assert_true(blamed(out, id));
}

/* Also where the list begins as it should: `list` would show it as bob's. */
static void events_in_a_name(void **state)
{
	char out[65536], id[33];
	struct list l, made;

	(void)state;
	list_begin(&l, LOG1);
	list_end(&l);
	made = (struct list){ .log = LOG1, .at = FIRST_AT };
	list_open(&made, bastion, NULL, ",\"user\":\"bob\"");
	keep(made.x, id);
	assert_int_equal(events(out, ""), EXIT_VERDICT);
	assert_true(blamed(out, id));
	/* that is said of the recording; the list is as it was written */
	assert_non_null(strstr(out, "events 1 to 2, whole and unchanged."));
}

/* --- recordings that came to nothing --- */

static void one_without_a_word(void **state)
{
	char out[65536], id[33];
	struct list l;

	(void)state;
	list_begin(&l, LOG1);
	list_end(&l);
	keep(open_at(FIRST_AT, bastion), id); /* closed, or as a power cut leaves it */
	keep_as_is(store, open_at(FIRST_AT, bastion), id, true);
	assert_int_equal(events(out, ""), EXIT_OK);
	assert_non_null(strstr(out, ", 2 in which nothing stands or can be read\n"));
}

static void a_word_behind_many_marks(void **state)
{
	struct fixture *x;
	char out[65536], id[33];
	struct list l;

	(void)state;
	list_begin(&l, LOG1);
	list_end(&l);
	x = open_at(FIRST_AT, bastion);
	/* so many that a brief look ends before what may come behind them */
	for (uint64_t seq = 1; seq <= 300; seq++)
		fx_signed(x, BREC_CHECKPOINT, seq, 0, "");
	keep_as_is(store, x, id, true);
	assert_int_equal(events(out, ""), EXIT_VERDICT);
	assert_true(blamed(out, id));
	take_away(id);
	/* nor is it a word less that the identity does not open it */
	x = open_at(FIRST_AT, bastion);
	event(x, 0, BREC_META, BREC_K_META, BOB);
	keep_as_is(store, x, id, false);
	assert_int_equal(events(out, ""), EXIT_VERDICT);
	assert_true(blamed(out, id));
}

/* --- what is said of the list --- */

static void a_list_is_as_its_events_are(void **state)
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
	assert_non_null(strstr(out, "events 1 to 3, whole and unchanged."));
	assert_int_equal(teardown(NULL), 0);
	assert_int_equal(setup(NULL), 0);
	list_begin(&l, LOG1);
	l.hash[0] ^= 1;
	list_end(&l);
	assert_int_equal(events(out, ""), EXIT_VERDICT);
	assert_non_null(strstr(out, "events 1 to 2, NOT as they were written."));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, teardown)
	const struct CMUnitTest tests[] = {
		TEST(begun_and_ended_meanwhile), TEST(nothing_said_of_what_was_written), TEST(each_end_of_its_way),
		TEST(a_day_that_was_removed_in_its_time), TEST(one_at_the_edge), TEST(a_day_that_was_lost),
		TEST(events_that_the_identity_does_not_open), TEST(another_bastion_at_another_collector),
		TEST(a_list_at_another_collector), TEST(events_in_a_name),
		TEST(one_without_a_word), TEST(a_word_behind_many_marks),
		TEST(a_list_is_as_its_events_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
