/*
 * replay_ways.c - see replay_ways.h. Runs in bastion-replay, under replay_events.c.
 *
 * Nothing that a session wrote says here whether or when its recording is to be judged: it may be the one that was taken over. Each
 * recording has its event before it can begin, whether anything came of it or not. As events arrive by a stream of their own, and a live
 * store is read while both grow, one without is judged when an event is there that is later by more than LATE_S.
 */
#include "replay_ways.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hex.h"

#define LATE_S 60
#define ABSENT_SHOWN 20		/* lines; the rest is a number */

int ways_add(struct ways *x, const struct recording *rec, const struct scan *s)
{
	struct way_recording *r;

	if (x->n == x->cap) {
		size_t cap = x->cap > 0 ? 2 * x->cap : 64;

		if ((r = reallocarray(x->v, cap, sizeof(*r))) == NULL)
			return -1;
		x->v = r;
		x->cap = cap;
	}
	r = &x->v[x->n++];
	*r = (struct way_recording){ .at = rec->wall_us / 1000000, .readable = s != NULL && s->info.can_read[BREC_META] };
	memcpy(r->id, rec->id, sizeof(r->id));
	r->described = r->readable && s->described;
	if (r->described)
		memcpy(r->meta, s->meta_hash, sizeof(r->meta));
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct way_recording *r = a, *s = b;

	return strcmp(r->id, s->id);
}

void ways_ready(struct ways *x)
{
	if (x->n > 0)
		qsort(x->v, x->n, sizeof(*x->v), by_id);
}

static struct way_recording *find(const struct ways *x, const char *id)
{
	struct way_recording key;

	if (x->n == 0 || strlen(id) != sizeof(key.id) - 1)
		return NULL;
	memcpy(key.id, id, sizeof(key.id));
	return bsearch(&key, x->v, x->n, sizeof(*x->v), by_id);
}

static int64_t fault(const char *id, const char *what)
{
	fprintf(stderr, "bastion-replay: recording %s: %s: what it says of itself cannot be believed\n", id, what);
	return 1;
}

/* It is not here. Another collector of a quorum may have it: this is said, and no fault of this store. */
static void absent(struct ways *x, const struct event_row *e, const char *id)
{
	if (logs_pruned(&x->logs, x->store, id) || ++x->absent > ABSENT_SHOWN)
		return;
	fprintf(stderr, "bastion-replay: event %lld names recording %s, which this store does not have\n", (long long)e->id, id);
}

/* Of a bastion before it said the hash: the event accuses nobody, and its recording is only named. */
static void plain(struct ways *x, const char *id)
{
	struct way_recording *r = id != NULL ? find(x, id) : NULL;

	if (r != NULL) {
		r->named = true;
		r->readable = false;
	}
	x->plain++;
}

static int64_t hold(struct ways *x, const struct event_row *e, const json_t *detail)
{
	const char *id = json_string_value(json_object_get(detail, "recording")), *hash = json_string_value(json_object_get(detail, "metadata"));
	uint8_t want[HASH_LEN], raw[BREC_ID_LEN];
	struct way_recording *r;
	char line[200];

	if (hash == NULL) {
		plain(x, id);
		return 0;
	}
	if (x->first_at == 0 || e->at < x->first_at)
		x->first_at = e->at;
	if (id == NULL || hex_decode(want, sizeof(want), hash) != 0 || hex_decode(raw, sizeof(raw), id) != 0) {
		fprintf(stderr, "bastion-replay: event %lld names no recording\n", (long long)e->id);
		return 1;
	}
	if ((r = find(x, id)) == NULL) {
		/* of a break-glass session: in a store of its own, see replay_apart.h */
		if (json_object_get(detail, "store") == NULL)
			absent(x, e, id);
		return 0;
	}
	r->named = true;
	if (!r->readable || (r->described && memcmp(want, r->meta, sizeof(want)) == 0))
		return 0;
	/* it may have been opened in this moment */
	if (!r->described && r->at + LATE_S >= time(NULL))
		return 0;
	snprintf(line, sizeof(line), "its metadata are not those that event %lld names", (long long)e->id);
	return fault(id, line);
}

int64_t ways_event(struct ways *x, const struct event_row *e)
{
	json_t *detail;
	int64_t faults;

	if (e->at > x->last_at)
		x->last_at = e->at;
	if (strcmp(e->kind, "way.up") != 0)
		return 0;
	detail = json_loads(e->detail, 0, NULL);
	faults = hold(x, e, detail);
	json_decref(detail);
	return faults;
}

int64_t ways_conclude(const struct ways *x)
{
	uint64_t held = 0, closed = 0, young = 0, old = 0;
	int64_t faults = 0;

	for (size_t i = 0; i < x->n; i++) {
		const struct way_recording *r = &x->v[i];

		if (r->named && r->readable)
			held++;
		else if (r->named)
			closed++;
		else if (x->first_at == 0 || r->at < x->first_at)
			old++;
		else if (r->at + LATE_S >= x->last_at)
			young++;
		else
			faults += fault(r->id, "no event says who reached what with it");
	}
	fprintf(stderr, "recordings of sessions: %llu held against the event that names them", (unsigned long long)held);
	if (closed > 0)
		fprintf(stderr, ", %llu only named: the identity does not open them, or the event has no hash", (unsigned long long)closed);
	if (young > 0)
		fprintf(stderr, ", %llu too new to have an event here", (unsigned long long)young);
	if (old > 0)
		fprintf(stderr, ", %llu older than the events", (unsigned long long)old);
	if (x->absent > 0)
		fprintf(stderr, "; %llu more are named and not in this store", (unsigned long long)x->absent);
	fputc('\n', stderr);
	return faults;
}

void ways_finish(struct ways *x)
{
	free(x->v);
	logs_finish(&x->logs);
	*x = (struct ways){ 0 };
}
