/*
 * store_past.h - what was in force at a moment: who was in which role, how the roles, hosts and users were, and
 * which grants ran. Policy role; for the word explain.
 *
 * Out of the history that the schema keeps (store_schema_rules.c) and of requests, verdicts and grants, which are
 * never taken away. Results as in store.h.
 */
#ifndef BASTION_STORE_PAST_H
#define BASTION_STORE_PAST_H

#include "store.h"

/* The user as of then. 0: there was none, or nothing is known of it. */
int store_past_user(struct store *s, int64_t user_id, int64_t at, struct user *u);
/* The host that had this name: name, labels, zone and logins; the rest is empty. */
int store_past_host(struct store *s, const char *name, int64_t at, struct host *h);
/* Roles as store_user_roles() has them. Their number, or -1; *roles is the caller's. */
int store_past_roles(struct store *s, int64_t user_id, int64_t at, struct access_role **roles);
/* Tickets as store_tickets() has them, each in the state that it had, with its role as it was. */
int store_past_tickets(struct store *s, int64_t user_id, int64_t host_id, const char *login, int64_t at,
    struct ticket *t, int max);
/* A walk over the users who had a grant there that ran, or were in a role that allows, in the order of their numbers. */
struct past_walk {
	int64_t host_id, at, after;	/* after: whose numbers are higher; 0: all */
	const char *login;
	int64_t granted, member;	/* the next of either kind, as far as it is known; 0 at first */
};
/* One after the other, and `after` goes along. 1, 0: there is none any more, -1. */
int store_past_next(struct store *s, struct past_walk *w, int64_t *user_id);
/* ["bob 2027-01-15T08:00:00Z"]: who said yes to what was granted then. The caller's; NULL: failed. */
json_t *store_past_approvers(struct store *s, int64_t ticket_id);

#endif
