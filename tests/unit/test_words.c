/*
 * test_words.c - the command words: lines into requests, and the table against bastionctl(1), control.c and etc/completion.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "control.h"
#include "words.h"

#define ED "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKW2yL3DiiJSeVM4uHQQNn6wLlTPN+Ms0wLLtRynfb20"
#define P384                                                                                                           \
	"ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBIm6FOEL6SZKwChTCVF4Nt3k5UNkeZEZd6ZZ" \
	"HoOWG9dzeLo5rDAn4MVQDUfKv22dwoAvIJUuSHPhieO6i64u3lSJ+BHBNvmjtpSuIE4z5LyoCa/LcpaoFrvAhWLEIz9SBQ=="

static const char *file_text; /* what every file holds; NULL: there are no files */

static int read_file(const char *path, char *out, size_t size)
{
	(void)path;
	if (file_text == NULL)
		return -1;
	snprintf(out, size, "%s", file_text);
	return 0;
}

static const struct words_env root = {
	.who = WHO_ROOT, .ctl = true, .prefix = "bastionctl ", .read_file = read_file
};
static const struct words_env ssh = { .who = WHO_USER };
static const struct words_env console = { .who = WHO_USER, .console = true };

/* --- lines --- */

static void gives(const struct words_env *env, const char *line, const char *json)
{
	struct words_call call;
	char err[WORDS_ERR_MAX];

	if (words_parse_line(line, env, &call, err, sizeof(err)) != WORDS_OK)
		fail_msg("%s: %s", line, err);
	assert_string_equal(call.json, json);
	words_call_finish(&call);
}

static void refuses(const struct words_env *env, const char *line, const char *part)
{
	struct words_call call;
	char err[WORDS_ERR_MAX];

	assert_int_equal(words_parse_line(line, env, &call, err, sizeof(err)), WORDS_USAGE);
	if (strstr(err, part) == NULL)
		fail_msg("%s: \"%s\" does not say \"%s\"", line, err, part);
	assert_null(call.json);
	assert_null(call.text);
}

static void requests(void **state)
{
	(void)state;
	gives(&ssh, "hosts", "{\"word\":\"hosts\",\"args\":{}}");
	gives(&ssh, "request web1 --login dba --for 1h30m --reason why",
	    "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":5400,\"reason\":\"why\"}}");
	gives(&ssh,
	    "request --cap=shell --login=dba --cap exec web1 --for=2h --reason x --ticket OPS-1",
	    "{\"word\":\"request\",\"args\":{\"cap\":[\"shell\",\"exec\"],\"login\":\"dba\",\"host\":\"web1\",\"for\":7200,"
	    "\"reason\":\"x\",\"ticket\":\"OPS-1\"}}");
	gives(&ssh, "approve 9007199254740991",
	    "{\"word\":\"approve\",\"args\":{\"id\":9007199254740991}}");
	gives(&ssh, "approve -- 4", "{\"word\":\"approve\",\"args\":{\"id\":4}}");
	gives(&ssh, "user add x --service --from 10.0.0.0/8 --from ::1 --until 1970-01-02",
	    "{\"word\":\"user add\",\"args\":{\"user\":\"x\",\"service\":true,\"from\":[\"10.0.0.0/8\",\"::1\"],\"until\":86400}}");
	gives(&ssh,
	    "host add web1 --address ::1 --port 2222 --key '" ED "' --login dba --managed-key old",
	    "{\"word\":\"host add\",\"args\":{\"host\":\"web1\",\"address\":\"::1\",\"port\":2222,\"key\":[\"" ED
	    "\"],"
	    "\"login\":[\"dba\"],\"managed_key\":\"old\"}}");
	gives(&ssh, "host change web1 --rotate 3650d", "{\"word\":\"host change\",\"args\":{\"host\":\"web1\",\"rotate\":\"3650d\"}}");
	gives(&console, "connect web1", "{\"word\":\"connect\",\"args\":{\"host\":\"web1\"}}");
	gives(&console, "connect web1 as dba",
	    "{\"word\":\"connect\",\"args\":{\"host\":\"web1\",\"login\":\"dba\"}}");
	gives(&console, "connect web1 dba",
	    "{\"word\":\"connect\",\"args\":{\"host\":\"web1\",\"login\":\"dba\"}}");
}

