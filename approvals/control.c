/*
 * control.c - see control.h: one request from its bytes to its reply. Policy role.
 *
 * Before: policy_control.c, which knows who asks. After: the handlers in the other control_*.c,
 * one file for what a word is about. What is not in the table below, for this actor, is denied.
 */
#include "control_word.h"

#include "access_login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "escape.h"
#include "log.h"

/* Who may. SELF: when the argument `user` is missing or names the actor. W: everybody may, and it writes: it costs of one's budget. */
enum { U = 1, A = 2, S = 4, R = 8, SELF = 16, W = 32 };

static const struct word {
	const char *path;
	unsigned who;
	word_fn *fn;
} words[] = {
	{ "hosts", U, word_hosts },
	{ "request", U | W | R, word_request },		/* R: for a service account only */
	{ "extend", U | W, word_extend },
	{ "wait", U, word_wait },
	{ "requests", U | R, word_requests },
	{ "approve", U | W, word_approve },			/* an approver of the role, checked there */
	{ "deny", U, word_deny },
	{ "cancel", U | R, word_cancel },
	{ "revoke", U | R, word_revoke },
	{ "grants", U | R, word_grants },
	{ "sessions", U | R, word_sessions },
	{ "kill", U | R, word_kill },
	{ "review", U | W, word_review },			/* an approver, administrator or auditor, checked there */
	{ "reviews", U | R, word_reviews },
	{ "watch", A | S, word_watch },
	{ "explain", A | S | R | SELF, word_explain },
	{ "config", U, word_config },
	{ "events", A | S | R, word_events },
	{ "note-replay", S, word_note_replay },
	{ "report logins", A | S | R, word_report_logins },
	{ "report privileges", A | S | R, word_report_privileges },
	{ "report refused", A | S | R, word_report_refused },
	{ "report requests", A | S | R, word_report_requests },
	{ "report grants", A | S | R, word_report_grants },
	{ "report break-glass", A | S | R, word_report_glass },
	{ "report access", A | S | R, word_report_access },
	{ "report services", A | S | R, word_report_services },
	{ "report dormant", A | S | R, word_report_dormant },
	{ "accounts", A | S | R, word_accounts },
	{ "accounts forget", A | R, word_accounts_forget },
	{ "blocks", A | S | R, word_blocks },
	{ "unblock", A | R, word_unblock },
	{ "ticket check", A | R, word_ticket_check },
	{ "user add", A | R, word_user_add },
	{ "user list", A | S | R, word_user_list },
	{ "user show", A | S | R | SELF, word_user_show },
	{ "user lock", A | R, word_user_lock },
	{ "user unlock", A | R, word_user_unlock },
	{ "user remove", A | R, word_user_remove },
	{ "user leave", A | R, word_user_leave },
	{ "user move", A | R, word_user_move },
	{ "user key add", A | R, word_key_add },
	{ "user key list", A | S | R | SELF, word_key_list },
	{ "user key revoke", A | R | SELF, word_key_revoke },
	{ "directory stage", R, word_directory_stage },
	{ "directory apply", R, word_directory_apply },
	{ "user key invite", A | R, word_key_invite },
	{ "user key approve", A | R, word_key_approve },
	{ "device add", U | W, word_device_add },
	{ "device list", U, word_device_list },
	{ "device revoke", U, word_key_revoke },
	{ "user totp enrol", A | R, word_totp_enrol },
	{ "user totp confirm", A | R | W | SELF, word_totp_confirm },
	{ "user totp reset", A | R, word_totp_reset },
	{ "user totp resync", A | R | W | SELF, word_totp_resync },
	{ "user totp recovery", A | R | W | SELF, word_totp_recovery },
	{ "role add", A | R, word_role_add },
	{ "role change", A | R, word_role_change },
	{ "role list", A | S | R, word_role_list },
	{ "role show", A | S | R, word_role_show },
	{ "role remove", A | R, word_role_remove },
	{ "role member add", A | R, word_member_add },
	{ "role member remove", A | R, word_member_remove },
	{ "role approver add", A | R, word_approver_add },
	{ "role approver remove", A | R, word_approver_remove },
	{ "host add", A | R, word_host_add },
	{ "host change", A | R, word_host_change },
	{ "host list", A | S | R, word_host_list },
	{ "host remove", A | R, word_host_remove },
	{ "host trust", A | R, word_host_trust },
	{ "host keys", A | S | R, word_host_keys },
	{ "host scan", A | R, word_host_scan },
	{ "host trust-key", A | R, word_host_trust_key },
	{ "host forget-key", A | R, word_host_forget_key },
	{ "host rotate", A | R, word_host_rotate },
	{ "key list", A | R, word_keys },
};

