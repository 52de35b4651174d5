/*
 * ctl_pages.c - a report, or an explanation of everybody, that is longer than one reply: bastionctl asks for its pages one after the other, so
 * that policy has time for others in between, and shows them as one.
 */
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#define ROWS_MAX 20000	/* as many as render_reply() makes a table of */

/* The request for the page after number `after`; the caller frees it. */
static char *next_page(const char *request, json_int_t after)
{
	json_t *json = json_loads(request, 0, NULL);
	char *text = NULL;

	if (json != NULL && json_object_set_new(json_object_get(json, "args"), "after", json_integer(after)) == 0)
		text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return text;
}

/* One more page to the rows of `all`, which goes on where that does. enum words_exit. */
static int add_page(struct ctl *c, const struct words_call *call, json_t *all, json_int_t after)
{
	char *request = next_page(call->json, after);
	json_t *page = NULL, *rows, *next;
	struct buf reply;
	int r = WORDS_BROKEN;

	buf_init(&reply, CTL_REPLY_MAX);
	if (request == NULL)
		ctl_fail("no memory");
	else if ((r = ctl_ask(c, request, &reply)) == WORDS_OK) {
		page = json_loadb((const char *)reply.data, reply.len, 0, NULL);
		rows = json_object_get(page, "rows");
		next = json_object_get(page, "next");
		if (!json_is_array(rows) || (next != NULL && json_integer_value(next) <= after))
			r = ctl_show(c, &reply) == WORDS_OK ? ctl_fail("the list broke off") : WORDS_BROKEN;
		else if (json_array_extend(json_object_get(all, "rows"), rows) != 0 ||
		    (next != NULL ? json_object_set(all, "next", next) : json_object_del(all, "next")) != 0)
			r = ctl_fail("no memory");
	}
	json_decref(page);
	buf_finish(&reply);
	free(request);
	return r;
}

static bool has_pages(const char *word)
{
	return strncmp(word, "report ", 7) == 0 || strcmp(word, "explain") == 0;
}

int ctl_ask_all(struct ctl *c, const struct words_call *call, struct buf *reply)
{
	json_t *all, *rows;
	json_int_t next;
	char *text;
	int r = ctl_ask(c, call->json, reply);

	if (r != WORDS_OK || !has_pages(call->word->path) || strstr(call->json, "\"limit\":") != NULL)
		return r;
	all = json_loadb((const char *)reply->data, reply->len, 0, NULL);
	rows = json_object_get(all, "rows");
	if (json_integer_value(json_object_get(all, "next")) == 0)
		goto out;
	while (r == WORDS_OK && (next = json_integer_value(json_object_get(all, "next"))) > 0 &&
	    json_array_size(rows) + CTL_PAGE_MAX <= ROWS_MAX)
		r = add_page(c, call, all, next);
	if (r == WORDS_OK) {
		text = json_dumps(all, JSON_COMPACT);
		buf_finish(reply);
		buf_init(reply, RENDER_MAX);
		if (text == NULL || buf_put(reply, text, strlen(text)) != 0)
			r = ctl_fail("no memory for the whole list. Ask for less with --limit");
		free(text);
	}
out:
	json_decref(all);
	return r;
}
