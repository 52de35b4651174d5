/*
 * replay_search_lines.c - see replay_search.h: one pass over a recording, its channels as lines.
 */
#include "replay_pass.h"
#include "replay_search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"

/* Bytes of one direction of a channel without a terminal, as they become lines. */
struct stream {
	struct plain plain;
	enum line_kind kind;
	struct chan *chan;
	uint64_t t_us;
	size_t len, head;	/* head: of the piece before */
	char line[LINE_BYTES_MAX];
};

struct chan {
	uint64_t number, open_us, now_us;
	struct rows *rows;		/* with a terminal */
	struct typed typed;
	bool text;			/* no file transfer */
	struct stream in, out;
	struct lines *owner;
};

struct lines {
	struct chan *chans[LINES_CHANNELS_MAX];
	line_fn *fn;
	void *ctx;
	struct typed_map typed;
	struct typed_part part;
	bool failed;
};

static void say_headed(struct lines *x, enum line_kind kind, uint64_t channel, uint64_t t_us,
    const char *text, size_t len, size_t head)
{
	const struct text_line l = { .kind = kind, .channel = channel, .t_us = t_us,
		.text = text, .len = len, .head = head };

	if (!x->failed && len > head && x->fn(x->ctx, &l) != 0)
		x->failed = true;
}

static void say(struct lines *x, enum line_kind kind, uint64_t channel, uint64_t t_us,
    const char *text, size_t len)
{
	say_headed(x, kind, channel, t_us, text, len, 0);
}

/* ---- pieces ---- */

/* The last beginning of a code point that is not behind n. */
static size_t whole(const char *text, size_t n)
{
	while (n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80)
		n--;
	return n;
}

int line_pieces(const struct text_line *l, line_fn *fn, void *ctx)
{
	struct text_line piece = *l;
	size_t to, from;
	int r;

	for (;; piece.text = l->text + from, piece.head = to - from) {
		const size_t at = (size_t)(piece.text - l->text), left = l->len - at;

		to = at + (left <= LINE_BYTES_MAX ? left : whole(piece.text, LINE_BYTES_MAX));
		piece.len = to - at;
		if (piece.len > piece.head && (r = fn(ctx, &piece)) != 0)
			return r;
		if (to == l->len)
			return 0;
		from = whole(l->text, to - SEARCH_TEXT_MAX);
	}
}

/* ---- channels without a terminal ---- */

static void end_stream_line(struct stream *s)
{
	say_headed(s->chan->owner, s->kind, s->chan->number, s->t_us, s->line, s->len, s->head);
	s->len = s->head = 0;
}

/* The line is longer than a piece, and goes on with c. */
static void cut_stream_line(struct stream *s, char c)
{
	const size_t end = ((uint8_t)c & 0xc0) == 0x80 ? whole(s->line, s->len - 1) : s->len;
	const size_t from = whole(s->line, end - SEARCH_TEXT_MAX);

	say_headed(s->chan->owner, s->kind, s->chan->number, s->t_us, s->line, end, s->head);
	s->head = end - from;
	s->len -= from;
	memmove(s->line, s->line + from, s->len);
	s->t_us = s->chan->now_us;
}

static void add_text(void *ctx, const char *text, size_t len)
{
	struct stream *s = ctx;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n') {
			end_stream_line(s);
			continue;
		}
		if (s->len == sizeof(s->line))
			cut_stream_line(s, text[i]);
		if (s->len == 0)
			s->t_us = s->chan->now_us;
		s->line[s->len++] = text[i] == '\t' ? ' ' : text[i];
	}
}

static void end_stream(struct stream *s)
{
	plain_end(&s->plain, add_text, s);
	end_stream_line(s);
}

/* ---- channels ---- */

static void on_typed(void *ctx, const char *keys, size_t len)
{
	struct chan *c = ctx;
	char line[4 * TYPED_MAX + 7];

	say(c->owner, LINE_TYPED, c->number, c->now_us, line,
	    esc_line(line, sizeof(line), keys, len));
}

