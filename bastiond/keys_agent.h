/*
 * keys_agent.h - the ssh-agent protocol (draft-miller-ssh-agent) over one lent key. Pure: bytes in,
 * bytes out.
 *
 * Role keys: serves the session's login at a target whose key is managed, and nothing else. One
 * identity is listed; a signature is given over a USERAUTH_REQUEST (RFC 4252 section 7) for the
 * lent login and that key alone, twice at most.
 */
#ifndef BASTION_KEYS_AGENT_H
#define BASTION_KEYS_AGENT_H

#include <openssl/evp.h>

#include "buf.h"
#include "names.h"

#define AGENT_MESSAGE_MAX 8192	/* bytes of a request or an answer, its length not counted */
#define AGENT_SIGNATURES 2

struct agent {
	EVP_PKEY *key;		/* keys_lend.c holds a reference: it may be gone from the role's keys */
	char login[LOGIN_MAX + 1];
	unsigned left;		/* signatures still allowed */
};

void agent_init(struct agent *a, EVP_PKEY *key, const char *login);

/*
 * Answers one request (type byte and contents, the length taken off). Appends the answer to out,
 * its length in front. A request that is not served is answered SSH_AGENT_FAILURE. 0, or -1 when no
 * answer could be made: end the link.
 */
int agent_answer(struct agent *a, const uint8_t *request, size_t len, struct buf *out);

/* May `data` be signed with `key` under `alg` for `login`? Static text of why not, NULL if it may.
   */
const char *agent_refusal(EVP_PKEY *key, const char *login, const char *alg, const uint8_t *data,
    size_t len);

#endif
