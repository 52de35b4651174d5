/*
 * test_rules.c - roles as rules: what denies, who approves, what each capability is, hours with a time zone, and what a
 * change takes away.
 */
#include "store_rig.h"

#include <time.h>

#include "access_zone.h"
#include "clock.h"
#include "store_sql.h"

static struct access_answer way_of(const char *user, const char *host, const char *login, const struct access_use *use)
{
	struct access_answer a;
	struct host h;

	control_way(&rig.c, id_of(user), "10.0.0.9", host, login, use, &a, &h);
	return a;
}

/* alice has a grant of one hour for dba@web1, number 1. */
static void open_grant(void)
{
	OK("alice", REQUEST_WEB1);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, 0);
	rig.nended = 0;
}

static bool rechecked(void)
{
	for (size_t i = 0; i < rig.nended; i++)
		if (rig.ended[i].what == END_DENIED)
			return true;
	return false;
}

/* --- rights of before --- */

/* A file of version 1 as it was in the field: its scripts, and rows with what was allowed then. */
static void make_version_1(void)
{
	static const char *const rows[] = {
		"PRAGMA journal_mode=WAL; PRAGMA application_id=0x42415354; PRAGMA user_version=1",
		"INSERT INTO users (name, person, kind, state, admin, auditor, networks, added) VALUES ('alice', 'Alice', 'human', "
		"'active', 0, 0, '', 1000), ('bob', 'Bob', 'human', 'active', 0, 0, '', 1000)",
		"INSERT INTO hosts (name, address, port, labels, logins, method, managed_key, source_address, added) VALUES "
		"('web1', 'h', 22, '', 'dba', 'certificate', '', '', 1000)",
		"INSERT INTO roles (name, hosts, labels, logins, caps, max, approvals, hours, networks, ticket, added, removed) VALUES "
		"('all', '*', '', 'dba', 15, 7200, 1, '', '', 0, 1000, NULL), ('old', '*', '', 'dba', 8, 7200, 1, '', '', 1, 1000, 2000), "
		"('files', '*', '', 'dba', 4, 7200, 1, '', '', 0, 1000, NULL)",
		"INSERT INTO role_users VALUES (1, 1, 'm'), (3, 1, 'm'), (1, 2, 'a')",
		"INSERT INTO events VALUES (1, 1500, 'member.add', 'root', 'alice', '{\"role\":\"all\"}', zeroblob(32))",
		"INSERT INTO requests (state, user_id, by_id, host_id, role_id, login, caps, duration, needed, reason, ref, asked_at, "
		"lapse_at) VALUES ('pending', 1, 1, 1, 1, 'dba', 5, 3600, 1, 'index', '', 1600, 90000)",
		"INSERT INTO verdicts VALUES (1, 'Bob', 2, 1, '', 1700)",
		"UPDATE requests SET state='approved'; INSERT INTO grants (id, start_at, end_at) VALUES (1, 1700, 5300)",
		"INSERT INTO devices (user_id, name, type, fingerprint, blob, added) VALUES (1, 'laptop', 'ssh-ed25519', 'SHA256:x', x'00', 1000)",
		"INSERT INTO connections (user_id, device_id, peer, session, start_at) VALUES (1, 1, '10.0.0.9', zeroblob(16), 1800)",
		"INSERT INTO ways (connection_id, request_id, host_id, login, target, recording, start_at) VALUES (1, 1, 1, 'dba', 'h:22', "
		"zeroblob(16), 1800)",
	};

	assert_int_equal(unlink(rig.path), 0);
	close(open(rig.path, O_CREAT | O_RDWR, 0600));
	for (const char *const *script = store_migrations[0]; *script != NULL; script++)
		assert_int_equal(by_hand(*script), SQLITE_OK);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (by_hand(rows[i]) != SQLITE_OK)
			fail_msg("%s", rows[i]);
}

