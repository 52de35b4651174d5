/*
 * replay_typed_live.c - see replay_typed_live.h. Part of bastion-replay; used by replay_tape.c and replay_follow_text.c.
 */
#include "replay_typed_live.h"

#include <stdbool.h>
#include <string.h>

#include "escape.h"

static void tell(struct typed_live *l, typed_live_fn *fn, void *ctx)
{
	static const char head[] = "[typed] ";
	char text[TYPED_LIVE_TEXT];

	memcpy(text, head, sizeof(head));
	esc_text(text + sizeof(head) - 1, sizeof(text) - sizeof(head) + 1, l->keys, l->len);
	explicit_bzero(l->keys, sizeof(l->keys));
	l->len = 0;
	fn(ctx, text);
	explicit_bzero(text, sizeof(text));
}

void typed_live_feed(struct typed_live *l, const uint8_t *data, size_t len, typed_live_fn *fn, void *ctx)
{
	for (size_t i = 0; i < len; i++) {
		const bool ends = data[i] == '\r' || data[i] == '\n';

		/* the second half of CR LF ends nothing */
		if (!ends)
			l->keys[l->len++] = data[i];
		if ((ends && l->len > 0) || l->len == sizeof(l->keys))
			tell(l, fn, ctx);
	}
}

void typed_live_end(struct typed_live *l, typed_live_fn *fn, void *ctx)
{
	if (l->len > 0)
		tell(l, fn, ctx);
}
