/*
 * replay_list.c - `bastion-replay list`: a line a recording. Without an identity it shows what is
 * in clear.
 */
#include "replay.h"

#include <string.h>
#include <unistd.h>

#include "escape.h"

struct row {
	const struct recording *rec;
	int64_t wall_us;
	uint64_t duration_us, size;
	char user[64], host[128], login[64], capability[128];
	const char *verdict;
	bool readable;
};

/* "exec,shell", escaped. */
static void join_caps(const json_t *meta, char *out, size_t size)
{
	const json_t *caps = json_object_get(meta, "caps"), *v;
	size_t i, n = 0;

	out[0] = '\0';
	json_array_foreach(caps, i, v)
		if (json_is_string(v) && n + 32 < size) {
			n += (size_t)snprintf(out + n, size - n, "%s", i > 0 ? "," : "");
			n += esc_line(out + n, size - n, json_string_value(v),
			    json_string_length(v));
		}
}

static bool passes(const struct row *row, const struct args *a)
{
	return row->wall_us >= a->since * 1000000 &&
	    (a->until == INT64_MAX || row->wall_us < a->until * 1000000) &&
	    (a->user == NULL || strcmp(a->user, row->user) == 0) &&
	    (a->host == NULL || strcmp(a->host, row->host) == 0);
}

/* Who and where: the beginning of the recording says it. */
static void fill_meta(struct row *row, const struct scan *s)
{
	row->wall_us = s->info.wall_us;
	row->readable = s->meta != NULL;
	meta_text(s->meta, "user", row->user, sizeof(row->user));
	meta_text(s->meta, "host", row->host, sizeof(row->host));
	meta_text(s->meta, "login", row->login, sizeof(row->login));
	if (meta_is_events(s->meta))
		snprintf(row->capability, sizeof(row->capability), "events");
	else if (s->nchans > 0)
		memcpy(row->capability, s->chans[0].capability, sizeof(s->chans[0].capability));
	else
		join_caps(s->meta, row->capability, sizeof(row->capability));
}

/* How long and how good: the whole recording is read for it. */
static void fill_rest(struct row *row, const struct age_identities *ids, const struct trust *trust)
{
	struct brec_trust view = trust_view(trust);
	struct brec_report report;
	struct scan s;

	row->size = recording_size(row->rec);
	if (trust->nsigners > 0) {
		brec_verify_dir(row->rec->dir, &view, &report);
		row->verdict = brec_verdict_name(report.verdict);
		if (report.last_wall_us > report.first_wall_us)
			row->duration_us = (uint64_t)(report.last_wall_us - report.first_wall_us);
	} else if (row->readable && scan_recording(&s, row->rec->dir, ids, false) == 0) {
		row->duration_us = s.last_us;
		scan_finish(&s);
	}
}

/* False if the recording does not pass the filters. */
static bool fill(struct row *row, const struct args *a, const struct recording *rec,
    const struct age_identities *ids, const struct trust *trust)
{
	struct scan s;

	memset(row, 0, sizeof(*row));
	row->rec = rec;
	row->verdict = "-";
	if (scan_recording(&s, rec->dir, ids, true) != 0) {
		row->verdict = "unreadable";
		return a->user == NULL && a->host == NULL && a->since == 0 && a->until == INT64_MAX;
	}
	fill_meta(row, &s);
	scan_finish(&s);
	if (!passes(row, a))
		return false;
	fill_rest(row, ids, trust);
	return true;
}

static int print_json(const struct row *r)
{
	return json_line(json_pack("{s:s, s:s, s:f, s:s?, s:s?, s:s?, s:s?, s:f, s:I, s:s}", "id",
	    r->rec->id, "dir", r->rec->dir, "start", (double)r->wall_us / 1e6, "user",
	    r->readable ? r->user : NULL, "host", r->readable ? r->host : NULL, "login",
	    r->readable ? r->login : NULL, "capability", r->readable ? r->capability : NULL,
	    "duration", (double)r->duration_us / 1e6, "size", (json_int_t)r->size, "verdict",
	    r->verdict));
}

/* IDs are printed as long as they must be to be told apart, and at least 12 digits. */
static int id_width(const struct recordings *list)
{
	size_t width = 12;

	for (size_t i = 0; i < list->n; i++)
		for (size_t k = i + 1; k < list->n && k < i + 64; k++)
			while (width < 32 && strncmp(list->v[i].id, list->v[k].id, width) == 0)
				width++;
	return (int)width;
}

static void print_head(int width)
{
	printf("%-*s %-19s %-10s %-16s %-9s %8s %6s  %s\n", width, "ID", "START (UTC)", "USER",
	    "LOGIN@HOST", "KIND", "DURATION", "SIZE", "VERDICT");
}

static void print_row(const struct row *r, int width)
{
	char start[32], span[32], size[16], where[200];

	snprintf(where, sizeof(where), "%s%s%s", r->login, r->login[0] != '\0' ? "@" : "-", r->host);
	printf("%.*s %-19s %-10s %-16s %-9s %8s %6s  %s\n", width, r->rec->id,
	    text_time(start, sizeof(start), r->wall_us), !r->readable ? "(locked)" : r->user[0] != '\0' ? r->user : "-",
	    r->readable ? where : "-", r->readable && r->capability[0] ? r->capability : "-",
	    text_span(span, sizeof(span), r->duration_us), text_size(size, sizeof(size), r->size),
	    r->verdict);
}

int cmd_list(struct args *a)
{
	struct age_identities ids;
	struct recordings list;
	struct trust trust;
	size_t shown = 0;
	struct row row;
	int status = EXIT_UNREADABLE, width;

	if (keys_identity(&ids, a, a->user != NULL || a->host != NULL) != 0)
		return EXIT_UNREADABLE;
	memset(&trust, 0, sizeof(trust));
	/* no trust file: then no verdicts, but a list */
	if (access(a->trust, R_OK) == 0 && keys_trust(&trust, a) != 0)
		goto out;
	if (store_scan(&list, a->store) != 0)
		goto out;
	width = id_width(&list);
	status = EXIT_OK;
	for (size_t i = 0; i < list.n && status == EXIT_OK; i++) {
		if (!fill(&row, a, &list.v[i], &ids, &trust))
			continue;
		if (a->json)
			status = print_json(&row) == 0 ? EXIT_OK : EXIT_UNREADABLE;
		else {
			if (shown++ == 0)
				print_head(width);
			print_row(&row, width);
		}
	}
	recordings_finish(&list);
out:
	age_identities_finish(&ids);
	return status;
}
