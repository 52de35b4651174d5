/*
 * access_zone.h - time zones by their names in the tz database: "Europe/Berlin".
 *
 * The rules are libc's (tzset, localtime_r); what is kept here are the moments at which a zone's
 * offset changes, from two years ago to three ahead, because the policy role cannot open
 * /usr/share/zoneinfo any more once it has its own root. A zone that is not known, or a moment that
 * is past what is kept, has no offset: whoever asks must then say no. Not for threads.
 */
#ifndef BASTION_ACCESS_ZONE_H
#define BASTION_ACCESS_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZONE_NAME_MAX 48
#define ZONE_CHANGES_MAX 132	/* kept of one zone: all that are found */
#define ZONES_MAX 1024

struct zone;

/* Words of letters, digits, '_', '+' and '-', at most three, with '/' between: no path leads out. */
bool zone_name_ok(const char *name, size_t len);
/* Reads all zones, so that none is looked for later. While files can be opened. Their number, or -1. */
int zones_preload(void);
/* NULL: there is no such zone. */
const struct zone *zone_find(const char *name, size_t len);
/*
 * Seconds east of UTC that hold at `at`, and in *next the moment at which they change (INT64_MAX:
 * not within what is kept). False: nothing is known of that time.
 */
bool zone_offset(const struct zone *z, int64_t at, int32_t *offset, int64_t *next);

#endif
