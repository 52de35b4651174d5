/*
 * replay_versions.c - see replay_pull.h: of the versions of an object one is taken, as its file. Part of bastion-replay, between replay_pull.c,
 * which fetches them, and replay_sift.c.
 *
 * What was put before the one that is taken cannot be what it is called, or is proven to be something else: it is evidence, and no verdict
 * rests on it. What was put later with other bytes makes it doubtful which one is true, and `pulled` says so, for verify.
 */
#include "replay_pull.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive_plan.h"
#include "tlog_note.h"
#include "tlog_reader.h"

/* Version k has nothing that is not in another one. */
static void drop(struct pull *p, struct object *o, unsigned k)
{
	char path[REPLAY_PATH_MAX];

	o->v[k].same = true;
	if (pull_place_part(p, path, o, k) == 0)
		unlink(path);
}

/* Of identical ones, as far as the list did not tell, the oldest stands for all, too. How many are left. */
static unsigned drop_same(struct pull *p, struct object *o)
{
	unsigned left = 0;

	for (unsigned k = o->n; k-- > 0;) {
		unsigned older = o->n;

		while (--older > k && (o->v[older].same || memcmp(o->hash[older], o->hash[k], HASH_LEN) != 0))
			;
		if (older > k)
			drop(p, o, k);
		else
			left++;
	}
	return left;
}

static uint8_t *slurp_part(const struct pull *p, const struct object *o, unsigned k, size_t *len)
{
	char path[REPLAY_PATH_MAX];

	return pull_place_part(p, path, o, k) == 0 ? tlog_slurp(AT_FDCWD, path, BUCKET_OBJECT_MAX, len) : NULL;
}

static bool starts_with(const uint8_t *data, size_t len, const uint8_t *begin, size_t begin_len)
{
	return begin_len <= len && memcmp(data, begin, begin_len) == 0;
}

static bool same_text(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	struct tlog_checkpoint x, y;

	return tlog_checkpoint_parse(&x, a, a_len) == 0 && tlog_checkpoint_parse(&y, b, b_len) == 0 && x.text_len == y.text_len &&
	    memcmp(x.text, y.text, x.text_len) == 0;
}

/*
 * Did the one before become the other: an open segment that grew? The same checkpoint, signed once more by the collector's next key, is no other.
 */
static bool became(const struct pull *p, const struct object *o, unsigned before, unsigned after)
{
	size_t len, old_len = 0, now_len = 0;
	const int64_t segment = fit_segment_number(o, &len);
	uint8_t *old, *now = NULL;
	const char *end;
	uint64_t size;
	bool yes = false;

	if ((old = slurp_part(p, o, before, &old_len)) != NULL && (now = slurp_part(p, o, after, &now_len)) != NULL) {
		if (segment >= 0)
			yes = archive_segment_grew(old, old_len, now, now_len, (uint32_t)segment);
		else if (fit_checkpoint_size(o, &size, &end))
			yes = *end == '\0' && same_text(old, old_len, now, now_len);
	}
	free(old);
	free(now);
	return yes;
}

/* ---- which one ---- */

unsigned versions_best(const struct pull *p, const struct object *o, enum fit *best)
{
	unsigned taken = o->n - 1;
	char path[REPLAY_PATH_MAX];
	size_t vouched;

	*best = FIT_NOT;
	for (unsigned k = o->n; k-- > 0 && *best != FIT_PROVEN;) {
		const enum fit fit = o->v[k].same || pull_place_part(p, path, o, k) != 0 ? FIT_NOT : fit_file(p, o, path, &vouched);

		if (fit <= *best)
			continue;
		*best = fit;
		taken = k;
	}
	return taken;
}

/*
 * Version k came before the one that is taken, and has other bytes. Does it contradict that, so that somebody who is believed said two things?
 * Only in what its bastion signed.
 */
static bool contradicts(const struct pull *p, const struct object *o, unsigned k)
{
	char path[REPLAY_PATH_MAX];
	size_t vouched = 0, old_len = 0, len = 0;
	uint8_t *old, *taken = NULL;
	bool yes = true;

	if (pull_place_part(p, path, o, k) != 0 || fit_file(p, o, path, &vouched) == FIT_NOT || vouched == 0)
		return false;
	if ((old = slurp_part(p, o, k, &old_len)) != NULL && (taken = slurp_part(p, o, o->taken, &len)) != NULL)
		yes = !starts_with(taken, len, old, vouched);
	free(old);
	free(taken);
	return yes;
}

/* ---- what the others are ---- */

static void say_alarm(struct pull *p, const struct object *o, unsigned k)
{
	const struct object_version *v = &o->v[k], *taken = &o->v[o->taken];
	char why[640], when[2][40];

	text_time(when[0], sizeof(when[0]), v->when);
	text_time(when[1], sizeof(when[1]), taken->when);
	snprintf(why, sizeof(why), k < o->taken ? "ALARM: its version %.100s of %s has other bytes than the older one, %.100s of %s, which is taken. Both are kept" :
	    "ALARM: its version %.100s of %s cannot be what it is called, or is not proven to be: %.100s of %s is taken. Both are kept", v->id, when[0], taken->id,
	    when[1]);
	if (p->alarms++ < TOLD_MAX)
		pull_complain(p, o->name, why);
}

