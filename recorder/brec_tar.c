/*
 * brec_tar.c - see brec_tar.h. Below brec_dir.c, which reads segments from it; written by replay_bundle.c.
 */
#include "brec_tar.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ustar (POSIX.1-1988, IEEE 1003.1 pax, "ustar Interchange Format"): where the fields of a header are. */
enum { AT_MODE = 100, AT_UID = 108, AT_GID = 116, AT_SIZE = 124, AT_MTIME = 136, AT_SUM = 148, AT_TYPE = 156, AT_MAGIC = 257, AT_PREFIX = 345 };

static unsigned checksum(const uint8_t block[BREC_TAR_BLOCK])
{
	unsigned sum = 0;

	for (size_t i = 0; i < BREC_TAR_BLOCK; i++)
		sum += i >= AT_SUM && i < AT_SUM + 8 ? ' ' : block[i];
	return sum;
}

/* An octal field that ends with NUL or space. */
static int get_octal(const uint8_t *p, size_t len, uint64_t *out)
{
	size_t i = 0;

	*out = 0;
	for (; i < len && p[i] >= '0' && p[i] <= '7'; i++)
		*out = *out << 3 | (uint64_t)(p[i] - '0');
	return i > 0 && i < len && (p[i] == '\0' || p[i] == ' ') ? 0 : -1;
}

/* Of POSIX, or what GNU tar writes there of itself: the fields that are used are the same. */
static bool is_ustar(const uint8_t block[BREC_TAR_BLOCK])
{
	return memcmp(block + AT_MAGIC, "ustar\00000", 8) == 0 || memcmp(block + AT_MAGIC, "ustar  ", 8) == 0;
}

/* Is it below the directory that it begins with, to whoever unpacks it? Behind a directory's name a `/` may be. */
static bool is_below(const char *name, bool directory)
{
	for (const char *part = name;; part++) {
		size_t len = strcspn(part, "/");

		if (len == 0)
			return directory && part != name && *part == '\0';
		if (strncmp(part, "..", len) == 0) /* one or two */
			return false;
		if (*(part += len) == '\0')
			return directory || part != name + len;
	}
}

/* One header. 1: a plain file below the directory of all; 0: a directory; -1: malformed, or something else. */
static int decode(const uint8_t block[BREC_TAR_BLOCK], struct brec_tar *t, struct brec_tar_entry *e)
{
	const uint8_t type = block[AT_TYPE];
	char name[BREC_TAR_NAME_MAX + 1] = "";
	uint64_t sum;
	size_t top;

	if (!is_ustar(block) || get_octal(block + AT_SUM, 8, &sum) != 0 || sum != checksum(block) ||
	    get_octal(block + AT_SIZE, 12, &e->size) != 0 || block[AT_PREFIX] != '\0')
		return -1;
	memcpy(name, block, BREC_TAR_NAME_MAX);
	if (!is_below(name, type == '5'))
		return -1;
	top = strcspn(name, "/");
	if (t->top[0] == '\0')
		memcpy(t->top, name, top);
	if (strlen(t->top) != top || memcmp(t->top, name, top) != 0)
		return -1;
	if (type == '5')
		return e->size == 0 ? 0 : -1;
	snprintf(e->name, sizeof(e->name), "%s", name + top + 1);
	return type == '0' || type == '\0' ? 1 : -1;
}

