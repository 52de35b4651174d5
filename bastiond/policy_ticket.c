/*
 * policy_ticket.c - outside tickets: is OPS-7 still open? Asked of the administrator's program, before who waits goes on.
 *
 * Role policy. A word (request, approve) or a login that rests on an outside ticket waits for a check that begins then, or for the one that
 * runs; while a session is open its ticket is checked again, every ticket_check_every, and when an administrator says so (`ticket check`,
 * for which one that runs already will not do: it may have been asked before the ticket changed). What the program says:
 *
 *   {"open": true}                  who waits goes on
 *   {"open": false, "why": "…"}     who waits is refused; every grant that rests on the ticket is revoked, and its sessions end
 *   anything else, or nothing       who waits is refused; a session ends when it happened three times in a row
 *
 * So the answer to everything but a clear yes is no; a login for which there is another grant goes on under that. Where no program is
 * configured a ticket is a number in a report, and nothing waits.
 */
#include <stdlib.h>
#include <string.h>

#include "brec.h"
#include "clock.h"
#include "escape.h"
#include "log.h"
#include "policy_hook.h"

#define CHECKS_KEPT 1024	/* tickets whose last check is remembered: in use, and those asked about last */
#define FRESH_MS 3000		/* so long an answer is one of now */
#define KEPT_MS 600000		/* nobody asked for so long: forgotten */
#define RETRY_MS 2000		/* after a check without an answer */
#define FAILURES_MAX 3		/* of them in a row, then a session ends */
#define HELD_MAX 256		/* words that wait */
#define WHY_MAX 256

enum said { SAID_NOTHING, SAID_OPEN, SAID_CLOSED };

struct check {
	struct check *next;
	char ref[TICKET_REF_MAX + 1];
	enum said said;
	char why[WHY_MAX], shown[4 * TICKET_REF_MAX + 8];	/* both escaped */
	uint64_t at_ms, used_ms;	/* of the last answer or failure; of the last question */
	unsigned failures;
	uint64_t runs;			/* begun */
	bool running, wanted, telling;	/* telling: who waits is answered just now */
	json_t *about;			/* of who asked first: what the program is told */
};

struct held {
	struct held *next;
	struct link *asker;
	uint32_t id;
	struct actor actor;
	char ref[TICKET_REF_MAX + 1];
	uint64_t run;			/* of its check: this one, or a later one */
	struct buf request;
};

static void start_wanted(struct policy *p);

static struct check *find(struct policy *p, const char *ref)
{
	struct check *c = p->checks;

	while (c != NULL && strcmp(c->ref, ref) != 0)
		c = c->next;
	return c;
}

static void forget(struct policy *p, struct check *c)
{
	struct check **at = &p->checks;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	json_decref(c->about);
	free(c);
	p->nchecks--;
}

struct use {
	const char *ref;
	bool found;
};

static void look_for_use(struct peer *peer, void *arg)
{
	struct use *u = arg;

	for (size_t i = 0; i < PEER_WAYS_MAX && !u->found; i++)
		u->found = peer->ways[i] != NULL && way_has_ref(peer->ways[i], u->ref);
}

/* Does a session rest on it, or a login or word wait for its answer? */
static bool in_use(struct policy *p, const struct check *c)
{
	struct use u = { c->ref, c->running || c->telling };

	for (const struct held *h = p->held; h != NULL && !u.found; h = h->next)
		u.found = strcmp(h->ref, c->ref) == 0;
	if (!u.found)
		peers_each(p, look_for_use, &u);
	return u.found;
}

/*
 * Is there room for one more? If need be the one goes that was asked about longest ago and that nobody needs: else whoever names many
 * tickets that do not exist would keep all others from theirs.
 */
