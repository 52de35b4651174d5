/*
 * test_directory.c - a directory's people: added, given roles, ended when they are gone; and a directory that lost its people ends nobody.
 */
#include "store_rig.h"

#define STAGE(begin, entries) OK("root", "{\"word\":\"directory stage\",\"args\":{\"begin\":" begin ",\"entry\":[" entries "]}}")
#define APPLY(more) "{\"word\":\"directory apply\",\"args\":{" more "}}"

static int changes(const char *account, const char *what, const char *state)
{
	json_t *rows = json_object_get(last, "rows");
	int n = 0;

	for (size_t i = 0; i < json_array_size(rows); i++) {
		json_t *row = json_array_get(rows, i);

		n += strcmp(json_string_value(json_object_get(row, "account")), account) == 0 &&
		    strcmp(json_string_value(json_object_get(row, "what")), what) == 0 &&
		    strcmp(json_string_value(json_object_get(row, "state")), state) == 0;
	}
	return n;
}

static bool active(const char *name)
{
	struct user u;

	return store_user_by_name(rig.s, name, &u) == 1 && u.state == USER_ACTIVE;
}

static bool member(const char *role, const char *name)
{
	struct access_role r;

	assert_int_equal(store_role_by_name(rig.s, role, &r), 1);
	return store_role_has(rig.s, r.id, id_of(name), 'm') == 1;
}

static void people_come_and_go(void **state)
{
	(void)state;
	STAGE("true", "\"zoe|dba twin nothing|Zoe Example\",\"yan|dba|Yan Example\"");
	STAGE("false", "\"alice|dba|Alice\",\"bob||Somebody Else\"");
	OK("root", APPLY(""));
	assert_int_equal(changes("zoe", "account", "added"), 1);
	assert_int_equal(changes("zoe", "role", "unknown"), 1);
	assert_int_equal(changes("alice", "account", "adopted"), 1);
	assert_int_equal(changes("alice", "role", "removed"), 1);	/* twin */
	assert_int_equal(changes("bob", "account", "conflict"), 1);
	assert_true(active("zoe") && active("yan") && member("dba", "zoe") && member("twin", "zoe") && !member("twin", "alice"));
	/* the same again changes nothing but says what it cannot do */
	STAGE("true", "\"zoe|dba twin|Zoe Example\",\"yan|dba|Yan Example\",\"alice|dba|Alice\"");
	OK("root", APPLY(""));
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 0);
	/* one leaves; those who were made here stay, whatever the directory says */
	STAGE("true", "\"zoe|twin|Zoe Example\",\"alice|dba|Alice\"");
	OK("root", APPLY("\"dry_run\":true"));
	assert_int_equal(changes("yan", "account", "removed"), 1);
	assert_true(active("yan"));
	OK("root", APPLY(""));
	assert_false(active("yan"));
	assert_true(active("bob") && active("deploy") && active("adam"));
	assert_false(member("dba", "zoe"));
}

static void a_directory_that_lost_its_people(void **state)
{
	(void)state;
	STAGE("true", "\"u1||P1\",\"u2||P2\",\"u3||P3\",\"u4||P4\",\"u5||P5\"");
	OK("root", APPLY(""));
	NO("root", "refused", APPLY(""));	/* nothing is staged any more */
	STAGE("true", "\"u1||P1\",\"u2||P2\",\"u3||P3\"");
	NO("root", "refused", APPLY(""));
	assert_true(active("u4") && active("u5"));
	NO("root", "refused", APPLY("\"share\":39"));
	OK("root", APPLY("\"share\":40"));
	assert_false(active("u4") || active("u5"));
}

/* Its people are there, and what says their roles is not to be read: nobody loses them, nor a session. */
static void a_directory_that_lost_its_groups(void **state)
{
	(void)state;
	STAGE("true", "\"u1|dba|P1\",\"u2|dba twin|P2\",\"u3|twin|P3\",\"u4|dba|P4\",\"u5||P5\",\"alice|dba|Alice\"");
	OK("root", APPLY(""));
	OK("alice", REQUEST_WEB1);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	rig.nended = 0;
	STAGE("true", "\"u1||P1\",\"u2||P2\",\"u3||P3\",\"u4||P4\",\"u5||P5\",\"alice||Alice\"");
	NO("root", "refused", APPLY(""));
	NO("root", "refused", APPLY("\"dry_run\":true"));
	assert_non_null(strstr(field("error"), "5 of 5 who have a role would have none"));
	/* by other names they are none here, either; and some of five are too many */
	STAGE("true", "\"u1|xdba|P1\",\"u2|xdba|P2\",\"u3|twin|P3\",\"u4|dba|P4\",\"u5||P5\",\"alice|xdba|Alice\"");
	NO("root", "refused", APPLY("\"share\":59"));
	assert_true(member("dba", "u1") && member("twin", "u2") && member("dba", "alice") && !member("dba", "u5"));
	assert_int_equal(rig.nended, 0);
	OK("root", APPLY("\"share\":60"));
	assert_true(!member("dba", "u1") && member("twin", "u3") && !member("dba", "alice"));
	assert_int_equal(changes("alice", "role", "removed"), 1);
	assert_true(rig.nended > 0);
	/* one always may, and who changes roles loses none */
	STAGE("true", "\"u1||P1\",\"u2||P2\",\"u3|dba|P3\",\"u4||P4\",\"u5||P5\",\"alice||Alice\"");
	OK("root", APPLY(""));
	assert_true(member("dba", "u3") && !member("twin", "u3") && !member("dba", "u4"));
}

