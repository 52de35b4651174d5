/*
 * policy_task.c - see policy_task.h: the queue of tasks, their certificates, their events.
 *
 * Role policy. A row lives from task_run() to done() or task_forget(). A task whose start cannot be written into the event list
 * does not start. What comes back was said by a foreign host: it is bounded by the worker, checked here, and escaped where it is text.
 */
#include "policy_task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "escape.h"
#include "log.h"
#include "policy_hostkey.h"
#include "policy_rotate.h"
#include "policy_slow.h"
#include "policy_worker.h"

#define RUNNING_MAX 8
#define BACKGROUND_MAX 4	/* of these */
#define HOST_MAX 2		/* at one host: when it hangs, others have the rest; */
#define HOST_SLOW_MAX 1		/* at one that did not answer before, */
#define SLOW_RUNNING_MAX 4	/* and at all of these */
#define KEPT 2			/* are for neither these nor what is in the background */
#define LATE_MAX 8		/* that run for SLOW_AFTER_MS already have places of their own: others may start in theirs */
#define ROWS_MAX 512		/* running and waiting */
#define WHAT_MAX 32
#define SEALED_MAX 4096
#define OWN_MAX 1024		/* of the bastion's addresses, as text */

struct task_row {
	struct task_row *next;
	struct policy *p;
	int64_t number;
	struct host host;
	char login[LOGIN_MAX + 1], principal[LOGIN_MAX + 1], managed[USER_NAME_MAX + 1], what[WHAT_MAX], command[TASK_COMMAND_MAX + 1];
	enum task_login how;
	struct buf sealed, in;
	int64_t generation;
	uint32_t limit_ms;
	bool background, look;
	uint64_t start_ms;
	task_done *done;
	void *arg;
	struct worker *worker;		/* NULL: it waits */
	uint32_t key_ask;		/* 0: none under way */
	char lent[STORE_FPR_MAX + 1];	/* TASK_MANAGED: which key that is */
	int agent;			/* the lent key's socket; -1 */
};

struct tasks {
	struct task_row *first;
	size_t n;
	int64_t number;
};

const char *task_end_name(enum task_end end)
{
	static const char *const names[TASK_ENDS] = {
#define E(name, text) text,
		TASK_END_LIST(E)
#undef E
	};

	return (unsigned)end < TASK_ENDS ? names[end] : "?";
}

static int note(struct task_row *t, enum event_kind kind, json_t *detail)
{
	json_t *own = json_pack("{s:I, s:s, s:s}", "task", (json_int_t)t->number, "what", t->what, "login", t->login);

	if (own != NULL && detail != NULL)
		json_object_update(own, detail);
	json_decref(detail);
	if (own != NULL && event_write(t->p->store, clock_wall(), kind, "bastiond", t->host.name, own) == 0)
		return 0;
	log_error("%s at %s: its event is not written: %s", t->what, t->host.name, store_error(t->p->store));
	return -1;
}

/* Out of the queue: whoever starts another one now must not find it there. */
static void row_unlink(struct task_row *t)
{
	struct task_row **at = &t->p->tasks->first;

	while (*at != NULL && *at != t)
		at = &(*at)->next;
	if (*at == t) {
		*at = t->next;
		t->p->tasks->n--;
	}
}

static void row_free(struct task_row *t)
{
	row_unlink(t);
	if (t->key_ask != 0)
		keys_forget(t->p, t->key_ask);
	if (t->agent >= 0)
		close(t->agent);
	buf_finish(&t->sealed);
	buf_finish(&t->in);
	free(t);
}

static void start_waiting(struct policy *p);

/* Its event, then its owner hears it: who may start others. */
static void over(struct task_row *t, const struct task_result *r)
{
	struct policy *p = t->p;
	json_t *detail = json_pack("{s:s, s:s}", "result", task_end_name(r->end), "line", r->line);

	if (detail != NULL && r->end == TASK_EXIT)
		json_object_set_new(detail, "status", json_integer(r->status));
	if (t->look && r->end == TASK_OK) {
		json_decref(detail);
	} else {
		log_info("%s at %s as %s: %s%s%s", t->what, t->host.name, t->login, task_end_name(r->end), r->line[0] != '\0' ? ": " : "", r->line);
		note(t, EVENT_TASK_END, detail);
	}
	row_unlink(t);
	hostkey_learn(p, &t->host, r);
	t->done(p, t->arg, r);
	row_free(t);
	start_waiting(p);
}

