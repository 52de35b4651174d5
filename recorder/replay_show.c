/*
 * replay_show.c - `bastion-replay show`: what happened in a recording, without playing it.
 */
#include "replay.h"

#include <string.h>

#include "escape.h"
#include "hex.h"
#include "replay_approvals.h"
#include "replay_pass.h"
#include "replay_term.h"

/* The order in which people ask. */
static const struct {
	const char *key, *label;
} fields[] = {
	{ "user", "user" },
	{ "person", "person" },
	{ "device", "device" },
	{ "fingerprint", "key" },
	{ "peer", "from" },
	{ "host", "host" },
	{ "login", "login" },
	{ "target", "address" },
	{ "method", "method" },
	{ "grant", "grant" },
	{ "reason", "reason" },
	{ "ticket", "ticket" },
	{ "store", "store" },
	{ "bastion", "bastion" },
};

static void print_meta(const struct recording *rec, const struct scan *s)
{
	char text[REPLAY_TEXT_MAX], id[65];

	printf("recording   %s\n", rec->id);
	printf("start       %s UTC\n", text_time(text, sizeof(text), s->info.wall_us));
	printf("duration    %s\n", text_span(text, sizeof(text), s->last_us));
	printf("size        %s in %u segment%s\n",
	    text_size(text, sizeof(text), recording_size(rec)), s->info.segments,
	    s->info.segments == 1 ? "" : "s");
	printf("signer      %s\n", hex_encode(id, s->info.signer, 32));
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (meta_text(s->meta, fields[i].key, text, sizeof(text))[0] != '\0')
			printf("%-11s %s\n", fields[i].label, text);
	approvals_lines(s->meta);
	if (!s->info.can_read[BREC_INPUT] && s->info.locked[BREC_INPUT] > 0)
		printf("input       the identity does not open what the user typed\n");
}

static void print_channels(const struct scan *s)
{
	char from[24], in[16], out[16];

	for (size_t i = 0; i < s->nchans; i++) {
		const struct channel *c = &s->chans[i];

		printf("\nchannel %llu  %s at %s", (unsigned long long)c->number, c->capability,
		    text_span(from, sizeof(from), c->open_us));
		if (c->pty)
			printf(", terminal %s %ux%u", c->term, c->cols, c->rows);
		printf(", %s in, %s out", text_size(in, sizeof(in), c->in),
		    text_size(out, sizeof(out), c->out));
		if (c->exit_status >= 0)
			printf(", exit status %lld", (long long)c->exit_status);
		printf("%s\n", c->closed ? "" : ", never closed");
	}
}

/* The lines of the events, with their time and channel. */
static int print_events(const char *dir, const struct age_identities *ids)
{
	char line[3 * REPLAY_TEXT_MAX], at[24], err[512];
	struct pass p;
	struct brec_item it;
	int n;

	if (pass_begin(&p, (struct pass_aim){ .what = "show", .writing = true }, dir, ids, err, sizeof(err)) != 0) {
		fprintf(stderr, "bastion-replay: %s\n", err);
		return -1;
	}
	putchar('\n');
	while ((n = pass_next(&p, &it)) == 1)
		if (it.type == BREC_ITEM_EVENT && text_event(&it.event, line, sizeof(line)))
			printf("%8s  %llu  %s\n", text_span(at, sizeof(at), it.event.t_us),
			    (unsigned long long)it.event.channel, line);
		else if (it.type == BREC_ITEM_CLOSE) {
			esc_line(line, sizeof(line), it.reason, strlen(it.reason));
			printf("%8s  -  [closed] %s%s%s\n", "end", brec_end_name(it.end),
			    line[0] ? ": " : "", line);
		}
	for (enum brec_stream s = BREC_META; s < BREC_STREAMS; s++)
		if (text_begun(p.reader, s, &it.event, line, sizeof(line)))
			printf("%8s  %llu  %s\n", text_span(at, sizeof(at), it.event.t_us), (unsigned long long)it.event.channel, line);
	if (n == 0 && !brec_reader_info(p.reader)->closed)
		printf("%8s  -  [not closed] " NOT_CLOSED "\n", "end");
	if (n < 0)
		fprintf(stderr, "bastion-replay: %s\n", brec_reader_error(p.reader));
	pass_end(&p);
	return n < 0 ? -1 : 0;
}

