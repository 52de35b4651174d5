/*
 * test_replay_run.c - each command of bastion-replay on recordings that are partly hostile, and the
 * player on a terminal.
 */
#include "replay_store.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>

#include "replay_player.h"
#include "screen_grammar.h"

static char id_terminal[33], id_command[33];

#define HOSTILE \
	"\033]52;c;ZXZpbA==\007\033]0;owned\007\033[6n\033[c\033P$qm\033\\" \
	"\033_apc\033\\\033[?1000h\033[b\302\233\233\342\200\256"

static int make_store(void **state)
{
	struct fixture *x;

	(void)state;
	store_make();
	x = fx_open(false, false);
	event(x, 0, BREC_META, BREC_K_META,
	    "{\"user\":\"alice\",\"host\":\"web1\",\"login\":\"dba\","
	    "\"reason\":\"x\\u001b]0;y\\u0007\"}");
	event(x, 1, BREC_META, BREC_K_OPEN,
	    "{\"capability\":\"shell\",\"command\":\"\",\"pty\":true,"
	    "\"term\":\"xterm\",\"cols\":80,\"rows\":24}");
	event(x, 1, BREC_OUTPUT, BREC_K_OUT, "first line\r\n" HOSTILE "shown\r\n");
	event(x, 1, BREC_INPUT, BREC_K_IN, "ls\r");
	event(x, 1, BREC_OUTPUT, BREC_K_OUT, "\033[?1049h\033[31mfull\033[m");
	event(x, 0, BREC_META, BREC_K_NOTE, "held\033[2J");
	event(x, 1, BREC_OUTPUT, BREC_K_OUT, "\033[?1049llast line");
	keep(x, id_terminal);

	x = fx_open(false, false);
	x->now += 1000000;
	event(x, 0, BREC_META, BREC_K_META,
	    "{\"user\":\"bob\",\"host\":\"web2.production.example.org\",\"login\":\"root\"}");
	event(x, 1, BREC_META, BREC_K_OPEN,
	    "{\"capability\":\"exec\",\"command\":\"id "
	    "\\u001b]0;x\\u0007\",\"pty\":false}");
	event(x, 1, BREC_OUTPUT, BREC_K_OUT, "uid=0\n" HOSTILE "\nend\n");
	event(x, 2, BREC_META, BREC_K_OPEN,
	    "{\"capability\":\"sftp\",\"command\":\"sftp\",\"pty\":false}");
	event(x, 2, BREC_META, BREC_K_FILE,
	    "{\"op\":\"put\",\"path\":\"/tmp/a\\u001b[2J\",\"size\":2000123,\"sha256\":\"aa11\"}");
	event(x, 2, BREC_META, BREC_K_FILE,
	    "{\"op\":\"get\",\"path\":\"/tmp/b\",\"size\":7,\"sha256\":\"\",\"in_order\":false,\"from\":0,\"hashed\":0,\"start_sha256\":\"\",\"partly\":true}");
	event(x, 2, BREC_META, BREC_K_FILE,
	    "{\"op\":\"get\",\"path\":\"/tmp/e\",\"size\":1073741824,\"bytes\":10,\"sha256\":\"bb22\",\"whole\":false}");
	event(x, 2, BREC_META, BREC_K_FILE, "{\"op\":\"open\",\"path\":\"/tmp/c\",\"untracked\":true}");
	event(x, 2, BREC_META, BREC_K_FILE, "{\"op\":\"copy\",\"to\":\"/tmp/d\",\"untracked\":true}");
	event(x, 2, BREC_META, BREC_K_FILE, "{\"op\":\"extended\",\"name\":\"copy-file\\u001b\",\"untracked\":true}");
	event(x, 2, BREC_META, BREC_K_FILE, "{\"op\":\"refused\",\"what\":\"remove\",\"why\":\"sftp-read alone\",\"path\":\"/tmp/f\"}");
	event(x, 2, BREC_META, BREC_K_FILE, "{\"op\":\"refused\",\"what\":\"write\",\"why\":\"sftp-read alone\"}");
	event(x, 2, BREC_META, BREC_K_GAP, "{\"dir\":\"in\",\"from\":1048576}");
	event(x, 3, BREC_META, (unsigned)BREC_K_OPEN | BREC_K_MORE, "{\"command\":\"begun" HOSTILE);
	keep(x, id_command);
	return 0;
}

