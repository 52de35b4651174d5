/*
 * test_control.c - the command words: who may what, the life of a request, what ends with what, hostile requests.
 */
#include "store_rig.h"

static const char *error_has(const char *text)
{
	return strstr(field("error"), text);
}

/* Rows of the last reply. */
static json_t *rows(void)
{
	return json_object_get(last, "rows");
}

static struct access_answer way(const char *user, const char *host, const char *login)
{
	struct access_answer a;
	struct host h;

	control_way(&rig.c, id_of(user), "10.0.0.9", host, login, NULL, &a, &h);
	return a;
}

/* Every word against root, admin, auditor, approver and engineer: the table of PROTOCOL.control, written down again. */
static void words_are_denied_by_default(void **state)
{
	static const struct { const char *word; const char *may; } table[] = {
		{ "hosts", "aebu" }, { "request", "raebu" }, { "extend", "aebu" }, { "wait", "aebu" }, { "review", "aebu" }, { "reviews", "raebu" }, { "requests", "raebu" }, { "approve", "aebu" }, { "deny", "aebu" },
		{ "cancel", "raebu" }, { "revoke", "raebu" }, { "grants", "raebu" }, { "sessions", "raebu" }, { "kill", "raebu" }, { "watch", "ae" },
		{ "config", "aebu" }, { "explain", "raebu" }, { "events", "rae" }, { "note-replay", "e" },
		{ "report logins", "rae" }, { "report privileges", "rae" }, { "report refused", "rae" }, { "report requests", "rae" },
		{ "report grants", "rae" }, { "report break-glass", "rae" }, { "report access", "rae" }, { "report services", "rae" }, { "report dormant", "rae" }, { "user add", "ra" }, { "user list", "rae" }, { "user show", "rae" },
		{ "user lock", "ra" }, { "user unlock", "ra" }, { "user remove", "ra" },
		{ "directory stage", "r" }, { "directory apply", "r" },
		{ "accounts", "rae" }, { "accounts forget", "ra" }, { "blocks", "rae" }, { "unblock", "ra" }, { "ticket check", "ra" },
		{ "user key invite", "ra" }, { "user key approve", "ra" }, { "device add", "aebu" }, { "device list", "aebu" },
		{ "device revoke", "aebu" },
		{ "user totp resync", "ra" }, { "user totp recovery", "ra" },
		{ "user leave", "ra" }, { "user move", "ra" },
		{ "user key add", "ra" },
		{ "user key list", "rae" }, { "user key revoke", "ra" }, { "user totp enrol", "ra" }, { "user totp confirm", "ra" },
		{ "user totp reset", "ra" }, { "role add", "ra" }, { "role change", "ra" }, { "host change", "ra" }, { "role list", "rae" }, { "role show", "rae" },
		{ "role remove", "ra" }, { "role member add", "ra" }, { "role member remove", "ra" }, { "role approver add", "ra" },
		{ "role approver remove", "ra" }, { "host add", "ra" }, { "host list", "rae" }, { "host remove", "ra" },
		{ "host trust", "ra" }, { "host keys", "rae" }, { "host scan", "ra" }, { "host trust-key", "ra" }, { "host forget-key", "ra" }, { "host rotate", "ra" }, { "key list", "ra" },
	};
	static const struct { char key; const char *name; } who[] = {
		{ 'r', "root" }, { 'a', "adam" }, { 'e', "eve" }, { 'b', "bob" }, { 'u', "alice" },
	};
	/* arguments that pass for every word and name nothing there is */
	static const char *const args[] = {
		"\"user\":\"nobody\"", "\"role\":\"nothing\"", "\"host\":\"nowhere\"", "\"device\":\"none\"", "\"id\":999",
		"\"reason\":\"x\"", "\"verdict\":\"justified\"", "\"how\":\"replay\"", "\"number\":1", "\"at\":1",
		"\"hash\":\"" "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" "\"", "\"for\":60", "\"login\":\"x\"", "\"code1\":\"000000\"", "\"code2\":\"000000\"",
		"\"max\":60", "\"place\":\"x@nowhere\"", "\"zone\":\"test\"", "\"entry\":\"a|b|c\"", "\"network\":\"10.0.0.0/8\"", "\"fingerprint\":\"SHA256:x\"", "\"address\":\"h\"", "\"key\":\"" KEY_A "\"", "\"ticket\":\"OPS-7\"",
	};
	size_t n = 0;

	(void)state;
	while (control_word(n) != NULL)
		n++;
	assert_int_equal(n, sizeof(table) / sizeof(table[0]));
	for (size_t i = 0; i < n; i++) {
		const struct words_word *w = words_find(table[i].word);

		assert_non_null(w);
		for (size_t k = 0; k < 5; k++) {
			char json[1024] = "";
			const char *c;
			size_t len = (size_t)snprintf(json, sizeof(json), "{\"word\":\"%s\",\"args\":{", table[i].word);
			bool first = true;

			for (size_t a = 0; a < w->nargs; a++) {
				bool needed = (w->args[a].how & ARG_NEED) != 0 ||
				    (strcmp(w->path, "request") == 0 && strcmp(w->args[a].name, "for") == 0) || strstr("user key list, user leave, user move, directory stage", w->path) != NULL ||
				    (strcmp(w->path, "role add") == 0 && strstr("host login", w->args[a].name) != NULL) ||
				    (strcmp(w->path, "role change") == 0 && strcmp(w->args[a].name, "max") == 0) ||
				    (strcmp(w->path, "host change") == 0 && strcmp(w->args[a].name, "zone") == 0);

				for (size_t v = 0; needed && v < sizeof(args) / sizeof(args[0]); v++) {
					if (strncmp(args[v] + 1, w->args[a].name, strlen(w->args[a].name)) != 0 ||
					    args[v][1 + strlen(w->args[a].name)] != '"')
						continue;
					len += (size_t)snprintf(json + len, sizeof(json) - len, "%s%s", first ? "" : ",", args[v]);
					first = false;
				}
			}
			snprintf(json + len, sizeof(json) - len, "}}");
			c = code(who[k].name, json);
			/* root may ask for service accounts: in its own name it is denied by the handler */
			if (strcmp(table[i].word, "request") == 0 && who[k].key == 'r')
				assert_string_equal(c, "denied");
			else if (strchr(table[i].may, who[k].key) == NULL)
				assert_string_equal(c, "denied");
			else
				assert_string_not_equal(c, "denied");
			assert_string_not_equal(c, "usage");
		}
	}
}

