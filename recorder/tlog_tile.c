/*
 * tlog_tile.c - see tlog_tile.h. Pure.
 */
#include "tlog_tile.h"

#include <stdio.h>
#include <string.h>

char *tlog_tile_path(char out[TLOG_PATH_LEN], int level, uint64_t n, unsigned width)
{
	char name[16] = "entries";
	uint64_t above = n / 1000;
	unsigned parts[6] = { 0 }, count = 0;
	size_t at;

	if (level >= 0)
		snprintf(name, sizeof(name), "%d", level);
	at = (size_t)snprintf(out, TLOG_PATH_LEN, "tile/%s/", name);
	for (; above != 0 && count < 6; above /= 1000)
		parts[count++] = (unsigned)(above % 1000);
	while (count > 0)
		at += (size_t)snprintf(out + at, TLOG_PATH_LEN - at, "x%03u/", parts[--count]);
	at += (size_t)snprintf(out + at, TLOG_PATH_LEN - at, "%03u", (unsigned)(n % 1000));
	if (width < TLOG_TILE)
		snprintf(out + at, TLOG_PATH_LEN - at, ".p/%u", width);
	return out;
}

const uint8_t *tlog_bundle_next(struct buf *b, size_t *len)
{
	*len = buf_get_u16(b);
	return buf_get(b, *len);
}

long tlog_bundle_prefix(const uint8_t *data, size_t len, unsigned count)
{
	struct buf b;
	size_t n;

	buf_view(&b, data, len);
	while (count-- > 0)
		if (tlog_bundle_next(&b, &n) == NULL)
			return -1;
	return (long)b.off;
}
