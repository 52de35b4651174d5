/*
 * control_role.c - the words for roles, their members and approvers. Policy role; see
 * control_word.h.
 *
 * What a change takes away ends at once: tickets that a role does not cover any more, and what is
 * open against a rule that denies.
 */
#include "consent.h"
#include "control_word.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ROLE_MAX_DEFAULT (8 * 3600)
#define ROLE_APPROVALS_MAX 10

enum words_exit load_role(struct call *k, struct access_role *r)
{
	const char *name = arg_text(k, "role");
	int n = store_role_by_name(k->s, name, r);

	if (n < 0)
		return broken(k);
	return n == 1 ?
	    WORDS_OK :
	    refuse(k, WORDS_NOT_FOUND, "Look at: role list", "There is no role %s.", name);
}

int recheck(struct call *k)
{
	for (size_t i = 0; i < k->neffects; i++)
		if (k->effects[i].what == END_DENIED)
			return 0; /* one look is enough for all */
	return effect(k, END_DENIED, 1, "A rule of the bastion denies this now.");
}

/* --- the rule in the arguments --- */

/* An argument that is there replaces the list. */
static int take_list(const struct call *k, const char *name, char *out)
{
	return json_object_get(k->args, name) == NULL ? 0 : arg_list(k, name, out);
}

/* "--clear host": the list is empty. */
static void clear_lists(const struct call *k, struct access_role *r)
{
	char what[LIST_MAX + 1];
	struct { const char *name; char *list; } lists[] = {
		{ "host", r->hosts }, { "label", r->labels }, { "zone", r->zones }, { "from", r->networks },
		{ "hours", r->hours },
	};

	if (arg_list(k, "clear", what) < 0)
		return;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (list_has(what, lists[i].name))
			lists[i].list[0] = '\0';
}

static enum words_exit take_rights(struct call *k, struct access_role *r)
{
	struct rights rights;

	if (json_object_get(k->args, "cap") == NULL)
		return WORDS_OK;
	if (arg_rights(k, &rights) < 0)
		return refuse(k, WORDS_USAGE, NULL, "cap: the list of commands or destinations is too long.");
	if (rights.bare && r->kind != RULE_DENY)
		return refuse(k, WORDS_USAGE, "Name them: --cap \"forward HOST:PORT\", --cap \"command TEXT\".",
		    "Only a rule that denies can mean all forwards or commands.");
	if (r->kind == RULE_DENY && (rights.forwards[0] != '\0' || rights.commands[0] != '\0'))
		return refuse(k, WORDS_USAGE, "Say --cap forward, --cap command.",
		    "A rule denies all forwards or all commands.");
	r->caps = rights.caps;
	memcpy(r->forwards, rights.forwards, sizeof(r->forwards));
	memcpy(r->commands, rights.commands, sizeof(r->commands));
	return WORDS_OK;
}

/* Can this rule be? */
static enum words_exit check_rule(struct call *k, const struct access_role *r)
{
	if (r->sign && (r->kind != RULE_ALLOW || r->approvals == 0 || r->approvals > CONSENT_SIGNERS_MAX))
		return refuse(k, WORDS_USAGE, NULL, "signed: with 1 to %d approvals.", CONSENT_SIGNERS_MAX);
	if (r->glass && r->kind != RULE_ALLOW)
		return refuse(k, WORDS_USAGE, NULL, "break-glass: only a role that allows has it.");
	if (r->everyone && r->kind != RULE_DENY)
		return refuse(k, WORDS_USAGE, "Add members, with role member add.",
		    "Only a rule that denies is for everyone.");
	if (r->kind == RULE_GROUP)
		return WORDS_OK;
	if (r->hosts[0] == '\0' && r->labels[0] == '\0' && r->zones[0] == '\0')
		return refuse(k, WORDS_USAGE, "Add --host PATTERN, --label KEY=VALUE or --zone ZONE.",
		    "The role covers no host.");
	if (r->logins[0] == '\0')
		return refuse(k, WORDS_USAGE, "Add --login LOGIN.", "The role covers no login.");
	if (r->approvals > ROLE_APPROVALS_MAX)
		return refuse(k, WORDS_USAGE, NULL, "approvals: at most %d.", ROLE_APPROVALS_MAX);
	return WORDS_OK;
}

