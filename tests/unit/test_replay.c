/*
 * test_replay.c - the pure parts of bastion-replay: arguments and man page, time, text, trust.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "replay_player.h"
#include "replay_term.h"
#include "screen_grammar.h"

/* ---- arguments ---- */

static int parse(struct args *a, const char *line)
{
	static char copy[512];	/* args point into it */
	char *argv[32] = { NULL }, *save;
	int argc = 0, r, err = dup(2), null = open("/dev/null", O_WRONLY);

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w != NULL && argc < 31;
	     w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	dup2(null, 2);
	r = args_parse(a, argc, argv);
	dup2(err, 2);
	close(err);
	close(null);
	return r;
}

static void takes_what_is_documented(void **state)
{
	struct args a;

	(void)state;
	assert_int_equal(
	    parse(&a,
		"bastion-replay list --json -d /s --user alice --host web1 "
		"--since 2026-11-22 --until 2026-11-23"),
	    0);
	assert_true(a.json);
	assert_string_equal(a.store, "/s");
	assert_string_equal(a.user, "alice");
	assert_int_equal(a.until - a.since, 86400);
	assert_int_equal(
	    parse(&a,
		"bastion-replay play 7c26 --speed 2.5 --idle-max 0 --at 1:02:03 "
		"--key k --channel 3"),
	    0);
	assert_int_equal(a.speed, 250);
	assert_int_equal(a.idle_us, 0);
	assert_int_equal(a.at_us, 3723000000);
	assert_int_equal(a.channel, 3);
	assert_string_equal(a.identities[0], "k");
	assert_string_equal(a.ids[0], "7c26");
	assert_int_equal(parse(&a, "bastion-replay verify a b c"), 0);
	assert_int_equal(a.nids, 3);
	assert_int_equal(parse(&a, "bastion-replay export --text x"), 0);
	assert_int_equal(a.form, EXPORT_TEXT);
	assert_int_equal(parse(&a, "bastion-replay --help"), 0);
	assert_true(a.help);
	assert_int_equal(parse(&a, "bastion-replay list --help"), 0);
	assert_true(a.help && a.command != NULL);
}

static void refuses_the_rest(void **state)
{
	static const char *const bad[] = {
		"bastion-replay",
		"bastion-replay lst",
		"bastion-replay play",
		"bastion-replay play a b",
		"bastion-replay list a",
		"bastion-replay list --speed 2",
		"bastion-replay play x --speed 0",
		"bastion-replay play x --speed nan",
		"bastion-replay play x --speed 2x",
		"bastion-replay play x --at 1:60",
		"bastion-replay play x --at 1:2:3:4",
		"bastion-replay play x --at :1",
		"bastion-replay play x --channel -1",
		"bastion-replay list --since yesterday",
		"bastion-replay list --user",
		"bastion-replay list --nonsense",
		"bastion-replay export x --text --json",
		"bastion-replay verify --user x",
		"bastion-replay list -x",
	};
	struct args a;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse(&a, bad[i]) == 0)
			fail_msg("taken: %s", bad[i]);
}

#define PAGE_MAX 65536

static char *read_page(void)
{
	FILE *f = fopen("man/bastion-replay.1", "r");
	char *page = calloc(1, PAGE_MAX);

	assert_non_null(f);
	assert_non_null(page);
	assert_true(fread(page, 1, PAGE_MAX - 1, f) > 1000);
	fclose(f);
	return page;
}

/* Every command and option of the program is in the man page, and the other way round. */
static void man_page_agrees(void **state)
{
	char *page, *help = NULL, word[64];
	size_t len = 0;
	FILE *f = open_memstream(&help, &len);

	(void)state;
	page = read_page();
	for (const struct command *c = replay_commands; c->name != NULL; c++) {
		snprintf(word, sizeof(word), ".Cm %s\n", c->name);
		assert_non_null(strstr(page, word));
		snprintf(word, sizeof(word), ".Ss %s\n", c->name);
		assert_non_null(strstr(page, word));
		args_help(f, c);
	}
	fclose(f);
	for (char *p = strstr(help, "--"); p != NULL; p = strstr(p + 2, "--")) {
		snprintf(word, sizeof(word), "Fl -%.*s",
		    (int)strspn(p + 2, "abcdefghijklmnopqrstuvwxyz-"), p + 2);
		if (strlen(word) > 4 && strstr(page, word) == NULL)
			fail_msg("not in the man page: %s", word);
	}
	for (char *p = strstr(page, "Fl -"); p != NULL; p = strstr(p + 4, "Fl -")) {
		snprintf(word, sizeof(word), "--%.*s",
		    (int)strspn(p + 4, "abcdefghijklmnopqrstuvwxyz-"), p + 4);
		if (strstr(help, word) == NULL)
			fail_msg("only in the man page: %s", word);
	}
	free(help);
	free(page);
}

