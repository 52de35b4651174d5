/*
 * brec_make.c - writes recordings with contents of one's choice into a store: for tests of the auditor's program, and its speed.
 *
 *   brec_make [-e] [-n copies] [-w wall] STORE <events
 *
 * Events are JSON, one a line: {"t": seconds, "ch": channel, "kind": "o", "text": "…"}, or "hex" instead of "text" for bytes that
 * are no UTF-8; kinds are those of enum brec_kind. It plays the recorder: writes STORE/recordings/<day>/<id>/, signed by
 * STORE/signer.pem, readable with STORE/identity, believed by STORE/trust, all three made where they are missing. -w: unix
 * seconds of the start. -e: each event in a frame of its own, as when somebody types. Prints each id.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "age.h"
#include "brec_writer.h"
#include "clock.h"
#include "hex.h"

struct made {
	char dir[512];
	struct sign_key *key;
	struct brec_writer *w;
	FILE *file;
	bool each;
	uint8_t id[BREC_ID_LEN], h[BREC_HASH_LEN];
	uint32_t segment;
	uint64_t seq;
	int64_t wall_us;
	uint64_t now_us;
};

static void need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "brec_make: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int put(struct made *m, const void *data, size_t len, uint64_t seq)
{
	m->seq = seq;
	return fwrite(data, 1, len, m->file) == len ? 0 : -1;
}

static int on_frame(void *ctx, const uint8_t *frame, size_t len, uint64_t seq)
{
	struct made *m = ctx;

	return brec_chain_add(m->h, frame, len) == 0 ? put(m, frame, len, seq) : -1;
}

static int put_mark(struct made *m, enum brec_type type, uint64_t seq, enum brec_end end, const char *reason)
{
	struct brec_mark mark = { .type = type, .seq = seq, .epoch = m->segment, .wall_us = m->wall_us + (int64_t)m->now_us, .end = end };
	struct buf b;
	int r;

	snprintf(mark.reason, sizeof(mark.reason), "%s", reason);
	memcpy(mark.h, m->h, sizeof(m->h));
	buf_init(&b, BREC_FRAME_MAX);
	r = brec_mark_build(&b, m->id, &mark, m->key) == 0 ? on_frame(m, b.data, b.len, seq) : -1;
	buf_finish(&b);
	return r;
}

static int on_mark(void *ctx, uint64_t seq)
{
	return put_mark(ctx, BREC_CHECKPOINT, seq, 0, "");
}

static void begin_segment(struct made *m, const uint8_t *part, size_t len)
{
	struct brec_header h = { .segment = m->segment, .epoch = m->segment, .first_seq = m->seq + 1, .wall_us = m->wall_us + (int64_t)m->now_us,
		.part = part, .part_len = len };
	char path[600];
	struct buf b;

	memcpy(h.id, m->id, sizeof(h.id));
	if (m->segment != 0)
		memcpy(h.prev, m->h, sizeof(h.prev));
	buf_init(&b, BREC_HEADER_MAX);
	need(brec_header_build(&b, &h, m->key) == 0 && brec_chain_start(m->h, b.data, b.len) == 0, "header");
	if (m->file != NULL)
		need(fclose(m->file) == 0, "segment");
	snprintf(path, sizeof(path), "%s/%08u.brec", m->dir, m->segment);
	need((m->file = fopen(path, "wb")) != NULL, path);
	need(put(m, b.data, b.len, m->seq) == 0, path);
	buf_finish(&b);
}

static int on_seal(void *ctx, uint64_t seq, const struct buf *part)
{
	struct made *m = ctx;

	if (put_mark(m, BREC_SEAL, seq, 0, "") != 0)
		return -1;
	m->segment++;
	begin_segment(m, part->data, part->len);
	return 0;
}

static int on_close(void *ctx, uint64_t seq, enum brec_end end, const char *reason)
{
	return put_mark(ctx, BREC_CLOSE, seq, end, reason);
}

/* ---- the store ---- */

static void append(const char *store, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", store, name);
	need((f = fopen(path, "a")) != NULL && fputs(text, f) >= 0 && fclose(f) == 0, path);
}

/* The auditor's recipient, and the recorder's key. */
static struct sign_key *keys(const char *store, char to[AGE_RECIPIENT_LEN + 1])
{
	char path[512], text[AGE_IDENTITY_LEN + 2], err[256], b64[BASE64_SIZE(KEY_LEN)], line[128];
	struct age_identities ids = { 0 };
	struct age_identity made;
	struct sign_key *key;
	uint8_t pub[KEY_LEN];

