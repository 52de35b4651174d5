/*
 * control_explain.c - explain: which rule decides over a user at a place, what is missing and what to do next; or, with a time, how
 * it was then. Policy role; see control_word.h.
 *
 * The decision is access_decide() itself, over the rows of now or of then (store_past.h): it cannot say one thing and do another.
 */
#include "control_word.h"

#include "access_login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "store_past.h"

#define EVERYWHERE "0.0.0.0"	/* where from is not known: networks are told, and do not decide */
#define ANYWHERE "0.0.0.0/0"
#define USERS_AT_ONCE 200	/* looked at in one answer about everybody */

struct world {
	struct call *k;
	int64_t at;
	bool past;
	char login[LOGIN_MAX + 1], host_name[HOST_NAME_MAX_LEN + 1];
	const char *source;
	int found;			/* the host */
	struct host host;
	struct user user;
	struct access_role *roles;
	int nroles;
	struct ticket tickets[ACCESS_TICKETS];
	int ntickets;
};

/* What belongs to this user, as of then. 1, 0: no such user then; -1. */
static int load(struct world *w, int64_t user_id)
{
	struct store *s = w->k->s;
	int r = w->past ? store_past_user(s, user_id, w->at, &w->user) : store_user(s, user_id, &w->user);

	free(w->roles);
	w->roles = NULL;
	w->ntickets = 0;
	if (r != 1)
		return r;
	w->nroles = w->past ? store_past_roles(s, user_id, w->at, &w->roles) : store_user_roles(s, user_id, &w->roles);
	if (w->found == 1) {
		const char *login = access_login(&w->host, &w->user, w->login);

		w->ntickets = w->past ? store_past_tickets(s, user_id, w->host.id, login, w->at, w->tickets, ACCESS_TICKETS) :
					store_tickets(s, user_id, w->host.id, login, w->at, w->tickets, ACCESS_TICKETS);
	}
	return w->nroles < 0 || w->ntickets < 0 ? -1 : 1;
}

/* Nobody said where from: what only depends on that does not decide. */
static void forget_networks(struct world *w)
{
	if (strcmp(w->source, EVERYWHERE) != 0)
		return;
	snprintf(w->user.networks, sizeof(w->user.networks), "%s", w->user.networks[0] != '\0' ? ANYWHERE : "");
	for (int i = 0; i < w->ntickets; i++)
		w->tickets[i].role_networks[0] = '\0';
}

/* --- one role, in a line --- */

static void allow_line(const struct world *w, const struct access_role *r, char *out, size_t size)
{
	const struct request_ask ask = { .user = &w->user, .source = "", .host = &w->host, .host_name = w->host_name,
		.login = w->login, .forwards = "", .commands = "", .ref = "x", .reason = "x", .now = w->at };
	char span[32];

	if (!access_covers(r, &w->host, NULL))
		snprintf(out, size, "role %s: does not cover this host", r->name);
	else if (access_role_says_no(&ask, r, out, size) == NULL)
		snprintf(out, size, "role %s: may ask; %u approval%s, at most %s%s%s%s%s%s%s", r->name, r->approvals,
		    r->approvals == 1 ? "" : "s", duration_format(span, sizeof(span), r->max),
		    r->ticket ? ", with the number of a ticket" : "", r->no_reason ? "" : ", with a reason",
		    r->hours[0] != '\0' ? ", at: " : "", r->hours, r->networks[0] != '\0' ? ", from: " : "", r->networks);
}

static void deny_line(const struct world *w, const struct access_role *r, char *out, size_t size)
{
	char rights[200];
	int64_t change;
	bool covers = access_denies(r, &w->host, &w->user, w->login);
	int now = access_hours_in(r->hours, w->at, &change);

	access_rights_text(rights, sizeof(rights), r->caps, "", "", ", ");
	snprintf(out, size, "rule %s: %s %s%s%s%s%s", r->name,
	    !covers ? "denies other places than this" : now < 0 && w->past ? "may have denied, its clock of then is not known" :
	    now != 0 ? "denies" : "does not deny at this time",
	    r->caps == CAP_ALL ? "" : rights, r->hours[0] != '\0' ? ", at: " : "", r->hours,
	    r->networks[0] != '\0' ? ", from: " : "", r->networks);
}

/* Whose answer is "no host for you here" must not learn from the lines below it that there is one. */
static bool sees_host(const struct world *w)
{
	bool all = is_admin(w->k) || w->k->me.auditor || w->ntickets > 0;

	for (int i = 0; w->found == 1 && !all && i < w->nroles; i++)
		all = access_allows(&w->roles[i], &w->host, NULL);
	return w->found == 1 && all;
}

