/*
 * typing.c - sessions of a real bastion, killed at their system calls while someone types through them; see typing.h.
 *
 *   typing -m MASTER | -v VICTIM -b PORT -t PORT -u USER -k KEY -h HOSTKEY -d STORE -i IDENTITY [-f FIRST] [-n SESSIONS] [-j AT A TIME] [-c CALLS]
 *       [-w] [-s SEED]
 *
 * MASTER is the pid of the role that forks sessions: this program traces it, and so gets every session at its first instruction. All else of
 * the bastion is untouched: policy, keys, recorder, collector, dial workers. VICTIM instead is a process that all sessions need, the recorder or
 * the collector: it is killed at one of its next CALLS calls, and "killed" printed. In the end prints one line of JSON; exit status 1 if an end
 * received what is not recorded, or with -w, if anything that was typed into a session that got as far as the target did not come back.
 */
#include <errno.h>
#include <inttypes.h>
#include <libssh/libssh.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "kill.h"
#include "typing.h"

#define LEARNED 4		/* sessions whose calls are counted before the first kill */
#define TRACED_MAX 256
#define CALLS_MAX 16384
#define CLOCK_US 300000
#define WAIT_MS 60000

/* A session process. */
struct traced {
	pid_t pid;		/* 0: the place is free */
	struct doom doom;
	uint32_t calls;
	int nr;			/* at which it was killed; -1 */
	bool awaited;		/* the end of the call is the end */
	uint64_t due_us;	/* BY_CLOCK */
};

static struct typing opt = { 0 };
static const char *store, *identity;
static struct slot *slots;
static struct traced traced[TRACED_MAX];
static pid_t master, target, victim;
static bool knows, whole;	/* how many calls a life has; that nothing may be missing */
static uint64_t seed;
static unsigned sessions, clients, through, running;
static struct {
	uint64_t killed, by_clock, outlived;
	uint32_t calls, at[CALLS_MAX], in[KILL_NUMBERS_MAX][BY_CLOCK];
} sum;

static void die(const char *what)
{
	fprintf(stderr, "typing: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* --- sessions --- */

static struct traced *find(pid_t pid)
{
	for (size_t i = 0; i < TRACED_MAX; i++)
		if (traced[i].pid == pid)
			return &traced[i];
	return NULL;
}

static struct traced *begin(pid_t pid)
{
	struct traced *t = find(0);
	uint64_t dice = kill_random(&seed);

	if (t == NULL)
		die("too many sessions at a time");
	*t = (struct traced){ .pid = pid, .nr = -1, .doom = { .moment = (enum moment)(dice % BY_CLOCK) } };
	if (sum.calls == 0 || (sessions++ < LEARNED && !knows))
		t->doom.call = UINT32_MAX;
	else if (dice / 8 % 5 == 0)
		t->doom = (struct doom){ BY_CLOCK, 0, 1 + (uint32_t)(dice / 64 % CLOCK_US) };
	else
		t->doom.call = (uint32_t)(dice / 64 % sum.calls);
	t->due_us = t->doom.moment == BY_CLOCK ? clock_mono_us() + t->doom.us : 0;
	return t;
}

static void on_call(struct traced *t)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->pid, sizeof(info), &info) <= 0)
		return;
	if (info.op == PTRACE_SYSCALL_INFO_EXIT && t->awaited)
		kill(t->pid, SIGKILL);
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY || !kill_counted(info.entry.nr) || t->calls++ != t->doom.call)
		return;
	t->nr = (int)info.entry.nr;
	t->awaited = t->doom.moment != BEFORE;
	if (!t->awaited)
		kill(t->pid, SIGKILL);
	else if (t->doom.moment == WITHIN)
		kill_shorten(t->pid, info.entry.nr, info.entry.args[2]);
}

static void on_stop(pid_t pid, int status)
{
	struct traced *t = pid == master ? NULL : find(pid);
	int sig = WSTOPSIG(status), event = status >> 16;

	if (pid != master && t == NULL)
		t = begin(pid);
	if (t != NULL && sig == (SIGTRAP | 0x80))
		on_call(t);
	if (event != 0 || sig == (SIGTRAP | 0x80))
		sig = 0;
	ptrace(t != NULL && t->doom.moment != BY_CLOCK ? PTRACE_SYSCALL : PTRACE_CONT, pid, 0, sig);
}

static void count(struct traced *t)
{
	if (t->calls > sum.calls)
		sum.calls = t->calls;
	if (t->nr >= 0) {
		sum.killed++;
		sum.at[t->doom.call < CALLS_MAX ? t->doom.call : CALLS_MAX - 1]++;
		sum.in[t->nr < KILL_NUMBERS_MAX ? t->nr : KILL_NUMBERS_MAX - 1][t->doom.moment]++;
	} else if (t->doom.moment == BY_CLOCK && t->due_us == 0) {
		sum.by_clock++;
		sum.killed++;
	} else {
		sum.outlived++;
	}
	if (t->pid == victim) {
		printf("killed\n");
		fflush(stdout);
	}
	t->pid = 0;
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
		struct traced *t = find(pid);

		if (WIFSTOPPED(status)) {
			on_stop(pid, status);
		} else if (t != NULL) {
			count(t);
		} else if (pid == master || pid == target) {
			fprintf(stderr, "typing: %s has ended: a session's death must not end it\n", pid == master ? "master" : "the target");
			exit(1);
		} else {
			running--;
			through += WIFEXITED(status) && WEXITSTATUS(status) == 0;
		}
	}
}

