/*
 * policy_core.c - the loop of the policy role: what parent says, the tick of every second, opening
 * and closing of all parts.
 *
 * Role policy, between role_policy.c (root, drop, sandbox) and the other policy_*.c. The unit tests
 * run it on a database and links of their own.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "policy_account.h"
#include "policy_backup.h"
#include "policy_clock.h"
#include "policy_events.h"
#include "policy_monitor.h"
#include "policy_others.h"
#include "policy_hook.h"
#include "policy_hostkey.h"
#include "policy_source.h"
#include "policy_rotate.h"
#include "policy_worker.h"
#include "parent_upgrade.h"
#include "totpkey.h"

#define DISPATCH_MS 50	/* of sessions' messages, before the loop looks at what is urgent */

static void report(void *arg, const char *line)
{
	(void)arg;
	log_error("%s", line);
}

void policy_name(struct policy *p)
{
	/* sin_port and sin6_port lie at the same place */
	const struct sockaddr_in *first = (const void *)&p->conf->listen.v[0].ss;

	p->control.port = p->conf->listen.n > 0 ? ntohs(first->sin_port) : 22;
	if (p->conf->name[0] == '\0' || config_name_split(p->conf->name, p->name, &p->control.port) != 0)
		snprintf(p->name, sizeof(p->name), "%s", p->machine);
	p->control.name = p->name;
}

/* New keys for the secrets of one-time codes. If they do not load, or not everything could be sealed with them, the old
   ones stay: parent's trial has loaded them, so this is no memory, or a database that fails. */
static void reload_seal(struct policy *p, int fd)
{
	struct seal_ring fresh, old = p->seal;
	int r = totpkey_read(fd, &fresh);

	close(fd);
	if (r == 0) {
		/* what only the old ones open is sealed anew, before they go */
		p->seal = fresh;
		seal_ring_join(&p->seal, &old);
		r = store_seal(p->store, clock_wall());
		p->seal = r == 0 ? fresh : old;
		if (r != 0)
			log_error("database: %s", store_error(p->store));
	}
	if (r != 0)
		log_error("reload: the old key of the one-time code secrets stays in use");
	explicit_bzero(&fresh, sizeof(fresh));
	explicit_bzero(&old, sizeof(old));
}

/* Parent has checked it already; if it does not load here, too, the old one stays. Nothing keeps
   pointers into the configuration. */
static int reload(struct policy *p, struct ipc_msg *m)
{
	const int fd = ipc_take_fd(m, 0), keys = ipc_take_fd(m, 1);
	struct config *fresh = config_load_fd(fd, "reloaded configuration", report, NULL);
	bool readers;

	close(fd);
	reload_seal(p, keys);
	if (fresh == NULL) {
		log_error("reload: the old configuration stays in force");
		return 0;
	}
	readers = strcmp(p->conf->recipients.text, fresh->recipients.text) != 0 ||
	    strcmp(p->conf->input_recipients.text, fresh->input_recipients.text) != 0 ||
	    strcmp(p->conf->input_recipients_second.text, fresh->input_recipients_second.text) != 0;
	config_destroy(p->conf);
	p->conf = fresh;
	log_level_set((enum log_level)fresh->log_level);
	policy_name(p);
	if (hostkey_lines_take(&m->body, p->host_keys) != 0)
		log_warn("reload: the host keys' public lines did not come; config shows those of before");
	events_reload(p);
	if (readers)
		grant_readers(p);
	if (keys_refresh(p) != 0)
		return -1;
	if (event_writef(p->store, clock_wall(), EVENT_RELOAD, "bastiond", NULL, NULL) != 0)
		log_error("event of the reload not written: %s", store_error(p->store));
	return 0;
}

