/*
 * replay_core.c - the player: see replay_player.h. Before it: a tape. After it: replay_core_draw.c.
 *
 * Going back starts from a moment of the screen that was kept on the way (screen_keep), so that it
 * costs at most what lies between two of them. Moments are kept every PLAYER_FRAME_EVERY bytes of output;
 * when their number or size is at its bound, every second one goes and the distance doubles.
 */
#include "replay_player.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_US 33000		/* between two pictures */
#define MESSAGE_SECONDS 4

void player_say(struct player *p, uint64_t now_us, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->message, sizeof(p->message), fmt, ap);
	va_end(ap);
	p->message_us = now_us + MESSAGE_SECONDS * 1000000ULL;
	p->dirty = true;
}

bool player_over(const struct player *p)
{
	return p->next == p->tape->n && p->clock.pos_us >= p->tape->end_us;
}

/* ---- moments ---- */

static void drop_frames(struct player *p)
{
	while (p->nframes > 0)
		screen_forget(p->frames[--p->nframes].moment);
	p->frames_bytes = 0;
	p->frame_every = PLAYER_FRAME_EVERY;
}

static void thin_frames(struct player *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->nframes; i++)
		if (i % 2 == 1)
			p->frames[n++] = p->frames[i];
		else {
			p->frames_bytes -= p->frames[i].bytes;
			screen_forget(p->frames[i].moment);
		}
	p->nframes = n;
	p->frame_every *= 2;
}

/* After event p->next - 1: keeps the moment if the last one is far. Without memory there is none. */
static void keep_frame(struct player *p)
{
	const struct tape_event *e = &p->tape->v[p->next - 1];
	struct player_frame *f;
	size_t from = 0;

	if (p->nframes > 0) {
		f = &p->frames[p->nframes - 1];
		if (p->next <= f->next)
			return;
		from = p->tape->v[f->next - 1].off;
	}
	if (e->off - from < p->frame_every)
		return;
	while (p->nframes == PLAYER_FRAMES_MAX ||
	    (p->nframes > 1 && p->frames_bytes > PLAYER_FRAMES_BYTES))
		thin_frames(p);
	f = &p->frames[p->nframes];
	f->next = p->next;
	if ((f->moment = screen_keep(p->screen, &f->bytes)) == NULL)
		return;
	p->frames_bytes += f->bytes;
	p->nframes++;
}

/* ---- events to the screen ---- */

static void screen_size(const struct player *p, unsigned *cols, unsigned *rows)
{
	/* a command's output has no size of its own: it gets the auditor's */
	*cols = p->pty ? (p->chan_cols > 0 ? p->chan_cols : 80) : p->view.cols;
	*rows = p->pty ? (p->chan_rows > 0 ? p->chan_rows : 24) : p->view.rows - 1;
}

/* A line of its own, which no screen shows. */
static bool says(const struct player *p, const struct tape_event *e)
{
	return e->len > 0 && ((e->kind == 'n' && p->pty) || e->kind == 'k');
}

static void say_line(struct player *p, const struct tape_event *e, uint64_t now_us)
{
	player_say(p, now_us, "%.*s", (int)e->len, p->tape->data + e->off);
}

/* The end that is shown is not that of the session: it stands there for as long as the end is shown. */
static void say_lack(struct player *p, uint64_t now_us)
{
	if (p->live || p->tape->note[0] == '\0' || !player_over(p))
		return;
	player_say(p, now_us, "%s", p->tape->note);
	p->message_us = PCLOCK_NEVER;
}

/* Shows event p->next; its bytes, at least 1. */
static size_t apply_next(struct player *p)
{
	const struct tape_event *e = &p->tape->v[p->next++];
	const uint8_t *d = (const uint8_t *)p->tape->data + e->off;

	if (e->kind == 'o' || (e->kind == 'n' && !p->pty))
		screen_feed(p->screen, d, e->len);
	else if (e->kind == 'r' && p->pty)
		screen_resize(p->screen, (unsigned)(d[0] << 8 | d[1]), (unsigned)(d[2] << 8 | d[3]));
	keep_frame(p);
	p->dirty = true;
	return e->len + 1;
}

