/*
 * policy_watch.c - see policy_watch.h.
 *
 * Role policy. Before it: the word in approvals/control_live.c, which has checked the right and written the event. After it: the watched
 * session (session_watch.c), and a viewer that parent forks (worker_view.c).
 */
#include "policy_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "escape.h"
#include "log.h"
#include "policy.h"
#include "policy_worker.h"

#define SOCKET_BYTES (128 << 10) /* of the link to the viewer, in the kernel */

enum watch_stage { WATCH_NEW, WATCH_NAMED, WATCH_ASKED, WATCH_DRAWN };

struct watch {
	struct watch *next;
	struct policy *p;
	uint32_t id;
	enum watch_stage stage;
	struct link *owner;		/* NULL: it is gone */
	struct actor who;
	char name[USER_NAME_MAX + 1];	/* of the watcher */
	struct peer *peer;		/* the watched one; NULL: it is gone */
	char subject[USER_NAME_MAX + 1];
	int64_t connection;
	uint32_t terminal;
	bool given, over;		/* the session has its end of the link; and gave it up */
	int fd;				/* the viewer's end, until there is one; -1 */
	uint8_t screen[5];		/* of the watcher, as RUN_VIEW has it */
	struct worker *worker;		/* the viewer; NULL: not there */
	struct event *kill;
	uint64_t since_ms, until_ms;	/* until_ms: the next step must come before; 0: no limit */
	uint64_t bytes, lost;
	char why[LINE_LEN];
};

static struct watch *find(struct policy *p, uint32_t id)
{
	struct watch *w = p->watches;

	while (w != NULL && w->id != id)
		w = w->next;
	return w;
}

static struct peer *find_peer(struct policy *p, int64_t connection)
{
	for (size_t i = 0; i < PEER_TABLE; i++)
		for (struct peer *peer = p->peers[i]; peer != NULL; peer = peer->next)
			if (peer->row.id == connection && connection != 0)
				return peer;
	return NULL;
}

/* --- the end --- */

static void note_end(struct watch *w)
{
	if (w->stage == WATCH_NEW)
		return;
	log_info("watch %u of session %lld by %s is over after %llu s: %s", w->id, (long long)w->connection, w->name,
	    (unsigned long long)(clock_mono_ms() - w->since_ms) / 1000, w->why);
	if (event_writef(w->p->store, clock_wall(), EVENT_WATCH_END, w->name, w->subject, "{s:I, s:I, s:I, s:I, s:s}", "session",
		(json_int_t)w->connection, "watch", (json_int_t)w->id, "bytes", (json_int_t)w->bytes, "missed",
		(json_int_t)w->lost, "why", w->why) != 0)
		log_error("end of watch %u not in the events: %s", w->id, store_error(w->p->store));
}

static void destroy(struct watch *w)
{
	struct watch **at = &w->p->watches;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	note_end(w);
	worker_abandon(w->worker);
	if (w->fd >= 0)
		close(w->fd);
	if (w->kill != NULL)
		event_free(w->kill);
	free(w);
}

static void set_why(struct watch *w, const char *line)
{
	if (w->why[0] == '\0')
		snprintf(w->why, sizeof(w->why), "%s", line);
}

/* Both sides have gone, or were never there. */
static bool gone(struct watch *w)
{
	if ((w->given && !w->over) || w->worker != NULL)
		return false;
	set_why(w, "the watcher left");
	destroy(w);
	return true;
}

static void on_kill(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	destroy(arg);
}

/* Whatever is still there after this time goes. */
static void limit(struct watch *w, uint32_t ms)
{
	const struct timeval wait = { .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 };

	if (w->kill != NULL)
		return;
	if ((w->kill = evtimer_new(w->p->base, on_kill, w)) == NULL || event_add(w->kill, &wait) != 0)
		w->until_ms = 1; /* the tick sees to it */
}

