/*
 * ssh_readahead.c - see ssh_readahead.h. Role: session; linked into the daemon, inert in its other roles.
 *
 * Measured on bulk transfers: 256 times poll and recv a MiB become 4 and 4. The memory
 * of an idle connection stays what it was: the block exists only while a peer sends faster than 4 KiB a read.
 */
#include "ssh_readahead.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define FDS_MAX 256	/* as many as a session may have */
#define BLOCK (256 << 10)

static struct ahead {
	uint8_t *block;
	uint32_t off, len;	/* unread: off..len */
	uint8_t on, full;	/* full: the last read filled what libssh had room for */
	uint8_t held, ended;	/* held: the end is not shown; ended: it is there */
} table[FDS_MAX];

static struct ahead *find(int fd)
{
	return fd >= 0 && fd < FDS_MAX && table[fd].on != 0 ? &table[fd] : NULL;
}

static void drop(struct ahead *a)
{
	if (a->block != NULL)
		explicit_bzero(a->block, a->len);
	free(a->block);
	a->block = NULL;
	a->off = a->len = 0;
}

void ssh_readahead_start(int fd)
{
	if (fd < 0 || fd >= FDS_MAX)
		return;
	drop(&table[fd]);
	table[fd].on = 1;
	table[fd].full = table[fd].held = table[fd].ended = 0;
}

void ssh_readahead_hold_end(int fd)
{
	struct ahead *a = find(fd);

	if (a != NULL)
		a->held = 1;
}

bool ssh_readahead_at_end(int fd)
{
	const struct ahead *a = find(fd);

	return a != NULL && a->held != 0 && a->ended != 0;
}

void ssh_readahead_let_end(int fd)
{
	struct ahead *a = find(fd);

	if (a != NULL)
		a->held = 0;
}

void ssh_readahead_stop(int fd)
{
	struct ahead *a = find(fd);

	if (a == NULL)
		return;
	drop(a);
	a->on = a->held = 0;
}

bool ssh_readahead_pending(int fd)
{
	const struct ahead *a = find(fd);

	return a != NULL && a->off < a->len;
}

static ssize_t hand_out(struct ahead *a, void *buf, size_t len)
{
	size_t n = a->len - a->off < len ? a->len - a->off : len;

	memcpy(buf, a->block + a->off, n);
	a->off += (uint32_t)n;
	return (ssize_t)n;
}

/* recv(2), as libssh finds it. */
ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	struct ahead *a = flags == 0 ? find(fd) : NULL;
	ssize_t n;

	if (a == NULL)
		return recvfrom(fd, buf, len, flags, NULL, NULL);
	if (a->off < a->len)
		return hand_out(a, buf, len);
	/* the small read stays small until a peer fills it: no copy, no memory for somebody who types */
	if (a->full == 0 || (a->block == NULL && (a->block = malloc(BLOCK)) == NULL)) {
		n = recvfrom(fd, buf, len, 0, NULL, NULL);
		a->full = n == (ssize_t)len;
		return n;
	}
	n = recvfrom(fd, a->block, BLOCK, MSG_DONTWAIT, NULL, NULL);
	a->off = 0;
	a->len = n > 0 ? (uint32_t)n : 0;
	if (n < (ssize_t)len) {
		a->full = 0;
		if (n <= 0) {
			int saved = errno;

			drop(a);
			errno = saved;
			return n;
		}
	}
	n = hand_out(a, buf, len);
	if (a->full == 0 && a->off == a->len)
		drop(a);
	return n;
}

/* send(2), as libssh finds it. */
ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	const struct ahead *a = find(fd);
	ssize_t n = sendto(fd, buf, len, flags, NULL, 0);

	if (n < 0 && a != NULL && a->held != 0 && (errno == EPIPE || errno == ECONNRESET))
		return (ssize_t)len; /* what the peer sent before it left is still on its way */
	return n;
}

/* How many of these have bytes in memory that their caller asks for; their revents are set, the others' are 0. */
static int from_memory(struct pollfd *p, nfds_t n)
{
	int found = 0;

	for (nfds_t i = 0; i < n; i++) {
		const struct ahead *a = find(p[i].fd);

		p[i].revents = a != NULL && a->off < a->len ? p[i].events & POLLIN : 0;
		found += p[i].revents != 0;
	}
	return found;
}

/* ppoll(2) that says, of descriptors whose end is held back, when the peer sends no more. */
static int poll_ends(struct pollfd *p, nfds_t n, const struct timespec *ts)
{
	int r;

	for (nfds_t i = 0; i < n; i++) {
		const struct ahead *a = find(p[i].fd);

		if (a != NULL && a->held != 0)
			p[i].events |= POLLRDHUP;
	}
	r = ppoll(p, n, ts, NULL);
	for (nfds_t i = 0; i < n; i++) {
		const struct ahead *a = find(p[i].fd);

		if (a != NULL && a->held != 0)
			p[i].events &= (short)~POLLRDHUP;
	}
	return r;
}

/* The kernel's word about a descriptor, without an end that is held back. */
static void hide_end(struct ahead *a, struct pollfd *p)
{
	const short gone = POLLRDHUP | POLLHUP | POLLERR;
	uint8_t byte;

	if ((p->revents & gone) == 0)
		return;
	if (a->off == a->len && recvfrom(p->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL) <= 0) {
		a->ended = 1;
		p->revents &= (short)~POLLIN;
	}
	if ((p->revents & (POLLHUP | POLLERR)) != 0)
		p->revents |= p->events & POLLOUT; /* send() takes it */
	p->revents &= (short)~gone;
}

/* poll(2), as libssh finds it. (With _FORTIFY_SOURCE our own files call another symbol: they ask ssh_readahead_pending.) */
int poll(struct pollfd *p, nfds_t n, int timeout)
{
	struct timespec ts = { timeout / 1000, (long)(timeout % 1000) * 1000000 };
	int found = from_memory(p, n), r;

	/* one descriptor, read only, served from memory: the kernel has nothing to add */
	if (found == 1 && n == 1 && p[0].events == POLLIN)
		return 1;
	if (found != 0)
		ts = (struct timespec){ 0, 0 };
	if ((r = poll_ends(p, n, timeout < 0 && found == 0 ? NULL : &ts)) < 0)
		return r;
	/* the kernel does not know of the bytes in memory, nor libssh of what is held back */
	r = 0;
	for (nfds_t i = 0; i < n; i++) {
		struct ahead *a = find(p[i].fd);

		if (a != NULL && a->held != 0)
			hide_end(a, &p[i]);
		if (a != NULL && a->off < a->len)
			p[i].revents |= p[i].events & POLLIN;
		r += p[i].revents != 0;
	}
	return r;
}
