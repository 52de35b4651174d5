/*
 * worker_console.c - the line editor behind `ssh alice@bastion`: libedit on a terminal of its own.
 *
 * Role console, a fork of parent for one console. The session relays the client's bytes to and from the other
 * side of the terminal, asks for a line (LINE_ASK) and gets it (LINE_RE). So the editor parses what people type
 * and what terminals send in a process that can do nothing else. Size changes come by the terminal (SIGWINCH).
 */
#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "drop.h"
#include "log.h"
#include "sandbox.h"
#include "worker.h"

#define PROMPT_MAX 256
#define LINE_MAX_BYTES 4096
#define HISTORY_LINES 200
#define WORDS_MAX 1024		/* lines to complete from */

struct console {
	struct ipc *link;
	EditLine *el;
	History *history;
	char prompt[PROMPT_MAX];
	struct buf ask;			/* the LINE_ASK that the pointers below are in */
	struct { const char *text; size_t len; } words[WORDS_MAX];
	size_t nwords;
	const wchar_t *pending;		/* characters to hand to libedit before any that are typed */
	bool over;
};

static volatile sig_atomic_t interrupted, resized;

static void on_signal(int sig)
{
	if (sig == SIGINT)
		interrupted = 1;
	else
		resized = 1;
}

static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal }; /* without SA_RESTART: poll() is to return */

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGWINCH, &sa, NULL);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGTSTP, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
}

static char *get_prompt(EditLine *el)
{
	struct console *c;

	el_get(el, EL_CLIENTDATA, &c);
	return c->prompt;
}

/* 1: *out is the next character; 0: end of file. The link's end is the line's end. */
static int wait_byte(struct console *c, unsigned char *out)
{
	for (;;) {
		struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = c->link->fd, .events = POLLIN } };

		if (interrupted) {
			interrupted = 0;
			c->pending = L"\025\n"; /* ^U drops the whole line, then an empty one is entered */
			return -1;
		}
		if (resized) {
			resized = 0;
			el_resize(c->el);
		}
		if (poll(p, 2, -1) < 0)
			continue;
		/* while a line is edited the session has nothing to say but its end */
		if (p[1].revents != 0) {
			c->over = true;
			return 0;
		}
		if (p[0].revents != 0)
			return read(STDIN_FILENO, out, 1) == 1;
	}
}

/* libedit's source of characters: the terminal's bytes as UTF-8. A byte that is none becomes U+FFFD. */
static int get_char(EditLine *el, wchar_t *out)
{
	mbstate_t state = { 0 };
	struct console *c;
	unsigned char byte;

	el_get(el, EL_CLIENTDATA, &c);
	for (;;) {
		int r = 1;
		size_t n;

		if (c->pending != NULL && *c->pending != L'\0') {
			*out = *c->pending++;
			return 1;
		}
		if ((r = wait_byte(c, &byte)) == 0)
			return 0;
		if (r < 0)
			continue;
		n = mbrtowc(out, (const char *)&byte, 1, &state);
		if (n == (size_t)-2)
			continue;
		if (n == (size_t)-1)
			*out = 0xfffd;
		return 1;
	}
}

/* What may follow `typed` in one candidate, up to the end of its next word. NULL: the candidate does not fit. */
static const char *next_part(const struct console *c, size_t i, const char *typed, size_t len, size_t *part)
{
	const char *rest = c->words[i].text + len;
	size_t left;

	if (c->words[i].len <= len || memcmp(c->words[i].text, typed, len) != 0)
		return NULL;
	left = c->words[i].len - len;
	*part = 0;
	while (*part < left && rest[*part] != ' ')
		(*part)++;
	if (*part < left)
		(*part)++; /* the space belongs to it: the next word can be typed at once */
	return rest;
}

static void insert(EditLine *el, const char *text, size_t len)
{
	char copy[LINE_MAX_BYTES];

	if (len == 0 || len >= sizeof(copy))
		return;
	memcpy(copy, text, len);
	copy[len] = '\0';
	el_insertstr(el, copy);
}

/* The words that fit, in columns of one line; they are the bastion's own words and registered names. */
static void list_candidates(const struct console *c, const char *typed, size_t len)
{
	const char *last = NULL;
	size_t last_len = 0, start = len, part;

	while (start > 0 && typed[start - 1] != ' ')
		start--;
	putchar('\n');
	for (size_t i = 0; i < c->nwords; i++) {
		const char *rest = next_part(c, i, typed, len, &part);

		if (rest == NULL || (last != NULL && part == last_len && memcmp(rest, last, part) == 0))
			continue;
		last = rest;
		last_len = part;
		printf("%.*s%.*s  ", (int)(len - start), typed + start, (int)part, rest);
	}
	putchar('\n');
	fflush(stdout);
}

