/*
 * policy_control.c - the command words: over control.sock (bastionctl), and from sessions (`ssh
 * alice@bastion WORDS`).
 *
 * Role policy. Who asks is the kernel's word (SO_PEERCRED) on the socket, the login in a session.
 * approvals/control.c does what is asked; here are sockets, limits, and replies in pieces. pam.sock
 * shares the sockets' part. Any account of this machine may connect: root alone overtakes the sessions.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "policy_backup.h"
#include "policy_client.h"
#include "policy_hook.h"
#include "policy_events.h"
#include "policy_rotate.h"
#include "policy_source.h"

#define PIECE 60000		/* bytes of a reply in one message */
#define CONTROL_IDLE_MS 300000	/* a client that is silent so long goes */
#define PAM_IDLE_MS 10000
#define UID_CLIENTS_MAX 8	/* at once, of one account that is not root */

/* u8 more; bytes. An empty text is one message. */
static int send_pieces(struct link *l, enum msg_type type, uint32_t id, const struct buf *text)
{
	size_t at = 0;
	int r;

	do {
		size_t n = text->len - at > PIECE ? PIECE : text->len - at;
		struct buf body;

		buf_init(&body, PIECE + 1);
		buf_put_u8(&body, at + n < text->len);
		buf_put(&body, text->data + at, n);
		r = link_send(l, type, id, &body, NULL, 0);
		buf_finish(&body);
		at += n;
	} while (r == 0 && at < text->len);
	return r;
}

static void put_error(struct buf *out, const char *code, const char *error)
{
	json_t *reply = json_pack("{s:b, s:s, s:s}", "ok", 0, "code", code, "error", error);
	char *text = reply != NULL ? json_dumps(reply, JSON_COMPACT) : NULL;

	if (text != NULL)
		buf_put(out, text, strlen(text));
	free(text);
	json_decref(reply);
}

static const char too_many[] = "too many requests at once; try again in a few seconds";
static const char one_waits[] = "a word of this connection waits for its ticket's check, or for a decision; wait for its answer";

/*
 * The request's bytes lie in the shared inbox: nothing is received before control_handle() is through with them.
 *
 * What it changed may decide what others wait for, whose words are carried out in live_run(): whether this one waits is said before and after.
 */
static void carry_out(struct policy *p, struct link *asker, const struct actor *a,
    const struct buf *request, struct buf *out)
{
	struct link *const before = p->asker;
	char look_login[sizeof(p->control.look_login)];
	int64_t wait_for, look_for;
	int r;

	p->asker = asker;
	p->control.wait_for = p->control.look_for = 0;
	ends_write(p); /* `sessions` shows none that is over */
	r = control_handle(&p->control, a, request->data, request->len, out);
	if (r < 0) {
		buf_reset(out);
		put_error(out, "broken",
		    "the reply is too long or there is no memory; ask for less, with limit");
	}
	wait_for = p->control.wait_for;
	look_for = p->control.look_for;
	memcpy(look_login, p->control.look_login, sizeof(look_login));
	p->asker = before;
	if (r != 1)
		live_run(p);
	p->control.wait_for = wait_for;
	p->control.look_for = look_for;
	memcpy(p->control.look_login, look_login, sizeof(look_login));
}

/* Its asker is still there: ticket_owner_gone() would have dropped the word. */
void words_resume(struct policy *p, struct link *asker, uint32_t id, const struct actor *a, const struct buf *request)
{
	struct buf out;

	buf_init(&out, CONTROL_REPLY_MAX);
	carry_out(p, asker, a, request, &out);
	if (!wait_begin(p, asker, id, a))
		send_pieces(asker, a->local ? MSG_CTL_REPLY : MSG_WORDS_RE, id, &out);
	buf_finish(&out);
}

/* --- sessions --- */

