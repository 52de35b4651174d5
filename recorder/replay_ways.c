/*
 * replay_ways.c - see replay_ways.h. Runs in bastion-replay, under replay_events.c.
 *
 * Nothing that a session wrote says here whether or when its recording is to be judged: it may be the one that was taken over. Each
 * recording has its event before it can begin, whether anything came of it or not. As events arrive by a stream of their own, and a live
 * store is read while both grow, one without is judged when an event of its bastion is there that is later by more than LATE_S.
 */
#include "replay_ways.h"

#include <stdlib.h>
#include <string.h>

#include "hex.h"

#define LATE_S 60
#define ABSENT_SHOWN 20		/* lines; the rest is a number */

/* Room for one more element of a vector that has n of them, doubled at each power of two. NULL with errno. */
static void *grown(void *v, size_t n, size_t size)
{
	return n > 0 && (n & (n - 1)) != 0 ? v : reallocarray(v, n > 0 ? 2 * n : 1, size);
}

int ways_add(struct ways *x, const struct recording *rec, const struct scan *s, bool events)
{
	struct way_recording *v = grown(x->v, x->n, sizeof(*v)), *r;

	if (v == NULL)
		return -1;
	x->v = v;
	r = &v[x->n];
	*r = (struct way_recording){ .at = rec->wall_us / 1000000, .events = events, .opens = s != NULL && s->opens };
	if (hex_decode(r->id, sizeof(r->id), rec->id) != 0)
		return 0;	/* no recording's name */
	if (s != NULL)
		memcpy(r->signer, s->info.signer, sizeof(r->signer));
	r->described = r->opens && s->described;
	if (r->described)
		memcpy(r->meta, s->meta_hash, sizeof(r->meta));
	x->n++;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct way_recording *r = a, *s = b;

	return memcmp(r->id, s->id, sizeof(r->id));
}

void ways_ready(struct ways *x)
{
	if (x->n > 0)
		qsort(x->v, x->n, sizeof(*x->v), by_id);
}

/* The first one with this id: copies of it follow. */
static struct way_recording *find(const struct ways *x, const uint8_t id[BREC_ID_LEN])
{
	struct way_recording key = { .at = 0 }, *r;

	memcpy(key.id, id, sizeof(key.id));
	r = x->n > 0 ? bsearch(&key, x->v, x->n, sizeof(*x->v), by_id) : NULL;
	while (r != NULL && r > x->v && by_id(r - 1, r) == 0)
		r--;
	return r;
}

static bool same_id(const struct ways *x, const struct way_recording *r, const uint8_t id[BREC_ID_LEN])
{
	return r < x->v + x->n && memcmp(r->id, id, sizeof(r->id)) == 0;
}

static int64_t fault(const uint8_t id[BREC_ID_LEN], const char *what)
{
	char hex[2 * BREC_ID_LEN + 1];

	fprintf(stderr, "bastion-replay: recording %s: %s: what it says of itself cannot be believed\n", hex_encode(hex, id, BREC_ID_LEN), what);
	return 1;
}

int ways_begin(struct ways *x, const char *log, const uint8_t signer[HASH_LEN])
{
	struct ways_signer *signers;

	for (x->list = 0; x->list < x->nlists && strcmp(x->lists[x->list].log, log) != 0;)
		x->list++;
	if (x->list == x->nlists) {
		struct ways_list *lists = grown(x->lists, x->nlists, sizeof(*lists));

		if (lists == NULL)
			return -1;
		x->lists = lists;
		lists[x->nlists] = (struct ways_list){ .from = 0 };
		snprintf(lists[x->nlists++].log, sizeof(lists->log), "%s", log);
	}
	for (size_t i = 0; i < x->nsigners; i++)
		if (x->signers[i].list == x->list && memcmp(x->signers[i].key, signer, HASH_LEN) == 0)
			return 0;
	if ((signers = grown(x->signers, x->nsigners, sizeof(*signers))) == NULL)
		return -1;
	x->signers = signers;
	memcpy(signers[x->nsigners].key, signer, HASH_LEN);
	signers[x->nsigners++].list = x->list;
	return 0;
}

/* It is not here: kept until way.down says whether it ever began. 0, or -1 with errno. */
static int absent(struct ways *x, int64_t way, int64_t event, const char *id)
{
	struct ways_absent *v;

	for (size_t i = 0; i < x->nstores; i++)
		if (logs_pruned(&x->logs[i], x->stores[i], id))
			return 0;
	if ((v = grown(x->absent, x->nabsent, sizeof(*v))) == NULL)
		return -1;
	x->absent = v;
	v = &v[x->nabsent++];
	*v = (struct ways_absent){ .list = x->list, .way = way, .event = event };
	snprintf(v->id, sizeof(v->id), "%s", id);
	return 0;
}

