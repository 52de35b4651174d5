/*
 * session.h - one connection: the structures of the session process, and which file owns which step.
 *
 *   role_session.c    master: prepares once, forks one session for each connection
 *   session_loop.c    the loop: poll, pump the SSH connections, run what became possible
 *   session_links.c   messages from policy and recorder
 *   session_authn.c   who is it (authn_state.c decides)
 *   session_front.c   what an authenticated client asks for: channels and requests on them
 *   session_forward.c forwarding: to a host, to what a grant names, or refused
 *   session_words.c   `ssh alice@bastion WORDS`; session_stdin.c: what such a command reads
 *   session_console.c `ssh alice@bastion` with a terminal
 *   session_tunnel.c  direct-tcpip of `ssh -J`: the second SSH server inside
 *   session_way.c     a way to one destination: asked, dialled, recorded, open, ended
 *   session_target.c  the SSH client towards the target
 *   session_watch.c   its terminals, shown to those who watch
 *   session_view.c    `ssh bob@bastion watch`: another session's terminal, drawn by a viewer
 *   relay_open.c      a channel is opened at the target
 *   relay_take.c      its bytes: taken from one leg, when there is room
 *   relay_record.c    as events of the recording; sftp_*.c, scp_track.c: names and digests of files
 *   relay_chan.c      held until recorded (relay_hold.c), then passed on
 *
 * Ownership: session owns ways, fronts own channels, a channel names its way. Nothing is freed in a libssh callback:
 * callbacks only append to holds and set flags; the loop acts on them. The process is the last line of clean-up:
 * when the client is gone, recordings are closed and it exits.
 */
#ifndef BASTION_SESSION_H
#define BASTION_SESSION_H

#include <signal.h>

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>

#include "authn_state.h"
#include "brec_writer.h"
#include "config.h"
#include "ipc.h"
#include "names.h"
#include "relay.h"
#include "session_console.h"
#include "session_tunnel.h"
#include "session_watch.h"
#include "ssh_setup.h"
#include "words.h"

#define SESSION_WAYS_MAX 16	/* destinations of one connection */
#define SESSION_TUNNELS_MAX 32	/* hops of `ssh -J` in one connection: more than ways, so that whom no way is left for is told so inside */
#define REFUSALS_MAX 500	/* said, logged and noted, then one a second; a client that goes on gets the bare answer */
#define FRONT_ASKS_MAX 16	/* forwards that wait for it */
#define FRONT_OWED_MAX 4		/* lines that wait for a channel */
#define FORWARD_LINE_MAX 256	/* what says that a forwarding is refused */
#define LINE_MAX_LEN 1024	/* a line for the user */
#define WORDS_REPLY_MAX (4U << 20) /* JSON of one reply */

struct session;
struct way;
struct chan;

/* What tells whether libssh found anything to read: asking the kernel again would cost a system call for each 4 KiB. */
struct pump {
	struct ssh_counter_struct socket, made;	/* of bytes; of packets: what libssh did not queue for a key exchange, in the socket yet or not */
	uint64_t mark;	/* in_bytes when nothing waited to be written */
	bool more;	/* stopped at its share of the turn: libssh may still have messages */
	uint64_t asked, proved;	/* socket.in_bytes when it was tried last, and seen last, that libssh sends: see session_pump_queues() */
	uint64_t seen;	/* made.out_bytes when it was tried */
	size_t queued;	/* bytes of channels that it took and did not send */
};

