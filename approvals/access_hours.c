/*
 * access_hours.c - the hours of a role: "mon-fri 08:00-18:00, sat 09:00-12:00 Europe/Berlin".
 * See access.h. Pure, but for the zones (access_zone.h).
 *
 * A moment is inside when the clock on the wall of that zone is inside one of the windows. So in the
 * night in which that clock is put back an hour of a window comes twice, and in the other one never.
 */
#include "access.h"

#include <string.h>

#include "access_zone.h"

#define DAY 86400
#define WEEK (7 * DAY)
#define WINDOWS_MAX 16		/* parts of one text */
#define LOOK_AHEAD (15 * DAY)	/* what does not change in two weeks, of which one may lack an hour, never does */

/* Allowed from `from` for `len` seconds, in seconds since Monday 00:00. */
struct window {
	int from, len;
};

struct hours {
	struct window w[WINDOWS_MAX * 7];
	int n;
	const char *zone;	/* in the text; NULL: UTC */
};

static int day_of(const char **p)
{
	static const char *const days[] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };

	for (int i = 0; i < 7; i++) {
		if (strncmp(*p, days[i], 3) == 0) {
			*p += 3;
			return i;
		}
	}
	return -1;
}

/* "08:30" → seconds of the day; 24:00 is its end. */
static int clock_of(const char **p)
{
	const char *t = *p;
	int h, m;

	for (int i = 0; i < 5; i++)
		if (i == 2 ? t[i] != ':' : t[i] < '0' || t[i] > '9')
			return -1;
	h = (t[0] - '0') * 10 + t[1] - '0';
	m = (t[3] - '0') * 10 + t[4] - '0';
	*p += 5;
	return m > 59 || h > 24 || (h == 24 && m > 0) ? -1 : h * 3600 + m * 60;
}

/* "mon-fri 08:00-18:00" → one window a day. */
static int parse_part(const char **p, struct hours *h)
{
	int first = day_of(p), last = first, from, to;

	if (first >= 0 && **p == '-') {
		++*p;
		last = day_of(p);
	}
	if (first < 0 || last < 0 || *(*p)++ != ' ' || (from = clock_of(p)) < 0 || *(*p)++ != '-' ||
	    (to = clock_of(p)) < 0 || from == to || from == DAY)
		return -1;
	for (int d = first;; d = (d + 1) % 7) {
		h->w[h->n++] = (struct window){ d * DAY + from, to > from ? to - from : to - from + DAY };
		if (d == last)
			return 0;
	}
}

static int parse(const char *text, struct hours *h)
{
	h->n = 0;
	h->zone = NULL;
	for (const char *p = text;; p++) {
		if (h->n > (WINDOWS_MAX - 1) * 7 || parse_part(&p, h) < 0)
			return -1;
		if (*p == '\0')
			return 0;
		if (*p == ' ') {
			h->zone = p + 1;
			return zone_name_ok(p + 1, strlen(p + 1)) ? 0 : -1;
		}
		if (*p != ',')
			return -1;
		p += strspn(p + 1, " ");
	}
}

bool access_hours_ok(const char *text)
{
	struct hours h;

	return strlen(text) <= HOURS_MAX && (text[0] == '\0' || parse(text, &h) == 0);
}

bool access_hours_named(const char *text)
{
	struct hours h;

	return text[0] != '\0' && parse(text, &h) == 0 && h.zone != NULL;
}

bool access_zone_known(const char *text)
{
	struct hours h;

	return text[0] == '\0' ||
	    (parse(text, &h) == 0 && (h.zone == NULL || zone_find(h.zone, strlen(h.zone)) != NULL));
}

/* Is this second of the week inside, and in how many seconds does a window begin or end? */
static bool inside(const struct hours *h, int second, int *until)
{
	bool in = false;

	*until = WEEK;
	for (int i = 0; i < h->n; i++) {
		int into = ((second - h->w[i].from) % WEEK + WEEK) % WEEK;
		int edge = into < h->w[i].len ? h->w[i].len - into : WEEK - into;

		in |= into < h->w[i].len;
		if (edge < *until)
			*until = edge;
	}
	return in;
}

/* One look at the clock on the wall. False: nobody knows what it shows. */
static bool look(const struct hours *h, const struct zone *z, int64_t at, bool *in, int64_t *edge)
{
	int64_t next = INT64_MAX;
	int32_t offset = 0;
	int until;

	if (z != NULL && !zone_offset(z, at, &offset, &next))
		return false;
	/* 1970-01-01 was a Thursday */
	*in = inside(h, (int)(((at + offset) % WEEK + WEEK + 3 * DAY) % WEEK), &until);
	*edge = at + until < next ? at + until : next;
	return true;
}

int access_hours_in(const char *text, int64_t now, int64_t *change)
{
	const struct zone *z = NULL;
	struct hours h;
	int64_t edge;
	bool was, in;

	*change = FOREVER;
	if (text[0] == '\0')
		return 1;
	if (parse(text, &h) < 0 || (h.zone != NULL && (z = zone_find(h.zone, strlen(h.zone))) == NULL) ||
	    !look(&h, z, now, &was, &edge))
		return -1;
	while (edge < now + LOOK_AHEAD) {
		int64_t at = edge;

		if (!look(&h, z, at, &in, &edge))
			return -1;
		if (in != was) {
			*change = at;
			break;
		}
	}
	return was;
}

int64_t access_hours(const char *text, int64_t now)
{
	int64_t change;
	int in = access_hours_in(text, now, &change);

	return in <= 0 ? in : change;
}
