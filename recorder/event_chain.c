/*
 * event_chain.c - see event_chain.h. Runs in bastion-replay, under replay_events.c.
 */
#include "event_chain.h"

#include <stdlib.h>
#include <string.h>

int event_chain_init(struct event_chain *c)
{
	memset(c, 0, sizeof(*c));
	c->hash = calloc(EVENT_CHAIN_MEMORY, sizeof(*c->hash));
	return c->hash != NULL ? 0 : -1;
}

void event_chain_finish(struct event_chain *c)
{
	free(c->hash);
	c->hash = NULL;
}

const uint8_t *event_chain_hash(const struct event_chain *c, int64_t number)
{
	return number >= c->known && number < c->next && number >= c->next - EVENT_CHAIN_MEMORY ?
	    c->hash[number % EVENT_CHAIN_MEMORY] : NULL;
}

static void keep(struct event_chain *c, int64_t number, const uint8_t hash[EVENT_HASH_LEN])
{
	memcpy(c->hash[number % EVENT_CHAIN_MEMORY], hash, EVENT_HASH_LEN);
	c->next = number + 1;
}

/* The chain is broken: what is known begins here. */
static enum event_verdict begin_at(struct event_chain *c, int64_t number, const uint8_t hash[EVENT_HASH_LEN])
{
	c->missing = c->next;
	c->known = number;
	keep(c, number, hash);
	return EVENT_MISSING;
}

static enum event_verdict compare(const struct event_chain *c, int64_t number, const uint8_t hash[EVENT_HASH_LEN])
{
	const uint8_t *had = event_chain_hash(c, number);

	return had == NULL ? EVENT_OLD : memcmp(had, hash, EVENT_HASH_LEN) == 0 ? EVENT_TWICE : EVENT_OTHER;
}

enum event_verdict event_chain_begin(struct event_chain *c, int64_t number, const uint8_t hash[EVENT_HASH_LEN])
{
	enum event_verdict v;

	if (c->next == 0) {
		begin_at(c, number, hash);
		return EVENT_NEXT;
	}
	if (number >= c->next)
		return begin_at(c, number, hash);
	v = compare(c, number, hash);
	return v == EVENT_TWICE && number == c->next - 1 ? EVENT_NEXT : v;
}

enum event_verdict event_chain_add(struct event_chain *c, const struct event_row *e,
    const uint8_t hash[EVENT_HASH_LEN])
{
	const uint8_t *before = event_chain_hash(c, e->id - 1);
	uint8_t want[EVENT_HASH_LEN];
	bool follows;
	enum event_verdict v;

	if (e->id > c->next)
		return begin_at(c, e->id, hash);
	if (before == NULL)
		return EVENT_OLD;
	follows = event_hash(before, e, want) == 0 && memcmp(want, hash, sizeof(want)) == 0;
	if (e->id == c->next) {
		keep(c, e->id, hash);
		return follows ? EVENT_NEXT : EVENT_CHANGED;
	}
	v = compare(c, e->id, hash);
	return v == EVENT_TWICE && !follows ? EVENT_CHANGED : v;
}