static int from_rows(void *ctx, const struct text_line *l)
{
	struct lines *x = ctx;

	if (!x->failed && x->fn(x->ctx, l) != 0)
		x->failed = true;
	return x->failed ? -1 : 0;
}

static void destroy(struct chan *c)
{
	if (c == NULL)
		return;
	if (c->rows != NULL)
		rows_end(c->rows);
	typed_end(&c->typed, on_typed, c);
	end_stream(&c->in);
	end_stream(&c->out);
	rows_destroy(c->rows);
	free(c);
}

static struct chan **find(struct lines *x, uint64_t number)
{
	for (size_t i = 0; i < LINES_CHANNELS_MAX; i++)
		if (x->chans[i] != NULL && x->chans[i]->number == number)
			return &x->chans[i];
	return NULL;
}

static struct chan **free_slot(struct lines *x)
{
	for (size_t i = 0; i < LINES_CHANNELS_MAX; i++)
		if (x->chans[i] == NULL)
			return &x->chans[i];
	/* more are open than any client needs: the first one is told as far as it came */
	destroy(x->chans[0]);
	x->chans[0] = NULL;
	return &x->chans[0];
}

/* A value of an event, whole, unless it is escaped shorter than `least`. */
static void say_value(struct lines *x, enum line_kind kind, uint64_t channel, uint64_t t_us, const json_t *v, size_t least)
{
	const size_t size = 4 * json_string_length(v) + 7;
	char *text = malloc(size);
	size_t len;

	if (text == NULL) {
		x->failed = true;
		return;
	}
	len = esc_line(text, size, json_is_string(v) ? json_string_value(v) : "", json_string_length(v));
	if (len >= least)
		say(x, kind, channel, t_us, text, len);
	free(text);
}

/* Names of files of which the line of the event has the beginning only. */
static void long_names(struct lines *x, const struct brec_event *e, uint64_t t_us)
{
	json_t *j;

	if (4 * e->len < REPLAY_TEXT_MAX)
		return;
	j = json_loadb((const char *)e->data, e->len, JSON_ALLOW_NUL, NULL);
	say_value(x, LINE_EVENT, e->channel, t_us, json_object_get(j, "path"), REPLAY_TEXT_MAX);
	say_value(x, LINE_EVENT, e->channel, t_us, json_object_get(j, "to"), REPLAY_TEXT_MAX);
	json_decref(j);
}

static unsigned size_of(const json_t *j, const char *key)
{
	json_int_t v = json_integer_value(json_object_get(j, key));

	return v < 0 || v > 65535 ? 0 : (unsigned)v;
}

static void open_channel(struct lines *x, const struct brec_event *e)
{
	struct chan *c, **slot;
	const char *given;
	char cap[32];
	json_t *j;

	if (find(x, e->channel) != NULL)
		return;
	c = calloc(1, sizeof(*c));
	j = json_loadb((const char *)e->data, e->len, JSON_ALLOW_NUL, NULL);
	if (c == NULL) {
		x->failed = true;
		json_decref(j);
		return;
	}
	slot = free_slot(x);
	c->owner = x;
	c->number = e->channel;
	c->open_us = e->t_us;
	c->in.chan = c->out.chan = c;
	c->in.kind = LINE_TYPED;
	c->out.kind = LINE_SCREEN;
	meta_text(j, "capability", cap, sizeof(cap));
	c->text = strcmp(cap, "sftp") != 0 && strcmp(cap, "scp") != 0;
	if (json_is_true(json_object_get(j, "pty")))
		c->rows = rows_create(size_of(j, "cols"), size_of(j, "rows"), c->number, from_rows, x);
	*slot = c;
	given = json_string_value(json_object_get(j, "command"));
	if (given != NULL && strcmp(given, cap) != 0)
		say_value(x, LINE_GIVEN, c->number, 0, json_object_get(j, "command"), 1);
	json_decref(j);
}