static int by_name(const void *a, const void *b)
{
	const struct brec_tar_entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int add(struct brec_tar *t, const struct brec_tar_entry *e)
{
	if (t->n == BREC_TAR_FILES_MAX) {
		errno = EFBIG;
		return -1;
	}
	if ((t->n & (t->n - 1)) == 0) {
		struct brec_tar_entry *v = reallocarray(t->v, t->n == 0 ? 1 : 2 * t->n, sizeof(*v));

		if (v == NULL)
			return -1;
		t->v = v;
	}
	t->v[t->n++] = *e;
	return 0;
}

static int index_file(struct brec_tar *t, uint64_t end)
{
	static const uint8_t zero[BREC_TAR_BLOCK];
	uint8_t block[BREC_TAR_BLOCK];

	for (uint64_t at = 0;; ) {
		struct brec_tar_entry e;
		int r;

		errno = EBADMSG;
		if (end - at < BREC_TAR_BLOCK || pread(t->fd, block, sizeof(block), (off_t)at) != sizeof(block))
			return -1;
		if (memcmp(block, zero, sizeof(zero)) == 0)
			return 0;
		errno = EBADMSG;
		if ((r = decode(block, t, &e)) < 0 || e.size > end - at - BREC_TAR_BLOCK)
			return -1;
		e.offset = at + BREC_TAR_BLOCK;
		if (r == 1 && add(t, &e) != 0)
			return -1;
		at = e.offset + (e.size + BREC_TAR_BLOCK - 1) / BREC_TAR_BLOCK * BREC_TAR_BLOCK;
		if (at > end) {
			errno = EBADMSG;
			return -1;
		}
	}
}

int brec_tar_open(struct brec_tar *t, int fd)
{
	struct stat st;
	int r;

	*t = (struct brec_tar){ .fd = fd };
	if (fstat(fd, &st) != 0)
		return -1;
	errno = EBADMSG;
	r = !S_ISREG(st.st_mode) || st.st_size < 0 ? -1 : index_file(t, (uint64_t)st.st_size);
	if (r == 0 && t->n != 0)
		qsort(t->v, t->n, sizeof(*t->v), by_name);
	for (size_t i = 1; r == 0 && i < t->n; i++)
		if (strcmp(t->v[i - 1].name, t->v[i].name) == 0) {
			errno = EBADMSG;
			r = -1;
		}
	if (r != 0) {
		free(t->v);
		*t = (struct brec_tar){ .fd = -1 };
	}
	return r;
}

const char *brec_tar_error(int error)
{
	return error != EBADMSG ? strerror(error) : "this is no bundle: a ustar archive (tar --format=ustar) that is whole, with plain files, each "
	    "name once, below one directory that has the recording's id as its name";
}

void brec_tar_close(struct brec_tar *t)
{
	if (t->fd >= 0)
		close(t->fd);
	free(t->v);
	*t = (struct brec_tar){ .fd = -1 };
}

const struct brec_tar_entry *brec_tar_find(const struct brec_tar *t, const char *name)
{
	struct brec_tar_entry key = { 0 };

	if (snprintf(key.name, sizeof(key.name), "%s", name) >= (int)sizeof(key.name) || t->n == 0)
		return NULL;
	return bsearch(&key, t->v, t->n, sizeof(key), by_name);
}

uint8_t *brec_tar_slurp(const struct brec_tar *t, const char *name, size_t max, size_t *len)
{
	const struct brec_tar_entry *e = brec_tar_find(t, name);
	uint8_t *data;

	*len = 0;
	errno = e == NULL ? ENOENT : EFBIG;
	if (e == NULL || e->size > max || (data = malloc(e->size + 1)) == NULL)
		return NULL;
	if (pread(t->fd, data, e->size, (off_t)e->offset) != (ssize_t)e->size) {
		free(data);
		errno = EIO;
		return NULL;
	}
	*len = e->size;
	return data;
}

int brec_tar_header(uint8_t out[BREC_TAR_BLOCK], const char *name, uint64_t size, int64_t mtime)
{
	char *p = (char *)out;

	memset(out, 0, BREC_TAR_BLOCK);
	if (strlen(name) > BREC_TAR_NAME_MAX || size >> 33 != 0)
		return -1;
	memcpy(p, name, strlen(name));
	memcpy(p + AT_MODE, "0000644", 8);
	memcpy(p + AT_UID, "0000000", 8);
	memcpy(p + AT_GID, "0000000", 8);
	snprintf(p + AT_SIZE, 12, "%011" PRIo64, size & 077777777777U);
	snprintf(p + AT_MTIME, 12, "%011" PRIo64, (uint64_t)mtime & 077777777777U);
	p[AT_TYPE] = '0';
	memcpy(p + AT_MAGIC, "ustar\00000", 8);
	snprintf(p + AT_SUM, 8, "%06o", checksum(out) & 0777777);
	p[AT_SUM + 7] = ' ';
	return 0;
}
