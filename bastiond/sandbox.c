/*
 * sandbox.c - see sandbox.h. Runs in each role and worker after drop_to(): the last step before the loop.
 *
 * Lists are put together from groups. What is in no list kills the process, because only a taken-over process asks
 * for it; what a library asks for in passing (a file it can do without, a time zone) is refused with EACCES. A second
 * layer, Landlock, denies what the file system would still permit.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"

#define TRAP_STATUS (128 + SIGSYS) /* exit status after a trapped call */
#define FILTER_MAX 4096		   /* BPF instructions; the kernel's limit, too */

enum {
	G_BASE = 1,	/* memory, time, own signals */
	G_LINK = 2,	/* descriptors that are there already, and those that come over a link */
	G_NOEXEC = 4,	/* memory, but never executable */
	G_PAIR = 8,	/* socketpair(AF_UNIX) */
	G_ACCEPT = 16,
	G_DATABASE = 32, /* SQLite in its directory */
	G_INET = 64,	/* TCP to somewhere */
	G_RESOLVER = 128, /* what getaddrinfo() and its modules need */
	G_FORK = 256,	/* processes, and filters for them */
	G_TTY = 512,
	G_OUTLET = 1024, /* sockets of this machine, and a file's end */
};

static const struct { unsigned group; int call; } allowed[] = {
#define A(group, name) { group, SCMP_SYS(name) }
	A(G_BASE, brk), A(G_BASE, munmap), A(G_BASE, mremap), A(G_BASE, madvise), A(G_BASE, futex),
	A(G_BASE, clock_gettime), A(G_BASE, clock_nanosleep), A(G_BASE, nanosleep), A(G_BASE, gettimeofday),
	A(G_BASE, time), A(G_BASE, getpid), A(G_BASE, gettid), A(G_BASE, getppid), A(G_BASE, getuid),
	A(G_BASE, geteuid), A(G_BASE, getgid), A(G_BASE, getegid), A(G_BASE, getrandom), A(G_BASE, getrusage),
	A(G_BASE, exit), A(G_BASE, exit_group), A(G_BASE, rt_sigreturn), A(G_BASE, rt_sigprocmask),
	A(G_BASE, rt_sigaction), A(G_BASE, sigaltstack), A(G_BASE, restart_syscall), A(G_BASE, sched_yield),
	A(G_BASE, uname), A(G_BASE, rseq), A(G_BASE, set_robust_list), A(G_BASE, membarrier), A(G_BASE, sysinfo),
	A(G_LINK, read), A(G_LINK, write), A(G_LINK, readv), A(G_LINK, writev), A(G_LINK, close),
	A(G_LINK, close_range), A(G_LINK, fstat), A(G_LINK, lseek), A(G_LINK, pread64), A(G_LINK, poll),
	A(G_LINK, ppoll), A(G_LINK, select), A(G_LINK, pselect6), A(G_LINK, epoll_create1), A(G_LINK, epoll_ctl),
	A(G_LINK, epoll_wait), A(G_LINK, epoll_pwait), A(G_LINK, epoll_pwait2), A(G_LINK, eventfd2),
	A(G_LINK, timerfd_create), A(G_LINK, timerfd_settime), A(G_LINK, signalfd4), A(G_LINK, pipe2),
	A(G_LINK, sendmsg), A(G_LINK, recvmsg), A(G_LINK, sendto), A(G_LINK, recvfrom), A(G_LINK, shutdown),
	A(G_LINK, getsockopt), A(G_LINK, setsockopt), A(G_LINK, getsockname), A(G_LINK, getpeername),
	A(G_LINK, fcntl), A(G_LINK, dup), A(G_LINK, dup2), A(G_LINK, dup3),
	A(G_ACCEPT, accept4), A(G_ACCEPT, accept),
	A(G_DATABASE, openat), A(G_DATABASE, open), A(G_DATABASE, unlink), A(G_DATABASE, unlinkat),
	A(G_DATABASE, rename), A(G_DATABASE, renameat), A(G_DATABASE, renameat2), A(G_DATABASE, ftruncate),
	A(G_DATABASE, fallocate), A(G_DATABASE, pwrite64), A(G_DATABASE, fsync), A(G_DATABASE, fdatasync),
	A(G_DATABASE, stat), A(G_DATABASE, lstat), A(G_DATABASE, newfstatat), A(G_DATABASE, statx),
	A(G_DATABASE, access), A(G_DATABASE, faccessat), A(G_DATABASE, faccessat2), A(G_DATABASE, readlink),
	A(G_DATABASE, readlinkat), A(G_DATABASE, getcwd), A(G_DATABASE, fchmod), A(G_DATABASE, fchown),
	A(G_DATABASE, umask), A(G_DATABASE, getdents64), A(G_DATABASE, fstatfs), A(G_DATABASE, statfs),
	A(G_DATABASE, utimensat), A(G_DATABASE, link), A(G_DATABASE, linkat),
	A(G_INET, connect), A(G_INET, bind),
	A(G_RESOLVER, openat), A(G_RESOLVER, open), A(G_RESOLVER, stat), A(G_RESOLVER, lstat),
	A(G_RESOLVER, newfstatat), A(G_RESOLVER, statx), A(G_RESOLVER, access), A(G_RESOLVER, faccessat),
	A(G_RESOLVER, faccessat2), A(G_RESOLVER, readlink), A(G_RESOLVER, getdents64), A(G_RESOLVER, sendmmsg),
	A(G_RESOLVER, recvmmsg), A(G_RESOLVER, fstatfs), A(G_RESOLVER, getcwd), A(G_RESOLVER, clone3),
	A(G_RESOLVER, mmap), A(G_RESOLVER, mprotect), A(G_RESOLVER, prctl), A(G_RESOLVER, sched_getaffinity),
	A(G_FORK, clone), A(G_FORK, clone3), A(G_FORK, fork), A(G_FORK, vfork), A(G_FORK, wait4), A(G_FORK, waitid),
	A(G_FORK, kill), A(G_FORK, pidfd_open), A(G_FORK, pidfd_send_signal), A(G_FORK, prctl), A(G_FORK, seccomp),
	A(G_FORK, prlimit64), A(G_FORK, setrlimit), A(G_FORK, setpriority), A(G_FORK, rt_sigtimedwait),
	A(G_FORK, setitimer),
	A(G_OUTLET, ftruncate), A(G_OUTLET, accept4), A(G_OUTLET, sendfile), A(G_OUTLET, getpgid),
	A(G_TTY, rt_sigsuspend), A(G_TTY, getpgrp), A(G_TTY, getpgid),
#undef A
};

