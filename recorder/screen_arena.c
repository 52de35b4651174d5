/*
 * screen_arena.c - see screen_arena.h. Blocks are powers of two; one that was given back is used again for
 * the same size. What manages them lies in the arena itself, so that it is part of a copy.
 */
#include "screen_arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST 6	/* 64 bytes */
#define CLASSES 8	/* up to 8 KiB */

struct block {
	uint32_t class;
	uint32_t next;		/* free: offset of the next one of its class; 0: the last */
	alignas(max_align_t) unsigned char data[];
};

struct arena {
	uint32_t used;
	uint32_t free[CLASSES];	/* offset of the first; 0: none */
	alignas(max_align_t) unsigned char data[];
};

static struct block *at(struct arena *a, uint32_t offset)
{
	return (struct block *)(void *)((unsigned char *)a + offset);
}

static void *take(size_t size, void *data)
{
	struct arena *a = data;
	uint32_t class = 0, whole, offset;

	while (class < CLASSES && (1U << (class + SMALLEST)) < size + sizeof(struct block))
		class++;
	if (class == CLASSES)
		return NULL;
	whole = 1U << (class + SMALLEST);
	if ((offset = a->free[class]) != 0)
		a->free[class] = at(a, offset)->next;
	else if (a->used + whole > ARENA_BYTES)
		return NULL;
	else {
		offset = a->used;
		a->used += whole;
	}
	memset(at(a, offset), 0, whole);
	at(a, offset)->class = class;
	return at(a, offset)->data;
}

static void give(void *p, void *data)
{
	struct arena *a = data;
	struct block *b;
	uint32_t offset;

	if (p == NULL)
		return;
	offset = (uint32_t)((unsigned char *)p - (unsigned char *)a - offsetof(struct block, data));
	b = at(a, offset);
	b->next = a->free[b->class];
	a->free[b->class] = offset;
}

VTermAllocatorFunctions arena_functions = { .malloc = take, .free = give };

struct arena *arena_create(void)
{
	struct arena *a = malloc(ARENA_BYTES);

	if (a != NULL)
		arena_reset(a);
	return a;
}

void arena_destroy(struct arena *a)
{
	free(a);
}

void arena_reset(struct arena *a)
{
	memset(a, 0, sizeof(*a));
	a->used = sizeof(*a);
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}
