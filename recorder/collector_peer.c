/*
 * collector_peer.c - see collector_peer.h. A program that runs once, beside the collector whose store it reads.
 *
 * A collector that was away for longer than the recorder's memory lasts has a beginning of a recording, or nothing. The rest
 * comes from here, by the way that everything comes: the other collector checks chain, signatures and order, writes to its journal,
 * logs and signs. Only closed recordings are given: those that are open are the recorder's. One that the other refuses is said, and the next
 * one is given; an error of the connection ends the run.
 */
#include "collector_peer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "brec_dir.h"
#include "collector_sandbox.h"
#include "collector_store.h"
#include "escape.h"
#include "hex.h"
#include "wire.h"

#define ANSWER_SECONDS 20
#define AHEAD_BYTES (1U << 20)	/* sent before the other is heard: it ends a connection that does not read what it says */

struct peer {
	const struct coll_conf *conf;
	struct tls_pins pins;
	SSL *ssl;
	int fd;
	unsigned given, same, passed;
	bool no_new;			/* the other takes none that it has nothing of, for now, */
	char no_why[WIRE_TEXT_MAX + 1];	/* as it says why */
	bool bad;			/* something was said on standard error, */
	bool over;			/* and the connection is of no use any more */
};

/* One recording on its way. */
struct trip {
	struct peer *p;
	const char *path;
	struct brec_dir dir;
	uint8_t id[BREC_ID_LEN], h[BREC_HASH_LEN];
	uint64_t seq;			/* of the last entry seen, */
	size_t unheard;			/* bytes sent since the other made one durable */
	uint64_t at;			/* the last that the other has; */
	uint8_t at_h[BREC_HASH_LEN];	/* its value there */
	bool some;			/* it has any */
	bool send, differs, closed;
	bool stopped;			/* not by what is here: it was said */
};

/* `why` may be what the other one says. */
static int complain(const char *what, const char *why)
{
	char text[4 * 512 + 8];

	esc_text(text, sizeof(text), why, strlen(why));
	fprintf(stderr, "bastion-collectord: %s: %s\n", what, text);
	return -1;
}

/* It cannot go on. */
static int lost(struct peer *p, const char *what, const char *why)
{
	p->over = true;
	return complain(what, why);
}

/* --- the connection --- */

