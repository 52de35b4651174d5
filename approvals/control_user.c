/*
 * control_user.c - the words for users, their devices and their codes. Policy role; see
 * control_word.h.
 */
#include "control_word.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "escape.h"
#include "otp.h"
#include "store_device.h"
#include "store_key.h"

enum words_exit load_user(struct call *k, struct user *u)
{
	const char *name = arg_text(k, "user");
	int r = store_user_by_name(k->s, name, u);

	if (r < 0)
		return broken(k);
	if (r == 0 || u->state == USER_REMOVED)
		return refuse(k, WORDS_NOT_FOUND, NULL, "There is no user %s.", name);
	return WORDS_OK;
}

int ticket_event(struct call *k, const struct ticket *t, enum event_kind kind, const char *reason)
{
	struct user u;

	if (store_user(k->s, t->user_id, &u) != 1)
		return -1;
	return event_writef(k->s, k->now, kind, k->name, u.name, "{s:I,s:s*}", "request",
	    (json_int_t)t->id, "reason", reason);
}

int close_ticket(struct call *k, struct ticket *t, const char *why)
{
	bool granted = ticket_gives_access(t->state);

	if (store_ticket_move(k->s, t, granted ? ACT_REVOKE : ACT_CANCEL, k->name, why, k->now) != 1 ||
	    ticket_event(k, t, granted ? EVENT_GRANT_REVOKE : EVENT_CANCEL, why) < 0)
		return -1;
	return !granted ?
	    0 :
	    effect(k, END_GRANT, t->id, "Your grant %lld was revoked: %s.", (long long)t->id, why);
}

int close_tickets(struct call *k, int64_t user_id, int64_t role_id, int64_t host_id,
    const char *why)
{
	struct ticket t = { .id = 0 };
	int r;

	while ((r = store_ticket_open(k->s, user_id, role_id, host_id, t.id, &t)) == 1)
		if (close_ticket(k, &t, why) < 0)
			return -1;
	return r;
}

/* What the table of arguments cannot say about a user to be. */
static enum words_exit check_user(struct call *k, const struct user *u)
{
	if (u->kind == USER_SERVICE && (u->networks[0] == '\0' || u->until == FOREVER))
		return refuse(k, WORDS_USAGE, "Add --from NETWORK and --until TIME.",
		    "A service account has no second factor: it needs a source network and an "
		    "end.");
	if (u->kind == USER_SERVICE && (u->admin || u->auditor))
		return refuse(k, WORDS_USAGE, NULL,
		    "A service account is no administrator and no auditor.");
	if (u->until <= k->now)
		return refuse(k, WORDS_USAGE, NULL,
		    "The account would end before it begins: look at --until.");
	if (u->uid > UINT32_MAX - 1)
		return refuse(k, WORDS_USAGE, NULL, "uid %lld is too large.", (long long)u->uid);
	return WORDS_OK;
}

enum words_exit word_user_add(struct call *k)
{
	const char *name = arg_text(k, "user"), *person = arg_text(k, "person");
	struct user u = {
		.kind = arg_flag(k, "service") ? USER_SERVICE : USER_HUMAN,
		.admin = arg_flag(k, "admin"),
		.auditor = arg_flag(k, "auditor"),
		.uid = arg_int(k, "uid", -1),
		.until = arg_int(k, "until", FOREVER),
	};
	enum words_exit r;

	if (person == NULL)
		person = name;
	if (strlen(person) > PERSON_MAX)
		return refuse(k, WORDS_USAGE, NULL, "person: at most %d bytes.", PERSON_MAX);
	snprintf(u.name, sizeof(u.name), "%s", name);
	snprintf(u.person, sizeof(u.person), "%s", person);
	if (arg_list(k, "from", u.networks) < 0)
		return refuse(k, WORDS_USAGE, NULL, "from: the networks take more than %d bytes.",
		    LIST_MAX);
	if ((r = check_user(k, &u)) != WORDS_OK)
		return r;
	if (store_user_add(k->s, &u, k->now) < 0) {
		if (errno == EEXIST)
			return refuse(k, WORDS_REFUSED, NULL,
			    "The name %s is taken, or was another person's.", name);
		if (errno == EADDRINUSE)
			return refuse(k, WORDS_REFUSED, NULL, "uid %lld belongs to another user.",
			    (long long)arg_int(k, "uid", -1));
		if (errno == ENOSPC)
			return refuse(k, WORDS_REFUSED, NULL, "%s.", store_error(k->s));
		return broken(k);
	}
	if (event_writef(k->s, k->now, EVENT_USER_ADD, k->name, u.name, "{s:s,s:b,s:b,s:b}",
		"person", u.person, "service", u.kind == USER_SERVICE, "admin", (int)u.admin,
		"auditor", (int)u.auditor) < 0)
		return broken(k);
	return say(k, "%s is a user now. Next: user key add %s DEVICE KEY%s", u.name, u.name,
	    u.kind == USER_HUMAN ? ", and user totp enrol" : "");
}

