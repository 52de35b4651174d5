/*
 * test_account.c - accounts that the bastion makes at targets: their states, what goes to the target and what comes back, the rows and
 * their uids, and who may have one.
 */
#include "store_rig.h"

#include "store_account.h"

#define SELF_REQUEST "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"alice\",\"for\":3600,\"reason\":\"disk\"}}"
#define LOW 70000
#define HIGH 70003

/* --- the states --- */

static struct account_answer answer(enum account_reply reply)
{
	struct account_answer r = { .reply = reply };

	snprintf(r.line, sizeof(r.line), "%s", reply >= REPLY_FOREIGN ? "no" : "");
	return r;
}

/* Every state, order and answer: where it leads, and that nothing else is reached. */
static void each_answer_leads_where_it_may(void **state)
{
	static const enum account_state next[2][ACCOUNT_STATES][5] = {
		/* OK, GONE, USED, FOREIGN, NO */
		[0] = { /* create */
			[ACCOUNT_CREATING] = { ACCOUNT_THERE, ACCOUNT_CREATING, ACCOUNT_REMOVING, ACCOUNT_CREATING, ACCOUNT_CREATING },
			[ACCOUNT_THERE] = { ACCOUNT_THERE, ACCOUNT_THERE, ACCOUNT_REMOVING, ACCOUNT_THERE, ACCOUNT_THERE }, /* until has changed */
			[ACCOUNT_REMOVING] = { ACCOUNT_REMOVING, ACCOUNT_REMOVING, ACCOUNT_REMOVING, ACCOUNT_REMOVING, ACCOUNT_REMOVING },
			[ACCOUNT_GONE] = { ACCOUNT_GONE, ACCOUNT_GONE, ACCOUNT_GONE, ACCOUNT_GONE, ACCOUNT_GONE } },
		[1] = { /* remove: sent in REMOVING alone */
			[ACCOUNT_REMOVING] = { ACCOUNT_REMOVING, ACCOUNT_GONE, ACCOUNT_REMOVING, ACCOUNT_REMOVING, ACCOUNT_REMOVING },
			[ACCOUNT_GONE] = { ACCOUNT_GONE, ACCOUNT_GONE, ACCOUNT_GONE, ACCOUNT_GONE, ACCOUNT_GONE } },
	};

	(void)state;
	for (unsigned act = 0; act < 2; act++)
		for (unsigned from = 0; from < ACCOUNT_STATES; from++)
			for (unsigned reply = 0; reply < 5; reply++) {
				struct account a = { .state = (enum account_state)from, .expiry = 500, .checked = 90 };
				const struct account_answer r = answer((enum account_reply)reply);
				bool moved;

				if (act == 1 && from < ACCOUNT_REMOVING)
					continue;
				moved = account_take(&a, act == 0 ? ACCOUNT_CREATE : ACCOUNT_REMOVE, 900, &r, 100);
				assert_int_equal(a.state, next[act][from][reply]);
				assert_int_equal(moved, a.state != from);
				/* the end is what the target confirmed, and nothing else changes it */
				const bool confirmed = act == 0 && reply == REPLY_OK && from <= ACCOUNT_THERE;

				assert_int_equal(a.expiry, confirmed ? 900 : 500);
				/* and nothing else lets anybody in */
				assert_int_equal(account_ready(&a, 500, 100), confirmed);
				if (moved)
					assert_true(a.since == 100 && a.next_at == 100 && a.tries == 0 && a.line[0] == '\0');
			}
}

