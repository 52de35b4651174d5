/*
 * session_view.c - `ssh -t bob@bastion watch ID`, and `watch` in the console: another session's terminal on this channel.
 *
 * Role: session, the watcher's. Before it: session_words.c, once policy has said yes to the word. Nothing of the watched terminal comes into
 * this process: a viewer (worker_view.c) draws it on a pseudo-terminal of its own, and what comes from that passes
 * tty_gate.c. The other way go keys, for the viewer alone.
 */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "escape.h"
#include "log.h"
#include "session.h"
#include "tty_gate.h"

#define VIEW_READ 16384
#define VIEW_WAITING (64U << 10)

struct viewer {
	uint32_t watch;		/* policy's number */
	int pty;		/* -1: not there yet */
	struct chan *chan;
	struct tty_gate gate;
};

/* Pictures that wait for a slow client are old ones: few are kept, the viewer skips the others. */
static bool has_room(const struct viewer *v)
{
	return v->chan->out.bytes < VIEW_WAITING;
}

bool viewing_has(const struct chan *c)
{
	return c->front->session->viewer != NULL && c->front->session->viewer->chan == c;
}

static void say(struct chan *c, const char *text)
{
	words_print(c, true, text, strlen(text));
	words_print(c, true, "\n", 1);
}

bool viewing_may(struct chan *c)
{
	if (c->front->session->viewer != NULL)
		say(c, "this connection watches a session already: open another one");
	else if (!c->pty)
		say(c, "watch needs a terminal: ssh -t USER@BASTION watch ID");
	else
		return true;
	return false;
}

/* UTF-8 unless the client's locale says otherwise. */
static bool speaks_utf8(const struct chan *c)
{
	static const char *const names[] = { "LC_ALL=", "LC_CTYPE=", "LANG=" };

	for (size_t n = 0; n < 3; n++)
		for (unsigned i = 0; i < c->nenv; i++)
			if (strncmp(c->env[i], names[n], strlen(names[n])) == 0 && c->env[i][strlen(names[n])] != '\0')
				return strcasestr(c->env[i], "utf-8") != NULL || strcasestr(c->env[i], "utf8") != NULL;
	return true;
}

static uint8_t looks_of(const struct chan *c)
{
	uint8_t looks = speaks_utf8(c) ? VIEW_UTF8 : 0;

	if (strncmp(c->term, "vt", 2) != 0 && strcmp(c->term, "dumb") != 0)
		looks |= VIEW_COLOUR;
	for (unsigned i = 0; i < c->nenv; i++)
		if (strcmp(c->env[i], "COLORTERM=truecolor") == 0 || strcmp(c->env[i], "COLORTERM=24bit") == 0)
			looks |= VIEW_RGB;
	return looks;
}

static void ask(struct session *s, struct chan *c, uint32_t watch)
{
	struct buf b;

	buf_init(&b, 8);
	buf_put_u16(&b, c->cols);
	buf_put_u16(&b, c->rows);
	buf_put_u8(&b, looks_of(c));
	if (ipc_send(&s->policy, MSG_VIEW_ASK, watch, &b, NULL, 0) != 0)
		s->over = true;
	buf_finish(&b);
}

bool viewing_start(struct chan *c, const char *json, size_t len)
{
	struct session *s = c->front->session;
	json_t *reply = json_loadb(json, len, 0, NULL);
	json_int_t watch = json_integer_value(json_object_get(reply, "watch"));
	bool ok = json_is_true(json_object_get(reply, "ok")) && watch > 0 && watch <= UINT32_MAX;

	json_decref(reply);
	if (!ok || s->viewer != NULL || (s->viewer = calloc(1, sizeof(*s->viewer))) == NULL)
		return false;
	*s->viewer = (struct viewer){ .watch = (uint32_t)watch, .pty = -1, .chan = c };
	/* what was typed before is for nobody */
	hold_finish(&c->in);
	ask(s, c, s->viewer->watch);
	return true;
}

static void drop(struct session *s)
{
	if (s->viewer->pty >= 0)
		close(s->viewer->pty);
	free(s->viewer);
	s->viewer = NULL;
}

/* The channel is back with the words. */
static void finish(struct session *s, const char *line, uint32_t status)
{
	struct chan *c = s->viewer->chan;

	if (s->viewer->gate.entered)
		hold_put(&c->out, HOLD_DATA, 0, GATE_LEAVE, sizeof(GATE_LEAVE) - 1);
	if (line[0] != '\0')
		say(c, line);
	drop(s);
	hold_finish(&c->in);
	words_finish(c, status);
}

void viewing_policy(struct session *s, struct ipc_msg *m)
{
	bool ok = buf_get_u8(&m->body) != 0;
	char line[LINE_MAX_LEN], safe[LINE_MAX_LEN];

	buf_get_cstring(&m->body, line, sizeof(line));
	if (s->viewer == NULL || s->viewer->watch != m->id || s->viewer->pty >= 0)
		return; /* its channel is over, and the terminal with it */
	if (!buf_end(&m->body) || !ok || m->nfds != 1) {
		esc_text(safe, sizeof(safe), line, strlen(line));
		finish(s, safe, WORDS_REFUSED);
		return;
	}
	s->viewer->pty = ipc_take_fd(m, 0);
	viewing_resize(s->viewer->chan);
}

int viewing_fd(const struct session *s, short *events)
{
	const struct viewer *v = s->viewer;

	if (v == NULL || v->pty < 0)
		return -1;
	*events = POLLIN;
	return has_room(v) ? v->pty : -1;
}

/* What the viewer drew, through the gate. 1: there was something, 0: nothing for now, -1: it is over. */
static int take(struct viewer *v)
{
	uint8_t data[VIEW_READ];
	ssize_t n = read(v->pty, data, sizeof(data));
	struct buf b;
	bool good;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	buf_init(&b, sizeof(data) + GATE_HELD);
	good = tty_gate_pass(&v->gate, data, (size_t)n, &b);
	if (b.len > 0)
		hold_put(&v->chan->out, HOLD_DATA, 0, b.data, b.len);
	buf_finish(&b);
	if (!good)
		log_error("viewer of watch %u: what it draws keeps to no rule: ended", v->watch);
	return good ? 1 : -1;
}

void viewing_ready(struct session *s)
{
	struct viewer *v = s->viewer;
	int r = 1;

	while (has_room(v) && (r = take(v)) > 0)
		;
	if (r < 0)
		finish(s, v->gate.shut || v->gate.entered ? "The watch has ended." : "", WORDS_OK);
}

void viewing_step(struct chan *c)
{
	struct viewer *v = c->front->session->viewer;
	struct hold_item it;

	while (v->pty >= 0 && hold_peek(&c->in, &it)) {
		ssize_t n = write(v->pty, it.data, it.len);

		/* it does not read its keys: they are no one else's */
		if (n <= 0)
			hold_drop(&c->in);
		else
			hold_take(&c->in, (size_t)n);
	}
}

void viewing_resize(struct chan *c)
{
	struct winsize ws = { .ws_col = c->cols, .ws_row = c->rows };

	if (viewing_has(c) && c->front->session->viewer->pty >= 0 &&
	    ioctl(c->front->session->viewer->pty, TIOCSWINSZ, &ws) != 0)
		log_warn("viewer: TIOCSWINSZ: %s", strerror(errno));
}

void viewing_left(struct chan *c)
{
	if (viewing_has(c))
		drop(c->front->session);
}
