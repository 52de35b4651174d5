/*
 * policy_wait.c - who waits for a decision: the reply to `wait` and `request --wait`, sent when the request is open no more.
 *
 * Role policy. control_wait.c says that a word waits; here is who, and each time something was decided it is asked again.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "policy_hook.h"

#define WAITERS_MAX 256

struct waiter {
	struct waiter *next;
	struct link *asker;
	uint32_t id;
	struct actor actor;
	int64_t ticket;
};

bool wait_begin(struct policy *p, struct link *asker, uint32_t id, const struct actor *a)
{
	struct waiter *w;

	if (p->control.wait_for == 0 || p->nwaiters >= WAITERS_MAX || (w = calloc(1, sizeof(*w))) == NULL)
		return false;
	*w = (struct waiter){ .next = p->waiters, .asker = asker, .id = id, .actor = *a, .ticket = p->control.wait_for };
	p->waiters = w;
	p->nwaiters++;
	return true;
}

bool wait_holding(const struct policy *p, const struct link *asker)
{
	for (const struct waiter *w = p->waiters; w != NULL; w = w->next)
		if (w->asker == asker)
			return true;
	return false;
}

void wait_owner_gone(struct policy *p, const struct link *asker)
{
	for (struct waiter **at = &p->waiters, *w; (w = *at) != NULL;) {
		if (asker != NULL && w->asker != asker) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		p->nwaiters--;
		free(w);
	}
}

/* The word again, as if it came now: it says how it was decided, or waits on. */
static void answer(struct policy *p, struct waiter *w)
{
	char json[80];
	struct buf request;

	snprintf(json, sizeof(json), "{\"word\":\"wait\",\"args\":{\"id\":%lld}}", (long long)w->ticket);
	buf_view(&request, json, strlen(json));
	words_resume(p, w->asker, w->id, &w->actor, &request);
}

void wait_look(struct policy *p)
{
	struct waiter **at = &p->waiters, *w;
	struct ticket t;

	/* an answer may be what decides another one: the look that is under way finds it */
	if (p->waking)
		return;
	p->waking = true;
	while ((w = *at) != NULL) {
		if (store_ticket(p->store, w->ticket, &t) == 1 && t.state == TICKET_PENDING) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		p->nwaiters--;
		answer(p, w);
		free(w);
		at = &p->waiters; /* the list may be another one now */
	}
	p->waking = false;
}
