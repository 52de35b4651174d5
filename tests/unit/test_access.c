/*
 * test_access.c - the access model alone: states, rules, the decision, each over all of a small world.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"

#define NOW 1800000000LL /* Friday 2027-01-15 08:00:00 UTC */

/* The diagram of access.h as a matrix, written down a second time: '.' no arrow. Order of states and acts as there. */
static void states_and_acts(void **state)
{
	/*                                  approve deny cancel lapse use revoke */
	static const char *const matrix[] = {
		[TICKET_PENDING] =   "ADCX..", [TICKET_APPROVED] = "...EUR", [TICKET_DENIED] =    "......",
		[TICKET_CANCELLED] = "......", [TICKET_EXPIRED] =  "......", [TICKET_ACTIVE] =    "...EUR",
		[TICKET_ENDED] =     "......", [TICKET_REVOKED] =  "......",
	};
	static const struct { char key; enum ticket_state state; } keys[] = {
		{ 'A', TICKET_APPROVED }, { 'D', TICKET_DENIED }, { 'C', TICKET_CANCELLED }, { 'X', TICKET_EXPIRED },
		{ 'U', TICKET_ACTIVE }, { 'E', TICKET_ENDED }, { 'R', TICKET_REVOKED }, { '.', TICKET_STATES },
	};

	(void)state;
	assert_int_equal(sizeof(matrix) / sizeof(matrix[0]), TICKET_STATES);
	for (int s = 0; s < TICKET_STATES; s++) {
		for (int act = 0; act < ACT_COUNT; act++) {
			enum ticket_state want = TICKET_STATES;

			for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
				if (keys[i].key == matrix[s][act])
					want = keys[i].state;
			assert_int_equal(ticket_next((enum ticket_state)s, (enum ticket_act)act), want);
		}
		assert_int_equal(ticket_gives_access((enum ticket_state)s), s == TICKET_APPROVED || s == TICKET_ACTIVE);
		assert_int_equal(ticket_state_by_name(ticket_state_name((enum ticket_state)s)), s);
	}
	assert_int_equal(ticket_state_by_name("open"), TICKET_STATES);
	assert_int_equal(ticket_next(TICKET_STATES, ACT_USE), TICKET_STATES);
}

static struct ticket ticket(enum ticket_state s)
{
	struct ticket t = { .id = 7, .state = s, .user_id = 1, .host_id = 1, .role_id = 1, .login = "dba", .caps = CAP_ALL,
	    .duration = 3600, .needed = 1, .asked_at = NOW - 100, .lapse_at = NOW + 1000, .reason = "x", .closer = "bob",
	    .why = "because" };

	if (ticket_gives_access(s) || s == TICKET_ENDED || s == TICKET_REVOKED) {
		t.given = 1;
		t.start_at = NOW - 60;
		t.end_at = NOW + 3540;
	}
	return t;
}

static void invariants(void **state)
{
	struct ticket t;

	(void)state;
	for (int s = 0; s < TICKET_STATES; s++) {
		t = ticket((enum ticket_state)s);
		assert_null(access_broken(&t));
		t.lapse_at = t.asked_at;
		assert_non_null(access_broken(&t));
		t = ticket((enum ticket_state)s);
		if (t.start_at != 0) {
			t.given = 0;
			assert_non_null(access_broken(&t));
			t.given = 1, t.end_at++;
			assert_non_null(access_broken(&t));
			t.end_at = t.start_at = 0;
			assert_non_null(access_broken(&t));
		} else {
			t.end_at = NOW;
			assert_non_null(access_broken(&t));
		}
	}
	t = ticket(TICKET_PENDING);
	t.given = 1;
	assert_non_null(access_broken(&t));
	t = ticket(TICKET_STATES);
	assert_non_null(access_broken(&t));
}

static const struct user alice = { .id = 1, .name = "alice", .person = "alice", .uid = -1, .until = FOREVER };
static const struct host web1 = { .id = 1, .name = "web1", .address = "h", .port = 22, .labels = "tier=web env=prod", .logins = "dba www" };
static const struct access_role dba = { .id = 1, .name = "dba", .hosts = "web* db1", .logins = "dba", .caps = CAP_ALL, .max = 7200, .approvals = 1 };

