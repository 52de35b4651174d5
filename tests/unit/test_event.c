/*
 * test_event.c - the record of events: kinds, the chain, what it shows, what the triggers refuse.
 */
#include "store_rig.h"

#include <openssl/sha.h>

static void kinds_have_one_name_each(void **state)
{
	(void)state;
	for (int i = 0; i < EVENT_COUNT; i++)
		assert_int_equal(event_by_name(event_name((enum event_kind)i)), i);
	assert_int_equal(event_by_name("no.such"), EVENT_COUNT);
	assert_string_equal(event_name(EVENT_COUNT), "?");
}

/* The bytes of doc/PROTOCOL.control section 6, made here by hand. */
static void hash_is_as_documented(void **state)
{
	static const uint8_t row[] = "\0\0\0\0\0\0\0\1" "\0\0\0\0\0\0\0\2" "\0\0\0\1k" "\0\0\0\1a" "\0\0\0\0" "\0\0\0\2{}";
	const struct event_row e = { 1, 2, "k", "a", "", "{}" };
	uint8_t all[32 + sizeof(row) - 1] = { 0 }, want[32], got[32];

	(void)state;
	memcpy(all + 32, row, sizeof(row) - 1);
	SHA256(all, sizeof(all), want);
	assert_int_equal(event_hash(all, &e, got), 0);
	assert_memory_equal(got, want, 32);
}

static void chain_verifies(void **state)
{
	struct event_report r;

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(event_writef(rig.s, NOW + i, EVENT_LOGIN, "alice", "alice", "{s:i}", "n", i), 0);
	assert_int_equal(event_verify(rig.s, 0, &r), 0);
	assert_int_equal(r.bad, 0);
	assert_int_equal(r.rows, 101); /* and store.init */
	assert_int_equal(event_verify(rig.s, 60, &r), 0);
	assert_int_equal(r.rows, 41);
	assert_int_equal(r.bad, 0);
	assert_false(r.more);
	assert_int_equal(event_verify(rig.s, 102, &r), 0); /* there is no such row to start from */
	assert_int_equal(r.bad, 102);
}

