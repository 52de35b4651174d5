/*
 * policy_account.c - see policy_account.h: from the grants that want an account to the account at the target, and back.
 *
 * Role policy. What is wanted is read from the grants each second, never remembered: whatever ended a grant (its time, a word, a lock, a
 * departure, another policy beside this one), the account goes. Rows say what the targets were asked (account.h has the states); each
 * change is on disk with its event before the target hears of it, so a policy that starts anew goes on where the last one was killed.
 *
 *   grant ─▶ row CREATING ─▶ task "create" ─▶ row THERE ─▶ ways go on          grant over ─▶ row REMOVING ─▶ task "remove" ⟲ ─▶ row GONE
 *
 * The task is bastion-account(8), by a certificate that is good for it alone; the line it reads has a name by its grammar, numbers and the
 * bastion's id. The account's end is set at the target, too: if the bastion is dead by then, the target removes it by itself.
 *
 * No turn looks at more than LOOK_MAX rows, of what is due and of all, each look going on where the last one ended. A host has HOST_RUNS places, and
 * what hangs or is tried again has half of all: whoever a host makes wait, it is nobody of another host.
 */
#include "policy_account.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access_login.h"
#include "clock.h"
#include "log.h"
#include "policy_hook.h"
#include "policy_slow.h"
#include "policy_task.h"
#include "store_account.h"

#define RUNS_MAX 96		/* under way at once, of all hosts, */
#define BACK_MAX 32		/* of these for nobody who waits: at slow hosts, and removals that failed before, */
#define SLOW_RUNS 32		/* and for who waits for a slow host */
#define HOST_RUNS 2		/* of these at one host: it does one after the other. A slow one has one */
#define LOOK_MAX 256		/* rows that one look reads */
#define MAKE_MAX 64		/* new rows in one second */
#define TASK_MS 30000
#define HOLD_WAIT_S 30		/* so long a login waits for the pause after the account before */
#define UIDS_MS 60000		/* how many are left is looked at so often, */
#define UIDS_AGAIN_MS 86400000	/* and told again */
#define HELD_MS 60000		/* so often the log says that uids are held back */

struct account_run {
	struct account_run *next;
	int64_t id, host_id;
	bool background, slow;
	enum account_act act;
	int64_t until;
};

struct accounts {
	struct account_run *runs;
	int64_t due_at, due_id, open_id, wanted_user, wanted_host;	/* where the looks go on */
	uint64_t uids_ms, told_ms, held_ms;
	unsigned told;				/* of the uids: 1: few are left, 2: none */
	char bastion[BASTION_ID_LEN + 1];
};

/* NULL: no memory; the next second tries again. */
static struct accounts *accounts(struct policy *p)
{
	if (p->accounts != NULL || (p->accounts = calloc(1, sizeof(*p->accounts))) == NULL)
		return p->accounts;
	if (store_bastion_id(p->store, p->accounts->bastion) == 0)
		return p->accounts;
	log_error("accounts at targets: %s", store_error(p->store));
	free(p->accounts);
	return p->accounts = NULL;
}

static struct account_run *run_of(const struct policy *p, int64_t id)
{
	struct account_run *run = p->accounts != NULL ? p->accounts->runs : NULL;

	while (run != NULL && run->id != id)
		run = run->next;
	return run;
}

static void drop_run(struct policy *p, struct account_run *run)
{
	struct account_run **at = &p->accounts->runs;

	while (*at != run)
		at = &(*at)->next;
	*at = run->next;
	free(run);
}

static size_t count_runs(const struct accounts *all)
{
	size_t n = 0;

	for (const struct account_run *run = all->runs; run != NULL; run = run->next)
		n++;
	return n;
}

static bool has_place(const struct accounts *all, const struct account_run *new)
{
	size_t here = 0, back = 0, slow = 0;

	for (const struct account_run *run = all->runs; run != NULL; run = run->next) {
		here += run->host_id == new->host_id;
		back += run->background;
		slow += run->slow && !run->background;
	}
	if (count_runs(all) >= RUNS_MAX || here >= (new->background || new->slow ? 1 : HOST_RUNS))
		return false;
	return new->background ? back < BACK_MAX : !new->slow || slow < SLOW_RUNS;
}

