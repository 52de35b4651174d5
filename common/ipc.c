/*
 * ipc.c - see ipc.h. Runs in every role: the only code that reads or writes a link.
 */
#include "ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

struct ipc_head {
	uint16_t type, zero;
	uint32_t id;
};

struct ipc_out {
	struct ipc_out *next;
	int fds[MSG_FDS_MAX];
	int nfds;
	size_t len;
	uint8_t data[];
};

/* One datagram and a byte more, so that a longer one is seen as such. One a process: links do not nest. */
static uint8_t inbox[sizeof(struct ipc_head) + MSG_MAX + 1];

int ipc_pair(int fds[2])
{
	const int room = 1 << 20;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
		return -1;
	/* Root may pass the system's limit; without it the default serves, and the queue takes the rest. */
	for (int i = 0; i < 2; i++)
		if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) != 0)
			setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	return 0;
}

void ipc_init(struct ipc *c, int fd, enum role self, enum role peer)
{
	int flags = fcntl(fd, F_GETFL);

	*c = (struct ipc){ .fd = fd, .self = self, .peer = peer, .state = S_NEW };
	c->tail = &c->head;
	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static void out_destroy(struct ipc_out *o)
{
	for (int i = 0; i < o->nfds; i++)
		close(o->fds[i]);
	explicit_bzero(o->data, o->len);
	free(o);
}

void ipc_finish(struct ipc *c)
{
	struct ipc_out *o, *next;

	for (o = c->head; o != NULL; o = next) {
		next = o->next;
		out_destroy(o);
	}
	if (c->fd >= 0 && c->tail != NULL)
		close(c->fd);
	*c = (struct ipc){ .fd = -1 };
}

static int send_datagram(int fd, struct iovec *iov, size_t iovlen, const int *fds, int nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * MSG_FDS_MAX)];
	} control;
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = iovlen };

	if (nfds > 0) {
		struct cmsghdr *ch;

		memset(&control, 0, sizeof(control));
		mh.msg_control = control.space;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
		ch = CMSG_FIRSTHDR(&mh);
		ch->cmsg_level = SOL_SOCKET;
		ch->cmsg_type = SCM_RIGHTS;
		ch->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
		memcpy(CMSG_DATA(ch), fds, sizeof(int) * (size_t)nfds);
	}
	for (;;) {
		if (sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (errno != EINTR)
			return -1;
	}
}

static int enqueue(struct ipc *c, const struct iovec iov[2], const int *fds, int nfds)
{
	size_t len = iov[0].iov_len + iov[1].iov_len;
	struct ipc_out *o;

	if (c->queued + len > IPC_QUEUE_MAX) {
		errno = ENOBUFS;
		return -1;
	}
	if ((o = malloc(sizeof(*o) + len)) == NULL)
		return -1;
	o->next = NULL;
	o->nfds = 0;
	o->len = len;
	memcpy(o->data, iov[0].iov_base, iov[0].iov_len);
	if (iov[1].iov_len != 0)
		memcpy(o->data + iov[0].iov_len, iov[1].iov_base, iov[1].iov_len);
	for (int i = 0; i < nfds; i++) {
		if ((o->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3)) < 0) {
			out_destroy(o);
			return -1;
		}
		o->nfds++;
	}
	*c->tail = o;
	c->tail = &o->next;
	c->queued += len;
	return 0;
}

