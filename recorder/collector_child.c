/*
 * collector_child.c - see collector_child.h. Runs in bastion-collectord at its start.
 */
#include "collector_child.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

pid_t coll_child(int flags, int *link)
{
	int fds[2], e;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0, fds) != 0)
		return -1;
	pid = fork();
	e = errno;
	*link = fds[pid == 0];
	close(fds[pid != 0]);
	if (pid < 0)
		close(fds[0]);
	errno = e;
	return pid;
}
