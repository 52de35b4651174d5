/*
 * parent_worker.c - forks the workers that policy asks for, kills them on its word, tells it of their ends.
 *
 * Role parent; in the fork, the worker until worker_*.c takes over. A fork without exec: a login costs two of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <syslog.h>
#include <termios.h>
#include <unistd.h>

#include "forkmem.h"
#include "log.h"
#include "parent.h"
#include "task_values.h"
#include "worker.h"

#define HOOK_LIMIT_MAX_MS 120000
#define WORKER_FD_LINK 3
#define WORKER_FD_EXTRA 4	/* the console's, the viewer's terminal; where a PAM worker tells its session */
#define WORKER_FDS_MAX 64 /* libedit, the resolver and PAM modules need a few */

enum worker_kind { WORKER_PAM, WORKER_DIAL, WORKER_HOOK, WORKER_TARGET, WORKER_CONSOLE, WORKER_VIEW };

struct job {
	enum worker_kind kind;
	union {
		struct pam_job pam;
		struct dial_job dial;
		struct hook_job hook;
		struct target_job target;
		struct console_job console;
		struct view_job view;
	} u;
	uint32_t slot;		/* WORKER_PAM: whose login it is */
	int mine, extra;	/* a second descriptor, parent's and the worker's end; -1 */
};

int children_init(struct parent *p, const struct config *conf)
{
	struct child *children;

	if (conf->max_workers <= p->maxchildren)
		return 0;
	if ((children = realloc(p->children, conf->max_workers * sizeof(*children))) == NULL)
		return -1;
	memset(children + p->maxchildren, 0, (conf->max_workers - p->maxchildren) * sizeof(*children));
	p->children = children;
	p->maxchildren = conf->max_workers;
	return 0;
}

static int parse_job(struct job *job, struct ipc_msg *m)
{
	struct buf *b = &m->body;

	*job = (struct job){ .mine = -1, .extra = -1 };
	switch (m->type) {
	case MSG_RUN_PAM:
		job->kind = WORKER_PAM;
		buf_get_cstring(b, job->u.pam.user, sizeof(job->u.pam.user));
		buf_get_cstring(b, job->u.pam.peer, sizeof(job->u.pam.peer));
		job->slot = buf_get_u32(b);
		job->u.pam.token = buf_get_u64(b);
		return buf_end(b) && name_is_user(job->u.pam.user) ? 0 : -1;
	case MSG_RUN_DIAL:
		job->kind = WORKER_DIAL;
		buf_get_cstring(b, job->u.dial.host, sizeof(job->u.dial.host));
		job->u.dial.port = buf_get_u16(b);
		job->u.dial.limit_ms = buf_get_u32(b);
		return buf_end(b) && job->u.dial.host[0] != '\0' && job->u.dial.port != 0 ? 0 : -1;
	case MSG_RUN_HOOK:
		job->kind = WORKER_HOOK;
		job->u.hook.kind = buf_get_u8(b) == HOOK_TICKET ? HOOK_TICKET : HOOK_NOTIFY;
		job->u.hook.limit_ms = buf_get_u32(b);
		buf_get_cstring(b, job->u.hook.input, sizeof(job->u.hook.input));
		job->u.hook.len = strlen(job->u.hook.input);
		return buf_end(b) && job->u.hook.limit_ms <= HOOK_LIMIT_MAX_MS ? 0 : -1;
	case MSG_RUN_TARGET:
		job->kind = WORKER_TARGET;
		buf_get_cstring(b, job->u.target.host, sizeof(job->u.target.host));
		job->u.target.port = buf_get_u16(b);
		job->u.target.limit_ms = buf_get_u32(b);
		return buf_end(b) && job->u.target.host[0] != '\0' && job->u.target.port != 0 && job->u.target.limit_ms <= TASK_LIMIT_MAX_MS ? 0 : -1;
	case MSG_RUN_VIEW:
		job->kind = WORKER_VIEW;
		job->u.view.columns = buf_get_u16(b);
		job->u.view.rows = buf_get_u16(b);
		job->u.view.looks = buf_get_u8(b);
		return buf_end(b) ? 0 : -1;
	default:
		job->kind = WORKER_CONSOLE;
		buf_get_cstring(b, job->u.console.user, sizeof(job->u.console.user));
		buf_get_cstring(b, job->u.console.term, sizeof(job->u.console.term));
		job->u.console.columns = buf_get_u16(b);
		job->u.console.rows = buf_get_u16(b);
		return buf_end(b) && name_is_user(job->u.console.user) ? 0 : -1;
	}
}