#define WORDS (sizeof(words) / sizeof(words[0]))

const char *control_word(size_t i)
{
	return i < WORDS ? words[i].path : NULL;
}

bool is_admin(const struct call *k)
{
	return k->actor->root || k->me.admin;
}

bool is_oneself(const struct call *k, const struct user *u)
{
	return !k->actor->root && strcasecmp(k->me.person, u->person) == 0;
}

int control_actor(struct control *c, int64_t uid, struct actor *a, char *line, size_t size)
{
	struct user u;
	int r;

	*a = (struct actor){ .root = uid == 0, .local = true };
	if (a->root)
		return 1;
	if ((r = store_user_by_uid(c->store, uid, &u)) == 1)
		a->user_id = u.id;
	else if (r == 0)
		snprintf(line, size,
		    "uid %lld is no user of this bastion. An administrator can say so with: "
		    "bastionctl user add NAME --uid %lld",
		    (long long)uid, (long long)uid);
	return r;
}

/* Who asks, as the store has it now; not as it was when the connection began. */
static enum words_exit load_actor(struct call *k)
{
	char line[LINE_SHORT];
	enum way_refusal no = 0;
	int r;

	k->name = "root";
	if (k->actor->root)
		return WORDS_OK;
	if ((r = store_user(k->s, k->actor->user_id, &k->me)) < 0)
		return broken(k);
	k->name = k->me.name;
	if (r == 0)
		return refuse(k, WORDS_DENIED, NULL, "This user is not known any more.");
	if (!k->actor->local)
		no = access_user(&k->me, k->actor->source, k->now, line, sizeof(line));
	else if (k->me.state != USER_ACTIVE || k->now >= k->me.until)
		no = WAY_LOCKED,
		snprintf(line, sizeof(line), "%s is locked, or has ended.", k->me.name);
	return no == 0 ? WORDS_OK : refuse(k, WORDS_DENIED, NULL, "%s", line);
}

static enum words_exit permit(struct call *k, const struct word *w)
{
	const char *user = arg_text(k, "user");

	if (k->actor->root && (w->who & R) != 0)
		return WORDS_OK;
	if (!k->actor->root &&
	    ((w->who & U) != 0 || ((w->who & A) != 0 && k->me.admin) ||
		((w->who & S) != 0 && k->me.auditor) ||
		((w->who & SELF) != 0 && (user == NULL || strcmp(user, k->me.name) == 0))))
		return WORDS_OK;
	if (k->actor->root)
		return refuse(k, WORDS_DENIED,
		    "Do it as yourself: with your own account, or by ssh.",
		    "root is no person here: '%s' is for users.", w->path);
	return refuse(k, WORDS_DENIED, "An administrator can do it.", "'%s' is not for you.",
	    w->path);
}

enum words_exit spend(struct call *k, unsigned n)
{
	if (is_admin(k) || refusals_spend(&k->c->writes, k->me.id, n, k->now))
		return WORDS_OK;
	return refuse(k, WORDS_REFUSED, "Wait some seconds for each, or ask for less.",
	    "That is more than one user may have written: %d at once, then one in %d seconds.", WRITES_BURST, REFUSALS_EVERY);
}

/* The handler in a transaction of its own: undone when it refuses. */
static enum words_exit attempt(struct call *k, const struct word *w)
{
	enum words_exit r;

	if (store_begin(k->s) < 0)
		return broken(k);
	r = w->fn(k);
	if (r != WORDS_OK && !(k->charged && r == WORDS_REFUSED))
		store_rollback(k->s);
	else if (store_commit(k->s) < 0)
		r = broken(k);
	return r;
}

int64_t control_now(struct control *c)
{
	return c->now != NULL ? c->now(c->arg) : clock_wall();
}

static int64_t refused_id(const struct actor *a)
{
	return a->root ? REFUSALS_ROOT : a->user_id;
}

/* A refusal is an event, unless there were too many; the word's own changes are gone by then. */
static int note_refusal(struct call *k)
{
	const char *error = json_string_value(json_object_get(k->reply, "error"));

	if (!refusals_take(&k->c->refusals, refused_id(k->actor), k->now))
		return 0;
	json_object_del(k->args, "code1"); /* codes are no business of the record */
	json_object_del(k->args, "code2");
	json_object_del(k->args, "code");
	return event_writef(k->s, k->now, EVENT_WORD_REFUSED, k->name, arg_text(k, "user"),
	    "{s:s,s:s,s:O}", "word", k->word->path, "error", error != NULL ? error : "", "args",
	    k->args);
}

