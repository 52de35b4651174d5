/*
 * access.c - see access.h: the states of a ticket and the decision. Pure; policy role, after the
 * login, before the dial.
 */
#include "access_line.h"
#include "access_login.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "escape.h"

static const char *const state_names[TICKET_STATES] = {
#define T(symbol, name) name,
	TICKET_LIST(T)
#undef T
};

const char *ticket_state_name(enum ticket_state state)
{
	return (unsigned)state < TICKET_STATES ? state_names[state] : "?";
}

enum ticket_state ticket_state_by_name(const char *text)
{
	for (int i = 0; i < TICKET_STATES; i++)
		if (strcmp(state_names[i], text) == 0)
			return (enum ticket_state)i;
	return TICKET_STATES;
}

/* The arrows of access.h, and no others. */
static const struct {
	enum ticket_state from;
	enum ticket_act act;
	enum ticket_state to;
} arrows[] = {
	/* words approve and request: the last verdict needed */
	{ TICKET_PENDING, ACT_APPROVE, TICKET_APPROVED },
	/* word deny */
	{ TICKET_PENDING, ACT_DENY, TICKET_DENIED },
	/* word cancel; user, role, member, host remove */
	{ TICKET_PENDING, ACT_CANCEL, TICKET_CANCELLED },
	/* control_tick */
	{ TICKET_PENDING, ACT_LAPSE, TICKET_EXPIRED },
	{ TICKET_APPROVED, ACT_LAPSE, TICKET_ENDED },
	{ TICKET_ACTIVE, ACT_LAPSE, TICKET_ENDED },
	/* store_way_start */
	{ TICKET_APPROVED, ACT_USE, TICKET_ACTIVE },
	{ TICKET_ACTIVE, ACT_USE, TICKET_ACTIVE },
	/* words revoke and cancel; user, role, member, host remove */
	{ TICKET_APPROVED, ACT_REVOKE, TICKET_REVOKED },
	{ TICKET_ACTIVE, ACT_REVOKE, TICKET_REVOKED },
};

enum ticket_state ticket_next(enum ticket_state state, enum ticket_act act)
{
	for (size_t i = 0; i < sizeof(arrows) / sizeof(arrows[0]); i++)
		if (arrows[i].from == state && arrows[i].act == act)
			return arrows[i].to;
	return TICKET_STATES;
}

bool ticket_gives_access(enum ticket_state state)
{
	return state == TICKET_APPROVED || state == TICKET_ACTIVE;
}

static bool had_logins(const struct ticket *t)
{
	return t->logins != 0 && t->uses >= t->logins;
}

bool ticket_lets_in(const struct ticket *t, int64_t now)
{
	return ticket_gives_access(t->state) && t->start_at <= now && now < t->end_at && !had_logins(t);
}

const char *access_broken(const struct ticket *t)
{
	bool granted = ticket_gives_access(t->state) || t->state == TICKET_ENDED ||
	    t->state == TICKET_REVOKED;

	if ((unsigned)t->state >= TICKET_STATES)
		return "its state is none";
	if (granted && t->given < t->needed)
		return "I1: granted with fewer approvals than it needs";
	if (granted &&
	    (t->start_at <= 0 || t->duration == 0 ||
		t->end_at != t->start_at + (int64_t)t->duration))
		return "I2: its end is not its start and its duration";
	if (granted && t->start_at + t->moved < t->not_before)
		return "I2: it starts before its time";
	if (!granted && (t->start_at != 0 || t->end_at != 0))
		return "I3: a grant without an approval";
	if (t->state == TICKET_PENDING && t->needed > 0 && t->given >= t->needed)
		return "I4: pending with all its approvals";
	if (t->lapse_at <= t->asked_at)
		return "I4: it never lapses";
	return NULL;
}

