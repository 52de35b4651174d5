/*
 * collector_conf.h - the configuration of bastion-collectord: collectord.conf, described in
 * bastion-collectord(8).
 */
#ifndef BASTION_COLLECTOR_CONF_H
#define BASTION_COLLECTOR_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "collector_conf_archive.h"
#include "crypto.h"
#include "log.h"
#include "wire_tls.h"

#define COLL_LISTEN_MAX 16
#define COLL_CLIENTS_MAX 16
#define COLL_NAME_MAX 32
#define COLL_RETENTION_MAX 36500	/* days */
#define COLL_FILE_MAX (256U << 10)	/* bytes of a file that an option names */

struct coll_listen {
	struct sockaddr_storage ss;
	socklen_t len;
	char text[64];
};

/* A recorder section: who may store, and whose signature its recordings carry. */
struct coll_client {
	char name[COLL_NAME_MAX + 1];
	struct tls_pins certs;		/* of its TLS client */
	struct tls_pins signers;	/* keys only; none: headers are not checked */
	char *certificate, *signer;	/* the files; signer "": none */
};

struct coll_conf {
	struct coll_listen listen[COLL_LISTEN_MAX];
	size_t nlisten;
	char *store, *user, *certificate, *key, *receipt_key;
	char *log_origin;		/* "": made from the receipt key */
	uid_t uid;			/* of `user`; 0: it is not to be changed */
	gid_t gid;
	uint64_t journal_bytes, reserve;
	uint32_t max_connections, max_recordings, handshake_s;
	uint32_t retention;		/* days; 0: nothing is removed */
	enum log_level log_level;
	bool sandbox_strict;		/* no start without every layer */
	struct coll_client clients[COLL_CLIENTS_MAX];
	size_t nclients;
	struct coll_archive archive;
};

/*
 * Reads FILE. Problems go to standard error as "FILE:LINE: what, and what would be right". `init`:
 * the certificates of recorders, which may not exist yet, are not read. NULL after a problem. The
 * caller destroys the result.
 */
struct coll_conf *coll_conf_load(const char *file, bool init);
void coll_conf_destroy(struct coll_conf *c);
/* The client whose certificate it is; NULL. */
const struct coll_client *coll_conf_client(const struct coll_conf *c, const uint8_t pin[TLS_PIN_LEN]);

/* The name of the log of recordings to out[TLOG_NAME_MAX + 1]: the configured one, or one made from the receipt key. */
void coll_log_origin(char *out, const struct coll_conf *c, const uint8_t receipt_key[KEY_LEN]);

/* The log's directory, for a store that was made before there was one: while still root. 0, or -1 said on standard error. */
int coll_make_log(const struct coll_conf *c);

/*
 * bastion-collectord -I: makes directories, keys, certificate; prints what goes to the bastion. An
 * exit status.
 */
int coll_init(const struct coll_conf *c);

#endif
