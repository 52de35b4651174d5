/*
 * test_report.c - the reports for auditors: what is in each, for whom, page by page; and the same as CSV.
 */
#include "store_rig.h"

#include "render.h"
#include "store_account.h"
#include "store_device.h"
#include "store_hostkey.h"
#include "store_report.h"

/* One member of row i of the last reply, as text. "" when there is none. */
static const char *at(size_t i, const char *key)
{
	static char text[512];
	json_t *v = json_object_get(json_array_get(json_object_get(last, "rows"), i), key);
	char *dump = json_is_string(v) ? NULL : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

	snprintf(text, sizeof(text), "%s", json_is_string(v) ? json_string_value(v) : dump != NULL ? dump : "");
	free(dump);
	return text;
}

static size_t rows(const char *who, const char *json)
{
	OK(who, json);
	return json_array_size(json_object_get(last, "rows"));
}

#define REPORT(word, args) "{\"word\":\"report " word "\",\"args\":{" args "}}"

static const char *const all_reports[] = {
	REPORT("logins", ""), REPORT("privileges", ""), REPORT("refused", ""), REPORT("requests", ""),
	REPORT("grants", ""), REPORT("break-glass", ""), REPORT("access", ""), REPORT("services", ""), REPORT("dormant", ""),
};

static void only_auditors_and_administrators(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(all_reports) / sizeof(all_reports[0]); i++) {
		OK("root", all_reports[i]);
		OK("adam", all_reports[i]);
		OK("eve", all_reports[i]);
		NO("alice", "denied", all_reports[i]);
		NO("bob", "denied", all_reports[i]);
	}
}

static void logins(void **state)
{
	(void)state;
	event_writef(rig.s, NOW + 1, EVENT_LOGIN, "alice", "alice", "{s:s,s:s,s:i}", "device", "laptop", "peer", "10.0.0.9", "connection", 7);
	event_writef(rig.s, NOW + 2, EVENT_OTP_FAIL, "bob", "bob", NULL);
	event_writef(rig.s, NOW + 3, EVENT_LOGOUT, "alice", "alice", "{s:i,s:s}", "connection", 7, "why", "bye");
	event_writef(rig.s, NOW + 4, EVENT_WAY_UP, "alice", "web1", NULL);
	assert_int_equal(rows("eve", REPORT("logins", "")), 3);
	assert_string_equal(at(0, "from"), "10.0.0.9");
	assert_string_equal(at(0, "device"), "laptop");
	assert_string_equal(at(1, "kind"), "otp.fail");
	assert_string_equal(at(1, "from"), "");
	assert_string_equal(at(2, "why"), "bye");
	assert_int_equal(rows("eve", REPORT("logins", "\"user\":\"bob\"")), 1);
	/* from this time on, and before that one */
	assert_int_equal(rows("eve", REPORT("logins", "\"since\":1800000002")), 2);
	assert_int_equal(rows("eve", REPORT("logins", "\"since\":1800000002,\"until\":1800000003")), 1);
	assert_int_equal(rows("eve", REPORT("logins", "\"since\":1900000000")), 0);
	assert_int_equal(rows("eve", REPORT("logins", "\"until\":5")), 0);
	NO("eve", "usage", REPORT("logins", "\"since\":7,\"until\":7"));
	/* a detail that is no JSON is no reason to fail: somebody else wrote it */
	assert_int_equal(by_hand("DROP TRIGGER events_fixed; UPDATE events SET detail='{' WHERE kind='login.ok'"), SQLITE_OK);
	assert_int_equal(rows("eve", REPORT("logins", "")), 3);
}