static bool make_room(struct policy *p)
{
	const uint64_t now_ms = clock_mono_ms();

	for (size_t i = 0; i < CHECKS_KEPT && p->nchecks >= CHECKS_KEPT; i++) {
		struct check *oldest = p->checks;

		for (struct check *c = p->checks; c != NULL; c = c->next)
			if (c->used_ms <= oldest->used_ms)
				oldest = c;
		if (in_use(p, oldest))
			oldest->used_ms = now_ms;
		else
			forget(p, oldest);
	}
	return p->nchecks < CHECKS_KEPT;
}

/* The one of this ticket, new if need be; NULL: no room or no memory. */
static struct check *check_of(struct policy *p, const char *ref)
{
	struct check *c = find(p, ref);

	if (c == NULL && make_room(p) && (c = calloc(1, sizeof(*c))) != NULL) {
		snprintf(c->ref, sizeof(c->ref), "%s", ref);
		esc_text(c->shown, sizeof(c->shown), ref, strlen(ref));
		c->next = p->checks;
		p->checks = c;
		p->nchecks++;
	}
	if (c != NULL)
		c->used_ms = clock_mono_ms();
	return c;
}

enum outside ticket_state(void *arg, const char *ref, char *line, size_t size)
{
	struct policy *p = arg;
	const struct check *c;

	if (!hook_there(p, HOOK_TICKET))
		return OUTSIDE_ANY;
	if ((c = find(p, ref)) == NULL || c->said == SAID_NOTHING || clock_mono_ms() - c->at_ms > FRESH_MS) {
		snprintf(line, size, "it cannot be checked now%s%s", c != NULL && c->why[0] != '\0' ? ": " : "", c != NULL ? c->why : "");
		return OUTSIDE_UNKNOWN;
	}
	snprintf(line, size, "%s", c->why);
	return c->said == SAID_OPEN ? OUTSIDE_OPEN : OUTSIDE_CLOSED;
}

bool ticket_said_no(struct policy *p, const char *ref)
{
	const struct check *c = find(p, ref);

	return c != NULL && c->telling && c->said != SAID_OPEN;
}

/* --- an answer --- */

