/*
 * policy_authn.c - who is it: the public key, and what a login opens.
 *
 * Role policy. The session has verified the signature; here is decided whose key it is and whether
 * that user may come in now, from there. policy_factor.c comes between key and login for people.
 * A stranger, who cannot prove a registered key, is never told what was wrong; the log is. An unknown
 * user and a wrong key ask the store the same questions (store_device_login) and write nothing: what a
 * stranger does costs no disk. Whether a registered key would do is answered the same for all that
 * have one; who then proves it and may not come in gets a line (AUTH_BARRED).
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "escape.h"
#include "log.h"
#include "policy_source.h"

#define KEY_BLOB_MAX STORE_BLOB_MAX

void authn_forget(struct peer *peer)
{
	factor_kill(peer);
	peer->auth = PEER_STRANGER;
	peer->code_ms = 0;
	explicit_bzero(&peer->user, sizeof(peer->user));
	explicit_bzero(&peer->device, sizeof(peer->device));
	peer->link.ipc.state = S_NEW;
}

void authn_failed(struct peer *peer, bool penalty)
{
	peer->failures++;
	/* The session counts, too: the one past max_auth_tries is its last, and it says so to the client. One that lost count is ended here. */
	if (peer->failures > peer->p->conf->max_auth_tries + 1)
		peer_kill(peer, "more than max_auth_tries refused attempts");
	if (penalty || peer->failures == peer->p->conf->max_auth_tries)
		link_send_u8(&peer->p->parent, MSG_PEER_VERDICT, peer->slot, 0);
}

struct count {
	int64_t user_id;
	uint32_t n;
};

static void count_user(struct peer *peer, void *arg)
{
	struct count *c = arg;

	if (peer->auth == PEER_IN && peer->user.id == c->user_id)
		c->n++;
}

/* Has this user a second factor? False with the line. */
static bool has_factor(struct policy *p, const struct user *u, char line[LINE_LEN])
{
	struct totp totp;
	int r = store_totp(p->store, u->id, &totp);
	bool there = r > 0 && totp.confirmed;

	explicit_bzero(&totp, sizeof(totp));
	if (r < 0) {
		log_error("the second factor of %s cannot be read: %s", u->name, store_error(p->store));
		snprintf(line, LINE_LEN, "The bastion cannot look up the second factor of %s now. Try again, or tell an administrator.", u->name);
	} else if (!there) {
		snprintf(line, LINE_LEN, "%s has no confirmed second factor. An administrator makes one: bastionctl user totp enrol %s", u->name, u->name);
	}
	return there;
}

/* May this user, with a device in force, log in now? False with the line: what is missing, and what to do next. */
static bool user_may(struct peer *peer, const struct user *u, char line[LINE_LEN])
{
	struct policy *p = peer->p;
	struct count c = { .user_id = u->id };
	char why[LINE_LEN - 64];
	enum way_refusal no = access_user(u, peer->address, clock_wall(), why, sizeof(why));

	if (no != 0) {
		snprintf(line, LINE_LEN, "%s%s", why, no == WAY_EXPIRED ? " An administrator can tell you whether it goes on." : "");
		return false;
	}
	if (u->kind == USER_HUMAN && !has_factor(p, u, line))
		return false;
	peers_each(p, count_user, &c);
	if (c.n >= p->conf->max_sessions_per_user) {
		snprintf(line, LINE_LEN, "%s has as many connections open as max_sessions_per_user allows: %u. End one, or let several "
		    "commands share one (ControlMaster).", u->name, c.n);
		return false;
	}
	return true;
}

void authn_answer(struct peer *peer, enum msg_type type, uint32_t id, enum auth_verdict verdict, uint32_t delay_ms)
{
	struct buf body;

	buf_init(&body, 8);
	buf_put_u8(&body, (uint8_t)verdict);
	if (delay_ms != 0)
		buf_put_u32(&body, delay_ms);
	link_send(&peer->link, type, id, &body, NULL, 0);
	buf_finish(&body);
}

void authn_bar(struct peer *peer, enum msg_type type, uint32_t id, const char *line)
{
	struct buf body;

	buf_init(&body, LINE_LEN + 8);
	buf_put_u8(&body, AUTH_BARRED);
	buf_put_cstring(&body, line);
	link_send(&peer->link, type, id, &body, NULL, 0);
	buf_finish(&body);
}

static int answer(struct peer *peer, enum auth_verdict verdict)
{
	authn_answer(peer, MSG_AUTH_KEY_RE, 0, verdict, 0);
	return 0;
}

/* A proven key, and wrong circumstances: that is somebody we know, and worth an event. */
static void refused_user(struct peer *peer, const struct user *u, const struct device *d, const char *line)
{
	char safe[LINE_LEN];

	esc_line(safe, sizeof(safe), line, strlen(line));
	log_notice("login of %s with %s from %s refused: %s", u->name, d->name, peer->address,
	    safe);
	/* a script that tries again and again must not fill the database */
	if (control_notes_login(&peer->p->control, u->id))
		peer_event(peer, EVENT_LOGIN_FAIL, u->name, u->name, json_pack("{s:s, s:s, s:s}",
		    "device", d->name, "peer", peer->address, "why", safe));
}

/* It guessed nothing: its source has no penalty for it but that of a connection without a login, and is not slowed. */
static int barred(struct peer *peer, const char *line)
{
	authn_bar(peer, MSG_AUTH_KEY_RE, 0, line);
	authn_failed(peer, false);
	return 0;
}

/* What a grace is for: the peer's network, of so many bits. An address that is none is its own network. */
static const char *grace_source(const struct peer *peer, char out[NETWORK_TEXT_MAX])
{
	const struct config *conf = peer->p->conf;

	return access_network_of(peer->address, conf->grace_bits4, conf->grace_bits6, out) ? out : peer->address;
}

