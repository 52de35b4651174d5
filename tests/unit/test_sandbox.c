/*
 * test_sandbox.c - each role's forbidden calls kill it, its own calls pass, and root cannot be had back after
 * the drop. Every case is a child that does one thing. What needs root is skipped without it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "drop.c"
#include "sandbox.c"
#include "worker_space.h"

static struct config conf; /* SANDBOX_ON */

#define FINE 0
#define DENIED 7 /* exit status: EACCES */

/* What a child does; its return value is its exit status. */
typedef int deed(void);

static int verdict(long r) { return r >= 0 ? FINE : errno == EACCES ? DENIED : 8; }
static int do_exec(void) { return verdict(execl("/bin/true", "true", (char *)NULL)); }
static int do_fork(void) { pid_t p = fork(); if (p == 0) _exit(0); return p > 0 ? FINE : 8; }
static int do_ptrace(void) { return verdict(ptrace(PTRACE_TRACEME, 0, 0, 0)); }
static int do_kill(void) { return verdict(kill(getppid(), 0)); }
static int do_open(void) { return verdict(open("/etc/hostname", O_RDONLY)); }
static int do_write_open(void) { return verdict(open("/tmp/test_sandbox-file", O_WRONLY | O_CREAT, 0600)); }
static int do_tcp(void) { return verdict(socket(AF_INET, SOCK_STREAM, 0)); }
static int do_unix(void) { return verdict(socket(AF_UNIX, SOCK_STREAM, 0)); }
static int do_raw(void) { return verdict(socket(AF_PACKET, SOCK_RAW, 0)); }
static int do_pair(void) { int fds[2]; return verdict(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds)); }
static int do_listen(void) { return verdict(listen(0, 1)); }
static int do_mount(void) { return verdict(syscall(SYS_mount, "a", "/", "b", 0, "")); }
static int do_setuid(void) { return verdict(setuid(0)); }
static int do_unshare(void) { return verdict(unshare(CLONE_NEWUSER)); }
static int do_bpf(void) { return verdict(syscall(SYS_bpf, 0, NULL, 0)); }
static int do_keyctl(void) { return verdict(syscall(SYS_keyctl, 0, 0, 0)); }
static int do_uring(void) { return verdict(syscall(SYS_io_uring_setup, 1, NULL)); }
static int do_vm_read(void) { return verdict(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0)); }
static int do_sti(void) { return verdict(ioctl(0, TIOCSTI, "x") < 0 && errno != EACCES ? -1 : 0); }
static int do_getrandom(void) { char c; return verdict(syscall(SYS_getrandom, &c, 1, 0)); }

static int do_exec_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return verdict(p == MAP_FAILED ? -1 : 0);
}

static int do_loop(void)
{
	int fds[2], ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN };
	char *much = malloc(4 << 20);

	if (pipe2(fds, O_CLOEXEC) != 0 || epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &ev) != 0 || much == NULL)
		return 8;
	free(much);
	return verdict(write(fds[1], "x", 1) == 1 && epoll_wait(ep, &ev, 1, 1000) == 1 ? 0 : -1);
}

/* The wait status of a child that closes the sandbox of `role` and then does it. */
static int in_sandbox(enum role role, deed *what)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (role == ROLE_SESSION && sandbox_enter(&conf, ROLE_MASTER) != 0)
			_exit(99);
		if (sandbox_enter(&conf, role) != 0)
			_exit(99);
		_exit(what());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

#define KILLED (-1)

