/*
 * words_help.c - what the table says to people and to shells: help, completion, "did you mean". See
 * words.h.
 *
 * Runs in bastionctl and in the session process. Pure; the output is made of the table's own texts.
 */
#include "render.h"
#include "words.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NEAR_MAX 40	/* longer texts are not compared */
#define PATH_WIDTH 22
#define NARROW 60	/* terminal columns from which on there is room for two columns */

static void put_text(struct buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put_text(struct buf *out, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n > 0)
		buf_put(out, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

/* Optimal string alignment distance: insert, delete, replace, swap of neighbours. */
static size_t distance(const char *a, const char *b)
{
	size_t row[3][NEAR_MAX + 1], la = strlen(a), lb = strlen(b);
	size_t *before = row[0], *last = row[1], *now = row[2];

	if (la > NEAR_MAX || lb > NEAR_MAX)
		return NEAR_MAX;
	for (size_t j = 0; j <= lb; j++)
		last[j] = j;
	for (size_t i = 1; i <= la; i++) {
		now[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = last[j - 1] + (tolower((unsigned char)a[i - 1]) != b[j - 1]);

			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
		size_t *free_row = before;

		before = last;
		last = now;
		now = free_row;
	}
	return last[lb];
}

const char *words_nearest(const char *given, const char *(*next)(void *ctx), void *ctx)
{
	const char *best = NULL, *text;
	/* a third of the letters may be wrong, one in a short word */
	size_t least = strlen(given) / 3 + 1;

	if (strlen(given) < 2)
		return NULL;
	while ((text = next(ctx)) != NULL) {
		size_t d = distance(given, text);

		if (d <= least && d < strlen(text)) {
			least = d;
			best = text;
			if (d == 0)
				break;
			least--;
		}
	}
	return best;
}

static bool exists(const struct words_word *w, const struct words_env *env)
{
	return (w->where != AT_CTL || env->ctl) && (w->where != AT_CONSOLE || env->console);
}

static bool shown(const struct words_word *w, const struct words_env *env)
{
	return w->who <= env->who && exists(w, env);
}

static const char *prefix_of(const struct words_env *env)
{
	return env->prefix != NULL ? env->prefix : "";
}

static void put_flag(struct buf *out, const char *name)
{
	buf_put(out, "--", 2);
	for (; *name != '\0'; name++)
		buf_put_u8(out, *name == '_' ? '-' : (uint8_t)*name);
}

/* "request HOST --login LOGIN … [--ticket ID]" */
static void put_usage(struct buf *out, const struct words_word *w)
{
	put_text(out, "%s", w->path);
	for (size_t i = 0; i < w->nargs; i++) {
		const struct words_arg *a = &w->args[i];

		put_text(out, (a->how & ARG_NEED) != 0 ? " " : " [");
		if ((a->how & ARG_POS) == 0) {
			put_flag(out, a->name);
			if (a->show != NULL)
				buf_put_u8(out, ' ');
		}
		if (a->show != NULL)
			put_text(out, "%s", a->show);
		if ((a->how & ARG_NEED) == 0)
			buf_put_u8(out, ']');
		if ((a->how & (ARG_MANY | ARG_REST)) != 0 && a->type != ARG_PUBKEY)
			put_text(out, " ...");
	}
}

/*
 * The chapters of the overview: a word belongs to the last one whose first word stands before it in
 * the table.
 */
static const struct { const char *first, *title; } chapters[] = {
	{ "hosts", "Access" }, { "approve", "Approval" }, { "user add", "Users" },
	{ "role add", "Roles" }, { "host add", "Hosts" }, { "init", "This bastion" },
};

static const char *chapter_at(const struct words_word *w)
{
	for (size_t i = 0; i < sizeof(chapters) / sizeof(chapters[0]); i++)
		if (strcmp(chapters[i].first, w->path) == 0)
			return chapters[i].title;
	return NULL;
}

/* "  LEFT     what it is", the second beside the first, or under it on a narrow terminal. */
static void put_item(struct buf *out, const struct words_env *env, const struct buf *left,
    const char *text)
{
	bool under = env->columns > 0 && env->columns < NARROW;
	size_t indent = under ? 6 : PATH_WIDTH + 3;

	put_text(out, "  %.*s", (int)left->len, (const char *)left->data);
	if (under || left->len + 3 > indent)
		put_text(out, "\n%*s", (int)indent, "");
	else
		put_text(out, "%*s", (int)(indent - left->len - 2), "");
	render_wrapped(out, text, indent, env->columns);
	buf_put_u8(out, '\n');
}

static void put_word(struct buf *out, const struct words_env *env, const struct words_word *w)
{
	struct buf left;

	buf_view(&left, w->path, strlen(w->path));
	put_item(out, env, &left, w->help);
}

static void overview(const struct words_env *env, bool all, struct buf *out)
{
	const char *title = NULL;

	for (size_t i = 0; i < words_count; i++) {
		const struct words_word *w = &words_table[i];
		const char *chapter = chapter_at(w);

		if (chapter != NULL)
			title = chapter;
		if (!(all ? exists(w, env) : shown(w, env)))
			continue;
		if (title != NULL)
			put_text(out, "%s%s\n", out->len > 0 ? "\n" : "", title);
		title = NULL;
		put_word(out, env, w);
	}
	put_text(out, "\nMore about one of them: %shelp WORD\n", prefix_of(env));
	if (!all && env->who < WHO_ADMIN)
		put_text(out, "Administrators' words too: %shelp all\n", prefix_of(env));
}

static void explain_arg(const struct words_arg *a, const struct words_env *env, struct buf *out)
{
	struct buf left;

	buf_init(&left, 256);
	if ((a->how & ARG_POS) == 0)
		put_flag(&left, a->name);
	if (a->show != NULL)
		put_text(&left, "%s%s", left.len > 0 ? " " : "", a->show);
	put_item(out, env, &left, a->help);
	buf_finish(&left);
}

static void explain(const struct words_word *w, const struct words_env *env, struct buf *out)
{
	static const char *const who[] = {
		"", "For approvers. ", "For administrators. ", "For auditors alone. ", "For root on the bastion. "
	};
	static const struct words_arg json = { .name = "json", .help = "print the reply as JSON" };
	static const struct words_arg csv = { .name = "csv", .help = "print the table as CSV, with every column" };
	struct buf text;

	buf_init(&text, 4096);
	put_text(&text, "%s", prefix_of(env));
	put_usage(&text, w);
	buf_put_u8(&text, '\0');
	put_text(out, "%s: %s\n\n  ", w->path, w->help);
	render_wrapped(out, (const char *)text.data, 4, env->columns > 2 ? env->columns - 2 : 0);
	put_text(out, "\n\n");
	for (size_t i = 0; i < w->nargs; i++)
		explain_arg(&w->args[i], env, out);
	if (!w->plain)
		explain_arg(&json, env, out);
	if (w->cols != NULL)
		explain_arg(&csv, env, out);
	buf_reset(&text);
	put_text(&text, "%s%s", who[w->who], w->more);
	buf_put_u8(&text, '\0');
	if (text.len > 1) {
		buf_put_u8(out, '\n');
		render_wrapped(out, (const char *)text.data, 0, env->columns);
		buf_put_u8(out, '\n');
	}
	put_text(out, "\nExample:\n  %s%s\n", prefix_of(env), w->example);
	buf_finish(&text);
}

int words_help(const char *path, const struct words_env *env, struct buf *out)
{
	size_t len = path != NULL ? strlen(path) : 0;
	const struct words_word *w;
	bool any = false;

	if (len == 0 || strcmp(path, "all") == 0) {
		overview(env, len != 0, out);
		return 0;
	}
	if ((w = words_find(path)) != NULL) {
		explain(w, env, out);
		return 0;
	}
	for (size_t i = 0; i < words_count; i++) {
		w = &words_table[i];
		if (strncmp(w->path, path, len) != 0 || w->path[len] != ' ' || !exists(w, env))
			continue;
		put_word(out, env, w);
		any = true;
	}
	return any ? 0 : -1;
}

void words_completions(const struct words_env *env, struct buf *out)
{
	for (size_t i = 0; i < words_count; i++) {
		const struct words_word *w = &words_table[i];

		if (!shown(w, env))
			continue;
		put_text(out, "%s", w->path);
		for (size_t a = 0; a < w->nargs; a++) {
			buf_put_u8(out, ' ');
			if ((w->args[a].how & ARG_POS) == 0)
				put_flag(out, w->args[a].name);
			if ((w->args[a].how & ARG_POS) == 0 && w->args[a].show != NULL)
				buf_put_u8(out, ' ');
			if (w->args[a].show != NULL)
				put_text(out, "%s", w->args[a].show);
		}
		put_text(out, w->plain ? "\n" : w->cols != NULL ? " --json --csv\n" : " --json\n");
	}
}