static void rights_of_before_stay_what_they_were(void **state)
{
	struct access_role *roles, r;
	struct ticket t;

	(void)state;
	store_close(rig.s);
	rig.s = NULL;
	make_version_1();
	assert_non_null(rig.s = store_open(rig.path, (char[STORE_ERR_MAX]){ 0 }));
	assert_int_equal(store_check(rig.s, (char[STORE_ERR_MAX]){ 0 }), 0);
	/* nobody may more than before, nobody less */
	assert_int_equal(store_user_roles(rig.s, 1, &roles), 2);
	assert_int_equal(roles[0].caps, CAP_USUAL | CAP_SCP);
	assert_int_equal(roles[1].caps, CAP_SFTP_READ | CAP_SFTP_WRITE);
	assert_int_equal(roles[0].kind, RULE_ALLOW);
	assert_false(roles[0].no_reason);
	free(roles);
	assert_int_equal(store_role_by_name(rig.s, "old", &r), 0);	/* removed, and stays so */
	assert_int_equal(store_ticket(rig.s, 1, &t), 1);
	assert_int_equal(t.caps, CAP_SHELL | CAP_SFTP_READ | CAP_SFTP_WRITE);
	assert_int_equal(t.state, TICKET_APPROVED);
	assert_string_equal(t.reason, "index");
	assert_int_equal(by_hand("UPDATE requests SET caps=127"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("UPDATE requests SET reason='other'"), SQLITE_CONSTRAINT);
	/* a way of before was a login under its grant */
	assert_int_equal(by_hand_number("SELECT count(*) FROM way_grants WHERE way_id=1 AND request_id=1 AND at=1800"), 1);
	/* what was in force when: the membership since its event */
	assert_int_equal(by_hand("CREATE TABLE t (x CHECK (x)) STRICT"), SQLITE_ERROR);
	assert_int_equal(by_hand("CREATE TABLE t (x INTEGER CHECK (x)) STRICT; INSERT INTO t SELECT from_at=1500 FROM member_history WHERE "
				 "role_id=1 AND user_id=1; INSERT INTO t SELECT count(*)=3 FROM role_history; "
				 "INSERT INTO t SELECT to_at=2000 FROM role_history WHERE name='old'; DROP TABLE t"), SQLITE_OK);
	assert_int_equal(by_hand("DELETE FROM role_history"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("UPDATE role_history SET from_at=1"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("UPDATE role_history SET to_at=1 WHERE name='old'"), SQLITE_CONSTRAINT);
}

/* --- what denies --- */

static void deny_beats_allow(void **state)
{
	struct access_answer a;

	(void)state;
	open_grant();
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"freeze\",\"deny\":true,\"host\":\"web*\"}}");
	assert_false(rechecked()); /* nobody is in it yet */
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, 0);
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"freeze\",\"user\":\"alice\"}}");
	assert_true(rechecked());
	a = way_of("alice", "web1", "dba", NULL);
	assert_int_equal(a.refusal, WAY_DENIED);
	assert_int_equal(a.ticket, 0);
	assert_non_null(strstr(a.line, "Rule freeze denies dba@web1"));
	NO("alice", "refused", REQUEST_WEB1);
	assert_non_null(strstr(field("error"), "rule freeze denies it"));
	/* an approval of what was asked before changes nothing */
	OK("root", "{\"word\":\"role member remove\",\"args\":{\"role\":\"freeze\",\"user\":\"alice\"}}");
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, 0);
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"all\",\"deny\":true,\"everyone\":true,\"host\":\"*\",\"login\":\"dba\"}}");
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, WAY_DENIED);
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"all\",\"login\":\"root\"}}");
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, 0);
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"all\",\"login\":[\"root\",\"dba\"]}}");
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, WAY_DENIED);
	OK("root", "{\"word\":\"role remove\",\"args\":{\"role\":\"all\"}}");
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, 0);
}

