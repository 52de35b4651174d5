/*
 * fuzz_scp_track.c - both sides of an scp channel. The first byte says the direction; then pieces take turns, each behind a byte: its length, doubled,
 * and one more for a piece of the side that answers.
 */
#include <stdint.h>
#include <stddef.h>
#include <string.h>

#include "relay_bulk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void report(void *ctx, const char *json)
{
	(void)ctx;
	if (json[0] != '{' || json[strlen(json) - 1] != '}')
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scp_track *t;
	size_t at = 1;
	bool upload;

	if (size == 0 || (t = scp_track_create(upload = data[0] % 2 == 0, report, NULL)) == NULL)
		return 0;
	while (at < size) {
		const bool answer = data[at] % 2 != 0;
		size_t n = data[at] / 2;

		if (n > size - ++at)
			n = size - at;
		scp_track_feed(t, upload != answer, data + at, n);
		at += n;
	}
	scp_track_end(t);
	scp_track_destroy(t);
	return 0;
}