void worker_enter(const struct parent *p, enum role role, int link, int extra, pid_t parent)
{
	const int fds[2] = { link, extra }, at[2] = { WORKER_FD_LINK, WORKER_FD_EXTRA };
	struct rlimit few = { WORKER_FDS_MAX, WORKER_FDS_MAX };
	int high[2] = { -1, -1 }, next = WORKER_FD_LINK;
	char comm[16];

	forkmem_map();
	closelog(); /* its descriptor goes, too: the numbers below are ours */
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0 && (high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 10)) < 0)
			_exit(1);
	for (int i = 0; i < 2; i++)
		if (high[i] >= 0 && dup3(high[i], next = at[i], O_CLOEXEC) >= 0)
			next++;
	if (parent_child_signals(parent) != 0 || close_range((unsigned)next, ~0U, 0) != 0 ||
	    setrlimit(RLIMIT_NOFILE, &few) != 0 || setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }) != 0)
		_exit(1);
	snprintf(comm, sizeof(comm), "bastiond-%.6s", role_name(role));
	prctl(PR_SET_NAME, comm);
	log_init(role_name(role), p->foreground, (enum log_level)p->conf->log_level);
}

static bool has_terminal(const struct job *job)
{
	return job->kind == WORKER_CONSOLE || job->kind == WORKER_VIEW;
}

/* In the fork. Whatever parent had open is closed before the job begins. */
static void run_job(const struct parent *p, struct job *job, int fd, pid_t parent) __attribute__((noreturn));

static void run_job(const struct parent *p, struct job *job, int fd, pid_t parent)
{
	static const enum role roles[] = { ROLE_PAM, ROLE_DIAL, ROLE_HOOK, ROLE_TARGET, ROLE_CONSOLE, ROLE_VIEW };
	struct ipc link;

	worker_enter(p, roles[job->kind], fd, job->extra, parent);
	ipc_init(&link, WORKER_FD_LINK, roles[job->kind], has_terminal(job) ? ROLE_SESSION : ROLE_POLICY);
	if (job->kind == WORKER_PAM) {
		job->u.pam.record = WORKER_FD_EXTRA;
		worker_pam(p->conf, p->stack, &link, &job->u.pam);
	}
	if (job->kind == WORKER_DIAL)
		worker_dial(p->conf, &link, &job->u.dial);
	if (job->kind == WORKER_HOOK)
		worker_hook(p->conf, &link, &job->u.hook);
	if (job->kind == WORKER_TARGET)
		worker_target(p->conf, &link, &job->u.target);
	if (job->kind == WORKER_VIEW) {
		job->u.view.terminal = WORKER_FD_EXTRA;
		worker_view(p->conf, &link, &job->u.view);
	}
	job->u.console.terminal = WORKER_FD_EXTRA;
	worker_console(p->conf, &link, &job->u.console);
}

/* A viewer's is raw from the start: nothing that is typed early is echoed. */
static int open_terminal(struct job *job)
{
	bool view = job->kind == WORKER_VIEW;
	struct winsize size = {
		.ws_col = view ? job->u.view.columns : job->u.console.columns,
		.ws_row = view ? job->u.view.rows : job->u.console.rows,
	};
	struct termios raw = { .c_cflag = CS8 | CREAD };

	cfmakeraw(&raw);
	if (openpty(&job->mine, &job->extra, NULL, view ? &raw : NULL, &size) != 0)
		return -1;
	return fcntl(job->mine, F_SETFD, FD_CLOEXEC) == 0 && fcntl(job->extra, F_SETFD, FD_CLOEXEC) == 0 &&
	    fcntl(job->mine, F_SETFL, O_RDWR | O_NONBLOCK) == 0 ? 0 : -1;
}

/* The second descriptor of those that have one. 0 or -1; what is open then is the caller's in either case. */
static int open_extra(struct job *job)
{
	int fds[2];

	if (has_terminal(job))
		return open_terminal(job);
	if (job->kind != WORKER_PAM)
		return 0;
	/* O_DIRECT: what is written at once is read at once */
	if (pipe2(fds, O_DIRECT | O_NONBLOCK | O_CLOEXEC) != 0)
		return -1;
	job->mine = fds[0];
	job->extra = fds[1];
	return 0;
}

