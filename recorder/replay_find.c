/*
 * replay_find.c - `/` in the player: a text on the screens of a tape, and when it stood there.
 *
 * The tape is rendered once from its beginning, on a screen of its own, with the lines that `search` works
 * with (replay_search_rows.c). Pure; the caller says how much is done at a time.
 */
#include "replay_player.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "replay_search.h"

/* ---- matching ---- */

int needle_set(struct needle *n, const char *text)
{
	n->len = strlen(text);
	if (n->len == 0 || n->len >= sizeof(n->text))
		return -1;
	memcpy(n->text, text, n->len + 1);
	n->any_case = true;
	for (size_t i = 0; i < n->len; i++)
		if (text[i] >= 'A' && text[i] <= 'Z')
			n->any_case = false;
	return 0;
}

static char small(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

const char *needle_in(const struct needle *n, const char *text, size_t len)
{
	if (n->len == 0 || len < n->len)
		return NULL;
	if (!n->any_case)
		return memmem(text, len, n->text, n->len);
	for (const char *at = text; at <= text + len - n->len; at++) {
		size_t i = 0;

		while (i < n->len && small(at[i]) == n->text[i])
			i++;
		if (i == n->len)
			return at;
	}
	return NULL;
}

/* ---- the pass ---- */

struct finder {
	struct needle needle;
	struct rows *rows;
	bool pty, ended;
	size_t at;		/* next event */
	uint64_t *hit;		/* sorted when ended */
	size_t n, cap;
};

static void add_hit(struct finder *f, uint64_t t_us)
{
	if (f->n == FIND_HITS_MAX)
		return;
	if (f->n == f->cap) {
		size_t cap = f->cap == 0 ? 64 : 2 * f->cap;
		uint64_t *v = reallocarray(f->hit, cap, sizeof(*v));

		if (v == NULL)
			return;
		f->hit = v;
		f->cap = cap;
	}
	f->hit[f->n++] = t_us;
}

static int on_line(void *ctx, const struct text_line *l)
{
	struct finder *f = ctx;

	if (l->kind == LINE_SCREEN && needle_in(&f->needle, l->text, l->len) != NULL)
		add_hit(f, l->t_us);
	return 0;
}

struct finder *finder_create(const struct needle *n, unsigned cols, unsigned rows, bool pty)
{
	struct finder *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->needle = *n;
	f->pty = pty;
	f->rows = rows_create(cols, rows, 0, on_line, f);
	if (f->rows == NULL) {
		free(f);
		return NULL;
	}
	return f;
}

void finder_destroy(struct finder *f)
{
	if (f == NULL)
		return;
	rows_destroy(f->rows);
	free(f->hit);
	free(f);
}

static void take(struct finder *f, const struct tape *t, const struct tape_event *e)
{
	const uint8_t *d = (const uint8_t *)t->data + e->off;

	if (e->kind == 'o' || (e->kind == 'n' && !f->pty))
		rows_output(f->rows, e->t_us, d, e->len);
	else if (e->kind == 'r' && f->pty)
		rows_resize(f->rows, e->t_us, (unsigned)(d[0] << 8 | d[1]), (unsigned)(d[2] << 8 | d[3]));
	else if (e->kind == 'n' && needle_in(&f->needle, (const char *)d, e->len) != NULL)
		add_hit(f, e->t_us);
}

static int by_time(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* What still stands on the screen counts; a moment with several hits is one. */
static void end(struct finder *f)
{
	size_t n = 0;

	rows_end(f->rows);
	if (f->n > 0)
		qsort(f->hit, f->n, sizeof(*f->hit), by_time);
	for (size_t i = 0; i < f->n; i++)
		if (n == 0 || f->hit[n - 1] != f->hit[i])
			f->hit[n++] = f->hit[i];
	f->n = n;
	f->ended = true;
}

bool finder_work(struct finder *f, const struct tape *t, size_t bytes)
{
	size_t done = 0;

	if (f->at < t->n)
		f->ended = false;
	while (f->at < t->n && done < bytes) {
		const struct tape_event *e = &t->v[f->at++];

		take(f, t, e);
		done += e->len + 64;
	}
	if (f->at < t->n)
		return true;
	if (!f->ended)
		end(f);
	return false;
}

unsigned finder_percent(const struct finder *f, const struct tape *t)
{
	return t->n == 0 ? 100 : (unsigned)(f->at * 100 / t->n);
}

size_t finder_hits(const struct finder *f)
{
	return f->n;
}

size_t finder_after(const struct finder *f, uint64_t t_us)
{
	size_t low = 0, high = f->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (f->hit[mid] <= t_us)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

size_t finder_before(const struct finder *f, uint64_t t_us)
{
	size_t at = t_us == 0 ? 0 : finder_after(f, t_us - 1);

	return at == 0 ? f->n : at - 1;
}

uint64_t finder_time(const struct finder *f, size_t hit)
{
	return f->hit[hit];
}