static const struct {
	const char *name;
	deed *what;
	int policy, keys, recorder, master, session, dial, console; /* FINE, DENIED or KILLED */
} cases[] = {
	/*                               policy  keys    recorder master  session dial    console */
	{ "loop", do_loop,               FINE,   FINE,   FINE,   FINE,   FINE,   FINE,   FINE },
	{ "getrandom", do_getrandom,     FINE,   FINE,   FINE,   FINE,   FINE,   FINE,   FINE },
	{ "exec", do_exec,               KILLED, KILLED, KILLED, KILLED, KILLED, KILLED, KILLED },
	{ "fork", do_fork,               KILLED, KILLED, KILLED, FINE,   KILLED, KILLED, KILLED },
	{ "ptrace", do_ptrace,           KILLED, KILLED, KILLED, KILLED, KILLED, KILLED, KILLED },
	{ "kill", do_kill,               KILLED, KILLED, KILLED, FINE,   KILLED, KILLED, KILLED },
	{ "open", do_open,               FINE,   DENIED, DENIED, DENIED, DENIED, FINE,   DENIED },
	{ "open to write", do_write_open, FINE,  DENIED, DENIED, DENIED, DENIED, DENIED, DENIED },
	{ "tcp", do_tcp,                 DENIED, DENIED, FINE,   DENIED, DENIED, FINE,   DENIED },
	{ "unix", do_unix,               DENIED, DENIED, DENIED, DENIED, DENIED, FINE,   DENIED },
	{ "raw", do_raw,                 DENIED, DENIED, KILLED, DENIED, DENIED, KILLED, DENIED },
	{ "socketpair", do_pair,         FINE,   KILLED, KILLED, FINE,   FINE,   KILLED, KILLED },
	{ "listen", do_listen,           KILLED, KILLED, KILLED, KILLED, KILLED, KILLED, KILLED },
	{ "mount", do_mount,             KILLED, KILLED, KILLED, KILLED, KILLED, KILLED, KILLED },
	{ "setuid", do_setuid,           KILLED, KILLED, KILLED, KILLED, KILLED, KILLED, KILLED },
	{ "unshare", do_unshare,         KILLED, KILLED, KILLED, KILLED, KILLED, KILLED, KILLED },
	{ "bpf", do_bpf,                 KILLED, KILLED, KILLED, KILLED, KILLED, KILLED, KILLED },
	{ "keyctl", do_keyctl,           KILLED, KILLED, KILLED, KILLED, KILLED, KILLED, KILLED },
	{ "io_uring", do_uring,          KILLED, KILLED, KILLED, KILLED, KILLED, KILLED, KILLED },
	{ "vm_read", do_vm_read,         KILLED, KILLED, KILLED, KILLED, KILLED, KILLED, KILLED },
	{ "TIOCSTI", do_sti,             KILLED, KILLED, KILLED, KILLED, KILLED, KILLED, KILLED },
	{ "executable memory", do_exec_memory, KILLED, KILLED, KILLED, KILLED, KILLED, FINE, KILLED },
};

/* --- programs: hooks, and the ssh client of a task --- */

static long no_ptrace(void) { return ptrace(PTRACE_TRACEME, 0, 0, 0); }
static long no_attach(void) { return ptrace(PTRACE_ATTACH, getppid(), 0, 0); }
static long no_vm_read(void) { return syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0); }
static long no_getfd(void) { return syscall(SYS_pidfd_getfd, 0, 0, 0); }
static long no_mount(void) { return syscall(SYS_mount, "a", "/", "b", 0, ""); }
static long no_fsopen(void) { return syscall(SYS_fsopen, "tmpfs", 0); }
static long no_chroot(void) { return chroot("/"); }
static long no_unshare(void) { return unshare(CLONE_NEWUSER); }
static long no_setns(void) { return setns(open("/proc/self/ns/net", O_RDONLY), 0); }
static long no_clone(void) { return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0); }
static long no_clone_high(void) { return syscall(SYS_clone, (1UL << 40) | CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0); }
static long no_bpf(void) { return syscall(SYS_bpf, 0, NULL, 0); }
static long no_perf(void) { return syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0); }
static long no_fault(void) { return syscall(SYS_userfaultfd, 0); }
static long no_keyctl(void) { return syscall(SYS_keyctl, 0, -3, 0); }
static long no_add_key(void) { return syscall(SYS_add_key, "user", "x", "y", 1, -3); }
static long no_uring(void) { return syscall(SYS_io_uring_setup, 1, NULL); }
static long no_module(void) { return syscall(SYS_finit_module, -1, "", 0); }
static long no_kexec(void) { return syscall(SYS_kexec_file_load, -1, -1, 0, "", 0); }
static long no_sti(void) { return ioctl(0, TIOCSTI, "x"); }
static long no_sti_high(void) { return syscall(SYS_ioctl, 0, 0x700000000UL | TIOCSTI, "x"); }
static long no_packet(void) { return socket(AF_PACKET, SOCK_RAW, 0); }
static long no_vsock(void) { return socket(AF_VSOCK, SOCK_STREAM, 0); }
static long no_alg(void) { return syscall(SYS_socket, (7UL << 32) | AF_ALG, SOCK_SEQPACKET, 0); }

