/*
 * policy_monitor.c - see policy_monitor.h. Role policy.
 */
#include "policy_monitor.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "policy.h"
#include "policy_client.h"
#include "policy_events.h"
#include "store_report.h"

#define STATS_MAX 32768

struct feed {
	struct link link;		/* to the monitor; not open: there is none */
	int64_t sent, acked;		/* numbers of events */
	bool more;			/* there may be rows after `sent` */
	int64_t started;		/* unix seconds */
	uint64_t stats_ms, count_ms;
	struct store_counts counts;
};

/* --- events --- */

static int put_row(void *arg, const struct event_row *e, const uint8_t *hash, size_t len)
{
	struct feed *f = arg;
	struct buf b;
	int r = -1;

	if (f->sent - f->acked >= FEED_AHEAD)
		return 1;
	buf_init(&b, EVENT_ROW_MAX + EVENT_HASH_LEN);
	if (len == EVENT_HASH_LEN && e->kind != NULL && e->actor != NULL && e->subject != NULL && e->detail != NULL &&
	    event_row_put(&b, e, hash) == 0)
		r = link_send(&f->link, MSG_MON_EVENT, 0, &b, NULL, 0);
	buf_finish(&b);
	if (r == 0)
		f->sent = e->id;
	return r != 0;
}

void feed_added(struct policy *p)
{
	if (p->feed != NULL)
		p->feed->more = true;
}

void feed_turn(struct policy *p)
{
	struct feed *f = p->feed;
	int64_t before;

	if (f == NULL || !f->link.open || !f->more || f->sent - f->acked >= FEED_AHEAD)
		return;
	before = f->sent;
	if (store_event_each(p->store, f->sent, put_row, f) < 0)
		log_error("events for the monitor: %s", store_error(p->store));
	/* stopped at the limit: an ack comes, and with it the next turn */
	f->more = f->sent - f->acked >= FEED_AHEAD && f->sent > before;
}

/* --- numbers --- */

static void put(struct buf *out, const char *name, const char *type, const char *help, int64_t value)
{
	char line[320];

	snprintf(line, sizeof(line), "# HELP bastiond_%s %s\n# TYPE bastiond_%s %s\nbastiond_%s %lld\n", name, help, name,
	    type, name, (long long)value);
	buf_put(out, line, strlen(line));
}

static void count_ways(struct peer *peer, void *arg)
{
	int64_t *ways = arg;

	for (int i = 0; i < PEER_WAYS_MAX; i++)
		*ways += peer->ways[i] != NULL;
}

static void count_logins(struct peer *peer, void *arg)
{
	int64_t *in = arg;

	*in += peer->auth == PEER_IN;
}

static void put_shipping(struct policy *p, struct buf *out)
{
	struct events_state ev;
	int64_t head;
	uint8_t hash[EVENT_HASH_LEN];

	events_state(p, &ev);
	if (store_event_head(p->store, &head, hash) < 0)
		head = ev.acked;
	put(out, "collectors_up", "gauge", "Do the collectors take recordings (a quorum of them)?", ev.store_up);
	put(out, "break_glass_collectors_up", "gauge", "Would those for break-glass take one (a quorum of them)? -1: none are configured.",
	    config_collectors(p->conf, true) == 0 ? -1 : ev.glass_up);
	put(out, "event_number", "gauge", "Number of the newest event.", head);
	put(out, "event_shipped_number", "gauge", "Number of the newest event that the collectors have.", ev.acked);
	put(out, "events_waiting", "gauge", "Events that wait for the collectors.", head > ev.acked ? head - ev.acked : 0);
	put(out, "event_lag_seconds", "gauge", "Age of the oldest event that waits for them.", ev.lag);
}

