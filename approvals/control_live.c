/*
 * control_live.c - sessions, kill, events, and what ends by itself. Policy role; see
 * control_word.h.
 */
#include "control_word.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"

#define TICK_MAX 32	/* endings in one turn, each durable by itself: the loop must go round, and a turn follows each word */

static json_t *sessions(struct call *k, int64_t id, int64_t sees, bool all)
{
	return store_list(k->s, LIST_SESSIONS,
	    &(struct list_ask){ .id = id,
		.user_id = sees,
		.after = arg_int(k, "after", 0),
		.now = k->now,
		.all = all,
		.limit = (int)arg_int(k, "limit", CONTROL_LIMIT) });
}

enum words_exit word_sessions(struct call *k)
{
	enum words_exit r = say_list(k, "sessions", LIST_SESSIONS,
	    (struct list_ask){ .user_id = is_admin(k) || k->me.auditor ? 0 : k->me.id, .after = arg_int(k, "after", 0),
		.all = arg_flag(k, "all"), .limit = (int)arg_int(k, "limit", CONTROL_LIMIT) });
	json_t *rows = json_object_get(k->reply, "rows");

	for (size_t i = 0; k->c->session_live != NULL && i < json_array_size(rows); i++) {
		json_t *row = json_array_get(rows, i);

		if (json_object_get(row, "ended") == NULL)
			k->c->session_live(k->c->arg,
			    json_integer_value(json_object_get(row, "id")),
			    json_integer_value(json_object_get(row, "way")), row);
	}
	return r;
}

/*
 * The event is written before anything can be seen: who watches whom, from now on. Policy writes
 * the other one when it is over. What the watched session says to it (no terminal, full) comes
 * later, when somebody is there to look.
 */
enum words_exit word_watch(struct call *k)
{
	int64_t id = arg_int(k, "id", 0);
	struct connection c;
	struct user u;
	char line[LINE_SHORT] = "Nobody can watch here.";
	enum words_exit e;
	int r = store_connection(k->s, id, &c);

	if (r == 0)
		return refuse(k, WORDS_NOT_FOUND, "Look at: sessions",
		    "There is no open session %lld.", (long long)id);
	if (r < 0 || store_user(k->s, c.user_id, &u) != 1)
		return broken(k);
	if (arg_int(k, "terminal", 0) > UINT32_MAX)
		return refuse(k, WORDS_NOT_FOUND, NULL, "There is no such terminal.");
	if (k->c->watch_new != NULL)
		k->watch = k->c->watch_new(k->c->arg, k->actor, k->name, id,
		    (uint32_t)arg_int(k, "terminal", 0), line, sizeof(line));
	if (k->watch == 0)
		return refuse(k, WORDS_REFUSED, NULL, "%s", line);
	if (event_writef(k->s, k->now, EVENT_WATCH, k->name, u.name, "{s:I,s:I}", "session",
		(json_int_t)id, "watch", (json_int_t)k->watch) < 0)
		return broken(k);
	e = say(k, "Session %lld of %s is shown.", (long long)id, u.name);
	say_more(k, "watch", json_integer(k->watch));
	return e;
}

enum words_exit word_blocks(struct call *k)
{
	return say_rows(k, "blocks", k->c->blocks != NULL ? k->c->blocks(k->c->arg) : json_array());
}

enum words_exit word_unblock(struct call *k)
{
	const char *network = arg_text(k, "network");
	int n = k->c->unblock != NULL ? k->c->unblock(k->c->arg, network, false) : 0;

	if (event_writef(k->s, k->now, EVENT_SOURCE_FREE, k->name, NULL, "{s:s,s:i,s:s*}", "network", network, "listed", n,
		"reason", arg_text(k, "reason")) < 0)
		return broken(k);
	k->unblock = network;
	return say(k, "Whoever was kept out of %s may connect again; %d in the list.", network, n);
}

enum words_exit word_kill(struct call *k)
{
	const char *reason = arg_text(k, "reason");
	int64_t id = arg_int(k, "id", 0);
	struct connection c;
	struct user u;
	char why[500];
	json_t *rows;
	size_t n;
	int r;

	if ((rows = sessions(k, id, is_admin(k) ? 0 : k->me.id, false)) == NULL)
		return broken(k);
	n = json_array_size(rows);
	json_decref(rows);
	if (n == 0)
		return refuse(k, WORDS_NOT_FOUND, "Look at: sessions",
		    "There is no session %lld that you could end.", (long long)id);
	if ((r = store_connection(k->s, id, &c)) != 1 || store_user(k->s, c.user_id, &u) != 1)
		return broken(k);
	if (event_writef(k->s, k->now, EVENT_SESSION_KILL, k->name, u.name, "{s:I,s:s*}", "session",
		(json_int_t)id, "reason", reason) < 0 ||
	    effect(k, END_CONNECTION, id, "Your session was ended by %s%s.", k->name,
		because(reason, why, sizeof(why))) < 0)
		return broken(k);
	return say(k, "Session %lld of %s ends.", (long long)id, u.name);
}

/* Is what the collectors acknowledged last, as this process knows it, still there? True, too, where that is not known. */
static bool is_shipped(struct call *k)
{
	uint8_t shipped[EVENT_HASH_LEN], here[EVENT_HASH_LEN];
	int64_t number;

	return k->c->shipped == NULL || !k->c->shipped(k->c->arg, &number, shipped) ||
	    (store_event_hash(k->s, number, here) == 1 && memcmp(here, shipped, sizeof(here)) == 0);
}

static enum words_exit verify(struct call *k)
{
	int64_t after = arg_int(k, "after", 0), last;
	char hex[2 * EVENT_HASH_LEN + 1], more[64] = "";
	struct event_report r;