/* What the SYNOPSIS has of a command: NULL, or everything from its name to the next one's, for free(). A command may stand there several times. */
static char *synopsis_of(const char *page, const char *name)
{
	const char *p = strstr(page, ".Sh SYNOPSIS\n"), *end = strstr(page, ".Sh DESCRIPTION\n"), *next;
	char head[64], *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_true(f != NULL && p != NULL && end != NULL);
	snprintf(head, sizeof(head), ".Nm bastion-replay\n.Cm %s\n", name);
	while ((p = strstr(p, head)) != NULL && p < end) {
		p += strlen(head);
		next = strstr(p, ".Nm bastion-replay\n");
		fwrite(p, 1, (size_t)((next != NULL && next < end ? next : end) - p), f);
	}
	fclose(f);
	return text;
}

/* All options that a command has of its own are in the SYNOPSIS. */
static void synopsis_is_whole(void **state)
{
	char *page = read_page(), *help, *synopsis, word[64];
	size_t len;

	(void)state;
	for (const struct command *c = replay_commands; c->name != NULL; c++) {
		FILE *f = open_memstream(&help, &len);

		args_help(f, c);
		fclose(f);
		/* those of all commands begin with --store */
		*strstr(help, "--store") = '\0';
		synopsis = synopsis_of(page, c->name);
		assert_true(synopsis[0] != '\0');
		for (char *p = strstr(help, "  --"); p != NULL; p = strstr(p + 4, "  --")) {
			snprintf(word, sizeof(word), " -%.*s", (int)strspn(p + 4, "abcdefghijklmnopqrstuvwxyz-0123456789"), p + 4);
			if (strstr(synopsis, word) == NULL)
				fail_msg("the SYNOPSIS of %s lacks -%s", c->name, word + 1);
		}
		free(synopsis);
		free(help);
	}
	free(page);
}

/* ---- the bar ---- */

static void progress_fits_the_terminal(void **state)
{
	char out[128];

	(void)state;
	assert_string_equal(progress_line(out, sizeof(out), 80, "verify", 1, 4, "1 of 4"),
	    "verify [#####               ] 25% 1 of 4");
	assert_string_equal(progress_line(out, sizeof(out), 40, "verify", 4, 4, "x"), "verify 100% x");
	assert_string_equal(progress_line(out, sizeof(out), 10, "verify", 9, 4, "x"), "verify 10");
	progress_line(out, sizeof(out), 500, "verify", 0, 0, "x");
	assert_non_null(strstr(out, "100%"));
}

/* ---- time ---- */

