/*
 * policy_link.c - see policy_link.h. Role policy: under every other policy_*.c.
 */
#include "policy_link.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"

static struct link *dead; /* buried in this turn of the loop */

void bucket_fill(struct bucket *b)
{
	*b = (struct bucket){ BUCKET_BURST, clock_mono_ms() };
}

bool bucket_take(struct bucket *b)
{
	return bucket_take_at(b, BUCKET_RATE);
}

bool bucket_take_at(struct bucket *b, uint64_t rate)
{
	uint64_t now = clock_mono_ms(), fresh = (now - b->filled_ms) * rate / 1000;

	if (fresh > 0) {
		b->tokens = fresh + b->tokens > BUCKET_BURST ? BUCKET_BURST
							     : b->tokens + (uint32_t)fresh;
		b->filled_ms = now;
	}
	if (b->tokens == 0)
		return false;
	b->tokens--;
	return true;
}

static void read_until(struct link *l, uint64_t end_ms);

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	read_until(arg, clock_mono_ms() + LINK_TURN_MS);
}

static void link_end(struct link *l, int error)
{
	link_close(l);
	l->ops->ended(l, error);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct link *l = arg;

	(void)fd, (void)what;
	if (ipc_flush(&l->ipc) != 0) {
		l->error = errno;
		link_read(l);
	} else if (ipc_wants_write(&l->ipc))
		event_add(l->out, NULL);
}

int link_open(struct link *l, struct event_base *base, int fd, enum role peer,
    const struct link_ops *ops)
{
	return link_open_as(l, base, fd, ROLE_POLICY, peer, ops);
}

int link_open_as(struct link *l, struct event_base *base, int fd, enum role self, enum role peer,
    const struct link_ops *ops)
{
	ipc_init(&l->ipc, fd, self, peer);
	l->ops = ops;
	l->error = 0;
	l->in = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, l);
	l->out = event_new(base, fd, EV_WRITE, on_writable, l);
	l->open = l->in != NULL && l->out != NULL && event_add(l->in, NULL) == 0;
	if (l->open && self == ROLE_POLICY && peer == ROLE_SESSION)
		link_demote(l);
	if (l->open)
		return 0;
	l->open = true;
	link_close(l);
	return -1;
}

/* It fails for what is being handled just now alone, and a link that was just opened is not. */
void link_demote(struct link *l)
{
	event_priority_set(l->in, LINK_CROWD);
}

void link_close(struct link *l)
{
	if (!l->open)
		return;
	l->open = false;
	if (l->in != NULL)
		event_free(l->in);
	if (l->out != NULL)
		event_free(l->out);
	l->in = l->out = NULL;
	ipc_finish(&l->ipc);
}

void link_bury(struct link *l)
{
	link_close(l);
	if (l->buried)
		return;
	l->buried = true;
	l->next_dead = dead;
	dead = l;
}

void links_reap(void)
{
	struct link *l;

	while ((l = dead) != NULL) {
		dead = l->next_dead;
		free(l);
	}
}

int link_send(struct link *l, enum msg_type type, uint32_t id, const struct buf *body,
    const int *fds, int nfds)
{
	if (!l->open || l->error != 0)
		return -1;
	if (ipc_send(&l->ipc, type, id, body, fds, nfds) != 0) {
		/* The caller may be deep in the owner's affairs: the end comes from the loop. */
		l->error = errno;
		event_active(l->in, EV_READ, 0);
		return -1;
	}
	if (ipc_wants_write(&l->ipc))
		event_add(l->out, NULL);
	return 0;
}

int link_send_empty(struct link *l, enum msg_type type, uint32_t id)
{
	return link_send(l, type, id, NULL, NULL, 0);
}

int link_send_u8(struct link *l, enum msg_type type, uint32_t id, uint8_t value)
{
	struct buf body;
	int r;

	buf_init(&body, 1);
	buf_put_u8(&body, value);
	r = link_send(l, type, id, &body, NULL, 0);
	buf_finish(&body);
	return r;
}

/* Up to LINK_BURST messages, of which the first is handled at any rate, and no other begins after end_ms. */
static void read_until(struct link *l, uint64_t end_ms)
{
	const int error = l->open ? l->error : 0;
	struct ipc_msg m;
	int r = 0;

	/* who left took nothing more, but what it said before is in the link, and counts */
	if (error != 0 && error != EPIPE && error != ECONNRESET) {
		link_end(l, error);
		return;
	}
	for (int i = 0; l->open && i < LINK_BURST && (i == 0 || clock_mono_ms() < end_ms) && (r = ipc_recv(&l->ipc, &m)) > 0; i++) {
		int bad = l->ops->message(l, &m);

		ipc_msg_finish(&m);
		if (bad != 0 && l->open) {
			link_end(l, EPERM);
			return;
		}
	}
	if (r < 0 && l->open)
		link_end(l, error != 0 ? error : errno);
}

void link_read(struct link *l)
{
	read_until(l, UINT64_MAX);
}
