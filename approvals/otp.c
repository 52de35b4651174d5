/*
 * otp.c - see otp.h: one-time codes on the store. Policy role, after the first factor.
 */
#include "otp_recovery.h"

#include <errno.h>
#include <liboath/oath.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *otp_result_name(enum otp_result r)
{
	static const char *const names[] = { "accepted", "wrong", "used before", "too soon",
		"not enrolled", "store failed" };

	return (unsigned)r < sizeof(names) / sizeof(names[0]) ? names[r] : "?";
}

static bool is_code(const char *code)
{
	return strspn(code, "0123456789") == OTP_DIGITS && code[OTP_DIGITS] == '\0';
}

/* liboath hands the code that it made; compared without a way out at the first difference. */
static int same_code(void *typed, const char *code)
{
	const char *want = typed;
	unsigned differ = 0;

	for (int i = 0; i < OTP_DIGITS; i++)
		differ |= (unsigned)(want[i] ^ code[i]);
	return differ == 0 ? 0 : 1;
}

int64_t otp_match(const uint8_t secret[TOTP_SECRET_LEN], const char *code, int64_t now, int window)
{
	char typed[OTP_DIGITS + 1];
	uint64_t step = 0;
	int r;

	/* the digits are ours to say: liboath's own validate takes their number from what was typed
	 */
	if (!is_code(code) || now < OTP_STEP * (window + 1))
		return -1;
	memcpy(typed, code, sizeof(typed));
	r = oath_totp_validate4_callback((const char *)secret, TOTP_SECRET_LEN, (time_t)now,
	    OTP_STEP, 0, OTP_DIGITS, (size_t)window, NULL, &step, 0, same_code, typed);
	explicit_bzero(typed, sizeof(typed));
	return r >= 0 ? (int64_t)step : -1;
}

static int64_t delay(int64_t failures)
{
	int64_t over = failures - OTP_FREE;

	if (over <= 0)
		return 0;
	return over > 6 || 1 << (over - 1) > OTP_DELAY_MAX ? OTP_DELAY_MAX : 1 << (over - 1);
}

/* Counts the attempt as a failure before anything is compared; a success takes it back in the same
 * transaction. */
static enum otp_result charge(struct store *s, const struct user *u, int64_t device_id, int64_t now,
    int64_t *before, int64_t *not_before)
{
	if (store_throttle(s, u->id, device_id, before, not_before) < 0)
		return OTP_FAILED;
	/* the clock may have been set back: no wait is longer than the longest delay */
	if (now < *not_before && *not_before - now <= OTP_DELAY_MAX)
		return OTP_THROTTLED;
	if (store_throttle_set(s, u->id, device_id, *before + 1, now + delay(*before + 1)) < 0)
		return OTP_FAILED;
	return OTP_ACCEPTED;
}

/* The step of a code by the token's own clock, or by ours; -1: none. */
static int64_t match_drifted(const struct totp *t, const char *code, int64_t now)
{
	int64_t step = otp_match(t->secret, code, now + t->drift * OTP_STEP, OTP_WINDOW);

	return step >= 0 ? step : otp_match(t->secret, code, now, OTP_WINDOW);
}

/* What the step says about the token's clock, within bounds. */
static int64_t drift_of(int64_t step, int64_t now)
{
	int64_t drift = step - now / OTP_STEP;

	return drift > OTP_DRIFT_MAX ? OTP_DRIFT_MAX : drift < -OTP_DRIFT_MAX ? -OTP_DRIFT_MAX : drift;
}

static enum otp_result spend_totp(struct store *s, const struct user *u, const struct totp *t, const char *code,
    int64_t now)
{
	int64_t step = match_drifted(t, code, now);
	int n;

	if (step < 0)
		return OTP_REFUSED;
	if ((n = store_totp_spend(s, u->id, step, drift_of(step, now))) < 0)
		return OTP_FAILED;
	return n == 1 ? OTP_ACCEPTED : OTP_REPLAYED;
}