static int drop_store(void **state)
{
	(void)state;
	return store_drop();
}

/* With the store's options; every line of the output must be harmless. */
static int replay_as(char out[65536], const char *identity, const char *words, const char *id)
{
	char line[1024];
	int n;

	snprintf(line, sizeof(line), "bastion-replay %s %s -d %s -k %s -i %s", words, id, store,
	    path_trust, identity);
	n = run(out, line);
	for (char *p = out; *p != '\0';) {
		size_t len = strcspn(p, "\n\t");

		assert_int_equal(grammar_check(p, len), len);
		assert_null(memchr(p, 0x1b, len));
		p += len + (p[len] != '\0');
	}
	return n;
}

static int replay(char out[65536], const char *words, const char *id)
{
	return replay_as(out, path_identity, words, id);
}

static void lists(void **state)
{
	char out[65536];

	(void)state;
	assert_int_equal(replay(out, "list", ""), 0);
	assert_non_null(strstr(out, "alice"));
	assert_non_null(strstr(out, "dba@web1"));
	assert_non_null(strstr(out, "complete"));
	/* nothing is cut for who looks for it */
	assert_non_null(strstr(out, " root@web2.production.example.org "));
	assert_int_equal(replay(out, "list --json --user bob", ""), 0);
	assert_null(strstr(out, "alice"));
	assert_non_null(strstr(out, id_command));
	assert_int_equal(replay(out, "list --since 2025-11-23", ""), 0);
	assert_string_equal(out, "");
	/* with a key that opens nothing: what is in clear */
	assert_int_equal(replay_as(out, path_other, "list", ""), 0);
	assert_null(strstr(out, "alice"));
	assert_non_null(strstr(out, "(locked)"));
}

static void shows(void **state)
{
	char out[65536];

	(void)state;
	assert_int_equal(replay(out, "show", id_command), 0);
	assert_non_null(strstr(out, "[file] put /tmp/a\\x1b[2J, 2000123 bytes, sha256 aa11"));
	assert_non_null(strstr(out, "[file] get /tmp/b, 7 bytes, more may have passed, out of order: no digest of the whole"));
	assert_non_null(strstr(out, "[file] get /tmp/e, 10 of 1073741824 bytes, sha256 bb22, not whole"));
	assert_non_null(strstr(out, "[file] open /tmp/c, its content was not told apart"));
	assert_non_null(strstr(out, "[file] copy  -> /tmp/d, by a handle of no file that is known"));
	assert_non_null(strstr(out, "[file] extended copy-file\\x1b, what it does is not known"));
	assert_non_null(strstr(out, "[file] refused remove /tmp/f: sftp-read alone"));
	assert_non_null(strstr(out, "[file] refused write: sftp-read alone"));
	assert_non_null(strstr(out, "[gap]"));
	assert_non_null(strstr(out, "  3  [cut] 'C', "));
	assert_non_null(strstr(out, " bytes of it {\"command\":\"begun\\x1b]52;c"));
	assert_non_null(strstr(out, "[closed] normal: the user left"));
	assert_int_equal(replay(out, "show --json", id_terminal), 0);
	json_t *j = json_loads(out, 0, NULL);
	assert_non_null(j);
	assert_string_equal(
	    json_string_value(json_object_get(json_object_get(j, "meta"), "user")), "alice");
	assert_true(json_is_null(json_object_get(j, "broken")));
	json_decref(j);
	/* what was run, not what is shown of it */
	assert_int_equal(replay(out, "show --json", id_command), 0);
	assert_non_null(j = json_loads(out, 0, NULL));
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(j, "channels"), 0), "command")), "id \033]0;x\007");
	json_decref(j);
	/* a channel that is not there is no channel without events */
	static const char *const words[] = { "export --json --channel 99", "export --text --channel 99", "commands --channel 99" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		assert_int_equal(replay(out, words[i], id_command), EXIT_UNREADABLE);
		assert_non_null(strstr(out, "has no channel 99"));
	}
}

