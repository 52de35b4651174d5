/*
 * replay_tape.c - what the player plays: the events of one channel, in memory, so that it can go
 * back.
 */
#include "replay_player.h"
#include "replay_pass.h"
#include "replay_typed_live.h"

#include <stdlib.h>
#include <string.h>

struct loader {
	struct tape *tape;
	const struct channel *chan;
	struct plain plain;
	struct typed_map typed;
	struct typed_part part;
	bool failed;
};

static void add_data(void *ctx, const char *bytes, size_t len)
{
	struct loader *l = ctx;
	struct tape *t = l->tape;

	if (t->len + len > t->size) {
		size_t size = t->size == 0 ? 65536 : 2 * t->size;

		while (size < t->len + len)
			size *= 2;
		char *v = size > 2 * (size_t)TAPE_BYTES_MAX ? NULL : realloc(t->data, size);
		if (v == NULL) {
			l->failed = true;
			return;
		}
		t->data = v;
		t->size = size;
	}
	memcpy(t->data + t->len, bytes, len);
	t->len += len;
}

/* Output of a command, for a screen: a line feed alone does not go back to the first column. */
static void add_plain(void *ctx, const char *text, size_t len)
{
	if (len == 1 && text[0] == '\n')
		add_data(ctx, "\r\n", 2);
	else
		add_data(ctx, text, len);
}

/* An event of the data from `off` on. */
static void add_event(struct loader *l, uint64_t t_us, char kind, size_t off)
{
	struct tape *t = l->tape;

	/* a hostile session may say any time: on a tape it goes on, and not for ever */
	if (t_us > TAPE_US_MAX)
		t_us = TAPE_US_MAX;
	if (t_us < t->end_us)
		t_us = t->end_us;
	if (t->n == t->cap) {
		size_t cap = t->cap == 0 ? 1024 : 2 * t->cap;
		struct tape_event *v = reallocarray(t->v, cap, sizeof(*v));

		if (v == NULL) {
			l->failed = true;
			return;
		}
		t->v = v;
		t->cap = cap;
	}
	t->v[t->n++] = (struct tape_event){
		.t_us = t_us, .kind = kind, .off = off, .len = (uint32_t)(t->len - off)
	};
	t->end_us = t_us;
}

static void load_line(struct loader *l, const struct brec_event *e, uint64_t t)
{
	char line[3 * REPLAY_TEXT_MAX];
	size_t off = l->tape->len;

	if (!text_event(e, line, sizeof(line)))
		return;
	if (l->chan->pty) {
		add_data(l, line, strlen(line));
		add_event(l, t, 'n', off);
		return;
	}
	/* among a command's output it is told apart by its looks: no output can have any */
	plain_end(&l->plain, add_plain, l);
	add_data(l, "\033[1m", 4);
	add_data(l, line, strlen(line));
	add_data(l, "\033[m\r\n", 5);
	add_event(l, t, 'n', off);
}

/* The line of keys without an echo, if a row of them has ended. */
static void add_hidden(struct loader *l)
{
	char line[4 * TYPED_RUN_MAX];

	if (!l->part.ended)
		return;
	typed_line_of(&l->typed, &l->part, line, sizeof(line));
	add_data(l, line, strlen(line));
}

static void load_input(struct loader *l, const struct brec_event *e, uint64_t t)
{
	const struct buf *shown = &l->part.shown;
	const size_t off = l->tape->len;

	if (typed_show(&l->typed, e->channel, e->data, e->len, &l->part) != 0) {
		l->failed = true;
		return;
	}
	add_hidden(l);
	if (l->part.ended || (shown->len > 0 && (memchr(shown->data, '\r', shown->len) != NULL ||
	    memchr(shown->data, '\n', shown->len) != NULL)))
		add_event(l, t, 'k', off);
}

static void load_event(struct loader *l, const struct brec_event *e)
{
	uint64_t t = e->t_us > l->chan->open_us ? e->t_us - l->chan->open_us : 0;
	size_t off = l->tape->len;

	switch (e->kind) {
	case BREC_K_OUT: case BREC_K_ERR:
		if (l->chan->pty)
			add_data(l, (const char *)e->data, e->len);
		else if (channel_is_text(l->chan))
			plain_feed(&l->plain, e->data, e->len, add_plain, l);
		if (l->tape->len > off)
			add_event(l, t, 'o', off);
		break;
	case BREC_K_IN: load_input(l, e, t); break;
	case BREC_K_RESIZE:
		if (e->len != 4)
			break;
		add_data(l, (const char *)e->data, 4);
		add_event(l, t, 'r', off);
		break;
	default:
		load_line(l, e, t);
		break;
	}
}

