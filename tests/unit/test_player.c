/*
 * test_player.c - the player's core: keys and time in, a screen out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "player_rig.h"

static void goes_anywhere(void **state)
{
	struct rig r;

	(void)state;
	rig_begin(&r, 80, 24);
	script(&r);
	rig_load(&r, 0);
	keys(&r, " G");
	assert_string_equal(row(&r, 0), "alpha again");
	keys(&r, "0");
	assert_string_equal(row(&r, 0), "$");
	keys(&r, "g31\r");
	assert_string_equal(row(&r, 3), "Gamma");
	keys(&r, "g50%\r");
	assert_int_equal(r.p.clock.pos_us, 20 * SECOND);
	keys(&r, "8");
	assert_int_equal(r.p.clock.pos_us, 32 * SECOND);
	keys(&r, "<");
	assert_int_equal(r.p.clock.pos_us, 22 * SECOND);
	keys(&r, "]");
	assert_int_equal(r.p.clock.pos_us, 40 * SECOND);
	keys(&r, "g0:02\r,");
	assert_int_equal(r.p.clock.pos_us, 1 * SECOND);
	assert_string_equal(row(&r, 0), "$ ls");
	keys(&r, "..");
	assert_int_equal(r.p.clock.pos_us, 30 * SECOND);
	expect_status(&r, "[bastion] a note");
	keys(&r, "gx1:99\r");
	expect_status(&r, "that is no time");
	keys(&r, "g\033");
	player_key(&r.p, KEY_ESC, r.now);
	assert_int_equal(r.p.mode, PLAYER_RUNS);
	rig_end(&r);
}

static void goes_from_command_to_command(void **state)
{
	struct rig r;

	(void)state;
	rig_begin(&r, 80, 24);
	script(&r);
	rig_load(&r, 0);
	keys(&r, " n");
	assert_int_equal(r.p.clock.pos_us, 1 * SECOND);
	keys(&r, "c");
	assert_int_equal(r.p.clock.pos_us, 30 * SECOND);
	expect_status(&r, "[bastion] a note");
	keys(&r, "c");
	assert_int_equal(r.p.clock.pos_us, 31 * SECOND);
	keys(&r, "c");
	expect_status(&r, "no later command");
	keys(&r, "C");
	assert_int_equal(r.p.clock.pos_us, 30 * SECOND);
	keys(&r, "NN");
	assert_int_equal(r.p.clock.pos_us, 0);
	rig_end(&r);
}

/* Cells in the looks of a hit, in the picture that was drawn last. */
static unsigned marked(struct rig *r)
{
	const struct view *v = &r->p.view;
	unsigned n = 0;

	status(r);
	for (unsigned i = 0; i < v->cols * (v->rows - 1); i++)
		n += v->shown[i].bg.kind == COLOUR_INDEX && v->shown[i].bg.r == 3;
	return n;
}

static void searches_the_screens(void **state)
{
	struct rig r;

	(void)state;
	rig_begin(&r, 80, 24);
	script(&r);
	rig_load(&r, 0);
	keys(&r, "/alpha\r");
	assert_int_equal(r.p.clock.pos_us, 2 * SECOND);
	assert_true(r.p.clock.paused);
	expect_status(&r, "1 of 2");
	assert_int_equal(marked(&r), 5);
	keys(&r, "n");
	assert_int_equal(r.p.clock.pos_us, 40 * SECOND);
	keys(&r, "n");
	expect_status(&r, "no later one: 2 found");
	keys(&r, "N");
	assert_int_equal(r.p.clock.pos_us, 2 * SECOND);
	/* capitals count where there are some; from the end it begins again */
	keys(&r, "/gamma\r");
	assert_int_equal(r.p.clock.pos_us, 31 * SECOND);
	keys(&r, "/GAMMA\r");
	expect_status(&r, "not found");
	keys(&r, "G/ls\r");
	assert_int_equal(r.p.clock.pos_us, 1 * SECOND);
	/* commands have a key of their own, and after escape the old one again */
	keys(&r, "c");
	assert_int_equal(r.p.clock.pos_us, 30 * SECOND);
	player_key(&r.p, KEY_ESC, r.now);
	assert_int_equal(marked(&r), 0);
	keys(&r, "n");
	assert_int_equal(r.p.clock.pos_us, 31 * SECOND);
	/* a line of the bastion is text, too */
	keys(&r, "0/a note\r");
	assert_int_equal(r.p.clock.pos_us, 30 * SECOND);
	rig_end(&r);
}

