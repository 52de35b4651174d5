/*
 * role_session.c - master: everything a session needs is made ready once; each connection is then a fork.
 *
 * Role: master, and until session_run() the session. Before it: parent_accept.c. After it: session_loop.c.
 * Master reads nothing but its link to parent; a session inherits two SSH sessions that wait for a peer, the warmed libraries and three descriptors.
 */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drop.h"
#include "forkmem.h"
#include "ipc.h"
#include "keyfiles.h"
#include "log.h"
#include "roles.h"
#include "sandbox.h"
#include "session.h"
#include "ssh_setup.h"

/* Address space of a session: ways, holds and libssh's buffers fit; a leak or a hostile peer does not. */
#define SESSION_AS_MAX (1ULL << 30)
#define SESSION_FDS_MAX 256
#define PARENT_BURST 16		/* messages of parent in a turn: connections that come faster than they are forked leave it no end */

struct master {
	struct config *conf;
	struct ipc parent;
	struct ssh_service service;
	int sigs;		/* signalfd */
	struct child { uint32_t slot; pid_t pid; } *children;
	size_t nchildren, maxchildren;
};

static void limit(int what, rlim_t max)
{
	struct rlimit rl = { max, max };

	if (setrlimit(what, &rl) != 0)
		log_warn("session: setrlimit %d: %s", what, strerror(errno));
}

/*
 * libssh can be made to spin: a channel whose peer takes packets of 10 bytes is written to for ever. Policy would
 * notice after 10 s without PONG; a second or two of CPU in one turn is proof enough.
 */
static void on_cpu_second(int sig)
{
	static sig_atomic_t seen = -1;

	(void)sig;
	if (seen == session_turns)
		_exit(SESSION_SPINS);
	seen = session_turns;
}

static void watch_loop(void)
{
	const struct itimerval second = { { 1, 0 }, { 1, 0 } };
	struct sigaction sa = { .sa_handler = on_cpu_second, .sa_flags = SA_RESTART };

	if (sigaction(SIGPROF, &sa, NULL) != 0 || setitimer(ITIMER_PROF, &second, NULL) != 0)
		log_warn("session: no watch over its loop: %s", strerror(errno));
}

/* In the fork: this process is the session from here on. */
static void session_start(struct master *m, struct ipc_msg *msg) __attribute__((noreturn));

static void session_start(struct master *m, struct ipc_msg *msg)
{
	int client = ipc_take_fd(msg, 0), policy = ipc_take_fd(msg, 1), recorder = ipc_take_fd(msg, 2);
	struct buf start;
	sigset_t none;

	forkmem_map();
	/* die with master; parent sees master's end and ends the set */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() == 1)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	log_rename("session");
	close(m->parent.fd);
	close(m->sigs);
#ifndef __SANITIZE_ADDRESS__
	limit(RLIMIT_AS, SESSION_AS_MAX);
#endif
	limit(RLIMIT_NOFILE, SESSION_FDS_MAX);
	watch_loop();
	if (sandbox_enter(m->conf, ROLE_SESSION) != 0)
		_exit(1);
	buf_init(&start, 512);
	if (buf_put(&start, msg->body.data + msg->body.off, buf_left(&msg->body)) != 0)
		_exit(1);
	session_run(m->conf, &m->service, &start, client, policy, recorder);
}

static void report_down(struct master *m, uint32_t slot, int status, const struct rusage *ru)
{
	struct buf b;

	buf_init(&b, 64);
	buf_put_u32(&b, (uint32_t)status);
	buf_put_u64(&b, (uint64_t)(ru->ru_utime.tv_sec + ru->ru_stime.tv_sec) * 1000000 +
	    (uint64_t)(ru->ru_utime.tv_usec + ru->ru_stime.tv_usec));
	buf_put_u64(&b, (uint64_t)ru->ru_maxrss);
	if (ipc_send(&m->parent, MSG_SESSION_DOWN, slot, &b, NULL, 0) != 0)
		fatal("master: parent is gone: %s", strerror(errno));
	buf_finish(&b);
}

static void on_start(struct master *m, struct ipc_msg *msg)
{
	struct rusage none = { 0 };
	pid_t pid;

	if (m->nchildren >= m->conf->max_sessions || (pid = fork()) < 0) {
		log_error("master: cannot start a session: %s",
		    m->nchildren >= m->conf->max_sessions ? "max_sessions reached" : strerror(errno));
		report_down(m, msg->id, 1 << 8, &none);
		return;
	}
	if (pid == 0)
		session_start(m, msg);
	m->children[m->nchildren++] = (struct child){ msg->id, pid };
}

static void on_stop(struct master *m, uint32_t slot)
{
	/* only master reaps, so the pid still is this child's */
	for (size_t i = 0; i < m->nchildren; i++)
		if (m->children[i].slot == slot)
			kill(m->children[i].pid, SIGKILL);
}

