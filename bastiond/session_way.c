/*
 * session_way.c - a way: one destination of a connection, from the question to policy to the closed recording.
 *
 * Role: session. Before it: session_authn.c or session_tunnel.c (who names the destination). It starts session_target.c and the
 * recording side by side; relay_open.c begins when both stand.
 *
 *   ASKING ──WAY_OK──▶ LOGIN ──target ready and REC_OPENED──▶ OPEN
 *      │ WAY_NO          │ refused, deadline, pinned key differs  │ WAY_END, recording stalled, client gone, target gone
 *      ▼                 ▼                                        ▼
 *     OVER ◀──────────CLOSING (close frame on its way) ◀──────────┘
 *
 * way_end() only marks: it is called from libssh callbacks too. way_step() does the taking down.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "escape.h"
#include "log.h"
#include "session.h"
#include "ssh_io.h"
#include "ssh_setup.h"

#define RECIPIENT_LEN 128
#define CLOSE_WAIT_MS 3000

struct way *way_find(struct session *s, uint32_t id)
{
	for (size_t i = 0; i < SESSION_WAYS_MAX; i++)
		if (s->ways[i] != NULL && s->ways[i]->id == id)
			return s->ways[i];
	return NULL;
}

static int ask_policy(struct way *w)
{
	struct buf b, blob;
	int r = -1;

	buf_init(&b, 2048);
	buf_init(&blob, 512);
	if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &w->key) == SSH_OK && ssh_setup_key_blob(w->key, &blob) == 0) {
		buf_put_cstring(&b, w->host);
		buf_put_cstring(&b, w->login);
		buf_put_string(&b, blob.data, blob.len);
		r = ipc_send(&w->session->policy, MSG_WAY_ASK, w->id, &b, NULL, 0);
	}
	buf_finish(&blob);
	buf_finish(&b);
	return r;
}

struct way *way_create(struct session *s, const char *host, const char *login)
{
	struct way *w;
	size_t i = 0;

	while (i < SESSION_WAYS_MAX && s->ways[i] != NULL)
		i++;
	if (i == SESSION_WAYS_MAX || (w = calloc(1, sizeof(*w))) == NULL)
		return NULL;
	w->session = s;
	w->id = s->next_way++;
	w->state = WAY_ASKING;
	w->agent = -1;
	snprintf(w->host, sizeof(w->host), "%s", host);
	snprintf(w->login, sizeof(w->login), "%s", login);
	buf_init(&w->pins, MSG_MAX); /* a part of one message */
	if (ask_policy(w) != 0) {
		ssh_key_free(w->key);
		free(w);
		return NULL;
	}
	s->ways[i] = w;
	return w;
}

void way_end(struct way *w, enum brec_end end, const char *line)
{
	if (w->ending || w->state == WAY_OVER)
		return;
	w->ending = true;
	w->end = end;
	snprintf(w->line, sizeof(w->line), "%s", line);
}

void way_left(struct way *w, bool broke)
{
	way_end(w, broke ? BREC_END_ERROR : BREC_END_NORMAL, broke ? "bastiond: the client broke the protocol: session ended" : "");
}

uint64_t way_event(struct way *w, enum brec_stream stream, enum brec_kind kind, uint32_t channel, const void *data,
    size_t len)
{
	uint64_t seq;

	if (w->writer == NULL || (w->ending && !w->last_words))
		return 0;
	if ((seq = brec_writer_event(w->writer, stream, kind, clock_mono_us(), channel, data, len)) == 0)
		way_end(w, BREC_END_ERROR, "bastiond: the recording broke: session ended");
	return seq;
}

/* --- the recording: frames to the recorder --- */

static int send_frame(void *ctx, const uint8_t *frame, size_t len, uint64_t seq)
{
	struct way *w = ctx;
	struct buf b;

	(void)seq;
	buf_view(&b, frame, len);
	return ipc_send(&w->session->recorder, MSG_REC_FRAME, w->id, &b, NULL, 0);
}