/* The recorder caught a collector in a lie: str line. */
static int alarm_raised(struct policy *p, struct ipc_msg *m)
{
	char line[512];

	buf_get_cstring(&m->body, line, sizeof(line));
	if (!buf_end(&m->body))
		return -1;
	if (event_writef(p->store, clock_wall(), EVENT_ALARM, "bastiond", NULL, "{ss}", "why", line) != 0)
		log_error("event of the alarm not written: %s", store_error(p->store));
	return 0;
}

static int from_parent(struct link *l, struct ipc_msg *m)
{
	struct policy *p = (struct policy *)((char *)l - offsetof(struct policy, parent));

	switch (m->type) {
	case MSG_PEER_UP:
		return peer_up(p, m);
	case MSG_PEER_DOWN:
		return peer_down(p, m);
	case MSG_WORKER_UP:
		return worker_on_up(p, m);
	case MSG_WORKER_DOWN:
		return worker_on_down(p, m);
	case MSG_ALARM:
		return alarm_raised(p, m);
	case MSG_POLICY_RELOAD:
		return reload(p, m);
	case MSG_SOURCE_HELD:
		return source_on_held(p, m);
	case MSG_POLICY_RECORD:
		return events_link(p, ipc_take_fd(m, 0));
	case MSG_POLICY_RETIRE:
		others_retire(p);
		return 0;
	case MSG_POLICY_MONITOR:
		feed_link(p, ipc_take_fd(m, 0));
		return 0;
	default:
		return -1;
	}
}

static void parent_ended(struct link *l, int error)
{
	struct policy *p = (struct policy *)((char *)l - offsetof(struct policy, parent));

	if (error != 0) {
		log_error("the link to parent is over (error %d)", error);
		p->status = 1;
	}
	p->over = true;
}

static const struct link_ops parent_link = { from_parent, parent_ended };

static void goodbye(struct peer *peer, void *arg)
{
	(void)arg;
	peer_end(peer, "bastiond: the bastion is being shut down: session ended");
}

/* The first tells the sessions; parent sends another when they are gone, or had their time. */
static void on_term(evutil_socket_t fd, short what, void *arg)
{
	struct policy *p = arg;

	(void)fd, (void)what;
	if (p->ending)
		p->over = true;
	p->ending = true;
	peers_each(p, goodbye, NULL);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct policy *p = arg;
	uint64_t now_ms = clock_mono_ms();

	(void)fd, (void)what;
	clock_tick(p);
	peers_tick(p, now_ms);
	clients_tick(p, now_ms);
	watches_tick(p, now_ms);
	ticket_tick(p, now_ms);
	notify_tick(p, now_ms);
	rotate_tick(p, now_ms);
	looks_tick(p, now_ms);
	tasks_tick(p);
	events_tick(p, now_ms);
	feed_tick(p, now_ms);
	accounts_tick(p);
	ends_write(p);
	/* where somebody is at it without end the loop never comes to its own; what policy_turn() does is due all the same */
	event_base_loopbreak(p->base);
	if (clock_wall() >= p->live_due || clock_wall() >= refusals_next(&p->control.refusals))
		live_run(p);
}

static int open_store(struct policy *p, const char *database)
{
	char err[STORE_ERR_MAX];
	int n;

	const bool beside = getenv(UPGRADE_BESIDE) != NULL;

	if ((p->store = beside ? store_open_beside(database, err) : store_open(database, err)) == NULL) {
		log_error("%s", err);
		return -1;
	}
	store_seal_with(p->store, &p->seal);
	if (clock_start(p, beside) != 0 || store_seal(p->store, clock_wall()) != 0 || feed_open(p) != 0 ||
	    (n = beside ? 0 : store_sessions_reset(p->store, "policy started anew", clock_wall())) < 0 ||
	    event_writef(p->store, clock_wall(), EVENT_START, "bastiond", NULL, "{s:i}",
		"left_open", n) != 0) {
		log_error("database: %s", store_error(p->store));
		return -1;
	}
	return 0;
}

