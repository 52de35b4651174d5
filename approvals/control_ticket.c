/*
 * control_ticket.c - request, approve, deny, cancel, revoke, and their lists. Policy role; see
 * control_word.h, and access.h for the states that these words move a ticket through.
 */
#include "control_word.h"

#include "access_login.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

/* Administrators and auditors see all, others what is theirs or theirs to decide. */
static int64_t sees(const struct call *k)
{
	return is_admin(k) || k->me.auditor ? 0 : k->me.id;
}

static enum words_exit tickets(struct call *k, const char *kind, enum store_list which)
{
	return say_list(k, kind, which,
	    (struct list_ask){ .user_id = sees(k),
		.after = arg_int(k, "after", 0),
		.all = arg_flag(k, "all"),
		.limit = (int)arg_int(k, "limit", CONTROL_LIMIT) });
}

enum words_exit word_requests(struct call *k)
{
	return tickets(k, "requests", LIST_REQUESTS);
}

enum words_exit word_grants(struct call *k)
{
	return tickets(k, "grants", LIST_GRANTS);
}

/* "dba@web1" of a ticket, also of a host that is gone. */
static const char *place(struct call *k, const struct ticket *t, char *out, size_t size)
{
	struct host h;

	snprintf(out, size, "%s@%s", t->login,
	    store_host(k->s, t->host_id, &h) == 1 ? h.name : "(removed host)");
	return out;
}

/* --- request --- */

/* What is asked for, beside host and rights. */
struct filing {
	const char *login, *reason, *ref;
	uint32_t seconds;
	bool glass;
	int64_t from;		/* not before; 0: at once */
	uint32_t logins;	/* 0: any number */
	int64_t batch, extends;	/* 0: none. batch: set by the first that is filed */
};

/* Whom the request is for: oneself, or with `user` a service account. */
static enum words_exit for_whom(struct call *k, struct user *u)
{
	enum words_exit r;

	*u = k->me;
	if (arg_text(k, "user") == NULL ||
	    (!k->actor->root && strcmp(arg_text(k, "user"), k->me.name) == 0))
		return !k->actor->root ?
		    WORDS_OK :
		    refuse(k, WORDS_DENIED,
			"Ask as yourself; or for a service account, with --user.",
			"root is no person here, and gets no access.");
	if (!is_admin(k))
		return refuse(k, WORDS_DENIED, "Ask in your own name, without --user.",
		    "Only administrators ask for others.");
	if ((r = load_user(k, u)) != WORDS_OK)
		return r;
	if (u->kind != USER_SERVICE)
		return refuse(k, WORDS_REFUSED, NULL,
		    "%s is a person, and asks in person: --user is for service accounts.", u->name);
	return WORDS_OK;
}

/* Refuses a second open request for the same. */
static enum words_exit no_twin(struct call *k, const struct user *u, const struct host *h,
    const char *login)
{
	char pre[128];
	int64_t id;
	int r = store_ticket_twin(k->s, u->id, h->id, login, &id);

	if (r != 1)
		return r < 0 ? broken(k) : WORDS_OK;
	prefix(k, pre, sizeof(pre));
	return refuse(k, WORDS_REFUSED, "Wait for it, or take it back with the word cancel.", "Request %lld for %s@%s waits already. Look: %srequests",
	    (long long)id, login, h->name, pre);
}

/* "bob, carol, any of leads": who may decide under the role. */
static void approvers(struct call *k, int64_t role_id, char *out, size_t size)
{
	json_t *rows = store_list(k->s, LIST_ROLES,
	    &(struct list_ask){ .id = role_id, .limit = 1, .now = k->now });
	json_t *names = json_object_get(json_array_get(rows, 0), "approvers");
	json_t *groups = json_object_get(json_array_get(rows, 0), "approver_roles");
	size_t n = 0;

	snprintf(out, size, "nobody yet");
	for (size_t i = 0; i < json_array_size(names) && i < 8 && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%s", i > 0 ? ", " : "",
		    json_string_value(json_array_get(names, i)));
	for (size_t i = 0; i < json_array_size(groups) && i < 8 && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, "%sany of %s", n > 0 ? ", " : "",
		    json_string_value(json_array_get(groups, i)));
	json_decref(rows);
}

