/*
 * replay_cast.c - asciicast v2 and v3 of a channel, and JSON lines for every export.
 *
 * asciicast v2: a header object, then [seconds since the start, code, data] a line; v3: the same with
 * the seconds since the line before, and the terminal as an object of the header. The output in the cast has gone through screen_filter.c: whoever plays it, with whatever, is as
 * safe as with `play`.
 */
#include "replay_player.h"
#include "replay_pass.h"

#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "hex.h"
#include "screen_filter.h"

/* Gives a value to `line` as ASCII, and drops it. */
static int put_json(json_t *v, cast_line_fn *line, void *ctx)
{
	const size_t flags = JSON_ENSURE_ASCII | JSON_COMPACT | JSON_REAL_PRECISION(16);
	char *text = v != NULL ? json_dumps(v, flags) : NULL;
	int r = -1;

	if (text == NULL)
		fprintf(stderr, "bastion-replay: out of memory, or a file name that is no UTF-8\n");
	else
		r = line(ctx, text);
	free(text);
	json_decref(v);
	return r;
}

static int line_out(void *ctx, const char *line)
{
	(void)ctx;
	return puts(line) >= 0 ? 0 : -1;
}

int json_line(json_t *v)
{
	return put_json(v, line_out, NULL);
}

json_t *json_bytes(const void *data, size_t len)
{
	json_t *v = json_stringn(data, len);
	char *text;

	if (v != NULL)
		return v;
	text = malloc(BASE64_SIZE(len));
	if (text == NULL)
		return NULL;
	v = json_pack("{s:s}", "base64", base64_encode(text, data, len));
	free(text);
	return v;
}

/* Of one line: REP makes hundreds of characters of a few bytes, and what is more goes to another line of that moment. */
#define CAST_TEXT_MAX 65536

struct cast {
	const struct channel *chan;
	int version;
	cast_line_fn *line;
	void *ctx;
	uint64_t now_us, last_us;	/* of the event in progress, of the line before it */
	struct typed_map *typed;
	struct typed_part part;
	struct filter filter;
	struct plain plain;
	char text[CAST_TEXT_MAX];	/* of the line in progress */
	size_t len;
	bool failed;
};

static int put_event(struct cast *c, const char *code, json_t *data)
{
	uint64_t t = c->version == 3 ? c->now_us - c->last_us : c->now_us;

	c->last_us = c->now_us;
	return put_json(json_pack("[f, s, o]", (double)t / 1e6, code, data), c->line, c->ctx);
}

static int cast_line(struct cast *c, const char *code)
{
	const size_t len = c->len;

	/* of what was filtered out nothing may be left */
	if (c->failed)
		return -1;
	c->len = 0;
	return len > 0 ? put_event(c, code, json_stringn(c->text, len)) : 0;
}

/* Whole code points and sequences each time. Only output can be more than a line has. */
static void collect(void *ctx, const char *bytes, size_t len)
{
	struct cast *c = ctx;

	if (c->len + len > sizeof(c->text) && cast_line(c, "o") != 0) {
		c->failed = true;
		return;
	}
	memcpy(c->text + c->len, bytes, len);
	c->len += len;
}

/* What plain.c made of a command's output, for a terminal: a line feed alone does not go back to
 * the first column. */
static void collect_plain(void *ctx, const char *text, size_t len)
{
	if (len == 1 && text[0] == '\n')
		collect(ctx, "\r\n", 2);
	else
		collect(ctx, text, len);
}

static void no_hook(void *ctx, enum filter_hook what)
{
	(void)ctx;
	(void)what;
}

/* What the user typed is in a cast to be read, not shown: no player sends it to a terminal. */
static int cast_input(struct cast *c, const struct brec_event *e)
{
	const struct buf *shown = &c->part.shown;
	char *text = NULL;
	json_t *v;

	if (typed_show(c->typed, e->channel, e->data, e->len, &c->part) != 0)
		return -1;
	if (shown->len == 0)
		return 0;
	v = json_stringn((const char *)shown->data, shown->len);
	if (v == NULL && (text = malloc(4 * shown->len + 6)) != NULL) {
		esc_text(text, 4 * shown->len + 6, shown->data, shown->len);
		v = json_string(text);
		free(text);
	}
	return put_event(c, "i", v);
}

/* What the user's terminal said that it is. A player makes a cell of memory of each: no more of them than our own shows. */
static int bounded(unsigned n, unsigned most)
{
	return (int)(n == 0 ? 1 : n < most ? n : most);
}

/* The session's clock is the session's word: no time that ends the timeline. */
static uint64_t since(uint64_t t_us, uint64_t start_us)
{
	const uint64_t t = t_us > start_us ? t_us - start_us : 0;

	return t < TAPE_US_MAX ? t : TAPE_US_MAX;
}

