/*
 * session_words.c - `ssh alice@bastion WORDS`: the words of bastionctl, with this user's rights.
 *
 * Role: session. Before it: session_front.c. The line is parsed here (approvals/words.h), policy decides and answers in JSON,
 * approvals/render.h makes text of it. One request is with policy at a time; other channels wait their turn.
 * session_console.c uses the same path for each line that is typed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "render.h"
#include "session.h"
#include "words.h"

void words_env_of(const struct chan *c, struct words_env *env)
{
	/* what this user may is policy's to say: here it only chooses what `help` shows first */
	*env = (struct words_env){
		.who = WHO_APPROVER,
		.console = c->kind == CHAN_CONSOLE,
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

/* The words are done: an exit status for a command, the next prompt for the console. */
static void finish(struct chan *c, uint32_t status)
{
	if (c->kind == CHAN_CONSOLE) {
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
		finish(c, (uint32_t)status);
	} else if (call.word == NULL) {
		finish(c, 0);
	} else if (call.word->where == AT_PARSER) {
		words_print(c, false, call.text, strlen(call.text));
		finish(c, 0);
	} else if (call.word->where == AT_POLICY) {
		c->word = call.word;
		c->words_json = call.as_json;
		ask_policy(c, call.json);
	} else if (call.word->where == AT_CONSOLE && c->kind == CHAN_CONSOLE) {
		console_word(c, call.word->path, call.json);
	} else {
		static const char text[] = "this word is for bastionctl on the bastion itself\n";

		words_print(c, true, text, sizeof(text) - 1);
		finish(c, WORDS_USAGE);
	}
	words_call_finish(&call);
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
	buf_init(&out, RENDER_MAX);
	buf_init(&err, RENDER_MAX);
	o.word = c->word;
	o.json = c->words_json;
	o.columns = c->pty ? c->cols : 0;
	o.colour = c->pty;
	status = buf_ok(&s->words_reply) ?
	    render_reply((const char *)s->words_reply.data, s->words_reply.len, &o, &out, &err) : WORDS_BROKEN;
	words_print(c, false, out.data, out.len);
	words_print(c, true, err.data, err.len);
	buf_finish(&out);
	buf_finish(&err);
	buf_finish(&s->words_reply);
	finish(c, (uint32_t)status);
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
	}
	c->state = CHAN_LIVE;
}

void words_step(struct chan *c)
{
	struct session *s = c->front->session;

	if (c->client_closed)
		c->state = CHAN_DEAD;
	if (c->state != CHAN_LIVE && c->state != CHAN_ENDING)
		return;
	if (c->kind == CHAN_WORDS && c->state == CHAN_LIVE) {
		hold_finish(&c->in); /* words read no standard input */
		if (!c->words_run && s->words_owner == NULL) {
			c->words_run = true;
			words_run(c, c->start_type == SSH_CHANNEL_REQUEST_EXEC ? c->command : "help");
		}
	}
	relay_raw_step(c);
	if (c->kind == CHAN_CONSOLE)
		console_step(c);
}
