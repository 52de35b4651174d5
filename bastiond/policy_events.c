/*
 * policy_events.c - see policy_events.h: the source of the recording of events. Role policy.
 *
 *   NONE ──rows wait──▶ OPENING ──REC_OPENED──▶ OPEN ──day, size, reload──▶ CLOSING ──REC_CLOSED──▶ NONE
 *     ▲                    │                      │                             │
 *     └───── REC_REFUSED: everything since the last commit is sent again, in another recording ─────┘
 *
 * Invariants: saved <= acked <= sent; rows up to `sent` were given to recorder in order, without a
 * hole, in this recording or one before; rows up to `acked` are durable at the quorum; `saved` is what
 * the database knows of that. At a start sent = acked = saved. So a row may come twice, with the same
 * number and the same hash, and none is left out.
 *
 * Each recording begins with its metadata, JSON: v 1, kind "events", recording (hex), bastion, started
 * (unix s), log (hex: which list), first (number of its first event), after: the event before that:
 * number, hash, and the recording before (hex, missing: none).
 */
#include "policy_events.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "brec_writer.h"
#include "clock.h"
#include "hex.h"
#include "log.h"
#include "policy_glass.h"

#define DAY 86400
#define RECIPIENT_SIZE 128

enum state { EVENTS_NONE, EVENTS_OPENING, EVENTS_OPEN, EVENTS_CLOSING };

/* A frame on its way, and the last event in it. */
struct flight {
	uint64_t seq;
	int64_t number;
	uint8_t hash[EVENT_HASH_LEN];
};

struct events {
	struct link link;		/* to recorder */
	struct policy *p;
	enum state state;
	struct brec_writer *writer;	/* in OPENING and OPEN */
	uint8_t id[BREC_ID_LEN];
	uint32_t way;			/* number of the recording on the link */
	int64_t day;			/* that it belongs to */
	size_t bytes;			/* given to recorder */
	uint64_t committed;		/* frames of it that the quorum has */
	bool more;			/* there may be rows after `sent` */
	bool store_up, glass_up;	/* collectors answer; those for break-glass do */
	bool glass_late;		/* the alarm about these was given; */
	uint64_t glass_ms;		/* they were there then */
	bool renew, late;		/* configuration changed; the alarm was given */
	int64_t sent, acked, saved;
	uint8_t sent_hash[EVENT_HASH_LEN], acked_hash[EVENT_HASH_LEN];
	bool acked_known;		/* acked_hash: since this start something was acknowledged */
	struct flight flight[EVENTS_AHEAD];
	unsigned nflight;
	uint64_t retry_ms, save_ms, prune_ms;
	unsigned pause_ms;		/* before the next attempt, if this one brings nothing */
};

/* --- to recorder: brec_writer_ops --- */

static int send_frame(void *ctx, const uint8_t *frame, size_t len, uint64_t seq)
{
	struct events *ev = ctx;
	struct buf b;

	(void)seq;
	ev->bytes += len;
	buf_view(&b, frame, len);
	return link_send(&ev->link, MSG_REC_FRAME, ev->way, &b, NULL, 0);
}

/* u64 sequence, and what follows it */
static int send_with(struct events *ev, enum msg_type type, uint64_t seq, const uint8_t *end, const void *text,
    size_t len)
{
	struct buf b;
	int r;

	buf_init(&b, 16 + BREC_PART_MAX);
	buf_put_u64(&b, seq);
	if (end != NULL)
		buf_put_u8(&b, *end);
	if (text != NULL)
		buf_put_string(&b, text, len);
	r = buf_ok(&b) ? link_send(&ev->link, type, ev->way, &b, NULL, 0) : -1;
	buf_finish(&b);
	return r;
}

static int send_mark(void *ctx, uint64_t seq)
{
	return send_with(ctx, MSG_REC_MARK, seq, NULL, NULL, 0);
}

static int send_seal(void *ctx, uint64_t seq, const struct buf *part)
{
	return send_with(ctx, MSG_REC_SEAL, seq, NULL, part->data, part->len);
}

static int send_close(void *ctx, uint64_t seq, enum brec_end end, const char *reason)
{
	const uint8_t byte = (uint8_t)end;

	return send_with(ctx, MSG_REC_CLOSE, seq, &byte, reason, strlen(reason));
}

static const struct brec_writer_ops to_recorder = { send_frame, send_mark, send_seal, send_close };

