/*
 * role_recorder.h - inside the recorder role: links of sessions, recordings, connections to collectors.
 *
 *   role_recorder.c          start, loop, the end
 *   role_recorder_load.c     keys, collectors: at the start, and anew at a reload
 *   role_recorder_link.c     a session's link: its messages become entries, commits go back
 *   role_recorder_glass.c    which recordings go to the collectors for break-glass
 *   role_recorder_queue.c    a recording: chain, entries in memory, who has what, the quorum. No I/O
 *   role_recorder_ship.c     a collector: TLS, entries out, commits and receipts in, reconnection
 *
 * There are two sets of collectors, each with its quorum: the usual one, and the one for break-glass. A recording is opened in one of
 * them, and stays there to its close frame: its frames, commits and receipts are of that set alone.
 *
 * An entry (wire.h) is encoded once; each collector gets the same bytes, and again the same after a reconnection. It stays in memory until
 * all collectors have it, or the quorum has it and the memory is needed.
 */
#ifndef BASTION_ROLE_RECORDER_H
#define BASTION_ROLE_RECORDER_H

#include <sys/queue.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "brec.h"
#include "config.h"
#include "crypto_recid.h"
#include "ipc.h"
#include "wire.h"
#include "wire_tls.h"

#define REC_BUCKETS 4096
#define REC_SLOT_POLICY 0			/* no session has it: policy's link, the source of events */
#define REC_WAYS_MAX 128			/* recordings open in one session */
#define REC_RECORDINGS_MAX 65536		/* all that are in memory */
#define REC_KEEP_COUNT (REC_RECORDINGS_MAX / 4 * 3)	/* so many, and those that only a slow collector lacks go */
#define REC_LINK_BYTES (1U << 20)		/* uncommitted bytes of a session: over it, its link is not read */
#define REC_TOTAL_BYTES (512U << 20)		/* the same for all sessions together */
#define REC_KEEP_BYTES (1U << 20)		/* of a recording, committed but missing at a slow collector */
#define REC_KEEP_TOTAL (256U << 20)
#define REC_KEEP_SESSION (64U << 20)		/* of all recordings of a session: it alone does not fill the total, and have those of others given up */
#define REC_GLASS_ALLOWED 64			/* recordings that policy announced as break-glass and that are not open yet */
#define REC_GLASS_MS 30000			/* an announced one must be open within this */
#define REC_SEAL_BYTES (32U << 10)		/* a segment of this size may be sealed whenever its session says so */
#define REC_SEAL_BURST 16			/* seals of smaller segments allowed at once; then two in a segment_time */
#define REC_MARK_BURST 64			/* checkpoints that a session may ask for at once; it asks for one a second */
#define REC_MARK_MS 500				/* then one in each of these */
#define REC_OPEN_BURST 64			/* recordings that a session may open at once */
#define REC_OPEN_MS 50				/* then one in each of these; what it says meanwhile waits */
#define REC_OPEN_LONG_BURST 2000		/* recordings after which the pace is the slow one */
#define REC_OPEN_LONG_MS 500			/* the slow one: one in each of these, or faster, so that in dial_timeout */
#define REC_OPEN_LONG_WAYS 20			/* this many pass: those on their way (SESSION_WAYS_MAX), and some that gave up */
#define REC_TURN_MESSAGES 64			/* messages of one session before the others get their turn */
#define REC_END_TURNS 16				/* so many such turns are read from each link at the end */
#define SHIP_OUTPUT_BYTES (2U << 20)		/* handed to TLS and not sent yet */
#define SHIP_RETRY_MS 100			/* first pause before a reconnection; doubles up to */
#define SHIP_RETRY_MAX_MS 3000
#define SHIP_HELLO_MS 5000			/* for TLS and HELLO */
#define SHIP_SILENCE_MS 5000			/* unacknowledged by TCP for so long: the connection is dead */
#define SHIP_SILENT_TICKS 5			/* acknowledgements owed for so many seconds: it hangs, the connection is made anew */
#define SHIP_RECEIPT_MS 10000			/* a commit without a receipt for so long is an alarm, */
#define SHIP_STILL_MS 500			/* if it said anything so long after the commit, when the receipt was due; */
#define SHIP_STILL_MAX 3			/* or if it fell silent so often just then, and gave no receipt in between */

