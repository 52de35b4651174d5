/*
 * relay_ring.c - see relay_ring.h. Positions are counts of bytes since the beginning and never wrap in practice; the memory does.
 */
#include "relay_ring.h"

#include <stdlib.h>
#include <string.h>

static uint64_t start_of(const struct ring *r)
{
	return r->end > RING_BYTES ? r->end - RING_BYTES : 0;
}

void ring_commit(struct ring *r, uint64_t committed)
{
	while (r->mark[0].seq != 0 && r->mark[0].seq <= committed) {
		r->safe = r->mark[0].end;
		r->mark[0] = r->mark[1];
		r->mark[1].seq = 0;
	}
}

/* Two marks are enough: the older one stands still until it is safe, the younger takes in all that came since. */
static void set_mark(struct ring *r, uint64_t seq)
{
	const int i = r->mark[0].seq == 0 ? 0 : 1;

	/* bytes of no frame are safe with those before them */
	if (i == 1 && seq < r->mark[0].seq)
		seq = r->mark[0].seq;
	if (seq > r->mark[i].seq)
		r->mark[i].seq = seq;
	r->mark[i].end = r->end;
}

int ring_put(struct ring *r, const void *data, size_t len, uint64_t seq, uint64_t committed)
{
	const uint8_t *p = data;

	if (r->mem == NULL && (r->mem = malloc(RING_BYTES)) == NULL)
		return -1;
	if (len > RING_BYTES) {
		r->end += len - RING_BYTES;
		p += len - RING_BYTES;
		len = RING_BYTES;
	}
	while (len > 0) {
		size_t at = (size_t)(r->end % RING_BYTES), n = RING_BYTES - at < len ? RING_BYTES - at : len;

		memcpy(r->mem + at, p, n);
		r->end += n;
		p += n;
		len -= n;
	}
	ring_commit(r, committed);
	if (r->mark[0].seq == 0 && seq <= committed)
		r->safe = r->end;
	else
		set_mark(r, seq);
	return 0;
}

void ring_resize(struct ring *r, uint16_t cols, uint16_t rows)
{
	r->size[r->nsizes % RING_SIZES] = (struct ring_size){ r->end, cols, rows };
	r->nsizes++;
}

/* Not in the middle of a sequence or a character, if the next escape or end of line is near. */
static uint64_t good_start(const struct ring *r)
{
	uint64_t start = start_of(r);

	for (uint64_t at = start; start > 0 && at < r->end && at < start + RING_SEARCH; at++)
		if (r->mem[at % RING_BYTES] == 0x1b || r->mem[at % RING_BYTES] == '\n')
			return at;
	return start;
}

static void restart(const struct ring *r, const struct ring_reader *reader, struct ring_piece *piece)
{
	uint64_t oldest = r->nsizes > RING_SIZES ? r->nsizes - RING_SIZES : 0;

	piece->kind = RING_RESTART;
	piece->at = good_start(r);
	piece->lost = reader->begun && piece->at > reader->at ? piece->at - reader->at : 0;
	/* the last size that was set at or before that place; without one the oldest that is known */
	for (uint64_t i = oldest; i < r->nsizes; i++) {
		const struct ring_size *s = &r->size[i % RING_SIZES];

		if (i > oldest && s->at > piece->at)
			break;
		piece->cols = s->cols;
		piece->rows = s->rows;
		piece->size = i + 1;
	}
}

void ring_next(const struct ring *r, const struct ring_reader *reader, struct ring_piece *piece)
{
	uint64_t until = r->safe;

	*piece = (struct ring_piece){ .kind = RING_NOTHING, .at = reader->at, .size = reader->size };
	if (!reader->begun || reader->at < start_of(r) || reader->size + RING_SIZES < r->nsizes) {
		restart(r, reader, piece);
		return;
	}
	if (reader->size < r->nsizes) {
		const struct ring_size *s = &r->size[reader->size % RING_SIZES];

		if (s->at <= reader->at && s->at <= r->safe) {
			piece->kind = RING_SIZE;
			piece->cols = s->cols;
			piece->rows = s->rows;
			piece->size++;
			return;
		}
		if (s->at < until)
			until = s->at;
	}
	if (reader->at >= until)
		return;
	piece->kind = RING_DATA;
	piece->data = r->mem + reader->at % RING_BYTES;
	piece->len = RING_BYTES - (size_t)(reader->at % RING_BYTES);
	if (piece->len > until - reader->at)
		piece->len = (size_t)(until - reader->at);
	if (piece->len > RING_PIECE)
		piece->len = RING_PIECE;
	piece->at += piece->len;
}

void ring_took(struct ring_reader *reader, const struct ring_piece *piece)
{
	*reader = (struct ring_reader){ piece->at, piece->size, true };
}

void ring_finish(struct ring *r)
{
	if (r->mem != NULL)
		explicit_bzero(r->mem, RING_BYTES);
	free(r->mem);
	*r = (struct ring){ .mem = NULL };
}
