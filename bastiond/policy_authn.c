/*
 * policy_authn.c - who is it: the public key, and what a login opens.
 *
 * Role policy. The session has verified the signature; here is decided whose key it is and whether
 * that user may come in now, from there. policy_factor.c comes between key and login for people.
 * The answer never says what was wrong; the log does. An unknown user and a wrong key ask the store
 * the same questions (store_device_login) and write nothing: what a stranger does costs no disk.
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
	/* The session counts, too, and says it to the client; one that lost count is ended here. */
	if (peer->failures > peer->p->conf->max_auth_tries)
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

/* May this user, with a device in force, log in now? False with a line for the log. */
static bool user_may(struct peer *peer, const struct user *u, char *why, size_t size)
{
	struct policy *p = peer->p;
	struct count c = { .user_id = u->id };
	struct totp totp;
	int r;

	if (access_user(u, peer->address, clock_wall(), why, size) != 0)
		return false;
	if (u->kind == USER_HUMAN) {
		r = store_totp(p->store, u->id, &totp);
		r = r > 0 && !totp.confirmed ? 0 : r;
		explicit_bzero(&totp, sizeof(totp));
		if (r <= 0) {
			snprintf(why, size, "%s",
			    r < 0 ? store_error(p->store)
				  : "no confirmed second factor: `bastionctl user totp enrol`, "
				    "then `… confirm`");
			return false;
		}
	}
	peers_each(p, count_user, &c);
	if (c.n >= p->conf->max_sessions_per_user) {
		snprintf(why, size, "%u sessions are open, max_sessions_per_user allows no more",
		    c.n);
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

static int answer(struct peer *peer, enum auth_verdict verdict)
{
	authn_answer(peer, MSG_AUTH_KEY_RE, 0, verdict, 0);
	return 0;
}

/* Right key, wrong circumstances: that is somebody we know, and worth an event if the key is
   proven. */
static void refused_user(struct peer *peer, const struct user *u, const struct device *d,
    bool proven, const char *why)
{
	char safe[LINE_LEN];

	esc_line(safe, sizeof(safe), why, strlen(why));
	log_notice("login of %s with %s from %s refused: %s", u->name, d->name, peer->address,
	    safe);
	if (proven)
		peer_event(peer, EVENT_LOGIN_FAIL, u->name, u->name, json_pack("{s:s, s:s, s:s}",
		    "device", d->name, "peer", peer->address, "why", safe));
}

/* What a grace is for: the peer's network, of so many bits. An address that is none is its own network. */
static const char *grace_source(const struct peer *peer, char out[NETWORK_TEXT_MAX])
{
	const struct config *conf = peer->p->conf;

	return access_network_of(peer->address, conf->grace_bits4, conf->grace_bits6, out) ? out : peer->address;
}

/* The key is proven: what is owed still? */
static enum auth_verdict next_factor(struct peer *peer)
{
	char source[NETWORK_TEXT_MAX];
	struct policy *p = peer->p;

	if (peer->user.kind == USER_SERVICE)
		return authn_login(peer, EVENT_LOGIN);
	if (p->conf->mfa_grace != 0 &&
	    store_grace(p->store, peer->user.id, peer->device.id, grace_source(peer, source), clock_wall()) == 1)
		return authn_login(peer, EVENT_LOGIN_GRACE);
	return AUTH_PARTIAL;
}

int authn_key(struct peer *peer, struct ipc_msg *m)
{
	char name[USER_NAME_MAX + 1], why[LINE_LEN] = "", client[256] = "";
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
	if (r <= 0 || !user_may(peer, &u, why, sizeof(why))) {
		if (r == 1)
			refused_user(peer, &u, &d, proven == 1, why);
		authn_answer(peer, MSG_AUTH_KEY_RE, 0, AUTH_NO, source_failed(peer, name));
		authn_failed(peer, proven == 1);
		if (r == 0)
			source_tried(peer, name);
		return 0;
	}
	if (proven == 0)
		return answer(peer, AUTH_MAYBE);
	peer->auth = PEER_PROVEN;
	peer->user = u;
	peer->device = d;
	verdict = next_factor(peer);
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

enum auth_verdict authn_login(struct peer *peer, enum event_kind event)
{
	char why[LINE_LEN];
	struct user u;
	struct device d;

	/* Minutes may lie between the key and the code: what was true then is asked again. */
	if (store_user(peer->p->store, peer->user.id, &u) != 1 ||
	    !user_may(peer, &u, why, sizeof(why)) ||
	    store_device_by_name(peer->p->store, u.id, peer->device.name, &d) != 1 ||
	    d.id != peer->device.id) {
		log_notice(
		    "login of %s from %s refused at its end: user or device is no longer in force",
		    peer->user.name, peer->address);
		return AUTH_NO;
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
