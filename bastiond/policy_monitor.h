/*
 * policy_monitor.h - what policy tells the monitor role: each event after its commit, and numbers once a second.
 *
 * Role policy. The monitor is started and started again by parent (MSG_POLICY_MONITOR); what it has not said to have is
 * sent again to the next one: at least once, in order. Nobody waits for it: what it does not take stays in the
 * database, where FEED_AHEAD rows at a time are read for it.
 */
#ifndef BASTIOND_POLICY_MONITOR_H
#define BASTIOND_POLICY_MONITOR_H

#include <stdint.h>

struct policy;
struct buf;

#define FEED_AHEAD 128		/* events that the monitor was sent and has not taken */
#define FEED_STATS_MS 1000
#define FEED_COUNT_MS 5000	/* so often the database is asked */

/* Before the first event of this start: from here on they are sent. 0, or -1. */
int feed_open(struct policy *p);
/* Takes over the link that parent made; the one before is over. */
void feed_link(struct policy *p, int fd);
/* There are new events. */
void feed_added(struct policy *p);
/* After each turn of the loop, and once a second. */
void feed_turn(struct policy *p);
void feed_tick(struct policy *p, uint64_t now_ms);
void feed_close(struct policy *p);

/* The numbers, in the text format of Prometheus. */
void feed_metrics(struct policy *p, struct buf *out);

#endif
