/*
 * policy_source.c - guessing: how often it failed for a name from one place, how many names a place has tried, and who is kept
 * out for it.
 *
 * Role policy, beside policy_authn.c. Parent counts connections and failures of a source and keeps it out (startups.h); names it does
 * not know. Here a source that fails with many names is found, and parent told to block it. Failures for one (name, source)
 * make the refusals slower: no right key waits, so that a stranger who guesses at alice's name from her own network
 * locks nobody out, and no answer depends on whether there is an alice.
 *
 * Many may share a source, and who logged in from it lately is not locked out by a stranger beside him: it is rationed (startups.h), and who
 * is about to log in from there stays. What it failed with is counted all the same. Parent remembers the logins: its answer says what became
 * of a block, and only then it is in the log and in the list of events.
 *
 * Memory is bounded and says nothing to anybody: these tables have one place for each hash, under a secret of this run; who falls
 * on another's place begins at zero.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "policy_source.h"

struct pair {			/* a name from a source */
	uint64_t id;		/* its hash; 0: free */
	uint64_t at_ms;		/* of the last failure */
	uint32_t failures;
};

struct tried {			/* a source */
	uint64_t id, since_ms;
	uint64_t names[SOURCE_NAMES_MAX];
	uint32_t n;
};

struct held {			/* whom parent keeps out, or rations */
	char net[NETWORK_TEXT_MAX];
	int64_t since, until;	/* unix seconds */
	uint32_t names;		/* that it tried; 0: for its failures */
	bool rationed;
};

struct sources {
	uint64_t seed;
	struct pair pairs[SOURCE_PAIRS];
	struct tried tried[SOURCE_TRIED];
	struct held held[SOURCE_HELD];
	size_t nheld;
};

int sources_open(struct policy *p)
{
	if ((p->sources = calloc(1, sizeof(*p->sources))) == NULL)
		return -1;
	return RAND_bytes((uint8_t *)&p->sources->seed, sizeof(p->sources->seed)) == 1 ? 0 : -1;
}

void sources_close(struct policy *p)
{
	free(p->sources);
	p->sources = NULL;
}

/* FNV-1a over a secret, then mixed: nobody outside can aim at a place. Never 0. */
static uint64_t hash(uint64_t seed, const char *text)
{
	uint64_t h = seed ^ 0xcbf29ce484222325ULL;

	for (; *text != '\0'; text++)
		h = (h ^ (uint8_t)*text) * 0x100000001b3ULL;
	h = (h ^ (h >> 33) ^ seed) * 0xff51afd7ed558ccdULL;
	h ^= h >> 29;
	return h != 0 ? h : 1;
}

static bool exempt(const struct peer *peer)
{
	struct sockaddr_storage ss = { .ss_family = strchr(peer->address, ':') != NULL ? AF_INET6 : AF_INET };
	void *addr = ss.ss_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)&ss)->sin6_addr : (void *)&((struct sockaddr_in *)&ss)->sin_addr;
	char plain[INET6_ADDRSTRLEN];

	snprintf(plain, sizeof(plain), "%.*s", (int)strcspn(peer->address, "%"), peer->address);
	return inet_pton(ss.ss_family, plain, addr) == 1 &&
	    config_nets_match(&peer->p->conf->penalty_exempt, (const struct sockaddr *)&ss);
}

/* The source as startups_key() cuts it: "192.0.2.7/32". False: exempt from penalties, or no address. */
static bool net_of(const struct peer *peer, char out[NETWORK_TEXT_MAX])
{
	const struct config *conf = peer->p->conf;

	return access_network_of(peer->address, conf->source_bits4, conf->source_bits6, out) && !exempt(peer);
}

static uint64_t pair_id(struct sources *s, const char *net, const char *name)
{
	return hash(hash(s->seed, net), name);
}

/* Milliseconds that the refusal takes longer. */
static uint32_t delay_of(uint32_t failures)
{
	uint32_t over = failures > SOURCE_FREE ? failures - SOURCE_FREE : 0;

	return over == 0 ? 0 : over > 5 ? SOURCE_DELAY_MAX : SOURCE_DELAY << (over - 1);
}

