/*
 * session_tunnel.c - `ssh -J`: a direct-tcpip channel whose far end is a second SSH server in this process.
 *
 * Role: session. Before it: session_front.c (the outer connection). The bytes of the channel go through a socket pair into libssh,
 * which serves the inner connection with the bastion's host keys. The client never chooses an address: the name it gave is
 * looked up among the registered hosts, the port only has to be SSH's. The inner login is a name, not a proof: who it is was settled outside.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "escape.h"
#include "log.h"
#include "session.h"
#include "ssh_io.h"
#include "ssh_setup.h"

#define TUNNEL_READ 65536
#define SSH_PORT 22

struct tunnel {
	struct front front;	/* the inner server */
	struct chan *chan;	/* the direct-tcpip channel of the outer connection */
	char host[HOST_NAME_MAX_LEN + 1];
	int fd;			/* this side of the pair */
	bool shut;		/* the client's end of file was passed on */
	bool ended;		/* the inner server's end: nothing more will come */
};

struct front *tunnel_front(struct tunnel *t) { return &t->front; }
int tunnel_fd(const struct tunnel *t) { return t->fd; }

/* What the inner server wants to say is taken when there is room for it towards the client. */
short tunnel_events(const struct tunnel *t)
{
	return (short)((!t->ended && !hold_full(&t->chan->out) ? POLLIN : 0) |
	    (!t->front.gone && t->front.left_ms == 0 && !hold_empty(&t->chan->in) ? POLLOUT : 0));
}

static struct tunnel *tunnel_create(struct session *s, const char *host)
{
	struct tunnel *t = calloc(1, sizeof(*t));
	int fds[2];

	if (t == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
		free(t);
		return NULL;
	}
	t->fd = fds[0];
	t->front.session = s;
	t->front.fd = fds[1];
	strcpy(t->host, host);
	if ((t->front.ssh = ssh_setup_server(s->service, &t->front.fd)) == NULL) {
		close(fds[0]);
		free(t);
		return NULL;
	}
	return t;
}

/* With those that policy is asked about. */
static unsigned count_tunnels(const struct session *s)
{
	unsigned n = 0;

	for (size_t i = 0; i < SESSION_TUNNELS_MAX; i++)
		n += s->tunnel_asks[i] != NULL;
	for (const struct chan *c = s->outer.chans; c != NULL; c = c->next)
		n += c->tunnel != NULL;
	return n;
}

enum tunnel_answer tunnel_open(struct front *outer, ssh_message m)
{
	const char *host = ssh_message_channel_request_open_destination(m);
	struct session *s = outer->session;
	uint32_t place = 0;
	struct buf b;

	/* libssh has cut the port to 16 bits: what it says now is what counts, and 22 leads nowhere but to the registered port */
	if (host == NULL || !name_is_host(host) || ssh_message_channel_request_open_destination_port(m) != SSH_PORT)
		return TUNNEL_NONE;
	if (count_tunnels(s) >= SESSION_TUNNELS_MAX)
		return TUNNEL_FULL;
	while (s->tunnel_asks[place] != NULL)
		place++;
	buf_init(&b, 256);
	buf_put_cstring(&b, host);
	if (ipc_send(&s->policy, MSG_HOST_ASK, place, &b, NULL, 0) == 0)
		s->tunnel_asks[place] = m;
	buf_finish(&b);
	return s->tunnel_asks[place] == m ? TUNNEL_ASKED : TUNNEL_FULL;
}

/* There is such a host: the channel is accepted, and the inner server waits on it. */
static bool accept_tunnel(struct session *s, ssh_message m)
{
	struct tunnel *t = tunnel_create(s, ssh_message_channel_request_open_destination(m));
	ssh_channel client;
	struct chan *c;

	if (t == NULL)
		return false;
	if ((client = ssh_message_channel_request_open_reply_accept(m)) == NULL) {
		tunnel_destroy(t);
		return false;
	}
	if ((c = front_chan_create(&s->outer, client, CHAN_TUNNEL)) == NULL) {
		tunnel_destroy(t);
		ssh_channel_close(client);
		ssh_channel_free(client);
		return true;
	}
	c->tunnel = t;
	c->state = CHAN_LIVE;
	t->chan = c;
	return true;
}

/* That was all that the connection was made for. */
static bool say_and_leave(struct session *s, const char *line)
{
	for (size_t i = 0; i < SESSION_TUNNELS_MAX; i++)
		if (s->tunnel_asks[i] != NULL)
			return false;
	if (!front_leave(&s->outer, line))
		return false;
	session_note(s, 0, "forward.refused", line);
	return true;
}

void tunnel_policy(struct session *s, struct ipc_msg *r)
{
	bool ok = buf_get_u8(&r->body) != 0;
	char line[LINE_MAX_LEN];
	ssh_message m = r->id < SESSION_TUNNELS_MAX ? s->tunnel_asks[r->id] : NULL;

	if (buf_get_cstring(&r->body, line, sizeof(line)) != 0 || m == NULL)
		return;
	s->tunnel_asks[r->id] = NULL;
	if ((!ok && !(forward_is_hop(m) && say_and_leave(s, line))) || (ok && !accept_tunnel(s, m)))
		front_refuse_tcpip(&s->outer, m);
	ssh_message_free(m);
}