static void deny_has_its_hours_networks_and_capabilities(void **state)
{
	const struct access_use exec = { .any = CAP_EXEC, .command = "true" }, shell = { .any = CAP_SHELL };

	(void)state;
	open_grant();
	/* NOW is Friday 08:00 */
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"f\",\"deny\":true,\"everyone\":true,\"host\":\"*\",\"hours\":\"fri 08:30-09:00\"}}");
	assert_int_equal(way_of("alice", "web1", "dba", NULL).until, NOW + 1800); /* it ends when the rule begins */
	rig.now = NOW + 1800;
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, WAY_DENIED);
	rig.now = NOW;
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"f\",\"clear\":\"hours\",\"from\":\"192.0.2.0/24\"}}");
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, 0);
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"f\",\"from\":\"10.0.0.0/8\"}}");
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, WAY_DENIED);
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"f\",\"clear\":\"from\",\"cap\":\"exec\"}}");
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, 0);
	assert_int_equal(way_of("alice", "web1", "dba", NULL).caps, CAP_USUAL & ~CAP_EXEC);
	assert_int_equal(way_of("alice", "web1", "dba", &shell).refusal, 0);
	assert_int_equal(way_of("alice", "web1", "dba", &exec).refusal, WAY_DENIED);
	/* hours that nobody can read deny */
	assert_int_equal(by_hand("UPDATE roles SET hours='never', caps=127 WHERE name='f'"), SQLITE_OK);
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, WAY_DENIED);
}

static void rules_that_cannot_be_are_refused(void **state)
{
	static const char *const bad[] = {
		"\"role\":\"x\",\"login\":\"dba\"", "\"role\":\"x\",\"host\":\"*\"", "\"role\":\"x\",\"host\":\"*\",\"login\":\"dba\",\"everyone\":true",
		"\"role\":\"x\",\"deny\":true", "\"role\":\"x\",\"deny\":true,\"group\":true", "\"role\":\"x\",\"host\":\"*\",\"login\":\"dba\",\"zone\":\"moon\"",
		"\"role\":\"x\",\"host\":\"*\",\"login\":\"dba\",\"cap\":\"forward\"", "\"role\":\"x\",\"host\":\"*\",\"login\":\"dba\",\"cap\":\"forward db1:0\"",
		"\"role\":\"x\",\"host\":\"*\",\"login\":\"dba\",\"cap\":\"forward db1:65536\"", "\"role\":\"x\",\"host\":\"*\",\"login\":\"dba\",\"cap\":\"forward 10.0.0.1:22\"",
		"\"role\":\"x\",\"host\":\"*\",\"login\":\"dba\",\"cap\":\"command \"", "\"role\":\"x\",\"deny\":true,\"host\":\"*\",\"cap\":\"command id\"",
		"\"role\":\"x\",\"host\":\"*\",\"login\":\"dba\",\"hours\":\"mon 08:00-09:00 Mars/Olympus\"",
		"\"role\":\"x\",\"host\":\"*\",\"login\":\"dba\",\"hours\":\"mon 08:00-09:00 ../../etc/passwd\"",
		"\"role\":\"x\",\"host\":\"*\",\"login\":\"dba\",\"ask_reason\":\"maybe\"", "\"role\":\"x\",\"host\":\"*\",\"login\":\"dba\",\"approvals\":11",
		"\"role\":\"x\",\"deny\":true,\"host\":\"*\",\"approvals\":2", "\"role\":\"x\",\"deny\":true,\"host\":\"*\",\"ticket\":true",
		"\"role\":\"x\",\"deny\":true,\"host\":\"*\",\"approver_role\":[\"dba\"]", "\"role\":\"x\",\"group\":true,\"login\":[\"dba\"]",
	};
	char json[512];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(json, sizeof(json), "{\"word\":\"role add\",\"args\":{%s}}", bad[i]);
		if (strcmp(code("root", json), "usage") != 0)
			fail_msg("%s", bad[i]);
	}
	NO("root", "usage", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\"}}");
	NO("root", "usage", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"clear\":\"host\"}}");
	NO("root", "usage", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"everyone\":true}}");
	NO("root", "not_found", "{\"word\":\"role change\",\"args\":{\"role\":\"none\",\"max\":60}}");
}

/* --- who approves --- */