static void keep_other(struct pull *p, const struct object *o, unsigned k)
{
	char from[REPLAY_PATH_MAX], to[REPLAY_PATH_MAX];

	say_alarm(p, o, k);
	if (pull_place_part(p, from, o, k) != 0 || pull_place_other(p, to, o, o->n - 1 - k) != 0 || copy_move(p->to, from, to) != 0)
		pull_complain(p, o->name, strerror(errno));
}

/* It vouches for itself. */
static bool is_stamp(const struct object *o)
{
	const char *end = strrchr(o->name, '.');

	return end != NULL && strcmp(end, ".tsr") == 0;
}

/* Was it signed with a key that is known here? Else who may only put can have made it up. */
static bool is_known(const struct pull *p, const struct object *o)
{
	char path[REPLAY_PATH_MAX];
	size_t vouched = 0;
	const char *end;
	uint64_t size;

	if (fit_checkpoint_size(o, &size, &end))
		return p->trust != NULL && p->trust->ncollectors != 0;
	return pull_place_part(p, path, o, o->taken) == 0 && fit_file(p, o, path, &vouched) != FIT_NOT && vouched != 0;
}

/*
 * Takes the newest one that the taken one became, of versions that can be what they are called. Did it become another? Of a checkpoint that was
 * signed once more the older one stays: what was stamped are its bytes.
 */
static bool follow(struct pull *p, struct object *o)
{
	char path[REPLAY_PATH_MAX];
	size_t vouched, len;
	const bool segment = fit_segment_number(o, &len) >= 0;
	bool grew = false;

	for (unsigned k = o->taken; k-- > 0;)
		if (!o->v[k].same && pull_place_part(p, path, o, k) == 0 && fit_file(p, o, path, &vouched) != FIT_NOT && became(p, o, o->taken, k)) {
			drop(p, o, segment ? o->taken : k);
			o->taken = segment ? k : o->taken;
			grew = true;
		}
	return grew;
}

/* A version for each of them, but for those that the taken one stands for. */
static void weigh_others(struct pull *p, struct object *o, enum fit best, struct mirrored *m)
{
	char path[REPLAY_PATH_MAX];
	bool stands = follow(p, o), unproven = !is_known(p, o);
	size_t vouched;

	for (unsigned k = o->n; k-- > 0;) {
		if (k == o->taken || o->v[k].same)
			continue;
		if (k > o->taken && became(p, o, k, o->taken)) {
			unproven = unproven || pull_place_part(p, path, o, k) != 0 || fit_file(p, o, path, &vouched) == FIT_NOT;
			drop(p, o, k);
			stands = true;
			continue;
		}
		m->others = true;
		m->differs = m->differs || (best != FIT_NOT && !is_stamp(o) && (k < o->taken || contradicts(p, o, k)));
		keep_other(p, o, k);
	}
	/* which one it was is not proven, or that the first was no other, and only one is left: who pulls with the keys compares all of them anew */
	if (stands && unproven)
		m->versions = 0;
}

void versions_settle(struct pull *p, struct object *o, unsigned k, enum fit best)
{
	/* what is not proven may be another one's, of those that were not looked at */
	const bool doubtful = o->more && best != FIT_PROVEN;
	struct mirrored m = { .versions = o->all, .differs = doubtful && best != FIT_NOT && !is_stamp(o) };
	char from[REPLAY_PATH_MAX], to[REPLAY_PATH_MAX], line[MIRROR_LINE_MAX];

	o->pending = false;
	o->taken = k;
	if (doubtful && p->alarms++ < TOLD_MAX)
		pull_complain(p, o->name, "ALARM: it has more versions than a lost answer explains, and not all were looked at");
	weigh_others(p, o, best, &m);
	m.size = o->v[o->taken].size;
	memcpy(m.hash, o->hash[o->taken], HASH_LEN);
	snprintf(m.name, sizeof(m.name), "%s", o->name);
	snprintf(m.version, sizeof(m.version), "%s", o->v[o->taken].id);
	if (pull_place_part(p, from, o, o->taken) != 0 || pull_place(p, to, o->name) != 0 || copy_move(p->to, from, to) != 0 ||
	    mirror_format(line, sizeof(line), &m) != 0 || fprintf(p->list, "%s\n", line) < 0 || fflush(p->list) != 0) {
		pull_complain(p, o->name, strerror(errno));
		o->failed = true;
	}
	p->failed += o->failed;
	p->fetched += !o->failed;
	free(o->hash);
	o->hash = NULL;
}

void versions_arrived(struct pull *p, struct object *o)
{
	const bool of_log = strncmp(o->name, "log/", 4) == 0;
	enum fit best = FIT_MAY;
	unsigned k;

	if ((drop_same(p, o) != 1 || o->more) && of_log) {
		o->pending = true;
		return;
	}
	k = of_log ? o->n - 1 : versions_best(p, o, &best);
	versions_settle(p, o, k, best);
	if (best == FIT_NOT && !o->failed)
		sift_aside(p, o, "ALARM: it cannot be what it is called: damaged, of another recording, or not by whom it names: set aside");
}
