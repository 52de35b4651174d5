/*
 * worker_program.c - see worker_program.h. Roles hook and target.
 */
#include "worker_program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#define LINGER_MS 200		/* after its end, for what is still in its pipes */

/* At most so much; what is less already stays. */
static int bound(int resource, rlim_t most)
{
	struct rlimit rl;

	if (getrlimit(resource, &rl) != 0)
		return -1;
	rl.rlim_max = rl.rlim_max < most ? rl.rlim_max : most;
	rl.rlim_cur = rl.rlim_cur < most ? rl.rlim_cur : most;
	return setrlimit(resource, &rl);
}

static void start_program(const struct program *r, int in, int out, int err) __attribute__((noreturn));

/* In the fork: nothing of ours but three descriptors. */
static void start_program(const struct program *r, int in, int out, int err)
{
	sigset_t none;

	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	/* our death is its death: for a parent that kills this worker */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || setsid() < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0 ||
	    close_range(3, ~0U, 0) != 0 || bound(RLIMIT_FSIZE, r->file_max) != 0 ||
	    (r->crowd_max != 0 && bound(RLIMIT_NPROC, r->crowd_max) != 0) || sigprocmask(SIG_SETMASK, &none, NULL) != 0)
		_exit(126);
	execve(r->path, r->argv, r->env);
	_exit(127);
}

static int start(struct program *r)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 };

	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0 || (r->pid = fork()) < 0)
		return -1; /* the process ends, and what is open with it */
	if (r->pid == 0)
		start_program(r, in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	r->in_fd = in[1];
	r->out_fd = out[0];
	r->err_fd = err[0];
	return fcntl(r->in_fd, F_SETFL, O_NONBLOCK) | fcntl(r->out_fd, F_SETFL, O_NONBLOCK) | fcntl(r->err_fd, F_SETFL, O_NONBLOCK);
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void give(struct program *r)
{
	ssize_t n = write(r->in_fd, r->input + r->given, r->len - r->given);

	if (n > 0)
		r->given += (size_t)n;
	/* a program that does not read all of it may be content with less */
	if (r->given == r->len || (n < 0 && errno != EAGAIN && errno != EINTR))
		shut(&r->in_fd);
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

/* In a process namespace of our own: what it left behind, which nobody waits for. */
static void end_others(void)
{
	if (getpid() == 1)
		kill(-1, SIGKILL);
}

static void reap(struct program *r)
{
	int status;

	if (r->status >= 0 || waitpid(r->pid, &status, WNOHANG) != r->pid)
		return;
	r->status = status;
	end_others();
}

/* What its pipes have. False: it said too much. */
static bool serve(struct program *r, const struct pollfd *v, nfds_t n)
{
	if (v[0].revents != 0)
		give(r);
	if (v[1].revents != 0 && !take(&r->out_fd, r->out, r->out_max, &r->taken, false)) {
		snprintf(r->reason, sizeof(r->reason), "it answered more than %zu bytes", r->out_max);
		return false;
	}
	if (v[2].revents != 0)
		take(&r->err_fd, r->err, r->err_max, &r->said, true);
	if (n > 3)
		r->watched(r->arg, v + 3, n - 3);
	return true;
}

/* Until it ended and its pipes are empty, or its time is over. */
static void follow(struct program *r)
{
	uint64_t now, over = 0;

	while ((now = clock_mono_ms()) < r->end_ms && (over == 0 || now < over)) {
		struct pollfd v[3 + PROGRAM_WATCH_MAX] = {
			{ .fd = r->in_fd, .events = POLLOUT }, { .fd = r->out_fd, .events = POLLIN }, { .fd = r->err_fd, .events = POLLIN }
		};
		nfds_t n = 3;

		reap(r);
		if (r->status >= 0 && over == 0)
			over = now + LINGER_MS;
		if (r->status >= 0 && r->out_fd < 0)
			return;
		if (r->watch != NULL && r->status < 0)
			n += r->watch(r->arg, v + 3);
		/* a child's end has no descriptor here: it is looked for often, and its pipes say it earlier */
		if (poll(v, n, r->out_fd < 0 || r->status >= 0 ? 5 : 50) < 0) {
			if (errno != EINTR)
				break;
			continue;
		}
		if (!serve(r, v, n))
			return;
	}
	if (r->status < 0)
		snprintf(r->reason, sizeof(r->reason), "it took longer than %u ms", r->limit_ms);
}

void program_run(struct program *r)
{
	r->status = -1;
	r->pid = -1;
	r->in_fd = r->out_fd = r->err_fd = -1;
	r->taken = r->said = r->given = 0;
	r->reason[0] = '\0';
	if (start(r) == 0)
		follow(r);
	else
		snprintf(r->reason, sizeof(r->reason), "cannot start it: %s", strerror(errno));
	if (r->pid > 0) {
		kill(-r->pid, SIGKILL);
		kill(r->pid, SIGKILL);
		end_others();
	}
	shut(&r->in_fd);
	shut(&r->out_fd);
	shut(&r->err_fd);
	if (r->reason[0] == '\0' && WIFSIGNALED(r->status))
		snprintf(r->reason, sizeof(r->reason), "it was killed by signal %d", WTERMSIG(r->status));
}
