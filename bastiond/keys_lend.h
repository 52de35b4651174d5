/*
 * keys_lend.h - the agent sockets that the keys role serves: one a login at a target whose key is
 * managed.
 */
#ifndef BASTION_KEYS_LEND_H
#define BASTION_KEYS_LEND_H

#include <openssl/evp.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#define LEND_MAX 512		/* lent at the same time */
#define LEND_TIME_MS 60000	/* a login at a target is done by then */
#define LEND_REQUESTS 32	/* that one socket may ask, of whatever kind */

struct lent;

struct lending {
	struct lent *lent[LEND_MAX];	/* 0..n-1 in use, in no order */
	size_t n;
};

/* Takes over fd, even when it fails. NULL, or a static text of why not. */
const char *lend_start(struct lending *l, int fd, EVP_PKEY *key, const char *login,
    uint64_t now_ms);
/* Fills in p[0..n-1], in the order of lend_events; returns n. */
size_t lend_poll(const struct lending *l, struct pollfd *p);
/* Serves what poll found, ends what is over its time. `p`, `n`: as lend_poll left them. */
void lend_events(struct lending *l, const struct pollfd *p, size_t n, uint64_t now_ms);
/* Milliseconds to the next end of time; -1: nothing is lent. */
int lend_timeout(const struct lending *l, uint64_t now_ms);
void lend_finish(struct lending *l);

#endif
