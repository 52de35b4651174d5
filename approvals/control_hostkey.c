/*
 * control_hostkey.c - the words about a host's own keys: what is pinned, what it announces, what an administrator takes. Policy role; see
 * control_word.h.
 */
#include "control_word.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "store_hostkey.h"

/* "Looked at 2026-11-22 20:15 as dba: refused: dba@10.0.0.11: Permission denied (publickey)." */
static int note_look(struct call *k, const struct host *h)
{
	json_t *rows = store_look_list(k->s, h->id), *row = json_array_get(rows, 0);
	const char *line = json_string_value(json_object_get(row, "line"));
	char when[32];

	if (rows == NULL)
		return -1;
	if (row == NULL) {
		say_more(k, "note", json_string("It was never looked at. Look now: host scan HOST"));
	} else {
		const json_int_t unkept = json_integer_value(json_object_get(row, "unkept"));
		char more[96] = "";

		if (unkept > 0)
			snprintf(more, sizeof(more), ". It announces %lld keys more than are kept here", (long long)unkept);
		say_more(k, "note", json_sprintf("Looked at %s as %s: %s%s%s%s",
		    clock_format(when, sizeof(when), (int64_t)json_integer_value(json_object_get(row, "at"))),
		    json_string_value(json_object_get(row, "login")), json_string_value(json_object_get(row, "result")),
		    line != NULL ? ": " : "", line != NULL ? line : "", more));
		say_more(k, "look", json_incref(row));
	}
	json_decref(rows);
	return 0;
}

enum words_exit word_host_keys(struct call *k)
{
	struct host h;
	enum words_exit r = load_host(k, &h);

	if (r == WORDS_OK && (r = say_rows(k, "hostkeys", store_host_key_list(k->s, h.id))) == WORDS_OK && note_look(k, &h) != 0)
		r = broken(k);
	return r;
}

/* The look itself comes after the commit (bastiond/policy_hostkey.c), and its answer is that of `host keys`. */
enum words_exit word_host_scan(struct call *k)
{
	const char *login = arg_text(k, "login");
	struct host h;
	enum words_exit r = load_host(k, &h);

	if (r != WORDS_OK)
		return r;
	if (login != NULL && !list_has(h.logins, login))
		return refuse(k, WORDS_NOT_FOUND, "Look at: host list", "%s has no login %s here.", h.name, login);
	if (!first_login(login != NULL ? login : h.logins, k->look_login))
		return refuse(k, WORDS_REFUSED, "What is done there for accounts notes its host keys, too: host keys", "%s has no account of its own to log in to.", h.name);
	k->look_for = h.id;
	if (event_writef(k->s, k->now, EVENT_HOST_SCAN, k->name, h.name, "{s:s}", "login", k->look_login) < 0)
		return broken(k);
	return say(k, "Looking at %s as %s.", h.name, k->look_login);
}

enum words_exit word_host_trust_key(struct call *k)
{
	const char *fingerprint = arg_text(k, "fingerprint");
	struct host_key key;
	struct host h;
	enum words_exit r = load_host(k, &h);
	int found;

	if (r != WORDS_OK)
		return r;
	if ((found = store_announced(k->s, h.id, fingerprint, &key)) < 0)
		return broken(k);
	if (found == 0)
		return refuse(k, WORDS_NOT_FOUND, "Look at: host keys", "%s has announced no key of that fingerprint that is not pinned.", h.name);
	if (store_host_key_add(k->s, h.id, &key) < 0)
		return errno == ENOSPC ? refuse(k, WORDS_REFUSED, "Drop one that it has no more: host forget-key", "%s", store_error(k->s)) : broken(k);
	if (store_announced_drop(k->s, h.id, fingerprint) < 0 ||
	    event_writef(k->s, k->now, EVENT_HOSTKEY_TRUST, k->name, h.name, "{s:s,s:s}", "type", key.type, "fingerprint", key.fingerprint) < 0)
		return broken(k);
	return say(k, "The key %s of %s is pinned beside the others.", key.fingerprint, h.name);
}

enum words_exit word_host_forget_key(struct call *k)
{
	const char *fingerprint = arg_text(k, "fingerprint");
	struct host_key key;
	struct host h;
	enum words_exit r = load_host(k, &h);
	int pinned, found;

	if (r != WORDS_OK)
		return r;
	if ((pinned = store_host_key_drop(k->s, h.id, fingerprint, k->now)) < 0)
		return errno == EPERM ? refuse(k, WORDS_REFUSED, "Pin its new one first: host trust-key; or remove the host.",
		    "That is the only key that %s is known by.", h.name) : broken(k);
	if ((found = pinned == 1 ? 0 : store_announced(k->s, h.id, fingerprint, &key)) < 0)
		return broken(k);
	if (pinned == 0 && found == 0)
		return refuse(k, WORDS_NOT_FOUND, "Look at: host keys", "%s has no key of that fingerprint.", h.name);
	if ((found == 1 && store_announced_refuse(k->s, h.id, fingerprint) < 0) ||
	    event_writef(k->s, k->now, EVENT_HOSTKEY_FORGET, k->name, h.name, "{s:s,s:s}", "was", pinned ? "pinned" : "announced", "fingerprint",
		fingerprint) < 0)
		return broken(k);
	return pinned ? say(k, "The key is not pinned any more: who shows it as %s is refused from now on.", h.name) :
			say(k, "The key is refused: that %s announces it is no news any more.", h.name);
}

/* The steps come from the loop (bastiond/policy_rotate.c). */
static enum words_exit rotate_one(struct call *k, const struct host *h, const char *login, char *line, size_t size)
{
	int r = -1;

	snprintf(line, size, "the bastion does it when it runs");
	if (k->c->rotate != NULL)
		r = k->c->rotate(k->c->arg, h, login, line, size);

	if (r < 0)
		return refuse(k, WORDS_REFUSED, NULL, "No key rotates: %s.", line);
	if (event_writef(k->s, k->now, EVENT_TARGET_KEY_ROTATE, k->name, h->name, "{s:s}", "login", login) < 0)
		return broken(k);
	return WORDS_OK;
}

enum words_exit word_host_rotate(struct call *k)
{
	const char *only = arg_text(k, "login");
	char list[LIST_MAX + 1], *rest = list, *login, others[256] = "", line[256];
	struct host h;
	enum words_exit r = load_host(k, &h);

	if (r != WORDS_OK)
		return r;
	if (only != NULL && !list_has(h.logins, only))
		return refuse(k, WORDS_NOT_FOUND, "Look at: host list", "%s has no login %s here.", h.name, only);
	memcpy(list, h.logins, sizeof(list));
	while (r == WORDS_OK && (login = strsep(&rest, " ")) != NULL)
		if (name_is_login(login) && (only == NULL || strcmp(only, login) == 0))
			if ((r = rotate_one(k, &h, login, line, sizeof(line))) == WORDS_OK && line[0] != '\0')
				snprintf(others, sizeof(others), "%s", line);
	if (r != WORDS_OK)
		return r;
	return say(k, "New keys are on their way to %s%s%s%s. How far they are: host keys %s", h.name, others[0] != '\0' ? ", and with it to what is "
	    "the same machine by address or host key: " : "", others, "", h.name);
}
