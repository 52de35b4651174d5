/*
 * store_key.c - see store_key.h. Pure; policy role.
 */
#include "store_key.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "escape.h"

#define RSA_BITS_MIN 2048
#define TEXT_KEY_MAX (STORE_BLOB_MAX / 3 * 4 + 8)

static const struct { const char *name; bool host;
} types[] = {
	{ "ssh-ed25519", true },
	{ "ecdsa-sha2-nistp256", true },
	{ "ecdsa-sha2-nistp384", true },
	{ "ecdsa-sha2-nistp521", true },
	{ "ssh-rsa", true },
	{ "sk-ssh-ed25519@openssh.com", false },
	{ "sk-ecdsa-sha2-nistp256@openssh.com", false },
};

int key_fingerprint(const void *blob, size_t len, char out[STORE_FPR_MAX + 1])
{
	unsigned char hash[EVP_MAX_MD_SIZE], text[48]; /* 32 bytes are 44 characters */
	size_t n = 0;

	out[0] = '\0';
	if (!EVP_Q_digest(NULL, "SHA256", NULL, blob, len, hash, &n))
		return -1;
	EVP_EncodeBlock(text, hash, 32);
	text[strcspn((char *)text, "=")] = '\0'; /* OpenSSH leaves the padding out */
	snprintf(out, STORE_FPR_MAX + 1, "SHA256:%s", (char *)text);
	return 0;
}

static int find_type(const char *word, size_t len, bool host)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strlen(types[i].name) == len && memcmp(types[i].name, word, len) == 0 &&
		    (types[i].host || !host))
			return (int)i;
	return -1;
}

/* Base64 of exactly one blob; padding as RFC 4648 has it. Its length, or -1. */
static int decode(const char *text, size_t len, uint8_t *out)
{
	uint8_t raw[TEXT_KEY_MAX];
	size_t pad = 0;
	int n;

	if (len == 0 || len % 4 != 0 || len > sizeof(raw) - 4)
		return -1;
	while (pad < 2 && text[len - 1 - pad] == '=')
		pad++;
	if (memchr(text, '=', len - pad) != NULL ||
	    (n = EVP_DecodeBlock(raw, (const uint8_t *)text, (int)len)) < 0)
		return -1;
	n -= (int)pad;
	if (n > STORE_BLOB_MAX)
		return -1;
	memcpy(out, raw, (size_t)n);
	return n;
}

/* The blob names its own type first; RSA: string type, mpint e, mpint n (RFC 4253 section 6.6). */
static const char *check_blob(const struct host_key *k)
{
	char type[STORE_KEY_TYPE_MAX + 1];
	struct buf b;
	size_t n;

	buf_view(&b, k->blob, k->len);
	if (buf_get_cstring(&b, type, sizeof(type)) < 0 || strcmp(type, k->type) != 0)
		return "its base64 part is a key of another type";
	if (strcmp(type, "ssh-rsa") != 0) {
		while (buf_ok(&b) && buf_left(&b) > 0)
			buf_get_string(&b, STORE_BLOB_MAX, &n);
		return buf_end(&b) ? NULL : "its base64 part is cut or broken";
	}
	buf_get_string(&b, STORE_BLOB_MAX, &n);
	n = 0;
	buf_get_string(&b, STORE_BLOB_MAX, &n);
	if (!buf_end(&b))
		return "its base64 part is cut or broken";
	return n < RSA_BITS_MIN / 8 ? "an RSA key needs 2048 bits or more" : NULL;
}

int key_parse(const char *line, bool host, struct host_key *k, char *err, size_t errsize)
{
	const char *p = line + strspn(line, " \t"), *bad = NULL;
	char shown[96];
	int type, n = -1;

	memset(k, 0, sizeof(*k));
	esc_quoted(shown, sizeof(shown), line, strlen(line));
	if ((type = find_type(p, strcspn(p, " \t"), host)) < 0) { /* a name before it? */
		p += strcspn(p, " \t");
		p += strspn(p, " \t");
		type = find_type(p, strcspn(p, " \t"), host);
	}
	if (type < 0) {
		snprintf(err, errsize,
		    "%s is no public key: it starts with ssh-ed25519, ecdsa-sha2-nistp256 or "
		    "ssh-rsa",
		    shown);
		return -1;
	}
	snprintf(k->type, sizeof(k->type), "%s", types[type].name);
	p += strlen(k->type);
	p += strspn(p, " \t");
	n = decode(p, strcspn(p, " \t\r\n"), k->blob);
	k->len = n < 0 ? 0 : (size_t)n;
	bad = n < 0 ? "its base64 part is cut or broken" : check_blob(k);
	if (bad == NULL && key_fingerprint(k->blob, k->len, k->fingerprint) < 0)
		bad = "SHA-256 failed";
	if (bad == NULL)
		return 0;
	snprintf(err, errsize, "%s: %s", shown, bad);
	return -1;
}

int key_format(const struct host_key *k, char *out, size_t size)
{
	unsigned char text[TEXT_KEY_MAX];
	int n;

	EVP_EncodeBlock(text, k->blob, (int)k->len);
	n = snprintf(out, size, "%s %s", k->type, (char *)text);
	return n > 0 && (size_t)n < size ? 0 : -1;
}

bool key_from_blob(const void *blob, size_t len, struct host_key *k)
{
	struct host_key raw = { .len = len };
	char line[TEXT_KEY_MAX + STORE_KEY_TYPE_MAX + 2], err[512];
	struct buf b;

	if (len > sizeof(raw.blob))
		return false;
	memcpy(raw.blob, blob, len);
	buf_view(&b, blob, len);
	return buf_get_cstring(&b, raw.type, sizeof(raw.type)) == 0 && key_format(&raw, line, sizeof(line)) == 0 &&
	    key_parse(line, true, k, err, sizeof(err)) == 0;
}
