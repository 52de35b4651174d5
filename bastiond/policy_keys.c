/*
 * policy_keys.c - requests to the keys role: a certificate, or a managed key for a while; and its
 * public keys.
 *
 * Role policy, between policy_authz.c, policy_task.c and role_keys.c. A request knows who asked until the answer
 * comes or they want it no more.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "policy.h"

#define KEY_ASKS_MAX 4096	/* under way: every session's ways at once are not that many */

struct key_ask {
	struct key_ask *next;
	uint32_t id;
	keys_answer *answer;	/* NULL: nobody wants it any more */
	void *arg;
};

/* Takes the request out of the list. False: there is none. */
static bool ask_take(struct policy *p, uint32_t id, struct key_ask *taken)
{
	for (struct key_ask **at = &p->key_asks, *a; (a = *at) != NULL; at = &a->next)
		if (a->id == id) {
			*taken = *a;
			*at = a->next;
			free(a);
			return true;
		}
	return false;
}

static uint32_t ask_put(struct policy *p, enum msg_type type, const struct buf *body, int fd, keys_answer *answer, void *arg)
{
	struct key_ask *a = calloc(1, sizeof(*a));
	size_t n = 0;

	for (struct key_ask *i = p->key_asks; i != NULL; i = i->next)
		n++;
	if (a == NULL || n >= KEY_ASKS_MAX)
		goto fail;
	if (++p->next_key_ask == 0)
		p->next_key_ask = 1;
	if (link_send(&p->keys, type, p->next_key_ask, body, &fd, fd >= 0 ? 1 : 0) != 0)
		goto fail;
	*a = (struct key_ask){ .next = p->key_asks, .id = p->next_key_ask, .answer = answer, .arg = arg };
	p->key_asks = a;
	return a->id;
fail:
	free(a);
	return 0;
}

uint32_t keys_sign(struct policy *p, const struct keys_cert *c, keys_answer *answer, void *arg)
{
	struct buf body;
	uint32_t id;

	buf_init(&body, 8192);
	buf_put_string(&body, c->key, c->key_len);
	buf_put_cstring(&body, c->principal);
	buf_put_cstring(&body, c->key_id);
	buf_put_u64(&body, ++p->serial);
	buf_put_u64(&body, c->after);
	buf_put_u64(&body, c->before);
	buf_put_cstring(&body, c->source);
	buf_put_u8(&body, c->forward);
	buf_put_cstring(&body, c->command != NULL ? c->command : "");
	id = ask_put(p, MSG_SIGN_CERT, &body, -1, answer, arg);
	buf_finish(&body);
	return id;
}

uint32_t keys_make_key(struct policy *p, int64_t host_id, const char *login, int64_t generation, keys_answer *answer, void *arg)
{
	struct buf body;
	uint32_t id;

	buf_init(&body, 128);
	buf_put_u64(&body, (uint64_t)host_id);
	buf_put_cstring(&body, login);
	buf_put_u64(&body, (uint64_t)generation);
	id = ask_put(p, MSG_MAKE_KEY, &body, -1, answer, arg);
	buf_finish(&body);
	return id;
}

uint32_t keys_lend(struct policy *p, const struct keys_lent *l, int *agent, keys_answer *answer, void *arg)
{
	struct buf body;
	uint32_t id;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return 0;
	buf_init(&body, 512);
	buf_put_cstring(&body, l->name);
	buf_put_cstring(&body, l->login);
	buf_put_string(&body, l->sealed, l->sealed_len);
	buf_put_u64(&body, (uint64_t)l->host_id);
	buf_put_u64(&body, (uint64_t)l->generation);
	id = ask_put(p, MSG_LEND_KEY, &body, pair[0], answer, arg);
	buf_finish(&body);
	close(pair[0]);
	*agent = pair[1];
	return id;
}

void keys_forget(struct policy *p, uint32_t ask)
{
	for (struct key_ask *a = p->key_asks; a != NULL; a = a->next)
		if (a->id == ask)
			a->answer = NULL;
}

/* u8 ok; str blob or reason */
static int on_answer(struct policy *p, struct ipc_msg *m)
{
	uint8_t ok = buf_get_u8(&m->body);
	size_t len;
	const uint8_t *blob = buf_get_string(&m->body, m->body.len, &len);
	char reason[256];
	struct key_ask a;

	if (!buf_end(&m->body) || !ask_take(p, m->id, &a))
		return -1;
	if (a.answer == NULL)
		return 0;
	snprintf(reason, sizeof(reason), "%.*s", ok == 0 ? (int)len : 0, (const char *)blob);
	a.answer(a.arg, ok == 0 ? reason : NULL, blob, ok == 0 ? 0 : len);
	return 0;
}

static void drop_lines(struct policy *p)
{
	for (size_t i = 0; i < p->nkey_lines; i++) {
		free(p->key_lines[i]);
		free(p->key_names[i]);
	}
	p->nkey_lines = 0;
}

/* u8 more; list(str name, str line) */
static int on_list(struct policy *p, struct ipc_msg *m)
{
	uint32_t n;

	buf_get_u8(&m->body);
	n = buf_get_u32(&m->body);
	if (m->id != p->key_list) { /* the first piece of a new list */
		drop_lines(p);
		p->key_list = m->id;
	}
	for (uint32_t i = 0; i < n && p->nkey_lines < KEY_LINES_MAX; i++) {
		char name[USER_NAME_MAX + 1], line[4096];
		size_t at = p->nkey_lines;

		if (buf_get_cstring(&m->body, name, sizeof(name)) != 0 ||
		    buf_get_cstring(&m->body, line, sizeof(line)) != 0)
			return -1;
		p->key_names[at] = strdup(name);
		p->key_lines[at] = strdup(line);
		p->nkey_lines++;
		if (p->key_names[at] == NULL || p->key_lines[at] == NULL)
			return -1;
	}
	return buf_end(&m->body) ? 0 : -1;
}

static int on_message(struct link *l, struct ipc_msg *m)
{
	struct policy *p = (struct policy *)((char *)l - offsetof(struct policy, keys));

	return m->type == MSG_LIST_KEYS_RE ? on_list(p, m) : on_answer(p, m);
}

static void on_ended(struct link *l, int error)
{
	struct policy *p = (struct policy *)((char *)l - offsetof(struct policy, keys));

	log_error("the link to keys is over (error %d)", error);
	p->over = true;
}

static const struct link_ops keys_link = { on_message, on_ended };

int keys_open(struct policy *p, int fd)
{
	return link_open(&p->keys, p->base, fd, ROLE_KEYS, &keys_link) != 0 ? -1 :
	    link_send_empty(&p->keys, MSG_LIST_KEYS, p->key_list);
}

int keys_refresh(struct policy *p)
{
	if (++p->next_key_ask == 0)
		p->next_key_ask = 1;
	return link_send_empty(&p->keys, MSG_LIST_KEYS, p->next_key_ask);
}

void keys_close(struct policy *p)
{
	struct key_ask *a;

	link_close(&p->keys);
	while ((a = p->key_asks) != NULL) {
		p->key_asks = a->next;
		free(a);
	}
	drop_lines(p);
}
