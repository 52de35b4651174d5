/*
 * worker_view.c - the viewer: draws the terminal of a watched session on a terminal of its own.
 *
 * Role view, a fork of parent for one watch. What a target sends to a terminal is hostile; here it is parsed (screen_filter.c,
 * libvterm), in a process without root, network, files or any secret but what is on that screen. The other side of its terminal is held by the
 * watcher's session or by bastionctl, which lets nothing through but what tty_gate.h allows. Its link comes from the
 * watched session; nothing is ever sent into it.
 *
 * It draws some pictures a second and reads a bounded number of bytes for each, so that a watched flood costs the bastion a bounded share of a processor:
 * what it does not read the session passes over, and says so (SHOW_START).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "clock.h"
#include "drop.h"
#include "escape.h"
#include "log.h"
#include "sandbox.h"
#include "screen.h"
#include "screen_view.h"
#include "worker.h"
#include "write_all.h"

#define PICTURE_MS 66		/* between two pictures */
#define PICTURE_BYTES (128U << 10) /* fed for one: twice what a session keeps for late comers */
#define STATUS_MS 4000		/* the status line stays so long where it covers a line of the screen */
#define MEMORY_MAX (256U << 20)
#define NICE 5			/* the sessions come first */

struct viewer {
	struct ipc *link;
	int signals;
	struct screen *screen;
	struct view view;
	char title[512];
	char line[1024];	/* why it is over */
	uint64_t status_ms;	/* until when there is a status line, where there is no room beside the screen */
	bool missed;		/* it says that something was passed over */
	uint64_t drawn_ms;
	size_t fed;		/* bytes since the last picture */
	bool dirty, over;
};

/* --- the terminal --- */

static void fit(struct viewer *v)
{
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 && ws.ws_row > 0 &&
	    view_resize(&v->view, ws.ws_col, ws.ws_row) == 0)
		v->dirty = v->screen != NULL; /* nothing is drawn before there is something to be seen */
}

static void draw_status(struct viewer *v)
{
	const unsigned row = v->view.rows - 1;
	const char *help = " q quits ";
	const unsigned width = (unsigned)strlen(help);
	char text[600];

	snprintf(text, sizeof(text), " %s%s", v->missed ? "[some output was skipped] " : "", v->title);
	for (unsigned i = 0; i < v->view.cols; i++)
		view_text(&v->view, row, i, CELL_REVERSE, " ");
	view_text(&v->view, row, 0, CELL_REVERSE, text);
	if (v->view.cols > 2 * width)
		view_text(&v->view, row, v->view.cols - width, CELL_REVERSE | CELL_BOLD, help);
}

/* Above the cursor as much as there is: what was cleared begins at the top. */
static void show_top(struct viewer *v, unsigned rows)
{
	struct cursor at = screen_cursor(v->screen);

	if (at.row < rows)
		v->view.top = 0;
	if (at.col < v->view.cols)
		v->view.left = 0;
}

static void draw(struct viewer *v)
{
	bool status = v->status_ms != 0 || screen_rows(v->screen) < v->view.rows;
	struct buf out;

	buf_init(&out, VIEW_OUT_MAX);
	view_begin(&v->view);
	show_top(v, v->view.rows - status);
	view_screen(&v->view, v->screen, v->view.rows - status);
	if (status)
		draw_status(v);
	if (view_end(&v->view, &out) == 0 && write_all(STDOUT_FILENO, out.data, out.len) != 0)
		v->over = true;
	buf_finish(&out);
	v->dirty = false;
	v->fed = 0;
	v->drawn_ms = clock_mono_ms();
}

static void show_status(struct viewer *v)
{
	v->status_ms = clock_mono_ms() + STATUS_MS;
	v->dirty = v->screen != NULL;
}

/* Keys: one ends it, one draws anew; all others show the status line, and are for nobody. */
static void read_keys(struct viewer *v)
{
	char keys[256];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		v->over = true;
	for (ssize_t i = 0; i < n; i++) {
		if (keys[i] == 'q' || keys[i] == 'Q' || keys[i] == 3)
			v->over = true;
		if (keys[i] == 0x0c)
			v->view.valid = false;
	}
	if (n > 0)
		show_status(v);
}

/* --- what is shown --- */

/* str title; u16 columns; u16 rows; u64 bytes passed over */
static int on_start(struct viewer *v, struct ipc_msg *m)
{
	unsigned cols, rows;
	uint64_t lost;

	buf_get_cstring(&m->body, v->title, sizeof(v->title));
	cols = buf_get_u16(&m->body);
	rows = buf_get_u16(&m->body);
	lost = buf_get_u64(&m->body);
	if (!buf_end(&m->body))
		return -1;
	if (v->screen == NULL)
		v->screen = screen_create(cols, rows, NULL, NULL);
	else if (screen_restart(v->screen, cols, rows) != 0)
		return -1;
	v->missed = lost > 0;
	show_status(v);
	return v->screen != NULL ? 0 : -1;
}

