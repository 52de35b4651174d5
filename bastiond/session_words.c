/*
 * session_words.c - `ssh alice@bastion WORDS`: the words of bastionctl, with this user's rights.
 *
 * Role: session. Before it: session_front.c. The line is parsed here (approvals/words.h), policy decides and answers in JSON,
 * approvals/render.h makes text of it. One request is with policy at a time; other channels wait their turn.
 * session_console.c uses the same path for each line that is typed.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "render.h"
#include "session.h"
#include "session_stdin.h"
#include "words.h"

#define SCRIPT_LINES 32	/* of one script in one turn of the loop */

void words_env_of(const struct chan *c, struct words_env *env)
{
	/* what this user may is policy's to say: here it only chooses what `help` shows first */
	*env = (struct words_env){
		.who = WHO_APPROVER,
		.console = c->kind == CHAN_CONSOLE || c->script != NULL,
		.columns = c->pty ? c->cols : 0,
	};
}

/* Text towards the client. On a terminal: line ends that no tty driver makes, and one stream, because ssh keeps two in no order. */
void words_print(struct chan *c, bool err, const void *text, size_t len)
{
	const enum hold_kind kind = err && !c->pty ? HOLD_ERR : HOLD_DATA;
	const char *p = text;

	while (len > 0) {
		const char *nl = c->pty ? memchr(p, '\n', len) : NULL;
		size_t n = nl != NULL ? (size_t)(nl - p) : len;

		if (n > 0)
			hold_put(&c->out, kind, 0, p, n);
		if (nl != NULL) {
			hold_put(&c->out, kind, 0, "\r\n", 2);
			n++;
		}
		p += n;
		len -= n;
	}
}

/* Words on standard input, a line each, of a client without a terminal: `ssh alice@bastion <file`. */
struct script {
	char line[WORDS_LINE_MAX + 2];	/* the one that is being read; one byte more shows that it is too long */
	size_t len;
	bool used;		/* there was a line */
	uint32_t status;	/* of the first word that was refused; 0: none was */
};

void words_finish(struct chan *c, uint32_t status)
{
	if (c->script != NULL) {
		if (c->script->status == 0)
			c->script->status = status;
		return;
	}
	if (c->kind == CHAN_CONSOLE) {
		console_status(c, status);
		console_prompt(c);
		return;
	}
	/* the status first: a client may close at the end of file */
	if (hold_put(&c->out, HOLD_EXIT, 0, &status, sizeof(status)) != 0 ||
	    hold_put(&c->out, HOLD_EOF, 0, NULL, 0) != 0 ||
	    hold_put(&c->out, HOLD_CLOSE, 0, NULL, 0) != 0)
		c->state = CHAN_DEAD;
	else
		c->state = CHAN_ENDING;
}

static void ask_policy(struct chan *c, const char *json)
{
	struct session *s = c->front->session;
	struct buf b;

	buf_view(&b, json, strlen(json));
	if (ipc_send(&s->policy, MSG_WORDS, ++s->next_request, &b, NULL, 0) != 0) {
		s->over = true;
		return;
	}
	buf_reset(&s->words_reply);
	s->words_owner = c;
}

/* All lines are answered. Without a line the client gets what it would have got without a terminal and a word. */
static void script_end(struct chan *c)
{
	uint32_t status = c->script->status;
	bool used = c->script->used;

	free(c->script);
	c->script = NULL;
	if (used)
		words_finish(c, status);
	else
		words_run(c, "help");
}

/* `connect HOST --wait`: the word wait goes to policy, and the way is asked for when it was answered. False: it need not wait. */
static bool wait_first(struct chan *c, const char *json)
{
	json_t *request = json_loads(json, 0, NULL), *args = json_object_get(request, "args"), *wait = NULL;
	char *text = NULL;
	bool asked;

	if (json_is_true(json_object_get(args, "wait")) && json_object_del(args, "wait") == 0 && c->after == NULL &&
	    (c->after = json_dumps(request, JSON_COMPACT)) != NULL &&
	    (wait = json_pack("{s:s, s:O}", "word", "wait", "args", args)) != NULL && (text = json_dumps(wait, JSON_COMPACT)) != NULL) {
		c->word = words_find("wait");
		c->words_json = false;
		ask_policy(c, text);
	}
	asked = text != NULL;
	free(text);
	json_decref(wait);
	json_decref(request);
	return asked;
}

/* `connect` as it is, or without a login: `hosts HOST` says whether there is one only. */
static void connect_on(struct chan *c, const char *json)
{
	json_t *request = json_loads(json, 0, NULL), *args = json_object_get(request, "args"), *hosts = NULL;
	char *text = NULL;

	if (json_object_get(args, "login") == NULL && c->after == NULL &&
	    (hosts = json_pack("{s:s, s:{s:O}}", "word", "hosts", "args", "host", json_object_get(args, "host"))) != NULL &&
	    (text = json_dumps(hosts, JSON_COMPACT)) != NULL && (c->after = strdup(json)) != NULL) {
		c->word = words_find("hosts");
		c->words_json = c->words_csv = false;
		ask_policy(c, text);
	} else {
		console_word(c, "connect", json);
	}
	free(text);
	json_decref(hosts);
	json_decref(request);
}

