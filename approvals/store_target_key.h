/*
 * store_target_key.h - the bastion's own keys at hosts that take no certificates, as they rotate. A part of the store (store.h).
 *
 * One row a key. What is to be done with it follows from the row alone, so that a bastion that died goes on where it was:
 *
 *     wanted ── make ──▶ new ── install, verify ──▶ active ──▶ old ── remove, check ──▶ gone
 *
 * Of a host and a login at most one key is active and one wanted or new; the one that was active becomes old in the same transaction in
 * which the new one becomes active, after a login with the new one. Generation 0 is the key of keys/managed that the host began with.
 */
#ifndef BASTION_STORE_TARGET_KEY_H
#define BASTION_STORE_TARGET_KEY_H

#include "store.h"

#define TARGET_SEALED_LEN 68
#define TARGET_WHY_MAX 512

enum target_step { STEP_NONE, STEP_MAKE, STEP_INSTALL, STEP_VERIFY, STEP_REMOVE, STEP_CHECK };

struct target_row {
	int64_t id, host_id, generation;
	char login[LOGIN_MAX + 1], managed[USER_NAME_MAX + 1];	/* managed: of generation 0; "" */
	enum target_step step;		/* what comes next; STEP_NONE: it is active */
	struct host_key public;		/* len 0: not made yet */
	uint8_t sealed[TARGET_SEALED_LEN];
	size_t sealed_len;		/* 0: the key of keys/managed */
	int64_t made, used;		/* unix seconds; used: last lent for a way, 0 */
	int64_t tries, next;		/* failures of this step; not before */
};

/* The active one: 1, 0, -1. */
int store_target_active(struct store *s, int64_t host_id, const char *login, struct target_row *t);
int store_target_row(struct store *s, int64_t id, struct target_row *t);
/* The key that the host is logged in to with now, generation 0, if there is no row yet. 0, or -1. */
int store_target_begin(struct store *s, int64_t host_id, const char *login, const char *managed, const struct host_key *public, int64_t now);
/* A rotation is wanted: 1; 0: one is under way; -1. There must be an active one. */
int store_target_want(struct store *s, int64_t host_id, const char *login, int64_t now);
/* Is a rotation of this place under way: a key wanted, or made and not yet active? 1, 0, -1. */
int store_target_coming(struct store *s, int64_t host_id, const char *login);
/* What waits after a failure there is due now. 0, or -1. */
int store_target_hurry(struct store *s, int64_t host_id, const char *login, int64_t now);
/* Rows whose next step is due, with a number over `after`, of hosts that are registered: 1, 0, -1. */
int store_target_due(struct store *s, int64_t now, int64_t after, struct target_row *t);
/* The steps are done. 1; 0: the row was not in that state any more; -1. */
int store_target_made(struct store *s, int64_t id, const struct host_key *public, const uint8_t sealed[TARGET_SEALED_LEN], int64_t now);
int store_target_installed(struct store *s, int64_t id, int64_t now);
int store_target_switch(struct store *s, const struct target_row *t, int64_t now);
int store_target_removed(struct store *s, int64_t id, int64_t now);
int store_target_gone(struct store *s, int64_t id);
/* A step failed: not before `next` again. 0, or -1. */
int store_target_failed(struct store *s, int64_t id, const char *why, int64_t next);
/* It is no failure, and waits until then. */
int store_target_wait(struct store *s, int64_t id, const char *why, int64_t next);
/* A removal that did not take: from the start. */
int store_target_again(struct store *s, int64_t id, const char *why, int64_t next);
int store_target_used(struct store *s, int64_t id, int64_t now);
/* How many days a key stays at a host: 1, and 0 days for ever; 0: as the configuration says; -1. */
int store_host_rotate(struct store *s, int64_t host_id, int64_t *days);
/* -1 days: as the configuration says. 0, or -1. */
int store_host_rotate_set(struct store *s, int64_t host_id, int days);
/* Is there a host whose keys rotate by an age of its own? 1, 0, -1. */
int store_hosts_rotate(struct store *s);
/* Each host that is logged in to with managed keys, by name; as store_hosts(). */
int store_hosts_managed(struct store *s, int (*fn)(void *arg, const struct host *h), void *arg);
/* The same of the other names of h's machine (policy_place.h) that have this login. */
int store_target_others(struct store *s, const struct host *h, const char *login, int (*fn)(void *arg, const struct host *h), void *arg);

#endif