static void what_is_due(void **state)
{
	struct account a = { .state = ACCOUNT_CREATING };
	struct account_answer r;

	(void)state;
	assert_int_equal(account_due(&a, 900, 100), ACCOUNT_CREATE);
	r = answer(REPLY_NO);
	account_take(&a, ACCOUNT_CREATE, 900, &r, 100);
	assert_int_equal(account_due(&a, 900, 100 + ACCOUNT_PAUSE - 1), ACCOUNT_REST);
	assert_int_equal(account_due(&a, 900, 100 + ACCOUNT_PAUSE), ACCOUNT_CREATE);
	r = answer(REPLY_OK);
	account_take(&a, ACCOUNT_CREATE, 900, &r, 105);
	assert_int_equal(account_due(&a, 900, 106), ACCOUNT_REST);
	assert_true(account_ready(&a, 900, 106) && account_ready(&a, 800, 106) && !account_ready(&a, 901, 106));
	/* what the target said is old some time, and a clock that was set back makes it no younger */
	assert_true(account_ready(&a, 900, 105 + ACCOUNT_FRESH_S - 1) && !account_ready(&a, 900, 105 + ACCOUNT_FRESH_S) && !account_ready(&a, 900, 104));
	/* another end, later or earlier */
	assert_int_equal(account_due(&a, 901, 107), ACCOUNT_CREATE);
	assert_int_equal(account_due(&a, 800, 107), ACCOUNT_CREATE);
	assert_int_equal(a.state, ACCOUNT_THERE);
	/* nobody wants it, or its time is over */
	assert_int_equal(account_due(&a, 0, 110), ACCOUNT_REMOVE);
	assert_true(a.state == ACCOUNT_REMOVING && a.since == 110);
	assert_false(account_ready(&a, 900, 110));
	/* wanted again: it goes first */
	assert_int_equal(account_due(&a, 2000, 111), ACCOUNT_REMOVE);
	assert_false(account_left(&a, 110 + ACCOUNT_LEFT_S - 1));
	assert_true(account_left(&a, 110 + ACCOUNT_LEFT_S));
	a.told = true;
	assert_false(account_left(&a, 110 + ACCOUNT_LEFT_S));
	r = answer(REPLY_GONE);
	assert_true(account_take(&a, ACCOUNT_REMOVE, 0, &r, 120));
	assert_int_equal(account_due(&a, 2000, 121), ACCOUNT_REST);
	a = (struct account){ .state = ACCOUNT_THERE, .expiry = 900 };
	assert_int_equal(account_due(&a, 900, 900), ACCOUNT_REMOVE);
}

/* The pause is over when it would have been, or at once: never so much later as the clock was set back. */
static void a_clock_set_back_stops_nothing(void **state)
{
	struct account a = { .state = ACCOUNT_REMOVING, .since = 100000 };
	struct account_answer r = answer(REPLY_NO);

	(void)state;
	account_take(&a, ACCOUNT_REMOVE, 0, &r, 100000);
	assert_int_equal(account_due(&a, 0, 100001), ACCOUNT_REST);
	assert_int_equal(account_due(&a, 0, 100001 - 86400), ACCOUNT_REMOVE);
	assert_true(account_left(&a, 100001 - 86400 + ACCOUNT_LEFT_S));
	/* an end that the step brought nearer goes out */
	a = (struct account){ .state = ACCOUNT_CREATING };
	r = answer(REPLY_OK);
	account_take(&a, ACCOUNT_CREATE, 200000, &r, 100000);
	assert_int_equal(account_due(&a, 200000 - 7200, 100001 - 7200), ACCOUNT_CREATE);
}

static void pauses_grow_and_end(void **state)
{
	struct account a = { .state = ACCOUNT_REMOVING };
	const struct account_answer r = answer(REPLY_NO);
	int64_t before = 0;

	(void)state;
	assert_int_equal(account_pause(0), 0);
	for (int i = 0; i < 2000; i++) {
		int64_t pause;

		account_take(&a, ACCOUNT_REMOVE, 0, &r, 1000);
		pause = a.next_at - 1000;
		assert_true(pause >= before && pause >= ACCOUNT_PAUSE && pause <= ACCOUNT_PAUSE_MAX);
		before = pause;
	}
	assert_int_equal(before, ACCOUNT_PAUSE_MAX);
	assert_int_equal(a.state, ACCOUNT_REMOVING);
}