static json_t *one_user(struct call *k, int64_t id)
{
	return store_list(k->s, LIST_USERS, &(struct list_ask){ .id = id, .limit = 1, .now = k->now });
}

enum words_exit word_user_list(struct call *k)
{
	return say_list(k, "users", LIST_USERS,
	    (struct list_ask){ .after = arg_int(k, "after", 0), .limit = (int)arg_int(k, "limit", CONTROL_LIMIT) });
}

enum words_exit word_user_show(struct call *k)
{
	struct user u;
	enum words_exit r = load_user(k, &u);

	return r != WORDS_OK ? r : say_row(k, "user", one_user(k, u.id), "There is no such user.");
}

enum words_exit word_user_lock(struct call *k)
{
	const char *reason = arg_text(k, "reason");
	char why[500];
	struct user u;
	enum words_exit r = load_user(k, &u);

	if (r != WORDS_OK)
		return r;
	if (u.state == USER_LOCKED)
		return refuse(k, WORDS_REFUSED, NULL, "%s is locked already.", u.name);
	if (store_user_state(k->s, u.id, USER_LOCKED, reason, k->now) < 0 ||
	    event_writef(k->s, k->now, EVENT_USER_LOCK, k->name, u.name, "{s:s*}", "reason",
		reason) < 0 ||
	    effect(k, END_USER, u.id, "Your account was locked%s.",
		because(reason, why, sizeof(why))) < 0)
		return broken(k);
	return say(k, "%s is locked; what was open ends. Undo: user unlock %s", u.name, u.name);
}

enum words_exit word_user_unlock(struct call *k)
{
	struct user u;
	enum words_exit r = load_user(k, &u);

	if (r != WORDS_OK)
		return r;
	if (u.state != USER_LOCKED)
		return refuse(k, WORDS_REFUSED, NULL, "%s is not locked.", u.name);
	if (u.until <= k->now)
		return refuse(k, WORDS_REFUSED, "Remove it, and add it with a new end: it then needs a new key, its roles and grants.",
		    "The account %s has ended.", u.name);
	if (store_user_state(k->s, u.id, USER_ACTIVE, NULL, k->now) < 0 ||
	    event_write(k->s, k->now, EVENT_USER_UNLOCK, k->name, u.name, NULL) < 0)
		return broken(k);
	return say(k, "%s may log in again.", u.name);
}

enum words_exit word_user_remove(struct call *k)
{
	const char *reason = arg_text(k, "reason");
	char why[500];
	struct user u;
	enum words_exit r = load_user(k, &u);

	if (r != WORDS_OK)
		return r;
	if (close_tickets(k, u.id, 0, 0, "the user was removed") < 0 ||
	    store_user_state(k->s, u.id, USER_REMOVED, reason, k->now) < 0 ||
	    event_writef(k->s, k->now, EVENT_USER_REMOVE, k->name, u.name, "{s:s*}", "reason",
		reason) < 0 ||
	    effect(k, END_USER, u.id, "Your account was removed%s.",
		because(reason, why, sizeof(why))) < 0)
		return broken(k);
	return say(k, "%s is removed, with keys, codes, roles and grants; what was open ends.",
	    u.name);
}

/* --- devices --- */

enum words_exit word_key_list(struct call *k)
{
	struct user u = k->me;
	enum words_exit r;

	if (arg_text(k, "user") != NULL && (r = load_user(k, &u)) != WORDS_OK)
		return r;
	/* root without a name: all. Those that wait have numbers of their own: there is none behind which the list could go on */
	r = say_list(k, "devices", LIST_DEVICES, (struct list_ask){ .user_id = u.id, .limit = CONTROL_LIMIT_MAX });
	if (r == WORDS_OK && json_object_del(k->reply, "next") == 0)
		say_more(k, "note", json_string("There are more devices than fit here: name a user."));
	return r;
}