static void verifies(void **state)
{
	char out[65536], victim[256];

	(void)state;
	assert_int_equal(replay(out, "verify", ""), EXIT_OK);
	assert_non_null(strstr(out, "2 recordings, 2 complete"));
	assert_int_equal(replay(out, "verify --json", id_terminal), EXIT_OK);
	assert_non_null(strstr(out, "\"verdict\":\"complete\""));
	/* one byte of another recording */
	snprintf(
	    victim, sizeof(victim), "%s/recordings/2025-11-22/%s/00000000.brec", store, id_command);
	int fd = open(victim, O_RDWR);
	uint8_t c;
	assert_int_equal(pread(fd, &c, 1, 700), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, 700), 1);
	assert_int_equal(replay(out, "verify --all", ""), EXIT_VERDICT);
	assert_non_null(strstr(out, "forged"));
	assert_int_equal(replay(out, "show --json", id_command), EXIT_UNREADABLE);
	assert_non_null(strstr(out, "\"broken\":\""));
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, 700), 1);
	close(fd);
}

/* Names of directories come with the files, and so from whoever could write there. */
static void names_that_came_with_the_files(void **state)
{
	static const char id[] = "00112233445566778899aabbccddeeff";
	char out[65536], day[128], path[192];

	(void)state;
	snprintf(day, sizeof(day), "%s/recordings/\033[31m\302\233\377", store);
	snprintf(path, sizeof(path), "%s/%s", day, id);
	assert_int_equal(mkdir(day, 0700), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(replay(out, "show", id), EXIT_UNREADABLE);
	assert_non_null(strstr(out, "\\x1b[31m"));
	assert_int_equal(replay(out, "follow", id), EXIT_UNREADABLE);
	assert_int_equal(replay(out, "verify", ""), EXIT_VERDICT);
	assert_int_equal(replay(out, "verify --json", ""), EXIT_VERDICT);
	assert_non_null(strstr(out, "\"dir\":{\"base64\":"));
	assert_non_null(strstr(out, id_command));
	assert_int_equal(replay(out, "list --json", ""), EXIT_OK);
	assert_int_equal(replay(out, "bundle -o /nonexistent", id), EXIT_UNREADABLE);
	assert_non_null(strstr(out, "no segment is here"));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(day), 0);
}

static void exports(void **state)
{
	char out[65536];

	(void)state;
	assert_int_equal(replay(out, "export --text", id_terminal), 0);
	assert_non_null(strstr(out, "first line\n"));
	assert_non_null(strstr(out, "shown\n"));
	assert_non_null(strstr(out, "| full\n"));
	assert_non_null(strstr(out, "last line\n"));
	assert_int_equal(replay(out, "export --text", id_command), 0);
	assert_non_null(strstr(out, "uid=0\n\\x1b]52;c;"));
	assert_non_null(strstr(out, "\n[cut] 'C', "));
	assert_int_equal(replay(out, "export --json", id_command), 0);
	assert_non_null(strstr(out, "\"kind\":\"cut\",\"channel\":3,\"data\":{\"stream\":\"meta\",\"kind\":\"C\",\"bytes\":"));
	assert_int_equal(replay(out, "show --json", id_command), 0);
	assert_non_null(strstr(out, "\"kind\":\"cut\",\"channel\":3,\"value\":{"));
	assert_int_equal(replay(out, "play", id_command), 0);
	assert_non_null(strstr(out, "uid=0\n"));
	assert_int_equal(replay(out, "export --json", id_terminal), 0);
	assert_non_null(strstr(out, "base64"));
	assert_non_null(strstr(out, "\"kind\":\"end\""));
	assert_int_equal(replay(out, "export", id_terminal), EXIT_USAGE);
	assert_int_equal(replay_as(out, path_other, "export --text", id_terminal), EXIT_UNREADABLE);
	assert_null(strstr(out, "first line"));
}