static unsigned char complete(EditLine *el, int ch)
{
	const LineInfo *li = el_line(el);
	size_t len = (size_t)(li->cursor - li->buffer), part, common = 0;
	const char *first = NULL;
	bool several = false;
	struct console *c;

	(void)ch;
	el_get(el, EL_CLIENTDATA, &c);
	for (size_t i = 0; i < c->nwords; i++) {
		const char *rest = next_part(c, i, li->buffer, len, &part);
		size_t same = 0;

		if (rest == NULL)
			continue;
		if (first == NULL) {
			first = rest;
			common = part;
			continue;
		}
		while (same < common && same < part && rest[same] == first[same])
			same++;
		several = several || same < common || same < part;
		common = same;
	}
	if (first == NULL)
		return CC_REFRESH_BEEP;
	if (common > 0) {
		insert(el, first, common);
		return CC_REFRESH;
	}
	if (several)
		list_candidates(c, li->buffer, len);
	return CC_REDISPLAY;
}

static int start_editor(struct console *c)
{
	HistEvent ev;

	c->history = history_init();
	c->el = el_init("bastion", stdin, stdout, stderr);
	if (c->history == NULL || c->el == NULL)
		return -1;
	history(c->history, &ev, H_SETSIZE, HISTORY_LINES);
	history(c->history, &ev, H_SETUNIQUE, 1);
	el_set(c->el, EL_CLIENTDATA, c);
	el_set(c->el, EL_PROMPT, get_prompt);
	el_set(c->el, EL_SIGNAL, 0);
	el_set(c->el, EL_EDITOR, "emacs");
	el_set(c->el, EL_HIST, history, c->history);
	el_set(c->el, EL_GETCFN, get_char);
	el_set(c->el, EL_ADDFN, "complete", "complete a word", complete);
	el_set(c->el, EL_BIND, "^I", "complete", NULL);
	el_set(c->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
	return 0;
}

/* The terminal becomes ours, and 0, 1, 2. */
static int take_terminal(const struct console_job *job)
{
	if (setsid() < 0 || ioctl(job->terminal, TIOCSCTTY, 0) != 0)
		return -1;
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(job->terminal, fd) < 0)
			return -1;
	close(job->terminal);
	return 0;
}

static bool is_term(const char *s)
{
	return s[0] != '\0' && s[0] != '.' &&
	    strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+._-") == strlen(s);
}

/* str prompt; list(str words). The buffer is kept: completion points into it. */
static int take_ask(struct console *c, struct ipc_msg *m)
{
	uint32_t n;

	buf_reset(&c->ask);
	if (buf_put(&c->ask, m->body.data, m->body.len) != 0)
		return -1;
	c->nwords = 0;
	if (buf_get_cstring(&c->ask, c->prompt, sizeof(c->prompt)) != 0)
		return -1;
	n = buf_get_u32(&c->ask);
	for (uint32_t i = 0; i < n && buf_ok(&c->ask); i++) {
		size_t len;
		const uint8_t *text = buf_get_string(&c->ask, LINE_MAX_BYTES, &len);

		if (text != NULL && c->nwords < WORDS_MAX) {
			c->words[c->nwords].text = (const char *)text;
			c->words[c->nwords++].len = len;
		}
	}
	return buf_end(&c->ask) ? 0 : -1;
}

/* u8 end of file; str line. A line that is too long is told as an empty one. */
static int answer(struct console *c, const char *line, int count)
{
	HistEvent ev;
	struct buf b;
	size_t len = 0;
	int r;

	if (line != NULL && count > 0) {
		len = strcspn(line, "\r\n");
		if (len > LINE_MAX_BYTES)
			len = 0;
		if (len > 0)
			history(c->history, &ev, H_ENTER, line);
	}
	/* the terminal is slower than the link: the session waits for this byte before it answers the line */
	if (write(STDOUT_FILENO, CONSOLE_MARK, 1) != 1)
		return -1;
	buf_init(&b, 4200);
	buf_put_u8(&b, line == NULL || count <= 0);
	buf_put_string(&b, line != NULL ? line : "", len);
	r = ipc_send(c->link, MSG_LINE_RE, 0, &b, NULL, 0);
	buf_finish(&b);
	return r;
}

static int serve(struct console *c)
{
	struct ipc_msg m;
	int r;

	while (!c->over && (r = ipc_wait(c->link, &m, -1)) == 1) {
		const char *line;
		int count = 0;

		r = take_ask(c, &m);
		ipc_msg_finish(&m);
		if (r != 0)
			return -1;
		interrupted = 0;
		c->pending = NULL;
		line = el_gets(c->el, &count);
		if (c->over || answer(c, line, count) != 0)
			break;
	}
	return 0;
}

void worker_console(const struct config *conf, struct ipc *link, const struct console_job *job)
{
	static struct console c;

	c = (struct console){ .link = link };
	buf_init(&c.ask, MSG_MAX);
	setenv("TERM", is_term(job->term) ? job->term : "dumb", 1);
	setlocale(LC_CTYPE, "C.UTF-8");
	/* the editor reads the terminal's description: before the file system is closed */
	if (take_terminal(job) != 0 || drop_to(conf, ROLE_CONSOLE) != 0 || start_editor(&c) != 0)
		_exit(1);
	catch_signals();
	if (sandbox_enter(conf, ROLE_CONSOLE) != 0)
		_exit(1);
	_exit(serve(&c) == 0 ? 0 : 1);
}
