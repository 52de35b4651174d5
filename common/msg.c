/*
 * msg.c - the message list of msg.h as a table, and the permission check on it. Pure; every role.
 */
#include "msg.h"

#include <string.h>

static const struct msg_rule rules[MSG_COUNT] = {
#define M(name, from, to, states, max, fds, once) \
	[MSG_##name] = { #name, ROLE_##from, ROLE_##to, states, max, fds, once },
	MSG_LIST(M)
#undef M
};

static const char *const roles[ROLE_COUNT] = {
#define R(name, text) [ROLE_##name] = text,
	ROLE_LIST(R)
#undef R
};

const struct msg_rule *msg_rule(unsigned type)
{
	return type > MSG_NONE && type < MSG_COUNT ? &rules[type] : NULL;
}

const char *msg_name(unsigned type)
{
	const struct msg_rule *rule = msg_rule(type);

	return rule != NULL ? rule->name : "?";
}

const char *role_name(enum role role)
{
	return (unsigned)role < ROLE_COUNT ? roles[role] : "?";
}

enum role role_by_name(const char *text)
{
	for (unsigned i = 0; i < ROLE_COUNT; i++)
		if (strcmp(roles[i], text) == 0)
			return (enum role)i;
	return ROLE_COUNT;
}

bool msg_permitted(unsigned type, enum role from, enum role to, unsigned state, size_t body, int nfds, bool seen)
{
	const struct msg_rule *rule = msg_rule(type);

	if (rule == NULL || rule->from != from || rule->to != to || (rule->states & state) == 0)
		return false;
	if (body > rule->max || (rule->once && seen))
		return false;
	return rule->fds < 0 ? nfds <= MSG_FDS_MAX : nfds == rule->fds;
}
