/*
 * startups.c - see startups.h. Pure; parent.
 *
 * The table: nodes in one array, chained from buckets by index. A node lives while a connection waits, a penalty
 * runs or a login from there is remembered; when all are taken, a hand goes round and gives up the mildest of the next few.
 */
#include "startups.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "forkmem.h"

#define BUCKETS (2 * STARTUPS_SOURCES)
#define LOOK_AT 64 /* nodes the hand looks at for one to give up */

int startups_init(struct startups *s, uint64_t seed)
{
	*s = (struct startups){ .seed = seed };
	s->sources = forkmem_table(STARTUPS_SOURCES, sizeof(*s->sources));
	s->buckets = forkmem_table(BUCKETS, sizeof(*s->buckets));
	if (s->sources != NULL && s->buckets != NULL)
		return 0;
	startups_finish(s);
	return -1;
}

void startups_finish(struct startups *s)
{
	forkmem_table_free(s->sources, STARTUPS_SOURCES, sizeof(*s->sources));
	forkmem_table_free(s->buckets, BUCKETS, sizeof(*s->buckets));
	*s = (struct startups){ 0 };
}

struct startups_key startups_key(const struct config *conf, const struct sockaddr *sa)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
	struct startups_key key = { 0 };
	unsigned bits;

	if (sa->sa_family == AF_INET || (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))) {
		key.family = 4;
		bits = conf->source_bits4;
		memcpy(key.addr, sa->sa_family == AF_INET ? (const uint8_t *)&in->sin_addr :
		    in6->sin6_addr.s6_addr + 12, 4);
	} else if (sa->sa_family == AF_INET6) {
		key.family = 6;
		bits = conf->source_bits6;
		memcpy(key.addr, in6->sin6_addr.s6_addr, 16);
	} else {
		return key;
	}
	for (unsigned i = bits; i < 128; i++)
		key.addr[i / 8] &= (uint8_t)~(0x80 >> i % 8);
	return key;
}

static uint64_t mix(uint64_t h)
{
	h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdULL;
	h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53ULL;
	return h ^ (h >> 33);
}

static uint32_t *bucket_of(struct startups *s, const struct startups_key *key)
{
	uint64_t part, h = mix(s->seed ^ key->family);

	for (size_t i = 0; i < sizeof(key->addr); i += sizeof(part)) {
		memcpy(&part, key->addr + i, sizeof(part));
		h = mix(h ^ part);
	}
	return &s->buckets[h % BUCKETS];
}

