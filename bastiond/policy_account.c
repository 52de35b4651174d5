/*
 * policy_account.c - see policy_account.h: from the grants that want an account to the account at the target, and back.
 *
 * Role policy. What is wanted is read from the grants each second, never remembered: whatever ended a grant (its time, a word, a lock, a
 * departure, another policy beside this one), the account goes. Rows say what the targets were asked (account.h has the states); each
 * change is on disk with its event before the target hears of it, so a policy that starts anew goes on where the last one was killed.
 *
 *   grant ─▶ row CREATING ─▶ task "create" ─▶ row THERE ─▶ ways go on          grant over ─▶ row REMOVING ─▶ task "remove" ⟲ ─▶ row GONE
 *
 * The task is bastion-account(8), by a certificate that is good for it alone; the line it reads has a name by its grammar and numbers.
 * The account's end is set at the target, too: if the bastion is dead by then, the target removes it by itself.
 */
#include "policy_account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access_login.h"
#include "clock.h"
#include "log.h"
#include "policy_hook.h"
#include "policy_task.h"
#include "store_account.h"

#define RUNS_MAX 64		/* under way at once, of all hosts */
#define MAKE_MAX 64		/* new rows in one second */
#define TASK_MS 30000
#define FEW 1000		/* uids left: it is time for another range */

struct account_run {
	struct account_run *next;
	int64_t id;
	enum account_act act;
	int64_t until;
};

static struct account_run *run_of(const struct policy *p, int64_t id)
{
	struct account_run *run = p->account_runs;

	while (run != NULL && run->id != id)
		run = run->next;
	return run;
}

static size_t count_runs(const struct policy *p)
{
	size_t n = 0;

	for (const struct account_run *run = p->account_runs; run != NULL; run = run->next)
		n++;
	return n;
}

static void drop_run(struct policy *p, struct account_run *run)
{
	struct account_run **at = &p->account_runs;

	while (*at != run)
		at = &(*at)->next;
	*at = run->next;
	free(run);
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

/* A way to it is answered where the account is; the next one is for the tick. */
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
	moved = account_take(&a, act, until, answer, clock_wall());
	failed = !moved && a.line[0] != '\0';
	if (moved)
		kind = a.state == ACCOUNT_THERE ? EVENT_ACCOUNT_THERE : a.state == ACCOUNT_GONE ? EVENT_ACCOUNT_GONE : EVENT_ACCOUNT_REMOVE;
	else if (failed && strcmp(before, a.line) != 0)
		kind = EVENT_ACCOUNT_FAIL; /* once, not at each of the tries to come */
	else if (!failed && a.expiry != end)
		kind = EVENT_ACCOUNT_UNTIL;
	if (failed)
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
	if ((r->end != TASK_OK && r->end != TASK_EXIT) || r->out_len == 0) {
		answer.reply = REPLY_NO;
		snprintf(answer.line, sizeof(answer.line), "%s%s%s", task_end_name(r->end), r->line[0] != '\0' ? ": " : "", r->line);
	} else if (r->end != TASK_OK && (answer.reply == REPLY_OK || answer.reply == REPLY_GONE)) {
		/* a yes with a failure is one that somebody else may have written on the script's output */
		answer.reply = REPLY_NO;
		snprintf(answer.line, sizeof(answer.line), "the host said yes, and ended with status %u", (unsigned)r->status);
	} else if (answer.reply == REPLY_USED) {
		log_warn("uid of account %lld was used at its host before: was the database restored? A range of account_uids that lies higher "
			 "helps at once", (long long)was.id);
	}
	settle(p, was.id, was.act, was.until, &answer);
}

/* --- what is due --- */

static bool order(struct policy *p, const struct account *a, enum account_act act, int64_t until)
{
	struct account_run *run = NULL;
	char line[128];
	struct host h;
	struct task t = { .host = &h, .login = p->conf->account_login, .what = "account", .how = TASK_CERTIFICATE,
		.command = p->conf->account_command, .in = line, .limit_ms = TASK_MS, .done = on_done };

	/* a removal that failed before leaves room for what users wait for */
	t.background = a->tries > 0 && act == ACCOUNT_REMOVE;
	t.in_len = account_ask(line, sizeof(line), a, act, until, clock_wall());
	if (count_runs(p) >= RUNS_MAX || store_host_ever(p->store, a->host_id, &h) != 1 || (run = calloc(1, sizeof(*run))) == NULL)
		return false;
	*run = (struct account_run){ .next = p->account_runs, .id = a->id, .act = act, .until = until };
	p->account_runs = run;
	t.arg = run;
	if (task_run(p, &t) == 0)
		return true;
	drop_run(p, run);
	return false;
}