/* --- a recording --- */

/* The keys of a recipients file into a list that ends with NULL. 0, or -1: too many or too long. */
static int parse_recipients(const char *text, char mem[][RECIPIENT_SIZE], const char *list[])
{
	const char *key;
	size_t n = 0, len;

	while ((key = config_recipient_next(&text, &len)) != NULL) {
		if (n == CONFIG_RECIPIENTS_MAX || len >= RECIPIENT_SIZE)
			return -1;
		memcpy(mem[n], key, len);
		mem[n][len] = '\0';
		list[n] = mem[n];
		n++;
	}
	list[n] = NULL;
	return 0;
}

/* Events are metadata: input_recipients, who may read what was typed, are not asked. */
static struct brec_writer *make_writer(const struct config *conf, const uint8_t id[BREC_ID_LEN], struct events *ev)
{
	char mem[CONFIG_RECIPIENTS_MAX][RECIPIENT_SIZE];
	const char *list[CONFIG_RECIPIENTS_MAX + 1];

	if (parse_recipients(conf->recipients.text, mem, list) != 0)
		return NULL;
	return brec_writer_create(id, list, NULL, clock_mono_us(), &to_recorder, ev);
}

int events_warm(const struct config *conf)
{
	static const uint8_t id[BREC_ID_LEN];
	struct brec_writer *w = make_writer(conf, id, NULL);

	brec_writer_destroy(w);
	return w != NULL ? 0 : -1;
}

/* What was given to recorder and not acknowledged is sent again by the next recording. */
static void forget(struct events *ev)
{
	brec_writer_destroy(ev->writer);
	ev->writer = NULL;
	ev->state = EVENTS_NONE;
	ev->sent = ev->acked;
	ev->nflight = 0;
	ev->more = true;
	ev->retry_ms = clock_mono_ms() + ev->pause_ms;
	ev->pause_ms = ev->pause_ms * 2 < EVENTS_RETRY_MAX_MS ? ev->pause_ms * 2 : EVENTS_RETRY_MAX_MS;
}

/* There is reason to think that the next attempt gets further. */
static void try_again(struct events *ev)
{
	ev->retry_ms = 0;
	ev->pause_ms = EVENTS_RETRY_MS;
}

/* A failure on our side. Recorder closes what has no close frame of ours when the link ends. */
static void give_up(struct events *ev, const char *why)
{
	log_error("recording of the events: %s; it is begun anew", why);
	if (ev->writer != NULL)
		brec_writer_close(ev->writer, clock_mono_us(), BREC_END_ERROR, why);
	forget(ev);
}

static void open_recording(struct events *ev)
{
	struct buf part, body;
	int r = -1;

	buf_init(&part, BREC_PART_MAX);
	buf_init(&body, BREC_HEADER_MAX);
	ev->way++;
	ev->bytes = ev->committed = 0;
	ev->renew = false;
	ev->day = clock_wall() / DAY;
	if (random_bytes(ev->id, sizeof(ev->id)) == 0 &&
	    (ev->writer = make_writer(ev->p->conf, ev->id, ev)) != NULL) {
		brec_writer_limits(ev->writer, 0, EVENTS_SEGMENT_SECONDS);
		if (brec_writer_part(ev->writer, &part) == 0 && buf_put(&body, ev->id, sizeof(ev->id)) == 0 &&
		    buf_put_string(&body, part.data, part.len) == 0)
			r = link_send(&ev->link, MSG_REC_OPEN, ev->way, &body, NULL, 0);
	}
	buf_finish(&part);
	buf_finish(&body);
	if (r == 0)
		ev->state = EVENTS_OPENING;
	else
		give_up(ev, "it cannot be opened: are the recipients age keys?");
}

static void close_recording(struct events *ev, const char *reason)
{
	if (brec_writer_close(ev->writer, clock_mono_us(), BREC_END_NORMAL, reason) != 0) {
		give_up(ev, "it cannot be closed");
		return;
	}
	brec_writer_destroy(ev->writer);
	ev->writer = NULL;
	ev->state = EVENTS_CLOSING;
}

