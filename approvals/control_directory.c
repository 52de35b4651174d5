/*
 * control_directory.c - `bastionctl sync` brings the people of a directory here: who is new there becomes a user, roles follow, and
 * who is gone there is ended here, as by `user leave`. Policy role; see control_word.h.
 *
 * What the directory said comes in batches (`directory stage`) and is applied as one change (`directory apply`). Policy never reads what a
 * directory server sends: bastionctl does (ctl_sync.c), and what comes here is checked like any other argument. Users
 * that were made here are not the directory's, until it names them with the same person. A directory that lost its
 * people, or answered with half of them, must not end everybody: more than `share` per cent at once is refused.
 */
#include "control_word.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "store_directory.h"

#define ROWS_MAX 20000
#define ROLES_STAY "*"	/* in the place of roles: the directory does not say them */

/* Who had a role when their entry was applied, and those of them who have none now. */
struct bared {
	int64_t had, bare;
};

/* "NAME|ROLE ROLE|PERSON" */
static const char *parse_entry(const char *text, struct staged *e)
{
	const char *roles = strchr(text, '|'), *person = roles != NULL ? strchr(roles + 1, '|') : NULL;

	e->kept = false;
	if (person == NULL || strchr(person + 1, '|') != NULL)
		return "not of the form NAME|ROLES|PERSON";
	if ((size_t)(roles - text) >= sizeof(e->name) || (size_t)(person - roles - 1) >= sizeof(e->roles) ||
	    strlen(person + 1) >= sizeof(e->person) || person[1] == '\0')
		return "a part is too long, or the person is missing";
	snprintf(e->name, sizeof(e->name), "%.*s", (int)(roles - text), text);
	snprintf(e->roles, sizeof(e->roles), "%.*s", (int)(person - roles - 1), roles + 1);
	snprintf(e->person, sizeof(e->person), "%s", person + 1);
	return name_is_user(e->name) ? NULL : "the name is none that a user can have";
}

/* Of an entry that could not be taken there is the name alone: the person is the one it has here, or nobody's. */
static int kept_entry(struct call *k, const char *name, struct staged *e)
{
	struct user u;
	int r = store_user_by_name(k->s, name, &u);

	*e = (struct staged){ .kept = true };
	snprintf(e->name, sizeof(e->name), "%s", name);
	snprintf(e->person, sizeof(e->person), "%s", r == 1 ? u.person : "|");
	return r < 0 ? -1 : 0;
}

static size_t items(const json_t *list)
{
	return json_is_array(list) ? json_array_size(list) : list != NULL;
}

static const char *item(const json_t *list, size_t i)
{
	return json_string_value(json_is_array(list) ? json_array_get(list, i) : list);
}

enum words_exit word_directory_stage(struct call *k)
{
	const json_t *list = json_object_get(k->args, "entry"), *keep = json_object_get(k->args, "keep");
	const size_t n = items(list), all = n + items(keep);
	const char *wrong;
	struct staged e;

	if (all == 0)
		return refuse(k, WORDS_USAGE, NULL, "directory stage needs entry, or keep.");
	if (arg_flag(k, "begin") && store_stage_clear(k->s) < 0)
		return broken(k);
	for (size_t i = 0; i < all; i++) {
		if (i < n && (wrong = parse_entry(item(list, i), &e)) != NULL)
			return refuse(k, WORDS_USAGE, NULL, "entry %zu: %s.", i + 1, wrong);
		if (i >= n && kept_entry(k, item(keep, i - n), &e) < 0)
			return broken(k);
		if (store_stage_add(k->s, &e) < 0) {
			if (errno == EEXIST)
				return refuse(k, WORDS_REFUSED, NULL, "The directory names %s twice.", e.name);
			return broken(k);
		}
	}
	return say(k, "%zu staged.", all);
}

static int row(json_t *rows, const char *account, const char *what, const char *name, const char *state)
{
	return json_array_append_new(rows, json_pack("{s:s,s:s,s:s,s:s}", "account", account, "what", what, "name", name,
	    "state", state));
}

