/*
 * crypto_sshsig.c - see crypto_sshsig.h. Pure; policy and bastion-replay.
 *
 *   SSHSIG   "SSHSIG" ‖ u32 1 ‖ string public key ‖ string namespace ‖ string reserved ‖ string hash ‖ string signature
 *   signed   "SSHSIG" ‖ string namespace ‖ string reserved ‖ string hash ‖ string H(message)
 *   a security key signs SHA-256(application) ‖ u8 flags ‖ u32 counter ‖ SHA-256(signed) instead (PROTOCOL.u2f)
 */
#include "crypto_sshsig.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "hex.h"

#define MAGIC "SSHSIG"
#define MAGIC_LEN 6
#define BEGIN "-----BEGIN SSH SIGNATURE-----"
#define END "-----END SSH SIGNATURE-----"
#define LINE_LEN 70		/* characters of base64 in a line, as ssh-keygen breaks them */
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define TOUCHED 1		/* PROTOCOL.u2f: the flag of a user's presence */
#define SIGNED_MAX 512		/* what is signed: names and a digest */

enum shape { SHAPE_ED25519, SHAPE_ECDSA, SHAPE_RSA };

static const struct kind {
	const char *type;	/* of the key blob; of the signature, but for RSA */
	enum shape shape;
	const char *curve, *group;	/* SSH's name of it, OpenSSL's */
	const EVP_MD *(*digest)(void);
	bool sk;
} kinds[] = {
	{ "ssh-ed25519", SHAPE_ED25519, NULL, NULL, NULL, false },
	{ "ecdsa-sha2-nistp256", SHAPE_ECDSA, "nistp256", "prime256v1", EVP_sha256, false },
	{ "ecdsa-sha2-nistp384", SHAPE_ECDSA, "nistp384", "secp384r1", EVP_sha384, false },
	{ "ecdsa-sha2-nistp521", SHAPE_ECDSA, "nistp521", "secp521r1", EVP_sha512, false },
	{ "ssh-rsa", SHAPE_RSA, NULL, NULL, NULL, false },
	{ "sk-ssh-ed25519@openssh.com", SHAPE_ED25519, NULL, NULL, NULL, true },
	{ "sk-ecdsa-sha2-nistp256@openssh.com", SHAPE_ECDSA, "nistp256", "prime256v1", EVP_sha256, true },
};

static int fail(char *err, size_t size, const char *why)
{
	snprintf(err, size, "%s", why);
	return -1;
}

/* --- reading --- */

/* Base64 between the two lines, without its blanks, into s->raw. */
static int read_armor(struct sshsig *s, const char *text, size_t len)
{
	char b64[BASE64_SIZE(SSHSIG_RAW_MAX) + 4];
	const char *end = text + len, *stop;
	size_t n = 0;
	int got;

	while (text < end && strchr(" \t\r\n", *text) != NULL)
		text++;
	if ((size_t)(end - text) < sizeof(BEGIN) - 1 || memcmp(text, BEGIN, sizeof(BEGIN) - 1) != 0)
		return -1;
	text += sizeof(BEGIN) - 1;
	if ((stop = memmem(text, (size_t)(end - text), END, sizeof(END) - 1)) == NULL)
		return -1;
	for (const char *p = stop + sizeof(END) - 1; p < end; p++)
		if (*p == '\0' || strchr(" \t\r\n", *p) == NULL)
			return -1;
	for (; text < stop; text++) {
		if (*text != '\0' && strchr(" \t\r\n", *text) != NULL)
			continue;
		if (n == sizeof(b64))
			return -1;
		b64[n++] = *text;
	}
	if ((got = base64_decode(s->raw, sizeof(s->raw), b64, n)) < 0)
		return -1;
	s->len = (size_t)got;
	return 0;
}

int sshsig_parse(struct sshsig *s, const char *text, size_t len, char *err, size_t size)
{
	const uint8_t *magic;
	struct buf b, key;
	size_t reserved;

	memset(s, 0, sizeof(*s));
	if (len > SSHSIG_TEXT_MAX || read_armor(s, text, len) != 0)
		return fail(err, size, "this is no signature as 'ssh-keygen -Y sign' writes it: "
		    BEGIN ", base64, " END);
	buf_view(&b, s->raw, s->len);
	if ((magic = buf_get(&b, MAGIC_LEN)) == NULL || memcmp(magic, MAGIC, MAGIC_LEN) != 0 ||
	    buf_get_u32(&b) != 1)
		return fail(err, size, "this is no SSH signature of version 1");
	s->key = buf_get_string(&b, SSHSIG_RAW_MAX, &s->key_len);
	buf_get_cstring(&b, s->space, sizeof(s->space));
	buf_get_string(&b, 0, &reserved);
	buf_get_cstring(&b, s->hash, sizeof(s->hash));
	s->sig = buf_get_string(&b, SSHSIG_RAW_MAX, &s->sig_len);
	if (!buf_end(&b))
		return fail(err, size, "the signature is not well formed");
	buf_view(&key, s->key, s->key_len);
	if (buf_get_cstring(&key, s->type, sizeof(s->type)) != 0)
		return fail(err, size, "the key in the signature is not well formed");
	if (strcmp(s->hash, "sha256") != 0 && strcmp(s->hash, "sha512") != 0)
		return fail(err, size, "the signature's hash is none of sha256, sha512");
	return 0;
}

