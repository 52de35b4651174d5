/*
 * replay_search_rows.c - see replay_search.h: a terminal's screen as lines, each once, when it was
 * whole.
 *
 * After each event the rows that changed are compared with what is known of them. A row that grew is
 * waited for; one that something else replaced, or that scrolled away, is a line. Lines that came and
 * scrolled off within one event are told by the screen itself. So text is found whatever way the
 * cursor took to draw it; what stood there for no longer than inside one event is not.
 *
 * Commands: where the cursor stands when the first key of a line is typed, the prompt ends. When the
 * line was ended, and the target's line feed is about to leave it, what stands behind the prompt is
 * the command, as completion, history and the user's corrections have left it. A program that a key alone
 * ends, as q ends a pager, leaves the user at another prompt in the middle of the keys: there a line begins.
 */
#include "replay_search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "screen.h"

#define PROMPT_MAX 512		/* bytes */
#define WRAPS_MAX 20U		/* rows of one command */
#define ENTERS_MAX 1000U	/* returns typed ahead */

struct row {
	char *text;		/* NULL: blank */
	size_t len, head;	/* head: bytes of the row before, which this one continues */
	uint64_t t_us;
	bool done;		/* was told */
	uint64_t serial, above;	/* of the screen's row and of the one above it, when it was read */
};

struct rows {
	struct screen *screen;
	struct row row[SCREEN_ROWS_MAX], primary[SCREEN_ROWS_MAX];	/* primary: under the alternate */
	unsigned n;
	uint64_t channel, now_us;
	line_fn *fn;
	void *ctx;
	bool failed, alternate;
	char last[LINE_BYTES_MAX / 2];	/* the line that scrolled off last, if it was full */
	size_t last_len;
	/* the command in progress */
	char prompt[PROMPT_MAX];
	size_t prompt_len;
	bool typing, left;	/* left: the target went on to another row, or screen, since the line was begun */
	unsigned enters;
	uint64_t enter_us;
};

static void say(struct rows *r, enum line_kind kind, uint64_t t_us, const char *text, size_t len,
    size_t head)
{
	const struct text_line l = { .kind = kind, .channel = r->channel, .t_us = t_us,
		.text = text, .len = len, .head = head };

	if (!r->failed && len > head && r->fn(r->ctx, &l) != 0)
		r->failed = true;
}

static void tell(struct rows *r, struct row *row)
{
	if (!row->done && row->len > row->head)
		say(r, LINE_SCREEN, row->t_us, row->text, row->len, row->head);
	row->done = true;
}

static bool same(const struct row *row, const char *text, size_t len)
{
	return row->len == len && (len == 0 || memcmp(row->text, text, len) == 0);
}

static bool begins(const char *text, size_t len, const char *with, size_t n)
{
	return len >= n && memcmp(text, with, n) == 0;
}

/* ---- lines that leave the screen ---- */

static void keep_last(struct rows *r, const char *text, size_t len, bool goes_on)
{
	r->last_len = goes_on && len <= sizeof(r->last) ? len : 0;
	if (r->last_len > 0)
		memcpy(r->last, text, len);
}

static void say_left(struct rows *r, const char *text, size_t len)
{
	char *joined;

	if (r->last_len == 0 || (joined = malloc(r->last_len + len)) == NULL) {
		say(r, LINE_SCREEN, r->now_us, text, len, 0);
		return;
	}
	memcpy(joined, r->last, r->last_len);
	memcpy(joined + r->last_len, text, len);
	say(r, LINE_SCREEN, r->now_us, joined, r->last_len + len, r->last_len);
	free(joined);
}

/*
 * By the screen: the first row of one of the two goes, or one after the other all of them do. Either way the
 * rows below move up. Of an alternate screen that came within this event nothing is known.
 */
static void on_line(void *ctx, const char *text, size_t len, bool alternate, bool full)
{
	struct rows *r = ctx;
	struct row *of = alternate == r->alternate ? r->row : r->primary;

	if (alternate && !r->alternate) {
		say(r, LINE_SCREEN, r->now_us, text, len, 0);
		r->last_len = 0;
		return;
	}
	const struct row first = of[0];
	const char *own = first.text != NULL ? first.text + first.head : "";
	const size_t own_len = first.len - first.head;
	const bool known = own_len == len && memcmp(own, text, len) == 0;

	if (known || !begins(text, len, own, own_len))
		tell(r, &of[0]);
	if (!known && len > 0)
		say_left(r, text, len);
	keep_last(r, text, len, full && !alternate);
	free(first.text);
	memmove(of, of + 1, (r->n - 1) * sizeof(of[0]));
	of[r->n - 1] = (struct row){ 0 };
}