/* It says nothing of roles: those that were given here stay, as far as they went. */
static void a_directory_without_roles(void **state)
{
	(void)state;
	STAGE("true", "\"alice|*|Alice\",\"zoe|*|Zoe\"");
	OK("root", APPLY(""));
	assert_int_equal(changes("alice", "account", "adopted"), 1);
	assert_int_equal(changes("zoe", "account", "added"), 1);
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 2);
	assert_true(member("dba", "alice") && member("twin", "alice") && !member("dba", "zoe"));
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"dba\",\"user\":\"zoe\"}}");
	STAGE("true", "\"alice|*|Alice\",\"zoe|*|Zoe\"");
	OK("root", APPLY(""));
	assert_true(member("dba", "zoe"));
}

/* With what is open; and a second account of that person, which is not the directory's. */
static void who_is_gone_leaves(void **state)
{
	(void)state;
	STAGE("true", "\"alice|dba|Alice\",\"zoe||Zoe\",\"zoe2||Zoe\"");
	OK("root", APPLY(""));
	OK("root", "{\"word\":\"user add\",\"args\":{\"user\":\"alice2\",\"person\":\"ALICE\"}}");
	OK("alice", REQUEST_WEB1);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	STAGE("true", "\"zoe||Zoe\",\"zoe2||Zoe\"");
	OK("root", APPLY(""));
	assert_int_equal(changes("alice", "grant", "revoked"), 1);
	assert_int_equal(changes("alice", "device", "revoked"), 1);
	assert_int_equal(changes("alice2", "account", "removed"), 1);
	assert_true(rig.nended >= 2);
	/* one account of two: the person is still there */
	STAGE("true", "\"zoe||Zoe\"");
	OK("root", APPLY(""));
	assert_true(active("zoe") && !active("zoe2"));
}

static void what_is_no_entry_is_refused(void **state)
{
	static const char *const bad[] = { "alice", "alice|dba", "|dba|P", "Alice|dba|P", "alice|dba|", "alice|dba|P|Q", "al ice||P" };
	char json[256];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(json, sizeof(json), "{\"word\":\"directory stage\",\"args\":{\"entry\":\"%s\"}}", bad[i]);
		NO("root", "usage", json);
	}
	NO("root", "refused", "{\"word\":\"directory stage\",\"args\":{\"entry\":[\"a||P\",\"a||Q\"]}}");
	NO("adam", "denied", APPLY(""));
	NO("root", "refused", APPLY(""));
}

/* Fails in the middle: nothing is changed, what was staged is there for another try. */
static void half_a_directory_is_none(void **state)
{
	(void)state;
	STAGE("true", "\"zoe|dba|Zoe\",\"yan|dba|Yan\"");
	assert_int_equal(by_hand("CREATE TRIGGER no BEFORE INSERT ON users WHEN NEW.name='zoe' BEGIN SELECT RAISE(ABORT, 'no'); END"), SQLITE_OK);
	NO("root", "broken", APPLY(""));
	assert_false(active("yan"));
	assert_int_equal(by_hand("DROP TRIGGER no"), SQLITE_OK);
	OK("root", APPLY(""));
	assert_true(active("yan") && active("zoe"));
}

static int looks(void)
{
	int n = 0;

	for (size_t i = 0; i < rig.nended; i++)
		n += rig.ended[i].what == END_DENIED;
	return n;
}

/* A rule for everyone is no membership; and what an administrator denied somebody, a directory does not lift. */
static void what_denies_stays(void **state)
{
	(void)state;
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"freeze\",\"deny\":true,\"everyone\":true,\"host\":\"db1\"}}");
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"never\",\"deny\":true,\"host\":\"web1\"}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"never\",\"user\":\"alice\"}}");
	rig.nended = 0;
	STAGE("true", "\"alice|dba twin|Alice\",\"zoe|dba|Zoe\",\"yan||Yan\"");
	OK("root", APPLY(""));
	assert_true(member("never", "alice"));
	assert_int_equal(changes("alice", "role", "removed"), 0);
	assert_int_equal(looks(), 0);
	/* it may deny: what is open then is looked at, once for all */
	STAGE("true", "\"alice|dba twin|Alice\",\"zoe|dba never|Zoe\",\"yan|never|Yan\"");
	OK("root", APPLY(""));
	assert_true(member("never", "zoe") && member("never", "yan"));
	assert_int_equal(looks(), 1);
}