/* Whoever plays the cast meets nothing but what the filter lets through. */
static void casts(void **state)
{
	char out[65536], *save;
	size_t lines = 0, typed = 0;

	(void)state;
	assert_int_equal(replay(out, "export --asciicast", id_terminal), 0);
	for (char *l = strtok_r(out, "\n", &save); l != NULL;
	     l = strtok_r(NULL, "\n", &save), lines++) {
		json_t *j = json_loads(l, 0, NULL);
		const char *data;

		assert_non_null(j);
		if (lines == 0) {
			assert_int_equal(json_integer_value(json_object_get(j, "version")), 2);
			assert_int_equal(json_integer_value(json_object_get(j, "width")), 80);
		} else {
			assert_int_equal(json_array_size(j), 3);
			data = json_string_value(json_array_get(j, 2));
			assert_null(strstr(data, "\033]"));
			assert_null(strstr(data, "\033P"));
			assert_null(strstr(data, "\033[6n"));
			assert_null(strstr(data, "\033[c"));
			assert_null(strstr(data, "\302\233"));
			typed += strcmp(json_string_value(json_array_get(j, 1)), "i") == 0;
		}
		json_decref(j);
	}
	assert_true(lines > 3);
	assert_int_equal(typed, 1);
}

/* A terminal and a clock that are larger than any: a browser would make room for each cell, and a player wait for the end. */
static void casts_are_bounded(void **state)
{
	struct fixture *x = fx_open(false, false);
	char out[65536], id[33], *save;
	size_t resized = 0;

	(void)state;
	brec_writer_limits(x->w, 0, UINT32_MAX);
	event(x, 0, BREC_META, BREC_K_META, "{\"user\":\"eve\",\"host\":\"web1\",\"login\":\"dba\"}");
	event(x, 1, BREC_META, BREC_K_OPEN, "{\"capability\":\"shell\",\"command\":\"\",\"pty\":true,\"term\":\"xterm\",\"cols\":65535,\"rows\":65535}");
	event(x, 1, BREC_META, BREC_K_RESIZE, "\xff\xff\xff\xff");
	x->now = TAPE_US_MAX + TAPE_US_MAX / 10;
	event(x, 1, BREC_OUTPUT, BREC_K_OUT, "late");
	keep(x, id);
	assert_int_equal(replay(out, "export --asciicast", id), 0);
	for (char *l = strtok_r(out, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save)) {
		json_t *j = json_loads(l, 0, NULL);

		assert_non_null(j);
		if (json_is_object(j)) {
			assert_int_equal(json_integer_value(json_object_get(j, "width")), SCREEN_COLS_MAX);
			assert_int_equal(json_integer_value(json_object_get(j, "height")), SCREEN_ROWS_MAX);
			assert_true(json_real_value(json_object_get(j, "duration")) <= (double)TAPE_US_MAX / 1e6);
		} else {
			assert_true(json_real_value(json_array_get(j, 0)) <= (double)TAPE_US_MAX / 1e6);
			resized += strcmp(json_string_value(json_array_get(j, 2)), "500x200") == 0;
		}
		json_decref(j);
	}
	assert_int_equal(resized, 1);
}

struct output {
	size_t q, y;		/* of these characters */
	size_t longest, lines;	/* bytes of a line */
};

static int count_output(void *ctx, const char *line)
{
	struct output *o = ctx;
	const size_t len = strlen(line);
	json_t *j = json_loads(line, 0, NULL);

	assert_non_null(j);
	o->longest = len > o->longest ? len : o->longest;
	if (json_is_array(j) && strcmp(json_string_value(json_array_get(j, 1)), "o") == 0) {
		o->lines++;
		for (const char *p = json_string_value(json_array_get(j, 2)); *p != '\0'; p++) {
			o->q += *p == 'q';
			o->y += *p == 'y';
		}
	}
	json_decref(j);
	return 0;
}

