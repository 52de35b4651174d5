/*
 * clock.c - see clock.h. Pure but for the clocks; every role.
 */
#include "clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define DURATION_MAX (10U * 366 * 86400)

static uint64_t read_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_mono_us(void) { return read_us(CLOCK_BOOTTIME); }
uint64_t clock_mono_ms(void) { return read_us(CLOCK_BOOTTIME) / 1000; }
int64_t clock_wall_us(void) { return (int64_t)read_us(CLOCK_REALTIME); }
int64_t clock_wall(void) { return clock_wall_us() / 1000000; }

char *clock_format(char *out, size_t size, int64_t unix_s)
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(out, size, "?");
	return out;
}

int clock_parse(const char *text, int64_t *unix_s)
{
	static const char *const forms[] = { "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d" };

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = { 0 };
		const char *end = strptime(text, forms[i], &tm);

		if (end != NULL && *end == '\0') {
			const struct tm said = tm;

			*unix_s = (int64_t)timegm(&tm);
			/* the 30th of February would be the 2nd of March */
			return tm.tm_mday == said.tm_mday && tm.tm_mon == said.tm_mon && tm.tm_year == said.tm_year &&
				tm.tm_hour == said.tm_hour && tm.tm_min == said.tm_min && tm.tm_sec == said.tm_sec ?
			    0 : -1;
		}
	}
	return -1;
}

static uint32_t unit_seconds(char c)
{
	switch (c) {
	case 's': return 1;
	case 'm': return 60;
	case 'h': return 3600;
	case 'd': return 86400;
	case 'w': return 7 * 86400;
	default: return 0;
	}
}

int duration_parse(const char *text, uint32_t *seconds)
{
	uint64_t total = 0;

	do {
		uint64_t n = 0;
		uint32_t unit;
		size_t digits = strspn(text, "0123456789");

		if (digits == 0 || digits > 9)
			return -1;
		for (size_t i = 0; i < digits; i++)
			n = n * 10 + (uint64_t)(*text++ - '0');
		if ((unit = unit_seconds(*text)) == 0)
			return -1;
		text++;
		if ((total += n * unit) > DURATION_MAX)
			return -1;
	} while (*text != '\0');
	if (total == 0)
		return -1;
	*seconds = (uint32_t)total;
	return 0;
}

char *duration_format(char *out, size_t size, uint64_t seconds)
{
	static const struct { uint64_t unit; char name; } units[] = {
		{ 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' },
	};
	size_t i = 0;

	while (i < 3 && seconds < units[i].unit)
		i++;
	if (i < 3 && seconds % units[i].unit / units[i + 1].unit != 0)
		snprintf(out, size, "%llu%c%llu%c", (unsigned long long)(seconds / units[i].unit), units[i].name,
		    (unsigned long long)(seconds % units[i].unit / units[i + 1].unit), units[i + 1].name);
	else
		snprintf(out, size, "%llu%c", (unsigned long long)(seconds / units[i].unit), units[i].name);
	return out;
}