static void quotes(void **state)
{
	(void)state;
#define DENY(text) "{\"word\":\"deny\",\"args\":{\"id\":1,\"reason\":" text "}}"
	gives(&ssh, "deny 1 --reason 'two words'", DENY("\"two words\""));
	gives(&ssh, "deny 1 --reason \"say \\\"no\\\" \\x\"", DENY("\"say \\\"no\\\" \\\\x\""));
	gives(&ssh, "deny 1 --reason=\"two words\"", DENY("\"two words\""));
	gives(&ssh, "deny 1 --reason 'don'\\''t'", DENY("\"don't\""));
	gives(&ssh, "deny 1 --reason two\\ words", DENY("\"two words\""));
	gives(&ssh, "\tdeny  1\t--reason \"\"x", DENY("\"x\""));
	/* ssh gave the words, the user's shell kept the quotes */
	gives(&ssh, "deny 1 --reason I can't and won't", DENY("\"I can't and won't\""));
	gives(&ssh, "deny --reason no 1",
	    "{\"word\":\"deny\",\"args\":{\"reason\":\"no\",\"id\":1}}");
	gives(&ssh, "deny 1 --reason $(id) `id` ; id | * > x", DENY("\"$(id) `id` ; id | * > x\""));
	refuses(&ssh, "deny 1 --reason 'open", "quote (') is not closed");
	refuses(&ssh, "deny 1 --reason \"open", "quote (\") is not closed");
	refuses(&ssh, "deny --reason no reason 1", "NUMBER \"reason\"");
#undef DENY
}

static void wrong(void **state)
{
	(void)state;
	refuses(&ssh, "aprove 17", "did you mean 'approve'?");
	refuses(&ssh, "usr list", "did you mean 'user list'?");
	refuses(&ssh, "user kye add", "did you mean 'user key add'?");
	refuses(&ssh, "user", "user add, user list");
	refuses(&ssh, "user key", "user key add, user key list");
	refuses(&ssh, "frobnicate", "'help' lists them");
	refuses(&root, "frobnicate", "'bastionctl help' lists them");
	refuses(&ssh, "x", "no word");
	refuses(&ssh, "help frobnicate", "no word");
	refuses(&ssh, "request web1", "--login is missing");
	refuses(&ssh, "approve", "NUMBER is missing");
	refuses(&ssh, "approve 0", "from 1 on");
	refuses(&ssh, "approve 9007199254740992", "from 1 on");
	refuses(&ssh, "approve -1", "from 1 on");
	refuses(&ssh, "approve 1 2", "one word too many");
	refuses(&ssh, "approve 1 --resaon x", "did you mean --reason?");
	refuses(&ssh, "approve 1 --reason", "needs a value");
	refuses(&ssh, "approve 1 --reason --json", "needs a value");
	refuses(&ssh, "approve 1 --reason a --reason b", "--reason was given twice");
	refuses(&ssh, "requests --all=yes", "takes no value");
	refuses(&ssh, "host change web1 --rotate 0d", "days, as 30d");
	refuses(&ssh, "host change web1 --rotate 3651d", "days, as 30d");
	refuses(&ssh, "host change web1 --rotate 30", "days, as 30d");
	refuses(&ssh, "host add web1 --mangaed-key x", "did you mean --managed-key?");
	refuses(&ssh, "host add 10.0.0.1", "never by its address");
	refuses(&ssh, "user add Alice", "starts with a-z");
	refuses(&ssh, "user add x --from 10.0.0.1/8", "a network is");
	refuses(&ssh, "user add x --until tomorrow", "2027-01-31");
	refuses(&ssh, "role add x --login a --cap fly", "shell, exec, sftp-read");
	refuses(&ssh, "role add x --login a --cap hel", "shell, exec, sftp-read");
	refuses(&ssh, "role add x --login a --hours always", "mon-fri");
	refuses(&ssh, "role add x --login a --zone 'office test'", "one of office, test, production, cloud");
	refuses(&ssh, "role add x --login a --cap 'forward command'", "shell, exec, sftp-read");
	refuses(&ssh, "role add x --login a --label tier", "key=value");
	refuses(&ssh, "role add x --login a --max 2", "30m");
	refuses(&ssh, "role add x --login a --approvals 1001", "0 to 1000");
	refuses(&ssh, "user totp confirm alice 12345 123456", "six digits");
	refuses(&ssh, "deny 1 --reason '   '", "1 to 500 bytes");
	refuses(&ssh, "request \033[31mweb1", "\\x1b[31mweb1"); /* no raw escape in a message */
	refuses(&ssh, "deny 1 --reason '\xff'", "UTF-8");
	refuses(&ssh, "init", "works with bastionctl alone");
	refuses(&console, "key add x", "works with bastionctl alone");
	refuses(&ssh, "events verify", "works with bastionctl alone");
	refuses(&ssh, "connect web1", "a word of the console");
	refuses(&root, "exit", "a word of the console");
	refuses(&ssh, "user", "user totp recovery"); /* all of them */
	refuses(&ssh, "role add x --login a --ask-reason maybe", "one of yes, no");
	refuses(&ssh, "user add x --until 2027-02-30", "2027-01-31");
}

