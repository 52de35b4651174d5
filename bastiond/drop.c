/*
 * drop.c - see drop.h. Runs in each role and worker between "everything is open" and the sandbox.
 */
#include "drop.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "log.h"

enum { NO_NETWORK = 1 };

static const struct {
	size_t user;		/* offset of the account in struct config; 0: no such role here */
	const char *root;	/* below state_dir ("db") or run_dir ("empty"); NULL: / stays */
	unsigned flags;
} table[ROLE_COUNT] = {
	[ROLE_POLICY]   = { offsetof(struct config, user_policy),   "db",    NO_NETWORK },
	[ROLE_KEYS]     = { offsetof(struct config, user_keys),     "empty", NO_NETWORK },
	[ROLE_RECORDER] = { offsetof(struct config, user_recorder), "empty", 0 },
	[ROLE_MASTER]   = { offsetof(struct config, user_session),  "empty", NO_NETWORK },
	[ROLE_DIAL]     = { offsetof(struct config, user_dial),     NULL,    0 },
	[ROLE_TARGET]   = { offsetof(struct config, user_task),     NULL,    0 },
	[ROLE_HOOK]     = { offsetof(struct config, user_hook),     NULL,    0 },
	[ROLE_CONSOLE]  = { offsetof(struct config, user_console),  NULL,    NO_NETWORK },
	[ROLE_MONITOR]  = { offsetof(struct config, user_monitor),  NULL,    0 },
	[ROLE_VIEW]     = { offsetof(struct config, user_console),  "empty", NO_NETWORK },
};

static int failed(enum role role, const char *step)
{
	log_error("cannot drop to the account of %s: %s: %s", role_name(role), step, strerror(errno));
	return -1;
}

/* A container may not let us make a namespace: one layer less, which the operator is told, or no start at all. */
static int leave_network(const struct config *conf, enum role role)
{
	if (unshare(CLONE_NEWNET) == 0)
		return 0;
	if (conf->sandbox == SANDBOX_STRICT)
		return failed(role, "unshare(CLONE_NEWNET), which sandbox = strict asks for");
	log_warn("no network namespace of its own for %s (%s): one layer less", role_name(role), strerror(errno));
	return 0;
}

static int change_root(const struct config *conf, enum role role)
{
	const char *below = table[role].root;
	char path[4200];

	if (below == NULL)
		return chdir("/") == 0 ? 0 : failed(role, "chdir");
	snprintf(path, sizeof(path), "%s/%s", role == ROLE_POLICY ? conf->state_dir : conf->run_dir, below);
	if (chdir(path) != 0 || chroot(".") != 0 || chdir("/") != 0) {
		log_error("cannot make %s the root of %s: %s", path, role_name(role), strerror(errno));
		return -1;
	}
	return 0;
}

static int change_ids(enum role role, const struct config_user *u)
{
	if (u->uid == 0 || u->gid == 0 || u->uid == (uid_t)-1 || u->gid == (gid_t)-1) {
		errno = EINVAL;
		return failed(role, "the account is root, or was not resolved");
	}
	/* the bounding set first: it needs the right that the change of the uid takes away */
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_BOUNDS) != 0)
		return failed(role, "clearing the capability bounding set");
	if (setgroups(0, NULL) != 0)
		return failed(role, "setgroups");
	if (setresgid(u->gid, u->gid, u->gid) != 0 || setresuid(u->uid, u->uid, u->uid) != 0)
		return failed(role, "setresgid, setresuid");
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return failed(role, "clearing the capabilities");
	return 0;
}

/* Nothing of it may work; whatever does shows that the drop did not hold. */
static int verify(enum role role, const struct config_user *u)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	errno = 0;
	if (setuid(0) == 0 || seteuid(0) == 0 || setresuid(0, 0, 0) == 0 || setgid(0) == 0 || setegid(0) == 0)
		return failed(role, "root could be had back");
	if (getresuid(&r, &e, &s) != 0 || r != u->uid || e != u->uid || s != u->uid ||
	    getresgid(&rg, &eg, &sg) != 0 || rg != u->gid || eg != u->gid || sg != u->gid || getgroups(0, NULL) != 0)
		return failed(role, "the ids are not the ones that were set");
	if (capng_get_caps_process() != 0 || capng_have_capabilities(CAPNG_SELECT_ALL) != CAPNG_NONE)
		return failed(role, "capabilities are left");
	if (chroot("/") == 0)
		return failed(role, "chroot still works");
	return 0;
}

int drop_to(const struct config *conf, enum role role)
{
	const struct config_user *u;
	int death_signal = 0;

	if ((unsigned)role >= ROLE_COUNT || table[role].user == 0 || geteuid() != 0) {
		errno = geteuid() != 0 ? EPERM : EINVAL;
		return failed(role, "not root, or no role with an account");
	}
	u = (const struct config_user *)(const void *)((const char *)conf + table[role].user);
	prctl(PR_GET_PDEATHSIG, &death_signal);
	if (setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }) != 0)
		return failed(role, "RLIMIT_CORE");
	if ((table[role].flags & NO_NETWORK) != 0 && leave_network(conf, role) != 0)
		return -1;
	if (change_root(conf, role) != 0 || change_ids(role, u) != 0)
		return -1;
	/* the kernel forgets both when the ids change */
	if (prctl(PR_SET_DUMPABLE, 0) != 0 || prctl(PR_SET_PDEATHSIG, death_signal) != 0)
		return failed(role, "prctl");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return failed(role, "PR_SET_NO_NEW_PRIVS");
	return verify(role, u);
}

int drop_die_with_parent(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		return -1;
	if (getppid() != parent) {
		errno = ESRCH;
		return -1;
	}
	return 0;
}