static int cast_resize(struct cast *c, const struct brec_event *e)
{
	char size[32];
	int cols;

	if (e->len != 4)
		return 0;
	cols = bounded((unsigned)(e->data[0] << 8 | e->data[1]), SCREEN_COLS_MAX);
	c->filter.cols = (unsigned)cols;
	snprintf(size, sizeof(size), "%dx%d", cols, bounded((unsigned)(e->data[2] << 8 | e->data[3]), SCREEN_ROWS_MAX));
	collect(c, size, strlen(size));
	return cast_line(c, "r");
}

static int cast_note(struct cast *c, const struct brec_event *e)
{
	char line[3 * REPLAY_TEXT_MAX];

	if (!text_event(e, line, sizeof(line)))
		return 0;
	collect(c, line, strlen(line));
	if (!c->chan->pty)
		collect(c, "\r\n", 2);
	if (cast_line(c, c->chan->pty ? "m" : "o") != 0)
		return -1;
	if (c->version != 3 || e->kind != BREC_K_EXIT)
		return 0;
	snprintf(line, sizeof(line), "%lld", (long long)c->chan->exit_status);
	return put_event(c, "x", json_string(line));
}

static int cast_event(struct cast *c, const struct brec_event *e)
{
	const uint64_t t = since(e->t_us, c->chan->open_us);

	c->len = 0;
	c->now_us = t > c->last_us ? t : c->last_us;
	switch (e->kind) {
	case BREC_K_OUT: case BREC_K_ERR:
		if (c->chan->pty)
			filter_feed(&c->filter, e->data, e->len);
		else if (channel_is_text(c->chan))
			plain_feed(&c->plain, e->data, e->len, collect_plain, c);
		return cast_line(c, "o");
	case BREC_K_IN: return c->chan->pty ? cast_input(c, e) : 0;
	case BREC_K_RESIZE: return cast_resize(c, e);
	default: return cast_note(c, e);
	}
}

static int cast_header(const struct cast *out, const struct scan *s, const struct channel *c)
{
	const int cols = bounded(c->cols > 0 ? c->cols : 80, SCREEN_COLS_MAX), rows = bounded(c->rows > 0 ? c->rows : 24, SCREEN_ROWS_MAX);
	char user[64], host[128], login[64], title[300];
	json_t *v;

	snprintf(title, sizeof(title), "%s: %s@%s", meta_text(s->meta, "user", user, sizeof(user)),
	    meta_text(s->meta, "login", login, sizeof(login)),
	    meta_text(s->meta, "host", host, sizeof(host)));
	v = out->version == 3 ?
	    json_pack("{s:i, s:{s:i, s:i, s:s}}", "version", 3, "term", "cols", cols, "rows", rows,
		"type", c->term) :
	    json_pack("{s:i, s:i, s:i, s:f}", "version", 2, "width", cols, "height", rows,
		"duration", (double)since(c->close_us, c->open_us) / 1e6);
	json_object_set_new(v, "timestamp",
	    json_integer((s->info.wall_us + (int64_t)since(c->open_us, 0)) / 1000000));
	json_object_set_new(v, "title", json_string(title));
	json_object_set_new(v, "env", json_pack("{s:s}", "TERM", c->term));
	return put_json(v, out->line, out->ctx);
}

int cast_write(const struct scan *s, const struct channel *chan, const char *dir, const struct age_identities *ids,
    struct typed_map *typed, int version, cast_line_fn *line, void *ctx)
{
	static const struct filter_ops ops = { .put = collect, .hook = no_hook };
	struct cast c = { .chan = chan, .version = version, .line = line, .ctx = ctx, .typed = typed };
	char err[512];
	struct pass p;
	struct brec_item it;
	int n = 0, bad;

	if (pass_begin(&p, (struct pass_aim){ .what = "export", .writing = true }, dir, ids, err, sizeof(err)) != 0) {
		fprintf(stderr, "bastion-replay: %s\n", err);
		return -1;
	}
	bad = cast_header(&c, s, chan) != 0;

	typed_rewind(typed);
	typed_part_init(&c.part);
	filter_init(&c.filter, (unsigned)bounded(chan->cols > 0 ? chan->cols : 80, SCREEN_COLS_MAX), &ops, &c);
	while (!bad && (n = pass_next(&p, &it)) == 1)
		if (it.type == BREC_ITEM_EVENT && it.event.channel == chan->number)
			bad = cast_event(&c, &it.event) != 0;
	if (n < 0)
		fprintf(stderr, "bastion-replay: %s\n", brec_reader_error(p.reader));
	pass_end(&p);
	typed_part_finish(&c.part);
	return bad || n < 0 ? -1 : 0;
}

int cast_export(const struct scan *s, const struct channel *c, const char *dir, const struct age_identities *ids,
    struct typed_map *typed, int version)
{
	return cast_write(s, c, dir, ids, typed, version, line_out, NULL);
}
