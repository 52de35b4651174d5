/*
 * test_collector_sandbox.c - each process of the collector reaches its own files and no others, its forbidden calls kill it, and
 * what it does all day passes: threads, directories, sockets. Every case is a child that does one thing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector_sandbox.c"

#define FINE 0
#define DENIED 7 /* exit status: EACCES */
#define OTHER 8
#define KILLED (-1)

static char top[] = "/tmp/test_collector_sandbox-XXXXXX";
static char store[64], etc[64], keys[64], recorder_file[192], key_file[192], conf_file[192];
static struct coll_conf conf;

typedef int deed(void);

static int verdict(long r) { return r >= 0 ? FINE : errno == EACCES ? DENIED : OTHER; }

static int open_in(const char *dir, const char *name, int flags)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return verdict(open(path, flags | O_CLOEXEC, 0600));
}

static int do_read_conf(void) { return open_in(etc, "collectord.conf", O_RDONLY); }
static int do_write_conf(void) { return open_in(etc, "collectord.conf", O_WRONLY); }
static int do_read_key(void) { return open_in(keys, "key", O_RDONLY); }
static int do_write_key(void) { return open_in(keys, "key", O_WRONLY); }
static int do_read_system(void) { return open_in("/etc", "hostname", O_RDONLY); }
static int do_read_other(void) { return open_in(top, "other", O_RDONLY); }
static int do_write_recording(void) { return open_in(store, "recordings/new", O_RDWR | O_CREAT); }
static int do_write_journal(void) { return open_in(store, "journal/new", O_RDWR | O_CREAT); }
static int do_write_log(void) { return open_in(store, "log/new", O_RDWR | O_CREAT); }
static int do_write_store(void) { return open_in(store, "new", O_RDWR | O_CREAT); }
static int do_read_store_key(void) { return open_in(store, "receipt.key", O_RDONLY); }
static int do_list_store(void) { return open_in(store, ".", O_RDONLY | O_DIRECTORY); }
static int do_list_recordings(void) { return open_in(store, "recordings", O_RDONLY | O_DIRECTORY); }
static int do_write_tmp(void) { return open_in("/tmp", "test_collector_sandbox-file", O_WRONLY | O_CREAT); }
static int do_exec(void) { return verdict(execl("/bin/true", "true", (char *)NULL)); }
static int do_ptrace(void) { return verdict(ptrace(PTRACE_TRACEME, 0, 0, 0)); }
static int do_kill(void) { return verdict(kill(getppid(), 0)); }
static int do_mount(void) { return verdict(syscall(SYS_mount, "a", "/", "b", 0, "")); }
static int do_chroot(void) { return verdict(chroot("/")); }
static int do_unshare(void) { return verdict(unshare(CLONE_NEWUSER)); }
static int do_bpf(void) { return verdict(syscall(SYS_bpf, 0, NULL, 0)); }
static int do_uring(void) { return verdict(syscall(SYS_io_uring_setup, 1, NULL)); }
static int do_tcp(void) { return verdict(socket(AF_INET, SOCK_STREAM, 0)); }
static int do_setuid(void) { return verdict(setresuid(getuid(), getuid(), getuid())); }
static int do_fork(void) { pid_t p = fork(); if (p == 0) _exit(0); return p > 0 ? FINE : OTHER; }

static int do_clone3(void)
{
	uint64_t args[11] = { 0 };

	args[4] = SIGCHLD;
	return syscall(SYS_clone3, args, sizeof(args)) < 0 && errno == ENOSYS ? DENIED : FINE;
}

static void *nothing(void *arg) { return arg; }

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1	/* its threads read /proc, which no filter of ours needs to allow */
#else
#define SANITIZED 0
#endif

static int do_thread(void)
{
	pthread_t t;

	return pthread_create(&t, NULL, nothing, NULL) == 0 && pthread_join(t, NULL) == 0 ? FINE : OTHER;
}