static void feed_typed(struct chan *c, const struct typed_part *part)
{
	const char *p = (const char *)part->shown.data, *end = p + part->shown.len, *mark;

	while (part->hidden && !c->owner->typed.reveal &&
	    (mark = memmem(p, (size_t)(end - p), TYPED_HIDDEN, strlen(TYPED_HIDDEN))) != NULL) {
		typed_feed(&c->typed, p, (size_t)(mark - p), on_typed, c);
		typed_mark(&c->typed, TYPED_HIDDEN, on_typed, c);
		p = mark + strlen(TYPED_HIDDEN);
	}
	typed_feed(&c->typed, p, (size_t)(end - p), on_typed, c);
}

/* The rows see where lines end; what the keys were only as far as they may be shown. */
static void on_input(struct chan *c, const struct brec_event *e)
{
	const struct buf *shown = &c->owner->part.shown;

	if (typed_show(&c->owner->typed, e->channel, e->data, e->len, &c->owner->part) != 0) {
		c->owner->failed = true;
		return;
	}
	if (c->rows != NULL) {
		rows_input(c->rows, c->now_us, e->data, e->len);
		feed_typed(c, &c->owner->part);
	} else if (c->text)
		plain_feed(&c->in.plain, shown->data, shown->len, add_text, &c->in);
}

static void on_output(struct chan *c, const struct brec_event *e)
{
	if (c->rows != NULL)
		rows_output(c->rows, c->now_us, e->data, e->len);
	else if (c->text)
		plain_feed(&c->out.plain, e->data, e->len, add_text, &c->out);
}

static void on_event(struct lines *x, const struct brec_event *e)
{
	char line[3 * REPLAY_TEXT_MAX];
	struct chan **slot, *c;

	if (e->kind == BREC_K_OPEN)
		open_channel(x, e);
	slot = find(x, e->channel);
	c = slot != NULL ? *slot : NULL;
	if (c != NULL)
		c->now_us = e->t_us > c->open_us ? e->t_us - c->open_us : 0;
	if (c != NULL && e->kind == BREC_K_IN)
		on_input(c, e);
	else if (c != NULL && (e->kind == BREC_K_OUT || e->kind == BREC_K_ERR))
		on_output(c, e);
	else if (c != NULL && e->kind == BREC_K_RESIZE && e->len == 4 && c->rows != NULL)
		rows_resize(c->rows, c->now_us, (unsigned)(e->data[0] << 8 | e->data[1]),
		    (unsigned)(e->data[2] << 8 | e->data[3]));
	else if (text_event(e, line, sizeof(line)))
		say(x, LINE_EVENT, e->channel, c != NULL ? c->now_us : e->t_us, line, strlen(line));
	if (e->kind == BREC_K_FILE)
		long_names(x, e, c != NULL ? c->now_us : e->t_us);
	if (c != NULL && c->rows != NULL && rows_failed(c->rows))
		x->failed = true;
	if (c != NULL && e->kind == BREC_K_CLOSE) {
		*slot = NULL;
		destroy(c);
	}
}

int lines_read(const char *dir, const struct age_identities *ids, bool reveal, line_fn *fn, void *ctx,
    struct lines_info *info)
{
	struct lines x = { .fn = fn, .ctx = ctx };
	struct pass p;
	struct brec_item it;
	int n = 0;

	*info = (struct lines_info){ .error = "" };
	if (typed_map_load(&x.typed, dir, ids, reveal, info->error, sizeof(info->error)) != 0)
		return -1;
	if (pass_begin(&p, (struct pass_aim){ .what = "look for lines", .writing = true }, dir, ids, info->error, sizeof(info->error)) != 0) {
		typed_map_finish(&x.typed);
		return -1;
	}
	typed_part_init(&x.part);
	while (!x.failed && (n = pass_next(&p, &it)) == 1)
		if (it.type == BREC_ITEM_EVENT)
			on_event(&x, &it.event);
	for (size_t i = 0; i < LINES_CHANNELS_MAX; i++)
		destroy(x.chans[i]);
	if (n < 0)
		snprintf(info->error, sizeof(info->error), "%s", brec_reader_error(p.reader));
	info->locked_input = brec_reader_info(p.reader)->locked[BREC_INPUT] > 0;
	pass_end(&p);
	typed_part_finish(&x.part);
	typed_map_finish(&x.typed);
	return x.failed ? -1 : 0;
}
