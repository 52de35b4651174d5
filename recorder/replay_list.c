/*
 * replay_list.c - `bastion-replay list`: a line a recording. Without an identity it shows what is
 * in clear.
 */
#include "replay.h"

#include <stdlib.h>
#include <string.h>

#include "replay_term.h"

struct row {
	const struct recording *rec;
	int64_t wall_us;
	uint64_t duration_us, size;
	char user[64], host[128], login[64], capability[32];
	const char *verdict;
	bool readable;
};

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
	else if (row->readable && s->ended)
		snprintf(row->capability, sizeof(row->capability), "none");
}

/* How long and how good: the whole recording is read for it; the log only for one without an end, which may be in the making. */
static void fill_rest(struct row *row, const char *store, const struct age_identities *ids, struct logs *logs)
{
	const struct trust *trust = logs->trust;
	struct brec_trust view = trust_view(trust);
	struct brec_report report;
	struct scan s;

	row->size = recording_size(row->rec);
	if (trust->nsigners > 0) {
		if (brec_verify_dir(row->rec->dir, &view, &report) == BREC_ABANDONED && trust->ncollectors > 0)
			logs_verify(logs, store, false, row->rec, &report);
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
    const struct age_identities *ids, struct logs *logs)
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
	fill_rest(row, a->store, ids, logs);
	return true;
}