#define HASH64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define READ(how, more) "{\"word\":\"note-replay\",\"args\":{\"how\":\"" how "\",\"number\":3,\"at\":1800000000,\"hash\":\"" HASH64 "\"" more "}}"

static void a_reading_is_an_event(void **state)
{
	(void)state;
	OK("eve", READ("replay", ",\"recording\":\"000102030405060708090a0b0c0d0e0f\""));
	OK("eve", READ("export", ",\"recording\":\"000102030405060708090a0b0c0d0e0f\""));
	OK("eve", READ("search", ",\"recordings\":500,\"user\":\"alice\""));
	OK("eve", READ("export", ",\"reveal\":true"));
	assert_int_equal(events_of("recording.replay"), 1);
	assert_int_equal(events_of("recording.export"), 1);
	assert_int_equal(events_of("recording.search"), 1);
	assert_int_equal(events_of("recording.reveal"), 1);
	NO("eve", "usage", READ("play", ""));
	NO("eve", "usage", READ("replay", ",\"recording\":\"0001\""));
	NO("eve", "usage", READ("replay", ",\"recording\":\"g00102030405060708090a0b0c0d0e0f\""));
	NO("eve", "usage", "{\"word\":\"note-replay\",\"args\":{\"how\":\"replay\"}}");
	NO("adam", "denied", READ("replay", ""));
	NO("root", "denied", READ("replay", ""));
	assert_int_equal(events_of("recording.replay"), 1);
}

static void own_things_are_allowed(void **state)
{
	(void)state;
	OK("alice", "{\"word\":\"user show\",\"args\":{\"user\":\"alice\"}}");
	OK("alice", "{\"word\":\"user key list\"}");
	assert_int_equal(json_array_size(rows()), 1);
	OK("alice", "{\"word\":\"user key revoke\",\"args\":{\"user\":\"alice\",\"device\":\"laptop\"}}");
	assert_int_equal(rig.nended, 1);
	assert_int_equal(rig.ended[0].what, END_DEVICE);
	NO("bob", "denied", "{\"word\":\"user show\",\"args\":{\"user\":\"alice\"}}");
	/* a revoked key never comes back, for nobody */
	NO("root", "refused", "{\"word\":\"user key add\",\"args\":{\"user\":\"alice\",\"device\":\"new\",\"key\":\"" KEY_A "\"}}");
	NO("root", "refused", "{\"word\":\"user key add\",\"args\":{\"user\":\"bob\",\"device\":\"new\",\"key\":\"" KEY_A "\"}}");
}

