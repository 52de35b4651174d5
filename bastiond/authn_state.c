/*
 * authn_state.c - see authn_state.h. Pure; runs in the session process, between session_authn.c and policy.
 */
#include "authn_state.h"

void authn_init(struct authn *a, unsigned max_failures)
{
	*a = (struct authn){ .state = AUTHN_KEY, .max_failures = max_failures };
}

bool authn_listens(const struct authn *a)
{
	return a->state == AUTHN_KEY || a->state == AUTHN_PROVEN || a->state == AUTHN_FACTOR ||
	    a->state == AUTHN_PROMPTED;
}

const char *authn_state_name(enum authn_state state)
{
	static const char *const names[AUTHN_STATES] = {
		"key", "asked", "proven", "factor", "prompted", "held", "done", "dead",
	};

	return (unsigned)state < AUTHN_STATES ? names[state] : "?";
}

static enum authn_action end(struct authn *a)
{
	a->state = AUTHN_DEAD;
	return AUTHN_END;
}

/* A failed attempt counts, and its answer is held back; after one too many that is the end of the connection. */
static enum authn_action fail(struct authn *a)
{
	a->failures++;
	a->state = AUTHN_HELD;
	return AUTHN_HOLD;
}

/* Somebody we know, who may not come in: told why, as late as any refusal. Never after a probe, which proves nothing. */
static enum authn_action bar(struct authn *a)
{
	a->barred = true;
	a->state = AUTHN_HELD;
	return AUTHN_HOLD;
}

static enum authn_action ask_key(struct authn *a, enum authn_event ev, enum authn_action action)
{
	a->proven = false;
	a->signed_key = ev == AUTHN_EV_SIGNED;
	a->state = AUTHN_ASKED;
	return action;
}

/* No key is proven, or one is and its owner asks anew: what a request may do there. */
static enum authn_action on_request(struct authn *a, enum authn_event ev)
{
	switch (ev) {
	case AUTHN_EV_NONE:
		/* how a client learns the methods: counts as no failure, but only before the first factor, and not for ever */
		return a->proven ? fail(a) : ++a->nones > AUTHN_NONES_MAX ? end(a) : AUTHN_REFUSE;
	case AUTHN_EV_PROBE:
	case AUTHN_EV_SIGNED:
		return ask_key(a, ev, AUTHN_ASK_KEY);
	case AUTHN_EV_KBDINT:
		if (!a->proven)
			return fail(a);
		a->state = AUTHN_FACTOR;
		return AUTHN_START;
	case AUTHN_EV_OTHER:
		return fail(a);
	default:
		return end(a);
	}
}

static enum authn_action on_key_verdict(struct authn *a, enum authn_event ev)
{
	switch (ev) {
	case AUTHN_EV_NO:
		return fail(a);
	case AUTHN_EV_MAYBE:
		if (a->signed_key)
			return end(a);
		a->state = AUTHN_KEY;
		return AUTHN_OFFER;
	case AUTHN_EV_PARTIAL:
		if (!a->signed_key)
			return end(a);
		a->proven = true;
		a->state = AUTHN_PROVEN;
		return AUTHN_GO_ON;
	case AUTHN_EV_YES:
		if (!a->signed_key)
			return end(a);
		a->state = AUTHN_DONE;
		return AUTHN_WELCOME;
	case AUTHN_EV_BARRED:
		return a->signed_key ? bar(a) : end(a);
	default:
		return end(a);
	}
}

/* A second factor runs (FACTOR) or waits for the client (PROMPTED). */
static enum authn_action on_factor(struct authn *a, enum authn_event ev)
{
	switch (ev) {
	case AUTHN_EV_PROMPT:
		a->state = AUTHN_PROMPTED;
		return AUTHN_SHOW;
	case AUTHN_EV_ANSWERS:
		if (a->state != AUTHN_PROMPTED)
			return end(a); /* answers to nothing: RFC 4256 3.4 has no place for them */
		a->state = AUTHN_FACTOR;
		return AUTHN_PASS_ANSWERS;
	case AUTHN_EV_NO:
		return fail(a);
	case AUTHN_EV_BARRED:
		return bar(a);
	case AUTHN_EV_YES:
		a->state = AUTHN_DONE;
		return AUTHN_WELCOME;
	case AUTHN_EV_KBDINT:
		fail(a);
		if (a->failures > a->max_failures)
			return AUTHN_ABORT_REFUSE;
		a->state = AUTHN_FACTOR;
		return AUTHN_ABORT_START;
	case AUTHN_EV_PROBE:
	case AUTHN_EV_SIGNED:
		return ask_key(a, ev, AUTHN_ABORT_ASK_KEY);
	case AUTHN_EV_NONE:
	case AUTHN_EV_OTHER:
		fail(a);
		return AUTHN_ABORT_REFUSE;
	default:
		return end(a);
	}
}

enum authn_action authn_step(struct authn *a, enum authn_event ev)
{
	if (ev == AUTHN_EV_RENAME)
		return end(a);
	switch (a->state) {
	case AUTHN_KEY:
	case AUTHN_PROVEN:
		return on_request(a, ev);
	case AUTHN_ASKED:
		return on_key_verdict(a, ev);
	case AUTHN_FACTOR:
	case AUTHN_PROMPTED:
		return on_factor(a, ev);
	case AUTHN_HELD:
		if (ev != AUTHN_EV_FLOOR)
			return end(a);
		if (a->barred || a->failures > a->max_failures) {
			a->state = AUTHN_DEAD;
			return a->barred ? AUTHN_LEAVE : AUTHN_TOO_MANY;
		}
		a->state = a->proven ? AUTHN_PROVEN : AUTHN_KEY;
		return AUTHN_REFUSE;
	case AUTHN_DONE:
		/* RFC 4252 5.1: requests after success are silently ignored */
		return ev <= AUTHN_EV_OTHER ? AUTHN_IGNORE : end(a);
	default:
		return end(a);
	}
}
