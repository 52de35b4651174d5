/*
 * policy_events.h - the recording of the events: from the rows of the database to recorder.
 *
 * Role policy. The rows are written first, by whoever has something to report (approvals/event.h), and
 * are durable then; nobody waits for the recording. policy_core.c calls events_turn() after each turn
 * of the loop: what was committed meanwhile is encrypted to the auditors (brec_writer.h) and goes to
 * recorder over a link on which policy plays a session's part (msg.h). What the quorum has is noted in
 * the database, and a new start goes on from there.
 */
#ifndef BASTIOND_POLICY_EVENTS_H
#define BASTIOND_POLICY_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

struct policy;

#define EVENTS_BATCH_ROWS 64		/* rows in one frame, */
#define EVENTS_BATCH_BYTES 32768	/* or so many bytes */
#define EVENTS_AHEAD 16			/* frames that wait for the quorum; what is more waits in the database */
#define EVENTS_SEGMENT_SECONDS 600	/* a segment is sealed at this age: with it the events in it are archived */
#define EVENTS_RECORDING_BYTES (64U << 20) /* a recording ends at this size, or at the end of the day (UTC) */
#define EVENTS_SAVE_MS 5000		/* how far the collectors are is noted at most this often */
#define EVENTS_LATE_S 60		/* alarm when events wait for longer than this */
#define EVENTS_GLASS_MS 60000		/* alarm when there are no break-glass collectors for longer than this */
#define EVENTS_RETRY_MS 1000		/* between two attempts to open a recording; doubles with each that brings nothing, up to */
#define EVENTS_RETRY_MAX_MS 60000
#define EVENTS_PRUNE_MS 3600000		/* so often it is looked for what may go */

/* Takes over the link that parent made to recorder. 0, or -1 logged: policy cannot go on. */
int events_link(struct policy *p, int fd);
/* There are new events. */
void events_added(struct policy *p);

/* control.shipped: arg is struct policy. */
bool events_shipped(void *arg, int64_t *number, uint8_t hash[32]);

struct events_state {
	bool store_up;		/* the collectors answer */
	bool glass_up;		/* those for break-glass do */
	int64_t acked;		/* they have the events up to this number, */
	int64_t lag;		/* and wait for the next since so many seconds */
};
void events_state(struct policy *p, struct events_state *state);
/* REC_GLASS: the answer goes to glass_answer(). 0, or -1: recorder cannot be asked. */
int events_ask_place(struct policy *p, const uint8_t recording[16]);
/* REC_GLASS_OVER: its way is over. */
void events_end_place(struct policy *p, const uint8_t recording[16]);
/* After each turn of the loop: gives recorder what is new. Cheap when nothing is. */
void events_turn(struct policy *p);
/* Once a second: checkpoints, a new recording at the end of the day, the note of what arrived, the alarm, pruning. */
void events_tick(struct policy *p, uint64_t now_ms);
/* The configuration changed: the next events go into a new recording, for the auditors of now. */
void events_reload(struct policy *p);
/* The end: a close frame, if there is a recording. Safe without events_link(). */
void events_finish(struct policy *p);

/* Before the sandbox: everything that OpenSSL does late is done once. 0, or -1: the recipients are no good. */
struct config;
int events_warm(const struct config *conf);

#endif
