/*
 * parent.h - the parent role's own structures, and which file owns which duty.
 *
 *   role_parent.c     start, the loop, signals, the end
 *   parent_reload.c   SIGHUP: configuration and keys, checked in a child first
 *   parent_set.c      the four roles: start by re-exec, READY, one dead = all ended, started anew with pauses
 *   parent_accept.c   listening sockets, accept, a session's links, its end
 *   parent_worker.c   pam, dial, hook, target, console and view processes that policy asks for
 *   parent_pam.c      PAM sessions: open from the login to the connection's end, whoever ended it
 *   parent_upgrade.c  SIGUSR2: another program takes over, sessions stay
 *   parent_monitor.c  the monitor: beside the set, started again when it ends
 *   parent_socket.c   run_dir, control.sock, pam.sock, pid file, listening sockets; sd_notify
 *
 * Parent is root and so reads nothing that a stranger wrote: not a byte of a client, and of policy's messages only
 * bounded fields. One loop over poll(2); nothing in it waits.
 */
#ifndef BASTIOND_PARENT_H
#define BASTIOND_PARENT_H

#include <poll.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "config.h"
#include "ipc.h"
#include "parent_upgrade.h"
#include "startups.h"

#define PARENT_SESSIONS_MAX 20000	/* most that max_sessions may be: below 1 << SLOT_BITS */
#define SLOT_BITS 15
#define YOUNG_MAX 64			/* connections that were just accepted and are not logged in, and */
#define YOUNG_MS 1000			/* for how long one counts as such: see accept_room() */
#define GRACE_SLACK_MS 6000		/* over login_grace, which policy keeps with 3 s more: parent is the last to act */

enum set_state {
	SET_DOWN,	/* waits for its next start */
	SET_STARTING,	/* forked, not all READY */
	SET_UP,
	SET_FALLING,	/* one is dead, the others are killed: waits for their ends */
	SET_ENDING,	/* SIGTERM came: policy ends the sessions, then the others go */
};

enum { PROC_POLICY, PROC_KEYS, PROC_RECORDER, PROC_MASTER, PROC_COUNT };

struct proc {
	enum role role;
	pid_t pid;		/* 0: not running */
	bool ready;
	bool broken;		/* its link ended first: how it ended is the news */
	struct ipc link;
};

struct pam_stack;

/* A connection, from accept to SESSION_DOWN. */
struct slot {
	uint32_t id;		/* generation << SLOT_BITS | index; 0: free */
	bool waiting;		/* counted by startups: not yet logged in */
	bool proven;		/* a code was asked of it: its key is a user's */
	bool failed;		/* a login failed: the penalty is given */
	bool late;		/* login_grace passed */
	bool stopped;		/* SESSION_STOP was sent: its death is no crash */
	struct startups_key source;
	uint64_t began_ms;
	struct pam_session *pam;	/* that this connection's login opened; NULL */
};

/* A PAM session that is open: what worker_pam_close() takes. Read by no one but it. */
struct pam_session {
	STAILQ_ENTRY(pam_session) next;	/* while it waits to be closed */
	uint64_t over_ms;		/* since when it does */
	size_t len;
	uint8_t record[];
};

#define CLOSERS_MAX 8		/* processes that close sessions, at once */
#define CLOSER_BATCH 16		/* sessions that one process closes, one after the other */
#define CLOSER_WAIT_MS 200	/* so long a session that is over waits for others, to share a process with them */

STAILQ_HEAD(pam_sessions, pam_session);

/* Sessions that are over. */
struct closing {
	struct pam_sessions queue;	/* of those that are in no process yet */
	size_t waiting, running;	/* of these; of processes */
	bool hurry;			/* parent ends: none waits for others */
	struct closer {
		pid_t pid;
		uint64_t since_ms;	/* it works at the one that is first in */
		struct pam_sessions batch;
	} closers[CLOSERS_MAX];
	uint32_t *done;			/* shared memory: how many each has closed */
	uint32_t seen[CLOSERS_MAX];	/* of these parent knows */
};

struct child {
	pid_t pid;		/* 0: free */
	uint32_t id;		/* policy's number */
	bool abandoned;		/* of a set that is gone: nobody to tell */
	int record;		/* WORKER_PAM: its session comes here; else -1 */
	uint32_t slot;		/* whose */
	bool refused;		/* policy takes no login by it */
};

