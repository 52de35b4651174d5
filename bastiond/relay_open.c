/*
 * relay_open.c - a channel is opened at the target: policy's word first, then open, pty, environment, start.
 *
 * Role: session. Before it: session_front.c (what the client asked for) and session_way.c (the way is open). After it:
 * relay_chan.c. The requests at the target go one after the other, because libssh has room for one answer at a time;
 * the client's own request is answered when the target has answered its copy.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "escape.h"
#include "log.h"
#include "session.h"

#define NOTICE_LINES 64 /* of a target before its login */

void relay_start(struct chan *c)
{
	if (c->way == NULL)
		c->way = c->front->way;
	if (c->way->ending) {
		chan_refuse(c, c->way->line);
		return;
	}
	c->number = ++c->way->next_channel;
}

/* The way is open: one question for each channel, also on a connection that carried others before. */
static void ask(struct chan *c)
{
	struct buf b;

	buf_init(&b, CHAN_COMMAND_LEN + 200);
	buf_put_u32(&b, c->number);
	buf_put_cstring(&b, c->capability);
	/* no grant names one that is longer: it needs the right to all commands, and those are not looked at */
	buf_put_cstring(&b, strlen(c->command) <= CHAN_COMMAND_LEN ? c->command : "");
	if (ipc_send(&c->front->session->policy, MSG_CHAN_ASK, c->way->id, &b, NULL, 0) != 0)
		c->front->session->over = true;
	buf_finish(&b);
	c->state = CHAN_ASKED;
}

void relay_allowed(struct chan *c)
{
	const bool sftp = strcmp(c->capability, "sftp") == 0, scp = strcmp(c->capability, "scp") == 0;

	if (c->pty && (sftp || scp)) { /* what a terminal's line discipline makes of bytes nobody could follow, nor say which files they are */
		chan_refuse(c, sftp ? "bastiond: no terminal with sftp" : "bastiond: no terminal with scp");
		return;
	}
	if ((c->open_seq = record_open(c)) == 0)
		return;
	if (sftp && !relay_sftp(c)) {
		relay_fail(c, "bastiond: out of memory: session ended");
		return;
	}
	if ((c->target = ssh_channel_new(c->way->ssh)) == NULL) {
		relay_fail(c, "bastiond: out of memory: session ended");
		return;
	}
	relay_target_callbacks(c);
	c->state = CHAN_OPENING;
}

static int request_start(struct chan *c)
{
	switch (c->start_type) {
	case SSH_CHANNEL_REQUEST_EXEC:
		return ssh_channel_request_exec(c->target, c->command);
	case SSH_CHANNEL_REQUEST_SUBSYSTEM:
		return ssh_channel_request_subsystem(c->target, c->command);
	default:
		return ssh_channel_request_shell(c->target);
	}
}

static int request_env(struct chan *c)
{
	char name[512], *eq;
	int r;

	strcpy(name, c->env[c->env_sent]);
	eq = strchr(name, '=');
	*eq = '\0';
	r = ssh_channel_request_env(c->target, name, eq + 1);
	return r == SSH_ERROR ? SSH_OK : r; /* a target that takes no environment is usual */
}

int relay_open_target(struct chan *c)
{
	char host[HOST_NAME_MAX_LEN + 1];
	const char *colon = strrchr(c->command, ':');

	if (!c->forward)
		return ssh_channel_open_session(c->target);
	/* access_forward_ok() held: policy allowed this destination, to the byte */
	snprintf(host, sizeof(host), "%.*s", (int)(colon - c->command), c->command);
	return ssh_channel_open_forward(c->target, host, atoi(colon + 1), "127.0.0.1", 0);
}

/*
 * What the target said before its login ("Authorised use only"), which ssh would show. On a terminal: to whom nobody reads, and
 * to programs, ssh -q would not say it, and here nobody knows whether it was given.
 */
static void show_notice(struct chan *c)
{
	char *text = c->pty && !c->way->noticed ? ssh_get_issue_banner(c->way->ssh) : NULL, line[LINE_MAX_LEN];
	const char *p = text;
	size_t n;

	for (int i = 0; p != NULL && *p != '\0' && i < NOTICE_LINES; i++, p += n + (p[n] != '\0')) {
		size_t len;

		n = strcspn(p, "\n");
		len = esc_text(line, sizeof(line) - 2, p, n > 0 && p[n - 1] == '\r' ? n - 1 : n);
		memcpy(line + len, "\r\n", 3);
		if (!relay_take_notice(c, line, len + 2))
			break;
	}
	c->way->noticed = c->way->noticed || text != NULL;
	ssh_string_free_char(text);
}

void relay_resize(struct chan *c)
{
	const uint16_t size[2] = { c->cols, c->rows };
	const uint8_t wire[4] = { (uint8_t)(size[0] >> 8), (uint8_t)size[0], (uint8_t)(size[1] >> 8), (uint8_t)size[1] };
	uint64_t seq;

	relay_record_all(c, &c->in); /* what was typed before it */
	seq = way_event(c->way, BREC_META, BREC_K_RESIZE, c->number, wire, sizeof(wire));
	if (seq == 0 || hold_put(&c->in, HOLD_RESIZE, seq, size, sizeof(size)) != 0)
		way_end(c->way, BREC_END_ERROR, "bastiond: out of memory");
}

