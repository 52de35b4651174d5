/*
 * policy_worker.c - the short-lived processes that parent forks on policy's word: PAM, dial,
 * console, view.
 *
 * Role policy. A worker's record lives from RUN_* to WORKER_DOWN, whatever becomes of who wanted
 * it. Its link and parent's are two sockets: WORKER_DOWN may overtake the worker's last message, so
 * that one is read first.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"
#include "policy_worker.h"

#define KEPT_SHARE 4	/* of max_workers one in four is for no dial and no console, */
#define USER_SHARE 2	/* and one user has one in two for these: a service account may begin at hundreds of hosts at once, */
#define USER_LEAST 4	/* but so many if there are any */

static struct worker *worker_find(struct policy *p, uint32_t id)
{
	struct worker *w = p->workers[id % WORKER_TABLE];

	while (w != NULL && w->id != id)
		w = w->next;
	return w;
}

/* Tells the owner, if there still is one, that nothing more comes. */
static void worker_over(struct worker *w)
{
	if (w->owned)
		w->ops->ended(w);
	w->owned = false;
	w->peer = NULL;
	w->way = NULL;
	w->watch = NULL;
	w->hook = NULL;
	w->task = NULL;
	link_close(&w->link);
}

static int on_message(struct link *l, struct ipc_msg *m)
{
	struct worker *w = (struct worker *)l;

	return w->owned ? w->ops->message(w, m) : 0;
}

static void on_ended(struct link *l, int error)
{
	struct worker *w = (struct worker *)l;

	if (error != 0)
		log_warn("%s worker %u: its link broke (error %d)", role_name(w->ops->role), w->id,
		    error);
	worker_over(w);
}

static const struct link_ops worker_link = { on_message, on_ended };

static struct worker *run(struct policy *p, struct peer *peer, enum worker_kind kind, const struct worker_ops *ops,
    enum msg_type type, const struct buf *body, int fd);

struct worker *worker_run(struct peer *peer, enum worker_kind kind, const struct worker_ops *ops,
    enum msg_type type, const struct buf *body)
{
	return worker_run_fd(peer, kind, ops, type, body, -1);
}

struct worker *worker_run_for(struct policy *p, enum worker_kind kind, const struct worker_ops *ops,
    enum msg_type type, const struct buf *body)
{
	return run(p, NULL, kind, ops, type, body, -1);
}

struct worker *worker_run_fd(struct peer *peer, enum worker_kind kind, const struct worker_ops *ops,
    enum msg_type type, const struct buf *body, int fd)
{
	return run(peer->p, peer, kind, ops, type, body, fd);
}

/*
 * What users start by going somewhere, dials and consoles: all of it leaves room for logins, for who watches and for policy's own work, and that
 * of one user for the others. A host that swallows what is sent to it holds a place for dial_timeout.
 */
static const char *no_share(const struct policy *p, const struct peer *peer, enum worker_kind kind)
{
	const size_t most = p->conf->max_workers, each = most / USER_SHARE > USER_LEAST ? most / USER_SHARE : USER_LEAST;
	size_t all = 0, own = 0;

	if (p->nworkers >= most)
		return "max_workers";
	if (peer == NULL || (kind != WORKER_DIAL && kind != WORKER_CONSOLE))
		return NULL;
	for (size_t i = 0; i < WORKER_TABLE; i++)
		for (const struct worker *w = p->workers[i]; w != NULL; w = w->next) {
			if (w->peer == NULL || (w->kind != WORKER_DIAL && w->kind != WORKER_CONSOLE))
				continue;
			all++;
			own += w->peer->user.id == peer->user.id;
		}
	return all >= most - most / KEPT_SHARE ? "the part of max_workers that is not kept for logins" :
	    own >= each ? "the part of max_workers that one user has" : NULL;
}

static struct worker *run(struct policy *p, struct peer *peer, enum worker_kind kind, const struct worker_ops *ops,
    enum msg_type type, const struct buf *body, int fd)
{
	const char *no = no_share(p, peer, kind);
	struct worker *w, **bucket;

	if (no != NULL) {
		log_warn("%s (%u) is used up: no %s worker for %s", no, p->conf->max_workers, role_name(ops->role),
		    peer == NULL ? "policy" : peer->auth == PEER_STRANGER ? peer->address : peer->user.name);
		return NULL;
	}
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return NULL;
	do {
		p->next_worker++;
	} while (p->next_worker == 0 || worker_find(p, p->next_worker) != NULL);
	*w = (struct worker){
		.p = p, .id = p->next_worker, .kind = kind, .ops = ops, .peer = peer, .owned = true
	};
	if (link_send(&p->parent, type, w->id, body, &fd, fd >= 0 ? 1 : 0) != 0) {
		free(w);
		return NULL;
	}
	bucket = &p->workers[w->id % WORKER_TABLE];
	w->next = *bucket;
	*bucket = w;
	p->nworkers++;
	return w;
}

static void worker_let_go(struct worker *w, bool kill)
{
	if (w == NULL || !w->owned)
		return;
	w->owned = false;
	w->peer = NULL;
	w->way = NULL;
	w->watch = NULL;
	w->hook = NULL;
	w->task = NULL;
	link_close(&w->link);
	if (kill && !w->down)
		link_send_empty(&w->p->parent, MSG_WORKER_KILL, w->id);
}

void worker_abandon(struct worker *w)
{
	worker_let_go(w, true);
}

void worker_done(struct worker *w)
{
	worker_let_go(w, false);
}

int worker_on_up(struct policy *p, struct ipc_msg *m)
{
	struct worker *w = worker_find(p, m->id);
	int fd, extra;

	if (w == NULL || w->up || m->nfds < 1 || m->nfds > 2)
		return -1;
	w->up = true;
	if (!w->owned)
		return 0;
	fd = ipc_take_fd(m, 0);
	extra = ipc_take_fd(m, 1);
	if (w->kind == WORKER_CONSOLE || w->kind == WORKER_VIEW) {
		w->ops->up(w, fd, extra);
		return 0;
	}
	if (extra >= 0)
		close(extra);
	if (link_open(&w->link, p->base, fd, w->ops->role, &worker_link) != 0) {
		log_error("%s worker %u: no memory", role_name(w->ops->role), w->id);
		link_send_empty(&p->parent, MSG_WORKER_KILL, w->id);
		worker_over(w);
	}
	return 0;
}

int worker_on_down(struct policy *p, struct ipc_msg *m)
{
	struct worker **at = &p->workers[m->id % WORKER_TABLE], *w;
	uint32_t status = buf_get_u32(&m->body);

	while (*at != NULL && (*at)->id != m->id)
		at = &(*at)->next;
	if ((w = *at) == NULL || !buf_end(&m->body))
		return -1;
	w->down = true;
	if (w->link.open)
		link_read(&w->link);
	if (status != 0 && w->owned)
		log_warn("%s worker %u for %s ended with status %#x", role_name(w->ops->role),
		    w->id, w->peer != NULL ? w->peer->address : w->hook != NULL || w->task != NULL ? "policy" : "a session that is over", status);
	worker_over(w);
	/* The owner may have started others: the bucket may have changed. */
	for (at = &p->workers[m->id % WORKER_TABLE]; *at != w; at = &(*at)->next)
		;
	*at = w->next;
	p->nworkers--;
	link_bury(&w->link);
	return 0;
}

void workers_finish(struct policy *p)
{
	for (size_t i = 0; i < WORKER_TABLE; i++) {
		struct worker *w;

		while ((w = p->workers[i]) != NULL) {
			p->workers[i] = w->next;
			link_bury(&w->link);
		}
	}
	p->nworkers = 0;
}