static void privileges_and_refusals(void **state)
{
	size_t n;

	(void)state;
	n = rows("eve", REPORT("privileges", ""));
	assert_true(n >= 16); /* the world was made */
	assert_string_equal(at(0, "kind"), "store.init");
	OK("adam", "{\"word\":\"user lock\",\"args\":{\"user\":\"alice\",\"reason\":\"lost\"}}");
	assert_int_equal(rows("eve", REPORT("privileges", "")), n + 1);
	assert_string_equal(at(n, "actor"), "adam");
	assert_string_equal(at(n, "subject"), "alice");
	assert_int_equal(rows("eve", REPORT("refused", "")), 0);
	NO("bob", "denied", "{\"word\":\"user lock\",\"args\":{\"user\":\"carol\"}}");
	event_writef(rig.s, NOW, EVENT_WAY_REFUSED, "alice", "web1", "{s:s,s:s}", "login", "root", "why", "no grant");
	event_writef(rig.s, NOW, EVENT_LEFT_OUT, "alice", NULL, "{s:i}", "left_out", 900);
	assert_int_equal(rows("eve", REPORT("refused", "")), 3);
	assert_string_equal(at(0, "what"), "user lock");
	assert_string_equal(at(0, "why"), "'user lock' is not for you.");
	assert_string_equal(at(1, "what"), "root");
	assert_string_equal(at(2, "left_out"), "900");
	assert_int_equal(rows("eve", REPORT("refused", "\"host\":\"web1\"")), 1);
}

/* --- what administrators do --- */

#define FRESH "SHA256:fresh"	/* a key that web1 announced */