/* e: the event that opened it, with the whole command, which a scan does not keep; NULL: it was not reached. */
static json_t *channel_json(const struct channel *c, const struct brec_event *e)
{
	json_t *opened = e != NULL ? json_loadb((const char *)e->data, e->len, JSON_ALLOW_NUL, NULL) : NULL;
	json_t *command = json_object_get(opened, "command");
	json_t *j = json_pack("{s:I, s:s, s:o, s:b, s:f, s:f, s:I, s:I, s:b}", "channel",
	    (json_int_t)c->number, "capability", c->capability, "command", json_is_string(command) ? json_incref(command) : json_string(""), "pty",
	    c->pty, "start", (double)c->open_us / 1e6, "end", (double)c->close_us / 1e6, "in",
	    (json_int_t)c->in, "out", (json_int_t)c->out, "closed", c->closed);

	if (j != NULL && c->pty)
		json_object_set_new(j, "terminal",
		    json_pack("{s:s, s:i, s:i}", "term", c->term, "cols", (int)c->cols, "rows",
			(int)c->rows));
	if (j != NULL && c->exit_status >= 0)
		json_object_set_new(j, "exit_status", json_integer(c->exit_status));
	json_decref(opened);
	return j;
}

/* JSON values of files, gaps and notes are given as they were recorded. */
static json_t *event_json(const struct brec_event *e)
{
	const char *kind = e->kind == BREC_K_FILE ? "file" :
	    e->kind == BREC_K_DIGEST ? "digest" : e->kind == BREC_K_GAP ? "gap" :
	    e->kind == BREC_K_AUDIT ? "event" : "note";
	struct audit a;
	json_t *v = audit_decode(&a, e) ? audit_json(&a) : NULL;

	if (v == NULL && e->kind != BREC_K_NOTE)
		v = json_loadb((const char *)e->data, e->len, JSON_ALLOW_NUL, NULL);
	if (v == NULL)
		v = json_bytes(e->data, e->len);
	return json_pack("{s:f, s:I, s:s, s:o}", "t", (double)e->t_us / 1e6, "channel",
	    (json_int_t)e->channel, "kind", kind, "value", v);
}

/* Adds the channels and the events. err: what ended them before the recording's end; "": nothing. */
static void lists_json(const char *dir, const struct scan *s, const struct age_identities *ids, json_t *chans,
    json_t *events, char *err, size_t size)
{
	struct pass p;
	struct brec_item it;
	size_t next = 0;
	int n = 0;

	err[0] = '\0';
	if (pass_begin(&p, (struct pass_aim){ .what = "show" }, dir, ids, err, size) == 0) {
		while ((n = pass_next(&p, &it)) == 1) {
			const struct brec_event *e = &it.event;

			if (it.type != BREC_ITEM_EVENT)
				continue;
			/* the scan has them in the order in which they were opened */
			if (e->kind == BREC_K_OPEN && next < s->nchans && e->channel == s->chans[next].number)
				json_array_append_new(chans, channel_json(&s->chans[next++], e));
			else if (strchr("fdgna", e->kind) != NULL)
				json_array_append_new(events, event_json(e));
		}
		for (enum brec_stream stream = BREC_META; stream < BREC_STREAMS; stream++)
			json_array_append_new(events, json_begun(p.reader, stream, "value"));	/* NULL is none */
		if (n < 0)
			snprintf(err, size, "%s", brec_reader_error(p.reader));
		pass_end(&p);
	}
	for (; next < s->nchans; next++)
		json_array_append_new(chans, channel_json(&s->chans[next], NULL));
}

static int show_json(const struct recording *rec, const struct scan *s,
    const struct age_identities *ids)
{
	json_t *chans = json_array(), *events = json_array();
	char err[512];
	int r;

	lists_json(rec->dir, s, ids, chans, events, err, sizeof(err));
	r = json_line(json_pack("{s:s, s:o, s:f, s:f, s:I, s:b, s:b, s:O, s:o, s:o, s:s?}", "id",
	    rec->id, "dir", json_bytes(rec->dir, strlen(rec->dir)), "start", (double)s->info.wall_us / 1e6, "duration",
	    (double)s->last_us / 1e6, "size", (json_int_t)recording_size(rec), "closed",
	    s->info.closed, "input_readable", s->info.can_read[BREC_INPUT], "meta", s->meta,
	    "channels", chans, "events", events, "broken", err[0] != '\0' ? err : NULL));
	if (err[0] == '\0')
		return r;
	fprintf(stderr, "bastion-replay: %s\n", err);
	return -1;
}

static int show_scanned(struct args *a, const struct recording *rec, const struct scan *s,
    const struct age_identities *ids)
{
	if (a->json)
		return show_json(rec, s, ids);
	pager_start();
	print_meta(rec, s);
	print_channels(s);
	return print_events(rec->dir, ids);
}

int cmd_show(struct args *a)
{
	return scan_visited(a, show_scanned);
}