static void a_request_lives(void **state)
{
	struct access_answer a = way("alice", "web1", "dba");
	char want[128];

	(void)state;
	assert_int_equal(a.refusal, WAY_NO_GRANT);
	assert_non_null(strstr(a.line, "ssh alice@bastion request web1 --login dba --for 2h --reason \"...\""));
	OK("alice", REQUEST_WEB1);
	assert_int_equal(json_integer_value(json_object_get(last, "id")), 1);
	assert_non_null(strstr(field("text"), "bob"));
	a = way("alice", "web1", "dba");
	assert_int_equal(a.refusal, WAY_PENDING);
	NO("alice", "refused", REQUEST_WEB1);
	assert_non_null(error_has("waits already"));
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	a = way("alice", "web1", "dba");
	assert_int_equal(a.refusal, 0);
	assert_int_equal(a.ticket, 1);
	assert_int_equal(a.until, NOW + 3600);
	assert_int_equal(way("alice", "web1", "www").refusal, WAY_NO_GRANT);
	assert_int_equal(way("alice", "db1", "dba").refusal, WAY_NO_GRANT);
	assert_int_equal(way("bob", "web1", "dba").refusal, WAY_NO_HOST);
	NO("bob", "refused", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	OK("bob", "{\"word\":\"revoke\",\"args\":{\"id\":1,\"reason\":\"done\\u00e4\"}}");
	assert_int_equal(rig.nended, 1);
	assert_int_equal(rig.ended[0].what, END_GRANT);
	assert_int_equal(rig.ended[0].id, 1);
	snprintf(want, sizeof(want), "Grant 1 for dba@web1 was revoked by bob: done%s.", "\xc3\xa4");
	assert_string_equal(rig.ended[0].line, want);
	a = way("alice", "web1", "dba");
	assert_int_equal(a.refusal, WAY_REVOKED);
	assert_non_null(strstr(a.line, "revoked by bob: done"));
	NO("bob", "refused", "{\"word\":\"revoke\",\"args\":{\"id\":1}}");
	OK("alice", REQUEST_WEB1); /* anew, under a new number */
	assert_int_equal(json_integer_value(json_object_get(last, "id")), 2);
	assert_int_equal(events_of("grant.start"), 1);
	assert_int_equal(events_of("grant.revoke"), 1);
}

static void denial_tells_why(void **state)
{
	(void)state;
	OK("alice", REQUEST_WEB1);
	NO("bob", "usage", "{\"word\":\"deny\",\"args\":{\"id\":1}}");
	OK("bob", "{\"word\":\"deny\",\"args\":{\"id\":1,\"reason\":\"use the replica\"}}");
	assert_int_equal(way("alice", "web1", "dba").refusal, WAY_DENIED);
	assert_non_null(strstr(way("alice", "web1", "dba").line, "denied by bob: use the replica."));
	NO("alice", "refused", "{\"word\":\"cancel\",\"args\":{\"id\":1}}");
}

static void nobody_approves_their_own(void **state)
{
	(void)state;
	/* alice is made approver of her own role, and has a second account */
	OK("root", "{\"word\":\"role approver add\",\"args\":{\"role\":\"dba\",\"user\":\"alice\"}}");
	OK("root", "{\"word\":\"user add\",\"args\":{\"user\":\"alice2\",\"person\":\"ALICE\"}}");
	OK("root", "{\"word\":\"role approver add\",\"args\":{\"role\":\"dba\",\"user\":\"alice2\"}}");
	OK("alice", REQUEST_WEB1);
	NO("alice", "denied", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	NO("alice2", "denied", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	NO("root", "denied", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	NO("adam", "not_found", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	assert_int_equal(way("alice", "web1", "dba").refusal, WAY_PENDING);
	assert_int_equal(events_of("word.refused"), 4);
}

static void two_approvals_are_two_persons(void **state)
{
	(void)state;
	OK("root", "{\"word\":\"user add\",\"args\":{\"user\":\"bob2\",\"person\":\"bob\"}}");
	OK("root", "{\"word\":\"role approver add\",\"args\":{\"role\":\"twin\",\"user\":\"bob2\"}}");
	OK("alice", REQUEST_DB1);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	assert_int_equal(way("alice", "db1", "dba").refusal, WAY_PENDING);
	NO("bob", "refused", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	NO("bob2", "refused", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	assert_int_equal(way("alice", "db1", "dba").refusal, WAY_PENDING);
	OK("carol", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	assert_int_equal(way("alice", "db1", "dba").refusal, 0);
	OK("alice", "{\"word\":\"grants\"}");
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows(), 0), "approvals")), "2/2");
	assert_int_equal(json_array_size(json_object_get(json_array_get(rows(), 0), "approvers")), 2);
}

static void one_denial_denies(void **state)
{
	(void)state;
	OK("alice", REQUEST_DB1);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	OK("carol", "{\"word\":\"deny\",\"args\":{\"id\":1,\"reason\":\"no\"}}");
	assert_int_equal(way("alice", "db1", "dba").refusal, WAY_DENIED);
}

static void time_ends_things(void **state)
{
	(void)state;
	assert_int_equal(control_tick(&rig.c, rig.now), 1900000000); /* deploy's end */
	OK("alice", REQUEST_WEB1);
	OK("alice", REQUEST_DB1);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	assert_int_equal(control_tick(&rig.c, rig.now), NOW + 3600);
	rig.now = NOW + 3600;
	assert_int_equal(way("alice", "web1", "dba").refusal, WAY_EXPIRED); /* before any tick */
	assert_int_equal(control_tick(&rig.c, rig.now), NOW + CONTROL_PENDING_TTL);
	assert_int_equal(rig.nended, 1);
	assert_int_equal(rig.ended[0].what, END_GRANT);
	assert_int_equal(way("alice", "web1", "dba").refusal, WAY_EXPIRED);
	rig.now = NOW + CONTROL_PENDING_TTL;
	NO("carol", "refused", "{\"word\":\"approve\",\"args\":{\"id\":2}}");
	assert_int_equal(control_tick(&rig.c, rig.now), 1900000000);
	assert_int_equal(way("alice", "db1", "dba").refusal, WAY_EXPIRED);
	rig.now = 1900000000;
	assert_int_equal(control_tick(&rig.c, rig.now), FOREVER);
	assert_int_equal(rig.nended, 2);
	assert_int_equal(rig.ended[1].what, END_USER);
	assert_int_equal(rig.ended[1].id, id_of("deploy"));
}

static void locks_rest_grants(void **state)
{
	(void)state;
	OK("alice", REQUEST_WEB1);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	OK("adam", "{\"word\":\"user lock\",\"args\":{\"user\":\"alice\",\"reason\":\"laptop stolen\"}}");
	assert_int_equal(rig.ended[0].what, END_USER);
	assert_string_equal(rig.ended[0].line, "Your account was locked: laptop stolen.");
	assert_int_equal(way("alice", "web1", "dba").refusal, WAY_LOCKED);
	NO("alice", "denied", "{\"word\":\"hosts\"}");
	NO("adam", "refused", "{\"word\":\"user lock\",\"args\":{\"user\":\"alice\"}}");
	OK("adam", "{\"word\":\"user unlock\",\"args\":{\"user\":\"alice\"}}");
	assert_int_equal(way("alice", "web1", "dba").refusal, 0);
}

/* Each of these takes the ground from under a running grant and a pending request. */
static void ends_follow_what_they_rest_on(void **state)
{
	static const char *const words[] = {
		"{\"word\":\"user remove\",\"args\":{\"user\":\"alice\"}}",
		"{\"word\":\"role remove\",\"args\":{\"role\":\"dba\"}}",
		"{\"word\":\"role member remove\",\"args\":{\"role\":\"dba\",\"user\":\"alice\"}}",
		"{\"word\":\"host remove\",\"args\":{\"host\":\"web1\"}}",
	};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct ticket t;

		OK("root", "{\"word\":\"host add\",\"args\":{\"host\":\"web2\",\"address\":\"10.1.1.2\",\"key\":\"" KEY_B "\",\"login\":\"dba\"}}");
		OK("alice", REQUEST_WEB1);
		OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
		OK("alice", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":60,\"reason\":\"more\"}}");
		OK("root", words[i]);
		assert_int_equal(store_ticket(rig.s, 1, &t), 1);
		assert_int_equal(t.state, TICKET_REVOKED);
		assert_int_equal(store_ticket(rig.s, 2, &t), 1);
		assert_int_equal(t.state, TICKET_CANCELLED);
		assert_int_equal(rig.ended[0].what, END_GRANT);
		assert_int_equal(rig.ended[0].id, 1);
		assert_int_not_equal(way("alice", "web1", "dba").refusal, 0);
		teardown(NULL);
		setup_world(NULL);
	}
}

static void removed_name_comes_back_with_nothing(void **state)
{
	struct user u;

	(void)state;
	OK("root", "{\"word\":\"user remove\",\"args\":{\"user\":\"alice\"}}");
	NO("root", "not_found", "{\"word\":\"user lock\",\"args\":{\"user\":\"alice\"}}");
	NO("root", "refused", "{\"word\":\"user add\",\"args\":{\"user\":\"alice\",\"person\":\"Mallory\"}}");
	OK("root", "{\"word\":\"user add\",\"args\":{\"user\":\"alice\",\"person\":\"alice\",\"uid\":1001}}");
	assert_int_equal(store_user_by_name(rig.s, "alice", &u), 1);
	assert_false(u.admin);
	NO("alice", "not_found", REQUEST_WEB1);
	OK("alice", "{\"word\":\"user key list\"}");
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows(), 0), "state")), "revoked");
}

