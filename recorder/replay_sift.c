/*
 * replay_sift.c - see replay_bucket.h: what of a copy's objects can be what its name says. Part of bastion-replay.
 *
 * Whoever holds the collector's keys, which can only put, can add objects under names that nobody has put yet. They are locked and stay, so no
 * verdict on what is honest may rest on there being none: what cannot be what it is called is set aside, and said.
 */
#include "replay_pull.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive_plan.h"
#include "tlog_reader.h"
#include "tlog_tile.h"

static bool closes(const char *path, uint32_t segment)
{
	size_t len;
	uint8_t *data = tlog_slurp(AT_FDCWD, path, BUCKET_OBJECT_MAX, &len);
	bool closes = data != NULL && archive_segment_state(data, len, segment) == ARCHIVE_CLOSED;

	free(data);
	return closes;
}

/* ---- files that the bucket has in parts, or under another name ---- */

/* The file `name` below the copy, of these objects, one after the other. 0, or -1: said. */
static int join(struct pull *p, const char *name, const struct object *o, size_t n)
{
	char path[REPLAY_PATH_MAX], part[REPLAY_PATH_MAX], from[REPLAY_PATH_MAX];
	FILE *out = NULL;
	int r = 0;

	if (pull_place(p, path, name) != 0 || pull_place(p, part, COPY_PARTS "/joined") != 0 || (out = copy_create(part)) == NULL)
		r = -1;
	for (size_t i = 0; i < n && r == 0; i++)
		r = o[i].failed || o[i].aside ? 0 : pull_place(p, from, o[i].name) == 0 ? copy_append(out, from) : -1;
	if (out != NULL && fclose(out) != 0)
		r = -1;
	if (r == 0)
		r = copy_move(p->to, part, path);
	if (r != 0)
		pull_complain(p, name, strerror(errno));
	return r;
}

void sift_aside(struct pull *p, struct object *o, const char *why)
{
	char from[REPLAY_PATH_MAX], to[REPLAY_PATH_MAX];

	o->aside = true;
	if (p->alarms++ < TOLD_MAX)
		pull_complain(p, o->name, why);
	if (pull_place(p, from, o->name) != 0 || pull_place_other(p, to, o, 0) != 0 || copy_move(p->to, from, to) != 0) {
		pull_complain(p, o->name, strerror(errno));
		p->failed++;
	}
}

/* The receipts of each recording, in the order of their numbers; which is that of their names. */
static int join_receipts(struct pull *p)
{
	int r = 0;

	for (size_t i = 0, n; i < p->objects.n && r == 0; i += n) {
		struct object *o = &p->objects.v[i];
		const char *file = strrchr(o->name, '/');
		const size_t len = (size_t)(file - o->name);
		char name[BUCKET_NAME_MAX + 1];

		n = 1;
		if (strncmp(file, "/receipts.", 10) != 0)
			continue;
		while (i + n < p->objects.n && strncmp(o[n].name, o->name, len + 10) == 0)
			n++;
		snprintf(name, sizeof(name), "%.*s/receipts", (int)len, o->name);
		r = join(p, name, o, n);
	}
	return r;
}

/* Of a recording's last segment in the bucket it does not matter whether it closes it. */
static bool is_followed(const struct pull *p, size_t i, size_t len)
{
	size_t other;

	return i + 1 < p->objects.n && strncmp(p->objects.v[i].name, p->objects.v[i + 1].name, len) == 0 &&
	    fit_segment_number(&p->objects.v[i + 1], &other) >= 0;
}

/* Behind the segment that closes a recording its bastion made none: names come in the order of segments. */
static void sift_segments(struct pull *p)
{
	char path[REPLAY_PATH_MAX];
	const char *closed = NULL;
	size_t len, closed_len = 0;

	for (size_t i = 0; i < p->objects.n; i++) {
		struct object *o = &p->objects.v[i];
		const int64_t segment = fit_segment_number(o, &len);

		if (segment < 0 || o->failed || o->aside)
			continue;
		if (closed != NULL && len == closed_len && strncmp(closed, o->name, len) == 0)
			sift_aside(p, o, "ALARM: a segment behind the one that closes its recording: set aside");
		else if (is_followed(p, i, len) && pull_place(p, path, o->name) == 0 && closes(path, (uint32_t)segment))
			closed = o->name, closed_len = len;
	}
}

/* ---- the log ---- */

/* A version of an object with a checkpoint's name; of an object that is settled there is one. */
struct candidate {
	struct object *o;
	unsigned k;
	uint64_t size;
	char *origin;		/* NULL: it is no checkpoint */
	uint8_t root[HASH_LEN];
};

/* And of one object the oldest first. */
static int greatest_first(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->size != y->size)
		return x->size < y->size ? 1 : -1;
	return x->o != y->o ? (x->o < y->o ? -1 : 1) : x->k < y->k ? 1 : -(x->k > y->k);
}

/* How many versions of the object are candidates. */
static unsigned versions(const struct object *o, uint64_t *size)
{
	const char *end;

	return !fit_checkpoint_size(o, size, &end) || *end != '\0' || o->failed || o->aside ? 0 : o->pending ? o->n : 1;
}

