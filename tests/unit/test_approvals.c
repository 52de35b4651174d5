/*
 * test_approvals.c - a signed approval in a recording's metadata: the text that approve shows, signed by ssh-keygen, speaks of what was
 * signed and of nothing more, whatever the bastion's database made of the grant afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "consent.h"
#include "grant_note.h"
#include "replay_approvals.h"
#include "replay_store.h"

#define ASKED 1800000000
#define SPAN_S 3600
#define LAPSE (ASKED + 86400)

static char dir[64], text[CONSENT_TEXT_MAX], signature[SSHSIG_TEXT_MAX];
static json_t *meta;

static void file(const char *name, const char *how, char *data, size_t size)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_non_null(f = fopen(path, how));
	if (how[0] == 'w')
		assert_true(fputs(data, f) >= 0);
	else
		data[fread(data, 1, size - 1, f)] = '\0';
	fclose(f);
}

static const char reason[] = "x\ncommand: rm -rf /\nforward: db2:22";

/* These capabilities, two destinations and two commands at this login, as the approver saw and signed them. */
static void sign_more(int64_t request, const char *login, unsigned caps)
{
	struct ticket t = { .id = request, .duration = SPAN_S, .asked_at = ASKED, .lapse_at = LAPSE,
		.caps = caps | CAP_FORWARD | CAP_COMMAND, .forwards = "db1:5432 db1:80", .commands = "uptime\ncat \"\303\251\" \\x" };
	const struct user alice = { .name = "alice", .person = "Alice" }, bob = { .name = "bob", .person = "Bob" };
	const struct host web1 = { .name = "web1", .address = "192.0.2.1", .port = 22 };
	const struct consent c = { .bastion = "bastion", .ticket = &t, .user = &alice, .approver = &bob, .by = "alice", .host = &web1, .role = "r" };
	char cmd[512];

	snprintf(t.login, sizeof(t.login), "%s", login);
	snprintf(t.reason, sizeof(t.reason), "%s", reason);
	assert_int_equal(consent_text(&c, text), 0);
	file("text", "w", text, 0);
	snprintf(cmd, sizeof(cmd), "cd %s && rm -f text.sig && { [ -e k ] || ssh-keygen -q -t ed25519 -N '' -f k; } && "
	    "ssh-keygen -q -Y sign -n bastiond-approval -f k text >out 2>&1", dir);
	assert_int_equal(system(cmd), 0);
	file("text.sig", "r", signature, sizeof(signature));
}

static void sign_for(const char *login)
{
	sign_more(17, login, cap_by_name("shell"));
}

/* And the metadata of a recording under that. */
static int make(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/approvals-XXXXXX");
	assert_non_null(mkdtemp(dir));
	sign_for("dba");
	meta = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:[s, s, s, s]}", "bastion", "bastion", "user", "alice", "person", "Alice",
	    "login", "dba", "host", "web1", "address", "192.0.2.1", "reason", reason, "grant", 17, "started", ASKED + 60, "until", ASKED + SPAN_S,
	    "caps", "shell", "forward db1:5432", "command uptime", "command cat \"\303\251\" \\x");
	return meta != NULL ? 0 : -1;
}

