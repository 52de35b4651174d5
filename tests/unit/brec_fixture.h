/*
 * brec_fixture.h - plays the recorder for the writer's tests: its ops make header, frames and marks into a recording's
 * directory, as role_recorder.c and the collector would. Time is the test's.
 */
#ifndef BREC_FIXTURE_H
#define BREC_FIXTURE_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "age.h"
#include "brec_read.h"
#include "brec_verify.h"
#include "brec_writer.h"

#define FIXTURE_WALL 1763800000000000LL
#define FIXTURE_FRAMES 4096
#define FIXTURE_BEGIN 5000000

static uint64_t fx_begin = FIXTURE_BEGIN;	/* when the next recording opens, on its own clock */

struct fixture {
	char dir[64];
	struct age_identity auditor, input_auditor;
	char to[AGE_RECIPIENT_LEN + 1], to_input[AGE_RECIPIENT_LEN + 1];
	struct sign_key *key;
	bool borrowed;			/* the key is the caller's */
	uint8_t pub[KEY_LEN], id[BREC_ID_LEN];
	struct brec_writer *w;
	bool split;			/* input to another auditor */
	uint64_t now;

	/* the recorder's side */
	FILE *file;
	uint32_t segment;
	uint8_t h[BREC_HASH_LEN];
	uint64_t seq;			/* last one seen */
	struct { uint64_t seq; uint8_t h[BREC_HASH_LEN]; } log[FIXTURE_FRAMES];	/* chain values, for receipts */
	size_t logged;
	bool discard;			/* write no files (for speed) */
};

static void fx_name(const struct fixture *x, uint32_t segment, char out[128])
{
	snprintf(out, 128, "%s/%08u.brec", x->dir, segment);
}

static void fx_log(struct fixture *x, uint64_t seq)
{
	assert_true(x->logged == 0 || seq == x->seq + 1);
	x->seq = seq;
	if (x->logged < FIXTURE_FRAMES) {
		x->log[x->logged].seq = seq;
		memcpy(x->log[x->logged++].h, x->h, BREC_HASH_LEN);
	}
}

static void fx_header(struct fixture *x, const uint8_t *part, size_t len)
{
	struct brec_header h = { .segment = x->segment, .first_seq = x->seq + 1, .wall_us = FIXTURE_WALL + (int64_t)x->now,
		.part = part, .part_len = len };
	char name[128];
	struct buf b;

	memcpy(h.id, x->id, sizeof(h.id));
	if (x->segment != 0)
		memcpy(h.prev, x->h, sizeof(h.prev));
	memset(h.boot_id, 0xb0, sizeof(h.boot_id));
	buf_init(&b, BREC_HEADER_MAX);
	assert_int_equal(brec_header_build(&b, &h, x->key), 0);
	assert_int_equal(brec_chain_start(x->h, b.data, b.len), 0);
	if (x->file != NULL)
		fclose(x->file);
	x->file = NULL;
	if (!x->discard) {
		fx_name(x, x->segment, name);
		assert_non_null(x->file = fopen(name, "wb"));
		assert_int_equal(fwrite(b.data, 1, b.len, x->file), b.len);
	}
	buf_finish(&b);
}

static void fx_bytes(struct fixture *x, const uint8_t *frame, size_t len, uint64_t seq)
{
	assert_int_equal(brec_chain_add(x->h, frame, len), 0);
	if (x->file != NULL)
		assert_int_equal(fwrite(frame, 1, len, x->file), len);
	fx_log(x, seq);
}

static int fx_frame(void *ctx, const uint8_t *frame, size_t len, uint64_t seq)
{
	struct fixture *x = ctx;

	if (!x->discard) {
		struct brec_frame f;

		assert_int_equal(brec_frame_decode(frame, len, &f), 0);
		assert_int_equal(f.len, len);
		assert_int_equal(f.seq, seq);
		assert_int_equal(f.epoch, x->segment);
	}
	fx_bytes(x, frame, len, seq);
	return 0;
}

static void fx_signed(struct fixture *x, enum brec_type type, uint64_t seq, enum brec_end end, const char *reason)
{
	struct brec_mark m = { .type = type, .seq = seq, .epoch = x->segment, .wall_us = FIXTURE_WALL + (int64_t)x->now, .end = end };
	struct buf b;

	snprintf(m.reason, sizeof(m.reason), "%s", reason);
	memcpy(m.h, x->h, sizeof(m.h));
	buf_init(&b, BREC_FRAME_MAX);
	assert_int_equal(brec_mark_build(&b, x->id, &m, x->key), 0);
	fx_bytes(x, b.data, b.len, seq);
	buf_finish(&b);
}

static int fx_mark(void *ctx, uint64_t seq)
{
	fx_signed(ctx, BREC_CHECKPOINT, seq, 0, "");
	return 0;
}

