/*
 * monitor_outlet.c - where events go: a socket or a file, and the lines that wait for it. See monitor.h. Role monitor.
 *
 * A queue has two bounds. When it is full, what comes is dropped; how many were, the next line that finds room says, as an
 * event "outlet.dropped" of its own. The list of events itself loses nothing by that: the database and the
 * recording have it. A file is written at once, whole lines; a disk that is full is a queue that is full.
 */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "config_option.h"
#include "log.h"

#define TCP_TIMEOUT_MS 30000	/* a receiver that takes nothing for so long is gone */

struct line {
	STAILQ_ENTRY(line) next;
	size_t len;
	char text[];
};

struct outlet {
	enum outlet_kind kind;
	struct sockaddr_storage ss;	/* not of a file */
	socklen_t len;
	int type;			/* SOCK_DGRAM, SOCK_STREAM; 0: a file */
	const char *place;		/* as configured: the caller's */
	struct origin from;
	struct event_base *base;
	int fd;
	bool up, told_down;		/* connected, or the file is open; the log knows that it is not */
	struct event *in, *out, *retry;
	STAILQ_HEAD(line_queue, line) queue;
	size_t lines, bytes, done;	/* done: of the first line, on a stream */
	uint64_t sent, dropped, unsaid;	/* unsaid: dropped since the last "outlet.dropped" */
};

static const char *const names[OUTLET_COUNT] = { "syslog", "json" };

static int set_unix(struct outlet *o, const char *path, int type)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&o->ss;

	if (path[0] != '/' || strlen(path) >= sizeof(un->sun_path))
		return -1;
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, strlen(path) + 1);
	o->len = sizeof(*un);
	o->type = type;
	return 0;
}

static int set_inet(struct outlet *o, const char *text, int type)
{
	struct config_addr a;

	if (config_addr_parse(text, &a) != 0)
		return -1;
	memcpy(&o->ss, &a.ss, a.len);
	o->len = a.len;
	o->type = type;
	return 0;
}

/* The place into address and type. 0, or -1 with what would be right. */
static int parse(struct outlet *o, enum outlet_kind kind, const char *place, const char **why)
{
	const char *scheme = strncmp(place, "unix:", 5) == 0 || strncmp(place, "udp:", 4) == 0 ||
	    strncmp(place, "tcp:", 4) == 0 ? strchr(place, ':') + 1 : place;
	int r = -1;

	*why = kind == OUTLET_SYSLOG ? "write \"/dev/log\", \"udp:192.0.2.5:514\" or \"tcp:192.0.2.5:601\"" :
	    "write the absolute path of a file, \"unix:/path\" for a socket, or \"tcp:192.0.2.5:601\"";
	o->kind = kind;
	if (scheme == place && kind == OUTLET_SYSLOG)
		r = set_unix(o, place, SOCK_DGRAM);
	else if (scheme == place)
		r = place[0] == '/' && place[strlen(place) - 1] != '/' ? 0 : -1;
	else if (place[0] == 'u' && place[1] == 'n')
		r = kind == OUTLET_JSON ? set_unix(o, scheme, SOCK_STREAM) : -1;
	else if (place[0] == 'u')
		r = kind == OUTLET_SYSLOG ? set_inet(o, scheme, SOCK_DGRAM) : -1;
	else
		r = set_inet(o, scheme, SOCK_STREAM);
	return r;
}

int outlet_check(enum outlet_kind kind, const char *place, const char **why)
{
	struct outlet o = { .type = 0 };

	return parse(&o, kind, place, why);
}

/* --- the queue --- */

/* False: dropped. */
static bool enqueue(struct outlet *o, const void *text, size_t len)
{
	struct line *l = NULL;

	if (o->lines < OUTLET_QUEUE_MAX && o->bytes + len <= OUTLET_QUEUE_BYTES)
		l = malloc(sizeof(*l) + len);
	if (l == NULL)
		return false;
	l->len = len;
	memcpy(l->text, text, len);
	STAILQ_INSERT_TAIL(&o->queue, l, next);
	o->lines++;
	o->bytes += len;
	return true;
}

static void dequeue(struct outlet *o)
{
	struct line *l = STAILQ_FIRST(&o->queue);

	STAILQ_REMOVE_HEAD(&o->queue, next);
	o->lines--;
	o->bytes -= l->len;
	o->done = 0;
	free(l);
}

