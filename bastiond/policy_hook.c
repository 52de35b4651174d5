/*
 * policy_hook.c - see policy_hook.h: runs of hooks, and their bounds.
 *
 * Role policy. Which program that is, parent knows; what it answers is foreign text to whoever asked.
 */
#include "policy_hook.h"

#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "log.h"
#include "policy_worker.h"

#define CHECKS_MAX 8	/* runs of ticket_check at once */
#define NOTIFIES_MAX 2	/* and of notify */

struct hook {
	struct hook *next;
	struct policy *p;
	enum hook_kind kind;
	struct worker *worker;
	hook_done *done;
	void *arg;
	bool answered;
};

bool hook_there(const struct policy *p, enum hook_kind kind)
{
	return (kind == HOOK_TICKET ? p->conf->ticket_check : p->conf->notify)[0] != '\0';
}

bool hook_room(const struct policy *p, enum hook_kind kind)
{
	size_t n = 0;

	for (const struct hook *h = p->hooks; h != NULL; h = h->next)
		n += h->kind == kind;
	return n < (kind == HOOK_TICKET ? CHECKS_MAX : NOTIFIES_MAX);
}

/* Out of the list before done(): that may start another. */
static void over(struct hook *h, const char *answer, const char *reason)
{
	struct policy *p = h->p;
	struct hook **at = &p->hooks;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	h->done(p, h->arg, answer, reason);
	free(h);
}

static int on_message(struct worker *w, struct ipc_msg *m)
{
	struct hook *h = w->hook;
	char reason[256], safe[512], *text;
	uint8_t ok = buf_get_u8(&m->body);
	const uint8_t *answer;
	size_t len;

	answer = buf_get_string(&m->body, HOOK_OUT_MAX, &len);
	buf_get_cstring(&m->body, reason, sizeof(reason));
	if (!buf_end(&m->body) || (text = malloc(len + 1)) == NULL)
		return -1;
	memcpy(text, answer, len);
	text[len] = '\0';
	esc_text(safe, sizeof(safe), reason, strlen(reason));
	worker_done(w);
	if (ok && memchr(text, '\0', len) != NULL)
		over(h, NULL, "its answer has a NUL byte in it");
	else
		over(h, ok ? text : NULL, safe);
	free(text);
	return 0;
}

static void on_ended(struct worker *w)
{
	over(w->hook, NULL, "it could not be run");
}

static const struct worker_ops hook_ops = { ROLE_HOOK, NULL, on_message, on_ended };

#define AS_TEXT (JSON_COMPACT | JSON_ENSURE_ASCII)

bool hook_fits(const json_t *input)
{
	const size_t n = json_dumpb(input, NULL, 0, AS_TEXT);

	return n > 0 && n <= HOOK_IN_MAX;
}

int hook_run(struct policy *p, enum hook_kind kind, json_t *input, hook_done *done, void *arg)
{
	char *text = input != NULL ? json_dumps(input, AS_TEXT) : NULL;
	struct hook *h = calloc(1, sizeof(*h));
	struct buf body;
	int r = -1;

	json_decref(input);
	buf_init(&body, HOOK_IN_MAX + 64);
	if (h == NULL || text == NULL || strlen(text) > HOOK_IN_MAX || !hook_room(p, kind))
		goto out;
	*h = (struct hook){ .next = p->hooks, .p = p, .kind = kind, .done = done, .arg = arg };
	buf_put_u8(&body, (uint8_t)kind);
	buf_put_u32(&body, p->conf->hook_timeout);
	buf_put_cstring(&body, text);
	if ((h->worker = worker_run_for(p, WORKER_HOOK, &hook_ops, MSG_RUN_HOOK, &body)) == NULL)
		goto out;
	h->worker->hook = h;
	p->hooks = h;
	r = 0;
out:
	if (r != 0) {
		log_warn("%s: it could not be run", hook_name(kind));
		free(h);
	}
	free(text);
	buf_finish(&body);
	return r;
}

void hooks_finish(struct policy *p)
{
	for (struct hook *h; (h = p->hooks) != NULL;) {
		p->hooks = h->next;
		worker_abandon(h->worker);
		free(h);
	}
}