static void stop(struct watch *w, const char *line)
{
	struct buf body;

	if (w->kill != NULL)
		return;
	set_why(w, line);
	if (gone(w))
		return;
	if (w->peer != NULL && !w->over) {
		buf_init(&body, LINE_LEN);
		buf_put_string(&body, line, strnlen(line, LINE_LEN - 4));
		link_send(&w->peer->link, MSG_WATCH_STOP, w->id, &body, NULL, 0);
		buf_finish(&body);
	}
	limit(w, WATCH_STOP_MS);
}

static void answer(struct watch *w, const char *refusal, int fd)
{
	struct buf body;

	if (w->owner == NULL)
		return;
	buf_init(&body, 1100);
	buf_put_u8(&body, refusal == NULL);
	buf_put_string(&body, refusal != NULL ? refusal : "", refusal != NULL ? strnlen(refusal, 1000) : 0);
	link_send(w->owner, w->owner->ipc.peer == ROLE_CTL ? MSG_CTL_VIEW_RE : MSG_VIEW_RE, w->id, &body, &fd, fd >= 0 ? 1 : 0);
	buf_finish(&body);
}

static void refuse(struct watch *w, const char *line)
{
	answer(w, line, -1);
	set_why(w, line);
	w->owner = NULL;
	stop(w, line);
}

/* --- the word --- */

static const char *no_room(struct policy *p, const struct peer *peer, int64_t connection)
{
	size_t all = 0, here = 0;

	for (const struct watch *w = p->watches; w != NULL; w = w->next) {
		all++;
		here += w->peer == peer;
		if (p->asker == w->owner)
			return "This connection watches a session already; open another one.";
	}
	if (p->conf->max_watchers == 0)
		return "Watching is switched off: max_watchers in bastiond.conf is 0.";
	if (peer == NULL || connection == 0)
		return "The session has just ended.";
	if (here >= p->conf->max_watchers)
		return "The session has as many watchers as max_watchers in bastiond.conf allows.";
	return all >= WATCHES_MAX ? "Too many sessions are watched; try again later." : NULL;
}

uint32_t watch_new(void *arg, const struct actor *who, const char *name, int64_t connection, uint32_t terminal,
    char *line, size_t size)
{
	struct policy *p = arg;
	struct peer *peer = find_peer(p, connection);
	const char *no = p->asker == NULL ? "Only who can show it may watch." : no_room(p, peer, connection);
	struct watch *w;

	if (no != NULL || (w = calloc(1, sizeof(*w))) == NULL) {
		snprintf(line, size, "%s", no != NULL ? no : "The bastion has no memory.");
		return 0;
	}
	while (p->next_watch == 0 || find(p, p->next_watch) != NULL)
		p->next_watch++;
	*w = (struct watch){ .p = p, .id = p->next_watch++, .owner = p->asker, .who = *who, .peer = peer, .connection = connection,
		.terminal = terminal, .fd = -1, .since_ms = clock_mono_ms() };
	w->until_ms = w->since_ms + WATCH_CLAIM_MS;
	snprintf(w->name, sizeof(w->name), "%s", name);
	snprintf(w->subject, sizeof(w->subject), "%s", peer->user.name);
	w->next = p->watches;
	p->watches = w;
	return w->id;
}

void watch_settle(void *arg, uint32_t watch, bool done)
{
	struct watch *w = find(arg, watch);

	if (w == NULL)
		return;
	if (done)
		w->stage = WATCH_NAMED;
	else
		destroy(w);
}

/* --- the link, and the viewer --- */

/* The session gets one end and says yes or no; the other is kept for the viewer. */
static void ask_session(struct watch *w)
{
	int pair[2], size = SOCKET_BYTES;
	struct buf body;

	if (ipc_pair(pair) != 0) {
		refuse(w, "The bastion has no descriptor left; tell the operator.");
		return;
	}
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	w->fd = pair[1];
	w->stage = WATCH_ASKED;
	w->given = true;
	buf_init(&body, 256);
	buf_put_cstring(&body, w->name);
	buf_put_u32(&body, w->terminal);
	buf_put_u8(&body, w->p->conf->watch_notice);
	if (link_send(&w->peer->link, MSG_WATCH, w->id, &body, &pair[0], 1) != 0) {
		w->over = true;
		refuse(w, "The session has just ended.");
	}
	buf_finish(&body);
	close(pair[0]);
}

