/*
 * control_leave.c - `user leave` and `user move`: a person goes, or changes post, and everything that the old
 * post gave ends at once. Policy role; see control_word.h.
 *
 * One transaction over all accounts of the person. What ends is listed before it is touched, by one
 * question (LIST_ENDS): the same rows make the events and the reply, so that neither can leave out what the
 * other names.
 */
#include "control_word.h"

#include <stdio.h>
#include <string.h>

#include "escape.h"

#define ENDS_MAX 10000	/* rows of one person: fits a reply */

struct departure {
	bool leaves;		/* the accounts go too; else the person has a new post */
	bool keeps;		/* devices and codes stay */
	const char *why;	/* as closed requests tell it */
	const char *line;	/* as who is connected reads it */
};

/* The event of one row. Requests and grants have theirs from close_tickets(). */
static int row_event(struct call *k, const struct user *u, json_t *row)
{
	static const struct { const char *what; enum event_kind kind; const char *key; } kinds[] = {
		{ "role", EVENT_MEMBER_REMOVE, "role" },
		{ "approver", EVENT_APPROVER_REMOVE, "role" },
		{ "device", EVENT_KEY_REVOKE, "device" },
	};
	const char *what = json_string_value(json_object_get(row, "what"));

	if (strcmp(what, "codes") == 0)
		return event_write(k->s, k->now, EVENT_TOTP_RESET, k->name, u->name, NULL);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(what, kinds[i].what) == 0)
			return event_writef(k->s, k->now, kinds[i].kind, k->name, u->name, "{s:O}",
			    kinds[i].key, json_object_get(row, "name"));
	return 0;
}

/* What the user asked for and nobody decided, for a service account: nobody stands for it any more. */
static int cancel_asked(struct call *k, const struct user *u, const char *why)
{
	struct ticket t = { .id = 0 };
	int r;

	while ((r = store_ticket_asked(k->s, u->id, t.id, &t)) == 1)
		if (store_ticket_move(k->s, &t, ACT_CANCEL, k->name, why, k->now) != 1 ||
		    ticket_event(k, &t, EVENT_CANCEL, why) < 0)
			return -1;
	return r;
}

/* The account itself. */
static int end_account(struct call *k, const struct user *u, const struct departure *d)
{
	if (close_tickets(k, u->id, 0, 0, d->why) < 0 || cancel_asked(k, u, d->why) < 0)
		return -1;
	if (d->leaves)
		return store_user_state(k->s, u->id, USER_REMOVED, d->why, k->now);
	if (store_user_strip(k->s, u->id, k->now) < 0)
		return -1;
	return d->keeps ? 0 :
	    store_devices_revoke(k->s, u->id, k->now) < 0 ? -1 : store_totp_reset(k->s, u->id);
}

/* Ends one account; what ended is added to rows: more than ENDS_MAX of them are too many, and the caller's to refuse. 0, or -1. */
static int depart(struct call *k, const struct user *u, const struct departure *d, json_t *rows)
{
	json_t *ends = store_list(k->s, LIST_ENDS,
	    &(struct list_ask){ .id = u->id, .all = !d->keeps, .limit = ENDS_MAX + 1, .now = k->now });
	const char *reason = arg_text(k, "reason");
	int r = -1;

	if (ends == NULL)
		return -1;
	for (size_t i = 0; i < json_array_size(ends); i++)
		if (row_event(k, u, json_array_get(ends, i)) < 0)
			goto out;
	if (d->leaves && json_array_append_new(ends, json_pack("{s:s,s:s,s:s,s:s}", "account", u->name,
	    "what", "account", "name", u->name, "state", "removed")) < 0)
		goto out;
	if (end_account(k, u, d) < 0 ||
	    event_writef(k->s, k->now, d->leaves ? EVENT_USER_LEAVE : EVENT_USER_MOVE, k->name, u->name,
		"{s:s,s:I,s:b,s:s*}", "person", u->person, "ended", (json_int_t)json_array_size(ends),
		"kept_devices", d->keeps ? 1 : 0, "reason", reason) < 0 ||
	    effect(k, END_USER, u->id, "%s", d->line) < 0)
		goto out;
	r = json_array_extend(rows, ends);
out:
	json_decref(ends);
	return r;
}

/* The person that `user` or `person` names; exactly one of them must be there. */
static enum words_exit find_person(struct call *k, char person[PERSON_MAX + 1])
{
	const char *given = arg_text(k, "person");
	struct user u;
	enum words_exit r;
	int n;

	if ((given != NULL) == (arg_text(k, "user") != NULL))
		return refuse(k, WORDS_USAGE, NULL, "Name a user, or a person with --person: one of them.");
	if (given == NULL) {
		if ((r = load_user(k, &u)) == WORDS_OK)
			snprintf(person, PERSON_MAX + 1, "%s", u.person);
		return r;
	}
	if ((n = store_user_of_person(k->s, given, 0, &u)) < 0)
		return broken(k);
	if (n == 0)
		return refuse(k, WORDS_NOT_FOUND, "Look at: user list", "No account is this person's.");
	snprintf(person, PERSON_MAX + 1, "%s", u.person);
	return WORDS_OK;
}

static enum words_exit depart_all(struct call *k, const struct departure *d)
{
	char person[PERSON_MAX + 1], safe[4 * PERSON_MAX + 8];
	struct user u = { .id = 0 };
	json_t *rows;
	size_t accounts = 0;
	enum words_exit code = find_person(k, person);
	int r;

	if (code != WORDS_OK)
		return code;
	if ((rows = json_array()) == NULL)
		return broken(k);
	while ((r = store_user_of_person(k->s, person, u.id, &u)) == 1) {
		if (depart(k, &u, d, rows) < 0) {
			r = -1;
			break;
		}
		accounts++;
		if (json_array_size(rows) > ENDS_MAX) {
			json_decref(rows);
			return refuse(k, WORDS_REFUSED, "Take away roles, or remove accounts, one by one before.",
			    "More than %d things would end at once.", ENDS_MAX);
		}
	}
	if (r < 0) {
		json_decref(rows);
		return broken(k);
	}
	if ((code = say_rows(k, "ended", rows)) != WORDS_OK)
		return code;
	esc_text(safe, sizeof(safe), person, strlen(person));
	say_more(k, "text", json_sprintf(d->leaves ?
	    "%s left: %zu account%s removed; what was open ends." :
	    "%s moved: %zu account%s without roles; what was open ends.", safe, accounts,
	    accounts == 1 ? " is" : "s are"));
	return WORDS_OK;
}

static const struct departure gone = { .leaves = true, .why = "gone from the directory",
	.line = "Your account was removed: the directory does not have you any more." };

int leave_account(struct call *k, const struct user *u, json_t *rows)
{
	return depart(k, u, &gone, rows);
}

int leave_person(struct call *k, const char *person, json_t *rows)
{
	char kept[PERSON_MAX + 1];
	struct user u = { .id = 0 };
	int r;

	snprintf(kept, sizeof(kept), "%s", person);
	while ((r = store_user_of_person(k->s, kept, u.id, &u)) == 1)
		if (depart(k, &u, &gone, rows) < 0)
			return -1;
	return r;
}

enum words_exit word_user_leave(struct call *k)
{
	return depart_all(k, &(struct departure){ .leaves = true, .why = "the person left",
	    .line = "Your account was removed: the person left." });
}

enum words_exit word_user_move(struct call *k)
{
	return depart_all(k, &(struct departure){ .keeps = arg_flag(k, "keep_devices"),
	    .why = "the person changed post",
	    .line = "What your post gave you has ended: you changed it. Ask an administrator for the roles "
	    "of the new one." });
}
