/*
 * age.c - see age.h: bech32 keys, the X25519 stanza, key files.
 *
 * The session wraps (age_wrap), the auditor's tools load identities and unwrap. age's specification: C2SP age.md.
 */
#include "age.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "crypto.h"

#define HRP_RECIPIENT "age"
#define HRP_IDENTITY "age-secret-key-"
#define GROUPS 52		/* 32 bytes in groups of 5 bits */
#define CHECKSUM 6
#define STANZA_LABEL "age-encryption.org/v1/X25519"

/* ---- bech32 (BIP 173; age lifts its length limit) ---- */

static const char charset[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

static uint32_t polymod(uint32_t chk, uint8_t v)
{
	static const uint32_t gen[] = { 0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3 };
	uint32_t top = chk >> 25;

	chk = (chk & 0x1ffffff) << 5 ^ v;
	for (int i = 0; i < 5; i++)
		if ((top >> i & 1) != 0)
			chk ^= gen[i];
	return chk;
}

static uint32_t polymod_hrp(const char *hrp)
{
	uint32_t chk = 1;

	for (const char *p = hrp; *p != '\0'; p++)
		chk = polymod(chk, (uint8_t)*p >> 5);
	chk = polymod(chk, 0);
	for (const char *p = hrp; *p != '\0'; p++)
		chk = polymod(chk, *p & 31);
	return chk;
}

static void bech32_encode(char *out, const char *hrp, const uint8_t key[32])
{
	uint32_t chk = polymod_hrp(hrp), acc = 0;
	unsigned bits = 0;
	size_t o = (size_t)sprintf(out, "%s1", hrp);

	for (int i = 0; i < GROUPS; i++) {
		uint8_t v;

		if (bits < 5) {
			acc = acc << 8 | (i < GROUPS - 1 ? *key++ : 0);
			bits += 8;
		}
		v = acc >> (bits -= 5) & 31;
		chk = polymod(chk, v);
		out[o++] = charset[v];
	}
	for (int i = 0; i < CHECKSUM; i++)
		chk = polymod(chk, 0);
	chk ^= 1;
	for (int i = CHECKSUM - 1; i >= 0; i--)
		out[o++] = charset[chk >> 5 * i & 31];
	out[o] = '\0';
}

/* Text of one case throughout; exactly 32 bytes, no stray bits. */
static int bech32_decode(const char *text, const char *hrp, bool upper, uint8_t key[32])
{
	const size_t hlen = strlen(hrp);
	uint32_t chk = polymod_hrp(hrp), acc = 0;
	unsigned bits = 0, n = 0;

	if (strlen(text) != hlen + 1 + GROUPS + CHECKSUM || strncasecmp(text, hrp, hlen) != 0 || text[hlen] != '1')
		return -1;
	for (const char *p = text; *p != '\0'; p++)
		if (upper ? *p >= 'a' && *p <= 'z' : *p >= 'A' && *p <= 'Z')
			return -1;
	for (int i = 0; i < GROUPS + CHECKSUM; i++) {
		const char c = text[hlen + 1 + (size_t)i], *at = strchr(charset, c >= 'A' && c <= 'Z' ? c + 32 : c);

		if (at == NULL)
			return -1;
		chk = polymod(chk, (uint8_t)(at - charset));
		if (i >= GROUPS)
			continue;
		acc = acc << 5 | (uint32_t)(at - charset);
		bits += 5;
		if (bits >= 8)
			key[n++] = acc >> (bits -= 8) & 0xff;
	}
	return chk == 1 && (acc & ((1U << bits) - 1)) == 0 ? 0 : -1;
}

int age_recipient_parse(const char *text, uint8_t pub[AGE_KEY_LEN])
{
	return bech32_decode(text, HRP_RECIPIENT, false, pub);
}

int age_recipient_format(char *out, const uint8_t pub[AGE_KEY_LEN])
{
	bech32_encode(out, HRP_RECIPIENT, pub);
	return 0;
}

int age_identity_parse(const char *text, struct age_identity *id)
{
	if (bech32_decode(text, HRP_IDENTITY, true, id->secret) == 0 && x25519_public(id->pub, id->secret) == 0)
		return 0;
	explicit_bzero(id, sizeof(*id));
	return -1;
}

int age_identity_format(char *out, const struct age_identity *id)
{
	bech32_encode(out, HRP_IDENTITY, id->secret);
	for (char *p = out; *p != '\0'; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 32);
	return 0;
}

int age_identity_generate(struct age_identity *id)
{
	return random_bytes(id->secret, sizeof(id->secret)) == 0 && x25519_public(id->pub, id->secret) == 0 ? 0 : -1;
}

/* ---- the X25519 stanza ---- */

/* The key that wraps: HKDF of the shared secret, bound to both public keys. It is used once, with nonce zero. */
static int wrap_key(uint8_t key[KEY_LEN], const uint8_t shared[KEY_LEN], const uint8_t *share, const uint8_t *pub)
{
	uint8_t salt[2 * AGE_KEY_LEN];

	memcpy(salt, share, AGE_KEY_LEN);
	memcpy(salt + AGE_KEY_LEN, pub, AGE_KEY_LEN);
	return hkdf_sha256(key, KEY_LEN, SPAN(shared, KEY_LEN), SPAN(salt, sizeof(salt)), SPAN_STR(STANZA_LABEL));
}

int age_wrap(uint8_t stanza[AGE_STANZA_LEN], const uint8_t file_key[AGE_FILE_KEY_LEN], const uint8_t pub[AGE_KEY_LEN])
{
	static const uint8_t nonce[AEAD_NONCE_LEN];
	uint8_t secret[KEY_LEN], shared[KEY_LEN], key[KEY_LEN];
	struct aead a = { 0 };
	int r = -1;

	if (random_bytes(secret, sizeof(secret)) != 0 || x25519_public(stanza, secret) != 0 ||
	    x25519_shared(shared, secret, pub) != 0 || wrap_key(key, shared, stanza, pub) != 0 ||
	    aead_init(&a, key, true) != 0)
		goto out;
	memcpy(stanza + AGE_KEY_LEN, file_key, AGE_FILE_KEY_LEN);
	r = aead_seal(&a, nonce, NULL, 0, stanza + AGE_KEY_LEN, AGE_FILE_KEY_LEN);
out:
	aead_finish(&a);
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(shared, sizeof(shared));
	explicit_bzero(key, sizeof(key));
	return r;
}

int age_unwrap(uint8_t file_key[AGE_FILE_KEY_LEN], const uint8_t stanza[AGE_STANZA_LEN], const struct age_identity *id)
{
	static const uint8_t nonce[AEAD_NONCE_LEN];
	uint8_t shared[KEY_LEN], key[KEY_LEN], body[AGE_FILE_KEY_LEN + AEAD_TAG_LEN];
	struct aead a = { 0 };
	int r = -1;

	memcpy(body, stanza + AGE_KEY_LEN, sizeof(body));
	if (x25519_shared(shared, id->secret, stanza) != 0 || wrap_key(key, shared, stanza, id->pub) != 0 ||
	    aead_init(&a, key, false) != 0 || aead_open(&a, nonce, NULL, 0, body, AGE_FILE_KEY_LEN) != 0)
		goto out;
	memcpy(file_key, body, AGE_FILE_KEY_LEN);
	r = 0;
out:
	aead_finish(&a);
	explicit_bzero(shared, sizeof(shared));
	explicit_bzero(key, sizeof(key));
	explicit_bzero(body, sizeof(body));
	return r;
}

/* ---- files ---- */

/* The whole file, NUL after it, in memory for explicit_bzero and free. NULL with a sentence. */
static char *read_file(const char *path, size_t *len, char *err, size_t errsize)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char *text = fd >= 0 ? malloc(AGE_FILE_MAX + 2) : NULL;
	ssize_t n = 1;

	for (*len = 0; text != NULL && n > 0 && *len <= AGE_FILE_MAX;) {
		do {
			n = read(fd, text + *len, AGE_FILE_MAX + 1 - *len);
		} while (n < 0 && errno == EINTR);
		if (n > 0)
			*len += (size_t)n;
	}
	if (text == NULL || n < 0 || *len > AGE_FILE_MAX) {
		if (text != NULL && n >= 0)
			snprintf(err, errsize, "%s: longer than %d bytes: no key file", path, AGE_FILE_MAX);
		else
			snprintf(err, errsize, "%s: %s", path, strerror(errno));
		if (text != NULL)
			explicit_bzero(text, *len);
		free(text);
		text = NULL;
	} else {
		text[*len] = '\0';
	}
	if (fd >= 0)
		close(fd);
	return text;
}

