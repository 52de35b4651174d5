/*
 * session_front.c - what a logged-in client asks of its SSH server: channels, and requests on them. An allow-list.
 *
 * Role: session. Before it: session_authn.c, or session_tunnel.c for the inner server. After it: relay_open.c,
 * session_words.c. What is not listed here is refused, with a line and an event where a user would wonder.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "escape.h"
#include "clock.h"
#include "log.h"
#include "session.h"
#include "ssh_io.h"

#define LEAVE_MS 1000	/* for targets to close what a client that left had open */
#define VAIN_MS 5000	/* for a client to open its first channel on a way that is over, and to read why it is */

static struct chan *find_chan(struct front *f, ssh_channel client)
{
	for (struct chan *c = f->chans; c != NULL; c = c->next)
		if (c->client == client)
			return c;
	return NULL;
}

/* Counts over all fronts of the connection: the limit is the connection's. */
static unsigned count_chans(const struct session *s)
{
	unsigned n = s->outer.nchans;

	for (struct chan *c = s->outer.chans; c != NULL; c = c->next)
		if (c->tunnel != NULL)
			n += tunnel_front(c->tunnel)->nchans;
	return n;
}

/*
 * libssh 0.10 grants 32000 bytes at the open, and all of its window when the first come, whatever became of the channel meanwhile. Behind our close
 * nothing may be said (RFC 4254 5.3): Go's and Java's libraries end the whole connection for it, and the first bytes of `cmd | ssh HOST nosuch`
 * come behind it over any longer line. So it is granted before. A read of more than the window has opens it; nothing is read.
 */
static void open_window(const struct front *f, ssh_channel client)
{
	static uint8_t nothing[32001];

	ssh_io_deaf(f->fd, true);
	ssh_channel_read_timeout(client, nothing, sizeof(nothing), 0, 0);
	ssh_io_deaf(f->fd, false);
}

struct chan *front_chan_create(struct front *f, ssh_channel client, enum chan_kind kind)
{
	struct chan *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->front = f;
	c->kind = kind;
	c->state = CHAN_NEW;
	c->client = client;
	c->next = f->chans;
	f->chans = c;
	f->used = true;
	f->nchans++;
	relay_client_callbacks(c);
	open_window(f, client);
	return c;
}

bool chan_say(struct chan *c, const char *line)
{
	char text[LINE_MAX_LEN + 8], safe[LINE_MAX_LEN];

	/* not before it was asked for something: its client may not have a reader for it yet */
	if (line[0] == '\0' || c->forward || c->state == CHAN_DEAD || c->state == CHAN_NEW || c->client_closed)
		return false;
	esc_text(safe, sizeof(safe), line, strlen(line));
	snprintf(text, sizeof(text), "%s%s\r\n", c->pty ? "\r\n" : "", safe);
	/* a client that does not read must not keep its session: what does not fit is lost, the end is not */
	if (ssh_channel_window_size(c->client) < strlen(text) ||
	    ssh_channel_write_stderr(c->client, text, (uint32_t)strlen(text)) <= 0)
		return false;
	watch_put(c, text, strlen(text), 0);
	return true;
}

void chan_queue(struct chan *c, const char *line)
{
	char text[LINE_MAX_LEN + 8], safe[LINE_MAX_LEN];

	if (c->eof_said_out)
		return; /* libssh writes nothing behind an end of file, and exit status and close would wait for it */
	esc_text(safe, sizeof(safe), line, strlen(line));
	snprintf(text, sizeof(text), "%s%s\r\n", c->pty ? "\r\n" : "", safe);
	if (hold_put(&c->out, HOLD_ERR, 0, text, strlen(text)) != 0)
		relay_fail(c, "bastiond: out of memory: session ended");
}

bool front_say(struct front *f, const char *line)
{
	bool heard = false;

	if (!f->authenticated || f->gone || f->left_ms != 0)
		return false;
	for (struct chan *c = f->chans; c != NULL; c = c->next) {
		if (c->tunnel != NULL) {
			heard |= front_say(tunnel_front(c->tunnel), line);
			continue;
		}
		heard |= chan_say(c, line);
	}
	return heard;
}