/* The row, and with kind an event about it. 0, or -1, logged. */
static int save(struct policy *p, const struct account *a, enum event_kind kind)
{
	struct host h;

	if (store_begin(p->store) < 0)
		goto failed;
	if (store_account_save(p->store, a) < 0 || store_host_ever(p->store, a->host_id, &h) != 1 ||
	    (kind != EVENT_COUNT &&
		event_writef(p->store, clock_wall(), kind, "bastiond", a->name, "{s:I, s:s, s:I, s:I, s:s, s:i}", "account", (json_int_t)a->id, "host",
		    h.name, "uid", (json_int_t)a->uid, "until", (json_int_t)a->expiry, "line", a->line, "tries", (int)a->tries) < 0)) {
		store_rollback(p->store);
		goto failed;
	}
	if (store_commit(p->store) == 0)
		return 0;
failed:
	log_error("account %lld of %s: %s", (long long)a->id, a->name, store_error(p->store));
	return -1;
}

/* --- what the target said --- */

static void resume_ways(struct peer *peer, void *arg);

/* A way to it is answered where the account is; the next one is for the tick. What another policy wrote meanwhile is not undone: the arrows hold. */
static void settle(struct policy *p, int64_t id, enum account_act act, int64_t until, const struct account_answer *answer)
{
	enum event_kind kind = EVENT_COUNT;
	struct account a;
	char before[ACCOUNT_LINE_MAX + 1];
	bool failed, moved;

	if (store_account(p->store, id, &a) != 1) {
		log_error("account %lld: %s", (long long)id, store_error(p->store));
		return;
	}
	memcpy(before, a.line, sizeof(before));
	const int64_t end = a.expiry;
	if (answer->reply == REPLY_USED && a.state == ACCOUNT_CREATING)
		log_warn("uid of account %lld was used at its host before: was the database restored? A range of account_uids that lies higher "
			 "helps at once", (long long)id);
	moved = account_take(&a, act, until, answer, clock_wall());
	failed = !moved && a.line[0] != '\0';
	if (moved)
		kind = a.state == ACCOUNT_THERE ? EVENT_ACCOUNT_THERE : a.state == ACCOUNT_GONE ? EVENT_ACCOUNT_GONE : EVENT_ACCOUNT_REMOVE;
	else if (failed && strcmp(before, a.line) != 0)
		kind = EVENT_ACCOUNT_FAIL; /* once, not at each of the tries to come */
	else if (!failed && a.expiry != end)
		kind = EVENT_ACCOUNT_UNTIL;
	if (failed && act == ACCOUNT_REMOVE && answer->reply == REPLY_FOREIGN && !a.told) {
		/* it lives, and nobody will ask for its removal but who reads this */
		a.told = true;
		kind = EVENT_ACCOUNT_LEFT;
		log_error("ALARM: account %lld of %s, uid %lld, is not removed: %s", (long long)a.id, a.name, (long long)a.uid, a.line);
	} else if (failed)
		log_warn("account %lld of %s, uid %lld, %s: %s", (long long)a.id, a.name, (long long)a.uid, account_state_name(a.state), a.line);
	save(p, &a, kind);
	peers_each(p, resume_ways, NULL);
}

static void on_done(struct policy *p, void *arg, const struct task_result *r)
{
	struct account_run *run = arg;
	const struct account_run was = *run;
	struct account_answer answer;

	drop_run(p, run);
	account_parse(&answer, r->out, r->out_len);
	if (r->end == TASK_EXIT && r->status == 2 && r->out_len == 0) {
		answer.reply = REPLY_NO;
		snprintf(answer.line, sizeof(answer.line), "bastion-account at the host is another version: install the one of this bastion there "
		    "(share/bastiond/target/bastion-account; at an upgrade hosts come before the bastion)");
	} else if ((r->end != TASK_OK && r->end != TASK_EXIT) || r->out_len == 0) {
		answer.reply = REPLY_NO;
		snprintf(answer.line, sizeof(answer.line), "%s%s%s", task_end_name(r->end), r->line[0] != '\0' ? ": " : "", r->line);
	} else if (r->end != TASK_OK && (answer.reply == REPLY_OK || answer.reply == REPLY_GONE)) {
		/* a yes with a failure is one that somebody else may have written on the script's output */
		answer.reply = REPLY_NO;
		snprintf(answer.line, sizeof(answer.line), "the host said yes, and ended with status %u", (unsigned)r->status);
	}
	settle(p, was.id, was.act, was.until, &answer);
}