/* In the directory, and not here as it should be. *u is filled. 1: go on with the roles; 0: leave it alone; -1. */
static int take_user(struct call *k, const struct staged *e, struct user *u, json_t *rows)
{
	int n = store_user_by_name(k->s, e->name, u), own;

	if (n < 0)
		return -1;
	if (n == 1 && (strcasecmp(u->person, e->person) != 0 || u->kind == USER_SERVICE))
		return row(rows, e->name, "account", e->person, "conflict") < 0 ? -1 : 0;
	if (n == 0 || u->state == USER_REMOVED) {
		*u = (struct user){ .kind = USER_HUMAN, .uid = -1, .until = FOREVER };
		snprintf(u->name, sizeof(u->name), "%s", e->name);
		snprintf(u->person, sizeof(u->person), "%s", e->person);
		if (store_user_add(k->s, u, k->now) < 0 ||
		    event_writef(k->s, k->now, EVENT_USER_ADD, k->name, u->name, "{s:s,s:s}", "person", u->person, "how",
			"directory") < 0 || row(rows, e->name, "account", e->person, "added") < 0)
			return -1;
	}
	if ((own = store_directory_is(k->s, u->id)) < 0)
		return -1;
	if (own == 0 && store_directory_mark(k->s, u->id) < 0)
		return -1;
	return own == 0 && n == 1 && row(rows, e->name, "account", e->person, "adopted") < 0 ? -1 : 1;
}

/* What denies is not the directory's to lift: neither a rule for everyone, nor one that an administrator put this user under. */
static int leave_roles(struct call *k, const struct user *u, const struct staged *e, json_t *rows)
{
	struct access_role *roles = NULL;
	int n = store_user_roles(k->s, u->id, &roles), r = n < 0 ? -1 : 0;

	for (int i = 0; r == 0 && i < n; i++) {
		if (roles[i].kind == RULE_DENY || list_has(e->roles, roles[i].name))
			continue;
		if (store_role_leave(k->s, roles[i].id, u->id, 'm') != 1 ||
		    close_tickets(k, u->id, roles[i].id, 0, "the directory took the role away") < 0 ||
		    event_writef(k->s, k->now, EVENT_MEMBER_REMOVE, k->name, u->name, "{s:s,s:s}", "role", roles[i].name, "how",
			"directory") < 0 || row(rows, u->name, "role", roles[i].name, "removed") < 0)
			r = -1;
	}
	free(roles);
	return r;
}

/* How many roles the user has that allow something; -1. */
static int roles_of(struct call *k, const struct user *u)
{
	struct access_role *roles = NULL;
	const int n = store_user_roles(k->s, u->id, &roles);
	int allow = n < 0 ? -1 : 0;

	for (int i = 0; i < n; i++)
		allow += roles[i].kind != RULE_DENY;
	free(roles);
	return allow;
}

/* Who has as many roles as a user can have gets no more, and keeps nobody else from theirs. */
static int join_role(struct call *k, const struct user *u, const char *name, bool denies, json_t *rows)
{
	struct access_role role;
	int n = store_role_by_name(k->s, name, &role);

	if (n == 0)
		return denies ? 0 : row(rows, u->name, "role", name, "unknown");
	if (n < 0 || (role.kind == RULE_DENY) != denies || (n = store_role_join(k->s, role.id, u->id, 'm')) == 0)
		return n < 0 ? -1 : 0;
	if (n < 0)
		return errno == ENOSPC ? row(rows, u->name, "role", name, "too many") : -1;
	return event_writef(k->s, k->now, EVENT_MEMBER_ADD, k->name, u->name, "{s:s,s:s}", "role", name, "how", "directory") < 0 ||
	    row(rows, u->name, "role", name, "added") < 0 || (denies && recheck(k) < 0) ? -1 : 0;
}

/* What denies comes first: it is not what has no room. */
static int join_roles(struct call *k, const struct user *u, const struct staged *e, json_t *rows)
{
	for (int denies = 1; denies >= 0; denies--)
		for (const char *p = e->roles; *p != '\0'; p += strcspn(p, " "), p += *p == ' ') {
			char name[USER_NAME_MAX + 1];

			snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, " "), p);
			if (join_role(k, u, name, denies != 0, rows) < 0)
				return -1;
		}
	return 0;
}

