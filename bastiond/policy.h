/*
 * policy.h - the policy role's own structures, and which file owns which decision.
 *
 *   role_policy.c     start as root, drop, sandbox
 *   policy_core.c     the loop, messages from parent; _link: who goes first, who is freed when; _clock: it is set back; _others: an upgrade
 *   policy_peer.c     one session's link: states, limits, lease, watchdog, end
 *   policy_authn.c    who is it: AUTH_KEY, and the login; _source: sources that guess, slower refusals, blocks
 *   policy_factor.c   the second factor: AUTH_FACTOR, the PAM worker's conversation; _otp: pam socket
 *   policy_authz.c    where may it go: WAY_ASK; dialling, certificate, managed key; _glass: which store records it; _class: hosts that ask for more
 *   policy_grant.c    WAY_OK: the session's row, its event, the recording's metadata
 *   policy_way.c      a way in use: rows, channels, notes, its end; _ends: the rows of what is over, many at once
 *   policy_live.c     what ends: expiry, revocation, lock, kill
 *   policy_control.c  control socket and WORDS; _console: CONSOLE_ASK; _wait: words that wait for an answer from elsewhere
 *   policy_watch.c    who watches whom
 *   policy_worker.c   short-lived processes that parent forks for us; _keys: requests to the keys role
 *   policy_events.c   the recording of the events; _monitor: what the monitor role is told; _backup: a copy of the database, for root
 *   policy_task.c     commands at hosts on policy's own behalf; _hostkey, _rotate: the keys there; _account: accounts, for the time of a grant;
 *                     _place: names of one machine; _slow: hosts that did not answer
 *   policy_hook.c     the administrator's programs; _ticket: is an outside ticket open; _notify
 *
 * One process, one loop, no threads. Ownership: policy owns peers, workers and clients; a peer owns
 * its ways; a way owns its descriptors. A worker points back to the peer it works for until either
 * ends (worker_abandon). Peers, workers and clients are freed between turns of the loop only
 * (policy_link.h).
 */
#ifndef BASTION_POLICY_H
#define BASTION_POLICY_H

#include "hostkey_lines.h"
#include "config.h"
#include "control.h"
#include "crypto_recid.h"
#include "policy_keys.h"
#include "policy_link.h"
#include "policy_watch.h"
#include "store_device.h"
#include "store_otp.h"

#define PEER_WAYS_MAX 16	/* destinations of one connection; the session has the same bound */
#define WAY_TICKETS_MAX 4	/* grants that one way's channels rest on */
#define PEER_TABLE 1024		/* hash buckets */
#define WORKER_TABLE 256
#define CLIENTS_MAX 128		/* control and pam sockets each */
#define CLIENTS_ROOT 16		/* of these, kept free for uid 0 */
#define KEY_LINES_MAX 1024	/* of LIST_KEYS_RE */
#define EPHEMERAL_MAX 600	/* bytes of a session's public key: any type with a certificate */
#define AUTH_PROMPTS_MAX 8
#define PING_MS 1000
#define PONG_MS 10000		/* a session that is silent for so long hangs */
#define SHUT_MS 900		/* time to obey a WAY_END before the way's socket is shut: P7's second is not the session's to keep */
#define END_MS 4000		/* the same before it is killed, or to go after its link ended */
#define GRACE_SLACK_MS 3000	/* over login_grace, which the session keeps itself */
#define LINE_LEN 1024		/* a line for a user or the log */

struct peer;

