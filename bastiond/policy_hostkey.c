/*
 * policy_hostkey.c - see policy_hostkey.h.
 *
 * Role policy. The ssh client of the task had each announced key proved by the host before it wrote it down (worker_target.c). That a host
 * has a key says nothing of who it is but that it held a pinned key, too, at that moment: enough for a proposal, not for trust.
 */
#include "policy_hostkey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "store_hostkey.h"
#include "store_key.h"

#define LOOK_COMMAND "true"
#define LOOKS_MAX 4		/* that one turn begins */
#define LOOKS_EVERY_MS 5000

/* Who gets the pins takes all that a host may have: one that is left out would be a changed host key to its user. */
_Static_assert(STORE_HOST_KEYS_MAX <= WAY_PINS_MAX && STORE_HOST_KEYS_MAX <= TASK_KEYS_MAX, "sessions and tasks take every pinned key");

struct pins {
	struct buf list;
	uint32_t n;
};

static int put_pin(void *arg, const struct host_key *k)
{
	struct pins *pins = arg;

	pins->n++;
	return buf_put_string(&pins->list, k->blob, k->len);
}

int hostkey_put_pins(struct policy *p, int64_t host_id, struct buf *body)
{
	struct pins pins = { .n = 0 };
	int r = -1;

	buf_init(&pins.list, (size_t)STORE_HOST_KEYS_MAX * (sizeof(((struct host_key *)0)->blob) + 4));
	if (store_host_keys(p->store, host_id, put_pin, &pins) == 0 && pins.n > 0 && buf_ok(&pins.list)) {
		buf_put_u32(body, pins.n);
		r = buf_put(body, pins.list.data, pins.list.len);
	}
	buf_finish(&pins.list);
	return r;
}

static int note_fresh(struct policy *p, const struct host *h, const struct task_key *from, uint32_t *unkept)
{
	const int64_t now = clock_wall();
	struct host_key k;
	int r;

	if (!key_from_blob(from->blob, from->len, &k))
		return 0; /* a type that nobody could pin */
	if ((r = store_announced_add(p->store, h->id, &k, now)) == STORE_ANNOUNCED_FULL)
		++*unkept;
	if (r != 1)
		return r;
	log_warn("%s announces a new host key %s %s: look at `host keys %s`", h->name, k.type, k.fingerprint, h->name);
	return event_writef(p->store, now, EVENT_HOSTKEY_ANNOUNCED, "bastiond", h->name, "{s:s,s:s}", "type", k.type, "fingerprint", k.fingerprint);
}

static int note_gone(struct policy *p, const struct host *h, const struct task_key *from)
{
	struct host_key k;

	return key_from_blob(from->blob, from->len, &k) ? store_host_key_gone(p->store, h->id, k.fingerprint, clock_wall()) : 0;
}

/* What it announced once and does not any more is no proposal any more; first, since that makes room. */
static int note_withdrawn(struct policy *p, const struct host *h, const struct task_result *r)
{
	struct host_key k;
	bool refused;
	int n;

	for (size_t i = 0; i < r->nfresh; i++)
		if (key_from_blob(r->fresh[i].blob, r->fresh[i].len, &k) && store_announced_again(p->store, h->id, k.fingerprint) < 0)
			return -1;
	while ((n = store_announced_over(p->store, h->id, &k, &refused)) == 1) {
		if (store_announced_drop(p->store, h->id, k.fingerprint) < 0)
			return -1;
		log_notice("%s does not announce the key %s %s any more", h->name, k.type, k.fingerprint);
		if (!refused && event_writef(p->store, clock_wall(), EVENT_HOSTKEY_WITHDRAWN, "bastiond", h->name, "{s:s,s:s}", "type", k.type,
			"fingerprint", k.fingerprint) < 0)
			return -1;
	}
	return n;
}

/* Said when their number is another than before. */
static int note_unkept(struct policy *p, const struct host *h, uint32_t n)
{
	const int changed = store_host_unkept(p->store, h->id, n);

	if (changed != 1 || n == 0)
		return changed;
	log_warn("%s announces more new host keys than the %d that are kept: %u are not in `host keys %s`", h->name, STORE_ANNOUNCED_MAX, n, h->name);
	return event_writef(p->store, clock_wall(), EVENT_HOSTKEY_MANY, "bastiond", h->name, "{s:i,s:i}", "kept", STORE_ANNOUNCED_MAX, "unkept",
	    (int)n);
}

