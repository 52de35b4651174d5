/*
 * replay_trust.h - whom an auditor believes: the keys of the trust file. Part of bastion-replay, in replay_keys.c.
 */
#ifndef BASTION_REPLAY_TRUST_H
#define BASTION_REPLAY_TRUST_H

#include "brec_verify.h"
#include "tlog_note.h"

#define REPLAY_PATH_MAX 4096
#define TRUST_KEYS_MAX 64	/* of each kind */
#define TRUST_OTHERS_MAX 16	/* witnesses; authorities */

struct trust {
	uint8_t signers[TRUST_KEYS_MAX][KEY_LEN], collectors[TRUST_KEYS_MAX][KEY_LEN];
	char signer_names[TRUST_KEYS_MAX][64], collector_names[TRUST_KEYS_MAX][64];
	size_t nsigners, ncollectors;
	const char *log;	/* the name of those whose log is believed; NULL: of any */
	struct tlog_vkey witnesses[TRUST_OTHERS_MAX];	/* of the log of recordings */
	char tsas[TRUST_OTHERS_MAX][REPLAY_PATH_MAX];	/* PEM files of timestamping authorities */
	size_t nwitnesses, ntsas;
};

/* One line of it; `dir` is where relative file names start. 0, or -1 with a sentence in err. */
int trust_line(struct trust *t, const char *line, const char *dir, char *err, size_t errsize);
struct brec_trust trust_view(const struct trust *t);
/* The keys that may sign the log; their number. */
size_t trust_log_keys(const struct trust *t, uint8_t out[TRUST_KEYS_MAX][KEY_LEN]);
/* The collector that has this key, which is a trusted one. Are there others, whose log would do as well? */
const char *trust_collector(const struct trust *t, const uint8_t key[KEY_LEN]);
bool trust_any_log(const struct trust *t);
/* Name of the signer whose key id that is, or NULL. */
const char *trust_signer(const struct trust *t, const uint8_t id[HASH_LEN]);

#endif
