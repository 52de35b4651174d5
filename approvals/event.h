/*
 * event.h - the kinds of events, and the chain that makes their list append-only.
 *
 * Used by the policy role; the session role names a kind in NOTE (common/msg.h). An event is one
 * row: number, time, kind, actor, subject, detail (JSON). Row n carries hash(n), made of hash(n-1) and
 * row n (crypto_event.h). Triggers refuse UPDATE, and DELETE but for event_prune(); whoever goes around
 * them breaks the chain. What the chain alone cannot show, a cut at its end or a chain made anew, the
 * recording of the events shows (policy_events.c): it is at the collectors within a moment.
 */
#ifndef BASTION_EVENT_H
#define BASTION_EVENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "crypto_event.h"

/* E(symbol, name): past, one name for ever. */
#define EVENT_LIST(E)                                                                                   \
	E(INIT, "store.init") E(BACKUP, "store.backup") E(RESTORE, "store.restore")                     \
	E(START, "policy.start") E(RELOAD, "policy.reload")                                             \
	E(WORD_REFUSED, "word.refused") E(LEFT_OUT, "refusals.left-out")                                \
	E(USER_ADD, "user.add") E(USER_LOCK, "user.lock") E(USER_UNLOCK, "user.unlock")                 \
	E(USER_REMOVE, "user.remove") E(USER_EXPIRE, "user.expire")                                     \
	E(USER_LEAVE, "user.leave") E(USER_MOVE, "user.move")                                           \
	E(KEY_ADD, "key.add") E(KEY_REVOKE, "key.revoke")                                               \
	E(DIRECTORY, "directory.sync")                                                                  \
	E(SOURCE_BLOCK, "source.block") E(SOURCE_FREE, "source.unblock")                                \
	E(KEY_ASK, "key.ask") E(KEY_DENY, "key.deny") E(KEY_INVITE, "key.invite")                       \
	E(LOGIN_DEVICE, "login.new-device") E(LOGIN_NETWORK, "login.new-network")                       \
	E(TOTP_ENROL, "totp.enrol") E(TOTP_CONFIRM, "totp.confirm") E(TOTP_RESET, "totp.reset")         \
	E(TOTP_RESYNC, "totp.resync") E(TOTP_SEAL, "totp.seal")                                         \
	E(RECOVERY, "recovery.make") E(RECOVERY_USE, "recovery.use")                                    \
	E(ROLE_ADD, "role.add") E(ROLE_REMOVE, "role.remove") E(ROLE_CHANGE, "role.change")             \
	E(MEMBER_ADD, "member.add") E(MEMBER_REMOVE, "member.remove")                                   \
	E(APPROVER_ADD, "approver.add") E(APPROVER_REMOVE, "approver.remove")                           \
	E(HOST_ADD, "host.add") E(HOST_REMOVE, "host.remove") E(HOST_CHANGE, "host.change")             \
	E(REQUEST, "request") E(APPROVE, "request.approve") E(DENY, "request.deny")                     \
	E(CANCEL, "request.cancel") E(EXPIRE, "request.expire")                                         \
	E(GRANT, "grant.start") E(GRANT_USE, "grant.use") E(GRANT_END, "grant.end")                     \
	E(GRANT_REVOKE, "grant.revoke")                                                                 \
	E(LOGIN, "login.ok") E(LOGIN_FAIL, "login.fail") E(LOGIN_GRACE, "login.grace")                  \
	E(OTP_FAIL, "otp.fail") E(OTP_REPLAY, "otp.replay") E(OTP_GUESSED, "otp.guessed")               \
	E(LOGOUT, "logout")                                                                             \
	E(PAM_FAIL, "pam.fail")                                                                         \
	E(WAY_UP, "way.up") E(WAY_REFUSED, "way.refused") E(WAY_DOWN, "way.down")                       \
	E(WAY_ENDED, "way.ended") E(HOSTKEY, "hostkey.mismatch")                                        \
	E(CHANNEL, "channel.open") E(CHANNEL_REFUSED, "channel.refused")                                \
	E(CHANNEL_SILENT, "channel.silent") E(INPUT_DISCARDED, "input.discarded")                       \
	E(FORWARD_REFUSED, "forward.refused") E(AGENT_REFUSED, "agent.refused")                         \
	E(X11_REFUSED, "x11.refused") E(STREAMLOCAL_REFUSED, "streamlocal.refused")                     \
	E(PROTOCOL, "protocol.violation")                                                               \
	E(SESSION_KILL, "session.kill") E(SESSION_CRASH, "session.crash")                               \
	E(SESSION_HUNG, "session.hung") E(RECORDING_STALL, "recording.stall")                           \
	E(RECORDING_REPLAY, "recording.replay") E(RECORDING_EXPORT, "recording.export")                 \
	E(RECORDING_SEARCH, "recording.search") E(RECORDING_REVEAL, "recording.reveal")                 \
	E(PRUNE, "events.prune")                                                                        \
	E(ALARM, "recorder.alarm") E(WATCH, "watch.start") E(WATCH_END, "watch.end")                    \
	E(TICKET_UNKNOWN, "ticket.unknown") E(BREAK_GLASS, "break-glass")                               \
	E(GLASS_STORE, "break-glass.store") E(GLASS_AWAY, "break-glass.away") E(REVIEW, "break-glass.review") E(GRANT_ENDING, "grant.ending") \
	E(GRANT_CARRIED, "grant.carried") E(CLOCK_BACK, "clock.back")                                   \
	E(TASK_START, "task.start") E(TASK_END, "task.end")                                             \
	E(HOST_SCAN, "host.scan") E(HOSTKEY_ANNOUNCED, "hostkey.announced")                             \
	E(HOSTKEY_TRUST, "hostkey.trust") E(HOSTKEY_FORGET, "hostkey.forget")                           \
	E(HOSTKEY_WITHDRAWN, "hostkey.withdrawn") E(HOSTKEY_MANY, "hostkey.many")                       \
	E(ACCOUNT_CREATE, "account.create") E(ACCOUNT_THERE, "account.there")                           \
	E(ACCOUNT_UNTIL, "account.until")                                                               \
	E(ACCOUNT_REMOVE, "account.remove") E(ACCOUNT_GONE, "account.gone")                             \
	E(ACCOUNT_FAIL, "account.fail") E(ACCOUNT_LEFT, "account.left")                                 \
	E(ACCOUNT_FORGET, "account.forget") E(ACCOUNT_UIDS, "account.uids")                             \
	E(TARGET_KEY_ROTATE, "target-key.rotate") E(TARGET_KEY_NEW, "target-key.new")                   \
	E(TARGET_KEY_ACTIVE, "target-key.active") E(TARGET_KEY_OLD, "target-key.old")                   \
	E(TARGET_KEY_GONE, "target-key.gone") E(TARGET_KEY_FAILED, "target-key.failed")