const char *ticket_times(const struct call *k, const struct ticket *t, char *out, size_t size)
{
	char from[32], until[32];

	clock_format(until, sizeof(until), t->end_at);
	if (t->start_at > k->now)
		snprintf(out, size, "from %s until %s", clock_format(from, sizeof(from), t->start_at), until);
	else
		snprintf(out, size, "until %s", until);
	return out;
}

/* All verdicts are there: the grant begins. */
static enum words_exit grant(struct call *k, struct ticket *t, const struct user *u)
{
	char where[128], when[80];

	if (store_ticket_move(k->s, t, ACT_APPROVE, NULL, NULL, k->now) != 1 ||
	    event_writef(k->s, k->now, EVENT_GRANT, k->name, u->name, "{s:I,s:I}", "request",
		(json_int_t)t->id, "until", (json_int_t)t->end_at) < 0)
		return broken(k);
	if (say(k, "Grant %lld: %s may log in as %s %s.", (long long)t->id, u->name, place(k, t, where, sizeof(where)),
		ticket_times(k, t, when, sizeof(when))) != WORDS_OK)
		return WORDS_BROKEN;
	say_more(k, "id", json_integer(t->id));
	return WORDS_OK;
}

/* Says what was filed. */
static enum words_exit say_filed(struct call *k, const struct ticket *t, const struct host *h)
{
	char who[320], span[32], rest[64] = "";

	approvers(k, t->role_id, who, sizeof(who));
	if (t->batch != 0)
		snprintf(rest, sizeof(rest), ", with request %lld", (long long)t->batch);
	if (say(k,
		"Request %lld: %s@%s for %s%s. It needs %u approval%s, from: %s. They say: ssh "
		"NAME@%s approve %lld",
		(long long)t->id, t->login, h->name, duration_format(span, sizeof(span), t->duration), rest,
		t->needed, t->needed == 1 ? "" : "s", who, k->c->name, (long long)(t->batch != 0 ? t->batch : t->id)) != WORDS_OK)
		return WORDS_BROKEN;
	say_more(k, "id", json_integer(t->id));
	if (arg_flag(k, "wait"))
		k->wait_for = t->id;
	return WORDS_OK;
}

static enum words_exit file_request(struct call *k, const struct user *u, const struct host *h,
    const struct access_role *role, const struct rights *want, struct filing *f)
{
	const int64_t lapse = k->now + CONTROL_PENDING_TTL;
	struct ticket t = {
		.user_id = u->id,
		.by_id = k->me.id,
		.host_id = h->id,
		.role_id = role->id,
		.caps = want->caps != 0 ? want->caps : role->caps,
		.duration = f->seconds,
		.needed = role->approvals,
		.sign = role->sign,
		.glass = f->glass,
		.not_before = f->from,
		.logins = f->logins,
		.batch = f->batch,
		.extends = f->extends,
		.asked_at = k->now,
		.lapse_at = f->from > lapse ? f->from : lapse,
	};

	snprintf(t.login, sizeof(t.login), "%s", access_login(h, u, f->login));
	snprintf(t.reason, sizeof(t.reason), "%s", f->reason);
	memcpy(t.forwards, want->caps != 0 ? want->forwards : role->forwards, sizeof(t.forwards));
	memcpy(t.commands, want->caps != 0 ? want->commands : role->commands, sizeof(t.commands));
	snprintf(t.ref, sizeof(t.ref), "%s", f->ref);
	if (store_ticket_add(k->s, &t) < 0)
		return errno == ENOSPC ? refuse(k, WORDS_REFUSED, NULL, "%s.", store_error(k->s)) :
					 broken(k);
	if (f->batch == 0)
		f->batch = t.id;
	if (event_writef(k->s, k->now, EVENT_REQUEST, k->name, u->name,
		"{s:I,s:s,s:s,s:I,s:s,s:s,s:s,s:I,s:I,s:i,s:b}", "request", (json_int_t)t.id, "host", h->name,
		"login", t.login, "for", (json_int_t)t.duration, "role", role->name, "reason",
		t.reason, "ticket", t.ref, "extends", (json_int_t)t.extends, "from", (json_int_t)t.not_before, "logins", (int)t.logins,
		"break_glass", t.glass) < 0 ||
	    (t.glass && glass_event(k, &t, u, h, role->name) < 0))
		return broken(k);
	return t.needed == 0 ? grant(k, &t, u) : say_filed(k, &t, h);
}