static void answers_are_read_strictly(void **state)
{
	static const struct { const char *out; enum account_reply reply; const char *line; } table[] = {
		{ "ok\n", REPLY_OK, "" }, { "gone", REPLY_GONE, "" }, { "used 70010\n", REPLY_USED, "" },
		{ "Welcome to web1\n\nok\r\n\n", REPLY_OK, "" },
		{ "refused the time is over\n", REPLY_NO, "the time is over" }, { "failed useradd: x\n", REPLY_NO, "useradd: x" },
		{ "failed \033]0;x\007\n", REPLY_NO, "\\x1b]0;x\\x07" },
		{ "ok\nfailed x\n", REPLY_NO, "x" }, { "foreign it is x'\033s\n", REPLY_FOREIGN, "it is x'\\x1bs" },
		{ "", REPLY_NO, "no answer of bastion-account(8)" }, { "\n \n", REPLY_NO, "no answer of bastion-account(8)" },
		{ "okay\n", REPLY_NO, "no answer of bastion-account(8): okay" }, { "OK\n", REPLY_NO, "no answer of bastion-account(8): OK" },
		{ "used \n", REPLY_NO, "no answer of bastion-account(8): used" },
		{ "used 7x\n", REPLY_NO, "no answer of bastion-account(8): used 7x" },
		{ "used -1\n", REPLY_NO, "no answer of bastion-account(8): used -1" },
		{ "used 99999999999\n", REPLY_NO, "no answer of bastion-account(8): used 99999999999" },
	};
	struct account_answer r;
	char flood[5000];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		account_parse(&r, table[i].out, strlen(table[i].out));
		assert_int_equal(r.reply, table[i].reply);
		assert_string_equal(r.line, table[i].line);
	}
	account_parse(&r, "used 70010", 10);
	assert_int_equal(r.used, 70010);
	account_parse(&r, "ok\0x", 4);
	assert_int_equal(r.reply, REPLY_NO);
	memset(flood, '\033', sizeof(flood));
	memcpy(flood, "failed ", 7);
	account_parse(&r, flood, sizeof(flood));
	assert_int_equal(r.reply, REPLY_NO);
	assert_null(strchr(r.line, '\033'));
	assert_true(strlen(r.line) < sizeof(r.line));
}

static void what_the_target_is_asked(void **state)
{
	struct account a = { .uid = 70001 };
	char line[128];

	(void)state;
	snprintf(a.name, sizeof(a.name), "alice");
	assert_int_equal(account_ask(line, sizeof(line), &a, ACCOUNT_CREATE, 900, 100, "0af"), strlen("create alice 70001 900 100 0af\n"));
	assert_string_equal(line, "create alice 70001 900 100 0af\n");
	account_ask(line, sizeof(line), &a, ACCOUNT_REMOVE, 0, 100, "0af");
	assert_string_equal(line, "remove alice 70001 0af\n");
	assert_int_equal(account_ask(line, 8, &a, ACCOUNT_REMOVE, 0, 100, "0af"), 0);
}

/* --- who may have one --- */

/* web1 has accounts of one's own beside dba; the role own gives them. */
static int setup_self(void **state)
{
	setup_world(state);
	OK("root", "{\"word\":\"host change\",\"args\":{\"host\":\"web1\",\"login\":[\"dba\",\"@self\"]}}");
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"own\",\"host\":\"web*\",\"login\":\"@self\",\"max\":7200}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"own\",\"user\":\"alice\"}}");
	OK("root", "{\"word\":\"role approver add\",\"args\":{\"role\":\"own\",\"user\":\"bob\"}}");
	return 0;
}

static struct access_answer way(const char *user, const char *login)
{
	struct access_answer a;
	struct host h;

	control_way(&rig.c, id_of(user), "10.0.0.9", "web1", login, NULL, &a, &h);
	return a;
}