/* Who it is was settled outside: this is no stranger. */
static void say_no_login(struct tunnel *t, const char *login)
{
	const struct session *s = t->front.session;
	char line[LINE_MAX_LEN], name[160], bastion[CONFIG_NAME_MAX + 1];

	session_bastion(s, bastion);
	if (login != NULL && name_is_login(login)) {
		snprintf(line, sizeof(line), "bastiond: %d destinations are open on this connection, which is the most: for %s take one of its own to "
		    "the bastion (ssh -S none)", SESSION_WAYS_MAX, t->host);
	} else {
		esc_quoted(name, sizeof(name), login != NULL ? login : "", login != NULL ? strnlen(login, 64) : 0);
		snprintf(line, sizeof(line), "bastiond: %s is no login at a host: ssh -J %s@%s LOGIN@%s. Yours: ssh %s@%s hosts", name,
		    s->who.user, bastion, t->host, s->who.user, bastion);
	}
	if (!front_leave(&t->front, line))
		t->front.gone = true;
}

/* Messages of the inner connection before its login: a name is enough, and it is the login at the target. */
static void inner_message(void *ctx, ssh_message m)
{
	struct tunnel *t = ctx;
	struct front *f = &t->front;
	const char *login;

	if (f->authenticated) {
		front_message(f, m);
		return;
	}
	switch (ssh_message_type(m)) {
	case SSH_REQUEST_SERVICE:
		ssh_message_service_reply_success(m);
		break;
	case SSH_REQUEST_AUTH:
		login = ssh_message_auth_user(m);
		if (login == NULL || !name_is_login(login) ||
		    (f->way = way_create(f->session, t->host, login)) == NULL) {
			log_info("%s: inner login refused", f->session->peer);
			say_no_login(t, login);
			break;
		}
		ssh_message_auth_reply_success(m, 0);
		f->authenticated = true;
		ssh_io_hold_end(f->fd);
		ssh_io_gather(f->fd);
		break;
	default:
		ssh_message_reply_default(m);
	}
	ssh_message_free(m);
}

static void inner_step(struct tunnel *t)
{
	struct front *f = &t->front;
	int r;

	if (f->gone || f->left_ms != 0)
		return;
	if (!f->kex_done) {
		if ((r = ssh_handle_key_exchange(f->ssh)) == SSH_ERROR)
			f->gone = true;
		f->kex_done = r == SSH_OK;
		if (!f->kex_done)
			return;
		f->ready = true;
	}
	if (f->ready && !session_pump(f->session, &f->pump, f->ssh, inner_message, t))
		front_lost(f);
	front_tell_refused(f);
	f->ready = f->pump.more && f->left_ms == 0;
}

/* Client → inner server. */
static bool feed_inner(struct chan *c, struct tunnel *t)
{
	struct hold_item it;

	while (hold_peek(&c->in, &it)) {
		ssize_t n = send(t->fd, it.data, it.len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		hold_take(&c->in, (size_t)n);
	}
	return true;
}

/* Inner server → client, as far as the hold takes it. */
static bool drain_inner(struct chan *c, struct tunnel *t)
{
	uint8_t data[TUNNEL_READ];

	while (!t->ended && !hold_full(&c->out)) {
		ssize_t n = recv(t->fd, data, sizeof(data), MSG_DONTWAIT);

		if (n <= 0) {
			t->ended = n == 0 || (errno != EAGAIN && errno != EINTR);
			return !t->ended;
		}
		if (hold_put(&c->out, HOLD_DATA, 0, data, (size_t)n) != 0)
			return false;
	}
	return !t->ended;
}

void tunnel_step(struct chan *c)
{
	struct tunnel *t = c->tunnel;
	/* nobody is there any more: what he sent before goes to its target first */
	bool left = c->client_closed || ssh_io_at_end(c->front->fd);

	if (c->state == CHAN_DEAD)
		return;
	if (left && c->close_deadline_ms == 0)
		c->close_deadline_ms = clock_mono_ms() + CLOSE_PATIENCE_MS;
	relay_raw_step(c);
	if (c->state == CHAN_DEAD)
		return;
	if (!t->front.gone && t->front.left_ms == 0 && !feed_inner(c, t))
		t->front.gone = true;
	if ((c->client_eof || left) && hold_empty(&c->in) && !c->left_in && !t->shut) {
		t->shut = true;
		shutdown(t->fd, SHUT_WR);
	}
	inner_step(t);
	if (!drain_inner(c, t) && hold_empty(&c->out) && t->front.left_ms == 0)
		t->front.gone = true;
	relay_raw_step(c);
	if ((t->front.gone && (left || hold_empty(&c->out))) || (left && clock_mono_ms() >= c->close_deadline_ms))
		c->state = CHAN_DEAD;
}

void tunnel_destroy(struct tunnel *t)
{
	struct front *f;
	struct chan *c, *next;

	if (t == NULL)
		return;
	f = &t->front;
	forward_forget(f);
	for (c = f->chans; c != NULL; c = next) {
		next = c->next;
		if (c->state == CHAN_LIVE && c->way != NULL)
			record_close(c);
		chan_release(c);
		chan_finish(c);
		free(c);
	}
	if (f->way != NULL) {
		/* who breaks the outer connection has ended this one, too */
		way_left(f->way, f->broke || f->session->outer.broke);
		f->way->orphan = true;
	}
	ssh_free(f->ssh);
	close(t->fd);
	free(t);
}