/* One host: the role that admits it, and the request. */
static enum words_exit ask_one(struct call *k, const struct user *u, const char *host, const struct rights *want,
    struct filing *f)
{
	struct access_role *roles = NULL;
	const struct access_role *role;
	char line[1024], hint[160], pre[128];
	struct host h;
	enum words_exit r;
	bool other = false; /* a role admits it, but without break-glass */
	int n, found;

	if ((found = store_host_by_name(k->s, host, &h)) < 0 || (n = store_user_roles(k->s, u->id, &roles)) < 0)
		return broken(k);
	for (int i = 0; i < n && f->glass && found == 1; i++)
		other |= roles[i].kind == RULE_ALLOW && !roles[i].glass && access_allows(&roles[i], &h, access_login(&h, u, f->login));
	const struct request_ask q = {
		/* for a service account, its own address counts, at its login */
		.user = u,
		.source = u->id == k->me.id && !k->actor->local ? k->actor->source : "",
		.host = found == 1 ? &h : NULL,
		.host_name = host,
		.login = f->login,
		.caps = want->caps,
		.forwards = want->forwards,
		.commands = want->commands,
		.duration = f->seconds,
		.ref = f->ref,
		.reason = f->reason,
		.now = k->now,
		.roles = roles,
		.nroles = f->glass ? glass_roles(roles, (size_t)n) : (size_t)n,
		.bastion = k->c->name,
	};

	if ((role = access_request(&q, line, sizeof(line))) == NULL) {
		snprintf(hint, sizeof(hint), "What you may ask for: %shosts", prefix(k, pre, sizeof(pre)));
		if (other && strncmp(line, "No host", 7) == 0)
			r = refuse(k, WORDS_REFUSED, "Ask without --break-glass.", "No role lets %s break the glass for %s@%s.", u->name, f->login, host);
		else
			r = refuse(k, strncmp(line, "No host", 7) == 0 ? WORDS_NOT_FOUND : WORDS_REFUSED, hint, "%s.", line);
	} else if (role->sign && (f->batch != 0 || json_object_get(k->args, "also") != NULL)) {
		r = refuse(k, WORDS_REFUSED, "Ask for each host by itself.", "Approvals of role %s are signed, one by one.", role->name);
	} else if ((f->glass || (r = no_twin(k, u, &h, access_login(&h, u, f->login))) == WORDS_OK) && (r = outside_open(k, f->ref)) == WORDS_OK) {
		r = file_request(k, u, &h, role, want, f);
	}
	free(roles);
	return r;
}

/* What of the arguments does not go together. */
static enum words_exit check_filing(struct call *k, const struct user *u, const struct filing *f)
{
	char text[32];

	if (strlen(f->ref) > TICKET_REF_MAX)
		return refuse(k, WORDS_USAGE, NULL, "ticket: at most %d bytes.", TICKET_REF_MAX);
	if (f->glass && (k->actor->root || u->kind == USER_SERVICE))
		return refuse(k, WORDS_DENIED, NULL, "Break-glass is for persons.");
	if (f->glass && f->reason[0] == '\0')
		return refuse(k, WORDS_USAGE, "Say --reason \"...\".", "break-glass needs a reason.");
	if (f->glass && f->seconds > GLASS_MAX)
		return refuse(k, WORDS_USAGE, "Say --for 1h, or leave it out.", "break-glass is for an hour at most, not for %s.",
		    duration_format(text, sizeof(text), f->seconds));
	if (f->glass && (f->from != 0 || f->logins != 0))
		return refuse(k, WORDS_USAGE, "Leave out --from and --logins.", "break-glass begins at once, for any number of logins.");
	if (f->seconds == 0)
		return refuse(k, WORDS_USAGE, "Say --for 2h.", "request needs --for: how long.");
	if (f->from != 0 && (f->from <= k->now || f->from > k->now + CONTROL_LATER_MAX))
		return refuse(k, WORDS_USAGE, NULL, "from: %s is no time to come, within 90 days.", clock_format(text, sizeof(text), f->from));
	if (f->logins == 0 && json_object_get(k->args, "logins") != NULL)
		return refuse(k, WORDS_USAGE, "Without --logins it is for any number.", "logins: 0 would let nobody in.");
	return WORDS_OK;
}

