/*
 * policy_grant.c - WAY_OK: the row of the way, the pinned keys, the certificate, the parameters of
 * the recording.
 *
 * Role policy, the end of policy_authz.c. The row, the grant's first use and the event way.up, which names the recording and the hash of
 * its metadata, are on disk before the session has the socket.
 *
 * The recording's metadata, its first event, is one JSON object: v 1, recording, session (hex),
 * connection, way, user, person, device, fingerprint, peer, peer_port, host, address (as
 * registered), target (as dialled), login, method ("certificate", "managed"), grant, caps (array),
 * until (unix s, missing: none), reason, ticket (missing: none), asked_by_other (true when somebody
 * else asked), break_glass (true, or missing), store ("break-glass": not where recordings usually are; then also events: log (hex: which
 * list), number and hash (hex) of the bastion's last event when it opened, which ties that list to this recording), started (unix s), bastion, approvals (array: by, person, at, reason, and where it was signed
 * device, fingerprint, text, signature; bastion-replay(1) says how these are checked).
 *
 * A way that comes to rest on another grant, for a channel that its first one does not allow or when that is over, has the same of that
 * one in an event of its own: grant, caps, until, reason, ticket, asked_by_other, break_glass, started (since when), approvals.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access_line.h"
#include "clock.h"
#include "crypto.h"
#include "hex.h"
#include "log.h"
#include "policy.h"
#include "policy_glass.h"
#include "policy_hostkey.h"

#define APPROVALS_MAX 10	/* that a role may want */
#define RECIPIENT_MAX 127	/* of a recipient, as a session takes it */

/* ["shell", "forward db1:5432"] */
static json_t *cap_array(unsigned caps, const struct ticket *t)
{
	char names[RIGHTS_TEXT_MAX], *one,
	    *rest = access_rights_text(names, sizeof(names), caps, t->forwards, t->commands, "\n");
	json_t *list = json_array();

	while ((one = strsep(&rest, "\n")) != NULL)
		if (*one != '\0')
			json_array_append_new(list, json_string(one));
	return list;
}

/* What the list of events was: it cannot leave the bastion now, and who changes it there before it can changes this hash. */
static int put_apart(const struct way *w, json_t *meta)
{
	char name[2 * STORE_RECORDING_LEN + 1], text[2 * EVENT_HASH_LEN + 1];
	uint8_t hash[EVENT_HASH_LEN];
	struct event_log log;
	int64_t number;

	if (store_event_log(w->peer->p->store, &log) != 0 || store_event_head(w->peer->p->store, &number, hash) < 0)
		return -1;
	return json_object_set_new(meta, "store", json_string("break-glass")) == 0 &&
	    json_object_set_new(meta, "events", json_pack("{s:s, s:I, s:s}", "log", hex_encode(name, log.log, sizeof(log.log)), "number",
		(json_int_t)number, "hash", hex_encode(text, hash, sizeof(hash)))) == 0 ? 0 : -1;
}

/* What is recorded of a grant: the right to come, and who gave it. */
static json_t *grant_meta(struct store *s, const struct ticket *t, unsigned caps, int64_t until)
{
	json_t *meta = json_pack("{s:I, s:o, s:s, s:I, s:o}", "grant", (json_int_t)t->id, "caps", cap_array(caps, t), "reason", t->reason,
	    "started", (json_int_t)clock_wall(), "approvals", store_list(s, LIST_APPROVALS, &(struct list_ask){ .id = t->id, .limit = APPROVALS_MAX }));

	if (meta == NULL)
		return NULL;
	if (until != FOREVER)
		json_object_set_new(meta, "until", json_integer(until));
	if (t->ref[0] != '\0')
		json_object_set_new(meta, "ticket", json_string(t->ref));
	if (t->by_id != t->user_id)
		json_object_set_new(meta, "asked_by_other", json_true());
	if (t->glass)
		json_object_set_new(meta, "break_glass", json_true());
	return meta;
}