/* ---- rows that changed ---- */

static uint64_t serial_above(const struct rows *r, unsigned at)
{
	return at > 0 && !r->alternate ? screen_row_serial(r->screen, at - 1) : 0;
}

/* What is known of the row was read from what stands there now. */
static bool untouched(const struct rows *r, unsigned at)
{
	return r->row[at].serial == screen_row_serial(r->screen, at) &&
	    r->row[at].above == serial_above(r, at);
}

/* The row as text, behind the one before it if that is full. False: out of memory. */
static bool read_row(struct rows *r, unsigned at, struct row *out)
{
	char *before = NULL;
	const char *text;
	size_t len;

	*out = (struct row){ .t_us = r->now_us, .serial = screen_row_serial(r->screen, at),
		.above = serial_above(r, at) };
	if (at > 0 && !r->alternate && screen_row_full(r->screen, at - 1)) {
		text = screen_row(r->screen, at - 1, UINT16_MAX, &len);
		if ((before = malloc(len)) == NULL)
			return false;
		memcpy(before, text, len);
		out->head = len;
	}
	text = screen_row(r->screen, at, UINT16_MAX, &len);
	if (len == 0) {
		out->head = 0;
		free(before);
		return true;
	}
	out->text = realloc(before, out->head + len);
	if (out->text == NULL) {
		free(before);
		return false;
	}
	memcpy(out->text + out->head, text, len);
	out->len = out->head + len;
	return true;
}

/* What was known of a row is replaced by what stands there now. */
static void replace(struct rows *r, struct row *old, struct row *now)
{
	/* erased from its end: it was told when it was whole, and what is left of it is no news */
	if (now->len > 0 && begins(old->text, old->len, now->text, now->len)) {
		tell(r, old);
		now->done = true;
	} else if (old->len > 0 && !begins(now->text, now->len, old->text, old->len))
		tell(r, old);
}

/* A row that moved keeps its time. */
static bool moved(const struct row *old, unsigned from, unsigned to, struct row *now)
{
	for (unsigned i = from; i < to; i++)
		if (now->len > 0 && same(&old[i], now->text, now->len)) {
			now->t_us = old[i].t_us;
			now->done = old[i].done;
			return true;
		}
	return false;
}

static bool still_there(const struct row *old, const struct row *now, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		if (same(&now[i], old->text, old->len))
			return true;
	return false;
}

static void compare(struct rows *r, unsigned from, unsigned to)
{
	struct row now[SCREEN_ROWS_MAX];

	for (unsigned i = from; i < to; i++)
		if (untouched(r, i))
			now[i] = r->row[i];
		else if (!read_row(r, i, &now[i]))
			r->failed = true;
	for (unsigned i = from; i < to; i++)
		if (same(&r->row[i], now[i].text, now[i].len)) {
			now[i].t_us = r->row[i].t_us;
			now[i].done = r->row[i].done;
		} else
			moved(r->row, from, to, &now[i]);
	for (unsigned i = from; i < to; i++) {
		struct row *old = &r->row[i];

		if (old->len > 0 && !same(old, now[i].text, now[i].len) &&
		    !still_there(old, now, from, to))
			replace(r, old, &now[i]);
	}
	for (unsigned i = from; i < to; i++) {
		if (r->row[i].text != now[i].text)
			free(r->row[i].text);
		r->row[i] = now[i];
	}
}

static void forget(struct row *row, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		free(row[i].text);
		row[i] = (struct row){ 0 };
	}
}

static void tell_all(struct rows *r)
{
	for (unsigned i = 0; i < r->n; i++)
		tell(r, &r->row[i]);
}

/* A full-screen program began or ended: the rows of before come back as they were. */
static void switch_screens(struct rows *r)
{
	tell_all(r);
	if (screen_alternate(r->screen)) {
		forget(r->primary, SCREEN_ROWS_MAX);
		memcpy(r->primary, r->row, sizeof(r->row));
		memset(r->row, 0, sizeof(r->row));
	} else {
		forget(r->row, SCREEN_ROWS_MAX);
		memcpy(r->row, r->primary, sizeof(r->row));
		memset(r->primary, 0, sizeof(r->primary));
	}
	r->alternate = screen_alternate(r->screen);
	r->left = true;
}

static void update(struct rows *r)
{
	unsigned from, to;

	if (screen_alternate(r->screen) != r->alternate)
		switch_screens(r);
	if (!screen_changed(r->screen, &from, &to) || r->failed)
		return;
	/* a row's beginning may be the row before */
	compare(r, from, to < r->n ? to + 1 : r->n);
	r->last_len = 0;
}

