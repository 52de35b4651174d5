/*
 * tlog_leaf.c - see tlog_leaf.h. Pure.
 */
#include "tlog_leaf.h"

#include <string.h>

size_t tlog_leaf_encode(uint8_t out[TLOG_LEAF_MAX], const struct tlog_leaf *leaf)
{
	struct buf b = { .data = out, .cap = TLOG_LEAF_MAX, .max = TLOG_LEAF_MAX };

	buf_put(&b, TLOG_LEAF_MAGIC, sizeof(TLOG_LEAF_MAGIC) - 1);
	buf_put_u8(&b, (uint8_t)leaf->type);
	buf_put(&b, leaf->id, BREC_ID_LEN);
	buf_put_u32(&b, leaf->segment);
	buf_put_u64(&b, leaf->seq);
	buf_put(&b, leaf->h, BREC_HASH_LEN);
	buf_put(&b, leaf->file_hash, HASH_LEN);
	if (leaf->type == TLOG_CLOSE) {
		buf_put_u8(&b, (uint8_t)leaf->end);
		buf_put_string(&b, leaf->reason, leaf->reason_len);
	}
	return b.len;
}

int tlog_leaf_begin(struct buf *b, const void *data, size_t len, enum tlog_leaf_type *type, uint8_t id[BREC_ID_LEN])
{
	const uint8_t *magic;

	buf_view(b, data, len);
	magic = buf_get(b, sizeof(TLOG_LEAF_MAGIC) - 1);
	if (magic == NULL || memcmp(magic, TLOG_LEAF_MAGIC, sizeof(TLOG_LEAF_MAGIC) - 1) != 0)
		return -1;
	*type = (enum tlog_leaf_type)buf_get_u8(b);
	buf_get_copy(b, id, BREC_ID_LEN);
	return 0;
}

int tlog_leaf_decode(struct tlog_leaf *leaf, const void *data, size_t len)
{
	struct buf b;

	*leaf = (struct tlog_leaf){ 0 };
	if (tlog_leaf_begin(&b, data, len, &leaf->type, leaf->id) != 0)
		return -1;
	leaf->segment = buf_get_u32(&b);
	leaf->seq = buf_get_u64(&b);
	buf_get_copy(&b, leaf->h, BREC_HASH_LEN);
	buf_get_copy(&b, leaf->file_hash, HASH_LEN);
	if (leaf->type == TLOG_CLOSE) {
		leaf->end = (enum brec_end)buf_get_u8(&b);
		leaf->reason = (const char *)buf_get_string(&b, BREC_REASON_MAX, &leaf->reason_len);
	}
	return buf_end(&b) && leaf->type >= TLOG_OPEN && leaf->type <= TLOG_CLOSE ? 0 : -1;
}

const char *tlog_leaf_name(enum tlog_leaf_type type)
{
	static const char *const names[] = { "open", "seal", "close", "prune", "hold", "release", "lapse" };

	return type >= TLOG_OPEN && type <= TLOG_LAPSE ? names[type - TLOG_OPEN] : "?";
}
