/*
 * fuzz_scp_track.c - the sending side of an scp channel; the first byte is the length of the first piece.
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
	size_t cut;

	if (size == 0 || (t = scp_track_create(true, report, NULL)) == NULL)
		return 0;
	cut = data[0] % size;
	scp_track_feed(t, true, data + 1, cut);
	scp_track_feed(t, true, data + 1 + cut, size - 1 - cut);
	scp_track_end(t);
	scp_track_destroy(t);
	return 0;
}