/* A terminal smaller than the recorded one shows the part where the hit is, wherever the cursor went. */
static void a_hit_is_in_the_window(void **state)
{
	struct rig r;

	(void)state;
	rig_begin(&r, 20, 6);
	put(&r, 1, 'o', "\033[10;1Hcursor far down");
	put(&r, 2, 'o', "\033[1;30Hneedle\033[10;1H");
	put(&r, 3, 'o', "\033[2Jneedle\033[9;1H");
	rig_load(&r, 0);
	keys(&r, "/needle\r");
	assert_int_equal(r.p.clock.pos_us, 2 * SECOND);
	assert_int_equal(marked(&r), 6);
	keys(&r, "n");
	assert_int_equal(marked(&r), 6);
	/* going on, the window follows the cursor again */
	keys(&r, "0");
	assert_false(r.p.at_hit);
	rig_end(&r);
}

static void what_is_typed_is_harmless(void **state)
{
	struct rig r;

	(void)state;
	rig_begin(&r, 40, 12);
	script(&r);
	rig_load(&r, 0);
	/* pasted: controls, marks of direction, broken and long text. The pictures are checked on the way */
	keys(&r, "/\342\200\256\342\201\246\302\233\377\303\001\033]0;x\007");
	for (int i = 0; i < 300; i++)
		keys(&r, "\303\244");
	keys(&r, "\r");
	keys(&r, "/\342\200\256x\r\177/\177\177g");
	for (int key = KEY_NONE; key <= KEY_DATA; key++)
		if (key != 'q' && key != 'Q' && key != KEY_QUIT) {
			player_key(&r.p, key, r.now);
			settle(&r);
		}
	assert_false(r.p.quit);
	rig_end(&r);
}

/* 20 MB: the second way to any place begins at a moment that was kept. */
static void going_back_is_cheap(void **state)
{
	char line[1024];
	struct rig r;
	unsigned slices;

	(void)state;
	rig_begin(&r, 80, 24);
	for (unsigned i = 0; i < 20 * 1024; i++) {
		snprintf(line, sizeof(line), "\033[3%um%05u %0990u\r\n", i % 8, i, i);
		tape_put(&r.tape, (uint64_t)i * 100000, 'o', line, strlen(line));
	}
	rig_load(&r, PCLOCK_NEVER);
	settle(&r);
	assert_true(r.p.nframes > 10 && r.p.nframes <= PLAYER_FRAMES_MAX);
	assert_true(r.p.frames_bytes < PLAYER_FRAMES_BYTES);
	for (unsigned i = 19000; i > 1000; i -= 3000) {
		player_seek(&r.p, (uint64_t)i * 100000, r.now);
		for (slices = 0; r.p.task == TASK_SEEK; slices++)
			player_tick(&r.p, r.now);
		assert_true(slices <= PLAYER_FRAME_EVERY / PLAYER_SLICE + 1);
		/* the screen is that of a player that never went back */
		struct rig fresh;
		rig_begin(&fresh, 80, 24);
		fresh.tape = r.tape;
		rig_load(&fresh, (uint64_t)i * 100000);
		settle(&fresh);
		for (unsigned k = 0; k < 10; k++) {
			char mine[4000];

			strcpy(mine, row(&r, k));
			assert_string_equal(mine, row(&fresh, k));
		}
		player_finish(&fresh.p);
	}
	/* keys typed ahead wait for a short one */
	player_seek(&r.p, 500 * SECOND, r.now);
	player_key(&r.p, '0', r.now);
	for (const char *k = "G/02000 \r"; *k != '\0'; k++)
		player_key(&r.p, *k, r.now);
	settle(&r);
	assert_int_equal(r.p.clock.pos_us, 200 * SECOND);
	/* a key ends a long way, and it stays where it came to */
	player_seek(&r.p, 0, r.now);
	settle(&r);
	assert_int_equal(player_load(&r.p, &r.tape, true, 40, 10, 0, r.now), 0);
	player_seek(&r.p, PCLOCK_NEVER, r.now);
	assert_int_equal(r.p.task, TASK_SEEK);
	assert_non_null(strstr(r.p.message, "any key stops it"));
	for (unsigned i = 0; i < PLAYER_PATIENCE; i++)
		player_tick(&r.p, r.now);
	player_key(&r.p, 'x', r.now);
	assert_int_equal(r.p.task, TASK_NONE);
	assert_true(r.p.clock.pos_us > 0 && r.p.clock.pos_us < r.tape.end_us / 2);
	rig_end(&r);
}

