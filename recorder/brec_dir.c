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

#define WINDOW ((size_t)4 * BREC_FRAME_MAX)	/* holds any header or frame, and more in one read */

int brec_dir_open(struct brec_dir *d, const char *path)
{
	*d = (struct brec_dir){ .dir = -1, .file = -1 };
	if ((d->window = malloc(WINDOW)) == NULL)
		return -1;
	if ((d->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		free(d->window);
		d->window = NULL;
		return -1;
	}
	return 0;
}

void brec_dir_close(struct brec_dir *d)
{
	if (d->window == NULL)
		return;
	if (d->file >= 0)
		close(d->file);
	close(d->dir);
	free(d->window);
	*d = (struct brec_dir){ .dir = -1, .file = -1 };
}

static int open_plain(int dir, const char *name)
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

int brec_dir_segment(struct brec_dir *d, uint32_t segment)
{
	char name[BREC_NAME_LEN];
	int fd;

	snprintf(name, sizeof(name), "%08" PRIu32 ".brec", segment);
	if ((fd = open_plain(d->dir, name)) < 0)
		return errno == ENOENT ? 0 : -1;
	if (d->file >= 0)
		close(d->file);
	d->file = fd;
	d->segment = segment;
	d->offset = d->start = d->end = 0;
	memcpy(d->name, name, sizeof(name));
	return 1;
}

int64_t brec_dir_last(struct brec_dir *d)
{
	int fd = openat(d->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	int64_t last = -1;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	errno = 0;
	while ((e = readdir(dir)) != NULL) {
		char name[BREC_NAME_LEN];
		uint32_t n;

		/* the number must be written as brec_dir_segment would */
		if (sscanf(e->d_name, "%10" SCNu32, &n) == 1) {
			snprintf(name, sizeof(name), "%08" PRIu32 ".brec", n);
			if (strcmp(name, e->d_name) == 0 && n > last)
				last = n;
		}
	}
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
		ssize_t n = read(d->file, d->window + d->end, WINDOW - d->end);

		if (n == 0)
			return 0;
		if (n > 0)
			d->end += (size_t)n;
		else if (errno != EINTR)
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
	int fd = open_plain(d->dir, name), saved;
	uint8_t *data = NULL;
	struct stat st;
	ssize_t n = 1;

	*len = 0;
	if (fd < 0)
		return NULL;
	errno = EFBIG;
	if (fstat(fd, &st) == 0 && (uint64_t)st.st_size <= max)
		data = malloc((size_t)st.st_size + 1);
	while (data != NULL && n != 0 && *len < (size_t)st.st_size) {
		if ((n = read(fd, data + *len, (size_t)st.st_size - *len)) > 0) {
			*len += (size_t)n;
		} else if (n < 0 && errno != EINTR) {
			free(data);
			data = NULL;
		}
	}
	saved = errno;
	close(fd);
	errno = saved;
	return data;
}