struct policy {
	struct config *conf;		/* ours: a reload destroys it for a new one */
	struct seal_ring seal;		/* of the secrets in the store */
	struct store *store;
	struct control control;
	struct event_base *base;
	struct link parent, keys;
	struct events *events;		/* NULL: no link to recorder yet */
	struct feed *feed;		/* to the monitor */
	struct backup *backup;		/* under way; NULL */
	const char *database;		/* its path, as this process sees it */
	struct sources *sources;	/* who guesses (policy_source.h) */
	struct ends *ends;		/* rows that are not written yet */
	struct event *tick, *term;	/* every second; SIGTERM */
	struct event *deadline;		/* of the next thing that ends by itself */
	struct event *others;		/* policy_others.h */
	struct event *control_in, *pam_in;
	struct bucket strangers;	/* connections to the control socket by others than root */
	int64_t live_due;		/* when that is, unix seconds; FOREVER */
	int64_t ahead_us, clock_owed;	/* policy_clock.h: of the wall clock, at its most since it was last set back; s not yet written */
	struct peer *peers[PEER_TABLE];
	struct worker *workers[WORKER_TABLE];
	struct client *clients;
	struct key_ask *key_asks;
	struct watch *watches;
	struct tasks *tasks; struct slow *slow;	/* policy_task.h, policy_slow.h; NULL: none yet */
	struct look *looks;		/* policy_hostkey.h */
	uint64_t looks_ms;		/* when hosts to look at are looked for */
	struct rotations *rotations;	/* policy_rotate.h; NULL: none yet */
	struct hook *hooks;		/* runs under way, */
	struct notifier *notifier;	/* and what notify is to be told */
	struct check *checks;		/* outside tickets, and what was said of them; */
	bool starting;			/* checks of them, just now */
	struct held *held;		/* words that wait for that */
	struct waiter *waiters;		/* or for a decision, */
	bool waking;			/* which is looked for just now */
	struct accounts *accounts;	/* policy_account.c; NULL: none yet */
	struct link *asker;		/* whose word is being carried out: a peer's or a client's */
	uint32_t next_watch;
	size_t npeers, nworkers, nclients[2], nchecks, nheld, nwaiters;
	uint32_t next_worker, next_key_ask, key_list;	/* key_list: the request that key_lines answer */
	char *key_lines[KEY_LINES_MAX], *key_names[KEY_LINES_MAX];
	size_t nkey_lines;
	char machine[CONFIG_NAME_MAX + 1], name[CONFIG_NAME_MAX + 1];	/* its own name, the bastion's */
	char *host_keys[HOSTKEY_LINES_MAX + 1];	/* public lines of the bastion's own, NULL ends */
	uint64_t serial;		/* of certificates */
	int keep_below;			/* descriptors below this one may be kept for long */
	bool ending, over, retired;
	int status;
};

enum way_stage {
	WAY_EARLY,	/* no WAY_ASK yet: a worker connects, or has */
	WAY_CHECKING,	/* its outside ticket is looked at (policy_ticket.c) */
	WAY_ACCOUNT,	/* its account is being made (policy_account.c) */
	WAY_DIALLING,	/* a worker connects */
	WAY_SIGNING,	/* recorder says where it is recorded (policy_glass.c); the keys role signs or lends */
	WAY_GIVEN,	/* WAY_OK is sent; the row is open */
	WAY_LIVE,	/* WAY_UP came */
};

struct way {
	struct peer *peer;
	uint32_t id;			/* the session's; 0: WAY_EARLY */
	enum way_stage stage;
	struct host host;
	char login[LOGIN_MAX + 1];
	uint8_t ephemeral[EPHEMERAL_MAX];
	size_t ephemeral_len;
	unsigned caps, reach;		/* as in struct access_answer */
	char refs[WAY_TICKETS_MAX][TICKET_REF_MAX + 1]; /* the outside ticket that each of `tickets` rests on; "" */
	bool glass, said, reminded, placed;	/* break-glass; its line, the one of the end was sent; recorder was asked (policy_glass.h) */
	int64_t account, began, until;	/* the account that its host was asked for, for it; unix seconds; FOREVER */
	int64_t longest;		/* it ends then whatever it rests on: WAY_LONGEST_S */
	int64_t tickets[WAY_TICKETS_MAX], passed[ACCESS_TICKETS]; /* the first allowed the way; those whose outside ticket did not do; 0 ends */
	struct worker *dial;
	struct event *deadline;		/* of dialling and signing; then, of its end */
	uint32_t key_ask;		/* 0: none under way */
	int fd, agent;			/* the connected socket, to the end; the lent key's socket; -1 */
	char local[ADDRESS_MAX + 1], lent[STORE_FPR_MAX + 1]; /* the socket's own address; the fingerprint of the lent key, "" */
	struct way_row row;
	uint64_t ending_ms;		/* WAY_END was sent; 0: not */
	struct way_report {		/* of the session, with its last PONG */
		bool here;
		uint32_t idle;		/* seconds */
		unsigned caps, terminals, how;
	} report;
};

