/*
 * age.h - keys in the form of age (age-encryption.org/v1): recipients, identities, the X25519 stanza.
 *
 * The session wraps the keys of a recording to the auditors' recipients; the auditor's tools unwrap them with an
 * identity file, as age-keygen writes it, or `age -p` over it. No I/O but in the *_load functions.
 */
#ifndef BASTION_AGE_H
#define BASTION_AGE_H

#include <stddef.h>
#include <stdint.h>

#define AGE_KEY_LEN 32
#define AGE_FILE_KEY_LEN 16
#define AGE_STANZA_LEN 64	/* ephemeral share 32, wrapped file key 16, tag 16 */
#define AGE_RECIPIENT_LEN 62	/* characters of "age1…" */
#define AGE_IDENTITY_LEN 74	/* characters of "AGE-SECRET-KEY-1…" */
#define AGE_KEYS_MAX 64		/* in one file */
#define AGE_FILE_MAX 65536	/* bytes of an identity or recipients file */

struct age_identity {
	uint8_t secret[AGE_KEY_LEN], pub[AGE_KEY_LEN];
};

/* Wiped by age_identities_finish. A zeroed struct is empty. */
struct age_identities {
	struct age_identity *v;
	size_t n;
};

/* "age1…" to the X25519 key; out[AGE_RECIPIENT_LEN + 1] and back. 0, or -1. */
int age_recipient_parse(const char *text, uint8_t pub[AGE_KEY_LEN]);
int age_recipient_format(char *out, const uint8_t pub[AGE_KEY_LEN]);
/* "AGE-SECRET-KEY-1…"; out[AGE_IDENTITY_LEN + 1]. 0, or -1. */
int age_identity_parse(const char *text, struct age_identity *id);
int age_identity_format(char *out, const struct age_identity *id);
/* A new identity. 0, or -1. */
int age_identity_generate(struct age_identity *id);

/* File key to one recipient, with a fresh ephemeral key. 0, or -1 (also for a key of low order). */
int age_wrap(uint8_t stanza[AGE_STANZA_LEN], const uint8_t file_key[AGE_FILE_KEY_LEN], const uint8_t pub[AGE_KEY_LEN]);
/* 0; -1 if the stanza is for someone else, or broken. */
int age_unwrap(uint8_t file_key[AGE_FILE_KEY_LEN], const uint8_t stanza[AGE_STANZA_LEN], const struct age_identity *id);

/*
 * Identities from text: lines, # comments, empty lines. Adds to *ids. 0, or -1 with a sentence in err (with the
 * line's number, never its contents).
 */
int age_identities_parse(struct age_identities *ids, const char *text, size_t len, char *err, size_t errsize);
/*
 * The same from a file, which may be encrypted with a passphrase (`age -p`, binary or armored): `ask` then
 * writes it to out[size] and returns 0, or -1 to give up; NULL: refuse such a file.
 */
typedef int (*age_ask_fn)(void *ctx, const char *path, char *out, size_t size);
int age_identities_load(struct age_identities *ids, const char *path, age_ask_fn ask, void *ctx, char *err, size_t errsize);
void age_identities_finish(struct age_identities *ids);

/*
 * Recipients from a file of "age1…" lines: a NULL-terminated list in one piece of memory, for free(). At least one;
 * twice the same counts once. NULL with a sentence in err.
 */
char **age_recipients_load(const char *path, char *err, size_t errsize);

/* An age file encrypted with a passphrase (age_crypt.c): plaintext of at most 64 KiB to out[size]; its length, or -1. */
int age_decrypt_scrypt(uint8_t *out, size_t size, const uint8_t *file, size_t len, const char *passphrase,
    char *err, size_t errsize);

#endif