static void fail(struct task_row *t, enum task_end end, const char *line)
{
	worker_abandon(t->worker);
	/* with a worker that is there TASK_FAILED is a fault of ours */
	if (t->worker == NULL || end != TASK_FAILED)
		slow_heard(t->p, t->host.id, end, clock_mono_ms() - t->start_ms);
	over(t, &(struct task_result){ .end = end, .out = "", .line = line });
}

/* --- the order --- */

/* TASK_GO with a certificate, or with the public half of the key that is lent. */
static int send_order(struct task_row *t, const uint8_t *blob, size_t len)
{
	struct buf body;
	int r = -1;

	buf_init(&body, 64000);
	buf_put_cstring(&body, t->host.name);
	buf_put_cstring(&body, t->login);
	buf_put_cstring(&body, t->command);
	buf_put_string(&body, blob, t->how == TASK_CERTIFICATE ? len : 0);
	buf_put_string(&body, blob, t->how == TASK_CERTIFICATE ? 0 : len);
	if (hostkey_put_pins(t->p, t->host.id, &body) == 0) {
		buf_put_string(&body, t->in.data, t->in.len);
		if (buf_ok(&body))
			r = link_send(&t->worker->link, MSG_TASK_GO, 0, &body, &t->agent, t->agent >= 0 ? 1 : 0);
	}
	if (t->agent >= 0)
		close(t->agent);
	t->agent = -1;
	buf_finish(&body);
	return r;
}

static void on_key(void *arg, const char *refusal, const uint8_t *blob, size_t len)
{
	struct task_row *t = arg;

	t->key_ask = 0;
	if (refusal != NULL) {
		log_error("no key for %s@%s: %s", t->login, t->host.name, refusal);
		fail(t, TASK_FAILED, "the keys role gives no key for it: see its log");
	} else if (send_order(t, blob, len) != 0) {
		fail(t, TASK_FAILED, "it could not be sent to its worker");
	}
}

/* For this task alone: its key, its command, the bastion's addresses, minutes. */
static void ask_certificate(struct task_row *t, const uint8_t *key, size_t len, const char *own)
{
	const struct config *conf = t->p->conf;
	const int64_t now = clock_wall();
	char key_id[128];
	const struct keys_cert c = { .key = key, .key_len = len, .principal = t->principal, .key_id = key_id, .command = t->command,
		.after = (uint64_t)(now - KEYS_CERT_BACK), .before = (uint64_t)(now + KEYS_CERT_AHEAD),
		.source = t->host.source_address[0] != '\0' ? t->host.source_address :
		    conf->source_address[0] != '\0' ? conf->source_address : own };

	if (c.source[0] == '\0') {
		fail(t, TASK_UNREACHABLE, "its address is not known here: the name does not resolve, or there is no route");
		return;
	}
	snprintf(key_id, sizeof(key_id), "bastiond/%s/%lld", t->what, (long long)t->number);
	if ((t->key_ask = keys_sign(t->p, &c, on_key, t)) == 0)
		fail(t, TASK_FAILED, "the keys role does not answer");
}

static uint32_t lend(struct task_row *t)
{
	const struct keys_lent l = { .name = t->managed, .login = t->login, .sealed = t->sealed.data, .sealed_len = t->sealed.len,
		.host_id = t->host.id, .generation = t->generation };

	return t->how == TASK_MANAGED ? rotate_lend(t->p, &t->host, t->login, false, t->lent, &t->agent, on_key, t) : keys_lend(t->p, &l, &t->agent, on_key, t);
}

/* TASK_KEY: the worker is ready. */
static int on_ready(struct task_row *t, struct ipc_msg *m)
{
	char own[OWN_MAX];
	size_t len;
	const uint8_t *key = buf_get_string(&m->body, TASK_BLOB_MAX, &len);

	buf_get_cstring(&m->body, own, sizeof(own));
	if (!buf_end(&m->body) || t->key_ask != 0)
		return -1;
	if (t->how == TASK_CERTIFICATE)
		ask_certificate(t, key, len, own);
	else if ((t->key_ask = lend(t)) == 0)
		fail(t, TASK_FAILED, "the keys role does not answer");
	return 0;
}

static int get_keys(struct buf *b, struct task_key *keys, size_t *n)
{
	const uint32_t count = buf_get_u32(b);

	*n = 0;
	if (count > TASK_KEYS_MAX)
		return -1;
	for (uint32_t i = 0; i < count; i++) {
		size_t len;
		const uint8_t *blob = buf_get_string(b, TASK_BLOB_MAX, &len);

		if (blob == NULL)
			return -1;
		memcpy(keys[*n].blob, blob, len);
		keys[(*n)++].len = len;
	}
	return 0;
}

