/*
 * replay_text.c - events of a recording as lines that a person reads. Everything that leaves here
 * is escaped.
 */
#include "replay.h"

#include <string.h>
#include <time.h>

#include "escape.h"

/* ---- numbers ---- */

char *text_time(char *out, size_t size, int64_t wall_us)
{
	time_t t = (time_t)(wall_us / 1000000);
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(out, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(out, size, "?");
	return out;
}

char *text_span(char *out, size_t size, uint64_t us)
{
	unsigned long long s = us / 1000000;

	if (s < 3600)
		snprintf(out, size, "%llu:%02llu", s / 60, s % 60);
	else
		snprintf(out, size, "%llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
	return out;
}

char *text_size(char *out, size_t size, uint64_t bytes)
{
	static const char units[] = "KMGTP";
	double v = (double)bytes;
	int u = -1;

	if (bytes < 1024) {
		snprintf(out, size, "%uB", (unsigned)bytes);
		return out;
	}
	while (v >= 1024 && u < 4) {
		v /= 1024;
		u++;
	}
	snprintf(out, size, v < 10 ? "%.1f%c" : "%.0f%c", v, units[u]);
	return out;
}

/* ---- events ---- */

/* False: nothing is said of it, as of a digest that is not the last. */
static bool file_line(const json_t *j, char *out, size_t size)
{
	char op[64], what[REPLAY_TEXT_MAX], path[REPLAY_TEXT_MAX], to[REPLAY_TEXT_MAX], bytes[32], passed[32], sha[80], why[128], from[32];

	if (strcmp(meta_text(j, "op", op, sizeof(op)), "so-far") == 0)
		return false;
	meta_text(j, strcmp(op, "extended") == 0 ? "name" : "what", what, sizeof(what)); /* the request, where op is not enough */
	meta_text(j, "path", path, sizeof(path));
	meta_text(j, "to", to, sizeof(to));
	meta_text(j, "size", bytes, sizeof(bytes));
	meta_text(j, "bytes", passed, sizeof(passed)); /* of scp, where size is what was announced */
	if (strcmp(passed, bytes) == 0)
		passed[0] = '\0';
	meta_text(j, "sha256", sha, sizeof(sha));
	meta_text(j, "why", why, sizeof(why));
	snprintf(out, size, "[file] %s %s%s%s%s%s%s%s%s%s%s%s%s%s%s", op, what, what[0] && path[0] ? " " : "", path, to[0] ? " -> " : "", to,
	    bytes[0] ? ", " : "", passed, passed[0] ? " of " : "", bytes, bytes[0] ? " bytes" : "", sha[0] ? ", sha256 " : "", sha,
	    why[0] ? ": " : "", why);
	if (json_is_false(json_object_get(j, "whole")))
		snprintf(out + strlen(out), size - strlen(out), ", not whole");
	if (json_is_true(json_object_get(j, "partly")))
		snprintf(out + strlen(out), size - strlen(out), ", more may have passed");
	if (json_is_true(json_object_get(j, "untracked")))
		snprintf(out + strlen(out), size - strlen(out), "%s",
		    strcmp(op, "open") == 0 ? ", its content was not told apart" :
		    strcmp(op, "extended") == 0 ? ", what it does is not known" : ", by a handle of no file that is known");
	if (json_is_false(json_object_get(j, "in_order")))
		snprintf(out + strlen(out), size - strlen(out), ", out of order: no digest of the whole");
	else if (meta_text(j, "from", from, sizeof(from))[0] != '\0')
		snprintf(out + strlen(out), size - strlen(out), ", from byte %s of the file", from);
	return true;
}

static void open_line(const json_t *j, char *out, size_t size)
{
	char cap[32], command[REPLAY_TEXT_MAX], term[64];

	meta_text(j, "capability", cap, sizeof(cap));
	meta_text(j, "command", command, sizeof(command));
	meta_text(j, "term", term, sizeof(term));
	if (command[0] != '\0' && strcmp(command, cap) != 0)
		snprintf(out, size, "[%s] %s", cap, command);
	else
		snprintf(out, size, "[%s]", cap);
	if (json_is_true(json_object_get(j, "pty")))
		snprintf(out + strlen(out), size - strlen(out), " (terminal %s, %lldx%lld)", term,
		    (long long)json_integer_value(json_object_get(j, "cols")),
		    (long long)json_integer_value(json_object_get(j, "rows")));
}

static void digest_line(const json_t *j, char *out, size_t size)
{
	char dir[16], bytes[32], sha[80], apart[32];

	snprintf(out, size, "[%s] %s bytes, sha256 %s", meta_text(j, "dir", dir, sizeof(dir)),
	    meta_text(j, "bytes", bytes, sizeof(bytes)), meta_text(j, "sha256", sha, sizeof(sha)));
	if (meta_text(j, "apart", apart, sizeof(apart))[0] != '\0')
		snprintf(out + strlen(out), size - strlen(out), " without the %s of the files above", apart);
}

static void gap_line(const json_t *j, char *out, size_t size)
{
	char dir[16], from[32];

	snprintf(out, size, "[gap] %s: after byte %s the content was counted and hashed, not kept",
	    meta_text(j, "dir", dir, sizeof(dir)), meta_text(j, "from", from, sizeof(from)));
}

static bool json_event(const struct brec_event *e, char *out, size_t size)
{
	json_t *j = json_loadb((const char *)e->data, e->len, JSON_ALLOW_NUL, NULL);
	bool said = true;

	if (j == NULL) {
		snprintf(out, size, "[malformed event '%c']", e->kind);
		return true;
	}
	if (e->kind == BREC_K_FILE)
		said = file_line(j, out, size);
	else if (e->kind == BREC_K_OPEN)
		open_line(j, out, size);
	else if (e->kind == BREC_K_GAP)
		gap_line(j, out, size);
	else if (json_is_true(json_object_get(j, "final")) &&
	    json_integer_value(json_object_get(j, "bytes")) > 0)
		digest_line(j, out, size);
	else
		said = false;
	json_decref(j);
	return said;
}

static bool tagged(const char *tag, const uint8_t *data, size_t len, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "[%s] ", tag);

	esc_line(out + n, size - n, data, len);
	return true;
}

static bool audit_event(const struct brec_event *e, char *out, size_t size)
{
	struct audit a;

	if (!audit_decode(&a, e))
		snprintf(out, size, "[malformed event]");
	else
		audit_line(&a, out, size);
	return true;
}

bool text_event(const struct brec_event *e, char *out, size_t size)
{
	switch (e->kind) {
	case BREC_K_OPEN: case BREC_K_FILE: case BREC_K_GAP: case BREC_K_DIGEST:
		return json_event(e, out, size);
	case BREC_K_AUDIT:
		return audit_event(e, out, size);
	case BREC_K_NOTE:
		return tagged("bastion", e->data, e->len, out, size);
	case BREC_K_SIGNAL:
		return tagged("signal", e->data, e->len, out, size);
	case BREC_K_EXIT_SIGNAL:
		return tagged("ended by signal", e->data + (e->len > 0), e->len - (e->len > 0), out,
		    size);
	case BREC_K_EXIT:
		if (e->len != 4)
			return false;
		snprintf(out, size, "[exit status %u]",
		    (unsigned)e->data[0] << 24 | (unsigned)e->data[1] << 16 |
			(unsigned)e->data[2] << 8 | e->data[3]);
		return true;
	default:
		return false;
	}
}

bool text_begun(const struct brec_reader *r, enum brec_stream stream, struct brec_event *e, char *out, size_t size)
{
	int n;

	if (!brec_reader_begun(r, stream, e))
		return false;
	n = snprintf(out, size, "[cut] '%c', %zu bytes of it ", e->kind > ' ' && e->kind < 0x7f ? e->kind : '?', e->len);
	/* bytes of input and output need no pieces; what was typed has its own rules of who may see it */
	esc_line(out + n, size - (size_t)n, e->data, stream == BREC_META ? e->len : 0);
	return true;
}

json_t *json_begun(const struct brec_reader *r, enum brec_stream stream, const char *key)
{
	struct brec_event e;
	const bool begun = brec_reader_begun(r, stream, &e);
	const char kind[2] = { (char)e.kind };

	return begun ? json_pack("{s:f, s:s, s:I, s:{s:s, s:s, s:I, s:o}}", "t", (double)e.t_us / 1e6, "kind", "cut", "channel", (json_int_t)e.channel, key,
	    "stream", brec_stream_name(stream), "kind", kind, "bytes", (json_int_t)e.len, "data", json_bytes(e.data, stream == BREC_META ? e.len : 0)) : NULL;
}

/* ---- bytes ---- */

bool channel_is_text(const struct channel *c)
{
	return strcmp(c->capability, "sftp") != 0 && strcmp(c->capability, "scp") != 0;
}

/* Length of the beginning of a code point at the end of data, that more bytes could complete; at
 * most 3. */
static size_t cut_tail(const uint8_t *data, size_t len)
{
	for (size_t n = 1; n <= 3 && n <= len; n++) {
		uint8_t c = data[len - n];

		if ((c & 0xc0) == 0x80)
			continue;
		return c >= 0xc2 && c < 0xf5 && n < (c < 0xe0 ? 2U : c < 0xf0 ? 3U : 4U) ? n : 0;
	}
	return 0;
}

static void put_escaped(const uint8_t *data, size_t len, plain_put_fn *put, void *ctx)
{
	char out[4 * 1024 + 7];

	while (len > 0) {
		size_t part = len > 1024 ? 1024 - cut_tail(data, 1024) : len;
		size_t n = esc_line(out, sizeof(out), data, part);

		put(ctx, out, n);
		data += part;
		len -= part;
	}
}

static void feed_whole(struct plain *p, const uint8_t *data, size_t len, plain_put_fn *put,
    void *ctx)
{
	size_t from = 0;

	for (size_t i = 0; i < len; i++) {
		bool was_cr = p->cr;

		p->cr = false;
		if (was_cr && data[i] != '\n')
			put(ctx, "\\r", 2);
		if (data[i] != '\n' && data[i] != '\t' && data[i] != '\r')
			continue;
		put_escaped(data + from, i - from, put, ctx);
		from = i + 1;
		if (data[i] == '\r')
			p->cr = true;
		else
			put(ctx, data[i] == '\n' ? "\n" : "\t", 1);
	}
	put_escaped(data + from, len - from, put, ctx);
}

void plain_feed(struct plain *p, const uint8_t *data, size_t len, plain_put_fn *put, void *ctx)
{
	/* a code point that the last event began: add bytes until it is whole, or is none */
	while (p->nheld > 0 && len > 0) {
		if ((*data & 0xc0) == 0x80) {
			p->held[p->nheld++] = *data++;
			len--;
		}
		if (len > 0 && (*data & 0xc0) == 0x80 && cut_tail(p->held, p->nheld) == p->nheld)
			continue;
		if (len == 0 && cut_tail(p->held, p->nheld) == p->nheld)
			return;
		feed_whole(p, p->held, p->nheld, put, ctx);
		p->nheld = 0;
	}
	if (p->nheld > 0)
		return;
	size_t tail = cut_tail(data, len);
	feed_whole(p, data, len - tail, put, ctx);
	memcpy(p->held, data + len - tail, tail);
	p->nheld = tail;
}

void plain_end(struct plain *p, plain_put_fn *put, void *ctx)
{
	feed_whole(p, p->held, p->nheld, put, ctx);
	p->nheld = 0;
	if (p->cr)
		put(ctx, "\\r", 2);
	p->cr = false;
}
