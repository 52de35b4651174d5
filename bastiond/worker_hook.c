/*
 * worker_hook.c - one run of an administrator's program: JSON in at its standard input, an answer out, an end.
 *
 * Role hook, a fork of parent. Before it: policy_hook.c, which said which hook and what goes in; the program's path is parent's to
 * know, from its own configuration. No shell, no argument, a clean environment, an account of its own, a process namespace of its own
 * (it sees no other, and what it leaves behind ends with it), no system call that no program needs, and a time after which it is killed. What is not an exit status 0 in time is a failure: what that
 * means is the asker's to say, and it never means yes.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "drop.h"
#include "escape.h"
#include "log.h"
#include "sandbox.h"
#include "worker.h"
#include "worker_program.h"
#include "worker_space.h"

#define SAID_MAX 1024		/* of standard error, for the log */
#define FILES_MAX (64UL << 20)	/* bytes of a file that it may write */
#define CROWD_MAX 256		/* processes of the account: ten runs at once, of three with their workers, and what the programs start */

static void judge(struct program *r)
{
	char safe[2 * SAID_MAX];

	if (r->reason[0] == '\0' && WEXITSTATUS(r->status) == 127)
		snprintf(r->reason, sizeof(r->reason), "it cannot be run: is it there, executable, and its interpreter too?");
	else if (r->reason[0] == '\0' && WEXITSTATUS(r->status) != 0)
		snprintf(r->reason, sizeof(r->reason), "its exit status was %d", WEXITSTATUS(r->status));
	if (r->said > 0) {
		esc_text(safe, sizeof(safe), r->err, r->said);
		log_warn("%s says: %s", r->path, safe);
	}
	if (r->reason[0] != '\0')
		log_warn("%s: %s", r->path, r->reason);
}

static int report(const struct program *r, struct ipc *link)
{
	struct buf b;
	int sent;

	buf_init(&b, HOOK_OUT_MAX + 1024);
	buf_put_u8(&b, r->reason[0] == '\0');
	buf_put_string(&b, r->out, r->reason[0] == '\0' ? r->taken : 0);
	buf_put_cstring(&b, r->reason);
	sent = ipc_send(link, MSG_HOOK_DONE, 0, &b, NULL, 0);
	buf_finish(&b);
	return sent;
}

const char *hook_name(enum hook_kind kind)
{
	return kind == HOOK_TICKET ? "ticket_check" : "notify";
}

void worker_hook(const struct config *conf, struct ipc *link, const struct hook_job *job)
{
	static char path[] = "PATH=/usr/local/bin:/usr/bin:/bin", lang[] = "LANG=C.UTF-8", home[] = "HOME=/", shell[] = "SHELL=/bin/sh";
	static char name[512], hook[64], answer[HOOK_OUT_MAX + 1], noise[SAID_MAX + 1];
	char *const argv[] = { name, NULL }, *const env[] = { path, lang, home, shell, hook, NULL };
	const struct itimerval late = { .it_value = { .tv_sec = job->limit_ms / 1000 + 3 } };
	struct program r = { .path = job->kind == HOOK_TICKET ? conf->ticket_check : conf->notify, .argv = argv, .env = env,
		.input = job->input, .len = job->len, .limit_ms = job->limit_ms, .end_ms = clock_mono_ms() + job->limit_ms,
		.file_max = FILES_MAX, .crowd_max = CROWD_MAX, .out = answer, .out_max = HOOK_OUT_MAX, .err = noise, .err_max = SAID_MAX };

	snprintf(name, sizeof(name), "%s", r.path);
	snprintf(hook, sizeof(hook), "BASTIOND_HOOK=%s", hook_name(job->kind));
	signal(SIGPIPE, SIG_IGN);
	setitimer(ITIMER_REAL, &late, NULL);
	if (worker_space(conf, ROLE_HOOK) != 0) {
		log_warn("no process namespace of its own for a hook (%s): it sees the others, and what it leaves behind stays", strerror(errno));
		if (conf->sandbox == SANDBOX_STRICT)
			_exit(1);
	}
	if (drop_to(conf, ROLE_HOOK) != 0 || sandbox_enter(conf, ROLE_HOOK) != 0)
		_exit(1);
	if (r.path[0] == '\0')
		snprintf(r.reason, sizeof(r.reason), "%s is not configured any more", hook_name(job->kind));
	else
		program_run(&r);
	judge(&r);
	_exit(report(&r, link) == 0 ? 0 : 1);
}