static void keys(void **state)
{
	(void)state;
#define ADD(key)                                                                                   \
	"{\"word\":\"user key add\",\"args\":{\"user\":\"a\",\"device\":\"d\",\"key\":\"" key "\"}}"
	gives(&ssh, "user key add a d " ED, ADD(ED));
	gives(&ssh, "user key add a d " P384 " some comment", ADD(P384 " some comment"));
	gives(&ssh, "user key add a d '" ED "  x'", ADD(ED "  x"));
	refuses(&ssh, "user key add a d id.pub", "works with bastionctl only");
	refuses(&ssh,
	    "user key add a d ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIKW2yL3DiiJSeVM4uHQQNn6wLlTPN+Ms0wLLtRynfb20",
	    "not such a key");
	refuses(&ssh, "user key add a d ssh-ed25519 AAAA", "not such a key");
	refuses(&ssh, "user key add a d ssh-ed25519 !!!!", "not such a key");
	refuses(&ssh, "user key add a d ssh-dss AAAAB3NzaC1kc3MAAAA", "one line");
	refuses(&ssh, "user key add a d command=\"x\" " ED, "one line"); /* options would be lost */
	file_text = "# comment\n\n" ED " laptop\r\n";
	gives(&root, "user key add a d id.pub", ADD(ED " laptop"));
	file_text = ED "\n" ED "\n";
	refuses(&root, "user key add a d id.pub", "too many lines");
	file_text =
	    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n-----END OPENSSH PRIVATE KEY-----\n";
	refuses(&root, "user key add a d id", "private key");
	file_text = "";
	refuses(&root, "user key add a d id", "no public key in it");
	file_text = NULL;
	refuses(&root, "user key add a d id", "cannot read this file");
	file_text = "# 10.0.0.1:22 SSH-2.0\n10.0.0.1 " ED "\n10.0.0.1 " P384;
	gives(&root, "host add h --address x --login l --key scan",
	    "{\"word\":\"host add\",\"args\":{\"host\":\"h\","
	    "\"address\":\"x\",\"login\":[\"l\"],\"key\":[\"" ED "\",\"" P384 "\"]}}");
	file_text = NULL;
#undef ADD
}

