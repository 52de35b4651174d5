/*
 * crypto_event.c - see crypto_event.h. Policy role and bastion-replay: under the chain of events.
 */
#include "crypto_event.h"

#include "crypto.h"

static int put_row(struct buf *b, const struct event_row *e)
{
	buf_put_u64(b, (uint64_t)e->id);
	buf_put_u64(b, (uint64_t)e->at);
	buf_put_cstring(b, e->kind);
	buf_put_cstring(b, e->actor);
	buf_put_cstring(b, e->subject);
	return buf_put_cstring(b, e->detail);
}

int event_hash(const uint8_t prev[EVENT_HASH_LEN], const struct event_row *e,
    uint8_t next[EVENT_HASH_LEN])
{
	struct buf b;
	int r = -1;

	buf_init(&b, EVENT_HASH_LEN + EVENT_ROW_MAX);
	buf_put(&b, prev, EVENT_HASH_LEN);
	if (put_row(&b, e) == 0)
		r = sha256_spans(next, SPANS(SPAN(b.data, b.len)));
	buf_finish(&b);
	return r;
}

int event_row_put(struct buf *b, const struct event_row *e, const uint8_t hash[EVENT_HASH_LEN])
{
	put_row(b, e);
	return buf_put(b, hash, EVENT_HASH_LEN);
}

int event_row_get(struct event_row *e, struct event_text *text, uint8_t hash[EVENT_HASH_LEN],
    const uint8_t *data, size_t len)
{
	uint64_t id, at;
	struct buf b;

	buf_view(&b, data, len);
	id = buf_get_u64(&b);
	at = buf_get_u64(&b);
	if (buf_get_cstring(&b, text->kind, sizeof(text->kind)) != 0 ||
	    buf_get_cstring(&b, text->actor, sizeof(text->actor)) != 0 ||
	    buf_get_cstring(&b, text->subject, sizeof(text->subject)) != 0 ||
	    buf_get_cstring(&b, text->detail, sizeof(text->detail)) != 0 ||
	    buf_get_copy(&b, hash, EVENT_HASH_LEN) != 0 || !buf_end(&b) || id == 0 ||
	    id > INT64_MAX || at > INT64_MAX)
		return -1;
	*e = (struct event_row){ (int64_t)id, (int64_t)at, text->kind, text->actor, text->subject,
		text->detail };
	return 0;
}