enum rec_set { SET_USUAL, SET_GLASS, SET_COUNT };

struct entry {
	STAILQ_ENTRY(entry) link;
	uint64_t seq;
	uint8_t h[BREC_HASH_LEN];
	size_t len;
	uint8_t data[];			/* the message */
};
STAILQ_HEAD(entries, entry);

/* The key that signs a recording from its first header to its close; a reload brings another one for later ones. */
struct signer {
	struct sign_key *key;
	uint8_t pub[KEY_LEN];
	unsigned refs;			/* recordings, and rc->signer */
};

/* What is committed and kept of a session's recordings, in bytes; counted, as they outlive its link. */
struct share { unsigned refs; size_t kept; };

/* A recording at one collector. */
struct copy {
	uint64_t has;			/* entries that it acknowledged: the last is number has - 1 */
	uint8_t h[BREC_HASH_LEN];	/* of that one */
	struct entry *unacked;		/* first that it has not acknowledged; NULL: none in memory */
	struct entry *next;		/* first to send; NULL: none */
	bool synced;			/* this connection knows where it stands */
	bool lost;			/* it cannot get this recording any more */
};

struct link;

struct recording {
	LIST_ENTRY(recording) bucket;
	TAILQ_ENTRY(recording) all;
	LIST_ENTRY(recording) of_link;
	struct link *link;		/* NULL: its session has ended, or knows that the recording is done */
	struct signer *signer;		/* counted */
	struct share *share;		/* counted; NULL: nobody's */
	enum rec_set set;		/* whose collectors have it; the copies of the others are lost from the start */
	unsigned quorum;		/* of that set, as it was when the recording was opened */
	uint32_t way;
	uint8_t id[BREC_ID_LEN];
	uint64_t opened_us;
	uint32_t segment;
	size_t segment_bytes;		/* of data frames in it */
	uint64_t seal_ms, mark_ms;	/* queue_pace */
	uint64_t next_seq;		/* that the session's next frame must have */
	uint8_t h[BREC_HASH_LEN];	/* chain value that it hangs on */
	struct entries entries;
	struct entry *uncommitted;	/* first that the quorum has not acknowledged */
	uint64_t committed;		/* entries that the quorum has acknowledged */
	size_t bytes, waiting;		/* in memory; of these uncommitted */
	bool closed;			/* the close frame was made */
	bool done;			/* and committed */
	struct copy copies[CONFIG_COLLECTORS_MAX];
};
TAILQ_HEAD(recordings, recording);
LIST_HEAD(recording_list, recording);

/* A session's link. */
struct link {
	LIST_ENTRY(link) all;
	struct recorder *rc;
	uint32_t slot;
	uint8_t recid_key[RECID_KEY_LEN];
	uint64_t turns[RECID_PLACES];	/* of the recording that was opened last at each place */
	struct ipc ipc;
	struct event *rd, *wr, *later;	/* later: it may open one again */
	struct share *share;		/* counted */
	struct recording_list ways;
	unsigned nways;
	/* when all that it opened would have been one by one, in REC_OPEN_MS each, and in what open_long_ms of its recorder was at its start */
	uint64_t open_ms, open_long_ms, long_every_ms;
	size_t waiting;			/* uncommitted bytes of its recordings */
	bool paused, over;
};
LIST_HEAD(link_list, link);

enum ship_state { SHIP_DOWN, SHIP_CONNECTING, SHIP_UP, SHIP_BARRED, SHIP_OFF /* the place is free */ };

/* How a collector is met: our certificate and key, its certificates and receipt keys. */
struct ship_tls {
	SSL_CTX *ctx;
	struct tls_pins pins;		/* ctx looks here */
	uint8_t client[HASH_LEN];	/* of our certificate and key: to see a change */
};

