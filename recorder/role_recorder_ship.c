/*
 * role_recorder_ship.c - one collector, as the recorder sees it: connect, ask where each recording stands, send what is missing, take
 * commits and receipts. Runs in the recorder role; doc/PROTOCOL.collector is the other half.
 *
 *   DOWN ──timer──▶ CONNECTING ──TLS, HELLO──▶ UP ──error──▶ DOWN;  any alarm ──▶ BARRED until a reload
 */
#include "role_recorder.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>

#include "clock.h"
#include "crypto.h"
#include "escape.h"
#include "hex.h"
#include "log.h"
#include "wire_receipt.h"

static void arm(struct ship *s, unsigned ms)
{
	const struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 };

	evtimer_add(s->timer, &tv);
}

bool ship_quorum(const struct recorder *rc, enum rec_set set)
{
	unsigned n = 0;

	for (unsigned i = 0; i < rc->nships; i++)
		n += rc->ships[i].set == set && rc->ships[i].state == SHIP_UP && !rc->ships[i].full && !rc->ships[i].leaving;
	return n >= rc->quorum[set];
}

void ship_review(struct recorder *rc)
{
	if (rc->up[SET_GLASS] != ship_quorum(rc, SET_GLASS)) {
		rc->up[SET_GLASS] = !rc->up[SET_GLASS];
		glass_state(rc);
	}
	if (rc->up[SET_USUAL] == ship_quorum(rc, SET_USUAL))
		return;
	rc->up[SET_USUAL] = !rc->up[SET_USUAL];
	link_state(rc);
	if (rc->up[SET_USUAL] && !rc->told_ready)
		event_active(rc->ready, EV_TIMEOUT, 0);
}

/* One setter: says every change, and tells policy when it is the quorum that changes. */
static void set_state(struct ship *s, enum ship_state state, const char *why)
{
	static const char *const names[] = { "down", "connecting", "up", "barred", "left" };

	if (state == SHIP_UP || s->state == SHIP_UP || state >= SHIP_BARRED || !s->said)
		log_notice("collector %s: %s%s%s", s->name, names[state], why[0] != '\0' ? ": " : "", why);
	s->said = state != SHIP_UP;
	s->state = state;
	ship_review(s->rc);
}

static void disconnect(struct ship *s)
{
	struct recording *r;

	if (s->bev != NULL)
		bufferevent_free(s->bev);
	s->bev = NULL;
	s->behind = s->full = s->stands = false;
	s->owes_receipt_ms = 0;
	s->silent = 0;
	TAILQ_FOREACH(r, &s->rc->all, all) {
		r->copies[s->i].synced = false;
		r->copies[s->i].next = NULL;
	}
}

static void fail(struct ship *s, const char *why)
{
	if (s->state == SHIP_DOWN || s->state >= SHIP_BARRED)
		return;
	if (s->state == SHIP_CONNECTING && s->before != NULL) {
		struct ship_tls *other = s->before;

		/* does it know our new certificate? Or still only the one before? */
		s->before = s->tls;
		s->tls = other;
	}
	disconnect(s);
	set_state(s, SHIP_DOWN, why);
	arm(s, s->retry_ms);
	s->retry_ms = s->retry_ms * 2 < SHIP_RETRY_MAX_MS ? s->retry_ms * 2 : SHIP_RETRY_MAX_MS;
}

/* This collector can have no more of it: without a quorum left the session hears that; what was kept for it alone is freed, r may be gone. */
static void lose(struct ship *s, struct recording *r, const char *why)
{
	char line[300];

	snprintf(line, sizeof(line), "bastiond: the recording cannot be stored at %s: %s", s->name, why);
	if (!queue_lose(s->rc, r, s->i))
		link_refuse(s->rc, r, line);
	else
		queue_release(s->rc, r);
}

