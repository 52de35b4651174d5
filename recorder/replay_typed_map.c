/*
 * replay_typed_map.c - see replay_typed.h: what is hidden of the input of each channel of a recording.
 *
 * A recording is read once for this, and once more by who shows it: what a key was is known only from
 * what comes after it. Input of a channel without a terminal is data, echoed by nobody, and shown;
 * unless the target asked for a secret there (`sudo -S`): then all of it is hidden.
 */
#include "replay_typed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "replay.h"

#define ECHOES_MAX 64U		/* terminals at a time; input of others is hidden */

/* ---- ranges ---- */

static void hide(void *ctx, uint64_t from, uint64_t to)
{
	struct typed_channel *c = ctx;
	struct typed_range *v;

	if (c->all || from >= to)
		return;
	if (c->n == c->cap) {
		const size_t cap = c->cap == 0 ? 64 : 2 * c->cap;

		v = cap <= TYPED_RANGES_MAX ? reallocarray(c->v, cap, sizeof(*v)) : NULL;
		if (v == NULL) {
			c->all = true;
			return;
		}
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n++] = (struct typed_range){ from, to };
}

static int by_place(const void *a, const void *b)
{
	const struct typed_range *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

static void sort(struct typed_channel *c)
{
	size_t n = 0;

	if (c->n == 0)
		return;
	qsort(c->v, c->n, sizeof(*c->v), by_place);
	for (size_t i = 1; i < c->n; i++)
		if (c->v[i].from > c->v[n].to)
			c->v[++n] = c->v[i];
		else if (c->v[i].to > c->v[n].to)
			c->v[n].to = c->v[i].to;
	c->n = n + 1;
}

/* ---- channels ---- */

static struct typed_channel *find(const struct typed_map *m, uint64_t number)
{
	for (size_t i = m->n; i > 0; i--)
		if (m->v[i - 1].number == number)
			return &m->v[i - 1];
	return NULL;
}

static size_t echoes(const struct typed_map *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->v[i].echo != NULL;
	return n;
}

static unsigned size_of(const json_t *j, const char *key)
{
	const json_int_t v = json_integer_value(json_object_get(j, key));

	return v < 0 || v > 65535 ? 0 : (unsigned)v;
}

static int open_channel(struct typed_map *m, const struct brec_event *e)
{
	struct typed_channel *v, *c;
	json_t *j;

	if (find(m, e->channel) != NULL || m->n == REPLAY_CHANNELS_MAX)
		return 0;
	/* the echo of each holds its address */
	if (m->v == NULL && (m->v = calloc(REPLAY_CHANNELS_MAX, sizeof(*v))) == NULL)
		return -1;
	c = &m->v[m->n++];
	c->number = e->channel;
	j = json_loadb((const char *)e->data, e->len, JSON_ALLOW_NUL, NULL);
	c->terminal = json_is_true(json_object_get(j, "pty"));
	if (c->terminal && echoes(m) < ECHOES_MAX)
		c->echo = echo_create(size_of(j, "cols"), size_of(j, "rows"), hide, c);
	c->all = j == NULL || (c->terminal && c->echo == NULL);
	json_decref(j);
	return 0;
}

static void end_channel(struct typed_channel *c)
{
	if (c->echo != NULL)
		echo_end(c->echo);
	echo_destroy(c->echo);
	c->echo = NULL;
}

/* Output of a channel without a terminal: does it end in the middle of a question for a secret? */
static void plain_output(struct typed_channel *c, const uint8_t *data, size_t len)
{
	const uint8_t *lf = memrchr(data, '\n', len);
	size_t from = lf != NULL ? (size_t)(lf + 1 - data) : 0, n;

	if (lf != NULL)
		c->last_len = 0;
	if (len - from > sizeof(c->last))
		from = len - sizeof(c->last);
	n = len - from;
	if (c->last_len + n > sizeof(c->last)) {
		const size_t keep = sizeof(c->last) - n;

		memmove(c->last, c->last + c->last_len - keep, keep);
		c->last_len = keep;
	}
	memcpy(c->last + c->last_len, data + from, n);
	c->last_len += n;
	c->all = c->all || asks_for_secret(c->last, c->last_len);
}

static int on_event(struct typed_map *m, const struct brec_event *e)
{
	struct typed_channel *c;

	if (e->kind == BREC_K_OPEN)
		return open_channel(m, e);
	if ((c = find(m, e->channel)) == NULL)
		return 0;
	if (e->kind == BREC_K_IN) {
		c->known += e->len;
		return c->echo != NULL ? echo_input(c->echo, e->data, e->len) : 0;
	}
	if (e->kind == BREC_K_CLOSE)
		end_channel(c);
	else if ((e->kind == BREC_K_OUT || e->kind == BREC_K_ERR) && c->echo != NULL)
		echo_output(c->echo, e->data, e->len);
	else if ((e->kind == BREC_K_OUT || e->kind == BREC_K_ERR) && !c->terminal)
		plain_output(c, e->data, e->len);
	else if (e->kind == BREC_K_RESIZE && e->len == 4 && c->echo != NULL)
		echo_resize(c->echo, (unsigned)(e->data[0] << 8 | e->data[1]),
		    (unsigned)(e->data[2] << 8 | e->data[3]));
	return 0;
}

int typed_map_load(struct typed_map *m, const char *dir, const struct age_identities *ids, bool reveal,
    char *err, size_t errsize)
{
	struct brec_reader *r;
	struct brec_item it;
	bool failed = false;

	*m = (struct typed_map){ .reveal = reveal };
	if (reveal)
		return 0;
	if ((r = brec_reader_open(dir, ids, err, errsize)) == NULL)
		return -1;
	/* where it cannot be read further who shows it ends, too, and says so */
	while (!failed && brec_reader_next(r, &it) == 1)
		if (it.type == BREC_ITEM_EVENT)
			failed = on_event(m, &it.event) != 0;
	brec_reader_close(r);
	for (size_t i = 0; i < m->n; i++) {
		end_channel(&m->v[i]);
		sort(&m->v[i]);
	}
	if (!failed)
		return 0;
	snprintf(err, errsize, "%s", strerror(errno));
	typed_map_finish(m);
	return -1;
}

void typed_map_finish(struct typed_map *m)
{
	for (size_t i = 0; i < m->n; i++) {
		echo_destroy(m->v[i].echo);
		free(m->v[i].v);
	}
	free(m->v);
	*m = (struct typed_map){ .reveal = false };
}

/* ---- what may be shown ---- */

void typed_walk_init(struct typed_walk *w, const struct typed_map *m, uint64_t channel)
{
	*w = (struct typed_walk){ .map = m, .chan = m->reveal ? NULL : find(m, channel) };
}

/* How many bytes from w->off on are alike, at most `len`; *hidden: which. */
static size_t run(struct typed_walk *w, size_t len, bool *hidden)
{
	const struct typed_channel *c = w->chan;
	uint64_t end = w->off + len;

	*hidden = !w->map->reveal && (c == NULL || c->all || w->off >= c->known);
	if (w->map->reveal || *hidden)
		return len;
	end = end < c->known ? end : c->known;
	while (w->next < c->n && c->v[w->next].to <= w->off)
		w->next++;
	if (w->next < c->n && c->v[w->next].from <= w->off) {
		*hidden = true;
		end = end < c->v[w->next].to ? end : c->v[w->next].to;
	} else if (w->next < c->n && c->v[w->next].from < end) {
		end = c->v[w->next].from;
	}
	return (size_t)(end - w->off);
}

int typed_walk(struct typed_walk *w, const uint8_t *data, size_t len, struct buf *out, bool *hidden)
{
	buf_reset(out);
	*hidden = false;
	while (len > 0) {
		bool now;
		const size_t n = run(w, len, &now);
		int r = 0;

		if (!now)
			r = buf_put(out, data, n);
		else if (!w->hiding)
			r = buf_put(out, TYPED_HIDDEN, strlen(TYPED_HIDDEN));
		if (r != 0)
			return -1;
		*hidden = *hidden || now;
		w->hiding = now;
		w->off += n;
		data += n;
		len -= n;
	}
	return 0;
}
