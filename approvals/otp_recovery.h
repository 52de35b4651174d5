/*
 * otp_recovery.h - recovery codes inside otp_check(). Private to otp*.c.
 */
#ifndef BASTION_OTP_RECOVERY_H
#define BASTION_OTP_RECOVERY_H

#include "otp.h"

/* Has it the shape of a recovery code, in whatever way it was typed? Says nothing about being right. */
bool recovery_like(const char *code);
/* In the transaction of the attempt, after it was charged. Writes the event of a code that is spent. */
enum otp_result recovery_spend(struct store *s, const struct user *u, int64_t device_id, const char *source,
    const char *code, int64_t now);

#endif