/* The hosts of one request: `host`, then each of `also`. */
static const char *named_host(struct call *k, size_t i)
{
	const json_t *also = json_object_get(k->args, "also");

	if (i == 0)
		return arg_text(k, "host");
	return json_string_value(json_is_string(also) && i == 1 ? also : json_array_get(also, i - 1));
}

/* Each host once, and all of them paid for: a request is as much work for each as one for it alone. */
static enum words_exit check_hosts(struct call *k, size_t *n)
{
	for (*n = 0; named_host(k, *n) != NULL; ++*n)
		for (size_t i = 0; i < *n; i++)
			if (strcasecmp(named_host(k, i), named_host(k, *n)) == 0)
				return refuse(k, WORDS_USAGE, NULL, "also: %s is named twice.", named_host(k, *n));
	return *n > 1 ? spend(k, (unsigned)*n - 1) : WORDS_OK;
}

enum words_exit word_request(struct call *k)
{
	const char *ref = arg_text(k, "ticket"), *reason = arg_text(k, "reason");
	const bool glass = arg_flag(k, "break_glass");
	struct filing f = { .login = arg_text(k, "login"), .reason = reason != NULL ? reason : "", .ref = ref != NULL ? ref : "",
		.seconds = (uint32_t)arg_int(k, "for", glass ? GLASS_MAX : 0), .glass = glass, .from = arg_int(k, "from", 0),
		.logins = (uint32_t)arg_int(k, "logins", 0) };
	struct user u;
	struct rights want;
	size_t n;
	enum words_exit r = for_whom(k, &u);

	if (r != WORDS_OK || (r = check_filing(k, &u, &f)) != WORDS_OK || (r = check_hosts(k, &n)) != WORDS_OK)
		return r;
	if (arg_rights(k, &want) < 0 || want.bare)
		return refuse(k, WORDS_USAGE, "Name it: --cap \"forward HOST:PORT\", --cap \"command TEXT\".",
		    "cap: a forward or command without its name, or too many of them.");
	/* all or none: a refusal undoes those before it */
	for (size_t i = 0; i < n && r == WORDS_OK; i++)
		r = ask_one(k, &u, named_host(k, i), &want, &f);
	return r;
}

enum words_exit word_extend(struct call *k)
{
	const char *reason = arg_text(k, "reason");
	struct filing f = { .seconds = (uint32_t)arg_int(k, "for", 0) };
	struct rights want = { .bare = false };
	struct ticket t;
	struct user u;
	struct host h;
	char when[80];
	int r = store_ticket(k->s, arg_int(k, "id", 0), &t);

