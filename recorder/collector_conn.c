/*
 * collector_conn.c - see collector_conn.h; the messages are those of doc/PROTOCOL.collector. Comes
 * after collector_main.c, before collector_store.c.
 */
#include "collector_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>

#include "clock.h"
#include "escape.h"
#include "log.h"

struct conn {
	LIST_ENTRY(conn) link;
	struct server *sv;
	struct bufferevent *bev;
	const struct coll_client *client;	/* NULL before HELLO */
	struct rec_list owned, touched, not_signed;
	size_t nowned;
	bool ending;				/* freed at the end of the turn */
	char peer[80];
};

static void conn_end(struct conn *c, const char *why)
{
	if (c->ending)
		return;
	c->ending = true;
	log_info("%s%s%s: connection ended: %s", c->client != NULL ? c->client->name : "",
	    c->client != NULL ? " " : "", c->peer, why);
	bufferevent_disable(c->bev, EV_READ);
}

static void send_buf(struct conn *c, struct buf *b)
{
	if (!buf_ok(b) || bufferevent_write(c->bev, b->data, b->len) != 0)
		conn_end(c, "out of memory");
	else if (evbuffer_get_length(bufferevent_get_output(c->bev)) > CONN_OUTPUT_MAX)
		conn_end(c, "it does not read its acknowledgements");
	buf_finish(b);
}

static void send_err(struct conn *c, const uint8_t *id, enum wire_err code, const char *why)
{
	struct buf b;

	/* what was on its way behind a refused OPEN is no news */
	(code == WIRE_E_UNKNOWN ? log_debug : log_warn)("%s %s: %s: %s", c->client != NULL ? c->client->name : "?", c->peer,
	    wire_err_name(code), why);
	buf_init(&b, WIRE_MAX);
	wire_put_err(&b, id, code, why);
	send_buf(c, &b);
	if (id == NULL) {
		/* one turn for the line to leave; then it is freed whether or not it did */
		bufferevent_flush(c->bev, EV_WRITE, BEV_FLUSH);
		conn_end(c, why);
	}
}

static void send_state(struct conn *c)
{
	struct store *s = &c->sv->store;
	struct buf b;

	buf_init(&b, WIRE_MAX);
	wire_put_state(&b, s->held ? WIRE_TAKES_NOTHING : s->low || s->unarchived ? WIRE_TAKES_NO_NEW : WIRE_TAKES_ALL,
	    s->held ? "the collector's disk is full" : s->low ? "the collector's disk is nearly full" :
	    s->unarchived ? "the object store behind the collector is away for too long" : "");
	send_buf(c, &b);
}

/* Takes a recording away from its connection: the lists, not the recording. */
static void disown(struct rec *r)
{
	struct conn *c = r->owner;

	if (c == NULL)
		return;
	TAILQ_REMOVE(&c->owned, r, owned);
	c->nowned--;
	if (r->touched)
		TAILQ_REMOVE(&c->touched, r, touched_link);
	if (r->not_signed)
		TAILQ_REMOVE(&c->not_signed, r, unsigned_link);
	r->touched = r->not_signed = r->refused = false;
	r->owner = NULL;
}

/* The newest connection wins: the one before is probably the half-open rest of a network that broke. */
static void own(struct conn *c, struct rec *r)
{
	if (r->owner == c)
		return;
	disown(r);
	r->owner = c;
	TAILQ_INSERT_TAIL(&c->owned, r, owned);
	c->nowned++;
}

static bool signer_known(const struct coll_client *client, const struct rec *r)
{
	uint8_t id[HASH_LEN];

	for (size_t i = 0; i < client->signers.nkeys; i++)
		if (key_id(id, client->signers.keys[i]) == 0 && memcmp(id, r->signer, sizeof(id)) == 0)
			return true;
	return client->signers.nkeys == 0;
}

