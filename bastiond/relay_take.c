/*
 * relay_take.c - bytes of one leg of a channel: out of libssh's buffer, into the recording, into the hold.
 *
 * Role: session. Before it: the callbacks of relay_chan.c. Beside it: relay_record.c, which makes an event of everything before it
 * may pass. After it: relay_chan.c, which passes on what is committed.
 *
 * Backpressure: at a full hold the bytes stay in libssh's buffer, so that it does not reopen the window. They are copied
 * into the hold all the same (up to AHEAD_OF_ROOM), because libssh gives out nothing any more after a DISCONNECT of the peer, who may
 * have sent it right behind them. When the hold has room again, libssh's copy is read in one piece, and what was not
 * taken of it yet is. libssh 0.10 reopens the whole window at each read, so reading less would let the buffer grow without end. It
 * reopens it, too, when a packet comes of the other stream: see CHAN_CHOKE.
 *
 * A terminal's bytes wait in the hold *before* they are recorded, too: at most AHEAD_MAX of them are on their way to the collectors
 * at a time. A window of a terminal that pours is 1.3 MB, and recorded at once it would stand before the key strokes of all
 * other sessions, in recorder, on the link and in the collectors' group commit. A channel without a terminal needs no such rule: past its
 * content limit next to nothing of it is recorded.
 */
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define RECORDER_QUEUE_SOFT (1U << 20) /* a recorder that is behind shuts every window of the connection */
#define AHEAD_MAX (16U << 10)	/* bytes of one direction of a terminal that are recorded and not yet passed on */
#define PIECE (8U << 10)	/* bytes that are recorded at a time */
/*
 * Bytes of a full hold past which none are copied into it. A window that came in packets of a few bytes, each an item with a head, is longer
 * than the hold: the rest stays in libssh alone. What is behind that is for the drained rest, ends and notices.
 */
#define AHEAD_OF_ROOM (HOLD_MAX - (512U << 10))

/* One of the three streams of bytes between the legs of a channel. */
struct stream {
	struct hold *hold;
	bool *left;		/* libssh's buffer has some of it, */
	size_t *kept;		/* of which so many bytes are in the hold already */
	size_t *unread;		/* and so many there are */
	bool input, is_err;
};

static bool recorder_ready(const struct chan *c)
{
	return c->front->session->recorder.queued < RECORDER_QUEUE_SOFT;
}

/* May bytes be taken into this hold? */
static bool has_room(const struct chan *c, const struct hold *h)
{
	return !hold_full(h) && recorder_ready(c);
}

static bool put(struct chan *c, struct hold *h, bool is_err, uint64_t seq, const uint8_t *data, size_t len)
{
	if (hold_put(h, is_err ? HOLD_ERR : HOLD_DATA, seq, data, len) == 0)
		return true;
	relay_fail(c, "bastiond: out of memory: session ended");
	return false;
}

/* Records the first bytes of the hold that are not yet. False: the way is over. */
static bool record_first(struct chan *c, struct hold *h, const struct hold_item *it)
{
	enum brec_kind kind = h == &c->in ? BREC_K_IN : it->kind == HOLD_ERR ? BREC_K_ERR : BREC_K_OUT;
	uint64_t seq = record_data(c, kind, it->data, it->len);

	if (seq == 0)
		return false;
	hold_recorded(h, seq);
	return true;
}

void relay_record_some(struct chan *c, struct hold *h)
{
	struct hold_item it;

	while (hold_fresh(h, &it) && hold_ahead(h) < AHEAD_MAX && recorder_ready(c) && record_first(c, h, &it))
		;
}

void relay_record_all(struct chan *c, struct hold *h)
{
	struct hold_item it;

	while (hold_fresh(h, &it) && record_first(c, h, &it))
		;
}

static bool record_put(struct chan *c, bool input, bool is_err, const uint8_t *data, size_t len)
{
	uint64_t seq = record_data(c, input ? BREC_K_IN : is_err ? BREC_K_ERR : BREC_K_OUT, data, len);

	return seq != 0 && put(c, input ? &c->in : &c->out, is_err, seq, data, len);
}

/* --- sftp: gate, then run, then the recording --- */

static bool run_content(void *ctx, bool input, const uint8_t *data, size_t len)
{
	return record_put(ctx, input, false, data, len);
}

