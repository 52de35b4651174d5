/*
 * session_console.c - `ssh alice@bastion` with a terminal: a prompt, the words, and `connect`.
 *
 * Role: session. The lines are edited by a console worker (worker_console.c: libedit on a pty of its own); this process
 * carries the bytes between the client's channel and that pty, and runs each finished line through session_words.c. While
 * `connect` lasts, the channel belongs to relay_chan.c and the worker waits.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "log.h"
#include "session.h"
#include "words.h"

#define PTY_READ 4096
#define KEY_INTERRUPT 0x03
#define KEY_QUOTE 0x16
#define KEY_PREFIX 0x18
#define KEY_ESCAPE 0x1b

struct console {
	struct ipc link;
	int pty;
	struct chan *chan;
	bool prompted;		/* a LINE_ASK is out, */
	bool shown;		/* and its prompt is on the terminal: the editor takes keys */
	bool typed, fed;	/* a key was pressed since then; so was the one that ends the line */
	uint8_t last;		/* key */
	uint32_t status;	/* of the first word that was refused; 0: none was */
	bool lined, eof;	/* its answer is here, and waits for the mark behind its echo */
	bool hung;		/* its terminal has no other side any more */
	unsigned marks;
	char line[4200];
};

void console_open(struct chan *c)
{
	struct session *s = c->front->session;
	struct buf b;

	if (s->console_asked) {
		chan_refuse(c, "bastiond: one console a connection; open another ssh");
		return;
	}
	if ((s->console = calloc(1, sizeof(*s->console))) == NULL) {
		s->over = true;
		return;
	}
	s->console_asked = true;
	s->console->link.fd = s->console->pty = -1;
	s->console->chan = c;
	buf_init(&b, 128);
	buf_put_cstring(&b, c->term);
	buf_put_u16(&b, c->cols);
	buf_put_u16(&b, c->rows);
	if (ipc_send(&s->policy, MSG_CONSOLE_ASK, 0, &b, NULL, 0) != 0)
		s->over = true;
	buf_finish(&b);
}

void console_policy(struct session *s, struct ipc_msg *m)
{
	struct console *con = s->console;
	bool ok = buf_get_u8(&m->body) != 0;
	char line[512];

	buf_get_cstring(&m->body, line, sizeof(line));
	if (con == NULL)
		return; /* its channel is over */
	if (!ok || m->nfds != 2) {
		chan_refuse(con->chan, line);
		console_destroy(s);
		return;
	}
	ipc_init(&con->link, ipc_take_fd(m, 0), ROLE_SESSION, ROLE_CONSOLE);
	con->pty = ipc_take_fd(m, 1);
	console_prompt(con->chan);
}

bool console_pty_reads(const struct session *s)
{
	return !hold_full(&s->console->chan->out);
}

bool console_pty_writes(const struct session *s)
{
	const struct console *con = s->console;

	return con->chan->kind == CHAN_CONSOLE && con->shown && !con->fed && !hold_empty(&con->chan->in) &&
	    !viewing_has(con->chan);
}

int console_fds(const struct session *s, int *link, int *pty)
{
	if (s->console == NULL || s->console->pty < 0)
		return -1;
	*link = s->console->lined ? -1 : s->console->link.fd; /* a line that waits is not asked for again */
	*pty = s->console->hung || (!console_pty_reads(s) && !console_pty_writes(s)) ? -1 : s->console->pty;
	return 0;
}

void console_resize(struct chan *c)
{
	struct console *con = c->front->session->console;
	struct winsize ws = { .ws_col = c->cols, .ws_row = c->rows };

	viewing_resize(c);
	if (con != NULL && con->pty >= 0 && ioctl(con->pty, TIOCSWINSZ, &ws) != 0)
		log_warn("console: TIOCSWINSZ: %s", strerror(errno));
}

/* list(str completion line), one for each word */
static void put_completions(struct chan *c, struct buf *b)
{
	struct words_env env;
	struct buf text;
	const char *p, *end, *nl;
	uint32_t n = 0;

	words_env_of(c, &env);
	buf_init(&text, 32768);
	words_completions(&env, &text);
	p = (const char *)text.data;
	end = p + text.len;
	for (const char *q = p; q < end; q++)
		n += *q == '\n';
	buf_put_u32(b, n);
	for (; p < end && (nl = memchr(p, '\n', (size_t)(end - p))) != NULL; p = nl + 1)
		buf_put_string(b, p, (size_t)(nl - p));
	buf_finish(&text);
}

