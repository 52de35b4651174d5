/*
 * replay_missing.h - recordings that the log of recordings knows, and a list does not have.
 *
 * Part of bastion-replay, for `verify --all`.
 */
#ifndef BASTION_REPLAY_MISSING_H
#define BASTION_REPLAY_MISSING_H

#include "replay.h"

/* Ids of recordings, sorted; v is for free(). */
struct ids {
	uint8_t (*v)[BREC_ID_LEN];
	size_t n;
};

/* Those of a list. 0, or -1: out of memory. */
int ids_of(struct ids *out, const struct recordings *list);
/* Those that the log has a leaf of, and that are not `here`. 0, or -1: out of memory. */
int ids_missing(struct ids *out, const struct tlog_log *log, const struct ids *here);
bool ids_have(const struct ids *ids, const uint8_t id[BREC_ID_LEN]);

#endif