static void lists_show_only_what_one_may_see(void **state)
{
	(void)state;
	OK("alice", REQUEST_WEB1);
	OK("carol", "{\"word\":\"requests\"}");
	assert_int_equal(json_array_size(rows()), 0);
	OK("bob", "{\"word\":\"requests\"}");
	assert_int_equal(json_array_size(rows()), 1);
	OK("eve", "{\"word\":\"requests\"}");
	assert_int_equal(json_array_size(rows()), 1);
	NO("carol", "not_found", "{\"word\":\"cancel\",\"args\":{\"id\":1}}");
	NO("carol", "not_found", "{\"word\":\"deny\",\"args\":{\"id\":1,\"reason\":\"x\"}}");
	OK("alice", "{\"word\":\"hosts\"}");
	assert_int_equal(json_array_size(rows()), 2);
	OK("bob", "{\"word\":\"hosts\"}");
	assert_int_equal(json_array_size(rows()), 0);
	NO("bob", "not_found", REQUEST_WEB1);
	assert_non_null(error_has("No host web1 for bob here"));
	NO("bob", "not_found", "{\"word\":\"request\",\"args\":{\"host\":\"nowhere\",\"login\":\"dba\",\"for\":60,\"reason\":\"x\"}}");
	assert_non_null(error_has("No host nowhere for bob here"));
}