/* Every word that administrators or root have and policy carries out, in an order in which each does something. */
static const struct { const char *word, *args; } admins[] = {
	{ "user add", "\"user\":\"zoe\"" }, { "user list", "" }, { "user lock", "\"user\":\"zoe\"" }, { "user unlock", "\"user\":\"zoe\"" },
	{ "user key add", "\"user\":\"zoe\",\"device\":\"desk\",\"key\":\"" KEY_B "\"" }, { "user key invite", "\"user\":\"zoe\"" },
	{ "user key approve", "\"user\":\"alice\",\"device\":\"phone\"" }, { "user totp enrol", "\"user\":\"zoe\"" },
	{ "user totp reset", "\"user\":\"zoe\"" }, { "role add", "\"role\":\"ops\",\"host\":\"*\",\"login\":\"dba\"" },
	{ "role change", "\"role\":\"ops\",\"max\":60" }, { "role list", "" }, { "role show", "\"role\":\"ops\"" },
	{ "role member add", "\"role\":\"ops\",\"user\":\"zoe\"" }, { "role approver add", "\"role\":\"ops\",\"user\":\"bob\"" },
	{ "role member remove", "\"role\":\"ops\",\"user\":\"zoe\"" }, { "role approver remove", "\"role\":\"ops\",\"user\":\"bob\"" },
	{ "role remove", "\"role\":\"ops\"" }, { "user move", "\"user\":\"zoe\"" }, { "user leave", "\"user\":\"zoe\"" },
	{ "user remove", "\"user\":\"carol\"" }, { "host add", "\"host\":\"h\",\"address\":\"10.1.1.9\",\"login\":\"dba\",\"key\":\"" KEY_A "\"" },
	{ "host list", "" }, { "host change", "\"host\":\"h\",\"login\":\"www\"" }, { "host trust", "\"host\":\"h\"" },
	{ "host keys", "\"host\":\"web1\"" }, { "host scan", "\"host\":\"web1\"" },
	{ "host trust-key", "\"host\":\"web1\",\"fingerprint\":\"" FRESH "\"" }, { "host forget-key", "\"host\":\"web1\",\"fingerprint\":\"" FRESH "\"" },
	{ "host rotate", "\"host\":\"web1\"" }, { "host remove", "\"host\":\"h\"" }, { "key list", "" }, { "accounts", "" },
	{ "accounts forget", "\"id\":1,\"reason\":\"gone\"" }, { "blocks", "" }, { "unblock", "\"network\":\"192.0.2.0/24\"" },
	{ "ticket check", "\"ticket\":\"OPS-7\"" },
	{ "directory stage", "\"begin\":true,\"entry\":[\"yan|dba|Yan\"]" }, { "directory apply", "" }, { "watch", "\"id\":1" }, { "events", "" },
	{ "note-replay", "\"how\":\"replay\",\"number\":1,\"at\":1800000000,\"hash\":\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"" },
	{ "report logins", "" }, { "report privileges", "" }, { "report refused", "" }, { "report requests", "" }, { "report grants", "" },
	{ "report break-glass", "" }, { "report access", "" }, { "report services", "" }, { "report dormant", "" },
};

/* What they look at changes nothing. */
static const char *const looks[] = { "watch.start", "recording.replay" };

static int rotates(void *arg, const struct host *h, const char *login, char *line, size_t size)
{
	(void)arg;
	(void)h;
	(void)login;
	snprintf(line, size, "%s", "");
	return 1;
}

static enum outside is_open(void *arg, const char *ref, char *line, size_t size)
{
	(void)arg;
	(void)ref;
	snprintf(line, size, "%s", "");
	return OUTSIDE_OPEN;
}

static uint32_t watches(void *arg, const struct actor *who, const char *name, int64_t connection, uint32_t terminal, char *line, size_t size)
{
	(void)arg;
	(void)who;
	(void)name;
	(void)connection;
	(void)terminal;
	snprintf(line, size, "%s", "");
	return 1;
}

static void settles(void *arg, uint32_t watch, bool done)
{
	(void)arg;
	(void)watch;
	(void)done;
}

/* Something to do for each word. */
static void make_work(void)
{
	struct host_key fresh = { .type = "ssh-ed25519", .fingerprint = FRESH, .len = 3, .blob = "key" };
	struct connection c = { .user_id = id_of("alice"), .device_id = 1, .peer = "10.0.0.9" };
	struct account a = { .user_id = id_of("alice"), .host_id = 1, .name = "alice" };
	struct device d = { .user_id = id_of("alice"), .name = "phone", .type = "ssh-ed25519", .fingerprint = "SHA256:phone" };

	assert_int_equal(store_announced_add(rig.s, 1, &fresh, NOW), 1);
	assert_int_equal(store_connection_start(rig.s, &c, NOW), 0);
	assert_int_equal(store_account_add(rig.s, &a, 2000, 2999, 99, NOW), 0);
	a.state = ACCOUNT_REMOVING;
	assert_int_equal(store_account_save(rig.s, &a), 0);
	assert_int_equal(store_waiting_add(rig.s, &d, "phone", 5, NOW), 0);
	rig.c.rotate = rotates;
	rig.c.ticket = is_open;
	rig.c.watch_new = watches;
	rig.c.watch_settle = settles;
}

/* The events of a kind that changes something, by who says words, after this number: each is in the report. How many. */
static size_t reported(int64_t after)
{
	char json[128];
	json_t *events, *row;
	size_t n, i, found = 0;

	snprintf(json, sizeof(json), "{\"word\":\"events\",\"args\":{\"after\":%lld,\"limit\":1000}}", (long long)after);
	OK("eve", json);
	events = json_incref(json_object_get(last, "rows"));
	snprintf(json, sizeof(json), REPORT("privileges", "\"after\":%lld"), (long long)after);
	n = rows("eve", json);
	json_array_foreach(events, i, row) {
		const char *kind = json_string_value(json_object_get(row, "kind"));
		bool there = strcmp(kind, looks[0]) == 0 || strcmp(kind, looks[1]) == 0;

		for (size_t j = 0; j < n && !there; j++)
			there = json_equal(json_object_get(row, "id"), json_object_get(json_array_get(json_object_get(last, "rows"), j), "id"));
		if (!there)
			fail_msg("%s is not in report privileges", kind);
		found++;
	}
	json_decref(events);
	return found;
}

static void what_administrators_do_is_reported(void **state)
{
	size_t changed = 0;
	char json[400];

	(void)state;
	for (size_t i = 0; i < words_count; i++) {
		const struct words_word *w = &words_table[i];
		bool tried = w->who < WHO_ADMIN || w->where != AT_POLICY;

		for (size_t j = 0; j < sizeof(admins) / sizeof(admins[0]); j++)
			tried |= strcmp(w->path, admins[j].word) == 0;
		if (!tried)
			fail_msg("a new word of administrators: %s", w->path);
	}
	make_work();
	for (size_t i = 0; i < sizeof(admins) / sizeof(admins[0]); i++) {
		const bool root = strncmp(admins[i].word, "directory", 9) == 0, watch = strcmp(admins[i].word, "watch") == 0;
		int64_t head = 0;
		uint8_t hash[EVENT_HASH_LEN];

		assert_true(store_event_head(rig.s, &head, hash) >= 0);
		snprintf(json, sizeof(json), "{\"word\":\"%s\",\"args\":{%s}}", admins[i].word, admins[i].args);
		OK(root ? "root" : strcmp(admins[i].word, "note-replay") == 0 || watch ? "eve" : "adam", json);
		changed += reported(head) > 0;
	}
	assert_int_equal(changed, 30); /* the others read, or stage */
}

static void requests_and_grants(void **state)
{
	struct way_row w = { .ticket_id = 1, .host_id = 1, .login = "dba", .target = "10.1.1.1:22", .bytes_in = 5, .bytes_out = 7 };
	struct connection c = { .device_id = 1 };

	(void)state;
	OK("alice", REQUEST_WEB1);
	rig.now += 60;
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	OK("alice", REQUEST_DB1);
	rig.now += 30;
	OK("carol", "{\"word\":\"deny\",\"args\":{\"id\":2,\"reason\":\"no\"}}");
	assert_int_equal(rows("eve", REPORT("requests", "")), 2);
	assert_string_equal(at(0, "waited"), "60");
	assert_string_equal(at(0, "verdicts"), "[\"bob yes 2027-01-15T08:01:00Z\"]");
	assert_string_equal(at(1, "state"), "denied");
	assert_string_equal(at(1, "waited"), "30");
	assert_int_equal(rows("eve", REPORT("requests", "\"user\":\"carol\"")), 1);	/* who decided */
	assert_int_equal(rows("eve", REPORT("requests", "\"host\":\"DB1\"")), 1);
	assert_int_equal(rows("eve", REPORT("requests", "\"since\":1800000060")), 1);
	/* a grant that nobody used, then one that was */
	assert_int_equal(rows("eve", REPORT("grants", "\"unused\":true")), 1);
	assert_string_equal(at(0, "sessions"), "0");
	c.user_id = id_of("alice");
	assert_int_equal(store_connection_start(rig.s, &c, rig.now), 0);
	w.connection_id = c.id;
	assert_int_equal(store_way_start(rig.s, &w, "alice", rig.now), 0);
	assert_int_equal(store_way_end(rig.s, &w, "done", rig.now + 100), 0);
	assert_int_equal(rows("eve", REPORT("grants", "\"unused\":true")), 0);
	assert_int_equal(rows("eve", REPORT("grants", "")), 1);
	assert_string_equal(at(0, "sessions"), "1");
	assert_string_equal(at(0, "time"), "100");
	assert_string_equal(at(0, "bytes_out"), "7");
	assert_string_equal(at(0, "approvers"), "[\"bob\"]");
}

static json_int_t session(const char *key)
{
	json_t *list = store_list(rig.s, LIST_SESSIONS, &(struct list_ask){ .all = true, .limit = 10 });
	json_int_t v = json_integer_value(json_object_get(json_array_get(list, 0), key));

	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	return v;
}

/* A session that goes on under a second grant when the first is over is one of both, each for its time. */
static void a_session_of_two_grants(void **state)
{
	struct way_row w = { .ticket_id = 1, .host_id = 1, .login = "dba", .target = "10.1.1.1:22", .bytes_out = 7 };
	struct connection c = { .device_id = 1, .user_id = id_of("alice") };

	(void)state;
	OK("alice", REQUEST_WEB1);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	assert_int_equal(store_connection_start(rig.s, &c, rig.now), 0);
	w.connection_id = c.id;
	assert_int_equal(store_way_start(rig.s, &w, "alice", rig.now), 0);
	assert_int_equal(session("grant"), 1);
	rig.now += 3500;
	OK("alice", "{\"word\":\"extend\",\"args\":{\"id\":1,\"for\":3600}}");
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":2}}");
	rig.now += 100;
	assert_int_equal(store_grant_use(rig.s, 2, w.id, "alice", rig.now), 0);
	assert_true(control_tick(&rig.c, rig.now) > rig.now); /* the first is over */
	assert_int_equal(session("grant"), 2);
	assert_true(session("until") > rig.now);
	rig.now += 1000;
	assert_int_equal(store_way_end(rig.s, &w, "done", rig.now), 0);
	rig.now += 100000;
	assert_true(control_tick(&rig.c, rig.now) > rig.now);
	assert_int_equal(session("grant"), 2);
	assert_true(session("until") > session("ended"));
	assert_int_equal(rows("eve", REPORT("grants", "")), 2);
	assert_string_equal(at(0, "sessions"), "1");
	assert_string_equal(at(0, "time"), "3600");
	assert_string_equal(at(1, "sessions"), "1");
	assert_string_equal(at(1, "time"), "1000");
	assert_string_equal(at(1, "bytes_out"), "7");
	/* what it rested on stays as long as the session's row */
	assert_int_not_equal(by_hand("DELETE FROM way_grants"), SQLITE_OK);
	assert_int_not_equal(by_hand("UPDATE way_grants SET request_id=1"), SQLITE_OK);
	assert_true(store_session_prune(rig.s, rig.now, 10) > 0);
	assert_int_equal(by_hand_number("SELECT count(*) FROM way_grants"), 0);
	assert_int_equal(store_check(rig.s, (char[STORE_ERR_MAX]){ 0 }), 0);
}

