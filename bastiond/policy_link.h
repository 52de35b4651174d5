/*
 * policy_link.h - a link (common/ipc.h) in policy's event loop, and the safe end of what owns it.
 *
 * Role policy. A link is the first member of the object that it belongs to (peer, worker, client).
 * An object may end while its own message is handled; so nothing is freed there: link_bury() closes
 * the link and hands the object to links_reap(), which the loop calls between turns.
 */
#ifndef BASTION_POLICY_LINK_H
#define BASTION_POLICY_LINK_H

#include <event2/event.h>

#include "ipc.h"

#define LINK_CROWD 2	/* libevent's priority of what sessions and local accounts send; all else has 1, the default of three */
#define LINK_BURST 64	/* messages of one peer in one turn: nobody starves the others, */
#define LINK_TURN_MS 20	/* and none of them begins later in it than this: some take long */

/* The limit of what a peer, or a local account, may ask: `BUCKET_BURST` at once, `BUCKET_RATE` a second. */
#define BUCKET_BURST 256
#define BUCKET_RATE 32
struct bucket {
	uint32_t tokens;
	uint64_t filled_ms;
};

void bucket_fill(struct bucket *b); /* to the brim */
/* Takes a token; false: there is none. _at: with so many fresh ones a second. */
bool bucket_take(struct bucket *b);
bool bucket_take_at(struct bucket *b, uint64_t rate);

struct link;

struct link_ops {
	/* One message; what it took of the fds it took. 0, or -1: malformed, ended() follows. */
	int (*message)(struct link *l, struct ipc_msg *m);
	/* The link is over, closed already. `error`: 0 end of file, EPERM not permitted or
	   malformed, or the socket's. */
	void (*ended)(struct link *l, int error);
};

struct link {
	struct ipc ipc;
	struct event *in, *out;
	const struct link_ops *ops;
	bool open;		/* false before link_open and after link_close */
	int error;		/* a send failed: ended() is due */
	bool buried;
	struct link *next_dead;
};

/* Takes over fd (closed on failure too). 0, or -1 without memory. */
int link_open(struct link *l, struct event_base *base, int fd, enum role peer,
    const struct link_ops *ops);
/* The same for a link on which policy plays another role's part (msg.h, POLICY_RECORD). */
int link_open_as(struct link *l, struct event_base *base, int fd, enum role self, enum role peer,
    const struct link_ops *ops);
/* What comes on it waits with the crowd. After link_open(). */
void link_demote(struct link *l);
/* Closes it; ended() is not called. Safe to call again. */
void link_close(struct link *l);
/* Closes it and frees the object, which is heap memory and starts with `l`, between turns of the
   loop. */
void link_bury(struct link *l);
void links_reap(void);

/*
 * Sends, or queues and writes later. 0, or -1: the link was closed already, or is broken now
 * (ended() comes from the loop) and the fds stay the caller's, as ever. `body` may be NULL.
 */
int link_send(struct link *l, enum msg_type type, uint32_t id, const struct buf *body,
    const int *fds, int nfds);
int link_send_empty(struct link *l, enum msg_type type, uint32_t id);
/* u8 value and nothing else: the verdicts. */
int link_send_u8(struct link *l, enum msg_type type, uint32_t id, uint8_t value);

/* Reads and handles what waits now, up to LINK_BURST, however long it takes: who knows that the sender is gone does it. The loop does the
   same in turns of LINK_TURN_MS. */
void link_read(struct link *l);

#endif
