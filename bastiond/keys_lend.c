/*
 * keys_lend.c - see keys_lend.h. Role keys: framing of the agent protocol on stream sockets, time
 * and number limits; keys_agent.c has the protocol. What does not fit into the socket's buffer is
 * not queued: a peer that asks and does not read is ended.
 */
#include "keys_lend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keys_agent.h"

struct lent {
	int fd;
	uint64_t deadline_ms;
	unsigned requests;
	struct agent agent;
	size_t have;
	uint8_t in[4 + AGENT_MESSAGE_MAX];
};

const char *lend_start(struct lending *l, int fd, EVP_PKEY *key, const char *login, uint64_t now_ms)
{
	struct lent *one;

	if (l->n == LEND_MAX) {
		close(fd);
		return "too many logins with managed keys at the same time";
	}
	if ((one = calloc(1, sizeof(*one))) == NULL) {
		close(fd);
		return "no memory";
	}
	EVP_PKEY_up_ref(key);
	one->fd = fd;
	one->deadline_ms = now_ms + LEND_TIME_MS;
	agent_init(&one->agent, key, login);
	l->lent[l->n++] = one;
	return NULL;
}

static void lend_end(struct lending *l, size_t i)
{
	struct lent *one = l->lent[i];

	l->lent[i] = l->lent[--l->n];
	close(one->fd);
	EVP_PKEY_free(one->agent.key);
	explicit_bzero(one, sizeof(*one));
	free(one);
}

size_t lend_poll(const struct lending *l, struct pollfd *p)
{
	for (size_t i = 0; i < l->n; i++)
		p[i] = (struct pollfd){ .fd = l->lent[i]->fd, .events = POLLIN };
	return l->n;
}

/* Length of the first whole request in the buffer; 0: not all there yet; -1: longer than any. */
static int whole_request(const struct lent *one, size_t *len)
{
	struct buf b;

	*len = 0;
	if (one->have < 4)
		return 0;
	buf_view(&b, one->in, 4);
	*len = buf_get_u32(&b);
	if (*len == 0 || *len > AGENT_MESSAGE_MAX)
		return -1;
	return one->have >= 4 + *len;
}

static int answer_one(struct lent *one, size_t len)
{
	struct buf out;
	int r = -1;

	if (++one->requests > LEND_REQUESTS)
		return -1;
	buf_init(&out, 4 + AGENT_MESSAGE_MAX);
	if (agent_answer(&one->agent, one->in + 4, len, &out) == 0 &&
	    send(one->fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)out.len)
		r = 0;
	buf_finish(&out);
	one->have -= 4 + len;
	memmove(one->in, one->in + 4 + len, one->have);
	return r;
}

/* 0, or -1: the socket is done with. */
static int serve(struct lent *one)
{
	ssize_t n = recv(one->fd, one->in + one->have, sizeof(one->in) - one->have, MSG_DONTWAIT);
	size_t len;
	int r;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (n == 0)
		return -1;
	one->have += (size_t)n;
	while ((r = whole_request(one, &len)) > 0)
		if (answer_one(one, len) != 0)
			return -1;
	return r;
}

void lend_events(struct lending *l, const struct pollfd *p, size_t n, uint64_t now_ms)
{
	/* From the end: an entry that ends is replaced by the last one, which was seen already. */
	for (size_t i = n; i-- > 0;)
		if ((p[i].revents != 0 && serve(l->lent[i]) != 0) ||
		    now_ms >= l->lent[i]->deadline_ms)
			lend_end(l, i);
}

int lend_timeout(const struct lending *l, uint64_t now_ms)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < l->n; i++)
		if (l->lent[i]->deadline_ms < next)
			next = l->lent[i]->deadline_ms;
	if (l->n == 0)
		return -1;
	return next > now_ms ? (int)(next - now_ms) : 0;
}

void lend_finish(struct lending *l)
{
	while (l->n > 0)
		lend_end(l, l->n - 1);
}
