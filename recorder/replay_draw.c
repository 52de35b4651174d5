/*
 * replay_draw.c - what the player says about itself: status line, help, messages, on top of the
 * recorded screen.
 */
#include "replay_player.h"

#include <stdarg.h>
#include <string.h>

#include "clock.h"

#define MESSAGE_SECONDS 4

void player_say(struct player *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->message, sizeof(p->message), fmt, ap);
	va_end(ap);
	p->message_us = clock_mono_us() + MESSAGE_SECONDS * 1000000ULL;
	p->dirty = true;
}

/* ---- status line ---- */

static void speed_text(char *out, size_t size, unsigned speed)
{
	if (speed % 100 == 0)
		snprintf(out, size, "%ux", speed / 100);
	else
		snprintf(out, size, "%u.%02ux", speed / 100, speed % 100);
}

/* "> 0:12/3:40 1x" */
static unsigned draw_state(struct player *p, unsigned row)
{
	char at[24], end[24], speed[16], text[96];
	bool over = p->next == p->tape.n && p->clock.pos_us >= p->tape.end_us;
	const char *sign = over ? "." : p->clock.paused ? "=" : ">";

	if (p->view.utf8)
		sign = over ? "\xe2\x96\xa0" : p->clock.paused ? "\xe2\x80\x96" : "\xe2\x96\xb6";
	speed_text(speed, sizeof(speed), p->clock.speed);
	snprintf(text, sizeof(text), " %s %s/%s %s%s ", sign,
	    text_span(at, sizeof(at), p->clock.pos_us), text_span(end, sizeof(end), p->tape.end_us),
	    speed, p->clock.compress ? "" : " idle");
	return view_text(&p->view, row, 0, CELL_REVERSE, text);
}

static void draw_bar(struct player *p, unsigned row, unsigned from, unsigned to)
{
	unsigned room = to - from, done = room;

	if (p->tape.end_us > 0)
		done = (unsigned)(p->clock.pos_us * room / p->tape.end_us);
	for (unsigned i = 0; i < room; i++) {
		const char *full = p->view.utf8 ? "\xe2\x94\x81" : "=",
			   *rest = p->view.utf8 ? "\xe2\x94\x80" : "-";

		view_text(&p->view, row, from + i, CELL_REVERSE | (i < done ? CELL_BOLD : CELL_DIM),
		    i < done ? full : rest);
	}
}

/* Length in cells. */
static unsigned width(const char *text)
{
	unsigned n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void draw_status(struct player *p)
{
	struct view *v = &p->view;
	const unsigned row = v->rows - 1;
	const char *help = "? help ";
	unsigned col, right = v->cols;
	char text[320];

	for (unsigned i = 0; i < v->cols; i++)
		view_text(v, row, i, CELL_REVERSE, " ");
	if (p->mode == PLAYER_GOTO) {
		snprintf(text, sizeof(text), " go to (90, 1:30, 1h2m): %s", p->typed);
		v->cursor = (struct cursor){ row, view_text(v, row, 0, CELL_REVERSE, text), true };
		return;
	}
	col = draw_state(p, row);
	if (p->message[0] != '\0') {
		view_text(v, row, col, CELL_REVERSE | CELL_BOLD, p->message);
		return;
	}
	if (col + width(help) < v->cols) {
		right -= width(help);
		view_text(v, row, right, CELL_REVERSE, help);
	}
	if (col + width(p->who) + 12 < right) {
		col = view_text(v, row, col, CELL_REVERSE, p->who);
		col = view_text(v, row, col, CELL_REVERSE, " ");
	}
	if (col + 6 < right)
		draw_bar(p, row, col, right - 1);
}

/* ---- help ---- */

static const struct { const char *keys, *what; } help[] = {
	{ "space", "pause, go on" },
	{ ".", "next event" },
	{ "n N", "next, last command" },
	{ "< >", "10 s back, on; also arrows" },
	{ "- +", "slower, faster" },
	{ "g", "go to a time" },
	{ "0 G", "begin, end" },
	{ "i", "skip long pauses or not" },
	{ "tab", "next channel" },
	{ "hjkl =", "move the window, follow" },
	{ "q", "quit" },
};

static void draw_help(struct player *p)
{
	const unsigned n = sizeof(help) / sizeof(help[0]), w = 38;
	struct view *v = &p->view;
	unsigned left = v->cols > w ? (v->cols - w) / 2 : 0,
		 top = v->rows - 1 > n ? (v->rows - 1 - n) / 2 : 0;
	char text[64];

	for (unsigned i = 0; i < n && top + i + 1 < v->rows; i++) {
		snprintf(text, sizeof(text), " %-7s %-29s", help[i].keys, help[i].what);
		view_text(v, top + i, left, CELL_REVERSE, text);
	}
	v->cursor.visible = false;
}

int player_draw(struct player *p)
{
	struct buf out;
	int r;

	if (p->message[0] != '\0' && clock_mono_us() >= p->message_us)
		p->message[0] = '\0';
	buf_init(&out, VIEW_OUT_MAX);
	view_begin(&p->view);
	view_screen(&p->view, p->screen, p->view.rows - 1);
	if (p->mode == PLAYER_HELP)
		draw_help(p);
	draw_status(p);
	r = view_end(&p->view, &out) == 0 ? tty_write(&p->tty, out.data, out.len) : 0;
	buf_finish(&out);
	p->dirty = false;
	return r;
}
