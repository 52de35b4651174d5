/*
 * puppet.h - the roles of test_parent.c: they tell what they see, a line a datagram, to the socket of TEST_TELL, and
 * policy's sends to parent what comes to the socket of TEST_ORDERS. Included there only.
 */
#ifndef TEST_PUPPET_H
#define TEST_PUPPET_H

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "config.h"
#include "crypto_recid.h"
#include "hex.h"
#include "ipc.h"
#include "roles.h"

#ifdef __SANITIZE_ADDRESS__
#define PATIENCE_MS 60000 /* forks are slow then */
#else
#define PATIENCE_MS 15000
#endif

static int tell_fd = -1;

static void tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void tell(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (send(tell_fd, line, (size_t)n, MSG_NOSIGNAL) < 0)
		_exit(3);
}

static void tell_connect(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", getenv("TEST_TELL"));
	tell_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (connect(tell_fd, (struct sockaddr *)&sun, sizeof(sun)) != 0)
		_exit(3);
}

/* The numbers of what is open over 2, before this process opens anything itself. */
static void list_fds(char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (int fd = 3; fd < 256 && len < size; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			len += (size_t)snprintf(out + len, size - len, " %d", fd);
}

static void tell_start(const struct ipc_msg *m, const char *role)
{
	struct buf b = m->body;
	char peer[64] = "";
	char hex[2 * RECID_KEY_LEN + 1] = "";
	bool id = false;
	unsigned port = 0;

	if (m->type == MSG_PEER_UP)
		id = buf_get(&b, 16) != NULL;
	if (m->type == MSG_PEER_UP || m->type == MSG_REC_PEER_UP) {
		const uint8_t *key = buf_get(&b, RECID_KEY_LEN);

		snprintf(hex, sizeof(hex), "%s", "none");
		if (key != NULL)
			hex_encode(hex, key, RECID_KEY_LEN);
	}
	if (m->type != MSG_REC_PEER_UP)
		buf_get_cstring(&b, peer, sizeof(peer));
	if (m->type == MSG_PEER_UP)
		port = buf_get_u16(&b);
	tell("%s %s slot=%u peer=%s from=%d id=%d fds=%d whole=%d key=%s", role, msg_name(m->type), m->id, peer, port != 0, id, m->nfds, buf_end(&b),
	    hex);
}

static void master_message(struct ipc *parent, struct ipc_msg *m)
{
	struct buf b;

	if (m->type == MSG_SESSION_START) {
		tell_start(m, "master");
		return;
	}
	buf_init(&b, 20);
	buf_put_u32(&b, SIGKILL);
	buf_put_u64(&b, 1);
	buf_put_u64(&b, 2);
	tell("master stops slot=%u", m->id);
	ipc_send(parent, MSG_SESSION_DOWN, m->id, &b, NULL, 0);
	buf_finish(&b);
}

static void dial_done(int fd)
{
	char peer[64] = "", local[64] = "", reason[128] = "";
	struct ipc link;
	struct ipc_msg m;
	uint8_t ok;

	ipc_init(&link, fd, ROLE_POLICY, ROLE_DIAL);
	if (ipc_wait(&link, &m, PATIENCE_MS) != 1) {
		tell("policy DIAL nothing");
	} else {
		ok = buf_get_u8(&m.body);
		buf_get_cstring(&m.body, peer, sizeof(peer));
		buf_get_cstring(&m.body, local, sizeof(local));
		buf_get_cstring(&m.body, reason, sizeof(reason));
		tell("policy DIAL ok=%d peer=%s local=%s fds=%d reason=%s", ok, peer, local, m.nfds, reason);
		ipc_msg_finish(&m);
	}
	ipc_finish(&link);
}

static void tell_held(struct ipc_msg *m)
{
	char net[64] = "";
	unsigned seconds, names, how;

	buf_get_cstring(&m->body, net, sizeof(net));
	seconds = buf_get_u32(&m->body);
	names = buf_get_u32(&m->body);
	how = buf_get_u8(&m->body);
	tell("policy SOURCE_HELD net=%s names=%u how=%u whole=%d seconds=%u", net, names, how, buf_end(&m->body), seconds);
}

static void policy_message(struct ipc_msg *m)
{
	if (m->type == MSG_POLICY_RECORD)
		tell("policy POLICY_RECORD fds=%d", m->nfds);
	else if (m->type == MSG_SOURCE_HELD)
		tell_held(m);
	else if (m->type == MSG_PEER_UP)
		tell_start(m, "policy");
	else if (m->type == MSG_WORKER_UP && m->nfds == 1)
		dial_done(ipc_take_fd(m, 0));
	else if (m->type == MSG_WORKER_UP)
		tell("policy CONSOLE fds=%d tty=%d", m->nfds, isatty(m->fds[1]));
	else
		tell("policy %s id=%u value=%u", msg_name(m->type), m->id,
		    m->body.len >= 4 ? buf_get_u32(&m->body) : 0);
}

static void say_reload(const char *role, int fd)
{
	struct config *conf = config_load_fd(fd, "reload", NULL, NULL);

	tell("%s RELOAD max_channels=%u", role, conf != NULL ? conf->max_channels : 0);
	config_destroy(conf);
	close(fd);
}

/* What the test sends to the policy puppet goes to parent as it is: "TYPE ID" and raw body bytes. */
static void relay_order(struct ipc *parent, int orders)
{
	char order[1024];
	unsigned type, id;
	int head = 0;
	ssize_t n = recv(orders, order, sizeof(order) - 1, MSG_DONTWAIT);
	struct buf b;

	if (n <= 0)
		return;
	order[n] = '\0';
	if (sscanf(order, "%u %u %n", &type, &id, &head) != 2)
		_exit(4);
	buf_init(&b, 1024);
	buf_put(&b, order + head, (size_t)(n - head));
	if (ipc_send(parent, (enum msg_type)type, id, &b, NULL, 0) != 0)
		tell("policy cannot send %u", type);
	buf_finish(&b);
}

static int open_orders(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", getenv("TEST_ORDERS"));
	unlink(sun.sun_path);
	return bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 ? fd : -1;
}

static int puppet(const char *name)
{
	static const enum msg_type ready[ROLE_COUNT] = { [ROLE_POLICY] = MSG_POLICY_READY, [ROLE_KEYS] = MSG_KEYS_READY,
		[ROLE_RECORDER] = MSG_RECORDER_READY, [ROLE_MASTER] = MSG_MASTER_READY };
	enum role role = role_by_name(name);
	struct ipc parent;
	char fds[256];
	int sig = 0, orders = -1;

	list_fds(fds, sizeof(fds));
	tell_connect();
	prctl(PR_GET_PDEATHSIG, &sig);
	tell("%s starts pid=%d fds=%s; death=%d", name, (int)getpid(), fds, sig);
	if (getenv("TEST_FAIL") != NULL && strcmp(getenv("TEST_FAIL"), name) == 0)
		return 1;
	if (role == ROLE_POLICY)
		orders = open_orders();
	ipc_init(&parent, ROLE_FD_PARENT, role, ROLE_PARENT);
	ipc_send_empty(&parent, ready[role], 0);
	for (;;) {
		struct pollfd p[2] = { { .fd = ROLE_FD_PARENT, .events = POLLIN }, { .fd = orders, .events = POLLIN } };
		struct ipc_msg m;
		int r;

		poll(p, 2, -1);
		while ((r = ipc_recv(&parent, &m)) == 1) {
			if (m.type == MSG_POLICY_RELOAD || m.type == MSG_RECORDER_RELOAD || m.type == MSG_MASTER_RELOAD)
				say_reload(name, ipc_take_fd(&m, 0));
			else if (m.type == MSG_KEYS_RELOAD)
				tell("keys RELOAD");
			else if (role == ROLE_MASTER)
				master_message(&parent, &m);
			else if (role == ROLE_POLICY)
				policy_message(&m);
			else if (m.type == MSG_REC_PEER_UP && m.id == 0)
				tell("recorder POLICY fds=%d", m.nfds);
			else
				tell_start(&m, name);
			ipc_msg_finish(&m);
		}
		if (r < 0)
			return 0;
		if (p[1].revents != 0)
			relay_order(&parent, orders);
	}
}

#endif
