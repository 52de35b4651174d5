/*
 * kill_doom.c - kills a process at its n-th system call, as its tracer; see kill.h.
 *
 * Counted are the calls that move bytes or change files, of all its threads, from its first one on: a filter stops the victim at these and at
 * no others, which only compute, wait or ask. Its children run uncounted. A kill at the entry of a call leaves it undone, one at its exit done and
 * unknown to the victim. Between the two a write can be made shorter.
 */
#include "kill.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>

static const int counted[] = {
	SYS_read, SYS_readv, SYS_pread64, SYS_recvmsg, SYS_recvfrom, SYS_write, SYS_writev, SYS_pwrite64, SYS_sendmsg, SYS_sendto, SYS_sendfile,
	SYS_fsync, SYS_fdatasync, SYS_syncfs, SYS_sync_file_range, SYS_openat, SYS_close, SYS_mkdirat, SYS_renameat, SYS_renameat2, SYS_linkat,
	SYS_unlinkat, SYS_ftruncate, SYS_fallocate, SYS_flock, SYS_connect, SYS_accept4, SYS_shutdown,
#ifdef __x86_64__
	SYS_open, SYS_mkdir, SYS_rename, SYS_unlink,
#endif
};
#define NCOUNTED (sizeof(counted) / sizeof(counted[0]))

uint64_t kill_random(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * 0x2545f4914f6cdd1dULL >> 16;
}

void kill_report(const uint32_t in[KILL_NUMBERS_MAX][BY_CLOCK])
{
	const char *sep = "";

	for (int i = 0; i < KILL_NUMBERS_MAX; i++) {
		char *name;

		if (in[i][BEFORE] + in[i][WITHIN] + in[i][AFTER] == 0)
			continue;
		name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
		printf("%s\"%s\":[%" PRIu32 ",%" PRIu32 ",%" PRIu32 "]", sep, name != NULL ? name : "?", in[i][BEFORE], in[i][WITHIN], in[i][AFTER]);
		free(name);
		sep = ",";
	}
}

bool kill_counted(uint64_t nr)
{
	for (size_t i = 0; i < NCOUNTED; i++)
		if ((uint64_t)counted[i] == nr)
			return true;
	return false;
}

/* In the victim. */
static int ask_for_stops(void)
{
	struct sock_filter code[NCOUNTED + 3] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)) };
	const struct sock_fprog prog = { NCOUNTED + 3, code };

	for (size_t i = 0; i < NCOUNTED; i++)
		code[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)counted[i], (uint8_t)(NCOUNTED - i), 0);
	code[NCOUNTED + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[NCOUNTED + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}

void kill_shorten(pid_t tid, uint64_t nr, uint64_t len)
{
#ifdef __x86_64__
	struct user_regs_struct regs;

	if ((nr != SYS_write && nr != SYS_pwrite64 && nr != SYS_sendto) || len < 2 || ptrace(PTRACE_GETREGS, tid, 0, &regs) != 0)
		return;
	regs.rdx = 1 + regs.rdx * 7 % (len - 1);
	ptrace(PTRACE_SETREGS, tid, 0, &regs);
#else
	(void)tid, (void)nr, (void)len;
#endif
}

static struct life *lives;	/* that are not over */

static bool is_thread(const struct life *l, pid_t tid)
{
	for (size_t i = 0; i < l->nthreads; i++)
		if (l->threads[i] == tid)
			return true;
	return tid == l->pid;
}

/* A thread stands before a call. */
static void on_entry(struct life *l, pid_t tid)
{
	struct __ptrace_syscall_info info;
	const struct doom *d = &l->doom;

	if (l->calls++ != d->call || l->awaited != 0 || ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) <= 0)
		return;
	l->nr = (int)info.seccomp.nr;
	if (d->moment == BEFORE) {
		life_end(l);
		return;
	}
	if (d->moment == WITHIN)
		kill_shorten(tid, info.seccomp.nr, info.seccomp.args[2]);
	l->awaited = tid;
}

static void on_event(struct life *l, pid_t tid, int event)
{
	unsigned long id;

	if (event == PTRACE_EVENT_SECCOMP)
		on_entry(l, tid);
	else if (event == PTRACE_EVENT_CLONE && l->nthreads < LIFE_THREADS_MAX && ptrace(PTRACE_GETEVENTMSG, tid, 0, &id) == 0)
		l->threads[l->nthreads++] = (pid_t)id;
	else if (event == 0 && tid == l->awaited)
		life_end(l);
}

/* Lets the stopped thread go on, which is one of l's, or of a child (NULL). */
static void on_stop(struct life *l, pid_t tid, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;

	if (l != NULL && (event != 0 || sig == (SIGTRAP | 0x80)))
		on_event(l, tid, event);
	/* what ptrace itself says is no signal of the thread's, nor is the stop of a new one */
	if (event != 0 || sig == SIGSTOP || sig == (SIGTRAP | 0x80))
		sig = 0;
	ptrace(l != NULL && tid == l->awaited ? PTRACE_SYSCALL : PTRACE_CONT, tid, 0, sig);
}

void lives_turn(void)
{
	int status;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
		struct life *l = lives, **at = &lives;

		while (l != NULL && !is_thread(l, tid)) {
			at = &l->next;
			l = l->next;
		}
		if (WIFSTOPPED(status)) {
			on_stop(l, tid, status);
		} else if (l != NULL && tid == l->pid) {
			l->status = status;
			l->over = true;
			*at = l->next;
		}
	}
}

static void become(const struct life *l, int (*body)(void *ctx), void *ctx, int link, int err)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(err, 2) < 0 || (link >= 0 && dup2(link, 3) < 0))
		_exit(126);
	if (link >= 0)
		fcntl(3, F_SETFD, 0);
	close_range(link >= 0 ? 4 : 3, ~0U, 0);
	if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0 || raise(SIGSTOP) != 0 || (l->doom.moment != BY_CLOCK && ask_for_stops() != 0))
		_exit(127);
	_exit(body(ctx));
}

int life_start(struct life *l, const struct doom *doom, int (*body)(void *ctx), void *ctx, int link, int err)
{
	const long watched = doom->moment == BY_CLOCK ? 0 :
	    PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK;
	int status;

	*l = (struct life){ .doom = *doom, .nr = -1, .next = lives };
	if ((l->pid = fork()) == 0)
		become(l, body, ctx, link, err);
	if (l->pid < 0 || waitpid(l->pid, &status, __WALL) != l->pid || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, l->pid, 0, PTRACE_O_EXITKILL | watched) != 0)
		return -1;
	lives = l;
	ptrace(PTRACE_CONT, l->pid, 0, 0);
	return 0;
}

void life_end(const struct life *l)
{
	kill(l->pid, SIGKILL);
}

void life_stop(const struct life *l)
{
	kill(l->pid, SIGTERM);
}