/* What a store does besides reading and writing. */
static int do_store(void)
{
	char path[256];
	int dir, fd;

	snprintf(path, sizeof(path), "%s/recordings", store);
	if ((dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 || mkdirat(dir, "day", 0700) != 0 ||
	    (fd = openat(dir, "day/a", O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0 ||
	    pwrite(fd, "x", 1, 0) != 1 || posix_fallocate(fd, 0, 4096) != 0 || fdatasync(fd) != 0 || syncfs(dir) != 0 ||
	    renameat(dir, "day/a", dir, "day/b") != 0 || unlinkat(dir, "day/b", 0) != 0 || unlinkat(dir, "day", AT_REMOVEDIR) != 0)
		return errno == EACCES ? DENIED : OTHER;
	return FINE;
}

static int do_control_socket(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%.60s/journal/control", store);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) != 0)
		return errno == EACCES ? DENIED : OTHER;
	return listen(fd, 1) != 0 ? OTHER : verdict(unlink(un.sun_path));
}

static int do_exec_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return verdict(p == MAP_FAILED ? -1 : 0);
}

static const struct {
	const char *name;
	deed *what;
	int want[5];	/* as in enum coll_process */
} cases[] = {
	/*                                             collector keys    supervisor archiver peer */
	{ "the configuration", do_read_conf,         { FINE,   DENIED, FINE,   DENIED, DENIED } },
	{ "to write it", do_write_conf,              { DENIED, DENIED, DENIED, DENIED, DENIED } },
	{ "a key", do_read_key,                      { DENIED, FINE,   FINE,   DENIED, DENIED } },
	{ "to write it", do_write_key,               { DENIED, DENIED, DENIED, DENIED, DENIED } },
	{ "a key in the store", do_read_store_key,   { DENIED, DENIED, FINE,   DENIED, DENIED } },
	{ "a file of the system", do_read_system,    { DENIED, DENIED, FINE,   FINE, DENIED } },
	{ "another file", do_read_other,             { DENIED, DENIED, FINE,   DENIED, DENIED } },
	{ "recordings", do_write_recording,          { FINE,   DENIED, FINE,   FINE, DENIED } },
	{ "the log", do_write_log,                   { FINE,   DENIED, FINE,   FINE, DENIED } },
	{ "the journal", do_write_journal,           { FINE,   DENIED, FINE,   DENIED, DENIED } },
	{ "the store's top", do_write_store,         { DENIED, DENIED, FINE,   DENIED, DENIED } },
	{ "to list the store", do_list_store,        { FINE,   DENIED, FINE,   FINE, DENIED } },
	{ "to list recordings", do_list_recordings,  { FINE,   DENIED, FINE,   FINE, FINE } },
	{ "to write elsewhere", do_write_tmp,        { DENIED, DENIED, DENIED, DENIED, DENIED } },
	{ "the store's calls", do_store,             { FINE,   DENIED, FINE,   FINE, KILLED } },
	{ "a socket in the store", do_control_socket, { FINE,  DENIED, KILLED, DENIED, DENIED } },
	{ "a thread", do_thread,                     { FINE,   KILLED, FINE,   FINE, KILLED } },
	{ "clone3", do_clone3,                       { DENIED, KILLED, FINE,   DENIED, KILLED } },
	{ "fork", do_fork,                           { KILLED, KILLED, FINE,   KILLED, KILLED } },
	{ "tcp", do_tcp,                             { DENIED, DENIED, FINE,   FINE, DENIED } },
	{ "ids", do_setuid,                          { KILLED, KILLED, FINE,   KILLED, KILLED } },
	{ "kill", do_kill,                           { KILLED, KILLED, FINE,   KILLED, KILLED } },
	{ "exec", do_exec,                           { KILLED, KILLED, KILLED, KILLED, KILLED } },
	{ "ptrace", do_ptrace,                       { KILLED, KILLED, KILLED, KILLED, KILLED } },
	{ "mount", do_mount,                         { KILLED, KILLED, KILLED, KILLED, KILLED } },
	{ "chroot", do_chroot,                       { KILLED, KILLED, KILLED, KILLED, KILLED } },
	{ "unshare", do_unshare,                     { KILLED, KILLED, KILLED, KILLED, KILLED } },
	{ "bpf", do_bpf,                             { KILLED, KILLED, KILLED, KILLED, KILLED } },
	{ "io_uring", do_uring,                      { KILLED, KILLED, KILLED, KILLED, KILLED } },
	{ "executable memory", do_exec_memory,       { KILLED, KILLED, FINE,   FINE, KILLED } },
};

static int in_sandbox(enum coll_process process, deed *what)
{
	char path[256];
	int status;
	pid_t pid;

	/* what one that was killed left */
	snprintf(path, sizeof(path), "%s/journal/control", store);
	unlink(path);
	if ((pid = fork()) == 0) {
		if (coll_sandbox_enter(&conf, process, conf_file) != 0)
			_exit(99);
		_exit(what());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_cases(void **state)
{
	unsigned bad = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (unsigned p = 0; p < 5; p++) {
			if (SANITIZED && cases[i].what == do_thread)
				continue;
			const int want = cases[i].want[p], status = in_sandbox(p, cases[i].what);
			const bool as_wanted = want == KILLED ? WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS :
			    WIFEXITED(status) && WEXITSTATUS(status) == want;

			if (!as_wanted)
				print_error("%s for the %s: wait status %#x, wanted %d\n", cases[i].name, processes[p].name, status, want);
			bad += !as_wanted;
		}
	assert_int_equal(bad, 0);
}

/* The archiver is a child of its supervisor: what either lacks is lacking, and what it needs is there. */
static int do_become_archiver(void)
{
	if (coll_sandbox_enter(&conf, COLL_ARCHIVER, NULL) != 0)
		return 99;
	if (do_store() != FINE || do_thread() != FINE || do_tcp() != FINE || do_read_system() != FINE)
		return 98;
	return do_read_key() == DENIED && do_write_journal() == DENIED ? FINE : 97;
}

static void test_archiver_below_its_supervisor(void **state)
{
	int status = in_sandbox(COLL_SUPERVISOR, do_become_archiver);

	(void)state;
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == FINE);
}

/* A store from before it had a log gets one, since who is inside could not make it. */
static void test_makes_what_is_missing(void **state)
{
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/log/new", store);
	unlink(path);
	snprintf(path, sizeof(path), "%s/log", store);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(in_sandbox(COLL_COLLECTOR, do_write_log), FINE);
}

static void touch(char *path, size_t size, const char *in, const char *name)
{
	int fd;

	snprintf(path, size, "%s/%s", in, name);
	assert_true((fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) >= 0);
	close(fd);
}

static int set_up(void **state)
{
	static const char *const dirs[] = { "recordings", "log", "journal" };
	char path[256];

	(void)state;
	log_init("test", true, LOG_LVL_ERROR);
	setenv("BASTIOND_SANDBOX", "kill", 1); /* also in a sanitizer's build */
	if (mkdtemp(top) == NULL)
		return -1;
	snprintf(store, sizeof(store), "%s/store", top);
	snprintf(etc, sizeof(etc), "%s/etc", top);
	snprintf(keys, sizeof(keys), "%s/keys", top);
	if (mkdir(store, 0700) != 0 || mkdir(etc, 0700) != 0 || mkdir(keys, 0700) != 0)
		return -1;
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", store, dirs[i]);
		if (mkdir(path, 0700) != 0)
			return -1;
	}
	touch(path, sizeof(path), top, "other");
	touch(path, sizeof(path), store, "receipt.key");
	touch(conf_file, sizeof(conf_file), etc, "collectord.conf");
	touch(recorder_file, sizeof(recorder_file), etc, "bastion.crt");
	touch(key_file, sizeof(key_file), keys, "key");
	conf.store = store;
	conf.certificate = conf.key = conf.receipt_key = key_file;
	conf.nclients = 1;
	conf.clients[0].certificate = recorder_file;
	return 0;
}

static int tear_down(void **state)
{
	char line[256];

	(void)state;
	snprintf(line, sizeof(line), "rm -rf %s", top);
	return system(line);
}

/* A path that has no room is no place, and nothing is made at the one before it. */
static void test_a_path_too_long(void **state)
{
	static struct places p;
	static char path[PATH_BYTES];
	struct stat st;

	(void)state;
	memset(path, '/', sizeof(path) - 1);
	snprintf(path + sizeof(path) - 5, 5, "/%03u", 7U);
	assert_null(add(&p, CONFINE_WRITE, path, "/recordings"));
	assert_int_equal(p.n, 0);
	snprintf(path, sizeof(path), "%s/none", top);
	memset(path + strlen(path), '/', sizeof(path) - 1 - strlen(path));
	path[sizeof(path) - 1] = '\0';
	add_store(&p, path, true);
	assert_int_equal(p.n, 1); /* of itself */
	snprintf(path, sizeof(path), "%s/none", top);
	assert_int_equal(stat(path, &st), -1);
	for (p.n = 0; p.n < PLACES_MAX;)
		assert_non_null(add(&p, CONFINE_READ, "/", ""));
	assert_null(add(&p, CONFINE_READ, "/", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases), cmocka_unit_test(test_archiver_below_its_supervisor), cmocka_unit_test(test_makes_what_is_missing),
		cmocka_unit_test(test_a_path_too_long),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