void console_prompt(struct chan *c)
{
	struct session *s = c->front->session;
	struct buf b;

	if (s->console == NULL || s->console->pty < 0 || s->console->prompted)
		return;
	buf_init(&b, 65536);
	buf_put_cstring(&b, "bastion> ");
	put_completions(c, &b);
	if (ipc_send(&s->console->link, MSG_LINE_ASK, 0, &b, NULL, 0) != 0)
		c->state = CHAN_DEAD;
	s->console->prompted = true;
	s->console->shown = s->console->typed = s->console->fed = false;
	buf_finish(&b);
}

/* Everything that was typed is answered: the channel ends. */
static void console_end(struct chan *c, uint32_t status)
{
	c->eof_queued_out = true;
	hold_put(&c->out, HOLD_EXIT, 0, &status, sizeof(status));
	if (hold_put(&c->out, HOLD_CLOSE, 0, NULL, 0) != 0)
		c->state = CHAN_DEAD;
}

/* `connect HOST [as LOGIN]`: the channel becomes a target's, and comes back by console_return(). */
static void connect_to(struct chan *c, const char *host, const char *login)
{
	struct way *w = way_create(c->front->session, host, login);

	if (w == NULL) {
		char text[128];
		const int n = snprintf(text, sizeof(text), "%d destinations are open on this connection, which is the most: end one, or log in "
		    "once more\n", SESSION_WAYS_MAX);

		words_print(c, true, text, (size_t)n);
		console_prompt(c);
		return;
	}
	c->way = w;
	c->kind = CHAN_TARGET;
	c->from_console = true;
	c->capability = "shell";
	c->state = CHAN_WAITS;
	relay_start(c);
}

void console_word(struct chan *c, const char *path, const char *json)
{
	json_t *call, *args;
	const char *host, *login;

	if (strcmp(path, "connect") != 0) {
		console_end(c, 0);
		return;
	}
	call = json_loads(json, 0, NULL);
	args = json_object_get(call, "args");
	host = json_string_value(json_object_get(args, "host"));
	login = json_string_value(json_object_get(args, "login"));
	if (host != NULL)
		connect_to(c, host, login != NULL ? login : "");
	else
		console_prompt(c);
	json_decref(call);
}

/* The way that `connect` opened is nobody's any more. */
static void leave_way(struct chan *c)
{
	way_end(c->way, BREC_END_NORMAL, "");
	c->way->orphan = true;
	c->way = NULL;
}

void console_return(struct chan *c)
{
	watch_left(c);
	relay_free_target(c);
	bulk_finish(&c->bulk);
	leave_way(c);
	/* what was typed for the target is recorded as such: the console does not run it */
	hold_finish(&c->in);
	c->kind = CHAN_CONSOLE;
	c->state = CHAN_LIVE;
	c->from_console = c->target_eof = c->target_closed = c->target_abandoned = c->abandon_sent = false;
	c->eof_passed = c->left_out = c->left_err = c->both_streams = false;
	c->kept_out = c->kept_err = c->unread_out = c->unread_err = 0;
	c->eof_said_out = c->eof_queued_out = c->eof_queued_in = c->exit_known = c->close_recorded = c->open_sent = false;
	c->exit_queued = c->exit_core = false;
	c->exit_signal[0] = '\0';
	c->env_sent = 0;
	c->open_seq = c->answer_deadline_ms = 0;
	words_print(c, false, "\n", 1);
	console_resize(c);
	console_prompt(c);
}

void console_left(struct chan *c)
{
	struct session *s = c->front->session;

	if (c->from_console && c->way != NULL)
		leave_way(c);
	if (s->console != NULL && s->console->chan == c)
		console_destroy(s);
}

/* A line came, or the worker is gone. */
static void read_link(struct console *con)
{
	struct ipc_msg m;
	int r = ipc_recv(&con->link, &m);

	if (r == 0)
		return;
	con->lined = true;
	con->eof = r < 0 || buf_get_u8(&m.body) != 0 || buf_get_cstring(&m.body, con->line, sizeof(con->line)) != 0;
	if (r < 0)
		con->marks++; /* nothing will come behind it */
	else
		ipc_msg_finish(&m);
}