/* An event as it goes over this outlet: a datagram alone, a length before it (RFC 6587), or a line. */
static bool put_event(struct outlet *o, const struct event_row *e, const uint8_t *hash)
{
	struct buf b, framed;
	char length[16];
	bool done = false;
	int r;

	buf_init(&b, LINE_JSON_MAX);
	buf_init(&framed, LINE_JSON_MAX + sizeof(length));
	r = o->kind == OUTLET_SYSLOG ? format_syslog(&b, &o->from, e, hash) : format_json(&b, &o->from, e, hash);
	if (r == 0) {
		if (o->kind == OUTLET_SYSLOG && o->type == SOCK_STREAM) {
			snprintf(length, sizeof(length), "%zu ", b.len);
			buf_put(&framed, length, strlen(length));
		}
		buf_put(&framed, b.data, b.len);
		if (o->kind == OUTLET_JSON)
			buf_put_u8(&framed, '\n');
		done = buf_ok(&framed) && enqueue(o, framed.data, framed.len);
	}
	buf_finish(&b);
	buf_finish(&framed);
	return done;
}

/* There is room again: what was lost before comes first. */
static void say_dropped(struct outlet *o)
{
	char detail[96];
	const struct event_row e = { .at = clock_wall(), .kind = "outlet.dropped", .actor = "bastiond", .subject = names[o->kind],
		.detail = detail };

	snprintf(detail, sizeof(detail), "{\"dropped\":%llu}", (unsigned long long)o->unsaid);
	if (o->lines + 1 >= OUTLET_QUEUE_MAX || !put_event(o, &e, NULL))
		return;
	log_warn("%s: %llu events were dropped: the receiver did not take them", o->place, (unsigned long long)o->unsaid);
	o->unsaid = 0;
}

/* --- the way out --- */

static void drain(struct outlet *o);
static void dial(struct outlet *o);

static void close_down(struct outlet *o, const char *why)
{
	const struct timeval pause = { .tv_sec = OUTLET_RETRY_MS / 1000, .tv_usec = OUTLET_RETRY_MS % 1000 * 1000 };

	if (!o->told_down)
		log_warn("events to %s: %s; they wait, and it is tried again", o->place, why);
	o->told_down = true;
	o->up = false;
	o->done = 0; /* the next connection begins with a whole line */
	if (o->in != NULL)
		event_free(o->in);
	if (o->out != NULL)
		event_free(o->out);
	o->in = o->out = NULL;
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
	event_add(o->retry, &pause);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct outlet *o = arg;
	socklen_t len = sizeof(int);
	int error = 0;

	(void)what;
	if (!o->up) {
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
			close_down(o, strerror(error));
			return;
		}
		o->up = true;
	}
	if (o->told_down)
		log_notice("events to %s: it takes them again", o->place);
	o->told_down = false;
	drain(o);
}

/* A receiver has nothing to say; what comes is its end, or passed over. */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	char waste[512];
	ssize_t n = recv(fd, waste, sizeof(waste), MSG_DONTWAIT);

	(void)what;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED))
		close_down(arg, n == 0 ? "it closed the connection" : strerror(errno));
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	dial(arg);
}