/* What it says contradicts what it said, or does not verify: nothing from it counts any more. */
static void bar(struct ship *s, const char *why)
{
	struct recording *r, *next;
	char line[300];

	snprintf(line, sizeof(line),
	    "collector %s: %s. It is not used until bastiond's next start or reload; look at its log and its disk", s->name, why);
	link_alarm(s->rc, line);
	disconnect(s);
	evtimer_del(s->timer);
	set_state(s, SHIP_BARRED, why);
	for (r = TAILQ_FIRST(&s->rc->all); r != NULL; r = next) {
		next = TAILQ_NEXT(r, all);
		lose(s, r, why);
	}
}

/* --- out --- */

static bool output_full(const struct ship *s)
{
	return evbuffer_get_length(bufferevent_get_output(s->bev)) >= SHIP_OUTPUT_BYTES;
}

void ship_push(struct ship *s, struct recording *r)
{
	struct copy *c = &r->copies[s->i];

	if (s->state != SHIP_UP || !c->synced)
		return;
	while (c->next != NULL) {
		struct entry *e = c->next;

		if (output_full(s)) {
			s->behind = true;
			return;
		}
		if (bufferevent_write(s->bev, e->data, e->len) != 0) {
			fail(s, "out of memory");
			return;
		}
		c->next = STAILQ_NEXT(e, link);
	}
}

void ship_push_all(struct recorder *rc, struct recording *r)
{
	for (unsigned i = 0; i < rc->nships; i++)
		ship_push(&rc->ships[i], r);
}

/* The output is empty: those who waited go on, from where the last round stopped, so that none starves. */
static void on_drained(struct bufferevent *bev, void *arg)
{
	struct ship *s = arg;
	struct recorder *rc = s->rc;
	struct recording *r;

	(void)bev;
	if (!s->behind)
		return;
	s->behind = false;
	for (r = TAILQ_FIRST(&rc->all); r != NULL; r = TAILQ_NEXT(r, all)) {
		ship_push(s, r);
		if (s->behind) {
			TAILQ_REMOVE(&rc->all, r, all);
			TAILQ_INSERT_TAIL(&rc->all, r, all);
			return;
		}
	}
}

static void send_buf(struct ship *s, struct buf *b)
{
	if (!buf_ok(b) || bufferevent_write(s->bev, b->data, b->len) != 0)
		fail(s, "out of memory");
	buf_finish(b);
}

/* --- in --- */

/* It took our certificate. If that was the new one, the one before is erased; if not, the operator has something to do. */
static void proven(struct ship *s)
{
	if (s->before == NULL)
		return;
	if (memcmp(s->tls->client, s->wanted, HASH_LEN) == 0) {
		ship_tls_destroy(s->before);
		s->before = NULL;
		log_notice("collector %s: knows our new certificate", s->name);
	} else {
		log_warn("collector %s: does not know our new certificate, the one before the reload is used: "
		    "copy recorder/client.crt to it, and reload both", s->name);
	}
}

static void on_hello(struct ship *s, const struct wire_msg *m)
{
	struct recording *r;
	struct buf b;

	if (m->hello.version != WIRE_VERSION) {
		fail(s, "it speaks another version of the protocol");
		return;
	}
	if (!tls_pins_has_key(&s->tls->pins, m->hello.key)) {
		fail(s, "its receipt key is not in the certificate's file: copy the whole file that bastion-collectord -I made");
		return;
	}
	memcpy(s->key, m->hello.key, sizeof(s->key));
	proven(s);
	evtimer_del(s->timer);
	s->retry_ms = SHIP_RETRY_MS;
	s->gave_up = false;
	buf_init(&b, (REC_RECORDINGS_MAX + 1) * (size_t)64);
	TAILQ_FOREACH(r, &s->rc->all, all)
		if (!r->copies[s->i].lost)
			wire_put_resume(&b, r->id, r->opened_us);
	set_state(s, SHIP_UP, "");
	if (b.len != 0 || !buf_ok(&b))
		send_buf(s, &b);
}

