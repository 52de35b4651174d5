/*
 * policy_live.c - what is open and has to end: expiry, revocation, lock, kill (promise P7: within a
 * second).
 *
 * Role policy. Two sources: control.c calls live_end() for what a word or the store's own clock
 * ended; a way's `until` covers what no row says (hours of a role, end of an account). One timer
 * stands at the nearest of these moments; the tick of every second looks again, because wall clocks
 * jump.
 */
#include <stdio.h>
#include <string.h>

#include "access_line.h"
#include "brec.h"
#include "clock.h"
#include "grant_note.h"
#include "log.h"
#include "policy_hook.h"
#include "policy_others.h"

struct ending {
	enum end_what what;
	int64_t id;
	const char *line;
	unsigned hits;		/* connections that it ended */
};

static bool carry(struct way *w, int64_t now);

static void end_way(struct way *w, enum way_refusal refusal, const char *line)
{
	if (w->stage < WAY_GIVEN)
		authz_refuse(w, refusal, line);
	else
		peer_way_end(w, refusal == WAY_EXPIRED ? BREC_END_EXPIRED : BREC_END_KILLED, line);
}

static bool peer_concerned(const struct peer *peer, const struct ending *e)
{
	switch (e->what) {
	case END_USER:
		return peer->user.id == e->id;
	case END_DEVICE:
		return peer->device.id == e->id;
	case END_CONNECTION:
		return peer->row.id == e->id;
	default:
		return false;
	}
}

/* Rules changed: does each grant that it rests on still allow what it allowed, and until when? */
static void look_again(struct way *w)
{
	struct peer *peer = w->peer;
	int64_t until = FOREVER, now = clock_wall();
	char line[LINE_LEN];
	unsigned caps = 0;

	if (w->stage == WAY_EARLY) {
		authz_refuse(w, WAY_DENIED, "rules changed");
		return;
	}
	for (size_t i = 0; i < WAY_TICKETS_MAX && w->tickets[i] != 0; i++) {
		struct access_answer a;

		control_way_again(&peer->p->control, peer->user.id, peer->address, w->host.name, w->login,
		    w->tickets[i], &a);
		if (a.refusal != 0) {
			/* its time may just be over, and another process saw that before our deadline came */
			if (w->stage < WAY_GIVEN || w->until > now || !carry(w, now))
				end_way(w, a.refusal, a.line);
			return;
		}
		caps |= a.caps;
		if (a.until < until)
			until = a.until;
	}
	w->until = until;
	if ((w->caps & ~caps) != 0) {
		snprintf(line, sizeof(line), "bastiond: a rule denies now what this session may do: session ended. Why: ssh %s@%s explain %s@%s",
		    peer->user.name, peer->p->control.name, w->login, w->host.name);
		end_way(w, WAY_DENIED, line);
	}
}

/* The store lets grants end whose time is over before our own deadline is looked at. */
static bool time_is_over(const struct way *w)
{
	return w->stage >= WAY_GIVEN && w->until <= clock_wall();
}

static void end_in_peer(struct peer *peer, void *arg)
{
	struct ending *e = arg;

	if (peer->auth == PEER_STRANGER)
		return;
	if (e->what == END_GRANT) {
		for (size_t i = 0; i < PEER_WAYS_MAX; i++)
			if (peer->ways[i] != NULL && way_rests_on(peer->ways[i], e->id))
				end_way(peer->ways[i], time_is_over(peer->ways[i]) ? WAY_EXPIRED : WAY_REVOKED, e->line);
		return;
	}
	if (e->what == END_DENIED) {
		for (size_t i = 0; i < PEER_WAYS_MAX && peer->auth == PEER_IN; i++)
			if (peer->ways[i] != NULL && peer->ways[i]->ending_ms == 0)
				look_again(peer->ways[i]);
		return;
	}
	/* Who has only proven a key is not in yet; authn_login() asks again. */
	if (peer->auth != PEER_IN || !peer_concerned(peer, e))
		return;
	e->hits++;
	log_info("connection %lld of %s ends: %s", (long long)peer->row.id, peer->user.name,
	    e->line);
	for (size_t i = 0; i < PEER_WAYS_MAX; i++)
		if (peer->ways[i] != NULL)
			end_way(peer->ways[i], WAY_LOCKED, e->line);
	peer_end(peer, e->line);
}

void live_end(void *arg, enum end_what what, int64_t id, const char *line)
{
	struct ending e = { what, id, line, 0 };

	if (id == 0)
		return;
	if (what == END_USER)
		watches_of_user_end(arg, id, line);
	peers_each(arg, end_in_peer, &e);
	if (what == END_CONNECTION && e.hits == 0)
		others_kill(arg, id, line);
}

