/*
 * log.c - see log.h. Runs in every role; allocates nothing, so that it works when memory is short.
 */
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "escape.h"

#define LOG_LINE_MAX 2048

static struct {
	const char *name;
	bool to_stderr;
	enum log_level least;
	unsigned lost;	/* lines since the last that was taken */
} lg = { .name = "bastiond", .to_stderr = true, .least = LOG_LVL_INFO };

void log_init(const char *name, bool to_stderr, enum log_level least)
{
	lg.name = name;
	lg.to_stderr = to_stderr;
	lg.least = least;
	if (!to_stderr)
		openlog("bastiond", LOG_PID | LOG_NDELAY, LOG_AUTHPRIV);
}

void log_level_set(enum log_level least)
{
	lg.least = least;
}

void log_rename(const char *name)
{
	lg.name = name;
}

/*
 * One write, so that lines of several processes do not mix. Who reads them may hang, a journal whose disk does: that loses lines, not the
 * daemon. A socket is asked not to wait; a pipe that has room takes a line whole, as it is shorter than PIPE_BUF.
 */
static bool put_stderr(const char *text, size_t len)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	const struct timespec at_once = { .tv_sec = 0 };
	ssize_t n = send(STDERR_FILENO, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno == ENOTSOCK)
		n = ppoll(&p, 1, &at_once, NULL) == 1 && (p.revents & POLLOUT) != 0 ? write(STDERR_FILENO, text, len) : -1;
	return n > 0;
}

static void write_stderr(const char *level, const char *line)
{
	char out[LOG_LINE_MAX + 128], stamp[32];
	struct timespec now;
	struct tm tm;
	int n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	if (lg.lost > 0) {
		n = snprintf(out, sizeof(out), "%s.%03ldZ %s[%d] warning: standard error took nothing: %u lines are lost\n", stamp,
		    now.tv_nsec / 1000000, lg.name, (int)getpid(), lg.lost);
		if (put_stderr(out, (size_t)n))
			lg.lost = 0;
	}
	n = snprintf(out, sizeof(out), "%s.%03ldZ %s[%d] %s: %s\n", stamp, now.tv_nsec / 1000000,
	    lg.name, (int)getpid(), level, line);
	if (n > 0 && !put_stderr(out, (size_t)n < sizeof(out) ? (size_t)n : sizeof(out) - 1))
		lg.lost++;
}

static void log_at(enum log_level level, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

static void log_at(enum log_level level, const char *fmt, va_list ap)
{
	static const char *const names[] = { "debug", "info", "notice", "warning", "error" };
	static const int prio[] = { LOG_DEBUG, LOG_INFO, LOG_NOTICE, LOG_WARNING, LOG_ERR };
	const int error = errno; /* who called may go by it after the line */
	char raw[LOG_LINE_MAX / 2], line[LOG_LINE_MAX];

	if (level < lg.least)
		return;
	vsnprintf(raw, sizeof(raw), fmt, ap);
	esc_line(line, sizeof(line), raw, strlen(raw));
	if (lg.to_stderr)
		write_stderr(names[level], line);
	else
		syslog(prio[level], "%s: %s", lg.name, line);
	errno = error;
}

#define LOG_FUNCTION(fn, level)                 \
	void fn(const char *fmt, ...)           \
	{                                       \
		va_list ap;                     \
		va_start(ap, fmt);              \
		log_at(level, fmt, ap);         \
		va_end(ap);                     \
	}

LOG_FUNCTION(log_debug, LOG_LVL_DEBUG)
LOG_FUNCTION(log_info, LOG_LVL_INFO)
LOG_FUNCTION(log_notice, LOG_LVL_NOTICE)
LOG_FUNCTION(log_warn, LOG_LVL_WARN)
LOG_FUNCTION(log_error, LOG_LVL_ERROR)

void fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_at(LOG_LVL_ERROR, fmt, ap);
	va_end(ap);
	exit(1);
}
