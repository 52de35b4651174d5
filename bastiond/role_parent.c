/*
 * role_parent.c - parent: root, starts and supervises everything, accepts, forks workers; see parent.h for its files.
 *
 * Before it: main.c. It reads no byte of a stranger. Its loop waits in poll(2) for signals, the four roles' links and
 * the listening sockets; times that are due are handled between the turns.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "drop.h"
#include "log.h"
#include "pam_stack.h"
#include "parent.h"
#include "roles.h"
#include "sandbox.h"
#include "worker.h"

#define FDS_SPARE 512	/* descriptors of a role beside those of its sessions, */
#define FDS_EACH 4ULL	/* of which each has so many, */
#define FDS_GOOD 20ULL	/* or, with one for each of its ways, so many */
#define TICK_MS 1000
#define CROWDED_MS 50	/* until the listening sockets are looked at again when too many are young */

int parent_child_signals(pid_t parent)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && sig != SIGPIPE)
			signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	return drop_die_with_parent(parent);
}

static int open_signals(struct parent *p)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR2);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 ||
	    (p->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) < 0) {
		log_error("signalfd: %s", strerror(errno));
		return -1;
	}
	return 0;
}

/*
 * Policy and the recorder hold one descriptor a session, and some more while a way opens; they inherit the limit. One more for each way
 * is policy's to have or not (grant_way).
 */
void parent_limits(const struct config *conf)
{
	const rlim_t must = FDS_EACH * conf->max_sessions + FDS_SPARE, good = FDS_GOOD * conf->max_sessions + FDS_SPARE;
	struct rlimit rl, want = { good, good };

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0 || rl.rlim_cur >= good)
		return;
	if (rl.rlim_max > want.rlim_max)
		want.rlim_max = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &want) == 0)
		return;
	want = (struct rlimit){ rl.rlim_max, rl.rlim_max };
	if ((setrlimit(RLIMIT_NOFILE, &want) != 0 && rl.rlim_cur < must) || rl.rlim_max < must)
		log_warn("cannot raise the limit of open files to %llu (%s): fewer sessions than max_sessions fit",
		    (unsigned long long)must, strerror(errno));
}

static void reap(struct parent *p)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (!upgrade_reaped(p, pid, status) && !monitor_reaped(p, pid, status) && !children_reaped(p, pid, status) && !reload_reaped(p, pid, status) &&
		    !pam_session_reaped(p, pid, status) && !set_reaped(p, pid, status))
			log_debug("process %d ended with status %#x", (int)pid, (unsigned)status);
}

static void read_signals(struct parent *p)
{
	struct signalfd_siginfo si;

	while (read(p->signals, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGHUP && !p->over && !p->retired && p->state != SET_ENDING)
			reload_begin(p);
		if (si.ssi_signo == SIGUSR2)
			upgrade_begin(p);
		if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT) {
			if (!p->retired)
				parent_notify("STOPPING=1");
			upgrade_end_old(p);
			set_end(p);
		}
	}
	/* SIGCHLD may stand for many ends */
	reap(p);
}

static size_t fill(struct parent *p, struct pollfd *v)
{
	size_t n = 0;

	v[n++] = (struct pollfd){ .fd = p->signals, .events = POLLIN };
	for (int i = 0; i < PROC_COUNT; i++)
		v[n++] = (struct pollfd){ .fd = p->procs[i].link.fd,
			.events = POLLIN | (ipc_wants_write(&p->procs[i].link) ? POLLOUT : 0) };
	if (p->upgrade.link >= 0)
		v[n++] = (struct pollfd){ .fd = p->upgrade.link, .events = POLLIN };
	/* while no set is up, or too much comes at once, the kernel keeps the connections that come */
	for (size_t i = 0; i < p->nlisteners && p->listening && p->state == SET_UP && accept_room(p); i++)
		v[n++] = (struct pollfd){ .fd = p->listeners[i], .events = POLLIN };
	return n;
}

