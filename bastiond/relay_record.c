/*
 * relay_record.c - what a channel carries, as events of its way's recording (bastion-record(5)).
 *
 * Role: session; called by relay_take.c before anything may pass. A terminal is kept whole. A channel without one is kept up
 * to content_limit a direction, then a gap says from where; digests and totals go on to the end, and are put into the
 * recording every DIGEST_STEP bytes. The bytes behind one wait for the one before it: the flow does not stop for each flush of a
 * collector's disk, a stalled collector stops it, and at most two steps pass that no durable digest speaks for.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "session.h"

#define DIGEST_STEP (4U << 20)

static uint64_t put_json(struct chan *c, enum brec_kind kind, json_t *json)
{
	char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
	uint64_t seq = 0;

	if (text != NULL)
		seq = way_event(c->way, BREC_META, kind, c->number, text, strlen(text));
	else
		way_end(c->way, BREC_END_ERROR, "bastiond: out of memory: session ended");
	free(text);
	json_decref(json);
	return seq;
}

void record_file(void *ctx, const char *json)
{
	struct chan *c = ctx;

	if (c->way != NULL && c->way->writer != NULL)
		c->bulk.in.seq = c->bulk.out.seq = way_event(c->way, BREC_META, BREC_K_FILE, c->number, json, strlen(json));
}

uint64_t record_open(struct chan *c)
{
	uint64_t seq;

	c->said_cols = c->cols;
	c->said_rows = c->rows;
	seq = put_json(c, BREC_K_OPEN, json_pack("{s:s, s:o, s:b, s:s, s:i, s:i}", "capability", c->capability,
	    "command", bulk_text(c->command, strlen(c->command)), "pty", c->pty, "term", c->term, "cols", c->cols, "rows", c->rows));
	for (unsigned i = 0; seq != 0 && i < c->nenv; i++)
		seq = way_event(c->way, BREC_META, BREC_K_ENV, c->number, c->env[i], strlen(c->env[i]));
	if (seq != 0 && !c->pty &&
	    bulk_start(&c->bulk, c->way->content_limit, c->capability, c->command, record_file, c) != 0) {
		way_end(c->way, BREC_END_ERROR, "bastiond: out of memory: session ended");
		return 0;
	}
	return seq;
}

static uint64_t put_digest(struct chan *c, bool input, bool final)
{
	struct bulk_stream *st = input ? &c->bulk.in : &c->bulk.out;
	char hex[65];

	if (!final)
		bulk_progress(&c->bulk, input);
	bulk_digest(st, hex, sizeof(hex));
	st->marked = st->bytes;
	return put_json(c, BREC_K_DIGEST, st->apart == 0 ?
	    json_pack("{s:s, s:I, s:s, s:b}", "dir", input ? "in" : "out", "bytes", (json_int_t)st->bytes, "sha256", hex, "final", final) :
	    json_pack("{s:s, s:I, s:I, s:s, s:b}", "dir", input ? "in" : "out", "bytes", (json_int_t)st->bytes, "apart", (json_int_t)st->apart,
		"sha256", hex, "final", final));
}

/* What it says of files in between is waited for like the digest: in its turn. */
static uint64_t put_progress(struct chan *c, bool input)
{
	struct bulk_stream *st = input ? &c->bulk.in : &c->bulk.out;
	const uint64_t in = c->bulk.in.seq, out = c->bulk.out.seq, before = st->digest_seq;

	st->digest_seq = put_digest(c, input, false);
	c->bulk.in.seq = in;
	c->bulk.out.seq = out;
	if (before > st->seq)
		st->seq = before;
	return st->digest_seq != 0 ? st->seq : 0;
}

/*
 * Past the limit only gap, digests and files say what passed. They are waited for like content; what the other direction
 * records is not: the answers to an sftp client's requests would stop at each of these.
 */
static uint64_t record_rest(struct chan *c, bool input, uint64_t gap_from)
{
	struct bulk_stream *st = input ? &c->bulk.in : &c->bulk.out;

	if (gap_from != UINT64_MAX)
		st->seq = put_json(c, BREC_K_GAP, json_pack("{s:s, s:I}", "dir", input ? "in" : "out",
		    "from", (json_int_t)gap_from));
	else if (st->bytes - st->marked >= DIGEST_STEP)
		return put_progress(c, input);
	return st->seq;
}

