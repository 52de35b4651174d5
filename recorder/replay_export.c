/*
 * replay_export.c - `bastion-replay export`: as asciicast (replay_cast.c), as a picture
 * (replay_svg.c), as text to be read, as JSON of every event.
 */
#include "replay_player.h"

#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "replay_html.h"
#include "replay_pass.h"
#include "replay_term.h"
#include "screen.h"

/* Channels at a time that text keeps a screen for; others are shown escaped. */
#define TEXT_CHANNELS_MAX 32

/* ---- text ---- */

struct text_channel {
	bool used;
	uint64_t number;
	const struct channel *info;
	struct screen *screen;		/* of a channel with a terminal */
	struct plain plain;
	bool blank;			/* the last line was one, of an alternate screen */
	struct text_export *owner;
};

struct text_export {
	const struct scan *scan;
	struct text_channel chans[TEXT_CHANNELS_MAX];
	uint64_t current;		/* channel of the last line; UINT64_MAX: none yet */
	bool mid_line;
	struct typed_map *typed;
	struct typed_part part;
	bool failed;
};

/* A line is on standard output whose end is still to come: another speaker begins a new one. */
static void end_line(struct text_export *x)
{
	if (x->mid_line)
		putchar('\n');
	x->mid_line = false;
}

static void speak(struct text_export *x, uint64_t channel)
{
	if (x->current == channel)
		return;
	end_line(x);
	if (x->scan->nchans > 1 && channel != 0)
		printf("--- channel %llu\n", (unsigned long long)channel);
	x->current = channel;
}

static void screen_line(void *ctx, const char *text, size_t len, bool alternate, bool full)
{
	struct text_channel *c = ctx;
	bool empty = len == 0 && alternate;

	(void)full;
	/* a full-screen program leaves much of it blank */
	if (!empty || !c->blank) {
		speak(c->owner, c->number);
		printf("%s%.*s\n", empty ? "|" : alternate ? "| " : "", (int)len, text);
	}
	c->blank = empty;
}

static void plain_put(void *ctx, const char *text, size_t len)
{
	struct text_channel *c = ctx;

	speak(c->owner, c->number);
	fwrite(text, 1, len, stdout);
	if (len > 0)
		c->owner->mid_line = text[len - 1] != '\n';
}

static struct text_channel *text_channel(struct text_export *x, uint64_t number)
{
	struct text_channel *slot = NULL;

	for (size_t i = 0; i < TEXT_CHANNELS_MAX; i++) {
		if (x->chans[i].used && x->chans[i].number == number)
			return &x->chans[i];
		if (!x->chans[i].used && slot == NULL)
			slot = &x->chans[i];
	}
	if (slot == NULL)
		return NULL;
	memset(slot, 0, sizeof(*slot));
	slot->used = true;
	slot->number = number;
	slot->owner = x;
	slot->info = scan_channel(x->scan, number);
	if (slot->info != NULL && slot->info->pty)
		slot->screen = screen_create(slot->info->cols > 0 ? slot->info->cols : 80,
		    slot->info->rows > 0 ? slot->info->rows : 24, screen_line, slot);
	return slot;
}

static void finish_channel(struct text_channel *c)
{
	if (!c->used)
		return;
	if (c->screen != NULL)
		screen_lines(c->screen);
	else
		plain_end(&c->plain, plain_put, c);
	screen_destroy(c->screen);
	memset(c, 0, sizeof(*c));
}

static void text_bytes(struct text_export *x, const struct brec_event *e)
{
	struct text_channel spare = { .number = e->channel, .owner = x };
	struct text_channel *c = text_channel(x, e->channel);

	if (c != NULL && c->screen != NULL)
		screen_feed(c->screen, e->data, e->len);
	else if (c == NULL || c->info == NULL || channel_is_text(c->info))
		plain_feed(c != NULL ? &c->plain : &spare.plain, e->data, e->len, plain_put,
		    c != NULL ? c : &spare);
}

/* Keys without an echo, when their row has ended. */
static void text_hidden(struct text_export *x, uint64_t channel)
{
	char line[4 * TYPED_RUN_MAX];

	if (!x->part.ended)
		return;
	speak(x, channel);
	end_line(x);
	printf("%s\n", typed_line_of(x->typed, &x->part, line, sizeof(line)));
}

