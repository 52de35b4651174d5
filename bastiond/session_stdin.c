/*
 * session_stdin.c - a word's argument from standard input: `ssh bob@bastion approve 17 --signature - < 17.sig`.
 *
 * Role: session. Between session_words.c, which parsed the line, and policy, which gets the request when the text is whole. Only a
 * command without a terminal has such an input; it is text, and bounded. What it says is policy's to look at.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "crypto_sshsig.h"
#include "session.h"
#include "session_stdin.h"

struct given {
	json_t *request;
	size_t len;
	char text[SSHSIG_TEXT_MAX + 2];	/* one byte more shows that it is too long */
};

static json_t *wanting(json_t *request)
{
	json_t *args = json_object_get(request, "args");
	const char *v = json_string_value(json_object_get(args, "signature"));

	return v != NULL && strcmp(v, "-") == 0 ? args : NULL;
}

static bool refused(struct chan *c, const char *line)
{
	words_print(c, true, line, strlen(line));
	words_finish(c, WORDS_USAGE);
	return true;
}

bool stdin_wanted(struct chan *c, const char *json)
{
	json_t *request = json_loads(json, 0, NULL);

	if (wanting(request) == NULL) {
		json_decref(request);
		return false;
	}
	if (c->kind != CHAN_WORDS || c->script != NULL || c->pty) {
		json_decref(request);
		return refused(c, "'-' is the standard input of a command without a terminal: ssh USER@BASTION approve NUMBER --signature - < FILE.sig\n");
	}
	if ((c->given = calloc(1, sizeof(*c->given))) == NULL) {
		json_decref(request);
		return refused(c, "no memory\n");
	}
	c->given->request = request;
	return true;
}

char *stdin_step(struct chan *c)
{
	struct given *g = c->given;
	struct hold_item it;
	char *json = NULL;

	while (hold_peek(&c->in, &it)) {
		size_t room = sizeof(g->text) - 1 - g->len;

		memcpy(g->text + g->len, it.data, it.len < room ? it.len : room);
		g->len += it.len < room ? it.len : room;
		hold_take(&c->in, it.len);
	}
	if (!c->client_eof || c->left_in)
		return NULL;
	g->text[g->len] = '\0';
	if (g->len == 0 || g->len > SSHSIG_TEXT_MAX || strlen(g->text) != g->len)
		refused(c, g->len == 0 ? "there was nothing on standard input\n" : "what came on standard input is no signature\n");
	else if (json_object_set_new(wanting(g->request), "signature", json_string(g->text)) != 0 ||
	    (json = json_dumps(g->request, JSON_COMPACT)) == NULL)
		refused(c, "what came on standard input is no signature\n");
	stdin_drop(c);
	return json;
}

void stdin_drop(struct chan *c)
{
	if (c->given != NULL)
		json_decref(c->given->request);
	free(c->given);
	c->given = NULL;
}