/* 0, or -1 without memory; a list that is too long is refused instead. */
static int put_reply(struct call *k, struct buf *out)
{
	char *text = k->reply != NULL ? json_dumps(k->reply, JSON_COMPACT) : NULL;
	int r = -1;

	if (text != NULL && strlen(text) > CONTROL_REPLY_MAX) {
		free(text);
		refuse(k, WORDS_REFUSED, "Ask for fewer with --limit, and for more with --after.",
		    "The list is too long.");
		text = k->reply != NULL ? json_dumps(k->reply, JSON_COMPACT) : NULL;
	}
	if (text != NULL) {
		r = buf_put(out, text, strlen(text));
		explicit_bzero(text, strlen(text)); /* it may hold a secret */
	}
	free(text);
	return r;
}

/* The reply is written before the commit, so that memory that is short undoes the change and not
 * only the answer. */
static enum words_exit run(struct call *k, const struct word *w, struct buf *out)
{
	size_t mark = out->len;
	enum words_exit r;

	if (store_begin(k->s) < 0)
		return broken(k);
	if ((r = load_actor(k)) == WORDS_OK && (r = permit(k, w)) == WORDS_OK && ((w->who & W) == 0 || (r = spend(k, 1)) == WORDS_OK))
		r = attempt(k, w);
	if (r == WORDS_BROKEN || (r != WORDS_OK && note_refusal(k) < 0) || put_reply(k, out) < 0) {
		store_rollback(k->s);
		r = broken(k);
	} else if (store_commit(k->s) < 0) {
		r = broken(k);
	} else {
		return r;
	}
	out->len = mark;
	out->bad = false;
	return r;
}

static enum words_exit parse(struct call *k, const void *request, size_t len, const struct word **w)
{
	json_error_t at;
	const char *path;
	char shown[160];

	*w = NULL;
	if (len > CONTROL_REQUEST_MAX ||
	    (k->request = json_loadb(request, len, JSON_REJECT_DUPLICATES, &at)) == NULL ||
	    !json_is_object(k->request))
		return refuse(k, WORDS_USAGE, NULL,
		    "The request is no JSON object of at most %d bytes.", CONTROL_REQUEST_MAX);
	if ((path = json_string_value(json_object_get(k->request, "word"))) == NULL)
		return refuse(k, WORDS_USAGE, NULL, "The request names no word.");
	k->args = json_object_get(k->request, "args");
	if (json_object_size(k->request) != 1U + (k->args != NULL))
		return refuse(k, WORDS_USAGE, NULL,
		    "The request has members besides word and args.");
	if (k->args == NULL && json_object_set_new(k->request, "args", k->args = json_object()) < 0)
		return broken(k);
	if (!json_is_object(k->args))
		return refuse(k, WORDS_USAGE, NULL, "args is no object.");
	for (size_t i = 0; i < WORDS; i++)
		if (strcmp(words[i].path, path) == 0)
			*w = &words[i];
	k->word = words_find(path);
	if (*w != NULL && k->word != NULL)
		return args_check(k);
	esc_quoted(shown, sizeof(shown), path, strlen(path));
	return refuse(k, WORDS_USAGE, "Look at: help", "There is no word %s.", shown);
}

/* Not even read: whoever asks without end for what is refused gets no more of this process's time. */
static enum words_exit turn_away(struct call *k)
{
	refusals_count(&k->c->refusals, refused_id(k->actor), k->now);
	return refuse(k, WORDS_REFUSED, "Wait some seconds, and look at what was said before.",
	    "Too many of your words were refused: for a while one in %d seconds is looked at.", REFUSALS_EVERY);
}

bool control_over(struct control *c, const struct actor *a)
{
	return !a->root && refusals_over(&c->refusals, a->user_id, control_now(c));
}

bool control_notes(struct control *c, int64_t user_id)
{
	return refusals_take(&c->refusals, user_id, control_now(c));
}

bool control_notes_login(struct control *c, int64_t user_id)
{
	return refusals_take(&c->refusals, REFUSALS_LOGINS(user_id), control_now(c));
}

int control_handle(struct control *c, const struct actor *a, const void *request, size_t len,
    struct buf *out)
{
	static const char none[] = "{\"ok\":false,\"code\":\"broken\",\"error\":\"The bastion has "
				   "no memory. Nothing was changed.\"}";
	struct call k = { .c = c,
		.s = c->store,
		.actor = a,
		.now = control_now(c) };
	const struct word *w;
	size_t mark = out->len;
	enum words_exit code;
	int r = 0;

