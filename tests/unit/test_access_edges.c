/*
 * test_access_edges.c - the edges of the access model: each branch that its other tests and the model (tests/model) do not reach. With them
 * `make coverage-access` finds every branch of the decision taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "access.h"
#include "clock.h"

#define NOW 1800000000LL

static void tickets(void **state)
{
	struct ticket t = { .state = TICKET_ACTIVE, .duration = 0, .start_at = 5, .end_at = 5, .lapse_at = 1 };

	(void)state;
	assert_string_equal(ticket_state_name(TICKET_STATES), "?");
	assert_non_null(access_broken(&t));
	t = (struct ticket){ .state = TICKET_PENDING, .lapse_at = 1 };
	assert_null(access_broken(&t)); /* it needs none: it is granted at once */
	t.end_at = 7;
	assert_non_null(access_broken(&t));
	t.start_at = 7, t.end_at = 0;
	assert_non_null(access_broken(&t));
}

/* Whether it lets somebody in now: each of what that takes, at its edge. */
static void lets_in(void **state)
{
	const struct ticket t = { .state = TICKET_ACTIVE, .start_at = NOW, .end_at = NOW + 100, .logins = 2, .uses = 1 };
	struct ticket other = t;

	(void)state;
	assert_true(ticket_lets_in(&t, NOW));
	assert_true(ticket_lets_in(&t, NOW + 99));
	assert_false(ticket_lets_in(&t, NOW - 1));
	assert_false(ticket_lets_in(&t, NOW + 100));
	other.uses = 2;
	assert_false(ticket_lets_in(&other, NOW));
	other = t, other.state = TICKET_PENDING;
	assert_false(ticket_lets_in(&other, NOW));
	other = t, other.logins = 0;
	assert_true(ticket_lets_in(&other, NOW));
}

/* Grants that begin later, are for so many logins, or were taken by breaking the glass. */
static void special_grants(void **state)
{
	static const struct user alice = { .id = 1, .name = "alice", .until = FOREVER };
	static const struct host web1 = { .id = 1, .name = "web1", .logins = "dba" };
	struct ticket t = { .id = 7, .state = TICKET_APPROVED, .role_id = 1, .caps = CAP_SHELL, .duration = 100, .start_at = NOW,
		.end_at = NOW + 100, .lapse_at = 1, .logins = 1, .uses = 1 };
	const struct access_ask q = { .user = &alice, .source = "10.0.0.9", .host_name = "web1", .login = "dba", .host = &web1, .now = NOW,
		.tickets = &t, .ntickets = 1, .bastion = "b" };
	struct access_ask again = q;
	struct access_answer a;

	(void)state;
	access_decide(&q, &a);
	assert_non_null(strstr(a.line, "was for 1 login, which it had"));
	t.logins = t.uses = 2;
	access_decide(&q, &a);
	assert_non_null(strstr(a.line, "was for 2 logins, which it had"));
	again.only = 7; /* what is open goes on */
	access_decide(&again, &a);
	assert_int_equal(a.refusal, 0);
	t.uses = 1;
	access_decide(&q, &a);
	assert_int_equal(a.refusal, 0);
	t.start_at = t.not_before = NOW + 10, t.end_at = NOW + 110;
	access_decide(&q, &a);
	assert_int_equal(a.refusal, WAY_PENDING);
	t.not_before = NOW + 20;
	assert_non_null(access_broken(&t));
	t.not_before = 0, t.start_at = NOW - 200, t.end_at = NOW - 100;
	access_decide(&q, &a);
	assert_int_equal(a.refusal, WAY_EXPIRED);
	t = (struct ticket){ .id = 8, .state = TICKET_ACTIVE, .caps = CAP_SHELL, .duration = 100, .start_at = NOW, .end_at = NOW + 100,
		.lapse_at = 1, .glass = true, .role_hours = "sat 00:00-01:00" };
	access_decide(&q, &a);
	assert_int_equal(a.refusal, 0);
}

struct want {
	int64_t first;	/* tickets with lower numbers do not do */
};

static bool wanted(void *arg, const struct ticket *t, const struct access_answer *a, char *line, size_t size)
{
	const struct want *w = arg;

	assert_int_equal(a->ticket, t->id);
	snprintf(line, size, "not %d", (int)t->id);
	return t->id >= w->first;
}

