/*
 * policy_way.c - a way in use: found, counted, its channels allowed one by one, noted, ended.
 *
 * Role policy; policy_authz.c and policy_grant.c bring a way to life, policy_live.c says when it
 * has to end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "escape.h"
#include "grant_note.h"
#include "log.h"
#include "policy_events.h"
#include "policy_glass.h"
#include "policy_hook.h"
#include "policy_rotate.h"
#include "policy_worker.h"
#include "relay_bulk.h"

_Static_assert(PEER_WAYS_MAX == RECID_PLACES, "a way's place is in its recording's id");

#define NOTES_RATE 1		/* events a second that one connection may cause by NOTE, behind the first BUCKET_BURST */
#define NOTE_KIND_MAX 32

struct way *peer_way_find(struct peer *peer, uint32_t id)
{
	for (size_t i = 0; i < PEER_WAYS_MAX && id != 0; i++)
		if (peer->ways[i] != NULL && peer->ways[i]->id == id)
			return peer->ways[i];
	return NULL;
}

struct way *peer_way_create(struct peer *peer, uint32_t id)
{
	struct way *w;
	size_t i = 0;

	while (i < PEER_WAYS_MAX && peer->ways[i] != NULL)
		i++;
	if (i == PEER_WAYS_MAX || (w = calloc(1, sizeof(*w))) == NULL)
		return NULL;
	if (recid_make(w->row.recording, peer->recid_key, (unsigned)i, ++peer->turns) != 0) {
		free(w);
		return NULL;
	}
	w->peer = peer;
	w->id = id;
	w->stage = WAY_DIALLING;
	w->fd = w->agent = -1;
	peer->ways[i] = w;
	return w;
}

void peer_way_destroy(struct way *w)
{
	struct peer *peer = w->peer;

	for (size_t i = 0; i < PEER_WAYS_MAX; i++)
		if (peer->ways[i] == w)
			peer->ways[i] = NULL;
	if (w->dial != NULL)
		worker_abandon(w->dial);
	if (w->placed)
		events_end_place(peer->p, w->row.recording);
	if (w->key_ask != 0)
		keys_forget(peer->p, w->key_ask);
	if (w->deadline != NULL)
		event_free(w->deadline);
	/* whoever still holds it has nothing in it: a session that says that a way is over is not believed to have let go of the target */
	if (w->fd >= 0) {
		shutdown(w->fd, SHUT_RDWR);
		close(w->fd);
	}
	if (w->agent >= 0)
		close(w->agent);
	free(w);
}

static void on_not_obeyed(evutil_socket_t fd, short what, void *arg)
{
	struct way *w = arg;

	(void)fd, (void)what;
	log_warn("way %u of %s to %s@%s goes on after its end: its socket is shut", w->id, w->peer->user.name, w->login, w->host.name);
	shutdown(w->fd, SHUT_RDWR);
}

/* A session that was taken over reads no WAY_END. Without memory to wait it is not waited for. */
static void shut_soon(struct way *w)
{
	const struct timeval wait = { .tv_usec = SHUT_MS * 1000 };

	if (w->fd < 0) /* not kept: it is killed at END_MS */
		return;
	if (w->deadline == NULL)
		w->deadline = evtimer_new(w->peer->p->base, on_not_obeyed, w);
	if (w->deadline == NULL || event_add(w->deadline, &wait) != 0)
		shutdown(w->fd, SHUT_RDWR);
}