void sshsig_armor(const struct sshsig *s, char *out)
{
	char b64[BASE64_SIZE(SSHSIG_RAW_MAX) + 4];
	size_t n, at;

	base64_encode(b64, s->raw, s->len);
	n = strlen(b64);
	while (n % 4 != 0)
		b64[n++] = '=';
	at = (size_t)snprintf(out, SSHSIG_TEXT_MAX, BEGIN "\n");
	for (size_t i = 0; i < n; i += LINE_LEN)
		at += (size_t)snprintf(out + at, SSHSIG_TEXT_MAX - at, "%.*s\n", n - i < LINE_LEN ? (int)(n - i) : LINE_LEN, b64 + i);
	snprintf(out + at, SSHSIG_TEXT_MAX - at, END "\n");
}

/* --- the key --- */

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *bld)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (params != NULL && ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1)
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params);
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *read_ecdsa(struct buf *b, const struct kind *k)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	EVP_PKEY *key = NULL;
	const uint8_t *point;
	char curve[16];
	size_t len;

	buf_get_cstring(b, curve, sizeof(curve));
	point = buf_get_string(b, 133, &len);
	/* uncompressed only; that it lies on the curve is checked by fromdata */
	if (bld != NULL && buf_ok(b) && strcmp(curve, k->curve) == 0 && len > 1 && point[0] == 4 &&
	    OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, k->group, 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, len) == 1)
		key = from_params("EC", bld);
	OSSL_PARAM_BLD_free(bld);
	return key;
}

/* A positive mpint (RFC 4251 section 5). */
static BIGNUM *read_number(struct buf *b)
{
	size_t len;
	const uint8_t *n = buf_get_string(b, RSA_BITS_MAX / 8 + 1, &len);

	if (n == NULL || len == 0 || (n[0] & 0x80) != 0)
		return NULL;
	return BN_bin2bn(n, (int)len, NULL);
}

static EVP_PKEY *read_rsa(struct buf *b)
{
	BIGNUM *e = read_number(b), *n = read_number(b);
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	EVP_PKEY *key = NULL;

	if (bld != NULL && e != NULL && n != NULL && BN_num_bits(n) >= RSA_BITS_MIN && BN_num_bits(n) <= RSA_BITS_MAX &&
	    BN_is_odd(e) && BN_num_bits(e) >= 2 && BN_num_bits(e) <= 64 &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) == 1)
		key = from_params("RSA", bld);
	OSSL_PARAM_BLD_free(bld);
	BN_free(n);
	BN_free(e);
	return key;
}

struct reader {
	const struct kind *kind;
	EVP_PKEY *key;
	const uint8_t *app;	/* of a security key */
	size_t app_len;
};

static int read_key(struct reader *r, const struct sshsig *s)
{
	const uint8_t *raw;
	char type[SSHSIG_TYPE_MAX + 1];
	struct buf b;
	size_t len;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].type, s->type) == 0)
			r->kind = &kinds[i];
	if (r->kind == NULL)
		return -1;
	buf_view(&b, s->key, s->key_len);
	buf_get_cstring(&b, type, sizeof(type));
	switch (r->kind->shape) {
	case SHAPE_ED25519:
		if ((raw = buf_get_string(&b, 32, &len)) != NULL && len == 32)
			r->key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, len);
		break;
	case SHAPE_ECDSA:
		r->key = read_ecdsa(&b, r->kind);
		break;
	case SHAPE_RSA:
		r->key = read_rsa(&b);
		break;
	}
	if (r->kind->sk)
		r->app = buf_get_string(&b, 256, &r->app_len);
	return r->key != NULL && buf_end(&b) ? 0 : -1;
}

/* --- the signature --- */

static bool digest_verify(EVP_PKEY *key, const EVP_MD *md, const uint8_t *sig, size_t sig_len, const void *data, size_t len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
	    EVP_DigestVerify(ctx, sig, sig_len, data, len) == 1;

	EVP_MD_CTX_free(ctx);
	return good;
}

