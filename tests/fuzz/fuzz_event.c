/*
 * fuzz_event.c - an event as a recording holds it: what is decoded is encoded to the same bytes.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto_event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct event_text text;
	uint8_t hash[EVENT_HASH_LEN];
	struct event_row e;
	struct buf b;

	if (event_row_get(&e, &text, hash, data, size) != 0)
		return 0;
	buf_init(&b, EVENT_ROW_MAX + EVENT_HASH_LEN);
	if (e.id <= 0 || e.at < 0 || event_row_put(&b, &e, hash) != 0 || b.len != size ||
	    memcmp(b.data, data, size) != 0)
		abort();
	buf_finish(&b);
	return 0;
}
