/*
 * replay_events.c - `bastion-replay events`: what happened on a bastion, from its recordings of events,
 * and whether one is missing or was changed.
 *
 * Recordings of events are told by their metadata, sorted by bastion-record(5)'s order, verified
 * (brec_verify.h), read, and put together (event_chain.h); the recordings of sessions are held
 * against them (replay_ways.h). Events go to standard output, what is wrong
 * and the result to standard error.
 */
#include "replay_apart.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "escape.h"
#include "event_chain.h"
#include "hex.h"
#include "replay_term.h"

#define YOUNG_S (90LL * 86400)	/* younger than this, nothing may have been pruned at a collector */

/* A recording of events, by its metadata. */
struct source {
	const struct recording *rec;
	char log[33], bastion[128];
	int64_t number;			/* it begins behind this event, */
	uint8_t hash[EVENT_HASH_LEN];	/* which has this hash, */
	char before[2 * BREC_ID_LEN + 1]; /* and is in this recording; "": the first one */
	uint8_t signer[HASH_LEN];	/* the bastion's key */
	bool counts;			/* its signatures hold */
};

struct run {
	struct args *args;
	struct age_identities ids;
	struct trust trust;
	struct event_chain chain;
	struct apart apart;
	struct ways ways;
	struct progress bar;
	size_t done, sources;		/* recordings of events that were read, of so many */
	uint64_t shown, faults;
	uint64_t broken;		/* of the faults: of the list that is read, whose events are not as they were written */
	bool removed;			/* some of its events are, when their retention was over */
	int64_t first, first_at;	/* number and time of the first event; 0: none yet */
};

/* --- one event --- */

bool audit_decode(struct audit *a, const struct brec_event *e)
{
	return e->kind == BREC_K_AUDIT && event_row_get(&a->row, &a->text, a->hash, e->data, e->len) == 0;
}

char *audit_line(const struct audit *a, char *out, size_t size)
{
	char at[32], kind[4 * EVENT_KIND_MAX + 8], actor[4 * EVENT_ACTOR_MAX + 8], subject[4 * EVENT_ACTOR_MAX + 8];
	const struct event_row *e = &a->row;
	size_t n;

	esc_line(kind, sizeof(kind), e->kind, strlen(e->kind));
	esc_line(actor, sizeof(actor), e->actor, strlen(e->actor));
	esc_line(subject, sizeof(subject), e->subject, strlen(e->subject));
	text_time(at, sizeof(at), e->at < INT64_MAX / 1000000 ? e->at * 1000000 : 0);
	n = (size_t)snprintf(out, size, "%lld  %s  %-16s %s%s%s  ", (long long)e->id, at, kind, actor,
	    subject[0] != '\0' ? " > " : "", subject);
	if (n < size)
		esc_line(out + n, size - n, e->detail, strlen(e->detail));
	for (n = strlen(out); n > 0 && out[n - 1] == ' '; n--)
		out[n - 1] = '\0';
	return out;
}

json_t *audit_json(const struct audit *a)
{
	const struct event_row *e = &a->row;
	char hex[2 * EVENT_HASH_LEN + 1];
	json_t *detail = json_loads(e->detail, 0, NULL);

	if (detail == NULL)
		detail = json_bytes(e->detail, strlen(e->detail));
	return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:s}", "number", (json_int_t)e->id, "at", (json_int_t)e->at,
	    "kind", json_bytes(e->kind, strlen(e->kind)), "actor", json_bytes(e->actor, strlen(e->actor)), "subject",
	    json_bytes(e->subject, strlen(e->subject)), "detail", detail, "hash",
	    hex_encode(hex, a->hash, sizeof(a->hash)));
}

static void fault(struct run *run, const struct source *s, const char *what)
{
	run->faults++;
	progress_hide();
	fprintf(stderr, "bastion-replay: recording %s: %s\n", s->rec->id, what);
}

/* The list of events is not as it was written. */
static void broken(struct run *run, const struct source *s, const char *what)
{
	run->broken++;
	fault(run, s, what);
}

/* --- which recordings --- */

bool meta_is_events(const json_t *meta)
{
	const char *kind = json_string_value(json_object_get(meta, "kind"));

	return kind != NULL && strcmp(kind, "events") == 0;
}

/* Those of bastion-record(5), and none that a session's have: list and search would show its recording in somebody's name. */
static bool members_fit(const json_t *meta)
{
	static const char *const names[] = { "v", "kind", "recording", "bastion", "started", "log", "first", "after" };
	size_t n = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		n += json_object_get(meta, names[i]) != NULL;
	return n == json_object_size(meta);
}