static void limits(void **state)
{
	char line[WORDS_LINE_MAX + 64], err[WORDS_ERR_MAX], out[32], *argv[3];
	struct words_call call;

	(void)state;
	memset(line, 'x', sizeof(line));
	line[WORDS_LINE_MAX + 1] = '\0';
	refuses(&ssh, line, "too long");
	line[WORDS_LINE_MAX] = '\0';
	refuses(&ssh, line, "no word");
	memcpy(line, "deny 1 --reason ", 16);
	refuses(&ssh, line, "1 to 500 bytes");
	for (size_t i = 16; i < WORDS_LINE_MAX; i += 2)
		line[i] = ' ';
	refuses(&ssh, line, "too many words");
	assert_int_equal(words_split("a b c d", out, sizeof(out), argv, 3, err, sizeof(err)), -1);
	assert_int_equal(words_split("a b c", out, sizeof(out), argv, 3, err, sizeof(err)), 3);
	assert_int_equal(words_split("a b c", out, 5, argv, 3, err, sizeof(err)), -1);
	assert_int_equal(words_parse_line(" \t ", &ssh, &call, err, sizeof(err)), WORDS_OK);
	assert_null(call.word);
}

static void json_flag(void **state)
{
	struct words_call call;
	char err[WORDS_ERR_MAX];

	(void)state;
	assert_int_equal(
	    words_parse_line("user key add a d " ED " --json", &ssh, &call, err, sizeof(err)),
	    WORDS_OK);
	assert_true(call.as_json);
	assert_non_null(strstr(call.json, ED "\""));
	words_call_finish(&call);
	assert_int_equal(words_parse_line("hosts", &ssh, &call, err, sizeof(err)), WORDS_OK);
	assert_false(call.as_json);
	words_call_finish(&call);
	/* --help makes any word one that is answered here, whatever else is missing */
	for (size_t i = 0; i < words_count; i++) {
		static const struct words_env all = {
			.who = WHO_ROOT, .ctl = true, .console = true
		};
		char line[64];

		snprintf(
		    line, sizeof(line), i % 2 == 0 ? "%s --help" : "%s -h", words_table[i].path);
		assert_int_equal(words_parse_line(line, &all, &call, err, sizeof(err)), WORDS_OK);
		assert_int_equal(call.word->where, AT_PARSER);
		assert_non_null(call.text);
		assert_null(call.json);
		words_call_finish(&call);
	}
}

/* --- the table --- */

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 18);

	if (f == NULL)
		fail_msg("%s: not there; tests run in the top folder", path);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 18) - 1, f) > 0);
	fclose(f);
	return text;
}

/* --json is taken or refused, never passed over; bastionctl(1) names the words that refuse it. */
static void json_or_a_refusal(void **state)
{
	static const struct words_env all = {
		.who = WHO_ROOT, .ctl = true, .console = true, .read_file = read_file
	};
	static const char says[] = "refuses it with status 2:\n.Ic ";
	char *page = slurp("man/bastionctl.1"), *list = strstr(page, says), item[80], line[WORDS_LINE_MAX];
	struct words_call call;
	char err[WORDS_ERR_MAX];
	size_t len;

	(void)state;
	assert_non_null(list);
	list += strlen(says) - 2;
	len = strcspn(list, "\n");
	assert_memory_equal(&list[len - 2], " .", 2);
	list[0] = list[len - 1] = ',';
	list[len] = '\0';
	file_text = ED;
	for (size_t i = 0; i < words_count; i++) {
		const struct words_word *w = &words_table[i];

		snprintf(item, sizeof(item), ", %s ,", w->path);
		if ((strstr(list, item) != NULL) != w->plain)
			fail_msg("bastionctl(1) has '%s' among those without --json, or lacks it, and the table has it otherwise", w->path);
		snprintf(line, sizeof(line), "%s --json", w->example);
		if (strstr(line, " --csv --json") != NULL)
			strcpy(strstr(line, " --csv"), " --json");
		if (w->plain) {
			assert_null(w->cols);
			refuses(&all, line, "has no --json");
			continue;
		}
		if (words_parse_line(line, &all, &call, err, sizeof(err)) != WORDS_OK)
			fail_msg("%s: %s", line, err);
		assert_true(call.as_json);
		words_call_finish(&call);
	}
	file_text = NULL;
	free(page);
}

