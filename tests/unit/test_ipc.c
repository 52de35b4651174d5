/*
 * test_ipc.c - links: messages and descriptors arrive, what is not permitted ends the peer, a slow peer is bounded, and no
 * descriptor is ever left behind.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc.h"
#include "log.h"

static struct ipc a, b;		/* two ends; the test chooses the roles */
static int open_before;

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static void link_up(enum role from, enum role to)
{
	int fds[2];

	open_before = count_fds();
	assert_int_equal(ipc_pair(fds), 0);
	for (int i = 0; i < 2; i++) {
		assert_true((fcntl(fds[i], F_GETFD) & FD_CLOEXEC) != 0);
		assert_true((fcntl(fds[i], F_GETFL) & O_NONBLOCK) != 0);
	}
	ipc_init(&a, fds[0], from, to);
	ipc_init(&b, fds[1], to, from);
}

static void link_down(void)
{
	ipc_finish(&a);
	ipc_finish(&b);
	ipc_finish(&b);
	assert_int_equal(count_fds(), open_before);
}

static int send_text(struct ipc *c, enum msg_type type, uint32_t id, const char *text)
{
	struct buf body;
	int r;

	buf_view(&body, text, strlen(text));
	r = ipc_send(c, type, id, &body, NULL, 0);
	return r;
}

static void test_message(void **state)
{
	struct ipc_msg m;

	(void)state;
	link_up(ROLE_POLICY, ROLE_SESSION);
	assert_int_equal(ipc_recv(&b, &m), 0);
	assert_int_equal(send_text(&a, MSG_WAY_END, 7, "hello"), 0);
	assert_int_equal(ipc_send_empty(&a, MSG_PING, 0), 0);
	assert_int_equal(ipc_recv(&b, &m), 1);
	assert_int_equal(m.type, MSG_WAY_END);
	assert_int_equal(m.id, 7);
	assert_int_equal(m.body.len, 5);
	assert_memory_equal(m.body.data, "hello", 5);
	assert_int_equal(m.nfds, 0);
	ipc_msg_finish(&m);
	assert_int_equal(ipc_recv(&b, &m), 1);
	assert_int_equal(m.type, MSG_PING);
	assert_true(buf_end(&m.body));
	ipc_msg_finish(&m);
	ipc_finish(&a);
	assert_int_equal(ipc_recv(&b, &m), -1);
	assert_int_equal(errno, 0);
	assert_int_equal(ipc_send_empty(&b, MSG_PONG, 0), -1);
	assert_int_equal(errno, EPIPE);
	link_down();
}

static void test_longest(void **state)
{
	struct ipc_msg m;
	struct buf body;

	(void)state;
	link_up(ROLE_SESSION, ROLE_RECORDER);
	buf_init(&body, MSG_MAX + 1);
	assert_non_null(buf_reserve(&body, MSG_MAX));
	memset(body.data, 0x77, MSG_MAX);
	assert_int_equal(ipc_send(&a, MSG_REC_FRAME, 1, &body, NULL, 0), 0);
	assert_int_equal(ipc_recv(&b, &m), 1);
	assert_int_equal(m.body.len, MSG_MAX);
	assert_memory_equal(m.body.data, body.data, MSG_MAX);
	ipc_msg_finish(&m);
	buf_put_u8(&body, 0);
	assert_int_equal(ipc_send(&a, MSG_REC_FRAME, 1, &body, NULL, 0), -1);
	assert_int_equal(errno, EMSGSIZE);
	/* a body whose building failed is not sent in part */
	assert_int_equal(buf_put_u8(&body, 0), -1);
	body.len = 4;
	assert_int_equal(ipc_send(&a, MSG_REC_FRAME, 1, &body, NULL, 0), -1);
	assert_int_equal(errno, EPERM);
	buf_finish(&body);
	link_down();
}

