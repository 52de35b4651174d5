/*
 * test_config.c - the configuration: each wrong line gives its file, its line and what would be right; what is dumped
 * is read back the same; the manual page and the option table say the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.c"
#include "config_check.c"
#include "config_value.c"

#define KEY "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudxsmqks0nhz0e"
#define CERTIFICATE "-----BEGIN CERTIFICATE-----\\nx\\n-----END CERTIFICATE-----\\n"
#define PEM CERTIFICATE "-----BEGIN PUBLIC KEY-----\\nx\\n-----END PUBLIC KEY-----\\n"
#define USERS "user_policy=901\nuser_keys=902\nuser_recorder=903\nuser_session=904\nuser_dial=905\nuser_console=906\nuser_task=909\n"
#define COLLECTOR "collector one { address = \"127.0.0.1\" port = 7000 certificate = \"" PEM "\" }\n"
#define GOOD USERS "recipients = \"" KEY "\"\n" COLLECTOR
#define GOOD_LINES 9 /* of GOOD: the line that follows it is the tenth */

static char dir[] = "/tmp/test_config-XXXXXX";
static char path[64];

struct seen {
	char text[8192];
	unsigned count;
};

static void collect(void *arg, const char *line)
{
	struct seen *s = arg;
	size_t have = strlen(s->text);

	s->count++;
	snprintf(s->text + have, sizeof(s->text) - have, "%s\n", line);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
	FILE *f;

	unlink(name);
	f = fopen(name, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(name, mode), 0);
}

static struct config *load(const char *text, unsigned flags, struct seen *s)
{
	*s = (struct seen){ 0 };
	write_file(path, text, 0644);
	return config_load(path, flags, collect, s);
}

static struct config *load_good(const char *more)
{
	char text[8192];
	struct config *conf;
	struct seen s;

	snprintf(text, sizeof(text), "%s%s", GOOD, more);
	conf = load(text, 0, &s);
	if (conf == NULL)
		print_error("%s", s.text);
	assert_non_null(conf);
	assert_int_equal(s.count, 0);
	return conf;
}

static void test_defaults(void **state)
{
	struct config *conf = load_good("");

	(void)state;
	assert_int_equal(conf->listen.n, 2);
	assert_int_equal(conf->login_grace, 60000);
	assert_int_equal(conf->auth_floor, 300);
	assert_int_equal(conf->content_limit, 1 << 20);
	assert_int_equal(conf->max_startups.full, 400);
	assert_int_equal(conf->user_keys.uid, 902);
	assert_int_equal(conf->ncollectors, 1);
	assert_true(conf->strict);
	assert_string_equal(conf->recipients.text, KEY);
	assert_null(conf->recipients.path);
	config_destroy(conf);
	config_destroy(NULL);
}

static void test_values(void **state)
{
	struct config *conf = load_good(
	    "listen = { \"127.0.0.1:2222\", \"[::1]:2222\" }\n"
	    "allow_networks = { \"10.0.0.0/8\" }\nallow_networks += { \"2001:db8::/32\" }\n"
	    "login_grace = 1h30m\nauth_floor = 250ms\nmfa_grace = 0\nsegment_bytes = 512KiB\nstrict = false\n"
	    "max_startups = \"1:50:9\"\nper_source_max = 0\nlog_level = error\nsandbox = strict # c\nbanner = 'a ${HOME}'\n");

	(void)state;
	assert_int_equal(conf->listen.n, 2);
	assert_int_equal(conf->listen.v[1].ss.ss_family, AF_INET6);
	assert_int_equal(conf->allow_networks.n, 2);
	assert_int_equal(conf->login_grace, 5400000);
	assert_int_equal(conf->auth_floor, 250);
	assert_int_equal(conf->segment_bytes, 512 << 10);
	assert_false(conf->strict);
	assert_int_equal(conf->max_startups.rate, 50);
	assert_int_equal(conf->log_level, 4);
	assert_int_equal(conf->sandbox, SANDBOX_STRICT);
	assert_string_equal(conf->banner.text, "a ${HOME}");
	config_destroy(conf);
}

