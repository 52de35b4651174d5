/*
 * relay_hold.h - what waits between two legs of a channel, in order: bytes, and what is said between them.
 *
 * An item may pass when the frame that holds it is committed (promise P2): each names that sequence.
 * Pure memory; session process; filled by libssh callbacks, emptied by relay_chan.c.
 */
#ifndef BASTION_RELAY_HOLD_H
#define BASTION_RELAY_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_SOFT (512U << 10)	/* callbacks take no more bytes past this; the window stays shut */
#define HOLD_MAX (4U << 20)	/* what a peer may have unread (CHAN_UNREAD_MAX), drained in one piece, fits on top of it */
#define HOLD_HEAD 24U		/* an item takes no more than this beside its bytes */
#define HOLD_UNRECORDED UINT64_MAX /* sequence of bytes that are not recorded yet, and so pass in no mode */
#define HOLD_KEEP (64U << 10)	/* memory kept while empty */

enum hold_kind {
	HOLD_DATA,	/* bytes for the other leg's standard input or output */
	HOLD_ERR,	/* bytes for its standard error */
	HOLD_EOF,
	HOLD_RESIZE,	/* u16 columns, u16 rows, in host order */
	HOLD_SIGNAL,	/* name */
	HOLD_EXIT,	/* u32 status, in host order */
	HOLD_EXIT_SIGNAL, /* u8 core dumped, name, 0, message, 0 */
	HOLD_CLOSE,
};

struct hold_item {
	uint64_t seq;
	uint32_t len;
	enum hold_kind kind;
	const uint8_t *data;	/* valid until the next hold_put */
};

struct hold {
	uint8_t *mem;
	size_t head, tail, cap;
	size_t last;		/* the last item, if there is one */
	size_t fresh;		/* where the first item is that is not recorded yet; tail: there is none */
	size_t taken;		/* bytes of the first item that are gone already */
	size_t bytes;		/* of data and err items */
};

/*
 * Adds an item with a copy of the bytes. 0, or -1: over HOLD_MAX or no memory. Bytes that wait for the same frame as those just
 * before them join these: they go on in packets as large as the peer takes, however they came.
 */
int hold_put(struct hold *h, enum hold_kind kind, uint64_t seq, const void *data, size_t len);
/* The first item; false if there is none. */
bool hold_peek(struct hold *h, struct hold_item *item);
/* Takes len bytes off the first item, or all of it when they are its last. */
void hold_take(struct hold *h, size_t len);
/* Drops the whole first item. */
void hold_drop(struct hold *h);
/* The first item that is not recorded yet; false if there is none. */
bool hold_fresh(struct hold *h, struct hold_item *item);
/* It is recorded now, and waits for this sequence. */
void hold_recorded(struct hold *h, uint64_t seq);
/* Bytes before it, heads too. */
static inline size_t hold_ahead(const struct hold *h) { return h->fresh - h->head; }
/* Bytes, heads too. */
static inline size_t hold_size(const struct hold *h) { return h->tail - h->head; }
static inline bool hold_empty(const struct hold *h) { return h->head == h->tail; }
/* Heads count: a peer that sends byte by byte fills a hold, too. */
static inline bool hold_full(const struct hold *h) { return hold_size(h) >= HOLD_SOFT; }
/* Gives back the memory of an empty hold. Once a second: in the middle of a transfer it is empty all the time. */
void hold_trim(struct hold *h);
/* Wipes and frees. */
void hold_finish(struct hold *h);

#endif
