/*
 * fuzz_tty_gate.c - a viewer that was taken over writes what it likes: what passes keeps to the grammar, is a prefix of what was
 * written, and does not depend on how it came in pieces.
 *
 * Input: byte 0 is the size of the pieces; then the viewer's bytes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/screen_grammar.h"
#include "tty_gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pass(struct buf *out, const uint8_t *data, size_t size, size_t step)
{
	struct tty_gate g = { .nheld = 0 };

	buf_init(out, size + 1);
	for (size_t i = 0; i < size; i += step)
		if (!tty_gate_pass(&g, data + i, size - i < step ? size - i : step, out))
			break;
	if (!buf_ok(out) || out->len > size || (out->len > 0 && memcmp(out->data, data, out->len) != 0))
		abort();
	if (!g.shut && out->len + g.nheld != size)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, pieces;

	if (size < 2)
		return 0;
	pass(&whole, data + 1, size - 1, size);
	pass(&pieces, data + 1, size - 1, data[0] % 32U + 1);
	if (whole.len != pieces.len)
		abort();
	/* CR and LF are the gate's own, for the line at the end */
	for (size_t i = 0; i < whole.len; i++)
		if (whole.data[i] == '\r' || whole.data[i] == '\n')
			whole.data[i] = ' ';
	if (grammar_check(whole.data, whole.len) != whole.len)
		abort();
	buf_finish(&whole);
	buf_finish(&pieces);
	return 0;
}
