/*
 * s3_answer.c - see s3_answer.h. Pure.
 */
#include "s3_answer.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"

/* The character that an entity stands for, and its length; '\0': it is none. */
static char entity(const char *p, size_t len, size_t *used)
{
	static const struct { const char *text; char c; } known[] = { { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' },
		{ "&quot;", '"' }, { "&apos;", '\'' } };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		*used = strlen(known[i].text);
		if (len >= *used && memcmp(p, known[i].text, *used) == 0)
			return known[i].c;
	}
	return '\0';
}

/* Copies up to the next '<', which must begin the closing tag. */
static int take_text(const char *p, size_t len, const char *closing, char *out, size_t size)
{
	size_t n = 0, i = 0;

	while (i < len && p[i] != '<') {
		size_t used = 1;
		char c = p[i] == '&' ? entity(p + i, len - i, &used) : p[i];

		if ((unsigned char)c < ' ' || n + 1 >= size)
			return -1;
		out[n++] = c;
		i += used;
	}
	if (len - i < strlen(closing) || memcmp(p + i, closing, strlen(closing)) != 0)
		return -1;
	out[n] = '\0';
	return (int)n;
}

int s3_xml_text(const void *xml, size_t len, const char *name, char *out, size_t size)
{
	char opening[64], closing[64];
	const char *p = xml, *at;

	if (len == 0 || size == 0 || snprintf(opening, sizeof(opening), "<%s>", name) >= (int)sizeof(opening) ||
	    snprintf(closing, sizeof(closing), "</%s>", name) >= (int)sizeof(closing))
		return -1;
	if ((at = memmem(p, len, opening, strlen(opening))) == NULL)
		return -1;
	at += strlen(opening);
	return take_text(at, len - (size_t)(at - p), closing, out, size);
}

int s3_date_parse(const char *text, int64_t *unix_us)
{
	char plain[24];
	int64_t seconds, fraction = 0;
	const char *dot = strchr(text, '.');
	size_t whole = dot != NULL ? (size_t)(dot - text) : strlen(text);

	/* the fraction, which some stores write, is digits up to the Z */
	if (dot != NULL && (dot[1] == 'Z' || strcmp(dot + 1 + strspn(dot + 1, "0123456789"), "Z") != 0))
		return -1;
	if (whole + 2 > sizeof(plain) || strchr(text, 'T') == NULL)
		return -1;
	memcpy(plain, text, whole);
	memcpy(plain + whole, dot != NULL ? "Z" : "", dot != NULL ? 2 : 1);
	if (clock_parse(plain, &seconds) != 0)
		return -1;
	for (int64_t unit = 100000; dot != NULL && unit > 0 && *++dot != 'Z'; unit /= 10)
		fraction += (*dot - '0') * unit;
	*unix_us = seconds * 1000000 + fraction;
	return 0;
}

int s3_retention_parse(const void *xml, size_t len, char mode[16], int64_t *until)
{
	char date[40];
	int64_t us;

	if (s3_xml_text(xml, len, "Mode", mode, 16) < 0 || s3_xml_text(xml, len, "RetainUntilDate", date, sizeof(date)) < 0 || s3_date_parse(date, &us) != 0)
		return -1;
	*until = us / 1000000;
	return 0;
}

void s3_clean(char *out, size_t size, const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++)
		out[n++] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?';
	out[n] = '\0';
}
