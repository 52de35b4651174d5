/*
 * msg.h - the one list of the messages between roles.
 *
 * The list makes the enum, the names in the log, the permission table that ipc.c enforces and the
 * exhaustive test (tests/unit/test_msg.c). A message that is not in the list for that sender, that
 * receiver and the receiver's state, or is longer, carries other fds, or comes again although it may
 * come once, ends the peer. Both ends of a link come from one build: there is no version here.
 *
 * Every message carries `id`: a slot (one connection, given by parent), a way (one destination inside
 * a connection, given by session, 1..), a worker (given by policy) or a request number, as noted.
 * Body notation: u8 u16 u32 u64 as in buf.h; str = string (u32 length, bytes); b16, b32 = that many raw bytes;
 * list(x) = u32 count, then so many x.
 */
#ifndef BASTION_MSG_H
#define BASTION_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "msg_glass.h"
#include "msg_task.h"
#include "msg_values.h"

/* The processes. The word is for log lines and `bastiond -R`. */
#define ROLE_LIST(R)                                                                          \
	R(PARENT, "parent") R(POLICY, "policy") R(KEYS, "keys") R(RECORDER, "recorder")       \
	R(MASTER, "master") R(SESSION, "session") R(PAM, "pam") R(DIAL, "dial")               \
	R(CONSOLE, "console") R(VIEW, "view") R(MONITOR, "monitor") R(HOOK, "hook") R(TARGET, "target") R(CTL, "control")

enum role {
#define R(name, text) ROLE_##name,
	ROLE_LIST(R)
#undef R
	ROLE_COUNT
};

/*
 * States of a link, as its receiver sees them; the receiver moves them on. A link starts in S_NEW.
 * session → policy: S_NEW, S_FACTOR while a second factor runs, S_LOGIN after the login.
 */
enum msg_state { S_NEW = 1, S_FACTOR = 2, S_LOGIN = 4, S_ANY = 7 };

#define MSG_MAX 66000 /* one datagram: a frame of 64 KiB and its header */
#define MSG_FDS_MAX 4