void peer_way_end(struct way *w, uint8_t brec_end, const char *line)
{
	struct peer *peer = w->peer;
	struct buf body;

	if (w->ending_ms != 0)
		return;
	w->ending_ms = clock_mono_ms();
	log_info("way %u of %s to %s@%s ends: %s", w->id, peer->user.name, w->login, w->host.name,
	    line);
	buf_init(&body, LINE_LEN);
	buf_put_u8(&body, brec_end);
	buf_put_string(&body, line, strnlen(line, LINE_LEN - 5));
	link_send(&peer->link, MSG_WAY_END, w->id, &body, NULL, 0);
	buf_finish(&body);
	shut_soon(w);
	peer_event(peer, EVENT_WAY_ENDED, "bastiond", peer->user.name,
	    json_pack("{s:I, s:I, s:s}", "way", (json_int_t)w->row.id, "grant",
		(json_int_t)w->tickets[0], "why", line));
}

void peer_way_say(struct way *w, const char *line)
{
	struct buf body;

	buf_init(&body, LINE_LEN);
	buf_put_string(&body, line, strnlen(line, LINE_LEN - 4));
	link_send(&w->peer->link, MSG_WAY_SAY, w->id, &body, NULL, 0);
	buf_finish(&body);
}

void peer_way_say_glass(struct way *w)
{
	if (!w->glass || w->said)
		return;
	w->said = true;
	peer_way_say(w, "bastiond: break-glass: this access was not approved. It is recorded, those concerned were told, and another "
	    "person reviews it");
	if (w->row.apart)
		peer_way_say(w, "bastiond: the recording store does not answer: this session is recorded by the collectors for break-glass, "
		    "and nothing here opens without them");
}

void peer_way_close(struct way *w, const char *why)
{
	if (w->row.id != 0)
		ends_way(w->peer->p, &w->row, w->peer->user.name, w->host.name, why);
	rotate_way_over(w->peer->p, &w->host);
	w->row.id = 0;
}

int way_on_up(struct peer *peer, uint32_t id)
{
	struct way *w = peer_way_find(peer, id);

	if (w == NULL || w->stage != WAY_GIVEN)
		return -1;
	w->stage = WAY_LIVE;
	log_info("way %u of %s to %s@%s is up, grant %lld", id, peer->user.name, w->login,
	    w->host.name, (long long)w->tickets[0]);
	return 0;
}

int way_on_down(struct peer *peer, struct ipc_msg *m)
{
	struct way *w = peer_way_find(peer, m->id);
	char reason[LINE_LEN], safe[LINE_LEN];
	uint64_t in, out, frames;

	buf_get_cstring(&m->body, reason, sizeof(reason));
	in = buf_get_u64(&m->body);
	out = buf_get_u64(&m->body);
	frames = buf_get_u64(&m->body);
	if (!buf_end(&m->body) || in > INT64_MAX || out > INT64_MAX || frames > INT64_MAX)
		return -1;
	if (w == NULL)
		return 0; /* it crossed the WAY_NO */
	esc_line(safe, sizeof(safe), reason, strlen(reason));
	w->row.bytes_in = in;
	w->row.bytes_out = out;
	w->row.frames = frames;
	w->row.told = true;
	peer_way_close(w, safe);
	peer_way_destroy(w);
	return 0;
}

/* --- channels --- */

bool way_rests_on(const struct way *w, int64_t ticket)
{
	for (size_t i = 0; i < WAY_TICKETS_MAX; i++)
		if (w->tickets[i] == ticket)
			return true;
	return false;
}

bool way_has_ref(const struct way *w, const char *ref)
{
	for (size_t i = 0; i < WAY_TICKETS_MAX; i++)
		if (w->tickets[i] != 0 && strcmp(w->refs[i], ref) == 0)
			return true;
	return false;
}

/* A channel waits for no check of an outside ticket: a grant on one that was not looked at for this way opens nothing here. */
static bool unchecked(const struct way *w, const char *ref)
{
	return ref[0] != '\0' && hook_there(w->peer->p, HOOK_TICKET) && !way_has_ref(w, ref);
}

struct channel {
	const struct way *w;
	struct host h;
};

