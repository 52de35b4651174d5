/*
 * replay_apart.c - see replay_apart.h. Runs in bastion-replay, under replay_events.c.
 */
#include "replay_apart.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "escape.h"
#include "hex.h"
#include "replay_term.h"

#define YOUNG_S (90LL * 86400)	/* younger than this, nothing may have been pruned at a collector */

static int64_t fault(const struct apart *x, const char *id, const char *what)
{
	char dir[REPLAY_TEXT_MAX];

	esc_quoted(dir, sizeof(dir), x->dir, strlen(x->dir));
	progress_hide();
	fprintf(stderr, "bastion-replay: recording %s of %s: %s\n", id, dir, what);
	return 1;
}

/* What of its metadata counts here. NULL, or what is wrong with them. */
static const char *read_meta(struct apart_recording *r, const json_t *meta)
{
	const json_t *events = json_object_get(meta, "events");
	const char *store = json_string_value(json_object_get(meta, "store")), *hash = json_string_value(json_object_get(events, "hash"));

	if (store == NULL || strcmp(store, "break-glass") != 0)
		return "it is not of a break-glass session, and does not belong there";
	r->number = json_integer_value(json_object_get(events, "number"));
	if (r->number <= 0 || hash == NULL || hex_decode(r->hash, sizeof(r->hash), hash) != 0 ||
	    strlen(meta_text(events, "log", r->log, sizeof(r->log))) != sizeof(r->log) - 1)
		return "its metadata name no event";
	return NULL;
}

/* Verified, opened, and put into the list. How many faults. */
static int64_t add(struct apart *x, const struct recording *rec, const struct age_identities *ids, const struct trust *trust, struct ways *ways)
{
	struct brec_trust view = trust_view(trust);
	struct apart_recording *r = &x->v[x->n];
	struct brec_report report;
	const char *wrong = "the identity does not open it";
	char line[500];
	struct scan s;

	view.log = logs_read(&x->logs, x->dir, false);
	if (brec_verify_dir(rec->dir, &view, &report) > BREC_CUT && report.verdict != BREC_OPEN) {
		if (report.verdict == BREC_PRUNED || (report.empty && logs_pruned(&x->logs, x->dir, rec->id)))
			return 0;
		snprintf(line, sizeof(line), "%s: %s; it does not count", brec_verdict_name(report.verdict), report.reason);
		return fault(x, rec->id, line);
	}
	if (scan_recording(&s, rec->dir, ids, true) == 0) {
		if (s.meta != NULL)
			wrong = read_meta(r, s.meta);
		if (ways_add(ways, rec, &s, NULL, false) != 0)
			wrong = strerror(errno);
		scan_finish(&s);
	}
	if (wrong != NULL)
		return fault(x, rec->id, wrong);
	memcpy(r->id, rec->id, sizeof(r->id));
	r->young = rec->wall_us / 1000000 > time(NULL) - YOUNG_S;
	x->n++;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct apart_recording *r = a, *s = b;

	return (r->number > s->number) - (r->number < s->number);
}

int64_t apart_open(struct apart *x, const char *dir, const struct age_identities *ids, const struct trust *trust, struct ways *ways)
{
	struct recordings all;
	struct progress bar;
	int64_t faults = 0;

	*x = (struct apart){ .dir = dir, .logs = { .trust = trust } };
	if (store_scan(&all, dir) != 0)
		return -1;
	if ((x->v = calloc(all.n + 1, sizeof(*x->v))) == NULL) {
		fprintf(stderr, "bastion-replay: %s\n", strerror(errno));
		recordings_finish(&all);
		return -1;
	}
	progress_begin(&bar, "verify");
	for (size_t i = 0; i < all.n; i++) {
		progress_at(&bar, i, all.n, "");
		faults += add(x, &all.v[i], ids, trust, ways);
	}
	progress_end(&bar);
	recordings_finish(&all);
	qsort(x->v, x->n, sizeof(*x->v), by_number);
	return faults;
}

static struct apart_recording *find_id(const struct apart *x, const char *id)
{
	for (size_t i = 0; i < x->n; i++)
		if (strcmp(x->v[i].id, id) == 0)
			return &x->v[i];
	return NULL;
}

/* break-glass.store: the recording that it names has to be there. */
static int64_t find_named(struct apart *x, const struct event_row *e)
{
	json_t *detail = json_loads(e->detail, 0, NULL);
	const char *id = json_string_value(json_object_get(detail, "recording"));
	struct apart_recording *r = id != NULL ? find_id(x, id) : NULL;
	int64_t faults = 0;
	char safe[64], line[200];

	if (r != NULL) {
		r->named = true;
	} else if (id == NULL || !logs_pruned(&x->logs, x->dir, id)) {
		esc_text(safe, sizeof(safe), id != NULL ? id : "?", id != NULL ? strnlen(id, 2 * BREC_ID_LEN) : 1);
		snprintf(line, sizeof(line), "event %lld says that it was made, and it is missing, or does not count", (long long)e->id);
		faults = fault(x, safe, line);
	}
	json_decref(detail);
	return faults;
}

int64_t apart_event(struct apart *x, const char *log, const struct event_row *e, const uint8_t hash[EVENT_HASH_LEN])
{
	size_t low = 0, high = x->n;
	int64_t faults = 0;
	char line[200];

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (x->v[mid].number < e->id)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < x->n && x->v[low].number == e->id; low++) {
		struct apart_recording *r = &x->v[low];

		if (strcmp(r->log, log) != 0 || r->met)
			continue;
		r->met = true;
		if (memcmp(r->hash, hash, EVENT_HASH_LEN) == 0)
			continue;
		snprintf(line, sizeof(line), "event %lld has another hash than when it opened: the bastion's database was changed there, or "
		    "before", (long long)e->id);
		faults += fault(x, r->id, line);
	}
	return strcmp(e->kind, "break-glass.store") == 0 ? faults + find_named(x, e) : faults;
}

int64_t apart_conclude(const struct apart *x)
{
	int64_t faults = 0;
	char line[200];

	for (size_t i = 0; i < x->n; i++) {
		const struct apart_recording *r = &x->v[i];

		if (!r->young || (r->met && r->named))
			continue;
		snprintf(line, sizeof(line), r->met ? "no event says that it was made" :
		    "event %lld, the last one when it opened, is not in the store: it did not arrive, or not yet", (long long)r->number);
		faults += fault(x, r->id, line);
	}
	if (faults == 0 && x->dir != NULL)
		fprintf(stderr, "recorded by the collectors for break-glass: %zu, each named by its event, and the events as it names them\n", x->n);
	return faults;
}

void apart_finish(struct apart *x)
{
	free(x->v);
	if (x->dir != NULL)
		logs_finish(&x->logs);
	x->v = NULL;
	x->n = 0;
}
