/*
 * replay_core_keys.c - what the player's keys do. Pure, as replay_core.c.
 */
#include "replay_player.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"

#define SEEK_US 10000000
#define SEEK_FAR_US 60000000
#define JUST_US 500000	/* going back passes over what was reached just now */
#define PAN 8

static void seek_on(struct player *p, uint64_t us, uint64_t now)
{
	player_seek(p, p->clock.pos_us + us, now);
}

/*
 * Back by what was seen in so much time: into a long pause only as far as it is shown. From further in it the clock would
 * at once be back near its end, and no key would ever get over it.
 */
static void seek_back(struct player *p, uint64_t us, uint64_t now)
{
	const bool cuts = p->clock.compress && !p->clock.paused;
	const uint64_t idle = cuts ? p->clock.idle_us : PCLOCK_NEVER;
	uint64_t t = p->clock.pos_us, later = p->next < p->tape->n ? p->tape->v[p->next].t_us : t;

	for (size_t i = p->next; i > 0; i--) {
		const uint64_t event = p->tape->v[i - 1].t_us, from = later - event > idle ? later - idle : event;
		const uint64_t shown = t > from ? t - from : 0;

		if (us <= shown) {
			player_seek(p, t - us, now);
			return;
		}
		us -= shown;
		t = later = event;
	}
	player_seek(p, t > us ? t - us : 0, now);
}

/* Going back, while it plays, must get past the place that it came to. */
static uint64_t before(const struct player *p)
{
	const uint64_t at = p->clock.pos_us;

	return p->clock.paused ? at : at > JUST_US ? at - JUST_US : 0;
}

/* ---- commands ---- */

static void next_marker(struct player *p, uint64_t now)
{
	for (size_t i = p->next; i < p->tape->n; i++)
		if (tape_is_marker(&p->tape->v[i]) && p->tape->v[i].t_us > p->clock.pos_us) {
			p->say_event = true;
			player_seek(p, p->tape->v[i].t_us, now);
			return;
		}
	player_say(p, now, "no later command");
}

static void last_marker(struct player *p, uint64_t now)
{
	const uint64_t until = before(p);

	for (size_t i = p->next; i > 0; i--)
		if (tape_is_marker(&p->tape->v[i - 1]) && p->tape->v[i - 1].t_us < until) {
			p->say_event = true;
			player_seek(p, p->tape->v[i - 1].t_us, now);
			return;
		}
	player_seek(p, 0, now);
}

/* To the next event's time, or to that of the one before; all events of that time are shown. */
static void step(struct player *p, bool on, uint64_t now)
{
	size_t i = p->next;

	p->clock.paused = true;
	p->say_event = true;
	if (on && i < p->tape->n)
		player_seek(p, p->tape->v[i].t_us, now);
	else if (!on) {
		while (i > 0 && p->tape->v[i - 1].t_us >= p->clock.pos_us)
			i--;
		player_seek(p, i > 0 ? p->tape->v[i - 1].t_us : 0, now);
	}
}

/* ---- search ---- */

static size_t choose_hit(const struct player *p)
{
	const uint64_t at = p->clock.pos_us;
	const size_t all = finder_hits(p->finder);
	size_t hit;

	if (p->find_way == FIND_BACK)
		return finder_before(p->finder, before(p));
	hit = at == 0 && p->find_way == FIND_FIRST ? 0 :
	    finder_after(p->finder, p->find_way == FIND_FIRST ? at - 1 : at);
	return hit == all && p->find_way == FIND_FIRST ? 0 : hit;
}

static void go_to_hit(struct player *p, uint64_t now)
{
	const size_t all = finder_hits(p->finder), hit = choose_hit(p);

	p->task = TASK_NONE;
	if (all == 0)
		player_say(p, now, "not found");
	else if (hit == all)
		player_say(p, now, "no %s one: %zu found", p->find_way == FIND_ON ? "later" : "earlier", all);
	else {
		snprintf(p->arrived, sizeof(p->arrived), "%zu of %zu - n next, N last, esc ends", hit + 1, all);
		p->clock.paused = true;
		p->to_hit = true;
		player_seek(p, finder_time(p->finder, hit), now);
	}
}

