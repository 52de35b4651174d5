/*
 * test_ssh_io.c - what stands between libssh and the kernel: no byte is lost, doubled or moved, and nobody waits for what is in memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "ssh_io.h"

/* As libssh calls them, past what _FORTIFY_SOURCE makes of them here. */
static int (*volatile io_poll)(struct pollfd *p, nfds_t n, int timeout) = poll;
static ssize_t (*volatile io_recv)(int fd, void *buf, size_t len, int flags) = recv;
static ssize_t (*volatile io_send)(int fd, const void *buf, size_t len, int flags) = send;

static int fd, peer;

static int setup(void **state)
{
	int fds[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
		return -1;
	fd = fds[0];
	peer = fds[1];
	ssh_io_start(fd);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (fd >= 0)
		close(fd);
	if (peer >= 0)
		close(peer);
	return 0;
}

/* What poll says at once. */
static short asks(short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	assert_true(io_poll(&p, 1, 0) >= 0);
	return p.revents;
}

static void fill(uint8_t *p, size_t len, uint64_t from)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)((from + i) * 7 + (from + i) / 251);
}

static void check(const uint8_t *p, size_t len, uint64_t from)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(p[i], (uint8_t)((from + i) * 7 + (from + i) / 251));
}

static ssize_t from_peer(void *buf, size_t len)
{
	return recvfrom(peer, buf, len, MSG_DONTWAIT, NULL, NULL);
}

static void large_reads(void **state)
{
	uint8_t data[60000], piece[4096];
	size_t got = 0;
	bool waited = false;

	(void)state;
	fill(data, sizeof(data), 0);
	assert_int_equal(sendto(peer, data, sizeof(data), 0, NULL, 0), sizeof(data));
	while (got < sizeof(data)) {
		ssize_t n;

		assert_int_equal(asks(POLLIN), POLLIN);
		assert_int_equal(asks(POLLIN | POLLOUT), POLLIN | POLLOUT);
		n = io_recv(fd, piece, sizeof(piece), 0);
		assert_true(n > 0);
		check(piece, (size_t)n, got);
		got += (size_t)n;
		waited = waited || ssh_io_pending(fd);
	}
	assert_true(waited);
	assert_false(ssh_io_pending(fd));
	assert_int_equal(asks(POLLIN | POLLOUT), POLLOUT);
	assert_int_equal(io_recv(fd, piece, sizeof(piece), 0), -1);
	assert_int_equal(errno, EAGAIN);
}

