/*
 * replay_typed.c - see replay_typed.h: what came back for each key. Before it: the events of a channel
 * with a terminal. After it: replay_typed_judge.c.
 *
 * The output goes onto a screen of its own, byte by byte while a key waits. A key knows where the
 * cursor was when it was typed; if its character is the next one written there, it was echoed, whatever
 * the program sent around it (cursor movement, colours, the prompt again, the rest of the line moved).
 * Several keys that waited together, as when text was pasted, must come back one after the other, with
 * nothing written behind them on the line before its end: else the beginning of a new prompt could be
 * taken for an echo.
 *
 * Lines whose echo was mixed with other output, or that were typed ahead, may still turn up: when the
 * target ends a row of the screen in which such a line stands last, behind something else, it was shown.
 */
#include "replay_typed.h"

#include <stdlib.h>
#include <string.h>

#define BURST_MAX 64U		/* keys that are looked through for the one that was echoed */
#define ROWS_JOINED 20U		/* rows of one long line */
#define ROW_BYTES (SCREEN_COLS_MAX * CELL_CHARS * 4)
enum { CTRL_R = 18, CTRL_S = 19, ESC = 27 };

struct echo {
	struct screen *screen;
	hide_fn *hide;
	void *ctx;
	struct key_reader reader;
	uint64_t off, key_from;		/* bytes of input; where the key being read begins */
	struct typed_line *lines[ECHO_LINES_MAX];	/* [0]: the one that is echoed now; others were typed ahead */
	size_t nlines;
	struct typed_line *lost[ECHO_LINES_MAX];	/* judged missed, but may turn up */
	size_t nlost;
	struct cursor expect;		/* where the echo of lines[0]->v[follow] comes, after the one before */
	size_t follow;
	bool full;			/* `expect` is behind the last column */
	bool stirred;			/* a control key was typed, and nothing came */
	bool fresh;			/* something came since the last key */
	bool answered;			/* something came after the last end of a line */
	bool late;			/* lines[0] has ECHO_LATE keys */
	bool alternate;
	bool searching;			/* ^R: echo comes elsewhere */
	size_t burst;			/* characters that waited when this output came */
	size_t window;			/* bytes of output since the first of them waits */
};

/* ---- lines ---- */

static void free_line(struct typed_line *l)
{
	if (l != NULL)
		free(l->v);
	free(l);
}

static void take_out(struct typed_line **v, size_t *n, size_t i)
{
	(*n)--;
	memmove(v + i, v + i + 1, (*n - i) * sizeof(*v));
}

/* Decides, and forgets it. */
static void judge(struct echo *e, struct typed_line *l, bool whole)
{
	line_judge(l, whole, e->hide, e->ctx);
	free_line(l);
}

static void skip_to_char(struct typed_line *l)
{
	while (l->at < l->n && (l->v[l->at].kind != KEY_CHAR || l->v[l->at].state != ECHO_WAITS))
		l->at++;
}

static bool waits(const struct typed_line *l)
{
	return l->at < l->n;
}

static void set_states(struct typed_line *l, enum key_state from, enum key_state to)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].kind == KEY_CHAR && l->v[i].state == from)
			l->v[i].state = (uint8_t)to;
	skip_to_char(l);
}

/* Nothing more can come for what waits. */
static void give_up(struct echo *e, struct typed_line *l, bool noisy)
{
	l->noisy = l->noisy || noisy;
	set_states(l, ECHO_WAITS, ECHO_MISSED);
	e->window = 0;
}

/* ---- lines that may turn up ---- */

/* The row of the cursor as text, with the rows before that it goes on from. Its length. */
static size_t line_on_screen(struct echo *e, char *out, size_t size)
{
	const unsigned row = screen_cursor(e->screen).row, cols = screen_cols(e->screen);
	unsigned first = row;
	struct cell last;
	size_t n = 0, len;
	const char *text;

	for (; first > 0 && row - first < ROWS_JOINED; first--) {
		screen_cell(e->screen, first - 1, cols - 1, &last);
		if ((last.ch[0] == 0 || last.ch[0] == ' ') && last.width != 0)
			break;
	}
	for (; first <= row; first++) {
		text = screen_row(e->screen, first, cols, &len);
		if (n + len > size)
			return 0;
		memcpy(out + n, text, len);
		n += len;
	}
	return n;
}