static void members_of_a_group_approve(void **state)
{
	(void)state;
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"leads\",\"group\":true}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"leads\",\"user\":\"carol\"}}");
	OK("root", "{\"word\":\"user add\",\"args\":{\"user\":\"carol2\",\"person\":\"CAROL\"}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"leads\",\"user\":\"carol2\"}}");
	NO("root", "not_found", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"approver_role\":\"nobody\"}}");
	NO("root", "refused", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"approver_role\":\"dba\"}}");
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"approver_role\":\"leads\",\"approvals\":2}}");
	OK("root", "{\"word\":\"role show\",\"args\":{\"role\":\"dba\"}}");
	assert_string_equal(json_string_value(json_object_get(json_object_get(last, "row"), "quorum")), "2 of 2"); /* carol is one */
	OK("alice", REQUEST_WEB1);
	assert_non_null(strstr(field("text"), "bob, any of leads"));
	OK("carol", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	NO("carol2", "refused", "{\"word\":\"approve\",\"args\":{\"id\":1}}"); /* the same person */
	NO("eve", "not_found", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, 0);
	OK("carol", "{\"word\":\"revoke\",\"args\":{\"id\":1}}");
	/* a group without its place, or removed, approves nothing */
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"clear\":\"approver_role\"}}");
	OK("alice", REQUEST_WEB1);
	NO("carol", "not_found", "{\"word\":\"approve\",\"args\":{\"id\":2}}");
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"approver_role\":\"leads\"}}");
	OK("root", "{\"word\":\"role remove\",\"args\":{\"role\":\"leads\"}}");
	NO("carol", "not_found", "{\"word\":\"approve\",\"args\":{\"id\":2}}");
	/* nobody approves for themselves, by whatever role */
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"us\",\"group\":true}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"us\",\"user\":\"alice\"}}");
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"approver_role\":\"us\"}}");
	NO("alice", "denied", "{\"word\":\"approve\",\"args\":{\"id\":2}}");
	NO("root", "refused", "{\"word\":\"role approver add\",\"args\":{\"role\":\"us\",\"user\":\"bob\"}}");
}

static void a_reason_is_asked_for_or_not(void **state)
{
	static const char without[] = "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":3600}}";

	(void)state;
	NO("alice", "refused", without);
	assert_non_null(strstr(field("error"), "--reason TEXT"));
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"ask_reason\":\"no\",\"ask_ticket\":\"yes\"}}");
	NO("alice", "refused", without);
	assert_non_null(strstr(field("error"), "--ticket ID"));
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"ask_ticket\":\"no\"}}");
	OK("alice", without);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
}

/* --- what a change takes away --- */

static void a_change_ends_what_it_leaves_outside(void **state)
{
	(void)state;
	open_grant();
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"max\":60}}"); /* counts from the next request on */
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, 0);
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"hours\":\"sat 08:00-09:00\"}}"); /* counts now */
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, WAY_NO_GRANT);
	assert_true(rechecked());
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"clear\":\"hours\"}}");
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"cap\":\"shell\"}}");
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, WAY_REVOKED);
	assert_int_equal(rig.ended[rig.nended - 2].what, END_GRANT);
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"zone\":\"production\"}}");
	NO("alice", "not_found", REQUEST_WEB1); /* web1 stands nowhere */
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"clear\":\"zone\",\"max\":7200}}");
	OK("alice", REQUEST_WEB1);
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":2}}");
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"host\":\"db*\"}}");
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, WAY_REVOKED);
}

static void a_host_that_moves_leaves_its_roles(void **state)
{
	(void)state;
	NO("root", "usage", "{\"word\":\"host change\",\"args\":{\"host\":\"web1\"}}");
	NO("root", "usage", "{\"word\":\"host change\",\"args\":{\"host\":\"web1\",\"zone\":\"here\"}}");
	NO("root", "not_found", "{\"word\":\"host change\",\"args\":{\"host\":\"web9\",\"zone\":\"test\"}}");
	OK("root", "{\"word\":\"host change\",\"args\":{\"host\":\"web1\",\"zone\":\"test\"}}");
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"zone\":[\"test\",\"office\"]}}");
	open_grant();
	OK("root", "{\"word\":\"host change\",\"args\":{\"host\":\"web1\",\"label\":\"tier=new\"}}");
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, 0);
	OK("root", "{\"word\":\"host change\",\"args\":{\"host\":\"web1\",\"zone\":\"production\"}}");
	assert_int_equal(way_of("alice", "web1", "dba", NULL).refusal, WAY_REVOKED);
	OK("root", "{\"word\":\"host list\"}");
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(last, "rows"), 0), "zone")), "production");
}