static void request_rules(void **state)
{
	(void)state;
	NO("alice", "refused", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":7201,\"reason\":\"x\"}}");
	assert_non_null(error_has("at most --for 2h"));
	NO("alice", "refused", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"www\",\"for\":60,\"reason\":\"x\"}}");
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"strict\",\"label\":\"tier=web\",\"login\":\"www\",\"cap\":\"sftp\",\"ticket\":true}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"strict\",\"user\":\"alice\"}}");
	NO("alice", "refused", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"www\",\"for\":60,\"reason\":\"x\"}}");
	assert_non_null(error_has("--ticket"));
	NO("alice", "refused", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"www\",\"for\":60,\"reason\":\"x\",\"ticket\":\"T-1\",\"cap\":[\"shell\"]}}");
	OK("alice", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"www\",\"for\":60,\"reason\":\"x\",\"ticket\":\"T-1\"}}");
}

static void self_granting_role(void **state)
{
	(void)state;
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"free\",\"host\":\"web1\",\"login\":\"www\",\"approvals\":0}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"free\",\"user\":\"deploy\"}}");
	OK("adam", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"www\",\"for\":600,\"reason\":\"ci\",\"user\":\"deploy\"}}");
	assert_int_equal(way("deploy", "web1", "www").refusal, 0);
	NO("alice", "denied", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"www\",\"for\":600,\"reason\":\"ci\",\"user\":\"deploy\"}}");
	NO("root", "refused", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":600,\"reason\":\"ci\",\"user\":\"alice\"}}");
}

static void asking_for_a_service_is_asking(void **state)
{
	(void)state;
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"dba\",\"user\":\"deploy\"}}");
	OK("root", "{\"word\":\"role approver add\",\"args\":{\"role\":\"dba\",\"user\":\"adam\"}}");
	OK("adam", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":600,\"reason\":\"ci\",\"user\":\"deploy\"}}");
	NO("adam", "denied", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	assert_int_equal(way("deploy", "web1", "dba").refusal, 0);
}

static void pending_requests_are_bounded(void **state)
{
	char json[256];

	(void)state;
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"many\",\"host\":\"h*\",\"login\":\"x\"}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"many\",\"user\":\"alice\"}}");
	for (int i = 0; i <= STORE_PENDING_MAX; i++) {
		snprintf(json, sizeof(json), "{\"word\":\"host add\",\"args\":{\"host\":\"h%d\",\"address\":\"h\",\"key\":\"%s\",\"login\":\"x\"}}", i, KEY_B);
		OK("root", json);
		snprintf(json, sizeof(json), "{\"word\":\"request\",\"args\":{\"host\":\"h%d\",\"login\":\"x\",\"for\":60,\"reason\":\"x\"}}", i);
		if (i < STORE_PENDING_MAX)
			OK("alice", json);
		else
			NO("alice", "refused", json);
	}
	OK("alice", "{\"word\":\"requests\",\"args\":{\"limit\":5}}");
	assert_int_equal(json_array_size(rows()), 5);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(rows(), 4), "id")), STORE_PENDING_MAX);
	OK("alice", "{\"word\":\"requests\",\"args\":{\"limit\":5,\"after\":7}}");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(rows(), 0), "id")), 8);
}