/* The next line that says something, without spaces around it; cut out of *text in place. NULL at the end. */
static char *next_line(char **text, unsigned *number)
{
	char *line;

	while ((line = strsep(text, "\n")) != NULL) {
		char *end = line + strlen(line);

		++*number;
		line += strspn(line, " \t\r");
		while (end > line && strchr(" \t\r", end[-1]) != NULL)
			*--end = '\0';
		if (line[0] != '\0' && line[0] != '#')
			return line;
	}
	return NULL;
}

int age_identities_parse(struct age_identities *ids, const char *text, size_t len, char *err, size_t errsize)
{
	char *copy = malloc(len + 1), *rest = copy, *line;
	const size_t before = ids->n;
	unsigned number = 0;
	int r = -1;

	if (copy == NULL || (ids->v == NULL && (ids->v = calloc(AGE_KEYS_MAX, sizeof(*ids->v))) == NULL)) {
		snprintf(err, errsize, "no memory");
		goto out;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	while ((line = next_line(&rest, &number)) != NULL) {
		if (ids->n == AGE_KEYS_MAX) {
			snprintf(err, errsize, "more than %d identities", AGE_KEYS_MAX);
			goto out;
		}
		if (age_identity_parse(line, &ids->v[ids->n]) != 0) {
			snprintf(err, errsize, "line %u is no AGE-SECRET-KEY-1 identity", number);
			goto out;
		}
		ids->n++;
	}
	if (ids->n > before)
		r = 0;
	else
		snprintf(err, errsize, "no identity in it");
out:
	if (copy != NULL)
		explicit_bzero(copy, len + 1);
	free(copy);
	return r;
}

static bool is_encrypted(const char *text)
{
	return strncmp(text, "age-encryption.org/v1\n", 22) == 0 ||
	    strncmp(text + strspn(text, " \t\r\n"), "-----BEGIN AGE ENCRYPTED FILE-----", 34) == 0;
}

int age_identities_load(struct age_identities *ids, const char *path, age_ask_fn ask, void *ctx, char *err, size_t errsize)
{
	char passphrase[1024] = "", *plain = NULL, why[200];
	size_t len;
	char *text = read_file(path, &len, err, errsize);
	int r = -1, n;

	if (text == NULL)
		return -1;
	if (!is_encrypted(text)) {
		r = age_identities_parse(ids, text, len, why, sizeof(why));
	} else if (ask == NULL || ask(ctx, path, passphrase, sizeof(passphrase)) != 0) {
		snprintf(why, sizeof(why), "it is encrypted with a passphrase, and none was given");
	} else if ((plain = malloc(AGE_FILE_MAX)) == NULL) {
		snprintf(why, sizeof(why), "no memory");
	} else {
		n = age_decrypt_scrypt((uint8_t *)plain, AGE_FILE_MAX, (const uint8_t *)text, len, passphrase, why, sizeof(why));
		if (n >= 0)
			r = age_identities_parse(ids, plain, (size_t)n, why, sizeof(why));
		explicit_bzero(plain, AGE_FILE_MAX);
	}
	if (r != 0)
		snprintf(err, errsize, "%s: %s", path, why);
	free(plain);
	explicit_bzero(passphrase, sizeof(passphrase));
	explicit_bzero(text, len);
	free(text);
	return r;
}

void age_identities_finish(struct age_identities *ids)
{
	if (ids->v != NULL)
		explicit_bzero(ids->v, AGE_KEYS_MAX * sizeof(*ids->v));
	free(ids->v);
	*ids = (struct age_identities){ 0 };
}

char **age_recipients_load(const char *path, char *err, size_t errsize)
{
	size_t len, n = 0;
	char *text = read_file(path, &len, err, errsize), *rest = text, *line, *room;
	char **list = text != NULL ? malloc((AGE_KEYS_MAX + 1) * (sizeof(*list) + AGE_RECIPIENT_LEN + 1)) : NULL;
	unsigned number = 0;
	uint8_t pub[AGE_KEY_LEN];

	if (text == NULL)
		return NULL;
	if (list == NULL) {
		snprintf(err, errsize, "no memory");
		goto bad;
	}
	room = (char *)(list + AGE_KEYS_MAX + 1);
	while ((line = next_line(&rest, &number)) != NULL) {
		bool known = false;

		if (n == AGE_KEYS_MAX || age_recipient_parse(line, pub) != 0) {
			snprintf(err, errsize, n == AGE_KEYS_MAX ? "%s:%u: more than 64 recipients" :
			    "%s:%u: no age1 recipient (age-keygen -y prints one)", path, number);
			goto bad;
		}
		for (size_t i = 0; i < n; i++)
			known = known || strcmp(list[i], line) == 0;
		if (!known) {
			list[n] = memcpy(room, line, AGE_RECIPIENT_LEN + 1);
			room += AGE_RECIPIENT_LEN + 1;
			n++;
		}
	}
	list[n] = NULL;
	if (n > 0) {
		free(text);
		return list;
	}
	snprintf(err, errsize, "%s: no recipient in it: one age1 line for each auditor", path);
bad:
	free(list);
	free(text);
	return NULL;
}