/* Asked for in passing by libc and OpenSSL: they go on without. */
static const int refused[] = {
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(stat),
	SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(readlink), SCMP_SYS(getcwd), SCMP_SYS(ioctl),
	SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(prctl), SCMP_SYS(prlimit64), SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_getparam), SCMP_SYS(mprotect), SCMP_SYS(umask), SCMP_SYS(getrlimit), SCMP_SYS(shmget),
};

#define ANY (G_BASE | G_LINK)
static const struct {
	unsigned groups;
	bool quiet;	/* short-lived and many: logged at level debug */
	bool reads;	/* may read the file system it sees */
} roles[ROLE_COUNT] = {
	[ROLE_POLICY]   = { ANY | G_NOEXEC | G_PAIR | G_ACCEPT | G_DATABASE, false, true },
	[ROLE_KEYS]     = { ANY | G_NOEXEC, false, false },
	[ROLE_RECORDER] = { ANY | G_NOEXEC | G_INET, false, false },
	[ROLE_MASTER]   = { ANY | G_NOEXEC | G_PAIR | G_FORK, false, false },
	[ROLE_SESSION]  = { ANY | G_NOEXEC | G_PAIR, true, false },
	[ROLE_DIAL]     = { ANY | G_INET | G_RESOLVER, true, true },
	[ROLE_CONSOLE]  = { ANY | G_NOEXEC | G_TTY, true, true },
	[ROLE_MONITOR]  = { ANY | G_NOEXEC | G_INET | G_OUTLET, false, false },
	[ROLE_VIEW]     = { ANY | G_NOEXEC | G_TTY, true, false },
};

static struct sock_fprog prepared[ROLE_COUNT];

/*
 * A sanitizer's report asks for calls that no role may make, so that a filter would hide what was found. In such
 * a build there is no filter, unless the environment says BASTIOND_SANDBOX=kill: the sandbox's own test does.
 */
static bool sanitizing(void)
{
#ifdef __SANITIZE_ADDRESS__
	const char *mode = getenv("BASTIOND_SANDBOX");

	return mode == NULL || strcmp(mode, "kill") != 0;
#else
	return false;
#endif
}

