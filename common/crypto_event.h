/*
 * crypto_event.h - one event as bytes: what its hash is made of, and what a recording of events holds.
 *
 * Used by policy (approvals/event.h: the chain in the database; policy_events.c: the recording) and
 * by bastion-replay, which makes the chain anew from a recording. Row n has the hash
 *     hash(n) = SHA-256(hash(n-1) ‖ canonical row n),  hash(0) = 32 zero bytes
 *     canonical row: u64 number, u64 unix seconds, str kind, str actor, str subject, str detail
 * A recorded event (kind 'a', bastion-record(5)) is the canonical row, then its hash.
 */
#ifndef BASTION_CRYPTO_EVENT_H
#define BASTION_CRYPTO_EVENT_H

#include "buf.h"

#define EVENT_HASH_LEN 32
#define EVENT_KIND_MAX 64	/* bytes of the kind's name */
#define EVENT_ACTOR_MAX 128	/* bytes of actor and of subject; what is longer is cut */
#define EVENT_DETAIL_MAX 8192	/* bytes of detail as JSON; in a longer one texts become their starts, and "cut" is true */
#define EVENT_ROW_MAX (16 + 16 + EVENT_KIND_MAX + 2 * EVENT_ACTOR_MAX + EVENT_DETAIL_MAX)

/* One row, as it is hashed and stored. */
struct event_row {
	int64_t id, at;		/* from 1, without holes; unix seconds */
	const char *kind, *actor, *subject, *detail;
};

/* Memory for the texts of a decoded row. */
struct event_text {
	char kind[EVENT_KIND_MAX + 1], actor[EVENT_ACTOR_MAX + 1], subject[EVENT_ACTOR_MAX + 1];
	char detail[EVENT_DETAIL_MAX + 1];
};

/* next = SHA-256(prev ‖ canonical row). prev and next may be the same memory. 0, or -1. */
int event_hash(const uint8_t prev[EVENT_HASH_LEN], const struct event_row *e,
    uint8_t next[EVENT_HASH_LEN]);

/* Appends the recorded event: canonical row, hash. 0, or -1: no room. */
int event_row_put(struct buf *b, const struct event_row *e, const uint8_t hash[EVENT_HASH_LEN]);
/*
 * Decodes one from foreign bytes; *e points into *text. 0, or -1: not what event_row_put() makes.
 * That the hash is right, event_hash() says.
 */
int event_row_get(struct event_row *e, struct event_text *text, uint8_t hash[EVENT_HASH_LEN],
    const uint8_t *data, size_t len);

#endif
