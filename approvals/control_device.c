/*
 * control_device.c - the words by which users keep their own devices, and administrators let new ones in. Policy role; see
 * control_word.h.
 *
 * A key that its owner brings is nobody's until a second person had a part in it: either an administrator gave a code before
 * (`user key invite`), or says yes afterwards (`user key approve`). Who sits at an open session of somebody else, or has
 * stolen one device, cannot make that into another one.
 */
#include "control_word.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "crypto.h"
#include "otp_recovery.h"
#include "store_device.h"
#include "store_key.h"

#define INVITE_TIME 86400	/* seconds; without --for */
#define INVITE_TIME_MAX (30 * 86400)

static int invite_hash(const char *plain, uint8_t hash[INVITE_HASH_LEN])
{
	return sha256_spans(hash, SPANS(SPAN_STR("bastiond invite/1"), SPAN(plain, strlen(plain))));
}

/* The key of the argument, as a device of this user. */
static enum words_exit parse_device(struct call *k, const struct user *u, struct device *d, struct host_key *key)
{
	char err[512];

	if (key_parse(arg_text(k, "key"), false, key, err, sizeof(err)) < 0)
		return refuse(k, WORDS_USAGE, NULL, "key: %s", err);
	*d = (struct device){ .user_id = u->id };
	snprintf(d->name, sizeof(d->name), "%s", arg_text(k, "device"));
	snprintf(d->type, sizeof(d->type), "%s", key->type);
	snprintf(d->fingerprint, sizeof(d->fingerprint), "%s", key->fingerprint);
	return WORDS_OK;
}

/* Why the store would not have it. */
static enum words_exit not_added(struct call *k, const struct user *u, const struct device *d)
{
	if (errno == EEXIST)
		return refuse(k, WORDS_REFUSED, "Make a new key for this device, or take another name.",
		    "This key (%s) or the name %s is known already, or waits.", d->fingerprint, d->name);
	if (errno == ENOSPC)
		return refuse(k, WORDS_REFUSED, "Revoke one first.", "%s has too many devices, in force or waiting.", u->name);
	return broken(k);
}

/* In force from now on. `how` goes into the event; NULL: an administrator's own doing. */
static enum words_exit enrol(struct call *k, const struct user *u, struct device *d, const uint8_t *blob, size_t len,
    const char *how)
{
	struct device other;
	int n = store_device_by_name(k->s, u->id, d->name, &other);

	if (n != 0)
		return n < 0 ? broken(k) :
		    refuse(k, WORDS_REFUSED, "Take another name, or revoke it first.", "%s has a device %s already.",
			u->name, d->name);
	if (store_device_add(k->s, d, blob, len, k->now) < 0)
		return not_added(k, u, d);
	if (store_waiting_settle(k->s, d) < 0)
		return broken(k);
	if (event_writef(k->s, k->now, EVENT_KEY_ADD, k->name, u->name, "{s:s,s:s,s:s*}", "device", d->name, "fingerprint",
		d->fingerprint, "how", how) < 0)
		return broken(k);
	return say(k, "%s may log in with the device %s: %s %s", u->name, d->name, d->type, d->fingerprint);
}

/* Root is no person: whoever is root there needs none of this. */
static enum words_exit not_oneself(struct call *k, const struct user *u)
{
	return is_oneself(k, u) ? refuse(k, WORDS_REFUSED, "Another administrator can do it.", "Nobody lets in their own device.") : WORDS_OK;
}

enum words_exit word_key_add(struct call *k)
{
	struct host_key key;
	struct device d;
	struct user u;
	enum words_exit r = load_user(k, &u);

	if (r != WORDS_OK || (r = not_oneself(k, &u)) != WORDS_OK || (r = parse_device(k, &u, &d, &key)) != WORDS_OK)
		return r;
	return enrol(k, &u, &d, key.blob, key.len, NULL);
}