/* --- capabilities --- */

static bool may(unsigned mask, const char *forwards, const char *commands, unsigned any, const char *command, const char *forward)
{
	return access_may_use(&(struct access_use){ any, command, forward }, mask, forwards, commands);
}

static void each_use_needs_its_capability(void **state)
{
	(void)state;
	assert_true(may(CAP_SHELL, "", "", 0, NULL, NULL));
	assert_false(may(0, "", "", 0, NULL, NULL));
	assert_true(may(CAP_EXEC, "", "", CAP_EXEC, "id", NULL));
	assert_false(may(CAP_SHELL, "", "", CAP_EXEC, "id", NULL));
	assert_true(may(CAP_COMMAND, "", "uptime -p\nid", CAP_EXEC, "id", NULL));
	assert_true(may(CAP_COMMAND, "", "uptime -p\nid", CAP_EXEC, "uptime -p", NULL));
	for (size_t i = 0; i < 6; i++) {
		static const char *const other[] = { "i", "id ", " id", "id\n", "uptime -p\nid", "uptime  -p" };

		assert_false(may(CAP_COMMAND, "", "uptime -p\nid", CAP_EXEC, other[i], NULL));
	}
	assert_false(may(CAP_SHELL, "", "id", CAP_EXEC, "id", NULL)); /* the list without the capability */
	assert_true(may(CAP_FORWARD, "db1:5432 h:1", "", 0, NULL, "db1:5432"));
	assert_false(may(CAP_FORWARD, "db1:5432", "", 0, NULL, "db1:543"));
	assert_false(may(CAP_FORWARD, "db1:5432", "", 0, NULL, "DB1:5432"));
	assert_false(may(CAP_SHELL | CAP_EXEC, "db1:5432", "", 0, NULL, "db1:5432"));
	assert_true(may(CAP_SFTP_READ, "", "", CAP_SFTP_READ | CAP_SFTP_WRITE, NULL, NULL));
}

static void less_than_the_role_can_be_asked_for(void **state)
{
	struct access_role r = { .caps = CAP_EXEC | CAP_SFTP_READ | CAP_FORWARD, .forwards = "db1:5432" };
	char text[200];

	(void)state;
	assert_true(access_rights_within(&r, CAP_EXEC | CAP_SFTP_READ, "", ""));
	assert_false(access_rights_within(&r, CAP_SHELL, "", ""));
	assert_false(access_rights_within(&r, CAP_SFTP_WRITE, "", ""));
	assert_true(access_rights_within(&r, CAP_COMMAND, "", "id\nuptime")); /* exec is more */
	assert_true(access_rights_within(&r, CAP_FORWARD, "db1:5432", ""));
	assert_false(access_rights_within(&r, CAP_FORWARD, "db1:5432 db1:1", ""));
	memset(r.forwards, 'x', FORWARD_MAX + 2);
	assert_false(access_rights_within(&r, CAP_FORWARD, r.forwards, ""));
	r = (struct access_role){ .caps = CAP_COMMAND, .commands = "id\nuptime -p" };
	assert_true(access_rights_within(&r, CAP_COMMAND, "", "uptime -p"));
	assert_false(access_rights_within(&r, CAP_COMMAND, "", "uptime"));
	assert_false(access_rights_within(&r, CAP_COMMAND, "", "id\nls"));
	assert_string_equal(access_rights_text(text, sizeof(text), CAP_SHELL | CAP_FORWARD | CAP_COMMAND, "a:1 b:2", "id\nls", ", "),
	    "shell, forward a:1, forward b:2, command id, command ls");
	assert_string_equal(access_rights_text(text, sizeof(text), CAP_FORWARD | CAP_COMMAND, "", "", "+"), "forward+command");
	assert_string_equal(access_rights_text(text, 8, CAP_SHELL | CAP_FORWARD, "a:1", "", ", "), "shell, ");
}

