/*
 * ctl_names.c - `bastionctl names KIND`: what exists, a name a line, for the completion of a shell (words_shell.c); or rows of JSON.
 *
 * A word that is refused is an event; pressing a key in a shell shall make none. So root asks for the lists of administrators, others
 * only for what is theirs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

#define PAGES_MAX 20	/* of CTL_PAGE_MAX names: a shell chokes on more */
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static const struct { const char *kind, *root, *user, *key; } lists[] = {
	{ "user", "user list", NULL, "name" }, { "role", "role list", NULL, "name" }, { "host", "host list", "hosts", "name" },
	{ "request", "requests", "requests", "id" }, { "grant", "grants", "grants", "id" },
	{ "session", "sessions", "sessions", "id" }, { "review", "reviews", "reviews", "id" },
	{ "account", "accounts", NULL, "id" },
};

/* Names are of these letters wherever they come from: a shell will read them. */
static int add_name(json_t *names, const json_t *v)
{
	const char *name = json_string_value(v);
	char number[24];

	if (json_is_integer(v)) {
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
		name = number;
	} else if (name == NULL || name[0] == '-' || strspn(name, NAME_CHARS) != strlen(name)) {
		return 0;
	}
	return json_array_append_new(names, json_pack("{s:s}", "name", name));
}

/* Adds the page of a list behind `after` (NULL: the first). Where the next one begins, the caller's; NULL: nowhere, and *r says how it went. */
static json_t *add_page(struct ctl *c, json_t *names, const char *word, const char *key, json_t *after, int *r)
{
	json_t *args = json_object(), *request = json_pack("{s:s, s:o}", "word", word, "args", args), *all = NULL, *rows, *next;
	char *text = NULL;

	*r = WORDS_BROKEN;
	if ((strcmp(word, "hosts") == 0 || json_object_set_new(args, "limit", json_integer(CTL_PAGE_MAX)) == 0) &&
	    (after == NULL || json_object_set(args, "after", after) == 0) && (text = json_dumps(request, JSON_COMPACT)) != NULL)
		all = ctl_get(c, text, r);
	else
		ctl_fail("no memory");
	rows = json_object_get(all, "rows");
	for (size_t i = 0; i < json_array_size(rows); i++)
		if (add_name(names, json_object_get(json_array_get(rows, i), key)) != 0)
			*r = ctl_fail("no memory");
	/* a list by number has its number there, `hosts` a name */
	next = json_object_get(all, json_object_get(all, "next") != NULL ? "next" : "after");
	json_incref(next);
	json_decref(all);
	json_decref(request);
	free(text);
	return next;
}

static int show(struct ctl *c, json_t *names)
{
	char *text = NULL;
	json_t *reply;
	struct buf b;
	int r = WORDS_BROKEN;

	if (c->show.json) {
		reply = json_pack("{s:b, s:s, s:O}", "ok", 1, "kind", "names", "rows", names);
		if (reply == NULL || (text = json_dumps(reply, JSON_COMPACT)) == NULL) {
			ctl_fail("no memory");
		} else {
			buf_view(&b, text, strlen(text));
			r = ctl_show(c, &b);
		}
		json_decref(reply);
		free(text);
		return r;
	}
	for (size_t i = 0; i < json_array_size(names); i++)
		puts(json_string_value(json_object_get(json_array_get(names, i), "name")));
	return ctl_flush();
}

int ctl_names(struct ctl *c, const char *kind)
{
	const char *word = NULL, *key = NULL;
	json_t *names = json_array(), *after = NULL, *next = NULL;
	int r = names != NULL ? WORDS_OK : ctl_fail("no memory");

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (strcmp(lists[i].kind, kind) == 0) {
			word = geteuid() == 0 ? lists[i].root : lists[i].user;
			key = lists[i].key;
		}
	for (int page = 0; r == WORDS_OK && word != NULL && page < PAGES_MAX && (page == 0 || next != NULL); page++) {
		json_decref(after);
		after = next;
		next = add_page(c, names, word, key, after, &r);
	}
	json_decref(after);
	json_decref(next);
	if (r == WORDS_OK)
		r = show(c, names);
	json_decref(names);
	return r;
}
