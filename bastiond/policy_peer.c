/*
 * policy_peer.c - one session as policy sees it: its link, what it may send when, its lease and its
 * end.
 *
 * Role policy. Before it: parent's PEER_UP. The session is the process that speaks with strangers:
 * it is believed in what it verified itself (a signature, an SSH message) and in nothing else.
 * Which message may come in which state is in msg.h; this file moves the state (S_NEW ⇄ S_FACTOR →
 * S_LOGIN) and limits how much.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "brec.h"
#include "clock.h"
#include "escape.h"
#include "log.h"
#include "policy_hook.h"
#include "policy_worker.h"

const char *peer_name(const struct peer *peer)
{
	return peer->auth != PEER_STRANGER ? peer->user.name : "stranger";
}

int peer_event(struct peer *peer, enum event_kind kind, const char *actor, const char *subject,
    json_t *detail)
{
	if (event_write(peer->p->store, clock_wall(), kind, actor, subject, detail) == 0)
		return 0;
	log_error("event %s of %s not written: %s", event_name(kind), actor,
	    store_error(peer->p->store));
	return -1;
}

bool peer_is_over(const struct peer *peer)
{
	return peer->end_ms != 0 || peer->killed;
}

bool peer_may_ask(struct peer *peer)
{
	return bucket_take(&peer->bucket);
}

static int on_pong(struct peer *peer, struct ipc_msg *m)
{
	if (peer->pings == 0 || way_on_report(peer, m) != 0)
		return -1;
	peer->pings--;
	peer->pong_ms = clock_mono_ms();
	return 0;
}

static int on_message(struct link *l, struct ipc_msg *m)
{
	struct peer *peer = (struct peer *)l;

	if (l->ipc.state == S_LOGIN && m->type != MSG_PONG && m->type != MSG_AUTH_ABORT)
		peer->acted = true;
	switch (m->type) {
	case MSG_AUTH_KEY:
		return authn_key(peer, m);
	case MSG_AUTH_FACTOR:
		return factor_start(peer, m->id);
	case MSG_AUTH_ANSWER:
		return factor_answer(peer, m);
	case MSG_AUTH_ABORT:
		return factor_abort(peer);
	case MSG_HOST_ASK:
		return authz_host(peer, m);
	case MSG_WAY_ASK:
		return authz_ask(peer, m);
	case MSG_CHAN_ASK:
		return way_on_channel(peer, m);
	case MSG_WAY_UP:
		return way_on_up(peer, m->id);
	case MSG_WAY_DOWN:
		return way_on_down(peer, m);
	case MSG_PONG:
		return on_pong(peer, m);
	case MSG_NOTE:
		return way_on_note(peer, m);
	case MSG_WORDS:
		return words_ask(peer, m);
	case MSG_CONSOLE_ASK:
		return console_ask(peer, m);
	case MSG_WATCH_RE:
		return watch_on_re(peer, m);
	case MSG_WATCH_OVER:
		return watch_on_over(peer, m);
	case MSG_VIEW_ASK:
		return watch_on_view(peer->p, &peer->link, m);
	default:
		return -1;
	}
}

static void on_ended(struct link *l, int error)
{
	struct peer *peer = (struct peer *)l;

	peer->end_ms = clock_mono_ms() + END_MS;
	explicit_bzero(peer->recid_key, sizeof(peer->recid_key));
	factor_kill(peer);
	watch_owner_gone(peer->p, l);
	ticket_owner_gone(peer->p, l);
	if (error == 0 || error == EPIPE || error == ECONNRESET)
		return;
	log_warn("session %u of %s: what it sent is not permitted or malformed, or it does not "
		 "read (error %d)",
	    peer->slot, peer_name(peer), error);
	if (peer->auth == PEER_IN)
		peer_event(peer, EVENT_PROTOCOL, peer->user.name, NULL,
		    json_pack("{s:s, s:s}", "by", "session", "peer", peer->address));
	peer_kill(peer, "it broke the protocol between session and policy");
}

static const struct link_ops peer_link = { on_message, on_ended };

static struct peer **peer_at(struct policy *p, uint32_t slot)
{
	struct peer **at = &p->peers[slot % PEER_TABLE];

	while (*at != NULL && (*at)->slot != slot)
		at = &(*at)->next;
	return at;
}

int peer_up(struct policy *p, struct ipc_msg *m)
{
	struct peer *peer = calloc(1, sizeof(*peer)), **at = peer_at(p, m->id);

	if (peer == NULL || *at != NULL)
		goto fail;
	peer->p = p;
	peer->slot = m->id;
	buf_get_copy(&m->body, peer->session, sizeof(peer->session));
	buf_get_copy(&m->body, peer->recid_key, sizeof(peer->recid_key));
	buf_get_cstring(&m->body, peer->address, sizeof(peer->address));
	peer->port = buf_get_u16(&m->body);
	peer->up_ms = peer->pong_ms = clock_mono_ms();
	bucket_fill(&peer->bucket);
	bucket_fill(&peer->notes);
	bucket_fill(&peer->alarms);
	if (!buf_end(&m->body) ||
	    link_open(&peer->link, p->base, ipc_take_fd(m, 0), ROLE_SESSION, &peer_link) != 0)
		goto fail;
	*at = peer;
	p->npeers++;
	return 0;
fail:
	free(peer);
	return -1;
}

/* The end in words, and as an event if it was no ordinary one. */
static const char *peer_epitaph(struct peer *peer, uint32_t status)
{
	enum event_kind kind = peer->killed ? EVENT_SESSION_KILL : EVENT_SESSION_CRASH;

	/* a session that cannot go on, or whose loop spins, ends itself with another status */
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !peer->killed)
		return "connection closed";
	if (peer->auth == PEER_IN)
		peer_event(peer, kind, "bastiond", peer->user.name, json_pack("{s:I, s:i}",
		    "connection", (json_int_t)peer->row.id, "status", (int)status));
	log_warn("session %u of %s from %s %s, wait status %#x", peer->slot, peer_name(peer),
	    peer->address, peer->killed ? "was killed" : "crashed", status);
	return peer->killed ? "session killed" : "session crashed";
}

