/*
 * session_loop.c - the loop of one connection: wait, pump the SSH connections, let every part do what became possible.
 *
 * Role: session. Before it: role_session.c (the fork). It calls the steps in the order in which a byte passes them:
 * messages from policy and recorder, the outer connection, tunnels, ways, channels; then the recordings are flushed.
 * No part blocks, none is called from inside a libssh callback.
 */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "session.h"
#include "ssh_io.h"
#include "ssh_setup.h"

/* outer, policy, recorder, console link and pty, viewer, watchers, each way's target and each tunnel's two ends */
#define POLL_MAX (6 + WATCHERS_MAX + SESSION_WAYS_MAX + 2 * SESSION_TUNNELS_MAX)
#define PUMP_MAX 64	/* messages and reads of one SSH connection in a turn: the others get theirs */
#define UNREAD_MAX (1U << 20) /* bytes that are read of a peer that reads nothing */
#define QUEUED_MAX (1U << 20) /* bytes of channels that libssh keeps while it waits for a key exchange; */
#define ANSWERS_MAX (32U << 20) /* and bytes that are read meanwhile, each request worth an answer: an honest peer's windows */
#define ASK_EACH (4U << 20)	/* bytes that are read until it must have been seen that libssh sends */
#define SENDS_MIN 8192U	/* more than libssh makes by itself while it writes, and reads: answers to 8 KiB, the begin of an exchange */

volatile sig_atomic_t session_turns;

bool session_pump_full(struct pump *pump, ssh_session ssh)
{
	if (!ssh_setup_blocked(ssh))
		pump->mark = pump->socket.in_bytes;
	return pump->socket.in_bytes - pump->mark >= UNREAD_MAX;
}

void session_pump_wrote(struct pump *pump, uint64_t before, size_t len)
{
	const uint64_t grown = pump->made.out_bytes - before;

	if (grown >= len && len >= SENDS_MIN) {
		pump->queued = 0;
		pump->asked = pump->proved = pump->socket.in_bytes;
	} else if (grown < len) {
		pump->queued += len;
	}
}

/* Does libssh send? An SSH_MSG_IGNORE shows it; one that waits for keys lies in the queue, and goes out with it. */
static void ask_whether_it_sends(struct pump *pump, ssh_session ssh)
{
	static char nothing[SENDS_MIN + 1];
	const uint64_t before = pump->made.out_bytes;

	memset(nothing, '.', SENDS_MIN);
	ssh_io_writing(true);
	if (ssh_send_ignore(ssh, nothing) == SSH_OK)
		session_pump_wrote(pump, before, SENDS_MIN);
	ssh_io_writing(false);
	pump->asked = pump->socket.in_bytes;
	pump->seen = pump->made.out_bytes;
}

/* The queue goes out in one piece, behind the keys: less than that is the exchange's own, or answers to packets that libssh does not know. */
bool session_pump_queues(struct pump *pump, ssh_session ssh)
{
	if (pump->queued >= QUEUED_MAX && pump->made.out_bytes - pump->seen >= SENDS_MIN)
		ask_whether_it_sends(pump, ssh);
	return pump->queued >= QUEUED_MAX;
}

/* Answers that wait for keys have no bound but what asks for them. A peer that uploads gets little else: so libssh is asked. */
static bool asks_in_vain(struct pump *pump, ssh_session ssh)
{
	if (pump->socket.in_bytes - pump->asked >= ASK_EACH)
		ask_whether_it_sends(pump, ssh);
	return pump->socket.in_bytes - pump->proved >= ANSWERS_MAX;
}

