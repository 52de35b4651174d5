/*
 * kill.c - a rig: collector, recorder and sessions, and cycles in each of which one of the first two is killed; see kill.h.
 *
 *   kill -k collector|recorder|pair [-n CYCLES] [-s SEED] DIR
 *
 * DIR has collectord.conf, bastiond.conf and the store, as tests/crash/kills makes them; needs root. collector: the recorder lives
 * on and resumes with the next collector; recorder: the collector lives on; pair: one of them is doomed and the other is killed at its
 * death. Both are the real ones, from main() and role_recorder() on, in a fork that saves the exec and the linking. Every fifth kill comes
 * by the clock, the others at a call drawn from all that a life makes. After each life that got so far, all that sessions
 * had been told before it is looked for in the files. Prints one line of JSON; exit status 1 if anything promised is missing, or on an ALARM.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "kill.h"
#include "log.h"
#include "roles.h"
#include "sandbox.h"

#define QUOTA 25		/* commits of a life that outlives its doom */
#define LEARNED 3		/* lives in whose course the calls are counted, before the first kill */
#define PATIENCE_MS 300000	/* for the next event of a life, also on a machine that is busy with other things */
#define CALLS_MAX 16384
#define FIXED 5			/* descriptors that are always watched */
#define CLOCK_US 20000

enum kind { COLLECTOR, RECORDER, PAIR };
static const char *const kinds[] = { "collector", "recorder", "pair" };

/* One of the two processes. */
struct part {
	const char *name;
	struct life life;
	int err;		/* what it says; -1: it does not run */
	uint32_t lives, calls;	/* so far; of the longest */
	uint32_t at[CALLS_MAX];	/* kills at this call of a life */
};

static struct rig {
	enum kind kind;
	char dir[200], conf_path[256], store[256];
	struct config *conf;
	struct part collector, recorder;
	struct ipc parent;	/* to the recorder */
	struct part *doomed;
	int log, children, clock; /* signalfd, timerfd */
	bool fresh, listening;	/* the collector: began in this life; takes connections */
	uint64_t seed, told;	/* commits before this life */
	struct feeds feeds;
} rig;

static struct {
	uint64_t cycles, by_clock, outlived, checked;
	uint32_t in[KILL_NUMBERS_MAX][BY_CLOCK];	/* in this system call */
} sum;

int collector_main(int argc, char **argv);

static void failed(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

static void failed(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "kill: %s, cycle %" PRIu64 ": ", kinds[rig.kind], sum.cycles);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (%s)\n", rig.dir);
	exit(1);
}

/* --- the two processes --- */

static int collector_body(void *ctx)
{
	char *argv[] = { "bastion-collectord", "-D", "-f", ctx, NULL };

	optind = 0;
	return collector_main(4, argv);
}

static int recorder_body(void *ctx)
{
	log_init("recorder", true, LOG_LVL_NOTICE);
	return role_recorder(ctx);
}

static void start(struct part *p, const struct doom *doom, int (*body)(void *), void *ctx, int link)
{
	int err[2];

	if (pipe2(err, O_CLOEXEC | O_NONBLOCK) != 0 || life_start(&p->life, doom, body, ctx, link, err[1]) != 0)
		failed("%s cannot be started: %s", p->name, strerror(errno));
	close(err[1]);
	p->err = err[0];
}

static void start_collector(const struct doom *doom)
{
	start(&rig.collector, doom, collector_body, rig.conf_path, -1);
	rig.fresh = true;
	rig.listening = false;
}

static void start_recorder(const struct doom *doom)
{
	int fds[2];

	if (ipc_pair(fds) != 0)
		failed("a link: %s", strerror(errno));
	start(&rig.recorder, doom, recorder_body, rig.conf, fds[1]);
	close(fds[1]);
	ipc_init(&rig.parent, fds[0], ROLE_PARENT, ROLE_RECORDER);
}

