/*
 * buf.c - see buf.h. Runs in every role; decodes foreign bytes, so each get checks before it reads.
 */
#include "buf.h"

#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_view(struct buf *b, const void *data, size_t len)
{
	/* cap 0 marks the memory as borrowed: no put succeeds, finish frees nothing */
	*b = (struct buf){ .data = (uint8_t *)(uintptr_t)data, .len = len };
}

void buf_finish(struct buf *b)
{
	if (b->cap != 0) {
		explicit_bzero(b->data, b->cap);
		free(b->data);
	}
	*b = (struct buf){ .max = b->max };
}

void buf_reset(struct buf *b)
{
	if (b->cap == 0)
		b->data = NULL;
	else
		explicit_bzero(b->data, b->len);
	b->len = b->off = 0;
	b->bad = false;
}

static int buf_grow(struct buf *b, size_t need)
{
	size_t cap = b->cap != 0 ? b->cap : 64;
	uint8_t *data;

	if (need > b->max)
		return -1;
	while (cap < need)
		cap = cap > b->max / 2 ? b->max : cap * 2;
	if (cap == b->cap)
		return 0;
	/* not realloc: it would leave an unwiped copy of a secret behind */
	if ((data = malloc(cap)) == NULL)
		return -1;
	if (b->cap != 0) {
		memcpy(data, b->data, b->len);
		explicit_bzero(b->data, b->cap);
		free(b->data);
	}
	b->data = data;
	b->cap = cap;
	return 0;
}

uint8_t *buf_reserve(struct buf *b, size_t len)
{
	uint8_t *p;

	if (b->bad || len > b->max || b->len > b->max - len || buf_grow(b, b->len + len) != 0) {
		b->bad = true;
		return NULL;
	}
	p = b->data + b->len;
	b->len += len;
	return p;
}

int buf_put(struct buf *b, const void *data, size_t len)
{
	uint8_t *p;

	if (len == 0)
		return b->bad ? -1 : 0;
	if ((p = buf_reserve(b, len)) == NULL)
		return -1;
	memcpy(p, data, len);
	return 0;
}

static int put_be(struct buf *b, uint64_t v, size_t width)
{
	uint8_t *p = buf_reserve(b, width);

	if (p == NULL)
		return -1;
	for (size_t i = width; i-- > 0; v >>= 8)
		p[i] = v & 0xff;
	return 0;
}

int buf_put_u8(struct buf *b, uint8_t v) { return put_be(b, v, 1); }
int buf_put_u16(struct buf *b, uint16_t v) { return put_be(b, v, 2); }
int buf_put_u32(struct buf *b, uint32_t v) { return put_be(b, v, 4); }
int buf_put_u64(struct buf *b, uint64_t v) { return put_be(b, v, 8); }

int buf_put_varint(struct buf *b, uint64_t v)
{
	uint8_t tmp[10];
	size_t n = 0;

	do {
		tmp[n] = v & 0x7f;
		v >>= 7;
		if (v != 0)
			tmp[n] |= 0x80;
		n++;
	} while (v != 0);
	return buf_put(b, tmp, n);
}

int buf_put_string(struct buf *b, const void *data, size_t len)
{
	if (len > UINT32_MAX) {
		b->bad = true;
		return -1;
	}
	if (buf_put_u32(b, (uint32_t)len) != 0)
		return -1;
	return buf_put(b, data, len);
}

int buf_put_cstring(struct buf *b, const char *s)
{
	return buf_put_string(b, s, strlen(s));
}

const uint8_t *buf_get(struct buf *b, size_t len)
{
	const uint8_t *p;

	if (b->bad || b->len - b->off < len) {
		b->bad = true;
		return NULL;
	}
	p = b->data + b->off;
	b->off += len;
	return p;
}

int buf_get_copy(struct buf *b, void *out, size_t len)
{
	const uint8_t *p = buf_get(b, len);

	if (p == NULL)
		return -1;
	if (len != 0)
		memcpy(out, p, len);
	return 0;
}

static uint64_t get_be(struct buf *b, size_t width)
{
	const uint8_t *p = buf_get(b, width);
	uint64_t v = 0;

	for (size_t i = 0; p != NULL && i < width; i++)
		v = v << 8 | p[i];
	return v;
}

uint8_t buf_get_u8(struct buf *b) { return (uint8_t)get_be(b, 1); }
uint16_t buf_get_u16(struct buf *b) { return (uint16_t)get_be(b, 2); }
uint32_t buf_get_u32(struct buf *b) { return (uint32_t)get_be(b, 4); }
uint64_t buf_get_u64(struct buf *b) { return get_be(b, 8); }

uint64_t buf_get_varint(struct buf *b)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		const uint8_t *p = buf_get(b, 1);

		if (p == NULL)
			return 0;
		/* the tenth byte holds bit 63 only; a last byte of 0 is padding: one value, one encoding */
		if ((shift == 63 && *p > 1) || (*p == 0 && shift != 0))
			break;
		v |= (uint64_t)(*p & 0x7f) << shift;
		if ((*p & 0x80) == 0)
			return v;
	}
	b->bad = true;
	return 0;
}

const uint8_t *buf_get_string(struct buf *b, size_t max, size_t *len)
{
	uint32_t n = buf_get_u32(b);

	*len = 0;
	if (b->bad || n > max) {
		b->bad = true;
		return NULL;
	}
	*len = n;
	return buf_get(b, n);
}

int buf_get_cstring(struct buf *b, char *out, size_t size)
{
	size_t len;
	const uint8_t *p = buf_get_string(b, size - 1, &len);

	out[0] = '\0';
	if (p == NULL)
		return -1;
	if (len != 0 && memchr(p, '\0', len) != NULL) {
		b->bad = true;
		return -1;
	}
	if (len != 0)
		memcpy(out, p, len);
	out[len] = '\0';
	return 0;
}