/* The key is proven: what is owed still? */
static enum auth_verdict next_factor(struct peer *peer, char line[LINE_LEN])
{
	char source[NETWORK_TEXT_MAX];
	struct policy *p = peer->p;

	if (peer->user.kind == USER_SERVICE)
		return authn_login(peer, EVENT_LOGIN, line);
	if (p->conf->mfa_grace != 0 &&
	    store_grace(p->store, peer->user.id, peer->device.id, grace_source(peer, source), clock_wall()) == 1)
		return authn_login(peer, EVENT_LOGIN_GRACE, line);
	return AUTH_PARTIAL;
}

int authn_key(struct peer *peer, struct ipc_msg *m)
{
	char name[USER_NAME_MAX + 1], line[LINE_LEN] = "", client[256] = "";
	struct user u = { 0 };
	struct device d = { 0 };
	enum auth_verdict verdict;
	const uint8_t *blob;
	uint8_t proven;
	size_t len;
	int r;

	buf_get_cstring(&m->body, name, sizeof(name));
	blob = buf_get_string(&m->body, KEY_BLOB_MAX, &len);
	proven = buf_get_u8(&m->body);
	if (buf_left(&m->body) > 0)
		buf_get_cstring(&m->body, client, sizeof(client));
	if (!buf_end(&m->body) || proven > 1)
		return -1;
	authn_forget(peer);
	esc_text(peer->client, sizeof(peer->client), client, strlen(client));
	r = store_device_login(peer->p->store, name, blob, len, &u, &d);
	if (r < 0)
		log_error("login refused, the store failed: %s", store_error(peer->p->store));
	if (r <= 0) {
		authn_answer(peer, MSG_AUTH_KEY_RE, 0, AUTH_NO, source_failed(peer, name));
		authn_failed(peer, proven == 1);
		if (r == 0)
			source_tried(peer, name);
		return 0;
	}
	/* public keys are public: who has not proved it learns no more than that it is registered */
	if (proven == 0)
		return answer(peer, AUTH_MAYBE);
	if (!user_may(peer, &u, line)) {
		refused_user(peer, &u, &d, line);
		return barred(peer, line);
	}
	peer->auth = PEER_PROVEN;
	peer->user = u;
	peer->device = d;
	verdict = next_factor(peer, line);
	if (verdict == AUTH_BARRED)
		return barred(peer, line);
	if (verdict == AUTH_NO)
		authn_failed(peer, false);
	return answer(peer, verdict);
}

/* The row, the device's last use, the event and the grace: all or nothing, and on disk before
   anybody is let in. */
static int open_row(struct peer *peer, enum event_kind event)
{
	struct policy *p = peer->p;
	struct store *s = p->store;
	int64_t now = clock_wall();
	struct connection c = { .user_id = peer->user.id, .device_id = peer->device.id };
	char source[NETWORK_TEXT_MAX];

	memcpy(c.session, peer->session, sizeof(c.session));
	snprintf(c.peer, sizeof(c.peer), "%s", peer->address);
	if (store_begin(s) != 0)
		return -1;
	if (store_connection_start(s, &c, now) != 0 ||
	    store_device_used(s, peer->device.id, peer->address, now) != 0 ||
	    class_login(peer, now) != 0 ||
	    (event == EVENT_LOGIN && peer->user.kind == USER_HUMAN && p->conf->mfa_grace != 0 &&
		store_grace_set(s, peer->user.id, peer->device.id, grace_source(peer, source),
		    now + p->conf->mfa_grace / 1000) != 0) ||
	    event_writef(s, now, event, peer->user.name, peer->user.name, "{s:s, s:s, s:s, s:I}",
		"device", peer->device.name, "peer", peer->address, "client", peer->client, "connection",
		(json_int_t)c.id) != 0) {
		store_rollback(s);
		return -1;
	}
	if (store_commit(s) != 0)
		return -1;
	peer->row = c;
	return 0;
}

enum auth_verdict authn_login(struct peer *peer, enum event_kind event, char line[LINE_LEN])
{
	struct store *s = peer->p->store;
	struct user u;
	struct device d;
	int known = store_user(s, peer->user.id, &u), found = known == 1 ? store_device_by_name(s, u.id, peer->device.name, &d) : 0;

	/* Minutes may lie between the key and the code: what was true then is asked again. */
	if (known != 1 || found < 0) {
		log_error("login of %s from %s refused at its end: %s", peer->user.name, peer->address,
		    known == 0 ? "there is no such user any more" : store_error(s));
		return AUTH_NO;
	}
	if (found == 0 || d.id != peer->device.id)
		snprintf(line, LINE_LEN, "The key %s of %s is in force no more. An administrator can register another one.", peer->device.name, u.name);
	else
		line[0] = '\0';
	if (line[0] != '\0' || !user_may(peer, &u, line)) {
		refused_user(peer, &u, &peer->device, line);
		return AUTH_BARRED;
	}
	peer->user = u;
	if (open_row(peer, event) != 0) {
		log_error("login of %s refused, the store failed: %s", u.name,
		    store_error(peer->p->store));
		return AUTH_NO;
	}
	peer->auth = PEER_IN;
	source_in(peer);
	peer->acted = false;
	peer->link.ipc.state = S_LOGIN;
	link_send_u8(&peer->p->parent, MSG_PEER_VERDICT, peer->slot, 1);
	log_info("login of %s with %s from %s, connection %lld", u.name, peer->device.name,
	    peer->address, (long long)peer->row.id);
	live_run(peer->p);
	return AUTH_YES;
}
