/*
 * parent_accept.c - step 1 of a connection: accept, count the source, give it a slot and its links.
 *
 * Role parent. Before it: the kernel. After it: role_session.c (master forks a session), policy_peer.c, the recorder.
 * Not a byte of the client is read here.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "crypto_recid.h"
#include "forkmem.h"
#include "log.h"
#include "parent.h"
#include "roles.h"

#define ACCEPT_BURST 64		/* of one listener in one turn: the roles' messages go between */
#define HELD_MAX 1000		/* sources that a new policy is told of */
#define KEY_MS 5000		/* who has proven no key by then makes place for another one of its source */
#define TOLD_MS 10000		/* refusals are summed up in one line in so long */
#define SLOT_MASK ((1U << SLOT_BITS) - 1)

_Static_assert(PARENT_SESSIONS_MAX <= SLOT_MASK, "a slot's index fits its id");

int accept_init(struct parent *p)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed) || startups_init(&p->startups, seed) != 0 ||
	    (p->slots = forkmem_table(PARENT_SESSIONS_MAX, sizeof(*p->slots))) == NULL) {
		log_error("no memory for the table of connections");
		return -1;
	}
	p->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return 0;
}

void accept_finish(struct parent *p)
{
	startups_finish(&p->startups);
	forkmem_table_free(p->slots, PARENT_SESSIONS_MAX, sizeof(*p->slots));
	p->slots = NULL;
}

static struct slot *slot_find(struct parent *p, uint32_t id)
{
	uint32_t i = id & SLOT_MASK;

	return id != 0 && i < PARENT_SESSIONS_MAX && p->slots[i].id == id ? &p->slots[i] : NULL;
}

bool accept_room(struct parent *p)
{
	uint64_t now = clock_mono_ms();
	size_t kept = 0;

	if (p->nyoung < YOUNG_MAX)
		return true;
	for (size_t i = 0; i < p->nyoung; i++) {
		const struct slot *s = slot_find(p, p->young[i]);

		if (s != NULL && s->waiting && now - s->began_ms < YOUNG_MS)
			p->young[kept++] = p->young[i];
	}
	p->nyoung = kept;
	return kept < YOUNG_MAX;
}

static void next_slot(struct parent *p)
{
	if (++p->hand < PARENT_SESSIONS_MAX)
		return;
	p->hand = 0;
	p->generation = (p->generation + 1) & (UINT32_MAX >> SLOT_BITS);
}

static bool slot_left(const struct parent *p)
{
	return p->nslots < p->conf->max_sessions;
}

/* The id of an ended connection comes back only after 2^17 rounds over the table. */
static struct slot *slot_take(struct parent *p, const struct startups_key *source)
{
	struct slot *s;

	if (!slot_left(p))
		return NULL;
	while (p->slots[p->hand].id != 0 || (p->generation == 0 && p->hand == 0))
		next_slot(p);
	s = &p->slots[p->hand];
	*s = (struct slot){
		.id = p->generation << SLOT_BITS | p->hand, .waiting = true, .source = *source,
		.began_ms = clock_mono_ms(),
	};
	p->nslots++;
	next_slot(p);
	p->young[p->nyoung++] = s->id; /* accept_room() has said that there is some */
	return s;
}

static void no_longer_waiting(struct parent *p, struct slot *s)
{
	if (s->waiting)
		startups_leave(&p->startups, &s->source);
	s->waiting = false;
}

static void slot_free(struct parent *p, struct slot *s)
{
	no_longer_waiting(p, s);
	pam_session_end(p, s->pam);
	*s = (struct slot){ 0 };
	p->nslots--;
}

/* One line for many: a flood must not fill the log. */
static void count_refusal(struct parent *p, enum startups_verdict v, uint64_t now_ms)
{
	p->refused[v]++;
	if (p->told_ms != 0 && now_ms - p->told_ms < TOLD_MS)
		return;
	for (int i = STARTUPS_NETWORK; i <= STARTUPS_PENALTY; i++) {
		if (p->refused[i] != 0)
			log_notice("refused %llu connections: %s", (unsigned long long)p->refused[i],
			    startups_verdict_text((enum startups_verdict)i));
		p->refused[i] = 0;
	}
	p->told_ms = now_ms;
}

