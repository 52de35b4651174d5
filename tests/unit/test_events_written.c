/*
 * Each word that changes something leaves its event, and so does what ends by itself: nothing that anybody may do goes without one.
 */
#include "store_rig.h"

/* In this order: what a row needs, one before it made. */
static const struct { const char *who, *json, *kind; } rows[] = {
	{ "root", "{\"word\":\"user lock\",\"args\":{\"user\":\"carol\"}}", "user.lock" },
	{ "root", "{\"word\":\"user unlock\",\"args\":{\"user\":\"carol\"}}", "user.unlock" },
	{ "root", "{\"word\":\"user key invite\",\"args\":{\"user\":\"alice\"}}", "key.invite" },
	{ "alice", "{\"word\":\"device add\",\"args\":{\"device\":\"phone\",\"key\":\"" KEY_B "\"}}", "key.ask" },
	{ "root", "{\"word\":\"user key revoke\",\"args\":{\"user\":\"alice\",\"device\":\"phone\"}}", "key.deny" },
	{ "root", "{\"word\":\"user key add\",\"args\":{\"user\":\"bob\",\"device\":\"desk\",\"key\":\"" KEY_B "\"}}", "key.add" },
	{ "root", "{\"word\":\"user key revoke\",\"args\":{\"user\":\"bob\",\"device\":\"desk\"}}", "key.revoke" },
	{ "root", "{\"word\":\"user totp enrol\",\"args\":{\"user\":\"alice\"}}", "totp.enrol" },
	{ "root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"max\":3600}}", "role.change" },
	{ "root", "{\"word\":\"role add\",\"args\":{\"role\":\"net\",\"host\":\"web*\",\"login\":\"dba\",\"max\":600}}", "role.add" },
	{ "root", "{\"word\":\"role member add\",\"args\":{\"role\":\"net\",\"user\":\"bob\"}}", "member.add" },
	{ "root", "{\"word\":\"role approver add\",\"args\":{\"role\":\"net\",\"user\":\"carol\"}}", "approver.add" },
	{ "root", "{\"word\":\"role approver remove\",\"args\":{\"role\":\"net\",\"user\":\"carol\"}}", "approver.remove" },
	{ "root", "{\"word\":\"role member remove\",\"args\":{\"role\":\"net\",\"user\":\"bob\"}}", "member.remove" },
	{ "root", "{\"word\":\"role remove\",\"args\":{\"role\":\"net\"}}", "role.remove" },
	{ "root", "{\"word\":\"host change\",\"args\":{\"host\":\"db1\",\"zone\":\"test\"}}", "host.change" },
	{ "alice", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":3600,\"reason\":\"x\"}}", "request" },
	{ "bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}", "request.approve" },
	{ "bob", "{\"word\":\"revoke\",\"args\":{\"id\":1}}", "grant.revoke" },
	{ "root", "{\"word\":\"host remove\",\"args\":{\"host\":\"db1\"}}", "host.remove" },
	{ "root", "{\"word\":\"user remove\",\"args\":{\"user\":\"carol\"}}", "user.remove" },
};

static void each_change_is_an_event(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const int64_t before = events_of(rows[i].kind);

		OK(rows[i].who, rows[i].json);
		if (events_of(rows[i].kind) != before + 1)
			fail_msg("%s: %lld times %s before, %lld after", rows[i].json, (long long)before, rows[i].kind, (long long)events_of(rows[i].kind));
	}
}

static void so_is_what_ends_by_itself(void **state)
{
	(void)state;
	OK("alice", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":3600,\"reason\":\"x\"}}");
	OK("alice", "{\"word\":\"request\",\"args\":{\"host\":\"db1\",\"login\":\"dba\",\"for\":3600,\"reason\":\"x\"}}");
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	rig.now = NOW + 3600;
	control_tick(&rig.c, rig.now);
	assert_int_equal(events_of("grant.end"), 1);
	assert_int_equal(events_of("request.expire"), 0);
	rig.now = NOW + CONTROL_PENDING_TTL;
	control_tick(&rig.c, rig.now);
	assert_int_equal(events_of("request.expire"), 1);
	assert_int_equal(events_of("user.expire"), 0);
	rig.now = 1900000000; /* deploy's end */
	control_tick(&rig.c, rig.now);
	control_tick(&rig.c, rig.now);
	assert_int_equal(events_of("user.expire"), 1);
	assert_int_equal(events_of("grant.end"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_change_is_an_event, setup_world, teardown),
		cmocka_unit_test_setup_teardown(so_is_what_ends_by_itself, setup_world, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