/* All that have a checkpoint's name, the greatest number first: *n of them, the caller's. NULL: out of memory. */
static struct candidate *candidates(struct pull *p, size_t *n)
{
	struct candidate *v;
	uint64_t size;

	*n = 0;
	for (size_t i = 0; i < p->end; i++)
		*n += versions(&p->objects.v[i], &size);
	if ((v = calloc(*n + 1, sizeof(*v))) == NULL)
		return NULL;
	*n = 0;
	for (size_t i = 0; i < p->end; i++) {
		struct object *o = &p->objects.v[i];
		const unsigned many = versions(o, &size);

		for (unsigned k = 0; k < many; k++)
			v[(*n)++] = (struct candidate){ .o = o, .k = o->pending ? k : o->taken, .size = size };
	}
	qsort(v, *n, sizeof(*v), greatest_first);
	return v;
}

/*
 * Which of them are what their names say. The log is that of the one that was put first, by the store's clock; a store that tells whole seconds
 * has put the smallest of one second first, since a log grows.
 */
static void judge_candidates(struct pull *p, struct candidate *v, size_t n)
{
	const struct candidate *first = NULL;
	char path[REPLAY_PATH_MAX];
	struct tlog_checkpoint c;

	for (size_t i = 0; i < n; i++) {
		struct candidate *one = &v[i];

		if (one->o->v[one->k].same ||
		    (one->o->pending ? pull_place_part(p, path, one->o, one->k) : pull_place(p, path, one->o->name)) != 0 ||
		    !fit_checkpoint(&c, p, path, one->size) || (one->origin = strdup(c.origin)) == NULL)
			continue;
		memcpy(one->root, c.root, HASH_LEN);
		if (first == NULL || one->o->v[one->k].when <= first->o->v[first->k].when)
			first = one;
	}
	snprintf(p->origin, sizeof(p->origin), "%s", first != NULL ? first->origin : "");
}

/* Of the n candidates of one object the oldest of this log is taken, else the oldest checkpoint, else the oldest. */
static const struct candidate *settle(struct pull *p, const struct candidate *v, size_t n)
{
	const struct candidate *own = NULL, *any = NULL;

	for (size_t i = 0; i < n; i++) {
		if (own == NULL && v[i].origin != NULL && strcmp(v[i].origin, p->origin) == 0)
			own = &v[i];
		if (any == NULL && v[i].origin != NULL)
			any = &v[i];
	}
	any = own != NULL ? own : any != NULL ? any : v;
	if (any->o->pending)
		versions_settle(p, any->o, any->k, any->origin != NULL ? FIT_PROVEN : FIT_NOT);
	return any;
}

/*
 * The log's newest checkpoint is the one of most leaves, of those that are any: a number in a name says nothing, and one of another collector
 * nothing of this log. Is there none, the greatest is taken as it is, for verify to say what is wrong with it. NULL: there is none at all.
 */
static const struct candidate *newest_of(struct pull *p, const struct candidate *v, size_t n)
{
	const struct candidate *newest = NULL, *one;
	const bool none = p->origin[0] == '\0';

	for (size_t i = 0, many; i < n; i += many) {
		bool own;

		for (many = 1; i + many < n && v[i + many].o == v[i].o;)
			many++;
		one = settle(p, &v[i], many);
		own = one->origin != NULL && strcmp(one->origin, p->origin) == 0;
		if (own && newest == NULL)
			newest = one;
		/* one that is damaged, and older, is verify's to judge */
		if (!none && !own && (newest == NULL || one->origin != NULL))
			sift_aside(p, one->o, "ALARM: no checkpoint of so many leaves of this log by a collector that is believed: set aside");
	}
	return newest != NULL ? newest : n != 0 ? v : NULL;
}

/* What the tree did not tell, and what is no part of it. */
static void settle_rest(struct pull *p)
{
	for (size_t i = 0; i < p->end; i++) {
		struct object *o = &p->objects.v[i];
		struct tile_name tile;
		enum fit best;
		unsigned k;

		if (!o->pending)
			continue;
		k = versions_best(p, o, &best);
		/* a tile that the tree does not have says nothing, in however many versions */
		versions_settle(p, o, k, fit_tile_name(&tile, o) ? FIT_NOT : best);
	}
}

int sift_log(struct pull *p)
{
	const struct candidate *newest;
	struct candidate *v;
	size_t n;
	int r = 0;

	if ((v = candidates(p, &n)) == NULL) {
		pull_complain(p, "log/" TLOG_CHECKPOINT, "out of memory");
		return -1;
	}
	judge_candidates(p, v, n);
	if ((newest = newest_of(p, v, n)) != NULL) {
		if (newest->origin != NULL)
			tree_settle(p, newest->size, newest->root);
		r = join(p, "log/" TLOG_CHECKPOINT, newest->o, 1);
	}
	settle_rest(p);
	for (size_t i = 0; i < n; i++)
		free(v[i].origin);
	free(v);
	return r;
}

int sift_recordings(struct pull *p)
{
	sift_segments(p);
	return join_receipts(p);
}
