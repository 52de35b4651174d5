/*
 * replay_scan.c - one pass over a recording: its metadata and its channels. Needs the auditor's
 * identity.
 */
#include "replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "replay_pass.h"
#include "replay_readings.h"

#define NO_META "this recording does not begin with metadata: nothing says whose it is"
#define BRIEF_ITEMS 256		/* a brief scan looks no further than this for the first channel */

/* ---- JSON that a session wrote ---- */

const char *meta_text(const json_t *meta, const char *key, char *out, size_t size)
{
	const json_t *v = json_object_get(meta, key);

	out[0] = '\0';
	if (json_is_string(v))
		esc_line(out, size, json_string_value(v), json_string_length(v));
	else if (json_is_integer(v))
		snprintf(out, size, "%lld", (long long)json_integer_value(v));
	return out;
}

static uint64_t meta_number(const json_t *v, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(v, key));

	return n < 0 ? 0 : (uint64_t)n;
}

static json_t *parse(const struct brec_event *e)
{
	return json_loadb((const char *)e->data, e->len, JSON_ALLOW_NUL, NULL);
}

/* ---- channels ---- */

static struct channel *find(struct scan *s, uint64_t number)
{
	for (size_t i = s->nchans; i > 0; i--)
		if (s->chans[i - 1].number == number)
			return &s->chans[i - 1];
	return NULL;
}

const struct channel *scan_channel(const struct scan *s, uint64_t number)
{
	for (size_t i = 0; i < s->nchans; i++)
		if (s->chans[i].number == number)
			return &s->chans[i];
	return NULL;
}

static int open_channel(struct scan *s, const struct brec_event *e)
{
	struct channel *v, *c;
	json_t *j;

	/* a hostile session could name more; they are counted with none of their own */
	if (s->nchans == REPLAY_CHANNELS_MAX || find(s, e->channel) != NULL)
		return 0;
	v = reallocarray(s->chans, s->nchans + 1, sizeof(*v));
	if (v == NULL)
		return -1;
	s->chans = v;
	c = &v[s->nchans++];
	memset(c, 0, sizeof(*c));
	c->number = e->channel;
	c->open_us = c->close_us = e->t_us;
	c->exit_status = -1;
	if ((j = parse(e)) == NULL)
		return 0;
	meta_text(j, "capability", c->capability, sizeof(c->capability));
	meta_text(j, "command", c->command, sizeof(c->command));
	meta_text(j, "term", c->term, sizeof(c->term));
	c->pty = json_is_true(json_object_get(j, "pty"));
	c->cols = (unsigned)(meta_number(j, "cols") & 0xffff);
	c->rows = (unsigned)(meta_number(j, "rows") & 0xffff);
	json_decref(j);
	return 0;
}

static void close_channel(struct channel *c, const struct brec_event *e)
{
	json_t *j = parse(e);
	uint64_t in = meta_number(j, "in"), out = meta_number(j, "out");

	c->closed = true;
	/* of a channel with a terminal only what was kept is counted */
	if (in > c->in)
		c->in = in;
	if (out > c->out)
		c->out = out;
	json_decref(j);
}

int scan_event(struct scan *s, const struct brec_event *e)
{
	const bool first = !s->begun;
	struct channel *c;

	s->begun = s->opens = true;
	s->last_us = e->t_us > s->last_us ? e->t_us : s->last_us;
	if (e->kind == BREC_K_META) {
		if (!first) /* bastion-record(5): they are the first event. Others come from a session that makes up something */
			return 0;
		s->described = true;
		s->meta = parse(e);
		return sha256_spans(s->meta_hash, SPANS(SPAN(e->data, e->len)));
	}
	if (e->kind == BREC_K_OPEN)
		return open_channel(s, e);
	if ((c = find(s, e->channel)) == NULL)
		return 0;
	c->close_us = e->t_us;
	if (e->kind == BREC_K_IN)
		c->in += e->len;
	else if (e->kind == BREC_K_OUT || e->kind == BREC_K_ERR)
		c->out += e->len;
	else if (e->kind == BREC_K_EXIT && e->len == 4)
		c->exit_status = (int64_t)e->data[0] << 24 | e->data[1] << 16 | e->data[2] << 8 |
		    e->data[3];
	else if (e->kind == BREC_K_CLOSE)
		close_channel(c, e);
	return 0;
}