static void sessions_are_listed_and_killed(void **state)
{
	struct connection c = { .peer = "10.0.0.9" };
	struct way_row w = { .ticket_id = 1, .login = "dba", .target = "10.1.1.1:22", .recording = "0123456789abcde" };
	struct host h;
	struct device d;

	(void)state;
	c.user_id = id_of("alice");
	assert_int_equal(store_device_by_name(rig.s, c.user_id, "laptop", &d), 1);
	c.device_id = d.id;
	assert_int_equal(store_connection_start(rig.s, &c, NOW), 0);
	OK("alice", "{\"word\":\"sessions\"}");
	assert_int_equal(json_array_size(rows()), 1);
	assert_int_equal(store_host_by_name(rig.s, "web1", &h), 1);
	w.connection_id = c.id;
	w.host_id = h.id;
	OK("alice", REQUEST_WEB1);
	assert_int_equal(store_way_start(rig.s, &w, "alice", NOW), -1); /* no grant yet */
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	assert_int_equal(store_way_start(rig.s, &w, "alice", NOW + 3600), -1); /* over */
	assert_int_equal(store_way_start(rig.s, &w, "alice", NOW), 0);
	assert_int_equal(events_of("grant.use"), 1);
	OK("alice", "{\"word\":\"sessions\"}");
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows(), 0), "recording")), "30313233343536373839616263646500");
	OK("bob", "{\"word\":\"sessions\"}");
	assert_int_equal(json_array_size(rows()), 1);
	OK("carol", "{\"word\":\"sessions\"}");
	assert_int_equal(json_array_size(rows()), 0);
	NO("carol", "not_found", "{\"word\":\"kill\",\"args\":{\"id\":1}}");
	NO("eve", "not_found", "{\"word\":\"kill\",\"args\":{\"id\":1}}");
	OK("bob", "{\"word\":\"kill\",\"args\":{\"id\":1,\"reason\":\"lunch\"}}");
	assert_int_equal(rig.ended[0].what, END_CONNECTION);
	assert_string_equal(rig.ended[0].line, "Your session was ended by bob: lunch.");
	assert_int_equal(store_way_end(rig.s, &w, "killed", NOW + 9), 0);
	assert_int_equal(store_sessions_reset(rig.s, "policy died", NOW + 10), 1);
	OK("root", "{\"word\":\"sessions\"}");
	assert_int_equal(json_array_size(rows()), 0);
	OK("root", "{\"word\":\"sessions\",\"args\":{\"all\":true}}");
	assert_int_equal(json_array_size(rows()), 1);
}

static void totp_words(void **state)
{
	(void)state;
	NO("root", "refused", "{\"word\":\"user totp enrol\",\"args\":{\"user\":\"deploy\"}}");
	NO("root", "refused", "{\"word\":\"user totp confirm\",\"args\":{\"user\":\"alice\",\"code1\":\"000000\",\"code2\":\"000001\"}}");
	OK("root", "{\"word\":\"user totp enrol\",\"args\":{\"user\":\"alice\"}}");
	assert_int_equal(strlen(field("secret")), 32);
	assert_non_null(strstr(field("uri"), "otpauth://totp/bastion:alice?secret="));
	NO("root", "refused", "{\"word\":\"user totp confirm\",\"args\":{\"user\":\"alice\",\"code1\":\"000000\",\"code2\":\"000001\"}}");
	OK("root", "{\"word\":\"events\"}");
	{	/* neither secret nor codes are in the record */
		char *text = json_dumps(last, 0);

		assert_null(strstr(text, "000001"));
		assert_null(strstr(text, "secret="));
		free(text);
	}
	OK("root", "{\"word\":\"user show\",\"args\":{\"user\":\"alice\"}}");
	assert_string_equal(json_string_value(json_object_get(json_object_get(last, "row"), "totp")), "pending");
	OK("root", "{\"word\":\"user totp reset\",\"args\":{\"user\":\"alice\"}}");
}

