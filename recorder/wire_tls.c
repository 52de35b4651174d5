/*
 * wire_tls.c - see wire_tls.h. Runs in the recorder role and in bastion-collectord.
 */
#include "wire_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/*
 * AES with 128 bits first: the fastest suite of TLS 1.3 on machines that have the instruction, and
 * every one has it.
 */
#define SUITES "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"

const char *tls_reason(char *out, size_t size)
{
	unsigned long e = ERR_get_error();

	if (e == 0)
		snprintf(out, size, "no reason given");
	else
		ERR_error_string_n(e, out, size);
	ERR_clear_error();
	return out;
}

const char *tls_end_reason(char *out, size_t size, unsigned long e, bool eof)
{
	int err = errno;

	/* errors of the system are in the queue, too, as numbers without a library */
	if (e != 0 && ERR_GET_LIB(e) != ERR_LIB_NONE && ERR_GET_LIB(e) != ERR_LIB_SYS)
		ERR_error_string_n(e, out, size);
	else if (eof || err == 0)
		snprintf(out, size, "closed by the other side");
	else
		snprintf(out, size, "%s", strerror(err));
	ERR_clear_error();
	return out;
}

/* Contexts are checked by fingerprint alone, so nothing but the leaf is looked at. */
static int cert_pin(const X509 *cert, uint8_t pin[TLS_PIN_LEN])
{
	unsigned len = TLS_PIN_LEN;

	return cert != NULL && X509_digest(cert, EVP_sha256(), pin, &len) == 1 && len == TLS_PIN_LEN ? 0 : -1;
}

static int add_cert(struct tls_pins *pins, const unsigned char *der, long len)
{
	X509 *cert = d2i_X509(NULL, &der, len);
	int r = -1;

	if (cert != NULL && pins->ncerts < TLS_PINS_MAX && cert_pin(cert, pins->certs[pins->ncerts]) == 0) {
		pins->ncerts++;
		r = 0;
	}
	X509_free(cert);
	return r;
}

static int add_key(struct tls_pins *pins, const unsigned char *der, long len)
{
	EVP_PKEY *key = d2i_PUBKEY(NULL, &der, len);
	size_t n = 32;
	int r = -1;

	if (key != NULL && EVP_PKEY_is_a(key, "ED25519") && pins->nkeys < TLS_PINS_MAX &&
	    EVP_PKEY_get_raw_public_key(key, pins->keys[pins->nkeys], &n) == 1 && n == 32) {
		pins->nkeys++;
		r = 0;
	}
	EVP_PKEY_free(key);
	return r;
}

int tls_pins_add(struct tls_pins *pins, const char *pem, char *why, size_t size)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	size_t before = pins->ncerts;
	int r = 0;

	why[0] = '\0';
	while (bio != NULL && r == 0) {
		char *name, *header;
		unsigned char *der;
		long len;

		if (PEM_read_bio(bio, &name, &header, &der, &len) != 1)
			break;
		if (strcmp(name, PEM_STRING_X509) == 0)
			r = add_cert(pins, der, len);
		else if (strcmp(name, PEM_STRING_PUBLIC) == 0)
			r = add_key(pins, der, len);
		else
			r = -1;
		if (r != 0)
			snprintf(why, size,
			    "a %.40s block is not wanted, does not parse, or is one of more than %d", name,
			    TLS_PINS_MAX);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(der, (size_t)len);
	}
	BIO_free(bio);
	ERR_clear_error();
	if (r == 0 && pins->ncerts == before) {
		snprintf(
		    why, size, "holds no certificate (a block that begins with -----BEGIN CERTIFICATE-----)");
		r = -1;
	}
	return r;
}

bool tls_pins_has_key(const struct tls_pins *pins, const uint8_t key[32])
{
	for (size_t i = 0; i < pins->nkeys; i++)
		if (memcmp(pins->keys[i], key, 32) == 0)
			return true;
	return false;
}

/*
 * Takes the place of OpenSSL's chain building. OpenSSL itself checks that the peer holds the
 * certificate's key.
 */
static int verify_pin(X509_STORE_CTX *store, void *arg)
{
	const struct tls_pins *pins = arg;
	uint8_t pin[TLS_PIN_LEN];

	if (cert_pin(X509_STORE_CTX_get0_cert(store), pin) == 0)
		for (size_t i = 0; i < pins->ncerts; i++)
			if (memcmp(pins->certs[i], pin, TLS_PIN_LEN) == 0)
				return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
	return 0;
}

/* All but the certificate and the key. */
static SSL_CTX *bare_context(bool server, const struct tls_pins *pins, char *why, size_t size)
{
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	char reason[160];

	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, SUITES) != 1) {
		snprintf(why, size, "TLS 1.3: %s", tls_reason(reason, sizeof(reason)));
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, verify_pin, (void *)(uintptr_t)pins);
	/* no resumption: each connection proves both keys, and no ticket is a secret to keep */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_IGNORE_UNEXPECTED_EOF); /* messages have lengths, and what was not acknowledged is sent again */
	return ctx;
}