/* Does the line stand at the end of this text, behind a prompt? */
static bool stands_in(const struct typed_line *l, const char *text, size_t len)
{
	char want[ECHO_KEYS_MAX * 4];
	const size_t n = line_text(l, want, sizeof(want));

	if (n == 0 || n > len || memcmp(text + len - n, want, n) != 0)
		return false;
	return n < len ? !asks_for_secret(text, len - n) : l->paste;
}

/* The target is about to leave the row of the cursor. */
static void look_for_lost(struct echo *e)
{
	char text[ROW_BYTES];
	const size_t len = line_on_screen(e, text, sizeof(text));

	for (size_t i = 0; i < e->nlost; i++)
		if (stands_in(e->lost[i], text, len)) {
			free_line(e->lost[i]);
			take_out(e->lost, &e->nlost, i);
			return;
		}
}

static void count_lost(struct echo *e, size_t len)
{
	for (size_t i = e->nlost; i > 0; i--)
		if ((e->lost[i - 1]->looked += len) > ECHO_LOOK_MAX) {
			judge(e, e->lost[i - 1], false);
			take_out(e->lost, &e->nlost, i - 1);
		}
}

static void lose(struct echo *e, struct typed_line *l)
{
	if (!line_may_turn_up(l)) {
		judge(e, l, false);
		return;
	}
	if (e->nlost == ECHO_LINES_MAX) {
		judge(e, e->lost[0], false);
		take_out(e->lost, &e->nlost, 0);
	}
	e->lost[e->nlost++] = l;
}

/* ---- the end of a line ---- */

static void next_line(struct echo *e)
{
	take_out(e->lines, &e->nlines, 0);
	e->late = false;
	e->searching = false;
	e->follow = SIZE_MAX;
	e->window = 0;
}

/*
 * The first line is over: `fed`, the target is about to leave its row. Those typed ahead of it can only
 * turn up later.
 */
static void end_line(struct echo *e, bool fed)
{
	struct typed_line *l = e->lines[0];

	set_states(l, ECHO_LATE, fed && !waits(l) ? ECHO_SHOWN : ECHO_MISSED);
	l->noisy = l->noisy || (e->late && !fed);
	give_up(e, l, false);
	next_line(e);
	lose(e, l);
	while (e->nlines > 0) {
		l = e->lines[0];
		give_up(e, l, true);
		if (!l->ended)
			return;
		next_line(e);
		lose(e, l);
	}
}

/* Cut off by a bound, or by a full-screen program that came or went. */
static void cut_line(struct echo *e, bool whole)
{
	struct typed_line *l = e->lines[0];

	set_states(l, ECHO_LATE, ECHO_MISSED);
	give_up(e, l, false);
	next_line(e);
	judge(e, l, whole);
}

static void on_line_feed(struct echo *e)
{
	if (e->nlines > 0 && e->lines[0]->ended)
		end_line(e, true);
	else if (e->nlines > 0 && waits(e->lines[0]))
		give_up(e, e->lines[0], true);
	if (e->nlost > 0)
		look_for_lost(e);
}

/* ---- echo ---- */

static bool is_at(const struct echo *e, struct cursor place, struct cursor at, bool full)
{
	const bool last = at.col + 1 == screen_cols(e->screen);

	if (!full && place.row == at.row && place.col == at.col)
		return true;
	/* behind the last column the next character goes to the next row, which may have scrolled up */
	return (full || last) && place.col == 0 && (place.row == at.row + 1 ||
	    (place.row == at.row && at.row + 1 == screen_rows(e->screen)));
}

