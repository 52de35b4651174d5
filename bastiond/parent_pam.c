/*
 * parent_pam.c - PAM sessions: open from a login to the end of its connection, without a process that waits in between.
 *
 * Role parent. The worker of a login (worker_pam.c) opens the session, tells what closes it through a pipe, and ends. Parent
 * keeps those bytes with the connection's slot and does not look into them. When the slot is free again, by whatever
 * end (hang-up, kill -9 of the session's process, a fall of the set), a fork closes the session. Neither policy nor a
 * session has a say: what they could forge, a process of root would act on.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
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

static struct closer *free_closer(struct closing *c)
{
	for (int i = 0; i < CLOSERS_MAX; i++)
		if (c->closers[i].pid == 0)
			return &c->closers[i];
	return NULL;
}

/* Forks for those that wait, as many as may run. */
static void start_closers(struct parent *p)
{
	struct closing *c = &p->closing;
	struct closer *closer;
	pid_t self = getpid();

	while (c->first != NULL && (closer = free_closer(c)) != NULL) {
		struct pam_session *s = c->first;

		if ((closer->pid = fork()) == 0) {
			worker_enter(p, ROLE_PAM, -1, -1, self);
			worker_pam_close(p->conf, s->record, s->len);
		}
		if (closer->pid < 0) {
			closer->pid = 0;
			log_error("cannot close a PAM session now: %s", strerror(errno));
			return; /* the next end, or the tick, tries again */
		}
		closer->since_ms = clock_mono_ms();
		c->running++;
		c->waiting--;
		if ((c->first = s->next) == NULL)
			c->last = NULL;
		forget(s);
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
	s->next = NULL;
	if (c->last != NULL)
		c->last->next = s;
	else
		c->first = s;
	c->last = s;
	c->waiting++;
	start_closers(p);
}

bool pam_session_reaped(struct parent *p, pid_t pid, int status)
{
	for (int i = 0; i < CLOSERS_MAX; i++) {
		if (p->closing.closers[i].pid != pid)
			continue;
		if (status != 0)
			log_warn("the closing of a PAM session ended with status %#x", (unsigned)status);
		p->closing.closers[i].pid = 0;
		p->closing.running--;
		start_closers(p);
		return true;
	}
	return false;
}

void pam_session_tick(struct parent *p, uint64_t now_ms)
{
	for (int i = 0; i < CLOSERS_MAX; i++)
		if (p->closing.closers[i].pid != 0 && now_ms - p->closing.closers[i].since_ms > CLOSER_MS) {
			log_warn("a PAM module does not close its session: killed");
			kill(p->closing.closers[i].pid, SIGKILL);
		}
	start_closers(p);
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

	for (;;) {
		reap_closers(p);
		if (c->running == 0 || (now = clock_mono_ms()) >= end)
			break;
		if (poll(&v, 1, (int)(end - now)) > 0)
			while (read(p->signals, &si, sizeof(si)) == sizeof(si))
				;
	}
	if (c->running + c->waiting > 0)
		log_warn("%zu PAM sessions are left open: their modules are too slow", c->running + c->waiting);
	for (int i = 0; i < CLOSERS_MAX; i++)
		if (c->closers[i].pid != 0)
			kill(c->closers[i].pid, SIGKILL);
	while (c->first != NULL) {
		struct pam_session *s = c->first;

		c->first = s->next;
		forget(s);
	}
}
