/*
 * brec_writer.h - the session's end of a recording: events in, encrypted frames out.
 *
 * Runs in the session process; holds the content keys, which exist nowhere else. No I/O: what is made
 * goes to the ops, in order. Comes after relay_*.c, before role_recorder.c.
 */
#ifndef BASTION_BREC_WRITER_H
#define BASTION_BREC_WRITER_H

#include "brec.h"

struct brec_writer;

/* Each returns 0, or -1: the writer is then broken and every later call fails. */
struct brec_writer_ops {
	int (*frame)(void *ctx, const uint8_t *frame, size_t len, uint64_t seq);
	int (*mark)(void *ctx, uint64_t seq);		/* recorder puts a checkpoint frame with this sequence here */
	int (*seal)(void *ctx, uint64_t seq, const struct buf *part); /* seal frame, then the next segment's part */
	int (*close)(void *ctx, uint64_t seq, enum brec_end end, const char *reason);
};

/*
 * recipients, input_recipients: NULL-terminated lists of "age1…"; input_recipients empty: the same as recipients.
 * now_us: monotonic; event times count from it. NULL with errno (EINVAL: a recipient is no valid age1 key).
 */
struct brec_writer *brec_writer_create(const uint8_t id[BREC_ID_LEN], const char *const *recipients,
    const char *const *input_recipients, uint64_t now_us, const struct brec_writer_ops *ops, void *ctx);
/* Wipes the keys. */
void brec_writer_destroy(struct brec_writer *w);

/*
 * Other recipients, from the next segment on, which begins before the next event: for a change of auditors, and for
 * `second`, a list of which one is needed together with one of input_recipients to read input (empty: it is not; without
 * input_recipients it must be). Before brec_writer_part() was called, they hold for segment 0. 0, or -1 with errno EINVAL:
 * nothing changed.
 */
int brec_writer_recipients(struct brec_writer *w, const char *const *recipients, const char *const *input_recipients,
    const char *const *second);

/* Other limits than brec.h's for a segment, 0: unchanged. Before the first event. */
void brec_writer_limits(struct brec_writer *w, size_t segment_bytes, unsigned segment_seconds);

/* The session's part of segment 0's header, for REC_OPEN. 0 or -1. */
int brec_writer_part(struct brec_writer *w, struct buf *out);

/*
 * Adds an event; long data is split over frames (all but i, o, e: at most BREC_EVENT_MAX). Frames go to ops as they fill
 * up, and before an event of another stream, so that the order of frames is the order of events. Returns the sequence of
 * the frame that holds, or will hold after the next flush, the last byte of it; 0 on error.
 */
uint64_t brec_writer_event(struct brec_writer *w, enum brec_stream stream, enum brec_kind kind, uint64_t now_us,
    uint64_t channel, const void *data, size_t len);
/* Ends the frames that are being filled. The relay calls it once a turn of its loop. */
int brec_writer_flush(struct brec_writer *w, uint64_t now_us);
/* Checkpoints (1 s after a frame while busy, 60 s idle) and seals that are due; returns ms until the next is, -1 on error. */
int brec_writer_tick(struct brec_writer *w, uint64_t now_us);
/* Flush and the close frame. Nothing may follow. */
int brec_writer_close(struct brec_writer *w, uint64_t now_us, enum brec_end end, const char *reason);
/* Sequence of the last frame given to ops, 0 before the first. */
uint64_t brec_writer_seq(const struct brec_writer *w);

#endif