static void ones_own_name_and_no_other(void **state)
{
	(void)state;
	NO("alice", "refused", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"bob\",\"for\":3600,\"reason\":\"x\"}}");
	OK("alice", SELF_REQUEST);
	NO("alice", "refused", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"@self\",\"for\":3600,\"reason\":\"x\"}}"); /* the same */
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	assert_int_equal(way("alice", "alice").refusal, 0);
	assert_int_not_equal(way("alice", "bob").refusal, 0);
	assert_int_not_equal(way("alice", "dba").refusal, 0);
	assert_int_not_equal(way("bob", "alice").refusal, 0);
	assert_int_not_equal(way("bob", "bob").refusal, 0);
	assert_int_not_equal(way("carol", "alice").refusal, 0);
	OK("alice", "{\"word\":\"hosts\"}");
	assert_string_equal(json_string_value(json_array_get(json_object_get(json_array_get(json_object_get(last, "rows"), 1), "logins"), 1)), "alice");
	OK("alice", "{\"word\":\"explain\",\"args\":{\"user\":\"alice\",\"place\":\"alice@web1\"}}");
	assert_true(json_is_true(json_object_get(json_array_get(json_object_get(last, "rows"), 0), "allowed")) ||
	    json_is_true(json_object_get(json_object_get(last, "row"), "allowed")));
	OK("eve", "{\"word\":\"explain\",\"args\":{\"place\":\"alice@web1\"}}");
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 1);
	/* an account that the host has anyway is that one, and needs a role of its own */
	OK("root", "{\"word\":\"host change\",\"args\":{\"host\":\"web1\",\"login\":[\"alice\",\"@self\"]}}");
	assert_int_not_equal(way("alice", "alice").refusal, 0);
	NO("alice", "refused", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"@self\",\"for\":3600,\"reason\":\"x\"}}");
	/* a host without them: the grant ends */
	OK("root", "{\"word\":\"host change\",\"args\":{\"host\":\"web1\",\"login\":[\"dba\"]}}");
	struct ticket t;

	assert_int_equal(store_ticket(rig.s, 1, &t), 1);
	assert_int_equal(t.state, TICKET_REVOKED);
}

static void a_denial_counts_by_either_name(void **state)
{
	static const char *const logins[] = { "@self", "alice" };
	char word[256];

	(void)state;
	OK("alice", SELF_REQUEST);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(way("alice", "alice").refusal, 0);
		snprintf(word, sizeof(word), "{\"word\":\"role add\",\"args\":{\"role\":\"no%zu\",\"deny\":true,\"everyone\":true,\"host\":\"web1\",\"login\":\"%s\"}}",
		    i, logins[i]);
		OK("root", word);
		assert_int_equal(way("alice", "alice").refusal, WAY_DENIED);
		NO("alice", "refused", SELF_REQUEST);
		snprintf(word, sizeof(word), "{\"word\":\"role remove\",\"args\":{\"role\":\"no%zu\"}}", i);
		OK("root", word);
	}
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"nobob\",\"deny\":true,\"everyone\":true,\"host\":\"web1\",\"login\":\"bob\"}}");
	assert_int_equal(way("alice", "alice").refusal, 0);
}

static void trust_says_what_they_need(void **state)
{
	(void)state;
	OK("root", "{\"word\":\"host trust\",\"args\":{\"host\":\"web1\"}}");
	assert_non_null(strstr(field("text"), "forced-commands-only"));
	OK("root", "{\"word\":\"host trust\",\"args\":{\"host\":\"db1\"}}");
	assert_null(strstr(field("text"), "forced-commands-only"));
}

static void no_managed_key_for_them(void **state)
{
	(void)state;
	NO("root", "usage", "{\"word\":\"host add\",\"args\":{\"host\":\"old\",\"address\":\"10.1.1.9\",\"key\":\"" KEY_B "\",\"login\":\"@self\",\"managed_key\":\"legacy\"}}");
	NO("root", "usage", "{\"word\":\"host add\",\"args\":{\"host\":\"old\",\"address\":\"10.1.1.9\",\"key\":\"" KEY_B "\",\"login\":\"@selfish\"}}");
	OK("root", "{\"word\":\"host add\",\"args\":{\"host\":\"old\",\"address\":\"10.1.1.9\",\"key\":\"" KEY_B "\",\"login\":\"dba\",\"managed_key\":\"legacy\"}}");
	NO("root", "usage", "{\"word\":\"host change\",\"args\":{\"host\":\"old\",\"login\":\"@self\"}}");
}

