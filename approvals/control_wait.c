/*
 * control_wait.c - `wait`, and `request --wait`: an answer that comes when the request is decided. Policy role; see control_word.h.
 *
 * The word is carried out at once; while the request is open its reply is not sent (control.wait_for), and the loop asks again when
 * something was decided (bastiond/policy_wait.c).
 */
#include "control_word.h"

#include <stdio.h>
#include <string.h>

#include "access_login.h"
#include "escape.h"

/* A grant that lets nobody in now, because it begins later or had its logins, is no answer to who waits for another. */
static int rank(const struct call *k, const struct ticket *t)
{
	return ticket_lets_in(t, k->now) ? 2 : t->state == TICKET_PENDING;
}

/* What `id`, or host and login, name, of this actor: what lets in before what waits. Without a name the last that waits. 1, 0, -1. */
static int find(struct call *k, struct ticket *t)
{
	const char *host = arg_text(k, "host"), *login = arg_text(k, "login");
	struct ticket one = { .id = 0 };
	struct host h;
	int r, found = 0;

	if (host == NULL && arg_int(k, "id", 0) != 0) {
		r = store_ticket(k->s, arg_int(k, "id", 0), t);
		return r == 1 && t->user_id != k->me.id && t->by_id != k->me.id ? 0 : r;
	}
	if (host != NULL && (r = store_host_by_name(k->s, host, &h)) != 1)
		return r;
	if (host != NULL && login != NULL)
		login = access_login(&h, &k->me, login); /* as requests have it */
	while ((r = store_ticket_open(k->s, k->me.id, 0, host != NULL ? h.id : 0, one.id, &one)) == 1) {
		if ((login != NULL && strcmp(login, one.login) != 0) || (host == NULL && one.state != TICKET_PENDING))
			continue;
		if (!found || rank(k, &one) >= rank(k, t))
			memcpy(t, &one, sizeof(*t));
		found = 1;
	}
	return r < 0 ? -1 : found;
}

enum words_exit word_wait(struct call *k)
{
	char why[500], who[2 * PERSON_MAX], when[80];
	struct ticket t;
	int r = find(k, &t);

	if (r < 0)
		return broken(k);
	if (r == 0)
		return refuse(k, WORDS_NOT_FOUND, "Look at: requests", "There is no request of yours to wait for.");
	if (t.state == TICKET_PENDING) {
		k->wait_for = t.id;
		return say(k, "Request %lld waits.", (long long)t.id);
	}
	if (ticket_gives_access(t.state) && t.start_at <= k->now && !ticket_lets_in(&t, k->now))
		return refuse(k, WORDS_REFUSED, "Ask again, with the word request.", "Grant %lld had its logins, or its time is over.", (long long)t.id);
	if (ticket_gives_access(t.state)) {
		if (say(k, "Grant %lld: you may log in as %s %s.", (long long)t.id, t.login,
			ticket_times(k, &t, when, sizeof(when))) == WORDS_OK) {
			say_more(k, "id", json_integer(t.id));
			say_more(k, "login", json_string(strcmp(t.login, LOGIN_SELF) == 0 ? k->me.name : t.login));
		}
		return k->reply != NULL ? WORDS_OK : WORDS_BROKEN;
	}
	esc_text(who, sizeof(who), t.closer, strlen(t.closer));
	return refuse(k, WORDS_REFUSED, NULL, "Request %lld is %s%s%s%s.", (long long)t.id, ticket_state_name(t.state),
	    who[0] != '\0' ? " by " : "", who, because(t.why, why, sizeof(why)));
}
