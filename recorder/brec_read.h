/*
 * brec_read.h - the auditor's end of a recording: a directory of segments in, events out.
 *
 * Runs in bastion-replay. Decrypts with age identities; works on what is there: whole, cut, abandoned or
 * still growing recordings. It proves nothing about the signatures: that is brec_verify.h, which comes first.
 */
#ifndef BASTION_BREC_READ_H
#define BASTION_BREC_READ_H

#include "age.h"
#include "brec.h"

struct brec_reader;

enum brec_item_type {
	BREC_ITEM_EVENT,	/* an event that could be decrypted */
	BREC_ITEM_LOCKED,	/* a data frame of a stream that the identities do not open */
	BREC_ITEM_MARK,		/* a checkpoint or a seal: wall_us says when it was made */
	BREC_ITEM_CLOSE,	/* the recording is closed: end, reason; nothing follows */
};

struct brec_item {
	enum brec_item_type type;
	enum brec_stream stream;	/* event, locked */
	struct brec_event event;	/* whole: pieces are put together, those of each stream by themselves; data lives until the next call */
	uint64_t seq;			/* of its (last) frame */
	uint32_t segment;
	int64_t wall_us;		/* mark, close */
	enum brec_end end;		/* close */
	char reason[BREC_REASON_MAX + 1];
};

struct brec_info {
	uint8_t id[BREC_ID_LEN];
	uint8_t signer[32];
	int64_t wall_us;		/* of segment 0's header: event time t is about wall_us + t */
	bool can_read[BREC_STREAMS];	/* as far as was read */
	uint64_t locked[BREC_STREAMS];	/* data frames passed over for want of a key */
	bool closed;			/* the close frame was read */
	uint64_t seq;			/* last frame read */
	uint32_t segments;		/* opened so far */
};

/*
 * Opens a recording's directory; ids may be NULL or empty (everything is locked) and must outlive the reader.
 * NULL with a sentence in err.
 */
struct brec_reader *brec_reader_open(const char *dir, const struct age_identities *ids, char *err, size_t errsize);
void brec_reader_close(struct brec_reader *r);
/*
 * The next item, in the order in which it happened. 1; 0: nothing more now (the end of a recording without a close
 * frame; it may grow: call again); -1: what follows cannot be read, see brec_reader_error.
 */
int brec_reader_next(struct brec_reader *r, struct brec_item *it);
/*
 * What came of an event of this stream whose last piece did not, as when the bastion was killed while it wrote it. Asked behind the last item. False:
 * nothing; data lives until the next call.
 */
bool brec_reader_begun(const struct brec_reader *r, enum brec_stream stream, struct brec_event *e);
/* Where and why, one line with file and byte; "" if nothing is wrong. It stays with the reader. */
const char *brec_reader_error(const struct brec_reader *r);
/* What is known so far. */
const struct brec_info *brec_reader_info(const struct brec_reader *r);
/* How many segments there are now, whether read or not; it looks at the directory. */
uint32_t brec_reader_segments(struct brec_reader *r);
/* Starts again from segment 0. 0, or -1. */
int brec_reader_rewind(struct brec_reader *r);

#endif