static const struct { const char *name; long (*call)(void); } refused_calls[] = {
#define N(name) { #name, name }
	N(no_ptrace), N(no_attach), N(no_vm_read), N(no_getfd), N(no_mount), N(no_fsopen), N(no_chroot), N(no_unshare), N(no_setns), N(no_clone),
	N(no_clone_high), N(no_bpf), N(no_perf), N(no_fault), N(no_keyctl), N(no_add_key), N(no_uring), N(no_module), N(no_kexec), N(no_sti),
	N(no_sti_high), N(no_packet), N(no_vsock), N(no_alg),
#undef N
};

/* What a program does all day: a shell with a pipe in it, names, sockets, files that move. */
static int a_day(void)
{
	char from[] = "/tmp/test_sandbox-one-XXXXXX", to[64];

	if (mkdtemp(from) == NULL || snprintf(to, sizeof(to), "%s-two", from) < 0 || rename(from, to) != 0 || rmdir(to) != 0 ||
	    socket(AF_INET, SOCK_STREAM, 0) < 0 || socket(AF_INET6, SOCK_DGRAM, 0) < 0 || socket(AF_UNIX, SOCK_STREAM, 0) < 0 ||
	    socket(AF_NETLINK, SOCK_RAW, 0) < 0)
		return 20;
	return WEXITSTATUS(system("test \"$(echo 1 | cat)\" = 1 && perl -e 'exit 0' && getent hosts localhost >/dev/null"));
}

static void test_programs(void **state)
{
	static const enum role roles_of[] = { ROLE_HOOK, ROLE_TARGET };
	int status;
	pid_t pid;

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		for (size_t i = 0; i < sizeof(refused_calls) / sizeof(refused_calls[0]); i++) {
			if ((pid = fork()) == 0) {
				if (sandbox_enter(&conf, roles_of[k]) != 0)
					_exit(99);
				errno = 0;
				_exit(refused_calls[i].call() == -1 && errno == EPERM ? 0 : 1 + errno % 90);
			}
			assert_int_equal(waitpid(pid, &status, 0), pid);
			if (status != 0)
				print_error("%s: wait status %#x\n", refused_calls[i].name, (unsigned)status);
			assert_int_equal(status, 0);
		}
		if ((pid = fork()) == 0)
			_exit(sandbox_enter(&conf, roles_of[k]) != 0 ? 99 : a_day());
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

static void expect(const char *name, enum role role, deed *what, int want)
{
	int status = in_sandbox(role, what);
	bool as_wanted = want == KILLED ? WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS :
	    WIFEXITED(status) && WEXITSTATUS(status) == want;

	if (!as_wanted)
		print_error("%s in %s: wait status %#x, wanted %d\n", name, role_name(role), status, want);
	assert_true(as_wanted);
}

static void test_calls(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		expect(cases[i].name, ROLE_POLICY, cases[i].what, cases[i].policy);
		expect(cases[i].name, ROLE_KEYS, cases[i].what, cases[i].keys);
		expect(cases[i].name, ROLE_RECORDER, cases[i].what, cases[i].recorder);
		expect(cases[i].name, ROLE_MASTER, cases[i].what, cases[i].master);
		expect(cases[i].name, ROLE_SESSION, cases[i].what, cases[i].session);
		expect(cases[i].name, ROLE_DIAL, cases[i].what, cases[i].dial);
		expect(cases[i].name, ROLE_CONSOLE, cases[i].what, cases[i].console);
	}
	unlink("/tmp/test_sandbox-file");
}

static int do_abort(void)
{
	abort();
}

static void test_abort_stays_one(void **state)
{
	int status = in_sandbox(ROLE_KEYS, do_abort);

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	/* who may send no signal dies all the same */
	expect("abort", ROLE_SESSION, do_abort, KILLED);
}

/* --- one of many processes with the same account --- */

static pid_t neighbour;

