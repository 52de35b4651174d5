/*
 * policy_rotate.c - see policy_rotate.h.
 *
 * Role policy. The order is what keeps the host reachable whatever happens: the new key is durable here before it is at the host; it
 * has logged in before sessions get it; the old one goes from the host only then, by a login with the new one; and that it went is tried
 * with the old one itself. Each step may be done twice (a bastion that died between a host's yes and its own row): the commands are such
 * that the second time changes nothing.
 *
 * A session that is open has done its login and is not touched. One that has been lent the old key a moment ago keeps it until its login is
 * through: so long nothing is removed. Who comes after the switch is lent the new one, so that this ends, however busy a host is. A machine may
 * have several names (policy_place.h): they rotate together, and the key that they began with goes when none of them logs in with it.
 */
#include "policy_rotate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "policy_place.h"
#include "store_key.h"

#define STEPS_MAX 8		/* under way at once */
#define SCAN_MS 60000		/* keys that are old enough are looked for; a shorter key_rotate looks more often */
#define SCAN_ON_MS 1000		/* the look goes on where there was more than it may begin */
#define DUE_MAX 8		/* rotations that one look begins: each is two flushes, for which all of policy waits */
#define PAUSE_MIN 10		/* seconds after a failure, doubled by each more */
#define PAUSE_MAX 21600
#define PLACE_WAIT 60		/* seconds until it is looked again whether another name of the machine still needs the old key */
#define BUSY_S 3600		/* key_rotate_after_use: so old a key rotates though somebody who was lent it is still there */

/*
 * A POSIX shell at the host, whatever the login's own is: no single quote and no ! in here. Standard input: the line of the key that
 * is here now, then that of the one that comes. The new line gets the options of the old one. Nothing else in the file changes; it is never
 * half written, and keeps its mode. One at a time: a client that was killed leaves its shell at the host, which may be slow.
 */
#define SCRIPT(body) "exec /bin/sh -c '" body "'"
#define HEAD "set -eu; umask 077; cd; f=.ssh/authorized_keys; t=$f.bastiond.$$; l=$f.bastiond.lock; IFS= read -r one; IFS= read -r two; "                      \
	"say() { echo \"$1\" >&2; exit 65; }; "                                                                                     \
	"[ -n \"$one\" ] && [ -n \"$two\" ] || say \"no keys on standard input\"; "                                                  \
	"[ -f $f ] || say \"there is no ~/.ssh/authorized_keys\"; "                                                                  \
	"if [ -h $f ]; then say \"~/.ssh/authorized_keys is a symbolic link: left alone\"; fi; "                                                               \
	"[ -z \"$(find $l -maxdepth 0 -mmin +10 2>/dev/null)\" ] || rmdir $l; "                                                     \
	"e=$(mkdir $l 2>&1) || { [ ! -d $l ] || e=\"another change of ~/.ssh/authorized_keys is under way ($l)\"; say \"$e\"; }; "     \
	"trap \"rm -f $t; rmdir $l\" EXIT; trap \"exit 1\" HUP INT PIPE TERM; "
#define REPLACE "mv -f $t $f"

static const char install_command[] = SCRIPT(HEAD
	"opts=; here=; there=; while IFS= read -r l || [ -n \"$l\" ]; do case $l in \\#*) ;; *\"$two\"*) there=1 ;; "
	"*\"$one\"*) here=1; opts=${l%%\"$one\"*} ;; esac; done < $f; "
	"if [ -n \"$there\" ]; then exit 0; fi; "
	"[ -n \"$here\" ] || say \"the present key is not in ~/.ssh/authorized_keys\"; "
	"cp -p $f $t; { cat $f; [ -z \"$(tail -c 1 $f)\" ] || echo; printf \"%s%s bastiond\\n\" \"$opts\" \"$two\"; } > $t; " REPLACE);
