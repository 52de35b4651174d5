/*
 * control_outside.c - outside tickets (OPS-7) behind requests and grants. Policy role; see control.h.
 *
 * Whether one is open, the administrator's program says (bastiond/policy_ticket.c). A word that needs to know finds the answer by
 * control.ticket; that it was asked before is the loop's work, and a word that comes without an answer is refused.
 */
#include "control_word.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"

static enum outside known(struct call *k, const char *ref, char *line, size_t size)
{
	line[0] = '\0';
	return ref[0] != '\0' && k->c->ticket != NULL ? k->c->ticket(k->c->arg, ref, line, size) : OUTSIDE_ANY;
}

static enum words_exit refuse_unknown(struct call *k, const char *line)
{
	return refuse(k, WORDS_REFUSED, "Try again in a minute; if it stays so, tell the administrators.", "Of the ticket: %s.", line);
}

enum words_exit outside_open(struct call *k, const char *ref)
{
	char line[512];
	const enum outside o = known(k, ref, line, sizeof(line));

	if (o == OUTSIDE_UNKNOWN)
		return refuse_unknown(k, line);
	if (o == OUTSIDE_CLOSED)
		return refuse(k, WORDS_REFUSED, NULL, "The ticket is not open%s%s.", line[0] != '\0' ? ": " : "", line);
	return WORDS_OK;
}

/* It decides nothing: the program was asked before, and what its answer ends has ended. */
enum words_exit word_ticket_check(struct call *k)
{
	const char *ref = arg_text(k, "ticket");
	char line[512], shown[4 * TICKET_REF_MAX + 8];
	enum outside o;

	if (strlen(ref) > TICKET_REF_MAX)
		return refuse(k, WORDS_USAGE, NULL, "ticket: at most %d bytes.", TICKET_REF_MAX);
	if ((o = known(k, ref, line, sizeof(line))) == OUTSIDE_ANY)
		return refuse(k, WORDS_REFUSED, "It is ticket_check in bastiond.conf.", "No program is configured that knows tickets.");
	if (o == OUTSIDE_UNKNOWN)
		return refuse_unknown(k, line);
	esc_text(shown, sizeof(shown), ref, strlen(ref));
	if (say(k, "Ticket %s is %s%s%s.%s", shown, o == OUTSIDE_OPEN ? "open" : "not open", line[0] != '\0' ? ": " : "", line,
		o == OUTSIDE_OPEN ? "" : " No grant rests on it any more.") != WORDS_OK)
		return WORDS_BROKEN;
	say_more(k, "open", json_boolean(o == OUTSIDE_OPEN));
	return WORDS_OK;
}

/* What the program is told of a request to approve, or of a grant of one's own to extend; NULL: no ticket, or refused anyway. */
static json_t *about_request(struct control *c, const struct user *me, const char *word, int64_t id, char ref[TICKET_REF_MAX + 1])
{
	const bool more = strcmp(word, "extend") == 0;
	struct user u;
	struct ticket t;
	struct host h;

	if (store_ticket(c->store, id, &t) != 1 || t.ref[0] == '\0' || store_user(c->store, t.user_id, &u) != 1 ||
	    store_host(c->store, t.host_id, &h) != 1)
		return NULL;
	if (more ? !ticket_gives_access(t.state) || (t.user_id != me->id && t.by_id != me->id) : t.state != TICKET_PENDING)
		return NULL;
	memcpy(ref, t.ref, sizeof(t.ref));
	return json_pack("{s:s, s:I, s:s, s:s, s:s}", "when", more ? "request" : "approve", "request", (json_int_t)t.id, "user", u.name,
	    "host", h.name, "login", t.login);
}

json_t *control_outside(struct control *c, const struct actor *a, const void *request, size_t len, char ref[TICKET_REF_MAX + 1],
    bool *anew)
{
	json_t *j = len <= CONTROL_REQUEST_MAX ? json_loadb(request, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const json_t *args = json_object_get(j, "args");
	const char *word = json_string_value(json_object_get(j, "word"));
	const char *ticket = json_string_value(json_object_get(args, "ticket"));
	const char *host = json_string_value(json_object_get(args, "host"));
	const bool named = ticket != NULL && ticket[0] != '\0' && strlen(ticket) <= TICKET_REF_MAX;
	json_t *about = NULL;
	char line[LINE_SHORT];
	struct user u;

	*anew = word != NULL && strcmp(word, "ticket check") == 0;
	if (*anew && named && control_may(c, a, word, line, sizeof(line))) { /* no program runs for who may not ask */
		snprintf(ref, TICKET_REF_MAX + 1, "%s", ticket);
		about = json_pack("{s:s}", "when", "check");
	} else if (word == NULL || a->root || store_user(c->store, a->user_id, &u) != 1) {
		; /* root decides nothing */
	} else if (strcmp(word, "request") == 0 && named) {
		snprintf(ref, TICKET_REF_MAX + 1, "%s", ticket);
		about = json_pack("{s:s, s:s, s:s*}", "when", "request", "user", u.name, "host", host);
	} else if (strcmp(word, "approve") == 0 || strcmp(word, "extend") == 0) {
		about = about_request(c, &u, word, json_integer_value(json_object_get(args, "id")), ref);
	}
	json_decref(j);
	return about;
}

int control_outside_closed(struct control *c, const char *ref, const char *why)
{
	struct actor nobody = { .local = true };
	struct call k = { .c = c, .s = c->store, .actor = &nobody, .name = "bastiond", .now = control_now(c) };
	struct ticket t = { .id = 0 };
	char reason[TEXT_MAX], safe[4 * TICKET_REF_MAX + 8], shown[4 * TEXT_MAX];
	int r, n = 0;

	esc_text(safe, sizeof(safe), ref, strlen(ref));
	snprintf(shown, sizeof(shown), "ticket %s is closed%s%s", safe, why[0] != '\0' ? ": " : "", why);
	snprintf(reason, sizeof(reason), "ticket %s is closed%s%s", ref, why[0] != '\0' ? ": " : "", why);
	if (store_begin(c->store) < 0)
		return -1;
	while ((r = store_ticket_of(c->store, ref, t.id, &t)) == 1) {
		if (store_ticket_move(c->store, &t, ACT_REVOKE, k.name, reason, k.now) != 1 ||
		    ticket_event(&k, &t, EVENT_GRANT_REVOKE, reason) < 0 ||
		    effect(&k, END_GRANT, t.id, "Grant %lld was revoked: %.400s.", (long long)t.id, shown) < 0) {
			r = -1;
			break;
		}
		n++;
	}
	if (r < 0)
		store_rollback(c->store);
	else
		r = store_commit(c->store);
	for (size_t i = 0; r == 0 && i < k.neffects; i++)
		c->end(c->arg, k.effects[i].what, k.effects[i].id, k.effects[i].line);
	free(k.effects);
	return r < 0 ? -1 : n;
}