/* What such a rule does not have is refused, not passed over: somebody thinks that it holds. */
static enum words_exit check_given(struct call *k, const struct access_role *r)
{
	/* the first ones mean something in a rule that denies, too */
	static const char *const names[] = { "host", "label", "zone", "login", "cap", "from", "hours", "max", "approvals", "approver_role",
		"ask_reason", "ticket", "ask_ticket" };
	const size_t from = r->kind == RULE_GROUP ? 0 : 7;

	for (size_t i = from; r->kind != RULE_ALLOW && i < sizeof(names) / sizeof(names[0]); i++)
		if (json_object_get(k->args, names[i]) != NULL)
			return refuse(k, WORDS_USAGE, NULL, r->kind == RULE_DENY ? "%s: a rule that denies has no such thing." :
			    "%s: a group of approvers has no such thing.", names[i]);
	return WORDS_OK;
}

static enum words_exit take_rule(struct call *k, struct access_role *r)
{
	const char *hours = arg_text(k, "hours"), *reason = arg_text(k, "ask_reason"), *ticket = arg_text(k, "ask_ticket"),
		   *sign = arg_text(k, "ask_signed"), *glass = arg_text(k, "ask_break_glass");
	enum words_exit code = check_given(k, r);

	if (code != WORDS_OK)
		return code;
	clear_lists(k, r);
	if (take_list(k, "host", r->hosts) < 0 || take_list(k, "label", r->labels) < 0 ||
	    take_list(k, "zone", r->zones) < 0 || take_list(k, "login", r->logins) < 0 ||
	    take_list(k, "from", r->networks) < 0)
		return refuse(k, WORDS_USAGE, NULL,
		    "host, label, login or from: the list takes more than %d bytes.", LIST_MAX);
	if ((code = take_rights(k, r)) != WORDS_OK)
		return code;
	if (hours != NULL)
		snprintf(r->hours, sizeof(r->hours), "%s", hours);
	r->max = (uint32_t)arg_int(k, "max", r->max);
	r->approvals = (uint32_t)arg_int(k, "approvals", r->approvals);
	r->ticket = ticket != NULL ? strcmp(ticket, "yes") == 0 : r->ticket || arg_flag(k, "ticket");
	r->sign = sign != NULL ? strcmp(sign, "yes") == 0 : r->sign || arg_flag(k, "signed");
	r->no_reason = reason != NULL ? strcmp(reason, "no") == 0 : r->no_reason;
	r->everyone = r->everyone || arg_flag(k, "everyone");
	r->glass = glass != NULL ? strcmp(glass, "yes") == 0 : r->glass || arg_flag(k, "break_glass");
	return check_rule(k, r);
}

/* "--approver-role", and "--clear approver_role". */
static enum words_exit take_deciders(struct call *k, const struct access_role *r)
{
	char names[LIST_MAX + 1], clear[LIST_MAX + 1];

	if (arg_list(k, "approver_role", names) < 0 || arg_list(k, "clear", clear) < 0)
		return refuse(k, WORDS_USAGE, NULL, "approver_role: the list is too long.");
	if (names[0] == '\0' && !list_has(clear, "approver_role"))
		return WORDS_OK;
	if (store_role_deciders(k->s, r->id, names) == 0)
		return WORDS_OK;
	return errno == ENOENT || errno == EINVAL || errno == ENOSPC ?
	    refuse(k, errno == ENOENT ? WORDS_NOT_FOUND : WORDS_REFUSED, NULL, "%s.", store_error(k->s)) :
	    broken(k);
}

enum words_exit word_role_add(struct call *k)
{
	struct access_role r;
	enum words_exit code;

