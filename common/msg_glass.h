/*
 * msg_glass.h - the part of the list in msg.h, which includes it, that is about where recordings of break-glass grants go: on the link
 * between policy, which plays a session's part there, and recorder.
 */
#ifndef BASTION_MSG_GLASS_H
#define BASTION_MSG_GLASS_H

/* REC_GLASS_RE */
enum rec_place {
	REC_PLACE_USUAL,	/* the collectors answer: nothing is different */
	REC_PLACE_GLASS,	/* they do not, but those for break-glass do */
	REC_PLACE_NONE,
};

#define MSG_LIST_GLASS(M)                                                                             \
	/* on policy's link alone, id = 0. b16 recording id: it is of a break-glass grant, where will it be stored? */ \
	M(REC_GLASS,      SESSION,  RECORDER, S_ANY,     16,    0, 0)                                 \
	/* b16 recording id; u8 enum rec_place. REC_PLACE_GLASS: its REC_OPEN, which must come soon, goes there */ \
	M(REC_GLASS_RE,   RECORDER, SESSION,  S_ANY,     17,    0, 0)                                 \
	/* b16 recording id: its way is over. If it was not opened it has no place any more */        \
	M(REC_GLASS_OVER, SESSION,  RECORDER, S_ANY,     16,    0, 0)                                 \
	/* u8 up: could break_glass_collector take a recording now? */                                 \
	M(REC_GLASS_STATE, RECORDER, SESSION, S_ANY,     1,     0, 0)

#endif