enum event_kind {
#define E(symbol, name) EVENT_##symbol,
	EVENT_LIST(E)
#undef E
	EVENT_COUNT
};

/* "grant.revoke"; "?" for a number that is no kind. */
const char *event_name(enum event_kind kind);
/* The class of a kind by its name, "request", "decided", "alarm" …; NULL: it is in none. */
const char *event_class(const char *kind);
/* EVENT_COUNT when the text names none. */
enum event_kind event_by_name(const char *text);

struct store;

/*
 * Appends one event, in the caller's transaction if one is open, else in one of its own (durable
 * when it returns). actor: who did it ("alice", "root", "bastiond"); subject: the user, host or
 * other thing concerned, NULL: none. detail: taken over, an object or NULL. 0, or -1 (store_error()
 * says why): then what it reports must not happen either.
 */
int event_write(struct store *s, int64_t now, enum event_kind kind, const char *actor,
    const char *subject, json_t *detail);
/* The same with detail made by json_pack(fmt, …); fmt NULL: none. */
int event_writef(struct store *s, int64_t now, enum event_kind kind, const char *actor,
    const char *subject, const char *fmt, ...);

#define EVENT_VERIFY_MAX 500000 /* rows in one call: a second, in which policy does nothing else */

struct event_report {
	int64_t after;			/* the check began behind this number; */
	int64_t rows;			/* so many fit, one after the other */
	int64_t bad;			/* the first row that does not fit; 0: all fit */
	bool more;			/* there are rows after these */
	uint8_t head[EVENT_HASH_LEN];	/* hash of the last row that fits */
};

/*
 * Recomputes the chain of up to EVENT_VERIFY_MAX rows after number `after`, whose own stored hash
 * is taken as given (0, and what was pruned: from the start). 0 also when a row is bad; -1: the store failed.
 */
int event_verify(struct store *s, int64_t after, struct event_report *report);

#define EVENT_PRUNE_MAX 5000 /* rows in one call: tens of milliseconds */

/*
 * Takes away events older than `before` that the collectors have, and the rows of sessions that ended
 * before, as one transaction with an event that says so: "first" and "last" number, "hash" of the last,
 * "sessions". 1: there may be more; 0: not; -1: the store failed.
 */
int event_prune(struct store *s, int64_t now, int64_t before);

#endif
