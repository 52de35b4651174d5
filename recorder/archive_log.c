/*
 * archive_log.c - see archive_log.h. Reads what tlog_writer.c wrote, while that goes on.
 */
#include "archive_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tlog_reader.h"

#define SETTLED_SECONDS 60

/* Hashes, or leaves, of a level in a tree of that size. */
static uint64_t width_of(uint64_t size, int level)
{
	return size >> (8 * (level < 0 ? 0 : level));
}

bool archive_tiles_next(struct archive_tiles *t, int *level, uint64_t *n, unsigned *width)
{
	if (!t->begun) {
		t->begun = true;
		t->level = TLOG_ENTRIES;
		t->n = width_of(t->from, t->level) / TLOG_TILE;
	}
	for (; t->level < TLOG_LEVELS; t->level++) {
		const uint64_t all = width_of(t->to, t->level), before = width_of(t->from, t->level);

		/* of what is the same in both trees nothing is new */
		if (all != before && t->n * TLOG_TILE < all) {
			*level = t->level;
			*n = t->n++;
			*width = all - *n * TLOG_TILE < TLOG_TILE ? (unsigned)(all - *n * TLOG_TILE) : TLOG_TILE;
			return true;
		}
		t->n = width_of(t->from, t->level + 1) / TLOG_TILE;
	}
	return false;
}

uint8_t *archive_tile_load(int dir, int level, uint64_t n, unsigned width, size_t *len)
{
	uint8_t *data = tlog_read_tile(dir, level, n, width, len);
	long used;

	if (data == NULL)
		return NULL;
	used = level == TLOG_ENTRIES ? tlog_bundle_prefix(data, *len, width) : (long)(width * HASH_LEN);
	if (used >= 0 && (size_t)used <= *len) {
		*len = (size_t)used;
		return data;
	}
	free(data);
	errno = EBADMSG;
	return NULL;
}

int archive_log_checkpoint(int dir, const char *name, char note[TLOG_NOTE_MAX], size_t *len, uint64_t *size)
{
	uint8_t *data = tlog_slurp(dir, name, TLOG_NOTE_MAX, len);
	struct tlog_checkpoint c;

	if (data == NULL)
		return errno == ENOENT ? 0 : -1;
	memcpy(note, data, *len);
	free(data);
	if (tlog_checkpoint_parse(&c, note, *len) != 0 || c.size > TLOG_SIZE_MAX) {
		errno = EBADMSG;
		return -1;
	}
	*size = c.size;
	return 1;
}

bool archive_log_renew_due(const struct archive_list *l, const struct archive_rules *rules, int64_t now)
{
	const struct archive_item *i = archive_list_find(l, ARCHIVE_LOG_RENEWED);
	int64_t since;

	if (i == NULL)
		i = archive_list_find(l, ARCHIVE_LOG_BEGUN);
	/* one that was put before this was noted; and a clock that was ahead says nothing */
	since = i != NULL && i->when <= now ? i->when : INT64_MIN / 2;
	return now - since >= rules->session - rules->session / 8;
}

/* Is it "checkpoint.SIZE", with one of the two ends or none? *ended: with one. */
static bool kept_name(const char *name, uint64_t *size, bool *ended)
{
	char again[ARCHIVE_NAME_MAX + 1];
	const char *end;
	unsigned long long n;
	char *rest;

	if (strncmp(name, TLOG_CHECKPOINT ".", sizeof(TLOG_CHECKPOINT)) != 0 || strlen(name) > ARCHIVE_NAME_MAX)
		return false;
	n = strtoull(name + sizeof(TLOG_CHECKPOINT), &rest, 10);
	end = rest;
	snprintf(again, sizeof(again), TLOG_CHECKPOINT ".%llu", n);
	*size = n;
	*ended = *end != '\0';
	return strncmp(again, name, strlen(again)) == 0 && (size_t)(end - name) == strlen(again) &&
	    (!*ended || strcmp(end, ".tsr") == 0 || strcmp(end, ".cosigned") == 0);
}

int archive_log_kept(int dir, const struct archive_list *l, uint64_t size, int64_t now, char name[ARCHIVE_NAME_MAX + 1])
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	uint64_t of;
	bool ended;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (r == 0 && (e = readdir(d)) != NULL) {
		struct stat st;

		if (!kept_name(e->d_name, &of, &ended) || of > size || archive_list_find(l, e->d_name) != NULL)
			continue;
		/* another program writes these: not while it may still be at it */
		if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) || (ended && st.st_mtime > now - SETTLED_SECONDS))
			continue;
		snprintf(name, ARCHIVE_NAME_MAX + 1, "%s", e->d_name);
		r = 1;
	}
	closedir(d);
	return r;
}
