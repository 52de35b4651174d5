/*
 * parent_reload.c - SIGHUP: the new configuration and the new keys, tried as a whole before any role gets a part of them.
 *
 * Role parent. A child reads the configuration, which may name hosts that are looked up, and reads and loads the keys; it is root for as long
 * as that takes. Parent itself sees no secret, looks up no name, and waits for nothing. If the child finds all of it good, each role gets
 * the configuration, which the child left flat in a memory file, and the memory file with its keys; if not, the child has logged
 * which file and why, and nothing changes.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hostkey_lines.h"
#include "keyfiles.h"
#include "log.h"
#include "pam_stack.h"
#include "parent.h"
#include "roles.h"
#include "totpkey.h"
#include "worker.h"

#define TRIAL_SECONDS 60	/* a trial that hangs, on a file system that does, is no reload; names have a bound of their own in it */

static const enum role with_files[RELOAD_BUNDLES] = { ROLE_KEYS, ROLE_RECORDER, ROLE_MASTER, ROLE_POLICY };

static void report(void *arg, const char *line)
{
	(void)arg;
	log_error("%s", line);
}

/* What the running processes were built around cannot change under them. All else is taken over: bastiond.conf(5) says from when. */
static bool needs_restart(const struct config *a, const struct config *b)
{
	return strcmp(a->state_dir, b->state_dir) != 0 || strcmp(a->run_dir, b->run_dir) != 0 || a->user_policy.uid != b->user_policy.uid ||
	    a->user_keys.uid != b->user_keys.uid || a->user_recorder.uid != b->user_recorder.uid ||
	    a->user_session.uid != b->user_session.uid;
}

static const struct reload no_reload = { .conf = -1, .files = { -1, -1, -1, -1 } };

static void forget(struct parent *p)
{
	for (int i = 0; i < RELOAD_BUNDLES; i++)
		if (p->reload.files[i] >= 0)
			close(p->reload.files[i]);
	if (p->reload.conf >= 0)
		close(p->reload.conf);
	p->reload = no_reload;
}

static int collect(int fd, const struct config *conf, enum role role)
{
	return role == ROLE_POLICY ? totpkey_collect(fd, conf) : keyfiles_collect(fd, conf->state_dir, role);
}

/* The child: the file, then every role's keys, loaded as the role would; the configuration goes to parent. An exit status. */
static int trial(const struct parent *p)
{
	static int (*const load[RELOAD_BUNDLES])(const struct config *, int) = { role_keys_try, role_recorder_try,
		role_session_try, role_policy_try };
	const struct config *conf = config_load(p->path, 0, report, NULL);
	int status = 0;

	if (conf == NULL)
		return 1;
	if (needs_restart(p->conf, conf)) {
		log_error("state_dir, run_dir and the accounts of the roles change only by a restart");
		return 1;
	}
	for (int i = 0; i < RELOAD_BUNDLES; i++)
		if (collect(p->reload.files[i], conf, with_files[i]) != 0 || load[i](conf, p->reload.files[i]) != 0)
			status = 1;
	if (config_fd_fill(p->reload.conf, conf) != 0) {
		log_error("cannot hand over the configuration: %s", strerror(errno));
		status = 1;
	}
	return status;
}

static int start_trial(struct parent *p)
{
	pid_t self = getpid();

	if ((p->reload.conf = config_fd_create()) < 0)
		return -1;
	for (int i = 0; i < RELOAD_BUNDLES; i++)
		if ((p->reload.files[i] = keyfiles_create()) < 0)
			return -1;
	if ((p->reload.pid = fork()) < 0)
		return -1;
	if (p->reload.pid == 0) {
		if (parent_child_signals(self) != 0)
			_exit(1);
		alarm(TRIAL_SECONDS);
		_exit(trial(p));
	}
	return 0;
}

/* What the service manager is told when a reload is over, done or not; before the first READY it is told nothing. */
static void settled(const struct parent *p)
{
	if (!p->first)
		parent_notify("READY=1");
}

void reload_init(struct parent *p)
{
	p->reload = no_reload;
}

void reload_begin(struct parent *p)
{
	if (p->reload.pid > 0) {
		p->reload.again = true;
		return;
	}
	if (!p->first)
		parent_notify_reloading();
	if (start_trial(p) == 0)
		return;
	log_error("cannot try the new configuration: %s: it is not reloaded", strerror(errno));
	forget(p);
	settled(p);
}

/*
 * Keys before policy, which asks keys for its list then. What a role that is just starting had read itself may be older:
 * it finds this message behind its start.
 */
static void hand_over(struct parent *p)
{
	int config = config_to_fd(p->conf);
	const int *files = p->reload.files;
	struct buf lines, level;

	if (config < 0) {
		log_error("cannot hand over the configuration: %s", strerror(errno));
		return;
	}
	buf_init(&level, 1);
	buf_put_u8(&level, (uint8_t)p->conf->log_level);
	set_send(p, PROC_KEYS, MSG_KEYS_RELOAD, 0, &level, &files[0], 1);
	buf_finish(&level);
	set_send(p, PROC_RECORDER, MSG_RECORDER_RELOAD, 0, NULL, (const int[]){ config, files[1] }, 2);
	set_send(p, PROC_MASTER, MSG_MASTER_RELOAD, 0, NULL, (const int[]){ config, files[2] }, 2);
	buf_init(&lines, HOSTKEY_LINES_BYTES);
	if (hostkey_lines_read(&lines, p->conf->state_dir) != 0)
		buf_reset(&lines);
	set_send(p, PROC_POLICY, MSG_POLICY_RELOAD, 0, &lines, (const int[]){ config, files[3] }, 2);
	buf_finish(&lines);
	close(config);
}

static void take_over(struct parent *p)
{
	struct config *conf = config_load_fd(p->reload.conf, p->path, report, NULL); /* all accounts and addresses are numbers in it */

	if (conf == NULL) {
		log_error("the configuration is not reloaded, the old one stays in force");
		return;
	}
	if (p->debug)
		conf->log_level = LOG_LVL_DEBUG;	/* -d of the command line */
	if (children_init(p, conf) != 0)
		log_error("no memory for max_workers: the number of before stays");
	if (parent_listen(p, conf) != 0)
		log_error("some addresses of listen are not served: the lines above say why");
	if (p->listening)
		parent_listen_start(p);
	config_destroy(p->conf);
	p->conf = conf;
	pam_stack_free(p->stack);
	p->stack = worker_pam_preload(p->conf);
	parent_limits(p->conf);
	log_level_set((enum log_level)p->conf->log_level);
	hand_over(p);
	monitor_reload(p);
	log_notice("configuration and keys reloaded from %s", p->path);
}

bool reload_reaped(struct parent *p, pid_t pid, int status)
{
	bool again = p->reload.again;

	if (p->reload.pid != pid || pid <= 0)
		return false;
	if (p->over || p->retired || p->state == SET_ENDING)
		again = false; /* one that is retired would take the addresses of the one that serves */
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		take_over(p);
	else
		log_error("the configuration is not reloaded, the old one and its keys stay in force: %s",
		    WIFEXITED(status) ? "the lines above say why" : "their trial did not end well");
	forget(p);
	if (again)
		reload_begin(p);
	else
		settled(p);
	return true;
}
