/*
 * role_monitor.c - the monitor role: what policy sends goes out, as syslog, as JSON lines, as metrics. See monitor.h.
 *
 * Started by parent beside the set of roles, and again when it ends; its only link is to policy (descriptor 3), which
 * sends events and, each second, numbers. It says how far it took the events (MON_ACK) and nothing else. When the link ends, or
 * SIGTERM comes (a reload: another monitor with the new configuration follows), what waits has a moment to go out.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "drop.h"
#include "event.h"
#include "ipc.h"
#include "log.h"
#include "monitor.h"
#include "roles.h"
#include "sandbox.h"

#define LINGER_MS 1000		/* for lines that wait at the end */
#define BURST 64		/* messages of policy in one turn */

struct monitor {
	struct event_base *base;
	struct ipc policy;
	struct event *in, *out, *term, *tick;
	struct outlet *outlets[OUTLET_COUNT];
	struct http *http;
	char host[256];
	char *stats;		/* policy's numbers, as /metrics shows them */
	uint64_t stats_ms, end_ms;	/* when they came; when the end must come, 0: not yet */
	uint64_t counted[EVENT_COUNT];
	char sick[96];
	bool over;
};

static void wind_up(struct monitor *m)
{
	if (m->end_ms == 0)
		m->end_ms = clock_mono_ms() + LINGER_MS;
}

static int on_event_row(struct monitor *m, struct buf *body)
{
	static struct event_text text;
	uint8_t hash[EVENT_HASH_LEN];
	struct event_row e;
	enum event_kind kind;
	struct buf ack;
	int r;

	if (event_row_get(&e, &text, hash, body->data, body->len) != 0)
		return -1;
	if ((kind = event_by_name(e.kind)) != EVENT_COUNT)
		m->counted[kind]++;
	for (int i = 0; i < OUTLET_COUNT; i++)
		if (m->outlets[i] != NULL)
			outlet_put(m->outlets[i], &e, hash);
	buf_init(&ack, 8);
	buf_put_u64(&ack, (uint64_t)e.id);
	r = ipc_send(&m->policy, MSG_MON_ACK, 0, &ack, NULL, 0);
	buf_finish(&ack);
	return r;
}

static int on_stats(struct monitor *m, struct buf *body)
{
	size_t len = buf_left(body);
	const void *data = buf_get(body, len);
	char *text = strndup(data != NULL ? data : "", len);

	if (text == NULL)
		return -1;
	free(m->stats);
	m->stats = text;
	m->stats_ms = clock_mono_ms();
	return 0;
}

static void on_policy(evutil_socket_t fd, short what, void *arg)
{
	struct monitor *m = arg;
	struct ipc_msg msg;
	int r = 0;

	(void)fd;
	if ((what & EV_WRITE) != 0 && ipc_flush(&m->policy) != 0)
		r = -1;
	for (int i = 0; r >= 0 && i < BURST && (r = ipc_recv(&m->policy, &msg)) > 0; i++) {
		if (msg.type == MSG_MON_EVENT)
			r = on_event_row(m, &msg.body);
		else if (msg.type == MSG_MON_STATS)
			r = on_stats(m, &msg.body);
		ipc_msg_finish(&msg);
	}
	if (r < 0) {
		event_del(m->in);
		wind_up(m);
	} else if (ipc_wants_write(&m->policy)) {
		event_add(m->out, NULL);
	}
}

static void on_term(evutil_socket_t sig, short what, void *arg)
{
	(void)sig, (void)what;
	wind_up(arg);
}

static bool busy(const struct monitor *m)
{
	for (int i = 0; i < OUTLET_COUNT; i++)
		if (m->outlets[i] != NULL && outlet_busy(m->outlets[i]))
			return true;
	return false;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct monitor *m = arg;

	(void)fd, (void)what;
	if (m->end_ms != 0 && (!busy(m) || clock_mono_ms() >= m->end_ms))
		m->over = true;
}

/* --- HTTP --- */

