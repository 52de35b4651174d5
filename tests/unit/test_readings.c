/*
 * test_readings.c - the log of readings: lines that follow from each other, what a crash leaves, what is changed, what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "replay_readings.h"

static char dir[64], path[128];

static int make(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/bastiond-readings-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/bastion-replay/readings", dir);
	setenv("XDG_STATE_HOME", dir, 1);
	return 0;
}

static int drop(void **state)
{
	char command[192];

	(void)state;
	snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", dir, dir);
	return system(command);
}

static int append(const char *command)
{
	struct reading r = { .reveal = strcmp(command, "play") == 0, .recordings = 1 };

	snprintf(r.command, sizeof(r.command), "%s", command);
	snprintf(r.recording, sizeof(r.recording), "000102030405060708090a0b0c0d0e0f");
	return readings_append(&r);
}

static char seen[4096];
static size_t torn;

static int on_line(void *ctx, const struct reading *r, bool follows)
{
	(void)ctx;
	snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%llu%s%s%s|", (unsigned long long)r->number, r->command,
	    r->reveal ? "!" : "", follows ? "" : "?");
	return 0;
}

static const char *all(void)
{
	seen[0] = '\0';
	assert_int_equal(readings_each(on_line, NULL, &torn), 0);
	return seen;
}

static void raw(const char *text)
{
	const int fd = open(path, O_WRONLY | O_APPEND);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* Puts `with` in place of the first `what` of the file. */
static void edit(const char *what, const char *with)
{
	char text[8192];
	int fd = open(path, O_RDWR);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	char *at;

	text[n] = '\0';
	assert_non_null(at = strstr(text, what));
	assert_int_equal(strlen(what), strlen(with));
	assert_int_equal(pwrite(fd, with, strlen(with), at - text), strlen(with));
	close(fd);
}