/* What was refused before this channel could say it: -R and X11 are asked for first. */
static void say_owed(struct front *f, struct chan *c)
{
	for (size_t i = 0; i < f->nowed; i++)
		chan_say(c, f->owed[i]);
	f->nowed = 0;
}

bool front_full(const struct front *f)
{
	return count_chans(f->session) >= f->session->conf->max_channels || f->nover >= CHANS_OVER_MAX;
}

void session_say_full(struct session *s)
{
	char line[FORWARD_LINE_MAX];

	if (++s->refusals <= REFUSALS_MAX)
		log_warn("%s: max_channels reached", s->peer);
	snprintf(line, sizeof(line), "bastiond: %u channels are open on this connection, which is the most: end one, or take another connection to the "
	    "bastion (ssh -S none)", s->conf->max_channels);
	s->room_told = s->room_told || front_say(&s->outer, line);
}

static void open_session(struct front *f, ssh_message m)
{
	ssh_channel client;

	if (front_full(f) ||
	    (client = ssh_message_channel_request_open_reply_accept(m)) == NULL) {
		session_say_full(f->session);
		ssh_message_reply_default(m);
		return;
	}
	f->session->room_told = false;
	if (front_chan_create(f, client, f->way != NULL ? CHAN_TARGET : CHAN_WORDS) == NULL) {
		ssh_channel_close(client);
		ssh_channel_free(client);
	}
}

/* False: m was taken. */
static bool on_open(struct front *f, ssh_message m)
{
	switch (ssh_message_subtype(m)) {
	case SSH_CHANNEL_SESSION:
		open_session(f, m);
		return true;
	case SSH_CHANNEL_DIRECT_TCPIP:
		return forward_open(f, m);
	case SSH_CHANNEL_X11:
		front_refuse_forward(f, "x11.refused", "X11 forwarding");
		break;
	default:
		front_refuse_forward(f, "streamlocal.refused", "forwarding of sockets and tunnels");
	}
	ssh_message_reply_default(m);
	return true;
}

static const char *const env_allowed[] = { "LANG", "LC_*", "TERM", "COLORTERM", NULL };

static bool env_is_allowed(const char *name)
{
	for (size_t i = 0; env_allowed[i] != NULL; i++) {
		size_t n = strlen(env_allowed[i]);

		if (env_allowed[i][n - 1] == '*' ? strncmp(env_allowed[i], name, n - 1) == 0 :
		    strcmp(env_allowed[i], name) == 0)
			return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == strlen(name);
	}
	return false;
}

static bool take_env(struct chan *c, ssh_message m)
{
	const char *name = ssh_message_channel_request_env_name(m), *value = ssh_message_channel_request_env_value(m);
	char text[512];

	if (c->state != CHAN_NEW || name == NULL || value == NULL || c->nenv == CHAN_ENV_MAX || !env_is_allowed(name))
		return false;
	/* locales are plain words: what a shell or a terminal could stumble over does not pass */
	if (strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@:=+-") != strlen(value) ||
	    snprintf(text, sizeof(text), "%s=%s", name, value) >= (int)sizeof(text))
		return false;
	if ((c->env[c->nenv] = strdup(text)) == NULL)
		return false;
	c->nenv++;
	return true;
}

static uint16_t clamp16(int v)
{
	return v < 0 ? 0 : v > 4096 ? 4096 : (uint16_t)v;
}