static int fx_seal(void *ctx, uint64_t seq, const struct buf *part)
{
	struct fixture *x = ctx;

	fx_signed(x, BREC_SEAL, seq, 0, "");
	x->segment++;
	fx_header(x, part->data, part->len);
	return 0;
}

static int fx_close(void *ctx, uint64_t seq, enum brec_end end, const char *reason)
{
	fx_signed(ctx, BREC_CLOSE, seq, end, reason);
	return 0;
}

static const struct brec_writer_ops fx_ops = { fx_frame, fx_mark, fx_seal, fx_close };

/* An open recording in a fresh directory. */
/* Signed with this key, which is the caller's; NULL: with one of its own. */
static inline struct fixture *fx_open_signed(bool split, bool discard, struct sign_key *key)
{
	struct fixture *x = calloc(1, sizeof(*x));
	const char *to[2] = { NULL }, *to_input[2] = { NULL };
	struct buf part;

	assert_non_null(x);
	snprintf(x->dir, sizeof(x->dir), "/tmp/bastiond-brec-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	assert_int_equal(age_identity_generate(&x->auditor), 0);
	assert_int_equal(age_identity_generate(&x->input_auditor), 0);
	age_recipient_format(x->to, x->auditor.pub);
	age_recipient_format(x->to_input, x->input_auditor.pub);
	x->borrowed = key != NULL;
	assert_non_null(x->key = x->borrowed ? key : sign_key_generate());
	sign_key_public(x->key, x->pub);
	assert_int_equal(random_bytes(x->id, sizeof(x->id)), 0);
	x->now = fx_begin;
	x->split = split;
	x->discard = discard;
	to[0] = x->to;
	to_input[0] = split ? x->to_input : NULL;
	assert_non_null(x->w = brec_writer_create(x->id, to, to_input, x->now, &fx_ops, x));
	buf_init(&part, BREC_PART_MAX);
	assert_int_equal(brec_writer_part(x->w, &part), 0);
	fx_header(x, part.data, part.len);
	fx_log(x, 0);
	buf_finish(&part);
	return x;
}

static inline struct fixture *fx_open(bool split, bool discard)
{
	return fx_open_signed(split, discard, NULL);
}

/* Ends the recorder's side: the files are whole. */
static void fx_done(struct fixture *x)
{
	if (x->file != NULL)
		fclose(x->file);
	x->file = NULL;
	brec_writer_destroy(x->w);
	x->w = NULL;
}

static inline void fx_destroy(struct fixture *x)
{
	char name[128];

	fx_done(x);
	for (uint32_t i = 0; i <= x->segment; i++) {
		fx_name(x, i, name);
		unlink(name);
	}
	snprintf(name, sizeof(name), "%s/receipts", x->dir);
	unlink(name);
	assert_int_equal(rmdir(x->dir), 0);
	if (!x->borrowed)
		sign_key_destroy(x->key);
	free(x);
}

static inline uint64_t fx_event(struct fixture *x, enum brec_stream stream, enum brec_kind kind, const char *text)
{
	uint64_t seq = brec_writer_event(x->w, stream, kind, x->now, 1, text, strlen(text));

	assert_true(seq != 0);
	return seq;
}

/* A small recording of two segments: metadata, a command, its input and output, checkpoints; closed if asked. */
static inline void fx_small(struct fixture *x, bool closed)
{
	fx_event(x, BREC_META, BREC_K_META, "{\"user\":\"alice\",\"host\":\"web1\"}");
	fx_event(x, BREC_META, BREC_K_OPEN, "{\"capability\":\"shell\"}");
	x->now += 1000;
	fx_event(x, BREC_INPUT, BREC_K_IN, "ls\r");
	x->now += 1000;
	fx_event(x, BREC_OUTPUT, BREC_K_OUT, "ls\r\nREADME\r\n");
	assert_int_equal(brec_writer_flush(x->w, x->now), 0);
	x->now += 1500000;
	assert_true(brec_writer_tick(x->w, x->now) > 0);
	x->now += 61000000;
	assert_true(brec_writer_tick(x->w, x->now) > 0);	/* seals */
	fx_event(x, BREC_OUTPUT, BREC_K_ERR, "late words\r\n");
	fx_event(x, BREC_META, BREC_K_EXIT, "\0\0\0");
	assert_int_equal(brec_writer_flush(x->w, x->now), 0);
	if (closed)
		assert_int_equal(brec_writer_close(x->w, x->now, BREC_END_NORMAL, "the user left"), 0);
	fx_done(x);
}

static inline uint8_t *fx_read(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(4 << 20);

	assert_non_null(f);
	assert_non_null(data);
	*len = fread(data, 1, 4 << 20, f);
	fclose(f);
	return data;
}

static inline void fx_write(const char *path, const void *data, size_t len)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

#endif