enum peer_auth { PEER_STRANGER, PEER_PROVEN, PEER_IN };

struct peer {
	struct link link;		/* first: see policy_link.h */
	struct policy *p;
	struct peer *next;		/* in its bucket */
	uint32_t slot;
	uint8_t session[16];
	uint8_t recid_key[RECID_KEY_LEN];
	uint64_t turns;			/* ways that it had (crypto_recid.h) */
	char address[ADDRESS_MAX + 1];	/* of the client */
	char client[STORE_CLIENT_MAX + 1];	/* its version, escaped; "": not told */
	uint16_t port;
	uint64_t up_ms, pong_ms;
	uint64_t end_ms;		/* must be gone by then; 0: may stay */
	unsigned pings;			/* sent and not answered */
	bool killed;			/* PEER_KILL was sent */
	struct bucket bucket;

	enum peer_auth auth;
	struct user user;		/* since PEER_PROVEN, */
	struct device device;		/* and with which key */
	struct connection row;		/* id 0: not logged in */
	bool acted;			/* something was asked for since the login */
	unsigned failures;		/* refused keys and factors */
	unsigned attempts;		/* PAM workers started */
	struct bucket notes, alarms;	/* what the session may put into the events: of its own doings, and of what a target or the store does to it */
	uint64_t left_out;		/* notes for which there was no room */

	struct worker *pam;		/* the attempt that runs; NULL: none */
	uint32_t attempt;		/* the session's number of it */
	uint64_t token;			/* its secret name on the pam socket */
	unsigned prompts;		/* shown and not answered */
	bool prompted;
	uint64_t code_ms;		/* when a code was spent in this connection; 0: none was */
	bool code_right;		/* this attempt spent a one-time code */

	struct way *ways[PEER_WAYS_MAX];
	struct worker *console;
};

/* --- policy_core.c --- */

struct policy_fds {
	int parent, keys;		/* links */
	int control, pam;		/* listening sockets, non-blocking */
};

/* What `config` and the advice in refusals call this bastion, and its port: by the configuration, at start and reload. */
void policy_name(struct policy *p);
/* Opens database and loop; p->conf and the name are set, the rest is zero. 0, or -1, logged. */
int policy_open(struct policy *p, const char *database, const struct policy_fds *fds);
/* Says POLICY_READY, then loops until parent's link ends or SIGTERM comes. The exit status. */
int policy_run(struct policy *p);
/* What comes after the events of one turn of the loop: memory given back, rows written, events shipped. */
void policy_turn(struct policy *p);
/* After policy_open, failed or not: closes everything, ends the rows of what was open. */
void policy_close(struct policy *p);

/* --- policy_peer.c --- */

int peer_up(struct policy *p, struct ipc_msg *m);
int peer_down(struct policy *p, struct ipc_msg *m); /* both: from parent; 0, or -1: malformed */
/* Once a second: lease, watchdogs, deadlines of all peers. */
void peers_tick(struct policy *p, uint64_t now_ms);
typedef void peer_visit(struct peer *peer, void *arg);
void peers_each(struct policy *p, peer_visit *visit, void *arg);
/* Parent is to kill it; its link is closed. `reason` for the log. */
void peer_kill(struct peer *peer, const char *reason);
/* Takes a token for one more request; false: it asks too much. */
bool peer_may_ask(struct peer *peer);
/* Ends all ways with this line, and the connection. */
void peer_end(struct peer *peer, const char *line);
/* Was it told to end, or is it being killed? Until it is gone it is given nothing any more. */
bool peer_is_over(const struct peer *peer);
#define PEER_OVER_LINE "bastiond: the session is ended"
/* Writes an event; `detail` is taken over. 0, or -1 with the loss logged. */
int peer_event(struct peer *peer, enum event_kind kind, const char *actor, const char *subject,
    json_t *detail);
