/*
 * crypto_sshsig.h - signatures that `ssh-keygen -Y sign` makes (OpenSSH's PROTOCOL.sshsig), read and checked.
 *
 * Used by policy, for an approval that must be signed, and by bastion-replay, for the one in a recording. Pure: a text in
 * memory, no file, no agent. Key types: ssh-ed25519, ecdsa-sha2-nistp256, -384, -521, ssh-rsa of 2048 to 8192 bits (signed by
 * rsa-sha2-256 or -512), and the security keys sk-ssh-ed25519 and sk-ecdsa-sha2-nistp256 (@openssh.com), which must have been
 * touched. Certificates are not taken: a device is a plain key.
 */
#ifndef BASTION_CRYPTO_SSHSIG_H
#define BASTION_CRYPTO_SSHSIG_H

#include <stddef.h>
#include <stdint.h>

#define SSHSIG_RAW_MAX 2600	/* bytes of the blob: RSA of 8192 bits and its signature */
#define SSHSIG_TEXT_MAX 4096	/* of the armoured text */
#define SSHSIG_TYPE_MAX 64
#define SSHSIG_NAME_MAX 64	/* of a namespace */

/* A signature, taken apart; nothing of it is believed before sshsig_verify(). Spans point into raw: not to be copied. */
struct sshsig {
	uint8_t raw[SSHSIG_RAW_MAX];
	size_t len;
	const uint8_t *key, *sig;	/* public key and signature, both as blobs of RFC 4253 */
	size_t key_len, sig_len;
	char type[SSHSIG_TYPE_MAX + 1];	/* of the key */
	char space[SSHSIG_NAME_MAX + 1];	/* the namespace it says */
	char hash[8];			/* "sha256", "sha512" */
};

/*
 * Armoured text, as ssh-keygen writes it; blanks and line ends may stand anywhere in the base64. 0, or -1 with what is wrong in
 * err[size]: fixed sentences, nothing of the input.
 */
int sshsig_parse(struct sshsig *s, const char *text, size_t len, char *err, size_t size);
/* Is it a signature of this message in this namespace by the key that it names? 0, or -1 with why not. */
int sshsig_verify(const struct sshsig *s, const char *space, const void *message, size_t len, char *err, size_t size);
/* The text that ssh-keygen would write of it, terminated, into out[SSHSIG_TEXT_MAX]. */
void sshsig_armor(const struct sshsig *s, char *out);

#endif
