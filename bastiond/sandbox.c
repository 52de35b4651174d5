/*
 * sandbox.c - see sandbox.h. Runs in each role and worker after drop_to(): the last step before the loop.
 *
 * Which groups of system calls a role gets; what is in them, and how the filter is made, is in common/confine.c.
 */
#include "sandbox.h"

#include <errno.h>
#include <linux/landlock.h>
#include <sys/prctl.h>

#include "confine.h"
#include "log.h"

#define ANY (G_BASE | G_LINK)
static const struct {
	unsigned groups;
	bool quiet;	/* short-lived and many: logged at level debug */
	bool reads;	/* may read the file system it sees */
} roles[ROLE_COUNT] = {
	[ROLE_POLICY]   = { ANY | G_NOEXEC | G_PAIR | G_ACCEPT | G_READ | G_FILES, false, true },
	[ROLE_KEYS]     = { ANY | G_NOEXEC, false, false },
	[ROLE_RECORDER] = { ANY | G_NOEXEC | G_INET, false, false },
	[ROLE_MASTER]   = { ANY | G_NOEXEC | G_PAIR | G_FORK, false, false },
	[ROLE_SESSION]  = { ANY | G_NOEXEC | G_PAIR | G_CROWD, true, false },
	[ROLE_DIAL]     = { ANY | G_INET | G_RESOLVER | G_READ | G_THREAD, true, true },
	[ROLE_CONSOLE]  = { ANY | G_NOEXEC | G_TTY | G_CROWD, true, true },
	[ROLE_MONITOR]  = { ANY | G_NOEXEC | G_INET | G_OUTLET, false, false },
	[ROLE_VIEW]     = { ANY | G_NOEXEC | G_TTY | G_CROWD, true, false },
	[ROLE_HOOK]     = { G_PROGRAM, true, true },
	[ROLE_TARGET]   = { G_PROGRAM, true, true },
};

static struct sock_fprog prepared[ROLE_COUNT];

int sandbox_prepare(enum role role)
{
	if ((unsigned)role >= ROLE_COUNT || roles[role].groups == 0) {
		errno = EINVAL;
		return -1;
	}
	return prepared[role].filter != NULL ? 0 : confine_filter(&prepared[role], roles[role].groups);
}

/*
 * What is denied is denied everywhere: writing for those who read the file system, everything for those in an empty root.
 */
static bool enter_landlock(enum role role)
{
	unsigned long long denied = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
	    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
	    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;

	if (role == ROLE_POLICY) /* its root is the database's directory: it writes wherever it can see */
		denied = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
	else if (!roles[role].reads)
		denied |= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	return confine_rights(denied);
}

static bool enter_seccomp(enum role role)
{
	/* building a filter needs calls that master's own filter has no place for */
	if (sandbox_prepare(role) != 0 || (role == ROLE_MASTER && sandbox_prepare(ROLE_SESSION) != 0))
		return false;
	return confine_calls(&prepared[role]);
}

int sandbox_enter(const struct config *conf, enum role role)
{
	bool landlock, seccomp, ok;

	if ((unsigned)role >= ROLE_COUNT || roles[role].groups == 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
		log_error("no sandbox for %s", role_name(role));
		return -1;
	}
	if (confine_off())
		return 0;
	/*
	 * a session's file system was closed by master; its filter could not make the call any more. And a program's own files are its
	 * administrator's business: Landlock's first version would forbid it to move one to another directory
	 */
	landlock = role == ROLE_SESSION || roles[role].groups == G_PROGRAM || enter_landlock(role);
	seccomp = enter_seccomp(role);
	ok = seccomp && landlock;
	if (!ok) {
		log_warn("sandbox of %s:%s%s missing in this kernel%s", role_name(role), seccomp ? "" : " seccomp",
		    landlock ? "" : " Landlock", conf->sandbox == SANDBOX_STRICT ? ": sandbox = strict ends here" : "");
		return conf->sandbox == SANDBOX_STRICT ? -1 : 0;
	}
	if (roles[role].quiet)
		log_debug("sandbox closed: seccomp%s", roles[role].groups == G_PROGRAM ? "" : ", Landlock");
	else
		log_info("sandbox closed: seccomp, Landlock");
	return 0;
}
