/*
 * replay_svg.c - `export --svg`: the screen of a channel at one moment, as a picture.
 *
 * The cells come from screen.c, so whatever a target sent, the file holds rectangles, text and
 * nothing else; it is valid XML 1.0, refers to nothing outside, and has no script or link.
 */
#include "replay_player.h"

#include <stdlib.h>
#include <string.h>

#include "screen_filter.h"

/* Tenths of a pixel: a monospaced font of 14 pixels. */
#define CELL_W 84U
#define CELL_H 170U
#define MARGIN 100U
#define BASELINE 130U

static const struct colour ink = { COLOUR_RGB, 0xe4, 0xe4, 0xe4 };
static const struct colour paper = { COLOUR_RGB, 0x12, 0x14, 0x18 };

/* "12.3" of 123 tenths. */
struct tenths {
	char text[16];
};

static struct tenths px(unsigned v)
{
	struct tenths out;

	snprintf(out.text, sizeof(out.text), "%u.%u", v / 10, v % 10);
	return out;
}

/* The 256 colours of xterm; 16 to 231 are a cube, the rest greys. */
static struct colour rgb_of(struct colour c, struct colour otherwise)
{
	static const uint32_t first[16] = { 0x000000, 0xcd3131, 0x0dbc79, 0xe5e510, 0x2472c8,
		0xbc3fbc, 0x11a8cd, 0xe5e5e5, 0x666666, 0xf14c4c, 0x23d18b, 0xf5f543, 0x3b8eea,
		0xd670d6, 0x29b8db, 0xffffff };
	static const uint8_t level[6] = { 0, 95, 135, 175, 215, 255 };
	const uint8_t n = c.r;

	if (c.kind == COLOUR_DEFAULT)
		return otherwise;
	if (c.kind == COLOUR_RGB)
		return c;
	if (n < 16)
		return (struct colour){ COLOUR_RGB, (uint8_t)(first[n] >> 16),
			(uint8_t)(first[n] >> 8), (uint8_t)first[n] };
	if (n >= 232)
		return (struct colour){ COLOUR_RGB, (uint8_t)(8 + 10 * (n - 232)),
			(uint8_t)(8 + 10 * (n - 232)), (uint8_t)(8 + 10 * (n - 232)) };
	return (struct colour){ COLOUR_RGB, level[(n - 16) / 36], level[(n - 16) / 6 % 6],
		level[(n - 16) % 6] };
}

static bool same_colour(struct colour a, struct colour b)
{
	return a.r == b.r && a.g == b.g && a.b == b.b;
}

/* What a cell looks like, with reverse and the defaults worked out. */
static void look(const struct cell *c, struct colour *fg, struct colour *bg)
{
	struct colour f = rgb_of(c->fg, ink), b = rgb_of(c->bg, paper);
	const bool swap = (c->attr & CELL_REVERSE) != 0;

	*fg = swap ? b : f;
	*bg = swap ? f : b;
}

static bool same_look(const struct cell *a, const struct cell *b)
{
	struct colour af, ab, bf, bb;

	look(a, &af, &ab);
	look(b, &bf, &bb);
	return same_colour(af, bf) && same_colour(ab, bb) && a->attr == b->attr;
}

/* ---- text in XML ---- */

static void put_code_point(uint32_t cp)
{
	char utf8[4];

	switch (cp) {
	case '&': fputs("&amp;", stdout); break;
	case '<': fputs("&lt;", stdout); break;
	case '>': fputs("&gt;", stdout); break;
	case '"': fputs("&quot;", stdout); break;
	default:
		/* a Char of XML 1.0; the filter lets no other control through */
		if (cp < 0x20 || (cp & 0xfffe) == 0xfffe)
			cp = 0xfffd;
		fwrite(utf8, 1, filter_encode(utf8, cp), stdout);
	}
}

