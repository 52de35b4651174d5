/*
 * monitor.h - inside the monitor role: events go out as syslog and JSON lines, numbers go out over HTTP.
 *
 *   role_monitor.c     start, the loop, what policy sends, the end
 *   monitor_format.c   an event as a line: RFC 5424, JSON. Pure
 *   monitor_outlet.c   where lines go: a socket or a file, with a bounded queue
 *   monitor_http.c     /metrics and /healthz, by libmicrohttpd
 *
 * It holds no secret: what it has is in every auditor's list, and policy sends it, of its own accord. It is a process of
 * its own because policy has no network, and because who takes over an HTTP server shall find nothing there. Its
 * death ends no session: parent starts it again.
 */
#ifndef BASTIOND_MONITOR_H
#define BASTIOND_MONITOR_H

#include <event2/event.h>

#include "buf.h"
#include "config.h"
#include "crypto_event.h"

#define OUTLET_QUEUE_MAX 4096		/* lines that wait, */
#define OUTLET_QUEUE_BYTES (4U << 20)	/* and their bytes; what is more is dropped, counted and said */
#define OUTLET_RETRY_MS 1000		/* between two attempts to connect */
#define LINE_SYSLOG_MAX 8192		/* bytes of one message: receivers cut longer ones */
#define LINE_JSON_MAX 40000
#define METRICS_MAX 65536		/* bytes of the answer to /metrics */
#define STATS_OLD_MS 5000		/* policy is silent for so long: not healthy */

/* --- monitor_format.c --- */

/* Where an event comes from, as its line says it. */
struct origin {
	const char *host;	/* of this machine */
	int pid;
};

/*
 * One line, without its end, appended to out. hash NULL: not an event of the list but one of the outlet itself. 0, or -1
 * without memory.
 */
int format_syslog(struct buf *out, const struct origin *from, const struct event_row *e, const uint8_t *hash);
int format_json(struct buf *out, const struct origin *from, const struct event_row *e, const uint8_t *hash);

/* --- monitor_outlet.c --- */

struct outlet;

enum outlet_kind { OUTLET_SYSLOG, OUTLET_JSON, OUTLET_COUNT };

/*
 * Is this a place: "/dev/log" (a datagram socket for syslog, a file for JSON), "unix:/path" (JSON: a stream), "udp:A:P"
 * (syslog), "tcp:A:P"? 0, or -1 with what would be right in why.
 */
int outlet_check(enum outlet_kind kind, const char *place, const char **why);
/* Opens it, still as root; what is not there yet is tried again later. NULL, logged: it makes no sense. */
struct outlet *outlet_create(enum outlet_kind kind, const char *place, const struct origin *from, struct event_base *base);
void outlet_put(struct outlet *o, const struct event_row *e, const uint8_t *hash);
/* Is something still waiting that has a way out? */
bool outlet_busy(const struct outlet *o);
/* Its numbers, for /metrics. */
void outlet_metrics(const struct outlet *const *all, struct buf *out);
/* What still waits is lost, and said in the log. */
void outlet_destroy(struct outlet *o);

/* --- monitor_http.c --- */

struct http;

struct http_ops {
	/* The text for /metrics, appended. */
	void (*metrics)(void *arg, struct buf *out);
	/* NULL: healthy; else what is wrong. */
	const char *(*sick)(void *arg);
};

/* Listens, still as root. NULL, logged: libmicrohttpd refuses. An address that is taken is left out, and said. */
struct http *http_create(const struct config_addrs *at, struct event_base *base, const struct http_ops *ops, void *arg);
void http_destroy(struct http *h);

#endif
