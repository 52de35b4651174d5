/*
 * sshcert.h - OpenSSH user certificates (PROTOCOL.certkeys), and the bounds that the keys role puts
 * on them. Pure.
 *
 * Role keys: comes after policy's SIGN_CERT (policy_authz.c), before the session's login at the
 * target.
 */
#ifndef BASTION_SSHCERT_H
#define BASTION_SSHCERT_H

#include <openssl/evp.h>

#include "buf.h"
#include "names.h"

#define SSHCERT_LIFE 300	/* seconds from a certificate's first to its last, and from now to its last */
#define SSHCERT_BACK 60		/* of them before now: the target's clock may be behind */
#define SSHCERT_KEY_ID_MAX 255
#define SSHCERT_SOURCE_MAX 1024
#define SSHCERT_COMMAND_MAX 2048
#define SSHCERT_MAX 8000	/* bytes of a certificate */

struct sshcert {
	const uint8_t *key;	/* blob of the session's ephemeral key; the caller's memory */
	size_t key_len;
	char principal[LOGIN_MAX + 1];	/* exactly one: the login at the target */
	char key_id[SSHCERT_KEY_ID_MAX + 1]; /* what the target's sshd logs */
	uint64_t serial;
	uint64_t after, before;	/* unix seconds */
	/* critical option source-address: comma list of addresses or CIDR, never empty */
	char source[SSHCERT_SOURCE_MAX + 1];
	bool forward;		/* the grant names destinations: permit-port-forwarding */
	char command[SSHCERT_COMMAND_MAX + 1];	/* critical option force-command, and then no extension at all; "": none */
};

/* Decodes the body of SIGN_CERT; `key` points into it. 0, or -1. */
int sshcert_decode(struct buf *body, struct sshcert *c);

/* NULL when the request is within the bounds at `now` (unix seconds); else what is wrong (static
   text). */
const char *sshcert_refusal(const struct sshcert *c, int64_t now);

/* A comma list of IPv4 or IPv6 addresses, each with an optional prefix length, as sshd takes it. */
bool sshcert_source_valid(const char *list);

/*
 * Appends the certificate blob, signed by `ca`. Extensions: permit-pty, and with `forward` permit-port-forwarding; with `command` none. 0, or -1 with errno:
 * EINVAL (key, names), EIO (OpenSSL).
 */
int sshcert_sign(const struct sshcert *c, EVP_PKEY *ca, struct buf *out);

#endif