/* --- what is due --- */

/* waits: somebody does, for this account. */
static bool order(struct policy *p, const struct account *a, enum account_act act, int64_t until, bool waits)
{
	struct accounts *all = accounts(p);
	struct account_run new = { .id = a->id, .host_id = a->host_id, .slow = slow_is(p, a->host_id), .act = act, .until = until }, *run = NULL;
	char line[192];
	struct host h;
	struct task t = { .host = &h, .login = p->conf->account_login, .what = "account", .how = TASK_CERTIFICATE,
		.command = p->conf->account_command, .in = line, .limit_ms = TASK_MS, .done = on_done };

	if (all == NULL)
		return false;
	/* what may hang, and a removal that failed before, leave room for what users wait for */
	t.background = new.background = !waits && (new.slow || (a->tries > 0 && act == ACCOUNT_REMOVE));
	t.look = a->state == ACCOUNT_THERE && until == a->expiry; /* is it there still? */
	t.in_len = account_ask(line, sizeof(line), a, act, until, clock_wall(), all->bastion);
	if (!has_place(all, &new) || store_host_ever(p->store, a->host_id, &h) != 1 || (run = malloc(sizeof(*run))) == NULL)
		return false;
	*run = new;
	run->next = all->runs;
	all->runs = run;
	t.arg = run;
	if (task_run(p, &t) == 0)
		return true;
	drop_run(p, run);
	return false;
}

/* One row: a step on, if one is due. What cannot be asked now is due again the next second. */
static void step(struct policy *p, struct account *a, bool waits)
{
	const enum account_state was = a->state;
	const int64_t now = clock_wall();
	enum account_act act;
	int64_t until;

	if (store_account_until(p->store, a->user_id, a->host_id, now, &until) < 0) {
		log_error("account %lld of %s: %s", (long long)a->id, a->name, store_error(p->store));
		return;
	}
	act = account_due(a, until, now);
	if (a->state != was && save(p, a, EVENT_ACCOUNT_REMOVE) != 0)
		return;
	if (account_left(a, now)) {
		a->told = true;
		log_error("ALARM: account %lld of %s, uid %lld, is not removed: %s", (long long)a->id, a->name, (long long)a->uid, a->line);
		if (save(p, a, EVENT_ACCOUNT_LEFT) != 0)
			return;
	}
	if (act != ACCOUNT_REST && run_of(p, a->id) == NULL)
		order(p, a, act, until, waits);
}

/* --- uids --- */

/* A tenth of the range, or none at all, is an event, once a day until there is another range. */
static void look_at_uids(struct policy *p, struct accounts *all)
{
	int64_t low = 0, high = 0, room = 0;
	unsigned level;

	all->uids_ms = clock_mono_ms() + UIDS_MS;
	if (config_uids(p->conf->account_uids, &low, &high) != 0 || store_account_room(p->store, low, high, &room) != 0)
		return;
	level = room == 0 ? 2 : room <= (high - low + 1) / 10;
	if (level < all->told)
		all->told = level;
	if (level == 0 || (level == all->told && clock_mono_ms() < all->told_ms))
		return;
	log_error("ALARM: account_uids: %lld are left of %s; a range that lies higher must follow", (long long)room, p->conf->account_uids);
	if (event_writef(p->store, clock_wall(), EVENT_ACCOUNT_UIDS, "bastiond", NULL, "{s:I, s:s}", "left", (json_int_t)room, "range",
		p->conf->account_uids) < 0)
		return;
	all->told = level;
	all->told_ms = clock_mono_ms() + UIDS_AGAIN_MS;
}

