/*
 * wire_tls.h - TLS between recorder and collector: 1.3 only, both sides by certificate, peers
 * pinned, no authorities.
 *
 * Runs in the recorder role and in bastion-collectord. A peer is who holds the key of a certificate
 * that the operator put into a file: not its name, not its dates, not who signed it count. A file
 * may hold several, so that keys can be changed without a gap.
 */
#ifndef BASTION_WIRE_TLS_H
#define BASTION_WIRE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "crypto.h"

#define TLS_PINS_MAX 32
#define TLS_PIN_LEN 32

/* What a PEM text of an operator named: certificates, and for a collector its receipt keys. */
struct tls_pins {
	size_t ncerts, nkeys;
	uint8_t certs[TLS_PINS_MAX][TLS_PIN_LEN];	/* SHA-256 of the DER */
	uint8_t keys[TLS_PINS_MAX][32];			/* raw Ed25519, from PUBLIC KEY blocks */
};

/* Adds what `pem` holds. 0, or -1 with why[size] set: nothing in it, not parsable, too many. */
int tls_pins_add(struct tls_pins *pins, const char *pem, char *why, size_t size);
/* Which key the raw bytes are: is it one of the pinned? */
bool tls_pins_has_key(const struct tls_pins *pins, const uint8_t key[32]);

/*
 * A context for one side. cert and key: PEM files, read now. pins: who may be at the other end;
 * borrowed, must live as long as the context. NULL with why[size] set.
 */
SSL_CTX *tls_context(bool server, const char *cert_file, const char *key_file, const struct tls_pins *pins,
    char *why, size_t size);
/* The same from PEM texts in memory; a role without a file system has no other. */
SSL_CTX *tls_context_pem(bool server, const struct span *cert, const struct span *key, const struct tls_pins *pins,
    char *why, size_t size);
/* SHA-256 of the certificate that the peer showed. 0 or -1. */
int tls_peer_pin(const SSL *ssl, uint8_t pin[TLS_PIN_LEN]);
/* The oldest reason in OpenSSL's error queue as text; empties the queue. */
const char *tls_reason(char *out, size_t size);
/*
 * Why a connection ended: e as bufferevent_get_openssl_error gives it, errno otherwise; `eof`: the
 * peer closed it. Empties the queue.
 */
const char *tls_end_reason(char *out, size_t size, unsigned long e, bool eof);

/*
 * Makes a key (PEM, mode 0600) and a self-signed certificate (0644) with the common name `name`:
 * P-256, no end date. Neither file may exist. 0, or -1 with why[size] set.
 */
int tls_make_identity(const char *key_file, const char *cert_file, const char *name, char *why, size_t size);

#endif
