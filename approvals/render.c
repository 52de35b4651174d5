/*
 * render.c - a reply into text. See render.h.
 *
 * Runs in bastionctl and in the session process; before it comes a reply of policy
 * (doc/PROTOCOL.control, section 3), after it a terminal or a pipe. Every foreign byte passes
 * cell_text() or render_line(), which escape.
 */
#include "render.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "escape.h"

#define COLS_MAX 24
#define ROWS_MAX 20000
#define CELL_MAX 4096		/* bytes of an escaped cell; more is cut */
#define GAP 2			/* blanks between columns */
#define NARROW_MAX 10		/* a column is not cut below this, nor below its head */
#define DROP_WEIGHT 4		/* from this weight on a column may be left out, */
#define DROP_COLUMNS 60		/* on a terminal as wide as this; else blocks say more */
#define BOLD "\033[1m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define RED "\033[31m"
#define PLAIN "\033[0m"
#define ELLIPSIS "\xe2\x80\xa6"	/* one column */

struct table {
	const struct words_col *cols[COLS_MAX];	/* those that hold anything */
	size_t ncols, nrows;
	char **cells;		/* nrows * ncols, escaped */
	size_t natural[COLS_MAX], width[COLS_MAX];	/* as the cells would like it; as it is */
	bool dropped[COLS_MAX];
	const struct render_opts *o;
	struct buf *out;
};

static void put(struct buf *b, const char *text)
{
	buf_put(b, text, strlen(text));
}

static void put_blanks(struct buf *b, size_t n)
{
	static const char blanks[] = "                                ";

	for (size_t step; n > 0; n -= step) {
		step = n < sizeof(blanks) - 1 ? n : sizeof(blanks) - 1;
		buf_put(b, blanks, step);
	}
}

/* Escapes all but '\n', which parts lines, and '\t', which `config` indents with. */
void render_line(struct buf *b, const char *text)
{
	for (;;) {
		size_t len = strcspn(text, "\t\n"), size = len * 4 + 8;
		uint8_t *room = buf_reserve(b, size);

		if (room == NULL)
			return;
		b->len -= size - esc_line((char *)room, size, text, len);
		text += len;
		put(b, *text == '\t' ? "\t" : "\n");
		if (*text == '\0' || (*text == '\n' && text[1] == '\0'))
			return;
		text++;
	}
}

/* A number of seconds, if the value is one that a clock can show. */
static bool get_seconds(const json_t *v, int64_t *seconds)
{
	*seconds = json_integer_value(v);
	return json_is_integer(v) && *seconds >= 0 && *seconds <= 253402300799; /* 9999-12-31 */
}

/* Says nothing: missing, null, "", [] or {}. */
static bool is_empty(const json_t *v)
{
	return v == NULL || json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0) ||
	    (json_is_array(v) && json_array_size(v) == 0) ||
	    (json_is_object(v) && json_object_size(v) == 0);
}

static void value_text(struct buf *b, const json_t *v, enum col_kind kind);

/* {"host":"web1","for":7200,"ticket":""} as host=web1 for=7200 */
static void detail_text(struct buf *b, const char *text)
{
	json_t *detail = json_loads(text, 0, NULL), *v;
	const char *key;

	if (!json_is_object(detail))
		put(b, text);
	json_object_foreach(detail, key, v) {
		if (is_empty(v) || json_is_false(v))
			continue;
		put(b, b->len > 0 ? " " : "");
		put(b, key);
		put(b, "=");
		value_text(b, v, COL_TEXT);
	}
	json_decref(detail);
}