/*        name            from      to        states     max    fds once */
#define MSG_LIST(M)                                                                                   \
	/* parent → master: id = slot. str peer address. fds: client, to policy, to recorder */       \
	M(SESSION_START,  PARENT,   MASTER,   S_ANY,     128,   3, 0)                                 \
	/* id = slot: kill that session process, it hangs or must end */                              \
	M(SESSION_STOP,   PARENT,   MASTER,   S_ANY,     0,     0, 0)                                 \
	/* master → parent: id = slot. u32 wait status; u64 cpu µs; u64 max rss KiB */                                 \
	M(SESSION_DOWN,   MASTER,   PARENT,   S_ANY,     20,    0, 0)                                 \
	/* master is ready to fork; sent once */                                                      \
	M(MASTER_READY,   MASTER,   PARENT,   S_ANY,     0,     0, 1)                                 \
	/* parent → policy: id = slot. b16 session id; b16 key of its recordings' ids (crypto_recid.h); */ \
	/* str peer address; u16 peer port. fd: the session's link */                                 \
	M(PEER_UP,        PARENT,   POLICY,   S_ANY,     256,   1, 0)                                 \
	/* id = slot. u32 wait status; u64 cpu µs; u64 max rss KiB */                                 \
	M(PEER_DOWN,      PARENT,   POLICY,   S_ANY,     20,    0, 0)                                 \
	/* policy → parent: id = slot. str reason: kill the session, it did not go by itself */       \
	M(PEER_KILL,      POLICY,   PARENT,   S_ANY,     256,   0, 0)                                 \
	/* id = slot. u8 verdict: 1 logged in, 0 failed (counts as a penalty for its source) */       \
	M(PEER_VERDICT,   POLICY,   PARENT,   S_ANY,     1,     0, 0)                                 \
	/* str network; u32 seconds; u32 names that failed: take no connection from there */          \
	M(SOURCE_BLOCK,   POLICY,   PARENT,   S_ANY,     128,   0, 0)                                 \
	/* str network: take them again */                                                            \
	M(SOURCE_FREE,    POLICY,   PARENT,   S_ANY,     128,   0, 0)                                 \
	/* str network; u32 seconds; u32 names; u8 flags of enum source_held: what became of it */    \
	M(SOURCE_HELD,    PARENT,   POLICY,   S_ANY,     128,   0, 0)                                 \
	/* policy → parent: id = worker; a worker's link to policy is made by parent, see WORKER_UP. */ \
	/* RUN_PAM str user; str peer address; u32 slot; u64 attempt token */                          \
	M(RUN_PAM,        POLICY,   PARENT,   S_ANY,     512,   0, 0)                                 \
	/* RUN_DIAL str host address (name or literal); u16 port; u32 time limit ms */                \
	M(RUN_DIAL,       POLICY,   PARENT,   S_ANY,     512,   0, 0)                                 \
	/* RUN_CONSOLE str user; str TERM; u16 columns; u16 rows */                                   \
	M(RUN_CONSOLE,    POLICY,   PARENT,   S_ANY,     512,   0, 0)                                 \
	/* RUN_VIEW u16 columns; u16 rows; u8 looks (VIEW_UTF8 ...). fd: its end of the link that WATCH made */ \
	M(RUN_VIEW,       POLICY,   PARENT,   S_ANY,     8,     1, 0)                                 \
	/* RUN_HOOK u8 enum hook_kind; u32 time limit ms; str JSON for its standard input */           \
	M(RUN_HOOK,       POLICY,   PARENT,   S_ANY,     20000, 0, 0)                                 \
	M(WORKER_KILL,    POLICY,   PARENT,   S_ANY,     0,     0, 0)                                 \
	/* parent → policy: id = worker. fds: pam, dial, hook, target: link; console: link, pty master; view: pty master */ \
	M(WORKER_UP,      PARENT,   POLICY,   S_ANY,     0,     -1, 0)                                \
	/* id = worker. u32 wait status */                                                            \
	M(WORKER_DOWN,    PARENT,   POLICY,   S_ANY,     4,     0, 0)                                 \
	/* SIGHUP, after a trial. fds: the new configuration (config_load_fd), the role's keys (keyfiles.h); \
	   POLICY_RELOAD u8 number, str each: the host keys' public lines (hostkey_lines.h);            \
	   KEYS_RELOAD, which gets no configuration, u8 log level */                                  \
	M(POLICY_RELOAD,  PARENT,   POLICY,   S_ANY,     8300,  2, 0)                                 \
	M(KEYS_RELOAD,    PARENT,   KEYS,     S_ANY,     1,     1, 0)                                 \
	M(RECORDER_RELOAD, PARENT,  RECORDER, S_ANY,     0,     2, 0)                                 \
	M(MASTER_RELOAD,  PARENT,   MASTER,   S_ANY,     0,     2, 0)                                 \
	/* parent → policy, when all roles are up. fd: a link to recorder, on which policy plays the */ \
	/* part of a session: the events are a recording, too. Recorder has it by REC_PEER_UP, slot 0 */ \
	M(POLICY_RECORD,  PARENT,   POLICY,   S_ANY,     0,     1, 1)                                 \
	/* parent → policy: another parent with another set serves now: ship no events, keep what is open; */ \
	/* whenever a monitor was started: fd: the link to it */                                       \
	M(POLICY_RETIRE,  PARENT,   POLICY,   S_ANY,     0,     0, 1)                                 \
	M(POLICY_MONITOR, PARENT,   POLICY,   S_ANY,     0,     1, 0)                                 \
	/* policy → monitor: an event and its hash (crypto_event.h); text for /metrics, every second; */ \
	/* monitor → policy: u64 number of an event that it has taken */                               \
	M(MON_EVENT,      POLICY,   MONITOR,  S_ANY,     8700,  0, 0)                                 \
	M(MON_STATS,      POLICY,   MONITOR,  S_ANY,     32768, 0, 0)                                 \
	M(MON_ACK,        MONITOR,  POLICY,   S_ANY,     8,     0, 0)                                 \
	M(POLICY_READY,   POLICY,   PARENT,   S_ANY,     0,     0, 1)                                 \
	M(KEYS_READY,     KEYS,     PARENT,   S_ANY,     0,     0, 1)                                 \
	M(RECORDER_READY, RECORDER, PARENT,   S_ANY,     0,     0, 1)                                 \
	/* parent → recorder: id = slot, 0: policy. b16 key as in PEER_UP, for policy nothing. fd: the session's link */ \
	M(REC_PEER_UP,    PARENT,   RECORDER, S_ANY,     16,    1, 0)                                 \
	/* recorder → parent → policy: str line. A collector lied: an event */                         \
	M(REC_ALARM,      RECORDER, PARENT,   S_ANY,     512,   0, 0)                                 \
	M(ALARM,          PARENT,   POLICY,   S_ANY,     512,   0, 0)                                 \
	/* policy → keys: id = request. str public key blob (RFC 4253); str principal; str key id; */ \
	/* u64 serial; u64 valid after; u64 valid before (unix s); str source-address or ""; */        \
	/* u8 port forwarding; str force-command, "": none (then with a terminal) */                  \
	M(SIGN_CERT,      POLICY,   KEYS,     S_ANY,     4096,  0, 0)                                 \
	/* id = request. u8 ok; str certificate blob, or str reason */                                \
	M(SIGN_CERT_RE,   KEYS,     POLICY,   S_ANY,     8192,  0, 0)                                 \
	/* id = request. str managed key name; str login; str sealed key (MAKE_KEY), else ""; u64 host id; u64 generation. */ \
	/* fd: an agent socket keys will serve for that key, that login, SSH user authentication only, two signatures at most */ \
	M(LEND_KEY,       POLICY,   KEYS,     S_ANY,     512,   1, 0)                                 \
	/* id = request. u8 ok; str public key blob, or str reason */                                 \
	M(LEND_KEY_RE,    KEYS,     POLICY,   S_ANY,     8192,  0, 0)                                 \
	/* id = request. → u8 more (1: the list goes on in the next); list(str name, */               \
	/* str authorized_keys line); the CA first, named "ca" */                                     \
	M(LIST_KEYS,      POLICY,   KEYS,     S_ANY,     0,     0, 0)                                 \
	M(LIST_KEYS_RE,   KEYS,     POLICY,   S_ANY,     65536, 0, 0)                                 \
	/* session → policy: id = 0. str user; str key blob (RFC 4253 wire form, not base64); */      \
	/* u8 signed (0: would it do? 1: proven); str client version, may be missing. Starts anew: */ \
	/* a factor that runs dies */                                                                 \
	M(AUTH_KEY,       SESSION,  POLICY,   S_NEW | S_FACTOR, 9000, 0, 0)                                 \
	/* u8 verdict: enum auth_verdict. AUTH_NO: u32 ms that it takes longer than the floor, may be missing; */ \
	/* AUTH_BARRED: str line for the user */                                                      \
	M(AUTH_KEY_RE,    POLICY,   SESSION,  S_ANY,     2048,  0, 0)                                 \
	/* starts the second factor for the user whose key was proven. id = attempt, the session's */ \
	/* number of it, in all of AUTH_FACTOR to AUTH_FACTOR_RE: what comes for another attempt than */ \
	/* the one that runs crossed an abort on its way, and is dropped by either side */            \
	M(AUTH_FACTOR,    SESSION,  POLICY,   S_NEW | S_FACTOR, 0, 0, 0)                              \
	/* str name; str instruction; list(u8 echo, str prompt), 0 to 8 */                            \
	M(AUTH_PROMPT,    POLICY,   SESSION,  S_ANY,     8192,  0, 0)                                 \
	/* list(str answer), as many as prompts */                                                    \
	M(AUTH_ANSWER,    SESSION,  POLICY,   S_NEW | S_FACTOR, 8192, 0, 0)                           \
	/* the client started anew: the attempt dies; the proven key holds. A login whose AUTH_YES */ \
	/* crossed this is undone */                                                                  \
	M(AUTH_ABORT,     SESSION,  POLICY,   S_ANY,     0,     0, 0)                                 \
	/* as AUTH_KEY_RE */                                                                          \
	M(AUTH_FACTOR_RE, POLICY,   SESSION,  S_ANY,     2048,  0, 0)                                 \
	/* id = request. str host: does this user have it? Before direct-tcpip is accepted; with a grant it is dialled meanwhile */ \
	M(HOST_ASK,       SESSION,  POLICY,   S_LOGIN,   1024,  0, 0)                                 \
	/* u8 ok; str line for the user */                                                            \
	M(HOST_RE,        POLICY,   SESSION,  S_ANY,     2048,  0, 0)                                 \
	/* session → policy: id = way, not in use. str host; str login; str ephemeral public key */   \
	/* blob. The answer is WAY_OK or WAY_NO. What had no WAY_NO ends with WAY_DOWN, asked for (WAY_END) or not */ \
	M(WAY_ASK,        SESSION,  POLICY,   S_LOGIN,   2048,  0, 0)                                 \
	/* id = way. b16 recording id; list(str pinned key blob); str certificate blob or ""; */      \
	/* str recording metadata (JSON for the first frame); list(str age recipient); */             \
	/* list(str age input recipient), list(the same, second group); u64 content limit; u32 hold ms; u32 banner ms; */           \
	/* u8 strict; u8 forwards. fds: connected socket [, agent socket when the key is managed] */               \
	M(WAY_OK,         POLICY,   SESSION,  S_ANY,     65536, -1, 0)                                \
	/* id = way. The three lists of recipients as in WAY_OK: they changed */                       \
	M(WAY_READERS,    POLICY,   SESSION,  S_ANY,     32768, 0, 0)                                 \
	/* id = way. u8 enum way_refusal; str line for the user */                                    \
	M(WAY_NO,         POLICY,   SESSION,  S_ANY,     2048,  0, 0)                                 \
	/* id = way. u32 channel; str capability (shell exec sftp scp forward); str command, */       \
	/* destination or "" */                                                                       \
	M(CHAN_ASK,       SESSION,  POLICY,   S_LOGIN,   33000, 0, 0)                                 \
	/* id = way. u32 channel; u8 ok; str line for the user; u8 rights of sftp: 1 reads, 2 writes */ \
	M(CHAN_RE,        POLICY,   SESSION,  S_ANY,     2048,  0, 0)                                 \
	/* id = way. The target answered and the login there is done */                               \
	M(WAY_UP,         SESSION,  POLICY,   S_LOGIN,   0,     0, 0)                                 \
	/* id = way. str reason; u64 bytes in; u64 bytes out; u64 frames that are durable */          \
	M(WAY_DOWN,       SESSION,  POLICY,   S_LOGIN,   1024,  0, 0)                                 \
	/* policy → session: id = way, 0: all and the connection. u8 enum brec_end; str line for the user: end it now. */ \
	/* WAY_DOWN, or the end of the process, is awaited for 4 s: then parent kills */              \
	M(WAY_END,        POLICY,   SESSION,  S_ANY,     1024,  0, 0)                                 \
	/* id = way. str JSON: a further grant that it rests on, for the recording (policy_grant.c) */  \
	M(WAY_GRANT,      POLICY,   SESSION,  S_ANY,     GRANT_META_MAX + 4, 0, 0)                    \
	/* id = way. str line: said on its terminals, and noted in the recording */                    \
	M(WAY_SAY,        POLICY,   SESSION,  S_ANY,     1024,  0, 0)                                 \
	/* policy → session every second: the lease. session answers: its loop turns */               \
	M(PING,           POLICY,   SESSION,  S_ANY,     0,     0, 0)                                 \
	/* empty, or for each open way: u32 way; u32 idle s; u64 bytes in; u64 bytes out; u8 capabilities in */ \
	/* use (access.h); u8 terminals; u8 enum way_how */                                           \
	M(PONG,           SESSION,  POLICY,   S_ANY,     512,   0, 0)                                 \
	/* policy → watched session: id = watch. str who watches; u32 terminal (0: used last); u8 tell the user. */ \
	/* fd: SHOW_* go into it, and nothing is read from it */                                      \
	M(WATCH,          POLICY,   SESSION,  S_ANY,     256,   1, 0)                                 \
	/* id = watch. u8 ok; str line for the watcher: why not. No: the session forgot it */         \
	M(WATCH_RE,       SESSION,  POLICY,   S_LOGIN,   512,   0, 0)                                 \
	/* id = watch. str line for the watcher: end it */                                            \
	M(WATCH_STOP,     POLICY,   SESSION,  S_ANY,     1024,  0, 0)                                 \
	/* id = watch. u64 bytes shown; u64 bytes passed over; str why it is over */                  \
	M(WATCH_OVER,     SESSION,  POLICY,   S_LOGIN,   1024,  0, 0)                                 \
	/* watcher's session → policy: id = watch, of the reply to `watch`. As RUN_VIEW */            \
	M(VIEW_ASK,       SESSION,  POLICY,   S_LOGIN,   8,     0, 0)                                 \
	/* id = watch. u8 ok; str line. fd: pty master; what comes from it keeps to tty_gate.h */     \
	M(VIEW_RE,        POLICY,   SESSION,  S_ANY,     1100,  -1, 0)                                \
	/* session → view: str title; u16 columns; u16 rows; u64 bytes passed over: a fresh screen */ \
	M(SHOW_START,     SESSION,  VIEW,     S_ANY,     512,   0, 0)                                 \
	/* raw bytes that the user's terminal had */                                                  \
	M(SHOW_DATA,      SESSION,  VIEW,     S_ANY,     16384, 0, 0)                                 \
	/* u16 columns; u16 rows */                                                                   \
	M(SHOW_SIZE,      SESSION,  VIEW,     S_ANY,     4,     0, 0)                                 \
	/* str line: why it is over */                                                                \
	M(SHOW_END,       SESSION,  VIEW,     S_ANY,     1100,  0, 0)                                 \
	/* session → policy: id = way or 0. str kind (one of the list in approvals/event.h that */    \
	/* policy_way.c admits); str detail, raw. Before the login only the log has it */             \
	M(NOTE,           SESSION,  POLICY,   S_ANY,     1024,  0, 0)                                 \
	/* id = request. JSON as in PROTOCOL.control: the words, with the user's own rights */        \
	M(WORDS,          SESSION,  POLICY,   S_LOGIN,   16384, 0, 0)                                 \
	/* id = request. u8 more (1: the text goes on in the next); bytes of JSON */                  \
	M(WORDS_RE,       POLICY,   SESSION,  S_ANY,     65536, 0, 0)                                 \
	/* str TERM; u16 columns; u16 rows */                                                         \
	M(CONSOLE_ASK,    SESSION,  POLICY,   S_LOGIN,   128,   0, 1)                                 \
	/* u8 ok; str line. fds: link to the console worker, pty master */                            \
	M(CONSOLE_RE,     POLICY,   SESSION,  S_ANY,     512,   -1, 1)                                \
	/* session → console: str prompt; list(str completion words line) */                          \
	M(LINE_ASK,       SESSION,  CONSOLE,  S_ANY,     65536, 0, 0)                                 \
	/* console → session: u8 end of file; str line */                                             \
	M(LINE_RE,        CONSOLE,  SESSION,  S_ANY,     4200,  0, 0)                                 \
	/* pam → policy: list(u8 style: enum pam_style, str text), at most 8 */                       \
	M(PAM_PROMPT,     PAM,      POLICY,   S_ANY,     8192,  0, 0)                                 \
	/* policy → pam: list(str answer), as many as texts of style SECRET and ECHO, in their order */ \
	M(PAM_ANSWER,     POLICY,   PAM,      S_ANY,     8192,  0, 0)                                 \
	/* u8 ok; str user as PAM has it at the end; str reason for the log */                        \
	M(PAM_DONE,       PAM,      POLICY,   S_ANY,     2048,  0, 1)                                 \
	/* dial → policy: u8 ok; str peer address; str local address (literals, no port); str reason. */ \
	/* fd: the socket, non-blocking, TCP_NODELAY */                                               \
	M(DIAL_DONE,      DIAL,     POLICY,   S_ANY,     2048,  -1, 1)                                \
	/* hook → policy: u8 ok (it ended with status 0, in time); str its standard output; str reason */ \
	M(HOOK_DONE,      HOOK,     POLICY,   S_ANY,     17500, 0, 1)                                 \
	/* control client → policy, over the control socket: JSON, see PROTOCOL.control */            \
	M(CTL_REQUEST,    CTL,      POLICY,   S_ANY,     16384, 0, 0)                                 \
	/* u8 more; bytes of JSON */                                                                  \
	M(CTL_REPLY,      POLICY,   CTL,      S_ANY,     65536, 0, 0)                                 \
	/* as VIEW_ASK and VIEW_RE, after the reply to the word `watch` */                            \
	M(CTL_VIEW,       CTL,      POLICY,   S_ANY,     8,     0, 0)                                 \
	M(CTL_VIEW_RE,    POLICY,   CTL,      S_ANY,     1100,  -1, 0)                                \
	/* root's client: a copy of the database into this plain file. u8 2: it goes on; 1: done, str bytes; 0: no, str why */ \
	M(CTL_BACKUP,     CTL,      POLICY,   S_ANY,     0,     1, 0)                                 \
	M(CTL_BACKUP_RE,  POLICY,   CTL,      S_ANY,     1100,  0, 0)                                 \
	/* pam_bastion.so → policy, over the pam socket: str user; str peer address; str code; */     \
	/* u64 attempt token (0: not from bastiond) */                                                \
	M(OTP_CHECK,      CTL,      POLICY,   S_ANY,     1024,  0, 1)                                 \
	/* u8 enum otp_verdict */                                                                     \
	M(OTP_RE,         POLICY,   CTL,      S_ANY,     1,     0, 1)                                 \
	/* session → recorder: id = way. b16 recording id, of WAY_OK; str header part (brec.h) of segment 0 */ \
	M(REC_OPEN,       SESSION,  RECORDER, S_ANY,     32768, 0, 0)                                 \
	/* id = way. Durable at the quorum: traffic may start */                                      \
	M(REC_OPENED,     RECORDER, SESSION,  S_ANY,     0,     0, 0)                                 \
	/* id = way. str line: no recording, and why */                                               \
	M(REC_REFUSED,    RECORDER, SESSION,  S_ANY,     512,   0, 0)                                 \
	/* id = way. One whole frame, as it stands in the segment */                                  \
	M(REC_FRAME,      SESSION,  RECORDER, S_ANY,     66000, 0, 0)                                 \
	/* id = way. u64 sequence: recorder puts a signed checkpoint frame with it here */            \
	M(REC_MARK,       SESSION,  RECORDER, S_ANY,     8,     0, 0)                                 \
	/* id = way. u64 sequence of the seal frame; str header part of the next segment */           \
	M(REC_SEAL,       SESSION,  RECORDER, S_ANY,     32768, 0, 0)                                 \
	/* id = way. u64 sequence of the close frame; u8 enum brec_end; str reason */                 \
	M(REC_CLOSE,      SESSION,  RECORDER, S_ANY,     512,   0, 0)                                 \
	/* id = way. u64: every frame up to this sequence is durable at the quorum */                 \
	M(REC_COMMIT,     RECORDER, SESSION,  S_ANY,     8,     0, 0)                                 \
	/* id = way. The close frame is durable */                                                    \
	M(REC_CLOSED,     RECORDER, SESSION,  S_ANY,     0,     0, 0)                                 \
	/* on policy's link alone, id = 0. u8: the quorum of the usual collectors is there */         \
	M(REC_STATE,      RECORDER, SESSION,  S_ANY,     1,     0, 0)                                 \
	MSG_LIST_TASK(M) MSG_LIST_GLASS(M)

enum msg_type {
	MSG_NONE,
#define M(name, from, to, states, max, fds, once) MSG_##name,
	MSG_LIST(M)
#undef M
	MSG_COUNT
};

struct msg_rule {
	const char *name;
	enum role from, to;
	unsigned states;	/* mask of enum msg_state */
	size_t max;		/* body bytes */
	int fds;		/* exactly so many; -1: 0 to MSG_FDS_MAX, the handler counts */
	bool once;
};

/* The rule of a type; NULL for a number that is no message. */
const struct msg_rule *msg_rule(unsigned type);
/* Name for the log, "?" for a number that is no message. */
const char *msg_name(unsigned type);
const char *role_name(enum role role);
/* ROLE_COUNT when the text names none. */
enum role role_by_name(const char *text);

/* May this message go from `from` to `to`, seen in `state`? `seen`: it came before on this link. */
bool msg_permitted(unsigned type, enum role from, enum role to, unsigned state, size_t body, int nfds, bool seen);

#endif
