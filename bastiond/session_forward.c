/*
 * session_forward.c - forwarding that a logged-in client asks for: to a registered host (`ssh -J`), to what a grant names, or refused.
 *
 * Role: session. Before it: session_front.c. After it: session_tunnel.c for a host, relay_open.c for a destination of a grant. Whatever is
 * refused is said in one line and noted: on the channels that there are, or, to the hop of `ssh -J`, as the end of its connection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "escape.h"
#include "log.h"
#include "session.h"

static void owe(struct front *f, const char *line)
{
	if (f->nowed < FRONT_OWED_MAX)
		snprintf(f->owed[f->nowed++], FORWARD_LINE_MAX, "%s", line);
}

void front_refuse_forward(struct front *f, const char *kind, const char *what)
{
	char line[FORWARD_LINE_MAX];

	if (!session_may_tell(f->session))
		return;
	snprintf(line, sizeof(line), "bastiond: %s is refused: no grant allows it", what);
	session_note(f->session, f->way != NULL ? f->way->id : 0, kind, what);
	log_info("%s: %s: %s refused", f->session->peer, f->session->who.user, what);
	/* if nobody heard it, the next channel does */
	if (!front_say(f, line))
		owe(f, line);
}

void front_tell_refused(struct front *f)
{
	if (f->agent_asked)
		front_refuse_forward(f, "agent.refused", "agent forwarding");
	if (f->streamlocal_asked)
		front_refuse_forward(f, "streamlocal.refused", "remote forwarding of a socket");
	f->agent_asked = f->streamlocal_asked = false;
}

bool front_leave(struct front *f, const char *line)
{
	if (f->chans != NULL || f->gone || f->left_ms != 0)
		return false;
	ssh_session_set_disconnect_message(f->ssh, line);
	if (f == &f->session->outer) {
		f->session->over = true;
		return true;
	}
	front_finish(f);
	f->gone = true;
	f->fd = -1; /* libssh closed it */
	return true;
}

const char *session_bastion(const struct session *s, char name[CONFIG_NAME_MAX + 1])
{
	uint16_t port = 0;

	if (s->conf->name[0] == '\0' || config_name_split(s->conf->name, name, &port) != 0)
		strcpy(name, "bastion");
	return name;
}

/* What `ssh -J` and `ssh -W` should have asked for. */
static void say_way(const struct front *f, const char *what, char *line, size_t size)
{
	const char *user = f->session->who.user;
	char bastion[CONFIG_NAME_MAX + 1];

	session_bastion(f->session, bastion);
	if (f->way != NULL)
		snprintf(line, size, "bastiond: %s is refused: no grant allows it; ask for one that names it: ssh %s@%s help request",
		    what, user, bastion);
	else
		snprintf(line, size, "bastiond: %s is refused: a host is reached by its name here, no address, and by port 22, "
		    "whatever its own is. Yours: ssh %s@%s hosts", what, user, bastion);
}

/*
 * Is it ssh's own connection to the next hop (-J, -W)? Its channel_connect_stdio_fwd() has no socket to name as the originator. It has nothing else
 * to do here, and after a refused channel it would not read on: so the connection ends, with the reason. Others get the failure of RFC 4254
 * 5.1, which carries no text in libssh, and go on.
 */
bool forward_is_hop(ssh_message m)
{
	const char *from = ssh_message_channel_request_open_originator(m);

	return from != NULL && strcmp(from, "127.0.0.1") == 0 && ssh_message_channel_request_open_originator_port(m) == 65535;
}

void front_refuse_tcpip(struct front *f, ssh_message m)
{
	const char *dest = ssh_message_channel_request_open_destination(m);
	char what[200], host[128], line[LINE_MAX_LEN];

	esc_text(host, sizeof(host), dest != NULL ? dest : "", dest != NULL ? strlen(dest) : 0);
	snprintf(what, sizeof(what), "port forwarding to %s:%d", host,
	    ssh_message_channel_request_open_destination_port(m));
	front_refuse_forward(f, "forward.refused", what);
	say_way(f, what, line, sizeof(line));
	/* who had a channel, or may have another one soon, goes on: one of several forwards is not worth the connection */
	if (!forward_is_hop(m) || f->used || f->nasked > 1 || !front_leave(f, line))
		ssh_message_reply_default(m);
}