	if (control_over(c, a)) {
		code = turn_away(&k);
		r = 1;
	} else if ((code = parse(&k, request, len, &w)) == WORDS_OK) {
		code = run(&k, w, out);
	} else {
		refusals_take(&c->refusals, refused_id(a), k.now);
	}
	if (out->len == mark && put_reply(&k, out) < 0) {
		out->bad = false;
		out->len = mark;
		r = buf_put(out, none, sizeof(none) - 1) != 0 ? -1 : r;
	}
	c->wait_for = code == WORDS_OK ? k.wait_for : 0;
	c->look_for = code == WORDS_OK ? k.look_for : 0;
	memcpy(c->look_login, k.look_login, sizeof(c->look_login));
	if (k.watch != 0)
		c->watch_settle(c->arg, k.watch, code == WORDS_OK);
	if (code == WORDS_OK && k.unblock != NULL && c->unblock != NULL)
		c->unblock(c->arg, k.unblock, true);
	for (size_t i = 0; code == WORDS_OK && i < k.neffects; i++)
		c->end(c->arg, k.effects[i].what, k.effects[i].id, k.effects[i].line);
	free(k.effects);
	json_decref(k.request);
	json_decref(k.reply);
	return r;
}

bool control_may(struct control *c, const struct actor *a, const char *word, char *line,
    size_t size)
{
	struct call k = { .c = c,
		.s = c->store,
		.actor = a,
		.now = c->now != NULL ? c->now(c->arg) : clock_wall() };
	const struct word *w = words;
	bool may;

	while (w < words + WORDS - 1 && strcmp(w->path, word) != 0)
		w++;
	may = load_actor(&k) == WORDS_OK && permit(&k, w) == WORDS_OK;
	if (!may) {
		const char *error = json_string_value(json_object_get(k.reply, "error"));

		snprintf(line, size, "%s", error != NULL ? error : "The right to it has ended.");
	}
	json_decref(k.reply);
	return may;
}

/* --- the answer to WAY_ASK --- */

/* Loads what the decision needs. 1; 0: there is no such host; -1. The arrays are the caller's to free. */
static int load_ask(struct control *c, int64_t user_id, const char *host, const char *login,
    struct access_ask *q, struct user *u, struct host *h)
{
	struct access_role *roles = NULL;
	struct ticket *t = calloc(ACCESS_TICKETS, sizeof(*t));
	int nroles, found, nt = 0;

	q->tickets = t;
	if (t == NULL || store_user(c->store, user_id, u) != 1 ||
	    (nroles = store_user_roles(c->store, user_id, &roles)) < 0)
		return -1;
	q->roles = roles;
	q->nroles = (size_t)nroles;
	found = store_host_by_name(c->store, host, h);
	if (found == 1 && q->only != 0)
		nt = store_ticket(c->store, q->only, t);
	else if (found == 1)
		nt = store_tickets(c->store, user_id, h->id, access_login(h, u, login), q->now, t, ACCESS_TICKETS);
	q->ntickets = nt > 0 ? (size_t)nt : 0;
	q->host = found == 1 ? h : NULL;
	return nt < 0 ? -1 : found;
}

static void decide_way(struct control *c, int64_t user_id, struct access_ask *q, struct user *u,
    struct access_answer *a, struct host *h)
{
	*a = (struct access_answer){ .refusal = WAY_BROKEN };
	memset(h, 0, sizeof(*h));
	q->user = u;
	q->now = control_now(c);
	q->bastion = c->name;
	if (load_ask(c, user_id, q->host_name, q->login, q, u, h) >= 0) {
		access_decide(q, a);
	} else {
		log_error("way of user %lld: %s", (long long)user_id,
		    q->tickets == NULL ? "no memory" : store_error(c->store));
		snprintf(a->line, sizeof(a->line),
		    "The bastion cannot look up your grants now. Try again, or tell its "
		    "administrators.");
	}
	free((void *)(uintptr_t)q->roles);
	free((void *)(uintptr_t)q->tickets);
}

void control_way(struct control *c, int64_t user_id, const char *source, const char *host,
    const char *login, const struct access_use *use, struct access_answer *a, struct host *h)
{
	control_way_more(c, user_id, source, host, login, use, 0, NULL, a, h);
}

void control_way_more(struct control *c, int64_t user_id, const char *source, const char *host, const char *login,
    const struct access_use *use, int64_t only, const struct access_more *more, struct access_answer *a, struct host *h)
{
	struct access_ask q = { .source = source, .host_name = host, .login = login, .only = only, .more = more };
	struct user u;

	if (use != NULL)
		q.use = *use;
	decide_way(c, user_id, &q, &u, a, h);
}

void control_way_again(struct control *c, int64_t user_id, const char *source, const char *host,
    const char *login, int64_t ticket, struct access_answer *a)
{
	struct host h;

	control_way_more(c, user_id, source, host, login, NULL, ticket, NULL, a, &h);
}