/*
 * A loop in which nobody waits for the crowd: tick, deadline, parent, keys and the control socket, which keep sessions alive
 * and end them, come up after DISPATCH_MS at the latest, whatever sessions have sent (LINK_CROWD).
 */
static struct event_base *loop_create(void)
{
	const struct timeval most = { .tv_usec = DISPATCH_MS * 1000 };
	struct event_config *cfg = event_config_new();
	struct event_base *base = NULL;

	if (cfg != NULL && event_config_set_max_dispatch_interval(cfg, &most, -1, LINK_CROWD) == 0 &&
	    (base = event_base_new_with_config(cfg)) != NULL && event_base_priority_init(base, LINK_CROWD + 1) != 0) {
		event_base_free(base);
		base = NULL;
	}
	if (cfg != NULL)
		event_config_free(cfg);
	return base;
}

static int open_loop(struct policy *p, const struct policy_fds *fds)
{
	const struct timeval second = { .tv_sec = 1 };

	if ((p->base = loop_create()) == NULL || live_init(p) != 0 ||
	    control_open(p, fds) != 0 || others_open(p) != 0 ||
	    link_open(&p->parent, p->base, fds->parent, ROLE_PARENT, &parent_link) != 0 ||
	    keys_open(p, fds->keys) != 0)
		return -1;
	p->tick = event_new(p->base, -1, EV_PERSIST, on_tick, p);
	p->term = evsignal_new(p->base, SIGTERM, on_term, p);
	return p->tick != NULL && p->term != NULL && event_add(p->tick, &second) == 0 &&
	    event_add(p->term, NULL) == 0 ? 0 : -1;
}

int policy_open(struct policy *p, const char *database, const struct policy_fds *fds)
{
	struct rlimit rl = { 0, 0 };

	getrlimit(RLIMIT_NOFILE, &rl);
	p->keep_below = (int)(rl.rlim_cur < INT_MAX ? rl.rlim_cur / 2 : INT_MAX);
	p->database = database;
	if (open_store(p, database) != 0)
		return -1;
	if (ends_open(p) == 0 && sources_open(p) == 0 && open_loop(p, fds) == 0) {
		notify_tick(p, clock_mono_ms()); /* what happens from now on is told, also before the first second is over */
		return 0;
	}
	log_error("no memory for the loop of policy");
	return -1;
}

void policy_close(struct policy *p)
{
	watches_finish(p);
	hooks_finish(p);
	tasks_finish(p);
	looks_finish(p);
	accounts_finish(p);
	rotate_finish(p);
	tickets_finish(p);
	notify_finish(p);
	peers_finish(p);
	if (p->control.store != NULL)
		control_finish(&p->control);
	workers_finish(p);
	backup_abort(p, NULL);
	others_close(p);
	clients_finish(p);
	keys_close(p);
	events_finish(p);
	feed_close(p);
	link_close(&p->parent);
	links_reap();
	if (p->tick != NULL)
		event_free(p->tick);
	if (p->term != NULL)
		event_free(p->term);
	if (p->deadline != NULL)
		event_free(p->deadline);
	if (p->base != NULL)
		event_base_free(p->base);
	ends_close(p);
	sources_close(p);
	if (p->store != NULL)
		store_close(p->store);
	explicit_bzero(&p->seal, sizeof(p->seal));
	hostkey_lines_free(p->host_keys);
}

void policy_turn(struct policy *p)
{
	links_reap();
	ends_write(p);
	if (store_event_added(p->store)) {
		events_added(p);
		feed_added(p);
	}
	events_turn(p);
	feed_turn(p);
}

int policy_run(struct policy *p)
{
	if (link_send_empty(&p->parent, MSG_POLICY_READY, 0) != 0)
		return 1;
	live_run(p);
	while (!p->over) {
		if (event_base_loop(p->base, EVLOOP_ONCE) < 0)
			return 1;
		policy_turn(p);
	}
	return p->status;
}