int words_ask(struct peer *peer, struct ipc_msg *m)
{
	struct actor a = { .user_id = peer->user.id };
	struct buf out;

	peer->p->control.wait_for = peer->p->control.look_for = 0;
	memcpy(a.source, peer->address, sizeof(a.source));
	buf_init(&out, CONTROL_REPLY_MAX);
	if (peer_is_over(peer))
		put_error(&out, "refused", PEER_OVER_LINE);
	else if (!peer_may_ask(peer))
		put_error(&out, "refused", too_many);
	else if (ticket_holding(peer->p, &peer->link))
		put_error(&out, "refused", one_waits);
	else if (ticket_holds_word(peer->p, &peer->link, m->id, &a, &m->body))
		goto out;
	else
		carry_out(peer->p, &peer->link, &a, &m->body, &out);
	if (!wait_begin(peer->p, &peer->link, m->id, &a))
		send_pieces(&peer->link, MSG_WORDS_RE, m->id, &out);
out:
	buf_finish(&out);
	return 0;
}

/* --- the sockets --- */

static int on_request(struct client *c, struct ipc_msg *m)
{
	struct policy *p = c->p;
	char line[LINE_LEN] = "no user of the bastion has your account";
	struct actor a = { .local = true };
	struct buf out;
	int r = 1;

	p->control.wait_for = p->control.look_for = 0;
	buf_init(&out, CONTROL_REPLY_MAX);
	if (c->uid != 0 && !bucket_take(&c->bucket))
		put_error(&out, "refused", too_many);
	else if ((r = control_actor(&p->control, (int64_t)c->uid, &a, line, sizeof(line))) == 1 && ticket_holding(p, &c->link))
		put_error(&out, "refused", one_waits);
	else if (r == 1 && ticket_holds_word(p, &c->link, m->id, &a, &m->body))
		goto out;
	else if (r == 1)
		carry_out(p, &c->link, &a, &m->body, &out);
	else
		put_error(&out, r == 0 ? "denied" : "broken",
		    r == 0 ? line : "the database cannot be read");
	if (r != 1 || !wait_begin(p, &c->link, m->id, &a))
		send_pieces(&c->link, MSG_CTL_REPLY, m->id, &out);
out:
	buf_finish(&out);
	return r == 1 ? 0 : -1;
}

/* Either socket's clients play role CTL: which message belongs to which socket is decided here. */
static int on_message(struct link *l, struct ipc_msg *m)
{
	struct client *c = (struct client *)l;

	c->seen_ms = clock_mono_ms();
	if (m->type == MSG_CTL_REQUEST && c->kind == CLIENT_CONTROL)
		return on_request(c, m);
	if (m->type == MSG_CTL_VIEW && c->kind == CLIENT_CONTROL)
		return watch_on_view(c->p, l, m);
	if (m->type == MSG_CTL_BACKUP && c->kind == CLIENT_CONTROL)
		return backup_start(c, m);
	if (m->type == MSG_OTP_CHECK && c->kind == CLIENT_PAM)
		return otp_on_check(c, m);
	return -1;
}

static void client_destroy(struct client *c)
{
	struct client **at = &c->p->clients;

	watch_owner_gone(c->p, &c->link);
	backup_abort(c->p, &c->link);
	ticket_owner_gone(c->p, &c->link);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->p->nclients[c->kind]--;
	link_bury(&c->link);
}

static void on_ended(struct link *l, int error)
{
	(void)error;
	client_destroy((struct client *)l);
}

static const struct link_ops client_link = { on_message, on_ended };

/* May one more connect? So many in all, a few of each account, and root always finds a place. */
static bool client_admitted(const struct policy *p, enum client_kind kind, uid_t uid)
{
	size_t own = 0;

	for (const struct client *c = p->clients; c != NULL; c = c->next)
		if (c->kind == kind && c->uid == uid)
			own++;
	if (uid == 0)
		return p->nclients[kind] < CLIENTS_MAX;
	return kind == CLIENT_CONTROL && own < UID_CLIENTS_MAX &&
	    p->nclients[kind] < CLIENTS_MAX - CLIENTS_ROOT;
}