static void on_hello(struct conn *c, const struct wire_msg *m)
{
	SSL *ssl = bufferevent_openssl_get_ssl(c->bev);
	uint8_t pin[TLS_PIN_LEN];
	struct buf b;

	if (m->hello.version != WIRE_VERSION) {
		send_err(c, NULL, WIRE_E_PROTOCOL, "protocol version 1 is spoken here");
		return;
	}
	if (tls_peer_pin(ssl, pin) != 0 || (c->client = coll_conf_client(c->sv->conf, pin)) == NULL) {
		send_err(c, NULL, WIRE_E_REFUSED, "certificate no longer registered");
		return;
	}
	bufferevent_set_timeouts(c->bev, NULL, NULL);
	log_info("%s %s: connected", c->client->name, c->peer);
	buf_init(&b, WIRE_MAX);
	wire_put_hello(&b, c->sv->signer_pub, "bastion-collectord");
	send_buf(c, &b);
	if (c->sv->store.held || c->sv->store.low || c->sv->store.unarchived)
		send_state(c);
}

static void on_resume(struct conn *c, const struct wire_msg *m)
{
	static const uint8_t zero[BREC_HASH_LEN];
	enum wire_err err;
	struct rec *r;
	struct buf b;

	if ((err = store_find(&c->sv->store, m->resume.id, m->resume.opened_us, &r)) != 0) {
		send_err(c, m->resume.id, err,
		    err == WIRE_E_DAMAGED ? "what is stored of this recording does not verify" :
		    err == WIRE_E_PROTOCOL ? "out of range" : "what is stored under this id cannot be looked for");
		return;
	}
	if (r != NULL && !signer_known(c->client, r)) {
		send_err(c, m->resume.id, WIRE_E_REFUSED, "the recording was signed by another bastion");
		return;
	}
	if (r != NULL && r->owner != c && c->nowned >= c->sv->conf->max_recordings) {
		send_err(c, m->resume.id, WIRE_E_REFUSED, "too many recordings in one connection");
		return;
	}
	buf_init(&b, WIRE_MAX);
	if (r != NULL) {
		own(c, r);
		r->refused = false;
		wire_put_at(&b, r->id, r->ended ? WIRE_AT_ENDED : WIRE_AT_OPEN, r->durable.seq, r->durable.h);
	} else {
		wire_put_at(&b, m->resume.id, WIRE_AT_UNKNOWN, 0, zero);
	}
	send_buf(c, &b);
}

/* Ends the recording for this connection: up to a MiB of its frames may be on their way, and each would be a gap, and a line. */
static void refuse(struct conn *c, struct rec *r, const struct wire_entry *e, enum wire_err code, const char *why)
{
	if (r != NULL && r->owner == c)
		r->refused = true;
	send_err(c, e->id, code, why);
}

static void on_entry(struct conn *c, const struct wire_entry *e)
{
	char why[WIRE_TEXT_MAX] = "";
	enum wire_err err;
	struct rec *r = store_lookup(&c->sv->store, e->id);

	if (r != NULL && r->owner == c && r->refused)
		return;
	if (e->type == WIRE_OPEN && c->nowned >= c->sv->conf->max_recordings) {
		send_err(c, e->id, WIRE_E_REFUSED, "too many recordings in one connection");
		return;
	}
	if (e->type != WIRE_OPEN && (r == NULL || r->owner != c)) {
		send_err(c, e->id, WIRE_E_UNKNOWN, "the recording is not open in this connection: resume it first");
		return;
	}
	err = store_entry(&c->sv->store, e, &c->client->signers, &r, why, sizeof(why));
	if (err != 0) {
		refuse(c, r, e, err, why);
		return;
	}
	if (!signer_known(c->client, r)) {
		refuse(c, r, e, WIRE_E_REFUSED, "the recording was signed by another bastion");
		return;
	}
	own(c, r);
	if (!r->touched) {
		r->touched = true;
		TAILQ_INSERT_TAIL(&c->touched, r, touched_link);
	}
}

static int commit(struct server *sv);

