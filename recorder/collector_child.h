/*
 * collector_child.h - a child of the collector with a link to it.
 */
#ifndef BASTION_COLLECTOR_CHILD_H
#define BASTION_COLLECTOR_CHILD_H

#include <sys/types.h>

/*
 * fork(2), with a pair of SOCK_SEQPACKET sockets between (flags: SOCK_NONBLOCK or 0; both are closed by exec): *link is the caller's
 * end in the parent, the child's end in the child. The child's id, 0 in the child; -1 with errno.
 */
pid_t coll_child(int flags, int *link);

#endif