/* "alice", or "stranger": for logs and events. */
const char *peer_name(const struct peer *peer);
void peers_finish(struct policy *p);

/* --- policy_authz.c: answers go out as messages; 0, or -1: the link must end --- */
int authz_ask(struct peer *peer, struct ipc_msg *m);
int authz_host(struct peer *peer, struct ipc_msg *m); /* HOST_ASK */
/* The way never opened: says WAY_NO, frees it. `line` as the user reads it. */
void authz_refuse(struct way *w, enum way_refusal refusal, const char *line);

/* --- policy_grant.c --- */

/* The WAY_OK of a way whose socket and key are there; opens its row. Refuses it if that fails. */
void grant_way(struct way *w, const uint8_t *cert, size_t len);
/* Who approved it, for the recording: the body of a WAY_GRANT, to be sent when the way rests on it. -1: then it may not; said in the log. */
int grant_further(const struct way *w, const struct access_answer *a, struct buf *body);
void grant_readers(struct policy *p); /* the recipients changed: all ways hear it */

/* --- policy_way.c --- */

struct way *peer_way_find(struct peer *peer, uint32_t id);
/* With a fresh recording id. NULL: no room or no memory. */
struct way *peer_way_create(struct peer *peer, uint32_t id);
/* Stops what works for it, closes what it holds, forgets it. */
void peer_way_destroy(struct way *w);
/* WAY_END with this line; it is gone when the session says so, or the watchdog does. */
void peer_way_end(struct way *w, uint8_t brec_end, const char *line);
void peer_way_say(struct way *w, const char *line); /* WAY_SAY */
/* That the access is break-glass, if it is: once. */
void peer_way_say_glass(struct way *w);
/* Is this one of the grants, or of the outside tickets, that it rests on? */
bool way_rests_on(const struct way *w, int64_t ticket);
bool way_has_ref(const struct way *w, const char *ref);
/* Ends its row (policy_ends.c). */
void peer_way_close(struct way *w, const char *why);
int way_on_up(struct peer *peer, uint32_t id);
int way_on_down(struct peer *peer, struct ipc_msg *m);
int way_on_channel(struct peer *peer, struct ipc_msg *m);
int way_on_note(struct peer *peer, struct ipc_msg *m);
/* The connection is over: how many of its notes were left out. */
void way_notes_over(struct peer *peer);
int way_on_report(struct peer *peer, struct ipc_msg *m); /* PONG's body */

/* --- policy_ends.c --- */

int ends_open(struct policy *p); /* 0, or -1 without memory */
void ends_close(struct policy *p);
/* Rows that are to end, and their events: in the database with the next ends_write(), all or none. Texts are cut. */
void ends_way(struct policy *p, const struct way_row *row, const char *user, const char *host, const char *why);
void ends_connection(struct policy *p, int64_t connection, const char *user, const char *why);
/* After each turn, at each tick, before anybody asks what is open. 0, or -1, logged: they stay for the next time. */
int ends_write(struct policy *p);

/* --- policy_live.c --- */

/* control.end: a grant, user, device or connection is over. */
void live_end(void *arg, enum end_what what, int64_t id, const char *line);
/* Ends what is over and sets the timer for what is next. After every change of the store or the ways. */
void live_run(struct policy *p);
int live_init(struct policy *p);

/* --- policy_control.c, policy_console.c --- */

struct client;

int control_open(struct policy *p, const struct policy_fds *fds);
void clients_tick(struct policy *p, uint64_t now_ms); /* ends those that are silent for too long */
void clients_finish(struct policy *p);
int words_ask(struct peer *peer, struct ipc_msg *m);
int console_ask(struct peer *peer, struct ipc_msg *m);

#include "policy_login.h"

#endif
