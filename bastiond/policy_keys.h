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
/* A managed key for a login; *agent is the socket that keys serves then, the caller's in any case unless it stays as it was. */
uint32_t keys_lend(struct policy *p, const char *name, const char *login, int *agent, keys_answer *answer, void *arg);
void keys_forget(struct policy *p, uint32_t ask); /* its answer is dropped */
void keys_close(struct policy *p);

#endif