static void become_live(struct chan *c)
{
	c->state = CHAN_LIVE;
	c->used_ms = clock_mono_ms();
	watch_open(c);
	show_notice(c);
	relay_take_ahead(c);
	if (c->pty && (c->cols != c->said_cols || c->rows != c->said_rows))
		relay_resize(c);
}

/* What one request at the target's end is followed by. SSH_AGAIN: it waits for an answer. */
static int start_step(struct chan *c)
{
	int r = SSH_OK;

	switch (c->state) {
	case CHAN_OPENING:
		/* a command, an environment are bytes towards the target like any other (P2) */
		if (!way_passes(c->way, c->open_seq))
			return SSH_AGAIN;
		if (!c->open_sent)
			c->answer_deadline_ms = clock_mono_ms() + c->front->session->conf->channel_timeout;
		c->open_sent = true;
		if ((r = relay_open_target(c)) == SSH_OK)
			c->state = c->pty ? CHAN_PTY : CHAN_ENV;
		if (r == SSH_OK && c->forward)
			become_live(c);
		break;
	case CHAN_PTY:
		if ((r = ssh_channel_request_pty_size(c->target, c->term, c->said_cols, c->said_rows)) == SSH_OK)
			c->state = CHAN_ENV;
		break;
	case CHAN_ENV:
		if (c->env_sent == c->nenv)
			c->state = CHAN_START;
		else if ((r = request_env(c)) == SSH_OK)
			c->env_sent++;
		break;
	default:
		if ((r = request_start(c)) != SSH_OK)
			break;
		become_live(c);
		if (c->start != NULL) {
			ssh_message_channel_request_reply_success(c->start);
			ssh_message_free(c->start);
			c->start = NULL;
		}
	}
	return r;
}

void relay_open_step(struct chan *c)
{
	int r = SSH_OK;

	if (c->state == CHAN_WAITS) {
		if (c->way->state == WAY_OPEN)
			ask(c);
		return;
	}
	while (r == SSH_OK && c->state >= CHAN_OPENING && c->state <= CHAN_START)
		r = start_step(c);
	/* libssh goes on waiting for an answer behind the target's close */
	if (r == SSH_AGAIN && c->target_closed && c->state > CHAN_OPENING)
		r = SSH_ERROR;
	if (r != SSH_ERROR)
		return;
	log_info("%s: %s@%s refused %s: %s", c->front->session->peer, c->way->login, c->way->host, c->capability,
	    ssh_get_error(c->way->ssh));
	chan_refuse(c, c->forward ? "bastiond: the target does not connect there" :
	    c->state == CHAN_OPENING ? "bastiond: the target opens no session: has it no more for this connection (MaxSessions)? Try: ssh -S none" :
	    c->state == CHAN_PTY ? "bastiond: the target gives no terminal; without one: ssh -T" :
	    strcmp(c->capability, "sftp") == 0 ? "bastiond: the target has no sftp; scp -O (pscp -scp) needs none" :
	    "bastiond: the target refused to start it");
}

struct deadlines { uint64_t now_ms; int next; };

/* A target that says neither yes nor no: this channel is over, its others go on. */
static void check_answer(struct chan *c, void *arg)
{
	struct deadlines *d = arg;
	char detail[200];

	if (c->state < CHAN_OPENING || c->state > CHAN_START || c->answer_deadline_ms == 0)
		return;
	if (d->now_ms < c->answer_deadline_ms) {
		const int left = (int)(c->answer_deadline_ms - d->now_ms);

		d->next = d->next < 0 || left < d->next ? left : d->next;
		return;
	}
	d->next = 0;
	/* it may have answered long ago, where nobody reads */
	if (c->way->choked_ms + c->front->session->conf->channel_timeout >= c->answer_deadline_ms) {
		record_last(c);
		chan_refuse(c, "bastiond: another channel of this connection waits until its output is read: this one did not start in time "
		    "(channel_timeout); try: ssh -S none");
		return;
	}
	snprintf(detail, sizeof(detail), "%s at %s@%s: no answer to %s", c->capability, c->way->login, c->way->host,
	    c->state == CHAN_OPENING ? "the channel's open" : c->state == CHAN_PTY ? "the request for a terminal" :
	    c->state == CHAN_ENV ? "an environment variable" : "the start");
	log_warn("%s: %s in time", c->front->session->peer, detail);
	session_note(c->front->session, c->way->id, "channel.silent", detail);
	way_event(c->way, BREC_META, BREC_K_NOTE, c->number, detail, strlen(detail));
	record_last(c);
	chan_refuse(c, "bastiond: the target does not answer: it did not start this in time (channel_timeout)");
}

int relay_open_tick(struct way *w, uint64_t now_ms, int other)
{
	struct deadlines d = { now_ms, other };

	way_each_chan(w, check_answer, &d);
	return d.next;
}
