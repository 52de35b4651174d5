/*
 * fuzz_tlog_leaf.c - an entry bundle of the log of recordings and its leaves. A leaf that decodes is made again from what was read.
 */
#include <stdlib.h>
#include <string.h>

#include "tlog_act.h"
#include "tlog_tile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[TLOG_ACT_MAX];
	char path[TLOG_PATH_LEN];
	struct tlog_leaf leaf;
	struct tlog_act act;
	const uint8_t *entry;
	unsigned count = 0;
	size_t len;
	struct buf b;

	buf_view(&b, data, size);
	while (count < TLOG_TILE && (entry = tlog_bundle_next(&b, &len)) != NULL) {
		count++;
		if (tlog_leaf_decode(&leaf, entry, len) == 0 && (tlog_leaf_encode(again, &leaf) != len || memcmp(again, entry, len) != 0))
			abort();
		if (tlog_act_decode(&act, entry, len) == 0 && (tlog_act_encode(again, &act) != len || memcmp(again, entry, len) != 0))
			abort();
	}
	if (tlog_bundle_prefix(data, size, count) < 0 || tlog_bundle_prefix(data, size, count) > (long)size)
		abort();
	if (size >= 8) {
		uint64_t n;

		memcpy(&n, data, sizeof(n));
		if (strlen(tlog_tile_path(path, (int)(n % 7) - 1, n >> 9, 1 + (unsigned)(n % TLOG_TILE))) >= sizeof(path))
			abort();
	}
	return 0;
}