/* The decision against a plain model, for every combination of one ticket's world. */
static void decision_matches_model(void **state)
{
	static const char *const sources[] = { "10.0.0.9", "192.0.2.1", "", "nonsense" };
	static const char *const hours[] = { "", "mon-fri 08:00-18:00", "sat 00:00-24:00", "broken" };
	static const int64_t ends[] = { -10, 0, 1, 3000 };
	static const int64_t untils[] = { NOW - 1, NOW, NOW + 50, FOREVER };
	long yes = 0, all = 0;

	(void)state;
	for (int s = 0; s < TICKET_STATES; s++)
	for (int us = 0; us < 3; us++)
	for (int member = 0; member < 2; member++)
	for (size_t src = 0; src < 4; src++)
	for (int net = 0; net < 2; net++)
	for (size_t hr = 0; hr < 4; hr++)
	for (size_t e = 0; e < 4; e++)
	for (size_t un = 0; un < 4; un++)
	for (unsigned caps = 0; caps < 4; caps++)
	for (int known = 0; known < 2; known++) {
		struct user u = alice;
		struct ticket t = ticket((enum ticket_state)s);
		struct access_answer a;

		u.state = (enum user_state)us;
		u.until = untils[un];
		t.caps = CAP_SHELL;
		if (t.start_at != 0) {
			t.end_at = NOW + ends[e];
			t.start_at = t.end_at - t.duration;
		}
		snprintf(t.role_hours, sizeof(t.role_hours), "%s", hours[hr]);
		snprintf(t.role_networks, sizeof(t.role_networks), "%s", net ? "10.0.0.0/8" : "");
		const struct access_ask q = { .user = &u, .source = sources[src], .host_name = "web1", .login = "dba",
		    .host = known ? &web1 : NULL, .use = { .any = caps }, .now = NOW, .roles = &dba, .nroles = (size_t)member,
		    .tickets = &t, .ntickets = 1, .bastion = "bastion" };
		bool want = known && us == USER_ACTIVE && u.until > NOW && (s == TICKET_APPROVED || s == TICKET_ACTIVE) &&
		    t.end_at > NOW && (!net || src == 0) && hr < 2 && (caps == 0 || (caps & CAP_SHELL) != 0);

		access_decide(&q, &a);
		all++;
		yes += want;
		assert_int_equal(a.refusal == 0, want);
		if (want) {
			assert_int_equal(a.ticket, 7);
			assert_true(a.until <= t.end_at && a.until <= u.until && a.until > NOW);
			assert_int_equal(a.caps, CAP_SHELL);
			assert_string_equal(a.line, "");
		} else {
			assert_int_equal(a.ticket, 0);
			assert_int_equal(a.caps, 0);
			assert_true(strlen(a.line) > 10);
			if (us == USER_ACTIVE && u.until > NOW && !known)
				assert_int_equal(a.refusal, WAY_NO_HOST);
		}
	}
	assert_true(yes > 100 && all > 100000);
}

static struct access_answer decide(const struct ticket *t, size_t n)
{
	struct access_answer a;
	const struct access_ask q = { .user = &alice, .source = "10.0.0.9", .host_name = "web1", .login = "dba", .host = &web1,
	    .now = NOW, .roles = &dba, .nroles = 1, .tickets = t, .ntickets = n, .bastion = "bastion" };

	access_decide(&q, &a);
	return a;
}