static void break_glass(void **state)
{
	(void)state;
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"glass\",\"host\":\"web*\",\"login\":\"dba\",\"break_glass\":true}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"glass\",\"user\":\"alice\"}}");
	OK("root", "{\"word\":\"role approver add\",\"args\":{\"role\":\"glass\",\"user\":\"bob\"}}");
	OK("alice", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"break_glass\":true,\"reason\":\"down\"}}");
	OK("alice", REQUEST_DB1);
	rig.now += 600;
	assert_int_equal(rows("eve", REPORT("break-glass", "\"owed\":true")), 1);
	assert_string_equal(at(0, "review"), "owed");
	assert_string_equal(at(0, "waited"), "600");
	assert_string_equal(at(0, "reason"), "down");
	OK("bob", "{\"word\":\"review\",\"args\":{\"id\":1,\"verdict\":\"justified\",\"reason\":\"it was\"}}");
	rig.now += 600;
	assert_int_equal(rows("eve", REPORT("break-glass", "\"owed\":true")), 0);
	assert_int_equal(rows("eve", REPORT("break-glass", "")), 1);
	assert_string_equal(at(0, "review"), "justified");
	assert_string_equal(at(0, "reviewer"), "bob");
	assert_string_equal(at(0, "waited"), "600");
	assert_string_equal(at(0, "finding"), "it was");
}