void player_find_work(struct player *p, uint64_t now)
{
	p->dirty = true;
	if (finder_work(p->finder, p->tape, PLAYER_SLICE))
		player_say(p, now, "searching, %u %% - any key stops it",
		    finder_percent(p->finder, p->tape));
	else
		go_to_hit(p, now);
}

/* In which direction from here: the tape is looked at first, as far as it was not. */
static void find(struct player *p, enum find_way way, uint64_t now)
{
	if (p->finder == NULL)
		return;
	p->find_way = way;
	p->task = TASK_FIND;
	p->pieces = 0;
	player_find_work(p, now);
}

static void end_search(struct player *p)
{
	finder_destroy(p->finder);
	p->finder = NULL;
	p->needle.len = 0;
}

static void start_search(struct player *p, uint64_t now)
{
	const unsigned cols = p->pty ? p->chan_cols : p->view.cols,
		       rows = p->pty ? p->chan_rows : p->view.rows - 1;
	struct needle n;

	/* nothing typed: the same once more */
	if (p->typed[0] == '\0') {
		find(p, FIND_ON, now);
		return;
	}
	end_search(p);
	if (needle_set(&n, p->typed) != 0 || (p->finder = finder_create(&n, cols, rows, p->pty)) == NULL) {
		player_say(p, now, "the search cannot begin: %s", strerror(errno));
		return;
	}
	p->needle = n;
	find(p, FIND_FIRST, now);
}

/* ---- the prompt ---- */

static void go_to_typed(struct player *p, uint64_t now)
{
	char *end;
	uint64_t us;
	const unsigned long percent = strtoul(p->typed, &end, 10);

	if (p->typed[0] == '\0')
		return;
	if (end != p->typed && strcmp(end, "%") == 0 && percent <= 100)
		player_seek(p, p->tape->end_us / 100 * percent, now);
	else if (args_offset(p->typed, &us) == 0)
		player_seek(p, us, now);
	else
		player_say(p, now, "that is no time: 90, 1:30, 1h2m, 50%%");
}

static void erase_last(char *text)
{
	size_t n = strlen(text);

	while (n > 0 && ((uint8_t)text[n - 1] & 0xc0) == 0x80)
		n--;
	text[n > 0 ? n - 1 : 0] = '\0';
}

static void prompt_key(struct player *p, int key, uint64_t now)
{
	const enum player_mode mode = p->mode;
	size_t n = strlen(p->typed);

	if (key == '\r' || key == '\n') {
		p->mode = PLAYER_RUNS;
		if (mode == PLAYER_GOTO)
			go_to_typed(p, now);
		else
			start_search(p, now);
	} else if (key == KEY_ESC || key == KEY_QUIT || ((key == 0x7f || key == 0x08) && n == 0))
		p->mode = PLAYER_RUNS;
	else if (key == 0x7f || key == 0x08)
		erase_last(p->typed);
	else if (key == 0x15)
		p->typed[0] = '\0';
	else if (key >= 0x20 && key < 256 && n + 1 < sizeof(p->typed) &&
	    (mode == PLAYER_FIND || strchr("0123456789:hms%", key) != NULL)) {
		p->typed[n] = (char)key;
		p->typed[n + 1] = '\0';
	}
	p->dirty = true;
}

static void prompt(struct player *p, enum player_mode mode)
{
	p->mode = mode;
	p->typed[0] = '\0';
}

/* ---- the rest ---- */

static void toggle_pause(struct player *p, uint64_t now)
{
	/* at the end it starts over, unless more may come */
	if (player_over(p) && !p->live) {
		p->clock.paused = false;
		player_seek(p, 0, now);
		return;
	}
	p->clock.paused = !p->clock.paused;
	if (p->clock.paused)
		p->at_end = false;
}