	if (r < 0)
		return broken(k);
	/* who asked for a service account may have been an administrator then */
	if (r == 0 || k->actor->root || (t.user_id != k->me.id && (t.by_id != k->me.id || !is_admin(k))))
		return refuse(k, WORDS_NOT_FOUND, "Look at: grants", "There is no grant %lld of yours.", (long long)arg_int(k, "id", 0));
	if (!ticket_gives_access(t.state) || t.end_at <= k->now || t.glass)
		return refuse(k, WORDS_REFUSED, "Ask anew, with the word request.", "Grant %lld does not run any more%s.", (long long)t.id,
		    t.glass ? ", or was break-glass" : "");
	if (t.start_at > k->now)
		return refuse(k, WORDS_REFUSED, "Ask for another time, with the word request.", "Grant %lld has not begun: it holds %s.",
		    (long long)t.id, ticket_times(k, &t, when, sizeof(when)));
	if (store_user(k->s, t.user_id, &u) != 1 || store_host(k->s, t.host_id, &h) != 1)
		return broken(k);
	f.login = t.login;
	f.logins = t.logins;
	f.reason = reason != NULL ? reason : t.reason;
	f.ref = t.ref;
	f.extends = t.id;
	want.caps = t.caps;
	memcpy(want.forwards, t.forwards, sizeof(want.forwards));
	memcpy(want.commands, t.commands, sizeof(want.commands));
	return ask_one(k, &u, h.name, &want, &f);
}

/* --- decisions --- */

static enum words_exit no_such(struct call *k, const char *what)
{
	return refuse(k, WORDS_NOT_FOUND, "Look at: requests", "There is no request %lld %s.",
	    (long long)arg_int(k, "id", 0), what);
}

/* The ticket that `id` names, if this actor may decide it. */
static enum words_exit load_decidable(struct call *k, struct ticket *t)
{
	int r = store_ticket(k->s, arg_int(k, "id", 0), t), own = 0;

	if (r < 0 || (r == 1 && (own = store_ticket_own(k->s, t, k->me.person)) < 0))
		return broken(k);
	if (r == 1 && own == 1)
		return refuse(k, WORDS_DENIED, "Another person must decide it.",
		    "Nobody decides their own request.");
	if (r == 1 && k->me.kind == USER_HUMAN &&
	    (r = store_role_decides(k->s, t->role_id, k->me.id)) < 0)
		return broken(k);
	if (r != 1 || k->me.kind != USER_HUMAN)
		return no_such(k, "for you to decide");
	if (t->state != TICKET_PENDING)
		return refuse(k, WORDS_REFUSED, NULL, "Request %lld is %s already.",
		    (long long)t->id, ticket_state_name(t->state));
	if (t->lapse_at <= k->now)
		return refuse(k, WORDS_REFUSED, NULL, "Request %lld has expired.",
		    (long long)t->id);
	return WORDS_OK;
}

/* Counts the verdict; a person gives one, by whichever account. */
static enum words_exit decide(struct call *k, struct ticket *t, bool yes)
{
	const char *reason = arg_text(k, "reason");
	int n;

	if ((n = store_verdict(k->s, t, &k->me, yes, reason, k->now)) < 0)
		return broken(k);
	if (n == 0)
		return refuse(k, WORDS_REFUSED, "Another person must decide it.",
		    "You have decided request %lld already.", (long long)t->id);
	if (ticket_event(k, t, yes ? EVENT_APPROVE : EVENT_DENY, reason) < 0)
		return broken(k);
	return WORDS_OK;
}

/* The verdict is counted: is it the last one needed? */
static enum words_exit approved(struct call *k, struct ticket *t)
{
	struct user u;

	if (t->given < t->needed)
		return say(k, "Request %lld has %u of %u approvals.", (long long)t->id, t->given,
		    t->needed);
	return store_user(k->s, t->user_id, &u) == 1 ? grant(k, t, &u) : broken(k);
}

/* One decision for all that was asked for with one word: those of the batch that are still open. */
static enum words_exit approve_rest(struct call *k, const struct ticket *first, enum words_exit r)
{
	const int64_t batch = first->batch != 0 ? first->batch : first->id;
	int64_t id = 0;
	struct ticket t;
	int n = 1, more;

	while (r == WORDS_OK && (more = store_batch_next(k->s, batch, id, &id)) != 0) {
		if (more < 0 || store_ticket(k->s, id, &t) != 1)
			return broken(k);
		if (id == first->id || t.role_id != first->role_id || t.lapse_at <= k->now)
			continue; /* another role's is for who decides under that one */
		if ((more = store_verdict(k->s, &t, &k->me, true, arg_text(k, "reason"), k->now)) == 0)
			continue; /* decided by itself before */
		if (more < 0 || ticket_event(k, &t, EVENT_APPROVE, arg_text(k, "reason")) < 0)
			return broken(k);
		if ((r = approved(k, &t)) == WORDS_OK)
			n++;
	}
	if (r == WORDS_OK && n > 1)
		r = say(k, "%d requests, asked for together with %lld, have your approval.", n, (long long)batch);
	return r;
}