static void table_refuses_change(void **state)
{
	(void)state;
	assert_int_equal(event_write(rig.s, NOW, EVENT_LOGIN, "alice", NULL, NULL), 0);
	assert_int_equal(by_hand("UPDATE events SET actor='bob' WHERE id=2"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("DELETE FROM events WHERE id=1"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("INSERT INTO events VALUES (9,0,'k','a','','',zeroblob(32))"), SQLITE_CONSTRAINT);
}

/* Whoever takes the triggers away first is shown by the chain. */
static void chain_shows_change(void **state)
{
	static const struct { const char *sql; int64_t bad; } hands[] = {
		{ "UPDATE events SET actor='bob' WHERE id=3", 3 },
		{ "UPDATE events SET at=at+1 WHERE id=2", 2 },
		{ "UPDATE events SET detail='' WHERE id=5", 5 },
		{ "DELETE FROM events WHERE id=4", 4 },
		{ "UPDATE events SET hash=zeroblob(32) WHERE id=6", 6 },
		{ "UPDATE events SET hash=(SELECT hash FROM events WHERE id=2) WHERE id=3", 3 },
	};
	struct event_report r;

	(void)state;
	for (int i = 0; i < 6; i++)
		assert_int_equal(event_writef(rig.s, NOW, EVENT_LOGIN, "alice", "alice", "{s:i}", "n", i), 0);
	assert_int_equal(by_hand("CREATE TABLE keep AS SELECT * FROM events; DROP TRIGGER events_fixed; DROP TRIGGER events_kept;"
	    "DROP TRIGGER events_next"), SQLITE_OK);
	for (size_t i = 0; i < sizeof(hands) / sizeof(hands[0]); i++) {
		assert_int_equal(by_hand(hands[i].sql), SQLITE_OK);
		assert_int_equal(event_verify(rig.s, 0, &r), 0);
		assert_int_equal(r.bad, hands[i].bad);
		assert_int_equal(r.rows, hands[i].bad - 1);
		assert_int_equal(by_hand("DELETE FROM events; INSERT INTO events SELECT * FROM keep"), SQLITE_OK);
	}
	assert_int_equal(event_verify(rig.s, 0, &r), 0);
	assert_int_equal(r.bad, 0);
}

/* The detail of the newest event. The caller's. */
static json_t *newest_detail(const char *kind)
{
	json_t *rows = store_list(rig.s, LIST_EVENTS, &(struct list_ask){ .limit = 1 }), *detail;
	const json_t *row = json_array_get(rows, 0);

	assert_string_equal(json_string_value(json_object_get(row, "kind")), kind);
	assert_true(strlen(json_string_value(json_object_get(row, "detail"))) <= EVENT_DETAIL_MAX);
	assert_non_null(detail = json_loads(json_string_value(json_object_get(row, "detail")), 0, NULL));
	json_decref(rows);
	return detail;
}

/* One argument that is as long as it may be takes neither the others nor the word out of the record. */
static void a_long_argument_hides_nothing(void **state)
{
	static char comment[10001], json[12000];
	json_t *detail, *args, *list;

	(void)state;
	memset(comment, 'x', sizeof(comment) - 1);
	snprintf(json, sizeof(json), "{\"word\":\"host add\",\"args\":{\"host\":\"tmp9\",\"address\":\"203.0.113.5\",\"login\":\"root\",\"key\":\"" KEY_A " %s\"}}", comment);
	OK("adam", json);
	detail = newest_detail("host.add");
	args = json_object_get(detail, "args");
	assert_string_equal(json_string_value(json_object_get(args, "address")), "203.0.113.5");
	assert_null(json_object_get(detail, "cut"));
	list = json_object_get(args, "key");
	assert_int_equal(json_array_size(list), 1);
	assert_non_null(strstr(json_string_value(json_array_get(list, 0)), "ssh-ed25519 SHA256:"));
	json_decref(detail);
	snprintf(json, sizeof(json), "{\"word\":\"user key add\",\"args\":{\"user\":\"bob\",\"device\":\"x\",\"key\":\"" KEY_B " %s\"}}", comment);
	NO("alice", "denied", json);
	detail = newest_detail("word.refused");
	assert_string_equal(json_string_value(json_object_get(detail, "word")), "user key add");
	assert_string_equal(json_string_value(json_object_get(detail, "error")), "'user key add' is not for you.");
	args = json_object_get(detail, "args");
	assert_string_equal(json_string_value(json_object_get(args, "device")), "x");
	assert_true(json_is_true(json_object_get(detail, "cut")) && json_string_length(json_object_get(args, "key")) == 256 + 3);
	json_decref(detail);
}

/* As many and as long texts as a word can have, of characters of two bytes: each is there, cut between two of them. */
static void many_long_arguments_are_cut_alike(void **state)
{
	static const char *const lists[] = { "host", "label", "login", "cap", "from", "approver_role", "zone", "also" };
	char text[401];
	json_t *args = json_object(), *detail, *list;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(text); i++)
		text[i] = "\xc3\xa4"[i % 2];
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		json_object_set_new(args, lists[i], list = json_array());
		for (int j = 0; j < 64; j++)
			json_array_append_new(list, json_string(text + 2 * (j % 3)));
	}
	assert_int_equal(event_writef(rig.s, NOW, EVENT_ROLE_ADD, "adam", "r", "{s:O}", "args", args), 0);
	assert_string_equal(json_string_value(json_array_get(list, 0)), text); /* what was handed over is as it was */
	json_decref(args);
	detail = newest_detail("role.add");
	args = json_object_get(detail, "args");
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		list = json_object_get(args, lists[i]);
		assert_int_equal(json_array_size(list), 64);
		assert_string_equal(json_string_value(json_array_get(list, 63)), "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4...");
	}
	json_decref(detail);
}