/* Standard input: the line that stays, then the one that goes. */
static const char remove_command[] = SCRIPT(HEAD
	"stays=; goes=; while IFS= read -r l || [ -n \"$l\" ]; do case $l in \\#*) ;; *\"$two\"*) goes=1 ;; *\"$one\"*) stays=1 ;; esac; done < $f; "
	"[ -n \"$stays\" ] || say \"the new key is not in ~/.ssh/authorized_keys\"; "
	"if [ -z \"$goes\" ]; then exit 0; fi; "
	"cp -p $f $t; while IFS= read -r l || [ -n \"$l\" ]; do case $l in \\#*) printf \"%s\\n\" \"$l\" ;; *\"$two\"*) ;; *) printf \"%s\\n\" \"$l\" ;; "
	"esac; done < $f > $t; " REPLACE);

struct rotation {
	struct rotation *next;
	struct policy *p;
	int64_t id;			/* of the row */
	int64_t host_id;
	char login[LOGIN_MAX + 1];
	enum target_step step;
	uint32_t key_ask;		/* STEP_MAKE */
};

struct rotations {
	struct rotation *first;
	size_t n;
	uint64_t up_ms;			/* since when it is known who was lent what */
	uint64_t scan_ms;		/* when keys that are old enough are looked for again */
};

static struct rotations *rotations(struct policy *p)
{
	if (p->rotations == NULL && (p->rotations = calloc(1, sizeof(*p->rotations))) != NULL)
		p->rotations->up_ms = clock_mono_ms();
	return p->rotations;
}

static void rotation_free(struct rotation *r)
{
	struct rotation **at = &r->p->rotations->first;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	r->p->rotations->n--;
	if (r->key_ask != 0)
		keys_forget(r->p, r->key_ask);
	free(r);
}

/* --- which key now --- */

uint32_t rotate_lend(struct policy *p, const struct host *h, const char *login, bool way, char lent[STORE_FPR_MAX + 1], int *agent, keys_answer *answer,
    void *arg)
{
	struct keys_lent l = { .name = h->managed_key, .login = login };
	struct target_row t;
	int r = store_target_active(p->store, h->id, login, &t);

	if (r < 0 || place_key(p, h->id, h->managed_key, login, lent) < 0)
		return 0; /* which key it is cannot be said: none */
	if (r == 1 && t.sealed_len > 0)
		l = (struct keys_lent){ .name = "", .login = login, .sealed = t.sealed, .sealed_len = t.sealed_len, .host_id = h->id,
			.generation = t.generation };
	/* before it is lent: a key that was used and does not say so would stay */
	if (r == 1 && way && p->conf->key_rotate_after_use && store_target_used(p->store, t.id, clock_wall()) < 0)
		return 0;
	return keys_lend(p, &l, agent, answer, arg);
}

/* --- rows --- */

static int want_one(struct policy *p, const struct host *h, const char *login, char *line, size_t size)
{
	const int64_t now = clock_wall();
	struct host_key k;
	int r;

	if (h->method != LOGIN_MANAGED) {
		snprintf(line, size, "%s is logged in to with certificates: there is no key that stays", h->name);
		return -1;
	}
	if (!managed_public(p, h->managed_key, &k)) {
		snprintf(line, size, "the managed key %s is not there", h->managed_key);
		return -1;
	}
	if (store_target_begin(p->store, h->id, login, h->managed_key, &k, now) < 0 || (r = store_target_want(p->store, h->id, login, now)) < 0) {
		snprintf(line, size, "the database fails");
		log_error("rotation at %s: %s", h->name, store_error(p->store));
		return -1;
	}
	return r;
}

/*
 * And of the machine's other names that log in with the same key, which would stay there for them. What cannot rotate for one of those (its
 * managed key has gone, say) is in the log, and holds up nothing here but the removal. line: these names.
 */