static void each_refusal_has_its_line(void **state)
{
	static const struct { enum ticket_state s; enum way_refusal why; const char *line; } want[] = {
		{ TICKET_PENDING, WAY_PENDING, "Request 7 for dba@web1 waits for approval (0 of 1). Look: ssh alice@bastion requests" },
		{ TICKET_DENIED, WAY_DENIED, "Request 7 for dba@web1 was denied by bob: because. Ask again: ssh alice@bastion request web1 "
		    "--login dba --for 2h --reason \"...\"" },
		{ TICKET_REVOKED, WAY_REVOKED, "Grant 7 for dba@web1 was revoked by bob: because. Ask again: ssh alice@bastion request web1 "
		    "--login dba --for 2h --reason \"...\"" },
		{ TICKET_EXPIRED, WAY_EXPIRED, "Request 7 for dba@web1 expired: nobody decided it. Ask again: ssh alice@bastion request web1 "
		    "--login dba --for 2h --reason \"...\"" },
		{ TICKET_ENDED, WAY_EXPIRED, "Grant 7 for dba@web1 ended at 2027-01-15T08:59:00Z. Ask again: ssh alice@bastion request web1 "
		    "--login dba --for 2h --reason \"...\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct ticket t = ticket(want[i].s);
		struct access_answer a = decide(&t, 1);

		assert_int_equal(a.refusal, want[i].why);
		assert_string_equal(a.line, want[i].line);
	}
	assert_string_equal(decide(NULL, 0).line, "No grant for dba@web1. Ask: ssh alice@bastion request web1 --login dba --for 2h --reason \"...\"");
	assert_int_equal(decide(NULL, 0).refusal, WAY_NO_GRANT);
}

/* A grant that is in force and does not do: what it is for, and the next step. */
static void a_grant_that_does_not_do_says_the_next_step(void **state)
{
	static const char ask[] = "Ask again: ssh alice@bastion request web1 --login dba --for 2h --reason \"...\"";
	struct ticket t = ticket(TICKET_ACTIVE);
	struct access_ask q = { .user = &alice, .source = "10.0.0.9", .host_name = "web1", .login = "dba", .host = &web1,
	    .now = NOW, .roles = &dba, .nroles = 1, .tickets = &t, .ntickets = 1, .bastion = "bastion", .use = { .any = CAP_EXEC } };
	struct access_answer a;
	char want[256];

	(void)state;
	t.caps = CAP_SHELL;
	access_decide(&q, &a);
	snprintf(want, sizeof(want), "Grant 7 for dba@web1 is for shell only. %s", ask);
	assert_string_equal(a.line, want);
	q.use = (struct access_use){ 0 };
	t.logins = t.uses = 1;
	access_decide(&q, &a);
	snprintf(want, sizeof(want), "Grant 7 for dba@web1 was for 1 login, which it had. %s", ask);
	assert_string_equal(a.line, want);
	t.logins = 0;
	snprintf(t.role_hours, sizeof(t.role_hours), "sat 00:00-01:00");
	access_decide(&q, &a);
	assert_string_equal(a.line, "Grant 7 for dba@web1 holds only at these hours (UTC): sat 00:00-01:00. What else you may ask for: "
	    "ssh alice@bastion hosts");
}

/* Who lost the role in the meantime is not sent to ask for what is refused. */
static void next_step_without_a_role(void **state)
{
	struct ticket t = ticket(TICKET_DENIED);
	struct access_ask q = { .user = &alice, .source = "10.0.0.9", .host_name = "web1", .login = "dba", .host = &web1,
	    .now = NOW, .tickets = &t, .ntickets = 1, .bastion = "bastion" };
	struct access_answer a;

	(void)state;
	access_decide(&q, &a);
	assert_int_equal(a.refusal, WAY_DENIED);
	assert_string_equal(a.line, "Request 7 for dba@web1 was denied by bob: because. No role of yours reaches it now. What you may ask for: "
	    "ssh alice@bastion hosts");
}

static void hostile_reason_cannot_act(void **state)
{
	struct ticket t = ticket(TICKET_DENIED);

	(void)state;
	snprintf(t.why, sizeof(t.why), "%s", "\x1b]52;c;x\a\r\n\xe2\x80\xae");
	assert_null(strpbrk(decide(&t, 1).line, "\x1b\a\r\n\xe2"));
	memset(t.why, '\x01', sizeof(t.why) - 1);
	assert_non_null(strstr(decide(&t, 1).line, "Ask again: ssh"));
}

static void newest_ticket_explains_and_any_open_one_opens(void **state)
{
	struct ticket t[3] = { ticket(TICKET_ACTIVE), ticket(TICKET_DENIED), ticket(TICKET_PENDING) };

	(void)state;
	t[0].id = 3, t[1].id = 9, t[2].id = 5;
	assert_int_equal(decide(t, 3).refusal, 0);
	t[0].end_at = NOW, t[0].start_at = NOW - 3600;
	assert_int_equal(decide(t, 3).refusal, WAY_DENIED);
	t[0] = ticket(TICKET_ACTIVE);
	t[0].given = 0; /* broken: as if it were not there */
	assert_int_not_equal(decide(t, 3).refusal, 0);
	t[0] = ticket(TICKET_ACTIVE); /* its role is for another network; a second grant holds */
	snprintf(t[0].role_networks, sizeof(t[0].role_networks), "192.0.2.0/24");
	t[1] = ticket(TICKET_APPROVED);
	assert_int_equal(decide(t, 3).refusal, 0);
}

static void networks(void **state)
{
	static const struct { const char *nets, *addr; bool want; } in[] = {
		{ "", "anything", true }, { "10.0.0.0/8", "10.255.0.1", true }, { "10.0.0.0/8", "11.0.0.1", false },
		{ "10.0.0.0/8", "::ffff:10.1.2.3", true }, { "0.0.0.0/0", "1.2.3.4", true }, { "0.0.0.0/0", "2001:db8::1", false },
		{ "::/0", "2001:db8::1", true }, { "192.0.2.1", "192.0.2.1", true }, { "192.0.2.1", "192.0.2.2", false },
		{ "10.0.0.0/8 2001:db8::/32", "2001:db8:1::", true }, { "2001:db8::/33", "2001:db8:8000::", false },
		{ "10.0.0.0/8", "", false }, { "10.0.0.0/8", "10.0.0.1 ", false }, { "x y", "10.0.0.1", false },
		{ "10.0.0.0/9", "10.128.0.0", false }, { "10.0.0.0/33", "10.0.0.0", false },
		{ "fe80::/10", "fe80::1%eth0", true }, { "fe80::1", "fe80::1%2", true }, { "fe80::/10", "2001:db8::1%eth0", false },
		{ "fe80::/10", "%eth0", false }, { "::/0", "fe80:0000:0000:0000:0000:0000:0000:0000:0000:0001%eth0", false },
	};
	static const struct { const char *net; bool want; } ok[] = {
		{ "10.0.0.0/8", true }, { "10.0.0.1/8", false }, { "10.0.0.1", true }, { "::/0", true }, { "0.0.0.0/0", true },
		{ "2001:db8::1/64", false }, { "10.0.0.0/33", false }, { "10.0.0.0/", false }, { "10.0.0.0/-1", false },
		{ "10.0.0.0/+8", false }, { "10.0.0.0/08", true }, { "host", false }, { "", false }, { "10.0.0.0/8/8", false },
		{ "10.0.0.0 /8", false }, { "fe80::1%eth0", false }, { "2001:db8::/129", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
		if (access_from(in[i].nets, in[i].addr) != in[i].want)
			fail_msg("%s in %s", in[i].addr, in[i].nets);
	for (size_t i = 0; i < sizeof(ok) / sizeof(ok[0]); i++)
		if (access_network_ok(ok[i].net) != ok[i].want)
			fail_msg("%s", ok[i].net);
}

static void hours(void **state)
{
	/* NOW is Friday 08:00 */
	static const struct { const char *text; int64_t from_now, want; } table[] = {
		{ "", 0, FOREVER }, { "mon-fri 08:00-18:00", 0, 10 * 3600 }, { "mon-fri 08:00-18:00", -1, 0 },
		{ "mon-fri 08:00-18:00", 10 * 3600 - 1, 10 * 3600 }, { "mon-fri 08:00-18:00", 10 * 3600, 0 },
		{ "sat-sun 00:00-24:00", 0, 0 }, { "sat-sun 00:00-24:00", 16 * 3600, 64 * 3600 },
		{ "thu 22:00-09:00", 0, 3600 }, { "thu 22:00-08:00", 0, 0 }, { "fri-mon 08:00-09:00", 0, 3600 },
		{ "mon-sun 00:00-24:00", 0, FOREVER }, { "fri 08:00-09:00,fri 09:00-10:00", 0, 7200 },
		{ "fri 09:00-10:00, fri 08:00-09:00", 0, 7200 }, { "sun 20:00-02:00", 2 * 86400 + 17 * 3600, 2 * 86400 + 18 * 3600 },
		{ "sun 20:00-02:00", 2 * 86400 + 15 * 3600, 2 * 86400 + 18 * 3600 },
	};
	static const char *const bad[] = {
		"x", "mon", "mon ", "mon 08:00", "mon 08:00-", "mon 8:00-9:00", "mon 08:00-08:00", "mon 24:00-08:00", "mon 08:60-09:00",
		"mon-xxx 08:00-09:00", "mon 08:00-09:00,", "mon 08:00-09:00;", "mon 08:00-25:00", "MON 08:00-09:00", " mon 08:00-09:00",
		"mon 08:00-09:00 x", "mon-fri08:00-09:00", ",",
	};
	char many[2048] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int64_t got = access_hours(table[i].text, NOW + table[i].from_now);
		int64_t want = table[i].want > 0 && table[i].want != FOREVER ? NOW + table[i].want : table[i].want;

		if (got != want)
			fail_msg("%s: %lld, not %lld", table[i].text, (long long)(got - NOW), (long long)(want - NOW));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (access_hours(bad[i], NOW) != -1)
			fail_msg("%s is taken", bad[i]);
	for (int i = 0; i < 40; i++)
		strcat(many, i > 0 ? ",mon-sun 01:00-02:00" : "mon-sun 01:00-02:00");
	assert_int_equal(access_hours(many, NOW), -1);
	assert_int_equal(access_hours("mon-sun 00:00-24:00", -5), FOREVER);
}

static void globs(void **state)
{
	char pattern[65], name[65];

	(void)state;
	assert_true(access_glob("web*", "web1"));
	assert_true(access_glob("*", ""));
	assert_true(access_glob("w*b*1", "WebXb1"));
	assert_true(access_glob("*a*b*c*", "xxaxxbxxcxx"));
	assert_false(access_glob("web*", "we"));
	assert_false(access_glob("web?", "web1"));
	assert_false(access_glob("", "x"));
	assert_false(access_glob("*a", "ab"));
	/* the classic bomb ends at once */
	for (int i = 0; i < 64; i++)
		pattern[i] = i % 2 ? 'a' : '*', name[i] = 'a';
	pattern[64] = name[64] = '\0';
	pattern[63] = 'b';
	assert_false(access_glob(pattern, name));
}

static void covering(void **state)
{
	struct access_role r = dba;

	(void)state;
	assert_true(access_allows(&r, &web1, "dba"));
	assert_false(access_covers(&r, &web1, "www"));	/* not the role's */
	assert_false(access_covers(&r, &web1, "db"));	/* part of a word */
	snprintf(r.logins, sizeof(r.logins), "dba root");
	assert_false(access_allows(&r, &web1, "root"));	/* not the host's */
	snprintf(r.labels, sizeof(r.labels), "tier=web");
	assert_true(access_covers(&r, &web1, "dba"));
	snprintf(r.labels, sizeof(r.labels), "tier=web env=test");
	assert_false(access_covers(&r, &web1, "dba"));	/* all labels must hold */
	r.hosts[0] = '\0';
	snprintf(r.labels, sizeof(r.labels), "env=prod");
	assert_true(access_covers(&r, &web1, NULL));
	r.labels[0] = '\0';
	assert_false(access_covers(&r, &web1, NULL));	/* nothing said: nothing covered */
}

static void best_role_is_chosen(void **state)
{
	struct access_role roles[3] = { dba, dba, dba };
	struct request_ask q = { .user = &alice, .source = "10.0.0.9", .host = &web1, .host_name = "web1", .login = "dba",
	    .duration = 60, .forwards = "", .commands = "", .ref = "", .reason = "because", .now = NOW, .roles = roles, .nroles = 3, .bastion = "b" };
	char line[512];

	(void)state;
	roles[0].id = 5, roles[0].approvals = 2;
	roles[1].id = 4, roles[1].approvals = 1;
	roles[2].id = 3, roles[2].approvals = 1;
	assert_ptr_equal(access_request(&q, line, sizeof(line)), &roles[2]);
	roles[2].ticket = true;
	assert_ptr_equal(access_request(&q, line, sizeof(line)), &roles[1]);
	roles[1].max = 59;
	assert_ptr_equal(access_request(&q, line, sizeof(line)), &roles[0]);
	snprintf(roles[0].networks, sizeof(roles[0].networks), "192.0.2.0/24");
	/* each role with the login says what it wants, and the others nothing */
	assert_null(access_request(&q, line, sizeof(line)));
	assert_string_equal(line, "dba@web1: role dba is for these networks: 192.0.2.0/24; role dba allows at most --for 59s; "
	    "role dba wants the number of a ticket: --ticket ID");
	snprintf(roles[0].logins, sizeof(roles[0].logins), "www");
	snprintf(roles[2].logins, sizeof(roles[2].logins), "www");
	assert_null(access_request(&q, line, sizeof(line)));
	assert_string_equal(line, "dba@web1: role dba allows at most --for 59s");
	q.login = "root";
	assert_null(access_request(&q, line, sizeof(line)));
	assert_string_equal(line, "root@web1: role dba has not the login root");
	q.login = "dba";
	memcpy(roles[0].logins, dba.logins, sizeof(dba.logins));
	memcpy(roles[2].logins, dba.logins, sizeof(dba.logins));
	q.source = "";
	assert_ptr_equal(access_request(&q, line, sizeof(line)), &roles[0]);
	q.nroles = 0;
	assert_null(access_request(&q, line, sizeof(line)));
	assert_string_equal(line, "No host web1 for alice here");
}

static void capabilities(void **state)
{
	char out[64];

	(void)state;
	assert_string_equal(cap_names(out, sizeof(out), CAP_ALL), "shell exec sftp-read sftp-write scp forward command");
	assert_string_equal(cap_names(out, sizeof(out), CAP_SFTP_READ), "sftp-read");
	assert_int_equal(cap_by_name("sftp"), CAP_SFTP_READ | CAP_SFTP_WRITE);
	assert_string_equal(cap_names(out, sizeof(out), 0), "");
	assert_int_equal(cap_by_name("scp"), CAP_SCP);
	assert_int_equal(cap_by_name("root"), 0);
}

static void service_accounts(void **state)
{
	struct user u = alice;
	char line[256];

	(void)state;
	u.kind = USER_SERVICE;
	assert_int_equal(access_user(&u, "10.0.0.9", NOW, line, sizeof(line)), WAY_LOCKED);	/* no network, no end */
	snprintf(u.networks, sizeof(u.networks), "10.0.0.0/8");
	assert_int_equal(access_user(&u, "10.0.0.9", NOW, line, sizeof(line)), WAY_LOCKED);	/* no end */
	u.until = NOW + 1;
	assert_int_equal(access_user(&u, "10.0.0.9", NOW, line, sizeof(line)), 0);
	assert_int_equal(access_user(&u, "11.0.0.9", NOW, line, sizeof(line)), WAY_LOCKED);
	assert_int_equal(access_user(&u, "10.0.0.9", NOW + 1, line, sizeof(line)), WAY_EXPIRED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states_and_acts), cmocka_unit_test(invariants), cmocka_unit_test(decision_matches_model),
		cmocka_unit_test(each_refusal_has_its_line), cmocka_unit_test(a_grant_that_does_not_do_says_the_next_step), cmocka_unit_test(next_step_without_a_role),
		cmocka_unit_test(hostile_reason_cannot_act),
		cmocka_unit_test(newest_ticket_explains_and_any_open_one_opens), cmocka_unit_test(networks),
		cmocka_unit_test(hours), cmocka_unit_test(globs), cmocka_unit_test(covering),
		cmocka_unit_test(best_role_is_chosen), cmocka_unit_test(capabilities), cmocka_unit_test(service_accounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
