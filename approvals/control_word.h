/*
 * control_word.h - inside the command words: one request under way. Private to control*.c.
 *
 * A handler runs in a transaction of its own. It checks what is left to check, changes the store,
 * writes the event, sets the reply, lists what must end among live connections, and returns
 * WORDS_OK; or refuse() and its code, which undoes all.
 */
#ifndef BASTION_CONTROL_WORD_H
#define BASTION_CONTROL_WORD_H

#include <jansson.h>

#include "control.h"
#include "hex.h"
#include "store_otp.h"
#include "words.h"

#define LINE_SHORT 640

/* What must end among live connections, once the change is durable. */
struct effect {
	enum end_what what;
	int64_t id;
	char line[LINE_SHORT];
};

struct call {
	struct control *c;
	struct store *s;
	const struct actor *actor;
	struct user me;		/* zeroes for root */
	const char *name;	/* of who asks, for events: "root" */
	int64_t now;
	const struct words_word *word;
	json_t *request, *args;	/* args: borrowed from the request, checked */
	json_t *reply;
	struct effect *effects;
	size_t neffects;
	bool charged;	/* a refusal keeps what the handler changed: an attempt that was charged stays charged */
	uint32_t watch;		/* of watch_new(); 0: none */
	const char *unblock;	/* the network that is let in again after the commit; NULL: none */
	int64_t wait_for;	/* the reply comes when this request is decided; 0: now */
	int64_t look_for;	/* the reply comes when this host was looked at, as look_login; 0: now */
	char look_login[LOGIN_MAX + 1];
};

typedef enum words_exit word_fn(struct call *k);

/* --- replies (control_reply.c) --- */

