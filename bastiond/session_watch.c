/*
 * session_watch.c - terminals of this connection, shown live to those whom policy allows it.
 *
 * Role: session, the watched one. Before it: WATCH from policy, which has checked the right and written the event; relay_chan.c, which
 * puts into a terminal's ring (relay_ring.h) what the client was sent. After it: a viewer (worker_view.c), over a link that nothing is
 * ever read from. A watcher costs the session a copy of its output and nothing else: the ring is its only buffer, writing
 * never waits, and who is slow misses something.
 *
 * The recording says who watches: that note is durable before the first byte is shown, as the bytes themselves are (promise P2).
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "access.h"
#include "clock.h"
#include "log.h"
#include "session.h"

struct watcher {
	uint32_t id;			/* policy's number of the watch */
	struct ipc link;
	struct chan *chan;
	struct ring_reader reader;
	uint64_t note_seq;		/* the recording's note of it */
	uint64_t bytes, lost;
	bool tell, gone;
	char name[USER_NAME_MAX + 1];
	char title[160];
};

/* --- terminals --- */

void watch_open(struct chan *c)
{
	struct session *s = c->front->session;

	if (!c->pty || s->conf->max_watchers == 0 || (c->ring = calloc(1, sizeof(*c->ring))) == NULL)
		return; /* without memory nobody can watch it: that is all */
	c->terminal = ++s->terminals;
	ring_resize(c->ring, c->cols, c->rows);
}

void watch_put(struct chan *c, const void *data, size_t len, uint64_t seq)
{
	if (c->ring != NULL && ring_put(c->ring, data, len, seq, c->way->committed) != 0)
		log_warn("%s: no memory to show terminal %u", c->front->session->peer, c->terminal);
}

void watch_resized(struct chan *c)
{
	if (c->ring != NULL)
		ring_resize(c->ring, c->cols, c->rows);
}

/* Visits every terminal of the connection that can be watched. */
static void each_terminal(struct front *f, void (*visit)(struct chan *c, void *arg), void *arg)
{
	for (struct chan *c = f->chans; c != NULL; c = c->next) {
		if (c->tunnel != NULL)
			each_terminal(tunnel_front(c->tunnel), visit, arg);
		else if (c->ring != NULL && c->state == CHAN_LIVE && c->way != NULL && !c->way->ending)
			visit(c, arg);
	}
}

struct choice {
	uint32_t wanted;		/* 0: the one used last */
	struct chan *found;
	unsigned n;
};

static void choose(struct chan *c, void *arg)
{
	struct choice *ch = arg;

	ch->n++;
	if (ch->wanted != 0 ? c->terminal == ch->wanted :
	    ch->found == NULL || c->used_ms > ch->found->used_ms ||
		(c->used_ms == ch->found->used_ms && c->terminal > ch->found->terminal))
		ch->found = c;
}

static void list_number(struct chan *c, void *arg)
{
	char *text = arg;
	size_t n = strlen(text);

	if (n < 60)
		snprintf(text + n, 16, "%s%u", n > 0 ? ", " : "", c->terminal);
}

/* Why nothing can be shown, for the watcher. */
static void explain(struct session *s, const struct choice *ch, char *line, size_t size)
{
	char open[80] = "";

	each_terminal(&s->outer, list_number, open);
	if (ch->n > 0)
		snprintf(line, size, "There is no terminal %u in this session; open are: %s", ch->wanted, open);
	else if (s->conf->max_watchers == 0)
		snprintf(line, size, "This session began while watching was switched off (max_watchers = 0).");
	else
		snprintf(line, size, "This session has no terminal open: there is nothing to be seen of it but its recording.");
}

/* --- the end of a watch --- */

static void report_over(struct session *s, const struct watcher *w, const char *why)
{
	struct buf b;

	buf_init(&b, 1024);
	buf_put_u64(&b, w->bytes);
	buf_put_u64(&b, w->lost);
	buf_put_string(&b, why, strnlen(why, 500));
	if (ipc_send(&s->policy, MSG_WATCH_OVER, w->id, &b, NULL, 0) != 0)
		s->over = true;
	buf_finish(&b);
}

static void feed(struct watcher *w);

