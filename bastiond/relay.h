/*
 * relay.h - one channel of a client: what it is, and what becomes of its bytes. Role: session.
 *
 *   relay_open.c      a channel is opened at the target
 *   relay_take.c      its bytes: out of libssh's buffer, recorded (relay_record.c) and held
 *   relay_chan.c      what is committed is passed on; how a channel ends
 *
 * Ownership: a front (session.h) owns its channels; nothing is freed in a libssh callback.
 */
#ifndef BASTION_RELAY_H
#define BASTION_RELAY_H

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>

#include "brec.h"
#include "relay_bulk.h"
#include "relay_hold.h"
#include "relay_ring.h"
#include "sftp_gate.h"
#include "sftp_run.h"

#define CHAN_ENV_MAX 16		/* environment variables of a channel */
#define CHAN_COMMAND_MAX (128U << 10) /* bytes of a command: Linux gives a program no longer argument */
/*
 * libssh grants a window of 1.3 MB and takes what comes past it all the same: a peer with so much unread in one
 * channel does not keep to its window, and is cut off.
 */
#define CHAN_UNREAD_MAX (3U << 20)
/*
 * Past this much unread the way's socket is read no more until the client took what is held (session_target.c). Why: bytes that stay unread
 * shut a channel's window, and stop that channel alone; but libssh 0.10 opens the window again, whole, whenever a packet of the channel's *other*
 * stream comes: a line on standard error does that, whatever stands in standard output. Nothing prevents this from outside: a granted window
 * cannot be taken back, and a library reads a connection or it does not. The bound is more than a window of any libssh (2 MiB from 0.11 on,
 * which counts both streams), so one stream alone reaches it, and CHAN_UNREAD_MAX, only if its target does not keep to the window.
 */
#define CHAN_CHOKE ((2U << 20) + 65536U)

#define CLOSE_PATIENCE_MS 10000	/* for a target that does not read, or not soon, what a client left behind */

#define CHANS_OVER_MAX 64 /* of a front: channels whose peers did not close them yet */

struct front;
struct way;
struct tunnel;
struct script;
struct words_word;

enum chan_state {
	CHAN_NEW,	/* open on the client's side; pty and env are collected */
	CHAN_WAITS,	/* started by the client; the way is not open yet */
	CHAN_ASKED,	/* policy looks at the capability */
	CHAN_OPENING,	/* the channel at the target is being opened */
	CHAN_PTY, CHAN_ENV, CHAN_START, /* requests at the target, one after the other */
	CHAN_LIVE,	/* bytes flow */
	CHAN_ENDING,	/* what is in `out` goes to the client, then close */
	CHAN_DEAD	/* over; the loop frees it when both peers have closed it too: see chan_release() */
};

enum chan_kind { CHAN_TARGET, CHAN_WORDS, CHAN_CONSOLE, CHAN_TUNNEL };

struct chan {
	struct chan *next;
	struct front *front;
	struct way *way;		/* CHAN_TARGET: set when started */
	enum chan_kind kind;
	enum chan_state state;
	uint32_t number;		/* inside its way's recording */
	uint64_t open_seq;		/* frame that says what was asked for: nothing goes to the target before it is durable */
	bool open_sent;			/* the target was asked for a channel, */
	uint64_t answer_deadline_ms;	/* and has until then for all its answers */
	bool released;			/* DEAD, and only the legs are left */
	ssh_channel client, target;	/* the two legs */
	struct ssh_channel_callbacks_struct client_cb, target_cb;
	ssh_message start;		/* shell, exec or subsystem request that waits for its answer; owned */
	int start_type;			/* SSH_CHANNEL_REQUEST_… of it */
	const char *capability;		/* shell exec sftp scp */
	unsigned rights;		/* CHAN_READS, CHAN_WRITES: of sftp */
	struct sftp_gate *gate;		/* of sftp; NULL: none, or both rights, and the version is agreed */
	struct sftp_run *run_in, *run_out; /* sftp: what only goes on, recorded in advance */
	char *command;
	bool forward;			/* direct-tcpip to the destination in command: bytes and nothing else */
	bool pty;
	char term[64];
	uint16_t cols, rows;
	uint16_t said_cols, said_rows;	/* of these at the open: what the recording has, and the target is told first */
	struct ring *ring;		/* a terminal that can be watched (session_watch.c); NULL: none */
	uint32_t terminal;		/* its number in the connection */
	uint64_t used_ms;		/* something was typed, or moved on a channel without a terminal */
	char *env[CHAN_ENV_MAX];	/* NAME=value */
	unsigned nenv, env_sent;
	struct hold in, out;		/* towards the target, towards the client */
	struct bulk bulk;		/* digests and limits of a channel without a terminal */
	bool client_closed, target_closed;
	bool client_eof, target_eof;	/* the eof is in the hold */
	bool target_abandoned;		/* the client reads no more: close towards the target */
	bool left_in, left_out, left_err; /* a full hold left bytes in libssh's buffer, */
	size_t kept_in, kept_out, kept_err; /* of which the first so many are in the hold already: see relay_take.c */
	size_t unread_in, unread_out, unread_err; /* and so many it has in all */
	bool both_streams;		/* a packet of one came while the other stood: see CHAN_CHOKE */
	uint64_t close_deadline_ms;
	bool eof_queued_in, eof_said_out, eof_queued_out, abandon_sent;
	bool eof_passed;		/* the client has the eof: nothing but exit status and close may follow */
	bool exit_known, exit_core, close_recorded;
	bool exit_queued;		/* it is in the hold; the first one that the target says counts */
	bool exit_passed;		/* the client has it, or the signal: a second one would stand in its place */
	uint32_t exit_status;
	char exit_signal[32];
	struct tunnel *tunnel;		/* CHAN_TUNNEL */
	const struct words_word *word;	/* CHAN_WORDS, CHAN_CONSOLE: what policy was asked */
	bool words_json, words_csv, words_run;
	struct script *script;		/* CHAN_WORDS: they come on standard input */
	struct given *given;		/* CHAN_WORDS: an argument does (session_stdin.c) */
	char *after;			/* CHAN_CONSOLE: the connect that goes on after `wait`, or `hosts` for its login */
	bool from_console;		/* `connect`: the console goes on when the target's channel is over */
};