/* Before the version exchange a server may send lines (RFC 4253 section 4.2): clients show them when they fail. */
static void refuse(struct parent *p, int fd, enum startups_verdict v, uint64_t now_ms)
{
	static const char busy[] = "bastiond: too many connections, try again in a while\r\n";

	count_refusal(p, v, now_ms);
	/* a stranger's network learns nothing; an empty socket's buffer takes one line without waiting */
	if (v != STARTUPS_NETWORK && send(fd, busy, sizeof(busy) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("refused connection is gone already: %s", strerror(errno));
	close(fd);
}

/* As text; an IPv4 client of an IPv6 socket as the IPv4 address that it is. */
static void address_format(const struct sockaddr_storage *ss, socklen_t len, char *host, socklen_t size, uint16_t *at)
{
	struct sockaddr_storage plain = *ss;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
	char port[NI_MAXSERV] = "0";

	if (ss->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = in6->sin6_port };

		memcpy(&in.sin_addr, in6->sin6_addr.s6_addr + 12, 4);
		memcpy(&plain, &in, len = sizeof(in));
	}
	if (getnameinfo((struct sockaddr *)&plain, len, host, size, port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(host, size, "?");
	*at = (uint16_t)atoi(port);
}

/* The session's links: [0], [2] its own ends, to policy and to the recorder; [1], [3] theirs. */
static int make_links(int fds[4])
{
	if (ipc_pair(fds) != 0)
		return -1;
	if (ipc_pair(fds + 2) == 0)
		return 0;
	close(fds[0]);
	close(fds[1]);
	return -1;
}

/* Order: policy and the recorder know the slot before the session's first message can reach them. */
static int start_session(struct parent *p, struct slot *s, int fd, const struct sockaddr_storage *peer, socklen_t len)
{
	const int on = 1;
	int links[4], session[3];
	uint8_t id[16], key[RECID_KEY_LEN];
	char host[NI_MAXHOST];
	uint16_t port;
	struct buf up, rec_up, start;
	int r = -1;

	if (getrandom(id, sizeof(id), 0) != sizeof(id) || getrandom(key, sizeof(key), 0) != sizeof(key) || make_links(links) != 0)
		return -1;
	buf_init(&up, 128);
	buf_view(&rec_up, key, sizeof(key));
	buf_init(&start, 128);
	address_format(peer, len, host, sizeof(host), &port);
	buf_put_cstring(&start, host);
	buf_put(&up, id, sizeof(id));
	buf_put(&up, key, sizeof(key));
	buf_put_cstring(&up, host);
	buf_put_u16(&up, port);
	if (buf_ok(&up) && buf_ok(&start)) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		session[0] = fd;
		session[1] = links[0];
		session[2] = links[2];
		set_send(p, PROC_POLICY, MSG_PEER_UP, s->id, &up, &links[1], 1);
		set_send(p, PROC_RECORDER, MSG_REC_PEER_UP, s->id, &rec_up, &links[3], 1);
		set_send(p, PROC_MASTER, MSG_SESSION_START, s->id, &start, session, 3);
		r = 0;
	}
	for (int i = 0; i < 4; i++)
		close(links[i]);
	explicit_bzero(key, sizeof(key));
	buf_finish(&up);
	buf_finish(&start);
	return r;
}

/* Policy lists who is kept out. */
static void tell_hold(struct parent *p, const struct startups_key *key, const struct startups_hold *hold, unsigned flags)
{
	char net[64];
	struct buf body;

	buf_init(&body, 128);
	buf_put_cstring(&body, startups_net_format(p->conf, key, net, sizeof(net)));
	buf_put_u32(&body, (uint32_t)((hold->ms + 999) / 1000));
	buf_put_u32(&body, hold->names);
	buf_put_u8(&body, (uint8_t)(flags | (hold->rationed ? HELD_RATIONED : 0U)));
	set_send(p, PROC_POLICY, MSG_SOURCE_HELD, 0, &body, NULL, 0);
	buf_finish(&body);
}

static void penalize(struct parent *p, const struct slot *s, enum startups_offence offence, uint64_t now)
{
	const struct startups_hold hold = startups_penalize(&p->startups, p->conf, &s->source, offence, now);

	if (hold.ms != 0)
		tell_hold(p, &s->source, &hold, 0);
}

/*
 * A source has as many waiting as it may. Who has waited longest there without a key makes place: else a stranger who says nothing would keep
 * out all that share his address. Slots are taken in turn: backwards from the hand each is older than the one before, and what waits is near.
 */
static bool take_over(struct parent *p, const struct startups_key *source, uint64_t now_ms)
{
	struct slot *longest = NULL;
	uint32_t waiting = 0;

	for (uint32_t n = 1; n <= PARENT_SESSIONS_MAX && waiting < p->conf->per_source_max; n++) {
		struct slot *s = &p->slots[(p->hand + PARENT_SESSIONS_MAX - n) % PARENT_SESSIONS_MAX];

		if (!s->waiting || !startups_same(&s->source, source))
			continue;
		waiting++;
		if (!s->proven && !s->stopped && now_ms - s->began_ms >= KEY_MS)
			longest = s;
	}
	if (longest == NULL)
		return false;
	longest->waiting = false; /* its place in the count is the new one's */
	longest->stopped = true;
	count_refusal(p, STARTUPS_SOURCE, now_ms);
	if (!longest->failed)
		penalize(p, longest, OFFENCE_NOAUTH, now_ms);
	set_send(p, PROC_MASTER, MSG_SESSION_STOP, longest->id, NULL, NULL, 0);
	return true;
}

static void one_connection(struct parent *p, int fd, const struct sockaddr_storage *peer, socklen_t len)
{
	uint64_t now = clock_mono_ms();
	struct startups_key source;
	enum startups_verdict v;
	struct slot *s = NULL;
	uint32_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = 0;
	v = startups_enter(&p->startups, p->conf, (const struct sockaddr *)peer, now, random, &source);
	/* who is stopped has his slot until he ended: without another one nobody would get his place */
	if (v == STARTUPS_SOURCE && slot_left(p) && take_over(p, &source, now))
		v = STARTUPS_OK;
	if (v == STARTUPS_OK && (s = slot_take(p, &source)) == NULL) {
		startups_leave(&p->startups, &source);
		v = STARTUPS_FULL;
	}
	if (v != STARTUPS_OK) {
		refuse(p, fd, v, now);
		return;
	}
	if (start_session(p, s, fd, peer, len) != 0) {
		log_error("cannot start a session: %s", strerror(errno));
		slot_free(p, s);
	}
	close(fd);
}

/*
 * No descriptor is left: the connection would stay at the head of the queue and poll() would spin. The reserve makes
 * room to take it and close it.
 */
static bool shed(struct parent *p, int listener)
{
	int fd;

	if (p->reserve < 0)
		return false;
	close(p->reserve);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		refuse(p, fd, STARTUPS_FULL, clock_mono_ms());
	p->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0;
}

void accept_some(struct parent *p, size_t i)
{
	for (int n = 0; n < ACCEPT_BURST && p->state == SET_UP && accept_room(p); n++) {
		struct sockaddr_storage peer = { 0 };
		socklen_t len = sizeof(peer);
		int fd = accept4(p->listeners[i], (struct sockaddr *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			one_connection(p, fd, &peer, len);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if ((errno == EMFILE || errno == ENFILE) && !shed(p, p->listeners[i]))
			return;
		/* the others concern one connection that is gone (ECONNABORTED, EPROTO, ...): accept(2) */
	}
}

static void tell_one(void *arg, const struct startups_key *key, const struct startups_hold *hold)
{
	tell_hold(arg, key, hold, 0);
}

void accept_tell_held(struct parent *p)
{
	startups_each_held(&p->startups, clock_mono_ms(), HELD_MAX, tell_one, p);
}

/* The network of SOURCE_BLOCK and SOURCE_FREE. */
static int get_net(struct ipc_msg *m, struct startups_key *net, unsigned *bits)
{
	char text[64];

	return buf_get_cstring(&m->body, text, sizeof(text)) != 0 ? -1 : startups_net_parse(text, net, bits);
}

int accept_source_block(struct parent *p, struct ipc_msg *m)
{
	struct startups_key net;
	struct startups_hold hold;
	unsigned bits;
	uint32_t seconds, names;

	if (get_net(m, &net, &bits) != 0)
		return -1;
	seconds = buf_get_u32(&m->body);
	names = buf_get_u32(&m->body);
	if (!buf_end(&m->body) || names == 0 || names > UINT8_MAX)
		return -1;
	hold = startups_block(&p->startups, &net, seconds * 1000ULL, (uint8_t)names, clock_mono_ms());
	tell_hold(p, &net, &hold, HELD_ANSWER);
	return 0;
}

int accept_source_free(struct parent *p, struct ipc_msg *m)
{
	struct startups_key net;
	unsigned bits;

	if (get_net(m, &net, &bits) != 0 || !buf_end(&m->body))
		return -1;
	startups_free(&p->startups, &net, bits);
	return 0;
}

/* Once its user is logged in, it may have been a target that did this, which can end its own session and nothing else (P10). */
static void crashed(struct parent *p, const struct slot *s, uint64_t now)
{
	if (s->waiting)
		penalize(p, s, OFFENCE_CRASH, now);
}

void accept_session_down(struct parent *p, struct ipc_msg *m)
{
	struct slot *s = slot_find(p, m->id);
	uint64_t now = clock_mono_ms();
	struct buf whole, read;
	uint32_t status;

	if (s == NULL)
		return;
	buf_view(&read, m->body.data, m->body.len);
	status = buf_get_u32(&read);
	buf_init(&whole, 20);
	buf_put(&whole, m->body.data, m->body.len);
	set_send(p, PROC_POLICY, MSG_PEER_DOWN, m->id, &whole, NULL, 0);
	buf_finish(&whole);
	if (WIFSIGNALED((int)status) && !s->stopped) {
		log_warn("session %u died of signal %d", m->id, WTERMSIG((int)status));
		crashed(p, s, now);
	} else if (WIFEXITED((int)status) && WEXITSTATUS((int)status) == SESSION_SPINS && !s->stopped) {
		log_warn("session %u ended itself: its loop did not turn", m->id);
		crashed(p, s, now);
	} else if (s->waiting && (s->late || now - s->began_ms >= p->conf->login_grace)) {
		penalize(p, s, OFFENCE_GRACE, now);
	} else if (s->waiting && !s->failed) {
		penalize(p, s, OFFENCE_NOAUTH, now);
	}
	slot_free(p, s);
}

int accept_peer_kill(struct parent *p, struct ipc_msg *m)
{
	struct slot *s = slot_find(p, m->id);
	char reason[256];

	if (buf_get_cstring(&m->body, reason, sizeof(reason)) != 0 || !buf_end(&m->body))
		return -1;
	if (s == NULL || s->stopped)
		return 0;
	log_warn("session %u is killed: %s", m->id, reason);
	s->stopped = true;
	set_send(p, PROC_MASTER, MSG_SESSION_STOP, m->id, NULL, NULL, 0);
	return 0;
}

int accept_peer_verdict(struct parent *p, struct ipc_msg *m)
{
	struct slot *s = slot_find(p, m->id);
	struct startups_hold hold;
	uint8_t in = buf_get_u8(&m->body);

	if (!buf_end(&m->body) || in > 1)
		return -1;
	if (s == NULL)
		return 0;
	if (in != 0) {
		no_longer_waiting(p, s);
		if (startups_welcome(&p->startups, &s->source, clock_mono_ms(), &hold))
			tell_hold(p, &s->source, &hold, 0);
		return 0;
	}
	s->failed = true;
	penalize(p, s, OFFENCE_AUTH, clock_mono_ms());
	if (s->waiting) {
		children_refused(p, m->id);
		pam_session_end(p, s->pam);
		s->pam = NULL;
	}
	return 0;
}

void accept_proven(struct parent *p, uint32_t id)
{
	struct slot *s = slot_find(p, id);

	if (s != NULL)
		s->proven = true;
}

void accept_pam_session(struct parent *p, uint32_t id, struct pam_session *session)
{
	struct slot *s = slot_find(p, id);

	if (s == NULL) {
		pam_session_end(p, session);
		return;
	}
	pam_session_end(p, s->pam); /* of a login that was taken back */
	s->pam = session;
}

void accept_tick(struct parent *p, uint64_t now_ms)
{
	if (p->startups.waiting == 0)
		return;
	for (uint32_t i = 0; i < PARENT_SESSIONS_MAX; i++) {
		struct slot *s = &p->slots[i];

		if (!s->waiting || s->stopped || now_ms - s->began_ms < p->conf->login_grace + GRACE_SLACK_MS)
			continue;
		s->late = s->stopped = true;
		log_warn("session %u did not end by itself after login_grace: killed", s->id);
		set_send(p, PROC_MASTER, MSG_SESSION_STOP, s->id, NULL, NULL, 0);
	}
}

void accept_forget(struct parent *p)
{
	for (uint32_t i = 0; i < PARENT_SESSIONS_MAX && p->nslots > 0; i++)
		if (p->slots[i].id != 0)
			slot_free(p, &p->slots[i]);
}