	r = (struct access_role){ .max = ROLE_MAX_DEFAULT, .approvals = 1, .caps = CAP_USUAL };
	if (arg_flag(k, "deny") && arg_flag(k, "group"))
		return refuse(k, WORDS_USAGE, NULL, "A role denies, or is a group of approvers; not both.");
	if (arg_flag(k, "group"))
		r = (struct access_role){ .kind = RULE_GROUP, .max = ROLE_MAX_DEFAULT };
	if (arg_flag(k, "deny"))
		r = (struct access_role){ .kind = RULE_DENY, .max = ROLE_MAX_DEFAULT, .caps = CAP_ALL, .logins = "*" };
	snprintf(r.name, sizeof(r.name), "%s", arg_text(k, "role"));
	if ((code = take_rule(k, &r)) != WORDS_OK)
		return code;
	if (store_role_add(k->s, &r, k->now) < 0) {
		if (errno == EEXIST)
			return refuse(k, WORDS_REFUSED, NULL, "There is a role %s already.",
			    r.name);
		return errno == ENOSPC ? refuse(k, WORDS_REFUSED, NULL, "%s.", store_error(k->s)) :
					 broken(k);
	}
	if ((code = take_deciders(k, &r)) != WORDS_OK)
		return code;
	if (event_writef(k->s, k->now, EVENT_ROLE_ADD, k->name, r.name, "{s:O}", "args", k->args) <
		0 ||
	    (r.everyone && recheck(k) < 0))
		return broken(k);
	if (r.everyone)
		return say(k, "The rule %s is there, and denies everyone what it covers.", r.name);
	return say(k, "The role %s is there. Next: role member add %s USER%s%s", r.name, r.name,
	    r.kind == RULE_ALLOW && r.approvals > 0 ? ", and role approver add " : "",
	    r.kind == RULE_ALLOW && r.approvals > 0 ? r.name : "");
}

int close_uncovered(struct call *k, const struct access_role *r)
{
	struct ticket t = { .id = 0 };
	struct host h;
	int n;

	while ((n = store_ticket_open(k->s, 0, r->id, 0, t.id, &t)) == 1) {
		int found = store_host(k->s, t.host_id, &h);

		if (found < 0)
			return -1;
		if (found == 1 && access_allows(r, &h, t.login) &&
		    access_rights_within(r, t.caps, t.forwards, t.commands))
			continue;
		if (close_ticket(k, &t, "the role was changed") < 0)
			return -1;
	}
	return n;
}

enum words_exit word_role_change(struct call *k)
{
	struct access_role r;
	enum words_exit code = load_role(k, &r);

	if (code != WORDS_OK)
		return code;
	if (json_object_size(k->args) == 1)
		return refuse(k, WORDS_USAGE, "Look at: help role change", "Nothing is to change.");
	if ((code = take_rule(k, &r)) != WORDS_OK)
		return code;
	if (store_role_change(k->s, &r) < 0)
		return errno == ENOSPC ? refuse(k, WORDS_REFUSED, NULL, "%s.", store_error(k->s)) : broken(k);
	if ((code = take_deciders(k, &r)) != WORDS_OK)
		return code;
	if (event_writef(k->s, k->now, EVENT_ROLE_CHANGE, k->name, r.name, "{s:O}", "args", k->args) < 0 ||
	    (r.kind == RULE_ALLOW && close_uncovered(k, &r) < 0) || recheck(k) < 0)
		return broken(k);
	return say(k, "The role %s is changed. What it does not cover any more ended.", r.name);
}

static json_t *one_role(struct call *k, int64_t id)
{
	return store_list(k->s, LIST_ROLES, &(struct list_ask){ .id = id, .limit = 1, .now = k->now });
}

enum words_exit word_role_list(struct call *k)
{
	return say_list(k, "roles", LIST_ROLES,
	    (struct list_ask){ .after = arg_int(k, "after", 0), .limit = (int)arg_int(k, "limit", CONTROL_LIMIT) });
}

enum words_exit word_role_show(struct call *k)
{
	struct access_role r;
	enum words_exit code = load_role(k, &r);