static uint32_t count_pair(struct policy *p, uint64_t id, uint64_t now_ms)
{
	struct pair *pair = &p->sources->pairs[id % SOURCE_PAIRS];

	if (pair->id != id || now_ms - pair->at_ms > p->conf->block_window)
		*pair = (struct pair){ .id = id };
	pair->at_ms = now_ms;
	pair->failures += pair->failures < 1000;
	return delay_of(pair->failures);
}

/* What the list has of it, over or not; NULL: nothing. */
static struct held *find_held(struct sources *s, const char *net)
{
	for (size_t i = 0; i < s->nheld; i++)
		if (strcmp(s->held[i].net, net) == 0)
			return &s->held[i];
	return NULL;
}

static bool is_rationed(struct sources *s, const char *net, int64_t now)
{
	const struct held *h = find_held(s, net);

	return h != NULL && h->rationed && h->until > now;
}

/* Is it under a block, or what a login made of one, by the list? */
static bool is_blocked(struct sources *s, const char *net, int64_t now, bool rationed)
{
	const struct held *h = find_held(s, net);

	return h != NULL && h->names != 0 && h->rationed == rationed && h->until > now;
}

/* A free place, or that of the one that is over first. */
static struct held *new_held(struct sources *s)
{
	struct held *at = &s->held[0];

	if (s->nheld < SOURCE_HELD)
		return &s->held[s->nheld++];
	for (size_t i = 1; i < s->nheld; i++)
		if (s->held[i].until < at->until)
			at = &s->held[i];
	return at;
}

/* seconds: 0: it is held no more. */
static void note_held(struct sources *s, const char *net, int64_t now, uint32_t seconds, uint32_t names, bool rationed)
{
	struct held *at = find_held(s, net);

	if (at == NULL && seconds == 0)
		return;
	if (at == NULL)
		*(at = new_held(s)) = (struct held){ 0 };
	snprintf(at->net, sizeof(at->net), "%s", net);
	if (at->until <= now)
		at->since = now;
	at->until = now + seconds;
	at->names = names;
	at->rationed = rationed;
}

struct from {
	const char *net;
};

/* Whoever is not logged in yet from there goes, too. */
static void drop_stranger(struct peer *peer, void *arg)
{
	const struct from *from = arg;
	char net[NETWORK_TEXT_MAX];

	if (peer->auth != PEER_IN && !peer->killed && net_of(peer, net) && strcmp(net, from->net) == 0)
		peer_kill(peer, "its source is blocked: it tried many names");
}

static void block(struct policy *p, const char *net, uint32_t names)
{
	struct buf body;

	if (is_rationed(p->sources, net, clock_wall()))
		return; /* it goes on trying: said once in that time */
	buf_init(&body, 128);
	buf_put_cstring(&body, net);
	buf_put_u32(&body, p->conf->block_time / 1000);
	buf_put_u32(&body, names);
	link_send(&p->parent, MSG_SOURCE_BLOCK, 0, &body, NULL, 0);
	buf_finish(&body);
}

/* What became of it. */
static void blocked(struct policy *p, const char *net, int64_t now, uint32_t seconds, uint32_t names, bool rationed)
{
	if (seconds == 0) {
		log_warn("%s is not blocked, though many names failed from there: too many sources are waiting", net);
		return;
	}
	log_warn("%s is %s for %u s: %u names failed from there", net,
	    rationed ? "rationed, because somebody logged in from there lately," : "blocked", seconds, names);
	if (event_writef(p->store, now, EVENT_SOURCE_BLOCK, "bastiond", NULL, "{s:s,s:i,s:I,s:b}", "network", net, "names",
		(int)names, "until", (json_int_t)(now + seconds), "rationed", rationed) != 0)
		log_error("event of the block not written: %s", store_error(p->store));
}

/* One more name that failed from there. */
static void count_name(struct policy *p, const char *net, uint64_t name, uint64_t now_ms)
{
	uint64_t id = hash(p->sources->seed, net);
	struct tried *t = &p->sources->tried[id % SOURCE_TRIED];

	if (t->id != id || now_ms - t->since_ms > p->conf->block_window)
		*t = (struct tried){ .id = id, .since_ms = now_ms };
	for (uint32_t i = 0; i < t->n; i++)
		if (t->names[i] == name)
			return;
	if (t->n < SOURCE_NAMES_MAX)
		t->names[t->n++] = name;
	if (t->n >= p->conf->block_names) {
		block(p, net, t->n);
		*t = (struct tried){ 0 };
	}
}

