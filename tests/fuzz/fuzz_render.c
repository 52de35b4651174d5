/*
 * fuzz_render.c - any bytes as policy's reply: no crash, and no control byte reaches the terminal but tab and the line's end.
 *
 * First byte: the word that was asked; second: the width; third: flags. The rest is the reply.
 */
#include <stdint.h>
#include <stdlib.h>

#include "render.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_clean(const struct buf *b)
{
	for (size_t i = 0; i < b->len; i++)
		if ((b->data[i] < 0x20 && b->data[i] != '\n' && b->data[i] != '\t') || b->data[i] == 0x7f ||
		    (b->data[i] == 0xc2 && i + 1 < b->len && b->data[i + 1] < 0xa0))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct render_opts o = { .columns = 0 };
	struct buf out, err;
	int r;

	if (size < 3)
		return 0;
	o.word = &words_table[data[0] % words_count];
	o.columns = data[1];
	o.json = (data[2] & 1) != 0;
	buf_init(&out, RENDER_MAX);
	buf_init(&err, RENDER_MAX);
	r = render_reply((const char *)data + 3, size - 3, &o, &out, &err);
	if (r < WORDS_OK || r > WORDS_BROKEN)
		abort();
	check_clean(&out);
	check_clean(&err);
	buf_finish(&out);
	buf_finish(&err);
	return 0;
}