static void on_at(struct ship *s, const struct wire_msg *m)
{
	struct recording *r = queue_find(s->rc, m->at.id);
	uint64_t before;

	if (r == NULL || r->copies[s->i].lost)
		return;
	before = r->committed;
	if (queue_resume(s->rc, r, s->i, m->at.state != WIRE_AT_UNKNOWN, m->at.seq, m->at.h) != 0) {
		if (r->copies[s->i].has != 0)
			bar(s, "what it has of a recording is not what it had acknowledged");
		else
			lose(s, r, "it holds other frames under this recording's id, or came too late for this recording");
		return;
	}
	link_committed(r, before);
	ship_push(s, r);
	queue_release(s->rc, r);
}

/* The way that counts: from the collector's word to the session's in one call. */
static void on_commit(struct ship *s, const struct wire_msg *m)
{
	for (size_t i = 0; i < m->commit.n; i++) {
		struct wire_leaf leaf;
		struct recording *r;
		uint64_t before;

		wire_leaf_get(m, i, &leaf);
		if ((r = queue_find(s->rc, leaf.id)) == NULL || r->copies[s->i].lost)
			continue;
		before = r->committed;
		if (queue_ack(s->rc, r, s->i, leaf.seq, leaf.h) != 0) {
			bar(s, "it acknowledged a frame that it was not sent");
			return;
		}
		link_committed(r, before);
		queue_release(s->rc, r);
	}
	if (s->owes_receipt_ms == 0)
		s->owes_receipt_ms = clock_mono_ms();
}

static void on_receipt(struct ship *s, const struct wire_msg *m)
{
	struct wire_leaf *leaves = calloc(m->commit.n, sizeof(*leaves));
	bool good = true;

	if (leaves == NULL) {
		fail(s, "out of memory");
		return;
	}
	for (size_t i = 0; i < m->commit.n && good; i++) {
		struct recording *r;

		wire_leaf_get(m, i, &leaves[i]);
		/* done recordings are gone from memory; for those that are here, and of which it committed anything, it must be that */
		if ((r = queue_find(s->rc, leaves[i].id)) != NULL && !r->copies[s->i].lost && r->copies[s->i].has != 0)
			good = r->copies[s->i].has == leaves[i].seq + 1 && memcmp(r->copies[s->i].h, leaves[i].h, BREC_HASH_LEN) == 0;
	}
	good = good && receipt_check_batch(s->key, m->commit.wall_us, leaves, m->commit.n, m->commit.sig) == 0;
	free(leaves);
	s->owes_receipt_ms = 0;
	s->still = 0;
	if (!good)
		bar(s, "a receipt does not verify");
}

static void on_err(struct ship *s, const struct wire_msg *m)
{
	static const uint8_t connection[BREC_ID_LEN];
	char text[4 * WIRE_TEXT_MAX + 8], hex[2 * BREC_ID_LEN + 1];
	struct recording *r = queue_find(s->rc, m->err.id);

	esc_text(text, sizeof(text), m->err.text, strlen(m->err.text));
	/* behind a refusal each frame that was on its way may get one: the recording is gone, or over there, already */
	if (memcmp(m->err.id, connection, BREC_ID_LEN) != 0 && (r == NULL || r->copies[s->i].lost))
		return;
	log_error("collector %s: recording %s: %s: %s", s->name, hex_encode(hex, m->err.id, BREC_ID_LEN), wire_err_name(m->err.code), text);
	if (r != NULL)
		lose(s, r, text);
}

static void on_state(struct ship *s, const struct wire_msg *m)
{
	char text[4 * WIRE_TEXT_MAX + 8];

	esc_text(text, sizeof(text), m->state.text, strlen(m->state.text));
	s->full = m->state.takes != WIRE_TAKES_ALL;
	s->stands = m->state.takes == WIRE_TAKES_NOTHING;
	set_state(s, SHIP_UP, s->full ? text : "it has room again");
}

