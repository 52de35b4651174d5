/*
 * replay_typed_live.h - what is typed in a session that is followed with --reveal: each line when it ends.
 *
 * Whether it was echoed is known only later (replay_typed.h), so who asks to see hidden keys sees all of them. Pure.
 */
#ifndef BASTION_REPLAY_TYPED_LIVE_H
#define BASTION_REPLAY_TYPED_LIVE_H

#include <stddef.h>
#include <stdint.h>

#define TYPED_LIVE_MAX 1024		/* bytes of a line; a longer one is several */
#define TYPED_LIVE_TEXT (16 + 4 * TYPED_LIVE_MAX) /* as it is shown */

/* The keys of one channel since the last line ended. Zeroed: none. */
struct typed_live {
	uint8_t keys[TYPED_LIVE_MAX];
	size_t len;
};

/* A line, "[typed] ls -la", escaped. */
typedef void typed_live_fn(void *ctx, const char *text);

/* Keys as they came: each line that ends in them is told. */
void typed_live_feed(struct typed_live *l, const uint8_t *data, size_t len, typed_live_fn *fn, void *ctx);
/* No more come: what is left is told, and wiped. */
void typed_live_end(struct typed_live *l, typed_live_fn *fn, void *ctx);

#endif