struct ship {
	struct recorder *rc;
	unsigned i;			/* index in copies */
	enum rec_set set;
	char name[64];
	struct config_addr addr;
	struct ship_tls *tls;
	struct ship_tls *before;	/* after a change of our certificate, until the new one worked: the one that did */
	uint8_t wanted[HASH_LEN];	/* tls->client of the last reload */
	bool leaving;			/* not in the configuration any more: keeps what it has begun, gets nothing new */
	struct bufferevent *bev;
	struct event *timer;		/* DOWN: next try; CONNECTING: limit */
	enum ship_state state;
	bool full;			/* its store has no room: no new recordings, */
	bool stands;			/* and it acknowledges nothing */
	bool behind;			/* entries wait until its output drains */
	bool said;			/* the failure to reach it was logged, */
	bool gave_up;			/* and that it is so far behind that recordings are not kept for it any more */
	unsigned retry_ms;
	uint8_t key[KEY_LEN];		/* its receipt key */
	uint64_t owes_receipt_ms;	/* since when; 0: none */
	uint64_t heard_ms;		/* when it last said something */
	unsigned still;			/* times that it fell silent behind a commit, since its last receipt */
	bool heard;			/* a message came since the last tick */
	unsigned silent;		/* ticks without one, while it owes acknowledgements */
};

struct recorder {
	struct event_base *base;
	struct config *conf;
	struct ipc parent;
	struct event *parent_rd, *tick, *ready;
	struct signer *signer;
	uint8_t boot_id[16];
	struct ship ships[CONFIG_COLLECTORS_MAX];
	unsigned nships, quorum[SET_COUNT];
	struct recording_list buckets[REC_BUCKETS];
	struct recordings all;
	size_t count, kept;		/* recordings; bytes committed but kept */
	size_t waiting[SET_COUNT];	/* bytes uncommitted */
	uint64_t seal_every_ms, open_long_ms; /* of the shortest segment_time and dial_timeout since the start: sessions keep theirs */
	struct link_list links;
	struct { uint8_t id[BREC_ID_LEN]; uint64_t until_ms; } allowed[REC_GLASS_ALLOWED];	/* until_ms 0: free */
	bool up[SET_COUNT], told_ready, stop;
};

/* --- role_recorder_load.c --- */

/* At the start, still root. 0, or -1 logged. */
int load_first(struct recorder *rc);
/* At a reload: fds are a configuration and a bundle. Whatever is wrong is logged, and then nothing changes. */
void load_again(struct recorder *rc, const int *fds);
struct signer *signer_take(struct signer *s);
/* Erases the key with the last reference. NULL is fine. */
void signer_release(struct signer *s);

/* --- role_recorder_queue.c --- */

struct recording *queue_find(struct recorder *rc, const uint8_t id[BREC_ID_LEN]);
/*
 * Makes the recording with its OPEN entry, for the collectors of that set. NULL: errno EEXIST, ENOMEM, EINVAL (part malformed),
 * EMFILE (limit).
 */
struct recording *queue_open(
    struct recorder *rc, enum rec_set set, const uint8_t id[BREC_ID_LEN], const uint8_t *part, size_t len);
/* Each appends one entry: 0, or -1: the session broke the rules (sequence, epoch, format) or memory is short. */
int queue_frame(struct recorder *rc, struct recording *r, const uint8_t *frame, size_t len);
int queue_mark(struct recorder *rc, struct recording *r, uint64_t seq);
int queue_seal(struct recorder *rc, struct recording *r, uint64_t seq, const uint8_t *part, size_t len);
int queue_close(struct recorder *rc, struct recording *r, uint64_t seq, enum brec_end end, const char *reason);

/*
 * Something that may come `burst` times at once, and then once in every_ms (0: whenever it likes): is it in time at now_ms? *state is
 * zeroed at first.
 */
bool queue_pace(uint64_t *state, uint64_t now_ms, uint64_t every_ms, unsigned burst);