static bool run_covered(void *ctx, bool input, const uint8_t *data, size_t len, uint64_t announced)
{
	struct chan *c = ctx;
	uint64_t seq = record_covered(c, input, data, len, announced);

	return seq != 0 && put(c, input ? &c->in : &c->out, false, seq, data, len);
}

static uint64_t run_announce(void *ctx, bool input, uint64_t passed, uint32_t more)
{
	return record_run(ctx, input, passed, more);
}

static const struct sftp_run_ops run_ops = { run_content, run_covered, run_announce };

static struct sftp_run *run_of(const struct chan *c, bool input)
{
	return input ? c->run_in : c->run_out;
}

/* Past the content limit there is nothing to be said in advance. */
static bool take_run(struct chan *c, bool input, const uint8_t *data, size_t len)
{
	struct sftp_run *run = run_of(c, input);

	if (!(input ? &c->bulk.in : &c->bulk.out)->gap)
		return sftp_run_feed(run, data, len);
	return sftp_run_end(run) && record_put(c, input, false, data, len);
}

static bool gate_passes(void *ctx, bool input, const uint8_t *data, size_t len)
{
	return take_run(ctx, input, data, len);
}

static void gate_refuses(void *ctx, uint32_t id, const char *json)
{
	struct chan *c = ctx;

	/* its answer is none to another request of that id */
	if (c->bulk.sftp != NULL)
		sftp_track_refused(c->bulk.sftp, id);
	record_file(c, json);
}

bool relay_sftp(struct chan *c)
{
	c->run_in = sftp_run_create(true, &run_ops, c);
	c->run_out = sftp_run_create(false, &run_ops, c);
	c->gate = sftp_gate_create(c->rights, gate_passes, gate_refuses, c);
	return c->run_in != NULL && c->run_out != NULL && c->gate != NULL;
}

void relay_sftp_free(struct chan *c)
{
	sftp_gate_destroy(c->gate);
	sftp_run_destroy(c->run_in);
	sftp_run_destroy(c->run_out);
	c->gate = NULL;
	c->run_in = c->run_out = NULL;
}

void relay_take_rest(struct chan *c, bool input)
{
	if (run_of(c, input) != NULL)
		sftp_run_end(run_of(c, input));
}

/* What an sftp channel may not ask for goes no further: it is neither recorded as what passed, nor held. A version that is not read here, neither. */
static bool take_gated(struct chan *c, bool input, const uint8_t *data, size_t len)
{
	uint64_t before = sftp_gate_refused(c->gate);

	if (!sftp_gate_feed(c->gate, input, data, len)) {
		relay_fail(c, "bastiond: this is no sftp that could be followed: session ended");
		return false;
	}
	if (before == 0 && sftp_gate_refused(c->gate) > 0)
		session_note(c->front->session, c->way->id, "channel.refused",
		    c->rights == CHAN_READS ? "sftp: writing" : "sftp: reading");
	if (sftp_gate_done(c->gate)) {
		sftp_gate_destroy(c->gate);
		c->gate = NULL;
	}
	return true;
}

/* Holds bytes, recorded or, of a terminal, to be recorded in their turn. False: the way is over. */
static bool take(struct chan *c, bool input, bool is_err, const uint8_t *data, size_t len)
{
	struct hold *h = input ? &c->in : &c->out;
	size_t n;

	/* a tunnel's bytes are recorded inside, in clear; the console's words are events */
	if (c->kind != CHAN_TARGET)
		return put(c, h, is_err, 0, data, len);
	if (c->gate != NULL && !is_err)
		return take_gated(c, input, data, len);
	if (run_of(c, input) != NULL && !is_err)
		return take_run(c, input, data, len);
	if (run_of(c, input) != NULL && !sftp_run_break(run_of(c, input)))
		return false;
	if (!c->pty)
		return record_put(c, input, is_err, data, len);
	for (; len > 0; data += n, len -= n) {
		n = len < PIECE ? len : PIECE;
		if (!put(c, h, is_err, HOLD_UNRECORDED, data, n))
			return false;
	}
	relay_record_some(c, h);
	return true;
}

/* Is there a place for copies of these, with the heads of their items? */
static bool fits(const struct hold *h, size_t len)
{
	return hold_size(h) + len + len / PIECE * HOLD_HEAD + 2 * HOLD_HEAD <= AHEAD_OF_ROOM;
}

