/*
 * ssh_setup.c - see ssh_setup.h. Master (bind, warm) and session (both legs).
 */
#include "ssh_setup.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "log.h"
#include "ssh_hostkeys.h"
#include "ssh_io.h"

/* No finite-field exchange: 0.10 does not check the peer's share. From 0.12 on the hybrids go first. */
#if LIBSSH_VERSION_INT >= SSH_VERSION_INT(0, 12, 0)
#define KEX_HYBRID "mlkem768x25519-sha256,sntrup761x25519-sha512@openssh.com,"
#else
#define KEX_HYBRID ""
#endif
#define KEX KEX_HYBRID "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521"
#define CIPHERS "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-ctr"
#define MACS "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"
#define HOSTKEYS "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256"
#define USERKEYS                                                                                        \
	"ssh-ed25519,sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,"             \
	"ecdsa-sha2-nistp521,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256"
/* The client sends eow@openssh.com, without which `ssh host yes | head` never ends, only to a server of this name. */
#define BANNER "OpenSSH_9.2 bastiond"

static int bind_set(ssh_bind bind, enum ssh_bind_options_e option, const void *value)
{
	if (ssh_bind_options_set(bind, option, value) == 0)
		return 0;
	log_error("ssh: server option %d: %s", (int)option, ssh_get_error(bind));
	return -1;
}

int ssh_setup_service(struct ssh_service *v, const struct buf *files)
{
	const bool no = false;
	ssh_key keys[SSH_HOSTKEYS_COUNT] = { NULL };
	ssh_bind bind = ssh_bind_new();

	*v = (struct ssh_service){ .bind = bind };
	if (bind == NULL || ssh_hostkeys_load(files, keys) != 0)
		goto fail;
	for (size_t i = 0; i < SSH_HOSTKEYS_COUNT; i++) {
		if (bind_set(bind, SSH_BIND_OPTIONS_IMPORT_KEY, keys[i]) != 0)
			goto fail;
		keys[i] = NULL; /* bind's now */
	}
	if (bind_set(bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no) != 0 ||
	    bind_set(bind, SSH_BIND_OPTIONS_BANNER, BANNER) != 0 ||
	    bind_set(bind, SSH_BIND_OPTIONS_KEY_EXCHANGE, KEX) != 0 ||
	    bind_set(bind, SSH_BIND_OPTIONS_CIPHERS_C_S, CIPHERS) != 0 ||
	    bind_set(bind, SSH_BIND_OPTIONS_CIPHERS_S_C, CIPHERS) != 0 ||
	    bind_set(bind, SSH_BIND_OPTIONS_HMAC_C_S, MACS) != 0 ||
	    bind_set(bind, SSH_BIND_OPTIONS_HMAC_S_C, MACS) != 0 ||
	    bind_set(bind, SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS, HOSTKEYS) != 0 ||
	    bind_set(bind, SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES, USERKEYS) != 0)
		goto fail;
	return 0;
fail:
	for (size_t i = 0; i < SSH_HOSTKEYS_COUNT; i++)
		ssh_key_free(keys[i]);
	ssh_setup_finish(v);
	return -1;
}

void ssh_setup_finish(struct ssh_service *v)
{
	for (size_t i = 0; i < SSH_READY_MAX; i++)
		ssh_free(v->ready[i].ssh); /* and its descriptor */
	if (v->bind != NULL)
		ssh_bind_free(v->bind);
	*v = (struct ssh_service){ 0 };
}

void ssh_setup_socket(int fd)
{
	static const struct { int level, option, value; } options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 }, /* decides login and echo latency */
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 60 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 15 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 4 },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (setsockopt(fd, options[i].level, options[i].option, &options[i].value, sizeof(int)) != 0)
			return; /* not TCP: a socket pair */
}

/*
 * SSH_WRITE_PENDING alone is too much: libssh 0.10 to 0.12 drop it when the socket takes bytes and there is nothing to read, but keep it while there is both,
 * although they wrote then.
 */