int ipc_send(struct ipc *c, enum msg_type type, uint32_t id, const struct buf *body, const int *fds, int nfds)
{
	struct ipc_head head = { .type = (uint16_t)type, .id = id };
	struct iovec iov[2] = {
		{ &head, sizeof(head) },
		{ body != NULL ? body->data : NULL, body != NULL ? body->len : 0 },
	};
	const struct msg_rule *rule = msg_rule(type);

	if (rule == NULL || rule->from != c->self || rule->to != c->peer || (body != NULL && body->bad)) {
		errno = EPERM;
		return -1;
	}
	if (iov[1].iov_len > rule->max || nfds > MSG_FDS_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	if (c->head == NULL) {
		if (send_datagram(c->fd, iov, 2, fds, nfds) == 0)
			return 0;
		if (errno != EAGAIN && errno != ENOBUFS)
			return -1;
	}
	return enqueue(c, iov, fds, nfds);
}

int ipc_send_empty(struct ipc *c, enum msg_type type, uint32_t id)
{
	return ipc_send(c, type, id, NULL, NULL, 0);
}

int ipc_flush(struct ipc *c)
{
	while (c->head != NULL) {
		struct ipc_out *o = c->head;
		struct iovec iov = { o->data, o->len };

		if (send_datagram(c->fd, &iov, 1, o->fds, o->nfds) != 0)
			return errno == EAGAIN || errno == ENOBUFS ? 0 : -1;
		if ((c->head = o->next) == NULL)
			c->tail = &c->head;
		c->queued -= o->len;
		out_destroy(o);
	}
	return 0;
}

/* Collects the fds of a datagram; what is over the limit was cut by the kernel and shows as MSG_CTRUNC. */
static void take_control(struct msghdr *mh, struct ipc_msg *m)
{
	for (struct cmsghdr *ch = CMSG_FIRSTHDR(mh); ch != NULL; ch = CMSG_NXTHDR(mh, ch)) {
		size_t n;

		if (ch->cmsg_level != SOL_SOCKET || ch->cmsg_type != SCM_RIGHTS)
			continue;
		n = (ch->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(ch) + i * sizeof(int), sizeof(int));
			if (m->nfds < MSG_FDS_MAX)
				m->fds[m->nfds++] = fd;
			else
				close(fd);
		}
	}
}

static bool check(struct ipc *c, struct ipc_msg *m, const struct ipc_head *head, size_t body, bool cut)
{
	bool seen = head->type < MSG_COUNT && (c->seen[head->type / 8] & (1 << head->type % 8)) != 0;

	if (cut || head->zero != 0 ||
	    !msg_permitted(head->type, c->peer, c->self, c->state, body, m->nfds, seen)) {
		log_error("message %s (%u) from %s is not permitted here (state %u, %zu bytes, %d fds): peer ended",
		    msg_name(head->type), head->type, role_name(c->peer), c->state, body, m->nfds);
		errno = EPERM;
		return false;
	}
	c->seen[head->type / 8] |= (uint8_t)(1 << head->type % 8);
	return true;
}

int ipc_recv(struct ipc *c, struct ipc_msg *m)
{
	char control[CMSG_SPACE(sizeof(int) * MSG_FDS_MAX)] __attribute__((aligned(sizeof(size_t))));
	struct iovec iov = { inbox, sizeof(inbox) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct ipc_head head;
	int reset = 0;
	ssize_t n;

	*m = (struct ipc_msg){ .type = MSG_NONE };
	do {
		n = recvmsg(c->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		/* a peer that left with something of ours unread: said once, before its own last words, which are still there */
	} while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !reset++)));
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	take_control(&mh, m);
	if (n == 0 && m->nfds == 0) {
		errno = 0;
		return -1;
	}
	if ((size_t)n < sizeof(head)) {
		ipc_msg_finish(m);
		errno = EPERM;
		return -1;
	}
	memcpy(&head, inbox, sizeof(head));
	if (!check(c, m, &head, (size_t)n - sizeof(head), (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)) {
		ipc_msg_finish(m);
		errno = EPERM;
		return -1;
	}
	m->type = (enum msg_type)head.type;
	m->id = head.id;
	buf_view(&m->body, inbox + sizeof(head), (size_t)n - sizeof(head));
	return 1;
}

int ipc_take_fd(struct ipc_msg *m, int i)
{
	int fd;

	if (i >= m->nfds)
		return -1;
	fd = m->fds[i];
	m->fds[i] = -1;
	return fd;
}

void ipc_msg_finish(struct ipc_msg *m)
{
	for (int i = 0; i < m->nfds; i++)
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	if (m->body.len != 0)
		explicit_bzero(m->body.data, m->body.len);
	*m = (struct ipc_msg){ .type = MSG_NONE };
}

int ipc_wait(struct ipc *c, struct ipc_msg *m, int timeout_ms)
{
	uint64_t end = timeout_ms < 0 ? 0 : clock_mono_ms() + (uint64_t)timeout_ms;

	for (;;) {
		struct pollfd p = { .fd = c->fd, .events = POLLIN | (ipc_wants_write(c) ? POLLOUT : 0) };
		uint64_t now = clock_mono_ms();
		int r = ipc_recv(c, m);

		if (r != 0)
			return r;
		if (timeout_ms >= 0 && now >= end)
			return 0;
		if (poll(&p, 1, timeout_ms < 0 ? -1 : (int)(end - now)) < 0 && errno != EINTR)
			return -1;
		if (ipc_flush(c) != 0)
			return -1;
	}
}