/* Until what is due next; -1, for ever, when nothing is. */
static int wait_ms(const struct parent *p, uint64_t now)
{
	int ms = p->startups.waiting > 0 || p->closing.running > 0 || p->state == SET_ENDING ? TICK_MS : -1;

	if (p->monitor.next_ms != 0 || p->upgrade.link >= 0 || p->retired)
		ms = TICK_MS;
	if (p->closing.waiting > 0)
		ms = CLOSER_WAIT_MS;
	if (p->nyoung == YOUNG_MAX)
		ms = CROWDED_MS;
	if (p->next_ms == 0)
		return ms;
	if (p->next_ms <= now)
		return 0;
	if (ms < 0 || p->next_ms - now < (uint64_t)ms)
		return p->next_ms - now < INT_MAX ? (int)(p->next_ms - now) : INT_MAX;
	return ms;
}

static void turn(struct parent *p)
{
	struct pollfd v[2 + PROC_COUNT + CONFIG_LIST_MAX];
	const bool linked = p->upgrade.link >= 0;
	size_t n = fill(p, v), first = 1 + PROC_COUNT + linked;

	if (poll(v, n, wait_ms(p, clock_mono_ms())) < 0)
		return;
	for (int i = 0; i < PROC_COUNT; i++) {
		struct proc *proc = &p->procs[i];

		if (v[1 + i].revents == 0 || proc->link.fd != v[1 + i].fd)
			continue;
		set_read(p, proc);
		if (proc->link.fd >= 0 && ipc_flush(&proc->link) != 0)
			set_fall(p, "a role's link broke");
	}
	if (v[0].revents != 0)
		read_signals(p);
	for (size_t i = first; i < n; i++)
		if ((v[i].revents & POLLIN) != 0 && i - first < p->nlisteners)
			accept_some(p, i - first);
	if (linked && v[first - 1].revents != 0)
		upgrade_read(p);
}

static void loop(struct parent *p)
{
	uint64_t ticked = 0;

	while (!p->over) {
		uint64_t now;

		turn(p);
		now = clock_mono_ms();
		set_tick(p, now);
		monitor_tick(p, now);
		upgrade_tick(p, now);
		pam_session_tick(p, now);
		if (now - ticked >= TICK_MS) {
			accept_tick(p, now);
			ticked = now;
		}
	}
}

/* Workers that are left are killed: nothing of us stays behind. */
static void finish(struct parent *p)
{
	monitor_end(p);
	children_abandon(p);
	while (p->nchildren > 0) {
		int status;
		pid_t pid = waitpid(-1, &status, 0);

		if (pid < 0 && errno != EINTR)
			break;
		if (pid > 0 && !children_reaped(p, pid, status))
			pam_session_reaped(p, pid, status); /* those are waited for below */
	}
	pam_session_finish(p);
	parent_sockets_close(p);
	accept_finish(p);
	pam_stack_free(p->stack);
	free(p->children);
	config_destroy(p->conf);
}

int role_parent(struct config *conf, const char *path, bool foreground, bool debug)
{
	struct parent *p = calloc(1, sizeof(*p));
	int status;

	if (p == NULL)
		fatal("no memory");
	*p = (struct parent){ .conf = conf, .path = path, .foreground = foreground, .debug = debug, .first = true,
		.control = -1, .pam = -1, .reserve = -1, .signals = -1 };
	prctl(PR_SET_DUMPABLE, 0);
	tzset(); /* each worker's first log line would read it anew */
	parent_limits(conf);
	set_init(p);
	reload_init(p);
	upgrade_init(p);
	if (upgrade_take(p) != 0 || open_signals(p) != 0 || accept_init(p) != 0 || children_init(p, conf) != 0 || pam_session_init(p) != 0 ||
	    parent_sockets_open(p) != 0 ||
	    parent_listen(p, conf) != 0 || sandbox_prepare(ROLE_DIAL) != 0 || sandbox_prepare(ROLE_CONSOLE) != 0) {
		log_error("cannot start");
		return 1;
	}
	p->stack = worker_pam_preload(conf);
	p->listening = p->nlisteners > 0 && p->upgrade.from >= 0;
	set_start(p);
	loop(p);
	status = p->status;
	finish(p);
	free(p);
	log_notice("ended");
	return status;
}
