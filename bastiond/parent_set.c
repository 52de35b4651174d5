/*
 * parent_set.c - the set of the four roles: policy, keys, recorder, master. All of them, or none.
 *
 * Role parent. States: DOWN → STARTING (four forks) → UP (four READY) → FALLING (one died: all are killed) →
 * DOWN, with a pause that grows while falls follow each other. ENDING comes from SIGTERM and leads out of the
 * program. One rule, because a session must not outlive the policy that allowed it or the recorder that keeps it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "parent.h"
#include "roles.h"

#define START_MS 60000		/* for all four to be READY: policy may have a database to check */
#define LONG_LIFE_MS 30000	/* a set that lived so long is not part of a row of falls */
#define PAUSE_LEAST_MS 200
#define PAUSE_MOST_MS 15000
#define END_SESSIONS_MS 4000	/* for sessions to tell their users, and the recorder to close */
#define END_ROLES_MS 3000
#define FD_HIGH 32		/* above every fixed descriptor */
#define BURST 256		/* messages of a role in one turn */

void set_init(struct parent *p)
{
	static const enum role roles[PROC_COUNT] = { ROLE_POLICY, ROLE_KEYS, ROLE_RECORDER, ROLE_MASTER };

	for (int i = 0; i < PROC_COUNT; i++)
		p->procs[i] = (struct proc){ .role = roles[i], .link.fd = -1 };
	p->state = SET_DOWN;
}

static void set_state(struct parent *p, enum set_state state, uint64_t next_ms)
{
	p->state = state;
	p->since_ms = clock_mono_ms();
	p->next_ms = next_ms != 0 ? p->since_ms + next_ms : 0;
}

/* Descriptor `fd` for the child's number `at`; -1 ends the list. */
struct fixed {
	int fd, at;
};

