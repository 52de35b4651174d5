/*
 * policy_authz.c - where may it go: from WAY_ASK to a connected socket and a key for it.
 *
 * Role policy. approvals/access.c decides; here is done what the decision allows:
 *
 *   WAY_ASK ─▶ decision ─▶ RUN_DIAL ─▶ socket (─▶ REC_GLASS, policy_glass.c) ─▶ SIGN_CERT or LEND_KEY ─▶ policy_grant.c ─▶ WAY_OK
 *                 └──────────────────────┴───────────────┴── authz_refuse() ─▶ WAY_NO
 *
 * `ssh -J` names the host (HOST_ASK) one key exchange before it names the login. A user who has a grant there is awaited: the
 * socket is dialled meanwhile (WAY_EARLY), stays here, and goes nowhere without the decision on WAY_ASK.
 *
 * A grant that rests on an outside ticket waits for its check first (WAY_CHECKING, policy_ticket.c); one for an account of one's own,
 * until that is there (WAY_ACCOUNT, policy_account.c).
 *
 * The client names a registered host, never an address (promise P11): the address comes from the
 * store.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "escape.h"
#include "log.h"
#include "policy_account.h"
#include "policy_glass.h"
#include "policy_hook.h"
#include "policy_rotate.h"
#include "policy_worker.h"
#include "tlog_act.h"

/*
 * No way lasts longer, and none is moved on: the log of recordings takes for silent what its bastion has not signed for TLOG_SESSION_DAYS and
 * the retention. An hour less, so that its close is within them.
 */
#define WAY_LONGEST_S (TLOG_SESSION_DAYS * 86400LL - 3600)
#define SIGN_TIME_MS 5000	/* for dialling's end, the certificate and the answer */
#define LENT_MAX 64		/* logins of one user with managed keys that are under way: keys lends LEND_MAX to all */
#define EARLY_MS 10000		/* an early socket waits so long for its WAY_ASK */

static void send_no(struct peer *peer, uint32_t id, enum way_refusal refusal, const char *line)
{
	struct buf body;

	buf_init(&body, 2048);
	buf_put_u8(&body, (uint8_t)refusal);
	buf_put_string(&body, line, strnlen(line, LINE_LEN - 1));
	link_send(&peer->link, MSG_WAY_NO, id, &body, NULL, 0);
	buf_finish(&body);
}

static void note_refusal(struct peer *peer, const char *host, const char *login,
    enum way_refusal refusal, const char *line)
{
	char safe[4 * 64 + 8];

	if (!control_notes(&peer->p->control, peer->user.id))
		return;
	esc_text(safe, sizeof(safe), host, strnlen(host, 64));
	log_info("way of %s to %s refused (%d): %s", peer->user.name, safe, (int)refusal, line);
	peer_event(peer, EVENT_WAY_REFUSED, peer->user.name, safe, json_pack("{s:i, s:s, s:s, s:I}",
	    "refusal", (int)refusal, "login", login, "why", line, "connection",
	    (json_int_t)peer->row.id));
}

void authz_refuse(struct way *w, enum way_refusal refusal, const char *line)
{
	struct peer *peer = w->peer;

	if (w->stage == WAY_EARLY) { /* nobody asked: WAY_ASK will, and has its own answer */
		log_debug("early connection to %s for %s: %s", w->host.name, peer->user.name, line);
		peer_way_destroy(w);
		return;
	}
	note_refusal(peer, w->host.name, w->login, refusal, line);
	send_no(peer, w->id, refusal, line);
	peer_way_destroy(w);
}

/* --- the key --- */

static void on_key(void *arg, const char *refusal, const uint8_t *blob, size_t len)
{
	struct way *w = arg;
	bool managed = w->host.method == LOGIN_MANAGED;

	w->key_ask = 0;
	if (refusal != NULL) {
		log_error("no key for %s@%s: %s", w->login, w->host.name, refusal);
		authz_refuse(w, WAY_BROKEN, managed ?
		    "bastiond: the managed key of this host is not there; tell the operator" :
		    "bastiond: no certificate could be made for this host; tell the operator");
		return;
	}
	/* With a lent key the session learns its public half from the agent. */
	grant_way(w, managed ? NULL : blob, managed ? 0 : len);
}