/* Those whose time has come die. The ms until the next one's. */
static int by_clock(void)
{
	uint64_t now = clock_mono_us(), next = now + WAIT_MS * 1000ULL;

	for (size_t i = 0; i < TRACED_MAX; i++) {
		struct traced *t = &traced[i];

		if (t->pid == 0 || t->due_us == 0)
			continue;
		if (t->due_us <= now) {
			t->due_us = 0;
			kill(t->pid, SIGKILL);
		} else if (t->due_us < next) {
			next = t->due_us;
		}
	}
	return (int)((next - now) / 1000 + 1);
}

/* --- around them --- */

static void start_client(void)
{
	pid_t pid = fork();
	sigset_t none;

	if (pid < 0)
		die("fork");
	if (pid > 0) {
		clients++;
		running++;
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	_exit(typing_client(&opt, slots, opt.first + clients) != 0);
}

static bool any_session(void)
{
	for (size_t i = 0; i < TRACED_MAX; i++)
		if (traced[i].pid != 0)
			return true;
	return false;
}

static int watch(void)
{
	if (victim == 0)
		return ptrace(PTRACE_SEIZE, master, 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD) == 0 ? 0 : -1;
	begin(victim);
	return ptrace(PTRACE_SEIZE, victim, 0, PTRACE_O_TRACESYSGOOD) == 0 && ptrace(PTRACE_INTERRUPT, victim, 0, 0) == 0 ? 0 : -1;
}

/* It goes on alone. */
static void leave(pid_t pid)
{
	if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0 && waitpid(pid, NULL, __WALL) == pid)
		ptrace(PTRACE_DETACH, pid, 0, 0);
}

static void run(unsigned cycles, unsigned at_a_time)
{
	struct pollfd p = { .events = POLLIN };
	struct signalfd_siginfo si;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &child, NULL) != 0 || (p.fd = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC)) < 0 ||
	    watch() != 0)
		die("it cannot be traced");
	while (clients < cycles || running != 0 || (victim == 0 && any_session())) {
		int n;

		while (clients < cycles && running < at_a_time)
			start_client();
		if ((n = poll(&p, 1, by_clock())) < 0 && errno != EINTR)
			die("poll");
		while (read(p.fd, &si, sizeof(si)) > 0)
			;
		reap();
	}
	if (victim == 0 || find(victim) != NULL)
		leave(victim == 0 ? master : victim);
}

static void report(const struct tally *t)
{
	printf("{\"kind\":\"session\",\"cycles\":%u,\"killed\":%" PRIu64 ",\"by_clock\":%" PRIu64 ",\"outlived\":%" PRIu64 ",\"through\":%u,\"recordings\":%" PRIu64
	       ",\"target_bytes\":%" PRIu64 ",\"client_bytes\":%" PRIu64 ",\"in\":{", clients, sum.killed, sum.by_clock, sum.outlived, through,
	    t->recordings, t->in, t->out);
	kill_report(sum.in);
	printf("},\"session\":[");
	for (uint32_t i = 0; i < sum.calls && i < CALLS_MAX; i++)
		printf("%s%u", i != 0 ? "," : "", sum.at[i]);
	printf("]}\n");
}

static void usage(void)
{
	fprintf(stderr, "usage: typing -m master | -v victim -b port -t port -u user -k key -h hostkey -d store -i identity [-f first] [-n sessions] [-j at a time] [-c calls] [-w] [-s seed]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	unsigned cycles = 20, at_a_time = 4;
	const char *wrong;
	struct batch batch;
	struct tally t;
	int c, fd;

	seed = clock_mono_us();
	while ((c = getopt(argc, argv, "m:v:b:t:u:k:h:d:i:f:n:j:c:ws:")) != -1)
		switch (c) {
		case 'm': master = atoi(optarg); break;
		case 'v': victim = atoi(optarg); break;
		case 'b': opt.bastion_port = (uint16_t)atoi(optarg); break;
		case 't': opt.target_port = (uint16_t)atoi(optarg); break;
		case 'u': opt.user = optarg; break;
		case 'k': opt.key = optarg; break;
		case 'h': opt.host_key = optarg; break;
		case 'd': store = optarg; break;
		case 'i': identity = optarg; break;
		case 'f': opt.first = (unsigned)atoi(optarg); break;
		case 'n': cycles = (unsigned)atoi(optarg); break;
		case 'j': at_a_time = (unsigned)atoi(optarg); break;
		case 'c': sum.calls = (uint32_t)atoi(optarg); break;
		case 'w': whole = true; break;
		case 's': seed = strtoull(optarg, NULL, 10); break;
		default: usage();
		}
	if ((master <= 1) == (victim <= 1) || identity == NULL || store == NULL || cycles > SLOTS || at_a_time == 0 || at_a_time > TRACED_MAX / 2)
		usage();
	batch = (struct batch){ opt.first, cycles, time(NULL) };
	knows = sum.calls != 0;
	seed |= 1;
	signal(SIGPIPE, SIG_IGN);
	slots = mmap(NULL, SLOTS * sizeof(*slots), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (slots == MAP_FAILED || ssh_init() != SSH_OK)
		die("start");
	fd = typing_listen(opt.target_port);
	if ((target = fork()) == 0)
		typing_target(&opt, slots, fd);
	close(fd);
	run(cycles, at_a_time);
	if ((wrong = typing_check(store, identity, slots, &batch, &t)) != NULL) {
		fprintf(stderr, "typing: %s (seed %" PRIu64 ")\n", wrong, seed);
		return 1;
	}
	for (unsigned i = 0; whole && i < cycles; i++)
		/* who came while there was no collector was refused */
		if (slots[i].got != 0 && (slots[i].echoed != slots[i].typed || slots[i].got != slots[i].typed)) {
			fprintf(stderr, "typing: session %u: typed %u, at the target %u, came back %u\n", opt.first + i, slots[i].typed, slots[i].got,
			    slots[i].echoed);
			return 1;
		}
	report(&t);
	return 0;
}
