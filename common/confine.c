/*
 * confine.c - see confine.h. Runs in the roles of bastiond (bastiond/sandbox.c) and in the collector's processes
 * (recorder/collector_sandbox.c), as the last step before their loops.
 *
 * Lists are put together from groups. What is in no list kills the process, because only a taken-over process asks
 * for it; what a library asks for in passing (a file it can do without, a time zone) is refused with EACCES. A second
 * layer, Landlock, denies what the file system would still permit.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILTER_MAX 4096		   /* BPF instructions; the kernel's limit, too */

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
	A(G_LINK, dup), A(G_LINK, dup2), A(G_LINK, dup3),
	A(G_ACCEPT, accept4), A(G_ACCEPT, accept), A(G_LISTEN, listen),
	A(G_READ, openat), A(G_READ, open), A(G_READ, stat), A(G_READ, lstat), A(G_READ, newfstatat), A(G_READ, statx),
	A(G_READ, access), A(G_READ, faccessat), A(G_READ, faccessat2), A(G_READ, readlink), A(G_READ, readlinkat),
	A(G_READ, getcwd), A(G_READ, getdents64), A(G_READ, fstatfs), A(G_READ, statfs),
	A(G_FILES, unlink), A(G_FILES, unlinkat), A(G_FILES, rename), A(G_FILES, renameat), A(G_FILES, renameat2),
	A(G_FILES, ftruncate), A(G_FILES, fallocate), A(G_FILES, pwrite64), A(G_FILES, fsync), A(G_FILES, fdatasync),
	A(G_FILES, fchmod), A(G_FILES, fchown), A(G_FILES, umask), A(G_FILES, utimensat), A(G_FILES, link), A(G_FILES, linkat),
	A(G_STORE, mkdir), A(G_STORE, mkdirat), A(G_STORE, rmdir), A(G_STORE, flock), A(G_STORE, syncfs),
	A(G_STORE, sync_file_range), A(G_STORE, fadvise64), A(G_STORE, sendfile), A(G_STORE, copy_file_range), A(G_STORE, pwritev),
	A(G_INET, connect), A(G_INET, bind),
	A(G_RESOLVER, sendmmsg), A(G_RESOLVER, recvmmsg), A(G_RESOLVER, mmap), A(G_RESOLVER, mprotect), A(G_RESOLVER, prctl),
	A(G_RESOLVER, sched_getaffinity),
	A(G_FORK, clone), A(G_FORK, clone3), A(G_FORK, fork), A(G_FORK, vfork), A(G_FORK, wait4), A(G_FORK, waitid),
	A(G_FORK, kill), A(G_FORK, pidfd_open), A(G_FORK, pidfd_send_signal), A(G_FORK, prctl), A(G_FORK, seccomp),
	A(G_FORK, prlimit64), A(G_FORK, setrlimit), A(G_FORK, setpriority), A(G_FORK, rt_sigtimedwait),
	A(G_FORK, setitimer),
	A(G_OUTLET, ftruncate), A(G_OUTLET, accept4), A(G_OUTLET, sendfile), A(G_OUTLET, getpgid),
	A(G_TTY, rt_sigsuspend), A(G_TTY, getpgrp), A(G_TTY, getpgid),
	A(G_UNIX, connect), A(G_UNIX, bind), A(G_UNIX, fchmodat),
	A(G_IDS, setgroups), A(G_IDS, setresuid), A(G_IDS, setresgid), A(G_IDS, setuid), A(G_IDS, setgid),
	A(G_IDS, landlock_create_ruleset), A(G_IDS, landlock_add_rule), A(G_IDS, landlock_restrict_self),
	A(G_IDS, memfd_create),
#undef A
};

/* Asked for in passing by libc and OpenSSL: they go on without. */
static const int refused[] = {
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(stat),
	SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(readlink), SCMP_SYS(getcwd), SCMP_SYS(ioctl),
	SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(prctl), SCMP_SYS(prlimit64), SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_getparam), SCMP_SYS(mprotect), SCMP_SYS(umask), SCMP_SYS(getrlimit), SCMP_SYS(shmget),
};