#define RELOAD_BUNDLES 4	/* roles with keys: keys, recorder, master, policy */

/* SIGHUP came: what is tried, until the trial ends. */
struct reload {
	pid_t pid;		/* of the trial; 0: none */
	int conf;		/* the new configuration, flat, when the trial found it good; -1: none */
	int files[RELOAD_BUNDLES];	/* keyfiles.h; -1: none */
	bool again;		/* another SIGHUP came meanwhile */
};

/* The monitor role. */
struct monitor_proc {
	pid_t pid;			/* 0: not running */
	bool asked;			/* we had it end */
	unsigned falls;
	uint64_t since_ms, next_ms;	/* when it started; when it starts again, 0: not due */
};

struct parent {
	struct config *conf;
	const char *path;
	bool foreground, debug, first;	/* first: no set was ever up */
	int signals;			/* signalfd */
	int reserve;			/* spare descriptor for the day there is none left */
	int listeners[CONFIG_LIST_MAX];
	size_t nlisteners;
	bool listening;
	int control, pam;		/* listening sockets of policy */
	int status;			/* exit status, once over */
	bool over;

	enum set_state state;
	uint64_t since_ms, next_ms;	/* of the state; next start or deadline of the state, 0: none */
	unsigned falls;			/* in a row without a long life between */
	struct proc procs[PROC_COUNT];

	struct startups startups;
	struct slot *slots;		/* PARENT_SESSIONS_MAX */
	uint32_t nslots, generation, hand;
	uint32_t young[YOUNG_MAX];	/* ids of slots; those that ended or logged in are swept out when room is sought */
	size_t nyoung;
	uint64_t refused[STARTUPS_PENALTY + 1], told_ms;

	struct child *children;		/* room for as many as max_workers ever was */
	size_t nchildren, maxchildren;
	struct reload reload;
	struct monitor_proc monitor;
	struct upgrade upgrade;
	bool retired;			/* another one serves: ends with its last session */
	int pidfile;			/* its lock says that this one runs */
	struct pam_stack *stack;	/* worker_pam_preload(); NULL: each login loads it */
	struct closing closing;
};

/* --- role_parent.c --- */

/* In a fork: default signals, an empty mask, death with parent. 0 or -1. */
int parent_child_signals(pid_t parent);

/* Descriptors enough for max_sessions; the roles inherit the limit. */
void parent_limits(const struct config *conf);

/* --- parent_socket.c --- */

/* run_dir and run_dir/empty, root's; control.sock, pam.sock, the pid file. 0, or -1 logged. */
int parent_sockets_open(struct parent *p);
void parent_sockets_close(struct parent *p);
/* The lock on the pid file, with our number. 0, or -1 logged. */
int parent_pid_take(struct parent *p);
void parent_pid_release(struct parent *p);
/* After an upgrade: the local sockets get their names. 0, or -1 logged. */
int parent_sockets_settle(struct parent *p);
/* Before that the old one keeps its own under second names, 0 or -1 logged; it takes them back, or lets them go. */
int parent_sockets_keep(struct parent *p);
void parent_sockets_kept(struct parent *p, bool back);
/* Binds what conf->listen names and is not bound yet, closes what it does not name any more. 0, or -1 logged. */
int parent_listen(struct parent *p, const struct config *conf);
/* Opens the bound sockets to clients. */
int parent_listen_start(struct parent *p);
/* Tells the service manager of NOTIFY_SOCKET, if there is one: "READY=1", "STOPPING=1", ... */
void parent_notify(const char *state);
/* The same before a reload, with the time that Type=notify-reload wants; READY=1 ends it. */
void parent_notify_reloading(void);

/* --- parent_set.c --- */

void set_init(struct parent *p);
/* Forks the four roles. 0, or -1 logged (the set then falls). */
int set_start(struct parent *p);
/* Forks a role with its link, further descriptors (-1 ends) and the configuration. Its pid, or -1 with errno. */
pid_t parent_exec(const struct parent *p, enum role role, int link, const int *more, int config);
/* All at once, sessions and workers with them. */
void set_fall(struct parent *p, const char *why);
/* SIGTERM came: the orderly end. */
void set_end(struct parent *p);
/* Is it one of ours? Then its end is dealt with. */
bool set_reaped(struct parent *p, pid_t pid, int status);
/* Deadlines and starts that are due. */
void set_tick(struct parent *p, uint64_t now_ms);
/* A role's link is readable: reads it up. */
void set_read(struct parent *p, struct proc *proc);
/* A message to a role; a link that is broken or clogged makes the set fall. */
void set_send(struct parent *p, int proc, enum msg_type type, uint32_t id, const struct buf *body, const int *fds,
    int nfds);

