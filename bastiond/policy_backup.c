/*
 * policy_backup.c - see policy_backup.h. Role policy.
 */
#include "policy_backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "policy_client.h"
#include "store_backup.h"

enum { SAY_FAILED, SAY_DONE, SAY_GOES_ON };

struct backup {
	struct policy *p;
	struct client *client;
	uint32_t id;			/* of the request */
	int to, from;			/* the client's file; the finished copy, -1 before */
	struct store_backup *copy;	/* NULL once finished */
	char path[4200];
	struct event *turn;
	uint64_t said_ms;
	off_t done;
};

/* u8 what; str line */
static void say(struct backup *b, uint8_t what, const char *line)
{
	struct buf body;

	buf_init(&body, LINE_LEN);
	buf_put_u8(&body, what);
	buf_put_string(&body, line, strlen(line));
	link_send(&b->client->link, MSG_CTL_BACKUP_RE, b->id, &body, NULL, 0);
	buf_finish(&body);
	b->said_ms = clock_mono_ms();
	b->client->seen_ms = b->said_ms;
}

static void end(struct backup *b)
{
	b->p->backup = NULL;
	if (b->copy != NULL)
		store_backup_end(b->copy, false);
	unlink(b->path);
	if (b->turn != NULL)
		event_free(b->turn);
	if (b->from >= 0)
		close(b->from);
	close(b->to);
	free(b);
}

static void give_up(struct backup *b, const char *why)
{
	log_error("backup: %s", why);
	say(b, SAY_FAILED, why);
	end(b);
}

/*
 * One more piece into the client's file: 1 there is more, 0 that was all, -1. Not by write_all(): that waits until a file takes more, and
 * policy waits for nobody.
 */
static int pass_on(struct backup *b)
{
	char *piece = malloc(BACKUP_CHUNK);
	ssize_t n = piece != NULL ? pread(b->from, piece, BACKUP_CHUNK, b->done) : -1;
	int r = n > 0 ? 1 : (int)n;

	for (ssize_t at = 0; r > 0 && at < n;) {
		const ssize_t w = write(b->to, piece + at, (size_t)(n - at));

		if (w > 0)
			at += w;
		else if (w == 0 || errno != EINTR)
			r = -1;
		errno = w == 0 ? EIO : errno;
	}
	if (r > 0)
		b->done += n;
	free(piece);
	return r;
}

static void finished(struct backup *b)
{
	char line[64];

	snprintf(line, sizeof(line), "%lld", (long long)b->done);
	log_notice("backup: %s bytes", line);
	say(b, SAY_DONE, line);
	end(b);
}

/* Copies, then writes; between two turns the loop does all else that is due. */
static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval soon = { .tv_usec = 1000 };
	struct backup *b = arg;
	int r;

	(void)fd, (void)what;
	if (b->copy != NULL) {
		if ((r = store_backup_step(b->copy, BACKUP_PAGES)) == 0) {
			struct store_backup *copy = b->copy;

			b->copy = NULL;
			r = store_backup_end(copy, true) == 0 ? 1 : -1;
			if (r > 0 && (b->from = open(b->path, O_RDONLY | O_CLOEXEC)) < 0) {
				give_up(b, strerror(errno));
				return;
			}
		}
		if (r < 0) {
			give_up(b, store_error(b->p->store));
			return;
		}
	} else if ((r = pass_on(b)) <= 0) {
		if (r == 0)
			finished(b);
		else
			give_up(b, errno == ENOSPC ? "no room where the backup is to be" : strerror(errno));
		return;
	}
	if (clock_mono_ms() - b->said_ms >= BACKUP_SAY_MS)
		say(b, SAY_GOES_ON, "");
	event_add(b->turn, &soon);
}

static void refuse(struct client *c, uint32_t id, int fd, const char *line)
{
	struct backup b = { .client = c, .id = id };

	say(&b, SAY_FAILED, line);
	if (fd >= 0)
		close(fd);
}

int backup_start(struct client *c, struct ipc_msg *m)
{
	struct policy *p = c->p;
	const int fd = ipc_take_fd(m, 0);
	struct backup *b;
	struct stat st;

	if (c->uid != 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		refuse(c, m->id, fd, "a backup is for root, into a plain file");
		return 0;
	}
	if (p->backup != NULL || (b = calloc(1, sizeof(*b))) == NULL) {
		refuse(c, m->id, fd, p->backup != NULL ? "another backup is under way" : "no memory");
		return 0;
	}
	*b = (struct backup){ .p = p, .client = c, .id = m->id, .to = fd, .from = -1 };
	p->backup = b;
	snprintf(b->path, sizeof(b->path), "%s.backup", p->database);
	unlink(b->path); /* of one that was killed */
	b->turn = evtimer_new(p->base, on_turn, b);
	if (b->turn == NULL || event_priority_set(b->turn, LINK_CROWD) != 0) {
		give_up(b, "no memory");
	} else if (event_write(p->store, clock_wall(), EVENT_BACKUP, "root", NULL, NULL) != 0 ||
	    (b->copy = store_backup_begin(p->store, b->path)) == NULL) {
		give_up(b, store_error(p->store));
	} else {
		event_active(b->turn, EV_TIMEOUT, 0);
	}
	return 0;
}

void backup_abort(struct policy *p, const struct link *client)
{
	if (p->backup != NULL && (client == NULL || &p->backup->client->link == client))
		end(p->backup);
}