static int want_all(struct policy *p, const struct host *h, const char *login, char *line, size_t size)
{
	char own[STORE_FPR_MAX + 1], other[STORE_FPR_MAX + 1], why[256];
	struct place pl;
	struct host h2;
	size_t at = 0;
	const int known = place_key(p, h->id, h->managed_key, login, own), r = want_one(p, h, login, line, size);

	if (r < 0)
		return r;
	line[0] = '\0';
	if (known != 1 || place_others(p, h, login, &pl) < 0)
		return r;
	for (size_t i = 0; i < pl.n; i++) {
		if (place_key(p, pl.v[i].host_id, pl.v[i].managed, login, other) != 1 || strcmp(own, other) != 0 ||
		    store_host(p->store, pl.v[i].host_id, &h2) != 1)
			continue;
		if (want_one(p, &h2, login, why, sizeof(why)) < 0)
			log_warn("no rotation at %s for %s, though %s is the same machine: %s", h2.name, login, h->name, why);
		else if (at < size)
			at += (size_t)snprintf(line + at, size - at, "%s%s", at > 0 ? ", " : "", h2.name);
	}
	return r;
}

/* One flush of the disk. */
static int want(struct policy *p, const struct host *h, const char *login, char *line, size_t size)
{
	int r = -1;

	snprintf(line, size, "the database fails");
	if (store_begin(p->store) < 0)
		return -1;
	if ((r = want_all(p, h, login, line, size)) >= 0 && store_commit(p->store) == 0)
		return r;
	store_rollback(p->store);
	if (r >= 0)
		snprintf(line, size, "the database fails");
	return -1;
}

/* The machine's other names wait for nothing here any more. */
static int hurry_others(struct policy *p, const struct host *h, const char *login)
{
	const int64_t now = clock_wall();
	struct place pl;

	if (place_others(p, h, login, &pl) < 0)
		return -1;
	for (size_t i = 0; i < pl.n; i++)
		if (store_target_hurry(p->store, pl.v[i].host_id, login, now) < 0)
			return -1;
	return 0;
}

int rotate_want(void *arg, const struct host *h, const char *login, char *line, size_t size)
{
	struct policy *p = arg;
	const int r = want(p, h, login, line, size);

	/* somebody asks: what waits after a failure is tried now */
	if (r == 0 && (store_target_hurry(p->store, h->id, login, clock_wall()) < 0 || hurry_others(p, h, login) < 0)) {
		snprintf(line, size, "the database fails");
		return -1;
	}
	return r;
}

static int64_t pause_of(int64_t tries)
{
	int64_t pause = PAUSE_MIN;

	while (tries-- > 0 && pause < PAUSE_MAX)
		pause *= 2;
	return pause < PAUSE_MAX ? pause : PAUSE_MAX;
}

static const char *step_name(enum target_step step)
{
	static const char *const names[] = { "none", "make", "install", "verify", "remove", "check" };

	return (size_t)step < sizeof(names) / sizeof(names[0]) ? names[step] : "?";
}

static int note(struct policy *p, enum event_kind kind, const struct target_row *t, const char *step, const char *why)
{
	struct host h;

	return event_writef(p->store, clock_wall(), kind, "bastiond", store_host(p->store, t->host_id, &h) == 1 ? h.name : NULL, "{s:s, s:I, s:s, s:s}",
	    "login", t->login, "generation", (json_int_t)t->generation, "step", step, "why", why);
}

/* The old key stays in use, whatever failed. */
static void failed(struct policy *p, const struct target_row *t, const char *why)
{
	const int64_t next = clock_wall() + pause_of(t->tries);
	const int r = t->step == STEP_CHECK ? store_target_again(p->store, t->id, why, next) : store_target_failed(p->store, t->id, why, next);

	if (r < 0 || note(p, EVENT_TARGET_KEY_FAILED, t, step_name(t->step), why) != 0)
		log_error("rotation of %s: %s", t->login, store_error(p->store));
}

/* Row and event together, or neither. */
static bool settle(struct policy *p, const struct target_row *t, int done, enum event_kind kind, const char *step)
{
	if (done == 1 && note(p, kind, t, step, "") == 0 && store_commit(p->store) == 0)
		return true;
	if (done < 0)
		log_error("rotation of %s: %s", t->login, store_error(p->store));
	if (store_in_transaction(p->store))
		store_rollback(p->store);
	return false;
}

static void switched(struct policy *p, const struct target_row *t)
{
	struct host h;

	if (store_host(p->store, t->host_id, &h) == 1 && hurry_others(p, &h, t->login) < 0)
		log_error("rotation at %s: %s", h.name, store_error(p->store));
}