/* What a grant must have for a channel, besides the right to it. */
static bool carries_channel(void *arg, const struct ticket *t, const struct access_answer *a, char *line, size_t size)
{
	const struct channel *c = arg;

	(void)a;
	if (way_rests_on(c->w, t->id) || !unchecked(c->w, t->ref))
		return class_allows(c->w->peer, &c->h, t->id, line, size);
	snprintf(line, size, "bastiond: this needs a grant whose ticket must be checked first; open a new connection");
	return false;
}

/*
 * By which grant? What it rests on goes first: the login was counted and the ticket looked at when that began, and no second grant is used
 * up for it.
 */
static void find_grant(const struct way *w, const struct access_use *use, struct access_answer *a)
{
	struct channel c = { .w = w };
	const struct access_more more = { carries_channel, &c };
	struct peer *peer = w->peer;

	control_way_more(&peer->p->control, peer->user.id, peer->address, w->host.name, w->login, use, 0, &more, a, &c.h);
	for (size_t i = 0; i < WAY_TICKETS_MAX && w->tickets[i] != 0 && (a->refusal != 0 || !way_rests_on(w, a->ticket)); i++) {
		struct access_answer own;

		control_way_more(&peer->p->control, peer->user.id, peer->address, w->host.name, w->login, use, w->tickets[i], &more, &own, &c.h);
		if (own.refusal == 0)
			*a = own;
	}
}

/*
 * Another grant of the same user, host and login allows this channel: the way rests on both from here on, and is a login under that one,
 * too. The recording hears of it when that is on disk: it names no grant that was refused.
 */
static int way_add_ticket(struct way *w, const struct access_answer *a)
{
	struct store *s = w->peer->p->store;
	struct buf further;
	size_t i = 0;
	int r;

	while (i < WAY_TICKETS_MAX && w->tickets[i] != 0)
		i++;
	if (i == WAY_TICKETS_MAX)
		return -1;
	buf_init(&further, GRANT_META_MAX + 4);
	if ((r = grant_further(w, a, &further)) != 0)
		goto out;
	if ((r = store_grant_use(s, a->ticket, w->row.id, w->peer->user.name, clock_wall())) != 0) {
		log_error("login of %s under grant %lld not counted, and not given: %s", w->peer->user.name, (long long)a->ticket, store_error(s));
		goto out;
	}
	link_send(&w->peer->link, MSG_WAY_GRANT, w->id, &further, NULL, 0);
	w->tickets[i] = a->ticket;
	memcpy(w->refs[i], a->ref, sizeof(w->refs[i]));
	w->caps |= a->caps;
	w->glass |= a->glass;
	if (a->until < w->until)
		w->until = a->until;
	live_run(w->peer->p);
out:
	buf_finish(&further);
	return r;
}

static int channel_answer(struct peer *peer, uint32_t way, uint32_t channel, const char *refusal, unsigned rights)
{
	struct buf body;

	buf_init(&body, 2048);
	buf_put_u32(&body, channel);
	buf_put_u8(&body, refusal == NULL);
	buf_put_cstring(&body, refusal != NULL ? refusal : "");
	buf_put_u8(&body, refusal == NULL ? (uint8_t)rights : 0);
	link_send(&peer->link, MSG_CHAN_RE, way, &body, NULL, 0);
	buf_finish(&body);
	return 0;
}

/* What the channel needs. False: what the session calls it does not fit its command. */
static bool use_of(const char *capability, const char *command, struct access_use *use)
{
	unsigned cap = cap_by_name(capability);
	char way = command_scp_direction(command);

	*use = (struct access_use){ .any = cap };
	if (cap == CAP_FORWARD) {
		*use = (struct access_use){ .forward = command };
		return access_forward_ok(command);
	}
	if (cap == CAP_SHELL)
		return command[0] == '\0';
	if (cap == cap_by_name("sftp") && strcmp(command, "sftp") == 0)
		return true; /* the subsystem: no command */
	use->command = command;
	if (cap == CAP_SCP)
		use->any |= way == 't' ? CAP_SFTP_WRITE : CAP_SFTP_READ;
	return (cap == CAP_EXEC || cap == CAP_SCP || cap == cap_by_name("sftp")) &&
	    strcmp(command_capability(command), capability) == 0;
}

