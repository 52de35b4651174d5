/*
 * scp_track.c - reads the old scp protocol along: names, sizes and SHA-256 of the files it carries.
 *
 * Role: session, see relay_bulk.h. The sending side writes lines and file contents:
 *   T<mtime> 0 <atime> 0\n   C<mode> <size> <name>\n <size bytes> \0   D<mode> 0 <name>\n … E\n
 * and \1 with a message and \n, in place of that \0 when the file shrank or could not be read to its end: the bytes are padded then.
 * The other side answers with \0, or \1 and \2 with a message; answers are not looked at.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "relay_bulk.h"

#define LINE_LEN_MAX 4352
#define PATH_LEN_MAX 8192

struct scp_track {
	bool upload, lost;
	enum { SCP_LINE, SCP_DATA, SCP_STATUS } state;
	char line[LINE_LEN_MAX];
	size_t line_len;
	char dir[PATH_LEN_MAX];		/* of the files to come, "a/b/" */
	char name[LINE_LEN_MAX];
	uint64_t size, left;
	EVP_MD_CTX *sha;
	bulk_report report;
	void *ctx;
};

struct scp_track *scp_track_create(bool upload, bulk_report report, void *ctx)
{
	struct scp_track *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->upload = upload;
	t->report = report;
	t->ctx = ctx;
	return t;
}

static void file_done(struct scp_track *t, bool whole)
{
	char path[PATH_LEN_MAX + LINE_LEN_MAX], hex[65];

	snprintf(path, sizeof(path), "%s%s", t->dir, t->name);
	bulk_hex(t->sha, hex, sizeof(hex));
	bulk_say(t->report, t->ctx, json_pack("{s:s, s:o, s:I, s:I, s:s, s:b}", "op", t->upload ? "put" : "get", "path",
	    bulk_text(path, strlen(path)), "size", (json_int_t)t->size, "bytes", (json_int_t)(t->size - t->left),
	    "sha256", hex, "whole", whole));
	EVP_MD_CTX_free(t->sha);
	t->sha = NULL;
}

static void lose(struct scp_track *t, const char *why)
{
	if (!t->lost)
		bulk_say(t->report, t->ctx, json_pack("{s:s, s:s}", "op", "untracked", "why", why));
	t->lost = true;
}

/* "<mode> <size> <name>" */
static bool parse_entry(const char *text, uint64_t *size, const char **name)
{
	char *end;

	text += strspn(text, "01234567");
	if (*text++ != ' ')
		return false;
	*size = strtoull(text, &end, 10);
	if (end == text || *end != ' ' || end[1] == '\0')
		return false;
	*name = end + 1;
	return true;
}

static void leave_dir(struct scp_track *t)
{
	size_t n = strlen(t->dir);

	while (n > 1 && t->dir[n - 2] != '/')
		n--;
	t->dir[n > 0 ? n - 1 : 0] = '\0';
}

static void take_line(struct scp_track *t)
{
	const char *name;
	uint64_t size;
	size_t n;

	t->line[t->line_len] = '\0';
	switch (t->line[0]) {
	case 'T': case '\0': case '\1': case '\2':
		break;
	case 'E':
		leave_dir(t);
		break;
	case 'C':
		if (!parse_entry(t->line + 1, &size, &name) || (t->sha = bulk_sha()) == NULL) {
			lose(t, "scp: a line that is none");
			break;
		}
		strcpy(t->name, name);
		t->size = t->left = size;
		t->state = size > 0 ? SCP_DATA : SCP_STATUS;
		break;
	case 'D':
		n = strlen(t->dir);
		if (!parse_entry(t->line + 1, &size, &name) || n + strlen(name) + 2 > sizeof(t->dir)) {
			lose(t, "scp: a line that is none");
			break;
		}
		strcpy(t->dir + n, name);
		strcat(t->dir, "/");
		break;
	default:
		lose(t, "scp: a line that is none");
	}
	t->line_len = 0;
}

static size_t feed_line(struct scp_track *t, const uint8_t *data, size_t len)
{
	const uint8_t *nl = memchr(data, '\n', len);
	size_t n = nl != NULL ? (size_t)(nl - data) : len;

	/* a leading status byte is an answer that crossed */
	if (t->line_len == 0 && data[0] == '\0')
		return 1;
	if (t->line_len + n >= sizeof(t->line)) {
		lose(t, "scp: a line too long");
		return len;
	}
	memcpy(t->line + t->line_len, data, n);
	t->line_len += n;
	if (nl == NULL)
		return n;
	take_line(t);
	return n + 1;
}

static size_t feed_data(struct scp_track *t, const uint8_t *data, size_t len)
{
	size_t n = t->left < len ? (size_t)t->left : len;

	EVP_DigestUpdate(t->sha, data, n);
	if ((t->left -= n) == 0)
		t->state = SCP_STATUS;
	return n;
}

void scp_track_feed(struct scp_track *t, bool input, const uint8_t *data, size_t len)
{
	if (input != t->upload)
		return;
	while (len > 0 && !t->lost) {
		size_t n = 1;

		switch (t->state) {
		case SCP_LINE:
			n = feed_line(t, data, len);
			break;
		case SCP_DATA:
			n = feed_data(t, data, len);
			break;
		case SCP_STATUS:
			file_done(t, data[0] == '\0');
			t->state = SCP_LINE;
			if (data[0] != '\0')
				t->line[t->line_len++] = (char)data[0]; /* of a message */
			break;
		}
		data += n;
		len -= n;
	}
}

void scp_track_end(struct scp_track *t)
{
	if (t->sha != NULL)
		file_done(t, false);
}

void scp_track_destroy(struct scp_track *t)
{
	if (t == NULL)
		return;
	EVP_MD_CTX_free(t->sha);
	free(t);
}
