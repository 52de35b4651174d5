/*
 * model_film.c - the recordings that the crash model stores, as their bastions would send them; see model.h.
 *
 * Made once, before the first process that works. Small frames as of typing, and large ones, so that a journal file is filled more than once;
 * some seals; a close.
 */
#include <stdlib.h>
#include <string.h>

#include "age.h"
#include "brec_writer.h"
#include "model.h"

struct film films[MODEL_RECORDINGS];

static const uint8_t *copy(const void *data, size_t len)
{
	uint8_t *p = malloc(len);

	if (p == NULL)
		model_die("memory");
	return memcpy(p, data, len);
}

static void add_entry(struct film *f, enum wire_type type, const uint8_t *frame, size_t frame_len, const struct buf *header)
{
	struct wire_entry *e = &f->entry[f->n];

	if (f->n == MODEL_ENTRIES_MAX)
		model_die("the film is too long");
	*e = (struct wire_entry){ .type = type, .id = f->id, .h = f->after[f->n].h, .seq = f->n };
	if (frame != NULL) {
		brec_chain_add(f->h, frame, frame_len);
		e->frame = copy(frame, frame_len);
		e->frame_len = frame_len;
		buf_put(&f->file[f->segment], frame, frame_len);
	}
	f->after[f->n].segment = f->segment;
	f->after[f->n].end = f->file[f->segment].len;
	if (header != NULL) {
		e->header = copy(header->data, header->len);
		e->header_len = header->len;
		if (type == WIRE_OPEN)
			brec_chain_start(f->h, header->data, header->len);
	}
	memcpy(f->after[f->n].h, f->h, BREC_HASH_LEN);
	f->n++;
}

static void make_header(struct film *f, const struct buf *part, uint64_t first_seq, struct buf *out)
{
	struct brec_header h = { .segment = f->segment, .first_seq = first_seq, .wall_us = MODEL_WALL, .part = part->data, .part_len = part->len };

	memcpy(h.id, f->id, sizeof(h.id));
	if (f->segment != 0)
		memcpy(h.prev, f->h, sizeof(h.prev));
	buf_init(out, BREC_HEADER_MAX);
	if (brec_header_build(out, &h, f->key) != 0)
		model_die("header");
	buf_put(&f->file[f->segment], out->data, out->len);
}

static int film_frame(void *ctx, const uint8_t *frame, size_t len, uint64_t seq)
{
	(void)seq;
	add_entry(ctx, WIRE_FRAME, frame, len, NULL);
	return 0;
}

static int mark(struct film *f, enum brec_type type, enum wire_type as, uint64_t seq, const struct buf *part)
{
	struct brec_mark m = { .type = type, .seq = seq, .epoch = f->segment, .wall_us = MODEL_WALL, .end = type == BREC_CLOSE ? BREC_END_NORMAL : 0 };
	struct buf b, header;
	uint32_t segment = f->segment;

	memcpy(m.h, f->h, sizeof(m.h));
	buf_init(&b, BREC_FRAME_MAX);
	if (brec_mark_build(&b, f->id, &m, f->key) != 0)
		model_die("mark");
	if (part == NULL) {
		add_entry(f, as, b.data, b.len, NULL);
	} else {
		uint8_t before[BREC_HASH_LEN];

		/* the next header hangs on the chain value after the seal */
		memcpy(before, f->h, sizeof(before));
		brec_chain_add(f->h, b.data, b.len);
		if (++f->segment == MODEL_SEGMENTS_MAX)
			model_die("too many segments");
		make_header(f, part, seq + 1, &header);
		memcpy(f->h, before, sizeof(before));
		f->segment = segment;
		add_entry(f, as, b.data, b.len, &header);
		f->segment++;
		brec_chain_start(f->h, header.data, header.len);
		buf_finish(&header);
	}
	buf_finish(&b);
	return 0;
}

static int film_mark(void *ctx, uint64_t seq) { return mark(ctx, BREC_CHECKPOINT, WIRE_FRAME, seq, NULL); }
static int film_seal(void *ctx, uint64_t seq, const struct buf *part) { return mark(ctx, BREC_SEAL, WIRE_SEAL, seq, part); }

static int film_close(void *ctx, uint64_t seq, enum brec_end end, const char *reason)
{
	(void)end, (void)reason;
	return mark(ctx, BREC_CLOSE, WIRE_END, seq, NULL);
}

static const struct brec_writer_ops film_ops = { film_frame, film_mark, film_seal, film_close };

void film_make(struct film *f, uint64_t *seed)
{
	static uint8_t bytes[50000];
	struct age_identity auditor;
	char to[AGE_RECIPIENT_LEN + 1];
	const char *list[2] = { to, NULL }, *none[1] = { NULL };
	struct brec_writer *w;
	struct buf part, header;
	uint64_t now = 1000000;

	for (size_t i = 0; i < MODEL_SEGMENTS_MAX; i++)
		buf_init(&f->file[i], 4U << 20);
	buf_init(&part, BREC_PART_MAX);
	for (size_t i = 0; i < sizeof(f->id); i++)
		f->id[i] = (uint8_t)model_random(seed);
	if ((f->key = sign_key_generate()) == NULL || age_identity_generate(&auditor) != 0)
		model_die("keys");
	age_recipient_format(to, auditor.pub);
	if ((w = brec_writer_create(f->id, list, none, now, &film_ops, f)) == NULL || brec_writer_part(w, &part) != 0)
		model_die("writer");
	make_header(f, &part, 1, &header);
	add_entry(f, WIRE_OPEN, NULL, 0, &header);
	f->after[0].end = header.len;
	for (unsigned i = 0; i < 40; i++) {
		size_t len = model_random(seed) % 5 == 0 ? 1 + model_random(seed) % sizeof(bytes) : 1 + model_random(seed) % 100;

		brec_writer_event(w, BREC_OUTPUT, BREC_K_OUT, now, 1, bytes, len);
		brec_writer_flush(w, now);
		now += model_random(seed) % 16 == 0 ? 61000000 : 400000;
		if (brec_writer_tick(w, now) < 0)
			model_die("tick");
	}
	if (brec_writer_close(w, now, BREC_END_NORMAL, "") != 0)
		model_die("close");
	brec_writer_destroy(w);
	buf_finish(&part);
	buf_finish(&header);
}

uint64_t film_leaves(const struct film *f, uint64_t entries)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < entries; i++)
		n += f->entry[i].type != WIRE_FRAME;
	return n;
}
