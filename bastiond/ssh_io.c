/*
 * ssh_io.c - see ssh_io.h. Role: session; linked into the daemon, inert in its other roles.
 *
 * Measured on bulk transfers: 256 times poll and recv a MiB become 4 and 4, and of a poll and a send for each packet one send a turn
 * is left. The memory of an idle connection stays what it was: the blocks exist only while a peer sends faster than 4 KiB a read, and
 * while something is written.
 */
#include "ssh_io.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

#define FDS_MAX 256	/* as many as a session may have */
#define BLOCK (256 << 10)
#define OUT_MAX (128U << 10)	/* bytes gathered; past OUT_SOFT libssh is told to wait */
#define OUT_SOFT (64U << 10)
#define OUT_SMALL 2048		/* as much as somebody who types makes in a turn */

static struct io {
	uint8_t *block;
	uint32_t off, len;	/* unread: off..len */
	uint8_t on, full;	/* full: the last read filled what libssh had room for */
	uint8_t held, ended;	/* held: the end is not shown; ended: it is there */
	uint8_t writable;	/* the kernel said so, and nothing was sent since: it still is */
	uint8_t deaf;		/* there is nothing to read, for libssh */
	uint8_t gather, stuck;	/* gather: writes go into `out`; stuck: the kernel took no more of it */
	int error;		/* that of one that was gathered, for the next */
	uint8_t *out;
	uint32_t out_off, out_len; /* unwritten: out_off..out_len, */
	size_t out_cap;		/* in so much memory */
} table[FDS_MAX];

static struct io *find(int fd)
{
	return fd >= 0 && fd < FDS_MAX && table[fd].on != 0 ? &table[fd] : NULL;
}

static void drop(struct io *a)
{
	if (a->block != NULL)
		explicit_bzero(a->block, a->len);
	free(a->block);
	a->block = NULL;
	a->off = a->len = 0;
}

void ssh_io_start(int fd)
{
	if (fd < 0 || fd >= FDS_MAX)
		return;
	drop(&table[fd]);
	free(table[fd].out);
	table[fd] = (struct io){ .on = 1 };
}

void ssh_io_hold_end(int fd)
{
	struct io *a = find(fd);

	if (a != NULL)
		a->held = 1;
}

bool ssh_io_at_end(int fd)
{
	const struct io *a = find(fd);

	return a != NULL && a->held != 0 && a->ended != 0;
}

void ssh_io_let_end(int fd)
{
	struct io *a = find(fd);

	if (a != NULL)
		a->held = 0;
}

bool ssh_io_pending(int fd)
{
	const struct io *a = find(fd);

	return a != NULL && a->off < a->len && a->deaf == 0;
}

void ssh_io_deaf(int fd, bool deaf)
{
	struct io *a = find(fd);

	if (a != NULL)
		a->deaf = deaf;
}

static ssize_t hand_out(struct io *a, void *buf, size_t len)
{
	size_t n = a->len - a->off < len ? a->len - a->off : len;

	memcpy(buf, a->block + a->off, n);
	a->off += (uint32_t)n;
	return (ssize_t)n;
}

static int received = -1;

int ssh_io_received(void)
{
	return received;
}

/* recv(2), as libssh finds it. */
ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	struct io *a = flags == 0 ? find(fd) : NULL;
	ssize_t n;

	received = fd;
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

/* --- writing --- */

/* A write that failed for want of a peer, of whom libssh is not to know yet. */
static bool unseen(const struct io *a, ssize_t n)
{
	return n < 0 && a->held != 0 && (errno == EPIPE || errno == ECONNRESET);
}

/* What was gathered, to the kernel. */
static void write_out(struct io *a, int fd)
{
	while (a->out_off < a->out_len) {
		ssize_t n = sendto(fd, a->out + a->out_off, a->out_len - a->out_off, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			a->stuck = 1;
			return;
		}
		if (n < 0 && !unseen(a, n))
			a->error = errno;
		a->out_off = n < 0 ? a->out_len : a->out_off + (uint32_t)n;
	}
	free(a->out);
	a->out = NULL;
	a->out_off = a->out_len = 0;
	a->out_cap = 0;
	a->writable = 0;
}

/* Room for at least a packet of libssh. */
static bool has_room(const struct io *a)
{
	return a->out_len - a->out_off < OUT_SOFT;
}

static ssize_t gather(struct io *a, int fd, const void *buf, size_t len)
{
	size_t n;

	if (a->error != 0) {
		errno = a->error;
		return -1;
	}
	if (a->out_len + len > OUT_MAX)
		write_out(a, fd);
	if (a->out_off > 0) {
		memmove(a->out, a->out + a->out_off, a->out_len - a->out_off);
		a->out_len -= a->out_off;
		a->out_off = 0;
	}
	n = OUT_MAX - a->out_len < len ? OUT_MAX - a->out_len : len;
	if (n == 0) {
		errno = EAGAIN;
		return -1;
	}
	if (a->out_len + n > a->out_cap) {
		const size_t cap = a->out_len + n <= OUT_SMALL ? OUT_SMALL : OUT_MAX;
		uint8_t *grown = realloc(a->out, cap);

		if (grown == NULL)
			return -1;
		a->out = grown;
		a->out_cap = cap;
	}
	memcpy(a->out + a->out_len, buf, n);
	a->out_len += (uint32_t)n;
	return (ssize_t)n;
}