/* Appends the plain text of a value, not yet escaped. */
static void value_text(struct buf *b, const json_t *v, enum col_kind kind)
{
	char tmp[32], *dump;
	int64_t seconds;

	if (kind == COL_SPAN && get_seconds(v, &seconds)) {
		put(b, duration_format(tmp, sizeof(tmp), (uint64_t)seconds));
	} else if ((kind == COL_TIME || kind == COL_STAMP) && get_seconds(v, &seconds)) {
		clock_format(tmp, sizeof(tmp), seconds);
		tmp[10] = ' ';
		tmp[kind == COL_TIME ? 16 : 19] = '\0';
		put(b, tmp);
	} else if (json_is_string(v) && kind == COL_DETAIL) {
		detail_text(b, json_string_value(v));
	} else if (json_is_string(v)) {
		put(b, json_string_value(v));
	} else if (json_is_boolean(v)) {
		put(b, json_is_true(v) ? "yes" : kind == COL_YES ? "" : "no");
	} else if (json_is_array(v)) {
		for (size_t i = 0; i < json_array_size(v) && b->len < CELL_MAX; i++) {
			put(b, i > 0 ? ", " : "");
			value_text(b, json_array_get(v, i), kind);
		}
	} else if (v != NULL && !json_is_null(v)) {
		if ((dump = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY)) != NULL)
			put(b, dump);
		free(dump);
	}
}

/* The escaped text of one cell, on the heap; NULL without memory. A missing value is "". */
static char *cell_text(const json_t *row, const struct words_col *col)
{
	struct buf plain;
	char *text = NULL;
	size_t size;

	buf_init(&plain, RENDER_MAX);
	value_text(&plain, json_object_get(row, col->key), col->kind);
	size = plain.len * 4 + 8 < CELL_MAX ? plain.len * 4 + 8 : CELL_MAX;
	if (buf_ok(&plain) && (text = malloc(size)) != NULL)
		esc_text(text, size, plain.data != NULL ? plain.data : (const uint8_t *)"",
		    plain.len);
	buf_finish(&plain);
	return text;
}

static const char *cell(const struct table *t, size_t row, size_t col)
{
	return t->cells[row * t->ncols + col];
}

/* Columns that are empty in every row say nothing. */
static void choose_cols(struct table *t, const struct words_col *cols, const json_t *rows)
{
	for (; cols->key != NULL && t->ncols < COLS_MAX; cols++) {
		for (size_t r = 0; r < t->nrows; r++) {
			const json_t *v = json_object_get(json_array_get(rows, r), cols->key);

			if (is_empty(v) || (cols->kind == COL_YES && json_is_false(v)))
				continue;
			t->cols[t->ncols++] = cols;
			break;
		}
	}
}

/* Escaped cells and the widths that they would like. 0, -1 without memory. */
static int fill(struct table *t, const json_t *rows)
{
	if (t->ncols == 0 || (t->cells = calloc(t->nrows * t->ncols, sizeof(char *))) == NULL)
		return t->ncols == 0 ? 0 : -1;
	for (size_t c = 0; c < t->ncols; c++)
		t->natural[c] = strlen(t->cols[c]->head);
	for (size_t r = 0; r < t->nrows; r++) {
		for (size_t c = 0; c < t->ncols; c++) {
			char *text = cell_text(json_array_get(rows, r), t->cols[c]);
			size_t w;

			if ((t->cells[r * t->ncols + c] = text) == NULL)
				return -1;
			if ((w = render_width(text, strlen(text))) > t->natural[c])
				t->natural[c] = w;
		}
	}
	return 0;
}

static size_t total_width(const struct table *t)
{
	size_t sum = 0;

	for (size_t c = 0; c < t->ncols; c++)
		if (!t->dropped[c])
			sum += t->width[c] + (sum > 0 ? GAP : 0);
	return sum;
}

/* Numbers and times say nothing when they are cut. */
static bool may_cut(const struct words_col *col)
{
	return col->weight > 0 && (col->kind == COL_TEXT || col->kind == COL_DETAIL);
}

/* Does column c give way before column d? */
static bool gives_way(const struct table *t, size_t c, size_t d)
{
	if (t->cols[c]->weight != t->cols[d]->weight)
		return t->cols[c]->weight > t->cols[d]->weight;
	return t->width[c] > t->width[d];
}

/*
 * Cuts texts, those of the heaviest column first, of equals the widest, until the table fits.
 * False: it cannot.
 */
