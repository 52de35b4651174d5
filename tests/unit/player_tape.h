/*
 * player_tape.h - tapes made by hand, for tests of the player's core.
 */
#ifndef TEST_PLAYER_TAPE_H
#define TEST_PLAYER_TAPE_H

#include <stdlib.h>
#include <string.h>

#include "replay_player.h"

/* Appends an event; times must not go back. */
static void tape_put(struct tape *t, uint64_t t_us, char kind, const void *data, size_t len)
{
	if (t->len + len > t->size) {
		t->size = 2 * (t->len + len);
		if ((t->data = realloc(t->data, t->size)) == NULL)
			abort();
	}
	if (t->n == t->cap) {
		t->cap = t->cap == 0 ? 64 : 2 * t->cap;
		if ((t->v = realloc(t->v, t->cap * sizeof(*t->v))) == NULL)
			abort();
	}
	if (len > 0)
		memcpy(t->data + t->len, data, len);
	t->v[t->n++] = (struct tape_event){ .t_us = t_us, .off = t->len, .len = (uint32_t)len, .kind = kind };
	t->len += len;
	t->end_us = t_us;
}

#endif
