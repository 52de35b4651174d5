/*
 * scp_track.c - reads the old scp protocol along: names, sizes and SHA-256 of the files it carries.
 *
 * Role: session, see relay_bulk.h. The sending side writes lines and file contents:
 *   T<mtime> 0 <atime> 0\n   C<mode> <size> <name>\n <size bytes> \0   D<mode> 0 <name>\n … E\n
 * and \1 with a message and \n, in place of that \0 when the file shrank or could not be read to its end: the bytes are padded then; or in
 * place of a line, of what could not be opened.
 *
 * The other side answers with \0, or \1 or \2 and a message: once before all, and to each T, C, D, E and end of a file. What is refused
 * has no content, no directory is entered, and the next line follows at once. Not all senders wait for each answer, so what a line asks for is
 * taken as granted until it is refused; when more was sent behind it by then, nobody can tell how it was read, and that is said.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "relay_bulk.h"

#define LINE_LEN_MAX 2048	/* as scp has it at each end: it cuts what is longer in two */
#define PATH_LEN_MAX 8192

enum asked { ASKED_OTHER, ASKED_FILE, ASKED_DIR, ASKED_STORED };

struct scp_track {
	bool upload, lost;
	enum { SCP_LINE, SCP_DATA, SCP_STATUS } state;
	enum asked asked;		/* by the newest that wants an answer */
	uint64_t owed, ahead;		/* so many answers are to come; or came before they were asked for */
	bool more;			/* the sender went on behind it */
	bool refusing, of_status;	/* an answer's message comes; the sender's, in place of a file's end */
	size_t outer;			/* length of dir without the one that it entered last */
	char line[LINE_LEN_MAX], why[LINE_LEN_MAX];
	size_t line_len, why_len;
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
	t->owed = 1;
	t->report = report;
	t->ctx = ctx;
	return t;
}

static json_t *path_of(const struct scp_track *t)
{
	char path[PATH_LEN_MAX + LINE_LEN_MAX];

	snprintf(path, sizeof(path), "%s%s", t->dir, t->name);
	return bulk_text(path, strlen(path));
}

static void file_done(struct scp_track *t, bool whole)
{
	char hex[65];

	bulk_hex(t->sha, hex, sizeof(hex));
	bulk_say(t->report, t->ctx, json_pack("{s:s, s:o, s:I, s:I, s:s, s:b}", "op", t->upload ? "put" : "get", "path", path_of(t),
	    "size", (json_int_t)t->size, "bytes", (json_int_t)(t->size - t->left), "sha256", hex, "whole", whole));
	EVP_MD_CTX_free(t->sha);
	t->sha = NULL;
}

static void lose(struct scp_track *t, const char *why)
{
	if (t->sha != NULL)
		file_done(t, false);
	if (!t->lost)
		bulk_say(t->report, t->ctx, json_pack("{s:s, s:s}", "op", "untracked", "why", why));
	t->lost = true;
}

/* --- answers --- */

static void ask(struct scp_track *t, enum asked what)
{
	t->asked = what;
	t->more = false;
	if (t->ahead > 0)
		t->ahead--;
	else
		t->owed++;
}

static void say_failed(struct scp_track *t)
{
	bulk_say(t->report, t->ctx, json_pack("{s:s, s:o, s:o}", "op", t->upload ? "put-failed" : "get-failed", "path", path_of(t),
	    "why", bulk_text(t->why, t->why_len)));
}

static void refused(struct scp_track *t)
{
	static const char why[] = "scp: something was refused, and more had been sent by then";

	if (t->owed > 1) {
		lose(t, why);
		return;
	}
	t->owed = 0;
	if (t->asked == ASKED_DIR)
		t->name[0] = '\0';
	if (t->asked == ASKED_FILE || t->asked == ASKED_DIR || t->asked == ASKED_STORED)
		say_failed(t);
	if (t->asked == ASKED_DIR)
		t->dir[t->outer] = '\0';
	if (t->asked == ASKED_FILE) {
		EVP_MD_CTX_free(t->sha);
		t->sha = NULL;
		t->state = SCP_LINE;
	}
	if (t->more)
		lose(t, why);
}

static void accepted(struct scp_track *t)
{
	if (t->owed > 0)
		t->owed--;
	else
		t->ahead++;
}