static json_t *rule_lines(const struct world *w)
{
	json_t *lines = json_array();
	char line[2800];

	for (int i = 0; sees_host(w) && i < w->nroles; i++) {
		const struct access_role *r = &w->roles[i];

		line[0] = '\0';
		if (r->kind == RULE_ALLOW)
			allow_line(w, r, line, sizeof(line));
		else if (r->kind == RULE_DENY)
			deny_line(w, r, line, sizeof(line));
		if (line[0] != '\0')
			json_array_append_new(lines, json_string(line));
	}
	return lines;
}

/* --- the answer --- */

static const char *role_name_of(const struct world *w, int64_t id)
{
	for (int i = 0; i < w->nroles; i++)
		if (w->roles[i].id == id)
			return w->roles[i].name;
	return NULL;
}

/* Of the past there is nothing to be done next. */
static void cut_advice(struct world *w, char *line)
{
	static const char *const advice[] = { " No role of yours reaches it now", " Ask", " Look: ssh", " Yours: ssh", " Why: ssh", " What you may ask" };
	char *at;

	for (size_t i = 0; w->past && i < sizeof(advice) / sizeof(advice[0]); i++)
		if ((at = strstr(line, advice[i])) != NULL)
			*at = '\0';
}

/*
 * The rule whose hours decide here, on a clock of which nobody knows any more what it showed then (access_zone.h); NULL: none. A decision
 * of now says no in that case; of the past there is none to be told.
 */
static const char *unknown_clock(const struct world *w)
{
	int64_t change;

	for (int i = 0; w->past && i < w->nroles; i++)
		if (access_denies(&w->roles[i], &w->host, &w->user, w->login) &&
		    access_hours_in(w->roles[i].hours, w->at, &change) < 0)
			return w->roles[i].name;
	for (int i = 0; w->past && i < w->ntickets; i++)
		if (ticket_gives_access(w->tickets[i].state) && !w->tickets[i].glass &&
		    access_hours_in(w->tickets[i].role_hours, w->at, &change) < 0)
			return role_name_of(w, w->tickets[i].role_id) != NULL ? role_name_of(w, w->tickets[i].role_id) : "of the grant";
	return NULL;
}

/* A row; NULL: the store failed. */
static json_t *answer(struct world *w)
{
	const struct access_ask q = { .user = &w->user, .source = w->source, .host_name = w->host_name, .login = w->login,
		.host = w->found == 1 ? &w->host : NULL, .now = w->at, .roles = w->roles, .nroles = (size_t)w->nroles,
		.tickets = w->tickets, .ntickets = (size_t)w->ntickets, .bastion = w->k->c->name };
	struct access_answer a;
	char place[LOGIN_MAX + HOST_NAME_MAX_LEN + 2];
	const char *dark;
	json_t *row, *by;

	forget_networks(w);
	access_decide(&q, &a);
	cut_advice(w, a.line);
	snprintf(place, sizeof(place), "%s@%s", w->login, w->host_name);
	row = json_pack("{s:s, s:s, s:s, s:I, s:b, s:o}", "user", w->user.name, "person", w->user.person, "place", place,
	    "at", (json_int_t)w->at, "allowed", a.refusal == 0, "rules", rule_lines(w));
	if (row == NULL)
		return NULL;
	if (a.refusal != WAY_NO_HOST && a.refusal != WAY_LOCKED && (dark = unknown_clock(w)) != NULL) {
		json_object_del(row, "allowed");
		json_object_set_new(row, "says", json_sprintf("Not known: what the clock of the hours of rule %s showed then.", dark));
		return row;
	}
	if (role_name_of(w, a.role) != NULL)
		json_object_set_new(row, "rule", json_string(role_name_of(w, a.role)));
	if (a.refusal != 0) {
		json_object_set_new(row, "says", json_string(a.line));
		return row;
	}
	if ((by = store_past_approvers(w->k->s, a.ticket)) == NULL) {
		json_decref(row);
		return NULL;
	}
	json_object_set_new(row, "grant", json_integer(a.ticket));
	json_object_set_new(row, "approvers", by);
	if (a.until != FOREVER)
		json_object_set_new(row, "until", json_integer(a.until));
	return row;
}