static int send_mark(void *ctx, uint64_t seq)
{
	struct way *w = ctx;
	uint8_t mem[8];
	struct buf b;
	int r;

	buf_init(&b, sizeof(mem));
	r = buf_put_u64(&b, seq) != 0 ? -1 : ipc_send(&w->session->recorder, MSG_REC_MARK, w->id, &b, NULL, 0);
	buf_finish(&b);
	return r;
}

static int send_seal(void *ctx, uint64_t seq, const struct buf *part)
{
	struct way *w = ctx;
	struct buf b;
	int r;

	buf_init(&b, 32768);
	buf_put_u64(&b, seq);
	buf_put_string(&b, part->data, part->len);
	r = ipc_send(&w->session->recorder, MSG_REC_SEAL, w->id, &b, NULL, 0);
	buf_finish(&b);
	return r;
}

static int send_close(void *ctx, uint64_t seq, enum brec_end end, const char *reason)
{
	struct way *w = ctx;
	struct buf b;
	int r;

	buf_init(&b, 512);
	buf_put_u64(&b, seq);
	buf_put_u8(&b, (uint8_t)end);
	buf_put_string(&b, reason, strnlen(reason, 200));
	r = ipc_send(&w->session->recorder, MSG_REC_CLOSE, w->id, &b, NULL, 0);
	buf_finish(&b);
	return r;
}

static const struct brec_writer_ops recorder_ops = { send_frame, send_mark, send_seal, send_close };

/* list(str age recipient) into a NULL-terminated array; false if it is malformed. */
static bool get_recipients(struct buf *b, char text[][RECIPIENT_LEN], const char *list[])
{
	uint32_t n = buf_get_u32(b);

	if (n > CONFIG_RECIPIENTS_MAX)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (buf_get_cstring(b, text[i], RECIPIENT_LEN) != 0)
			return false;
		list[i] = text[i];
	}
	list[n] = NULL;
	return true;
}

/* Who can read: all, what is typed, and with whom. The lists point into the texts. */
struct readers {
	char text[3][CONFIG_RECIPIENTS_MAX][RECIPIENT_LEN];
	const char *list[3][CONFIG_RECIPIENTS_MAX + 1];
};

static bool get_readers(struct buf *b, struct readers *r)
{
	for (int i = 0; i < 3; i++)
		if (!get_recipients(b, r->text[i], r->list[i]))
			return false;
	return true;
}

static int open_recording(struct way *w, const char *meta, size_t meta_len, const struct readers *readers)
{
	const struct config *conf = w->session->conf;
	uint64_t now = clock_mono_us();
	struct buf b, part;
	int r = -1;

	buf_init(&part, BREC_HEADER_MAX);
	buf_init(&b, 32768);
	w->writer = brec_writer_create(w->recording, readers->list[0], readers->list[1], now, &recorder_ops, w);
	if (w->writer == NULL ||
	    brec_writer_recipients(w->writer, readers->list[0], readers->list[1], readers->list[2]) != 0 || brec_writer_part(w->writer, &part) != 0)
		goto out;
	brec_writer_limits(w->writer, (size_t)conf->segment_bytes, conf->segment_time / 1000);
	buf_put(&b, w->recording, sizeof(w->recording));
	buf_put_string(&b, part.data, part.len);
	if (ipc_send(&w->session->recorder, MSG_REC_OPEN, w->id, &b, NULL, 0) != 0)
		goto out;
	if (way_event(w, BREC_META, BREC_K_META, 0, meta, meta_len) != 0)
		r = 0;
out:
	buf_finish(&b);
	buf_finish(&part);
	return r;
}

/* --- messages --- */

/* The pinned keys are kept as the list they came in: session_target.c reads it again. */
static bool get_pins(struct way *w, struct buf *b)
{
	uint32_t n = buf_get_u32(b);

	if (n == 0 || n > WAY_PINS_MAX || buf_put_u32(&w->pins, n) != 0)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		size_t len;
		const uint8_t *blob = buf_get_string(b, 4096, &len);

		if (blob == NULL || buf_put_string(&w->pins, blob, len) != 0)
			return false;
	}
	return true;
}