/* SSH's two numbers as the DER that OpenSSL reads. */
static bool verify_ecdsa(EVP_PKEY *key, const EVP_MD *md, const uint8_t *blob, size_t blob_len, const void *data, size_t len)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	uint8_t *der = NULL;
	BIGNUM *x, *y;
	struct buf b;
	bool good = false;
	int n;

	buf_view(&b, blob, blob_len);
	x = read_number(&b);
	y = read_number(&b);
	if (sig != NULL && x != NULL && y != NULL && buf_end(&b) && ECDSA_SIG_set0(sig, x, y) == 1) {
		x = y = NULL;
		n = i2d_ECDSA_SIG(sig, &der);
		good = n > 0 && digest_verify(key, md, der, (size_t)n, data, len);
	}
	OPENSSL_free(der);
	BN_free(x);
	BN_free(y);
	ECDSA_SIG_free(sig);
	return good;
}

static bool verify_rsa(EVP_PKEY *key, const char *alg, const uint8_t *sig, size_t sig_len, const void *data, size_t len)
{
	uint8_t whole[RSA_BITS_MAX / 8] = { 0 };
	size_t size = (size_t)EVP_PKEY_get_size(key);
	const EVP_MD *md = strcmp(alg, "rsa-sha2-512") == 0 ? EVP_sha512() :
	    strcmp(alg, "rsa-sha2-256") == 0 ? EVP_sha256() : NULL;

	if (md == NULL || sig_len == 0 || sig_len > size || size > sizeof(whole))
		return false;
	/* a signature may have lost its leading zeros (RFC 8332 lets it, OpenSSH takes it) */
	memcpy(whole + size - sig_len, sig, sig_len);
	return digest_verify(key, md, whole, size, data, len);
}

static int sha(const char *name, const void *data, size_t len, uint8_t out[64], unsigned *n)
{
	const EVP_MD *md = strcmp(name, "sha512") == 0 ? EVP_sha512() : EVP_sha256();

	return EVP_Digest(data, len, out, n, md, NULL) == 1 ? 0 : -1;
}

/* What the key's owner signed. A security key wraps it. */
static int make_signed(const struct reader *r, const struct sshsig *s, const void *message, size_t len, uint8_t flags,
    uint32_t counter, struct buf *out)
{
	uint8_t digest[64];
	unsigned n;

	if (sha(s->hash, message, len, digest, &n) != 0)
		return -1;
	buf_put(out, MAGIC, MAGIC_LEN);
	buf_put_cstring(out, s->space);
	buf_put_cstring(out, "");
	buf_put_cstring(out, s->hash);
	buf_put_string(out, digest, n);
	if (!r->kind->sk || !buf_ok(out))
		return buf_ok(out) ? 0 : -1;
	if (sha("sha256", out->data, out->len, digest, &n) != 0)
		return -1;
	buf_reset(out);
	uint8_t app[64];
	unsigned app_len;

	if (sha("sha256", r->app, r->app_len, app, &app_len) != 0)
		return -1;
	buf_put(out, app, app_len);
	buf_put_u8(out, flags);
	buf_put_u32(out, counter);
	return buf_put(out, digest, n);
}

int sshsig_verify(const struct sshsig *s, const char *space, const void *message, size_t len, char *err, size_t size)
{
	struct reader r = { .kind = NULL };
	char alg[SSHSIG_TYPE_MAX + 1];
	const uint8_t *sig;
	uint8_t flags = TOUCHED;
	uint32_t counter = 0;
	struct buf b, text;
	size_t sig_len;
	bool good = false;

	if (strcmp(s->space, space) != 0) {
		snprintf(err, size, "it was made for another purpose: sign with -n %s", space);
		return -1;
	}
	buf_init(&text, SIGNED_MAX);
	buf_view(&b, s->sig, s->sig_len);
	buf_get_cstring(&b, alg, sizeof(alg));
	sig = buf_get_string(&b, SSHSIG_RAW_MAX, &sig_len);
	if (read_key(&r, s) != 0) {
		fail(err, size, "the key is of a type or size that is not taken");
		goto out;
	}
	if (r.kind->sk) {
		flags = buf_get_u8(&b);
		counter = buf_get_u32(&b);
	}
	if (!buf_end(&b) || (r.kind->shape != SHAPE_RSA && strcmp(alg, r.kind->type) != 0)) {
		fail(err, size, "the signature does not belong to its key");
		goto out;
	}
	if ((flags & TOUCHED) == 0) {
		fail(err, size, "the security key was not touched");
		goto out;
	}
	if (make_signed(&r, s, message, len, flags, counter, &text) == 0)
		good = r.kind->shape == SHAPE_ED25519 ? digest_verify(r.key, NULL, sig, sig_len, text.data, text.len) :
		    r.kind->shape == SHAPE_ECDSA ? verify_ecdsa(r.key, r.kind->digest(), sig, sig_len, text.data, text.len) :
		    verify_rsa(r.key, alg, sig, sig_len, text.data, text.len);
	if (!good)
		fail(err, size, "it does not fit the text: sign exactly what 'approve' printed, and nothing else");
out:
	buf_finish(&text);
	EVP_PKEY_free(r.key);
	return good ? 0 : -1;
}
