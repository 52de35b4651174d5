/*
 * hex.c - see hex.h. Pure; every role.
 */
#include "hex.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";
static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *hex_encode(char *out, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * len] = '\0';
	return out;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int hex_decode(void *out, size_t len, const char *text)
{
	uint8_t *p = out;

	if (strlen(text) != 2 * len)
		return -1;
	for (size_t i = 0; i < len; i++) {
		int hi = hex_digit(text[2 * i]), lo = hex_digit(text[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -1;
		p[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

char *base64_encode(char *out, const void *data, size_t len)
{
	const uint8_t *p = data;
	unsigned bits = 0;
	uint32_t acc = 0;
	char *o = out;

	for (size_t i = 0; i < len; i++) {
		acc = acc << 8 | p[i];
		for (bits += 8; bits >= 6; bits -= 6)
			*o++ = alphabet[acc >> (bits - 6) & 63];
	}
	if (bits > 0)
		*o++ = alphabet[acc << (6 - bits) & 63];
	*o = '\0';
	return out;
}

int base64_decode(void *out, size_t size, const char *text, size_t tlen)
{
	size_t body = tlen, n = 0;
	uint8_t *p = out;
	unsigned bits = 0;
	uint32_t acc = 0;

	while (body > 0 && tlen - body < 2 && text[body - 1] == '=')
		body--;
	if (body % 4 == 1 || (body != tlen && tlen % 4 != 0))
		return -1;
	for (size_t i = 0; i < body; i++) {
		const char *c = text[i] != '\0' ? strchr(alphabet, text[i]) : NULL;

		if (c == NULL)
			return -1;
		acc = acc << 6 | (uint32_t)(c - alphabet);
		bits += 6;
		if (bits >= 8) {
			if (n == size)
				return -1;
			bits -= 8;
			p[n++] = (uint8_t)(acc >> bits);
		}
	}
	/* the bits over say nothing: only zero is canonical */
	return (acc & ((1U << bits) - 1)) == 0 ? (int)n : -1;
}
