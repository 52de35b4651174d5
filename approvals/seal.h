/*
 * seal.h - secrets at rest: AES-256-GCM under a key-encryption key that is not in the database.
 *
 * Used by the policy role (the store's one-time code secrets) and by the tests. Whoever has the database, or a
 * backup of it, has none of the secrets; and cannot give a user a secret of their own choice either, nor that of
 * another user: what a sealed value is for and whose it is are authenticated with it.
 *
 *     value = key id 8 ‖ nonce 12 ‖ ciphertext ‖ tag 16
 *     key id = the first 8 bytes of SHA-256("bastiond seal key/1" ‖ key)
 *     AAD = "bastiond seal/1" ‖ 0 ‖ purpose ‖ 0 ‖ u64 user id, big-endian ‖ key id
 */
#ifndef BASTION_SEAL_H
#define BASTION_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEAL_KEY_LEN 32
#define SEAL_ID_LEN 8
#define SEAL_OVER 36		/* bytes that a sealed value has more */
#define SEAL_PLAIN_MAX 64
#define SEAL_KEYS_MAX 6		/* the one in use, the next, the one before; twice while they change */
#define SEAL_TEXT_MAX 80	/* bytes of a key file */

struct seal_key {
	uint8_t id[SEAL_ID_LEN], key[SEAL_KEY_LEN];
};

/* The keys that open; the first one seals. Zeroed: none. Wipe it with explicit_bzero. */
struct seal_ring {
	struct seal_key keys[SEAL_KEYS_MAX];
	unsigned n;
};

/* Adds the key of a file's contents: 64 hexadecimal digits, then at most a line end; or 32 raw bytes. 0; -1: it is none, it is there
 * already, or there is no room. */
int seal_ring_add(struct seal_ring *ring, const void *text, size_t len);
/* Adds the keys of another ring that are not in it, behind its own; those for which there is no room are left out. */
void seal_ring_join(struct seal_ring *ring, const struct seal_ring *other);
/* A fresh key as the text of a file, 65 bytes and NUL. 0, or -1 without randomness. */
int seal_key_text(char out[SEAL_TEXT_MAX]);

/* Seals len bytes into out[len + SEAL_OVER]. 0, or -1 (no key, or OpenSSL fails). */
int seal_close(const struct seal_ring *ring, const char *purpose, int64_t user_id, const void *plain, size_t len,
    uint8_t *out);
/*
 * The reverse, of len + SEAL_OVER bytes into plain[len]. 0; -1 with errno ENOKEY: sealed under a key that is not here;
 * EBADMSG: not sealed for this user and purpose, or changed.
 */
int seal_open(const struct seal_ring *ring, const char *purpose, int64_t user_id, const uint8_t *sealed, void *plain,
    size_t len);
/* Is it sealed under the key that seals now? */
bool seal_is_current(const struct seal_ring *ring, const uint8_t *sealed);

#endif
