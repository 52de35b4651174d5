/*
 * policy_keys.h - requests to the keys role (policy_keys.c). Role policy; a part of policy.h.
 */
#ifndef BASTION_POLICY_KEYS_H
#define BASTION_POLICY_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct policy;

/* What keys says: refusal NULL: the certificate or public key blob; else why not, for the log. */
typedef void keys_answer(void *arg, const char *refusal, const uint8_t *blob, size_t len);

/* Seconds. The target's clock may be behind; below SSHCERT_BACK, for keys looks later. Both together are SSHCERT_LIFE. */
#define KEYS_CERT_BACK 50
#define KEYS_CERT_AHEAD 250

struct keys_cert {
	const uint8_t *key;		/* public key blob */
	size_t key_len;
	const char *principal, *key_id, *source;
	uint64_t after, before;		/* unix seconds */
	bool forward;
	const char *command;		/* force-command; NULL: none */
};

int keys_open(struct policy *p, int fd);
int keys_refresh(struct policy *p); /* the list of them anew */
/* The number of the request, 0: failed. The answer comes from the loop. */
uint32_t keys_sign(struct policy *p, const struct keys_cert *c, keys_answer *answer, void *arg);
/* Where a managed key that rotates belongs; sealed_len 0: one of keys/managed, by its name. */
struct keys_lent {
	const char *name, *login;
	const uint8_t *sealed;
	size_t sealed_len;
	int64_t host_id, generation;
};

/* A fresh key for a place: the blob of the answer is str public key blob, str sealed. */
uint32_t keys_make_key(struct policy *p, int64_t host_id, const char *login, int64_t generation, keys_answer *answer, void *arg);
/* A managed key for a login; *agent is the socket that keys serves then, the caller's in any case unless it stays as it was. */
uint32_t keys_lend(struct policy *p, const struct keys_lent *l, int *agent, keys_answer *answer, void *arg);
void keys_forget(struct policy *p, uint32_t ask); /* its answer is dropped */
void keys_close(struct policy *p);

#endif