/* --- rows --- */

static void is_wanted(int64_t until)
{
	struct account a = { .id = 0 };
	int64_t end = -1;

	assert_int_equal(store_account_wanted(rig.s, rig.now, &a, &end), until != 0);
	if (until != 0) {
		assert_int_equal(a.id, 0);
		assert_int_equal(end, until);
		assert_string_equal(a.name, "alice");
		assert_int_equal(store_account_until(rig.s, a.user_id, a.host_id, rig.now, &end), 1);
		assert_int_equal(end, until);
	}
}

static void wanted_while_a_grant_is_in_force(void **state)
{
	(void)state;
	is_wanted(0);
	OK("alice", SELF_REQUEST);
	is_wanted(0);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	is_wanted(NOW + 3600);
	OK("root", "{\"word\":\"user lock\",\"args\":{\"user\":\"alice\"}}");
	is_wanted(0);
	OK("root", "{\"word\":\"user unlock\",\"args\":{\"user\":\"alice\"}}");
	/* the longest counts, and one that begins later does not */
	OK("alice", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"@self\",\"for\":7200,\"reason\":\"x\"}}");
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":2}}");
	is_wanted(NOW + 7200);
	OK("bob", "{\"word\":\"revoke\",\"args\":{\"id\":2}}");
	is_wanted(NOW + 3600);
	OK("alice", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"@self\",\"for\":7200,\"reason\":\"x\",\"from\":1800090000}}");
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":3}}");
	is_wanted(NOW + 3600);
	rig.now = NOW + 3600;
	is_wanted(0);
	rig.now = 1800090000;
	is_wanted(1800090000 + 7200);
	OK("root", "{\"word\":\"host remove\",\"args\":{\"host\":\"web1\"}}");
	is_wanted(0);
}

static void other_logins_want_none(void **state)
{
	(void)state;
	OK("alice", REQUEST_WEB1);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	is_wanted(0);
}

#define ADD(a, high, now) store_account_add(rig.s, a, LOW, high, 99, now)

static void save_state(struct account *a, enum account_state to)
{
	a->state = to;
	assert_int_equal(store_account_save(rig.s, a), 0);
}

static void a_uid_is_given_once(void **state)
{
	struct account a = { .user_id = id_of("alice"), .host_id = 1 }, b = { .user_id = id_of("bob"), .host_id = 2 }, c;
	int64_t room;

	(void)state;
	snprintf(a.name, sizeof(a.name), "alice");
	snprintf(b.name, sizeof(b.name), "bob");
	assert_int_equal(ADD(&a, HIGH, NOW), 0);
	assert_int_equal(ADD(&b, HIGH, NOW), 0);
	assert_true(a.uid == LOW && b.uid == LOW + 1);
	c = a;
	assert_int_equal(ADD(&c, HIGH, NOW), -1); /* one of this user at this host */
	assert_int_equal(errno, EEXIST);
	save_state(&a, ACCOUNT_REMOVING);
	save_state(&a, ACCOUNT_GONE);
	assert_int_equal(store_account_of(rig.s, a.user_id, a.host_id, &c), 0);
	/* the next one of the pair waits a little, and has the next number: never that of before */
	c = a;
	assert_int_equal(ADD(&c, HIGH, NOW), -1);
	assert_int_equal(errno, EALREADY);
	assert_int_equal(ADD(&c, HIGH, NOW + ACCOUNT_PAUSE), 0);
	assert_true(c.uid == LOW + 2 && c.next_at == NOW + ACCOUNT_PAUSE);
	assert_int_equal(store_account_room(rig.s, LOW, HIGH, &room), 0);
	assert_int_equal(room, 1);
	c.expiry = NOW + 100;
	save_state(&c, ACCOUNT_THERE);
	save_state(&c, ACCOUNT_REMOVING);
	save_state(&c, ACCOUNT_GONE);
	assert_int_equal(ADD(&c, HIGH, NOW + 3700), 0);
	assert_true(c.uid == HIGH && c.next_at == NOW + 3700);
	save_state(&b, ACCOUNT_REMOVING);
	save_state(&b, ACCOUNT_GONE);
	assert_int_equal(ADD(&b, HIGH, NOW + 3700), -1);
	assert_int_equal(errno, ERANGE);
	/* another range, lower or higher: never a number of before */
	assert_int_equal(store_account_add(rig.s, &b, 1000, HIGH + 1, 99, NOW + 3700 + ACCOUNT_PAUSE), 0);
	assert_int_equal(b.uid, HIGH + 1);
	save_state(&b, ACCOUNT_REMOVING);
	save_state(&b, ACCOUNT_GONE);
	assert_int_equal(store_accounts_restored(rig.s), 0);
	assert_int_equal(store_account_add(rig.s, &b, 1000, 99999, 99, NOW + 9000), 0);
	assert_int_equal(b.uid, HIGH + 1002);
}

