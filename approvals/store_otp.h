/*
 * store_otp.h - the database's part of the second factor (store_otp.c, store_seal.c): sealed secrets, failures, grace,
 * recovery codes. The rules are in otp.c. Results as in store.h. Policy role.
 */
#ifndef BASTION_STORE_OTP_H
#define BASTION_STORE_OTP_H

#include "seal.h"
#include "store.h"

#define TOTP_SECRET_LEN 20

struct totp {
	uint8_t secret[TOTP_SECRET_LEN];	/* in force */
	uint8_t fresh[TOTP_SECRET_LEN];		/* enrolled, not yet confirmed */
	bool confirmed, enrolled;		/* which of the two are there */
	int64_t last_counter;			/* the last time step that is spent */
	int64_t drift;				/* steps that its clock was off at the last login */
};

/*
 * The keys that secrets are sealed with; the caller's, for as long as the store lives. Without them no secret
 * can be read or written: those functions fail.
 */
void store_seal_with(struct store *s, const struct seal_ring *ring);
/* Brings every secret under the key in use, in one transaction with its event. 0; -1: nothing changed. */
int store_seal(struct store *s, int64_t now);
int store_totp(struct store *s, int64_t user_id, struct totp *t);
int store_totp_enrol(struct store *s, int64_t user_id, const uint8_t secret[TOTP_SECRET_LEN],
    int64_t now);
/* The fresh secret comes in force; its steps up to counter are spent. */
int store_totp_confirm(struct store *s, int64_t user_id, int64_t counter, int64_t drift, int64_t now);
/* With the recovery codes. */
int store_totp_reset(struct store *s, int64_t user_id);
/* Moves last_counter forward, notes the drift: 1; 0: this step or a later one is spent. */
int store_totp_spend(struct store *s, int64_t user_id, int64_t counter, int64_t drift);
/*
 * Everybody's steps up to `counter` by our clock, and by the token's if that is ahead, count as spent; or, of those that do so without a login,
 * these alone. 0, or -1.
 */
int store_totp_hold(struct store *s, int64_t counter);
int store_totp_hold_at_most(struct store *s, int64_t counter);

#define RECOVERY_KEY_LEN 32
#define RECOVERY_HASH_LEN 32

enum { RECOVERY_FAILED = -1, RECOVERY_UNKNOWN, RECOVERY_SPENT, RECOVERY_USED };

/* A new set of recovery codes, in place of what there was: the key of its hashes, and these. */
int store_recovery_set(struct store *s, int64_t user_id, const uint8_t key[RECOVERY_KEY_LEN],
    const uint8_t (*hashes)[RECOVERY_HASH_LEN], size_t n, int64_t now);
/* 1, 0: the user has none, -1. */
int store_recovery_key(struct store *s, int64_t user_id, uint8_t key[RECOVERY_KEY_LEN]);
/* RECOVERY_SPENT: this call used it up; RECOVERY_USED: an earlier one did. */
int store_recovery_spend(struct store *s, int64_t user_id, const uint8_t hash[RECOVERY_HASH_LEN], int64_t now);
int store_recovery_left(struct store *s, int64_t user_id, int64_t *left);

/* Failures of one user with one device. Absent: 0, 0. */
int store_throttle(struct store *s, int64_t user_id, int64_t device_id, int64_t *failures,
    int64_t *not_before);
int store_throttle_set(struct store *s, int64_t user_id, int64_t device_id, int64_t failures,
    int64_t not_before);
int store_grace_set(struct store *s, int64_t user_id, int64_t device_id, const char *source,
    int64_t until);
/* 1, 0, -1 */
int store_grace(struct store *s, int64_t user_id, int64_t device_id, const char *source,
    int64_t now);
/* Takes away this user's grace, and everybody's that is over. */
int store_grace_clear(struct store *s, int64_t user_id, int64_t now);

#endif
