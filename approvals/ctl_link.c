/*
 * ctl_link.c - bastionctl's end of the control socket: one request, one reply in parts
 * (doc/PROTOCOL.control).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl.h"

int ctl_fail(const char *fmt, ...)
{
	char line[2048];
	struct buf out;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	buf_init(&out, 4 * sizeof(line) + 64);
	render_line(&out, line);
	fprintf(stderr, "bastionctl: %.*s", (int)out.len, out.data != NULL ? (char *)out.data : "");
	buf_finish(&out);
	return WORDS_BROKEN;
}

static int cannot_connect(const struct ctl *c)
{
	switch (errno) {
	case ENOENT:
		return ctl_fail(
		    "%s: no such socket. Is bastiond running ('systemctl status bastiond')?\n"
		    "With another configuration: bastionctl -f FILE",
		    c->socket);
	case ECONNREFUSED:
		return ctl_fail(
		    "%s: nobody answers: bastiond has ended. Start it; its log says why",
		    c->socket);
	case EACCES:
		return ctl_fail(
		    "%s: permission denied: the directory is closed to you. Ask over ssh instead, "
		    "or as root",
		    c->socket);
	case EAGAIN:
		return ctl_fail("%s: bastiond is busy. Try again", c->socket);
	default:
		return ctl_fail("%s: %s", c->socket, strerror(errno));
	}
}

int ctl_connect(struct ctl *c)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd;

	if (c->link.fd >= 0)
		return WORDS_OK;
	if (strlen(c->socket) >= sizeof(un.sun_path))
		return ctl_fail("%s: longer than a socket's address can be", c->socket);
	memcpy(un.sun_path, c->socket, strlen(c->socket) + 1);
	if ((fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) < 0)
		return ctl_fail("socket: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)&un, sizeof(un)) != 0) {
		int r = cannot_connect(c);

		close(fd);
		return r;
	}
	ipc_init(&c->link, fd, ROLE_CTL, ROLE_POLICY);
	return WORDS_OK;
}

/* A reply that does not come, or is none. What became of the word is then not known. */
static int no_reply(const struct ctl *c, int r)
{
	static const char look[] = "Whether the word was carried out is not known: look with a list "
	    "before you repeat it";

	if (r == 0)
		return ctl_fail("no answer within %d s. %s", CTL_TIMEOUT_MS / 1000, look);
	if (errno == EPERM)
		return ctl_fail("%s: what answers there is no bastiond of this version", c->socket);
	if (errno == 0)
		return ctl_fail("bastiond closed the connection. %s", look);
	return ctl_fail("%s: %s. %s", c->socket, strerror(errno), look);
}

/* The parts of one reply; `id` tells it from a late one. */
static int read_reply(struct ctl *c, uint32_t id, struct buf *reply)
{
	struct ipc_msg m;
	bool more = true;

	while (more) {
		int r = ipc_wait(&c->link, &m, CTL_TIMEOUT_MS);
		size_t len;

		if (r <= 0)
			return no_reply(c, r);
		if (m.type == MSG_CTL_REPLY && m.id == id) {
			more = buf_get_u8(&m.body) != 0;
			len = buf_left(&m.body);
			buf_put(reply, buf_get(&m.body, len), len);
		}
		ipc_msg_finish(&m);
		if (!buf_ok(reply))
			return ctl_fail(
			    "the answer is longer than %u bytes. Ask for less with --limit",
			    CTL_REPLY_MAX);
	}
	return WORDS_OK;
}

int ctl_ask(struct ctl *c, const char *json, struct buf *reply)
{
	struct buf body;
	uint32_t id = ++c->next_id;
	int r = ctl_connect(c);

	buf_reset(reply);
	if (r != WORDS_OK)
		return r;
	buf_view(&body, json, strlen(json));
	if (ipc_send(&c->link, MSG_CTL_REQUEST, id, &body, NULL, 0) != 0)
		return ctl_fail("cannot send: %s", strerror(errno));
	return read_reply(c, id, reply);
}

json_t *ctl_get(struct ctl *c, const char *json, int *r)
{
	json_t *answer = NULL;
	struct buf reply;

	buf_init(&reply, CTL_REPLY_MAX);
	if ((*r = ctl_ask(c, json, &reply)) == WORDS_OK) {
		answer = json_loadb((const char *)reply.data, reply.len, 0, NULL);
		if (!json_is_true(json_object_get(answer, "ok"))) {
			if ((*r = ctl_show(c, &reply)) == WORDS_OK)
				*r = WORDS_BROKEN;
			json_decref(answer);
			answer = NULL;
		}
	}
	buf_finish(&reply);
	return answer;
}

static void put_all(FILE *f, const struct buf *b)
{
	if (b->len > 0)
		fwrite(b->data, 1, b->len, f);
}

int ctl_flush(void)
{
	/* of much that is printed an earlier part may have failed */
	if (fflush(stdout) == 0 && !ferror(stdout))
		return WORDS_OK;
	return ctl_fail("standard output: %s", strerror(errno));
}

int ctl_show(struct ctl *c, const struct buf *reply)
{
	struct buf out, err;
	int r;

	buf_init(&out, RENDER_MAX);
	buf_init(&err, RENDER_MAX);
	r = render_reply((const char *)reply->data, reply->len, &c->show, &out, &err);
	put_all(stdout, &out);
	if (ctl_flush() != WORDS_OK)
		r = WORDS_BROKEN;
	put_all(stderr, &err);
	buf_finish(&out);
	buf_finish(&err);
	return r;
}