bool ssh_setup_blocked(ssh_session ssh)
{
	return (ssh_get_poll_flags(ssh) & SSH_WRITE_PENDING) != 0 && !ssh_io_writable(ssh_get_fd(ssh));
}

void ssh_setup_ack_now(int fd)
{
	const int on = 1;

	/* fails on the pair of a tunnel, which needs none */
	setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

/* NULL, logged; fd is then closed. */
static ssh_session make_server(ssh_bind bind, int fd)
{
	const char *none = "none";
	ssh_session ssh = ssh_new();

	if (ssh == NULL) {
		close(fd);
		return NULL;
	}
	if (ssh_bind_accept_fd(bind, ssh, fd) != SSH_OK) {
		log_error("ssh: cannot serve a connection: %s", ssh_get_error(bind));
		ssh_free(ssh);
		return NULL;
	}
	if (ssh_options_set(ssh, SSH_OPTIONS_COMPRESSION_C_S, none) != 0 ||
	    ssh_options_set(ssh, SSH_OPTIONS_COMPRESSION_S_C, none) != 0) {
		log_error("ssh: %s", ssh_get_error(ssh));
		ssh_free(ssh);
		return NULL;
	}
	ssh_set_blocking(ssh, 0);
	return ssh;
}

int ssh_setup_ready(struct ssh_service *v)
{
	for (size_t i = 0; i < SSH_READY_MAX; i++) {
		int fds[2];

		if (v->ready[i].ssh != NULL)
			continue;
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
			log_error("ssh: no descriptor for a session to come: %s", strerror(errno));
			return -1;
		}
		close(fds[1]);
		v->ready[i].fd = fds[0];
		if ((v->ready[i].ssh = make_server(v->bind, fds[0])) == NULL)
			return -1;
	}
	return 0;
}

/* One that waits, on the caller's descriptor from now on; NULL when all are taken. */
static ssh_session take_ready(struct ssh_service *v, int *fd)
{
	for (size_t i = 0; i < SSH_READY_MAX; i++) {
		ssh_session ssh = v->ready[i].ssh;

		if (ssh == NULL || dup3(*fd, v->ready[i].fd, O_CLOEXEC) < 0)
			continue;
		close(*fd);
		*fd = v->ready[i].fd;
		v->ready[i].ssh = NULL;
		return ssh;
	}
	return NULL;
}

ssh_session ssh_setup_server(struct ssh_service *v, int *fd)
{
	ssh_session ssh = take_ready(v, fd);

	if (ssh == NULL && (ssh = make_server(v->bind, *fd)) == NULL)
		return NULL;
	ssh_setup_socket(*fd);
	ssh_io_start(*fd);
	return ssh;
}