/* --- parent_reload.c --- */

void reload_init(struct parent *p);
/* SIGHUP. While a trial runs, the next one follows it. */
void reload_begin(struct parent *p);
/* Is it the trial? Then the new configuration is in force, or the log has why not. */
bool reload_reaped(struct parent *p, pid_t pid, int status);

/* --- parent_monitor.c --- */

/* If there is something for it to do, the set is up, and none runs. */
void monitor_start(struct parent *p);
/* The configuration changed: another one, with the new. */
void monitor_reload(struct parent *p);
bool monitor_reaped(struct parent *p, pid_t pid, int status);
void monitor_tick(struct parent *p, uint64_t now_ms);
/* Parent's end: waits while it sends what it has, a second at the most. */
void monitor_end(struct parent *p);

/* --- parent_accept.c --- */

int accept_init(struct parent *p);
void accept_finish(struct parent *p);
/*
 * May one more connection be taken now? Else the kernel's queue keeps it for a moment. A flood would start more
 * processes at once than the machine can run, and all of them, the honest ones too, would be over login_grace before
 * they get their turn: so few are young at a time, and the pace is that at which they end, log in or grow old.
 */
bool accept_room(struct parent *p);
/* Takes the connections that wait at listener i, a bounded number. */
void accept_some(struct parent *p, size_t i);
void accept_session_down(struct parent *p, struct ipc_msg *m);
/* PEER_KILL and PEER_VERDICT from policy. 0, or -1: malformed. */
int accept_peer_kill(struct parent *p, struct ipc_msg *m);
int accept_peer_verdict(struct parent *p, struct ipc_msg *m);
int accept_source_block(struct parent *p, struct ipc_msg *m); /* SOURCE_BLOCK, SOURCE_FREE: 0, or -1 malformed */
int accept_source_free(struct parent *p, struct ipc_msg *m);
void accept_tell_held(struct parent *p); /* to a policy that just started: who is kept out */
/* Connections that never logged in and are over their time. */
void accept_tick(struct parent *p, uint64_t now_ms);
/* The set fell: no connection is left. */
void accept_forget(struct parent *p);

/* A login opened this session (taken over): the connection's, unless that is over already. */
void accept_pam_session(struct parent *p, uint32_t id, struct pam_session *session);
void accept_proven(struct parent *p, uint32_t id); /* policy asks the second factor of it */

/* --- parent_pam.c --- */

/* The last session that a worker told, from a pipe in packet mode; NULL: it has none open. */
struct pam_session *pam_session_read(int fd);
/* It is over (NULL: a no-op): taken over, and closed as soon as its turn comes. */
void pam_session_end(struct parent *p, struct pam_session *session);
bool pam_session_reaped(struct parent *p, pid_t pid, int status);
int pam_session_init(struct parent *p);	/* 0, or -1: no memory */
/* After each turn of the loop: starts what has waited long enough, kills what hangs. */
void pam_session_tick(struct parent *p, uint64_t now_ms);
/* Parent's end: closes those that wait, for so long as it has time. */
void pam_session_finish(struct parent *p);

/* --- parent_worker.c --- */

/*
 * In a fork: signals, the two descriptors to where workers have theirs (-1: none), nothing else open, limits, names and log.
 * Ends the process if that fails.
 */
void worker_enter(const struct parent *p, enum role role, int link, int extra, pid_t parent);
/* Policy refused what the PAM worker of this connection has found, or will. */
void children_refused(struct parent *p, uint32_t slot);

int children_init(struct parent *p, const struct config *conf);
/* RUN_PAM, RUN_DIAL, RUN_CONSOLE. 0, or -1: malformed. */
int children_run(struct parent *p, struct ipc_msg *m);
void children_kill(struct parent *p, uint32_t id);
bool children_reaped(struct parent *p, pid_t pid, int status);
/* The set fell: all are killed, nobody is told. */
void children_abandon(struct parent *p);

#endif