static void reap(struct master *m)
{
	struct rusage ru;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG, &ru)) > 0)
		for (size_t i = 0; i < m->nchildren; i++)
			if (m->children[i].pid == pid) {
				report_down(m, m->children[i].slot, status, &ru);
				m->children[i] = m->children[--m->nchildren];
				break;
			}
}

static void complain(void *arg, const char *line)
{
	(void)arg;
	log_error("%s", line);
}

/* Room for so many sessions; those that run keep theirs. */
static int make_room(struct master *m, size_t sessions)
{
	struct child *bigger;

	if (sessions <= m->maxchildren)
		return 0;
	if ((bigger = realloc(m->children, sessions * sizeof(*bigger))) == NULL)
		return -1;
	m->children = bigger;
	m->maxchildren = sessions;
	return 0;
}

/* Options and host keys for the sessions to come. Those that run are processes of their own: nothing of theirs changes. */
static void on_reload(struct master *m, const int *fds)
{
	struct config *conf = config_load_fd(fds[0], "reload", complain, NULL);
	struct ssh_service service = { 0 };
	struct buf files;
	int r = -1;

	if (conf != NULL && keyfiles_read(fds[1], &files) == 0) {
		r = ssh_setup_service(&service, &files);
		buf_finish(&files);
	}
	if (r != 0 || ssh_setup_ready(&service) != 0 || make_room(m, conf->max_sessions) != 0) {
		log_error("reload: sessions go on with the options and host keys of before");
		ssh_setup_finish(&service);
		config_destroy(conf);
		return;
	}
	ssh_setup_finish(&m->service);
	m->service = service;
	config_destroy(m->conf);
	m->conf = conf;
	log_level_set((enum log_level)conf->log_level);
	/* as at the start: no holes in the heap that every session would copy */
	malloc_trim(0);
	log_notice("reload: options and host keys of new sessions");
}

static void read_parent(struct master *m)
{
	struct ipc_msg msg;
	int r = 1;

	for (int n = 0; n < PARENT_BURST && (r = ipc_recv(&m->parent, &msg)) > 0; n++) {
		if (msg.type == MSG_SESSION_START)
			on_start(m, &msg);
		else if (msg.type == MSG_MASTER_RELOAD)
			on_reload(m, msg.fds);
		else
			on_stop(m, msg.id);
		ipc_msg_finish(&msg);
	}
	if (r < 0)
		exit(errno == 0 ? 0 : 1);
}

static void loop(struct master *m)
{
	for (;;) {
		struct pollfd p[2] = {
			{ .fd = m->parent.fd, .events = POLLIN | (ipc_wants_write(&m->parent) ? POLLOUT : 0) },
			{ .fd = m->sigs, .events = POLLIN },
		};
		struct signalfd_siginfo si;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			fatal("master: poll: %s", strerror(errno));
		while (read(m->sigs, &si, sizeof(si)) == sizeof(si))
			if (si.ssi_signo == SIGTERM)
				exit(0);
		reap(m);
		read_parent(m);
		if (ipc_flush(&m->parent) != 0)
			exit(1);
	}
}

int role_session_try(const struct config *conf, int files)
{
	struct ssh_service service;
	struct buf bundle;
	int r;

	(void)conf;
	if (ssh_init() != SSH_OK || keyfiles_read(files, &bundle) != 0)
		return -1;
	if ((r = ssh_setup_service(&service, &bundle)) == 0)
		ssh_setup_finish(&service);
	buf_finish(&bundle);
	return r;
}

int role_session(struct config *conf)
{
	static const char *const libraries[] = { "libcrypto.so", "libssh.so", "ld-linux", NULL };
	struct master m = { .conf = conf };
	struct buf files;
	sigset_t set;
	int r;

	ipc_init(&m.parent, ROLE_FD_PARENT, ROLE_MASTER, ROLE_PARENT);
	if (ssh_init() != SSH_OK || keyfiles_own(conf->state_dir, ROLE_MASTER, &files) != 0)
		return 1;
	r = ssh_setup_service(&m.service, &files);
	buf_finish(&files);
	if (r != 0)
		return 1;
	if (make_room(&m, conf->max_sessions) != 0)
		fatal("master: no memory for %u sessions", conf->max_sessions);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if ((m.sigs = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) < 0)
		fatal("master: signalfd: %s", strerror(errno));
	/* what libraries open or compute lazily happens here, before the file system and the calls for it are gone */
	setenv("HOME", "/", 1);
	forkmem_prepare(libraries);
	if (ssh_setup_warm(&m.service) != 0 || ssh_setup_ready(&m.service) != 0 || drop_to(conf, ROLE_MASTER) != 0 ||
	    sandbox_prepare(ROLE_SESSION) != 0 || sandbox_enter(conf, ROLE_MASTER) != 0)
		return 1;
	/* the holes that the start left in the heap: each would be a page that a session copies to take some bytes of it */
	malloc_trim(0);
	if (ipc_send_empty(&m.parent, MSG_MASTER_READY, 0) != 0)
		return 1;
	loop(&m);
	return 0;
}
