/*
 * collector_archiver.c - see collector_archiver.h: the supervisor, the archiver's start and its loop. Comes after collector_archive.c,
 * which starts it and gives it hints.
 */
#include "collector_archiver.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "collector_sandbox.h"
#include "log.h"

#define RESTART_FIRST_MS 100
#define RESTART_MAX_MS 5000
#define TURN_MS 1000

/* ---- the collector ---- */

/* "T1764338400". What looked dead by no clock before may do so now. */
static void take_time(struct archiver *a, const char *text)
{
	char *end;
	const int64_t heard = strtoll(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != '\0' || heard == INT64_MAX)
		return;
	if (a->heard == 0)
		a->look_at = 0;
	a->heard = heard;
}

void archiver_hear(struct archiver *a)
{
	char packet[ARCHIVE_PACKET_MAX];
	ssize_t n;

	while ((n = recv(ARCHIVE_LINK_FD, packet, sizeof(packet) - 1, MSG_DONTWAIT)) > 0) {
		packet[n] = '\0';
		if (packet[0] == 'R')
			archiver_rec_look(a, packet + 1);
		else if (packet[0] == 'L')
			a->log.changed = true;
		else if (packet[0] == 'A')
			a->look_at = 0;
		else if (packet[0] == 'T')
			take_time(a, packet + 1);
		else if (packet[0] == 'H')
			a->stop = true;
	}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		a->stop = true;
}

void archiver_tell(struct archiver *a)
{
	const uint64_t max = a->conf->archive.spool_max, now = clock_mono_ms();
	const enum archive_spool before = a->spool_state;
	bool full;
	struct buf b;

	a->spool_state = archive_spool_state(before, a->spool, max);
	full = a->spool_state == ARCHIVE_SPOOL_FULL;
	if (before == ARCHIVE_SPOOL_LOW && a->spool_state == ARCHIVE_SPOOL_HALF)
		log_warn("%" PRIu64 " MiB are not in the object store yet: half of spool_max, at which no new recordings will be taken", a->spool >> 20);
	if (full == a->told_full && a->told_ms != 0 && now - a->told_ms < ARCHIVER_STATUS_MS)
		return;
	buf_init(&b, 16);
	buf_put_u8(&b, 'S');
	buf_put_u8(&b, full);
	buf_put_u64(&b, a->spool);
	if (buf_ok(&b) && send(ARCHIVE_LINK_FD, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
		a->told_full = full;
		a->told_ms = now;
	}
	buf_finish(&b);
}

/* ---- the loop ---- */

/* Until the pause is over; what is due by the clock is looked for every second. */
static int turn_ms(const struct archiver *a)
{
	const uint64_t now = clock_mono_ms();

	return a->pause_until_ms > now && a->pause_until_ms - now < TURN_MS ? (int)(a->pause_until_ms - now) + 1 : TURN_MS;
}

static void loop(struct archiver *a)
{
	while (!a->stop) {
		int64_t now = (int64_t)(clock_mono_ms() / 1000);

		archiver_hear(a);
		if (now >= a->look_at || (a->overflow && a->nwork == 0)) {
			a->look_at = now + ARCHIVER_LOOK_SECONDS;
			a->log.changed = true;
			archiver_rec_look_all(a);
			log_info("object store: %" PRIu64 " objects confirmed since the start; %zu recordings with %" PRIu64 " KiB wait", a->confirmed, a->nwork,
			    a->spool >> 10);
		}
		archiver_canary_turn(a, now);
		archiver_log_fill(a, now);
		/* the first of the log tells whether this is the place for the rest */
		if (archiver_log_there(a))
			archiver_rec_fill(a);
		archiver_tell(a);
		s3_turn(a->s3, ARCHIVE_LINK_FD, turn_ms(a));
	}
}

/* ---- the start ---- */

static int open_store(struct archiver *a)
{
	int top = open(a->conf->store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (top < 0 || (a->recordings = openat(top, "recordings", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    (a->log_dir = openat(top, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		log_error("store %s: %s. Make it with: bastion-collectord -I", a->conf->store, strerror(errno));
		return -1;
	}
	close(top);
	/* one at a time writes the lists: one whose collector was killed may still be here for a moment */
	while (flock(a->log_dir, LOCK_EX) != 0)
		if (errno != EINTR)
			return -1;
	return 0;
}

/* As root it reads the credentials, then never again. */
void archiver_run(const struct coll_conf *c, void (*drop)(const struct coll_conf *), pid_t supervisor)
{
	struct archiver *a = calloc(1, sizeof(*a));
	struct s3_target t = { c->archive.endpoint, c->archive.bucket, c->archive.region, NULL, NULL, 0 };
	char why[512], *ca;

	log_rename("archiver");
	if (a == NULL)
		fatal("out of memory");
	a->conf = c;
	TAILQ_INIT(&a->queue);
	for (unsigned i = 0; i < ARCHIVER_ACTIVE; i++)
		a->active[i].fd = -1;
	if (coll_archive_secrets(&c->archive, &a->credentials, &ca, &t.ca_len, why, sizeof(why)) != 0)
		fatal("archive: %s", why);
	drop(c);
	/* a change of ids takes this back, so it comes after it; and the supervisor may be gone already */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_NAME, "coll-archive") != 0 || getppid() != supervisor)
		_exit(0);
	t.credentials = &a->credentials;
	t.ca = ca;
	if (coll_sandbox_enter(c, COLL_ARCHIVER, NULL) != 0 || open_store(a) != 0)
		exit(1);
	if ((a->s3 = s3_create(&t)) == NULL)
		fatal("out of memory");
	archiver_tell(a);
	loop(a);
	log_info("ended: %" PRIu64 " objects confirmed", a->confirmed);
	s3_destroy(a->s3);
	explicit_bzero(&a->credentials, sizeof(a->credentials));
	exit(0);
}

/* Waits until the collector is gone or so much time is over. True: it is gone. */
static bool gone(int ms)
{
	struct pollfd p = { .fd = ARCHIVE_LINK_FD };

	while (poll(&p, 1, ms) < 0 && errno == EINTR)
		;
	return (p.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

int archiver_supervise(const struct coll_conf *c, void (*drop)(const struct coll_conf *))
{
	int pause = RESTART_FIRST_MS, status;

	log_rename("archiver");
	/* the operator's signals are for the collector; its end is the end of the link */
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		fatal("prctl: %s", strerror(errno));
	if (coll_sandbox_enter(c, COLL_SUPERVISOR, NULL) != 0)
		return 1;
	while (!gone(0)) {
		const uint64_t begun = clock_mono_ms();
		const pid_t self = getpid(), pid = fork();

		if (pid == 0)
			archiver_run(c, drop, self);
		status = -1;
		while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
			pause = RESTART_FIRST_MS;
			continue;
		}
		/* one that ran for longer than was waited for it did something */
		if (clock_mono_ms() - begun > (uint64_t)pause)
			pause = RESTART_FIRST_MS;
		log_error("the archiver ended (%s %d%s); it is started again in %d ms", pid < 0 ? "fork" : WIFSIGNALED(status) ? "signal" : "status",
		    pid < 0 ? errno : WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
		    WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? ": a system call outside its sandbox" : "", pause);
		if (gone(pause))
			break;
		pause = pause < RESTART_MAX_MS / 2 ? 2 * pause : RESTART_MAX_MS;
	}
	return 0;
}