static void long_and_foreign_text_is_kept_within_bounds(void **state)
{
	char *big = malloc(20001), actor[400];
	struct event_report r;
	json_t *rows;

	(void)state;
	memset(big, 'x', 20000);
	big[20000] = '\0';
	for (size_t i = 0; i + 1 < sizeof(actor); i++)
		actor[i] = "\xc3\xa4"[i % 2];
	actor[sizeof(actor) - 1] = '\0';
	assert_int_equal(event_writef(rig.s, NOW, EVENT_LOGIN, actor, "'; DROP TABLE events; --", "{s:s}", "big", big), 0);
	assert_int_equal(event_writef(rig.s, NOW, EVENT_LOGIN, "a", NULL, "{s:s}", "text", "\xff\xfe"), 0);
	rows = store_list(rig.s, LIST_EVENTS, &(struct list_ask){ .limit = 10 });
	assert_int_equal(json_array_size(rows), 3);
	memcpy(big, "{\"big\":\"", 8);
	strcpy(big + 8 + 256, "...\",\"cut\":true}");
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 1), "detail")), big);
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 2), "detail")), "{\"cut\":true}");
	assert_int_equal(strlen(json_string_value(json_object_get(json_array_get(rows, 1), "actor"))), EVENT_ACTOR_MAX);
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 1), "subject")), "'; DROP TABLE events; --");
	assert_int_equal(event_verify(rig.s, 0, &r), 0);
	assert_int_equal(r.bad, 0);
	json_decref(rows);
	free(big);
}

static void rolled_back_events_leave_no_hole(void **state)
{
	struct event_report r;

	(void)state;
	assert_int_equal(store_begin(rig.s), 0);
	assert_int_equal(event_write(rig.s, NOW, EVENT_LOGIN, "a", NULL, NULL), 0);
	store_rollback(rig.s);
	assert_int_equal(event_write(rig.s, NOW, EVENT_LOGIN, "b", NULL, NULL), 0);
	assert_int_equal(event_verify(rig.s, 0, &r), 0);
	assert_int_equal(r.rows, 2);
	assert_int_equal(r.bad, 0);
}

