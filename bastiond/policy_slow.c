/*
 * policy_slow.c - see policy_slow.h. Role policy; policy_task.c tells it, and asks, as does who queues tasks.
 */
#include "policy_slow.h"

#include <stdlib.h>

#include "clock.h"

#define SLOW_MAX 256

struct slow {
	struct { int64_t host_id; uint64_t until_ms; } rows[SLOW_MAX];
};

bool slow_is(const struct policy *p, int64_t host_id)
{
	for (size_t i = 0; p->slow != NULL && i < SLOW_MAX; i++)
		if (p->slow->rows[i].host_id == host_id)
			return p->slow->rows[i].until_ms > clock_mono_ms();
	return false;
}

/* In its own place, or that of the one that is over first. */
static void note(struct slow *all, int64_t host_id, bool slow)
{
	size_t at = 0;

	for (size_t i = 0; i < SLOW_MAX; i++) {
		if (all->rows[i].host_id == host_id) {
			at = i;
			break;
		}
		if (all->rows[i].until_ms < all->rows[at].until_ms)
			at = i;
	}
	if (!slow && all->rows[at].host_id != host_id)
		return;
	all->rows[at].host_id = host_id;
	all->rows[at].until_ms = slow ? clock_mono_ms() + SLOW_MS : 0;
}

void slow_heard(struct policy *p, int64_t host_id, enum task_end end, uint64_t ms)
{
	/* an answer that comes just in time, each time, would hold places for ever */
	const bool answered = end != TASK_UNREACHABLE && end != TASK_FAILED && ms < SLOW_ANSWER_MS;

	if (!answered && ms < SLOW_AFTER_MS)
		return;
	if (p->slow == NULL && (answered || (p->slow = calloc(1, sizeof(*p->slow))) == NULL))
		return; /* nobody is slow yet; without memory nobody is remembered */
	note(p->slow, host_id, !answered);
}

void slow_finish(struct policy *p)
{
	free(p->slow);
	p->slow = NULL;
}
