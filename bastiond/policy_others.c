/*
 * policy_others.c - what another process changed in the database: the policy of another version beside this one, during an upgrade
 * (parent_upgrade.c). Role policy.
 *
 * What ends access ends it within a second (P7), whichever of the two was told: each looks several times a second whether the other wrote, and
 * if so whether everything that it carries is still allowed. Sessions that the other carries are rows here: `kill` closes the
 * row, and the other takes that as the word. The older one, once told to retire, ships no events and lets nothing lapse: that is done
 * by the other, whose changes it sees.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "policy.h"
#include "policy_events.h"
#include "policy_monitor.h"
#include "policy_others.h"

/* Is the connection still allowed? Its ways are looked at by END_DENIED. */
static void look_at(struct peer *peer, void *arg)
{
	struct policy *p = peer->p;
	char line[LINE_LEN] = "bastiond: your session was ended";
	struct connection row;
	struct device d;
	struct user u;
	int open, known = 0;

	(void)arg;
	if (peer->auth != PEER_IN)
		return;
	/* a database that cannot be read just now ends nobody */
	if ((open = store_connection(p->store, peer->row.id, &row)) < 0 || (known = store_user(p->store, peer->user.id, &u)) < 0)
		return;
	if (open == 1 && known == 1 && access_user(&u, peer->address, clock_wall(), line, sizeof(line)) == 0) {
		known = store_device_by_name(p->store, u.id, peer->device.name, &d);
		if (known < 0 || (known == 1 && d.id == peer->device.id))
			return;
		snprintf(line, sizeof(line), "bastiond: your device %s was revoked", peer->device.name);
	}
	live_end(p, END_CONNECTION, peer->row.id, line);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct policy *p = arg;

	(void)fd, (void)what;
	if (!store_changed_by_others(p->store))
		return;
	ends_write(p);
	peers_each(p, look_at, NULL);
	live_end(p, END_DENIED, 1, "");
	live_run(p);
	events_added(p);
	feed_added(p);
}

int others_open(struct policy *p)
{
	const struct timeval often = { .tv_usec = OTHERS_MS * 1000 };

	store_changed_by_others(p->store);
	p->others = event_new(p->base, -1, EV_PERSIST, on_look, p);
	return p->others != NULL && event_add(p->others, &often) == 0 ? 0 : -1;
}

void others_retire(struct policy *p)
{
	p->retired = true;
	events_finish(p);
	feed_close(p);
	log_notice("retired: %zu connections are left", p->npeers);
}

void others_kill(struct policy *p, int64_t connection, const char *line)
{
	struct connection row;

	if (store_connection(p->store, connection, &row) == 1 &&
	    store_connection_end(p->store, connection, line, clock_wall()) != 0)
		log_error("kill of session %lld, which another process carries: %s", (long long)connection, store_error(p->store));
}

void others_close(struct policy *p)
{
	if (p->others != NULL)
		event_free(p->others);
	p->others = NULL;
}