/* A certificate for this login, this grant and this socket alone. */
static void ask_certificate(struct way *w)
{
	struct config *conf = w->peer->p->conf;
	int64_t now = clock_wall(), end = now + KEYS_CERT_AHEAD;
	char key_id[256], recording[2 * STORE_RECORDING_LEN + 1];
	const struct keys_cert c = { .key = w->ephemeral, .key_len = w->ephemeral_len, .principal = w->login, .key_id = key_id,
		.after = (uint64_t)(now - KEYS_CERT_BACK), .before = (uint64_t)(w->until < end ? w->until : end),
		.forward = (w->reach & CAP_FORWARD) != 0,
		.source = w->host.source_address[0] != '\0' ? w->host.source_address :
		    conf->source_address[0] != '\0' ? conf->source_address : w->local };

	for (size_t i = 0; i < STORE_RECORDING_LEN; i++)
		snprintf(recording + 2 * i, 3, "%02x", w->row.recording[i]);
	snprintf(key_id, sizeof(key_id), "%s/%lld/%s", w->peer->user.name, (long long)w->tickets[0],
	    recording);
	w->key_ask = keys_sign(w->peer->p, &c, on_key, w);
}

struct lent {
	int64_t user_id;
	unsigned n;
};

static void count_lent(struct peer *peer, void *arg)
{
	struct lent *l = arg;

	for (size_t i = 0; i < PEER_WAYS_MAX && peer->auth == PEER_IN && peer->user.id == l->user_id; i++) {
		const struct way *w = peer->ways[i];

		l->n += w != NULL && w->host.method == LOGIN_MANAGED && w->stage >= WAY_SIGNING && w->stage < WAY_LIVE;
	}
}

void authz_key(struct way *w)
{
	struct lent l = { w->peer->user.id, 0 };

	if (w->host.method == LOGIN_MANAGED)
		peers_each(w->peer->p, count_lent, &l);
	if (l.n > LENT_MAX) {
		authz_refuse(w, WAY_BUSY, "bastiond: too many of your logins at hosts with managed keys are under way; try again in a minute");
		return;
	}
	if (w->host.method == LOGIN_MANAGED)
		w->key_ask = rotate_lend(w->peer->p, &w->host, w->login, true, w->lent, &w->agent, on_key, w);
	else
		ask_certificate(w);
	if (w->key_ask == 0)
		authz_refuse(w, WAY_BROKEN,
		    "bastiond: the keys role does not answer; tell the operator");
}

static void ask_key(struct way *w)
{
	w->stage = WAY_SIGNING;
	if (!glass_holds_way(w))
		authz_key(w);
}

/* --- the socket --- */

static int on_dialled(struct worker *worker, struct ipc_msg *m)
{
	struct way *w = worker->way;
	uint8_t ok = buf_get_u8(&m->body);
	char peer[ADDRESS_MAX + 1], reason[512], safe[LINE_LEN], line[LINE_LEN + 200];

	buf_get_cstring(&m->body, peer, sizeof(peer));
	buf_get_cstring(&m->body, w->local, sizeof(w->local));
	buf_get_cstring(&m->body, reason, sizeof(reason));
	if (!buf_end(&m->body) || m->nfds != (ok ? 1 : 0))
		return -1;
	w->local[strcspn(w->local, "%")] = '\0'; /* fe80::1%eth0: a certificate has no scopes */
	w->dial = NULL;
	worker_done(worker);
	if (!ok) {
		esc_text(safe, sizeof(safe), reason, strlen(reason));
		snprintf(line, sizeof(line), "bastiond: %s does not answer: %s", w->host.name,
		    safe);
		authz_refuse(w, WAY_UNREACHABLE, line);
		return 0;
	}
	w->fd = ipc_take_fd(m, 0);
	snprintf(w->row.target, sizeof(w->row.target),
	    strchr(peer, ':') != NULL ? "[%s]:%u" : "%s:%u", peer, w->host.port);
	if (w->stage == WAY_DIALLING)
		ask_key(w);
	return 0;
}

static void on_dial_ended(struct worker *worker)
{
	struct way *w = worker->way;

	authz_refuse(w, WAY_BROKEN,
	    "bastiond: the connection to the host could not be tried; tell the operator");
}

static const struct worker_ops dial_ops = { ROLE_DIAL, NULL, on_dialled, on_dial_ended };

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct way *w = arg;
	char line[LINE_LEN];

	(void)fd, (void)what;
	snprintf(line, sizeof(line), w->stage == WAY_ACCOUNT ? "bastiond: your account at %s was not made in time; try again in a minute" :
		"bastiond: %s did not answer in time", w->host.name);
	authz_refuse(w, WAY_UNREACHABLE, line);
}

static int set_deadline(struct way *w, uint32_t ms)
{
	const struct timeval wait = { .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 };

	if (w->deadline == NULL && (w->deadline = evtimer_new(w->peer->p->base, on_deadline, w)) == NULL)
		return -1;
	return event_add(w->deadline, &wait);
}

