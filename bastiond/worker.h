/*
 * worker.h - the short-lived processes: each is a fork of parent with one link to policy, one job, and its end.
 *
 * parent_worker.c forks, closes everything but the link (and the console's terminal) and calls one of these. They
 * end with _exit(): what parent registered with atexit() is not theirs to run.
 */
#ifndef BASTIOND_WORKER_H
#define BASTIOND_WORKER_H

#include "config.h"
#include "ipc.h"
#include "names.h"

#define WORKER_ADDRESS_MAX 255	/* a host name or a literal */
#define WORKER_TERM_MAX 64

struct pam_job {
	char user[USER_NAME_MAX + 1];
	char peer[WORKER_ADDRESS_MAX + 1];	/* PAM_RHOST */
	uint64_t token;				/* for pam_bastion.so: which attempt asks */
	int record;				/* where the session is told to parent, by worker_pam() alone */
};

/* What a PAM session leaves behind to be closed by: one packet of a pipe. Parent keeps it and looks not into it. */
#define PAM_RECORD_MAX 4096
#define PAM_RECORD_NONE 1	/* length of the packet that takes back the ones before: there is nothing to close */

struct dial_job {
	char host[WORKER_ADDRESS_MAX + 1];
	uint16_t port;
	uint32_t limit_ms;
};

enum hook_kind { HOOK_TICKET, HOOK_NOTIFY };

#define HOOK_IN_MAX 16384	/* bytes of what a hook is told */
#define HOOK_OUT_MAX 16384	/* and of what it answers */

struct hook_job {
	enum hook_kind kind;
	uint32_t limit_ms;
	size_t len;
	char input[HOOK_IN_MAX + 1];
};

/* "ticket_check", "notify": the options that name the programs. */
const char *hook_name(enum hook_kind kind);

struct target_job {
	char host[WORKER_ADDRESS_MAX + 1];
	uint16_t port;
	uint32_t limit_ms;
};

struct console_job {
	char user[USER_NAME_MAX + 1];
	char term[WORKER_TERM_MAX + 1];
	uint16_t columns, rows;
	int terminal;				/* the slave side */
};

struct view_job {
	uint16_t columns, rows;
	unsigned looks;				/* enum view_looks */
	int terminal;				/* the slave side */
};

struct pam_stack;

/*
 * Parent: loads the site's stack (pam_stack.h) and says what a fork for a login maps at once (forkmem.h). An edit of the stack counts at the next
 * login, a new build of a module after a reload. NULL when the stack is broken, which is logged. pam_stack_free() frees it.
 */
struct pam_stack *worker_pam_preload(const struct config *conf);
/*
 * Root: one pass through the site's PAM stack; PAM_PROMPT, PAM_ANSWER, PAM_DONE. Leaves its session open, and what closes it
 * in job->record: before the session is opened and again, with all of the environment, behind that. Exit status 0: policy was told.
 */
void worker_pam(const struct config *conf, struct pam_stack *stack, struct ipc *link, const struct pam_job *job) __attribute__((noreturn));
/* Root: closes the session of such a record: the same user, host, terminal and PAM environment, but another process. */
void worker_pam_close(const struct config *conf, const uint8_t *record, size_t len);
/* user_dial: name to socket; DIAL_DONE. */
void worker_dial(const struct config *conf, struct ipc *link, const struct dial_job *job) __attribute__((noreturn));
/* user_hook: runs the program of the configuration, without a shell; HOOK_DONE. */
void worker_hook(const struct config *conf, struct ipc *link, const struct hook_job *job) __attribute__((noreturn));
/* user_task: one command at a registered host, with the ssh client; TASK_KEY, TASK_GO, TASK_DONE. */
void worker_target(const struct config *conf, struct ipc *link, const struct target_job *job) __attribute__((noreturn));
/* user_console: the line editor behind `ssh alice@bastion`; LINE_ASK, LINE_RE. Its link goes to the session. */
void worker_console(const struct config *conf, struct ipc *link, const struct console_job *job)
    __attribute__((noreturn));
/* user_console, empty root: draws a watched terminal; SHOW_START to SHOW_END. Its link comes from the session that is watched. */
void worker_view(const struct config *conf, struct ipc *link, const struct view_job *job) __attribute__((noreturn));

#endif