static json_t *make_meta(const struct way *w, const struct ticket *t)
{
	const struct peer *peer = w->peer;
	char recording[2 * STORE_RECORDING_LEN + 1], session[33];
	json_t *of = grant_meta(peer->p->store, t, w->caps, w->until);
	json_t *meta = json_pack("{s:i, s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s}",
	    "v", 1, "recording", hex_encode(recording, w->row.recording, STORE_RECORDING_LEN), "session",
	    hex_encode(session, peer->session, sizeof(peer->session)), "connection",
	    (json_int_t)peer->row.id, "way", (json_int_t)w->row.id, "user", peer->user.name,
	    "person", peer->user.person, "device", peer->device.name, "fingerprint",
	    peer->device.fingerprint, "peer", peer->address, "peer_port", (int)peer->port, "host",
	    w->host.name, "address", w->host.address, "target", w->row.target, "login", w->login,
	    "method", w->host.method == LOGIN_MANAGED ? "managed" : "certificate", "bastion", peer->p->control.name);

	if (meta == NULL || of == NULL || json_object_update(meta, of) != 0 || (w->row.apart && put_apart(w, meta) != 0)) {
		json_decref(meta);
		meta = NULL;
	}
	json_decref(of);
	return meta;
}

static int put_meta(const struct way *w, struct buf *body, uint8_t hash[HASH_LEN])
{
	struct ticket t;
	json_t *meta = NULL;
	char *text = NULL;
	int r = -1;

	if (store_ticket(w->peer->p->store, w->tickets[0], &t) == 1 &&
	    (meta = make_meta(w, &t)) != NULL && (text = json_dumps(meta, JSON_COMPACT)) != NULL &&
	    strlen(text) <= GRANT_META_MAX && sha256_spans(hash, SPANS(SPAN(text, strlen(text)))) == 0)
		r = buf_put_cstring(body, text);
	free(text);
	json_decref(meta);
	return r;
}

/* The lines of a recipients file that hold a key. -1: more or longer than a session takes. */
static int put_recipients(const char *text, struct buf *body)
{
	const char *key;
	struct buf list;
	uint32_t n = 0;
	size_t len;
	int r = -1;

	buf_init(&list, (size_t)CONFIG_RECIPIENTS_MAX * (RECIPIENT_MAX + 5));
	while ((key = config_recipient_next(&text, &len)) != NULL) {
		if (++n > CONFIG_RECIPIENTS_MAX || len > RECIPIENT_MAX)
			goto out;
		buf_put_string(&list, key, len);
	}
	buf_put_u32(body, n);
	r = buf_put(body, list.data, list.len);
out:
	buf_finish(&list);
	return r;
}

static int put_readers(const struct config *conf, struct buf *body)
{
	return put_recipients(conf->recipients.text, body) == 0 && put_recipients(conf->input_recipients.text, body) == 0 &&
	    put_recipients(conf->input_recipients_second.text, body) == 0 ? 0 : -1;
}

void grant_readers(struct policy *p)
{
	struct buf body;

	buf_init(&body, 32768);
	if (put_readers(p->conf, &body) != 0) {
		log_error("recipients: more or longer than a session takes; those that run keep the ones they have");
		buf_finish(&body);
		return;
	}
	for (size_t i = 0; i < PEER_TABLE; i++)
		for (struct peer *peer = p->peers[i]; peer != NULL; peer = peer->next)
			for (size_t k = 0; k < PEER_WAYS_MAX; k++)
				if (peer->ways[k] != NULL && peer->ways[k]->stage >= WAY_GIVEN)
					link_send(&peer->link, MSG_WAY_READERS, peer->ways[k]->id, &body, NULL, 0);
	buf_finish(&body);
}

static int put_body(const struct way *w, const uint8_t *cert, size_t len, struct buf *body, uint8_t meta[HASH_LEN])
{
	const struct config *conf = w->peer->p->conf;

	buf_put(body, w->row.recording, sizeof(w->row.recording));
	if (hostkey_put_pins(w->peer->p, w->host.id, body) != 0)
		return -1;
	buf_put_string(body, cert, len);
	if (put_meta(w, body, meta) != 0 || put_readers(conf, body) != 0)
		return -1;
	buf_put_u64(body, conf->content_limit);
	buf_put_u32(body, conf->hold_deadline);
	buf_put_u32(body, conf->hold_banner);
	buf_put_u8(body, conf->strict);
	return buf_put_u8(body, (w->reach & CAP_FORWARD) != 0);
}

static int start_row(struct way *w)
{
	w->row.connection_id = w->peer->row.id;
	w->row.ticket_id = w->tickets[0];
	w->row.host_id = w->host.id;
	snprintf(w->row.login, sizeof(w->row.login), "%s", w->login);
	return store_way_start(w->peer->p->store, &w->row, w->peer->user.name, clock_wall());
}

/*
 * Which recording is whose, and what its metadata say, by the process that decided it: the one that records has the socket after this,
 * and whatever it writes into a recording, bastion-replay events holds against it.
 */