static void handle(struct ship *s, const struct wire_msg *m)
{
	if (s->state == SHIP_CONNECTING) {
		if (m->type == WIRE_HELLO)
			on_hello(s, m);
		else
			fail(s, m->type == WIRE_ERR ? m->err.text : "it did not begin with HELLO");
		return;
	}
	s->heard = true;
	s->heard_ms = clock_mono_ms();
	switch (m->type) {
	case WIRE_COMMIT:
		on_commit(s, m);
		break;
	case WIRE_AT:
		on_at(s, m);
		break;
	case WIRE_RECEIPT:
		on_receipt(s, m);
		break;
	case WIRE_STATE:
		on_state(s, m);
		break;
	case WIRE_ERR:
		on_err(s, m);
		break;
	default:
		fail(s, "it sent what only a recorder sends");
	}
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct ship *s = arg;

	/* a handler may free the connection: s->bev is then another, or none */
	while (s->bev == bev) {
		struct evbuffer *in = bufferevent_get_input(bev);
		uint8_t head[4];
		struct wire_msg m;
		const uint8_t *data;
		uint8_t *copy;
		long len;

		if (evbuffer_copyout(in, head, sizeof(head)) < (ssize_t)sizeof(head))
			return;
		len = wire_length(head, sizeof(head));
		if (len > 0 && evbuffer_get_length(in) < (size_t)len)
			return;
		if (len < 0 || (copy = malloc((size_t)len)) == NULL) {
			fail(s, "it sent a malformed message");
			return;
		}
		data = copy;
		evbuffer_remove(in, copy, (size_t)len);
		if (wire_decode(&m, data, (size_t)len) != 0)
			fail(s, "it sent a malformed message");
		else
			handle(s, &m);
		free(copy);
	}
}

/* --- connection --- */

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct ship *s = arg;
	unsigned long e = bufferevent_get_openssl_error(bev);
	char why[200];
	struct buf b;

	if (what & BEV_EVENT_CONNECTED) {
		buf_init(&b, WIRE_MAX);
		wire_put_hello(&b, s->rc->signer->pub, "bastiond");
		send_buf(s, &b);
		return;
	}
	fail(s, tls_end_reason(why, sizeof(why), e, (what & BEV_EVENT_EOF) != 0));
}

static int make_socket(const struct ship *s)
{
	const int one = 1, idle = 5, interval = 2, count = 3, silence = SHIP_SILENCE_MS;
	int fd = socket(s->addr.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof(silence));
	return fd;
}

