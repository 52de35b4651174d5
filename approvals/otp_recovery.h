/*
 * otp_recovery.h - recovery codes inside otp_check(), and codes of the same shape. Private to otp*.c and control_*.c.
 */
#ifndef BASTION_OTP_RECOVERY_H
#define BASTION_OTP_RECOVERY_H

#include "otp.h"

/* Has it the shape of a recovery code, in whatever way it was typed? Says nothing about being right. */
bool recovery_like(const char *code);
/* A code as it is compared, 16 characters and NUL. False: not the shape of one. */
bool recovery_plain(const char *typed, char out[OTP_RECOVERY_TEXT]);
/* A fresh one, 80 bits: as it is compared, and as it is shown. 0, or -1 without randomness. */
int recovery_make(char plain[OTP_RECOVERY_TEXT], char text[OTP_RECOVERY_TEXT]);
/* In the transaction of the attempt, after it was charged. Writes the event of a code that is spent. */
enum otp_result recovery_spend(struct store *s, const struct user *u, int64_t device_id, const char *source,
    const char *code, int64_t now);

#endif