/* Each word's example is one, and each argument is fit to be told from the others. */
static void examples(void **state)
{
	static const struct words_env all = {
		.who = WHO_ROOT, .ctl = true, .console = true, .read_file = read_file
	};
	struct words_call call;
	char err[WORDS_ERR_MAX];

	(void)state;
	file_text = ED;
	for (size_t i = 0; i < words_count; i++) {
		const struct words_word *w = &words_table[i];

		if (words_parse_line(w->example, &all, &call, err, sizeof(err)) != WORDS_OK)
			fail_msg("example of %s: %s", w->path, err);
		assert_ptr_equal(call.word, w);
		words_call_finish(&call);
		assert_ptr_equal(words_find(w->path), w);
		assert_non_null(w->more);
		for (size_t a = 0; a < w->nargs; a++) {
			assert_true(w->args[a].show != NULL || w->args[a].type == ARG_FLAG);
			for (size_t b = 0; b < a; b++)
				assert_string_not_equal(w->args[a].name, w->args[b].name);
		}
	}
	file_text = NULL;
}

static void control_has_them(void **state)
{
	size_t n = 0, mine = 0;

	(void)state;
	for (const char *path; (path = control_word(n)) != NULL; n++) {
		const struct words_word *w = words_find(path);

		if (w == NULL || w->where != AT_POLICY)
			fail_msg(
			    "control.c handles '%s', which the table does not send there", path);
	}
	for (size_t i = 0; i < words_count; i++)
		mine += words_table[i].where == AT_POLICY;
	assert_int_equal(n, mine);
}

/* "request Ar HOST Fl \-login Ar LOGIN Op …" of the page as "request HOST --login LOGIN …" */
static void plain_item(const char *item, size_t len, char *out, size_t size)
{
	static const char *const macros[] = { "Ic", "Ar", "Oo", "Oc", "Op", "...", "Ns" };
	const char *end = item + len;
	bool flag = false;

	out[0] = '\0';
	while (item < end) {
		size_t n = strcspn(item, " \n"), used = strlen(out);
		bool macro = false;

		for (size_t i = 0; i < sizeof(macros) / sizeof(macros[0]); i++)
			macro |= strlen(macros[i]) == n && memcmp(macros[i], item, n) == 0;
		if (n == 2 && memcmp(item, "Fl", 2) == 0)
			flag = true;
		else if (!macro)
			snprintf(out + used, size - used, "%s%s%.*s", used > 0 ? " " : "",
			    flag ? "-" : "", (int)(flag ? n - 1 : n), flag ? item + 1 : item),
			    flag = false;
		item += n + 1;
	}
}

/* The same from the table; what is optional looks as what is not. */
static void plain_word(const struct words_word *w, char *out, size_t size)
{
	snprintf(out, size, "%s", w->path);
	for (size_t a = 0; a < w->nargs; a++) {
		const struct words_arg *arg = &w->args[a];
		size_t used = strlen(out);

		snprintf(out + used, size - used, " %s%s%s%s", (arg->how & ARG_POS) ? "" : "--",
		    (arg->how & ARG_POS) ? "" : arg->name,
		    !(arg->how & ARG_POS) && arg->show != NULL ? " " : "",
		    arg->show != NULL ? arg->show : "");
	}
	for (char *c = out; *c != '\0'; c++)
		if (*c == '_')
			*c = '-';
}