static int connect_to(const char *address)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	const struct timeval limit = { .tv_sec = ANSWER_SECONDS };
	const char *colon = strrchr(address, ':');
	struct addrinfo *list = NULL;
	char host[256];
	int fd = -1;

	if (colon == NULL || snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address) >= (int)sizeof(host) ||
	    getaddrinfo(host, colon + 1, &hints, &list) != 0)
		return complain(address, "no such address; right would be 192.0.2.11:7422");
	for (struct addrinfo *ai = list; ai != NULL && fd < 0; ai = ai->ai_next) {
		if ((fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		if (connect(fd, ai->ai_addr, ai->ai_addrlen) != 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	return fd >= 0 ? fd : complain(address, strerror(errno));
}

static int send_buf(struct peer *p, struct buf *b)
{
	int r = buf_ok(b) && SSL_write(p->ssl, b->data, (int)b->len) == (int)b->len ? 0 : -1;

	buf_finish(b);
	return r == 0 ? 0 : lost(p, "sending", "the other collector ended the connection");
}

static int read_all(struct peer *p, uint8_t *out, size_t len)
{
	for (size_t have = 0; have < len;) {
		int n = SSL_read(p->ssl, out + have, (int)(len - have));

		if (n <= 0)
			return lost(p, "waiting", "the other collector ended the connection, or does not answer");
		have += (size_t)n;
	}
	return 0;
}

/* The next message into mem[WIRE_MAX], where m points. */
static int receive(struct peer *p, uint8_t *mem, struct wire_msg *m)
{
	long len;

	if (read_all(p, mem, 4) != 0)
		return -1;
	if ((len = wire_length(mem, 4)) <= 4 || len > (long)WIRE_MAX || read_all(p, mem + 4, (size_t)len - 4) != 0 ||
	    wire_decode(m, mem, (size_t)len) != 0)
		return lost(p, "answer", "malformed");
	return 0;
}

static int begin(struct peer *p, const char *address, const char *certificate, void (*drop)(const struct coll_conf *))
{
	uint8_t mem[WIRE_MAX], key[KEY_LEN] = { 0 };
	char why[300], pem[COLL_FILE_MAX];
	FILE *f = fopen(certificate, "re");
	SSL_CTX *ctx = NULL;
	struct wire_msg m;
	struct buf b;
	size_t n;
	int r = -1;

	if (f == NULL)
		return complain(certificate, strerror(errno));
	n = fread(pem, 1, sizeof(pem) - 1, f);
	fclose(f);
	pem[n] = '\0';
	if (tls_pins_add(&p->pins, pem, why, sizeof(why)) != 0)
		return complain(certificate, why);
	if ((ctx = tls_context(false, p->conf->certificate, p->conf->key, &p->pins, why, sizeof(why))) == NULL)
		return complain("this collector's", why);
	drop(p->conf);
	/* behind the connection, and before the first byte from the other side */
	if ((p->fd = connect_to(address)) < 0 || coll_sandbox_enter(p->conf, COLL_PEER, NULL) != 0)
		goto out;
	if ((p->ssl = SSL_new(ctx)) == NULL || SSL_set_fd(p->ssl, p->fd) != 1 || SSL_connect(p->ssl) != 1) {
		complain(address, tls_reason(why, sizeof(why)));
		goto out;
	}
	buf_init(&b, WIRE_MAX);
	wire_put_hello(&b, key, "bastion-collectord -S");
	if (send_buf(p, &b) != 0 || receive(p, mem, &m) != 0) {
		complain(address, "does it know this collector's certificate? Name it in a recorder section there");
		goto out;
	}
	if (m.type == WIRE_HELLO && m.hello.version == WIRE_VERSION && tls_pins_has_key(&p->pins, m.hello.key))
		r = 0;
	else
		complain(address, m.type == WIRE_ERR ? m.err.text : "its receipt key is not in the certificate's file");
out:
	SSL_CTX_free(ctx);
	return r;
}

/* --- a recording --- */

/* Of the other one as a whole. New recordings may be what it does not take; what its copies lack is taken then, too. -1: it takes nothing. */
static int on_state(struct peer *p, const struct wire_msg *m)
{
	if (m->state.takes == WIRE_TAKES_NOTHING)
		return lost(p, "the other collector takes no more for now", m->state.text);
	p->no_new = m->state.takes == WIRE_TAKES_NO_NEW;
	if (p->no_new)
		snprintf(p->no_why, sizeof(p->no_why), "%s", m->state.text);
	return 0;
}

/* The next message about this recording, or about nothing: one that was refused before may get its answers late. -1: said. */
static int hear(struct trip *t, uint8_t *mem, struct wire_msg *m)
{
	static const uint8_t connection[BREC_ID_LEN];
	char why[WIRE_TEXT_MAX + 80];

	for (;;) {
		if (receive(t->p, mem, m) != 0)
			return -1;
		if (m->type == WIRE_STATE && on_state(t->p, m) != 0)
			return -1;
		if (m->type == WIRE_ERR && memcmp(m->err.id, connection, BREC_ID_LEN) == 0)
			return lost(t->p, "refused", m->err.text);
		if (m->type != WIRE_ERR)
			return 0;
		if (memcmp(m->err.id, t->id, BREC_ID_LEN) == 0) {
			snprintf(why, sizeof(why), "not given: the other collector says: %s: %s", wire_err_name(m->err.code), m->err.text);
			return complain(t->path, why);
		}
	}
}

/* Until the other has made the entry durable that was sent last. */
static int await_commit(struct trip *t, const uint8_t h[BREC_HASH_LEN])
{
	uint8_t mem[WIRE_MAX];
	struct wire_leaf leaf;
	struct wire_msg m;

	while (hear(t, mem, &m) == 0)
		for (size_t i = 0; m.type == WIRE_COMMIT && i < m.commit.n; i++) {
			wire_leaf_get(&m, i, &leaf);
			if (memcmp(leaf.id, t->id, BREC_ID_LEN) != 0 || leaf.seq != t->seq)
				continue;
			t->unheard = 0;
			return memcmp(leaf.h, h, BREC_HASH_LEN) == 0 ? 0 : complain(t->path, "the other collector has other bytes than were sent");
		}
	return -1;
}

/* An entry of ours: compared where the other stands, sent past that. The first one tells whether it is taken at all. */
static int entry(struct trip *t, struct wire_entry *e)
{
	struct buf b;

	t->seq = e->seq;
	e->id = t->id;
	if (t->some && e->seq == t->at && memcmp(e->h, t->at_h, BREC_HASH_LEN) != 0)
		t->differs = true;
	if (!t->send || (t->some && e->seq <= t->at))
		return 0;
	buf_init(&b, WIRE_MAX);
	wire_put_entry(&b, e);
	t->unheard += b.len;
	t->stopped = send_buf(t->p, &b) != 0 ||
	    ((e->type == WIRE_OPEN || e->type == WIRE_END || t->unheard >= AHEAD_BYTES) && await_commit(t, e->h) != 0);
	return t->stopped ? -1 : 0;
}

/* After a seal: the next segment's header belongs to the same entry. `frame`: a copy of the seal frame. */
static int seal_entry(struct trip *t, uint32_t segment, const uint8_t *frame, size_t len, uint64_t seq)
{
	uint8_t sealed[BREC_HASH_LEN];
	struct brec_header h;
	const uint8_t *p;
	size_t have;

	memcpy(sealed, t->h, sizeof(sealed));
	if (brec_dir_segment(&t->dir, segment) != 1 || brec_dir_header(&t->dir, &h, &p, &have) != BREC_OK ||
	    memcmp(h.prev, sealed, sizeof(sealed)) != 0 || brec_chain_start(t->h, p, h.len) != 0)
		return -1;
	if (entry(t, &(struct wire_entry){ .type = WIRE_SEAL, .h = sealed, .seq = seq, .frame = frame, .frame_len = len, .header = p,
		.header_len = h.len }) != 0)
		return -1;
	brec_dir_skip(&t->dir, h.len);
	return 0;
}

/* From the first header to the close. 0, also when it is not closed; -1. */
static int walk(struct trip *t)
{
	uint8_t copy[BREC_FRAME_MAX];
	struct brec_header h;
	struct brec_frame f;
	uint32_t segment = 0;
	const uint8_t *p;
	size_t have;

	t->closed = false;
	if (brec_dir_segment(&t->dir, 0) != 1 || brec_dir_header(&t->dir, &h, &p, &have) != BREC_OK ||
	    brec_chain_start(t->h, p, h.len) != 0 ||
	    entry(t, &(struct wire_entry){ .type = WIRE_OPEN, .h = t->h, .header = p, .header_len = h.len }) != 0)
		return -1;
	brec_dir_skip(&t->dir, h.len);
	while (!t->closed && brec_dir_frame(&t->dir, &f, &p, &have) == BREC_OK) {
		size_t len = f.len;
		uint64_t seq = f.seq;

		if (brec_chain_add(t->h, p, len) != 0)
			return -1;
		t->closed = f.type == BREC_CLOSE;
		if (f.type == BREC_SEAL) {
			memcpy(copy, p, len);
			if (seal_entry(t, ++segment, copy, len, seq) != 0)
				return -1;
			continue;
		}
		if (entry(t, &(struct wire_entry){ .type = t->closed ? WIRE_END : WIRE_FRAME, .h = t->h, .seq = seq, .frame = p,
			.frame_len = len }) != 0)
			return -1;
		brec_dir_skip(&t->dir, len);
	}
	return 0;
}

/* Where the other stands. 1: it may lack something; 0: it has the end, and says the same; -1. */
static int ask(struct trip *t, uint64_t opened_us)
{
	uint8_t mem[WIRE_MAX];
	struct wire_msg m;
	struct buf b;

	buf_init(&b, WIRE_MAX);
	wire_put_resume(&b, t->id, opened_us);
	if (send_buf(t->p, &b) != 0)
		return -1;
	do {
		if (hear(t, mem, &m) != 0)
			return -1;
	} while (m.type != WIRE_AT || memcmp(m.at.id, t->id, BREC_ID_LEN) != 0);
	t->some = m.at.state != WIRE_AT_UNKNOWN;
	t->at = m.at.seq;
	memcpy(t->at_h, m.at.h, BREC_HASH_LEN);
	return m.at.state != WIRE_AT_ENDED;
}

static void unreadable(struct peer *p, const char *path)
{
	p->bad = true;
	complain(path, "not readable here: bastion-replay verify says more");
}

static void give(struct peer *p, const char *path, const char *name)
{
	struct trip t = { .p = p, .path = path };
	struct brec_header h;
	const uint8_t *bytes;
	size_t have;
	int lacks;

	if (hex_decode(t.id, BREC_ID_LEN, name) != 0)
		return;
	if (brec_dir_open(&t.dir, path) != 0 || brec_dir_segment(&t.dir, 0) != 1 ||
	    brec_dir_header(&t.dir, &h, &bytes, &have) != BREC_OK || memcmp(h.id, t.id, BREC_ID_LEN) != 0 || walk(&t) != 0) {
		unreadable(p, path);
	} else if (!t.closed) {
		printf("open  %s\n", name);
	} else if ((lacks = ask(&t, (uint64_t)h.wall_us)) < 0) {
		p->bad = true;
	} else if (p->no_new && !t.some) {
		/* it would be refused, as would each of a whole store: said once */
		p->passed++;
	} else if (walk(&t) != 0) {
		unreadable(p, path);
	} else if (t.differs || (t.some && t.at > t.seq)) {
		p->bad = true;
		complain(path, "ALARM: the other collector has other bytes for the same frames; nothing was given");
	} else if (lacks == 0) {
		p->same++;
	} else {
		t.send = true;
		if (walk(&t) == 0) {
			printf("gave  %s\n", name);
			p->given++;
		} else if (t.stopped) {
			p->bad = true;
		} else {
			unreadable(p, path);
		}
	}
	brec_dir_close(&t.dir);
}

static void give_day(struct peer *p, const char *day)
{
	char path[4096], one[4096 + 300];
	struct dirent *entry_of;
	DIR *d;

	snprintf(path, sizeof(path), "%s/recordings/%s", p->conf->store, day);
	if ((d = opendir(path)) == NULL) {
		p->bad = true;
		complain(path, strerror(errno));
		return;
	}
	while (!p->over && (entry_of = readdir(d)) != NULL)
		if (strlen(entry_of->d_name) == 2 * (size_t)BREC_ID_LEN) {
			snprintf(one, sizeof(one), "%s/%s", path, entry_of->d_name);
			give(p, one, entry_of->d_name);
		}
	closedir(d);
}

int peer_sync(const struct coll_conf *c, const char *address, const char *certificate, void (*drop)(const struct coll_conf *))
{
	struct peer p = { .conf = c, .fd = -1 };
	struct dirent **days = NULL;
	char path[4096];	/* and a line */
	int n = 0, r = begin(&p, address, certificate, drop);

	snprintf(path, sizeof(path), "%s/recordings", c->store);
	if (r == 0 && (n = scandir(path, &days, NULL, alphasort)) < 0)
		r = complain(path, strerror(errno));
	for (int i = 0; i < n; i++) {
		if (!p.over && days[i]->d_name[0] != '.')
			give_day(&p, days[i]->d_name);
		free(days[i]);
	}
	free(days);
	if (r == 0 && !p.over)
		printf("%u given, %u were there\n", p.given, p.same);
	if (p.passed != 0) {
		snprintf(path, sizeof(path), "%u not given: the other collector takes no new recordings for now", p.passed);
		complain(path, p.no_why);
	}
	SSL_free(p.ssl);
	if (p.fd >= 0)
		close(p.fd);
	return r == 0 && p.passed == 0 && !p.bad && !p.over ? 0 : 1;
}
