/*
 * sshkey.c - see sshkey.h. Pure: no descriptor, no state.
 */
#include "sshkey.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <stdio.h>
#include <string.h>

#define POINT_MAX 133		/* uncompressed nistp521: 1 + 2 * 66 */
#define SIGNATURE_MAX 2100	/* RSA of 16384 bits */

struct curve {
	const char *group;	/* OpenSSL's name */
	const char *name;	/* SSH's */
	const char *type;
	const EVP_MD *(*digest)(void);
};

static const struct curve curves[] = {
	{ "prime256v1", "nistp256", "ecdsa-sha2-nistp256", EVP_sha256 },
	{ "secp384r1", "nistp384", "ecdsa-sha2-nistp384", EVP_sha384 },
	{ "secp521r1", "nistp521", "ecdsa-sha2-nistp521", EVP_sha512 },
};

static const struct curve *key_curve(EVP_PKEY *key)
{
	char group[64];

	if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1)
		return NULL;
	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++)
		if (strcmp(group, curves[i].group) == 0)
			return &curves[i];
	return NULL;
}

/* mpint of RFC 4251 section 5 from a positive big-endian number: no leading zero but one before a
   high bit. */
static int put_mpint(struct buf *out, const uint8_t *n, size_t len)
{
	while (len > 0 && *n == 0) {
		n++;
		len--;
	}
	if (len > 0 && (*n & 0x80) != 0) {
		buf_put_u32(out, (uint32_t)len + 1);
		buf_put_u8(out, 0);
		return buf_put(out, n, len);
	}
	return buf_put_string(out, n, len);
}

static int put_param(EVP_PKEY *key, const char *param, struct buf *out)
{
	uint8_t bytes[SSHKEY_RSA_BITS_MAX / 8] = { 0 };
	BIGNUM *n = NULL;
	int r = -1;

	if (EVP_PKEY_get_bn_param(key, param, &n) == 1 && BN_num_bytes(n) <= (int)sizeof(bytes))
		r = put_mpint(out, bytes, (size_t)BN_bn2bin(n, bytes));
	BN_free(n);
	return r;
}

static int put_ed25519(EVP_PKEY *key, struct buf *out)
{
	uint8_t raw[32];
	size_t len = sizeof(raw);

	if (EVP_PKEY_get_raw_public_key(key, raw, &len) != 1 || len != sizeof(raw))
		return -1;
	buf_put_cstring(out, "ssh-ed25519");
	return buf_put_string(out, raw, len);
}

static int put_ec(EVP_PKEY *key, struct buf *out)
{
	const struct curve *curve = key_curve(key);
	uint8_t point[POINT_MAX];
	size_t len;

	if (curve == NULL || EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point,
	    sizeof(point), &len) != 1 || point[0] != POINT_CONVERSION_UNCOMPRESSED)
		return -1;
	buf_put_cstring(out, curve->type);
	buf_put_cstring(out, curve->name);
	return buf_put_string(out, point, len);
}

static int put_rsa(EVP_PKEY *key, struct buf *out)
{
	if (EVP_PKEY_get_bits(key) < SSHKEY_RSA_BITS_MIN ||
	    EVP_PKEY_get_bits(key) > SSHKEY_RSA_BITS_MAX)
		return -1;
	buf_put_cstring(out, "ssh-rsa");
	return put_param(key, OSSL_PKEY_PARAM_RSA_E, out) != 0 ||
	    put_param(key, OSSL_PKEY_PARAM_RSA_N, out) != 0 ? -1 : 0;
}

int sshkey_blob(EVP_PKEY *key, struct buf *out)
{
	int r = -1;

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_ED25519:
		r = put_ed25519(key, out);
		break;
	case EVP_PKEY_EC:
		r = put_ec(key, out);
		break;
	case EVP_PKEY_RSA:
		r = put_rsa(key, out);
		break;
	}
	if (r != 0)
		errno = buf_ok(out) ? EINVAL : ENOMEM;
	return r;
}

/* A positive mpint in its one shortest form, of `least` to `most` bits. */
static bool mpint_in(struct buf *b, size_t least, size_t most)
{
	size_t len, bits;
	const uint8_t *n = buf_get_string(b, most / 8 + 1, &len);

	if (n == NULL || len == 0 || (n[0] & 0x80) != 0)
		return false;
	if (n[0] == 0) {
		if (len < 2 || (n[1] & 0x80) == 0)
			return false;
		n++;
		len--;
	}
	bits = len * 8;
	for (uint8_t top = n[0]; (top & 0x80) == 0; top = (uint8_t)(top << 1))
		bits--;
	return bits >= least && bits <= most;
}

static bool point_on_curve(const uint8_t *bytes, size_t len)
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	EC_POINT *point = group != NULL ? EC_POINT_new(group) : NULL;
	bool ok = point != NULL && len == 65 && bytes[0] == POINT_CONVERSION_UNCOMPRESSED &&
	    EC_POINT_oct2point(group, point, bytes, len, NULL) == 1;

	EC_POINT_free(point);
	EC_GROUP_free(group);
	return ok;
}

