/*
 * replay_list.h - for the tests of `bastion-replay events`: a store with a list of events in the making, and recordings of sessions beside it.
 */
#ifndef REPLAY_LIST_H
#define REPLAY_LIST_H

#include "replay_store.h"

#define ALICE "{\"user\":\"alice\",\"host\":\"web1\",\"login\":\"dba\"}"
#define BOB "{\"user\":\"bob\",\"host\":\"web1\",\"login\":\"root\"}"
#define FIRST_AT (FIXTURE_WALL / 1000000)
#define LOG1 "0123456789abcdef0123456789abcdef"
#define LOG2 "fedcba9876543210fedcba9876543210"

/* A list of events in the making: a bastion's own, or one that was invented. */
struct list {
	struct fixture *x;
	const char *log;
	uint8_t hash[EVENT_HASH_LEN];
	int64_t number, at;
};

static struct sign_key *bastion;

static int setup(void **state)
{
	(void)state;
	store_make();
	return (bastion = sign_key_generate()) == NULL;
}

static int teardown(void **state)
{
	(void)state;
	sign_key_destroy(bastion);
	fx_begin = FIXTURE_BEGIN;
	return store_drop();
}

static inline void list_event(struct list *l, const char *kind, const char *detail)
{
	const struct event_row row = { .id = ++l->number, .at = l->at, .kind = kind, .actor = "alice", .subject = "web1", .detail = detail };
	uint8_t hash[EVENT_HASH_LEN];
	struct buf b;

	assert_int_equal(event_hash(l->hash, &row, hash), 0);
	memcpy(l->hash, hash, sizeof(hash));
	buf_init(&b, 65536);
	assert_int_equal(event_row_put(&b, &row, hash), 0);
	assert_true(brec_writer_event(l->x->w, BREC_META, BREC_K_AUDIT, l->x->now, 0, b.data, b.len) != 0);
	assert_int_equal(brec_writer_flush(l->x->w, l->x->now), 0);
	buf_finish(&b);
}

/* A recording that opens at this second of the list's time. */
static inline struct fixture *open_at(int64_t at, struct sign_key *key)
{
	fx_begin = FIXTURE_BEGIN + (uint64_t)(at - FIRST_AT) * 1000000;
	return fx_open_signed(false, false, key);
}

/* The next recording of the list; before: the one before it, or NULL; more: members that its metadata should not have, or "". */
static inline void list_open(struct list *l, struct sign_key *key, const char *before, const char *more)
{
	char meta[512], hex[2 * EVENT_HASH_LEN + 1];

	l->x = open_at(l->at, key);
	snprintf(meta, sizeof(meta), "{\"kind\":\"events\",\"log\":\"%s\",\"bastion\":\"b1\",\"after\":{\"number\":%lld,\"hash\":\"%s\"%s%s%s}%s}",
	    l->log, (long long)l->number, hex_encode(hex, l->hash, sizeof(l->hash)), before != NULL ? ",\"recording\":\"" : "",
	    before != NULL ? before : "", before != NULL ? "\"" : "", more);
	event(l->x, 0, BREC_META, BREC_K_META, meta);
}

static inline void list_begin(struct list *l, const char *log)
{
	*l = (struct list){ .log = log, .at = FIRST_AT };
	list_open(l, bastion, NULL, "");
	list_event(l, "store.init", "{}");
}

/* Ten minutes later: what has no event yet will have none. Its recording is `id`. */
static inline void list_done(struct list *l, char id[33])
{
	l->at += 600;
	list_event(l, "policy.stop", "{}");
	keep(l->x, id);
}

static inline void list_end(struct list *l)
{
	char id[33];

	list_done(l, id);
}

/* way.up: this recording has these metadata. */
static inline void list_up(struct list *l, const char *id, const char *meta, const char *more)
{
	char detail[512], hex[2 * HASH_LEN + 1];
	uint8_t hash[HASH_LEN];

	assert_int_equal(sha256_spans(hash, SPANS(SPAN(meta, strlen(meta)))), 0);
	snprintf(detail, sizeof(detail), "{\"way\":1,\"grant\":1,\"login\":\"dba\",\"recording\":\"%s\",\"metadata\":\"%s\"%s}", id,
	    hex_encode(hex, hash, sizeof(hash)), more);
	list_event(l, "way.up", detail);
}

/* A recording of a session, with a channel unless it came to nothing. */
static inline void session_into(const char *where, char id[33], int64_t at, struct sign_key *key, const char *meta, bool used)
{
	struct fixture *x = open_at(at, key);

	event(x, 0, BREC_META, BREC_K_META, meta);
	if (used)
		event(x, 1, BREC_META, BREC_K_OPEN, "{\"capability\":\"exec\",\"command\":\"id\"}");
	keep_in(where, x, id, true);
}

static inline void session(char id[33], const char *meta, bool used)
{
	session_into(store, id, FIRST_AT, bastion, meta, used);
}

/* Is something said about it, apart from the list of events? */
static inline bool blamed(const char *out, const char *id)
{
	char text[128];

	snprintf(text, sizeof(text), "recording %s", id);
	return strstr(out, text) != NULL;
}

static inline int events(char out[65536], const char *more)
{
	char line[1024];

	snprintf(line, sizeof(line), "bastion-replay events -d %s -k %s -i %s %s", store, path_trust, path_identity, more);
	return run(out, line);
}

#endif
