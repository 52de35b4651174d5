/*
 * replay_tty.c - the auditor's terminal. However the program ends, but for SIGKILL, the terminal is
 * as it was before.
 */
#include "replay_player.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define WRITE_MAX 512		/* bytes */
#define LEAVE_MS 1000

static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
#define CRASHES (sizeof(crashes) / sizeof(crashes[0]))

/* For the handler of a crash alone: it may use nothing else. */
static struct tty *crash_tty;

static void on_crash(int sig)
{
	struct tty *t = crash_tty;

	if (t != NULL && t->raw) {
		ssize_t n = write(t->out, VIEW_LEAVE, sizeof(VIEW_LEAVE) - 1);

		(void)n;
		tcsetattr(t->in, TCSANOW, &t->saved);
	}
	/* the handler was reset when it was called: this time it ends the process */
	raise(sig);
}

static void watch_crashes(bool on)
{
	struct sigaction sa = { .sa_handler = on ? on_crash : SIG_DFL,
		.sa_flags = (int)SA_RESETHAND };

	for (size_t i = 0; i < CRASHES; i++)
		sigaction(crashes[i], &sa, NULL);
}

static void signal_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGWINCH);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGQUIT);
	sigaddset(set, SIGTSTP);
	sigaddset(set, SIGCONT);
}

/* Standard output is the terminal; keys come from standard input, or from the terminal if that is
 * something else. */
static int open_ends(struct tty *t)
{
	sigset_t set;

	t->out = STDOUT_FILENO;
	t->in = isatty(STDIN_FILENO) ? STDIN_FILENO : open("/dev/tty", O_RDWR | O_CLOEXEC);
	if (t->in < 0)
		return -1;
	signal_set(&set);
	t->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return t->signals < 0 ? -1 : 0;
}

/* `first`: what was typed before is dropped. */
static int go_raw(struct tty *t, bool first)
{
	struct termios raw = t->saved;
	sigset_t set;

	cfmakeraw(&raw);
	signal_set(&set);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 ||
	    tcsetattr(t->in, first ? TCSAFLUSH : TCSANOW, &raw) != 0)
		return -1;
	t->raw = true;
	crash_tty = t;
	watch_crashes(true);
	return tty_write(t, VIEW_ENTER, sizeof(VIEW_ENTER) - 1);
}