static void test_name(void **state)
{
	static const struct { const char *text, *host; unsigned port; } good[] = {
		{ "bastion.example.org", "bastion.example.org", 7 }, { "bastion_1:2222", "bastion_1", 2222 },
		{ "192.0.2.1", "192.0.2.1", 7 }, { "192.0.2.1:22", "192.0.2.1", 22 }, { "2001:db8::1", "2001:db8::1", 7 },
		{ "[2001:db8::1]", "2001:db8::1", 7 }, { "[::1]:65535", "::1", 65535 },
	};
	char host[CONFIG_NAME_MAX + 1], longest[CONFIG_NAME_MAX + 2];
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		port = 7;
		assert_int_equal(config_name_split(good[i].text, host, &port), 0);
		assert_string_equal(host, good[i].host);
		assert_int_equal(port, good[i].port);
	}
	memset(longest, 'a', sizeof(longest));
	longest[CONFIG_NAME_MAX + 1] = '\0';
	assert_int_equal(config_name_split(longest, host, &port), -1);
	assert_int_equal(config_name_split(longest + 1, host, &port), 0);
}

/* One wrong line behind a good configuration: what must be said, and that its own line is named. */
static const struct { const char *line, *says; } wrong[] = {
	{ "listn = { \"127.0.0.1:22\" }", "there is no option listn; did you mean listen?" },
	{ "max_sesions = 4", "did you mean max_sessions?" },
	{ "zzzzzzzzzzzz = 4", "bastiond.conf(5) lists all options" },
	{ "listen = { \"127.0.0.1\" }", "listen: \"127.0.0.1\" is no address and port; write it as 192.0.2.1:22" },
	{ "listen = { \"127.0.0.1:0\" }", "is no address and port" },
	{ "listen = { \"127.0.0.1:65536\" }", "is no address and port" },
	{ "listen = { \"1:22\" }", "is no address and port" },
	{ "listen = { \"[::1:22\" }", "is no address and port" },
	{ "listen = { \"localhost:22\" }", "is no address and port" },
	{ "listen = { \"127.0.0.1:22\", \"127.0.0.1:22\" }", "stands here twice; write it once" },
	{ "listen = \"\"", "is no address and port" },
	{ "name = \"bastion example\"", "name: neither a name nor an address" },
	{ "name = \"$(id)\"", "neither a name nor an address" },
	{ "name = \"-oProxyCommand=id\"", "neither a name nor an address" },
	{ "name = \"bastion:0\"", "neither a name nor an address" },
	{ "name = \"bastion:\"", "neither a name nor an address" },
	{ "name = \"bastion:65536\"", "neither a name nor an address" },
	{ "name = \"[::1\"", "neither a name nor an address" },
	{ "name = \"[::1]2222\"", "neither a name nor an address" },
	{ "name = \"::1::\"", "neither a name nor an address" },
	{ "name = \":22\"", "neither a name nor an address" },
	{ "allow_networks = { \"10.0.0.1/8\" }", "has bits set behind its /8; write the network's own address" },
	{ "allow_networks = { \"10.0.0.0/33\" }", "is no network; write it as 10.0.0.0/8" },
	{ "allow_networks = { \"fe80::/129\" }", "is no network" },
	{ "penalty_exempt = { \"x\" }", "penalty_exempt: \"x\" is no network" },
	{ "state_dir = \"var/lib\"", "state_dir: \"var/lib\" is no absolute path" },
	{ "state_dir = \"/var/../etc\"", "is no absolute path" },
	{ "run_dir = \"/run\\n\"", "is no absolute path" },
	{ "pam_confdir = \"/nonexistent\"", "pam_confdir: there is no such directory" },
	{ "pam_confdir = \"/tmp\"", "others than root can write there" },
	{ "pam_service = \"../x\"", "write \"bastiond\"" },
	{ "pam_service = \"no-such-stack\"", "pam_service: there is no PAM stack of this name, and nobody could log in; write that of a file in /etc/pam.d" },
	{ "pam_confdir = \"/etc\"", "there is no PAM stack of this name, and nobody could log in; write that of a file in /etc" },
	{ "event_json = \"/nonexistent/events\"", "event_json: the directory of this file is not there" },
	{ "totp_key = \"/nonexistent\"", "totp_key: there is no such file" },
	{ "max_startups = \"10\"", "is no start:rate:full" },
	{ "max_startups = \"10:0:100\"", "is no start:rate:full" },
	{ "max_startups = \"10:101:100\"", "is no start:rate:full" },
	{ "max_startups = \"100:30:10\"", "is no start:rate:full" },
	{ "max_startups = \"10:30:100:\"", "is no start:rate:full" },
	{ "max_startups = \"5:5:5\"", "" },
	{ "max_sessions = 0", "max_sessions: \"0\" is no number from 1 to 20000" },
	{ "max_sessions = -1", "is no number from 1 to 20000" },
	{ "max_sessions = 99999999999999999999", "is no number" },
	{ "max_sessions = many", "is no number" },
	{ "max_sessions = \"\"", "is no number" },
	{ "login_grace = 60", "login_grace: \"60\" is no time from 1s to 1d; write it as 300ms, 5s, 10m, 1h30m" },
	{ "login_grace = 0", "is no time" },
	{ "login_grace = 2d", "is no time" },
	{ "lease = 1s", "is no time from 2s to 1m" },
	{ "content_limit = 1MB", "is no size from 0 to 1024GiB; write it as 65536, 512KiB, 1MiB, 2GiB" },
	{ "content_limit = 9999999999999GiB", "is no size" },
	{ "segment_bytes = 1", "is no size from 64KiB" },
	{ "segment_bytes = 33MiB", "is no size from 64KiB" },
	{ "strict = yes", "strict: \"yes\" is neither true nor false" },
	{ "log_level = loud", "is none of: debug info notice warning error" },
	{ "log_level = inf", "is none of" },
	{ "sandbox = off", "is none of: on strict" },
	{ "banner = \"/nonexistent/banner\"", "banner: cannot read the file \"/nonexistent/banner\": No such file" },
	{ "banner = \"/tmp\"", "is no plain file" },
	{ "input_recipients = \"age1xyz\"", "line 1: \"age1xyz\" is no age recipient; write one age1... of `age-keygen -y`" },
	{ "input_recipients = \"recipients.txt\"", "is no age recipient" },
	{ "source_address = \"10.0.0.1/8\"", "source_address: \"10.0.0.1/8\" has bits set" },
	{ "source_address = \"10.0.0.1;10.0.0.2\"", "several are separated by commas" },
	{ "step_up = \"zone=prod\"", "step_up: \"zone=prod\" is no zone; write zone= and one of office" },
	{ "no_grace = \"env=prod zone=\"", "no_grace: \"zone=\" is no zone" },
	{ "account_uids = \"65536\"", "account_uids: no range of uids" },
	{ "account_uids = \"999-70000\"", "account_uids: no range of uids" },
	{ "account_uids = \"70000-2147483647\"", "account_uids: no range of uids" },
	{ "account_uids = \"70001-70000\"", "account_uids: no range of uids" },
	{ "account_uids = \"70000-70001x\"", "account_uids: no range of uids" },
	{ "account_login = \"-oProxyCommand\"", "account_login: no login" },
	{ "account_command = \"bastion-account; id\"", "account_command: write the path" },
	{ "account_command = \"\"", "account_command: write the path" },
	{ "quorum = 2", "quorum: 2 collectors must have each frame, but 1 stand here" },
	{ "break_glass_quorum = 2", "break_glass_quorum: 2 collectors must have each frame, but 0 stand here" },
	{ "break_glass_quorum = 2\nbreak_glass_collector far { address = \"127.0.0.1\" port = 7001 certificate = \"" PEM "x\" }", "but 1 stand here" },
	{ "break_glass_collector { }", "NAME { ... }" },
	{ "break_glass_collector far { address = \"127.0.0.1\" }", "break_glass_collector far: write address = \"HOST\" and port" },
	{ "break_glass_collector far { address = \"127.0.0.1\" port = 7000 certificate = \"" PEM "x\" }", "must be there when the other is not" },
	{ "break_glass_collector far { address = \"127.0.0.1\" port = 7001 certificate = \"" PEM "\" }", "have one certificate" },
	{ "break_glass_collector one { address = \"127.0.0.1\" port = 7001 certificate = \"" PEM "x\" }", "both called one; give each" },
	{ "break_glas_collector far { }", "did you mean break_glass_collector?" },
	{ "hold_banner = 30s", "write less than hold_deadline" },
	{ "penalty_min = 1h", "more than penalty_max" },
	{ "per_source_max = 500", "more than max_startups lets in at all (400)" },
	{ "user_policy = 901", "user_policy: stands in line 1 already; keep one of them" },
	{ "max_sessions", "is missing before the end" },
	{ "max_sessions =", "a brace, a quote or a value is missing before the end" },
	{ "banner = \"x", "a quote or a value is missing" },
	{ "max_sessions 7", "write: keyword = value" },
	{ "}", "unexpected closing brace; remove it" },
	{ "= 3", "write: keyword = value" },
	{ "collector { }", "write: collector NAME { ... }" },
	{ "collector one { }", "give each collector a name of its own" },
	{ "collector two { address = \"127.0.0.1\" }", "collector two: write address = \"HOST\" and port = 1 to 65535" },
	{ "collector two { adress = \"127.0.0.1\" }", "did you mean address?" },
	{ "collector two { address = \"127.0.0.1\" port = 70000 }", "port = 1 to 65535" },
	{ "collector two { address = \"127.0.0.1\" port = 7001 }", "collector two: certificate is missing" },
	{ "collector two { address = \"127.0.0.1\" port = 7001 certificate = \"x.pem\" }", "certificate is no PEM" },
	{ "collector two { address = \"127.0.0.1\" port = 7001 certificate = \"" CERTIFICATE "\" }", "certificate has no PUBLIC KEY block" },
	{ "collector two { address = \"127.0.0.1\" port = 7001 certificate = \"/nonexistent\" }",
	    "collector two: cannot read the file \"/nonexistent\"" },
	{ "collector ../x { address = \"127.0.0.1\" port = 7001 certificate = \"" PEM "\" }", "the name may have" },
	{ "collector two { address = \"127.0.0.1\" port = 7000 certificate = \"" PEM "\" }", "are at one address" },
	{ "collector two { address = \"no such name\" port = 7001 certificate = \"" PEM "\" }", "cannot resolve" },
};

