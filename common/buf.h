/*
 * buf.h - a byte buffer that owns its limit, with typed put and get.
 *
 * Used in every role, for messages between roles, frames and protocols. Integers are
 * big-endian (RFC 4251 section 5); a string is u32 length and that many bytes.
 * Errors stick: after the first failed put or get every later one fails too, so that
 * a caller may chain calls and check once, with buf_ok() or buf_end().
 */
#ifndef BASTION_BUF_H
#define BASTION_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data;	/* bytes off..len are unread */
	size_t len;	/* bytes in data */
	size_t off;	/* read position */
	size_t cap;	/* bytes allocated; 0: data is borrowed, read only */
	size_t max;	/* never grows over this */
	bool bad;	/* a put or a get failed */
};

/* Empty buffer that may grow to `max` bytes. Allocates nothing. */
void buf_init(struct buf *b, size_t max);
/* Read-only view of memory that the caller keeps alive. */
void buf_view(struct buf *b, const void *data, size_t len);
/* Wipes and frees what the buffer owns; the struct can be used again after buf_init. */
void buf_finish(struct buf *b);
/* Forgets the contents, wipes them, keeps the memory. */
void buf_reset(struct buf *b);

/* Room for `len` more bytes at the end, counted as written; NULL over the limit or without memory. */
uint8_t *buf_reserve(struct buf *b, size_t len);
int buf_put(struct buf *b, const void *data, size_t len);
int buf_put_u8(struct buf *b, uint8_t v);
int buf_put_u16(struct buf *b, uint16_t v);
int buf_put_u32(struct buf *b, uint32_t v);
int buf_put_u64(struct buf *b, uint64_t v);
/* LEB128, at most 10 bytes. */
int buf_put_varint(struct buf *b, uint64_t v);
int buf_put_string(struct buf *b, const void *data, size_t len);
int buf_put_cstring(struct buf *b, const char *s);

/* `len` raw bytes; the pointer lives as long as the buffer's memory. NULL when there are fewer. */
const uint8_t *buf_get(struct buf *b, size_t len);
int buf_get_copy(struct buf *b, void *out, size_t len);
uint8_t buf_get_u8(struct buf *b);
uint16_t buf_get_u16(struct buf *b);
uint32_t buf_get_u32(struct buf *b);
uint64_t buf_get_u64(struct buf *b);
/* Fails on a value over 64 bits and on a non-minimal encoding. */
uint64_t buf_get_varint(struct buf *b);
/* String of at most `max` bytes; pointer into the buffer, *len set. */
const uint8_t *buf_get_string(struct buf *b, size_t max, size_t *len);
/* String without NUL bytes, copied with a terminator to out[size]; fails if it does not fit. */
int buf_get_cstring(struct buf *b, char *out, size_t size);

/* Bytes not read yet. */
static inline size_t buf_left(const struct buf *b) { return b->bad ? 0 : b->len - b->off; }
static inline bool buf_ok(const struct buf *b) { return !b->bad; }
/* True if nothing failed and every byte was read: call it at the end of each message. */
static inline bool buf_end(const struct buf *b) { return !b->bad && b->off == b->len; }

#endif