static bool read_source(struct source *s, const struct recording *rec, const struct scan *scan)
{
	const json_t *meta = scan->meta, *after = json_object_get(meta, "after");
	const char *hash = json_string_value(json_object_get(after, "hash"));

	*s = (struct source){ .rec = rec };
	s->number = json_integer_value(json_object_get(after, "number"));
	memcpy(s->signer, scan->info.signer, sizeof(s->signer));
	meta_text(meta, "bastion", s->bastion, sizeof(s->bastion));
	meta_text(after, "recording", s->before, sizeof(s->before));
	return members_fit(meta) && s->number >= 0 && hash != NULL && hex_decode(s->hash, sizeof(s->hash), hash) == 0 &&
	    strlen(meta_text(meta, "log", s->log, sizeof(s->log))) == sizeof(s->log) - 1;
}

static int by_order(const void *a, const void *b)
{
	const struct source *x = a, *y = b;
	int r = strcmp(x->log, y->log);

	if (r == 0)
		r = (x->number > y->number) - (x->number < y->number);
	return r != 0 ? r : (x->rec->wall_us > y->rec->wall_us) - (x->rec->wall_us < y->rec->wall_us);
}

static void show_bar(struct run *run, size_t done, size_t all)
{
	char count[64];

	snprintf(count, sizeof(count), "%zu of %zu", done, all);
	progress_at(&run->bar, done, all, count);
}

/* Takes it for one of events, to *v, or of a session. counts: events of this store do. 1 of events, 0, or -1 with errno. */
static int sort_out(struct run *run, const struct recording *rec, struct source *v, bool counts)
{
	bool events = false;
	struct scan s;
	int r;

	if (scan_recording(&s, rec->dir, &run->ids, true) != 0)
		return ways_add(&run->ways, rec, NULL, NULL, false);
	if (meta_is_events(s.meta) && !(events = read_source(v, rec, &s)))
		fault(run, v, "it says that it is of events, and not of which: it does not count");
	r = ways_add(&run->ways, rec, &s, events ? v->log : NULL, events && counts);
	scan_finish(&s);
	return r != 0 ? -1 : events;
}

/* The stores of other collectors: their recordings of sessions count, of events those of the first store do. */
static int add_others(struct run *run)
{
	struct recordings all;
	struct source none;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < run->args->nalso; i++) {
		run->ways.logs[run->ways.nstores].trust = &run->trust;
		run->ways.stores[run->ways.nstores++] = run->args->also[i];
		if (store_scan(&all, run->args->also[i]) != 0)
			return -1;
		progress_begin(&run->bar, "look through");
		for (size_t k = 0; r >= 0 && k < all.n; k++) {
			show_bar(run, k, all.n);
			r = sort_out(run, &all.v[k], &none, false);
		}
		progress_end(&run->bar);
		recordings_finish(&all);
		r = r < 0 ? -1 : 0;
	}
	if (r != 0)
		fprintf(stderr, "bastion-replay: %s\n", strerror(errno));
	return r;
}

static struct source *find_sources(struct run *run, const struct recordings *all, size_t *n)
{
	struct source *v = calloc(all->n > 0 ? all->n : 1, sizeof(*v));

	*n = 0;
	progress_begin(&run->bar, "look through");
	for (size_t i = 0; v != NULL && i < all->n; i++) {
		show_bar(run, i, all->n);
		const int r = sort_out(run, &all->v[i], &v[*n], true);

		if (r < 0) {
			free(v);
			v = NULL;
		}
		*n += r > 0;
	}
	progress_end(&run->bar);
	if (v == NULL) {
		fprintf(stderr, "bastion-replay: %s\n", strerror(errno));
		return NULL;
	}
	qsort(v, *n, sizeof(*v), by_order);
	ways_ready(&run->ways);
	return v;
}

/* --- putting them together --- */

static void judge(struct run *run, const struct source *s, enum event_verdict v, int64_t number)
{
	char line[200];

	switch (v) {
	case EVENT_NEXT:
	case EVENT_TWICE:
		return;
	case EVENT_MISSING:
		snprintf(line, sizeof(line), "the events %lld to %lld are missing", (long long)run->chain.missing,
		    (long long)number - 1);
		break;
	case EVENT_CHANGED:
		snprintf(line, sizeof(line), "the hash of event %lld does not follow from the one before: the bastion's "
			"database was changed there, or before", (long long)number);
		break;
	case EVENT_OTHER:
		snprintf(line, sizeof(line), "event %lld is another one than in the recordings before: the bastion's "
			"database was changed, or restored from a backup", (long long)number);
		break;
	case EVENT_OLD:
		snprintf(line, sizeof(line), "event %lld comes a second time, too late to be compared", (long long)number);
	}
	broken(run, s, line);
}

