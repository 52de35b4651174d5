/*
 * replay_verify.c - `bastion-replay verify`: the verdict on each recording. Needs no identity, only
 * keys to believe.
 */
#include "replay_bucket.h"
#include "replay_missing.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "escape.h"
#include "hex.h"
#include "replay_term.h"
#include "tlog_stamp.h"

static void add_place(json_t *j, const struct brec_report *r)
{
	if (r->file[0] != '\0') {
		json_object_set_new(j, "file", json_string(r->file));
		json_object_set_new(j, "offset", json_integer((json_int_t)r->offset));
	}
	if (r->closed) {
		json_object_set_new(j, "end", json_string(brec_end_name(r->end)));
		json_object_set_new(j, "end_reason", json_string(r->end_reason));
	}
}

static int print_json(const struct recording *rec, const char *dir, const struct brec_report *r, const char *signer)
{
	char id[65];
	json_t *j = json_pack("{s:s, s:o, s:s, s:s, s:s?, s:s, s:I, s:I, s:I, s:I, s:I, s:b}", "id",
	    rec->id, "dir", dir != NULL ? json_bytes(dir, strlen(dir)) : json_null(), "verdict", brec_verdict_name(r->verdict), "reason", r->reason,
	    "signer", signer, "signer_id", hex_encode(id, r->signer, sizeof(r->signer)), "segments",
	    (json_int_t)r->segments, "last_seq", (json_int_t)r->last_seq, "signed_seq",
	    (json_int_t)r->signed_seq, "receipt_seq", (json_int_t)r->receipt_seq, "receipts",
	    (json_int_t)r->receipts, "closed", r->closed);

	if (j != NULL) {
		add_place(j, r);
		json_object_set_new(j, "log", json_string(brec_logged_name(r->logged)));
		json_object_set_new(j, "held", json_boolean(r->held));
	}
	return json_line(j);
}

static void print_text(FILE *out, const struct recording *rec, const struct brec_report *r, const char *signer)
{
	fprintf(out, "%s  %-12s", rec->id, brec_verdict_name(r->verdict));
	if (r->verdict != BREC_COMPLETE && r->reason[0] != '\0')
		fprintf(out, "  %s", r->reason);
	if (r->verdict != BREC_COMPLETE && r->file[0] != '\0')
		fprintf(out, " (%s, byte %llu)", r->file, (unsigned long long)r->offset);
	if (r->verdict == BREC_COMPLETE)
		fprintf(out, "  %llu frames, signed by %s%s%s", (unsigned long long)r->last_seq,
		    signer != NULL ? signer : "?",
		    r->receipt_seq >= r->last_seq ? ", receipt of the collector" : "",
		    r->logged == BREC_LOG_WHOLE ? ", in the log" : "");
	if (r->held)
		fprintf(out, ", on hold");
	fputc('\n', out);
}

/* ---- the list ---- */

struct judging {
	const struct args *args;
	const struct trust *trust;
	struct logs logs;
	struct mirror mirror;		/* of a store that was pulled: what the bucket had */
	const char *url;		/* of the bucket that is judged; NULL: none, the store is a directory */
	size_t all, good, pruned, open;	/* verdicts */
	size_t faults;			/* of the log itself */
	struct progress bar;
	FILE *out;			/* of a recording's line: standard output, or kept for the pager until all are judged */
};

/* An object of the bucket of which there is a version with other bytes: then the recording is not what it is said to be, whichever is true. */
static void weigh_versions(const struct judging *g, const char *dir, struct brec_report *r)
{
	const struct mirrored *m;
	char below[BUCKET_NAME_MAX + 1];
	const char *name = strrchr(dir, '/');

	while (name != NULL && name > dir && name[-1] != '/')
		name--;
	if (g->mirror.n == 0 || name == NULL || (size_t)snprintf(below, sizeof(below), "recordings/%s/", name) >= sizeof(below) ||
	    (m = mirror_differs(&g->mirror, below)) == NULL)
		return;
	snprintf(r->reason, sizeof(r->reason), "ALARM: the bucket has versions of %.40s with different bytes; by the oldest: %s",
	    m->name + strlen(below), brec_verdict_name(r->verdict));
	r->verdict = BREC_FORGED;
	r->file[0] = '\0';
}