/* A message that is not allowed leaves libssh with a connection that it counts as one, neither reads nor closes. */
static bool is_over(ssh_session ssh)
{
	return (ssh_get_status(ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) != 0 || !ssh_is_connected(ssh);
}

bool session_pump(struct session *s, struct pump *pump, ssh_session ssh, void (*handle)(void *ctx, ssh_message m), void *ctx)
{
	ssh_set_counters(ssh, &pump->socket, &pump->made);
	pump->more = false;
	for (int i = 0; i < PUMP_MAX && !s->over; i++) {
		uint64_t before = pump->socket.in_bytes;
		ssh_message m;

		/* reads once, without blocking; a message that waited comes before anything is read */
		if ((m = ssh_message_get(ssh)) != NULL)
			handle(ctx, m);
		if (is_over(ssh))
			return false;
		if (m == NULL && pump->socket.in_bytes == before)
			return true;
		if (asks_in_vain(pump, ssh)) {
			log_warn("%s: a peer sends %u MiB and exchanges no keys: cut off", s->peer, ANSWERS_MAX >> 20);
			return false;
		}
		if (session_pump_full(pump, ssh))
			break;
	}
	pump->more = true;
	return true;
}

/* The outer connection: key exchange, then authentication, then channels. */
static void outer_step(struct session *s)
{
	struct front *f = &s->outer;

	if (!f->kex_done) {
		int r = ssh_handle_key_exchange(f->ssh);

		if (r == SSH_ERROR) {
			log_info("%s: key exchange failed: %s", s->peer, ssh_get_error(f->ssh));
			f->gone = true;
		}
		f->kex_done = r == SSH_OK;
		return;
	}
	if (!f->authenticated) {
		ssh_set_counters(f->ssh, &f->pump.socket, &f->pump.made);
		/* one request at a time: the next is not read before this one is answered */
		for (int i = 0; i < PUMP_MAX && authn_listens(&s->authn) && !s->over && !f->authenticated; i++) {
			ssh_message m = session_pump_full(&f->pump, f->ssh) ? NULL : ssh_message_get(f->ssh);

			if (m == NULL) {
				if (is_over(f->ssh))
					f->gone = true;
				break;
			}
			session_authn_message(s, m);
		}
		if (s->dropped != NULL && !s->over) {
			log_info("%s: %s", s->peer, s->dropped);
			/* it may have answered just now, and writes no more before it has looked whether it may: else the goodbye stays here */
			ssh_message_free(ssh_message_get(f->ssh));
			front_leave(f, s->dropped);
		}
		return;
	}
	if (f->ready && f->left_ms == 0 && !session_pump(s, &f->pump, f->ssh, front_message, f))
		front_lost(f);
	front_tell_refused(f);
}

static short ssh_events(ssh_session ssh, struct pump *pump)
{
	/* not only when it is blocked: libssh may have kept a packet that it was not asked to write, and sends it when it is told that it may */
	return (short)((session_pump_full(pump, ssh) ? 0 : POLLIN) |
	    ((ssh_get_poll_flags(ssh) & SSH_WRITE_PENDING) != 0 ? POLLOUT : 0));
}

static short way_events(struct way *w)
{
	const bool choked = way_choked(w);

	ssh_io_deaf(w->fd, choked);
	return (short)(ssh_events(w->ssh, &w->pump) & (choked ? ~POLLIN : ~0));
}

static short link_events(const struct ipc *c)
{
	return (short)(POLLIN | (ipc_wants_write(c) ? POLLOUT : 0));
}

struct poll_set {
	struct pollfd p[POLL_MAX];
	nfds_t n;
	int outer, policy, recorder, console_link, console_pty, view; /* places in p, -1: not there */
	int watcher[WATCHERS_MAX];
	int way[SESSION_WAYS_MAX];
};

static int add(struct poll_set *ps, int fd, short events)
{
	if (fd < 0 || ps->n == POLL_MAX)
		return -1;
	ps->p[ps->n] = (struct pollfd){ .fd = fd, .events = events };
	return (int)ps->n++;
}

/* An SSH connection: what was read ahead, or is queued in libssh, is not known to the kernel. What was written in this turn goes out. */
static int add_ssh(struct session *s, struct poll_set *ps, int fd, short events, const struct pump *pump, bool *ready)
{
	const bool stuck = ssh_io_flush(fd);

	if ((events & POLLIN) != 0 && (ssh_io_pending(fd) || pump->more))
		*ready = s->again = true;
	/* an end that is held back would wake at once, for ever, as would that of a peer who is not read; but who said it may still read */
	if (ssh_io_at_end(fd) || events == 0)
		return stuck ? add(ps, fd, POLLOUT) : -1;
	return add(ps, fd, (short)(events | (stuck ? POLLOUT : 0)));
}

static void collect_watch(struct session *s, struct poll_set *ps)
{
	short events = 0;
	int fd = viewing_fd(s, &events);

	ps->view = add(ps, fd, events);
	for (size_t i = 0; i < WATCHERS_MAX; i++) {
		fd = watch_fd(s, i, &events);
		ps->watcher[i] = add(ps, fd, events);
	}
}

static void collect(struct session *s, struct poll_set *ps)
{
	int link, pty;

	ps->n = 0;
	/* while a login request waits for its answer nothing is read; that the client left still shows */
	ps->outer = s->outer.left_ms != 0 ? -1 : add_ssh(s, ps, s->outer.fd, s->outer.kex_done && !s->outer.authenticated && !authn_listens(&s->authn) ?
	    POLLRDHUP : ssh_events(s->outer.ssh, &s->outer.pump), &s->outer.pump, &s->outer.ready);
	ps->policy = add(ps, s->policy.fd, link_events(&s->policy));
	ps->recorder = add(ps, s->recorder.fd, link_events(&s->recorder));
	ps->console_link = ps->console_pty = -1;
	if (console_fds(s, &link, &pty) == 0) {
		ps->console_link = add(ps, link, POLLIN);
		ps->console_pty = add(ps, pty, (short)((console_pty_reads(s) ? POLLIN : 0) |
		    (console_pty_writes(s) ? POLLOUT : 0)));
	}
	collect_watch(s, ps);
	for (size_t i = 0; i < SESSION_WAYS_MAX; i++)
		if (s->ways[i] != NULL && s->ways[i]->ssh != NULL && !s->ways[i]->lost)
			ps->way[i] = add_ssh(s, ps, s->ways[i]->fd, way_events(s->ways[i]), &s->ways[i]->pump, &s->ways[i]->ready);
		else
			ps->way[i] = -1;
	for (struct chan *c = s->outer.chans; c != NULL; c = c->next) {
		short events;
		struct front *f;

		if (c->tunnel == NULL)
			continue;
		f = tunnel_front(c->tunnel);
		f->place = -1;
		/* an end that is waited for in vain would wake at once, for ever: it hung up */
		if ((events = tunnel_events(c->tunnel)) != 0)
			add(ps, tunnel_fd(c->tunnel), events);
		if (!f->gone && f->left_ms == 0)
			f->place = add_ssh(s, ps, f->fd, ssh_events(f->ssh, &f->pump), &f->pump, &f->ready);
	}
}

/* Who may read now. */
static void mark_ready(struct session *s, const struct poll_set *ps)
{
	for (size_t i = 0; i < SESSION_WAYS_MAX; i++)
		if (ps->way[i] >= 0 && ps->p[ps->way[i]].revents != 0)
			s->ways[i]->ready = true;
	for (struct chan *c = s->outer.chans; c != NULL; c = c->next)
		if (c->tunnel != NULL && tunnel_front(c->tunnel)->place >= 0 &&
		    ps->p[tunnel_front(c->tunnel)->place].revents != 0)
			tunnel_front(c->tunnel)->ready = true;
}

static int sooner(int a, int b)
{
	return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

/* The session ends, for no fault of its user. */
static void leave(struct session *s, const char *line)
{
	bool heard = front_say(&s->outer, line);

	/* what is said inside a tunnel comes out no more: ssh -J reads it in the end of its own connection, as does who has no channel yet */
	for (const struct chan *c = s->outer.chans; c != NULL; c = c->next)
		heard = heard && c->tunnel == NULL;
	if (!heard)
		ssh_session_set_disconnect_message(s->outer.ssh, line);
	s->over = true;
}

/* Deadlines: acts on those that passed; ms until the next. */
static int tick(struct session *s)
{
	uint64_t now = clock_mono_ms();
	int next = session_authn_tick(s, now);

	if (now >= s->lease_ms) {
		log_error("%s: policy is silent: lease over", s->peer);
		leave(s, "bastiond: the access service does not answer: session ended");
	}
	next = sooner(sooner(next, s->over ? 0 : (int)(s->lease_ms - now)), front_tick(&s->outer, now));
	for (size_t i = 0; i < SESSION_WAYS_MAX; i++)
		if (s->ways[i] != NULL)
			next = sooner(next, way_tick(s->ways[i], now));
	for (struct chan *c = s->outer.chans; c != NULL; c = c->next)
		if (c->tunnel != NULL)
			next = sooner(next, front_end_due(tunnel_front(c->tunnel), now));
	return next;
}

/* Peers that ended their connection, whose last bytes have moved on: libssh sees the end in the next turn. */
static void let_end(struct session *s)
{
	bool now = front_let_end(&s->outer);

	for (struct chan *c = s->outer.chans; c != NULL; c = c->next)
		now = (c->tunnel != NULL && front_let_end(tunnel_front(c->tunnel))) || now;
	for (size_t i = 0; i < SESSION_WAYS_MAX; i++)
		now = (s->ways[i] != NULL && way_let_end(s->ways[i])) || now;
	s->again = s->again || now;
}

/* Everything that may go on goes on; nothing here waits. */
static void steps(struct session *s)
{
	outer_step(s);
	s->outer.ready = false;
	for (struct chan *c = s->outer.chans; c != NULL; c = c->next)
		if (c->tunnel != NULL)
			tunnel_step(c);
	for (size_t i = 0; i < SESSION_WAYS_MAX; i++)
		if (s->ways[i] != NULL)
			way_step(s->ways[i]);
	s->again = false;
	front_step(&s->outer);
	let_end(s);
	for (size_t i = 0; i < SESSION_WAYS_MAX; i++) {
		if (s->ways[i] == NULL)
			continue;
		way_flush(s->ways[i]);
		if (s->ways[i]->state == WAY_OVER && s->ways[i]->orphan) {
			way_destroy(s->ways[i]);
			s->ways[i] = NULL;
		}
	}
	watch_step(s);
}

static bool hit(const struct poll_set *ps, int place)
{
	return place >= 0 && ps->p[place].revents != 0;
}

/* Somebody still logs in: outside, inside a tunnel, or here at a target. */
static bool settling(const struct session *s)
{
	if (!s->outer.authenticated)
		return true;
	for (size_t i = 0; i < SESSION_WAYS_MAX; i++)
		if (s->ways[i] != NULL && s->ways[i]->state < WAY_OPEN)
			return true;
	for (const struct chan *c = s->outer.chans; c != NULL; c = c->next)
		if (c->tunnel != NULL && !tunnel_front(c->tunnel)->authenticated)
			return true;
	return false;
}

static void acknowledge(struct session *s, bool outer)
{
	if (!settling(s))
		return;
	if (outer)
		ssh_setup_ack_now(s->outer.fd);
	for (size_t i = 0; i < SESSION_WAYS_MAX; i++)
		if (s->ways[i] != NULL && s->ways[i]->ssh != NULL && s->ways[i]->state == WAY_LOGIN)
			ssh_setup_ack_now(s->ways[i]->fd);
}

static void turn(struct session *s)
{
	struct poll_set ps;
	int timeout = tick(s);
	struct timespec ts = { .tv_sec = 0 };
	bool outer;

	session_turns++;
	if (s->over)
		return;
	collect(s, &ps);
	if (!s->again && timeout > 0)
		ts = (struct timespec){ timeout / 1000, (long)(timeout % 1000) * 1000000 };
	/* not poll(): that is libssh's, see ssh_io.h */
	if (ppoll(ps.p, ps.n, !s->again && timeout < 0 ? NULL : &ts, NULL) < 0 && errno != EINTR)
		fatal("session: poll: %s", strerror(errno));
	outer = hit(&ps, ps.outer);
	s->outer.ready = s->outer.ready || outer;
	mark_ready(s, &ps);
	if (outer && (ps.p[ps.outer].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0 && !s->outer.authenticated &&
	    !authn_listens(&s->authn))
		s->outer.gone = true;
	if ((hit(&ps, ps.policy) && !session_policy_read(s)) || ipc_flush(&s->policy) != 0)
		leave(s, "bastiond: the access service went away: session ended");
	if ((hit(&ps, ps.recorder) && !session_recorder_read(s)) || ipc_flush(&s->recorder) != 0)
		leave(s, "bastiond: the recorder went away: session ended");
	if (hit(&ps, ps.console_link) || hit(&ps, ps.console_pty))
		console_ready(s);
	if (hit(&ps, ps.view))
		viewing_ready(s);
	for (size_t i = 0; i < WATCHERS_MAX; i++)
		if (hit(&ps, ps.watcher[i]))
			watch_ready(s, i, ps.p[ps.watcher[i]].revents);
	steps(s);
	acknowledge(s, outer);
}

/* While the client's channels are there still: what their ways' ends have to say to them is said. */
static void end_ways(struct session *s)
{
	for (size_t i = 0; i < SESSION_WAYS_MAX; i++)
		if (s->ways[i] != NULL) {
			way_left(s->ways[i], s->outer.broke);
			way_step(s->ways[i]);
		}
}

/* The client is gone, or the session must end: recordings are closed, as far as their collectors let them be. */
static void wind_up(struct session *s)
{
	uint64_t deadline = clock_mono_ms() + 3000;

	for (;;) {
		struct pollfd p[2] = {
			{ .fd = s->recorder.fd, .events = link_events(&s->recorder) },
			{ .fd = s->policy.fd, .events = link_events(&s->policy) },
		};
		uint64_t now = clock_mono_ms();
		bool open = ipc_wants_write(&s->policy);

		for (size_t i = 0; i < SESSION_WAYS_MAX; i++)
			if (s->ways[i] != NULL) {
				way_step(s->ways[i]);
				open = open || s->ways[i]->state != WAY_OVER;
			}
		if (!open || now >= deadline)
			return;
		if (poll(p, 2, (int)(deadline - now)) < 0 && errno != EINTR)
			return;
		if (!session_recorder_read(s) || ipc_flush(&s->recorder) != 0 || !session_policy_read(s) ||
		    ipc_flush(&s->policy) != 0)
			return;
	}
}

static int read_start(struct session *s, struct buf *start)
{
	buf_get_cstring(start, s->peer, sizeof(s->peer));
	return buf_end(start) ? 0 : -1;
}

/*
 * libssh answers auth-agent-req@openssh.com and global requests it does not know by itself, with a failure, and tells nobody
 * but its log. The log is the only place to learn that a user expects an agent or a socket at the other end; or that a request of a login
 * was dropped, or taken by libssh itself, past authn_state.c.
 */
static const struct { const char *says, *line; } drops[] = {
	{ "Public key from client (", "bastiond: this client signs by an algorithm that is not taken here: an RSA key needs rsa-sha2-256 or "
	    "rsa-sha2-512, which a newer client has; or use an Ed25519 key" },
	{ "Unknown key type found", "bastiond: this client shows a key of a type that is not known here: name an Ed25519, ECDSA or RSA key to it, "
	    "and that one alone (IdentitiesOnly)" },
	/* a name with a byte of zero, too: the library reads it to there, and what was signed is the whole */
	{ "nvalid signature", "bastiond: this client's signature does not hold for what it asks: its key or its agent is at fault, or the user name "
	    "has a byte of zero; use another one" },
	{ "ssh_gssapi", "bastiond: GSSAPI is no way to log in here: use your registered key" },
};

/* The connection of a client that libssh speaks of; NULL: it is a target's, and what that asks for is nobody's wish here. */
static struct front *spoken_of(struct session *s)
{
	const int fd = ssh_io_received();

	if (fd == s->outer.fd)
		return &s->outer;
	for (struct chan *c = s->outer.chans; c != NULL; c = c->next)
		if (c->tunnel != NULL && tunnel_front(c->tunnel)->fd == fd)
			return tunnel_front(c->tunnel);
	return NULL;
}

static void on_ssh_log(int priority, const char *function, const char *text, void *arg)
{
	struct session *s = arg;
	struct front *f;

	(void)priority;
	(void)function;
	for (size_t i = 0; i < sizeof(drops) / sizeof(drops[0]) && !s->outer.authenticated && s->dropped == NULL; i++)
		if (strstr(text, drops[i].says) != NULL)
			s->dropped = drops[i].line;
	if (strstr(text, "The client doesn't want to know the request failed") != NULL)
		s->unanswered = true;
	if (strstr(text, "Received an auth-agent-req request") != NULL && (f = spoken_of(s)) != NULL)
		f->agent_asked = true;
	if (strstr(text, "UNKNOWN SSH_MSG_GLOBAL_REQUEST streamlocal-forward@") != NULL && (f = spoken_of(s)) != NULL)
		f->streamlocal_asked = true;
}

void session_run(const struct config *conf, struct ssh_service *service, struct buf *start, int client, int policy, int recorder)
{
	static struct session s;

	s.conf = conf;
	s.service = service;
	s.next_way = 1;
	ipc_init(&s.policy, policy, ROLE_SESSION, ROLE_POLICY);
	ipc_init(&s.recorder, recorder, ROLE_SESSION, ROLE_RECORDER);
	buf_init(&s.words_reply, WORDS_REPLY_MAX);
	if (read_start(&s, start) != 0)
		fatal("session: malformed start message");
	s.outer.session = &s;
	s.outer.fd = client;
	if ((s.outer.ssh = ssh_setup_server(service, &s.outer.fd)) == NULL)
		_exit(1);
	/* libssh and the holds take and give back blocks of some 100 KiB all the time: not by a system call each */
	mallopt(M_MMAP_THRESHOLD, 16 << 20);
	mallopt(M_TRIM_THRESHOLD, 8 << 20);
	ssh_set_log_callback(on_ssh_log);
	ssh_set_log_userdata(&s);
	ssh_set_log_level(SSH_LOG_PACKET);	/* until the login: this is where it speaks of signatures */
	authn_init(&s.authn, conf->max_auth_tries);
	s.grace_ms = clock_mono_ms() + conf->login_grace;
	s.lease_ms = clock_mono_ms() + conf->lease;
	while (!s.over && !s.outer.gone)
		turn(&s);
	watch_finish(&s, "The session has ended.");
	end_ways(&s);
	if (!s.outer.gone)
		front_finish(&s.outer);
	front_lost(&s.outer); /* with the connection libssh has freed its channels: nobody may touch them now */
	s.outer.gone = true;
	wind_up(&s);
	/* The address space goes with the process: keys are wiped, the rest is the kernel's. */
	for (size_t i = 0; i < SESSION_WAYS_MAX; i++)
		way_destroy(s.ways[i]);
	/* not exit(): OpenSSL's clean-up would write to, and so copy, every page that is shared with master */
	_exit(0);
}
