/*
 * confine.h - the system calls a process may make, and the files it may reach, from now on: seccomp and Landlock, by
 * libseccomp. What a process may is put together from the groups below; bastiond/sandbox.c and
 * recorder/collector_sandbox.c say who gets which.
 */
#ifndef COMMON_CONFINE_H
#define COMMON_CONFINE_H

#include <linux/filter.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#define CONFINE_TRAP_STATUS (128 + SIGSYS) /* exit status after a trapped call */

enum confine_group {
	G_BASE = 1,	/* memory, time, own signals */
	G_LINK = 2,	/* descriptors that are there already, and those that come over a link */
	G_NOEXEC = 4,	/* memory, but never executable */
	G_PAIR = 8,	/* socketpair(AF_UNIX) */
	G_ACCEPT = 16,
	G_READ = 32,	/* files and directories, to be read */
	G_FILES = 64,	/* to be written, renamed, removed */
	G_STORE = 128,	/* besides: directories are made, whole file systems synced */
	G_INET = 256,	/* TCP to somewhere */
	G_RESOLVER = 512, /* what getaddrinfo() and its modules need besides G_READ; excludes G_NOEXEC */
	G_THREAD = 1024,
	G_FORK = 2048,	/* processes, and filters for them */
	G_TTY = 4096,
	G_LISTEN = 8192,
	G_UNIX = 16384,	/* sockets with a name in the file system, of its own and syslog's */
	G_OUTLET = 65536, /* sockets of this machine, and a file's end */
	G_IDS = 32768,	/* to become less: other user and group ids, narrower filters */
	G_CROWD = 262144, /* one of many with the account: no signal of any way, which could reach another; an abort ends in SIGSYS then */
	G_PROGRAM = 131072, /* alone: what a foreign program may, which is all but what none of them needs */
};

/*
 * Makes the filter of these groups in *out, whose code stays allocated. A call outside it kills the process (SIGSYS);
 * harmless probes of libraries get EACCES. 0, or -1 with errno.
 *
 * G_PROGRAM is the other way round, for programs whose calls nobody knows beforehand (hooks, the ssh client): EPERM for the calls that reach
 * into other processes, change the system or its namespaces, or have been ways into the kernel (ptrace, mount, unshare, bpf, io_uring, keyctl,
 * ...), for sockets of other families than the usual ones, and for TIOCSTI. It kills nobody but who speaks another architecture.
 *
 * With BASTIOND_SANDBOX=trap in the environment a forbidden call writes "sandbox: forbidden system call N" to
 * stderr and ends the process with CONFINE_TRAP_STATUS: for tests and for updates of libraries.
 */
int confine_filter(struct sock_fprog *out, unsigned groups);
/* Applies it to this thread and those it makes. PR_SET_NO_NEW_PRIVS is set already. False: the kernel has no such layer. */
bool confine_calls(const struct sock_fprog *filter);

/* What a place in the file system may be used for, with all below it. */
enum confine_right {
	CONFINE_LIST = 1,	/* open and list directories */
	CONFINE_READ = 2,	/* that, and read files */
	CONFINE_WRITE = 4,	/* that, and all that changes them; never run them */
};

struct confine_place {
	const char *path;	/* one that does not exist is passed over */
	enum confine_right rights;
};

/* Whatever is not in one of these places is denied to this thread and those it makes. False: the kernel has no such layer. */
bool confine_files(const struct confine_place *places, size_t n);
/* The same by rights (LANDLOCK_ACCESS_FS_...): these are denied everywhere. */
bool confine_rights(unsigned long long denied);

/*
 * A sanitizer's report asks for calls that nobody may make, so that a filter would hide what was found. In such
 * a build there is to be none, unless the environment says BASTIOND_SANDBOX=kill (the sandbox's own test does) or trap.
 */
bool confine_off(void);

#endif