void feed_metrics(struct policy *p, struct buf *out)
{
	const struct feed *f = p->feed;
	int64_t ways = 0, in = 0;

	peers_each(p, count_ways, &ways);
	peers_each(p, count_logins, &in);
	put(out, "start_time_seconds", "gauge", "When policy started, in unix seconds.", f->started);
	put(out, "connections", "gauge", "Open connections, logged in or not.", (int64_t)p->npeers);
	put(out, "sessions", "gauge", "Connections that are logged in.", in);
	put(out, "sessions_max", "gauge", "Most connections: max_sessions.", p->conf->max_sessions);
	put(out, "ways", "gauge", "Open ways to targets.", ways);
	put(out, "workers", "gauge", "PAM, dial, console and view processes.", (int64_t)p->nworkers);
	put(out, "control_clients", "gauge", "Clients of the control socket.", (int64_t)p->nclients[CLIENT_CONTROL]);
	put(out, "requests_pending", "gauge", "Requests that wait for a decision.", f->counts.pending);
	put(out, "request_oldest_seconds", "gauge", "Age of the oldest of them.", f->counts.oldest);
	put(out, "grants_active", "gauge", "Grants in force.", f->counts.grants);
	put(out, "users", "gauge", "Users that are not removed.", f->counts.users);
	put(out, "hosts", "gauge", "Registered hosts.", f->counts.hosts);
	put(out, "database_bytes", "gauge", "Size of the database.", f->counts.bytes);
	put_shipping(p, out);
}

void feed_tick(struct policy *p, uint64_t now_ms)
{
	struct feed *f = p->feed;
	struct buf b;

	if (f == NULL || !f->link.open || now_ms < f->stats_ms)
		return;
	f->stats_ms = now_ms + FEED_STATS_MS - 100; /* the tick is a second, give or take */
	if (now_ms >= f->count_ms) {
		f->count_ms = now_ms + FEED_COUNT_MS;
		if (store_counts(p->store, clock_wall(), &f->counts) != 0)
			log_error("numbers for the monitor: %s", store_error(p->store));
	}
	if (f->link.ipc.queued > STATS_MAX) /* it does not read */
		return;
	buf_init(&b, STATS_MAX);
	feed_metrics(p, &b);
	if (buf_ok(&b))
		link_send(&f->link, MSG_MON_STATS, 0, &b, NULL, 0);
	buf_finish(&b);
}

/* --- the link --- */

static int on_message(struct link *l, struct ipc_msg *m)
{
	struct feed *f = (struct feed *)((char *)l - offsetof(struct feed, link));
	const int64_t number = (int64_t)buf_get_u64(&m->body);

	if (m->type != MSG_MON_ACK || !buf_end(&m->body) || number <= f->acked || number > f->sent)
		return -1;
	f->acked = number;
	return 0;
}

/* Not our end: parent starts another. */
static void on_ended(struct link *l, int error)
{
	struct feed *f = (struct feed *)((char *)l - offsetof(struct feed, link));

	if (error != 0)
		log_warn("the link to the monitor is over (error %d)", error);
	f->sent = f->acked;
	f->more = true;
}

static const struct link_ops monitor_link = { on_message, on_ended };

int feed_open(struct policy *p)
{
	struct feed *f = calloc(1, sizeof(*f));
	uint8_t hash[EVENT_HASH_LEN];

	if (f == NULL || store_event_head(p->store, &f->sent, hash) < 0) {
		free(f);
		return -1;
	}
	f->acked = f->sent;
	f->more = true;
	f->started = clock_wall();
	p->feed = f;
	return 0;
}

void feed_link(struct policy *p, int fd)
{
	struct feed *f = p->feed;

	if (f == NULL) {
		close(fd);
		return;
	}
	link_close(&f->link);
	f->sent = f->acked;
	f->more = true;
	f->stats_ms = f->count_ms = 0;
	if (link_open(&f->link, p->base, fd, ROLE_MONITOR, &monitor_link) != 0)
		log_error("no memory for the link to the monitor");
	feed_tick(p, clock_mono_ms());
}

void feed_close(struct policy *p)
{
	if (p->feed == NULL)
		return;
	feed_turn(p);
	link_close(&p->feed->link);
	free(p->feed);
	p->feed = NULL;
}
