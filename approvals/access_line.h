/*
 * access_line.h - the command with which a user asks for access, as it ends a line that says no. Pure; in access.c.
 */
#ifndef BASTION_ACCESS_LINE_H
#define BASTION_ACCESS_LINE_H

#include <stddef.h>

/* "VERB: ssh alice@bastion request web1 --login dba --for 2h --reason "..."", into out, which it is; 512 bytes hold it. */
const char *access_ask_line(const char *verb, const char *user, const char *bastion, const char *host, const char *login, char *out, size_t size);

#endif