const char *sshkey_check_blob(const uint8_t *blob, size_t len, struct buf *fields)
{
	char type[32], curve[16];
	struct buf b;
	const uint8_t *p;
	size_t n;

	if (len > SSHKEY_BLOB_MAX)
		return NULL;
	buf_view(&b, blob, len);
	if (buf_get_cstring(&b, type, sizeof(type)) != 0)
		return NULL;
	buf_view(fields, blob + b.off, len - b.off);
	if (strcmp(type, "ssh-ed25519") == 0) {
		p = buf_get_string(&b, 32, &n);
		return p != NULL && n == 32 && buf_end(&b) ? "ssh-ed25519" : NULL;
	}
	if (strcmp(type, "ecdsa-sha2-nistp256") == 0) {
		if (buf_get_cstring(&b, curve, sizeof(curve)) != 0 ||
		    strcmp(curve, "nistp256") != 0)
			return NULL;
		p = buf_get_string(&b, POINT_MAX, &n);
		return p != NULL && buf_end(&b) && point_on_curve(p, n) ? "ecdsa-sha2-nistp256"
									: NULL;
	}
	if (strcmp(type, "ssh-rsa") == 0 && mpint_in(&b, 2, 64) &&
	    mpint_in(&b, SSHKEY_RSA_BITS_MIN, SSHKEY_RSA_BITS_MAX) && buf_end(&b))
		return "ssh-rsa";
	return NULL;
}

/* The digest of a signature algorithm that this key may use: NULL in *md for Ed25519, which brings
   its own. */
static bool key_digest(EVP_PKEY *key, const char *alg, const EVP_MD **md)
{
	const struct curve *curve;

	*md = NULL;
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_ED25519:
		return strcmp(alg, "ssh-ed25519") == 0;
	case EVP_PKEY_EC:
		if ((curve = key_curve(key)) == NULL || strcmp(alg, curve->type) != 0)
			return false;
		*md = curve->digest();
		return true;
	case EVP_PKEY_RSA:
		*md = strcmp(alg, "rsa-sha2-512") == 0 ? EVP_sha512() :
		    strcmp(alg, "rsa-sha2-256") == 0 ? EVP_sha256() : NULL;
		return *md != NULL;
	}
	return false;
}

const char *sshkey_algorithm(EVP_PKEY *key)
{
	const struct curve *curve;

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_ED25519:
		return "ssh-ed25519";
	case EVP_PKEY_EC:
		return (curve = key_curve(key)) != NULL ? curve->type : NULL;
	case EVP_PKEY_RSA:
		return "rsa-sha2-512";
	}
	return NULL;
}

/* OpenSSL's ECDSA signature is DER; SSH wants mpint r, mpint s (RFC 5656 section 3.1.2). */
static int put_ecdsa(const uint8_t *der, size_t len, struct buf *out)
{
	const uint8_t *p = der;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);
	uint8_t r[66], s[66], both[2 * (4 + 1 + 66)];
	struct buf inner;
	int n, m, ret = -1;

	if (sig == NULL)
		return -1;
	buf_init(&inner, sizeof(both));
	n = BN_bn2binpad(ECDSA_SIG_get0_r(sig), r, sizeof(r));
	m = BN_bn2binpad(ECDSA_SIG_get0_s(sig), s, sizeof(s));
	if (n > 0 && m > 0 && put_mpint(&inner, r, (size_t)n) == 0 &&
	    put_mpint(&inner, s, (size_t)m) == 0)
		ret = buf_put_string(out, inner.data, inner.len);
	buf_finish(&inner);
	ECDSA_SIG_free(sig);
	return ret;
}

int sshkey_sign(EVP_PKEY *key, const char *alg, const void *data, size_t len, struct buf *out)
{
	uint8_t raw[SIGNATURE_MAX];
	size_t n = sizeof(raw);
	EVP_MD_CTX *ctx = NULL;
	struct buf inner;
	const EVP_MD *md;
	int r = -1;

	if (!key_digest(key, alg, &md)) {
		errno = EINVAL;
		return -1;
	}
	buf_init(&inner, SIGNATURE_MAX + 64);
	buf_put_cstring(&inner, alg);
	if ((ctx = EVP_MD_CTX_new()) == NULL || EVP_DigestSignInit(ctx, NULL, md, NULL, key) != 1 ||
	    EVP_DigestSign(ctx, raw, &n, data, len) != 1)
		goto out;
	r = EVP_PKEY_get_base_id(key) == EVP_PKEY_EC ? put_ecdsa(raw, n, &inner) :
	    buf_put_string(&inner, raw, n);
	if (r == 0)
		r = buf_put_string(out, inner.data, inner.len);
out:
	EVP_MD_CTX_free(ctx);
	buf_finish(&inner);
	if (r != 0)
		errno = EIO;
	return r;
}

int sshkey_line(EVP_PKEY *key, const char *comment, char *out, size_t size)
{
	uint8_t text[4 * (SSHKEY_BLOB_MAX / 3 + 1) + 1];
	struct buf blob, b;
	char type[32];
	int n = -1;

	buf_init(&blob, SSHKEY_BLOB_MAX);
	if (sshkey_blob(key, &blob) == 0) {
		buf_view(&b, blob.data, blob.len);
		if (buf_get_cstring(&b, type, sizeof(type)) == 0) {
			EVP_EncodeBlock(text, blob.data, (int)blob.len);
			n = snprintf(out, size, "%s %s %s", type, (char *)text, comment);
		}
	}
	buf_finish(&blob);
	return n < 0 || (size_t)n >= size ? -1 : 0;
}
