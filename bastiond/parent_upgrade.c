/*
 * parent_upgrade.c - SIGUSR2: the program that is installed now takes over, and nobody's session ends.
 *
 * Role parent, in two processes. The old one starts the new one with the listening sockets and one end of a link; the new one comes
 * up as at any start, with a set of its own, but beside the old: it takes the names in run_dir (control.sock, pam.sock, the pid file)
 * only when all its roles are READY, and says so over the link. Then the old one accepts no more, tells its policy (POLICY_RETIRE) and
 * ends when its last session has. Whatever goes wrong before that, the new one ends and the old one goes on as if nothing had been; also with
 * the names, of which it keeps second ones until then.
 *
 * Two policies are at one database for that time: policy_others.c says what that means. A new program whose schema is
 * another does not come up beside an old one.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "parent.h"

#define TAKE "BASTIOND_TAKE"	/* "LINK LISTENER ..." as numbers, of the new one alone */
#define ANSWER_S 10		/* for the old one to answer */
#define PATIENCE_MS 90000	/* for the new one to come up */

/* --- the old one --- */

void upgrade_init(struct parent *p)
{
	ssize_t n = readlink("/proc/self/exe", p->upgrade.program, sizeof(p->upgrade.program) - 1);

	p->upgrade.program[n > 0 ? n : 0] = '\0';
	p->upgrade.link = p->upgrade.from = -1;
}

static void run_program(const struct parent *p, int link) __attribute__((noreturn));

/* In the fork: signals as at a start, the sockets under the numbers that they have, everything else closed. */
static void run_program(const struct parent *p, int link)
{
	char *const argv[] = { (char *)(uintptr_t)p->upgrade.program, (char *)(uintptr_t)"-f", (char *)(uintptr_t)p->path,
		p->foreground ? (char *)(uintptr_t)"-D" : NULL, NULL };
	char take[16 + 12 * CONFIG_LIST_MAX];
	int len = snprintf(take, sizeof(take), "%d", link);
	sigset_t none;

	for (size_t i = 0; i < p->nlisteners; i++)
		len += snprintf(take + len, sizeof(take) - (size_t)len, " %d", p->listeners[i]);
	if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0 || fcntl(link, F_SETFD, 0) != 0)
		_exit(1);
	for (size_t i = 0; i < p->nlisteners; i++)
		if (fcntl(p->listeners[i], F_SETFD, 0) != 0)
			_exit(1);
	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && sig != SIGPIPE)
			signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setenv(TAKE, take, 1);
	execv(p->upgrade.program, argv);
	log_error("upgrade: %s: %s", p->upgrade.program, strerror(errno));
	_exit(1);
}