/* From the side that gets the files. */
static size_t feed_answer(struct scp_track *t, const uint8_t *data, size_t len)
{
	const uint8_t *nl = memchr(data, '\n', len);
	size_t n = nl != NULL ? (size_t)(nl - data) : len;

	if (!t->refusing) {
		if (data[0] == '\0')
			accepted(t);
		else if (data[0] > 2 || t->owed == 0)
			lose(t, "scp: an answer that is none");
		else
			t->refusing = true;
		t->why_len = 0;
		return 1;
	}
	if (t->why_len + n >= sizeof(t->why) - 1) {
		lose(t, "scp: a message too long");
		return len;
	}
	memcpy(t->why + t->why_len, data, n);
	t->why_len += n;
	if (nl == NULL)
		return n;
	t->refusing = false;
	refused(t);
	return n + 1;
}

/* --- the sender --- */

/* "<mode> <size> <name>" */
static bool parse_entry(const char *text, uint64_t *size, const char **name)
{
	char *end;

	text += strspn(text, "01234567");
	if (*text++ != ' ')
		return false;
	*size = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != ' ' || end[1] == '\0')
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

static bool take_file(struct scp_track *t)
{
	const char *name;
	uint64_t size;

	if (!parse_entry(t->line + 1, &size, &name) || (t->sha = bulk_sha()) == NULL)
		return false;
	strcpy(t->name, name);
	t->size = t->left = size;
	t->state = size > 0 ? SCP_DATA : SCP_STATUS;
	ask(t, ASKED_FILE);
	return true;
}

static bool take_dir(struct scp_track *t)
{
	const size_t n = strlen(t->dir);
	const char *name;
	uint64_t size;

	if (!parse_entry(t->line + 1, &size, &name) || n + strlen(name) + 2 > sizeof(t->dir))
		return false;
	strcpy(t->dir + n, name);
	strcat(t->dir, "/");
	t->outer = n;
	ask(t, ASKED_DIR);
	return true;
}

static void take_line(struct scp_track *t)
{
	bool good = true;

	t->line[t->line_len] = '\0';
	switch (t->line[0]) {
	case '\1': case '\2':
		if (t->of_status)
			ask(t, ASKED_STORED);
		t->of_status = false;
		break;
	case 'T':
		ask(t, ASKED_OTHER);
		break;
	case 'E':
		leave_dir(t);
		ask(t, ASKED_OTHER);
		break;
	case 'C':
		good = take_file(t);
		break;
	case 'D':
		good = take_dir(t);
		break;
	default:
		good = false;
	}
	if (!good)
		lose(t, "scp: a line that is none");
	t->line_len = 0;
}

static size_t feed_line(struct scp_track *t, const uint8_t *data, size_t len)
{
	const uint8_t *nl = memchr(data, '\n', len);
	size_t n = nl != NULL ? (size_t)(nl - data) : len;

	if (t->line_len + n >= sizeof(t->line) - 1) {
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

static void feed_status(struct scp_track *t, uint8_t byte)
{
	file_done(t, byte == '\0');
	t->state = SCP_LINE;
	if (byte == '\0') {
		ask(t, ASKED_STORED);
	} else if (byte == '\1') {
		t->line[t->line_len++] = (char)byte; /* of a message */
		t->of_status = true;
	} else {
		lose(t, "scp: a file's end that is none");
	}
}

static size_t feed_sender(struct scp_track *t, const uint8_t *data, size_t len)
{
	t->more = true;
	switch (t->state) {
	case SCP_LINE:
		return feed_line(t, data, len);
	case SCP_DATA:
		return feed_data(t, data, len);
	default:
		feed_status(t, data[0]);
		return 1;
	}
}

void scp_track_feed(struct scp_track *t, bool input, const uint8_t *data, size_t len)
{
	while (len > 0 && !t->lost) {
		const size_t n = input == t->upload ? feed_sender(t, data, len) : feed_answer(t, data, len);

		data += n;
		len -= n;
	}
}

void scp_track_end(struct scp_track *t)
{
	if (t->sha != NULL)
		file_done(t, false);
	if (t->owed > 1 || (t->owed == 1 && t->more))
		lose(t, "scp: it ended before an answer, and more had been sent by then");
}

void scp_track_destroy(struct scp_track *t)
{
	if (t == NULL)
		return;
	EVP_MD_CTX_free(t->sha);
	free(t);
}