/* What it says goes into the log; some of it counts. */
static void hear(struct part *p)
{
	char text[4096];
	ssize_t n;

	while (p->err >= 0 && (n = read(p->err, text, sizeof(text) - 1)) > 0) {
		text[n] = '\0';
		if (write(rig.log, text, (size_t)n) != n)
			failed("the log: %s", strerror(errno));
		if (strstr(text, "ALARM") != NULL || strstr(text, "Sanitizer") != NULL)
			failed("%s says: %s", p->name, text);
		rig.listening |= p == &rig.collector && strstr(text, "listening on") != NULL;
	}
}

/* It is dead: of the kill, or it has failed. */
static void bury(struct part *p)
{
	int status = p->life.status;

	hear(p);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		failed("%s ended by itself, status %#x", p->name, (unsigned)status);
	close(p->err);
	p->err = -1;
	if (p != &rig.recorder)
		return;
	feeds_end(&rig.feeds);
	ipc_finish(&rig.parent);
}

/* --- events --- */

static void on_parent(void)
{
	struct ipc_msg m;

	while (ipc_recv(&rig.parent, &m) == 1) {
		/* if it fails the recorder is gone already */
		if (m.type == MSG_RECORDER_READY)
			feeds_start(&rig.feeds, &rig.parent);
		ipc_msg_finish(&m);
	}
	ipc_flush(&rig.parent);
}

static void turn_feed(struct feed *f)
{
	if (feeds_turn(&rig.feeds, f) != 0)
		failed("a session was told: %s", rig.feeds.why);
}

static void on_clock(void)
{
	uint64_t n;

	if (read(rig.clock, &n, sizeof(n)) > 0 && rig.doomed->err >= 0)
		life_end(&rig.doomed->life);
}

static void set_clock(const struct doom *d)
{
	const struct itimerspec when = { .it_value = { d->us / 1000000, d->us % 1000000 * 1000L } };

	if (timerfd_settime(rig.clock, 0, &when, NULL) != 0)
		failed("the clock: %s", strerror(errno));
}

/* Waits for something, and does it. */
static void turn(void)
{
	struct pollfd p[FIXED + FEEDS] = {
		{ .fd = rig.children, .events = POLLIN },
		{ .fd = rig.collector.err, .events = POLLIN },
		{ .fd = rig.recorder.err, .events = POLLIN },
		{ .fd = rig.parent.fd, .events = POLLIN | (ipc_wants_write(&rig.parent) ? POLLOUT : 0) },
		{ .fd = rig.clock, .events = POLLIN },
	};
	struct signalfd_siginfo child;
	int n;

	for (size_t i = 0; i < FEEDS; i++)
		p[FIXED + i] = (struct pollfd){ .fd = rig.feeds.feed[i].ipc.fd,
			.events = POLLIN | (ipc_wants_write(&rig.feeds.feed[i].ipc) ? POLLOUT : 0) };
	while ((n = poll(p, FIXED + FEEDS, PATIENCE_MS)) < 0 && errno == EINTR)
		;
	if (n <= 0)
		failed("nothing happens any more");
	if (p[0].revents != 0) {
		while (read(rig.children, &child, sizeof(child)) > 0)
			;
		lives_turn();
	}
	if (p[4].revents != 0)
		on_clock();
	hear(&rig.collector);
	hear(&rig.recorder);
	for (size_t i = 0; i < FEEDS; i++)
		if (p[FIXED + i].revents != 0)
			turn_feed(&rig.feeds.feed[i]);
	if (p[3].revents != 0)
		on_parent();
	/* a new session says the first word */
	for (size_t i = 0; i < FEEDS; i++)
		if (rig.feeds.feed[i].ipc.fd >= 0 && rig.feeds.feed[i].film == NULL)
			turn_feed(&rig.feeds.feed[i]);
}

/* --- a cycle --- */

static void check_all(void)
{
	for (size_t i = 0; i < FILMS_MAX; i++) {
		struct film *f = &rig.feeds.films[i];
		const char *wrong = f->used ? kill_check(rig.store, f) : NULL;

		if (wrong != NULL)
			failed("%s", wrong);
		sum.checked += f->used && f->promised_open;
		if (f->promised_all)
			f->used = false;
	}
}

