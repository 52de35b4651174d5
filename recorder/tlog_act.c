/*
 * tlog_act.c - see tlog_act.h. Pure.
 */
#include "tlog_act.h"

#include <string.h>

size_t tlog_act_encode(uint8_t out[TLOG_ACT_MAX], const struct tlog_act *a)
{
	struct buf b = { .data = out, .cap = TLOG_ACT_MAX, .max = TLOG_ACT_MAX };

	buf_put(&b, TLOG_LEAF_MAGIC, sizeof(TLOG_LEAF_MAGIC) - 1);
	buf_put_u8(&b, (uint8_t)a->type);
	buf_put(&b, a->id, BREC_ID_LEN);
	buf_put_u64(&b, (uint64_t)a->wall_us);
	if (tlog_removes(a->type)) {
		buf_put_u32(&b, a->days);
		buf_put_u32(&b, a->segment);
		buf_put(&b, a->file_hash, HASH_LEN);
		buf_put_string(&b, a->close.data, a->close.len);
	}
	buf_put_string(&b, a->who.data, a->who.len);
	buf_put_string(&b, a->why.data, a->why.len);
	return b.len;
}

static struct span get_text(struct buf *b, size_t max)
{
	size_t len = 0;
	const uint8_t *p = buf_get_string(b, max, &len);

	return SPAN(p, p != NULL ? len : 0);
}

int tlog_act_decode(struct tlog_act *a, const void *data, size_t len)
{
	struct buf b;

	*a = (struct tlog_act){ 0 };
	if (tlog_leaf_begin(&b, data, len, &a->type, a->id) != 0)
		return -1;
	a->wall_us = (int64_t)buf_get_u64(&b);
	if (tlog_removes(a->type)) {
		a->days = buf_get_u32(&b);
		a->segment = buf_get_u32(&b);
		buf_get_copy(&b, a->file_hash, HASH_LEN);
		a->close = get_text(&b, TLOG_CLOSE_FRAME_MAX);
	}
	a->who = get_text(&b, TLOG_WHO_MAX);
	a->why = get_text(&b, TLOG_WHY_MAX);
	return buf_end(&b) && a->type >= TLOG_PRUNE && a->type <= TLOG_LAPSE ? 0 : -1;
}
