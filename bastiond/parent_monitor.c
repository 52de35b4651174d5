/*
 * parent_monitor.c - the monitor role, which parent starts beside the set and whose end ends nothing.
 *
 * Role parent. It runs while the set is up and the configuration gives it something to do. When it ends it is started
 * again, after a pause that grows; a reload has it end and begin anew, so that it opens its files and sockets
 * as the new configuration says. One at a time: the one before may still be sending what waits.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "parent.h"

#define PAUSE_LEAST_MS 200
#define PAUSE_MOST_MS 15000
#define LONG_LIFE_MS 30000
#define END_MONITOR_MS 3000	/* it lingers for a second, for lines that wait */
#define END_KILLED_MS 1000

static bool wanted(const struct config *conf)
{
	return conf->event_syslog[0] != '\0' || conf->event_json[0] != '\0' || conf->metrics_listen.n > 0;
}

void monitor_start(struct parent *p)
{
	struct monitor_proc *m = &p->monitor;
	int config = -1, fds[2] = { -1, -1 };

	if (m->pid != 0 || p->retired || p->state != SET_UP || !wanted(p->conf))
		return;
	m->next_ms = 0;
	m->since_ms = clock_mono_ms();
	if ((config = config_to_fd(p->conf)) >= 0 && ipc_pair(fds) == 0 &&
	    (m->pid = parent_exec(p, ROLE_MONITOR, fds[0], (const int[]){ -1 }, config)) > 0) {
		set_send(p, PROC_POLICY, MSG_POLICY_MONITOR, 0, NULL, &fds[1], 1);
	} else {
		log_error("cannot start the monitor: %s", strerror(errno));
		m->pid = 0;
		m->next_ms = clock_mono_ms() + PAUSE_MOST_MS;
	}
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (config >= 0)
		close(config);
}

void monitor_reload(struct parent *p)
{
	p->monitor.asked = p->monitor.pid != 0;
	if (p->monitor.pid != 0)
		kill(p->monitor.pid, SIGTERM);
	else
		monitor_start(p);
}

bool monitor_reaped(struct parent *p, pid_t pid, int status)
{
	struct monitor_proc *m = &p->monitor;
	uint64_t now = clock_mono_ms(), pause = PAUSE_LEAST_MS;

	if (pid != m->pid || pid <= 0)
		return false;
	m->pid = 0;
	if (m->asked || p->state != SET_UP) {
		m->asked = false;
		monitor_start(p);
		return true;
	}
	m->falls = now - m->since_ms >= LONG_LIFE_MS ? 1 : m->falls + 1;
	for (unsigned i = 1; i < m->falls && pause < PAUSE_MOST_MS; i++)
		pause *= 2;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) /* policy and its link were renewed */
		m->falls = 1;
	else if (WIFSIGNALED(status))
		log_error("the monitor was killed by signal %d: it starts again, sessions go on", WTERMSIG(status));
	else
		log_error("the monitor ended with status %d: it starts again, sessions go on", WEXITSTATUS(status));
	m->next_ms = now + (pause < PAUSE_MOST_MS ? pause : PAUSE_MOST_MS);
	return true;
}

void monitor_tick(struct parent *p, uint64_t now_ms)
{
	if (p->monitor.next_ms != 0 && now_ms >= p->monitor.next_ms)
		monitor_start(p);
}

/* Is it gone, at the latest after so long? */
static bool gone_within(int process, pid_t pid, uint64_t ms)
{
	const uint64_t until = clock_mono_ms() + ms;
	struct pollfd v = { .fd = process, .events = POLLIN };
	pid_t r;

	for (uint64_t now; (r = waitpid(pid, NULL, WNOHANG)) == 0 && process >= 0 && (now = clock_mono_ms()) < until;)
		poll(&v, 1, (int)(until - now));
	return r != 0;
}

/* It writes out what it has; a file system or a debugger that holds it does not hold us. */
void monitor_end(struct parent *p)
{
	const pid_t pid = p->monitor.pid;
	int process;

	if (pid == 0)
		return;
	p->monitor.pid = 0;
	process = pidfd_open(pid, 0);
	kill(pid, SIGTERM);
	if (!gone_within(process, pid, END_MONITOR_MS)) {
		log_warn("the monitor does not end: it is killed");
		kill(pid, SIGKILL);
		gone_within(process, pid, END_KILLED_MS);
	}
	if (process >= 0)
		close(process);
}