/* false: the message has to wait, as there is no space for it. */
static bool handle(struct conn *c, const struct wire_msg *m)
{
	if (c->client == NULL) {
		if (m->type == WIRE_HELLO)
			on_hello(c, m);
		else
			send_err(c, NULL, WIRE_E_PROTOCOL, "HELLO comes first");
		return true;
	}
	switch (m->type) {
	case WIRE_OPEN:
	case WIRE_FRAME:
	case WIRE_SEAL:
	case WIRE_END:
		if (store_full(&c->sv->store) && commit(c->sv) != 0)
			return false;
		on_entry(c, &m->entry);
		return true;
	case WIRE_RESUME:
		/* what it says must be durable, and what came before it counts */
		if (commit(c->sv) != 0)
			return false;
		on_resume(c, m);
		return true;
	default:
		send_err(c, NULL, WIRE_E_PROTOCOL, "a message that only a collector sends");
		return true;
	}
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct conn *c = arg;

	while (!c->ending && !c->sv->store.held) {
		uint8_t head[4];
		struct wire_msg m;
		const uint8_t *data;
		long len;

		if (evbuffer_copyout(in, head, sizeof(head)) < (ssize_t)sizeof(head))
			return;
		len = wire_length(head, sizeof(head));
		if (len > 0 && evbuffer_get_length(in) < (size_t)len)
			return;
		if (len < 0 || (data = evbuffer_pullup(in, len)) == NULL ||
		    wire_decode(&m, data, (size_t)len) != 0) {
			send_err(c, NULL, WIRE_E_PROTOCOL, "malformed message");
			return;
		}
		if (handle(c, &m))
			evbuffer_drain(in, (size_t)len);
	}
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	unsigned long e = bufferevent_get_openssl_error(bev);
	struct conn *c = arg;
	char why[160];

	if (what & BEV_EVENT_CONNECTED)
		return;
	conn_end(c,
	    what & BEV_EVENT_TIMEOUT ? "no handshake in time"
				     : tls_end_reason(why, sizeof(why), e, (what & BEV_EVENT_EOF) != 0));
}

static void peer_text(char *out, size_t size, const struct sockaddr *sa)
{
	char host[INET6_ADDRSTRLEN] = "?";
	unsigned port = 0;

	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		port = ntohs(in->sin_port);
	} else if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;

		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		port = ntohs(in6->sin6_port);
	}
	snprintf(out, size, "%s port %u", host, port);
}

