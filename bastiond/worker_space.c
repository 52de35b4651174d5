/*
 * worker_space.c - see worker_space.h. Roles hook and target; before it: parent_worker.c.
 *
 * /proc shows whatever processes the namespace of who mounts it has: so a process inside must do that, while it is still root. It goes on as the
 * worker. The first process of a namespace cannot be killed from inside, which suits: a program must not end the worker that bounds it. Nor
 * does a timer's signal end it, so that the time limit of last resort is kept by who waits outside.
 */
#include "worker_space.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drop.h"

/* Nothing of it but the end of a pipe that says it is there. */
static void wait_outside(const struct config *conf, enum role role, pid_t pid, int alive) __attribute__((noreturn));

static void wait_outside(const struct config *conf, enum role role, pid_t pid, int alive)
{
	int status;

	if (dup2(alive, 3) != 3 || close_range(4, ~0U, 0) != 0 || drop_to(conf, role) != 0)
		_exit(1); /* and so it ends */
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			_exit(1);
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		kill(getpid(), WTERMSIG(status));
	}
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

int worker_space(const struct config *conf, enum role role)
{
	int alive[2];
	pid_t pid;
	char c;

	if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || pipe2(alive, O_CLOEXEC | O_NONBLOCK) != 0)
		return -1;
	if ((pid = fork()) < 0)
		return -1;
	if (pid > 0)
		wait_outside(conf, role, pid, alive[1]);
	close(alive[1]);
	/* in there nobody outside has a number: that it still is there, the pipe says */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || read(alive[0], &c, 1) == 0)
		_exit(1);
	close(alive[0]);
	return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}
