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
#include <strings.h>

#include "hex.h"
#include "replay_term.h"

#define LATE_S 60
#define ABSENT_SHOWN 20		/* lines; the rest is a number */

/* Room for one more element of a vector that has n of them, doubled at each power of two. NULL with errno. */
static void *grown(void *v, size_t n, size_t size)
{
	return n > 0 && (n & (n - 1)) != 0 ? v : reallocarray(v, n > 0 ? 2 * n : 1, size);
}

int ways_add(struct ways *x, const struct recording *rec, const struct scan *s, const char *log, bool counts)
{
	struct way_recording *v = grown(x->v, x->n, sizeof(*v)), *r;

	if (v == NULL)
		return -1;
	x->v = v;
	r = &v[x->n];
	*r = (struct way_recording){ .at = rec->wall_us / 1000000, .counts = counts, .opens = s != NULL && s->opens,
		.silent = s == NULL || s->silent };
	if (hex_decode(r->id, sizeof(r->id), rec->id) != 0)
		return 0;	/* no recording's name */
	if (log != NULL && (r->log = strdup(log)) == NULL)
		return -1;
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

	progress_hide();
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

bool ways_pruned(struct ways *x, const char *id)
{
	for (size_t i = 0; i < x->nstores; i++)
		if (logs_pruned(&x->logs[i], x->stores[i], id))
			return true;
	return false;
}

int ways_gap(struct ways *x)
{
	const struct ways_list *l = &x->lists[x->list];
	struct ways_gap *v;

	if (l->to == 0)	/* what was before the first one is not judged anyway */
		return 0;
	if ((v = grown(x->gaps, x->ngaps, sizeof(*v))) == NULL)
		return -1;
	x->gaps = v;
	v[x->ngaps++] = (struct ways_gap){ .list = x->list, .from = l->to, .to = INT64_MAX };
	return 0;
}

static int order(const struct ways_absent *a, size_t list, int64_t way)
{
	return a->list != list ? (a->list > list) - (a->list < list) : (a->way > way) - (a->way < way);
}

/* Its recording is not here: what that means is known when all events came. 0, or -1 with errno. */
static int absent(struct ways *x, int64_t way, int64_t event, const char *id)
{
	struct ways_absent *v;
	size_t at = x->nabsent;

	if (ways_pruned(x, id))
		return 0;
	if ((v = grown(x->absent, x->nabsent, sizeof(*v))) == NULL)
		return -1;
	x->absent = v;
	x->nabsent++;
	/* they come in this order, unless the bastion's database was put back */
	for (; at > 0 && order(&v[at - 1], x->list, way) > 0; at--)
		v[at] = v[at - 1];
	v[at] = (struct ways_absent){ .list = x->list, .way = way, .event = event, .frames = -1 };
	snprintf(v[at].id, sizeof(v->id), "%s", id);
	return 0;
}

/* Of the way whose end it is, what it says was written. */
static void way_down(struct ways *x, const struct event_row *e, const json_t *detail)
{
	const int64_t way = json_integer_value(json_object_get(detail, "way"));
	const json_t *frames = json_object_get(detail, "frames");
	size_t low = 0, high = x->nabsent;

	while (low < high) {
		const size_t mid = low + (high - low) / 2;

		if (order(&x->absent[mid], x->list, way) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	/* the last one that had this number and is not over */
	for (struct ways_absent *a; low > 0 && order(a = &x->absent[low - 1], x->list, way) == 0; low--)
		if (a->down == 0) {
			a->down = e->id;
			a->frames = json_is_integer(frames) ? json_integer_value(frames) : -1;
			return;
		}
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
		progress_hide();
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

	/* what opened at the end of what is removed has its event there, and may be a little later than that */
	if (l->to == 0)
		l->from = e->id > 1 ? e->at + LATE_S : e->at;
	else if (x->ngaps > 0 && x->gaps[x->ngaps - 1].to == INT64_MAX)
		x->gaps[x->ngaps - 1].to = e->at + LATE_S;
	if (e->at > l->to)
		l->to = e->at;
	if (strcmp(e->kind, "way.up") != 0 && strcmp(e->kind, "way.down") != 0)
		return 0;
	detail = json_loads(e->detail, 0, NULL);
	if (strcmp(e->kind, "way.up") == 0)
		faults = way_up(x, e, detail);
	else
		way_down(x, e, detail);
	json_decref(detail);
	return faults;
}

/* Are all events that may be meant of one list? A recording of events at another collector may be of a bastion that sends nothing here. */
static bool one_list(const struct ways *x)
{
	if (x->nlists != 1)
		return false;
	for (size_t i = 0; i < x->n; i++)
		if (x->v[i].log != NULL && strcmp(x->v[i].log, x->lists[0].log) != 0)
			return false;
	return true;
}

/*
 * The events by which a recording is judged; NULL: its bastion's are not here. A key that is new may have signed none yet; what the identity
 * does not open may be of a bastion whose recordings of events it does not open either.
 */
static const struct ways_list *list_of(const struct ways *x, const struct way_recording *r, bool one)
{
	for (size_t i = 0; i < x->nsigners; i++)
		if (memcmp(x->signers[i].key, r->signer, HASH_LEN) == 0)
			return &x->lists[x->signers[i].list];
	return one && r->opens ? &x->lists[0] : NULL;
}

static bool in_gap(const struct ways *x, const struct ways_list *l, int64_t at)
{
	for (size_t i = 0; i < x->ngaps; i++)
		if (&x->lists[x->gaps[i].list] == l && at >= x->gaps[i].from && at < x->gaps[i].to)
			return true;
	return false;
}

/* Is it of the events that were read? A session that was taken over can call its own so, at a collector whose events are not read. */
static bool of_events(const struct way_recording *r, const struct ways_list *l)
{
	return r->log != NULL && (r->counts || (l != NULL && strcmp(r->log, l->log) == 0));
}

static void say_count(uint64_t n, const char *what)
{
	if (n > 0)
		fprintf(stderr, ", %llu %s", (unsigned long long)n, what);
}

static int by_name(const void *a, const void *b)
{
	return strcasecmp(((const struct recording *)a)->id, ((const struct recording *)b)->id);
}

/* A store may be in use: what began and ended since it was looked through is there by now. */
static void look_again(struct ways *x)
{
	struct recordings now;
	struct recording key = { .dir = NULL };

	for (size_t i = 0; i < x->nstores && x->nabsent > 0; i++) {
		if (store_names(&now, x->stores[i]) != 0)
			continue;	/* said; and nothing is excused */
		if (now.n > 0)
			qsort(now.v, now.n, sizeof(*now.v), by_name);
		for (size_t k = 0; k < x->nabsent && now.n > 0; k++) {
			snprintf(key.id, sizeof(key.id), "%s", x->absent[k].id);
			x->absent[k].here |= bsearch(&key, now.v, now.n, sizeof(*now.v), by_name) != NULL;
		}
		recordings_finish(&now);
	}
}

/* Which ways have no recording? How many faults; *came: recordings that came meanwhile, *open: those of which nobody says that there is one. */
static int64_t judge_absent(struct ways *x, uint64_t *came, uint64_t *open)
{
	int64_t faults = 0;

	look_again(x);
	for (size_t i = 0; i < x->nabsent; i++) {
		const struct ways_absent *a = &x->absent[i];

		if (a->here) {
			++*came;
		} else if (a->frames > 0) {
			faults++;
			fprintf(stderr, "bastion-replay: recording %s: event %lld names it, event %lld says that it was written, and it is neither "
			    "here nor was it removed in its time: look at the other collectors' stores, with --also\n", a->id, (long long)a->event,
			    (long long)a->down);
		} else if (++*open <= ABSENT_SHOWN) {
			fprintf(stderr, "bastion-replay: event %lld names recording %s, which is not here: %s\n", (long long)a->event, a->id,
			    a->down == 0 ? "it did not begin, or goes on elsewhere" :
			    a->frames < 0 ? "its session ended without a word of what was written" :
			    "its session said that nothing was written");
		}
	}
	return faults;
}

int64_t ways_conclude(struct ways *x)
{
	uint64_t held = 0, closed = 0, young = 0, old = 0, gone = 0, strange = 0, silent = 0, came = 0, open = 0;
	int64_t faults = judge_absent(x, &came, &open);
	const bool one = one_list(x);

	for (size_t i = 0; i < x->n; i++) {
		const struct way_recording *r = &x->v[i];
		const struct ways_list *l = list_of(x, r, one);

		if (r->named)
			*(r->opens ? &held : &closed) += 1;
		else if (of_events(r, l))
			continue;
		else if (r->silent)
			silent++;
		else if (l == NULL)
			strange++;
		else if (l->to == 0 || r->at < l->from)
			old++;
		else if (in_gap(x, l, r->at))
			gone++;
		else if (r->at + LATE_S >= l->to)
			young++;
		else
			faults += fault(r->id, "no event says who reached what with it");
	}
	fprintf(stderr, "recordings of sessions: %llu held against the event that names them", (unsigned long long)held);
	say_count(closed, "only named: the identity does not open them, or the event has no hash");
	say_count(young, "too new to have an event here");
	say_count(came, "that came while this looked");
	say_count(old, "older than the events");
	say_count(gone, "of a time whose events were removed");
	say_count(silent, "in which nothing stands or can be read");
	say_count(strange, "of a bastion whose events are not here");
	say_count(open, "named and not here");
	fputc('\n', stderr);
	return faults;
}

void ways_finish(struct ways *x)
{
	for (size_t i = 0; i < x->n; i++)
		free(x->v[i].log);
	free(x->v);
	free(x->lists);
	free(x->signers);
	free(x->gaps);
	free(x->absent);
	for (size_t i = 0; i < x->nstores; i++)
		logs_finish(&x->logs[i]);
	*x = (struct ways){ 0 };
}
