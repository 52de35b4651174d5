/*
 * escape.c - see escape.h. Runs in every role and in the auditor's tools.
 */
#include "escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum mode { TEXT, QUOTED, LINE };

/* One code point of well-formed UTF-8 (RFC 3629: shortest form, no surrogates); returns its bytes, 0 if broken. */
static size_t utf8_decode(const uint8_t *p, size_t len, uint32_t *cp)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : (p[0] & 0xe0) == 0xc0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 :
	    (p[0] & 0xf8) == 0xf0 ? 4 : 0;

	if (n == 0 || n > len)
		return 0;
	*cp = n == 1 ? p[0] : p[0] & (0xffU >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | (p[i] & 0x3f);
	}
	if (*cp < least[n] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp <= 0xdfff))
		return 0;
	return n;
}

/* Code points that change how others are shown, or cannot be seen: controls, bidi, zero width, tags, private use. */
static bool is_hidden(uint32_t cp)
{
	static const struct { uint32_t first, last; } ranges[] = {
		{ 0x00, 0x1f }, { 0x7f, 0x9f }, { 0xad, 0xad }, { 0x61c, 0x61c }, { 0x115f, 0x1160 },
		{ 0x180e, 0x180e }, { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0x3164, 0x3164 },
		{ 0xe000, 0xf8ff }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 }, { 0xfff0, 0xfffb },
		{ 0xfffe, 0xffff }, { 0xe0000, 0x10ffff },
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (cp >= ranges[i].first && cp <= ranges[i].last)
			return true;
	return false;
}

/* The escape for the bytes at p into tmp[16]; returns how many input bytes it stands for. */
static size_t esc_one(char tmp[16], const uint8_t *p, size_t len, enum mode mode)
{
	uint32_t cp = 0;
	size_t n = utf8_decode(p, len, &cp);

	if (n == 0) {
		snprintf(tmp, 16, "\\x%02x", p[0]);
		return 1;
	}
	if ((cp == '\\' && mode != LINE) || (cp == '"' && mode == QUOTED))
		snprintf(tmp, 16, "\\%c", (char)cp);
	else if (cp == '\n' || cp == '\t' || cp == '\r')
		snprintf(tmp, 16, "\\%c", cp == '\n' ? 'n' : cp == '\t' ? 't' : 'r');
	else if (cp < 0x20 || cp == 0x7f)
		snprintf(tmp, 16, "\\x%02x", (unsigned)cp);
	else if (is_hidden(cp))
		snprintf(tmp, 16, "\\u{%x}", (unsigned)cp);
	else
		snprintf(tmp, 16, "%.*s", (int)n, (const char *)p);
	return n;
}

static size_t esc(char *out, size_t size, const uint8_t *in, size_t len, enum mode mode)
{
	const bool quoted = mode == QUOTED;
	const size_t tail = 4 + quoted; /* "..." and the closing quote stay possible */
	size_t o = 0, safe = 0;
	char tmp[16];

	if (size < tail + 2) {
		out[0] = '\0';
		return 0;
	}
	if (quoted)
		out[o++] = '"';
	for (size_t i = 0; i < len;) {
		size_t n = esc_one(tmp, in + i, len - i, mode), w = strlen(tmp);

		if (o + w + quoted >= size) {
			memcpy(out + safe, "...", 3);
			o = safe + 3;
			break;
		}
		if (o + tail <= size)
			safe = o;
		memcpy(out + o, tmp, w);
		o += w;
		i += n;
		if (o + tail <= size)
			safe = o;
	}
	if (quoted)
		out[o++] = '"';
	out[o] = '\0';
	return o;
}

size_t esc_text(char *out, size_t size, const void *in, size_t len)
{
	return esc(out, size, in, len, TEXT);
}

size_t esc_quoted(char *out, size_t size, const void *in, size_t len)
{
	return esc(out, size, in, len, QUOTED);
}

size_t esc_line(char *out, size_t size, const void *in, size_t len)
{
	return esc(out, size, in, len, LINE);
}
