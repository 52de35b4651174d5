/*
 * fuzz_player.c - a hostile tape and any keys to the player's core: nothing crashes or hangs, each piece of
 * work is bounded, and every byte for the auditor's terminal is in the allowed grammar.
 *
 * Input: instructions. Low two bits of a byte, and the other six, n:
 *   0  n + 1 bytes follow: output of the target, later than the last by n ms
 *   1  a byte follows: a key; n > 31: one of the special ones
 *   2  n tenths of a second pass
 *   3  n % 4: 0 four bytes follow, the recorded terminal's new size; 1 two bytes follow, the auditor's; 2 a note of n bytes
 *      that follow; 3 the tape is loaded anew: n / 4 % 2 with a terminal, n / 8 % 2 while it grows
 */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/player_tape.h"
#include "../unit/screen_grammar.h"
#include "escape.h"

#define PIECES_MAX 1000	/* of work at once: a tape of one input never needs more */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct rig {
	struct tape tape;
	struct player p;
	uint64_t now;
};

static void draw(struct rig *r)
{
	struct buf out;

	buf_init(&out, VIEW_OUT_MAX);
	if (player_draw(&r->p, r->now, &out) != 0 || grammar_check(out.data, out.len) != out.len)
		abort();
	buf_finish(&out);
}

/* As the loop around it does, until the player has nothing to do at once. */
static void settle(struct rig *r)
{
	unsigned n = 0;

	while (player_wait(&r->p, r->now) == 0) {
		if (++n > PIECES_MAX)
			abort();
		player_tick(&r->p, r->now);
		if (player_due(&r->p, r->now))
			draw(r);
		r->now += 1000;
	}
	draw(r);
}

static void note(struct rig *r, const uint8_t *data, size_t len)
{
	char line[4 * 64 + 7];

	/* lines are escaped before they come to a tape */
	len = esc_line(line, sizeof(line), data, len);
	tape_put(&r->tape, r->tape.end_us + 1000, 'n', line, len);
}

/* One instruction; the bytes it took. */
static size_t step(struct rig *r, const uint8_t *d, size_t left)
{
	const unsigned n = d[0] >> 2;
	size_t len = left - 1;

	switch (d[0] & 3) {
	case 0:
		len = n + 1 < len ? n + 1 : len;
		tape_put(&r->tape, r->tape.end_us + n * 1000, 'o', d + 1, len);
		return 1 + len;
	case 1:
		if (len == 0)
			return 1;
		player_key(&r->p, n > 31 ? KEY_LEFT + d[1] % (KEY_DATA - KEY_LEFT + 1) : d[1], r->now);
		r->p.quit = false;
		return 2;
	case 2:
		r->now += n * 100000ULL;
		player_tick(&r->p, r->now);
		return 1;
	default: break;
	}
	if (n % 4 == 0 && len >= 4) {
		tape_put(&r->tape, r->tape.end_us + 500, 'r', d + 1, 4);
		return 5;
	}
	if (n % 4 == 1 && len >= 2) {
		player_resize(&r->p, d[1], d[2] % 64U, r->now);
		return 3;
	}
	if (n % 4 == 2) {
		len = n < len ? n : len;
		note(r, d + 1, len);
		return 1 + len;
	}
	r->p.live = n / 8 % 2;
	player_load(&r->p, &r->tape, n / 4 % 2, 20, 6, r->p.live ? PCLOCK_NEVER : 0, r->now);
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r = { .now = 1 };

	if (player_init(&r.p, 24, 8, 100, 2000000) != 0 ||
	    player_load(&r.p, &r.tape, true, 20, 6, 0, r.now) != 0)
		abort();
	strcpy(r.p.who, "alice as dba@web1");
	for (size_t i = 0; i < size;) {
		i += step(&r, data + i, size - i);
		settle(&r);
		if (r.p.clock.pos_us > r.tape.end_us || r.p.next > r.tape.n)
			abort();
	}
	player_finish(&r.p);
	free(r.tape.v);
	free(r.tape.data);
	return 0;
}