static bool shrink(struct table *t)
{
	size_t have = (size_t)t->o->columns;

	memcpy(t->width, t->natural, sizeof(t->width));
	while (t->o->columns > 0 && total_width(t) > have) {
		size_t best = t->ncols, over = total_width(t) - have, least = 0;

		for (size_t c = 0; c < t->ncols; c++) {
			size_t head = strlen(t->cols[c]->head);
			size_t low = head > NARROW_MAX ? head : NARROW_MAX;

			if (t->dropped[c] || !may_cut(t->cols[c]) || t->width[c] <= low ||
			    (best < t->ncols && !gives_way(t, c, best)))
				continue;
			best = c;
			least = low;
		}
		if (best == t->ncols)
			return false;
		t->width[best] = t->width[best] - least > over ? t->width[best] - over : least;
	}
	return true;
}

/*
 * Leaves out the heaviest columns, one by one, until the rest fits. False: blocks it is, with all
 * of them.
 */
static bool fit(struct table *t)
{
	while (!shrink(t)) {
		size_t best = t->ncols;

		for (size_t c = 0; c < t->ncols; c++)
			if (!t->dropped[c] && t->cols[c]->weight >= DROP_WEIGHT &&
			    (best == t->ncols || t->cols[c]->weight >= t->cols[best]->weight))
				best = c;
		if (best == t->ncols || t->o->columns < DROP_COLUMNS)
			return false;
		t->dropped[best] = true;
	}
	return true;
}

/* What was left out shall not look as if it were not there. */
static void tell_dropped(const struct table *t, struct buf *err)
{
	const char *before = "not shown for want of room: ";

	for (size_t c = 0; c < t->ncols; c++) {
		if (!t->dropped[c])
			continue;
		put(err, before);
		put(err, t->cols[c]->head);
		before = ", ";
	}
	if (before[0] == ',')
		put(err, " (a wider terminal or --json has it)\n");
}

/* SGR for a state: what gives access green, what waits yellow, what ended by someone's will red. */
static const char *state_colour(const char *state)
{
	static const struct { const char *state, *sgr; } colours[] = {
		{ "active", GREEN }, { "approved", GREEN }, { "pending", YELLOW }, { "denied", RED },
		{ "revoked", RED }, { "locked", RED }, { "removed", RED },
	};

	for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++)
		if (strcmp(colours[i].state, state) == 0)
			return colours[i].sgr;
	return NULL;
}

/* A cell cut to its width; blanks after it unless it is the last of its line. */
static void put_cell(struct table *t, size_t c, const char *text, const char *sgr, bool last)
{
	size_t len = strlen(text), w = render_width(text, len), cut = len;

	if (!t->o->colour)
		sgr = NULL;
	if (w > t->width[c])
		cut = render_fit(text, len, t->width[c] - 1);
	put(t->out, sgr != NULL ? sgr : "");
	buf_put(t->out, text, cut);
	if (cut < len) {
		put(t->out, ELLIPSIS);
		w = render_width(text, cut) + 1;
	}
	put(t->out, sgr != NULL ? PLAIN : "");
	if (!last)
		put_blanks(t->out, t->width[c] - w + GAP);
}

/* r: a row, or t->nrows for the heads. No blanks at the line's end. */
static void put_line(struct table *t, size_t r)
{
	size_t last = 0;

	for (size_t c = 0; c < t->ncols; c++)
		if (!t->dropped[c] && (r == t->nrows || cell(t, r, c)[0] != '\0'))
			last = c;
	for (size_t c = 0; c <= last; c++) {
		const char *text = r == t->nrows ? t->cols[c]->head : cell(t, r, c), *sgr = NULL;

		if (r == t->nrows)
			sgr = BOLD;
		else if (t->cols[c]->kind == COL_STATE)
			sgr = state_colour(text);
		if (!t->dropped[c])
			put_cell(t, c, text, sgr, c == last);
	}
	put(t->out, "\n");
}