/* What no foreign program that we run needs. */
static const int never[] = {
	SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(process_madvise), SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd),
	SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(reboot),
	SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen),
	SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fspick), SCMP_SYS(mount_setattr), SCMP_SYS(open_by_handle_at), SCMP_SYS(swapon),
	SCMP_SYS(swapoff), SCMP_SYS(quotactl), SCMP_SYS(quotactl_fd), SCMP_SYS(acct), SCMP_SYS(fanotify_init), SCMP_SYS(lookup_dcookie),
	SCMP_SYS(setns), SCMP_SYS(unshare), SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(keyctl), SCMP_SYS(add_key),
	SCMP_SYS(request_key), SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register), SCMP_SYS(syslog), SCMP_SYS(iopl),
	SCMP_SYS(ioperm), SCMP_SYS(modify_ldt), SCMP_SYS(vhangup), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(clock_adjtime),
	SCMP_SYS(sethostname), SCMP_SYS(setdomainname), SCMP_SYS(nfsservctl), SCMP_SYS(uselib), SCMP_SYS(_sysctl),
};

bool confine_off(void)
{
#ifdef __SANITIZE_ADDRESS__
	const char *mode = getenv("BASTIOND_SANDBOX");

	return mode == NULL || (strcmp(mode, "kill") != 0 && strcmp(mode, "trap") != 0);
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
	static const int plain[] = { F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL };
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
	if ((groups & (G_RESOLVER | G_UNIX | G_OUTLET)) != 0)
		RULE(socket, 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	if ((groups & G_RESOLVER) != 0)
		RULE(socket, 1, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK));
	/* clone3() has its flags where no filter can see them: libc then takes clone() */
	if ((groups & G_THREAD) != 0 && (groups & G_FORK) == 0) {
		RULE(clone, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
		if (r == 0)
			r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
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
	if ((groups & G_CROWD) == 0) {
		RULE(fcntl, 0);
		RULE(tgkill, 1, SCMP_A2(SCMP_CMP_EQ, SIGABRT)); /* abort() stays an abort in the wait status */
	}
	/* not tgkill(): seccomp cannot tell whether the thread is our own; and no descriptor that signals whom F_SETOWN names */
	for (size_t i = 0; (groups & G_CROWD) != 0 && i < sizeof(plain) / sizeof(plain[0]); i++)
		RULE(fcntl, 1, SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)plain[i]));
	if ((groups & G_CROWD) != 0)
		RULE(fcntl, 2, SCMP_A1(SCMP_CMP_EQ, F_SETFL), SCMP_A2(SCMP_CMP_MASKED_EQ, O_ASYNC, 0));
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

/* Where some sockets are allowed: EACCES for what libraries ask for of the others, as for syslog() that lost its own. */
static int refuse_sockets(scmp_filter_ctx ctx, unsigned groups)
{
	static const struct { int family; unsigned allows; } families[] = { { AF_UNIX, G_UNIX | G_RESOLVER | G_OUTLET }, { AF_NETLINK, G_RESOLVER },
		{ AF_INET, G_INET }, { AF_INET6, G_INET } };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(families) / sizeof(families[0]); i++)
		if ((groups & families[i].allows) == 0)
			r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1,
			    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i].family));
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
		else if (call == SCMP_SYS(socket) && (groups & (G_INET | G_RESOLVER | G_UNIX | G_OUTLET)) != 0)
			r = refuse_sockets(ctx, groups);
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

/*
 * Of an argument the kernel takes 32 bits, and a filter sees 64: who sets the others must not get by. For a family that is any above the
 * last one that is allowed.
 */