static void say_logins(struct chan *c, const char *host, const json_t *logins)
{
	char text[1024];
	size_t n = (size_t)snprintf(text, sizeof(text), "%s has several logins for you:", host);

	for (size_t i = 0; i < json_array_size(logins) && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s %s", i > 0 ? "," : "", json_string_value(json_array_get(logins, i)));
	words_print(c, true, text, strlen(text));
	snprintf(text, sizeof(text), ". Say which: connect %s as %s\n", host, json_string_value(json_array_get(logins, 0)));
	words_print(c, true, text, strlen(text));
}

/* The answer of `hosts HOST` for connect_on(): one row, or none. What is not there policy refuses, with its reason, whatever the login. */
static void connect_found(struct chan *c, const struct buf *answer)
{
	json_t *reply = buf_ok(answer) ? json_loadb((const char *)answer->data, answer->len, 0, NULL) : NULL;
	json_t *request = json_loads(c->after, 0, NULL), *args = json_object_get(request, "args");
	const char *host = json_string_value(json_object_get(args, "host"));
	const json_t *logins = json_object_get(json_array_get(json_object_get(reply, "rows"), 0), "logins");
	const char *only = json_string_value(json_array_get(logins, 0));
	char *text = NULL;

	free(c->after);
	c->after = NULL;
	if (host != NULL && json_array_size(logins) > 1) {
		say_logins(c, host, logins);
		words_finish(c, WORDS_USAGE);
	} else if (json_object_set_new(args, "login", json_string(only != NULL ? only : "any")) == 0 &&
	    (text = json_dumps(request, JSON_COMPACT)) != NULL) {
		console_word(c, "connect", text);
	} else {
		words_finish(c, WORDS_BROKEN);
	}
	free(text);
	json_decref(request);
	json_decref(reply);
}

/* `wait` was answered: what it was for goes on, as the login of the grant if it named none. */
static void connect_granted(struct chan *c, const char *json, const char *answer, size_t len)
{
	json_t *reply = json_loadb(answer, len, 0, NULL), *request = json_loads(json, 0, NULL), *args = json_object_get(request, "args");
	json_t *login = json_object_get(reply, "login");
	char *text = NULL;

	if (login != NULL && json_object_get(args, "login") == NULL && json_object_set(args, "login", login) == 0)
		text = json_dumps(request, JSON_COMPACT);
	connect_on(c, text != NULL ? text : json);
	free(text);
	json_decref(request);
	json_decref(reply);
}

void words_run(struct chan *c, const char *line)
{
	struct words_env env;
	struct words_call call = { .word = NULL };
	char err[WORDS_ERR_MAX];
	int status;

	words_env_of(c, &env);
	status = words_parse_line(line, &env, &call, err, sizeof(err));
	if (status != WORDS_OK) {
		words_print(c, true, err, strlen(err));
		words_print(c, true, "\n", 1);
		words_finish(c, (uint32_t)status);
	} else if (call.word == NULL) {
		words_finish(c, 0);
	} else if (call.word->where == AT_PARSER) {
		words_print(c, false, call.text, strlen(call.text));
		words_finish(c, 0);
	} else if (call.word->where == AT_POLICY) {
		c->word = call.word;
		c->words_json = call.as_json;
		c->words_csv = call.as_csv;
		if (strcmp(call.word->path, "watch") == 0 && !viewing_may(c))
			words_finish(c, WORDS_USAGE);
		else if (!stdin_wanted(c, call.json))
			ask_policy(c, call.json);
	} else if (call.word->where == AT_CONSOLE && c->kind == CHAN_CONSOLE) {
		if (strcmp(call.word->path, "connect") != 0)
			console_word(c, call.word->path, call.json);
		else if (!wait_first(c, call.json))
			connect_on(c, call.json);
	} else if (c->script != NULL && strcmp(call.word->path, "exit") == 0) {
		script_end(c);
	} else {
		const char *text = call.word->where == AT_CONSOLE ? "this word is for the console: ssh -t user@bastion\n" :
		    "this word is for bastionctl on the bastion itself\n";

		words_print(c, true, text, strlen(text));
		words_finish(c, WORDS_USAGE);
	}
	words_call_finish(&call);
}

/* Takes bytes up to the end of a line. True: there is one; false: more must come. */
static bool read_line(struct chan *c)
{
	struct script *sc = c->script;
	struct hold_item it;

	while (hold_peek(&c->in, &it)) {
		const uint8_t *nl = memchr(it.data, '\n', it.len);
		size_t len = nl != NULL ? (size_t)(nl - it.data) : it.len, room = sizeof(sc->line) - 1 - sc->len;

		memcpy(sc->line + sc->len, it.data, len < room ? len : room);
		sc->len += len < room ? len : room;
		hold_take(&c->in, nl != NULL ? len + 1 : len);
		if (nl != NULL)
			return true;
	}
	return c->client_eof && !c->left_in && sc->len > 0;
}

static void run_script_line(struct chan *c)
{
	static const char nul[] = "a line has a NUL byte in it\n";
	struct script *sc = c->script;
	char line[WORDS_LINE_MAX + 2];
	bool whole = memchr(sc->line, '\0', sc->len) == NULL;

	memcpy(line, sc->line, sc->len);
	line[sc->len] = '\0';
	if (sc->len > 0 && line[sc->len - 1] == '\r')
		line[sc->len - 1] = '\0';
	sc->len = 0;
	sc->used = true;
	if (whole) {
		words_run(c, line);
		return;
	}
	words_print(c, true, nul, sizeof(nul) - 1);
	words_finish(c, WORDS_USAGE);
}

/* One line after the other; the next when the one before is answered and its answer has room. */
static void script_step(struct chan *c)
{
	struct session *s = c->front->session;

	for (int i = 0; i < SCRIPT_LINES; i++) {
		if (c->state != CHAN_LIVE || s->words_owner != NULL || hold_full(&c->out))
			return;
		if (!read_line(c)) {
			if (c->client_eof && !c->left_in)
				script_end(c);
			return;
		}
		run_script_line(c);
	}
	s->again = true; /* the others get their turn */
}

void words_policy(struct session *s, struct ipc_msg *m)
{
	struct chan *c = s->words_owner;
	struct render_opts o = { .columns = 0 };
	struct buf out, err;
	bool more = buf_get_u8(&m->body) != 0;
	size_t len = buf_left(&m->body);
	int status;

	if (c == NULL || m->id != s->next_request)
		return; /* its channel is gone */
	buf_put(&s->words_reply, buf_get(&m->body, len), len);
	if (more)
		return;
	s->words_owner = NULL;
	if (buf_ok(&s->words_reply) && strcmp(c->word->path, "watch") == 0 &&
	    viewing_start(c, (const char *)s->words_reply.data, s->words_reply.len)) {
		buf_finish(&s->words_reply);
		return;
	}
	if (c->after != NULL && strcmp(c->word->path, "hosts") == 0) {
		connect_found(c, &s->words_reply);
		buf_finish(&s->words_reply);
		return;
	}
	buf_init(&out, RENDER_MAX);
	buf_init(&err, RENDER_MAX);
	o.word = c->word;
	o.json = c->words_json;
	o.csv = c->words_csv;
	o.columns = c->pty ? c->cols : 0;
	o.colour = c->pty && strcmp(c->term, "dumb") != 0;
	status = buf_ok(&s->words_reply) ?
	    render_reply((const char *)s->words_reply.data, s->words_reply.len, &o, &out, &err) : WORDS_BROKEN;
	words_print(c, false, out.data, out.len);
	words_print(c, true, err.data, err.len);
	buf_finish(&out);
	buf_finish(&err);
	if (c->after != NULL) {
		char *after = c->after;

		c->after = NULL;
		if (status == WORDS_OK)
			connect_granted(c, after, (const char *)s->words_reply.data, s->words_reply.len);
		else
			words_finish(c, (uint32_t)status);
		free(after);
	} else {
		words_finish(c, (uint32_t)status);
	}
	buf_finish(&s->words_reply);
}

void words_start(struct chan *c)
{
	if (c->start_type == SSH_CHANNEL_REQUEST_SUBSYSTEM) {
		chan_refuse(c, "bastiond: name a target: sftp alice@login@host@bastion, or use -J");
		return;
	}
	ssh_message_channel_request_reply_success(c->start);
	ssh_message_free(c->start);
	c->start = NULL;
	if (c->start_type == SSH_CHANNEL_REQUEST_SHELL && c->pty) {
		c->kind = CHAN_CONSOLE;
		console_open(c);
	} else if (c->start_type == SSH_CHANNEL_REQUEST_SHELL &&
	    (c->script = calloc(1, sizeof(*c->script))) == NULL) {
		c->front->session->over = true;
	}
	c->state = CHAN_LIVE;
}

/* A request whose argument came on standard input. */
static void run_given(struct chan *c)
{
	char *json;

	if (c->front->session->words_owner != NULL || (json = stdin_step(c)) == NULL)
		return;
	ask_policy(c, json);
	free(json);
}

void words_step(struct chan *c)
{
	struct session *s = c->front->session;

	if (c->client_closed)
		c->state = CHAN_DEAD;
	if (c->state != CHAN_LIVE)
		stdin_drop(c);
	if (c->state != CHAN_LIVE && c->state != CHAN_ENDING)
		return;
	if (c->script != NULL) {
		script_step(c);
	} else if (c->kind == CHAN_WORDS && c->state == CHAN_LIVE) {
		if (!c->words_run && s->words_owner == NULL) {
			c->words_run = true;
			words_run(c, c->command);
		}
		if (c->given != NULL)
			run_given(c);
		else if (c->words_run && !viewing_has(c))
			hold_finish(&c->in); /* other words in a command read no standard input */
	}
	relay_raw_step(c);
	if (viewing_has(c))
		viewing_step(c);
	if (c->kind == CHAN_CONSOLE)
		console_step(c);
}