/* Escaped text, which is UTF-8 (escape.h), as the contents of an element. */
static void put_string(const char *s)
{
	static const char special[] = "&<>\"";

	for (; *s != '\0'; s++)
		if (strchr(special, *s) != NULL)
			put_code_point((uint8_t)*s);
		else
			putchar(*s);
}

/* ---- cells ---- */

static void put_paper(unsigned row, unsigned col, unsigned cells, struct colour bg)
{
	if (same_colour(bg, paper))
		return;
	printf("<rect x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\" fill=\"#%02x%02x%02x\"/>\n",
	    px(MARGIN + col * CELL_W).text, px(MARGIN + row * CELL_H).text, px(cells * CELL_W).text,
	    px(CELL_H).text, bg.r, bg.g, bg.b);
}

static void put_attrs(unsigned attr)
{
	if ((attr & CELL_BOLD) != 0)
		fputs(" font-weight=\"bold\"", stdout);
	if ((attr & CELL_ITALIC) != 0)
		fputs(" font-style=\"italic\"", stdout);
	if ((attr & CELL_DIM) != 0)
		fputs(" opacity=\"0.6\"", stdout);
	if ((attr & (CELL_UNDERLINE | CELL_STRIKE)) != 0)
		printf(" text-decoration=\"%s%s%s\"", attr & CELL_UNDERLINE ? "underline" : "",
		    (attr & CELL_UNDERLINE) && (attr & CELL_STRIKE) ? " " : "",
		    attr & CELL_STRIKE ? "line-through" : "");
}

static bool is_blank(const struct cell *c)
{
	return c->ch[0] == 0 || (c->ch[0] == ' ' && c->ch[1] == 0);
}

/* `textLength` keeps the columns where they were, whatever font is there. */
static void put_run(const struct screen *s, unsigned row, unsigned col, unsigned cells)
{
	struct colour fg, bg;
	struct cell c;

	screen_cell(s, row, col, &c);
	look(&c, &fg, &bg);
	printf("<text x=\"%s\" y=\"%s\" textLength=\"%s\" lengthAdjust=\"spacingAndGlyphs\" "
	       "fill=\"#%02x%02x%02x\"",
	    px(MARGIN + col * CELL_W).text, px(MARGIN + row * CELL_H + BASELINE).text,
	    px(cells * CELL_W).text, fg.r, fg.g, fg.b);
	put_attrs(c.attr);
	putchar('>');
	for (unsigned i = col; i < col + cells; i++) {
		screen_cell(s, row, i, &c);
		/* no-break spaces: others are taken together, with or without xml:space */
		if (c.width != 0 && is_blank(&c))
			fputs("\302\240", stdout);
		else if (c.width != 0)
			for (int k = 0; k < CELL_CHARS && c.ch[k] != 0; k++)
				put_code_point(c.ch[k]);
	}
	fputs("</text>\n", stdout);
}

/* A character whose width a font may see otherwise stands alone. */
static bool alone(const struct cell *c)
{
	return c->width != 1 || c->ch[0] >= 0x7f || c->ch[1] != 0;
}

/* Cells from col on that look alike: those are one rectangle and at most one text. */
static unsigned run_length(const struct screen *s, unsigned row, unsigned col)
{
	struct cell first, c;
	unsigned n;

	screen_cell(s, row, col, &first);
	if (alone(&first))
		return first.width == 2 ? 2 : 1;
	for (n = 1; col + n < screen_cols(s); n++) {
		screen_cell(s, row, col + n, &c);
		if (alone(&c) || !same_look(&first, &c))
			break;
	}
	return n;
}

static bool blank_at(const struct screen *s, unsigned row, unsigned col)
{
	struct cell c;

	screen_cell(s, row, col, &c);
	return c.width != 0 && is_blank(&c) && (c.attr & (CELL_UNDERLINE | CELL_STRIKE)) == 0;
}