static void manual_says_them(void **state)
{
	char *page = slurp("man/bastionctl.1"), item[512], word[512];
	size_t found = 0;

	(void)state;
	for (const char *p = page; (p = strstr(p, "\n.It Ic ")) != NULL; found++) {
		size_t i;

		p += strlen("\n.It Ic ");
		plain_item(p, strcspn(p, "\n"), item, sizeof(item));
		for (i = 0; i < words_count; i++) {
			plain_word(&words_table[i], word, sizeof(word));
			if (strcmp(word, item) == 0)
				break;
		}
		if (i == words_count)
			fail_msg("bastionctl(1) has '%s', and the table no such word", item);
	}
	assert_int_equal(found, words_count);
	free(page);
}

/* The row of a word in doc/PROTOCOL.control: up to the next word's, or the end of the table. 0, or -1. */
static int protocol_row(const char *text, const char *path, char *row, size_t size)
{
	char begin[128];
	const char *p = text, *end;
	const size_t n = (size_t)snprintf(begin, sizeof(begin), "\n    %s", path);

	while ((p = strstr(p, begin)) != NULL && p[n] != ' ' && p[n] != ',')
		p++;
	if (p == NULL)
		return -1;
	for (end = p + 1; (end = strchr(end, '\n')) != NULL && end[1] == ' ' && end[5] == ' '; end++)
		;
	if (end == NULL || (size_t)(end - p) >= size)
		return -1;
	memcpy(row, p + n, (size_t)(end - p) - n);
	row[(size_t)(end - p) - n] = '\0';
	return 0;
}

static bool has_word(const char *row, const char *word)
{
	const size_t n = strlen(word);

	for (const char *p = row; (p = strstr(p, word)) != NULL; p++)
		if (!isalnum((unsigned char)p[-1]) && p[-1] != '_' && !isalnum((unsigned char)p[n]) && p[n] != '_')
			return true;
	return false;
}

/* Rows that point at another: "the same", "as role add". */
static const struct { const char *path, *as; } like[] = {
	{ "report privileges", "report logins" }, { "report refused", "report logins" }, { "report requests", "report logins" },
	{ "report grants", "report logins" }, { "report break-glass", "report logins" }, { "role change", "role add" },
};

/* Each word that goes to the bastion has a row, and each of its arguments stands in it. */
static void protocol_has_them(void **state)
{
	char *text = slurp("doc/PROTOCOL.control"), row[2048], other[2048];

	(void)state;
	for (size_t i = 0; i < words_count; i++) {
		const struct words_word *w = &words_table[i];
		const char *as = NULL;

		if (w->where != AT_POLICY)
			continue;
		for (size_t k = 0; k < sizeof(like) / sizeof(like[0]); k++)
			if (strcmp(like[k].path, w->path) == 0)
				as = like[k].as;
		row[0] = other[0] = '\0';
		if ((as != NULL && protocol_row(text, as, other, sizeof(other)) != 0) ||
		    (protocol_row(text, w->path, row, sizeof(row)) != 0 && as == NULL))
			fail_msg("PROTOCOL.control has no row for '%s'", w->path);
		for (size_t a = 0; a < w->nargs; a++)
			if (!has_word(row, w->args[a].name) && !has_word(other, w->args[a].name))
				fail_msg("PROTOCOL.control does not say that '%s' takes '%s'", w->path, w->args[a].name);
	}
	free(text);
}

/* A number says what it counts, and a capability can be any. */
static void completion_offers_all_there_is(void **state)
{
	char line[64];
	struct buf out;

	(void)state;
	buf_init(&out, 65536);
	assert_int_equal(words_shell_completion("bash", &out), 0);
	buf_put_u8(&out, 0);
	for (size_t i = 0; i < words_count; i++) {
		const struct words_word *w = &words_table[i];

		snprintf(line, sizeof(line), "['%s']='@none", w->path);
		if (w->nargs > 0 && w->args[0].type == ARG_NUMBER && strcmp(w->args[0].name, "id") == 0 && (w->args[0].how & ARG_POS) != 0 &&
		    strstr((const char *)out.data, line) != NULL)
			fail_msg("completion offers nothing for the number of '%s'", w->path);
	}
	assert_non_null(strstr((const char *)out.data, " --cap@=shell,exec,sftp-read,sftp-write,scp,forward,command "));
	buf_finish(&out);
}