static void clock_follows_speed_and_pause(void **state)
{
	struct pclock c = { .speed = 100, .real_us = 1000 };

	(void)state;
	pclock_advance(&c, 501000, 0, PCLOCK_NEVER, 10000000);
	assert_int_equal(c.pos_us, 500000);
	assert_int_equal(pclock_wait(&c, 700000), 200000);
	c.speed = 400;
	assert_int_equal(pclock_wait(&c, 700000), 50000);
	pclock_advance(&c, 551000, 0, 700000, 10000000);
	assert_int_equal(c.pos_us, 700000);
	assert_int_equal(pclock_wait(&c, 700000), 0);
	c.paused = true;
	pclock_advance(&c, 9000000, 0, 800000, 10000000);
	assert_int_equal(c.pos_us, 700000);
	assert_true(pclock_wait(&c, 800000) == PCLOCK_NEVER);
	c.paused = false;
	/* pausing cost nothing; a clock that goes back does no harm; the end is the end */
	pclock_advance(&c, 9000000, 0, 800000, 10000000);
	assert_int_equal(c.pos_us, 700000);
	pclock_advance(&c, 8000000, 0, 800000, 10000000);
	assert_int_equal(c.pos_us, 700000);
	c.pos_us = 9000000;
	pclock_advance(&c, 90000000, 0, PCLOCK_NEVER, 10000000);
	assert_int_equal(c.pos_us, 10000000);
	/* it was stopped, or its terminal took nothing: of what nobody saw no more than a second is missed, and what was late */
	for (unsigned speed = 10; speed <= 10000; speed *= 10) {
		c = (struct pclock){ .speed = speed };
		pclock_advance(&c, pclock_wait(&c, 1000000), 0, PCLOCK_NEVER, 1000000000);
		assert_int_equal(c.pos_us, 1000000);
		pclock_advance(&c, 3600000000, 0, PCLOCK_NEVER, 1000000000);
		assert_in_range(c.pos_us, 2000000, 2000000 + 2000 * speed);
	}
	/* waking up is never before the event */
	c = (struct pclock){ .speed = 300 };
	pclock_advance(&c, pclock_wait(&c, 1000), 0, 1000, 5000);
	assert_true(c.pos_us >= 1000);
}

static void clock_cuts_pauses(void **state)
{
	struct pclock c = { .speed = 100, .idle_us = 2000000, .compress = true };

	(void)state;
	/* event at 1 s, the next at 61 s: shown 2 s later */
	c.pos_us = 1000000;
	pclock_advance(&c, 10, 1000000, 61000000, 100000000);
	assert_int_equal(c.pos_us, 59000010);
	assert_int_equal(pclock_wait(&c, 61000000), 1999990);
	/* short pauses stay */
	c.pos_us = 61000000;
	pclock_advance(&c, 10, 61000000, 62900000, 100000000);
	assert_int_equal(c.pos_us, 61000000);
	c.compress = false;
	pclock_advance(&c, 20, 61000000, 90000000, 100000000);
	assert_int_equal(c.pos_us, 61000010);
	/* at double speed the pause is half as long */
	c = (struct pclock){ .speed = 200, .idle_us = 2000000, .compress = true };
	pclock_advance(&c, 0, 0, 50000000, 100000000);
	assert_int_equal(pclock_wait(&c, 50000000), 1000000);
}

static void speeds_go_up_and_down(void **state)
{
	unsigned v = 10, n = 0;

	(void)state;
	while (pclock_faster(v) != v && n++ < 100)
		v = pclock_faster(v);
	assert_int_equal(v, 10000);
	while (pclock_slower(v) != v && n++ < 100)
		v = pclock_slower(v);
	assert_int_equal(v, 10);
	assert_int_equal(pclock_faster(110), 150);
	assert_int_equal(pclock_slower(110), 100);
}

/* ---- text ---- */

static void gather(void *ctx, const char *text, size_t len)
{
	strncat(ctx, text, len);
}

static void plain_text_is_escaped_wherever_it_is_cut(void **state)
{
	static const uint8_t in[] =
	    "caf\xc3\xa9\r\n\x1b[31m\t\xe6\xbc\xa2\xff\xf0\x9f\x98\x80\rx\xc2\x9b\\ \xe2\x82";
	static const char want[] =
	    "caf\xc3\xa9\n\\x1b[31m\t\xe6\xbc\xa2\\xff\xf0\x9f\x98\x80\\rx\\u{9b}\\ \\xe2\\x82";

	(void)state;
	for (size_t cut = 0; cut < sizeof(in); cut++)
		for (size_t cut2 = cut; cut2 < sizeof(in); cut2++) {
			struct plain p = { .nheld = 0 };
			char out[256] = "";

			plain_feed(&p, in, cut, gather, out);
			plain_feed(&p, in + cut, cut2 - cut, gather, out);
			plain_feed(&p, in + cut2, sizeof(in) - 1 - cut2, gather, out);
			plain_end(&p, gather, out);
			assert_string_equal(out, want);
		}
}

static void numbers_for_people(void **state)
{
	char t[32];

	(void)state;
	assert_string_equal(text_span(t, sizeof(t), 61999999), "1:01");
	assert_string_equal(text_span(t, sizeof(t), 3723000000), "1:02:03");
	assert_string_equal(text_size(t, sizeof(t), 0), "0B");
	assert_string_equal(text_size(t, sizeof(t), 1536), "1.5K");
	assert_string_equal(text_size(t, sizeof(t), 52428800), "50M");
	assert_string_equal(text_time(t, sizeof(t), 1763800005000000), "2025-11-22 08:26:45");
}