static void on_way_ok(struct way *w, struct ipc_msg *m)
{
	struct readers readers;
	const uint8_t *cert, *meta;
	size_t cert_len, meta_len;
	struct buf *b = &m->body;

	buf_get_copy(b, w->recording, sizeof(w->recording));
	if (!get_pins(w, b))
		goto malformed;
	cert = buf_get_string(b, 8192, &cert_len);
	meta = buf_get_string(b, GRANT_META_MAX, &meta_len);
	if (!get_readers(b, &readers))
		goto malformed;
	w->content_limit = buf_get_u64(b);
	w->hold_ms = buf_get_u32(b);
	w->banner_ms = buf_get_u32(b);
	w->strict = buf_get_u8(b) != 0;
	w->forwards = buf_get_u8(b) != 0;
	if (!buf_end(b) || m->nfds < 1)
		goto malformed;
	w->state = WAY_LOGIN;
	w->login_deadline_ms = clock_mono_ms() + w->session->conf->dial_timeout;
	if (target_start(w, ipc_take_fd(m, 0), cert, cert_len, ipc_take_fd(m, 1)) != 0)
		way_end(w, BREC_END_ERROR, "bastiond: cannot start the login at the target");
	else if (open_recording(w, (const char *)meta, meta_len, &readers) != 0)
		way_end(w, BREC_END_ERROR, "bastiond: the recording cannot be opened: no session without one");
	return;
malformed:
	log_error("session: malformed WAY_OK");
	way_end(w, BREC_END_ERROR, "bastiond: internal error");
}

/* Auditors came or went: the next segment, which begins at once, is for the new ones. */
static void on_readers(struct way *w, struct ipc_msg *m)
{
	struct readers readers = { .list = { { NULL } } };

	if (w->writer == NULL)
		return;
	if (!get_readers(&m->body, &readers) || !buf_end(&m->body) ||
	    brec_writer_recipients(w->writer, readers.list[0], readers.list[1], readers.list[2]) != 0) {
		log_error("session: malformed WAY_READERS");
		way_end(w, BREC_END_ERROR, "bastiond: internal error");
	}
}

static void on_chan_re(struct way *w, struct ipc_msg *m)
{
	uint32_t number = buf_get_u32(&m->body);
	bool ok = buf_get_u8(&m->body) != 0;
	char line[LINE_MAX_LEN];
	struct chan *c = way_chan(w, number);

	buf_get_cstring(&m->body, line, sizeof(line));
	if (c == NULL || c->state != CHAN_ASKED || (c->rights = buf_get_u8(&m->body), !buf_end(&m->body)))
		return; /* the channel ended meanwhile */
	if (ok)
		relay_allowed(c);
	else
		chan_refuse(c, line);
}

void way_policy(struct way *w, struct ipc_msg *m)
{
	char line[LINE_MAX_LEN];

	switch (m->type) {
	case MSG_WAY_OK:
		if (w->state == WAY_ASKING && !w->ending)
			on_way_ok(w, m);
		break;
	case MSG_WAY_READERS:
		on_readers(w, m);
		break;
	case MSG_WAY_NO:
		buf_get_u8(&m->body);
		buf_get_cstring(&m->body, line, sizeof(line));
		w->denied = true;
		way_end(w, BREC_END_ERROR, line);
		break;
	default:
		on_chan_re(w, m);
	}
}

void way_recorder(struct way *w, struct ipc_msg *m)
{
	char line[512];
	uint64_t seq;

	switch (m->type) {
	case MSG_REC_OPENED:
		w->recorded = true;
		break;
	case MSG_REC_REFUSED:
		buf_get_cstring(&m->body, line, sizeof(line));
		way_end(w, BREC_END_ERROR, line);
		w->refused = true;
		break;
	case MSG_REC_COMMIT:
		seq = buf_get_u64(&m->body);
		if (seq > w->committed)
			w->committed = seq;
		break;
	case MSG_REC_CLOSED:
		w->closed = true;
		break;
	default:
		break;
	}
}

/* --- steps --- */