/* The sender's own mistakes are caught at the sender. */
static void test_sender_refuses(void **state)
{
	(void)state;
	link_up(ROLE_SESSION, ROLE_POLICY);
	assert_int_equal(ipc_send_empty(&a, MSG_PING, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ipc_send_empty(&a, MSG_REC_FRAME, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ipc_send_empty(&a, MSG_NONE, 0), -1);
	assert_int_equal(ipc_send_empty(&a, MSG_COUNT, 0), -1);
	link_down();
}

static void send_raw(int fd, const void *data, size_t len)
{
	assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
}

/* What a peer that was taken over might send: each ends the link. */
static void test_receiver_refuses(void **state)
{
	struct head { uint16_t type, zero; uint32_t id; } h = { .type = MSG_PONG };
	struct raw { struct head h; char body[300]; } big = { .h = { .type = MSG_WAY_UP } };
	static char huge[sizeof(h) + MSG_MAX + 500];
	struct ipc_msg m;

	(void)state;
	for (int what = 0; what < 8; what++) {
		link_up(ROLE_SESSION, ROLE_POLICY);
		b.state = S_LOGIN;
		switch (what) {
		case 0: h.type = MSG_COUNT; send_raw(a.fd, &h, sizeof(h)); break;
		case 1: h.type = MSG_NONE; send_raw(a.fd, &h, sizeof(h)); break;
		case 2: h.type = MSG_PING; send_raw(a.fd, &h, sizeof(h)); break;	/* policy's own word */
		case 3: h.type = MSG_PONG; h.zero = 1; send_raw(a.fd, &h, sizeof(h)); h.zero = 0; break;
		case 4: send_raw(a.fd, &h, sizeof(h) - 1); break;
		case 5: send_raw(a.fd, &big, sizeof(big)); break;			/* longer than the list says */
		case 6: memcpy(huge, &h, sizeof(h)); send_raw(a.fd, huge, sizeof(huge)); break;
		case 7: h.type = 0xffff; send_raw(a.fd, &h, sizeof(h)); break;
		}
		assert_int_equal(ipc_recv(&b, &m), -1);
		assert_int_equal(errno, EPERM);
		link_down();
	}
	/* the wrong state: a way is asked for before the login */
	link_up(ROLE_SESSION, ROLE_POLICY);
	assert_int_equal(send_text(&a, MSG_WAY_ASK, 1, "x"), 0);
	assert_int_equal(ipc_recv(&b, &m), -1);
	assert_int_equal(errno, EPERM);
	link_down();
	/* twice what may come once */
	link_up(ROLE_MASTER, ROLE_PARENT);
	assert_int_equal(ipc_send_empty(&a, MSG_MASTER_READY, 0), 0);
	assert_int_equal(ipc_send_empty(&a, MSG_MASTER_READY, 0), 0);
	assert_int_equal(ipc_recv(&b, &m), 1);
	ipc_msg_finish(&m);
	assert_int_equal(ipc_recv(&b, &m), -1);
	assert_int_equal(errno, EPERM);
	link_down();
	/* an empty datagram looks like the end of the link */
	link_up(ROLE_SESSION, ROLE_POLICY);
	send_raw(a.fd, "", 0);
	assert_int_equal(ipc_recv(&b, &m), -1);
	link_down();
}

static void test_fds(void **state)
{
	struct ipc_msg m;
	int p[2], fds[3], got;

	(void)state;
	link_up(ROLE_PARENT, ROLE_MASTER);
	assert_int_equal(pipe(p), 0);
	fds[0] = p[0];
	fds[1] = p[1];
	fds[2] = p[1];
	assert_int_equal(ipc_send(&a, MSG_SESSION_START, 5, NULL, fds, 3), 0);
	assert_int_equal(ipc_recv(&b, &m), 1);
	assert_int_equal(m.nfds, 3);
	/* the one that is taken works, and is not inherited by programs; the others go with the message */
	assert_true((got = ipc_take_fd(&m, 1)) >= 0);
	assert_int_equal(ipc_take_fd(&m, 1), -1);
	assert_int_equal(ipc_take_fd(&m, 3), -1);
	ipc_msg_finish(&m);
	assert_true((fcntl(got, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(write(got, "x", 1), 1);
	close(got);
	/* fewer than the list says: refused, and none stays open */
	assert_int_equal(ipc_send(&a, MSG_SESSION_START, 5, NULL, fds, 2), 0);
	assert_int_equal(ipc_recv(&b, &m), -1);
	assert_int_equal(errno, EPERM);
	close(p[0]);
	close(p[1]);
	link_down();
	/* where none belongs */
	link_up(ROLE_SESSION, ROLE_POLICY);
	fds[0] = STDERR_FILENO;
	assert_int_equal(ipc_send(&a, MSG_PONG, 0, NULL, fds, 1), 0);
	assert_int_equal(ipc_recv(&b, &m), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ipc_send(&a, MSG_PONG, 0, NULL, fds, MSG_FDS_MAX + 1), -1);
	assert_int_equal(errno, EMSGSIZE);
	link_down();
}

/* More descriptors than the receiver has room for are cut by the kernel: the message does not pass, none leaks. */
static void test_many_fds(void **state)
{
	struct { uint16_t type, zero; uint32_t id; } h = { .type = MSG_PONG };
	char control[CMSG_SPACE(sizeof(int) * 20)] = { 0 };
	struct iovec iov = { &h, sizeof(h) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *ch = CMSG_FIRSTHDR(&mh);
	struct ipc_msg m;
	int fds[20];

	(void)state;
	link_up(ROLE_SESSION, ROLE_POLICY);
	for (int i = 0; i < 20; i++)
		fds[i] = STDERR_FILENO;
	ch->cmsg_level = SOL_SOCKET;
	ch->cmsg_type = SCM_RIGHTS;
	ch->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(ch), fds, sizeof(fds));
	assert_true(sendmsg(a.fd, &mh, 0) > 0);
	assert_int_equal(ipc_recv(&b, &m), -1);
	assert_int_equal(errno, EPERM);
	link_down();
}

/* A peer that does not read: messages wait in order, up to the limit, with descriptors of their own. */
static void test_queue(void **state)
{
	struct ipc_msg m;
	struct buf body;
	uint32_t sent = 0, seen = 0;
	int p[2], waiting;

	(void)state;
	link_up(ROLE_POLICY, ROLE_SESSION);
	buf_init(&body, 65536);
	buf_reserve(&body, 60000);
	while (ipc_send(&a, MSG_WORDS_RE, sent, &body, NULL, 0) == 0)
		sent++;
	assert_int_equal(errno, ENOBUFS);
	assert_true(a.queued <= IPC_QUEUE_MAX && a.queued > IPC_QUEUE_MAX - 70000);
	assert_true(ipc_wants_write(&a));
	assert_true(sent > 60);
	while (seen < sent) {
		assert_int_equal(ipc_flush(&a), 0);
		assert_int_equal(ipc_recv(&b, &m), 1);
		assert_int_equal(m.id, seen++);
		assert_int_equal(m.body.len, 60000);
		ipc_msg_finish(&m);
	}
	assert_int_equal(ipc_flush(&a), 0);
	assert_false(ipc_wants_write(&a));
	assert_int_equal(a.queued, 0);
	/* a queued descriptor survives that the sender closes its own */
	while (!ipc_wants_write(&a))
		assert_int_equal(ipc_send(&a, MSG_WORDS_RE, 0, &body, NULL, 0), 0);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(ipc_send(&a, MSG_CONSOLE_RE, 0, NULL, p, 2), 0);
	close(p[0]);
	close(p[1]);
	do {
		assert_int_equal(ipc_flush(&a), 0);
		assert_int_equal(ipc_recv(&b, &m), 1);
		if (m.type != MSG_CONSOLE_RE)
			ipc_msg_finish(&m);
	} while (m.type != MSG_CONSOLE_RE);
	assert_int_equal(m.nfds, 2);
	assert_int_equal(write(m.fds[1], "y", 1), 1);
	ipc_msg_finish(&m);
	/* the link ends while something waits: nothing leaks, nothing is sent */
	while (!ipc_wants_write(&a))
		assert_int_equal(ipc_send(&a, MSG_WORDS_RE, 0, &body, NULL, 0), 0);
	assert_int_equal(pipe(p), 0);
	waiting = ipc_send(&a, MSG_WAY_OK, 0, NULL, p, 2);
	assert_int_equal(waiting, 0);
	close(p[0]);
	close(p[1]);
	buf_finish(&body);
	link_down();
}

static void test_wait(void **state)
{
	struct ipc_msg m;
	pid_t pid;
	int status;

	(void)state;
	link_up(ROLE_CTL, ROLE_POLICY);
	assert_int_equal(ipc_wait(&b, &m, 0), 0);
	assert_int_equal(ipc_wait(&b, &m, 20), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		/* the other process asks, and waits for the answer */
		ipc_finish(&b);
		if (send_text(&a, MSG_CTL_REQUEST, 1, "{}") != 0 || ipc_wait(&a, &m, 10000) != 1 || m.type != MSG_CTL_REPLY)
			_exit(1);
		ipc_msg_finish(&m);
		_exit(0);
	}
	assert_int_equal(ipc_wait(&b, &m, 10000), 1);
	assert_int_equal(m.type, MSG_CTL_REQUEST);
	ipc_msg_finish(&m);
	assert_int_equal(send_text(&b, MSG_CTL_REPLY, 1, "x"), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	ipc_finish(&a);
	assert_int_equal(ipc_wait(&b, &m, -1), -1);
	link_down();
}

/* Who leaves with something unread has still said what it said: an event of a session that ended at once was lost so. */
static void test_last_words(void **state)
{
	struct ipc_msg m;

	(void)state;
	link_up(ROLE_CTL, ROLE_POLICY);
	assert_int_equal(send_text(&b, MSG_CTL_REPLY, 1, "unread"), 0);
	assert_int_equal(send_text(&a, MSG_CTL_REQUEST, 1, "one"), 0);
	assert_int_equal(send_text(&a, MSG_CTL_REQUEST, 2, "two"), 0);
	ipc_finish(&a);
	for (uint32_t id = 1; id <= 2; id++) {
		assert_int_equal(ipc_recv(&b, &m), 1);
		assert_int_equal(m.id, id);
		ipc_msg_finish(&m);
	}
	assert_int_equal(ipc_recv(&b, &m), -1);
	assert_int_equal(errno, 0);
	link_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message), cmocka_unit_test(test_longest), cmocka_unit_test(test_sender_refuses),
		cmocka_unit_test(test_receiver_refuses), cmocka_unit_test(test_fds), cmocka_unit_test(test_many_fds),
		cmocka_unit_test(test_queue), cmocka_unit_test(test_wait), cmocka_unit_test(test_last_words),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
