/*
 * parent_pam.c - PAM sessions: open from a login to the end of its connection, without a process that waits in between.
 *
 * Role parent. The worker of a login (worker_pam.c) opens the session, tells what closes it through a pipe, and ends. Parent
 * keeps those bytes with the connection's slot and does not look into them. When the slot is free again, by whatever
 * end (hang-up, kill -9 of the session's process, a fall of the set), a fork closes the session. Sessions that end within
 * CLOSER_WAIT_MS of each other share one, since a fork is what a close costs. Neither policy nor a
 * session has a say: what they could forge, a process of root would act on.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "parent.h"
#include "worker.h"

#define CLOSER_MS 30000		/* for the modules to close one session */
#define FINISH_MS 10000		/* for all that are open when parent ends */
#define WAITING_MAX PARENT_SESSIONS_MAX

struct pam_session *pam_session_read(int fd)
{
	struct pam_session *last = NULL, *s;
	uint8_t packet[PAM_RECORD_MAX];
	ssize_t n;

	while ((n = read(fd, packet, sizeof(packet))) > 0) {
		free(last);
		last = NULL;
		if (n == PAM_RECORD_NONE)
			continue;
		if ((s = malloc(sizeof(*s) + (size_t)n)) == NULL) {
			log_error("no memory to keep a PAM session: it will not be closed");
			continue;
		}
		*s = (struct pam_session){ .len = (size_t)n };
		memcpy(s->record, packet, (size_t)n);
		last = s;
	}
	explicit_bzero(packet, sizeof(packet));
	return last;
}

static void forget(struct pam_session *s)
{
	explicit_bzero(s->record, s->len);
	free(s);
}

static struct pam_session *take_first(struct pam_sessions *list)
{
	struct pam_session *s = STAILQ_FIRST(list);

	STAILQ_REMOVE_HEAD(list, next);
	return s;
}