static int on_message(struct viewer *v, struct ipc_msg *m)
{
	unsigned cols, rows;

	v->dirty = true;
	switch (m->type) {
	case MSG_SHOW_START:
		return on_start(v, m);
	case MSG_SHOW_DATA:
		if (v->screen == NULL)
			return -1;
		screen_feed(v->screen, m->body.data, m->body.len);
		v->fed += m->body.len;
		return 0;
	case MSG_SHOW_SIZE:
		cols = buf_get_u16(&m->body);
		rows = buf_get_u16(&m->body);
		if (!buf_end(&m->body) || v->screen == NULL)
			return -1;
		screen_resize(v->screen, cols, rows);
		return 0;
	default:
		v->over = true;
		return buf_get_cstring(&m->body, v->line, sizeof(v->line));
	}
}

static void read_link(struct viewer *v)
{
	struct ipc_msg m;
	int r = 1;

	while (!v->over && v->fed < PICTURE_BYTES && (r = ipc_recv(v->link, &m)) > 0) {
		if (on_message(v, &m) != 0) {
			snprintf(v->line, sizeof(v->line), "What the session sent makes no sense.");
			v->over = true;
		}
		ipc_msg_finish(&m);
	}
	if (r < 0 && !v->over) {
		snprintf(v->line, sizeof(v->line), "The session has ended.");
		v->over = true;
	}
}

/* ms until the next picture is due; -1: nothing is. */
static int wait_ms(const struct viewer *v)
{
	uint64_t now = clock_mono_ms(), at = v->drawn_ms + PICTURE_MS;

	if (v->dirty)
		return at > now ? (int)(at - now) : 0;
	return v->status_ms == 0 ? -1 : now < v->status_ms ? (int)(v->status_ms - now) : 0;
}

static void turn(struct viewer *v)
{
	bool full = v->fed >= PICTURE_BYTES;
	struct pollfd p[3] = {
		{ .fd = STDIN_FILENO, .events = POLLIN }, { .fd = v->signals, .events = POLLIN },
		{ .fd = full ? -1 : v->link->fd, .events = POLLIN },
	};
	struct signalfd_siginfo si;

	if (poll(p, 3, wait_ms(v)) < 0)
		return;
	if (p[0].revents != 0)
		read_keys(v);
	if (p[1].revents != 0 && read(v->signals, &si, sizeof(si)) == (ssize_t)sizeof(si))
		fit(v);
	if (p[2].revents != 0)
		read_link(v);
	if (v->status_ms != 0 && clock_mono_ms() >= v->status_ms) {
		v->status_ms = 0;
		v->missed = false;
		v->dirty = v->screen != NULL;
	}
	if (!v->over && v->dirty && wait_ms(v) == 0)
		draw(v);
}

/* The last picture, the terminal as it was, and why. */
static void leave(struct viewer *v)
{
	char safe[1100], text[1200];
	int n;

	write_all(STDOUT_FILENO, VIEW_LEAVE, sizeof(VIEW_LEAVE) - 1);
	if (v->line[0] == '\0')
		return;
	esc_line(safe, sizeof(safe), v->line, strlen(v->line));
	n = snprintf(text, sizeof(text), "%s\r\n", safe);
	write_all(STDOUT_FILENO, text, (size_t)n);
}

/* The terminal becomes ours, and 0 and 1; 2 stays the log's. Its other side's end ends us (SIGHUP). */
static int take_terminal(const struct view_job *job)
{
	if (setsid() < 0 || ioctl(job->terminal, TIOCSCTTY, 0) != 0)
		return -1;
	for (int fd = STDIN_FILENO; fd <= STDOUT_FILENO; fd++)
		if (dup2(job->terminal, fd) < 0)
			return -1;
	close(job->terminal);
	return 0;
}

static int watch_size(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -1;
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int limit_memory(void)
{
#ifdef __SANITIZE_ADDRESS__
	return 0;
#else
	return setrlimit(RLIMIT_AS, &(struct rlimit){ MEMORY_MAX, MEMORY_MAX });
#endif
}

void worker_view(const struct config *conf, struct ipc *link, const struct view_job *job)
{
	static struct viewer v;

	v = (struct viewer){ .link = link };
	if (take_terminal(job) != 0 || (v.signals = watch_size()) < 0 || view_init(&v.view, 80, 24) != 0)
		_exit(1);
	v.view.utf8 = (job->looks & VIEW_UTF8) != 0;
	v.view.colour = (job->looks & VIEW_COLOUR) != 0;
	v.view.rgb = (job->looks & VIEW_RGB) != 0;
	if (setpriority(PRIO_PROCESS, 0, NICE) != 0 || limit_memory() != 0 || drop_to(conf, ROLE_VIEW) != 0 ||
	    sandbox_enter(conf, ROLE_VIEW) != 0)
		_exit(1);
	fit(&v);
	if (write_all(STDOUT_FILENO, VIEW_ENTER, sizeof(VIEW_ENTER) - 1) != 0)
		_exit(1);
	while (!v.over)
		turn(&v);
	leave(&v);
	_exit(0);
}
