/*
 * wire.c - see wire.h. Runs in the recorder role and in bastion-collectord.
 */
#include "wire.h"

#include <string.h>

static const char hello_magic[8] = { 'B', 'R', 'E', 'C', 's', 'h', 'i', 'p' };

static uint64_t load64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

long wire_length(const uint8_t *data, size_t len)
{
	uint32_t n;

	if (len < 4)
		return 0;
	n = (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
	if (n < 1 || n > WIRE_MAX - 4)
		return -1;
	return (long)n + 4;
}

static void get_hello(struct buf *b, struct wire_msg *m)
{
	const uint8_t *magic = buf_get(b, sizeof(hello_magic));

	if (magic == NULL || memcmp(magic, hello_magic, sizeof(hello_magic)) != 0)
		b->bad = true;
	m->hello.version = buf_get_u16(b);
	m->hello.key = buf_get(b, 32);
	buf_get_cstring(b, m->hello.name, sizeof(m->hello.name));
}

/* A frame's sequence stands at a fixed place; whether the frame is sound is brec's business. */
static void frame_is(struct buf *b, struct wire_entry *e, const uint8_t *frame, size_t len)
{
	if (frame == NULL || len < BREC_FRAME_HEAD + 4 || len > BREC_FRAME_MAX) {
		b->bad = true;
		return;
	}
	e->frame = frame;
	e->frame_len = len;
	e->seq = load64(frame + 12);
}

static void get_entry(struct buf *b, struct wire_msg *m)
{
	struct wire_entry *e = &m->entry;
	const uint8_t *rest;
	size_t len;

	*e = (struct wire_entry){ .type = m->type };
	e->id = buf_get(b, BREC_ID_LEN);
	e->h = buf_get(b, BREC_HASH_LEN);
	if (m->type == WIRE_SEAL) {
		rest = buf_get_string(b, BREC_FRAME_MAX, &len);
		frame_is(b, e, rest, rest != NULL ? len : 0);
	}
	len = buf_left(b);
	rest = buf_get(b, len);
	if (m->type == WIRE_FRAME || m->type == WIRE_END) {
		frame_is(b, e, rest, len);
	} else if (len == 0 || len > BREC_HEADER_MAX) {
		b->bad = true;
	} else {
		e->header = rest;
		e->header_len = len;
	}
}

static void get_commit(struct buf *b, struct wire_msg *m)
{
	if (m->type == WIRE_RECEIPT) {
		m->commit.wall_us = buf_get_u64(b);
		m->commit.sig = buf_get(b, WIRE_SIG_LEN);
	}
	m->commit.n = buf_left(b) / WIRE_LEAF_LEN;
	if (m->commit.n == 0 || m->commit.n > WIRE_LEAVES_MAX)
		b->bad = true;
	m->commit.leaves = buf_get(b, m->commit.n * WIRE_LEAF_LEN);
}

static void get_at(struct buf *b, struct wire_msg *m)
{
	uint8_t state;

	m->at.id = buf_get(b, BREC_ID_LEN);
	state = buf_get_u8(b);
	m->at.seq = buf_get_u64(b);
	m->at.h = buf_get(b, BREC_HASH_LEN);
	if (state > WIRE_AT_ENDED)
		b->bad = true;
	m->at.state = (enum wire_at)state;
}

static void get_state(struct buf *b, struct wire_msg *m)
{
	uint8_t takes = buf_get_u8(b);

	if (takes > WIRE_TAKES_NO_NEW)
		b->bad = true;
	m->state.takes = (enum wire_takes)takes;
	buf_get_cstring(b, m->state.text, sizeof(m->state.text));
}

int wire_decode(struct wire_msg *m, const uint8_t *data, size_t len)
{
	struct buf b;
	uint8_t type;

	if (len < WIRE_HEAD || wire_length(data, len) != (long)len)
		return -1;
	buf_view(&b, data + 4, len - 4);
	type = buf_get_u8(&b);
	if (type < WIRE_HELLO || type >= WIRE_TYPES)
		return -1;
	*m = (struct wire_msg){ .type = (enum wire_type)type };
	switch (m->type) {
	case WIRE_HELLO:
		get_hello(&b, m);
		break;
	case WIRE_OPEN:
	case WIRE_FRAME:
	case WIRE_SEAL:
	case WIRE_END:
		get_entry(&b, m);
		break;
	case WIRE_RESUME:
		m->resume.id = buf_get(&b, BREC_ID_LEN);
		m->resume.opened_us = buf_get_u64(&b);
		break;
	case WIRE_AT:
		get_at(&b, m);
		break;
	case WIRE_COMMIT:
	case WIRE_RECEIPT:
		get_commit(&b, m);
		break;
	case WIRE_STATE:
		get_state(&b, m);
		break;
	default:
		m->err.id = buf_get(&b, BREC_ID_LEN);
		m->err.code = buf_get_u16(&b);
		buf_get_cstring(&b, m->err.text, sizeof(m->err.text));
	}
	return buf_end(&b) ? 0 : -1;
}

void wire_leaf_get(const struct wire_msg *m, size_t i, struct wire_leaf *leaf)
{
	const uint8_t *p = m->commit.leaves + i * WIRE_LEAF_LEN;

	memcpy(leaf->id, p, BREC_ID_LEN);
	leaf->seq = load64(p + BREC_ID_LEN);
	memcpy(leaf->h, p + BREC_ID_LEN + 8, BREC_HASH_LEN);
}

static void put_head(struct buf *b, enum wire_type type, size_t body)
{
	if (body + WIRE_HEAD > WIRE_MAX)
		b->bad = true;
	buf_put_u32(b, (uint32_t)body + 1);
	buf_put_u8(b, (uint8_t)type);
}

static int done(const struct buf *b)
{
	return buf_ok(b) ? 0 : -1;
}

/*
 * What goes to a peer as text fits its field: cut here, so that a long reason never breaks a
 * connection.
 */
static size_t text_len(const char *text)
{
	return strnlen(text, WIRE_TEXT_MAX);
}

int wire_put_hello(struct buf *b, const uint8_t key[32], const char *name)
{
	size_t len = strnlen(name, WIRE_NAME_MAX);

	put_head(b, WIRE_HELLO, sizeof(hello_magic) + 2 + 32 + 4 + len);
	buf_put(b, hello_magic, sizeof(hello_magic));
	buf_put_u16(b, WIRE_VERSION);
	buf_put(b, key, 32);
	buf_put_string(b, name, len);
	return done(b);
}

int wire_put_entry(struct buf *b, const struct wire_entry *e)
{
	size_t body =
	    BREC_ID_LEN + BREC_HASH_LEN + e->frame_len + e->header_len + (e->type == WIRE_SEAL ? 4 : 0);

	put_head(b, e->type, body);
	buf_put(b, e->id, BREC_ID_LEN);
	buf_put(b, e->h, BREC_HASH_LEN);
	if (e->type == WIRE_SEAL)
		buf_put_string(b, e->frame, e->frame_len);
	else if (e->type != WIRE_OPEN)
		buf_put(b, e->frame, e->frame_len);
	if (e->header_len != 0)
		buf_put(b, e->header, e->header_len);
	return done(b);
}

int wire_put_resume(struct buf *b, const uint8_t id[BREC_ID_LEN], uint64_t opened_us)
{
	put_head(b, WIRE_RESUME, BREC_ID_LEN + 8);
	buf_put(b, id, BREC_ID_LEN);
	buf_put_u64(b, opened_us);
	return done(b);
}

int wire_put_at(struct buf *b, const uint8_t id[BREC_ID_LEN], enum wire_at state, uint64_t seq,
    const uint8_t h[BREC_HASH_LEN])
{
	put_head(b, WIRE_AT, BREC_ID_LEN + 1 + 8 + BREC_HASH_LEN);
	buf_put(b, id, BREC_ID_LEN);
	buf_put_u8(b, (uint8_t)state);
	buf_put_u64(b, seq);
	buf_put(b, h, BREC_HASH_LEN);
	return done(b);
}

static void put_leaves(struct buf *b, const struct wire_leaf *leaves, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_put(b, leaves[i].id, BREC_ID_LEN);
		buf_put_u64(b, leaves[i].seq);
		buf_put(b, leaves[i].h, BREC_HASH_LEN);
	}
}