static void moments_are_bounded(void **state)
{
	struct rig r;

	(void)state;
	rig_begin(&r, 80, 24);
	script(&r);
	rig_load(&r, 0);
	r.p.frame_every = 1;
	for (unsigned i = 0; i < 5000; i++)
		put(&r, 41 + i, 'o', "some more output\r\n");
	player_seek(&r.p, PCLOCK_NEVER, r.now);
	settle(&r);
	assert_true(r.p.nframes > PLAYER_FRAMES_MAX / 4 && r.p.nframes <= PLAYER_FRAMES_MAX);
	assert_true(r.p.frame_every > 1);
	rig_end(&r);
}

static void sizes_change(void **state)
{
	static const unsigned sizes[][2] = { { 40, 12 }, { 2, 2 }, { 500, 200 }, { 80, 24 }, { 1, 1 } };
	struct rig r;

	(void)state;
	rig_begin(&r, 80, 24);
	script(&r);
	rig_load(&r, 35 * SECOND);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(player_resize(&r.p, sizes[i][0], sizes[i][1], r.now), 0);
		keys(&r, "?x/z");
		player_key(&r.p, KEY_ESC, r.now);
		assert_int_equal(screen_cols(r.p.screen), 40);
	}
	/* a command's output is laid out anew, and stays where it was */
	assert_int_equal(player_resize(&r.p, 80, 24, r.now), 0);
	assert_int_equal(player_load(&r.p, &r.tape, false, 0, 0, 3 * SECOND, r.now), 0);
	assert_int_equal(player_resize(&r.p, 60, 20, r.now), 0);
	settle(&r);
	assert_int_equal(screen_cols(r.p.screen), 60);
	assert_true(r.p.clock.pos_us >= 3 * SECOND && r.p.clock.pos_us < 5 * SECOND);
	rig_end(&r);
}

/* 40 columns, and no UTF-8: who, time, state and place are still there. */
static void a_narrow_terminal_says_all(void **state)
{
	struct rig r;

	(void)state;
	rig_begin(&r, 40, 12);
	r.p.view.utf8 = r.p.view.colour = false;
	strcpy(r.p.who, "alice as dba@web1");
	strcpy(r.p.who_short, "dba@web1");
	script(&r);
	rig_load(&r, 20 * SECOND);
	keys(&r, " ");
	expect_status(&r, " = 0:20/0:40 1x dba@web1 ===");
	expect_status(&r, "--- ? ");
	assert_int_equal(player_resize(&r.p, 80, 24, r.now), 0);
	expect_status(&r, " = 0:20/0:40 1x alice as dba@web1 ===");
	rig_end(&r);
}

static void follows_what_grows(void **state)
{
	struct rig r;

	(void)state;
	rig_begin(&r, 80, 24);
	r.p.live = true;
	script(&r);
	rig_load(&r, PCLOCK_NEVER);
	settle(&r);
	expect_status(&r, "LIVE 0:40");
	put(&r, 50, 'o', "\r\nmore");
	settle(&r);
	assert_string_equal(row(&r, 1), "more");
	/* paused, or somewhere else, it waits; G is back at the end */
	keys(&r, " ");
	put(&r, 60, 'o', "\r\nstill more");
	settle(&r);
	assert_string_equal(row(&r, 2), "");
	keys(&r, "0");
	assert_string_equal(row(&r, 0), "$");
	keys(&r, "G");
	assert_string_equal(row(&r, 2), "still more");
	expect_status(&r, "LIVE 1:00");
	/* a search looks at what came since */
	keys(&r, "/latest\r");
	expect_status(&r, "not found");
	put(&r, 61, 'o', "\r\nlatest");
	keys(&r, "n");
	assert_int_equal(r.p.clock.pos_us, 61 * SECOND);
	rig_end(&r);
}

