/*
 * policy_notify.c - events that people want to hear of at once, handed to the administrator's program, one a run.
 *
 * Role policy. Once a second the new rows of the event list are looked at; those that have a class (event_class(), event.h) are queued as
 * JSON, and two runs at a time take from the queue. Nothing waits for it: what does not fit into the queue is counted, and the count is
 * told; a run that fails is tried once more. The event list itself is complete in any case. What happened while no policy ran is not told.
 * During an upgrade the newer policy looks at the events; the older one tells what it had taken up.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "policy_hook.h"

#define QUEUE_MAX 256
#define ROWS_MAX 2000		/* that are looked at in one turn */
#define TRIES_MAX 2
#define TAKE_MAX 64		/* rows with a class that are taken up in one turn */
#define STAFF_PAGE 1000		/* users of one look at the list */

struct note {
	json_t *input;
	unsigned tries;
	bool running;
};

struct notifier {
	int64_t seen;		/* number of the last event that was looked at */
	bool begun;
	size_t n;
	uint64_t left_out;	/* for want of room, and not told yet */
	struct note *v[QUEUE_MAX];
};

/* A name of a user; who is concerned twice is told once. */
static void add_name(json_t *to, json_t *name)
{
	for (size_t i = 0; i < json_array_size(to); i++)
		if (json_equal(json_array_get(to, i), name))
			return;
	json_array_append(to, name);
}

/* A role's row; NULL: there is none. The caller's. */
static json_t *role_row(struct policy *p, const char *role)
{
	struct access_role r;
	json_t *rows, *row;

	if (role == NULL || store_role_by_name(p->store, role, &r) != 1)
		return NULL;
	rows = store_list(p->store, LIST_ROLES, &(struct list_ask){ .id = r.id, .limit = 1, .now = clock_wall() });
	row = json_incref(json_array_get(rows, 0));
	json_decref(rows);
	return row;
}

static void add_names(json_t *to, const json_t *row, const char *key)
{
	const json_t *names = json_object_get(row, key);

	for (size_t i = 0; i < json_array_size(names); i++)
		add_name(to, json_array_get(names, i));
}

/* Who decides requests under this role: its approvers, and the members of its approver roles. */
static void add_approvers(struct policy *p, json_t *to, const char *role)
{
	json_t *row = role_row(p, role), *groups = json_object_get(row, "approver_roles");

	add_names(to, row, "approvers");
	for (size_t i = 0; i < json_array_size(groups); i++) {
		json_t *group = role_row(p, json_string_value(json_array_get(groups, i)));

		add_names(to, group, "members");
		json_decref(group);
	}
	json_decref(row);
}

static void add_staff(struct policy *p, json_t *to)
{
	int64_t after = 0;
	size_t n;

	do {
		json_t *rows = store_list(p->store, LIST_USERS,
		    &(struct list_ask){ .after = after, .limit = STAFF_PAGE, .now = clock_wall() });

		n = json_array_size(rows);
		for (size_t i = 0; i < n; i++) {
			const json_t *row = json_array_get(rows, i);

			after = json_integer_value(json_object_get(row, "id"));
			if (json_is_true(json_object_get(row, "admin")) || json_is_true(json_object_get(row, "auditor")))
				add_name(to, json_object_get(row, "name"));
		}
		json_decref(rows);
	} while (n == STAFF_PAGE);
}

/* Whom it concerns, as names of users: what these are outside, the program knows. */
static json_t *whom(struct policy *p, const char *class, const struct event_row *e, const json_t *detail)
{
	json_t *to = json_array();

	const bool glass = strcmp(class, "break-glass") == 0 || strcmp(class, "emergency") == 0;

	if (strcmp(class, "request") == 0 || glass)
		add_approvers(p, to, json_string_value(json_object_get(detail, "role")));
	if (strcmp(class, "alarm") == 0 || glass)
		add_staff(p, to);
	if ((strcmp(class, "decided") == 0 || strcmp(class, "login") == 0 || strcmp(class, "reminder") == 0 ||
		strcmp(e->kind, event_name(EVENT_OTP_GUESSED)) == 0) && e->subject[0] != '\0') {
		json_t *owner = json_string(e->subject);

		add_name(to, owner);
		json_decref(owner);
	}
	return to;
}

static json_t *input_of(struct policy *p, const char *class, const struct event_row *e)
{
	json_t *detail = json_loads(e->detail[0] != '\0' ? e->detail : "{}", 0, NULL);

	return json_pack("{s:i, s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:o, s:o}", "v", 1, "hook", "notify", "bastion", p->control.name,
	    "class", class, "number", (json_int_t)e->id, "at", (json_int_t)e->at, "kind", e->kind, "actor", e->actor,
	    "subject", e->subject, "tell", whom(p, class, e, detail), "detail", detail != NULL ? detail : json_object());
}

/* As long as hook_run() takes: without the detail, and if that is not enough, with fewer of those whom it concerns. */
static void cut(json_t *input)
{
	json_t *tell = json_object_get(input, "tell");

	if (hook_fits(input))
		return;
	json_object_set_new(input, "detail", json_pack("{s:b}", "cut", 1));
	while (!hook_fits(input) && json_array_size(tell) > 0) {
		json_object_set_new(input, "tell_cut", json_true());
		for (size_t n = json_array_size(tell), keep = n / 2; n > keep; n--)
			json_array_remove(tell, n - 1);
	}
}