int watch_on_view(struct policy *p, struct link *owner, struct ipc_msg *m)
{
	struct watch *w = find(p, m->id);
	const uint8_t *screen = buf_get(&m->body, sizeof(w->screen));

	if (!buf_end(&m->body))
		return -1;
	/* a number that is not this one's, or is over: as if it had never been */
	if (w == NULL || w->owner != owner || w->stage != WATCH_NAMED || w->kill != NULL) {
		struct watch none = { .p = p, .id = m->id, .owner = owner };

		answer(&none, "There is no such watch, or its time is over; ask again.", -1);
		return 0;
	}
	memcpy(w->screen, screen, sizeof(w->screen));
	w->until_ms = clock_mono_ms() + WATCH_CLAIM_MS;
	ask_session(w);
	return 0;
}

static void on_up(struct worker *worker, int fd, int extra)
{
	struct watch *w = worker->watch;

	if (extra >= 0)
		close(extra);
	w->until_ms = 0;
	log_info("watch %u: %s watches session %lld of %s", w->id, w->name, (long long)w->connection, w->subject);
	answer(w, NULL, fd);
	close(fd);
}

static int on_message(struct worker *worker, struct ipc_msg *m)
{
	(void)worker, (void)m;
	return -1; /* its link is the session's */
}

static void on_ended(struct worker *worker)
{
	struct watch *w = worker->watch;

	if (!worker->up)
		answer(w, "The viewer could not be started; tell the operator.", -1);
	w->worker = NULL;
	/* the session sees that nobody reads any more, and says how much was shown */
	if (!gone(w))
		limit(w, WATCH_STOP_MS);
}

static const struct worker_ops view_ops = { ROLE_VIEW, on_up, on_message, on_ended };

int watch_on_re(struct peer *peer, struct ipc_msg *m)
{
	struct watch *w = find(peer->p, m->id);
	uint8_t ok = buf_get_u8(&m->body);
	char line[LINE_LEN], safe[LINE_LEN];
	struct buf body;

	buf_get_cstring(&m->body, line, sizeof(line));
	if (!buf_end(&m->body))
		return -1;
	if (w == NULL || w->peer != peer || w->stage != WATCH_ASKED || w->kill != NULL)
		return 0; /* it was ended meanwhile */
	if (!ok) {
		esc_line(safe, sizeof(safe), line, strlen(line));
		w->over = true;
		refuse(w, safe);
		return 0;
	}
	w->stage = WATCH_DRAWN;
	buf_init(&body, 8);
	buf_put(&body, w->screen, sizeof(w->screen));
	w->worker = worker_run_fd(peer, WORKER_VIEW, &view_ops, MSG_RUN_VIEW, &body, w->fd);
	buf_finish(&body);
	close(w->fd);
	w->fd = -1;
	if (w->worker != NULL)
		w->worker->watch = w;
	else
		refuse(w, "Too many processes run for the bastion's users; try again in a minute.");
	return 0;
}

int watch_on_over(struct peer *peer, struct ipc_msg *m)
{
	struct watch *w = find(peer->p, m->id);
	char line[LINE_LEN], safe[LINE_LEN];

	struct buf *b = &m->body;
	uint64_t bytes = buf_get_u64(b), lost = buf_get_u64(b);

	buf_get_cstring(b, line, sizeof(line));
	if (!buf_end(b) || bytes > INT64_MAX || lost > INT64_MAX)
		return -1;
	if (w == NULL || w->peer != peer || !w->given)
		return 0;
	esc_line(safe, sizeof(safe), line, strlen(line));
	w->bytes = bytes;
	w->lost = lost;
	w->over = true;
	set_why(w, safe);
	if (!gone(w))
		limit(w, WATCH_STOP_MS);
	return 0;
}