/* A tape that is full is begun anew: what stood on the screen stays, and is the new beginning. */
static void a_full_tape_is_begun_anew(void **state)
{
	struct rig r;

	(void)state;
	rig_begin(&r, 80, 24);
	r.p.live = true;
	script(&r);
	rig_load(&r, PCLOCK_NEVER);
	settle(&r);
	put(&r, 41, 'o', "\r\nnot shown yet");
	player_cut(&r.p);
	tape_finish(&r.tape);
	r.tape.end_us = 0;
	put(&r, 50, 'o', "\r\nlater");
	settle(&r);
	assert_string_equal(row(&r, 1), "not shown yet");
	assert_string_equal(row(&r, 2), "later");
	keys(&r, "0");
	assert_string_equal(row(&r, 0), "alpha again");
	assert_string_equal(row(&r, 2), "");
	keys(&r, "G");
	assert_string_equal(row(&r, 2), "later");
	rig_end(&r);
}

/* A tape that ends where the recording could be read no further looks like no other end. */
static void an_end_that_is_none_is_said(void **state)
{
	struct rig r;

	(void)state;
	rig_begin(&r, 80, 24);
	script(&r);
	strcpy(r.tape.note, "no end yet");
	rig_load(&r, 38 * SECOND);
	expect_status(&r, "no end yet");
	pass(&r, 20 * SECOND);
	assert_true(player_over(&r.p));
	expect_status(&r, "no end yet");
	keys(&r, "0 ");
	assert_null(strstr(status(&r), "no end yet"));
	keys(&r, "G");
	pass(&r, 20 * SECOND);
	expect_status(&r, "no end yet");
	rig_end(&r);
}

static void any_key_at_any_time(void **state)
{
	struct rig r;
	uint32_t x = 3;

	(void)state;
	rig_begin(&r, 60, 15);
	script(&r);
	for (unsigned i = 0; i < 200; i++)
		put(&r, 41 + i / 10, i % 7 == 0 ? 'k' : i % 11 == 0 ? 'n' : 'o', "\033[3;3Halpha\r\n\n");
	rig_load(&r, 0);
	for (int i = 0; i < 4000; i++) {
		static const int all[] = { ' ', '.', ',', 'n', 'N', 'c', 'C', '<', '>', '[', ']', '0', '5', 'G', 'g', '/',
			'a', 'l', '\r', KEY_ESC, 'i', '\t', 'h', 'j', 'k', '=', '?', '+', '-', KEY_UP, KEY_HOME, 0x7f, '%' };

		x = x * 1664525 + 1013904223;
		player_key(&r.p, all[(x >> 16) % (sizeof(all) / sizeof(all[0]))], r.now);
		if (x >> 29 == 0)
			pass(&r, x >> 12);
		if (x >> 28 == 2)
			player_resize(&r.p, 2 + (x >> 8) % 100, 2 + (x >> 16) % 40, r.now);
		settle(&r);
		assert_true(r.p.clock.pos_us <= r.tape.end_us && r.p.next <= r.tape.n);
	}
	rig_end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_anywhere),
		cmocka_unit_test(goes_from_command_to_command),
		cmocka_unit_test(searches_the_screens),
		cmocka_unit_test(a_hit_is_in_the_window),
		cmocka_unit_test(what_is_typed_is_harmless),
		cmocka_unit_test(going_back_is_cheap),
		cmocka_unit_test(moments_are_bounded),
		cmocka_unit_test(sizes_change),
		cmocka_unit_test(a_narrow_terminal_says_all),
		cmocka_unit_test(follows_what_grows),
		cmocka_unit_test(a_full_tape_is_begun_anew),
		cmocka_unit_test(an_end_that_is_none_is_said),
		cmocka_unit_test(any_key_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