static void apply_due(struct player *p, uint64_t now_us)
{
	size_t done = 0;

	/* a burst of output may last long: the keys and the picture come between its pieces */
	while (p->next < p->tape->n && p->tape->v[p->next].t_us <= p->clock.pos_us && done < PLAYER_SLICE) {
		const struct tape_event *e = &p->tape->v[p->next];

		done += apply_next(p);
		p->at_hit = false;
		if (says(p, e))
			say_line(p, e, now_us);
	}
}

/* ---- going somewhere ---- */

/* To the start of the tape, or to the last moment before event `before`. */
static int go_back(struct player *p, size_t before)
{
	size_t i = p->nframes;
	unsigned cols, rows;

	while (i > 0 && p->frames[i - 1].next > before)
		i--;
	/* what is shown now may be nearer */
	if (p->next <= before && (i == 0 || p->frames[i - 1].next <= p->next))
		return 0;
	if (i > 0 && screen_back(p->screen, p->frames[i - 1].moment) == 0) {
		p->next = p->frames[i - 1].next;
		return 0;
	}
	screen_size(p, &cols, &rows);
	if ((p->base != NULL ? screen_back(p->screen, p->base) : screen_restart(p->screen, cols, rows)) != 0)
		return -1;
	p->next = 0;
	return 0;
}

void player_cut(struct player *p)
{
	size_t bytes;

	while (p->next < p->tape->n)
		apply_next(p);
	drop_frames(p);
	finder_destroy(p->finder);
	p->finder = NULL;
	p->needle.len = 0;
	screen_forget(p->base);
	p->base = screen_keep(p->screen, &bytes);
	p->task = TASK_NONE;
	p->next = 0;
	p->clock.pos_us = 0;
}

static void arrive(struct player *p, uint64_t now_us)
{
	p->task = TASK_NONE;
	p->clock.pos_us = p->target_us;
	p->clock.real_us = now_us;
	p->message[0] = '\0';
	if (p->arrived[0] != '\0')
		player_say(p, now_us, "%s", p->arrived);
	for (size_t i = p->next; p->say_event && i > 0 && p->tape->v[i - 1].t_us == p->target_us; i--)
		if (says(p, &p->tape->v[i - 1])) {
			say_line(p, &p->tape->v[i - 1], now_us);
			break;
		}
	p->arrived[0] = '\0';
	say_lack(p, now_us);
	p->at_hit = p->to_hit;
	p->to_hit = false;
	p->say_event = false;
	p->dirty = true;
}

static void seek_work(struct player *p, uint64_t now_us)
{
	const size_t until = tape_until(p->tape, p->target_us);
	size_t done = 0;

	while (p->next < until && done < PLAYER_SLICE)
		done += apply_next(p);
	if (p->next >= until)
		arrive(p, now_us);
	else {
		p->clock.pos_us = p->tape->v[p->next].t_us;
		player_say(p, now_us, "seeking, %u %% - any key stops it",
		    (unsigned)(p->clock.pos_us * 100 / (p->target_us + 1)));
	}
}

void player_seek(struct player *p, uint64_t t_us, uint64_t now_us)
{
	p->at_end = p->live && t_us >= p->tape->end_us;
	p->at_hit = false;
	/* what stands at the top of the screen is seen, too, if the cursor is not far below */
	if (p->view.follow)
		p->view.top = p->view.left = 0;
	p->target_us = t_us > p->tape->end_us ? p->tape->end_us : t_us;
	p->dirty = true;
	if (go_back(p, tape_until(p->tape, p->target_us)) != 0)
		return;
	p->task = TASK_SEEK;
	p->pieces = 0;
	seek_work(p, now_us);
}

/* ---- time ---- */

static uint64_t next_time(const struct player *p)
{
	return p->next < p->tape->n ? p->tape->v[p->next].t_us : PCLOCK_NEVER;
}

void player_tick(struct player *p, uint64_t now_us)
{
	const uint64_t prev = p->next > 0 ? p->tape->v[p->next - 1].t_us : 0;
	const bool over = player_over(p);

	p->pieces++;
	if (p->task == TASK_SEEK)
		seek_work(p, now_us);
	else if (p->task == TASK_FIND)
		player_find_work(p, now_us);
	else if (p->live && p->at_end && !p->clock.paused) {
		p->clock.pos_us = p->tape->end_us;
		p->clock.real_us = now_us;
		apply_due(p, now_us);
	} else {
		pclock_advance(&p->clock, now_us, prev, next_time(p), p->tape->end_us);
		apply_due(p, now_us);
		if (p->live && player_over(p) && !p->clock.paused)
			p->at_end = true;
		if (!over)
			say_lack(p, now_us);
	}
	if (p->task != TASK_NONE)
		p->clock.real_us = now_us;
	if (p->message[0] != '\0' && now_us >= p->message_us) {
		p->message[0] = '\0';
		p->dirty = true;
		say_lack(p, now_us);
	}
	if (p->clock.pos_us / 1000000 != p->second)
		p->dirty = true;
}