static void hostile_events_make_one_safe_line(void **state)
{
	static const struct { char kind; const char *data; size_t len;
	} bad[] = {
		{ 'n', "a\033]0;x\007\nb", 9 },
		{ 'f', "{\"op\":\"put\\u001b[2J\",\"path\":\"a\\nb\\u009b\"}", 40 },
		{ 'f', "{broken", 7 },
		{ 'C', "{\"capability\":\"\\u001b\",\"command\":\"\\u0007\",\"pty\":true}", 50 },
		{ 'f', "[]", 2 },
		{ 'f', "", 0 },
		{ 'x', "\0\0", 2 },
		{ 'X', "", 0 },
		{ 'X', "\1\033K", 3 },
		{ 's', "\x9b\xff", 2 },
		{ 'g', "{\"dir\":\"\\u202e\"}", 16 },
	};
	char line[3 * REPLAY_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct brec_event e = { .kind = (uint8_t)bad[i].kind,
			.data = (const uint8_t *)bad[i].data,
			.len = bad[i].len };

		if (text_event(&e, line, sizeof(line)))
			assert_int_equal(grammar_check(line, strlen(line)), strlen(line));
	}
}

/* ---- trust ---- */

static void trust_lines(void **state)
{
	struct trust *t = calloc(1, sizeof(*t));
	char err[256] = "", file[] = "/tmp/bastiond-trust-XXXXXX";
	uint8_t key[KEY_LEN], id[HASH_LEN];
	struct sign_key *k = sign_key_generate();
	int fd = mkstemp(file);

	(void)state;
	close(fd);
	unlink(file);
	sign_key_public(k, key);
	assert_int_equal(public_key_save(key, file), 0);
	assert_int_equal(trust_line(t, "# comment", ".", err, sizeof(err)), 0);
	assert_int_equal(trust_line(t, "  \n", ".", err, sizeof(err)), 0);
	assert_int_equal(trust_line(t, "collector c1 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo\n",
			     ".", err, sizeof(err)),
	    0);
	char line[128];
	snprintf(line, sizeof(line), "signer b1 %s", strrchr(file, '/') + 1);
	assert_int_equal(trust_line(t, line, "/tmp", err, sizeof(err)), 0);
	assert_int_equal(t->ncollectors, 1);
	assert_int_equal(t->nsigners, 1);
	assert_memory_equal(t->signers[0], key, KEY_LEN);
	key_id(id, key);
	assert_string_equal(trust_signer(t, id), "b1");
	assert_int_equal(trust_line(t, "signer b1", ".", err, sizeof(err)), -1);
	assert_int_equal(trust_line(t, "sgner b1 x", ".", err, sizeof(err)), -1);
	assert_int_equal(trust_line(t, "signer b1 /does/not/exist", ".", err, sizeof(err)), -1);
	assert_int_equal(trust_line(t, "signer b1 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo x",
			     ".", err, sizeof(err)),
	    -1);
	assert_true(err[0] != '\0');
	for (size_t i = t->nsigners; i < TRUST_KEYS_MAX; i++)
		assert_int_equal(trust_line(t, line, "/tmp", err, sizeof(err)), 0);
	assert_int_equal(trust_line(t, line, "/tmp", err, sizeof(err)), -1);
	unlink(file);
	sign_key_destroy(k);
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(progress_fits_the_terminal),
		cmocka_unit_test(takes_what_is_documented),
		cmocka_unit_test(refuses_the_rest),
		cmocka_unit_test(man_page_agrees),
		cmocka_unit_test(synopsis_is_whole),
		cmocka_unit_test(clock_follows_speed_and_pause),
		cmocka_unit_test(clock_cuts_pauses),
		cmocka_unit_test(speeds_go_up_and_down),
		cmocka_unit_test(plain_text_is_escaped_wherever_it_is_cut),
		cmocka_unit_test(numbers_for_people),
		cmocka_unit_test(hostile_events_make_one_safe_line),
		cmocka_unit_test(trust_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