/* ---- commands ---- */

/* The cursor is where the user begins to type: what stands left of it is the prompt. */
static void begin_command(struct rows *r)
{
	struct cursor at = screen_cursor(r->screen);
	const char *text;

	r->typing = true;
	r->left = false;
	text = screen_row(r->screen, at.row, at.col, &r->prompt_len);
	if (r->prompt_len > sizeof(r->prompt))
		r->prompt_len = 0;
	memcpy(r->prompt, text, r->prompt_len);
}

/* The row that begins with the prompt: the cursor's, or one above it. False: there is none. */
static bool find_prompt(struct rows *r, unsigned *first)
{
	const char *text;
	size_t len;

	*first = screen_cursor(r->screen).row;
	for (unsigned steps = 1;; steps++, (*first)--) {
		text = screen_row(r->screen, *first, UINT16_MAX, &len);
		if (begins(text, len, r->prompt, r->prompt_len))
			return true;
		if (*first == 0 || steps == WRAPS_MAX)
			return false;
	}
}

/* The line is about to be left. */
static void end_command(struct rows *r)
{
	unsigned row = screen_cursor(r->screen).row, first;
	char line[LINE_BYTES_MAX];
	const char *text;
	size_t len, n = 0;

	if (!r->typing || r->prompt_len == 0 || screen_alternate(r->screen) || !find_prompt(r, &first))
		return;
	for (; first <= row; first++) {
		text = screen_row(r->screen, first, UINT16_MAX, &len);
		if (n + len + 1 > sizeof(line))
			break;
		memcpy(line + n, text, len);
		n += len;
	}
	len = r->prompt_len;
	while (len < n && line[len] == ' ')
		len++;
	say(r, LINE_COMMAND, r->enter_us, line, n, len);
}

void rows_input(struct rows *r, uint64_t t_us, const uint8_t *data, size_t len)
{
	unsigned first;

	/* is the user still at that line? Asked once for all these keys: no output is between them */
	if (r->typing && r->enters == 0 && (r->prompt_len == 0 ? r->left : !find_prompt(r, &first)))
		r->typing = false;
	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\r' || data[i] == '\n') {
			if (!r->typing && r->enters == 0)
				begin_command(r);	/* an empty line, or one from before */
			r->enters += r->enters < ENTERS_MAX;
			r->enter_us = t_us;
		} else if (data[i] == 3)
			r->typing = false;
		else if (!r->typing && r->enters == 0)
			begin_command(r);
	}
}

/* ---- output ---- */

void rows_output(struct rows *r, uint64_t t_us, const uint8_t *data, size_t len)
{
	const uint8_t *lf;

	r->now_us = t_us;
	if (r->enters == 0 && memchr(data, '\n', len) != NULL)
		r->left = true;
	while (r->enters > 0 && (lf = memchr(data, '\n', len)) != NULL) {
		size_t n = (size_t)(lf - data);

		screen_feed(r->screen, data, n);
		end_command(r);
		r->enters--;
		r->typing = false;
		screen_feed(r->screen, lf, 1);
		data += n + 1;
		len -= n + 1;
	}
	screen_feed(r->screen, data, len);
	update(r);
}

void rows_resize(struct rows *r, uint64_t t_us, unsigned cols, unsigned rows)
{
	r->now_us = t_us;
	tell_all(r);
	screen_resize(r->screen, cols, rows);
	for (unsigned i = screen_rows(r->screen); i < r->n; i++)
		forget(&r->row[i], 1);
	r->n = screen_rows(r->screen);
	update(r);
}

void rows_end(struct rows *r)
{
	tell_all(r);
}

void rows_settle(struct rows *r)
{
	const unsigned at = screen_cursor(r->screen).row;

	for (unsigned i = 0; !r->alternate && i < at && i < r->n; i++)
		tell(r, &r->row[i]);
}

bool rows_failed(const struct rows *r)
{
	return r->failed;
}

struct rows *rows_create(unsigned cols, unsigned rows, uint64_t channel, line_fn *fn, void *ctx)
{
	struct rows *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->channel = channel;
	r->fn = fn;
	r->ctx = ctx;
	r->screen = screen_create(cols > 0 ? cols : 80, rows > 0 ? rows : 24, on_line, r);
	if (r->screen == NULL) {
		free(r);
		return NULL;
	}
	r->n = screen_rows(r->screen);
	return r;
}

void rows_destroy(struct rows *r)
{
	if (r == NULL)
		return;
	forget(r->row, SCREEN_ROWS_MAX);
	forget(r->primary, SCREEN_ROWS_MAX);
	screen_destroy(r->screen);
	free(r);
}
