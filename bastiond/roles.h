/*
 * roles.h - the entry points of the roles that are processes of their own, and their descriptors.
 *
 * main.c calls one of them, still root, with the configuration, SIGPIPE ignored and the log set up. The role opens what
 * it needs, calls drop_to() and sandbox_enter(), sends its READY message and loops until its link to
 * parent ends or SIGTERM comes. The value returned is the exit status.
 */
#ifndef BASTIOND_ROLES_H
#define BASTIOND_ROLES_H

#include "config.h"

/* Descriptors that parent leaves open in a role; doc/ARCHITECTURE.md has the table. */
enum {
	ROLE_FD_PARENT = 3,
	POLICY_FD_KEYS = 4,	/* policy: link to keys */
	POLICY_FD_CONTROL = 5,	/* policy: control.sock, listening, non-blocking */
	POLICY_FD_PAM = 6,	/* policy: pam.sock, listening, non-blocking */
	KEYS_FD_POLICY = 4,	/* keys: link to policy */
	ROLE_FD_CONFIG = 7,	/* the configuration that parent checked; main.c closes it */
};

#define SESSION_SPINS 70	/* exit status of a session whose loop did not turn: as bad as a signal */

/* `path`: the configuration file, read again at SIGHUP. */
int role_parent(struct config *conf, const char *path, bool foreground, bool debug);
int role_policy(struct config *conf);
int role_keys(struct config *conf);
int role_recorder(struct config *conf);
/* Its link on ROLE_FD_PARENT is to policy. */
int role_monitor(struct config *conf);
/* Master, which forks the sessions. */
int role_session(struct config *conf);

/*
 * Would the role take these files (keyfiles.h) at a reload? Loads them and forgets them again. 0, or -1 with the file and
 * the reason logged. Run in a child of parent, as root.
 */
int role_policy_try(const struct config *conf, int files);
int role_keys_try(const struct config *conf, int files);
int role_recorder_try(const struct config *conf, int files);
int role_session_try(const struct config *conf, int files);

#endif