static void text_item(struct text_export *x, const struct brec_event *e)
{
	char line[3 * REPLAY_TEXT_MAX];

	if (e->kind == BREC_K_IN) {
		x->failed = x->failed || typed_show(x->typed, e->channel, e->data, e->len, &x->part) != 0;
		text_hidden(x, e->channel);
		return;
	}
	if (e->kind == BREC_K_OUT || e->kind == BREC_K_ERR) {
		text_bytes(x, e);
		return;
	}
	if (e->kind == BREC_K_RESIZE && e->len == 4) {
		struct text_channel *c = text_channel(x, e->channel);

		if (c != NULL && c->screen != NULL)
			screen_resize(c->screen, (unsigned)(e->data[0] << 8 | e->data[1]),
			    (unsigned)(e->data[2] << 8 | e->data[3]));
		return;
	}
	/* what is on a screen comes before the word that the channel ended */
	if (e->kind == BREC_K_EXIT || e->kind == BREC_K_EXIT_SIGNAL || e->kind == BREC_K_CLOSE ||
	    e->kind == BREC_K_DIGEST) {
		struct text_channel *c = text_channel(x, e->channel);

		if (e->kind == BREC_K_CLOSE) {
			typed_close(x->typed, e->channel, &x->part);
			text_hidden(x, e->channel);
		}
		if (c != NULL && (c->screen == NULL || e->kind == BREC_K_CLOSE))
			finish_channel(c);
		else if (c != NULL) {
			screen_lines(c->screen);
			screen_restart(c->screen, screen_cols(c->screen), screen_rows(c->screen));
		}
	}
	if (text_event(e, line, sizeof(line))) {
		speak(x, e->channel);
		end_line(x);
		printf("%s\n", line);
	}
}

/* n: what the reader gave last. */
static void text_tail(const struct brec_reader *r, int n)
{
	char line[3 * REPLAY_TEXT_MAX];
	struct brec_event e;

	for (enum brec_stream s = BREC_META; s < BREC_STREAMS; s++)
		if (text_begun(r, s, &e, line, sizeof(line)))
			puts(line);
	if (n < 0)
		printf("[not read further] %s\n", brec_reader_error(r));
	else if (!brec_reader_info(r)->closed)
		puts("[not closed] " NOT_CLOSED);
}

static void text_head(const struct recording *rec, const struct scan *s)
{
	char start[32], span[24], user[64], host[128], login[64], reason[512];

	printf("--- recording %s, %s UTC, %s\n", rec->id,
	    text_time(start, sizeof(start), s->info.wall_us),
	    text_span(span, sizeof(span), s->last_us));
	printf("--- %s as %s@%s: %s\n", meta_text(s->meta, "user", user, sizeof(user)),
	    meta_text(s->meta, "login", login, sizeof(login)),
	    meta_text(s->meta, "host", host, sizeof(host)),
	    meta_text(s->meta, "reason", reason, sizeof(reason)));
}

/* ---- JSON ---- */

static const struct {
	uint8_t kind;
	const char *name;
} kinds[] = {
	{ BREC_K_META, "meta" },
	{ BREC_K_OPEN, "open" },
	{ BREC_K_CLOSE, "close" },
	{ BREC_K_IN, "in" },
	{ BREC_K_OUT, "out" },
	{ BREC_K_ERR, "err" },
	{ BREC_K_RESIZE, "resize" },
	{ BREC_K_ENV, "env" },
	{ BREC_K_SIGNAL, "signal" },
	{ BREC_K_EXIT, "exit" },
	{ BREC_K_EXIT_SIGNAL, "exit-signal" },
	{ BREC_K_EOF, "eof" },
	{ BREC_K_FILE, "file" },
	{ BREC_K_DIGEST, "digest" },
	{ BREC_K_RUN, "run" },
	{ BREC_K_GAP, "gap" },
	{ BREC_K_NOTE, "note" },
	{ BREC_K_GRANT, "grant" },
	{ BREC_K_AUDIT, "event" },
};

static const char *kind_name(uint8_t kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].kind == kind)
			return kinds[i].name;
	return "unknown";
}

