/*
 * render_csv.c - a list as CSV, for spreadsheets and scripts. See render.h.
 *
 * RFC 4180: a head, CRLF, quotes doubled. The head has the rows' keys, which are stable; every column of
 * the word is there, empty or not. Times are 2027-01-31T18:00:00Z, durations seconds, several values of
 * one cell stand with "; " between them. Runs where render.c runs.
 *
 * What is foreign is escaped as for a terminal. Besides, a spreadsheet takes a cell for a formula when it
 * begins with one of = + - @, or with their full-width forms; one that parts cells at ';' sees more beginnings.
 * A ' there makes it a text. Numbers are made here and stay numbers.
 */
#include "render.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "escape.h"

#define TIME_MAX 253402300799	/* 9999-12-31 */

static void put(struct buf *b, const char *text)
{
	buf_put(b, text, strlen(text));
}

/* Does a formula begin here, in some spreadsheet? */
static bool is_formula(const char *s)
{
	static const char *const wide[] = { "\uff1d", "\uff0b", "\uff0d", "\uff20" };

	s += strspn(s, " ");
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
		if (strncmp(s, wide[i], strlen(wide[i])) == 0)
			return true;
	return *s != '\0' && strchr("=+-@", *s) != NULL;
}

/* A foreign text that was escaped, without quotes around. */
static void put_safe(struct buf *b, const char *s)
{
	for (bool begin = true; *s != '\0'; begin = *s++ == ';') {
		if (begin && is_formula(s))
			put(b, "'");
		if (*s == '"')
			put(b, "\"");
		buf_put_u8(b, (uint8_t)*s);
	}
}

/* json: a JSON text has its own escapes, and stays one. */
static void put_text(struct buf *b, const char *text, size_t len, bool json)
{
	size_t size = len * 4 + 8;
	char *safe = malloc(size);

	if (safe == NULL) {
		b->bad = true;
		return;
	}
	(json ? esc_line : esc_text)(safe, size, text, len);
	put_safe(b, safe);
	free(safe);
}

static void put_number(struct buf *b, json_int_t n, enum col_kind kind)
{
	char text[32];

	if ((kind == COL_TIME || kind == COL_STAMP) && n >= 0 && n <= TIME_MAX)
		put(b, clock_format(text, sizeof(text), n));
	else if (snprintf(text, sizeof(text), "%lld", (long long)n) > 0)
		put(b, text);
}

static void put_value(struct buf *b, const json_t *v, enum col_kind kind)
{
	char *dump;

	if (json_is_integer(v)) {
		put_number(b, json_integer_value(v), kind);
	} else if (json_is_string(v)) {
		put_text(b, json_string_value(v), json_string_length(v), kind == COL_DETAIL);
	} else if (json_is_boolean(v)) {
		put(b, json_is_true(v) ? "yes" : "no");
	} else if (json_is_array(v)) {
		for (size_t i = 0; i < json_array_size(v); i++) {
			const json_t *one = json_array_get(v, i);

			put(b, i > 0 ? "; " : "");
			if (json_is_string(one) || json_is_integer(one))
				put_value(b, one, kind);
		}
	} else if (v != NULL && !json_is_null(v)) {
		if ((dump = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY)) != NULL)
			put_text(b, dump, strlen(dump), true);
		free(dump);
	}
}

/* In quotes always: then it does not matter what is in it. */
static void put_cell(struct buf *out, const json_t *v, enum col_kind kind)
{
	put(out, "\"");
	put_value(out, v, kind);
	put(out, "\"");
}

void render_csv(const json_t *rows, const struct words_col *cols, struct buf *out)
{
	for (const struct words_col *c = cols; c->key != NULL; c++) {
		put(out, c > cols ? ",\"" : "\"");
		put(out, c->key);
		put(out, "\"");
	}
	put(out, "\r\n");
	for (size_t r = 0; r < json_array_size(rows) && buf_ok(out); r++) {
		for (const struct words_col *c = cols; c->key != NULL; c++) {
			put(out, c > cols ? "," : "");
			put_cell(out, json_object_get(json_array_get(rows, r), c->key), c->kind);
		}
		put(out, "\r\n");
	}
}
