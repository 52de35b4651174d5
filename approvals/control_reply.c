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