static bool is_expected(const struct echo *e, const struct typed_line *l, size_t k, struct cursor place)
{
	const struct typed_key *key = &l->v[k];

	if (k == e->follow)
		return is_at(e, place, e->expect, e->full);
	/* a later key tells more only if something had come since */
	if (k > l->at && !key->fresh)
		return false;
	return is_at(e, place, key->at, false);
}

static void resolve(struct echo *e, struct typed_line *l, size_t k, enum key_state state, struct cursor after,
    bool full)
{
	for (size_t i = l->at; i < k; i++)
		if (l->v[i].kind == KEY_CHAR && l->v[i].state == ECHO_WAITS)
			l->v[i].state = ECHO_MISSED;
	l->v[k].state = (uint8_t)state;
	l->at = k + 1;
	skip_to_char(l);
	e->follow = l->at;
	e->expect = after;
	e->full = full;
	e->window = 0;
	e->late = e->late || state == ECHO_LATE;
}

/* A character was written that is no echo of what waits. */
static void on_other(struct echo *e, struct typed_line *l, struct cursor place, uint32_t cp, struct cursor after,
    bool full)
{
	/* a space may be erasing, in canonical mode */
	if (e->late && cp != 0 && cp != ' ') {
		set_states(l, ECHO_LATE, ECHO_MISSED);
		e->late = false;
		l->noisy = true;
	}
	if (!waits(l))
		return;
	l->noisy = true;
	if (l->v[l->at].loose || cp == 0 || cp == ' ' || !is_expected(e, l, l->at, place))
		return;
	/* in its place: a mask, or the beginning of something else */
	l->v[l->at].shown_as = cp;
	resolve(e, l, l->at, ECHO_MISSED, after, full);
}

/* Was this character shown for the one before it? Then it is no echo here. */
static bool is_mask(const struct typed_line *l, size_t k)
{
	for (size_t i = k; i > 0; i--)
		if (l->v[i - 1].kind == KEY_CHAR)
			return l->v[i - 1].shown_as == l->v[k].cp;
	return false;
}

static void on_character(struct echo *e, struct cursor before, struct cursor after)
{
	struct typed_line *l = e->lines[0];
	const bool full = after.row == before.row && after.col == before.col;
	const bool wrapped = !full && (after.row != before.row || after.col < before.col);
	struct cursor place = before;
	struct cell cell;

	if (wrapped)
		place = (struct cursor){ .row = after.row };
	screen_cell(e->screen, place.row, place.col, &cell);
	if (full && place.col + 1 < screen_cols(e->screen))
		return;		/* it had no width, or was not shown */
	for (size_t k = l->at; k < l->n && k < l->at + BURST_MAX; k++) {
		const struct typed_key *key = &l->v[k];

		if (key->kind != KEY_CHAR || key->state != ECHO_WAITS || key->cp != cell.ch[0])
			continue;
		if ((k == l->at && (key->loose || e->searching)) || is_expected(e, l, k, place)) {
			const bool mask = is_mask(l, k);

			l->v[k].shown_as = mask ? key->cp : 0;
			resolve(e, l, k, mask ? ECHO_MISSED : e->burst > 1 ? ECHO_LATE : ECHO_SHOWN, after, full);
			return;
		}
	}
	on_other(e, l, place, cell.ch[0], after, full);
}

static void feed_byte(struct echo *e, uint8_t c)
{
	const bool text = screen_takes_text(e->screen) ? c >= 0x20 && c < 0x80 : c >= 0x80;
	const struct cursor before = screen_cursor(e->screen);

	if (c == '\n')
		on_line_feed(e);
	screen_feed(e->screen, &c, 1);
	if (e->nlines == 0)
		return;
	if (text && screen_takes_text(e->screen))
		on_character(e, before, screen_cursor(e->screen));
	if (!waits(e->lines[0]) || ++e->window <= ECHO_WINDOW)
		return;
	give_up(e, e->lines[0], true);
	if (e->lines[0]->ended)
		end_line(e, false);
}