/* Notes of the whole connection belong to each of its channels, while that is open. */
static bool is_ours(const struct channel *c, const struct brec_event *e)
{
	return e->channel == c->number ||
	    (e->kind == BREC_K_NOTE && e->t_us >= c->open_us &&
		(!c->closed || e->t_us <= c->close_us));
}

static const char *load_items(struct loader *l, struct pass *p)
{
	struct tape *t = l->tape;
	struct brec_item it;
	int n;

	while ((n = pass_next(p, &it)) == 1) {
		if (it.type != BREC_ITEM_EVENT || !is_ours(l->chan, &it.event))
			continue;
		if (t->n >= TAPE_EVENTS_MAX || t->len >= TAPE_BYTES_MAX) {
			t->cut = true;
			return "only its beginning fits into memory: export --text has all";
		}
		load_event(l, &it.event);
		if (l->failed)
			return "out of memory";
	}
	if (n < 0)
		return brec_reader_error(p->reader);
	return brec_reader_info(p->reader)->closed ? "" : NOT_CLOSED;
}

int tape_load(struct tape *t, const struct channel *c, const char *dir, const struct age_identities *ids,
    bool reveal)
{
	struct loader l = { .tape = t, .chan = c };
	struct pass p;

	memset(t, 0, sizeof(*t));
	if (typed_map_load(&l.typed, dir, ids, reveal, t->note, sizeof(t->note)) != 0)
		return -1;
	if (pass_begin(&p, (struct pass_aim){ .what = "load" }, dir, ids, t->note, sizeof(t->note)) != 0) {
		typed_map_finish(&l.typed);
		return -1;
	}
	typed_part_init(&l.part);
	snprintf(t->note, sizeof(t->note), "%s", load_items(&l, &p));
	pass_end(&p);
	typed_close(&l.typed, c->number, &l.part);
	if (l.part.ended) {
		const size_t off = t->len;

		add_hidden(&l);
		add_event(&l, t->end_us, 'k', off);
	}
	typed_part_finish(&l.part);
	typed_map_finish(&l.typed);
	if (l.failed)
		tape_finish(t);
	return l.failed ? -1 : 0;
}

void tape_finish(struct tape *t)
{
	free(t->v);
	free(t->data);
	t->v = NULL;
	t->data = NULL;
	t->n = t->cap = t->len = t->size = 0;
}

struct tape_feed {
	struct loader loader;
	struct channel chan;	/* as it was when it was opened: what the scan has may move */
	bool reveal;
	struct typed_live keys;
	uint64_t now;		/* of the event that is fed */
};

struct tape_feed *tape_feed_begin(struct tape *t, const struct channel *c, bool reveal)
{
	struct tape_feed *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	memset(t, 0, sizeof(*t));
	f->chan = *c;
	f->chan.closed = false;
	f->reveal = reveal;
	f->loader.tape = t;
	f->loader.chan = &f->chan;
	return f;
}

static void add_typed(void *ctx, const char *text)
{
	struct tape_feed *f = ctx;
	const size_t off = f->loader.tape->len;

	add_data(&f->loader, text, strlen(text));
	add_event(&f->loader, f->now, 'k', off);
}

int tape_feed_event(struct tape_feed *f, const struct brec_event *e)
{
	struct tape *t = f->loader.tape;

	if (!is_ours(&f->chan, e))
		return 0;
	if (t->n >= TAPE_EVENTS_MAX || t->len >= TAPE_BYTES_MAX)
		return -1;
	f->now = e->t_us > f->chan.open_us ? e->t_us - f->chan.open_us : 0;
	/* whether a line was echoed is known only later: it is marked, and what was typed not shown, or all of it */
	if (e->kind != BREC_K_IN)
		load_event(&f->loader, e);
	else if (f->reveal)
		typed_live_feed(&f->keys, e->data, e->len, add_typed, f);
	else if (memchr(e->data, '\r', e->len) != NULL || memchr(e->data, '\n', e->len) != NULL)
		add_event(&f->loader, f->now, 'k', t->len);
	return f->loader.failed ? -1 : 0;
}

void tape_feed_end(struct tape_feed *f)
{
	if (f != NULL)
		explicit_bzero(&f->keys, sizeof(f->keys));
	free(f);
}

bool tape_is_marker(const struct tape_event *e)
{
	return e->kind == 'n' || e->kind == 'k';
}

size_t tape_until(const struct tape *t, uint64_t t_us)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (t->v[mid].t_us <= t_us)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}