static void completion_is_current(void **state)
{
	static const char *const files[][2] = { { "bash", "etc/completion/bastionctl" },
		{ "zsh", "etc/completion/_bastionctl" } };
	struct buf out;

	(void)state;
	for (int i = 0; i < 2; i++) {
		char *text = slurp(files[i][1]);

		buf_init(&out, WORDS_HELP_MAX);
		assert_int_equal(words_shell_completion(files[i][0], &out), 0);
		assert_true(buf_ok(&out));
		if (out.len != strlen(text) || memcmp(out.data, text, out.len) != 0)
			fail_msg("%s is not what 'bastionctl completion %s' prints", files[i][1],
			    files[i][0]);
		buf_finish(&out);
		free(text);
	}
	buf_init(&out, WORDS_HELP_MAX);
	assert_int_equal(words_shell_completion("fish", &out), -1);
	buf_finish(&out);
}

static bool contains(struct buf *b, const char *text)
{
	bool has;

	assert_int_equal(buf_put_u8(b, '\0'), 0);
	has = strstr((char *)b->data, text) != NULL;
	b->len--;
	return has;
}

static void help(void **state)
{
	static const struct words_env admin = { .who = WHO_ADMIN };
	struct buf b;

	(void)state;
	buf_init(&b, WORDS_HELP_MAX);
	for (size_t i = 0; i < words_count; i++) {
		buf_reset(&b);
		assert_int_equal(words_help(words_table[i].path, &root, &b), 0);
		assert_true(buf_ok(&b) && contains(&b, words_table[i].help));
	}
	buf_reset(&b);
	assert_int_equal(words_help(NULL, &ssh, &b), 0);
	assert_true(contains(&b, "request") && !contains(&b, "user add") && !contains(&b, "connect"));
	assert_true(contains(&b, "help all") && !contains(&b, "(null)"));
	buf_reset(&b);
	assert_int_equal(words_help("all", &ssh, &b), 0);
	assert_true(contains(&b, "user add") && !contains(&b, "completion"));
	buf_reset(&b);
	assert_int_equal(words_help(NULL, &admin, &b), 0);
	assert_true(contains(&b, "user add") && !contains(&b, "help all"));
	buf_reset(&b);
	assert_int_equal(words_help("note-replay", &ssh, &b), 0);
	assert_true(contains(&b, "For auditors alone.") && !contains(&b, "administrators"));
	buf_reset(&b);
	assert_int_equal(words_help("user key", &ssh, &b), 0);
	assert_true(contains(&b, "user key revoke"));
	buf_reset(&b);
	assert_int_equal(words_help("use", &ssh, &b), -1);
	buf_reset(&b);
	words_completions(&console, &b);
	assert_true(contains(&b, "connect HOST as LOGIN") &&
	    contains(&b, "\ncancel NUMBER --reason TEXT --json\n"));
	assert_false(contains(&b, "user add"));
	buf_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),
		cmocka_unit_test(quotes),
		cmocka_unit_test(wrong),
		cmocka_unit_test(keys),
		cmocka_unit_test(limits),
		cmocka_unit_test(json_flag), cmocka_unit_test(json_or_a_refusal),
		cmocka_unit_test(examples),
		cmocka_unit_test(control_has_them),
		cmocka_unit_test(manual_says_them), cmocka_unit_test(protocol_has_them),
		cmocka_unit_test(completion_is_current), cmocka_unit_test(completion_offers_all_there_is),
		cmocka_unit_test(help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