/* What the session has to keep to on an sftp channel. A command that is allowed by itself has no such bound. */
static unsigned rights_of(const struct access_use *use, const struct access_answer *a)
{
	if ((a->caps & use->any) == 0)
		return CHAN_READS | CHAN_WRITES;
	return ((a->caps & CAP_SFTP_READ) != 0 ? CHAN_READS : 0U) | ((a->caps & CAP_SFTP_WRITE) != 0 ? CHAN_WRITES : 0U);
}

/* NULL: allowed; else the line for the user, in `a` or static. *joins: the way rests on one grant more than before. */
static const char *channel_refusal(struct way *w, const struct access_use *use, struct access_answer *a, bool *joins)
{
	if (!peer_may_ask(w->peer))
		return "bastiond: too many channels at once; try again in a few seconds";
	if (w->row.apart)
		return glass_channel(w, use, a);
	find_grant(w, use, a);
	if (a->refusal != 0)
		return a->line;
	if (way_rests_on(w, a->ticket))
		return NULL;
	if (way_add_ticket(w, a) != 0)
		return "bastiond: this connection cannot use another grant; open a new one";
	*joins = true;
	return NULL;
}

/* The metadata name the first grant alone: that there is another one, whoever reads the recording has to know. */
static void say_joined(struct way *w, int64_t ticket)
{
	char line[80];

	snprintf(line, sizeof(line), GRANT_NOTE_JOINS "%lld, too", (long long)ticket);
	peer_way_say(w, line);
}

/* grant: by which it was allowed; 0: refused. */
static int channel_event(struct way *w, uint32_t channel, const char *capability, const struct access_use *use,
    int64_t grant)
{
	json_t *detail = json_pack("{s:I, s:s, s:i}", "way", (json_int_t)w->row.id, "capability", capability,
	    "channel", (int)channel);

	if (detail != NULL && grant != 0)
		json_object_set_new(detail, "grant", json_integer(grant));
	if (detail != NULL && use->forward != NULL)
		json_object_set_new(detail, "to", json_string(use->forward));
	return peer_event(w->peer, grant == 0 ? EVENT_CHANNEL_REFUSED : EVENT_CHANNEL, w->peer->user.name,
	    w->host.name, detail);
}

int way_on_channel(struct peer *peer, struct ipc_msg *m)
{
	uint32_t channel = buf_get_u32(&m->body);
	struct way *w = peer_way_find(peer, m->id);
	struct access_answer a = { 0 };
	struct access_use use;
	char capability[32], command[CHAN_COMMAND_LEN + 1];
	const char *refusal;
	bool joins = false;
	int r;

	/* The command itself is sealed in the recording; the database, which the bastion can read,
	   has none but those that rules name. */
	if (buf_get_cstring(&m->body, capability, sizeof(capability)) != 0 ||
	    buf_get_cstring(&m->body, command, sizeof(command)) != 0 || !buf_end(&m->body) ||
	    !use_of(capability, command, &use) || (w != NULL && w->stage < WAY_GIVEN))
		return -1;
	if (w == NULL || w->ending_ms != 0 || peer_is_over(peer))
		return channel_answer(peer, m->id, channel, PEER_OVER_LINE, 0);
	refusal = channel_refusal(w, &use, &a, &joins);
	if (refusal != NULL && !control_notes(&peer->p->control, peer->user.id))
		return channel_answer(peer, w->id, channel, refusal, 0);
	if (channel_event(w, channel, capability, &use, refusal == NULL ? a.ticket : 0) != 0)
		refusal = "bastiond: the bastion cannot write its log of events: nothing new "
			  "opens; tell the operator";
	if (joins) /* before the answer: who reads the recording knows the grant before the channel that it allows */
		say_joined(w, a.ticket);
	r = channel_answer(peer, w->id, channel, refusal, rights_of(&use, &a));
	if (refusal == NULL)
		peer_way_say_glass(w);
	return r;
}