static void access_on_a_day(void **state)
{
	char json[128];

	(void)state;
	OK("alice", REQUEST_WEB1);
	rig.now = NOW + 100;
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	rig.now = NOW + 200;
	OK("bob", "{\"word\":\"revoke\",\"args\":{\"id\":1}}");
	rig.now = NOW + 5000;
	static const struct { int after, want; } when[] = { { 99, 0 }, { 100, 1 }, { 199, 1 }, { 200, 0 }, { 3701, 0 } };

	for (size_t i = 0; i < sizeof(when) / sizeof(when[0]); i++) {
		snprintf(json, sizeof(json), REPORT("access", "\"at\":%lld,\"host\":\"web1\",\"login\":\"dba\""), NOW + when[i].after);
		assert_int_equal(rows("eve", json), when[i].want);
	}
	NO("eve", "usage", REPORT("access", "\"at\":1900000000"));
	snprintf(json, sizeof(json), REPORT("access", "\"at\":%lld,\"login\":\"www\""), NOW + 150);
	assert_int_equal(rows("eve", json), 0);
}

/* Who had an account of their own is found by its name at the host. */
static void access_by_ones_own_login(void **state)
{
	static const struct { const char *login; int want; } ask[] = { { "alice", 1 }, { "@self", 1 }, { "bob", 0 }, { "dba", 0 } };
	char json[128];

	(void)state;
	OK("root", "{\"word\":\"host change\",\"args\":{\"host\":\"web1\",\"login\":[\"dba\",\"@self\"]}}");
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"own\",\"host\":\"web*\",\"login\":\"@self\"}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"own\",\"user\":\"alice\"}}");
	OK("root", "{\"word\":\"role approver add\",\"args\":{\"role\":\"own\",\"user\":\"bob\"}}");
	OK("alice", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"alice\",\"for\":3600,\"reason\":\"disk\"}}");
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	rig.now = NOW + 100;
	for (size_t i = 0; i < sizeof(ask) / sizeof(ask[0]); i++) {
		snprintf(json, sizeof(json), REPORT("access", "\"at\":%lld,\"host\":\"web1\",\"login\":\"%s\""), NOW + 50, ask[i].login);
		assert_int_equal(rows("eve", json), ask[i].want);
	}
}

