/*
 * role_recorder_link.c - the links of sessions in the recorder: frames come in, commits go out.
 * Runs in the recorder role.
 *
 * What a session sends is checked as if it were hostile: a wrong sequence, format or way, or more
 * seals and checkpoints than a session makes, ends its link, and with it the session. Who opens
 * recordings faster than may be waits. A session that is gone, however it ended, leaves recordings
 * that the recorder closes itself (BREC_END_ABANDONED).
 */
#include "role_recorder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "hex.h"
#include "log.h"

#define LINE_MAX_LEN 400

static void over(struct link *l)
{
	l->over = true;
}

/* After each send: what the socket did not take leaves when it can. */
static void check_send(struct link *l, int r)
{
	if (r != 0)
		over(l);
	else if (ipc_wants_write(&l->ipc))
		event_add(l->wr, NULL);
}

static void send_empty(struct link *l, enum msg_type type, uint32_t way)
{
	check_send(l, ipc_send_empty(&l->ipc, type, way));
}

static void send_line(struct link *l, enum msg_type type, uint32_t way, const char *line)
{
	uint8_t mem[8 + LINE_MAX_LEN];
	struct buf b = { .data = mem, .cap = sizeof(mem), .max = sizeof(mem) };

	buf_put_string(&b, line, strnlen(line, LINE_MAX_LEN));
	check_send(l, ipc_send(&l->ipc, type, way, &b, NULL, 0));
}

static struct recording *find_way(struct link *l, uint32_t way)
{
	struct recording *r;

	LIST_FOREACH(r, &l->ways, of_link)
		if (r->way == way)
			return r;
	return NULL;
}

void link_committed(struct recording *r, uint64_t before)
{
	struct link *l = r->link;
	uint8_t mem[8];
	struct buf b = { .data = mem, .cap = sizeof(mem), .max = sizeof(mem) };

	if (l == NULL || l->over || r->committed == before)
		return;
	if (before == 0)
		send_empty(l, MSG_REC_OPENED, r->way);
	if (r->committed > 1) {
		buf_put_u64(&b, r->committed - 1);
		check_send(l, ipc_send(&l->ipc, MSG_REC_COMMIT, r->way, &b, NULL, 0));
	}
	if (!r->done)
		return;
	/* it may stay for a collector that lags: its session is done with it, and has its place again */
	send_empty(l, MSG_REC_CLOSED, r->way);
	queue_detach(r);
}

void link_alarm(struct recorder *rc, const char *line)
{
	uint8_t mem[8 + LINE_MAX_LEN];
	struct buf b = { .data = mem, .cap = sizeof(mem), .max = sizeof(mem) };

	log_error("ALARM: %s", line);
	buf_put_string(&b, line, strnlen(line, LINE_MAX_LEN));
	if (ipc_send(&rc->parent, MSG_REC_ALARM, 0, &b, NULL, 0) != 0)
		rc->stop = true;
}

void link_refuse(struct recorder *rc, struct recording *r, const char *line)
{
	char hex[2 * BREC_ID_LEN + 1];

	log_error("recording %s cannot go on: %s", hex_encode(hex, r->id, BREC_ID_LEN), line);
	if (r->link != NULL && !r->link->over)
		send_line(r->link, MSG_REC_REFUSED, r->way, line);
	queue_destroy(rc, r);
}

/* --- messages --- */

/*
 * Is that a recording that policy gave this session, and for the first time? Collectors keep an id that recorder has forgotten: what is said of
 * it the second time would be held against them, and what they say of the first against the second.
 */
static bool is_own_and_new(struct link *l, const uint8_t id[BREC_ID_LEN])
{
	unsigned place;
	uint64_t turn;

	if (l->slot == REC_SLOT_POLICY)
		return true;
	if ((turn = recid_turn(id, l->recid_key, &place)) == 0 || turn <= l->turns[place])
		return false;
	l->turns[place] = turn;
	return true;
}