/* Counts bytes, and has them read along. How many of them, the first, are content to keep. */
static size_t count(struct chan *c, enum brec_kind kind, const uint8_t *data, size_t len, uint64_t *gap_from)
{
	const bool input = kind == BREC_K_IN;

	*(input ? &c->way->bytes_in : &c->way->bytes_out) += len;
	if (input || !c->pty)
		c->used_ms = clock_mono_ms();
	return c->bulk.active ? bulk_feed(&c->bulk, input, kind == BREC_K_ERR, data, len, gap_from) : len;
}

uint64_t record_run(struct chan *c, bool input, uint64_t passed, uint32_t more)
{
	return put_json(c, BREC_K_RUN, json_pack("{s:s, s:I, s:I}", "dir", input ? "in" : "out",
	    "passed", (json_int_t)passed, "more", (json_int_t)more));
}

uint64_t record_covered(struct chan *c, bool input, const uint8_t *data, size_t len, uint64_t seq)
{
	const struct bulk_stream *st = input ? &c->bulk.in : &c->bulk.out;
	uint64_t gap_from = UINT64_MAX;

	count(c, input ? BREC_K_IN : BREC_K_OUT, data, len, &gap_from);
	if (gap_from != UINT64_MAX)
		return record_rest(c, input, gap_from);
	/* an answer that closed a file waits for what was said of that */
	return st->seq > seq ? st->seq : seq;
}

uint64_t record_data(struct chan *c, enum brec_kind kind, const uint8_t *data, size_t len)
{
	bool input = kind == BREC_K_IN;
	uint64_t gap_from = UINT64_MAX, seq = 0;
	size_t keep = count(c, kind, data, len, &gap_from);

	if (keep > 0 &&
	    (seq = way_event(c->way, input ? BREC_INPUT : BREC_OUTPUT, kind, c->number, data, keep)) == 0)
		return 0;
	return keep == len ? seq : record_rest(c, input, gap_from);
}

uint64_t record_exit(struct chan *c, uint32_t status)
{
	uint8_t wire[4] = { (uint8_t)(status >> 24), (uint8_t)(status >> 16), (uint8_t)(status >> 8), (uint8_t)status };

	return way_event(c->way, BREC_META, BREC_K_EXIT, c->number, wire, sizeof(wire));
}

uint64_t record_exit_signal(struct chan *c, const char *signal, bool core)
{
	uint8_t wire[40] = { core };

	strncpy((char *)wire + 1, signal, sizeof(wire) - 2);
	return way_event(c->way, BREC_META, BREC_K_EXIT_SIGNAL, c->number, wire, 1 + strlen(signal));
}

uint64_t record_eof(struct chan *c, bool from_target)
{
	uint8_t dir = from_target;

	return way_event(c->way, BREC_META, BREC_K_EOF, c->number, &dir, 1);
}

uint64_t record_close(struct chan *c)
{
	if (c->close_recorded || c->way->writer == NULL)
		return brec_writer_seq(c->way->writer);
	c->close_recorded = true;
	relay_record_all(c, &c->in);
	relay_record_all(c, &c->out);
	relay_take_rest(c, true);
	relay_take_rest(c, false);
	if (c->bulk.active) {
		bulk_end(&c->bulk);
		if (put_digest(c, true, true) == 0 || put_digest(c, false, true) == 0)
			return 0;
	}
	/* what an end left in the holds, and what came for a channel that never started, is recorded, but went nowhere; of an end that the target
	 * said, all that it gave goes out before */
	return put_json(c, BREC_K_CLOSE, json_pack("{s:I, s:I, s:I, s:I}", "in", (json_int_t)c->bulk.in.bytes,
	    "out", (json_int_t)c->bulk.out.bytes, "held_in", (json_int_t)c->in.bytes, "held_out", (json_int_t)(c->way->last_words ? c->out.bytes : 0)));
}

static void record_unstarted(struct chan *c)
{
	static const char note[] = "not started: it did not come to the target, and what is recorded as input went nowhere";

	if (c->open_seq == 0 && (c->open_seq = record_open(c)) == 0)
		return;
	relay_take_ahead(c);
	way_event(c->way, BREC_META, BREC_K_NOTE, c->number, note, sizeof(note) - 1);
}

void record_last(struct chan *c)
{
	const bool unstarted = c->state > CHAN_NEW && c->state < CHAN_LIVE;
	char detail[80];

	if (c->kind != CHAN_TARGET || c->way == NULL)
		return;
	if (c->way->writer == NULL) {
		snprintf(detail, sizeof(detail), "%lu bytes, before there was a recording", (unsigned long)c->in.bytes);
		if (unstarted && c->in.bytes != 0)
			session_note(c->front->session, c->way->id, "input.discarded", detail);
		return;
	}
	if (unstarted)
		record_unstarted(c);
	if (c->open_seq != 0)
		record_close(c);
}
