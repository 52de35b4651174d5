/*
 * monitor_http.c - /metrics for Prometheus and /healthz for whoever asks whether it is well, by libmicrohttpd. See
 * monitor.h. Role monitor.
 *
 * No thread: each daemon has an epoll descriptor, which is one more event of our loop. Bounded in connections, memory
 * and time; a request has no body, no part of it is kept, and none comes back in an answer.
 */
#include "monitor.h"

#include <dlfcn.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config_option.h"
#include "log.h"

#define CONNECTIONS 32
#define MEMORY 16384U		/* bytes of one connection */
#define TIMEOUT_S 10U

struct listener {
	struct MHD_Daemon *daemon;
	struct event *ready, *due;
};

struct http {
	struct listener at[CONFIG_LIST_MAX];
	size_t n;
	const struct http_ops *ops;
	void *arg;
};

/*
 * The library is loaded here, not with the program: it brings GnuTLS and eight more, which every session and every worker would have in its
 * address space, run the fork handlers of, and pay for at its fork and its end.
 */
#define LIBRARY "libmicrohttpd.so.12"
#define CALLS(C)                                                                                     \
	C(create_response_from_buffer) C(add_response_header) C(queue_response) C(destroy_response)  \
	C(start_daemon) C(stop_daemon) C(get_daemon_info) C(get_timeout) C(run)

static struct {
#define CALL(name) __typeof__(MHD_##name) *name;
	CALLS(CALL)
#undef CALL
} mhd;

/* 0; -1, logged. */
static int load_library(void)
{
	static const struct { const char *name; void *at; } calls[] = {
#define CALL(name) { "MHD_" #name, &mhd.name },
		CALLS(CALL)
#undef CALL
	};
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	for (size_t i = 0; library != NULL && i < sizeof(calls) / sizeof(calls[0]); i++) {
		void *call = dlsym(library, calls[i].name);

		if (call == NULL) {
			dlclose(library);
			library = NULL;
		} else {
			memcpy(calls[i].at, &call, sizeof(call));
		}
	}
	if (library == NULL)
		log_error("metrics_listen: %s; is %s installed?", dlerror(), LIBRARY);
	return library != NULL ? 0 : -1;
}

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *type, const void *text, size_t len)
{
	struct MHD_Response *r = mhd.create_response_from_buffer(len, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result done;

	if (r == NULL)
		return MHD_NO;
	mhd.add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	mhd.add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		mhd.add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	done = mhd.queue_response(c, status, r);
	mhd.destroy_response(r);
	return done;
}

static enum MHD_Result say(struct MHD_Connection *c, unsigned status, const char *text)
{
	return answer(c, status, "text/plain; charset=utf-8", text, strlen(text));
}

static enum MHD_Result give_metrics(struct http *h, struct MHD_Connection *c)
{
	enum MHD_Result r;
	struct buf b;

	buf_init(&b, METRICS_MAX);
	h->ops->metrics(h->arg, &b);
	r = buf_ok(&b) ? answer(c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", b.data, b.len) :
	    say(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "no memory\n");
	buf_finish(&b);
	return r;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url, const char *method,
    const char *version, const char *data, size_t *size, void **state)
{
	static char seen;
	struct http *h = arg;
	const char *sick;

	(void)version, (void)data;
	if (*state == NULL) { /* the head alone: an answer now would close the connection */
		*state = &seen;
		return MHD_YES;
	}
	if (*size != 0) {
		*size = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET /metrics or /healthz\n");
	if (strcmp(url, "/metrics") == 0)
		return give_metrics(h, c);
	if (strcmp(url, "/healthz") != 0)
		return say(c, MHD_HTTP_NOT_FOUND, "there are /metrics and /healthz\n");
	sick = h->ops->sick(h->arg);
	return sick == NULL ? say(c, MHD_HTTP_OK, "ok\n") : say(c, MHD_HTTP_SERVICE_UNAVAILABLE, sick);
}

/* Runs it, and asks when it wants to run again. */
static void turn(struct listener *l)
{
	MHD_UNSIGNED_LONG_LONG ms;

	mhd.run(l->daemon);
	if (mhd.get_timeout(l->daemon, &ms) == MHD_YES) {
		const struct timeval at = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

		event_add(l->due, &at);
	}
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	turn(arg);
}

/* A listening socket; -1, logged. */
static int listen_at(const struct config_addr *a)
{
	const int on = 1;
	char text[64];
	int fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    /* after a reload or an upgrade the one before may not have gone yet */
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0 &&
	    bind(fd, (const struct sockaddr *)&a->ss, a->len) == 0 && listen(fd, CONNECTIONS) == 0)
		return fd;
	log_error("metrics_listen: %s: %s", config_addr_format(text, sizeof(text), a), strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static int start(struct http *h, struct listener *l, int fd, struct event_base *base)
{
	const union MHD_DaemonInfo *info;

	l->daemon = mhd.start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY, MHD_OPTION_END);
	if (l->daemon == NULL) {
		close(fd);
		return -1;
	}
	info = mhd.get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	l->due = evtimer_new(base, on_event, l);
	l->ready = info != NULL ? event_new(base, info->epoll_fd, EV_READ | EV_PERSIST, on_event, l) : NULL;
	return l->due != NULL && l->ready != NULL && event_add(l->ready, NULL) == 0 ? 0 : -1;
}

struct http *http_create(const struct config_addrs *at, struct event_base *base, const struct http_ops *ops, void *arg)
{
	struct http *h = calloc(1, sizeof(*h));

	if (h == NULL || load_library() != 0) {
		free(h);
		return NULL;
	}
	h->ops = ops;
	h->arg = arg;
	for (size_t i = 0; i < at->n && h->n < CONFIG_LIST_MAX; i++) {
		int fd = listen_at(&at->v[i]);

		if (fd < 0)
			continue;
		if (start(h, &h->at[h->n++], fd, base) != 0) {
			log_error("metrics_listen: libmicrohttpd does not start");
			http_destroy(h);
			return NULL;
		}
	}
	return h;
}

void http_destroy(struct http *h)
{
	for (size_t i = 0; h != NULL && i < h->n; i++) {
		if (h->at[i].ready != NULL)
			event_free(h->at[i].ready);
		if (h->at[i].due != NULL)
			event_free(h->at[i].due);
		if (h->at[i].daemon != NULL)
			mhd.stop_daemon(h->at[i].daemon);
	}
	free(h);
}