static void pan(struct player *p, int dx, int dy)
{
	struct view *v = &p->view;

	v->follow = false;
	v->left = dx < 0 && v->left < (unsigned)-dx ? 0 : v->left + (unsigned)dx;
	v->top = dy < 0 && v->top < (unsigned)-dy ? 0 : v->top + (unsigned)dy;
}

static void toggle_idle(struct player *p, uint64_t now)
{
	if (p->clock.idle_us == 0)
		p->clock.idle_us = 2000000;
	p->clock.compress = !p->clock.compress;
	player_say(p, now, p->clock.compress ? "long pauses are cut" : "pauses last as long as they did");
}

/* Keys that move to another time. */
static bool seek_key(struct player *p, int key, uint64_t now)
{
	switch (key) {
	case '.': step(p, true, now); break;
	case ',': step(p, false, now); break;
	case 'n':
		if (p->finder != NULL)
			find(p, FIND_ON, now);
		else
			next_marker(p, now);
		break;
	case 'N':
		if (p->finder != NULL)
			find(p, FIND_BACK, now);
		else
			last_marker(p, now);
		break;
	case 'c': next_marker(p, now); break;
	case 'C': case 'p': last_marker(p, now); break;
	case KEY_LEFT: case '<': seek_back(p, SEEK_US, now); break;
	case KEY_RIGHT: case '>': seek_on(p, SEEK_US, now); break;
	case KEY_PGUP: case '[': seek_back(p, SEEK_FAR_US, now); break;
	case KEY_PGDN: case ']': seek_on(p, SEEK_FAR_US, now); break;
	case KEY_HOME: case '0': player_seek(p, 0, now); break;
	case KEY_END: case 'G':
		player_seek(p, PCLOCK_NEVER, now);
		if (p->live)
			p->clock.paused = false;
		break;
	case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
		player_seek(p, p->tape->end_us / 10 * (unsigned)(key - '0'), now);
		break;
	default: return false;
	}
	return true;
}

static void run_key(struct player *p, int key, uint64_t now)
{
	if (seek_key(p, key, now))
		return;
	switch (key) {
	case ' ': toggle_pause(p, now); break;
	case KEY_UP: case '+': case '*': p->clock.speed = pclock_faster(p->clock.speed); break;
	case KEY_DOWN: case '-': p->clock.speed = pclock_slower(p->clock.speed); break;
	case 'g': prompt(p, PLAYER_GOTO); break;
	case '/': prompt(p, PLAYER_FIND); break;
	case KEY_ESC: end_search(p); break;
	case 'i': toggle_idle(p, now); break;
	case '\t': p->next_channel = true; break;
	case 'h': pan(p, -PAN, 0); break;
	case 'l': pan(p, PAN, 0); break;
	case 'k': pan(p, 0, -PAN / 2); break;
	case 'j': pan(p, 0, PAN / 2); break;
	case '=': p->view.follow = true; break;
	case '?': p->mode = PLAYER_HELP; break;
	case 'q': case 'Q': p->quit = true; break;
	case 0x0c: p->view.valid = false; break;
	default: return;
	}
	p->dirty = true;
}

void player_key(struct player *p, int key, uint64_t now)
{
	if (key == KEY_QUIT || (key == 'q' && p->task != TASK_NONE)) {
		p->quit = true;
		return;
	}
	/* nobody wakes a player that is paused: what the key waited for is no time of the recording */
	if (p->clock.paused)
		p->clock.real_us = now;
	/* keys typed one after the other do not stop what is nearly done */
	while (p->task != TASK_NONE && p->pieces < PLAYER_PATIENCE)
		player_tick(p, now);
	if (p->task != TASK_NONE) {
		/* it stays where it came to */
		p->task = TASK_NONE;
		p->arrived[0] = '\0';
		p->say_event = p->to_hit = false;
		p->at_end = false;
		p->message[0] = '\0';
		p->dirty = true;
		return;
	}
	if (p->mode == PLAYER_HELP) {
		p->mode = PLAYER_RUNS;
		p->dirty = true;
	} else if (p->mode == PLAYER_GOTO || p->mode == PLAYER_FIND)
		prompt_key(p, key, now);
	else
		run_key(p, key, now);
}
