/*
 * monitor_format.c - an event as one line for other machines. See monitor.h. Role monitor.
 *
 * syslog (RFC 5424): facility authpriv, MSGID the kind, two elements of structured data,
 *     [bastiond@32473 id="17" actor="alice" subject="web1" hash="…"][detail@32473 peer="10.0.0.9" …]
 * and a text for people. JSON: one object a line, in ASCII. Every text is foreign: a line that one event could end, or
 * continue as another, would let a user write the log.
 */
#include "monitor.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "escape.h"
#include "event.h"
#include "hex.h"

#define SD_ID "@32473"		/* the number of RFC 5612, for who has none */
#define FACILITY 10		/* authpriv */
#define PARAM_NAME_MAX 32
#define MSGID_MAX 32
#define VALUE_MAX 1024		/* bytes of one value of the detail, escaped */

static void put(struct buf *b, const char *text)
{
	buf_put(b, text, strlen(text));
}

/* Printable ASCII without blanks, as RFC 5424 wants its header fields; "-" for none. */
static void put_field(struct buf *b, const char *text, size_t max)
{
	size_t n = 0;

	for (; *text != '\0' && n < max; text++)
		if (*text > ' ' && *text < 0x7f) {
			buf_put_u8(b, (uint8_t)*text);
			n++;
		}
	if (n == 0)
		put(b, "-");
}

/* NAME="value": escaped as for a terminal, then what RFC 5424 escapes. */
static void put_param(struct buf *b, const char *name, const char *text, size_t len)
{
	char safe[VALUE_MAX];

	esc_text(safe, sizeof(safe), text, len);
	put(b, " ");
	put(b, name);
	put(b, "=\"");
	for (const char *c = safe; *c != '\0'; c++) {
		if (strchr("\"\\]", *c) != NULL)
			buf_put_u8(b, '\\');
		buf_put_u8(b, (uint8_t)*c);
	}
	put(b, "\"");
}

static bool is_param_name(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > PARAM_NAME_MAX)
		return false;
	for (; *name != '\0'; name++)
		if (*name <= ' ' || *name >= 0x7f || strchr("=]\"", *name) != NULL)
			return false;
	return true;
}

/* The members of the detail; what is no text or number as JSON. */
static void put_detail(struct buf *b, const char *detail)
{
	json_t *o = json_loads(detail, 0, NULL), *v;
	const char *key;

	if (json_object_size(o) > 0) {
		put(b, "[detail" SD_ID);
		json_object_foreach(o, key, v) {
			char *dump = json_is_string(v) ? NULL : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

			if (is_param_name(key) && (json_is_string(v) || dump != NULL))
				put_param(b, key, json_is_string(v) ? json_string_value(v) : dump,
				    json_is_string(v) ? json_string_length(v) : strlen(dump));
			free(dump);
		}
		put(b, "]");
	} else if (detail[0] != '\0' && o == NULL) {
		put(b, "[detail" SD_ID);
		put_param(b, "text", detail, strlen(detail));
		put(b, "]");
	}
	json_decref(o);
}

/*
 * alert: somebody must look, that is what notify tells as a fault or an emergency, and what the monitor itself lost. warning: somebody was
 * refused, or something failed. notice: all else.
 */
static int severity(const char *kind)
{
	static const char *const alerts[] = { "alarm", "emergency", "break-glass" };
	static const char *const warnings[] = { ".refused", ".fail" };
	const char *class = strcmp(kind, "outlet.dropped") == 0 ? "alarm" : event_class(kind);
	const size_t n = strlen(kind);

	for (size_t i = 0; class != NULL && i < sizeof(alerts) / sizeof(alerts[0]); i++)
		if (strcmp(alerts[i], class) == 0)
			return 1;
	for (size_t i = 0; i < sizeof(warnings) / sizeof(warnings[0]); i++) {
		const size_t m = strlen(warnings[i]);

		if (n > m && strcmp(kind + n - m, warnings[i]) == 0)
			return 4;
	}
	return 5;
}

static void put_text(struct buf *b, const char *text)
{
	char safe[4 * EVENT_ACTOR_MAX + 8];

	esc_text(safe, sizeof(safe), text, strlen(text));
	put(b, safe);
}

int format_syslog(struct buf *out, const struct origin *from, const struct event_row *e, const uint8_t *hash)
{
	const size_t begin = out->len;
	char number[32], at[32], hex[2 * EVENT_HASH_LEN + 1];

	for (int pass = 0; pass < 2; pass++) {
		out->len = begin;
		snprintf(number, sizeof(number), "<%d>1 ", FACILITY * 8 + severity(e->kind));
		put(out, number);
		put(out, clock_format(at, sizeof(at), e->at));
		put(out, " ");
		put_field(out, from->host, 255);
		snprintf(number, sizeof(number), " bastiond %d ", from->pid);
		put(out, number);
		put_field(out, e->kind, MSGID_MAX);
		put(out, " [bastiond" SD_ID);
		snprintf(number, sizeof(number), "%lld", (long long)e->id);
		if (hash != NULL)
			put_param(out, "id", number, strlen(number));
		put_param(out, "actor", e->actor, strlen(e->actor));
		if (e->subject[0] != '\0')
			put_param(out, "subject", e->subject, strlen(e->subject));
		if (hash != NULL)
			put_param(out, "hash", hex_encode(hex, hash, EVENT_HASH_LEN), 2 * EVENT_HASH_LEN);
		if (pass == 1)
			put_param(out, "cut", "1", 1);
		put(out, "]");
		if (pass == 0)
			put_detail(out, e->detail);
		put(out, " ");
		put_text(out, e->kind);
		put(out, " by ");
		put_text(out, e->actor);
		if (e->subject[0] != '\0') {
			put(out, ", about ");
			put_text(out, e->subject);
		}
		/* too long: once more without the detail, which the database and the recording have */
		if (out->len - begin <= LINE_SYSLOG_MAX)
			break;
	}
	return buf_ok(out) ? 0 : -1;
}

int format_json(struct buf *out, const struct origin *from, const struct event_row *e, const uint8_t *hash)
{
	char at[32], hex[2 * EVENT_HASH_LEN + 1];
	json_t *detail = e->detail[0] != '\0' ? json_loads(e->detail, 0, NULL) : NULL, *o;
	char *text;

	clock_format(at, sizeof(at), e->at);
	if (detail == NULL && e->detail[0] != '\0')
		detail = json_string(e->detail);
	o = json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:o*, s:s*}", "host", from->host, "at", at, "time",
	    (json_int_t)e->at, "id", (json_int_t)e->id, "kind", e->kind, "actor", e->actor, "subject", e->subject,
	    "detail", detail, "hash", hash != NULL ? hex_encode(hex, hash, EVENT_HASH_LEN) : NULL);
	text = o != NULL ? json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	if (text == NULL)
		out->bad = true;
	/* DEL is the one control that jansson lets pass; it can only stand in a text */
	for (const char *c = text; c != NULL && *c != '\0'; c++) {
		if (*c == 0x7f)
			put(out, "\\u007f");
		else
			buf_put_u8(out, (uint8_t)*c);
	}
	free(text);
	json_decref(o);
	return buf_ok(out) ? 0 : -1;
}