	if (event_verify(k->s, after, &r) < 0)
		return broken(k);
	last = r.after + r.rows;
	if (r.bad != 0)
		return refuse(k, WORDS_REFUSED, "Compare with a backup: somebody changed the database.",
		    "Event %lld does not fit the chain; %lld before it do.", (long long)r.bad,
		    (long long)r.rows);
	for (size_t i = 0; i < EVENT_HASH_LEN; i++)
		snprintf(hex + 2 * i, 3, "%02x", r.head[i]);
	if (r.more)
		snprintf(more, sizeof(more), " Go on with --after %lld", (long long)last);
	if (!r.more && !is_shipped(k))
		return refuse(k, WORDS_REFUSED, "bastion-replay events shows the first that was changed; so does bastionctl "
		    "events verify --against its list.", "The chain fits, but it is another one than the collectors have.");
	if (say(k, "All %lld events%s fit the chain. %s: %lld %s%s", (long long)r.rows,
		r.after > 0 ? " after that" : "", r.more ? "The last of them" : "Head", (long long)last,
		hex, more) != WORDS_OK)
		return WORDS_BROKEN;
	say_more(k, "events", json_integer(r.rows));
	say_more(k, "number", json_integer(last));
	say_more(k, "hash", json_string(hex));
	if (r.more)
		say_more(k, "more", json_true());
	return WORDS_OK;
}

enum words_exit word_events(struct call *k)
{
	if (arg_flag(k, "verify"))
		return verify(k);
	return say_list(k, "events", LIST_EVENTS,
	    (struct list_ask){ .text = arg_text(k, "user"), .after = arg_int(k, "after", 0), .limit = (int)arg_int(k, "limit", CONTROL_LIMIT) });
}

/* --- what ends by itself --- */

/* One ticket over: its state, its event; then its ways. 0, or -1. */
static int lapse(struct control *c, struct ticket *t, int64_t now)
{
	bool granted = ticket_gives_access(t->state);
	char line[LINE_SHORT];
	struct user u;

	if (store_begin(c->store) < 0)
		return -1;
	if (store_user(c->store, t->user_id, &u) < 0 ||
	    store_ticket_move(c->store, t, ACT_LAPSE, NULL, NULL, now) != 1 ||
	    event_writef(c->store, now, granted ? EVENT_GRANT_END : EVENT_EXPIRE, "bastiond",
		u.name, "{s:I}", "request", (json_int_t)t->id) < 0) {
		store_rollback(c->store);
		return -1;
	}
	if (store_commit(c->store) < 0)
		return -1;
	snprintf(line, sizeof(line), "Grant %lld has ended. Ask for more: ssh %s@%s request",
	    (long long)t->id, u.name, c->name);
	if (granted)
		c->end(c->arg, END_GRANT, t->id, line);
	return 0;
}

/* An account over: locked, so that it says so. 0, or -1. */
static int expire(struct control *c, const struct user *u, int64_t now)
{
	if (store_begin(c->store) < 0)
		return -1;
	if (store_user_state(c->store, u->id, USER_LOCKED, "the account ended", now) < 0 ||
	    event_write(c->store, now, EVENT_USER_EXPIRE, "bastiond", u->name, NULL) < 0) {
		store_rollback(c->store);
		return -1;
	}
	if (store_commit(c->store) < 0)
		return -1;
	c->end(c->arg, END_USER, u->id, "Your account has ended.");
	return 0;
}

/* What was counted until `due` becomes events. 0, or -1. */
static int tell_left_out(struct control *c, int64_t now, int64_t due)
{
	struct refusals_user *u;
	struct user who;

	while ((u = refusals_due(&c->refusals, due)) != NULL) {
		const char *name = u->id == REFUSALS_ROOT ? "root" : "others";
		const int64_t user = u->id < REFUSALS_ROOT ? REFUSALS_LOGINS(u->id) : u->id;

		if (user > 0 && store_user(c->store, user, &who) == 1)
			name = who.name;
		if (event_writef(c->store, now, EVENT_LEFT_OUT, name, NULL, "{s:I,s:I}", "left_out",
			(json_int_t)u->left_out, "since", (json_int_t)u->since) < 0)
			return -1;
		log_warn("%llu refusals of %s were too many for the list of events",
		    (unsigned long long)u->left_out, name);
		refusals_told(u);
	}
	return 0;
}

void control_finish(struct control *c)
{
	if (tell_left_out(c, c->now != NULL ? c->now(c->arg) : clock_wall(), FOREVER) < 0)
		log_error("refusals that were counted only: %s", store_error(c->store));
}

int64_t control_tick(struct control *c, int64_t now)
{
	int64_t next = FOREVER, users = FOREVER;
	struct ticket t;
	struct user u;
	int r = 0, i, j;

	for (i = 0; i < TICK_MAX && (r = store_ticket_due(c->store, now, &t, &next)) == 1; i++)
		if ((r = lapse(c, &t, now)) < 0)
			break;
	for (j = 0; r >= 0 && j < TICK_MAX && (r = store_user_due(c->store, now, &u, &users)) == 1;
	     j++)
		if ((r = expire(c, &u, now)) < 0)
			break;
	if (r < 0 || tell_left_out(c, now, now) < 0) {
		log_error("tick: %s", store_error(c->store));
		return -1;
	}
	if (i == TICK_MAX || j == TICK_MAX)
		return now; /* there is more than one turn holds */
	if (refusals_next(&c->refusals) < next)
		next = refusals_next(&c->refusals);
	return next < users ? next : users;
}