/* One that announces nothing says nothing about its old keys either. */
static int note_all(struct policy *p, const struct host *h, const struct task_result *r)
{
	uint32_t unkept = r->more;

	if (!r->announced)
		return 0;
	if (store_host_keys_asked(p->store, h->id) < 0)
		return -1;
	for (size_t i = 0; i < r->ngone; i++)
		if (note_gone(p, h, &r->gone[i]) < 0)
			return -1;
	/* of a list that was cut nobody knows what is not in it */
	if (store_host_keys_answered(p->store, h->id) < 0 || (r->more == 0 && note_withdrawn(p, h, r) < 0))
		return -1;
	for (size_t i = 0; i < r->nfresh; i++)
		if (note_fresh(p, h, &r->fresh[i], &unkept) < 0)
			return -1;
	return note_unkept(p, h, unkept) < 0 ? -1 : 0;
}

void hostkey_learn(struct policy *p, const struct host *h, const struct task_result *r)
{
	struct host now;

	/* it may be gone meanwhile */
	if (!r->met || store_host(p->store, h->id, &now) != 1)
		return;
	if (store_begin(p->store) < 0)
		return;
	if (note_all(p, h, r) == 0) {
		if (store_commit(p->store) < 0)
			log_error("host keys of %s: %s", h->name, store_error(p->store));
	} else {
		log_error("host keys of %s: %s", h->name, store_error(p->store));
		store_rollback(p->store);
	}
}

/* --- looks --- */

struct look {
	struct look *next;
	int64_t host_id;
	char login[LOGIN_MAX + 1];
};

static void on_looked(struct policy *p, void *arg, const struct task_result *r)
{
	struct look *l = arg, **at = &p->looks;
	const struct host_look row = { .at = clock_wall(), .result = task_end_name(r->end), .login = l->login, .line = r->line };
	const int64_t host_id = l->host_id;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	if (store_look(p->store, host_id, &row) < 0)
		log_error("the look at a host is not noted: %s", store_error(p->store));
	free(l);
	wait_looked(p, host_id);
}

int hostkey_look(struct policy *p, int64_t host_id, const char *login, bool background)
{
	struct look *l;
	struct host h;

	for (l = p->looks; l != NULL; l = l->next)
		if (l->host_id == host_id)
			return 0;
	if (store_host(p->store, host_id, &h) != 1 || (l = calloc(1, sizeof(*l))) == NULL)
		return -1;
	*l = (struct look){ .next = p->looks, .host_id = host_id };
	snprintf(l->login, sizeof(l->login), "%s", login);
	if (task_run(p, &(struct task){ .host = &h, .login = login, .what = "scan", .how = h.method == LOGIN_MANAGED ? TASK_MANAGED : TASK_CERTIFICATE,
		.background = background, .command = LOOK_COMMAND, .done = on_looked, .arg = l }) != 0) {
		const struct host_look row = { .at = clock_wall(), .result = task_end_name(TASK_FAILED), .login = l->login,
			.line = "too many tasks wait; try again in a minute" };

		store_look(p->store, host_id, &row);
		free(l);
		return -1;
	}
	p->looks = l;
	return 0;
}

void looks_tick(struct policy *p, uint64_t now_ms)
{
	struct look_due due[LOOKS_MAX];
	int n;

	if (p->retired || p->ending || p->conf->host_key_check == 0 || now_ms < p->looks_ms || p->looks != NULL)
		return; /* those of before come first */
	p->looks_ms = now_ms + LOOKS_EVERY_MS;
	if ((n = store_looks_due(p->store, clock_wall() - (int64_t)p->conf->host_key_check * 3600, due, LOOKS_MAX)) < 0)
		log_error("hosts to look at: %s", store_error(p->store));
	for (int i = 0; i < n; i++)
		hostkey_look(p, due[i].host_id, due[i].login, true);
}

void looks_finish(struct policy *p)
{
	struct look *l;

	while ((l = p->looks) != NULL) {
		p->looks = l->next;
		free(l);
	}
}