static void accounts(void **state)
{
	(void)state;
	assert_int_equal(rows("eve", REPORT("services", "")), 1);
	assert_string_equal(at(0, "name"), "deploy");
	assert_string_equal(at(0, "from"), "[\"10.0.0.0/8\"]");
	assert_string_equal(at(0, "may"), "");
	assert_string_equal(at(0, "more_than_commands"), "false");
	assert_int_equal(rows("eve", REPORT("dormant", "")), 0); /* they are new */
	rig.now += 91 * 86400;
	assert_int_equal(rows("eve", REPORT("dormant", "")), 6);
	assert_int_equal(store_device_used(rig.s, 1, "10.0.0.9", rig.now - 10 * 86400), 0);
	assert_int_equal(rows("eve", REPORT("dormant", "")), 5);
	assert_int_equal(rows("eve", REPORT("dormant", "\"days\":5,\"user\":\"alice\"")), 1);
	assert_string_equal(at(0, "idle"), "864000");
	OK("root", "{\"word\":\"user lock\",\"args\":{\"user\":\"bob\"}}");
	assert_int_equal(rows("eve", REPORT("dormant", "")), 4);
}

#define ROLE_ADD(name, caps) "{\"word\":\"role add\",\"args\":{\"role\":\"" name "\",\"host\":\"web*\",\"login\":\"dba\",\"cap\":[" caps "]}}"
#define JOIN(name) "{\"word\":\"role member add\",\"args\":{\"role\":\"" name "\",\"user\":\"deploy\"}}"