/* What the event says, in JSON's own types where it has some. */
static json_t *event_value(const struct brec_event *e)
{
	const uint8_t *d = e->data;
	struct audit a;
	json_t *v = NULL;

	switch (e->kind) {
	case BREC_K_META:
	case BREC_K_GRANT:
	case BREC_K_OPEN:
	case BREC_K_CLOSE:
	case BREC_K_FILE:
	case BREC_K_DIGEST:
	case BREC_K_RUN:
	case BREC_K_GAP: v = json_loadb((const char *)d, e->len, JSON_ALLOW_NUL, NULL); break;
	case BREC_K_RESIZE:
		if (e->len == 4)
			v = json_pack("{s:i, s:i}", "cols", d[0] << 8 | d[1], "rows",
			    d[2] << 8 | d[3]);
		break;
	case BREC_K_EXIT:
		if (e->len == 4)
			v = json_integer((json_int_t)d[0] << 24 | d[1] << 16 | d[2] << 8 | d[3]);
		break;
	case BREC_K_EXIT_SIGNAL:
		if (e->len > 0)
			v = json_pack("{s:b, s:o}", "core", d[0], "signal",
			    json_bytes(d + 1, e->len - 1));
		break;
	case BREC_K_EOF:
		if (e->len == 1)
			v = json_string(d[0] == 0 ? "in" : "out");
		break;
	case BREC_K_AUDIT:
		if (audit_decode(&a, e))
			v = audit_json(&a);
		break;
	default:
		break;
	}
	return v != NULL ? v : json_bytes(d, e->len);
}

/* Keys: "hidden": true, and the mark in place of those without an echo; with --reveal "revealed": true. */
static int json_input(const struct brec_item *it, struct text_export *x)
{
	const struct brec_event *e = &it->event;
	json_t *v;

	if (typed_show(x->typed, e->channel, e->data, e->len, &x->part) != 0)
		return -1;
	if (x->part.shown.len == 0 && e->len > 0)
		return 0;
	v = json_pack("{s:f, s:s, s:I, s:o, s:I}", "t", (double)e->t_us / 1e6, "kind", "in", "channel",
	    (json_int_t)e->channel, "data", json_bytes(x->part.shown.data, x->part.shown.len), "seq",
	    (json_int_t)it->seq);
	if (x->part.hidden)
		json_object_set_new(v, x->typed->reveal ? "revealed" : "hidden", json_true());
	return json_line(v);
}

static int json_item(const struct brec_item *it, struct text_export *x)
{
	const struct brec_event *e = &it->event;

	switch (it->type) {
	case BREC_ITEM_EVENT:
		if (e->kind == BREC_K_IN)
			return json_input(it, x);
		return json_line(json_pack("{s:f, s:s, s:I, s:o, s:I}", "t", (double)e->t_us / 1e6,
		    "kind", kind_name(e->kind), "channel", (json_int_t)e->channel, "data",
		    event_value(e), "seq", (json_int_t)it->seq));
	case BREC_ITEM_LOCKED:
		return json_line(json_pack("{s:s, s:s, s:I}", "kind", "locked", "stream",
		    brec_stream_name(it->stream), "seq", (json_int_t)it->seq));
	case BREC_ITEM_CLOSE:
		return json_line(json_pack("{s:s, s:s, s:o, s:f, s:I}", "kind", "end", "end",
		    brec_end_name(it->end), "reason", json_bytes(it->reason, strlen(it->reason)),
		    "wall", (double)it->wall_us / 1e6, "seq", (json_int_t)it->seq));
	default:
		return 0;
	}
}

static int json_tail(const struct brec_reader *r)
{
	int bad = 0;

	for (enum brec_stream s = BREC_META; s < BREC_STREAMS && !bad; s++) {
		json_t *begun = json_begun(r, s, "data");

		bad = begun != NULL && json_line(begun) != 0;
	}
	return bad;
}

/* ---- both ---- */

static void end_text(struct text_export *x)
{
	for (size_t i = 0; i < TEXT_CHANNELS_MAX; i++) {
		const uint64_t number = x->chans[i].number;

		if (!x->chans[i].used)
			continue;
		finish_channel(&x->chans[i]);
		typed_close(x->typed, number, &x->part);
		text_hidden(x, number);
	}
	end_line(x);
	typed_part_finish(&x->part);
}