static int add_denied(scmp_filter_ctx ctx)
{
	static const unsigned spaces[] = { CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET };
	static const unsigned terminal[] = { 0x5412, 0x541c }; /* TIOCSTI TIOCLINUX */
	const uint32_t no = SCMP_ACT_ERRNO(EPERM);
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(never) / sizeof(never[0]); i++)
		r = seccomp_rule_add(ctx, no, never[i], 0);
	for (size_t i = 0; r == 0 && i < sizeof(spaces) / sizeof(spaces[0]); i++)
		r = seccomp_rule_add(ctx, no, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, spaces[i], spaces[i]));
	for (size_t i = 0; r == 0 && i < sizeof(terminal) / sizeof(terminal[0]); i++)
		r = seccomp_rule_add(ctx, no, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffU, terminal[i]));
	for (int family = 0; r == 0 && family < AF_NETLINK; family++)
		if (family != AF_UNSPEC && family != AF_UNIX && family != AF_INET && family != AF_INET6)
			r = seccomp_rule_add(ctx, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family));
	if (r == 0)
		r = seccomp_rule_add(ctx, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GT, AF_NETLINK));
	/* its flags are where no filter sees them: libc then takes clone() */
	return r != 0 ? r : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int add_lists(scmp_filter_ctx ctx, unsigned groups)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if ((allowed[i].group & groups) != 0)
			r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i].call, 0);
	if (r == 0)
		r = add_conditional(ctx, groups);
	return r != 0 ? r : add_refused(ctx, groups);
}

int confine_filter(struct sock_fprog *out, unsigned groups)
{
	uint32_t otherwise = groups == G_PROGRAM ? SCMP_ACT_ALLOW : trapping() ? SCMP_ACT_TRAP : SCMP_ACT_KILL_PROCESS;
	scmp_filter_ctx ctx = seccomp_init(otherwise);
	int r = 0;

	if (ctx == NULL) {
		errno = ENOMEM;
		return -1;
	}
	if (seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) != 0)
		r = -EINVAL;
	if (r == 0)
		r = groups == G_PROGRAM ? add_denied(ctx) : add_lists(ctx, groups);
	if (r == 0)
		r = export(ctx, out);
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
		_exit(CONFINE_TRAP_STATUS);
	_exit(CONFINE_TRAP_STATUS);
}

bool confine_calls(const struct sock_fprog *filter)
{
	if (trapping()) {
		struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };

		sigaction(SIGSYS, &sa, NULL);
	}
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, filter) == 0;
}

/* ---- Landlock: version 1 of its interface, which is in every kernel that has it ---- */

#define FILE_RIGHTS (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE)
#define ALL_RIGHTS (FILE_RIGHTS | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | \
	LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE_RIGHTS (READ_RIGHTS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK)

static int ruleset(unsigned long long handled)
{
	const struct landlock_ruleset_attr attr = { .handled_access_fs = handled };

	return (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
}

/* 0, or -1 with errno. */
static int add_place(int set, const struct confine_place *p)
{
	struct landlock_path_beneath_attr rule = { .parent_fd = open(p->path, O_PATH | O_CLOEXEC) };
	struct stat st;
	int r = -1;

	if (rule.parent_fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -1;
	rule.allowed_access = p->rights == CONFINE_WRITE ? WRITE_RIGHTS :
	    p->rights == CONFINE_READ ? READ_RIGHTS : LANDLOCK_ACCESS_FS_READ_DIR;
	if (fstat(rule.parent_fd, &st) == 0) {
		if (!S_ISDIR(st.st_mode))
			rule.allowed_access &= FILE_RIGHTS;
		r = (int)syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	}
	close(rule.parent_fd);
	return r;
}

bool confine_files(const struct confine_place *places, size_t n)
{
	const int set = ruleset(ALL_RIGHTS);
	bool done = set >= 0;

	for (size_t i = 0; done && i < n; i++)
		done = add_place(set, &places[i]) == 0;
	done = done && syscall(SYS_landlock_restrict_self, set, 0) == 0;
	if (set >= 0)
		close(set);
	return done;
}

bool confine_rights(unsigned long long denied)
{
	const int set = ruleset(denied);
	const bool done = set >= 0 && syscall(SYS_landlock_restrict_self, set, 0) == 0;

	if (set >= 0)
		close(set);
	return done;
}
