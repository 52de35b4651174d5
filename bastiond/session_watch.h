/*
 * session_watch.h - a session that is watched (session_watch.c), and one that watches another (session_view.c). Part of session.h.
 */
#ifndef BASTION_SESSION_WATCH_H
#define BASTION_SESSION_WATCH_H

#include "buf.h"
#include "ipc.h"

#define WATCHERS_MAX 16		/* of one connection; max_watchers is no more */

struct chan;
struct session;
struct viewer;
struct watcher;

/* session_watch.c: this connection is watched. */
void watch_policy(struct session *s, struct ipc_msg *m);	/* WATCH, WATCH_STOP */
void watch_open(struct chan *c);				/* the channel is live; does nothing if it is no terminal */
void watch_put(struct chan *c, const void *data, size_t len, uint64_t seq); /* the client was sent this */
void watch_resized(struct chan *c);
void watch_left(struct chan *c);				/* the channel is over, or no longer a target's */
void watch_step(struct session *s);				/* after all else in a turn */
int watch_fd(const struct session *s, size_t i, short *events);	/* for poll(2); -1: no watcher in this place */
void watch_ready(struct session *s, size_t i, short revents);
void watch_finish(struct session *s, const char *line);
void watch_report(struct session *s, struct buf *b);		/* the body of PONG */

/* session_view.c: this connection watches. */
/* May this channel? False: it was told why not. Before policy is asked. */
bool viewing_may(struct chan *c);
/* Policy's reply to `watch` is good: JSON. False: it is not; the words are done then. */
bool viewing_start(struct chan *c, const char *json, size_t len);
void viewing_policy(struct session *s, struct ipc_msg *m);		/* VIEW_RE */
int viewing_fd(const struct session *s, short *events);		/* for poll(2); -1: nothing to wait for */
void viewing_ready(struct session *s);
/* Is this channel's terminal a viewer's now? Then what is typed goes there. */
bool viewing_has(const struct chan *c);
void viewing_step(struct chan *c);
void viewing_resize(struct chan *c);
void viewing_left(struct chan *c);					/* the channel is over */

#endif