/* --- who goes --- */

bool watch_owned(const struct policy *p, const struct link *owner)
{
	for (const struct watch *w = p->watches; w != NULL; w = w->next)
		if (w->owner == owner)
			return true;
	return false;
}

void watch_owner_gone(struct policy *p, const struct link *owner)
{
	for (struct watch *w = p->watches, *next; w != NULL; w = next) {
		next = w->next;
		if (w->owner != owner)
			continue;
		w->owner = NULL;
		stop(w, "The watcher left.");
	}
}

void watch_peer_gone(struct peer *peer)
{
	for (struct watch *w = peer->p->watches, *next; w != NULL; w = next) {
		next = w->next;
		if (w->peer != peer)
			continue;
		set_why(w, "The session has ended.");
		w->peer = NULL;
		w->over = true;
		if (w->worker == NULL) {
			answer(w, "The session has just ended.", -1);
			destroy(w);
		} else {
			/* the session told its viewer, too: it may say so */
			w->worker->peer = NULL;
			limit(w, WATCH_STOP_MS);
		}
	}
}

void watches_of_user_end(struct policy *p, int64_t user_id, const char *line)
{
	for (struct watch *w = p->watches, *next; w != NULL; w = next) {
		next = w->next;
		if (!w->who.root && w->who.user_id == user_id)
			stop(w, line);
	}
}

void watches_tick(struct policy *p, uint64_t now_ms)
{
	char line[LINE_LEN];

	for (struct watch *w = p->watches, *next; w != NULL; w = next) {
		next = w->next;
		if (w->until_ms != 0 && now_ms >= w->until_ms) {
			set_why(w, "nobody came to look");
			destroy(w);
		} else if (!control_may(&p->control, &w->who, "watch", line, sizeof(line))) {
			stop(w, line);
		}
	}
}

void watches_finish(struct policy *p)
{
	while (p->watches != NULL) {
		set_why(p->watches, "policy ended");
		destroy(p->watches);
	}
}

/* --- the list of sessions --- */

static void put_caps(json_t *row, unsigned caps)
{
	char names[128], *rest = cap_names(names, sizeof(names), caps), *one;
	json_t *list = json_array();

	while ((one = strsep(&rest, " ")) != NULL)
		if (*one != '\0')
			json_array_append_new(list, json_string(one));
	json_object_set_new(row, "doing", list);
}

static void put_way(const struct way *w, json_t *row)
{
	static const char *const how[] = { "name", "jump", "console" };

	json_object_set_new(row, "grant", json_integer(w->tickets[0]));
	if (w->until != FOREVER)
		json_object_set_new(row, "until", json_integer(w->until));
	if (!w->report.here)
		return;
	put_caps(row, w->report.caps);
	json_object_set_new(row, "how", json_string(how[w->report.how]));
	json_object_set_new(row, "idle", json_integer(w->report.idle));
	json_object_set_new(row, "terminals", json_integer(w->report.terminals));
	json_object_set_new(row, "bytes_in", json_integer((json_int_t)w->row.bytes_in));
	json_object_set_new(row, "bytes_out", json_integer((json_int_t)w->row.bytes_out));
}

void watch_session_live(void *arg, int64_t connection, int64_t way, json_t *row)
{
	struct policy *p = arg;
	const struct peer *peer = find_peer(p, connection);
	json_t *names = json_array();

	for (size_t i = 0; peer != NULL && way != 0 && i < PEER_WAYS_MAX; i++)
		if (peer->ways[i] != NULL && peer->ways[i]->row.id == way)
			put_way(peer->ways[i], row);
	for (const struct watch *w = p->watches; w != NULL; w = w->next)
		if (w->connection == connection && w->stage == WATCH_DRAWN)
			json_array_append_new(names, json_string(w->name));
	if (json_array_size(names) > 0)
		json_object_set(row, "watchers", names);
	json_decref(names);
}
