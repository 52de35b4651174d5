/*
 * replay_play.c - `bastion-replay play`: the loop, and what the keys do. Without a terminal it
 * prints the text.
 */
#include "replay_player.h"

#include <errno.h>
#include <langinfo.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

#define FRAME_US 33000		/* between two pictures */
#define SEEK_US 10000000
#define SEEK_LOOK_US 200000	/* a seek that lasts so long is shown, and may be stopped */
#define PAN 8

/* ---- events to the screen ---- */

/* A command's output has no size of its own: it gets the auditor's. */
static void screen_size(const struct player *p, unsigned *cols, unsigned *rows)
{
	*cols = p->view.cols;
	*rows = p->view.rows - 1;
	if (p->chan->pty) {
		*cols = p->chan->cols > 0 ? p->chan->cols : 80;
		*rows = p->chan->rows > 0 ? p->chan->rows : 24;
	}
}

/* Shows event p->next; `aloud`: its line, if it is one, goes to the status. */
static void apply_next(struct player *p, bool aloud)
{
	const struct tape_event *e = &p->tape.v[p->next++];
	const uint8_t *d = (const uint8_t *)p->tape.data + e->off;

	if (e->kind == 'o' || (e->kind == 'n' && !p->chan->pty))
		screen_feed(p->screen, d, e->len);
	else if (e->kind == 'r' && p->chan->pty)
		screen_resize(p->screen, (unsigned)(d[0] << 8 | d[1]),
		    (unsigned)(d[2] << 8 | d[3]));
	else if (e->kind == 'n' && aloud)
		player_say(p, "%.*s", (int)e->len, (const char *)d);
	p->dirty = true;
}

static void apply_due(struct player *p)
{
	/* a burst of output may last long: the keys and the picture come between its pieces */
	uint64_t end = clock_mono_us() + 2ULL * FRAME_US;
	unsigned n = 0;

	while (p->next < p->tape.n && p->tape.v[p->next].t_us <= p->clock.pos_us) {
		apply_next(p, true);
		if (++n % 16 == 0 && clock_mono_us() > end)
			break;
	}
}

/*
 * While a long seek runs: shows how far it is, and looks for a key. True: stop here. The signals are
 * blocked, so without this nothing could end it.
 */
static bool seek_stopped(struct player *p, uint64_t t)
{
	int key;

	if (!p->tty.raw)
		return false;
	p->clock.pos_us = p->tape.v[p->next - 1].t_us;
	player_say(p, "seeking, %u %% - any key stops it", (unsigned)(p->clock.pos_us * 100 / (t + 1)));
	if (player_draw(p) != 0)
		p->quit = true;
	key = tty_key(&p->tty, 0);
	if (key == 'q' || key == KEY_QUIT)
		p->quit = true;
	if (key == KEY_RESIZE)
		p->resized = true;
	return p->quit || (key != KEY_NONE && key != KEY_RESIZE);
}

static void seek(struct player *p, uint64_t t)
{
	uint64_t look = clock_mono_us() + SEEK_LOOK_US;
	unsigned cols, rows;

	if (t > p->tape.end_us)
		t = p->tape.end_us;
	if (p->next > 0 && p->tape.v[p->next - 1].t_us > t) {
		screen_size(p, &cols, &rows);
		if (screen_restart(p->screen, cols, rows) != 0)
			return;
		p->next = 0;
	}
	while (p->next < p->tape.n && p->tape.v[p->next].t_us <= t) {
		apply_next(p, false);
		if (clock_mono_us() < look)
			continue;
		if (seek_stopped(p, t)) {
			t = p->clock.pos_us;
			break;
		}
		look = clock_mono_us() + SEEK_LOOK_US;
	}
	p->clock.pos_us = t;
	p->clock.real_us = clock_mono_us();
	p->message[0] = '\0';
	p->dirty = true;
}

static void seek_by(struct player *p, int64_t us)
{
	if (us < 0 && p->clock.pos_us < (uint64_t)-us)
		seek(p, 0);
	else
		seek(p, p->clock.pos_us + (uint64_t)us);
}