/* A repeated character fills the row that there then is, and none wider than our own; a line of the cast does not grow with it. */
static void casts_repeat_as_the_screen_does(void **state)
{
	enum { REPEATS = 1000 };
	struct fixture *x = fx_open(false, false);
	char many[2 + 7 * REPEATS] = "y", path[128], id[33], err[512];
	struct output o = { .q = 0 };
	struct age_identities ids = { .n = 0 };
	struct typed_map typed;
	struct scan s;

	(void)state;
	for (int i = 0; i < REPEATS; i++)
		strcpy(many + 1 + 7 * i, "\033[9999b");
	event(x, 0, BREC_META, BREC_K_META, "{\"user\":\"eve\",\"host\":\"web1\",\"login\":\"dba\"}");
	event(x, 1, BREC_META, BREC_K_OPEN, "{\"capability\":\"shell\",\"command\":\"\",\"pty\":true,\"term\":\"xterm\",\"cols\":80,\"rows\":24}");
	event(x, 1, BREC_META, BREC_K_RESIZE, "\x01\x01\x01\x01");
	event(x, 1, BREC_OUTPUT, BREC_K_OUT, "q\033[197b");
	event(x, 1, BREC_META, BREC_K_RESIZE, "\xff\xff\xff\xff");
	event(x, 1, BREC_OUTPUT, BREC_K_OUT, many);
	keep(x, id);
	snprintf(path, sizeof(path), "%s/recordings/2025-11-22/%s", store, id);
	assert_int_equal(age_identities_load(&ids, path_identity, NULL, NULL, err, sizeof(err)), 0);
	assert_int_equal(scan_recording(&s, path, &ids, false), 0);
	assert_int_equal(typed_map_load(&typed, path, &ids, false, err, sizeof(err)), 0);
	assert_int_equal(cast_write(&s, scan_channel(&s, 1), path, &ids, &typed, 3, count_output, &o), 0);
	assert_int_equal(o.q, 198);
	assert_int_equal(o.y, 1 + REPEATS * SCREEN_COLS_MAX);
	assert_true(o.longest < 100000 && o.lines > 5);
	typed_map_finish(&typed);
	scan_finish(&s);
	age_identities_finish(&ids);
}

/* What else a session wrote into the event that opens a channel is held by nothing that a recording can have thousands of. */
static void a_scan_keeps_no_json(void **state)
{
	enum { CHANNELS = 20, LISTS = 10000 };
	struct fixture *x = fx_open(false, false);
	char open[64 + 3 * LISTS], path[128], id[33], err[512];
	struct age_identities ids = { .n = 0 };
	struct scan s;
	size_t before;

	(void)state;
	event(x, 0, BREC_META, BREC_K_META, "{\"user\":\"eve\",\"host\":\"web1\",\"login\":\"dba\"}");
	strcpy(open, "{\"capability\":\"exec\",\"command\":\"id\",\"x\":[");
	for (int i = 0; i < LISTS; i++)
		strcat(open + 40 + 3 * i, i + 1 < LISTS ? "[]," : "[]]}");
	for (unsigned i = 1; i <= CHANNELS; i++)
		event(x, i, BREC_META, BREC_K_OPEN, open);
	keep(x, id);
	snprintf(path, sizeof(path), "%s/recordings/2025-11-22/%s", store, id);
	assert_int_equal(age_identities_load(&ids, path_identity, NULL, NULL, err, sizeof(err)), 0);
	before = mallinfo2().uordblks;
	assert_int_equal(scan_recording(&s, path, &ids, false), 0);
	assert_int_equal(s.nchans, CHANNELS);
	assert_string_equal(s.chans[0].command, "id");
	assert_true(mallinfo2().uordblks - before < 1000000);
	scan_finish(&s);
	age_identities_finish(&ids);
}