/* relay_open.c: a channel at the target. */
void relay_start(struct chan *c);	/* the client said what the channel is for */
void relay_allowed(struct chan *c);	/* policy said yes */
void relay_open_step(struct chan *c);
/* The terminal's size is another one: recorded, and passed on behind what was typed before. */
void relay_resize(struct chan *c);
int relay_open_target(struct chan *c);	/* SSH_OK, SSH_AGAIN, SSH_ERROR */
/*
 * Ends those of the way's channels whose target took too long with its answers. ms until the next such deadline, or `other`,
 * whichever is sooner; -1: none.
 */
int relay_open_tick(struct way *w, uint64_t now_ms, int other);

/* relay_chan.c: a channel between its two legs. */
void relay_client_callbacks(struct chan *c);
void relay_target_callbacks(struct chan *c);
/* The way ends, with this line. May be called from a libssh callback. */
void relay_fail(struct chan *c, const char *why);
void relay_step(struct chan *c);
/* Tunnel, console, words: what libssh holds back comes in, what is held goes to the client; nothing is recorded. */
void relay_raw_step(struct chan *c);
/*
 * A channel that is DEAD gives back what it has, but for its legs: libssh frees a channel only when its peer closed it too, and
 * would buffer without bound for one that nobody looks at. True: both legs are over, chan_finish() may follow.
 */
bool chan_release(struct chan *c);
void chan_finish(struct chan *c);
void relay_free_target(struct chan *c);
/* The target closed the connection: what is held goes out, then the channel ends. */
void relay_target_lost(struct chan *c);
/* Its way is over: the channel at the target is closed, what was said to the client still goes out. */
void relay_way_over(struct chan *c, const char *line);

/* relay_take.c: what stands between an sftp channel's legs and the recording begins; false: no memory. */
bool relay_sftp(struct chan *c);
void relay_sftp_free(struct chan *c);
/* Before what comes behind the bytes of a direction is recorded: those of a packet that is not whole, the end of a run. */
void relay_take_rest(struct chan *c, bool input);
/* relay_take.c: from libssh's callbacks. How many of these bytes, all that stand in its buffer, libssh may forget. */
int relay_take_in(struct chan *c, const uint8_t *data, size_t len);
int relay_take_out(struct chan *c, bool is_err, const uint8_t *data, size_t len);
/* Bytes for the user's terminal, as if the target had sent them: recorded first. False: the way is over. */
bool relay_take_notice(struct chan *c, const char *text, size_t len);
/*
 * What came before the channel was live: behind the console's `connect`, or while the target was being reached. It waits in the
 * hold, and is recorded like all else now.
 */
void relay_take_ahead(struct chan *c);
/* What a full hold left behind, when it has room again; and a further piece of what is held and not recorded yet. */
void relay_drain_in(struct chan *c);
void relay_drain_out(struct chan *c);
void relay_record_some(struct chan *c, struct hold *h);
/* Everything that is held and not recorded yet: it came before what is to be recorded next. */
void relay_record_all(struct chan *c, struct hold *h);
/* Are there bytes of this leg that are not recorded yet, here or in libssh's buffer? NULL: that gives nothing out any more. */
bool relay_unread(ssh_channel ch, struct hold *h);

/* relay_record.c: what a channel carries becomes events. Each returns the sequence to wait for; 0: the way is over. */
uint64_t record_open(struct chan *c);
void record_file(void *chan, const char *json);	/* a 'f' event */
uint64_t record_data(struct chan *c, enum brec_kind kind, const uint8_t *data, size_t len);
/* sftp_run.h: what may pass, or did; and such a packet, for which that word at this sequence stands. */
uint64_t record_run(struct chan *c, bool input, uint64_t passed, uint32_t more);
uint64_t record_covered(struct chan *c, bool input, const uint8_t *data, size_t len, uint64_t seq);
uint64_t record_exit(struct chan *c, uint32_t status);
uint64_t record_exit_signal(struct chan *c, const char *signal, bool core);
uint64_t record_eof(struct chan *c, bool from_target);
uint64_t record_close(struct chan *c);
/*
 * Its client leaves, or its way ends from outside: the channel's sizes and digests so far. Of one that never started, what it was to be and what came
 * for it, with a note that this went nowhere; where there is no recording, an event says how much that was.
 */
void record_last(struct chan *c);

#endif