static void each_in(struct front *f, struct way *w, void (*visit)(struct chan *c, void *arg), void *arg)
{
	for (struct chan *c = f->chans; c != NULL; c = c->next) {
		if (c->tunnel != NULL)
			each_in(tunnel_front(c->tunnel), w, visit, arg);
		else if (c->way == w)
			visit(c, arg);
	}
}

void way_each_chan(struct way *w, void (*visit)(struct chan *c, void *arg), void *arg)
{
	each_in(&w->session->outer, w, visit, arg);
}

struct find_number { uint32_t number; struct chan *found; };

static void match_number(struct chan *c, void *arg)
{
	struct find_number *f = arg;

	if (c->number == f->number)
		f->found = c;
}

struct chan *way_chan(struct way *w, uint32_t number)
{
	struct find_number f = { number, NULL };

	way_each_chan(w, match_number, &f);
	return f.found;
}

static void visit_over(struct chan *c, void *arg)
{
	struct way *w = arg;

	relay_way_over(c, w->line);
}

static void count_held(struct chan *c, void *arg)
{
	bool *waits = arg;
	struct hold_item it;

	if ((c->state == CHAN_OPENING && !way_passes(c->way, c->open_seq)) ||
	    (hold_peek(&c->in, &it) && !way_passes(c->way, it.seq)) ||
	    (hold_peek(&c->out, &it) && !way_passes(c->way, it.seq)))
		*waits = true;
}

static void count_live(struct chan *c, void *arg)
{
	if (c->state > CHAN_NEW && c->state < CHAN_ENDING)
		*(bool *)arg = true;
}

/* The target is gone: the way ends when its channels have said what they held. */
static void check_lost(struct way *w)
{
	bool live = false;

	way_each_chan(w, count_live, &live);
	if (!live)
		way_end(w, BREC_END_NORMAL, "bastiond: the target closed the connection");
}

static void report_down(struct way *w)
{
	struct buf b;

	buf_init(&b, 1024);
	buf_put_string(&b, w->line, strnlen(w->line, 512));
	buf_put_u64(&b, w->bytes_in);
	buf_put_u64(&b, w->bytes_out);
	buf_put_u64(&b, w->committed); /* what is recorded somewhere */
	ipc_send(&w->session->policy, MSG_WAY_DOWN, w->id, &b, NULL, 0);
	buf_finish(&b);
}

static void visit_last(struct chan *c, void *arg)
{
	(void)arg;
	record_last(c);
}

/* The way ends: its target and its channels now, its recording when the close frame is durable. */
static void take_down(struct way *w)
{
	w->state = WAY_CLOSING;
	w->close_deadline_ms = clock_mono_ms() + CLOSE_WAIT_MS;
	w->last_words = true;
	way_each_chan(w, visit_last, NULL);
	w->last_words = false;
	if (w->writer != NULL && w->line[0] != '\0')
		brec_writer_event(w->writer, BREC_META, BREC_K_NOTE, clock_mono_us(), 0, w->line, strlen(w->line));
	way_each_chan(w, visit_over, w);
	if (w->ssh != NULL)
		target_leave(w);
	if (!w->denied)
		report_down(w);
	if (w->writer == NULL || w->refused ||
	    brec_writer_close(w->writer, clock_mono_us(), w->end, w->line) != 0)
		w->closed = true;
}

static void become_open(struct way *w)
{
	w->state = WAY_OPEN;
	w->used_ms = clock_mono_ms();
	ssh_io_hold_end(w->fd);
	ssh_io_gather(w->fd);
	if (ipc_send_empty(&w->session->policy, MSG_WAY_UP, w->id) != 0)
		w->session->over = true;
}

void way_step(struct way *w)
{
	if (w->ssh != NULL && !w->ending)
		target_step(w);
	if (w->lost && !w->ending)
		check_lost(w);
	if (w->ending && w->state != WAY_CLOSING && w->state != WAY_OVER)
		take_down(w);
	if (w->state == WAY_LOGIN && w->step == TARGET_READY && w->recorded)
		become_open(w);
	if (w->state == WAY_CLOSING && w->closed)
		w->state = WAY_OVER;
}