/*
 * A refusal leaves nothing behind: what the session had sent before it knew is dropped unread
 * (on_message).
 */
static int on_open(struct link *l, struct ipc_msg *m)
{
	const uint8_t *id = buf_get(&m->body, BREC_ID_LEN), *part;
	const uint64_t now_ms = clock_mono_ms();
	struct recorder *rc = l->rc;
	struct recording *r;
	enum rec_set set;
	size_t len;

	part = buf_get_string(&m->body, BREC_PART_MAX, &len);
	if (!buf_end(&m->body) || find_way(l, m->id) != NULL || l->nways >= REC_WAYS_MAX || !is_own_and_new(l, id))
		return -1;
	set = glass_set(rc, id);
	if (!ship_quorum(rc, set)) {
		send_line(l, MSG_REC_REFUSED, m->id,
		    "bastiond: the recording store does not answer: no session without a recording, try again later");
		return 0;
	}
	if ((r = queue_open(rc, set, id, part, len)) == NULL) {
		if (errno != ENOMEM && errno != EMFILE)
			return -1;
		send_line(
		    l, MSG_REC_REFUSED, m->id, "bastiond: too many recordings at once: try again later");
		return 0;
	}
	if (l->slot != REC_SLOT_POLICY) {
		l->open_ms = (l->open_ms > now_ms ? l->open_ms : now_ms) + REC_OPEN_MS;
		l->open_long_ms = (l->open_long_ms > now_ms ? l->open_long_ms : now_ms) + l->long_every_ms;
	}
	r->way = m->id;
	r->link = l;
	r->share = l->share;
	l->share->refs++;
	l->waiting += r->waiting;
	l->nways++;
	LIST_INSERT_HEAD(&l->ways, r, of_link);
	ship_push_all(rc, r);
	return 0;
}

static int on_close(struct recorder *rc, struct recording *r, struct buf *b)
{
	uint64_t seq = buf_get_u64(b);
	uint8_t end = buf_get_u8(b);
	char reason[BREC_REASON_MAX + 1];

	buf_get_cstring(b, reason, sizeof(reason));
	if (!buf_end(b) || end < BREC_END_NORMAL || end > BREC_END_ABANDONED)
		return -1;
	return queue_close(rc, r, seq, (enum brec_end)end, reason);
}

/*
 * Each seal is a file, a leaf of the log and an object under lock, and each checkpoint a signature: a session that was taken over shall
 * not have more of them made than one that works.
 */
static int on_seal(struct link *l, struct recording *r, struct buf *b)
{
	uint64_t seq = buf_get_u64(b);
	const uint8_t *part;
	size_t len;

	part = buf_get_string(b, BREC_PART_MAX, &len);
	if (!buf_end(b) || (r->segment_bytes < REC_SEAL_BYTES && l->slot != REC_SLOT_POLICY &&
	    !queue_pace(&r->seal_ms, clock_mono_ms(), l->rc->seal_every_ms, REC_SEAL_BURST)))
		return -1;
	return queue_seal(l->rc, r, seq, part, len);
}

static int on_mark(struct link *l, struct recording *r, struct buf *b)
{
	uint64_t seq = buf_get_u64(b);

	if (!buf_end(b) || (l->slot != REC_SLOT_POLICY && !queue_pace(&r->mark_ms, clock_mono_ms(), REC_MARK_MS, REC_MARK_BURST)))
		return -1;
	return queue_mark(l->rc, r, seq);
}