/* WORKER_DOWN without WORKER_UP: it never ran. */
static void tell_failed(struct parent *p, uint32_t id, const char *why)
{
	struct buf b;

	log_error("cannot run a worker: %s", why);
	buf_init(&b, 4);
	buf_put_u32(&b, 1 << 8);
	set_send(p, PROC_POLICY, MSG_WORKER_DOWN, id, &b, NULL, 0);
	buf_finish(&b);
}

/* It runs: policy hears of it, and what it will tell is parent's to read. */
static void note_child(struct parent *p, struct child *c, uint32_t id, struct job *job, int link)
{
	int fds[2] = { link, job->mine };
	/* a viewer's link is not ours: its terminal alone goes to policy */
	int first = link < 0, nfds = has_terminal(job) ? 2 - first : 1;

	c->id = id;
	c->abandoned = c->refused = false;
	c->slot = job->slot;
	c->record = -1;
	p->nchildren++;
	if (job->kind == WORKER_PAM) {
		c->record = job->mine;
		job->mine = -1;
	}
	set_send(p, PROC_POLICY, MSG_WORKER_UP, id, NULL, fds + first, nfds);
}

int children_run(struct parent *p, struct ipc_msg *m)
{
	struct child *c;
	int link[2] = { -1, -1 };
	pid_t self = getpid();
	struct job job;

	if (parse_job(&job, m) != 0)
		return -1;
	if (job.kind == WORKER_PAM)
		accept_proven(p, job.slot);
	if (p->nchildren >= p->conf->max_workers || p->nchildren == p->maxchildren) {
		tell_failed(p, m->id, "max_workers reached");
		return 0;
	}
	c = &p->children[p->nchildren];
	/* a viewer's link comes with the order: its other end is the watched session's */
	if (job.kind == WORKER_VIEW)
		link[1] = ipc_take_fd(m, 0);
	if (open_extra(&job) != 0 || (link[1] < 0 && ipc_pair(link) != 0) || (c->pid = fork()) < 0)
		tell_failed(p, m->id, strerror(errno));
	else if (c->pid == 0)
		run_job(p, &job, link[1], self);
	else
		note_child(p, c, m->id, &job, link[0]);
	for (int i = 0; i < 4; i++) {
		const int fds[] = { link[0], link[1], job.mine, job.extra };

		if (fds[i] >= 0)
			close(fds[i]);
	}
	return 0;
}

void children_kill(struct parent *p, uint32_t id)
{
	/* only parent reaps, so the pid still is this child's */
	for (size_t i = 0; i < p->nchildren; i++)
		if (p->children[i].id == id && !p->children[i].abandoned)
			kill(p->children[i].pid, SIGKILL);
}

void children_refused(struct parent *p, uint32_t slot)
{
	for (size_t i = 0; i < p->nchildren; i++)
		if (p->children[i].record >= 0 && p->children[i].slot == slot)
			p->children[i].refused = true;
}

/* The session that a PAM worker opened: its connection's, if it ended well and nobody takes it back. */
static void take_session(struct parent *p, const struct child *c, int status)
{
	struct pam_session *s = pam_session_read(c->record);

	close(c->record);
	if (s == NULL)
		return;
	if (status == 0 && !c->abandoned && !c->refused)
		accept_pam_session(p, c->slot, s);
	else
		pam_session_end(p, s);
}

bool children_reaped(struct parent *p, pid_t pid, int status)
{
	struct child *c = p->children;
	struct buf b;

	while (c < p->children + p->nchildren && c->pid != pid)
		c++;
	if (c == p->children + p->nchildren)
		return false;
	if (c->record >= 0)
		take_session(p, c, status);
	if (!c->abandoned) {
		buf_init(&b, 4);
		buf_put_u32(&b, (uint32_t)status);
		set_send(p, PROC_POLICY, MSG_WORKER_DOWN, c->id, &b, NULL, 0);
		buf_finish(&b);
	}
	/* set_send may have made the set fall, which marks but does not move */
	*c = p->children[--p->nchildren];
	return true;
}

void children_abandon(struct parent *p)
{
	for (size_t i = 0; i < p->nchildren; i++) {
		p->children[i].abandoned = true;
		kill(p->children[i].pid, SIGKILL);
	}
}