static void queue(struct notifier *n, json_t *input)
{
	struct note *note = input != NULL && n->n < QUEUE_MAX ? calloc(1, sizeof(*note)) : NULL;

	if (note == NULL) {
		n->left_out++;
		json_decref(input);
		return;
	}
	cut(input);
	note->input = input;
	n->v[n->n++] = note;
}

struct found {
	struct notifier *n;
	struct event_row row[TAKE_MAX];
	size_t nrows, looked;
	struct event_text *text;
};

/* Only copies: the store is in the middle of its own statement. */
static int on_row(void *arg, const struct event_row *e, const uint8_t *hash, size_t len)
{
	struct found *f = arg;
	struct event_text *t = &f->text[f->nrows];

	(void)hash, (void)len;
	if (++f->looked > ROWS_MAX)
		return 1;
	f->n->seen = e->id;
	if (event_class(e->kind) == NULL)
		return 0;
	snprintf(t->kind, sizeof(t->kind), "%s", e->kind);
	snprintf(t->actor, sizeof(t->actor), "%s", e->actor);
	snprintf(t->subject, sizeof(t->subject), "%s", e->subject);
	snprintf(t->detail, sizeof(t->detail), "%s", e->detail);
	f->row[f->nrows] = (struct event_row){ e->id, e->at, t->kind, t->actor, t->subject, t->detail };
	return ++f->nrows == TAKE_MAX;
}

/* New events into the queue. */
static void take_up(struct policy *p, struct notifier *n)
{
	struct found *f = calloc(1, sizeof(*f));

	if (f != NULL && (f->text = calloc(TAKE_MAX, sizeof(*f->text))) != NULL) {
		f->n = n;
		if (store_event_each(p->store, n->seen, on_row, f) < 0)
			log_error("events for notify: %s", store_error(p->store));
		for (size_t i = 0; i < f->nrows; i++)
			queue(n, input_of(p, event_class(f->row[i].kind), &f->row[i]));
	}
	free(f != NULL ? f->text : NULL);
	free(f);
}

static void drop(struct notifier *n, struct note *note)
{
	size_t i = 0;

	while (i < n->n && n->v[i] != note)
		i++;
	memmove(&n->v[i], &n->v[i + 1], (n->n - i - 1) * sizeof(n->v[0]));
	n->n--;
	json_decref(note->input);
	free(note);
}

static void on_done(struct policy *p, void *arg, const char *answer, const char *reason)
{
	struct note *note = arg;

	note->running = false;
	if (answer != NULL || note->tries >= TRIES_MAX) {
		if (answer == NULL)
			log_warn("notify: event %lld was not told: %s",
			    (long long)json_integer_value(json_object_get(note->input, "number")), reason);
		drop(p->notifier, note);
	}
	notify_tick(p, clock_mono_ms());
}

/* Those that did not fit are told as one more, when there is room. */
static void tell_left_out(struct policy *p, struct notifier *n)
{
	if (n->left_out == 0 || n->n > QUEUE_MAX / 2)
		return;
	log_warn("notify: %llu events were not told: the program is too slow for them, or could not be run", (unsigned long long)n->left_out);
	queue(n, json_pack("{s:i, s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:[], s:{s:I}}", "v", 1, "hook", "notify", "bastion", p->control.name,
	    "class", "alarm", "number", (json_int_t)n->seen, "at", (json_int_t)clock_wall(), "kind", "notify.left-out", "actor", "bastiond",
	    "subject", "", "tell", "detail", "count", (json_int_t)n->left_out));
	n->left_out = 0;
}

void notify_tick(struct policy *p, uint64_t now_ms)
{
	uint8_t hash[EVENT_HASH_LEN];
	struct notifier *n;

	(void)now_ms;
	if (p->notifier == NULL && (p->notifier = calloc(1, sizeof(*p->notifier))) == NULL)
		return;
	n = p->notifier;
	/* what happened before is no news, and neither is what happened while nobody was to be told */
	if ((!n->begun || !hook_there(p, HOOK_NOTIFY)) && store_event_head(p->store, &n->seen, hash) < 0)
		return;
	n->begun = true;
	if (!hook_there(p, HOOK_NOTIFY))
		return;
	if (!p->retired) /* the other policy does (policy_others.h) */
		take_up(p, n);
	tell_left_out(p, n);
	for (size_t i = 0; i < n->n && hook_room(p, HOOK_NOTIFY); i++) {
		struct note *note = n->v[i];

		if (note->running)
			continue;
		note->tries++;
		note->running = hook_run(p, HOOK_NOTIFY, json_incref(note->input), on_done, note) == 0;
		if (note->running)
			continue;
		if (note->tries >= TRIES_MAX) { /* it must not stand before the others for ever */
			n->left_out++;
			drop(n, note);
		}
		break;
	}
}

void notify_finish(struct policy *p)
{
	struct notifier *n = p->notifier;

	for (size_t i = 0; n != NULL && i < n->n; i++) {
		json_decref(n->v[i]->input);
		free(n->v[i]);
	}
	free(n);
	p->notifier = NULL;
}
