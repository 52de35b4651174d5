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
#include <unistd.h>

#include "log.h"
#include "parent.h"
#include "worker.h"

#define WORKER_FD_LINK 3
#define WORKER_FD_TERMINAL 4
#define WORKER_FDS_MAX 64 /* libedit, the resolver and PAM modules need a few */

enum worker_kind { WORKER_PAM, WORKER_DIAL, WORKER_CONSOLE };

struct job {
	enum worker_kind kind;
	union {
		struct pam_job pam;
		struct dial_job dial;
		struct console_job console;
	} u;
};

int children_init(struct parent *p)
{
	p->maxchildren = p->conf->max_workers;
	p->children = calloc(p->maxchildren, sizeof(*p->children));
	return p->children != NULL ? 0 : -1;
}

static int parse_job(struct job *job, struct ipc_msg *m)
{
	struct buf *b = &m->body;

	*job = (struct job){ 0 };
	switch (m->type) {
	case MSG_RUN_PAM:
		job->kind = WORKER_PAM;
		buf_get_cstring(b, job->u.pam.user, sizeof(job->u.pam.user));
		buf_get_cstring(b, job->u.pam.peer, sizeof(job->u.pam.peer));
		buf_get(b, 16);
		job->u.pam.token = buf_get_u64(b);
		return buf_end(b) && name_is_user(job->u.pam.user) ? 0 : -1;
	case MSG_RUN_DIAL:
		job->kind = WORKER_DIAL;
		buf_get_cstring(b, job->u.dial.host, sizeof(job->u.dial.host));
		job->u.dial.port = buf_get_u16(b);
		job->u.dial.limit_ms = buf_get_u32(b);
		return buf_end(b) && job->u.dial.host[0] != '\0' && job->u.dial.port != 0 ? 0 : -1;
	default:
		job->kind = WORKER_CONSOLE;
		buf_get_cstring(b, job->u.console.user, sizeof(job->u.console.user));
		buf_get_cstring(b, job->u.console.term, sizeof(job->u.console.term));
		job->u.console.columns = buf_get_u16(b);
		job->u.console.rows = buf_get_u16(b);
		return buf_end(b) && name_is_user(job->u.console.user) ? 0 : -1;
	}
}

/* In the fork. Whatever parent had open is closed before the job begins. */
static void run_job(const struct parent *p, struct job *job, int fd, int terminal, pid_t parent)
	__attribute__((noreturn));

static void run_job(const struct parent *p, struct job *job, int fd, int terminal, pid_t parent)
{
	static const struct { const char *log, *comm; enum role role; } names[] = {
		[WORKER_PAM] = { "pam", "bastiond-pam", ROLE_PAM },
		[WORKER_DIAL] = { "dial", "bastiond-dial", ROLE_DIAL },
		[WORKER_CONSOLE] = { "console", "bastiond-cons", ROLE_CONSOLE },
	};
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 10), high_terminal = terminal >= 0 ? fcntl(terminal, F_DUPFD_CLOEXEC, 10) : -1;
	struct rlimit few = { WORKER_FDS_MAX, WORKER_FDS_MAX };
	struct ipc link;

	closelog(); /* its descriptor goes, too: the numbers below are ours */
	if (parent_child_signals(parent) != 0 || high < 0 || dup3(high, WORKER_FD_LINK, O_CLOEXEC) < 0 ||
	    (terminal >= 0 && dup3(high_terminal, WORKER_FD_TERMINAL, O_CLOEXEC) < 0) ||
	    close_range(terminal >= 0 ? WORKER_FD_TERMINAL + 1 : WORKER_FD_LINK + 1, ~0U, 0) != 0 ||
	    setrlimit(RLIMIT_NOFILE, &few) != 0 || setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }) != 0)
		_exit(1);
	prctl(PR_SET_NAME, names[job->kind].comm);
	log_init(names[job->kind].log, p->foreground, (enum log_level)p->conf->log_level);
	ipc_init(&link, WORKER_FD_LINK, names[job->kind].role, job->kind == WORKER_CONSOLE ? ROLE_SESSION : ROLE_POLICY);
	if (job->kind == WORKER_PAM)
		worker_pam(p->conf, &link, &job->u.pam);
	if (job->kind == WORKER_DIAL)
		worker_dial(p->conf, &link, &job->u.dial);
	job->u.console.terminal = WORKER_FD_TERMINAL;
	worker_console(p->conf, &link, &job->u.console);
}

static int open_terminal(const struct console_job *job, int *master, int *slave)
{
	struct winsize size = { .ws_col = job->columns, .ws_row = job->rows };

	if (openpty(master, slave, NULL, NULL, &size) != 0)
		return -1;
	if (fcntl(*master, F_SETFD, FD_CLOEXEC) == 0 && fcntl(*slave, F_SETFD, FD_CLOEXEC) == 0 &&
	    fcntl(*master, F_SETFL, O_RDWR | O_NONBLOCK) == 0)
		return 0;
	close(*master);
	close(*slave);
	return -1;
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

int children_run(struct parent *p, struct ipc_msg *m)
{
	int link[2] = { -1, -1 }, fds[2], master = -1, slave = -1;
	struct child *c = &p->children[p->nchildren];
	pid_t self = getpid();
	struct job job;

	if (parse_job(&job, m) != 0)
		return -1;
	if (p->nchildren == p->maxchildren) {
		tell_failed(p, m->id, "max_workers reached");
		return 0;
	}
	if ((job.kind == WORKER_CONSOLE && open_terminal(&job.u.console, &master, &slave) != 0) || ipc_pair(link) != 0 ||
	    (c->pid = fork()) < 0) {
		tell_failed(p, m->id, strerror(errno));
	} else if (c->pid == 0) {
		run_job(p, &job, link[1], slave, self);
	} else {
		c->id = m->id;
		c->abandoned = false;
		p->nchildren++;
		fds[0] = link[0];
		fds[1] = master;
		set_send(p, PROC_POLICY, MSG_WORKER_UP, m->id, NULL, fds, master >= 0 ? 2 : 1);
	}
	for (int i = 0; i < 2; i++)
		if (link[i] >= 0)
			close(link[i]);
	if (master >= 0)
		close(master);
	if (slave >= 0)
		close(slave);
	return 0;
}

void children_kill(struct parent *p, uint32_t id)
{
	/* only parent reaps, so the pid still is this child's */
	for (size_t i = 0; i < p->nchildren; i++)
		if (p->children[i].id == id && !p->children[i].abandoned)
			kill(p->children[i].pid, SIGKILL);
}

bool children_reaped(struct parent *p, pid_t pid, int status)
{
	struct child *c = p->children;
	struct buf b;

	while (c < p->children + p->nchildren && c->pid != pid)
		c++;
	if (c == p->children + p->nchildren)
		return false;
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