static int say_up(const struct way *w, const uint8_t meta[HASH_LEN])
{
	char recording[2 * STORE_RECORDING_LEN + 1], hash[2 * HASH_LEN + 1];
	json_t *detail = json_pack("{s:I, s:I, s:s, s:s, s:s}", "way", (json_int_t)w->row.id, "grant", (json_int_t)w->tickets[0], "login",
	    w->login, "recording", hex_encode(recording, w->row.recording, sizeof(w->row.recording)), "metadata",
	    hex_encode(hash, meta, HASH_LEN));

	if (detail == NULL || (w->row.apart && json_object_set_new(detail, "store", json_string("break-glass")) != 0)) {
		json_decref(detail);
		return -1;
	}
	return peer_event(w->peer, EVENT_WAY_UP, w->peer->user.name, w->host.name, detail);
}

static const char *over_line(const struct way *w, const char *what, char over[LINE_LEN])
{
	char ask[512];

	snprintf(over, LINE_LEN, "bastiond: %s. %s", what,
	    access_ask_line("Ask again", w->peer->user.name, w->peer->p->control.name, w->host.name, w->login, ask, sizeof(ask)));
	return over;
}

/*
 * The way's row, the login under its grant and way.up become durable together, or not at all. NULL, or the line that says why not, logged;
 * it is in `over` when the grant had its last login, or ended, while the host was being reached.
 */
static const char *open_row(struct way *w, const uint8_t *cert, size_t len, struct buf *body, char over[LINE_LEN])
{
	struct store *s = w->peer->p->store;
	uint8_t meta[HASH_LEN];
	const char *fault = "bastiond: the bastion cannot write its database, and opens nothing new; tell the operator";

	if (store_begin(s) != 0)
		goto out;
	if (start_row(w) != 0) {
		if (errno == EPERM)
			fault = over_line(w, store_error(s), over);
	} else if (put_body(w, cert, len, body, meta) != 0) {
		fault = "bastiond: pinned host keys, recipients or grant cannot be read; tell the operator";
	} else if (say_up(w, meta) == 0) {
		if (store_commit(s) == 0)
			return NULL;
		goto out; /* it is undone */
	}
	store_rollback(s);
out:
	if (fault != over)
		log_error("way of %s to %s not given: %s (%s)", w->peer->user.name, w->host.name, fault, store_error(s));
	w->row.id = 0;
	return fault;
}

int grant_further(const struct way *w, const struct access_answer *a, struct buf *body)
{
	struct store *s = w->peer->p->store;
	struct ticket t;
	json_t *meta = NULL;
	char *text = NULL;
	int r = -1;

	if (store_ticket(s, a->ticket, &t) != 1 || (meta = grant_meta(s, &t, a->caps, a->until)) == NULL ||
	    (text = json_dumps(meta, JSON_COMPACT)) == NULL || (r = buf_put_string(body, text, strlen(text))) != 0)
		log_error("grant %lld is not used in way %u of %s: its approvals cannot be recorded: %s", (long long)a->ticket, w->id,
		    w->peer->user.name, text != NULL ? "they are too long" : store_error(s));
	free(text);
	json_decref(meta);
	return r;
}

void grant_way(struct way *w, const uint8_t *cert, size_t len)
{
	struct peer *peer = w->peer;
	int fds[2] = { w->fd, w->agent };
	const char *fault;
	char over[LINE_LEN];
	struct buf body;

	buf_init(&body, 65536);
	if (w->until > clock_wall())
		fault = open_row(w, cert, len, &body, over);
	else
		fault = over_line(w, "your grant ended while the host was being reached", over);
	if (fault != NULL) {
		peer_way_close(w, fault);
		authz_refuse(w, fault == over ? WAY_EXPIRED : WAY_BROKEN, fault);
	} else {
		if (w->row.apart)
			glass_alarm(w);
		w->stage = WAY_GIVEN;
		event_free(w->deadline);
		w->deadline = NULL;
		link_send(&peer->link, MSG_WAY_OK, w->id, &body, fds, w->agent >= 0 ? 2 : 1);
		/* the socket is kept, to be shut when the way is over, unless sessions to come need the descriptor more */
		if (w->fd >= peer->p->keep_below)
			close(w->fd);
		if (w->agent >= 0)
			close(w->agent);
		w->fd = w->fd < peer->p->keep_below ? w->fd : -1;
		w->agent = -1;
	}
	buf_finish(&body);
}