/* Where it lies: in the bucket, if that is what is judged. */
static const char *shown_dir(const struct judging *g, const char *dir, char out[REPLAY_PATH_MAX])
{
	const size_t len = strlen(g->args->store);

	if (g->url == NULL || dir == NULL || strncmp(dir, g->args->store, len) != 0)
		return dir;
	snprintf(out, REPLAY_PATH_MAX, "%s%s", g->url, dir + len);
	return out;
}

static int print_row(const struct judging *g, const struct recording *rec, const struct brec_report *r)
{
	char dir[REPLAY_PATH_MAX];

	if (!g->args->json)
		print_text(g->out, rec, r, trust_signer(g->trust, r->signer));
	else if (print_json(rec, shown_dir(g, rec->dir, dir), r, trust_signer(g->trust, r->signer)) != 0)
		return -1;
	/* where no pager waits for them the results shall be seen as they come */
	fflush(stdout);
	return 0;
}

static int print_one(struct judging *g, const struct recording *rec, const struct brec_report *r)
{
	g->all++;
	g->good += r->verdict == BREC_COMPLETE;
	g->pruned += r->verdict == BREC_PRUNED;
	g->open += r->verdict == BREC_OPEN;
	return print_row(g, rec, r);
}

/* A verdict on the log, which is no recording. */
static void print_fault(struct judging *g, const struct recording *rec, const struct brec_report *r)
{
	g->faults++;
	print_row(g, rec, r);
}

static void show_bar(struct judging *g, size_t done, size_t all)
{
	const size_t bad = g->all - g->good - g->pruned - g->open;
	char count[96];
	const int n = snprintf(count, sizeof(count), "%zu of %zu", done, all);

	if (bad != 0)
		snprintf(count + n, sizeof(count) - (size_t)n, ", %zu %s", bad, bad == 1 ? "fails" : "fail");
	progress_at(&g->bar, done, all, count);
}

static int judge_list(struct judging *g, const struct recordings *list)
{
	struct brec_report r;

	for (size_t i = 0; i < list->n; i++) {
		show_bar(g, i, list->n);
		if (g->args->nids == 0)
			logs_verify(&g->logs, g->args->store, false, &list->v[i], &r);
		else
			logs_verify(&g->logs, list->v[i].dir, true, &list->v[i], &r);
		progress_clear(&g->bar);
		/* a bundle, or a directory of another name, says itself which recording it is */
		if (list->v[i].id[0] == '?')
			hex_encode(list->v[i].id, r.id, BREC_ID_LEN);
		weigh_versions(g, list->v[i].dir, &r);
		if (print_one(g, &list->v[i], &r) != 0)
			return -1;
	}
	return 0;
}

/* Behind a pager nobody would see how far this is: it starts when all are judged. */
static int verify_list(struct judging *g, const struct recordings *list)
{
	FILE *kept = NULL;
	char *text = NULL;
	size_t len = 0;
	int r;

	if (!g->args->json && pager_wanted() && (kept = open_memstream(&text, &len)) != NULL)
		g->out = kept;
	progress_begin(&g->bar, "verify");
	r = judge_list(g, list);
	progress_end(&g->bar);
	if (kept == NULL)
		return r;
	g->out = stdout;
	pager_start();
	if (fclose(kept) != 0)
		r = -1;
	else
		fwrite(text, 1, len, stdout); /* who leaves the pager early has the verdict all the same */
	free(text);
	return r;
}

/* A recording of which only the log knows. `judged`: it was here a while ago, and has its verdict; if it was removed in its time, that stays. */
static int print_missing(struct judging *g, const uint8_t id[BREC_ID_LEN], bool judged)
{
	struct brec_trust view = trust_view(g->trust);
	struct recording rec = { .dir = NULL };
	struct brec_report r = { .verdict = BREC_CUT, .logged = BREC_LOG_MISSING,
		.reason = "the whole recording is missing, and now its leaves, too, which the log had when this began" };
	const struct tlog_entry *leaves;
	size_t n;

	view.log = &g->logs.log;
	memcpy(r.id, id, BREC_ID_LEN);
	if ((leaves = tlog_find(view.log, id, &n)) != NULL && n != 0)
		brec_verify_missing(leaves, n, &view, &r);
	hex_encode(rec.id, id, BREC_ID_LEN);
	return judged && r.verdict == BREC_PRUNED ? 0 : print_one(g, &rec, &r);
}

