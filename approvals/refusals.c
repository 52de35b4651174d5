/*
 * refusals.c - see refusals.h. Role policy; before it: control.c and policy_authz.c, which refuse.
 */
#include "refusals.h"

#include "access.h"

/* What ran dry fills up again. */
static void fill(struct refusals_user *u, unsigned burst, int64_t now)
{
	int64_t more = now > u->filled ? (now - u->filled) / REFUSALS_EVERY : 0;

	if (now < u->filled)
		u->filled = now;
	if (more >= (int64_t)burst - u->tokens)
		*u = (struct refusals_user){ u->id, burst, now, u->since, u->left_out };
	else
		u->tokens += (unsigned)more, u->filled += more * REFUSALS_EVERY;
}

/* Nothing is known of such a user that a new bucket would not say, too. */
static bool is_spare(struct refusals_user *u, unsigned burst, int64_t now)
{
	if (u->id == 0)
		return true;
	fill(u, burst, now);
	return u->tokens == burst && u->left_out == 0;
}

/* The user's bucket, or the shared one. */
static struct refusals_user *find(struct refusals *r, int64_t id, unsigned burst, int64_t now)
{
	struct refusals_user *spare = NULL;

	for (int i = 0; i < REFUSALS_USERS; i++) {
		struct refusals_user *u = &r->v[i];

		if (u->id == id) {
			fill(u, burst, now);
			return u;
		}
		if (spare == NULL && is_spare(u, burst, now))
			spare = u;
	}
	if (spare == NULL) {
		fill(&r->v[REFUSALS_USERS], burst, now);
		return &r->v[REFUSALS_USERS];
	}
	*spare = (struct refusals_user){ .id = id, .tokens = burst, .filled = now };
	return spare;
}

static void leave_out(struct refusals_user *u, int64_t now)
{
	if (u->left_out++ == 0)
		u->since = now;
}

bool refusals_take(struct refusals *r, int64_t id, int64_t now)
{
	struct refusals_user *u = find(r, id, REFUSALS_BURST, now);

	if (u->tokens > 0) {
		u->tokens--;
		return true;
	}
	leave_out(u, now);
	return false;
}

bool refusals_spend(struct refusals *r, int64_t id, unsigned n, int64_t now)
{
	struct refusals_user *u = find(r, id, WRITES_BURST, now);

	if (u->tokens < n)
		return false;
	u->tokens -= n;
	return true;
}

bool refusals_over(struct refusals *r, int64_t id, int64_t now)
{
	return find(r, id, REFUSALS_BURST, now)->tokens == 0;
}

void refusals_count(struct refusals *r, int64_t id, int64_t now)
{
	leave_out(find(r, id, REFUSALS_BURST, now), now);
}

struct refusals_user *refusals_due(struct refusals *r, int64_t now)
{
	for (int i = 0; i <= REFUSALS_USERS; i++)
		if (r->v[i].left_out != 0 && now - REFUSALS_TELL >= r->v[i].since)
			return &r->v[i];
	return NULL;
}

void refusals_told(struct refusals_user *u)
{
	u->left_out = 0;
	u->since = 0;
}

int64_t refusals_next(const struct refusals *r)
{
	int64_t next = FOREVER;

	for (int i = 0; i <= REFUSALS_USERS; i++)
		if (r->v[i].left_out != 0 && r->v[i].since + REFUSALS_TELL < next)
			next = r->v[i].since + REFUSALS_TELL;
	return next;
}
