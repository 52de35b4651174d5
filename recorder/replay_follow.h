/*
 * replay_follow.h - the parts of `bastion-replay follow`: a recording that is still written.
 *
 *   replay_follow.c        the command; what grows is verified, read, and put on a tape
 *   replay_follow_text.c   as lines, where standard output is no terminal
 */
#ifndef BASTION_REPLAY_FOLLOW_H
#define BASTION_REPLAY_FOLLOW_H

#include "brec_follow.h"
#include "replay_player.h"

#define FOLLOW_STALL_SECONDS 90	/* a bastion signs at least once a minute: that long without anything is a stall */
#define FOLLOW_LOOK_MS 5000	/* looked at so often all the same: the kernel does not tell of all file systems */
#define FOLLOW_PIECE 4096	/* events taken between two looks at the keys */

/* Where the recording stands. */
enum follow_state { FOLLOW_GOES_ON, FOLLOW_ENDED, FOLLOW_WRONG };

/* What is taken from a recording as it grows. */
struct follow {
	const char *dir;
	const struct age_identities *ids;
	struct brec_reader *reader;
	struct brec_follow proof;
	bool proven;			/* there are keys to believe: proof is used */
	int notify;			/* inotify; -1: there is none */
	struct scan scan;		/* what is known of it so far */
	uint64_t seen, scanned;		/* events: handed out since the start or the last rewind; in scan */
	int64_t news_us;		/* monotonic: when something came last; may be before the machine started */
	bool caught_up;			/* what was there at the start was read: from now on it is news */
	enum follow_state state;
	char end[BREC_REASON_MAX + 64];	/* how it ended, or what is wrong: safe to print */
};

/* Opens it. trust may have no signers: then nothing is verified. 0, or -1: said on standard error. */
int follow_open(struct follow *f, const char *dir, const struct age_identities *ids, const struct brec_trust *trust);
void follow_close(struct follow *f);
/* The next event that is proven to continue what came before; its data lives until the next call. 1; 0: none now, f->state says why. */
int follow_next(struct follow *f, struct brec_event *e);
/* From the beginning again. 0, or -1: f->state. */
int follow_rewind(struct follow *f);
/* After f->notify could be read. */
void follow_drain(struct follow *f);
/* Seconds since anything came. */
uint64_t follow_quiet(const struct follow *f);

/* replay_follow_text.c: lines on standard output until it ends. An exit status. */
int follow_as_text(const struct args *a, struct follow *f);

#endif
