/*
 * ctl_names.c - `bastionctl names KIND`: what exists, a name a line, for the completion of a shell (words_shell.c).
 *
 * A word that is refused is an event; pressing a key in a shell shall make none. So root asks for the lists of administrators, others
 * only for what is theirs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static const struct { const char *kind, *root, *user, *key; } lists[] = {
	{ "user", "user list", NULL, "name" }, { "role", "role list", NULL, "name" }, { "host", "host list", "hosts", "name" },
	{ "request", "requests", "requests", "id" }, { "grant", "grants", "grants", "id" },
	{ "session", "sessions", "sessions", "id" }, { "review", "reviews", "reviews", "id" },
	{ "account", "accounts", NULL, "id" },
};

/* Names are of these letters wherever they come from: a shell will read them. */
static void print_name(const json_t *v)
{
	const char *name = json_string_value(v);

	if (json_is_integer(v))
		printf("%lld\n", (long long)json_integer_value(v));
	else if (name != NULL && name[0] != '-' && strspn(name, NAME_CHARS) == strlen(name))
		puts(name);
}

int ctl_names(struct ctl *c, const char *kind)
{
	const char *word = NULL, *key = NULL;
	json_t *all, *rows;
	char request[128];
	size_t i;
	int r;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (strcmp(lists[i].kind, kind) == 0) {
			word = geteuid() == 0 ? lists[i].root : lists[i].user;
			key = lists[i].key;
		}
	if (word == NULL)
		return WORDS_OK;
	snprintf(request, sizeof(request), "{\"word\":\"%s\"%s}", word, strcmp(word, "hosts") == 0 ? "" : ",\"args\":{\"limit\":1000}");
	all = ctl_get(c, request, &r);
	rows = json_object_get(all, "rows");
	for (i = 0; i < json_array_size(rows); i++)
		print_name(json_object_get(json_array_get(rows, i), key));
	json_decref(all);
	return fflush(stdout) == 0 ? r : WORDS_BROKEN;
}
