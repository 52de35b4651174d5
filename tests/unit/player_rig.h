/*
 * player_rig.h - the player's core on a terminal of 80 columns and a tape made by hand, with a clock that the test moves.
 */
#ifndef TEST_PLAYER_RIG_H
#define TEST_PLAYER_RIG_H

#include <stdio.h>

#include "player_tape.h"
#include "screen_grammar.h"

#define SECOND 1000000ULL

struct rig {
	struct tape tape;
	struct player p;
	uint64_t now;
	size_t written;		/* by the last picture */
};

static void rig_begin(struct rig *r, unsigned cols, unsigned rows)
{
	memset(r, 0, sizeof(*r));
	r->now = 5 * SECOND;
	assert_int_equal(player_init(&r->p, cols, rows, 100, 2 * SECOND), 0);
}

static void rig_load(struct rig *r, uint64_t at_us)
{
	assert_int_equal(player_load(&r->p, &r->tape, true, 40, 10, at_us, r->now), 0);
}

static void rig_end(struct rig *r)
{
	player_finish(&r->p);
	tape_finish(&r->tape);
}

static void put(struct rig *r, double t, char kind, const char *text)
{
	tape_put(&r->tape, (uint64_t)(t * SECOND), kind, text, strlen(text));
}

/* Until nothing is to be done at once; pictures are checked. */
static void settle(struct rig *r)
{
	struct buf out;

	for (int i = 0; i < 100000 && player_wait(&r->p, r->now) == 0; i++) {
		player_tick(&r->p, r->now);
		if (!r->p.dirty || r->p.task != TASK_NONE)
			continue;
		r->now += 40000;
		buf_init(&out, VIEW_OUT_MAX);
		assert_int_equal(player_draw(&r->p, r->now, &out), 0);
		assert_int_equal(grammar_check(out.data, out.len), out.len);
		r->written = out.len;
		buf_finish(&out);
	}
}

static void keys(struct rig *r, const char *text)
{
	for (; *text != '\0'; text++) {
		player_key(&r->p, *text, r->now);
		settle(r);
	}
}

/* Time goes by, woken as the player asked for: where it waits for a key alone nothing is called. */
static void pass(struct rig *r, uint64_t us)
{
	const uint64_t end = r->now + us;

	while (r->now < end) {
		uint64_t wait = player_wait(&r->p, r->now);

		if (wait == PCLOCK_NEVER) {
			r->now = end;
			break;
		}
		if (wait == 0)
			wait = 1;
		r->now = wait > end - r->now ? end : r->now + wait;
		player_tick(&r->p, r->now);
		settle(r);
	}
}

static const char *row(struct rig *r, unsigned n)
{
	static char out[4000];
	size_t len;
	const char *text = screen_row(r->p.screen, n, 500, &len);

	memcpy(out, text, len);
	out[len] = '\0';
	return out;
}

/* The status line as the picture that was drawn last has it. */
static const char *status(struct rig *r)
{
	static char out[4 * SCREEN_COLS_MAX + 1];
	const struct view *v = &r->p.view;
	size_t n = 0;

	player_tick(&r->p, r->now);
	r->p.dirty = true;
	settle(r);
	r->now += 40000;
	struct buf b;
	buf_init(&b, VIEW_OUT_MAX);
	player_draw(&r->p, r->now, &b);
	buf_finish(&b);
	for (unsigned i = 0; i < v->cols; i++) {
		uint32_t ch = v->shown[(size_t)(v->rows - 1) * v->cols + i].ch[0];

		out[n++] = ch == 0 || ch >= 0x7f ? '~' : (char)ch;
	}
	out[n] = '\0';
	return out;
}

static void expect_status(struct rig *r, const char *text)
{
	if (strstr(status(r), text) == NULL)
		fail_msg("'%s' is not in '%s'", text, status(r));
}

static void script(struct rig *r)
{
	put(r, 0, 'o', "$ ");
	put(r, 1, 'o', "ls\r\n");
	put(r, 1, 'k', "");
	put(r, 2, 'o', "alpha beta\r\n$ ");
	put(r, 30, 'n', "[bastion] a note");
	put(r, 31, 'k', "");
	put(r, 31, 'o', "id\r\nGamma\r\n$ ");
	put(r, 40, 'o', "\033[2J\033[Halpha again");
}

#endif