	snprintf(path, sizeof(path), "%s/identity", store);
	if (access(path, F_OK) != 0) {
		need(age_identity_generate(&made) == 0 && age_identity_format(text, &made) == 0, "identity");
		append(store, "identity", strcat(text, "\n"));
	}
	need(age_identities_load(&ids, path, NULL, NULL, err, sizeof(err)) == 0, path);
	age_recipient_format(to, ids.v[0].pub);
	age_identities_finish(&ids);
	snprintf(path, sizeof(path), "%s/signer.pem", store);
	if (access(path, F_OK) == 0) {
		need((key = sign_key_load(path)) != NULL, path);
		return key;
	}
	need((key = sign_key_generate()) != NULL && sign_key_save(key, path) == 0, path);
	sign_key_public(key, pub);
	snprintf(line, sizeof(line), "signer lab %s\n", base64_encode(b64, pub, KEY_LEN));
	append(store, "trust", line);
	return key;
}

/* ---- events ---- */

static enum brec_stream stream_of(int kind)
{
	return kind == BREC_K_IN ? BREC_INPUT : kind == BREC_K_OUT || kind == BREC_K_ERR ? BREC_OUTPUT : BREC_META;
}

static void put_event(struct made *m, const json_t *e)
{
	const json_t *text = json_object_get(e, "text");
	const char *kind = json_string_value(json_object_get(e, "kind")), *hex = json_string_value(json_object_get(e, "hex"));
	size_t len = hex != NULL ? strlen(hex) / 2 : json_string_length(text);
	uint8_t *data = malloc(len + 1);

	need(data != NULL && kind != NULL && (hex != NULL || json_is_string(text)), "an event lacks kind, text or hex");
	if (hex == NULL)
		memcpy(data, json_string_value(text), len);
	else
		need(hex_decode(data, len, hex) == 0, "hex");
	m->now_us = (uint64_t)(json_number_value(json_object_get(e, "t")) * 1e6);
	need(brec_writer_event(m->w, stream_of(kind[0]), (enum brec_kind)kind[0], m->now_us,
		(uint64_t)json_integer_value(json_object_get(e, "ch")), data, len) != 0, "event");
	need(!m->each || brec_writer_flush(m->w, m->now_us) == 0, "flush");
	need(brec_writer_tick(m->w, m->now_us) >= 0, "tick");
	free(data);
}

static void make_one(struct made *m, const char *store, const char *to, const json_t *events)
{
	static const struct brec_writer_ops ops = { on_frame, on_mark, on_seal, on_close };
	const char *const recipients[] = { to, NULL }, *const none[] = { NULL };
	char id[33], path[512], day[32];
	const json_t *e;
	struct buf part;
	size_t i;

	need(random_bytes(m->id, sizeof(m->id)) == 0, "random");
	m->segment = 0;
	m->seq = m->now_us = 0;
	hex_encode(id, m->id, sizeof(m->id));
	snprintf(path, sizeof(path), "%s/recordings", store);
	mkdir(path, 0700);
	clock_format(day, sizeof(day), m->wall_us / 1000000);
	day[10] = '\0';
	strcat(strcat(path, "/"), day);
	mkdir(path, 0700);
	snprintf(m->dir, sizeof(m->dir), "%.400s/%s", path, id);
	need(mkdir(m->dir, 0700) == 0, m->dir);
	buf_init(&part, BREC_PART_MAX);
	need((m->w = brec_writer_create(m->id, recipients, none, 0, &ops, m)) != NULL && brec_writer_part(m->w, &part) == 0, "writer");
	begin_segment(m, part.data, part.len);
	buf_finish(&part);
	json_array_foreach(events, i, e)
		put_event(m, e);
	need(brec_writer_close(m->w, m->now_us, BREC_END_NORMAL, "made") == 0, "close");
	brec_writer_destroy(m->w);
	need(fclose(m->file) == 0, m->dir);
	m->file = NULL;
	puts(id);
}

int main(int argc, char **argv)
{
	struct made m = { .wall_us = 1793500000000000LL };
	char to[AGE_RECIPIENT_LEN + 1];
	json_t *events = json_array(), *e;
	json_error_t err;
	int copies = 1, c;

	while ((c = getopt(argc, argv, "en:w:")) != -1)
		if (c == 'e')
			m.each = true;
		else if (c == 'n')
			copies = atoi(optarg);
		else if (c == 'w')
			m.wall_us = atoll(optarg) * 1000000;
		else
			return 2;
	if (optind + 1 != argc)
		return 2;
	while ((e = json_loadf(stdin, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &err)) != NULL)
		json_array_append_new(events, e);
	if (json_error_code(&err) != json_error_premature_end_of_input) {
		fprintf(stderr, "brec_make: line %d: %s\n", err.line, err.text);
		return 1;
	}
	m.key = keys(argv[optind], to);
	for (int i = 0; i < copies; i++)
		make_one(&m, argv[optind], to, events);
	sign_key_destroy(m.key);
	json_decref(events);
	return 0;
}