/* Inside the transaction. *before: failures that there were. */
static enum otp_result attempt(struct store *s, const struct user *u, int64_t device_id, const char *source,
    const char *code, int64_t now, int64_t *before)
{
	int64_t not_before;
	struct totp t;
	enum otp_result r = charge(s, u, device_id, now, before, &not_before);
	int n;

	if (r != OTP_ACCEPTED)
		return r;
	if ((n = store_totp(s, u->id, &t)) < 0)
		return OTP_FAILED;
	if (n == 0 || !t.confirmed)
		r = OTP_NOT_ENROLLED;
	else
		r = recovery_like(code) ? recovery_spend(s, u, device_id, source, code, now) : spend_totp(s, u, &t, code, now);
	explicit_bzero(&t, sizeof(t));
	/* a code that was right once proves nothing and accuses nobody: the failures stand as they
	 * stood */
	if ((r == OTP_ACCEPTED || r == OTP_REPLAYED) &&
	    store_throttle_set(s, u->id, device_id, r == OTP_ACCEPTED ? 0 : *before,
		r == OTP_ACCEPTED ? 0 : not_before) < 0)
		return OTP_FAILED;
	return r;
}

/* Who has the key and not the token: told when it begins, and again when it has not ended, but not for each. */
static int note_guess(struct store *s, const struct user *u, int64_t device_id, const char *source, int64_t failures,
    int64_t now)
{
	struct device d = { .name = "" };

	if (failures <= OTP_FREE || (failures & (failures - 1)) != 0)
		return 0;
	if (device_id != 0 && store_device(s, device_id, &d) < 0)
		return -1;
	return event_writef(s, now, EVENT_OTP_GUESSED, "bastiond", u->name, "{s:I,s:s,s:s}", "failures", (json_int_t)failures, "source",
	    source, "device", d.name);
}

static int note(struct store *s, enum otp_result r, const struct user *u, int64_t device_id,
    const char *source, int64_t failures, int64_t now)
{
	if (r == OTP_ACCEPTED ||
	    r == OTP_THROTTLED) /* a flood of throttled attempts must not fill the disk */
		return 0;
	if (event_writef(s, now, r == OTP_REPLAYED ? EVENT_OTP_REPLAY : EVENT_OTP_FAIL, u->name,
		u->name, "{s:s,s:s,s:I}", "result", otp_result_name(r), "source", source, "device",
		(json_int_t)device_id) < 0)
		return -1;
	return r == OTP_REFUSED ? note_guess(s, u, device_id, source, failures, now) : 0;
}

enum otp_result otp_check(struct store *s, const struct user *u, int64_t device_id,
    const char *source, const char *code, int64_t now)
{
	enum otp_result r;
	int64_t before = 0;

	if (store_begin(s) < 0)
		return OTP_FAILED;
	r = attempt(s, u, device_id, source, code, now, &before);
	if (r == OTP_FAILED || note(s, r, u, device_id, source, before + 1, now) < 0) {
		store_rollback(s);
		return OTP_FAILED;
	}
	return store_commit(s) < 0 ? OTP_FAILED : r;
}

int otp_restored(struct store *s, int64_t now)
{
	return store_totp_hold(s, now / OTP_STEP + OTP_WINDOW);
}

int otp_clock_back(struct store *s, int64_t now)
{
	return store_totp_hold_at_most(s, now / OTP_STEP + OTP_WINDOW);
}

/* --- enrolment --- */

/* RFC 3986: what a label or an issuer needs. */
static void percent(char *out, size_t size, const char *in)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    "-._~";
	size_t n = 0;

	for (; *in != '\0' && n + 4 <= size; in++) {
		if (strchr(plain, *in) != NULL)
			out[n++] = *in;
		else
			n += (size_t)snprintf(out + n, size - n, "%%%02X", (unsigned char)*in);
	}
	out[n] = '\0';
}

static int describe(const struct user *u, const char *issuer, const uint8_t *raw,
    char secret[OTP_SECRET_TEXT], char uri[OTP_URI_MAX])
{
	char where[128], *text = NULL;
	size_t n = 0;

	if (oath_base32_encode((const char *)raw, TOTP_SECRET_LEN, &text, &n) != OATH_OK ||
	    n >= OTP_SECRET_TEXT) {
		free(text);
		return -1;
	}
	memcpy(secret, text, n); /* 20 bytes are 32 characters: no padding to care for */
	secret[n] = '\0';
	percent(where, sizeof(where), issuer);
	snprintf(uri, OTP_URI_MAX,
	    "otpauth://totp/%s:%s?secret=%s&issuer=%s&algorithm=SHA1&digits=%d&period=%d", where,
	    u->name, secret, where, OTP_DIGITS, OTP_STEP);
	explicit_bzero(text, n);
	free(text);
	return 0;
}