/* Ten events a day apart, of which the collectors have seven. */
static void only_what_is_old_and_shipped_is_pruned(void **state)
{
	struct event_report r;
	struct event_log log;
	int64_t id, at;

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(event_writef(rig.s, NOW + 86400 * i, EVENT_LOGIN, "alice", NULL, NULL), 0);
	assert_int_equal(event_prune(rig.s, NOW, NOW + 86400 * 100), 0); /* nothing is shipped */
	assert_int_equal(event_verify(rig.s, 0, &r), 0);
	assert_int_equal(r.rows, 11);
	assert_int_equal(store_event_shipped(rig.s, 8), 0); /* with store.init, which was made just now, on another clock */
	assert_int_equal(store_event_shipped(rig.s, 7), 0); /* two programs may report during an upgrade: never back */
	assert_int_equal(store_event_log(rig.s, &log), 0);
	assert_int_equal(log.shipped, 8);
	assert_int_equal(event_prune(rig.s, NOW, NOW + 86400 * 4), 0); /* 2 to 5 are older */
	assert_int_equal(store_event_log(rig.s, &log), 0);
	assert_int_equal(log.pruned, 5);
	assert_int_equal(event_prune(rig.s, NOW, NOW + 86400 * 100), 0);
	assert_int_equal(store_event_log(rig.s, &log), 0);
	assert_int_equal(log.pruned, 8);
	assert_int_equal(store_event_at(rig.s, 8, &at), 0);
	assert_int_equal(store_event_at(rig.s, 9, &at), 1);
	/* the chain begins at the anchor, and the two events that say so are in it */
	assert_int_equal(event_verify(rig.s, 0, &r), 0);
	assert_int_equal(r.after, 8);
	assert_int_equal(r.rows, 5);
	assert_int_equal(r.bad, 0);
	assert_int_equal(store_event_young(rig.s, INT64_MAX, 20, &id), 0);
	assert_int_equal(id, 21);
	assert_int_equal(by_hand("DELETE FROM events WHERE id=9"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("UPDATE event_log SET pruned=20"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("DELETE FROM event_log"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("DROP TRIGGER event_log_forward; UPDATE event_log SET pruned_hash=zeroblob(32)"), SQLITE_OK);
	assert_int_equal(event_verify(rig.s, 0, &r), 0);
	assert_int_equal(r.bad, 9);
}

static void a_recorded_event_is_read_as_it_was_written(void **state)
{
	const struct event_row e = { 7, 1795393545, "login.ok", "alice", "web1", "{\"n\":1}" };
	uint8_t hash[32], got[32];
	struct event_text text;
	struct event_row back;
	struct buf b;

	(void)state;
	memset(hash, 9, sizeof(hash));
	buf_init(&b, EVENT_ROW_MAX + 32);
	assert_int_equal(event_row_put(&b, &e, hash), 0);
	assert_int_equal(event_row_get(&back, &text, got, b.data, b.len), 0);
	assert_int_equal(back.id, 7);
	assert_int_equal(back.at, 1795393545);
	assert_string_equal(back.kind, "login.ok");
	assert_string_equal(back.detail, "{\"n\":1}");
	assert_memory_equal(got, hash, 32);
	for (size_t cut = 0; cut < b.len; cut++)
		assert_int_equal(event_row_get(&back, &text, got, b.data, cut), -1);
	b.data[7] = 0; /* number 0 */
	assert_int_equal(event_row_get(&back, &text, got, b.data, b.len), -1);
	buf_finish(&b);
}

/* What people are told of at once: everything about their own logins is theirs, what waits or guesses is the staff's. */
static void owners_hear_of_their_logins(void **state)
{
	static const enum event_kind own[] = { EVENT_LOGIN_DEVICE, EVENT_LOGIN_NETWORK, EVENT_RECOVERY_USE, EVENT_RECOVERY, EVENT_KEY_ADD,
		EVENT_TOTP_RESYNC };

	(void)state;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		assert_string_equal(event_class(event_name(own[i])), "login");
	assert_string_equal(event_class(event_name(EVENT_SOURCE_BLOCK)), "alarm");
	assert_string_equal(event_class(event_name(EVENT_KEY_ASK)), "alarm");
	assert_string_equal(event_class(event_name(EVENT_OTP_GUESSED)), "alarm");
	assert_null(event_class(event_name(EVENT_LOGIN)));
}

static int let_in;

static int unblock(void *arg, const char *network, bool now)
{
	(void)arg;
	assert_string_equal(network, "10.0.0.0/8");
	let_in += now;
	return 3;
}

/* Who is let in again is written down before, or is not let in. */
static void a_source_is_freed_after_its_event(void **state)
{
	static const char word[] = "{\"word\":\"unblock\",\"args\":{\"network\":\"10.0.0.0/8\"}}";

	(void)state;
	rig.c.unblock = unblock;
	let_in = 0;
	assert_int_equal(by_hand("CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no room'); END"), SQLITE_OK);
	NO("adam", "broken", word);
	assert_int_equal(let_in, 0);
	assert_int_equal(by_hand("DROP TRIGGER full"), SQLITE_OK);
	OK("adam", word);
	assert_int_equal(let_in, 1);
	assert_non_null(strstr(field("text"), "3 in the list"));
	OK("eve", "{\"word\":\"events\",\"args\":{\"limit\":1}}");
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(last, "rows"), 0), "kind")), "source.unblock");
	NO("bob", "denied", word);
	assert_int_equal(let_in, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(owners_hear_of_their_logins), cmocka_unit_test(kinds_have_one_name_each),
		cmocka_unit_test(hash_is_as_documented),
		cmocka_unit_test_setup_teardown(chain_verifies, setup_empty, teardown),
		cmocka_unit_test_setup_teardown(table_refuses_change, setup_empty, teardown),
		cmocka_unit_test_setup_teardown(chain_shows_change, setup_empty, teardown),
		cmocka_unit_test_setup_teardown(long_and_foreign_text_is_kept_within_bounds, setup_empty, teardown),
		cmocka_unit_test_setup_teardown(a_long_argument_hides_nothing, setup_world, teardown),
		cmocka_unit_test_setup_teardown(many_long_arguments_are_cut_alike, setup_empty, teardown),
		cmocka_unit_test_setup_teardown(rolled_back_events_leave_no_hole, setup_empty, teardown),
		cmocka_unit_test_setup_teardown(only_what_is_old_and_shipped_is_pruned, setup_empty, teardown),
		cmocka_unit_test_setup_teardown(a_source_is_freed_after_its_event, setup_world, teardown),
		cmocka_unit_test(a_recorded_event_is_read_as_it_was_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