static void requests_carry_their_rights(void **state)
{
	const struct access_use id = { .any = CAP_EXEC, .command = "id" }, ls = { .any = CAP_EXEC, .command = "ls" };
	const json_t *row;

	(void)state;
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"dba\",\"cap\":[\"exec\",\"forward db1:5432\",\"forward web1:80\"]}}");
	NO("alice", "refused", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":60,\"reason\":\"x\",\"cap\":\"forward db1:80\"}}");
	assert_non_null(strstr(field("error"), "role dba allows exec, forward db1:5432, forward web1:80"));
	NO("alice", "usage", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":60,\"reason\":\"x\",\"cap\":\"forward\"}}");
	OK("alice", "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":60,\"reason\":\"x\","
		    "\"cap\":[\"command \\\"id\\\"\",\"forward db1:5432\"]}}");
	OK("bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	OK("alice", "{\"word\":\"grants\"}");
	row = json_array_get(json_object_get(last, "rows"), 0);
	assert_string_equal(json_string_value(json_array_get(json_object_get(row, "caps"), 0)), "forward db1:5432");
	assert_string_equal(json_string_value(json_array_get(json_object_get(row, "caps"), 1)), "command id");
	assert_int_equal(way_of("alice", "web1", "dba", &id).refusal, 0);
	assert_int_equal(way_of("alice", "web1", "dba", &ls).refusal, WAY_NO_GRANT);
	OK("root", "{\"word\":\"role list\"}");
	row = json_array_get(json_object_get(last, "rows"), 0);
	assert_string_equal(json_string_value(json_array_get(json_object_get(row, "caps"), 2)), "forward web1:80");
}

/* --- explain --- */

/* --- hours on the clocks of a place --- */

static int64_t utc(int year, int month, int day, int hour, int minute)
{
	struct tm tm = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute };

	return timegm(&tm);
}

/* Berlin: UTC+1, and UTC+2 from 2027-03-28 01:00 UTC to 2027-10-31 01:00 UTC. */
static void hours_follow_the_clock_on_the_wall(void **state)
{
	static const char office[] = "mon-fri 08:00-18:00 Europe/Berlin", night[] = "sun 02:00-03:00 Europe/Berlin";
	int64_t change;

	(void)state;
	assert_int_equal(access_hours(office, utc(2027, 1, 15, 7, 0)), utc(2027, 1, 15, 17, 0));
	assert_int_equal(access_hours(office, utc(2027, 1, 15, 6, 59)), 0);
	assert_int_equal(access_hours(office, utc(2027, 7, 15, 6, 0)), utc(2027, 7, 15, 16, 0));
	assert_int_equal(access_hours(office, utc(2027, 7, 15, 16, 0)), 0);
	/* the hour that does not come: 02:00-03:00 on 2027-03-28 */
	assert_int_equal(access_hours_in(night, utc(2027, 3, 28, 0, 59), &change), 0);
	assert_int_equal(change, utc(2027, 4, 4, 0, 0));
	/* the hour that comes twice: it goes on through the change */
	assert_int_equal(access_hours(night, utc(2027, 10, 31, 0, 0)), utc(2027, 10, 31, 2, 0));
	assert_int_equal(access_hours_in("sun 02:30-04:00 Europe/Berlin", utc(2027, 10, 31, 0, 45), &change), 1);
	assert_int_equal(change, utc(2027, 10, 31, 1, 0)); /* 02:45, and fifteen minutes later it is 02:00 again */
	assert_int_equal(access_hours_in("sun 02:30-04:00 Europe/Berlin", utc(2027, 10, 31, 1, 0), &change), 0);
	assert_int_equal(change, utc(2027, 10, 31, 1, 30));
	/* a day with 23 hours, all of it */
	assert_int_equal(access_hours("sun 00:00-24:00 Europe/Berlin", utc(2027, 3, 27, 23, 0)), utc(2027, 3, 28, 22, 0));
	assert_int_equal(access_hours("mon-sun 00:00-24:00 Europe/Berlin", utc(2027, 3, 27, 23, 0)), FOREVER);
	/* half an hour's offset, and the other half of the year */
	assert_int_equal(access_hours("fri 09:00-10:00 Asia/Kolkata", utc(2027, 1, 15, 3, 30)), utc(2027, 1, 15, 4, 30));
	assert_int_equal(access_hours("fri 09:00-10:00 Australia/Sydney", utc(2027, 1, 14, 22, 0)), utc(2027, 1, 14, 23, 0));
	assert_int_equal(access_hours("fri 09:00-10:00 UTC", utc(2027, 1, 15, 9, 0)), utc(2027, 1, 15, 10, 0));
}

