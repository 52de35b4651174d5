/*
 * brec.c - see brec.h: headers, frames, marks and events of BREC v1, encoded, decoded and chained.
 *
 * Pure. Session (brec_writer.c), recorder and collector (frames as they pass), auditor (brec_read.c, brec_verify.c).
 */
#include "brec.h"

#include <string.h>

#include "crc32c.h"

#define VERSION 1
#define SUITE 1
#define SUITE_SHARED 2	/* input takes two groups */
#define SIGNED_PREFIX "brec/v1 header"
#define MARK_FIXED (BREC_HASH_LEN + 8 + SIG_LEN)	/* h, wall, signature */
#define CLOSE_FIXED (MARK_FIXED + 1 + 4)		/* and end, length of the reason */

static const uint8_t magic[8] = "BREC\r\n\x1a\n";

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 3; i >= 0; i--, v >>= 8)
		p[i] = v & 0xff;
}

static void put64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = v & 0xff;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t get64(const uint8_t *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

const char *brec_strerror(int error)
{
	switch (error) {
	case BREC_OK: return "no error";
	case BREC_SHORT: return "incomplete";
	case BREC_E_MAGIC: return "no BREC header";
	case BREC_E_VERSION: return "a version or suite that this program does not know";
	case BREC_E_LENGTH: return "impossible length";
	case BREC_E_FIELD: return "a value that no writer makes";
	case BREC_E_CRC: return "checksum does not match";
	case BREC_E_SIGNATURE: return "signature does not hold";
	case BREC_E_CRYPTO: return "the cryptographic library failed";
	default: return "?";
	}
}

const char *brec_end_name(enum brec_end end)
{
	static const char *const names[] = { "?", "normal", "killed", "expired", "error", "abandoned" };

	return end >= BREC_END_NORMAL && end <= BREC_END_ABANDONED ? names[end] : "?";
}

const char *brec_stream_name(enum brec_stream stream)
{
	static const char *const names[] = { "meta", "input", "output" };

	return (unsigned)stream < BREC_STREAMS ? names[stream] : "?";
}

/* ---- header ---- */

static int signed_header(struct buf *b, const uint8_t *p, size_t len)
{
	buf_init(b, sizeof(SIGNED_PREFIX) + len);
	buf_put(b, SIGNED_PREFIX, sizeof(SIGNED_PREFIX) - 1);
	return buf_put(b, p, len);
}

int brec_header_build(struct buf *out, const struct brec_header *h, const struct sign_key *key)
{
	const size_t start = out->len, clear = BREC_HEADER_MIN - SIG_LEN + h->part_len;
	struct brec_wrap wraps[BREC_GROUPS];
	uint8_t pub[KEY_LEN], id[HASH_LEN], sig[SIG_LEN];
	struct buf b;
	int r = BREC_E_CRYPTO;

	if (h->part_len > BREC_PART_MAX)
		return BREC_E_LENGTH;
	if (brec_part_decode(h->part, h->part_len, wraps) != 0)
		return BREC_E_FIELD;
	sign_key_public(key, pub);
	if (key_id(id, pub) != 0)
		return BREC_E_CRYPTO;
	buf_put(out, magic, sizeof(magic));
	buf_put_u16(out, VERSION);
	buf_put_u16(out, wraps[BREC_GROUP_SECOND].present ? SUITE_SHARED : SUITE);
	buf_put_u32(out, (uint32_t)(clear + SIG_LEN));
	buf_put(out, h->id, BREC_ID_LEN);
	buf_put_u32(out, h->segment);
	buf_put_u32(out, h->segment);	/* epoch */
	buf_put_u64(out, h->first_seq);
	buf_put(out, h->prev, BREC_HASH_LEN);
	buf_put_u64(out, (uint64_t)h->wall_us);
	buf_put(out, h->boot_id, sizeof(h->boot_id));
	buf_put(out, id, sizeof(id));
	if (buf_put_string(out, h->part, h->part_len) != 0)
		return BREC_E_LENGTH;
	if (signed_header(&b, out->data + start, clear) == 0 && sign_key_sign(key, sig, b.data, b.len) == 0)
		r = buf_put(out, sig, sizeof(sig)) == 0 ? 0 : BREC_E_LENGTH;
	buf_finish(&b);
	return r;
}

int brec_header_decode(const uint8_t *p, size_t len, struct brec_header *h)
{
	static const uint8_t zero[BREC_HASH_LEN];
	struct brec_wrap wraps[BREC_GROUPS];
	struct buf b;

	*h = (struct brec_header){ 0 };
	if (memcmp(p, magic, len < sizeof(magic) ? len : sizeof(magic)) != 0)
		return BREC_E_MAGIC;
	if (len < 16)
		return BREC_SHORT;
	buf_view(&b, p, len);
	buf_get(&b, sizeof(magic));
	h->version = buf_get_u16(&b);
	h->suite = buf_get_u16(&b);
	h->len = buf_get_u32(&b);
	if (h->version != VERSION || (h->suite != SUITE && h->suite != SUITE_SHARED))
		return BREC_E_VERSION;
	if (h->len < BREC_HEADER_MIN || h->len > BREC_HEADER_MAX)
		return BREC_E_LENGTH;
	if (len < h->len)
		return BREC_SHORT;
	buf_get_copy(&b, h->id, sizeof(h->id));
	h->segment = buf_get_u32(&b);
	h->epoch = buf_get_u32(&b);
	h->first_seq = buf_get_u64(&b);
	buf_get_copy(&b, h->prev, sizeof(h->prev));
	h->wall_us = (int64_t)buf_get_u64(&b);
	buf_get_copy(&b, h->boot_id, sizeof(h->boot_id));
	buf_get_copy(&b, h->signer, sizeof(h->signer));
	h->part = buf_get_string(&b, BREC_PART_MAX, &h->part_len);
	h->signature = buf_get(&b, SIG_LEN);
	if (!buf_ok(&b) || h->len != BREC_HEADER_MIN + h->part_len)
		return BREC_E_LENGTH;
	if (h->epoch != h->segment || h->wall_us < 0 ||
	    (h->segment == 0) != (h->first_seq == 1) || h->first_seq == 0 ||
	    (h->segment == 0 && memcmp(h->prev, zero, sizeof(zero)) != 0))
		return BREC_E_FIELD;
	if (brec_part_decode(h->part, h->part_len, wraps) != 0)
		return BREC_E_FIELD;
	return wraps[BREC_GROUP_SECOND].present == (h->suite == SUITE_SHARED) ? BREC_OK : BREC_E_FIELD;
}

bool brec_header_verify(const uint8_t *p, const struct brec_header *h, const uint8_t pub[KEY_LEN])
{
	uint8_t id[HASH_LEN];
	struct buf b;
	bool ok;

	if (key_id(id, pub) != 0 || memcmp(id, h->signer, sizeof(id)) != 0)
		return false;
	ok = signed_header(&b, p, h->len - SIG_LEN) == 0 && ed25519_verify(pub, h->signature, b.data, b.len);
	buf_finish(&b);
	return ok;
}

int brec_part_decode(const uint8_t *part, size_t len, struct brec_wrap wraps[BREC_GROUPS])
{
	struct buf b;
	unsigned groups;

	memset(wraps, 0, sizeof(*wraps) * BREC_GROUPS);
	buf_view(&b, part, len);
	groups = buf_get_u8(&b);
	if (groups < 1 || groups > BREC_GROUPS)
		return BREC_E_FIELD;
	for (unsigned i = 0; i < groups; i++) {
		struct brec_wrap *w = &wraps[i];

		if (buf_get_u8(&b) != i)
			return BREC_E_FIELD;
		w->commit = buf_get(&b, HASH_LEN);
		w->count = buf_get_u32(&b);
		if (w->count < 1 || w->count > BREC_RECIPIENTS_MAX)
			return BREC_E_FIELD;
		w->stanzas = buf_get(&b, (size_t)w->count * BREC_STANZA_LEN);
		w->present = true;
	}
	return buf_end(&b) ? 0 : BREC_E_FIELD;
}

/* ---- frame ---- */

int brec_frame_decode(const uint8_t *p, size_t len, struct brec_frame *f)
{
	*f = (struct brec_frame){ 0 };
	if (len < 4)
		return BREC_SHORT;
	f->len = get32(p);
	if (f->len < BREC_FRAME_HEAD + 4 || f->len > BREC_FRAME_MAX)
		return BREC_E_LENGTH;
	if (len < f->len)
		return BREC_SHORT;
	if (get32(p + f->len - 4) != crc32c(0, p, f->len - 4))
		return BREC_E_CRC;
	f->type = p[4];
	f->stream = p[5];
	f->epoch = get32(p + 8);
	f->seq = get64(p + 12);
	f->body = p + BREC_FRAME_HEAD;
	f->body_len = f->len - BREC_FRAME_HEAD - 4;
	if (p[6] != 0 || p[7] != 0 || f->seq == 0 || f->type < BREC_DATA || f->type > BREC_CLOSE ||
	    f->stream >= BREC_STREAMS || (f->type != BREC_DATA && f->stream != 0))
		return BREC_E_FIELD;
	/* a data frame holds at least one block of 16 and the tag */
	if (f->type == BREC_DATA)
		return f->body_len >= 2 * AEAD_TAG_LEN && f->body_len % 16 == 0 ? 0 : BREC_E_LENGTH;
	if (f->type == BREC_CLOSE)
		return f->body_len >= CLOSE_FIXED && f->body_len <= CLOSE_FIXED + BREC_REASON_MAX ? 0 : BREC_E_LENGTH;
	return f->body_len == MARK_FIXED ? 0 : BREC_E_LENGTH;
}

void brec_frame_head(uint8_t out[BREC_FRAME_HEAD], enum brec_type type, enum brec_stream stream, uint32_t epoch,
    uint64_t seq, size_t body_len)
{
	put32(out, (uint32_t)(BREC_FRAME_HEAD + body_len + 4));
	out[4] = (uint8_t)type;
	out[5] = (uint8_t)stream;
	out[6] = out[7] = 0;
	put32(out + 8, epoch);
	put64(out + 12, seq);
}

void brec_frame_end(uint8_t *frame, size_t len)
{
	put32(frame + len - 4, crc32c(0, frame, len - 4));
}

/* ---- checkpoint, seal, close ---- */

/* The bytes under a mark's signature. */
static int signed_mark(struct buf *b, const uint8_t *id, const struct brec_mark *m)
{
	buf_init(b, 512);
	if (m->type == BREC_CLOSE)
		buf_put(b, "brec/v1 close", 13);
	else if (m->type == BREC_SEAL)
		buf_put(b, "brec/v1 seal", 12);
	else
		buf_put(b, "brec/v1 checkpoint", 18);
	buf_put(b, id, BREC_ID_LEN);
	buf_put_u64(b, m->seq);
	buf_put(b, m->h, BREC_HASH_LEN);
	buf_put_u64(b, (uint64_t)m->wall_us);
	if (m->type == BREC_CLOSE) {
		buf_put_u8(b, (uint8_t)m->end);
		buf_put_cstring(b, m->reason);
	}
	return buf_ok(b) ? 0 : -1;
}

int brec_mark_build(struct buf *out, const uint8_t id[BREC_ID_LEN], const struct brec_mark *m, const struct sign_key *key)
{
	size_t reason = strlen(m->reason);
	size_t len = BREC_FRAME_HEAD + MARK_FIXED + 4 + (m->type == BREC_CLOSE ? 1 + 4 + reason : 0);
	uint8_t sig[SIG_LEN], *p;
	struct buf b;
	int r = BREC_E_CRYPTO;

	if (signed_mark(&b, id, m) != 0 || sign_key_sign(key, sig, b.data, b.len) != 0)
		goto out;
	r = BREC_E_LENGTH;
	if ((p = buf_reserve(out, len)) == NULL)
		goto out;
	brec_frame_head(p, m->type, BREC_META, m->epoch, m->seq, len - BREC_FRAME_HEAD - 4);
	memcpy(p + 20, m->h, BREC_HASH_LEN);
	put64(p + 52, (uint64_t)m->wall_us);
	memcpy(p + 60, sig, SIG_LEN);
	if (m->type == BREC_CLOSE) {
		p[124] = (uint8_t)m->end;
		put32(p + 125, (uint32_t)reason);
		memcpy(p + 129, m->reason, reason);
	}
	brec_frame_end(p, len);
	r = 0;
out:
	buf_finish(&b);
	return r;
}

int brec_mark_decode(const struct brec_frame *f, struct brec_mark *m)
{
	struct buf b;

	*m = (struct brec_mark){ .type = f->type, .seq = f->seq, .epoch = f->epoch };
	if (f->type == BREC_DATA)
		return BREC_E_FIELD;
	buf_view(&b, f->body, f->body_len);
	buf_get_copy(&b, m->h, sizeof(m->h));
	m->wall_us = (int64_t)buf_get_u64(&b);
	m->signature = buf_get(&b, SIG_LEN);
	if (f->type == BREC_CLOSE) {
		m->end = buf_get_u8(&b);
		buf_get_cstring(&b, m->reason, sizeof(m->reason));
		if (m->end < BREC_END_NORMAL || m->end > BREC_END_ABANDONED)
			return BREC_E_FIELD;
	}
	return buf_end(&b) && m->wall_us >= 0 ? 0 : BREC_E_FIELD;
}

bool brec_mark_verify(const uint8_t id[BREC_ID_LEN], const struct brec_mark *m, const uint8_t pub[KEY_LEN])
{
	struct buf b;
	bool ok = signed_mark(&b, id, m) == 0 && ed25519_verify(pub, m->signature, b.data, b.len);

	buf_finish(&b);
	return ok;
}

/* ---- chain and keys ---- */

int brec_chain_start(uint8_t h[BREC_HASH_LEN], const uint8_t *header, size_t len)
{
	return sha256_spans(h, SPANS(SPAN_STR("brec/v1"), SPAN(header, len))) == 0 ? 0 : BREC_E_CRYPTO;
}

int brec_chain_add(uint8_t h[BREC_HASH_LEN], const uint8_t *frame, size_t len)
{
	return sha256_spans(h, SPANS(SPAN_STR("\x02"), SPAN(h, BREC_HASH_LEN), SPAN(frame, len))) == 0 ? 0 : BREC_E_CRYPTO;
}

/* recording id ‖ u32: the salt, and the tail of the AAD */
static void id_and_number(uint8_t out[BREC_ID_LEN + 4], const uint8_t *id, uint32_t number)
{
	memcpy(out, id, BREC_ID_LEN);
	put32(out + BREC_ID_LEN, number);
}

/* info is text and one byte */
static int derive(uint8_t *key, struct span secret, const uint8_t *id, uint32_t epoch, const char *text, uint8_t which)
{
	uint8_t salt[BREC_ID_LEN + 4], info[32];
	size_t n = strlen(text);

	id_and_number(salt, id, epoch);
	memcpy(info, text, n);
	info[n] = which;
	return hkdf_sha256(key, KEY_LEN, secret, SPAN(salt, sizeof(salt)), SPAN(info, n + 1)) == 0 ? 0 : BREC_E_CRYPTO;
}

int brec_group_key(uint8_t key[KEY_LEN], const uint8_t file_key[16], const uint8_t id[BREC_ID_LEN], uint32_t epoch,
    enum brec_group group)
{
	return derive(key, SPAN(file_key, 16), id, epoch, "brec/v1 group", (uint8_t)group);
}

int brec_stream_key(uint8_t key[KEY_LEN], const uint8_t group_key[KEY_LEN], const uint8_t id[BREC_ID_LEN],
    uint32_t epoch, enum brec_stream stream)
{
	return derive(key, SPAN(group_key, KEY_LEN), id, epoch, "brec/v1 stream", (uint8_t)stream);
}

int brec_commitment(uint8_t out[HASH_LEN], const uint8_t group_key[KEY_LEN], const uint8_t id[BREC_ID_LEN],
    uint32_t epoch, enum brec_group group)
{
	uint8_t where[BREC_ID_LEN + 4], g = (uint8_t)group;

	id_and_number(where, id, epoch);
	return hmac_sha256(out, SPAN(group_key, KEY_LEN),
	    SPANS(SPAN_STR("brec/v1 commit"), SPAN(where, sizeof(where)), SPAN(&g, 1))) == 0 ? 0 : BREC_E_CRYPTO;
}

void brec_nonce(uint8_t nonce[AEAD_NONCE_LEN], uint64_t seq)
{
	put32(nonce, 0);
	put64(nonce + 4, seq);
}

void brec_aad_tail(uint8_t tail[BREC_AAD_TAIL], const uint8_t id[BREC_ID_LEN], uint32_t segment)
{
	id_and_number(tail, id, segment);
}

/* ---- events ---- */

int brec_event_decode(struct buf *b, struct brec_event *e)
{
	*e = (struct brec_event){ 0 };
	if (buf_left(b) == 0)
		return buf_ok(b) ? 0 : BREC_E_FIELD;
	if ((e->kind = buf_get_u8(b)) == 0) {
		size_t left = buf_left(b);
		const uint8_t *p = buf_get(b, left);

		for (size_t i = 0; i < left; i++)
			if (p[i] != 0)
				return BREC_E_FIELD;
		return left < 15 ? 0 : BREC_E_FIELD; /* padding of a whole block is none */
	}
	if (e->kind == BREC_K_MORE)
		return BREC_E_FIELD;
	e->t_us = buf_get_varint(b);
	e->channel = buf_get_varint(b);
	e->len = buf_get_varint(b);
	if (!buf_ok(b) || e->len > buf_left(b))
		return BREC_E_FIELD;
	e->data = buf_get(b, e->len);
	return 1;
}
