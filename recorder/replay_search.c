/*
 * replay_search.c - `bastion-replay search`: a text in what was shown and typed, over many recordings.
 *
 * Each recording is verified, unless its files are those that were verified before; then its lines
 * are taken from the index (replay_index.c), or rendered and kept there.
 */
#include "replay_search.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "replay_readings.h"
#include "escape.h"
#include "replay_term.h"

#define PLAY_MAX 16384	/* the command that shows a hit, with its options */

struct search {
	const struct args *a;
	const struct trust *trust;
	const struct age_identities *ids;
	struct index index;
	const char *text;
	char lower[SEARCH_TEXT_MAX];		/* of it */
	size_t len;
	bool any_case;			/* it has no capitals */
	bool colour;
	uint8_t trust_digest[HASH_LEN];
	/* the recording in turn */
	const struct recording *rec;
	char user[64], host[128], login[64];
	int64_t wall_us;
	uint8_t verdict;
	size_t hits;
	/* over all */
	size_t all_hits, searched, false_ones, locked, unreadable;
	struct progress bar;
};

/* ---- matching ---- */

static const char *find(const struct search *x, const char *text, size_t len)
{
	char lower[2 * LINE_BYTES_MAX];
	const char *at;

	if (!x->any_case)
		return memmem(text, len, x->text, x->len);
	if (len > sizeof(lower))
		len = sizeof(lower);
	for (size_t i = 0; i < len; i++)
		lower[i] = (char)tolower((uint8_t)text[i]);
	at = memmem(lower, len, x->lower, x->len);
	return at != NULL ? text + (at - lower) : NULL;
}

/* The first place that is not in the row before alone. */
static const char *find_in(const struct search *x, const struct text_line *l)
{
	size_t from = l->head >= x->len ? l->head - x->len + 1 : 0;

	return find(x, l->text + from, l->len - from);
}

static bool block_may_have(void *ctx, const char *lower, size_t len)
{
	const struct search *x = ctx;

	return memmem(lower, len, x->lower, x->len) != NULL;
}

static bool wanted_kind(const struct search *x, const struct text_line *l)
{
	if (x->a->only_typed == x->a->only_shown)
		return l->kind != LINE_COMMAND;		/* the screen has it */
	return x->a->only_typed ? l->kind == LINE_TYPED || l->kind == LINE_GIVEN : l->kind == LINE_SCREEN;
}

/* ---- printing ---- */

static void show_bar(struct search *x, size_t done, size_t all)
{
	char hits[64];

	snprintf(hits, sizeof(hits), "%zu of %zu, %zu hit%s", done, all, x->all_hits, x->all_hits == 1 ? "" : "s");
	progress_at(&x->bar, done, all, hits);
}

static const char *kind_name(enum line_kind kind)
{
	return kind == LINE_SCREEN ? "screen" : kind == LINE_EVENT ? "event" : "typed";
}

/* " NAME VALUE", as a shell takes it; one that cannot be printed as it is is left out. */
static void add_option(char *out, size_t size, const char *name, const char *value)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:@%=";
	char shown[REPLAY_PATH_MAX];
	size_t n = strlen(out);

	if (esc_line(shown, sizeof(shown), value, strlen(value)) != strlen(value) || strcmp(shown, value) != 0 ||
	    n + 4 * strlen(value) + strlen(name) + 8 > size)
		return;
	n += (size_t)sprintf(out + n, " %s ", name);
	if (value[0] != '\0' && value[strspn(value, plain)] == '\0') {
		strcpy(out + n, value);
		return;
	}
	out[n++] = '\'';
	for (; *value != '\0'; value++)
		if (*value == '\'')
			n += (size_t)sprintf(out + n, "'\\''");
		else
			out[n++] = *value;
	strcpy(out + n, "'");
}

/* The command that shows a hit, with the options that it needs as this one did. */
static void play_words(const struct search *x, const struct text_line *l, char *out, size_t size)
{
	char at[24], chan[32] = "";
	size_t n;

	snprintf(out, size, "bastion-replay play");
	if (x->a->store_option != NULL)
		add_option(out, size, "--store", x->a->store_option);
	for (size_t i = 0; i < x->a->nidentities; i++)
		add_option(out, size, "--key", x->a->identities[i]);
	if (l->channel != 0)
		snprintf(chan, sizeof(chan), " --channel %llu", (unsigned long long)l->channel);
	n = strlen(out);
	snprintf(out + n, size - n, "%s --at %s %s", chan, text_span(at, sizeof(at), l->t_us), x->rec->id);
}

static int print_json(const struct search *x, const struct text_line *l)
{
	char play[PLAY_MAX];

	play_words(x, l, play, sizeof(play));
	return json_line(json_pack("{s:s, s:f, s:s, s:s, s:s, s:s?, s:I, s:f, s:s, s:s%, s:s}", "id",
	    x->rec->id, "start", (double)x->wall_us / 1e6, "user", x->user, "host", x->host, "login",
	    x->login, "verdict", x->trust != NULL ? brec_verdict_name(x->verdict) : NULL, "channel",
	    (json_int_t)l->channel, "t", (double)l->t_us / 1e6, "kind", kind_name(l->kind), "line",
	    l->text, l->len, "play", play));
}