struct scan {
	int64_t now, next;
};

#define REMIND_S 300	/* before the end, of what is at least twice as long */

/* Once, to the terminal and to who is to hear of it. */
static void remind(struct way *w)
{
	struct peer *peer = w->peer;
	char line[256], when[32];

	w->reminded = true;
	snprintf(line, sizeof(line), "bastiond: your grant %lld ends at %s. More time: ssh %s@%s extend %lld --for 1h",
	    (long long)w->tickets[0], clock_format(when, sizeof(when), w->until), peer->user.name, peer->p->control.name,
	    (long long)w->tickets[0]);
	peer_way_say(w, line);
	peer_event(peer, EVENT_GRANT_ENDING, "bastiond", peer->user.name, json_pack("{s:I, s:I, s:s, s:s}", "request",
	    (json_int_t)w->tickets[0], "until", (json_int_t)w->until, "host", w->host.name, "login", w->login));
}

/* All that it may, which is more than its capabilities' names: where to it forwards, which commands it runs. */
static bool rights_within(const struct way *w, const struct access_answer *a, const struct ticket *t)
{
	struct access_role under = { .caps = a->caps };
	struct ticket now;

	memcpy(under.forwards, t->forwards, sizeof(under.forwards));
	memcpy(under.commands, t->commands, sizeof(under.commands));
	if ((w->caps & ~a->caps) != 0)
		return false;
	for (size_t i = 0; i < WAY_TICKETS_MAX && w->tickets[i] != 0; i++)
		if (store_ticket(w->peer->p->store, w->tickets[i], &now) != 1 ||
		    !access_rights_within(&under, w->caps, now.forwards, now.commands))
			return false;
	return true;
}

struct next {
	const struct way *w;
	struct host h;
	int64_t now;
	char line[LINE_LEN];	/* why the first that had all this was not for this host; "" */
};

/*
 * Has it all that the way may do, and on the same outside ticket? A host that wants an approval by somebody who knew the device wants it of
 * this one, too. One that wants a fresh code had it when the way opened, and has it for each new channel: nothing opens here.
 */
static bool could_follow(void *arg, const struct ticket *t, const struct access_answer *a, char *line, size_t size)
{
	struct next *n = arg;

	if (t->id == n->w->tickets[0] || a->until <= n->now || n->h.id != n->w->host.id || strcmp(t->ref, n->w->refs[0]) != 0 ||
	    !rights_within(n->w, a, t))
		return false;
	if (class_knows(n->w->peer, &n->h, t->id, line, size))
		return true;
	if (n->line[0] == '\0')
		snprintf(n->line, sizeof(n->line), "%s", line);
	return false;
}

/*
 * Which grant could follow the one that is over? The first of those that it could begin under now; else one that it rests on, whose logins may
 * all be used: this one was counted when it joined. a->refusal != 0: none.
 */
static void find_next(struct way *w, struct next *n, struct access_answer *a)
{
	const struct access_more more = { could_follow, n };
	struct peer *peer = w->peer;

	control_way_more(&peer->p->control, peer->user.id, peer->address, w->host.name, w->login, NULL, 0, &more, a, &n->h);
	for (size_t i = 1; i < WAY_TICKETS_MAX && w->tickets[i] != 0 && a->refusal != 0; i++)
		control_way_more(&peer->p->control, peer->user.id, peer->address, w->host.name, w->login, NULL, w->tickets[i], &more, a, &n->h);
}

/* Counted as a login and said in the list of events, or neither. */
static bool count_move(struct way *w, int64_t ticket, int64_t now)
{
	struct peer *peer = w->peer;
	struct store *s = peer->p->store;

	if (store_begin(s) != 0)
		return false;
	if ((way_rests_on(w, ticket) || store_grant_use(s, ticket, w->row.id, peer->user.name, now) == 0) &&
	    peer_event(peer, EVENT_GRANT_CARRIED, "bastiond", peer->user.name, json_pack("{s:I, s:I, s:I}", "way", (json_int_t)w->row.id,
		"from", (json_int_t)w->tickets[0], "to", (json_int_t)ticket)) == 0)
		return store_commit(s) == 0;
	store_rollback(s);
	return false;
}

/* Recorded once it is counted: the recording names no grant that was refused. One that it rests on is in it already. */
static bool move_to(struct way *w, const struct access_answer *a, int64_t now)
{
	const bool further = !way_rests_on(w, a->ticket);
	struct buf body;
	bool moved;

	buf_init(&body, GRANT_META_MAX + 4);
	moved = (!further || grant_further(w, a, &body) == 0) && count_move(w, a->ticket, now);
	if (moved && further)
		link_send(&w->peer->link, MSG_WAY_GRANT, w->id, &body, NULL, 0);
	buf_finish(&body);
	return moved;
}

