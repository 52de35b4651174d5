/*
 * typing_ends.c - the two ends of a session: a client that types and a target that takes it in and echoes it; see typing.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kill.h"
#include "typing.h"

#define LINES 40
#define PACE_MS 2		/* between two lines, at most */

/* --- target --- */

int typing_listen(uint16_t port)
{
	const struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (const void *)&a, sizeof(a)) != 0 || listen(fd, 256) != 0) {
		perror("typing: target");
		exit(2);
	}
	return fd;
}

/* Whoever shows a key is let in: the lab's own test is what the bastion lets through. The channel, or NULL. */
static ssh_channel serve_login(ssh_session ssh)
{
	ssh_message m;

	while ((m = ssh_message_get(ssh)) != NULL) {
		ssh_channel ch = NULL;

		switch (ssh_message_type(m)) {
		case SSH_REQUEST_SERVICE:
			ssh_message_service_reply_success(m);
			break;
		case SSH_REQUEST_AUTH:
			/* a probe is answered so, too: libssh has checked the signature, or asks for one */
			if (ssh_message_subtype(m) == SSH_AUTH_METHOD_PUBLICKEY) {
				ssh_message_auth_reply_success(m, 0);
			} else {
				ssh_message_auth_set_methods(m, SSH_AUTH_METHOD_PUBLICKEY);
				ssh_message_reply_default(m);
			}
			break;
		case SSH_REQUEST_CHANNEL_OPEN:
			ch = ssh_message_channel_request_open_reply_accept(m);
			break;
		default:
			ssh_message_reply_default(m);
		}
		ssh_message_free(m);
		if (ch != NULL)
			return ch;
	}
	return NULL;
}

static struct slot *serve_command(ssh_session ssh, const struct typing *t, struct slot *slots)
{
	ssh_message m;

	while ((m = ssh_message_get(ssh)) != NULL) {
		struct slot *s = NULL;
		unsigned n;

		if (ssh_message_type(m) == SSH_REQUEST_CHANNEL && ssh_message_subtype(m) == SSH_CHANNEL_REQUEST_EXEC) {
			if (sscanf(ssh_message_channel_request_command(m), "type %u", &n) == 1 && n - t->first < SLOTS)
				s = &slots[n - t->first];
			ssh_message_channel_request_reply_success(m);
		} else if (ssh_message_type(m) == SSH_REQUEST_CHANNEL) {
			ssh_message_channel_request_reply_success(m);
		} else {
			ssh_message_reply_default(m);
		}
		ssh_message_free(m);
		if (s != NULL)
			return s;
	}
	return NULL;
}

static void serve(ssh_bind bind, int fd, const struct typing *t, struct slot *slots)
{
	ssh_session ssh = ssh_new();
	ssh_channel ch;
	struct slot *s;
	const int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (ssh_bind_accept_fd(bind, ssh, fd) != SSH_OK || ssh_handle_key_exchange(ssh) != SSH_OK || (ch = serve_login(ssh)) == NULL ||
	    (s = serve_command(ssh, t, slots)) == NULL)
		_exit(1);
	s->in = true;
	while (s->got < SLOT_BYTES) {
		int n = ssh_channel_read(ch, s->target + s->got, SLOT_BYTES - s->got, 0);

		if (n <= 0 || ssh_channel_write(ch, s->target + s->got, (uint32_t)n) != n)
			break;
		s->got += (uint32_t)n;
	}
	ssh_channel_request_send_exit_status(ch, 0);
	ssh_channel_send_eof(ch);
	ssh_channel_close(ch);
	ssh_disconnect(ssh);
	_exit(0);
}

void typing_target(const struct typing *t, struct slot *slots, int fd)
{
	int c;
	ssh_bind bind = ssh_bind_new();
	const bool no = false;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	if (ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no) != 0 ||
	    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_HOSTKEY, t->host_key) != 0) {
		fprintf(stderr, "typing: target: %s\n", ssh_get_error(bind));
		exit(2);
	}
	while ((c = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(fd);
			serve(bind, c, t, slots);
		}
		close(c);
	}
	exit(2);
}

/* --- client --- */

/* What comes back is kept, but for what the bastion says itself. -1: nothing more will come. */
static int take(ssh_channel ch, struct slot *s, int wait_ms)
{
	int n = ssh_channel_read_timeout(ch, s->client + s->echoed, SLOT_BYTES - s->echoed, 0, wait_ms);
	char said[1024];

	if (n > 0)
		s->echoed += (uint32_t)n;
	/* libssh knows no end of file while something is unread */
	while (ssh_channel_read_nonblocking(ch, said, sizeof(said), 1) > 0)
		;
	return n < 0 || ssh_channel_is_eof(ch) || !ssh_channel_is_open(ch) ? -1 : 0;
}

static void type(ssh_channel ch, struct slot *s, unsigned number)
{
	uint64_t dice = number * 0x9e3779b97f4a7c15ULL | 1;
	char line[200];

	s->out = true;
	for (unsigned i = 0; i < LINES; i++) {
		unsigned pad = (unsigned)(kill_random(&dice) % 8 == 0 ? kill_random(&dice) % 150 : 0);
		int len = snprintf(line, sizeof(line), "%u.%05u%*s\n", number, i, (int)pad, "");

		if (ssh_channel_write(ch, line, (uint32_t)len) != len)
			return;
		s->typed += (uint32_t)len;
		if (take(ch, s, (int)(kill_random(&dice) % (PACE_MS + 1))) != 0)
			return;
	}
	ssh_channel_send_eof(ch);
	while (take(ch, s, 5000) == 0)
		;
}

int typing_client(const struct typing *t, struct slot *slots, unsigned number)
{
	const int nodelay = 1, no = 0, port = t->bastion_port;
	const long patience = 20; /* seconds */
	struct slot *s = &slots[number - t->first];
	ssh_session ssh = ssh_new();
	ssh_channel ch = NULL;
	ssh_key key = NULL;
	char command[32];

	snprintf(command, sizeof(command), "type %u", number);
	ssh_options_set(ssh, SSH_OPTIONS_PROCESS_CONFIG, &no);
	ssh_options_set(ssh, SSH_OPTIONS_HOST, "127.0.0.1");
	ssh_options_set(ssh, SSH_OPTIONS_PORT, &port);
	ssh_options_set(ssh, SSH_OPTIONS_USER, t->user);
	ssh_options_set(ssh, SSH_OPTIONS_NODELAY, &nodelay);
	ssh_options_set(ssh, SSH_OPTIONS_TIMEOUT, &patience); /* libssh waits for ever for a server that ended in the middle of the login */
	ssh_options_set(ssh, SSH_OPTIONS_KEY_EXCHANGE, "curve25519-sha256");
	s->terminal = number % 2 == 0;
	if (ssh_pki_import_privkey_file(t->key, NULL, NULL, NULL, &key) == SSH_OK && ssh_connect(ssh) == SSH_OK &&
	    ssh_userauth_publickey(ssh, NULL, key) == SSH_AUTH_SUCCESS && (ch = ssh_channel_new(ssh)) != NULL &&
	    ssh_channel_open_session(ch) == SSH_OK && (!s->terminal || ssh_channel_request_pty(ch) == SSH_OK) &&
	    ssh_channel_request_exec(ch, command) == SSH_OK)
		type(ch, s, number);
	s->done = true;
	return s->out ? 0 : -1;
}
