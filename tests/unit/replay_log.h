/*
 * replay_log.h - the collector's log of recordings for a store that a test makes: their leaves, and those that remove them.
 */
#ifndef REPLAY_LOG_H
#define REPLAY_LOG_H

#include "replay_store.h"

#include <fcntl.h>

#include "tlog_act.h"
#include "tlog_writer.h"

#define DAY_US 86400000000LL

/* What is known of a recording: for its leaves, and for what removes it. */
struct made {
	char id[33];
	struct tlog_act removal;
	uint8_t close[TLOG_CLOSE_FRAME_MAX];
};

static struct sign_key *collector;
static struct tlog_writer writer;

static inline void log_make(void)
{
	char path[128], key[BASE64_SIZE(KEY_LEN)];
	uint8_t pub[KEY_LEN];

	collector = sign_key_generate();
	sign_key_public(collector, pub);
	snprintf(path, sizeof(path), "collector c1 %s\n", base64_encode(key, pub, KEY_LEN));
	append(path_trust, path);
	snprintf(path, sizeof(path), "%s/log", store);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(tlog_writer_open(&writer, open(path, O_RDONLY | O_DIRECTORY), collector, "test"), 0);
}

static inline void log_drop(void)
{
	tlog_writer_finish(&writer);
	sign_key_destroy(collector);
}

static inline void log_leaf(const void *leaf, size_t len)
{
	assert_int_equal(tlog_writer_add(&writer, writer.size, leaf, len), 0);
}

/* The first leaf of a recording that is in the store, m->id. Returns its one segment, to free(). */
static inline uint8_t *log_open(const struct made *m, struct tlog_leaf *leaf, struct brec_header *h, size_t *len)
{
	uint8_t *data, bytes[TLOG_LEAF_MAX];
	char path[2048];

	*leaf = (struct tlog_leaf){ .type = TLOG_OPEN, .reason = "" };
	snprintf(path, sizeof(path), "%s/recordings/2025-11-22/%s/00000000.brec", store, m->id);
	data = fx_read(path, len);
	assert_int_equal(brec_header_decode(data, *len, h), 0);
	memcpy(leaf->id, h->id, BREC_ID_LEN);
	assert_int_equal(brec_chain_start(leaf->h, data, h->len), 0);
	assert_int_equal(sha256_spans(leaf->file_hash, SPANS(SPAN(data, h->len))), 0);
	log_leaf(bytes, tlog_leaf_encode(bytes, leaf));
	return data;
}

/* The leaves of a closed one; and what its prune leaf will be. */
static inline void log_add(struct made *m)
{
	uint8_t *data, bytes[TLOG_LEAF_MAX];
	char why[] = "the user left";
	struct tlog_leaf leaf;
	struct brec_header h;
	struct brec_frame f;
	size_t len, at;

	data = log_open(m, &leaf, &h, &len);
	m->removal = (struct tlog_act){ .type = TLOG_PRUNE, .wall_us = FIXTURE_WALL + (TLOG_PRUNE_DAYS + 1) * DAY_US, .days = TLOG_PRUNE_DAYS,
		.who = SPAN("retention", 9), .why = SPAN("its time", 8) };
	memcpy(m->removal.id, h.id, BREC_ID_LEN);
	for (at = h.len; at < len; at += f.len) {
		assert_int_equal(brec_frame_decode(data + at, len - at, &f), 0);
		assert_int_equal(brec_chain_add(leaf.h, data + at, f.len), 0);
		leaf.seq = f.seq;
		memcpy(m->close, data + at, f.len < sizeof(m->close) ? f.len : 0);
		m->removal.close = SPAN(m->close, f.len);
	}
	leaf.type = TLOG_CLOSE;
	leaf.end = BREC_END_NORMAL;
	leaf.reason = why;
	leaf.reason_len = strlen(why);
	assert_int_equal(sha256_spans(leaf.file_hash, SPANS(SPAN(data, len))), 0);
	memcpy(m->removal.file_hash, leaf.file_hash, HASH_LEN);
	log_leaf(bytes, tlog_leaf_encode(bytes, &leaf));
	free(data);
}

/* A checkpoint over all that was added. */
static inline int log_publish(int64_t wall_us)
{
	return tlog_writer_publish(&writer, wall_us / 1000000);
}

#endif