/* A row that is made and given up at once. */
static int make_and_drop(const char *user, int64_t host_id, int hourly, int64_t now)
{
	struct account a = { .user_id = id_of(user), .host_id = host_id };

	snprintf(a.name, sizeof(a.name), "%s", user);
	if (store_account_add(rig.s, &a, LOW, 99999, hourly, now) != 0)
		return -1;
	a.since = now;
	save_state(&a, ACCOUNT_REMOVING);
	save_state(&a, ACCOUNT_GONE);
	return 0;
}

/* Who asks and gives back all the time, at one host and at many, by one user and by another of the same person. */
static void nobody_uses_up_the_uids_alone(void **state)
{
	struct account a = { .user_id = id_of("alice"), .host_id = 1 };
	int64_t at, room;
	int n = 0;

	(void)state;
	for (int64_t now = NOW; now < NOW + 3600; now++)
		n += make_and_drop("alice", 1, 10000, now) == 0;
	assert_true(n >= 6 && n <= 20);
	assert_int_equal(store_account_room(rig.s, LOW, 99999, &room), 0);
	assert_int_equal(room, 99999 - LOW + 1 - n);
	assert_int_equal(store_account_hold(rig.s, &a, 10000, NOW + 3600, true, &at), HOLD_PAIR);
	assert_true(at > NOW + 3600 && at <= NOW + 3600 + ACCOUNT_PAUSE_MAX);
	/* another host, another user: no pause for them */
	assert_int_equal(make_and_drop("alice", 2, 10000, NOW + 3600), 0);
	assert_int_equal(make_and_drop("bob", 1, 10000, NOW + 3600), 0);
	/* of one person so many, also by the other user of theirs */
	assert_int_equal(by_hand("UPDATE users SET person='anna' WHERE name IN ('alice', 'carol')"), SQLITE_OK);
	a.user_id = id_of("carol");
	assert_int_equal(store_account_hold(rig.s, &a, 3, NOW + 3600, true, &at), HOLD_PERSON);
	assert_true(at > NOW + 3600 && at <= NOW + 7200);
	assert_int_equal(make_and_drop("carol", 1, 3, NOW + 3600), -1);
	assert_int_equal(errno, EALREADY);
	assert_int_equal(make_and_drop("carol", 1, 3, at - 1), -1);
	assert_int_equal(make_and_drop("carol", 1, 3, at), 0);
	assert_int_equal(make_and_drop("bob", 2, 3, at), 0);
	/* all this came from a clock that was ahead: it holds nobody for ever */
	assert_int_equal(store_account_hold(rig.s, &a, 1, NOW - 86400, true, &at), HOLD_NONE);
}

