/*
 * collector_keys.c - see collector_keys.h. The child runs as root beside bastion-collectord; the other end is asked in
 * collector_main.c, at SIGHUP.
 *
 * A question is one byte. Three answers, one packet each, certificate, key, receipt key: u8 0 and the file, or u8 1 and why not.
 */
#include "collector_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "collector_child.h"
#include "collector_sandbox.h"

#define ANSWER_SECONDS 5
#define HOLDER_FD 3

static int answer(const char *path)
{
	uint8_t packet[1 + COLL_KEY_BYTES_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, packet + 1, COLL_KEY_BYTES_MAX) : -1;
	int r;

	packet[0] = n < 0;
	if (n < 0)
		n = snprintf((char *)packet + 1, 512, "%.400s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	r = send(HOLDER_FD, packet, (size_t)n + 1, MSG_NOSIGNAL) == n + 1 ? 0 : -1;
	explicit_bzero(packet, sizeof(packet));
	return r;
}

static void holder(int fd, const struct coll_conf *c) __attribute__((noreturn));

static void holder(int fd, const struct coll_conf *c)
{
	const char *const paths[3] = { c->certificate, c->key, c->receipt_key };
	uint8_t question;

	/* the terminal's and the operator's signals are for the collector; its end is the end of the socket */
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 || prctl(PR_SET_NAME, "coll-keys") != 0 ||
	    (fd != HOLDER_FD && dup2(fd, HOLDER_FD) < 0) || close_range(HOLDER_FD + 1, ~0U, 0) != 0 ||
	    coll_sandbox_enter(c, COLL_KEYS, NULL) != 0)
		_exit(1);
	while (recv(HOLDER_FD, &question, 1, 0) == 1)
		if (answer(paths[0]) != 0 || answer(paths[1]) != 0 || answer(paths[2]) != 0)
			break;
	_exit(0);
}

int keyholder_start(const struct coll_conf *c)
{
	const struct timeval limit = { .tv_sec = ANSWER_SECONDS };
	int fd, e;
	pid_t pid;

	if ((pid = coll_child(0, &fd)) < 0)
		return -1;
	if (pid == 0)
		holder(fd, c);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0)
		return fd;
	/* the child ends with its link */
	e = errno;
	close(fd);
	errno = e;
	return -1;
}

static int receive(int fd, struct buf *out, char *why, size_t size)
{
	uint8_t packet[1 + COLL_KEY_BYTES_MAX];
	ssize_t n = recv(fd, packet, sizeof(packet), 0);
	int r = -1;

	if (n < 1)
		snprintf(why, size, "the process that reads the keys does not answer: restart the collector");
	else if (packet[0] != 0)
		snprintf(why, size, "%.*s", (int)(n - 1), (const char *)packet + 1);
	else if (buf_put(out, packet + 1, (size_t)n - 1) != 0)
		snprintf(why, size, "out of memory");
	else
		r = 0;
	explicit_bzero(packet, sizeof(packet));
	return r;
}

int keyholder_ask(int fd, struct coll_keys *k, char *why, size_t size)
{
	struct buf *const out[3] = { &k->certificate, &k->key, &k->receipt_key };
	char other[512] = "";
	int r = 0;

	for (size_t i = 0; i < 3; i++)
		buf_init(out[i], COLL_KEY_BYTES_MAX);
	if (send(fd, "?", 1, MSG_NOSIGNAL) != 1) {
		snprintf(why, size, "the process that reads the keys is gone: restart the collector");
		return -1;
	}
	/* all answers are taken in any case, so that the next question finds none of this one's */
	for (size_t i = 0; i < 3; i++)
		if (receive(fd, out[i], r == 0 ? why : other, r == 0 ? size : sizeof(other)) != 0)
			r = -1;
	return r;
}

void keyholder_finish(struct coll_keys *k)
{
	buf_finish(&k->certificate);
	buf_finish(&k->key);
	buf_finish(&k->receipt_key);
}
