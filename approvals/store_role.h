/*
 * store_role.h - roles in the database: rules, their members, and who approves under them. Part of store.h,
 * which says what the results are.
 */
#ifndef BASTION_STORE_ROLE_H
#define BASTION_STORE_ROLE_H

#include "access.h"

#define STORE_ROLES_MAX 10000
#define STORE_USER_ROLES_MAX 64	/* memberships of one user */
#define STORE_EVERYONE_MAX 100	/* rules that deny everyone */
#define STORE_DECIDERS_MAX 16	/* roles that approve under one */

struct store;

int store_role_by_name(struct store *s, const char *name, struct access_role *r);
int store_role(struct store *s, int64_t id, struct access_role *r);
int store_role_add(struct store *s, struct access_role *r, int64_t now); /* sets r->id; EEXIST, ENOSPC */
int store_role_change(struct store *s, const struct access_role *r);	/* all but name and kind; 0, -1: ENOSPC */
int store_role_remove(struct store *s, int64_t id, int64_t now);
/* The roles whose members approve under this one: a list of names, exchanged whole. ENOENT: one is none;
 * EINVAL: it is the role itself; ENOSPC: STORE_DECIDERS_MAX. */
int store_role_deciders(struct store *s, int64_t role_id, const char *names);
/* May this user approve under the role, by name or by a role? 1, 0, -1. */
int store_role_decides(struct store *s, int64_t role_id, int64_t user_id);
/* as: 'm' member, 'a' approver. Add: 1 done, 0 was so already; remove: 1 done, 0 was not. */
int store_role_join(struct store *s, int64_t role_id, int64_t user_id, char as);
int store_role_leave(struct store *s, int64_t role_id, int64_t user_id, char as);
int store_role_has(struct store *s, int64_t role_id, int64_t user_id, char as);
/* The roles that the user is a member of, and those that deny everyone: their number, or -1. *roles is the
 * caller's to free. */
int store_user_roles(struct store *s, int64_t user_id, struct access_role **roles);

#endif