static void config_and_trust(void **state)
{
	(void)state;
	OK("alice", "{\"word\":\"config\"}");
	assert_string_equal(field("text"), "# ~/.ssh/config\n"
	    "# OpenSSH from 10.1 on, and none before, takes the lines with WarnWeakCrypto without their #. It warns no more then that\n"
	    "# the key exchange is not post-quantum: bastiond(8), POST-QUANTUM.\n"
	    "Host bastion\n    HostName bastion\n    Port 2222\n    User alice\n    #WarnWeakCrypto no-pq-kex\n"
	    "Host db1 web1\n    ProxyJump bastion\n    #WarnWeakCrypto no-pq-kex\nHost db1\n    User dba\nHost web1\n    User dba\n# ~/.ssh/known_hosts\n[bastion]:2222,db1,[db1]:*,web1,[web1]:* ssh-ed25519 AAAAHOST");
	OK("root", "{\"word\":\"host trust\",\"args\":{\"host\":\"web1\"}}");
	assert_non_null(strstr(field("text"), "ssh-ed25519 AAAACA ca\n"));
	assert_non_null(strstr(field("text"), "TrustedUserCAKeys"));
	NO("root", "not_found", "{\"word\":\"host add\",\"args\":{\"host\":\"old\",\"address\":\"h\",\"key\":\"" KEY_B "\",\"login\":\"x\",\"managed_key\":\"gone\"}}");
	OK("root", "{\"word\":\"host add\",\"args\":{\"host\":\"old\",\"address\":\"h\",\"key\":\"" KEY_B "\",\"login\":\"x\",\"managed_key\":\"legacy\"}}");
	OK("root", "{\"word\":\"host trust\",\"args\":{\"host\":\"old\"}}");
	assert_non_null(strstr(field("text"), "AAAALEGACY"));
	OK("root", "{\"word\":\"key list\"}");
	assert_int_equal(json_array_size(rows()), 2);
}

static void hostile_requests(void **state)
{
	static const char *const bad[] = {
		"", "{", "[]", "null", "\"x\"", "{}", "{\"word\":7}", "{\"word\":\"no such\"}", "{\"word\":\"hosts\",\"args\":[]}",
		"{\"word\":\"hosts\",\"args\":null}", "{\"word\":\"hosts\",\"x\":1}", "{\"word\":\"hosts\",\"word\":\"hosts\"}",
		"{\"word\":\"hosts\",\"args\":{\"x\":1}}", "{\"word\":\"approve\",\"args\":{\"id\":\"1\"}}",
		"{\"word\":\"approve\",\"args\":{\"id\":-1}}", "{\"word\":\"approve\",\"args\":{\"id\":9007199254740993}}",
		"{\"word\":\"approve\",\"args\":{\"id\":1e3}}", "{\"word\":\"approve\"}", "{\"word\":\"requests\",\"args\":{\"limit\":1001}}",
		"{\"word\":\"user lock\",\"args\":{\"user\":\"Alice\"}}", "{\"word\":\"user lock\",\"args\":{\"user\":\"a\\u0000b\"}}",
		"{\"word\":\"user lock\",\"args\":{\"user\":\"a' OR '1'='1\"}}", "{\"word\":\"user lock\",\"args\":{\"user\":[\"alice\"]}}",
		"{\"word\":\"user lock\",\"args\":{\"user\":\"alice\",\"reason\":\"a\\u001b[2Jb\"}}",
		"{\"word\":\"user add\",\"args\":{\"user\":\"s\",\"service\":true}}",
		"{\"word\":\"user add\",\"args\":{\"user\":\"s\",\"service\":true,\"from\":\"10.0.0.1/8\",\"until\":1900000000}}",
		"{\"word\":\"user add\",\"args\":{\"user\":\"s\",\"service\":true,\"admin\":true,\"from\":\"10.0.0.0/8\",\"until\":1900000000}}",
		"{\"word\":\"user add\",\"args\":{\"user\":\"s\",\"until\":1}}", "{\"word\":\"user add\",\"args\":{\"user\":\"s\",\"uid\":0}}",
		"{\"word\":\"user add\",\"args\":{\"user\":\"s\",\"uid\":4294967296}}",
		"{\"word\":\"host add\",\"args\":{\"host\":\"10.0.0.1\",\"address\":\"h\",\"key\":\"" KEY_B "\",\"login\":\"x\"}}",
		"{\"word\":\"host add\",\"args\":{\"host\":\"h\",\"address\":\"-oProxyCommand=x\",\"key\":\"" KEY_B "\",\"login\":\"x\"}}",
		"{\"word\":\"host add\",\"args\":{\"host\":\"h\",\"address\":\"h\",\"port\":65616,\"key\":\"" KEY_B "\",\"login\":\"x\"}}",
		"{\"word\":\"host add\",\"args\":{\"host\":\"h\",\"address\":\"h\",\"key\":\"ssh-ed25519 AAAA\",\"login\":\"x\"}}",
		"{\"word\":\"host add\",\"args\":{\"host\":\"h\",\"address\":\"h\",\"key\":[],\"login\":\"x\"}}",
		"{\"word\":\"role add\",\"args\":{\"role\":\"r\",\"login\":\"x\"}}",
		"{\"word\":\"role add\",\"args\":{\"role\":\"r\",\"host\":\"*\",\"login\":\"x\",\"approvals\":11}}",
		"{\"word\":\"role add\",\"args\":{\"role\":\"r\",\"host\":\"*\",\"login\":\"x\",\"hours\":\"always\"}}",
		"{\"word\":\"role add\",\"args\":{\"role\":\"r\",\"host\":\"*\",\"login\":\"x\",\"cap\":\"root\"}}",
	};
	int64_t before;
	char *big = calloc(1, CONTROL_REQUEST_MAX + 100);

	(void)state;
	before = events_of("user.add") + events_of("host.add") + events_of("role.add");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (strcmp(code("root", bad[i]), "usage") != 0)
			fail_msg("%s: %s", bad[i], field("code"));
	memset(big, '[', CONTROL_REQUEST_MAX + 50);
	NO("root", "usage", big);
	big[CONTROL_REQUEST_MAX - 1] = '\0';
	NO("root", "usage", big);
	free(big);
	assert_int_equal(before, events_of("user.add") + events_of("host.add") + events_of("role.add"));
}

