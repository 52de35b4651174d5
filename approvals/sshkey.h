/*
 * sshkey.h - SSH's shapes of OpenSSL's keys: public key blobs and signatures. Pure.
 *
 * Role keys, `bastiond -I` and `bastionctl key add`. Types: ssh-ed25519 (RFC 8709),
 * ecdsa-sha2-nistp256, -384, -521 (RFC 5656), ssh-rsa of at least 2048 bits (RFC 4253), which signs
 * as rsa-sha2-256 or rsa-sha2-512 (RFC 8332) and never with SHA-1.
 */
#ifndef BASTION_SSHKEY_H
#define BASTION_SSHKEY_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "buf.h"

#define SSHKEY_BLOB_MAX 2200U	/* RSA of 16384 bits and its names */
#define SSHKEY_RSA_BITS_MIN 2048
#define SSHKEY_RSA_BITS_MAX 16384

/* Appends the public key blob. 0, or -1 with errno: EINVAL (a type that SSH has not), ENOMEM. */
int sshkey_blob(EVP_PKEY *key, struct buf *out);

/*
 * Checks a foreign blob: one of the types that a certificate is made for (ed25519, nistp256, rsa),
 * well-formed to its last byte. Returns the type's name (static), NULL if it is none; *fields is
 * then what follows the type's name.
 */
const char *sshkey_check_blob(const uint8_t *blob, size_t len, struct buf *fields);

/* The first choice: rsa-sha2-512 for RSA, else the key's own. NULL for a foreign type. */
const char *sshkey_algorithm(EVP_PKEY *key);

/* Appends the signature blob (string alg, string signature) over data. 0, or -1 with errno EINVAL
   or EIO. */
int sshkey_sign(EVP_PKEY *key, const char *alg, const void *data, size_t len, struct buf *out);

/* "ssh-ed25519 AAAA… comment" for authorized_keys and TrustedUserCAKeys. 0, or -1 if it does not
   fit. */
int sshkey_line(EVP_PKEY *key, const char *comment, char *out, size_t size);

#endif