static void promise_all(void)
{
	for (size_t i = 0; i < FILMS_MAX; i++) {
		struct film *f = &rig.feeds.films[i];

		f->promised = f->acked;
		f->promised_open = f->opened;
		f->promised_close = f->closed;
		f->promised_all = f->over;
	}
}

/* What the sessions knew before this life is in the files if a collector has replayed its journal, or has committed something more. */
static void judge(void)
{
	if (rig.fresh ? rig.listening : rig.feeds.commits > rig.told)
		check_all();
	promise_all();
}

static struct doom choose(struct part *p)
{
	uint64_t dice = kill_random(&rig.seed);
	struct doom d = { .moment = (enum moment)(dice % BY_CLOCK) };

	if (p->lives++ < LEARNED)
		d.call = UINT32_MAX;
	else if (dice / 8 % 5 == 0)
		d = (struct doom){ BY_CLOCK, 0, 1 + (uint32_t)(dice / 64 % CLOCK_US) };
	else
		d.call = (uint32_t)(dice / 64 % p->calls);
	return d;
}

static void count(struct part *p)
{
	const struct life *l = &p->life;

	if (l->calls > p->calls)
		p->calls = l->calls;
	if (l->doom.moment == BY_CLOCK) {
		sum.by_clock++;
	} else if (l->nr < 0) {
		sum.outlived++;
	} else {
		p->at[l->doom.call < CALLS_MAX ? l->doom.call : CALLS_MAX - 1]++;
		sum.in[l->nr < KILL_NUMBERS_MAX ? l->nr : KILL_NUMBERS_MAX - 1][l->doom.moment]++;
	}
}

/* Until the doomed part is dead. */
static void run_life(const struct doom *doom)
{
	static const struct doom none = { .moment = BY_CLOCK };
	struct part *victim = rig.doomed;
	bool told = false;

	rig.fresh = false;
	rig.told = rig.feeds.commits;
	set_clock(doom);
	if (rig.collector.err < 0)
		start_collector(victim == &rig.collector ? doom : &none);
	while (victim->err < 0 || !victim->life.over) {
		if (rig.recorder.err < 0 && rig.listening)
			start_recorder(victim == &rig.recorder ? doom : &none);
		turn();
		if (!told && rig.feeds.commits - rig.told >= QUOTA) {
			life_end(&victim->life);
			told = true;
		}
	}
	bury(victim);
}

static void cycle(void)
{
	bool pair = rig.kind == PAIR;
	struct part *victim = rig.kind == COLLECTOR || (pair && kill_random(&rig.seed) % 2 == 0) ? &rig.collector : &rig.recorder;
	struct part *other = victim == &rig.collector ? &rig.recorder : &rig.collector;
	struct doom doom = choose(victim);

	rig.doomed = victim;
	run_life(&doom);
	if (pair && other->err >= 0) {
		life_end(&other->life);
		while (!other->life.over)
			turn();
		bury(other);
	}
	judge();
	count(victim);
	sum.cycles++;
}

/* A last life that nobody ends: all is there, and both end well when they are told to. */
static void last_life(void)
{
	static const struct doom none = { .moment = BY_CLOCK };
	struct part *parts[] = { &rig.recorder, &rig.collector };

	rig.fresh = false;
	rig.told = rig.feeds.commits;
	if (rig.collector.err < 0)
		start_collector(&none);
	while (rig.feeds.commits == rig.told) {
		if (rig.recorder.err < 0 && rig.listening)
			start_recorder(&none);
		turn();
	}
	check_all();
	for (size_t i = 0; i < 2; i++) {
		life_stop(&parts[i]->life);
		while (!parts[i]->life.over)
			turn();
		hear(parts[i]);
		if (parts[i]->life.status != 0)
			failed("%s ended with status %#x after SIGTERM", parts[i]->name, (unsigned)parts[i]->life.status);
		if (parts[i] == &rig.recorder)
			feeds_end(&rig.feeds);
	}
}