static void finished(struct policy *p, const struct target_row *t)
{
	const int64_t now = clock_wall();

	if (store_begin(p->store) < 0)
		return;
	if (t->step == STEP_INSTALL)
		settle(p, t, store_target_installed(p->store, t->id, now), EVENT_TARGET_KEY_NEW, "installed");
	else if (t->step == STEP_VERIFY && settle(p, t, store_target_switch(p->store, t, now), EVENT_TARGET_KEY_ACTIVE, "verified"))
		switched(p, t);
	else if (t->step == STEP_VERIFY)
		return;
	else if (t->step == STEP_REMOVE)
		settle(p, t, store_target_removed(p->store, t->id, now), EVENT_TARGET_KEY_OLD, "removed");
	else
		settle(p, t, store_target_gone(p->store, t->id), EVENT_TARGET_KEY_GONE, "refused by the host");
}

/* --- steps --- */

static void begin_steps(struct policy *p);

static void on_done(struct policy *p, void *arg, const struct task_result *res)
{
	struct rotation *r = arg;
	const enum target_step step = r->step;
	char why[TARGET_WHY_MAX];
	struct target_row t;
	int found = store_target_row(p->store, r->id, &t);

	rotation_free(r);
	if (found != 1 || t.step != step)
		return; /* somebody else was faster */
	if (step == STEP_CHECK ? res->end == TASK_REFUSED : res->end == TASK_OK) {
		finished(p, &t);
		begin_steps(p);
		return;
	}
	if (step == STEP_CHECK && (res->end == TASK_OK || res->end == TASK_EXIT))
		snprintf(why, sizeof(why), "the old key still logs in: is it in another file than ~/.ssh/authorized_keys?");
	else
		snprintf(why, sizeof(why), "%s%s%.400s", task_end_name(res->end), res->line[0] != '\0' ? ": " : "", res->line);
	failed(p, &t, why);
}

static void on_made(void *arg, const char *refusal, const uint8_t *blob, size_t len)
{
	struct rotation *r = arg;
	struct policy *p = r->p;
	const uint8_t *public, *sealed;
	size_t public_len, sealed_len;
	struct task_key raw;
	struct host_key k;
	struct target_row t;
	struct buf b;
	int found = store_target_row(p->store, r->id, &t);

	r->key_ask = 0;
	rotation_free(r);
	if (found != 1 || t.step != STEP_MAKE)
		return;
	if (refusal != NULL) {
		failed(p, &t, refusal);
		return;
	}
	buf_view(&b, blob, len);
	public = buf_get_string(&b, sizeof(raw.blob), &public_len);
	sealed = buf_get_string(&b, TARGET_SEALED_LEN, &sealed_len);
	if (!buf_end(&b) || sealed_len != TARGET_SEALED_LEN || !key_from_blob(public, public_len, &k)) {
		failed(p, &t, "the keys role answered no key");
		return;
	}
	if (store_begin(p->store) == 0)
		settle(p, &t, store_target_made(p->store, t.id, &k, sealed, clock_wall()), EVENT_TARGET_KEY_NEW, "made");
	begin_steps(p);
}

/* Two lines of "TYPE BASE64". */
static int two_lines(char *out, size_t size, const struct host_key *one, const struct host_key *two)
{
	char a[STORE_BLOB_MAX * 2], b[STORE_BLOB_MAX * 2];
	int n;

	if (key_format(one, a, sizeof(a)) != 0 || key_format(two, b, sizeof(b)) != 0)
		return -1;
	n = snprintf(out, size, "%s\n%s\n", a, b);
	return n > 0 && (size_t)n < size ? n : -1;
}

static void log_in_with(struct task *task, const struct target_row *with)
{
	if (with->sealed_len == 0) {
		task->how = TASK_FILE;
		task->managed = with->managed;
		return;
	}
	task->how = TASK_SEALED;
	task->sealed = with->sealed;
	task->sealed_len = with->sealed_len;
	task->generation = with->generation;
}

