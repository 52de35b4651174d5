/*
 * otp.h - one-time codes (TOTP, RFC 6238): six digits, 30 s, SHA-1, one code for one login (promise
 * P8).
 *
 * Runs in the policy role, on the store. Ask only after the first factor was proven: so a stranger
 * never reaches the counter of failures, and cannot lock anybody out. Failures are counted for a
 * user *with a device*: who holds a stolen key slows down that key, not its owner's other devices.
 */
#ifndef BASTION_OTP_H
#define BASTION_OTP_H

#include <stddef.h>
#include <stdint.h>

#include "store_otp.h"

#define OTP_DIGITS 6
#define OTP_STEP 30		/* seconds */
#define OTP_WINDOW 1		/* steps before and after now that are taken */
#define OTP_DRIFT_MAX 20	/* steps that a token's clock may be off; as the database checks */
#define OTP_FREE 3		/* failures without a delay; then 1 s, 2 s, 4 s … and people are told of the guessing */
#define OTP_DELAY_MAX 60	/* seconds: the delay stops growing here, and so never locks out */
#define OTP_URI_MAX 512
#define OTP_SECRET_TEXT 64	/* base32, terminated */

enum otp_result {
	OTP_ACCEPTED,		/* this code is spent now, durably; let in */
	OTP_REFUSED,		/* wrong; it was counted */
	OTP_REPLAYED,		/* right, but spent; not counted */
	OTP_THROTTLED,		/* too soon after failures; not looked at, not counted */
	OTP_NOT_ENROLLED,	/* no confirmed secret */
	OTP_FAILED		/* the store did not answer: refuse */
};

const char *otp_result_name(enum otp_result r);

#define OTP_RECOVERY_CODES 10
#define OTP_RECOVERY_TEXT 20	/* "k3m7-x2ab-…": 80 bits, terminated */

/*
 * One attempt: charged first, then checked, then spent, in one transaction that is durable before
 * this returns. Of any number of simultaneous calls with one code, over any number of connections
 * to the database, one gets OTP_ACCEPTED. device_id 0: a check without a device. Writes OTP_FAIL
 * and OTP_REPLAY events, with `source` in them, and OTP_GUESSED with the first failure that is delayed and each time that
 * there are twice as many since the last right code. A recovery code does in place of a code, once, and is an
 * event of its own (RECOVERY_USE).
 *
 * A code is right by our clock or by the token's, as the last login showed it (±OTP_WINDOW of either): six codes in a
 * million at most.
 */
enum otp_result otp_check(struct store *s, const struct user *u, int64_t device_id,
    const char *source, const char *code, int64_t now);

/* A fresh secret for the user, as text and as otpauth:// URI; in force only after otp_confirm. 0,
 * or -1. */
int otp_enrol(struct store *s, const struct user *u, const char *issuer, int64_t now,
    char secret[OTP_SECRET_TEXT], char uri[OTP_URI_MAX]);
/*
 * Two codes of consecutive steps, the second of now (±OTP_WINDOW): OTP_ACCEPTED, the secret is in
 * force and both codes are spent. OTP_REFUSED; OTP_NOT_ENROLLED: nothing to confirm; OTP_FAILED.
 * Not throttled: a guess has one chance in 10^11, and who guesses right has only put in force the
 * secret that the owner has.
 */
enum otp_result otp_confirm(struct store *s, const struct user *u, const char *code1,
    const char *code2, int64_t now);

/*
 * Two codes in a row, of steps after the last one used, at most OTP_DRIFT_MAX off: the token's clock is known from
 * then on, *drift steps from ours, and both are spent. Charged like a login without a device. Otherwise OTP_REFUSED,
 * OTP_REPLAYED, OTP_THROTTLED, OTP_NOT_ENROLLED, OTP_FAILED.
 */
enum otp_result otp_resync(struct store *s, const struct user *u, const char *code1, const char *code2, int64_t now,
    int64_t *drift);

/*
 * The database is an older one: every code that could have opened a login by now is spent, for it may have done so since. People wait
 * for the code after the next. 0, or -1.
 */
int otp_restored(struct store *s, int64_t now);
/* The clock was set back to `now`: what counts as spent only since a restore by that clock does so up to now. 0, or -1. */
int otp_clock_back(struct store *s, int64_t now);

/*
 * Ten fresh recovery codes in place of all earlier ones. The database keeps keyed hashes of them: this is the only
 * time that they are there. 0, or -1.
 */
int otp_recovery(struct store *s, const struct user *u, int64_t now,
    char codes[OTP_RECOVERY_CODES][OTP_RECOVERY_TEXT]);

/* The time step that `code` belongs to, within window steps of now; -1: none. Pure. */
int64_t otp_match(const uint8_t secret[TOTP_SECRET_LEN], const char *code, int64_t now, int window);

#endif
