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

/* The server side, for every session to come: host keys from master's bundle (keyfiles.h), algorithms, banner. NULL, logged. */
ssh_bind ssh_setup_bind(const struct buf *files);
/* A server session on a connected descriptor, which it then owns; non-blocking. NULL, logged; fd is then closed. */
ssh_session ssh_setup_server(ssh_bind bind, int fd);
/* A client session on a connected descriptor; `hostkeys`: the algorithms of the pinned keys. NULL, logged; fd is then closed. */
ssh_session ssh_setup_client(int fd, const char *login, const char *hostkeys);
/* Frees either, and forgets what was read ahead on its descriptor. NULL is fine. */
void ssh_setup_free(ssh_session ssh, int fd);
/* One exchange of each kind over a socket pair: what libssh and libcrypto open or compute lazily is done. 0 or -1. */
int ssh_setup_warm(ssh_bind bind);
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