static void count_unread(struct chan *c, void *arg)
{
	if (c->state == CHAN_LIVE && !c->client_closed && !c->target_abandoned && (c->left_out || c->left_err))
		*(bool *)arg = true;
}

bool way_let_end(struct way *w)
{
	bool unread = false;

	if (w->ssh == NULL || w->lost || !ssh_io_at_end(w->fd))
		return false;
	way_each_chan(w, count_unread, &unread);
	if (unread)
		return false;
	ssh_io_let_end(w->fd);
	w->ready = true;
	return true;
}

void way_flush(struct way *w)
{
	if (w->writer != NULL && w->state != WAY_CLOSING && w->state != WAY_OVER &&
	    brec_writer_flush(w->writer, clock_mono_us()) != 0)
		way_end(w, BREC_END_ERROR, "bastiond: the recording broke: session ended");
}

static void visit_say(struct chan *c, void *arg)
{
	chan_say(c, arg);
}

void way_say(struct way *w, const char *line)
{
	char text[LINE_MAX_LEN];

	snprintf(text, sizeof(text), "%s", line);
	way_each_chan(w, visit_say, text);
}

/* Bytes wait for the collectors: after a while the user is told, after hold_ms the way ends. */
static int tick_stall(struct way *w, uint64_t now_ms)
{
	bool waits = false;
	uint64_t at;

	way_each_chan(w, count_held, &waits);
	if (!waits) {
		if (w->banner_shown)
			way_say(w, "bastiond: recording goes on, thank you for waiting");
		w->stall_since_ms = 0;
		w->banner_shown = false;
		return -1;
	}
	if (w->stall_since_ms == 0 || w->stall_seq != w->committed) {
		w->stall_since_ms = now_ms;
		w->stall_seq = w->committed;
	}
	if (now_ms >= w->stall_since_ms + w->hold_ms) {
		way_end(w, BREC_END_ERROR, "bastiond: the recording could not be stored in time: session ended, nothing unrecorded passed");
		return 0;
	}
	if (!w->banner_shown && now_ms >= w->stall_since_ms + w->banner_ms) {
		w->banner_shown = true;
		session_note(w->session, w->id, "recording.stall", w->host);
		way_say(w, "bastiond: the recording store does not answer: input is held, please wait");
	}
	at = w->stall_since_ms + (w->banner_shown ? w->hold_ms : w->banner_ms);
	return (int)(at - now_ms);
}

int way_tick(struct way *w, uint64_t now_ms)
{
	int next = -1, stall = 0;

	/* when it is over it waits for the client to close its channels: that may be never */
	if (w->ending && w->state != WAY_CLOSING)
		return w->state == WAY_OVER ? -1 : 0;
	switch (w->state) {
	case WAY_LOGIN:
		if (now_ms >= w->login_deadline_ms) {
			way_end(w, BREC_END_ERROR, w->step != TARGET_READY ?
			    "bastiond: the target did not finish the login in time" :
			    "bastiond: the recording store does not answer: no session without a recording");
			return 0;
		}
		next = (int)(w->login_deadline_ms - now_ms);
		break;
	case WAY_OPEN:
		next = relay_open_tick(w, now_ms, tick_stall(w, now_ms));
		if (!w->lost && (stall = target_tick(w, now_ms)) >= 0 && (next < 0 || stall < next))
			next = stall;
		break;
	case WAY_CLOSING:
		if (now_ms >= w->close_deadline_ms)
			w->state = WAY_OVER;
		return w->state == WAY_OVER ? 0 : (int)(w->close_deadline_ms - now_ms);
	default:
		return -1;
	}
	if (w->writer != NULL && (stall = brec_writer_tick(w->writer, clock_mono_us())) < 0)
		way_end(w, BREC_END_ERROR, "bastiond: the recording broke: session ended");
	else if (w->writer != NULL && (next < 0 || stall < next))
		next = stall;
	return next;
}

void way_destroy(struct way *w)
{
	if (w == NULL)
		return;
	ssh_free(w->ssh);
	ssh_key_free(w->key);
	brec_writer_destroy(w->writer);
	buf_finish(&w->pins);
	free(w);
}