/* The viewer gets the line, the user is told, the recording and policy hear of it. */
static void end_watch(struct session *s, size_t i, const char *line)
{
	struct watcher *w = s->watchers[i];
	struct chan *c = w->chan;
	char text[LINE_MAX_LEN];
	struct buf b;

	feed(w);
	buf_init(&b, 1100);
	buf_put_string(&b, line, strnlen(line, 1000));
	if (!w->gone)
		ipc_send(&w->link, MSG_SHOW_END, 0, &b, NULL, 0);
	buf_finish(&b);
	ipc_finish(&w->link);
	if (c->state == CHAN_LIVE && c->way != NULL && !c->way->ending) {
		snprintf(text, sizeof(text), "%s no longer watches terminal %u", w->name, c->terminal);
		way_event(c->way, BREC_META, BREC_K_NOTE, c->number, text, strlen(text));
		snprintf(text, sizeof(text), "bastiond: %s no longer watches this session", w->name);
		if (w->tell)
			chan_queue(c, text);
	}
	report_over(s, w, line);
	free(w);
	s->watchers[i] = NULL;
}

void watch_left(struct chan *c)
{
	struct session *s = c->front->session;

	for (size_t i = 0; i < WATCHERS_MAX; i++)
		if (s->watchers[i] != NULL && s->watchers[i]->chan == c)
			end_watch(s, i, "The session has ended.");
	if (c->ring != NULL)
		ring_finish(c->ring);
	free(c->ring);
	c->ring = NULL;
	c->terminal = 0;
}

void watch_finish(struct session *s, const char *line)
{
	for (size_t i = 0; i < WATCHERS_MAX; i++)
		if (s->watchers[i] != NULL)
			end_watch(s, i, line);
}

/* --- and its beginning --- */

static void answer(struct session *s, uint32_t id, bool ok, const char *line)
{
	struct buf b;

	buf_init(&b, 512);
	buf_put_u8(&b, ok);
	buf_put_string(&b, line, strnlen(line, 500));
	if (ipc_send(&s->policy, MSG_WATCH_RE, id, &b, NULL, 0) != 0)
		s->over = true;
	buf_finish(&b);
}

static void begin(struct session *s, struct watcher *w, const struct choice *ch)
{
	struct chan *c = ch->found;
	char text[LINE_MAX_LEN];

	w->chan = c;
	snprintf(w->title, sizeof(w->title), ch->n > 1 ? "%s as %s@%s, terminal %u of %u" : "%s as %s@%s", s->who.user,
	    c->way->login, c->way->host, c->terminal, ch->n);
	snprintf(text, sizeof(text), "%s watches terminal %u", w->name, c->terminal);
	w->note_seq = way_event(c->way, BREC_META, BREC_K_NOTE, c->number, text, strlen(text));
	snprintf(text, sizeof(text), "bastiond: %s watches this session", w->name);
	if (w->tell)
		chan_queue(c, text);
	answer(s, w->id, true, "");
}

static void on_watch(struct session *s, struct ipc_msg *m)
{
	struct watcher *w = calloc(1, sizeof(*w));
	struct choice ch = { .found = NULL };
	char line[256] = "The session has no room for one more watcher.";
	size_t i = 0;

	while (i < WATCHERS_MAX && s->watchers[i] != NULL)
		i++;
	if (w == NULL || i == WATCHERS_MAX)
		goto refuse;
	w->id = m->id;
	buf_get_cstring(&m->body, w->name, sizeof(w->name));
	ch.wanted = buf_get_u32(&m->body);
	w->tell = buf_get_u8(&m->body) != 0;
	if (!buf_end(&m->body)) {
		log_error("session: malformed WATCH");
		goto refuse;
	}
	each_terminal(&s->outer, choose, &ch);
	if (ch.found == NULL) {
		explain(s, &ch, line, sizeof(line));
		goto refuse;
	}
	ipc_init(&w->link, ipc_take_fd(m, 0), ROLE_SESSION, ROLE_VIEW);
	/* one way only: what a viewer would say has nowhere to go */
	shutdown(w->link.fd, SHUT_RD);
	s->watchers[i] = w;
	begin(s, w, &ch);
	return;
refuse:
	free(w);
	answer(s, m->id, false, line);
}

void watch_policy(struct session *s, struct ipc_msg *m)
{
	char line[LINE_MAX_LEN];

	if (m->type == MSG_WATCH) {
		on_watch(s, m);
		return;
	}
	if (buf_get_cstring(&m->body, line, sizeof(line)) != 0)
		strcpy(line, "The watch has ended.");
	for (size_t i = 0; i < WATCHERS_MAX; i++)
		if (s->watchers[i] != NULL && s->watchers[i]->id == m->id)
			end_watch(s, i, line);
}

