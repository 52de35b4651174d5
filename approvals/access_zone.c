/*
 * access_zone.c - see access_zone.h. Policy role: read before it gives up the file system, asked
 * afterwards by access_hours.c.
 */
#include "access_zone.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

#define ZONE_DIR "/usr/share/zoneinfo"
#define DAY 86400
#define BACK (2 * 366 * DAY)
#define AHEAD (3 * 366 * DAY)
#define STEP (14 * DAY)		/* no zone changes its offset twice in two weeks */

struct zone {
	char name[ZONE_NAME_MAX + 1];
	int64_t from, until;		/* what is known */
	int32_t before;			/* offset at `from` */
	size_t n;
	struct { int64_t at; int32_t offset; } change[ZONE_CHANGES_MAX];
};

_Static_assert(ZONE_CHANGES_MAX > (BACK + AHEAD) / STEP, "a change in each step");

/* Where libc looks. */
static const char *zone_dir(void)
{
	const char *dir = getenv("TZDIR");

	return dir != NULL ? dir : ZONE_DIR;
}

static struct zone zones[ZONES_MAX];
static size_t nzones;
static bool sealed;	/* no file can be opened any more, or need be */

bool zone_name_ok(const char *name, size_t len)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-";
	size_t words = 1, n = 0;

	if (len == 0 || len > ZONE_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '/') {
			if (n == 0 || ++words > 3)
				return false;
			n = 0;
		} else if (memchr(set, name[i], sizeof(set) - 1) == NULL) {
			return false;
		} else {
			n++;
		}
	}
	return n > 0;
}

/* By the zone that TZ names now. */
static int32_t libc_offset(int64_t at)
{
	time_t t = (time_t)at;
	struct tm tm = { 0 };

	localtime_r(&t, &tm);
	return (int32_t)tm.tm_gmtoff;
}

/* The first second after `low` that has the offset of `high`. */
static int64_t find_change(int64_t low, int64_t high)
{
	int32_t after = libc_offset(high);

	while (high - low > 1) {
		int64_t middle = low + (high - low) / 2;

		if (libc_offset(middle) == after)
			high = middle;
		else
			low = middle;
	}
	return high;
}

static void scan(struct zone *z, int64_t now)
{
	z->from = now - BACK;
	z->until = now + AHEAD;
	z->before = libc_offset(z->from);
	for (int64_t at = z->from; at < z->until; at += STEP) {
		int32_t last = z->n > 0 ? z->change[z->n - 1].offset : z->before;

		if (libc_offset(at + STEP) == last)
			continue;
		z->change[z->n].at = find_change(at, at + STEP);
		z->change[z->n++].offset = libc_offset(at + STEP);
	}
}

/* TZ as it was, for whoever writes local times. */
static void restore(const char *tz)
{
	if (tz != NULL)
		setenv("TZ", tz, 1);
	else
		unsetenv("TZ");
	tzset();
}

static const struct zone *load(const char *name)
{
	char path[PATH_MAX], tz[ZONE_NAME_MAX + 2], keep[256] = "";
	const char *have = getenv("TZ");
	struct zone *z = &zones[nzones];

	/* libc takes an unknown name for UTC, and says nothing */
	snprintf(path, sizeof(path), "%s/%s", zone_dir(), name);
	if (nzones == ZONES_MAX || access(path, R_OK) != 0)
		return NULL;
	if (have != NULL)
		snprintf(keep, sizeof(keep), "%s", have);
	snprintf(tz, sizeof(tz), ":%s", name);
	setenv("TZ", tz, 1);
	tzset();
	snprintf(z->name, sizeof(z->name), "%s", name);
	scan(z, clock_wall());
	nzones++;
	restore(have != NULL ? keep : NULL);
	return z;
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const char *name = path + strlen(zone_dir()) + 1;
	char magic[4] = "";
	FILE *f;

	(void)ftw;
	/* the folders hold the same once more, with and without leap seconds */
	if ((type != FTW_F && type != FTW_SL) || st->st_size > 65536 || strncmp(name, "posix/", 6) == 0 ||
	    strncmp(name, "right/", 6) == 0 || !zone_name_ok(name, strlen(name)))
		return 0;
	if ((f = fopen(path, "re")) == NULL)
		return 0;
	if (fread(magic, 1, sizeof(magic), f) > 0 && memcmp(magic, "TZif", 4) == 0)
		zone_find(name, strlen(name));
	fclose(f);
	return 0;
}

int zones_preload(void)
{
	int r = nftw(zone_dir(), visit, 8, FTW_PHYS);

	sealed = true;
	return r == 0 ? (int)nzones : -1;
}

const struct zone *zone_find(const char *name, size_t len)
{
	char text[ZONE_NAME_MAX + 1];

	if (!zone_name_ok(name, len))
		return NULL;
	for (size_t i = 0; i < nzones; i++)
		if (strncmp(zones[i].name, name, len) == 0 && zones[i].name[len] == '\0')
			return &zones[i];
	if (sealed)
		return NULL;
	memcpy(text, name, len);
	text[len] = '\0';
	return load(text);
}

bool zone_offset(const struct zone *z, int64_t at, int32_t *offset, int64_t *next)
{
	size_t i = 0;

	if (at < z->from || at >= z->until)
		return false;
	while (i < z->n && z->change[i].at <= at)
		i++;
	*offset = i > 0 ? z->change[i - 1].offset : z->before;
	*next = i < z->n ? z->change[i].at : INT64_MAX;
	return true;
}
