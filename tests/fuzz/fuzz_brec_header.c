/*
 * fuzz_brec_header.c - a segment header from anywhere: decoded within its bytes, and what is taken is what a builder makes.
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[KEY_LEN] = { 1 };
	static struct sign_key *key;
	struct brec_wrap wraps[BREC_GROUPS];
	struct brec_header h, again;
	uint8_t pub[KEY_LEN];
	struct buf b;
	int r = brec_header_decode(data, size, &h);

	if (key == NULL)
		must((key = sign_key_from_seed(seed)) != NULL);
	must(brec_strerror(r)[0] != '?');
	if (r != 0)
		return 0;
	must(h.len <= size && h.len <= BREC_HEADER_MAX && h.part + h.part_len + SIG_LEN == data + h.len);
	must(brec_part_decode(h.part, h.part_len, wraps) == 0 && wraps[0].present);
	for (int g = 0; g < BREC_GROUPS; g++)
		must(!wraps[g].present || (wraps[g].stanzas >= h.part &&
		    wraps[g].stanzas + (size_t)wraps[g].count * BREC_STANZA_LEN <= h.part + h.part_len));
	/* built again: the same bytes but for signer and signature, and it verifies */
	sign_key_public(key, pub);
	buf_init(&b, BREC_HEADER_MAX);
	must(brec_header_build(&b, &h, key) == 0 && b.len == h.len);
	must(memcmp(b.data, data, 104) == 0 && memcmp(b.data + 136, data + 136, h.len - 136 - SIG_LEN) == 0);
	must(brec_header_decode(b.data, b.len, &again) == 0 && brec_header_verify(b.data, &again, pub));
	buf_finish(&b);
	return 0;
}
