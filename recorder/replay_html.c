/*
 * replay_html.c - `export --html`: a recording as one page that plays without a network.
 *
 * What came from a recording stands in it as text of elements, escaped, or inside the cast, a data
 * block that no browser runs, where `<` is written \u003c. The page's policy names the digests of the
 * two scripts and two style sheets that are part of this program: nothing else runs, and nothing can
 * be fetched. WebAssembly is the player's terminal.
 */
#include "replay_html.h"

#include <errno.h>
#include <string.h>

#include "hex.h"
#include "replay_pass.h"
#include "replay_search.h"

static void put_escaped(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		switch (s[i]) {
		case '&': fputs("&amp;", stdout); break;
		case '<': fputs("&lt;", stdout); break;
		case '>': fputs("&gt;", stdout); break;
		case '"': fputs("&quot;", stdout); break;
		case '\'': fputs("&#39;", stdout); break;
		default: putchar(s[i]); break;
		}
}

static void put_asset(enum html_asset which)
{
	struct span a = html_asset(which);

	fwrite(a.data, 1, a.len, stdout);
}

static int put_digest(enum html_asset which)
{
	struct span a = html_asset(which);
	char text[BASE64_SIZE(HASH_LEN)];
	uint8_t sum[HASH_LEN];

	if (sha256_spans(sum, &a, 1) != 0)
		return -1;
	printf(" 'sha256-%s='", base64_encode(text, sum, sizeof(sum)));
	return 0;
}

static int put_head(const struct recording *rec)
{
	int r = 0;

	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
	      "base-uri 'none'; form-action 'none'; script-src 'wasm-unsafe-eval'", stdout);
	r |= put_digest(ASSET_PLAYER_JS);
	r |= put_digest(ASSET_PAGE_JS);
	fputs("; style-src", stdout);
	r |= put_digest(ASSET_PLAYER_CSS);
	r |= put_digest(ASSET_PAGE_CSS);
	printf("\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<title>recording %s</title>\n"
	       "<style>", rec->id);
	put_asset(ASSET_PLAYER_CSS);
	fputs("</style>\n<style>", stdout);
	put_asset(ASSET_PAGE_CSS);
	fputs("</style>\n</head>\n<body>\n", stdout);
	return r;
}

static void put_meta(const struct recording *rec, const struct scan *s, const struct channel *c)
{
	static const char *const keys[] = { "user", "person", "login", "host", "peer", "reason", "grant" };
	const char *lack = scan_lack(s);
	char text[REPLAY_TEXT_MAX];

	printf("<h1>Recording %s</h1>\n<table>\n<tr><th>start<td>%s UTC\n", rec->id,
	    text_time(text, sizeof(text), s->info.wall_us));
	printf("<tr><th>duration<td>%s\n", text_span(text, sizeof(text), s->last_us));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		meta_text(s->meta, keys[i], text, sizeof(text));
		if (text[0] == '\0')
			continue;
		printf("<tr><th>%s<td>", keys[i]);
		put_escaped(text, strlen(text));
		putchar('\n');
	}
	if (lack != NULL) {
		fputs("<tr><th>end<td>", stdout);
		put_escaped(lack, strlen(lack));
		putchar('\n');
	}
	printf("</table>\n<h2>Channel %llu</h2>\n<div id=\"player\"></div>\n",
	    (unsigned long long)c->number);
}

/* ---- tables ---- */

struct table {
	const char *dir;
	const struct channel *shown;	/* the one in the player */
	const struct age_identities *ids;
	const struct scan *scan;
	struct typed_map *typed;
	char error[512];		/* why a table is not whole; "": all are. The page goes on: what can be read is in it */
};

/* t_us: since the channel was opened. A row of the channel in the player leads there. */
static void put_row_head(const struct table *t, uint64_t channel, uint64_t t_us)
{
	char at[24];

	text_span(at, sizeof(at), t_us);
	if (channel == t->shown->number)
		printf("<tr><td><button data-t=\"%.3f\">%s</button>", (double)t_us / 1e6, at);
	else
		printf("<tr><td>%s", at);
	printf("<td>%llu<td class=\"text\">", (unsigned long long)channel);
}

static int put_command(void *ctx, const struct text_line *l)
{
	if (l->kind != LINE_COMMAND && l->kind != LINE_GIVEN)
		return 0;
	put_row_head(ctx, l->channel, l->t_us);
	put_escaped(l->text + l->head, l->len - l->head);
	putchar('\n');
	return 0;
}

static void fail(struct table *t, const char *why)
{
	if (t->error[0] == '\0')
		snprintf(t->error, sizeof(t->error), "%s", why);
}

static void put_commands(struct table *t)
{
	struct lines_info info;

	fputs("<h2>Commands</h2>\n<p class=\"note\">" COMMANDS_NOTE "</p>\n"
	      "<table>\n<tr><th>time<th>channel<th>command\n", stdout);
	if (lines_read(t->dir, t->ids, false, put_command, t, &info) != 0 || info.error[0] != '\0')
		fail(t, info.error[0] != '\0' ? info.error : strerror(errno));
	fputs("</table>\n", stdout);
}

static bool is_file(const struct brec_event *e)
{
	return e->kind == BREC_K_FILE;
}

