/*
 * replay_opened.c - for `bastion-replay approvals`: what was opened in a recording, held against the texts that were signed for it.
 *
 * The metadata have the rights and the approvals of the grant that a session began under. A channel may have been allowed by another one,
 * which a row in the bastion's database gave: its approvals are not in the recording. So each channel must be covered by a text that was
 * signed, and a session that used another grant is said to have.
 */
#include "replay.h"

#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "grant_note.h"
#include "replay_approvals.h"

struct opened {
	struct args *a;
	const json_t *texts;		/* that were signed, and hold */
	bool strict;			/* --signers: what no signature proves does not hold */
};

static const char unsigned_why[] = "nobody signed for it";
static const char grant_why[] = "this session used it, too: who approved that is not in this recording";

/* An opened channel. 0, or -1: it cannot be printed. */
static int look_at_open(const struct opened *o, const struct brec_event *e)
{
	json_t *j = json_loadb((const char *)e->data, e->len, JSON_ALLOW_NUL, NULL);
	const char *capability = json_string_value(json_object_get(j, "capability")), *command = json_string_value(json_object_get(j, "command"));
	char cap[128], what[REPLAY_TEXT_MAX];
	bool covered = json_array_size(o->texts) == 0; /* nobody claims to have signed anything: said already */
	int r = 0;

	for (size_t i = 0; i < json_array_size(o->texts) && !covered; i++)
		covered = capability != NULL && command != NULL && strlen(command) == json_string_length(json_object_get(j, "command")) &&
		    approval_covers(json_string_value(json_array_get(o->texts, i)), capability, command);
	if (!covered) {
		o->a->bad = true;
		meta_text(j, "capability", cap, sizeof(cap));
		meta_text(j, "command", what, sizeof(what));
		if (o->a->json)
			r = json_line(json_pack("{s:I, s:s, s:s, s:s, s:s}", "channel", (json_int_t)e->channel, "capability", cap, "command", what,
			    "state", "bad", "why", unsigned_why));
		else
			printf("channel %llu  %s%s%s: NOT SIGNED FOR: %s\n", (unsigned long long)e->channel, cap[0] != '\0' ? cap : "unknown",
			    what[0] != '\0' ? " " : "", what, unsigned_why);
	}
	json_decref(j);
	return r;
}

/* The number behind the words that policy says it with; 0: the note is of something else. */
static long long grant_of(const char *text)
{
	const char *at = strncmp(text, GRANT_NOTE_JOINS, sizeof(GRANT_NOTE_JOINS) - 1) == 0 ? text + sizeof(GRANT_NOTE_JOINS) - 1 : NULL;

	if (at == NULL && (at = strstr(text, GRANT_NOTE_MOVES)) != NULL)
		at += sizeof(GRANT_NOTE_MOVES) - 1;
	return at != NULL ? atoll(at) : 0;
}

static int look_at_note(const struct opened *o, const struct brec_event *e)
{
	char text[256];
	long long grant;

	snprintf(text, sizeof(text), "%.*s", e->len < sizeof(text) ? (int)e->len : (int)sizeof(text) - 1, (const char *)e->data);
	if ((grant = grant_of(text)) <= 0)
		return 0;
	o->a->bad = o->a->bad || o->strict;
	if (o->a->json)
		return json_line(json_pack("{s:I, s:s}", "grant", (json_int_t)grant, "why", grant_why));
	printf("grant %lld  %s\n", grant, grant_why);
	return 0;
}

int approvals_opened(struct args *a, const struct recording *rec, const struct age_identities *ids, const json_t *texts, bool strict)
{
	const struct opened o = { a, texts, strict };
	char err[512];
	struct brec_reader *r = brec_reader_open(rec->dir, ids, err, sizeof(err));
	struct brec_item it;
	bool locked = false;
	int n = -1, said = 0;

	while (r != NULL && said == 0 && (n = brec_reader_next(r, &it)) == 1) {
		locked = locked || (it.type == BREC_ITEM_LOCKED && it.stream == BREC_META);
		if (it.type == BREC_ITEM_EVENT && it.event.kind == BREC_K_OPEN)
			said = look_at_open(&o, &it.event);
		else if (it.type == BREC_ITEM_EVENT && it.event.kind == BREC_K_NOTE)
			said = look_at_note(&o, &it.event);
	}
	if (n < 0)
		fprintf(stderr, "bastion-replay: what was opened is not all known: %s\n", r != NULL ? brec_reader_error(r) : err);
	else if (locked)
		fprintf(stderr, "bastion-replay: what was opened is not all known: the identity opens a part of this recording\n");
	brec_reader_close(r);
	return n < 0 || locked || said != 0 ? -1 : 0;
}