static int start_dial(struct way *w)
{
	struct config *conf = w->peer->p->conf;
	struct buf body;

	buf_init(&body, 512);
	buf_put_cstring(&body, w->host.address);
	buf_put_u16(&body, w->host.port);
	buf_put_u32(&body, conf->dial_timeout);
	if ((w->dial = worker_run(w->peer, WORKER_DIAL, &dial_ops, MSG_RUN_DIAL, &body)) != NULL)
		w->dial->way = w;
	buf_finish(&body);
	return w->dial != NULL ? 0 : -1;
}

/* --- the question --- */

/* Names that break their grammar are answered as unknown ones, and reach no query. False: refused. */
static bool may_ask(struct peer *peer, const char *host, const char *login, struct access_answer *a)
{
	char safe[4 * HOST_NAME_MAX_LEN + 8];

	if (peer_is_over(peer)) {
		a->refusal = WAY_LOCKED;
		snprintf(a->line, sizeof(a->line), PEER_OVER_LINE);
	} else if (!peer_may_ask(peer)) {
		a->refusal = WAY_BUSY;
		snprintf(a->line, sizeof(a->line),
		    "bastiond: too many requests at once; try again in a few seconds");
	} else if (!name_is_host(host) || !name_is_login(login)) {
		a->refusal = WAY_NO_HOST;
		esc_quoted(safe, sizeof(safe), host, strnlen(host, HOST_NAME_MAX_LEN));
		snprintf(a->line, sizeof(a->line),
		    "bastiond: %s is no registered host, or the login is no login name; "
		    "addresses are not taken. Yours: ssh %s@%s hosts",
		    safe, peer->user.name, peer->p->control.name);
	}
	return a->refusal == 0;
}

struct choice {
	struct peer *peer;
	struct host h;
	const struct way *w;	/* that was held for grants that did not do; NULL: none yet */
};

static bool was_passed(const struct way *w, int64_t ticket)
{
	for (size_t i = 0; w != NULL && i < ACCESS_TICKETS; i++)
		if (w->passed[i] == ticket)
			return true;
	return false;
}

static bool opens(void *arg, const struct ticket *t, const struct access_answer *a, char *line, size_t size)
{
	struct choice *c = arg;

	(void)a;
	return !was_passed(c->w, t->id) && !ticket_said_no(c->peer->p, t->ref) && class_allows(c->peer, &c->h, t->id, line, size);
}

/* Under which grant? The first of those in force with which the host's class and the outside ticket agree. */
static void choose(struct choice *c, const char *host, const char *login, struct access_answer *a)
{
	const struct access_more more = { opens, c };
	struct peer *peer = c->peer;

	control_way_more(&peer->p->control, peer->user.id, peer->address, host, login, NULL, 0, &more, a, &c->h);
	if (a->refusal == 0)
		glass_instead(peer, &c->h, login, &more, a);
}

/* As the decision has it. */
static void set_access(struct way *w, const struct access_answer *a, const struct host *h)
{
	w->host = *h;
	w->caps = a->caps;
	w->reach = a->reach;
	w->until = a->until;
	w->tickets[0] = a->ticket;
	memcpy(w->refs[0], a->ref, sizeof(w->refs[0]));
	w->glass = a->glass;
	w->began = clock_wall();
	w->longest = w->began + WAY_LONGEST_S;
}

static struct way *find_early(struct peer *peer)
{
	for (size_t i = 0; i < PEER_WAYS_MAX; i++)
		if (peer->ways[i] != NULL && peer->ways[i]->stage == WAY_EARLY)
			return peer->ways[i];
	return NULL;
}

/* One at a time, and only where some login would be allowed now. That it fails is no one's news: WAY_ASK tries again. */
static void dial_early(struct peer *peer, const struct host *host)
{
	struct access_answer a;
	char login[LOGIN_MAX + 1];
	struct host h;
	struct way *w;

	if (find_early(peer) != NULL ||
	    store_grant_login(peer->p->store, peer->user.id, host->id, login) != 1)
		return;
	control_way(&peer->p->control, peer->user.id, peer->address, host->name, login, NULL, &a, &h);
	if (a.refusal != 0 || (w = peer_way_create(peer, 0)) == NULL)
		return;
	w->stage = WAY_EARLY;
	set_access(w, &a, &h);
	if (set_deadline(w, EARLY_MS) != 0 || start_dial(w) != 0)
		peer_way_destroy(w);
	else
		live_run(peer->p);
}

/* The way that WAY_ASK of `id` goes on with: dialled early to this very address, or new. NULL: no room. */
static struct way *take_way(struct peer *peer, uint32_t id, const struct host *h)
{
	struct way *w = find_early(peer), *fresh;