/* An SSH server connection that a client speaks to: the outer one, or one inside a direct-tcpip channel. */
struct front {
	struct session *session;
	ssh_session ssh;
	int fd;			/* libssh's end; closed by libssh */
	struct way *way;	/* where its channels go; NULL: words and console */
	struct chan *chans;
	unsigned nchans;	/* not over yet */
	unsigned nover;		/* over, and only a peer's close is awaited */
	struct pump pump;
	bool kex_done, authenticated, gone, broke;	/* broke: its peer sent what the protocol does not allow */
	bool used;		/* there was a channel */
	bool agent_asked, streamlocal_asked; /* its client wants its agent forwarded, a remote socket; libssh refused it */
	ssh_message asked[FRONT_ASKS_MAX]; /* forwards that came before policy answered about the way; owned */
	size_t nasked;
	char owed[FRONT_OWED_MAX][FORWARD_LINE_MAX]; /* refused before there was a channel to say so on: said on the first */
	size_t nowed;
	uint64_t vain_ms;	/* its way is over, and it has no channel, since then; 0: not */
	uint64_t left_ms;	/* libssh is through with its peer, who is closed to all channels; what came before still moves. 0: not */
	uint64_t end_deadline_ms; /* its peer ended: what it sent before gets so long to reach the targets; 0: not yet */
	bool ready;		/* its socket may be read, or libssh read ahead while it wrote */
	int place;		/* an inner one: in this turn's poll set; -1: not there */
};

enum way_state {
	WAY_ASKING,	/* policy decides and dials */
	WAY_LOGIN,	/* the target's SSH is being set up, the recording is being opened */
	WAY_OPEN,
	WAY_CLOSING,	/* the close frame is on its way to the collectors */
	WAY_OVER
};

enum target_step { TARGET_CONNECT, TARGET_PIN, TARGET_AUTH, TARGET_READY };

struct way {
	struct session *session;
	uint32_t id;
	enum way_state state;
	char host[HOST_NAME_MAX_LEN + 1], login[LOGIN_MAX + 1];
	bool ending;			/* way_end() was called: way_step() takes it down */
	bool last_words;		/* it does: only the ends of its channels are recorded now */
	bool orphan;			/* nobody will ask for it again: the loop frees it when it is over */
	char line[LINE_MAX_LEN];	/* why it is over, for the user */
	enum brec_end end;
	/* the target's leg */
	ssh_session ssh;
	int fd;				/* libssh's socket */
	ssh_key key;			/* ephemeral */
	enum target_step step;
	struct pump pump;
	bool ready;			/* as in struct front */
	bool lost;			/* the target is gone; what it had sent still goes to the client */
	uint64_t login_deadline_ms;
	bool managed;			/* login with a lent key, through an agent socket: */
	int agent;			/* libssh's, -1: done with */
	struct buf pins;		/* list(str key blob) */
	/* the recording */
	struct brec_writer *writer;
	uint8_t recording[BREC_ID_LEN];
	bool recorded, refused, closed;	/* REC_OPENED, REC_REFUSED, REC_CLOSED came */
	bool denied;			/* WAY_NO came: policy keeps nothing of this way */
	bool noticed;			/* its target's notice was shown */
	bool forwards;			/* some grant names destinations */
	bool strict;			/* nothing passes before its frame is durable */
	uint64_t close_deadline_ms;
	uint64_t committed;		/* every frame up to this sequence is durable */
	uint64_t content_limit;
	uint32_t hold_ms, banner_ms;
	uint64_t stall_since_ms, stall_seq; /* a hold waits for this commit since; 0: none */
	bool banner_shown;
	uint64_t choked_ms, choked_since_ms; /* way_choked(): last, and from then on; 0: it was not, or is not */
	uint64_t alive_ms;		/* the last word to a target that is not read */
	bool choke_told;
	uint32_t next_channel;
	uint64_t bytes_in, bytes_out;
	uint64_t used_ms;		/* its start, or when a channel that is over was used last */
};

struct console;
struct tunnel;