static int do_tgkill(void) { return verdict(syscall(SYS_tgkill, neighbour, neighbour, SIGABRT)); }
static int do_tgkill_master(void) { return verdict(syscall(SYS_tgkill, getppid(), getppid(), SIGABRT)); }
static int do_setown(void) { return verdict(fcntl(0, F_SETOWN, neighbour)); }
static int do_setown_ex(void) { return verdict(fcntl(0, F_SETOWN_EX, &(struct f_owner_ex){ F_OWNER_PID, neighbour })); }
static int do_setsig(void) { return verdict(fcntl(0, F_SETSIG, SIGKILL)); }
static int do_async(void) { return verdict(fcntl(0, F_SETFL, O_ASYNC | O_NONBLOCK)); }
static int do_async_high(void) { return verdict(syscall(SYS_fcntl, 0, F_SETFL, (1UL << 40) | O_ASYNC)); }
static int do_setown_high(void) { return verdict(syscall(SYS_fcntl, 0, (1UL << 40) | F_SETOWN, neighbour)); }

static int do_flags(void)
{
	int fds[2], fd;

	if (pipe2(fds, O_CLOEXEC) != 0 || (fd = fcntl(fds[0], F_DUPFD_CLOEXEC, 10)) < 0 || fcntl(fd, F_SETFD, 0) != 0)
		return 8;
	return verdict(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0 && fcntl(fd, F_GETFD) == 0 ? 0 : -1);
}

static void test_no_signal_for_a_neighbour(void **state)
{
	static const enum role crowds[] = { ROLE_SESSION, ROLE_CONSOLE, ROLE_VIEW };
	static deed *const attacks[] = { do_tgkill, do_tgkill_master, do_setown, do_setown_ex, do_setsig, do_async, do_async_high, do_setown_high };

	(void)state;
	if ((neighbour = fork()) == 0)
		for (;;)
			pause();
	assert_true(neighbour > 0);
	for (size_t k = 0; k < sizeof(crowds) / sizeof(crowds[0]); k++) {
		for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
			expect("a signal", crowds[k], attacks[i], KILLED);
		expect("flags", crowds[k], do_flags, FINE);
	}
	assert_int_equal(waitpid(neighbour, NULL, WNOHANG), 0);
	kill(neighbour, SIGKILL);
	assert_int_equal(waitpid(neighbour, NULL, 0), neighbour);
}

static void test_trap_names_the_call(void **state)
{
	char text[128] = "";
	int fds[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	if ((pid = fork()) == 0) {
		setenv("BASTIOND_SANDBOX", "trap", 1);
		dup2(fds[1], STDERR_FILENO);
		memset(prepared, 0, sizeof(prepared));
		if (sandbox_enter(&conf, ROLE_KEYS) != 0)
			_exit(99);
		syscall(SYS_ptrace, 0, 0, 0, 0);
		_exit(0);
	}
	close(fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == CONFINE_TRAP_STATUS);
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	assert_non_null(strstr(text, "forbidden system call 0101\n"));
	close(fds[0]);
}

static void test_no_sandbox_for_others(void **state)
{
	(void)state;
	assert_int_equal(sandbox_prepare(ROLE_PAM), -1);
	assert_int_equal(sandbox_prepare(ROLE_COUNT), -1);
	assert_int_equal(sandbox_enter(&conf, ROLE_PARENT), -1);
}

static char dir[] = "/tmp/test_sandbox-XXXXXX";

/* The child's side of the drop: 0, or the number of what did not hold. */
static int after_drop(uid_t uid, bool rooted, bool offline)
{
	struct rlimit core;
	int sock;

	if (getuid() != uid || getgid() != uid + 50 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ||
	    prctl(PR_GET_DUMPABLE) != 0)
		return 1;
	if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0)
		return 2;
	if (rooted != (access("/etc/passwd", F_OK) != 0))
		return 3;
	if (prctl(PR_CAPBSET_READ, 0) != 0 || setuid(0) == 0)
		return 4;
	if (offline) {
		struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(9),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

		sock = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(sock, (struct sockaddr *)&sin, sizeof(sin)) == 0 || errno != ENETUNREACH)
			return 5;
	}
	return 0;
}