	if (w == NULL || w->host.id != h->id || w->host.port != h->port || strcmp(w->host.address, h->address) != 0) {
		/* nobody asked for the early one: it takes nobody's place */
		if ((fresh = peer_way_create(peer, id)) == NULL && w != NULL) {
			peer_way_destroy(w);
			fresh = peer_way_create(peer, id);
		}
		return fresh;
	}
	w->id = id;
	w->stage = WAY_DIALLING;
	event_del(w->deadline); /* of waiting for this: what comes next has a time of its own, a check of its ticket the hook's */
	return w;
}

/* A socket that is there already is gone on with, one that is on its way awaited. */
static int go_on(struct way *w)
{
	if (set_deadline(w, w->peer->p->conf->dial_timeout + SIGN_TIME_MS) != 0)
		return -1;
	if (w->fd >= 0)
		ask_key(w);
	else if (w->dial == NULL)
		return start_dial(w);
	return 0;
}

/* The login comes later, inside: any will do to learn whether the host is there. */
int authz_host(struct peer *peer, struct ipc_msg *m)
{
	char host[1024];
	struct access_answer a = { 0 };
	struct host h = { 0 };
	struct buf b;

	if (buf_get_cstring(&m->body, host, sizeof(host)) != 0 || !buf_end(&m->body))
		return -1;
	if (may_ask(peer, host, "any", &a))
		control_way(&peer->p->control, peer->user.id, peer->address, host, "any", NULL, &a, &h);
	buf_init(&b, 2048);
	buf_put_u8(&b, a.refusal != WAY_NO_HOST && a.refusal != WAY_BUSY);
	buf_put_cstring(&b, a.line);
	link_send(&peer->link, MSG_HOST_RE, m->id, &b, NULL, 0);
	buf_finish(&b);
	if (h.id != 0)
		dial_early(peer, &h);
	return 0;
}

int authz_ask(struct peer *peer, struct ipc_msg *m)
{
	char host[1024], login[1024];
	struct choice c = { .peer = peer };
	struct access_answer a = { 0 };
	const uint8_t *blob;
	struct way *w;
	size_t len;

	buf_get_cstring(&m->body, host, sizeof(host));
	buf_get_cstring(&m->body, login, sizeof(login));
	blob = buf_get_string(&m->body, EPHEMERAL_MAX, &len);
	if (!buf_end(&m->body) || peer_way_find(peer, m->id) != NULL || m->id == 0)
		return -1;
	if (may_ask(peer, host, login, &a))
		choose(&c, host, login, &a);
	if (a.refusal != 0) {
		note_refusal(peer, host, name_is_login(login) ? login : "?", a.refusal, a.line);
		send_no(peer, m->id, a.refusal, a.line);
		return 0;
	}
	if ((w = take_way(peer, m->id, &c.h)) == NULL) {
		send_no(peer, m->id, WAY_BUSY,
		    "bastiond: too many destinations in this connection; open another one");
		return 0;
	}
	memcpy(w->login, login, strlen(login) + 1); /* name_is_login() held */
	memcpy(w->ephemeral, blob, len);
	w->ephemeral_len = len;
	set_access(w, &a, &c.h);
	if (!ticket_holds_way(w, a.ref))
		authz_checked(w, NULL);
	return 0;
}

/* The outside ticket of the grant that was chosen does not do: that of another one may, or it has none. False: there is none. */
static bool choose_again(struct way *w)
{
	struct choice c = { .peer = w->peer, .w = w };
	struct access_answer a;
	size_t i = 0;

	while (i < ACCESS_TICKETS && w->passed[i] != 0)
		i++;
	if (i == ACCESS_TICKETS)
		return false;
	w->passed[i] = w->tickets[0];
	choose(&c, w->host.name, w->login, &a);
	if (a.refusal != 0 || c.h.id != w->host.id)
		return false;
	set_access(w, &a, &c.h);
	if (!ticket_holds_way(w, a.ref))
		authz_checked(w, NULL);
	return true;
}

void authz_checked(struct way *w, const char *line)
{
	struct policy *p = w->peer->p;

	char broken[LINE_LEN] = "";

	if (line != NULL && choose_again(w))
		return;
	w->stage = WAY_DIALLING;
	if (line == NULL && account_holds_way(w, broken, sizeof(broken))) {
		if (set_deadline(w, ACCOUNT_WAIT_MS) != 0)
			authz_refuse(w, WAY_BUSY, "bastiond: no memory for one more connection; try again in a minute");
		return;
	}
	if (line != NULL || broken[0] != '\0')
		authz_refuse(w, line != NULL ? WAY_REVOKED : WAY_BUSY, line != NULL ? line : broken);
	else if (go_on(w) != 0)
		authz_refuse(w, WAY_BUSY,
		    "bastiond: too many connections are being opened; try again in a minute");
	else
		live_run(p);
}
