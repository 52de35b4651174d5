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

#include "escape.h"
#include "replay.h"
#include "replay_pass.h"

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
	const char *capability;
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
	capability = json_string_value(json_object_get(j, "capability"));
	c->sftp = capability != NULL && strcmp(capability, "sftp") == 0;
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

/* Output of a channel without a terminal: does it end in a question for a secret, or with a line that is one? */
static void plain_output(struct typed_channel *c, const uint8_t *data, size_t len)
{
	const bool ended = len > 0 && data[len - 1] == '\n';
	const size_t to = len - ended;
	const uint8_t *lf = memrchr(data, '\n', to);
	size_t from = lf != NULL ? (size_t)(lf + 1 - data) : 0, n;

	if (lf != NULL)
		c->last_len = 0;
	if (to - from > sizeof(c->last))
		from = to - sizeof(c->last);
	n = to - from;
	if (c->last_len + n > sizeof(c->last)) {
		const size_t keep = sizeof(c->last) - n;

		memmove(c->last, c->last + c->last_len - keep, keep);
		c->last_len = keep;
	}
	memcpy(c->last + c->last_len, data + from, n);
	c->last_len += n;
	c->all = c->all || asks_for_secret(c->last, c->last_len);
	if (ended)
		c->last_len = 0;
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
	else if (((e->kind == BREC_K_OUT && !c->sftp) || e->kind == BREC_K_ERR) && !c->terminal)
		plain_output(c, e->data, e->len);
	else if (e->kind == BREC_K_RESIZE && e->len == 4 && c->echo != NULL)
		echo_resize(c->echo, (unsigned)(e->data[0] << 8 | e->data[1]),
		    (unsigned)(e->data[2] << 8 | e->data[3]));
	return 0;
}

int typed_map_load(struct typed_map *m, const char *dir, const struct age_identities *ids, bool reveal,
    char *err, size_t errsize)
{
	struct pass p;
	struct brec_item it;
	bool failed = false;

	*m = (struct typed_map){ .reveal = reveal };
	if (pass_begin(&p, (struct pass_aim){ .what = "look for hidden keys" }, dir, ids, err, errsize) != 0)
		return -1;
	/* where it cannot be read further who shows it ends, too, and says so */
	while (!failed && pass_next(&p, &it) == 1)
		if (it.type == BREC_ITEM_EVENT)
			failed = on_event(m, &it.event) != 0;
	pass_end(&p);
	for (size_t i = 0; i < m->n; i++) {
		end_channel(&m->v[i]);
		sort(&m->v[i]);
	}
	typed_rewind(m);
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
		buf_finish(&m->v[i].run);
		free(m->v[i].v);
	}
	free(m->v);
	buf_finish(&m->other.run);
	*m = (struct typed_map){ .reveal = false };
}

/* ---- what may be shown ---- */

static void rewind_channel(struct typed_channel *c)
{
	buf_finish(&c->run);
	buf_init(&c->run, TYPED_RUN_MAX);
	c->off = 0;
	c->next = 0;
	c->hiding = false;
}

void typed_rewind(struct typed_map *m)
{
	for (size_t i = 0; i < m->n; i++)
		rewind_channel(&m->v[i]);
	m->other.all = true;
	rewind_channel(&m->other);
}

void typed_part_init(struct typed_part *p)
{
	*p = (struct typed_part){ .hidden = false };
	buf_init(&p->shown, TYPED_SHOWN_MAX);
	buf_init(&p->run, 2 * TYPED_RUN_MAX);
}

void typed_part_finish(struct typed_part *p)
{
	buf_finish(&p->shown);
	buf_finish(&p->run);
}

/* How many bytes from c->off on are alike, at most `len`; *hidden: which. */
static size_t alike(struct typed_channel *c, size_t len, bool *hidden)
{
	uint64_t end = c->off + len;

	*hidden = c->all || c->off >= c->known;
	if (*hidden)
		return len;
	end = end < c->known ? end : c->known;
	while (c->next < c->n && c->v[c->next].to <= c->off)
		c->next++;
	if (c->next < c->n && c->v[c->next].from <= c->off) {
		*hidden = true;
		end = end < c->v[c->next].to ? end : c->v[c->next].to;
	} else if (c->next < c->n && c->v[c->next].from < end) {
		end = c->v[c->next].from;
	}
	return (size_t)(end - c->off);
}

static void end_run(struct typed_channel *c, struct typed_part *out)
{
	if (!c->hiding)
		return;
	/* what is too long for it was hidden, and is not said in full */
	if (out->ended)
		buf_put_u8(&out->run, '\r');
	buf_put(&out->run, c->run.data, c->run.len);
	buf_finish(&c->run);
	buf_init(&c->run, TYPED_RUN_MAX);
	out->ended = true;
	c->hiding = false;
}

static int take(const struct typed_map *m, struct typed_channel *c, const uint8_t *data, size_t n, bool hidden,
    struct typed_part *out)
{
	int r = 0;

	if (!hidden)
		end_run(c, out);
	if (!hidden || m->reveal)
		r = buf_put(&out->shown, data, n);
	else if (!c->hiding)
		r = buf_put(&out->shown, TYPED_HIDDEN, strlen(TYPED_HIDDEN));
	if (hidden && m->reveal && c->run.len + n <= TYPED_RUN_MAX && r == 0)
		r = buf_put(&c->run, data, n);
	out->hidden = out->hidden || hidden;
	c->hiding = hidden;
	c->off += n;
	return r;
}

static struct typed_channel *begin_part(struct typed_map *m, uint64_t channel, struct typed_part *out)
{
	struct typed_channel *c = find(m, channel);

	buf_reset(&out->shown);
	buf_reset(&out->run);
	out->hidden = out->ended = false;
	return c != NULL ? c : &m->other;
}

int typed_show(struct typed_map *m, uint64_t channel, const uint8_t *data, size_t len, struct typed_part *out)
{
	struct typed_channel *c = begin_part(m, channel, out);

	while (len > 0) {
		bool hidden;
		const size_t n = alike(c, len, &hidden);

		if (take(m, c, data, n, hidden, out) != 0)
			return -1;
		data += n;
		len -= n;
	}
	return 0;
}

void typed_close(struct typed_map *m, uint64_t channel, struct typed_part *out)
{
	end_run(begin_part(m, channel, out), out);
}

char *typed_line_of(const struct typed_map *m, const struct typed_part *part, char *out, size_t size)
{
	int n = snprintf(out, size, "%s", m->reveal ? "[typed, not echoed] " : TYPED_HIDDEN);

	if (m->reveal && (size_t)n < size)
		esc_text(out + n, size - (size_t)n, part->run.data, part->run.len);
	return out;
}