static int print_json(const struct row *r)
{
	return json_line(json_pack("{s:s, s:o, s:f, s:s?, s:s?, s:s?, s:s?, s:f, s:I, s:s}", "id",
	    r->rec->id, "dir", json_bytes(r->rec->dir, strlen(r->rec->dir)), "start", (double)r->wall_us / 1e6, "user",
	    r->readable ? r->user : NULL, "host", r->readable ? r->host : NULL, "login",
	    r->readable ? r->login : NULL, "capability", r->readable && r->capability[0] != '\0' ? r->capability : NULL,
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

/* ---- the table ---- */

/* Widths in columns; 0: not shown. */
struct columns {
	unsigned id, start, user, where, kind, duration, size;
	unsigned second;	/* of the second line of a recording that has two */
	bool whole;		/* what does not fit is not cut, and moves what follows it */
};

/* A file or a pipe: always the same, and all of it, for who looks for a name. */
static const struct columns plain_columns = { .id = 12, .start = 19, .user = 10, .where = 16, .kind = 9, .duration = 8,
	.size = 6, .whole = true };

#define VERDICT_COLUMNS 12U	/* "unverifiable" */
#define INDENT_COLUMNS 4U	/* before the second line of two */

static const char *user_of(const struct row *r)
{
	return !r->readable ? "(locked)" : r->user[0] != '\0' ? r->user : "-";
}

static const char *where_of(const struct row *r, char *out, size_t size)
{
	snprintf(out, size, "%s%s%s", r->login, r->login[0] != '\0' ? "@" : "-", r->host);
	return r->readable ? out : "-";
}

static const char *kind_of(const struct row *r)
{
	return r->readable && r->capability[0] != '\0' ? r->capability : "-";
}

static unsigned points(const char *text)
{
	unsigned n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void widen(unsigned *width, const char *text, unsigned most)
{
	const unsigned n = points(text);

	if (n > *width)
		*width = n < most ? n : most;
}

static unsigned total(const struct columns *c)
{
	return c->id + 1 + c->start + 1 + c->user + 1 + c->where + (c->kind > 0 ? c->kind + 1 : 0) +
	    (c->duration > 0 ? c->duration + 1 : 0) + (c->size > 0 ? c->size + 1 : 0) + 2 + VERDICT_COLUMNS;
}

/* A recording in two lines: the first has ID, as much of the start as makes sense, and verdict; the second the rest, as far as it fits. */
static void fit_two(struct columns *c, unsigned width)
{
	static const unsigned starts[] = { 19, 16, 10 };	/* with seconds, with minutes, the day */
	const unsigned taken = c->id + 1 + 1 + VERDICT_COLUMNS;

	c->start = 0;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]) && c->start == 0; i++)
		if (taken + starts[i] <= width)
			c->start = starts[i];
	c->second = width > INDENT_COLUMNS ? width - INDENT_COLUMNS : 1;
}

/* What fits a terminal of that width: what matters least goes first. */
static struct columns fit(const struct row *rows, size_t n, unsigned id, unsigned width)
{
	struct columns c = { .id = id, .start = 19, .user = 4, .where = 10, .kind = 4, .duration = 8, .size = 6 };
	char where[200];

	for (size_t i = 0; i < n; i++) {
		widen(&c.user, user_of(&rows[i]), 32);
		widen(&c.where, where_of(&rows[i], where, sizeof(where)), 64);
		widen(&c.kind, kind_of(&rows[i]), 24);
	}
	if (total(&c) > width)
		c.size = 0;
	if (total(&c) > width)
		c.start = 16;
	if (total(&c) > width)
		c.kind = 0;
	if (total(&c) > width)
		c.duration = 0;
	if (total(&c) > width && c.where > 16)
		c.where = total(&c) - width > c.where - 16 ? 16 : c.where - (total(&c) - width);
	if (total(&c) > width && c.user > 8)
		c.user = total(&c) - width > c.user - 8 ? 8 : c.user - (total(&c) - width);
	if (total(&c) > width)
		fit_two(&c, width);
	return c;
}

/* Text in at most so many columns, one or more: cut with a mark. */
static void put_cut(const char *text, unsigned width)
{
	const unsigned n = points(text);
	unsigned shown = n <= width ? n : width - 1;

	for (; *text != '\0'; text++) {
		if (((unsigned char)*text & 0xc0) != 0x80 && shown-- == 0)
			break;
		putchar(*text);
	}
	if (n > width)
		putchar('~');
}

/* The same, filled with blanks, and a blank behind; width 0: nothing. */
static void put_cell(const char *text, unsigned width, bool right)
{
	const unsigned n = points(text);

	if (width == 0)
		return;
	if (right && n < width)
		printf("%*s", (int)(width - n), "");
	put_cut(text, width);
	printf("%*s", right || n >= width ? 1 : (int)(width - n) + 1, "");
}

/* The width of that cell. */
static unsigned fitting(const struct columns *c, unsigned width, const char *text)
{
	return c->whole && points(text) > width ? points(text) : width;
}

static void print_head(const struct columns *c)
{
	put_cell("ID", c->id, false);
	put_cell(c->start < 11 ? "START" : "START (UTC)", c->start, false);
	if (c->second == 0) {
		put_cell("USER", c->user, false);
		put_cell("LOGIN@HOST", c->where, false);
		put_cell("KIND", c->kind, false);
		put_cell("DURATION", c->duration, true);
		put_cell("SIZE", c->size, true);
	}
	printf("%sVERDICT\n", c->second > 0 ? "" : " ");
}

static void print_row(const struct row *r, const struct columns *c)
{
	char start[32], span[32], size[16], where[200];

	/* no mark where an ID is cut: it is copied from here */
	printf("%.*s ", (int)c->id, r->rec->id);
	text_time(start, sizeof(start), r->wall_us);
	if (c->start < strlen(start))
		start[c->start] = '\0';
	put_cell(start, c->start, false);
	text_span(span, sizeof(span), r->duration_us);
	where_of(r, where, sizeof(where));
	if (c->second > 0) {
		char rest[sizeof(r->user) + sizeof(where) + sizeof(r->capability) + sizeof(span) + 8];

		snprintf(rest, sizeof(rest), "%s  %s  %s  %s", user_of(r), r->readable ? where : "-", kind_of(r), span);
		printf("%s\n%*s", r->verdict, (int)INDENT_COLUMNS, "");
		put_cut(rest, c->second);
		putchar('\n');
		return;
	}
	put_cell(user_of(r), fitting(c, c->user, user_of(r)), false);
	put_cell(r->readable ? where : "-", fitting(c, c->where, where), false);
	put_cell(kind_of(r), fitting(c, c->kind, kind_of(r)), false);
	put_cell(span, c->duration, true);
	put_cell(text_size(size, sizeof(size), r->size), c->size, true);
	printf(" %s\n", r->verdict);
}

/* ---- the command ---- */

struct listing {
	const struct args *args;
	const struct age_identities *ids;
	struct logs logs;
	unsigned id_width;
	size_t shown;
	struct row *rows;		/* for a terminal: all, before the first is shown */
	size_t n, cap;
};

/* 0, or -1: said on standard error, or standard output failed. */
static int show_row(struct listing *l, const struct row *row)
{
	struct columns c = plain_columns;

	if (l->args->json)
		return print_json(row);
	c.id = l->id_width;
	if (l->shown++ == 0)
		print_head(&c);
	print_row(row, &c);
	return 0;
}

static int keep_row(struct listing *l, const struct row *row)
{
	if (l->n == l->cap) {
		const size_t cap = l->cap == 0 ? 64 : 2 * l->cap;
		struct row *v = reallocarray(l->rows, cap, sizeof(*v));

		if (v == NULL) {
			perror("bastion-replay");
			return -1;
		}
		l->rows = v;
		l->cap = cap;
	}
	l->rows[l->n++] = *row;
	return 0;
}

static void show_table(struct listing *l, unsigned width)
{
	const struct columns c = fit(l->rows, l->n, l->id_width, width);

	if (l->n == 0)
		return;
	pager_start();
	print_head(&c);
	for (size_t i = 0; i < l->n && !ferror(stdout); i++)
		print_row(&l->rows[i], &c);
}

static int list_all(struct listing *l, const struct recordings *list)
{
	const unsigned width = l->args->json ? 0 : term_width();
	struct progress bar;
	struct row row;
	int r = 0;

	progress_begin(&bar, "list");
	for (size_t i = 0; i < list->n && r == 0; i++) {
		progress_at(&bar, i, list->n, "");
		if (!fill(&row, l->args, &list->v[i], l->ids, &l->logs))
			continue;
		r = width > 0 ? keep_row(l, &row) : show_row(l, &row);
	}
	progress_end(&bar);
	if (width > 0)
		show_table(l, width);
	free(l->rows);
	return r == 0 ? EXIT_OK : EXIT_UNREADABLE;
}

int cmd_list(struct args *a)
{
	struct age_identities ids;
	struct recordings list;
	struct trust trust;
	struct listing l = { .args = a, .ids = &ids, .logs = { .trust = &trust } };
	int status = EXIT_UNREADABLE;

	if (keys_identity(&ids, a, a->user != NULL || a->host != NULL) != 0)
		return EXIT_UNREADABLE;
	memset(&trust, 0, sizeof(trust));
	/* no trust file: then no verdicts, but a list */
	if (keys_trust_there(a) && keys_trust(&trust, a) != 0)
		goto out;
	if (store_scan(&list, a->store) != 0)
		goto out;
	l.id_width = (unsigned)id_width(&list);
	status = list_all(&l, &list);
	logs_finish(&l.logs);
	recordings_finish(&list);
out:
	age_identities_finish(&ids);
	return status;
}