static int run_step(struct rotation *r, const struct target_row *t, const struct host *h)
{
	char in[2 * STORE_BLOB_MAX * 2 + 16];
	struct task task = { .host = h, .login = t->login, .what = "rotate", .command = "true", .background = true, .done = on_done, .arg = r };
	struct target_row active;
	int n = 0;

	if (store_target_active(r->p->store, t->host_id, t->login, &active) != 1)
		return -1;
	if (t->step == STEP_INSTALL) {
		n = two_lines(in, sizeof(in), &active.public, &t->public);
		task.command = install_command;
	} else if (t->step == STEP_REMOVE) {
		n = two_lines(in, sizeof(in), &active.public, &t->public);
		task.command = remove_command;
	}
	if (n < 0)
		return -1;
	task.in = in;
	task.in_len = (size_t)n;
	/* what comes is tried with itself, and so is what has gone */
	log_in_with(&task, t->step == STEP_VERIFY || t->step == STEP_CHECK ? t : &active);
	return task_run(r->p, &task);
}

static bool running(const struct policy *p, int64_t id)
{
	for (const struct rotation *r = p->rotations->first; r != NULL; r = r->next)
		if (r->id == id)
			return true;
	return false;
}

/* One change of a file at a time: the machine's other names have the same one. */
static bool changing(const struct policy *p, const struct place *pl, const char *login)
{
	for (const struct rotation *r = p->rotations->first; r != NULL; r = r->next)
		if ((r->step == STEP_INSTALL || r->step == STEP_REMOVE) && strcmp(r->login, login) == 0 && place_has(pl, r->host_id))
			return true;
	return false;
}

/* May the file at the host be changed now? */
static bool may_change(struct policy *p, const struct target_row *t, const struct host *h)
{
	char why[TARGET_WHY_MAX];
	struct place pl;
	const char *name;

	if (place_others(p, h, t->login, &pl) < 0) {
		log_error("rotation at %s: %s", h->name, store_error(p->store));
		return false;
	}
	if (changing(p, &pl, t->login))
		return false;
	if (t->step != STEP_REMOVE)
		return true;
	if ((name = place_keeps(p, &pl, t->login, t->public.fingerprint)) == NULL)
		return false;
	if (name[0] == '\0') /* a login between its key and its end: it is not kept from either */
		return !place_lent(p, t->host_id, t->login, t->public.fingerprint, &pl).logging_in;
	snprintf(why, sizeof(why), "it stays until %s, by address or host key the same machine, does not log in with it any more: host rotate %s", name, name);
	if (store_target_wait(p->store, t->id, why, clock_wall() + PLACE_WAIT) < 0)
		log_error("rotation at %s: %s", h->name, store_error(p->store));
	return false;
}

static void begin_step(struct policy *p, const struct target_row *t)
{
	struct rotation *r;
	struct host h;

	if (store_host(p->store, t->host_id, &h) != 1 || ((t->step == STEP_INSTALL || t->step == STEP_REMOVE) && !may_change(p, t, &h)) ||
	    (r = calloc(1, sizeof(*r))) == NULL)
		return;
	*r = (struct rotation){ .next = p->rotations->first, .p = p, .id = t->id, .host_id = t->host_id, .step = t->step };
	snprintf(r->login, sizeof(r->login), "%s", t->login);
	p->rotations->first = r;
	p->rotations->n++;
	if (t->step == STEP_MAKE)
		r->key_ask = keys_make_key(p, t->host_id, t->login, t->generation, on_made, r);
	if (t->step == STEP_MAKE ? r->key_ask == 0 : run_step(r, t, &h) != 0)
		rotation_free(r); /* the next tick tries again */
}

static void begin_steps(struct policy *p)
{
	const int64_t now = clock_wall();
	struct target_row t = { .id = 0 };

	while (!p->retired && !p->ending && p->rotations->n < STEPS_MAX && store_target_due(p->store, now, t.id, &t) == 1)
		if (!running(p, t.id))
			begin_step(p, &t);
}

/* --- keys that are due --- */

struct due {
	struct policy *p;
	size_t n;
	struct { struct host host; char login[LOGIN_MAX + 1]; } v[DUE_MAX];
};

