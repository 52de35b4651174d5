/*
 * worker_dial.c - name or literal to a connected socket. Names are looked up here, for a task in worker_target.c, and for collectors in
 * config_lookup.c: each time in a process without root that ends with it.
 *
 * Role dial, a fork of parent for one connection. Before it: policy_authz.c, which took the address from the
 * registered host, never from the client. After it: the descriptor goes to policy and from there to the session.
 * Several addresses are tried side by side, a new one each 250 ms (RFC 8305 in short); the first that answers wins.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "clock.h"
#include "drop.h"
#include "log.h"
#include "sandbox.h"
#include "worker.h"

#define TRIES_MAX 8	/* addresses of a name */
#define STAGGER_MS 250	/* RFC 8305 section 5 */

struct dial {
	const struct dial_job *job;
	struct addrinfo *found;
	struct pollfd tries[TRIES_MAX];
	nfds_t ntries;
	int fd;			/* the winner; -1 */
	char reason[256];	/* why there is none */
};

static void text_of(const struct sockaddr_storage *ss, socklen_t len, char out[NI_MAXHOST])
{
	if (getnameinfo((const struct sockaddr *)ss, len, out, NI_MAXHOST, NULL, 0, NI_NUMERICHOST) != 0)
		out[0] = '\0';
}

static int resolve(struct dial *d)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG };
	char port[8];
	int r;

	snprintf(port, sizeof(port), "%u", d->job->port);
	/* a literal needs neither resolver nor a configured interface of its family */
	hints.ai_flags |= AI_NUMERICHOST;
	if (getaddrinfo(d->job->host, port, &hints, &d->found) == 0)
		return 0;
	hints.ai_flags &= ~AI_NUMERICHOST;
	if ((r = getaddrinfo(d->job->host, port, &hints, &d->found)) == 0)
		return 0;
	d->found = NULL;
	snprintf(d->reason, sizeof(d->reason), "the name does not resolve: %s",
	    r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
	return -1;
}

/* Starts one more try. Its failure, now or later, is the reason given when no other does better. */
static void try_next(struct dial *d, const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0 && (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0 || errno == EINPROGRESS)) {
		d->tries[d->ntries++] = (struct pollfd){ .fd = fd, .events = POLLOUT };
		return;
	}
	snprintf(d->reason, sizeof(d->reason), "%s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* Looks at the tries that have an answer. True: one is connected. */
static bool settle(struct dial *d)
{
	for (nfds_t i = 0; i < d->ntries;) {
		int error = 0;
		socklen_t len = sizeof(error);

		if (d->tries[i].revents == 0) {
			i++;
			continue;
		}
		if (getsockopt(d->tries[i].fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0) {
			d->fd = d->tries[i].fd;
			return true;
		}
		snprintf(d->reason, sizeof(d->reason), "%s", strerror(error));
		close(d->tries[i].fd);
		d->tries[i] = d->tries[--d->ntries];
	}
	return false;
}

static int connect_any(struct dial *d, uint64_t end_ms)
{
	const struct addrinfo *next = d->found;
	uint64_t now = clock_mono_ms();

	for (unsigned n = 0; now < end_ms; now = clock_mono_ms()) {
		uint64_t wait = end_ms - now;

		if (next != NULL && n < TRIES_MAX) {
			try_next(d, next);
			next = next->ai_next;
			n++;
			if (next != NULL && n < TRIES_MAX && wait > STAGGER_MS)
				wait = STAGGER_MS;
		}
		if (d->ntries == 0 && (next == NULL || n == TRIES_MAX))
			return -1;
		if (d->ntries > 0 && poll(d->tries, d->ntries, (int)wait) > 0 && settle(d))
			return 0;
	}
	snprintf(d->reason, sizeof(d->reason), "no answer within %u ms", d->job->limit_ms);
	return -1;
}

/* u8 ok; str peer; str local; str reason; the socket. 0 or -1. */
static int report(struct dial *d, struct ipc *link)
{
	struct sockaddr_storage peer = { 0 }, local = { 0 };
	socklen_t peer_len = sizeof(peer), local_len = sizeof(local);
	char peer_text[NI_MAXHOST] = "", local_text[NI_MAXHOST] = "";
	const int on = 1;
	struct buf b;
	int r;

	if (d->fd >= 0) {
		setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(d->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		if (getpeername(d->fd, (struct sockaddr *)&peer, &peer_len) == 0)
			text_of(&peer, peer_len, peer_text);
		if (getsockname(d->fd, (struct sockaddr *)&local, &local_len) == 0)
			text_of(&local, local_len, local_text);
	}
	buf_init(&b, 2048);
	buf_put_u8(&b, d->fd >= 0);
	buf_put_cstring(&b, peer_text);
	buf_put_cstring(&b, local_text);
	buf_put_cstring(&b, d->fd >= 0 ? "" : d->reason);
	r = ipc_send(link, MSG_DIAL_DONE, 0, &b, &d->fd, d->fd >= 0 ? 1 : 0);
	buf_finish(&b);
	return r;
}

/* The resolver waits as it likes: the alarm's default action ends the process, policy is told by WORKER_DOWN. */
static void set_alarm(uint32_t ms)
{
	struct itimerval t = { .it_value = { .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 } };

	setitimer(ITIMER_REAL, &t, NULL);
}

void worker_dial(const struct config *conf, struct ipc *link, const struct dial_job *job)
{
	struct dial d = { .job = job, .fd = -1 };
	uint32_t limit = job->limit_ms != 0 && job->limit_ms < 120000 ? job->limit_ms : 120000;
	uint64_t end_ms = clock_mono_ms() + limit;

	set_alarm(limit + 500);
	if (drop_to(conf, ROLE_DIAL) != 0 || sandbox_enter(conf, ROLE_DIAL) != 0)
		_exit(1);
	if (resolve(&d) == 0)
		connect_any(&d, end_ms);
	log_debug("%s port %u: %s", job->host, job->port, d.fd >= 0 ? "connected" : d.reason);
	_exit(report(&d, link) == 0 ? 0 : 1);
}