static void lines_follow(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(readings_each(on_line, NULL, &torn), 1);
	assert_int_equal(append("show"), 0);
	assert_int_equal(append("play"), 0);
	assert_int_equal(append("export"), 0);
	assert_string_equal(all(), "1show|2play!|3export|");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* A line as there was once for a bundle: what comes behind it is taken, and the bastion is told of one recording. */
static void a_recording_without_its_id(void **state)
{
	struct reading r = { .command = "show", .recording = "?" }, back;
	const uint8_t before[HASH_LEN] = { 0 };
	char line[READINGS_LINE_MAX];
	bool follows;
	int n;

	(void)state;
	r.number = 1;
	n = reading_format(&r, before, line, sizeof(line));
	assert_true(n > 0);
	assert_int_equal(reading_parse(&back, line, (size_t)n - 1, before, &follows), 0);
	assert_true(follows);
	assert_string_equal(back.recording, "");
	assert_int_equal(back.recordings, 1);
}

static void a_crash_leaves_a_part(void **state)
{
	(void)state;
	append("show");
	raw("0123456789abc");
	assert_string_equal(all(), "1show|");
	assert_int_equal(torn, 1);
	assert_int_equal(append("play"), 0);
	assert_string_equal(all(), "1show|2play!|");
	assert_int_equal(torn, 1);
	/* twice, and the first time before anything was whole */
	unlink(path);
	append("show");
	assert_int_equal(truncate(path, 30), 0);
	assert_int_equal(append("play"), 0);
	assert_string_equal(all(), "1play!|");
}

static void changes_show(void **state)
{
	(void)state;
	append("show");
	append("play");
	append("export");
	edit("\"command\":\"play\"", "\"command\":\"show\"");
	assert_string_equal(all(), "1show|2show!?|3export|");
	edit("\"reveal\":true", "\"reveal\":null");
	assert_string_equal(all(), "1show|2show?|3export|");
	/* a line that is gone */
	unlink(path);
	append("show");
	append("play");
	append("export");
	edit("{\"number\":2", "{\"mumber\":2");
	assert_string_equal(all(), "1show|3export?|");
}

static void what_others_could_change_is_refused(void **state)
{
	char own[128];

	(void)state;
	assert_int_equal(append("show"), 0);
	chmod(path, 0644);
	assert_int_equal(append("show"), -1);
	chmod(path, 0600);
	snprintf(own, sizeof(own), "%s/bastion-replay", dir);
	chmod(own, 0755);
	assert_int_equal(append("show"), -1);
	chmod(own, 0700);
	unlink(path);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(append("show"), -1);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(append("show"), -1);
	unlink(path);
	/* something else's file, and one that is full */
	close(open(path, O_CREAT | O_WRONLY, 0600));
	raw("no line of ours\n");
	assert_int_equal(append("show"), -1);
	assert_int_equal(truncate(path, READINGS_BYTES_MAX), 0);
	assert_int_equal(append("show"), -1);
	unlink(path);
	setenv("XDG_STATE_HOME", "/proc/nowhere", 1);
	assert_int_equal(append("show"), -1);
}

static void junk(void **state)
{
	static const char *const lines[] = { "", " ", "{}", "xx {}",
		"0000000000000000000000000000000000000000000000000000000000000000 ",
		"0000000000000000000000000000000000000000000000000000000000000000 {}",
		"0000000000000000000000000000000000000000000000000000000000000000 []",
		"0000000000000000000000000000000000000000000000000000000000000000 {\"number\":-1}",
		"0000000000000000000000000000000000000000000000000000000000000000 {\"number\":1,\"recording\":\"../..\"}",
		"0000000000000000000000000000000000000000000000000000000000000000 {\"number\":1,\"login\":7}",
		"g000000000000000000000000000000000000000000000000000000000000000 {\"number\":1}" };
	uint8_t before[HASH_LEN] = { 0 };
	struct reading r;
	bool follows;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(reading_parse(&r, lines[i], strlen(lines[i]), before, &follows), -1);
}

/* ---- notes ---- */

static int note(const char *command, unsigned seconds, char err[4096])
{
	struct args a = { .trust = "/does/not/exist" };
	struct reading r = { .number = 7, .at = 1800000000, .command = "play", .reveal = true, .recordings = 1 };
	struct notify n;

	strcpy(r.recording, "000102030405060708090a0b0c0d0e0f");
	setenv("BASTION_NOTE", command, 1);
	assert_int_equal(notify_find(&n, &a), 0);
	err[0] = '\0';
	return notify_send(&n, &r, seconds, err, 4096);
}

static void notes_are_words(void **state)
{
	char err[4096], script[128], text[1024] = "", command[256];
	FILE *f;

	(void)state;
	/* as arguments, one each, and nothing is expanded */
	snprintf(script, sizeof(script), "%s/take", dir);
	assert_non_null(f = fopen(script, "w"));
	fprintf(f, "#!/bin/sh\nprintf '%%s\\n' \"$@\" > %s/got\n", dir);
	fclose(f);
	chmod(script, 0755);
	snprintf(command, sizeof(command), "  %s  $(touch\t%s/evil) ;id ", script, dir);
	assert_int_equal(note(command, 10, err), 0);
	snprintf(command, sizeof(command), "%s/got", dir);
	assert_non_null(f = fopen(command, "r"));
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	assert_non_null(strstr(text, "$(touch\n"));
	assert_non_null(strstr(text, "\n;id\nnote-replay\nreplay\n--reveal\n--recording\n000102030405060708090a0b0c0d0e0f\n--number\n7\n--at\n"
	    "1800000000\n--hash\n"));
	snprintf(command, sizeof(command), "%s/evil", dir);
	assert_int_equal(access(command, F_OK), -1);
}

static void notes_that_are_not_taken(void **state)
{
	char err[4096], script[128];
	FILE *f;

	(void)state;
	assert_int_equal(note("/bin/false", 10, err), -1);
	assert_non_null(strstr(err, "status 1"));
	assert_int_equal(note("/does/not/exist", 10, err), -1);
	assert_non_null(strstr(err, "No such file"));
	/* one that never answers, and one that closes its outputs and stays; what it says is escaped */
	snprintf(script, sizeof(script), "%s/hang", dir);
	assert_non_null(f = fopen(script, "w"));
	fprintf(f, "#!/bin/sh\nexec tail -f /dev/null\n");
	fclose(f);
	chmod(script, 0755);
	assert_int_equal(note(script, 1, err), -1);
	assert_non_null(strstr(err, "within 1 s"));
	assert_non_null(f = fopen(script, "w"));
	fprintf(f, "#!/bin/sh\nexec >/dev/null 2>&1 tail -f /dev/null\n");
	fclose(f);
	assert_int_equal(note(script, 1, err), -1);
	assert_non_null(f = fopen(script, "w"));
	fprintf(f, "#!/bin/sh\nprintf '\\033]0;evil\\007'\nexit 3\n");
	fclose(f);
	assert_int_equal(note(script, 10, err), -1);
	assert_string_equal(err, "status 3: \\x1b]0;evil\\x07");
}

/* An event at the bastion comes before --reveal: without a command that tells it there is neither, and no reading. */
static void nobody_is_told(void **state)
{
	char trust[128];
	struct args a = { .command = &replay_commands[0], .trust = trust, .reveal = true };
	FILE *f;

	(void)state;
	unsetenv("BASTION_NOTE");
	snprintf(trust, sizeof(trust), "%s/trust", dir);
	assert_int_equal(reading_begin(&a, NULL, 1), -1);		/* no such file */
	/* one that was named has to be there for any reading, also where it is not asked for a command */
	a.reveal = false;
	a.trust_named = true;
	assert_int_equal(reading_begin(&a, NULL, 1), -1);
	setenv("BASTION_NOTE", "true", 1);
	assert_int_equal(reading_begin(&a, NULL, 1), -1);
	unsetenv("BASTION_NOTE");
	assert_int_equal(access(path, F_OK), -1);
	a.trust_named = false;
	a.reveal = true;
	assert_non_null(f = fopen(trust, "w"));
	fprintf(f, "# notify nothing\n");
	fclose(f);
	assert_int_equal(reading_begin(&a, NULL, 1), -1);
	assert_int_equal(access(path, F_OK), -1);
	a.reveal = false;						/* what is shown otherwise may stay with the log */
	assert_int_equal(reading_begin(&a, NULL, 1), 0);
	assert_int_equal(access(path, F_OK), 0);
	a.reveal = true;
	assert_non_null(f = fopen(trust, "a"));
	fprintf(f, "notify true\n");
	fclose(f);
	assert_int_equal(reading_begin(&a, NULL, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_follow, make, drop),
		cmocka_unit_test(a_recording_without_its_id),
		cmocka_unit_test_setup_teardown(a_crash_leaves_a_part, make, drop),
		cmocka_unit_test_setup_teardown(changes_show, make, drop),
		cmocka_unit_test_setup_teardown(what_others_could_change_is_refused, make, drop),
		cmocka_unit_test(junk),
		cmocka_unit_test_setup_teardown(notes_are_words, make, drop),
		cmocka_unit_test_setup_teardown(notes_that_are_not_taken, make, drop),
		cmocka_unit_test_setup_teardown(nobody_is_told, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