int wire_put_commit(struct buf *b, const struct wire_leaf *leaves, size_t n)
{
	if (n == 0 || n > WIRE_LEAVES_MAX) {
		b->bad = true;
		return -1;
	}
	put_head(b, WIRE_COMMIT, n * WIRE_LEAF_LEN);
	put_leaves(b, leaves, n);
	return done(b);
}

int wire_put_receipt(
    struct buf *b, uint64_t wall_us, const uint8_t sig[WIRE_SIG_LEN], const struct wire_leaf *leaves, size_t n)
{
	if (n == 0 || n > WIRE_LEAVES_MAX) {
		b->bad = true;
		return -1;
	}
	put_head(b, WIRE_RECEIPT, 8 + WIRE_SIG_LEN + n * WIRE_LEAF_LEN);
	buf_put_u64(b, wall_us);
	buf_put(b, sig, WIRE_SIG_LEN);
	put_leaves(b, leaves, n);
	return done(b);
}

int wire_put_state(struct buf *b, enum wire_takes takes, const char *text)
{
	put_head(b, WIRE_STATE, 1 + 4 + text_len(text));
	buf_put_u8(b, (uint8_t)takes);
	buf_put_string(b, text, text_len(text));
	return done(b);
}

int wire_put_err(struct buf *b, const uint8_t *id, enum wire_err code, const char *text)
{
	static const uint8_t connection[BREC_ID_LEN];

	put_head(b, WIRE_ERR, BREC_ID_LEN + 2 + 4 + text_len(text));
	buf_put(b, id != NULL ? id : connection, BREC_ID_LEN);
	buf_put_u16(b, (uint16_t)code);
	buf_put_string(b, text, text_len(text));
	return done(b);
}

const char *wire_type_name(unsigned type)
{
	static const char *const names[WIRE_TYPES] = { NULL, "HELLO", "OPEN", "FRAME", "SEAL", "END", "RESUME",
		"AT", "COMMIT", "RECEIPT", "STATE", "ERR" };

	return type >= WIRE_HELLO && type < WIRE_TYPES ? names[type] : "?";
}

const char *wire_err_name(unsigned code)
{
	static const char *const names[] = { "?", "protocol", "refused", "unknown", "gap", "chain", "conflict",
		"ended", "damaged" };

	return code < sizeof(names) / sizeof(names[0]) ? names[code] : "?";
}