static int put_meta(struct events *ev, const struct event_log *log, const uint8_t hash[EVENT_HASH_LEN])
{
	char id[2 * BREC_ID_LEN + 1], name[2 * BREC_ID_LEN + 1], before[2 * BREC_ID_LEN + 1];
	char head[2 * EVENT_HASH_LEN + 1];
	json_t *meta = json_pack("{s:i, s:s, s:s, s:s, s:I, s:s, s:I, s:{s:I, s:s, s:s*}}", "v", 1, "kind", "events",
	    "recording", hex_encode(id, ev->id, sizeof(ev->id)), "bastion", ev->p->control.name, "started",
	    (json_int_t)clock_wall(), "log", hex_encode(name, log->log, sizeof(log->log)), "first",
	    (json_int_t)ev->sent + 1, "after", "number", (json_int_t)ev->sent, "hash",
	    hex_encode(head, hash, EVENT_HASH_LEN), "recording",
	    log->recorded ? hex_encode(before, log->recording, sizeof(log->recording)) : NULL);
	char *text = meta != NULL ? json_dumps(meta, JSON_COMPACT) : NULL;
	uint64_t seq = text != NULL ? brec_writer_event(ev->writer, BREC_META, BREC_K_META, clock_mono_us(), 0, text,
	    strlen(text)) : 0;

	free(text);
	json_decref(meta);
	return seq != 0 ? 0 : -1;
}

/*
 * It stands: its metadata, and the database's note which one it is. The note comes now and not before,
 * so that no recording names one that never was.
 */
static void opened(struct events *ev)
{
	uint8_t hash[EVENT_HASH_LEN];
	struct event_log log;
	int r;

	if (store_event_log(ev->p->store, &log) != 0)
		goto fail;
	if (ev->sent < log.pruned) /* a database that was not ours when it was pruned */
		ev->sent = ev->acked = ev->saved = log.pruned;
	memcpy(hash, log.pruned_hash, sizeof(hash));
	r = ev->sent > log.pruned ? store_event_hash(ev->p->store, ev->sent, hash) : 1;
	if (r != 1 || store_event_recording(ev->p->store, ev->id) != 0)
		goto fail;
	ev->state = EVENTS_OPEN;
	if (put_meta(ev, &log, hash) != 0)
		give_up(ev, "no memory");
	return;
fail:
	give_up(ev, store_error(ev->p->store));
}

/* --- rows --- */

struct batch {
	struct events *ev;
	unsigned rows;
	size_t bytes;
	bool full, broken;
};

static int put_row(void *arg, const struct event_row *e, const uint8_t *hash, size_t len)
{
	struct batch *batch = arg;
	struct events *ev = batch->ev;
	struct buf b;

	if (batch->rows == EVENTS_BATCH_ROWS || batch->bytes >= EVENTS_BATCH_BYTES) {
		batch->full = true;
		return 1;
	}
	buf_init(&b, EVENT_ROW_MAX + EVENT_HASH_LEN);
	if (len != EVENT_HASH_LEN || e->kind == NULL || e->actor == NULL || e->subject == NULL || e->detail == NULL ||
	    event_row_put(&b, e, hash) != 0 ||
	    brec_writer_event(ev->writer, BREC_META, BREC_K_AUDIT, clock_mono_us(), 0, b.data, b.len) == 0)
		batch->broken = true;
	batch->bytes += b.len;
	batch->rows++;
	ev->sent = e->id;
	if (!batch->broken)
		memcpy(ev->sent_hash, hash, sizeof(ev->sent_hash));
	buf_finish(&b);
	return batch->broken;
}

/* One frame of rows. */
static void send_batch(struct events *ev)
{
	struct batch batch = { .ev = ev };

	if (store_event_each(ev->p->store, ev->sent, put_row, &batch) < 0) {
		give_up(ev, store_error(ev->p->store));
		return;
	}
	ev->more = batch.full;
	if (batch.broken || brec_writer_flush(ev->writer, clock_mono_us()) != 0) {
		give_up(ev, batch.broken ? "a row of the database is malformed, or there is no memory" :
		    "recorder does not take it");
		return;
	}
	if (batch.rows > 0) {
		struct flight *f = &ev->flight[ev->nflight++];

		*f = (struct flight){ .seq = brec_writer_seq(ev->writer), .number = ev->sent };
		memcpy(f->hash, ev->sent_hash, sizeof(f->hash));
	}
}

void events_added(struct policy *p)
{
	if (p->events != NULL)
		p->events->more = true;
}

bool events_shipped(void *arg, int64_t *number, uint8_t hash[32])
{
	const struct events *ev = ((struct policy *)arg)->events;

	if (ev == NULL || !ev->acked_known)
		return false;
	*number = ev->acked;
	memcpy(hash, ev->acked_hash, sizeof(ev->acked_hash));
	return true;
}