int scan_recording(struct scan *s, const char *dir, const struct age_identities *ids, bool brief)
{
	struct pass p;
	struct brec_item it;
	uint64_t items = 0;
	int n;

	memset(s, 0, sizeof(*s));
	if (pass_begin(&p, (struct pass_aim){ .what = brief ? NULL : "read" }, dir, ids, s->error, sizeof(s->error)) != 0)
		return -1;
	while ((n = pass_next(&p, &it)) == 1) {
		if (it.type == BREC_ITEM_EVENT && scan_event(s, &it.event) != 0) {
			snprintf(s->error, sizeof(s->error), "%s", strerror(errno));
			pass_end(&p);
			scan_finish(s);
			return -1;
		}
		if (it.type == BREC_ITEM_LOCKED)
			s->begun = true;
		if (brief && (s->nchans > 0 || ++items == BRIEF_ITEMS))
			break;
	}
	if (n < 0) {
		s->broken = true;
		snprintf(s->error, sizeof(s->error), "%s", brec_reader_error(p.reader));
	}
	s->ended = n == 0;
	s->silent = s->ended && !s->begun;
	s->info = *brec_reader_info(p.reader);
	pass_end(&p);
	return 0;
}

void scan_finish(struct scan *s)
{
	json_decref(s->meta);
	free(s->chans);
	s->meta = NULL;
	s->chans = NULL;
	s->nchans = 0;
}

const struct channel *choose_channel(const struct scan *s, const struct args *a)
{
	const struct channel *c;

	if (a->channel >= 0) {
		c = scan_channel(s, (uint64_t)a->channel);
		if (c == NULL)
			fprintf(stderr,
			    "bastion-replay: the recording has no channel %lld; show lists them\n",
			    (long long)a->channel);
		return c;
	}
	for (size_t i = 0; i < s->nchans; i++)
		if (s->chans[i].pty)
			return &s->chans[i];
	if (s->nchans == 0)
		fprintf(stderr, "bastion-replay: %s\n",
		    s->meta == NULL ? (s->opens ? NO_META : "the identity does not open this recording") :
		    "nothing was done in this recording: it has no channel");
	return s->nchans > 0 ? &s->chans[0] : NULL;
}

const char *scan_lack(const struct scan *s)
{
	if (s->broken)
		return s->error;
	return s->info.closed ? NULL : NOT_CLOSED;
}

int scan_shown(const struct scan *s, int r)
{
	const char *lack = scan_lack(s);

	if (r != 0 || lack == NULL)
		return r;
	fprintf(stderr, "bastion-replay: %s\n", lack);
	return s->broken ? -1 : 0;
}

int scan_visited(struct args *a, scan_visit *visit)
{
	struct age_identities ids;
	struct recording rec;
	struct scan s;
	int r = -1;

	if (store_find(&rec, a->store, a->ids[0]) != 0)
		return EXIT_UNREADABLE;
	if (keys_identity(&ids, a, true) != 0)
		goto out;
	if (reading_begin(a, &rec, 1) != 0)
		goto out_ids;
	if (scan_recording(&s, rec.dir, &ids, false) != 0) {
		fprintf(stderr, "bastion-replay: %s\n", s.error);
		goto out_ids;
	}
	if (s.meta == NULL)
		fprintf(stderr, "bastion-replay: %s\n",
		    s.broken ? s.error : s.opens ? NO_META : "the identity does not open this recording");
	else
		r = visit(a, &rec, &s, &ids);
	scan_finish(&s);
out_ids:
	age_identities_finish(&ids);
out:
	recording_finish(&rec);
	return r == 0 ? EXIT_OK : EXIT_UNREADABLE;
}