static int take_roles(struct call *k, const struct user *u, const struct staged *e, json_t *rows, struct bared *b)
{
	int had, has;

	if (strcmp(e->roles, ROLES_STAY) == 0)
		return 0;
	if ((had = roles_of(k, u)) < 0 || leave_roles(k, u, e, rows) < 0 || join_roles(k, u, e, rows) < 0 || (has = roles_of(k, u)) < 0)
		return -1;
	b->had += had > 0;
	b->bare += had > 0 && has == 0;
	return 0;
}

static int take_all(struct call *k, json_t *rows, struct bared *b)
{
	struct staged e = { .name = "" };
	struct user u;
	int r;

	while ((r = store_stage_next(k->s, e.name, &e)) == 1) {
		int own = e.kept ? row(rows, e.name, "account", "-", "unreadable") : take_user(k, &e, &u, rows);

		if (own < 0 || (own == 1 && take_roles(k, &u, &e, rows, b) < 0))
			return -1;
	}
	return r;
}

/* Who is gone there. A person of whom nothing is left there leaves with all accounts; else the account alone goes. */
static int end_gone(struct call *k, json_t *rows)
{
	struct user u = { .id = 0 };
	int r;

	while ((r = store_directory_gone(k->s, u.id, &u)) == 1) {
		int still = store_stage_person(k->s, u.person);

		if (still < 0 || (still == 0 ? leave_person(k, u.person, rows) : leave_account(k, &u, rows)) < 0)
			return -1;
	}
	return r;
}

static enum words_exit apply(struct call *k, json_t *rows)
{
	int64_t share = arg_int(k, "share", DIRECTORY_SHARE), known, gone, staged, sent;
	struct bared b = { 0, 0 };

	if (store_directory_counts(k->s, &known, &gone, &staged) < 0)
		return broken(k);
	if (staged == 0)
		return refuse(k, WORDS_REFUSED, "Look at the directory and at what is asked of it.",
		    "The directory named nobody: nothing is changed.");
	if ((sent = arg_int(k, "count", staged)) != staged)
		return refuse(k, WORDS_REFUSED, "Repeat it when the other has ended.",
		    "%lld were sent, and %lld are staged: another sync is under way. Nothing is changed.", (long long)sent,
		    (long long)staged);
	if (gone > 1 && gone * 100 > share * known)
		return refuse(k, WORDS_REFUSED, "If they have left, repeat it with --share.",
		    "%lld of %lld would end, more than %lld per cent: nothing is changed.", (long long)gone, (long long)known,
		    (long long)share);
	if (end_gone(k, rows) < 0 || take_all(k, rows, &b) < 0 || store_stage_clear(k->s) < 0)
		return broken(k);
	if (b.bare > 1 && b.bare * 100 > share * b.had)
		return refuse(k, WORDS_REFUSED, "If that is meant, repeat it with --share.",
		    "%lld of %lld who have a role would have none, more than %lld per cent: nothing is changed. Can the attribute of the roles "
		    "be read, and is roles_prefix right?", (long long)b.bare, (long long)b.had, (long long)share);
	if (json_array_size(rows) > ROWS_MAX)
		return refuse(k, WORDS_REFUSED, NULL, "More than %d changes at once.", ROWS_MAX);
	if (event_writef(k->s, k->now, EVENT_DIRECTORY, k->name, NULL, "{s:I,s:I,s:I}", "people", (json_int_t)staged, "ended",
		(json_int_t)gone, "changes", (json_int_t)json_array_size(rows)) < 0)
		return broken(k);
	return WORDS_OK;
}

enum words_exit word_directory_apply(struct call *k)
{
	bool dry = arg_flag(k, "dry_run");
	json_t *rows = json_array();
	enum words_exit r;
	size_t n;

	if (rows == NULL || store_begin(k->s) < 0) {
		json_decref(rows);
		return broken(k);
	}
	r = apply(k, rows);
	if (r != WORDS_OK || dry) {
		store_rollback(k->s);
		k->neffects = 0;
	} else if (store_commit(k->s) < 0) {
		r = broken(k);
	}
	if (r != WORDS_OK) {
		json_decref(rows);
		return r;
	}
	n = json_array_size(rows);
	if ((r = say_rows(k, "ended", rows)) == WORDS_OK)
		say_more(k, "text", json_sprintf(dry ? "%zu changes would be made." : "%zu changes.", n));
	return r;
}
