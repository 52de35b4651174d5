/*
 * test_replay_typed.c - what was not echoed is hidden, and what was is shown: real programs (tests/unit/typed/), hand-made cases, and
 * bytes of no sense.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>

#include <cmocka.h>

#include "replay_typed.h"

#define FOLDER "tests/unit/typed"

/* ---- one channel, as bastion-replay sees it ---- */

struct piece {
	size_t len;
	uint8_t data[4096];
};

static struct piece keys[8192];
static size_t nkeys;
static struct typed_range ranges[8192];
static struct typed_channel chan;
static char view[1 << 20];

static int by_place(const void *a, const void *b)
{
	const struct typed_range *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

static void on_hide(void *ctx, uint64_t from, uint64_t to)
{
	(void)ctx;
	assert_true(from < to);
	assert_true(chan.n < sizeof(ranges) / sizeof(ranges[0]));
	ranges[chan.n++] = (struct typed_range){ from, to };
}

static struct echo *begin(unsigned cols, unsigned rows)
{
	struct echo *e = echo_create(cols, rows, on_hide, NULL);

	assert_non_null(e);
	chan = (struct typed_channel){ .number = 1, .v = ranges };
	nkeys = 0;
	return e;
}

static void in_bytes(struct echo *e, const void *data, size_t len)
{
	assert_true(len <= sizeof(keys[0].data) && nkeys < sizeof(keys) / sizeof(keys[0]));
	memcpy(keys[nkeys].data, data, len);
	keys[nkeys++].len = len;
	chan.known += len;
	assert_int_equal(echo_input(e, data, len), 0);
}

static void in(struct echo *e, const char *text) { in_bytes(e, text, strlen(text)); }
static void out(struct echo *e, const char *text) { echo_output(e, (const uint8_t *)text, strlen(text)); }

/* What may be shown of the keys. */
static const char *end(struct echo *e)
{
	struct typed_map map = { .v = &chan, .n = 1 };
	struct typed_part p;
	size_t n = 0;

	echo_end(e);
	echo_destroy(e);
	qsort(ranges, chan.n, sizeof(ranges[0]), by_place);
	typed_part_init(&p);
	typed_rewind(&map);
	for (size_t i = 0; i < nkeys; i++) {
		assert_int_equal(typed_show(&map, 1, keys[i].data, keys[i].len, &p), 0);
		assert_true(n + p.shown.len < sizeof(view));
		if (p.shown.len > 0)
			memcpy(view + n, p.shown.data, p.shown.len);
		n += p.shown.len;
	}
	view[n] = '\0';
	typed_part_finish(&p);
	buf_finish(&chan.run);
	buf_finish(&map.other.run);
	return view;
}

/* A dialogue: `<` keys, `>` output, each to the next of these signs. */
static const char *dialogue(const char *text)
{
	struct echo *e = begin(40, 6);
	char part[512];

	while (*text != '\0') {
		const size_t len = strcspn(text + 1, "<>");

		memcpy(part, text + 1, len);
		part[len] = '\0';
		if (*text == '<')
			in(e, part);
		else
			out(e, part);
		text += 1 + len;
	}
	return end(e);
}

#define H TYPED_HIDDEN
#define CASE(text, want) assert_string_equal(dialogue(text), want)

static void echoes_are_shown(void **state)
{
	(void)state;
	CASE(">$ <l>l<s>s<\r>\r\nfile\r\n$ ", "ls\r");
	CASE(">$ <ls\r>ls\r\nfile\r\n$ ", "ls\r");
	/* canonical erasing; a redrawn line; one that moves; colours */
	CASE(">$ <l>l<x>x<\177>\b \b<s>s<\r>\r\n", "lx\177s\r");
	CASE(">$ <sl\177\177ls\r>sl\b \b\b \bls\r\n", "sl\177\177ls\r");
	CASE(">$ <l>\r\033[K$ \033[32ml\033[m<s>\r\033[K$ \033[32mls\033[m<\r>\r\n", "ls\r");
	CASE(">$ <ac>ac<\033[D>\b<b>\033[1@b<\r>\r\n", "ac\033[Db\r");
	CASE(">$ <ac>ac<\033[D>\b<b>bc\b<\r>\r\n", "ac\033[Db\r");
	/* without a prompt, as to cat */
	CASE("<words>words<\r>\r\n", "words\r");
	CASE("<words\r>words\r\nwords\r\n", "words\r");
	CASE(">$ <\303\244\346\274\242>\303\244\346\274\242<\r>\r\n", "\303\244\346\274\242\r");
}

static void silence_is_hidden(void **state)
{
	(void)state;
	CASE(">Password: <hunter2\r>\r\n$ ", H "\r");
	CASE(">Password: <h<u<n<t<e<r<2<\r>\r\n$ ", H "\r");
	CASE(">$ <hunter2\r>\r\n$ ", H "\r");
	CASE(">Password: <hun\177\177ter\025hunter2\r>\r\n$ ", H "\r");
	CASE(">Password: <hunter2\003>\r\n$ ", H "\003");
	CASE(">Password: <hunter2", H);
	CASE("<hunter2\r", H "\r");
	/* one after the other; a mark for each */
	CASE(">Password: <one\r>\r\nAgain: <two\r>\r\n", H "\r" H "\r");
	/* no code points, cut ones, and what looks like a sequence */
	CASE(">Password: <\351\r>\r\n", H "\r");
	CASE(">Password: <a\033b\r>\r\n", H "\r");
	CASE(">Password: <\033bab\r>\r\n", H "\r");
	CASE(">Password: <ab\033[12\r>\r\n", H "\r");
}

static void masks_are_hidden(void **state)
{
	(void)state;
	CASE(">Password: <h>*<u>*<n>*<\r>\r\n", H "\r");
	CASE(">Password: <hunter2\r>*******\r\n", H "\r");
	CASE(">Password: <a>*<*>*<*>*<\r>\r\n", H "\r");
	CASE(">Password: <*>*<*>*<\r>\r\n", H "\r");
	CASE(">Password: <a>\342\200\242<\342\200\242>\342\200\242<\342\200\242>\342\200\242<\r>\r\n", H "\r");
	CASE(">$ <rm *\r>rm *\r\n", "rm *\r");
}

/* The text of a new prompt where an echo would be. */
static void a_prompt_is_no_echo(void **state)
{
	(void)state;
	CASE("<root\r>root@web1:~# ", H "\r");
	CASE("<root>root@web1:~# <id>id<\r>\r\n", H "id\r");
	CASE("<r<o<o<t>root@web1:~# <id>id<\r>\r\n", H "id\r");
	CASE(">Password: <root\r>\r\nroot@web1:~# <id>id<\r>\r\n", H "\rid\r");
	CASE(">Password: <root\r>\r\nLogged in as root\r\n$ <whoami\r>whoami\r\nroot\r\n", H "\rwhoami\r");
}

static void echo_goes_off_and_on(void **state)
{
	(void)state;
	/* type-ahead: a part came back before the echo was off */
	CASE(">$ <hun>hun\r\nPassword: <ter2\r>\r\n$ ", H "\r");
	/* keys without an answer, then a command */
	CASE(">$ <q< >\r\n$ <ls>ls<\r>\r\n", H "ls\r");
	CASE(">$ <stty -echo\r>stty -echo\r\n$ <evil\r>\r\nfile\r\n$ <stty echo\r>\r\n$ <ls\r>ls\r\n", "stty -echo\r" H "\r" H "\rls\r");
}

static void typed_ahead_turns_up(void **state)
{
	(void)state;
	CASE(">$ <sleep 1\r>sleep 1\r\n<ls\r>ls\r\n$ ls\r\nfile\r\n$ ", "sleep 1\rls\r");
	CASE(">$ <one\rtwo\rthree\r>one\r\nout\r\n$ two\r\n$ three\r\n$ ", "one\rtwo\rthree\r");
	CASE(">$ <make\r>make\r\ncc a.c\r\n<ls -l\r>cc b.c\r\ncc ls -l\r\nd.c\r\n$ ls -l\r\n", "make\rls -l\r");
	/* a password typed ahead turns up nowhere, or where nothing stands before it */
	CASE(">$ <sudo id\rhunter2\r>sudo id\r\nPassword: \r\nuid=0\r\n$ ", "sudo id\r" H "\r");
	CASE(">$ <sudo id\rroot\r>sudo id\r\nPassword: \r\nroot\r\n$ ", "sudo id\r" H "\r");
	CASE(">$ <sudo id\rroot\r>sudo id\r\nPassword: root\r\n$ ", "sudo id\r" H "\r");
}

static void full_screen_programs(void **state)
{
	(void)state;
	CASE(">\033[?1049h\033[H\033[2Jtext<d>\033[6;30Hd\033[1;1H<d>\033[6;30H \033[1;1H\033[K<:>\033[6;1H:<w>w<q>q<\r>\033[?1049l$ ", "dd:wq\r");
	CASE(">\033[?1049h\033[Htext\033[6;1H:< >\033[Hmore\033[6;1H:<q>\033[?1049l$ <ls\r>ls\r\n", " qls\r");
	/* a shell inside of one */
	CASE(">\033[?1049h\033[H$ <ls\r>ls\r\n$ <su\r>su\r\nPassword: <hunter2\r>\r\n# ", "ls\rsu\r" H "\r");
	CASE(">\033[?1049h\033[H$ <hunter2\r>\r\n# ", H "\r");
	/* the cursor is away for a moment, in the middle of a password */
	CASE(">\033[?1049h\033[H$ <h<u<n>\033[6;1Hclock<t<e>\033[1;3H<r<\r>\r\n# ", H "\r");
	/* a dialogue without a return */
	CASE(">\033[?1049h\033[HPassphrase: <x>\033[?1049l$ ", H);
	CASE(">\033[?1049h\033[H> <a<b<c<d>\033[?1049l$ ", H);
}

static const char *show(struct typed_map *m, uint64_t channel, const char *text, struct typed_part *p)
{
	static char out[256];

	assert_int_equal(typed_show(m, channel, (const uint8_t *)text, strlen(text), p), 0);
	snprintf(out, sizeof(out), "%.*s%s|%.*s", (int)p->shown.len, (const char *)p->shown.data, p->hidden ? "!" : "",
	    (int)p->run.len, p->ended ? (const char *)p->run.data : "");
	return out;
}

static void nothing_known_is_hidden(void **state)
{
	struct typed_range two[] = { { 2, 5 }, { 7, 8 } };
	struct typed_channel c = { .number = 1, .v = two, .n = 2, .known = 10 };
	struct typed_map map = { .v = &c, .n = 1 };
	struct typed_part p;
	char line[64];

	(void)state;
	typed_part_init(&p);
	typed_rewind(&map);
	/* a channel that was not there */
	assert_string_equal(show(&map, 2, "abc", &p), H "!|");
	assert_string_equal(show(&map, 2, "abc", &p), "!|");
	typed_close(&map, 2, &p);
	assert_true(p.ended && p.run.len == 0);
	/* behind what was looked at */
	assert_string_equal(show(&map, 1, "0123456789abc", &p), "01" H "56" H "89" H "!|\r");
	assert_string_equal(typed_line_of(&map, &p, line, sizeof(line)), H);
	typed_rewind(&map);
	assert_string_equal(show(&map, 1, "012", &p), "01" H "!|");
	assert_string_equal(show(&map, 1, "3", &p), "!|");
	assert_string_equal(show(&map, 1, "4", &p), "!|");
	assert_string_equal(show(&map, 1, "5", &p), "5|");
	map.reveal = true;
	typed_rewind(&map);
	assert_string_equal(show(&map, 1, "0123456", &p), "0123456!|234");
	assert_string_equal(typed_line_of(&map, &p, line, sizeof(line)), "[typed, not echoed] 234");
	typed_part_finish(&p);
	buf_finish(&c.run);
	buf_finish(&map.other.run);
}

static void prompts(void **state)
{
	static const char *const yes[] = { "[sudo] password for dba: ", "dba@web1's password: ", "Enter PIN: ", "PIN", "New Password:",
		"Enter passphrase for key '/x': ", "Passwort: ", "Mot de passe : ", "Verification code: ", "Enter token> ", "\345\257\206\347\240\201\357\274\232" };
	static const char *const no[] = { "", "$ ", "root@web1:~# ", "Opinion: ", "spinning ", "name? ", ">>> ", "shopping " };

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (!asks_for_secret(yes[i], strlen(yes[i])))
			fail_msg("%s", yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (asks_for_secret(no[i], strlen(no[i])))
			fail_msg("%s", no[i]);
}

/* ---- bounds ---- */

static void bounds(void **state)
{
	static char many[ECHO_KEYS_MAX + 100];
	struct echo *e = begin(80, 24);

	(void)state;
	memset(many, 'x', sizeof(many));
	for (size_t i = 0; i < 4; i++)
		in_bytes(e, many, 2048);
	out(e, "nothing");
	for (size_t i = 0; i < 2 * ECHO_LINES_MAX; i++)
		in(e, "ahead\r");
	for (size_t i = 0; i < 20; i++)
		echo_output(e, (const uint8_t *)many, sizeof(many));
	assert_null(strstr(end(e), "xx"));
	assert_null(strstr(view, "ahead"));
	/* much output, and nothing that ends it */
	e = begin(80, 24);
	in(e, "secret\r");
	for (size_t i = 0; i < 200; i++)
		echo_output(e, (const uint8_t *)many, sizeof(many));
	in(e, "ls");
	assert_string_equal(end(e), H "\r" H);
}

static void any_bytes(void **state)
{
	uint32_t seed = 11;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct echo *e = begin(seed % 90, seed % 30);

		for (int i = 0; i < 60; i++) {
			static const char *const words[] = { "\033[?1049h", "\033[?1049l", "\r\n", "\033[", "\342", "*", "\033[H", "\t", "\b" };
			uint8_t junk[40];
			size_t len;

			for (size_t k = 0; k < sizeof(junk); k++)
				junk[k] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
			len = (seed >> 8) % sizeof(junk);
			if (seed % 3 == 0)
				in_bytes(e, junk, len);
			else if (seed % 3 == 1)
				echo_output(e, junk, len);
			else
				out(e, words[(seed >> 10) % 9]);
			if (seed % 17 == 0)
				echo_resize(e, seed >> 3 & 127, seed >> 11 & 63);
		}
		end(e);
	}
}

/* ---- real programs ---- */

static size_t unescape(const char *text, char *to)
{
	size_t n = 0;

	for (; *text != '\0' && *text != '\n'; text++) {
		unsigned v = 0;

		if (*text != '\\') {
			to[n++] = *text;
			continue;
		}
		text++;
		if (*text == 'x') {
			sscanf(text + 1, "%2x", &v);
			text += 2;
			to[n++] = (char)v;
		} else {
			to[n++] = *text == 'r' ? '\r' : *text == 'n' ? '\n' : *text == 'e' ? '\033' : '\\';
		}
	}
	to[n] = '\0';
	return n;
}

struct wanted {
	char secret[64][256], shown[64][256];
	size_t nsecret, nshown;
};

static const char *play(const char *path, struct wanted *w)
{
	static char line[1 << 20], data[1 << 20];
	FILE *f = fopen(path, "r");
	struct echo *e = NULL;
	unsigned cols, rows;

	assert_non_null(f);
	memset(w, 0, sizeof(*w));
	while (fgets(line, sizeof(line), f) != NULL) {
		char *text = strchr(line, ' ') + 1;
		const size_t len = unescape(text, data);

		if (sscanf(line, "size %u %u", &cols, &rows) == 2)
			e = begin(cols, rows);
		else if (strncmp(line, "i ", 2) == 0)
			in_bytes(e, data, len);
		else if (strncmp(line, "o ", 2) == 0)
			echo_output(e, (const uint8_t *)data, len);
		else if (strncmp(line, "secret ", 7) == 0)
			strcpy(w->secret[w->nsecret++], data);
		else if (strncmp(line, "shown ", 6) == 0)
			strcpy(w->shown[w->nshown++], data);
		else
			fail_msg("%s: %s", path, line);
	}
	fclose(f);
	return end(e);
}

static bool part_of_any(const struct wanted *w, const char *text)
{
	for (size_t i = 0; i < w->nshown; i++)
		if (strstr(w->shown[i], text) != NULL)
			return true;
	return false;
}

static unsigned check(const char *path)
{
	static struct wanted w;
	const char *seen = play(path, &w);
	unsigned bad = 0;
	char *mark;

	if (getenv("TYPED_VIEW") != NULL)
		for (const char *c = printf("--- %s\n", path) ? seen : seen; *c != '\0' || !putchar('\n'); c++)
			printf(*c == '\r' ? "\\r\n" : *c < ' ' ? "\\x%02x" : "%c", (uint8_t)*c);
	while ((mark = strstr(view, H)) != NULL)
		memset(mark, '\f', strlen(H));
	for (size_t i = 0; i < w.nsecret; i++)
		for (size_t k = 0; k + 3 <= strlen(w.secret[i]); k++) {
			char part[4] = "";

			memcpy(part, w.secret[i] + k, 3);
			if (strstr(seen, part) != NULL && !part_of_any(&w, part))
				bad += (unsigned)(printf("%s: shows %s of %s\n", path, part, w.secret[i]) > 0);
		}
	for (size_t i = 0; i < w.nshown; i++)
		if (strstr(seen, w.shown[i]) == NULL)
			bad += (unsigned)(printf("%s: hides %s\n", path, w.shown[i]) > 0);
	return bad;
}

static void real_programs(void **state)
{
	DIR *d = opendir(FOLDER);
	struct dirent *e;
	unsigned n = 0, bad = 0;
	char path[512];

	(void)state;
	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		if (strlen(e->d_name) > 4 && strcmp(e->d_name + strlen(e->d_name) - 4, ".tty") == 0) {
			snprintf(path, sizeof(path), FOLDER "/%s", e->d_name);
			bad += check(path);
			n++;
		}
	closedir(d);
	assert_true(n >= 10);
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echoes_are_shown),
		cmocka_unit_test(silence_is_hidden),
		cmocka_unit_test(masks_are_hidden),
		cmocka_unit_test(a_prompt_is_no_echo),
		cmocka_unit_test(echo_goes_off_and_on),
		cmocka_unit_test(typed_ahead_turns_up),
		cmocka_unit_test(full_screen_programs),
		cmocka_unit_test(nothing_known_is_hidden),
		cmocka_unit_test(prompts),
		cmocka_unit_test(bounds),
		cmocka_unit_test(any_bytes),
		cmocka_unit_test(real_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
