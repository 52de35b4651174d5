/*
 * policy_clock.c - a clock that is set back makes no grant longer. Role policy.
 *
 * A grant ends at a time of the wall clock, which an operator, a time server or a leap second may set back. CLOCK_BOOTTIME does
 * not jump: when the one falls behind the other, the grants that run end so much earlier by the wall clock
 * (store_clock.h), which is when they would have ended. A clock that is set forward ends them too early, never too late, and
 * nothing is done about it. Hours of a role and the end of an account are times of the clock, and stay that.
 */
#include "policy_clock.h"

#include "clock.h"
#include "log.h"
#include "otp.h"
#include "policy.h"
#include "store_clock.h"

#define US INT64_C(1000000)
#define BACK_US (US / 2)		/* less is what time servers do all day; it adds up until it is this */
#define READ_US 10000		/* so far apart two readings may be */
#define READ_TRIES 8

/* How much the wall clock is ahead of CLOCK_BOOTTIME; false: this process got no time to read both at one moment. */
static bool ahead_us(int64_t *ahead)
{
	for (int i = 0; i < READ_TRIES; i++) {
		const int64_t before = (int64_t)clock_mono_us(), wall = clock_wall_us(), after = (int64_t)clock_mono_us();

		*ahead = wall - before;
		if (after - before < READ_US)
			return true;
	}
	return false;
}

/* Set back by so many seconds: in the store and its events. 0, or -1: then nothing is changed. */
static int set_back(struct policy *p, int64_t seconds)
{
	const int64_t now = clock_wall();
	int n = -1;

	if (store_begin(p->store) < 0)
		return -1;
	if ((n = store_clock_back(p->store, now + seconds, seconds)) < 0 || otp_clock_back(p->store, now) < 0 ||
	    event_writef(p->store, now, EVENT_CLOCK_BACK, "bastiond", NULL, "{s:I,s:i}", "seconds", (json_int_t)seconds, "grants", n) != 0) {
		store_rollback(p->store);
		return -1;
	}
	if (store_commit(p->store) < 0)
		return -1;
	log_warn("the clock was set back by %lld s: %d grants that run end so much earlier by it", (long long)seconds, n);
	return 0;
}

/* Times of the clock that ways keep themselves. */
static void move_ways(struct peer *peer, void *arg)
{
	const int64_t *seconds = arg;

	for (size_t i = 0; i < PEER_WAYS_MAX; i++) {
		if (peer->ways[i] == NULL)
			continue;
		peer->ways[i]->began -= *seconds;
		peer->ways[i]->longest -= *seconds;
	}
}

/* While the store cannot say that grants end earlier, what is open ends earlier all the same; nothing new opens without a row. */
static void shorten_ways(struct peer *peer, void *arg)
{
	const int64_t *seconds = arg;

	for (size_t i = 0; i < PEER_WAYS_MAX; i++)
		if (peer->ways[i] != NULL && peer->ways[i]->until != FOREVER)
			peer->ways[i]->until -= *seconds;
}

static void owe(struct policy *p, int64_t seconds)
{
	int64_t more = seconds - p->clock_owed;

	log_error("the clock was set back, and the grants that run cannot be moved: %s", store_error(p->store));
	if (more <= 0)
		return;
	p->clock_owed = seconds;
	peers_each(p, shorten_ways, &more);
	live_run(p);
}

int clock_start(struct policy *p, bool beside)
{
	int64_t last = 0, now = clock_wall();
	int r = beside ? 0 : store_clock_last(p->store, &last);

	if (r < 0 || (r == 1 && last > now && set_back(p, last - now) < 0))
		return -1;
	if (!ahead_us(&p->ahead_us))
		p->ahead_us = INT64_MIN; /* the first tick finds it */
	return 0;
}

void clock_tick(struct policy *p)
{
	int64_t ahead, seconds;

	if (!ahead_us(&ahead))
		return; /* a second later */
	if (ahead > p->ahead_us)
		p->ahead_us = ahead;
	if (ahead > p->ahead_us - BACK_US)
		return;
	/* whole seconds, up; by how much the readings may be wrong is no second, and is kept for the next time */
	seconds = (p->ahead_us - ahead - READ_US + US - 1) / US;
	/* the one that retires sees what the other one does (policy_others.c) */
	if (!p->retired && set_back(p, seconds) < 0) {
		owe(p, seconds);
		return;
	}
	p->clock_owed = 0;
	p->ahead_us -= seconds * US;
	if (p->ahead_us < ahead)
		p->ahead_us = ahead;
	peers_each(p, move_ways, &seconds);
	live_end(p, END_DENIED, 1, "bastiond: the clock of the bastion was set back");
	live_run(p);
}