/*
 * A destination that a grant may name: policy says whether one does. The channel is accepted before that, because libssh could
 * not say why it is refused; on a refusal it closes, and the line goes to the other channels.
 */
static bool open_forward(struct front *f, ssh_message m)
{
	const char *host = ssh_message_channel_request_open_destination(m);
	char text[FORWARD_MAX + 1];
	ssh_channel client;
	struct chan *c;

	/* libssh has cut the port to 16 bits: this is the port that policy sees and the target is asked for */
	if (host == NULL ||
	    (size_t)snprintf(text, sizeof(text), "%s:%d", host, ssh_message_channel_request_open_destination_port(m)) >= sizeof(text) ||
	    !access_forward_ok(text) ||
	    (client = ssh_message_channel_request_open_reply_accept(m)) == NULL)
		return false;
	if ((c = front_chan_create(f, client, CHAN_TARGET)) == NULL) {
		ssh_channel_close(client);
		ssh_channel_free(client);
		return true;
	}
	c->forward = true;
	c->capability = "forward";
	c->state = CHAN_WAITS;
	if ((c->command = strdup(text)) == NULL)
		chan_refuse(c, "bastiond: out of memory");
	else
		relay_start(c);
	return true;
}

/* A forward on a way that policy has answered about. */
static void on_way_forward(struct front *f, ssh_message m)
{
	if (f->way->ending || f->way->state > WAY_OPEN) {
		if (!forward_is_hop(m) || f->used || !front_leave(f, f->way->line))
			ssh_message_reply_default(m);
	} else if (f->way->forwards && front_full(f)) {
		session_say_full(f->session);
		ssh_message_reply_default(m);
	} else if (!f->way->forwards || !open_forward(f, m)) {
		front_refuse_tcpip(f, m);
	}
}

void forward_step(struct front *f)
{
	if (f->nasked == 0 || (f->way->state == WAY_ASKING && !f->way->ending))
		return;
	for (size_t i = 0; i < f->nasked && !f->gone && f->left_ms == 0; i++)
		on_way_forward(f, f->asked[i]);
	forward_forget(f);
}

void forward_forget(struct front *f)
{
	while (f->nasked > 0)
		ssh_message_free(f->asked[--f->nasked]);
}

/* One too many: no grant is missing, so this is no forward that was refused, and no event. */
static void refuse_hop(struct front *f, ssh_message m)
{
	char line[FORWARD_LINE_MAX];

	snprintf(line, sizeof(line), "bastiond: %d hops go through this connection, which is the most: take another one to the bastion (ssh -S none)",
	    SESSION_TUNNELS_MAX);
	if (++f->session->refusals <= REFUSALS_MAX)
		log_info("%s: %s", f->session->peer, line);
	/* whoever is refused can be told nothing here; of the others in this connection everybody reads it, once */
	if (!f->session->hops_told)
		front_say(f, line);
	f->session->hops_told = true;
	ssh_message_reply_default(m);
}

bool forward_open(struct front *f, ssh_message m)
{
	/* `ssh -W` asks as soon as it is logged in */
	if (f->way != NULL && f->way->state == WAY_ASKING && f->nasked < FRONT_ASKS_MAX) {
		f->asked[f->nasked++] = m;
		return false;
	}
	if (f->way != NULL && f->way->state != WAY_ASKING) {
		on_way_forward(f, m);
		return true;
	}
	switch (f == &f->session->outer && f->way == NULL ? tunnel_open(f, m) : TUNNEL_NONE) {
	case TUNNEL_ASKED:
		return false;
	case TUNNEL_FULL:
		refuse_hop(f, m);
		break;
	default:
		front_refuse_tcpip(f, m);
	}
	return true;
}
