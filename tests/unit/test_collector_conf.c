/*
 * test_collector_conf.c - collectord.conf: what bastion-collectord(8) and the installed file call the default is the default.
 */
#include "collector_conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DAY 86400

/* An account that every machine has; that of the default comes with the installation. */
static const char least[] = "user = \"nobody\"\narchive {\n endpoint = \"https://s3.example.com\"\n bucket = \"evidence\"\n prefix = \"c1\"\n"
			    " credentials = \"/etc/bastiond/archive.credentials\"\n}\n";

static struct coll_conf *load(const char *text)
{
	char path[] = "/tmp/test_collector_conf-XXXXXX";
	struct coll_conf *c;
	int fd = mkstemp(path);

	assert_true(fd >= 0 && dprintf(fd, "%s", text) == (int)strlen(text));
	close(fd);
	assert_non_null(c = coll_conf_load(path, true));
	unlink(path);
	return c;
}

/* To be run from the top of the tree. */
static void read_file(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, size - 1, f);
	assert_true(n > 0 && n < size - 1);
	text[n] = '\0';
	fclose(f);
}

/* Where the next item of this option ends with its default. */
static const char *item(const char *at, const char *option, const char *value)
{
	char line[160];

	snprintf(line, sizeof(line), "\n.It Cm %s No = ", option);
	if ((at = strstr(at, line)) == NULL)
		fail_msg("missing or out of order: %s", line + 1);
	at = strchr(at + 1, '\n');
	snprintf(line, sizeof(line), "\nDefault: %s.\n", value);
	for (; strncmp(at, line, strlen(line)) != 0; at = strchr(at + 1, '\n'))
		if (strchr(at + 1, '\n') == NULL || strncmp(at, "\n.It ", 5) == 0)
			fail_msg("%s: wanted%s", option, line);
	return at;
}

static void the_page_has_the_defaults(void **state)
{
	static char page[256 << 10];
	struct coll_conf *c = load(least);
	const char *at = page;

	(void)state;
	read_file("man/bastion-collectord.8", page, sizeof(page));
	at = item(at, "listen", "port 7422 of all");
	assert_int_equal(c->nlisten, 2);
	assert_string_equal(c->listen[0].text, "0.0.0.0:7422");
	assert_string_equal(c->listen[1].text, "[::]:7422");
	assert_string_equal(c->store, "/var/lib/bastion-collectord");
	at = item(at, "journal_bytes", "64MiB");
	assert_int_equal(c->journal_bytes, 64 << 20);
	at = item(at, "reserve", "256MiB");
	assert_int_equal(c->reserve, 256 << 20);
	at = item(at, "max_connections", "64");
	assert_int_equal(c->max_connections, 64);
	at = item(at, "max_recordings", "20000");
	assert_int_equal(c->max_recordings, 20000);
	at = item(at, "handshake_time", "10");
	assert_int_equal(c->handshake_s, 10);
	at = item(at, "retention", "0");
	assert_int_equal(c->retention, 0);
	at = item(at, "log_level", "info");
	assert_int_equal(c->log_level, LOG_LVL_INFO);
	at = item(at, "sandbox", "on");
	assert_false(c->sandbox_strict);
	at = item(at, "region", "us-east-1");
	assert_string_equal(c->archive.region, "us-east-1");
	at = item(at, "ca_file", "those of the system");
	assert_string_equal(c->archive.ca_file, "");
	at = item(at, "retention", "90");
	assert_int_equal(c->archive.rules.retention, 90 * DAY);
	at = item(at, "longest_session", "7");
	assert_int_equal(c->archive.rules.session, 7 * DAY);
	at = item(at, "lock", "header");
	assert_false(c->archive.by_bucket);
	at = item(at, "spool_max", "8GiB");
	assert_int_equal(c->archive.spool_max, 8LL << 30);
	item(at, "canary", "24h");
	assert_int_equal(c->archive.canary_s, DAY);
	coll_conf_destroy(c);
}

/* With the marks of comments taken away before what looks like an option, the installed file says what the program does without it. */
static void the_installed_file_shows_the_defaults(void **state)
{
	static char text[64 << 10], whole[64 << 10];
	struct coll_conf *c = load(least), *shown;
	size_t n = 0;

	(void)state;
	read_file("etc/collectord.conf", text, sizeof(text));
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		const size_t mark = strspn(line, "# \t"), word = strspn(line + mark, "abcdefghijklmnopqrstuvwxyz_0123456789");
		const bool option = strncmp(line + mark + word, " = ", 3) == 0 || strcmp(line + mark, "archive {") == 0 || line[mark] == '}';

		if (option && strncmp(line + mark, "user = ", 7) != 0)
			n += (size_t)snprintf(whole + n, sizeof(whole) - n, "%s\n", line + mark);
		else if (line[0] != '#')
			n += (size_t)snprintf(whole + n, sizeof(whole) - n, "%s\n", line);
	}
	snprintf(whole + n, sizeof(whole) - n, "user = \"nobody\"\n");
	shown = load(whole);
	assert_int_equal(shown->nlisten, c->nlisten);
	for (size_t i = 0; i < c->nlisten; i++)
		assert_string_equal(shown->listen[i].text, c->listen[i].text);
	assert_string_equal(shown->store, c->store);
	assert_string_equal(shown->certificate, c->certificate);
	assert_string_equal(shown->key, c->key);
	assert_string_equal(shown->receipt_key, c->receipt_key);
	assert_string_equal(shown->log_origin, c->log_origin);
	assert_int_equal(shown->journal_bytes, c->journal_bytes);
	assert_int_equal(shown->reserve, c->reserve);
	assert_int_equal(shown->max_connections, c->max_connections);
	assert_int_equal(shown->max_recordings, c->max_recordings);
	assert_int_equal(shown->handshake_s, c->handshake_s);
	assert_int_equal(shown->retention, c->retention);
	assert_int_equal(shown->log_level, c->log_level);
	assert_int_equal(shown->sandbox_strict, c->sandbox_strict);
	assert_true(shown->archive.on);
	assert_string_equal(shown->archive.region, c->archive.region);
	assert_string_equal(shown->archive.ca_file, c->archive.ca_file);
	assert_int_equal(shown->archive.rules.retention, c->archive.rules.retention);
	assert_int_equal(shown->archive.rules.session, c->archive.rules.session);
	assert_int_equal(shown->archive.by_bucket, c->archive.by_bucket);
	assert_int_equal(shown->archive.spool_max, c->archive.spool_max);
	assert_int_equal(shown->archive.canary_s, c->archive.canary_s);
	coll_conf_destroy(shown);
	coll_conf_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_has_the_defaults),
		cmocka_unit_test(the_installed_file_shows_the_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