/* A row for a grant that has none: the uid is given with it. 0, or -1 with errno as store_account_add(), logged from time to time. */
static int make(struct policy *p, struct account *a, int64_t until)
{
	const int64_t now = clock_wall();
	struct accounts *all = accounts(p);
	int64_t low = 0, high = 0;
	struct host h;

	if (all == NULL || config_uids(p->conf->account_uids, &low, &high) != 0 || store_begin(p->store) < 0)
		return -1;
	if (store_account_add(p->store, a, low, high, (int)p->conf->account_hourly, now) < 0 || store_host_ever(p->store, a->host_id, &h) != 1 ||
	    event_writef(p->store, now, EVENT_ACCOUNT_CREATE, "bastiond", a->name, "{s:I, s:s, s:I, s:I}", "account", (json_int_t)a->id, "host", h.name,
		"uid", (json_int_t)a->uid, "until", (json_int_t)until) < 0) {
		const int e = errno;

		if (clock_mono_ms() >= all->held_ms) { /* each second is a try */
			all->held_ms = clock_mono_ms() + HELD_MS;
			log_error("no account for %s: %s", a->name, store_error(p->store));
		}
		store_rollback(p->store);
		errno = e;
		return -1;
	}
	if (store_commit(p->store) < 0)
		return -1;
	look_at_uids(p, all);
	return 0;
}

/* --- the looks of each second --- */

static int look_at_due(struct policy *p, struct accounts *all)
{
	struct account a;
	int r = 1;

	/* who finds no place is the next to get one */
	for (int n = 0; n < LOOK_MAX && count_runs(all) < RUNS_MAX &&
	     (r = store_account_due(p->store, clock_wall(), &all->due_at, &all->due_id, &a)) == 1; n++)
		step(p, &a, false);
	if (r == 0)
		all->due_at = all->due_id = 0;
	return r;
}

/* All, in turn: a grant that ended early, or has another end now, a clock that was set back. */
static int look_at_open(struct policy *p, struct accounts *all)
{
	struct account a = { .id = all->open_id };
	int r = 1;

	for (int n = 0; n < LOOK_MAX && (r = store_account_next(p->store, a.id, &a)) == 1; n++)
		step(p, &a, false);
	all->open_id = r == 1 ? a.id : 0;
	return r;
}

static int look_at_wanted(struct policy *p, struct accounts *all)
{
	const int64_t now = clock_wall();
	struct account a = { .user_id = all->wanted_user, .host_id = all->wanted_host };
	int64_t until, at;
	int r = 1, made = 0;

	for (int n = 0; n < LOOK_MAX && made < MAKE_MAX && (r = store_account_wanted(p->store, now, &a, &until)) == 1; n++) {
		struct account new = a;

		if (a.id != 0 || store_account_hold(p->store, &a, (int)p->conf->account_hourly, now, false, &at) != HOLD_NONE)
			continue;
		made++;
		if (make(p, &new, until) == 0)
			step(p, &new, false);
	}
	all->wanted_user = r == 1 ? a.user_id : 0;
	all->wanted_host = r == 1 ? a.host_id : 0;
	return r;
}

void accounts_tick(struct policy *p)
{
	struct accounts *all;

	/* who waits has the first places; a policy that retired only looks: the other one does it */
	peers_each(p, resume_ways, NULL);
	if (!p->retired && !p->ending && (all = accounts(p)) != NULL) {
		if (look_at_due(p, all) < 0 || look_at_open(p, all) < 0 || look_at_wanted(p, all) < 0)
			log_error("accounts at targets: %s", store_error(p->store));
		if (clock_mono_ms() >= all->uids_ms)
			look_at_uids(p, all);
	}
	peers_each(p, resume_ways, NULL);
}

/* --- ways --- */

static void refuse(struct way *w, const struct account *a)
{
	static const char *const what[ACCOUNT_STATES] = {
		[ACCOUNT_CREATING] = "could not be made", [ACCOUNT_REMOVING] = "of an earlier grant is not removed yet",
		[ACCOUNT_THERE] = "is not confirmed by the host",
	};
	char line[LINE_LEN];

	snprintf(line, sizeof(line), "bastiond: your account at %s %s: %s. Try again in a minute, or tell its administrators", w->host.name,
	    what[a->state], a->line);
	authz_refuse(w, WAY_UNREACHABLE, line);
}

/* The host is asked again whether it is there. Also by a policy that retired: of what is there it changes nothing. */
static void verify(struct policy *p, const struct account *a)
{
	int64_t until;

	if (a->state == ACCOUNT_THERE && run_of(p, a->id) == NULL &&
	    store_account_until(p->store, a->user_id, a->host_id, clock_wall(), &until) == 1 && until == a->expiry)
		order(p, a, ACCOUNT_CREATE, until, true);
}

