/*
 * fuzz_reading.c - any line to the log of readings: nothing crashes, and what is taken is a line that can be made again and says the same.
 */
#include <stdlib.h>
#include <string.h>

#include "replay_readings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t before[HASH_LEN] = { 0 };
	char line[READINGS_LINE_MAX + 1];
	struct reading r, again;
	bool follows;
	int n;

	if (reading_parse(&r, (const char *)data, size, before, &follows) != 0)
		return 0;
	n = reading_format(&r, before, line, sizeof(line));
	if (n < 0)
		return 0;
	if (reading_parse(&again, line, (size_t)n - 1, before, &follows) != 0 || !follows)
		abort();
	if (again.number != r.number || again.reveal != (r.of == 0 && r.reveal) || strcmp(again.command, r.command) != 0 ||
	    (r.of == 0 && strcmp(again.recording, r.recording) != 0))
		abort();
	return 0;
}