static int on_message(struct link *l, struct ipc_msg *m)
{
	struct recording *r;
	int e;

	if (m->type == MSG_REC_OPEN)
		return on_open(l, m);
	/* which recordings are of break-glass grants is policy's to say, and no session's */
	if (m->type == MSG_REC_GLASS || m->type == MSG_REC_GLASS_OVER)
		return l->slot != REC_SLOT_POLICY ? -1 : m->type == MSG_REC_GLASS ? glass_ask(l->rc, &m->body) : glass_over(l->rc, &m->body);
	/* refused, or done: the session may not know yet */
	if ((r = find_way(l, m->id)) == NULL)
		return 0;
	switch (m->type) {
	case MSG_REC_FRAME:
		e = queue_frame(l->rc, r, m->body.data, m->body.len);
		break;
	case MSG_REC_MARK:
		e = on_mark(l, r, &m->body);
		break;
	case MSG_REC_SEAL:
		e = on_seal(l, r, &m->body);
		break;
	default:
		e = on_close(l->rc, r, &m->body);
	}
	if (e == 0)
		ship_push_all(l->rc, r);
	return e;
}

/*
 * Ms until this session may open another recording; 0: now. A recording costs a directory, leaves of the log and locked objects. Honest sessions
 * may have many hops, so they wait instead of being ended, and nothing of them is read meanwhile. The first pace lets all that one session can
 * have on their way (SESSION_WAYS_MAX) pass within a second. That is 1.7 million a day: after REC_OPEN_LONG_BURST it is one at which disk and log
 * last, and at which those on their way still pass before their session gives them up (dial_timeout): one that was given up keeps its place in
 * this link, in front of all that comes behind.
 */
static uint64_t open_wait(const struct link *l)
{
	const uint64_t now_ms = clock_mono_ms(), free_ms = now_ms + (REC_OPEN_BURST - 1) * REC_OPEN_MS,
	    long_ms = now_ms + (REC_OPEN_LONG_BURST - 1) * l->long_every_ms;
	const uint64_t wait = l->open_ms > free_ms ? l->open_ms - free_ms : 0, longer = l->open_long_ms > long_ms ? l->open_long_ms - long_ms : 0;

	return wait > longer ? wait : longer;
}

/*
 * Too much waits for the collectors: let the session's socket fill up, and so the session wait. What waits for one set stops nobody who
 * needs the other; nor policy, which bounds what it sends itself, and has to be heard just then.
 */
static bool must_pause(const struct link *l)
{
	const struct recording *r;

	if (l->waiting > REC_LINK_BYTES || open_wait(l) != 0)
		return true;
	if ((l->rc->waiting[SET_USUAL] <= REC_TOTAL_BYTES && l->rc->waiting[SET_GLASS] <= REC_TOTAL_BYTES) || l->slot == REC_SLOT_POLICY)
		return false;
	LIST_FOREACH(r, &l->ways, of_link)
		if (l->rc->waiting[r->set] > REC_TOTAL_BYTES)
			return true;
	return false;
}

/* When the time has come; libevent's own clock is coarser, and may be early: then it is set again. */
static void wait_for_time(struct link *l)
{
	const uint64_t ms = open_wait(l) + 1;
	const struct timeval tv = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000) * 1000 };

	if (ms != 1 && evtimer_add(l->later, &tv) != 0)
		over(l);
}

/* Until something changes: commits come, or the time does. */
static void pause_link(struct link *l)
{
	l->paused = true;
	event_del(l->rd);
	wait_for_time(l);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct link *l = arg;

	(void)fd, (void)what;
	for (int i = 0; i < REC_TURN_MESSAGES && !l->over; i++) {
		struct ipc_msg m;
		int r;

		if (must_pause(l)) {
			pause_link(l);
			return;
		}
		if ((r = ipc_recv(&l->ipc, &m)) == 0)
			return;
		if (r < 0) {
			over(l);
			return;
		}
		if (on_message(l, &m) != 0) {
			log_error("session %" PRIu32 ": %s for way %" PRIu32
				  " is not what may come now: its link is ended",
			    l->slot, msg_name(m.type), m.id);
			over(l);
		}
		ipc_msg_finish(&m);
	}
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct link *l = arg;

	(void)fd, (void)what;
	check_send(l, ipc_flush(&l->ipc));
}

