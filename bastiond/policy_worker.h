/*
 * policy_worker.h - short-lived processes that parent forks for policy: PAM, dialling, the console, viewers.
 *
 * Role policy. A worker points back to the peer it works for until either ends (worker_abandon).
 */
#ifndef BASTION_POLICY_WORKER_H
#define BASTION_POLICY_WORKER_H

#include "policy.h"

enum worker_kind { WORKER_PAM, WORKER_DIAL, WORKER_HOOK, WORKER_TARGET, WORKER_CONSOLE, WORKER_VIEW };

struct worker_ops {
	enum role role;
	/* WORKER_CONSOLE: link and terminal, WORKER_VIEW: terminal and -1, the callee's to close. Others: NULL, the link is in our loop. */
	void (*up)(struct worker *w, int fd, int extra);
	int (*message)(struct worker *w, struct ipc_msg *m);
	/* It is over, or was never started, and nobody abandoned it. */
	void (*ended)(struct worker *w);
};

struct worker {
	struct link link;		/* first */
	struct policy *p;
	struct worker *next;
	uint32_t id;
	enum worker_kind kind;
	const struct worker_ops *ops;
	bool owned;			/* somebody wants it; not: abandoned, its process is waited for */
	struct peer *peer;		/* for whom; NULL: not owned, or a viewer whose session is over */
	struct way *way;		/* WORKER_DIAL */
	struct watch *watch;		/* WORKER_VIEW */
	struct hook *hook;		/* WORKER_HOOK */
	struct task_row *task;		/* WORKER_TARGET */
	bool up, down;			/* the process runs; is over */
};

/* Asks parent to run one: `type` with `body`. NULL: the limit, or parent's link is broken. */
struct worker *worker_run(struct peer *peer, enum worker_kind kind, const struct worker_ops *ops,
    enum msg_type type, const struct buf *body);
/* The same for no session. */
struct worker *worker_run_for(struct policy *p, enum worker_kind kind, const struct worker_ops *ops,
    enum msg_type type, const struct buf *body);
/* The same with a descriptor for it, -1: none; it stays the caller's. */
struct worker *worker_run_fd(struct peer *peer, enum worker_kind kind, const struct worker_ops *ops,
    enum msg_type type, const struct buf *body, int fd);
/* Its owner wants nothing of it any more: it is killed if it still runs. */
void worker_abandon(struct worker *w);
/* Its work is done: as worker_abandon, but it ends by itself. */
void worker_done(struct worker *w);
int worker_on_up(struct policy *p, struct ipc_msg *m);
int worker_on_down(struct policy *p, struct ipc_msg *m);
void workers_finish(struct policy *p);

#endif
