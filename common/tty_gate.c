/*
 * tty_gate.c - see tty_gate.h. Before it: a viewer's terminal. After it: a person's.
 */
#include "tty_gate.h"

#include <string.h>

#include "escape.h"

enum verdict { WRONG, MORE, WHOLE };

static bool is_one(const uint8_t *p, size_t n, const char *text)
{
	return n == strlen(text) && memcmp(p, text, n) == 0;
}

static bool begins(const uint8_t *p, size_t n, const char *text)
{
	return n < strlen(text) && memcmp(p, text, n) == 0;
}

static const char *const fixed[] = {
	"\033[2J", "\033[?7h", "\033[?7l", "\033[?25h", "\033[?25l", "\033[?1049h", "\033[?1049l",
};

/* CSI, numbers of at most three digits with ';' between, then H after two of them, or m. */
static enum verdict numbers(const uint8_t *p, size_t n)
{
	unsigned digits = 0, semicolons = 0;

	for (size_t i = 2; i < n; i++) {
		if (p[i] >= '0' && p[i] <= '9') {
			if (++digits > 3)
				return WRONG;
		} else if (p[i] == ';') {
			digits = 0;
			if (++semicolons > GATE_SEMICOLONS)
				return WRONG;
		} else {
			return i + 1 == n && (p[i] == 'm' || (p[i] == 'H' && semicolons == 1)) ? WHOLE : WRONG;
		}
	}
	return MORE;
}

static enum verdict sequence(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		if (is_one(p, n, fixed[i]))
			return WHOLE;
		/* "CSI 2" may also become "CSI 2;1H": numbers() has a word in it */
		if (begins(p, n, fixed[i]))
			return MORE;
	}
	return n > 2 && p[1] == '[' ? numbers(p, n) : WRONG;
}

/* A character of several bytes: by its first byte so many; escape.c says the rest. */
static enum verdict character(const uint8_t *p, size_t n)
{
	size_t want = p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
	char out[4 * 4 + 8];

	if (want == 0)
		return WRONG;
	if (n < want)
		return (p[n - 1] & 0xc0) == 0x80 || n == 1 ? MORE : WRONG;
	return esc_line(out, sizeof(out), p, n) == n && memcmp(out, p, n) == 0 ? WHOLE : WRONG;
}

static enum verdict judge(const uint8_t *p, size_t n)
{
	if (p[0] == 0x1b)
		return sequence(p, n);
	if (p[0] >= 0x80)
		return character(p, n);
	return p[0] == '\r' || p[0] == '\n' || (p[0] >= 0x20 && p[0] != 0x7f) ? WHOLE : WRONG;
}

bool tty_gate_pass(struct tty_gate *g, const void *data, size_t len, struct buf *out)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len && !g->shut; i++) {
		enum verdict v;

		g->held[g->nheld++] = p[i];
		v = judge(g->held, g->nheld);
		if (v == WRONG || (v == MORE && g->nheld == sizeof(g->held)))
			g->shut = true;
		if (v != WHOLE)
			continue;
		buf_put(out, g->held, g->nheld);
		if (is_one(g->held, g->nheld, "\033[?1049h"))
			g->entered = true;
		else if (is_one(g->held, g->nheld, "\033[?1049l"))
			g->entered = false;
		g->nheld = 0;
	}
	return !g->shut;
}