static bool is_other(const struct brec_event *e)
{
	return e->kind != BREC_K_FILE;
}

static int begin_pass(struct table *t, struct pass *p)
{
	char err[512];

	if (pass_begin(p, (struct pass_aim){ .what = "export", .writing = true }, t->dir, t->ids, err, sizeof(err)) == 0)
		return 0;
	fail(t, err);
	return -1;
}

/* n: what pass_next gave last. */
static void end_pass(struct table *t, struct pass *p, int n)
{
	if (n < 0)
		fail(t, brec_reader_error(p->reader));
	pass_end(p);
}

/* Events as text_event() says them: for files that is name, size and digest. */
static void put_events(struct table *t, const char *title, bool (*wanted)(const struct brec_event *))
{
	char line[3 * REPLAY_TEXT_MAX];
	const struct channel *c;
	struct pass p;
	struct brec_item it;
	int n = 0;

	if (begin_pass(t, &p) != 0)
		return;
	printf("<h2>%s</h2>\n<table>\n<tr><th>time<th>channel<th>event\n", title);
	while (!ferror(stdout) && (n = pass_next(&p, &it)) == 1) {
		const struct brec_event *e = &it.event;

		if (it.type != BREC_ITEM_EVENT || !wanted(e) || !text_event(e, line, sizeof(line)))
			continue;
		c = scan_channel(t->scan, e->channel);
		put_row_head(t, e->channel,
		    c != NULL && e->t_us >= c->open_us ? e->t_us - c->open_us : e->t_us);
		put_escaped(line, strlen(line));
		putchar('\n');
	}
	end_pass(t, &p, n);
	fputs("</table>\n", stdout);
}

static void put_hidden(struct table *t, uint64_t channel, uint64_t t_us, const struct typed_part *part)
{
	char line[4 * TYPED_RUN_MAX];

	if (!part->ended)
		return;
	put_row_head(t, channel, t_us);
	typed_line_of(t->typed, part, line, sizeof(line));
	put_escaped(line, strlen(line));
	putchar('\n');
}

/* Where something was typed that was not echoed: the moment, and with --reveal what it was. */
static void put_typed(struct table *t)
{
	struct pass p;
	struct brec_item it;
	struct typed_part part;
	int n = 0, bad = 0;

	if (begin_pass(t, &p) != 0)
		return;
	typed_part_init(&part);
	typed_rewind(t->typed);
	fputs("<h2>Typed without an echo</h2>\n<table>\n<tr><th>time<th>channel<th>typed\n", stdout);
	while (bad == 0 && !ferror(stdout) && (n = pass_next(&p, &it)) == 1) {
		const struct brec_event *e = &it.event;
		const struct channel *c = scan_channel(t->scan, e->channel);
		const uint64_t at = c != NULL && e->t_us >= c->open_us ? e->t_us - c->open_us : e->t_us;

		if (it.type != BREC_ITEM_EVENT || (e->kind != BREC_K_IN && e->kind != BREC_K_CLOSE))
			continue;
		if (e->kind == BREC_K_IN)
			bad = typed_show(t->typed, e->channel, e->data, e->len, &part);
		else
			typed_close(t->typed, e->channel, &part);
		put_hidden(t, e->channel, at, &part);
	}
	if (bad != 0)
		fail(t, strerror(errno));
	typed_part_finish(&part);
	end_pass(t, &p, n);
	fputs("</table>\n", stdout);
}

/* ---- the player ---- */

/* A line of the cast is ASCII (json_dumps): of what ends a script element, all begins with `<`. */
static int put_cast_line(void *ctx, const char *line)
{
	const char *code = strchr(line, ',');

	(void)ctx;
	/* what was typed is no part of a page that is handed on; no player shows it */
	if (line[0] == '[' && code != NULL && strncmp(code, ",\"i\",", 5) == 0)
		return 0;
	for (; *line != '\0'; line++)
		if (*line == '<')
			fputs("\\u003c", stdout);
		else
			putchar(*line);
	putchar('\n');
	return ferror(stdout) ? -1 : 0;
}

int html_export(const struct recording *rec, const struct scan *s, const struct channel *c,
    const struct age_identities *ids, struct typed_map *typed)
{
	struct table t = { .dir = rec->dir, .shown = c, .ids = ids, .scan = s, .typed = typed };
	int cast;

	if (put_head(rec) != 0)
		return -1;
	put_meta(rec, s, c);
	put_commands(&t);
	put_events(&t, "Files", is_file);
	put_events(&t, "Events", is_other);
	put_typed(&t);
	fputs("<script type=\"text/plain\" id=\"cast\">\n", stdout);
	cast = cast_write(s, c, rec->dir, ids, typed, 2, put_cast_line, NULL);
	fputs("</script>\n<script>", stdout);
	put_asset(ASSET_PLAYER_JS);
	fputs("</script>\n<script>", stdout);
	put_asset(ASSET_PAGE_JS);
	fputs("</script>\n</body>\n</html>\n", stdout);
	/* what ended a table ends the cast, which says so itself */
	if (cast == 0 && t.error[0] != '\0')
		fprintf(stderr, "bastion-replay: %s\n", t.error);
	return cast != 0 || t.error[0] != '\0' ? -1 : 0;
}