void ssh_io_gather(int fd)
{
	struct io *a = find(fd);

	if (a != NULL)
		a->gather = 1;
}

bool ssh_io_flush(int fd)
{
	struct io *a = find(fd);

	if (a == NULL || a->out_len == 0)
		return false;
	a->stuck = 0;
	write_out(a, fd);
	return a->out_len > 0;
}

void ssh_io_direct(int fd, int ms)
{
	struct io *a = find(fd);
	const uint64_t end = clock_mono_ms() + (uint64_t)ms;
	uint64_t now;

	if (a == NULL)
		return;
	a->gather = 0;
	while (ssh_io_flush(fd) && (now = clock_mono_ms()) < end) {
		struct timespec ts = { (time_t)(end - now) / 1000, (long)((end - now) % 1000) * 1000000 };
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (ppoll(&p, 1, &ts, NULL) < 0 && errno != EINTR)
			break;
	}
}

/* send(2), as libssh finds it. */
ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	struct io *a = find(fd);
	ssize_t n;

	if (a == NULL)
		return sendto(fd, buf, len, flags, NULL, 0);
	a->writable = 0;
	/* behind what was gathered before, if that could not be written yet */
	if (a->gather != 0 || a->out_len > 0)
		return gather(a, fd, buf, len);
	n = sendto(fd, buf, len, flags, NULL, 0);
	return unseen(a, n) ? (ssize_t)len : n; /* what the peer sent before it left is still on its way */
}

/* close(2), as libssh finds it. */
int close(int fd)
{
	struct io *a = find(fd);

	if (a != NULL) {
		write_out(a, fd);
		drop(a);
		free(a->out);
		*a = (struct io){ .on = 0 };
	}
	return (int)syscall(SYS_close, fd);
}

bool ssh_io_writable(int fd)
{
	struct io *a = find(fd);

	if (a != NULL && a->gather != 0 && !has_room(a) && a->stuck == 0)
		write_out(a, fd);
	return a != NULL && (a->gather != 0 ? has_room(a) : a->writable != 0);
}

/* --- waiting --- */

static bool writing; /* by libssh, which reads while it does, each time a little: it will be asked to read */

void ssh_io_writing(bool now)
{
	writing = now;
}

/*
 * How many of these can do without the kernel some of what their caller asks for; their revents are set, the others' are 0. `all`: the
 * kernel has nothing to add. libssh asks before each 4 KiB that it is handed out; for POLLOUT, too, once it wrote, and goes on asking
 * for it while it is told of bytes to read.
 */
static int from_memory(struct pollfd *p, nfds_t n, bool *all)
{
	int found = 0;

	*all = true;
	for (nfds_t i = 0; i < n; i++) {
		const struct io *a = find(p[i].fd);
		short wanted = (short)(p[i].events & (writing || (a != NULL && a->deaf != 0) ? ~POLLIN : ~0));
		short here = (short)((ssh_io_pending(p[i].fd) ? POLLIN : 0) | (ssh_io_writable(p[i].fd) ? POLLOUT : 0));

		p[i].revents = wanted & here;
		*all = *all && p[i].revents == wanted;
		found += p[i].revents != 0;
	}
	return found;
}

/* ppoll(2) that says, of descriptors whose end is held back, when the peer sends no more. */
static int poll_ends(struct pollfd *p, nfds_t n, const struct timespec *ts)
{
	int r;

	for (nfds_t i = 0; i < n; i++) {
		const struct io *a = find(p[i].fd);

		if (a != NULL && a->held != 0)
			p[i].events |= POLLRDHUP;
	}
	r = ppoll(p, n, ts, NULL);
	for (nfds_t i = 0; i < n; i++) {
		const struct io *a = find(p[i].fd);

		if (a != NULL && a->held != 0)
			p[i].events &= (short)~POLLRDHUP;
	}
	return r;
}

/* The kernel's word about a descriptor, without an end that is held back. */
static void hide_end(struct io *a, struct pollfd *p)
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

/* The kernel does not know of the bytes in memory, nor libssh of what is held back. */
static void correct(struct io *a, struct pollfd *p)
{
	if ((p->revents & POLLOUT) != 0) {
		a->writable = 1;
		a->stuck = 0;
	}
	if (a->held != 0)
		hide_end(a, p);
	if (a->deaf != 0)
		p->revents &= (short)~POLLIN;
	if (ssh_io_pending(p->fd))
		p->revents |= p->events & POLLIN;
	if (a->gather != 0)
		p->revents = (short)((p->revents & ~POLLOUT) | (ssh_io_writable(p->fd) ? p->events & POLLOUT : 0));
}

/* poll(2), as libssh finds it. The session's own loop calls ppoll(2): it wants the kernel's word, and asks here for the rest. */
int poll(struct pollfd *p, nfds_t n, int timeout)
{
	struct timespec ts = { timeout / 1000, (long)(timeout % 1000) * 1000000 };
	bool all;
	int found = from_memory(p, n, &all), r;

	if (found != 0 && all)
		return found;
	if (found != 0)
		ts = (struct timespec){ 0, 0 };
	if ((r = poll_ends(p, n, timeout < 0 && found == 0 ? NULL : &ts)) < 0)
		return r;
	r = 0;
	for (nfds_t i = 0; i < n; i++) {
		struct io *a = find(p[i].fd);

		if (a != NULL)
			correct(a, &p[i]);
		r += p[i].revents != 0;
	}
	return r;
}