/* What is to be done then does the end of this turn: link_turn. */
static void on_later(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

/* --- coming and going --- */

void link_up(struct recorder *rc, uint32_t slot, const uint8_t *key, int fd)
{
	struct link *l = key != NULL || slot == REC_SLOT_POLICY ? calloc(1, sizeof(*l)) : NULL;

	if (l == NULL || (l->share = calloc(1, sizeof(*l->share))) == NULL) {
		log_error("session %" PRIu32 ": %s", slot, key != NULL || slot == REC_SLOT_POLICY ? "out of memory" : "no key came for its recordings' ids");
		free(l);
		close(fd);
		return;
	}
	l->share->refs = 1;
	l->rc = rc;
	l->slot = slot;
	if (key != NULL)
		memcpy(l->recid_key, key, sizeof(l->recid_key));
	l->long_every_ms = rc->open_long_ms;
	LIST_INIT(&l->ways);
	ipc_init(&l->ipc, fd, ROLE_RECORDER, ROLE_SESSION);
	LIST_INSERT_HEAD(&rc->links, l, all);
	l->rd = event_new(rc->base, fd, EV_READ | EV_PERSIST, on_readable, l);
	l->wr = event_new(rc->base, fd, EV_WRITE, on_writable, l);
	l->later = evtimer_new(rc->base, on_later, l);
	if (l->rd == NULL || l->wr == NULL || l->later == NULL || event_add(l->rd, NULL) != 0) {
		over(l);
		return;
	}
	if (slot == REC_SLOT_POLICY) {
		link_state(rc);
		glass_state(rc);
	}
}

void link_policy(struct recorder *rc, enum msg_type type, const struct buf *body)
{
	struct link *l;

	LIST_FOREACH(l, &rc->links, all)
		if (l->slot == REC_SLOT_POLICY && !l->over)
			check_send(l, ipc_send(&l->ipc, type, 0, body, NULL, 0));
}

void link_state(struct recorder *rc)
{
	uint8_t up = rc->up[SET_USUAL];
	struct buf body;

	buf_view(&body, &up, sizeof(up));
	link_policy(rc, MSG_REC_STATE, &body);
}

/*
 * The session is gone. What it had not closed is closed for it, and shipped until the quorum has
 * it.
 */
static void link_destroy(struct link *l)
{
	struct recorder *rc = l->rc;
	struct recording *r;

	while ((r = LIST_FIRST(&l->ways)) != NULL) {
		queue_detach(r);
		if (r->closed)
			continue;
		if (queue_close(rc, r, r->next_seq, BREC_END_ABANDONED,
			"the session's process ended without closing the recording") != 0)
			log_error("session %" PRIu32 ": its recording could not be closed", l->slot);
		ship_push_all(rc, r);
	}
	if (l->rd != NULL)
		event_free(l->rd);
	if (l->wr != NULL)
		event_free(l->wr);
	if (l->later != NULL)
		event_free(l->later);
	ipc_finish(&l->ipc);
	share_release(l->share);
	explicit_bzero(l->recid_key, sizeof(l->recid_key));
	LIST_REMOVE(l, all);
	free(l);
}

void link_turn(struct recorder *rc)
{
	struct link *l, *next;

	for (l = LIST_FIRST(&rc->links); l != NULL; l = next) {
		next = LIST_NEXT(l, all);
		if (l->over) {
			link_destroy(l);
		} else if (l->paused && !must_pause(l)) {
			l->paused = false;
			if (event_add(l->rd, NULL) != 0)
				over(l);
		} else if (l->paused && !evtimer_pending(l->later, NULL)) {
			wait_for_time(l);
		}
	}
}

void link_end_all(struct recorder *rc)
{
	struct link *l;

	while ((l = LIST_FIRST(&rc->links)) != NULL) {
		/* what the session had said before it was told to end counts */
		for (int i = 0; i < REC_END_TURNS && !l->over; i++)
			on_readable(-1, 0, l);
		link_destroy(l);
	}
}