static void print_head(const struct search *x)
{
	char start[32];

	printf("%s%s  %s UTC  %s  %s@%s  %s\n", x->all_hits > 0 ? "\n" : "", x->rec->id,
	    text_time(start, sizeof(start), x->wall_us), x->user, x->login, x->host,
	    x->trust != NULL ? brec_verdict_name(x->verdict) : "not verified");
}

static void print_text(const struct search *x, const struct text_line *l, const char *at)
{
	char span[24], play[PLAY_MAX];
	const int before = (int)(at - l->text), found = (int)x->len;

	play_words(x, l, play, sizeof(play));
	printf("%7s  %-6s  %.*s%s%.*s%s%.*s\n%4s%s%s%s\n", text_span(span, sizeof(span), l->t_us),
	    kind_name(l->kind), before, l->text, x->colour ? "\033[1;31m" : "", found, at,
	    x->colour ? "\033[m" : "", (int)l->len - before - found, at + found, "",
	    x->colour ? "\033[2m" : "", play, x->colour ? "\033[m" : "");
}

static int on_line(void *ctx, const struct text_line *l)
{
	struct search *x = ctx;
	const char *at;

	if (!wanted_kind(x, l) || (at = find_in(x, l)) == NULL)
		return 0;
	progress_clear(&x->bar);
	if (x->a->json) {
		x->hits++;
		x->all_hits++;
		return print_json(x, l);
	}
	pager_start();
	if (x->hits++ == 0)
		print_head(x);
	x->all_hits++;
	print_text(x, l, at);
	return ferror(stdout) ? -1 : 0;
}

static int on_whole_line(void *ctx, const struct text_line *l)
{
	return line_pieces(l, on_line, ctx);
}

/* ---- one recording ---- */