void events_state(struct policy *p, struct events_state *state)
{
	const struct events *ev = p->events;
	int64_t at, now = clock_wall();

	*state = (struct events_state){ .store_up = ev != NULL && ev->store_up, .glass_up = ev != NULL && ev->glass_up,
		.acked = ev != NULL ? ev->acked : 0 };
	if (ev != NULL && store_event_at(p->store, ev->acked + 1, &at) == 1 && at < now)
		state->lag = now - at;
}

void events_turn(struct policy *p)
{
	struct events *ev = p->events;

	if (ev == NULL || !ev->link.open)
		return;
	if (ev->state == EVENTS_NONE && ev->more && ev->store_up && clock_mono_ms() >= ev->retry_ms)
		open_recording(ev);
	while (ev->state == EVENTS_OPEN && ev->more && ev->nflight < EVENTS_AHEAD)
		send_batch(ev);
}

static int say_place(struct policy *p, enum msg_type type, const uint8_t recording[16])
{
	struct buf b;

	if (p->events == NULL || !p->events->link.open)
		return -1;
	buf_view(&b, recording, BREC_ID_LEN);
	return link_send(&p->events->link, type, 0, &b, NULL, 0);
}

int events_ask_place(struct policy *p, const uint8_t recording[16])
{
	return say_place(p, MSG_REC_GLASS, recording);
}

void events_end_place(struct policy *p, const uint8_t recording[16])
{
	say_place(p, MSG_REC_GLASS_OVER, recording);
}

/* --- from recorder --- */

static void committed(struct events *ev, uint64_t seq)
{
	unsigned n = 0;

	ev->committed = seq;
	for (; n < ev->nflight && ev->flight[n].seq <= seq; n++) {
		ev->acked = ev->flight[n].number;
		memcpy(ev->acked_hash, ev->flight[n].hash, sizeof(ev->acked_hash));
		ev->acked_known = true;
		ev->pause_ms = EVENTS_RETRY_MS;
	}
	ev->nflight -= n;
	memmove(ev->flight, ev->flight + n, ev->nflight * sizeof(ev->flight[0]));
}

static void refused(struct events *ev, struct buf *b)
{
	char line[512] = "?";

	buf_get_cstring(b, line, sizeof(line));
	log_warn("recording of the events: %s; they wait in the database", line);
	forget(ev);
}

static int on_message(struct link *l, struct ipc_msg *m)
{
	struct events *ev = (struct events *)((char *)l - offsetof(struct events, link));

	if (m->type == MSG_REC_STATE) {
		ev->store_up = buf_get_u8(&m->body) != 0;
		if (ev->store_up)
			try_again(ev);
		return buf_end(&m->body) ? 0 : -1;
	}
	if (m->type == MSG_REC_GLASS_STATE) {
		ev->glass_up = buf_get_u8(&m->body) != 0;
		return buf_end(&m->body) ? 0 : -1;
	}
	if (m->type == MSG_REC_GLASS_RE)
		return glass_answer(ev->p, &m->body);
	if (m->id != ev->way || ev->state == EVENTS_NONE) /* of one that was given up */
		return 0;
	switch (m->type) {
	case MSG_REC_OPENED:
		if (ev->state == EVENTS_OPENING)
			opened(ev);
		return 0;
	case MSG_REC_COMMIT:
		committed(ev, buf_get_u64(&m->body));
		return 0;
	case MSG_REC_CLOSED:
		forget(ev);
		try_again(ev);
		return 0;
	case MSG_REC_REFUSED:
		refused(ev, &m->body);
		return 0;
	default:
		return -1;
	}
}

/* Recorder is gone, and parent ends the set; or it found fault with what it got, and only a new start mends that. */
static void on_ended(struct link *l, int error)
{
	struct events *ev = (struct events *)((char *)l - offsetof(struct events, link));

	log_error("the link to recorder is over (error %d)", error);
	ev->p->status = 1;
	ev->p->over = true;
}

static const struct link_ops recorder_link = { on_message, on_ended };

/* --- by time --- */

static void save(struct events *ev, uint64_t now_ms)
{
	ev->save_ms = now_ms + EVENTS_SAVE_MS;
	if (ev->acked == ev->saved)
		return;
	if (store_event_shipped(ev->p->store, ev->acked) == 0)
		ev->saved = ev->acked;
	else
		log_error("events: what the collectors have is not noted: %s", store_error(ev->p->store));
}

