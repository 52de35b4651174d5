/*
 * ipc.h - one end of a link between two roles: SOCK_SEQPACKET, one datagram a message, fds beside it.
 *
 * Wire (native to one build, both ends on one machine): u16 type, u16 zero, u32 id, body. ipc_recv checks
 * each message against the list in msg.h before anyone sees it. Links are non-blocking.
 */
#ifndef BASTION_IPC_H
#define BASTION_IPC_H

#include "buf.h"
#include "msg.h"

#define IPC_QUEUE_MAX (4U << 20) /* bytes waiting for a slow peer; past that the peer is given up */

struct ipc_out; /* a queued datagram */

struct ipc {
	int fd;
	enum role self, peer;
	unsigned state;		/* enum msg_state of what may come in; the owner moves it */
	size_t queued;		/* bytes waiting to be written */
	struct ipc_out *head, **tail;
	uint8_t seen[(MSG_COUNT + 7) / 8];
};

struct ipc_msg {
	enum msg_type type;
	uint32_t id;
	struct buf body;	/* a view: valid until the next ipc_recv in this process */
	int fds[MSG_FDS_MAX];	/* received; the handler sets to -1 what it keeps */
	int nfds;
};

/* A connected pair of links, close-on-exec, non-blocking. 0, or -1 with errno. */
int ipc_pair(int fds[2]);
/* Takes over fd, makes it non-blocking. */
void ipc_init(struct ipc *c, int fd, enum role self, enum role peer);
/* Closes and drops what was queued. Safe on a zeroed or finished struct (fd -1). */
void ipc_finish(struct ipc *c);

/*
 * Sends or queues one message; body may be NULL. The fds stay the caller's (they are duplicated if queued).
 * 0, or -1: EMSGSIZE/EPERM (not in the list: a bug here), ENOBUFS (the peer does not read), EPIPE (it is gone).
 */
int ipc_send(struct ipc *c, enum msg_type type, uint32_t id, const struct buf *body, const int *fds, int nfds);
/* A message with neither body nor fds. */
int ipc_send_empty(struct ipc *c, enum msg_type type, uint32_t id);
/* Writes what is queued. 0: all gone or would block; -1 with errno. Call on writability. */
int ipc_flush(struct ipc *c);
static inline bool ipc_wants_write(const struct ipc *c) { return c->head != NULL; }

/*
 * The next message: 1; 0 when none waits; -1 when the link is over: errno 0 end of file, EPERM a message that
 * is not permitted (logged), or the socket's error. Fds that came are closed by ipc_msg_finish unless set to -1.
 */
int ipc_recv(struct ipc *c, struct ipc_msg *m);
/* Takes fd number i out of the message: the caller owns it. -1 if there is none. */
int ipc_take_fd(struct ipc_msg *m, int i);
/* Closes the fds that nobody took, wipes the body. Call after each message received. */
void ipc_msg_finish(struct ipc_msg *m);

/* Blocks up to timeout_ms (-1: no limit) for one message: 1, 0 on time-out, -1 as ipc_recv. For workers and tools. */
int ipc_wait(struct ipc *c, struct ipc_msg *m, int timeout_ms);

#endif