uint32_t source_failed(struct peer *peer, const char *name)
{
	struct policy *p = peer->p;
	char net[NETWORK_TEXT_MAX];

	if (p->sources == NULL || !net_of(peer, net))
		return 0;
	return count_pair(p, pair_id(p->sources, net, name), clock_mono_ms());
}

void source_tried(struct peer *peer, const char *name)
{
	struct policy *p = peer->p;
	char net[NETWORK_TEXT_MAX];

	if (p->sources != NULL && p->conf->block_names != 0 && net_of(peer, net))
		count_name(p, net, pair_id(p->sources, net, name), clock_mono_ms());
}

void source_in(struct peer *peer)
{
	struct sources *s = peer->p->sources;
	char net[NETWORK_TEXT_MAX];
	struct tried *t;
	uint64_t id, src;

	if (s == NULL || !net_of(peer, net))
		return;
	id = pair_id(s, net, peer->user.name);
	src = hash(s->seed, net);
	t = &s->tried[src % SOURCE_TRIED];
	if (s->pairs[id % SOURCE_PAIRS].id == id)
		s->pairs[id % SOURCE_PAIRS] = (struct pair){ 0 };
	for (uint32_t i = 0; t->id == src && i < t->n; i++)
		if (t->names[i] == id)
			t->names[i] = t->names[--t->n];
}

int source_on_held(struct policy *p, struct ipc_msg *m)
{
	const int64_t now = clock_wall();
	char net[NETWORK_TEXT_MAX];
	uint32_t seconds, names;
	uint8_t how;
	bool rationed, again;

	buf_get_cstring(&m->body, net, sizeof(net));
	seconds = buf_get_u32(&m->body);
	names = buf_get_u32(&m->body);
	how = buf_get_u8(&m->body);
	if (!buf_end(&m->body) || how > (HELD_RATIONED | HELD_ANSWER))
		return -1;
	if (p->sources == NULL)
		return 0;
	rationed = (how & HELD_RATIONED) != 0;
	/* more names may have failed before the first answer came: one block all the same */
	again = seconds != 0 && is_blocked(p->sources, net, now, rationed);
	note_held(p->sources, net, now, seconds, names, rationed);
	if ((how & HELD_ANSWER) != 0 && !again)
		blocked(p, net, now, seconds, names, rationed);
	if ((how & HELD_ANSWER) != 0 && seconds != 0 && !rationed)
		peers_each(p, drop_stranger, &(struct from){ net });
	return 0;
}

json_t *source_blocks(void *arg)
{
	struct policy *p = arg;
	int64_t now = clock_wall();
	json_t *rows = json_array();

	for (size_t i = 0; rows != NULL && i < p->sources->nheld; i++) {
		const struct held *h = &p->sources->held[i];

		if (h->until > now)
			json_array_append_new(rows, json_pack("{s:s,s:s,s:I,s:I,s:I}", "network", h->net, "why",
			    h->rationed ? "tried many names; rationed" : h->names != 0 ? "tried many names" : "failed logins", "names",
			    (json_int_t)h->names, "since", (json_int_t)h->since, "until", (json_int_t)h->until));
	}
	return rows;
}

int source_unblock(void *arg, const char *network, bool let_in)
{
	struct policy *p = arg;
	int64_t now = clock_wall();
	struct buf body;
	int n = 0;

	for (size_t i = 0; i < p->sources->nheld; i++) {
		struct held *h = &p->sources->held[i];
		char address[NETWORK_TEXT_MAX];

		snprintf(address, sizeof(address), "%.*s", (int)strcspn(h->net, "/"), h->net);
		if (h->until > now && access_from(network, address)) {
			h->until = let_in ? 0 : h->until;
			n++;
		}
	}
	if (!let_in)
		return n;
	/* parent may hold more than the list knows */
	buf_init(&body, 128);
	buf_put_cstring(&body, network);
	link_send(&p->parent, MSG_SOURCE_FREE, 0, &body, NULL, 0);
	buf_finish(&body);
	return n;
}