bool startups_same(const struct startups_key *a, const struct startups_key *b)
{
	return a->family == b->family && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

static struct source *find(struct startups *s, const struct startups_key *key)
{
	for (uint32_t i = *bucket_of(s, key); i != 0; i = s->sources[i - 1].next)
		if (startups_same(&s->sources[i - 1].key, key))
			return &s->sources[i - 1];
	return NULL;
}

static void forget(struct startups *s, struct source *src)
{
	uint32_t *at = bucket_of(s, &src->key), self = (uint32_t)(src - s->sources) + 1;

	while (*at != self)
		at = &s->sources[*at - 1].next;
	*at = src->next;
	*src = (struct source){ 0 };
	s->used--;
}

static uint64_t lasts_ms(const struct source *src)
{
	return src->until_ms > src->good_ms ? src->until_ms : src->good_ms;
}

/* A free node, or that of the source with least to lose. NULL: all near the hand have waiting connections. */
static struct source *make_room(struct startups *s)
{
	struct source *mildest = NULL;

	for (unsigned n = 0; n < (s->used < STARTUPS_SOURCES ? STARTUPS_SOURCES : LOOK_AT); n++) {
		struct source *src = &s->sources[s->hand];

		s->hand = (s->hand + 1) % STARTUPS_SOURCES;
		if (src->key.family == 0)
			return src;
		if (src->waiting == 0 && (mildest == NULL || lasts_ms(src) < lasts_ms(mildest)))
			mildest = src;
	}
	if (mildest != NULL)
		forget(s, mildest);
	return mildest;
}

static struct source *find_or_make(struct startups *s, const struct startups_key *key)
{
	struct source *src = key->family != 0 ? find(s, key) : NULL;
	uint32_t *bucket;

	if (src != NULL || key->family == 0 || (src = make_room(s)) == NULL)
		return src;
	bucket = bucket_of(s, key);
	*src = (struct source){ .key = *key, .next = *bucket };
	*bucket = (uint32_t)(src - s->sources) + 1;
	s->used++;
	return src;
}

/* sshd's random early drop: the chance grows from rate at start to 100 % at full. */
static bool drops(const struct config_startups *max, uint32_t waiting, uint32_t random)
{
	uint64_t chance;

	if (waiting < max->start)
		return false;
	if (waiting >= max->full || max->rate == 100)
		return true;
	chance = (100 - max->rate) * (uint64_t)(waiting - max->start) / (max->full - max->start) + max->rate;
	return random % 100 < chance;
}

/* One of the connections that a source has which is penalized but known for a login? Is there none left, it is to wait. */
static bool take_ration(struct source *src, uint64_t now_ms)
{
	const uint64_t next = src->next_ms > now_ms ? src->next_ms : now_ms;

	if (next - now_ms > (STARTUPS_RATION_BURST - 1) * STARTUPS_RATION_MS)
		return false;
	src->next_ms = next + STARTUPS_RATION_MS;
	return true;
}

/* What kept it out is over. */
static void lift(struct source *src, uint64_t until_ms)
{
	src->until_ms = until_ms;
	src->enforced = false;
	src->names = 0;
}

static struct startups_hold hold_of(const struct source *src, uint64_t now_ms)
{
	const bool rationed = src->good_ms > now_ms;

	if (!src->enforced || src->until_ms <= now_ms || (rationed && src->names == 0))
		return (struct startups_hold){ 0 };
	return (struct startups_hold){ src->until_ms - now_ms, src->names, rationed };
}

/* Penalties that ran out are forgotten here: a source costs memory only while it matters. */
static bool is_penalized(struct startups *s, const struct startups_key *key, uint64_t now_ms)
{
	struct source *src = find(s, key);

	if (src == NULL)
		return false;
	if (src->until_ms > now_ms)
		return src->enforced && (src->good_ms <= now_ms || !take_ration(src, now_ms));
	lift(src, 0);
	if (src->waiting == 0 && src->good_ms <= now_ms)
		forget(s, src);
	return false;
}

enum startups_verdict startups_enter(struct startups *s, const struct config *conf, const struct sockaddr *sa,
    uint64_t now_ms, uint32_t random, struct startups_key *key)
{
	struct source *src;

	*key = startups_key(conf, sa);
	if (conf->allow_networks.n != 0 && !config_nets_match(&conf->allow_networks, sa))
		return STARTUPS_NETWORK;
	if (is_penalized(s, key, now_ms) && !config_nets_match(&conf->penalty_exempt, sa))
		return STARTUPS_PENALTY;
	if (drops(&conf->max_startups, s->waiting, random))
		return STARTUPS_FULL;
	/* without a node the source cannot be counted; that many sources at once is a flood */
	if ((src = find_or_make(s, key)) == NULL)
		return STARTUPS_FULL;
	if (conf->per_source_max != 0 && src->waiting >= conf->per_source_max)
		return STARTUPS_SOURCE;
	src->waiting++;
	s->waiting++;
	return STARTUPS_OK;
}

void startups_leave(struct startups *s, const struct startups_key *key)
{
	struct source *src = find(s, key);

	if (src == NULL || src->waiting == 0)
		return;
	src->waiting--;
	s->waiting--;
	if (src->waiting == 0 && lasts_ms(src) == 0)
		forget(s, src);
}

bool startups_welcome(struct startups *s, const struct startups_key *key, uint64_t now_ms, struct startups_hold *hold)
{
	struct source *src = find_or_make(s, key);
	bool was_out;

	if (src == NULL)
		return false;
	was_out = src->enforced && src->until_ms > now_ms && src->good_ms <= now_ms;
	src->good_ms = now_ms + STARTUPS_GOOD_MS;
	*hold = hold_of(src, now_ms);
	return was_out;
}

struct startups_hold startups_penalize(struct startups *s, const struct config *conf, const struct startups_key *key,
    enum startups_offence offence, uint64_t now_ms)
{
	const uint32_t times[] = {
		[OFFENCE_AUTH] = conf->penalty_auth, [OFFENCE_NOAUTH] = conf->penalty_noauth,
		[OFFENCE_GRACE] = conf->penalty_grace, [OFFENCE_CRASH] = conf->penalty_crash,
	};
	struct source *src = times[offence] != 0 ? find_or_make(s, key) : NULL;

	if (src == NULL)
		return (struct startups_hold){ 0 };
	if (src->until_ms <= now_ms)
		lift(src, now_ms);
	if (src->until_ms < now_ms + conf->penalty_max) { /* a block is longer, and stays as it is */
		src->until_ms += times[offence];
		if (src->until_ms > now_ms + conf->penalty_max)
			src->until_ms = now_ms + conf->penalty_max;
	}
	if (src->until_ms - now_ms >= conf->penalty_min)
		src->enforced = true;
	return hold_of(src, now_ms);
}

struct startups_hold startups_block(struct startups *s, const struct startups_key *key, uint64_t ms, uint8_t names, uint64_t now_ms)
{
	struct source *src = find_or_make(s, key);

	if (src == NULL)
		return (struct startups_hold){ 0 };
	if (src->until_ms < now_ms + ms)
		src->until_ms = now_ms + ms;
	src->enforced = true;
	src->names = names;
	return hold_of(src, now_ms);
}

static bool inside(const struct startups_key *a, const struct startups_key *net, unsigned bits)
{
	if (a->family != net->family)
		return false;
	for (unsigned i = 0; i < bits; i++)
		if (((a->addr[i / 8] ^ net->addr[i / 8]) & (0x80 >> i % 8)) != 0)
			return false;
	return true;
}

void startups_free(struct startups *s, const struct startups_key *net, unsigned bits)
{
	for (uint32_t i = 0; i < STARTUPS_SOURCES; i++) {
		struct source *src = &s->sources[i];

		if (src->key.family == 0 || !inside(&src->key, net, bits))
			continue;
		lift(src, 0);
		if (src->waiting == 0 && src->good_ms == 0)
			forget(s, src);
	}
}

char *startups_net_format(const struct config *conf, const struct startups_key *key, char *out, size_t size)
{
	char text[INET6_ADDRSTRLEN] = "?";

	inet_ntop(key->family == 6 ? AF_INET6 : AF_INET, key->addr, text, sizeof(text));
	snprintf(out, size, "%s/%u", text, key->family == 6 ? conf->source_bits6 : conf->source_bits4);
	return out;
}

int startups_net_parse(const char *text, struct startups_key *net, unsigned *bits)
{
	bool six = strchr(text, ':') != NULL;
	size_t n = strcspn(text, "/");
	char plain[INET6_ADDRSTRLEN];

	*net = (struct startups_key){ .family = six ? 6 : 4 };
	*bits = six ? 128 : 32;
	if (text[n] == '/') {
		if (strspn(text + n + 1, "0123456789") != strlen(text + n + 1) || strlen(text + n + 1) > 3 ||
		    (unsigned)atoi(text + n + 1) > *bits)
			return -1;
		*bits = (unsigned)atoi(text + n + 1);
	}
	if (n >= sizeof(plain))
		return -1;
	memcpy(plain, text, n);
	plain[n] = '\0';
	return inet_pton(six ? AF_INET6 : AF_INET, plain, net->addr) == 1 ? 0 : -1;
}

void startups_each_held(const struct startups *s, uint64_t now_ms, unsigned most,
    void (*fn)(void *arg, const struct startups_key *key, const struct startups_hold *hold), void *arg)
{
	for (uint32_t i = 0; i < STARTUPS_SOURCES && most > 0; i++) {
		const struct source *src = &s->sources[i];
		const struct startups_hold hold = hold_of(src, now_ms);

		if (src->key.family == 0 || hold.ms == 0)
			continue;
		fn(arg, &src->key, &hold);
		most--;
	}
}

const char *startups_verdict_text(enum startups_verdict v)
{
	static const char *const texts[] = {
		[STARTUPS_OK] = "accepted", [STARTUPS_NETWORK] = "not in allow_networks",
		[STARTUPS_FULL] = "max_startups", [STARTUPS_SOURCE] = "per_source_max",
		[STARTUPS_PENALTY] = "penalty for what this source did before",
	};

	return texts[v];
}