enum words_exit word_approve(struct call *k)
{
	const bool with = arg_text(k, "signature") != NULL;
	struct signature_row row;
	struct ticket t;
	enum words_exit r = load_decidable(k, &t);

	if (r == WORDS_OK && t.sign && !with)
		return consent_show(k, &t);
	if (r == WORDS_OK && with)
		r = consent_check(k, &t, &row);
	if (r == WORDS_OK)
		r = outside_open(k, t.ref);
	if (r != WORDS_OK || (r = decide(k, &t, true)) != WORDS_OK)
		return r;
	if (with && store_signature_add(k->s, t.id, k->me.person, &row) < 0)
		return broken(k);
	return approve_rest(k, &t, approved(k, &t));
}

enum words_exit word_deny(struct call *k)
{
	struct ticket t;
	enum words_exit r = load_decidable(k, &t);

	if (r != WORDS_OK || (r = decide(k, &t, false)) != WORDS_OK)
		return r;
	if (store_ticket_move(k->s, &t, ACT_DENY, k->name, arg_text(k, "reason"), k->now) != 1)
		return broken(k);
	return say(k, "Request %lld is denied.", (long long)t.id);
}

/* Ends a grant and what rests on it. */
static enum words_exit revoke(struct call *k, struct ticket *t)
{
	const char *reason = arg_text(k, "reason");
	char where[128], why[500];

	if (!ticket_gives_access(t->state))
		return refuse(k, WORDS_REFUSED,
		    t->state == TICKET_PENDING ? "Deny it, or cancel it." : NULL,
		    "Request %lld is %s: there is no grant to end.", (long long)t->id,
		    ticket_state_name(t->state));
	if (store_ticket_move(k->s, t, ACT_REVOKE, k->name, reason, k->now) != 1 ||
	    ticket_event(k, t, EVENT_GRANT_REVOKE, reason) < 0 ||
	    effect(k, END_GRANT, t->id, "Grant %lld for %s was revoked by %s%s.", (long long)t->id,
		place(k, t, where, sizeof(where)), k->name, because(reason, why, sizeof(why))) < 0)
		return broken(k);
	return say(k, "Grant %lld is revoked; what was open under it ends.", (long long)t->id);
}

/* The ticket that `id` names; *mine: asked by or for this actor. Others only with `role` true and
 * an approver's part. */
static enum words_exit load_touchable(struct call *k, struct ticket *t, bool role)
{
	int r = store_ticket(k->s, arg_int(k, "id", 0), t), part = 0;

	if (r == 1 && role && !is_admin(k))
		part = store_role_decides(k->s, t->role_id, k->me.id);
	if (r < 0 || part < 0)
		return broken(k);
	if (r == 1 && (is_admin(k) || part == 1 || t->user_id == k->me.id || t->by_id == k->me.id))
		return WORDS_OK;
	return no_such(k, "that you could end");
}

enum words_exit word_cancel(struct call *k)
{
	struct ticket t;
	enum words_exit r = load_touchable(k, &t, false);

	if (r != WORDS_OK)
		return r;
	if (t.state != TICKET_PENDING)
		return revoke(k, &t);
	if (store_ticket_move(k->s, &t, ACT_CANCEL, k->name, arg_text(k, "reason"), k->now) != 1 ||
	    ticket_event(k, &t, EVENT_CANCEL, arg_text(k, "reason")) < 0)
		return broken(k);
	return say(k, "Request %lld is cancelled.", (long long)t.id);
}

enum words_exit word_revoke(struct call *k)
{
	struct ticket t;
	enum words_exit r = load_touchable(k, &t, true);

	return r != WORDS_OK ? r : revoke(k, &t);
}
