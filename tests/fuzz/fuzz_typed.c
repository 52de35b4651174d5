/*
 * fuzz_typed.c - any keys and any output to what decides which keys were echoed: nothing crashes, parts that are hidden lie inside the
 * input, and where nothing came back no character is shown.
 *
 * Input: instructions. Low two bits of a byte, and the other six, n:
 *   0, 1  n + 1 bytes follow: keys
 *   2     n + 1 bytes follow: output
 *   3     a byte follows: the terminal's new size, n by that
 */
#include <stdlib.h>
#include <string.h>

#include "replay_typed.h"

#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t keys[INPUT_MAX], hidden[INPUT_MAX];
static size_t nkeys;

static void on_hide(void *ctx, uint64_t from, uint64_t to)
{
	(void)ctx;
	if (from >= to || to > nkeys)
		abort();
	memset(hidden + from, 1, to - from);
}

static size_t step(struct echo *e, const uint8_t *data, size_t size, bool *answered)
{
	const unsigned what = data[0] & 3, n = data[0] >> 2;
	size_t len = n + 1U;

	data++;
	size--;
	if (what == 3) {
		if (size > 0)
			echo_resize(e, n, data[0]);
		return size > 0 ? 2 : 1;
	}
	if (len > size)
		len = size;
	if (what == 2) {
		echo_output(e, data, len);
		*answered = *answered || len > 0;
	} else if (nkeys + len <= INPUT_MAX) {
		memcpy(keys + nkeys, data, len);
		nkeys += len;
		if (echo_input(e, data, len) != 0)
			abort();
	}
	return len + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct echo *e = echo_create(40, 10, on_hide, NULL);
	bool answered = false;

	if (e == NULL)
		return 0;
	nkeys = 0;
	memset(hidden, 0, sizeof(hidden));
	for (size_t n; size > 0; data += n, size -= n)
		n = step(e, data, size, &answered);
	echo_end(e);
	echo_destroy(e);
	/* letters and digits outside of sequences; in one they belong to a key that shows nothing */
	for (size_t i = 0; !answered && i < nkeys; i++)
		if (keys[i] >= 'A' && !hidden[i] && memchr(keys, 27, i) == NULL && keys[i] != 127)
			abort();
	return 0;
}