/* Texts that mean something to SQL are data. */
static void injections_are_data(void **state)
{
	char err[STORE_ERR_MAX];

	(void)state;
	OK("root", "{\"word\":\"user add\",\"args\":{\"user\":\"bobby\",\"person\":\"Robert'); DROP TABLE users; --\"}}");
	OK("root", "{\"word\":\"user show\",\"args\":{\"user\":\"bobby\"}}");
	assert_string_equal(json_string_value(json_object_get(json_object_get(last, "row"), "person")), "Robert'); DROP TABLE users; --");
	OK("alice", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":60,\"reason\":\"x', 'active'); UPDATE requests SET state='approved'; --\"}}");
	assert_int_equal(way("alice", "web1", "dba").refusal, WAY_PENDING);
	OK("root", "{\"word\":\"events\",\"args\":{\"user\":\"alice\"}}");
	assert_int_equal(store_check(rig.s, err), 0);
}

static void a_peer_uid_is_an_actor(void **state)
{
	struct actor a;
	char line[256];

	(void)state;
	assert_int_equal(control_actor(&rig.c, 0, &a, line, sizeof(line)), 1);
	assert_true(a.root);
	assert_int_equal(control_actor(&rig.c, 1001, &a, line, sizeof(line)), 1);
	assert_int_equal(a.user_id, id_of("alice"));
	assert_false(a.root);
	assert_int_equal(control_actor(&rig.c, 1002, &a, line, sizeof(line)), 0);
	assert_int_equal(control_actor(&rig.c, -1, &a, line, sizeof(line)), 0);
	NO("root", "refused", "{\"word\":\"user add\",\"args\":{\"user\":\"x\",\"uid\":1001}}");
	OK("root", "{\"word\":\"user remove\",\"args\":{\"user\":\"alice\"}}");
	assert_int_equal(control_actor(&rig.c, 1001, &a, line, sizeof(line)), 0);
}

static void service_from_elsewhere_is_refused(void **state)
{
	struct access_answer a;
	struct host h;

	(void)state;
	control_way(&rig.c, id_of("deploy"), "192.0.2.1", "web1", "dba", NULL, &a, &h);
	assert_int_equal(a.refusal, WAY_LOCKED);
	control_way(&rig.c, 4711, "192.0.2.1", "web1", "dba", NULL, &a, &h);
	assert_int_equal(a.refusal, WAY_BROKEN);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_world, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(words_are_denied_by_default), T(a_reading_is_an_event), T(a_request_lives), T(denial_tells_why),
		T(words_are_denied_by_default), T(own_things_are_allowed), T(a_request_lives), T(denial_tells_why),
		T(nobody_approves_their_own), T(two_approvals_are_two_persons), T(one_denial_denies), T(time_ends_things),
		T(locks_rest_grants), T(ends_follow_what_they_rest_on), T(removed_name_comes_back_with_nothing),
		T(lists_show_only_what_one_may_see), T(request_rules), T(self_granting_role), T(asking_for_a_service_is_asking),
		T(pending_requests_are_bounded), T(sessions_are_listed_and_killed), T(totp_words), T(config_and_trust),
		T(hostile_requests), T(injections_are_data), T(a_peer_uid_is_an_actor), T(service_from_elsewhere_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