static void say_event(struct player *p, const struct tape_event *e)
{
	if (e->kind == 'n' && p->chan->pty)
		player_say(p, "%.*s", (int)e->len, p->tape.data + e->off);
}

static void next_marker(struct player *p)
{
	for (size_t i = p->next; i < p->tape.n; i++)
		if (tape_is_marker(&p->tape.v[i]) && p->tape.v[i].t_us > p->clock.pos_us) {
			seek(p, p->tape.v[i].t_us);
			say_event(p, &p->tape.v[i]);
			return;
		}
	player_say(p, "no later command");
}

static void last_marker(struct player *p)
{
	/* the one just passed does not count: the key may be pressed again and again */
	uint64_t before = p->clock.pos_us > 500000 ? p->clock.pos_us - 500000 : 0;

	for (size_t i = p->next; i > 0; i--)
		if (tape_is_marker(&p->tape.v[i - 1]) && p->tape.v[i - 1].t_us < before) {
			const struct tape_event *e = &p->tape.v[i - 1];

			seek(p, e->t_us);
			say_event(p, e);
			return;
		}
	seek(p, 0);
}

static void step(struct player *p)
{
	p->clock.paused = true;
	if (p->next == p->tape.n)
		return;
	p->clock.pos_us = p->tape.v[p->next].t_us;
	apply_next(p, true);
}

/* ---- channels ---- */

/* Loads it and starts at `at_us`. 0, or -1: the reason is in p->tape.note. */
static int load_channel(struct player *p, const struct channel *c, uint64_t at_us)
{
	unsigned cols, rows;

	tape_finish(&p->tape);
	p->chan = c;
	p->next = 0;
	if (tape_load(&p->tape, c, p->rec->dir, p->ids) != 0)
		return -1;
	screen_size(p, &cols, &rows);
	if (p->screen == NULL)
		p->screen = screen_create(cols, rows, NULL, NULL);
	else if (screen_restart(p->screen, cols, rows) != 0)
		return -1;
	if (p->screen == NULL) {
		snprintf(p->tape.note, sizeof(p->tape.note), "%s", strerror(errno));
		return -1;
	}
	seek(p, at_us);
	if (p->tape.note[0] != '\0')
		player_say(p, "%s", p->tape.note);
	return 0;
}

static void next_channel(struct player *p)
{
	size_t at = (size_t)(p->chan - p->scan->chans);
	const struct channel *c = &p->scan->chans[(at + 1) % p->scan->nchans];

	if (p->scan->nchans < 2) {
		player_say(p, "there is one channel");
		return;
	}
	if (load_channel(p, c, 0) != 0)
		p->quit = true;
	else if (p->tape.note[0] == '\0')
		player_say(p, "channel %llu: %s %s", (unsigned long long)c->number, c->capability,
		    c->command);
}

/* ---- keys ---- */

static void toggle_pause(struct player *p)
{
	p->clock.paused = !p->clock.paused;
	/* at the end it starts over */
	if (!p->clock.paused && p->next == p->tape.n && p->clock.pos_us >= p->tape.end_us)
		seek(p, 0);
}

static void set_speed(struct player *p, unsigned speed)
{
	p->clock.speed = speed;
	p->dirty = true;
}

static void pan(struct player *p, int dx, int dy)
{
	struct view *v = &p->view;

	v->follow = false;
	v->left = dx < 0 && v->left < (unsigned)-dx ? 0 : v->left + (unsigned)dx;
	v->top = dy < 0 && v->top < (unsigned)-dy ? 0 : v->top + (unsigned)dy;
	p->dirty = true;
}

static void resize(struct player *p)
{
	unsigned cols, rows;

	tty_size(&p->tty, &cols, &rows);
	if (view_resize(&p->view, cols, rows) == 0 && !p->chan->pty) {
		/* lines of a command's output break elsewhere now */
		screen_size(p, &cols, &rows);
		if (screen_restart(p->screen, cols, rows) == 0) {
			uint64_t at = p->clock.pos_us;

			p->next = 0;
			seek(p, at);
		}
	}
	p->view.valid = false;
	p->dirty = true;
}

