/*
 * control_account.c - the words for accounts that the bastion makes at targets. Policy role; see control_word.h, and
 * bastiond/policy_account.c, which makes and removes them.
 */
#include "control_word.h"

#include "store_account.h"

enum words_exit word_accounts(struct call *k)
{
	return say_list(k, "accounts", LIST_ACCOUNTS,
	    (struct list_ask){ .after = arg_int(k, "after", 0),
		.all = arg_flag(k, "all"),
		.limit = (int)arg_int(k, "limit", CONTROL_LIMIT) });
}

enum words_exit word_accounts_forget(struct call *k)
{
	const char *reason = arg_text(k, "reason");
	int64_t id = arg_int(k, "id", 0);
	struct account a;
	struct host h;
	int r = store_account(k->s, id, &a);

	if (r < 0)
		return broken(k);
	if (r == 0 || a.state == ACCOUNT_GONE)
		return refuse(k, WORDS_NOT_FOUND, "Look at: accounts", "There is no account %lld.", (long long)id);
	if (a.state != ACCOUNT_REMOVING)
		return refuse(k, WORDS_REFUSED, "Revoke its grant first: the account goes with it.", "Account %lld of %s is in use.", (long long)id,
		    a.name);
	if (store_host_ever(k->s, a.host_id, &h) != 1)
		return broken(k);
	a.state = ACCOUNT_GONE;
	a.since = k->now;
	if (store_account_save(k->s, &a) < 0 ||
	    event_writef(k->s, k->now, EVENT_ACCOUNT_FORGET, k->name, a.name, "{s:I, s:s, s:I, s:s, s:s}", "account", (json_int_t)id, "host",
		h.name, "uid", (json_int_t)a.uid, "reason", reason, "line", a.line) < 0)
		return broken(k);
	return say(k, "Account %lld of %s at %s is not removed any more. If the host is there, the account still is, until its end.", (long long)id,
	    a.name, h.name);
}