	return code != WORDS_OK ? code :
				  say_row(k, "role", one_role(k, r.id), "There is no such role.");
}

enum words_exit word_role_remove(struct call *k)
{
	struct access_role r;
	enum words_exit code = load_role(k, &r);

	if (code != WORDS_OK)
		return code;
	if (close_tickets(k, 0, r.id, 0, "the role was removed") < 0 ||
	    store_role_remove(k->s, r.id, k->now) < 0 ||
	    event_write(k->s, k->now, EVENT_ROLE_REMOVE, k->name, r.name, NULL) < 0 ||
	    (r.kind == RULE_DENY && recheck(k) < 0)) /* what was to end when its hours begin goes on */
		return broken(k);
	return say(k, "The role %s is removed; requests and grants under it ended.", r.name);
}

static enum words_exit join(struct call *k, char as)
{
	struct access_role r;
	struct user u;
	enum words_exit code;
	int n;

	if ((code = load_role(k, &r)) != WORDS_OK || (code = load_user(k, &u)) != WORDS_OK)
		return code;
	if (as == 'a' && r.kind != RULE_ALLOW)
		return refuse(k, WORDS_REFUSED, "Approvers belong to a role that allows.",
		    "Nobody asks under %s: it has nothing to approve.", r.name);
	if (as == 'a' && u.kind == USER_SERVICE)
		return refuse(k, WORDS_REFUSED, NULL,
		    "%s is a service account: only people approve.", u.name);
	if ((n = store_role_join(k->s, r.id, u.id, as)) < 0)
		return errno == ENOSPC ? refuse(k, WORDS_REFUSED, NULL, "%s", store_error(k->s)) :
					 broken(k);
	if (n == 0)
		return refuse(k, WORDS_REFUSED, NULL, "%s %s %s already.", u.name,
		    as == 'a' ? "approves under" : "is in", r.name);
	if (event_writef(k->s, k->now, as == 'a' ? EVENT_APPROVER_ADD : EVENT_MEMBER_ADD, k->name,
		u.name, "{s:s}", "role", r.name) < 0 ||
	    (as == 'm' && r.kind == RULE_DENY && recheck(k) < 0))
		return broken(k);
	if (as == 'm' && r.kind != RULE_ALLOW)
		return say(k, r.kind == RULE_DENY ? "The rule %2$s denies %1$s what it covers." :
			"%1$s is in %2$s.", u.name, r.name);
	return say(k, as == 'a' ? "%s decides requests under %s." : "%s may ask under %s.", u.name,
	    r.name);
}

static enum words_exit leave(struct call *k, char as)
{
	struct access_role r;
	struct user u;
	enum words_exit code;
	int n;

	if ((code = load_role(k, &r)) != WORDS_OK || (code = load_user(k, &u)) != WORDS_OK)
		return code;
	if ((n = store_role_leave(k->s, r.id, u.id, as)) < 0)
		return broken(k);
	if (n == 0)
		return refuse(k, WORDS_NOT_FOUND, NULL, "%s %s %s.", u.name,
		    as == 'a' ? "does not approve under" : "is not in", r.name);
	if ((as == 'm' && close_tickets(k, u.id, r.id, 0, "the user left the role") < 0) ||
	    event_writef(k->s, k->now, as == 'a' ? EVENT_APPROVER_REMOVE : EVENT_MEMBER_REMOVE,
		k->name, u.name, "{s:s}", "role", r.name) < 0 ||
	    (as == 'm' && r.kind == RULE_DENY && recheck(k) < 0))
		return broken(k);
	return say(k,
	    as == 'a' ? "%s does not decide under %s any more." :
			"%s left %s; requests and grants under it ended.",
	    u.name, r.name);
}

enum words_exit word_member_add(struct call *k) { return join(k, 'm'); }
enum words_exit word_member_remove(struct call *k) { return leave(k, 'm'); }
enum words_exit word_approver_add(struct call *k) { return join(k, 'a'); }
enum words_exit word_approver_remove(struct call *k) { return leave(k, 'a'); }
