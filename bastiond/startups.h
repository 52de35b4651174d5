/*
 * startups.h - who may connect now: networks, connections waiting for a login, penalties of a source.
 *
 * Pure: time and chance come in as arguments. Used by parent between accept() and the session's start.
 * A source is an address cut to source_bits4 or source_bits6. Penalties are those of OpenSSH's PerSourcePenalties:
 * each offence adds time, up to penalty_max; they are enforced once they reach penalty_min, until they run out.
 * Many share an address: where somebody logged in lately, a stranger beside him must not lock him out, and penalties only slow.
 */
#ifndef BASTIOND_STARTUPS_H
#define BASTIOND_STARTUPS_H

#include "config.h"

#define STARTUPS_SOURCES 32768 /* sources remembered; past that the mildest are forgotten */
#define STARTUPS_GOOD_MS 86400000 /* so long after a login a source is rationed where others are kept out, */
#define STARTUPS_RATION_MS 500 /* to a connection in this time, */
#define STARTUPS_RATION_BURST 8 /* and so many at once */

enum startups_verdict {
	STARTUPS_OK,
	STARTUPS_NETWORK,	/* not in allow_networks */
	STARTUPS_FULL,		/* max_startups, all or by chance */
	STARTUPS_SOURCE,	/* per_source_max */
	STARTUPS_PENALTY,
};

enum startups_offence { OFFENCE_AUTH, OFFENCE_NOAUTH, OFFENCE_GRACE, OFFENCE_CRASH };

/* A source's address, cut: the caller keeps it from startups_enter() to startups_leave(). */
struct startups_key {
	uint8_t family;		/* 4, 6, or 0 for none */
	uint8_t addr[16];
};

struct source {
	struct startups_key key;
	bool enforced;
	uint8_t names;		/* that failed from there, if it is blocked for that; 0: penalties */
	uint32_t waiting;	/* connections not yet logged in */
	uint32_t next;		/* index + 1 in its bucket; 0 ends */
	uint64_t until_ms;	/* end of the penalties; 0: none */
	uint64_t good_ms;	/* somebody logged in from there: rationed until then; 0: nobody did */
	uint64_t next_ms;	/* the ration: when the next connection's time would be */
};

/* How a source is restricted now. Penalties that only ration do not count. */
struct startups_hold {
	uint64_t ms;		/* from now on; 0: nothing */
	uint8_t names;
	bool rationed;		/* somebody logged in from there lately */
};

struct startups {
	uint64_t seed;
	uint32_t waiting, used, hand;
	struct source *sources;		/* STARTUPS_SOURCES of them */
	uint32_t *buckets;		/* index + 1 */
};

/* `seed`: secret, so that nobody can choose addresses that share a bucket. 0, or -1 without memory. */
int startups_init(struct startups *s, uint64_t seed);
void startups_finish(struct startups *s);

bool startups_same(const struct startups_key *a, const struct startups_key *b);
struct startups_key startups_key(const struct config *conf, const struct sockaddr *sa);

/*
 * A connection from `sa` at now_ms, with 32 random bits. With STARTUPS_OK it counts as waiting until
 * startups_leave() is called with *key, once: it logged in or ended.
 */
enum startups_verdict startups_enter(struct startups *s, const struct config *conf, const struct sockaddr *sa,
    uint64_t now_ms, uint32_t random, struct startups_key *key);
void startups_leave(struct startups *s, const struct startups_key *key);
/* Somebody logged in from there. True: it was kept out until now, and *hold is what it is under from here on. */
bool startups_welcome(struct startups *s, const struct startups_key *key, uint64_t now_ms, struct startups_hold *hold);
/* Adds to the penalties of a source. penalty_exempt is looked at when they are enforced, not here. */
struct startups_hold startups_penalize(struct startups *s, const struct config *conf, const struct startups_key *key,
    enum startups_offence offence, uint64_t now_ms);

/* Keeps the source out for `ms` from now on, whatever penalty_max says; names: how many of them failed there. penalty_exempt holds here,
 * too. Returns ms 0 if the table is full. */
struct startups_hold startups_block(struct startups *s, const struct startups_key *key, uint64_t ms, uint8_t names, uint64_t now_ms);
/* Forgets what keeps sources out whose first `bits` bits are those of net. */
void startups_free(struct startups *s, const struct startups_key *net, unsigned bits);
/* "192.0.2.0/24": of a source, or back into a network and its bits. -1: it is none. */
char *startups_net_format(const struct config *conf, const struct startups_key *key, char *out, size_t size);
int startups_net_parse(const char *text, struct startups_key *net, unsigned *bits);
/* Calls fn for up to `most` sources that are under something now. */
void startups_each_held(const struct startups *s, uint64_t now_ms, unsigned most,
    void (*fn)(void *arg, const struct startups_key *key, const struct startups_hold *hold), void *arg);

/* For the log, a word each. */
const char *startups_verdict_text(enum startups_verdict v);

#endif