static int no_dots(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* What tells, without reading them, that the files are the same as before (struct index_head). */
static int digest_files(const struct search *x, const char *dir, uint8_t out[HASH_LEN])
{
	struct dirent **names;
	struct sha256 sum = { 0 };
	struct stat st;
	char path[REPLAY_PATH_MAX];
	int n = scandir(dir, &names, no_dots, alphasort), r = n < 0 ? -1 : sha256_init(&sum);

	if (r == 0)
		r = sha256_update(&sum, x->trust_digest, HASH_LEN);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		if (r == 0 && (r = lstat(path, &st)) == 0) {
			const int64_t v[] = { (int64_t)st.st_ino, st.st_size, st.st_mtim.tv_sec,
				st.st_mtim.tv_nsec, st.st_ctim.tv_sec, st.st_ctim.tv_nsec };

			r = sha256_update(&sum, names[i]->d_name, strlen(names[i]->d_name) + 1);
			if (r == 0)
				r = sha256_update(&sum, v, sizeof(v));
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	if (r == 0)
		r = sha256_digest(&sum, out);
	sha256_finish(&sum);
	return r;
}

/* Verifies it if need be. True: the index has its text. */
static bool verify(struct search *x, struct index_head *now)
{
	struct index_head kept = { .last_seq = 0 };
	struct brec_report report;
	const bool have = index_head(&x->index, x->rec->id, &kept) == 0;
	const bool known = digest_files(x, x->rec->dir, now->files) == 0;

	if (have && known && memcmp(kept.files, now->files, HASH_LEN) == 0) {
		*now = kept;
		return true;
	}
	if (x->trust != NULL) {
		struct brec_trust view = trust_view(x->trust);

		brec_verify_dir(x->rec->dir, &view, &report);
		now->verdict = report.verdict;
		now->last_seq = report.last_seq;
		memcpy(now->chain, report.head, HASH_LEN);
	}
	return have && x->trust != NULL && now->verdict == kept.verdict &&
	    (now->verdict <= BREC_ABANDONED || now->verdict == BREC_OPEN) && now->last_seq == kept.last_seq &&
	    memcmp(kept.chain, now->chain, HASH_LEN) == 0;
}

static void search_lines(struct search *x, const struct index_head *now, bool have)
{
	struct lines_info info;
	int r = -1;

	/* what may be revealed is kept nowhere */
	if (x->a->reveal)
		have = false;
	else if (have || index_build(&x->index, x->rec->id, now, x->rec->dir, x->ids) == 0)
		r = index_read(&x->index, x->rec->id, block_may_have, on_line, x);
	/* damaged: what was said already was right, and is made anew */
	if (r == -1 && have && x->hits == 0 &&
	    index_build(&x->index, x->rec->id, now, x->rec->dir, x->ids) == 0)
		r = index_read(&x->index, x->rec->id, block_may_have, on_line, x);
	if (r != -1)
		return;
	r = lines_read(x->rec->dir, x->ids, x->a->reveal, on_whole_line, x, &info);
	if (r == 0 && info.error[0] == '\0')
		return;
	progress_clear(&x->bar);
	fprintf(stderr, "bastion-replay: %s: %s\n", x->rec->id, info.error);
	x->unreadable++;
}

/* By its header, which is in clear; one that cannot be read might be of that time. */
static bool of_that_time(const struct search *x)
{
	const int64_t at = x->rec->wall_us;

	return at == 0 || (at >= x->a->since * 1000000 && (x->a->until == INT64_MAX || at < x->a->until * 1000000));
}

/* True if it is one of those that are asked for. */
static bool describe(struct search *x)
{
	const struct args *a = x->a;
	struct scan s;

	if (!of_that_time(x))
		return false;
	/* of one that has just begun there is nothing to open: it may be judged all the same */
	if (scan_recording(&s, x->rec->dir, x->ids, true) != 0 || (s.meta == NULL && !s.silent)) {
		progress_clear(&x->bar);
		fprintf(stderr, "bastion-replay: %s is not searched: %s\n", x->rec->id,
		    s.error[0] != '\0' ? s.error : "the identity does not open it");
		scan_finish(&s);
		x->unreadable++;
		return false;
	}
	x->wall_us = s.info.wall_us;
	meta_text(s.meta, "user", x->user, sizeof(x->user));
	meta_text(s.meta, "host", x->host, sizeof(x->host));
	meta_text(s.meta, "login", x->login, sizeof(x->login));
	scan_finish(&s);
	if ((a->user != NULL && strcmp(a->user, x->user) != 0) ||
	    (a->host != NULL && strcmp(a->host, x->host) != 0))
		return false;
	x->locked += !s.silent && !s.info.can_read[BREC_INPUT];
	return true;
}

static void search_one(struct search *x, const struct recording *rec)
{
	struct index_head now = { .verdict = BREC_UNVERIFIABLE };
	bool have;

	x->rec = rec;
	x->hits = 0;
	if (!describe(x))
		return;
	have = verify(x, &now);
	x->verdict = now.verdict;
	x->searched++;
	search_lines(x, &now, have);
	if (x->trust == NULL || x->verdict == BREC_COMPLETE || x->verdict == BREC_ABANDONED || x->verdict == BREC_OPEN)
		return;
	x->false_ones++;
	progress_clear(&x->bar);
	fprintf(stderr, "bastion-replay: %s is %s: bastion-replay verify says where\n", rec->id,
	    brec_verdict_name(x->verdict));
}

/* ---- all ---- */

static int search_all(struct search *x)
{
	struct recordings all;

	if (store_scan(&all, x->a->store) != 0)
		return EXIT_UNREADABLE;
	if (reading_begin(x->a, NULL, all.n) != 0) {
		recordings_finish(&all);
		return EXIT_UNREADABLE;
	}
	for (size_t i = 0; i < all.n && !ferror(stdout); i++) {
		show_bar(x, i, all.n);
		search_one(x, &all.v[i]);
	}
	progress_end(&x->bar);
	recordings_finish(&all);
	if (!x->a->json)
		fprintf(stderr, "%zu hit%s in %zu recording%s searched\n", x->all_hits,
		    x->all_hits == 1 ? "" : "s", x->searched, x->searched == 1 ? "" : "s");
	if (x->locked > 0)
		fprintf(stderr, "bastion-replay: of %zu of them the identity does not open what was "
		    "typed\n", x->locked);
	if (x->trust == NULL)
		fprintf(stderr, "bastion-replay: without a trust file nothing was verified\n");
	return x->unreadable > 0 ? EXIT_UNREADABLE : x->false_ones > 0 ? EXIT_VERDICT : EXIT_OK;
}

static int prepare(struct search *x, struct trust *trust)
{
	const struct args *a = x->a;

	x->text = a->ids[0];
	x->len = strlen(x->text);
	if (x->len == 0 || x->len > SEARCH_TEXT_MAX) {
		fprintf(stderr, "bastion-replay: the text to search has 1 to %d bytes\n", SEARCH_TEXT_MAX);
		return EXIT_USAGE;
	}
	x->any_case = true;
	for (size_t i = 0; i < x->len; i++) {
		x->lower[i] = (char)tolower((uint8_t)x->text[i]);
		x->any_case = x->any_case && x->lower[i] == x->text[i];
	}
	x->colour = term_colour();
	progress_begin(&x->bar, "search");
	memset(trust, 0, sizeof(*trust));
	if (keys_trust_there(a)) {
		if (keys_trust(trust, a) != 0)
			return EXIT_UNREADABLE;
		x->trust = trust;
	}
	return sha256_spans(x->trust_digest, SPANS(SPAN(trust, sizeof(*trust)))) == 0 ? EXIT_OK :
	    EXIT_UNREADABLE;
}

int cmd_search(struct args *a)
{
	struct search x = { .a = a };
	struct age_identities ids;
	struct trust trust;
	int status = prepare(&x, &trust);

	if (status != EXIT_OK)
		return status;
	if (keys_identity(&ids, a, true) != 0)
		return EXIT_UNREADABLE;
	x.ids = &ids;
	index_init(&x.index, &ids);
	status = search_all(&x);
	index_finish(&x.index);
	age_identities_finish(&ids);
	return status;
}