/* One row: a step on, if one is due. What cannot be asked now is due again the next second. */
static void step(struct policy *p, struct account *a)
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
		order(p, a, act, until);
}

/* A row for a grant that has none: the uid is given with it. */
static int make(struct policy *p, struct account *a, int64_t until)
{
	const int64_t now = clock_wall();
	int64_t low = 0, high = 0, room;
	struct host h;

	if (config_uids(p->conf->account_uids, &low, &high) != 0 || store_begin(p->store) < 0)
		return -1;
	if (store_account_add(p->store, a, low, high, now) < 0 || store_host_ever(p->store, a->host_id, &h) != 1 ||
	    event_writef(p->store, now, EVENT_ACCOUNT_CREATE, "bastiond", a->name, "{s:I, s:s, s:I, s:I}", "account", (json_int_t)a->id, "host", h.name,
		"uid", (json_int_t)a->uid, "until", (json_int_t)until) < 0) {
		if (now % 60 == 0) /* each second is a try */
			log_error("no account for %s: %s", a->name, store_error(p->store));
		store_rollback(p->store);
		return -1;
	}
	if (store_commit(p->store) < 0)
		return -1;
	if (store_account_room(p->store, low, high, &room) == 0 && room < FEW)
		log_warn("account_uids: %lld are left of %s; a range that lies higher must follow", (long long)room, p->conf->account_uids);
	return 0;
}

void accounts_tick(struct policy *p)
{
	struct account a = { .id = 0 };
	int64_t until;
	int r = 0, n = 0;

	/* a policy that retired only looks: the other one does it */
	while (!p->retired && !p->ending && (r = store_account_next(p->store, a.id, &a)) == 1)
		step(p, &a);
	while (!p->retired && !p->ending && r >= 0 && n++ < MAKE_MAX && (r = store_account_missing(p->store, clock_wall(), &a, &until)) == 1) {
		if (make(p, &a, until) != 0)
			break;
		step(p, &a);
	}
	if (r < 0)
		log_error("accounts at targets: %s", store_error(p->store));
	peers_each(p, resume_ways, NULL);
}

/* --- ways --- */

static void refuse(struct way *w, const struct account *a)
{
	char line[LINE_LEN];

	snprintf(line, sizeof(line), "bastiond: your account at %s %s: %s. Try again in a minute, or tell its administrators", w->host.name,
	    a->state == ACCOUNT_REMOVING ? "of an earlier grant is not removed yet" : "could not be made", a->line);
	authz_refuse(w, WAY_UNREACHABLE, line);
}

/* Goes on where the account is, ends where the last try failed, and waits otherwise. */
static void resume(struct way *w)
{
	struct policy *p = w->peer->p;
	struct account a;
	int r = store_account_of(p->store, w->peer->user.id, w->host.id, &a);

	if (r < 0)
		authz_refuse(w, WAY_BROKEN, "bastiond: the bastion cannot read its database; tell the operator");
	else if (r == 1 && account_ready(&a, w->until))
		authz_checked(w, NULL);
	else if (r == 1 && a.tries > 0 && run_of(p, a.id) == NULL)
		refuse(w, &a);
}

static void resume_ways(struct peer *peer, void *arg)
{
	(void)arg;
	for (size_t i = 0; i < PEER_WAYS_MAX; i++)
		if (peer->ways[i] != NULL && peer->ways[i]->stage == WAY_ACCOUNT)
			resume(peer->ways[i]);
}

bool account_holds_way(struct way *w, const char **line)
{
	struct policy *p = w->peer->p;
	struct account a;
	int64_t until;
	int r;

	if (strcmp(access_login(&w->host, &w->peer->user, w->login), LOGIN_SELF) != 0)
		return false;
	r = store_account_of(p->store, w->peer->user.id, w->host.id, &a);
	if (r == 1 && account_ready(&a, w->until))
		return false;
	w->stage = WAY_ACCOUNT;
	if (p->retired || r < 0)
		return true;
	/* somebody is there who needs it: not when its pause is over, now */
	if (r == 1 && a.tries > 0 && run_of(p, a.id) == NULL)
		a.next_at = clock_wall();
	if (r == 0) {
		a.user_id = w->peer->user.id;
		a.host_id = w->host.id;
		snprintf(a.name, sizeof(a.name), "%s", w->peer->user.name);
		if (store_account_until(p->store, a.user_id, a.host_id, clock_wall(), &until) != 1 || make(p, &a, until) != 0) {
			*line = "bastiond: the bastion can give out no account now: its log says why; tell the operator";
			return false;
		}
	}
	step(p, &a);
	return true;
}

void accounts_finish(struct policy *p)
{
	while (p->account_runs != NULL)
		drop_run(p, p->account_runs);
}
