/*
 * test_reload_options.c - every option of bastiond.conf at SIGHUP: which ones only a restart changes, that all others reach the
 * roles with their new value, and that bastiond.conf(5) names each of them in one list of RELOADING.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>

#include "config_option.h"
#include "parent_reload.c"

#define PEM "-----BEGIN CERTIFICATE-----\\nx\\n-----END CERTIFICATE-----\\n-----BEGIN PUBLIC KEY-----\\nx\\n-----END PUBLIC KEY-----\\n"
#define USERS "user_policy=901\nuser_keys=902\nuser_recorder=903\nuser_session=904\nuser_dial=905\nuser_console=906\nuser_task=909\n"

static char dir[] = "/tmp/test_reload_options-XXXXXX", path[64];

/* Another value than the default, for each option. restart: a file with it is not taken over. */
static const struct { const char *name, *value; bool restart; } changed[] = {
	{ "listen", "{ \"127.0.0.1:2222\" }", false }, { "name", "b.example.org", false },
	{ "allow_networks", "{ \"192.0.2.0/24\" }", false }, { "state_dir", "/tmp/other-state", true },
	{ "run_dir", "/tmp/other-run", true }, { "user_policy", "911", true }, { "user_keys", "912", true },
	{ "user_recorder", "913", true }, { "user_session", "914", true }, { "user_dial", "915", false },
	{ "user_console", "916", false }, { "user_monitor", "917", false },
	{ "user_hook", "918", false }, { "user_task", "919", false }, { "pam_service", "other", false }, { "pam_confdir", "/tmp", false },
	{ "max_startups", "\"50:60:70\"", false }, { "per_source_max", "7", false }, { "source_bits4", "24", false },
	{ "source_bits6", "56", false }, { "penalty_auth", "6s", false }, { "penalty_noauth", "6s", false },
	{ "penalty_grace", "6s", false }, { "penalty_crash", "6s", false }, { "penalty_min", "6s", false },
	{ "penalty_max", "6m", false }, { "penalty_exempt", "{ \"192.0.2.0/24\" }", false }, { "max_sessions", "77", false },
	{ "max_sessions_per_user", "7", false }, { "max_workers", "77", false }, { "max_channels", "7", false },
	{ "login_grace", "7s", false }, { "max_auth_tries", "7", false }, { "auth_floor", "7ms", false },
	{ "mfa_grace", "7s", false }, { "totp_key", "/etc/other.key", false }, { "dial_timeout", "7s", false }, { "channel_timeout", "7s", false }, { "lease", "7s", false },
	{ "banner", "\"hello\\n\"", false }, { "source_address", "192.0.2.7", false },
	{ "account_login", "maker", false }, { "account_command", "\"sudo -n /usr/sbin/bastion-account\"", false },
	{ "account_uids", "\"70000-80000\"", false }, { "account_hourly", "7", false },
	{ "recipients", "\"age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg\"", false },
	{ "input_recipients", "\"age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg\"", false },
	{ "input_recipients_second", "\"age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg\"", false },
	{ "strict", "false", false }, { "content_limit", "7MiB", false }, { "segment_bytes", "7MiB", false },
	{ "segment_time", "7s", false }, { "hold_deadline", "7s", false }, { "hold_banner", "1s", false }, { "quorum", "2", false },
	{ "break_glass_quorum", "2", false },
	{ "max_watchers", "7", false }, { "watch_notice", "false", false }, { "event_retention", "100", false },
	{ "key_rotate", "7", false }, { "key_rotate_after_use", "true", false }, { "host_key_check", "7", false },
	{ "event_syslog", "\"udp:127.0.0.1:5140\"", false }, { "event_json", "/tmp/events.json", false }, { "metrics_listen", "{ \"127.0.0.1:9180\" }", false },
	{ "ticket_check", "/bin/true", false }, { "ticket_check_every", "7s", false }, { "notify", "/bin/cat", false },
	{ "block_names", "7", false }, { "block_window", "7m", false }, { "block_time", "7m", false },
	{ "no_grace", "\"env=prod\"", false }, { "step_up", "\"env=prod\"", false }, { "step_up_time", "7m", false }, { "approve_new", "\"env=prod\"", false },
	{ "grace_bits4", "24", false }, { "grace_bits6", "64", false },
	{ "known_bits4", "16", false }, { "known_bits6", "56", false },
	{ "hook_timeout", "7s", false }, { "sandbox", "strict", false }, { "log_level", "error", false },
};
#define NCHANGED (sizeof(changed) / sizeof(changed[0]))

static const char *const keywords[] = {
#define O(kind, keyword, def, least, most, choices, text) #keyword,
	CONFIG_OPTIONS(O)
#undef O
};
#define NKEYWORDS (sizeof(keywords) / sizeof(keywords[0]))

static void complain(void *arg, const char *line)
{
	(void)arg;
	print_error("%s\n", line);
}