/* Must each byte be looked at? */
static bool is_watching(const struct echo *e)
{
	return e->nlines > 0 && (waits(e->lines[0]) || e->late || e->lines[0]->ended);
}

void echo_output(struct echo *e, const uint8_t *data, size_t len)
{
	size_t i = 0;

	if (len == 0)
		return;
	e->answered = true;
	e->stirred = false;
	e->fresh = true;
	e->burst = 0;
	for (size_t k = 0; e->nlines > 0 && k < e->lines[0]->n; k++)
		e->burst += e->lines[0]->v[k].kind == KEY_CHAR && e->lines[0]->v[k].state == ECHO_WAITS;
	count_lost(e, len);
	while (i < len && is_watching(e))
		feed_byte(e, data[i++]);
	while (i < len) {
		const uint8_t *lf = e->nlost > 0 ? memchr(data + i, '\n', len - i) : NULL;
		const size_t n = lf != NULL ? (size_t)(lf - (data + i)) : len - i;

		screen_feed(e->screen, data + i, n);
		if (lf != NULL) {
			look_for_lost(e);
			screen_feed(e->screen, lf, 1);
		}
		i += n + (lf != NULL);
	}
	if (screen_alternate(e->screen) == e->alternate)
		return;
	e->alternate = !e->alternate;
	if (e->nlines > 0 && !e->lines[0]->ended)
		cut_line(e, false);
}

/* ---- keys ---- */

static struct typed_line *open_line(struct echo *e)
{
	struct typed_line *l = e->nlines > 0 ? e->lines[e->nlines - 1] : NULL;

	if (l != NULL && !l->ended && l->n < ECHO_KEYS_MAX)
		return l;
	if (l != NULL && !l->ended) {
		/* too long: what came before it is answered no more */
		while (e->nlines > 0)
			cut_line(e, true);
	} else if (e->nlines == ECHO_LINES_MAX) {
		end_line(e, false);
	}
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return NULL;
	e->lines[e->nlines++] = l;
	return l;
}

static struct typed_key *add(struct typed_line *l)
{
	if (l->n == l->cap) {
		const size_t cap = l->cap == 0 ? 32 : 2 * l->cap;
		struct typed_key *v = reallocarray(l->v, cap, sizeof(*v));

		if (v == NULL)
			return NULL;
		l->v = v;
		l->cap = cap;
	}
	return memset(&l->v[l->n++], 0, sizeof(*l->v));
}

static bool prompt_asks(struct echo *e, struct cursor at)
{
	size_t len;
	const char *text = screen_row(e->screen, at.row, at.col, &len);

	if (len == 0 && at.row > 0)
		text = screen_row(e->screen, at.row - 1, screen_cols(e->screen), &len);
	return asks_for_secret(text, len);
}

static const struct typed_key *char_before(const struct typed_line *l)
{
	for (size_t i = l->n; i > 1; i--)
		if (l->v[i - 2].kind == KEY_CHAR)
			return &l->v[i - 2];
	return NULL;
}

/* Where it was typed, seen from the key before. */
static void place_key(struct echo *e, struct typed_line *l, struct typed_key *k)
{
	const struct typed_key *last = char_before(l);

	k->at = screen_cursor(e->screen);
	k->alternate = e->alternate;
	k->loose = e->stirred;
	k->fresh = e->fresh;
	e->fresh = false;
	k->state = e->answered && l == e->lines[0] ? ECHO_WAITS : ECHO_MISSED;
	l->noisy = l->noisy || k->state == ECHO_MISSED;
	if (e->follow == l->n - 1 && (k->at.row != e->expect.row || k->at.col != e->expect.col))
		e->follow = SIZE_MAX;
	if (last != NULL) {
		const bool row = k->at.row == last->at.row;

		k->still = row && k->at.col == last->at.col;
		k->jumped = !row || k->at.col < last->at.col || k->at.col > last->at.col + 2;
		k->secret = last->secret;
	}
	if (last == NULL || (k->alternate && k->jumped))
		k->secret = prompt_asks(e, k->at);
}

