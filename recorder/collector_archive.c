/*
 * collector_archive.c - see collector_archive.h. Comes after collector_store.c, which says what became complete.
 */
#include "collector_archive.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "collector_child.h"
#include "log.h"

#define LINK_BYTES (4 << 20)	/* of hints that wait */

static void become(int fd, const char *conf_file, bool foreground, bool debug) __attribute__((noreturn));

/* The same program, as the archiver: nothing of this process goes with it but the link. */
static void become(int fd, const char *conf_file, bool foreground, bool debug)
{
	const char *argv[8] = { "bastion-collectord", "-R", "archive", "-f", conf_file };
	sigset_t none;
	int n = 5;

	if (foreground)
		argv[n++] = "-D";
	if (debug)
		argv[n++] = "-d";
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if ((fd != ARCHIVE_LINK_FD ? dup2(fd, ARCHIVE_LINK_FD) : dup2(dup(fd), ARCHIVE_LINK_FD)) == ARCHIVE_LINK_FD &&
	    close_range(ARCHIVE_LINK_FD + 1, ~0U, 0) == 0)
		execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
	_exit(127);
}

int archive_link_start(struct archive_link *k, const struct coll_conf *c, const char *conf_file, bool foreground, bool debug)
{
	const int bytes = LINK_BYTES;
	pid_t pid;
	int fd;

	*k = (struct archive_link){ .fd = -1, .heard_ms = clock_mono_ms(), .spool_max = c->archive.spool_max };
	if (!c->archive.on)
		return 0;
	if ((pid = coll_child(SOCK_NONBLOCK, &fd)) < 0)
		return -1;
	if (pid == 0)
		become(fd, conf_file, foreground, debug);
	/* as large as the system lets it be; what does not fit is said by one packet, later */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	k->fd = fd;
	return 0;
}

static void say(struct archive_link *k, const char *packet)
{
	if (k->fd >= 0 && send(k->fd, packet, strlen(packet), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		k->lost = true;
}

void archive_link_hint(struct archive_link *k, const char *dir)
{
	char packet[ARCHIVE_PACKET_MAX];

	if (k->fd < 0)
		return;
	snprintf(packet, sizeof(packet), "%s%s", dir != NULL ? "R" : "L", dir != NULL ? dir : "");
	say(k, packet);
}

void archive_link_reload(struct archive_link *k)
{
	say(k, "H");
}

/* What time it is by the bastions: to an archiver that spoke, which may be a new one. */
static void say_time(struct archive_link *k, int64_t heard_us)
{
	char packet[ARCHIVE_PACKET_MAX];

	snprintf(packet, sizeof(packet), "T%" PRId64, heard_us / 1000000);
	if (heard_us > 0)
		say(k, packet);
}

static void take_status(struct archive_link *k, int64_t heard_us, bool *full)
{
	uint8_t packet[ARCHIVE_PACKET_MAX];
	ssize_t n;

	while ((n = recv(k->fd, packet, sizeof(packet), MSG_DONTWAIT)) > 0) {
		struct buf b;
		uint8_t kind, is_full;
		uint64_t bytes;

		buf_view(&b, packet, (size_t)n);
		kind = buf_get_u8(&b);
		is_full = buf_get_u8(&b);
		bytes = buf_get_u64(&b);
		if (!buf_end(&b) || kind != 'S')
			continue;
		k->heard_ms = clock_mono_ms();
		say_time(k, heard_us);
		*full = is_full != 0;
		if (*full && !k->told_full)
			log_error("ALARM: the object store has not confirmed %lu MiB, and spool_max is %lu MiB: no new recordings are taken. "
			    "Those that run go on", (unsigned long)(bytes >> 20), (unsigned long)(k->spool_max >> 20));
		else if (!*full && k->told_full)
			log_notice("the object store has confirmed enough: new recordings are taken");
		k->told_full = *full;
	}
}

void archive_link_tick(struct archive_link *k, int64_t heard_us, bool *full)
{
	bool silent;

	if (k->fd < 0)
		return;
	take_status(k, heard_us, full);
	silent = clock_mono_ms() - k->heard_ms > ARCHIVE_SILENT_MS;
	if (silent && !k->silent)
		log_error("ALARM: the archiver says nothing: how much the object store lacks is not known, and no new recordings are taken");
	k->silent = silent;
	if (silent)
		*full = true;
	if (k->lost) {
		k->lost = false;
		say(k, "A");
	}
}
