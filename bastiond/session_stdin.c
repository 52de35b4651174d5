/*
 * session_stdin.c - a word's argument from standard input: `ssh bob@bastion approve 17 --signature - < 17.sig`,
 * `ssh alice@bastion device add desk - < desk.pub`.
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

/* The arguments, and the name of the one that is to come; NULL: none is. */
static json_t *wanting(json_t *request, const char **name)
{
	static const char *const names[] = { "signature", "key" };
	json_t *args = json_object_get(request, "args");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *v = json_string_value(json_object_get(args, names[i]));

		*name = names[i];
		if (v != NULL && strcmp(v, "-") == 0)
			return args;
	}
	return NULL;
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
	const char *name;

	if (wanting(request, &name) == NULL) {
		json_decref(request);
		return false;
	}
	if (c->kind != CHAN_WORDS || c->script != NULL || c->pty) {
		json_decref(request);
		return refused(c, "'-' is the standard input of a command without a terminal: ssh USER@BASTION WORDS - < FILE\n");
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
	const char *name;
	json_t *args;
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
	args = wanting(g->request, &name);
	if (strcmp(name, "key") == 0)
		g->text[strcspn(g->text, "\r\n")] = '\0'; /* the line of a .pub file */
	if (g->len == 0 || g->len > SSHSIG_TEXT_MAX || (strlen(g->text) != g->len && strcmp(name, "key") != 0))
		refused(c, g->len == 0 ? "there was nothing on standard input\n" : "what came on standard input is not what it should be\n");
	else if (json_object_set_new(args, name, json_string(g->text)) != 0 ||
	    (json = json_dumps(g->request, JSON_COMPACT)) == NULL)
		refused(c, "what came on standard input is not what it should be\n");
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
