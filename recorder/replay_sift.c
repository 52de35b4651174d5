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
#include "brec_dir.h"
#include "tlog_note.h"
#include "tlog_reader.h"
#include "tlog_tile.h"
#include "wire_receipt.h"

static bool is_receipt(const char *path)
{
	struct receipt one;
	struct buf b;
	size_t len;
	uint8_t *data = tlog_slurp(AT_FDCWD, path, RECEIPT_LEN_MAX + 4, &len);
	bool fine = data != NULL;

	if (fine) {
		buf_view(&b, data, len);
		fine = receipt_get(&b, &one) == 0 && buf_left(&b) == 0;
	}
	free(data);
	return fine;
}

/* *c: what it is, if it is one. */
static bool is_checkpoint(struct tlog_checkpoint *c, const char *path, uint64_t size, const struct trust *trust)
{
	size_t len, i = 0;
	uint8_t *data = tlog_slurp(AT_FDCWD, path, TLOG_NOTE_MAX, &len);
	bool fine = data != NULL && tlog_checkpoint_parse(c, data, len) == 0 && c->size == size;

	while (fine && trust != NULL && i < trust->ncollectors && !tlog_checkpoint_signed(c, trust->collectors[i]))
		i++;
	fine = fine && (trust == NULL || i < trust->ncollectors);
	free(data);
	return fine;
}

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

/* It stays beside its name, as evidence. */
static void set_aside(struct pull *p, struct object *o, const char *why)
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
	char path[REPLAY_PATH_MAX];
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
		for (size_t k = 0; k < n; k++)
			if (!o[k].failed && pull_place(p, path, o[k].name) == 0 && !is_receipt(path))
				set_aside(p, &o[k], "ALARM: it is no receipt, and no collector's: set aside");
		snprintf(name, sizeof(name), "%.*s/receipts", (int)len, o->name);
		r = join(p, name, o, n);
	}
	return r;
}

/* The segment's number, and how much of the name is its recording's; -1: it is none. */
static int64_t segment_of(const struct object *o, size_t *len)
{
	const char *file = strrchr(o->name, '/');

	if (file == NULL || strncmp(o->name, "recordings/", 11) != 0)
		return -1;
	*len = (size_t)(file - o->name) + 1;
	return brec_dir_number(file + 1);
}

/* Behind the segment that closes a recording its bastion made none: names come in the order of segments. */
static void sift_segments(struct pull *p)
{
	char path[REPLAY_PATH_MAX];
	const char *closed = NULL;
	size_t len, closed_len = 0;

	for (size_t i = 0; i < p->objects.n; i++) {
		struct object *o = &p->objects.v[i];
		const int64_t segment = segment_of(o, &len);

		if (segment < 0 || o->failed)
			continue;
		if (closed != NULL && len == closed_len && strncmp(closed, o->name, len) == 0)
			set_aside(p, o, "ALARM: a segment behind the one that closes its recording: set aside");
		else if (pull_place(p, path, o->name) == 0 && closes(path, (uint32_t)segment))
			closed = o->name, closed_len = len;
	}
}

/* How many leaves the object's name gives the log; false: it is no checkpoint. */
static bool checkpoint_size(const struct object *o, unsigned long long *size)
{
	const char *digits = o->name + 15;
	char *end;

	if (strncmp(o->name, "log/" TLOG_CHECKPOINT ".", 15) != 0 || digits[0] < '0' || digits[0] > '9' || o->failed || o->aside)
		return false;
	errno = 0;
	*size = strtoull(digits, &end, 10);
	return *end == '\0' && errno == 0;
}

struct candidate {
	struct object *o;
	unsigned long long size;
	char *origin;		/* NULL: it is no checkpoint */
};

static int greatest_first(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->size < y->size ? 1 : -(x->size > y->size);
}

/* All that have a checkpoint's name, the greatest number first: *n of them, the caller's. NULL: out of memory. */
static struct candidate *candidates(struct pull *p, size_t *n)
{
	struct candidate *v, one;

	*n = 0;
	for (size_t i = 0; i < p->objects.n; i++)
		*n += checkpoint_size(&p->objects.v[i], &one.size);
	if ((v = calloc(*n + 1, sizeof(*v))) == NULL)
		return NULL;
	*n = 0;
	for (size_t i = 0; i < p->objects.n; i++)
		if (checkpoint_size(&p->objects.v[i], &v[*n].size))
			v[(*n)++].o = &p->objects.v[i];
	qsort(v, *n, sizeof(*v), greatest_first);
	return v;
}

/*
 * Which of them are what their names say. The log is that of the one that was put first, by the store's clock; a store that tells whole seconds
 * has put the smallest of one second first, since a log grows. NULL: none is any.
 */
static const char *judge_candidates(struct pull *p, struct candidate *v, size_t n, const struct trust *trust)
{
	const struct candidate *first = NULL;
	char path[REPLAY_PATH_MAX];
	struct tlog_checkpoint c;

	for (size_t i = 0; i < n; i++)
		if (pull_place(p, path, v[i].o->name) == 0 && is_checkpoint(&c, path, v[i].size, trust) && (v[i].origin = strdup(c.origin)) != NULL &&
		    (first == NULL || v[i].o->v[v[i].o->n - 1].when <= first->o->v[first->o->n - 1].when))
			first = &v[i];
	return first != NULL ? first->origin : NULL;
}

/*
 * The log's newest checkpoint is the one of most leaves, of those that are any: a number in a name says nothing, and one of another collector
 * nothing of this log. Is there none, the greatest is taken as it is, for verify to say what is wrong with it.
 */
static int take_checkpoint(struct pull *p, const struct args *a)
{
	const bool known = access(a->trust, R_OK) == 0;
	const struct candidate *newest = NULL;
	struct trust trust;
	struct candidate *v;
	const char *origin;
	size_t n;
	int r;

	if (known && keys_trust(&trust, a) != 0)
		return -1;
	if ((v = candidates(p, &n)) == NULL) {
		pull_complain(p, "log/" TLOG_CHECKPOINT, "out of memory");
		return -1;
	}
	origin = judge_candidates(p, v, n, known ? &trust : NULL);
	for (size_t i = 0; i < n && origin != NULL; i++) {
		const bool own = v[i].origin != NULL && strcmp(v[i].origin, origin) == 0;

		if (own && newest == NULL)
			newest = &v[i];
		/* one that is damaged, and older, is verify's to judge */
		if (!own && (newest == NULL || v[i].origin != NULL))
			set_aside(p, v[i].o, "ALARM: no checkpoint of so many leaves of this log by a collector that is believed: set aside");
	}
	r = n == 0 ? 0 : join(p, "log/" TLOG_CHECKPOINT, newest != NULL ? newest->o : v[0].o, 1);
	for (size_t i = 0; i < n; i++)
		free(v[i].origin);
	free(v);
	return r;
}

int sift_pulled(struct pull *p, const struct args *a)
{
	sift_segments(p);
	return join_receipts(p) != 0 || take_checkpoint(p, a) != 0 ? -1 : 0;
}