/* Adds what is to be said of this user; who has no grant there and no role that lets ask is passed over. 0, or -1. */
static int add_user(struct world *w, int64_t id, json_t *rows)
{
	json_t *row = NULL;
	bool mine;
	int r = load(w, id);

	if (r != 1 || (row = answer(w)) == NULL)
		return r == 1 ? -1 : r;
	mine = !json_is_false(json_object_get(row, "allowed"));
	for (int i = 0; i < w->nroles && !mine; i++)
		mine = access_allows(&w->roles[i], &w->host, access_login(&w->host, &w->user, w->login));
	r = mine ? json_array_append(rows, row) : 0;
	json_decref(row);
	return r;
}

/* All of them, a page at a time: each user costs some statements, and everybody waits for this process. */
static enum words_exit everybody(struct world *w)
{
	struct past_walk walk = { .host_id = w->host.id, .at = w->at, .login = w->login, .after = arg_int(w->k, "after", 0) };
	const size_t limit = (size_t)arg_int(w->k, "limit", CONTROL_LIMIT_MAX);
	json_t *rows = json_array();
	int64_t id = 0, next = 0;
	int more = w->found == 1;
	enum words_exit r;

	for (int looked = 0; more == 1 && looked < USERS_AT_ONCE && json_array_size(rows) < limit; looked++)
		if ((more = store_past_next(w->k->s, &walk, &id)) == 1 && add_user(w, id, rows) < 0)
			more = -1;
	next = id;
	if (more == 1)
		more = store_past_next(w->k->s, &walk, &id);
	if (more < 0) {
		json_decref(rows);
		return broken(w->k);
	}
	if ((r = say_rows(w->k, "explain", rows)) == WORDS_OK && more == 1 && next > 0)
		say_more(w->k, "next", json_integer(next));
	return r;
}

static enum words_exit one(struct world *w, int64_t user_id)
{
	int r = load(w, user_id);
	json_t *row = NULL, *rows;

	if (r == 0)
		return refuse(w->k, WORDS_NOT_FOUND, NULL, "There was no such user then.");
	if (r < 0 || (row = answer(w)) == NULL)
		return broken(w->k);
	rows = json_pack("[o]", row);
	return say_row(w->k, "explain", rows, "");
}

/* Whom the question is about; of the past also somebody who has left since. */
static enum words_exit asked_about(const struct world *w, struct user *u)
{
	const char *name = arg_text(w->k, "user");
	int r;

	if (!w->past)
		return load_user(w->k, u);
	if ((r = store_user_by_name(w->k->s, name, u)) < 0)
		return broken(w->k);
	return r == 1 ? WORDS_OK : refuse(w->k, WORDS_NOT_FOUND, NULL, "There is no user %s, and was none.", name);
}

enum words_exit word_explain(struct call *k)
{
	const char *place = arg_text(k, "place"), *name = arg_text(k, "user"), *from = arg_text(k, "from");
	struct world *w = calloc(1, sizeof(*w));
	const bool all = name == NULL && (is_admin(k) || k->me.auditor);
	struct user u = { .id = 0 };
	enum words_exit r = WORDS_OK;

	if (w == NULL)
		return broken(k);
	*w = (struct world){ .k = k, .at = arg_int(k, "at", k->now), .past = arg_int(k, "at", 0) != 0 };
	if (from != NULL && (strchr(from, '/') != NULL || !access_network_ok(from))) {
		free(w);
		return refuse(k, WORDS_USAGE, NULL, "from: \"%s\" is no IPv4 or IPv6 address.", from);
	}
	w->source = from != NULL ? from : !k->actor->local && (name == NULL || strcmp(name, k->me.name) == 0) ?
	    k->actor->source : EVERYWHERE;
	snprintf(w->login, sizeof(w->login), "%.*s", (int)strcspn(place, "@"), place);
	snprintf(w->host_name, sizeof(w->host_name), "%s", strchr(place, '@') + 1);
	w->found = w->past ? store_past_host(k->s, w->host_name, w->at, &w->host) :
			     store_host_by_name(k->s, w->host_name, &w->host);
	if (w->found < 0)
		r = broken(k);
	else if (w->at > k->now)
		r = refuse(k, WORDS_USAGE, NULL, "at lies in the future: nobody knows yet.");
	else if (!all && (json_object_get(k->args, "limit") != NULL || json_object_get(k->args, "after") != NULL))
		r = refuse(k, WORDS_USAGE, NULL, "limit and after are for the answer about everybody: of one user there is one row.");
	else if (name != NULL && (r = asked_about(w, &u)) == WORDS_OK)
		r = one(w, u.id);
	else if (name == NULL)
		r = all ? everybody(w) : one(w, k->me.id);
	free(w->roles);
	free(w);
	return r;
}
