/*
 * replay_clock.c - recording time from real time. Pure: the time is given.
 */
#include "replay_player.h"

#define LATE_US 200000	/* later than it should does nobody wake who is not stopped */

/*
 * Of the real time that passed, what a player sleeps through: it wakes for each second of the recording (player_wait). The rest was
 * a stop, or a terminal that took nothing, in which nobody saw anything.
 */
static uint64_t slept(const struct pclock *c, uint64_t now_us)
{
	const uint64_t passed = now_us > c->real_us ? now_us - c->real_us : 0, most = 1000000ULL * 100 / c->speed + LATE_US;

	return passed < most ? passed : most;
}

void pclock_advance(struct pclock *c, uint64_t now_us, uint64_t prev_us, uint64_t next_us,
    uint64_t end_us)
{
	const uint64_t passed = slept(c, now_us);

	c->real_us = now_us;
	if (c->paused)
		return;
	/* a long pause is entered near its end */
	if (c->compress && c->idle_us > 0 && next_us != PCLOCK_NEVER && next_us > prev_us &&
	    next_us - prev_us > c->idle_us && c->pos_us < next_us - c->idle_us)
		c->pos_us = next_us - c->idle_us;
	c->pos_us += passed * c->speed / 100;
	if (c->pos_us > end_us)
		c->pos_us = end_us;
}

uint64_t pclock_wait(const struct pclock *c, uint64_t t_us)
{
	if (c->paused || t_us == PCLOCK_NEVER)
		return PCLOCK_NEVER;
	if (t_us <= c->pos_us)
		return 0;
	/* rounded up, so that waking does not come just before the event */
	return ((t_us - c->pos_us) * 100 + c->speed - 1) / c->speed;
}

static const unsigned speeds[] = { 10, 25, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1000, 2000,
	5000, 10000 };
#define SPEEDS (sizeof(speeds) / sizeof(speeds[0]))

unsigned pclock_faster(unsigned speed)
{
	for (size_t i = 0; i < SPEEDS; i++)
		if (speeds[i] > speed)
			return speeds[i];
	return speed;
}

unsigned pclock_slower(unsigned speed)
{
	for (size_t i = SPEEDS; i > 0; i--)
		if (speeds[i - 1] < speed)
			return speeds[i - 1];
	return speed;
}