enum words_exit word_device_add(struct call *k)
{
	const char *code = arg_text(k, "code");
	char plain[OTP_RECOVERY_TEXT];
	uint8_t hash[INVITE_HASH_LEN];
	struct host_key key;
	struct device d;
	char way[ADDRESS_MAX + 32];
	enum words_exit r = parse_device(k, &k->me, &d, &key);
	int n = 0;

	if (r != WORDS_OK)
		return r;
	if (code == NULL) {
		if ((n = store_device_by_name(k->s, k->me.id, d.name, &(struct device){ .id = 0 })) != 0)
			return n < 0 ? broken(k) :
			    refuse(k, WORDS_REFUSED, "Take another name, or revoke it first.", "You have a device %s already.",
				d.name);
		if (store_waiting_add(k->s, &d, key.blob, key.len, k->now) < 0)
			return not_added(k, &k->me, &d);
		if (event_writef(k->s, k->now, EVENT_KEY_ASK, k->name, k->me.name, "{s:s,s:s}", "device", d.name, "fingerprint",
			d.fingerprint) < 0)
			return broken(k);
		return say(k, "The device %s waits: %s %s\nAn administrator compares that, and says: user key approve %s %s", d.name,
		    d.type, d.fingerprint, k->me.name, d.name);
	}
	if (recovery_plain(code, plain) && invite_hash(plain, hash) == 0)
		n = store_invite_spend(k->s, k->me.id, hash, k->now);
	explicit_bzero(plain, sizeof(plain));
	if (n < 0)
		return broken(k);
	if (n == 0)
		return refuse(k, WORDS_REFUSED, "Ask an administrator for a new one: user key invite", "This code is not yours, was "
		    "used, or is over.");
	snprintf(way, sizeof(way), "code, over ssh from %s", k->actor->source);
	return enrol(k, &k->me, &d, key.blob, key.len, k->actor->local ? "code" : way);
}

enum words_exit word_device_list(struct call *k)
{
	return say_list(k, "devices", LIST_DEVICES, (struct list_ask){ .user_id = k->me.id, .limit = CONTROL_LIMIT_MAX });
}

enum words_exit word_key_invite(struct call *k)
{
	char plain[OTP_RECOVERY_TEXT], code[OTP_RECOVERY_TEXT];
	int64_t span = arg_int(k, "for", INVITE_TIME);
	uint8_t hash[INVITE_HASH_LEN];
	struct user u;
	enum words_exit r = load_user(k, &u);

	if (r != WORDS_OK)
		return r;
	if (span < 60 || span > INVITE_TIME_MAX)
		return refuse(k, WORDS_USAGE, NULL, "for: from a minute to 30 days.");
	if ((r = not_oneself(k, &u)) != WORDS_OK)
		return r;
	if (recovery_make(plain, code) < 0 || invite_hash(plain, hash) < 0 ||
	    store_invite_set(k->s, u.id, hash, k->now + span) < 0 ||
	    event_writef(k->s, k->now, EVENT_KEY_INVITE, k->name, u.name, "{s:I}", "until", (json_int_t)(k->now + span)) < 0)
		r = broken(k);
	else if ((r = say(k, "One new device of %s may be enrolled with this code, shown only now: %s\n%s says, on a device that "
	    "is known: device add NAME --code %s KEY", u.name, code, u.name, code)) == WORDS_OK)
		say_more(k, "code", json_string(code));
	explicit_bzero(plain, sizeof(plain));
	explicit_bzero(code, sizeof(code));
	return r;
}

enum words_exit word_key_approve(struct call *k)
{
	const char *name = arg_text(k, "device");
	uint8_t blob[STORE_BLOB_MAX];
	struct device d;
	struct user u;
	size_t len;
	enum words_exit r = load_user(k, &u);
	int n;

	if (r != WORDS_OK || (r = not_oneself(k, &u)) != WORDS_OK)
		return r;
	if ((n = store_waiting(k->s, u.id, name, &d, blob, &len)) < 0)
		return broken(k);
	if (n == 0)
		return refuse(k, WORDS_NOT_FOUND, "Look at: user key list", "No device %s of %s waits.", name, u.name);
	return enrol(k, &u, &d, blob, len, "approved");
}
