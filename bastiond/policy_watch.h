/*
 * policy_watch.h - who watches whom: from the word `watch` to the event that it is over. Role policy.
 *
 *   NAMED ──VIEW_ASK──▶ ASKED ──WATCH_RE──▶ DRAWN ──▶ over
 *     the word was      the watched session   a viewer runs; its terminal went to who asked
 *     allowed, event    has its end of the
 *     written           link
 *
 * The owner of a watch is the link that asked for it: a session's or a control client's. Policy makes the link between the watched session
 * and the viewer and keeps no end of it; what it holds is the viewer's life: whoever's right ends, the session is told, and a viewer
 * that is still there WATCH_STOP_MS later is killed (promise P7).
 */
#ifndef BASTION_POLICY_WATCH_H
#define BASTION_POLICY_WATCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ipc.h"

#define WATCHES_MAX 64		/* at once, on the whole bastion */
#define WATCH_CLAIM_MS 10000	/* from one step to the next */
#define WATCH_STOP_MS 700	/* for the viewer to say why, and go */

struct actor;
struct link;
struct peer;
struct policy;

/* --- what control.c asks of us: see control.h --- */
uint32_t watch_new(void *arg, const struct actor *who, const char *name, int64_t connection, uint32_t terminal,
    char *line, size_t size);
void watch_settle(void *arg, uint32_t watch, bool done);
void watch_session_live(void *arg, int64_t connection, int64_t way, json_t *row);

/* --- messages; 0, or -1: the link must end --- */
int watch_on_view(struct policy *p, struct link *owner, struct ipc_msg *m); /* VIEW_ASK, CTL_VIEW */
int watch_on_re(struct peer *peer, struct ipc_msg *m);
int watch_on_over(struct peer *peer, struct ipc_msg *m);

/* --- ends --- */
/* The one who watches is gone; may be told again, and for links that watch nothing. */
void watch_owner_gone(struct policy *p, const struct link *owner);
/* The watched session is gone: its watches are over at once. */
void watch_peer_gone(struct peer *peer);
/* This user may do nothing any more. */
void watches_of_user_end(struct policy *p, int64_t user_id, const char *line);
/* Every second: asks for each watcher's right anew; drops what nobody goes on with. */
void watches_tick(struct policy *p, uint64_t now_ms);
bool watch_owned(const struct policy *p, const struct link *owner);
void watches_finish(struct policy *p);

#endif
