/*
 * otp_recovery.c - recovery codes: for the day that the authenticator is lost. Policy role; see otp.h.
 *
 * A code is 80 random bits, 16 characters of base32. The database has HMAC-SHA-256 of them under a key of the
 * set, which is sealed (seal.h): a copy of the database lets nobody try codes. A slow hash would stop policy, in which
 * everybody's logins wait, for every attempt, and 80 bits need none.
 */
#include "otp_recovery.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "crypto.h"

#define CODE_BYTES 10
#define CODE_CHARS 16

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

/* Lower case, without dashes and blanks. False: not the shape. */
bool recovery_plain(const char *typed, char out[OTP_RECOVERY_TEXT])
{
	size_t n = 0;

	for (; *typed != '\0'; typed++) {
		char c = (char)tolower((unsigned char)*typed);

		if (c == '-' || c == ' ')
			continue;
		if (n == CODE_CHARS || strchr(alphabet, c) == NULL)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return n == CODE_CHARS;
}

bool recovery_like(const char *code)
{
	char plain[OTP_RECOVERY_TEXT];
	bool like = recovery_plain(code, plain);

	explicit_bzero(plain, sizeof(plain));
	return like;
}

static int hash_of(const uint8_t key[RECOVERY_KEY_LEN], const char *plain, uint8_t hash[RECOVERY_HASH_LEN])
{
	return hmac_sha256(hash, SPAN(key, RECOVERY_KEY_LEN),
	    SPANS(SPAN_STR("bastiond recovery/1"), SPAN(plain, CODE_CHARS)));
}

static int note_use(struct store *s, const struct user *u, int64_t device_id, const char *source, int64_t now)
{
	int64_t left;

	if (store_recovery_left(s, u->id, &left) < 0)
		return -1;
	return event_writef(s, now, EVENT_RECOVERY_USE, u->name, u->name, "{s:s,s:I,s:I}", "source", source, "device",
	    (json_int_t)device_id, "left", (json_int_t)left);
}

enum otp_result recovery_spend(struct store *s, const struct user *u, int64_t device_id, const char *source,
    const char *code, int64_t now)
{
	uint8_t key[RECOVERY_KEY_LEN], hash[RECOVERY_HASH_LEN];
	char plain[OTP_RECOVERY_TEXT];
	int n = store_recovery_key(s, u->id, key);
	enum otp_result r = OTP_FAILED;

	if (n >= 0 && recovery_plain(code, plain) && hash_of(key, plain, hash) == 0) {
		/* without a set the question is asked all the same */
		n = store_recovery_spend(s, u->id, hash, now);
		r = n == RECOVERY_SPENT ? OTP_ACCEPTED : n == RECOVERY_USED ? OTP_REPLAYED : n < 0 ? OTP_FAILED : OTP_REFUSED;
		if (r == OTP_ACCEPTED && note_use(s, u, device_id, source, now) < 0)
			r = OTP_FAILED;
	}
	explicit_bzero(key, sizeof(key));
	explicit_bzero(plain, sizeof(plain));
	return r;
}

/* "abcd-efgh-ijkl-mnop" of ten random bytes; plain without the dashes. */
int recovery_make(char plain[OTP_RECOVERY_TEXT], char text[OTP_RECOVERY_TEXT])
{
	uint8_t raw[CODE_BYTES];
	uint32_t acc = 0;
	unsigned bits = 0;
	size_t n = 0;

	if (random_bytes(raw, sizeof(raw)) != 0)
		return -1;
	for (size_t i = 0; i < sizeof(raw); i++) {
		acc = acc << 8 | raw[i];
		for (bits += 8; bits >= 5; bits -= 5)
			plain[n++] = alphabet[acc >> (bits - 5) & 31];
	}
	plain[n] = '\0';
	snprintf(text, OTP_RECOVERY_TEXT, "%.4s-%.4s-%.4s-%.4s", plain, plain + 4, plain + 8, plain + 12);
	explicit_bzero(raw, sizeof(raw));
	return 0;
}

int otp_recovery(struct store *s, const struct user *u, int64_t now,
    char codes[OTP_RECOVERY_CODES][OTP_RECOVERY_TEXT])
{
	uint8_t key[RECOVERY_KEY_LEN], hashes[OTP_RECOVERY_CODES][RECOVERY_HASH_LEN];
	char plain[OTP_RECOVERY_TEXT];
	int r = random_bytes(key, sizeof(key));

	for (size_t i = 0; r == 0 && i < OTP_RECOVERY_CODES; i++)
		if (recovery_make(plain, codes[i]) != 0 || hash_of(key, plain, hashes[i]) != 0)
			r = -1;
	if (r == 0 && (r = store_begin(s)) == 0) {
		if ((r = store_recovery_set(s, u->id, key, (const uint8_t (*)[RECOVERY_HASH_LEN])hashes, OTP_RECOVERY_CODES,
			 now)) != 0)
			store_rollback(s);
		else
			r = store_commit(s);
	}
	explicit_bzero(key, sizeof(key));
	explicit_bzero(plain, sizeof(plain));
	return r;
}
