/*
 * store_hostkey.h - what hosts say of their own host keys: announced ones, and when a host was looked at. A part of the store (store.h).
 *
 * A key that a host announces (hostkeys-00@openssh.com) is trusted by nobody before an administrator says so: it is a row beside the
 * pinned keys, which no login ever reads.
 *
 *     announced ── trust ──▶ pinned ── not announced ──▶ gone ── announced again ──▶ pinned
 *         │                    │ forget                   │ forget
 *         └─── forget ──▶ refused                         ▼
 *         └──── not announced ────┴──────────────────▶ no row: should it come again, it is news again
 */
#ifndef BASTION_STORE_HOSTKEY_H
#define BASTION_STORE_HOSTKEY_H

#include "store.h"

#define STORE_ANNOUNCED_MAX 16	/* of one host; what it says beyond is dropped, and that is said */
#define STORE_ANNOUNCED_FULL 2

/* 1: it is new, and a row now; 0: pinned, known or refused; STORE_ANNOUNCED_FULL: no room; -1. */
int store_announced_add(struct store *s, int64_t host_id, const struct host_key *k, int64_t now);
/* An announced or refused key by its fingerprint: 1, 0, -1. */
int store_announced(struct store *s, int64_t host_id, const char *fingerprint, struct host_key *k);
int store_announced_drop(struct store *s, int64_t host_id, const char *fingerprint);
/* It was refused by an administrator: it stays a row, so that it is no news again. */
int store_announced_refuse(struct store *s, int64_t host_id, const char *fingerprint);
/* Takes a pinned key away: 1; 0: there is none of that fingerprint; -1. errno EPERM: it is the last. One that the host still announces is
 * refused from then on. */
int store_host_key_drop(struct store *s, int64_t host_id, const char *fingerprint, int64_t now);
/*
 * A host said which keys it has, in one transaction: asked(), then gone() for each pinned one that is not among them and again() for each other
 * that is, answered(). What is gone keeps the time since when. over(): one that was announced or refused and is not announced any more, until
 * there is none: 1, 0, -1.
 */
int store_host_keys_asked(struct store *s, int64_t host_id);
int store_host_key_gone(struct store *s, int64_t host_id, const char *fingerprint, int64_t now);
int store_announced_again(struct store *s, int64_t host_id, const char *fingerprint);
int store_host_keys_answered(struct store *s, int64_t host_id);
int store_announced_over(struct store *s, int64_t host_id, struct host_key *k, bool *refused);
/* How many keys it announced that there is no room for: 1: that is another number than before; 0; -1. */
int store_host_unkept(struct store *s, int64_t host_id, uint32_t n);

struct host_look {
	const char *result, *login, *line;	/* task_end_name(); as whom; why, escaped */
	int64_t at;
};

/* The last look at the host. */
int store_look(struct store *s, int64_t host_id, const struct host_look *look);
/* The first login of a host's list that is an account's own name into out. False: all are made for who comes (LOGIN_SELF). */
bool first_login(const char *logins, char out[LOGIN_MAX + 1]);
/* Hosts that were neither looked at nor added since `before`, longest ago first: their number, up to max, or -1. */
struct look_due {
	int64_t host_id;
	char login[LOGIN_MAX + 1];	/* first_login(); "": none */
};
int store_looks_due(struct store *s, int64_t before, struct look_due *due, int max);
/* Rows: of the host's own keys state (pinned announced refused), type, fingerprint, since, gone; of the bastion's there login, state
 * (active new old wanted), type, fingerprint, since, next, why. NULL: failed. */
json_t *store_host_key_list(struct store *s, int64_t host_id);
/* One row: at, result, login, line, and unkept if it is not 0; none: never. */
json_t *store_look_list(struct store *s, int64_t host_id);

#endif
