/*
 * ssh_setup.h - the options of both SSH legs in one place: algorithms, limits, no system configuration.
 */
#ifndef BASTION_SSH_SETUP_H
#define BASTION_SSH_SETUP_H

#include <libssh/libssh.h>
#include <libssh/server.h>

#include "buf.h"
#include "config.h"

/*
 * libssh marks its message interface as deprecated in favour of callbacks. Callbacks must answer at once; this
 * daemon answers when policy has decided, so the messages it is (they are in 0.10, 0.11 and 0.12).
 */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/*
 * The server side, for every session to come. A libssh session costs more to make than a key exchange (it has host keys of its own, RSA
 * among them), and all are alike until their first byte: so master makes two, and each fork finds them in its memory, one for its client and
 * one for the SSH that may be inside. They stand on a descriptor that is nobody's until the connection takes its number.
 */
#define SSH_READY_MAX 2

struct ssh_service {
	ssh_bind bind;
	struct { ssh_session ssh; int fd; } ready[SSH_READY_MAX];	/* ssh NULL: not made, or taken */
};

/* Host keys from master's bundle (keyfiles.h), algorithms, banner. 0; -1, logged, and nothing to free. */
int ssh_setup_service(struct ssh_service *v, const struct buf *files);
/* Makes the sessions that wait. 0; -1, logged: those there are count, each connection makes its own. */
int ssh_setup_ready(struct ssh_service *v);
void ssh_setup_finish(struct ssh_service *v);
/*
 * A server session on a connected descriptor, which it then owns and may move: *fd is its number then. Non-blocking.
 * NULL, logged; *fd is then closed.
 */
ssh_session ssh_setup_server(struct ssh_service *v, int *fd);
/* A client session on a connected descriptor; `hostkeys`: the algorithms of the pinned keys. NULL, logged; fd is then closed. */
ssh_session ssh_setup_client(int fd, const char *login, const char *hostkeys);
/* Something waits to be written, for a peer that does not read fast enough: nothing should be added. */
bool ssh_setup_blocked(ssh_session ssh);
/* One exchange of each kind over a socket pair: what libssh and libcrypto open or compute lazily is done. 0 or -1. */
int ssh_setup_warm(struct ssh_service *v);
/* Appends the public key's blob (RFC 4253 6.6), raw. 0 or -1. */
int ssh_setup_key_blob(ssh_key key, struct buf *out);
/* Appends base64 of a blob, terminated. 0 or -1. */
int ssh_setup_base64(const uint8_t *blob, size_t len, struct buf *out);
/* No Nagle on TCP, keep-alives: dead peers are noticed within two minutes. */
void ssh_setup_socket(int fd);
/*
 * Acknowledges what was read without waiting for an answer to travel with. Before a session stands, clients leave Nagle's algorithm on:
 * their second small packet (KEXINIT, then ECDH_INIT) would wait for the delayed acknowledgement, 40 ms. Once per read: it does not last.
 */
void ssh_setup_ack_now(int fd);

#endif