struct session {
	const struct config *conf;
	struct ssh_service *service;
	char peer[64];
	struct ipc policy, recorder;
	struct front outer;
	char *pinned_name;		/* the first user name, as it came */
	struct target who;		/* what the client named: user, perhaps login and host */
	struct authn authn;
	ssh_message auth_msg;		/* the request that waits for its answer; owned */
	struct buf auth_key;		/* its public key, as on the wire */
	unsigned services;		/* service requests before the login */
	uint64_t auth_floor_ms, grace_ms; /* deadlines */
	char barred[LINE_MAX_LEN];	/* why a known user may not come in; said at the floor */
	uint32_t nprompts, attempt;	/* attempt: number of the second factor that runs */
	ssh_message tunnel_asks[SESSION_TUNNELS_MAX]; /* direct-tcpip opens whose host policy looks up; owned */
	struct way *ways[SESSION_WAYS_MAX];
	uint32_t next_way;
	uint64_t lease_ms;		/* PING must come before this */
	uint32_t next_request;		/* id of the next WORDS */
	struct chan *words_owner;	/* channel whose WORDS are with policy */
	struct buf words_reply;
	struct console *console;
	bool console_asked;		/* policy gives one console a connection */
	struct watcher *watchers[WATCHERS_MAX];
	uint32_t terminals;		/* that were ever open: the last one's number */
	struct viewer *viewer;
	unsigned refusals;		/* for want of room, which the log has a line of */
	uint64_t told_ms;		/* when all other refusals would have been told at one a second */
	bool hops_told, room_told;	/* that there are too many: of channels, since the last one that was opened */
	bool unanswered;		/* libssh: the request that was refused last wanted no answer */
	const char *dropped;		/* libssh dropped a request before the login, and the client waits: the line for it; NULL: none */
	bool again;			/* something came in while a step wrote: do not wait in the next turn */
	bool over;
};

/* Turns of the loop so far: role_session.c ends a process that spins inside one. */
extern volatile sig_atomic_t session_turns;
/* session_loop.c: serves one connection to its end, then exits the process. fds: client, policy, recorder. */
void session_run(const struct config *conf, struct ssh_service *service, struct buf *start, int client, int policy, int recorder) __attribute__((noreturn));
/* A peer that does not read what it is told is not read for long either: each of its requests may be worth an answer, which libssh
   would keep. True: enough came since the socket took nothing more. */
bool session_pump_full(struct pump *pump, ssh_session ssh);
/* When libssh begins a key exchange itself it queues, without a bound, what it is given until the peer begins it, too; only that no packet
   is made of it shows that. It took len bytes just now, at made.out_bytes `before`. True: it has enough of them. */
void session_pump_wrote(struct pump *pump, uint64_t before, size_t len);
bool session_pump_queues(struct pump *pump, ssh_session ssh);
/* Reads and handles what is there on one SSH connection, without blocking. False: the connection is over, or is to be. */
bool session_pump(struct session *s, struct pump *pump, ssh_session ssh, void (*handle)(void *ctx, ssh_message m), void *ctx);

/* session_links.c: all messages that wait. False: the link is over, and with it the session. */
bool session_policy_read(struct session *s);
bool session_recorder_read(struct session *s);
/* May one more refusal be said and noted? */
bool session_may_tell(struct session *s);
/* An event for the audit trail; kind from approvals/event.h. */
void session_note(struct session *s, uint32_t way, const char *kind, const char *detail);

/* session_authn.c */
void session_authn_message(struct session *s, ssh_message m);	/* takes m */
void session_authn_policy(struct session *s, struct ipc_msg *m);
/* Answers a held refusal, ends a login that takes too long; ms until the next deadline, -1: none. */
int session_authn_tick(struct session *s, uint64_t now_ms);

/* session_front.c: messages of an authenticated client. */
void front_message(void *front, ssh_message m);			/* takes m */
struct chan *front_chan_create(struct front *f, ssh_channel client, enum chan_kind kind);
/* Refuses what the channel asked for, or ends it: a line on stderr, an exit status, close. */
void chan_refuse(struct chan *c, const char *line);
/* Refuses a forwarding: a line for the user, an event of this kind. */
void front_refuse_forward(struct front *f, const char *kind, const char *what);
/* What libssh refused by itself since the last call. */
void front_tell_refused(struct front *f);
/* The same for a direct-tcpip channel that was asked for. */
void front_refuse_tcpip(struct front *f, ssh_message m);
/* Ends a connection that has no channel, with a line in the disconnect, which ssh shows (libssh refuses without). False: it has one. */
bool front_leave(struct front *f, const char *line);
void session_say_full(struct session *s);			/* to the others in the connection, once: whoever is refused can be told nothing */
bool front_full(const struct front *f);				/* no channel more: the limit is the connection's */
/* Once a second: memory that nothing uses goes back. */
void front_trim(struct front *f);
/* libssh has no connection any more. */
void front_lost(struct front *f);
int front_tick(const struct front *f, uint64_t now_ms);		/* ms until that has a consequence, -1: none */
int front_end_due(const struct front *f, uint64_t now_ms);	/* the same of an end that its peer said, and that is held back */
/* Its peer ended the connection: does what it sent before reach the targets? Shows libssh the end when it did. True: now. */
bool front_let_end(struct front *f);
void front_step(struct front *f);				/* all its channels */
/* A line for the user, in its place behind what the target said before: nothing of it is lost. */
void chan_queue(struct chan *c, const char *line);
/* A line for the user: on one channel, on every live one. False: there is none. */
bool chan_say(struct chan *c, const char *line);
bool front_say(struct front *f, const char *line);
void front_finish(struct front *f);

