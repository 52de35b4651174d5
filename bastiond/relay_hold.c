/*
 * relay_hold.c - see relay_hold.h. A byte queue in one block: items with a small header, consumed from the front.
 */
#include "relay_hold.h"

#include <stdlib.h>
#include <string.h>

struct item_head {
	uint64_t seq;
	uint32_t len;
	uint32_t kind;
};

_Static_assert(sizeof(struct item_head) + 7 <= HOLD_HEAD, "head and padding");

static size_t padded(size_t len)
{
	return (len + 7) & ~(size_t)7; /* heads stay aligned */
}

/* Room for `need` bytes at the tail: moves what is there to the front, or grows. */
static int make_room(struct hold *h, size_t need)
{
	size_t used = h->tail - h->head, cap = h->cap != 0 ? h->cap : 4096;
	uint8_t *mem;

	if (used + need > HOLD_MAX)
		return -1;
	if (h->cap - h->tail >= need)
		return 0;
	if (h->cap >= (used + need) * 2) {
		memmove(h->mem, h->mem + h->head, used);
	} else {
		while (cap < (used + need) * 2)
			cap *= 2;
		if ((mem = malloc(cap)) == NULL)
			return -1;
		if (used != 0)
			memcpy(mem, h->mem + h->head, used);
		free(h->mem);
		h->mem = mem;
		h->cap = cap;
	}
	h->fresh -= h->head;
	h->last -= h->head;
	h->head = 0;
	h->tail = used;
	return 0;
}

/* Bytes at the end of the last item. */
static int join(struct hold *h, struct item_head *last, const void *data, size_t len)
{
	size_t at, more = padded(last->len + len) - padded(last->len);

	if (make_room(h, more) != 0)
		return -1;
	at = h->last + sizeof(*last) + last->len;
	memcpy(h->mem + at, data, len);
	last->len += (uint32_t)len;
	memcpy(h->mem + h->last, last, sizeof(*last));
	h->tail += more;
	h->fresh = h->tail;
	h->bytes += len;
	return 0;
}

int hold_put(struct hold *h, enum hold_kind kind, uint64_t seq, const void *data, size_t len)
{
	struct item_head head = { seq, (uint32_t)len, kind }, last;

	if (len > HOLD_MAX)
		return -1;
	if (!hold_empty(h) && h->fresh == h->tail && (kind == HOLD_DATA || kind == HOLD_ERR) && len > 0) {
		memcpy(&last, h->mem + h->last, sizeof(last));
		if (last.kind == (uint32_t)kind && last.seq == seq)
			return join(h, &last, data, len);
	}
	if (make_room(h, sizeof(head) + padded(len)) != 0)
		return -1;
	memcpy(h->mem + h->tail, &head, sizeof(head));
	if (len != 0)
		memcpy(h->mem + h->tail + sizeof(head), data, len);
	if (h->fresh == h->tail && seq != HOLD_UNRECORDED)
		h->fresh += sizeof(head) + padded(len);
	h->last = h->tail;
	h->tail += sizeof(head) + padded(len);
	if (kind == HOLD_DATA || kind == HOLD_ERR)
		h->bytes += len;
	return 0;
}

static struct hold_item item_at(const struct hold *h, size_t at, size_t taken)
{
	struct item_head head;

	memcpy(&head, h->mem + at, sizeof(head));
	return (struct hold_item){ head.seq, (uint32_t)(head.len - taken), (enum hold_kind)head.kind, h->mem + at + sizeof(head) + taken };
}

bool hold_peek(struct hold *h, struct hold_item *item)
{
	if (hold_empty(h))
		return false;
	*item = item_at(h, h->head, h->taken);
	return true;
}

bool hold_fresh(struct hold *h, struct hold_item *item)
{
	if (h->fresh == h->tail)
		return false;
	*item = item_at(h, h->fresh, 0);
	return true;
}

void hold_recorded(struct hold *h, uint64_t seq)
{
	struct hold_item it;

	memcpy(h->mem + h->fresh + offsetof(struct item_head, seq), &seq, sizeof(seq));
	do {
		it = item_at(h, h->fresh, 0);
		h->fresh += sizeof(struct item_head) + padded(it.len);
	} while (h->fresh < h->tail && item_at(h, h->fresh, 0).seq != HOLD_UNRECORDED);
}

void hold_drop(struct hold *h)
{
	struct item_head head;

	memcpy(&head, h->mem + h->head, sizeof(head));
	if (head.kind == HOLD_DATA || head.kind == HOLD_ERR)
		h->bytes -= head.len - h->taken;
	h->head += sizeof(head) + padded(head.len);
	h->taken = 0;
	if (h->fresh < h->head)
		h->fresh = h->head; /* only an end drops what was never recorded */
	if (hold_empty(h))
		h->head = h->tail = h->fresh = 0;
}

void hold_trim(struct hold *h)
{
	if (hold_empty(h) && h->cap > HOLD_KEEP)
		hold_finish(h);
}

void hold_take(struct hold *h, size_t len)
{
	struct item_head head;

	memcpy(&head, h->mem + h->head, sizeof(head));
	if (h->taken + len >= head.len) {
		hold_drop(h);
		return;
	}
	h->taken += len;
	h->bytes -= len;
}

void hold_finish(struct hold *h)
{
	if (h->mem != NULL)
		explicit_bzero(h->mem, h->cap);
	free(h->mem);
	*h = (struct hold){ .mem = NULL };
}
