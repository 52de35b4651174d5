/*
 * control_reply.c - what a word answers, and what it lets end. Policy role; see control_word.h.
 */
#include "control_word.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "log.h"

static const char *const codes[] = {
	[WORDS_REFUSED] = "refused",
	[WORDS_USAGE] = "usage",
	[WORDS_DENIED] = "denied",
	[WORDS_NOT_FOUND] = "not_found",
	[WORDS_BROKEN] = "broken",
};

enum words_exit say(struct call *k, const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_decref(k->reply);
	k->reply = json_pack("{s:b,s:s}", "ok", 1, "text", text);
	return k->reply != NULL ? WORDS_OK : broken(k);
}

enum words_exit say_rows(struct call *k, const char *kind, json_t *rows)
{
	if (rows == NULL)
		return broken(k);
	json_decref(k->reply);
	k->reply = json_pack("{s:b,s:s,s:o}", "ok", 1, "kind", kind, "rows", rows);
	return k->reply != NULL ? WORDS_OK : broken(k);
}

/* A row's number, if there is such a row. */
static json_int_t number_of(const json_t *rows, size_t i)
{
	return json_integer_value(json_object_get(json_array_get(rows, i), "id"));
}

enum words_exit say_list(struct call *k, const char *kind, enum store_list which, struct list_ask ask)
{
	const bool newest = ask.after == 0 && which != LIST_USERS && which != LIST_ROLES && which != LIST_HOSTS && which != LIST_DEVICES;
	const size_t limit = (size_t)ask.limit;
	json_t *rows;
	json_int_t more;

	ask.limit++; /* one more than is shown: are there more? */
	ask.now = k->now;
	if ((rows = store_list(k->s, which, &ask)) == NULL || json_array_size(rows) <= limit)
		return say_rows(k, kind, rows);
	more = number_of(rows, newest ? 0 : limit);
	json_array_remove(rows, newest ? 0 : limit);
	/* a session has a row for each of its ways: they stay together, if they are not all there is */
	while (!newest && json_array_size(rows) > 1 && number_of(rows, json_array_size(rows) - 1) == more && number_of(rows, 0) != more)
		json_array_remove(rows, json_array_size(rows) - 1);
	more = newest ? 0 : number_of(rows, json_array_size(rows) - 1);
	if (say_rows(k, kind, rows) != WORDS_OK)
		return WORDS_BROKEN;
	say_more(k, newest ? "older" : "next", newest ? json_true() : json_integer(more));
	return WORDS_OK;
}

enum words_exit say_row(struct call *k, const char *kind, json_t *rows, const char *missing)
{
	json_t *row;

	if (rows == NULL)
		return broken(k);
	if ((row = json_array_get(rows, 0)) == NULL) {
		json_decref(rows);
		return refuse(k, WORDS_NOT_FOUND, NULL, "%s", missing);
	}
	json_decref(k->reply);
	k->reply = json_pack("{s:b,s:s,s:O}", "ok", 1, "kind", kind, "row", row);
	json_decref(rows);
	return k->reply != NULL ? WORDS_OK : broken(k);
}

void say_more(struct call *k, const char *key, json_t *value)
{
	json_object_set_new(k->reply, key, value);
}

enum words_exit refuse(struct call *k, enum words_exit code, const char *hint, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_decref(k->reply);
	k->reply = json_pack("{s:b,s:s,s:s,s:s*}", "ok", 0, "code", codes[code], "error", text,
	    "hint", hint);
	return code;
}

enum words_exit broken(struct call *k)
{
	log_error("control: %s: %s", k->word != NULL ? k->word->path : "request",
	    store_error(k->s));
	return refuse(k, WORDS_BROKEN,
	    "Try again. If it stays so, tell the administrators of the bastion: its log says why.",
	    "The bastion cannot do this now. Nothing was changed.");
}

const char *prefix(struct call *k, char *out, size_t size)
{
	if (k->actor->local)
		snprintf(out, size, "bastionctl ");
	else
		snprintf(out, size, "ssh %s@%s ", k->me.name, k->c->name);
	return out;
}

const char *because(const char *reason, char *out, size_t size)
{
	char shown[400];

	out[0] = '\0';
	if (reason != NULL && reason[0] != '\0') {
		esc_line(shown, sizeof(shown), reason, strlen(reason));
		snprintf(out, size, ": %s", shown);
	}
	return out;
}

int effect(struct call *k, enum end_what what, int64_t id, const char *fmt, ...)
{
	struct effect *more = realloc(k->effects, (k->neffects + 1) * sizeof(*more));
	va_list ap;

	if (more == NULL)
		return -1;
	k->effects = more;
	more[k->neffects].what = what;
	more[k->neffects].id = id;
	va_start(ap, fmt);
	vsnprintf(more[k->neffects].line, sizeof(more->line), fmt, ap);
	va_end(ap);
	k->neffects++;
	return 0;
}