/* Each channel of a way, in whichever front it is. */
void way_each_chan(struct way *w, void (*visit)(struct chan *c, void *arg), void *arg);

/* session_forward.c */
const char *session_bastion(const struct session *s, char name[CONFIG_NAME_MAX + 1]); /* as in `ssh alice@NAME`: name */
bool forward_open(struct front *f, ssh_message m);		/* a direct-tcpip channel; false: m is taken */
bool forward_is_hop(ssh_message m);				/* of ssh -J or -W: refused, its connection ends */
void forward_step(struct front *f);				/* those that waited for policy's word on the way */
void forward_forget(struct front *f);				/* nobody will decide about them */

/* session_words.c */
void words_start(struct chan *c);
void words_policy(struct session *s, struct ipc_msg *m);
void words_step(struct chan *c);
/* The words of this channel are done: an exit status for a command, the next prompt for the console, the next line of a script. */
void words_finish(struct chan *c, uint32_t status);
/* One line of words for this channel; its answer, or the next prompt, follows. */
void words_run(struct chan *c, const char *line);
void words_print(struct chan *c, bool err, const void *text, size_t len);
void words_env_of(const struct chan *c, struct words_env *env);

/* session_way.c */
struct way *way_create(struct session *s, const char *host, const char *login);	/* NULL: too many, or no memory */
struct way *way_find(struct session *s, uint32_t id);
void way_policy(struct way *w, struct ipc_msg *m);
void way_recorder(struct way *w, struct ipc_msg *m);
void way_step(struct way *w);
/* Sends the frame that is being filled. After everything else in a turn. */
void way_flush(struct way *w);
/* The target ended the connection: libssh sees it when the channels have what was sent before. True: now. */
bool way_let_end(struct way *w);
/* A line for the user on each of its channels. */
void way_say(struct way *w, const char *line);
struct chan *way_chan(struct way *w, uint32_t number);
/* May what this sequence holds pass? */
static inline bool way_passes(const struct way *w, uint64_t seq) { return seq <= w->committed || !w->strict; }
/* Ends the way and its channels, with a line for the user. */
void way_end(struct way *w, enum brec_end end, const char *line);
void way_left(struct way *w, bool broke);		/* the same for a client that left, or that broke the protocol */
int way_tick(struct way *w, uint64_t now_ms);			/* ms until the next deadline, -1: none */
void way_destroy(struct way *w);
/* Sequence to wait for after recording an event; 0: the recording broke, the way is over. */
uint64_t way_event(struct way *w, enum brec_stream stream, enum brec_kind kind, uint32_t channel, const void *data, size_t len);

/* session_target.c */
int target_start(struct way *w, int fd, const uint8_t *cert, size_t cert_len, int agent_fd);
void target_step(struct way *w);
void target_message(void *way, ssh_message m);
void target_leave(struct way *w);				/* disconnects and frees w->ssh */
/* A channel has more of the target's bytes than it should get (CHAN_CHOKE): nothing is read from there until its client took them. */
bool way_choked(struct way *w);
/* Meanwhile the target learns that somebody is there, and the way's other channels why nothing comes. ms until the next word; -1: none. */
int target_tick(struct way *w, uint64_t now_ms);

#endif
