/*
 * access_login.h - accounts of one's own: the user's name as a login at a host that makes them (bastionctl(1)). Pure; in access_rule.c.
 */
#ifndef BASTION_ACCESS_LOGIN_H
#define BASTION_ACCESS_LOGIN_H

#include "access.h"

/*
 * The login as hosts, roles and tickets have it: LOGIN_SELF when the user's own name, or that word, stands for an account that the bastion
 * makes there; the user's name where the host has an account of that name anyway; otherwise the login itself.
 */
const char *access_login(const struct host *host, const struct user *user, const char *login);
/* A rule that denies: does it cover this login of the user, by its name or as LOGIN_SELF? Whatever its hours and networks. */
bool access_denies(const struct access_role *role, const struct host *host, const struct user *user, const char *login);

#endif