static void test_wrong_lines(void **state)
{
	char text[8192], where[128];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct seen s;
		struct config *conf;
		bool right;

		snprintf(text, sizeof(text), "%s%s", GOOD, wrong[i].line);
		conf = load(text, 0, &s);
		if (wrong[i].says[0] == '\0') {
			config_destroy(conf);
			continue;
		}
		snprintf(where, sizeof(where), "%s:%d: ", path, GOOD_LINES + 1);
		/* what the last line made wrong elsewhere is told of the other place, or of the whole */
		right = conf == NULL && strstr(s.text, wrong[i].says) != NULL &&
		    (strncmp(s.text, where, strlen(where)) == 0 || strstr(s.text, "(the default)") != NULL ||
		    strstr(s.text, "at one address") != NULL || strstr(s.text, "have one certificate") != NULL ||
		    strstr(s.text, "are both called") != NULL);
		if (!right)
			print_error("line <%s>\nwanted <%s> and <%s>\ngot %s\n", wrong[i].line, where, wrong[i].says, s.text);
		config_destroy(conf);
		assert_true(right);
	}
}

static void test_all_faults_at_once(void **state)
{
	struct seen s;

	(void)state;
	assert_null(load("max_sessions = 0\n\nlease = x\nstrict = maybe\n", 0, &s));
	assert_int_equal(s.count, 3);
	assert_non_null(strstr(s.text, "bastiond.conf:1: max_sessions"));
	assert_non_null(strstr(s.text, "bastiond.conf:3: lease"));
	assert_non_null(strstr(s.text, "bastiond.conf:4: strict"));
}

