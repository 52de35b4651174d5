/*
 * session_tunnel.h - `ssh -J`: a channel of the outer connection whose far end is an SSH server in this process. Role: session.
 */
#ifndef BASTION_SESSION_TUNNEL_H
#define BASTION_SESSION_TUNNEL_H

#include <libssh/libssh.h>

#include "ipc.h"

struct chan;
struct front;
struct session;
struct tunnel;

enum tunnel_answer {
	TUNNEL_NONE,	/* it names no host as one is named here */
	TUNNEL_FULL,	/* SESSION_TUNNELS_MAX */
	TUNNEL_ASKED	/* policy is: m is taken */
};

/* A direct-tcpip channel that the outer connection asks for. */
enum tunnel_answer tunnel_open(struct front *outer, ssh_message m);
void tunnel_policy(struct session *s, struct ipc_msg *m);	/* HOST_RE */
void tunnel_step(struct chan *c);
void tunnel_destroy(struct tunnel *t);
struct front *tunnel_front(struct tunnel *t);
int tunnel_fd(const struct tunnel *t);
short tunnel_events(const struct tunnel *t);			/* for poll(2); 0: nothing to wait for */

#endif