static void put_row(const struct screen *s, unsigned row)
{
	struct colour fg, bg;
	struct cell c;
	unsigned n, from, end;

	for (unsigned col = 0; col < screen_cols(s); col += n) {
		n = run_length(s, row, col);
		screen_cell(s, row, col, &c);
		look(&c, &fg, &bg);
		put_paper(row, col, n, bg);
		from = col;
		end = col + n;
		while (from < end && blank_at(s, row, from))
			from++;
		while (end > from && blank_at(s, row, end - 1))
			end--;
		if (end > from)
			put_run(s, row, from, end - from);
	}
}

static void put_cursor(const struct screen *s)
{
	struct cursor at = screen_cursor(s);

	if (at.visible)
		printf("<rect x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\" fill=\"#e4e4e4\" "
		       "fill-opacity=\"0.5\"/>\n",
		    px(MARGIN + at.col * CELL_W).text, px(MARGIN + at.row * CELL_H).text,
		    px(CELL_W).text, px(CELL_H).text);
}

static void put_head(const struct scan *s, const struct channel *c, const struct screen *screen,
    uint64_t at_us)
{
	char start[32], at[24], user[64], login[64], host[128];
	struct tenths w, h;

	w = px(2 * MARGIN + screen_cols(screen) * CELL_W);
	h = px(2 * MARGIN + screen_rows(screen) * CELL_H);
	printf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" "
	       "width=\"%s\" height=\"%s\" viewBox=\"0 0 %s %s\" font-size=\"14\" "
	       "font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\">\n<title>",
	    w.text, h.text, w.text, h.text);
	put_string(meta_text(s->meta, "user", user, sizeof(user)));
	fputs(": ", stdout);
	put_string(meta_text(s->meta, "login", login, sizeof(login)));
	putchar('@');
	put_string(meta_text(s->meta, "host", host, sizeof(host)));
	printf(", channel %llu at %s, %s UTC</title>\n", (unsigned long long)c->number,
	    text_span(at, sizeof(at), at_us),
	    text_time(start, sizeof(start), s->info.wall_us + (int64_t)(c->open_us + at_us)));
	printf("<rect width=\"%s\" height=\"%s\" rx=\"6\" fill=\"#%02x%02x%02x\"/>\n", w.text,
	    h.text, paper.r, paper.g, paper.b);
}

/* ---- the moment ---- */

static void feed(struct screen *screen, const struct tape *t, bool pty, uint64_t at_us)
{
	for (size_t i = 0; i < t->n && t->v[i].t_us <= at_us; i++) {
		const char *d = t->data + t->v[i].off;
		const uint8_t *size = (const uint8_t *)d;

		if (t->v[i].kind == 'o' || (t->v[i].kind == 'n' && !pty))
			screen_feed(screen, d, t->v[i].len);
		else if (t->v[i].kind == 'r')
			screen_resize(screen, (unsigned)(size[0] << 8 | size[1]),
			    (unsigned)(size[2] << 8 | size[3]));
	}
}

int svg_export(const struct args *a, const struct scan *s, const struct channel *c, const char *dir,
    const struct age_identities *ids)
{
	struct tape t;
	struct screen *screen;
	uint64_t at;

	if (tape_load(&t, c, dir, ids, false) != 0) {
		fprintf(stderr, "bastion-replay: %s\n", t.note);
		return -1;
	}
	at = a->at_given && a->at_us < t.end_us ? a->at_us : t.end_us;
	screen = screen_create(c->cols > 0 ? c->cols : 80, c->rows > 0 ? c->rows : 24, NULL, NULL);
	if (screen == NULL) {
		perror("bastion-replay");
		tape_finish(&t);
		return -1;
	}
	feed(screen, &t, c->pty, at);
	put_head(s, c, screen, at);
	for (unsigned row = 0; row < screen_rows(screen); row++)
		put_row(screen, row);
	put_cursor(screen);
	fputs("</svg>\n", stdout);
	screen_destroy(screen);
	tape_finish(&t);
	/* of a channel too long for a tape it is no picture of the end */
	if (!t.cut || at < t.end_us)
		return 0;
	fprintf(stderr, "bastion-replay: %s\n", t.note);
	return -1;
}
