/*
 * ctl_watch.c - `bastionctl watch`: another session's terminal on this one.
 *
 * If policy's reply to the word (ctl_main.c) is a yes, it asks for a terminal (CTL_VIEW), at whose other side a viewer of bastiond draws what
 * the session shows. So nothing that a target sent is parsed here; what comes from the viewer passes tty_gate.c, and
 * keys go to the viewer alone. When it ends, the terminal is as it was before.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "ctl.h"
#include "tty_gate.h"
#include "write_all.h"

struct watch {
	struct ctl *c;
	int pty, signals;
	struct termios saved;
	struct tty_gate gate;
	bool raw, over, killed;
	const char *why;	/* what the viewer could not say itself */
};

static void tell_size(const struct watch *w)
{
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0)
		ioctl(w->pty, TIOCSWINSZ, &ws);
}

static uint8_t looks(const struct ctl *c)
{
	const char *term = getenv("TERM"), *colorterm = getenv("COLORTERM");
	uint8_t v = 0;

	if (c->utf8)
		v |= VIEW_UTF8;
	if (c->show.colour && strncmp(term, "vt", 2) != 0)
		v |= VIEW_COLOUR;
	if (colorterm != NULL && (strcmp(colorterm, "truecolor") == 0 || strcmp(colorterm, "24bit") == 0))
		v |= VIEW_RGB;
	return v;
}

static int ask(struct ctl *c, uint32_t id)
{
	struct winsize ws = { .ws_col = 80, .ws_row = 24 };
	struct buf body;
	int r;

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws);
	buf_init(&body, 8);
	buf_put_u16(&body, ws.ws_col);
	buf_put_u16(&body, ws.ws_row);
	buf_put_u8(&body, looks(c));
	r = ipc_send(&c->link, MSG_CTL_VIEW, id, &body, NULL, 0);
	buf_finish(&body);
	return r == 0 ? WORDS_OK : ctl_fail("cannot send: %s", strerror(errno));
}

/* The terminal, or why not. */
static int await(struct ctl *c, uint32_t id, int *pty)
{
	char line[1100];
	struct ipc_msg m;
	int r;

	do {
		if ((r = ipc_wait(&c->link, &m, CTL_TIMEOUT_MS)) <= 0)
			return ctl_fail(r == 0 ? "no answer within %d s" : "bastiond closed the connection", CTL_TIMEOUT_MS / 1000);
		r = m.type == MSG_CTL_VIEW_RE && m.id == id;
		if (!r)
			ipc_msg_finish(&m);
	} while (!r);
	if (buf_get_u8(&m.body) != 0 && m.nfds == 1) {
		*pty = ipc_take_fd(&m, 0);
		r = WORDS_OK;
	} else {
		buf_get_cstring(&m.body, line, sizeof(line));
		ctl_fail("%s", buf_ok(&m.body) ? line : "what answers there is no bastiond of this version");
		r = WORDS_REFUSED;
	}
	ipc_msg_finish(&m);
	return r;
}

static int go_raw(struct watch *w)
{
	struct termios raw;
	sigset_t set;

	if (tcgetattr(STDIN_FILENO, &w->saved) != 0)
		return -1;
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || (w->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) < 0)
		return -1;
	raw = w->saved;
	cfmakeraw(&raw);
	w->raw = tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) == 0;
	return w->raw ? 0 : -1;
}

static void from_viewer(struct watch *w)
{
	uint8_t data[16384];
	ssize_t n = read(w->pty, data, sizeof(data));
	struct buf out;
	bool good;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		w->over = true;
		return;
	}
	buf_init(&out, sizeof(data) + GATE_HELD);
	good = tty_gate_pass(&w->gate, data, (size_t)n, &out);
	if (write_all(STDOUT_FILENO, out.data, out.len) != 0)
		w->over = true;
	buf_finish(&out);
	if (!good) {
		w->over = true;
		w->why = "the viewer wrote what no viewer writes: ended";
	}
}

static void from_keys(struct watch *w)
{
	char keys[256];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	if (n <= 0 && errno != EINTR)
		w->over = true;
	/* the viewer reads its keys, or it misses some */
	if (n > 0 && write(w->pty, keys, (size_t)n) < 0 && errno != EAGAIN && errno != EINTR)
		w->over = true;
}

static void from_signals(struct watch *w)
{
	struct signalfd_siginfo si;

	if (read(w->signals, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	if (si.ssi_signo == SIGWINCH)
		tell_size(w);
	else
		w->over = w->killed = true;
}

static void show(struct watch *w)
{
	while (!w->over) {
		struct pollfd p[4] = {
			{ .fd = w->pty, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN },
			{ .fd = w->signals, .events = POLLIN }, { .fd = w->c->link.fd, .events = POLLIN },
		};

		if (poll(p, 4, -1) < 0)
			continue;
		if (p[0].revents != 0)
			from_viewer(w);
		if (p[1].revents != 0)
			from_keys(w);
		if (p[2].revents != 0)
			from_signals(w);
		/* policy says nothing more: this is its end, and the viewer's comes with it */
		if (p[3].revents != 0 && p[0].revents == 0) {
			w->over = true;
			w->why = "bastiond closed the connection";
		}
	}
}

int ctl_watch(struct ctl *c, const struct buf *reply)
{
	json_t *json = json_loadb((const char *)reply->data, reply->len, 0, NULL);
	json_int_t id = json_integer_value(json_object_get(json, "watch"));
	struct watch w = { .c = c, .pty = -1, .signals = -1 };
	int r;

	json_decref(json);
	/* a refusal */
	if (id <= 0 || id > UINT32_MAX)
		return ctl_show(c, reply);
	if ((r = ask(c, (uint32_t)id)) != WORDS_OK || (r = await(c, (uint32_t)id, &w.pty)) != WORDS_OK)
		return r;
	tell_size(&w);
	if (go_raw(&w) != 0)
		r = ctl_fail("the terminal: %s", strerror(errno));
	else
		show(&w);
	if (w.gate.entered)
		write_all(STDOUT_FILENO, GATE_LEAVE, sizeof(GATE_LEAVE) - 1);
	if (w.raw)
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &w.saved);
	close(w.pty);
	if (w.signals >= 0)
		close(w.signals);
	if (w.why != NULL)
		r = ctl_fail("%s", w.why);
	return w.killed ? WORDS_BROKEN : r;
}
