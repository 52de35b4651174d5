/*
 * test_player_time.c - the player's clock behind its keys: pauses, what is cut of them, and the way back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "player_rig.h"

static void plays_pauses_and_skips(void **state)
{
	struct rig r;

	(void)state;
	rig_begin(&r, 80, 24);
	script(&r);
	rig_load(&r, 0);
	settle(&r);
	assert_string_equal(row(&r, 0), "$");
	pass(&r, 1500000);
	assert_string_equal(row(&r, 0), "$ ls");
	keys(&r, " ");
	pass(&r, 10 * SECOND);
	assert_string_equal(row(&r, 1), "");
	assert_true(player_wait(&r.p, r.now) == PCLOCK_NEVER);
	keys(&r, " ");
	pass(&r, 1 * SECOND);
	assert_string_equal(row(&r, 1), "alpha beta");
	/* 28 s without an event last 2 s */
	pass(&r, 2500000);
	assert_true(r.p.clock.pos_us >= 30 * SECOND);
	expect_status(&r, "[bastion] a note");
	keys(&r, "+");
	assert_int_equal(r.p.clock.speed, 150);
	pass(&r, 20 * SECOND);
	assert_true(player_over(&r.p));
	assert_string_equal(row(&r, 0), "alpha again");
	keys(&r, " ");
	assert_true(r.p.clock.pos_us < SECOND);
	keys(&r, "q");
	assert_true(r.p.quit);
	rig_end(&r);
}

/* What nobody saw is not gone by: a pause of minutes, a terminal that took nothing. */
static void time_that_was_waited_is_not_played(void **state)
{
	struct rig r;
	uint64_t at;

	(void)state;
	rig_begin(&r, 80, 24);
	script(&r);
	rig_load(&r, 0);
	keys(&r, "/alpha\r");
	pass(&r, 10 * SECOND);
	at = r.p.clock.pos_us;
	assert_int_equal(at, 2 * SECOND);
	keys(&r, "i");
	r.now += 600 * SECOND;
	keys(&r, " ");
	pass(&r, SECOND);
	assert_in_range(r.p.clock.pos_us, at + SECOND, at + SECOND + 200000);
	at = r.p.clock.pos_us;
	r.now += 30 * SECOND;
	player_tick(&r.p, r.now);
	assert_in_range(r.p.clock.pos_us, at, at + 3 * SECOND / 2);
	rig_end(&r);
}

/* Back means back in what was seen: a long pause, of which two seconds were shown, is got over. */
static void goes_back_over_a_long_pause(void **state)
{
	struct rig r;

	(void)state;
	rig_begin(&r, 80, 24);
	put(&r, 0, 'o', "$ ");
	put(&r, 1, 'o', "one");
	for (unsigned i = 0; i < 5; i++)
		put(&r, 601 + 2 * i, 'o', "two");
	put(&r, 1200, 'o', "three");
	rig_load(&r, 609 * SECOND);
	/* 8 s of talk, then the last 2 s of the pause */
	player_key(&r.p, '<', r.now);
	player_tick(&r.p, r.now);
	assert_int_equal(r.p.clock.pos_us, 599 * SECOND);
	player_key(&r.p, '<', r.now);
	player_tick(&r.p, r.now);
	assert_int_equal(r.p.clock.pos_us, 0);
	/* of the pause that goes on now, what was shown of it */
	player_seek(&r.p, 1199 * SECOND, r.now);
	player_key(&r.p, '<', r.now);
	player_tick(&r.p, r.now);
	assert_int_equal(r.p.clock.pos_us, 600 * SECOND);
	/* paused, or with pauses as long as they were, 10 s are those of the recording */
	player_seek(&r.p, 602 * SECOND, r.now);
	keys(&r, " <");
	assert_int_equal(r.p.clock.pos_us, 592 * SECOND);
	keys(&r, "i [");
	assert_int_equal(r.p.clock.pos_us, 532 * SECOND);
	rig_end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plays_pauses_and_skips),
		cmocka_unit_test(time_that_was_waited_is_not_played),
		cmocka_unit_test(goes_back_over_a_long_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