static void test_drop(void **state)
{
	static const struct { enum role role; uid_t uid; bool rooted, offline; } rows[] = {
		{ ROLE_POLICY, 901, true, true }, { ROLE_KEYS, 902, true, true }, { ROLE_RECORDER, 903, true, false },
		{ ROLE_MASTER, 904, true, true }, { ROLE_DIAL, 905, false, false }, { ROLE_CONSOLE, 906, false, true },
		{ ROLE_TARGET, 907, false, false },
	};
	char path[64];
	int status;

	(void)state;
	if (geteuid() != 0)
		skip();
	snprintf(path, sizeof(path), "%s/db", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/empty", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	conf.state_dir = conf.run_dir = dir;
	conf.user_policy = (struct config_user){ NULL, 901, 951 };
	conf.user_keys = (struct config_user){ NULL, 902, 952 };
	conf.user_recorder = (struct config_user){ NULL, 903, 953 };
	conf.user_session = (struct config_user){ NULL, 904, 954 };
	conf.user_dial = (struct config_user){ NULL, 905, 955 };
	conf.user_console = (struct config_user){ NULL, 906, 956 };
	conf.user_task = (struct config_user){ NULL, 907, 957 };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(drop_to(&conf, rows[i].role) != 0 ? 90 :
			    after_drop(rows[i].uid, rows[i].rooted, rows[i].offline));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status != 0)
			print_error("%s: status %#x\n", role_name(rows[i].role), status);
		assert_int_equal(status, 0);
	}
}

/* --- worker_space.h --- */

/* First of its namespace, with a /proc that has nobody else; what it started stays with it. 'y' or 'n' goes into the pipe. */
static void in_space(int say)
{
	struct dirent *e;
	unsigned others = 0;
	DIR *d;
	char yes = 'n';

	if (worker_space(&conf, ROLE_TARGET) == 0 && drop_to(&conf, ROLE_TARGET) == 0 && (d = opendir("/proc")) != NULL) {
		while ((e = readdir(d)) != NULL)
			others += e->d_name[0] >= '0' && e->d_name[0] <= '9' && strcmp(e->d_name, "1") != 0;
		if (getpid() == 1 && others == 0 && getuid() == 907)
			yes = 'y';
	}
	if (fork() == 0 && setsid() >= 0)
		for (;;)
			pause();
	if (write(say, &yes, 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void test_space(void **state)
{
	int fds[2], status;
	struct pollfd v;
	pid_t pid;
	char c = 0;

	(void)state;
	if (geteuid() != 0)
		skip();
	conf.user_task = (struct config_user){ NULL, 907, 957 };
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	if ((pid = fork()) == 0) {
		close(fds[0]);
		in_space(fds[1]);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &c, 1), 1);
	assert_int_equal(c, 'y');
	/* who waits outside is killed: nothing in there outlives it */
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	v = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	assert_int_equal(poll(&v, 1, 20000), 1);
	assert_int_equal(read(fds[0], &c, 1), 0);
	close(fds[0]);
}

/* As it ends in there, so it ends outside. */
static void test_space_ends(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	for (int how = 0; how < 2; how++) {
		if ((pid = fork()) == 0) {
			if (worker_space(&conf, ROLE_TARGET) != 0)
				_exit(99);
			if (how == 0)
				_exit(7);
			signal(SIGILL, SIG_DFL); /* the test program's own is something else */
			__builtin_trap();
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(how == 0 ? WIFEXITED(status) && WEXITSTATUS(status) == 7 : WIFSIGNALED(status) && WTERMSIG(status) == SIGILL);
	}
}

static void test_drop_refuses(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	if ((pid = fork()) == 0) {
		conf.user_keys = (struct config_user){ NULL, 0, 952 };
		if (drop_to(&conf, ROLE_PAM) != -1 || drop_to(&conf, ROLE_KEYS) != -1)
			_exit(1);
		conf.user_keys.uid = 902;
		conf.run_dir = (char *)(uintptr_t)"/nonexistent";
		_exit(drop_to(&conf, ROLE_KEYS) == -1 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int set_up(void **state)
{
	(void)state;
	log_init("test", true, LOG_LVL_ERROR);
	setenv("BASTIOND_SANDBOX", "kill", 1); /* also in a sanitizer's build */
	return mkdtemp(dir) != NULL && chmod(dir, 0755) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/db", dir);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/empty", dir);
	rmdir(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls), cmocka_unit_test(test_abort_stays_one), cmocka_unit_test(test_no_signal_for_a_neighbour),
		cmocka_unit_test(test_trap_names_the_call), cmocka_unit_test(test_no_sandbox_for_others), cmocka_unit_test(test_programs),
		cmocka_unit_test(test_drop), cmocka_unit_test(test_drop_refuses), cmocka_unit_test(test_space),
		cmocka_unit_test(test_space_ends),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
