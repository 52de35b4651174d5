/*
 * sshcert.c - see sshcert.h. Role keys. The format is OpenSSH's PROTOCOL.certkeys:
 *
 *   string type "…-cert-v01@openssh.com"; string nonce; the public key's own fields; u64 serial;
 *   u32 1 (user); string key id; string (list of string principal); u64 valid after;
 *   u64 valid before;
 *   string critical options; string extensions; string reserved;
 *   string CA's public key blob; string signature
 *
 * An options list is (string name, string data)*, in the order of the names; data of source-address
 * is one more string.
 */
#include "sshcert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sshkey.h"

#define CERT_USER 1
#define NONCE_LEN 32

int sshcert_decode(struct buf *body, struct sshcert *c)
{
	*c = (struct sshcert){ 0 };
	c->key = buf_get_string(body, SSHKEY_BLOB_MAX, &c->key_len);
	buf_get_cstring(body, c->principal, sizeof(c->principal));
	buf_get_cstring(body, c->key_id, sizeof(c->key_id));
	c->serial = buf_get_u64(body);
	c->after = buf_get_u64(body);
	c->before = buf_get_u64(body);
	buf_get_cstring(body, c->source, sizeof(c->source));
	c->forward = buf_get_u8(body) != 0;
	buf_get_cstring(body, c->command, sizeof(c->command));
	return buf_end(body) ? 0 : -1;
}

/* "10.0.0.1", "10.0.0.0/8", "fd00::1": the text between two commas, changed in place. */
static bool network_valid(char *text)
{
	char *slash = strchr(text, '/'), *end;
	uint8_t addr[16];
	long bits, most;

	if (slash != NULL)
		*slash = '\0';
	if (inet_pton(AF_INET, text, addr) == 1)
		most = 32;
	else if (inet_pton(AF_INET6, text, addr) == 1)
		most = 128;
	else
		return false;
	if (slash == NULL)
		return true;
	if (slash[1] < '0' || slash[1] > '9')
		return false;
	bits = strtol(slash + 1, &end, 10);
	return *end == '\0' && bits <= most;
}

bool sshcert_source_valid(const char *list)
{
	char copy[SSHCERT_SOURCE_MAX + 1], *rest = copy, *one;

	if (list[0] == '\0' || strlen(list) >= sizeof(copy))
		return false;
	memcpy(copy, list, strlen(list) + 1);
	while ((one = strsep(&rest, ",")) != NULL)
		if (!network_valid(one))
			return false;
	return true;
}

const char *sshcert_refusal(const struct sshcert *c, int64_t now)
{
	struct buf fields;

	if (sshkey_check_blob(c->key, c->key_len, &fields) == NULL)
		return "the key is no well-formed ed25519, nistp256 or RSA key of 2048 bits or "
		       "more";
	if (!name_is_login(c->principal))
		return "the principal is no login name";
	if (c->key_id[0] == '\0')
		return "the key id is empty";
	if (now < SSHCERT_BACK || c->after < (uint64_t)now - SSHCERT_BACK)
		return "it would be valid from too long ago";
	if (c->after >= c->before || c->before <= (uint64_t)now)
		return "it would never be valid";
	if (c->before - c->after > SSHCERT_LIFE || c->before - (uint64_t)now > SSHCERT_LIFE)
		return "it would be valid for more than 300 seconds";
	if (!sshcert_source_valid(c->source))
		return "the source-address is no list of addresses";
	if (c->command[0] != '\0' && c->forward)
		return "a certificate for one command forwards nothing";
	return NULL;
}

static void put_option(struct buf *out, const char *name, const char *value)
{
	size_t len = strlen(value);

	if (len == 0)
		return;
	buf_put_cstring(out, name);
	buf_put_u32(out, (uint32_t)(4 + len));
	buf_put_cstring(out, value);
}

/* Critical options, in the order of the alphabet. */
static int put_options(const struct sshcert *c, struct buf *out)
{
	struct buf list;
	int r;

	buf_init(&list, SSHCERT_MAX);
	put_option(&list, "force-command", c->command);
	put_option(&list, "source-address", c->source);
	r = buf_ok(&list) ? buf_put_string(out, list.data, list.len) : -1;
	buf_finish(&list);
	return r;
}

/* The same for extensions, which have no data. */
static int put_extensions(const struct sshcert *c, struct buf *out)
{
	struct buf list;
	int r;

	buf_init(&list, SSHCERT_MAX);
	if (c->forward) {
		buf_put_cstring(&list, "permit-port-forwarding");
		buf_put_u32(&list, 0);
	}
	if (c->command[0] == '\0') {
		buf_put_cstring(&list, "permit-pty");
		buf_put_u32(&list, 0);
	}
	r = buf_ok(&list) ? buf_put_string(out, list.data, list.len) : -1;
	buf_finish(&list);
	return r;
}

/* Everything under the signature. */
static int put_signed_part(const struct sshcert *c, const char *type, const struct buf *fields,
    EVP_PKEY *ca, struct buf *out)
{
	uint8_t nonce[NONCE_LEN];
	struct buf blob;
	char name[64];
	int r;

	if (RAND_bytes(nonce, sizeof(nonce)) != 1)
		return -1;
	snprintf(name, sizeof(name), "%s-cert-v01@openssh.com", type);
	buf_put_cstring(out, name);
	buf_put_string(out, nonce, sizeof(nonce));
	buf_put(out, fields->data, fields->len);
	buf_put_u64(out, c->serial);
	buf_put_u32(out, CERT_USER);
	buf_put_cstring(out, c->key_id);
	buf_put_u32(out, (uint32_t)(4 + strlen(c->principal)));
	buf_put_cstring(out, c->principal);
	buf_put_u64(out, c->after);
	buf_put_u64(out, c->before);
	if (put_options(c, out) != 0 || put_extensions(c, out) != 0)
		return -1;
	buf_put_cstring(out, "");	/* reserved */
	buf_init(&blob, SSHKEY_BLOB_MAX);
	r = sshkey_blob(ca, &blob);
	if (r == 0)
		r = buf_put_string(out, blob.data, blob.len);
	buf_finish(&blob);
	return r;
}

int sshcert_sign(const struct sshcert *c, EVP_PKEY *ca, struct buf *out)
{
	size_t start = out->len;
	struct buf fields;
	const char *type = sshkey_check_blob(c->key, c->key_len, &fields);
	const char *alg = sshkey_algorithm(ca);

	if (type == NULL || alg == NULL || !name_is_login(c->principal)) {
		errno = EINVAL;
		return -1;
	}
	if (put_signed_part(c, type, &fields, ca, out) != 0 ||
	    sshkey_sign(ca, alg, out->data + start, out->len - start, out) != 0) {
		errno = EIO;
		return -1;
	}
	return 0;
}
