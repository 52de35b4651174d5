/*
 * control_glass.c - break-glass: access at once for those whose role says so, loud, short, and looked at afterwards by somebody else.
 * Policy role; see control_word.h.
 *
 * It is a request like any other, of a role with `glass`, that needs no approval and ends after an hour at most. What denies still denies: a
 * rule, a lock, a network. Hours do not count. Whoever used it owes nothing; another person owes a review, and `reviews` says which.
 */
#include "control_word.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"

size_t glass_roles(struct access_role *roles, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (roles[i].kind == RULE_ALLOW && !roles[i].glass)
			continue;
		if (kept != i)
			roles[kept] = roles[i];
		if (roles[kept].kind == RULE_ALLOW) {
			roles[kept].approvals = 0;
			roles[kept].sign = roles[kept].ticket = roles[kept].no_reason = false;
			roles[kept].max = GLASS_MAX;
		}
		kept++;
	}
	return kept;
}

int glass_event(struct call *k, const struct ticket *t, const struct user *u, const struct host *h, const char *role)
{
	return event_writef(k->s, k->now, EVENT_BREAK_GLASS, k->name, u->name, "{s:I,s:s,s:s,s:s,s:I,s:s,s:s}", "request", (json_int_t)t->id,
	    "host", h->name, "login", t->login, "role", role, "for", (json_int_t)t->duration, "reason", t->reason, "ticket", t->ref);
}

enum words_exit word_reviews(struct call *k)
{
	return say_list(k, "reviews", LIST_REVIEWS,
	    (struct list_ask){ .user_id = is_admin(k) || k->me.auditor ? 0 : k->me.id, .after = arg_int(k, "after", 0),
		.all = arg_flag(k, "all"), .limit = (int)arg_int(k, "limit", CONTROL_LIMIT) });
}

/* By an approver of its role, an administrator or an auditor; never by who asked or profited. */
enum words_exit word_review(struct call *k)
{
	const char *verdict = arg_text(k, "verdict"), *reason = arg_text(k, "reason");
	const int64_t id = arg_int(k, "id", 0);
	struct access_role role;
	struct ticket t;
	struct user u = { .name = "" };
	int r = store_ticket(k->s, id, &t), own = 0, part = 0;

	if (r < 0 || (r == 1 && ((own = store_ticket_own(k->s, &t, k->me.person)) < 0 ||
		(part = store_role_decides(k->s, t.role_id, k->me.id)) < 0)))
		return broken(k);
	if (r == 1 && own == 1)
		return refuse(k, WORDS_DENIED, "Another person must review it.", "Nobody reviews their own access.");
	if (r != 1 || !t.glass || k->me.kind != USER_HUMAN || (part != 1 && !k->me.admin && !k->me.auditor))
		return refuse(k, WORDS_NOT_FOUND, "Look at: reviews", "There is no review %lld for you to give.", (long long)id);
	if ((r = store_review(k->s, id, &k->me, verdict, reason, k->now)) < 0)
		return broken(k);
	if (r == 0)
		return refuse(k, WORDS_REFUSED, NULL, "%lld is reviewed already.", (long long)id);
	if (store_user(k->s, t.user_id, &u) < 0 || (r = store_role(k->s, t.role_id, &role)) < 0 ||
	    event_writef(k->s, k->now, EVENT_REVIEW, k->name, u.name, "{s:I,s:s,s:s,s:s}", "request", (json_int_t)id, "role",
		r == 1 ? role.name : "", "verdict", verdict, "reason", reason) < 0)
		return broken(k);
	return say(k, "%lld is reviewed: %s.", (long long)id, verdict);
}