static bool take_pty(struct chan *c, ssh_message m)
{
	const char *term = ssh_message_channel_request_pty_term(m);

	if (c->state != CHAN_NEW || c->pty)
		return false;
	if (term == NULL || strlen(term) >= sizeof(c->term) ||
	    strspn(term, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-") != strlen(term))
		term = "dumb";
	strcpy(c->term, term);
	c->cols = clamp16(ssh_message_channel_request_pty_width(m));
	c->rows = clamp16(ssh_message_channel_request_pty_height(m));
	c->pty = true;
	return true;
}

static void take_resize(struct chan *c, ssh_message m)
{
	if (!c->pty)
		return;
	c->cols = clamp16(ssh_message_channel_request_pty_width(m));
	c->rows = clamp16(ssh_message_channel_request_pty_height(m));
	if (c->kind == CHAN_CONSOLE)
		console_resize(c);
	if (c->kind == CHAN_WORDS)
		viewing_resize(c);
	if (c->state == CHAN_LIVE && c->way != NULL)
		relay_resize(c); /* before that become_live() looks whether it changed */
}

/* Takes m: the request is granted, so that the line is shown, and the channel ends with it. */
static bool refuse_start(struct chan *c, ssh_message m, const char *text, bool subsystem)
{
	struct session *s = c->front->session;
	char line[256], name[64];

	if (subsystem) {
		esc_quoted(name, sizeof(name), text, strnlen(text, 32));
		snprintf(line, sizeof(line), "bastiond: the subsystem %s is refused: sftp is the only one that passes here", name);
	} else {
		snprintf(line, sizeof(line), "bastiond: a command of %zu bytes is refused: %u at most; send it as input: ssh ... sh <FILE",
		    strlen(text), CHAN_COMMAND_MAX);
	}
	if (session_may_tell(s))
		session_note(s, c->front->way != NULL ? c->front->way->id : 0, "channel.refused", line);
	c->start = m;
	chan_refuse(c, line);
	return true;
}

/* shell, exec, subsystem: what the channel is for. Takes m when it must wait for its answer. */
static bool take_start(struct chan *c, ssh_message m, int type)
{
	const char *text = type == SSH_CHANNEL_REQUEST_EXEC ? ssh_message_channel_request_command(m) :
	    type == SSH_CHANNEL_REQUEST_SUBSYSTEM ? ssh_message_channel_request_subsystem(m) : "";

	if (c->state != CHAN_NEW || text == NULL)
		return false;
	if (strlen(text) > CHAN_COMMAND_MAX || (type == SSH_CHANNEL_REQUEST_SUBSYSTEM && strcmp(text, "sftp") != 0))
		return refuse_start(c, m, text, type == SSH_CHANNEL_REQUEST_SUBSYSTEM);
	if ((c->command = strdup(text)) == NULL)
		return false;
	c->capability = type == SSH_CHANNEL_REQUEST_SHELL ? "shell" :
	    type == SSH_CHANNEL_REQUEST_SUBSYSTEM ? "sftp" : strlen(text) > CHAN_COMMAND_LEN ? "exec" : command_capability(text);
	c->start_type = type;
	c->start = m;
	c->state = CHAN_WAITS;
	say_owed(c->front, c);
	if (c->kind == CHAN_WORDS)
		words_start(c);
	else
		relay_start(c);
	return true;
}

/*
 * A request that libssh has no name for. One of OpenSSH's that wants no answer, without a terminal, is taken as eow@openssh.com: the
 * client's reader is gone, `ssh host yes | head -1`. The only way to tell the target is to close the channel there. PuTTY's winadj@ on the
 * same channels wants an answer, and others send `break` (RFC 4335) without. Whether one is wanted, only libssh's log says, at a level
 * that is too dear for longer than the refusal.
 */
static void refuse_unknown(struct front *f, struct chan *c, ssh_message m)
{
	struct session *s = f->session;
	const char *client = ssh_get_clientbanner(f->ssh);

	s->unanswered = false;
	ssh_set_log_level(SSH_LOG_PACKET);
	ssh_message_reply_default(m);
	ssh_set_log_level(SSH_LOG_PROTOCOL);
	if (s->unanswered && client != NULL && strncmp(client, "SSH-2.0-OpenSSH_", 16) == 0 && c->kind == CHAN_TARGET && c->state == CHAN_LIVE && !c->pty)
		c->target_abandoned = true;
}

static void on_request(struct front *f, ssh_message m)
{
	struct chan *c = find_chan(f, ssh_message_channel_request_channel(m));
	int type = ssh_message_subtype(m);
	bool ok = false;

	if (c == NULL || c->state == CHAN_DEAD) {
		/*
		 * Closed meanwhile: what the message names may be gone from libssh, too, and behind our close nothing may come (RFC 4254 5.3): the
		 * client may have given the number to another channel. PuTTY ends the connection for it.
		 */
		ssh_message_free(m);
		return;
	}
	if (c->kind == CHAN_TUNNEL)
		type = SSH_CHANNEL_REQUEST_UNKNOWN;
	switch (type) {
	case SSH_CHANNEL_REQUEST_PTY:
		ok = take_pty(c, m);
		break;
	case SSH_CHANNEL_REQUEST_ENV:
		ok = take_env(c, m);
		break;
	case SSH_CHANNEL_REQUEST_WINDOW_CHANGE:
		take_resize(c, m);
		ok = true;
		break;
	case SSH_CHANNEL_REQUEST_SHELL:
	case SSH_CHANNEL_REQUEST_EXEC:
	case SSH_CHANNEL_REQUEST_SUBSYSTEM:
		if (take_start(c, m, type))
			return; /* owned by the channel now */
		break;
	case SSH_CHANNEL_REQUEST_X11:
		front_refuse_forward(f, "x11.refused", "X11 forwarding");
		break;
	default:
		refuse_unknown(f, c, m);
		ssh_message_free(m);
		return;
	}
	if (ok)
		ssh_message_channel_request_reply_success(m);
	else
		ssh_message_reply_default(m);
	ssh_message_free(m);
}

void front_message(void *front, ssh_message m)
{
	struct front *f = front;

	switch (ssh_message_type(m)) {
	case SSH_REQUEST_CHANNEL:
		on_request(f, m);
		return;
	case SSH_REQUEST_CHANNEL_OPEN:
		if (!on_open(f, m))
			return;
		break;
	case SSH_REQUEST_GLOBAL:
		front_refuse_forward(f, "forward.refused", "remote port forwarding");
		ssh_message_reply_default(m);
		break;
	default:
		/* authentication after success is ignored (RFC 4252 5.1); services after it do not exist */
		if (ssh_message_type(m) != SSH_REQUEST_AUTH)
			ssh_message_reply_default(m);
	}
	ssh_message_free(m);
}

void chan_refuse(struct chan *c, const char *line)
{
	char text[LINE_MAX_LEN + 4];
	uint32_t status = 255; /* what ssh itself says of a connection that failed */
	size_t n;

	if (c->start != NULL) {
		ssh_message_channel_request_reply_success(c->start); /* so that the line below is shown */
		ssh_message_free(c->start);
		c->start = NULL;
	}
	if (c->forward) { /* no text in a stream of bytes */
		hold_finish(&c->out);
		front_say(c->front, line);
		if (session_may_tell(c->front->session))
			session_note(c->front->session, c->way != NULL ? c->way->id : 0, "forward.refused", line);
		c->state = hold_put(&c->out, HOLD_CLOSE, 0, NULL, 0) != 0 ? CHAN_DEAD : CHAN_ENDING;
		return;
	}
	n = esc_text(text, sizeof(text) - 3, line, strlen(line));
	memcpy(text + n, "\r\n", 3);
	/* the console's next prompt comes behind it: ssh keeps two streams in no order */
	if (hold_put(&c->out, c->from_console ? HOLD_DATA : HOLD_ERR, 0, text, n + 2) != 0 ||
	    (!c->exit_passed && hold_put(&c->out, HOLD_EXIT, 0, &status, sizeof(status)) != 0) ||
	    hold_put(&c->out, HOLD_CLOSE, 0, NULL, 0) != 0)
		c->state = CHAN_DEAD;
	else
		c->state = CHAN_ENDING;
}

void front_trim(struct front *f)
{
	for (struct chan *c = f->chans; c != NULL; c = c->next) {
		if (c->tunnel != NULL)
			front_trim(tunnel_front(c->tunnel));
		hold_trim(&c->in);
		hold_trim(&c->out);
	}
}

/* Something that the client sent is on its way to a target that takes it. */
static bool input_moves(const struct chan *c)
{
	if (c->state != CHAN_LIVE)
		return false;
	if (c->kind == CHAN_TUNNEL)
		return !tunnel_front(c->tunnel)->gone; /* it sees its own end in time */
	return c->kind == CHAN_TARGET && !c->target_closed && !c->target_abandoned && !c->way->lost &&
	    (c->left_in || !hold_empty(&c->in) || (c->client_eof && !c->eof_queued_in));
}

bool front_let_end(struct front *f)
{
	bool moves = false;

	if (!ssh_io_at_end(f->fd))
		return false;
	if (f->end_deadline_ms == 0)
		f->end_deadline_ms = clock_mono_ms() + CLOSE_PATIENCE_MS;
	for (const struct chan *c = f->chans; c != NULL; c = c->next)
		moves = moves || input_moves(c);
	if (moves && clock_mono_ms() < f->end_deadline_ms)
		return false;
	ssh_io_let_end(f->fd);
	f->ready = true;
	return true;
}

void front_lost(struct front *f)
{
	const int fd = ssh_get_fd(f->ssh);
	bool moves = false;

	for (const struct chan *c = f->chans; c != NULL; c = c->next)
		moves = moves || input_moves(c);
	if (fd >= 0) { /* an error of the protocol: libssh left it open */
		if (!f->broke && f->kex_done && (ssh_get_status(f->ssh) & SSH_CLOSED_ERROR) != 0) {
			f->broke = true;
			log_info("%s: the client broke the protocol: %s", f->session->peer, ssh_get_error(f->ssh));
		}
		ssh_io_direct(fd, 0);
		shutdown(fd, SHUT_RDWR);
	}
	f->left_ms = clock_mono_ms();
	f->gone = !moves;
	f->fd = -1;
	for (struct chan *c = f->chans; c != NULL; c = c->next)
		c->client_closed = true;
}

/*
 * The peer left: is there nothing more to be done for it? Its channels pass on what they have, for so long as abandoned()
 * gives them; then the targets get some time to say that they have it all: the end of the connection would overtake it.
 */
static bool is_over(const struct front *f)
{
	uint64_t now = clock_mono_ms();

	return f->chans == NULL || now >= f->left_ms + CLOSE_PATIENCE_MS + LEAVE_MS ||
	    (f->nchans == 0 && now >= f->left_ms + LEAVE_MS);
}

int front_end_due(const struct front *f, uint64_t now_ms)
{
	uint64_t due = f->vain_ms != 0 ? f->vain_ms + VAIN_MS : UINT64_MAX;

	if (f->end_deadline_ms != 0 && ssh_io_at_end(f->fd) && f->end_deadline_ms < due)
		due = f->end_deadline_ms;
	return due == UINT64_MAX ? -1 : due > now_ms ? (int)(due - now_ms) : 0;
}

/*
 * A connection to a target that is over is good for nothing: a master (ControlMaster) would answer with the old reason for as long as it is
 * asked, and a client with forwards alone would never see that they are dead. Its channels are closed by both: their ends were read.
 */
static void leave_in_vain(struct front *f)
{
	const uint64_t now = clock_mono_ms();

	if (f->way == NULL || f->way->state != WAY_OVER || f->chans != NULL || f->nasked > 0 || f->gone || f->left_ms != 0) {
		f->vain_ms = 0;
		return;
	}
	if (f->vain_ms == 0)
		f->vain_ms = now;
	if (f->used || now >= f->vain_ms + VAIN_MS)
		front_leave(f, f->way->line[0] != '\0' ? f->way->line : "bastiond: the connection to the target is over");
}

int front_tick(const struct front *f, uint64_t now_ms)
{
	const uint64_t due[] = { LEAVE_MS, CLOSE_PATIENCE_MS, CLOSE_PATIENCE_MS + LEAVE_MS };

	if (f->left_ms == 0)
		return front_end_due(f, now_ms);
	for (size_t i = 0; i < sizeof(due) / sizeof(due[0]); i++)
		if (f->left_ms + due[i] > now_ms)
			return (int)(f->left_ms + due[i] - now_ms);
	return 0;
}

void front_step(struct front *f)
{
	struct chan **at = &f->chans, *c;

	forward_step(f);
	while ((c = *at) != NULL) {
		if (c->tunnel != NULL)
			front_step(tunnel_front(c->tunnel));
		else if (c->kind == CHAN_CONSOLE || (c->kind == CHAN_WORDS && c->state != CHAN_ENDING))
			words_step(c);
		else
			relay_step(c);
		if (c->state == CHAN_DEAD && chan_release(c)) {
			*at = c->next;
			f->nover--;
			chan_finish(c);
			free(c);
		} else {
			at = &c->next;
		}
	}
	leave_in_vain(f);
	if (f->left_ms != 0 && is_over(f))
		f->gone = true;
}

void front_finish(struct front *f)
{
	if (f->ssh != NULL && ssh_is_connected(f->ssh)) {
		ssh_blocking_flush(f->ssh, 200);
		ssh_io_direct(f->fd, 200);
		ssh_disconnect(f->ssh);
	}
}