static int export_items(const struct args *a, const struct recording *rec, const struct scan *s,
    const struct age_identities *ids, struct typed_map *typed)
{
	struct text_export *x = calloc(1, sizeof(*x));
	char err[512];
	struct pass p;
	struct brec_item it;
	int n = 0, bad = pass_begin(&p, (struct pass_aim){ .what = "export", .writing = true }, rec->dir, ids, err, sizeof(err));

	if (bad)
		fprintf(stderr, "bastion-replay: %s\n", err);
	bad = bad || x == NULL;
	if (x != NULL) {
		x->scan = s;
		x->current = UINT64_MAX;
		x->typed = typed;
		typed_part_init(&x->part);
	}
	if (!bad && a->form == EXPORT_TEXT) {
		pager_start();
		text_head(rec, s);
	}
	while (!bad && (n = pass_next(&p, &it)) == 1) {
		if (it.type == BREC_ITEM_EVENT && a->channel >= 0 &&
		    it.event.channel != (uint64_t)a->channel)
			continue;
		if (a->form == EXPORT_JSON)
			bad = json_item(&it, x) != 0;
		else if (it.type == BREC_ITEM_EVENT)
			text_item(x, &it.event);
		bad = bad || x->failed || ferror(stdout);
	}
	if (x != NULL)
		end_text(x);
	if (!bad && a->form == EXPORT_TEXT)
		text_tail(p.reader, n);
	bad = bad || (a->form == EXPORT_JSON && json_tail(p.reader) != 0);
	if (n < 0)
		fprintf(stderr, "bastion-replay: %s\n", brec_reader_error(p.reader));
	pass_end(&p);
	free(x);
	return bad || n < 0 ? -1 : 0;
}

static int export_as(const struct args *a, enum export_form form, const struct recording *rec, const struct scan *s,
    const struct age_identities *ids, struct typed_map *typed)
{
	struct args as = *a;
	const struct channel *c;

	as.form = form;
	if (form == EXPORT_TEXT || form == EXPORT_JSON)
		return export_items(&as, rec, s, ids, typed);
	if ((c = choose_channel(s, a)) == NULL)
		return -1;
	if (form == EXPORT_HTML)
		return html_export(rec, s, c, ids, typed);
	return cast_export(s, c, rec->dir, ids, typed, form == EXPORT_CAST3 ? 3 : 2);
}

/* With the map of what is hidden. */
static int export_mapped(const struct args *a, enum export_form form, const struct recording *rec,
    const struct scan *s, const struct age_identities *ids)
{
	struct typed_map typed;
	char err[512];
	int r;

	if (typed_map_load(&typed, rec->dir, ids, a->reveal, err, sizeof(err)) != 0) {
		fprintf(stderr, "bastion-replay: %s\n", err);
		return -1;
	}
	r = export_as(a, form, rec, s, ids, &typed);
	typed_map_finish(&typed);
	return r;
}

int export_text(const struct args *a, const struct recording *rec, const struct scan *s,
    const struct age_identities *ids)
{
	return export_mapped(a, EXPORT_TEXT, rec, s, ids);
}

static int export_scanned(struct args *a, const struct recording *rec, const struct scan *s,
    const struct age_identities *ids)
{
	const struct channel *c;

	if (a->channel >= 0 && choose_channel(s, a) == NULL)
		return -1;
	if (a->form != EXPORT_SVG)
		return scan_shown(s, export_mapped(a, a->form, rec, s, ids));
	return (c = choose_channel(s, a)) != NULL ? scan_shown(s, svg_export(a, s, c, rec->dir, ids)) : -1;
}

int cmd_export(struct args *a)
{
	if (a->form == EXPORT_NONE) {
		fprintf(stderr, "bastion-replay: export as what? One of " EXPORT_FORMS "\n");
		return EXIT_USAGE;
	}
	if (a->at_given && a->form != EXPORT_SVG) {
		fprintf(stderr, "bastion-replay: --at means something to export --svg alone\n");
		return EXIT_USAGE;
	}
	if (a->reveal && a->form == EXPORT_SVG) {
		fprintf(stderr, "bastion-replay: a picture has what the screen showed: --reveal adds nothing\n");
		return EXIT_USAGE;
	}
	return scan_visited(a, export_scanned);
}