/* Whose entry cannot be taken is not gone, nor is the person. */
static void who_cannot_be_read_stays(void **state)
{
	(void)state;
	STAGE("true", "\"alice|dba|Alice\",\"alice3||Alice\",\"zoe||Zoe\"");
	OK("root", APPLY(""));
	OK("root", "{\"word\":\"directory stage\",\"args\":{\"begin\":true,\"keep\":[\"alice\",\"nobody\"],\"entry\":\"zoe||Zoe\"}}");
	OK("root", APPLY("\"count\":3"));
	assert_int_equal(changes("alice", "account", "unreadable"), 1);
	assert_int_equal(changes("nobody", "account", "unreadable"), 1);
	assert_true(active("alice") && member("dba", "alice") && !active("alice3") && !active("nobody"));
	OK("root", "{\"word\":\"directory stage\",\"args\":{\"begin\":true,\"keep\":\"zoe\"}}");
	NO("root", "refused", "{\"word\":\"directory stage\",\"args\":{\"entry\":\"zoe||Zoe\"}}");
	NO("root", "usage", "{\"word\":\"directory stage\",\"args\":{\"begin\":true}}");
}

/* A second run begins while the first is staged: the first must not apply what there is of the second. */
static void what_another_run_staged_is_not_applied(void **state)
{
	(void)state;
	STAGE("true", "\"u1||P1\",\"u2||P2\"");
	OK("root", APPLY("\"count\":2"));
	STAGE("true", "\"u1||P1\",\"u2||P2\"");
	STAGE("true", "\"u1||P1\"");
	NO("root", "refused", APPLY("\"count\":2"));
	assert_true(active("u2"));
	STAGE("false", "\"u2||P2\"");
	OK("root", APPLY("\"count\":2"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_world, teardown)

/* One with more roles than a user can have gets as many, what denies among them; the others come and go as ever. */
static void more_roles_than_a_user_can_have(void **state)
{
	char json[1024], list[LIST_MAX / 2] = "";

	(void)state;
	for (int i = 0; i < STORE_USER_ROLES_MAX + 3; i++) {
		snprintf(json, sizeof(json), "{\"word\":\"role add\",\"args\":{\"role\":\"r%d\",\"host\":\"web*\",\"login\":\"dba\"}}", i);
		OK("root", json);
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "r%d ", i);
	}
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"no\",\"deny\":true,\"host\":\"web*\"}}");
	STAGE("true", "\"yan|dba|Yan Example\",\"zoe||Zoe Example\"");
	OK("root", APPLY(""));
	for (int again = 0; again < 2; again++) {
		snprintf(json, sizeof(json), "{\"word\":\"directory stage\",\"args\":{\"begin\":true,\"entry\":[\"many|%sno|Many\",\"zoe|dba|Zoe Example\"]}}", list);
		OK("root", json);
		OK("root", APPLY("\"share\":100"));
		assert_int_equal(changes("many", "role", "added"), again ? 0 : STORE_USER_ROLES_MAX);
		assert_int_equal(changes("many", "role", "too many"), 4);
		assert_true(member("no", "many") && member("r0", "many") && member("r62", "many") && !member("r63", "many"));
		assert_true(member("dba", "zoe") && !active("yan"));
	}
	NO("root", "refused", "{\"word\":\"role member add\",\"args\":{\"role\":\"r63\",\"user\":\"many\"}}");
	/* one that makes room for one */
	snprintf(json, sizeof(json), "{\"word\":\"directory stage\",\"args\":{\"begin\":true,\"entry\":[\"many|%s|Many\",\"zoe|dba|Zoe Example\"]}}", list + 3);
	OK("root", json);
	OK("root", APPLY(""));
	assert_int_equal(changes("many", "role", "removed"), 1);
	assert_int_equal(changes("many", "role", "added"), 1);
	assert_true(!member("r0", "many") && member("r63", "many") && member("no", "many"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(people_come_and_go), T(a_directory_that_lost_its_people), T(who_is_gone_leaves), T(what_is_no_entry_is_refused),
		T(half_a_directory_is_none), T(what_denies_stays), T(who_cannot_be_read_stays), T(what_another_run_staged_is_not_applied),
		T(more_roles_than_a_user_can_have), T(a_directory_that_lost_its_groups), T(a_directory_without_roles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