static void put_metrics(void *arg, struct buf *out)
{
	static const char head[] = "# HELP bastiond_events_total Events, since the monitor started.\n"
	    "# TYPE bastiond_events_total counter\n";
	const struct monitor *m = arg;
	char line[160];

	if (m->stats != NULL)
		buf_put(out, m->stats, strlen(m->stats));
	snprintf(line, sizeof(line), "# HELP bastiond_up Is policy alive?\n# TYPE bastiond_up gauge\nbastiond_up %d\n",
	    m->stats != NULL && clock_mono_ms() - m->stats_ms < STATS_OLD_MS);
	buf_put(out, line, strlen(line));
	buf_put(out, head, sizeof(head) - 1);
	/* those that never were, too: of a series that begins with its first event increase() sees no increase */
	for (int i = 0; i < EVENT_COUNT; i++) {
		snprintf(line, sizeof(line), "bastiond_events_total{kind=\"%s\"} %llu\n", event_name((enum event_kind)i),
		    (unsigned long long)m->counted[i]);
		buf_put(out, line, strlen(line));
	}
	outlet_metrics((const struct outlet *const *)m->outlets, out);
}

static const char *sick(void *arg)
{
	struct monitor *m = arg;
	const char *down = "bastiond_collectors_up 0\n";
	const uint64_t age = clock_mono_ms() - m->stats_ms;

	if (m->stats == NULL || age >= STATS_OLD_MS) {
		snprintf(m->sick, sizeof(m->sick), "policy says nothing%s\n", m->stats == NULL ? " yet" : " any more");
		return m->sick;
	}
	return strstr(m->stats, down) != NULL ? "no quorum of collectors: nobody can work\n" : NULL;
}

static const struct http_ops http_ops = { put_metrics, sick };

/* --- coming and going --- */

static int open_all(struct monitor *m, const struct config *conf)
{
	const char *const places[OUTLET_COUNT] = { conf->event_syslog, conf->event_json };
	const struct origin from = { m->host, getpid() };
	const struct timeval often = { .tv_usec = 100000 };

	if (gethostname(m->host, sizeof(m->host) - 1) != 0 || m->host[0] == '\0')
		strcpy(m->host, "bastion");
	if ((m->base = event_base_new()) == NULL)
		return -1;
	for (int i = 0; i < OUTLET_COUNT; i++)
		if (places[i][0] != '\0')
			m->outlets[i] = outlet_create((enum outlet_kind)i, places[i], &from, m->base);
	if (conf->metrics_listen.n > 0)
		m->http = http_create(&conf->metrics_listen, m->base, &http_ops, m);
	ipc_init(&m->policy, ROLE_FD_PARENT, ROLE_MONITOR, ROLE_POLICY);
	m->in = event_new(m->base, ROLE_FD_PARENT, EV_READ | EV_PERSIST, on_policy, m);
	m->out = event_new(m->base, ROLE_FD_PARENT, EV_WRITE, on_policy, m);
	m->term = evsignal_new(m->base, SIGTERM, on_term, m);
	m->tick = event_new(m->base, -1, EV_PERSIST, on_tick, m);
	return m->in != NULL && m->out != NULL && m->term != NULL && m->tick != NULL && event_add(m->in, NULL) == 0 &&
	    event_add(m->term, NULL) == 0 && event_add(m->tick, &often) == 0 ? 0 : -1;
}

static void close_all(struct monitor *m)
{
	struct event *const events[] = { m->in, m->out, m->term, m->tick };

	http_destroy(m->http);
	for (int i = 0; i < OUTLET_COUNT; i++)
		outlet_destroy(m->outlets[i]);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i] != NULL)
			event_free(events[i]);
	ipc_finish(&m->policy);
	if (m->base != NULL)
		event_base_free(m->base);
	free(m->stats);
	free(m);
}

int role_monitor(struct config *conf)
{
	struct monitor *m = calloc(1, sizeof(*m));
	int status = 1;

	if (m == NULL)
		return 1;
	if (open_all(m, conf) != 0) {
		log_error("no memory for the loop of monitor");
	} else if (drop_to(conf, ROLE_MONITOR) == 0 && sandbox_enter(conf, ROLE_MONITOR) == 0) {
		status = 0;
		while (!m->over && status == 0)
			status = event_base_loop(m->base, EVLOOP_ONCE) < 0;
	}
	close_all(m);
	config_destroy(conf);
	return status;
}
