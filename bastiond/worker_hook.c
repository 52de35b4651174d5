/*
 * worker_hook.c - one run of an administrator's program: JSON in at its standard input, an answer out, an end.
 *
 * Role hook, a fork of parent. Before it: policy_hook.c, which said which hook and what goes in; the program's path is parent's to
 * know, from its own configuration. No shell, no argument, a clean environment, an account of its own, a process namespace of its own
 * (what it leaves behind ends with it), and a time after which it is killed. What is not an exit status 0 in time is a failure: what that
 * means is the asker's to say, and it never means yes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "drop.h"
#include "escape.h"
#include "log.h"
#include "worker.h"

#define SAID_MAX 1024		/* of standard error, for the log */
#define LINGER_MS 200		/* after its end, for what is still in its pipes */
#define FILES_MAX (64UL << 20)	/* bytes of a file that it may write */

struct run {
	const struct hook_job *job;
	const char *program;
	pid_t pid;
	int in, out, err;		/* our ends; -1: closed */
	size_t given, taken, said;
	int status;			/* of waitpid(); -1: it runs */
	char answer[HOOK_OUT_MAX + 1], noise[SAID_MAX + 1];
	char reason[256];		/* why there is no answer; "": there is */
};

static void start_program(const struct run *r, int in, int out, int err) __attribute__((noreturn));

/* In the fork: nothing of ours but three descriptors. */
static void start_program(const struct run *r, int in, int out, int err)
{
	static char path[] = "PATH=/usr/local/bin:/usr/bin:/bin", lang[] = "LANG=C.UTF-8", home[] = "HOME=/", shell[] = "SHELL=/bin/sh";
	char name[512], hook[64];
	char *const argv[] = { name, NULL }, *const env[] = { path, lang, home, shell, hook, NULL };
	const struct rlimit files = { FILES_MAX, FILES_MAX };
	sigset_t none;

	snprintf(name, sizeof(name), "%s", r->program);
	snprintf(hook, sizeof(hook), "BASTIOND_HOOK=%s", hook_name(r->job->kind));
	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	/* our death is its death: for a parent that kills this worker */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || setsid() < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0 ||
	    close_range(3, ~0U, 0) != 0 || setrlimit(RLIMIT_FSIZE, &files) != 0 || sigprocmask(SIG_SETMASK, &none, NULL) != 0)
		_exit(126);
	execve(r->program, argv, env);
	_exit(127);
}

static int start(struct run *r)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 };

	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0 || (r->pid = fork()) < 0) {
		snprintf(r->reason, sizeof(r->reason), "cannot start it: %s", strerror(errno));
		return -1; /* the process ends, and what is open with it */
	}
	if (r->pid == 0)
		start_program(r, in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	r->in = in[1];
	r->out = out[0];
	r->err = err[0];
	return fcntl(r->in, F_SETFL, O_NONBLOCK) | fcntl(r->out, F_SETFL, O_NONBLOCK) | fcntl(r->err, F_SETFL, O_NONBLOCK);
}

static void shut(int *fd)
{
	close(*fd);
	*fd = -1;
}

static void give(struct run *r)
{
	ssize_t n = write(r->in, r->job->input + r->given, r->job->len - r->given);

	if (n > 0)
		r->given += (size_t)n;
	/* a program that does not read all of it may be content with less */
	if (r->given == r->job->len || (n < 0 && errno != EAGAIN && errno != EINTR))
		shut(&r->in);
}

/* More than fits ends it: false. Noise is cut instead. */
static bool take(int *fd, char *to, size_t max, size_t *have, bool cut)
{
	char spare[512];
	const size_t room = max - *have;
	ssize_t n = read(*fd, room > 0 ? to + *have : spare, room > 0 ? room : sizeof(spare));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		shut(fd);
	if (n > 0 && room > 0)
		*have += (size_t)n;
	return cut || n <= 0 || room > 0;
}

static void reap(struct run *r)
{
	int status;

	if (r->status < 0 && waitpid(r->pid, &status, WNOHANG) == r->pid)
		r->status = status;
}