/* What the caller wants besides is asked of each that would do; of those that do not the first says why. */
static void what_is_wanted_besides(void **state)
{
	static const struct user alice = { .id = 1, .name = "alice", .until = FOREVER };
	static const struct host web1 = { .id = 1, .name = "web1", .logins = "dba" };
	const struct ticket one = { .id = 7, .state = TICKET_ACTIVE, .caps = CAP_SHELL, .duration = 100, .start_at = NOW, .end_at = NOW + 100,
		.lapse_at = 1 };
	struct ticket t[4] = { one, one, one, one };
	struct want w = { .first = 9 };
	const struct access_more more = { wanted, &w };
	const struct access_ask q = { .user = &alice, .source = "10.0.0.9", .host_name = "web1", .login = "dba", .host = &web1, .now = NOW,
		.tickets = t, .ntickets = 4, .bastion = "b", .more = &more };
	struct access_answer a;

	(void)state;
	for (int i = 0; i < 4; i++)
		t[i].id = 7 + i;
	t[3].caps = CAP_EXEC, t[3].role_networks[0] = 'x'; /* would not do anyway */
	access_decide(&q, &a);
	assert_int_equal(a.refusal, 0);
	assert_int_equal(a.ticket, 9);
	assert_int_equal(a.reach, CAP_SHELL | CAP_EXEC);
	w.first = 11;
	access_decide(&q, &a);
	assert_int_equal(a.refusal, WAY_NO_GRANT);
	assert_int_equal(a.ticket, 0);
	assert_string_equal(a.line, "not 7");
}

/* Two rules that deny at once, and two that will: the first and the soonest count. */
static void several_denials(void **state)
{
	static const struct user alice = { .id = 1, .name = "alice", .until = FOREVER };
	static const struct host web1 = { .id = 1, .name = "web1", .logins = "dba" };
	struct ticket t = { .id = 7, .state = TICKET_ACTIVE, .role_id = 1, .caps = CAP_SHELL, .duration = 7200, .start_at = NOW - 60,
		.end_at = NOW + 7140, .lapse_at = 1 };
	struct access_role roles[2] = { { .id = 4, .kind = RULE_DENY, .hosts = "*", .logins = "*", .caps = CAP_ALL, .hours = "fri 09:00-10:00" },
		{ .id = 5, .kind = RULE_DENY, .hosts = "*", .logins = "*", .caps = CAP_ALL, .hours = "fri 09:30-10:00" } };
	struct access_ask q = { .user = &alice, .source = "10.0.0.9", .host_name = "web1", .login = "dba", .host = &web1, .now = NOW,
		.roles = roles, .nroles = 2, .tickets = &t, .ntickets = 1, .bastion = "b" };
	struct access_answer a;

	(void)state;
	access_decide(&q, &a);
	assert_int_equal(a.refusal, 0);
	assert_int_equal(a.until, NOW + 3600);
	q.now = NOW + 5400;
	access_decide(&q, &a);
	assert_int_equal(a.refusal, WAY_DENIED);
	assert_int_equal(a.role, 4);
	/* by network: also who comes from a link's own address */
	roles[0] = (struct access_role){ .id = 6, .kind = RULE_DENY, .hosts = "*", .logins = "*", .caps = CAP_ALL, .networks = "fe80::/10" };
	q.nroles = 1;
	access_decide(&q, &a);
	assert_int_equal(a.refusal, 0);
	q.source = "fe80::1%eth0";
	access_decide(&q, &a);
	assert_int_equal(a.refusal, WAY_DENIED);
}

static void hours(void **state)
{
	char text[HOURS_MAX + 2] = "mon 08:00-09:00";
	int64_t change, late = clock_wall() + 3 * 366 * 86400LL - 3 * 86400;

	(void)state;
	assert_false(access_hours_ok("mon 08:00-24:30"));
	assert_true(access_hours_ok("mon 08:00-24:00"));
	assert_true(access_hours_ok(""));
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_false(access_hours_ok(text));
	assert_true(access_zone_known(""));
	assert_true(access_zone_known("mon 08:00-09:00"));
	assert_true(access_zone_known("mon 08:00-09:00 Europe/Berlin"));
	assert_false(access_zone_known("nonsense"));
	/* the zone is known at that moment, and not for as long as is looked ahead */
	assert_int_equal(access_hours_in("mon-sun 00:00-24:00 Europe/Berlin", late, &change), -1);
}