/* Collector i acknowledged everything up to seq. 0: fine (r->committed may have moved); -1: h is not that of the entry, or there is none. */
int queue_ack(
    struct recorder *rc, struct recording *r, unsigned i, uint64_t seq, const uint8_t h[BREC_HASH_LEN]);
/* A connection says that its collector stores everything up to seq (`some`) or nothing: where sending goes on. As queue_ack. */
int queue_resume(struct recorder *rc, struct recording *r, unsigned i, bool some, uint64_t seq,
    const uint8_t h[BREC_HASH_LEN]);
/* Would there be a quorum for it without collector i? */
bool queue_spares(const struct recording *r, unsigned i);
/* It can have no more of it. False: there is no quorum for the recording any more. */
bool queue_lose(struct recorder *rc, struct recording *r, unsigned i);
/* Frees what nobody needs any more; destroys a recording that is over. True if it was. */
bool queue_release(struct recorder *rc, struct recording *r);
/* Takes it from its session's link, if it is in one. */
void queue_detach(struct recording *r);
void share_release(struct share *s);
void queue_destroy(struct recorder *rc, struct recording *r);

/* --- role_recorder_link.c --- */

/* key: of the ids that policy gives the session; NULL for policy's own link, which may open any. Takes fd. */
void link_up(struct recorder *rc, uint32_t slot, const uint8_t *key, int fd);
/* r->committed moved from `before`: tell the session. One that is done leaves its link. */
void link_committed(struct recording *r, uint64_t before);
/* To parent, and from there to policy, which keeps it as an event: somebody must look. Logs it, too. */
void link_alarm(struct recorder *rc, const char *line);
/* The recording cannot go on: its session hears it, and it is destroyed. */
void link_refuse(struct recorder *rc, struct recording *r, const char *line);
/* Tells policy whether the quorum of the usual collectors is there. */
void link_state(struct recorder *rc);
/* Frees the links that are over, and their recordings' ties; lets paused ones go on. After each turn of the loop. */
void link_turn(struct recorder *rc);
void link_end_all(struct recorder *rc);
/* To policy's link, if it is there: a message with id 0. */
void link_policy(struct recorder *rc, enum msg_type type, const struct buf *body);

/* --- role_recorder_glass.c --- */

/* REC_GLASS: answers, and notes the recording if it goes to the collectors for break-glass. -1: malformed. */
int glass_ask(struct recorder *rc, struct buf *b);
/* REC_GLASS_OVER: the place of what will not be opened is another one's. -1: malformed. */
int glass_over(struct recorder *rc, struct buf *b);
/* Where the recording that is opened now goes: SET_GLASS for one that was noted, once and in time. */
enum rec_set glass_set(struct recorder *rc, const uint8_t id[BREC_ID_LEN]);
/* Their quorum is there, or not any more: policy hears it. */
void glass_state(struct recorder *rc);

/* --- role_recorder_ship.c --- */

/* Makes place i one for the collector, in the set that the configuration says. Takes over tls. 0, or -1 with a line logged: tls stays the caller's. */
int ship_init(struct recorder *rc, unsigned i, const struct config_collector *c, struct ship_tls *tls);
void ship_start(struct ship *s);
/*
 * The collector is met otherwise from here on; takes over tls. The connection is made anew, and recordings go on in it. If the
 * collector does not know our new certificate yet, the one before is tried in turn with it.
 */
void ship_change(struct ship *s, const struct config_addr *addr, struct ship_tls *tls);
void ship_tls_destroy(struct ship_tls *tls);
/* Sends what r has for it; for all. */
void ship_push(struct ship *s, struct recording *r);
void ship_push_all(struct recorder *rc, struct recording *r);
/* Are enough collectors there for a new recording? */
bool ship_quorum(const struct recorder *rc, enum rec_set set);
/* Has that changed? Then policy hears it. */
void ship_review(struct recorder *rc);
/* Once a second: receipts that are owed; a place that nobody needs any more becomes free. */
void ship_tick(struct ship *s);
void ship_finish(struct ship *s);

#endif