/* In force: what it has open ends. 1; 0: there is no such device; -1. */
static int revoke_device(struct call *k, const struct user *u, const char *name, const char *reason)
{
	char why[500];
	struct device d;
	int n = store_device_by_name(k->s, u->id, name, &d);

	if (n != 1)
		return n;
	if (store_device_revoke(k->s, d.id, k->now) < 0 ||
	    event_writef(k->s, k->now, EVENT_KEY_REVOKE, k->name, u->name, "{s:s,s:s,s:s*}",
		"device", d.name, "fingerprint", d.fingerprint, "reason", reason) < 0 ||
	    effect(k, END_DEVICE, d.id, "The key of your device %s was revoked%s.", d.name,
		because(reason, why, sizeof(why))) < 0)
		return -1;
	return 1;
}

/* Whatever has that name: one that waits must not keep the word from one that is in force. */
enum words_exit word_key_revoke(struct call *k)
{
	const char *reason = arg_text(k, "reason"), *name = arg_text(k, "device");
	struct user u;
	enum words_exit r = WORDS_OK;
	int waited, revoked;

	if (arg_text(k, "user") == NULL) /* `device revoke`: one's own */
		u = k->me;
	else if ((r = load_user(k, &u)) != WORDS_OK)
		return r;
	if ((waited = store_waiting_drop(k->s, u.id, name)) < 0 ||
	    (waited > 0 && event_writef(k->s, k->now, EVENT_KEY_DENY, k->name, u.name, "{s:s,s:s*}", "device", name, "reason", reason) < 0) ||
	    (revoked = revoke_device(k, &u, name, reason)) < 0)
		return broken(k);
	if (revoked > 0)
		return say(k, "The device %s of %s is revoked; what it had open ends.", name, u.name);
	if (waited > 0)
		return say(k, "The device %s of %s waits no more.", name, u.name);
	return refuse(k, WORDS_NOT_FOUND, "Look at: user key list", "%s has no device %s.", u.name, name);
}

/* --- one-time codes --- */

/*
 * One's own second factor changes only with a code of the one in force, if there is one: who sits down at an open session must not get it by
 * that. A wrong code is counted, though the word is refused. WORDS_OK, also where it is somebody else's; or refuse().
 */
static enum words_exit prove_code(struct call *k, const struct user *u)
{
	const char *code = arg_text(k, "code");
	struct totp t;
	enum otp_result r;
	int n;

	if (!is_oneself(k, u))
		return WORDS_OK;
	n = store_totp(k->s, u->id, &t);
	explicit_bzero(t.secret, sizeof(t.secret));
	explicit_bzero(t.fresh, sizeof(t.fresh));
	if (n < 0)
		return broken(k);
	if (n == 0 || !t.confirmed)
		return WORDS_OK;
	if (code == NULL)
		return refuse(k, WORDS_REFUSED, "Add --code with the one that your token shows now; without it another administrator can do it.",
		    "For your own second factor this needs a one-time code.");
	r = otp_check(k->s, u, 0, k->actor->source, code, k->now);
	if (r == OTP_ACCEPTED)
		return WORDS_OK;
	if (r == OTP_FAILED)
		return broken(k);
	k->charged = true;
	return refuse(k, WORDS_REFUSED, "Wait for the next code.", "This code does not do: it is %s.", otp_result_name(r));
}

enum words_exit word_totp_enrol(struct call *k)
{
	char secret[OTP_SECRET_TEXT], uri[OTP_URI_MAX];
	struct user u;
	enum words_exit r = load_user(k, &u);

	if (r != WORDS_OK)
		return r;
	if (u.kind == USER_SERVICE)
		return refuse(k, WORDS_REFUSED, NULL,
		    "%s is a service account: it has no second factor.", u.name);
	if ((r = prove_code(k, &u)) != WORDS_OK)
		return r;
	if (otp_enrol(k->s, &u, k->c->name, k->now, secret, uri) < 0 ||
	    event_write(k->s, k->now, EVENT_TOTP_ENROL, k->name, u.name, NULL) < 0)
		r = broken(k);
	else if ((r = say(k,
		      "A secret for %s, shown only now. It is in force after: user totp confirm %s "
		      "CODE CODE",
		      u.name, u.name)) == WORDS_OK) {
		say_more(k, "secret", json_string(secret));
		say_more(k, "uri", json_string(uri));
	}
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(uri, sizeof(uri));
	return r;
}

enum words_exit word_totp_confirm(struct call *k)
{
	struct user u;
	enum words_exit r = load_user(k, &u);