static int drop(void **state)
{
	char cmd[128];

	(void)state;
	json_decref(meta);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

/* The state with this in place of what the metadata have; NULL: without it. */
static enum approval_state with(const char *key, json_t *value, const char *line)
{
	json_t *approval = json_pack("{s:s, s:s, s:s, s:s}", "by", "bob", "person", "Bob", "text", text, "signature", signature);
	json_t *other = json_deep_copy(meta);
	static struct sshsig sig;
	enum approval_state s;
	char why[256] = "", want[64];

	if (key != NULL && value != NULL)
		json_object_set_new(other, key, value);
	else if (key != NULL)
		json_object_del(other, key);
	s = approval_check(other, approval, &sig, why, sizeof(why));
	snprintf(want, sizeof(want), "its line '%s'", line != NULL ? line : "");
	assert_true(line == NULL || strstr(why, want) != NULL);
	json_decref(other);
	json_decref(approval);
	return s;
}

#define BAD(key, value, line) assert_int_equal(with(key, value, line), APPROVAL_BAD)
#define CAPS_BAD(...) BAD("caps", json_pack("[" __VA_ARGS__), "capabilities")

static void what_was_signed_holds(void **state)
{
	(void)state;
	assert_int_equal(with(NULL, NULL, NULL), APPROVAL_HOLDS);
	/* less than that, too */
	assert_int_equal(with("caps", json_pack("[]"), NULL), APPROVAL_HOLDS);
	assert_int_equal(with("caps", json_pack("[s]", "forward db1:80"), NULL), APPROVAL_HOLDS);
}

static void a_widened_grant_does_not(void **state)
{
	char *much = calloc(1, 9000);

	(void)state;
	CAPS_BAD("s, s]", "shell", "exec");
	CAPS_BAD("s]", "sftp");
	CAPS_BAD("s]", "forward db2:22"); /* the reason speaks of it, and is escaped */
	CAPS_BAD("s]", "forward db1:54321");
	CAPS_BAD("s]", "forward db1:543");
	CAPS_BAD("s]", "forward ");
	CAPS_BAD("s]", "forward");
	CAPS_BAD("s]", "command rm -rf /");
	CAPS_BAD("s]", "command uptime ");
	CAPS_BAD("s]", "command");
	CAPS_BAD("s]", "shell uptime");
	CAPS_BAD("s]", "shel");
	CAPS_BAD("s]", "");
	CAPS_BAD("i]", 1);
	BAD("caps", json_string("shell"), "capabilities");
	BAD("caps", NULL, "capabilities");
	memset(memcpy(much, "command uptime", 14) + 14, ' ', 8000);
	CAPS_BAD("s]", much);
	free(much);
}

/* Asked for as @self: the recording has the user's name as the login, which is that account, and nobody else's. */
static void an_account_of_ones_own_is_the_users(void **state)
{
	char before[CONSENT_TEXT_MAX], signed_before[SSHSIG_TEXT_MAX];

	(void)state;
	memcpy(before, text, sizeof(before));
	memcpy(signed_before, signature, sizeof(signed_before));
	sign_for(LOGIN_SELF);
	assert_non_null(strstr(text, "\nlogin: @self\n"));
	assert_int_equal(with("login", json_string("alice"), NULL), APPROVAL_HOLDS);
	assert_int_equal(with("login", json_string("@self"), NULL), APPROVAL_HOLDS);
	BAD("login", json_string("dba"), "login");
	BAD("login", json_string("root"), "login");
	BAD("login", json_string(""), "login");
	BAD("login", json_integer(1), "login");
	BAD("login", NULL, "login");
	memcpy(text, before, sizeof(text));
	memcpy(signature, signed_before, sizeof(signature));
	BAD("login", json_string("alice"), "login"); /* this one was signed for dba */
}

static void an_end_must_be_there(void **state)
{
	(void)state;
	BAD("until", NULL, "time");
	BAD("until", json_integer(0), "time");
	assert_int_equal(with("until", json_integer(LAPSE + SPAN_S), NULL), APPROVAL_HOLDS);
	BAD("until", json_integer(LAPSE + SPAN_S + 1), "time");
	BAD("started", json_integer(ASKED - 1), "time");
	BAD("grant", json_integer(18), "request");
	BAD("reason", json_string("x"), "reason");
}

/* What access_may_use() would have allowed by the grant that was signed. */
static void what_was_opened_was_signed(void **state)
{
	static const char some[] = "capabilities: exec scp\n", reads[] = "capabilities: sftp-read\n", writes[] = "capabilities: sftp-write\n";

	(void)state;
	assert_true(approval_covers(text, "shell", ""));
	assert_true(approval_covers(text, "exec", "uptime"));
	assert_true(approval_covers(text, "exec", "cat \"\303\251\" \\x"));
	assert_true(approval_covers(text, "forward", "db1:5432"));
	assert_false(approval_covers(text, "exec", "uptime -p"));
	assert_false(approval_covers(text, "exec", ""));
	assert_false(approval_covers(text, "exec", "rm -rf /")); /* the reason speaks of it */
	assert_false(approval_covers(text, "forward", "db2:22"));
	assert_false(approval_covers(text, "forward", "db1:54321"));
	assert_false(approval_covers(text, "forward", ""));
	assert_false(approval_covers(text, "sftp", "sftp"));
	assert_false(approval_covers(text, "scp", "scp -t /x"));
	assert_false(approval_covers(text, "", ""));
	assert_false(approval_covers(text, "command", ""));
	assert_false(approval_covers("", "shell", ""));
	assert_true(approval_covers(some, "exec", "anything"));
	assert_true(approval_covers(some, "scp", "scp -t /x"));
	assert_false(approval_covers(some, "shell", ""));
	assert_true(approval_covers(reads, "sftp", "sftp"));
	assert_true(approval_covers(reads, "scp", "scp -v -f /x"));
	assert_false(approval_covers(reads, "scp", "scp -v -t /x"));
	assert_false(approval_covers(reads, "scp", "scp"));
	assert_true(approval_covers(writes, "sftp", "sftp"));
	assert_true(approval_covers(writes, "scp", "scp -rt /x"));
	assert_false(approval_covers(writes, "scp", "scp -f /x"));
	assert_false(approval_covers("capabilities: exec shell-like\n", "shell", ""));
}

/* bastion-record(5) has the names of all lines, in their order. */
static void the_page_names_the_lines(void **state)
{
	struct ticket t = { .id = 1, .duration = SPAN_S, .asked_at = ASKED, .lapse_at = LAPSE, .not_before = ASKED, .logins = 1,
		.caps = CAP_FORWARD | CAP_COMMAND, .login = "dba", .reason = "r", .ref = "t", .forwards = "db1:5432", .commands = "uptime" };
	const struct user alice = { .name = "alice", .person = "Alice" };
	const struct host web1 = { .name = "web1", .address = "192.0.2.1", .port = 22 };
	const struct consent c = { .bastion = "b", .ticket = &t, .user = &alice, .approver = &alice, .by = "alice", .host = &web1, .role = "r" };
	char full[CONSENT_TEXT_MAX], page[131072], names[512] = "", listed[512] = "", *save, *rest;
	FILE *f = fopen("man/bastion-record.5", "r");

	(void)state;
	assert_non_null(f);
	page[fread(page, 1, sizeof(page) - 1, f)] = '\0';
	fclose(f);
	assert_int_equal(consent_text(&c, full), 0);
	for (char *line = strtok_r(strchr(full, '\n') + 1, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%.*s ", (int)strcspn(line, ":"), line);
	assert_non_null(rest = strstr(page, "\nin this order:\n.Bd -literal -offset indent\n"));
	rest = strstr(rest, "indent\n") + 7;
	*strstr(rest, "\n.Ed") = '\0';
	for (char *name = strtok_r(rest, " \n", &save); name != NULL; name = strtok_r(NULL, " \n", &save))
		snprintf(listed + strlen(listed), sizeof(listed) - strlen(listed), "%s ", name);
	assert_string_equal(listed, names);
}

static json_t *approved(void)
{
	return json_pack("[{s:s, s:s, s:i, s:s, s:s, s:s}]", "by", "bob", "person", "Bob", "at", ASKED, "reason", "", "text", text, "signature", signature);
}

/* The recording of the signed grant with these events, the further grant before the channel: status and output of `approvals`. */
static int status_under(char out[65536], const char *further, const char *opens, const char *note, const char *more)
{
	json_t *described = json_deep_copy(meta);
	char id[33], line[512], *dump;
	struct fixture *x;

	assert_int_equal(json_object_set_new(described, "approvals", approved()), 0);
	assert_non_null(dump = json_dumps(described, 0));
	json_decref(described);
	x = fx_open(false, false);
	event(x, 0, BREC_META, BREC_K_META, dump);
	free(dump);
	if (further != NULL)
		event(x, 0, BREC_META, BREC_K_GRANT, further);
	event(x, 1, BREC_META, BREC_K_OPEN, opens);
	if (note != NULL)
		event(x, 0, BREC_META, BREC_K_NOTE, note);
	keep(x, id);
	snprintf(line, sizeof(line), "bastion-replay approvals -d %s -i %s %s %s", store, path_identity, id, more);
	return run(out, line);
}

static int status_of(char out[65536], const char *opens, const char *note, const char *more)
{
	return status_under(out, NULL, opens, note, more);
}

#define OPEN(capability, command) "{\"capability\":\"" capability "\",\"command\":\"" command "\"}"

static void the_recording_is_held_against_the_texts(void **state)
{
	char out[65536], line[512], path[128], signer[512];

	(void)state;
	store_make();
	assert_int_equal(status_of(out, OPEN("shell", ""), NULL, ""), EXIT_OK);
	assert_null(strstr(out, "NOT SIGNED FOR"));
	assert_int_equal(status_of(out, OPEN("exec", "uptime"), NULL, ""), EXIT_OK);
	assert_int_equal(status_of(out, OPEN("exec", "rm -rf \\u001b/"), NULL, ""), EXIT_VERDICT);
	assert_non_null(strstr(out, "channel 1  exec rm -rf \\x1b/: NOT SIGNED FOR"));
	assert_int_equal(status_of(out, OPEN("sftp", "sftp"), NULL, "--json"), EXIT_VERDICT);
	assert_non_null(strstr(out, "\"channel\""));
	assert_int_equal(status_of(out, OPEN("exec", "uptime\\u0000"), NULL, ""), EXIT_VERDICT);
	assert_int_equal(status_of(out, "{\"capability\":\"shell\"", NULL, ""), EXIT_VERDICT);
	assert_int_equal(status_of(out, "{\"capability\":7,\"command\":\"\"}", NULL, ""), EXIT_VERDICT);
	/* another grant is said, and none of which a list of keys knows who approved it */
	assert_int_equal(status_of(out, OPEN("shell", ""), GRANT_NOTE_JOINS "9, too", ""), EXIT_OK);
	assert_non_null(strstr(out, "grant 9  this session used it, too"));
	assert_int_equal(status_of(out, OPEN("shell", ""), "bastiond: your grant 17 is over" GRANT_NOTE_MOVES "12, until x", "--json"), EXIT_OK);
	assert_non_null(strstr(out, "\"grant\":12"));
	snprintf(path, sizeof(path), "%s/k.pub", dir);
	file("k.pub", "r", signer, sizeof(signer));
	snprintf(path, sizeof(path), "%s/signers", store);
	append(path, "bob ");
	append(path, signer);
	snprintf(line, sizeof(line), "--signers %s", path);
	assert_int_equal(status_of(out, OPEN("shell", ""), "bastiond: break-glass", line), EXIT_OK);
	assert_int_equal(status_of(out, OPEN("shell", ""), GRANT_NOTE_JOINS "9, too", line), EXIT_VERDICT);
	assert_int_equal(store_drop(), 0);
}

/* What a recording has of grant 18, which was signed for exec; the fixture's own grant is signed for a shell again then. Owned by the caller. */
static char *further(const char *person, json_t *approvals)
{
	json_t *of;
	char *dump;

	sign_more(18, "dba", cap_by_name("exec"));
	if (approvals == NULL)
		approvals = approved();
	of = json_pack("{s:i, s:s, s:i, s:i, s:[s], s:o}", "grant", 18, "reason", reason, "started", ASKED + 70, "until", ASKED + SPAN_S, "caps", "exec",
	    "approvals", approvals);
	assert_non_null(of);
	json_object_set_new(of, "person", json_string(person));
	assert_non_null(dump = json_dumps(of, 0));
	json_decref(of);
	sign_for("dba");
	return dump;
}

static void a_further_grant_is_held_against_its_own(void **state)
{
	char out[65536], *good = further("Alice", NULL), *none = further("Alice", json_array()), *bad, *at;

	(void)state;
	store_make();
	assert_int_equal(status_under(out, good, OPEN("exec", "make"), GRANT_NOTE_JOINS "18, too", ""), EXIT_OK);
	assert_non_null(strstr(out, "approval 2  bob"));
	assert_null(strstr(out, "not in this recording"));
	/* what it allows, it allows from there on; nothing else, and it tells of no other grant */
	assert_int_equal(status_of(out, OPEN("exec", "make"), NULL, ""), EXIT_VERDICT);
	assert_int_equal(status_under(out, good, OPEN("scp", "scp -t x"), NULL, ""), EXIT_VERDICT);
	assert_int_equal(status_under(out, good, OPEN("exec", "make"), GRANT_NOTE_JOINS "19, too", "--json"), EXIT_OK);
	assert_non_null(strstr(out, "\"grant\":19"));
	/* another's name in it changes nothing: whose session it is, the metadata say */
	free(good);
	good = further("Mallory", NULL);
	assert_int_equal(status_under(out, good, OPEN("exec", "make"), NULL, ""), EXIT_OK);
	/* one that needed no approval is one that no text has to cover */
	assert_int_equal(status_under(out, none, OPEN("exec", "make"), NULL, ""), EXIT_OK);
	/* the same signature under another number, or for more */
	bad = further("Alice", NULL);
	assert_non_null(at = strstr(bad, "\"grant\": 18"));
	memcpy(at, "\"grant\": 17", 11);
	assert_int_equal(status_under(out, bad, OPEN("exec", "make"), NULL, ""), EXIT_VERDICT);
	assert_non_null(strstr(out, "line 'request'"));
	assert_int_equal(status_under(out, "{\"grant\":18}", OPEN("shell", ""), NULL, ""), EXIT_VERDICT);
	assert_int_equal(status_under(out, "no JSON", OPEN("shell", ""), NULL, ""), EXIT_VERDICT);
	free(good);
	free(none);
	free(bad);
	assert_int_equal(store_drop(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_signed_holds), cmocka_unit_test(a_widened_grant_does_not), cmocka_unit_test(an_end_must_be_there),
		cmocka_unit_test(an_account_of_ones_own_is_the_users), cmocka_unit_test(the_page_names_the_lines),
		cmocka_unit_test(what_was_opened_was_signed), cmocka_unit_test(the_recording_is_held_against_the_texts),
		cmocka_unit_test(a_further_grant_is_held_against_its_own),
	};

	return cmocka_run_group_tests(tests, make, drop);
}