/* What a way did lately: for the list of sessions, and nothing is decided by it. */
static int take_report(struct peer *peer, struct buf *b)
{
	struct way *w = peer_way_find(peer, buf_get_u32(b));
	struct way_report r = { .here = true, .idle = buf_get_u32(b) };
	uint64_t in = buf_get_u64(b), out = buf_get_u64(b);

	r.caps = buf_get_u8(b) & CAP_ALL;
	r.terminals = buf_get_u8(b);
	r.how = buf_get_u8(b);
	if (!buf_ok(b) || in > INT64_MAX || out > INT64_MAX || r.how > WAY_BY_CONSOLE)
		return -1;
	if (w == NULL)
		return 0; /* it was gone before it knew */
	w->report = r;
	w->row.bytes_in = in;
	w->row.bytes_out = out;
	return 0;
}

int way_on_report(struct peer *peer, struct ipc_msg *m)
{
	for (int i = 0; i < PEER_WAYS_MAX && buf_left(&m->body) > 0; i++)
		if (take_report(peer, &m->body) != 0)
			return -1;
	return buf_end(&m->body) ? 0 : -1;
}

/* --- notes --- */

/* What a session may put into the events by itself. */
static bool note_permitted(enum event_kind kind)
{
	switch (kind) {
	case EVENT_HOSTKEY:
	case EVENT_CHANNEL_REFUSED:
	case EVENT_CHANNEL_SILENT:
	case EVENT_INPUT_DISCARDED:
	case EVENT_FORWARD_REFUSED:
	case EVENT_AGENT_REFUSED:
	case EVENT_X11_REFUSED:
	case EVENT_STREAMLOCAL_REFUSED:
	case EVENT_PROTOCOL:
	case EVENT_RECORDING_STALL:
		return true;
	default:
		return false;
	}
}

/* What nobody does to himself must not be kept out of the events by what he does. */
static bool has_room(struct peer *peer, enum event_kind kind)
{
	return bucket_take_at(kind == EVENT_HOSTKEY || kind == EVENT_RECORDING_STALL ? &peer->alarms : &peer->notes, NOTES_RATE);
}

void way_notes_over(struct peer *peer)
{
	if (peer->left_out != 0)
		peer_event(peer, EVENT_LEFT_OUT, peer->user.name, NULL, json_pack("{s:I, s:I}", "left_out", (json_int_t)peer->left_out,
		    "connection", (json_int_t)peer->row.id));
	peer->left_out = 0;
}

int way_on_note(struct peer *peer, struct ipc_msg *m)
{
	struct way *w = peer_way_find(peer, m->id);
	char name[NOTE_KIND_MAX + 1], safe[LINE_LEN];
	enum event_kind kind;
	const uint8_t *detail;
	size_t len;

	buf_get_cstring(&m->body, name, sizeof(name));
	detail = buf_get_string(&m->body, m->body.len, &len);
	if (!buf_end(&m->body) || !note_permitted(kind = event_by_name(name)))
		return -1;
	if (!has_room(peer, kind)) {
		peer->left_out += peer->auth == PEER_IN;
		return 0;
	}
	esc_text(safe, sizeof(safe), detail, len);
	log_notice("session %u of %s from %s: %s: %s", peer->slot, peer_name(peer), peer->address,
	    name, safe);
	/* A stranger's doings stay in the log, which rotates. */
	if (peer->auth == PEER_IN)
		peer_event(peer, kind, peer->user.name, w != NULL ? w->host.name : NULL,
		    json_pack("{s:s, s:I}", "detail", safe, "connection",
			(json_int_t)peer->row.id));
	return 0;
}