static void a_turn_goes_out_together(void **state)
{
	uint8_t buf[64];

	(void)state;
	assert_int_equal(io_send(fd, "direct", 6, MSG_NOSIGNAL), 6);
	assert_int_equal(from_peer(buf, sizeof(buf)), 6);
	ssh_io_gather(fd);
	assert_false(ssh_io_flush(fd));
	assert_int_equal(io_send(fd, "a", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(io_send(fd, "bc", 2, MSG_NOSIGNAL), 2);
	assert_int_equal(from_peer(buf, sizeof(buf)), -1);
	assert_true(ssh_io_writable(fd));
	assert_int_equal(asks(POLLIN | POLLOUT), POLLOUT);
	assert_false(ssh_io_flush(fd));
	assert_int_equal(from_peer(buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "abc", 3);
	ssh_io_direct(fd, 0);
	assert_int_equal(io_send(fd, "d", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(from_peer(buf, sizeof(buf)), 1);
}

/* As libssh: it writes when it was told that it may, as much as it has. The peer reads when it likes. */
static void every_byte_in_order(void **state)
{
	static uint8_t data[50000], got[50000];
	uint64_t in = 0, out = 0;
	size_t stops = 0;
	bool left = false;

	(void)state;
	srandom(3);
	ssh_io_gather(fd);
	while (out < (16 << 20)) {
		ssize_t n;

		switch (random() % 4) {
		case 0:
		case 1:
			if ((asks(POLLIN | POLLOUT) & POLLOUT) == 0) {
				stops++;
				break;
			}
			assert_true(ssh_io_writable(fd));
			n = random() % (ssize_t)sizeof(data) + 1;
			fill(data, (size_t)n, in);
			n = io_send(fd, data, (size_t)n, MSG_NOSIGNAL);
			assert_true(n > 0);
			in += (uint64_t)n;
			break;
		case 2:
			left = ssh_io_flush(fd);
			break;
		default:
			n = from_peer(got, (size_t)random() % sizeof(got) + 1);
			if (n > 0)
				check(got, (size_t)n, out);
			out += n > 0 ? (uint64_t)n : 0;
			assert_true(n > 0 || errno == EAGAIN);
		}
		assert_true(in - out < (1 << 20)); /* in memory and in the kernel */
	}
	assert_true(stops > 0);
	do {
		ssize_t n;

		left = ssh_io_flush(fd);
		while ((n = from_peer(got, sizeof(got))) > 0) {
			check(got, (size_t)n, out);
			out += (uint64_t)n;
		}
	} while (left);
	assert_int_equal(in, out);
}

/* Fills the kernel's room, and then ours. */
static uint64_t stuff(void)
{
	static uint8_t data[32768];
	uint64_t n = 0;

	while (ssh_io_writable(fd)) {
		ssize_t w;

		fill(data, sizeof(data), n);
		assert_true((w = io_send(fd, data, sizeof(data), MSG_NOSIGNAL)) > 0);
		n += (uint64_t)w;
		assert_true(n < (4 << 20));
	}
	return n;
}

static void direct_waits_for_the_peer(void **state)
{
	static uint8_t got[1 << 20];
	uint64_t n, start = clock_mono_ms(), out = 0;
	ssize_t r;

	(void)state;
	ssh_io_gather(fd);
	n = stuff();
	assert_true(ssh_io_flush(fd));
	ssh_io_direct(fd, 60);
	assert_true(clock_mono_ms() >= start + 50);
	/* what is left does not fall behind what is written next */
	while ((r = from_peer(got, 4096)) > 0) {
		check(got, (size_t)r, out);
		out += (uint64_t)r;
	}
	fill(got, 10, n);
	assert_int_equal(io_send(fd, got, 10, MSG_NOSIGNAL), 10);
	ssh_io_direct(fd, 1000);
	while ((r = from_peer(got, sizeof(got))) > 0) {
		check(got, (size_t)r, out);
		out += (uint64_t)r;
	}
	assert_int_equal(out, n + 10);
}

static void close_writes_and_forgets(void **state)
{
	uint8_t buf[16];
	int old = fd, fds[2];

	(void)state;
	ssh_io_gather(fd);
	assert_int_equal(io_send(fd, "last", 4, MSG_NOSIGNAL), 4);
	assert_int_equal(close(fd), 0);
	fd = -1;
	assert_int_equal(from_peer(buf, sizeof(buf)), 4);
	assert_int_equal(from_peer(buf, sizeof(buf)), 0);
	close(peer);
	peer = -1;
	/* whoever gets the number now writes at once */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	assert_true(fds[0] == old || fds[1] == old);
	fd = old;
	peer = fds[0] == old ? fds[1] : fds[0];
	assert_int_equal(io_send(fd, "x", 1, 0), 1);
	assert_int_equal(from_peer(buf, sizeof(buf)), 1);
	assert_int_equal(close(-1), -1);
	assert_int_equal(errno, EBADF);
}

static void a_peer_that_is_gone(void **state)
{
	(void)state;
	ssh_io_gather(fd);
	close(peer);
	peer = -1;
	assert_int_equal(io_send(fd, "x", 1, MSG_NOSIGNAL), 1);
	assert_false(ssh_io_flush(fd));
	assert_int_equal(io_send(fd, "y", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
}

static void an_end_that_is_held(void **state)
{
	uint8_t buf[8];

	(void)state;
	ssh_io_hold_end(fd);
	ssh_io_gather(fd);
	assert_int_equal(sendto(peer, "bye", 3, 0, NULL, 0), 3);
	close(peer);
	peer = -1;
	assert_false(ssh_io_at_end(fd));
	assert_int_equal(asks(POLLIN | POLLOUT), POLLIN | POLLOUT);
	assert_int_equal(io_send(fd, "x", 1, MSG_NOSIGNAL), 1);
	assert_false(ssh_io_flush(fd));
	assert_int_equal(io_send(fd, "y", 1, MSG_NOSIGNAL), 1); /* taken, and dropped */
	assert_false(ssh_io_flush(fd));
	assert_int_equal(io_recv(fd, buf, sizeof(buf), 0), 3);
	assert_int_equal(asks(POLLIN), 0);
	assert_true(ssh_io_at_end(fd));
	ssh_io_let_end(fd);
	assert_true((asks(POLLIN) & (POLLIN | POLLHUP)) != 0);
	assert_int_equal(io_recv(fd, buf, sizeof(buf), 0), 0);
}

/* The same of a connection that was reset, with bytes gathered that nobody will take. */
static void a_reset_that_is_held(void **state)
{
	uint8_t buf[8];

	(void)state;
	ssh_io_hold_end(fd);
	ssh_io_gather(fd);
	assert_int_equal(io_send(fd, "unread", 6, MSG_NOSIGNAL), 6);
	assert_false(ssh_io_flush(fd));
	assert_int_equal(io_send(fd, "gathered", 8, MSG_NOSIGNAL), 8);
	assert_int_equal(sendto(peer, "bye", 3, 0, NULL, 0), 3);
	close(peer); /* what it did not read makes a reset of it */
	peer = -1;
	assert_int_equal(asks(POLLIN | POLLOUT), POLLIN | POLLOUT);
	assert_false(ssh_io_flush(fd));
	assert_int_equal(io_send(fd, "y", 1, MSG_NOSIGNAL), 1);
	assert_false(ssh_io_flush(fd));
	assert_int_equal(io_recv(fd, buf, sizeof(buf), 0), 3);
	assert_memory_equal(buf, "bye", 3);
	assert_int_equal(asks(POLLIN), 0);
	assert_true(ssh_io_at_end(fd));
	ssh_io_let_end(fd);
	assert_true((asks(POLLIN) & (POLLIN | POLLHUP)) != 0);
	assert_true(io_recv(fd, buf, sizeof(buf), 0) <= 0);
}

/* While libssh writes it is not told of bytes to read; then it is. */
static void writing(void **state)
{
	(void)state;
	ssh_io_gather(fd);
	assert_int_equal(sendto(peer, "in", 2, 0, NULL, 0), 2);
	ssh_io_writing(true);
	assert_int_equal(asks(POLLIN | POLLOUT), POLLOUT);
	ssh_io_writing(false);
	assert_int_equal(asks(POLLIN | POLLOUT), POLLIN | POLLOUT);
}

/* A deaf one has nothing to read, in the kernel or in memory, and neither an end; it writes, and what came is there when it hears again. */
static void deaf(void **state)
{
	static uint8_t sent[8192];
	uint8_t got[4096];

	(void)state;
	ssh_io_gather(fd);
	ssh_io_hold_end(fd);
	fill(sent, sizeof(sent), 0);
	assert_int_equal(sendto(peer, sent, sizeof(sent), 0, NULL, 0), sizeof(sent));
	assert_int_equal(io_recv(fd, got, sizeof(got), 0), sizeof(got));
	assert_int_equal(io_recv(fd, got, 1000, 0), 1000); /* the rest is in memory */
	assert_true(ssh_io_pending(fd));
	ssh_io_deaf(fd, true);
	assert_false(ssh_io_pending(fd));
	assert_int_equal(sendto(peer, "more", 4, 0, NULL, 0), 4);
	assert_int_equal(asks(POLLIN | POLLOUT), POLLOUT);
	assert_int_equal(asks(POLLIN), 0);
	assert_int_equal(io_send(fd, "out", 3, MSG_NOSIGNAL), 3);
	assert_false(ssh_io_flush(fd));
	assert_int_equal(recvfrom(peer, got, sizeof(got), 0, NULL, NULL), 3);
	close(peer);
	peer = -1;
	assert_int_equal(asks(POLLIN), 0);
	assert_false(ssh_io_at_end(fd));
	ssh_io_deaf(fd, false);
	assert_int_equal(asks(POLLIN), POLLIN);
	assert_int_equal(io_recv(fd, got, sizeof(got), 0), sizeof(sent) - 4096 - 1000);
	assert_memory_equal(got, sent + 5096, sizeof(sent) - 5096);
	assert_int_equal(io_recv(fd, got, sizeof(got), 0), 4);
	assert_int_equal(asks(POLLIN), 0);
	assert_true(ssh_io_at_end(fd));
}

/* A descriptor that is not registered is the kernel's. */
static void others(void **state)
{
	struct pollfd p[2] = { { .fd = peer, .events = POLLIN | POLLOUT }, { .fd = fd, .events = POLLIN } };
	char c;

	(void)state;
	assert_int_equal(io_poll(p, 2, 0), 1);
	assert_int_equal(p[0].revents, POLLOUT);
	assert_int_equal(p[1].revents, 0);
	assert_int_equal(io_send(peer, "x", 1, 0), 1);
	assert_int_equal(io_poll(p, 2, -1), 2);
	assert_int_equal(p[1].revents, POLLIN);
	assert_int_equal(io_recv(fd, &c, 1, MSG_PEEK), 1);
	assert_false(ssh_io_writable(peer));
	ssh_io_gather(peer);
	ssh_io_gather(-1);
	ssh_io_gather(100000);
	assert_int_equal(io_send(peer, "y", 1, 0), 1);
	assert_int_equal(io_recv(fd, &c, 1, 0), 1);
	assert_int_equal(io_recv(fd, &c, 1, 0), 1);
	assert_int_equal(c, 'y');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(large_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(a_turn_goes_out_together, setup, teardown),
		cmocka_unit_test_setup_teardown(every_byte_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(direct_waits_for_the_peer, setup, teardown),
		cmocka_unit_test_setup_teardown(close_writes_and_forgets, setup, teardown),
		cmocka_unit_test_setup_teardown(a_peer_that_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(an_end_that_is_held, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reset_that_is_held, setup, teardown),
		cmocka_unit_test_setup_teardown(writing, setup, teardown),
		cmocka_unit_test_setup_teardown(deaf, setup, teardown),
		cmocka_unit_test_setup_teardown(others, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
