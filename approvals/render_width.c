/*
 * render_width.c - how many terminal columns a text takes. See render.h.
 *
 * Not wcwidth(): it needs a locale, which a session process in its empty root has not. Ranges of
 * Unicode 15, joined where what lies between is unassigned or rare: a miss costs an uneven column,
 * never a byte.
 */
#include <stdbool.h>
#include <stdint.h>

#include "render.h"

struct range { uint32_t first, last; };

/* East Asian Width W and F, and the emoji that terminals draw wide */
static const struct range wide[] = {
	{ 0x1100, 0x115f }, { 0x231a, 0x231b }, { 0x2329, 0x232a }, { 0x23e9, 0x23ec },
	{ 0x25fd, 0x25fe }, { 0x2614, 0x2615 }, { 0x2648, 0x2653 }, { 0x26a1, 0x26a1 },
	{ 0x26bd, 0x26be }, { 0x2705, 0x2705 }, { 0x274c, 0x274c }, { 0x2753, 0x2755 },
	{ 0x2e80, 0x303e }, { 0x3041, 0x33ff }, { 0x3400, 0x4dbf }, { 0x4e00, 0xa4cf },
	{ 0xa960, 0xa97f }, { 0xac00, 0xd7a3 }, { 0xf900, 0xfaff }, { 0xfe10, 0xfe19 },
	{ 0xfe30, 0xfe6f }, { 0xff00, 0xff60 }, { 0xffe0, 0xffe6 }, { 0x16fe0, 0x18cff },
	{ 0x1aff0, 0x1b2ff }, { 0x1f004, 0x1f004 }, { 0x1f0cf, 0x1f0cf }, { 0x1f18e, 0x1f19a },
	{ 0x1f200, 0x1f320 }, { 0x1f32d, 0x1f335 }, { 0x1f337, 0x1f37c }, { 0x1f37e, 0x1f393 },
	{ 0x1f3a0, 0x1f3ca }, { 0x1f3cf, 0x1f3d3 }, { 0x1f3e0, 0x1f3f0 }, { 0x1f3f4, 0x1f43e },
	{ 0x1f440, 0x1f4fc }, { 0x1f4ff, 0x1f53d }, { 0x1f54b, 0x1f567 }, { 0x1f5fb, 0x1f64f },
	{ 0x1f680, 0x1f6c5 }, { 0x1f6cc, 0x1f6df }, { 0x1f6eb, 0x1f6ec }, { 0x1f6f4, 0x1f6fc },
	{ 0x1f7e0, 0x1f7f0 }, { 0x1f90c, 0x1f9ff }, { 0x1fa70, 0x1faff }, { 0x20000, 0x3fffd },
};

/* Mn and Me: drawn over what stands before */
static const struct range combining[] = {
	{ 0x0300, 0x036f }, { 0x0483, 0x0489 }, { 0x0591, 0x05bd }, { 0x05bf, 0x05bf },
	{ 0x05c1, 0x05c2 }, { 0x05c4, 0x05c5 }, { 0x05c7, 0x05c7 }, { 0x0610, 0x061a },
	{ 0x064b, 0x065f }, { 0x0670, 0x0670 }, { 0x06d6, 0x06dc }, { 0x06df, 0x06e4 },
	{ 0x06e7, 0x06e8 }, { 0x06ea, 0x06ed }, { 0x0711, 0x0711 }, { 0x0730, 0x074a },
	{ 0x07a6, 0x07b0 }, { 0x0816, 0x082d }, { 0x0859, 0x085b }, { 0x0898, 0x089f },
	{ 0x08ca, 0x0902 }, { 0x093a, 0x093a }, { 0x093c, 0x093c }, { 0x0941, 0x0948 },
	{ 0x094d, 0x094d }, { 0x0951, 0x0957 }, { 0x0e31, 0x0e31 }, { 0x0e34, 0x0e3a },
	{ 0x0e47, 0x0e4e }, { 0x0eb1, 0x0eb1 }, { 0x0eb4, 0x0ebc }, { 0x0ec8, 0x0ece },
	{ 0x1ab0, 0x1ace }, { 0x1dc0, 0x1dff }, { 0x20d0, 0x20f0 }, { 0x302a, 0x302d },
	{ 0x3099, 0x309a }, { 0xa66f, 0xa672 }, { 0xa8e0, 0xa8f1 }, { 0xfb1e, 0xfb1e },
	{ 0xfe20, 0xfe2f }, { 0x1e8d0, 0x1e8d6 },
};

static bool within(const struct range *r, size_t n, uint32_t cp)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (cp > r[mid].last)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && cp >= r[low].first;
}

/*
 * One character of text that went through esc_text(), so is well-formed; a stray byte counts as
 * one.
 */
static size_t next(const char *text, size_t len, size_t *columns)
{
	uint8_t first = (uint8_t)text[0];
	size_t n = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	uint32_t cp = n == 1 ? first : first & (0xffU >> (n + 1));

	if (n > len)
		n = len;
	for (size_t i = 1; i < n; i++)
		cp = cp << 6 | ((uint8_t)text[i] & 0x3f);
	*columns = within(combining, sizeof(combining) / sizeof(combining[0]), cp) ? 0 :
	    within(wide, sizeof(wide) / sizeof(wide[0]), cp) ? 2 : 1;
	return n;
}

size_t render_width(const char *text, size_t len)
{
	size_t total = 0, columns;

	for (size_t i = 0; i < len;) {
		i += next(text + i, len - i, &columns);
		total += columns;
	}
	return total;
}

size_t render_fit(const char *text, size_t len, size_t columns)
{
	size_t i = 0, used = 0, w;

	while (i < len) {
		size_t n = next(text + i, len - i, &w);

		if (used + w > columns)
			break;
		used += w;
		i += n;
	}
	return i;
}
