/*
 * screen_grammar.h - does output keep to the grammar of screen_view.h? Written anew from the text there, on purpose.
 */
#ifndef TEST_SCREEN_GRAMMAR_H
#define TEST_SCREEN_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes of the printable code point at p, 0 if there is none. */
static size_t grammar_printable(const uint8_t *p, size_t len)
{
	uint32_t cp;
	size_t n;

	if (p[0] >= 0x20 && p[0] < 0x7f)
		return 1;
	n = p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
	if (n == 0 || n > len)
		return 0;
	cp = p[0] & (0xffU >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (p[i] & 0x3f);
	}
	if (cp < (n == 2 ? 0xa0U : n == 3 ? 0x800U : 0x10000U) || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
		return 0;
	/* order marks and line breaks of Unicode have no place either */
	if ((cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0x2028 || cp == 0x2029 ||
	    cp == 0x200e || cp == 0x200f)
		return 0;
	return n;
}

/* Bytes of the allowed control sequence at p, 0 if there is none. */
static size_t grammar_sequence(const uint8_t *p, size_t len)
{
	static const char *const fixed[] = {
		"\033[2J", "\033[?25l", "\033[?25h", "\033[?7l", "\033[?7h", "\033[?1049h", "\033[?1049l",
	};
	size_t n = 2, semicolons = 0, digits = 0;

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (len >= strlen(fixed[i]) && memcmp(p, fixed[i], strlen(fixed[i])) == 0)
			return strlen(fixed[i]);
	if (len < 3 || p[0] != 0x1b || p[1] != '[')
		return 0;
	for (; n < len && ((p[n] >= '0' && p[n] <= '9') || p[n] == ';'); n++) {
		semicolons += p[n] == ';';
		digits = p[n] == ';' ? 0 : digits + 1;
		if (digits > 3)
			return 0;
	}
	if (n == len)
		return 0;
	return (p[n] == 'H' && semicolons == 1) || (p[n] == 'm' && semicolons <= 20) ? n + 1 : 0;
}

/* Offset of the first byte that the grammar does not allow; len if all is well. */
static size_t grammar_check(const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t i = 0, n;

	while (i < len) {
		n = p[i] == 0x1b ? grammar_sequence(p + i, len - i) : grammar_printable(p + i, len - i);
		if (n == 0)
			return i;
		i += n;
	}
	return len;
}

#endif