int pam_session_init(struct parent *p)
{
	struct closing *c = &p->closing;
	void *done = mmap(NULL, sizeof(c->seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	STAILQ_INIT(&c->queue);
	if (done == MAP_FAILED)
		return -1;
	c->done = done;
	return 0;
}

/* --- in a fork --- */

/* What a module needs is in the session's record and in a handle of its own. How far this came parent sees after a crash, too. */
static void close_batch(struct parent *p, int number, pid_t parent) __attribute__((noreturn));

static void close_batch(struct parent *p, int number, pid_t parent)
{
	volatile uint32_t *done = &p->closing.done[number];
	const struct pam_session *s = STAILQ_FIRST(&p->closing.closers[number].batch);

	worker_enter(p, ROLE_PAM, -1, -1, parent);
	for (; s != NULL; s = STAILQ_NEXT(s, next)) {
		worker_pam_close(p->conf, s->record, s->len);
		++*done;
	}
	_exit(0);
}

/* --- in parent --- */

static int free_closer(const struct closing *c)
{
	for (int i = 0; i < CLOSERS_MAX; i++)
		if (c->closers[i].pid == 0)
			return i;
	return -1;
}

static bool batch_due(const struct closing *c, uint64_t now_ms)
{
	return c->waiting >= CLOSER_BATCH || (c->waiting > 0 && (c->hurry || now_ms - STAILQ_FIRST(&c->queue)->over_ms >= CLOSER_WAIT_MS));
}

/* The first that wait, in one process. False: it cannot be made now. */
static bool start_closer(struct parent *p, int number, uint64_t now_ms)
{
	struct closing *c = &p->closing;
	struct closer *closer = &c->closers[number];
	pid_t self = getpid();

	STAILQ_INIT(&closer->batch);
	for (int i = 0; i < CLOSER_BATCH && c->waiting > 0; i++, c->waiting--) {
		struct pam_session *s = take_first(&c->queue);

		STAILQ_INSERT_TAIL(&closer->batch, s, next);
	}
	c->done[number] = c->seen[number] = 0;
	if ((closer->pid = fork()) == 0)
		close_batch(p, number, self);
	closer->since_ms = now_ms;
	c->running += closer->pid > 0;
	return closer->pid > 0;
}

/* What a closer left undone waits again, before the others. */
static void put_back(struct closing *c, struct closer *closer)
{
	for (struct pam_session *s = STAILQ_FIRST(&closer->batch); s != NULL; s = STAILQ_NEXT(s, next))
		c->waiting++;
	STAILQ_CONCAT(&closer->batch, &c->queue);
	STAILQ_CONCAT(&c->queue, &closer->batch);
}

static void start_closers(struct parent *p, uint64_t now_ms)
{
	struct closing *c = &p->closing;
	int number;

	while (batch_due(c, now_ms) && (number = free_closer(c)) >= 0) {
		if (start_closer(p, number, now_ms))
			continue;
		log_error("cannot close PAM sessions now: %s", strerror(errno));
		c->closers[number].pid = 0;
		put_back(c, &c->closers[number]);
		return; /* the next turn tries again */
	}
}

void pam_session_end(struct parent *p, struct pam_session *s)
{
	struct closing *c = &p->closing;

	if (s == NULL)
		return;
	if (c->waiting == WAITING_MAX) {
		log_error("too many PAM sessions wait to be closed: one is forgotten");
		forget(s);
		return;
	}
	s->over_ms = clock_mono_ms();
	STAILQ_INSERT_TAIL(&c->queue, s, next);
	c->waiting++;
}

/* Those that it closed are forgotten. */
static void count_done(struct closing *c, int number, uint64_t now_ms)
{
	struct closer *closer = &c->closers[number];
	uint32_t done = ((volatile uint32_t *)c->done)[number];

	for (; c->seen[number] < done && !STAILQ_EMPTY(&closer->batch); c->seen[number]++) {
		forget(take_first(&closer->batch));
		closer->since_ms = now_ms;
	}
}

bool pam_session_reaped(struct parent *p, pid_t pid, int status)
{
	struct closing *c = &p->closing;
	uint64_t now = clock_mono_ms();
	int i = 0;

	while (i < CLOSERS_MAX && c->closers[i].pid != pid)
		i++;
	if (i == CLOSERS_MAX)
		return false;
	count_done(c, i, now);
	c->closers[i].pid = 0;
	c->running--;
	/* a module broke at the first that is left: that one is not tried again, the others are */
	if (status != 0)
		log_warn("the closing of a PAM session ended with status %#x", (unsigned)status);
	if (!STAILQ_EMPTY(&c->closers[i].batch))
		forget(take_first(&c->closers[i].batch));
	put_back(c, &c->closers[i]);
	start_closers(p, now);
	return true;
}

void pam_session_tick(struct parent *p, uint64_t now_ms)
{
	struct closing *c = &p->closing;

	for (int i = 0; i < CLOSERS_MAX && c->running > 0; i++) {
		if (c->closers[i].pid == 0)
			continue;
		count_done(c, i, now_ms);
		if (now_ms - c->closers[i].since_ms > CLOSER_MS) {
			log_warn("a PAM module does not close its session: killed");
			kill(c->closers[i].pid, SIGKILL);
			c->closers[i].since_ms = now_ms;
		}
	}
	start_closers(p, now_ms);
}

static void reap_closers(struct parent *p)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		pam_session_reaped(p, pid, status);
}

void pam_session_finish(struct parent *p)
{
	struct closing *c = &p->closing;
	uint64_t end = clock_mono_ms() + FINISH_MS, now;
	struct pollfd v = { .fd = p->signals, .events = POLLIN };
	struct signalfd_siginfo si;

	c->hurry = true;
	for (;;) {
		reap_closers(p);
		start_closers(p, now = clock_mono_ms());
		if (c->running == 0 || now >= end)
			break;
		if (poll(&v, 1, (int)(end - now)) > 0)
			while (read(p->signals, &si, sizeof(si)) == sizeof(si))
				;
	}
	if (c->running + c->waiting > 0)
		log_warn("PAM sessions are left open: their modules are too slow");
	for (int i = 0; i < CLOSERS_MAX; i++) {
		if (c->closers[i].pid == 0)
			continue;
		kill(c->closers[i].pid, SIGKILL);
		put_back(c, &c->closers[i]);
	}
	while (!STAILQ_EMPTY(&c->queue))
		forget(take_first(&c->queue));
}