/* Without a terminal: a target that stops behind a question has asked, whether it ended that line or not. */
static void questions_without_a_terminal(void **state)
{
	static const char *const asked[][3] = {
		{ "Password: " }, { "Enter password:\n" }, { "hello\nEnter pass", "word:\r\n" }, { "Enter password:", "\n" },
		{ "the password was changed\nnext\n" }, { "the password was changed\n", "next\n" },
	};
	struct fixture *x = fx_open(false, false);
	char out[65536], id[33];

	(void)state;
	event(x, 0, BREC_META, BREC_K_META, "{\"user\":\"eve\",\"host\":\"web1\",\"login\":\"dba\"}");
	for (unsigned i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		event(x, i + 1, BREC_META, BREC_K_OPEN, "{\"capability\":\"exec\",\"command\":\"x\",\"pty\":false}");
		for (const char *const *p = asked[i]; p < asked[i] + 3 && *p != NULL; p++)
			event(x, i + 1, BREC_OUTPUT, BREC_K_OUT, *p);
		event(x, i + 1, BREC_INPUT, BREC_K_IN, i < 4 || i == 5 ? "hunter2\n" : "data\n");
	}
	keep(x, id);
	assert_int_equal(replay(out, "export --json", id), 0);
	assert_null(strstr(out, "hunter2"));
	assert_non_null(strstr(out, "\"data\":\"data\\n\""));
}