static bool trapping(void)
{
	const char *mode = getenv("BASTIOND_SANDBOX");

	return mode != NULL && strcmp(mode, "trap") == 0;
}

/* Calls whose arguments decide. 0, or a negative errno. */
static int add_conditional(scmp_filter_ctx ctx, unsigned groups)
{
	static const unsigned long tty[] = { 0x5401, 0x5402, 0x5403, 0x5404, 0x540b, 0x540f, 0x5410, 0x5413, 0x541b };
	int r = 0;

#define RULE(call, ...) if (r == 0) r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(call), __VA_ARGS__)
	if ((groups & G_NOEXEC) != 0) {
		RULE(mmap, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
		RULE(mprotect, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	}
	if ((groups & G_PAIR) != 0)
		RULE(socketpair, 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	if ((groups & G_INET) != 0) {
		RULE(socket, 1, SCMP_A0(SCMP_CMP_EQ, AF_INET));
		RULE(socket, 1, SCMP_A0(SCMP_CMP_EQ, AF_INET6));
	}
	if ((groups & G_OUTLET) != 0)
		RULE(socket, 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	if ((groups & G_RESOLVER) != 0) {
		RULE(socket, 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
		RULE(socket, 1, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK));
	}
	/* TCGETS TCSETS TCSETSW TCSETSF TCFLSH TIOCGPGRP TIOCSPGRP TIOCGWINSZ FIONREAD */
	for (size_t i = 0; (groups & G_TTY) != 0 && i < sizeof(tty) / sizeof(tty[0]); i++)
		RULE(ioctl, 1, SCMP_A1(SCMP_CMP_EQ, tty[i]));
	if ((groups & G_TTY) == 0) {
		RULE(ioctl, 1, SCMP_A1(SCMP_CMP_EQ, 0x541b)); /* FIONREAD */
		RULE(ioctl, 1, SCMP_A1(SCMP_CMP_EQ, 0x5421)); /* FIONBIO */
	}
	if ((groups & G_PAIR) != 0)
		RULE(ioctl, 1, SCMP_A1(SCMP_CMP_EQ, 0x5414)); /* TIOCSWINSZ, of the console's terminal */
	RULE(tgkill, 1, SCMP_A2(SCMP_CMP_EQ, SIGABRT)); /* abort() stays an abort in the wait status */
#undef RULE
	return r;
}

static bool is_allowed(unsigned groups, int call)
{
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if ((allowed[i].group & groups) != 0 && allowed[i].call == call)
			return true;
	return false;
}

/* syslog() that lost its socket, and a look at the interfaces: refused, where sockets of the internet are allowed. */
static int refuse_local_sockets(scmp_filter_ctx ctx, unsigned groups)
{
	static const int families[] = { AF_UNIX, AF_NETLINK };
	int r = 0;

	for (size_t i = (groups & G_OUTLET) != 0; r == 0 && (groups & G_RESOLVER) == 0 && i < 2; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1,
		    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
	return r;
}

/*
 * EACCES for what is not allowed anyway. A call that add_conditional() lets pass with some arguments cannot have a
 * second rule without arguments; those get theirs here as the opposite condition, or keep the default.
 */
static int add_refused(scmp_filter_ctx ctx, unsigned groups)
{
	uint32_t action = SCMP_ACT_ERRNO(EACCES);
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(refused) / sizeof(refused[0]); i++) {
		int call = refused[i];

		if (is_allowed(groups, call))
			continue;
		if (call == SCMP_SYS(mprotect))
			r = (groups & G_NOEXEC) != 0 ? 0 : seccomp_rule_add(ctx, action, call, 0);
		else if (call == SCMP_SYS(ioctl))
			r = seccomp_rule_add(ctx, action, call, 1, SCMP_A1(SCMP_CMP_EQ, 0x5401));
		else if (call == SCMP_SYS(socket) && (groups & G_INET) != 0)
			r = refuse_local_sockets(ctx, groups);
		else
			r = seccomp_rule_add(ctx, action, call, 0);
		/* already allowed with these arguments (a terminal's TCGETS, the resolver's AF_UNIX) */
		if (r == -EEXIST)
			r = 0;
	}
	return r;
}

/* The program out of libseccomp, by way of a file: 2.5 has no export to memory. */
static int export(scmp_filter_ctx ctx, struct sock_fprog *prog)
{
	int fd = memfd_create("filter", MFD_CLOEXEC), r = -1;
	struct stat st;
	void *code = NULL;

	if (fd < 0 || seccomp_export_bpf(ctx, fd) != 0 || fstat(fd, &st) != 0)
		goto out;
	if (st.st_size <= 0 || (size_t)st.st_size > FILTER_MAX * sizeof(struct sock_filter))
		goto out;
	if ((code = malloc((size_t)st.st_size)) == NULL || pread(fd, code, (size_t)st.st_size, 0) != st.st_size)
		goto out;
	prog->filter = code;
	prog->len = (unsigned short)((size_t)st.st_size / sizeof(struct sock_filter));
	code = NULL;
	r = 0;
out:
	free(code);
	if (fd >= 0)
		close(fd);
	return r;
}

int sandbox_prepare(enum role role)
{
	uint32_t otherwise = trapping() ? SCMP_ACT_TRAP : SCMP_ACT_KILL_PROCESS;
	scmp_filter_ctx ctx;
	unsigned groups;
	int r = 0;

	if ((unsigned)role >= ROLE_COUNT || roles[role].groups == 0) {
		errno = EINVAL;
		return -1;
	}
	if (prepared[role].filter != NULL)
		return 0;
	groups = roles[role].groups;
	if ((ctx = seccomp_init(otherwise)) == NULL) {
		errno = ENOMEM;
		return -1;
	}
	if (seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) != 0)
		r = -EINVAL;
	for (size_t i = 0; r == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if ((allowed[i].group & groups) != 0)
			r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i].call, 0);
	if (r == 0)
		r = add_conditional(ctx, groups);
	if (r == 0)
		r = add_refused(ctx, groups);
	if (r == 0)
		r = export(ctx, &prepared[role]);
	seccomp_release(ctx);
	if (r < 0)
		errno = -r;
	return r;
}

/* Async-signal-safe: the process is in any state. */
static void on_trap(int sig, siginfo_t *info, void *context)
{
	char text[] = "sandbox: forbidden system call 0000\n";
	int n = info->si_syscall;

	(void)sig;
	(void)context;
	for (size_t i = sizeof(text) - 3, left = 4; left > 0; i--, left--, n /= 10)
		text[i] = (char)('0' + n % 10);
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(TRAP_STATUS);
	_exit(TRAP_STATUS);
}

/*
 * No rule is added, so whatever the ruleset handles is denied everywhere: writing for those who read the
 * file system, everything for those in an empty root. Version 1 of the interface is in every kernel that has it.
 */
static bool enter_landlock(enum role role)
{
	struct landlock_ruleset_attr attr = {
		.handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
		    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
		    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
		    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM,
	};
	int fd;
	bool done;

	if (role == ROLE_POLICY) /* its root is the database's directory: it writes wherever it can see */
		attr.handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
		    LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
	else if (!roles[role].reads)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	if ((fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0)) < 0)
		return false;
	done = syscall(SYS_landlock_restrict_self, fd, 0) == 0;
	close(fd);
	return done;
}

static bool enter_seccomp(enum role role)
{
	/* building a filter needs calls that master's own filter has no place for */
	if (sandbox_prepare(role) != 0 || (role == ROLE_MASTER && sandbox_prepare(ROLE_SESSION) != 0))
		return false;
	if (trapping()) {
		struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };

		sigaction(SIGSYS, &sa, NULL);
	}
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prepared[role]) == 0;
}

int sandbox_enter(const struct config *conf, enum role role)
{
	bool landlock, seccomp, ok;

	if ((unsigned)role >= ROLE_COUNT || roles[role].groups == 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
		log_error("no sandbox for %s", role_name(role));
		return -1;
	}
	if (sanitizing() && !trapping())
		return 0;
	/* a session's file system was closed by master; its filter could not make the call any more */
	landlock = role == ROLE_SESSION || enter_landlock(role);
	seccomp = enter_seccomp(role);
	ok = seccomp && landlock;
	if (!ok) {
		log_warn("sandbox of %s:%s%s missing in this kernel%s", role_name(role), seccomp ? "" : " seccomp",
		    landlock ? "" : " Landlock", conf->sandbox == SANDBOX_STRICT ? ": sandbox = strict ends here" : "");
		return conf->sandbox == SANDBOX_STRICT ? -1 : 0;
	}
	if (roles[role].quiet)
		log_debug("sandbox closed: seccomp, Landlock");
	else
		log_info("sandbox closed: seccomp, Landlock");
	return 0;
}
