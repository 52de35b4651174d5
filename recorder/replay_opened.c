/*
 * replay_opened.c - for `bastion-replay approvals`: what was opened in a recording, held against the texts that were signed for it.
 *
 * The metadata have the rights and the approvals of the grant that a session began under. A channel may have been allowed by another one, which
 * a row in the bastion's database gave: the same of that one is recorded before the channel. So each channel must be covered by a text that
 * was signed before it, and a session that used a grant of which nothing is recorded is said to have.
 */
#include "replay.h"

#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "grant_note.h"
#include "replay_approvals.h"
#include "replay_pass.h"

#define GRANTS_MAX 4096	/* of one recording: a session that is prolonged each hour has 720 in the longest time that it may have */

struct opened {
	struct approved *c;
	const json_t *meta;
	json_int_t grants[GRANTS_MAX];	/* further ones whose approvals were shown */
	size_t ngrants;
};

static const char unsigned_why[] = "nobody signed for it";
static const char grant_why[] = "this session used it, too: who approved that is not in this recording";

/* What a further grant has of its own; whose session it is, and where, is the recording's. */
static const char *const own_keys[] = { "grant", "caps", "until", "reason", "ticket", "started", "approvals", NULL };

static json_t *further_meta(const json_t *meta, const json_t *grant)
{
	json_t *own = json_copy((json_t *)(uintptr_t)meta);

	for (size_t i = 0; own != NULL && own_keys[i] != NULL; i++) {
		json_object_del(own, own_keys[i]);
		json_object_set(own, own_keys[i], json_object_get(grant, own_keys[i])); /* NULL: it has none */
	}
	return own;
}

/* A further grant. 0, or -1: it cannot be shown. */
static int look_at_grant(struct opened *o, const struct brec_event *e)
{
	json_t *grant = json_loadb((const char *)e->data, e->len, JSON_ALLOW_NUL, NULL), *own = further_meta(o->meta, grant);
	const json_int_t number = json_integer_value(json_object_get(grant, "grant"));
	int r = 0;

	if (own == NULL || number <= 0 || !json_is_array(json_object_get(grant, "approvals")) || o->ngrants == GRANTS_MAX) {
		fprintf(stderr, "bastion-replay: a grant that this session used is not told whole\n");
		o->c->a->bad = true;
	} else {
		o->grants[o->ngrants++] = number;
		if (!o->c->a->json)
			printf("grant %lld  this session used it, too\n", (long long)number);
		r = approvals_of(o->c, own);
	}
	json_decref(own);
	json_decref(grant);
	return r;
}

/* An opened channel. 0, or -1: it cannot be printed. */
static int look_at_open(const struct opened *o, const struct brec_event *e)
{
	json_t *j = json_loadb((const char *)e->data, e->len, JSON_ALLOW_NUL, NULL);
	const char *capability = json_string_value(json_object_get(j, "capability")), *command = json_string_value(json_object_get(j, "command"));
	char cap[128], what[REPLAY_TEXT_MAX];
	bool covered = o->c->unsigned_grant || json_array_size(o->c->texts) == 0; /* nobody claims to have signed for it: said already */
	int r = 0;

	for (size_t i = 0; i < json_array_size(o->c->texts) && !covered; i++)
		covered = capability != NULL && command != NULL && strlen(command) == json_string_length(json_object_get(j, "command")) &&
		    approval_covers(json_string_value(json_array_get(o->c->texts, i)), capability, command);
	if (!covered) {
		o->c->a->bad = true;
		meta_text(j, "capability", cap, sizeof(cap));
		meta_text(j, "command", what, sizeof(what));
		if (o->c->a->json)
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

static bool was_told(const struct opened *o, long long grant)
{
	for (size_t i = 0; i < o->ngrants; i++)
		if (o->grants[i] == grant)
			return true;
	return false;
}

static int look_at_note(const struct opened *o, const struct brec_event *e)
{
	char text[256];
	long long grant;

	snprintf(text, sizeof(text), "%.*s", e->len < sizeof(text) ? (int)e->len : (int)sizeof(text) - 1, (const char *)e->data);
	if ((grant = grant_of(text)) <= 0 || was_told(o, grant))
		return 0;
	o->c->a->bad = o->c->a->bad || o->c->signers != NULL;
	if (o->c->a->json)
		return json_line(json_pack("{s:I, s:s}", "grant", (json_int_t)grant, "why", grant_why));
	printf("grant %lld  %s\n", grant, grant_why);
	return 0;
}

static int look_at(struct opened *o, const struct brec_event *e)
{
	switch (e->kind) {
	case BREC_K_GRANT: return look_at_grant(o, e);
	case BREC_K_OPEN: return look_at_open(o, e);
	case BREC_K_NOTE: return look_at_note(o, e);
	default: return 0;
	}
}

int approvals_opened(struct approved *c, const struct recording *rec, const json_t *meta, const struct age_identities *ids)
{
	struct opened o = { .c = c, .meta = meta };
	char err[512];
	struct pass p;
	struct brec_item it;
	bool locked = false;
	int n = 0, said = 0;

	if (pass_begin(&p, (struct pass_aim){ .what = "approvals", .writing = true }, rec->dir, ids, err, sizeof(err)) != 0) {
		fprintf(stderr, "bastion-replay: what was opened is not all known: %s\n", err);
		return -1;
	}
	while (said == 0 && (n = pass_next(&p, &it)) == 1) {
		locked = locked || (it.type == BREC_ITEM_LOCKED && it.stream == BREC_META);
		if (it.type == BREC_ITEM_EVENT)
			said = look_at(&o, &it.event);
	}
	if (n < 0)
		fprintf(stderr, "bastion-replay: what was opened is not all known: %s\n", brec_reader_error(p.reader));
	else if (locked)
		fprintf(stderr, "bastion-replay: what was opened is not all known: the identity opens a part of this recording\n");
	pass_end(&p);
	return n < 0 || locked || said != 0 ? -1 : 0;
}
