/*
 * collector_known.c - see collector_known.h. Comes after collector_store.c and collector_hold.c.
 */
#include "collector_known.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "collector_store.h"
#include "hex.h"
#include "log.h"

/* ids are random: each quarter of one is a hash */
static uint32_t place(const uint8_t id[BREC_ID_LEN], unsigned n)
{
	const uint8_t *p = id + 4 * (size_t)n;

	return ((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]) % KNOWN_BITS;
}

void known_add(struct store *s, const uint8_t id[BREC_ID_LEN])
{
	for (unsigned n = 0; n < BREC_ID_LEN / 4; n++)
		s->known[place(id, n) / 8] |= (uint8_t)(1 << place(id, n) % 8);
}

static bool maybe(const struct store *s, const uint8_t id[BREC_ID_LEN])
{
	for (unsigned n = 0; n < BREC_ID_LEN / 4; n++)
		if ((s->known[place(id, n) / 8] & 1 << place(id, n) % 8) == 0)
			return false;
	return true;
}

/* "2026-11-22" is a day, to *us. Other names are none, as lost+found. */
static bool is_day(const char *name, uint64_t *us)
{
	int64_t seconds;

	if (strlen(name) != 10 || clock_parse(name, &seconds) != 0 || seconds < 0)
		return false;
	*us = (uint64_t)seconds * 1000000;
	return true;
}

static DIR *open_names(int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (d == NULL && fd >= 0)
		close(fd);
	return d;
}

/* Calls fn for each day, *day_us, until it returns something else than 0: that; or -1 with errno. */
static int each_day(struct store *s, uint64_t *day_us, int (*fn)(struct store *s, const char *day, const void *ctx), const void *ctx)
{
	DIR *d = open_names(s->recordings, ".");
	struct dirent *e;
	unsigned n = 0;
	int r = 0, error;

	if (d == NULL)
		return -1;
	while (r == 0 && (errno = 0, e = readdir(d)) != NULL) {
		if (!is_day(e->d_name, day_us))
			continue;
		errno = EOVERFLOW;
		r = n++ == KNOWN_DAYS_MAX ? -1 : fn(s, e->d_name, ctx);
	}
	error = errno;
	closedir(d);
	errno = error;
	return r == 0 && error != 0 ? -1 : r;
}

/* Of a recording's directory, or of its marker. */
static int add_day(struct store *s, const char *day, const void *ctx)
{
	DIR *d = open_names(s->recordings, day);
	char hex[2 * BREC_ID_LEN + 1];
	uint8_t id[BREC_ID_LEN];
	struct dirent *e;
	int error;

	(void)ctx;
	/* what is no directory has nothing that is ever looked at */
	if (d == NULL)
		return errno == ENOTDIR || errno == ELOOP || errno == ENOENT ? 0 : -1;
	while ((errno = 0, e = readdir(d)) != NULL) {
		snprintf(hex, sizeof(hex), "%.32s", e->d_name);
		if (hex_decode(id, sizeof(id), hex) == 0)
			known_add(s, id);
	}
	error = errno;
	closedir(d);
	errno = error;
	return error != 0 ? -1 : 0;
}

int known_open(struct store *s)
{
	uint64_t day_us;

	if ((s->known = calloc(1, KNOWN_BITS / 8)) != NULL && each_day(s, &day_us, add_day, NULL) == 0)
		return 0;
	log_error("looking through the recordings that are here: %s", strerror(errno));
	return -1;
}

static int look_at(struct store *s, const char *day, const void *hex)
{
	static const char *const ends[] = { "", STORE_PRUNED };
	char path[STORE_DIR_LEN + 16];
	struct stat st;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(path, sizeof(path), "%.10s/%.32s%s", day, (const char *)hex, ends[i]);
		if (fstatat(s->recordings, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return 1;
		if (errno != ENOENT && errno != ENOTDIR)
			return -1;
	}
	return 0;
}

int known_look(struct store *s, const uint8_t id[BREC_ID_LEN], uint64_t *day_us)
{
	char hex[2 * BREC_ID_LEN + 1];

	return each_day(s, day_us, look_at, hex_encode(hex, id, BREC_ID_LEN));
}

int known_day(struct store *s, const uint8_t id[BREC_ID_LEN], uint64_t *day_us)
{
	return maybe(s, id) ? known_look(s, id, day_us) : 0;
}