static void test_accounts(void **state)
{
	struct seen s;
	char *text = strdup(GOOD);

	(void)state;
	memcpy(strstr(text, "906"), "905", 3);
	assert_null(load(text, 0, &s));
	assert_non_null(strstr(s.text, ":6: user_console: \"905\" is the account of user_dial, too"));
	memcpy(strstr(text, "905\nuser_console"), "000", 3);
	assert_null(load(text, 0, &s));
	assert_non_null(strstr(s.text, ":5: user_dial: \"000\" is root"));
	free(text);
	assert_null(load("user_keys = \"no-such-account\"\n", CONFIG_INIT, &s));
	assert_non_null(strstr(s.text, ":1: user_keys: there is no account \"no-such-account\"; make it (adduser"));
	assert_non_null(strstr(s.text, "user_policy (the default): there is no account \"bastiond-policy\""));
}

static void test_escapes(void **state)
{
	struct seen s;

	(void)state;
	assert_null(load("log_level = \"\\e[2J\"\n", 0, &s));
	assert_null(strchr(s.text, '\033'));
}

/* A session takes so many and no more: the fault shows at the start and not at the first way. */
static void test_recipients_are_counted(void **state)
{
	char file[64], line[96], text[8192], all[8192] = "# auditors\n";
	struct config *conf;
	struct seen s;

	(void)state;
	snprintf(file, sizeof(file), "%s/recipients", dir);
	snprintf(line, sizeof(line), "input_recipients = \"%s\"\n", file);
	snprintf(text, sizeof(text), "%s%s", GOOD, line);
	for (int i = 0; i < CONFIG_RECIPIENTS_MAX; i++)
		strcat(all, KEY "\n\n");
	write_file(file, all, 0644);
	conf = load(text, 0, &s);
	assert_non_null(conf);
	config_destroy(conf);
	strcat(all, KEY); /* without an end of line */
	write_file(file, all, 0644);
	assert_null(load(text, 0, &s));
	assert_non_null(strstr(s.text, "input_recipients: 33 recipients; a recording takes 32"));
	unlink(file);
}