/*
 * What the host is asked for a way: one try of its own, which one is that runs already, whatever the pause after others is. It goes before
 * what is done in the background, also at a host that is slow.
 */
static void ask_for(struct way *w, struct account *a)
{
	struct policy *p = w->peer->p;

	verify(p, a);
	if (!p->retired && run_of(p, a->id) == NULL) {
		a->next_at = clock_wall();
		step(p, a, true);
	}
	if (run_of(p, a->id) != NULL)
		w->account = a->id;
}

/* A row for who waits for it. False, and why: not now. */
static bool make_for(struct way *w, struct account *a, char *line, size_t size)
{
	struct policy *p = w->peer->p;
	const int64_t now = clock_wall();
	int64_t until, at = 0;
	int hold;

	*a = (struct account){ .user_id = w->peer->user.id, .host_id = w->host.id };
	snprintf(a->name, sizeof(a->name), "%s", w->peer->user.name);
	errno = 0;
	hold = store_account_hold(p->store, a, (int)p->conf->account_hourly, now, true, &at);
	if (hold == HOLD_PAIR && at - now <= HOLD_WAIT_S)
		return true; /* resume() makes it then */
	if (hold == HOLD_PAIR)
		snprintf(line, size, "bastiond: your account at %s was made and removed several times within an hour; the next one is made in %lld s. "
		    "Try again then", w->host.name, (long long)(at - now));
	else if (hold == HOLD_PERSON)
		snprintf(line, size, "bastiond: you got %lld accounts at hosts within an hour, which is the limit (account_hourly); the next one is made in "
		    "%lld s. Try again then, or tell the operator", (long long)p->conf->account_hourly, (long long)(at - now));
	else if (hold < 0 || store_account_until(p->store, a->user_id, a->host_id, now, &until) != 1 || make(p, a, until) != 0)
		snprintf(line, size, "bastiond: the bastion can give out no account now: %s; tell the operator",
		    errno == ERANGE ? "its account_uids are used up" : "its log says why");
	return line[0] == '\0';
}

/* Goes on where the account is, ends where its own try failed, and waits otherwise: what failed before it came says nothing about now. */
static void resume(struct way *w)
{
	struct policy *p = w->peer->p;
	char line[LINE_LEN] = "";
	struct account a;
	int r = store_account_of(p->store, w->peer->user.id, w->host.id, &a);

	if (r < 0)
		authz_refuse(w, WAY_BROKEN, "bastiond: the bastion cannot read its database; tell the operator");
	else if (r == 1 && account_ready(&a, w->until, clock_wall()))
		authz_checked(w, NULL);
	else if (r == 1 && a.tries > 0 && w->account == a.id && run_of(p, a.id) == NULL)
		refuse(w, &a);
	else if (r == 0 && !w->peer->p->retired && !make_for(w, &a, line, sizeof(line)))
		authz_refuse(w, WAY_BUSY, line);
	else if (a.id != 0)
		ask_for(w, &a);
}

static void resume_ways(struct peer *peer, void *arg)
{
	(void)arg;
	for (size_t i = 0; i < PEER_WAYS_MAX; i++)
		if (peer->ways[i] != NULL && peer->ways[i]->stage == WAY_ACCOUNT)
			resume(peer->ways[i]);
}

bool account_holds_way(struct way *w, char *line, size_t size)
{
	struct policy *p = w->peer->p;
	struct account a;
	int r;

	if (strcmp(access_login(&w->host, &w->peer->user, w->login), LOGIN_SELF) != 0)
		return false;
	r = store_account_of(p->store, w->peer->user.id, w->host.id, &a);
	if (r == 1 && account_ready(&a, w->until, clock_wall()))
		return false;
	w->stage = WAY_ACCOUNT;
	if (r == 0 && !p->retired && !make_for(w, &a, line, size))
		return false;
	if (r >= 0 && a.id != 0)
		ask_for(w, &a);
	return true;
}

void accounts_finish(struct policy *p)
{
	while (p->accounts != NULL && p->accounts->runs != NULL)
		drop_run(p, p->accounts->runs);
	free(p->accounts);
	p->accounts = NULL;
}