static void goto_key(struct player *p, int key)
{
	size_t n = strlen(p->typed);
	uint64_t us;

	if (key == '\r' || key == '\n') {
		p->mode = PLAYER_RUNS;
		if (n > 0 && args_offset(p->typed, &us) == 0)
			seek(p, us);
		else if (n > 0)
			player_say(p, "that is no time: 90, 1:30, 1h2m");
	} else if (key == KEY_ESC || key == KEY_QUIT)
		p->mode = PLAYER_RUNS;
	else if (key == 0x7f || key == 0x08)
		p->typed[n > 0 ? n - 1 : 0] = '\0';
	else if (key < 256 && strchr("0123456789:hms", key) != NULL && n + 1 < sizeof(p->typed)) {
		p->typed[n] = (char)key;
		p->typed[n + 1] = '\0';
	}
	p->dirty = true;
}

static void run_key(struct player *p, int key)
{
	switch (key) {
	case ' ': toggle_pause(p); break;
	case '.': step(p); break;
	case 'n': next_marker(p); break;
	case 'N': case 'p': last_marker(p); break;
	case KEY_LEFT: case '<': case ',': seek_by(p, -SEEK_US); break;
	case KEY_RIGHT: case '>': seek_by(p, SEEK_US); break;
	case KEY_UP: case '+': case '*': set_speed(p, pclock_faster(p->clock.speed)); break;
	case KEY_DOWN: case '-': set_speed(p, pclock_slower(p->clock.speed)); break;
	case KEY_HOME: case '0': seek(p, 0); break;
	case KEY_END: case 'G': seek(p, p->tape.end_us); break;
	case 'g': p->mode = PLAYER_GOTO; p->typed[0] = '\0'; break;
	case 'i':
		p->clock.compress = !p->clock.compress;
		player_say(p,
		    p->clock.compress ? "long pauses are cut" : "pauses last as long as they did");
		break;
	case '\t': next_channel(p); break;
	case 'h': pan(p, -PAN, 0); break;
	case 'l': pan(p, PAN, 0); break;
	case 'k': pan(p, 0, -PAN / 2); break;
	case 'j': pan(p, 0, PAN / 2); break;
	case '=': p->view.follow = true; break;
	case '?': p->mode = PLAYER_HELP; break;
	case 'q': case 'Q': case KEY_QUIT: p->quit = true; break;
	case 0x0c: p->view.valid = false; break;
	default: return;
	}
	p->dirty = true;
}

static void on_key(struct player *p, int key)
{
	if (key == KEY_RESIZE)
		resize(p);
	else if (key == KEY_STOP) {
		tty_stop(&p->tty);
		resize(p);
		p->clock.real_us = clock_mono_us();
	} else if (key == KEY_QUIT && p->tty.status != 0)
		p->quit = true;
	else if (p->mode == PLAYER_GOTO)
		goto_key(p, key);
	else if (p->mode == PLAYER_HELP) {
		p->mode = PLAYER_RUNS;
		p->dirty = true;
		if (key == KEY_QUIT)
			p->quit = true;
	} else
		run_key(p, key);
}

/* ---- the loop ---- */

/* Real µs until something is to be done that no key asks for. */
static uint64_t next_wait(const struct player *p, uint64_t now, uint64_t drawn)
{
	const uint64_t second = (p->clock.pos_us / 1000000 + 1) * 1000000;
	uint64_t next = PCLOCK_NEVER, wait, tick;

	if (p->next < p->tape.n)
		next = p->tape.v[p->next].t_us;
	else if (p->clock.pos_us < p->tape.end_us)
		next = p->tape.end_us;
	wait = pclock_wait(&p->clock, next);
	/* the clock in the status line */
	tick = pclock_wait(&p->clock, next == PCLOCK_NEVER ? next : second);
	if (tick < wait)
		wait = tick < FRAME_US ? FRAME_US : tick;
	if (p->message[0] != '\0') {
		uint64_t left = p->message_us > now ? p->message_us - now : 0;

		wait = left < wait ? left : wait;
	}
	if (p->dirty) {
		uint64_t left = drawn + FRAME_US > now ? drawn + FRAME_US - now : 0;

		wait = left < wait ? left : wait;
	}
	return wait;
}