/* All of the stream that libssh has in its buffer; how much of that it may forget. */
static int keep(struct chan *c, const struct stream *st, const uint8_t *data, size_t len)
{
	bool room = has_room(c, st->hold);

	*st->unread = len;
	if (st->input && c->state != CHAN_LIVE) {
		/* nothing is recorded of the channel yet: a copy waits for that, as libssh may have nothing to give then */
		if (c->kind == CHAN_TARGET && c->state > CHAN_NEW && len > *st->kept &&
		    hold_put(st->hold, HOLD_DATA, 0, data + *st->kept, len - *st->kept) == 0)
			*st->kept = len;
		*st->left = true;
		return 0;
	}
	if (recorder_ready(c) && len > *st->kept && fits(st->hold, len - *st->kept)) {
		if (!take(c, st->input, st->is_err, data + *st->kept, len - *st->kept))
			return 0;
		*st->kept = len;
	}
	if (room && *st->kept == len && !*st->left) {
		*st->kept = *st->unread = 0;
		return (int)len;
	}
	*st->left = true;
	return 0;
}

bool relay_take_notice(struct chan *c, const char *text, size_t len)
{
	return take(c, false, false, (const uint8_t *)text, len);
}

int relay_take_in(struct chan *c, const uint8_t *data, size_t len)
{
	return keep(c, &(struct stream){ &c->in, &c->left_in, &c->kept_in, &c->unread_in, true, false }, data, len);
}

int relay_take_out(struct chan *c, bool is_err, const uint8_t *data, size_t len)
{
	c->both_streams = c->both_streams || (is_err ? c->left_out : c->left_err);
	return keep(c, is_err ? &(struct stream){ &c->out, &c->left_err, &c->kept_err, &c->unread_err, false, true } :
	    &(struct stream){ &c->out, &c->left_out, &c->kept_out, &c->unread_out, false, false }, data, len);
}

void relay_take_ahead(struct chan *c)
{
	struct hold ahead = c->in;
	struct hold_item it;

	c->in = (struct hold){ .mem = NULL };
	while (hold_peek(&ahead, &it) && take(c, true, false, it.data, it.len))
		hold_drop(&ahead);
	hold_finish(&ahead);
}

/* What a full hold left in libssh's buffer, when it has room again: all of it at once, which reopens the window. */
static void drain(struct chan *c, ssh_channel from, const struct stream *st)
{
	uint8_t *data;
	int n;

	if (!*st->left || !has_room(c, st->hold))
		return;
	*st->left = false;
	if (from == NULL || (n = ssh_channel_poll(from, st->is_err)) <= 0) {
		*st->kept = *st->unread = 0;
		return;
	}
	if ((data = malloc((size_t)n)) == NULL) {
		relay_fail(c, "bastiond: out of memory: session ended");
		return;
	}
	/* both calls may have read more, and so kept more of what still stands in the buffer */
	n = ssh_channel_read_nonblocking(from, data, (uint32_t)n, st->is_err);
	if (n > 0 && (size_t)n > *st->kept)
		take(c, st->input, st->is_err, data + *st->kept, (size_t)n - *st->kept);
	if (n > 0) {
		*st->kept -= (size_t)n < *st->kept ? (size_t)n : *st->kept;
		*st->unread -= (size_t)n < *st->unread ? (size_t)n : *st->unread;
		c->front->session->again = true; /* its peer may be read again */
	}
	*st->left = *st->left || *st->kept > 0;
	explicit_bzero(data, n > 0 ? (size_t)n : 0);
	free(data);
}

void relay_drain_in(struct chan *c)
{
	drain(c, c->client, &(struct stream){ &c->in, &c->left_in, &c->kept_in, &c->unread_in, true, false });
	relay_record_some(c, &c->in);
}

void relay_drain_out(struct chan *c)
{
	drain(c, c->target, &(struct stream){ &c->out, &c->left_out, &c->kept_out, &c->unread_out, false, false });
	drain(c, c->target, &(struct stream){ &c->out, &c->left_err, &c->kept_err, &c->unread_err, false, true });
	c->both_streams = c->both_streams && (c->left_out || c->left_err);
	relay_record_some(c, &c->out);
}

bool relay_unread(ssh_channel ch, struct hold *h)
{
	struct hold_item it;

	/* with an eof or after close, poll says SSH_EOF when nothing is left */
	return hold_fresh(h, &it) || (ch != NULL && (ssh_channel_poll(ch, 0) > 0 || ssh_channel_poll(ch, 1) > 0));
}