static int client_options(ssh_session ssh, int fd, const char *login, const char *hostkeys)
{
	const bool no = false;
	const struct { enum ssh_options_e option; const void *value; } options[] = {
		{ SSH_OPTIONS_PROCESS_CONFIG, &no },
		{ SSH_OPTIONS_SSH_DIR, "/" }, /* else libssh looks for a home directory */
		{ SSH_OPTIONS_HOST, "target" },
		{ SSH_OPTIONS_USER, login },
		{ SSH_OPTIONS_FD, &fd },
		{ SSH_OPTIONS_KEY_EXCHANGE, KEX },
		{ SSH_OPTIONS_CIPHERS_C_S, CIPHERS },
		{ SSH_OPTIONS_CIPHERS_S_C, CIPHERS },
		{ SSH_OPTIONS_HMAC_C_S, MACS },
		{ SSH_OPTIONS_HMAC_S_C, MACS },
		{ SSH_OPTIONS_HOSTKEYS, hostkeys },
		{ SSH_OPTIONS_COMPRESSION, "no" },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (ssh_options_set(ssh, options[i].option, options[i].value) != 0) {
			log_error("ssh: client option %d: %s", (int)options[i].option, ssh_get_error(ssh));
			return -1;
		}
	return 0;
}

ssh_session ssh_setup_client(int fd, const char *login, const char *hostkeys)
{
	ssh_session ssh = ssh_new();

	if (ssh == NULL || client_options(ssh, fd, login, hostkeys) != 0) {
		ssh_free(ssh);
		close(fd);
		return NULL;
	}
	ssh_setup_socket(fd);
	ssh_set_blocking(ssh, 0);
	ssh_io_start(fd);
	return ssh;
}

int ssh_setup_key_blob(ssh_key key, struct buf *out)
{
	char *base64 = NULL;
	size_t len, pad;
	uint8_t *p;
	int r = -1;

	if (ssh_pki_export_pubkey_base64(key, &base64) != SSH_OK)
		return -1;
	len = strlen(base64);
	pad = len >= 2 ? (size_t)(base64[len - 1] == '=') + (base64[len - 2] == '=') : 0;
	if (len >= 4 && len % 4 == 0 && (p = buf_reserve(out, len / 4 * 3)) != NULL &&
	    EVP_DecodeBlock(p, (const uint8_t *)base64, (int)len) == (int)(len / 4 * 3)) {
		out->len -= pad; /* EVP_DecodeBlock counts the padding as zero bytes */
		r = 0;
	}
	ssh_string_free_char(base64);
	return r;
}

int ssh_setup_base64(const uint8_t *blob, size_t len, struct buf *out)
{
	uint8_t *p = buf_reserve(out, (len + 2) / 3 * 4 + 1);

	if (p == NULL)
		return -1;
	EVP_EncodeBlock(p, blob, (int)len);
	return 0;
}

/* Both ends of one connection in this process, turn by turn, until the client has been let in. */
static int warm_turns(ssh_session server, ssh_session client, ssh_key key)
{
	int connected = SSH_AGAIN, exchanged = SSH_AGAIN, authed = SSH_AUTH_AGAIN;

	for (int turn = 0; turn < 1000 && authed == SSH_AUTH_AGAIN; turn++) {
		ssh_message m;

		if (connected == SSH_AGAIN && (connected = ssh_connect(client)) == SSH_ERROR)
			return -1;
		if (exchanged == SSH_AGAIN && (exchanged = ssh_handle_key_exchange(server)) == SSH_ERROR)
			return -1;
		if (connected == SSH_OK)
			authed = ssh_userauth_publickey(client, NULL, key);
		while (exchanged == SSH_OK && (m = ssh_message_get(server)) != NULL) {
			if (ssh_message_type(m) == SSH_REQUEST_SERVICE)
				ssh_message_service_reply_success(m);
			else if (ssh_message_auth_publickey_state(m) == SSH_PUBLICKEY_STATE_VALID)
				ssh_message_auth_reply_success(m, 0);
			else
				ssh_message_reply_default(m);
			ssh_message_free(m);
		}
	}
	return authed == SSH_AUTH_SUCCESS ? 0 : -1;
}

static int warm_once(struct ssh_service *v, const char *hostkey)
{
	ssh_session server = NULL, client = NULL;
	ssh_key key = NULL;
	int fds[2], r = -1;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
		return -1;
	server = ssh_setup_server(v, &fds[0]);
	client = ssh_setup_client(fds[1], "warm", hostkey);
	if (server != NULL && client != NULL && ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &key) == SSH_OK)
		r = warm_turns(server, client, key);
	if (r != 0)
		log_error("ssh: trial connection with %s failed: server: %s; client: %s", hostkey,
		    server != NULL ? ssh_get_error(server) : "none", client != NULL ? ssh_get_error(client) : "none");
	ssh_key_free(key);
	ssh_free(client);
	ssh_free(server);
	return r;
}

int ssh_setup_warm(struct ssh_service *v)
{
	return warm_once(v, "ssh-ed25519") == 0 && warm_once(v, "ecdsa-sha2-nistp256") == 0 &&
	    warm_once(v, "rsa-sha2-512") == 0 ? 0 : -1;
}
