/*
 * s3_list.c - see s3_list.h. Pure.
 */
#include "s3_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"

#define SIZE_DIGITS 20

/* The next element <NAME>…</NAME> in p[len]: its inside, and what follows it. NULL: none that is whole. */
static const char *element(const char *p, size_t len, const char *name, size_t *inside, const char **after)
{
	char opening[32], closing[32];
	const char *from, *to;

	snprintf(opening, sizeof(opening), "<%s>", name);
	snprintf(closing, sizeof(closing), "</%s>", name);
	if ((from = memmem(p, len, opening, strlen(opening))) == NULL)
		return NULL;
	from += strlen(opening);
	if ((to = memmem(from, len - (size_t)(from - p), closing, strlen(closing))) == NULL)
		return NULL;
	*inside = (size_t)(to - from);
	*after = to + strlen(closing);
	return from;
}

static int parse_size(const char *text, uint64_t *out)
{
	char *end;

	if (text[0] < '0' || text[0] > '9' || strlen(text) >= SIZE_DIGITS)
		return -1;
	*out = strtoull(text, &end, 10);
	return *end == '\0' ? 0 : -1;
}

/* An id is printed, and stands between blanks in files. */
static bool plain(const char *id)
{
	for (const char *p = id; *p != '\0'; p++)
		if (*p < 0x21 || *p > 0x7e)
			return false;
	return id[0] != '\0';
}

/* "0123…": one of another form is none, nor is that of an object that was put in parts. */
static void parse_tag(struct s3_version *v, const char *p, size_t len)
{
	char tag[2 * S3_TAG_LEN + 3];

	if (s3_xml_text(p, len, "ETag", tag, sizeof(tag)) != (int)sizeof(tag) - 1 || tag[0] != '"' || tag[sizeof(tag) - 2] != '"')
		return;
	tag[sizeof(tag) - 2] = '\0';
	v->tagged = hex_decode(v->tag, S3_TAG_LEN, tag + 1) == 0;
}

static int parse_version(struct s3_version *v, const char *p, size_t len, bool marker)
{
	char size[SIZE_DIGITS + 1] = "", when[40];

	*v = (struct s3_version){ .marker = marker };
	if (s3_xml_text(p, len, "Key", v->key, sizeof(v->key)) < 0)
		v->key[0] = '\0';
	if (s3_xml_text(p, len, "VersionId", v->version, sizeof(v->version)) < 0 || !plain(v->version) ||
	    s3_xml_text(p, len, "LastModified", when, sizeof(when)) < 0 || s3_date_parse(when, &v->when) != 0)
		return -1;
	parse_tag(v, p, len);
	return marker || (s3_xml_text(p, len, "Size", size, sizeof(size)) > 0 && parse_size(size, &v->size) == 0) ? 0 : -1;
}

/* The next version or marker of a page; each kind is looked for once. */
struct cursor {
	const char *at, *after;		/* NULL at: none follows */
	size_t len;
};

static void advance(struct cursor *c, const char *p, const char *end, const char *name)
{
	if (c->at == NULL || c->at >= p)
		return;
	c->at = element(p, (size_t)(end - p), name, &c->len, &c->after);
}

int s3_page_parse(struct s3_page *page, const void *xml, size_t len, s3_version_fn *fn, void *ctx)
{
	const char *p = xml, *const end = p + len;
	struct cursor version, marker;
	struct s3_version v;
	char more[8];

	*page = (struct s3_page){ 0 };
	if (len == 0 || memmem(p, len, "<ListVersionsResult", 19) == NULL || s3_xml_text(p, len, "IsTruncated", more, sizeof(more)) < 0)
		return -1;
	page->more = strcmp(more, "true") == 0;
	if (page->more && (s3_xml_text(p, len, "NextKeyMarker", page->key, sizeof(page->key)) <= 0 ||
	    s3_xml_text(p, len, "NextVersionIdMarker", page->version, sizeof(page->version)) < 0))
		return -1;
	version.at = element(p, len, "Version", &version.len, &version.after);
	marker.at = element(p, len, "DeleteMarker", &marker.len, &marker.after);
	while (version.at != NULL || marker.at != NULL) {
		const bool is_marker = version.at == NULL || (marker.at != NULL && marker.at < version.at);
		const struct cursor c = is_marker ? marker : version;

		if (parse_version(&v, c.at, c.len, is_marker) != 0 || fn(ctx, &v) != 0)
			return -1;
		p = c.after;
		advance(&version, p, end, "Version");
		advance(&marker, p, end, "DeleteMarker");
	}
	return 0;
}

int s3_query_add(char *query, size_t size, const char *name, const char *value)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	size_t n = strlen(query);
	int put = snprintf(query + n, size - n, "%s%s=", n != 0 ? "&" : "", name);

	if (put < 0 || (n += (size_t)put) >= size)
		return -1;
	for (; *value != '\0'; value++) {
		if (n + 4 > size)
			return -1;
		if (strchr(plain, *value) != NULL)
			query[n++] = *value;
		else
			n += (size_t)snprintf(query + n, 4, "%%%02X", (unsigned char)*value);
		query[n] = '\0';
	}
	return 0;
}