int otp_enrol(struct store *s, const struct user *u, const char *issuer, int64_t now,
    char secret[OTP_SECRET_TEXT], char uri[OTP_URI_MAX])
{
	uint8_t raw[TOTP_SECRET_LEN];
	int r = -1;

	if (RAND_priv_bytes(raw, sizeof(raw)) == 1 && describe(u, issuer, raw, secret, uri) == 0)
		r = store_totp_enrol(s, u->id, raw, now);
	explicit_bzero(raw, sizeof(raw));
	return r;
}

static enum otp_result confirm(struct store *s, const struct user *u, const char *code1,
    const char *code2, int64_t now)
{
	int64_t first, second;
	struct totp t;
	int n;

	if ((n = store_totp(s, u->id, &t)) < 0)
		return OTP_FAILED;
	if (n == 0 || !t.enrolled) {
		explicit_bzero(&t, sizeof(t));
		return OTP_NOT_ENROLLED;
	}
	second = otp_match(t.fresh, code2, now, OTP_WINDOW);
	first = otp_match(t.fresh, code1, now - OTP_STEP, OTP_WINDOW);
	explicit_bzero(&t, sizeof(t));
	if (first < 0 || second != first + 1)
		return OTP_REFUSED;
	return store_totp_confirm(s, u->id, second, drift_of(second, now), now) < 0 ? OTP_FAILED : OTP_ACCEPTED;
}

enum otp_result otp_confirm(struct store *s, const struct user *u, const char *code1,
    const char *code2, int64_t now)
{
	enum otp_result r;

	if (store_begin(s) < 0)
		return OTP_FAILED;
	r = confirm(s, u, code1, code2, now);
	if (r == OTP_FAILED) {
		store_rollback(s);
		return r;
	}
	return store_commit(s) < 0 ? OTP_FAILED : r;
}

/* --- a clock that went away --- */

/* The offset at which the two codes follow each other, of the second; OTP_DRIFT_MAX + 1: none. */
static int64_t offset_of(const struct totp *t, const char *code1, const char *code2, int64_t now)
{
	for (int64_t o = -OTP_DRIFT_MAX; o <= OTP_DRIFT_MAX; o++)
		if (otp_match(t->secret, code2, now + o * OTP_STEP, 0) >= 0 &&
		    otp_match(t->secret, code1, now + (o - 1) * OTP_STEP, 0) >= 0)
			return o;
	return OTP_DRIFT_MAX + 1;
}

static enum otp_result resync(struct store *s, const struct user *u, const char *code1, const char *code2,
    int64_t now, int64_t *drift)
{
	int64_t before, not_before, second;
	enum otp_result r = charge(s, u, 0, now, &before, &not_before);
	struct totp t;
	int n;

	if (r != OTP_ACCEPTED)
		return r;
	if ((n = store_totp(s, u->id, &t)) < 0)
		return OTP_FAILED;
	if (n == 0 || !t.confirmed)
		r = OTP_NOT_ENROLLED;
	else if ((*drift = offset_of(&t, code1, code2, now)) > OTP_DRIFT_MAX)
		r = OTP_REFUSED;
	explicit_bzero(t.secret, sizeof(t.secret));
	explicit_bzero(t.fresh, sizeof(t.fresh));
	if (r != OTP_ACCEPTED)
		return r;
	second = now / OTP_STEP + *drift;
	/* both must be unused: with one that was seen, somebody who saw it needs only to guess the other */
	if (second - 1 <= t.last_counter)
		return OTP_REPLAYED;
	if (store_totp_spend(s, u->id, second, *drift) != 1 || store_throttle_set(s, u->id, 0, 0, 0) < 0)
		return OTP_FAILED;
	return OTP_ACCEPTED;
}

enum otp_result otp_resync(struct store *s, const struct user *u, const char *code1, const char *code2, int64_t now,
    int64_t *drift)
{
	enum otp_result r;

	*drift = 0;
	if (store_begin(s) < 0)
		return OTP_FAILED;
	r = resync(s, u, code1, code2, now, drift);
	if (r == OTP_FAILED) {
		store_rollback(s);
		return r;
	}
	return store_commit(s) < 0 ? OTP_FAILED : r;
}