static int on_result(struct task_row *t, struct ipc_msg *m)
{
	static struct task_key fresh[TASK_KEYS_MAX], gone[TASK_KEYS_MAX];
	struct task_result r = { .fresh = fresh, .gone = gone };
	char raw[TASK_LINE_MAX], line[4 * TASK_LINE_MAX];
	const uint8_t *out;
	const unsigned end = buf_get_u8(&m->body);
	char *text;

	r.end = (enum task_end)end;
	r.status = (int)buf_get_u32(&m->body);
	r.met = buf_get_u8(&m->body) != 0;
	out = buf_get_string(&m->body, TASK_OUT_MAX, &r.out_len);
	buf_get_cstring(&m->body, raw, sizeof(raw));
	r.announced = buf_get_u8(&m->body) != 0;
	if (get_keys(&m->body, fresh, &r.nfresh) != 0)
		return -1;
	r.more = buf_get_u32(&m->body);
	if (get_keys(&m->body, gone, &r.ngone) != 0 || !buf_end(&m->body) || end >= TASK_ENDS ||
	    (text = malloc(r.out_len + 1)) == NULL)
		return -1;
	if (r.out_len > 0)
		memcpy(text, out, r.out_len);
	text[r.out_len] = '\0';
	esc_text(line, sizeof(line), raw, strlen(raw));
	r.out = text;
	r.line = line;
	worker_done(t->worker);
	slow_heard(t->p, t->host.id, r.end, clock_mono_ms() - t->start_ms);
	over(t, &r);
	free(text);
	return 0;
}

static int on_message(struct worker *w, struct ipc_msg *m)
{
	return m->type == MSG_TASK_KEY ? on_ready(w->task, m) : on_result(w->task, m);
}

static void on_ended(struct worker *w)
{
	struct task_row *t = w->task;

	t->worker = NULL;
	fail(t, TASK_FAILED, "its worker ended early, or it took too long");
}

static const struct worker_ops task_ops = { ROLE_TARGET, NULL, on_message, on_ended };

/* --- the queue --- */

/* The event is durable before TASK_GO, without which a worker does nothing; and is not written again for each try to get a worker. */
static bool start_row(struct task_row *t)
{
	struct worker *w;
	struct buf body;

	buf_init(&body, 512);
	buf_put_cstring(&body, t->host.address);
	buf_put_u16(&body, t->host.port);
	buf_put_u32(&body, t->limit_ms);
	w = worker_run_for(t->p, WORKER_TARGET, &task_ops, MSG_RUN_TARGET, &body);
	buf_finish(&body);
	t->start_ms = clock_mono_ms();
	if (w != NULL && !t->look && note(t, EVENT_TASK_START, NULL) != 0) {
		worker_abandon(w);
		return false;
	}
	if ((t->worker = w) != NULL)
		w->task = t;
	return w != NULL;
}

static size_t running_at(const struct task_row *first, int64_t host_id)
{
	size_t n = 0;

	for (const struct task_row *t = first; t != NULL; t = t->next)
		n += t->worker != NULL && t->host.id == host_id;
	return n;
}

/* Of what runs. */
struct load {
	size_t all, late, background, slow, either;
};

static void load_add(struct load *l, const struct task_row *t)
{
	const bool slow = slow_is(t->p, t->host.id);

	if (clock_mono_ms() - t->start_ms < SLOW_AFTER_MS || l->late == LATE_MAX)
		l->all++;
	else
		l->late++;
	l->background += t->background;
	l->slow += slow;
	l->either += t->background || slow;
}

static bool may_start(const struct load *l, const struct task_row *first, const struct task_row *t)
{
	const bool slow = slow_is(t->p, t->host.id);

	if (t->background && l->background >= BACKGROUND_MAX)
		return false;
	if (slow && l->slow >= SLOW_RUNNING_MAX)
		return false;
	if ((t->background || slow) && l->either >= RUNNING_MAX - KEPT)
		return false;
	return running_at(first, t->host.id) < (slow ? HOST_SLOW_MAX : HOST_MAX);
}