static void client_start(struct policy *p, enum client_kind kind, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct client *c = NULL;
	bool urgent;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0) {
		close(fd);
		return;
	}
	/* whoever connects faster than any person is served with the crowd, and does not fill the log */
	urgent = cred.uid == 0 || bucket_take(&p->strangers);
	if (kind == CLIENT_CONTROL)
		event_priority_set(p->control_in, urgent ? LINK_CROWD - 1 : LINK_CROWD);
	if (!client_admitted(p, kind, cred.uid)) {
		if (urgent)
			log_warn("%s: a connection is refused: too many, or not root", kind == CLIENT_PAM ? "pam.sock" : "control.sock");
		close(fd);
		return;
	}
	if ((c = calloc(1, sizeof(*c))) == NULL) {
		close(fd);
		return;
	}
	*c = (struct client){ .p = p, .kind = kind, .uid = cred.uid, .seen_ms = clock_mono_ms() };
	if (link_open(&c->link, p->base, fd, ROLE_CTL, &client_link) != 0) {
		free(c);
		return;
	}
	bucket_fill(&c->bucket);
	if (cred.uid != 0)
		link_demote(&c->link);
	c->next = p->clients;
	p->clients = c;
	p->nclients[kind]++;
}

static void accept_one(struct policy *p, enum client_kind kind, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		client_start(p, kind, fd);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		log_error("accept: %s", strerror(errno));
}

static void on_control(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	accept_one(arg, CLIENT_CONTROL, fd);
}

static void on_pam(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	accept_one(arg, CLIENT_PAM, fd);
}

/* --- what control.c asks of us --- */

static const char *key_line(void *arg, size_t i, const char **name)
{
	struct policy *p = arg;

	if (i >= p->nkey_lines)
		return NULL;
	*name = p->key_names[i];
	return p->key_lines[i];
}

static const char *host_key(void *arg, size_t i)
{
	struct policy *p = arg;

	return i < sizeof(p->host_keys) / sizeof(p->host_keys[0]) ? p->host_keys[i] : NULL;
}

int control_open(struct policy *p, const struct policy_fds *fds)
{
	p->control.store = p->store;
	p->control.arg = p;
	p->control.end = live_end;
	p->control.key_line = key_line;
	p->control.host_key = host_key;
	p->control.watch_new = watch_new;
	p->control.watch_settle = watch_settle;
	p->control.ticket = ticket_state;
	p->control.shipped = events_shipped;
	p->control.session_live = watch_session_live;
	p->control.blocks = source_blocks;
	p->control.rotate = rotate_want;
	p->control.unblock = source_unblock;
	bucket_fill(&p->strangers);
	p->control_in = event_new(p->base, fds->control, EV_READ | EV_PERSIST, on_control, p);
	p->pam_in = event_new(p->base, fds->pam, EV_READ | EV_PERSIST, on_pam, p);
	return p->control_in != NULL && p->pam_in != NULL && event_add(p->control_in, NULL) == 0 &&
	    event_add(p->pam_in, NULL) == 0 ? 0 : -1;
}

void clients_tick(struct policy *p, uint64_t now_ms)
{
	for (struct client *c = p->clients, *next; c != NULL; c = next) {
		next = c->next;
		if (now_ms - c->seen_ms > (c->kind == CLIENT_PAM ? PAM_IDLE_MS : CONTROL_IDLE_MS) &&
		    !watch_owned(p, &c->link) && !ticket_holding(p, &c->link))
			client_destroy(c);
	}
}

void clients_finish(struct policy *p)
{
	while (p->clients != NULL)
		client_destroy(p->clients);
	if (p->control_in != NULL)
		event_free(p->control_in);
	if (p->pam_in != NULL)
		event_free(p->pam_in);
}