static void watch_lag(struct events *ev)
{
	int64_t at, now = clock_wall();

	if (store_event_at(ev->p->store, ev->acked + 1, &at) == 1 && at <= now - EVENTS_LATE_S) {
		if (!ev->late)
			log_error("ALARM: events wait for the collectors since %lld s, from number %lld on: they are in the "
				  "database only. See the lines about collectors",
			    (long long)(now - at), (long long)ev->acked + 1);
		ev->late = true;
	} else if (ev->late) {
		ev->late = false;
		log_notice("the collectors have the events up to number %lld again", (long long)ev->acked);
	}
}

/* What is for the worst day has to be there before it: nobody would notice that it is not. */
static void watch_glass(struct policy *p, struct events *ev, uint64_t now_ms)
{
	if (ev->glass_up || config_collectors(p->conf, true) == 0 || p->retired) {
		if (ev->glass_late)
			log_notice("the collectors for break-glass are there again");
		ev->glass_late = false;
		ev->glass_ms = now_ms;
	} else if (!ev->glass_late && now_ms >= ev->glass_ms + EVENTS_GLASS_MS) {
		ev->glass_late = true;
		log_error("ALARM: the collectors for break-glass do not answer: if the others went away now, nobody would get in. See the lines "
		    "about them");
		if (event_writef(p->store, clock_wall(), EVENT_GLASS_AWAY, "bastiond", NULL, NULL) != 0)
			log_error("event of the alarm not written: %s", store_error(p->store));
	}
}

static void prune(struct policy *p, struct events *ev, uint64_t now_ms)
{
	int64_t now = clock_wall();
	int more = event_prune(p->store, now, now - (int64_t)p->conf->event_retention * DAY);

	if (more < 0)
		log_error("old events are not taken away: %s", store_error(p->store));
	ev->prune_ms = now_ms + (more > 0 ? 0 : EVENTS_PRUNE_MS);
}

/* While the collectors are away nothing is added, not even checkpoints: what waits stays bounded. */
static void keep_recording(struct events *ev)
{
	if (ev->renew || ev->day != clock_wall() / DAY || ev->bytes >= EVENTS_RECORDING_BYTES)
		close_recording(ev, ev->renew ? "new configuration" : "the next one goes on");
	else if (brec_writer_seq(ev->writer) - ev->committed < 2 * EVENTS_AHEAD &&
	    brec_writer_tick(ev->writer, clock_mono_us()) < 0)
		give_up(ev, "recorder does not take it");
}

void events_tick(struct policy *p, uint64_t now_ms)
{
	struct events *ev = p->events;

	if (ev == NULL)
		return;
	if (ev->state == EVENTS_OPEN)
		keep_recording(ev);
	if (now_ms >= ev->save_ms)
		save(ev, now_ms);
	if (now_ms >= ev->prune_ms)
		prune(p, ev, now_ms);
	watch_lag(ev);
	watch_glass(p, ev, now_ms);
}

void events_reload(struct policy *p)
{
	if (p->events != NULL)
		p->events->renew = true;
}

/* --- coming and going --- */

int events_link(struct policy *p, int fd)
{
	struct event_log log;
	struct events *ev = calloc(1, sizeof(*ev));

	if (ev == NULL || store_event_log(p->store, &log) != 0) {
		log_error("recording of the events: %s", ev == NULL ? "no memory" : store_error(p->store));
		free(ev);
		close(fd);
		return -1;
	}
	p->events = ev;
	ev->p = p;
	ev->more = ev->store_up = true;
	ev->pause_ms = EVENTS_RETRY_MS;
	ev->glass_ms = clock_mono_ms();
	ev->sent = ev->acked = ev->saved = log.shipped;
	return link_open_as(&ev->link, p->base, fd, ROLE_SESSION, ROLE_RECORDER, &recorder_link);
}

void events_finish(struct policy *p)
{
	struct events *ev = p->events;

	if (ev == NULL)
		return;
	ev->more = true;
	events_turn(p);
	if (ev->state == EVENTS_OPEN && ev->link.open)
		close_recording(ev, "policy ended");
	save(ev, 0);
	brec_writer_destroy(ev->writer);
	link_close(&ev->link);
	free(ev);
	p->events = NULL;
}
