/*
 * control_role.c - the words for roles, their members and approvers. Policy role; see
 * control_word.h.
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

enum words_exit word_role_add(struct call *k)
{
	const char *hours = arg_text(k, "hours");
	struct access_role r = {
		.caps = arg_caps(k), .max = (uint32_t)arg_int(k, "max", ROLE_MAX_DEFAULT),
		.approvals = (uint32_t)arg_int(k, "approvals", 1), .ticket = arg_flag(k, "ticket"),
		.sign = arg_flag(k, "signed"),
	};

	snprintf(r.name, sizeof(r.name), "%s", arg_text(k, "role"));
	snprintf(r.hours, sizeof(r.hours), "%s", hours != NULL ? hours : "");
	if (r.caps == 0)
		r.caps = CAP_ALL;
	if (arg_list(k, "host", r.hosts) < 0 || arg_list(k, "label", r.labels) < 0 ||
	    arg_list(k, "login", r.logins) < 0 || arg_list(k, "from", r.networks) < 0)
		return refuse(k, WORDS_USAGE, NULL,
		    "host, label, login or from: the list takes more than %d bytes.", LIST_MAX);
	if (r.hosts[0] == '\0' && r.labels[0] == '\0')
		return refuse(k, WORDS_USAGE, "Add --host PATTERN or --label KEY=VALUE.",
		    "The role covers no host.");
	if (r.approvals > ROLE_APPROVALS_MAX)
		return refuse(k, WORDS_USAGE, NULL, "approvals: at most %d.", ROLE_APPROVALS_MAX);
	if (r.sign && (r.approvals == 0 || r.approvals > CONSENT_SIGNERS_MAX))
		return refuse(k, WORDS_USAGE, NULL, "signed: with 1 to %d approvals.", CONSENT_SIGNERS_MAX);
	if (store_role_add(k->s, &r, k->now) < 0) {
		if (errno == EEXIST)
			return refuse(k, WORDS_REFUSED, NULL, "There is a role %s already.",
			    r.name);
		return errno == ENOSPC ? refuse(k, WORDS_REFUSED, NULL, "%s", store_error(k->s)) :
					 broken(k);
	}
	if (event_writef(k->s, k->now, EVENT_ROLE_ADD, k->name, r.name, "{s:O}", "args", k->args) <
	    0)
		return broken(k);
	return say(k, "The role %s is there. Next: role member add %s USER%s%s", r.name, r.name,
	    r.approvals > 0 ? ", and role approver add " : "", r.approvals > 0 ? r.name : "");
}

static json_t *roles(struct call *k, int64_t id)
{
	return store_list(k->s, LIST_ROLES,
	    &(struct list_ask){ .id = id,
		.after = arg_int(k, "after", 0),
		.limit = (int)arg_int(k, "limit", CONTROL_LIMIT),
		.now = k->now });
}

enum words_exit word_role_list(struct call *k)
{
	return say_rows(k, "roles", roles(k, 0));
}

enum words_exit word_role_show(struct call *k)
{
	struct access_role r;
	enum words_exit code = load_role(k, &r);

	return code != WORDS_OK ? code :
				  say_row(k, "role", roles(k, r.id), "There is no such role.");
}

enum words_exit word_role_remove(struct call *k)
{
	struct access_role r;
	enum words_exit code = load_role(k, &r);

	if (code != WORDS_OK)
		return code;
	if (close_tickets(k, 0, r.id, 0, "the role was removed") < 0 ||
	    store_role_remove(k->s, r.id, k->now) < 0 ||
	    event_write(k->s, k->now, EVENT_ROLE_REMOVE, k->name, r.name, NULL) < 0)
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
		u.name, "{s:s}", "role", r.name) < 0)
		return broken(k);
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
		k->name, u.name, "{s:s}", "role", r.name) < 0)
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