static void peer_close_rows(struct peer *peer, const char *why)
{
	for (size_t i = 0; i < PEER_WAYS_MAX; i++)
		if (peer->ways[i] != NULL)
			peer_way_close(peer->ways[i], why);
	if (peer->row.id != 0)
		ends_connection(peer->p, peer->row.id, peer->user.name, why);
	peer->row.id = 0;
}

/* Stops what works for it and forgets it; the memory goes between turns of the loop. */
static void peer_destroy(struct peer *peer, const char *why)
{
	struct policy *p = peer->p;

	factor_kill(peer);
	watch_peer_gone(peer);
	watch_owner_gone(p, &peer->link);
	ticket_owner_gone(p, &peer->link);
	way_notes_over(peer);
	peer_close_rows(peer, why);
	for (size_t i = 0; i < PEER_WAYS_MAX; i++)
		if (peer->ways[i] != NULL)
			peer_way_destroy(peer->ways[i]);
	worker_abandon(peer->console);
	*peer_at(p, peer->slot) = peer->next;
	p->npeers--;
	link_bury(&peer->link);
}

int peer_down(struct policy *p, struct ipc_msg *m)
{
	struct peer *peer = *peer_at(p, m->id);
	uint32_t status = buf_get_u32(&m->body);
	uint64_t cpu = buf_get_u64(&m->body), rss = buf_get_u64(&m->body);

	if (peer == NULL || !buf_end(&m->body))
		return -1;
	/* Its last words, byte counts among them, may still be in the link. */
	if (peer->link.open)
		link_read(&peer->link);
	log_info("session %u of %s from %s: over after %llu s, %llu ms of CPU, %llu KiB",
	    peer->slot, peer_name(peer), peer->address,
	    (unsigned long long)(clock_mono_ms() - peer->up_ms) / 1000,
	    (unsigned long long)cpu / 1000, (unsigned long long)rss);
	peer_destroy(peer, peer_epitaph(peer, status));
	return 0;
}