static void print_stamp(const char *who, const char *name, const struct tlog_stamp *s)
{
	char when[64], shown[REPLAY_TEXT_MAX];

	esc_line(shown, sizeof(shown), name, strlen(name));
	if (s->when == 0)
		printf("  %s %s: nothing that holds", who, shown);
	else
		printf("  %s %s: %llu leaves, %s", who, shown, (unsigned long long)s->size, text_time(when, sizeof(when), s->when * 1000000));
	if (s->bad != 0)
		printf("; %u in its name that do not hold", s->bad);
	putchar('\n');
}

/* Who else saw the log, and when. */
static void print_stamps(const struct judging *g, const struct tlog_log *log)
{
	const struct trust *t = g->trust;
	uint8_t keys[TRUST_KEYS_MAX][KEY_LEN];
	const struct tlog_seen seen = { log, keys, trust_log_keys(t, keys) };
	struct tlog_stamp s;

	for (size_t i = 0; i < t->nwitnesses; i++)
		if (tlog_cosigned(&s, g->logs.path, &seen, &t->witnesses[i]) == 0)
			print_stamp("witness", t->witnesses[i].name, &s);
	for (size_t i = 0; i < t->ntsas; i++)
		if (tlog_timestamped(&s, g->logs.path, &seen, t->tsas[i]) == 0)
			print_stamp("timestamps by", t->tsas[i], &s);
}

/* A log that is not to be believed; or that is not there, although a collector is believed, and each of them keeps one. */
static bool log_fails(const struct judging *g, const struct tlog_log *log)
{
	return log->state == TLOG_FORGED || log->state == TLOG_UNVERIFIABLE || (log->state == TLOG_ABSENT && g->trust->ncollectors != 0);
}

/* What the log says itself: a line, and if it is not to be believed, a verdict more. */
static void print_log(struct judging *g, const struct tlog_log *log)
{
	const struct mirrored *m = mirror_differs(&g->mirror, "log/");

	if (m != NULL) {
		struct recording rec = { .dir = g->logs.path, .id = "log" };
		struct brec_report r = { .verdict = BREC_FORGED, .logged = BREC_LOG_BAD };

		snprintf(r.reason, sizeof(r.reason), "ALARM: the bucket has versions of %.160s with different bytes; the oldest is judged", m->name);
		print_fault(g, &rec, &r);
	}
	/* what lies beside the recordings may be a true log of other ones: nothing in a store says whose it is, only who looks at it knows */
	if (log->state == TLOG_GOOD && trust_any_log(g->trust))
		fprintf(stderr, "bastion-replay: warning: collectors of more than one name are trusted, and the log here is that of %s: "
		    "--log NAME says whose it must be\n", trust_collector(g->trust, log->key));
	if (log_fails(g, log)) {
		struct recording rec = { .dir = g->logs.path, .id = "log" };
		struct brec_report r = { .logged = BREC_LOG_BAD };

		r.verdict = log->state == TLOG_FORGED ? BREC_FORGED : BREC_UNVERIFIABLE;
		if (log->state == TLOG_ABSENT)
			r.logged = BREC_LOG_NONE;
		snprintf(r.reason, sizeof(r.reason), log->state != TLOG_ABSENT ? "the log of recordings: %s" :
		    "%s: a recording that is missing as a whole would not show", log->reason);
		print_fault(g, &rec, &r);
	} else if (!g->args->json && log->state == TLOG_GOOD) {
		printf("log of recordings %s, of collector %s: %llu leaves, signed, %u older checkpoints agree", log->origin,
		    trust_collector(g->trust, log->key), (unsigned long long)log->size, log->kept);
		if (log->unread != 0)
			printf("; %u cannot be read", log->unread);
		putchar('\n');
		print_stamps(g, log);
	} else if (!g->args->json) {
		printf("%s: a recording that is missing as a whole would not show\n", log->reason);
	}
}

static void print_sum(const struct judging *g)
{
	printf("%zu recording%s, %zu complete", g->all, g->all == 1 ? "" : "s", g->good);
	if (g->pruned != 0)
		printf(", %zu pruned", g->pruned);
	if (g->open != 0)
		printf(", %zu open: not judged to the end before they close", g->open);
	if (g->faults != 0)
		printf("; their log fails");
	putchar('\n');
}

/* What was removed in its time is no failure, nor is what is being made: that is said, and judged when it has closed. */
static int verdict_status(const struct judging *g)
{
	return g->faults == 0 && g->good + g->pruned + g->open == g->all ? EXIT_OK : EXIT_VERDICT;
}