static void connect_now(struct ship *s)
{
	int fd = make_socket(s);
	SSL *ssl = fd >= 0 ? SSL_new(s->tls->ctx) : NULL;

	set_state(s, SHIP_CONNECTING, "");
	if (ssl != NULL)
		s->bev = bufferevent_openssl_socket_new(s->rc->base, fd, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	if (s->bev == NULL) {
		SSL_free(ssl);
		if (fd >= 0)
			close(fd);
		fail(s, "out of memory or descriptors");
		return;
	}
	bufferevent_setcb(s->bev, on_read, on_drained, on_event, s);
	bufferevent_enable(s->bev, EV_READ | EV_WRITE);
	arm(s, SHIP_HELLO_MS);
	if (bufferevent_socket_connect(s->bev, (struct sockaddr *)&s->addr.ss, (int)s->addr.len) != 0)
		fail(s, strerror(EVUTIL_SOCKET_ERROR()));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct ship *s = arg;

	(void)fd, (void)what;
	if (s->state == SHIP_DOWN)
		connect_now(s);
	else if (s->state == SHIP_CONNECTING)
		fail(s, "no answer in time");
}

int ship_init(struct recorder *rc, unsigned i, const struct config_collector *c, struct ship_tls *tls)
{
	struct ship *s = &rc->ships[i];
	struct event *timer = evtimer_new(rc->base, on_timer, s);

	if (timer == NULL) {
		log_error("out of memory");
		return -1;
	}
	*s = (struct ship){ .rc = rc, .i = i, .set = c->glass ? SET_GLASS : SET_USUAL, .addr = c->addr, .retry_ms = SHIP_RETRY_MS,
		.tls = tls, .timer = timer };
	memcpy(s->wanted, tls->client, HASH_LEN);
	snprintf(s->name, sizeof(s->name), "%s", c->name);
	return 0;
}

void ship_start(struct ship *s)
{
	s->state = SHIP_DOWN;
	s->retry_ms = SHIP_RETRY_MS;
	connect_now(s);
}

void ship_change(struct ship *s, const struct config_addr *addr, struct ship_tls *tls)
{
	const bool other_client = memcmp(s->wanted, tls->client, HASH_LEN) != 0;

	s->addr = *addr;
	if (s->state != SHIP_DOWN) {
		disconnect(s);
		evtimer_del(s->timer);
	}
	ship_tls_destroy(s->before);
	s->before = NULL;
	if (other_client) {
		/* the other end is judged by the new file in any case */
		s->tls->pins = tls->pins;
		s->before = s->tls;
	} else {
		ship_tls_destroy(s->tls);
	}
	s->tls = tls;
	memcpy(s->wanted, tls->client, HASH_LEN);
	ship_start(s);
}

void ship_tls_destroy(struct ship_tls *tls)
{
	if (tls == NULL)
		return;
	SSL_CTX_free(tls->ctx);
	free(tls);
}

/* What it was to keep is complete, or is elsewhere and cannot be completed here. */
static bool free_to_go(struct ship *s)
{
	struct recording *r, *next;
	bool needed = false;

	for (r = TAILQ_FIRST(&s->rc->all); r != NULL; r = next) {
		next = TAILQ_NEXT(r, all);
		if (r->copies[s->i].lost)
			continue;
		if (s->state != SHIP_UP && queue_spares(r, s->i)) {
			queue_lose(s->rc, r, s->i);
			queue_release(s->rc, r);
		} else {
			needed = true;
		}
	}
	return !needed;
}

/* Was something sent that it has not acknowledged? */
static bool owes_commit(const struct ship *s)
{
	const struct recording *r;

	TAILQ_FOREACH(r, &s->rc->all, all)
		if (r->copies[s->i].synced && r->copies[s->i].unacked != NULL)
			return true;
	return false;
}

/*
 * A collector that hangs still has a kernel that takes what is sent. It must not count as one that is there; a full disk, which it
 * says, is another matter.
 */
static void tick_silence(struct ship *s)
{
	s->silent = s->heard || s->stands || !owes_commit(s) ? 0 : s->silent + 1;
	s->heard = false;
	if (s->silent >= SHIP_SILENT_TICKS)
		fail(s, "it acknowledges nothing");
}

/*
 * Who goes on speaking and gives no receipts is false. Who said nothing more since the commit may be a machine that was stopped just then:
 * it is met anew, but not each time.
 */
static void tick_receipts(struct ship *s)
{
	if (s->owes_receipt_ms == 0 || clock_mono_ms() - s->owes_receipt_ms <= SHIP_RECEIPT_MS)
		return;
	if (s->heard_ms < s->owes_receipt_ms + SHIP_STILL_MS && ++s->still < SHIP_STILL_MAX)
		fail(s, "it says nothing, and owes a receipt");
	else
		bar(s, "it acknowledges without giving receipts");
}

void ship_tick(struct ship *s)
{
	if (s->state == SHIP_UP)
		tick_silence(s);
	if (s->state == SHIP_UP)
		tick_receipts(s);
	if (s->leaving && s->state != SHIP_OFF && free_to_go(s)) {
		disconnect(s);
		set_state(s, SHIP_OFF, "no recording needs it any more");
		ship_finish(s);
	}
}

void ship_finish(struct ship *s)
{
	if (s->bev != NULL)
		bufferevent_free(s->bev);
	if (s->timer != NULL)
		event_free(s->timer);
	ship_tls_destroy(s->tls);
	ship_tls_destroy(s->before);
	s->bev = NULL;
	s->timer = NULL;
	s->tls = s->before = NULL;
}