static int add_key(struct echo *e, enum key_kind kind, uint32_t cp, uint64_t to)
{
	struct typed_line *l = open_line(e);
	struct typed_key *k = l != NULL ? add(l) : NULL;

	if (k == NULL)
		return -1;
	k->kind = (uint8_t)kind;
	k->cp = cp;
	k->from = e->key_from;
	k->to = e->key_from = to;
	l->paste = l->paste || e->reader.paste;
	if (kind == KEY_CHAR) {
		place_key(e, l, k);
	} else if (kind == KEY_ERASE || kind == KEY_CONTROL) {
		e->stirred = true;
		e->searching = e->searching || cp == CTRL_R || cp == CTRL_S;
	} else {
		l->ended = true;
		e->answered = false;
		e->stirred = false;
	}
	skip_to_char(l);
	if (l->ended && l == e->lines[0] && !waits(l) && !e->late)
		end_line(e, false);
	return 0;
}

/* What was being read is a key by itself, because what follows cannot belong to it. */
static int end_key(struct echo *e)
{
	const bool half = e->reader.more > 0;

	e->reader.more = 0;
	e->reader.state = 0;
	return e->off > e->key_from ? add_key(e, half ? KEY_CHAR : KEY_CONTROL, half ? UINT32_MAX : ESC, e->off) : 0;
}

/* Before new keys: what the output of before has left open. */
static void settle(struct echo *e)
{
	if (e->nlines == 0)
		return;
	if (e->late && e->answered && !e->lines[0]->ended) {
		set_states(e->lines[0], ECHO_LATE, ECHO_SHOWN);
		e->late = false;
	}
	if (e->lines[0]->ended && e->answered) {
		e->lines[0]->noisy = true;
		end_line(e, false);
	}
}

int echo_input(struct echo *e, const uint8_t *data, size_t len)
{
	enum key_kind kind;
	uint32_t cp;

	settle(e);
	/* the key ESC alone; the beginning of a sequence was cut off by a frame's end only if more of it follows */
	if (len > 0 && key_is_escape(&e->reader) && !(len > 1 && (data[0] == '[' || data[0] == 'O')) &&
	    end_key(e) != 0)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (key_is_cut(&e->reader, data[i]) && end_key(e) != 0)
			return -1;
		e->off++;
		if (key_byte(&e->reader, data[i], &kind, &cp) && add_key(e, kind, cp, e->off) != 0)
			return -1;
	}
	return 0;
}

/* ---- life ---- */

void echo_resize(struct echo *e, unsigned cols, unsigned rows)
{
	screen_resize(e->screen, cols, rows);
}

void echo_end(struct echo *e)
{
	end_key(e);
	if (e->nlines > 0 && e->late && !e->lines[0]->ended)
		settle(e);
	while (e->nlines > 0)
		if (e->lines[0]->ended)
			end_line(e, false);
		else
			cut_line(e, false);
	for (size_t i = 0; i < e->nlost; i++)
		judge(e, e->lost[i], false);
	e->nlost = 0;
}

struct echo *echo_create(unsigned cols, unsigned rows, hide_fn *hide, void *ctx)
{
	struct echo *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->hide = hide;
	e->ctx = ctx;
	e->follow = SIZE_MAX;
	e->answered = true;
	e->screen = screen_create(cols > 0 ? cols : 80, rows > 0 ? rows : 24, NULL, NULL);
	if (e->screen == NULL) {
		free(e);
		return NULL;
	}
	return e;
}

void echo_destroy(struct echo *e)
{
	if (e == NULL)
		return;
	while (e->nlines > 0)
		free_line(e->lines[--e->nlines]);
	while (e->nlost > 0)
		free_line(e->lost[--e->nlost]);
	screen_destroy(e->screen);
	free(e);
}
