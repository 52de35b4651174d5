/*
 * replay_term.c - see replay_term.h. Used by the commands of bastion-replay that print.
 */
#include "replay_term.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

static pid_t pager;		/* 0: none */
static unsigned pager_width;	/* of the terminal behind it */
static struct progress *working;	/* the one whose line it is */

static bool dumb(void)
{
	const char *term = getenv("TERM");

	return term != NULL && strcmp(term, "dumb") == 0;
}

static unsigned width_of(int fd)
{
	struct winsize ws;

	return ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 ? ws.ws_col : 80;
}

bool term_draws(void)
{
	return isatty(STDOUT_FILENO) && !dumb();
}

bool term_colour(void)
{
	return (pager != 0 || isatty(STDOUT_FILENO)) && getenv("NO_COLOR") == NULL && !dumb();
}

unsigned term_width(void)
{
	return pager != 0 ? pager_width : isatty(STDOUT_FILENO) ? width_of(STDOUT_FILENO) : 0;
}

/* ---- progress ---- */

void progress_begin(struct progress *p, const char *what)
{
	*p = (struct progress){ .what = what, .started_ms = clock_mono_ms(), .on = working == NULL && isatty(STDERR_FILENO) && !dumb() };
	if (p->on)
		working = p;
}

void progress_begin_writing(struct progress *p, const char *what)
{
	if (isatty(STDOUT_FILENO))
		*p = (struct progress){ .on = false };
	else
		progress_begin(p, what);
}

char *progress_line(char *out, size_t size, unsigned width, const char *what, uint64_t done, uint64_t all, const char *more)
{
	static const char full[] = "####################";
	const int percent = all == 0 ? 100 : (int)((done < all ? done : all) * 100 / all), part = percent / 5;
	int n;

	/* on a narrow terminal the percentage says it */
	if (width >= 50)
		n = snprintf(out, size, "%s [%.*s%*s] %d%% %s", what, part, full, 20 - part, "", percent, more);
	else
		n = snprintf(out, size, "%s %d%% %s", what, percent, more);
	if (n > 0 && width > 0 && (unsigned)n >= width)
		out[width - 1] = '\0';
	return out;
}

/* Is it time to draw? */
static bool due(struct progress *p)
{
	uint64_t now;

	/* a pager has the screen */
	if (!p->on || pager != 0 || (now = clock_mono_ms()) - p->started_ms < BAR_AFTER_MS || (p->drawn && now - p->shown_ms < BAR_EVERY_MS))
		return false;
	p->shown_ms = now;
	p->drawn = true;
	return true;
}

static void draw(const char *line)
{
	fprintf(stderr, "\r\033[K%s", line);
	fflush(stderr);
}

void progress_at(struct progress *p, uint64_t done, uint64_t all, const char *more)
{
	char line[256];

	if (due(p))
		draw(progress_line(line, sizeof(line), width_of(STDERR_FILENO), p->what, done, all, more));
}

void progress_count(struct progress *p, uint64_t done, const char *of)
{
	char line[256];

	if (!due(p))
		return;
	snprintf(line, sizeof(line), "%s %llu %s", p->what, (unsigned long long)done, of);
	line[width_of(STDERR_FILENO) < sizeof(line) ? width_of(STDERR_FILENO) - 1 : sizeof(line) - 1] = '\0';
	draw(line);
}

void progress_clear(struct progress *p)
{
	if (p->drawn)
		fprintf(stderr, "\r\033[K");
	p->drawn = false;
}

void progress_hide(void)
{
	if (working != NULL)
		progress_clear(working);
}

void progress_end(struct progress *p)
{
	progress_clear(p);
	if (working == p)
		working = NULL;
	p->on = false;
}

/* ---- pager ---- */

static void run_pager(const char *command)
{
	/* what fits on a screen is just there; colours are shown, other sequences are not obeyed */
	setenv("LESS", "FRX", 0);
	if (command != NULL)
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	else {
		execlp("less", "less", (char *)NULL);
		execlp("more", "more", (char *)NULL);
	}
	execlp("cat", "cat", (char *)NULL);
	_exit(127);
}

bool pager_wanted(void)
{
	const char *command = getenv("PAGER");

	return pager == 0 && isatty(STDOUT_FILENO) && !dumb() &&
	    (command == NULL || (command[0] != '\0' && strcmp(command, "cat") != 0));
}

void pager_start(void)
{
	int fds[2];

	if (!pager_wanted())
		return;
	pager_width = width_of(STDOUT_FILENO);
	fflush(NULL);
	if (pipe(fds) != 0)
		return;
	pager = fork();
	if (pager == 0) {
		dup2(fds[0], STDIN_FILENO);
		close(fds[0]);
		close(fds[1]);
		signal(SIGPIPE, SIG_DFL);
		run_pager(getenv("PAGER"));
	}
	if (pager < 0)
		pager = 0;
	else {
		if (isatty(STDERR_FILENO))
			dup2(fds[1], STDERR_FILENO);
		dup2(fds[1], STDOUT_FILENO);
		/* ^C is for the pager; when it is left, writing fails */
		signal(SIGINT, SIG_IGN);
	}
	close(fds[0]);
	close(fds[1]);
}

bool pager_end(void)
{
	const pid_t pid = pager;

	if (pid == 0)
		return false;
	fflush(NULL);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	pager = 0;
	return true;
}
