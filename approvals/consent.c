/*
 * consent.c - see consent.h. Pure; policy role, at `approve` under a role that wants signatures.
 */
#include "consent.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "escape.h"

struct text {
	char *at;
	size_t len;
	bool cut;
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *fmt, ...)
{
	size_t room = CONSENT_TEXT_MAX - t->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->at + t->len, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room)
		t->cut = true;
	else
		t->len += (size_t)n;
}

/* A text that a person typed; none, no line. */
static void put_foreign(struct text *t, const char *name, const char *value)
{
	char safe[2 * TEXT_MAX];

	esc_text(safe, sizeof(safe), value, strlen(value));
	if (safe[0] != '\0')
		put(t, "%s: %s\n", name, safe);
}

/* The same of what must not be cut: who signs sees all of it, or there is nothing to sign. */
static void put_whole(struct text *t, const char *name, const char *value)
{
	char safe[4 * COMMANDS_MAX + 8];

	esc_text(safe, sizeof(safe), value, strlen(value));
	if (safe[0] != '\0')
		put(t, "%s: %s\n", name, safe);
}

/* What the capabilities forward and command are for, a line each. */
static void put_lists(struct text *t, const struct ticket *k)
{
	char one[TEXT_MAX + 1];

	for (const char *p = k->forwards; *(p += strspn(p, " ")) != '\0'; p += strcspn(p, " ")) {
		snprintf(one, sizeof(one), "%.*s", (int)strcspn(p, " "), p);
		put_whole(t, "forward", one);
	}
	for (const char *p = k->commands; *(p += strspn(p, "\n")) != '\0'; p += strcspn(p, "\n")) {
		snprintf(one, sizeof(one), "%.*s", (int)strcspn(p, "\n"), p);
		put_whole(t, "command", one);
	}
}

int consent_text(const struct consent *c, char out[CONSENT_TEXT_MAX])
{
	const struct ticket *k = c->ticket;
	struct text t = { .at = out };
	char when[32], span[32], caps[128];

	put(&t, "I approve this access.\n");
	put_foreign(&t, "bastion", c->bastion);
	put(&t, "request: %lld\n", (long long)k->id);
	put(&t, "user: %s\n", c->user->name);
	put_foreign(&t, "person", c->user->person);
	put(&t, "asked-by: %s\n", c->by);
	put(&t, "login: %s\n", k->login);
	put(&t, "host: %s\n", c->host->name);
	put_foreign(&t, "address", c->host->address);
	put(&t, "port: %u\n", c->host->port);
	put(&t, "role: %s\n", c->role);
	put(&t, "capabilities: %s\n", cap_names(caps, sizeof(caps), k->caps));
	put_lists(&t, k);
	put(&t, "seconds: %u\n", k->duration);
	put(&t, "duration: %s\n", duration_format(span, sizeof(span), k->duration));
	if (k->not_before != 0)
		put(&t, "from: %s\n", clock_format(when, sizeof(when), k->not_before));
	if (k->logins != 0)
		put(&t, "logins: %u\n", k->logins);
	put(&t, "asked: %s\n", clock_format(when, sizeof(when), k->asked_at));
	put(&t, "decide-before: %s\n", clock_format(when, sizeof(when), k->lapse_at));
	put_foreign(&t, "reason", k->reason);
	put_foreign(&t, "ticket", k->ref);
	put(&t, "approver: %s\n", c->approver->name);
	put_foreign(&t, "approver-person", c->approver->person);
	return t.cut ? -1 : 0;
}
