/*
 * fuzz_s3_answer.c - answers of an object store, credentials files, and the list of what was confirmed: what decodes stays inside
 * its bounds.
 */
#include <stdlib.h>
#include <string.h>

#include "archive_list.h"
#include "s3.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void text(const uint8_t *data, size_t size, const char *name, size_t max)
{
	char *out = malloc(max);
	int n = s3_xml_text(data, size, name, out, max);

	if (n >= 0 && ((size_t)n >= max || strlen(out) != (size_t)n))
		abort();
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct archive_list l = { 0 };
	struct s3_credentials c;
	char mode[16], line[ARCHIVE_LINE_MAX];
	const char *why;
	int64_t until;

	text(data, size, "Code", S3_CODE_MAX + 1);
	text(data, size, "Message", 160);
	text(data, size, "RetainUntilDate", 8);
	if (s3_retention_parse(data, size, mode, &until) == 0 && memchr(mode, '\0', sizeof(mode)) == NULL)
		abort();
	s3_clean(line, sizeof(line), (const char *)data, size);
	for (const char *p = line; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			abort();
	if (s3_credentials_parse(&c, (const char *)data, size, &why) == 0 && (c.access[0] == '\0' || c.secret[0] == '\0'))
		abort();
	/* the line's crc is made right, or hardly any would get further */
	if (size < ARCHIVE_LINE_MAX && archive_line_seal(line, sizeof(line), (const char *)data, size) > 0 &&
	    archive_line_take(&l, line, strlen(line) - 1) == 0 && l.n != 0) {
		struct archive_item i = l.v[0];
		char again[ARCHIVE_LINE_MAX];

		if (archive_line_format(again, &i) < 0 || archive_line_take(&l, again, strlen(again) - 1) != 0 || l.n != 1 ||
		    strcmp(i.name, l.v[0].name) != 0 || strcmp(i.version, l.v[0].version) != 0 || i.size != l.v[0].size || i.held != l.v[0].held ||
		    i.until != l.v[0].until || i.when != l.v[0].when || memcmp(i.hash, l.v[0].hash, HASH_LEN) != 0)
			abort();
	}
	archive_list_free(&l);
	return 0;
}