static void socket_options(int fd)
{
	const int one = 1, idle = 10, interval = 5, count = 3;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

static void sign_batch(struct conn *c);

static void conn_destroy(struct conn *c)
{
	struct rec *r;

	while (!TAILQ_EMPTY(&c->not_signed))
		sign_batch(c);
	while ((r = TAILQ_FIRST(&c->owned)) != NULL) {
		disown(r);
		store_drop(&c->sv->store, r);
	}
	LIST_REMOVE(c, link);
	c->sv->nconns--;
	bufferevent_free(c->bev);
	free(c);
}

/* Strangers cannot use up the connections: who has shown no certificate for longest makes place. A recorder needs milliseconds for that. */
static bool evict(struct server *sv)
{
	struct conn *oldest = NULL, *c;

	for (c = LIST_FIRST(&sv->conns); c != NULL; c = LIST_NEXT(c, link))
		if (c->client == NULL && !c->ending)
			oldest = c;
	if (oldest == NULL)
		return false;
	conn_end(oldest, "too many connections without a certificate");
	conn_destroy(oldest);
	return true;
}

void conn_accept(struct server *sv, int fd, const struct sockaddr *sa, int salen)
{
	struct timeval limit = { .tv_sec = (time_t)sv->conf->handshake_s };
	struct conn *c = NULL;
	SSL *ssl = NULL;

	(void)salen;
	if (sv->nconns >= sv->conf->max_connections && !evict(sv)) {
		log_warn("max_connections (%" PRIu32 ") are in use: one is turned away", sv->conf->max_connections);
		close(fd);
		return;
	}
	if ((c = calloc(1, sizeof(*c))) == NULL || (ssl = SSL_new(sv->tls)) == NULL)
		goto bad;
	c->bev = bufferevent_openssl_socket_new(sv->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	if (c->bev == NULL)
		goto bad;
	socket_options(fd);
	c->sv = sv;
	TAILQ_INIT(&c->owned);
	TAILQ_INIT(&c->touched);
	TAILQ_INIT(&c->not_signed);
	peer_text(c->peer, sizeof(c->peer), sa);
	LIST_INSERT_HEAD(&sv->conns, c, link);
	sv->nconns++;
	bufferevent_setcb(c->bev, on_read, NULL, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, CONN_INPUT_MAX);
	bufferevent_set_timeouts(c->bev, &limit, NULL);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	return;
bad:
	log_error("connection refused: out of memory");
	SSL_free(ssl);
	free(c);
	close(fd);
}

void conn_end_all(struct server *sv)
{
	struct conn *c;

	while ((c = LIST_FIRST(&sv->conns)) != NULL)
		conn_destroy(c);
}

static void acknowledge(struct conn *c)
{
	struct server *sv = c->sv;
	struct rec *r;
	size_t n = 0;

	while ((r = TAILQ_FIRST(&c->touched)) != NULL) {
		struct buf b;

		TAILQ_REMOVE(&c->touched, r, touched_link);
		r->touched = false;
		r->said = r->durable;
		sv->leaves[n++] = r->said;
		if (!r->not_signed) {
			r->not_signed = true;
			TAILQ_INSERT_TAIL(&c->not_signed, r, unsigned_link);
		}
		if (n < WIRE_LEAVES_MAX && !TAILQ_EMPTY(&c->touched))
			continue;
		buf_init(&b, WIRE_MAX);
		wire_put_commit(&b, sv->leaves, n);
		send_buf(c, &b);
		n = 0;
	}
	if (!TAILQ_EMPTY(&c->not_signed) && !evtimer_pending(sv->receipts, NULL))
		evtimer_add(sv->receipts, &(struct timeval){ .tv_usec = CONN_RECEIPT_MS * 1000 });
}

/* No space, or space again: everybody is told, and nobody is read from meanwhile. */
static void pause_all(struct server *sv, bool pause)
{
	struct conn *c;

	if (sv->paused == pause)
		return;
	sv->paused = pause;
	for (c = LIST_FIRST(&sv->conns); c != NULL; c = LIST_NEXT(c, link)) {
		if (c->ending)
			continue;
		if (c->client != NULL)
			send_state(c);
		if (pause) {
			bufferevent_disable(c->bev, EV_READ);
		} else {
			bufferevent_enable(c->bev, EV_READ);
			on_read(c->bev, c);
		}
	}
}

/* Acknowledges what became durable. -1: nothing more is taken for now, whether it did or not. */
static int commit(struct server *sv)
{
	struct conn *c;

	if (store_commit(&sv->store) != 0)
		return -1;
	LIST_FOREACH(c, &sv->conns, link)
		if (!TAILQ_EMPTY(&c->touched))
			acknowledge(c);
	/* the files did not take it, and the journal may have no room for another group */
	return sv->store.held ? -1 : 0;
}

bool server_busy(const struct server *sv)
{
	return !sv->store.held && (sv->store.nout != 0 || sv->store.ngroup != 0);
}

void server_turn(struct server *sv)
{
	struct conn *c, *next;

	if (sv->store.held || store_write_out(&sv->store) != 0 || commit(sv) != 0)
		pause_all(sv, true);
	for (c = LIST_FIRST(&sv->conns); c != NULL; c = next) {
		next = LIST_NEXT(c, link);
		if (c->ending)
			conn_destroy(c);
	}
}

void server_prune(struct server *sv)
{
	const struct timeval pause = { .tv_usec = PRUNE_PAUSE_MS * 1000 };

	/* what is not added is begun by the next tick */
	if (prune_step(&sv->store, clock_wall_us()))
		evtimer_add(sv->prune, &pause);
}

void server_tick(struct server *sv)
{
	const bool unarchived = sv->store.unarchived;
	/* first: what waited for room is judged by what there is now */
	const bool changed = store_space(&sv->store);
	struct conn *c;

	log_watch(&sv->store);
	if (sv->paused && store_write_out(&sv->store) == 0)
		pause_all(sv, false);
	archive_link_tick(&sv->archive, sv->store.pruner.heard_us, &sv->store.unarchived);
	if (changed || sv->store.unarchived != unarchived)
		LIST_FOREACH(c, &sv->conns, link)
			if (c->client != NULL && !c->ending)
				send_state(c);
	if (!evtimer_pending(sv->prune, NULL))
		server_prune(sv);
	if (!sv->store.held) {
		store_turn(&sv->store, false);
		LIST_FOREACH(c, &sv->conns, link) {
			struct rec *r, *next;

			for (r = TAILQ_FIRST(&c->owned); r != NULL; r = next) {
				next = TAILQ_NEXT(r, owned);
				if (r->ended && !r->touched && !r->not_signed && r->unwritten == 0)
					disown(r);
			}
		}
		store_sweep(&sv->store);
	}
}

/* One batch of at most WIRE_LEAVES_MAX of a connection's recordings. */
static void sign_batch(struct conn *c)
{
	struct server *sv = c->sv;
	uint64_t wall = (uint64_t)clock_wall_us();
	uint8_t sig[WIRE_SIG_LEN];
	struct receipt receipt;
	struct rec *r;
	size_t n = 0;
	struct buf b;

	TAILQ_FOREACH(r, &c->not_signed, unsigned_link) {
		if (n == WIRE_LEAVES_MAX)
			break;
		/* more may be durable by now, if a commit was made for the control socket: its COMMIT comes first */
		sv->leaves[n++] = r->said;
	}
	if (receipt_sign(sv->signer, sv->signer_pub, wall, sv->leaves, n, sig) != 0)
		fatal("signing a receipt failed");
	for (size_t i = 0; i < n; i++) {
		r = TAILQ_FIRST(&c->not_signed);
		TAILQ_REMOVE(&c->not_signed, r, unsigned_link);
		r->not_signed = false;
		/* the seal or close may stand in a group that is not durable yet: then the receipt after that is kept */
		if (r->keep_seq == 0 || sv->leaves[i].seq < r->keep_seq)
			continue;
		r->keep_seq = 0;
		if (receipt_extract(&receipt, sv->signer_pub, wall, sv->leaves, n, i, sig) == 0)
			store_receipt(&sv->store, r, &receipt);
	}
	if (c->ending)
		return;
	buf_init(&b, WIRE_MAX);
	wire_put_receipt(&b, wall, sig, sv->leaves, n);
	send_buf(c, &b);
}

void server_receipts(struct server *sv)
{
	struct conn *c;

	LIST_FOREACH(c, &sv->conns, link)
		while (!TAILQ_EMPTY(&c->not_signed))
			sign_batch(c);
}

void server_signer(struct server *sv, struct sign_key *signer)
{
	uint8_t pub[KEY_LEN];

	sign_key_public(signer, pub);
	if (memcmp(pub, sv->signer_pub, sizeof(pub)) == 0) {
		sign_key_destroy(signer);
		return;
	}
	server_receipts(sv);
	/* no leaf in the journal stands for this checkpoint: a power cut must not leave an empty file in its place */
	if (tlog_writer_key(&sv->store.log, signer, clock_wall_us() / 1000000) != 0)
		log_error("log of recordings: the new key's first checkpoint: %s; the next one says it", strerror(errno));
	else if (syncfs(sv->store.log.dir) != 0)
		log_error("log of recordings: syncing the new key's first checkpoint: %s", strerror(errno));
	sign_key_destroy(sv->signer);
	sv->signer = signer;
	memcpy(sv->signer_pub, pub, sizeof(pub));
	log_notice("reload: another receipt key signs");
}

int server_sign_one(void *ctx, struct store *s, struct rec *r)
{
	struct server *sv = ctx;
	struct receipt receipt;
	uint8_t sig[WIRE_SIG_LEN];
	uint64_t wall = (uint64_t)clock_wall_us();

	if (receipt_sign(sv->signer, sv->signer_pub, wall, &r->durable, 1, sig) != 0 ||
	    receipt_extract(&receipt, sv->signer_pub, wall, &r->durable, 1, 0, sig) != 0)
		return -1;
	store_receipt(s, r, &receipt);
	return 0;
}
