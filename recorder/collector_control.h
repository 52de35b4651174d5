/*
 * collector_control.h - the words that an administrator says to a running collector: hold and release.
 *
 * Runs in bastion-collectord. A socket in the store's journal directory, for root and the collector's own account, known by the kernel.
 * One line a connection, "hold ID FOR WHY" or "release ID FOR WHY" with tabs between and a line feed behind; FOR is who asks, as he says, and
 * may be empty. The answer is one line, "ok …" or "error …"; with ok it is in the log of recordings and durable.
 */
#ifndef BASTION_COLLECTOR_CONTROL_H
#define BASTION_COLLECTOR_CONTROL_H

#include "collector_conn.h"

#define CONTROL_LINE_MAX 1024
#define CONTROL_CONNS_MAX 8
#define CONTROL_SECONDS 10

/* Listens. 0, or -1 logged. */
int control_start(struct server *sv);
/* The other end, bastion-collectord -H and -U: says it, prints the answer. An exit status. */
int control_say(const struct coll_conf *c, bool hold, const char *id, const char *why);

#endif