/* In their order, those at one host, too; hosts that hang must not keep who waits for another one from it. */
static void start_waiting(struct policy *p)
{
	struct task_row *first = p->tasks != NULL ? p->tasks->first : NULL;
	struct load l = { 0 };

	for (const struct task_row *t = first; t != NULL; t = t->next)
		if (t->worker != NULL)
			load_add(&l, t);
	for (struct task_row *t = first; t != NULL && l.all < RUNNING_MAX; t = t->next) {
		if (t->worker != NULL || !may_start(&l, first, t))
			continue;
		if (!start_row(t))
			return; /* tasks_tick() tries again */
		load_add(&l, t);
	}
}

static bool bounded(const struct task *t)
{
	return name_is_login(t->login) && (t->principal == NULL || name_is_login(t->principal)) && t->command[0] != '\0' &&
	    strlen(t->command) <= TASK_COMMAND_MAX && strlen(t->what) < WHAT_MAX && t->in_len <= TASK_IN_MAX && t->sealed_len <= SEALED_MAX &&
	    t->limit_ms <= TASK_LIMIT_MAX_MS && (t->how != TASK_FILE || name_is_user(t->managed)) && (t->how != TASK_SEALED || t->sealed_len > 0);
}

int task_run(struct policy *p, const struct task *t)
{
	struct task_row **at, *row;

	if (p->tasks == NULL && (p->tasks = calloc(1, sizeof(*p->tasks))) == NULL)
		return -1;
	if (p->ending || p->tasks->n >= ROWS_MAX || !bounded(t) || (row = calloc(1, sizeof(*row))) == NULL) {
		log_warn("%s at %s is not run: too many wait, or there is no memory", t->what, t->host->name);
		return -1;
	}
	*row = (struct task_row){ .p = p, .number = ++p->tasks->number, .host = *t->host, .how = t->how, .done = t->done, .arg = t->arg,
		.generation = t->generation, .background = t->background, .look = t->look, .limit_ms = t->limit_ms != 0 ? t->limit_ms : TASK_LIMIT_MS, .agent = -1 };
	snprintf(row->login, sizeof(row->login), "%s", t->login);
	snprintf(row->principal, sizeof(row->principal), "%s", t->principal != NULL ? t->principal : t->login);
	snprintf(row->managed, sizeof(row->managed), "%s", t->how == TASK_FILE ? t->managed : "");
	snprintf(row->what, sizeof(row->what), "%s", t->what);
	snprintf(row->command, sizeof(row->command), "%s", t->command);
	buf_init(&row->sealed, SEALED_MAX);
	buf_init(&row->in, TASK_IN_MAX);
	if ((t->sealed_len > 0 && buf_put(&row->sealed, t->sealed, t->sealed_len) != 0) || (t->in_len > 0 && buf_put(&row->in, t->in, t->in_len) != 0)) {
		row_free(row);
		return -1;
	}
	for (at = &p->tasks->first; *at != NULL; at = &(*at)->next)
		;
	*at = row;
	p->tasks->n++;
	start_waiting(p);
	return 0;
}

void tasks_tick(struct policy *p)
{
	start_waiting(p);
}

bool task_lent(const struct policy *p, int64_t host_id, const char *login, const char *fingerprint)
{
	for (const struct task_row *t = p->tasks != NULL ? p->tasks->first : NULL; t != NULL; t = t->next)
		if (t->host.id == host_id && strcmp(t->lent, fingerprint) == 0 && strcmp(t->login, login) == 0)
			return true;
	return false;
}

bool task_running(const struct policy *p, const void *arg)
{
	for (const struct task_row *t = p->tasks != NULL ? p->tasks->first : NULL; t != NULL; t = t->next)
		if (t->arg == arg)
			return true;
	return false;
}

void task_forget(struct policy *p, const void *arg)
{
	for (struct task_row *t = p->tasks != NULL ? p->tasks->first : NULL, *next; t != NULL; t = next) {
		next = t->next;
		if (t->arg != arg)
			continue;
		if (t->worker != NULL) {
			worker_abandon(t->worker);
			note(t, EVENT_TASK_END, json_pack("{s:s, s:s}", "result", task_end_name(TASK_FAILED), "line", "nobody wants it any more"));
		}
		row_free(t);
	}
}

void tasks_finish(struct policy *p)
{
	while (p->tasks != NULL && p->tasks->first != NULL) {
		if (p->tasks->first->worker != NULL)
			worker_abandon(p->tasks->first->worker);
		row_free(p->tasks->first);
	}
	free(p->tasks);
	p->tasks = NULL;
	slow_finish(p);
}
