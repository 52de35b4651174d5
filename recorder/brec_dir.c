/*
 * brec_dir.c - see brec_dir.h. Runs in the auditor's tools, below brec_read.c and brec_verify.c.
 */
#include "brec_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "escape.h"
#include "hex.h"
#include "tlog_reader.h"

#define WINDOW ((size_t)4 * BREC_FRAME_MAX)	/* holds any header or frame, and more in one read */

int brec_open_plain(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		errno = EINVAL;
		return -1;
	}
	return fd;
}

/* The recording that the last part of the path names. */
static bool named_id(uint8_t id[BREC_ID_LEN], const char *path)
{
	const char *end = path + strlen(path), *base;
	char name[2 * BREC_ID_LEN + 1];

	while (end > path + 1 && end[-1] == '/')
		end--;
	for (base = end; base > path && base[-1] != '/'; base--)
		;
	if (end - base != 2 * BREC_ID_LEN)
		return false;
	memcpy(name, base, 2 * BREC_ID_LEN);
	name[2 * BREC_ID_LEN] = '\0';
	return hex_decode(id, BREC_ID_LEN, name) == 0;
}

bool brec_dir_misnamed(const struct brec_dir *d, const uint8_t id[BREC_ID_LEN])
{
	return d->named && memcmp(d->id, id, BREC_ID_LEN) != 0;
}

/* A bundle's names are all below the directory of its recording. Its own is anybody's. */
static int open_bundle(struct brec_dir *d, const char *path)
{
	const int fd = brec_open_plain(AT_FDCWD, path);

	if (fd < 0)
		return -1;
	if (brec_tar_open(&d->tar, fd) != 0) {
		const int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	if ((d->named = strspn(d->tar.top, "0123456789abcdef") == 2 * BREC_ID_LEN && named_id(d->id, d->tar.top)))
		return 0;
	brec_tar_close(&d->tar);
	errno = EBADMSG;
	return -1;
}

int brec_dir_open(struct brec_dir *d, const char *path)
{
	int saved;

	*d = (struct brec_dir){ .dir = -1, .file = -1, .tar.fd = -1 };
	if ((d->window = malloc(WINDOW)) == NULL)
		return -1;
	if ((d->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0) {
		d->named = named_id(d->id, path);
		return 0;
	}
	if (errno == ENOTDIR && open_bundle(d, path) == 0)
		return 0;
	saved = errno;
	free(d->window);
	d->window = NULL;
	errno = saved;
	return -1;
}

void brec_dir_close(struct brec_dir *d)
{
	if (d->window == NULL)
		return;
	if (d->file >= 0 && d->file != d->tar.fd)
		close(d->file);
	if (d->dir >= 0)
		close(d->dir);
	if (d->tar.fd >= 0)
		brec_tar_close(&d->tar);
	free(d->window);
	*d = (struct brec_dir){ .dir = -1, .file = -1, .tar.fd = -1 };
}

void brec_dir_say(char *out, size_t size, const char *path, const char *what)
{
	char text[256];

	esc_line(text, sizeof(text), path, strlen(path));
	snprintf(out, size, "%s: %s", text, what);
}

int brec_dir_segment(struct brec_dir *d, uint32_t segment)
{
	char name[BREC_NAME_LEN];
	int fd;

	snprintf(name, sizeof(name), "%08" PRIu32 ".brec", segment);
	if (d->tar.fd >= 0) {
		const struct brec_tar_entry *e = brec_tar_find(&d->tar, name);

		if (e == NULL)
			return 0;
		fd = d->tar.fd;
		d->at = e->offset;
		d->end_at = e->offset + e->size;
	} else {
		if ((fd = brec_open_plain(d->dir, name)) < 0)
			return errno == ENOENT ? 0 : -1;
		if (d->file >= 0)
			close(d->file);
		d->at = 0;
		d->end_at = INT64_MAX;
	}
	d->file = fd;
	d->segment = segment;
	d->offset = d->start = d->end = 0;
	memcpy(d->name, name, sizeof(name));
	return 1;
}

/* It must be written as brec_dir_segment would. */
int64_t brec_dir_number(const char *file)
{
	char name[BREC_NAME_LEN];
	uint32_t n;

	if (sscanf(file, "%10" SCNu32, &n) != 1)
		return -1;
	snprintf(name, sizeof(name), "%08" PRIu32 ".brec", n);
	return strcmp(name, file) == 0 ? (int64_t)n : -1;
}

int64_t brec_dir_last(struct brec_dir *d)
{
	int fd = d->dir >= 0 ? openat(d->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	int64_t last = -1, n;

	for (size_t i = 0; i < d->tar.n; i++)
		if ((n = brec_dir_number(d->tar.v[i].name)) > last)
			last = n;
	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return last;
	}
	errno = 0;
	while ((e = readdir(dir)) != NULL)
		if ((n = brec_dir_number(e->d_name)) > last)
			last = n;
	closedir(dir);
	return last;
}

/* Has `want` bytes in the window if the file has them. 0, or -1 with errno. */
static int fill(struct brec_dir *d, size_t want)
{
	if (d->end - d->start >= want)
		return 0;
	memmove(d->window, d->window + d->start, d->end - d->start);
	d->end -= d->start;
	d->start = 0;
	while (d->end < want) {
		const size_t room = WINDOW - d->end, left = d->end_at - d->at < room ? (size_t)(d->end_at - d->at) : room;
		ssize_t n = pread(d->file, d->window + d->end, left, (off_t)d->at);

		if (n == 0)
			return 0;
		if (n > 0) {
			d->end += (size_t)n;
			d->at += (uint64_t)n;
		}
		if (n < 0 && errno != EINTR)
			return -1;
	}
	return 0;
}

int brec_dir_header(struct brec_dir *d, struct brec_header *h, const uint8_t **p, size_t *have)
{
	if (fill(d, BREC_HEADER_MAX) != 0)
		return 1;
	*p = d->window + d->start;
	*have = d->end - d->start;
	return brec_header_decode(*p, *have, h);
}

int brec_dir_frame(struct brec_dir *d, struct brec_frame *f, const uint8_t **p, size_t *have)
{
	/* a small frame is decoded from what is there; only one that is not whole asks for more */
	int r = brec_frame_decode(d->window + d->start, d->end - d->start, f);

	if (r == BREC_SHORT) {
		if (fill(d, BREC_FRAME_MAX) != 0)
			return 1;
		r = brec_frame_decode(d->window + d->start, d->end - d->start, f);
	}
	*p = d->window + d->start;
	*have = d->end - d->start;
	return r;
}

void brec_dir_skip(struct brec_dir *d, size_t len)
{
	d->start += len;
	d->offset += len;
}

uint8_t *brec_dir_slurp(struct brec_dir *d, const char *name, size_t max, size_t *len)
{
	return d->tar.fd >= 0 ? brec_tar_slurp(&d->tar, name, max, len) : tlog_slurp(d->dir, name, max, len);
}