/* --- what is shown --- */

/* One message. False: the viewer is gone. */
static bool send_piece(struct watcher *w, const struct ring_piece *p)
{
	static const enum msg_type types[] = {
		[RING_RESTART] = MSG_SHOW_START, [RING_DATA] = MSG_SHOW_DATA, [RING_SIZE] = MSG_SHOW_SIZE,
	};
	struct buf b;
	int r;

	if (p->kind == RING_DATA) {
		buf_view(&b, p->data, p->len);
		return ipc_send(&w->link, MSG_SHOW_DATA, 0, &b, NULL, 0) == 0;
	}
	buf_init(&b, 512);
	if (p->kind == RING_RESTART)
		buf_put_cstring(&b, w->title);
	buf_put_u16(&b, p->cols);
	buf_put_u16(&b, p->rows);
	if (p->kind == RING_RESTART)
		buf_put_u64(&b, p->lost);
	r = ipc_send(&w->link, types[p->kind], 0, &b, NULL, 0);
	buf_finish(&b);
	return r == 0;
}

/* As much as its socket takes, at most what the ring holds: nothing comes in meanwhile. One message at most is queued. */
static void feed(struct watcher *w)
{
	struct ring_piece p;
	struct way *way = w->chan->way;

	if (w->gone || way == NULL || w->chan->ring == NULL || w->note_seq > way->committed)
		return;
	ring_commit(w->chan->ring, way->committed);
	while (!ipc_wants_write(&w->link)) {
		ring_next(w->chan->ring, &w->reader, &p);
		if (p.kind == RING_NOTHING)
			return;
		if (!send_piece(w, &p)) {
			w->gone = true;
			return;
		}
		ring_took(&w->reader, &p);
		w->bytes += p.kind == RING_DATA ? p.len : 0;
		w->lost += p.lost;
	}
}

void watch_step(struct session *s)
{
	for (size_t i = 0; i < WATCHERS_MAX; i++) {
		struct watcher *w = s->watchers[i];

		if (w == NULL)
			continue;
		if (ipc_flush(&w->link) != 0)
			w->gone = true;
		feed(w);
		if (w->gone)
			end_watch(s, i, "The watcher left.");
	}
}

int watch_fd(const struct session *s, size_t i, short *events)
{
	if (s->watchers[i] == NULL)
		return -1;
	/* POLLHUP comes unasked */
	*events = ipc_wants_write(&s->watchers[i]->link) ? POLLOUT : 0;
	return s->watchers[i]->link.fd;
}

void watch_ready(struct session *s, size_t i, short revents)
{
	if (s->watchers[i] != NULL && (revents & (POLLHUP | POLLERR)) != 0)
		s->watchers[i]->gone = true;
}

/* --- what policy is told with each PONG --- */

struct report {
	struct way *way;
	uint64_t used_ms;
	unsigned caps, terminals, how;
};

static void count_chan(struct chan *c, void *arg)
{
	struct report *r = arg;

	if (c->state <= CHAN_NEW || c->state >= CHAN_ENDING)
		return;
	if (c->capability != NULL)
		r->caps |= cap_by_name(c->capability);
	r->terminals += c->pty;
	if (c->used_ms > r->used_ms)
		r->used_ms = c->used_ms;
	r->how = c->from_console ? WAY_BY_CONSOLE : r->how;
}

static void put_way(struct buf *b, struct way *w, uint64_t now)
{
	struct report r = { .way = w, .used_ms = w->used_ms, .how = w->session->outer.way == w ? WAY_BY_NAME : WAY_BY_JUMP };

	way_each_chan(w, count_chan, &r);
	if (r.used_ms > w->used_ms)
		w->used_ms = r.used_ms;
	buf_put_u32(b, w->id);
	buf_put_u32(b, (uint32_t)((now - w->used_ms) / 1000));
	buf_put_u64(b, w->bytes_in);
	buf_put_u64(b, w->bytes_out);
	buf_put_u8(b, (uint8_t)r.caps);
	buf_put_u8(b, (uint8_t)(r.terminals < 255 ? r.terminals : 255));
	buf_put_u8(b, (uint8_t)r.how);
}

void watch_report(struct session *s, struct buf *b)
{
	uint64_t now = clock_mono_ms();

	for (size_t i = 0; i < SESSION_WAYS_MAX; i++)
		if (s->ways[i] != NULL && s->ways[i]->state == WAY_OPEN)
			put_way(b, s->ways[i], now);
}