bool player_due(const struct player *p, uint64_t now_us)
{
	return p->dirty && now_us >= p->drawn_us + FRAME_US;
}

static uint64_t left(uint64_t until_us, uint64_t now_us)
{
	return until_us > now_us ? until_us - now_us : 0;
}

uint64_t player_wait(const struct player *p, uint64_t now_us)
{
	uint64_t wait, t;

	if (p->task != TASK_NONE || (p->live && p->at_end && !p->clock.paused && p->next < p->tape->n))
		return 0;
	t = next_time(p);
	wait = p->live && p->at_end ? PCLOCK_NEVER : pclock_wait(&p->clock, t);
	/* the clock in the status line, up to the end that is shown */
	if (!player_over(p) && !(p->live && p->at_end)) {
		uint64_t tick = (p->clock.pos_us / 1000000 + 1) * 1000000;

		if (tick > p->tape->end_us)
			tick = p->tape->end_us;
		t = pclock_wait(&p->clock, tick);
		t = t < FRAME_US ? FRAME_US : t;
		wait = t < wait ? t : wait;
	}
	if (p->message[0] != '\0' && left(p->message_us, now_us) < wait)
		wait = left(p->message_us, now_us);
	if (p->dirty && left(p->drawn_us + FRAME_US, now_us) < wait)
		wait = left(p->drawn_us + FRAME_US, now_us);
	return wait;
}

/* ---- life ---- */

int player_init(struct player *p, unsigned cols, unsigned rows, unsigned speed, uint64_t idle_us)
{
	static const struct tape none;

	memset(p, 0, sizeof(*p));
	p->tape = &none;
	p->clock = (struct pclock){ .speed = speed, .idle_us = idle_us, .compress = idle_us > 0 };
	p->frame_every = PLAYER_FRAME_EVERY;
	p->dirty = true;
	return view_init(&p->view, cols, rows);
}

void player_finish(struct player *p)
{
	drop_frames(p);
	screen_forget(p->base);
	finder_destroy(p->finder);
	screen_destroy(p->screen);
	view_finish(&p->view);
	p->finder = NULL;
	p->screen = NULL;
}

static int start_screen(struct player *p)
{
	unsigned cols, rows;

	drop_frames(p);
	screen_forget(p->base);
	p->base = NULL;
	finder_destroy(p->finder);
	p->finder = NULL;
	p->needle.len = 0;
	p->task = TASK_NONE;
	p->next = 0;
	screen_size(p, &cols, &rows);
	if (p->screen != NULL)
		return screen_restart(p->screen, cols, rows);
	p->screen = screen_create(cols, rows, NULL, NULL);
	return p->screen != NULL ? 0 : -1;
}

int player_load(struct player *p, const struct tape *t, bool pty, unsigned cols, unsigned rows,
    uint64_t at_us, uint64_t now_us)
{
	p->tape = t;
	p->pty = pty;
	p->chan_cols = cols;
	p->chan_rows = rows;
	p->clock.pos_us = 0;
	if (start_screen(p) != 0)
		return -1;
	player_seek(p, at_us, now_us);
	if (t->note[0] != '\0' && !p->live)
		snprintf(p->arrived, sizeof(p->arrived), "%.*s", (int)sizeof(p->arrived) - 1, t->note);
	if (p->task == TASK_NONE && p->arrived[0] != '\0')
		arrive(p, now_us);
	return 0;
}

int player_resize(struct player *p, unsigned cols, unsigned rows, uint64_t now_us)
{
	const uint64_t at = p->task == TASK_SEEK ? p->target_us : p->clock.pos_us;
	const bool end = p->at_end;

	p->dirty = true;
	if (view_resize(&p->view, cols, rows) != 0)
		return -1;
	if (p->pty || p->screen == NULL)
		return 0;
	/* lines of a command's output break elsewhere now */
	if (start_screen(p) != 0)
		return -1;
	player_seek(p, end ? PCLOCK_NEVER : at, now_us);
	return 0;
}