static bool passes(const struct args *a, const struct event_row *e)
{
	return e->at >= a->since && e->at < a->until &&
	    (a->user == NULL || strcmp(a->user, e->actor) == 0 || strcmp(a->user, e->subject) == 0);
}

static int put_event(struct run *run, const struct source *s, const struct brec_event *event)
{
	char line[4 * EVENT_ROW_MAX];
	struct audit a;
	enum event_verdict v;

	if (!audit_decode(&a, event)) {
		if (event->kind == BREC_K_AUDIT)
			broken(run, s, "an event in it is malformed");
		return 0;
	}
	v = event_chain_add(&run->chain, &a.row, a.hash);
	judge(run, s, v, a.row.id);
	if (run->apart.dir != NULL)
		run->faults += (uint64_t)apart_event(&run->apart, s->log, &a.row, a.hash);
	if (v != EVENT_TWICE && v != EVENT_OLD) {
		const int64_t faults = ways_event(&run->ways, &a.row);

		if (faults < 0) {
			fprintf(stderr, "bastion-replay: %s\n", strerror(errno));
			return -1;
		}
		run->faults += (uint64_t)faults;
	}
	if (run->first == 0) {
		run->first = a.row.id;
		run->first_at = a.row.at;
	}
	if (v == EVENT_TWICE || v == EVENT_OLD || !passes(run->args, &a.row))
		return 0;
	run->shown++;
	if (run->args->json)
		return json_line(audit_json(&a));
	return puts(audit_line(&a, line, sizeof(line))) == EOF ? -1 : 0;
}

/* What anybody could have encrypted to the auditors counts only when a known bastion signed it. */
static bool believed(struct run *run, const struct source *s)
{
	struct brec_trust view = trust_view(&run->trust);
	struct brec_report report;
	char line[500];

	if (brec_verify_dir(s->rec->dir, &view, &report) <= BREC_CUT || report.verdict == BREC_OPEN)
		return true;
	snprintf(line, sizeof(line), "%s: %s; it does not count", brec_verdict_name(report.verdict), report.reason);
	fault(run, s, line);
	return false;
}

/*
 * It begins where the one before ended; or those between are not here. Each was over before the next one opened, so when the last of them was
 * removed in its time, so could the others be: one that is older stays where it is on hold, or was never closed. 0, or -1 with errno.
 */
static int begin_events(struct run *run, const struct source *s)
{
	const enum event_verdict v = event_chain_begin(&run->chain, s->number, s->hash);

	if (v != EVENT_MISSING || !ways_pruned(&run->ways, s->before)) {
		judge(run, s, v, s->number + 1);
		return 0;
	}
	run->removed = true;
	progress_hide();
	fprintf(stderr, "bastion-replay: the events %lld to %lld were removed when their retention was over\n", (long long)run->chain.missing,
	    (long long)s->number);
	return ways_gap(&run->ways);
}

static int read_events(struct run *run, struct source *s)
{
	char err[512];
	struct brec_reader *r;
	struct brec_item it;
	int n = 0, status = 0;

	if (!(s->counts = believed(run, s)))
		return 0;
	if (ways_begin(&run->ways, s->log, s->signer) != 0 || begin_events(run, s) != 0) {
		fprintf(stderr, "bastion-replay: %s\n", strerror(errno));
		return -1;
	}
	if ((r = brec_reader_open(s->rec->dir, &run->ids, err, sizeof(err))) == NULL) {
		broken(run, s, err);
		return 0;
	}
	while (status == 0 && (n = brec_reader_next(r, &it)) == 1)
		if (it.type == BREC_ITEM_EVENT)
			status = put_event(run, s, &it.event);
	if (n < 0)
		broken(run, s, brec_reader_error(r));
	brec_reader_close(r);
	return status;
}