static void unknown_zones_and_times_are_no(void **state)
{
	int64_t change;

	(void)state;
	assert_true(access_hours_ok("mon 08:00-09:00 Mars/Olympus"));
	assert_false(access_zone_known("mon 08:00-09:00 Mars/Olympus"));
	assert_int_equal(access_hours("mon 08:00-09:00 Mars/Olympus", NOW), -1);
	assert_false(access_hours_ok("mon 08:00-09:00 /etc/passwd"));
	assert_false(access_hours_ok("mon 08:00-09:00 a/b/c/d"));
	assert_false(access_hours_ok("mon 08:00-09:00  UTC"));
	assert_false(access_hours_ok("mon 08:00-09:00 Europe/Berlin x"));
	assert_true(access_hours_named("mon 08:00-09:00 UTC"));
	assert_false(access_hours_named("mon 08:00-09:00"));
	assert_false(access_hours_named(""));
	assert_int_equal(access_hours_in("mon 08:00-09:00 Europe/Berlin", utc(1999, 1, 1, 0, 0), &change), -1);
	assert_int_equal(access_hours_in("mon 08:00-09:00 Europe/Berlin", utc(2099, 1, 1, 0, 0), &change), -1);
	assert_int_equal(access_hours_in("mon 08:00-09:00", utc(2099, 1, 1, 0, 0), &change), 0);
}

/* TZ of the process stays what it was; once all are read, none is looked for. */
static void zones_are_read_once(void **state)
{
	time_t t = (time_t)NOW;
	struct tm tm;
	int n;

	(void)state;
	setenv("TZ", "Asia/Tokyo", 1);
	tzset();
	assert_non_null(zone_find("America/New_York", 16));
	localtime_r(&t, &tm);
	assert_int_equal(tm.tm_gmtoff, 9 * 3600);
	n = zones_preload();
	assert_true(n > 300);
	localtime_r(&t, &tm);
	assert_int_equal(tm.tm_gmtoff, 9 * 3600);
	assert_non_null(zone_find("Africa/Casablanca", 17));
	assert_null(zone_find("posix/Europe/Berlin", 19));
	assert_null(zone_find("Europe/Berlin ", 14));
	assert_null(zone_find("tzdata.zi", 9));
	unsetenv("TZ");
	tzset();
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup_world, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rights_of_before_stay_what_they_were, setup_empty, teardown), T(deny_beats_allow), T(deny_has_its_hours_networks_and_capabilities), T(rules_that_cannot_be_are_refused),
		T(members_of_a_group_approve), T(a_reason_is_asked_for_or_not), T(a_change_ends_what_it_leaves_outside),
		T(a_host_that_moves_leaves_its_roles), cmocka_unit_test(each_use_needs_its_capability),
		cmocka_unit_test(less_than_the_role_can_be_asked_for), T(requests_carry_their_rights),
		cmocka_unit_test(hours_follow_the_clock_on_the_wall), cmocka_unit_test(unknown_zones_and_times_are_no),
		cmocka_unit_test(zones_are_read_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