/* Until it ended and its pipes are empty, or its time is over. */
static void follow(struct run *r, uint64_t end_ms)
{
	uint64_t now, over = 0;

	while ((now = clock_mono_ms()) < end_ms && (over == 0 || now < over)) {
		struct pollfd v[] = { { .fd = r->in, .events = POLLOUT }, { .fd = r->out, .events = POLLIN }, { .fd = r->err, .events = POLLIN } };

		reap(r);
		if (r->status >= 0 && over == 0)
			over = now + LINGER_MS;
		if (r->status >= 0 && r->out < 0)
			return;
		/* a child's end has no descriptor here: it is looked for often, and its pipes say it earlier */
		if (poll(v, 3, r->out < 0 || r->status >= 0 ? 5 : 50) < 0 && errno != EINTR)
			break;
		if (v[0].revents != 0)
			give(r);
		if (v[1].revents != 0 && !take(&r->out, r->answer, HOOK_OUT_MAX, &r->taken, false)) {
			snprintf(r->reason, sizeof(r->reason), "it answered more than %d bytes", HOOK_OUT_MAX);
			return;
		}
		if (v[2].revents != 0)
			take(&r->err, r->noise, SAID_MAX, &r->said, true);
	}
	if (r->status < 0)
		snprintf(r->reason, sizeof(r->reason), "it took longer than %u ms", r->job->limit_ms);
}

static void judge(struct run *r)
{
	char safe[2 * SAID_MAX];

	if (r->reason[0] == '\0' && WIFSIGNALED(r->status))
		snprintf(r->reason, sizeof(r->reason), "it was killed by signal %d", WTERMSIG(r->status));
	else if (r->reason[0] == '\0' && WEXITSTATUS(r->status) == 127)
		snprintf(r->reason, sizeof(r->reason), "it cannot be run: is it there, executable, and its interpreter too?");
	else if (r->reason[0] == '\0' && WEXITSTATUS(r->status) != 0)
		snprintf(r->reason, sizeof(r->reason), "its exit status was %d", WEXITSTATUS(r->status));
	if (r->said > 0) {
		esc_text(safe, sizeof(safe), r->noise, r->said);
		log_warn("%s says: %s", r->program, safe);
	}
	if (r->reason[0] != '\0')
		log_warn("%s: %s", r->program, r->reason);
}

static int report(const struct run *r, struct ipc *link)
{
	struct buf b;
	int sent;

	buf_init(&b, HOOK_OUT_MAX + 1024);
	buf_put_u8(&b, r->reason[0] == '\0');
	buf_put_string(&b, r->answer, r->reason[0] == '\0' ? r->taken : 0);
	buf_put_cstring(&b, r->reason);
	sent = ipc_send(link, MSG_HOOK_DONE, 0, &b, NULL, 0);
	buf_finish(&b);
	return sent;
}

const char *hook_name(enum hook_kind kind)
{
	return kind == HOOK_TICKET ? "ticket_check" : "notify";
}

void worker_hook(const struct config *conf, struct ipc *link, const struct hook_job *job)
{
	static struct run r;
	const uint64_t end_ms = clock_mono_ms() + job->limit_ms;
	const struct itimerval late = { .it_value = { .tv_sec = job->limit_ms / 1000 + 3 } };

	r = (struct run){ .job = job, .in = -1, .out = -1, .err = -1, .status = -1,
		.program = job->kind == HOOK_TICKET ? conf->ticket_check : conf->notify };
	signal(SIGPIPE, SIG_IGN);
	setitimer(ITIMER_REAL, &late, NULL);
	if (unshare(CLONE_NEWPID) != 0)
		log_warn("no process namespace of its own for a hook (%s): what it leaves behind stays", strerror(errno));
	if (drop_to(conf, ROLE_HOOK) != 0)
		_exit(1);
	if (r.program[0] == '\0')
		snprintf(r.reason, sizeof(r.reason), "%s is not configured any more", hook_name(job->kind));
	else if (start(&r) == 0)
		follow(&r, end_ms);
	else if (r.reason[0] == '\0')
		snprintf(r.reason, sizeof(r.reason), "cannot start it: %s", strerror(errno));
	if (r.pid > 0) {
		kill(-r.pid, SIGKILL);
		kill(r.pid, SIGKILL);
	}
	judge(&r);
	_exit(report(&r, link) == 0 ? 0 : 1);
}
