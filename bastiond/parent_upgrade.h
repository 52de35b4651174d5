/*
 * parent_upgrade.h - another program takes over from this one, or this one from another; sessions stay. Role parent.
 */
#ifndef BASTIOND_PARENT_UPGRADE_H
#define BASTIOND_PARENT_UPGRADE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define UPGRADE_BESIDE "BASTIOND_BESIDE" /* in the environment of roles: another set is at the database, too */

struct parent;

struct upgrade {
	char program[4096];	/* to run */
	pid_t pid;		/* of the new one */
	bool failed;		/* old: it was killed, and may still have taken what is ours */
	int link;		/* old: to the new one, until it serves or failed; -1 */
	int from;		/* new: to the old one, until this one serves; -1 */
	bool beside;		/* new: the names in run_dir are the old one's still */
	pid_t old;		/* new: the one before, while it lives; 0 */
	uint64_t late_ms;
};

void upgrade_init(struct parent *p);
/* SIGUSR2: starts the installed program with our listening sockets. */
void upgrade_begin(struct parent *p);
/* The link to it is readable: it serves, or it failed. */
void upgrade_read(struct parent *p);
void upgrade_tick(struct parent *p, uint64_t now_ms);
/* Was this process started so? */
bool upgrade_taking(void);
/* Takes over what comes with that. 0, or -1. */
int upgrade_take(struct parent *p);
/* All roles are up: takes the names, and says so. 0, or -1: must end. */
int upgrade_settle(struct parent *p);
/* Does the one before still live? */
bool upgrade_old_lives(struct parent *p);
/* Our end is its end. */
void upgrade_end_old(struct parent *p);
/* Was it the new program? Its number is nobody's any more, and is not killed again. */
bool upgrade_reaped(struct parent *p, pid_t pid, int status);

#endif