static void finds_by_beginning_and_path(void **state)
{
	char out[65536], path[256], target[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/recordings/2025-11-22/%s/", store, id_terminal);
	assert_int_equal(replay(out, "show", path), 0);
	/* under another name it is the same recording, also in the log of readings */
	snprintf(target, sizeof(target), "recordings/2025-11-22/%s", id_command);
	snprintf(path, sizeof(path), "%s/a-copy", store);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(replay(out, "show", path), 0);
	assert_non_null(strstr(out, id_command));
	unlink(path);
	assert_int_equal(replay(out, "readings --json", ""), 0);
	assert_null(strstr(out, "\"recording\":\"?\""));
	/* what is none at all is logged, too, and what follows fits behind that */
	assert_int_equal(replay(out, "show", store), EXIT_UNREADABLE);
	assert_non_null(strstr(out, "no recording"));
	assert_int_equal(replay(out, "show", id_command), 0);
	memcpy(path, id_terminal, 20);
	path[20] = '\0';
	assert_int_equal(replay(out, "show", path), 0);
	assert_int_equal(replay(out, "show", "zz"), EXIT_UNREADABLE);
	assert_int_equal(replay(out, "show", "0000000000000000"), EXIT_UNREADABLE);
	assert_int_equal(run(out, "bastion-replay list -d /does/not/exist"), EXIT_UNREADABLE);
	assert_non_null(strstr(out, "--store"));
}

/* ---- the player, on a terminal of its own ---- */

struct played {
	int fd;
	pid_t pid;
	char out[1 << 20];
	size_t len;
};

/* Reads until `text` was seen ("": anything more), or, for NULL, until the other end is gone. */
static bool see(struct played *p, const char *text)
{
	struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
	size_t begun = p->len;

	for (;;) {
		if (text != NULL &&
		    (text[0] != '\0' ? memmem(p->out, p->len, text, strlen(text)) != NULL
				     : p->len > begun))
			return true;
		if (poll(&pfd, 1, 10000) <= 0)
			return false;
		ssize_t n = read(p->fd, p->out + p->len, sizeof(p->out) - p->len);
		if (n <= 0)
			return false;
		p->len += (size_t)n;
	}
}

static struct played *start(
    const char *id, unsigned short cols, unsigned short rows, struct termios *before)
{
	struct winsize ws = { .ws_col = cols, .ws_row = rows };
	struct played *p = calloc(1, sizeof(*p));
	char line[512];

	assert_non_null(p);
	/* what a fresh terminal has: the player may be faster than a question about its own */
	int main_end, other_end;
	assert_int_equal(openpty(&main_end, &other_end, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(main_end, before), 0);
	close(main_end);
	close(other_end);
	fflush(NULL);
	p->pid = forkpty(&p->fd, NULL, before, &ws);
	if (p->pid == 0) {
		struct args a;
		char *argv[] = { line, line, line, NULL };

		setenv("LC_ALL", "C.UTF-8", 1);
		strcpy(line, "play");
		argv[2] = (char *)(uintptr_t)id;
		if (args_parse(&a, 3, argv) != 0)
			_exit(EXIT_USAGE);
		a.store = store;
		a.identity = path_identity;
		_exit(a.command->run(&a));
	}
	assert_true(p->pid > 0);
	/* keys that come before would be echoed and thrown away */
	assert_true(see(p, VIEW_ENTER));
	return p;
}

/* Sends the keys one after the other, each after the player has drawn; then how it ended. */
static int finish(struct played *p, const char *keys, int sig, const struct termios *before)
{
	struct termios after;
	int status;

	for (; *keys != '\0'; keys++) {
		assert_int_equal(write(p->fd, keys, 1), 1);
		assert_true(see(p, ""));
	}
	if (sig != 0)
		kill(p->pid, sig);
	see(p, NULL);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	assert_int_equal(tcgetattr(p->fd, &after), 0);
	close(p->fd);
	/* nothing else than the grammar, and the terminal is left as it was */
	size_t ok = grammar_check(p->out, p->len);
	if (ok != p->len)
		fail_msg("byte %zu of %zu: %.20s", ok, p->len, p->out + ok);
	assert_memory_equal(p->out, VIEW_ENTER, strlen(VIEW_ENTER));
	assert_memory_equal(p->out + p->len - strlen(VIEW_LEAVE), VIEW_LEAVE, strlen(VIEW_LEAVE));
	assert_int_equal(after.c_lflag, before->c_lflag);
	assert_int_equal(after.c_iflag, before->c_iflag);
	assert_int_equal(after.c_oflag, before->c_oflag);
	free(p);
	return status;
}

static void plays(void **state)
{
	struct termios before;
	struct played *p = start(id_terminal, 80, 25, &before);
	int status;

	(void)state;
	assert_true(see(p, "last line"));
	status = finish(p, "0 .n?xNG+-i=hjklg1:0\rq", 0, &before);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	p = start(id_command, 40, 12, &before);
	assert_true(see(p, "uid=0"));
	status = finish(p, "\t\tq", 0, &before);
	assert_int_equal(WEXITSTATUS(status), 0);
	/* no room for anything */
	p = start(id_terminal, 2, 2, &before);
	assert_int_equal(WEXITSTATUS(finish(p, "  ?xq", 0, &before)), 0);
}

static void restores_the_terminal_on_signals(void **state)
{
	static const int signals[] = { SIGTERM, SIGHUP, SIGINT, SIGSEGV, SIGABRT };
	struct termios before;

	(void)state;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct played *p = start(id_terminal, 80, 25, &before);
		int status;

		assert_true(see(p, "first line"));
		status = finish(p, "", signals[i], &before);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), signals[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(shows),
		cmocka_unit_test(verifies),
		cmocka_unit_test(names_that_came_with_the_files),
		cmocka_unit_test(exports),
		cmocka_unit_test(casts),
		cmocka_unit_test(finds_by_beginning_and_path),
		cmocka_unit_test(plays),
		cmocka_unit_test(restores_the_terminal_on_signals),
		cmocka_unit_test(casts_are_bounded),
		cmocka_unit_test(casts_repeat_as_the_screen_does),
		cmocka_unit_test(questions_without_a_terminal),
		cmocka_unit_test(a_scan_keeps_no_json),
	};

	return cmocka_run_group_tests(tests, make_store, drop_store);
}