/* What is a service account's is told from what people do, and one that may do more than exact commands is marked. */
static void service_accounts(void **state)
{
	(void)state;
	OK("root", ROLE_ADD("runner", "\"command uptime\",\"command df -h\""));
	OK("root", ROLE_ADD("copier", "\"shell\",\"command id\""));
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"freeze\",\"deny\":true,\"host\":\"web*\"}}");
	OK("root", "{\"word\":\"role approver add\",\"args\":{\"role\":\"copier\",\"user\":\"bob\"}}");
	OK("root", JOIN("runner"));
	OK("root", JOIN("freeze"));
	rows("eve", REPORT("services", ""));
	assert_string_equal(at(0, "may"), "[\"runner: command uptime\",\"runner: command df -h\"]");
	assert_string_equal(at(0, "more_than_commands"), "false");
	OK("root", JOIN("copier"));
	rows("eve", REPORT("services", ""));
	assert_string_equal(at(0, "may"), "[\"runner: command uptime\",\"runner: command df -h\",\"copier: shell\",\"copier: command id\"]");
	assert_string_equal(at(0, "more_than_commands"), "true");
	/* what it asks for, has and is refused */
	OK("root", "{\"word\":\"role member remove\",\"args\":{\"role\":\"runner\",\"user\":\"deploy\"}}");
	OK("root", "{\"word\":\"role member remove\",\"args\":{\"role\":\"freeze\",\"user\":\"deploy\"}}");
	OK("alice", REQUEST_DB1);
	OK("adam", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":60,\"reason\":\"x\",\"user\":\"deploy\"}}");
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":2}}");
	assert_int_equal(rows("eve", REPORT("requests", "")), 2);
	assert_string_equal(at(0, "kind"), "human");
	assert_string_equal(at(1, "kind"), "service");
	assert_int_equal(rows("eve", REPORT("grants", "")), 1);
	assert_string_equal(at(0, "kind"), "service");
	assert_int_equal(rows("eve", REPORT("access", "")), 1);
	assert_string_equal(at(0, "kind"), "service");
	NO("deploy", "denied", "{\"word\":\"user list\"}");
	NO("alice", "denied", "{\"word\":\"user list\"}");
	assert_int_equal(rows("eve", REPORT("refused", "")), 2);
	assert_string_equal(at(0, "service"), "true");
	assert_string_equal(at(1, "service"), "false");
	event_writef(rig.s, NOW, EVENT_LOGIN, "deploy", "deploy", NULL);
	assert_int_equal(rows("eve", REPORT("logins", "")), 1);
	assert_string_equal(at(0, "service"), "true");
	rows("eve", REPORT("privileges", "\"user\":\"deploy\""));
	assert_string_equal(at(0, "service"), "true");
	rows("eve", REPORT("privileges", "\"user\":\"alice\""));
	assert_string_equal(at(0, "service"), "false");
}

/* Pages lose and double nothing, whatever lies between the rows that count. */
static void pages(void **state)
{
	json_int_t after = 0, seen = 0, next;
	char json[128];

	(void)state;
	assert_int_equal(store_begin(rig.s), 0);
	for (int i = 0; i < 700; i++)
		event_writef(rig.s, NOW + i, i % 7 == 0 ? EVENT_LOGIN : EVENT_CHANNEL, "alice", "alice", "{s:i}", "connection", i);
	assert_int_equal(store_commit(rig.s), 0);
	do {
		if (after == 0)
			snprintf(json, sizeof(json), REPORT("logins", "\"limit\":9"));
		else
			snprintf(json, sizeof(json), REPORT("logins", "\"limit\":9,\"after\":%lld"), (long long)after);
		size_t n = rows("eve", json);

		for (size_t i = 0; i < n; i++, seen += 7)
			assert_int_equal(atoi(at(i, "connection")), seen);
		next = json_integer_value(json_object_get(last, "next"));
		assert_true(next == 0 || next > after);
		after = next;
	} while (next != 0);
	assert_int_equal(seen, 700);
}

/* One call looks at REPORT_SCAN events at most, and says where to go on. */
static void scans_end(void **state)
{
	struct report_ask ask = { .until = FOREVER, .limit = 10, .all = true };
	int64_t next;
	json_t *r;

	(void)state;
	assert_int_equal(by_hand("DROP TRIGGER events_next; WITH RECURSIVE n(i) AS (SELECT max(id)+1 FROM events UNION ALL SELECT "
	    "i+1 FROM n WHERE i<250000) INSERT INTO events SELECT i, 1800000000, iif(i=250000, 'login.ok', 'x'), 'a', '', '', "
	    "zeroblob(32) FROM n"), SQLITE_OK);
	for (int i = 1; i <= 3; i++, ask.after = next) {
		assert_non_null(r = store_report(rig.s, REPORT_LOGINS, &ask, &next));
		assert_int_equal(json_array_size(r), i == 3);
		assert_int_equal(next, i == 3 ? 0 : i * REPORT_SCAN);
		json_decref(r);
	}
}

/* --- CSV --- */