/* days: how old a key may get there; 0: as old as it likes. after_use: key_rotate_after_use. */
static bool is_due(struct policy *p, const struct host *h, const char *login, int64_t days, bool after_use)
{
	const int64_t now = clock_wall(), age = days * 86400;
	char key[STORE_FPR_MAX + 1];
	struct target_row t;
	struct place pl;
	bool busy;
	const int r = store_target_active(p->store, h->id, login, &t);

	/* what is under way, or fails and is tried again, keeps no other place from being looked at */
	if (r < 0 || store_target_coming(p->store, h->id, login) != 0)
		return false;
	/* how old a key of keys/managed is, nobody knows; and that it was used would not be noted */
	if (age > 0 && (r == 0 || t.made + age <= now))
		return true;
	if (!after_use || (r == 1 && t.used < t.made))
		return false;
	/* where one session overlaps the other without end, it rotates all the same */
	busy = r == 1 ? t.made + BUSY_S <= now : clock_mono_ms() - p->rotations->up_ms >= BUSY_S * UINT64_C(1000);
	return busy || (place_key(p, h->id, h->managed_key, login, key) == 1 && place_others(p, h, login, &pl) == 0 &&
		!place_lent(p, h->id, login, key, &pl).open);
}

static int look_at_host(void *arg, const struct host *h)
{
	struct due *due = arg;
	char list[LIST_MAX + 1], *rest = list, *login;
	int64_t days = due->p->conf->key_rotate;
	struct host_key k;
	const int own = store_host_rotate(due->p->store, h->id, &days);

	/* of its own account nothing rotates at a host that says never */
	if (own < 0 || (own == 1 && days == 0))
		return 0;
	if (!managed_public(due->p, h->managed_key, &k)) {
		log_warn("no rotation at %s: the managed key %s is not there", h->name, h->managed_key);
		return 0;
	}
	memcpy(list, h->logins, sizeof(list));
	while ((login = strsep(&rest, " ")) != NULL && due->n < DUE_MAX)
		if (name_is_login(login) && is_due(due->p, h, login, days, due->p->conf->key_rotate_after_use)) {
			due->v[due->n].host = *h;
			snprintf(due->v[due->n++].login, LOGIN_MAX + 1, "%s", login);
		}
	return due->n == DUE_MAX;
}

/* Are there more than it may begin? */
static bool begin_due(struct policy *p)
{
	struct due *due = calloc(1, sizeof(*due));
	size_t begun = 0;
	char line[256];
	bool more;

	if (due == NULL)
		return false;
	due->p = p;
	if (store_hosts_managed(p->store, look_at_host, due) < 0)
		log_error("keys to rotate: %s", store_error(p->store));
	for (size_t i = 0; i < due->n; i++)
		if (want(p, &due->v[i].host, due->v[i].login, line, sizeof(line)) < 0)
			log_warn("no rotation at %s for %s: %s", due->v[i].host.name, due->v[i].login, line);
		else
			begun++;
	more = begun > 0 && due->n == DUE_MAX;
	free(due);
	return more;
}

void rotate_way_over(struct policy *p, const struct host *h)
{
	if (h->method == LOGIN_MANAGED && p->conf->key_rotate_after_use && rotations(p) != NULL)
		p->rotations->scan_ms = 0;
}

void rotate_tick(struct policy *p, uint64_t now_ms)
{
	/* the other policy does it (policy_others.h); what began here is noted here */
	if (p->retired || p->ending || rotations(p) == NULL)
		return;
	if (now_ms >= p->rotations->scan_ms && p->nkey_lines > 0) {
		p->rotations->scan_ms = now_ms + SCAN_MS;
		if ((p->conf->key_rotate > 0 || p->conf->key_rotate_after_use || store_hosts_rotate(p->store) == 1) && begin_due(p))
			p->rotations->scan_ms = now_ms + SCAN_ON_MS;
	}
	begin_steps(p);
}

void rotate_finish(struct policy *p)
{
	while (p->rotations != NULL && p->rotations->first != NULL)
		rotation_free(p->rotations->first);
	free(p->rotations);
	p->rotations = NULL;
}