void upgrade_begin(struct parent *p)
{
	int fds[2];

	if (p->state != SET_UP || p->retired || p->upgrade.link >= 0 || p->upgrade.from >= 0 || p->upgrade.failed) {
		log_warn("no upgrade now: another one is under way, or the roles are not up");
		return;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
		return;
	log_notice("upgrade: starting %s", p->upgrade.program);
	if ((p->upgrade.pid = fork()) == 0)
		run_program(p, fds[1]);
	close(fds[1]);
	if (p->upgrade.pid < 0) {
		log_error("upgrade: %s", strerror(errno));
		close(fds[0]);
		return;
	}
	p->upgrade.link = fds[0];
	p->upgrade.late_ms = clock_mono_ms() + PATIENCE_MS;
}

/* The new one serves: from now on this one only keeps what it has. */
static void retire(struct parent *p)
{
	char state[32];

	p->retired = true;
	log_notice("upgrade: process %d serves now; %u sessions stay here until they end", (int)p->upgrade.pid, p->nslots);
	for (size_t i = 0; i < p->nlisteners; i++)
		close(p->listeners[i]);
	p->nlisteners = 0;
	snprintf(state, sizeof(state), "MAINPID=%d", (int)p->upgrade.pid);
	parent_notify(state);
	if (p->monitor.pid != 0)
		kill(p->monitor.pid, SIGTERM);
	set_send(p, PROC_POLICY, MSG_POLICY_RETIRE, 0, NULL, NULL, 0);
}

/* The new one is no more, and what it took of ours is taken back. */
static void take_back(struct parent *p)
{
	p->upgrade.failed = false;
	if (p->pidfile == 0)
		parent_pid_take(p);
	parent_sockets_kept(p, true);
}

static void kill_new(const struct parent *p)
{
	if (p->upgrade.pid > 0)
		kill(p->upgrade.pid, SIGKILL);
}

bool upgrade_reaped(struct parent *p, pid_t pid, int status)
{
	if (pid != p->upgrade.pid || pid <= 0)
		return false;
	log_notice("upgrade: the new program ended with status %#x", (unsigned)status);
	p->upgrade.pid = 0;
	if (p->upgrade.failed)
		take_back(p);
	return true;
}

void upgrade_read(struct parent *p)
{
	char c;
	ssize_t n = recv(p->upgrade.link, &c, 1, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 1 && c == 'L' && parent_sockets_keep(p) == 0) {
		/* closing any descriptor of a file gives up its POSIX lock: the new one takes it */
		parent_pid_release(p);
		if (send(p->upgrade.link, "G", 1, MSG_NOSIGNAL) == 1)
			return;
	}
	if (n == 1 && c == 'R') {
		parent_sockets_kept(p, false);
		retire(p);
	} else {
		log_error("upgrade: the new program did not come up, its lines above say why; this one goes on");
		kill_new(p);
		/* while it dies it has the lock still */
		p->upgrade.failed = p->upgrade.pid > 0;
		if (!p->upgrade.failed)
			take_back(p);
	}
	close(p->upgrade.link);
	p->upgrade.link = -1;
}

void upgrade_tick(struct parent *p, uint64_t now_ms)
{
	if (p->upgrade.link >= 0 && now_ms >= p->upgrade.late_ms) {
		kill_new(p); /* its end of the link says the rest */
		p->upgrade.late_ms = now_ms + PATIENCE_MS;
	}
	/* an elder with sessions is reached through this one alone: by the newest one's end, and by what its policy is told of those beside it */
	if (p->retired && p->nslots == 0 && p->state == SET_UP && !upgrade_old_lives(p)) {
		log_notice("upgrade: the last session has ended, and so does this process");
		set_end(p);
	}
}

/* --- the new one --- */

bool upgrade_taking(void)
{
	return getenv(TAKE) != NULL;
}

int upgrade_take(struct parent *p)
{
	const struct timeval wait = { .tv_sec = ANSWER_S };
	const char *take = getenv(TAKE);
	char *rest;

	if (take == NULL)
		return 0;
	p->upgrade.from = (int)strtol(take, &rest, 10);
	while (*rest == ' ' && p->nlisteners < CONFIG_LIST_MAX)
		p->listeners[p->nlisteners++] = (int)strtol(rest + 1, &rest, 10);
	unsetenv(TAKE);
	for (size_t i = 0; i < p->nlisteners; i++)
		if (fcntl(p->listeners[i], F_SETFD, FD_CLOEXEC) != 0)
			return -1;
	if (fcntl(p->upgrade.from, F_SETFD, FD_CLOEXEC) != 0 || fcntl(p->upgrade.from, F_SETFL, 0) != 0 ||
	    setsockopt(p->upgrade.from, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) != 0)
		return -1;
	p->upgrade.beside = true;
	p->upgrade.old = getppid();
	setenv(UPGRADE_BESIDE, "1", 1); /* its roles read it, as long as the old one lives */
	return 0;
}

/* The lock of the pid file, then the names; the old one waits for our word. */
int upgrade_settle(struct parent *p)
{
	char c;
	int r = -1;

	if (p->upgrade.from < 0)
		return 0;
	if (send(p->upgrade.from, "L", 1, MSG_NOSIGNAL) == 1 && recv(p->upgrade.from, &c, 1, 0) == 1 && c == 'G' &&
	    parent_pid_take(p) == 0 && parent_sockets_settle(p) == 0 && send(p->upgrade.from, "R", 1, MSG_NOSIGNAL) == 1)
		r = 0;
	close(p->upgrade.from);
	p->upgrade.from = -1;
	p->upgrade.beside = r != 0;
	if (r != 0)
		log_error("upgrade: the old process does not hand over");
	return r;
}

bool upgrade_old_lives(struct parent *p)
{
	if (p->upgrade.old != 0 && getppid() != p->upgrade.old) {
		p->upgrade.old = 0;
		unsetenv(UPGRADE_BESIDE);
	}
	return p->upgrade.old != 0;
}

void upgrade_end_old(struct parent *p)
{
	if (upgrade_old_lives(p))
		kill(p->upgrade.old, SIGTERM);
}