	if (r != WORDS_OK)
		return r;
	switch (otp_confirm(k->s, &u, arg_text(k, "code1"), arg_text(k, "code2"), k->now)) {
	case OTP_ACCEPTED:
		break;
	case OTP_REFUSED:
		return refuse(k, WORDS_REFUSED,
		    "Take the code that is shown, then the next one, and send both at once. "
		    "Compare the clocks of the device and of the bastion.",
		    "These are not two codes in a row of the new secret.");
	case OTP_NOT_ENROLLED:
		return refuse(k, WORDS_REFUSED, "First: user totp enrol",
		    "%s has no secret to confirm.", u.name);
	default:
		return broken(k);
	}
	if (event_write(k->s, k->now, EVENT_TOTP_CONFIRM, k->name, u.name, NULL) < 0)
		return broken(k);
	return say(k,
	    "%s logs in with codes of this secret from now on. The two codes are spent: wait for "
	    "the next.",
	    u.name);
}

enum words_exit word_totp_resync(struct call *k)
{
	int64_t drift;
	struct user u;
	enum words_exit r = load_user(k, &u);

	if (r != WORDS_OK)
		return r;
	k->charged = true;
	switch (otp_resync(k->s, &u, arg_text(k, "code1"), arg_text(k, "code2"), k->now, &drift)) {
	case OTP_ACCEPTED:
		break;
	case OTP_REFUSED:
		return refuse(k, WORDS_REFUSED, "Take the code that is shown, then the next one, and send both at once.",
		    "These are not two codes in a row within %d minutes of the bastion's clock.",
		    OTP_DRIFT_MAX * OTP_STEP / 60);
	case OTP_REPLAYED:
		return refuse(k, WORDS_REFUSED, "Wait for two fresh ones.", "One of these codes was used already.");
	case OTP_THROTTLED:
		return refuse(k, WORDS_REFUSED, "Wait a minute.", "There were too many wrong codes.");
	case OTP_NOT_ENROLLED:
		return refuse(k, WORDS_REFUSED, "First: user totp enrol", "%s has no secret in force.", u.name);
	default:
		return broken(k);
	}
	if (event_writef(k->s, k->now, EVENT_TOTP_RESYNC, k->name, u.name, "{s:I}", "drift",
		(json_int_t)drift * OTP_STEP) < 0)
		return broken(k);
	return say(k, "The clock of %s's token is %lld s off, and followed from now on. The two codes are spent: wait for "
	    "the next.", u.name, (long long)drift * OTP_STEP);
}

enum words_exit word_totp_recovery(struct call *k)
{
	char codes[OTP_RECOVERY_CODES][OTP_RECOVERY_TEXT];
	struct totp t;
	struct user u;
	json_t *rows;
	enum words_exit r = load_user(k, &u);
	int n;

	if (r != WORDS_OK)
		return r;
	n = store_totp(k->s, u.id, &t);
	explicit_bzero(t.secret, sizeof(t.secret));
	explicit_bzero(t.fresh, sizeof(t.fresh));
	if (n < 0)
		return broken(k);
	if (n == 0 || !t.confirmed)
		return refuse(k, WORDS_REFUSED, "First: user totp enrol", "%s has no secret in force.", u.name);
	if ((r = prove_code(k, &u)) != WORDS_OK)
		return r;
	if (otp_recovery(k->s, &u, k->now, codes) < 0 ||
	    event_writef(k->s, k->now, EVENT_RECOVERY, k->name, u.name, "{s:i}", "codes", OTP_RECOVERY_CODES) < 0) {
		explicit_bzero(codes, sizeof(codes));
		return broken(k);
	}
	rows = json_array();
	for (size_t i = 0; i < OTP_RECOVERY_CODES; i++)
		json_array_append_new(rows, json_pack("{s:s}", "code", codes[i]));
	explicit_bzero(codes, sizeof(codes));
	if ((r = say_rows(k, "codes", rows)) == WORDS_OK)
		say_more(k, "text", json_sprintf("Recovery codes of %s, shown only now; earlier ones are void. Each is good for one "
		    "login in place of a code.", u.name));
	return r;
}

enum words_exit word_totp_reset(struct call *k)
{
	struct user u;
	enum words_exit r = load_user(k, &u);

	if (r != WORDS_OK || (r = prove_code(k, &u)) != WORDS_OK)
		return r;
	if (store_totp_reset(k->s, u.id) < 0 ||
	    event_writef(k->s, k->now, EVENT_TOTP_RESET, k->name, u.name, "{s:s*}", "reason",
		arg_text(k, "reason")) < 0)
		return broken(k);
	return say(k, "%s has no secret any more, and cannot log in before: user totp enrol %s",
	    u.name, u.name);
}