/*
 * The log itself, and what it knows and the store does not have. The store may have lived on for hours since its log was read: what must be
 * here is what the log had then; what became of it, if it is not, is what the log says now.
 */
static int verify_log(struct judging *g, const struct recordings *judged)
{
	const struct tlog_log *log = logs_read(&g->logs, g->args->store, false);
	struct ids before = { NULL, 0 }, here = { NULL, 0 }, missing = { NULL, 0 };
	struct recordings now;
	int r = -1;

	if (store_scan(&now, g->args->store) != 0)
		return -1;
	if (log->state == TLOG_GOOD && (ids_of(&before, judged) != 0 || ids_of(&here, &now) != 0 || ids_missing(&missing, log, &here) != 0))
		goto out;
	if (missing.n != 0)
		logs_grew(&g->logs);
	print_log(g, log);
	r = 0;
	for (size_t i = 0; i < missing.n && log->state == TLOG_GOOD && r == 0; i++)
		r = print_missing(g, missing.v[i], ids_have(&before, missing.v[i]));
out:
	free(before.v);
	free(here.v);
	free(missing.v);
	recordings_finish(&now);
	return r;
}

static int verify_store(struct judging *g)
{
	struct recordings list;
	int r;

	/* the log that --store names is the one to be believed: it is read before the recordings are looked for */
	logs_read(&g->logs, g->args->store, false);
	if (store_scan(&list, g->args->store) != 0)
		return EXIT_UNREADABLE;
	r = verify_list(g, &list) == 0 ? verify_log(g, &list) : -1;
	recordings_finish(&list);
	if (!g->args->json && r == 0)
		print_sum(g);
	return r != 0 ? EXIT_UNREADABLE : verdict_status(g);
}

static int verify_named(struct judging *g)
{
	struct recording named[REPLAY_IDS_MAX];
	struct recordings list = { .v = named };
	int status = EXIT_UNREADABLE;

	while (list.n < g->args->nids && store_find(&named[list.n], g->args->store, g->args->ids[list.n]) == 0)
		list.n++;
	if (list.n == g->args->nids && verify_list(g, &list) == 0)
		status = verdict_status(g);
	if (!g->args->json && list.n > 1)
		print_sum(g);
	while (list.n > 0)
		recording_finish(&named[--list.n]);
	return status;
}

static int verify(struct args *a, const char *url)
{
	struct trust trust;
	struct judging g = { .args = a, .trust = &trust, .logs = { .trust = &trust }, .url = url, .out = stdout };
	int status;

	if (keys_trust(&trust, a) != 0)
		return EXIT_UNREADABLE;
	if (mirror_load_differing(&g.mirror, a->store) != 0) {
		fprintf(stderr, "bastion-replay: the file " MIRROR_FILE " of the copy cannot be read\n");
		mirror_finish(&g.mirror);
		return EXIT_UNREADABLE;
	}
	status = a->nids == 0 ? verify_store(&g) : verify_named(&g);
	mirror_finish(&g.mirror);
	logs_finish(&g.logs);
	return status;
}

static int forget(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* By a copy of its own, which goes afterwards. */
static int verify_bucket(struct args *a)
{
	const char *tmp = getenv("TMPDIR"), *url = a->store;
	char dir[REPLAY_PATH_MAX];
	int status, judged;

	if (snprintf(dir, sizeof(dir), "%s/bastion-replay-XXXXXX", tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp") >= (int)sizeof(dir) ||
	    mkdtemp(dir) == NULL) {
		fprintf(stderr, "bastion-replay: %s: a directory for the copy cannot be made; TMPDIR says where\n", dir);
		return EXIT_UNREADABLE;
	}
	status = pull_bucket(a, url, dir);
	a->store = dir;
	if (status != EXIT_UNREADABLE && (judged = verify(a, url)) > status)
		status = judged;
	a->store = url;
	nftw(dir, forget, 16, FTW_DEPTH | FTW_PHYS);
	return status;
}

int cmd_verify(struct args *a)
{
	if (a->all && a->nids > 0) {
		fprintf(stderr, "bastion-replay: verify takes --all or IDs, not both\n");
		return EXIT_USAGE;
	}
	return bucket_is_url(a->store) ? verify_bucket(a) : verify(a, NULL);
}