/* --- around it --- */

static void report_at(const struct part *p)
{
	printf(",\"%s\":[", p->name);
	for (uint32_t i = 0; i < p->calls && i < CALLS_MAX; i++)
		printf("%s%u", i != 0 ? "," : "", p->at[i]);
	printf("]");
}

static void report(void)
{
	printf("{\"kind\":\"%s\",\"cycles\":%" PRIu64 ",\"by_clock\":%" PRIu64 ",\"outlived\":%" PRIu64 ",\"checked\":%" PRIu64 ",\"told\":%" PRIu64
	       ",\"frames\":%" PRIu64 ",\"recordings\":%" PRIu64 ",\"in\":{", kinds[rig.kind], sum.cycles, sum.by_clock,
	    sum.outlived, sum.checked, rig.feeds.commits, rig.feeds.frames, rig.feeds.recordings);
	kill_report(sum.in);
	printf("}");
	report_at(&rig.collector);
	report_at(&rig.recorder);
	printf("}\n");
}

static void complain(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "kill: %s\n", text);
}

static void prepare(const char *dir)
{
	sigset_t child;
	char path[300], key[300];

	snprintf(rig.dir, sizeof(rig.dir), "%s", dir);
	snprintf(rig.conf_path, sizeof(rig.conf_path), "%s/collectord.conf", rig.dir);
	snprintf(rig.store, sizeof(rig.store), "%s/store", rig.dir);
	snprintf(path, sizeof(path), "%s/bastiond.conf", rig.dir);
	if ((rig.conf = config_load(path, 0, complain, NULL)) == NULL)
		failed("%s", path);
	snprintf(path, sizeof(path), "%s/log", rig.dir);
	if ((rig.log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) < 0)
		failed("%s: %s", path, strerror(errno));
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &child, NULL) != 0 || (rig.children = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC)) < 0 ||
	    (rig.clock = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) < 0)
		failed("descriptors: %s", strerror(errno));
	rig.collector.name = "collector";
	rig.recorder.name = "recorder";
	rig.collector.err = rig.recorder.err = rig.parent.fd = -1;
	for (size_t i = 0; i < FEEDS; i++)
		rig.feeds.feed[i].ipc.fd = -1;
	snprintf(path, sizeof(path), "%s/recorder/client.crt", rig.conf->state_dir);
	snprintf(key, sizeof(key), "%s/recorder/client.key", rig.conf->state_dir);
	if (crypto_init() != 0 || kill_warm(path, key) != 0 || sandbox_prepare(ROLE_RECORDER) != 0)
		failed("OpenSSL or libseccomp fails");
}

static void usage(void)
{
	fprintf(stderr, "usage: kill -k collector|recorder|pair [-n cycles] [-s seed] DIR\n");
	exit(2);
}

int main(int argc, char **argv)
{
	uint64_t cycles = 100;
	int c, kind = -1;

	rig.seed = clock_mono_us();
	while ((c = getopt(argc, argv, "k:n:s:")) != -1)
		switch (c) {
		case 'k':
			for (kind = PAIR; kind >= 0 && strcmp(kinds[kind], optarg) != 0; kind--)
				;
			break;
		case 'n': cycles = strtoull(optarg, NULL, 10); break;
		case 's': rig.seed = strtoull(optarg, NULL, 10); break;
		default: usage();
		}
	if (kind < 0 || optind != argc - 1)
		usage();
	rig.kind = (enum kind)kind;
	rig.seed |= 1;
	rig.feeds.seed = rig.seed ^ 0x5555;
	signal(SIGPIPE, SIG_IGN);
	log_init("kill", true, LOG_LVL_WARN);
	prepare(argv[optind]);
	while (sum.cycles < cycles)
		cycle();
	last_life();
	report();
	return 0;
}