static void rights(void **state)
{
	static const struct { const char *text; bool ok; } forwards[] = {
		{ "nocolon", false }, { ":22", false }, { "h:", false }, { "h:123456", false }, { "h:12x", false }, { "h:022", false },
		{ "h:65536", false }, { "h:65535", true }, { "127.0.0.1:80", true }, { "127.0.0.2:80", false }, { "localhost:5432", true },
	};
	char text[TEXT_MAX + 32] = "command ", out[64];
	struct cap cap;

	(void)state;
	for (size_t i = 0; i < sizeof(forwards) / sizeof(forwards[0]); i++)
		if (access_forward_ok(forwards[i].text) != forwards[i].ok)
			fail_msg("%s", forwards[i].text);
	memset(text + 8, 'x', TEXT_MAX + 1);
	assert_false(cap_parse(text, &cap));
	text[8 + TEXT_MAX] = '\0';
	assert_true(cap_parse(text, &cap) && cap.len == TEXT_MAX);
	memset(text, 'h', 70);
	strcpy(text + 70, ":22");
	assert_false(access_forward_ok(text));
	assert_false(cap_parse("command  x", &cap) || cap_parse("command x ", &cap) || cap_parse("command a\tb", &cap) ||
	    cap_parse("command a\x7f", &cap) || cap_parse("command ", &cap) || cap_parse("shell x", &cap) || cap_parse("forward", &cap) ||
	    cap_parse("command", &cap) || cap_parse("flight", &cap));
	assert_true(cap_parse("command \"a b\"", &cap) && cap.len == 3);
	assert_true(cap_parse("command \"a b", &cap) && cap.len == 4);
	assert_true(cap_parse("command \"\"", &cap) && cap.len == 2);
	assert_true(access_may_use(&(struct access_use){ .command = "id" }, CAP_COMMAND, "", "id"));
	assert_false(access_may_use(&(struct access_use){ .command = "id" }, CAP_SHELL, "", "id"));
	for (size_t size = 1; size < 40; size++) {
		assert_true(strlen(cap_names(out, size, CAP_ALL)) < size);
		assert_true(strlen(access_rights_text(out, size, CAP_ALL, "a:1 b:2", "id\nls", ", ")) < size);
		assert_true(strlen(access_rights_text(out, size, CAP_ALL, "", "", ", ")) < size);
		assert_true(strlen(access_rights_text(out, size, CAP_COMMAND, "", "id\nls", ", ")) < size);
		assert_true(strlen(access_rights_text(out, size, CAP_FORWARD, "a:1 b:2", "", ", ")) < size);
	}
}

static void network_of_an_address(void **state)
{
	static const struct { const char *address, *want; } cases[] = {
		{ "192.0.2.77", "192.0.2.0/25" }, { "192.0.2.200", "192.0.2.128/25" }, { "::ffff:192.0.2.77", "192.0.2.0/25" },
		{ "2001:db8:1:2::3", "2001:db8:1::/49" }, { "fe80::1%eth0", "fe80::/49" }, { "::1", "::/49" }, { "", NULL },
		{ "web1", NULL }, { "192.0.2", NULL }, { "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111", NULL },
	};
	char net[NETWORK_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(access_network_of(cases[i].address, 25, 49, net), cases[i].want != NULL);
		if (cases[i].want != NULL)
			assert_string_equal(net, cases[i].want);
	}
	assert_true(access_network_of("192.0.2.7", 32, 128, net));
	assert_string_equal(net, "192.0.2.7/32");
	assert_true(access_network_of("255.255.255.255", 0, 0, net));
	assert_string_equal(net, "0.0.0.0/0");
}

static void rules(void **state)
{
	static const struct host h = { .name = "web1", .labels = "a=b", .logins = "dba" };
	struct access_role r = { .logins = "dba" };
	char network[80];

	(void)state;
	memset(r.labels, 'x', LABEL_MAX + 1);
	assert_false(access_covers(&r, &h, "dba"));
	memset(network, '1', sizeof(network) - 1);
	network[sizeof(network) - 1] = '\0';
	assert_false(access_network_ok(network));
	assert_false(access_network_ok("10.0.0.0/0008"));
	assert_true(access_from("10.0.0.0/9", "10.127.0.1"));
	assert_false(access_from("10.0.0.0/9", "10.128.0.1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tickets), cmocka_unit_test(lets_in), cmocka_unit_test(special_grants), cmocka_unit_test(what_is_wanted_besides), cmocka_unit_test(several_denials), cmocka_unit_test(hours), cmocka_unit_test(rights),
		cmocka_unit_test(rules), cmocka_unit_test(network_of_an_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
