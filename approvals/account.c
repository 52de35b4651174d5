/*
 * account.c - see account.h. Pure; policy role, between the grant and the task at the target.
 */
#include "account.h"

#include <stdio.h>
#include <string.h>

#include "escape.h"

static const char *const names[ACCOUNT_STATES] = {
#define A(symbol, name) name,
	ACCOUNT_LIST(A)
#undef A
};

const char *account_state_name(enum account_state state)
{
	return (unsigned)state < ACCOUNT_STATES ? names[state] : "?";
}

enum account_state account_state_by_name(const char *text)
{
	for (int i = 0; i < ACCOUNT_STATES; i++)
		if (strcmp(names[i], text) == 0)
			return (enum account_state)i;
	return ACCOUNT_STATES;
}

static void move_on(struct account *a, enum account_state state, int64_t now)
{
	a->state = state;
	a->since = a->next_at = now;
	a->tries = 0;
	a->told = false;
	a->line[0] = '\0';
}

enum account_act account_due(struct account *a, int64_t until, int64_t now)
{
	if (a->state == ACCOUNT_GONE)
		return ACCOUNT_REST;
	if (until <= now && a->state != ACCOUNT_REMOVING)
		move_on(a, ACCOUNT_REMOVING, now);
	/* a time that no pause can have led to is from before the clock was set back */
	if (a->since > now)
		a->since = now;
	if (a->next_at > now + ACCOUNT_PAUSE_MAX)
		a->next_at = now;
	if (now < a->next_at || (a->state == ACCOUNT_THERE && a->expiry == until))
		return ACCOUNT_REST;
	return a->state == ACCOUNT_REMOVING ? ACCOUNT_REMOVE : ACCOUNT_CREATE;
}

bool account_ready(const struct account *a, int64_t until, int64_t now)
{
	return a->state == ACCOUNT_THERE && a->expiry >= until && a->checked > 0 && a->checked <= now && now - a->checked < ACCOUNT_FRESH_S;
}

bool account_left(const struct account *a, int64_t now)
{
	return a->state == ACCOUNT_REMOVING && !a->told && now - a->since >= ACCOUNT_LEFT_S;
}

/* --- what goes out --- */

size_t account_ask(char *out, size_t size, const struct account *a, enum account_act act, int64_t until, int64_t now, const char *bastion)
{
	int n = act == ACCOUNT_CREATE ?
	    snprintf(out, size, "create %s %lld %lld %lld %s\n", a->name, (long long)a->uid, (long long)until, (long long)now, bastion) :
	    snprintf(out, size, "remove %s %lld %s\n", a->name, (long long)a->uid, bastion);

	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

/* --- what comes back --- */

/* The last line that is not empty: a shell of root's may have said something before. */
static const char *last_line(const char *out, size_t *len)
{
	size_t end = *len, start;

	while (end > 0 && (out[end - 1] == '\n' || out[end - 1] == '\r' || out[end - 1] == ' '))
		end--;
	for (start = end; start > 0 && out[start - 1] != '\n';)
		start--;
	*len = end - start;
	return out + start;
}

static bool is(const char *line, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(line, word, len) == 0;
}

static bool begins(const char *line, size_t len, const char *word)
{
	return len > strlen(word) && memcmp(line, word, strlen(word)) == 0;
}

/* Of at most ten digits; -1: it is none. */
static int64_t number(const char *text, size_t len)
{
	int64_t n = 0;

	if (len == 0 || len > 10)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		n = 10 * n + (text[i] - '0');
	}
	return n;
}

void account_parse(struct account_answer *r, const char *out, size_t len)
{
	const char *line = last_line(out, &len);

	*r = (struct account_answer){ .reply = REPLY_NO };
	if (is(line, len, "ok")) {
		r->reply = REPLY_OK;
	} else if (is(line, len, "gone")) {
		r->reply = REPLY_GONE;
	} else if (begins(line, len, "used ") && (r->used = number(line + 5, len - 5)) >= 0) {
		r->reply = REPLY_USED;
	} else if (begins(line, len, "foreign ")) {
		r->reply = REPLY_FOREIGN;
		esc_text(r->line, sizeof(r->line), line + 8, len - 8);
	} else if (begins(line, len, "refused ") || begins(line, len, "failed ")) {
		size_t skip = line[0] == 'r' ? 8 : 7;

		esc_text(r->line, sizeof(r->line), line + skip, len - skip);
	} else {
		size_t n = (size_t)snprintf(r->line, sizeof(r->line), "no answer of bastion-account(8)%s", len > 0 ? ": " : "");

		esc_text(r->line + n, sizeof(r->line) - n, line, len);
	}
}

int64_t account_pause(unsigned failures)
{
	if (failures == 0)
		return 0;
	return failures > 6 ? ACCOUNT_PAUSE_MAX : (int64_t)ACCOUNT_PAUSE << (failures - 1);
}

static void failed(struct account *a, const char *line, int64_t now)
{
	a->tries++;
	a->next_at = now + account_pause(a->tries);
	snprintf(a->line, sizeof(a->line), "%s", line);
}

/* The uid was used: is this row over? Not if it was there, its end is far and stays: then somebody removed it. */
static bool is_over(const struct account *a, int64_t until, int64_t now)
{
	return a->state == ACCOUNT_CREATING || until != a->expiry || now >= a->expiry - ACCOUNT_CLOCK_S;
}

bool account_take(struct account *a, enum account_act act, int64_t until, const struct account_answer *r, int64_t now)
{
	static const char odd[] = "bastion-account(8) answered something else than it was asked", removed[] = "it was removed at the host";
	enum account_state was = a->state;

	if (a->state == ACCOUNT_GONE || (act == ACCOUNT_CREATE && a->state == ACCOUNT_REMOVING))
		return false; /* given up meanwhile: its removal is next, whatever came of this */
	if (r->reply == REPLY_NO || r->reply != (act == ACCOUNT_CREATE ? REPLY_OK : REPLY_GONE)) {
		const bool used = act == ACCOUNT_CREATE && r->reply == REPLY_USED;

		a->wasted = a->wasted || (used && a->state == ACCOUNT_CREATING);
		if (used && is_over(a, until, now))
			move_on(a, ACCOUNT_REMOVING, now);
		else
			failed(a, r->line[0] != '\0' ? r->line : used ? removed : odd, now);
		a->checked = 0;
	} else if (act == ACCOUNT_REMOVE) {
		move_on(a, ACCOUNT_GONE, now);
	} else {
		if (was != ACCOUNT_THERE)
			move_on(a, ACCOUNT_THERE, now);
		a->expiry = until;
		a->checked = now;
		a->tries = 0;
		a->next_at = now;
		a->line[0] = '\0';
	}
	return a->state != was;
}
