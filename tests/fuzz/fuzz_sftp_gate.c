/*
 * fuzz_sftp_gate.c - both directions of an SFTP channel with one right, chosen by the first byte; then as fuzz_sftp_track.c. With a right
 * for reading alone nothing reaches the target that would write, however it is cut.
 */
#include <stdint.h>
#include <string.h>

#include "sftp_gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the target's server would read: whole requests, their types. */
static uint8_t head[5];
static size_t have;
static uint64_t left;
static unsigned rights;

static bool pass(void *ctx, bool input, const uint8_t *data, size_t len)
{
	static const uint8_t writes[] = { 6, 9, 10, 13, 14, 15, 18, 20 }, reads[] = { 5, 11, 12, 19 };

	(void)ctx;
	for (size_t i = 0; input && i < len; i++) {
		if (left > 0) {
			left--;
			continue;
		}
		head[have++] = data[i];
		if (have < 5)
			continue;
		have = 0;
		left = ((uint64_t)head[0] << 24 | (uint64_t)head[1] << 16 | (uint64_t)head[2] << 8 | head[3]) - 1;
		if (left == UINT64_MAX || memchr(rights == CHAN_READS ? writes : reads, head[4], rights == CHAN_READS ? sizeof(writes) : sizeof(reads)) != NULL)
			__builtin_trap();
	}
	return true;
}

static void report(void *ctx, uint32_t id, const char *json)
{
	(void)id;
	(void)ctx;
	if (json[0] != '{' || json[strlen(json) - 1] != '}')
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sftp_gate *g;

	if (size == 0)
		return 0;
	rights = (data[0] & 1) != 0 ? CHAN_READS : CHAN_WRITES;
	have = 0;
	left = 0;
	if ((g = sftp_gate_create(rights, pass, report, NULL)) == NULL)
		return 0;
	for (data++, size--; size > 1;) {
		size_t n = (size_t)(data[0] & 0x7f) < size - 1 ? (size_t)(data[0] & 0x7f) : size - 1;

		if (!sftp_gate_feed(g, (data[0] & 0x80) != 0, data + 1, n))
			break;
		data += n + 1;
		size -= n + 1;
	}
	sftp_gate_destroy(g);
	return 0;
}