static void conclude(struct run *run, const struct source *s)
{
	const uint8_t *head = event_chain_hash(&run->chain, run->chain.next - 1);
	const char *state = run->broken > 0 ? "NOT as they were written" :
	    run->removed ? "whole and unchanged but for those that were removed in their time" : "whole and unchanged";
	char hex[2 * EVENT_HASH_LEN + 1];

	if (run->first > 1 && run->first_at > time(NULL) - YOUNG_S)
		judge(run, s, EVENT_MISSING, run->first);
	else if (run->first > 1)
		fprintf(stderr, "bastion-replay: the events before number %lld are older than any collector must keep "
			"them, and not in this store\n", (long long)run->first);
	if (head == NULL || run->first == 0)
		return;
	fprintf(stderr, "%s: events %lld to %lld, %s. Head: %lld %s\n", s->bastion, (long long)run->first,
	    (long long)run->chain.next - 1, state, (long long)run->chain.next - 1, hex_encode(hex, head, EVENT_HASH_LEN));
}

/* The recordings of one bastion's list. 0, or -1: standard output or memory failed. */
static int run_log(struct run *run, struct source *s, size_t n)
{
	int r = 0;

	run->first = 0;
	run->broken = 0;
	run->removed = false;
	if (event_chain_init(&run->chain) != 0) {
		fprintf(stderr, "bastion-replay: %s\n", strerror(errno));
		return -1;
	}
	for (size_t i = 0; r == 0 && i < n; i++) {
		show_bar(run, run->done++, run->sources);
		r = read_events(run, &s[i]);
	}
	progress_hide();
	if (r == 0) {
		run->chain.missing = 1;
		conclude(run, &s[n - 1]);
	}
	event_chain_finish(&run->chain);
	return r;
}

static int by_signer(const void *a, const void *b)
{
	const struct source *x = a, *y = b;
	int r = memcmp(x->signer, y->signer, sizeof(x->signer));

	return r != 0 ? r : strcmp(x->log, y->log);
}

/* A bastion has one list. A session that was taken over can invent another, and its own bastion signs that. v is sorted anew. */
static void judge_signers(struct run *run, struct source *v, size_t n)
{
	const struct source *last = NULL;
	char line[200];

	qsort(v, n, sizeof(*v), by_signer);
	for (size_t i = 0; i < n; i++) {
		if (!v[i].counts)
			continue;
		if (last != NULL && memcmp(last->signer, v[i].signer, sizeof(last->signer)) == 0 && strcmp(last->log, v[i].log) != 0) {
			snprintf(line, sizeof(line), "the same bastion signed events of another list in recording %s: one of both is not its "
			    "own, or its database was made anew", last->rec->id);
			fault(run, &v[i], line);
		}
		last = &v[i];
	}
}

static int run_all(struct run *run, struct source *v, size_t n)
{
	size_t from = 0;
	int r = 0;

	if (n > 0 && !run->args->json)
		pager_start();
	if (n == 0) {
		fprintf(stderr, "bastion-replay: the store has no recording of events that the identity opens\n");
		return EXIT_UNREADABLE;
	}
	run->sources = n;
	progress_begin_writing(&run->bar, "read");
	for (size_t i = 1; r == 0 && i <= n; i++)
		if (i == n || strcmp(v[i].log, v[from].log) != 0) {
			r = run_log(run, v + from, i - from);
			from = i;
		}
	progress_end(&run->bar);
	if (r != 0)
		return EXIT_UNREADABLE;
	if (run->apart.dir != NULL)
		run->faults += (uint64_t)apart_conclude(&run->apart);
	run->faults += (uint64_t)ways_conclude(&run->ways);
	judge_signers(run, v, n);
	return run->faults == 0 ? EXIT_OK : EXIT_VERDICT;
}

int cmd_events(struct args *a)
{
	struct run run = { .args = a, .ways = { .stores = { a->store }, .nstores = 1, .logs = { { .trust = &run.trust } } } };
	struct recordings all;
	struct source *v;
	int status = EXIT_UNREADABLE;
	int64_t faults = 0;
	size_t n;

	if (keys_trust(&run.trust, a) != 0 || keys_identity(&run.ids, a, true) != 0)
		return EXIT_UNREADABLE;
	if (a->apart != NULL && (faults = apart_open(&run.apart, a->apart, &run.ids, &run.trust, &run.ways)) >= 0)
		run.faults = (uint64_t)faults;
	if (faults >= 0 && add_others(&run) == 0 && store_scan(&all, a->store) == 0) {
		if ((v = find_sources(&run, &all, &n)) != NULL)
			status = run_all(&run, v, n);
		free(v);
		recordings_finish(&all);
	}
	apart_finish(&run.apart);
	ways_finish(&run.ways);
	age_identities_finish(&run.ids);
	return status;
}