static void test_init_needs_less(void **state)
{
	struct seen s;
	struct config *conf = load(USERS "recipients = \"/nonexistent\"\ncollector one { address = \"127.0.0.1\" port = 7000 "
	    "certificate = \"/nonexistent\" }\n", CONFIG_INIT, &s);

	(void)state;
	assert_non_null(conf);
	assert_int_equal(conf->user_policy.uid, 901);
	assert_string_equal(conf->recipients.text, "");
	config_destroy(conf);
}

static void test_file_rights(void **state)
{
	struct seen s = { 0 };

	(void)state;
	write_file(path, GOOD, 0666);
	assert_null(config_load(path, 0, collect, &s));
	assert_non_null(strstr(s.text, "chmod go-w"));
	s = (struct seen){ 0 };
	assert_null(config_load("/nonexistent/conf", 0, collect, &s));
	assert_non_null(strstr(s.text, "cannot read the file"));
	s = (struct seen){ 0 };
	assert_null(config_load(dir, 0, collect, &s));
	assert_non_null(strstr(s.text, "is no plain file"));
}

/* Cut at each byte but the last brace, which libconfuse forgives: no success, an explanation each time. */
static void test_cut_anywhere(void **state)
{
	char text[2048];
	struct config *conf;
	struct seen s;

	(void)state;
	for (size_t len = 0; len < strlen(GOOD) - 3; len++) {
		snprintf(text, sizeof(text), "%.*s", (int)len, GOOD);
		if ((conf = load(text, 0, &s)) != NULL)
			print_error("accepted when cut at %zu: %s\n", len, text);
		assert_null(conf);
		assert_true(s.count > 0);
	}
}

static char *dump(const struct config *conf, bool flat)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(config_dump(conf, out, flat), 0);
	fclose(out);
	return text;
}

static void test_dump_reads_back(void **state)
{
	char banner[80], more[256], *one, *two;
	struct config *conf, *again;
	struct seen s = { 0 };
	int fd;

	(void)state;
	snprintf(banner, sizeof(banner), "%s/banner", dir);
	write_file(banner, "/* it's \"only\" \\ ${HOME} */\n\tsecond\n", 0644);
	snprintf(more, sizeof(more), "banner = \"%s\"\nuser_extra", banner);
	*strstr(more, "user_extra") = '\0';
	conf = load_good(more);
	one = dump(conf, false);
	again = load(one, 0, &s);
	if (again == NULL)
		print_error("%s%s", s.text, one);
	assert_non_null(again);
	two = dump(again, false);
	assert_string_equal(one, two);
	free(one);
	free(two);
	config_destroy(again);

	unlink(banner);
	fd = config_to_fd(conf);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), -1);
	again = config_load_fd(fd, "memory", collect, &s);
	if (again == NULL)
		print_error("%s", s.text);
	assert_non_null(again);
	assert_string_equal(again->banner.text, conf->banner.text);
	one = dump(conf, true);
	two = dump(again, true);
	assert_string_equal(one, two);
	free(one);
	free(two);
	close(fd);
	config_destroy(again);
	config_destroy(conf);
}