static void run(struct player *p)
{
	uint64_t drawn = 0, second = 0;
	int key;

	while (!p->quit) {
		uint64_t now = clock_mono_us();
		uint64_t prev = p->next > 0 ? p->tape.v[p->next - 1].t_us : 0;
		uint64_t next = p->next < p->tape.n ? p->tape.v[p->next].t_us : PCLOCK_NEVER;

		pclock_advance(&p->clock, now, prev, next, p->tape.end_us);
		apply_due(p);
		if (p->clock.pos_us / 1000000 != second ||
		    (p->message[0] != '\0' && now >= p->message_us))
			p->dirty = true;
		second = p->clock.pos_us / 1000000;
		if (p->dirty && now >= drawn + FRAME_US) {
			if (player_draw(p) != 0)
				return;
			drawn = clock_mono_us();
		}
		key = p->resized ? KEY_RESIZE : tty_key(&p->tty, next_wait(p, clock_mono_us(), drawn));
		p->resized = false;
		if (key != KEY_NONE && !p->quit)
			on_key(p, key);
	}
}

/* What the terminal can do, as far as the environment says. */
static void set_looks(struct view *v)
{
	const char *colorterm = getenv("COLORTERM"), *term = getenv("TERM");

	v->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	v->rgb = colorterm != NULL &&
	    (strcmp(colorterm, "truecolor") == 0 || strcmp(colorterm, "24bit") == 0);
	v->colour = getenv("NO_COLOR") == NULL && (term == NULL || strncmp(term, "vt", 2) != 0);
}

static int play_on_terminal(struct player *p)
{
	unsigned cols, rows;
	int r = -1;

	p->tty.out = STDOUT_FILENO;
	tty_size(&p->tty, &cols, &rows);
	if (view_init(&p->view, cols, rows) != 0) {
		fprintf(stderr, "bastion-replay: %s\n", strerror(errno));
		return -1;
	}
	set_looks(&p->view);
	p->clock = (struct pclock){ .speed = p->args->speed,
		.idle_us = p->args->idle_us,
		.compress = p->args->idle_us > 0 };
	if (load_channel(p, p->chan, p->args->at_us) != 0)
		fprintf(stderr, "bastion-replay: %s\n", p->tape.note);
	else if (tty_enter(&p->tty) != 0)
		fprintf(stderr, "bastion-replay: the terminal: %s\n", strerror(errno));
	else {
		p->clock.real_us = clock_mono_us();
		run(p);
		tty_leave(&p->tty);
		r = 0;
	}
	screen_destroy(p->screen);
	tape_finish(&p->tape);
	view_finish(&p->view);
	return r;
}

static int play_scanned(struct args *a, const struct recording *rec, const struct scan *s,
    const struct age_identities *ids)
{
	struct player *p;
	char user[64], host[64], login[64];
	int r, sig;

	if (!isatty(STDOUT_FILENO))
		return export_text(a, rec, s, ids);
	if ((p = calloc(1, sizeof(*p))) == NULL)
		return -1;
	p->args = a;
	p->scan = s;
	p->rec = rec;
	p->ids = ids;
	p->chan = choose_channel(s, a);
	snprintf(p->who, sizeof(p->who), "%s as %s@%s",
	    meta_text(s->meta, "user", user, sizeof(user)),
	    meta_text(s->meta, "login", login, sizeof(login)),
	    meta_text(s->meta, "host", host, sizeof(host)));
	r = p->chan == NULL ? -1 : play_on_terminal(p);
	sig = p->tty.status;
	free(p);
	/* die of the signal, as whoever sent it expects; the terminal is restored */
	if (sig != 0)
		raise(sig);
	return r;
}

int cmd_play(struct args *a)
{
	return scan_visited(a, play_scanned);
}
