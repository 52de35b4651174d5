/*
 * relay_ring.h - the last bytes that a terminal was sent, for those who watch it: one ring, any number of readers.
 *
 * Pure memory; session process; filled for relay_chan.c and session_front.c by watch_put(), read by session_watch.c. The ring is all the
 * buffer that a reader has. One that falls behind by more than it holds starts afresh at its beginning and is told how much it missed; the
 * writer never waits. A new reader starts there, too: from 64 KiB a screen is rebuilt well enough to see what is on it.
 *
 * Only what is durable may be shown (promise P2). In strict mode bytes come here after their frame was acknowledged; otherwise the ring
 * holds them back: `safe` moves when ring_commit() names a sequence that covers them.
 */
#ifndef BASTION_RELAY_RING_H
#define BASTION_RELAY_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_BYTES (64U << 10)
#define RING_SIZES 16		/* changes of the terminal's size that are remembered */
#define RING_PIECE 16000U	/* bytes of one piece: a message holds it */
#define RING_SEARCH 4096U	/* bytes at the beginning in which a better place to begin is looked for */

struct ring_size {
	uint64_t at;		/* byte before which it holds */
	uint16_t cols, rows;
};

struct ring {
	uint8_t *mem;		/* RING_BYTES; NULL before the first byte */
	uint64_t end;		/* bytes that ever came in */
	uint64_t safe;		/* of these, the first so many may be shown */
	struct { uint64_t seq, end; } mark[2]; /* bytes up to `end` are safe once `seq` is durable; the older first, seq 0: none */
	struct ring_size size[RING_SIZES]; /* number n is at n % RING_SIZES */
	uint64_t nsizes;	/* that ever were */
};

struct ring_reader {
	uint64_t at;		/* next byte */
	uint64_t size;		/* next change of size */
	bool begun;
};

enum ring_kind { RING_NOTHING, RING_RESTART, RING_DATA, RING_SIZE };

struct ring_piece {
	enum ring_kind kind;
	const uint8_t *data;	/* RING_DATA: until the next ring_put() */
	size_t len;
	uint16_t cols, rows;	/* RING_RESTART, RING_SIZE */
	uint64_t lost;		/* RING_RESTART: bytes that this reader misses */
	uint64_t at, size;	/* where the reader is after it */
};

/*
 * Adds bytes whose frame is `seq` (0: of no frame); `committed`: every frame up to it is durable. 0, or -1 without memory: then they are
 * missing, and nothing else is.
 */
int ring_put(struct ring *r, const void *data, size_t len, uint64_t seq, uint64_t committed);
/* From the next byte on the terminal has this size. */
void ring_resize(struct ring *r, uint16_t cols, uint16_t rows);
/* Every frame up to this is durable. */
void ring_commit(struct ring *r, uint64_t committed);
/* What the reader should be given next. ring_took() moves it on, if that went well. */
void ring_next(const struct ring *r, const struct ring_reader *reader, struct ring_piece *piece);
void ring_took(struct ring_reader *reader, const struct ring_piece *piece);
/* Wipes and frees. */
void ring_finish(struct ring *r);

#endif
