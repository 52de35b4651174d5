/*
 * worker_space.h - a worker that runs foreign programs sees no process but its own. Roles hook and target.
 */
#ifndef BASTIOND_WORKER_SPACE_H
#define BASTIOND_WORKER_SPACE_H

#include "config.h"
#include "msg.h"

/*
 * Root, before drop_to(): makes a process namespace and a mount namespace. Returns 0 in a fork, which is the first process of the one and has in
 * the other a /proc of it alone; who called waits outside, dropped to the account of the role, ends as the fork ends, and takes it along if it is
 * killed. With the fork ends whatever was started in there.
 *
 * -1 with errno, in whichever process goes on: the kernel, or a container, has no such thing for us.
 */
int worker_space(const struct config *conf, enum role role);

#endif