/* way.down: if something of it was recorded, it is somewhere. */
static int64_t way_down(struct ways *x, const struct event_row *e, const json_t *detail)
{
	const int64_t way = json_integer_value(json_object_get(detail, "way"));

	for (size_t i = 0; i < x->nabsent; i++) {
		struct ways_absent *a = &x->absent[i];

		if (a->list != x->list || a->way != way)
			continue;
		if (json_integer_value(json_object_get(detail, "frames")) <= 0) {
			*a = x->absent[--x->nabsent];
			return 0;
		}
		fprintf(stderr, "bastion-replay: recording %s: event %lld names it, event %lld says that it was written, and it is neither here nor "
		    "was it removed in its time: look at the other collectors' stores, with --also\n", a->id, (long long)a->event, (long long)e->id);
		*a = x->absent[--x->nabsent];
		return 1;
	}
	return 0;
}

/* Of a bastion before it said the hash: the event accuses nobody, and its recording is only named. */
static void plain(struct ways *x, const char *id, int64_t at)
{
	struct ways_list *l = &x->lists[x->list];
	uint8_t raw[BREC_ID_LEN];

	if (at > l->from)
		l->from = at;
	if (id == NULL || hex_decode(raw, sizeof(raw), id) != 0)
		return;
	for (struct way_recording *r = find(x, raw); r != NULL && same_id(x, r, raw); r++) {
		r->named = true;
		r->opens = false;
	}
}

static int64_t way_up(struct ways *x, const struct event_row *e, const json_t *detail)
{
	const char *id = json_string_value(json_object_get(detail, "recording")), *hash = json_string_value(json_object_get(detail, "metadata"));
	uint8_t want[HASH_LEN], raw[BREC_ID_LEN];
	struct way_recording *r;
	int64_t faults = 0;
	char line[200];

	if (hash == NULL) {
		plain(x, id, e->at);
		return 0;
	}
	if (id == NULL || hex_decode(want, sizeof(want), hash) != 0 || hex_decode(raw, sizeof(raw), id) != 0) {
		fprintf(stderr, "bastion-replay: event %lld names no recording\n", (long long)e->id);
		return 1;
	}
	/* of a break-glass session: in a store of its own, see replay_apart.h */
	if ((r = find(x, raw)) == NULL)
		return json_object_get(detail, "store") != NULL ? 0 :
		    absent(x, json_integer_value(json_object_get(detail, "way")), e->id, id);
	for (; same_id(x, r, raw); r++) {
		r->named = true;
		if (!r->opens || (r->described && memcmp(want, r->meta, sizeof(want)) == 0))
			continue;
		snprintf(line, sizeof(line), "its metadata are not those that event %lld names", (long long)e->id);
		faults += fault(r->id, line);
	}
	return faults;
}

int64_t ways_event(struct ways *x, const struct event_row *e)
{
	struct ways_list *l = &x->lists[x->list];
	int64_t faults = 0;
	json_t *detail;

	if (l->to == 0)
		l->from = e->at;
	if (e->at > l->to)
		l->to = e->at;
	if (strcmp(e->kind, "way.up") != 0 && strcmp(e->kind, "way.down") != 0)
		return 0;
	detail = json_loads(e->detail, 0, NULL);
	faults = strcmp(e->kind, "way.up") == 0 ? way_up(x, e, detail) : way_down(x, e, detail);
	json_decref(detail);
	return faults;
}

/* The events by which a recording is judged; NULL: its bastion's are not here. A key that is new may have signed none yet. */
static const struct ways_list *list_of(const struct ways *x, const struct way_recording *r)
{
	for (size_t i = 0; i < x->nsigners; i++)
		if (memcmp(x->signers[i].key, r->signer, HASH_LEN) == 0)
			return &x->lists[x->signers[i].list];
	return x->nlists == 1 ? &x->lists[0] : NULL;
}

static void say_count(uint64_t n, const char *what)
{
	if (n > 0)
		fprintf(stderr, ", %llu %s", (unsigned long long)n, what);
}

int64_t ways_conclude(const struct ways *x)
{
	uint64_t held = 0, closed = 0, young = 0, old = 0, strange = 0;
	int64_t faults = 0;

	for (size_t i = 0; i < x->nabsent && i < ABSENT_SHOWN; i++)
		fprintf(stderr, "bastion-replay: event %lld names recording %s, which is not here: it did not begin, or goes on elsewhere\n",
		    (long long)x->absent[i].event, x->absent[i].id);
	for (size_t i = 0; i < x->n; i++) {
		const struct way_recording *r = &x->v[i];
		const struct ways_list *l = list_of(x, r);

		if (r->named)
			*(r->opens ? &held : &closed) += 1;
		else if (r->events)
			continue;
		else if (l == NULL)
			strange++;
		else if (l->to == 0 || r->at < l->from)
			old++;
		else if (r->at + LATE_S >= l->to)
			young++;
		else
			faults += fault(r->id, "no event says who reached what with it");
	}
	fprintf(stderr, "recordings of sessions: %llu held against the event that names them", (unsigned long long)held);
	say_count(closed, "only named: the identity does not open them, or the event has no hash");
	say_count(young, "too new to have an event here");
	say_count(old, "older than the events");
	say_count(strange, "of a bastion whose events are not here");
	say_count(x->nabsent, "named and not here");
	fputc('\n', stderr);
	return faults;
}

void ways_finish(struct ways *x)
{
	free(x->v);
	free(x->lists);
	free(x->signers);
	free(x->absent);
	for (size_t i = 0; i < x->nstores; i++)
		logs_finish(&x->logs[i]);
	*x = (struct ways){ 0 };
}
