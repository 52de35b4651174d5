/*
 * archive_list.c - see archive_list.h. Comes after the confirmation of a put; before the removal of what is confirmed.
 */
#include "archive_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive_plan.h"
#include "crc32c.h"
#include "hex.h"

/* Index of the first item that is not before `name`. */
static size_t place(const struct archive_list *l, const char *name)
{
	size_t low = 0, high = l->n;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (strcmp(l->v[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct archive_item *archive_list_find(const struct archive_list *l, const char *name)
{
	const size_t at = place(l, name);

	return at < l->n && strcmp(l->v[at].name, name) == 0 ? &l->v[at] : NULL;
}

static int insert(struct archive_list *l, const struct archive_item *i)
{
	const size_t at = place(l, i->name);

	if (at < l->n && strcmp(l->v[at].name, i->name) == 0) {
		l->v[at] = *i;
		return 0;
	}
	if (l->n == l->cap) {
		const size_t cap = l->cap == 0 ? 16 : 2 * l->cap;
		struct archive_item *v = reallocarray(l->v, cap, sizeof(*v));

		if (v == NULL)
			return -1;
		l->v = v;
		l->cap = cap;
	}
	memmove(&l->v[at + 1], &l->v[at], (l->n - at) * sizeof(*l->v));
	l->v[at] = *i;
	l->n++;
	return 0;
}

/* ---- lines ---- */

int archive_line_seal(char *out, size_t size, const char *text, size_t len)
{
	if (len + 11 > size)
		return -1;
	memcpy(out, text, len);
	return (int)len + snprintf(out + len, size - len, " %08" PRIx32 "\n", crc32c(0, text, len));
}

static int with_crc(char out[ARCHIVE_LINE_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int with_crc(char out[ARCHIVE_LINE_MAX], const char *fmt, ...)
{
	char text[ARCHIVE_LINE_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return n < 0 ? -1 : archive_line_seal(out, ARCHIVE_LINE_MAX, text, (size_t)n);
}

int archive_line_format(char out[ARCHIVE_LINE_MAX], const struct archive_item *i)
{
	char hex[2 * HASH_LEN + 1];

	return with_crc(out, "%s %s %" PRIu64 " %s %" PRId64 " %" PRId64 " %s", i->held ? "held" : "put", i->name, i->size, hex_encode(hex, i->hash, HASH_LEN),
	    i->until, i->when, i->version[0] != '\0' ? i->version : "-");
}

/* A decimal number without sign, below 2^63. */
static int number(const char *text, uint64_t *out)
{
	char *end;

	if (text[0] < '0' || text[0] > '9' || strlen(text) > 19)
		return -1;
	*out = strtoull(text, &end, 10);
	return *end == '\0' && *out <= INT64_MAX ? 0 : -1;
}

static int take_put(struct archive_list *l, char **word)
{
	struct archive_item i = { .held = strcmp(word[0], "held") == 0 };
	uint64_t until, when;

	if (strlen(word[1]) > ARCHIVE_NAME_MAX || strlen(word[6]) > S3_VERSION_MAX || number(word[2], &i.size) != 0 ||
	    hex_decode(i.hash, HASH_LEN, word[3]) != 0 || number(word[4], &until) != 0 || number(word[5], &when) != 0)
		return -1;
	memcpy(i.name, word[1], strlen(word[1]) + 1);
	if (strcmp(word[6], "-") != 0)
		memcpy(i.version, word[6], strlen(word[6]) + 1);
	i.until = (int64_t)until;
	i.when = (int64_t)when;
	return insert(l, &i);
}

static int take_closed(struct archive_list *l, char **word)
{
	uint64_t segment, until, when;

	if (number(word[1], &segment) != 0 || segment > UINT32_MAX || number(word[2], &until) != 0 || number(word[3], &when) != 0)
		return -1;
	l->closed = true;
	l->close_segment = (uint32_t)segment;
	l->close_until = (int64_t)until;
	l->close_when = (int64_t)when;
	return 0;
}

int archive_line_take(struct archive_list *l, const char *line, size_t len)
{
	char text[ARCHIVE_LINE_MAX], *word[8], *save, *crc;
	char expected[16];
	size_t n = 0;

	if (len >= sizeof(text) || memchr(line, '\0', len) != NULL)
		return -1;
	memcpy(text, line, len);
	text[len] = '\0';
	if ((crc = strrchr(text, ' ')) == NULL)
		return -1;
	*crc++ = '\0';
	snprintf(expected, sizeof(expected), "%08" PRIx32, crc32c(0, text, strlen(text)));
	if (strcmp(crc, expected) != 0)
		return -1;
	for (char *w = strtok_r(text, " ", &save); w != NULL && n < 8; w = strtok_r(NULL, " ", &save))
		word[n++] = w;
	if (n == 7 && (strcmp(word[0], "put") == 0 || strcmp(word[0], "held") == 0))
		return take_put(l, word);
	return n == 4 && strcmp(word[0], "closed") == 0 ? take_closed(l, word) : -1;
}

/* ---- the file ---- */

static char *slurp(int fd, size_t *len)
{
	struct stat st;
	char *text;
	ssize_t n;

	*len = 0;
	if (fstat(fd, &st) != 0)
		return NULL;
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)ARCHIVE_FILE_MAX) {
		errno = EFBIG;
		return NULL;
	}
	if ((text = malloc((size_t)st.st_size + 1)) == NULL)
		return NULL;
	while (*len < (size_t)st.st_size && (n = read(fd, text + *len, (size_t)st.st_size - *len)) != 0) {
		if (n > 0) {
			*len += (size_t)n;
		} else if (errno != EINTR) {
			free(text);
			return NULL;
		}
	}
	return text;
}

int archive_list_load(struct archive_list *l, int dir)
{
	int fd = openat(dir, ARCHIVE_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), e;
	const char *end;
	char *text;
	size_t len;

	*l = (struct archive_list){ 0 };
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	text = slurp(fd, &len);
	e = errno;
	close(fd);
	errno = e;
	if (text == NULL)
		return -1;
	for (size_t at = 0; (end = memchr(text + at, '\n', len - at)) != NULL; at = (size_t)l->end) {
		if (archive_line_take(l, text + at, (size_t)(end - text) - at) != 0)
			break;
		l->end = (off_t)(end - text) + 1;
	}
	free(text);
	return 0;
}

void archive_list_free(struct archive_list *l)
{
	free(l->v);
	*l = (struct archive_list){ 0 };
}

static int append(struct archive_list *l, int dir, const char *line, int len)
{
	int fd = openat(dir, ARCHIVE_FILE, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640), e;
	ssize_t n;

	if (fd < 0)
		return -1;
	/* what a crash left behind the last whole line must not follow this one; and one that fails here is not in the file either */
	n = ftruncate(fd, l->end) == 0 ? pwrite(fd, line, (size_t)len, l->end) : -1;
	e = n >= 0 && n != len ? ENOSPC : errno;
	close(fd);
	if (n != len) {
		errno = e;
		return -1;
	}
	l->end += len;
	return 0;
}

int archive_list_put(struct archive_list *l, int dir, const struct archive_item *i)
{
	char line[ARCHIVE_LINE_MAX];
	int len = archive_line_format(line, i);

	if (len < 0) {
		errno = EINVAL;
		return -1;
	}
	return append(l, dir, line, len) != 0 ? -1 : insert(l, i);
}

int archive_list_close(struct archive_list *l, int dir, uint32_t segment, int64_t until, int64_t when)
{
	char line[ARCHIVE_LINE_MAX];
	int len = with_crc(line, "closed %" PRIu32 " %" PRId64 " %" PRId64, segment, until, when);

	if (append(l, dir, line, len) != 0)
		return -1;
	l->closed = true;
	l->close_segment = segment;
	l->close_until = until;
	l->close_when = when;
	return 0;
}

int archive_list_rewrite(struct archive_list *l, int dir)
{
	int fd = openat(dir, ARCHIVE_FILE ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640), e;
	char line[ARCHIVE_LINE_MAX];
	off_t end = 0;
	bool bad = fd < 0;

	for (size_t i = 0; i < l->n && !bad; i++) {
		const int len = archive_line_format(line, &l->v[i]);

		bad = len < 0 || write(fd, line, (size_t)len) != len;
		end += len;
	}
	bad = bad || fsync(fd) != 0;
	e = errno;
	if (fd >= 0)
		close(fd);
	errno = e;
	if (bad || renameat(dir, ARCHIVE_FILE ".new", dir, ARCHIVE_FILE) != 0)
		return -1;
	l->end = end;
	return fsync(dir);
}

int archive_confirmed(int dir, bool closed, char *why, size_t size)
{
	struct archive_scan s;
	int r;

	if (archive_scan(&s, dir) != 0)
		return -1;
	r = (s.list.closed || !closed) && s.njobs == 0;
	if (closed && !s.list.closed)
		snprintf(why, size, "its end is not in the object store");
	else if (!r)
		snprintf(why, size, "%s is not in the object store", s.jobs[0].name);
	archive_scan_free(&s);
	return r;
}
