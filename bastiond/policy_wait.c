/*
 * policy_wait.c - who waits for a decision: the reply to `wait` and `request --wait`, sent when the request is open no more. And who
 * waits for a look at a host: the reply to `host scan`.
 *
 * Role policy. control_wait.c says that a word waits; here is who, and each time something was decided it is asked again.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "policy_hook.h"
#include "policy_hostkey.h"

#define WAITERS_MAX 256

struct waiter {
	struct waiter *next;
	struct link *asker;
	uint32_t id;
	struct actor actor;
	int64_t ticket, host;	/* one of the two; 0 */
};

bool wait_begin(struct policy *p, struct link *asker, uint32_t id, const struct actor *a)
{
	const int64_t ticket = p->control.wait_for, host = p->control.look_for;
	struct waiter *w;

	p->control.wait_for = p->control.look_for = 0;
	if ((ticket == 0 && host == 0) || p->nwaiters >= WAITERS_MAX || (w = calloc(1, sizeof(*w))) == NULL)
		return false;
	*w = (struct waiter){ .next = p->waiters, .asker = asker, .id = id, .actor = *a, .ticket = ticket, .host = host };
	p->waiters = w;
	p->nwaiters++;
	if (host != 0 && hostkey_look(p, host, p->control.look_login, false) != 0)
		wait_looked(p, host); /* why not, is noted */
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
	char json[80 + HOST_NAME_MAX_LEN];
	struct buf request;
	struct host h;

	if (w->host == 0)
		snprintf(json, sizeof(json), "{\"word\":\"wait\",\"args\":{\"id\":%lld}}", (long long)w->ticket);
	else /* removed meanwhile: the word says so */
		snprintf(json, sizeof(json), "{\"word\":\"host keys\",\"args\":{\"host\":\"%s\"}}",
		    store_host(p->store, w->host, &h) == 1 ? h.name : "removed");
	buf_view(&request, json, strlen(json));
	words_resume(p, w->asker, w->id, &w->actor, &request);
}

/* Answers the one at `at`. Where to go on: the list may be another one then. */
static struct waiter **wake(struct policy *p, struct waiter **at)
{
	struct waiter *w = *at;

	*at = w->next;
	p->nwaiters--;
	answer(p, w);
	free(w);
	return &p->waiters;
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
		if (w->host != 0 || (store_ticket(p->store, w->ticket, &t) == 1 && t.state == TICKET_PENDING)) {
			at = &w->next;
			continue;
		}
		at = wake(p, at);
	}
	p->waking = false;
}

void wait_looked(struct policy *p, int64_t host_id)
{
	struct waiter **at = &p->waiters, *w;

	while ((w = *at) != NULL) {
		if (w->host != host_id) {
			at = &w->next;
			continue;
		}
		at = wake(p, at);
	}
}