/* What it asked for and waits for: a word is carried out for nobody who was sent away meanwhile. */
static void forget_asked(struct peer *peer)
{
	watch_owner_gone(peer->p, &peer->link);
	ticket_owner_gone(peer->p, &peer->link);
}

void peer_kill(struct peer *peer, const char *reason)
{
	struct buf body;

	link_close(&peer->link);
	if (peer->killed)
		return;
	peer->killed = true;
	forget_asked(peer);
	peer->end_ms = 0;
	log_warn("session %u of %s from %s: to be killed: %s", peer->slot, peer_name(peer),
	    peer->address, reason);
	buf_init(&body, 256);
	buf_put_cstring(&body, reason);
	link_send(&peer->p->parent, MSG_PEER_KILL, peer->slot, &body, NULL, 0);
	buf_finish(&body);
}

void peer_end(struct peer *peer, const char *line)
{
	struct buf body;

	if (peer_is_over(peer))
		return;
	peer->end_ms = clock_mono_ms() + END_MS;
	forget_asked(peer);
	buf_init(&body, LINE_LEN);
	buf_put_u8(&body, BREC_END_KILLED);
	buf_put_string(&body, line, strnlen(line, LINE_LEN - 5));
	link_send(&peer->link, MSG_WAY_END, 0, &body, NULL, 0);
	buf_finish(&body);
}

static void ping(struct peer *peer)
{
	if (peer->link.open && peer->pings < PONG_MS / PING_MS * 2 &&
	    link_send_empty(&peer->link, MSG_PING, 0) == 0)
		peer->pings++;
}

/* Does one of its ways ignore that it has to end? */
static bool way_overdue(const struct peer *peer, uint64_t now_ms)
{
	for (size_t i = 0; i < PEER_WAYS_MAX; i++)
		if (peer->ways[i] != NULL && peer->ways[i]->ending_ms != 0 &&
		    now_ms - peer->ways[i]->ending_ms > END_MS)
			return true;
	return false;
}

static void peer_tick(struct peer *peer, void *arg)
{
	uint64_t now_ms = *(const uint64_t *)arg;

	if (peer->killed)
		return;
	if (peer->auth != PEER_IN &&
	    now_ms - peer->up_ms > peer->p->conf->login_grace + GRACE_SLACK_MS) {
		peer_kill(peer, "it did not end at login_grace");
	} else if (now_ms - peer->pong_ms > PONG_MS) {
		if (peer->auth == PEER_IN)
			peer_event(peer, EVENT_SESSION_HUNG, "bastiond", peer->user.name,
			    json_pack("{s:I}", "connection", (json_int_t)peer->row.id));
		peer_kill(peer, "it gave no sign of life for 10 s");
	} else if ((peer->end_ms != 0 && now_ms > peer->end_ms) || way_overdue(peer, now_ms)) {
		peer_kill(peer, "it did not end when told to");
	} else {
		ping(peer);
	}
}

void peers_each(struct policy *p, peer_visit *visit, void *arg)
{
	for (size_t i = 0; i < PEER_TABLE; i++)
		for (struct peer *peer = p->peers[i], *next; peer != NULL; peer = next) {
			next = peer->next;
			visit(peer, arg);
		}
}

void peers_tick(struct policy *p, uint64_t now_ms)
{
	peers_each(p, peer_tick, &now_ms);
}

static void finish_one(struct peer *peer, void *arg)
{
	peer_destroy(peer, arg);
}

void peers_finish(struct policy *p)
{
	char why[] = "policy ended";

	peers_each(p, finish_one, why);
}
