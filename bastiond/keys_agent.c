/*
 * keys_agent.c - see keys_agent.h. Role keys; fuzzed by tests/fuzz/fuzz_agent.c.
 *
 * The session holds the other end. It is the process that speaks with strangers, so each byte here
 * is hostile: whoever owns a session must not get more from a lent key than one login, as the lent
 * account, with that key.
 */
#include "keys_agent.h"

#include <stdio.h>
#include <string.h>

#include "sshkey.h"
#include "log.h"

/* draft-miller-ssh-agent section 5.1; flags 5.3 */
enum {
	AGENT_FAILURE = 5,
	AGENTC_REQUEST_IDENTITIES = 11,
	AGENT_IDENTITIES_ANSWER = 12,
	AGENTC_SIGN_REQUEST = 13,
	AGENT_SIGN_RESPONSE = 14,
};
#define AGENT_RSA_SHA2_256 2U
#define AGENT_RSA_SHA2_512 4U

#define USERAUTH_REQUEST 50	/* RFC 4252 section 6 */
#define SESSION_ID_MAX 64	/* the longest hash of a key exchange */

void agent_init(struct agent *a, EVP_PKEY *key, const char *login)
{
	*a = (struct agent){ .key = key, .left = AGENT_SIGNATURES };
	snprintf(a->login, sizeof(a->login), "%s", login);
}

/* The algorithm that the flags name; NULL for none that this key has. */
static const char *flags_algorithm(EVP_PKEY *key, uint32_t flags)
{
	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA)
		return sshkey_algorithm(key);
	if ((flags & AGENT_RSA_SHA2_512) != 0)
		return "rsa-sha2-512";
	return (flags & AGENT_RSA_SHA2_256) != 0 ? "rsa-sha2-256" : NULL;
}

static bool same_key(EVP_PKEY *key, const uint8_t *blob, size_t len)
{
	struct buf own;
	bool same;

	buf_init(&own, SSHKEY_BLOB_MAX);
	same = sshkey_blob(key, &own) == 0 && own.len == len && memcmp(own.data, blob, len) == 0;
	buf_finish(&own);
	return same;
}

const char *agent_refusal(EVP_PKEY *key, const char *login, const char *alg, const uint8_t *data,
    size_t len)
{
	char user[LOGIN_MAX + 1], service[32], method[32], algorithm[32];
	const uint8_t *blob;
	struct buf b;
	size_t id_len, blob_len;
	uint8_t type, has_signature;

	buf_view(&b, data, len);
	buf_get_string(&b, SESSION_ID_MAX, &id_len);
	type = buf_get_u8(&b);
	buf_get_cstring(&b, user, sizeof(user));
	buf_get_cstring(&b, service, sizeof(service));
	buf_get_cstring(&b, method, sizeof(method));
	has_signature = buf_get_u8(&b);
	buf_get_cstring(&b, algorithm, sizeof(algorithm));
	blob = buf_get_string(&b, SSHKEY_BLOB_MAX, &blob_len);
	if (!buf_end(&b) || id_len < 20 || type != USERAUTH_REQUEST || has_signature != 1)
		return "not a USERAUTH_REQUEST";
	if (strcmp(user, login) != 0)
		return "for another login";
	if (strcmp(service, "ssh-connection") != 0 || strcmp(method, "publickey") != 0)
		return "for another service or method";
	if (strcmp(algorithm, alg) != 0)
		return "for another algorithm";
	return same_key(key, blob, blob_len) ? NULL : "for another key";
}

static void put_failure(struct buf *out)
{
	buf_put_u32(out, 1);
	buf_put_u8(out, AGENT_FAILURE);
}

/* u32 length, and what is in `body` */
static int put_framed(const struct buf *body, struct buf *out)
{
	return buf_ok(body) ? buf_put_string(out, body->data, body->len) : -1;
}

static int put_identities(struct agent *a, struct buf *out)
{
	struct buf body, blob;
	int r;

	buf_init(&body, AGENT_MESSAGE_MAX);
	buf_init(&blob, SSHKEY_BLOB_MAX);
	buf_put_u8(&body, AGENT_IDENTITIES_ANSWER);
	buf_put_u32(&body, 1);
	r = sshkey_blob(a->key, &blob);
	if (r == 0) {
		buf_put_string(&body, blob.data, blob.len);
		buf_put_cstring(&body, a->login);
		r = put_framed(&body, out);
	}
	buf_finish(&blob);
	buf_finish(&body);
	return r;
}

static int put_signature(struct agent *a, const char *alg, const uint8_t *data, size_t len,
    struct buf *out)
{
	struct buf body;
	int r = -1;

	buf_init(&body, AGENT_MESSAGE_MAX);
	buf_put_u8(&body, AGENT_SIGN_RESPONSE);
	if (sshkey_sign(a->key, alg, data, len, &body) == 0)
		r = put_framed(&body, out);
	buf_finish(&body);
	return r;
}

static int answer_sign(struct agent *a, struct buf *b, struct buf *out)
{
	size_t blob_len, len;
	const uint8_t *blob = buf_get_string(b, SSHKEY_BLOB_MAX, &blob_len);
	const uint8_t *data = buf_get_string(b, AGENT_MESSAGE_MAX, &len);
	const char *alg = flags_algorithm(a->key, buf_get_u32(b));
	const char *why = NULL;

	if (!buf_end(b))
		why = "malformed";
	else if (!same_key(a->key, blob, blob_len))
		why = "for another key";
	else if (alg == NULL)
		why = "for ssh-rsa, which is SHA-1: the target must offer rsa-sha2-256 or "
		      "rsa-sha2-512";
	else if (a->left == 0)
		why = "one too many";
	else
		why = agent_refusal(a->key, a->login, alg, data, len);
	if (why != NULL) {
		log_warn("lent key, login %s: signature refused, the request is %s", a->login, why);
		put_failure(out);
		return 0;
	}
	a->left--;
	return put_signature(a, alg, data, len, out);
}

int agent_answer(struct agent *a, const uint8_t *request, size_t len, struct buf *out)
{
	struct buf b;
	uint8_t type;

	buf_view(&b, request, len);
	type = buf_get_u8(&b);
	if (type == AGENTC_REQUEST_IDENTITIES && buf_end(&b))
		return put_identities(a, out);
	if (type == AGENTC_SIGN_REQUEST)
		return answer_sign(a, &b, out);
	put_failure(out);
	return buf_ok(out) ? 0 : -1;
}