/* In the fork, before exec: the fixed descriptors of doc/ARCHITECTURE.md, and nothing else. */
static int fix_descriptors(const struct fixed *v, bool keep_stderr)
{
	int high[8], null, n = 0;

	for (; v[n].fd >= 0; n++)
		if ((high[n] = fcntl(v[n].fd, F_DUPFD_CLOEXEC, FD_HIGH)) < 0)
			return -1;
	if ((null = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    (!keep_stderr && dup2(null, 2) < 0))
		return -1;
	if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
		return -1;
	for (int i = 0; i < n; i++)
		if (dup2(high[i], v[i].at) < 0)
			return -1;
	return 0;
}

static void exec_role(const struct parent *p, enum role role, const struct fixed *v, pid_t parent)
	__attribute__((noreturn));

static void exec_role(const struct parent *p, enum role role, const struct fixed *v, pid_t parent)
{
	char *argv[] = { (char *)(uintptr_t)"bastiond", (char *)(uintptr_t)"-R", (char *)(uintptr_t)role_name(role),
		(char *)(uintptr_t)"-f", (char *)(uintptr_t)p->path, p->foreground ? (char *)(uintptr_t)"-D" : NULL, NULL };

	if (parent_child_signals(parent) != 0 || fix_descriptors(v, p->foreground) != 0) {
		log_error("cannot prepare %s: %s", role_name(role), strerror(errno));
		_exit(1);
	}
	/* the inode that parent runs, also after an update of the file: both ends of a link are one build */
	execv("/proc/self/exe", argv);
	log_error("cannot start %s: %s", role_name(role), strerror(errno));
	_exit(1);
}

pid_t parent_exec(const struct parent *p, enum role role, int link, const int *more, int config)
{
	struct fixed v[6] = { { link, ROLE_FD_PARENT } };
	pid_t self = getpid(), pid;
	int n = 1;

	for (int at = ROLE_FD_PARENT + 1; *more >= 0; more++, at++)
		v[n++] = (struct fixed){ *more, at };
	v[n++] = (struct fixed){ config, ROLE_FD_CONFIG };
	v[n] = (struct fixed){ -1, -1 };
	if ((pid = fork()) == 0)
		exec_role(p, role, v, self);
	return pid;
}

static int start_proc(struct parent *p, struct proc *proc, int link, const int *more, int config)
{
	if ((proc->pid = parent_exec(p, proc->role, link, more, config)) < 0) {
		proc->pid = 0;
		return -1;
	}
	proc->ready = proc->broken = false;
	return 0;
}

int set_start(struct parent *p)
{
	int config = config_to_fd(p->conf), across[2] = { -1, -1 }, r = -1;

	set_state(p, SET_STARTING, START_MS);
	upgrade_old_lives(p); /* or its mark leaves the environment */
	if (config < 0 || ipc_pair(across) != 0)
		goto out;
	for (int i = 0; i < PROC_COUNT; i++) {
		const int more[PROC_COUNT][4] = {
			[PROC_POLICY] = { across[0], p->control, p->pam, -1 },
			[PROC_KEYS] = { across[1], -1 },
			[PROC_RECORDER] = { -1 },
			[PROC_MASTER] = { -1 },
		};
		int link[2], started;

		if (ipc_pair(link) != 0)
			goto out;
		ipc_init(&p->procs[i].link, link[0], ROLE_PARENT, p->procs[i].role);
		started = start_proc(p, &p->procs[i], link[1], more[i], config);
		close(link[1]);
		if (started != 0)
			goto out;
	}
	r = 0;
out:
	if (r != 0) {
		log_error("cannot start the roles: %s", strerror(errno));
		set_fall(p, "a role could not be started");
	}
	for (int i = 0; i < 2; i++)
		if (across[i] >= 0)
			close(across[i]);
	if (config >= 0)
		close(config);
	return r;
}

static unsigned running(const struct parent *p)
{
	unsigned n = 0;

	for (int i = 0; i < PROC_COUNT; i++)
		n += p->procs[i].pid != 0;
	return n;
}

static void signal_all(struct parent *p, int sig)
{
	for (int i = 0; i < PROC_COUNT; i++)
		if (p->procs[i].pid != 0)
			kill(p->procs[i].pid, sig);
}

/* The pause before the next start: none after a long life, then doubling. */
static uint64_t pause_ms(const struct parent *p)
{
	uint64_t ms = PAUSE_LEAST_MS;

	for (unsigned i = 1; i < p->falls && ms < PAUSE_MOST_MS; i++)
		ms *= 2;
	return ms < PAUSE_MOST_MS ? ms : PAUSE_MOST_MS;
}

/* None of the four is left. */
static void all_gone(struct parent *p)
{
	for (int i = 0; i < PROC_COUNT; i++)
		ipc_finish(&p->procs[i].link);
	accept_forget(p);
	if (p->state == SET_ENDING) {
		p->over = true;
		return;
	}
	if (p->retired) {
		p->over = true;
		return;
	}
	if (p->first) {
		log_error("the roles did not come up: the lines above say why");
		p->status = 1;
		p->over = true;
		return;
	}
	log_warn("the roles start again in %llu ms", (unsigned long long)pause_ms(p));
	set_state(p, SET_DOWN, pause_ms(p));
}

void set_fall(struct parent *p, const char *why)
{
	if (p->state == SET_FALLING || p->state == SET_ENDING)
		return;
	log_error("%s: all roles and their %u sessions end", why, p->nslots);
	p->falls = p->state == SET_UP && clock_mono_ms() - p->since_ms >= LONG_LIFE_MS ? 1 : p->falls + 1;
	set_state(p, SET_FALLING, 0);
	/* master's death is its sessions' death: PR_SET_PDEATHSIG */
	signal_all(p, SIGKILL);
	children_abandon(p);
	if (running(p) == 0)
		all_gone(p);
}

void set_end(struct parent *p)
{
	if (p->state == SET_ENDING) /* the second SIGTERM: at once */
		signal_all(p, SIGKILL);
	if (p->state == SET_ENDING)
		return;
	log_notice("ending: %u sessions", p->nslots);
	set_state(p, SET_ENDING, END_SESSIONS_MS);
	if (running(p) == 0) {
		all_gone(p);
		return;
	}
	/* policy tells the sessions; the others stay until these are gone */
	if (p->procs[PROC_POLICY].pid != 0)
		kill(p->procs[PROC_POLICY].pid, SIGTERM);
	if (p->nslots == 0)
		p->next_ms = clock_mono_ms();
}

bool set_reaped(struct parent *p, pid_t pid, int status)
{
	struct proc *proc = NULL;
	char why[128];

	for (int i = 0; i < PROC_COUNT; i++)
		if (p->procs[i].pid == pid)
			proc = &p->procs[i];
	if (proc == NULL)
		return false;
	proc->pid = 0;
	if (WIFSIGNALED(status))
		snprintf(why, sizeof(why), "%s was killed by signal %d (%s)", role_name(proc->role), WTERMSIG(status),
		    WTERMSIG(status) == SIGSYS ? "a system call outside its sandbox" : strsignal(WTERMSIG(status)));
	else
		snprintf(why, sizeof(why), "%s ended with status %d", role_name(proc->role), WEXITSTATUS(status));
	if (proc->broken && p->state == SET_FALLING)
		log_error("%s", why);
	else if (p->state == SET_FALLING || p->state == SET_ENDING)
		log_info("%s", why);
	else
		set_fall(p, why);
	if (running(p) == 0 && (p->state == SET_FALLING || p->state == SET_ENDING))
		all_gone(p);
	return true;
}

static void tick_ending(struct parent *p)
{
	if (p->since_ms != 0) { /* the sessions had their time */
		signal_all(p, SIGTERM);
		p->since_ms = 0;
		p->next_ms = clock_mono_ms() + END_ROLES_MS;
		return;
	}
	log_warn("killing what does not end");
	signal_all(p, SIGKILL);
	p->next_ms = 0;
}

void set_tick(struct parent *p, uint64_t now_ms)
{
	if (p->state == SET_ENDING && p->since_ms != 0 && p->nslots == 0)
		p->next_ms = now_ms;
	if (p->next_ms == 0 || now_ms < p->next_ms)
		return;
	p->next_ms = 0;
	switch (p->state) {
	case SET_DOWN: set_start(p); break;
	case SET_STARTING: set_fall(p, "a role was not ready in time"); break;
	case SET_ENDING: tick_ending(p); break;
	case SET_UP:
	case SET_FALLING: break;
	}
}

/* Policy, too, makes a recording: it gets a link to recorder like a session's, as slot 0, which no session has. */
static void join_events(struct parent *p)
{
	int fds[2];

	if (ipc_pair(fds) != 0) {
		log_error("link from policy to recorder: %s", strerror(errno));
		set_fall(p, "no descriptors");
		return;
	}
	set_send(p, PROC_RECORDER, MSG_REC_PEER_UP, 0, NULL, &fds[0], 1);
	set_send(p, PROC_POLICY, MSG_POLICY_RECORD, 0, NULL, &fds[1], 1);
	accept_tell_held(p);
	close(fds[0]);
	close(fds[1]);
}

static int became_ready(struct parent *p, struct proc *proc)
{
	proc->ready = true;
	for (int i = 0; i < PROC_COUNT; i++)
		if (!p->procs[i].ready)
			return 0;
	set_state(p, SET_UP, 0);
	if (upgrade_settle(p) != 0) {
		p->status = 1;
		set_end(p);
		return 0;
	}
	join_events(p);
	if (p->state != SET_UP)
		return 0;
	if (!p->listening && parent_listen_start(p) != 0) {
		p->status = 1;
		set_end(p);
		return 0;
	}
	monitor_start(p);
	if (p->first)
		parent_notify("READY=1");
	p->first = false;
	log_notice("ready: policy, keys, recorder and master are up");
	return 0;
}

static int on_message(struct parent *p, struct proc *proc, struct ipc_msg *m)
{
	switch (m->type) {
	case MSG_POLICY_READY:
	case MSG_KEYS_READY:
	case MSG_RECORDER_READY:
	case MSG_MASTER_READY: return p->state == SET_STARTING ? became_ready(p, proc) : 0;
	case MSG_SESSION_DOWN: accept_session_down(p, m); return 0;
	case MSG_PEER_KILL: return accept_peer_kill(p, m);
	case MSG_PEER_VERDICT: return accept_peer_verdict(p, m);
	case MSG_SOURCE_BLOCK: return accept_source_block(p, m);
	case MSG_SOURCE_FREE: return accept_source_free(p, m);
	case MSG_RUN_PAM:
	case MSG_RUN_DIAL:
	case MSG_RUN_CONSOLE:
	case MSG_RUN_HOOK:
	case MSG_RUN_TARGET:
	case MSG_RUN_VIEW: return children_run(p, m);
	case MSG_REC_ALARM: set_send(p, PROC_POLICY, MSG_ALARM, 0, &m->body, NULL, 0); return 0;
	case MSG_WORKER_KILL: children_kill(p, m->id); return 0;
	default: return -1;
	}
}

void set_read(struct parent *p, struct proc *proc)
{
	struct ipc_msg m;
	char why[96];
	int r = 0;

	for (int i = 0; i < BURST && proc->link.fd >= 0 && (r = ipc_recv(&proc->link, &m)) > 0; i++) {
		int handled = on_message(p, proc, &m);

		if (handled != 0)
			log_error("%s from %s is malformed", msg_name(m.type), role_name(proc->role));
		ipc_msg_finish(&m);
		if (handled != 0) {
			r = -1;
			break;
		}
	}
	if (r >= 0)
		return;
	/* its end, by SIGCHLD, says more; but a role that only closed its link is as good as dead */
	proc->broken = p->state != SET_FALLING;
	snprintf(why, sizeof(why), "the link to %s broke", role_name(proc->role));
	ipc_finish(&proc->link);
	set_fall(p, why);
}

void set_send(struct parent *p, int i, enum msg_type type, uint32_t id, const struct buf *body, const int *fds,
    int nfds)
{
	struct proc *proc = &p->procs[i];
	char why[96];

	if (proc->link.fd < 0 || ipc_send(&proc->link, type, id, body, fds, nfds) == 0)
		return;
	snprintf(why, sizeof(why), "cannot send %s to %s: %s", msg_name(type), role_name(proc->role), strerror(errno));
	ipc_finish(&proc->link);
	set_fall(p, why);
}