static void csv_is(const char *json, const char *want)
{
	const struct render_opts o = { .word = words_find("hosts"), .csv = true };
	struct buf out, err;

	buf_init(&out, RENDER_MAX);
	buf_init(&err, RENDER_MAX);
	assert_int_equal(render_reply(json, strlen(json), &o, &out, &err), WORDS_OK);
	assert_int_equal(buf_put_u8(&out, '\0'), 0);
	assert_string_equal((char *)out.data, want);
	buf_finish(&out);
	buf_finish(&err);
}

#define HEAD "\"name\",\"logins\",\"labels\",\"zone\",\"max\",\"until\"\r\n"
#define ROW(value) "{\"ok\":true,\"rows\":[{\"name\":" value "}]}"
#define LINE(cell) HEAD "\"" cell "\",\"\",\"\",\"\",\"\",\"\"\r\n"

static void csv(void **state)
{
	(void)state;
	csv_is("{\"ok\":true,\"rows\":[]}", HEAD);
	csv_is("{\"ok\":true,\"rows\":[{\"name\":\"w,1\",\"logins\":[\"a\",\"b\"],\"max\":7200,\"until\":1800000000}]}",
	    HEAD "\"w,1\",\"a; b\",\"\",\"\",\"7200\",\"2027-01-15T08:00:00Z\"\r\n");
	csv_is(ROW("\"say \\\"no\\\"\\r\\n\\u001b[m\\u202e\""), LINE("say \"\"no\"\"\\r\\n\\x1b[m\\u{202e}"));
	csv_is(ROW("\"=HYPERLINK(1)\""), LINE("'=HYPERLINK(1)"));
	csv_is(ROW("\"+1\""), LINE("'+1"));
	csv_is(ROW("\"-1\""), LINE("'-1"));
	csv_is(ROW("\"@SUM(A1)\""), LINE("'@SUM(A1)"));
	csv_is(ROW("\"  =1\""), LINE("'  =1"));
	csv_is(ROW("\"\\t=1\""), LINE("\\t=1"));	/* no tab any more: escaped */
	csv_is(ROW("\"\xef\xbc\x9d" "1\""), LINE("'\xef\xbc\x9d" "1"));
	csv_is(ROW("\"a;=1\""), LINE("a;'=1"));		/* where ; parts cells */
	csv_is(ROW("[\"a\",\"=1\"]"), LINE("a; '=1"));
	csv_is(ROW("-5"), LINE("-5"));			/* a number is none */
	csv_is(ROW("true"), LINE("yes"));
	csv_is(ROW("null"), LINE(""));
}

static void csv_by_flag(void **state)
{
	static const struct words_env env = { .who = WHO_ADMIN };
	struct words_call call;
	char err[WORDS_ERR_MAX];

	(void)state;
	assert_int_equal(words_parse_line("report logins --csv --since 2027-01-01", &env, &call, err, sizeof(err)), WORDS_OK);
	assert_true(call.as_csv);
	assert_string_equal(call.json, "{\"word\":\"report logins\",\"args\":{\"since\":1798761600}}");
	words_call_finish(&call);
	assert_int_equal(words_parse_line("report logins --csv --json", &env, &call, err, sizeof(err)), WORDS_USAGE);
	assert_non_null(strstr(err, "not both"));
	assert_int_equal(words_parse_line("approve 1 --csv", &env, &call, err, sizeof(err)), WORDS_USAGE);
	assert_non_null(strstr(err, "no option"));
}

#define WORLD(name) cmocka_unit_test_setup_teardown(name, setup_world, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(only_auditors_and_administrators), WORLD(logins), WORLD(privileges_and_refusals), WORLD(what_administrators_do_is_reported), WORLD(requests_and_grants), WORLD(a_session_of_two_grants), WORLD(break_glass),
		WORLD(access_on_a_day), WORLD(access_by_ones_own_login), WORLD(accounts), WORLD(service_accounts), WORLD(pages), WORLD(scans_end), cmocka_unit_test(csv), cmocka_unit_test(csv_by_flag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
