/*
 * tlog_note.h - signed checkpoints of the log: C2SP signed-note, tlog-checkpoint and tlog-cosignature (Ed25519).
 *
 * Runs in bastion-collectord (signs) and the auditor's tools (check). Pure. A checkpoint is
 *
 *   origin "\n" size "\n" base64(root) "\n" "\n"
 *   "— " name " " base64(u32 key id ‖ signature) "\n"    once or more, the text above without its empty line signed
 *
 * where key id = SHA-256(name "\n" type key)[0..4): type 1 for the log's own signature, 4 for a witness', whose
 * signature is u64 unix seconds ‖ b64 over "cosignature/v1\ntime " seconds "\n" and the text.
 */
#ifndef BASTION_TLOG_NOTE_H
#define BASTION_TLOG_NOTE_H

#include "buf.h"
#include "crypto.h"

#define TLOG_NOTE_MAX 131072		/* bytes of a note that is read: with the lines of 16 witnesses, whose signatures may have 5 kB */
#define TLOG_OWN_MAX 16384		/* of one that its collector wrote: with its own line alone */
#define TLOG_NAME_MAX 255		/* origin, key name */
#define TLOG_SIGS_MAX 64		/* lines of a note */
#define TLOG_VKEY_MAX (TLOG_NAME_MAX + 1 + 8 + 1 + 48)

enum tlog_key_type { TLOG_KEY_LOG = 1, TLOG_KEY_WITNESS = 4 };

struct tlog_vkey {
	char name[TLOG_NAME_MAX + 1];
	enum tlog_key_type type;
	uint8_t key[KEY_LEN];
};

struct tlog_sig {
	const char *name;		/* name_len bytes, in the note */
	size_t name_len;
	const char *text;		/* base64 of key id and signature: text_len bytes, in the note */
	size_t text_len;
};

struct tlog_checkpoint {
	char origin[TLOG_NAME_MAX + 1];
	uint64_t size;
	uint8_t root[HASH_LEN];
	const char *text;		/* what is signed: text_len bytes, in the note */
	size_t text_len;
	struct tlog_sig sigs[TLOG_SIGS_MAX];
	unsigned nsigs;
};

/* A name that may stand in a note: 1 to TLOG_NAME_MAX bytes of ASCII, without space, control character and '+'. */
bool tlog_name_ok(const char *name);
/* NAME+KEYID+KEY, as signed-note writes it, to out[TLOG_VKEY_MAX + 1]. Returns out. */
char *tlog_vkey_format(char *out, const struct tlog_vkey *k);
/* 0; -1: no such text, another type of key, or a key id that does not fit. */
int tlog_vkey_parse(struct tlog_vkey *k, const char *text);

/* Appends a checkpoint, signed. 0 or -1. */
int tlog_checkpoint_make(struct buf *out, const char *origin, uint64_t size, const uint8_t root[HASH_LEN], const struct sign_key *key);
/* Reads one; no signature is checked. 0; -1: this is none. */
int tlog_checkpoint_parse(struct tlog_checkpoint *c, const void *note, size_t len);
/* True if `key` signed it as a log of that origin, and no line in the name of that key is false. The note must still be there. */
bool tlog_checkpoint_signed(const struct tlog_checkpoint *c, const uint8_t key[KEY_LEN]);
/* 1 and *when (unix seconds) if the witness signed it; 0 if it did not; -1: a signature in its name does not hold. */
int tlog_checkpoint_cosigned(const struct tlog_checkpoint *c, const struct tlog_vkey *witness, uint64_t *when);

#endif