enum words_exit say(struct call *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A list of at most ask.limit rows. What has no room is told: "next" for --after, or "older", where the newest are shown. */
enum words_exit say_list(struct call *k, const char *kind, enum store_list which, struct list_ask ask);
/* Takes over rows; NULL is a store that failed. */
enum words_exit say_rows(struct call *k, const char *kind, json_t *rows);
/* One row: the first of rows, or not_found with the line. */
enum words_exit say_row(struct call *k, const char *kind, json_t *rows, const char *missing);
/* More members of the reply, after say(). Takes over value. */
void say_more(struct call *k, const char *key, json_t *value);
/* hint: what to do next, NULL: nothing is known. Texts of users in them: escaped by the caller. */
enum words_exit refuse(struct call *k, enum words_exit code, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The store failed; its line goes to the log, not to the user. */
enum words_exit broken(struct call *k);
/* "ssh alice@bastion ", or "bastionctl " for the control socket: goes before a word in a hint. */
const char *prefix(struct call *k, char *out, size_t size);
/* ": REASON", escaped, or "" when there is none. */
const char *because(const char *reason, char *out, size_t size);
/* After the commit: c->end for each effect. 0, or -1 without memory. */
int effect(struct call *k, enum end_what what, int64_t id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* --- arguments (control_args.c) --- */

/* Checks args against the word's table: unknown, missing, ill-typed. WORDS_OK, or refuse(). */
enum words_exit args_check(struct call *k);
/* After args_check these have the right type; NULL, 0, false, or `otherwise` when the argument is
 * missing. */
const char *arg_text(const struct call *k, const char *name);
int64_t arg_int(const struct call *k, const char *name, int64_t otherwise);
bool arg_flag(const struct call *k, const char *name);
/* Words with one space between, without duplicates, into out[LIST_MAX + 1]. 0, or -1: they do not
 * fit. */
int arg_list(const struct call *k, const char *name, char *out);
struct rights {
	unsigned caps;
	char forwards[LIST_MAX + 1], commands[COMMANDS_MAX + 1];
	bool bare;	/* "forward" or "command" alone */
};
/* Of the argument `cap`. 0, or -1: the lists are too long. */
int arg_rights(const struct call *k, struct rights *r);

/* --- shared between handlers --- */

/* Takes n from the budget of what this user's words may write; administrators have none. WORDS_OK, or refuse() (control.c). */
enum words_exit spend(struct call *k, unsigned n);
bool is_admin(const struct call *k);	/* root or an administrator */
bool is_oneself(const struct call *k, const struct user *u);	/* an account of the person who asks */
/* An event about a ticket, with its holder as subject, and the reason if there is one. 0, or -1. */
int ticket_event(struct call *k, const struct ticket *t, enum event_kind kind, const char *reason);
/* "until TIME", or "from TIME until TIME" for a grant that has not begun. */
const char *ticket_times(const struct call *k, const struct ticket *t, char *out, size_t size);
/* Loads what the argument names. WORDS_OK, or refuse(). */
enum words_exit load_user(struct call *k, struct user *u);
enum words_exit load_role(struct call *k, struct access_role *r);
enum words_exit load_host(struct call *k, struct host *h);
/* Cancels or revokes it, and lists its ways to end. 0, or -1. */
int close_ticket(struct call *k, struct ticket *t, const char *why);
/* Ends the open tickets under this role that it does not cover any more. 0, or -1. */
int close_uncovered(struct call *k, const struct access_role *r);
/* Rules changed: what is open is looked at anew, after the commit. 0, or -1. */
int recheck(struct call *k);
/* Cancels and revokes all open tickets of user, role, host (0: any), and lists their ways to end.
 * 0, or -1. */
int close_tickets(struct call *k, int64_t user_id, int64_t role_id, int64_t host_id,
    const char *why);

/* Unix seconds, as the control has them. */
int64_t control_now(struct control *c);
/* WORDS_OK: no ticket, or it is open by a check of the last moments; or refuse() (control_outside.c). */
enum words_exit outside_open(struct call *k, const char *ref);

/* --- break-glass (control_glass.c) --- */

/* Leaves the roles that admit it, without what it passes over, and the rules that deny. Their number. */
size_t glass_roles(struct access_role *roles, size_t n);
/* The event that makes it loud. 0, or -1. */
int glass_event(struct call *k, const struct ticket *t, const struct user *u, const struct host *h, const char *role);

/* --- signed approvals (control_consent.c) --- */

/* Replies with the text that this approver is to sign. */
enum words_exit consent_show(struct call *k, const struct ticket *t);
/* Checks the argument `signature`, and fills *row. WORDS_OK, or refuse(). */
enum words_exit consent_check(struct call *k, const struct ticket *t, struct signature_row *row);

/* As `user leave`, for the directory: what ended is added to rows. 0, or -1. */
int leave_account(struct call *k, const struct user *u, json_t *rows);
int leave_person(struct call *k, const char *person, json_t *rows);

word_fn word_directory_stage, word_directory_apply;
word_fn word_user_add, word_user_list, word_user_show, word_user_lock, word_user_unlock,
    word_user_remove, word_user_leave, word_user_move;
word_fn word_key_add, word_key_list, word_key_revoke, word_totp_enrol, word_totp_confirm,
    word_totp_reset, word_totp_resync, word_totp_recovery;
word_fn word_device_add, word_device_list, word_key_invite, word_key_approve;
word_fn word_role_add, word_role_change, word_role_list, word_role_show, word_role_remove;
word_fn word_member_add, word_member_remove, word_approver_add, word_approver_remove;
word_fn word_host_add, word_host_change, word_host_list, word_host_remove, word_host_trust, word_keys,
    word_hosts, word_config;
word_fn word_host_keys, word_host_scan, word_host_trust_key, word_host_forget_key, word_host_rotate;
word_fn word_request, word_requests, word_approve, word_deny, word_cancel, word_revoke, word_grants;
word_fn word_wait, word_extend, word_review, word_reviews;
word_fn word_note_replay, word_explain;
word_fn word_report_logins, word_report_privileges, word_report_refused, word_report_requests, word_report_grants, word_report_glass,
    word_report_access, word_report_services, word_report_dormant;
word_fn word_blocks, word_unblock, word_ticket_check, word_accounts, word_accounts_forget;
word_fn word_sessions, word_kill, word_watch, word_events;

#endif
