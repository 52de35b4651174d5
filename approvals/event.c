/*
 * event.c - see event.h. Policy role: the chain over the rows that store_event.c keeps.
 */
#include "event.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"
#include "store.h"

/* Bytes of it, at most max, that end before the start of a character. */
static size_t start_of(const char *text, size_t max)
{
	size_t n = strnlen(text, max);

	if (n == max)
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
	return n;
}

static const char *cut(char out[EVENT_ACTOR_MAX + 1], const char *text)
{
	size_t n = text != NULL ? start_of(text, EVENT_ACTOR_MAX) : 0;

	if (n > 0)
		memcpy(out, text, n);
	out[n] = '\0';
	return out;
}

/* --- a detail that is too long: no argument of a word takes the others out of the record --- */

#define TEXT_LONGEST 256	/* bytes that are left of each text, halved until all fit, */
#define TEXT_SHORTEST 8		/* which they do then: 64 of each list that a word has */
#define JSON_FORM (JSON_COMPACT | JSON_SORT_KEYS)

/* The same with each longer text as its start and "...". The caller's; NULL: no memory. */
static json_t *shortened(const json_t *v, size_t max)
{
	const char *text = json_string_value(v), *key;
	json_t *out, *part;
	int bad = 0;
	size_t i;

	if (text != NULL)
		return json_sprintf("%.*s%s", (int)start_of(text, max), text, strlen(text) > max ? "..." : "");
	if (!json_is_array(v) && !json_is_object(v))
		return json_deep_copy(v);
	out = json_is_array(v) ? json_array() : json_object();
	json_array_foreach(v, i, part)
		bad |= json_array_append_new(out, shortened(part, max));
	json_object_foreach((json_t *)(uintptr_t)v, key, part)
		bad |= json_object_set_new(out, key, shortened(part, max));
	if (bad == 0)
		return out;
	json_decref(out);
	return NULL;
}

/* As JSON of at most EVENT_DETAIL_MAX bytes. The caller's; NULL: no memory, or too long all the same. */
static char *detail_text(const json_t *detail)
{
	char *text = json_dumps(detail, JSON_FORM);

	for (size_t max = TEXT_LONGEST; text != NULL && strlen(text) > EVENT_DETAIL_MAX && max >= TEXT_SHORTEST; max /= 2) {
		json_t *part = shortened(detail, max);

		free(text);
		text = json_object_set_new(part, "cut", json_true()) == 0 ? json_dumps(part, JSON_FORM) : NULL;
		json_decref(part);
	}
	if (text == NULL || strlen(text) <= EVENT_DETAIL_MAX)
		return text;
	free(text);
	return NULL;
}

static int append(struct store *s, struct event_row *e)
{
	uint8_t hash[EVENT_HASH_LEN];

	if (store_event_head(s, &e->id, hash) < 0)
		return -1;
	e->id++;
	return event_hash(hash, e, hash) < 0 ? -1 : store_event_insert(s, e, hash);
}

int event_write(struct store *s, int64_t now, enum event_kind kind, const char *actor,
    const char *subject, json_t *detail)
{
	char who[EVENT_ACTOR_MAX + 1], what[EVENT_ACTOR_MAX + 1];
	char *text = detail != NULL ? detail_text(detail) : NULL;
	struct event_row e = {
		.at = now,
		.kind = event_name(kind),
		.actor = cut(who, actor),
		.subject = cut(what, subject),
		.detail = "",
	};
	int r = -1;

	if (detail != NULL)
		e.detail = text != NULL ? text : "{\"cut\":true}";
	json_decref(detail);
	if (store_begin(s) == 0) { /* head and row are one step */
		if (append(s, &e) == 0)
			r = store_commit(s);
		else
			store_rollback(s);
	}
	free(text);
	return r;
}

int event_writef(struct store *s, int64_t now, enum event_kind kind, const char *actor,
    const char *subject, const char *fmt, ...)
{
	json_t *detail = NULL;
	va_list ap;

	if (fmt != NULL) {
		va_start(ap, fmt);
		detail = json_vpack_ex(NULL, 0, fmt, ap);
		va_end(ap);
		if (detail ==
		    NULL) /* a text that is no UTF-8: the event is worth more than its detail */
			detail = json_pack("{s:b}", "cut", 1);
	}
	return event_write(s, now, kind, actor, subject, detail);
}

struct walk {
	struct event_report *report;
	int64_t next;
};

static int verify_row(void *arg, const struct event_row *e, const uint8_t *hash, size_t len)
{
	struct walk *w = arg;
	uint8_t want[EVENT_HASH_LEN];

	if (w->report->rows == EVENT_VERIFY_MAX) {
		w->report->more = true;
		return 1;
	}
	if (e->id != w->next || len != EVENT_HASH_LEN || e->kind == NULL || e->actor == NULL ||
	    e->subject == NULL || e->detail == NULL || event_hash(w->report->head, e, want) < 0 ||
	    memcmp(want, hash, len) != 0) {
		w->report->bad = w->next;
		return 1;
	}
	memcpy(w->report->head, want, sizeof(want));
	w->report->rows++;
	w->next++;
	return 0;
}

int event_verify(struct store *s, int64_t after, struct event_report *report)
{
	struct walk w = { .report = report };
	struct event_log log;
	int r;

	memset(report, 0, sizeof(*report));
	if (store_event_log(s, &log) < 0)
		return -1;
	report->after = after > log.pruned ? after : log.pruned;
	w.next = report->after + 1;
	if (after <= log.pruned)
		memcpy(report->head, log.pruned_hash, sizeof(report->head));
	else if ((r = store_event_hash(s, after, report->head)) != 1) {
		report->bad = r == 0 ? after : 0;
		return r;
	}
	return store_event_each(s, report->after, verify_row, &w);
}

/* --- pruning --- */

/* What the collectors do not have yet limits what may go, of sessions, too. */
static int prune_rows(struct store *s, int64_t now, int64_t before)
{
	uint8_t hash[EVENT_HASH_LEN];
	char hex[2 * EVENT_HASH_LEN + 1];
	struct event_log log;
	int64_t last, oldest;
	int sessions;

	if (store_event_log(s, &log) < 0 ||
	    store_event_young(s, before, log.pruned + EVENT_PRUNE_MAX, &last) < 0)
		return -1;
	last = last - 1 < log.shipped ? last - 1 : log.shipped;
	if (store_event_at(s, log.shipped + 1, &oldest) == 1 && oldest < before)
		before = oldest;
	if ((sessions = store_session_prune(s, before, EVENT_PRUNE_MAX)) < 0)
		return -1;
	if (last > log.pruned && store_event_hash(s, last, hash) == 1) {
		if (event_writef(s, now, EVENT_PRUNE, "bastiond", NULL, "{s:I,s:I,s:s,s:i}", "first",
			(json_int_t)log.pruned + 1, "last", (json_int_t)last, "hash",
			hex_encode(hex, hash, sizeof(hash)), "sessions", sessions) < 0 ||
		    store_event_prune(s, last, hash) < 0)
			return -1;
	} else if (sessions > 0 && event_writef(s, now, EVENT_PRUNE, "bastiond", NULL, "{s:i}",
	    "sessions", sessions) < 0) {
		return -1;
	}
	return last == log.pruned + EVENT_PRUNE_MAX || sessions >= EVENT_PRUNE_MAX;
}

int event_prune(struct store *s, int64_t now, int64_t before)
{
	int more;

	if (store_begin(s) < 0)
		return -1;
	if ((more = prune_rows(s, now, before)) >= 0)
		return store_commit(s) < 0 ? -1 : more;
	store_rollback(s);
	return -1;
}