enum way_refusal access_user(const struct user *user, const char *source, int64_t now, char *line,
    size_t size)
{
	char when[32];

	if (user->state != USER_ACTIVE) {
		snprintf(line, size, "%s is %s. An administrator can tell you why.", user->name,
		    user->state == USER_LOCKED ? "locked" : "removed");
		return WAY_LOCKED;
	}
	if (now >= user->until) {
		snprintf(line, size, "The account %s ended at %s.", user->name,
		    clock_format(when, sizeof(when), user->until));
		return WAY_EXPIRED;
	}
	if (user->kind == USER_SERVICE && (user->networks[0] == '\0' || user->until == FOREVER)) {
		snprintf(line, size, "The service account %s has no source network or no end.",
		    user->name);
		return WAY_LOCKED;
	}
	if (!access_from(user->networks, source)) {
		snprintf(line, size, "%s may not come from %.64s. Use one of: %.256s", user->name,
		    source, user->networks);
		return WAY_LOCKED;
	}
	return 0;
}

/* --- the decision --- */

static void refuse(struct access_answer *a, enum way_refusal why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void refuse(struct access_answer *a, enum way_refusal why, const char *fmt, ...)
{
	va_list ap;

	a->refusal = why;
	a->ticket = 0;
	a->caps = 0;
	a->until = 0;
	a->ref[0] = '\0';
	a->glass = false;
	va_start(ap, fmt);
	vsnprintf(a->line, sizeof(a->line), fmt, ap);
	va_end(ap);
}

const char *access_ask_line(const char *verb, const char *user, const char *bastion, const char *host, const char *login, char *out, size_t size)
{
	snprintf(out, size, "%s: ssh %s@%s request %s --login %s --for 2h --reason \"...\"", verb, user, bastion, host, login);
	return out;
}

static const char *ask_line(const struct access_ask *q, const char *verb, char *out, size_t size)
{
	return access_ask_line(verb, q->user->name, q->bastion, q->host->name, q->login, out, size);
}

/* The role by which the user may ask for this login there, or NULL. */
static const struct access_role *role_for(const struct access_ask *q)
{
	for (size_t i = 0; i < q->nroles; i++)
		if (access_allows(&q->roles[i], q->host, access_login(q->host, q->user, q->login)))
			return &q->roles[i];
	return NULL;
}

/* The next step of somebody whose request or grant is over; a role may be, too. */
static const char *again_line(const struct access_ask *q, char *out, size_t size)
{
	if (role_for(q) != NULL)
		return ask_line(q, "Ask again", out, size);
	snprintf(out, size, "No role of yours reaches it now. What you may ask for: ssh %s@%s hosts", q->user->name, q->bastion);
	return out;
}

/* What the rules that deny leave over. */
struct denial {
	const struct access_role *whole, *part;	/* the one that denies all, one that denies some of it */
	unsigned lost;				/* capabilities that are denied */
	int64_t until;				/* when it may look otherwise */
};

/* A rule whose hours nobody can read denies. An account of one's own is denied by its name, and by what it is. */
static struct denial denied(const struct access_role *roles, size_t n, const struct host *host,
    const struct user *user, const char *login, const char *source, int64_t now)
{
	struct denial d = { .until = FOREVER };
	int64_t change;

	for (size_t i = 0; i < n; i++) {
		const struct access_role *r = &roles[i];

		if (!access_denies(r, host, user, login) || !access_from(r->networks, source))
			continue;
		if (access_hours_in(r->hours, now, &change) == 0) {
			if (change < d.until)
				d.until = change;
			continue;
		}
		d.lost |= r->caps;
		d.part = r;
		if (r->caps == CAP_ALL && d.whole == NULL)
			d.whole = r;
	}
	return d;
}

static void refuse_denied(const struct access_ask *q, const struct access_role *r, struct access_answer *a)
{
	refuse(a, WAY_DENIED,
	    "Rule %s denies %s@%s, and no grant changes that. Why: ssh %s@%s explain %s@%s", r->name,
	    q->login, q->host->name, q->user->name, q->bastion, q->login, q->host->name);
	a->role = r->id;
}

static void refuse_use(const struct access_ask *q, const struct ticket *t, struct access_answer *a)
{
	char have[400], ask[512];

	access_rights_text(have, sizeof(have), t->caps, t->forwards, t->commands, ", ");
	refuse(a, WAY_NO_GRANT, "Grant %lld for %s@%s is for %s only. %s", (long long)t->id, q->login, q->host->name, have,
	    again_line(q, ask, sizeof(ask)));
}

/* A ticket that gives access, used inside its limits? Fills *a; a no is for this ticket only. */
static bool try_ticket(const struct access_ask *q, const struct ticket *t, const struct denial *d,
    struct access_answer *a)
{
	int64_t hours = t->glass ? FOREVER : access_hours(t->role_hours, q->now);
	unsigned left = t->caps & ~d->lost;
	char ask[512];

	a->role = t->role_id;
	if (!access_from(t->role_networks, q->source)) {
		refuse(a, WAY_NO_GRANT,
		    "Grant %lld for %s@%s holds only from: %.400s. You come from %.64s.",
		    (long long)t->id, q->login, q->host->name, t->role_networks, q->source);
		return false;
	}
	if (hours <= 0) {
		refuse(a, WAY_NO_GRANT, "Grant %lld for %s@%s holds only at these hours%s: %s. What else you may ask for: ssh %s@%s hosts",
		    (long long)t->id, q->login, q->host->name, access_hours_named(t->role_hours) ? "" : " (UTC)", t->role_hours,
		    q->user->name, q->bastion);
		return false;
	}
	if (had_logins(t) && q->only == 0) {
		refuse(a, WAY_EXPIRED, "Grant %lld for %s@%s was for %u login%s, which it had. %s", (long long)t->id, q->login,
		    q->host->name, t->logins, t->logins == 1 ? "" : "s", again_line(q, ask, sizeof(ask)));
		return false;
	}
	if (!access_may_use(&q->use, t->caps, t->forwards, t->commands)) {
		refuse_use(q, t, a);
		return false;
	}
	if (!access_may_use(&q->use, left, t->forwards, t->commands)) {
		refuse_denied(q, d->part, a);
		return false;
	}
	a->refusal = 0;
	a->ticket = t->id;
	a->caps = left;
	memcpy(a->ref, t->ref, sizeof(a->ref));
	a->glass = t->glass;
	a->until = t->end_at < hours ? t->end_at : hours;
	if (q->user->until < a->until)
		a->until = q->user->until;
	if (d->until < a->until)
		a->until = d->until;
	a->line[0] = '\0';
	return true;
}

/* Has it what the caller wants, too? */
static bool fits(const struct access_ask *q, const struct ticket *t, struct access_answer *a)
{
	char line[ACCESS_LINE_MAX] = "";

	if (q->more == NULL || q->more->fits(q->more->arg, t, a, line, sizeof(line)))
		return true;
	refuse(a, WAY_NO_GRANT, "%s", line);
	return false;
}

/* No ticket opens the way: the newest one tells the user why. */
static void explain(const struct access_ask *q, const struct ticket *t, struct access_answer *a)
{
	char ask[512], when[32], why[2 * TEXT_MAX + 8], who[2 * PERSON_MAX];

	esc_text(why, 300, t->why, strlen(t->why));
	esc_text(who, sizeof(who), t->closer, strlen(t->closer));
	again_line(q, ask, sizeof(ask));
	switch (t->state) {
	case TICKET_PENDING:
		refuse(a, WAY_PENDING,
		    "Request %lld for %s@%s waits for approval (%u of %u). Look: ssh %s@%s "
		    "requests",
		    (long long)t->id, q->login, q->host->name, t->given, t->needed, q->user->name,
		    q->bastion);
		break;
	case TICKET_DENIED:
		refuse(a, WAY_DENIED, "Request %lld for %s@%s was denied by %s: %s. %s",
		    (long long)t->id, q->login, q->host->name, who, why, ask);
		break;
	case TICKET_REVOKED:
		refuse(a, WAY_REVOKED, "Grant %lld for %s@%s was revoked by %s%s%s. %s",
		    (long long)t->id, q->login, q->host->name, who, why[0] != '\0' ? ": " : "", why,
		    ask);
		break;
	case TICKET_EXPIRED:
		refuse(a, WAY_EXPIRED, "Request %lld for %s@%s expired: nobody decided it. %s",
		    (long long)t->id, q->login, q->host->name, ask);
		break;
	case TICKET_CANCELLED:
		refuse(a, WAY_NO_GRANT, "Request %lld for %s@%s was cancelled. %s",
		    (long long)t->id, q->login, q->host->name, ask);
		break;
	case TICKET_APPROVED:
		if (t->start_at > q->now) {
			refuse(a, WAY_PENDING, "Grant %lld for %s@%s begins at %s.", (long long)t->id, q->login, q->host->name,
			    clock_format(when, sizeof(when), t->start_at));
			break;
		}
		/* fallthrough */
	default:
		refuse(a, WAY_EXPIRED, "Grant %lld for %s@%s ended at %s. %s", (long long)t->id,
		    q->login, q->host->name, clock_format(when, sizeof(when), t->end_at), ask);
		break;
	}
}

/* Does any role of the user reach the host, by any login? What is outside does not exist for this
 * user. */
static bool visible(const struct access_ask *q)
{
	for (size_t i = 0; i < q->nroles; i++)
		if (access_allows(&q->roles[i], q->host, NULL))
			return true;
	return false;
}

static void no_ticket(const struct access_ask *q, struct access_answer *a)
{
	const struct access_role *role = role_for(q);
	char ask[512];

	if (role != NULL) {
		a->role = role->id;
		refuse(a, WAY_NO_GRANT, "No grant for %s@%s. %s", q->login, q->host->name, ask_line(q, "Ask", ask, sizeof(ask)));
		return;
	}
	refuse(a, WAY_NO_GRANT,
	    "No role of yours reaches %s@%s. What you may ask for: ssh %s@%s hosts", q->login,
	    q->host->name, q->user->name, q->bastion);
}

/* The clock decides, not whether the tick has come by. */
static bool in_force(const struct access_ask *q, const struct ticket *t)
{
	return access_broken(t) == NULL && ticket_gives_access(t->state) && t->end_at > q->now &&
	    t->start_at <= q->now && (q->only == 0 || q->only == t->id);
}

static unsigned reach(const struct access_ask *q, const struct denial *d)
{
	unsigned caps = 0;

	for (size_t i = 0; i < q->ntickets; i++)
		if (in_force(q, &q->tickets[i]))
			caps |= q->tickets[i].caps & ~d->lost;
	return caps;
}

void access_decide(const struct access_ask *q, struct access_answer *a)
{
	char name[4 * HOST_NAME_MAX_LEN + 8], line[ACCESS_LINE_MAX];
	enum way_refusal no;
	struct denial d;
	struct access_answer near = { .refusal = 0 }; /* of the first that would do */
	bool tried = false;

	*a = (struct access_answer){ .refusal = WAY_NO_GRANT };
	if ((no = access_user(q->user, q->source, q->now, line, sizeof(line))) != 0) {
		refuse(a, no, "%s", line);
		return;
	}
	if (q->host == NULL || (q->ntickets == 0 && !visible(q))) {
		esc_text(name, sizeof(name), q->host_name,
		    strnlen(q->host_name, HOST_NAME_MAX_LEN + 1));
		refuse(a, WAY_NO_HOST, "No host %s for you here. Yours: ssh %s@%s hosts", name,
		    q->user->name, q->bastion);
		return;
	}
	d = denied(q->roles, q->nroles, q->host, q->user, q->login, q->source, q->now);
	if (d.whole != NULL) {
		refuse_denied(q, d.whole, a);
		return;
	}
	for (size_t i = 0; i < q->ntickets; i++) {
		if (!in_force(q, &q->tickets[i]))
			continue;
		if (try_ticket(q, &q->tickets[i], &d, a)) {
			if (fits(q, &q->tickets[i], a)) {
				a->reach = reach(q, &d);
				return;
			}
			if (near.refusal == 0)
				near = *a;
		}
		tried = true;
	}
	if (near.refusal != 0)
		*a = near;
	if (tried)
		return;
	if (q->ntickets == 0) {
		no_ticket(q, a);
		return;
	}
	/* the newest by number: the list begins with those that gave access when it was made */
	const struct ticket *newest = &q->tickets[0];

	for (size_t i = 1; i < q->ntickets; i++)
		if (q->tickets[i].id > newest->id)
			newest = &q->tickets[i];
	a->role = newest->role_id;
	explain(q, newest, a);
}

/* --- may this be asked for? --- */

const char *access_role_says_no(const struct request_ask *q, const struct access_role *r, char *out,
    size_t size)
{
	char span[32], rights[300];

	if (!access_allows(r, q->host, access_login(q->host, q->user, q->login)))
		snprintf(out, size, "role %s has not the login %s", r->name, q->login);
	else if (!access_rights_within(r, q->caps, q->forwards, q->commands))
		snprintf(out, size, "role %s allows %s", r->name,
		    access_rights_text(rights, sizeof(rights), r->caps, r->forwards, r->commands, ", "));
	else if (q->duration > r->max)
		snprintf(out, size, "role %s allows at most --for %s", r->name,
		    duration_format(span, sizeof(span), r->max));
	else if (r->ticket && q->ref[0] == '\0')
		snprintf(out, size, "role %s wants the number of a ticket: --ticket ID", r->name);
	else if (!r->no_reason && q->reason[0] == '\0')
		snprintf(out, size, "role %s wants to know why: --reason TEXT", r->name);
	else if (q->source[0] != '\0' && !access_from(r->networks, q->source))
		snprintf(out, size, "role %s is for these networks: %.300s", r->name, r->networks);
	else
		return NULL;
	return out;
}

/* The rule that denies it now, whoever would approve. */
static const struct access_role *request_denied(const struct request_ask *q)
{
	struct denial d = denied(q->roles, q->nroles, q->host, q->user, q->login, q->source, q->now);

	if (d.whole == NULL && (q->caps & d.lost) != 0)
		return d.part;
	return d.whole;
}

static bool better(const struct access_role *r, const struct access_role *than)
{
	if (than == NULL || r->approvals != than->approvals)
		return than == NULL || r->approvals < than->approvals;
	return r->id < than->id;
}

const struct access_role *access_request(const struct request_ask *q, char *line, size_t size)
{
	const struct access_role *best = NULL, *deny = NULL;
	char why[768] = "", one[512], name[4 * HOST_NAME_MAX_LEN + 8];
	bool near = false; /* `why` is of a role that has the login */

	for (size_t i = 0; q->host != NULL && i < q->nroles; i++) {
		const struct access_role *r = &q->roles[i];
		const bool covers = access_allows(r, q->host, access_login(q->host, q->user, q->login));

		if (!access_allows(r, q->host, NULL))
			continue;
		if (access_role_says_no(q, r, one, sizeof(one)) == NULL) {
			if (better(r, best))
				best = r;
		} else if (covers || !near) {
			/* each that has the login says what it wants; of the others one is enough */
			const size_t n = near ? strlen(why) : 0;

			snprintf(why + n, sizeof(why) - n, "%s%s", n > 0 ? "; " : "", one);
			near = covers;
		}
	}
	if (best != NULL && (deny = request_denied(q)) == NULL)
		return best;
	esc_text(name, sizeof(name), q->host_name, strnlen(q->host_name, HOST_NAME_MAX_LEN + 1));
	if (deny != NULL)
		snprintf(line, size, "%s@%s: rule %s denies it, and no approval changes that", q->login,
		    name, deny->name);
	else if (why[0] != '\0')
		snprintf(line, size, "%s@%s: %s", q->login, name, why);
	else
		snprintf(line, size, "No host %s for %s here", name, q->user->name);
	return NULL;
}