static void put_table(struct table *t)
{
	put_line(t, t->nrows);
	for (size_t r = 0; r < t->nrows; r++)
		put_line(t, r);
}

void render_wrapped(struct buf *out, const char *text, size_t indent, int columns)
{
	const size_t wide = columns > 0 ? (size_t)columns : 0;
	const size_t room = wide > indent + 8 ? wide - indent : 8;
	size_t len = strlen(text);

	while (columns > 0 && render_width(text, len) > room) {
		size_t whole = render_fit(text, len, room), cut = whole;

		while (cut > 0 && text[cut] != ' ')
			cut--;
		if (cut == 0)
			cut = whole;
		buf_put(out, text, cut);
		put(out, "\n");
		put_blanks(out, indent);
		cut += text[cut] == ' ';
		text += cut;
		len -= cut;
	}
	buf_put(out, text, len);
}

/*
 * One line a value, an empty line between rows: for one thing, and for lists on a narrow terminal.
 */
static void put_blocks(struct table *t)
{
	size_t heads = 0;

	for (size_t c = 0; c < t->ncols; c++)
		if (strlen(t->cols[c]->head) > heads)
			heads = strlen(t->cols[c]->head);
	for (size_t r = 0; r < t->nrows; r++) {
		if (r > 0)
			put(t->out, "\n");
		for (size_t c = 0; c < t->ncols; c++) {
			const char *text = cell(t, r, c), *sgr = NULL;

			if (text[0] == '\0')
				continue;
			if (t->o->colour && t->cols[c]->kind == COL_STATE)
				sgr = state_colour(text);
			put(t->out, t->cols[c]->head);
			put_blanks(t->out, heads - strlen(t->cols[c]->head) + GAP);
			put(t->out, sgr != NULL ? sgr : "");
			render_wrapped(t->out, text, heads + GAP, t->o->columns);
			put(t->out, sgr != NULL ? PLAIN : "");
			put(t->out, "\n");
		}
	}
}

static void free_cells(struct table *t)
{
	for (size_t i = 0; t->cells != NULL && i < t->nrows * t->ncols; i++)
		free(t->cells[i]);
	free(t->cells);
}

/* `rows`: an array of objects; `one`: it stands for a single thing. */
static int render_rows(const json_t *rows, bool one, const struct render_opts *o, struct buf *out,
    struct buf *err)
{
	static const struct words_col none = { .key = NULL };
	struct table t = { .nrows = json_array_size(rows), .o = o, .out = out };
	const struct words_col *cols = &none;
	int r = WORDS_OK;

	if (o->word != NULL && o->word->cols != NULL)
		cols = o->word->cols;

	if (o->csv) {
		render_csv(rows, cols, out);
		return WORDS_OK;
	}
	if (t.nrows == 0) {
		render_line(err, "none");
		return WORDS_OK;
	}
	if (t.nrows > ROWS_MAX) {
		render_line(err, "the bastion sent too many rows; ask for less with --limit");
		return WORDS_BROKEN;
	}
	choose_cols(&t, cols, rows);
	if (fill(&t, rows) != 0) {
		render_line(err, "no memory");
		r = WORDS_BROKEN;
	} else if (t.ncols == 0) {
		render_line(err, "nothing in it that this program can show; --json has it");
	} else if (one || !fit(&t)) {
		put_blocks(&t);
	} else {
		put_table(&t);
		tell_dropped(&t, err);
	}
	free_cells(&t);
	return r;
}

static int render_error(const json_t *reply, const struct render_opts *o, struct buf *err)
{
	static const struct { const char *code; enum words_exit exit; } codes[] = {
		{ "refused", WORDS_REFUSED }, { "usage", WORDS_USAGE }, { "denied", WORDS_DENIED },
		{ "not_found", WORDS_NOT_FOUND }, { "broken", WORDS_BROKEN },
	};
	const char *code = json_string_value(json_object_get(reply, "code"));
	const char *error = json_string_value(json_object_get(reply, "error"));
	const char *hint = json_string_value(json_object_get(reply, "hint"));

	if (!o->json) {
		render_line(err, error != NULL ? error : "refused");
		if (hint != NULL)
			render_line(err, hint);
	}
	for (size_t i = 0; code != NULL && i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(codes[i].code, code) == 0)
			return codes[i].exit;
	return WORDS_BROKEN;
}

