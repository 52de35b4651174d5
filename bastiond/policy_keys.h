/*
 * policy_keys.h - requests to the keys role (policy_keys.c). Role policy; a part of policy.h.
 */
#ifndef BASTION_POLICY_KEYS_H
#define BASTION_POLICY_KEYS_H

#include <stdint.h>

struct policy;
struct way;

int keys_open(struct policy *p, int fd);
int keys_refresh(struct policy *p); /* the list of them anew */
/* The answer goes to authz_key(). The number of the request, 0: failed. */
uint32_t keys_sign(struct way *w, const char *key_id, uint64_t after, uint64_t before, const char *source);
uint32_t keys_lend(struct way *w, int agent_fd);
void keys_forget(struct policy *p, uint32_t ask); /* the way is gone: its answer is dropped */
void keys_close(struct policy *p);

#endif