static void open_file(struct outlet *o)
{
	struct stat st;

	o->fd = open(o->place, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
	if (o->fd >= 0 && (fstat(o->fd, &st) != 0 || !S_ISREG(st.st_mode))) {
		close(o->fd);
		o->fd = -1;
		errno = EINVAL;
	}
	o->up = o->fd >= 0;
	if (!o->up)
		log_error("events to %s: %s. They are dropped until the next reload", o->place,
		    errno == EINVAL ? "no plain file" : strerror(errno));
}

static void dial(struct outlet *o)
{
	const int on = 1, patience = TCP_TIMEOUT_MS;
	int r;

	if ((o->fd = socket(o->ss.ss_family, o->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0) {
		close_down(o, strerror(errno));
		return;
	}
	if (o->type == SOCK_STREAM && o->ss.ss_family != AF_UNIX) {
		setsockopt(o->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		setsockopt(o->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof(patience));
	}
	r = connect(o->fd, (const struct sockaddr *)&o->ss, o->len);
	/* EAGAIN is no EINPROGRESS: a local socket's backlog is full, and nothing goes on by itself */
	if (r != 0 && errno != EINPROGRESS) {
		close_down(o, strerror(errno));
		return;
	}
	o->up = r == 0;
	o->out = event_new(o->base, o->fd, EV_WRITE, on_writable, o);
	o->in = event_new(o->base, o->fd, EV_READ | EV_PERSIST, on_readable, o);
	if (o->out == NULL || o->in == NULL || event_add(o->out, NULL) != 0 || event_add(o->in, NULL) != 0)
		close_down(o, "no memory");
}

/* A whole line into a file, or nothing of it: what a full disk cut off is taken back. */
static bool write_file(struct outlet *o, const struct line *l)
{
	const off_t end = lseek(o->fd, 0, SEEK_END);
	ssize_t n = end >= 0 ? write(o->fd, l->text, l->len) : -1;
	int error = errno;

	if (n == (ssize_t)l->len)
		return true;
	if (n >= 0)
		error = ENOSPC;
	if (n > 0 && ftruncate(o->fd, end) != 0)
		log_error("events to %s: a line is cut: %s", o->place, strerror(errno));
	errno = error;
	return false;
}

static void drain_file(struct outlet *o)
{
	while (!STAILQ_EMPTY(&o->queue)) {
		if (!o->up || !write_file(o, STAILQ_FIRST(&o->queue))) {
			if (o->up && !o->told_down)
				log_error("events to %s: %s; they wait", o->place, strerror(errno));
			o->told_down = true;
			return;
		}
		o->told_down = false;
		o->sent++;
		dequeue(o);
	}
}

/* Up to what the socket takes now. */
static void drain(struct outlet *o)
{
	if (o->type == 0) {
		drain_file(o);
		return;
	}
	while (o->up && !STAILQ_EMPTY(&o->queue)) {
		struct line *l = STAILQ_FIRST(&o->queue);
		ssize_t n = send(o->fd, l->text + o->done, l->len - o->done, MSG_NOSIGNAL | MSG_DONTWAIT);

		/* UDP: nobody listened to the one before; ENOBUFS: a datagram socket is full */
		if (n < 0 && (errno == EINTR || (errno == ECONNREFUSED && o->ss.ss_family != AF_UNIX)))
			continue;
		if (n < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
			event_add(o->out, NULL);
			return;
		}
		if (n < 0 && errno == EMSGSIZE) {
			o->dropped++;
			o->unsaid++;
			dequeue(o);
			continue;
		}
		if (n < 0) {
			close_down(o, strerror(errno));
			return;
		}
		o->done += (size_t)n;
		if (o->done == l->len) {
			o->sent++;
			dequeue(o);
		}
	}
}

struct outlet *outlet_create(enum outlet_kind kind, const char *place, const struct origin *from, struct event_base *base)
{
	struct outlet *o = calloc(1, sizeof(*o));
	const char *why;

	if (o == NULL || parse(o, kind, place, &why) != 0) {
		log_error("events to %s: %s", place, o == NULL ? "no memory" : why);
		free(o);
		return NULL;
	}
	o->place = place;
	o->from = *from;
	o->base = base;
	o->fd = -1;
	STAILQ_INIT(&o->queue);
	if ((o->retry = evtimer_new(base, on_retry, o)) == NULL) {
		free(o);
		return NULL;
	}
	if (o->type == 0)
		open_file(o);
	else
		dial(o);
	return o;
}

void outlet_put(struct outlet *o, const struct event_row *e, const uint8_t *hash)
{
	if (o->unsaid > 0)
		say_dropped(o);
	if (o->unsaid > 0 || !put_event(o, e, hash)) {
		o->dropped++;
		o->unsaid++;
	}
	drain(o);
}

bool outlet_busy(const struct outlet *o)
{
	return o->up && !STAILQ_EMPTY(&o->queue) && o->type != 0;
}

void outlet_metrics(const struct outlet *const *all, struct buf *out)
{
	static const struct { const char *name, *type, *help; } rows[] = {
		{ "bastiond_outlet_sent_total", "counter", "Events that were sent." },
		{ "bastiond_outlet_dropped_total", "counter", "Events that were dropped because nobody took them." },
		{ "bastiond_outlet_queued", "gauge", "Events that wait to be sent." },
		{ "bastiond_outlet_up", "gauge", "Is there a receiver?" },
	};
	char line[320];

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		snprintf(line, sizeof(line), "# HELP %s %s\n# TYPE %s %s\n", rows[r].name, rows[r].help, rows[r].name, rows[r].type);
		buf_put(out, line, strlen(line));
		for (int i = 0; i < OUTLET_COUNT; i++) {
			const struct outlet *o = all[i];

			if (o == NULL)
				continue;
			const uint64_t values[] = { o->sent, o->dropped, o->lines, o->up };

			snprintf(line, sizeof(line), "%s{outlet=\"%s\"} %llu\n", rows[r].name, names[i],
			    (unsigned long long)values[r]);
			buf_put(out, line, strlen(line));
		}
	}
}

void outlet_destroy(struct outlet *o)
{
	if (o == NULL)
		return;
	drain(o);
	if (o->lines > 0 || o->unsaid > 0)
		log_warn("events to %s: %zu that waited are lost, %llu were dropped before; the list of events has them", o->place,
		    o->lines, (unsigned long long)o->unsaid);
	while (!STAILQ_EMPTY(&o->queue))
		dequeue(o);
	if (o->in != NULL)
		event_free(o->in);
	if (o->out != NULL)
		event_free(o->out);
	event_free(o->retry);
	if (o->fd >= 0)
		close(o->fd);
	free(o);
}
