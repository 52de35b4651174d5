/*
 * config_lookup.c - the name of a collector becomes an address, in a process of its own.
 *
 * Called by config.c wherever a configuration file is read: at the start, for bastiond -t, and in the child that tries a reload. What a name
 * server answers is parsed by a fork that has the account and the sandbox of the dial worker, and no descriptor but a pipe. The
 * caller, which is root, takes an answer of one fixed form from it, or, past its deadline, none.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "config_option.h"
#include "drop.h"
#include "log.h"
#include "sandbox.h"

#define PIPE_FD 3
#define NOBODY 65534	/* while user_dial is an account that is not there yet */

/* What goes over the pipe: in one write, as it is below PIPE_BUF. */
struct answer {
	int32_t error;		/* of getaddrinfo() */
	uint32_t len;
	struct sockaddr_storage ss;
};

static void ask(const char *host, uint16_t port, int flags, struct answer *out)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags };
	struct addrinfo *ai;
	char service[8];

	memset(out, 0, sizeof(*out));
	snprintf(service, sizeof(service), "%u", port);
	if ((out->error = getaddrinfo(host, service, &hints, &ai)) != 0)
		return;
	if (ai->ai_addrlen <= sizeof(out->ss)) {
		out->len = ai->ai_addrlen;
		memcpy(&out->ss, ai->ai_addr, ai->ai_addrlen);
	}
	freeaddrinfo(ai);
}

/* Only what an address has is taken over, under the port that the file has. False: it is none. */
static bool take(const struct answer *answer, uint16_t port, struct config_addr *a)
{
	const struct sockaddr_in *from4 = (const struct sockaddr_in *)(const void *)&answer->ss;
	const struct sockaddr_in6 *from6 = (const struct sockaddr_in6 *)(const void *)&answer->ss;

	*a = (struct config_addr){ .len = 0 };
	if (answer->ss.ss_family == AF_INET && answer->len == sizeof(*from4)) {
		const struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = from4->sin_addr };

		memcpy(&a->ss, &sin, sizeof(sin));
		a->len = sizeof(sin);
	} else if (answer->ss.ss_family == AF_INET6 && answer->len == sizeof(*from6)) {
		const struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = from6->sin6_addr,
			.sin6_scope_id = from6->sin6_scope_id };

		memcpy(&a->ss, &sin6, sizeof(sin6));
		a->len = sizeof(sin6);
	}
	return a->len != 0;
}

static void look_up(const struct config *conf, const char *host, uint16_t port, int fd, pid_t parent) __attribute__((noreturn));

/* In the fork. A developer's `bastiond -t` is no root, and has nothing to give up. */
static void look_up(const struct config *conf, const char *host, uint16_t port, int fd, pid_t parent)
{
	struct config as = *conf;	/* the account is numbers of the copy alone */
	struct answer answer;

	closelog();
	if (drop_die_with_parent(parent) != 0 || dup2(fd, PIPE_FD) < 0 || close_range(PIPE_FD + 1, ~0U, 0) != 0)
		_exit(1);
	if (!config_account(&as.user_dial) || as.user_dial.uid == 0 || as.user_dial.gid == 0)
		as.user_dial.uid = as.user_dial.gid = NOBODY;
	if (geteuid() == 0 && (drop_to(&as, ROLE_DIAL) != 0 || sandbox_enter(&as, ROLE_DIAL) != 0))
		_exit(1);
	ask(host, port, 0, &answer);
	_exit(write(PIPE_FD, &answer, sizeof(answer)) == (ssize_t)sizeof(answer) ? 0 : 1);
}

/* 1: *answer is there; 0: not in time; -1: it ended without. */
static int wait_for(int fd, uint64_t deadline_ms, struct answer *answer)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_mono_ms();
		int r;

		if (now >= deadline_ms)
			return 0;
		if ((r = poll(&p, 1, (int)(deadline_ms - now))) > 0)
			return read(fd, answer, sizeof(*answer)) == (ssize_t)sizeof(*answer) ? 1 : -1;
		if (r < 0 && errno != EINTR)
			return -1;
	}
}

const char *config_lookup(const struct config *conf, const char *host, uint16_t port, uint64_t deadline_ms, struct config_addr *a)
{
	const pid_t self = getpid();
	struct answer answer;
	int fds[2], r;
	pid_t pid;

	ask(host, port, AI_NUMERICHOST, &answer);
	if (answer.error == 0 && take(&answer, port, a))
		return NULL;
	if (deadline_ms == 0)
		return gai_strerror(answer.error);
	if (pipe2(fds, O_CLOEXEC) != 0)
		return strerror(errno);
	if ((pid = fork()) == 0)
		look_up(conf, host, port, fds[1], self);
	close(fds[1]);
	r = pid < 0 ? -1 : wait_for(fds[0], deadline_ms, &answer);
	close(fds[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (r <= 0)
		return r == 0 ? "no answer in time" : "it could not be looked up";
	if (answer.error != 0)
		return gai_strerror(answer.error);
	return take(&answer, port, a) ? NULL : "the answer is no address";
}