/* JSON in ASCII: every control but DEL is escaped by jansson, DEL can only stand in a string. */
static void put_json(struct buf *out, const json_t *reply)
{
	char *dump = json_dumps(reply, JSON_INDENT(2) | JSON_ENSURE_ASCII);

	for (const char *p = dump; p != NULL && *p != '\0'; p++) {
		if (*p == '\x7f')
			put(out, "\\u007f");
		else
			buf_put_u8(out, (uint8_t)*p);
	}
	free(dump);
	put(out, "\n");
}

/*
 * A reply that policy would not send: an older or newer daemon, or something else behind the
 * socket.
 */
static int bad_reply(struct buf *err)
{
	render_line(err, "the bastion's answer makes no sense: are its programs of one version?");
	return WORDS_BROKEN;
}

/* What `user totp enrol` replies beside its text. */
static void put_secret(struct buf *out, const json_t *reply)
{
	const char *secret = json_string_value(json_object_get(reply, "secret"));
	const char *uri = json_string_value(json_object_get(reply, "uri"));

	if (secret == NULL || uri == NULL)
		return;
	render_line(out, "");
	put(out, "  secret  ");
	render_line(out, secret);
	put(out, "  URI     ");
	render_line(out, uri);
}

/* A list that goes on. */
static void tell_next(const json_t *reply, struct buf *err)
{
	const json_int_t next = json_integer_value(json_object_get(reply, "next"));
	const char *after = json_string_value(json_object_get(reply, "after"));
	char line[96];

	if (json_is_true(json_object_get(reply, "older")))
		render_line(err, "There are older ones: --limit asks for more, up to 1000.");
	if (next <= 0 && after == NULL)
		return;
	if (after != NULL)
		snprintf(line, sizeof(line), "There is more: --after %s", after);
	else
		snprintf(line, sizeof(line), "There is more: --after %lld", (long long)next);
	render_line(err, line);
}

static int render_good(const json_t *reply, const struct render_opts *o, struct buf *out,
    struct buf *err)
{
	json_t *rows = json_object_get(reply, "rows"), *row = json_object_get(reply, "row");
	const char *text = json_string_value(json_object_get(reply, "text"));
	const char *note = json_string_value(json_object_get(reply, "note"));
	int r;

	if (text != NULL && text[0] != '\0' && !o->json)
		render_line(out, text);
	if (!o->json)
		put_secret(out, reply);
	if (note != NULL && !o->json)
		render_line(err, note);
	if (json_is_object(row)) {
		if ((rows = json_array()) == NULL || json_array_append(rows, row) != 0)
			r = WORDS_BROKEN;
		else
			r = o->json ? WORDS_OK : render_rows(rows, true, o, out, err);
		json_decref(rows);
		return r;
	}
	if (rows != NULL && !json_is_array(rows))
		return bad_reply(err);
	if (rows == NULL || o->json)
		return WORDS_OK;
	r = render_rows(rows, false, o, out, err);
	tell_next(reply, err);
	return r;
}

int render_reply(const char *json, size_t len, const struct render_opts *o, struct buf *out,
    struct buf *err)
{
	json_t *reply = json_loadb(json, len, 0, NULL), *ok;
	int r;

	if (reply == NULL || !json_is_boolean(ok = json_object_get(reply, "ok"))) {
		r = bad_reply(err);
	} else {
		if (json_is_true(ok))
			r = render_good(reply, o, out, err);
		else
			r = render_error(reply, o, err);
		if (o->json)
			put_json(out, reply);
	}
	json_decref(reply);
	return buf_ok(out) && buf_ok(err) ? r : WORDS_BROKEN;
}