/* Its grant is over. Is there another one in force, with all that it may? Then it goes on under that. */
static bool carry(struct way *w, int64_t now)
{
	struct next n = { .w = w, .now = now };
	struct access_answer a;
	char line[256], when[32];

	if (w->row.apart) /* the collectors that have it are for one break-glass grant: another one is another session */
		return false;
	find_next(w, &n, &a);
	if (a.refusal != 0 && n.line[0] != '\0')
		peer_way_say(w, n.line);
	if (a.refusal != 0 || !move_to(w, &a, now))
		return false;
	snprintf(line, sizeof(line), "bastiond: your grant %lld is over" GRANT_NOTE_MOVES "%lld, until %s", (long long)w->tickets[0],
	    (long long)a.ticket, clock_format(when, sizeof(when), a.until));
	memset(&w->tickets[1], 0, sizeof(w->tickets) - sizeof(w->tickets[0])); /* that one allows what these did */
	memset(&w->refs[1], 0, sizeof(w->refs) - sizeof(w->refs[0]));
	w->tickets[0] = a.ticket;
	w->until = a.until;
	w->began = now;
	w->reminded = false;
	w->said = w->said && w->glass && a.glass;
	w->glass = a.glass;
	peer_way_say(w, line);
	peer_way_say_glass(w);
	return true;
}

/* Before the store lets the grants end. */
static void carry_ways(struct peer *peer, void *arg)
{
	const struct scan *s = arg;

	for (size_t i = 0; i < PEER_WAYS_MAX; i++)
		if (peer->ways[i] != NULL && peer->ways[i]->stage >= WAY_GIVEN && peer->ways[i]->ending_ms == 0 &&
		    peer->ways[i]->until <= s->now)
			carry(peer->ways[i], s->now);
}

/* Ends ways over their time, and finds the next one's. */
static void end_in_time(struct way *w)
{
	const struct peer *peer = w->peer;
	char line[LINE_LEN], ask[512];

	snprintf(line, sizeof(line), "bastiond: the time of your grant, or its hours, are over: session ended. %s",
	    access_ask_line("Again", peer->user.name, peer->p->control.name, w->host.name, w->login, ask, sizeof(ask)));
	end_way(w, WAY_EXPIRED, line);
}

static void scan_ways(struct peer *peer, void *arg)
{
	struct scan *s = arg;

	for (size_t i = 0; i < PEER_WAYS_MAX; i++) {
		struct way *w = peer->ways[i];

		if (w == NULL || w->ending_ms != 0)
			continue;
		if (w->longest <= s->now) {
			end_way(w, WAY_EXPIRED, "bastiond: no session lasts longer than 30 days: session ended. Connect again for a new one");
			continue;
		}
		if (w->longest < s->next)
			s->next = w->longest;
		if (w->until <= s->now) {
			end_in_time(w);
			continue; /* it may be gone */
		}
		if (w->until < s->next)
			s->next = w->until;
		if (w->stage < WAY_GIVEN || w->reminded || w->until == FOREVER ||
		    w->until - w->began < 2 * REMIND_S)
			continue;
		if (w->until - REMIND_S <= s->now)
			remind(w);
		else if (w->until - REMIND_S < s->next)
			s->next = w->until - REMIND_S;
	}
}

void live_run(struct policy *p)
{
	struct scan s = { .now = clock_wall() };
	struct timeval wait;
	int64_t us;

	peers_each(p, carry_ways, &s);
	/* what is over at that moment, and not at one that came meanwhile: nobody has looked yet whether it can go on */
	if (p->retired) {
		s.next = s.now + 1; /* the other one lets lapse what is over, and its changes are seen here */
	} else if ((s.next = control_tick(&p->control, s.now)) < 0) {
		log_error("cannot look for what is over: %s", store_error(p->store));
		s.next = s.now + 1;
	}
	peers_each(p, scan_ways, &s);
	wait_look(p);
	p->live_due = s.next;
	if (s.next == FOREVER) {
		event_del(p->deadline);
		return;
	}
	/* A day is enough: the tick sees to the rest. */
	us = s.next - s.now > 86400 ? 86400 * INT64_C(1000000) : s.next * 1000000 - clock_wall_us();
	if (us < 1000)
		us = 1000;
	wait = (struct timeval){ .tv_sec = us / 1000000, .tv_usec = us % 1000000 };
	event_add(p->deadline, &wait);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	live_run(arg);
}

int live_init(struct policy *p)
{
	p->live_due = FOREVER;
	return (p->deadline = evtimer_new(p->base, on_deadline, p)) != NULL ? 0 : -1;
}