/* pty → client, as far as the hold takes it; marks are counted and taken out. */
static void read_pty(struct console *con)
{
	uint8_t data[PTY_READ];
	ssize_t n = 0;

	while (!hold_full(&con->chan->out) && (n = read(con->pty, data, sizeof(data))) > 0) {
		size_t kept = 0;

		for (ssize_t i = 0; i < n; i++)
			if (data[i] == (uint8_t)CONSOLE_MARK[0])
				con->marks++;
			else
				data[kept++] = data[i];
		con->shown = con->shown || (con->prompted && kept > 0);
		if (con->chan->kind == CHAN_CONSOLE && kept > 0)
			hold_put(&con->chan->out, HOLD_DATA, 0, data, kept);
	}
	/* the worker is gone: its terminal says so as soon as what it wrote is read, its link perhaps later */
	if (n < 0 && errno == EIO) {
		con->lined = con->eof = con->hung = true;
		con->marks++;
	}
}

void console_ready(struct session *s)
{
	read_pty(s->console);
	if (!s->console->lined)
		read_link(s->console);
}

/* A finished line runs: its echo went out before, because the mark stands behind it; one channel's words at a time. */
static void run_line(struct chan *c, struct console *con)
{
	struct session *s = c->front->session;

	if (!con->lined || con->marks == 0 || s->words_owner != NULL)
		return;
	con->lined = con->prompted = false;
	con->marks = 0;
	if (!con->eof) {
		words_run(c, con->line);
		return;
	}
	console_end(c, 0);
	console_destroy(s);
}

/* Does this key end the line? Not behind one that gives it another meaning: ^V, escape, ^X. */
static bool ends_line(uint8_t key, uint8_t before)
{
	return (key == '\r' || key == '\n') && before != KEY_QUOTE && before != KEY_ESCAPE && before != KEY_PREFIX;
}

/*
 * Keys for the editor: one line at a time, and none before its prompt. Between two lines the terminal is not the
 * editor's: it would echo by itself, and drop what is longer than its queue.
 */
static size_t keys_to_type(const struct console *con, const struct hold_item *it)
{
	if (!con->shown || con->fed)
		return 0;
	for (uint32_t i = 0; i < it->len; i++)
		if (ends_line(it->data[i], i > 0 ? it->data[i - 1] : con->last))
			return i + 1;
	return it->len;
}

/* How many it takes now. */
static size_t type_keys(struct console *con, const uint8_t *keys, size_t len)
{
	ssize_t n = write(con->pty, keys, len);

	if (n <= 0)
		return 0;
	con->typed = true;
	con->fed = ends_line(keys[n - 1], n > 1 ? keys[n - 2] : con->last);
	con->last = keys[n - 1];
	return (size_t)n;
}

/* A line that the editor did not take for one is given up by ^C, like all that was typed before it: so do terminals. */
static void interrupt_line(struct console *con, struct hold *in, const struct hold_item *it)
{
	const uint8_t *key = con->prompted ? memchr(it->data, KEY_INTERRUPT, it->len) : NULL;

	if (key == NULL)
		return;
	hold_take(in, (size_t)(key - it->data));
	con->fed = false;
}

static void type_ahead(struct chan *c, struct console *con)
{
	struct hold_item it;
	size_t n;

	if (con->fed && hold_peek(&c->in, &it))
		interrupt_line(con, &c->in, &it);
	while (hold_peek(&c->in, &it) && (n = keys_to_type(con, &it)) > 0 && (n = type_keys(con, it.data, n)) > 0)
		hold_take(&c->in, n);
}

/* The client sends no more. A last line without an end is one, too; after its answer the console ends. */
static void input_over(struct chan *c, struct console *con)
{
	if (!c->client_eof || c->left_in || !hold_empty(&c->in) || !con->shown || con->fed || con->lined)
		return;
	if (con->typed)
		type_keys(con, (const uint8_t *)"\n", 1);
	else if (!c->eof_queued_out)
		console_end(c, con->status);
}

void console_status(struct chan *c, uint32_t status)
{
	struct console *con = c->front->session->console;

	if (con != NULL && con->status == 0)
		con->status = status;
}

void console_step(struct chan *c)
{
	struct console *con = c->front->session->console;

	if (con == NULL || con->chan != c || c->state != CHAN_LIVE)
		return;
	run_line(c, con);
	/* the line may have been the end, or `connect` */
	if (c->front->session->console != con || c->kind != CHAN_CONSOLE || con->pty < 0 || viewing_has(c))
		return;
	type_ahead(c, con);
	input_over(c, con);
}

void console_destroy(struct session *s)
{
	struct console *con = s->console;

	if (con == NULL)
		return;
	ipc_finish(&con->link);
	if (con->pty >= 0)
		close(con->pty);
	free(con);
	s->console = NULL;
}