SSL_CTX *tls_context(bool server, const char *cert_file, const char *key_file, const struct tls_pins *pins,
    char *why, size_t size)
{
	SSL_CTX *ctx = bare_context(server, pins, why, size);
	char reason[160];

	if (ctx == NULL)
		return NULL;
	if (SSL_CTX_use_certificate_file(ctx, cert_file, SSL_FILETYPE_PEM) != 1) {
		snprintf(why, size, "certificate %s: %s", cert_file, tls_reason(reason, sizeof(reason)));
		goto bad;
	}
	if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1) {
		snprintf(why, size, "key %s: %s", key_file, tls_reason(reason, sizeof(reason)));
		goto bad;
	}
	return ctx;
bad:
	SSL_CTX_free(ctx);
	return NULL;
}

/* A PEM with a passphrase must fail, not ask the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf, (void)size, (void)rwflag, (void)arg;
	return -1;
}

SSL_CTX *tls_context_pem(bool server, const struct span *cert, const struct span *key, const struct tls_pins *pins,
    char *why, size_t size)
{
	SSL_CTX *ctx = bare_context(server, pins, why, size);
	BIO *cert_bio = BIO_new_mem_buf(cert->data, (int)cert->len), *key_bio = BIO_new_mem_buf(key->data, (int)key->len);
	X509 *x = cert_bio != NULL ? PEM_read_bio_X509(cert_bio, NULL, NULL, NULL) : NULL;
	EVP_PKEY *k = key_bio != NULL ? PEM_read_bio_PrivateKey(key_bio, NULL, no_passphrase, NULL) : NULL;
	char reason[160];
	bool ok = false;

	if (ctx == NULL)
		goto out;
	if (x == NULL)
		snprintf(why, size, "no certificate in PEM");
	else if (k == NULL)
		snprintf(why, size, "no private key in PEM without passphrase");
	else if (SSL_CTX_use_certificate(ctx, x) != 1 || SSL_CTX_use_PrivateKey(ctx, k) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		snprintf(why, size, "the key is not that of the certificate: %s", tls_reason(reason, sizeof(reason)));
	else
		ok = true;
out:
	X509_free(x);
	EVP_PKEY_free(k);
	BIO_free(cert_bio);
	BIO_free(key_bio);
	ERR_clear_error();
	if (ok)
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

int tls_peer_pin(const SSL *ssl, uint8_t pin[TLS_PIN_LEN])
{
	return cert_pin(SSL_get0_peer_certificate(ssl), pin);
}

static X509 *self_signed(EVP_PKEY *key, const char *name)
{
	X509 *cert = X509_new();
	ASN1_TIME *start = NULL;
	X509_NAME *dn;
	bool ok;

	if (cert == NULL)
		return NULL;
	dn = X509_get_subject_name(cert);
	start = X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	ok = start != NULL && X509_set_version(cert, X509_VERSION_3) == 1 &&
	    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) == 1 &&
	    /* RFC 5280 4.1.2.5: no well-defined end */
	    ASN1_TIME_set_string_X509(X509_getm_notAfter(cert), "99991231235959Z") == 1 &&
	    X509_NAME_add_entry_by_txt(dn, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) == 1 &&
	    X509_set_issuer_name(cert, dn) == 1 && X509_set_pubkey(cert, key) == 1 &&
	    X509_sign(cert, key, EVP_sha256()) > 0;
	if (ok)
		return cert;
	X509_free(cert);
	return NULL;
}

/* A new file only: keys are never replaced by accident. */
static FILE *create(const char *path, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	FILE *f = fd >= 0 && fchmod(fd, mode) == 0 ? fdopen(fd, "w") : NULL;

	if (f == NULL && fd >= 0)
		close(fd);
	return f;
}

static int finish(FILE *f, bool ok)
{
	ok = fflush(f) == 0 && fsync(fileno(f)) == 0 && ok;
	return fclose(f) == 0 && ok ? 0 : -1;
}

int tls_make_identity(const char *key_file, const char *cert_file, const char *name, char *why, size_t size)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = key != NULL ? self_signed(key, name) : NULL;
	char reason[160];
	FILE *f = NULL;
	int r = -1;

	if (cert == NULL) {
		snprintf(why, size, "making a certificate: %s", tls_reason(reason, sizeof(reason)));
		goto out;
	}
	if ((f = create(key_file, 0600)) == NULL ||
	    finish(f, PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1) != 0) {
		snprintf(why, size, "%s: %s", key_file, strerror(errno));
		goto out;
	}
	if ((f = create(cert_file, 0644)) == NULL || finish(f, PEM_write_X509(f, cert) == 1) != 0) {
		snprintf(why, size, "%s: %s", cert_file, strerror(errno));
		goto out;
	}
	r = 0;
out:
	X509_free(cert);
	EVP_PKEY_free(key);
	return r;
}
