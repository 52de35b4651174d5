/*
 * fuzz_brec_frame.c - frames, marks and events from anywhere. The first byte says what the rest is: a frame (its crc is
 * made right, so that more than the crc is tried), or the plaintext of one.
 */
#include <stdlib.h>
#include <string.h>

#include "brec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

static void try_frame(const uint8_t *data, size_t size)
{
	static const uint8_t seed[KEY_LEN] = { 1 }, id[BREC_ID_LEN];
	static struct sign_key *key;
	struct brec_frame f;
	struct brec_mark m;
	struct buf b;

	if (key == NULL)
		must((key = sign_key_from_seed(seed)) != NULL);
	if (brec_frame_decode(data, size, &f) != 0)
		return;
	must(f.len <= size && f.len <= BREC_FRAME_MAX && f.body + f.body_len + 4 == data + f.len);
	if (brec_mark_decode(&f, &m) != 0)
		return;
	/* built again, all but the signature is the same */
	buf_init(&b, BREC_FRAME_MAX);
	must(brec_mark_build(&b, id, &m, key) == 0 && b.len == f.len);
	must(memcmp(b.data, data, 60) == 0 && memcmp(b.data + 124, data + 124, f.len - 128) == 0);
	buf_finish(&b);
}

static void try_events(const uint8_t *data, size_t size)
{
	struct brec_event e;
	struct buf b;
	int got;

	buf_view(&b, data, size);
	while ((got = brec_event_decode(&b, &e)) == 1)
		must(e.kind != 0 && e.data >= data && e.data + e.len <= data + size);
	must(got == 0 || got == BREC_E_FIELD);
	must(got != 0 || buf_end(&b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size == 0)
		return 0;
	/* exactly as long, so that the sanitizer sees a byte too far */
	if ((copy = malloc(size)) == NULL)
		return 0;
	memcpy(copy, data + 1, size - 1);
	if (data[0] & 1) {
		try_events(copy, size - 1);
	} else {
		try_frame(copy, size - 1);
		if (size - 1 >= 24) {
			copy[0] = 0;
			copy[1] = (uint8_t)((size - 1) >> 16);
			copy[2] = (uint8_t)((size - 1) >> 8);
			copy[3] = (uint8_t)(size - 1);
			brec_frame_end(copy, size - 1);
			try_frame(copy, size - 1);
		}
	}
	free(copy);
	return 0;
}
