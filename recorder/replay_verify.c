/*
 * replay_verify.c - `bastion-replay verify`: the verdict on each recording. Needs no identity, only
 * keys to believe.
 */
#include "replay.h"

#include <string.h>
#include <unistd.h>

#include "hex.h"

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

static int print_json(const struct recording *rec, const struct brec_report *r, const char *signer)
{
	char id[65];
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s, s:I, s:I, s:I, s:I, s:I, s:b}", "id",
	    rec->id, "dir", rec->dir, "verdict", brec_verdict_name(r->verdict), "reason", r->reason,
	    "signer", signer, "signer_id", hex_encode(id, r->signer, sizeof(r->signer)), "segments",
	    (json_int_t)r->segments, "last_seq", (json_int_t)r->last_seq, "signed_seq",
	    (json_int_t)r->signed_seq, "receipt_seq", (json_int_t)r->receipt_seq, "receipts",
	    (json_int_t)r->receipts, "closed", r->closed);

	if (j != NULL)
		add_place(j, r);
	return json_line(j);
}

static void print_text(const struct recording *rec, const struct brec_report *r, const char *signer)
{
	printf("%s  %-12s", rec->id, brec_verdict_name(r->verdict));
	if (r->verdict != BREC_COMPLETE && r->reason[0] != '\0')
		printf("  %s", r->reason);
	if (r->verdict != BREC_COMPLETE && r->file[0] != '\0')
		printf(" (%s, byte %llu)", r->file, (unsigned long long)r->offset);
	if (r->verdict == BREC_COMPLETE)
		printf("  %llu frames, signed by %s%s", (unsigned long long)r->last_seq,
		    signer != NULL ? signer : "?",
		    r->receipt_seq >= r->last_seq ? ", receipt of the collector" : "");
	putchar('\n');
}

/* A bar on standard error while it is a terminal; the line is cleared before each result. */
static void progress(size_t done, size_t all)
{
	static const char full[] = "####################";
	int part = (int)(done * 20 / all);

	if (all >= 2 && isatty(STDERR_FILENO))
		fprintf(stderr, "\r[%.*s%*s] %zu/%zu", part, full, 20 - part, "", done, all);
}

static void clear_progress(size_t all)
{
	if (all >= 2 && isatty(STDERR_FILENO))
		fprintf(stderr, "\r%60s\r", "");
}

static int verify_list(const struct recordings *list, const struct trust *t, bool json)
{
	struct brec_trust view = trust_view(t);
	struct brec_report r;
	size_t good = 0;

	for (size_t i = 0; i < list->n; i++) {
		progress(i, list->n);
		if (brec_verify_dir(list->v[i].dir, &view, &r) == BREC_COMPLETE)
			good++;
		clear_progress(list->n);
		if (json) {
			if (print_json(&list->v[i], &r, trust_signer(t, r.signer)) != 0)
				return EXIT_UNREADABLE;
		} else
			print_text(&list->v[i], &r, trust_signer(t, r.signer));
		/* on a terminal the results shall be seen as they come */
		fflush(stdout);
	}
	if (!json && list->n != 1)
		printf("%zu recording%s, %zu complete\n", list->n, list->n == 1 ? "" : "s", good);
	return good == list->n ? EXIT_OK : EXIT_VERDICT;
}

static int verify_store(const struct args *a, const struct trust *trust)
{
	struct recordings all;
	int status;

	if (store_scan(&all, a->store) != 0)
		return EXIT_UNREADABLE;
	status = verify_list(&all, trust, a->json);
	recordings_finish(&all);
	return status;
}

static int verify_named(const struct args *a, const struct trust *trust)
{
	struct recording named[REPLAY_IDS_MAX];
	struct recordings list = { .v = named };
	int status = EXIT_UNREADABLE;

	while (list.n < a->nids && store_find(&named[list.n], a->store, a->ids[list.n]) == 0)
		list.n++;
	if (list.n == a->nids)
		status = verify_list(&list, trust, a->json);
	while (list.n > 0)
		recording_finish(&named[--list.n]);
	return status;
}

int cmd_verify(struct args *a)
{
	struct trust trust;

	if (a->all && a->nids > 0) {
		fprintf(stderr, "bastion-replay: verify takes --all or IDs, not both\n");
		return EXIT_USAGE;
	}
	if (keys_trust(&trust, a) != 0)
		return EXIT_UNREADABLE;
	return a->nids == 0 ? verify_store(a, &trust) : verify_named(a, &trust);
}