static bool matches(const char *nets, const char *address)
{
	struct config_nets list = { 0 };
	struct sockaddr_storage ss = { 0 };
	char why[CONFIG_WHY_MAX];
	bool found;

	assert_int_equal(add_net(&list, nets, why), 0);
	ss.ss_family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
	assert_int_equal(inet_pton(ss.ss_family, address, ss.ss_family == AF_INET ?
	    (void *)&((struct sockaddr_in *)&ss)->sin_addr : (void *)&((struct sockaddr_in6 *)&ss)->sin6_addr), 1);
	found = config_nets_match(&list, (struct sockaddr *)&ss);
	free(list.v);
	return found;
}

static void test_networks(void **state)
{
	(void)state;
	assert_true(matches("10.0.0.0/8", "10.255.1.2"));
	assert_false(matches("10.0.0.0/8", "11.0.0.0"));
	assert_true(matches("0.0.0.0/0", "192.0.2.1"));
	assert_true(matches("192.0.2.128/25", "192.0.2.200"));
	assert_false(matches("192.0.2.128/25", "192.0.2.127"));
	assert_true(matches("192.0.2.7", "192.0.2.7"));
	assert_true(matches("192.0.2.0/24", "::ffff:192.0.2.9"));
	assert_true(matches("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(matches("2001:db8::/33", "2001:db8:8000::1"));
	assert_false(matches("::/0", "10.0.0.1"));
}

/* What stands behind the default in the manual page: " , No LEAST to MOST" of what is counted or measured, otherwise nothing. */
static const char *range_of(const struct config_option *o, char out[64])
{
	char least[24], most[24];

	out[0] = '\0';
	if (o->kind == KIND_INT)
		snprintf(out, 64, " , No %" PRIu64 " to %" PRIu64, o->least, o->most);
	if (o->kind == KIND_TIME)
		snprintf(out, 64, " , No %s to %s", format_ms(least, sizeof(least), o->least), format_ms(most, sizeof(most), o->most));
	if (o->kind == KIND_SIZE)
		snprintf(out, 64, " , No %s to %s", format_size(least, sizeof(least), o->least), format_size(most, sizeof(most), o->most));
	return out;
}

/* The manual page names each option with its default and its range, in the order of the table; and names no other. */
static void test_manual_page(void **state)
{
	char why[CONFIG_WHY_MAX], *page = config_read_file("man/bastiond.conf.5", why), *at = page;
	int items = 0;

	(void)state;
	if (page == NULL)
		fail_msg("%s", why); /* to be run from the top of the tree */
	for (int i = 0; i < OPT_COUNT; i++) {
		char item[256], range[64];

		snprintf(item, sizeof(item), "\n.It Ic %s No = Ar", config_options[i].keyword);
		if ((at = strstr(at, item)) == NULL) {
			print_error("missing or out of order: %s\n", item + 1);
			fail();
		}
		snprintf(item, sizeof(item), "\n.Pq default: Li %s%s\n", config_options[i].def[0] != '\0' ?
		    config_options[i].def : "none", range_of(&config_options[i], range));
		if (strncmp(strchr(at + 1, '\n'), item, strlen(item)) != 0) {
			print_error("%s: wanted%s", config_options[i].keyword, item);
			fail();
		}
	}
	for (at = page; (at = strstr(at, "\n.Pq default: Li ")) != NULL; at++)
		items++;
	assert_int_equal(items, OPT_COUNT);
	free(page);
}

static int set_up(void **state)
{
	(void)state;
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
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_values), cmocka_unit_test(test_name), cmocka_unit_test(test_wrong_lines),
		cmocka_unit_test(test_all_faults_at_once), cmocka_unit_test(test_accounts),
		cmocka_unit_test(test_escapes), cmocka_unit_test(test_recipients_are_counted),
		cmocka_unit_test(test_init_needs_less), cmocka_unit_test(test_file_rights),
		cmocka_unit_test(test_cut_anywhere), cmocka_unit_test(test_dump_reads_back),
		cmocka_unit_test(test_networks), cmocka_unit_test(test_manual_page),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