static void parse(struct check *c, const char *answer, const char *reason)
{
	json_t *j = answer != NULL ? json_loads(answer, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const json_t *open = json_object_get(j, "open");
	const char *why = json_string_value(json_object_get(j, "why"));

	c->said = json_is_true(open) ? SAID_OPEN : json_is_false(open) ? SAID_CLOSED : SAID_NOTHING;
	if (c->said == SAID_NOTHING)
		why = answer != NULL ? "ticket_check answered no JSON with \"open\": true or false" : reason;
	c->why[0] = '\0';
	if (why != NULL)
		esc_text(c->why, sizeof(c->why), why, strlen(why));
	json_decref(j);
	c->at_ms = clock_mono_ms();
	c->failures = c->said == SAID_NOTHING ? c->failures + 1 : 0;
}

static void end_live(struct peer *peer, void *arg)
{
	const struct check *c = arg;
	char line[LINE_LEN];

	for (size_t i = 0; i < PEER_WAYS_MAX; i++) {
		struct way *w = peer->ways[i];

		if (w == NULL || w->stage < WAY_GIVEN || w->ending_ms != 0 || !way_has_ref(w, c->ref))
			continue;
		snprintf(line, sizeof(line), "bastiond: your ticket %s cannot be checked any more (%s): session ended", c->shown, c->why);
		peer_way_end(w, BREC_END_KILLED, line);
	}
}

/* What the answer ends. */
static void act(struct policy *p, struct check *c)
{
	if (c->said == SAID_CLOSED && control_outside_closed(&p->control, c->ref, c->why) < 0) {
		log_error("grants of ticket %s are not revoked: %s", c->shown, store_error(p->store));
		c->said = SAID_NOTHING; /* asked again soon; what is open then ends as if nobody could say */
		c->failures = FAILURES_MAX;
	}
	if (c->said == SAID_NOTHING && c->failures == FAILURES_MAX &&
	    event_writef(p->store, clock_wall(), EVENT_TICKET_UNKNOWN, "bastiond", c->ref, "{s:s}", "why", c->why) != 0)
		log_error("event of a ticket not written: %s", store_error(p->store));
	if (c->said == SAID_NOTHING && c->failures >= FAILURES_MAX)
		peers_each(p, end_live, c);
}

static void resume_words(struct policy *p, const struct check *c)
{
	struct held **at = &p->held, *h;

	while ((h = *at) != NULL) {
		if (strcmp(h->ref, c->ref) != 0 || h->run > c->runs) {
			at = &h->next;
			continue;
		}
		*at = h->next;
		p->nheld--;
		words_resume(p, h->asker, h->id, &h->actor, &h->request);
		buf_finish(&h->request);
		free(h);
		at = &p->held; /* the list may be another one now */
	}
}

static void resume_ways(struct peer *peer, void *arg)
{
	const struct check *c = arg;
	char line[LINE_LEN];

	for (size_t i = 0; i < PEER_WAYS_MAX; i++) {
		struct way *w = peer->ways[i];

		if (w == NULL || w->stage != WAY_CHECKING || strcmp(w->refs[0], c->ref) != 0)
			continue;
		if (c->said == SAID_CLOSED)
			snprintf(line, sizeof(line), "bastiond: your ticket %s is not open%s%s. Ask again with one that is", c->shown,
			    c->why[0] != '\0' ? ": " : "", c->why);
		else
			snprintf(line, sizeof(line), "bastiond: your ticket %s cannot be checked now (%s); try again in a minute", c->shown, c->why);
		authz_checked(w, c->said == SAID_OPEN ? NULL : line);
	}
}

static void settle(struct policy *p, struct check *c, const char *answer, const char *reason)
{
	c->running = false;
	c->telling = true;
	parse(c, answer, reason);
	peers_each(p, resume_ways, c); /* before its grants end: a login that waits may have another one */
	act(p, c);
	resume_words(p, c);
	c->telling = false;
}

static void on_done(struct policy *p, void *arg, const char *answer, const char *reason)
{
	settle(p, arg, answer, reason);
	start_wanted(p);
	live_run(p);
}

/* --- a question --- */

/* The next one that can be asked about now; NULL: none. */
static struct check *next_wanted(struct policy *p)
{
	struct check *c = hook_room(p, HOOK_TICKET) ? p->checks : NULL;

	while (c != NULL && (!c->wanted || c->running))
		c = c->next;
	return c;
}

/* Who waited for one that cannot be run is answered here, and may want another one: that is started by the same loop. */
static void start_wanted(struct policy *p)
{
	bool failed = false;
	struct check *c;

	if (p->starting)
		return;
	p->starting = true;
	while ((c = next_wanted(p)) != NULL) {
		json_t *input = json_pack("{s:i, s:s, s:s, s:s}", "v", 1, "hook", "ticket_check", "bastion", p->control.name, "ticket", c->ref);

		c->wanted = false;
		c->running = true;
		c->runs++;
		if (input != NULL && c->about != NULL)
			json_object_update(input, c->about);
		json_decref(c->about);
		c->about = NULL;
		if (hook_run(p, HOOK_TICKET, input, on_done, c) == 0)
			continue;
		settle(p, c, NULL, "it could not be run");
		failed = true;
	}
	p->starting = false;
	if (failed)
		live_run(p);
}

/* `about` is taken over. The one that runs will do, unless anew. The number of the run to wait for; 0: nobody can be asked. */
static uint64_t want(struct policy *p, const char *ref, json_t *about, bool anew)
{
	struct check *c = check_of(p, ref);

	if (c == NULL || (c->running && !anew) || c->about != NULL)
		json_decref(about);
	else
		c->about = about;
	if (c == NULL)
		return 0;
	if (c->running && !anew)
		return c->runs;
	c->wanted = true;
	return c->runs + 1;
}

bool ticket_holds_word(struct policy *p, struct link *asker, uint32_t id, const struct actor *a, const struct buf *request)
{
	char ref[TICKET_REF_MAX + 1];
	struct held *h;
	json_t *about;
	uint64_t run;
	bool anew;

	/* who is over what may be refused is turned away unread: no program runs for that */
	if (!hook_there(p, HOOK_TICKET) || p->nheld >= HELD_MAX || control_over(&p->control, a) ||
	    (about = control_outside(&p->control, a, request->data, request->len, ref, &anew)) == NULL)
		return false;
	if ((h = calloc(1, sizeof(*h))) == NULL || (run = want(p, ref, about, anew)) == 0) {
		if (h == NULL)
			json_decref(about);
		free(h);
		return false; /* the word is refused: no check of now */
	}
	*h = (struct held){ .asker = asker, .id = id, .actor = *a, .run = run, .next = p->held };
	memcpy(h->ref, ref, sizeof(ref));
	buf_init(&h->request, CONTROL_REQUEST_MAX);
	buf_put(&h->request, request->data, request->len);
	p->held = h;
	p->nheld++;
	start_wanted(p);
	return true;
}

bool ticket_holding(const struct policy *p, const struct link *asker)
{
	for (const struct held *h = p->held; h != NULL; h = h->next)
		if (h->asker == asker)
			return true;
	return wait_holding(p, asker);
}

static void drop_held(struct held **at)
{
	struct held *h = *at;

	*at = h->next;
	buf_finish(&h->request);
	free(h);
}

void ticket_owner_gone(struct policy *p, const struct link *asker)
{
	wait_owner_gone(p, asker);
	for (struct held **at = &p->held; *at != NULL;) {
		if ((*at)->asker != asker) {
			at = &(*at)->next;
			continue;
		}
		drop_held(at);
		p->nheld--;
	}
}

bool ticket_holds_way(struct way *w, const char *ref)
{
	struct policy *p = w->peer->p;

	if (ref[0] == '\0' || !hook_there(p, HOOK_TICKET))
		return false;
	w->stage = WAY_CHECKING;
	if (want(p, ref, json_pack("{s:s, s:I, s:s, s:s, s:s}", "when", "login", "request", (json_int_t)w->tickets[0],
		"user", w->peer->user.name, "host", w->host.name, "login", w->login), false) == 0)
		authz_checked(w, "bastiond: your ticket cannot be checked now; try again in a minute");
	else
		start_wanted(p);
	return true;
}

/* --- while sessions are open --- */

/* Is it due to be looked at again? */
static void want_again(struct policy *p, const char *ref, uint64_t now_ms)
{
	struct check *c = ref[0] != '\0' ? check_of(p, ref) : NULL;

	if (c == NULL || c->running || c->wanted)
		return;
	if (now_ms - c->at_ms >= (c->said == SAID_NOTHING ? RETRY_MS : p->conf->ticket_check_every))
		want(p, c->ref, json_pack("{s:s}", "when", "running"), false);
}

static void want_live(struct peer *peer, void *arg)
{
	for (size_t i = 0; i < PEER_WAYS_MAX; i++) {
		const struct way *w = peer->ways[i];

		for (size_t k = 0; w != NULL && w->stage >= WAY_GIVEN && k < WAY_TICKETS_MAX; k++)
			want_again(peer->p, w->refs[k], *(const uint64_t *)arg);
	}
}

void ticket_tick(struct policy *p, uint64_t now_ms)
{
	if (!hook_there(p, HOOK_TICKET))
		return;
	peers_each(p, want_live, &now_ms);
	start_wanted(p);
	for (struct check *c = p->checks, *next; c != NULL; c = next) {
		next = c->next;
		if (!c->running && !c->wanted && now_ms > c->used_ms + KEPT_MS)
			forget(p, c);
	}
}

void tickets_finish(struct policy *p)
{
	wait_owner_gone(p, NULL);
	while (p->held != NULL)
		drop_held(&p->held);
	while (p->checks != NULL)
		forget(p, p->checks);
}