/* A file that needs nothing on this machine, with one line more. */
static struct config *load(const char *name, const char *value)
{
	static const struct { const char *name, *line; } base[] = {
		{ "user_policy", "user_policy = 901" }, { "user_keys", "user_keys = 902" }, { "user_recorder", "user_recorder = 903" },
		{ "user_session", "user_session = 904" }, { "user_dial", "user_dial = 905" }, { "user_console", "user_console = 906" },
		{ "user_monitor", "user_monitor = 907" }, { "user_hook", "user_hook = 908" }, { "user_task", "user_task = 909" },
		{ "notify", "notify = \"/bin/true\"" },	/* or it is not known who runs it */
		{ "recipients", "recipients = \"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"" },
	};
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	for (size_t i = 0; i < sizeof(base) / sizeof(base[0]); i++)
		if (strcmp(base[i].name, name) != 0)
			fprintf(f, "%s\n", base[i].line);
	if (name[0] != '\0')
		fprintf(f, "%s = %s\n", name, value);
	if (strcmp(name, "input_recipients_second") == 0)
		fprintf(f, "input_recipients = \"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"\n");
	for (int i = 1; i <= 2; i++)
		fprintf(f, "collector c%d { address = \"127.0.0.1\" port = 700%d certificate = \"" PEM "\" }\n"
		    "break_glass_collector g%d { address = \"127.0.0.1\" port = 701%d certificate = \"" PEM "g\" }\n", i, i, i, i);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0600), 0);
	return config_load(path, CONFIG_INIT, complain, NULL);
}

/* What a role reads of it. */
static char *as_text(const struct config *conf)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(config_dump(conf, f, true), 0);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void test_table_is_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < NKEYWORDS; i++) {
		int n = 0;

		for (size_t k = 0; k < NCHANGED; k++)
			n += strcmp(changed[k].name, keywords[i]) == 0;
		if (n != 1)
			print_error("%s: give it a value in this table, and a place in RELOADING of bastiond.conf(5)\n", keywords[i]);
		assert_int_equal(n, 1);
	}
	assert_int_equal(NCHANGED, NKEYWORDS);
}

/* Taken over, or refused; and what is taken over is what a role gets by its descriptor. */
static void test_each_option(void **state)
{
	struct config *old = load("", "");
	char *before;

	(void)state;
	assert_non_null(old);
	assert_false(needs_restart(old, old));
	before = as_text(old);
	for (size_t i = 0; i < NCHANGED; i++) {
		struct config *fresh = load(changed[i].name, changed[i].value), *role;
		char *sent, *got;
		int fd;

		if (fresh == NULL || needs_restart(old, fresh) != changed[i].restart)
			print_error("%s: needs_restart is not %d\n", changed[i].name, changed[i].restart);
		assert_non_null(fresh);
		assert_int_equal(needs_restart(old, fresh), changed[i].restart);
		assert_true((fd = config_to_fd(fresh)) >= 0);
		assert_non_null(role = config_load_fd(fd, "role", complain, NULL));
		sent = as_text(fresh);
		got = as_text(role);
		if (strcmp(sent, before) == 0)
			print_error("%s: no other value\n", changed[i].name);
		assert_string_not_equal(sent, before);
		assert_string_equal(sent, got);
		free(sent);
		free(got);
		close(fd);
		config_destroy(role);
		config_destroy(fresh);
	}
	free(before);
	config_destroy(old);
}

/* How often the word stands in the text, as an option: between blanks, or at a line's end. */
static int count(const char *text, const char *word)
{
	int n = 0;

	for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word))
		n += at[-1] == ' ' && (at[strlen(word)] == ' ' || at[strlen(word)] == '\n');
	return n;
}

static void test_manual_names_each_once(void **state)
{
	char why[CONFIG_WHY_MAX], *page = config_read_file("man/bastiond.conf.5", why), *from, *to, *restart;
	bool bad = false;

	(void)state;
	if (page == NULL)
		fail_msg("%s", why); /* to be run from the top of the tree */
	assert_non_null(from = strstr(page, "\n.Sh RELOADING\n"));
	assert_non_null(restart = strstr(from, "\n.It Only by a restart\n"));
	assert_non_null(to = strstr(restart, "\n.El\n"));
	*to = '\0';
	for (size_t i = 0; i < NCHANGED; i++) {
		/* state_dir is also where the keys lie */
		const int want = strcmp(changed[i].name, "state_dir") == 0 ? 2 : 1;

		if (count(from, changed[i].name) != want || (count(restart, changed[i].name) > 0) != changed[i].restart) {
			print_error("%s: not in one list of RELOADING, or in the wrong one\n", changed[i].name);
			bad = true;
		}
	}
	free(page);
	assert_false(bad);
}

static int set_up(void **state)
{
	(void)state;
	log_init("test", true, LOG_LVL_ERROR);
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/bastiond.conf", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_is_whole), cmocka_unit_test(test_each_option), cmocka_unit_test(test_manual_names_each_once),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