/* Whose account it is at a target: made with the database, and never another. */
static void a_bastion_is_itself(void **state)
{
	char id[BASTION_ID_LEN + 1], again[BASTION_ID_LEN + 1];

	(void)state;
	assert_int_equal(store_bastion_id(rig.s, id), 0);
	assert_int_equal(strlen(id), BASTION_ID_LEN);
	assert_int_equal(strspn(id, "0123456789abcdef"), BASTION_ID_LEN);
	assert_int_equal(by_hand("UPDATE bastion SET id=randomblob(16)"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("DELETE FROM bastion"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("INSERT INTO bastion VALUES (2, randomblob(16))"), SQLITE_CONSTRAINT);
	assert_int_equal(store_bastion_id(rig.s, again), 0);
	assert_string_equal(id, again);
}

/* What is due comes in its order, and a look that goes on misses none and sees none twice. */
static void what_is_due_is_found_in_turn(void **state)
{
	static const struct { const char *user; enum account_state state; int64_t at; } rows[] = {
		{ "alice", ACCOUNT_REMOVING, NOW + 5 }, { "bob", ACCOUNT_THERE, NOW + 1 }, { "carol", ACCOUNT_CREATING, NOW + 5 },
		{ "deploy", ACCOUNT_REMOVING, NOW + 9 }, { "eve", ACCOUNT_GONE, NOW }, { "adam", ACCOUNT_THERE, NOW + 100 },
	};
	int64_t at = 0, after = 0, found[8], n = 0;
	struct account a;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		a = (struct account){ .user_id = id_of(rows[i].user), .host_id = 1 };
		snprintf(a.name, sizeof(a.name), "%s", rows[i].user);
		assert_int_equal(ADD(&a, 99999, NOW), 0);
		if (rows[i].state == ACCOUNT_THERE)
			a.expiry = rows[i].at;
		else
			a.next_at = rows[i].at;
		if (rows[i].state == ACCOUNT_GONE)
			save_state(&a, ACCOUNT_REMOVING);
		save_state(&a, rows[i].state);
	}
	while (store_account_due(rig.s, NOW + 8, &at, &after, &a) == 1 && n < 8)
		found[n++] = a.id;
	assert_int_equal(n, 3);
	assert_true(found[0] == 2 && found[1] == 1 && found[2] == 3);
	at = NOW + 5, after = 1;
	assert_int_equal(store_account_due(rig.s, NOW + 8, &at, &after, &a), 1);
	assert_int_equal(a.id, 3);
	at = after = 0;
	assert_int_equal(store_account_due(rig.s, NOW, &at, &after, &a), 0);
}

static void the_schema_holds_it_too(void **state)
{
	struct account a = { .user_id = id_of("alice"), .host_id = 1 };

	(void)state;
	snprintf(a.name, sizeof(a.name), "alice");
	assert_int_equal(ADD(&a, HIGH, NOW), 0);
	assert_int_equal(by_hand("UPDATE account_uid SET last=69999"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("DELETE FROM account_uid"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("DELETE FROM accounts"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("UPDATE accounts SET uid=70002"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("UPDATE accounts SET state='gone'"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("INSERT INTO accounts SELECT 9, 2, host_id, name, 70002, state, expiry, made, since, next_at, tries, told, line, checked, wasted "
	    "FROM accounts"), SQLITE_CONSTRAINT);
	save_state(&a, ACCOUNT_THERE);
	assert_int_equal(by_hand("UPDATE accounts SET state='creating'"), SQLITE_CONSTRAINT);
	save_state(&a, ACCOUNT_REMOVING);
	assert_int_equal(by_hand("UPDATE accounts SET state='there'"), SQLITE_CONSTRAINT);
	save_state(&a, ACCOUNT_GONE);
	assert_int_equal(by_hand("UPDATE accounts SET state='creating'"), SQLITE_CONSTRAINT);
}

static void a_departure_names_it(void **state)
{
	struct account a = { .user_id = id_of("alice"), .host_id = 1 };
	const json_t *row = NULL;

	(void)state;
	snprintf(a.name, sizeof(a.name), "alice");
	assert_int_equal(ADD(&a, HIGH, NOW), 0);
	OK("root", "{\"word\":\"user leave\",\"args\":{\"user\":\"alice\"}}");
	for (size_t i = 0; i < json_array_size(json_object_get(last, "rows")); i++) {
		row = json_array_get(json_object_get(last, "rows"), i);
		if (strcmp(json_string_value(json_object_get(row, "what")), "host account") == 0)
			break;
		row = NULL;
	}
	assert_non_null(row);
	assert_string_equal(json_string_value(json_object_get(row, "name")), "web1");
	assert_string_equal(json_string_value(json_object_get(row, "detail")), "uid 70000");
}

static void the_words(void **state)
{
	struct account a = { .user_id = id_of("alice"), .host_id = 1 }, b;
	const json_t *row;

	(void)state;
	snprintf(a.name, sizeof(a.name), "alice");
	assert_int_equal(ADD(&a, HIGH, NOW), 0);
	OK("eve", "{\"word\":\"accounts\"}");
	row = json_array_get(json_object_get(last, "rows"), 0);
	assert_string_equal(json_string_value(json_object_get(row, "user")), "alice");
	assert_string_equal(json_string_value(json_object_get(row, "host")), "web1");
	assert_string_equal(json_string_value(json_object_get(row, "state")), "creating");
	assert_int_equal(json_integer_value(json_object_get(row, "uid")), LOW);
	NO("root", "refused", "{\"word\":\"accounts forget\",\"args\":{\"id\":1,\"reason\":\"x\"}}");
	a.tries = 3;
	snprintf(a.line, sizeof(a.line), "unreachable");
	save_state(&a, ACCOUNT_REMOVING);
	NO("eve", "denied", "{\"word\":\"accounts forget\",\"args\":{\"id\":1,\"reason\":\"x\"}}");
	NO("root", "usage", "{\"word\":\"accounts forget\",\"args\":{\"id\":1}}");
	OK("adam", "{\"word\":\"accounts forget\",\"args\":{\"id\":1,\"reason\":\"scrapped\"}}");
	assert_int_equal(store_account(rig.s, 1, &b), 1);
	assert_int_equal(b.state, ACCOUNT_GONE);
	NO("adam", "not_found", "{\"word\":\"accounts forget\",\"args\":{\"id\":1,\"reason\":\"scrapped\"}}");
	OK("adam", "{\"word\":\"accounts\"}");
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 0);
	OK("adam", "{\"word\":\"accounts\",\"args\":{\"all\":true}}");
	assert_int_equal(json_array_size(json_object_get(last, "rows")), 1);
	OK("root", "{\"word\":\"events\"}");
	row = json_object_get(last, "rows");
	row = json_array_get(row, json_array_size(row) - 2); /* the refused word is the last */
	assert_string_equal(json_string_value(json_object_get(row, "kind")), "account.forget");
}

#define T(f, s) cmocka_unit_test_setup_teardown(f, s, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_answer_leads_where_it_may),
		cmocka_unit_test(what_is_due),
		cmocka_unit_test(a_clock_set_back_stops_nothing), cmocka_unit_test(pauses_grow_and_end),
		cmocka_unit_test(answers_are_read_strictly),
		cmocka_unit_test(what_the_target_is_asked),
		T(ones_own_name_and_no_other, setup_self),
		T(a_denial_counts_by_either_name, setup_self),
		T(trust_says_what_they_need, setup_self),
		T(no_managed_key_for_them, setup_self),
		T(wanted_while_a_grant_is_in_force, setup_self),
		T(other_logins_want_none, setup_self),
		T(a_uid_is_given_once, setup_world),
		T(nobody_uses_up_the_uids_alone, setup_world),
		T(a_bastion_is_itself, setup_world),
		T(what_is_due_is_found_in_turn, setup_world),
		T(the_schema_holds_it_too, setup_world),
		T(a_departure_names_it, setup_world),
		T(the_words, setup_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