static void go_back(struct tty *t)
{
	sigset_t set;

	if (!t->raw)
		return;
	tty_write(t, VIEW_LEAVE, sizeof(VIEW_LEAVE) - 1);
	/* a terminal that hangs never drains */
	if (t->status != 0)
		tcflush(t->in, TCIFLUSH);
	tcsetattr(t->in, t->status != 0 ? TCSANOW : TCSAFLUSH, &t->saved);
	t->raw = false;
	watch_crashes(false);
	signal_set(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int tty_enter(struct tty *t)
{
	const int watch = t->watch;

	memset(t, 0, sizeof(*t));
	t->watch = watch;
	t->signals = -1;
	if (open_ends(t) != 0 || tcgetattr(t->in, &t->saved) != 0 || go_raw(t, true) != 0) {
		int saved = errno;

		tty_leave(t);
		errno = saved;
		return -1;
	}
	return 0;
}

void tty_leave(struct tty *t)
{
	go_back(t);
	crash_tty = NULL;
	if (t->signals >= 0)
		close(t->signals);
	if (t->in > STDERR_FILENO)
		close(t->in);
	t->signals = -1;
}

void tty_stop(struct tty *t)
{
	go_back(t);
	raise(SIGSTOP);
	go_raw(t, true);
}

void tty_size(const struct tty *t, unsigned *cols, unsigned *rows)
{
	struct winsize ws;

	*cols = 80;
	*rows = 24;
	if (ioctl(t->out, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 && ws.ws_row > 0) {
		*cols = ws.ws_col;
		*rows = ws.ws_row;
	}
}

/* ---- keys ---- */

static int read_byte(struct tty *t, int timeout_ms)
{
	struct pollfd pfd = { .fd = t->in, .events = POLLIN };
	unsigned char c;

	if (poll(&pfd, 1, timeout_ms) <= 0)
		return -1;
	return read(t->in, &c, 1) == 1 ? c : -1;
}

/* After ESC: what follows within a moment is a key's sequence, otherwise it was the key itself. */
static int read_escape(struct tty *t)
{
	static const struct { char final; enum key key;
	} names[] = {
		{ 'A', KEY_UP },
		{ 'B', KEY_DOWN },
		{ 'C', KEY_RIGHT },
		{ 'D', KEY_LEFT },
		{ 'H', KEY_HOME },
		{ 'F', KEY_END },
	};
	int c = read_byte(t, 50), first;

	if (c < 0)
		return KEY_ESC;
	if (c != '[' && c != 'O')
		return KEY_OTHER;
	first = c = read_byte(t, 50);
	for (int i = 0; i < 16 && c >= 0x20 && c < 0x40; i++)
		c = read_byte(t, 50);
	if (c == '~' && (first == '1' || first == '7'))
		return KEY_HOME;
	if (c == '~' && (first == '4' || first == '8'))
		return KEY_END;
	if (c == '~' && (first == '5' || first == '6'))
		return first == '5' ? KEY_PGUP : KEY_PGDN;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].final == c)
			return names[i].key;
	return KEY_OTHER;
}

static int read_signal(struct tty *t)
{
	struct signalfd_siginfo si;

	if (read(t->signals, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return KEY_NONE;
	/* after a stop that was not asked for, whoever had the terminal may have changed it */
	if (si.ssi_signo == SIGCONT && t->raw)
		go_raw(t, false);
	if (si.ssi_signo == SIGWINCH || si.ssi_signo == SIGCONT)
		return KEY_RESIZE;
	if (si.ssi_signo == SIGTSTP)
		return KEY_STOP;
	t->status = (int)si.ssi_signo;
	return KEY_QUIT;
}

/*
 * Writes no more at once than a terminal takes that says that it takes something, so that one that hangs (a
 * link that is down) does not keep the process from ending by a signal.
 */
int tty_write(struct tty *t, const void *data, size_t len)
{
	struct pollfd pfd[2] = { { .fd = t->out, .events = POLLOUT }, { .fd = t->signals, .events = POLLIN } };
	const char *p = data;
	ssize_t n;

	while (len > 0) {
		/* on its way out it waits for nothing more, and not for long */
		int r = poll(pfd, t->status != 0 ? 1 : 2, t->status != 0 ? LEAVE_MS : -1);

		if (r == 0 || (r < 0 && errno != EINTR))
			return -1;
		if (r > 0 && t->status == 0 && pfd[1].revents != 0 && (t->pending = read_signal(t)) == KEY_QUIT)
			return -1;
		if (r < 0 || pfd[0].revents == 0)
			continue;
		n = write(t->out, p, len < WRITE_MAX ? len : WRITE_MAX);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int tty_key(struct tty *t, uint64_t timeout_us)
{
	struct pollfd pfd[3] = { { .fd = t->in, .events = POLLIN },
		{ .fd = t->signals, .events = POLLIN }, { .fd = t->watch, .events = POLLIN } };
	struct timespec ts = { .tv_sec = (time_t)(timeout_us / 1000000),
		.tv_nsec = (long)(timeout_us % 1000000) * 1000 };
	unsigned char c;

	if (t->pending != KEY_NONE) {
		const int key = t->pending;

		t->pending = KEY_NONE;
		return key;
	}
	if (ppoll(pfd, 3, timeout_us == PCLOCK_NEVER ? NULL : &ts, NULL) <= 0)
		return KEY_NONE;
	if (pfd[1].revents != 0)
		return read_signal(t);
	if (pfd[0].revents == 0)
		return KEY_DATA;
	ssize_t n = read(t->in, &c, 1);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return KEY_NONE;
	if (n != 1)
		return KEY_QUIT;
	if (c == 0x1b)
		return read_escape(t);
	return c == 0x1a ? KEY_STOP : c == 3 ? KEY_QUIT : c == 0 ? KEY_OTHER : c;
}

void tty_looks(struct view *v)
{
	const char *colorterm = getenv("COLORTERM"), *term = getenv("TERM");

	v->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	v->rgb = colorterm != NULL &&
	    (strcmp(colorterm, "truecolor") == 0 || strcmp(colorterm, "24bit") == 0);
	v->colour = getenv("NO_COLOR") == NULL && (term == NULL || strncmp(term, "vt", 2) != 0);
}
