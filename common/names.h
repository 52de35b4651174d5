/*
 * names.h - the grammar of names. Nothing that fails it reaches a query, a path or a log line.
 */
#ifndef BASTION_NAMES_H
#define BASTION_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USER_NAME_MAX 32
#define LOGIN_MAX 32
#define HOST_NAME_MAX_LEN 64
#define LABEL_MAX 64
#define ADDRESS_MAX 255		/* DNS name or literal */

/* ^[a-z_][a-z0-9_.-]{0,31}$ : a user, a role, a device, a managed key. */
bool name_is_user(const char *s);
/* ^[A-Za-z_][A-Za-z0-9_.-]{0,31}$ : an account on a target. */
bool name_is_login(const char *s);
/* In the lists of hosts, roles and requests: the account that has the user's own name (bastionctl(1)). No login of a target. */
#define LOGIN_SELF "@self"
bool name_is_login_word(const char *s); /* a login, or that */
/* A registered host's name: letters, digits, '.', '-', '_', 1 to 64, starts with a letter or digit,
   and is no address: not all digits and dots, no colon. */
bool name_is_host(const char *s);
/* "dba@web1": a login and a registered host. */
bool name_is_place(const char *s);
/* A host's name in which '*' may stand for any of the letters that a name may have. */
bool name_is_pattern(const char *s);
/* A DNS name, as far as its letters go, or an IPv4 or IPv6 address: at most ADDRESS_MAX, no leading dash, no port. */
bool name_is_address(const char *s);
/* key=value, each ^[a-z0-9][a-z0-9_.-]*$, together at most 64. */
bool name_is_label(const char *s);

/* What a client wrote before its '@bastion': "alice", or "alice@dba@web1" (identity@login@host). */
struct target {
	char user[USER_NAME_MAX + 1];
	char login[LOGIN_MAX + 1];		/* "" when only a user was named */
	char host[HOST_NAME_MAX_LEN + 1];
};

/* Splits and checks. 0, or -1 (t is then wiped): the caller goes on as for an unknown user. */
int target_parse(const char *text, struct target *t);

#endif
