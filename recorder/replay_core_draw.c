/*
 * replay_core_draw.c - what the player says about itself: status line, help, messages, on top of the
 * recorded screen. Pure, as replay_core.c.
 */
#include "replay_player.h"

#include <string.h>

#include "escape.h"

#define BAR_MIN 6U

/* ---- status line ---- */

static void speed_text(char *out, size_t size, unsigned speed)
{
	if (speed % 100 == 0)
		snprintf(out, size, "%ux", speed / 100);
	else
		snprintf(out, size, "%u.%02ux", speed / 100, speed % 100);
}

/* " > 0:12/3:40 1x ", " * LIVE 3:40 " */
static unsigned draw_state(struct player *p, unsigned row)
{
	char at[24], end[24], speed[16], text[96];
	const bool over = player_over(p) && !p->live, utf8 = p->view.utf8;
	const char *sign = over ? (utf8 ? "\xe2\x96\xa0" : ".") :
	    p->clock.paused ? (utf8 ? "\xe2\x80\x96" : "=") : utf8 ? "\xe2\x96\xb6" : ">";

	speed_text(speed, sizeof(speed), p->clock.speed);
	text_span(end, sizeof(end), p->tape->end_us);
	if (p->live && p->at_end && !p->clock.paused)
		snprintf(text, sizeof(text), " %s LIVE %s ", utf8 ? "\xe2\x97\x8f" : "*", end);
	else
		snprintf(text, sizeof(text), " %s %s/%s %s%s ", sign,
		    text_span(at, sizeof(at), p->clock.pos_us), end, speed,
		    p->clock.compress ? "" : " idle");
	return view_text(&p->view, row, 0, CELL_REVERSE, text);
}

static void draw_bar(struct player *p, unsigned row, unsigned from, unsigned to)
{
	unsigned room = to - from, done = room;

	if (p->tape->end_us > 0)
		done = (unsigned)(p->clock.pos_us / 1000 * room / (p->tape->end_us / 1000 + 1));
	if (player_over(p))
		done = room;
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

static void draw_prompt(struct player *p, unsigned row)
{
	const char *ask = p->mode == PLAYER_FIND ? " /" :
	    p->view.cols < 60 ? " go to: " : " go to (90, 1:30, 1h2m, 50%): ";
	char typed[4 * PLAYER_LINE_MAX + 7];
	const char *from = typed;
	unsigned col, room;

	/* typed or pasted by the auditor, but a terminal would obey it as anybody's */
	esc_line(typed, sizeof(typed), p->typed, strlen(p->typed));
	col = view_text(&p->view, row, 0, CELL_REVERSE, ask);
	room = p->view.cols > col + 1 ? p->view.cols - col - 1 : 0;
	/* of a long text the end is seen */
	for (unsigned n = width(typed); n > room && *from != '\0'; n--)
		for (from++; ((unsigned char)*from & 0xc0) == 0x80;)
			from++;
	col = view_text(&p->view, row, col, CELL_REVERSE, from);
	p->view.cursor = (struct cursor){ row, col < p->view.cols ? col : p->view.cols - 1, true };
}

/* Who, the bar and what stands at the right, as far as there is room. */
static void draw_rest(struct player *p, unsigned row, unsigned col)
{
	char right[4 * NEEDLE_MAX + 24], needle[4 * NEEDLE_MAX + 7];
	struct view *v = &p->view;
	unsigned to = v->cols;

	esc_line(needle, sizeof(needle), p->needle.text, p->needle.len);
	if (p->needle.len > 0)
		snprintf(right, sizeof(right), "/%s ", needle);
	else
		snprintf(right, sizeof(right), "%s ",
		    p->note[0] != '\0' && (p->alarm || v->cols >= 60) ? p->note : v->cols < 60 ? "?" : "? help");
	if (col + width(right) + BAR_MIN + 1 < to) {
		to -= width(right);
		view_text(v, row, to, CELL_REVERSE, right);
	}
	if (col + width(p->who) + BAR_MIN + 2 < to)
		col = view_text(v, row, col, CELL_REVERSE, p->who) + 1;
	else if (col + width(p->who_short) + BAR_MIN + 2 < to)
		col = view_text(v, row, col, CELL_REVERSE, p->who_short) + 1;
	if (col + BAR_MIN < to)
		draw_bar(p, row, col, to - 1);
}

static void draw_status(struct player *p)
{
	struct view *v = &p->view;
	const unsigned row = v->rows - 1;
	unsigned col;

	for (unsigned i = 0; i < v->cols; i++)
		view_text(v, row, i, CELL_REVERSE, " ");
	if (p->mode == PLAYER_GOTO || p->mode == PLAYER_FIND) {
		draw_prompt(p, row);
		return;
	}
	col = draw_state(p, row);
	if (p->message[0] != '\0')
		view_text(v, row, col, CELL_REVERSE | CELL_BOLD, p->message);
	else
		draw_rest(p, row, col);
}

/* ---- help ---- */

/* No more lines than a terminal of 12 has, none wider than one of 40. */
static const struct { const char *keys, *what; } help[] = {
	{ "space", "pause, go on" },
	{ ". ,", "next, previous event" },
	{ "c C", "next, previous command" },
	{ "< > [ ]", "10 s, 1 min; also arrows" },
	{ "0-9 G g", "tenths, end, a time or 50%" },
	{ "/ n N", "search; next, previous hit" },
	{ "- +", "slower, faster" },
	{ "i", "cut long pauses, or not" },
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
		snprintf(text, sizeof(text), " %-8s %-28s", help[i].keys, help[i].what);
		view_text(v, top + i, left, CELL_REVERSE, text);
	}
	v->cursor.visible = false;
}

static const char *find_needle(void *ctx, const char *text, size_t len, size_t *n)
{
	const struct needle *needle = ctx;

	*n = needle->len;
	return needle_in(needle, text, len);
}

/* The window of a small terminal has the hit in it. */
static void focus_hit(struct player *p)
{
	struct view *v = &p->view;

	v->focused = false;
	for (unsigned r = 0; p->at_hit && r < screen_rows(p->screen) && !v->focused; r++) {
		size_t len;
		const char *text = screen_row(p->screen, r, SCREEN_COLS_MAX, &len), *at = needle_in(&p->needle, text, len);

		if (at == NULL)
			continue;
		v->focused = true;
		v->focus_row = r;
		v->focus_col = 0;
		for (const char *c = text; c < at + p->needle.len - 1; c++)
			v->focus_col += ((unsigned char)c[1] & 0xc0) != 0x80;
	}
}

int player_draw(struct player *p, uint64_t now_us, struct buf *out)
{
	p->dirty = false;
	p->drawn_us = now_us;
	p->second = p->clock.pos_us / 1000000;
	view_begin(&p->view);
	if (p->screen != NULL)
		focus_hit(p);
	if (p->screen != NULL)
		view_screen(&p->view, p->screen, p->view.rows - 1);
	if (p->needle.len > 0)
		view_mark(&p->view, p->view.rows - 1, find_needle, &p->needle);
	if (p->mode == PLAYER_HELP)
		draw_help(p);
	draw_status(p);
	return view_end(&p->view, out);
}
