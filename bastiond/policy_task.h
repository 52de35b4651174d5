/*
 * policy_task.h - tasks: one command that policy runs at a registered host on its own behalf, without a user. Role policy.
 *
 *   task_run() ─▶ queue ─▶ RUN_TARGET ─▶ TASK_KEY ─▶ SIGN_CERT or LEND_KEY ─▶ TASK_GO ─▶ TASK_DONE ─▶ done()
 *
 * worker_target.c does it, with the stock ssh client. Nothing that a user typed is ever part of a command: names in it are
 * checked by their grammar, data goes by standard input. A certificate is good for one task: its force-command is the command.
 * So many run at once and so many wait; start and end of each are events (task.start, task.end), but for those of a look that ended well.
 *
 * Hosts that did not answer a while ago get one place each and half of all places together; with what nobody waits for they leave some free.
 * So a task at a healthy host never waits for a dead one, but for SLOW_AFTER_MS when a host has just begun to hang: what runs for
 * longer leaves its place to another task and has one of the late ones.
 */
#ifndef BASTION_POLICY_TASK_H
#define BASTION_POLICY_TASK_H

#include "policy.h"
#include "task_values.h"

struct task_result {
	enum task_end end;
	int status;		/* TASK_EXIT: exit status of the command */
	const char *out;	/* its standard output, terminated (it may hold NUL bytes, too) */
	size_t out_len;
	const char *line;	/* how it ended, or its standard error: one line, escaped, safe to show */
	bool met;		/* the host proved a pinned key, and the login was let in */
	bool announced;		/* it said which keys it has; else there are none of the following */
	const struct task_key *fresh;	/* keys that the host announced and proved, which are not pinned; never trusted by themselves */
	size_t nfresh;
	uint32_t more;		/* and so many more than TASK_KEYS_MAX, at least */
	const struct task_key *gone;	/* keys that are pinned and that it does not announce any more */
	size_t ngone;
};

typedef void task_done(struct policy *p, void *arg, const struct task_result *r);

enum task_login {
	TASK_CERTIFICATE,
	TASK_MANAGED,	/* the key that the host takes for this login now */
	TASK_FILE,	/* this one of keys/managed, */
	TASK_SEALED,	/* or this one that keys sealed */
};

/* All of it is copied by task_run(). */
struct task {
	const struct host *host;
	const char *login;
	const char *what;		/* what for, for events: "scan", "rotate", "account" */
	enum task_login how;
	const char *principal;		/* TASK_CERTIFICATE: of the certificate; NULL: the login */
	const char *managed;		/* TASK_FILE: the key's name */
	const void *sealed;		/* TASK_SEALED: the key, as the keys role sealed it, and which one of the login's it is */
	size_t sealed_len;
	int64_t generation;
	const char *command;		/* up to TASK_COMMAND_MAX bytes; a shell of the target reads it */
	const void *in;			/* its standard input, up to TASK_IN_MAX bytes */
	size_t in_len;
	bool background;		/* nobody waits for it: half of what runs at once is kept free of such */
	bool look;			/* it changes nothing: no event if it ends well */
	uint32_t limit_ms;		/* for all of it from its start, up to TASK_LIMIT_MAX_MS; 0: TASK_LIMIT_MS */
	task_done *done;		/* called once, from the loop, never by task_run() itself */
	void *arg;
};

/* 0, or -1: too many wait, no memory, or a value that breaks its bound: done() will not be called. */
int task_run(struct policy *p, const struct task *t);
/* Whoever `arg` is wants to hear no more: done() is not called for it, what runs is killed. */
void task_forget(struct policy *p, const void *arg);
/* Does a task with this `arg` wait or run? */
bool task_running(const struct policy *p, const void *arg);
/* Was a task that runs lent this key, as TASK_MANAGED? */
bool task_lent(const struct policy *p, int64_t host_id, const char *login, const char *fingerprint);
/* "unreachable": for events and lines. */
const char *task_end_name(enum task_end end);
void tasks_tick(struct policy *p); /* at each tick: what could not be started before */
void tasks_finish(struct policy *p); /* no done() any more */

#endif
